//! Where streams ended.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;

use common::*;
use marketprism_core::record::{Kind, RecordRef};
use marketprism_log::*;

#[test]
fn the_end_of_every_wanted_stream_is_found_however_far_back() {
    let folder = temporary();
    let mut first = appender(folder.path());
    let mut batch = trades(10, 20);
    batch.push(RecordRef::Trade(&trade(2, 5))).unwrap();
    batch.push(RecordRef::Book(&delta(3, 30, 31, None, 0), &[])).unwrap();
    batch.push(RecordRef::Book(&snapshot(3, 40), &[])).unwrap();
    first.append(&mut batch).unwrap();
    first.seal().unwrap();
    drop(first);
    let mut second = appender(folder.path());
    second.append(&mut trades(20, 23)).unwrap();
    drop(second);

    let streams = [(1, Kind::Trade), (2, Kind::Trade), (3, Kind::BookDelta), (3, Kind::Quote)];
    let wanted: HashSet<_> = streams.into_iter().collect();
    let ends = stream_ends(folder.path(), &wanted, u64::MAX).unwrap();
    let end = |last_id: u64| StreamEnd { last_id, receive_ns: 1_000 + last_id as i64 };
    assert_eq!(ends.get(&(1, Kind::Trade)), Some(&end(22)));
    assert_eq!(ends.get(&(2, Kind::Trade)), Some(&end(5)));
    assert_eq!(ends.get(&(3, Kind::BookDelta)), Some(&end(40)), "a snapshot that is newer than the deltas");
    assert_eq!(ends.len(), 3, "a stream without a record is left out");

    // With a bound only the newest segment is read; what is not wanted is left out.
    let ends = stream_ends(folder.path(), &wanted, 1).unwrap();
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), [((1, Kind::Trade), end(22))]);
    assert!(stream_ends(folder.path(), &HashSet::new(), u64::MAX).unwrap().is_empty());
}

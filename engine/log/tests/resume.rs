//! Where streams ended.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;

use bytemuck::Zeroable;
use common::*;
use marketprism_core::record::{Book, DetailedTrade, Header, Kind, Quote, RecordRef, flag};
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

/// A snapshot of the stream, or with other flags one that is none.
fn stream_snapshot(id: u64, flags: u8) -> Book {
    let mut record = snapshot(3, id);
    record.header.flags = flag::SNAPSHOT | flags;
    record
}

fn book_end(records: &[Book]) -> u64 {
    let folder = temporary();
    let mut batch = BatchBuilder::new();
    records.iter().for_each(|record| batch.push(RecordRef::Book(record, &[])).unwrap());
    appender(folder.path()).append(&mut batch).unwrap();
    let stream = (3, Kind::BookDelta);
    stream_ends(folder.path(), &HashSet::from([stream]), u64::MAX).unwrap()[&stream].last_id
}

#[test]
fn a_chained_book_ends_where_its_last_message_says() {
    let begun = [stream_snapshot(40, 0), delta(3, 0, 45, Some(40), 0)];
    assert_eq!(book_end(&begun), 45);
    let after = |record| book_end(&[begun[0], begun[1], record]);
    assert_eq!(after(delta(3, 0, 7, Some(45), 0)), 7, "a maintenance reset");
    assert_eq!(after(delta(3, 0, 46, Some(45), flag::BOOK_INVALID)), 46, "a crossed book goes on");
    assert_eq!(after(stream_snapshot(9, 0)), 9, "a new snapshot re-starts the chain");
    assert_eq!(after(stream_snapshot(99, flag::PARTIAL)), 45, "a snapshot of another channel");
    assert_eq!(after(stream_snapshot(44, flag::DERIVED)), 45);
    assert_eq!(after(stream_snapshot(12, flag::BOOK_INVALID)), 45, "one that was not taken");
}

#[test]
fn detailed_trades_end_the_stream_of_trades_and_derived_quotes_none() {
    let folder = temporary();
    let mut detailed = DetailedTrade { trade: trade(1, 8), ..DetailedTrade::zeroed() };
    detailed.trade.header.kind = Kind::DetailedTrade as u8;
    let mut quote = Quote { header: Header::new(Kind::Quote, 1, 9), ..Quote::zeroed() };
    quote.header.flags = flag::DERIVED;
    let mut batch = trades(5, 8);
    batch.push(RecordRef::DetailedTrade(&detailed)).unwrap();
    batch.push(RecordRef::Quote(&quote)).unwrap();
    appender(folder.path()).append(&mut batch).unwrap();
    let wanted = HashSet::from([(1, Kind::Trade), (1, Kind::Quote)]);
    let ends = stream_ends(folder.path(), &wanted, u64::MAX).unwrap();
    let end = StreamEnd { last_id: 8, receive_ns: 1_008 };
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), [((1, Kind::Trade), end)]);
}

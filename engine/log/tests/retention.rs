//! Old segments removed: the rest is a sound log.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::*;
use marketprism_core::record::*;
use marketprism_log::*;
use proptest::prelude::*;

const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_NS: i64 = 24 * HOUR_NS;
/// The time of the first record.
const BEGIN_NS: i64 = 1_723_161_255 * 1_000_000_000;

/// A log with one sealed segment of ten trades for each receive time, and an empty open one.
fn log_of(directory: &Path, times: &[i64]) -> Vec<PathBuf> {
    let mut appender = appender(directory);
    for receive_ns in times {
        let first = appender.next_sequence() + 1;
        let mut batch = BatchBuilder::new();
        for id in first..first + 10 {
            let mut record = trade(1, id);
            record.header.receive_ns = *receive_ns;
            batch.push(RecordRef::Trade(&record)).unwrap();
        }
        appender.append(&mut batch).unwrap();
        appender.rotate().unwrap();
    }
    segments(directory)
}

/// One segment a day.
fn daily(days: i64) -> Vec<i64> {
    (0..days).map(|day| BEGIN_NS + day * DAY_NS).collect()
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// How many segments each limit removes, and removes them.
fn removed(directory: &Path, retention: Retention, now_ns: i64) -> (usize, usize) {
    let before = segments(directory);
    let expired = expired(directory, retention, now_ns).unwrap().segments;
    expired.iter().for_each(|segment| segment.remove().unwrap());
    let paths: Vec<&PathBuf> = expired.iter().map(|segment| &segment.path).collect();
    assert_eq!(paths, before.iter().take(paths.len()).collect::<Vec<_>>(), "the oldest first");
    assert_eq!(segments(directory), before[paths.len()..], "and no other one");
    let by_age = expired.iter().filter(|segment| segment.limit == Limit::Age).count();
    (by_age, expired.len() - by_age)
}

fn days(days: i64) -> Retention {
    Retention { keep_ns: Some(days * DAY_NS), ..Retention::default() }
}

fn bytes(bytes: u64) -> Retention {
    Retention { keep_bytes: Some(bytes), ..Retention::default() }
}

/// The rest is sound, and says where it begins.
#[track_caller]
fn is_sound(directory: &Path, first_sequence: u64) {
    let verification = verify(directory).unwrap();
    assert!(verification.ok, "{:?}", verification.problems);
    assert_eq!(verification.first_sequence, Some(first_sequence));
    assert_eq!(inspect::inspect(directory).unwrap().first_sequence, Some(first_sequence));
    assert_eq!(LogReader::open(directory).unwrap().first_sequence(), Some(first_sequence));
    let (ids, report) = read_ids(directory);
    assert_eq!(report.problems, []);
    assert!(ids.first().is_none_or(|first| *first == first_sequence + 1));
}

#[test]
fn without_limits_everything_is_kept() {
    let directory = temporary();
    log_of(directory.path(), &daily(5));
    assert_eq!(removed(directory.path(), Retention::default(), i64::MAX), (0, 0));
}

#[test]
fn segments_go_by_the_age_of_their_newest_record() {
    let directory = temporary();
    log_of(directory.path(), &daily(10));
    let now_ns = BEGIN_NS + 9 * DAY_NS;
    assert_eq!(removed(directory.path(), days(9), now_ns), (0, 0), "not older than nine days, but as old");
    assert_eq!(removed(directory.path(), days(9), now_ns + 1), (1, 0));
    is_sound(directory.path(), 10);
    assert_eq!(removed(directory.path(), days(3), now_ns + HOUR_NS), (6, 0));
    is_sound(directory.path(), 70);
    assert_eq!(removed(directory.path(), days(3), now_ns + HOUR_NS), (0, 0));
    assert_eq!(removed(directory.path(), days(1), i64::MAX), (2, 0), "the newest two stay");
    is_sound(directory.path(), 90);
}

#[test]
fn one_newer_record_keeps_a_segment() {
    let directory = temporary();
    let mut appender = appender(directory.path());
    for receive_ns in [BEGIN_NS + 5 * DAY_NS, BEGIN_NS] {
        let mut record = trade(1, appender.next_sequence() + 1);
        record.header.receive_ns = receive_ns;
        let mut batch = BatchBuilder::new();
        batch.push(RecordRef::Trade(&record)).unwrap();
        appender.append(&mut batch).unwrap();
    }
    appender.rotate().unwrap();
    appender.append(&mut trades(3, 4)).unwrap();
    appender.rotate().unwrap();
    assert_eq!(removed(directory.path(), days(3), BEGIN_NS + 7 * DAY_NS), (0, 0));
    assert_eq!(removed(directory.path(), days(3), BEGIN_NS + 9 * DAY_NS), (1, 0));
}

#[test]
fn segments_go_until_the_rest_is_short_enough() {
    let directory = temporary();
    let paths = log_of(directory.path(), &daily(6));
    let total = |from: usize| paths[from..].iter().map(|path| length(path)).sum::<u64>();
    assert_eq!(removed(directory.path(), bytes(total(0)), i64::MAX), (0, 0));
    assert_eq!(removed(directory.path(), bytes(total(0) - 1), i64::MAX), (0, 1));
    is_sound(directory.path(), 10);
    assert_eq!(removed(directory.path(), bytes(total(3)), i64::MAX), (0, 2));
    assert_eq!(removed(directory.path(), bytes(0), i64::MIN), (0, 2), "the newest two stay");
    is_sound(directory.path(), 50);
}

#[test]
fn of_both_limits_the_narrower_one_decides() {
    let now_ns = BEGIN_NS + 9 * DAY_NS;
    for (keep_days, keep_segments, expected) in [(3, 8, (6, 0)), (6, 4, (3, 4)), (20, 20, (0, 0))] {
        let directory = temporary();
        let paths = log_of(directory.path(), &daily(10));
        let kept = paths.iter().rev().take(keep_segments).map(|path| length(path)).sum();
        let retention = Retention { keep_bytes: Some(kept), ..days(keep_days) };
        assert_eq!(removed(directory.path(), retention, now_ns), expected, "{retention:?}");
    }
}

#[test]
fn what_was_stamped_by_a_wrong_clock_stays_with_everything_behind_it() {
    let directory = temporary();
    let now_ns = BEGIN_NS + 9 * DAY_NS;
    let mut times = daily(10);
    times[2] = BEGIN_NS + 1000 * DAY_NS;
    // A clock that was reset to 1970.
    times[5] = 5;
    log_of(directory.path(), &times);
    assert_eq!(removed(directory.path(), days(3), now_ns), (2, 0));
    is_sound(directory.path(), 20);
    assert_eq!(removed(directory.path(), days(3), now_ns), (0, 0));
    // Our own clock was set back.
    assert_eq!(removed(directory.path(), days(3), 5), (0, 0));
    assert_eq!(removed(directory.path(), days(3), i64::MIN), (0, 0));
}

#[test]
fn a_segment_that_cannot_be_read_goes_with_the_next_one() {
    let directory = temporary();
    let paths = log_of(directory.path(), &daily(5));
    fs::write(&paths[1], vec![7; 1000]).unwrap();
    let now_ns = BEGIN_NS + 9 * DAY_NS;
    assert_eq!(removed(directory.path(), days(8), now_ns), (1, 0), "nothing says how old it is");
    assert_eq!(removed(directory.path(), days(6), now_ns), (2, 0));
    is_sound(directory.path(), 30);
}

#[test]
fn segments_without_a_footer_and_compressed_ones_tell_their_times_too() {
    let directory = temporary();
    let paths = log_of(directory.path(), &daily(5));
    compact(&paths[1], || true).unwrap().unwrap();
    let bytes = fs::read(&paths[2]).unwrap();
    fs::write(&paths[2], &bytes[..bytes.len() - 64]).unwrap();
    let last_receive_ns = |path| Segment::map(path).unwrap().last_receive_ns();
    for (path, receive_ns) in paths.iter().zip(daily(5)) {
        assert_eq!(last_receive_ns(path), Some(receive_ns));
    }
    assert_eq!(last_receive_ns(&paths[5]), None);
    assert_eq!(removed(directory.path(), days(1), i64::MAX), (4, 0));
}

#[test]
fn sequences_and_instruments_go_on_after_a_restart() {
    let directory = temporary();
    log_of(directory.path(), &daily(5));
    removed(directory.path(), bytes(0), 0);
    // The open segment was empty: a writer that starts removes it, and may die then.
    for _ in 0..2 {
        let (log, recovery) = Log::open(directory.path(), options()).unwrap();
        assert_eq!((log.next_sequence(), recovery.lost_sequences, recovery.instruments), (50, 0, 3));
    }
    assert_eq!(segments(directory.path()).len(), 1);
    let (mut appender, _) = Appender::open(directory.path(), options()).unwrap();
    appender.append(&mut trades(51, 61)).unwrap();
    drop(appender);
    is_sound(directory.path(), 40);
}

#[test]
fn streams_end_where_the_kept_records_say() {
    let directory = temporary();
    let mut appender = appender(directory.path());
    let mut first = trades(1, 5);
    first.push(RecordRef::Trade(&trade(2, 9))).unwrap();
    appender.append(&mut first).unwrap();
    appender.rotate().unwrap();
    appender.append(&mut trades(5, 8)).unwrap();
    appender.rotate().unwrap();
    let wanted = HashSet::from([(1, Kind::Trade), (2, Kind::Trade)]);
    let end = |instrument| {
        let ends = stream_ends(directory.path(), &wanted, u64::MAX).unwrap();
        ends.get(&(instrument, Kind::Trade)).map(|end| end.last_id)
    };
    assert_eq!((end(1), end(2)), (Some(7), Some(9)));
    removed(directory.path(), bytes(0), 0);
    assert_eq!((end(1), end(2)), (Some(7), None), "nothing is left that a gap could begin at");
    // What the recorder then writes for the time in which it did not run.
    let mut batch = BatchBuilder::new();
    batch.push(RecordRef::Gap(&gap(1, Kind::Trade, 8, 19, GapReason::Restart))).unwrap();
    batch.push(RecordRef::Trade(&trade(1, 20))).unwrap();
    batch.push(RecordRef::Trade(&trade(2, 30))).unwrap();
    appender.append(&mut batch).unwrap();
    let verification = verify(directory.path()).unwrap();
    assert!(verification.ok && verification.gaps == 1, "{verification:?}");
}

/// A process that is killed has removed the oldest so many segments.
#[test]
fn a_kill_during_removal_leaves_a_sound_log() {
    for killed_after in 0..5 {
        let directory = temporary();
        let paths = log_of(directory.path(), &daily(6));
        let expired = expired(directory.path(), bytes(0), 0).unwrap().segments;
        assert_eq!(expired.len(), 5);
        expired.iter().take(killed_after).for_each(|segment| segment.remove().unwrap());
        let (appender, recovery) = Appender::open(directory.path(), options()).unwrap();
        assert_eq!((recovery.cuts, recovery.lost_sequences), (vec![], 0));
        assert_eq!(appender.next_sequence(), 60);
        drop(appender);
        assert_eq!(segments(directory.path()), paths[killed_after..6]);
        is_sound(directory.path(), killed_after as u64 * 10);
    }
}

#[test]
fn a_missing_middle_is_a_problem_still() {
    let directory = temporary();
    let paths = log_of(directory.path(), &daily(5));
    removed(directory.path(), days(3), BEGIN_NS + 4 * DAY_NS + 1);
    fs::remove_file(&paths[3]).unwrap();
    let missing = "capture sequences 30 to 39 are missing: 10 records";
    assert!(texts(&verify(directory.path()).unwrap()).contains(&missing));
    assert_eq!(read_ids(directory.path()).1.problems[0].what, missing);
    assert_eq!(inspect::inspect(directory.path()).unwrap().problems[0].what, missing);
}

#[test]
fn a_reader_of_a_removed_segment_is_not_disturbed() {
    let directory = temporary();
    let paths = log_of(directory.path(), &daily(3));
    let reader = LogReader::open(directory.path()).unwrap();
    let segment = Segment::map(&paths[0]).unwrap();
    removed(directory.path(), bytes(0), 0);
    let mut batches = segment.batches();
    let batch = std::iter::from_fn(|| Some(batches.next_batch()?.unwrap().len())).collect::<Vec<_>>();
    assert_eq!(batch, [3, 10], "the dictionary and the trades");
    let mut ids = Vec::new();
    let report = reader.for_each(&Selection::default(), |_, record, _| {
        ids.push(record.header().sequence);
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(report.unwrap().problems, [], "segments that it had not come to are gone");
    assert_eq!(ids, (21..31).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever is removed is a beginning of the log, is beyond a limit, and leaves nothing beyond one but the newest two.
    #[test]
    fn any_log(
        times in prop::collection::vec(-50..50i64, 1..12),
        keep_ns in prop::option::of(0..60i64),
        keep_bytes in prop::option::of(0..12_000u64),
    ) {
        let directory = temporary();
        let paths = log_of(directory.path(), &times);
        let lengths: Vec<u64> = paths.iter().map(|path| length(path)).collect();
        let (by_age, by_bytes) = removed(directory.path(), Retention { keep_ns, keep_bytes, ignores_followers: false }, 30);
        let gone = by_age + by_bytes;
        prop_assert!(gone <= times.len().saturating_sub(1));
        let is_old = |index: usize| keep_ns.is_some_and(|keep_ns| times[index] < 30 - keep_ns);
        let is_over =
            |index: usize| keep_bytes.is_some_and(|most| lengths[index..].iter().sum::<u64>() > most);
        prop_assert!((0..by_age).all(is_old) && (by_age..gone).all(is_over));
        prop_assert!(gone + 1 >= times.len() || !(is_old(gone) && gone == by_age || is_over(gone)));
        is_sound(directory.path(), gone as u64 * 10);
    }
}

/// A gap may be the first thing that is left of a stream, and so may the records that fill a hole.
#[test]
fn a_log_may_begin_anywhere_in_a_story() {
    use common::story::*;
    let mut trades = vec![t(1), t(2), g(Kind::Trade, 3, 5, GapReason::Sequence), t(6), t(7), t(8)];
    trades.extend([backfilled(t(3)), backfilled(t(4)), repaired(3, 4), t(9)]);
    trades.extend([g(Kind::Trade, 0, 0, GapReason::Reset), t(1), t(2), agg(7), agg(8), fills(3, 5)]);
    let mut book = vec![d(1, 4, INVALID), snap(6), d(5, 6, 0), d(7, 8, 0)];
    book.extend([g(Kind::BookDelta, 9, 12, GapReason::Sequence), d(13, 14, INVALID), snap(15), d(15, 16, 0)]);
    let mut chained = vec![with(stream_snap(10, 0), &[(100, 7)], &[(103, 9)]), c(10, 15, 0), c(15, 16, 0)];
    chained.extend([g(Kind::BookDelta, 0, 0, GapReason::Disconnected), c(20, 21, INVALID)]);
    chained.extend([
        stream_snap(30, 0),
        c(30, 31, 0),
        c(31, 33, 0),
        stream_snap(33, flag::DERIVED),
        c(33, 34, 0),
    ]);
    for story in [trades, book, chained] {
        let whole = verified(&story);
        assert!(whole.ok, "{:?}", whole.problems);
        for begin in 0..story.len() {
            let rest = verified(&story[begin..]);
            assert!(rest.ok, "from step {begin}: {:?}", rest.problems);
        }
    }
}

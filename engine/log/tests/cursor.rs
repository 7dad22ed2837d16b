//! Followers' places: they survive, and keep what is still wanted.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use common::*;
use marketprism_log::*;

/// A log of sealed segments with ten trades each, and an empty open one.
fn log(directory: &Path, sealed: u64) -> Appender {
    let mut appender = appender(directory);
    for segment in 0..sealed {
        appender.append(&mut trades(segment * 10 + 1, segment * 10 + 11)).unwrap();
        appender.rotate().unwrap();
    }
    appender
}

/// Everything but the newest two segments is too much.
const NOTHING: Retention = Retention { keep_ns: None, keep_bytes: Some(0), ignores_followers: false };

#[test]
fn a_cursor_is_where_it_was_left() {
    let directory = temporary();
    let mut cursor = Cursor::open(directory.path(), "nats").unwrap();
    assert_eq!(cursor.sequence(), 0);
    cursor.advance(17).unwrap();
    cursor.advance(16).unwrap();
    assert_eq!(cursor.sequence(), 17, "it never goes back");
    drop(cursor);
    let mut cursor = Cursor::open(directory.path(), "nats").unwrap();
    assert_eq!(cursor.sequence(), 17);
    cursor.advance(u64::MAX).unwrap();
    Cursor::open(directory.path(), "a-second_1").unwrap();
    let followers = cursors(directory.path()).unwrap();
    let places: Vec<_> = followers.iter().map(|found| (found.name.as_str(), found.sequence)).collect();
    assert_eq!(places, [("a-second_1", 0), ("nats", u64::MAX)]);
}

#[test]
fn a_name_has_one_follower_at_a_time() {
    let directory = temporary();
    let first = Cursor::open(directory.path(), "nats").unwrap();
    let error = Cursor::open(directory.path(), "nats").unwrap_err().to_string();
    let holder = format!("nats.cursor.lock is locked by process {}: one follower", std::process::id());
    assert!(error.contains(&holder), "{error}");
    Cursor::open(directory.path(), "other").unwrap();
    drop(first);
    Cursor::open(directory.path(), "nats").unwrap();
    assert_eq!(cursors(directory.path()).unwrap().len(), 2);
}

#[test]
fn a_new_cursor_begins_with_the_oldest_record() {
    let directory = temporary();
    let appender = log(directory.path(), 3);
    fs::remove_file(&segments(directory.path())[0]).unwrap();
    assert_eq!(Cursor::open(directory.path(), "new").unwrap().sequence(), 10);
    drop(appender);
}

#[test]
fn a_name_is_no_path() {
    let directory = temporary();
    for name in ["", "../x", "a/b", "a.b", "größe", &"x".repeat(65)] {
        let error = Cursor::open(directory.path(), name).unwrap_err();
        assert!(matches!(error, LogError::CursorName { .. }), "{name:?}: {error}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_cursor_is_never_believed() {
    let directory = temporary();
    Cursor::open(directory.path(), "x").unwrap().advance(300).unwrap();
    let path = directory.path().join("x.cursor");
    let good = fs::read(&path).unwrap();
    let flipped = (0..good.len() * 8).map(|bit| {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    });
    let cut = (0..good.len()).map(|length| good[..length].to_vec());
    let longer = std::iter::once([&good[..], &[0]].concat());
    for bytes in flipped.chain(cut).chain(longer) {
        fs::write(&path, bytes).unwrap();
        let error = Cursor::open(directory.path(), "x").unwrap_err();
        assert!(matches!(error, LogError::DamagedCursor { .. }), "{error}");
        assert!(cursors(directory.path()).is_err());
    }
    // The recorder starts in spite of it, and removes nothing.
    let appender = log(directory.path(), 3);
    assert!(expired(directory.path(), NOTHING, 0).is_err());
    drop(appender);
}

#[test]
fn a_write_that_was_cut_short_leaves_the_place_before() {
    let directory = temporary();
    Cursor::open(directory.path(), "x").unwrap().advance(5).unwrap();
    fs::write(directory.path().join("x.cursor.tmp"), b"MPRISM-").unwrap();
    assert_eq!(cursors(directory.path()).unwrap().len(), 1);
    let mut cursor = Cursor::open(directory.path(), "x").unwrap();
    assert_eq!(cursor.sequence(), 5);
    cursor.advance(6).unwrap();
    drop(cursor);
    assert_eq!(Cursor::open(directory.path(), "x").unwrap().sequence(), 6);
}

#[test]
fn what_a_follower_has_not_delivered_stays() {
    let directory = temporary();
    let appender = log(directory.path(), 6);
    let lengths: Vec<u64> =
        segments(directory.path()).iter().map(|path| fs::metadata(path).unwrap().len()).collect();
    let mut fast = Cursor::open(directory.path(), "fast").unwrap();
    fast.advance(60).unwrap();
    let mut slow = Cursor::open(directory.path(), "slow").unwrap();
    for (sequence, delivered) in [(0, 0), (9, 0), (10, 1), (11, 1), (29, 2), (30, 3)] {
        slow.advance(sequence).unwrap();
        let expiry = expired(directory.path(), NOTHING, 0).unwrap();
        assert_eq!(expiry.segments.len(), delivered, "at {sequence}");
        let held = expiry.held.unwrap();
        assert_eq!((held.follower.name.as_str(), held.follower.sequence), ("slow", sequence));
        assert_eq!((held.segments, held.bytes), (5 - delivered, lengths[delivered..5].iter().sum()));
        assert_eq!(held.behind, 60 - sequence);
    }
    let ignoring = expired(directory.path(), Retention { ignores_followers: true, ..NOTHING }, 0).unwrap();
    assert_eq!((ignoring.segments.len(), ignoring.held), (5, None));
    slow.advance(60).unwrap();
    let expiry = expired(directory.path(), NOTHING, 0).unwrap();
    assert_eq!((expiry.segments.len(), expiry.held), (5, None));
    drop(appender);
}

#[test]
fn a_follower_that_is_ahead_of_the_disk_misses_nothing() {
    let directory = temporary();
    drop(log(directory.path(), 2));
    // What a power failure took was delivered already.
    Cursor::open(directory.path(), "x").unwrap().advance(35).unwrap();
    let (mut appender, recovery) = Appender::open(directory.path(), options()).unwrap();
    assert_eq!((appender.next_sequence(), recovery.lost_sequences), (35, 15));
    define(&mut appender);
    appender.append(&mut trades(36, 40)).unwrap();
    let verification = verify(directory.path()).unwrap();
    assert!(texts(&verification).iter().all(|what| what.contains("trade")), "{verification:?}");
    let mut tail = Tail::new(directory.path(), 35);
    let mut count = 0;
    let turn = tail.read(|_, _, _| {
        count += 1;
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!((turn.unwrap().problems, count), (vec![], 4));
}

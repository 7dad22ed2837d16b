//! `query --book-at` on books that were written here, record by record.

use bytemuck::Zeroable;
use marketprism_core::record::*;
use marketprism_log::{Appender, BatchBuilder};
use serde_json::Value;
use tempfile::TempDir;

use super::common_e2e::folder;
use super::support::{START_NS, header, open_log, run, segments};

const SECOND: i64 = 1_000_000_000;

/// A message of the Binance spot book: `ids` are first and last, levels are price and quantity, one of each side.
fn message(
    kind: Kind,
    flags: u8,
    seconds: i64,
    ids: (u64, u64),
    bid: (i64, i64),
    ask: (i64, i64),
) -> (Book, [Level; 2]) {
    let mut header = header(kind, 1, START_NS + seconds * SECOND, ids.1);
    header.flags = flags;
    let level = |(price, quantity)| Level { price, quantity };
    let book =
        Book { header, first_id: ids.0, previous_id: ABSENT, bid_levels: 1, ask_levels: 1, ..Book::zeroed() };
    (book, [level(bid), level(ask)])
}

fn snapshot(flags: u8, seconds: i64, id: u64) -> (Book, [Level; 2]) {
    message(Kind::BookSnapshot, flag::SNAPSHOT | flags, seconds, (0, id), (100, 1), (110, 1))
}

fn delta(seconds: i64, id: u64, bid: (i64, i64)) -> (Book, [Level; 2]) {
    message(Kind::BookDelta, 0, seconds, (id, id), bid, (110, 2))
}

fn append(appender: &mut Appender, messages: &[(Book, [Level; 2])]) {
    let mut batch = BatchBuilder::new();
    for (book, levels) in messages {
        batch.push(RecordRef::Book(book, levels)).unwrap();
    }
    appender.append(&mut batch).unwrap();
}

/// A log with these messages, each in a batch of its own.
fn log_of(messages: &[(Book, [Level; 2])]) -> TempDir {
    let folder = folder();
    let mut appender = open_log(folder.path());
    messages.iter().for_each(|message| append(&mut appender, std::slice::from_ref(message)));
    appender.seal().unwrap();
    folder
}

/// Exit code and answer for the book so many seconds after the start.
fn book_at(log: &TempDir, seconds: i64) -> (Option<i32>, Value) {
    let time = (START_NS + seconds * SECOND).to_string();
    let (code, text, _) = run("query", log.path(), &["--json", "--symbol", "BTC-USDT", "--book-at", &time]);
    (code, serde_json::from_str(&text).unwrap_or_default())
}

/// The reason why the book is not valid.
fn reason(log: &TempDir, seconds: i64) -> String {
    let (code, answer) = book_at(log, seconds);
    assert_eq!((code, &answer["valid"]), (Some(1), &false.into()), "{answer}");
    assert!(answer.get("bids").is_none(), "a book that is not valid is not shown: {answer}");
    answer["reason"].as_str().unwrap().to_owned()
}

#[test]
fn the_time_itself_belongs_to_the_book() {
    let log = log_of(&[
        snapshot(flag::REST, 0, 10),
        delta(1, 11, (101, 5)),
        delta(2, 12, (101, 0)),
        delta(3, 13, (99, 1)),
    ]);
    for (seconds, last_id, bids) in [
        (0, "10", serde_json::json!([["10.0", "1"]])),
        (1, "11", serde_json::json!([["10.1", "5"], ["10.0", "1"]])),
        (2, "12", serde_json::json!([["10.0", "1"]])),
    ] {
        let (code, answer) = book_at(&log, seconds);
        assert_eq!(
            (code, &answer["last_id"], &answer["bids"]),
            (Some(0), &last_id.into(), &bids),
            "{answer}"
        );
        assert_eq!(answer["age_ns"], 0);
    }
}

#[test]
fn a_snapshot_of_hours_before_is_found() {
    let log = log_of(&[snapshot(flag::REST, 0, 10), delta(1, 11, (101, 5)), delta(20_000, 12, (99, 1))]);
    let (code, answer) = book_at(&log, 19_999);
    assert_eq!(
        (code, &answer["last_id"], &answer["age_ns"]),
        (Some(0), &"11".into(), &(19_998 * SECOND).into())
    );
}

#[test]
fn a_derived_snapshot_starts_a_book_if_it_is_whole() {
    let deltas = |derived| [derived, delta(1, 11, (101, 5)), delta(2, 12, (99, 1))];
    let whole = log_of(&deltas(snapshot(flag::DERIVED, 0, 10)));
    assert_eq!(book_at(&whole, 1).1["last_id"], "11");
    let partial = log_of(&deltas(snapshot(flag::DERIVED | flag::PARTIAL, 0, 10)));
    assert_eq!(reason(&partial, 1), "no snapshot before this time");
}

#[test]
fn a_missing_id_and_crossed_prices_make_a_book_not_valid() {
    let log = log_of(&[
        snapshot(flag::REST, 0, 10),
        delta(1, 11, (101, 5)),
        delta(2, 13, (102, 5)),
        delta(3, 14, (99, 1)),
    ]);
    assert_eq!(book_at(&log, 1).0, Some(0));
    assert_eq!(reason(&log, 2), "hole at 2024-08-08 23:54:17.000000Z: id 13 came where 12 had to come");
    let log = log_of(&[
        snapshot(flag::REST, 0, 10),
        delta(1, 11, (110, 5)),
        delta(2, 12, (110, 0)),
        delta(3, 13, (99, 1)),
    ]);
    assert_eq!(reason(&log, 1), "crossed: its best bid is not below its best ask");
    assert_eq!(book_at(&log, 2).0, Some(0));
}

#[test]
fn a_hole_in_the_log_itself_makes_a_book_not_valid() {
    let messages =
        [snapshot(flag::REST, 0, 10), delta(1, 11, (101, 5)), delta(2, 12, (102, 5)), delta(9, 13, (99, 1))];
    let log = log_of(&messages);
    let file = &segments(log.path())[0];
    let mut bytes = std::fs::read(file).unwrap();
    // The third message of the book, by its id and its time.
    let place = [12_u64.to_le_bytes(), (START_NS + 2 * SECOND).to_le_bytes()].concat();
    let at = bytes.windows(place.len()).position(|window| window == place).unwrap();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
    assert_eq!(reason(&log, 3), "the log has lost records up to sequence 2");
}

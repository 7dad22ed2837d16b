//! Each rule of `verify`, kept and broken.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_core::Instrument;
use marketprism_core::record::*;
use marketprism_log::*;

const INVALID: u8 = flag::BOOK_INVALID;

/// One record of a test's story.
enum Step {
    Trade(Trade),
    Agg(AggTrade),
    Book(Book),
    Gap(Gap),
}

fn t(id: u64) -> Step {
    Step::Trade(trade(1, id))
}

fn backfilled(id: u64) -> Step {
    let mut record = trade(1, id);
    record.header.flags = flag::BACKFILLED | flag::REST;
    Step::Trade(record)
}

fn agg(id: u64) -> Step {
    let mut record: AggTrade = bytemuck::Zeroable::zeroed();
    record.header = Header { sequence: id, ..Header::new(Kind::AggTrade, 1, 5) };
    Step::Agg(record)
}

/// A delta of spot: ids are contiguous.
fn d(first: u64, last: u64, flags: u8) -> Step {
    Step::Book(delta(1, first, last, None, flags))
}

/// A delta of futures: each names the one before it.
fn l(first: u64, last: u64, previous: u64, flags: u8) -> Step {
    Step::Book(delta(1, first, last, Some(previous), flags))
}

fn snap(id: u64) -> Step {
    Step::Book(snapshot(1, id))
}

fn g(stream: Kind, from: u64, to: u64, reason: GapReason) -> Step {
    Step::Gap(gap(1, stream, from, to, reason))
}

/// A gap record that says that what it names was fetched.
fn repaired(from: u64, to: u64) -> Step {
    let mut record = gap(1, Kind::Trade, from, to, GapReason::Sequence);
    record.repaired = 1;
    Step::Gap(record)
}

fn verified(steps: Vec<Step>) -> Verification {
    let directory = temporary();
    let mut appender = appender(directory.path());
    // One batch each, so that chains go over batches and, in the middle, over segments.
    let half = steps.len() / 2;
    for (index, step) in steps.iter().enumerate() {
        let mut batch = BatchBuilder::new();
        let record = match step {
            Step::Trade(record) => RecordRef::Trade(record),
            Step::Agg(record) => RecordRef::AggTrade(record),
            Step::Book(record) => RecordRef::Book(record, &[]),
            Step::Gap(record) => RecordRef::Gap(record),
        };
        batch.push(record).unwrap();
        if index == half {
            appender.rotate().unwrap();
        }
        appender.append(&mut batch).unwrap();
    }
    verify(directory.path()).unwrap()
}

#[track_caller]
fn good(gaps: u64, steps: Vec<Step>) {
    let verification = verified(steps);
    assert!(verification.ok, "{:?}", verification.problems);
    assert_eq!(verification.gaps, gaps);
}

/// The problems' texts without the place in front.
#[track_caller]
fn bad(expected: &[&str], steps: Vec<Step>) {
    let verification = verified(steps);
    assert!(!verification.ok);
    let texts = texts(&verification);
    let found: Vec<_> = texts
        .iter()
        .map(|text| text.split_once("trade: ").or(text.split_once("delta: ")).unwrap().1)
        .collect();
    assert_eq!(found, expected);
}

use GapReason::{Disconnected, Overrun, Reset, Sequence};
use Kind::{AggTrade as AggTrades, BookDelta as Deltas, Quote as Quotes, Trade as Trades};

#[test]
fn trades_without_a_hole() {
    good(0, vec![t(5), t(6), t(7), agg(100), t(8), agg(101)]);
    // An id of 0 is none.
    good(0, vec![t(5), t(0), t(6)]);
}

#[test]
fn a_hole_must_be_reported() {
    bad(&["unreported hole: ids 7 to 9 are missing (3 ids)"], vec![t(5), t(6), t(10), t(11)]);
    bad(&["unreported hole: ids 3 to 3 are missing (1 ids)"], vec![agg(1), agg(2), agg(4)]);
    good(1, vec![t(5), t(6), g(Trades, 7, 9, Sequence), t(10), t(11)]);
    good(1, vec![t(5), t(6), g(Trades, 0, 0, Disconnected), t(10), t(11)]);
    good(1, vec![t(5), t(6), g(Trades, 7, 0, Overrun), t(10), t(11)]);
    good(2, vec![t(5), g(Trades, 6, 7, Sequence), g(Trades, 8, 9, Overrun), t(10)]);
}

#[test]
fn a_gap_must_cover_the_whole_hole_of_its_own_stream() {
    bad(&["unreported hole: ids 9 to 9 are missing (1 ids)"], vec![t(6), g(Trades, 7, 8, Sequence), t(10)]);
    bad(
        &["unreported hole: ids 7 to 9 are missing (3 ids)"],
        vec![t(6), g(AggTrades, 7, 9, Sequence), t(10)],
    );
    // Only the record right after the gap record ends the hole.
    bad(
        &["unreported hole: ids 8 to 9 are missing (2 ids)"],
        vec![t(6), g(Trades, 7, 9, Disconnected), t(7), t(10)],
    );
}

#[test]
fn a_gap_without_a_hole() {
    bad(
        &["reported hole that does not exist: ids 7 to 8 are not missing"],
        vec![t(6), g(Trades, 7, 8, Sequence), t(7), t(8)],
    );
    good(1, vec![t(6), g(Trades, 7, 0, Disconnected), t(7), t(8)]);
    good(1, vec![t(6), g(Quotes, 0, 0, Disconnected), t(7)]);
    // At the end nothing can be said of it yet.
    good(1, vec![t(6), g(Trades, 7, 8, Sequence)]);
}

#[test]
fn duplicates_and_resets() {
    bad(&["duplicate id 6"], vec![t(5), t(6), t(6), t(7)]);
    bad(&["duplicate id 5"], vec![t(5), t(6), t(5), t(7)]);
    bad(&["id 2 after id 6: ids go back without a reset"], vec![t(5), t(6), t(2), t(7)]);
    good(1, vec![t(5), t(6), g(Trades, 0, 0, Reset), t(2), t(3)]);
}

#[test]
fn backfilled_records_fill_reported_holes() {
    good(1, vec![t(5), g(Trades, 6, 8, Sequence), t(9), backfilled(7), backfilled(6), backfilled(8), t(10)]);
    good(1, vec![t(5), g(Trades, 6, 7, Sequence), t(8), backfilled(6), backfilled(7), repaired(6, 7), t(9)]);
    bad(&["duplicate id 6"], vec![t(5), g(Trades, 6, 7, Sequence), t(8), backfilled(6), backfilled(6), t(9)]);
    // History from before the start.
    good(0, vec![t(5), backfilled(3), backfilled(4), t(6)]);
}

#[test]
fn contiguous_books() {
    good(0, vec![d(1, 3, 0), d(4, 4, 0), d(5, 9, 0)]);
    bad(&["unreported hole: ids 5 to 5 are missing (1 ids)"], vec![d(1, 3, 0), d(4, 4, 0), d(6, 9, 0)]);
    good(1, vec![d(1, 3, 0), d(4, 4, 0), g(Deltas, 5, 5, Sequence), d(6, 9, INVALID)]);
    // The gap may be told right after the delta that showed it.
    good(1, vec![d(1, 3, 0), d(6, 9, INVALID), g(Deltas, 4, 5, Sequence), d(10, 11, INVALID)]);
    let late =
        verified(vec![d(1, 3, 0), d(6, 9, INVALID), d(10, 11, INVALID), g(Deltas, 4, 5, Disconnected)]);
    assert!(late.problems[0].what.starts_with("sequence 1, binance/spot/BTCUSDT book_delta: unreported"));
    bad(&["unreported hole: ids 4 to 5 are missing (2 ids)"], vec![d(1, 3, 0), d(6, 9, INVALID)]);
    bad(
        &["reported hole that does not exist: ids 4 to 4 are not missing"],
        vec![d(1, 3, 0), g(Deltas, 4, 4, Sequence), d(4, 9, 0)],
    );
    bad(&["duplicate id 3: the update 1 to 3 is not new"], vec![d(1, 3, 0), d(1, 3, 0), d(4, 5, 0)]);
}

#[test]
fn linked_books() {
    good(0, vec![l(1, 3, 0, 0), l(7, 9, 3, 0), l(12, 12, 9, 0)]);
    bad(&["unreported hole: ids 4 to 5 are missing (2 ids)"], vec![l(1, 3, 0, 0), l(7, 9, 5, 0)]);
    good(1, vec![l(1, 3, 0, 0), g(Deltas, 4, 5, Sequence), l(7, 9, 5, INVALID)]);
    good(1, vec![l(1, 3, 0, 0), g(Deltas, 0, 0, Disconnected), l(7, 9, 5, INVALID)]);
    // It names an id from before the last one.
    let text = "unreported hole: the delta after id 9 does not go on from it";
    bad(&[text], vec![l(1, 3, 0, 0), l(7, 9, 3, 0), l(12, 12, 8, 0)]);
}

#[test]
fn a_snapshot_bridges() {
    // Recorded while waiting for the snapshot, whose id lies inside them; spot and futures.
    good(0, vec![d(1, 2, INVALID), d(3, 5, INVALID), d(6, 6, INVALID), snap(4), d(7, 8, 0), d(9, 9, 0)]);
    good(0, vec![l(1, 2, 0, INVALID), l(5, 7, 2, INVALID), snap(6), l(9, 9, 7, 0)]);
    // The snapshot is ahead of the stream.
    good(0, vec![d(1, 2, INVALID), snap(4), d(3, 3, INVALID), d(4, 6, 0), d(7, 7, 0)]);
    good(0, vec![snap(4), l(5, 5, 4, 0), l(8, 9, 5, 0)]);
    // After a break: gap, deltas that need not chain, a snapshot, and the delta that bridges it.
    good(
        1,
        vec![
            d(1, 3, 0),
            g(Deltas, 4, 4, Sequence),
            d(5, 6, INVALID),
            d(9, 9, INVALID),
            snap(20),
            d(19, 22, 0),
        ],
    );
    // A snapshot of a valid book does not disturb it.
    good(0, vec![d(1, 3, 0), snap(2), d(4, 5, 0), snap(7), d(6, 6, 0), d(7, 8, 0)]);
}

#[test]
fn a_snapshot_does_not_hide_a_hole() {
    let text = "unreported hole: ids 4 to 20 are missing (17 ids)";
    bad(&[text], vec![d(1, 3, 0), snap(20), d(21, 22, 0)]);
    // It is bridged by nothing, and the delta after the hole is called valid.
    bad(
        &["unreported hole: ids 6 to 8 are missing (3 ids)"],
        vec![d(1, 3, INVALID), d(4, 5, INVALID), snap(2), d(9, 9, 0)],
    );
}

#[test]
fn instruments_must_be_defined_before_use() {
    let directory = temporary();
    let (mut appender, _) = Appender::open(directory.path(), options()).unwrap();
    let mut definition: Definition = bytemuck::Zeroable::zeroed();
    definition.header = Header::new(Kind::Instrument, 1, 7);
    let json = serde_json::to_vec(&Instrument { id: 1, ..Instrument::unknown("binance", "spot", "BTCUSDT") });
    let json = json.unwrap();
    let mut batch = BatchBuilder::new();
    batch.push(RecordRef::Definition(&definition, &json)).unwrap();
    batch.push(RecordRef::Trade(&trade(1, 1))).unwrap();
    appender.append(&mut batch).unwrap();
    // Into the next dictionary by itself.
    appender.rotate().unwrap();
    appender.append(&mut trades(2, 3)).unwrap();
    assert!(verify(directory.path()).unwrap().ok);

    batch.push(RecordRef::Trade(&trade(7, 1))).unwrap();
    batch.push(RecordRef::Trade(&trade(7, 2))).unwrap();
    appender.append(&mut batch).unwrap();
    let verification = verify(directory.path()).unwrap();
    let text = "sequence 3: trade of instrument 7, which this segment does not define before it";
    assert_eq!(texts(&verification), [text]);

    batch.push(RecordRef::Definition(&definition, b"{}")).unwrap();
    appender.append(&mut batch).unwrap();
    let verification = verify(directory.path()).unwrap();
    assert!(texts(&verification).contains(&"the definition of instrument 1 is not valid"));
}

#[test]
fn the_result_as_json() {
    let verification = verified(vec![t(5), t(6), g(Trades, 7, 9, Sequence), t(10), snap(5)]);
    let mut json = serde_json::to_value(&verification).unwrap();
    assert!(json["bytes"].as_u64().unwrap() > 0);
    json["bytes"] = 0.into();
    let expected = serde_json::json!({
        "ok": true, "records": 5, "segments": 2, "bytes": 0, "gaps": 1, "torn_bytes": 0,
        "streams": [
            {"venue": "binance", "market": "spot", "venue_symbol": "BTCUSDT", "kind": "trade",
             "records": 3, "gaps": 1, "first_ns": 1005, "last_ns": 1010},
            {"venue": "binance", "market": "spot", "venue_symbol": "BTCUSDT", "kind": "book_snapshot",
             "records": 1, "gaps": 0, "first_ns": 1005, "last_ns": 1005},
        ],
        "problems": [],
    });
    assert_eq!(json, expected);
}

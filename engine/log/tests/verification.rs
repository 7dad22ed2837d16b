//! Each rule of `verify`, kept and broken.
#![allow(clippy::unwrap_used)]

mod common;

use common::story::*;
use common::*;
use marketprism_core::Instrument;
use marketprism_core::record::*;
use marketprism_log::*;

use GapReason::{Disconnected, Overrun, Reset, Sequence};
use Kind::{AggTrade as AggTrades, BookDelta as Deltas, Quote as Quotes, Trade as Trades};

const UNMENDED: &str = "called valid after a hole, without a snapshot since";

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
    good(
        1,
        vec![
            t(5),
            g(Trades, 6, 8, Sequence),
            t(9),
            backfilled(t(7)),
            backfilled(t(6)),
            backfilled(t(8)),
            t(10),
        ],
    );
    good(
        1,
        vec![t(5), g(Trades, 6, 7, Sequence), t(8), backfilled(t(6)), backfilled(t(7)), repaired(6, 7), t(9)],
    );
    bad(
        &["duplicate id 6"],
        vec![t(5), g(Trades, 6, 7, Sequence), t(8), backfilled(t(6)), backfilled(t(6)), t(9)],
    );
    // History from before the start.
    good(0, vec![t(5), backfilled(t(3)), backfilled(t(4)), t(6)]);
}

#[test]
fn detailed_trades_are_of_the_stream_of_trades() {
    let steps = [detailed(5), t(6), detailed(7), g(Trades, 8, 9, Sequence), detailed(10)];
    let verification = verified(&steps);
    assert!(verification.ok, "{:?}", verification.problems);
    let [stream] = &verification.streams[..] else { panic!("{:?}", verification.streams) };
    assert_eq!((stream.kind, stream.records, stream.gaps), (Trades, 4, 1));
    bad(&["unreported hole: ids 6 to 6 are missing (1 ids)"], vec![detailed(5), detailed(7)]);
    bad(&["duplicate id 6"], vec![t(5), t(6), detailed(6)]);
}

#[test]
fn a_trade_covers_the_ids_of_its_fills() {
    good(0, vec![fills(5, 7), fills(8, 8), t(9), fills(10, 12)]);
    bad(&["unreported hole: ids 8 to 9 are missing (2 ids)"], vec![fills(5, 7), fills(10, 12)]);
    good(1, vec![fills(5, 7), g(Trades, 8, 9, Sequence), fills(10, 12)]);
    bad(
        &["reported hole that does not exist: ids 8 to 11 are not missing"],
        vec![fills(5, 7), g(Trades, 8, 11, Sequence), fills(8, 12)],
    );
    // More fills than ids: from the first one on.
    good(0, vec![Step::Trade(Trade { fills: 9, ..trade(1, 3) }), t(4)]);
}

#[test]
fn a_trade_is_a_duplicate_only_where_none_of_its_ids_is_new() {
    good(0, vec![fills(5, 7), fills(6, 9), t(10)]);
    bad(&["duplicate id 7"], vec![fills(5, 7), fills(6, 7), t(8)]);
    // The first part fills a part of the hole.
    good(
        1,
        vec![
            t(5),
            g(Trades, 6, 9, Sequence),
            t(10),
            backfilled(fills(6, 7)),
            fills(9, 11),
            backfilled(t(8)),
            t(12),
        ],
    );
    bad(
        &["duplicate id 9"],
        vec![t(5), g(Trades, 6, 9, Sequence), t(10), backfilled(fills(4, 9)), backfilled(fills(7, 9)), t(11)],
    );
    bad(&["id 6 after id 7: ids go back without a reset"], vec![fills(5, 7), fills(4, 6)]);
    good(0, vec![fills(5, 7), backfilled(fills(2, 4)), t(8)]);
}

#[test]
fn contiguous_books() {
    good(0, vec![d(1, 3, 0), d(4, 4, 0), d(5, 9, 0)]);
    bad(&["unreported hole: ids 5 to 5 are missing (1 ids)"], vec![d(1, 3, 0), d(4, 4, 0), d(6, 9, 0)]);
    good(1, vec![d(1, 3, 0), d(4, 4, 0), g(Deltas, 5, 5, Sequence), d(6, 9, INVALID)]);
    // The gap may be told right after the delta that showed it.
    good(1, vec![d(1, 3, 0), d(6, 9, INVALID), g(Deltas, 4, 5, Sequence), d(10, 11, INVALID)]);
    let late = verified(&[d(1, 3, 0), d(6, 9, INVALID), d(10, 11, INVALID), g(Deltas, 4, 5, Disconnected)]);
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
fn after_a_reported_hole_only_a_snapshot_makes_a_delta_valid() {
    bad(&[UNMENDED], vec![d(1, 3, 0), g(Deltas, 4, 4, Sequence), d(5, 6, 0), d(7, 7, 0)]);
    bad(&[UNMENDED], vec![d(1, 3, 0), g(Deltas, 4, 4, Sequence), d(5, 6, INVALID), d(7, 7, 0), d(8, 8, 0)]);
    bad(&[UNMENDED], vec![l(1, 3, 0, 0), g(Deltas, 4, 5, Sequence), l(7, 9, 5, INVALID), l(10, 10, 9, 0)]);
    bad(&[UNMENDED], vec![d(1, 3, 0), g(Deltas, 0, 0, Disconnected), d(4, 4, INVALID), d(5, 5, 0)]);
    bad(&[UNMENDED], vec![d(100, 103, 0), g(Deltas, 104, 0, Reset), d(5, 6, INVALID), d(7, 7, 0)]);
    // Told after the delta that showed it.
    bad(&[UNMENDED], vec![d(1, 3, 0), d(5, 6, 0), g(Deltas, 4, 4, Sequence), d(7, 7, 0)]);
    // The snapshot is older than the hole.
    bad(&[UNMENDED], vec![d(1, 3, 0), g(Deltas, 4, 4, Sequence), snap(2), d(5, 6, INVALID), d(7, 7, 0)]);
    good(1, vec![d(1, 3, 0), g(Deltas, 4, 4, Sequence), d(5, 6, INVALID), snap(6), d(7, 7, 0)]);
    good(
        1,
        vec![d(1, 3, 0), g(Deltas, 4, 4, Sequence), d(5, 6, INVALID), d(7, 7, INVALID), snap(6), d(8, 8, 0)],
    );
    good(1, vec![d(100, 103, 0), g(Deltas, 104, 0, Reset), snap(4), d(5, 6, 0), d(7, 7, 0)]);
    // Part of a snapshot that is ahead of the stream.
    good(1, vec![d(1, 3, 0), g(Deltas, 4, 4, Sequence), d(5, 6, INVALID), snap(9), d(7, 8, 0), d(9, 11, 0)]);
    bad(
        &["unreported hole: ids 9 to 9 are missing (1 ids)"],
        vec![
            d(1, 3, 0),
            g(Deltas, 4, 4, Sequence),
            d(5, 6, INVALID),
            snap(9),
            d(7, 8, 0),
            d(10, 10, 0),
            d(11, 13, 0),
        ],
    );
}

#[test]
fn a_crossed_book_is_flagged_and_goes_on() {
    good(0, vec![snap(3), d(4, 4, 0), d(5, 5, INVALID), d(6, 6, INVALID), d(7, 7, 0)]);
    good(0, vec![stream_snap(3, 0), c(3, 4, 0), c(4, 5, INVALID), c(5, 6, INVALID), c(6, 7, 0)]);
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
    let verification = verified(&[t(5), t(6), g(Trades, 7, 9, Sequence), t(10), snap(5)]);
    let mut json = serde_json::to_value(&verification).unwrap();
    assert!(json["bytes"].as_u64().unwrap() > 0);
    json["bytes"] = 0.into();
    // The coverage has tests of its own.
    assert_eq!(json["coverage"].take().as_array().unwrap().len(), 2);
    assert_eq!(json["segments_without_coverage"].take().as_array().unwrap().len(), 2);
    let expected = serde_json::json!({
        "ok": true, "first_sequence": 0, "records": 5, "segments": 2, "bytes": 0, "gaps": 1, "torn_bytes": 0,
        "streams": [
            {"venue": "binance", "market": "spot", "venue_symbol": "BTCUSDT", "kind": "trade",
             "records": 3, "gaps": 1, "first_ns": 1005, "last_ns": 1010},
            {"venue": "binance", "market": "spot", "venue_symbol": "BTCUSDT", "kind": "book_snapshot",
             "records": 1, "gaps": 0, "first_ns": 1005, "last_ns": 1005},
        ],
        "coverage": null,
        "segments_without_coverage": null,
        "problems": [],
    });
    assert_eq!(json, expected);
}

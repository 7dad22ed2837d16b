//! `replay --serve` of OKX and Deribit: a recorder of a replay records what was recorded.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common_e2e;
#[path = "e2e_replay/served.rs"]
#[allow(dead_code)]
mod served;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use common_e2e::books::{Book, of_instrument};
use common_e2e::chained::{Chained, Simulated, source};
use common_e2e::chained_books::{after, is_message};
use common_e2e::chained_disturbed::{Setting, disturb, disturb_start};
use common_e2e::{folder, has_flag, id, of_kind, stop, verify_ok, wait_until};
use marketprism_runtime::{Recorder, Settings, Source};
use marketprism_simulator::host::Disturbance;
use serde_json::{Value, json};
use served::{Served, get};

/// What a recorder adds on its own account.
const OWN: [&str; 6] = ["instrument", "session", "gap", "raw", "clock_sample", "error"];

/// Everything that is recorded of a venue. A market has its whole books or their best levels. Indices are in one market:
/// their streams are the same in all.
fn everything(venue: &str) -> Vec<Source> {
    match venue {
        "okx" => vec![
            source("spot", &["*"], &["trade", "book5", "quote", "ticker", "candle@1s"]),
            source(
                "swap",
                &["*"],
                &[
                    "trade",
                    "book",
                    "quote",
                    "ticker",
                    "candle@1m",
                    "mark_price",
                    "index",
                    "funding_rate",
                    "open_interest",
                    "liquidation",
                ],
            ),
            source("futures", &["*"], &["trade@all", "book", "mark_price", "liquidation"]),
            source("option", &["*"], &["trade", "book", "ticker", "mark_price", "open_interest", "greeks"]),
        ],
        _ => vec![
            source(
                "perpetual",
                &["*"],
                &["trade", "book", "quote", "ticker", "candle", "index", "volatility_index"],
            ),
            source("future", &["*"], &["trade", "book20", "quote", "ticker"]),
            source("option", &["*"], &["trade", "book", "ticker"]),
            source("spot", &["*"], &["trade", "book1", "quote", "ticker"]),
            source("combo", &["*"], &["trade", "book", "ticker"]),
        ],
    }
}

/// The kinds of records that there must be.
fn kinds(venue: &str) -> &'static [&'static str] {
    match venue {
        "okx" => &[
            "trade",
            "book_snapshot",
            "book_delta",
            "quote",
            "ticker",
            "candle",
            "mark_price",
            "funding_rate",
            "open_interest",
            "liquidation",
            "greeks",
        ],
        _ => &[
            "trade",
            "book_snapshot",
            "book_delta",
            "quote",
            "ticker",
            "candle",
            "mark_price",
            "funding_rate",
            "open_interest",
            "greeks",
            "volatility_index",
        ],
    }
}

/// A venue of which everything is recorded, while it sends.
fn recording(venue: &str) -> Chained {
    let chained = Chained::start(Simulated::generated(venue, 2), everything(venue));
    let (market, stream) = match venue {
        "okx" => ("swap", "books:BTC-USDT-SWAP"),
        _ => ("perpetual", "book.BTC-PERPETUAL.100ms"),
    };
    chained.wait_for_subscriptions();
    chained.handle.start_feed();
    chained.wait_for_more(market, stream, 15);
    chained
}

/// Streams that were subscribed, one that tells of instruments included.
fn streams(chained: &Chained) -> String {
    let ledger = chained.handle.ledger();
    ledger.streams.iter().filter(|stream| stream.connections > 0).count().to_string()
}

/// A recorder of what a replay serves.
fn recorder(chained: &Chained, served: &Served, data: &Path) -> Recorder {
    let mut sources = chained.settings.sources.clone();
    for source in &mut sources {
        source.websocket = vec![served.websocket(&source.market)];
        source.rest = vec![served.rest(&source.market)];
    }
    let settings = Settings { data_dir: data.to_owned(), sources, ..chained.settings.clone() };
    Recorder::start(settings, &[Arc::clone(&chained.recorded)]).expect("recorder")
}

/// What is stored of a replay that waits for all streams.
fn recorded_again(chained: &Chained, extra: &[&str]) -> Vec<Value> {
    let folder = folder();
    let data = folder.path().join("again");
    let streams = streams(chained);
    let mut served = Served::start(&chained.data, &[&["--start", &streams], extra].concat());
    let recorder = recorder(chained, &served, &data);
    let summary = served.ended();
    stop(recorder);
    verify_ok(&data);
    assert_eq!(summary["violations"], json!([]));
    assert_eq!(summary["unsubscribed"], 0, "{summary}");
    common_e2e::stored(&data)
}

/// The records of each stream, without what every recording has its own of. Snapshots that the recorder makes of its books
/// follow its clock, and the best prices of a book that starts anew are told again.
fn contents(rows: &[Value]) -> BTreeMap<(String, String, String), Vec<Value>> {
    let mut streams: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for row in rows.iter().filter(|row| OWN.iter().all(|kind| row["kind"] != *kind)) {
        if row["kind"] == "book_snapshot" && has_flag(row, "derived") {
            continue;
        }
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        let mut plain = row.as_object().unwrap().clone();
        for own in ["receive_ns", "sequence"] {
            assert!(plain.remove(own).is_some(), "{row}");
        }
        let plain = Value::Object(plain);
        let stream = streams.entry((text("market"), text("venue_symbol"), text("kind"))).or_default();
        let is_told_again = |last: &Value| has_flag(row, "derived") && tops(last) == tops(row);
        if !stream.last().is_some_and(is_told_again) {
            stream.push(plain);
        }
    }
    streams
}

/// The prices and quantities of a quote.
fn tops(row: &Value) -> [&Value; 4] {
    ["bid_price", "bid_quantity", "ask_price", "ask_quantity"].map(|key| &row[key])
}

/// The holes of streams with ids: which stream, and what is missing. Why is not compared: the venue of a replay never
/// breaks off.
fn holes(rows: &[Value]) -> BTreeSet<(String, String, String, u64, u64)> {
    let number = |row: &Value, key: &str| if row[key].is_null() { 0 } else { id(&row[key]) };
    let hole = |row: &Value| {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        let ids = (number(row, "from_id"), number(row, "to_id"));
        (text("market"), text("venue_symbol"), text("stream"), ids.0, ids.1)
    };
    of_kind(rows, "gap").into_iter().map(hole).filter(|(.., from, _)| *from > 0).collect()
}

/// The definitions at the end, without the numbers that every recording gives.
fn definitions(rows: &[Value]) -> BTreeMap<(String, String), Value> {
    let mut definitions = BTreeMap::new();
    for row in of_kind(rows, "instrument") {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let mut plain = row.as_object().unwrap().clone();
        plain.retain(|key, _| !["receive_ns", "sequence", "id"].contains(&key.as_str()));
        definitions.insert((text("market"), text("venue_symbol")), Value::Object(plain));
    }
    definitions
}

/// Demands that two logs hold the same: every record of every stream, the holes and the definitions.
fn assert_same(first: &[Value], second: &[Value]) {
    let (first_streams, second_streams) = (contents(first), contents(second));
    let names = |streams: &BTreeMap<_, Vec<Value>>| streams.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&first_streams), names(&second_streams));
    for (key, first) in &first_streams {
        let second = &second_streams[key];
        for (index, (first, second)) in first.iter().zip(second).enumerate() {
            assert_eq!(first, second, "{key:?} record {index}");
        }
        assert_eq!(first.len(), second.len(), "{key:?}");
    }
    assert_eq!(holes(first), holes(second));
    assert_eq!(definitions(first), definitions(second));
    // Frames around a hole are kept of every recording.
    let raw = of_kind(second, "raw").into_iter();
    let unread = raw.filter(|row| !row["reason"].as_str().unwrap().starts_with("touched a hole"));
    assert_eq!(unread.collect::<Vec<_>>(), Vec::<&Value>::new(), "a frame of the replay was not understood");
}

/// Demands that the newest whole book of every instrument in a log is the venue's.
fn assert_final_books(rows: &[Value], books: &BTreeMap<(String, String), Book>, least: usize) {
    let mut compared = 0;
    for ((market, symbol), expected) in books {
        let messages: Vec<&Value> =
            of_instrument(rows, market, symbol).filter(|row| is_message(row)).collect();
        if messages.iter().all(|row| row["kind"] != "book_delta") {
            continue;
        }
        let book = after(messages.into_iter());
        assert_eq!((&book.bids, &book.asks), (&expected.bids, &expected.asks), "{market} {symbol}");
        compared += 1;
    }
    assert!(compared >= least, "{compared} books");
}

fn a_replay_recorded_again_is_the_same_log(venue: &str) {
    let mut chained = recording(venue);
    let finished = chained.finish();
    let rows = finished.rows;
    for kind in kinds(venue) {
        assert!(!of_kind(&rows, kind).is_empty(), "nothing of {kind} was recorded");
    }
    for speed in ["max", "5"] {
        let again = recorded_again(&chained, &["--speed", speed]);
        assert_same(&rows, &again);
        assert_final_books(&again, &finished.books, 4);
    }
}

#[test]
fn a_replay_of_okx_recorded_again_is_the_same_log() {
    a_replay_recorded_again_is_the_same_log("okx");
}

#[test]
fn a_replay_of_deribit_recorded_again_is_the_same_log() {
    a_replay_recorded_again_is_the_same_log("deribit");
}

/// One thing goes wrong with one book, so often that it is subscribed anew; a recorder of the replay sees the same, and
/// does the same.
fn is_seen_again(setting: Setting, what: Disturbance, again: u64, gaps: &[&str]) {
    let outcome = match what {
        Disturbance::LateSnapshot(_) => disturb_start(setting, what, again, gaps),
        _ => disturb(setting, what, again, gaps),
    };
    assert_same(&outcome.rows, &recorded_again(&outcome.chained, &[]));
}

#[test]
fn a_hole_is_seen_again() {
    for setting in [Setting::okx(), Setting::okx_with_checksums(), Setting::deribit()] {
        is_seen_again(setting, Disturbance::Hole(2), 1, &["sequence"]);
    }
}

#[test]
fn a_wrong_checksum_is_seen_again() {
    is_seen_again(Setting::okx_with_checksums(), Disturbance::ChecksumLie, 1, &["checksum"]);
}

#[test]
fn messages_out_of_order_are_seen_again() {
    for setting in [Setting::okx(), Setting::deribit()] {
        is_seen_again(setting, Disturbance::Reorder, 1, &["sequence", "sequence, repaired"]);
    }
}

#[test]
fn snapshots_at_the_wrong_time_are_seen_again() {
    for setting in [Setting::okx(), Setting::deribit_raw()] {
        is_seen_again(setting.clone(), Disturbance::StaleSnapshot(3), 1, &[]);
        is_seen_again(setting.clone(), Disturbance::MidStreamSnapshot, 0, &[]);
        is_seen_again(setting, Disturbance::LateSnapshot(3), 1, &[]);
    }
}

#[test]
fn resets_and_crossed_books_are_seen_again() {
    is_seen_again(Setting::okx(), Disturbance::SequenceReset, 0, &[]);
    is_seen_again(Setting::deribit(), Disturbance::Crossed(3), 0, &[]);
}

/// A lost connection and a stopped recorder leave the same holes in a recording of the replay.
fn interruptions_are_seen_again(venue: &str, market: &str, stream: &str) {
    let mut chained = recording(venue);
    assert!(chained.handle.disturb(market, stream, Disturbance::Disconnect(0)));
    wait_until("a new connection", || chained.stream(market, stream).connections == 2);
    chained.wait_for_more(market, stream, 5);
    assert!(chained.recorder.take().expect("runs").stop().problems.is_empty());
    chained.restart();
    // A book that the second run did not reach would end with the first.
    chained.wait_for_subscriptions();
    wait_until("the second run", || chained.stream(market, stream).connections == 3);
    chained.wait_for_more(market, stream, 5);
    let finished = chained.finish();
    let reasons: BTreeSet<&str> =
        of_kind(&finished.rows, "gap").into_iter().filter_map(|row| row["reason"].as_str()).collect();
    assert!(reasons.is_superset(&BTreeSet::from(["disconnected", "restart"])), "{reasons:?}");
    let again = recorded_again(&chained, &[]);
    assert_same(&finished.rows, &again);
    assert_final_books(&again, &finished.books, 4);
}

#[test]
fn interruptions_of_okx_are_seen_again() {
    interruptions_are_seen_again("okx", "swap", "books:BTC-USDT-SWAP");
}

#[test]
fn interruptions_of_deribit_are_seen_again() {
    interruptions_are_seen_again("deribit", "perpetual", "book.BTC-PERPETUAL.100ms");
}

/// Somebody who subscribes in the middle, or at a later beginning, gets whole books first and is right in the end.
#[test]
fn who_comes_late_gets_whole_books() {
    for venue in ["okx", "deribit"] {
        let mut chained = recording(venue);
        let finished = chained.finish();
        let times: Vec<i64> = finished.rows.iter().filter_map(|row| row["receive_ns"].as_i64()).collect();
        let middle = (times.iter().min().unwrap() + times.iter().max().unwrap()) / 2;
        let from_middle = recorded_again(&chained, &["--from", &middle.to_string()]);
        assert_final_books(&from_middle, &finished.books, 4);

        let folder = folder();
        let data = folder.path().join("late");
        // It runs when the recorder comes.
        let mut served = Served::start(&chained.data, &["--speed", "1", "--start", "immediately"]);
        let recorder = recorder(&chained, &served, &data);
        served.ended();
        stop(recorder);
        assert_final_books(&common_e2e::stored(&data), &finished.books, 4);
    }
}

#[test]
fn rest_answers_with_the_books_and_the_time_of_the_moment() {
    let mut chained = recording("okx");
    let finished = chained.finish();
    let times: Vec<i64> = finished.rows.iter().filter_map(|row| row["receive_ns"].as_i64()).collect();
    let middle = (times.iter().min().unwrap() + times.iter().max().unwrap()) / 2;
    let served = Served::start(&chained.data, &["--from", &middle.to_string(), "--start", "1000000"]);
    let get = |path: &str| get(&served.rest("swap"), path)["data"].clone();
    let symbol = "BTC-USDT-SWAP";
    // By receive time a record may come before one that was written earlier.
    let before = of_instrument(&finished.rows, "swap", symbol)
        .filter(|row| is_message(row) && row["receive_ns"].as_i64().unwrap() < middle);
    let book = after(before);
    let answer = get(&format!("/api/v5/market/books?instId={symbol}&sz=400"));
    let mut answered = Book::default();
    answered.change(&answer[0]["bids"], &answer[0]["asks"]);
    assert_eq!(answered, book);
    let now = get("/api/v5/public/time")[0]["ts"].as_str().unwrap().parse::<i64>().unwrap();
    assert!(times.iter().any(|time| time / 1_000_000 == now) && now * 1_000_000 < middle, "{now}");
    let instruments = get("/api/v5/public/instruments?instType=SWAP");
    assert_eq!(instruments.as_array().unwrap().len(), 2, "{instruments}");
}

//! `replay --serve`: a recorder of a replay records what was recorded.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common_e2e;
#[path = "e2e_replay/python.rs"]
mod python;
#[path = "e2e_replay/served.rs"]
mod served;

use std::collections::BTreeSet;

use common_e2e::books::{Book, of_instrument};
use common_e2e::{
    ALL_CHANNELS, Local, expected, folder, generated, has_flag, id, of_kind, process, stop, verify_ok,
    wait_until,
};
use marketprism_runtime::Threads;
use marketprism_simulator::{Config, Disconnection, Fault, Market};
use serde_json::Value;
use served::{Served, get, record_again, recorder, streams};

/// Symbols of each market.
const SYMBOLS: usize = 2;

/// A simulated venue, recorded for some messages.
fn recorded(seed: u64, faults: Vec<Fault>) -> Local {
    let config = Config { faults, ..generated(seed, SYMBOLS, 3000) };
    let local = Local::start(config, &ALL_CHANNELS, Threads::default());
    local.feed();
    process::wait_for_more(&local.simulator, 4000);
    local.wait_for_books(3 * SYMBOLS);
    local
}

/// The holes of streams with ids: which stream, and what is missing. Why is not compared: the venue of a replay never
/// breaks off.
fn holes(rows: &[Value]) -> Vec<(String, String, String, u64, u64)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let number = |row: &Value, key: &str| if row[key].is_null() { 0 } else { id(&row[key]) };
    let gaps = of_kind(rows, "gap").into_iter();
    let mut holes: Vec<_> = gaps
        .map(|row| {
            let (from, to) = (number(row, "from_id"), number(row, "to_id"));
            (text(row, "market"), text(row, "venue_symbol"), text(row, "stream"), from, to)
        })
        .filter(|(.., from, _)| *from > 0)
        .collect();
    holes.sort();
    holes
}

/// Demands that two logs hold the same of what the venue sent, the same holes and the same books at the end.
fn assert_same_records(first: &[Value], second: &[Value]) {
    expected::assert_same(&expected::streamed(first), &expected::streamed(second));
    assert_eq!(holes(first), holes(second));
    let names: BTreeSet<(String, String)> = of_kind(first, "book_delta")
        .into_iter()
        .map(|row| {
            (row["market"].as_str().unwrap().to_owned(), row["venue_symbol"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(names.len(), 3 * SYMBOLS, "every instrument has a book");
    for (market, symbol) in names {
        let book = |rows| Book::of_stored(of_instrument(rows, &market, &symbol));
        let (first, second) = (book(first), book(second));
        assert!(first.is_some(), "{market} {symbol} has no valid book at the end");
        assert_eq!(first, second, "{market} {symbol}");
    }
    let mut raw = of_kind(second, "raw");
    // Frames around a hole are kept as evidence.
    raw.retain(|row| !row["reason"].as_str().is_some_and(|reason| reason.starts_with("touched a hole")));
    assert_eq!(raw, Vec::<&Value>::new(), "every frame of the replay is understood");
}

/// The markets as a recorder is told of them by a replay that waits for all streams.
fn record_replay(local: &Local, speed: &str) -> Vec<Value> {
    let folder = folder();
    let data = folder.path().join("again");
    let streams = streams(local, &ALL_CHANNELS).to_string();
    let mut served = Served::start(&local.data, &["--speed", speed, "--start", &streams]);
    let summary = record_again(&mut served, local, &ALL_CHANNELS, &data);
    verify_ok(&data);
    let rows = common_e2e::stored(&data);
    assert_eq!(summary["unsubscribed"], 0, "{summary}");
    assert_eq!(summary["violations"], serde_json::json!([]));
    let of_venue = expected::streamed(&local.stored()).values().map(Vec::len).sum::<usize>();
    assert_eq!(summary["records"], of_venue as u64);
    rows
}

#[test]
fn a_replay_recorded_again_is_the_same_log() {
    let mut local = recorded(21, vec![]);
    local.finish();
    let rows = local.stored();
    for kind in
        ["trade", "agg_trade", "quote", "ticker", "mark_price", "funding_rate", "candle", "book_delta"]
    {
        assert!(!of_kind(&rows, kind).is_empty(), "nothing of {kind} was recorded");
    }
    for speed in ["max", "10"] {
        assert_same_records(&rows, &record_replay(&local, speed));
    }
}

#[test]
fn holes_and_restarts_are_seen_again() {
    let faults = vec![
        Fault::DropDiff {
            market: Market::Usdm,
            stream: "btcusdt@depth@100ms".to_owned(),
            after_events: 10,
            events: 2,
        },
        Fault::DropDiff {
            market: Market::Spot,
            stream: "btcusdt@depth@100ms".to_owned(),
            after_events: 12,
            events: 1,
        },
        Fault::Disconnect {
            market: Market::Coinm,
            after_messages: 800,
            times: 1,
            how: Disconnection::Abrupt,
        },
    ];
    let mut local = recorded(22, faults);
    let ending = local.recorder.take().expect("runs").stop();
    assert!(ending.problems.is_empty(), "{:?}", ending.problems);
    local.recorder =
        Some(recorder(&local.data, common_e2e::sources(&local.simulator, &Market::ALL, &ALL_CHANNELS)));
    wait_until("the second run", || local.recorder().status().normalisers.books.0 == 3 * SYMBOLS);
    process::wait_for_more(&local.simulator, 2000);
    local.finish();
    let rows = local.stored();
    let reasons: BTreeSet<&str> =
        of_kind(&rows, "gap").into_iter().filter_map(|row| row["reason"].as_str()).collect();
    assert!(reasons.is_superset(&BTreeSet::from(["sequence", "disconnected", "restart"])), "{reasons:?}");
    assert_same_records(&rows, &record_replay(&local, "max"));
}

#[test]
fn a_seek_gives_the_books_of_that_time() {
    let mut local = recorded(23, vec![]);
    local.finish();
    let rows = local.stored();
    let times: Vec<i64> = rows.iter().filter_map(|row| row["receive_ns"].as_i64()).collect();
    let middle = (times.iter().min().unwrap() + times.iter().max().unwrap()) / 2;
    let served = Served::start(&local.data, &["--from", &middle.to_string(), "--start", "1000000"]);
    for market in Market::ALL {
        let symbol = &local.simulator.symbols(market)[0];
        let prefix = match market {
            Market::Spot => "/api/v3",
            Market::Usdm => "/fapi/v1",
            Market::Coinm => "/dapi/v1",
        };
        let answer = get(&served.rest(market.name()), &format!("{prefix}/depth?symbol={symbol}&limit=1000"));
        // By receive time a record may come before one that was written earlier.
        let mut before: Vec<&Value> = of_instrument(&rows, market.name(), symbol)
            .filter(|row| row["receive_ns"].as_i64().unwrap() < middle && !has_flag(row, "derived"))
            .collect();
        before.retain(|row| row["kind"] == "book_delta" || row["kind"] == "book_snapshot");
        let book = Book::of_stored(before.into_iter()).expect("a book in the middle");
        assert_eq!(answer["lastUpdateId"], book.last_id, "{market} {symbol}");
        assert_eq!(answer["bids"].as_array().unwrap().len(), book.bids.len().min(1000));
        book.assert_top(&answer["bids"], &answer["asks"], symbol);
        let info = get(&served.rest(market.name()), &format!("{prefix}/exchangeInfo"));
        assert_eq!(info["symbols"].as_array().unwrap().len(), SYMBOLS, "{info}");
    }
}

#[test]
fn without_clients_everything_is_counted_and_nothing_waits() {
    let mut local = recorded(24, vec![]);
    local.finish();
    let streamed: usize = expected::streamed(&local.stored()).values().map(Vec::len).sum();
    let summary = Served::start(&local.data, &["--start", "immediately"]).ended();
    assert_eq!(summary["records"], streamed as u64);
    assert_eq!((&summary["unsubscribed"], &summary["frames"]), (&summary["records"], &serde_json::json!(0)));

    let trades = of_kind(&local.stored(), "trade").iter().filter(|row| row["market"] == "spot").count();
    let filter = ["--start", "immediately", "--market", "spot", "--kind", "trade"];
    let summary = Served::start(&local.data, &filter).ended();
    assert_eq!(summary["records"], trades as u64);
    assert_eq!(summary["streams"].as_array().unwrap().len(), SYMBOLS, "{summary}");
}

#[test]
fn a_client_of_others_gets_valid_frames() {
    let mut local = recorded(26, vec![]);
    local.finish();
    let rows = local.stored();
    let trades: Vec<u64> = of_instrument(&rows, "usdm", "BTCUSDT")
        .filter(|row| row["kind"] == "trade")
        .map(|row| id(&row["trade_id"]))
        .collect();
    let deltas: Vec<u64> = of_instrument(&rows, "usdm", "BTCUSDT")
        .filter(|row| row["kind"] == "book_delta")
        .map(|row| id(&row["last_id"]))
        .collect();
    let mut served = Served::start(&local.data, &["--speed", "max", "--start", "2"]);
    let streams = ["btcusdt@trade", "btcusdt@depth@100ms"];
    let count = trades.len() + deltas.len();
    let Some(frames) = python::frames(&served.websocket("usdm"), count, &streams) else { return };
    let ids = |event: &str, key: &str| -> Vec<u64> {
        let of_event = frames.iter().filter(|frame| frame["e"] == event);
        of_event.map(|frame| frame[key].as_u64().unwrap()).collect()
    };
    assert_eq!((ids("trade", "t"), ids("depthUpdate", "u")), (trades, deltas));
    assert_eq!(served.ended()["frames"], count as u64);
}

#[test]
fn a_recorder_that_comes_late_gets_whole_books() {
    let mut local = recorded(25, vec![]);
    local.finish();
    let folder = folder();
    let data = folder.path().join("late");
    // It runs when the recorder comes.
    let mut served = Served::start(&local.data, &["--speed", "1", "--start", "immediately"]);
    let recorder = recorder(&data, served.sources(&local, &ALL_CHANNELS));
    wait_until("valid books", || recorder.status().normalisers.books.0 == 3 * SYMBOLS);
    served.ended();
    stop(recorder);
    let (first, second) = (local.stored(), common_e2e::stored(&data));
    for market in Market::ALL {
        for symbol in local.simulator.symbols(market) {
            let book = |rows| Book::of_stored(of_instrument(rows, market.name(), &symbol));
            assert!(book(&first).is_some());
            assert_eq!(book(&first), book(&second), "{market} {symbol}");
        }
    }
}

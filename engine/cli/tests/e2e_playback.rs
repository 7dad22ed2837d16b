//! Every captured frame through real sockets into the recorder: what is stored equals what was sent.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use common_e2e::books::{Book, of_instrument};
use common_e2e::expected::{self, Streams};
use common_e2e::{
    ALL_CHANNELS, Local, PATIENCE, captures, folders, generated, ledgers, read_text, verify_ok,
};
use marketprism_runtime::transport::Kind as Transport;
use marketprism_runtime::{Threads, TransportChoice};
use marketprism_simulator::{Capture, Config, Market, Pace, Source, Start};
use serde_json::Value;

fn market_name(market: Market) -> &'static str {
    market.name()
}

/// The REST depth answers of a capture, by symbol.
fn snapshots(folder: &Path) -> BTreeMap<String, Value> {
    let Ok(entries) = std::fs::read_dir(folder.join("rest")) else { return BTreeMap::new() };
    let one = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let symbol = name.strip_prefix("depth_")?.split('.').next()?.to_owned();
        Some((symbol, serde_json::from_str(&read_text(&path)).unwrap()))
    };
    entries.filter_map(|entry| one(entry.unwrap().path())).collect()
}

/// Plays one capture and compares records and books; returns the records by market and kind.
fn play(market: Market, folder: &Path, tls: bool, threads: &Threads) -> BTreeMap<(String, String), usize> {
    let what = format!("{market}/{}", folder.file_name().unwrap().to_string_lossy());
    let frames = expected::captured(folder);
    let streams: BTreeSet<&str> = frames.iter().map(|(stream, _)| stream.as_str()).collect();
    let capture = Capture { folders: vec![(market, folder.to_owned())], pace: Pace::Flat, loops: 1 };
    let start = Start::WhenSubscribed(streams.len());
    let config = Config { tls, start, ..Config::new(Source::Capture(capture)) };
    let mut local = Local::start(config, &[], threads.clone());
    let ledger = local.simulator.wait_until_finished(PATIENCE);
    let ledger = ledger.unwrap_or_else(|| panic!("{what} was not played to its end"));
    assert_eq!(ledger.deliveries(), frames.len() as u64, "{what}: the simulator sent every frame once");
    let snapshots = snapshots(folder);
    local.wait_for_books(snapshots.len());
    local.stop_recorder();
    let stored = local.stored();

    let mut sent = Streams::new();
    frames.iter().for_each(|(_, data)| expected::add(&mut sent, market_name(market), data));
    expected::assert_same(&sent, &expected::streamed(&stored));
    compare_books(market, folder, &frames, &snapshots, &stored);
    assert!(common_e2e::of_kind(&stored, "gap").is_empty(), "{what}: no hole");
    assert!(common_e2e::of_kind(&stored, "raw").is_empty(), "{what}: every frame is understood");
    assert!(verify_ok(&local.data).ok, "{what}: verify");
    assert_eq!(ledger.violations, Vec::<String>::new(), "{what}");
    expected::counts(&sent)
}

/// Stored book, model and the published result of every chain with a snapshot.
fn compare_books(
    market: Market,
    folder: &Path,
    frames: &[(String, Value)],
    snapshots: &BTreeMap<String, Value>,
    stored: &[Value],
) {
    let finals = folder.join("derived/final_books.json");
    let finals: Value =
        if finals.exists() { serde_json::from_str(&read_text(&finals)).unwrap() } else { Value::Null };
    for (symbol, snapshot) in snapshots {
        let what = format!("{} {symbol}", folder.display());
        let events = frames.iter().map(|(_, data)| data);
        let events = events.filter(|data| data["e"] == "depthUpdate" && data["s"] == symbol.as_str());
        let model = Book::of_frames(snapshot, events, market != Market::Spot);
        let own = Book::of_stored(of_instrument(stored, market_name(market), symbol));
        let own = own.unwrap_or_else(|| panic!("{what}: no valid book"));
        assert_eq!(own.last_id, model.last_id, "{what}");
        assert!(own == model, "{what}: the levels differ from the model's");
        let published = &finals[symbol];
        assert_eq!(published["lastUpdateId"], own.last_id, "{what}");
        own.assert_top(&published["bids"], &published["asks"], &what);
    }
}

/// Plays every capture of a market over one transport.
fn play_all(market: Market, transport: TransportChoice, kinds: &[&str]) {
    if transport == TransportChoice::IoUring && Transport::detect() == Transport::Epoll {
        eprintln!("io_uring is not allowed here; skipped");
        return;
    }
    let Some(root) = captures() else { return };
    let threads = Threads { transport, ..Threads::default() };
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for folder in folders(&root.join(market_name(market))) {
        for (key, count) in play(market, &folder, false, &threads) {
            *counts.entry(key).or_default() += count;
        }
    }
    eprintln!("{counts:?}");
    for kind in kinds {
        let count = counts.get(&(market_name(market).to_owned(), (*kind).to_owned()));
        assert!(count.is_some_and(|count| *count > 0), "nothing of {market} {kind} was played: {counts:?}");
    }
}

const SPOT_KINDS: [&str; 5] = ["trade", "agg_trade", "book_delta", "quote", "candle"];
const USDM_KINDS: [&str; 8] =
    ["trade", "agg_trade", "book_delta", "quote", "candle", "mark_price", "funding_rate", "liquidation"];
const COINM_KINDS: [&str; 5] = ["trade", "agg_trade", "book_delta", "quote", "candle"];

#[test]
fn every_spot_capture_over_epoll_is_stored_as_sent() {
    play_all(Market::Spot, TransportChoice::Epoll, &SPOT_KINDS);
}

#[test]
fn every_usdm_capture_over_epoll_is_stored_as_sent() {
    play_all(Market::Usdm, TransportChoice::Epoll, &USDM_KINDS);
}

#[test]
fn every_coinm_capture_over_epoll_is_stored_as_sent() {
    play_all(Market::Coinm, TransportChoice::Epoll, &COINM_KINDS);
}

#[test]
fn every_spot_capture_over_io_uring_is_stored_as_sent() {
    play_all(Market::Spot, TransportChoice::IoUring, &SPOT_KINDS);
}

#[test]
fn every_usdm_capture_over_io_uring_is_stored_as_sent() {
    play_all(Market::Usdm, TransportChoice::IoUring, &USDM_KINDS);
}

#[test]
fn every_coinm_capture_over_io_uring_is_stored_as_sent() {
    play_all(Market::Coinm, TransportChoice::IoUring, &COINM_KINDS);
}

#[test]
fn a_capture_over_tls_is_stored_as_sent() {
    let Some(root) = captures() else { return };
    for transport in [TransportChoice::Epoll, TransportChoice::Auto] {
        let threads = Threads { transport, ..Threads::default() };
        let counts = play(Market::Usdm, &root.join("usdm/hbt-20240808-a"), true, &threads);
        assert!(counts.values().sum::<usize>() > 1000, "{counts:?}");
    }
}

#[test]
fn two_io_threads_and_two_normalisers_store_the_same() {
    let Some(root) = captures() else { return };
    let threads = Threads { io: 2, normalisers: 2, ..Threads::default() };
    let counts = play(Market::Spot, &root.join("spot/cf-20210405"), false, &threads);
    assert!(counts.values().sum::<usize>() > 1000, "{counts:?}");
}

/// What a bare clone can show: a generated market instead of captures, every market and kind.
fn play_generated(tls: bool, threads: Threads) {
    let config = Config { tls, record_frames: Some("sent.tsv".into()), ..generated(41, 3, 4000) };
    let mut local = Local::start(config, &ALL_CHANNELS, threads);
    local.feed();
    local.wait_for_books(9);
    let liquidations = || {
        let ledger = local.simulator.ledger();
        let seen = |market| {
            let of = ledger
                .streams
                .iter()
                .filter(|one| one.market == market && one.stream.ends_with("@forceOrder"));
            of.map(|one| one.messages).sum::<u64>() > 0
        };
        seen(Market::Usdm) && seen(Market::Coinm) && ledger.messages() > 20_000
    };
    common_e2e::wait_until("a liquidation on both futures markets", liquidations);
    let ledger = local.finish();
    let stored = local.stored();
    let mut sent = Streams::new();
    for (market, _, data) in expected::sent(&local.folder.path().join("sent.tsv")) {
        expected::add(&mut sent, &market, &data);
    }
    expected::assert_same(&sent, &expected::streamed(&stored));
    let counts = expected::counts(&sent);
    let spot = ["trade", "agg_trade", "book_delta", "quote", "ticker", "candle"];
    let futures = ["mark_price", "funding_rate", "liquidation"];
    for market in Market::ALL {
        let futures = if market == Market::Spot { &[][..] } else { &futures[..] };
        for kind in spot.iter().chain(futures) {
            let key = (market.name().to_owned(), (*kind).to_owned());
            assert!(counts.get(&key).is_some_and(|count| *count > 0), "no {key:?}: {counts:?}");
        }
    }
    assert_eq!(ledgers::assert_final_books(&local.simulator, &ledger, &stored), 9);
    assert!(common_e2e::of_kind(&stored, "gap").is_empty(), "no hole");
    assert!(verify_ok(&local.data).ok);
    assert_eq!(ledger.violations, Vec::<String>::new());
}

#[test]
fn a_generated_market_of_every_kind_is_stored_as_sent() {
    play_generated(false, Threads { transport: TransportChoice::Epoll, ..Threads::default() });
}

#[test]
fn a_generated_market_over_tls_and_four_threads_is_stored_as_sent() {
    play_generated(true, Threads { io: 2, normalisers: 2, ..Threads::default() });
}

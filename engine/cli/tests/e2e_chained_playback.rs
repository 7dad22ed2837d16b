//! Every captured frame of OKX and Deribit through real sockets into the recorder: what is stored equals what was
//! sent, and every chain verifies to its last message.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use common_e2e::books::{Book, of_instrument};
use common_e2e::chained::{Chained, Finished, Simulated, source};
use common_e2e::chained_books::{after, is_snapshot};
use common_e2e::chained_expected::{add, assert_same, rows, streamed};
use common_e2e::expected::{Streams, counts};
use common_e2e::{
    PATIENCE, QUIET, captures_of, folders, has_flag, of_kind, read_text, verify_ok, wait_until,
};
use marketprism_runtime::{Source, Threads, TransportChoice};
use marketprism_simulator::Pace;
use marketprism_simulator::host::{self, Capture, Handle};
use serde_json::Value;

/// The markets of one recorded connection, each with its folder.
type Connection = Vec<(String, PathBuf)>;

/// The recorded connections of a venue, by name: folders of one name are one connection.
fn connections(root: &Path) -> BTreeMap<String, Connection> {
    let mut connections: BTreeMap<String, Connection> = BTreeMap::new();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    for market in folders(root).iter().filter(|market| name(market) != "connection") {
        for folder in folders(market) {
            connections.entry(name(&folder)).or_default().push((name(market), folder));
        }
    }
    connections
}

/// The configuration's name of a captured channel.
fn channel_of(file: &str) -> Option<&'static str> {
    match file.split_once(".raw.jsonl")?.0 {
        "books" => Some("book"),
        "books-l2-tbt" => Some("book@l2-tbt"),
        "trades" => Some("trade"),
        "tickers" => Some("ticker"),
        "book_raw" => Some("book@raw"),
        "ticker_raw" => Some("ticker@raw"),
        "control" => None,
        other => panic!("{other} is not known to the test"),
    }
}

/// What is in the capture of a connection.
#[derive(Default)]
struct Captured {
    frames: u64,
    /// What must be stored.
    sent: Streams,
    /// Channels by market and symbol.
    channels: BTreeMap<(String, String), BTreeSet<&'static str>>,
}

impl Captured {
    fn read(venue: &str, connection: &Connection) -> Captured {
        let mut captured = Captured::default();
        for (market, folder) in connection {
            for entry in std::fs::read_dir(folder).unwrap() {
                let file = entry.unwrap().path();
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                if let Some(channel) = channel_of(&name) {
                    read_text(&file).lines().for_each(|frame| captured.add(venue, market, channel, frame));
                }
            }
        }
        captured
    }

    fn add(&mut self, venue: &str, market: &str, channel: &'static str, frame: &str) {
        self.frames += 1;
        let rows = rows(venue, market, frame);
        assert!(!rows.is_empty(), "no data: {frame}");
        for row in rows {
            let symbol = row["venue_symbol"].as_str().unwrap().to_owned();
            self.channels.entry((market.to_owned(), symbol)).or_default().insert(channel);
            add(&mut self.sent, row);
        }
    }

    fn streams(&self) -> usize {
        self.channels.values().map(BTreeSet::len).sum()
    }

    fn sources(&self) -> Vec<Source> {
        let one = |((market, symbol), channels): (&(String, String), &BTreeSet<&str>)| {
            source(market, &[symbol], &channels.iter().copied().collect::<Vec<_>>())
        };
        self.channels.iter().map(one).collect()
    }
}

/// Plays one connection and compares everything; returns the records by market and kind.
fn play(venue: &str, connection: &Connection, tls: bool, threads: &Threads) -> Counts {
    let captured = Captured::read(venue, connection);
    let capture = Capture { folders: connection.clone(), pace: Pace::Flat };
    let simulated = Simulated::new(venue, host::Source::Capture(capture)).when_subscribed(captured.streams());
    let simulated = if tls { simulated.with_tls() } else { simulated };
    // Without a captured list of instruments the capture begins without definitions.
    let has_list = venue == "okx" || connection.iter().any(|(_, folder)| folder.join("rest").is_dir());
    let prepare = |handle: &Handle| {
        if !has_list {
            handle.fail_rest("/api/v2/public/get_instruments", 500, 1);
        }
    };
    let mut chained = Chained::start_with(simulated, captured.sources(), threads.clone(), prepare);
    let ledger = chained.handle.wait_until_finished(PATIENCE).expect("the capture is played to its end");
    assert_eq!(ledger.deliveries(), captured.frames, "the simulator sent every frame once");
    let books = captured.sent.keys().filter(|(_, _, kind)| kind == "book").count();
    chained.wait_for_books(books);
    wait_for_derived(&chained, books);
    let verified = chained.recorder().status().normalisers.verified_checksums;
    let finished = chained.finish();
    captured.compare(&finished, verified);
    assert!(verify_ok(&chained.data).ok);
    assert_eq!(ledger.violations, Vec::<String>::new());
    counts(&captured.sent)
}

/// Waits until every book was recorded as it is in the end.
fn wait_for_derived(chained: &Chained, books: usize) {
    assert!(chained.recorder().wait_until_quiet(QUIET, PATIENCE));
    let derived = || chained.recorder().status().normalisers.counts.derived;
    let before = derived();
    // Each comes once a second; two rounds hold every one of them at least once.
    wait_until("books of the recorder's own", || derived() >= before + 2 * books as u64);
}

/// Records by market and kind.
type Counts = BTreeMap<(String, String), usize>;

impl Captured {
    fn compare(&self, finished: &Finished, verified: u64) {
        let rows = &finished.rows;
        assert_same(&self.sent, &streamed(rows));
        assert!(rows.iter().all(|row| !has_flag(row, "book_invalid")), "a book was invalid");
        let gaps = of_kind(rows, "gap");
        assert!(gaps.is_empty(), "no hole: {gaps:?}");
        let raws = of_kind(rows, "raw");
        assert!(raws.is_empty(), "every frame is understood: {raws:?}");
        let messages = self.sent.values().flatten();
        let checksums = messages.filter(|message| message.get("checksum").is_some()).count();
        assert_eq!(verified, checksums as u64, "every checksum was verified");
        for ((market, symbol, _), messages) in self.sent.iter().filter(|((_, _, kind), _)| kind == "book") {
            assert_last_derived(rows, market, symbol, &after(messages.iter()));
        }
    }
}

/// The recorder's own book at the end is the model's.
fn assert_last_derived(rows: &[Value], market: &str, symbol: &str, model: &Book) {
    let own = of_instrument(rows, market, symbol).filter(|row| is_snapshot(row) && has_flag(row, "derived"));
    let own = own.last().unwrap_or_else(|| panic!("{market} {symbol}: no book of the recorder's own"));
    let count = |side: &str| own[side].as_array().unwrap().len();
    assert_eq!(count("bids"), model.bids.len().min(100), "{market} {symbol}");
    assert_eq!(count("asks"), model.asks.len().min(100), "{market} {symbol}");
    model.assert_starts_with(&own["bids"], &own["asks"], &format!("{market} {symbol}"));
}

/// Plays every connection of a venue, and demands records of these markets and kinds.
fn play_all(venue: &str, markets: &[&str], kinds: &[&str]) {
    let Some(root) = captures_of(venue) else { return };
    let mut all = Counts::new();
    for (name, connection) in connections(&root) {
        eprintln!("{venue} {name}");
        for (key, count) in play(venue, &connection, false, &Threads::default()) {
            *all.entry(key).or_default() += count;
        }
    }
    eprintln!("{all:?}");
    for market in markets {
        for kind in kinds {
            let count = all.get(&((*market).to_owned(), (*kind).to_owned()));
            assert!(count.is_some_and(|count| *count > 0), "nothing of {market} {kind}: {all:?}");
        }
    }
}

/// Plays the connection with this name.
fn play_one(venue: &str, name: &str, tls: bool, threads: &Threads) {
    let Some(root) = captures_of(venue) else { return };
    let connections = connections(&root);
    let counts = play(venue, &connections[name], tls, threads);
    assert!(counts.values().sum::<usize>() > 100, "{counts:?}");
}

const OKX_MARKETS: [&str; 4] = ["spot", "swap", "futures", "option"];
const OKX_KINDS: [&str; 3] = ["trade", "ticker", "book"];
const DERIBIT_KINDS: [&str; 5] = ["book", "ticker", "mark_price", "open_interest", "greeks"];

#[test]
fn every_capture_of_okx_is_stored_as_sent() {
    play_all("okx", &OKX_MARKETS, &OKX_KINDS);
}

#[test]
fn every_capture_of_deribit_is_stored_as_sent() {
    play_all("deribit", &["option"], &DERIBIT_KINDS);
}

#[test]
fn a_capture_over_tls_is_stored_as_sent() {
    play_one("okx", "cf-20220513", true, &Threads::default());
    play_one("deribit", "cf-20210722", true, &Threads::default());
}

#[test]
fn epoll_and_four_threads_store_the_same() {
    let threads = Threads { io: 2, normalisers: 2, transport: TransportChoice::Epoll, ..Threads::default() };
    play_one("okx", "cf-20210722-a", false, &threads);
    play_one("deribit", "cf-20210405", false, &threads);
}

/// What a bare clone can show: a generated market instead of captures.
fn play_generated(venue: &str, sources: Vec<Source>, books: usize, messages: u64, kinds: &[&str]) {
    let mut chained = Chained::start(Simulated::generated(venue, 2), sources);
    chained.feed(books);
    wait_until("messages", || chained.handle.ledger().messages() >= messages);
    let Finished { ledger, rows: stored, .. } = chained.finish();
    let mut sent = Streams::new();
    for (_, market, frame) in chained.sent() {
        rows(venue, &market, &frame).into_iter().for_each(|row| add(&mut sent, row));
    }
    assert_same(&sent, &streamed(&stored));
    let all = counts(&sent);
    let sent_kinds: BTreeSet<&str> = all.keys().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(sent_kinds, kinds.iter().copied().collect(), "{all:?}");
    assert!(of_kind(&stored, "gap").is_empty(), "no hole");
    assert!(verify_ok(&chained.data).ok);
    assert_eq!(ledger.violations, Vec::<String>::new());
}

#[test]
fn a_generated_market_of_okx_is_stored_as_sent() {
    let sources = OKX_MARKETS.map(|market| source(market, &["*"], &["trade", "ticker", "book"]));
    play_generated("okx", sources.to_vec(), 8, 3000, &OKX_KINDS);
}

#[test]
fn a_generated_market_of_deribit_is_stored_as_sent() {
    let sources = vec![source("option", &["*"], &["book", "ticker"])];
    play_generated("deribit", sources, 2, 150, &DERIBIT_KINDS);
}

//! A venue that misbehaves: what is stored against the venue's own ledger.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use std::time::Duration;

use common_e2e::books::of_instrument;
use common_e2e::ledgers::{assert_all_stored, assert_final_books, assert_holes_reported};
use common_e2e::{Local, generated, has_flag, id, of_kind, verify_ok, wait_until};
use marketprism_runtime::Threads;
use marketprism_simulator::{Config, Disconnection, Fault, Ledger, Market, Simulator};
use serde_json::Value;

const CHANNELS: [&str; 4] = ["trade", "agg_trade", "book@100ms", "quote"];
/// Symbols of each market.
const SYMBOLS: usize = 3;
/// All books.
const BOOKS: usize = 3 * SYMBOLS;

/// Symbol of the fault's stream on each market.
const VICTIMS: [(Market, &str); 3] =
    [(Market::Spot, "ETHUSDT"), (Market::Usdm, "BTCUSDT"), (Market::Coinm, "BTCUSD_PERP")];

/// A venue with these faults, a recorder on it, data flowing.
fn start(seed: u64, faults: Vec<Fault>) -> Local {
    let local =
        Local::start(Config { faults, ..generated(seed, SYMBOLS, 3000) }, &CHANNELS, Threads::default());
    local.feed();
    local
}

/// Waits until the faults happened so often.
fn wait_for_faults(local: &Local, count: u64) {
    let injected = |simulator: &Simulator| {
        simulator.ledger().faults_injected.iter().map(|(_, times)| times).sum::<u64>()
    };
    wait_until("the faults", || injected(&local.simulator) >= count);
}

/// Lets data flow on until every book is valid, then stops; what is stored must be what was sent, every hole
/// reported, every book the venue's.
fn finish(local: &mut Local) -> (Ledger, Vec<Value>) {
    common_e2e::process::wait_for_more(&local.simulator, 1500);
    local.wait_for_books(BOOKS);
    let ledger = local.finish();
    let rows = local.stored();
    let totals = assert_all_stored(&ledger, &rows);
    for market in Market::ALL {
        for kind in ["trade", "agg_trade", "book_delta", "quote"] {
            let key = (market.name().to_owned(), kind.to_owned());
            assert!(totals.get(&key).is_some_and(|count| *count > 0), "no {key:?}: {totals:?}");
        }
    }
    assert_eq!(assert_final_books(&local.simulator, &ledger, &rows), BOOKS);
    verify_ok(&local.data);
    assert_eq!(ledger.violations, Vec::<String>::new());
    (ledger, rows)
}

/// Session records of an event.
fn sessions<'a>(rows: &'a [Value], market: Market, event: &str) -> Vec<&'a Value> {
    let rows = of_kind(rows, "session").into_iter();
    rows.filter(|row| row["market"] == market.name() && row["event"] == event).collect()
}

#[test]
fn trap_2_one_gap_resets_one_book_only_and_is_reported_once_with_its_ids() {
    // Trap 2 of the peers: all books, or the whole session, reset for one gap.
    // Trap 4: continuity checked only while synchronising; here the hole comes long after.
    let stream = |symbol: &str| format!("{}@depth@100ms", symbol.to_lowercase());
    let fault = |(market, symbol): (Market, &str)| Fault::DropDiff {
        market,
        stream: stream(symbol),
        after_events: 40,
        events: 2,
    };
    let mut local = start(1, VICTIMS.into_iter().map(fault).collect());
    wait_for_faults(&local, 6);
    wait_until("the recorder's gaps", || local.recorder().status().normalisers.counts.gaps[1] >= 3);
    let (ledger, rows) = finish(&mut local);
    assert_eq!(of_kind(&rows, "gap").len(), VICTIMS.len(), "{:?}", of_kind(&rows, "gap"));
    for market in Market::ALL {
        for symbol in local.simulator.symbols(market) {
            let own: Vec<&Value> = of_instrument(&rows, market.name(), &symbol).collect();
            let first = own.iter().position(|row| row["kind"] == "book_snapshot").expect("a snapshot");
            let invalid = own[first..].iter().filter(|row| has_flag(row, "book_invalid")).count();
            if !VICTIMS.contains(&(market, symbol.as_str())) {
                assert!(own.iter().all(|row| row["kind"] != "gap"), "{market} {symbol} noticed the gap");
                assert_eq!(invalid, 0, "{market} {symbol} was invalid");
                continue;
            }
            let at = own.iter().position(|row| row["kind"] == "gap").expect("a gap");
            let before = own[..at].iter().rfind(|row| row["kind"] == "book_delta").expect("a delta");
            let dropped = &ledger.stream(market, &stream(&symbol)).expect("stream").dropped;
            let (first, last) = (dropped.first().expect("dropped").0, dropped.last().expect("dropped").1);
            let gap = own[at];
            assert_eq!((&gap["stream"], &gap["reason"]), (&"book_delta".into(), &"sequence".into()));
            assert_eq!(id(&gap["from_id"]), id(&before["last_id"]) + 1, "{gap}");
            assert_eq!(id(&gap["to_id"]), last, "{gap}");
            assert!(id(&gap["from_id"]) <= first && (market != Market::Spot || id(&gap["from_id"]) == first));
            let again = own[at..].iter().filter(|row| row["kind"] == "book_snapshot").count();
            assert!(again >= 1, "{market} {symbol} was not synchronised again");
        }
    }
}

#[test]
fn what_the_venue_sends_twice_is_stored_once() {
    let streams = [
        (Market::Spot, "btcusdt@trade"),
        (Market::Spot, "btcusdt@aggTrade"),
        (Market::Spot, "btcusdt@depth@100ms"),
        (Market::Usdm, "btcusdt@trade"),
        (Market::Usdm, "btcusdt@depth@100ms"),
        (Market::Coinm, "btcusd_perp@aggTrade"),
        (Market::Coinm, "btcusd_perp@depth@100ms"),
    ];
    let fault = |(market, stream): (Market, &str)| Fault::Duplicate {
        market,
        stream: stream.to_owned(),
        after_events: 20,
        events: 30,
    };
    let mut local = start(2, streams.into_iter().map(fault).collect());
    wait_for_faults(&local, 7 * 30);
    let (ledger, rows) = finish(&mut local);
    assert!(ledger.deliveries() >= ledger.messages() + 7 * 30, "they were sent twice");
    assert_eq!(of_kind(&rows, "gap").len(), 0);
}

/// The connections of every market end a few times in one way; the holes must be exact.
fn disconnect(seed: u64, how: Disconnection, words: &str) {
    let fault = |market| Fault::Disconnect { market, after_messages: 1200, times: 2, how };
    let mut local = start(seed, Market::ALL.into_iter().map(fault).collect());
    wait_for_faults(&local, 6);
    let (_, rows) = finish(&mut local);
    let holes = assert_holes_reported(&rows);
    assert!(holes > 0, "no trade fell into the time without a connection");
    for market in Market::ALL {
        let ended = sessions(&rows, market, "disconnected");
        let by_venue = ended.iter().filter(|row| row["detail"]["reason"].as_str().unwrap().contains(words));
        assert_eq!(by_venue.count(), 2, "{market}: {ended:?}");
        assert!(sessions(&rows, market, "subscribed").len() >= 3, "{market} subscribed again");
    }
    let gaps = of_kind(&rows, "gap");
    assert!(gaps.iter().all(|gap| gap["reason"] == "disconnected"), "{gaps:?}");
    assert!(gaps.iter().any(|gap| gap["stream"] == "quote" && !gap["from_ns"].is_null()), "quotes too");
}

#[test]
fn a_close_by_the_venue_leaves_gaps_with_exact_ids() {
    disconnect(3, Disconnection::Close(1001), "close 1001");
}

#[test]
fn an_abrupt_end_leaves_gaps_with_exact_ids() {
    disconnect(4, Disconnection::Abrupt, "without a close frame");
}

/// Frames that cannot be used come on every market; each is kept raw with a reason, and harms nothing.
fn unusable(seed: u64, fault: impl Fn(Market) -> Fault, times: usize, content: &str) {
    let mut local = start(seed, Market::ALL.into_iter().map(fault).collect());
    wait_for_faults(&local, 3 * times as u64);
    let (_, rows) = finish(&mut local);
    for market in Market::ALL {
        let raws: Vec<_> =
            of_kind(&rows, "raw").into_iter().filter(|row| row["market"] == market.name()).collect();
        assert_eq!(raws.len(), times, "{market}: {raws:?}");
        for raw in raws {
            assert!(!raw["reason"].as_str().unwrap().is_empty(), "{raw}");
            assert!(raw["frame"].as_str().unwrap().contains(content), "{raw}");
        }
        assert!(
            sessions(&rows, market, "disconnected")
                .iter()
                .all(|row| row["detail"]["reason"] == "the recorder stops")
        );
    }
    assert_eq!(of_kind(&rows, "gap").len(), 0);
}

#[test]
fn malformed_frames_are_kept_with_their_reason() {
    let fault = |market| Fault::MalformedFrame { market, after_messages: 700, times: 3 };
    unusable(5, fault, 3, r#""data":{"e":"tra"#);
}

#[test]
fn events_nobody_knows_are_kept_with_their_reason() {
    let fault = |market| Fault::UnknownEvent { market, after_messages: 700, times: 3 };
    unusable(6, fault, 3, "neverHeardOf");
}

/// A frame on every market ends its connection; the reason is recorded and data goes on.
fn costs_a_reconnect(seed: u64, fault: impl Fn(Market) -> Fault, words: &str) {
    let mut local = start(seed, Market::ALL.into_iter().map(fault).collect());
    wait_for_faults(&local, 3);
    wait_until("reconnects", || {
        local.recorder().status().connections.iter().filter(|connection| connection.connects > 1).count() >= 3
    });
    common_e2e::process::wait_for_more(&local.simulator, 1500);
    local.wait_for_books(BOOKS);
    let ledger = local.finish();
    let rows = local.stored();
    for market in Market::ALL {
        let ended = sessions(&rows, market, "disconnected");
        let so = ended.iter().filter(|row| row["detail"]["reason"].as_str().unwrap().contains(words));
        assert_eq!(so.count(), 1, "{market}: {ended:?}");
    }
    // What lay behind the frame on its connection is lost, and said to be.
    assert_holes_reported(&rows);
    assert_eq!(assert_final_books(&local.simulator, &ledger, &rows), BOOKS);
    verify_ok(&local.data);
    assert_eq!(ledger.violations, Vec::<String>::new());
}

#[test]
fn an_oversized_frame_costs_a_reconnect_and_says_so() {
    let bytes = marketprism_runtime::io::MAX_FRAME_BYTES + 1;
    let fault = |market| Fault::Oversized { market, after_messages: 1000, times: 1, bytes };
    costs_a_reconnect(8, fault, "longer than");
}

#[test]
fn text_that_is_no_utf8_costs_a_reconnect_and_says_so() {
    let fault = |market| Fault::InvalidUtf8 { market, after_messages: 1000, times: 1 };
    costs_a_reconnect(7, fault, "UTF-8");
}

#[test]
fn a_shutdown_notice_moves_the_connections_before_the_venue_cuts_them() {
    let fault = |market| Fault::ServerShutdown { market, after_messages: 1000 };
    let mut local = start(9, Market::ALL.into_iter().map(fault).collect());
    wait_for_faults(&local, 3);
    wait_until("reconnects", || {
        local.recorder().status().connections.iter().all(|connection| connection.connects > 1)
    });
    common_e2e::process::wait_for_more(&local.simulator, 1500);
    local.wait_for_books(BOOKS);
    let ledger = local.finish();
    let rows = local.stored();
    for market in Market::ALL {
        let reasons: Vec<_> = sessions(&rows, market, "disconnected")
            .iter()
            .map(|row| row["detail"]["reason"].to_string())
            .collect();
        assert!(reasons.iter().any(|reason| reason.contains("announced")), "{market}: {reasons:?}");
    }
    assert_holes_reported(&rows);
    assert_eq!(assert_final_books(&local.simulator, &ledger, &rows), BOOKS);
    verify_ok(&local.data);
    assert_eq!(ledger.violations, Vec::<String>::new());
}

/// REST requests below a path are refused a few times; capture goes on and books become valid later.
fn refused(seed: u64, path: fn(Market) -> String, status: u16, retry_after: Option<Duration>) {
    let fault =
        |market| Fault::RestStatus { market, path_prefix: path(market), status, times: 2, retry_after };
    let mut local = start(seed, Market::ALL.into_iter().map(fault).collect());
    local.wait_for_messages(1000);
    local.wait_for_books(BOOKS);
    let (ledger, _) = finish(&mut local);
    let injected: u64 = ledger.faults_injected.iter().map(|(_, times)| times).sum();
    assert!(injected >= 3, "every market was refused: {:?}", ledger.faults_injected);
}

fn api(market: Market) -> &'static str {
    ["/api/v3", "/fapi/v1", "/dapi/v1"][market as usize]
}

fn depth(market: Market) -> String {
    format!("{}/depth", api(market))
}

fn instruments(market: Market) -> String {
    format!("{}/exchangeInfo", api(market))
}

#[test]
fn trap_9_books_wait_out_429_and_418_and_500_of_their_snapshots() {
    refused(10, depth, 429, Some(Duration::from_secs(1)));
    refused(11, depth, 418, Some(Duration::from_secs(2)));
    refused(12, depth, 500, None);
}

#[test]
fn capture_starts_without_definitions_where_they_are_refused() {
    refused(13, instruments, 429, Some(Duration::from_secs(1)));
    refused(14, instruments, 418, Some(Duration::from_secs(1)));
    refused(15, instruments, 503, None);
}

/// No delta comes: a book that asked for its snapshot only with the first one would never be valid.
#[test]
fn quiet_books_get_their_snapshots_too() {
    let mut local = Local::start(generated(31, SYMBOLS, 3000), &CHANNELS, Threads::default());
    local.wait_for_books(BOOKS);
    assert_eq!(local.simulator.ledger().messages(), 0, "nothing was sent");
    local.feed();
    // What comes then goes on from these snapshots.
    let (_, rows) = finish(&mut local);
    assert_eq!(of_kind(&rows, "gap"), Vec::<&Value>::new());
}

//! OKX and Deribit: names that mean several things, and connections on which nothing happens.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common_e2e::chained::{Chained, Finished, Simulated, source};
use common_e2e::{has_flag, verify_ok, wait_until};
use serde_json::Value;

/// Rows of a kind by market and venue symbol.
fn stored(rows: &[Value], kind: &str) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for row in rows.iter().filter(|row| row["kind"] == kind && !has_flag(row, "derived")) {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        *counts.entry((text("market"), text("venue_symbol"))).or_default() += 1;
    }
    counts
}

/// Entries of the frames of one channel by the instrument that they name.
fn sent(chained: &Chained, channel: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, _, text) in chained.sent() {
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["arg"]["channel"] == channel {
            for entry in frame["data"].as_array().unwrap() {
                *counts.entry(entry["instId"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    counts
}

fn in_market(market: &str, counts: BTreeMap<String, usize>) -> BTreeMap<(String, String), usize> {
    counts.into_iter().map(|(symbol, count)| ((market.to_owned(), symbol), count)).collect()
}

/// OKX writes `BTC-USDT` for a pair and for an index, and `BTC-USD` for an index and for a family of options.
#[test]
fn trap_the_same_text_as_pair_index_and_family_is_kept_apart() {
    let sources = vec![
        source("spot", &["BTC-USDT"], &["ticker"]),
        source("swap", &["*"], &["ticker", "index"]),
        source("option", &["*"], &["greeks"]),
    ];
    let mut chained = Chained::start(Simulated::generated("okx", 3), sources);
    chained.feed(0);
    for (market, stream) in
        [("spot", "tickers:BTC-USDT"), ("swap", "index-tickers:BTC-USDT"), ("option", "opt-summary:BTC-USD")]
    {
        chained.wait_for_more(market, stream, 3);
    }
    let Finished { ledger, rows, .. } = chained.finish();
    assert_eq!(ledger.violations, Vec::<String>::new());
    verify_ok(&chained.data);

    let indices = in_market("swap", sent(&chained, "index-tickers"));
    assert!(indices.contains_key(&("swap".to_owned(), "BTC-USDT".to_owned())), "{indices:?}");
    assert_eq!(stored(&rows, "mark_price"), indices);
    let tickers = stored(&rows, "ticker");
    let of_pairs = tickers.iter().filter(|((market, _), _)| market == "spot");
    assert_eq!(of_pairs.map(|(_, count)| *count).sum::<usize>(), sent(&chained, "tickers")["BTC-USDT"]);
    assert!(!tickers.contains_key(&("swap".to_owned(), "BTC-USDT".to_owned())), "{tickers:?}");
    let options = in_market("option", sent(&chained, "opt-summary"));
    assert!(options.len() > 1, "{options:?}");
    assert_eq!(stored(&rows, "greeks"), options);
    assert_distinct_symbols(&rows);
}

/// A canonical symbol means one instrument.
fn assert_distinct_symbols(rows: &[Value]) {
    let mut known: BTreeMap<&str, (&Value, &Value)> = BTreeMap::new();
    for row in rows {
        if let Some(symbol) = row["symbol"].as_str() {
            let instrument = (&row["market"], &row["venue_symbol"]);
            assert_eq!(*known.entry(symbol).or_insert(instrument), instrument, "{symbol}");
        }
    }
}

/// Nothing is sent for so long; the connections must stay, and no rule be broken.
fn stay_quiet(simulated: Simulated, market: &str, long: Duration) {
    let mut chained = Chained::start(simulated, vec![source(market, &["*"], &["book"])]);
    wait_until("a subscription", || {
        chained.recorder().status().connections.iter().all(|connection| connection.is_subscribed)
    });
    let start = Instant::now();
    wait_until("a long silence", || start.elapsed() > long);
    let status = chained.recorder().status();
    assert!(status.connections.iter().all(|connection| connection.is_open && connection.connects == 1));
    let Finished { ledger, .. } = chained.finish();
    assert_eq!(ledger.violations, Vec::<String>::new());
}

#[test]
fn a_quiet_connection_of_okx_is_kept_open_by_pings() {
    let mut simulated = Simulated::generated("okx", 1);
    if let Simulated::Okx(config) = &mut simulated {
        // The recorder sends a ping after 15 s.
        config.limits.idle = Duration::from_secs(17);
    }
    stay_quiet(simulated, "swap", Duration::from_secs(19));
}

#[test]
fn heartbeats_of_deribit_are_answered() {
    let mut simulated = Simulated::generated("deribit", 1);
    if let Simulated::Deribit(config, _) = &mut simulated {
        // A test request after 1.2 s and then every 1.06 s, each to be answered within a second.
        config.limits.second = Duration::from_millis(100);
    }
    stay_quiet(simulated, "perpetual", Duration::from_secs(5));
}

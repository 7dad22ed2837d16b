//! Comparing what is stored with the venue's own ledger.

use std::collections::BTreeMap;

use marketprism_simulator::{Ledger, Simulator};
use serde_json::Value;

use super::books::{Book, of_instrument};

/// The kind of the first record that a stream's events become.
pub fn kind_of(stream: &str) -> &'static str {
    match stream.split_once('@').map_or("", |(_, suffix)| suffix) {
        "trade" => "trade",
        "aggTrade" => "agg_trade",
        "bookTicker" => "quote",
        "ticker" => "ticker",
        "markPrice@1s" => "mark_price",
        "forceOrder" => "liquidation",
        suffix if suffix.starts_with("depth") => "book_delta",
        _ => "candle",
    }
}

/// Streamed records by market, venue symbol and kind.
pub fn stored_counts(rows: &[Value]) -> BTreeMap<(String, String, String), u64> {
    let mut counts = BTreeMap::new();
    for row in rows.iter().filter(|row| !super::has_flag(row, "rest") && !super::has_flag(row, "derived")) {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        *counts.entry((text("market"), text("venue_symbol"), text("kind"))).or_default() += 1;
    }
    counts
}

/// Demands that every event sent is stored exactly once; returns events by market and kind.
pub fn assert_all_stored(ledger: &Ledger, rows: &[Value]) -> BTreeMap<(String, String), u64> {
    let counts = stored_counts(rows);
    let mut totals = BTreeMap::new();
    for stream in &ledger.streams {
        let (market, kind) = (stream.market.name().to_owned(), kind_of(&stream.stream).to_owned());
        let symbol = stream.stream.split('@').next().unwrap().to_uppercase();
        let stored = counts.get(&(market.clone(), symbol, kind.clone())).copied().unwrap_or(0);
        assert_eq!(stored, stream.messages, "{market} {}", stream.stream);
        *totals.entry((market, kind)).or_default() += stored;
    }
    assert!(totals.values().any(|count| *count > 0), "nothing was sent");
    totals
}

/// Demands that the stored book of every instrument with a depth stream is the venue's; returns how many.
pub fn assert_final_books(simulator: &Simulator, ledger: &Ledger, rows: &[Value]) -> usize {
    let depth = ledger.streams.iter().filter(|stream| kind_of(&stream.stream) == "book_delta");
    let mut compared = 0;
    for stream in depth {
        let symbol = stream.stream.split('@').next().unwrap().to_uppercase();
        let venue = Book::of_venue(&simulator.final_book(stream.market, &symbol).unwrap());
        let own = Book::of_stored(of_instrument(rows, stream.market.name(), &symbol));
        let own = own.unwrap_or_else(|| panic!("{} {symbol} has no valid book", stream.market));
        assert_eq!(own.last_id, venue.last_id, "{} {symbol}", stream.market);
        assert!(own == venue, "{} {symbol}: levels differ", stream.market);
        compared += 1;
    }
    compared
}

/// Trade ids count up by one: where they do not, a gap record before says exactly which are missing.
/// Returns the number of holes.
pub fn assert_holes_reported(rows: &[Value]) -> usize {
    let mut last: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    let mut gaps: BTreeMap<(String, String, String), Vec<(u64, u64)>> = BTreeMap::new();
    let mut holes = 0;
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let stream = |kind: &str| (text("market"), text("venue_symbol"), kind.to_owned());
        match row["kind"].as_str().unwrap() {
            "gap" => {
                let ids = (&row["from_id"], &row["to_id"]);
                if !ids.0.is_null() && !ids.1.is_null() {
                    let ids = (super::id(ids.0), super::id(ids.1));
                    gaps.entry(stream(&text("stream"))).or_default().push(ids);
                }
            }
            kind @ ("trade" | "agg_trade") => {
                let id = super::id(&row["trade_id"]);
                let before = last.insert(stream(kind), id).unwrap_or(id - 1);
                let reported = gaps.remove(&stream(kind)).unwrap_or_default();
                if id == before + 1 {
                    assert_eq!(reported, [], "a hole that is none before {row}");
                } else {
                    holes += 1;
                    assert_eq!(reported, [(before + 1, id - 1)], "the hole before {row}");
                }
            }
            _ => {}
        }
    }
    holes
}

//! Captured frames of OKX and Deribit: nothing is lost, no line is an error, and the books are those that a replay of
//! the texts gives.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::capture::{Placed, captures, captures_of, definitions, frames, joined};
use crate::replayed::{levels, replay};
use crate::support::{Decoded, decode};

/// The kinds of records that each frame of a captured channel gives one of; `None` for control frames, which give
/// none.
fn kinds_of(channel: &str) -> Option<&'static [&'static str]> {
    Some(match channel {
        "control" => return None,
        "trades" => &["trade"],
        "tickers" => &["ticker"],
        "books" | "books-l2-tbt" | "book_raw" => &["book"],
        "ticker_raw" => &["ticker", "mark_price", "open_interest", "greeks"],
        other => panic!("what does {other} give?"),
    })
}

/// How many records of each kind there are; deltas and snapshots of books together.
fn counts(decoded: &Decoded) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for line in decoded.lines.iter().filter(|line| line.get("valid").is_none()) {
        let kind = match line["kind"].as_str().unwrap() {
            "book_delta" | "book_snapshot" => "book",
            kind => kind,
        };
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

fn expected_counts(frames: &[Placed]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for kind in frames.iter().filter_map(|frame| kinds_of(&frame.channel)).flatten() {
        *counts.entry(*kind).or_default() += 1;
    }
    counts
}

fn check_books(decoded: &Decoded, frames: &[Placed], capture: &Path) -> usize {
    let of_books = frames.iter().filter(|frame| kinds_of(&frame.channel) == Some(&["book"]));
    let replayed = replay(of_books.map(|frame| frame.line.as_slice()));
    let books: Vec<&Value> = decoded.lines.iter().filter(|line| line["valid"] == true).collect();
    assert_eq!(books.len(), replayed.len(), "{}: {}", capture.display(), decoded.said);
    for (symbol, expected) in &replayed {
        let book = decoded.book(symbol);
        assert_eq!(book["last_id"], expected.last_id.to_string(), "{} {symbol}", capture.display());
        let found = [levels(&book["bids"]), levels(&book["asks"])];
        assert_eq!(found, expected.best(20), "{} {symbol}", capture.display());
    }
    books.len()
}

#[test]
fn every_captured_frame_gives_its_records_and_the_books_are_right() {
    let Some(captures) = captures() else { return };
    let (mut done, mut books) = (0, 0);
    for market in ["okx/spot", "okx/swap", "okx/futures", "okx/option", "deribit/option"] {
        for capture in captures_of(&captures.join(market)) {
            let frames = frames(&capture);
            let decoded = decode(market, &joined(frames.iter()), &["--books", "20"]);
            assert_eq!((decoded.code, decoded.said.as_str()), (Some(0), ""), "{}", capture.display());
            assert_eq!(counts(&decoded), expected_counts(&frames), "{}", capture.display());
            books += check_books(&decoded, &frames, &capture);
            if let Ok(expected) = std::fs::read(capture.join("derived/final_books.json")) {
                check_final_books(&decoded, &serde_json::from_slice(&expected).unwrap(), &capture);
            }
            done += 1;
        }
    }
    assert!(done >= 20 && books >= 60, "{done} captures, {books} books");
}

fn check_final_books(decoded: &Decoded, expected: &Value, capture: &Path) {
    for (symbol, expected) in expected.as_object().unwrap() {
        let book = decoded.book(symbol);
        for side in ["bids", "asks"] {
            assert_eq!(levels(&book[side]), levels(&expected[side]), "{} {symbol}", capture.display());
        }
    }
}

#[test]
fn captured_definitions_name_the_instruments_and_make_amounts_known() {
    let Some(captures) = captures() else { return };
    for (market, capture) in [
        ("okx/spot", "cf-20220513"),
        ("okx/swap", "cf-20220513"),
        ("okx/futures", "cf-20210722-a"),
        ("okx/option", "cf-20210722-a"),
        ("deribit/option", "cf-20210722"),
    ] {
        let capture = captures.join(market).join(capture);
        let frames = frames(&capture);
        let input = [definitions(&capture), joined(frames.iter())].concat();
        let decoded = decode(market, &input, &["--amounts"]);
        assert_eq!((decoded.code, decoded.said.as_str()), (Some(0), ""), "{}", capture.display());
        assert!(!decoded.of_kind("instrument").is_empty());
        let data = decoded.lines.iter().filter(|line| line["kind"] != "instrument");
        for line in data {
            let is_canonical = line["symbol"] != line["venue_symbol"] || market == "okx/spot";
            assert!(is_canonical, "{}: {line}", capture.display());
        }
        for trade in decoded.of_kind("trade") {
            assert!(trade.get("base_quantity").is_some(), "{}: {trade}", capture.display());
        }
    }
}

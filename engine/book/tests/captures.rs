//! Every recorded chain with a snapshot, through the continuity rule and against a plain map.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;

use marketprism_book::{DeltaStep, Emit, SnapshotStep, SyncedBook};
use marketprism_core::record::Book;
use marketprism_core::{Decimal, Kind, Level};
use support::{Capture, Chain};

type Map = BTreeMap<i64, i64>;

/// A book without cleverness, filled from what was emitted and applied.
#[derive(Default)]
struct Model {
    bids: Map,
    asks: Map,
    price_exponent: i8,
    quantity_exponent: i8,
}

impl Model {
    fn load(&mut self, book: &Book, levels: &[Level]) {
        *self = Model {
            price_exponent: book.header.price_exponent,
            quantity_exponent: book.header.quantity_exponent,
            ..Model::default()
        };
        self.apply(book, levels);
    }

    fn apply(&mut self, book: &Book, levels: &[Level]) {
        for (index, level) in levels.iter().enumerate() {
            let side = if index < usize::from(book.bid_levels) { &mut self.bids } else { &mut self.asks };
            let rescale = |mantissa, from, to| Decimal::new(mantissa, from).rescale(to).unwrap().mantissa;
            let price = rescale(level.price, book.header.price_exponent, self.price_exponent);
            let quantity = rescale(level.quantity, book.header.quantity_exponent, self.quantity_exponent);
            if quantity == 0 {
                side.remove(&price);
            } else {
                side.insert(price, quantity);
            }
        }
    }
}

/// Runs a chain; the emitted records come back in order as last ids.
fn run(capture: &Capture, chain: &Chain) -> (SyncedBook, Model, Vec<u64>) {
    let mut synced = SyncedBook::new(capture.continuity);
    let mut model = Model::default();
    let mut given_out = Vec::new();
    for message in &chain.messages {
        let (book, levels) = (&message.book, message.levels.as_slice());
        if book.header.kind == Kind::BookSnapshot as u8 {
            let step = synced.on_snapshot(book, levels, &mut |emitted| match emitted {
                Emit::Contained(delta, _) => given_out.push(delta.header.sequence),
                Emit::Snapshot(snapshot, levels) => model.load(snapshot, levels),
                Emit::Replayed(delta, levels) => {
                    model.apply(delta, levels);
                    given_out.push(delta.header.sequence);
                }
            });
            assert!(matches!(step, SnapshotStep::Valid { .. }), "{step:?}");
            continue;
        }
        match synced.on_delta(book, levels) {
            DeltaStep::Applied => {
                model.apply(book, levels);
                given_out.push(book.header.sequence);
            }
            DeltaStep::Contained => given_out.push(book.header.sequence),
            DeltaStep::Held => {}
            other => panic!("{other:?}"),
        }
    }
    (synced, model, given_out)
}

fn assert_book_is(synced: &SyncedBook, model: &Model) {
    let book = synced.book();
    assert_eq!(book.price_exponent(), model.price_exponent);
    let level = |(price, quantity): (&i64, &i64)| Level { price: *price, quantity: *quantity };
    assert_eq!(book.bids().collect::<Vec<_>>(), model.bids.iter().rev().map(level).collect::<Vec<_>>());
    assert_eq!(book.asks().collect::<Vec<_>>(), model.asks.iter().map(level).collect::<Vec<_>>());
    assert!(synced.is_bridged() && !book.is_crossed());
}

/// The top of the book as texts of the shortest form.
fn top(levels: impl Iterator<Item = Level>, exponents: (i8, i8)) -> Vec<(String, String)> {
    let text = |mantissa, exponent| Decimal::new(mantissa, exponent).normalised().to_string();
    levels.take(20).map(|level| (text(level.price, exponents.0), text(level.quantity, exponents.1))).collect()
}

fn assert_top_is(synced: &SyncedBook, expected: &serde_json::Value) {
    let book = synced.book();
    let exponents = (book.price_exponent(), book.quantity_exponent());
    let wanted = |side: &str| -> Vec<(String, String)> {
        let text = |value: &serde_json::Value| {
            Decimal::parse(value.as_str().unwrap().as_bytes()).unwrap().normalised().to_string()
        };
        expected[side].as_array().unwrap().iter().map(|level| (text(&level[0]), text(&level[1]))).collect()
    };
    assert_eq!(top(book.bids(), exponents), wanted("bids"));
    assert_eq!(top(book.asks(), exponents), wanted("asks"));
    assert_eq!(synced.last_id(), expected["lastUpdateId"].as_u64());
}

#[test]
fn every_recorded_book_is_exact() {
    let captures = support::captures().unwrap();
    if captures.is_empty() {
        return;
    }
    let mut compared: BTreeMap<&str, usize> = BTreeMap::new();
    for capture in &captures {
        let expected: serde_json::Value =
            std::fs::read_to_string(capture.folder.join("derived/final_books.json"))
                .map_or(serde_json::Value::Null, |text| serde_json::from_str(&text).unwrap());
        for (symbol, chain) in &capture.chains {
            eprintln!("{} {} {symbol}", capture.market, capture.name);
            if !chain.messages.iter().any(|message| message.book.header.kind == Kind::BookSnapshot as u8) {
                continue;
            }
            let (synced, model, given_out) = run(capture, chain);
            assert_book_is(&synced, &model);
            // Every delta came out once, in the order of its ids.
            let deltas = chain.messages.iter().filter(|m| m.book.header.kind == Kind::BookDelta as u8);
            assert_eq!(given_out, deltas.map(|message| message.book.header.sequence).collect::<Vec<_>>());
            if let Some(expected) = expected.get(symbol) {
                assert_top_is(&synced, expected);
                *compared.entry(&capture.market).or_default() += 1;
            }
        }
    }
    eprintln!("books compared: {compared:?}");
    for market in ["spot", "usdm", "coinm"] {
        assert!(compared.get(market).is_some_and(|count| *count > 0), "{market}");
    }
}

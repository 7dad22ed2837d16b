//! Order books as simply as they can be: two maps from price to quantity.

use std::collections::BTreeMap;

use serde_json::Value;

/// Price text as an integer of 10^-12, so that texts sort as numbers.
fn price(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= 12, "{text}");
    format!("{whole}{fraction:0<12}").parse().unwrap_or_else(|_| panic!("not a price: {text}"))
}

/// A quantity without the zeros at its end; `None` for zero.
fn quantity(text: &str) -> Option<String> {
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    (short != "0").then(|| short.to_owned())
}

/// A book.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    pub last_id: u64,
    pub bids: BTreeMap<i128, String>,
    pub asks: BTreeMap<i128, String>,
}

impl Book {
    fn set(side: &mut BTreeMap<i128, String>, levels: &Value) {
        for level in levels.as_array().expect("levels") {
            let (at, text) = (price(level[0].as_str().unwrap()), level[1].as_str().unwrap());
            match quantity(text) {
                Some(text) => side.insert(at, text),
                None => side.remove(&at),
            };
        }
    }

    /// Sets levels, `[price, quantity]`; a quantity of zero removes one.
    pub fn change(&mut self, bids: &Value, asks: &Value) {
        Book::set(&mut self.bids, bids);
        Book::set(&mut self.asks, asks);
    }

    /// A REST answer and the diff events around it, by the venue's rule; it panics where the chain has a hole.
    pub fn of_frames<'a>(snapshot: &Value, events: impl Iterator<Item = &'a Value>, futures: bool) -> Book {
        let mut book = Book { last_id: snapshot["lastUpdateId"].as_u64().unwrap(), ..Book::default() };
        book.change(&snapshot["bids"], &snapshot["asks"]);
        let mut bridged = false;
        for event in events {
            let id = |key: &str| event[key].as_u64().unwrap();
            let old = if futures { id("u") < book.last_id } else { id("u") <= book.last_id };
            if !bridged && old {
                continue;
            }
            let joins = match (futures, bridged) {
                (true, false) => id("U") <= book.last_id || id("pu") == book.last_id,
                (true, true) => id("pu") == book.last_id,
                (false, _) => id("U") <= book.last_id + 1,
            };
            assert!(joins && !old, "hole after {}: {event}", book.last_id);
            bridged = true;
            book.last_id = id("u");
            book.change(&event["b"], &event["a"]);
        }
        book
    }

    /// The stored records of one instrument: its last REST snapshot and the deltas after it.
    pub fn of_stored<'a>(rows: impl Iterator<Item = &'a Value>) -> Option<Book> {
        let mut book: Option<Book> = None;
        for row in rows {
            if row["kind"] == "book_snapshot" && super::has_flag(row, "rest") {
                let mut fresh = Book { last_id: super::id(&row["last_id"]), ..Book::default() };
                fresh.change(&row["bids"], &row["asks"]);
                book = Some(fresh);
            } else if row["kind"] == "book_delta" {
                match &mut book {
                    Some(_) if super::has_flag(row, "book_invalid") => book = None,
                    // The snapshot was ahead of the stream: it holds this message already.
                    Some(book) if super::id(&row["last_id"]) <= book.last_id => {}
                    Some(book) => {
                        book.last_id = super::id(&row["last_id"]);
                        book.change(&row["bids"], &row["asks"]);
                    }
                    None => {}
                }
            }
        }
        book
    }

    /// The venue's own book.
    pub fn of_venue(venue: &marketprism_simulator::Book) -> Book {
        let side = |levels: &[(String, String)]| {
            let level = |(at, text): &(String, String)| Some((price(at), quantity(text)?));
            levels.iter().filter_map(level).collect()
        };
        Book { last_id: venue.last_update_id, bids: side(&venue.bids), asks: side(&venue.asks) }
    }

    /// Whether nobody knows what a trade would cost: the best bid is not below the best ask.
    pub fn is_crossed(&self) -> bool {
        let best = (self.bids.last_key_value(), self.asks.first_key_value());
        matches!(best, (Some((bid, _)), Some((ask, _))) if bid >= ask)
    }

    /// [`assert_starts_with`](Book::assert_starts_with) a list that has both sides.
    pub fn assert_top(&self, bids: &Value, asks: &Value, what: &str) {
        let is_empty = |levels: &Value| levels.as_array().is_none_or(Vec::is_empty);
        assert!(!is_empty(bids) && !is_empty(asks), "{what}: nothing to compare with");
        self.assert_starts_with(bids, asks, what);
    }

    /// Compares the best levels with a list of `[price, quantity]`, best first.
    pub fn assert_starts_with(&self, bids: &Value, asks: &Value, what: &str) {
        let listed = |levels: &Value| -> Vec<(i128, String)> {
            let level = |level: &Value| {
                (price(level[0].as_str().unwrap()), quantity(level[1].as_str().unwrap()).unwrap())
            };
            levels.as_array().unwrap().iter().map(level).collect()
        };
        let (bids, asks) = (listed(bids), listed(asks));
        let own = |(at, text): (&i128, &String)| (*at, text.clone());
        assert_eq!(self.bids.iter().rev().take(bids.len()).map(own).collect::<Vec<_>>(), bids, "{what} bids");
        assert_eq!(self.asks.iter().take(asks.len()).map(own).collect::<Vec<_>>(), asks, "{what} asks");
    }
}

/// The rows of one instrument.
pub fn of_instrument<'a>(rows: &'a [Value], market: &str, symbol: &str) -> impl Iterator<Item = &'a Value> {
    let (market, symbol) = (market.to_owned(), symbol.to_owned());
    rows.iter().filter(move |row| row["market"] == market.as_str() && row["venue_symbol"] == symbol.as_str())
}

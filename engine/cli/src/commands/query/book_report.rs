//! A rebuilt book as JSON or as a table.

use std::io::Write;

use marketprism_book::RebuiltBook;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::Level;
use marketprism_core::{Decimal, Instrument, json};
use serde_json::{Value, json};

use super::super::inspect::output::{Table, utc};
use super::table::quantity_unit;
use crate::text::duration_ns;

/// The result for one instrument.
pub(super) struct State {
    pub(super) instrument: Instrument,
    /// Why the book is not valid.
    pub(super) invalid: Option<String>,
    /// The book, where there was a snapshot to start from.
    pub(super) rebuilt: Option<RebuiltBook>,
}

impl State {
    /// Exchange and receive time of the newest message of the book, as far as they are known.
    fn times(&self) -> [Option<i64>; 2] {
        let known = |time: i64| (time != TIME_MISSING).then_some(time);
        let book = self.rebuilt.as_ref();
        [book.and_then(|book| known(book.exchange_ns)), book.and_then(|book| known(book.receive_ns))]
    }

    /// The book, where it is valid.
    fn valid(&self) -> Option<&RebuiltBook> {
        self.rebuilt.as_ref().filter(|_| self.invalid.is_none())
    }
}

/// Appends `{"kind":"book",…}` as `decode --books` has it, with the times at its end; without levels, and with the reason,
/// where it is not valid.
pub(super) fn write_json(out: &mut Vec<u8>, state: &State, at_ns: i64, depth: usize) {
    let instrument = &state.instrument;
    if let Some(rebuilt) = state.valid() {
        let book = rebuilt.synced.book();
        let exponents = (book.price_exponent(), book.quantity_exponent());
        let last_id = rebuilt.synced.last_id().unwrap_or(0);
        json::write_book(
            out,
            instrument,
            last_id,
            exponents,
            book.bids().take(depth),
            book.asks().take(depth),
        );
        // The object and its line go on.
        out.truncate(out.len().saturating_sub("}\n".len()));
    } else {
        let mut head = json!({
            "kind": "book", "venue": instrument.venue, "market": instrument.market,
            "symbol": instrument.symbol, "venue_symbol": instrument.venue_symbol, "valid": false,
        });
        head["reason"] = Value::from(state.invalid.as_deref());
        out.extend_from_slice(head.to_string().trim_end_matches('}').as_bytes());
    }
    let [exchange_ns, receive_ns] = state.times();
    let age_ns = receive_ns.map(|receive_ns| at_ns - receive_ns);
    let times = [
        ("at_ns", Some(at_ns)),
        ("exchange_ns", exchange_ns),
        ("receive_ns", receive_ns),
        ("age_ns", age_ns),
    ];
    for (key, time) in times {
        if let Some(time) = time {
            // Writing to a vector cannot fail.
            let _ = write!(out, ",\"{key}\":{time}");
        }
    }
    out.extend_from_slice(b"}\n");
}

/// The book for people.
pub(super) fn report(state: &State, at_ns: i64, depth: usize) -> String {
    let instrument = &state.instrument;
    let verdict = state.invalid.as_ref().map_or("valid".to_owned(), |why| format!("NOT VALID: {why}"));
    let mut text = format!(
        "{}/{} {} ({}) at {}: {verdict}\n",
        instrument.venue,
        instrument.market,
        instrument.venue_symbol,
        instrument.symbol,
        utc(at_ns)
    );
    let mut facts = Vec::new();
    if let Some(last_id) = state.valid().and_then(|rebuilt| rebuilt.synced.last_id()) {
        facts.push(format!("last id {last_id}"));
    }
    let [exchange_ns, receive_ns] = state.times();
    facts.extend(exchange_ns.map(|time| format!("exchange time {}", utc(time))));
    facts.extend(receive_ns.map(|time| {
        format!("last message received {} before", duration_ns(at_ns.saturating_sub(time).unsigned_abs()))
    }));
    if !facts.is_empty() {
        text.push_str(&format!("{}\n", facts.join(", ")));
    }
    if let Some(rebuilt) = state.valid() {
        text.push_str(&levels(rebuilt, instrument, depth));
    }
    text.push('\n');
    text
}

fn levels(rebuilt: &RebuiltBook, instrument: &Instrument, depth: usize) -> String {
    let book = rebuilt.synced.book();
    let named = |name: &str, unit: &str| {
        if unit.is_empty() { name.to_owned() } else { format!("{name} ({unit})") }
    };
    let (quantity, price) = (quantity_unit(instrument), &instrument.quote);
    let head = [
        named("bid quantity", &quantity),
        named("bid price", price),
        named("ask price", price),
        named("ask quantity", &quantity),
    ];
    let mut table = Table::new(">>>>", &head.each_ref().map(String::as_str));
    let (mut bids, mut asks) = (book.bids(), book.asks());
    let texts = |level: Option<Level>| {
        let text = |number, exponent| Decimal::new(number, exponent).to_string();
        level.map_or(Default::default(), |level| {
            [text(level.price, book.price_exponent()), text(level.quantity, book.quantity_exponent())]
        })
    };
    for _ in 0..depth.min(book.bid_len().max(book.ask_len())) {
        let ([bid, bid_quantity], [ask, ask_quantity]) = (texts(bids.next()), texts(asks.next()));
        table.row(vec![bid_quantity, bid, ask, ask_quantity]);
    }
    table.text()
}

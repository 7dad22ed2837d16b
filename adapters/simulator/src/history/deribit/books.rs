//! Books and best prices.

use marketprism_core::record::{ABSENT, Book as BookRecord, Quote, flag};
use marketprism_core::{Decimal, Instrument, Kind, Level};

use super::object::{DECIMALS, Object};
use super::{Message, Stream};
use crate::history::chained::numbers::Numbers;
use crate::history::chained::{Book, Row, Side};

/// A message of `book`; of the best levels only where it is partial. `before` tells new levels from changed ones.
pub(super) fn message(
    record: &BookRecord,
    levels: &[Level],
    instrument: &Instrument,
    before: Option<&Book>,
) -> Message {
    let header = &record.header;
    let symbol = instrument.venue_symbol.clone();
    let (bids, asks) = levels.split_at_checked(record.bid_levels.into()).unwrap_or((levels, &[]));
    let prices = Numbers::new(header.price_exponent, DECIMALS, levels.iter().map(|level| level.price));
    let amounts = Numbers::new(header.quantity_exponent, DECIMALS, levels.iter().map(|level| level.quantity));
    let is_partial = header.flags & flag::PARTIAL != 0;
    let is_snapshot = header.kind == Kind::BookSnapshot as u8;
    let action = |side: Side, level: &Level| match before {
        _ if is_partial => "",
        _ if level.quantity == 0 => "delete",
        Some(book) if !is_snapshot && book.holds(side, Decimal::new(level.price, header.price_exponent)) => {
            "change"
        }
        _ => "new",
    };
    let side = |side: Side, levels: &[Level]| {
        rows(levels.iter().map(|level| {
            let amount =
                if level.quantity == 0 { "0.0".to_owned() } else { amounts.text(level.quantity, "") };
            (action(side, level), prices.text(level.price, ""), amount)
        }))
    };
    let mut data = Object::new();
    if !is_partial {
        data = data.text("type", if is_snapshot { "snapshot" } else { "change" });
    }
    data = data.time("timestamp", header.exchange_ns);
    if record.previous_id != ABSENT {
        data = data.raw("prev_change_id", &record.previous_id.to_string());
    }
    let data = data
        .text("instrument_name", &symbol)
        .raw("change_id", &header.sequence.to_string())
        .raw("bids", &side(Side::Bid, bids))
        .raw("asks", &side(Side::Ask, asks));
    let stream =
        if is_partial { Stream::Window(symbol, bids.len().max(asks.len())) } else { Stream::Book(symbol) };
    let first_id = u64::try_from(record.previous_id).unwrap_or(header.sequence);
    Message::new(stream, data.end()).with_ids(first_id, header.sequence)
}

/// Rows of action, price and amount; without an action they have two elements.
fn rows(levels: impl Iterator<Item = (&'static str, String, String)>) -> String {
    let mut text = "[".to_owned();
    for (action, price, amount) in levels {
        if text.len() > 1 {
            text.push(',');
        }
        text.push('[');
        if !action.is_empty() {
            text.push_str(&format!("\"{action}\","));
        }
        text.push_str(&format!("{price},{amount}]"));
    }
    text.push(']');
    text
}

/// The snapshot for somebody who subscribes the book now.
pub(crate) fn first_book(book: &Book, symbol: &str) -> Message {
    let data = Object::new()
        .text("type", "snapshot")
        .time("timestamp", book.exchange_ns())
        .text("instrument_name", symbol)
        .raw("change_id", &book.last_id().to_string())
        .raw("bids", &known_rows(book, Side::Bid, "new", usize::MAX))
        .raw("asks", &known_rows(book, Side::Ask, "new", usize::MAX));
    Message::new(Stream::Book(symbol.to_owned()), data.end()).with_ids(book.last_id(), book.last_id())
}

/// The answer of `public/get_order_book`, as far as the log knows it.
pub(crate) fn order_book(book: &Book, symbol: &str, depth: usize) -> String {
    Object::new()
        .time("timestamp", book.exchange_ns())
        .text("instrument_name", symbol)
        .text("state", "open")
        .raw("change_id", &book.last_id().to_string())
        .raw("bids", &known_rows(book, Side::Bid, "", depth))
        .raw("asks", &known_rows(book, Side::Ask, "", depth))
        .end()
}

fn known_rows(book: &Book, side: Side, action: &'static str, most: usize) -> String {
    let float = |number: Decimal| {
        Numbers::one(number.mantissa, number.exponent, DECIMALS).shortest().text(number.mantissa, "")
    };
    let text = |(price, amount): Row| (action, float(price), float(amount));
    rows(book.rows(side).take(most).map(text))
}

pub(super) fn quote(quote: &Quote, instrument: &Instrument) -> Message {
    let header = &quote.header;
    let prices = Numbers::new(header.price_exponent, DECIMALS, [quote.bid_price, quote.ask_price]);
    let amounts = Numbers::new(header.quantity_exponent, DECIMALS, [quote.bid_quantity, quote.ask_quantity]);
    let data = Object::new()
        .time("timestamp", header.exchange_ns)
        .text("instrument_name", &instrument.venue_symbol)
        .best("ask", (prices, quote.ask_price), (amounts, quote.ask_quantity))
        .best("bid", (prices, quote.bid_price), (amounts, quote.bid_quantity));
    Message::new(Stream::Quote(instrument.venue_symbol.clone()), data.end())
}

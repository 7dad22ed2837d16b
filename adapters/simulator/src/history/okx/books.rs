//! Books and best prices.

use marketprism_core::record::{ABSENT, Book as BookRecord, Quote, flag};
use marketprism_core::{Decimal, Instrument, Kind, Level};

use super::Message;
use super::object::Object;
use crate::history::chained::numbers::Numbers;
use crate::history::chained::{Book, Row, Side};

/// A message of `books`, or of `books5` where it is only the best levels.
pub(super) fn message(book: &BookRecord, levels: &[Level], instrument: &Instrument) -> Message {
    let header = &book.header;
    let sides = sides(book, levels);
    let data = Object::new().raw("asks", &sides.asks).raw("bids", &sides.bids);
    let symbol = &instrument.venue_symbol;
    if header.flags & flag::PARTIAL != 0 {
        let data = data.text("instId", symbol).time("ts", header.exchange_ns);
        return Message::new("books5", symbol, &sequence(data, header.sequence).end())
            .with_ids(header.sequence, header.sequence);
    }
    let data = data.time("ts", header.exchange_ns).raw("checksum", &checksum(book.checksum()));
    let mut data = sequence(data, header.sequence);
    if book.previous_id != ABSENT {
        data = data.raw("prevSeqId", &book.previous_id.to_string());
    }
    let action = if header.kind == Kind::BookSnapshot as u8 { "snapshot" } else { "update" };
    with_action(action, symbol, &data.end()).with_ids(header.sequence, header.sequence)
}

/// Written with its sign; 0 since the venue gives none.
fn checksum(checksum: Option<u32>) -> String {
    checksum.map_or(0, u32::cast_signed).to_string()
}

/// Messages of before ids have none.
fn sequence(data: Object, sequence: u64) -> Object {
    if sequence == 0 { data } else { data.raw("seqId", &sequence.to_string()) }
}

fn with_action(action: &str, symbol: &str, data: &str) -> Message {
    let message = Message::new("books", symbol, data);
    Message { body: format!("\"action\":\"{action}\",{}", message.body), ..message }
}

/// The two sides of a message as JSON.
struct Sides {
    bids: String,
    asks: String,
}

fn sides(book: &BookRecord, levels: &[Level]) -> Sides {
    let header = &book.header;
    let prices = Numbers::new(header.price_exponent, 0, levels.iter().map(|level| level.price));
    let quantities = Numbers::new(header.quantity_exponent, 0, levels.iter().map(|level| level.quantity));
    let (bids, asks) = levels.split_at_checked(book.bid_levels.into()).unwrap_or((levels, &[]));
    let text =
        |levels: &[Level]| {
            rows(levels.iter().map(|level| {
                (prices.text(level.price, ""), quantities.text(level.quantity, ""), level.quantity)
            }))
        };
    Sides { bids: text(bids), asks: text(asks) }
}

/// Rows of price, size, an element without meaning, and a number of orders: one where there is a size.
fn rows(levels: impl Iterator<Item = (String, String, i64)>) -> String {
    let mut text = "[".to_owned();
    for (price, size, mantissa) in levels {
        if text.len() > 1 {
            text.push(',');
        }
        let orders = if mantissa == 0 { "0" } else { "1" };
        for part in ["[\"", &price, "\",\"", &size, "\",\"0\",\"", orders, "\"]"] {
            text.push_str(part);
        }
    }
    text.push(']');
    text
}

/// The snapshot for somebody who subscribes `books` now.
pub(crate) fn first_book(book: &Book, symbol: &str) -> Message {
    let data = Object::new()
        .raw("asks", &known_rows(book, Side::Ask, usize::MAX))
        .raw("bids", &known_rows(book, Side::Bid, usize::MAX))
        .time("ts", book.exchange_ns())
        .raw("checksum", &checksum(book.checksum()));
    let data = sequence(data, book.last_id()).raw("prevSeqId", "-1");
    with_action("snapshot", symbol, &data.end()).with_ids(book.last_id(), book.last_id())
}

/// The answer of `market/books`: the best levels of a book.
pub(crate) fn depth(book: &Book, levels: usize) -> String {
    let data = Object::new()
        .raw("asks", &known_rows(book, Side::Ask, levels))
        .raw("bids", &known_rows(book, Side::Bid, levels))
        .time("ts", book.exchange_ns());
    sequence(data, book.last_id()).end()
}

fn known_rows(book: &Book, side: Side, most: usize) -> String {
    let short = |number: Decimal| number.normalised().to_string();
    let text = |(price, quantity): Row| (short(price), short(quantity), quantity.mantissa);
    rows(book.rows(side).take(most).map(text))
}

pub(super) fn quote(quote: &Quote, instrument: &Instrument) -> Message {
    let header = &quote.header;
    let prices = Numbers::new(header.price_exponent, 0, [quote.bid_price, quote.ask_price]);
    let quantities = Numbers::new(header.quantity_exponent, 0, [quote.bid_quantity, quote.ask_quantity]);
    let side = |price: i64, quantity: i64| {
        let level =
            (price != ABSENT).then(|| (prices.text(price, ""), quantities.text(quantity, "0"), quantity));
        rows(level.into_iter())
    };
    let data = Object::new()
        .raw("asks", &side(quote.ask_price, quote.ask_quantity))
        .raw("bids", &side(quote.bid_price, quote.bid_quantity))
        .time("ts", header.exchange_ns);
    Message::new("bbo-tbt", &instrument.venue_symbol, &sequence(data, header.sequence).end())
        .with_ids(header.sequence, header.sequence)
}

//! Indices and candles.

use marketprism_core::Instrument;
use marketprism_core::record::{Candle, MarkPrice, VolatilityIndex, text_of};

use super::object::{DECIMALS, Object};
use super::{Message, Stream};
use crate::history::chained::numbers::Numbers;

pub(super) fn index(price: &MarkPrice, instrument: &Instrument) -> Message {
    let name = &instrument.venue_symbol;
    let data = Object::new()
        .text("index_name", name)
        .decimal("price", price.index_price, price.header.price_exponent)
        .time("timestamp", price.header.exchange_ns);
    Message::new(Stream::Index(name.clone()), data.end())
}

pub(super) fn volatility(index: &VolatilityIndex, instrument: &Instrument) -> Message {
    let name = &instrument.venue_symbol;
    let data = Object::new()
        .decimal("volatility", index.volatility, index.header.price_exponent)
        .time("timestamp", index.header.exchange_ns)
        .text("index_name", name);
    Message::new(Stream::Volatility(name.clone()), data.end())
}

pub(super) fn candle(candle: &Candle, instrument: &Instrument) -> Message {
    let header = &candle.header;
    let prices = [candle.open, candle.high, candle.low, candle.close];
    let prices = Numbers::new(header.price_exponent, DECIMALS, prices);
    let data = Object::new()
        .time("tick", candle.open_ns)
        .number("open", prices, candle.open)
        .number("high", prices, candle.high)
        .number("low", prices, candle.low)
        .number("close", prices, candle.close)
        .decimal("volume", candle.volume, header.quantity_exponent)
        .decimal("cost", candle.quote_volume, candle.quote_volume_exponent);
    let resolution = text_of(&candle.interval).to_owned();
    Message::new(Stream::Candles(instrument.venue_symbol.clone(), resolution), data.end())
}

//! What is computed from the market: tickers, prices and rates, open interest, candles and greeks.

use marketprism_core::Instrument;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{
    ABSENT, Candle, FundingRate, Greeks, MarkPrice, OpenInterest, Ticker, text_of,
};

use super::object::Object;
use super::{Message, family, instrument_type};
use crate::history::chained::numbers::{Numbers, venue_time};

pub(super) fn ticker(ticker: &Ticker, instrument: &Instrument) -> Message {
    let header = &ticker.header;
    let prices = [ticker.last, ticker.open, ticker.high, ticker.low, ticker.bid_price, ticker.ask_price];
    let prices = Numbers::new(header.price_exponent, 0, prices);
    let sizes = [ticker.volume, ticker.last_quantity, ticker.bid_quantity, ticker.ask_quantity];
    let sizes = Numbers::new(header.quantity_exponent, 0, sizes);
    let (currency_volume, currency_exponent) = match instrument.market.as_str() {
        "spot" => (ticker.quote_volume, ticker.quote_volume_exponent),
        _ => (ticker.base_volume, ticker.base_volume_exponent),
    };
    let data = named(instrument)
        .number("last", prices, ticker.last)
        .number("lastSz", sizes, ticker.last_quantity)
        .number("askPx", prices, ticker.ask_price)
        .number("askSz", sizes, ticker.ask_quantity)
        .number("bidPx", prices, ticker.bid_price)
        .number("bidSz", sizes, ticker.bid_quantity)
        .number("open24h", prices, ticker.open)
        .number("high24h", prices, ticker.high)
        .number("low24h", prices, ticker.low)
        .number("sodUtc0", prices, ticker.open)
        .number("sodUtc8", prices, ticker.open)
        .decimal("volCcy24h", currency_volume, currency_exponent)
        .number("vol24h", sizes, ticker.volume)
        .time("ts", header.exchange_ns);
    Message::new("tickers", &instrument.venue_symbol, &data.end())
}

fn named(instrument: &Instrument) -> Object {
    let kind = instrument_type(&instrument.market);
    Object::new().text("instType", kind).text("instId", &instrument.venue_symbol)
}

pub(super) fn mark_price(price: &MarkPrice, instrument: &Instrument) -> Message {
    let header = &price.header;
    let data = named(instrument)
        .decimal("markPx", price.mark_price, header.price_exponent)
        .time("ts", header.exchange_ns);
    Message::new("mark-price", &instrument.venue_symbol, &data.end())
}

pub(super) fn index(price: &MarkPrice, instrument: &Instrument) -> Message {
    let header = &price.header;
    let mut data = Object::new().text("instId", &instrument.venue_symbol);
    for key in ["idxPx", "high24h", "low24h", "open24h", "sodUtc0", "sodUtc8"] {
        data = data.decimal(key, price.index_price, header.price_exponent);
    }
    Message::new("index-tickers", &instrument.venue_symbol, &data.time("ts", header.exchange_ns).end())
}

pub(super) fn funding_rate(rate: &FundingRate, instrument: &Instrument) -> Message {
    // The interval is known from the settlements on both sides of the next one.
    let settlement = |interval: i64| match (rate.next_funding_ns, rate.interval_ns) {
        (TIME_MISSING, _) | (_, ABSENT) => TIME_MISSING,
        (next, length) => next.saturating_add(interval.saturating_mul(length)),
    };
    let data = Object::new()
        .text("formulaType", "noRate")
        .decimal("fundingRate", rate.rate, rate.rate_exponent)
        .time("fundingTime", rate.next_funding_ns)
        .text("impactValue", "")
        .text("instId", &instrument.venue_symbol)
        .text("instType", instrument_type(&instrument.market))
        .decimal("interestRate", rate.interest_rate, rate.interest_exponent)
        .text("maxFundingRate", "0.00375")
        .text("method", "current_period")
        .text("minFundingRate", "-0.00375")
        .text("nextFundingRate", "")
        .time("nextFundingTime", settlement(1))
        .decimal("premium", rate.premium, rate.premium_exponent)
        .time("prevFundingTime", settlement(-1))
        .decimal("settFundingRate", rate.realised_rate, rate.realised_exponent)
        .text("settState", "settled")
        .time("ts", rate.header.exchange_ns);
    Message::new("funding-rate", &instrument.venue_symbol, &data.end())
}

pub(super) fn open_interest(interest: &OpenInterest, instrument: &Instrument) -> Message {
    let header = &interest.header;
    let data = Object::new()
        .text("instId", &instrument.venue_symbol)
        .text("instType", instrument_type(&instrument.market))
        .decimal("oi", interest.open_interest, header.quantity_exponent)
        .decimal("oiCcy", interest.open_interest_base, interest.base_exponent)
        .decimal("oiUsd", interest.open_interest_value, interest.value_exponent)
        .time("ts", header.exchange_ns);
    Message::new("open-interest", &instrument.venue_symbol, &data.end())
}

/// A bar: nine texts. The amount in the other currency is not kept; it gets the one that is.
pub(super) fn candle(candle: &Candle, instrument: &Instrument) -> Message {
    let header = &candle.header;
    let prices = [candle.open, candle.high, candle.low, candle.close];
    let texts = prices.map(|price| Numbers::new(header.price_exponent, 0, prices).text(price, ""));
    let number = |mantissa, exponent| Numbers::one(mantissa, exponent, 0).text(mantissa, "");
    let amount = number(candle.quote_volume, candle.quote_volume_exponent);
    let mut row = vec![venue_time(candle.open_ns).unwrap_or_default()];
    row.extend(texts);
    row.extend([
        number(candle.volume, header.quantity_exponent),
        amount.clone(),
        amount,
        candle.closed.to_string(),
    ]);
    let channel = format!("candle{}", bar_name(text_of(&candle.interval)));
    Message::new(&channel, &instrument.venue_symbol, &serde_json::Value::from(row).to_string())
}

/// The venue's name of a bar; records have four bytes for it, which hold `u` of `utc`.
fn bar_name(interval: &str) -> String {
    let rest = if interval.ends_with('u') { "tc" } else { "" };
    format!("{interval}{rest}")
}

pub(super) fn greeks(greeks: &Greeks, instrument: &Instrument) -> Message {
    let numbers = greeks.numbers();
    let mut data = named(instrument).text("uly", &instrument.underlying).text("realVol", "");
    for (place, key) in KEYS {
        let number = numbers.get(place).zip(greeks.exponents.get(place));
        let (mantissa, exponent) = number.map_or((ABSENT, 0), |(mantissa, exponent)| (*mantissa, *exponent));
        data = data.decimal(key, mantissa, exponent);
    }
    let data = data.time("ts", greeks.header.exchange_ns).end();
    Message::new("opt-summary", family(&instrument.venue_symbol), &data)
}

/// Places among [`Greeks::numbers`] and their keys.
const KEYS: [(usize, &str); 14] = [
    (0, "delta"),
    (1, "gamma"),
    (2, "vega"),
    (3, "theta"),
    (5, "deltaBS"),
    (6, "gammaBS"),
    (7, "vegaBS"),
    (8, "thetaBS"),
    (9, "markVol"),
    (10, "bidVol"),
    (11, "askVol"),
    (12, "volLv"),
    (13, "fwdPx"),
    (15, "lever"),
];

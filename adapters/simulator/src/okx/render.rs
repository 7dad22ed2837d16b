//! Messages as text.

use std::fmt::Write;

use serde_json::json;

use super::book::{Row, Side};
use super::candle::Bar;
use super::catalogue::{Market, Spec};
use super::instrument::{Instrument, Trade};
use super::number::{decimal, push_decimal, signed};

/// Funding is settled every eight hours.
pub(crate) const FUNDING_INTERVAL: u64 = 8 * 3_600_000;
/// A settlement takes that long.
const SETTLING: u64 = 60_000;

/// A push: the subscribed argument, and one element of data.
pub(crate) fn push(arg: &str, data: &str) -> String {
    format!("{{\"arg\":{arg},\"data\":[{data}]}}")
}

/// Rows of a book as OKX has them: price, size, "0", number of orders.
pub(crate) fn levels(instrument: &Instrument, rows: impl Iterator<Item = Row>) -> String {
    let spec = &instrument.spec;
    let mut text = "[".to_owned();
    for (tick, lots) in rows {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str("[\"");
        push_decimal(&mut text, u128::from(instrument.ticks(tick) * spec.tick), spec.price_scale);
        text.push_str("\",\"");
        push_decimal(&mut text, u128::from(lots), spec.lot_scale);
        // Writing to a string cannot fail.
        let _ = write!(text, "\",\"0\",\"{}\"]", orders(lots));
    }
    text.push(']');
    text
}

/// Number of orders in a level: any number will do, as long as it stays with the size.
fn orders(lots: u64) -> u64 {
    if lots == 0 { 0 } else { 1 + lots % 7 }
}

/// What a book message says beside its levels.
pub(crate) struct BookMessage<'a> {
    pub(crate) action: &'a str,
    pub(crate) bids: String,
    pub(crate) asks: String,
    pub(crate) checksum: i32,
    pub(crate) sequence: u64,
    /// -1 for a snapshot.
    pub(crate) previous: i128,
}

impl BookMessage<'_> {
    pub(crate) fn text(&self, arg: &str, now_ms: u64) -> String {
        let BookMessage { action, bids, asks, checksum, sequence, previous } = self;
        format!(
            "{{\"arg\":{arg},\"action\":\"{action}\",\"data\":[{{\"asks\":{asks},\"bids\":{bids},\
             \"ts\":\"{now_ms}\",\"checksum\":{checksum},\"seqId\":{sequence},\"prevSeqId\":{previous}}}]}}"
        )
    }
}

/// The sides of a book without increments: `"asks":[...],"bids":[...]`.
pub(crate) fn sides(instrument: &Instrument, depth: usize) -> String {
    let side = |side| levels(instrument, instrument.ladder.walk(side).take(depth));
    format!("\"asks\":{},\"bids\":{}", side(Side::Ask), side(Side::Bid))
}

/// An aggregated trade.
pub(crate) fn trade(spec: &Spec, trade: &Trade) -> String {
    format!(
        "{{\"instId\":\"{}\",\"tradeId\":\"{}\",\"px\":\"{}\",\"sz\":\"{}\",\"side\":\"{}\",\"ts\":\"{}\",\
         \"count\":\"{}\",\"source\":\"0\",\"seqId\":{}}}",
        spec.name,
        trade.id,
        spec.price(trade.ticks),
        spec.size(trade.lots),
        side(trade.buy),
        trade.time_ms,
        trade.fills,
        trade.sequence
    )
}

/// One fill of a trade.
pub(crate) fn fill(spec: &Spec, trade: &Trade, (id, lots): (u64, u64)) -> String {
    format!(
        "{{\"instId\":\"{}\",\"tradeId\":\"{id}\",\"px\":\"{}\",\"sz\":\"{}\",\"side\":\"{}\",\
         \"source\":\"0\",\"ts\":\"{}\"}}",
        spec.name,
        spec.price(trade.ticks),
        spec.size(lots),
        side(trade.buy),
        trade.time_ms
    )
}

pub(crate) fn side(buy: bool) -> &'static str {
    if buy { "buy" } else { "sell" }
}

/// Traded amounts in the venue's two other units: `volCcy` (quote for spot, base for contracts) and `volCcyQuote`.
/// `notional` is the sum of price in ticks times lots.
fn amounts(spec: &Spec, lots: u64, notional: u128) -> (String, String) {
    let quote_scale = spec.price_scale + spec.lot_scale;
    let quote = notional * u128::from(spec.tick);
    if spec.market == Market::Spot {
        let text = decimal(quote, quote_scale);
        return (text.clone(), text);
    }
    let (mantissa, scale) = spec.contract_value();
    let contracts = decimal(u128::from(lots) * mantissa, spec.lot_scale + scale);
    if spec.quote != "USD" {
        return (contracts, decimal(quote * mantissa, quote_scale + scale));
    }
    // Dollars over the usual price, to eight decimals.
    let price = u128::from(spec.middle * spec.tick).max(1);
    let power = 10_u128.pow(u32::from(spec.price_scale) + 8);
    let base = u128::from(lots) * mantissa * power / price;
    (decimal(base, spec.lot_scale + scale + 8), contracts)
}

pub(crate) fn ticker(instrument: &Instrument, now_ms: u64) -> String {
    let (spec, day) = (&instrument.spec, &instrument.day);
    let [bid, ask] = instrument.ladder.top();
    let last = instrument.last_trade();
    let (volume_currency, _) = amounts(spec, day.volume, day.notional);
    format!(
        "{{\"instType\":\"{}\",\"instId\":\"{}\",\"last\":\"{}\",\"lastSz\":\"{}\",\"askPx\":\"{}\",\
         \"askSz\":\"{}\",\"bidPx\":\"{}\",\"bidSz\":\"{}\",\"open24h\":\"{open}\",\"high24h\":\"{}\",\
         \"low24h\":\"{}\",\"sodUtc0\":\"{open}\",\"sodUtc8\":\"{open}\",\"volCcy24h\":\"{volume_currency}\",\
         \"vol24h\":\"{}\",\"ts\":\"{now_ms}\"}}",
        spec.market.instrument_type(),
        spec.name,
        spec.price(last.ticks),
        spec.size(last.lots),
        instrument.price(ask.0),
        spec.size(ask.1),
        instrument.price(bid.0),
        spec.size(bid.1),
        spec.price(day.high),
        spec.price(day.low),
        spec.size(day.volume),
        open = spec.price(day.open),
    )
}

pub(crate) fn mark_price(instrument: &Instrument, now_ms: u64) -> String {
    let spec = &instrument.spec;
    format!(
        "{{\"instType\":\"{}\",\"instId\":\"{}\",\"markPx\":\"{}\",\"ts\":\"{now_ms}\"}}",
        spec.market.instrument_type(),
        spec.name,
        spec.price(instrument.middle())
    )
}

/// An index, which follows one instrument.
pub(crate) fn index(name: &str, lead: &Instrument, now_ms: u64) -> String {
    let price = |ticks| lead.spec.price(ticks);
    format!(
        "{{\"instId\":\"{name}\",\"idxPx\":\"{}\",\"high24h\":\"{}\",\"low24h\":\"{}\",\"open24h\":\"{open}\",\
         \"sodUtc0\":\"{open}\",\"sodUtc8\":\"{open}\",\"ts\":\"{now_ms}\"}}",
        price(lead.middle()),
        price(lead.day.high.max(lead.middle())),
        price(lead.day.low.min(lead.middle())),
        open = price(lead.day.open)
    )
}

/// The rate of a settlement, from -0.0003 to 0.0003 with 16 decimals.
fn funding(instrument: &Instrument, settlement: u64) -> String {
    let mixed = (settlement / FUNDING_INTERVAL + instrument.number as u64 * 31)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        % 6_000_000_000_000;
    signed(mixed.cast_signed() - 3_000_000_000_000, 16)
}

pub(crate) fn funding_rate(instrument: &Instrument, now_ms: u64) -> String {
    let last = now_ms / FUNDING_INTERVAL * FUNDING_INTERVAL;
    let next = last + FUNDING_INTERVAL;
    let rate = funding(instrument, next);
    let state = if now_ms < last + SETTLING { "processing" } else { "settled" };
    format!(
        "{{\"formulaType\":\"noRate\",\"fundingRate\":\"{rate}\",\"fundingTime\":\"{next}\",\
         \"impactValue\":\"\",\"instId\":\"{}\",\"instType\":\"SWAP\",\"interestRate\":\"\",\
         \"maxFundingRate\":\"0.00375\",\"method\":\"current_period\",\"minFundingRate\":\"-0.00375\",\
         \"nextFundingRate\":\"\",\"nextFundingTime\":\"{}\",\"premium\":\"{rate}\",\
         \"prevFundingTime\":\"{last}\",\"settFundingRate\":\"{}\",\"settState\":\"{state}\",\"ts\":\"{now_ms}\"}}",
        instrument.spec.name,
        next + FUNDING_INTERVAL,
        funding(instrument, last),
    )
}

/// Open interest in contracts, coins and dollars.
pub(crate) fn open_interest_amounts(instrument: &Instrument) -> [String; 3] {
    let spec = &instrument.spec;
    let lots = instrument.open_interest;
    let (base, quote) = amounts(spec, lots, u128::from(instrument.middle()) * u128::from(lots));
    [spec.size(lots), base, quote]
}

pub(crate) fn open_interest(instrument: &Instrument, now_ms: u64) -> String {
    let [contracts, coins, dollars] = open_interest_amounts(instrument);
    format!(
        "{{\"instId\":\"{}\",\"instType\":\"{}\",\"oi\":\"{contracts}\",\"oiCcy\":\"{coins}\",\
         \"oiUsd\":\"{dollars}\",\"ts\":\"{now_ms}\"}}",
        instrument.spec.name,
        instrument.spec.market.instrument_type()
    )
}

pub(crate) fn liquidation(instrument: &Instrument, trade: &Trade) -> String {
    let spec = &instrument.spec;
    let family = spec.family();
    format!(
        "{{\"details\":[{{\"bkLoss\":\"0\",\"bkPx\":\"{}\",\"ccy\":\"\",\"posSide\":\"{}\",\"side\":\"{}\",\
         \"sz\":\"{}\",\"ts\":\"{}\"}}],\"instFamily\":\"{family}\",\"instId\":\"{}\",\"instType\":\"{}\",\
         \"uly\":\"{family}\"}}",
        spec.price(trade.ticks),
        if trade.buy { "short" } else { "long" },
        side(trade.buy),
        spec.size(trade.lots),
        trade.time_ms,
        spec.name,
        spec.market.instrument_type()
    )
}

pub(crate) fn candle(spec: &Spec, bar: &Bar, confirmed: bool) -> String {
    let (volume_currency, volume_quote) = amounts(spec, bar.lots, bar.notional);
    let [open, high, low, close] = [bar.open, bar.high, bar.low, bar.close].map(|ticks| spec.price(ticks));
    format!(
        "[\"{}\",\"{open}\",\"{high}\",\"{low}\",\"{close}\",\"{}\",\"{volume_currency}\",\"{volume_quote}\",\"{}\"]",
        bar.open_ms,
        spec.size(bar.lots),
        u8::from(confirmed)
    )
}

/// Greeks and volatilities of an option: plausible numbers that move with its price.
pub(crate) fn option_summary(instrument: &Instrument, now_ms: u64) -> String {
    let Some(option) = instrument.spec.option else { return String::new() };
    let premium = instrument.middle();
    let delta = 500 + premium % 400;
    let (delta, sign) = if option.call { (delta, "") } else { (1000 - delta, "-") };
    let delta = format!("{sign}{}", decimal(delta, 3));
    let forward = if instrument.spec.base == "BTC" { "65012.5" } else { "3500.75" };
    json!({
        "instType": "OPTION", "instId": instrument.spec.name, "uly": instrument.spec.family(),
        "delta": delta, "gamma": decimal(premium, 4), "vega": decimal(premium, 6),
        "theta": format!("-{}", decimal(premium, 6)), "lever": decimal(8000 / premium.max(1), 1),
        "markVol": decimal(3_000 + premium, 4), "bidVol": decimal(2_900 + premium, 4),
        "askVol": decimal(3_100 + premium, 4), "realVol": "", "deltaBS": delta,
        "gammaBS": decimal(premium, 8), "thetaBS": format!("-{}", decimal(premium * 7, 2)),
        "vegaBS": decimal(premium * 3, 2), "ts": now_ms.to_string(), "fwdPx": forward, "volLv": "0.3044"
    })
    .to_string()
}

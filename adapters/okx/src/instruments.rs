//! Instruments from `public/instruments`. Canonical symbols are built from the venue's own, which are split at
//! `-`: only they tell contracts of one pair with different settlement apart (`BTC-USD-SWAP`,
//! `BTC-USD_UM-SWAP`), and they are there before a contract is listed, when most other fields are empty.

use std::collections::BTreeSet;

use marketprism_core::Decimal;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::{Instrument, InstrumentType, OptionType, VolatilityUnit};
use marketprism_core::venue::{DecodeError, Market};
use marketprism_parse::json::{self, Object, Value, bad};
use marketprism_parse::numbers::NO_DECIMAL;

use crate::general::{optional_decimal, time};
use crate::rest::answer;
use crate::streams::PERPETUAL_STYLE;

/// Reads the instruments and the indices that they follow; the entries that cannot be read are named with their
/// reason. Instruments of the venue's own tests are left out.
pub(crate) fn parse(market: &Market, body: &[u8]) -> Result<(Vec<Instrument>, Vec<String>), DecodeError> {
    let (mut instruments, mut unread) = (Vec::new(), Vec::new());
    for (index, entry) in answer(body)?.into_iter().enumerate() {
        match instrument(market, &entry) {
            Ok(instrument) if instrument.status == "test" => {}
            Ok(instrument) => instruments.push(instrument),
            Err(error) => unread.push(format!("{}: {error}", name_of(&entry, index))),
        }
    }
    if market.name != "spot" {
        let indices: BTreeSet<String> = instruments.iter().map(|i| i.underlying.clone()).collect();
        instruments.extend(indices.iter().filter(|name| !name.is_empty()).map(|name| index(market, name)));
    }
    Ok((instruments, unread))
}

/// What an entry that cannot be read is called.
fn name_of(entry: &Value<'_>, index: usize) -> String {
    let object = entry.object();
    let symbol = object.as_ref().and_then(|object| object.get("instId")).and_then(Value::text);
    symbol.map_or_else(|| format!("entry {index}"), String::from)
}

fn instrument(market: &Market, entry: &Value<'_>) -> Result<Instrument, DecodeError> {
    let entry = entry.object().ok_or_else(|| DecodeError::Shape("not an object".to_owned()))?;
    let venue_symbol = entry.text("instId")?.into_owned();
    let name = Name::of(market, &venue_symbol, &text(&entry, "ruleType")?)?;
    let settle = text(&entry, "settleCcy")?;
    let is_option = name.instrument_type == InstrumentType::Option;
    let contract_size = positive(&entry, "ctVal")?;
    let underlying = match text(&entry, "uly")? {
        empty if empty.is_empty() => text(&entry, "instFamily")?,
        underlying => underlying,
    };
    let status = text(&entry, "state")?;
    Ok(Instrument {
        id: 0,
        venue: crate::NAME.to_owned(),
        market: market.name.to_owned(),
        symbol: name.canonical,
        instrument_type: name.instrument_type,
        base: name.base,
        // Prices of options are in the coin that they settle in.
        quote: if is_option && !settle.is_empty() { settle.clone() } else { name.quote },
        settle,
        tick: positive(&entry, "tickSz")?,
        lot: positive(&entry, "lotSz")?,
        contract_size,
        multiplier: multiplier(contract_size, positive(&entry, "ctMult")?),
        inverse: !is_option && text(&entry, "ctType")? == "inverse",
        underlying,
        strike: positive(&entry, "stk")?,
        option_type: match text(&entry, "optType")?.as_str() {
            "C" => Some(OptionType::Call),
            "P" => Some(OptionType::Put),
            _ => None,
        },
        volatility_unit: is_option.then_some(VolatilityUnit::Fraction),
        listing_ns: optional_time(&entry, "listTime")?,
        expiry_ns: optional_time(&entry, "expTime")?,
        suspended: status == "suspend",
        delisted: status == "expired",
        status,
        venue_symbol,
    })
}

/// What a venue symbol says.
struct Name {
    canonical: String,
    instrument_type: InstrumentType,
    base: String,
    quote: String,
}

impl Name {
    /// `BTC-USDT`, `BTC-USDT-SWAP`, `BTC-USD_UM_XPERP-310404`, `BTC-USD-221230-4000-C`. The canonical symbol keeps
    /// what follows the quote asset behind `_`.
    fn of(market: &Market, venue_symbol: &str, rule: &str) -> Result<Name, DecodeError> {
        let parts: Vec<&str> = venue_symbol.split('-').collect();
        let unknown =
            || bad("instId", format!("\"{venue_symbol}\" is no name of the market {}", market.name));
        let (instrument_type, base, quote, term) = match (market.name, parts.as_slice()) {
            ("spot", [base, quote]) => (InstrumentType::Spot, base, quote, String::new()),
            ("swap", [base, quote, "SWAP"]) => (InstrumentType::Perpetual, base, quote, "-PERP".to_owned()),
            ("futures", [base, quote, date]) if is_date(date) => {
                let style =
                    if rule == "xperp" && !quote.contains(PERPETUAL_STYLE) { PERPETUAL_STYLE } else { "" };
                (InstrumentType::Future, base, quote, format!("{style}-20{date}"))
            }
            ("option", [base, quote, date, strike, option_type]) if is_date(date) => {
                (InstrumentType::Option, base, quote, format!("-20{date}-{strike}-{option_type}"))
            }
            _ => return Err(unknown()),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(unknown());
        }
        let asset = quote.split('_').next().unwrap_or_default();
        Ok(Name {
            canonical: format!("{base}-{quote}{term}"),
            instrument_type,
            base: (*base).to_owned(),
            quote: asset.to_owned(),
        })
    }
}

/// Whether a part of a symbol is year, month and day.
fn is_date(part: &str) -> bool {
    part.len() == 6 && part.bytes().all(|byte| byte.is_ascii_digit())
}

/// The index with this name.
fn index(market: &Market, name: &str) -> Instrument {
    let (base, quote) = name.split_once('-').unwrap_or((name, ""));
    Instrument {
        symbol: format!("{name}-INDEX"),
        instrument_type: InstrumentType::Index,
        base: base.to_owned(),
        quote: quote.to_owned(),
        ..Instrument::unknown(crate::NAME, market.name, name)
    }
}

/// What one contract is worth: its size times the venue's multiplier, 1 where it gives none.
fn multiplier(contract_size: Option<Decimal>, factor: Option<Decimal>) -> Option<Decimal> {
    let product = contract_size?.checked_mul(factor.unwrap_or(Decimal::new(1, 0)))?;
    product.rescale(product.exponent.min(0))
}

/// A text; empty where there is none.
fn text(entry: &Object<'_>, key: &'static str) -> Result<String, DecodeError> {
    Ok(entry.optional_text(key)?.map(String::from).unwrap_or_default())
}

/// A decimal above 0, if there is one.
fn positive(entry: &Object<'_>, key: &'static str) -> Result<Option<Decimal>, DecodeError> {
    let value = optional_decimal(entry, key)?;
    Ok((value != NO_DECIMAL && value.mantissa > 0).then_some(value))
}

fn optional_time(entry: &Object<'_>, key: &'static str) -> Result<Option<i64>, DecodeError> {
    let time = time(entry, key)?;
    Ok((time != TIME_MISSING).then_some(time))
}

/// The `instId` of every entry of a push.
pub(crate) fn symbols_in(frame: &[u8]) -> Vec<String> {
    let symbol = |entry: Value<'_>| Some(entry.object()?.text("instId").ok()?.into_owned());
    let Some(push) = json::parse(frame).ok().and_then(|value| value.object()) else { return vec![] };
    let entries = push.get("data").and_then(Value::elements);
    entries.map_or(vec![], |entries| entries.filter_map(symbol).collect())
}

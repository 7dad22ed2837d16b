//! Instruments from `exchangeInfo`. Canonical symbols are built from its fields only, never from the venue's
//! symbol, which cannot be split by rule.

use std::collections::HashMap;

use marketprism_core::Decimal;
use marketprism_core::instrument::{Instrument, InstrumentType};
use marketprism_core::venue::{DecodeError, Market};
use marketprism_parse::dates::civil_date;
use marketprism_parse::json::{self, Object, Value, bad};

use crate::general::reason;
use crate::market::MarketKind;

/// Delivery from here on means never: the venue writes 2100-12-25 for perpetual contracts.
const FIRST_ENDLESS_MS: u64 = 4_102_444_800_000;

/// Reads the instruments; the entries that cannot be read are named with their reason.
pub(crate) fn parse(market: &Market, body: &[u8]) -> Result<(Vec<Instrument>, Vec<String>), DecodeError> {
    let value = json::parse(body)?;
    let object = value.object().ok_or_else(|| DecodeError::Shape("exchangeInfo is no object".to_owned()))?;
    if object.get("code").is_some() && object.find("msg").is_some() {
        return Err(DecodeError::Shape(format!("the venue answered {}", reason(&object))));
    }
    let entries = object.need("symbols")?.elements().ok_or_else(|| bad("symbols", "not an array"))?;
    let (mut instruments, mut unread) = (Vec::new(), Vec::new());
    for (index, entry) in entries.enumerate() {
        match instrument(market, &entry) {
            Ok(instrument) => instruments.push(instrument),
            Err(error) => unread.push(format!("{}: {error}", name_of(&entry, index))),
        }
    }
    make_unique(&mut instruments);
    Ok((instruments, unread))
}

/// What an entry that cannot be read is called.
fn name_of(entry: &Value<'_>, index: usize) -> String {
    let object = entry.object();
    let symbol = object.as_ref().and_then(|object| object.get("symbol")).and_then(Value::text);
    symbol.map_or_else(|| format!("entry {index}"), String::from)
}

fn instrument(market: &Market, entry: &Value<'_>) -> Result<Instrument, DecodeError> {
    let entry = entry.object().ok_or_else(|| DecodeError::Shape("not an object".to_owned()))?;
    let kind = MarketKind::of(market);
    let text = |key| entry.text(key).map(String::from);
    let (venue_symbol, base, quote) = (text("symbol")?, text("baseAsset")?, text("quoteAsset")?);
    if venue_symbol.is_empty() {
        return Err(bad("symbol", "empty"));
    }
    let (instrument_type, expiry_ns) = term(kind, &entry)?;
    let symbol = canonical(&base, &quote, instrument_type, expiry_ns);
    let (tick, lot) = steps(&entry)?;
    let contract_size = contract_size(&entry)?;
    let inverse = kind == MarketKind::CoinM;
    let status = status(&entry)?;
    Ok(Instrument {
        id: 0,
        venue: crate::NAME.to_owned(),
        market: market.name.to_owned(),
        venue_symbol,
        symbol,
        instrument_type,
        base,
        quote,
        settle: entry.optional_text("marginAsset")?.map(String::from).unwrap_or_default(),
        tick,
        lot,
        contract_size,
        multiplier: contract_size.filter(|_| inverse),
        inverse,
        underlying: entry.optional_text("pair")?.map(String::from).unwrap_or_default(),
        listing_ns: Some(entry.time_or("onboardDate", 0)?).filter(|time_ns| *time_ns != 0),
        expiry_ns,
        suspended: is_suspended(&status),
        delisted: is_delisted(&status),
        status,
        ..Instrument::default()
    })
}

/// Type and expiry in nanoseconds.
fn term(kind: MarketKind, entry: &Object<'_>) -> Result<(InstrumentType, Option<i64>), DecodeError> {
    if kind == MarketKind::Spot {
        return Ok((InstrumentType::Spot, None));
    }
    // Empty before a contract is listed; the delivery date decides then.
    let contract = entry.optional_text("contractType")?.unwrap_or_default();
    let delivery = entry.get("deliveryDate").map_or(Ok(u64::MAX), |_| entry.unsigned("deliveryDate"))?;
    if contract.contains("PERPETUAL") || delivery == 0 || delivery >= FIRST_ENDLESS_MS {
        return Ok((InstrumentType::Perpetual, None));
    }
    Ok((InstrumentType::Future, Some(entry.time_or("deliveryDate", 0)?)))
}

/// `BTC-USDT`, `BTC-USDT-PERP` or `BTC-USDT-20261225`.
fn canonical(base: &str, quote: &str, instrument_type: InstrumentType, expiry_ns: Option<i64>) -> String {
    match (instrument_type, expiry_ns) {
        (InstrumentType::Perpetual, _) => format!("{base}-{quote}-PERP"),
        (InstrumentType::Future, Some(expiry_ns)) => {
            let (year, month, day) = civil_date(expiry_ns);
            format!("{base}-{quote}-{year:04}{month:02}{day:02}")
        }
        _ => format!("{base}-{quote}"),
    }
}

/// Price and quantity step from the filters.
fn steps(entry: &Object<'_>) -> Result<(Option<Decimal>, Option<Decimal>), DecodeError> {
    let (mut tick, mut lot) = (None, None);
    let Some(filters) = entry.get("filters") else { return Ok((tick, lot)) };
    for filter in filters.elements().ok_or_else(|| bad("filters", "not an array"))? {
        let filter = filter.object().ok_or_else(|| bad("filters", "a filter that is no object"))?;
        match filter.text("filterType")?.as_ref() {
            "PRICE_FILTER" => tick = step(filter.decimal("tickSize")?),
            "LOT_SIZE" => lot = step(filter.decimal("stepSize")?),
            _ => {}
        }
    }
    Ok((tick, lot))
}

/// A positive decimal of a definition without trailing zeros behind the point; `None` where it is zero, which
/// is how the venue says that a filter is off.
fn step(value: Decimal) -> Option<Decimal> {
    let short = value.normalised();
    if short.mantissa <= 0 {
        return None;
    }
    if short.exponent > 0 { short.rescale(0).or(Some(short)) } else { Some(short) }
}

/// Quote units of one contract; a JSON number.
fn contract_size(entry: &Object<'_>) -> Result<Option<Decimal>, DecodeError> {
    match entry.get("contractSize") {
        Some(_) => Ok(Some(entry.decimal("contractSize")?)),
        None => Ok(None),
    }
}

/// The state: `contractStatus` on COIN-M, `status` elsewhere.
fn status(entry: &Object<'_>) -> Result<String, DecodeError> {
    let status = match entry.optional_text("contractStatus")? {
        Some(status) => Some(status),
        None => entry.optional_text("status")?,
    };
    Ok(status.map(String::from).unwrap_or_default())
}

/// Listed, and not traded for the time being. Most spot pairs in BREAK are never traded again.
fn is_suspended(status: &str) -> bool {
    status == "BREAK"
}

/// Whether the state says that trading has ended for good. Not `PRE_SETTLE`, `PRE_DELIVERING` and `DELIVERING`,
/// which come before. Not `BREAK` of spot: dead pairs keep it, but a pair in a pause has it too.
fn is_delisted(status: &str) -> bool {
    matches!(status, "SETTLING" | "DELIVERED" | "CLOSE")
}

/// Gives instruments with the same canonical symbol different ones. The one whose venue symbol is the usual
/// one for its assets keeps it, so that a later listing does not rename an older one; the others get their
/// venue symbol behind it.
fn make_unique(instruments: &mut [Instrument]) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for instrument in instruments.iter() {
        *counts.entry(instrument.symbol.clone()).or_default() += 1;
    }
    for instrument in instruments {
        let shared = counts.get(&instrument.symbol).is_some_and(|count| *count > 1);
        if shared && !has_usual_name(instrument) {
            instrument.symbol = format!("{}-{}", instrument.symbol, instrument.venue_symbol);
        }
    }
}

/// Whether the venue symbol is what the venue makes of these assets and this expiry.
fn has_usual_name(instrument: &Instrument) -> bool {
    let pair = format!("{}{}", instrument.base, instrument.quote);
    let Some(suffix) = instrument.venue_symbol.strip_prefix(pair.as_str()) else { return false };
    match instrument.expiry_ns {
        Some(expiry_ns) => {
            let (year, month, day) = civil_date(expiry_ns);
            suffix == format!("_{:02}{month:02}{day:02}", year % 100)
        }
        None => suffix.is_empty() || suffix == "_PERP",
    }
}

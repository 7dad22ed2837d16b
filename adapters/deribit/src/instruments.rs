//! Instruments from `public/get_instruments`. What an instrument is comes from the fields of its entry; entries of
//! older lists have fewer of them.

use std::collections::{BTreeSet, HashMap};

use marketprism_core::Decimal;
use marketprism_core::instrument::{Instrument, InstrumentType, OptionType, VolatilityUnit};
use marketprism_core::venue::{DecodeError, Market, Request};
use marketprism_parse::dates::civil_date;
use marketprism_parse::json::{Object, Value, bad};
use marketprism_parse::numbers::{NO_DECIMAL, time_ns};

use crate::market::{MarketKind, REST_WEIGHT};
use crate::rest::result;
use crate::streams::VOLATILITY_INDEXES;

/// Expiry from here on means never: the venue writes the year 3000 for perpetual contracts.
const FIRST_ENDLESS_MS: u64 = 4_102_444_800_000;

/// Asks for all instruments of the market. The venue has no kind for perpetual contracts alone.
pub(crate) fn requests(market: &Market) -> Vec<Request> {
    let kinds: &[&str] = match MarketKind::of(market.name) {
        MarketKind::Spot => &["spot"],
        MarketKind::Perpetual | MarketKind::Future => &["future"],
        MarketKind::Option => &["option"],
        MarketKind::Combo => &["future_combo", "option_combo"],
    };
    let path = |kind| format!("/api/v2/public/get_instruments?currency=any&kind={kind}&expired=false");
    kinds.iter().map(|kind| Request { path: path(kind), weight: REST_WEIGHT }).collect()
}

/// Reads the instruments of the market, and the indexes that they follow; the entries that cannot be read are named
/// with their reason. An index has the same symbol in every market: it is the same index.
pub(crate) fn parse(market: &Market, body: &[u8]) -> Result<(Vec<Instrument>, Vec<String>), DecodeError> {
    let list = result(body)?;
    let entries = list.elements().ok_or_else(|| bad("result", "not an array"))?;
    let (mut instruments, mut unread) = (Vec::new(), Vec::new());
    for (index, entry) in entries.enumerate() {
        match instrument(market, &entry) {
            Ok(found) => instruments.extend(found),
            Err(error) => unread.push(format!("{}: {error}", name_of(&entry, index))),
        }
    }
    make_unique(&mut instruments);
    let indexes: BTreeSet<String> =
        instruments.iter().map(|i| i.underlying.clone()).filter(|name| !name.is_empty()).collect();
    instruments.extend(indexes.into_iter().map(|name| price_index(market, name)));
    Ok((instruments, unread))
}

/// What an entry that cannot be read is called.
fn name_of(entry: &Value<'_>, index: usize) -> String {
    let object = entry.object();
    let symbol = object.as_ref().and_then(|object| object.get("instrument_name")).and_then(Value::text);
    symbol.map_or_else(|| format!("entry {index}"), String::from)
}

/// The instrument of an entry; `None` where it is of another market.
fn instrument(market: &Market, entry: &Value<'_>) -> Result<Option<Instrument>, DecodeError> {
    let entry = entry.object().ok_or_else(|| DecodeError::Shape("not an object".to_owned()))?;
    let expiry_ns = expiry(&entry)?;
    let Some((owner, instrument_type)) = kind(&entry, expiry_ns)? else { return Ok(None) };
    if owner != MarketKind::of(market.name) {
        return Ok(None);
    }
    let text = |key| Ok::<_, DecodeError>(entry.optional_text(key)?.map(String::from).unwrap_or_default());
    let venue_symbol = text("instrument_name")?;
    if venue_symbol.is_empty() {
        return Err(DecodeError::Missing("instrument_name"));
    }
    let base = entry.text("base_currency")?.into_owned();
    let (quote, counter) = currencies(&entry, &base)?;
    let reversed = is_reversed(&entry, &quote)?;
    let mut instrument = Instrument {
        instrument_type,
        settle: settlement(&entry, instrument_type, if reversed { &base } else { &quote })?,
        tick: optional_step(&entry, "tick_size")?,
        lot: optional_step(&entry, "min_trade_amount")?,
        contract_size: optional_step(&entry, "contract_size")?,
        inverse: reversed && matches!(instrument_type, InstrumentType::Perpetual | InstrumentType::Future),
        underlying: text("price_index")?,
        listing_ns: entry.get("creation_timestamp").and_then(Value::unsigned).and_then(time_ns),
        expiry_ns,
        status: status(&entry)?,
        delisted: !is_active(&entry)?,
        ..Instrument::unknown(crate::NAME, market.name, &venue_symbol)
    };
    if instrument_type == InstrumentType::Option {
        instrument.strike = Some(entry.decimal("strike")?);
        instrument.option_type = Some(option_type(&entry)?);
        instrument.volatility_unit = Some(VolatilityUnit::Percent);
    }
    let pair = format!("{base}-{counter}");
    instrument.symbol = canonical(&instrument, &own_pair(&venue_symbol, &base, &counter).unwrap_or(pair))?;
    (instrument.base, instrument.quote) = (base, quote);
    Ok(Some(instrument))
}

/// The market and the type of an entry; `None` for a kind that is in none.
fn kind(
    entry: &Object<'_>,
    expiry_ns: Option<i64>,
) -> Result<Option<(MarketKind, InstrumentType)>, DecodeError> {
    let period = entry.optional_text("settlement_period")?;
    let perpetual = period.map_or(expiry_ns.is_none(), |period| period == "perpetual");
    Ok(match &*entry.text("kind")? {
        "spot" => Some((MarketKind::Spot, InstrumentType::Spot)),
        "future" if perpetual => Some((MarketKind::Perpetual, InstrumentType::Perpetual)),
        "future" => Some((MarketKind::Future, InstrumentType::Future)),
        "option" => Some((MarketKind::Option, InstrumentType::Option)),
        "future_combo" | "option_combo" => Some((MarketKind::Combo, InstrumentType::Combo)),
        _ => None,
    })
}

/// The expiry in nanoseconds, where there is one.
fn expiry(entry: &Object<'_>) -> Result<Option<i64>, DecodeError> {
    if entry.get("expiration_timestamp").is_none() {
        return Ok(None);
    }
    let expiry_ms = entry.unsigned("expiration_timestamp")?;
    if expiry_ms >= FIRST_ENDLESS_MS {
        return Ok(None);
    }
    time_ns(expiry_ms).map(Some).ok_or_else(|| bad("expiration_timestamp", "not a time"))
}

/// The currency of prices, and the one that the base is priced in: options on inverse contracts cost coins.
fn currencies(entry: &Object<'_>, base: &str) -> Result<(String, String), DecodeError> {
    let quote = entry.optional_text("quote_currency")?.map(String::from);
    let counter = entry.optional_text("counter_currency")?.map(String::from);
    match (quote, counter) {
        (Some(quote), Some(counter)) => Ok((quote, counter)),
        // Lists of 2021 have no counter currency, and all of their contracts are priced in dollars.
        (Some(quote), None) if quote == base => Ok((quote, "USD".to_owned())),
        (Some(quote), None) | (None, Some(quote)) => Ok((quote.clone(), quote)),
        (None, None) => Err(DecodeError::Missing("quote_currency")),
    }
}

/// Whether profit and loss are in the base coin. `future_type` was the name of the field before, and before that
/// there was none: nothing is settled in dollars, so that what is quoted in them is settled in the coin.
fn is_reversed(entry: &Object<'_>, quote: &str) -> Result<bool, DecodeError> {
    let name = match entry.optional_text("instrument_type")? {
        Some(name) => Some(name),
        None => entry.optional_text("future_type")?,
    };
    Ok(match name {
        Some(name) => name == "reversed",
        None => quote == "USD" || Some(quote) == entry.optional_text("base_currency")?.as_deref(),
    })
}

/// The currency of profit and loss; `usual` where an older list does not say.
fn settlement(
    entry: &Object<'_>,
    instrument_type: InstrumentType,
    usual: &str,
) -> Result<String, DecodeError> {
    Ok(match entry.optional_text("settlement_currency")? {
        Some(settle) => settle.into_owned(),
        None if instrument_type == InstrumentType::Spot => String::new(),
        None => usual.to_owned(),
    })
}

/// The pair in the instrument's name where it is of something else than its currencies, e.g. futures on a volatility
/// index (`BTCDVOL_USDC-25MAR26`), which would share their symbols with futures on the coin.
fn own_pair(venue_symbol: &str, base: &str, counter: &str) -> Option<String> {
    let first = venue_symbol.split('-').next()?;
    let usual = first == base || first == format!("{base}_{counter}");
    (!usual).then(|| first.replace('_', "-"))
}

/// `BTC-USDC`, `BTC-USD-PERP`, `BTC-USD-20261225` or `BTC-USD-20261225-100000-C`; combos keep the venue's name.
fn canonical(instrument: &Instrument, pair: &str) -> Result<String, DecodeError> {
    let date = || {
        let (year, month, day) =
            civil_date(instrument.expiry_ns.ok_or(DecodeError::Missing("expiration_timestamp"))?);
        Ok::<_, DecodeError>(format!("{year:04}{month:02}{day:02}"))
    };
    Ok(match instrument.instrument_type {
        InstrumentType::Perpetual => format!("{pair}-PERP"),
        InstrumentType::Future => format!("{pair}-{}", date()?),
        InstrumentType::Option => {
            let strike = short(instrument.strike.ok_or(DecodeError::Missing("strike"))?);
            let letter = if instrument.option_type == Some(OptionType::Call) { "C" } else { "P" };
            format!("{pair}-{}-{strike}-{letter}", date()?)
        }
        InstrumentType::Combo => instrument.venue_symbol.clone(),
        _ => pair.to_owned(),
    })
}

fn option_type(entry: &Object<'_>) -> Result<OptionType, DecodeError> {
    match &*entry.text("option_type")? {
        "call" => Ok(OptionType::Call),
        "put" => Ok(OptionType::Put),
        _ => Err(bad("option_type", "neither call nor put")),
    }
}

/// Entries of older lists have no state, all have the flag.
fn status(entry: &Object<'_>) -> Result<String, DecodeError> {
    Ok(match entry.optional_text("state")? {
        Some(state) => state.into_owned(),
        None if is_active(entry)? => "active".to_owned(),
        None => "inactive".to_owned(),
    })
}

fn is_active(entry: &Object<'_>) -> Result<bool, DecodeError> {
    entry.get("is_active").map_or(Ok(true), |_| entry.boolean("is_active"))
}

/// A size of a definition; `None` where it is missing or not above zero.
fn optional_step(entry: &Object<'_>, key: &'static str) -> Result<Option<Decimal>, DecodeError> {
    let value = entry.optional_decimal(key)?;
    Ok((value != NO_DECIMAL && value.mantissa > 0).then(|| short(value)))
}

/// The value without zeros behind the point.
fn short(value: Decimal) -> Decimal {
    let short = value.normalised();
    if short.exponent > 0 { short.rescale(0).unwrap_or(short) } else { short }
}

/// Gives instruments with the same canonical symbol different ones, with the venue's name at the end.
fn make_unique(instruments: &mut [Instrument]) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for instrument in instruments.iter() {
        *counts.entry(instrument.symbol.clone()).or_default() += 1;
    }
    for instrument in instruments {
        if counts.get(&instrument.symbol).is_some_and(|count| *count > 1) {
            instrument.symbol = format!("{}-{}", instrument.symbol, instrument.venue_symbol);
        }
    }
}

/// An index, e.g. `BTC-USD-INDEX` of `btc_usd`.
fn price_index(market: &Market, name: String) -> Instrument {
    let upper = name.to_ascii_uppercase();
    let (base, quote) = upper.split_once('_').unwrap_or((&upper, ""));
    Instrument {
        symbol: format!("{}-INDEX", upper.replace('_', "-")),
        instrument_type: InstrumentType::Index,
        base: base.to_owned(),
        quote: quote.to_owned(),
        volatility_unit: VOLATILITY_INDEXES.contains(&name.as_str()).then_some(VolatilityUnit::Percent),
        ..Instrument::unknown(crate::NAME, market.name, &name)
    }
}

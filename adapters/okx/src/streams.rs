//! Which streams carry a channel, and how they are asked for.
//!
//! A stream's name is the venue's channel, a colon, and the one argument that the channel has: `books:BTC-USDT`,
//! `liquidation-orders:SWAP`, `opt-summary:BTC-USD`.

use marketprism_core::Kind;
use marketprism_core::instrument::{Instrument, InstrumentId, InstrumentType};
use marketprism_core::venue::{DecodeError, Market, Stream};
use marketprism_parse::json::Object;

use crate::bars::BARS;
use crate::market::{BUSINESS, PUBLIC, instrument_type};
use marketprism_parse::json::push_string;

/// Marks a future that has funding like a perpetual one.
pub(crate) const PERPETUAL_STYLE: &str = "_XPERP";

/// The streams of a channel for an instrument; none where the channel is polled, or has nothing to say of it.
pub(crate) fn streams(
    market: &Market,
    channel: &str,
    instrument: &Instrument,
) -> Result<Vec<Stream>, String> {
    let (name, option) = match channel.split_once('@') {
        Some((name, option)) => (name, Some(option)),
        None => (channel, None),
    };
    if !market.channels.contains(&name) {
        return Err(format!(
            "okx/{} has no channel \"{name}\"; its channels are {}",
            market.name,
            market.channels.join(", ")
        ));
    }
    let Some((channel, kinds)) = source(market, name, option)? else { return Ok(vec![]) };
    let Some(argument) = argument(market, name, instrument) else { return Ok(vec![]) };
    let business = channel == "trades-all" || channel.starts_with("candle");
    Ok(vec![Stream {
        name: format!("{channel}:{argument}"),
        route: if business { BUSINESS } else { PUBLIC },
        instrument: instrument.id,
        kinds,
    }])
}

/// Tells of instruments that come, go or change.
pub(crate) fn instruments(market: &Market, market_instrument: InstrumentId) -> Stream {
    Stream {
        name: format!("instruments:{}", instrument_type(market)),
        route: PUBLIC,
        instrument: market_instrument,
        kinds: &[Kind::Instrument],
    }
}

/// The venue's channel and the kinds of its records; `None` for a channel that is polled.
fn source(
    market: &Market,
    name: &str,
    option: Option<&str>,
) -> Result<Option<(String, &'static [Kind])>, String> {
    let (channel, kinds): (&str, &'static [Kind]) = match (name, option) {
        ("trade", None) => ("trades", &[Kind::Trade]),
        ("trade", Some("all")) => ("trades-all", &[Kind::Trade]),
        ("trade", Some(other)) => return Err(wrong_option(name, "all", other)),
        ("book", None) => ("books", BOOK),
        ("book", Some("l2-tbt")) => ("books-l2-tbt", BOOK),
        ("book", Some("50-l2-tbt")) => ("books50-l2-tbt", BOOK),
        ("book", Some(other)) => return Err(wrong_option(name, "l2-tbt and 50-l2-tbt", other)),
        ("candle", bar) => return Ok(Some((candle(market, bar.unwrap_or("1m"))?, &[Kind::Candle]))),
        (_, Some(option)) => return Err(format!("channel \"{name}\" has no options, got \"{option}\"")),
        ("book5", None) => ("books5", &[Kind::BookSnapshot]),
        ("quote", None) => ("bbo-tbt", &[Kind::Quote]),
        ("ticker", None) => ("tickers", &[Kind::Ticker]),
        ("mark_price", None) => ("mark-price", &[Kind::MarkPrice]),
        ("index", None) => ("index-tickers", &[Kind::MarkPrice]),
        ("funding_rate", None) => ("funding-rate", &[Kind::FundingRate]),
        ("open_interest", None) => ("open-interest", &[Kind::OpenInterest]),
        ("liquidation", None) => ("liquidation-orders", &[Kind::Liquidation]),
        ("greeks", None) => ("opt-summary", &[Kind::Greeks]),
        _ => return Ok(None),
    };
    Ok(Some((channel.to_owned(), kinds)))
}

const BOOK: &[Kind] = &[Kind::BookDelta, Kind::BookSnapshot];

fn candle(market: &Market, bar: &str) -> Result<String, String> {
    let bars = if market.name == "option" { &BARS[1..] } else { &BARS[..] };
    if bars.contains(&bar) {
        return Ok(format!("candle{bar}"));
    }
    Err(wrong_option("candle", &bars.join(", "), bar))
}

fn wrong_option(name: &str, options: &str, got: &str) -> String {
    format!("channel \"{name}\" has the options {options}, got \"{got}\"")
}

/// What the stream is asked for with; `None` where the channel has nothing to say of such an instrument.
fn argument<'a>(market: &Market, name: &str, instrument: &'a Instrument) -> Option<&'a str> {
    let symbol = instrument.venue_symbol.as_str();
    match (name, instrument.instrument_type) {
        (_, InstrumentType::Market) => None,
        ("index", kind) => (kind == InstrumentType::Index).then_some(symbol),
        (_, InstrumentType::Index) => None,
        ("liquidation", _) => Some(instrument_type(market)),
        ("greeks", _) => Some(option_family(symbol)),
        ("funding_rate", _) if market.name == "futures" => {
            instrument.symbol.contains(PERPETUAL_STYLE).then_some(symbol)
        }
        _ => Some(symbol),
    }
}

/// `BTC-USD` of `BTC-USD-221230-4000-C`: what is in front of expiry, strike and type.
fn option_family(symbol: &str) -> &str {
    symbol.rsplitn(4, '-').last().unwrap_or(symbol)
}

/// The key of a channel's argument.
fn argument_key(channel: &str) -> &'static str {
    match channel {
        "instruments" | "liquidation-orders" => "instType",
        "opt-summary" => "instFamily",
        _ => "instId",
    }
}

/// The name of the stream that an argument of the venue's asks for.
pub(crate) fn name_of(argument: &Object<'_>) -> Result<String, DecodeError> {
    let channel = argument.text("channel")?;
    let value = argument.text(argument_key(&channel))?;
    Ok(format!("{channel}:{value}"))
}

/// The text of a request about streams; `operation` is `subscribe` or `unsubscribe`.
pub(crate) fn request(operation: &str, request_id: u64, streams: &[&str]) -> String {
    let mut text = format!("{{\"id\":\"{request_id}\",\"op\":\"{operation}\",\"args\":[");
    for (index, stream) in streams.iter().enumerate() {
        let (channel, value) = stream.split_once(':').unwrap_or((stream, ""));
        text.push_str(if index > 0 { ",{\"channel\":" } else { "{\"channel\":" });
        push_string(&mut text, channel);
        text.push_str(&format!(",\"{}\":", argument_key(channel)));
        push_string(&mut text, value);
        text.push('}');
    }
    text.push_str("]}");
    text
}

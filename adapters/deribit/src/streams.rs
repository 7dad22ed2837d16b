//! Which stream carries a channel.

use marketprism_core::Kind;
use marketprism_core::instrument::{Instrument, InstrumentId, InstrumentType};
use marketprism_core::venue::{Market, Stream};

use crate::channel::RESOLUTIONS;
use crate::market::MarketKind;

/// Indexes that have a volatility index.
pub(crate) const VOLATILITY_INDEXES: [&str; 2] = ["btc_usd", "eth_usd"];

/// How often messages come: with each change (needs credentials), every 100 ms, or about every second.
const INTERVALS: [&str; 3] = ["raw", "100ms", "agg2"];

/// Intervals of books of the best levels.
const GROUPED_INTERVALS: [&str; 2] = ["100ms", "agg2"];

/// The streams of a channel. `interval` is that of channels without one.
pub(crate) fn streams(
    market: &Market,
    channel: &str,
    instrument: &Instrument,
    interval: &'static str,
) -> Result<Vec<Stream>, String> {
    let (name, option) = match channel.split_once('@') {
        Some((name, option)) => (name, Some(option)),
        None => (channel, None),
    };
    if !market.channels.contains(&name) {
        return Err(format!(
            "deribit/{} has no channel \"{name}\"; its channels are {}",
            market.name,
            market.channels.join(", ")
        ));
    }
    let choose = |choices, otherwise| chosen(name, choices, option.unwrap_or(otherwise));
    let symbol = &instrument.venue_symbol;
    let of_index = matches!(name, "index" | "volatility_index");
    let (stream, kinds): (String, &'static [Kind]) = match name {
        "book" => {
            let interval = choose(&INTERVALS, interval)?;
            (format!("book.{symbol}.{interval}"), &[Kind::BookDelta, Kind::BookSnapshot])
        }
        "book20" | "book10" | "book1" => {
            let interval = choose(&GROUPED_INTERVALS, "100ms")?;
            let depth = name.trim_start_matches("book");
            (format!("book.{symbol}.none.{depth}.{interval}"), &[Kind::BookSnapshot])
        }
        "trade" | "liquidation" => {
            let interval = choose(&INTERVALS, interval)?;
            (format!("trades.{symbol}.{interval}"), &[Kind::DetailedTrade, Kind::Liquidation])
        }
        "ticker" | "mark_price" | "open_interest" | "funding_rate" | "greeks" => {
            let interval = choose(&INTERVALS, interval)?;
            (format!("ticker.{symbol}.{interval}"), ticker_kinds(MarketKind::of(market.name)))
        }
        "candle" => {
            let resolution = choose(&RESOLUTIONS, "1")?;
            (format!("chart.trades.{symbol}.{resolution}"), &[Kind::Candle])
        }
        _ if option.is_some() => return Err(format!("channel \"{name}\" has no options, got \"{channel}\"")),
        "quote" => (format!("quote.{symbol}"), &[Kind::Quote]),
        "index" => (format!("deribit_price_index.{symbol}"), &[Kind::MarkPrice]),
        "volatility_index" if VOLATILITY_INDEXES.contains(&symbol.as_str()) => {
            (format!("deribit_volatility_index.{symbol}"), &[Kind::VolatilityIndex])
        }
        // The clock is polled; most indexes have no volatility index.
        _ => return Ok(vec![]),
    };
    let applies = match instrument.instrument_type {
        InstrumentType::Market => false,
        InstrumentType::Index => of_index,
        _ => !of_index,
    };
    let stream = Stream { name: stream, route: "", instrument: instrument.id, kinds };
    Ok(if applies { vec![stream] } else { vec![] })
}

/// The choice that was made, if it is one of them.
fn chosen<'o>(channel: &str, choices: &[&str], option: &'o str) -> Result<&'o str, String> {
    if choices.contains(&option) {
        return Ok(option);
    }
    Err(format!("channel \"{channel}\" has the options {}, got \"{option}\"", choices.join(", ")))
}

fn ticker_kinds(market: MarketKind) -> &'static [Kind] {
    match market {
        MarketKind::Perpetual => &[Kind::Ticker, Kind::MarkPrice, Kind::OpenInterest, Kind::FundingRate],
        MarketKind::Future => &[Kind::Ticker, Kind::MarkPrice, Kind::OpenInterest],
        MarketKind::Option => &[Kind::Ticker, Kind::MarkPrice, Kind::OpenInterest, Kind::Greeks],
        MarketKind::Spot | MarketKind::Combo => &[Kind::Ticker],
    }
}

/// The stream that tells of instruments of all markets.
pub(crate) fn lifecycle(market_instrument: InstrumentId) -> Vec<Stream> {
    vec![Stream {
        name: "instrument.state.any.any".to_owned(),
        route: "",
        instrument: market_instrument,
        kinds: &[Kind::Instrument],
    }]
}

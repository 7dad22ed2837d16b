//! Which streams carry a channel, and how they are asked for.

use marketprism_core::Kind;
use marketprism_core::instrument::{Instrument, InstrumentId, InstrumentType};
use marketprism_core::venue::{Market, Stream};

use crate::market::MarketKind;
use marketprism_parse::json::push_string;

/// Intervals of candles; the first one exists on spot only.
const INTERVALS: [&str; 16] =
    ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"];

/// The streams of a channel, none where it is polled.
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
            "binance/{} has no channel \"{name}\"; its channels are {}",
            market.name,
            market.channels.join(", ")
        ));
    }
    let kind = MarketKind::of(market);
    let (suffix, kinds): (String, &'static [Kind]) = match name {
        "book" => (book_suffix(kind, "", option)?, &[Kind::BookDelta]),
        "book5" => (book_suffix(kind, "5", option)?, &[Kind::BookSnapshot]),
        "book10" => (book_suffix(kind, "10", option)?, &[Kind::BookSnapshot]),
        "book20" => (book_suffix(kind, "20", option)?, &[Kind::BookSnapshot]),
        "candle" => (candle_suffix(kind, option)?, &[Kind::Candle]),
        _ if option.is_some() => return Err(format!("channel \"{name}\" has no options, got \"{channel}\"")),
        "trade" => ("trade".to_owned(), &[Kind::Trade]),
        "agg_trade" => ("aggTrade".to_owned(), &[Kind::AggTrade]),
        "quote" => ("bookTicker".to_owned(), &[Kind::Quote]),
        "ticker" => ("ticker".to_owned(), &[Kind::Ticker]),
        "mark_price" => ("markPrice@1s".to_owned(), mark_price_kinds(instrument)),
        "liquidation" => ("forceOrder".to_owned(), &[Kind::Liquidation]),
        _ => return Ok(vec![]),
    };
    if matches!(instrument.instrument_type, InstrumentType::Index | InstrumentType::Market) {
        return Ok(vec![]);
    }
    Ok(vec![Stream {
        // Plain ASCII lower case; symbols may hold other letters.
        name: format!("{}@{suffix}", instrument.venue_symbol.to_ascii_lowercase()),
        route: route(kind, kinds),
        instrument: instrument.id,
        kinds,
    }])
}

/// Contracts that are delivered pay no funding.
fn mark_price_kinds(instrument: &Instrument) -> &'static [Kind] {
    match instrument.instrument_type {
        InstrumentType::Future => &[Kind::MarkPrice],
        _ => &[Kind::MarkPrice, Kind::FundingRate],
    }
}

/// The stream of listings, deliveries and changes of contracts; spot has none.
pub(crate) fn lifecycle_streams(market: &Market, market_instrument: InstrumentId) -> Vec<Stream> {
    let kind = MarketKind::of(market);
    let kinds = &[Kind::Instrument];
    match kind {
        MarketKind::Spot => vec![],
        MarketKind::UsdM | MarketKind::CoinM => vec![Stream {
            name: "!contractInfo".to_owned(),
            route: route(kind, kinds),
            instrument: market_instrument,
            kinds,
        }],
    }
}

/// The path that streams of these kinds are served under. A stream on the wrong one is acknowledged and stays
/// silent.
fn route(market: MarketKind, kinds: &[Kind]) -> &'static str {
    match (market, kinds) {
        (MarketKind::UsdM, [Kind::Trade | Kind::BookDelta | Kind::BookSnapshot | Kind::Quote]) => "/public",
        (MarketKind::UsdM, _) => "/market",
        _ => "",
    }
}

/// The stream of a whole book, or of its top with so many `levels`.
fn book_suffix(market: MarketKind, levels: &str, option: Option<&str>) -> Result<String, String> {
    let speed = option.unwrap_or("100ms");
    let suffix = match (market, speed) {
        (_, "100ms") | (MarketKind::Spot, "fastest") => "@100ms",
        (MarketKind::Spot, "1000ms") | (MarketKind::UsdM | MarketKind::CoinM, "250ms") => "",
        (MarketKind::UsdM | MarketKind::CoinM, "500ms") => "@500ms",
        // Tops of books have nothing below 100 ms.
        (MarketKind::UsdM | MarketKind::CoinM, "fastest") if levels.is_empty() => "@0ms",
        (MarketKind::UsdM | MarketKind::CoinM, "fastest") => "@100ms",
        _ => {
            let (name, speeds) = match market {
                MarketKind::Spot => ("spot", "100ms, 1000ms"),
                MarketKind::UsdM | MarketKind::CoinM => ("futures", "100ms, 250ms, 500ms"),
            };
            return Err(format!(
                "channel \"book{levels}\" of {name} has the options {speeds} and fastest, got \"{speed}\""
            ));
        }
    };
    Ok(format!("depth{levels}{suffix}"))
}

fn candle_suffix(market: MarketKind, option: Option<&str>) -> Result<String, String> {
    let interval = option.unwrap_or("1m");
    let intervals = match market {
        MarketKind::Spot => &INTERVALS[..],
        MarketKind::UsdM | MarketKind::CoinM => &INTERVALS[1..],
    };
    if intervals.contains(&interval) {
        return Ok(format!("kline_{interval}"));
    }
    Err(format!("channel \"candle\" has the options {}, got \"{interval}\"", intervals.join(", ")))
}

/// The text of a `SUBSCRIBE` or `UNSUBSCRIBE` request.
pub(crate) fn request(method: &str, request_id: u64, streams: &[&str]) -> String {
    let mut text = format!("{{\"method\":\"{method}\",\"params\":[");
    for (index, stream) in streams.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_string(&mut text, stream);
    }
    text.push_str(&format!("],\"id\":{request_id}}}"));
    text
}

//! Which stream carries a channel.

use marketprism_core::Kind;
use marketprism_core::instrument::Instrument;
use marketprism_core::venue::{Market, Stream};

use crate::market::MarketKind;

/// Intervals of candles; the first one exists on spot only.
const INTERVALS: [&str; 16] =
    ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"];

/// The stream of a channel, `None` where it is polled.
pub(crate) fn stream(
    market: &Market,
    channel: &str,
    instrument: &Instrument,
) -> Result<Option<Stream>, String> {
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
    let (suffix, record) = match name {
        "book" => (book_suffix(kind, option)?.to_owned(), Kind::BookDelta),
        "candle" => (candle_suffix(kind, option)?, Kind::Candle),
        _ if option.is_some() => return Err(format!("channel \"{name}\" has no options, got \"{channel}\"")),
        "trade" => ("trade".to_owned(), Kind::Trade),
        "agg_trade" => ("aggTrade".to_owned(), Kind::AggTrade),
        "quote" => ("bookTicker".to_owned(), Kind::Quote),
        "ticker" => ("ticker".to_owned(), Kind::Ticker),
        "mark_price" => ("markPrice@1s".to_owned(), Kind::MarkPrice),
        "liquidation" => ("forceOrder".to_owned(), Kind::Liquidation),
        _ => return Ok(None),
    };
    Ok(Some(Stream {
        // Plain ASCII lower case; symbols may hold other letters.
        name: format!("{}@{suffix}", instrument.venue_symbol.to_ascii_lowercase()),
        route: route(kind, record),
        instrument: instrument.id,
        kind: record,
    }))
}

/// The path that a stream is served under. A stream on the wrong one is acknowledged and stays silent.
fn route(market: MarketKind, kind: Kind) -> &'static str {
    match (market, kind) {
        (MarketKind::UsdM, Kind::Trade | Kind::BookDelta | Kind::Quote) => "/public",
        (MarketKind::UsdM, _) => "/market",
        _ => "",
    }
}

fn book_suffix(market: MarketKind, option: Option<&str>) -> Result<&'static str, String> {
    let speed = option.unwrap_or("100ms");
    match (market, speed) {
        (_, "100ms") | (MarketKind::Spot, "fastest") => Ok("depth@100ms"),
        (MarketKind::Spot, "1000ms") | (MarketKind::UsdM | MarketKind::CoinM, "250ms") => Ok("depth"),
        (MarketKind::UsdM | MarketKind::CoinM, "500ms") => Ok("depth@500ms"),
        (MarketKind::UsdM | MarketKind::CoinM, "fastest") => Ok("depth@0ms"),
        (MarketKind::Spot, _) => Err(format!(
            "channel \"book\" of spot has the options 100ms, 1000ms and fastest, got \"{speed}\""
        )),
        _ => Err(format!(
            "channel \"book\" of futures has the options 100ms, 250ms, 500ms and fastest, got \"{speed}\""
        )),
    }
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

/// The text of a subscribe request.
pub(crate) fn subscribe(request_id: u64, streams: &[&str]) -> String {
    let mut text = String::from("{\"method\":\"SUBSCRIBE\",\"params\":[");
    for (index, stream) in streams.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_string(&mut text, stream);
    }
    text.push_str(&format!("],\"id\":{request_id}}}"));
    text
}

/// Appends a JSON string.
fn push_string(text: &mut String, value: &str) {
    text.push('"');
    for letter in value.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '\0'..='\x1f' => text.push_str(&format!("\\u{:04x}", letter as u32)),
            _ => text.push(letter),
        }
    }
    text.push('"');
}

//! Names of streams: which exist, and which ones bring the same.

use std::sync::Arc;

use marketprism_core::Instrument;

use super::instrument_type;
use crate::history::chained::Past;

/// Channels of single instruments besides candles.
const CHANNELS: [&str; 11] = [
    "trades",
    "trades-all",
    "books",
    "books-l2-tbt",
    "books50-l2-tbt",
    "books5",
    "bbo-tbt",
    "tickers",
    "mark-price",
    "funding-rate",
    "open-interest",
];

/// Bars of candles.
const BARS: [&str; 27] = [
    "1s", "1m", "3m", "5m", "15m", "30m", "1H", "2H", "4H", "6H", "12H", "1D", "2D", "3D", "5D", "1W", "1M",
    "3M", "6Hutc", "12Hutc", "1Dutc", "2Dutc", "3Dutc", "5Dutc", "1Wutc", "1Mutc", "3Mutc",
];

/// Markets and their names on the wire.
const MARKETS: [&str; 4] = ["spot", "swap", "futures", "option"];

/// The market of a stream that a client may subscribe now; `None` where there is no such channel or instrument.
pub(crate) fn exists(stream: &str, past: &Past) -> Option<&'static str> {
    let (channel, key) = stream.split_once(':')?;
    let by_type = || MARKETS.into_iter().find(|market| instrument_type(market) == key);
    let of_family = |one: &&Arc<Instrument>| one.market == "option" && family(&one.venue_symbol) == key;
    let is_bar = |channel: &str| channel.strip_prefix("candle").is_some_and(|bar| BARS.contains(&bar));
    let market = match channel {
        "instruments" => return by_type(),
        "liquidation-orders" => return by_type().filter(|market| *market != "spot"),
        "opt-summary" => &past.listed().find(of_family)?.market,
        "index-tickers" => &past.index(key)?.market,
        _ if CHANNELS.contains(&channel) || is_bar(channel) => &past.instrument(key)?.market,
        _ => return None,
    };
    MARKETS.into_iter().find(|known| known == market)
}

/// The streams that bring the messages of a stream: what was recorded of a whole book does not tell by which channel.
pub(crate) fn readings(stream: &str) -> Vec<String> {
    match stream.strip_prefix("books:") {
        Some(key) => {
            ["books", "books-l2-tbt", "books50-l2-tbt"].map(|channel| format!("{channel}:{key}")).into()
        }
        None => vec![stream.to_owned()],
    }
}

/// `BTC-USD` of `BTC-USD-221230-4000-C`: what is in front of expiry, strike and type.
pub(crate) fn family(symbol: &str) -> &str {
    symbol.rsplitn(4, '-').last().unwrap_or(symbol)
}

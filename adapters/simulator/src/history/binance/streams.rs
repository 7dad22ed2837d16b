//! Names of streams: which subscriptions take a record.

use marketprism_core::Kind;
use marketprism_core::record::{Book, Candle, text_of};

use crate::config::Market;
use crate::streams::{MINI_TICKER, kind_of};

/// The stream of changes of contracts.
pub(super) const CONTRACTS: &str = "!contractInfo";

/// Streams of all symbols that single events are sent on.
const OF_ALL: [&str; 4] = ["!bookTicker", "!ticker@arr", "!markPrice@arr", "!forceOrder@arr"];

/// What a log knows of a stream's name: a log does not keep the speed at which depth and mark prices were sent. `None` for a
/// stream that no record can be of.
pub(super) fn recorded_name(market: Market, name: &str) -> Option<String> {
    let is_futures = market.is_futures();
    if name.starts_with('!') {
        let name = name.strip_suffix("@1s").unwrap_or(name);
        let known = name == CONTRACTS || OF_ALL.contains(&name);
        return (is_futures && known).then(|| name.to_owned());
    }
    let (symbol, suffix) = name.split_once('@')?;
    if kind_of(market, suffix)? == MINI_TICKER {
        return None;
    }
    let suffix = suffix.split('@').next()?;
    Some(format!("{symbol}@{suffix}"))
}

/// The symbol of a stream as the venue writes it; `None` for streams of all symbols.
pub(super) fn symbol_of(name: &str) -> Option<String> {
    let (symbol, _) = name.split_once('@').filter(|_| !name.starts_with('!'))?;
    Some(symbol.to_ascii_uppercase())
}

/// The stream that a record of this kind came on.
pub(super) fn stream(symbol: &str, suffix: &str) -> String {
    format!("{}@{suffix}", symbol.to_ascii_lowercase())
}

/// The suffix of a candle's stream.
pub(super) fn candle_suffix(candle: &Candle) -> String {
    format!("kline_{}", text_of(&candle.interval))
}

/// The suffix of the stream of a book's top: the smallest that holds so many levels.
pub(super) fn top_suffix(book: &Book) -> &'static str {
    match book.bid_levels.max(book.ask_levels) {
        0..=5 => "depth5",
        6..=10 => "depth10",
        _ => "depth20",
    }
}

/// The stream of all symbols that carries a kind too, and whether as a list.
pub(super) fn of_all(kind: Kind) -> Option<(&'static str, bool)> {
    match kind {
        Kind::Quote => Some(("!bookTicker", false)),
        Kind::Ticker => Some(("!ticker@arr", true)),
        Kind::MarkPrice => Some(("!markPrice@arr", true)),
        Kind::Liquidation => Some(("!forceOrder@arr", false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_speed_and_nothing_else() {
        let of = |market, name| recorded_name(market, name);
        for (name, recorded) in [
            ("btcusdt@depth@100ms", "btcusdt@depth"),
            ("btcusdt@depth@0ms", "btcusdt@depth"),
            ("btcusdt@depth20@500ms", "btcusdt@depth20"),
            ("btcusdt@markPrice@1s", "btcusdt@markPrice"),
            ("btcusdt@kline_1m", "btcusdt@kline_1m"),
            ("!markPrice@arr@1s", "!markPrice@arr"),
            ("!contractInfo", "!contractInfo"),
        ] {
            assert_eq!(of(Market::Usdm, name).as_deref(), Some(recorded), "{name}");
        }
        for name in ["btcusdt@nothing", "btcusdt@miniTicker", "btcusdt@kline_1d@+08:00", "!markPrice", "x"] {
            assert_eq!(of(Market::Usdm, name), None, "{name}");
        }
        assert_eq!(of(Market::Spot, "btcusdt@markPrice"), None);
        assert_eq!(symbol_of("btcusdt@trade").as_deref(), Some("BTCUSDT"));
        assert_eq!(symbol_of("!ticker@arr"), None);
    }
}

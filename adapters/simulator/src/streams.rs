//! Stream names: what a subscription means, which route carries it, whether it is a stream name at all.

use crate::config::Market;

/// A kind of per-symbol stream, as an index into per-symbol tables.
pub(crate) type Kind = usize;

pub(crate) const TRADE: Kind = 0;
pub(crate) const AGGREGATE: Kind = 1;
pub(crate) const BOOK_TICKER: Kind = 2;
/// Every change at once (futures, undocumented).
pub(crate) const DEPTH_0MS: Kind = 3;
pub(crate) const DEPTH_100MS: Kind = 4;
/// The speed without a suffix: 1000 ms on spot, 250 ms on futures.
pub(crate) const DEPTH_BASE: Kind = 5;
pub(crate) const DEPTH_500MS: Kind = 6;
/// Three sizes (5, 10, 20) times three speeds (100 ms, base, 500 ms).
pub(crate) const PARTIAL: Kind = 7;
pub(crate) const TICKER: Kind = 16;
pub(crate) const MINI_TICKER: Kind = 17;
pub(crate) const MARK_PRICE: Kind = 18;
pub(crate) const MARK_PRICE_1S: Kind = 19;
pub(crate) const FORCE_ORDER: Kind = 20;
pub(crate) const KLINE: Kind = 21;
/// Number of kinds.
pub(crate) const KINDS: usize = KLINE + INTERVALS.len();

/// Kline intervals and their length in seconds; a month counts 30 days.
pub(crate) const INTERVALS: [(&str, u64); 16] = [
    ("1s", 1),
    ("1m", 60),
    ("3m", 180),
    ("5m", 300),
    ("15m", 900),
    ("30m", 1800),
    ("1h", 3600),
    ("2h", 7200),
    ("4h", 14_400),
    ("6h", 21_600),
    ("8h", 28_800),
    ("12h", 43_200),
    ("1d", 86_400),
    ("3d", 259_200),
    ("1w", 604_800),
    ("1M", 2_592_000),
];

/// Streams of all symbols together.
pub(crate) const ARRAYS: [&str; 6] = [
    "!ticker@arr",
    "!miniTicker@arr",
    "!markPrice@arr",
    "!markPrice@arr@1s",
    "!forceOrder@arr",
    "!bookTicker",
];
pub(crate) const ALL_TICKER: usize = 0;
pub(crate) const ALL_MINI_TICKER: usize = 1;
pub(crate) const ALL_MARK_PRICE: usize = 2;
pub(crate) const ALL_MARK_PRICE_1S: usize = 3;
pub(crate) const ALL_FORCE_ORDER: usize = 4;
pub(crate) const ALL_BOOK_TICKER: usize = 5;

const PARTIAL_SIZES: [&str; 3] = ["5", "10", "20"];

/// Levels of a partial depth kind.
pub(crate) fn partial_levels(kind: Kind) -> usize {
    [5, 10, 20][(kind - PARTIAL) / 3]
}

/// The kind a stream suffix (everything after the first `@`) names on a market.
pub(crate) fn kind_of(market: Market, suffix: &str) -> Option<Kind> {
    let futures = market.is_futures();
    let kind = match suffix {
        "trade" => TRADE,
        "aggTrade" => AGGREGATE,
        "bookTicker" => BOOK_TICKER,
        "ticker" => TICKER,
        "miniTicker" => MINI_TICKER,
        "markPrice" if futures => MARK_PRICE,
        "markPrice@1s" if futures => MARK_PRICE_1S,
        "forceOrder" if futures => FORCE_ORDER,
        _ => return kline_kind(market, suffix).or_else(|| depth_kind(market, suffix)),
    };
    Some(kind)
}

fn kline_kind(market: Market, suffix: &str) -> Option<Kind> {
    let interval = suffix.strip_prefix("kline_")?;
    let index = INTERVALS.iter().position(|(name, _)| *name == interval)?;
    (index > 0 || market == Market::Spot).then_some(KLINE + index)
}

fn depth_kind(market: Market, suffix: &str) -> Option<Kind> {
    let rest = suffix.strip_prefix("depth")?;
    let (size, speed) = match rest.split_once('@') {
        Some((size, speed)) => (size, Some(speed)),
        None => (rest, None),
    };
    let speed = match (speed, market.is_futures()) {
        (Some("100ms"), _) => 0,
        (None, _) => 1,
        (Some("500ms"), true) => 2,
        (Some("0ms"), true) if size.is_empty() => return Some(DEPTH_0MS),
        _ => return None,
    };
    if size.is_empty() {
        return Some(DEPTH_100MS + speed);
    }
    let index = PARTIAL_SIZES.iter().position(|known| *known == size)?;
    Some(PARTIAL + index * 3 + speed)
}

/// The usual suffix of a kind; `None` where the market has no such stream.
pub(crate) fn suffix_of(market: Market, kind: Kind) -> Option<String> {
    let futures = market.is_futures();
    let speeds = ["@100ms", "", "@500ms"];
    let suffix = match kind {
        TRADE => "trade".to_owned(),
        AGGREGATE => "aggTrade".to_owned(),
        BOOK_TICKER => "bookTicker".to_owned(),
        DEPTH_0MS => "depth@0ms".to_owned(),
        DEPTH_100MS..PARTIAL => format!("depth{}", speeds[kind - DEPTH_100MS]),
        PARTIAL..TICKER => format!("depth{}{}", partial_levels(kind), speeds[(kind - PARTIAL) % 3]),
        TICKER => "ticker".to_owned(),
        MINI_TICKER => "miniTicker".to_owned(),
        MARK_PRICE => "markPrice".to_owned(),
        MARK_PRICE_1S => "markPrice@1s".to_owned(),
        FORCE_ORDER => "forceOrder".to_owned(),
        _ => format!("kline_{}", INTERVALS.get(kind.checked_sub(KLINE)?)?.0),
    };
    let speed_exists = futures || !(suffix.ends_with("@500ms") || suffix.ends_with("@0ms"));
    let kind_exists = futures || !(MARK_PRICE..=FORCE_ORDER).contains(&kind);
    let interval_exists = !futures || kind != KLINE;
    (speed_exists && kind_exists && interval_exists).then_some(suffix)
}

/// The two public routes of USD-M futures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Public,
    Market,
    /// User data: no market stream flows here.
    Private,
}

/// The route that carries a stream of USD-M futures.
pub(crate) fn route_of(stream: &str) -> Route {
    let suffix = match stream.strip_prefix('!') {
        Some(all) => all,
        None => stream.split_once('@').map_or("", |(_, suffix)| suffix),
    };
    let first = suffix.split('@').next().unwrap_or("");
    let public = ["bookTicker", "trade", "rpiDepth"].contains(&first) || first.starts_with("depth");
    if public { Route::Public } else { Route::Market }
}

/// True for text the venue accepts as a stream name, whether or not it has data.
pub(crate) fn is_stream_name(text: &str) -> bool {
    let known = ["!bookTicker", "!contractInfo", "tradingSession", "!serverShutdown"];
    text.contains('@') || known.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_kinds_agree() {
        for market in Market::ALL {
            for kind in 0..KINDS {
                if let Some(suffix) = suffix_of(market, kind) {
                    assert_eq!(kind_of(market, &suffix), Some(kind), "{market} {suffix}");
                }
            }
        }
        assert_eq!(kind_of(Market::Spot, "depth7"), None);
        assert_eq!(kind_of(Market::Spot, "depth@500ms"), None);
        assert_eq!(kind_of(Market::Spot, "kline_1M"), Some(KLINE + 15));
        assert_eq!(kind_of(Market::Usdm, "kline_1s"), None);
    }

    #[test]
    fn routes_follow_the_table() {
        for public in
            ["btcusdt@bookTicker", "!bookTicker", "a@depth5@500ms", "a@depth", "a@trade", "a@rpiDepth@500ms"]
        {
            assert_eq!(route_of(public), Route::Public, "{public}");
        }
        for market in ["a@aggTrade", "!markPrice@arr@1s", "a@kline_1m", "!forceOrder@arr", "!contractInfo"] {
            assert_eq!(route_of(market), Route::Market, "{market}");
        }
    }
}

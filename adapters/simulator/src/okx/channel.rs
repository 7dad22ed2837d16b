//! The channels: where they live, how often they push, and the streams of each instrument.

use super::catalogue::Market;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Places of channels in [`CHANNELS`].
pub(crate) const BBO: usize = 0;
pub(crate) const BOOKS: usize = 1;
pub(crate) const BOOKS5: usize = 2;
pub(crate) const TRADES: usize = 3;
pub(crate) const TRADES_ALL: usize = 4;
pub(crate) const TICKERS: usize = 5;
pub(crate) const MARK_PRICE: usize = 6;
pub(crate) const OPEN_INTEREST: usize = 8;
/// The first of the candles, which are the rest.
pub(crate) const CANDLES: usize = 9;

/// A channel of single instruments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Bbo,
    Books,
    Books5,
    Trades,
    TradesAll,
    Tickers,
    MarkPrice,
    FundingRate,
    OpenInterest,
    /// Length in milliseconds and offset of the opening from midnight UTC.
    Candle {
        length_ms: u64,
        offset_ms: u64,
    },
}

/// Bars of six hours and longer without `utc` open by the clock of UTC+8.
const fn candle(length_ms: u64, offset_ms: u64) -> Channel {
    Channel::Candle { length_ms, offset_ms }
}

/// All channels of single instruments, in the venue's order of pushes.
pub(crate) const CHANNELS: [(&str, Channel); 24] = [
    ("bbo-tbt", Channel::Bbo),
    ("books", Channel::Books),
    ("books5", Channel::Books5),
    ("trades", Channel::Trades),
    ("trades-all", Channel::TradesAll),
    ("tickers", Channel::Tickers),
    ("mark-price", Channel::MarkPrice),
    ("funding-rate", Channel::FundingRate),
    ("open-interest", Channel::OpenInterest),
    ("candle1s", candle(1_000, 0)),
    ("candle1m", candle(MINUTE, 0)),
    ("candle3m", candle(3 * MINUTE, 0)),
    ("candle5m", candle(5 * MINUTE, 0)),
    ("candle15m", candle(15 * MINUTE, 0)),
    ("candle30m", candle(30 * MINUTE, 0)),
    ("candle1H", candle(HOUR, 0)),
    ("candle2H", candle(2 * HOUR, 0)),
    ("candle4H", candle(4 * HOUR, 0)),
    ("candle6H", candle(6 * HOUR, 16 * HOUR)),
    ("candle12H", candle(12 * HOUR, 16 * HOUR)),
    ("candle1D", candle(DAY, 16 * HOUR)),
    ("candle6Hutc", candle(6 * HOUR, 0)),
    ("candle12Hutc", candle(12 * HOUR, 0)),
    ("candle1Dutc", candle(DAY, 0)),
];

impl Channel {
    /// Whether instruments of a market have it.
    pub(crate) fn exists(self, market: Market) -> bool {
        match self {
            Channel::FundingRate => market == Market::Swap,
            Channel::OpenInterest => market != Market::Spot,
            Channel::Candle { length_ms: 1_000, .. } => market != Market::Option,
            _ => true,
        }
    }

    /// Milliseconds of the grid on which changes are pushed; 0 pushes at once.
    pub(crate) fn grid_ms(self) -> u64 {
        match self {
            Channel::Bbo => 10,
            Channel::Books | Channel::Books5 | Channel::Tickers => 100,
            Channel::MarkPrice => 200,
            Channel::OpenInterest => 3_000,
            Channel::Candle { .. } => 1_000,
            Channel::Trades | Channel::TradesAll | Channel::FundingRate => 0,
        }
    }

    /// Milliseconds after which it pushes without a change; `None` never.
    pub(crate) fn repeat_ms(self, keep_alive_ms: u64) -> Option<u64> {
        match self {
            Channel::Bbo | Channel::Books | Channel::Books5 => Some(keep_alive_ms),
            Channel::MarkPrice => Some(10_000),
            Channel::FundingRate => Some(60_000),
            _ => None,
        }
    }
}

/// Whether a channel lives on `/business`.
pub(crate) fn is_business(channel: &str) -> bool {
    channel == "trades-all"
        || ["candle", "mark-price-candle", "index-candle"].iter().any(|prefix| channel.starts_with(prefix))
}

/// The key of the argument that a channel is subscribed with.
pub(crate) fn key_member(channel: &str) -> &'static str {
    match channel {
        "instruments" | "liquidation-orders" => "instType",
        "opt-summary" => "instFamily",
        _ => "instId",
    }
}

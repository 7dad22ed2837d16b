//! What venues tell of a market besides trades and books.

use bytemuck::{Pod, Zeroable};

use super::Record;
#[cfg(doc)]
use super::Side;
#[cfg(doc)]
use crate::clock::TIME_MISSING;
#[cfg(doc)]
use crate::record::ABSENT;
use crate::record::{Header, Kind, LINE_BYTES, Line};

/// Statistics of the last 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Ticker {
    /// Common part.
    pub header: Header,
    /// Last price.
    pub last: i64,
    /// First price of the window.
    pub open: i64,
    /// Highest price.
    pub high: i64,
    /// Lowest price.
    pub low: i64,
    /// Volume-weighted average price.
    pub weighted_average: i64,
    /// Best bid price.
    pub bid_price: i64,
    /// Best ask price.
    pub ask_price: i64,
    /// Traded quantity.
    pub volume: i64,
    /// Quantity of the last trade.
    pub last_quantity: i64,
    /// Quantity at the best bid.
    pub bid_quantity: i64,
    /// Quantity at the best ask.
    pub ask_quantity: i64,
    /// Traded amount in quote units (base units on inverse contracts), `× 10^quote_volume_exponent`.
    pub quote_volume: i64,
    /// Start of the window, nanoseconds.
    pub open_ns: i64,
    /// End of the window, nanoseconds.
    pub close_ns: i64,
    /// First trade id of the window.
    pub first_trade_id: i64,
    /// Last trade id of the window.
    pub last_trade_id: i64,
    /// Number of trades in the window.
    pub trades: i64,
    /// Traded amount in base units where `volume` counts contracts, `× 10^base_volume_exponent`, or [`ABSENT`].
    pub base_volume: i64,
    /// Power of ten of `quote_volume`.
    pub quote_volume_exponent: i8,
    /// Power of ten of `base_volume`.
    pub base_volume_exponent: i8,
    /// Zero.
    pub reserved: [u8; 14],
}
record!(Ticker, Kind::Ticker);

/// Mark and index price, or only one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct MarkPrice {
    /// Common part.
    pub header: Header,
    /// Mark price, or [`ABSENT`].
    pub mark_price: i64,
    /// Index price, or [`ABSENT`].
    pub index_price: i64,
    /// Estimated settlement price, or [`ABSENT`].
    pub settlement_price: i64,
    /// Moving average of the mark price, or [`ABSENT`].
    pub average_price: i64,
}
record!(MarkPrice, Kind::MarkPrice);

/// Funding rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct FundingRate {
    /// Common part.
    pub header: Header,
    /// Rate for the interval that ends at `next_funding_ns`, a fraction, `× 10^rate_exponent`.
    pub rate: i64,
    /// Next funding time, nanoseconds, or [`TIME_MISSING`].
    pub next_funding_ns: i64,
    /// Funding interval as the venue gives it, nanoseconds, or [`ABSENT`].
    pub interval_ns: i64,
    /// Rate of the last settlement, or of the time that the venue's own field covers (Deribit: the last 8 h), a
    /// fraction, `× 10^realised_exponent`, or [`ABSENT`].
    pub realised_rate: i64,
    /// Premium of the contract over its index, a fraction, `× 10^premium_exponent`, or [`ABSENT`].
    pub premium: i64,
    /// Interest rate part, a fraction, `× 10^interest_exponent`, or [`ABSENT`].
    pub interest_rate: i64,
    /// Power of ten of `rate`.
    pub rate_exponent: i8,
    /// Power of ten of `realised_rate`.
    pub realised_exponent: i8,
    /// Power of ten of `premium`.
    pub premium_exponent: i8,
    /// Power of ten of `interest_rate`.
    pub interest_exponent: i8,
    /// Zero.
    pub reserved: [u8; 44],
}
record!(FundingRate, Kind::FundingRate);

/// Open interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct OpenInterest {
    /// Common part.
    pub header: Header,
    /// Open interest in the unit of quantities.
    pub open_interest: i64,
    /// Its value in quote units, `× 10^value_exponent`, or [`ABSENT`].
    pub open_interest_value: i64,
    /// The same in base units, `× 10^base_exponent`, or [`ABSENT`].
    pub open_interest_base: i64,
    /// Power of ten of `open_interest_value`.
    pub value_exponent: i8,
    /// Power of ten of `open_interest_base`.
    pub base_exponent: i8,
    /// Zero.
    pub reserved: [u8; 6],
}
record!(OpenInterest, Kind::OpenInterest);

/// A liquidation order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Liquidation {
    /// Common part; `exchange_ns` is the time of the order's trade.
    pub header: Header,
    /// Limit price.
    pub price: i64,
    /// Average price of the fills, or [`ABSENT`].
    pub average_price: i64,
    /// Ordered quantity.
    pub quantity: i64,
    /// Quantity filled so far, or [`ABSENT`].
    pub filled_quantity: i64,
    /// Quantity of the last fill, or [`ABSENT`].
    pub last_quantity: i64,
    /// The venue's publication time, nanoseconds, or [`TIME_MISSING`].
    pub event_ns: i64,
    /// The order's status as the venue names it, ASCII, padded with zeros.
    pub status: [u8; 24],
    /// [`Side`] of the order: `Sell` closes a long position.
    pub side: u8,
    /// Zero.
    pub reserved: [u8; 23],
}
record!(Liquidation, Kind::Liquidation);

/// One bar; the last record of a bar wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Candle {
    /// Common part; `exchange_ns` is the publication time.
    pub header: Header,
    /// Start, nanoseconds, inclusive.
    pub open_ns: i64,
    /// End, nanoseconds, as the venue gives it.
    pub close_ns: i64,
    /// First price.
    pub open: i64,
    /// Highest price.
    pub high: i64,
    /// Lowest price.
    pub low: i64,
    /// Last price.
    pub close: i64,
    /// Traded quantity.
    pub volume: i64,
    /// Traded amount in quote units, `× 10^quote_volume_exponent`.
    pub quote_volume: i64,
    /// Quantity bought by takers.
    pub taker_buy_volume: i64,
    /// Amount bought by takers, `× 10^quote_volume_exponent`.
    pub taker_buy_quote_volume: i64,
    /// Number of trades.
    pub trades: i64,
    /// The venue's name of the interval (`1m`, `12h`), ASCII, padded with zeros.
    pub interval: [u8; 4],
    /// 1 when the bar is final.
    pub closed: u8,
    /// Power of ten of `quote_volume`.
    pub quote_volume_exponent: i8,
    /// Zero.
    pub reserved: [u8; 2],
}
record!(Candle, Kind::Candle);

/// Long/short ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct LongShortRatio {
    /// Common part; `exchange_ns` is the end of the period.
    pub header: Header,
    /// Long divided by short, `× 10^ratio_exponent`.
    pub ratio: i64,
    /// Long share, a fraction, `× 10^share_exponent`, or [`ABSENT`].
    pub long_share: i64,
    /// Short share, a fraction, `× 10^share_exponent`, or [`ABSENT`].
    pub short_share: i64,
    /// Power of ten of `ratio`.
    pub ratio_exponent: i8,
    /// Power of ten of the shares.
    pub share_exponent: i8,
    /// [`RatioBasis`].
    pub basis: u8,
    /// The venue's name of the period (`5m`), ASCII, padded with zeros.
    pub period: [u8; 4],
    /// Zero.
    pub reserved: u8,
}
record!(LongShortRatio, Kind::LongShortRatio);

/// Whose positions or accounts a long/short ratio counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RatioBasis {
    /// Positions of top traders.
    TopPosition = 1,
    /// Accounts of top traders.
    TopAccount = 2,
    /// All accounts.
    GlobalAccount = 3,
}

impl RatioBasis {
    /// The name in JSON.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("top_position"),
            2 => Some("top_account"),
            3 => Some("global_account"),
            _ => None,
        }
    }
}

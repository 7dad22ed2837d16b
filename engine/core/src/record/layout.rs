//! The struct of each kind of record.

use bytemuck::{Pod, Zeroable};

#[cfg(doc)]
use super::ABSENT;
use super::{Header, Kind, LINE_BYTES, Line};
#[cfg(doc)]
use crate::clock::TIME_MISSING;

/// The side that took liquidity, or the side of a liquidation order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Side {
    /// Not given.
    Unknown = 0,
    /// The aggressor bought.
    Buy = 1,
    /// The aggressor sold.
    Sell = 2,
}

impl Side {
    /// `buy` or `sell`.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("buy"),
            2 => Some("sell"),
            _ => None,
        }
    }
}

/// A record with a fixed layout; its size is a whole number of lines.
pub trait Record: Pod {
    /// The kind that its header carries ([`BookDelta`](Kind::BookDelta) stands for both book kinds).
    const KIND: Kind;
    /// The header.
    fn header(&self) -> &Header;
    /// The record as lines.
    fn lines(&self) -> &[Line];
}

macro_rules! record {
    ($name:ident, $kind:expr) => {
        const _: () = assert!(size_of::<$name>() == $kind.head_lines() * LINE_BYTES);
        impl Record for $name {
            const KIND: Kind = $kind;
            fn header(&self) -> &Header {
                &self.header
            }
            fn lines(&self) -> &[Line] {
                bytemuck::cast_slice(std::slice::from_ref(self))
            }
        }
    };
}

/// One fill. `sequence` is the trade id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Trade {
    /// Common part; `exchange_ns` is the time of the match.
    pub header: Header,
    /// Price.
    pub price: i64,
    /// Quantity: base units on spot and linear futures, contracts on inverse ones.
    pub quantity: i64,
    /// The venue's publication time, nanoseconds, or [`TIME_MISSING`].
    pub event_ns: i64,
    /// [`Side`] of the aggressor.
    pub side: u8,
    /// [`TradeType`].
    pub trade_type: u8,
    /// Zero.
    pub reserved: [u8; 2],
    /// Fills that the venue put together, with ids up to `sequence`; 0 where it does not say, which is one.
    pub fills: u32,
}
record!(Trade, Kind::Trade);

impl Trade {
    /// The lowest id of its fills.
    #[inline]
    pub fn first_id(&self) -> u64 {
        self.header.sequence.saturating_sub(u64::from(self.fills.saturating_sub(1)))
    }
}

/// One fill with what else the venue tells of it. `trade.header.sequence` counts up by one in the instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct DetailedTrade {
    /// The trade; the kind in its header is [`Kind::DetailedTrade`].
    pub trade: Trade,
    /// Mark price at the time of the trade, or [`ABSENT`].
    pub mark_price: i64,
    /// Index price at the time of the trade, or [`ABSENT`].
    pub index_price: i64,
    /// Implied volatility in the venue's unit, `× 10^volatility_exponent`, or [`ABSENT`].
    pub implied_volatility: i64,
    /// The venue's id of the trade, ASCII, padded with zeros.
    pub trade_id: [u8; 24],
    /// Power of ten of `implied_volatility`.
    pub volatility_exponent: i8,
    /// [`LiquidatedParty`].
    pub liquidation: u8,
    /// 1 for a block trade, which may lie outside the book's prices.
    pub block: u8,
    /// 1 for a combo or a leg of one.
    pub combo: u8,
    /// Zero.
    pub reserved: [u8; 12],
}

const _: () = assert!(size_of::<DetailedTrade>() == Kind::DetailedTrade.head_lines() * LINE_BYTES);

impl Record for DetailedTrade {
    const KIND: Kind = Kind::DetailedTrade;
    fn header(&self) -> &Header {
        &self.trade.header
    }
    fn lines(&self) -> &[Line] {
        bytemuck::cast_slice(std::slice::from_ref(self))
    }
}

/// Who was liquidated in a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LiquidatedParty {
    /// The maker.
    Maker = 1,
    /// The taker.
    Taker = 2,
    /// Both.
    Both = 3,
}

impl LiquidatedParty {
    /// The name in JSON; `None` for a trade without a liquidation.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("maker"),
            2 => Some("taker"),
            3 => Some("both"),
            _ => None,
        }
    }
}

/// How a trade came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TradeType {
    /// An ordinary match.
    Market = 0,
    /// Taken over by the insurance fund.
    InsuranceFund = 1,
    /// Auto-deleveraging.
    AutoDeleverage = 2,
    /// The venue gave a type without a known meaning.
    Other = 3,
}

impl TradeType {
    /// The name in JSON; `None` for an ordinary match.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("insurance_fund"),
            2 => Some("auto_deleverage"),
            3 => Some("other"),
            _ => None,
        }
    }
}

/// An aggregate of fills. `sequence` is the aggregate's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct AggTrade {
    /// Common part; `exchange_ns` is the time of the match.
    pub header: Header,
    /// Price.
    pub price: i64,
    /// Quantity, unit as in [`Trade`].
    pub quantity: i64,
    /// Quantity without fills of retail price improvement orders, or [`ABSENT`].
    pub normal_quantity: i64,
    /// First trade id inside.
    pub first_trade_id: u64,
    /// Last trade id inside.
    pub last_trade_id: u64,
    /// The venue's publication time, nanoseconds, or [`TIME_MISSING`].
    pub event_ns: i64,
    /// [`Side`] of the aggressor.
    pub side: u8,
    /// Zero.
    pub reserved: [u8; 47],
}
record!(AggTrade, Kind::AggTrade);

/// A book snapshot or delta; its levels follow, bids first. `sequence` is the last update id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Book {
    /// Common part; the kind is [`Kind::BookSnapshot`] or [`Kind::BookDelta`].
    pub header: Header,
    /// First update id covered, 0 where the venue has none. With
    /// [`flag::CHECKSUM`](super::flag::CHECKSUM) the venue's checksum of the book after this message instead, as
    /// the unsigned form of its 32 bits.
    pub first_id: u64,
    /// Last update id of the message before in the same stream, or [`ABSENT`]. -1: there was none.
    pub previous_id: i64,
    /// The venue's publication time, nanoseconds, or [`TIME_MISSING`].
    pub event_ns: i64,
    /// In the log: index of the first level in the batch's pool. In the ring: 0.
    pub level_start: u32,
    /// Number of bid levels.
    pub bid_levels: u16,
    /// Number of ask levels.
    pub ask_levels: u16,
}
record!(Book, Kind::BookDelta);

impl Book {
    /// The venue's checksum of the book after this message, where it gave one.
    #[inline]
    pub fn checksum(&self) -> Option<u32> {
        (self.header.flags & super::flag::CHECKSUM != 0).then_some(self.first_id as u32)
    }
}

/// One price level. A quantity of zero in a delta removes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Level {
    /// Price.
    pub price: i64,
    /// Quantity resting at it.
    pub quantity: i64,
}

/// Best bid and ask. `sequence` is the book's update id, where given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Quote {
    /// Common part.
    pub header: Header,
    /// Best bid price.
    pub bid_price: i64,
    /// Quantity at the best bid.
    pub bid_quantity: i64,
    /// Best ask price.
    pub ask_price: i64,
    /// Quantity at the best ask.
    pub ask_quantity: i64,
}
record!(Quote, Kind::Quote);

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

/// An instrument's definition; the body is [`crate::Instrument`] as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Definition {
    /// Common part.
    pub header: Header,
    /// Where and how long the body is.
    pub body: Body,
    /// Zero.
    pub reserved: [u8; 24],
}
record!(Definition, Kind::Instrument);

/// A step in a connection's life; the body is a JSON object with its particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Session {
    /// Common part; `instrument` is that of the market.
    pub header: Header,
    /// Where and how long the body is.
    pub body: Body,
    /// The connection, numbered from 1 in each run.
    pub connection: u32,
    /// [`SessionEvent`].
    pub event: u8,
    /// Zero.
    pub reserved: [u8; 19],
}
record!(Session, Kind::Session);

/// Steps in a connection's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionEvent {
    /// The WebSocket is open.
    Connected = 1,
    /// The venue acknowledged every subscription.
    Subscribed = 2,
    /// The connection ended; the body says why.
    Disconnected = 3,
    /// The venue refused a request; the body has its words.
    Refused = 4,
    /// The recorder began to write.
    Started = 5,
    /// The recorder stopped cleanly.
    Stopped = 6,
}

impl SessionEvent {
    /// The name in JSON.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("connected"),
            2 => Some("subscribed"),
            3 => Some("disconnected"),
            4 => Some("refused"),
            5 => Some("started"),
            6 => Some("stopped"),
            _ => None,
        }
    }
}

/// A hole in a stream. `header.sequence` is 0; `header.receive_ns` is when the hole was known to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Gap {
    /// Common part.
    pub header: Header,
    /// First missing id, or 0 where the stream has no ids.
    pub from_id: u64,
    /// Last missing id, or 0 where the stream has no ids or the end is not known.
    pub to_id: u64,
    /// Receive time of the last record before the hole, nanoseconds, or [`TIME_MISSING`].
    pub from_ns: i64,
    /// [`Kind`] of the stream.
    pub stream: u8,
    /// [`GapReason`].
    pub reason: u8,
    /// 1 when the missing part was fetched later.
    pub repaired: u8,
    /// Zero.
    pub reserved: u8,
    /// Number of records lost, where known.
    pub records: u32,
}
record!(Gap, Kind::Gap);

/// Why a stream has a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GapReason {
    /// The venue's ids jumped while the connection was up.
    Sequence = 1,
    /// The connection was down.
    Disconnected = 2,
    /// A queue of ours was full.
    Overrun = 3,
    /// The venue's ids went backwards: it started anew.
    Reset = 4,
    /// The recorder did not run.
    Restart = 5,
    /// Nothing is known to be missing, but the book disagreed with the venue's checksum: something before was
    /// wrong. The ids are 0.
    Checksum = 6,
    /// The venue sent a new snapshot, because it was asked to after a break or by itself: the deltas between are
    /// part of it.
    Resynchronised = 7,
}

impl GapReason {
    /// The name in JSON.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("sequence"),
            2 => Some("disconnected"),
            3 => Some("overrun"),
            4 => Some("reset"),
            5 => Some("restart"),
            6 => Some("checksum"),
            7 => Some("resynchronised"),
            _ => None,
        }
    }
}

/// A frame kept verbatim; the body is the reason (UTF-8) and then the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Raw {
    /// Common part; `instrument` is that of the market.
    pub header: Header,
    /// Where and how long the body is.
    pub body: Body,
    /// The connection that it came on.
    pub connection: u32,
    /// Bytes of the reason at the start of the body.
    pub reason_bytes: u32,
    /// Bytes of the whole frame; the body may hold fewer.
    pub frame_bytes: u32,
    /// Zero.
    pub reserved: [u8; 12],
}
record!(Raw, Kind::Raw);

/// Sensitivities and implied volatilities of an option, in the venue's units (the instrument's definition says
/// whether volatilities are fractions or percent). Every number has its own power of ten in `exponents`, in the
/// order of the fields; what the venue did not send holds [`ABSENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Greeks {
    /// Common part.
    pub header: Header,
    /// Change of the option's price with the underlying's.
    pub delta: i64,
    /// Change of delta with the underlying's price.
    pub gamma: i64,
    /// Change of the price with volatility.
    pub vega: i64,
    /// Change of the price with time.
    pub theta: i64,
    /// Change of the price with the interest rate.
    pub rho: i64,
    /// Black-Scholes delta in dollars, where the venue gives two sets.
    pub delta_bs: i64,
    /// Black-Scholes gamma in dollars.
    pub gamma_bs: i64,
    /// Black-Scholes vega in dollars.
    pub vega_bs: i64,
    /// Black-Scholes theta in dollars.
    pub theta_bs: i64,
    /// Implied volatility of the mark price.
    pub mark_volatility: i64,
    /// Implied volatility of the best bid.
    pub bid_volatility: i64,
    /// Implied volatility of the best ask.
    pub ask_volatility: i64,
    /// Implied volatility at the money.
    pub at_the_money_volatility: i64,
    /// Forward price of the underlying.
    pub underlying_price: i64,
    /// Interest rate used.
    pub interest_rate: i64,
    /// Leverage.
    pub leverage: i64,
    /// Power of ten of each number above.
    pub exponents: [i8; 16],
    /// Zero.
    pub reserved: [u8; 16],
}
record!(Greeks, Kind::Greeks);

impl Greeks {
    /// Names of the numbers, in the order of the fields.
    pub const NAMES: [&'static str; 16] = [
        "delta",
        "gamma",
        "vega",
        "theta",
        "rho",
        "delta_bs",
        "gamma_bs",
        "vega_bs",
        "theta_bs",
        "mark_iv",
        "bid_iv",
        "ask_iv",
        "at_the_money_iv",
        "underlying_price",
        "interest_rate",
        "leverage",
    ];

    /// The numbers, in the order of the fields.
    pub fn numbers(&self) -> [i64; 16] {
        [
            self.delta,
            self.gamma,
            self.vega,
            self.theta,
            self.rho,
            self.delta_bs,
            self.gamma_bs,
            self.vega_bs,
            self.theta_bs,
            self.mark_volatility,
            self.bid_volatility,
            self.ask_volatility,
            self.at_the_money_volatility,
            self.underlying_price,
            self.interest_rate,
            self.leverage,
        ]
    }
}

/// A volatility index, in the venue's unit; numbers are `× 10^price_exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct VolatilityIndex {
    /// Common part.
    pub header: Header,
    /// The index now.
    pub volatility: i64,
    /// Zero.
    pub reserved: [u8; 24],
}
record!(VolatilityIndex, Kind::VolatilityIndex);

/// The venue's clock beside ours: `header.exchange_ns` was read by the venue at some moment between `request_ns` and
/// `header.receive_ns`, which bounds the difference of the clocks on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct ClockSample {
    /// Common part; `instrument` is that of the market.
    pub header: Header,
    /// Our wall clock when the request was sent, nanoseconds since the Unix epoch.
    pub request_ns: i64,
    /// Resolution of the venue's clock, nanoseconds.
    pub resolution_ns: i64,
    /// Zero.
    pub reserved: [u8; 16],
}
record!(ClockSample, Kind::ClockSample);

/// The bytes behind a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Body {
    /// In the log: offset in the batch's byte pool. In the ring: 0.
    pub start: u32,
    /// Length in bytes.
    pub bytes: u32,
}

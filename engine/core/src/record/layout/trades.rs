//! Trades.

use bytemuck::{Pod, Zeroable};

use super::Record;
#[cfg(doc)]
use super::Side;
#[cfg(doc)]
use crate::clock::TIME_MISSING;
#[cfg(doc)]
use crate::record::ABSENT;
use crate::record::{Header, Kind, LINE_BYTES, Line};

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

//! From the fields of a message to its record. Both paths end here, so that they cannot differ in what a
//! field means.

mod statistics;

use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{ABSENT, AggTrade, Book, Quote, Side, Trade, TradeType};
use marketprism_core::{Decimal, Kind};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, NO_DECIMAL, Unfit, align};

pub(crate) use statistics::*;

/// The engine's time where given, else the publication's.
#[inline(always)]
fn best_time(engine_ns: i64, event_ns: i64) -> i64 {
    if engine_ns == TIME_MISSING { event_ns } else { engine_ns }
}

#[inline(always)]
fn aggressor(buyer_is_maker: bool) -> u8 {
    if buyer_is_maker { Side::Sell as u8 } else { Side::Buy as u8 }
}

/// Fields of `trade`.
pub(crate) struct TradeFields {
    pub(crate) event_ns: i64,
    pub(crate) match_ns: i64,
    pub(crate) id: u64,
    pub(crate) price: Decimal,
    pub(crate) quantity: Decimal,
    pub(crate) buyer_is_maker: bool,
    pub(crate) trade_type: TradeType,
}

impl TradeFields {
    #[inline(always)]
    pub(crate) fn record(self, envelope: Envelope) -> Trade {
        let mut header = envelope.header(Kind::Trade, best_time(self.match_ns, self.event_ns));
        header.price_exponent = self.price.exponent;
        header.quantity_exponent = self.quantity.exponent;
        header.sequence = self.id;
        Trade {
            header,
            price: self.price.mantissa,
            quantity: self.quantity.mantissa,
            event_ns: self.event_ns,
            side: aggressor(self.buyer_is_maker),
            trade_type: self.trade_type as u8,
            reserved: [0; 2],
            fills: 0,
        }
    }
}

/// The type of a trade from field `X`; the set is open.
pub(crate) fn trade_type(name: &[u8]) -> TradeType {
    match name {
        b"MARKET" => TradeType::Market,
        b"INSURANCE_FUND" => TradeType::InsuranceFund,
        b"ADL" => TradeType::AutoDeleverage,
        _ => TradeType::Other,
    }
}

/// Fields of `aggTrade`.
pub(crate) struct AggTradeFields {
    pub(crate) event_ns: i64,
    pub(crate) match_ns: i64,
    pub(crate) id: u64,
    pub(crate) price: Decimal,
    pub(crate) quantity: Decimal,
    pub(crate) normal_quantity: Decimal,
    pub(crate) first_trade_id: u64,
    pub(crate) last_trade_id: u64,
    pub(crate) buyer_is_maker: bool,
}

impl AggTradeFields {
    #[inline(always)]
    pub(crate) fn record(self, envelope: Envelope) -> Result<AggTrade, Unfit> {
        // Only linear futures send it, so that this is decided once.
        let ([quantity, normal_quantity], quantity_exponent) = if self.normal_quantity == NO_DECIMAL {
            ([self.quantity.mantissa, ABSENT], self.quantity.exponent)
        } else {
            align([self.quantity, self.normal_quantity], "q")?
        };
        let mut header = envelope.header(Kind::AggTrade, best_time(self.match_ns, self.event_ns));
        header.price_exponent = self.price.exponent;
        header.quantity_exponent = quantity_exponent;
        header.sequence = self.id;
        Ok(AggTrade {
            header,
            price: self.price.mantissa,
            quantity,
            normal_quantity,
            first_trade_id: self.first_trade_id,
            last_trade_id: self.last_trade_id,
            event_ns: self.event_ns,
            side: aggressor(self.buyer_is_maker),
            reserved: [0; 47],
        })
    }
}

/// Fields of a book message; its levels are in a [`LevelBuffer`].
pub(crate) struct BookFields {
    pub(crate) kind: Kind,
    pub(crate) event_ns: i64,
    pub(crate) engine_ns: i64,
    pub(crate) first_id: u64,
    pub(crate) last_id: u64,
    pub(crate) previous_id: i64,
    pub(crate) bid_levels: usize,
}

impl BookFields {
    /// The top of a spot book, which has no times.
    #[inline(always)]
    pub(crate) fn spot_top(last_id: u64, bid_levels: usize) -> BookFields {
        BookFields {
            kind: Kind::BookSnapshot,
            event_ns: TIME_MISSING,
            engine_ns: TIME_MISSING,
            first_id: last_id,
            last_id,
            previous_id: ABSENT,
            bid_levels,
        }
    }

    #[inline(always)]
    pub(crate) fn record(self, envelope: Envelope, levels: &LevelBuffer) -> Book {
        let mut header = envelope.header(self.kind, best_time(self.engine_ns, self.event_ns));
        header.price_exponent = levels.price_exponent();
        header.quantity_exponent = levels.quantity_exponent();
        header.sequence = self.last_id;
        // The buffer holds at most MAX_LEVELS, far below what 16 bits hold.
        Book {
            header,
            first_id: self.first_id,
            previous_id: self.previous_id,
            event_ns: self.event_ns,
            level_start: 0,
            bid_levels: self.bid_levels as u16,
            ask_levels: (levels.levels().len() - self.bid_levels) as u16,
        }
    }
}

/// Fields of `bookTicker`.
pub(crate) struct QuoteFields {
    pub(crate) event_ns: i64,
    pub(crate) engine_ns: i64,
    pub(crate) update_id: u64,
    pub(crate) bid_price: Decimal,
    pub(crate) bid_quantity: Decimal,
    pub(crate) ask_price: Decimal,
    pub(crate) ask_quantity: Decimal,
}

impl QuoteFields {
    #[inline(always)]
    pub(crate) fn record(self, envelope: Envelope) -> Result<Quote, Unfit> {
        let ([bid_price, ask_price], price_exponent) = align([self.bid_price, self.ask_price], "b")?;
        let ([bid_quantity, ask_quantity], quantity_exponent) =
            align([self.bid_quantity, self.ask_quantity], "B")?;
        let mut header = envelope.header(Kind::Quote, best_time(self.engine_ns, self.event_ns));
        header.price_exponent = price_exponent;
        header.quantity_exponent = quantity_exponent;
        header.sequence = self.update_id;
        Ok(Quote { header, bid_price, bid_quantity, ask_price, ask_quantity })
    }
}

//! From the fields of a message to its record. Both paths end here, so that they cannot differ in what a
//! field means.

use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{ABSENT, Book, MarkPrice, Quote, Side, Ticker, Trade, TradeType, flag};
use marketprism_core::{Decimal, Kind};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, NO_DECIMAL, Unfit, align, time_ns};

/// A time of the venue, milliseconds, as nanoseconds. The venue writes 0 where it has none.
#[inline(always)]
pub(crate) fn venue_time(value: u64) -> Option<i64> {
    if value == 0 { Some(TIME_MISSING) } else { time_ns(value) }
}

/// The side from its name; the set is open.
pub(crate) fn side(name: &[u8]) -> Side {
    match name {
        b"buy" => Side::Buy,
        b"sell" => Side::Sell,
        _ => Side::Unknown,
    }
}

/// Fields of `trades` and `trades-all`.
pub(crate) struct TradeFields {
    pub(crate) match_ns: i64,
    pub(crate) id: u64,
    pub(crate) price: Decimal,
    pub(crate) quantity: Decimal,
    pub(crate) side: Side,
    /// 0 where the venue does not say.
    pub(crate) fills: u32,
}

impl TradeFields {
    #[inline(always)]
    pub(crate) fn record(self, envelope: Envelope) -> Trade {
        let mut header = envelope.header(Kind::Trade, self.match_ns);
        header.price_exponent = self.price.exponent;
        header.quantity_exponent = self.quantity.exponent;
        header.sequence = self.id;
        Trade {
            header,
            price: self.price.mantissa,
            quantity: self.quantity.mantissa,
            event_ns: TIME_MISSING,
            side: self.side as u8,
            trade_type: TradeType::Market as u8,
            reserved: [0; 2],
            fills: self.fills,
        }
    }
}

/// Fields of a book message; its levels are in a [`LevelBuffer`].
pub(crate) struct BookFields {
    pub(crate) kind: Kind,
    /// Whether it is only the top of the book.
    pub(crate) partial: bool,
    pub(crate) exchange_ns: i64,
    /// 0 where the venue gives none.
    pub(crate) sequence: u64,
    /// [`ABSENT`] where the venue gives none.
    pub(crate) previous_id: i64,
    /// 0 where the venue gives none, and where it could not be recomputed.
    pub(crate) checksum: i32,
    pub(crate) bid_levels: usize,
}

impl BookFields {
    #[inline(always)]
    pub(crate) fn record(self, envelope: Envelope, levels: &LevelBuffer) -> Book {
        let mut header = envelope.header(self.kind, self.exchange_ns);
        if self.kind == Kind::BookSnapshot {
            header.flags |= flag::SNAPSHOT;
        }
        if self.partial {
            header.flags |= flag::PARTIAL;
        }
        if self.checksum != 0 {
            header.flags |= flag::CHECKSUM;
        }
        header.price_exponent = levels.price_exponent();
        header.quantity_exponent = levels.quantity_exponent();
        header.sequence = self.sequence;
        // The buffer holds at most MAX_LEVELS, far below what 16 bits hold.
        Book {
            header,
            first_id: u64::from(self.checksum as u32),
            previous_id: self.previous_id,
            event_ns: TIME_MISSING,
            level_start: 0,
            bid_levels: self.bid_levels as u16,
            ask_levels: (levels.levels().len() - self.bid_levels) as u16,
        }
    }
}

/// Price and quantity of the best level of a side that is empty.
pub(crate) const NO_LEVEL: (Decimal, Decimal) = (NO_DECIMAL, NO_DECIMAL);

/// Fields of `bbo-tbt`.
pub(crate) struct QuoteFields {
    pub(crate) exchange_ns: i64,
    /// 0 where the venue gives none.
    pub(crate) sequence: u64,
    pub(crate) bid: (Decimal, Decimal),
    pub(crate) ask: (Decimal, Decimal),
}

impl QuoteFields {
    #[inline(always)]
    pub(crate) fn record(self, envelope: Envelope) -> Result<Quote, Unfit> {
        let ([bid_price, ask_price], price_exponent) = align([self.bid.0, self.ask.0], "bids")?;
        let ([bid_quantity, ask_quantity], quantity_exponent) = align([self.bid.1, self.ask.1], "bids")?;
        let mut header = envelope.header(Kind::Quote, self.exchange_ns);
        header.price_exponent = price_exponent;
        header.quantity_exponent = quantity_exponent;
        header.sequence = self.sequence;
        Ok(Quote { header, bid_price, bid_quantity, ask_price, ask_quantity })
    }
}

/// Fields of `tickers`. Each number is [`NO_DECIMAL`] where the venue gives none.
pub(crate) struct TickerFields {
    pub(crate) exchange_ns: i64,
    pub(crate) last: Decimal,
    pub(crate) last_quantity: Decimal,
    pub(crate) ask_price: Decimal,
    pub(crate) ask_quantity: Decimal,
    pub(crate) bid_price: Decimal,
    pub(crate) bid_quantity: Decimal,
    pub(crate) open: Decimal,
    pub(crate) high: Decimal,
    pub(crate) low: Decimal,
    /// `vol24h`: base units on spot, contracts elsewhere.
    pub(crate) volume: Decimal,
    /// `volCcy24h`: quote units on spot, base units elsewhere.
    pub(crate) currency_volume: Decimal,
}

impl TickerFields {
    pub(crate) fn record(self, envelope: Envelope, spot: bool) -> Result<Ticker, Unfit> {
        let prices = [self.last, self.open, self.high, self.low, self.bid_price, self.ask_price];
        let ([last, open, high, low, bid_price, ask_price], price_exponent) = align(prices, "last")?;
        let quantities = [self.volume, self.last_quantity, self.bid_quantity, self.ask_quantity];
        let ([volume, last_quantity, bid_quantity, ask_quantity], quantity_exponent) =
            align(quantities, "vol24h")?;
        let (quote_volume, base_volume) =
            if spot { (self.currency_volume, NO_DECIMAL) } else { (NO_DECIMAL, self.currency_volume) };
        let mut header = envelope.header(Kind::Ticker, self.exchange_ns);
        header.price_exponent = price_exponent;
        header.quantity_exponent = quantity_exponent;
        Ok(Ticker {
            header,
            last,
            open,
            high,
            low,
            weighted_average: ABSENT,
            bid_price,
            ask_price,
            volume,
            last_quantity,
            bid_quantity,
            ask_quantity,
            quote_volume: quote_volume.mantissa,
            open_ns: TIME_MISSING,
            close_ns: TIME_MISSING,
            first_trade_id: ABSENT,
            last_trade_id: ABSENT,
            trades: ABSENT,
            base_volume: base_volume.mantissa,
            quote_volume_exponent: quote_volume.exponent,
            base_volume_exponent: base_volume.exponent,
            reserved: [0; 14],
        })
    }
}

/// The record of `mark-price`.
pub(crate) fn mark_price(envelope: Envelope, exchange_ns: i64, price: Decimal) -> MarkPrice {
    MarkPrice { mark_price: price.mantissa, ..one_price(envelope, exchange_ns, price) }
}

/// The record of `index-tickers`.
pub(crate) fn index_price(envelope: Envelope, exchange_ns: i64, price: Decimal) -> MarkPrice {
    MarkPrice { index_price: price.mantissa, ..one_price(envelope, exchange_ns, price) }
}

fn one_price(envelope: Envelope, exchange_ns: i64, price: Decimal) -> MarkPrice {
    let mut header = envelope.header(Kind::MarkPrice, exchange_ns);
    header.price_exponent = price.exponent;
    MarkPrice {
        header,
        mark_price: ABSENT,
        index_price: ABSENT,
        settlement_price: ABSENT,
        average_price: ABSENT,
    }
}

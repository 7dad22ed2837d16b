//! From the fields of a message to its records. Both paths fill these structs, so that they cannot differ in what a
//! field means. What was not sent is `None` or [`NO_DECIMAL`].

use marketprism_core::clock::{NS_PER_MS, TIME_MISSING};
use marketprism_core::record::{
    ABSENT, Book, Candle, DetailedTrade, LiquidatedParty, Liquidation, MarkPrice, Quote, Side, Sink, Trade,
    TradeType, VolatilityIndex, fixed_text, flag,
};
use marketprism_core::venue::DecodeError;
use marketprism_core::{Decimal, Kind};
use marketprism_parse::json::bad;
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, NO_DECIMAL, Unfit, align};

use crate::numbers::numbers;

/// The error of values that one record cannot keep.
pub(crate) fn unfit(Unfit(field): Unfit) -> DecodeError {
    bad(field, "does not fit 64 bits together with the other values of the message")
}

/// A decimal that has to be there.
fn needed(value: Decimal, field: &'static str) -> Result<Decimal, DecodeError> {
    if value == NO_DECIMAL { Err(DecodeError::Missing(field)) } else { Ok(value) }
}

/// Price and amount of one side of the book. The venue writes zeros, or in places `null`, for an empty side; spreads
/// do trade at a price of zero, but not with an amount of zero.
pub(crate) fn side(price: Decimal, amount: Decimal) -> [Decimal; 2] {
    let empty = price == NO_DECIMAL || (price.is_zero() && (amount == NO_DECIMAL || amount.is_zero()));
    if empty { [NO_DECIMAL; 2] } else { [price, amount] }
}

numbers! {
    /// The numbers of a trade.
    TradeNumbers {
        price: "price",
        amount: "amount",
        mark_price: "mark_price",
        index_price: "index_price",
        volatility: "iv",
    }
}

/// One trade.
pub(crate) struct TradeFields {
    pub(crate) exchange_ns: Option<i64>,
    pub(crate) sequence: Option<u64>,
    pub(crate) trade_id: Option<[u8; 24]>,
    pub(crate) direction: Option<Side>,
    pub(crate) liquidation: Option<LiquidatedParty>,
    pub(crate) block: bool,
    pub(crate) combo: bool,
    pub(crate) numbers: TradeNumbers,
}

impl TradeFields {
    /// Nothing sent so far.
    pub(crate) const EMPTY: TradeFields = TradeFields {
        exchange_ns: None,
        sequence: None,
        trade_id: None,
        direction: None,
        liquidation: None,
        block: false,
        combo: false,
        numbers: TradeNumbers::EMPTY,
    };

    /// Appends the trade, and a liquidation for each party that was liquidated in it. Nothing on an error.
    pub(crate) fn push(&self, envelope: Envelope, sink: &mut dyn Sink) -> Result<(), DecodeError> {
        let TradeNumbers { price, amount, mark_price, index_price, volatility } = self.numbers;
        let (price, amount) = (needed(price, "price")?, needed(amount, "amount")?);
        let ([price, mark_price, index_price], price_exponent) =
            align([price, mark_price, index_price], "price").map_err(unfit)?;
        let mut header = envelope.header(Kind::DetailedTrade, self.exchange_ns.unwrap_or(TIME_MISSING));
        header.price_exponent = price_exponent;
        header.quantity_exponent = amount.exponent;
        header.sequence = self.sequence.ok_or(DecodeError::Missing("trade_seq"))?;
        let direction = self.direction.ok_or(DecodeError::Missing("direction"))?;
        let trade = Trade {
            header,
            price,
            quantity: amount.mantissa,
            event_ns: TIME_MISSING,
            side: direction as u8,
            trade_type: TradeType::Market as u8,
            reserved: [0; 2],
            fills: 0,
        };
        sink.push(&DetailedTrade {
            trade,
            mark_price,
            index_price,
            implied_volatility: volatility.mantissa,
            trade_id: self.trade_id.ok_or(DecodeError::Missing("trade_id"))?,
            volatility_exponent: volatility.exponent,
            liquidation: self.liquidation.map_or(0, |party| party as u8),
            block: u8::from(self.block),
            combo: u8::from(self.combo),
            reserved: [0; 12],
        });
        if let Some(party) = self.liquidation {
            push_liquidations(&trade, party, sink);
        }
        Ok(())
    }
}

/// What the taker did, or the other side where the maker was liquidated.
fn push_liquidations(trade: &Trade, party: LiquidatedParty, sink: &mut dyn Sink) {
    let opposite = match trade.side {
        side if side == Side::Buy as u8 => Side::Sell as u8,
        side if side == Side::Sell as u8 => Side::Buy as u8,
        unknown => unknown,
    };
    let taker = (trade.side, "taker");
    let maker = (opposite, "maker");
    let parties: &[_] = match party {
        LiquidatedParty::Taker => &[taker],
        LiquidatedParty::Maker => &[maker],
        LiquidatedParty::Both => &[taker, maker],
    };
    let mut header = trade.header;
    header.kind = Kind::Liquidation as u8;
    for (side, status) in parties {
        sink.push(&Liquidation {
            header,
            price: trade.price,
            average_price: trade.price,
            quantity: trade.quantity,
            filled_quantity: trade.quantity,
            last_quantity: ABSENT,
            event_ns: TIME_MISSING,
            status: fixed_text(status.as_bytes()),
            side: *side,
            reserved: [0; 23],
        });
    }
}

/// The taker's side from `direction`.
pub(crate) fn direction(name: &[u8]) -> Side {
    match name {
        b"buy" => Side::Buy,
        b"sell" => Side::Sell,
        _ => Side::Unknown,
    }
}

/// Who was liquidated, from `liquidation`.
pub(crate) fn liquidated(name: &[u8]) -> Option<LiquidatedParty> {
    match name {
        b"M" => Some(LiquidatedParty::Maker),
        b"T" => Some(LiquidatedParty::Taker),
        b"MT" => Some(LiquidatedParty::Both),
        _ => None,
    }
}

/// A trade's id as a record keeps it; `None` for one that is longer than any that the venue has.
pub(crate) fn trade_id(text: &[u8]) -> Option<[u8; 24]> {
    (text.len() <= 24 && text.is_ascii()).then(|| fixed_text(text))
}

/// A book message; its levels are in a [`LevelBuffer`].
pub(crate) struct BookFields {
    /// Both kinds are possible; see [`book_kind`].
    pub(crate) kind: Kind,
    /// Whether only the best levels are sent.
    pub(crate) grouped: bool,
    pub(crate) exchange_ns: Option<i64>,
    pub(crate) change_id: u64,
    pub(crate) previous_id: Option<i64>,
    pub(crate) bid_levels: usize,
}

/// What a book message is. Only the changes of a whole book name the message before them; older forms have no type.
pub(crate) fn book_kind(name: Option<&[u8]>, previous_id: Option<i64>, grouped: bool) -> Option<Kind> {
    match name {
        _ if grouped => Some(Kind::BookSnapshot),
        Some(b"snapshot") => Some(Kind::BookSnapshot),
        Some(b"change") => Some(Kind::BookDelta),
        Some(_) => None,
        None if previous_id.is_none() => Some(Kind::BookSnapshot),
        None => Some(Kind::BookDelta),
    }
}

impl BookFields {
    pub(crate) fn record(self, envelope: Envelope, levels: &LevelBuffer) -> Book {
        let mut header = envelope.header(self.kind, self.exchange_ns.unwrap_or(TIME_MISSING));
        let mut previous_id = self.previous_id.unwrap_or(ABSENT);
        if self.kind == Kind::BookSnapshot {
            header.flags |= if self.grouped { flag::SNAPSHOT | flag::PARTIAL } else { flag::SNAPSHOT };
            previous_id = ABSENT;
        }
        header.price_exponent = levels.price_exponent();
        header.quantity_exponent = levels.quantity_exponent();
        header.sequence = self.change_id;
        // The buffer holds at most MAX_LEVELS, far below what 16 bits hold.
        Book {
            header,
            first_id: 0,
            previous_id,
            event_ns: TIME_MISSING,
            level_start: 0,
            bid_levels: self.bid_levels as u16,
            ask_levels: (levels.levels().len() - self.bid_levels) as u16,
        }
    }
}

numbers! {
    /// Best bid and ask.
    QuoteNumbers {
        bid_price: "best_bid_price",
        bid_amount: "best_bid_amount",
        ask_price: "best_ask_price",
        ask_amount: "best_ask_amount",
    }
}

impl QuoteNumbers {
    pub(crate) fn record(&self, envelope: Envelope, exchange_ns: Option<i64>) -> Result<Quote, DecodeError> {
        let [bid_price, bid_amount] = side(self.bid_price, self.bid_amount);
        let [ask_price, ask_amount] = side(self.ask_price, self.ask_amount);
        let ([bid_price, ask_price], price_exponent) =
            align([bid_price, ask_price], "best_bid_price").map_err(unfit)?;
        let ([bid_quantity, ask_quantity], quantity_exponent) =
            align([bid_amount, ask_amount], "best_bid_amount").map_err(unfit)?;
        let mut header = envelope.header(Kind::Quote, exchange_ns.unwrap_or(TIME_MISSING));
        header.price_exponent = price_exponent;
        header.quantity_exponent = quantity_exponent;
        Ok(Quote { header, bid_price, bid_quantity, ask_price, ask_quantity })
    }
}

/// The value of an index.
pub(crate) struct IndexFields {
    pub(crate) exchange_ns: Option<i64>,
    /// `price`, or `volatility` of a volatility index.
    pub(crate) value: Decimal,
}

impl IndexFields {
    pub(crate) fn price(&self, envelope: Envelope) -> Result<MarkPrice, DecodeError> {
        let index = needed(self.value, "price")?;
        let mut header = envelope.header(Kind::MarkPrice, self.exchange_ns.unwrap_or(TIME_MISSING));
        header.price_exponent = index.exponent;
        Ok(MarkPrice {
            header,
            mark_price: ABSENT,
            index_price: index.mantissa,
            settlement_price: ABSENT,
            average_price: ABSENT,
        })
    }

    pub(crate) fn volatility(&self, envelope: Envelope) -> Result<VolatilityIndex, DecodeError> {
        let volatility = needed(self.value, "volatility")?;
        let mut header = envelope.header(Kind::VolatilityIndex, self.exchange_ns.unwrap_or(TIME_MISSING));
        header.price_exponent = volatility.exponent;
        Ok(VolatilityIndex { header, volatility: volatility.mantissa, reserved: [0; 24] })
    }
}

numbers! {
    /// The numbers of one bar. The volume is in base coins and the cost in quote units, on inverse contracts too.
    CandleNumbers {
        open: "open",
        high: "high",
        low: "low",
        close: "close",
        volume: "volume",
        cost: "cost",
    }
}

impl CandleNumbers {
    /// The bar that starts at `open_ns`, of a resolution that lasts `length_ns`. The venue does not say when a bar is
    /// final, so that none is marked as closed: a later bar closes it. Nor does it say when it sent one.
    pub(crate) fn record(
        &self,
        envelope: Envelope,
        open_ns: i64,
        resolution: &[u8],
        length_ns: i64,
    ) -> Result<Candle, DecodeError> {
        let prices = [
            needed(self.open, "open")?,
            needed(self.high, "high")?,
            needed(self.low, "low")?,
            needed(self.close, "close")?,
        ];
        let ([open, high, low, close], price_exponent) = align(prices, "open").map_err(unfit)?;
        let volume = needed(self.volume, "volume")?;
        let mut header = envelope.header(Kind::Candle, TIME_MISSING);
        header.price_exponent = price_exponent;
        header.quantity_exponent = volume.exponent;
        Ok(Candle {
            header,
            open_ns,
            close_ns: open_ns.checked_add(length_ns - NS_PER_MS).ok_or_else(|| bad("tick", "too late"))?,
            open,
            high,
            low,
            close,
            volume: volume.mantissa,
            quote_volume: self.cost.mantissa,
            taker_buy_volume: ABSENT,
            taker_buy_quote_volume: ABSENT,
            trades: ABSENT,
            interval: fixed_text(resolution),
            closed: 0,
            quote_volume_exponent: self.cost.exponent,
            reserved: [0; 2],
        })
    }
}

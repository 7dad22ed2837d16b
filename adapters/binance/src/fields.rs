//! From the fields of a message to its record. Both paths end here, so that they cannot differ in what a
//! field means.

use marketprism_core::clock::{NS_PER_MS, TIME_MISSING};
use marketprism_core::record::{
    ABSENT, AggTrade, Book, Candle, FundingRate, Header, Liquidation, MarkPrice, Quote, Side, Ticker, Trade,
    TradeType, fixed_text, flag,
};
use marketprism_core::{Decimal, InstrumentId, Kind};

use crate::levels::LevelBuffer;

/// A decimal that the venue did not send. No text parses to it.
pub(crate) const NO_DECIMAL: Decimal = Decimal { mantissa: ABSENT, exponent: 0 };

/// The field whose values cannot be kept exactly in one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfit(pub(crate) &'static str);

/// What a record says besides the message itself.
#[derive(Clone, Copy)]
pub(crate) struct Envelope {
    pub(crate) instrument: InstrumentId,
    pub(crate) receive_ns: i64,
    pub(crate) flags: u8,
}

impl Envelope {
    #[inline(always)]
    fn header(self, kind: Kind, exchange_ns: i64) -> Header {
        let mut header = Header::new(kind, self.instrument, self.receive_ns);
        header.flags = self.flags;
        header.exchange_ns = exchange_ns;
        header
    }
}

/// Smallest value that is microseconds: as milliseconds it would be the year 5138.
const FIRST_MICROSECONDS: u64 = 100_000_000_000_000;

/// A time of the venue, in milliseconds or (on request, spot) microseconds since the Unix epoch, as
/// nanoseconds. `None` where 64 bits do not hold it.
#[inline(always)]
pub(crate) fn time_ns(value: u64) -> Option<i64> {
    let unit = if value >= FIRST_MICROSECONDS { 1_000 } else { NS_PER_MS };
    i64::try_from(value).ok()?.checked_mul(unit)
}

/// Next funding time from field `T`; 0 says that there is none.
pub(crate) fn next_funding(value: u64) -> Option<i64> {
    if value == 0 { Some(TIME_MISSING) } else { time_ns(value) }
}

/// The engine's time where given, else the publication's.
#[inline(always)]
fn best_time(engine_ns: i64, event_ns: i64) -> i64 {
    if engine_ns == TIME_MISSING { event_ns } else { engine_ns }
}

#[inline(always)]
fn aggressor(buyer_is_maker: bool) -> u8 {
    if buyer_is_maker { Side::Sell as u8 } else { Side::Buy as u8 }
}

/// Brings values to the exponent of the one with the most decimals. Zeros take any exponent, unless all are
/// zero; absent ones stay absent. Where that does not fit 64 bits, trailing zeros are dropped first.
#[inline(always)]
pub(crate) fn align<const N: usize>(
    values: [Decimal; N],
    field: &'static str,
) -> Result<([i64; N], i8), Unfit> {
    let exponent = values[0].exponent;
    if values.iter().all(|value| value.exponent == exponent && value.mantissa != ABSENT) {
        return Ok((values.map(|value| value.mantissa), exponent));
    }
    align_different(values).ok_or(Unfit(field))
}

#[inline(never)]
fn align_different<const N: usize>(values: [Decimal; N]) -> Option<([i64; N], i8)> {
    let short = |value: Decimal| if value.mantissa == ABSENT { value } else { value.normalised() };
    rescale(values).or_else(|| rescale(values.map(short)))
}

fn rescale<const N: usize>(values: [Decimal; N]) -> Option<([i64; N], i8)> {
    let sent = || values.iter().filter(|value| value.mantissa != ABSENT);
    let counting = sent().filter(|value| !value.is_zero()).map(|value| value.exponent).min();
    let exponent = counting.or_else(|| sent().map(|value| value.exponent).min()).unwrap_or(0);
    let mut mantissas = [ABSENT; N];
    for (mantissa, value) in mantissas.iter_mut().zip(values) {
        if value.mantissa != ABSENT {
            *mantissa = value.rescale(exponent)?.mantissa;
        }
    }
    Some((mantissas, exponent))
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
            reserved: [0; 6],
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
    #[inline(always)]
    pub(crate) fn record(self, envelope: Envelope, levels: &LevelBuffer) -> Book {
        let mut header = envelope.header(self.kind, best_time(self.engine_ns, self.event_ns));
        if self.kind == Kind::BookSnapshot {
            header.flags |= flag::SNAPSHOT;
        }
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

/// Fields of `24hrTicker`.
pub(crate) struct TickerFields {
    pub(crate) event_ns: i64,
    pub(crate) last: Decimal,
    pub(crate) open: Decimal,
    pub(crate) high: Decimal,
    pub(crate) low: Decimal,
    pub(crate) weighted_average: Decimal,
    pub(crate) bid_price: Decimal,
    pub(crate) ask_price: Decimal,
    pub(crate) volume: Decimal,
    pub(crate) last_quantity: Decimal,
    pub(crate) bid_quantity: Decimal,
    pub(crate) ask_quantity: Decimal,
    pub(crate) quote_volume: Decimal,
    pub(crate) open_ns: i64,
    pub(crate) close_ns: i64,
    pub(crate) first_trade_id: i64,
    pub(crate) last_trade_id: i64,
    pub(crate) trades: i64,
}

impl TickerFields {
    pub(crate) fn record(self, envelope: Envelope) -> Result<Ticker, Unfit> {
        let prices = [
            self.last,
            self.open,
            self.high,
            self.low,
            self.weighted_average,
            self.bid_price,
            self.ask_price,
        ];
        let ([last, open, high, low, weighted_average, bid_price, ask_price], price_exponent) =
            align(prices, "c")?;
        let quantities = [self.volume, self.last_quantity, self.bid_quantity, self.ask_quantity];
        let ([volume, last_quantity, bid_quantity, ask_quantity], quantity_exponent) =
            align(quantities, "v")?;
        let mut header = envelope.header(Kind::Ticker, self.event_ns);
        header.price_exponent = price_exponent;
        header.quantity_exponent = quantity_exponent;
        Ok(Ticker {
            header,
            last,
            open,
            high,
            low,
            weighted_average,
            bid_price,
            ask_price,
            volume,
            last_quantity,
            bid_quantity,
            ask_quantity,
            quote_volume: self.quote_volume.mantissa,
            open_ns: self.open_ns,
            close_ns: self.close_ns,
            first_trade_id: self.first_trade_id,
            last_trade_id: self.last_trade_id,
            trades: self.trades,
            quote_volume_exponent: self.quote_volume.exponent,
            reserved: [0; 23],
        })
    }
}

/// Fields of `markPriceUpdate` and of the REST answer `premiumIndex`.
pub(crate) struct MarkPriceFields {
    pub(crate) event_ns: i64,
    pub(crate) mark: Decimal,
    pub(crate) index: Decimal,
    pub(crate) settlement: Decimal,
    pub(crate) average: Decimal,
    /// [`NO_DECIMAL`] for contracts without funding.
    pub(crate) rate: Decimal,
    /// [`TIME_MISSING`] for contracts without funding.
    pub(crate) next_funding_ns: i64,
}

impl MarkPriceFields {
    /// The mark price, and the funding rate where there is one.
    #[inline(always)]
    pub(crate) fn records(self, envelope: Envelope) -> Result<(MarkPrice, Option<FundingRate>), Unfit> {
        let ([mark_price, index_price, settlement_price, average_price], price_exponent) =
            align([self.mark, self.index, self.settlement, self.average], "p")?;
        let mut header = envelope.header(Kind::MarkPrice, self.event_ns);
        header.price_exponent = price_exponent;
        let mark = MarkPrice { header, mark_price, index_price, settlement_price, average_price };
        let funding = (self.rate != NO_DECIMAL).then(|| FundingRate {
            header: envelope.header(Kind::FundingRate, self.event_ns),
            rate: self.rate.mantissa,
            next_funding_ns: self.next_funding_ns,
            interval_ns: ABSENT,
            rate_exponent: self.rate.exponent,
            reserved: [0; 7],
        });
        Ok((mark, funding))
    }
}

/// The interval alone, as the list of funding settings gives it.
pub(crate) fn funding_interval(envelope: Envelope, interval_ns: i64) -> FundingRate {
    FundingRate {
        header: envelope.header(Kind::FundingRate, TIME_MISSING),
        rate: ABSENT,
        next_funding_ns: TIME_MISSING,
        interval_ns,
        rate_exponent: 0,
        reserved: [0; 7],
    }
}

/// Fields of `kline`.
pub(crate) struct CandleFields {
    pub(crate) event_ns: i64,
    pub(crate) open_ns: i64,
    pub(crate) close_ns: i64,
    pub(crate) interval: [u8; 4],
    pub(crate) open: Decimal,
    pub(crate) high: Decimal,
    pub(crate) low: Decimal,
    pub(crate) close: Decimal,
    pub(crate) volume: Decimal,
    pub(crate) quote_volume: Decimal,
    pub(crate) taker_buy_volume: Decimal,
    pub(crate) taker_buy_quote_volume: Decimal,
    pub(crate) trades: i64,
    pub(crate) closed: bool,
}

impl CandleFields {
    #[inline(always)]
    pub(crate) fn record(self, envelope: Envelope) -> Result<Candle, Unfit> {
        let ([open, high, low, close], price_exponent) =
            align([self.open, self.high, self.low, self.close], "o")?;
        let ([volume, taker_buy_volume], quantity_exponent) =
            align([self.volume, self.taker_buy_volume], "v")?;
        let ([quote_volume, taker_buy_quote_volume], quote_volume_exponent) =
            align([self.quote_volume, self.taker_buy_quote_volume], "q")?;
        let mut header = envelope.header(Kind::Candle, self.event_ns);
        header.price_exponent = price_exponent;
        header.quantity_exponent = quantity_exponent;
        Ok(Candle {
            header,
            open_ns: self.open_ns,
            close_ns: self.close_ns,
            open,
            high,
            low,
            close,
            volume,
            quote_volume,
            taker_buy_volume,
            taker_buy_quote_volume,
            trades: self.trades,
            interval: self.interval,
            closed: u8::from(self.closed),
            quote_volume_exponent,
            reserved: [0; 2],
        })
    }
}

/// The name of an interval as a candle keeps it; `None` where it is longer than any that the venue has.
pub(crate) fn interval_text(name: &[u8]) -> Option<[u8; 4]> {
    (name.len() <= 4).then(|| fixed_text(name))
}

/// Fields of `forceOrder`.
pub(crate) struct LiquidationFields<'a> {
    pub(crate) event_ns: i64,
    pub(crate) trade_ns: i64,
    pub(crate) side: Side,
    pub(crate) price: Decimal,
    pub(crate) average_price: Decimal,
    pub(crate) quantity: Decimal,
    pub(crate) filled_quantity: Decimal,
    pub(crate) last_quantity: Decimal,
    pub(crate) status: &'a [u8],
}

impl LiquidationFields<'_> {
    #[inline(always)]
    pub(crate) fn record(self, envelope: Envelope) -> Result<Liquidation, Unfit> {
        let ([price, average_price], price_exponent) = align([self.price, self.average_price], "p")?;
        let ([quantity, filled_quantity, last_quantity], quantity_exponent) =
            align([self.quantity, self.filled_quantity, self.last_quantity], "q")?;
        let mut header = envelope.header(Kind::Liquidation, best_time(self.trade_ns, self.event_ns));
        header.price_exponent = price_exponent;
        header.quantity_exponent = quantity_exponent;
        Ok(Liquidation {
            header,
            price,
            average_price,
            quantity,
            filled_quantity,
            last_quantity,
            event_ns: self.event_ns,
            status: fixed_text(self.status),
            side: self.side as u8,
            reserved: [0; 23],
        })
    }
}

/// The side of a liquidation order from its name.
pub(crate) fn order_side(name: &[u8]) -> Side {
    match name {
        b"BUY" => Side::Buy,
        b"SELL" => Side::Sell,
        _ => Side::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        if text.is_empty() { NO_DECIMAL } else { text.parse().unwrap() }
    }

    #[test]
    fn milliseconds_and_microseconds_are_told_apart() {
        assert_eq!(time_ns(1_672_515_782_136), Some(1_672_515_782_136_000_000));
        assert_eq!(time_ns(1_672_515_782_136_123), Some(1_672_515_782_136_123_000));
        assert_eq!(time_ns(0), Some(0));
        assert_eq!(time_ns(99_999_999_999_999), None);
        assert_eq!(time_ns(u64::MAX), None);
    }

    #[test]
    fn values_of_a_message_share_an_exponent() {
        let of = |texts: [&str; 3]| align(texts.map(decimal), "p");
        assert_eq!(of(["1.50", "2.25", "0.10"]), Ok(([150, 225, 10], -2)));
        assert_eq!(of(["1.5", "", "0.0000"]), Ok(([15, ABSENT, 0], -1)));
        assert_eq!(of(["0", "0.00", ""]), Ok(([0, 0, ABSENT], -2)));
        assert_eq!(of(["", "", ""]), Ok(([ABSENT; 3], 0)));
        let digits = "900000000000000000.0";
        assert_eq!(of([digits, "1.50000000", "2"]), Ok(([9_000_000_000_000_000_000, 15, 20], -1)));
        assert_eq!(of(["900000000000000000", "1.55", "2"]), Err(Unfit("p")));
    }
}

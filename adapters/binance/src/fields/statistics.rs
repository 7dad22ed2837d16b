//! Tickers, marks, funding, candles and liquidations.

use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{
    ABSENT, Candle, FundingRate, Liquidation, MarkPrice, Side, Ticker, fixed_text,
};
use marketprism_core::{Decimal, Kind};
use marketprism_parse::numbers::{Envelope, NO_DECIMAL, Unfit, align, time_ns};

use super::best_time;

/// Next funding time from field `T`; 0 says that there is none.
pub(crate) fn next_funding(value: u64) -> Option<i64> {
    if value == 0 { Some(TIME_MISSING) } else { time_ns(value) }
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
            base_volume: ABSENT,
            quote_volume_exponent: self.quote_volume.exponent,
            base_volume_exponent: 0,
            reserved: [0; 14],
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
    /// [`NO_DECIMAL`] on streams.
    pub(crate) interest: Decimal,
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
            interest_rate: self.interest.mantissa,
            rate_exponent: self.rate.exponent,
            interest_exponent: self.interest.exponent,
            ..unknown_funding(envelope)
        });
        Ok((mark, funding))
    }
}

/// The interval alone, as the list of funding settings gives it.
pub(crate) fn funding_interval(envelope: Envelope, interval_ns: i64) -> FundingRate {
    FundingRate { interval_ns, ..unknown_funding(envelope) }
}

/// A funding rate of which the venue said nothing.
fn unknown_funding(envelope: Envelope) -> FundingRate {
    FundingRate {
        header: envelope.header(Kind::FundingRate, TIME_MISSING),
        rate: ABSENT,
        next_funding_ns: TIME_MISSING,
        interval_ns: ABSENT,
        realised_rate: ABSENT,
        premium: ABSENT,
        interest_rate: ABSENT,
        rate_exponent: 0,
        realised_exponent: 0,
        premium_exponent: 0,
        interest_exponent: 0,
        reserved: [0; 44],
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

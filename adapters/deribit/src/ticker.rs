//! The message of a `ticker` channel, which becomes one record of each kind that its fields allow.

use marketprism_core::Kind;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{ABSENT, FundingRate, Greeks, Header, MarkPrice, OpenInterest, Sink, Ticker};
use marketprism_core::venue::DecodeError;
use marketprism_parse::numbers::{Envelope, NO_DECIMAL, align};

use crate::fields::{side, unfit};
use crate::numbers::numbers;

numbers! {
    /// The numbers of the message itself.
    TickerNumbers {
        last_price: "last_price",
        mark_price: "mark_price",
        index_price: "index_price",
        estimated_delivery_price: "estimated_delivery_price",
        open_interest: "open_interest",
        bid_price: "best_bid_price",
        bid_amount: "best_bid_amount",
        ask_price: "best_ask_price",
        ask_amount: "best_ask_amount",
        current_funding: "current_funding",
        funding_8h: "funding_8h",
        interest_value: "interest_value",
        underlying_price: "underlying_price",
        interest_rate: "interest_rate",
        mark_iv: "mark_iv",
        bid_iv: "bid_iv",
        ask_iv: "ask_iv",
    }
}

numbers! {
    /// The object `stats`.
    Statistics {
        high: "high",
        low: "low",
        volume: "volume",
        volume_usd: "volume_usd",
    }
}

numbers! {
    /// The object `greeks`.
    Sensitivities {
        delta: "delta",
        gamma: "gamma",
        vega: "vega",
        theta: "theta",
        rho: "rho",
    }
}

/// All fields that are recorded.
pub(crate) struct TickerFields {
    pub(crate) exchange_ns: Option<i64>,
    pub(crate) numbers: TickerNumbers,
    pub(crate) statistics: Statistics,
    pub(crate) greeks: Sensitivities,
}

impl TickerFields {
    /// Nothing sent so far.
    pub(crate) const EMPTY: TickerFields = TickerFields {
        exchange_ns: None,
        numbers: TickerNumbers::EMPTY,
        statistics: Statistics::EMPTY,
        greeks: Sensitivities::EMPTY,
    };

    /// Appends the records; nothing on an error. `counts_quote_units`: see
    /// [`MarketKind`](crate::market::MarketKind::counts_quote_units).
    pub(crate) fn push(
        &self,
        envelope: Envelope,
        counts_quote_units: bool,
        sink: &mut dyn Sink,
    ) -> Result<(), DecodeError> {
        let header = |kind| envelope.header(kind, self.exchange_ns.unwrap_or(TIME_MISSING));
        let ticker = self.ticker(header(Kind::Ticker), counts_quote_units)?;
        let mark_price = self.mark_price(header(Kind::MarkPrice))?;
        sink.push(&ticker);
        if let Some(record) = mark_price {
            sink.push(&record);
        }
        if self.numbers.open_interest != NO_DECIMAL {
            sink.push(&self.open_interest(header(Kind::OpenInterest)));
        }
        if self.numbers.current_funding != NO_DECIMAL || self.numbers.funding_8h != NO_DECIMAL {
            sink.push(&self.funding_rate(header(Kind::FundingRate)));
        }
        if let Some(record) = self.greeks(header(Kind::Greeks)) {
            sink.push(&record);
        }
        Ok(())
    }

    fn ticker(&self, mut header: Header, counts_quote_units: bool) -> Result<Ticker, DecodeError> {
        let statistics = &self.statistics;
        // The venue's volume is in base coins.
        let (volume, base_volume) = if counts_quote_units {
            (NO_DECIMAL, statistics.volume)
        } else {
            (statistics.volume, NO_DECIMAL)
        };
        let [bid_price, bid_amount] = side(self.numbers.bid_price, self.numbers.bid_amount);
        let [ask_price, ask_amount] = side(self.numbers.ask_price, self.numbers.ask_amount);
        let prices = [self.numbers.last_price, statistics.high, statistics.low, bid_price, ask_price];
        let ([last, high, low, bid_price, ask_price], price_exponent) =
            align(prices, "last_price").map_err(unfit)?;
        let ([volume, bid_quantity, ask_quantity], quantity_exponent) =
            align([volume, bid_amount, ask_amount], "volume").map_err(unfit)?;
        header.price_exponent = price_exponent;
        header.quantity_exponent = quantity_exponent;
        Ok(Ticker {
            header,
            last,
            open: ABSENT,
            high,
            low,
            weighted_average: ABSENT,
            bid_price,
            ask_price,
            volume,
            last_quantity: ABSENT,
            bid_quantity,
            ask_quantity,
            quote_volume: statistics.volume_usd.mantissa,
            open_ns: TIME_MISSING,
            close_ns: TIME_MISSING,
            first_trade_id: ABSENT,
            last_trade_id: ABSENT,
            trades: ABSENT,
            base_volume: base_volume.mantissa,
            quote_volume_exponent: statistics.volume_usd.exponent,
            base_volume_exponent: base_volume.exponent,
            reserved: [0; 14],
        })
    }

    fn mark_price(&self, mut header: Header) -> Result<Option<MarkPrice>, DecodeError> {
        let prices =
            [self.numbers.mark_price, self.numbers.index_price, self.numbers.estimated_delivery_price];
        if prices == [NO_DECIMAL; 3] {
            return Ok(None);
        }
        let ([mark_price, index_price, settlement_price], price_exponent) =
            align(prices, "mark_price").map_err(unfit)?;
        header.price_exponent = price_exponent;
        Ok(Some(MarkPrice { header, mark_price, index_price, settlement_price, average_price: ABSENT }))
    }

    fn open_interest(&self, mut header: Header) -> OpenInterest {
        header.quantity_exponent = self.numbers.open_interest.exponent;
        OpenInterest {
            header,
            open_interest: self.numbers.open_interest.mantissa,
            open_interest_value: ABSENT,
            open_interest_base: ABSENT,
            value_exponent: 0,
            base_exponent: 0,
            reserved: [0; 6],
        }
    }

    /// Funding is paid all the time: there is no next time and no interval.
    fn funding_rate(&self, header: Header) -> FundingRate {
        FundingRate {
            header,
            rate: self.numbers.current_funding.mantissa,
            next_funding_ns: TIME_MISSING,
            interval_ns: ABSENT,
            realised_rate: self.numbers.funding_8h.mantissa,
            premium: ABSENT,
            interest_rate: self.numbers.interest_value.mantissa,
            rate_exponent: self.numbers.current_funding.exponent,
            realised_exponent: self.numbers.funding_8h.exponent,
            premium_exponent: 0,
            interest_exponent: self.numbers.interest_value.exponent,
            reserved: [0; 44],
        }
    }

    fn greeks(&self, header: Header) -> Option<Greeks> {
        let Sensitivities { delta, gamma, vega, theta, rho } = self.greeks;
        let own =
            [delta, gamma, vega, theta, rho, self.numbers.mark_iv, self.numbers.bid_iv, self.numbers.ask_iv];
        if own.iter().all(|value| *value == NO_DECIMAL) {
            return None;
        }
        let exponents = [
            delta.exponent,
            gamma.exponent,
            vega.exponent,
            theta.exponent,
            rho.exponent,
            0,
            0,
            0,
            0,
            self.numbers.mark_iv.exponent,
            self.numbers.bid_iv.exponent,
            self.numbers.ask_iv.exponent,
            0,
            self.numbers.underlying_price.exponent,
            self.numbers.interest_rate.exponent,
            0,
        ];
        Some(Greeks {
            header,
            delta: delta.mantissa,
            gamma: gamma.mantissa,
            vega: vega.mantissa,
            theta: theta.mantissa,
            rho: rho.mantissa,
            delta_bs: ABSENT,
            gamma_bs: ABSENT,
            vega_bs: ABSENT,
            theta_bs: ABSENT,
            mark_volatility: self.numbers.mark_iv.mantissa,
            bid_volatility: self.numbers.bid_iv.mantissa,
            ask_volatility: self.numbers.ask_iv.mantissa,
            at_the_money_volatility: ABSENT,
            underlying_price: self.numbers.underlying_price.mantissa,
            interest_rate: self.numbers.interest_rate.mantissa,
            leverage: ABSENT,
            exponents,
            reserved: [0; 16],
        })
    }
}

//! The general path of what is computed from the market: tickers, prices and rates, liquidations, candles and
//! greeks.

use marketprism_core::clock::{NS_PER_MS, TIME_MISSING};
use marketprism_core::record::{ABSENT, Candle, FundingRate, Greeks, Liquidation, OpenInterest, fixed_text};
use marketprism_core::venue::DecodeError;
use marketprism_core::{Decimal, Kind};
use marketprism_parse::json::{Object, Value, bad};
use marketprism_parse::numbers::{Envelope, NO_DECIMAL, align, time_ns};

use crate::bars::Bar;
use crate::fields::{TickerFields, index_price, mark_price, side};
use crate::general::{General, optional_decimal, optional_value, time, unfit};

impl General<'_> {
    pub(crate) fn ticker(&mut self, envelope: Envelope, entry: &Object<'_>) -> Result<(), DecodeError> {
        let decimal = |key| optional_decimal(entry, key);
        let fields = TickerFields {
            exchange_ns: time(entry, "ts")?,
            last: decimal("last")?,
            last_quantity: decimal("lastSz")?,
            ask_price: decimal("askPx")?,
            ask_quantity: decimal("askSz")?,
            bid_price: decimal("bidPx")?,
            bid_quantity: decimal("bidSz")?,
            open: decimal("open24h")?,
            high: decimal("high24h")?,
            low: decimal("low24h")?,
            volume: decimal("vol24h")?,
            currency_volume: decimal("volCcy24h")?,
        };
        let record = fields.record(envelope, self.spot).map_err(unfit)?;
        self.sink().push(&record);
        Ok(())
    }

    pub(crate) fn mark_price(&mut self, envelope: Envelope, entry: &Object<'_>) -> Result<(), DecodeError> {
        let record = mark_price(envelope, time(entry, "ts")?, entry.decimal("markPx")?);
        self.sink().push(&record);
        Ok(())
    }

    pub(crate) fn index_price(&mut self, envelope: Envelope, entry: &Object<'_>) -> Result<(), DecodeError> {
        let record = index_price(envelope, time(entry, "ts")?, entry.decimal("idxPx")?);
        self.sink().push(&record);
        Ok(())
    }

    pub(crate) fn funding_rate(&mut self, envelope: Envelope, entry: &Object<'_>) -> Result<(), DecodeError> {
        let rate = entry.decimal("fundingRate")?;
        let realised_rate = optional_decimal(entry, "settFundingRate")?;
        let premium = optional_decimal(entry, "premium")?;
        let interest_rate = optional_decimal(entry, "interestRate")?;
        let record = FundingRate {
            header: envelope.header(Kind::FundingRate, time(entry, "ts")?),
            rate: rate.mantissa,
            next_funding_ns: time(entry, "fundingTime")?,
            interval_ns: funding_interval(entry)?,
            realised_rate: realised_rate.mantissa,
            premium: premium.mantissa,
            interest_rate: interest_rate.mantissa,
            rate_exponent: rate.exponent,
            realised_exponent: realised_rate.exponent,
            premium_exponent: premium.exponent,
            interest_exponent: interest_rate.exponent,
            reserved: [0; 44],
        };
        self.sink().push(&record);
        Ok(())
    }

    pub(crate) fn open_interest(
        &mut self,
        envelope: Envelope,
        entry: &Object<'_>,
    ) -> Result<(), DecodeError> {
        let contracts = entry.decimal("oi")?;
        let value = optional_decimal(entry, "oiUsd")?;
        let base = optional_decimal(entry, "oiCcy")?;
        let mut header = envelope.header(Kind::OpenInterest, time(entry, "ts")?);
        header.quantity_exponent = contracts.exponent;
        self.sink().push(&OpenInterest {
            header,
            open_interest: contracts.mantissa,
            open_interest_value: value.mantissa,
            open_interest_base: base.mantissa,
            value_exponent: value.exponent,
            base_exponent: base.exponent,
            reserved: [0; 6],
        });
        Ok(())
    }

    /// All orders of one instrument.
    pub(crate) fn liquidations(&mut self, envelope: Envelope, entry: &Object<'_>) -> Result<(), DecodeError> {
        let details = entry.need("details")?.elements().ok_or_else(|| bad("details", "not an array"))?;
        for detail in details {
            let detail = detail.object().ok_or_else(|| bad("details", "an entry that is no object"))?;
            let record = liquidation(envelope, &detail)?;
            self.sink().push(&record);
        }
        Ok(())
    }

    pub(crate) fn candle(
        &mut self,
        envelope: Envelope,
        bar: Bar,
        entry: &Value<'_>,
    ) -> Result<(), DecodeError> {
        let record = candle(envelope, bar, entry, self.spot)?;
        self.sink().push(&record);
        Ok(())
    }

    /// One option of a family.
    pub(crate) fn greeks(&mut self, envelope: Envelope, entry: &Object<'_>) -> Result<(), DecodeError> {
        let decimal = |key| optional_decimal(entry, key);
        let (delta, gamma, vega, theta) =
            (decimal("delta")?, decimal("gamma")?, decimal("vega")?, decimal("theta")?);
        let (delta_bs, gamma_bs, vega_bs, theta_bs) =
            (decimal("deltaBS")?, decimal("gammaBS")?, decimal("vegaBS")?, decimal("thetaBS")?);
        let (mark, bid, ask) = (decimal("markVol")?, decimal("bidVol")?, decimal("askVol")?);
        let (at_the_money, forward, leverage) = (decimal("volLv")?, decimal("fwdPx")?, decimal("lever")?);
        // The order is that of the fields; the venue gives neither rho nor an interest rate.
        let exponents = [
            delta,
            gamma,
            vega,
            theta,
            NO_DECIMAL,
            delta_bs,
            gamma_bs,
            vega_bs,
            theta_bs,
            mark,
            bid,
            ask,
            at_the_money,
            forward,
            NO_DECIMAL,
            leverage,
        ]
        .map(|number| number.exponent);
        let header = envelope.header(Kind::Greeks, time(entry, "ts")?);
        self.sink().push(&Greeks {
            header,
            delta: delta.mantissa,
            gamma: gamma.mantissa,
            vega: vega.mantissa,
            theta: theta.mantissa,
            rho: ABSENT,
            delta_bs: delta_bs.mantissa,
            gamma_bs: gamma_bs.mantissa,
            vega_bs: vega_bs.mantissa,
            theta_bs: theta_bs.mantissa,
            mark_volatility: mark.mantissa,
            bid_volatility: bid.mantissa,
            ask_volatility: ask.mantissa,
            at_the_money_volatility: at_the_money.mantissa,
            underlying_price: forward.mantissa,
            interest_rate: ABSENT,
            leverage: leverage.mantissa,
            exponents,
            reserved: [0; 16],
        });
        Ok(())
    }
}

/// Time between two settlements, nanoseconds, or [`ABSENT`]. The venue changes it from case to case.
fn funding_interval(entry: &Object<'_>) -> Result<i64, DecodeError> {
    let upcoming = time(entry, "fundingTime")?;
    let between = |earlier: i64, later: i64| {
        let both = earlier != TIME_MISSING && later != TIME_MISSING;
        both.then(|| later - earlier).filter(|interval| *interval > 0)
    };
    let interval = between(upcoming, time(entry, "nextFundingTime")?)
        .or(between(time(entry, "prevFundingTime")?, upcoming));
    Ok(interval.unwrap_or(ABSENT))
}

fn liquidation(envelope: Envelope, detail: &Object<'_>) -> Result<Liquidation, DecodeError> {
    let (price, quantity) = (detail.decimal("bkPx")?, detail.decimal("sz")?);
    let position = detail.optional_text("posSide")?.unwrap_or_default();
    let mut header = envelope.header(Kind::Liquidation, time(detail, "ts")?);
    header.price_exponent = price.exponent;
    header.quantity_exponent = quantity.exponent;
    Ok(Liquidation {
        header,
        price: price.mantissa,
        average_price: ABSENT,
        quantity: quantity.mantissa,
        filled_quantity: ABSENT,
        last_quantity: ABSENT,
        event_ns: TIME_MISSING,
        // The venue gives no status, but the side of the position that was closed: `long`, `short` or `net`.
        status: fixed_text(position.as_bytes()),
        side: side(detail.text("side")?.as_bytes()) as u8,
        reserved: [0; 23],
    })
}

/// A bar: nine elements, up to 2022 seven.
fn candle(envelope: Envelope, bar: Bar, entry: &Value<'_>, spot: bool) -> Result<Candle, DecodeError> {
    let values: Vec<Value<'_>> =
        entry.elements().ok_or_else(|| bad("data", "a candle that is no array"))?.collect();
    let optional =
        |index: usize| values.get(index).map_or(Ok(NO_DECIMAL), |value| optional_value(value, "data"));
    let decimal = |index| match optional(index)? {
        NO_DECIMAL => Err(bad("data", "a candle without one of its numbers")),
        value => Ok::<Decimal, DecodeError>(value),
    };
    let open_ns = values.first().and_then(Value::unsigned).and_then(time_ns);
    let open_ns = open_ns.ok_or_else(|| bad("data", "a candle without its time"))?;
    let ([open, high, low, close], price_exponent) =
        align([decimal(1)?, decimal(2)?, decimal(3)?, decimal(4)?], "data").map_err(unfit)?;
    let volume = decimal(5)?;
    // The amount in quote units is the last number; of seven elements, on spot only.
    let quote_volume = match values.len() {
        7 if spot => optional(6)?,
        _ => optional(7)?,
    };
    let mut header = envelope.header(Kind::Candle, TIME_MISSING);
    header.price_exponent = price_exponent;
    header.quantity_exponent = volume.exponent;
    Ok(Candle {
        header,
        open_ns,
        close_ns: bar
            .length_ns
            .and_then(|length| open_ns.checked_add(length - NS_PER_MS))
            .unwrap_or(TIME_MISSING),
        open,
        high,
        low,
        close,
        volume: volume.mantissa,
        quote_volume: quote_volume.mantissa,
        taker_buy_volume: ABSENT,
        taker_buy_quote_volume: ABSENT,
        trades: ABSENT,
        interval: bar.name,
        closed: u8::from(values.get(8).and_then(Value::text).as_deref() == Some("1")),
        quote_volume_exponent: quote_volume.exponent,
        reserved: [0; 2],
    })
}

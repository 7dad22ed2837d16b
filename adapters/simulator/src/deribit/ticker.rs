//! Tickers of every kind of instrument.

use super::calendar::expiry_name;
use super::catalogue::Terms;
use super::instrument::Instrument;
use super::number::Decimal;
use super::object::Object;
use super::prices::Moment;

/// A price band: so many millionths around the middle.
const BAND: i64 = 15_000;

/// Writes the members of a ticker; an order book has them too.
pub(super) fn write(object: &mut Object<'_>, instrument: &Instrument, moment: Moment) {
    match instrument.spec.terms {
        Terms::Option { strike, call, .. } => option(object, instrument, moment, strike, call),
        _ => {
            object.integer("timestamp", moment.now_ms);
            state_and_stats(object, instrument);
            derivative(object, instrument, moment);
            best(object, instrument);
            if instrument.spec.market != "spot" {
                object.float("estimated_delivery_price", moment.index(instrument.spec.index));
            }
            if instrument.spec.market == "perpetual" {
                let funding = moment.funding(instrument);
                object.rate("current_funding", Decimal::new(funding.value.max(0), funding.scale));
                object.rate("funding_8h", funding);
            }
        }
    }
}

fn state_and_stats(object: &mut Object<'_>, instrument: &Instrument) {
    let day = &instrument.day;
    object.name("state", if instrument.listed { "open" } else { "closed" });
    object.object("stats", |stats| {
        stats.float_or_null("high", day.high().map(|tick| instrument.price(tick)));
        stats.float_or_null("low", day.low().map(|tick| instrument.price(tick)));
        stats.float_or_null("price_change", day.change());
        stats.float_or_null("volume", day.volume());
        stats.float_or_null("volume_usd", day.volume_usd());
        stats.float_or_null("volume_notional", day.volume_usd());
    });
}

/// Everything between the statistics and the best prices.
fn derivative(object: &mut Object<'_>, instrument: &Instrument, moment: Moment) {
    let spec = &instrument.spec;
    object.float("index_price", moment.index(spec.index));
    object.name("instrument_name", &spec.name);
    object.float_or_null("last_price", instrument.last_price.map(|tick| instrument.price(tick)));
    if spec.market != "spot" {
        object.float("settlement_price", instrument.price(spec.middle));
    }
    object.float("min_price", instrument.price(spec.middle).part(1_000_000 - BAND));
    object.float("max_price", instrument.price(spec.middle).part(1_000_000 + BAND));
    if matches!(spec.terms, Terms::Perpetual | Terms::Future { .. }) {
        let open = instrument.amount(instrument.open_lots);
        // Whole amounts come without a point here.
        if open.scale == 0 {
            object.integer("open_interest", open.value)
        } else {
            object.float("open_interest", open)
        };
    }
    object.float("mark_price", moment.mark(instrument));
    if spec.market == "perpetual" {
        object.rate("interest_value", moment.interest(instrument));
    }
}

/// Best prices and amounts, 0.0 where a side is empty.
fn best(object: &mut Object<'_>, instrument: &Instrument) {
    let [bid, ask] = instrument.top().map(Option::unwrap_or_default);
    object.float("best_ask_price", instrument.price(ask.0));
    object.float("best_bid_price", instrument.price(bid.0));
    object.float("best_ask_amount", instrument.amount(ask.1));
    object.float("best_bid_amount", instrument.amount(bid.1));
}

fn option(object: &mut Object<'_>, instrument: &Instrument, moment: Moment, strike: Decimal, call: bool) {
    let spec = &instrument.spec;
    let index = moment.index(spec.index);
    let volatility = moment.mark_volatility(instrument);
    let [bid, ask] = instrument.top();
    // A side without a quote has no volatility.
    let quoted = |level: Option<(i64, i64)>, spread: i64| match level {
        Some(_) => Decimal::new(volatility.value + spread, volatility.scale),
        None => Decimal::ZERO,
    };
    object.float("underlying_price", index.part(1_005_000));
    object.name("underlying_index", &underlying(instrument));
    object.integer("timestamp", moment.now_ms);
    state_and_stats(object, instrument);
    object.float("settlement_price", instrument.price(spec.middle));
    object.float("open_interest", instrument.amount(instrument.open_lots));
    object.float("min_price", spec.tick);
    object.float("max_price", instrument.price(spec.middle * 3 + 10));
    object.float("mark_price", moment.mark(instrument));
    object.float("mark_iv", volatility);
    object.float_or_null("last_price", instrument.last_price.map(|tick| instrument.price(tick)));
    object.float("interest_rate", Decimal::ZERO);
    object.name("instrument_name", &spec.name);
    object.float("index_price", index);
    object.object("greeks", |object| greeks(object, index, strike, call));
    object.float("estimated_delivery_price", index);
    object.float("bid_iv", quoted(bid, -85));
    object.float("ask_iv", quoted(ask, 110));
    best(object, instrument);
}

/// The future that an option is priced on; without one a synthetic one.
fn underlying(instrument: &Instrument) -> String {
    let spec = &instrument.spec;
    match spec.terms {
        Terms::Option { expiry, .. } if spec.inverse() => format!("{}-{}", spec.coin, expiry_name(expiry)),
        Terms::Option { expiry, .. } => format!("SYN.{}_{}-{}", spec.coin, spec.counter, expiry_name(expiry)),
        _ => "index_price".to_owned(),
    }
}

/// Made-up greeks with the right signs: delta rises with the price, the others are largest at the strike.
fn greeks(object: &mut Object<'_>, index: Decimal, strike: Decimal, call: bool) {
    let [price, strike] = [index, strike].map(|number| number.rescaled(5).value.max(1));
    let away = (i128::from(price - strike) * 100_000 / i128::from(strike)) as i64;
    let delta = (50_000 + away.saturating_mul(2)).clamp(9, 99_974);
    let near = 100_000 - (delta - 50_000).abs() * 2;
    object.float("vega", Decimal::new(near.saturating_mul(30), 5));
    object.float("theta", Decimal::new(near.saturating_mul(-12), 5));
    object.float("rho", Decimal::new(if call { delta * 20 } else { (delta - 100_000) * 20 }, 5));
    object.float("gamma", Decimal::new(near / 20_000, 5));
    object.float("delta", Decimal::new(if call { delta } else { delta - 100_000 }, 5));
}

//! Instruments as `public/get_instruments` lists them.

use super::calendar::DAY_MS;
use super::catalogue::Terms;
use super::instrument::Instrument;
use super::number::Decimal;
use super::object::{Object, list, object};

/// What the venue writes as the end of a perpetual: the year 3000.
const NEVER_MS: u64 = 32_503_708_800_000;

/// Writes an instrument object.
pub(super) fn write(out: &mut String, instrument: &Instrument) {
    let spec = &instrument.spec;
    object(out, |object| {
        object.name("price_index", &spec.index_name).name("kind", spec.kind());
        object.name("instrument_name", &spec.name);
        object.float("maker_commission", Decimal::ZERO).float("taker_commission", Decimal::new(5, 4));
        object.name("instrument_type", if spec.inverse() { "reversed" } else { "linear" });
        object.integer("expiration_timestamp", spec.expiration_ms().unwrap_or(NEVER_MS));
        object.integer("creation_timestamp", instrument.created_ms);
        object.raw("is_active", if instrument.listed { "true" } else { "false" });
        object.name("state", if instrument.listed { "open" } else { "closed" });
        object.float("contract_size", spec.contract_size).integer("instrument_id", spec.id as u64);
        object.float("min_trade_amount", spec.lot);
        ticks(object, instrument);
        kind_members(object, instrument);
        object.name("base_currency", &spec.coin).name("counter_currency", spec.counter);
        object.name("quote_currency", if spec.priced_in_coin() { &spec.coin } else { spec.counter });
    });
}

/// Options on a coin trade in finer steps up to 0.005.
fn ticks(object: &mut Object<'_>, instrument: &Instrument) {
    let spec = &instrument.spec;
    if spec.is_option() && spec.inverse() {
        object.float("tick_size", Decimal::new(1, 4));
        list(object.key("tick_size_steps"), [()], |out, ()| {
            super::object::object(out, |step| {
                step.float("above_price", Decimal::new(5, 3)).float("tick_size", spec.tick);
            });
        });
    } else {
        object.float("tick_size", spec.tick).raw("tick_size_steps", "[]");
    }
}

/// Spot settles nothing; options have a strike; futures a leverage.
fn kind_members(object: &mut Object<'_>, instrument: &Instrument) {
    let spec = &instrument.spec;
    let period = match spec.expiration_ms() {
        None => "perpetual",
        Some(end) if end < instrument.created_ms.saturating_add(8 * DAY_MS) => "week",
        Some(_) => "month",
    };
    if spec.terms != Terms::Spot {
        object.name("settlement_currency", spec.currency()).name("settlement_period", period);
    }
    match spec.terms {
        Terms::Option { strike, call, .. } => {
            object.float("strike", strike).name("option_type", if call { "call" } else { "put" });
        }
        Terms::Perpetual | Terms::Future { .. } => {
            object.integer("max_leverage", 50);
            object.name("future_type", if spec.inverse() { "reversed" } else { "linear" });
        }
        Terms::Spot | Terms::Combo { .. } => {}
    }
}

//! Definitions as the venue gives them: entries of `exchangeInfo`, and the event that tells of a change.

use marketprism_core::Instrument;
use marketprism_core::instrument::InstrumentType;
use serde_json::{Value, json};

use super::frames::{pair, step};
use super::members::{Members, venue_time};
use crate::config::Market;

/// Delivery of what is never delivered: 2100-12-25.
const NEVER: i64 = 4_133_404_800_000;

/// An entry of `exchangeInfo`. Limits of orders, which no log keeps, are wide.
pub(super) fn entry(market: Market, instrument: &Instrument) -> Value {
    let (tick, lot) = (step(instrument.tick), step(instrument.lot));
    let mut entry = json!({
        "symbol": instrument.venue_symbol,
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000000000", "stepSize": lot},
        ],
    });
    let status = if market == Market::Coinm { "contractStatus" } else { "status" };
    entry[status] = json!(instrument.status);
    match market {
        Market::Spot => spot(&mut entry),
        Market::Usdm | Market::Coinm => futures(&mut entry, instrument),
    }
    if let Some(size) = instrument.contract_size {
        // The one number that the venue does not write as text.
        entry["contractSize"] = serde_json::from_str(&size.to_string()).unwrap_or(Value::Null);
    }
    entry
}

fn spot(entry: &mut Value) {
    entry["quoteAssetPrecision"] = json!(8);
    entry["isSpotTradingAllowed"] = json!(true);
    entry["permissions"] = json!([]);
    entry["permissionSets"] = json!([["SPOT"]]);
}

fn futures(entry: &mut Value, instrument: &Instrument) {
    entry["pair"] = json!(pair(instrument));
    entry["contractType"] = json!(contract_type(instrument));
    entry["deliveryDate"] = json!(delivery(instrument));
    entry["onboardDate"] = json!(instrument.listing_ns.and_then(venue_time).unwrap_or(0));
    entry["marginAsset"] = json!(instrument.settle);
    entry["pricePrecision"] = json!(decimals(instrument.tick));
    entry["quantityPrecision"] = json!(decimals(instrument.lot));
    entry["underlyingType"] = json!("COIN");
    entry["underlyingSubType"] = json!([]);
    entry["timeInForce"] = json!(["GTC", "IOC", "FOK", "GTX"]);
}

fn decimals(step: Option<marketprism_core::Decimal>) -> u8 {
    step.map_or(0, |step| step.exponent.min(0).unsigned_abs())
}

pub(super) fn contract_type(instrument: &Instrument) -> &'static str {
    match instrument.instrument_type {
        InstrumentType::Future => "CURRENT_QUARTER",
        _ => "PERPETUAL",
    }
}

fn delivery(instrument: &Instrument) -> i64 {
    instrument.expiry_ns.and_then(venue_time).unwrap_or(NEVER)
}

/// The event `contractInfo` of a definition that was received at a time.
pub(super) fn contract_info(market: Market, instrument: &Instrument, receive_ns: i64) -> String {
    Members::new()
        .text("e", "contractInfo")
        .integer("E", receive_ns / 1_000_000)
        .text("s", &instrument.venue_symbol)
        .text("ps", pair(instrument))
        .text("ct", contract_type(instrument))
        .integer("dt", delivery(instrument))
        .integer("ot", instrument.listing_ns.and_then(venue_time).unwrap_or(0))
        .text("cs", &instrument.status)
        .integer("st", if market == Market::Coinm { 2 } else { 1 })
        .end()
}

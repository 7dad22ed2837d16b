//! The instruments of a generated market and their exchangeInfo.

use serde_json::{Value, json};

use crate::book::TICKS;
use crate::config::Market;
use crate::text::{POWERS, Scale};

/// Delivery time of the dated contracts, epoch milliseconds (2026-12-25 08:00 UTC).
const DELIVERY: u64 = 1_798_185_600_000;
/// What the venue writes as the delivery date of a perpetual contract.
const NEVER: u64 = 4_133_404_800_000;

/// An instrument: names, how its numbers are written, where its prices lie.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) market: Market,
    pub(crate) name: String,
    pub(crate) pair: String,
    pub(crate) base: String,
    pub(crate) quote: String,
    pub(crate) price: Scale,
    pub(crate) lots: Scale,
    /// Price, in ticks, of the first rung of the ladder.
    pub(crate) first_tick: u64,
    /// Typical lots of one order.
    pub(crate) usual_lots: u32,
    /// US dollars of one contract on COIN-M, else 0.
    pub(crate) contract_size: u64,
    pub(crate) dated: bool,
}

impl Spec {
    /// Value of a fill in quote currency (in base currency on COIN-M), scaled by `turnover_scale`.
    pub(crate) fn turnover(&self, price: u64, lots: u64) -> u128 {
        let product = u128::from(price) * u128::from(lots);
        if self.contract_size == 0 {
            return product;
        }
        let dollars = u128::from(lots) * u128::from(self.contract_size);
        dollars * u128::from(POWERS[8 + self.price.scale as usize]) / u128::from(price.max(1))
    }

    pub(crate) fn turnover_scale(&self) -> u8 {
        if self.contract_size == 0 { self.price.scale + self.lots.scale } else { 8 }
    }

    /// Decimals turnovers are written with.
    pub(crate) fn turnover_decimals(&self) -> u8 {
        if self.market == Market::Usdm { self.turnover_scale() } else { 8 }
    }

    pub(crate) fn stream_prefix(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    pub(crate) fn contract_type(&self) -> &'static str {
        if self.dated { "CURRENT_QUARTER" } else { "PERPETUAL" }
    }
}

/// Base asset, price in units of `10^-decimals`, tick decimals, lot decimals, usual lots.
type Row = (&'static str, u64, u8, u8, u32);

const ROWS: [Row; 16] = [
    ("BTC", 6_180_000, 2, 5, 4200),
    ("ETH", 268_000, 2, 4, 9000),
    ("BNB", 58_000, 2, 3, 3000),
    ("SOL", 15_500, 2, 3, 9000),
    ("XRP", 6_012, 4, 0, 1500),
    ("DOGE", 10_340, 5, 0, 9000),
    ("ADA", 3_412, 4, 1, 20_000),
    ("TRX", 12_870, 5, 1, 30_000),
    ("LINK", 10_520, 3, 2, 9000),
    ("AVAX", 2_418, 2, 2, 4000),
    ("DOT", 4_712, 3, 2, 20_000),
    ("LTC", 6_105, 2, 3, 8000),
    ("BCH", 34_210, 2, 3, 2000),
    ("NEAR", 4_022, 3, 1, 3000),
    ("UNI", 6_110, 3, 2, 9000),
    ("ATOM", 4_530, 3, 2, 9000),
];

/// The instruments of a market: real-looking names first, then `SYM001…`; futures end with a dated one.
pub(crate) fn instruments(market: Market, count: usize) -> Vec<Spec> {
    let count = count.clamp(1, 2000);
    let dated = market.is_futures() && count > 1;
    let mut specs: Vec<Spec> = (0..count - usize::from(dated)).map(|index| spec(market, index)).collect();
    if dated {
        let mut last = specs[0].clone();
        last.name = format!("{}_261225", last.pair);
        last.dated = true;
        specs.push(last);
    }
    specs
}

fn spec(market: Market, index: usize) -> Spec {
    let generic: Row = ("", 10_000 + (index as u64 * 7919) % 40_000, 4, 1, 5000);
    let (base, center, tick_decimals, lot_decimals, usual_lots) = ROWS.get(index).copied().unwrap_or(generic);
    let base = if base.is_empty() { format!("SYM{:03}", index + 1 - ROWS.len()) } else { base.to_owned() };
    let quote = if market == Market::Coinm { "USD" } else { "USDT" }.to_owned();
    let pair = format!("{base}{quote}");
    let name = if market == Market::Coinm { format!("{pair}_PERP") } else { pair.clone() };
    let (price, center) = price_format(market, center, tick_decimals);
    let lots = match market {
        Market::Spot => Scale { scale: lot_decimals, zeros: 8 - lot_decimals },
        Market::Usdm => Scale { scale: lot_decimals.min(3), zeros: 0 },
        Market::Coinm => Scale { scale: 0, zeros: 0 },
    };
    let usual_lots = if market == Market::Coinm { 400 } else { usual_lots };
    let contract_size = match market {
        Market::Coinm if index == 0 => 100,
        Market::Coinm => 10,
        _ => 0,
    };
    let first_tick = center.saturating_sub(TICKS as u64 / 2).max(1);
    Spec { market, name, pair, base, quote, price, lots, first_tick, usual_lots, contract_size, dated: false }
}

/// Bitcoin futures trade in steps of 0.10 written with two decimals; COIN-M writes one.
fn price_format(market: Market, center: u64, decimals: u8) -> (Scale, u64) {
    let coarse = market.is_futures() && center > 1_000_000;
    match market {
        Market::Spot => (Scale { scale: decimals, zeros: 8 - decimals }, center),
        Market::Usdm if coarse => (Scale { scale: decimals - 1, zeros: 1 }, center / 10),
        Market::Coinm if coarse => (Scale { scale: decimals - 1, zeros: 0 }, center / 10),
        _ => (Scale { scale: decimals, zeros: 0 }, center),
    }
}

/// A number in an instrument's format.
pub(crate) fn written(value: u64, format: Scale) -> String {
    let mut out = Vec::new();
    crate::text::decimal(&mut out, value, format);
    String::from_utf8_lossy(&out).into_owned()
}

/// The exchangeInfo answer for a list of instruments.
pub(crate) fn exchange_info(market: Market, specs: &[&Spec], weight: u32, now: u64) -> Value {
    let symbols: Vec<Value> = specs
        .iter()
        .map(|spec| match market {
            Market::Spot => spot_symbol(spec),
            Market::Usdm | Market::Coinm => futures_symbol(spec),
        })
        .collect();
    envelope(market, symbols, weight, now)
}

/// The frame around the symbols of an exchangeInfo answer.
pub(crate) fn envelope(market: Market, symbols: Vec<Value>, weight: u32, now: u64) -> Value {
    let limit =
        json!({"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight});
    let mut info = json!({
        "timezone": "UTC", "serverTime": now, "rateLimits": [limit], "exchangeFilters": [], "symbols": symbols
    });
    if market == Market::Usdm {
        info["futuresType"] = json!("U_MARGINED");
        info["assets"] = json!([{"asset": "USDT", "marginAvailable": true, "autoAssetExchange": "-10000"}]);
    }
    info
}

fn filters(spec: &Spec) -> Value {
    let price = |value| written(value, spec.price);
    let lots = |value| written(value, spec.lots);
    json!([
        {"filterType": "PRICE_FILTER", "minPrice": price(1), "maxPrice": price(100_000_000), "tickSize": price(1)},
        {"filterType": "LOT_SIZE", "minQty": lots(1), "maxQty": lots(900_000_000), "stepSize": lots(1)},
    ])
}

fn spot_symbol(spec: &Spec) -> Value {
    let mut filters = filters(spec);
    if let Some(list) = filters.as_array_mut() {
        list.push(json!({"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": true,
            "maxNotional": "9000000.00000000", "applyMaxToMarket": false, "avgPriceMins": 5}));
    }
    json!({
        "symbol": spec.name, "status": "TRADING", "baseAsset": spec.base, "baseAssetPrecision": 8,
        "quoteAsset": spec.quote, "quotePrecision": 8, "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": true, "ocoAllowed": true, "otoAllowed": true, "opoAllowed": true,
        "quoteOrderQtyMarketAllowed": true, "allowTrailingStop": true, "cancelReplaceAllowed": true,
        "amendAllowed": true, "pegInstructionsAllowed": true, "isSpotTradingAllowed": true,
        "isMarginTradingAllowed": true, "filters": filters, "permissions": [],
        "permissionSets": [["SPOT", "MARGIN"]], "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    })
}

fn futures_symbol(spec: &Spec) -> Value {
    let coin = spec.market == Market::Coinm;
    let margin = if coin { &spec.base } else { &spec.quote };
    let status = if coin { "contractStatus" } else { "status" };
    let mut symbol = json!({
        "symbol": spec.name, "pair": spec.pair, "contractType": spec.contract_type(),
        "deliveryDate": if spec.dated { DELIVERY } else { NEVER }, "onboardDate": 1_569_398_400_000_u64,
        "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000", "baseAsset": spec.base,
        "quoteAsset": spec.quote, "marginAsset": margin, "pricePrecision": spec.price.scale + spec.price.zeros,
        "quantityPrecision": spec.lots.scale, "baseAssetPrecision": 8, "quotePrecision": 8,
        "underlyingType": "COIN", "underlyingSubType": [], "triggerProtect": "0.0500",
        "liquidationFee": "0.012000", "marketTakeBound": "0.30", "filters": filters(spec),
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    });
    symbol[status] = json!("TRADING");
    if coin {
        symbol["contractSize"] = json!(spec.contract_size);
        symbol["equalQtyPrecision"] = json!(4);
    } else {
        symbol["settlePlan"] = json!(0);
    }
    symbol
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_prices_positive() {
        for market in Market::ALL {
            let specs = instruments(market, 300);
            let mut names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), 300);
            assert!(specs.iter().all(|spec| spec.first_tick > 1));
        }
        assert_eq!(
            written(instruments(Market::Usdm, 2)[0].first_tick, Scale { scale: 1, zeros: 1 }),
            "61705.00"
        );
        assert_eq!(instruments(Market::Coinm, 2)[1].name, "BTCUSD_261225");
    }
}

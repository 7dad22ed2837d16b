//! The instruments of a generated market: names, units and where their prices lie.

use super::calendar::{expiry_ms, expiry_name};
use super::number::Decimal;

/// The markets, in a fixed order.
pub(super) const MARKETS: [&str; 5] = ["perpetual", "future", "option", "spot", "combo"];

/// A coin, its price in ticks and the units of its linear contracts.
type Row = (&'static str, i64, Decimal, Decimal);

const fn row(coin: &'static str, ticks: i64, tick: (i64, u8), lot: (i64, u8)) -> Row {
    (coin, ticks, Decimal::new(tick.0, tick.1), Decimal::new(lot.0, lot.1))
}

const ROWS: [Row; 16] = [
    row("BTC", 188_000, (5, 1), (1, 4)),
    row("ETH", 64_000, (5, 2), (1, 3)),
    row("SOL", 14_000, (1, 2), (1, 1)),
    row("XRP", 21_250, (1, 4), (1, 0)),
    row("DOGE", 14_120, (1, 5), (100, 0)),
    row("ADA", 43_120, (1, 5), (10, 0)),
    row("LINK", 13_520, (1, 3), (1, 1)),
    row("AVAX", 14_180, (1, 3), (1, 1)),
    row("DOT", 24_120, (1, 4), (1, 0)),
    row("LTC", 8_105, (1, 2), (1, 1)),
    row("BCH", 54_210, (1, 2), (1, 2)),
    row("NEAR", 16_220, (1, 4), (1, 0)),
    row("UNI", 58_110, (1, 4), (1, 0)),
    row("TRX", 28_130, (1, 5), (10, 0)),
    row("BNB", 85_200, (1, 2), (1, 2)),
    row("ALGO", 13_210, (1, 5), (10, 0)),
];

/// What is bought and sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Terms {
    Perpetual,
    Future {
        expiry: usize,
    },
    Option {
        expiry: usize,
        strike: Decimal,
        call: bool,
    },
    Spot,
    /// Names of the legs; a seller of the combo sells the first and buys the second.
    Combo {
        expiry: usize,
        legs: [String; 2],
        options: bool,
    },
}

/// An instrument as the venue defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) market: &'static str,
    pub(super) name: String,
    pub(super) terms: Terms,
    pub(super) coin: String,
    /// `USD` where prices are in dollars and the contract settles in the coin, else a stable coin.
    pub(super) counter: &'static str,
    /// Price index of the coin, in the counter currency.
    pub(super) index_name: String,
    /// Where the index stays, in the scale it is written with.
    pub(super) index: Decimal,
    pub(super) tick: Decimal,
    /// Smallest amount; all amounts are multiples.
    pub(super) lot: Decimal,
    pub(super) contract_size: Decimal,
    /// Contracts of one lot.
    pub(super) contracts: Decimal,
    /// Where the price stays, in ticks.
    pub(super) middle: i64,
    pub(super) id: usize,
}

impl Spec {
    pub(super) fn inverse(&self) -> bool {
        self.counter == "USD"
    }

    pub(super) fn kind(&self) -> &'static str {
        match &self.terms {
            Terms::Perpetual | Terms::Future { .. } => "future",
            Terms::Option { .. } => "option",
            Terms::Spot => "spot",
            Terms::Combo { options: true, .. } => "option_combo",
            Terms::Combo { options: false, .. } => "future_combo",
        }
    }

    pub(super) fn is_option(&self) -> bool {
        matches!(self.terms, Terms::Option { .. })
    }

    /// Prices are in the coin itself.
    pub(super) fn priced_in_coin(&self) -> bool {
        self.inverse() && matches!(self.kind(), "option" | "option_combo")
    }

    /// The currency the contract settles in; trade ids and lists of instruments are by it.
    pub(super) fn currency(&self) -> &str {
        if self.inverse() { &self.coin } else { self.counter }
    }

    pub(super) fn expiration_ms(&self) -> Option<u64> {
        match self.terms {
            Terms::Future { expiry } | Terms::Option { expiry, .. } | Terms::Combo { expiry, .. } => {
                Some(expiry_ms(expiry))
            }
            Terms::Perpetual | Terms::Spot => None,
        }
    }
}

/// The coin at a place, made up beyond the table.
fn coin(index: usize) -> (String, Row) {
    match ROWS.get(index) {
        Some(&row) => (row.0.to_owned(), row),
        None => {
            let ticks = 10_000 + (index as i64 * 7919) % 40_000;
            (format!("SYM{:03}", index + 1 - ROWS.len()), row("", ticks, (1, 4), (1, 0)))
        }
    }
}

/// An instrument on a coin with the coin's own units, priced like its index.
fn base(market: &'static str, coin_index: usize, counter: &'static str, terms: Terms) -> Spec {
    let (coin, (_, middle, tick, linear_lot)) = coin(coin_index);
    let inverse = counter == "USD";
    let lot = match (inverse, coin_index) {
        (true, 0) => Decimal::new(10, 0),
        (true, _) => Decimal::new(1, 0),
        (false, _) => linear_lot,
    };
    Spec {
        market,
        name: String::new(),
        terms,
        index_name: format!("{}_{}", coin.to_lowercase(), counter.to_lowercase()),
        index: tick.times(middle).rescaled(tick.scale + 1),
        coin,
        counter,
        tick,
        lot,
        contract_size: lot,
        contracts: Decimal::new(1, 0),
        middle,
        id: 0,
    }
}

/// The name of the coin in a contract: `BTC`, `SOL_USDC`.
fn prefix(spec: &Spec) -> String {
    if spec.inverse() { spec.coin.clone() } else { format!("{}_{}", spec.coin, spec.counter) }
}

fn perpetual(index: usize) -> Spec {
    // BTC-PERPETUAL, ETH-PERPETUAL, SOL_USDC-PERPETUAL, BTC_USDC-PERPETUAL, ETH_USDC-PERPETUAL, XRP_USDC-…
    let (coin, counter) = match index {
        0 | 1 => (index, "USD"),
        2 => (2, "USDC"),
        3 | 4 => (index - 3, "USDC"),
        _ => (index - 2, "USDC"),
    };
    let spec = base("perpetual", coin, counter, Terms::Perpetual);
    Spec { name: format!("{}-PERPETUAL", prefix(&spec)), ..spec }
}

fn future(index: usize) -> Spec {
    let (coin, counter) = [(0, "USD"), (1, "USD"), (0, "USDC"), (1, "USDC")][index % 4];
    let expiry = index / 4;
    let spec = base("future", coin, counter, Terms::Future { expiry });
    let middle = spec.middle + forward_premium(spec.middle, expiry);
    Spec { name: format!("{}-{}", prefix(&spec), expiry_name(expiry)), middle, ..spec }
}

/// What a forward price is above the spot price: half a percent and a tenth more each week.
fn forward_premium(price: i64, expiry: usize) -> i64 {
    price * (5 + expiry.min(500) as i64) / 1000
}

const STRIKES: usize = 20;

/// Strikes around the price, nearest first, in whole steps.
fn strike(coin: usize, index: usize) -> Decimal {
    let away = (index as i64 + 1) / 2 * if index % 2 == 1 { -1 } else { 1 };
    match coin {
        0 => Decimal::new(100_000 + away * 4000, 0),
        1 => Decimal::new(3200 + away * 100, 0),
        _ => Decimal::new(2125 + away * 125, 3),
    }
}

/// A strike as in a name, with a `d` for the point.
fn strike_name(strike: Decimal) -> String {
    strike.float().trim_end_matches(".0").replace('.', "d")
}

/// An option: `BTC-25DEC26-100000-C`, `ETH-25DEC26-3200-C`, `XRP_USDC-25DEC26-2d125-C`, then puts, strikes, expiries.
fn option(index: usize) -> Spec {
    let (coin, counter) = [(0, "USD"), (1, "USD"), (3, "USDC")][index % 3];
    let (call, rank, expiry) = ((index / 3).is_multiple_of(2), index / 6 % STRIKES, index / (6 * STRIKES));
    let strike = strike(coin, rank);
    let spec = base("option", coin, counter, Terms::Option { expiry, strike, call });
    let letter = if call { 'C' } else { 'P' };
    let name = format!("{}-{}-{}-{letter}", prefix(&spec), expiry_name(expiry), strike_name(strike));
    let spec = Spec { name, ..spec };
    let (tick, lot, contracts) = if spec.inverse() {
        let lot = if coin == 0 { Decimal::new(1, 1) } else { Decimal::new(1, 0) };
        (Decimal::new(5, 4), lot, lot)
    } else {
        (Decimal::new(5, 4), Decimal::new(1000, 0), Decimal::new(1, 0))
    };
    let contract_size = if spec.inverse() { Decimal::new(1, 0) } else { lot };
    let middle = (fair_value(&spec, strike, call, expiry).rescaled(8).value / tick.rescaled(8).value).max(1);
    Spec { tick, lot, contracts, contract_size, middle, ..spec }
}

/// A made-up price of an option: what it is worth if exercised and a time value that shrinks away from the strike.
fn fair_value(spec: &Spec, strike: Decimal, call: bool, expiry: usize) -> Decimal {
    let forward = spec.index.rescaled(6).value;
    let away = (forward - strike.rescaled(6).value) * if call { 1 } else { -1 };
    let exercised = i128::from(away.max(0)) * 1_000_000 / i128::from(forward.max(1));
    let millionths_away = i128::from(away.abs()) * 1_000_000 / i128::from(forward.max(1));
    let time_value = (20_000 + 2_000 * expiry.min(100) as i128) * 100_000 / (100_000 + millionths_away);
    let in_coin = Decimal::new(i64::try_from(exercised + time_value).unwrap_or(i64::MAX), 6);
    if spec.inverse() { in_coin } else { spec.index.rescaled(6).part(in_coin.value) }
}

fn spot(index: usize) -> Spec {
    let spec = base("spot", index, "USDC", Terms::Spot);
    Spec { name: prefix(&spec), ..spec }
}

/// A combo: `BTC-FS-25DEC26_PERP`, `ETH-FS-25DEC26_PERP`, `BTC-CS-25DEC26-100000_104000`, …, then later expiries.
fn combo(index: usize) -> Spec {
    let (coin, expiry, options) = (index % 2, index / 4, index / 2 % 2 == 1);
    let (name, date) = (ROWS[coin].0, expiry_name(expiry));
    let (name, legs) = if options {
        let [low, high] = [strike(coin, 0), strike(coin, 2)].map(strike_name);
        let legs = [format!("{name}-{date}-{low}-C"), format!("{name}-{date}-{high}-C")];
        (format!("{name}-CS-{date}-{low}_{high}"), legs)
    } else {
        (format!("{name}-FS-{date}_PERP"), [format!("{name}-{date}"), format!("{name}-PERPETUAL")])
    };
    let spec = base("combo", coin, "USD", Terms::Combo { expiry, legs, options });
    let spec = Spec { name, ..spec };
    if !options {
        return Spec { middle: forward_premium(spec.middle, expiry), ..spec };
    }
    let lot = if coin == 0 { Decimal::new(1, 1) } else { Decimal::new(1, 0) };
    let contract_size = Decimal::new(1, 0);
    Spec { tick: Decimal::new(5, 4), lot, contracts: lot, contract_size, middle: 60, ..spec }
}

/// The instrument of a market at a place in the venue's list.
pub(super) fn instrument(market: usize, index: usize) -> Spec {
    let spec = match MARKETS[market] {
        "perpetual" => perpetual(index),
        "future" => future(index),
        "option" => option(index),
        "spot" => spot(index),
        _ => combo(index),
    };
    Spec { id: 100_000 * (market + 1) + index, ..spec }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn names(market: usize, count: usize) -> Vec<String> {
        (0..count).map(|index| instrument(market, index).name).collect()
    }

    #[test]
    fn names_are_the_venues() {
        assert_eq!(
            names(0, 4),
            ["BTC-PERPETUAL", "ETH-PERPETUAL", "SOL_USDC-PERPETUAL", "BTC_USDC-PERPETUAL"]
        );
        assert_eq!(names(1, 5)[..1], ["BTC-25DEC26"]);
        assert_eq!(names(1, 5)[4], "BTC-1JAN27");
        assert_eq!(
            names(2, 4)[..3],
            ["BTC-25DEC26-100000-C", "ETH-25DEC26-3200-C", "XRP_USDC-25DEC26-2d125-C"]
        );
        assert_eq!(names(2, 4)[3], "BTC-25DEC26-100000-P");
        assert_eq!(names(3, 1), ["BTC_USDC"]);
        assert_eq!(names(4, 3)[0], "BTC-FS-25DEC26_PERP");
        assert_eq!(names(4, 3)[2], "BTC-CS-25DEC26-100000_104000");
    }

    #[test]
    fn three_thousand_of_a_market_are_distinct_and_have_positive_prices() {
        let mut all = HashSet::new();
        for market in 0..MARKETS.len() {
            for index in 0..3000 {
                let spec = instrument(market, index);
                assert!(spec.middle > 0, "{spec:?}");
                assert!(spec.index.value > 0 && spec.contracts.value > 0, "{spec:?}");
                assert!(all.insert(spec.name.clone()), "{} twice", spec.name);
            }
        }
    }
}

//! The instruments of the generated venue: names, ticks, lots and contracts as OKX has them.

use serde_json::{Value, json};

use super::number::{decimal, expiries, yymmdd};

/// Base currencies: name, decimals of the price, price in ticks, decimals of the spot size, coins in a linear contract.
const BASES: [(&str, u8, u64, u8, &str); 20] = [
    ("BTC", 1, 650_000, 8, "0.01"),
    ("ETH", 2, 350_000, 6, "0.1"),
    ("SOL", 2, 15_000, 6, "1"),
    ("XRP", 4, 6_000, 6, "100"),
    ("DOGE", 5, 15_000, 6, "1000"),
    ("ADA", 4, 4_500, 6, "100"),
    ("AVAX", 3, 28_000, 6, "1"),
    ("LTC", 2, 8_300, 6, "1"),
    ("LINK", 3, 14_000, 6, "1"),
    ("DOT", 3, 6_500, 6, "1"),
    ("TRX", 5, 13_000, 6, "1000"),
    ("BCH", 1, 4_200, 6, "0.1"),
    ("UNI", 3, 8_000, 6, "1"),
    ("ATOM", 3, 7_000, 6, "1"),
    ("FIL", 3, 5_000, 6, "0.1"),
    ("ARB", 4, 9_000, 6, "10"),
    ("OP", 4, 18_000, 6, "1"),
    ("SUI", 4, 11_000, 6, "1"),
    ("PEPE", 9, 12_000, 6, "10000000"),
    ("SHIB", 9, 17_500, 6, "1000000"),
];

/// One of the venue's products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Market {
    Spot,
    Swap,
    Futures,
    Option,
}

impl Market {
    pub(crate) const ALL: [Market; 4] = [Market::Spot, Market::Swap, Market::Futures, Market::Option];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Market::Spot => "spot",
            Market::Swap => "swap",
            Market::Futures => "futures",
            Market::Option => "option",
        }
    }

    /// The name on the wire.
    pub(crate) fn instrument_type(self) -> &'static str {
        match self {
            Market::Spot => "SPOT",
            Market::Swap => "SWAP",
            Market::Futures => "FUTURES",
            Market::Option => "OPTION",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Market> {
        Market::ALL.into_iter().find(|market| market.name() == name)
    }

    pub(crate) fn of_type(instrument_type: &str) -> Option<Market> {
        Market::ALL.into_iter().find(|market| market.instrument_type() == instrument_type)
    }
}

/// What an option is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OptionTerms {
    pub(crate) strike: u64,
    pub(crate) call: bool,
}

/// The definition of an instrument.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) market: Market,
    /// `instId`.
    pub(crate) name: String,
    pub(crate) base: String,
    /// Quote currency of the price; empty for options, whose price is in the base.
    pub(crate) quote: &'static str,
    /// A tick is so many units of the last decimal.
    pub(crate) tick: u64,
    pub(crate) price_scale: u8,
    /// A lot is one unit of the last decimal.
    pub(crate) lot_scale: u8,
    pub(crate) usual_lots: u32,
    /// Ticks in the usual price.
    pub(crate) middle: u64,
    /// Ticks on each side of the usual price that can have a level.
    pub(crate) reach: usize,
    pub(crate) contract_value: &'static str,
    pub(crate) expiry_ms: Option<u64>,
    pub(crate) option: Option<OptionTerms>,
}

fn base(index: usize) -> (String, u8, u64, u8, &'static str) {
    match BASES.get(index) {
        Some(&(name, scale, ticks, lot_scale, contract)) => {
            (name.to_owned(), scale, ticks, lot_scale, contract)
        }
        // More instruments than there are well-known coins.
        None => (format!("COIN{index}"), 4, 3_000 + (index as u64 * 37) % 20_000, 6, "10"),
    }
}

/// Underlyings of derivatives: the first four are BTC and ETH, in USDT and in USD.
fn underlying(index: usize) -> (usize, &'static str) {
    match index {
        0 | 1 => (index, "USDT"),
        2 | 3 => (index - 2, "USD"),
        _ => (index - 2, "USDT"),
    }
}

impl Spec {
    /// The instrument with this number in its market. Numbers never repeat a name on one day.
    pub(crate) fn new(market: Market, number: usize, now_ms: u64) -> Spec {
        let dates = expiries(now_ms);
        match market {
            Market::Spot => Spec::of(market, number, "USDT", None),
            Market::Swap => {
                let (base, quote) = underlying(number);
                Spec::of(market, base, quote, None)
            }
            Market::Futures => {
                let (base, quote) = underlying(number / dates.len());
                Spec::of(market, base, quote, Some(dates[number % dates.len()]))
            }
            Market::Option => Spec::new_option(number, dates[number / 4 % dates.len()]),
        }
    }

    fn of(market: Market, base_index: usize, quote: &'static str, expiry_ms: Option<u64>) -> Spec {
        let (base, price_scale, middle, spot_scale, coins) = base(base_index);
        let suffix = match (market, expiry_ms) {
            (Market::Swap, _) => "-SWAP".to_owned(),
            (_, Some(expiry)) => format!("-{}", yymmdd(expiry)),
            _ => String::new(),
        };
        let (lot_scale, contract_value) = match (market, quote) {
            (Market::Spot, _) => (spot_scale, ""),
            (_, "USD") => (1, if base == "BTC" { "100" } else { "10" }),
            _ => (2, coins),
        };
        let usual_lots = match lot_scale {
            8 => 50_000_000,
            6 => 5_000_000,
            2 => 2_000,
            _ => 500,
        };
        Spec {
            market,
            name: format!("{base}-{quote}{suffix}"),
            base,
            quote,
            tick: 1,
            price_scale,
            lot_scale,
            usual_lots,
            middle,
            reach: if base_index < 4 { 800 } else { 150 },
            contract_value,
            expiry_ms,
            option: None,
        }
    }

    /// Options of BTC and ETH in turn, calls and puts, dates, then strikes away from the money.
    fn new_option(number: usize, expiry_ms: u64) -> Spec {
        let call = number.is_multiple_of(2);
        let (base, at_the_money, step) =
            if (number / 2).is_multiple_of(2) { ("BTC", 65_000_u64, 1_000) } else { ("ETH", 3_500, 50) };
        let distance = number as u64 / 16;
        let away = distance.div_ceil(2) * step;
        let strike =
            if distance % 2 == 1 || away >= at_the_money { at_the_money + away } else { at_the_money - away };
        let letter = if call { "C" } else { "P" };
        Spec {
            market: Market::Option,
            name: format!("{base}-USD-{}-{strike}-{letter}", yymmdd(expiry_ms)),
            base: base.to_owned(),
            quote: "",
            tick: 5,
            price_scale: 4,
            lot_scale: 0,
            usual_lots: 40,
            middle: 70 + (number as u64 * 13) % 100,
            reach: 40,
            contract_value: "1",
            expiry_ms: Some(expiry_ms),
            option: Some(OptionTerms { strike, call }),
        }
    }

    /// `instFamily`; the pair for spot.
    pub(crate) fn family(&self) -> String {
        format!("{}-{}", self.base, if self.quote.is_empty() { "USD" } else { self.quote })
    }

    /// Value of a contract as integer and decimals, the multiplier included; one for spot.
    pub(crate) fn contract_value(&self) -> (u128, u8) {
        let (whole, fraction) = self.contract_value.split_once('.').unwrap_or((self.contract_value, ""));
        let mantissa = format!("{whole}{fraction}").parse().unwrap_or(1);
        (mantissa, fraction.len() as u8 + if self.option.is_some() { 2 } else { 0 })
    }

    fn inverse(&self) -> bool {
        self.quote == "USD"
    }

    fn settlement(&self) -> &str {
        if self.quote == "USDT" { "USDT" } else { &self.base }
    }

    pub(crate) fn price(&self, ticks: u64) -> String {
        decimal(ticks * self.tick, self.price_scale)
    }

    pub(crate) fn size(&self, lots: u64) -> String {
        decimal(lots, self.lot_scale)
    }

    /// The instrument object of REST and of the channel `instruments`.
    pub(crate) fn object(&self, number: usize, state: &str) -> Value {
        let spot = self.market == Market::Spot;
        let unless_spot = |text: &str| if spot { String::new() } else { text.to_owned() };
        let contract_type = match self.market {
            Market::Spot | Market::Option => "",
            _ if self.inverse() => "inverse",
            _ => "linear",
        };
        let contract_currency = if self.inverse() { "USD" } else { &self.base };
        let aliases = ["this_week", "next_week", "this_month", "quarter"];
        let alias = if self.market == Market::Futures { aliases[number % aliases.len()] } else { "" };
        let lot = decimal(1_u64, self.lot_scale);
        json!({
            "alias": alias, "auctionEndTime": "", "baseCcy": if spot { &self.base } else { "" },
            "category": "1", "contTdSwTime": "",
            "ctMult": if self.option.is_some() { "0.01" } else if spot { "" } else { "1" },
            "ctType": contract_type, "ctVal": self.contract_value, "ctValCcy": unless_spot(contract_currency),
            "expTime": self.expiry_ms.map_or(String::new(), |time| time.to_string()),
            "futureSettlement": false, "groupId": "1", "instCategory": "1",
            "instFamily": unless_spot(&self.family()), "instId": self.name, "instIdCode": 10_000 + number,
            "instType": self.market.instrument_type(), "lever": "100", "listTime": "1573557408000",
            "lotSz": lot, "maxIcebergSz": "100000000", "maxLmtAmt": "20000000", "maxLmtSz": "100000000",
            "maxMktAmt": "", "maxMktSz": "12000", "maxStopSz": "12000", "maxTriggerSz": "100000000",
            "maxTwapSz": "100000000", "minSz": lot, "openType": "",
            "optType": self.option.map_or("", |option| if option.call { "C" } else { "P" }),
            "preMktSwTime": "", "quoteCcy": if spot { self.quote } else { "" }, "ruleType": "normal",
            "settleCcy": unless_spot(self.settlement()), "state": state,
            "stk": self.option.map_or(String::new(), |option| option.strike.to_string()),
            "tickSz": decimal(self.tick, self.price_scale), "tradeQuoteCcyList": [],
            "uly": unless_spot(&self.family()), "upcChg": []
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_767_139_200_000;

    #[test]
    fn names_are_the_venues() {
        let names = |market, count| -> Vec<String> {
            (0..count).map(|number| Spec::new(market, number, NOW).name).collect()
        };
        assert_eq!(names(Market::Spot, 3), ["BTC-USDT", "ETH-USDT", "SOL-USDT"]);
        let swaps = ["BTC-USDT-SWAP", "ETH-USDT-SWAP", "BTC-USD-SWAP", "ETH-USD-SWAP", "SOL-USDT-SWAP"];
        assert_eq!(names(Market::Swap, 5), swaps);
        assert_eq!(names(Market::Futures, 2), ["BTC-USDT-260102", "BTC-USDT-260109"]);
        assert_eq!(names(Market::Option, 3)[1..], ["BTC-USD-260102-65000-P", "ETH-USD-260102-3500-C"]);
    }

    #[test]
    fn names_never_repeat() {
        for market in Market::ALL {
            let names: std::collections::HashSet<String> =
                (0..2000).map(|number| Spec::new(market, number, NOW).name).collect();
            assert_eq!(names.len(), 2000, "{market:?}");
        }
    }

    #[test]
    fn ladders_stay_above_zero() {
        for market in Market::ALL {
            for number in 0..2000 {
                let spec = Spec::new(market, number, NOW);
                assert!(spec.middle > spec.reach as u64, "{}", spec.name);
            }
        }
    }
}

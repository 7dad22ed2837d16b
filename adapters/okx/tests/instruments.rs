//! Definitions of instruments: own entries, and all captured lists.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{HashMap, HashSet};

use common::*;
use marketprism_core::Decimal;
use marketprism_core::instrument::{Instrument, InstrumentType, OptionType, VolatilityUnit};
use marketprism_core::venue::Venue;
use marketprism_okx::Okx;
use serde_json::{Value, json};

/// An entry as the venue writes it: every field, those that are not named empty.
fn entry(fields: Value) -> Value {
    let mut entry = json!({});
    for key in [
        "instType",
        "instId",
        "uly",
        "instFamily",
        "baseCcy",
        "quoteCcy",
        "settleCcy",
        "ctVal",
        "ctMult",
        "ctValCcy",
        "optType",
        "stk",
        "listTime",
        "expTime",
        "tickSz",
        "lotSz",
        "ctType",
        "state",
        "ruleType",
    ] {
        entry[key] = fields.get(key).cloned().unwrap_or_else(|| "".into());
    }
    entry["instIdCode"] = Value::Null;
    entry["futureSettlement"] = false.into();
    entry["upcChg"] = json!([]);
    entry
}

fn parse(name: &str, entries: &[Value]) -> (Vec<Instrument>, Vec<String>) {
    let body = json!({"code": "0", "msg": "", "data": entries}).to_string();
    Okx.parse_instruments(market(name), body.as_bytes()).unwrap()
}

fn one(name: &str, fields: Value) -> Instrument {
    let (instruments, unread) = parse(name, &[entry(fields)]);
    assert!(unread.is_empty(), "{unread:?}");
    instruments.into_iter().next().unwrap()
}

fn decimal(text: &str) -> Option<Decimal> {
    Some(text.parse().unwrap())
}

#[test]
fn linear_swaps() {
    let swap = one(
        "swap",
        json!({"instId": "BTC-USDT-SWAP", "uly": "BTC-USDT", "instFamily": "BTC-USDT", "settleCcy": "USDT",
            "ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC", "ctType": "linear", "listTime": "1573557408000",
            "tickSz": "0.1", "lotSz": "0.01", "state": "live", "ruleType": "normal"}),
    );
    let expected = Instrument {
        symbol: "BTC-USDT-PERP".into(),
        instrument_type: InstrumentType::Perpetual,
        base: "BTC".into(),
        quote: "USDT".into(),
        settle: "USDT".into(),
        tick: decimal("0.1"),
        lot: decimal("0.01"),
        contract_size: decimal("0.01"),
        multiplier: decimal("0.01"),
        underlying: "BTC-USDT".into(),
        listing_ns: Some(1_573_557_408_000_000_000),
        status: "live".into(),
        ..Instrument::unknown("okx", "swap", "BTC-USDT-SWAP")
    };
    assert_eq!(swap, expected);
}

#[test]
fn inverse_contracts_count_quote_units() {
    let future = one(
        "futures",
        json!({"instId": "BTC-USD-250808", "uly": "BTC-USD", "settleCcy": "BTC", "ctVal": "100", "ctMult": "1",
            "ctType": "inverse", "expTime": "1754640000000", "state": "live"}),
    );
    assert_eq!((future.symbol.as_str(), future.inverse), ("BTC-USD-20250808", true));
    assert_eq!((future.multiplier, future.expiry_ns), (decimal("100"), Some(1_754_640_000_000_000_000)));
    assert_eq!((future.quote.as_str(), future.settle.as_str()), ("USD", "BTC"));
}

#[test]
fn options_are_quoted_in_the_coin_that_they_settle_in() {
    let option = one(
        "option",
        json!({"instId": "BTC-USD-221230-4000-C", "uly": "BTC-USD", "settleCcy": "BTC", "ctVal": "1",
            "ctMult": "0.01", "ctValCcy": "BTC", "optType": "C", "stk": "4000", "expTime": "1672387200000",
            "tickSz": "0.0005", "lotSz": "1", "state": "live"}),
    );
    assert_eq!(option.symbol, "BTC-USD-20221230-4000-C");
    assert_eq!((option.base.as_str(), option.quote.as_str(), option.inverse), ("BTC", "BTC", false));
    assert_eq!((option.strike, option.option_type), (decimal("4000"), Some(OptionType::Call)));
    assert_eq!((option.contract_size, option.multiplier), (decimal("1"), decimal("0.01")));
    assert_eq!(option.volatility_unit, Some(VolatilityUnit::Fraction));
}

#[test]
fn suffixes_of_the_quote_asset_keep_symbols_apart() {
    let symbol = |name, id: &str, rule: &str| {
        let instrument = one(name, json!({"instId": id, "uly": "BTC-USD", "ruleType": rule}));
        assert_eq!((instrument.base.as_str(), instrument.quote.as_str()), ("BTC", "USD"));
        instrument.symbol
    };
    assert_eq!(symbol("swap", "BTC-USD-SWAP", "normal"), "BTC-USD-PERP");
    assert_eq!(symbol("swap", "BTC-USD_UM-SWAP", "normal"), "BTC-USD_UM-PERP");
    assert_eq!(symbol("futures", "BTC-USD_UM_XPERP-310404", "xperp"), "BTC-USD_UM_XPERP-20310404");
    assert_eq!(symbol("futures", "BTC-USD_UM-310404", "normal"), "BTC-USD_UM-20310404");
    assert_eq!(symbol("futures", "BTC-USD-310404", "xperp"), "BTC-USD_XPERP-20310404");
}

#[test]
fn what_is_not_listed_yet_or_no_longer_is_read_too() {
    let new = one("swap", json!({"instId": "NEW-USDT-SWAP", "state": "preopen"}));
    assert_eq!((new.symbol.as_str(), new.tick, new.multiplier), ("NEW-USDT-PERP", None, None));
    assert!(!new.suspended && !new.delisted, "its opening is not to be missed");
    let old = one("futures", json!({"instId": "BTC-USD-210101", "state": "expired"}));
    assert!(old.delisted && !old.suspended);
    assert!(one("spot", json!({"instId": "BTC-USDT", "state": "suspend"})).suspended);
}

#[test]
fn test_instruments_are_left_out_and_unreadable_ones_are_named() {
    let entries = [
        entry(json!({"instId": "TEST-USDT", "state": "test"})),
        entry(json!({"instId": "BTC-USDT", "state": "live"})),
        entry(json!({"instId": "BTC-USDT-SWAP", "state": "live"})),
        entry(json!({"instId": "-USDT", "state": "live"})),
        json!(7),
        entry(json!({"instId": "ETH-USDT", "tickSz": "fine"})),
    ];
    let (instruments, unread) = parse("spot", &entries);
    assert_eq!(instruments.iter().map(|i| i.symbol.as_str()).collect::<Vec<_>>(), ["BTC-USDT"]);
    let starts: Vec<_> = unread.iter().map(|text| text.split(':').next().unwrap()).collect();
    assert_eq!(starts, ["BTC-USDT-SWAP", "-USDT", "entry 4", "ETH-USDT"]);
}

#[test]
fn names_of_another_market_are_not_read() {
    for (name, id) in [
        ("spot", "BTC"),
        ("swap", "BTC-USDT"),
        ("futures", "BTC-USDT-SWAP"),
        ("futures", "BTC-USD-2508"),
        ("option", "BTC-USD-250808"),
        ("option", "BTC-USD-CALL-4000-C"),
    ] {
        let (instruments, unread) = parse(name, &[entry(json!({"instId": id, "uly": "BTC-USD"}))]);
        assert!(instruments.is_empty() && unread.len() == 1, "{name} {id}");
    }
}

#[test]
fn each_index_is_an_instrument_once() {
    let entries = ["BTC-USD-SWAP", "BTC-USD_UM-SWAP", "ETH-USD-SWAP", "NEW-USD-SWAP"].map(|id| {
        let uly = match &id[..3] {
            "NEW" => String::new(),
            base => format!("{base}-USD"),
        };
        entry(json!({"instId": id, "uly": uly, "state": "live"}))
    });
    let (instruments, _) = parse("swap", &entries);
    let indices: Vec<_> = instruments.iter().filter(|i| i.instrument_type == InstrumentType::Index).collect();
    let names: Vec<_> = indices.iter().map(|i| (i.venue_symbol.as_str(), i.symbol.as_str())).collect();
    assert_eq!(names, [("BTC-USD", "BTC-USD-INDEX"), ("ETH-USD", "ETH-USD-INDEX")]);
    assert_eq!((indices[0].base.as_str(), indices[0].quote.as_str()), ("BTC", "USD"));
}

#[test]
fn captured_lists_are_read_whole() {
    for (name, body) in instrument_lists() {
        let (instruments, unread) = Okx.parse_instruments(market(name), body.as_bytes()).unwrap();
        assert_eq!(unread, Vec::<String>::new());
        let sent: Value = serde_json::from_str(&body).unwrap();
        let sent = sent["data"].as_array().unwrap();
        for (instrument, sent) in instruments.iter().zip(sent) {
            check(instrument, sent);
        }
        let indices: HashSet<&str> =
            sent.iter().filter_map(|entry| entry["uly"].as_str()).filter(|uly| !uly.is_empty()).collect();
        assert_eq!(instruments.len(), sent.len() + indices.len(), "{name}");
        eprintln!("{name}: {} instruments, {} indices", sent.len(), indices.len());
    }
}

/// Compares a definition with the entry that it was made of.
fn check(instrument: &Instrument, sent: &Value) {
    let text = |key: &str| sent[key].as_str().unwrap();
    let number = |key: &str| text(key).parse::<Decimal>().ok();
    let time = |key: &str| text(key).parse::<i64>().ok().map(|time| time * 1_000_000);
    assert_eq!(instrument.venue_symbol, text("instId"));
    if text("instType") == "SPOT" {
        assert_eq!(
            (instrument.base.as_str(), instrument.quote.as_str()),
            (text("baseCcy"), text("quoteCcy"))
        );
        assert_eq!(instrument.symbol, text("instId"));
    }
    assert_eq!((instrument.tick, instrument.lot), (number("tickSz"), number("lotSz")));
    assert_eq!((instrument.strike, instrument.contract_size), (number("stk"), number("ctVal")));
    assert_eq!((instrument.listing_ns, instrument.expiry_ns), (time("listTime"), time("expTime")));
    assert_eq!((instrument.status.as_str(), instrument.underlying.as_str()), (text("state"), text("uly")));
    assert_eq!(instrument.inverse, text("ctType") == "inverse");
    assert_eq!(instrument.option_type.is_some(), text("instType") == "OPTION");
    if let (Some(size), Some(factor)) = (number("ctVal"), number("ctMult")) {
        let product = instrument.multiplier.unwrap();
        assert_eq!(product.compare(size.checked_mul(factor).unwrap()), std::cmp::Ordering::Equal);
    }
}

#[test]
fn trap_canonical_symbols_name_one_instrument_in_all_captured_lists() {
    let mut owners: HashMap<String, (String, String)> = HashMap::new();
    for (name, body) in instrument_lists() {
        let (instruments, _) = Okx.parse_instruments(market(name), body.as_bytes()).unwrap();
        let own: HashSet<&str> = instruments.iter().map(|i| i.symbol.as_str()).collect();
        assert_eq!(own.len(), instruments.len(), "{name}");
        // An index is the same one, whichever market names it.
        for instrument in instruments.into_iter().filter(|i| i.instrument_type != InstrumentType::Index) {
            let owner = (name.to_owned(), instrument.venue_symbol);
            let known = owners.entry(instrument.symbol).or_insert_with(|| owner.clone());
            assert_eq!(*known, owner);
        }
    }
}

proptest::proptest! {
    #[test]
    fn symbols_of_different_names_differ(
        first in "[AB]{1,2}-(USD|USDT|USD_UM|USD_UM_XPERP)(-SWAP|-2508(08|15)(-[12]00-[CP])?)?",
        second in "[AB]{1,2}-(USD|USDT|USD_UM|USD_UM_XPERP)(-SWAP|-2508(08|15)(-[12]00-[CP])?)?",
    ) {
        let symbol = |id: &str| {
            let name = match id.split('-').collect::<Vec<_>>()[..] {
                [_, _] => "spot",
                [_, _, "SWAP"] => "swap",
                [_, _, _] => "futures",
                _ => "option",
            };
            one(name, json!({"instId": id})).symbol
        };
        proptest::prop_assert_eq!(first == second, symbol(&first) == symbol(&second));
    }
}

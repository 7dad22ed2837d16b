//! Instruments: canonical symbols and definitions, from own lists and the captured ones.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, HashSet};

use common::*;
use marketprism_core::Decimal;
use marketprism_core::instrument::{Instrument, InstrumentType, OptionType, VolatilityUnit};
use marketprism_core::venue::{Market, Venue};
use marketprism_deribit::Deribit;

fn market(name: &str) -> &'static Market {
    Deribit::default().market(name).unwrap()
}

fn parse(market_name: &str, body: &str) -> (Vec<Instrument>, Vec<String>) {
    Deribit::default().parse_instruments(market(market_name), body.as_bytes()).unwrap()
}

/// The instruments of a market in [`LIST`], without the indexes.
fn listed(market: &str) -> Vec<Instrument> {
    let (instruments, unread) = parse(market, &list(LIST));
    assert!(unread.is_empty(), "{unread:?}");
    instruments.into_iter().filter(|i| i.instrument_type != InstrumentType::Index).collect()
}

fn list(entries: &[&str]) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","result":[{}],"usIn":1,"usOut":2,"usDiff":1,"testnet":false}}"#,
        entries.join(",")
    )
}

/// Written after the venue's protocol: an instrument of each kind.
const LIST: &[&str] = &[
    r#"{"price_index":"btc_usd","kind":"future","instrument_name":"BTC-PERPETUAL","max_leverage":50,"instrument_type":"reversed","expiration_timestamp":32503708800000,"creation_timestamp":1534167754000,"is_active":true,"tick_size":0.5,"contract_size":10.0,"min_trade_amount":10.0,"future_type":"reversed","settlement_currency":"BTC","settlement_period":"perpetual","base_currency":"BTC","counter_currency":"USD","quote_currency":"USD","tick_size_steps":[]}"#,
    r#"{"price_index":"btc_usdc","kind":"future","instrument_name":"BTC_USDC-PERPETUAL","instrument_type":"linear","expiration_timestamp":32503708800000,"creation_timestamp":1534167754000,"is_active":true,"state":"open","tick_size":0.5,"contract_size":0.0001,"min_trade_amount":1e-4,"settlement_currency":"USDC","settlement_period":"perpetual","base_currency":"BTC","counter_currency":"USDC","quote_currency":"USDC"}"#,
    r#"{"price_index":"btc_usd","kind":"future","instrument_name":"BTC-25DEC26","instrument_type":"reversed","expiration_timestamp":1798185600000,"is_active":true,"tick_size":2.5,"contract_size":10.0,"min_trade_amount":10.0,"settlement_currency":"BTC","settlement_period":"month","base_currency":"BTC","counter_currency":"USD","quote_currency":"USD"}"#,
    r#"{"price_index":"btc_usdc","kind":"future","instrument_name":"BTC_USDC-25DEC26","instrument_type":"linear","expiration_timestamp":1798185600000,"is_active":true,"settlement_currency":"USDC","settlement_period":"month","base_currency":"BTC","counter_currency":"USDC","quote_currency":"USDC"}"#,
    r#"{"price_index":"btcdvol_usdc","kind":"future","instrument_name":"BTCDVOL_USDC-25DEC26","instrument_type":"linear","expiration_timestamp":1798185600000,"is_active":true,"settlement_currency":"USDC","settlement_period":"month","base_currency":"BTC","counter_currency":"USDC","quote_currency":"USDC"}"#,
    r#"{"price_index":"btc_usd","kind":"option","instrument_name":"BTC-25DEC26-100000-C","instrument_type":"reversed","expiration_timestamp":1798185600000,"creation_timestamp":1743062460000,"is_active":true,"state":"open","strike":100000.0,"option_type":"call","tick_size":0.0001,"contract_size":1.0,"min_trade_amount":0.1,"settlement_currency":"BTC","settlement_period":"month","base_currency":"BTC","counter_currency":"USD","quote_currency":"BTC","tick_size_steps":[{"above_price":0.005,"tick_size":0.0005}]}"#,
    r#"{"price_index":"xrp_usdc","kind":"option","instrument_name":"XRP_USDC-30JUN23-0d625-C","instrument_type":"linear","expiration_timestamp":1688112000000,"is_active":false,"state":"inactive","strike":0.625,"option_type":"call","tick_size":0.0005,"contract_size":1000,"min_trade_amount":1000,"settlement_currency":"USDC","settlement_period":"month","base_currency":"XRP","counter_currency":"USDC","quote_currency":"USDC"}"#,
    r#"{"price_index":"btc_usdc","kind":"spot","instrument_name":"BTC_USDC","is_active":true,"tick_size":0.01,"contract_size":0.0001,"min_trade_amount":0.0001,"base_currency":"BTC","counter_currency":"USDC","quote_currency":"USDC","expiration_timestamp":32503708800000}"#,
    r#"{"price_index":"btc_usd","kind":"future_combo","instrument_name":"BTC-FS-25DEC26_PERP","instrument_type":"reversed","expiration_timestamp":1798185600000,"is_active":true,"tick_size":0.5,"contract_size":10.0,"min_trade_amount":10.0,"settlement_currency":"BTC","settlement_period":"month","base_currency":"BTC","counter_currency":"USD","quote_currency":"USD"}"#,
    r#"{"price_index":"btc_usd","kind":"option_combo","instrument_name":"BTC-CS-25DEC26-70000_75000","instrument_type":"reversed","expiration_timestamp":1798185600000,"is_active":true,"tick_size":0.0001,"contract_size":1.0,"min_trade_amount":0.1,"settlement_currency":"BTC","settlement_period":"month","base_currency":"BTC","counter_currency":"USD","quote_currency":"BTC"}"#,
];

#[test]
fn symbols_are_the_same_on_all_venues() {
    for (market, expected) in [
        ("spot", &[("BTC_USDC", "BTC-USDC")][..]),
        ("perpetual", &[("BTC-PERPETUAL", "BTC-USD-PERP"), ("BTC_USDC-PERPETUAL", "BTC-USDC-PERP")]),
        (
            "future",
            &[
                ("BTC-25DEC26", "BTC-USD-20261225"),
                ("BTC_USDC-25DEC26", "BTC-USDC-20261225"),
                ("BTCDVOL_USDC-25DEC26", "BTCDVOL-USDC-20261225"),
            ],
        ),
        (
            "option",
            &[
                ("BTC-25DEC26-100000-C", "BTC-USD-20261225-100000-C"),
                ("XRP_USDC-30JUN23-0d625-C", "XRP-USDC-20230630-0.625-C"),
            ],
        ),
        (
            "combo",
            &[
                ("BTC-FS-25DEC26_PERP", "BTC-FS-25DEC26_PERP"),
                ("BTC-CS-25DEC26-70000_75000", "BTC-CS-25DEC26-70000_75000"),
            ],
        ),
    ] {
        let found = listed(market);
        let found: Vec<_> = found.iter().map(|i| (i.venue_symbol.as_str(), i.symbol.as_str())).collect();
        assert_eq!(found, expected, "{market}");
    }
}

fn decimal(text: &str) -> Option<Decimal> {
    Some(text.parse().unwrap())
}

#[test]
fn perpetuals_and_futures() {
    let perpetuals = listed("perpetual");
    let inverse = &perpetuals[0];
    assert_eq!(inverse.instrument_type, InstrumentType::Perpetual);
    assert_eq!(
        (inverse.base.as_str(), inverse.quote.as_str(), inverse.settle.as_str()),
        ("BTC", "USD", "BTC")
    );
    assert_eq!((inverse.inverse, inverse.multiplier, inverse.contract_size), (true, None, decimal("10")));
    assert_eq!((inverse.tick, inverse.lot), (decimal("0.5"), decimal("10")));
    assert_eq!((inverse.listing_ns, inverse.expiry_ns), (Some(1_534_167_754_000_000_000), None));
    assert_eq!((inverse.status.as_str(), inverse.delisted), ("active", false));
    assert_eq!((inverse.underlying.as_str(), inverse.volatility_unit), ("btc_usd", None));
    let linear = &perpetuals[1];
    assert_eq!((linear.inverse, linear.settle.as_str(), linear.status.as_str()), (false, "USDC", "open"));
    assert_eq!(linear.lot, decimal("0.0001"));
    let future = &listed("future")[0];
    assert_eq!((future.instrument_type, future.inverse), (InstrumentType::Future, true));
    assert_eq!(future.expiry_ns, Some(1_798_185_600_000_000_000));
}

#[test]
fn options_spot_and_combos() {
    let options = listed("option");
    let inverse = &options[0];
    assert_eq!((inverse.strike, inverse.option_type), (decimal("100000.0"), Some(OptionType::Call)));
    assert_eq!(
        (inverse.base.as_str(), inverse.quote.as_str(), inverse.settle.as_str()),
        ("BTC", "BTC", "BTC")
    );
    assert_eq!((inverse.inverse, inverse.volatility_unit), (false, Some(VolatilityUnit::Percent)));
    let linear = &options[1];
    assert_eq!((linear.strike, linear.contract_size), (decimal("0.625"), decimal("1000")));
    assert_eq!((linear.status.as_str(), linear.delisted), ("inactive", true));
    let spot = &listed("spot")[0];
    assert_eq!((spot.instrument_type, spot.inverse), (InstrumentType::Spot, false));
    assert_eq!((spot.settle.as_str(), spot.expiry_ns), ("", None));
    let combo = &listed("combo")[0];
    assert_eq!((combo.instrument_type, combo.inverse), (InstrumentType::Combo, false));
    assert_eq!(combo.expiry_ns, Some(1_798_185_600_000_000_000));
}

#[test]
fn indexes_are_instruments_of_the_markets_that_follow_them() {
    let indexes = |market| {
        let (instruments, _) = parse(market, &list(LIST));
        let indexes = instruments.into_iter().filter(|i| i.instrument_type == InstrumentType::Index);
        indexes.map(|i| (i.venue_symbol, i.symbol, i.base, i.quote, i.volatility_unit)).collect::<Vec<_>>()
    };
    let index = |name: &str, base: &str, quote: &str, unit| {
        (name.to_owned(), format!("{base}-{quote}-INDEX"), base.to_owned(), quote.to_owned(), unit)
    };
    let btc_usd = index("btc_usd", "BTC", "USD", Some(VolatilityUnit::Percent));
    let btc_usdc = index("btc_usdc", "BTC", "USDC", None);
    assert_eq!(indexes("perpetual"), [btc_usd.clone(), btc_usdc.clone()]);
    assert_eq!(indexes("future"), [btc_usd, btc_usdc, index("btcdvol_usdc", "BTCDVOL", "USDC", None)]);
}

#[test]
fn a_symbol_that_two_would_share_is_given_to_neither() {
    let other = LIST[2].replace("\"BTC-25DEC26\"", "\"BTC_USD-25DEC26\"");
    let (instruments, _) = parse("future", &list(&[LIST[2], &other, LIST[3]]));
    let symbols: Vec<_> = instruments.iter().take(3).map(|i| i.symbol.as_str()).collect();
    assert_eq!(
        symbols,
        ["BTC-USD-20261225-BTC-25DEC26", "BTC-USD-20261225-BTC_USD-25DEC26", "BTC-USDC-20261225"]
    );
}

#[test]
fn trap_one_strange_instrument_does_not_stop_the_others() {
    let entries = [
        LIST[0],
        r#"{"kind":"future","instrument_name":"A-1","base_currency":"A"}"#,
        r#"{"kind":"option","instrument_name":"B-1","base_currency":"B","quote_currency":"B"}"#,
        r#"{"kind":"future","settlement_period":"month","instrument_name":"C-1","base_currency":"C","quote_currency":"USD"}"#,
        r#"{"kind":"future","settlement_period":"perpetual","base_currency":"C","quote_currency":"USD"}"#,
        "7",
    ];
    let (instruments, unread) = parse("perpetual", &list(&entries));
    assert_eq!(instruments.len(), 2, "the perpetual and its index");
    assert_eq!(
        unread,
        [
            "A-1: field \"quote_currency\" is missing",
            "entry 4: field \"instrument_name\" is missing",
            "entry 5: not a message of this venue: not an object",
        ]
    );
    let (_, unread) = parse("future", &list(&entries));
    assert!(unread[0].starts_with("C-1: field \"expiration_timestamp\""), "{unread:?}");
    let (_, unread) = parse("option", &list(&entries));
    assert!(unread[0].starts_with("B-1: field \"strike\""), "{unread:?}");
}

#[test]
fn instruments_are_asked_for_by_kind() {
    let paths = |name| {
        let requests = Deribit::default().instruments_requests(market(name));
        requests
            .into_iter()
            .map(|request| {
                // One request a second.
                assert_eq!(10 * request.weight, market(name).rest_weight.most);
                request.path
            })
            .collect::<Vec<_>>()
    };
    let path = |kind| format!("/api/v2/public/get_instruments?currency=any&kind={kind}&expired=false");
    assert_eq!(paths("spot"), [path("spot")]);
    assert_eq!((paths("perpetual"), paths("future")), (vec![path("future")], vec![path("future")]));
    assert_eq!(paths("option"), [path("option")]);
    assert_eq!(paths("combo"), [path("future_combo"), path("option_combo")]);
}

#[test]
fn trap_every_captured_instrument_has_a_symbol_of_its_own() {
    let mut symbols: HashSet<String> = HashSet::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let Some(root) = captures() else { return };
    let lists = entries(&root.join("option")).into_iter().flat_map(|capture| {
        let rest = capture.join("rest");
        if rest.is_dir() { entries(&rest) } else { vec![] }
    });
    for file in lists.filter(|file| file.to_string_lossy().contains("get_instruments")) {
        let body = read(&file);
        let mut found = 0;
        for market in Deribit::default().markets() {
            let (instruments, unread) = parse(market.name, &body);
            assert!(unread.is_empty(), "{unread:?}");
            for instrument in instruments.iter().filter(|i| i.instrument_type != InstrumentType::Index) {
                check_captured(instrument);
                assert!(symbols.insert(instrument.symbol.clone()), "{}", instrument.symbol);
                *counts.entry(market.name).or_default() += 1;
                found += 1;
            }
        }
        let entries: Vec<serde_json::Value> = serde_json::from_str(&members(&body)["result"]).unwrap();
        assert_eq!(found, entries.len(), "{}", file.display());
    }
    assert!(counts["perpetual"] > 0 && counts["future"] > 0 && counts["option"] > 0, "{counts:?}");
}

/// What the venue's name of a captured instrument says beside its fields.
fn check_captured(instrument: &Instrument) {
    let name = &instrument.venue_symbol;
    let linear = name.contains('_');
    let option = instrument.instrument_type == InstrumentType::Option;
    assert_eq!(instrument.inverse, !linear && !option, "{name}");
    assert_eq!(instrument.settle, if linear { "USDC" } else { instrument.base.as_str() }, "{name}");
    assert_eq!(name.ends_with("-PERPETUAL"), instrument.instrument_type == InstrumentType::Perpetual);
    assert_eq!(name.ends_with("-PERPETUAL"), instrument.expiry_ns.is_none());
    let pair = format!("{}-{}", instrument.base, if linear { "USDC" } else { "USD" });
    assert!(instrument.symbol.starts_with(&pair), "{name} {}", instrument.symbol);
    if option {
        let ending = name.split('-').skip(2).collect::<Vec<_>>().join("-");
        assert!(instrument.symbol.ends_with(&ending), "{name} {}", instrument.symbol);
        assert!(instrument.expiry_ns.is_some_and(|expiry| expiry % 86_400_000_000_000 == 28_800_000_000_000));
    }
    assert!(instrument.tick.is_some() && instrument.lot.is_some() && instrument.contract_size.is_some());
}

/// A peer read no instrument at all once one came without this field.
#[test]
fn trap_a_future_without_a_settlement_period_is_read_all_the_same() {
    let entry = r#"{"price_index":"btc_usd","kind":"future","instrument_name":"BTC-25DEC26","instrument_type":"reversed","expiration_timestamp":1798185600000,"is_active":true,"base_currency":"BTC","counter_currency":"USD"}"#;
    let names = |market: &str| -> Vec<String> {
        let (instruments, unread) = parse(market, &list(&[entry]));
        assert_eq!(unread, Vec::<String>::new());
        let traded = instruments.into_iter().filter(|i| i.instrument_type != InstrumentType::Index);
        traded.map(|instrument| instrument.symbol).collect()
    };
    assert_eq!(names("future"), ["BTC-USD-20261225"]);
    assert_eq!(names("perpetual"), Vec::<String>::new());
}

//! Instruments from `exchangeInfo`.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;

use common::*;
use marketprism_binance::Binance;
use marketprism_core::instrument::InstrumentType;
use marketprism_core::venue::Venue;

fn futures_entry(symbol: &str, base: &str, contract: &str, delivery: u64) -> String {
    format!(
        r#"{{"symbol":"{symbol}","pair":"{base}USDT","contractType":"{contract}","deliveryDate":{delivery},"onboardDate":1569398400000,"status":"TRADING","baseAsset":"{base}","quoteAsset":"USDT","marginAsset":"USDT","filters":[{{"minPrice":"556.72","maxPrice":"1000000","filterType":"PRICE_FILTER","tickSize":"0.10"}},{{"stepSize":"0.001","filterType":"LOT_SIZE","maxQty":"1000","minQty":"0.001"}}]}}"#
    )
}

#[test]
fn instruments_of_futures() {
    let endless = 4_133_404_800_000;
    let december = 1_798_185_600_000;
    let entries = [
        futures_entry("BTCUSDT", "BTC", "PERPETUAL", endless),
        futures_entry("BTCUSDT_261225", "BTC", "CURRENT_QUARTER", december),
        futures_entry("TSLAUSDT", "TSLA", "TRADIFI_PERPETUAL", endless),
        futures_entry("NEWUSDT", "NEW", "", endless),
        r#"{"symbol":"BROKEN"}"#.to_owned(),
        "7".to_owned(),
        futures_entry("XBTUSDT", "BTC", "PERPETUAL", endless),
    ];
    let body = format!(r#"{{"symbols":[{}]}}"#, entries.join(","));
    let (instruments, unread) = Binance.parse_instruments(market("usdm"), body.as_bytes()).unwrap();
    let symbols: Vec<_> = instruments.iter().map(|i| i.symbol.as_str()).collect();
    let expected =
        ["BTC-USDT-PERP", "BTC-USDT-20261225", "TSLA-USDT-PERP", "NEW-USDT-PERP", "BTC-USDT-PERP-XBTUSDT"];
    assert_eq!(symbols, expected);
    assert_eq!(instruments[1].expiry_ns, Some(1_798_185_600_000_000_000));
    assert_eq!(instruments[1].instrument_type, InstrumentType::Future);
    assert_eq!((instruments[0].expiry_ns, instruments[0].inverse), (None, false));
    assert_eq!(instruments[0].tick.unwrap().to_string(), "0.1");
    assert_eq!(instruments[0].lot.unwrap().to_string(), "0.001");
    assert_eq!((instruments[0].multiplier, instruments[0].underlying.as_str()), (None, "BTCUSDT"));
    assert_eq!(instruments[0].listing_ns, Some(1_569_398_400_000_000_000));
    assert_eq!(unread.len(), 2);
    assert!(unread[0].starts_with("BROKEN: ") && unread[1].starts_with("entry 5: "), "{unread:?}");
}

#[test]
fn instruments_of_coin_margined_futures_and_spot() {
    let body = r#"{"symbols":[{"filters":[{"filterType":"PRICE_FILTER","maxPrice":"100000","minPrice":"0.1","tickSize":"0.1"},{"filterType":"LOT_SIZE","maxQty":"100000","minQty":"1","stepSize":"1"}],"symbol":"BTCUSD_200925","pair":"BTCUSD","contractType":"CURRENT_QUARTER","deliveryDate":1601020800000,"contractStatus":"TRADING","contractSize":100,"quoteAsset":"USD","baseAsset":"BTC","marginAsset":"BTC"}]}"#;
    let (instruments, unread) = Binance.parse_instruments(market("coinm"), body.as_bytes()).unwrap();
    assert!(unread.is_empty());
    let future = &instruments[0];
    assert_eq!(
        (future.symbol.as_str(), future.settle.as_str(), future.inverse),
        ("BTC-USD-20200925", "BTC", true)
    );
    assert_eq!(future.contract_size.unwrap().to_string(), "100");
    assert_eq!(future.multiplier, future.contract_size);
    assert_eq!((future.underlying.as_str(), future.listing_ns), ("BTCUSD", None));
    assert_eq!(future.status, "TRADING");
    let body = r#"{"symbols":[{"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC","filters":[{"filterType":"PRICE_FILTER","minPrice":"0.00001000","maxPrice":"922327.00000000","tickSize":"0.00001000"},{"filterType":"LOT_SIZE","minQty":"0.00010000","maxQty":"100000.00000000","stepSize":"0.00010000"}]}]}"#;
    let (instruments, _) = Binance.parse_instruments(market("spot"), body.as_bytes()).unwrap();
    assert_eq!(
        (instruments[0].symbol.as_str(), instruments[0].instrument_type),
        ("ETH-BTC", InstrumentType::Spot)
    );
    assert_eq!(instruments[0].tick.unwrap().to_string(), "0.00001");
    assert_eq!((instruments[0].multiplier, instruments[0].underlying.as_str()), (None, ""));
}

#[test]
fn only_an_end_of_trading_for_good_is_a_delisting() {
    for (status, delisted) in [
        ("PENDING_TRADING", false),
        ("TRADING", false),
        ("TRADING_HALT", false),
        ("PRE_DELIVERING", false),
        ("DELIVERING", false),
        ("DELIVERED", true),
        ("PRE_SETTLE", false),
        ("SETTLING", true),
        ("CLOSE", true),
        ("END_OF_DAY", false),
        ("HALT", false),
        ("BREAK", false),
        ("CANCEL_ONLY", false),
        ("NOVELTY", false),
    ] {
        let entry = futures_entry("BTCUSDT", "BTC", "PERPETUAL", 4_133_404_800_000);
        for key in ["status", "contractStatus"] {
            let entry = entry.replace(r#""status":"TRADING""#, &format!(r#""{key}":"{status}""#));
            let body = format!(r#"{{"symbols":[{entry}]}}"#);
            let (instruments, _) = Binance.parse_instruments(market("usdm"), body.as_bytes()).unwrap();
            assert_eq!((instruments[0].status.as_str(), instruments[0].delisted), (status, delisted));
            assert_eq!(instruments[0].suspended, status == "BREAK");
        }
    }
}

#[test]
fn captured_instruments_are_all_read_and_have_different_names() {
    let Some(root) = captures() else { return };
    for (name, file) in [
        ("spot", "cf-20211012/rest/exchangeInfo.json.zst"),
        ("usdm", "cf-20210722/rest/exchangeInfo.json"),
        ("coinm", "cf-20210722/rest/exchangeInfo.json"),
    ] {
        let body = read(&root.join(name).join(file));
        let (instruments, unread) = Binance.parse_instruments(market(name), body.as_bytes()).unwrap();
        assert_eq!(unread, Vec::<String>::new());
        let symbols: HashSet<_> = instruments.iter().map(|i| i.symbol.clone()).collect();
        assert_eq!(symbols.len(), instruments.len());
        assert!(instruments.len() > 20);
        let futures = name != "spot";
        assert!(
            instruments
                .iter()
                .all(|i| i.listing_ns.is_some() == futures && i.underlying.is_empty() != futures)
        );
        assert!(instruments.iter().all(|i| i.multiplier.is_some() == (name == "coinm")));
        let traded = instruments.iter().filter(|i| i.status == "TRADING");
        assert!(traded.clone().all(|i| i.tick.is_some() && i.lot.is_some()));
        eprintln!("{name}: {} instruments", instruments.len());
    }
}

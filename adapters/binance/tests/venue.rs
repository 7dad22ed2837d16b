//! Streams, requests, REST answers and instruments.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;

use common::*;
use marketprism_binance::Binance;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::{Instrument, InstrumentType};
use marketprism_core::record::{ABSENT, RatioBasis, RecordBuffer, flag, text_of};
use marketprism_core::venue::{DecodeError, Market, Poll, Venue};
use marketprism_core::{Kind, RecordRef};

fn market(name: &str) -> &'static Market {
    Binance.market(name).unwrap()
}

fn stream(
    market_name: &str,
    channel: &str,
    symbol: &str,
) -> Result<Option<(String, &'static str, Kind)>, String> {
    let instrument = Instrument::unknown("binance", market_name, symbol);
    let stream = Binance.stream(market(market_name), channel, &instrument)?;
    Ok(stream.map(|stream| (stream.name, stream.route, stream.kind)))
}

#[test]
fn channels_have_their_streams() {
    for (market, channel, name, route, kind) in [
        ("spot", "trade", "btcusdt@trade", "", Kind::Trade),
        ("spot", "book", "btcusdt@depth@100ms", "", Kind::BookDelta),
        ("spot", "book@fastest", "btcusdt@depth@100ms", "", Kind::BookDelta),
        ("spot", "book@1000ms", "btcusdt@depth", "", Kind::BookDelta),
        ("spot", "candle@1s", "btcusdt@kline_1s", "", Kind::Candle),
        ("usdm", "trade", "btcusdt@trade", "/public", Kind::Trade),
        ("usdm", "agg_trade", "btcusdt@aggTrade", "/market", Kind::AggTrade),
        ("usdm", "book@100ms", "btcusdt@depth@100ms", "/public", Kind::BookDelta),
        ("usdm", "book@fastest", "btcusdt@depth@0ms", "/public", Kind::BookDelta),
        ("usdm", "book@250ms", "btcusdt@depth", "/public", Kind::BookDelta),
        ("usdm", "quote", "btcusdt@bookTicker", "/public", Kind::Quote),
        ("usdm", "ticker", "btcusdt@ticker", "/market", Kind::Ticker),
        ("usdm", "mark_price", "btcusdt@markPrice@1s", "/market", Kind::MarkPrice),
        ("usdm", "liquidation", "btcusdt@forceOrder", "/market", Kind::Liquidation),
        ("usdm", "candle", "btcusdt@kline_1m", "/market", Kind::Candle),
        ("coinm", "candle@1M", "btcusdt@kline_1M", "", Kind::Candle),
        ("coinm", "book@500ms", "btcusdt@depth@500ms", "", Kind::BookDelta),
    ] {
        assert_eq!(
            stream(market, channel, "BTCUSDT"),
            Ok(Some((name.to_owned(), route, kind))),
            "{market} {channel}"
        );
    }
    assert_eq!(stream("spot", "trade", "币安USDT").unwrap().unwrap().0, "币安usdt@trade");
    for channel in ["open_interest", "long_short_ratio", "funding_rate"] {
        assert_eq!(stream("usdm", channel, "BTCUSDT"), Ok(None));
    }
}

#[test]
fn wrong_channels_are_explained() {
    let error = stream("spot", "mark_price", "BTCUSDT").unwrap_err();
    assert!(error.contains("mark_price") && error.contains("trade, agg_trade, book"), "{error}");
    for (market, channel) in [
        ("spot", "book@250ms"),
        ("usdm", "book@1000ms"),
        ("usdm", "candle@1s"),
        ("spot", "candle@7m"),
        ("spot", "trade@x"),
        ("spot", "open_interest"),
        ("usdm", ""),
    ] {
        assert!(stream(market, channel, "BTCUSDT").is_err(), "{market} {channel}");
    }
    for market in Binance.markets() {
        for channel in market.channels {
            assert!(stream(market.name, channel, "BTCUSDT").is_ok(), "{channel}");
        }
    }
}

#[test]
fn requests_are_those_of_the_venue() {
    assert_eq!(
        Binance.subscribe(7, &["btcusdt@trade", "b\"ü@depth"]),
        r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","b\"ü@depth"],"id":7}"#
    );
    assert_eq!(Binance.websocket_path(market("usdm"), "/public"), "/public/stream");
    assert_eq!(Binance.websocket_path(market("spot"), ""), "/stream");
    let instrument = Instrument::unknown("binance", "spot", "ÜUSDT");
    let request = Binance.snapshot_request(market("spot"), &instrument);
    assert_eq!((request.path.as_str(), request.weight), ("/api/v3/depth?symbol=%C3%9CUSDT&limit=5000", 250));
    assert_eq!(Binance.instruments_request(market("coinm")).path, "/dapi/v1/exchangeInfo");
}

#[test]
fn snapshots() {
    for (market_name, body, time) in [
        (
            "spot",
            r#"{"lastUpdateId":160,"bids":[["0.35210000","672.00000000"]],"asks":[["0.35250000","3959.00000000"]]}"#,
            TIME_MISSING,
        ),
        (
            "usdm",
            r#"{"lastUpdateId":160,"E":1626992741242,"T":1626992741238,"bids":[["0.01731","57618"]],"asks":[]}"#,
            1_626_992_741_238_000_000,
        ),
        (
            "coinm",
            r#"{"lastUpdateId":160,"E":1626916404580,"T":1626916404574,"symbol":"BCHUSD_PERP","pair":"BCHUSD","bids":[],"asks":[["427.95","150"]]}"#,
            1_626_916_404_574_000_000,
        ),
    ] {
        let mut records = RecordBuffer::default();
        Binance.parse_snapshot(market(market_name), 5, body.as_bytes(), RECEIVE_NS, &mut records).unwrap();
        let [RecordRef::Book(book, levels)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!(book.header.kind, Kind::BookSnapshot as u8);
        assert_eq!(book.header.flags, flag::SNAPSHOT | flag::REST);
        assert_eq!((book.header.sequence, book.header.instrument, book.previous_id), (160, 5, ABSENT));
        assert_eq!(book.header.exchange_ns, time);
        assert_eq!(levels.len(), usize::from(book.bid_levels + book.ask_levels));
    }
    let mut records = RecordBuffer::default();
    let refused = Binance.parse_snapshot(
        market("spot"),
        5,
        br#"{"code":-1121,"msg":"Invalid symbol."}"#,
        0,
        &mut records,
    );
    assert!(matches!(refused, Err(DecodeError::Shape(reason)) if reason.contains("Invalid symbol")));
    assert!(records.is_empty());
}

#[test]
fn captured_snapshots_are_read_whole() {
    let Some(root) = captures() else { return };
    let mut count = 0;
    for name in ["spot", "usdm", "coinm"] {
        for folder in folders(&root.join(name))
            .iter()
            .map(|folder| folder.join("rest"))
            .filter(|folder| folder.is_dir())
        {
            for file in folders(&folder)
                .iter()
                .filter(|f| f.file_name().unwrap().to_string_lossy().starts_with("depth_"))
            {
                let body = read(file);
                let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
                let mut records = RecordBuffer::default();
                Binance.parse_snapshot(market(name), 1, body.as_bytes(), RECEIVE_NS, &mut records).unwrap();
                let [RecordRef::Book(book, levels)] = records.iter().collect::<Vec<_>>()[..] else {
                    panic!()
                };
                let sides = [&sent["bids"], &sent["asks"]].map(|side| side.as_array().unwrap());
                assert_eq!(
                    (sides[0].len(), sides[1].len()),
                    (book.bid_levels.into(), book.ask_levels.into())
                );
                for (level, sent) in levels.iter().zip(sides[0].iter().chain(sides[1])) {
                    assert_eq!(text(level.price, book.header.price_exponent), sent[0].as_str().unwrap());
                    assert_eq!(
                        text(level.quantity, book.header.quantity_exponent),
                        sent[1].as_str().unwrap()
                    );
                }
                count += 1;
            }
        }
    }
    assert!(count > 50, "{count}");
}

/// The records of an answer to the poll that `choose` picks.
fn polled(
    name: &str,
    channel: &str,
    index: usize,
    symbol: &str,
    body: &str,
) -> Result<RecordBuffer, DecodeError> {
    let mut instrument = Instrument::unknown("binance", name, symbol);
    instrument.id = 9;
    let polls: Vec<Poll> = Binance.polls(market(name), channel, &instrument);
    let mut records = RecordBuffer::default();
    let result = Binance.parse_poll(market(name), &polls[index], body.as_bytes(), RECEIVE_NS, &mut records);
    if result.is_err() {
        assert!(records.is_empty());
    }
    for record in records.iter() {
        assert_eq!((record.header().flags, record.header().instrument), (flag::REST, 9));
    }
    result.map(|()| records)
}

#[test]
fn polls_ask_what_the_market_has() {
    let paths = |name: &str, channel: &str, symbol: &str| -> Vec<String> {
        let instrument = Instrument::unknown("binance", name, symbol);
        Binance.polls(market(name), channel, &instrument).into_iter().map(|poll| poll.request.path).collect()
    };
    assert_eq!(paths("usdm", "open_interest", "BTCUSDT"), ["/fapi/v1/openInterest?symbol=BTCUSDT"]);
    let ratios = paths("coinm", "long_short_ratio", "BTCUSD_PERP");
    assert_eq!(ratios[0], "/futures/data/topLongShortPositionRatio?pair=BTCUSD&period=5m&limit=1");
    assert_eq!(ratios.len(), 3);
    assert!(paths("spot", "open_interest", "BTCUSDT").is_empty());
    assert!(paths("usdm", "trade", "BTCUSDT").is_empty());
}

#[test]
fn open_interest() {
    let body = r#"{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}"#;
    let records = polled("usdm", "open_interest", 0, "BTCUSDT", body).unwrap();
    let [RecordRef::OpenInterest(record)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(text(record.open_interest, record.header.quantity_exponent), "10659.509");
    assert_eq!((record.header.exchange_ns, record.open_interest_value), (1_589_437_530_011_000_000, ABSENT));
    let body = r#"{"symbol":"BTCUSD_PERP","pair":"BTCUSD","openInterest":"15004","contractType":"PERPETUAL","time":1591261042378}"#;
    assert_eq!(polled("coinm", "open_interest", 0, "BTCUSD_PERP", body).unwrap().iter().count(), 1);
    assert!(polled("usdm", "open_interest", 0, "ETHUSDT", body).is_err(), "an answer about another symbol");
    assert!(
        polled("usdm", "open_interest", 0, "BTCUSDT", r#"{"code":-1121,"msg":"Invalid symbol."}"#).is_err()
    );
}

#[test]
fn funding() {
    let entry = r#"{"symbol":"BTCUSDT","markPrice":"11793.63104562","indexPrice":"11781.80495970","estimatedSettlePrice":"11781.16138815","lastFundingRate":"0.00038246","interestRate":"0.00010000","nextFundingTime":1597392000000,"time":1597370495002}"#;
    for body in [entry.to_owned(), format!("[{}, {entry}]", entry.replace("BTCUSDT", "ETHUSDT"))] {
        let records = polled("usdm", "funding_rate", 0, "BTCUSDT", &body).unwrap();
        let [RecordRef::MarkPrice(mark), RecordRef::FundingRate(rate)] =
            records.iter().collect::<Vec<_>>()[..]
        else {
            panic!()
        };
        assert_eq!(text(mark.mark_price, mark.header.price_exponent), "11793.63104562");
        assert_eq!(text(rate.rate, rate.rate_exponent), "0.00038246");
        assert_eq!((rate.next_funding_ns, rate.interval_ns), (1_597_392_000_000_000_000, ABSENT));
    }
    let delivery = r#"[{"symbol":"BTCUSD_260925","pair":"BTCUSD","markPrice":"1","indexPrice":"2","estimatedSettlePrice":"3","lastFundingRate":"","interestRate":"","nextFundingTime":0,"time":1597370495002}]"#;
    let records = polled("coinm", "funding_rate", 0, "BTCUSD_260925", delivery).unwrap();
    assert!(matches!(records.iter().collect::<Vec<_>>()[..], [RecordRef::MarkPrice(_)]));
}

#[test]
fn funding_intervals_are_those_that_the_venue_lists() {
    let body = r#"[{"symbol":"BLZUSDT","adjustedFundingRateCap":"0.02500000","adjustedFundingRateFloor":"-0.02500000","fundingIntervalHours":4,"disclaimer":false}]"#;
    let records = polled("usdm", "funding_rate", 1, "BLZUSDT", body).unwrap();
    let [RecordRef::FundingRate(record)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((record.interval_ns, record.rate), (4 * 3_600_000_000_000, ABSENT));
    assert!(polled("usdm", "funding_rate", 1, "BTCUSDT", body).unwrap().is_empty());
}

#[test]
fn long_short_ratios() {
    let body = r#"[{"symbol":"BTCUSDT","longShortRatio":"0.1960","longAccount":"0.6622","shortAccount":"0.3378","timestamp":"1583139600000"}]"#;
    for (index, basis) in
        [RatioBasis::TopPosition, RatioBasis::TopAccount, RatioBasis::GlobalAccount].into_iter().enumerate()
    {
        let records = polled("usdm", "long_short_ratio", index, "BTCUSDT", body).unwrap();
        let [RecordRef::LongShortRatio(record)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!((record.basis, text_of(&record.period)), (basis as u8, "5m"));
        assert_eq!(text(record.ratio, record.ratio_exponent), "0.1960");
        assert_eq!(text(record.short_share, record.share_exponent), "0.3378");
        assert_eq!(record.header.exchange_ns, 1_583_139_600_000_000_000);
    }
    let body = r#"[{"pair":"BTCUSD","longShortRatio":"0.7869","longPosition":"0.6442","shortPosition":"0.4079","timestamp":1592870400000}]"#;
    let records = polled("coinm", "long_short_ratio", 0, "BTCUSD_PERP", body).unwrap();
    let [RecordRef::LongShortRatio(record)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(text(record.long_share, record.share_exponent), "0.6442");
    assert!(polled("usdm", "long_short_ratio", 0, "BTCUSDT", "[]").unwrap().is_empty());
}

fn futures_entry(symbol: &str, base: &str, contract: &str, delivery: u64) -> String {
    format!(
        r#"{{"symbol":"{symbol}","pair":"{base}USDT","contractType":"{contract}","deliveryDate":{delivery},"status":"TRADING","baseAsset":"{base}","quoteAsset":"USDT","marginAsset":"USDT","filters":[{{"minPrice":"556.72","maxPrice":"1000000","filterType":"PRICE_FILTER","tickSize":"0.10"}},{{"stepSize":"0.001","filterType":"LOT_SIZE","maxQty":"1000","minQty":"0.001"}}]}}"#
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
    assert_eq!(future.status, "TRADING");
    let body = r#"{"symbols":[{"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC","filters":[{"filterType":"PRICE_FILTER","minPrice":"0.00001000","maxPrice":"922327.00000000","tickSize":"0.00001000"},{"filterType":"LOT_SIZE","minQty":"0.00010000","maxQty":"100000.00000000","stepSize":"0.00010000"}]}]}"#;
    let (instruments, _) = Binance.parse_instruments(market("spot"), body.as_bytes()).unwrap();
    assert_eq!(
        (instruments[0].symbol.as_str(), instruments[0].instrument_type),
        ("ETH-BTC", InstrumentType::Spot)
    );
    assert_eq!(instruments[0].tick.unwrap().to_string(), "0.00001");
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
        let traded = instruments.iter().filter(|i| i.status == "TRADING");
        assert!(traded.clone().all(|i| i.tick.is_some() && i.lot.is_some()));
        eprintln!("{name}: {} instruments", instruments.len());
    }
}

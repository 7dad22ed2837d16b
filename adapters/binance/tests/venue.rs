//! Streams and requests.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_binance::Binance;
use marketprism_core::Kind;
use marketprism_core::instrument::{Instrument, InstrumentType};
use marketprism_core::venue::{Stream, Venue};
use proptest::prelude::*;

fn streams(market_name: &str, channel: &str, symbol: &str) -> Result<Vec<Stream>, String> {
    let instrument = Instrument::unknown("binance", market_name, symbol);
    Binance.streams(market(market_name), channel, &instrument)
}

/// The one stream of a channel.
fn stream(market_name: &str, channel: &str, symbol: &str) -> Stream {
    let [stream] = <[Stream; 1]>::try_from(streams(market_name, channel, symbol).unwrap()).unwrap();
    stream
}

#[test]
fn channels_have_their_streams() {
    for (market, channel, name, route, kinds) in [
        ("spot", "trade", "btcusdt@trade", "", &[Kind::Trade][..]),
        ("spot", "book", "btcusdt@depth@100ms", "", &[Kind::BookDelta]),
        ("spot", "book@fastest", "btcusdt@depth@100ms", "", &[Kind::BookDelta]),
        ("spot", "book@1000ms", "btcusdt@depth", "", &[Kind::BookDelta]),
        ("spot", "book5", "btcusdt@depth5@100ms", "", &[Kind::BookSnapshot]),
        ("spot", "book20@1000ms", "btcusdt@depth20", "", &[Kind::BookSnapshot]),
        ("spot", "candle@1s", "btcusdt@kline_1s", "", &[Kind::Candle]),
        ("usdm", "trade", "btcusdt@trade", "/public", &[Kind::Trade]),
        ("usdm", "agg_trade", "btcusdt@aggTrade", "/market", &[Kind::AggTrade]),
        ("usdm", "book@100ms", "btcusdt@depth@100ms", "/public", &[Kind::BookDelta]),
        ("usdm", "book@fastest", "btcusdt@depth@0ms", "/public", &[Kind::BookDelta]),
        ("usdm", "book@250ms", "btcusdt@depth", "/public", &[Kind::BookDelta]),
        ("usdm", "book10", "btcusdt@depth10@100ms", "/public", &[Kind::BookSnapshot]),
        ("usdm", "book10@fastest", "btcusdt@depth10@100ms", "/public", &[Kind::BookSnapshot]),
        ("usdm", "book20@500ms", "btcusdt@depth20@500ms", "/public", &[Kind::BookSnapshot]),
        ("usdm", "quote", "btcusdt@bookTicker", "/public", &[Kind::Quote]),
        ("usdm", "ticker", "btcusdt@ticker", "/market", &[Kind::Ticker]),
        ("usdm", "mark_price", "btcusdt@markPrice@1s", "/market", &[Kind::MarkPrice, Kind::FundingRate]),
        ("usdm", "liquidation", "btcusdt@forceOrder", "/market", &[Kind::Liquidation]),
        ("usdm", "candle", "btcusdt@kline_1m", "/market", &[Kind::Candle]),
        ("coinm", "candle@1M", "btcusdt@kline_1M", "", &[Kind::Candle]),
        ("coinm", "book@500ms", "btcusdt@depth@500ms", "", &[Kind::BookDelta]),
        ("coinm", "book5@250ms", "btcusdt@depth5", "", &[Kind::BookSnapshot]),
    ] {
        let expected = Stream { name: name.to_owned(), route, instrument: 0, kinds };
        assert_eq!(stream(market, channel, "BTCUSDT"), expected, "{market} {channel}");
    }
    assert_eq!(stream("spot", "trade", "币安USDT").name, "币安usdt@trade");
    for channel in ["open_interest", "long_short_ratio", "funding_rate", "clock"] {
        assert_eq!(streams("usdm", channel, "BTCUSDT"), Ok(vec![]));
    }
}

#[test]
fn only_the_whole_book_carries_the_book() {
    let carries_book = |channel| stream("spot", channel, "BTCUSDT").carries_book();
    assert!(carries_book("book"));
    assert!(!["book5", "book10", "book20", "quote"].into_iter().any(carries_book));
}

#[test]
fn contracts_that_are_delivered_have_marks_without_funding() {
    let mut future = Instrument::unknown("binance", "coinm", "BTCUSD_260925");
    future.instrument_type = InstrumentType::Future;
    let streams = Binance.streams(market("coinm"), "mark_price", &future).unwrap();
    assert_eq!(streams[0].kinds, [Kind::MarkPrice]);
    assert!(Binance.polls(market("coinm"), "funding_rate", &future).is_empty());
}

#[test]
fn what_is_not_traded_has_no_streams() {
    for instrument_type in [InstrumentType::Market, InstrumentType::Index] {
        for market in Binance.markets() {
            let instrument = Instrument { instrument_type, ..Instrument::market("binance", market.name) };
            for channel in market.channels {
                assert_eq!(Binance.streams(market, channel, &instrument), Ok(vec![]), "{channel}");
            }
        }
    }
}

#[test]
fn futures_tell_of_changed_contracts() {
    assert_eq!(Binance.lifecycle_streams(market("spot"), 4), []);
    for (name, route) in [("usdm", "/market"), ("coinm", "")] {
        let [stream] = &Binance.lifecycle_streams(market(name), 4)[..] else { panic!("{name}") };
        assert_eq!((stream.name.as_str(), stream.route, stream.instrument), ("!contractInfo", route, 4));
    }
}

#[test]
fn wrong_channels_are_explained() {
    let error = streams("spot", "mark_price", "BTCUSDT").unwrap_err();
    assert!(error.contains("mark_price") && error.contains("trade, agg_trade, book"), "{error}");
    for (market, channel) in [
        ("spot", "book@250ms"),
        ("usdm", "book@1000ms"),
        ("usdm", "book5@1000ms"),
        ("spot", "book7"),
        ("usdm", "candle@1s"),
        ("spot", "candle@7m"),
        ("spot", "trade@x"),
        ("spot", "open_interest"),
        ("usdm", ""),
    ] {
        assert!(streams(market, channel, "BTCUSDT").is_err(), "{market} {channel}");
    }
    for market in Binance.markets() {
        for channel in market.channels {
            assert!(streams(market.name, channel, "BTCUSDT").is_ok(), "{channel}");
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
    assert_eq!(
        Binance.unsubscribe(8, &["btcusdt@trade", "btcusdt@depth"]),
        r#"{"method":"UNSUBSCRIBE","params":["btcusdt@trade","btcusdt@depth"],"id":8}"#
    );
    let [request] = &Binance.instruments_requests(market("coinm"))[..] else { panic!() };
    assert_eq!((request.path.as_str(), request.weight), ("/dapi/v1/exchangeInfo", 1));
}

fn snapshot(market_name: &str, books: usize) -> (String, u32) {
    let instrument = Instrument::unknown("binance", market_name, "ÜUSDT");
    let request = Binance.snapshot_request(market(market_name), &instrument, books).unwrap();
    (request.path, request.weight)
}

#[test]
fn books_are_asked_for_as_deep_as_their_number_allows() {
    for (market, books, limit, weight) in [
        ("spot", 0, 5000, 250),
        ("spot", 120, 5000, 250),
        ("spot", 121, 1000, 50),
        ("spot", 600, 1000, 50),
        ("spot", 601, 500, 25),
        ("spot", 1200, 500, 25),
        ("spot", 1201, 100, 5),
        ("spot", usize::MAX, 100, 5),
        ("usdm", 1, 1000, 20),
        ("usdm", 600, 1000, 20),
        ("usdm", 601, 500, 10),
        ("coinm", 1201, 100, 5),
    ] {
        let (path, asked_weight) = snapshot(market, books);
        assert!(path.ends_with(&format!("/depth?symbol=%C3%9CUSDT&limit={limit}")), "{path}");
        assert_eq!(asked_weight, weight, "{market} {books}");
    }
    assert!(snapshot("spot", 1).0.starts_with("/api/v3/"));
}

proptest! {
    #[test]
    fn books_start_within_five_minutes_or_are_the_shallowest(index in 0usize..3, books in 0usize..20_000) {
        let market = &Binance.markets()[index];
        let (path, weight) = snapshot(market.name, books);
        let five_minutes = 5 * market.rest_weight.most as usize;
        prop_assert!(weight as usize * books <= five_minutes || path.ends_with("&limit=100"));
        let (_, lighter) = snapshot(market.name, books + 1);
        prop_assert!(lighter <= weight);
    }
}

//! Streams, requests and REST answers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_core::instrument::{Instrument, InstrumentType};
use marketprism_core::record::{ABSENT, RatioBasis, RecordBuffer, flag};
use marketprism_core::venue::{Continuity, DecodeError, Poll, Stream, Venue};
use marketprism_core::{Kind, RecordRef};
use marketprism_okx::Okx;

fn instrument(market: &str, symbol: &str, instrument_type: InstrumentType) -> Instrument {
    Instrument { id: 3, instrument_type, ..Instrument::unknown("okx", market, symbol) }
}

/// An instrument as each market has it.
fn traded(name: &str) -> Instrument {
    match name {
        "spot" => instrument(name, "BTC-USDT", InstrumentType::Spot),
        "swap" => instrument(name, "BTC-USDT-SWAP", InstrumentType::Perpetual),
        "futures" => instrument(name, "BTC-USDT-250808", InstrumentType::Future),
        _ => instrument(name, "BTC-USD-221230-4000-C", InstrumentType::Option),
    }
}

fn streams(name: &str, channel: &str, instrument: &Instrument) -> Vec<Stream> {
    Okx.streams(market(name), channel, instrument).unwrap()
}

#[test]
fn channels_become_streams() {
    for (name, channel, stream, business, kinds) in [
        ("spot", "trade", "trades:BTC-USDT", false, &[Kind::Trade][..]),
        ("spot", "trade@all", "trades-all:BTC-USDT", true, &[Kind::Trade]),
        ("spot", "book", "books:BTC-USDT", false, &[Kind::BookDelta, Kind::BookSnapshot]),
        ("swap", "book@l2-tbt", "books-l2-tbt:BTC-USDT-SWAP", false, &[Kind::BookDelta, Kind::BookSnapshot]),
        (
            "swap",
            "book@50-l2-tbt",
            "books50-l2-tbt:BTC-USDT-SWAP",
            false,
            &[Kind::BookDelta, Kind::BookSnapshot],
        ),
        ("spot", "book5", "books5:BTC-USDT", false, &[Kind::BookSnapshot]),
        ("spot", "quote", "bbo-tbt:BTC-USDT", false, &[Kind::Quote]),
        ("option", "ticker", "tickers:BTC-USD-221230-4000-C", false, &[Kind::Ticker]),
        ("spot", "candle", "candle1m:BTC-USDT", true, &[Kind::Candle]),
        ("futures", "candle@1Mutc", "candle1Mutc:BTC-USDT-250808", true, &[Kind::Candle]),
        ("futures", "mark_price", "mark-price:BTC-USDT-250808", false, &[Kind::MarkPrice]),
        ("swap", "funding_rate", "funding-rate:BTC-USDT-SWAP", false, &[Kind::FundingRate]),
        ("option", "open_interest", "open-interest:BTC-USD-221230-4000-C", false, &[Kind::OpenInterest]),
        ("swap", "liquidation", "liquidation-orders:SWAP", false, &[Kind::Liquidation]),
        ("futures", "liquidation", "liquidation-orders:FUTURES", false, &[Kind::Liquidation]),
        ("option", "greeks", "opt-summary:BTC-USD", false, &[Kind::Greeks]),
    ] {
        let route = if business { "/ws/v5/business" } else { "/ws/v5/public" };
        let expected = Stream { name: stream.to_owned(), route, instrument: 3, kinds };
        assert_eq!(streams(name, channel, &traded(name)), [expected], "{channel}");
        assert_eq!(Okx.websocket_path(market(name), route), route);
    }
}

#[test]
fn only_whole_books_carry_a_book() {
    let carries = |channel| streams("spot", channel, &traded("spot"))[0].carries_book();
    assert!(carries("book"));
    assert!(!carries("book5") && !carries("quote"));
}

#[test]
fn funding_of_futures_exists_for_perpetual_style_ones_only() {
    assert!(streams("futures", "funding_rate", &traded("futures")).is_empty());
    let perpetual = instrument("futures", "BTC-USD_UM_XPERP-310404", InstrumentType::Future);
    assert_eq!(
        streams("futures", "funding_rate", &perpetual)[0].name,
        "funding-rate:BTC-USD_UM_XPERP-310404"
    );
}

#[test]
fn an_index_has_an_index_price_and_nothing_else() {
    for name in ["swap", "futures", "option"] {
        let index = instrument(name, "BTC-USD", InstrumentType::Index);
        for channel in market(name).channels {
            let found = streams(name, channel, &index);
            let expected = if *channel == "index" { vec!["index-tickers:BTC-USD"] } else { vec![] };
            assert_eq!(found.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), expected, "{channel}");
            assert!(Okx.polls(market(name), channel, &index).is_empty(), "{channel}");
        }
        assert!(streams(name, "index", &traded(name)).is_empty());
    }
}

#[test]
fn a_market_has_no_stream_but_that_of_its_instruments() {
    for market in Okx.markets() {
        let whole = Instrument { id: 3, ..Instrument::market("okx", market.name) };
        for channel in market.channels {
            assert_eq!(Okx.streams(market, channel, &whole), Ok(vec![]), "{channel}");
        }
        let [stream] = &Okx.lifecycle_streams(market, 3)[..] else { panic!() };
        assert_eq!((stream.instrument, stream.kinds), (3, &[Kind::Instrument][..]));
        assert_eq!(stream.name, format!("instruments:{}", market.name.to_uppercase()));
    }
}

#[test]
fn wrong_channels_and_options_are_refused_with_the_right_ones() {
    for (name, channel, part) in [
        ("spot", "mark_price", "trade, book, book5, quote, ticker, candle, clock"),
        ("spot", "depth", "trade, book"),
        ("swap", "greeks", "funding_rate"),
        ("option", "long_short_ratio", "greeks"),
        ("spot", "trade@some", "all"),
        ("spot", "book@100ms", "l2-tbt and 50-l2-tbt"),
        ("spot", "candle@1h", "1H"),
        ("option", "candle@1s", "1m, 3m"),
        ("spot", "quote@fast", "has no options"),
        ("spot", "clock@60s", "has no options"),
    ] {
        let refused = Okx.streams(market(name), channel, &traded(name)).unwrap_err();
        assert!(refused.contains(part), "{refused}");
        let index = instrument(name, "BTC-USD", InstrumentType::Index);
        assert!(Okx.streams(market(name), channel, &index).is_err(), "{channel}");
    }
    for market in Okx.markets() {
        for channel in market.channels {
            assert!(Okx.streams(market, channel, &traded(market.name)).is_ok(), "{channel}");
        }
    }
}

#[test]
fn requests_are_those_of_the_venue() {
    assert_eq!(
        Okx.subscribe(7, &["books:BTC-USDT", "liquidation-orders:SWAP"]),
        r#"{"id":"7","op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"},{"channel":"liquidation-orders","instType":"SWAP"}]}"#
    );
    assert_eq!(
        Okx.unsubscribe(8, &["opt-summary:BTC-USD"]),
        r#"{"id":"8","op":"unsubscribe","args":[{"channel":"opt-summary","instFamily":"BTC-USD"}]}"#
    );
    let odd = Okx.subscribe(9, &["trades:A\"\\\nÜ"]);
    let read: serde_json::Value = serde_json::from_str(&odd).unwrap();
    assert_eq!(read["args"][0]["instId"], "A\"\\\nÜ");
}

#[test]
fn the_largest_request_fits_the_venues_limit() {
    for market in Okx.markets() {
        let name = format!("funding-rate:{}", "X".repeat(100));
        let names = vec![name.as_str(); market.streams_per_request];
        assert!(Okx.subscribe(u64::MAX, &names).len() < 64 * 1024);
        assert_eq!(market.continuity, Continuity::Chained);
        assert_eq!(Okx.snapshot_request(market, &traded(market.name), 1), None);
    }
}

#[test]
fn instruments_are_asked_for_by_type_and_options_by_family() {
    let paths = |name| Okx.instruments_requests(market(name)).into_iter().map(|r| r.path).collect::<Vec<_>>();
    assert_eq!(paths("spot"), ["/api/v5/public/instruments?instType=SPOT"]);
    assert_eq!(paths("swap"), ["/api/v5/public/instruments?instType=SWAP"]);
    assert_eq!(
        paths("option"),
        [
            "/api/v5/public/instruments?instType=OPTION&instFamily=BTC-USD",
            "/api/v5/public/instruments?instType=OPTION&instFamily=ETH-USD"
        ]
    );
}

#[test]
fn snapshots() {
    let body = r#"{"code":"0","msg":"","data":[{"asks":[["41006.8","0.60038921","0","1"]],"bids":[["41006.3","0.30178218","2"],["41006","1","2"]],"ts":"1629966436396","seqId":3235851742}]}"#;
    let mut records = RecordBuffer::default();
    Okx.parse_snapshot(market("spot"), 5, body.as_bytes(), RECEIVE_NS, &mut records).unwrap();
    let [RecordRef::Book(book, levels)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
    let header = book.header;
    assert_eq!(header.kind, Kind::BookSnapshot as u8);
    assert_eq!(header.flags, flag::SNAPSHOT | flag::REST | flag::PARTIAL);
    assert_eq!((header.sequence, header.instrument, book.previous_id), (3_235_851_742, 5, ABSENT));
    assert_eq!(header.exchange_ns, 1_629_966_436_396_000_000);
    assert_eq!((book.bid_levels, book.ask_levels), (2, 1));
    assert_eq!(text(levels[1].price, header.price_exponent), "41006.0");
}

#[test]
fn errors_are_errors_whatever_the_status_of_http() {
    let busy = r#"{"code":"50011","msg":"Too Many Requests","data":[]}"#;
    let mut records = RecordBuffer::default();
    let book = Okx.parse_snapshot(market("spot"), 5, busy.as_bytes(), RECEIVE_NS, &mut records);
    let list = Okx.parse_instruments(market("spot"), busy.as_bytes()).map(|_| ());
    let poll = polled("swap", "long_short_ratio", &traded("swap"), busy).map(|_| ());
    for result in [book, list, poll] {
        let Err(DecodeError::Shape(reason)) = result else { panic!("{result:?}") };
        assert!(reason.contains("50011") && reason.contains("Too Many Requests"), "{reason}");
    }
    assert!(records.is_empty());
    assert!(matches!(
        polled("swap", "long_short_ratio", &traded("swap"), "<html>"),
        Err(DecodeError::Json(_))
    ));
    let nothing = r#"{"code":"0","msg":"","data":[]}"#;
    let empty = Okx.parse_snapshot(market("spot"), 5, nothing.as_bytes(), RECEIVE_NS, &mut records);
    assert!(matches!(empty, Err(DecodeError::Shape(_))));
}

/// The records of an answer to the first poll of a channel.
fn polled(
    name: &str,
    channel: &str,
    instrument: &Instrument,
    body: &str,
) -> Result<RecordBuffer, DecodeError> {
    let polls: Vec<Poll> = Okx.polls(market(name), channel, instrument);
    let mut records = RecordBuffer::default();
    let times = (RECEIVE_NS - 1_000, RECEIVE_NS);
    let result = Okx.parse_poll(market(name), &polls[0], body.as_bytes(), times, &mut records);
    if result.is_err() {
        assert!(records.is_empty());
    }
    result.map(|()| records)
}

#[test]
fn the_clock_is_polled_once_for_a_market() {
    let whole = Instrument { id: 4, ..Instrument::market("okx", "spot") };
    let [poll] = &Okx.polls(market("spot"), "clock", &whole)[..] else { panic!() };
    assert_eq!((poll.request.path.as_str(), poll.interval.as_secs()), ("/api/v5/public/time", 60));
    assert!(Okx.polls(market("spot"), "clock", &traded("spot")).is_empty());
    let body = r#"{"code":"0","msg":"","data":[{"ts":"1597026383085"}]}"#;
    let sample = only!(polled("spot", "clock", &whole, body).unwrap(), ClockSample);
    assert_eq!((sample.header.flags, sample.header.instrument), (flag::REST, 4));
    assert_eq!(sample.header.exchange_ns, 1_597_026_383_085_000_000);
    assert_eq!((sample.request_ns, sample.header.receive_ns), (RECEIVE_NS - 1_000, RECEIVE_NS));
    assert_eq!(sample.resolution_ns, 1_000_000);
    assert!(polled("spot", "clock", &whole, r#"{"code":"0","msg":"","data":[{}]}"#).is_err());
}

#[test]
fn long_short_ratios_are_polled_for_three_groups_of_traders() {
    let polls = Okx.polls(market("futures"), "long_short_ratio", &traded("futures"));
    let bodies = r#"{"code":"0","msg":"","data":[["1701417600000","1.1739"],["1701417300000","9"]]}"#;
    for (poll, (method, basis)) in polls.iter().zip([
        ("long-short-account-ratio-contract", RatioBasis::GlobalAccount),
        ("long-short-account-ratio-contract-top-trader", RatioBasis::TopAccount),
        ("long-short-position-ratio-contract-top-trader", RatioBasis::TopPosition),
    ]) {
        let path = format!("/api/v5/rubik/stat/contracts/{method}?instId=BTC-USDT-250808&period=5m&limit=1");
        assert_eq!((poll.request.path.as_str(), poll.request.weight), (path.as_str(), 4));
        let mut records = RecordBuffer::default();
        Okx.parse_poll(market("futures"), poll, bodies.as_bytes(), (1, RECEIVE_NS), &mut records).unwrap();
        let record = only!(records, LongShortRatio);
        assert_eq!(
            (record.basis, record.header.flags, record.header.instrument),
            (basis as u8, flag::REST, 3)
        );
        assert_eq!(text(record.ratio, record.ratio_exponent), "1.1739", "the newest");
        assert_eq!(record.header.exchange_ns, 1_701_417_600_000_000_000);
    }
    let none = r#"{"code":"0","msg":"","data":[]}"#;
    assert!(polled("swap", "long_short_ratio", &traded("swap"), none).unwrap().is_empty());
    for row in ["[]", r#"["1701417600000"]"#, r#"["1701417600000",""]"#, r#"["1701417600000","-1"]"#, "7"] {
        let body = format!(r#"{{"code":"0","msg":"","data":[{row}]}}"#);
        assert!(polled("swap", "long_short_ratio", &traded("swap"), &body).is_err(), "{row}");
    }
}

#[test]
fn polls_of_odd_symbols_are_escaped() {
    let odd = instrument("swap", "Ü&B-USDT-SWAP", InstrumentType::Perpetual);
    let polls = Okx.polls(market("swap"), "long_short_ratio", &odd);
    assert!(polls[0].request.path.contains("instId=%C3%9C%26B-USDT-SWAP&"), "{}", polls[0].request.path);
}

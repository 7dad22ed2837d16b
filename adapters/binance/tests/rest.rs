//! REST answers: books and polls.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_binance::Binance;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::Instrument;
use marketprism_core::record::{ABSENT, FundingRate, RatioBasis, RecordBuffer, flag, text_of};
use marketprism_core::venue::{DecodeError, Poll, Venue};
use marketprism_core::{Kind, RecordRef};

/// A funding rate whose times, rate and interest rate all differ from each other and from our clock.
const PREMIUM_INDEX: &str = r#"{"symbol":"BTCUSDT","markPrice":"11793.63104562","indexPrice":"11781.80495970","estimatedSettlePrice":"11781.16138815","lastFundingRate":"0.00038246","interestRate":"0.00010000","nextFundingTime":1597392000000,"time":1597370495002}"#;

/// When polls of these tests were sent.
const REQUEST_NS: i64 = RECEIVE_NS - 70_000_000;

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

/// The polls of a channel for an instrument with id 9; `symbol` is empty for the market as a whole.
fn polls(name: &str, channel: &str, symbol: &str) -> Vec<Poll> {
    let mut instrument = match symbol {
        "" => Instrument::market("binance", name),
        _ => Instrument::unknown("binance", name, symbol),
    };
    instrument.underlying = symbol.split('_').next().unwrap().to_owned();
    instrument.id = 9;
    Binance.polls(market(name), channel, &instrument)
}

/// The records of an answer to one of the polls of a channel.
fn polled(
    name: &str,
    channel: &str,
    index: usize,
    symbol: &str,
    body: &str,
) -> Result<RecordBuffer, DecodeError> {
    let polls = polls(name, channel, symbol);
    let mut records = RecordBuffer::default();
    let result = Binance.parse_poll(
        market(name),
        &polls[index],
        body.as_bytes(),
        (REQUEST_NS, RECEIVE_NS),
        &mut records,
    );
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
        polls(name, channel, symbol).into_iter().map(|poll| poll.request.path).collect()
    };
    assert_eq!(paths("usdm", "open_interest", "BTCUSDT"), ["/fapi/v1/openInterest?symbol=BTCUSDT"]);
    let ratios = paths("coinm", "long_short_ratio", "BTCUSD_PERP");
    assert_eq!(ratios[0], "/futures/data/topLongShortPositionRatio?pair=BTCUSD&period=5m&limit=1");
    assert_eq!(ratios.len(), 3);
    assert!(paths("spot", "open_interest", "BTCUSDT").is_empty());
    assert!(paths("usdm", "trade", "BTCUSDT").is_empty());
    for (market, path) in [("spot", "/api/v3/time"), ("usdm", "/fapi/v1/time"), ("coinm", "/dapi/v1/time")] {
        assert_eq!(paths(market, "clock", ""), [path]);
        assert!(paths(market, "clock", "BTCUSDT").is_empty(), "the clock is the market's");
    }
    for channel in market("usdm").channels.iter().filter(|channel| **channel != "clock") {
        assert!(paths("usdm", channel, "").is_empty(), "{channel}");
    }
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
    let other = PREMIUM_INDEX.replace("BTCUSDT", "ETHUSDT");
    for body in [PREMIUM_INDEX.to_owned(), format!("[{other}, {PREMIUM_INDEX}]")] {
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

#[test]
fn clock_samples_hold_the_venues_time_between_two_of_ours() {
    for market in ["spot", "usdm", "coinm"] {
        let records = polled(market, "clock", 0, "", r#"{"serverTime":1499827319559}"#).unwrap();
        let [RecordRef::ClockSample(sample)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!(sample.header.exchange_ns, 1_499_827_319_559_000_000);
        assert_eq!((sample.request_ns, sample.header.receive_ns), (REQUEST_NS, RECEIVE_NS));
        assert_eq!(sample.resolution_ns, 1_000_000);
        for body in ["{}", "[]", r#"{"serverTime":"soon"}"#, r#"{"code":-1003,"msg":"Too many requests"}"#] {
            assert!(polled(market, "clock", 0, "", body).is_err(), "{body}");
        }
    }
}

fn polled_funding() -> FundingRate {
    let records = polled("usdm", "funding_rate", 0, "BTCUSDT", PREMIUM_INDEX).unwrap();
    let [_, RecordRef::FundingRate(rate)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
    *rate
}

#[test]
fn binance_funding_event_time_is_not_replaced_by_the_local_time() {
    let header = polled_funding().header;
    assert_eq!((header.exchange_ns, header.receive_ns), (1_597_370_495_002_000_000, RECEIVE_NS));
    let untimed = PREMIUM_INDEX.replace(r#","time":1597370495002"#, "");
    for record in polled("usdm", "funding_rate", 0, "BTCUSDT", &untimed).unwrap().iter() {
        assert_eq!(record.header().exchange_ns, TIME_MISSING);
    }
}

#[test]
fn binance_next_funding_time_is_not_overwritten() {
    assert_eq!(polled_funding().next_funding_ns, 1_597_392_000_000_000_000);
}

#[test]
fn binance_interest_rate_is_not_stored_as_the_estimated_rate() {
    let funding = polled_funding();
    assert_eq!(text(funding.rate, funding.rate_exponent), "0.00038246");
    assert_eq!(text(funding.interest_rate, funding.interest_exponent), "0.00010000");
    assert_eq!((funding.premium, funding.realised_rate), (ABSENT, ABSENT));
}

#[test]
fn binance_funding_interval_is_never_assumed() {
    assert_eq!(polled_funding().interval_ns, ABSENT);
}

#[test]
fn binance_top_position_ratio_is_asked_of_the_position_endpoint() {
    let body = r#"[{"symbol":"BTCUSDT","longShortRatio":"1.8105","longAccount":"0.6442","shortAccount":"0.3558","timestamp":1583139600000}]"#;
    let polls = polls("usdm", "long_short_ratio", "BTCUSDT");
    for (index, (method, basis)) in [
        ("topLongShortPositionRatio", RatioBasis::TopPosition),
        ("topLongShortAccountRatio", RatioBasis::TopAccount),
        ("globalLongShortAccountRatio", RatioBasis::GlobalAccount),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(polls[index].request.path.starts_with(&format!("/futures/data/{method}?")));
        let records = polled("usdm", "long_short_ratio", index, "BTCUSDT", body).unwrap();
        let [RecordRef::LongShortRatio(ratio)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!(ratio.basis, basis as u8, "{method}");
    }
}

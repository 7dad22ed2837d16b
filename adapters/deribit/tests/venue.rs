//! Streams, sessions and REST answers.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::*;
use marketprism_core::clock::NS_PER_MS;
use marketprism_core::instrument::{Instrument, InstrumentType};
use marketprism_core::record::{RecordBuffer, flag};
use marketprism_core::venue::{DecodeError, Market, Poll, Request, Stream, Venue};
use marketprism_core::{Kind, RecordRef};
use marketprism_deribit::{Credentials, Deribit};

fn public() -> Deribit {
    Deribit::new(None)
}

fn authenticated() -> Deribit {
    Deribit::new(Some(Credentials::new("the-id", "the \"secret\"")))
}

fn market(name: &str) -> &'static Market {
    public().market(name).unwrap()
}

fn instrument(market: &str, symbol: &str, instrument_type: InstrumentType) -> Instrument {
    Instrument { id: 5, instrument_type, ..Instrument::unknown("deribit", market, symbol) }
}

fn streams(venue: &Deribit, market_name: &str, channel: &str) -> Result<Vec<Stream>, String> {
    let instrument = instrument(market_name, "X", InstrumentType::Future);
    venue.streams(market(market_name), channel, &instrument)
}

const TICKER: [Kind; 3] = [Kind::Ticker, Kind::MarkPrice, Kind::OpenInterest];

#[test]
fn channels_have_their_streams() {
    let book = &[Kind::BookDelta, Kind::BookSnapshot][..];
    let trades = &[Kind::DetailedTrade, Kind::Liquidation][..];
    let perpetual = [&TICKER[..], &[Kind::FundingRate]].concat();
    let option = [&TICKER[..], &[Kind::Greeks]].concat();
    for (market, channel, name, kinds) in [
        ("spot", "book", "book.X.100ms", book),
        ("spot", "book@agg2", "book.X.agg2", book),
        ("perpetual", "book@raw", "book.X.raw", book),
        ("perpetual", "book20", "book.X.none.20.100ms", &[Kind::BookSnapshot]),
        ("perpetual", "book1@agg2", "book.X.none.1.agg2", &[Kind::BookSnapshot]),
        ("combo", "trade", "trades.X.100ms", trades),
        ("future", "liquidation", "trades.X.100ms", trades),
        ("future", "quote", "quote.X", &[Kind::Quote]),
        ("spot", "ticker", "ticker.X.100ms", &[Kind::Ticker]),
        ("combo", "ticker@agg2", "ticker.X.agg2", &[Kind::Ticker]),
        ("future", "mark_price", "ticker.X.100ms", &TICKER),
        ("perpetual", "ticker", "ticker.X.100ms", &perpetual),
        ("perpetual", "funding_rate", "ticker.X.100ms", &perpetual),
        ("perpetual", "open_interest@raw", "ticker.X.raw", &perpetual),
        ("option", "greeks", "ticker.X.100ms", &option),
        ("option", "candle", "chart.trades.X.1", &[Kind::Candle]),
        ("option", "candle@1D", "chart.trades.X.1D", &[Kind::Candle]),
    ] {
        let expected = Stream { name: name.to_owned(), route: "", instrument: 5, kinds: &[] };
        let found = streams(&public(), market, channel).unwrap();
        assert_eq!(found.len(), 1, "{market} {channel}");
        assert_eq!(found[0].kinds, kinds, "{market} {channel}");
        assert_eq!(Stream { kinds: &[], ..found[0].clone() }, expected);
    }
}

#[test]
fn with_credentials_every_change_is_asked_for() {
    for (channel, name) in [
        ("book", "book.X.raw"),
        ("trade", "trades.X.raw"),
        ("greeks", "ticker.X.raw"),
        ("book@100ms", "book.X.100ms"),
        ("book20", "book.X.none.20.100ms"),
        ("quote", "quote.X"),
    ] {
        assert_eq!(streams(&authenticated(), "option", channel).unwrap()[0].name, name);
    }
}

#[test]
fn indexes_and_the_market_have_streams_of_their_own() {
    let names = |symbol: &str, instrument_type| {
        let instrument = instrument("option", symbol, instrument_type);
        let market = market("option");
        let streams = market
            .channels
            .iter()
            .flat_map(|channel| public().streams(market, channel, &instrument).unwrap());
        streams.map(|stream| (stream.name, stream.kinds)).collect::<Vec<_>>()
    };
    let index = ("deribit_price_index.btc_usd".to_owned(), &[Kind::MarkPrice][..]);
    let volatility = ("deribit_volatility_index.btc_usd".to_owned(), &[Kind::VolatilityIndex][..]);
    assert_eq!(names("btc_usd", InstrumentType::Index), [index, volatility]);
    let other = ("deribit_price_index.sol_usdc".to_owned(), &[Kind::MarkPrice][..]);
    assert_eq!(names("sol_usdc", InstrumentType::Index), [other]);
    assert_eq!(names("", InstrumentType::Market), []);
    let own = names("BTC-30SEP22-60000-C", InstrumentType::Option);
    assert!(own.iter().all(|(name, _)| name.contains("BTC-30SEP22-60000-C")), "{own:?}");
}

#[test]
fn wrong_channels_are_explained() {
    let error = streams(&public(), "spot", "greeks").unwrap_err();
    assert!(error.contains("deribit/spot") && error.contains("trade, book, book20"), "{error}");
    for (market, channel, part) in [
        ("spot", "book@10ms", "raw, 100ms, agg2"),
        ("perpetual", "book20@raw", "100ms, agg2"),
        ("option", "candle@7", "1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1D"),
        ("option", "quote@raw", "no options"),
        ("option", "clock@1s", "no options"),
        ("perpetual", "greeks", "funding_rate"),
        ("option", "funding_rate", "greeks"),
        ("option", "", "its channels are"),
    ] {
        let error = streams(&public(), market, channel).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn instruments_that_change_are_told_of_on_one_stream() {
    let streams = public().lifecycle_streams(market("option"), 9);
    let expected = Stream {
        name: "instrument.state.any.any".to_owned(),
        route: "",
        instrument: 9,
        kinds: &[Kind::Instrument],
    };
    assert_eq!(streams, [expected]);
}

#[test]
fn requests_are_those_of_the_venue() {
    assert_eq!(
        public().subscribe(42, &["book.BTC-PERPETUAL.100ms", "quote.\"ü"]),
        r#"{"jsonrpc":"2.0","id":42,"method":"public/subscribe","params":{"channels":["book.BTC-PERPETUAL.100ms","quote.\"ü"]}}"#
    );
    assert_eq!(
        public().unsubscribe(43, &["quote.X"]),
        r#"{"jsonrpc":"2.0","id":43,"method":"public/unsubscribe","params":{"channels":["quote.X"]}}"#
    );
    assert_eq!(public().websocket_path(market("spot"), ""), "/ws/api/v2");
}

#[test]
fn a_full_request_fits_what_the_venue_takes() {
    let name = format!("ticker.{}.100ms", "BTC-ICOND-25DEC26-100000_110000_120000_130000");
    let names = vec![name.as_str(); market("combo").streams_per_request];
    assert!(public().subscribe(u64::MAX, &names).len() < 32_000);
}

#[test]
fn a_connection_opens_with_heartbeats_and_where_there_are_credentials_with_them() {
    let heartbeat = |id| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"public/set_heartbeat","params":{{"interval":10}}}}"#)
    };
    let opening = |venue: Deribit| {
        venue.opening(market("spot"), 3).into_iter().map(|o| (o.purpose, o.text)).collect::<Vec<_>>()
    };
    assert_eq!(opening(public()), [("heartbeat", heartbeat(3))]);
    let authentication = r#"{"jsonrpc":"2.0","id":3,"method":"public/auth","params":{"grant_type":"client_credentials","client_id":"the-id","client_secret":"the \"secret\""}}"#;
    let expected = [("authentication", authentication.to_owned()), ("heartbeat", heartbeat(4))];
    assert_eq!(opening(authenticated()), expected);
}

#[test]
fn secrets_are_never_shown() {
    let credentials = Credentials::new("the-id", "the-secret");
    let shown = format!("{credentials:?} {:?} {:#?}", Deribit::new(Some(credentials.clone())), credentials);
    assert!(!shown.contains("the-secret") && !shown.contains("the-id"), "{shown}");
}

#[test]
fn raw_channels_fall_back_where_they_need_authentication() {
    let refusal = "13778 raw_subscriptions_not_available_for_unauthorized";
    let venue = public();
    assert_eq!(venue.fallback("book.X.raw", refusal).as_deref(), Some("book.X.100ms"));
    assert_eq!(venue.fallback("book.X.100ms", refusal), None);
    for reason in ["11051 system_maintenance", "13004 invalid_credentials", "13009 unauthorized", ""] {
        assert_eq!(venue.fallback("book.X.raw", reason), None, "{reason}");
    }
}

#[test]
fn only_clients_without_credentials_use_the_address_for_market_data() {
    let addresses = |venue: Deribit| venue.markets().iter().map(|m| m.websocket).collect::<Vec<_>>();
    let main = "wss://www.deribit.com";
    assert_eq!(addresses(public()), [&[main, "wss://streams.deribit.com"][..]; 5]);
    assert_eq!(addresses(authenticated()), [&[main][..]; 5]);
    let names: Vec<_> = public().markets().iter().map(|m| m.name).collect();
    assert_eq!(names, ["spot", "perpetual", "future", "option", "combo"]);
}

fn clock() -> Poll {
    let instrument = Instrument { id: 9, ..Instrument::market("deribit", "spot") };
    let [poll] = &public().polls(market("spot"), "clock", &instrument)[..] else { panic!() };
    poll.clone()
}

#[test]
fn the_clock_of_the_venue_is_polled_once_for_the_market() {
    let poll = clock();
    let request = Request { path: "/api/v2/public/get_time".to_owned(), weight: 1 };
    assert_eq!((&poll.request, poll.interval), (&request, Duration::from_secs(60)));
    let other = instrument("spot", "BTC_USDC", InstrumentType::Spot);
    for channel in market("spot").channels {
        assert_eq!(public().polls(market("spot"), channel, &other), []);
    }
    assert_eq!(streams(&public(), "spot", "clock"), Ok(vec![]));
}

#[test]
fn a_clock_sample_keeps_both_clocks() {
    let body = br#"{"jsonrpc":"2.0","result":1550147385946,"usIn":1550147385946712,"usOut":1550147385946725,"usDiff":13,"testnet":false}"#;
    let mut records = RecordBuffer::default();
    public().parse_poll(market("spot"), &clock(), body, (100, 200), &mut records).unwrap();
    let [RecordRef::ClockSample(sample)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(sample.header.exchange_ns, 1_550_147_385_946_000_000);
    assert_eq!((sample.request_ns, sample.header.receive_ns), (100, 200));
    assert_eq!(
        (sample.resolution_ns, sample.header.instrument, sample.header.flags),
        (NS_PER_MS, 9, flag::REST)
    );
}

/// Own body after the protocol notes.
const BOOK: &str = r#"{"jsonrpc":"2.0","result":{"timestamp":1654245922403,"stats":{"volume":335.62468116},"state":"open","change_id":45305026640,"bids":[[30718.5,2290.0],[30718.0,3000.0]],"asks":[[30723.0,3000.0]]},"usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#;

#[test]
fn a_book_that_was_asked_for_is_partial() {
    let any = instrument("future", "X", InstrumentType::Future);
    assert_eq!(public().snapshot_request(market("future"), &any, 1), None);
    let mut records = RecordBuffer::default();
    public().parse_snapshot(market("future"), 5, BOOK.as_bytes(), RECEIVE_NS, &mut records).unwrap();
    let [RecordRef::Book(book, levels)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(book.header.flags, flag::SNAPSHOT | flag::REST | flag::PARTIAL);
    assert_eq!((book.header.sequence, book.header.instrument), (45305026640, 5));
    assert_eq!(
        (book.bid_levels, book.ask_levels, book.header.exchange_ns),
        (2, 1, 1_654_245_922_403_000_000)
    );
    assert_eq!(text(levels[0].price, book.header.price_exponent), "30718.5");
}

#[test]
fn errors_in_the_place_of_answers_are_told() {
    let body = br#"{"jsonrpc":"2.0","error":{"code":11051,"message":"system_maintenance"},"testnet":false}"#;
    let expected = Err(DecodeError::Shape("the venue answered 11051 system_maintenance".to_owned()));
    let mut records = RecordBuffer::default();
    let venue = public();
    assert_eq!(venue.parse_snapshot(market("spot"), 5, body, 1, &mut records), expected);
    assert_eq!(venue.parse_poll(market("spot"), &clock(), body, (1, 2), &mut records), expected);
    assert_eq!(venue.parse_instruments(market("spot"), body).map(|_| ()), expected);
    let time = br#"{"jsonrpc":"2.0","result":"soon"}"#;
    assert!(venue.parse_poll(market("spot"), &clock(), time, (1, 2), &mut records).is_err());
    assert!(records.is_empty());
}

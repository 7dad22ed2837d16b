//! What is sent when, and what is answered meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bytemuck::Zeroable;
use marketprism_binance::Binance;
use marketprism_core::instrument::InstrumentType;
use marketprism_core::record::{
    ABSENT, Book, FundingRate, Header, Level, LongShortRatio, MarkPrice, OpenInterest, RatioBasis,
    RecordBuffer, Trade, fixed_text, flag,
};
use marketprism_core::venue::Venue;
use marketprism_core::{Instrument, Kind, RecordRef};

use super::super::{Beginning, History, HistoryEvent, HistoryRecord, HistorySender, Timeline};
use super::{Replay, Step};
use crate::config::Market;
use crate::instrument::Sink;
use crate::rest::Parameters;

/// Topics and payloads in the order in which they were sent.
#[derive(Default)]
struct Sent(Vec<(u32, String)>);

impl Sink for Sent {
    fn publish(&mut self, topic: u32, payload: &[u8], _: u64, _: u64) {
        self.0.push((topic, String::from_utf8_lossy(payload).into_owned()));
    }
}

fn instrument() -> Arc<Instrument> {
    Arc::new(Instrument { id: 3, ..Instrument::unknown("binance", "spot", "BTCUSDT") })
}

fn trade(id: u64, receive_ns: i64) -> HistoryRecord {
    let header = Header { sequence: id, ..Header::new(Kind::Trade, 3, receive_ns) };
    let trade = Trade { header, price: 5, quantity: 1, side: 1, ..Trade::zeroed() };
    HistoryRecord::new(instrument(), RecordRef::Trade(&trade))
}

/// A delta that sets one bid, or a snapshot with one bid.
fn book(kind: Kind, flags: u8, ids: (u64, u64), receive_ns: i64, bid: (i64, i64)) -> HistoryRecord {
    let header = Header { sequence: ids.1, flags, ..Header::new(kind, 3, receive_ns) };
    let book = Book { header, first_id: ids.0, previous_id: ABSENT, bid_levels: 1, ..Book::zeroed() };
    let level = Level { price: bid.0, quantity: bid.1 };
    HistoryRecord::new(instrument(), RecordRef::Book(&book, &[level]))
}

fn delta(first_id: u64, last_id: u64, receive_ns: i64, bid: (i64, i64)) -> HistoryRecord {
    book(Kind::BookDelta, 0, (first_id, last_id), receive_ns, bid)
}

fn snapshot(id: u64, receive_ns: i64, bid: (i64, i64)) -> HistoryRecord {
    book(Kind::BookSnapshot, flag::SNAPSHOT | flag::REST, (id, id), receive_ns, bid)
}

/// A replay of these records, and the reader's end.
fn replay(
    timeline: Timeline,
    before: &[HistoryRecord],
    records: Vec<HistoryRecord>,
) -> (Replay, HistorySender) {
    let (sender, history) = History::new(Arc::new(timeline));
    let first = HistoryEvent::Before(HistoryRecord::definition(instrument()));
    let before = before.iter().cloned().map(HistoryEvent::Before);
    let records = records.into_iter().map(HistoryEvent::Record);
    for event in [first].into_iter().chain(before).chain([HistoryEvent::Begin]).chain(records) {
        sender.send(event).expect("room");
    }
    history.timeline.set_first(0);
    (Replay::new(&history), sender)
}

fn flat() -> Timeline {
    Timeline::new(None, Beginning::Immediately)
}

/// The answer of a depth request: last id and bids.
fn depth(replay: &Replay) -> Option<(u64, String)> {
    let parameters = Parameters::parse("symbol=BTCUSDT&limit=100");
    let answer = replay.answer(Market::Spot, "depth", &parameters, 6000).ok()?;
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    Some((answer["lastUpdateId"].as_u64()?, answer["bids"].to_string()))
}

#[test]
fn frames_leave_in_the_order_of_receipt_to_those_who_subscribed() {
    let records = vec![trade(1, 10), delta(1, 1, 10, (4, 2)), trade(2, 20), trade(3, 30)];
    let (mut replay, sender) = replay(flat(), &[], records);
    drop(sender);
    replay.connect(Market::Spot, "btcusdt@trade", 8);
    replay.connect(Market::Spot, "btcusdt@depth@100ms", 9);
    let mut sent = Sent::default();
    while replay.step(&mut sent) == Step::Played {}
    assert!(replay.has_ended());
    assert_eq!(sent.0.iter().map(|(topic, _)| *topic).collect::<Vec<_>>(), [8, 9, 8, 8]);
    assert!(sent.0[2].1.contains("\"t\":2"), "{:?}", sent.0[2]);
    let counted: Vec<_> =
        replay.streams().into_iter().map(|one| (one.stream, one.records, one.frames)).collect();
    assert_eq!(counted, [("btcusdt@depth".to_owned(), 1, 1), ("btcusdt@trade".to_owned(), 3, 3)]);
}

#[test]
fn nothing_is_sent_before_it_is_due() {
    let timeline = Timeline::new(Some(1), Beginning::Immediately);
    let hour_ns = Duration::from_secs(3600).as_nanos() as i64;
    let (mut replay, sender) = replay(timeline, &[], vec![trade(1, 0), trade(2, hour_ns)]);
    drop(sender);
    replay.connect(Market::Spot, "btcusdt@trade", 1);
    let mut sent = Sent::default();
    assert_eq!((replay.step(&mut sent), replay.step(&mut sent)), (Step::Played, Step::Early));
    assert_eq!((sent.0.len(), replay.has_ended()), (1, false));
}

#[test]
fn nothing_is_sent_before_enough_streams_are_subscribed() {
    let (mut replay, sender) =
        replay(Timeline::new(None, Beginning::WhenSubscribed(2)), &[], vec![trade(1, 0)]);
    drop(sender);
    let mut sent = Sent::default();
    replay.connect(Market::Spot, "btcusdt@trade", 1);
    replay.connect(Market::Spot, "btcusdt@trade", 1);
    assert_eq!(replay.step(&mut sent), Step::Early, "one stream, twice");
    assert!(!replay.serves(Market::Spot, "ethusdt@trade"), "no such symbol");
    replay.connect(Market::Spot, "btcusdt@bookTicker", 2);
    assert_eq!(replay.step(&mut sent), Step::Played);
}

#[test]
fn a_book_stands_on_the_snapshot_that_came_behind_its_deltas() {
    let records = vec![
        delta(1, 10, 1, (7, 1)),
        delta(11, 12, 2, (8, 2)),
        snapshot(10, 3, (7, 1)),
        delta(13, 13, 4, (9, 3)),
        // Id 14 is missing: the book is not known until the next snapshot.
        delta(15, 15, 5, (9, 4)),
        snapshot(16, 6, (1, 1)),
    ];
    let (mut replay, _sender) = replay(flat(), &[], records);
    let mut sent = Sent::default();
    let mut step = |expected: Option<(u64, &str)>| {
        assert_eq!(replay.step(&mut sent), Step::Played);
        assert_eq!(depth(&replay), expected.map(|(id, bids)| (id, bids.to_owned())));
    };
    step(None);
    step(None);
    step(Some((12, r#"[["8","2"],["7","1"]]"#)));
    step(Some((13, r#"[["9","3"],["8","2"],["7","1"]]"#)));
    step(None);
}

#[test]
fn what_came_before_is_known_from_the_start() {
    let before = [snapshot(5, 1, (7, 1)), delta(6, 6, 2, (8, 1))];
    let (replay, _sender) = replay(Timeline::new(None, Beginning::WhenSubscribed(1)), &before, vec![]);
    assert_eq!(depth(&replay), Some((6, r#"[["8","1"],["7","1"]]"#.to_owned())));
    assert_eq!(replay.symbols(Market::Spot), ["BTCUSDT"]);
}

fn rest_header(kind: Kind, receive_ns: i64) -> Header {
    Header { flags: flag::REST, exchange_ns: 1_700_000_000_000_000_000, ..Header::new(kind, 3, receive_ns) }
}

/// What the venue answers to polls, as the adapter reads it.
fn polled(market: Market, instrument: &Instrument, replay: &Replay) -> Vec<RecordBuffer> {
    let venue = Binance;
    let of_venue = venue.market(market.name()).expect("exists");
    let channels = ["open_interest", "funding_rate", "long_short_ratio"];
    let polls = channels.iter().flat_map(|channel| venue.polls(of_venue, channel, instrument));
    polls
        .map(|poll| {
            let (path, query) = poll.request.path.split_once('?').expect("a query");
            let endpoint = crate::rest::endpoint(market, path).expect("a path of the market");
            let answer = replay.answer(market, endpoint, &Parameters::parse(query), 2400).expect("an answer");
            let mut records = RecordBuffer::default();
            venue
                .parse_poll(of_venue, &poll, answer.as_bytes(), (0, 50), &mut records)
                .expect("is understood");
            records
        })
        .collect()
}

fn open_interest(value: i64) -> OpenInterest {
    OpenInterest {
        header: Header { quantity_exponent: -3, ..rest_header(Kind::OpenInterest, 50) },
        open_interest: value,
        open_interest_value: ABSENT,
        open_interest_base: ABSENT,
        ..OpenInterest::zeroed()
    }
}

/// A funding rate of which nothing is known.
fn unknown_funding() -> FundingRate {
    FundingRate {
        header: rest_header(Kind::FundingRate, 50),
        rate: ABSENT,
        next_funding_ns: ABSENT,
        interval_ns: ABSENT,
        realised_rate: ABSENT,
        premium: ABSENT,
        interest_rate: ABSENT,
        ..FundingRate::zeroed()
    }
}

fn ratio(basis: RatioBasis) -> LongShortRatio {
    LongShortRatio {
        header: rest_header(Kind::LongShortRatio, 50),
        ratio: 15_000 + basis as i64,
        long_share: 6000,
        short_share: 4000,
        ratio_exponent: -4,
        share_exponent: -4,
        basis: basis as u8,
        period: fixed_text(b"5m"),
        reserved: 0,
    }
}

/// Demands that polls of an instrument are answered with the newest that was recorded.
fn assert_polls(market: Market, symbol: &str, pair: &str) {
    let instrument = Arc::new(Instrument {
        id: 3,
        instrument_type: InstrumentType::Perpetual,
        underlying: pair.into(),
        ..Instrument::unknown("binance", market.name(), symbol)
    });
    let mark = MarkPrice {
        header: Header { price_exponent: -2, ..rest_header(Kind::MarkPrice, 50) },
        mark_price: 6_180_012,
        index_price: 6_180_000,
        settlement_price: 6_179_900,
        average_price: ABSENT,
    };
    let next_funding_ns = 1_700_006_400_000_000_000;
    let rate = FundingRate { rate: -1234, rate_exponent: -8, next_funding_ns, ..unknown_funding() };
    let rate = FundingRate { interest_rate: 10_000, interest_exponent: -8, ..rate };
    // The list of intervals has no time.
    let header = Header { exchange_ns: ABSENT, ..rate.header };
    let interval = FundingRate { header, interval_ns: 8 * 3_600_000_000_000, ..unknown_funding() };
    let (older, newer) = (open_interest(1), open_interest(2));
    let ratios = [RatioBasis::TopPosition, RatioBasis::TopAccount, RatioBasis::GlobalAccount].map(ratio);
    let mut told = vec![
        RecordRef::OpenInterest(&older),
        RecordRef::OpenInterest(&newer),
        RecordRef::MarkPrice(&mark),
        RecordRef::FundingRate(&rate),
        RecordRef::FundingRate(&interval),
    ];
    told.extend(ratios.iter().map(RecordRef::LongShortRatio));
    let before: Vec<_> =
        told.iter().map(|record| HistoryRecord::new(Arc::clone(&instrument), *record)).collect();
    let (replay, _sender) = replay(flat(), &before, vec![]);
    let read = polled(market, &instrument, &replay);
    let read: Vec<_> = read.iter().flat_map(RecordBuffer::iter).collect();
    assert_eq!(read, told[1..], "{market}");
}

#[test]
fn polls_are_answered_with_the_newest_that_was_recorded() {
    assert_polls(Market::Usdm, "BTCUSDT", "BTCUSDT");
    assert_polls(Market::Coinm, "BTCUSD_PERP", "BTCUSD");
}

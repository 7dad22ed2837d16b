//! The project's own frames: what they become, field by field.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_binance::Binance;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::{ABSENT, MAX_LEVELS, RecordBuffer, Side, TradeType, flag, text_of};
use marketprism_core::venue::{Accepted, DecodeError, Decoder, Outcome, Venue};
use marketprism_core::{Kind, RecordRef};

/// The records of a frame that the decoder has to accept.
fn records(market: &str, frame: &str) -> RecordBuffer {
    let mut records = RecordBuffer::default();
    assert_eq!(
        own_decoder(market).decode(frame.as_bytes(), RECEIVE_NS, &mut records),
        Ok(Outcome::Data),
        "{frame}"
    );
    records
}

fn outcome(market: &str, frame: &str) -> Result<Outcome, DecodeError> {
    let mut records = RecordBuffer::default();
    let outcome = own_decoder(market).decode(frame.as_bytes(), RECEIVE_NS, &mut records);
    assert!(records.is_empty());
    outcome
}

macro_rules! only {
    ($records:expr, $kind:ident) => {
        match $records.iter().collect::<Vec<_>>()[..] {
            [RecordRef::$kind(record)] => *record,
            ref other => panic!("{other:?}"),
        }
    };
}

#[test]
fn both_paths_read_every_frame_that_is_predicted() {
    for (market, count, frame) in PREDICTED {
        let mut decoder = own_decoder(market);
        let (kind, fast, general, _) = both(&mut decoder, frame.as_bytes());
        assert!(kind.is_some(), "{frame}");
        assert!(general.is_ok(), "{frame}: {general:?}");
        assert_eq!(fast.iter().count(), *count, "{frame}");
        check_agreement(&mut decoder, frame.as_bytes());
    }
}

#[test]
fn the_general_path_reads_the_rest() {
    for (market, count, frame) in GENERAL {
        let mut decoder = own_decoder(market);
        let mut records = RecordBuffer::default();
        assert_eq!(decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records), Ok(Outcome::Data), "{frame}");
        assert_eq!(records.iter().count(), *count, "{frame}");
        assert_eq!(decoder.counts().predicted.iter().sum::<u64>(), 0, "{frame}");
        assert_eq!(decoder.counts().ignored, u64::from(*count == 0), "{frame}");
    }
}

#[test]
fn trades() {
    let trade = only!(records("spot", PREDICTED[0].2), Trade);
    let header = trade.header;
    assert_eq!((header.kind, header.flags, header.instrument), (Kind::Trade as u8, 0, 1));
    assert_eq!((header.sequence, header.receive_ns), (12345, RECEIVE_NS));
    assert_eq!(header.exchange_ns, 1_672_515_782_136_000_000);
    assert_eq!(text(trade.price, header.price_exponent), "0.001");
    assert_eq!(text(trade.quantity, header.quantity_exponent), "100");
    assert_eq!((trade.side, trade.trade_type), (Side::Sell as u8, TradeType::Market as u8));
    let micros = only!(records("spot", PREDICTED[2].2), Trade);
    assert_eq!(micros.header.exchange_ns, 1_680_652_799_999_456_000);
    assert_eq!(micros.event_ns, 1_680_652_800_000_123_000);
    assert_eq!(micros.side, Side::Buy as u8);
    let insured = only!(records("usdm", PREDICTED[4].2), Trade);
    assert_eq!(insured.trade_type, TradeType::InsuranceFund as u8);
    let other = only!(records("coinm", PREDICTED[5].2), Trade);
    assert_eq!(other.trade_type, TradeType::Other as u8);
}

#[test]
fn a_trade_without_match_time_has_the_time_of_its_publication() {
    let trade = only!(records("spot", GENERAL[0].2), Trade);
    assert_eq!(trade.header.exchange_ns, 1_672_515_782_136_000_000);
    let untimed =
        only!(records("spot", r#"{"e":"trade","s":"BNBBTC","t":1,"p":"1","q":"2","m":true}"#), Trade);
    assert_eq!((untimed.header.exchange_ns, untimed.event_ns), (TIME_MISSING, TIME_MISSING));
}

#[test]
fn aggregates() {
    let agg = only!(records("usdm", PREDICTED[7].2), AggTrade);
    assert_eq!((agg.header.sequence, agg.first_trade_id, agg.last_trade_id), (5_933_014, 100, 105));
    assert_eq!(text(agg.quantity, agg.header.quantity_exponent), "100.0");
    assert_eq!(text(agg.normal_quantity, agg.header.quantity_exponent), "90.5");
    let spot = only!(records("spot", PREDICTED[6].2), AggTrade);
    assert_eq!(spot.normal_quantity, ABSENT);
}

fn book(market: &str, frame: &str) -> (marketprism_core::record::Book, Vec<(String, String)>) {
    let records = records(market, frame);
    let [RecordRef::Book(book, levels)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
    let levels = levels
        .iter()
        .map(|l| (text(l.price, book.header.price_exponent), text(l.quantity, book.header.quantity_exponent)))
        .collect();
    (*book, levels)
}

#[test]
fn book_deltas() {
    let (delta, levels) = book("usdm", PREDICTED[11].2);
    assert_eq!((delta.header.kind, delta.header.flags), (Kind::BookDelta as u8, 0));
    assert_eq!((delta.first_id, delta.header.sequence, delta.previous_id), (157, 160, 149));
    assert_eq!((delta.bid_levels, delta.ask_levels), (2, 2));
    assert_eq!(
        (delta.header.exchange_ns, delta.event_ns),
        (1_772_515_782_130_000_000, 1_772_515_782_136_000_000)
    );
    let expected = [("0.00240", "10.0"), ("0.00230", "0.0"), ("0.00260", "100.0"), ("0.00265", "1.5")];
    assert_eq!(levels, expected.map(|(p, q)| (p.to_owned(), q.to_owned())));
    let (spot, _) = book("spot", PREDICTED[10].2);
    assert_eq!((spot.previous_id, spot.header.exchange_ns), (ABSENT, 1_672_515_782_136_000_000));
    let (fresh, _) = book("usdm", PREDICTED[12].2);
    assert_eq!(fresh.previous_id, -1);
}

#[test]
fn tops_of_books_are_partial_snapshots() {
    let spot = PREDICTED[29].2;
    for (market, frame) in [("usdm", PREDICTED[13].2), ("spot", spot)] {
        let (top, _) = book(market, frame);
        assert_eq!(
            (top.header.kind, top.header.flags),
            (Kind::BookSnapshot as u8, flag::SNAPSHOT | flag::PARTIAL),
            "{frame}"
        );
    }
    let (top, levels) = book("spot", spot);
    assert_eq!((top.header.sequence, top.first_id, top.header.exchange_ns), (160, 160, TIME_MISSING));
    assert_eq!(levels[0], ("0.0024".to_owned(), "10".to_owned()));
    let raw = r#"{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}"#;
    assert!(matches!(outcome("spot", raw), Err(DecodeError::Shape(_))));
    let odd = PREDICTED[13].2.replace("@depth5", "@depthly");
    assert!(matches!(outcome("usdm", &odd), Err(DecodeError::UnknownEvent(_))));
}

#[test]
fn values_that_fit_only_without_trailing_zeros_are_kept() {
    let frame = |quantity: &str| {
        format!(
            r#"{{"e":"depthUpdate","E":1,"s":"BNBBTC","U":1,"u":1,"b":[["1.0","{quantity}"],["1.0","0.50000000"]],"a":[]}}"#
        )
    };
    let (_, levels) = book("spot", &frame("900000000000000000.0"));
    assert_eq!(levels[0].1, "900000000000000000.0");
    assert_eq!(levels[1].1, "0.5");
    assert!(matches!(outcome("spot", &frame("9000000000000000001")), Err(DecodeError::Field { .. })));
}

#[test]
fn books_have_a_largest_size() {
    let frame = |levels: usize| {
        let side = vec![r#"["1.0","2.0"]"#; levels].join(",");
        format!(r#"{{"e":"depthUpdate","E":1,"s":"BNBBTC","U":1,"u":1,"b":[{side}],"a":[]}}"#)
    };
    assert_eq!(book("spot", &frame(MAX_LEVELS)).1.len(), MAX_LEVELS);
    assert!(matches!(outcome("spot", &frame(MAX_LEVELS + 1)), Err(DecodeError::Field { .. })));
}

#[test]
fn quotes() {
    let spot = only!(records("spot", PREDICTED[15].2), Quote);
    assert_eq!((spot.header.sequence, spot.header.exchange_ns), (400_900_217, TIME_MISSING));
    assert_eq!(text(spot.bid_price, spot.header.price_exponent), "25.35190000");
    assert_eq!(text(spot.ask_quantity, spot.header.quantity_exponent), "40.66000000");
    let linear = only!(records("usdm", PREDICTED[16].2), Quote);
    assert_eq!(linear.header.exchange_ns, 1_568_014_460_891_000_000);
    let inverse = only!(records("coinm", PREDICTED[18].2), Quote);
    assert_eq!(inverse.header.exchange_ns, 1_618_677_480_028_000_000);
}

#[test]
fn tickers() {
    let spot = only!(records("spot", PREDICTED[20].2), Ticker);
    let price = |mantissa| text(mantissa, spot.header.price_exponent);
    assert_eq!([price(spot.last), price(spot.open), price(spot.bid_price)], ["0.0025", "0.0010", "0.0024"]);
    assert_eq!((spot.trades, spot.last_trade_id, spot.close_ns), (18151, 18150, 86_400_000_000_000));
    let futures = only!(records("usdm", PREDICTED[21].2), Ticker);
    assert_eq!((futures.bid_price, futures.ask_quantity), (ABSENT, ABSENT));
    assert_eq!(text(futures.weighted_average, futures.header.price_exponent), "0.00185");
    assert_eq!(text(futures.volume, futures.header.quantity_exponent), "10000.0");
}

#[test]
fn mark_prices_bring_funding_rates_where_there_are_any() {
    let both = records("usdm", PREDICTED[22].2);
    let [RecordRef::MarkPrice(mark), RecordRef::FundingRate(funding)] = both.iter().collect::<Vec<_>>()[..]
    else {
        panic!()
    };
    assert_eq!(text(mark.average_price, mark.header.price_exponent), "11794.15000000");
    assert_eq!(text(mark.index_price, mark.header.price_exponent), "11784.62659091");
    assert_eq!(text(funding.rate, funding.rate_exponent), "0.00038167");
    assert_eq!((funding.next_funding_ns, funding.interval_ns), (1_562_306_400_000_000_000, ABSENT));
    let delivery = only!(records("coinm", PREDICTED[24].2), MarkPrice);
    assert_eq!((delivery.settlement_price, delivery.average_price), (ABSENT, ABSENT));
}

#[test]
fn candles() {
    let candle = only!(records("usdm", PREDICTED[26].2), Candle);
    assert_eq!((text_of(&candle.interval), candle.closed, candle.trades), ("1m", 1, 48));
    assert_eq!(candle.header.exchange_ns, 1_626_992_741_424_000_000);
    assert_eq!(text(candle.quote_volume, candle.quote_volume_exponent), "3957.89900");
    assert_eq!(text(candle.taker_buy_volume, candle.header.quantity_exponent), "1729");
}

#[test]
fn liquidations() {
    let linear = only!(records("usdm", PREDICTED[27].2), Liquidation);
    assert_eq!((linear.side, text_of(&linear.status)), (Side::Sell as u8, "FILLED"));
    assert_eq!(linear.header.exchange_ns, 1_568_014_460_890_000_000);
    assert_eq!(linear.event_ns, 1_568_014_460_893_000_000);
    let inverse = only!(records("coinm", PREDICTED[28].2), Liquidation);
    assert_eq!((inverse.side, text_of(&inverse.status)), (Side::Buy as u8, "PARTIALLY_FILLED"));
    assert_eq!(text(inverse.average_price, inverse.header.price_exponent), "9496.5");
}

#[test]
fn answers_and_notices() {
    let refused = |id, reason: &str| Ok(Outcome::Refused { id, reason: reason.to_owned() });
    let accepted = |id| Ok(Outcome::Acknowledged { id: Some(id), accepted: Accepted::All });
    let invalid = "2: Invalid request: invalid stream";
    for (frame, expected) in [
        (r#"{"result":null,"id":1}"#, accepted(1)),
        (r#"{"id":7,"result":["btcusdt@trade"]}"#, accepted(7)),
        (r#"{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":2}"#, refused(Some(2), invalid)),
        (r#"{"code":2,"msg":"Invalid request: invalid stream"}"#, refused(None, invalid)),
        (r#"{"code":2,"msg":"Invalid request: invalid stream","id":3}"#, refused(Some(3), invalid)),
        (r#"{"e":"serverShutdown","E":1770123456789}"#, Ok(Outcome::Closing)),
        (
            r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#,
            Ok(Outcome::Closing),
        ),
        (r#"{"e":"novelty","E":1}"#, Err(DecodeError::UnknownEvent("novelty".to_owned()))),
    ] {
        assert_eq!(outcome("spot", frame), expected, "{frame}");
    }
    for frame in ["[1]", "7", "\"text\"", "{}", r#"{"result":null}"#, r#"{"stream":"a@b","data":null}"#] {
        assert!(matches!(outcome("spot", frame), Err(DecodeError::Shape(_))), "{frame}");
    }
    for frame in ["", "pong", "{", "{\"e\":\"trade\""] {
        assert!(matches!(outcome("spot", frame), Err(DecodeError::Json(_))), "{frame}");
    }
}

#[test]
fn an_unknown_symbol_is_named_and_can_be_added() {
    for (market, count, frame) in PREDICTED.iter().chain(GENERAL).filter(|(_, count, _)| *count > 0) {
        let mut decoder = Binance.decoder(Binance.market(market).unwrap(), SymbolTable::default());
        let mut records = RecordBuffer::default();
        for added in 1.. {
            match decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records) {
                Ok(_) => break,
                Err(DecodeError::UnknownSymbol(symbol)) => {
                    assert!(records.is_empty());
                    assert!(SYMBOLS.contains(&symbol.as_str()), "{symbol}");
                    decoder.learn(symbol.as_bytes(), added);
                }
                Err(other) => panic!("{other}: {frame}"),
            }
        }
        assert_eq!(records.iter().count(), *count);
    }
}

#[test]
fn a_symbol_with_another_instrument_is_forgotten_at_once() {
    let frame = PREDICTED[0].2.as_bytes();
    let mut decoder = own_decoder("spot");
    let mut records = RecordBuffer::default();
    for instrument in [1, 77] {
        decoder.learn(b"BNBBTC", instrument);
        records.clear();
        decoder.decode(frame, RECEIVE_NS, &mut records).unwrap();
        assert_eq!(only!(records, Trade).header.instrument, instrument);
    }
    assert_eq!(decoder.counts().predicted[Kind::Trade as usize], 2);
}

#[test]
fn news_of_contracts_tell_that_instruments_changed() {
    let news = |own_type: u8| {
        format!(
            r#"{{"stream":"!contractInfo","data":{{"e":"contractInfo","E":1772515782136,"s":"NOVELUSDT","ps":"NOVELUSDT","ct":"PERPETUAL","dt":4133404800000,"ot":1772515782136,"cs":"PENDING_TRADING","st":{own_type}}}}}"#
        )
    };
    assert_eq!(outcome("usdm", &news(1)), Ok(Outcome::InstrumentsChanged));
    assert_eq!(outcome("coinm", &news(2)), Ok(Outcome::InstrumentsChanged));
    assert_eq!(outcome("usdm", &news(2)), Ok(Outcome::Data), "a contract of the other market");
}

#[test]
fn binance_next_funding_time_is_not_the_event_time_of_a_mark_price() {
    let both = records("usdm", PREDICTED[22].2);
    for record in both.iter() {
        assert_eq!(record.header().exchange_ns, 1_562_305_380_000_000_000);
        assert_eq!(record.header().receive_ns, RECEIVE_NS);
    }
}

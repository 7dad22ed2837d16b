//! The project's own frames: what they become, field by field.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{ABSENT, Book, Greeks, MAX_LEVELS, RecordBuffer, Side, flag, text_of};
use marketprism_core::venue::{DecodeError, Decoder, Outcome};
use marketprism_core::{Kind, RecordRef};

/// The first own frame with this text in it.
fn own(part: &str) -> (&'static str, &'static str) {
    *PREDICTED.iter().find(|(_, frame)| frame.contains(part)).unwrap()
}

fn own_records(part: &str) -> RecordBuffer {
    let (market, frame) = own(part);
    records(market, frame)
}

#[test]
fn both_paths_read_every_frame_that_is_predicted() {
    for (market, frame) in PREDICTED {
        let mut decoder = own_decoder(market);
        let (kind, fast, general, _) = both(&mut decoder, frame.as_bytes());
        assert!(kind.is_some(), "{frame}");
        assert!(general.is_ok(), "{frame}: {general:?}");
        assert_eq!(fast.iter().count(), 1, "{frame}");
        check_agreement(&mut decoder, frame.as_bytes());
    }
}

#[test]
fn the_general_path_reads_the_rest() {
    for (market, count, ignored, frame) in GENERAL {
        let mut decoder = own_decoder(market);
        let mut records = RecordBuffer::default();
        assert_eq!(decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records), Ok(Outcome::Data), "{frame}");
        assert_eq!(records.iter().count(), *count, "{frame}");
        assert_eq!(decoder.counts().predicted.iter().sum::<u64>(), 0, "{frame}");
        assert_eq!(decoder.counts().general.iter().sum::<u64>(), 1, "{frame}");
        assert_eq!(decoder.counts().ignored, *ignored, "{frame}");
    }
}

#[test]
fn aggregated_trades() {
    let trade = only!(own_records(r#""count":"3""#), Trade);
    let header = trade.header;
    assert_eq!((header.kind, header.flags, header.instrument), (Kind::Trade as u8, 0, 1));
    assert_eq!((header.sequence, trade.fills, trade.first_id()), (130_639_474, 3, 130_639_472));
    assert_eq!((header.receive_ns, header.exchange_ns), (RECEIVE_NS, 1_630_048_897_897_000_000));
    assert_eq!(text(trade.price, header.price_exponent), "42219.9");
    assert_eq!(text(trade.quantity, header.quantity_exponent), "0.12060306");
    assert_eq!((trade.side, trade.event_ns), (Side::Buy as u8, TIME_MISSING));
}

#[test]
fn single_fills_have_no_count() {
    let fill = only!(own_records("trades-all"), Trade);
    assert_eq!((fill.header.sequence, fill.fills, fill.side), (130_639_475, 0, Side::Sell as u8));
    let old = only!(own_records("219066264"), Trade);
    assert_eq!((old.fills, old.first_id()), (0, 219_066_264));
}

#[test]
fn a_trade_of_an_unknown_side_is_kept() {
    let (market, frame) = own(r#""count":"3""#);
    let trade = only!(records(market, &frame.replace("buy", "auction")), Trade);
    assert_eq!(trade.side, Side::Unknown as u8);
}

#[test]
fn trades_need_what_makes_a_trade() {
    let (market, frame) = own(r#""count":"3""#);
    for (from, to) in [
        (r#""px":"42219.9""#, r#""px":"""#),
        (r#""sz":"0.12060306","#, ""),
        (r#""tradeId":"130639474""#, r#""tradeId":"""#),
        (r#""count":"3""#, r#""count":"4294967296""#),
        (r#""ts":"1630048897897""#, r#""ts":"soon""#),
        (r#""px":"42219.9""#, r#""px":"9999999999999999999.5""#),
    ] {
        let outcome = outcome(market, &frame.replacen(from, to, 1));
        assert!(matches!(outcome, Err(DecodeError::Field { .. } | DecodeError::Missing(_))), "{outcome:?}");
    }
}

fn book(market: &str, frame: &str) -> (Book, Vec<(String, String)>) {
    let records = records(market, frame);
    let [RecordRef::Book(book, levels)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
    let levels = levels
        .iter()
        .map(|l| (text(l.price, book.header.price_exponent), text(l.quantity, book.header.quantity_exponent)))
        .collect();
    (*book, levels)
}

fn own_book(part: &str) -> (Book, Vec<(String, String)>) {
    let (market, frame) = own(part);
    book(market, frame)
}

#[test]
fn book_snapshots() {
    let (snapshot, levels) = own_book(r#""channel":"books","instId":"BTC-USDT"},"action":"snapshot""#);
    assert_eq!((snapshot.header.kind, snapshot.header.flags), (Kind::BookSnapshot as u8, flag::SNAPSHOT));
    assert_eq!((snapshot.header.sequence, snapshot.previous_id, snapshot.first_id), (123_456, -1, 0));
    assert_eq!((snapshot.bid_levels, snapshot.ask_levels), (2, 2));
    assert_eq!((snapshot.header.exchange_ns, snapshot.event_ns), (1_597_026_383_085_000_000, TIME_MISSING));
    // Bids first, though the venue sends asks first.
    let expected = [("8476.97", "256.5"), ("8475.55", "101.0"), ("8476.98", "415.0"), ("8477.00", "7.0")];
    assert_eq!(levels, expected.map(|(p, q)| (p.to_owned(), q.to_owned())));
}

#[test]
fn book_deltas() {
    let (delta, levels) = own_book(r#""prevSeqId":123456"#);
    assert_eq!((delta.header.kind, delta.header.flags), (Kind::BookDelta as u8, 0));
    assert_eq!((delta.header.sequence, delta.previous_id), (123_457, 123_456));
    assert_eq!(levels, [("8477".to_owned(), "0".to_owned())]);
}

#[test]
fn checksums_are_kept_as_32_bits() {
    let (positive, _) = own_book("971343753");
    assert_eq!(
        (positive.header.flags, positive.checksum()),
        (flag::SNAPSHOT | flag::CHECKSUM, Some(971_343_753))
    );
    assert_eq!((positive.header.sequence, positive.previous_id), (0, ABSENT));
    let (negative, _) = own_book("-942904850");
    assert_eq!((negative.checksum(), negative.first_id), (Some(3_352_062_446), 3_352_062_446));
    let (market, frame) = own("-942904850");
    let large = outcome(market, &frame.replace("-942904850", "4294967296"));
    assert!(matches!(large, Err(DecodeError::Field { field: "checksum", .. })));
}

#[test]
fn a_checksum_of_numbers_that_the_engine_would_write_otherwise_is_left_out() {
    let (market, frame) = own("971343753");
    for number in [r#""0.00050""#, r#""00.0005""#, r#""5e-4""#] {
        let frame = frame.replacen(r#""0.0005""#, number, 1);
        check_agreement(&mut own_decoder(market), frame.as_bytes());
        let (book, _) = book(market, &frame);
        assert_eq!((book.header.flags, book.first_id), (flag::SNAPSHOT, 0), "{number}");
    }
    let size = frame.replacen(r#""550""#, r#""550.0""#, 1);
    assert_eq!(book(market, &size).0.checksum(), None);
}

#[test]
fn a_book_without_a_time_keeps_none() {
    let (market, frame) = own("971343753");
    for time in ["0", ""] {
        let (book, _) = book(market, &frame.replace("1646315100798", time));
        assert_eq!(book.header.exchange_ns, TIME_MISSING);
    }
}

#[test]
fn an_action_that_is_none_is_an_error() {
    let (market, frame) = own("971343753");
    let unknown = outcome(market, &frame.replace("snapshot", "partial"));
    assert!(matches!(unknown, Err(DecodeError::Field { field: "action", .. })));
    let none = outcome(market, &frame.replace(r#""action":"snapshot","#, ""));
    assert_eq!(none, Err(DecodeError::Missing("action")));
}

#[test]
fn tops_of_books_start_no_book() {
    let (top, levels) = own_book(r#""channel":"books5","instId":"BTC-USDT""#);
    assert_eq!(
        (top.header.kind, top.header.flags),
        (Kind::BookSnapshot as u8, flag::SNAPSHOT | flag::PARTIAL)
    );
    assert_eq!((top.header.sequence, top.previous_id, levels.len()), (363_996_337, ABSENT, 2));
    let (old, _) = own_book(r#""channel":"books5","instId":"BTC-USD-220624-50000-C""#);
    assert_eq!((old.header.sequence, old.bid_levels, old.ask_levels), (0, 0, 2));
}

#[test]
fn books_have_a_largest_size() {
    let frame = |levels: usize| {
        let side = vec![r#"["1","2","0","1"]"#; levels].join(",");
        format!(
            r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"update","data":[{{"asks":[],"bids":[{side}],"ts":"1"}}]}}"#
        )
    };
    assert_eq!(book("spot", &frame(MAX_LEVELS)).1.len(), MAX_LEVELS);
    assert!(matches!(outcome("spot", &frame(MAX_LEVELS + 1)), Err(DecodeError::Field { .. })));
}

#[test]
fn quotes() {
    let quote = only!(own_records(r#""bbo-tbt","instId":"BTC-USDT""#), Quote);
    let header = quote.header;
    assert_eq!((header.sequence, header.exchange_ns), (363_996_337, 1_670_324_386_802_000_000));
    assert_eq!(text(quote.bid_price, header.price_exponent), "111.00");
    assert_eq!(text(quote.ask_price, header.price_exponent), "111.06");
    assert_eq!(text(quote.bid_quantity, header.quantity_exponent), "57745.5");
}

#[test]
fn the_empty_side_of_a_quote_is_absent() {
    let quote = only!(own_records(r#""bbo-tbt","instId":"BTC-USD-220624-50000-C""#), Quote);
    assert_eq!((quote.bid_price, quote.bid_quantity), (ABSENT, ABSENT));
    assert_eq!(text(quote.ask_price, quote.header.price_exponent), "0.0015");
    assert_eq!((quote.ask_quantity, quote.header.sequence), (8, 0));
}

#[test]
fn tickers_of_spot_count_base_and_quote_units() {
    let spot = only!(own_records(r#""tickers","instId":"BTC-USDT"}"#), Ticker);
    assert_eq!(text(spot.volume, spot.header.quantity_exponent), "2222.0");
    assert_eq!(text(spot.quote_volume, spot.quote_volume_exponent), "22220000");
    assert_eq!(spot.base_volume, ABSENT);
    assert_eq!(text(spot.last, spot.header.price_exponent), "9999.99");
    assert_eq!(text(spot.low, spot.header.price_exponent), "8888.88");
    assert_eq!((spot.weighted_average, spot.trades, spot.open_ns), (ABSENT, ABSENT, TIME_MISSING));
}

#[test]
fn tickers_of_contracts_count_contracts_and_base_units() {
    let swap = only!(own_records(r#""tickers","instId":"BTC-USDT-SWAP""#), Ticker);
    assert_eq!(text(swap.volume, swap.header.quantity_exponent), "10854053");
    assert_eq!(text(swap.base_volume, swap.base_volume_exponent), "108540.53");
    assert_eq!(swap.quote_volume, ABSENT);
}

#[test]
fn empty_texts_of_a_ticker_are_absent() {
    let option = only!(own_records(r#""tickers","instId":"BTC-USD-220624-50000-C""#), Ticker);
    let prices = [option.last, option.open, option.high, option.low, option.bid_price];
    assert_eq!(prices, [ABSENT; 5]);
    assert_eq!((option.last_quantity, option.bid_quantity), (ABSENT, ABSENT));
    assert_eq!(text(option.ask_price, option.header.price_exponent), "0.0015");
    assert_eq!((option.ask_quantity, option.volume), (330, 0));
}

#[test]
fn mark_and_index_prices() {
    let mark = only!(own_records("mark-price"), MarkPrice);
    assert_eq!(text(mark.mark_price, mark.header.price_exponent), "42310.6");
    assert_eq!((mark.index_price, mark.settlement_price, mark.average_price), (ABSENT, ABSENT, ABSENT));
    let index = only!(own_records("index-tickers"), MarkPrice);
    assert_eq!(text(index.index_price, index.header.price_exponent), "42311.25");
    assert_eq!((index.mark_price, index.header.instrument), (ABSENT, 1));
}

#[test]
fn candles() {
    let candle = only!(records("spot", CANDLE), Candle);
    assert_eq!((text_of(&candle.interval), candle.closed), ("1m", 1));
    assert_eq!((candle.open_ns, candle.close_ns), (1_597_026_360_000_000_000, 1_597_026_419_999_000_000));
    let prices = [candle.open, candle.high, candle.low, candle.close];
    assert_eq!(
        prices.map(|price| text(price, candle.header.price_exponent)),
        ["8533.02", "8553.74", "8527.17", "8548.26"]
    );
    assert_eq!(text(candle.volume, candle.header.quantity_exponent), "45247");
    assert_eq!(text(candle.quote_volume, candle.quote_volume_exponent), "5529.5858061");
    assert_eq!((candle.trades, candle.taker_buy_volume), (ABSENT, ABSENT));
    assert_eq!(candle.header.exchange_ns, TIME_MISSING);
}

#[test]
fn months_have_no_computed_end() {
    let candle = only!(records("spot", &CANDLE.replace("candle1m", "candle1Mutc")), Candle);
    assert_eq!((text_of(&candle.interval), candle.close_ns), ("1Mu", TIME_MISSING));
}

#[test]
fn candles_of_recordings_have_seven_elements() {
    let old = CANDLE.replace(r#","5529.5858061","1""#, "");
    let spot = only!(records("spot", &old), Candle);
    assert_eq!(text(spot.quote_volume, spot.quote_volume_exponent), "529.5858061");
    assert_eq!(spot.closed, 0);
    let swap = only!(records("swap", &old), Candle);
    assert_eq!(swap.quote_volume, ABSENT);
    for bad in
        [CANDLE.replace(r#","45247","529.5858061","5529.5858061","1""#, ""), CANDLE.replace("8533.02", "")]
    {
        assert!(matches!(outcome("spot", &bad), Err(DecodeError::Field { field: "data", .. })), "{bad}");
    }
    let unknown = Err(DecodeError::UnknownEvent("candle7m".to_owned()));
    assert_eq!(outcome("spot", &CANDLE.replace("candle1m", "candle7m")), unknown);
}

#[test]
fn greeks_have_their_own_exponents() {
    let greeks = only!(records("option", GREEKS), Greeks);
    let numbers: Vec<String> = greeks
        .numbers()
        .into_iter()
        .zip(greeks.exponents)
        .map(|(number, exponent)| if number == ABSENT { "-".to_owned() } else { text(number, exponent) })
        .collect();
    let expected = [
        ("delta", "-1.118"),
        ("gamma", "2.236"),
        ("vega", "0.0000000001"),
        ("theta", "0.0000032"),
        ("rho", "-"),
        ("delta_bs", "-0.9999"),
        ("gamma_bs", "0.0000000002"),
        ("vega_bs", "0.0000114"),
        ("theta_bs", "28.26"),
        ("mark_iv", "0.3675"),
        ("bid_iv", "0"),
        ("ask_iv", "-"),
        ("at_the_money_iv", "0.2044"),
        ("underlying_price", "62604.69"),
        ("interest_rate", "-"),
        ("leverage", "8.46"),
    ];
    assert_eq!(Greeks::NAMES, expected.map(|(name, _)| name));
    assert_eq!(numbers, expected.map(|(_, number)| number));
    assert_eq!(greeks.header.exchange_ns, 1_728_703_155_650_000_000);
}

#[test]
fn optional_numbers_that_64_bits_do_not_hold_are_absent() {
    let long = OPEN_INTEREST.replace("22161.1301000000309", "22161.13010000003099999999");
    let record = only!(records("swap", &long), OpenInterest);
    assert_eq!(record.open_interest_base, ABSENT);
    assert_eq!(text(record.open_interest_value, record.value_exponent), "1939251795.54");
    let mandatory = OPEN_INTEREST.replace("2216113.01000000309", "2216113.01000000309999999999");
    assert!(matches!(outcome("swap", &mandatory), Err(DecodeError::Field { field: "oi", .. })));
    let nonsense = OPEN_INTEREST.replace("1939251795.54", "much");
    assert!(matches!(outcome("swap", &nonsense), Err(DecodeError::Field { field: "oiUsd", .. })));
}

#[test]
fn a_frame_gives_all_its_records_or_none() {
    let (_, _, _, frame) = GENERAL.iter().find(|(.., frame)| frame.matches("tradeId").count() == 2).unwrap();
    let at = frame.rfind(r#""px":"2""#).unwrap();
    let second_is_bad = format!("{}{}", &frame[..at], frame[at..].replacen(r#""px":"2""#, r#""px":"x""#, 1));
    assert!(matches!(outcome("spot", &second_is_bad), Err(DecodeError::Field { field: "px", .. })));
}

#[test]
fn an_unknown_symbol_is_named_and_can_be_learned() {
    for (market, frame) in PREDICTED {
        let mut decoder = marketprism_okx::FrameDecoder::new(market, table(&[]));
        let mut records = RecordBuffer::default();
        let symbol = match decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records) {
            Err(DecodeError::UnknownSymbol(symbol)) => symbol,
            other => panic!("{other:?}: {frame}"),
        };
        assert!(records.is_empty() && SYMBOLS.contains(&symbol.as_str()), "{symbol}");
        decoder.learn(symbol.as_bytes(), 7);
        assert_eq!(decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records), Ok(Outcome::Data));
        assert_eq!(records.iter().next().unwrap().header().instrument, 7);
        // Learned again under another id, as after the registry was made anew.
        decoder.learn(symbol.as_bytes(), 8);
        records.clear();
        assert_eq!(decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records), Ok(Outcome::Data));
        assert_eq!(records.iter().next().unwrap().header().instrument, 8);
    }
}

//! The project's own frames: what they become, field by field.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{
    ABSENT, Book, DetailedTrade, LiquidatedParty, Liquidation, RecordBuffer, Side, flag, text_of,
};
use marketprism_core::venue::{Accepted, DecodeError, Decoder, Outcome};
use marketprism_core::{Kind, RecordRef};

/// The records of a frame that the decoder has to accept.
fn records(market: &str, frame: &str) -> RecordBuffer {
    let mut records = RecordBuffer::default();
    let outcome = own_decoder(market).decode(frame.as_bytes(), RECEIVE_NS, &mut records);
    assert_eq!(outcome, Ok(Outcome::Data), "{frame}");
    records
}

/// The data of an entry of [`PREDICTED`].
fn data(channel: &str, nth: usize) -> &'static str {
    PREDICTED.iter().filter(|entry| entry.2 == channel).nth(nth).unwrap().3
}

/// The records of an entry of [`PREDICTED`].
fn own(channel: &str, nth: usize) -> RecordBuffer {
    let market = PREDICTED.iter().find(|entry| entry.2 == channel).unwrap().0;
    records(market, &notification(channel, data(channel, nth)))
}

fn outcome(frame: &str) -> Result<Outcome, DecodeError> {
    let mut records = RecordBuffer::default();
    let outcome = own_decoder("perpetual").decode(frame.as_bytes(), RECEIVE_NS, &mut records);
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

/// The record of this kind among those of a ticker.
macro_rules! one_of {
    ($records:expr, $kind:ident) => {
        $records
            .iter()
            .find_map(|record| match record {
                RecordRef::$kind(record) => Some(*record),
                _ => None,
            })
            .unwrap()
    };
}

#[test]
fn both_paths_read_every_frame_that_is_predicted() {
    for (market, count, frame) in predicted_frames() {
        let mut decoder = own_decoder(market);
        let (kind, fast, general, _) = both(&mut decoder, frame.as_bytes());
        assert!(kind.is_some(), "{frame}");
        assert!(general.is_ok(), "{frame}: {general:?}");
        assert_eq!(fast.iter().count(), count, "{frame}");
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

fn book(records: &RecordBuffer) -> (Book, Vec<(String, String)>) {
    let [RecordRef::Book(book, levels)] = records.iter().collect::<Vec<_>>()[..] else { panic!() };
    let levels = levels
        .iter()
        .map(|l| (text(l.price, book.header.price_exponent), text(l.quantity, book.header.quantity_exponent)))
        .collect();
    (*book, levels)
}

fn levels(texts: &[(&str, &str)]) -> Vec<(String, String)> {
    texts.iter().map(|(price, quantity)| ((*price).to_owned(), (*quantity).to_owned())).collect()
}

#[test]
fn a_book_starts_with_a_snapshot_and_goes_on_with_changes() {
    let channel = "book.BTC-24SEP21-8000-P.100ms";
    let (snapshot, found) = book(&own(channel, 0));
    assert_eq!((snapshot.header.kind, snapshot.header.flags), (Kind::BookSnapshot as u8, flag::SNAPSHOT));
    assert_eq!((snapshot.header.sequence, snapshot.first_id, snapshot.previous_id), (33195894164, 0, ABSENT));
    assert_eq!((snapshot.bid_levels, snapshot.ask_levels), (1, 3));
    assert_eq!(snapshot.header.exchange_ns, 1_626_993_722_319_000_000);
    assert_eq!(found[..2], levels(&[("0.0005", "153.1"), ("0.0015", "94.7")]));
    let (change, _) = book(&own(channel, 1));
    assert_eq!((change.header.kind, change.header.flags), (Kind::BookDelta as u8, 0));
    assert_eq!((change.header.sequence, change.previous_id), (33195894355, 33195894164));
    let (deletion, found) = book(&own(channel, 2));
    assert_eq!(deletion.previous_id as u64, change.header.sequence);
    assert_eq!(found, levels(&[("0.0005", "200"), ("0.0010", "0")]));
    let (empty, found) = book(&own("book.ETH-27AUG21-4000-P.100ms", 0));
    assert_eq!((empty.header.sequence, found.len()), (13167318455, 0));
}

#[test]
fn a_deleted_level_has_no_quantity_whatever_is_sent() {
    let data = r#"{"type":"change","timestamp":1,"prev_change_id":1,"instrument_name":"BTC-PERPETUAL","change_id":2,"bids":[["delete",1.5,7.0]],"asks":[]}"#;
    let (_, found) = book(&records("perpetual", &notification("book.BTC-PERPETUAL.raw", data)));
    assert_eq!(found, levels(&[("1.5", "0")]));
}

#[test]
fn a_message_without_type_is_a_change_if_it_names_the_one_before() {
    let (snapshot, _) = book(&records("option", GENERAL[3].2));
    assert_eq!((snapshot.header.kind, snapshot.previous_id), (Kind::BookSnapshot as u8, ABSENT));
    assert_eq!((snapshot.bid_levels, snapshot.ask_levels), (1, 1));
    let (change, _) = book(&records("option", GENERAL[4].2));
    assert_eq!((change.header.kind, change.previous_id), (Kind::BookDelta as u8, 1));
    let odd = predicted_frames()[0].2.replace("\"snapshot\"", "\"other\"");
    assert!(matches!(
        own_decoder("option").general(odd.as_bytes(), 0, &mut RecordBuffer::default()),
        Err(DecodeError::Field { field: "type", .. })
    ));
}

#[test]
fn grouped_books_are_partial() {
    let (top, found) = book(&own("book.BTC-PERPETUAL.none.20.100ms", 0));
    assert_eq!(top.header.kind, Kind::BookSnapshot as u8);
    assert_eq!(top.header.flags, flag::SNAPSHOT | flag::PARTIAL);
    assert_eq!((top.header.sequence, top.previous_id), (136725664747, ABSENT));
    assert_eq!(found, levels(&[("89532.5", "254900.0"), ("89532.0", "10.0"), ("89533.0", "91570.0")]));
}

/// The trades and the liquidations among the records.
fn trades(records: &RecordBuffer) -> (Vec<DetailedTrade>, Vec<Liquidation>) {
    let (mut trades, mut liquidations) = (vec![], vec![]);
    for record in records.iter() {
        match record {
            RecordRef::DetailedTrade(record) => trades.push(*record),
            RecordRef::Liquidation(record) => liquidations.push(*record),
            other => panic!("{other:?}"),
        }
    }
    (trades, liquidations)
}

#[test]
fn trades_keep_all_that_the_venue_tells() {
    let trade = only!(own("trades.BTC-PERPETUAL.100ms", 0), DetailedTrade);
    let header = trade.trade.header;
    assert_eq!((header.kind, header.flags, header.instrument), (Kind::DetailedTrade as u8, 0, 1));
    assert_eq!((header.sequence, text_of(&trade.trade_id)), (271_252_854, "403691824"));
    assert_eq!(header.exchange_ns, 1_765_531_356_452_000_000);
    assert_eq!((trade.trade.side, trade.trade.event_ns), (Side::Sell as u8, TIME_MISSING));
    let price = |mantissa| text(mantissa, header.price_exponent);
    assert_eq!(price(trade.trade.price), "92294.50");
    assert_eq!((price(trade.mark_price), price(trade.index_price)), ("92287.11".into(), "92276.75".into()));
    assert_eq!(text(trade.trade.quantity, header.quantity_exponent), "10.0");
    assert_eq!((trade.implied_volatility, trade.liquidation), (ABSENT, 0));
    assert_eq!((trade.block, trade.combo), (0, 1));
    let option = only!(own("trades.option.any.100ms", 0), DetailedTrade);
    assert_eq!(text(option.implied_volatility, option.volatility_exponent), "78.44");
    assert_eq!((option.block, option.combo, option.trade.side), (1, 0, Side::Buy as u8));
}

#[test]
fn a_trade_may_come_alone_and_with_a_number_for_its_id() {
    let trade = only!(records("perpetual", GENERAL[2].2), DetailedTrade);
    assert_eq!(text_of(&trade.trade_id), "403691824");
    assert_eq!((trade.mark_price, trade.index_price), (ABSENT, ABSENT));
}

#[test]
fn legs_of_a_combo_are_not_trades_of_its_channel() {
    let trade = only!(records("combo", GENERAL[0].2), DetailedTrade);
    assert_eq!((text_of(&trade.trade_id), trade.combo), ("244365193", 1));
}

#[test]
fn a_liquidation_names_the_side_of_the_liquidated() {
    let channel = "trades.BTC-PERPETUAL.100ms";
    let data = data(channel, 1);
    for (flag, party, expected) in [
        ("T", LiquidatedParty::Taker, &[(Side::Buy, "taker")][..]),
        ("M", LiquidatedParty::Maker, &[(Side::Sell, "maker")]),
        ("MT", LiquidatedParty::Both, &[(Side::Buy, "taker"), (Side::Sell, "maker")]),
    ] {
        let data = data.replace("\"liquidation\":\"T\"", &format!("\"liquidation\":\"{flag}\""));
        let (trades, liquidations) = trades(&records("perpetual", &notification(channel, &data)));
        assert_eq!((trades[0].liquidation, trades[1].liquidation), (0, party as u8));
        let found: Vec<_> = liquidations.iter().map(|l| (l.side, text_of(&l.status))).collect();
        let expected: Vec<_> = expected.iter().map(|(side, status)| (*side as u8, *status)).collect();
        assert_eq!(found, expected);
        for liquidation in liquidations {
            let header = liquidation.header;
            assert_eq!((header.kind, header.sequence), (Kind::Liquidation as u8, 92_836_832));
            assert_eq!(header.exchange_ns, 1_616_321_478_553_000_000);
            assert_eq!(text(liquidation.price, header.price_exponent), "56168.00");
            assert_eq!(liquidation.average_price, liquidation.price);
            assert_eq!(text(liquidation.quantity, header.quantity_exponent), "60.0");
            assert_eq!(liquidation.filled_quantity, liquidation.quantity);
            assert_eq!(liquidation.last_quantity, ABSENT);
        }
    }
}

#[test]
fn a_list_of_trades_is_taken_whole_or_not_at_all() {
    let channel = "trades.BTC-PERPETUAL.100ms";
    let data = data(channel, 1);
    let cut = data.replace("\"price\":56168.0,\"mark_price\":56172.08,\"instrument_name\":\"BTC-PERPETUAL\",\"index_price\":56173.74,\"direction\":\"buy\",\"amount\":60.0", "\"amount\":60.0");
    assert_ne!(cut, data);
    assert!(outcome(&notification(channel, &cut)).is_err());
    let foreign = data.replacen("BTC-PERPETUAL", "BTC-OTHER", 2).replacen("BTC-OTHER", "BTC-PERPETUAL", 1);
    assert_eq!(
        outcome(&notification(channel, &foreign)),
        Err(DecodeError::UnknownSymbol("BTC-OTHER".into()))
    );
    let long = data.replace("137487242", "1374872421374872421374872");
    assert!(matches!(
        outcome(&notification(channel, &long)),
        Err(DecodeError::Field { field: "trade_id", .. })
    ));
}

#[test]
fn quotes() {
    let quote = only!(own("quote.BTC-PERPETUAL", 0), Quote);
    let header = quote.header;
    assert_eq!((header.sequence, header.exchange_ns), (0, 1_765_541_767_174_000_000));
    assert_eq!(text(quote.bid_price, header.price_exponent), "92288.0");
    assert_eq!(text(quote.ask_price, header.price_exponent), "92288.5");
    assert_eq!(text(quote.bid_quantity, header.quantity_exponent), "133440.0");
    assert_eq!(text(quote.ask_quantity, header.quantity_exponent), "99470.0");
}

#[test]
fn an_empty_side_of_a_quote_is_absent() {
    for (price, amount) in [("0.0", "0.0"), ("null", "null"), ("null", "0.0"), ("0.0", "null")] {
        let data = format!(
            r#"{{"timestamp":1,"instrument_name":"BTC-PERPETUAL","best_ask_price":{price},"best_bid_price":92288.0,"best_ask_amount":{amount},"best_bid_amount":5.0}}"#
        );
        let quote = only!(records("perpetual", &notification("quote.BTC-PERPETUAL", &data)), Quote);
        assert_eq!((quote.ask_price, quote.ask_quantity), (ABSENT, ABSENT), "{price} {amount}");
        assert_eq!(text(quote.bid_price, quote.header.price_exponent), "92288.0");
    }
    // Spreads are quoted at zero, too.
    let spread = r#"{"timestamp":1,"instrument_name":"BTC-PERPETUAL","best_ask_price":0.0,"best_bid_price":-1.5,"best_ask_amount":10.0,"best_bid_amount":5.0}"#;
    let quote = only!(records("combo", &notification("quote.BTC-PERPETUAL", spread)), Quote);
    assert_eq!((quote.ask_price, quote.bid_price), (0, -15));
}

#[test]
fn a_ticker_becomes_a_record_of_each_kind_that_it_has_fields_for() {
    let kinds =
        |records: RecordBuffer| records.iter().map(|record| record.kind().unwrap()).collect::<Vec<_>>();
    let common = [Kind::Ticker, Kind::MarkPrice, Kind::OpenInterest];
    assert_eq!(kinds(own("ticker.BTC-PERPETUAL.100ms", 0)), [&common[..], &[Kind::FundingRate]].concat());
    assert_eq!(kinds(own("ticker.BTC-30SEP22-60000-C.100ms", 0)), [&common[..], &[Kind::Greeks]].concat());
    assert_eq!(kinds(own("ticker.BTC_USDC-27MAR26.agg2", 0)), common);
    let spot =
        r#"{"timestamp":1,"instrument_name":"BTC_USDC-27MAR26","last_price":1.5,"stats":{"volume":2}}"#;
    assert_eq!(kinds(records("spot", &notification("ticker.BTC_USDC-27MAR26.100ms", spot))), [Kind::Ticker]);
}

#[test]
fn ticker_of_an_inverse_perpetual() {
    let records = own("ticker.BTC-PERPETUAL.100ms", 0);
    let ticker = one_of!(records, Ticker);
    let header = ticker.header;
    assert_eq!(header.exchange_ns, 1_765_541_474_086_000_000);
    let price = |mantissa| text(mantissa, header.price_exponent);
    assert_eq!((price(ticker.last), price(ticker.bid_price)), ("92283.5".into(), "92283.5".into()));
    assert_eq!(text(ticker.ask_quantity, header.quantity_exponent), "186520.0");
    assert_eq!((ticker.open, ticker.weighted_average, ticker.trades), (ABSENT, ABSENT, ABSENT));
    assert_eq!((ticker.open_ns, ticker.close_ns), (TIME_MISSING, TIME_MISSING));
    let mark = one_of!(records, MarkPrice);
    let price = |mantissa| text(mantissa, mark.header.price_exponent);
    assert_eq!((price(mark.mark_price), price(mark.index_price)), ("92281.78".into(), "92263.55".into()));
    assert_eq!((price(mark.settlement_price), mark.average_price), ("92263.55".into(), ABSENT));
    let interest = one_of!(records, OpenInterest);
    assert_eq!(text(interest.open_interest, interest.header.quantity_exponent), "1132329370.0");
    assert_eq!((interest.open_interest_value, interest.open_interest_base), (ABSENT, ABSENT));
    let funding = one_of!(records, FundingRate);
    assert_eq!(text(funding.rate, funding.rate_exponent), "0.0");
    assert_eq!(text(funding.realised_rate, funding.realised_exponent), "0.00001742");
    assert_eq!(text(funding.interest_rate, funding.interest_exponent), "0.0028213400122472977");
    assert_eq!(
        (funding.next_funding_ns, funding.interval_ns, funding.premium),
        (TIME_MISSING, ABSENT, ABSENT)
    );
}

#[test]
fn ticker_of_an_option() {
    let records = own("ticker.BTC-30SEP22-60000-C.100ms", 0);
    let greeks = one_of!(records, Greeks);
    let expected = [
        "0.05785", "0.00001", "20.05335", "-5.65962", "4.91491", "", "", "", "", "67.7", "67.16", "68.65",
        "", "30220.5", "0.0", "",
    ];
    for ((number, exponent), expected) in greeks.numbers().into_iter().zip(greeks.exponents).zip(expected) {
        let found = if number == ABSENT { String::new() } else { text(number, exponent) };
        assert_eq!(found, expected);
    }
    let ticker = one_of!(records, Ticker);
    assert_eq!(text(ticker.volume, ticker.header.quantity_exponent), "16.7");
    assert_eq!((ticker.base_volume, ticker.quote_volume), (ABSENT, ABSENT));
}

#[test]
fn an_option_that_never_traded_has_a_ticker_without_prices() {
    let records = own("ticker.ETH-27AUG21-4000-P.100ms", 0);
    let ticker = one_of!(records, Ticker);
    assert_eq!((ticker.last, ticker.high, ticker.low, ticker.volume), (ABSENT, ABSENT, ABSENT, ABSENT));
    assert_eq!((ticker.bid_price, ticker.bid_quantity), (ABSENT, ABSENT));
    assert_eq!((ticker.ask_price, ticker.ask_quantity), (ABSENT, ABSENT));
    let greeks = one_of!(records, Greeks);
    assert_eq!((greeks.bid_volatility, greeks.ask_volatility), (0, 0));
    assert_eq!(one_of!(records, OpenInterest).open_interest, 8);
}

#[test]
fn indexes() {
    let index = only!(own("deribit_price_index.btc_usd", 0), MarkPrice);
    assert_eq!(text(index.index_price, index.header.price_exponent), "3937.89");
    assert_eq!((index.mark_price, index.settlement_price, index.average_price), (ABSENT, ABSENT, ABSENT));
    assert_eq!(index.header.exchange_ns, 1_550_588_002_899_000_000);
    let volatility = only!(own("deribit_volatility_index.btc_usd", 0), VolatilityIndex);
    assert_eq!(text(volatility.volatility, volatility.header.price_exponent), "129.36");
    assert_eq!(volatility.header.exchange_ns, 1_619_777_946_007_000_000);
}

#[test]
fn candles_last_as_long_as_their_channel_says() {
    let candle = only!(own("chart.trades.BTC-PERPETUAL.1", 0), Candle);
    assert_eq!((candle.header.instrument, candle.header.exchange_ns), (1, TIME_MISSING));
    assert_eq!((candle.open_ns, candle.close_ns), (1_767_200_040_000_000_000, 1_767_200_099_999_000_000));
    let price = |mantissa| text(mantissa, candle.header.price_exponent);
    assert_eq!(
        [candle.open, candle.high, candle.low, candle.close].map(price),
        ["87490.0", "87500.0", "87465.0", "87474.0"]
    );
    assert_eq!(text(candle.volume, candle.header.quantity_exponent), "0.95978896");
    assert_eq!(text(candle.quote_volume, candle.quote_volume_exponent), "83970.0");
    assert_eq!((candle.closed, candle.trades, text_of(&candle.interval)), (0, ABSENT, "1"));
    let data = data("chart.trades.BTC-PERPETUAL.1", 0);
    let day = only!(records("perpetual", &notification("chart.trades.BTC-PERPETUAL.1D", data)), Candle);
    assert_eq!(day.close_ns - day.open_ns, 86_399_999_000_000);
    assert_eq!(text_of(&day.interval), "1D");
    let odd = notification("chart.trades.BTC-PERPETUAL.7", data);
    assert!(matches!(outcome(&odd), Err(DecodeError::UnknownEvent(_))));
}

#[test]
fn heartbeats_are_answered_where_the_venue_asks() {
    let test = r#"{"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}"#;
    let Ok(Outcome::Reply(reply)) = outcome(test) else { panic!() };
    assert_eq!(reply, r#"{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}"#);
    let answer = r#"{"jsonrpc":"2.0","id":0,"result":{"version":"1.2.26"},"usIn":1699999999000000,"usOut":1699999999000100,"usDiff":100,"testnet":false}"#;
    assert_eq!(outcome(answer), Ok(Outcome::Alive));
    let heartbeat = r#"{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}"#;
    assert_eq!(outcome(heartbeat), Ok(Outcome::Alive));
}

#[test]
fn answers_name_their_request_and_what_was_accepted() {
    for (frame, id, accepted) in [
        (
            r#"{"jsonrpc":"2.0","id":7,"result":["ticker.X.100ms","book.X.100ms"],"usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#,
            Some(7),
            Accepted::Only(vec!["ticker.X.100ms".into(), "book.X.100ms".into()]),
        ),
        (r#"{"jsonrpc":"2.0","id":7,"result":[]}"#, Some(7), Accepted::Only(vec![])),
        (r#"{"jsonrpc":"2.0","id":9,"result":"ok"}"#, Some(9), Accepted::All),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"access_token":"a","scope":"connection"}}"#,
            Some(1),
            Accepted::All,
        ),
        (r#"{"jsonrpc":"2.0","result":"ok"}"#, None, Accepted::All),
    ] {
        assert_eq!(outcome(frame), Ok(Outcome::Acknowledged { id, accepted }), "{frame}");
    }
    assert!(matches!(outcome(r#"{"jsonrpc":"2.0","id":7,"result":[1]}"#), Err(DecodeError::Field { .. })));
}

#[test]
fn errors_are_refusals_in_the_words_of_the_venue() {
    for (frame, id, reason) in [
        (
            r#"{"jsonrpc":"2.0","id":11,"error":{"message":"raw_subscriptions_not_available_for_unauthorized","code":13778},"usIn":1642494034550822,"usOut":1642494034551046,"usDiff":224,"testnet":false}"#,
            Some(11),
            "13778 raw_subscriptions_not_available_for_unauthorized",
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"message":"Invalid params","data":{"reason":"value must be a list","param":"channels"},"code":-32602},"testnet":false,"usIn":1,"usOut":2,"usDiff":1}"#,
            None,
            r#"-32602 Invalid params {"reason":"value must be a list","param":"channels"}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"code":11050,"message":"bad_request","data":"invalid json"}}"#,
            None,
            "11050 bad_request invalid json",
        ),
        (
            r#"{"jsonrpc":"2.0","id":0,"error":{"code":10028,"message":"too_many_requests"}}"#,
            Some(0),
            "10028 too_many_requests",
        ),
    ] {
        assert_eq!(outcome(frame), Ok(Outcome::Refused { id, reason: reason.to_owned() }), "{frame}");
    }
}

#[test]
fn changes_of_instruments_are_told() {
    let data = r#"{"timestamp":1553080940000,"state":"created","instrument_name":"BTC-22MAR19"}"#;
    assert_eq!(outcome(&notification("instrument.state.any.any", data)), Ok(Outcome::InstrumentsChanged));
}

#[test]
fn what_is_not_known_is_named() {
    let unknown = outcome(&notification("platform_state", r#"{"maintenance":true}"#));
    assert_eq!(unknown, Err(DecodeError::UnknownEvent("platform_state".into())));
    let method = r#"{"jsonrpc":"2.0","method":"news","params":{}}"#;
    assert_eq!(outcome(method), Err(DecodeError::UnknownEvent("news".into())));
    let symbol = notification("quote.DOGE_USDC", r#"{"timestamp":1,"best_ask_price":1,"best_ask_amount":1}"#);
    assert_eq!(outcome(&symbol), Err(DecodeError::UnknownSymbol("DOGE_USDC".into())));
    for frame in ["[]", "{}", "1", "null"] {
        assert!(matches!(outcome(frame), Err(DecodeError::Shape(_))), "{frame}");
    }
}

#[test]
fn instruments_are_learned_on_the_way() {
    let frame = notification(
        "quote.DOGE_USDC",
        r#"{"timestamp":1,"instrument_name":"DOGE_USDC","best_bid_price":1,"best_bid_amount":2}"#,
    );
    let mut decoder = own_decoder("spot");
    let mut records = RecordBuffer::default();
    assert!(decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records).is_err());
    decoder.learn(b"DOGE_USDC", 77);
    decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records).unwrap();
    assert_eq!(only!(records, Quote).header.instrument, 77);
}

// What the system before this one got wrong.

#[test]
fn wrong_before_ticker_statistics_are_read_where_the_venue_nests_them() {
    let ticker = one_of!(own("ticker.BTC-PERPETUAL.100ms", 0), Ticker);
    assert_eq!(text(ticker.high, ticker.header.price_exponent), "93612.0");
    assert_eq!(text(ticker.low, ticker.header.price_exponent), "89277.5");
    let linear = one_of!(own("ticker.BTC_USDC-27MAR26.agg2", 0), Ticker);
    assert_eq!(text(linear.volume, linear.header.quantity_exponent), "12.50");
    assert_eq!(
        (linear.base_volume, text(linear.quote_volume, linear.quote_volume_exponent)),
        (ABSENT, "1150000.0".into())
    );
}

#[test]
fn wrong_before_every_trade_has_the_side_of_its_aggressor() {
    let (trades, _) = trades(&own("trades.BTC-PERPETUAL.100ms", 1));
    assert_eq!(trades.iter().map(|trade| trade.trade.side).collect::<Vec<_>>(), [Side::Buy as u8; 2]);
    let channel = "trades.BTC-PERPETUAL.100ms";
    let without = notification(channel, &data(channel, 0).replace("\"direction\":\"sell\",", ""));
    assert_eq!(outcome(&without), Err(DecodeError::Missing("direction")));
}

#[test]
fn wrong_before_amounts_of_inverse_perpetuals_are_dollars_already() {
    let trade = only!(own("trades.BTC-PERPETUAL.100ms", 0), DetailedTrade);
    assert_eq!(text(trade.trade.quantity, trade.trade.header.quantity_exponent), "10.0");
    // Nor are base coins given out as a quantity.
    let ticker = one_of!(own("ticker.BTC-PERPETUAL.100ms", 0), Ticker);
    assert_eq!(ticker.volume, ABSENT);
    assert_eq!(text(ticker.base_volume, ticker.base_volume_exponent), "11897.27640428");
    assert_eq!(text(ticker.quote_volume, ticker.quote_volume_exponent), "1092371540.0");
}

#[test]
fn wrong_before_fills_of_one_millisecond_are_all_kept() {
    let (trades, _) = trades(&own("trades.BTC-PERPETUAL.100ms", 1));
    assert_eq!(trades[0].trade.header.exchange_ns, trades[1].trade.header.exchange_ns);
    assert_eq!(trades[1].trade.header.sequence - trades[0].trade.header.sequence, 1);
}

#[test]
fn wrong_before_a_missing_time_is_not_replaced_by_another() {
    let channel = "trades.BTC-PERPETUAL.100ms";
    let untimed = data(channel, 0).replace("\"timestamp\":1765531356452,", "");
    let trade = only!(records("perpetual", &notification(channel, &untimed)), DetailedTrade);
    assert_eq!((trade.trade.header.exchange_ns, trade.trade.header.receive_ns), (TIME_MISSING, RECEIVE_NS));
}

#[test]
fn wrong_before_trades_come_as_a_list_or_as_one() {
    let channel = "trades.BTC-PERPETUAL.100ms";
    let list = records("perpetual", &notification(channel, data(channel, 0)));
    let one = data(channel, 0).trim_start_matches('[').trim_end_matches(']');
    assert_eq!(records("perpetual", &notification(channel, one)).lines(), list.lines());
}

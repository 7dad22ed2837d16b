//! What the replaced system stored wrong of this venue. Each test is named after what is right.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_core::RecordRef;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::Instrument;
use marketprism_core::record::{ABSENT, LongShortRatio, RecordBuffer, Side, text_of};
use marketprism_core::venue::Venue;
use marketprism_okx::Okx;

const NS_PER_HOUR: i64 = 3_600_000_000_000;

#[test]
fn the_funding_rate_is_the_upcoming_one_and_the_settled_one_stands_beside_it() {
    let funding = only!(records("swap", FUNDING), FundingRate);
    assert_eq!(text(funding.rate, funding.rate_exponent), "0.0001875391284828");
    assert_eq!(text(funding.realised_rate, funding.realised_exponent), "0.0001699799259033");
}

#[test]
fn the_time_of_a_funding_rate_is_that_of_the_message() {
    let funding = only!(records("swap", FUNDING), FundingRate);
    assert_eq!(funding.header.exchange_ns, 1_700_724_675_402_000_000);
    assert_eq!(funding.next_funding_ns, 1_700_726_400_000_000_000);
}

#[test]
fn the_funding_interval_is_the_venues_and_never_assumed() {
    let interval = |frame: &str| only!(records("swap", frame), FundingRate).interval_ns;
    assert_eq!(interval(FUNDING), 8 * NS_PER_HOUR, "next minus this");
    let without_next = FUNDING.replace(r#""nextFundingTime":"1700755200000","#, "");
    assert_eq!(interval(&without_next), 4 * NS_PER_HOUR, "this minus previous");
    let empty_next = FUNDING.replace("1700755200000", "");
    assert_eq!(interval(&empty_next), 4 * NS_PER_HOUR);
    let next_is_this = FUNDING.replace("1700755200000", "1700726400000");
    assert_eq!(interval(&next_is_this), 4 * NS_PER_HOUR);
    let neither = without_next.replace(r#""prevFundingTime":"1700712000000","#, "");
    assert_eq!(interval(&neither), ABSENT);
    let without_time = FUNDING.replace(r#""fundingTime":"1700726400000""#, r#""fundingTime":"""#);
    let funding = only!(records("swap", &without_time), FundingRate);
    assert_eq!((funding.interval_ns, funding.next_funding_ns), (ABSENT, TIME_MISSING));
}

#[test]
fn what_a_funding_message_does_not_have_is_absent_and_not_zero() {
    let funding = only!(records("swap", FUNDING), FundingRate);
    assert_eq!(funding.interest_rate, ABSENT);
    assert_eq!(text(funding.premium, funding.premium_exponent), "-0.0001233824646391");
    let without_premium = FUNDING.replace("-0.0001233824646391", "");
    assert_eq!(only!(records("swap", &without_premium), FundingRate).premium, ABSENT);
}

#[test]
fn the_value_of_open_interest_is_in_dollars_and_not_in_coins() {
    let record = only!(records("swap", OPEN_INTEREST), OpenInterest);
    assert_eq!(text(record.open_interest, record.header.quantity_exponent), "2216113.01000000309");
    assert_eq!(text(record.open_interest_value, record.value_exponent), "1939251795.54");
    assert_eq!(text(record.open_interest_base, record.base_exponent), "22161.1301000000309");
}

fn ratios(ratio: &str) -> Vec<LongShortRatio> {
    let instrument = Instrument { id: 9, ..Instrument::unknown("okx", "swap", "BTC-USDT-SWAP") };
    let body = format!(r#"{{"code":"0","msg":"","data":[["1701417600000","{ratio}"]]}}"#);
    let polls = Okx.polls(market("swap"), "long_short_ratio", &instrument);
    assert_eq!(polls.len(), 3);
    polls
        .iter()
        .map(|poll| {
            let mut records = RecordBuffer::default();
            Okx.parse_poll(market("swap"), poll, body.as_bytes(), (1, RECEIVE_NS), &mut records).unwrap();
            only!(records, LongShortRatio)
        })
        .collect()
}

#[test]
fn a_long_short_ratio_up_to_one_is_a_ratio_too() {
    for (ratio, long, short) in [
        ("1.1739", "0.539997239983", "0.460002760017"),
        ("0.25", "0.200000000000", "0.800000000000"),
        ("1", "0.500000000000", "0.500000000000"),
    ] {
        for record in ratios(ratio) {
            assert_eq!(text(record.ratio, record.ratio_exponent), ratio);
            assert_eq!(text(record.long_share, record.share_exponent), long);
            assert_eq!(text(record.short_share, record.share_exponent), short);
        }
    }
}

#[test]
fn long_short_ratios_are_those_of_the_instrument_and_have_the_period_that_was_asked_for() {
    let instrument = Instrument::unknown("okx", "swap", "BTC-USDT-SWAP");
    for poll in Okx.polls(market("swap"), "long_short_ratio", &instrument) {
        assert!(poll.request.path.contains("instId=BTC-USDT-SWAP&period=5m"), "{}", poll.request.path);
    }
    assert!(ratios("1").iter().all(|record| text_of(&record.period) == "5m"));
}

#[test]
fn every_liquidation_of_every_instrument_is_kept_with_its_own_time() {
    let records = records("swap", LIQUIDATIONS);
    let found: Vec<_> = records
        .iter()
        .map(|record| match record {
            RecordRef::Liquidation(r) => {
                let symbol = SYMBOLS[r.header.instrument as usize - 1];
                (symbol, text(r.price, r.header.price_exponent), r.quantity, r.header.exchange_ns / 1_000_000)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ("IOST-USDT-SWAP", "0.007831".to_owned(), 13, 1_692_266_434_010),
        ("IOST-USDT-SWAP", "0.0078".to_owned(), 4, 1_692_266_433_010),
        ("BTC-USDT-SWAP", "30000".to_owned(), 1, 1_692_266_434_020),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_liquidation_has_the_side_of_the_order_and_that_of_the_position() {
    let records = records("swap", LIQUIDATIONS);
    let Some(RecordRef::Liquidation(first)) = records.iter().next() else { panic!() };
    assert_eq!((first.side, text_of(&first.status)), (Side::Buy as u8, "short"));
    assert_eq!((first.average_price, first.filled_quantity, first.last_quantity), (ABSENT, ABSENT, ABSENT));
}

#[test]
fn a_candle_is_an_array() {
    let candle = only!(records("spot", CANDLE), Candle);
    assert_eq!(text(candle.high, candle.header.price_exponent), "8553.74");
    let object = CANDLE.replace("[[", "[{\"o\":[").replace("]]", "]}]");
    assert!(outcome("spot", &object).is_err());
}

#[test]
fn trades_of_one_millisecond_are_all_kept() {
    let (_, _, _, frame) = GENERAL.iter().find(|(.., frame)| frame.matches("tradeId").count() == 2).unwrap();
    let records = records("spot", frame);
    let trades: Vec<_> = records.iter().map(|r| (r.header().sequence, r.header().exchange_ns)).collect();
    assert_eq!(trades, [(1, 1_630_048_897_897_000_000), (2, 1_630_048_897_897_000_000)]);
}

#[test]
fn the_count_of_a_trade_says_which_ids_it_covers() {
    let (market, frame) = PREDICTED[0];
    let trade = only!(records(market, frame), Trade);
    assert_eq!((trade.first_id(), trade.header.sequence), (130_639_472, 130_639_474));
}

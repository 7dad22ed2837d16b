//! Every captured frame: which path reads it, whether both agree, and whether every digit survives. The frames are
//! read a second time by `serde_json`, which leaves every number as it was written.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::*;
use marketprism_core::RecordRef;
use marketprism_core::clock::NS_PER_MS;
use marketprism_core::record::{ABSENT, Book, Header, Level, RecordBuffer, flag};
use marketprism_core::venue::{Accepted, Decoder, Outcome};
use marketprism_deribit::FrameDecoder;
use serde_json::Value;
use serde_json::value::RawValue;

/// Files of notifications, with a decoder that knows their instruments.
fn notifications() -> Vec<(Channel, FrameDecoder)> {
    channels()
        .into_iter()
        .filter(|channel| channel.name != "control")
        .map(|channel| {
            let symbols = symbols_of(&channel.frames);
            let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
            let decoder = FrameDecoder::new(&channel.market, table(&names));
            (channel, decoder)
        })
        .collect()
}

#[test]
fn every_captured_frame_is_predicted_and_both_paths_agree() {
    for (channel, mut decoder) in notifications() {
        for frame in &channel.frames {
            let (kind, _, general, slow) = both(&mut decoder, frame.as_bytes());
            check_agreement(&mut decoder, frame.as_bytes());
            assert!(kind.is_some(), "{frame}");
            general.unwrap();
            check_digits(frame, &slow);
        }
    }
}

/// Whether the records say exactly what the text of the frame says.
fn check_digits(frame: &str, records: &RecordBuffer) {
    let (channel, data) = unwrapped(frame);
    let records: Vec<_> = records.iter().collect();
    for record in &records {
        let header = record.header();
        assert_eq!(header.receive_ns, RECEIVE_NS);
        assert_eq!(header.exchange_ns, integer(&data["timestamp"]) * NS_PER_MS, "{frame}");
    }
    match (channel.split('.').next().unwrap(), &records[..]) {
        ("book", [RecordRef::Book(book, levels)]) => check_book(book, levels, &data, frame),
        ("ticker", records) => check_ticker(records, &data, frame),
        (other, _) => panic!("{other}: {frame}"),
    }
}

fn check_book(book: &Book, levels: &[Level], data: &Members, frame: &str) {
    let sides = ["bids", "asks"].map(|side| {
        serde_json::from_str::<Vec<(String, Box<RawValue>, Box<RawValue>)>>(&data[side]).unwrap()
    });
    assert_eq!((sides[0].len(), sides[1].len()), (book.bid_levels.into(), book.ask_levels.into()));
    for (level, (action, price, amount)) in levels.iter().zip(sides.iter().flatten()) {
        same(level.price, book.header.price_exponent, Some(price.get()), frame);
        same(level.quantity, book.header.quantity_exponent, Some(amount.get()), frame);
        assert_eq!(action == "delete", level.quantity == 0, "{frame}");
    }
    assert_eq!(book.header.sequence as i64, integer(&data["change_id"]));
    let snapshot = data["type"] == "\"snapshot\"";
    assert_eq!(book.header.flags, if snapshot { flag::SNAPSHOT } else { 0 });
    assert_eq!(book.previous_id, data.get("prev_change_id").map_or(ABSENT, |id| integer(id)));
    assert_eq!(book.first_id, 0);
}

fn check_ticker(records: &[RecordRef<'_>], data: &Members, frame: &str) {
    let [
        RecordRef::Ticker(ticker),
        RecordRef::MarkPrice(mark),
        RecordRef::OpenInterest(interest),
        RecordRef::Greeks(greeks),
    ] = records
    else {
        panic!("{frame}")
    };
    let (statistics, sensitivities) = (members(&data["stats"]), members(&data["greeks"]));
    let price = |header: &Header, mantissa, sent: Option<&String>| {
        same(mantissa, header.price_exponent, sent.map(String::as_str), frame)
    };
    let quantity = |header: &Header, mantissa, sent: Option<&String>| {
        same(mantissa, header.quantity_exponent, sent.map(String::as_str), frame)
    };
    price(&ticker.header, ticker.last, data.get("last_price"));
    price(&ticker.header, ticker.high, statistics.get("high"));
    price(&ticker.header, ticker.low, statistics.get("low"));
    quantity(&ticker.header, ticker.volume, statistics.get("volume"));
    for (side, found_price, found_quantity) in
        [("bid", ticker.bid_price, ticker.bid_quantity), ("ask", ticker.ask_price, ticker.ask_quantity)]
    {
        let sent_price = &data[&format!("best_{side}_price")];
        let sent_quantity = &data[&format!("best_{side}_amount")];
        let empty = sent_price == "0.0" && sent_quantity == "0.0";
        price(&ticker.header, found_price, Some(sent_price).filter(|_| !empty));
        quantity(&ticker.header, found_quantity, Some(sent_quantity).filter(|_| !empty));
    }
    price(&mark.header, mark.mark_price, data.get("mark_price"));
    price(&mark.header, mark.index_price, data.get("index_price"));
    price(&mark.header, mark.settlement_price, data.get("estimated_delivery_price"));
    quantity(&interest.header, interest.open_interest, data.get("open_interest"));
    for ((name, number), exponent) in
        marketprism_core::record::Greeks::NAMES.iter().zip(greeks.numbers()).zip(greeks.exponents)
    {
        same(number, exponent, sensitivities.get(*name).or(data.get(*name)).map(String::as_str), frame);
    }
}

fn integer(text: &str) -> i64 {
    text.parse().unwrap()
}

/// The number again, digit for digit, but for zeros at the end.
fn same(mantissa: i64, exponent: i8, sent: Option<&str>, frame: &str) {
    let Some(sent) = sent.filter(|sent| *sent != "null") else {
        return assert_eq!(mantissa, ABSENT, "{frame}");
    };
    assert_eq!(short(&text(mantissa, exponent)), short(sent), "{frame}");
}

fn short(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[test]
fn acknowledgements_name_the_channels_that_were_taken() {
    for channel in channels().into_iter().filter(|channel| channel.name == "control") {
        let sent = read(&channel.folder.join("sent.jsonl"));
        let sent: Value = serde_json::from_str(sent.lines().next().unwrap()).unwrap();
        let request: Value = serde_json::from_str(sent["sent"].as_str().unwrap()).unwrap();
        let mut expected: Vec<String> =
            serde_json::from_value(request["params"]["channels"].clone()).unwrap();
        let mut records = RecordBuffer::default();
        let outcome = own_decoder("option").decode(channel.frames[0].as_bytes(), RECEIVE_NS, &mut records);
        let Ok(Outcome::Acknowledged { id: Some(0), accepted: Accepted::Only(mut accepted) }) = outcome
        else {
            panic!("{outcome:?}")
        };
        accepted.sort();
        expected.sort();
        assert_eq!(accepted, expected);
        assert!(records.is_empty());
    }
}

#[test]
fn each_change_of_a_captured_book_names_the_message_before_it() {
    for (channel, mut decoder) in notifications() {
        let mut last: BTreeMap<u32, u64> = BTreeMap::new();
        for frame in &channel.frames {
            let mut records = RecordBuffer::default();
            decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records).unwrap();
            for record in records.iter() {
                let RecordRef::Book(book, _) = record else { continue };
                let before = last.insert(book.header.instrument, book.header.sequence);
                assert_eq!(before, u64::try_from(book.previous_id).ok(), "{frame}");
            }
        }
    }
}

/// What `totals.json` holds of one side of a book, in units of 10^-12.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    messages: u64,
    levels: u64,
    zeros: u64,
    quantity: i128,
    price: i128,
}

impl Sums {
    fn of(value: &Value) -> Sums {
        let count = |key: &str| value[key].as_u64().unwrap();
        let sum = |key: &str| {
            let number: marketprism_core::Decimal = value[key].as_str().unwrap().parse().unwrap();
            fixed(number.mantissa, number.exponent)
        };
        Sums {
            messages: count("n"),
            levels: count("levels"),
            zeros: count("zero"),
            quantity: sum("sum_qty"),
            price: sum("sum_price"),
        }
    }

    fn add(&mut self, header: &Header, levels: &[Level]) {
        self.messages += 1;
        for level in levels {
            self.levels += 1;
            self.zeros += u64::from(level.quantity == 0);
            self.quantity += fixed(level.quantity, header.quantity_exponent);
            self.price += fixed(level.price, header.price_exponent);
        }
    }
}

fn fixed(mantissa: i64, exponent: i8) -> i128 {
    i128::from(mantissa) * 10i128.pow((12 + i32::from(exponent)) as u32)
}

#[test]
fn sums_are_those_of_a_pass_over_the_text() {
    let mut compared = 0;
    for (channel, mut decoder) in notifications() {
        let totals = read(&channel.folder.join("derived/totals.json"));
        let totals: Value = serde_json::from_str(&totals).unwrap();
        let Some(expected) = totals.get(&channel.name).and_then(Value::as_object) else { continue };
        let symbols = symbols_of(&channel.frames);
        let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
        for frame in &channel.frames {
            let mut records = RecordBuffer::default();
            decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records).unwrap();
            for record in records.iter() {
                let RecordRef::Book(book, levels) = record else { continue };
                let symbol = &symbols[book.header.instrument as usize - 1];
                let (bids, asks) = levels.split_at(book.bid_levels.into());
                sums.entry(format!("{symbol} bids")).or_default().add(&book.header, bids);
                sums.entry(format!("{symbol} asks")).or_default().add(&book.header, asks);
            }
        }
        let expected = expected.iter().map(|(key, value)| (key.clone(), Sums::of(value))).collect();
        assert_eq!(sums, expected, "{}", channel.name);
        compared += 1;
    }
    assert!(captures().is_none() || compared > 0);
}

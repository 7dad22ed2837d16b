//! Every captured frame: which path reads it, whether both agree, whether every digit survives, and whether the
//! books that they make have the venue's checksum.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::*;
use marketprism_core::clock::NS_PER_MS;
use marketprism_core::record::{ABSENT, Book, Header, RecordBuffer, Side, flag};
use marketprism_core::venue::{Accepted, Decoder, Outcome};
use marketprism_core::{Decimal, Kind, Level, RecordRef};
use marketprism_okx::FrameDecoder;
use serde_json::Value;

/// The files with data.
fn data_channels() -> impl Iterator<Item = Channel> {
    channels().into_iter().filter(|channel| channel.name != "control")
}

fn decoder_of(channel: &Channel) -> FrameDecoder {
    let symbols = symbols_of(&channel.frames);
    let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
    FrameDecoder::new(&channel.market, table(&names))
}

#[test]
fn every_captured_frame_is_predicted_and_both_paths_agree() {
    for channel in data_channels() {
        let mut decoder = decoder_of(&channel);
        for frame in &channel.frames {
            check_agreement(&mut decoder, frame.as_bytes());
            let (kind, records, ..) = both(&mut decoder, frame.as_bytes());
            assert!(kind.is_some(), "{}/{}: {frame}", channel.capture, channel.name);
            check_digits(&channel.market, frame, &records);
        }
        eprintln!("{}/{}/{}: {}", channel.market, channel.capture, channel.name, channel.frames.len());
    }
}

#[test]
fn captured_acknowledgements_name_their_streams() {
    for channel in channels().iter().filter(|channel| channel.name == "control") {
        for frame in &channel.frames {
            let sent: Value = serde_json::from_str(frame).unwrap();
            let argument = |key: &str| sent["arg"][key].as_str().unwrap().to_owned();
            let accepted = Accepted::Some(vec![format!("{}:{}", argument("channel"), argument("instId"))]);
            let expected = Outcome::Acknowledged { id: None, accepted };
            assert_eq!(outcome(&channel.market, frame), Ok(expected), "{frame}");
        }
    }
}

#[test]
fn captured_books_have_the_checksum_that_the_venue_gave() {
    let mut checked = 0;
    for channel in data_channels().filter(|channel| channel.name.starts_with("books")) {
        let mut decoder = decoder_of(&channel);
        let mut books: BTreeMap<u32, TestBook> = BTreeMap::new();
        for frame in &channel.frames {
            let mut records = RecordBuffer::default();
            decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records).unwrap();
            let (book, levels) = only_book(&records);
            let state = books.entry(book.header.instrument).or_default();
            state.apply(&book, &levels);
            if let Some(expected) = book.checksum() {
                assert_eq!(state.checksum(), expected, "{}/{}: {frame}", channel.capture, channel.name);
                checked += 1;
            }
        }
    }
    if captures().is_some() {
        assert_eq!(checked, 8_341, "every frame before 2026 has a checksum");
    }
}

/// A book as the engine has it: numbers, not texts.
#[derive(Default)]
struct TestBook {
    sides: [BTreeMap<String, (Decimal, Decimal)>; 2],
}

impl TestBook {
    fn apply(&mut self, book: &Book, levels: &[Level]) {
        if book.header.kind == Kind::BookSnapshot as u8 {
            *self = TestBook::default();
        }
        let (bids, asks) = levels.split_at(book.bid_levels.into());
        for (side, levels) in self.sides.iter_mut().zip([bids, asks]) {
            for level in levels {
                let price = Decimal::new(level.price, book.header.price_exponent).normalised();
                let quantity = Decimal::new(level.quantity, book.header.quantity_exponent).normalised();
                if quantity.is_zero() {
                    side.remove(&written(price));
                } else {
                    side.insert(written(price), (price, quantity));
                }
            }
        }
    }

    /// CRC-32 of `bid price:bid size:ask price:ask size:…` of the best 25 on each side.
    fn checksum(&self) -> u32 {
        let [mut bids, mut asks] = self.sides.clone().map(|side| side.into_values().collect::<Vec<_>>());
        bids.sort_by(|a, b| b.0.compare(a.0));
        asks.sort_by(|a, b| a.0.compare(b.0));
        let mut texts = Vec::new();
        for rank in 0..25 {
            for (price, quantity) in [bids.get(rank), asks.get(rank)].into_iter().flatten() {
                texts.extend([written(*price), written(*quantity)]);
            }
        }
        crc32fast::hash(texts.join(":").as_bytes())
    }
}

fn written(value: Decimal) -> String {
    value.rescale(value.exponent.min(0)).unwrap().to_string()
}

fn only_book(records: &RecordBuffer) -> (Book, Vec<Level>) {
    match records.iter().collect::<Vec<_>>()[..] {
        [RecordRef::Book(book, levels)] => (*book, levels.to_vec()),
        ref other => panic!("{other:?}"),
    }
}

/// Whether the record says exactly what the text of the frame says.
fn check_digits(market: &str, frame: &str, records: &RecordBuffer) {
    let sent: Value = serde_json::from_str(frame).unwrap();
    let entry = &sent["data"][0];
    let records: Vec<_> = records.iter().collect();
    let [record] = records[..] else { panic!("{frame}") };
    let header = record.header();
    assert_eq!((header.receive_ns, header.instrument > 0), (RECEIVE_NS, true));
    let milliseconds: i64 = entry["ts"].as_str().unwrap().parse().unwrap();
    assert_eq!(header.exchange_ns, milliseconds * NS_PER_MS, "{frame}");
    let price = |mantissa, field: &Value| same(mantissa, header.price_exponent, field, frame);
    let quantity = |mantissa, field: &Value| same(mantissa, header.quantity_exponent, field, frame);
    match record {
        RecordRef::Trade(trade) => {
            price(trade.price, &entry["px"]);
            quantity(trade.quantity, &entry["sz"]);
            assert_eq!(header.sequence.to_string(), entry["tradeId"].as_str().unwrap());
            assert_eq!(Side::name(trade.side), entry["side"].as_str());
            assert_eq!(trade.fills, 0, "no captured trade has a count");
        }
        RecordRef::Book(book, levels) => {
            check_ids(header, book, &sent);
            let sides = [&entry["bids"], &entry["asks"]].map(|side| side.as_array().unwrap());
            assert_eq!((sides[0].len(), sides[1].len()), (book.bid_levels.into(), book.ask_levels.into()));
            for (level, sent) in levels.iter().zip(sides[0].iter().chain(sides[1])) {
                price(level.price, &sent[0]);
                quantity(level.quantity, &sent[1]);
            }
        }
        RecordRef::Ticker(ticker) => {
            for (mantissa, key) in [
                (ticker.last, "last"),
                (ticker.open, "open24h"),
                (ticker.high, "high24h"),
                (ticker.low, "low24h"),
                (ticker.bid_price, "bidPx"),
                (ticker.ask_price, "askPx"),
            ] {
                price(mantissa, &entry[key]);
            }
            for (mantissa, key) in [
                (ticker.volume, "vol24h"),
                (ticker.last_quantity, "lastSz"),
                (ticker.bid_quantity, "bidSz"),
                (ticker.ask_quantity, "askSz"),
            ] {
                quantity(mantissa, &entry[key]);
            }
            let quote = (ticker.quote_volume, ticker.quote_volume_exponent);
            let base = (ticker.base_volume, ticker.base_volume_exponent);
            let (given, absent) = if market == "spot" { (quote, base) } else { (base, quote) };
            same(given.0, given.1, &entry["volCcy24h"], frame);
            assert_eq!(absent.0, ABSENT);
        }
        other => panic!("{other:?}"),
    }
}

fn check_ids(header: &Header, book: &Book, sent: &Value) {
    let entry = &sent["data"][0];
    let snapshot = sent["action"] == "snapshot";
    let kind = if snapshot { Kind::BookSnapshot } else { Kind::BookDelta };
    assert_eq!(header.kind, kind as u8);
    assert_eq!(header.sequence, entry["seqId"].as_u64().unwrap_or(0));
    assert_eq!(book.previous_id, entry["prevSeqId"].as_i64().unwrap_or(ABSENT));
    let checksum = entry["checksum"].as_i64().unwrap();
    let mut flags = if snapshot { flag::SNAPSHOT } else { 0 };
    if checksum != 0 {
        flags |= flag::CHECKSUM;
    }
    assert_eq!((header.flags, book.first_id), (flags, u64::from(checksum as i32 as u32)));
}

/// The number of the text; the empty text is none.
fn same(mantissa: i64, exponent: i8, sent: &Value, frame: &str) {
    let sent = sent.as_str().unwrap();
    if sent.is_empty() {
        assert_eq!(mantissa, ABSENT, "{frame}");
        return;
    }
    let written = text(mantissa, exponent);
    let rest = written.strip_prefix(sent).unwrap_or_else(|| panic!("{sent}: {frame}"));
    // Other values of the message may have more decimals.
    assert!(rest.bytes().all(|byte| matches!(byte, b'0' | b'.')), "{sent}, got {written}: {frame}");
    assert!(rest.is_empty() || sent.contains('.') || rest.starts_with('.'), "{sent}, got {written}: {frame}");
}

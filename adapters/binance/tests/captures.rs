//! Every captured frame: which path reads it, whether both agree, and whether every digit survives.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::*;
use marketprism_binance::FrameDecoder;
use marketprism_core::RecordRef;
use marketprism_core::clock::{NS_PER_MS, TIME_MISSING};
use marketprism_core::record::{ABSENT, Header, RecordBuffer, Side};
use serde_json::Value;

#[test]
fn every_captured_frame_is_predicted_and_both_paths_agree() {
    for channel in channels() {
        let symbols = symbols_of(&channel.frames);
        let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
        let mut decoder = FrameDecoder::new(&channel.market, table(&names));
        let mut predicted = 0;
        for frame in &channel.frames {
            let (kind, _, general, slow) = both(&mut decoder, frame.as_bytes());
            check_agreement(&mut decoder, frame.as_bytes());
            predicted += usize::from(kind.is_some());
            general.unwrap();
            check_digits(&channel, frame, &slow);
        }
        let share = predicted as f64 / channel.frames.len() as f64;
        eprintln!(
            "{}/{}/{}: {predicted} of {}",
            channel.market,
            channel.capture,
            channel.name,
            channel.frames.len()
        );
        assert!(channel.fixture || share >= 0.99, "{}/{}: {share}", channel.capture, channel.name);
    }
}

#[test]
fn sums_are_those_of_a_pass_over_the_text() {
    let mut compared: BTreeMap<String, usize> = BTreeMap::new();
    for channel in channels() {
        let Ok(totals) = std::fs::read_to_string(channel.folder.join("derived/totals.json")) else {
            continue;
        };
        let totals: Value = serde_json::from_str(&totals).unwrap();
        let Some(expected) = totals.get(&channel.name).and_then(Value::as_object) else { continue };
        let found = sums(&channel);
        for (key, expected) in expected {
            assert_eq!(
                found.get(key).unwrap_or_else(|| panic!("{key}")),
                &Sums::of(expected),
                "{} {key}",
                channel.name
            );
            *compared.entry(channel.market.clone()).or_default() += 1;
        }
        assert_eq!(found.len(), expected.len(), "{}", channel.name);
    }
    eprintln!("sums compared: {compared:?}");
    if captures().is_some() {
        for market in ["spot", "usdm", "coinm"] {
            assert!(compared.get(market).is_some_and(|count| *count > 0), "nothing compared for {market}");
        }
    }
}

/// Whether the records say exactly what the text of the frame says.
fn check_digits(channel: &Channel, frame: &str, records: &RecordBuffer) {
    let data = payload(frame);
    let records: Vec<_> = records.iter().collect();
    let record = records.first().unwrap();
    let header = record.header();
    assert_eq!(header.receive_ns, RECEIVE_NS);
    assert_eq!(header.exchange_ns, engine_time(&data), "{frame}");
    let price = |mantissa, field: &Value| same(mantissa, header.price_exponent, field, frame);
    let quantity = |mantissa, field: &Value| same(mantissa, header.quantity_exponent, field, frame);
    match record {
        RecordRef::Trade(r) => {
            price(r.price, &data["p"]);
            quantity(r.quantity, &data["q"]);
            check_id(header, &data["t"]);
            assert_eq!(r.side == Side::Sell as u8, data["m"].as_bool().unwrap());
            assert_eq!(r.event_ns, data["E"].as_i64().unwrap() * NS_PER_MS);
        }
        RecordRef::AggTrade(r) => {
            price(r.price, &data["p"]);
            quantity(r.quantity, &data["q"]);
            check_id(header, &data["a"]);
            assert_eq!(r.first_trade_id, data["f"].as_u64().unwrap());
            assert_eq!(r.last_trade_id, data["l"].as_u64().unwrap());
            assert_eq!(r.normal_quantity, ABSENT);
        }
        RecordRef::Book(r, levels) => {
            let sides = [&data["b"], &data["a"]].map(|side| side.as_array().unwrap());
            assert_eq!((sides[0].len(), sides[1].len()), (r.bid_levels.into(), r.ask_levels.into()));
            for (level, sent) in levels.iter().zip(sides[0].iter().chain(sides[1])) {
                price(level.price, &sent[0]);
                quantity(level.quantity, &sent[1]);
            }
            check_id(header, &data["u"]);
            assert_eq!(r.first_id, data["U"].as_u64().unwrap());
            assert_eq!(r.previous_id, data["pu"].as_i64().unwrap_or(ABSENT));
        }
        RecordRef::Quote(r) => {
            price(r.bid_price, &data["b"]);
            price(r.ask_price, &data["a"]);
            quantity(r.bid_quantity, &data["B"]);
            quantity(r.ask_quantity, &data["A"]);
            check_id(header, &data["u"]);
        }
        RecordRef::MarkPrice(r) => {
            price(r.mark_price, &data["p"]);
            price(r.index_price, &data["i"]);
            price(r.settlement_price, &data["P"]);
            let RecordRef::FundingRate(funding) = records[1] else { panic!("{frame}") };
            same(funding.rate, funding.rate_exponent, &data["r"], frame);
            assert_eq!(funding.next_funding_ns, data["T"].as_i64().unwrap() * NS_PER_MS);
        }
        RecordRef::Candle(r) => {
            let bar = &data["k"];
            for (mantissa, key) in [(r.open, "o"), (r.high, "h"), (r.low, "l"), (r.close, "c")] {
                price(mantissa, &bar[key]);
            }
            quantity(r.volume, &bar["v"]);
            quantity(r.taker_buy_volume, &bar["V"]);
            same(r.quote_volume, r.quote_volume_exponent, &bar["q"], frame);
            same(r.taker_buy_quote_volume, r.quote_volume_exponent, &bar["Q"], frame);
            assert_eq!(r.trades, bar["n"].as_i64().unwrap());
            assert_eq!(r.open_ns, bar["t"].as_i64().unwrap() * NS_PER_MS);
            assert_eq!(r.close_ns, bar["T"].as_i64().unwrap() * NS_PER_MS);
        }
        RecordRef::Liquidation(r) => {
            price(r.price, &data["o"]["p"]);
            price(r.average_price, &data["o"]["ap"]);
            quantity(r.quantity, &data["o"]["q"]);
        }
        other => panic!("{}: {other:?}", channel.name),
    }
}

fn check_id(header: &Header, id: &Value) {
    assert_eq!(header.sequence, id.as_u64().unwrap());
}

/// The text again, digit for digit; a zero may have lost its decimals.
fn same(mantissa: i64, exponent: i8, sent: &Value, frame: &str) {
    let sent = sent.as_str().unwrap();
    let zero = sent.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    assert!(if zero { mantissa == 0 } else { text(mantissa, exponent) == sent }, "{sent}: {frame}");
}

fn engine_time(data: &Value) -> i64 {
    let time = match data["e"].as_str() {
        Some("forceOrder") => data["o"]["T"].as_i64(),
        Some("markPriceUpdate" | "kline") => data["E"].as_i64(),
        _ => data["T"].as_i64().or(data["E"].as_i64()),
    };
    time.map_or(TIME_MISSING, |time| time * NS_PER_MS)
}

/// What `totals.json` holds of one symbol, in units of 10^-20.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    messages: u64,
    levels: u64,
    zeros: u64,
    sells: u64,
    quantity: i128,
    price: i128,
    amount: i128,
    first_id: u64,
    last_id: u64,
}

impl Sums {
    fn of(value: &Value) -> Sums {
        let count = |key: &str| value[key].as_u64().unwrap_or(0);
        let sum = |key: &str| value[key].as_str().map_or(0, fixed_text);
        Sums {
            messages: count("n"),
            levels: count("levels"),
            zeros: count("zero"),
            sells: count("sell"),
            quantity: sum("sum_qty"),
            price: sum("sum_price"),
            amount: sum("sum_price_qty"),
            first_id: count("first_id"),
            last_id: count("last_id"),
        }
    }

    fn trade(&mut self, header: &Header, price: i64, quantity: i64, side: u8) {
        self.messages += 1;
        self.sells += u64::from(side == Side::Sell as u8);
        self.quantity += fixed(quantity.into(), header.quantity_exponent);
        let exponent = header.price_exponent + header.quantity_exponent;
        self.amount += fixed(i128::from(price) * i128::from(quantity), exponent);
        if self.first_id == 0 {
            self.first_id = header.sequence;
        }
        self.last_id = header.sequence;
    }

    fn side(&mut self, header: &Header, levels: &[(i64, i64)]) {
        self.messages += 1;
        for (price, quantity) in levels {
            self.levels += 1;
            self.zeros += u64::from(*quantity == 0);
            self.price += fixed((*price).into(), header.price_exponent);
            self.quantity += fixed((*quantity).into(), header.quantity_exponent);
        }
    }
}

fn fixed(mantissa: i128, exponent: i8) -> i128 {
    mantissa * 10i128.pow((20 + i32::from(exponent)) as u32)
}

fn fixed_text(text: &str) -> i128 {
    let (number, power) = text.split_once('E').unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let exponent: i8 = power.parse().unwrap();
    fixed(format!("{whole}{fraction}").parse().unwrap(), exponent - fraction.len() as i8)
}

/// The sums of a file's frames, read by the decoder.
fn sums(channel: &Channel) -> BTreeMap<String, Sums> {
    let symbols = symbols_of(&channel.frames);
    let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let mut decoder = FrameDecoder::new(&channel.market, table(&names));
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    let mut records = RecordBuffer::default();
    for frame in &channel.frames {
        records.clear();
        marketprism_core::venue::Decoder::decode(&mut decoder, frame.as_bytes(), RECEIVE_NS, &mut records)
            .unwrap();
        for record in records.iter() {
            let header = record.header();
            let symbol = &symbols[header.instrument as usize - 1];
            let mut sides = |bids: &[(i64, i64)], asks: &[(i64, i64)]| {
                sums.entry(format!("{symbol} bids")).or_default().side(header, bids);
                sums.entry(format!("{symbol} asks")).or_default().side(header, asks);
            };
            match record {
                RecordRef::Trade(r) => {
                    sums.entry(symbol.clone()).or_default().trade(header, r.price, r.quantity, r.side);
                }
                RecordRef::AggTrade(r) => {
                    sums.entry(symbol.clone()).or_default().trade(header, r.price, r.quantity, r.side);
                }
                RecordRef::Quote(r) => {
                    sides(&[(r.bid_price, r.bid_quantity)], &[(r.ask_price, r.ask_quantity)]);
                }
                RecordRef::Book(r, levels) => {
                    let pairs: Vec<_> = levels.iter().map(|level| (level.price, level.quantity)).collect();
                    let (bids, asks) = pairs.split_at(r.bid_levels.into());
                    sides(bids, asks);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    sums
}

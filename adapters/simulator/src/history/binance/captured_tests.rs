//! Captured frames, read by the adapter and written again, are the frames that the venue sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use marketprism_binance::FrameDecoder;
use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::RecordBuffer;
use marketprism_core::venue::Decoder;
use marketprism_core::{Decimal, Instrument, Kind, RecordRef};
use serde_json::Value;

use super::frames::Frames;
use crate::capture::load;
use crate::config::Market;

/// Frames looked at of each stream.
const FRAMES: usize = 200;

/// Members that no log keeps: what stands there is made up, of the same type. With the event in front.
const MADE_UP: [&str; 12] = [
    "bookTicker.E",
    "24hrTicker.p",
    "24hrTicker.P",
    "24hrTicker.x",
    "kline.k.f",
    "kline.k.L",
    "kline.k.B",
    "forceOrder.o.o",
    "forceOrder.o.f",
    "trade.M",
    "aggTrade.M",
    "trade.X",
];

/// Members that the venue sends no more: order ids of spot trades.
const GONE: [&str; 2] = ["trade.a", "trade.b"];

/// Members that came with the changes of 2026.
const NEW: [&str; 2] = ["ps", "st"];

/// Folders of captures by market; none where there are none and that is allowed.
fn folders() -> Vec<(Market, PathBuf)> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let root = std::env::var_os("MARKETPRISM_CAPTURES").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let root = root.join("binance");
    if !root.is_dir() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no captures; set MARKETPRISM_CAPTURES");
        eprintln!("no captures; set MARKETPRISM_CAPTURES. Captured frames are not compared.");
        return vec![];
    }
    let of_market = |market: Market| {
        let entries = std::fs::read_dir(root.join(market.name())).expect("a folder of the market");
        entries.map(move |entry| (market, entry.expect("readable").path()))
    };
    Market::ALL.into_iter().flat_map(of_market).filter(|(_, path)| path.is_dir()).collect()
}

/// A payload that is written from what the adapter reads; `None` for events that are not recorded.
fn written_again(market: Market, symbol: &str, frame: &[u8]) -> Option<String> {
    let mut symbols = SymbolTable::default();
    symbols.insert(symbol.as_bytes(), 1);
    let mut records = RecordBuffer::default();
    FrameDecoder::new(market.name(), symbols).decode(frame, 1, &mut records).expect("is understood");
    let instrument = Instrument::unknown("binance", market.name(), symbol);
    let frames = Frames { market, instrument: &instrument };
    let mut records = records.iter();
    let text = match records.next()? {
        RecordRef::Trade(trade) => frames.trade(trade),
        RecordRef::AggTrade(trade) => frames.agg_trade(trade),
        RecordRef::Quote(quote) => frames.quote(quote),
        RecordRef::Book(book, levels) if book.header.kind == Kind::BookDelta as u8 => {
            frames.depth(book, levels)
        }
        RecordRef::Book(book, levels) => frames.top(book, levels),
        RecordRef::Candle(candle) => frames.candle(candle),
        RecordRef::Ticker(ticker) => frames.ticker(ticker),
        RecordRef::Liquidation(order) => frames.liquidation(order),
        RecordRef::MarkPrice(mark) => match records.next() {
            Some(RecordRef::FundingRate(funding)) => frames.mark_price(mark, Some(funding)),
            _ => frames.mark_price(mark, None),
        },
        _ => return None,
    };
    Some(text)
}

/// Demands that every member of a captured value is there, with its type, and its value where a log keeps it.
fn compare(path: &str, captured: &Value, written: &Value) {
    match (captured, written) {
        (Value::Object(captured), Value::Object(written)) => {
            for (key, value) in captured {
                let path = format!("{path}.{key}");
                if !GONE.contains(&path.as_str()) {
                    compare(
                        &path,
                        value,
                        written.get(key).unwrap_or_else(|| panic!("{path} is missing: {written:?}")),
                    );
                }
            }
            let extra =
                written.keys().filter(|key| !captured.contains_key(*key) && !NEW.contains(&key.as_str()));
            assert_eq!(extra.collect::<Vec<_>>(), Vec::<&String>::new(), "{path}");
        }
        (Value::Array(captured), Value::Array(written)) => {
            assert_eq!(captured.len(), written.len(), "{path}");
            captured.iter().zip(written).for_each(|(one, other)| compare(path, one, other));
        }
        _ if MADE_UP.contains(&path) => {
            assert_eq!(
                std::mem::discriminant(captured),
                std::mem::discriminant(written),
                "{path}: {captured} {written}"
            );
        }
        (Value::String(one), Value::String(other)) if one != other => {
            let number = |text: &str| Decimal::parse(text.as_bytes()).map(Decimal::normalised);
            assert!(number(one).is_ok() && number(one) == number(other), "{path}: {one} {other}");
        }
        _ => assert_eq!(captured, written, "{path}"),
    }
}

fn compare_folder(market: Market, folder: &Path, compared: &mut BTreeMap<String, usize>) {
    let loaded = load(&[(market, folder.to_owned())]).expect("loads");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for line in loaded.lines {
        let count = seen.entry(line.stream.clone()).or_default();
        *count += 1;
        let symbol = line.stream.split('@').next().expect("a symbol").to_ascii_uppercase();
        if *count > FRAMES {
            continue;
        }
        if let Some(text) = written_again(market, &symbol, &line.text) {
            let captured: Value = serde_json::from_slice(&line.text[line.data.0..line.data.1]).expect("JSON");
            let written: Value = serde_json::from_str(&text).expect("JSON");
            let event = captured["e"].as_str().unwrap_or("bookTicker").to_owned();
            compare(&event, &captured, &written);
            *compared.entry(event).or_default() += 1;
        }
    }
}

#[test]
fn captured_frames_are_written_as_they_came() {
    let folders = folders();
    let mut compared = BTreeMap::new();
    for (market, folder) in &folders {
        compare_folder(*market, folder, &mut compared);
    }
    if !folders.is_empty() {
        for event in ["trade", "aggTrade", "bookTicker", "depthUpdate", "markPriceUpdate"] {
            assert!(compared.contains_key(event), "no {event} was compared: {compared:?}");
        }
    }
}

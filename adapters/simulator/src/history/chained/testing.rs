//! What the tests of both venues share: the shape of frames, captured frames where they are, and numbers of records.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use marketprism_core::instrument::{InstrumentType, SymbolTable};
use marketprism_core::record::{ABSENT, Header, RecordBuffer};
use marketprism_core::venue::{Decoder, Outcome};
use marketprism_core::{Instrument, Kind, Level};
use proptest::prelude::*;
use serde_json::Value;

/// When the frames of tests are received.
pub(crate) const RECEIVE_NS: i64 = 1_700_000_000_123_456_789;

/// The id of every instrument in tests.
pub(crate) const INSTRUMENT: u32 = 7;

/// An instrument by its name, its market and what it follows.
pub(crate) fn instrument(market: &str, symbol: &str, underlying: &str) -> Instrument {
    let instrument_type = match market {
        _ if symbol == underlying => InstrumentType::Index,
        "spot" => InstrumentType::Spot,
        "option" => InstrumentType::Option,
        "combo" => InstrumentType::Combo,
        "swap" | "perpetual" => InstrumentType::Perpetual,
        _ => InstrumentType::Future,
    };
    Instrument {
        instrument_type,
        underlying: underlying.to_owned(),
        ..Instrument::unknown("venue", market, symbol)
    }
}

/// The only name that a decoder knows.
pub(crate) fn table(symbol: &str) -> SymbolTable {
    let mut table = SymbolTable::default();
    table.insert(symbol.as_bytes(), INSTRUMENT);
    table
}

/// The records that a decoder makes of a frame.
pub(crate) fn decoded(decoder: &mut dyn Decoder, frame: &str) -> RecordBuffer {
    let mut records = RecordBuffer::default();
    let outcome = decoder.decode(frame.as_bytes(), RECEIVE_NS, &mut records);
    assert_eq!(outcome, Ok(Outcome::Data), "{frame}");
    records
}

/// Whether a frame has the keys and JSON types of another. `null` stands for any type; of arrays the first elements count.
/// `more`: further keys are allowed.
pub(crate) fn has_shape(frame: &Value, other: &Value, more: bool) -> bool {
    match (frame, other) {
        (Value::Null, _) | (_, Value::Null) => true,
        (Value::Object(one), Value::Object(other)) => {
            (more || one.len() == other.len())
                && other
                    .iter()
                    .all(|(key, value)| one.get(key).is_some_and(|own| has_shape(own, value, more)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.first().zip(other.first()).is_none_or(|(one, other)| has_shape(one, other, more))
        }
        _ => std::mem::discriminant(frame) == std::mem::discriminant(other),
    }
}

/// The captured data frames of a venue: market and text. None where there are no captures and that is allowed.
pub(crate) fn captured(venue: &str) -> Vec<(String, String)> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let root = std::env::var_os("MARKETPRISM_CAPTURES").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let root = root.join(venue);
    if !root.is_dir() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no captures; set MARKETPRISM_CAPTURES");
        eprintln!("no captures; set MARKETPRISM_CAPTURES. Only the project's own frames are tested.");
        return vec![];
    }
    let mut frames = Vec::new();
    for market in entries(&root) {
        let name = market.file_name().unwrap().to_string_lossy().into_owned();
        for file in entries(&market).iter().flat_map(|folder| entries(folder)) {
            let file_name = file.file_name().unwrap().to_string_lossy().into_owned();
            if file_name.contains(".raw.jsonl") && !file_name.starts_with("control") {
                frames.extend(read(&file).lines().map(|line| (name.clone(), line.to_owned())));
            }
        }
    }
    frames
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let is_packed = path.extension().is_some_and(|extension| extension == "zst");
    let bytes = if is_packed { zstd::decode_all(&bytes[..]).unwrap() } else { bytes };
    String::from_utf8(bytes).unwrap()
}

/// A header with the time of a venue that counts milliseconds.
pub(crate) fn header(kind: Kind, price_exponent: i8, quantity_exponent: i8) -> Header {
    let exchange_ns = 1_699_999_999_987_000_000;
    Header { price_exponent, quantity_exponent, exchange_ns, ..Header::new(kind, INSTRUMENT, RECEIVE_NS) }
}

/// A number that shows its exponent to who reads it.
pub(crate) fn counting() -> impl Strategy<Value = i64> {
    1i64..1_000_000_000_000
}

/// Any number, perhaps zero or absent.
pub(crate) fn optional() -> impl Strategy<Value = i64> {
    prop_oneof![6 => counting(), 1 => Just(0), 1 => Just(ABSENT)]
}

/// A number of its own with its exponent.
pub(crate) fn own() -> impl Strategy<Value = (i64, i8)> {
    prop_oneof![4 => (-1_000_000i64..1_000_000, -12i8..=0), 1 => Just((ABSENT, 0))]
}

pub(crate) fn exponents() -> impl Strategy<Value = (i8, i8)> {
    (-9i8..=0, -9i8..=0)
}

pub(crate) fn levels(most: usize) -> impl Strategy<Value = Vec<Level>> {
    let level = (counting(), prop_oneof![5 => counting(), 1 => Just(0)]);
    proptest::collection::vec(level.prop_map(|(price, quantity)| Level { price, quantity }), 0..most)
}

/// The exponents that a reader finds: of nothing it finds none, and zeros say nothing of quantities.
pub(crate) fn found((price, quantity): (i8, i8), levels: &[Level]) -> (i8, i8) {
    let has_quantity = levels.iter().any(|level| level.quantity != 0);
    (if levels.is_empty() { 0 } else { price }, if has_quantity { quantity } else { 0 })
}

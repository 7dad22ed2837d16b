//! Frames with the ids that their text says, read without the program's own parsers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use marketprism_core::record::Kind;
use marketprism_core::venue::Venue;
use serde_json::Value;

/// Captured channels with fewer messages are left out.
const FEWEST: usize = 30;

/// Messages of one channel of a market, in the order of their coming.
pub(crate) struct Sequence {
    /// For people.
    pub(crate) name: String,
    pub(crate) venue: String,
    pub(crate) market: String,
    /// Kind of the stream.
    pub(crate) kind: Kind,
    pub(crate) messages: Vec<Message>,
}

/// One frame.
pub(crate) struct Message {
    pub(crate) frame: String,
    pub(crate) symbol: String,
    /// The last id that it covers.
    pub(crate) last_id: u64,
    /// The id that the message before must have ended with; `None`: a snapshot, which follows on nothing.
    pub(crate) previous_id: Option<u64>,
}

/// The venue with this name.
pub(crate) fn venue(name: &str) -> Arc<dyn Venue> {
    match name {
        "binance" => Arc::new(marketprism_binance::Binance),
        "okx" => Arc::new(marketprism_okx::Okx),
        "deribit" => Arc::new(marketprism_deribit::Deribit::default()),
        other => panic!("no venue {other}"),
    }
}

/// All captured channels whose messages carry ids that follow on each other.
pub(crate) fn captured() -> Vec<Sequence> {
    let Some(root) = captures() else { return vec![] };
    let mut sequences = vec![];
    for (venue, channel) in [
        ("binance", "trade"),
        ("binance", "aggTrade"),
        ("binance", "depth"),
        ("okx", "trades"),
        ("deribit", "book_raw"),
    ] {
        for market in folders(&root.join(venue)) {
            for capture in folders(&market) {
                sequences.extend(
                    files(&capture, channel).into_iter().filter_map(|file| read(venue, &market, &file)),
                );
            }
        }
    }
    assert!(sequences.len() > 20, "only {} captured sequences", sequences.len());
    sequences
}

fn captures() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let path = PathBuf::from(std::env::var("MARKETPRISM_CAPTURES").unwrap_or_else(|_| beside.to_owned()));
    if path.join("binance").is_dir() {
        return Some(path);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no captures in {}", path.display());
    eprintln!("no captures in {}: only own frames are left out", path.display());
    None
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

/// The files of a channel, e.g. `depth_100ms.raw.jsonl.zst` of `depth`.
fn files(capture: &Path, channel: &str) -> Vec<PathBuf> {
    let is_wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let stem = name.split(".raw.jsonl").next().unwrap();
        let is_channel = stem == channel || stem.split('_').next() == Some(channel);
        is_channel && (name.ends_with(".raw.jsonl") || name.ends_with(".raw.jsonl.zst"))
    };
    let mut found: Vec<PathBuf> = fs::read_dir(capture).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(is_wanted);
    found.sort();
    found
}

fn read(venue: &str, market: &Path, file: &Path) -> Option<Sequence> {
    let mut bytes = fs::read(file).unwrap();
    if file.extension().is_some_and(|extension| extension == "zst") {
        bytes = zstd::decode_all(&bytes[..]).unwrap();
    }
    let text = String::from_utf8(bytes).unwrap();
    let messages: Vec<(Kind, Message)> = text.lines().map(message).collect();
    if messages.len() < FEWEST {
        return None;
    }
    Some(Sequence {
        name: file.display().to_string(),
        venue: venue.to_owned(),
        market: market.file_name().unwrap().to_string_lossy().into_owned(),
        kind: messages[0].0,
        messages: messages.into_iter().map(|(_, message)| message).collect(),
    })
}

/// What the text of a frame says.
pub(crate) fn message(frame: &str) -> (Kind, Message) {
    let value: Value = serde_json::from_str(frame).unwrap();
    let (kind, symbol, previous_id, last_id) = if value.get("params").is_some() {
        deribit(&value["params"]["data"])
    } else if value.get("arg").is_some() {
        okx(&value)
    } else {
        binance(value.get("data").unwrap_or(&value))
    };
    (kind, Message { frame: frame.to_owned(), symbol, last_id, previous_id })
}

type Ids = (Kind, String, Option<u64>, u64);

fn binance(data: &Value) -> Ids {
    let symbol = data["s"].as_str().unwrap().to_owned();
    let id = |key: &str| data[key].as_u64().unwrap();
    match data["e"].as_str().unwrap() {
        "trade" => (Kind::Trade, symbol, Some(id("t") - 1), id("t")),
        "aggTrade" => (Kind::AggTrade, symbol, Some(id("a") - 1), id("a")),
        "depthUpdate" => {
            let previous = data["pu"].as_u64().unwrap_or_else(|| id("U") - 1);
            (Kind::BookDelta, symbol, Some(previous), id("u"))
        }
        other => panic!("{other}"),
    }
}

fn okx(value: &Value) -> Ids {
    let symbol = value["arg"]["instId"].as_str().unwrap().to_owned();
    let data = value["data"].as_array().unwrap();
    if let Some(action) = value["action"].as_str() {
        let last = data[0]["seqId"].as_u64().unwrap();
        let previous = data[0]["prevSeqId"].as_i64().unwrap();
        return (Kind::BookDelta, symbol, (action == "update").then_some(previous as u64), last);
    }
    let number = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("1").parse::<u64>().unwrap();
    let (first, last) = (data.first().unwrap(), data.last().unwrap());
    (Kind::Trade, symbol, Some(number(first, "tradeId") - number(first, "count")), number(last, "tradeId"))
}

fn deribit(data: &Value) -> Ids {
    if let Some(trades) = data.as_array() {
        let number = |trade: &Value| trade["trade_seq"].as_u64().unwrap();
        let symbol = trades[0]["instrument_name"].as_str().unwrap().to_owned();
        return (Kind::Trade, symbol, Some(number(&trades[0]) - 1), number(trades.last().unwrap()));
    }
    let symbol = data["instrument_name"].as_str().unwrap().to_owned();
    (Kind::BookDelta, symbol, data["prev_change_id"].as_u64(), data["change_id"].as_u64().unwrap())
}

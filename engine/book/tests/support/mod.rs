//! Depth streams as they were recorded, and how to make records of them. Also used by `bench/`.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "each user needs another part"
)]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use marketprism_core::record::{ABSENT, Book, Header, flag};
use marketprism_core::venue::Continuity;
use marketprism_core::{Decimal, Kind, Level};

/// A record with its levels.
#[derive(Clone, Debug)]
pub struct Message {
    pub book: Book,
    pub levels: Vec<Level>,
}

/// Messages of one instrument in the order of arrival, the REST snapshot at its place.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    pub messages: Vec<Message>,
}

/// All chains of one recording.
pub struct Capture {
    pub market: String,
    pub name: String,
    pub folder: PathBuf,
    pub continuity: Continuity,
    pub chains: BTreeMap<String, Chain>,
}

/// A message as the venue sends it.
#[derive(serde::Deserialize)]
struct Depth {
    #[serde(rename = "s", default)]
    symbol: String,
    #[serde(rename = "U", default)]
    first_id: u64,
    #[serde(rename = "u", alias = "lastUpdateId")]
    last_id: u64,
    #[serde(rename = "pu", default)]
    previous_id: Option<i64>,
    #[serde(rename = "E", default)]
    event_ms: Option<i64>,
    #[serde(rename = "b", alias = "bids")]
    bids: Vec<(Decimal, Decimal)>,
    #[serde(rename = "a", alias = "asks")]
    asks: Vec<(Decimal, Decimal)>,
}

/// A delta or a REST answer as a record; `None` where it is neither.
pub fn message(kind: Kind, text: &str) -> Option<(String, Message)> {
    let text = text.trim();
    // The combined form wraps the event.
    let body = match text.find("\"data\":") {
        Some(at) if text.starts_with("{\"stream\"") => text.get(at + 7..text.len() - 1)?,
        _ => text,
    };
    let depth: Depth = serde_json::from_str(body).ok()?;
    let all = || depth.bids.iter().chain(&depth.asks);
    let mut header = Header::new(kind, 1, 0);
    header.price_exponent = all().map(|(price, _)| price.exponent).min().unwrap_or(0);
    header.quantity_exponent = all().map(|(_, quantity)| quantity.exponent).min().unwrap_or(0);
    header.sequence = depth.last_id;
    header.flags = if kind == Kind::BookSnapshot { flag::SNAPSHOT | flag::REST } else { 0 };
    if let Some(milliseconds) = depth.event_ms {
        header.exchange_ns = milliseconds * 1_000_000;
    }
    let levels = all()
        .map(|(price, quantity)| {
            let price = price.rescale(header.price_exponent)?.mantissa;
            Some(Level { price, quantity: quantity.rescale(header.quantity_exponent)?.mantissa })
        })
        .collect::<Option<Vec<Level>>>()?;
    let book = Book {
        header,
        first_id: depth.first_id,
        previous_id: depth.previous_id.unwrap_or(ABSENT),
        event_ns: header.exchange_ns,
        level_start: 0,
        bid_levels: depth.bids.len() as u16,
        ask_levels: depth.asks.len() as u16,
    };
    Some((depth.symbol, Message { book, levels }))
}

/// The folder of recordings; `None` (a failure on the build server) where there is none.
pub fn folder() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let bench = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures");
    let named = std::env::var_os("MARKETPRISM_CAPTURES").map(PathBuf::from);
    let found = match named {
        Some(folder) => Some(folder).filter(|folder| folder.is_dir()),
        None => [default, bench].iter().map(PathBuf::from).find(|folder| folder.join("binance").is_dir()),
    };
    if found.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "the captures are missing");
        eprintln!("no captures; set MARKETPRISM_CAPTURES");
    }
    found
}

/// The text of a file or of its `.zst` form.
pub fn text(path: &Path) -> io::Result<String> {
    if path.exists() {
        return std::fs::read_to_string(path);
    }
    let packed = std::fs::File::open(format!("{}.zst", path.display()))?;
    io::read_to_string(zstd::Decoder::new(packed)?)
}

fn nanoseconds(text: &str) -> Option<i64> {
    Some(Decimal::parse(text.trim().as_bytes()).ok()?.rescale(-9)?.mantissa)
}

/// Snapshots with the place in the stream at which they came.
fn snapshots(folder: &Path, places: &[i64], times: &[i64]) -> io::Result<Vec<(usize, String, Message)>> {
    let mut found = Vec::new();
    let Ok(index) = text(&folder.join("rest/index.jsonl")) else { return Ok(found) };
    for line in index.lines() {
        let entry: serde_json::Value = serde_json::from_str(line)?;
        let file = entry["file"].as_str().unwrap_or_default();
        let Some(symbol) = file.strip_prefix("depth_").and_then(|name| name.strip_suffix(".json")) else {
            continue;
        };
        // `seq` counts frames received before it; without it the clock decides.
        let place = match (entry["seq"].as_i64(), entry["recv_ts"].as_str().and_then(nanoseconds)) {
            (Some(seq), _) => places.partition_point(|place| *place < seq),
            (None, Some(at)) if !times.is_empty() => times.partition_point(|time| *time <= at),
            _ => 0,
        };
        if let Some((_, message)) = message(Kind::BookSnapshot, &text(&folder.join("rest").join(file))?) {
            found.push((place, symbol.to_owned(), message));
        }
    }
    Ok(found)
}

/// Reads one recording; `None` where it has no depth stream.
fn capture(market: &str, folder: &Path) -> io::Result<Option<Capture>> {
    let channel = ["depth_0ms", "depth_100ms"].iter().map(|name| folder.join(name)).find(|path| {
        let file = path.with_extension("raw.jsonl");
        file.exists() || file.with_extension("jsonl.zst").exists()
    });
    let Some(channel) = channel else { return Ok(None) };
    let column = |extension: &str| text(&channel.with_extension(extension)).unwrap_or_default();
    let places: Vec<i64> = column("seq").lines().filter_map(|line| line.trim().parse().ok()).collect();
    let times: Vec<i64> = column("ts").lines().filter_map(nanoseconds).collect();
    let mut snapshots = snapshots(folder, &places, &times)?;
    let mut chains: BTreeMap<String, Chain> = BTreeMap::new();
    for (place, line) in text(&channel.with_extension("raw.jsonl"))?.lines().enumerate() {
        for (_, symbol, message) in snapshots.extract_if(.., |(before, ..)| *before <= place) {
            chains.entry(symbol).or_default().messages.push(message);
        }
        let Some((symbol, message)) = message(Kind::BookDelta, line) else { continue };
        chains.entry(symbol).or_default().messages.push(message);
    }
    for (_, symbol, message) in snapshots {
        chains.entry(symbol).or_default().messages.push(message);
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let continuity = if market == "spot" { Continuity::Contiguous } else { Continuity::Linked };
    Ok(Some(Capture { market: market.to_owned(), name, folder: folder.to_owned(), continuity, chains }))
}

/// All recordings with a depth stream.
pub fn captures() -> io::Result<Vec<Capture>> {
    let Some(root) = folder() else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for market in ["spot", "usdm", "coinm"] {
        let mut folders: Vec<PathBuf> = std::fs::read_dir(root.join("binance").join(market))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()?;
        folders.sort();
        for folder in folders {
            all.extend(capture(market, &folder)?);
        }
    }
    Ok(all)
}

//! Reads capture folders: frames in the order they were received, and the REST answers beside them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Error;
use crate::config::Market;
use crate::scan;

/// Largest capture file read, in bytes after decompression.
const LARGEST_FILE: u64 = 2 << 30;

/// One frame as received: always wrapped in its stream name.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) market: Market,
    pub(crate) stream: String,
    /// The wrapped text.
    pub(crate) text: Vec<u8>,
    /// Place of the bare payload in the text.
    pub(crate) data: (usize, usize),
    /// Nanoseconds since the first frame of the folder.
    pub(crate) at: u64,
    folder: usize,
    sequence: Option<u64>,
    received: u64,
}

/// A depth answer and the number of frames that were sent before it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) body: Vec<u8>,
    /// Frames of the merged playback to send first.
    pub(crate) after_frames: usize,
}

/// All captures of a run, merged.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) lines: Vec<Line>,
    pub(crate) snapshots: HashMap<(Market, String), Snapshot>,
    pub(crate) exchange_info: HashMap<Market, Value>,
}

/// Reads and merges the folders.
pub(crate) fn load(folders: &[(Market, PathBuf)]) -> Result<Loaded, Error> {
    let mut loaded = Loaded::default();
    for (index, (market, folder)) in folders.iter().enumerate() {
        let lines = read_folder(index, *market, folder)?;
        if lines.is_empty() {
            return Err(Error::Capture { path: folder.clone(), reason: "no frames in it".to_owned() });
        }
        loaded.lines.extend(lines);
    }
    loaded.lines.sort_by_key(|line| line.at);
    for (index, (market, folder)) in folders.iter().enumerate() {
        read_rest(&mut loaded, index, *market, &folder.join("rest"))?;
    }
    Ok(loaded)
}

pub(crate) fn failure(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Capture { path: path.to_owned(), reason: error.to_string() }
}

/// Reads a file, or its `.zst` form; `None` when there is neither.
pub(crate) fn read_either(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let mut packed = path.as_os_str().to_owned();
    packed.push(".zst");
    let packed = PathBuf::from(packed);
    let mut bytes = Vec::new();
    if path.exists() {
        let file = File::open(path).map_err(|error| failure(path, &error))?;
        file.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(|error| failure(path, &error))?;
    } else if packed.exists() {
        let file = File::open(&packed).map_err(|error| failure(&packed, &error))?;
        let decoder = zstd::Decoder::new(file).map_err(|error| failure(&packed, &error))?;
        decoder.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(|error| failure(&packed, &error))?;
    } else {
        return Ok(None);
    }
    Ok(Some(bytes))
}

pub(crate) fn channels(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| failure(folder, &error))? {
        let entry = entry.map_err(|error| failure(folder, &error))?;
        let file = entry.file_name().to_string_lossy().into_owned();
        let plain = file.strip_suffix(".zst").unwrap_or(&file);
        names.extend(plain.strip_suffix(".raw.jsonl").map(str::to_owned));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn read_folder(index: usize, market: Market, folder: &Path) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    for channel in channels(folder)? {
        read_channel(&mut lines, index, market, folder, &channel)?;
    }
    if lines.iter().all(|line| line.sequence.is_some()) {
        lines.sort_by_key(|line| line.sequence);
    } else {
        lines.sort_by_key(|line| line.received);
    }
    // Receive times may step back a little; playback time never does.
    let first = lines.first().map_or(0, |line| line.received);
    let mut latest = 0;
    for line in &mut lines {
        latest = line.received.saturating_sub(first).max(latest);
        line.at = latest;
    }
    Ok(lines)
}

fn read_channel(
    lines: &mut Vec<Line>,
    index: usize,
    market: Market,
    folder: &Path,
    channel: &str,
) -> Result<(), Error> {
    let path = folder.join(format!("{channel}.raw.jsonl"));
    let payloads = read_either(&path)?.unwrap_or_default();
    let text_of = |ending: &str| -> Result<Vec<String>, Error> {
        let bytes = read_either(&folder.join(format!("{channel}.{ending}")))?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    };
    let (times, sequences) = (text_of("ts")?, text_of("seq")?);
    for (number, payload) in payloads.split(|&byte| byte == b'\n').enumerate() {
        if payload.is_empty() {
            continue;
        }
        let received = times.get(number).and_then(|text| nanoseconds(text));
        let sequence = sequences.get(number).and_then(|text| text.trim().parse().ok());
        let (stream, text, data) = wrapped(payload, channel)
            .ok_or_else(|| failure(&path, &format!("line {}: not a payload of a stream", number + 1)))?;
        // Without receive times the frames are a millisecond apart.
        let received = received.unwrap_or(number as u64 * 1_000_000);
        lines.push(Line { market, stream, text, data, at: 0, folder: index, sequence, received });
    }
    Ok(())
}

/// The stream name, the wrapped text and the place of the bare payload in it.
fn wrapped(payload: &[u8], channel: &str) -> Option<(String, Vec<u8>, (usize, usize))> {
    if let Some((name, start, end)) = scan::unwrap(payload) {
        return Some((name.to_owned(), payload.to_vec(), (start, end)));
    }
    let symbol = symbol_of(payload)?;
    let name = format!("{}@{}", symbol.to_ascii_lowercase(), channel.replace('_', "@"));
    let mut text = format!("{{\"stream\":\"{name}\",\"data\":").into_bytes();
    let start = text.len();
    text.extend_from_slice(payload);
    text.push(b'}');
    Some((name, text, (start, start + payload.len())))
}

/// The symbol of a bare payload; a liquidation has it one level down, under `o`.
pub(crate) fn symbol_of(payload: &[u8]) -> Option<String> {
    let mut symbol = None;
    scan::members(payload, |key, value| {
        if key == b"s" && value.string {
            symbol = std::str::from_utf8(&payload[value.start..value.end]).ok().map(str::to_owned);
        }
    });
    symbol.or_else(|| {
        let tree: Value = serde_json::from_slice(payload).ok()?;
        tree.get("o")?.get("s")?.as_str().map(str::to_owned)
    })
}

/// Epoch seconds with a fraction of any length, as nanoseconds.
pub(crate) fn nanoseconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let fraction = fraction.get(..fraction.len().min(9))?;
    let scale = 10_u64.pow(9 - fraction.len() as u32);
    let fraction: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction * scale)
}

fn read_rest(loaded: &mut Loaded, index: usize, market: Market, folder: &Path) -> Result<(), Error> {
    if let Some(bytes) = read_either(&folder.join("exchangeInfo.json"))? {
        let info = serde_json::from_slice(&bytes).map_err(|error| failure(folder, &error))?;
        loaded.exchange_info.insert(market, info);
    }
    let entries = read_either(&folder.join("index.jsonl"))?.unwrap_or_default();
    for entry in entries.split(|&byte| byte == b'\n').filter(|entry| !entry.is_empty()) {
        let entry: Value = serde_json::from_slice(entry).map_err(|error| failure(folder, &error))?;
        let file = entry.get("file").and_then(Value::as_str).unwrap_or_default();
        let Some(symbol) = file.strip_prefix("depth_").and_then(|name| name.strip_suffix(".json")) else {
            continue;
        };
        let Some(body) = read_either(&folder.join(format!("depth_{symbol}.json")))? else { continue };
        let after_frames = frames_before(&loaded.lines, index, &entry);
        let body = body.trim_ascii().to_vec();
        loaded.snapshots.entry((market, symbol.to_owned())).or_insert(Snapshot { body, after_frames });
    }
    Ok(())
}

/// How many merged frames were sent when the answer of an index entry arrived.
fn frames_before(lines: &[Line], folder: usize, entry: &Value) -> usize {
    let sequence = entry.get("seq").and_then(Value::as_u64);
    let received = entry.get("recv_ts").and_then(Value::as_str).and_then(nanoseconds);
    let before = |line: &Line| match (sequence, line.sequence, received) {
        (Some(limit), Some(own), _) => own < limit,
        (_, _, Some(limit)) => line.received <= limit,
        _ => false,
    };
    lines.iter().rposition(|line| line.folder == folder && before(line)).map_or(0, |position| position + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_any_precision() {
        assert_eq!(nanoseconds("1617566591.326123"), Some(1_617_566_591_326_123_000));
        assert_eq!(nanoseconds("1723161255.030314667"), Some(1_723_161_255_030_314_667));
        assert_eq!(nanoseconds("12"), Some(12_000_000_000));
        assert_eq!(nanoseconds("x"), None);
    }

    #[test]
    fn bare_payloads_get_a_name() {
        let (name, text, data) = wrapped(br#"{"u":1,"s":"ETHUSDT"}"#, "depth_100ms").expect("has a symbol");
        assert_eq!(name, "ethusdt@depth@100ms");
        assert_eq!(&text[data.0..data.1], br#"{"u":1,"s":"ETHUSDT"}"#);
        assert_eq!(symbol_of(br#"{"e":"forceOrder","o":{"s":"BTCUSDT"}}"#).as_deref(), Some("BTCUSDT"));
    }
}

//! Reading captured frames.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// One frame or answer of a capture, and its place.
pub(crate) struct Placed {
    pub(crate) place: (u64, u8),
    /// Epoch seconds; of no value where the recording has no times.
    pub(crate) received: f64,
    /// The file that it is from, without its endings: `books-l2-tbt`.
    pub(crate) channel: String,
    pub(crate) line: Vec<u8>,
}

/// The captures, or nothing on a clone that has none beside it. Where the tests guard the project they must be there.
pub(crate) fn captures() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let path = PathBuf::from(std::env::var("MARKETPRISM_CAPTURES").unwrap_or_else(|_| beside.to_owned()));
    if path.join("binance").is_dir() {
        return Some(path);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no captures in {}", path.display());
    eprintln!("no captures in {}: nothing is tested", path.display());
    None
}

fn read_lines(path: &Path) -> Vec<Vec<u8>> {
    let mut bytes = std::fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "zst") {
        bytes = zstd::decode_all(bytes.as_slice()).unwrap();
    }
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn numbers<T: std::str::FromStr>(lines: &[Vec<u8>]) -> Vec<T> {
    lines.iter().filter_map(|line| String::from_utf8_lossy(line).trim().parse().ok()).collect()
}

/// The frames of a capture in the order of the connection.
pub(crate) fn frames(capture: &Path) -> Vec<Placed> {
    let mut placed = vec![];
    for entry in std::fs::read_dir(capture).unwrap() {
        let path = entry.unwrap().path();
        let Some((base, _)) = path.to_str().unwrap().split_once(".raw.jsonl") else { continue };
        let places: Vec<u64> = numbers(&read_lines(Path::new(&format!("{base}.seq"))));
        let lines = read_lines(&path);
        let times = [format!("{base}.ts"), format!("{base}.ts.zst")];
        let times = times.iter().find(|times| Path::new(times).exists());
        let times = times.map_or(vec![0.0; lines.len()], |times| numbers(&read_lines(Path::new(times))));
        assert_eq!((lines.len(), lines.len()), (places.len(), times.len()), "{base}");
        let channel = base.rsplit('/').next().unwrap();
        let rows = lines.into_iter().zip(places).zip(times);
        placed.extend(rows.map(|((line, place), received)| Placed {
            place: (place, 1),
            received,
            channel: channel.to_owned(),
            line,
        }));
    }
    placed.sort_by_key(|frame| frame.place);
    placed
}

/// The REST books of a capture, by symbol and file, each placed before the first frame that came after it.
pub(crate) fn answers(capture: &Path, frames: &[Placed]) -> Vec<(String, PathBuf, Placed)> {
    let index = read_lines(&capture.join("rest/index.jsonl"));
    let index = index.iter().map(|line| serde_json::from_slice::<Value>(line).unwrap());
    let mut answers = vec![];
    for entry in index {
        let file = entry["file"].as_str().unwrap();
        let Some(symbol) = file.strip_prefix("depth_").and_then(|name| name.strip_suffix(".json")) else {
            continue;
        };
        let received: f64 = entry["recv_ts"].as_str().unwrap().parse().unwrap();
        let later = frames.iter().find(|frame| frame.received > received);
        let place = entry["seq"].as_u64().or(later.map(|frame| frame.place.0)).unwrap_or(u64::MAX);
        let path = capture.join("rest").join(file);
        let body: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let line = body.to_string().into_bytes();
        let channel = "depth".to_owned();
        answers.push((symbol.to_owned(), path, Placed { place: (place, 0), received, channel, line }));
    }
    answers
}

/// Lines in their order.
pub(crate) fn joined<'a>(placed: impl Iterator<Item = &'a Placed>) -> Vec<u8> {
    let mut lines: Vec<&Placed> = placed.collect();
    lines.sort_by_key(|placed| placed.place);
    lines.iter().flat_map(|placed| [placed.line.as_slice(), b"\n"].concat()).collect()
}

/// The folders of the captures of a market.
pub(crate) fn captures_of(market: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(market).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// The lists of instruments among the REST answers of a capture, one in a line.
pub(crate) fn definitions(capture: &Path) -> Vec<u8> {
    let Ok(files) = std::fs::read_dir(capture.join("rest")) else { return vec![] };
    let mut lines = vec![];
    for path in files.map(|entry| entry.unwrap().path()) {
        if path.file_name().unwrap().to_str().unwrap().contains("instruments") {
            let body: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            lines.extend_from_slice(format!("{body}\n").as_bytes());
        }
    }
    lines
}

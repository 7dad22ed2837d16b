//! Captured frames: read, put into the order in which they were received, and played once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::protocol::Captured;
use super::{Capture, Protocol};
use crate::Error;
use crate::capture::{channels, failure, nanoseconds, read_either};

/// One frame, ready to be sent.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) text: String,
    pub(crate) ids: Captured,
    /// Nanoseconds since the first frame of its connection.
    at: u64,
}

/// Captured frames and how far they were played.
#[derive(Debug, Default)]
pub(crate) struct Playback {
    frames: Vec<Frame>,
    next: usize,
}

/// One line of a capture before it has its place.
struct Line {
    market: String,
    text: String,
    sequence: Option<u64>,
    received: u64,
}

impl Playback {
    /// Reads the folders; the protocol says what is in each frame.
    pub(crate) fn load(capture: &Capture, protocol: &mut dyn Protocol) -> Result<Self, Error> {
        // Folders of one name are one connection that was recorded across markets.
        let mut connections: BTreeMap<String, Vec<(String, PathBuf)>> = BTreeMap::new();
        for (market, folder) in &capture.folders {
            if !protocol.markets().contains(&market.as_str()) {
                return Err(Error::Configuration(format!("the venue has no market {market}")));
            }
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            connections.entry(name).or_default().push((market.clone(), folder.clone()));
        }
        let mut frames = Vec::new();
        for folders in connections.values() {
            let mut lines = Vec::new();
            for (market, folder) in folders {
                read_folder(&mut lines, market, folder)?;
                read_answers(protocol, market, &folder.join("rest"))?;
            }
            place(&mut frames, lines, protocol);
        }
        if frames.is_empty() {
            let path = capture.folders.first().map(|(_, folder)| folder.clone()).unwrap_or_default();
            return Err(Error::Capture { path, reason: "no frames in it".to_owned() });
        }
        frames.sort_by_key(|frame| frame.at);
        Ok(Playback { frames, next: 0 })
    }

    /// The next frame, if it is due at a position in nanoseconds.
    pub(crate) fn next(&mut self, position: f64) -> Option<&Frame> {
        let frame = self.frames.get(self.next).filter(|frame| frame.at as f64 <= position)?;
        self.next += 1;
        Some(frame)
    }

    /// True when nothing is left to play.
    pub(crate) fn finished(&self) -> bool {
        self.next == self.frames.len()
    }
}

fn read_folder(lines: &mut Vec<Line>, market: &str, folder: &Path) -> Result<(), Error> {
    for channel in channels(folder)?.iter().filter(|channel| *channel != "control") {
        let text_of = |ending: &str| -> Result<String, Error> {
            let path = folder.join(format!("{channel}.{ending}"));
            let bytes = read_either(&path)?.unwrap_or_default();
            String::from_utf8(bytes).map_err(|error| failure(&path, &error))
        };
        let (times, sequences) = (text_of("ts")?, text_of("seq")?);
        let (mut times, mut sequences) = (times.lines(), sequences.lines());
        for (number, text) in text_of("raw.jsonl")?.lines().enumerate() {
            let sequence: Option<u64> = sequences.next().and_then(|text| text.trim().parse().ok());
            // Without receive times the frames are a millisecond apart.
            let apart = sequence.unwrap_or(number as u64).saturating_mul(1_000_000);
            let received = times.next().and_then(nanoseconds).unwrap_or(apart);
            lines.push(Line { market: market.to_owned(), text: text.to_owned(), sequence, received });
        }
    }
    Ok(())
}

/// Orders the lines of one connection and adds those that are data.
fn place(frames: &mut Vec<Frame>, mut lines: Vec<Line>, protocol: &mut dyn Protocol) {
    if lines.iter().all(|line| line.sequence.is_some()) {
        lines.sort_by_key(|line| line.sequence);
    } else {
        lines.sort_by_key(|line| line.received);
    }
    let first = lines.first().map_or(0, |line| line.received);
    let mut at = 0;
    for line in lines {
        if let Some(ids) = protocol.captured(&line.market, &line.text) {
            // Receive times may step back a little; playback time never does.
            at = line.received.saturating_sub(first).max(at);
            frames.push(Frame { text: line.text, ids, at });
        }
    }
}

fn read_answers(protocol: &mut dyn Protocol, market: &str, folder: &Path) -> Result<(), Error> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(|error| failure(folder, &error))? {
        let file = entry.map_err(|error| failure(folder, &error))?.file_name().to_string_lossy().into_owned();
        let file = file.strip_suffix(".zst").unwrap_or(&file);
        if !file.ends_with(".json") {
            continue;
        }
        let bytes = read_either(&folder.join(file))?.unwrap_or_default();
        protocol.captured_answer(market, file, &String::from_utf8_lossy(&bytes));
    }
    Ok(())
}

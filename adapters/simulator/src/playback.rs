//! Plays captured frames, patching the ids in place on every loop after the first.

use std::collections::{BTreeMap, HashMap};

use crate::Error;
use crate::capture::{Line, Loaded, Snapshot, symbol_of};
use crate::config::{Capture, Market};
use crate::instrument::NO_TOPIC;
use crate::scan;
use crate::text::{POWERS, overwrite};
use crate::wire::header;

/// An id in a frame that grows from loop to loop.
#[derive(Debug)]
struct Patch {
    /// Offset from the beginning of the frame, header included.
    position: u32,
    digits: u8,
    value: u64,
    /// Added for the second loop.
    first_step: u64,
    /// Added for every later loop.
    step: u64,
}

/// One frame, ready to be sent to a combined connection.
#[derive(Debug)]
struct Frame {
    offset: usize,
    /// Nanoseconds since the beginning.
    at: u64,
    header: u8,
    length: u32,
    data: (u32, u32),
    stream: u32,
    patches: (u32, u8),
    /// Which patches hold the first and last id.
    ids: (u8, u8),
}

/// A stream of the capture.
#[derive(Debug)]
pub(crate) struct PlayedStream {
    pub(crate) market: Market,
    pub(crate) name: String,
    pub(crate) topic: u32,
}

/// A frame as it goes out.
pub(crate) struct Outgoing<'a> {
    /// Header and wrapped text.
    pub(crate) framed: &'a [u8],
    /// The wrapped text.
    pub(crate) wrapped: &'a [u8],
    /// The bare payload.
    pub(crate) data: &'a [u8],
    pub(crate) first_id: u64,
    pub(crate) last_id: u64,
}

/// Takes captured frames.
pub(crate) trait FrameSink {
    fn forward(&mut self, topic: u32, frame: &Outgoing<'_>);
}

/// Captured frames and how far they were played.
#[derive(Debug)]
pub(crate) struct Playback {
    pub(crate) streams: Vec<PlayedStream>,
    pub(crate) snapshots: HashMap<(Market, String), Snapshot>,
    pub(crate) exchange_info: HashMap<Market, serde_json::Value>,
    /// Frames played, over all loops.
    pub(crate) played: usize,
    /// Passes finished.
    pub(crate) loops_done: u32,
    loops: u32,
    by_name: HashMap<(Market, String), usize>,
    frames: Vec<Frame>,
    patches: Vec<Patch>,
    blob: Vec<u8>,
    next: usize,
}

/// Which space of ids a number belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Space {
    Book,
    Trade,
    Aggregate,
}

/// The id members of a payload by the event's stream.
fn id_members(stream: &str) -> &'static [(&'static str, Space)] {
    let suffix = stream.split_once('@').map_or("", |(_, suffix)| suffix);
    match suffix.split('@').next().unwrap_or("") {
        "trade" => &[("t", Space::Trade)],
        "aggTrade" => &[("a", Space::Aggregate), ("f", Space::Trade), ("l", Space::Trade)],
        "bookTicker" => &[("u", Space::Book)],
        depth if depth.starts_with("depth") => {
            &[("U", Space::Book), ("u", Space::Book), ("pu", Space::Book), ("lastUpdateId", Space::Book)]
        }
        _ => &[],
    }
}

/// An id found in a frame while loading.
struct Found {
    key: &'static str,
    space: Space,
    start: usize,
    end: usize,
    value: u64,
}

fn find_ids(line: &Line) -> Vec<Found> {
    let wanted = id_members(&line.stream);
    let data = &line.text[line.data.0..line.data.1];
    let mut ids = Vec::new();
    scan::members(data, |key, value| {
        let known = wanted.iter().find(|(name, _)| name.as_bytes() == key);
        if let (Some((name, space)), false) = (known, value.string)
            && let Some(number) = scan::number(&data[value.start..value.end])
        {
            let (start, end) = (line.data.0 + value.start, line.data.0 + value.end);
            ids.push(Found { key: name, space: *space, start, end, value: number });
        }
    });
    ids
}

/// Lowest and highest id of one space of one symbol.
type Ranges = BTreeMap<(usize, Space), (u64, u64)>;

impl Playback {
    pub(crate) fn new(capture: &Capture, loaded: Loaded) -> Result<Self, Error> {
        let mut playback = Playback {
            streams: Vec::new(),
            snapshots: loaded.snapshots,
            exchange_info: loaded.exchange_info,
            played: 0,
            loops_done: 0,
            loops: capture.loops.max(1),
            by_name: HashMap::new(),
            frames: Vec::with_capacity(loaded.lines.len()),
            patches: Vec::new(),
            blob: Vec::new(),
            next: 0,
        };
        let mut builder = Builder::default();
        for line in &loaded.lines {
            builder.add(&mut playback, line)?;
        }
        builder.set_steps(&mut playback);
        playback.loops = playback.loops.min(playback.longest_run());
        Ok(playback)
    }

    /// How many loops keep every id at its width.
    fn longest_run(&self) -> u32 {
        let of = |patch: &Patch| {
            let highest = POWERS[patch.digits.min(19) as usize] - 1;
            let room = highest.saturating_sub(patch.value);
            match room.checked_sub(patch.first_step) {
                Some(left) => (left / patch.step.max(1)).saturating_add(2).min(u32::MAX.into()) as u32,
                None => 1,
            }
        };
        self.patches.iter().map(of).min().unwrap_or(u32::MAX)
    }

    pub(crate) fn find(&self, market: Market, name: &str) -> Option<usize> {
        self.by_name.get(&(market, name.to_owned())).copied()
    }

    /// Connects a stream to a topic, or disconnects it with [`NO_TOPIC`].
    pub(crate) fn connect(&mut self, market: Market, name: &str, topic: u32) {
        if let Some(index) = self.find(market, name) {
            self.streams[index].topic = topic;
        }
    }

    /// True when nothing is left to play.
    pub(crate) fn finished(&self) -> bool {
        self.loops_done >= self.loops || self.frames.is_empty()
    }

    /// When the next frame is due, nanoseconds since the beginning of the first loop.
    pub(crate) fn next_at(&self) -> u64 {
        let length = self.frames.last().map_or(0, |frame| frame.at) + 1_000_000;
        self.frames[self.next].at + u64::from(self.loops_done) * length
    }

    /// Sends the next frame.
    pub(crate) fn play_one<S: FrameSink>(&mut self, sink: &mut S) {
        if self.finished() {
            return;
        }
        let frame = &self.frames[self.next];
        let (offset, header) = (frame.offset, frame.header as usize);
        let end = offset + header + frame.length as usize;
        let (first, count) = frame.patches;
        let patches = &mut self.patches[first as usize..first as usize + count as usize];
        let blob = &mut self.blob[offset..end];
        if self.loops_done > 0 {
            for patch in patches.iter_mut() {
                patch.value += if self.loops_done == 1 { patch.first_step } else { patch.step };
                let position = patch.position as usize;
                overwrite(&mut blob[position..position + patch.digits as usize], patch.value);
            }
        }
        let topic = self.streams[frame.stream as usize].topic;
        if topic != NO_TOPIC {
            let id = |index: u8| patches.get(index as usize).map_or(0, |patch| patch.value);
            let data = (header + frame.data.0 as usize, header + frame.data.1 as usize);
            let outgoing = Outgoing {
                framed: blob,
                wrapped: &blob[header..],
                data: &blob[data.0..data.1],
                first_id: id(frame.ids.0),
                last_id: id(frame.ids.1),
            };
            sink.forward(topic, &outgoing);
        }
        self.advance();
    }

    fn advance(&mut self) {
        self.played += 1;
        self.next += 1;
        if self.next == self.frames.len() {
            self.next = 0;
            self.loops_done += 1;
        }
    }

    /// Symbols of a market, sorted.
    pub(crate) fn symbols(&self, market: Market) -> Vec<String> {
        let of_market = self.streams.iter().filter(|stream| stream.market == market);
        let mut symbols: Vec<String> = of_market
            .filter_map(|stream| stream.name.split_once('@'))
            .map(|(symbol, _)| symbol.to_ascii_uppercase())
            .filter(|symbol| !symbol.starts_with('!'))
            .collect();
        symbols.sort_unstable();
        symbols.dedup();
        symbols
    }

    /// A sample payload of a symbol, for the digits its numbers have.
    pub(crate) fn samples(&self, market: Market, symbol: &str) -> impl Iterator<Item = &[u8]> {
        let prefix = format!("{}@", symbol.to_ascii_lowercase());
        self.frames.iter().filter_map(move |frame| {
            let stream = &self.streams[frame.stream as usize];
            let start = frame.offset + frame.header as usize;
            let data = (start + frame.data.0 as usize, start + frame.data.1 as usize);
            (stream.market == market && stream.name.starts_with(&prefix)).then(|| &self.blob[data.0..data.1])
        })
    }
}

/// What is remembered while frames are added.
#[derive(Default)]
struct Builder {
    /// Lowest and highest ids by symbol.
    ranges: Ranges,
    symbols: HashMap<(Market, String), usize>,
    /// Space and symbol of every patch.
    owners: Vec<(usize, Space)>,
    /// Per stream: the patch that ties a loop to the one before (`U` or `pu`), and the last `u`.
    ties: HashMap<u32, (usize, bool, u64)>,
}

impl Builder {
    fn add(&mut self, playback: &mut Playback, line: &Line) -> Result<(), Error> {
        let stream = stream_index(playback, line);
        let symbol = symbol_of(&line.text[line.data.0..line.data.1]).unwrap_or_default();
        let next = self.symbols.len();
        let symbol = *self.symbols.entry((line.market, symbol)).or_insert(next);
        let offset = playback.blob.len();
        let (head, head_length) = header(1, line.text.len());
        playback.blob.extend_from_slice(&head[..head_length]);
        playback.blob.extend_from_slice(&line.text);
        let too_large =
            || Error::Capture { path: line.stream.clone().into(), reason: "too large".to_owned() };
        let first = u32::try_from(playback.patches.len()).map_err(|_| too_large())?;
        let length = u32::try_from(line.text.len()).map_err(|_| too_large())?;
        let ids = self.add_patches(playback, line, stream, symbol, head_length);
        let count = (playback.patches.len() - first as usize) as u8;
        playback.frames.push(Frame {
            offset,
            at: line.at,
            header: head_length as u8,
            length,
            data: (line.data.0 as u32, line.data.1 as u32),
            stream,
            patches: (first, count),
            ids,
        });
        Ok(())
    }

    fn add_patches(
        &mut self,
        playback: &mut Playback,
        line: &Line,
        stream: u32,
        symbol: usize,
        head_length: usize,
    ) -> (u8, u8) {
        let mut ids = (u8::MAX, u8::MAX);
        let mut tie = None;
        let mut last = None;
        for (index, found) in find_ids(line).into_iter().enumerate() {
            let patch = playback.patches.len();
            if found.key != "pu" {
                let range = self.ranges.entry((symbol, found.space)).or_insert((found.value, found.value));
                *range = (range.0.min(found.value), range.1.max(found.value));
            }
            match found.key {
                "U" => {
                    ids.0 = index as u8;
                    tie = tie.or(Some((patch, false)));
                }
                "u" | "lastUpdateId" => {
                    ids = (if ids.0 == u8::MAX { index as u8 } else { ids.0 }, index as u8);
                    last = Some(found.value);
                }
                "pu" => tie = Some((patch, true)),
                "t" | "a" => ids = (index as u8, index as u8),
                _ => {}
            }
            playback.patches.push(Patch {
                position: (head_length + found.start) as u32,
                digits: (found.end - found.start) as u8,
                value: found.value,
                first_step: 0,
                step: 0,
            });
            self.owners.push((symbol, found.space));
        }
        if let (Some((patch, previous)), Some(last)) = (tie, last) {
            self.ties.entry(stream).or_insert((patch, previous, last)).2 = last;
        }
        ids
    }

    /// Every id moves by the range of its space; the first depth event of a loop joins the last one.
    fn set_steps(&self, playback: &mut Playback) {
        for (patch, owner) in playback.patches.iter_mut().zip(&self.owners) {
            let (lowest, highest) = self.ranges.get(owner).copied().unwrap_or((0, 0));
            patch.step = highest - lowest + 1;
            patch.first_step = patch.step;
        }
        for &(patch, previous, last) in self.ties.values() {
            let patch = &mut playback.patches[patch];
            let target = if previous { last } else { last + 1 };
            patch.first_step = target.saturating_sub(patch.value);
        }
    }
}

fn stream_index(playback: &mut Playback, line: &Line) -> u32 {
    let key = (line.market, line.stream.clone());
    let streams = &mut playback.streams;
    let index = *playback.by_name.entry(key).or_insert_with(|| {
        streams.push(PlayedStream { market: line.market, name: line.stream.clone(), topic: NO_TOPIC });
        streams.len() - 1
    });
    index as u32
}

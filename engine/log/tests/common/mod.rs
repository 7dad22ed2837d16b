//! Records and logs for the tests.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod kinds;
pub mod story;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use marketprism_core::Instrument;
use marketprism_core::record::*;
use marketprism_log::*;

pub fn trade(instrument: u32, id: u64) -> Trade {
    let mut record: Trade = bytemuck::Zeroable::zeroed();
    record.header = Header::new(Kind::Trade, instrument, 1_000 + id as i64);
    record.header.sequence = id;
    record.price = 5_000_000 + id as i64;
    record.quantity = 10;
    record
}

pub fn delta(instrument: u32, first: u64, last: u64, previous: Option<u64>, flags: u8) -> Book {
    let mut record: Book = bytemuck::Zeroable::zeroed();
    record.header = Header::new(Kind::BookDelta, instrument, 1_000 + last as i64);
    record.header.sequence = last;
    record.header.flags = flags;
    record.first_id = first;
    record.previous_id = previous.map_or(ABSENT, |id| id as i64);
    record
}

/// A snapshot from REST.
pub fn snapshot(instrument: u32, id: u64) -> Book {
    let mut record = delta(instrument, id, id, None, flag::SNAPSHOT | flag::REST);
    record.header.kind = Kind::BookSnapshot as u8;
    record
}

pub fn gap(instrument: u32, stream: Kind, from: u64, to: u64, reason: GapReason) -> Gap {
    let mut record: Gap = bytemuck::Zeroable::zeroed();
    record.header = Header::new(Kind::Gap, instrument, 2_000);
    record.from_id = from;
    record.to_id = to;
    record.stream = stream as u8;
    record.reason = reason as u8;
    record
}

/// A directory that goes away with the test; in memory where there is such a place, since recovery waits for the disk.
pub fn temporary() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Options without waits for the disk.
pub fn options() -> LogOptions {
    LogOptions { sync_directory: false, run_id: 1, ..LogOptions::default() }
}

/// Three instruments of one market, ids 1 to 3.
pub fn define<F: WriteAt>(appender: &mut Appender<F>) {
    for symbol in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
        appender.registry_mut().define(Instrument::unknown("binance", "spot", symbol));
    }
}

pub fn appender(directory: &Path) -> Appender {
    let (mut appender, _) = Appender::open(directory, options()).unwrap();
    define(&mut appender);
    appender
}

/// A batch of trades of instrument 1 with ids `from..end`.
pub fn trades(from: u64, end: u64) -> BatchBuilder {
    let mut batch = BatchBuilder::new();
    (from..end).for_each(|id| batch.push(RecordRef::Trade(&trade(1, id))).unwrap());
    batch
}

/// The segments of a log, lowest sequence first.
pub fn segments(directory: &Path) -> Vec<PathBuf> {
    LogReader::open(directory).unwrap().segments()
}

/// Where the batches of a segment begin.
pub fn offsets(path: &Path) -> Vec<u64> {
    let segment = Segment::map(path).unwrap();
    let mut batches = segment.batches();
    std::iter::from_fn(|| Some(batches.next_batch()?.unwrap().offset())).collect()
}

/// Random lines that make a record of `kind` with this many levels or bytes behind it.
pub fn record_lines(kind: Kind, seed: [u8; 32], extra: u16) -> Vec<Line> {
    let head = kind.head_lines();
    let noise =
        |index: usize| seed[index % 32].wrapping_mul(index as u8 | 1).wrapping_add((index >> 3) as u8);
    let levels = (extra / 2, extra - extra / 2);
    let body = match kind {
        Kind::BookSnapshot | Kind::BookDelta => usize::from(extra) * 16,
        Kind::Instrument | Kind::Session | Kind::Raw => usize::from(extra),
        _ => 0,
    };
    let mut bytes: Vec<u8> = (0..head * LINE_BYTES + body).map(noise).collect();
    bytes[0] = kind as u8;
    match kind {
        Kind::BookSnapshot | Kind::BookDelta => {
            bytes[56..60].fill(0);
            bytes[60..62].copy_from_slice(&levels.0.to_le_bytes());
            bytes[62..64].copy_from_slice(&levels.1.to_le_bytes());
        }
        Kind::Instrument | Kind::Session | Kind::Raw => {
            bytes[32..36].fill(0);
            bytes[36..40].copy_from_slice(&u32::from(extra).to_le_bytes());
        }
        _ => {}
    }
    bytes.resize(bytes.len().next_multiple_of(LINE_BYTES), 0);
    bytes.chunks_exact(LINE_BYTES).map(bytemuck::pod_read_unaligned).collect()
}

/// A record's bytes without its place in a pool, which is the log's own.
pub fn comparable(record: RecordRef<'_>) -> (Vec<u8>, Vec<u8>) {
    let (head, body) = record.parts();
    let mut head = bytemuck::cast_slice::<_, u8>(head).to_vec();
    match record {
        RecordRef::Book(..) => head[56..60].fill(0),
        RecordRef::Definition(..) | RecordRef::Session(..) | RecordRef::Raw(..) => head[32..36].fill(0),
        _ => {}
    }
    (head, body.to_vec())
}

/// The ids of all trades in a log, and what was wrong.
pub fn read_ids(directory: &Path) -> (Vec<u64>, ReadReport) {
    let mut ids = Vec::new();
    let mut sequences = Vec::new();
    let report = LogReader::open(directory)
        .unwrap()
        .for_each(&Selection::default(), |sequence, record, registry| {
            assert!(registry.get(record.header().instrument).is_some());
            sequences.push(sequence);
            ids.push(record.header().sequence);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(sequences.is_sorted());
    (ids, report)
}

pub fn texts(verification: &Verification) -> Vec<&str> {
    verification.problems.iter().map(|problem| problem.what.as_str()).collect()
}

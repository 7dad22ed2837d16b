//! Reads bytes as a segment in every way that the library offers. Nothing may panic, and memory stays bounded.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use marketprism_core::Instrument;
use marketprism_core::json::write_record;
use marketprism_core::record::{Kind, LINE_BYTES, Line};
use marketprism_log::format::{
    BATCH_MAGIC, Codec, FILE_MAGIC, HEADER_BYTES, TRAILER_MAGIC, VERSION, checksum, padded, segment_name,
};
use marketprism_log::*;
use tempfile::TempDir;

/// The codec of clustered bodies.
const CLUSTERED: u8 = Codec::Clustered as u8;

thread_local! {
    static FOLDER: TempDir = in_memory();
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    folder.expect("a temporary folder")
}

/// Reads the bytes as batches in memory, and as the one segment of a log.
pub(crate) fn read(bytes: &[u8]) {
    in_place(bytes);
    FOLDER.with(|folder| {
        let log = folder.path().join("log");
        fresh(&log);
        let segment = log.join(segment_name(first_sequence(bytes)));
        fs::write(&segment, bytes).expect("a file in the temporary folder");
        as_log(&log, &segment);
    });
}

fn fresh(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir(folder).expect("a folder in the temporary folder");
}

/// By the file header, so that names agree at times.
fn first_sequence(bytes: &[u8]) -> u64 {
    bytes.get(32..40).and_then(|field| field.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn in_place(bytes: &[u8]) {
    let mut lines = vec![Line([0; LINE_BYTES]); bytes.len() / LINE_BYTES];
    bytemuck::cast_slice_mut::<Line, u8>(&mut lines)
        .copy_from_slice(&bytes[..bytes.len() / LINE_BYTES * LINE_BYTES]);
    let mut batches = Batches::over("fuzz", bytemuck::cast_slice(&lines));
    let unnamed = Instrument::default();
    while let Some(batch) = batches.next_batch() {
        let Ok(batch) = batch else { continue };
        let mut records = 0;
        for (sequence, record) in batch.records() {
            records += 1;
            TEXT.with_borrow_mut(|text| {
                text.clear();
                write_record(text, record, &unnamed, sequence);
            });
        }
        assert!(records <= batch.len(), "more records than the header says");
    }
}

fn as_log(log: &Path, segment: &Path) {
    if let Ok(segment) = Segment::map(segment) {
        let _ = (segment.footer(), segment.last_receive_ns(), segment.is_sealed(), segment.torn_bytes());
    }
    let some = Selection {
        instruments: Some(BTreeSet::from([1, 2])),
        kinds: Some(BTreeSet::from([Kind::Trade, Kind::BookDelta])),
        from_ns: 1,
        ..Selection::default()
    };
    let unchecked = Selection { checksums: false, ..Selection::default() };
    let reader = LogReader::open(log).expect("a folder that exists");
    let mut counts = [0u64; 3];
    for (selection, count) in [Selection::default(), unchecked, some].iter().zip(&mut counts) {
        let report = reader.for_each(selection, |_, _, _| {
            *count += 1;
            ControlFlow::Continue(())
        });
        let _ = report.map(|report| assert_eq!(report.records, *count));
    }
    let _ = reader.registry();
    let _ = verify(log);
    let _ = inspect::inspect(log);
    compacted(log, segment, counts[0]);
    let _ = Log::open(log, LogOptions::default());
}

/// A compaction that succeeds changes no record.
fn compacted(log: &Path, segment: &Path, records: u64) {
    if let Ok(Some(_)) = compact(segment, || true) {
        let reader = LogReader::open(log).expect("a folder that exists");
        let report = reader.for_each(&Selection::default(), |_, _, _| ControlFlow::Continue(()));
        assert_eq!(report.expect("a segment that was just written").records, records);
    }
}

/// The same bytes with right magics, versions, lengths and checksums, as far as they look like a segment.
#[allow(dead_code, reason = "one of the targets wants bytes as they are")]
pub(crate) fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().max(HEADER_BYTES).next_multiple_of(HEADER_BYTES), 0);
    let length = bytes.len();
    seal(&mut bytes[..HEADER_BYTES], &FILE_MAGIC, &VERSION.to_le_bytes());
    let mut at = HEADER_BYTES;
    while at < length {
        let (head, rest) = bytes[at..].split_at_mut(HEADER_BYTES);
        if head.starts_with(&BATCH_MAGIC) {
            let mut body = u32::from_le_bytes([head[12], head[13], head[14], head[15]]) as usize;
            body = body.min(rest.len());
            head[12..16].copy_from_slice(&(body as u32).to_le_bytes());
            let whole = padded(body).min(rest.len());
            if head[10] == CLUSTERED {
                seal_clusters(&mut rest[..body]);
            }
            head[56..60].copy_from_slice(&checksum(&rest[..whole]).to_le_bytes());
            seal(head, &BATCH_MAGIC, &(VERSION as u16).to_le_bytes());
            at += HEADER_BYTES + whole;
        } else if head.starts_with(&TRAILER_MAGIC) {
            head[24..32].copy_from_slice(&(length as u64).to_le_bytes());
            seal(head, &TRAILER_MAGIC, &VERSION.to_le_bytes());
            at += HEADER_BYTES;
        } else {
            at += HEADER_BYTES;
        }
    }
    bytes
}

/// Sets the checksums of a clustered body: those of the frames in their entries, then that of the entries, then that of the
/// directory.
fn seal_clusters(body: &mut [u8]) {
    let Some((directory, rest)) = body.split_at_mut_checked(HEADER_BYTES) else { return };
    let clusters = u32::from_le_bytes([directory[0], directory[1], directory[2], directory[3]]) as usize;
    let entries = clusters.min(rest.len() / HEADER_BYTES) * HEADER_BYTES;
    let (entries, frames) = rest.split_at_mut(entries);
    let number = |field: &[u8]| field.try_into().map_or(0, u32::from_le_bytes) as usize;
    for entry in entries.chunks_exact_mut(HEADER_BYTES) {
        let from = number(&entry[32..36]).saturating_sub(HEADER_BYTES * (clusters + 1));
        let frame = frames.get(from..).and_then(|frames| frames.get(..number(&entry[36..40])));
        let sum = frame.map_or(0, checksum);
        entry[48..52].copy_from_slice(&sum.to_le_bytes());
    }
    directory[4..8].copy_from_slice(&checksum(entries).to_le_bytes());
    let sum = checksum(&directory[..60]);
    directory[60..64].copy_from_slice(&sum.to_le_bytes());
}

/// Sets magic, version and checksum of a header of 64 bytes.
fn seal(head: &mut [u8], magic: &[u8; 8], version: &[u8]) {
    head[..8].copy_from_slice(magic);
    head[8..8 + version.len()].copy_from_slice(version);
    let sum = checksum(&head[..60]);
    head[60..64].copy_from_slice(&sum.to_le_bytes());
}

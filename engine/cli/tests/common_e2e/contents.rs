//! What a log holds, as one hash for each record, whichever batch it lies in.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use marketprism_core::record::{Book, Raw, RecordRef};
use marketprism_log::{LogReader, Selection};

/// Hashes of the records of a log from a capture sequence on, in capture order, with what `see` is shown on the way. The
/// records must be free of damage and of holes.
pub fn hashes_from(
    data: &Path,
    from_sequence: u64,
    mut see: impl FnMut(u64, RecordRef<'_>),
) -> Vec<(u64, u64)> {
    let Ok(reader) = LogReader::open(data) else { return Vec::new() };
    let mut hashes: Vec<(u64, u64)> = Vec::new();
    let selection = Selection { from_sequence, ..Selection::default() };
    let report = reader.for_each(&selection, |sequence, record, _| {
        if let Some((before, _)) = hashes.last() {
            assert_eq!(sequence, before + 1, "the capture sequence has no hole");
        }
        see(sequence, record);
        hashes.push((sequence, hash(record)));
        ControlFlow::Continue(())
    });
    let problems = report.unwrap().problems;
    assert!(problems.is_empty(), "{problems:?}");
    hashes
}

fn hash(record: RecordRef<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let (head, body) = record.parts();
    let mut head: Vec<[u8; 64]> = head.iter().map(|line| line.0).collect();
    head[0][places_in_batch(record)].fill(0);
    head.hash(&mut hasher);
    body.hash(&mut hasher);
    hasher.finish()
}

/// Where a record says at which place of its batch its levels or its body are: compaction puts it into another batch.
fn places_in_batch(record: RecordRef<'_>) -> std::ops::Range<usize> {
    match record {
        RecordRef::Book(..) => {
            std::mem::offset_of!(Book, level_start)..std::mem::offset_of!(Book, bid_levels)
        }
        RecordRef::Definition(..) | RecordRef::Session(..) | RecordRef::Raw(..) => {
            let body = std::mem::offset_of!(Raw, body);
            body..body + size_of::<u32>()
        }
        _ => 0..0,
    }
}

/// The segment files of a log, lowest sequence first.
pub fn segments(data: &Path) -> Vec<PathBuf> {
    LogReader::open(data).map_or_else(|_| Vec::new(), |reader| reader.segments())
}

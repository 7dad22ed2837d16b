//! Where streams ended, for a recorder that goes on: the hole until then begins there.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::{Kind, RecordRef, flag};

use crate::error::LogError;
use crate::format::segment_name;
use crate::map::Segment;
use crate::recover::list;

/// The newest record of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// Its id, 0 where the stream has none. Of a book: the last id of the newest delta or snapshot; of these two the
    /// higher one where the snapshot is from REST.
    pub last_id: u64,
    /// When it was received, wall clock, nanoseconds.
    pub receive_ns: i64,
}

/// Finds where the wanted streams ended. Looks at the newest segment first and goes back until all are found or
/// `most_bytes`, as they are once decoded, have been read; a stream that is in none of these is left out. Damaged batches are passed over, and
/// derived records, which are of no stream.
pub fn stream_ends(
    directory: &Path,
    wanted: &HashSet<(InstrumentId, Kind)>,
    most_bytes: u64,
) -> Result<BTreeMap<(InstrumentId, Kind), StreamEnd>, LogError> {
    let mut ends = BTreeMap::new();
    let mut bytes = 0;
    for name in list(directory)?.iter().rev() {
        if ends.len() == wanted.len() || bytes >= most_bytes {
            break;
        }
        let segment = Segment::map(&directory.join(segment_name(*name)))?;
        let mut newest: BTreeMap<(InstrumentId, Kind), StreamEnd> = BTreeMap::new();
        let mut batches = segment.batches();
        while let Some(batch) = batches.next_batch() {
            let Ok(batch) = batch else { continue };
            bytes += u64::from(batch.header().decoded_bytes);
            for (_, record) in batch.records() {
                let Some(stream) = stream_of(&record) else { continue };
                if wanted.contains(&stream) && !ends.contains_key(&stream) {
                    let header = record.header();
                    let last_id = match newest.get(&stream) {
                        Some(before) if is_rest_book(&record) => before.last_id.max(header.sequence),
                        _ => header.sequence,
                    };
                    newest.insert(stream, StreamEnd { last_id, receive_ns: header.receive_ns });
                }
            }
        }
        ends.append(&mut newest);
    }
    Ok(ends)
}

/// A book fetched beside the stream, which may lag behind it.
fn is_rest_book(record: &RecordRef<'_>) -> bool {
    record.kind() == Some(Kind::BookSnapshot) && record.header().flags & flag::REST != 0
}

/// The stream that a record belongs to; a snapshot that a book can be started from belongs to its book's deltas.
fn stream_of(record: &RecordRef<'_>) -> Option<(InstrumentId, Kind)> {
    let (header, kind) = (record.header(), record.kind()?);
    match kind {
        _ if header.flags & flag::DERIVED != 0 => None,
        Kind::Instrument | Kind::Session | Kind::Gap | Kind::Raw => None,
        Kind::BookSnapshot if header.flags & flag::PARTIAL != 0 => Some((header.instrument, kind)),
        // It may not have been taken; where it was, the next delta goes on from it.
        Kind::BookSnapshot if header.flags & flag::BOOK_INVALID != 0 => None,
        Kind::BookSnapshot => Some((header.instrument, Kind::BookDelta)),
        kind => Some((header.instrument, kind.stream())),
    }
}

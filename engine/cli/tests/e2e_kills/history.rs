//! Everything that was ever seen in a log, to hold it against what is there after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use marketprism_core::record::{Kind, RecordRef, flag};

use crate::common_e2e::contents::{hashes_from, segments};

/// The records of a log by capture sequence, and the newest id of every stream.
#[derive(Default)]
pub(crate) struct History {
    /// Hashes of the records that must still be there.
    records: BTreeMap<u64, u64>,
    /// First sequences of all segments that there ever were.
    names: BTreeSet<u64>,
    /// The highest id by instrument and kind.
    newest_ids: BTreeMap<(u32, Kind), u64>,
    /// The capture sequence after the last record.
    pub(crate) end: u64,
}

impl History {
    /// Notes what is in the newest segments of a log that is being written.
    pub(crate) fn glimpse(&mut self, data: &Path) {
        let names = names(data);
        let from = names.iter().rev().nth(1).copied().unwrap_or(0);
        self.names.extend(names);
        self.records.extend(hashes_from(data, from, |_, _| ()));
    }

    /// Number of records in the log as it was compared last.
    pub(crate) fn records(&self) -> u64 {
        self.records.len() as u64
    }

    /// The first sequence that must be there.
    pub(crate) fn first(&self) -> Option<u64> {
        self.records.first_key_value().map(|(first, _)| *first)
    }

    /// Holds a log whose recorder was killed against what was there before and what the recorder said was written.
    pub(crate) fn compare(&mut self, data: &Path, written: u64) {
        let mut new_ids = Vec::new();
        let found = hashes_from(data, 0, |sequence, record| new_ids.extend(counted_id(sequence, record)));
        let first = found.first().map_or(u64::MAX, |(first, _)| *first);
        let end = found.last().map_or(0, |(last, _)| last + 1);
        assert!(end >= written, "{written} was reported as written, the log ends at {end}");
        self.removed_before(first);
        for (sequence, hash) in &self.records {
            let index = usize::try_from(sequence - first).unwrap();
            let now = found.get(index);
            assert_eq!(now, Some(&(*sequence, *hash)), "an earlier record was lost or altered");
        }
        for (sequence, stream, id) in new_ids.into_iter().filter(|(sequence, ..)| *sequence >= self.end) {
            let before = self.newest_ids.insert(stream, id);
            assert!(before < Some(id), "{stream:?}: {id} is stored twice, at last as record {sequence}");
        }
        self.end = end;
        self.records = found.into_iter().collect();
        self.names.extend(names(data));
    }

    /// What is gone must be the oldest segments, as a whole.
    fn removed_before(&mut self, first: u64) {
        if self.first().is_some_and(|before| before < first) {
            assert!(self.names.contains(&first), "the log begins with {first}, where no segment began");
        }
        self.records = self.records.split_off(&first);
    }
}

fn names(data: &Path) -> Vec<u64> {
    let name = |path: std::path::PathBuf| path.file_stem()?.to_str()?.parse().ok();
    segments(data).into_iter().filter_map(name).collect()
}

/// The id of a record whose stream has growing ids.
fn counted_id(sequence: u64, record: RecordRef<'_>) -> Option<(u64, (u32, Kind), u64)> {
    let header = record.header();
    let kind = record.kind()?;
    let is_streamed = header.flags & (flag::REST | flag::DERIVED | flag::BACKFILLED) == 0;
    let has_ids = matches!(kind, Kind::Trade | Kind::AggTrade | Kind::BookDelta);
    (is_streamed && has_ids).then_some((sequence, (header.instrument, kind), header.sequence))
}

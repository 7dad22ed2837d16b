//! What a recorder was at when it was killed, and how to catch it there.

use std::fs;
use std::path::{Path, PathBuf};

use marketprism_log::Segment;
use marketprism_log::format::{BatchKind, TEMPORARY_SUFFIX};

use crate::common_e2e::contents::segments;

/// What a recorder is at. It may be at several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Opening the log, asking the venue, starting threads.
    Starting,
    /// The newest segment holds records and takes more.
    Writing,
    /// A batch was on its way into the file.
    Tearing,
    /// A segment has been sealed and the next one holds nothing yet.
    Sealing,
    /// A segment is being rewritten compressed.
    Compressing,
    /// The oldest segment was removed a moment ago.
    Removing,
}

impl Phase {
    pub(crate) const ALL: [Phase; 6] = [
        Phase::Starting,
        Phase::Writing,
        Phase::Tearing,
        Phase::Sealing,
        Phase::Compressing,
        Phase::Removing,
    ];

    /// Kills that must have hit it, out of so many. A write to the page cache is seldom cut in two.
    pub(crate) fn least(self, kills: usize) -> usize {
        if self == Phase::Tearing { 0 } else { (kills / 40).max(1) }
    }
}

/// A log's folder at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    segments: Vec<PathBuf>,
    is_compressing: bool,
}

impl Look {
    pub(crate) fn at(data: &Path) -> Look {
        let names = fs::read_dir(data).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut is_temporary = names.filter_map(|name| name.into_string().ok());
        let is_compressing = is_temporary.any(|name| name.ends_with(TEMPORARY_SUFFIX));
        Look { segments: segments(data), is_compressing }
    }

    /// Whether the recorder has begun to do this since it was looked at before.
    pub(crate) fn shows(&self, phase: Phase, before: &Look) -> bool {
        match phase {
            Phase::Sealing => self.segments.last() != before.segments.last(),
            Phase::Compressing => self.is_compressing && !before.is_compressing,
            Phase::Removing => self.segments.first() != before.segments.first(),
            Phase::Starting | Phase::Writing | Phase::Tearing => true,
        }
    }
}

/// What a recorder that was killed while recording was at, by what it left behind and what was seen just before.
pub(crate) fn left_behind(data: &Path, before: &Look) -> Vec<Phase> {
    let now = Look::at(data);
    let mut phases = Vec::new();
    if let Some(newest) = now.segments.last() {
        let newest = Segment::map(newest).unwrap();
        let is_sealing = newest.is_sealed() || !holds_data(&newest);
        phases.push(if is_sealing { Phase::Sealing } else { Phase::Writing });
        if newest.torn_bytes() > 0 {
            phases.push(Phase::Tearing);
        }
    }
    if now.is_compressing {
        phases.push(Phase::Compressing);
    }
    if now.segments.first() != before.segments.first() {
        phases.push(Phase::Removing);
    }
    phases
}

fn holds_data(segment: &Segment) -> bool {
    let mut batches = segment.batches();
    while let Some(batch) = batches.next_batch() {
        if batch.unwrap().kind() == BatchKind::Data {
            return true;
        }
    }
    false
}

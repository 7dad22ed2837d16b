//! Reading a whole log.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use marketprism_core::InstrumentId;
use marketprism_core::instrument::Registry;
use marketprism_core::record::{Kind, RecordRef};

use crate::error::{LogError, Problem};
use crate::format::{BatchKind, segment_name};
use crate::map::Segment;
use crate::recover::{list, restore, restore_one};
use crate::view::BatchView;

/// A log open for reading. Takes no lock and works while the log is written; sees the segments that there were when
/// it was opened, and of the last one what is whole when it is read.
#[derive(Clone, Debug)]
pub struct LogReader {
    directory: PathBuf,
    segments: Vec<u64>,
}

/// Which records to read. The default is all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// First capture sequence.
    pub from_sequence: u64,
    /// The capture sequence before which to stop.
    pub end_sequence: u64,
    /// Earliest receive time, nanoseconds since the Unix epoch.
    pub from_ns: i64,
    /// The receive time from which on records are left out, nanoseconds since the Unix epoch.
    pub end_ns: i64,
    /// Only records of these instruments; `None`: of all.
    pub instruments: Option<BTreeSet<InstrumentId>>,
    /// Only these kinds; `None`: all.
    pub kinds: Option<BTreeSet<Kind>>,
    /// Whether checksums are compared. Without, reading is safe but a flipped bit goes unnoticed.
    pub checksums: bool,
}

impl Default for Selection {
    fn default() -> Selection {
        Selection {
            from_sequence: 0,
            end_sequence: u64::MAX,
            from_ns: i64::MIN,
            end_ns: i64::MAX,
            instruments: None,
            kinds: None,
            checksums: true,
        }
    }
}

impl Selection {
    fn takes_batch(&self, batch: &BatchView<'_>) -> bool {
        let header = batch.header();
        header.end_sequence() > self.from_sequence
            && header.first_sequence < self.end_sequence
            && header.last_receive_ns >= self.from_ns
            && header.first_receive_ns < self.end_ns
    }

    fn takes(&self, sequence: u64, record: RecordRef<'_>) -> bool {
        let header = record.header();
        let is_kind = |kinds: &BTreeSet<Kind>| record.kind().is_some_and(|kind| kinds.contains(&kind));
        (self.from_sequence..self.end_sequence).contains(&sequence)
            && (self.from_ns..self.end_ns).contains(&header.receive_ns)
            && self.instruments.as_ref().is_none_or(|wanted| wanted.contains(&header.instrument))
            && self.kinds.as_ref().is_none_or(is_kind)
    }
}

/// What reading came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Records handed out.
    pub records: u64,
    /// The capture sequence after the last whole batch that was read; where to go on.
    pub next_sequence: u64,
    /// What was damaged or missing on the way.
    pub problems: Vec<Problem>,
}

/// What lies in a log, piece by piece.
pub(crate) enum Piece<'a> {
    /// A segment begins.
    Segment(&'a Segment),
    /// A dictionary or data batch of the segment that began last.
    Batch(&'a Segment, &'a BatchView<'a>),
    /// Something is wrong.
    Problem(Problem),
}

impl LogReader {
    /// Opens a log's directory.
    pub fn open(directory: &Path) -> Result<LogReader, LogError> {
        Ok(LogReader { directory: directory.to_owned(), segments: list(directory)? })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The capture sequence that the log begins with; what came before it is kept no longer. `None` where it is empty.
    pub fn first_sequence(&self) -> Option<u64> {
        self.segments.first().copied()
    }

    /// The segments' files, lowest sequence first.
    pub fn segments(&self) -> Vec<PathBuf> {
        self.segments.iter().map(|first| self.directory.join(segment_name(*first))).collect()
    }

    /// All instruments of the log, as they were defined last.
    pub fn registry(&self) -> Result<Registry, LogError> {
        let mut registry = Registry::default();
        // A dictionary repeats everything that was defined before; the newest may be damaged or not written yet.
        let newest = self.segments.iter().rev().take(2).next_back().copied().unwrap_or(0);
        self.walk(&Selection { from_sequence: newest, ..Selection::default() }, |piece| {
            if let Piece::Batch(_, batch) = piece {
                restore(&mut registry, batch);
            }
            ControlFlow::Continue(())
        })?;
        Ok(registry)
    }

    /// Hands the selected records to `f` in capture order, each with its capture sequence and the instruments as they were
    /// defined at that point, until `f` breaks. Damage is reported and skipped.
    pub fn for_each(
        &self,
        selection: &Selection,
        mut f: impl FnMut(u64, RecordRef<'_>, &Registry) -> ControlFlow<()>,
    ) -> Result<ReadReport, LogError> {
        let mut registry = Registry::default();
        let mut report = ReadReport { next_sequence: selection.from_sequence, ..ReadReport::default() };
        self.walk(selection, |piece| {
            let batch = match piece {
                Piece::Segment(_) => return ControlFlow::Continue(()),
                Piece::Problem(problem) => {
                    report.problems.push(problem);
                    return ControlFlow::Continue(());
                }
                Piece::Batch(_, batch) => batch,
            };
            if batch.kind() == BatchKind::Dictionary || !selection.takes_batch(batch) {
                restore(&mut registry, batch);
                return ControlFlow::Continue(());
            }
            for (sequence, record) in batch.records() {
                if let RecordRef::Definition(definition, json) = record {
                    restore_one(&mut registry, definition, json);
                }
                if selection.takes(sequence, record) {
                    report.records += 1;
                    report.next_sequence = sequence + 1;
                    f(sequence, record, &registry)?;
                }
            }
            report.next_sequence = batch.header().end_sequence().min(selection.end_sequence);
            ControlFlow::Continue(())
        })?;
        Ok(report)
    }

    /// Hands everything from the segment that holds `from_sequence` on to `visit`: segments, batches, and what is wrong.
    pub(crate) fn walk(
        &self,
        selection: &Selection,
        mut visit: impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let first = self.segments.partition_point(|name| *name <= selection.from_sequence).saturating_sub(1);
        let mut expected = None;
        for (index, name) in self.segments.iter().enumerate().skip(first) {
            if *name >= selection.end_sequence {
                break;
            }
            let is_last = index + 1 == self.segments.len();
            let segment = match Segment::map(&self.directory.join(segment_name(*name))) {
                Ok(segment) => segment,
                // Removed since the directory was read, by retention or by a writer that found it empty.
                Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if walk_segment(&segment, *name, is_last, selection.checksums, &mut expected, &mut visit)
                .is_break()
            {
                break;
            }
        }
        Ok(())
    }
}

fn walk_segment(
    segment: &Segment,
    name: u64,
    is_last: bool,
    checksums: bool,
    expected: &mut Option<u64>,
    visit: &mut impl FnMut(Piece<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    visit(Piece::Segment(segment))?;
    // The last file may be so young that not even its header has been written.
    let young = is_last && !segment.is_sealed() && segment.bytes().is_empty();
    match segment.header() {
        Ok(header) => {
            if header.first_sequence != name {
                let what = format!("the header says that it begins with sequence {}", header.first_sequence);
                visit(Piece::Problem(Problem::new(segment.name(), 0, what)))?;
            }
            // A writer that found records gone has said so; that is not a hole nobody knows of.
            if *expected == Some(header.previous_end) {
                *expected = Some(header.first_sequence);
            }
        }
        Err(problem) if !young => visit(Piece::Problem(problem.clone()))?,
        Err(_) => {}
    }
    let mut batches = if checksums { segment.batches() } else { segment.batches_unchecked() };
    while let Some(batch) = batches.next_batch() {
        match batch {
            Ok(batch) => {
                if batch.kind() == BatchKind::Data {
                    check_sequence(segment, &batch, expected)
                        .map_or(ControlFlow::Continue(()), |problem| visit(Piece::Problem(problem)))?;
                }
                visit(Piece::Batch(segment, &batch))?;
            }
            Err(problem) => visit(Piece::Problem(problem))?,
        }
    }
    if !is_last && segment.torn_bytes() > 0 {
        let offset = segment.file_bytes() - segment.torn_bytes();
        let what = format!("{} bytes at the end are torn or damaged", segment.torn_bytes());
        visit(Piece::Problem(Problem::new(segment.name(), offset, what)))?;
    }
    ControlFlow::Continue(())
}

/// Compares the batch's first sequence with the one after the batch before.
fn check_sequence(segment: &Segment, batch: &BatchView<'_>, expected: &mut Option<u64>) -> Option<Problem> {
    let first = batch.header().first_sequence;
    let before = expected.replace(batch.header().end_sequence()).unwrap_or(first);
    let what = match first.cmp(&before) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Greater => {
            format!("capture sequences {before} to {} are missing: {} records", first - 1, first - before)
        }
        std::cmp::Ordering::Less => {
            format!("capture sequence goes back from {before} to {first}")
        }
    };
    Some(Problem::new(segment.name(), batch.offset(), what))
}

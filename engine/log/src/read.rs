//! Reading a whole log.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::{fs, io};

use marketprism_core::instrument::Registry;
use marketprism_core::record::{Kind, RecordRef};
use marketprism_core::{Instrument, InstrumentId};

use crate::columns::IndexEntry;
use crate::error::{LogError, Problem};
use crate::format::{BatchKind, HEADER_BYTES, segment_name};
use crate::map::{Batches, Footer, Segment};
use crate::recover::{list, restore, restore_one};
pub(crate) use crate::selection::Selection;
use crate::view::BatchView;

/// A log open for reading. Takes no lock and works while the log is written; sees the segments that there were when
/// it was opened, and of the last one what is whole when it is read.
#[derive(Clone, Debug)]
pub struct LogReader {
    directory: PathBuf,
    segments: Vec<u64>,
}

/// What reading came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Records handed out.
    pub records: u64,
    /// The capture sequence after the last whole batch that was read; where to go on.
    pub next_sequence: u64,
    /// Bytes of the log that were looked at: headers, indexes, and what was decoded.
    pub bytes_read: u64,
    /// Length of all segments, bytes.
    pub bytes: u64,
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

    /// Earliest and latest receive time of the log, nanoseconds since the Unix epoch, by indexes and batch headers alone.
    /// `None` where it has no record.
    pub fn receive_times(&self) -> Result<Option<(i64, i64)>, LogError> {
        let mut times: Option<(i64, i64)> = None;
        for name in &self.segments {
            let Some((first, last)) = self.map(*name)?.and_then(|segment| segment.receive_times()) else {
                continue;
            };
            times = Some(times.map_or((first, last), |times| (times.0.min(first), times.1.max(last))));
        }
        Ok(times)
    }

    /// All instruments of the log, as they were defined last.
    pub fn registry(&self) -> Result<Registry, LogError> {
        let mut registry = Registry::default();
        // A dictionary repeats everything that was defined before; the newest may be damaged or not written yet.
        let newest = self.segments.iter().rev().take(2).next_back().copied().unwrap_or(0);
        self.walk(&definitions(&Selection { from_sequence: newest, ..Selection::default() }), |piece| {
            if let Piece::Batch(_, batch) = piece {
                restore(&mut registry, batch);
            }
            ControlFlow::Continue(())
        })?;
        Ok(registry)
    }

    /// The ids of the instruments that any definition in the segments of the selection's time makes wanted: names may
    /// change, ids do not.
    pub fn instruments(
        &self,
        selection: &Selection,
        is_wanted: impl Fn(&Instrument) -> bool,
    ) -> Result<BTreeSet<InstrumentId>, LogError> {
        let mut registry = Registry::default();
        let mut wanted = BTreeSet::new();
        self.walk(&definitions(selection), |piece| {
            if let Piece::Batch(_, batch) = piece {
                for (definition, json) in batch.definitions() {
                    restore_one(&mut registry, definition, json);
                    let instrument = registry.get(definition.header.instrument);
                    wanted.extend(instrument.filter(|instrument| is_wanted(instrument)).map(|i| i.id));
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(wanted)
    }

    /// Hands the selected records to `f` in capture order, each with its capture sequence and the instruments as they were
    /// defined at that point, until `f` breaks. Damage is reported and skipped.
    ///
    /// Sealed segments are read by their index, clustered batches by their directory: what can hold no wanted record is
    /// not looked at, and damage there is not reported.
    pub fn for_each(
        &self,
        selection: &Selection,
        mut f: impl FnMut(u64, RecordRef<'_>, &Registry) -> ControlFlow<()>,
    ) -> Result<ReadReport, LogError> {
        let mut registry = Registry::default();
        let mut report = ReadReport { next_sequence: selection.from_sequence, ..ReadReport::default() };
        let bytes_read = self.walk(selection, |piece| {
            let batch = match piece {
                Piece::Segment(_) => return ControlFlow::Continue(()),
                Piece::Problem(problem) => {
                    report.problems.push(problem);
                    return ControlFlow::Continue(());
                }
                Piece::Batch(_, batch) => batch,
            };
            if batch.kind() == BatchKind::Dictionary || !selection.takes_batch(batch.header()) {
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
        report.bytes_read = bytes_read;
        let lengths = self.segments().into_iter().filter_map(|path| Some(fs::metadata(path).ok()?.len()));
        report.bytes = lengths.sum();
        Ok(report)
    }

    /// A segment. `None` where it was removed since the directory was read, by retention or by a writer that found it
    /// empty.
    fn map(&self, name: u64) -> Result<Option<Segment>, LogError> {
        match Segment::map(&self.directory.join(segment_name(name))) {
            Ok(segment) => Ok(Some(segment)),
            Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands everything from the segment that holds `from_sequence` on to `visit`, apart from what the selection does
    /// not need: segments, batches, and what is wrong. Gives the bytes that were looked at.
    pub(crate) fn walk(
        &self,
        selection: &Selection,
        mut visit: impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> Result<u64, LogError> {
        let first = self.segments.partition_point(|name| *name <= selection.from_sequence).saturating_sub(1);
        let mut walk = Walk { selection, expected: None, passed: Vec::new(), bytes_read: 0 };
        for (index, name) in self.segments.iter().enumerate().skip(first) {
            if *name >= selection.end_sequence {
                break;
            }
            let is_last = index + 1 == self.segments.len();
            let Some(segment) = self.map(*name)? else { continue };
            if walk.segment(&segment, *name, is_last, &mut visit).is_break() {
                break;
            }
        }
        Ok(walk.bytes_read)
    }
}

/// The same selection, but of definitions.
fn definitions(selection: &Selection) -> Selection {
    let kinds = Some(BTreeSet::from([Kind::Instrument]));
    Selection { instruments: None, kinds, ..selection.clone() }
}

/// Where a reader is.
struct Walk<'a> {
    selection: &'a Selection,
    /// The next capture sequence, once one is known.
    expected: Option<u64>,
    /// The capture sequences that have passed by, as ranges; one, unless something is wrong.
    passed: Vec<Range<u64>>,
    bytes_read: u64,
}

impl Walk<'_> {
    fn segment(
        &mut self,
        segment: &Segment,
        name: u64,
        is_last: bool,
        visit: &mut impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        visit(Piece::Segment(segment))?;
        self.header(segment, name, is_last, visit)?;
        self.bytes_read += HEADER_BYTES as u64;
        let footer = segment.footer().filter(|_| self.selection.is_narrow()).and_then(Result::ok);
        if let Some(footer) = &footer {
            self.bytes_read += segment.file_bytes().saturating_sub(footer.offset);
        }
        if let Some(end) = self.end_of_outside(segment, name, footer.as_ref()) {
            self.sequences(segment, name..end.max(name), HEADER_BYTES as u64, visit)?;
            return ControlFlow::Continue(());
        }
        let mut batches = segment.selected(self.selection.clone());
        let walked = self.batches(segment, footer.as_ref(), &mut batches, visit);
        self.bytes_read += batches.bytes_read();
        walked?;
        if !is_last && segment.torn_bytes() > 0 {
            let offset = segment.file_bytes() - segment.torn_bytes();
            let what = format!("{} bytes at the end are torn or damaged", segment.torn_bytes());
            visit(Piece::Problem(Problem::new(segment.name(), offset, what)))?;
        }
        ControlFlow::Continue(())
    }

    /// The end of the sequences of a segment that lies outside of the selection's time, by its index or, where it is not
    /// sealed, by the headers of its batches. A damaged one has to be read to be reported.
    fn end_of_outside(&self, segment: &Segment, name: u64, footer: Option<&Footer<'_>>) -> Option<u64> {
        let is_outside = |first, last| !self.selection.takes_times(first, last);
        match footer {
            _ if !self.selection.has_times() => None,
            Some(footer) => {
                let mut entries = footer.entries.iter();
                let all = entries.all(|entry| is_outside(entry.first_receive_ns, entry.last_receive_ns));
                all.then_some(footer.end_sequence)
            }
            None if !segment.is_sealed() && segment.header().is_ok() => {
                segment.data_headers().try_fold(name, |_, header| {
                    let header = header.ok()?;
                    let outside = is_outside(header.first_receive_ns, header.last_receive_ns);
                    outside.then_some(header.end_sequence())
                })
            }
            None => None,
        }
    }

    fn header(
        &mut self,
        segment: &Segment,
        name: u64,
        is_last: bool,
        visit: &mut impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        // The last file may be so young that not even its header has been written.
        let young = is_last && !segment.is_sealed() && segment.bytes().is_empty();
        match segment.header() {
            Ok(header) => {
                // A writer that found records gone has said so; that is not a hole nobody knows of.
                if self.expected == Some(header.previous_end) {
                    self.expected = Some(header.first_sequence);
                }
                if header.first_sequence != name {
                    let what =
                        format!("the header says that it begins with sequence {}", header.first_sequence);
                    return visit(Piece::Problem(Problem::new(segment.name(), 0, what)));
                }
                ControlFlow::Continue(())
            }
            Err(problem) if !young => visit(Piece::Problem(problem.clone())),
            Err(_) => ControlFlow::Continue(()),
        }
    }

    fn batches(
        &mut self,
        segment: &Segment,
        footer: Option<&Footer<'_>>,
        batches: &mut Batches<'_>,
        visit: &mut impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        loop {
            while let Some(entry) = footer.and_then(|footer| passed_over(footer, self.selection, batches)) {
                let end = entry.first_sequence.saturating_add(u64::from(entry.records));
                self.sequences(segment, entry.first_sequence..end, entry.offset, visit)?;
                batches.seek(entry.offset.saturating_add(u64::from(entry.bytes)));
            }
            match batches.next_batch() {
                None => return ControlFlow::Continue(()),
                Some(Err(problem)) => visit(Piece::Problem(problem))?,
                Some(Ok(batch)) => {
                    if batch.kind() == BatchKind::Data {
                        let header = batch.header();
                        let sequences = header.first_sequence..header.end_sequence();
                        if !self.sequences(segment, sequences, batch.offset(), visit)? {
                            continue;
                        }
                    }
                    visit(Piece::Batch(segment, &batch))?;
                }
            }
        }
    }

    /// Compares the first sequence of what lies at an offset with the end of what came before. False where these records
    /// have passed by already, in a segment that is there twice.
    fn sequences(
        &mut self,
        segment: &Segment,
        sequences: Range<u64>,
        offset: u64,
        visit: &mut impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<(), bool> {
        let first = sequences.start;
        let is_new = !self.passed.iter().any(|passed| passed.contains(&first));
        let before = self.expected.replace(sequences.end).unwrap_or(first);
        let what = match first.cmp(&before) {
            _ if !is_new => {
                format!("capture sequences from {first} on are here a second time and are left out")
            }
            Ordering::Equal => String::new(),
            Ordering::Greater => {
                format!("capture sequences {before} to {} are missing: {} records", first - 1, first - before)
            }
            Ordering::Less => format!("capture sequence goes back from {before} to {first}"),
        };
        match self.passed.last_mut().filter(|last| last.end == first) {
            _ if !is_new => {}
            Some(last) => last.end = sequences.end,
            None => self.passed.push(sequences),
        }
        if !what.is_empty() {
            visit(Piece::Problem(Problem::new(segment.name(), offset, what)))?;
        }
        ControlFlow::Continue(is_new)
    }
}

/// The index entry of the next batch, where the selection does not need that batch.
fn passed_over<'a>(
    footer: &Footer<'a>,
    selection: &Selection,
    batches: &Batches<'_>,
) -> Option<&'a IndexEntry> {
    let entries = footer.entries;
    let index = entries.binary_search_by_key(&batches.offset(), |entry| entry.offset).ok()?;
    // A length of zero would be passed over again and again.
    entries.get(index).filter(|entry| entry.bytes > 0 && !selection.needs_batch(entry))
}

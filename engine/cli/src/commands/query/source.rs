//! A log, read no further than a span of time needs.

use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;
use std::process::ExitCode;

use marketprism_core::instrument::Registry;
use marketprism_core::record::RecordRef;
use marketprism_log::format::BatchKind;
use marketprism_log::{LogError, LogReader, Problem, ReadReport, Segment, Selection};

use super::super::inspect::segments_in;
use crate::EXIT_BAD;

/// Receive times of a log are out of order by less than this, nanoseconds: a recorder holds the deltas of a book that
/// waits for its snapshot for a second, and its threads lag behind each other by milliseconds.
pub(crate) const ORDER_WINDOW_NS: i64 = 2_000_000_000;

/// A log and the span of time of each of its segments.
pub(crate) struct Source {
    reader: LogReader,
    /// By file order: first capture sequence and receive times, as far as they are known.
    segments: Vec<(u64, RangeInclusive<i64>)>,
}

impl Source {
    /// Opens a log. The error says what to name instead.
    pub(crate) fn open(directory: &Path) -> Result<Source, String> {
        let reader = segments_in(directory)?;
        let segments = reader.segments().iter().filter_map(|path| span(path)).collect();
        Ok(Source { reader, segments })
    }

    /// Hands the records of `from_ns..end_ns` to `f`, in capture order. Segments outside of that time are not read.
    pub(crate) fn read(
        &self,
        from_ns: i64,
        end_ns: i64,
        f: impl FnMut(u64, RecordRef<'_>, &Registry) -> ControlFlow<()>,
    ) -> Result<ReadReport, LogError> {
        let overlaps = |span: &RangeInclusive<i64>| *span.start() < end_ns && *span.end() >= from_ns;
        let holds = |(_, span): &(u64, RangeInclusive<i64>)| overlaps(span);
        let first = self.segments.iter().position(holds);
        let (Some(first), Some(last)) = (first, self.segments.iter().rposition(holds)) else {
            return Ok(ReadReport::default());
        };
        let sequence = |index: usize| self.segments.get(index).map(|(first, _)| *first);
        let selection = Selection {
            from_sequence: sequence(first).unwrap_or(0),
            end_sequence: sequence(last + 1).unwrap_or(u64::MAX),
            from_ns,
            end_ns,
            ..Selection::default()
        };
        self.reader.for_each(&selection, f)
    }

    /// Hands every record from a capture sequence on to `f`.
    pub(crate) fn read_from(
        &self,
        from_sequence: u64,
        f: impl FnMut(u64, RecordRef<'_>, &Registry) -> ControlFlow<()>,
    ) -> Result<ReadReport, LogError> {
        self.reader.for_each(&Selection { from_sequence, ..Selection::default() }, f)
    }

    /// No record was received before this time.
    pub(crate) fn first_ns(&self) -> i64 {
        self.segments.iter().map(|(_, span)| *span.start()).min().unwrap_or(i64::MAX)
    }
}

/// First capture sequence and receive times of a segment. Where these cannot be told it has all times; reading it says
/// why.
fn span(path: &Path) -> Option<(u64, RangeInclusive<i64>)> {
    let first_sequence = path.file_stem()?.to_str()?.parse().ok()?;
    let Ok(segment) = Segment::map(path) else { return Some((first_sequence, i64::MIN..=i64::MAX)) };
    let mut span = (i64::MAX, i64::MIN);
    let mut add = |first: i64, last: i64| span = (span.0.min(first), span.1.max(last));
    match segment.footer() {
        Some(Ok(footer)) => {
            footer.entries.iter().for_each(|entry| add(entry.first_receive_ns, entry.last_receive_ns));
        }
        // A segment that is being written has no index; a damaged one has to be read to be reported.
        None if segment.header().is_ok() => {
            let mut batches = segment.batches_unchecked();
            while let Some(batch) = batches.next_batch() {
                match batch {
                    Ok(batch) if batch.kind() == BatchKind::Data => {
                        add(batch.header().first_receive_ns, batch.header().last_receive_ns);
                    }
                    Ok(_) => {}
                    Err(_) => add(i64::MIN, i64::MAX),
                }
            }
        }
        _ => add(i64::MIN, i64::MAX),
    }
    Some((first_sequence, span.0..=span.1))
}

/// Says on standard error what of a log could not be read. Gives the exit code.
pub(crate) fn report_problems(problems: &[Problem]) -> ExitCode {
    problems.iter().for_each(|problem| eprintln!("problem: {problem}"));
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_BAD) }
}

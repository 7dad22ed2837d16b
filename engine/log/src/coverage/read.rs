//! The coverage of a log by what is stored in it.

use std::collections::BTreeMap;
use std::path::Path;

use marketprism_core::record::{Kind, RecordRef};
use serde::Serialize;

use super::{Coverage, CoverageSummary, Span, StoredLedger, StreamCoverage, StreamKey};
use crate::error::{LogError, Problem};
use crate::format::BatchKind;
use crate::map::Segment;
use crate::read::LogReader;
use crate::view::BatchView;

/// The result of [`coverage()`]. Field names are those of `inspect --coverage --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogCoverage {
    /// One entry for each stream.
    pub streams: Vec<StreamCoverage>,
    /// Segments whose ledger is not stored, because their writer was cut short or still writes: recomputed here.
    pub recomputed: Vec<String>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// Sums up the stored ledgers of a log. Of segments that have one nothing else is read.
pub fn coverage(directory: &Path) -> Result<LogCoverage, LogError> {
    let reader = LogReader::open(directory)?;
    let mut result = LogCoverage::default();
    let mut summary = CoverageSummary::default();
    for path in reader.segments() {
        let segment = match Segment::map(&path) {
            Ok(segment) => segment,
            // Removed since the directory was read.
            Err(LogError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let stored = stored(&segment, &mut result.problems);
        let spans = match stored {
            Some(stored) => stored.spans().clone(),
            None => {
                let spans = computed(&segment, &mut result.problems);
                if !spans.is_empty() {
                    result.recomputed.push(segment.name().to_owned());
                }
                spans
            }
        };
        spans.iter().for_each(|(stream, spans)| summary.add(*stream, spans));
    }
    result.streams = summary.finish(&reader.registry()?);
    Ok(result)
}

/// The ledger stored in a sealed segment, where there is a whole one.
fn stored(segment: &Segment, problems: &mut Vec<Problem>) -> Option<StoredLedger> {
    let footer = segment.footer()?.ok()?;
    let mut ledger = StoredLedger::default();
    let mut batches = segment.batches();
    for entry in footer.entries.iter().filter(|entry| entry.kinds[Kind::Session as usize] > 0) {
        batches.seek(entry.offset);
        match batches.next_batch()? {
            Ok(batch) => take_sessions(&mut ledger, segment, &batch, problems),
            Err(problem) => problems.push(problem),
        }
    }
    ledger.is_complete().then_some(ledger)
}

fn take_sessions(
    ledger: &mut StoredLedger,
    segment: &Segment,
    batch: &BatchView<'_>,
    problems: &mut Vec<Problem>,
) {
    for (_, record) in batch.records() {
        if let RecordRef::Session(session, body) = record
            && let Err(what) = ledger.take(session, body)
        {
            problems.push(Problem::new(segment.name(), batch.offset(), what));
        }
    }
}

/// The ledger of a segment by its records.
fn computed(segment: &Segment, problems: &mut Vec<Problem>) -> BTreeMap<StreamKey, Vec<Span>> {
    let mut coverage = Coverage::default();
    let mut batches = segment.batches();
    while let Some(batch) = batches.next_batch() {
        match batch {
            Ok(batch) if batch.kind() == BatchKind::Data => {
                batch.records().for_each(|(_, record)| coverage.record(record));
            }
            Ok(_) => {}
            Err(problem) => problems.push(problem),
        }
    }
    by_stream(coverage.take())
}

/// Spans in the order of their streams as one list for each stream.
pub(crate) fn by_stream(spans: Vec<(StreamKey, Span)>) -> BTreeMap<StreamKey, Vec<Span>> {
    let mut streams: BTreeMap<StreamKey, Vec<Span>> = BTreeMap::new();
    for (stream, span) in spans {
        streams.entry(stream).or_default().push(span);
    }
    streams
}

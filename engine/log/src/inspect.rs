//! A summary of a log, without a look at the venue's ids.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use marketprism_core::Instrument;
use marketprism_core::instrument::Registry;
use marketprism_core::record::Kind;
use serde::Serialize;

use crate::error::{LogError, Problem};
use crate::format::BatchKind;
use crate::map::Segment;
use crate::read::{LogReader, Piece, Selection};
use crate::recover::restore;
use crate::view::BatchView;

/// The result of [`inspect()`]. Field names are those of `inspect --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The capture sequence that the log begins with; what came before it is kept no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_sequence: Option<u64>,
    /// Number of records.
    pub records: u64,
    /// Length of all segments, bytes.
    pub bytes: u64,
    /// The segments, in order.
    pub segments: Vec<SegmentSummary>,
    /// The instruments as last defined, lowest id first.
    pub instruments: Vec<Instrument>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// One segment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SegmentSummary {
    /// File name.
    pub file: String,
    /// Length of the file, bytes.
    pub bytes: u64,
    /// Bytes behind the last whole batch.
    pub torn_bytes: u64,
    /// Whether it was closed with a footer.
    pub sealed: bool,
    /// When it was created, nanoseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_ns: Option<i64>,
    /// The run that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<u64>,
    /// Capture sequence of the first record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_sequence: Option<u64>,
    /// The capture sequence after the last record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_sequence: Option<u64>,
    /// Number of data batches.
    pub batches: u64,
    /// Number of records.
    pub records: u64,
    /// Earliest receive time, nanoseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ns: Option<i64>,
    /// Latest receive time, nanoseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ns: Option<i64>,
    /// Number of records by kind.
    pub kinds: BTreeMap<Kind, u64>,
}

/// Summarises a log.
pub fn inspect(directory: &Path) -> Result<Inspection, LogError> {
    let reader = LogReader::open(directory)?;
    let mut result = Inspection { first_sequence: reader.first_sequence(), ..Inspection::default() };
    let mut registry = Registry::default();
    reader.walk(&Selection::default(), |piece| {
        match piece {
            Piece::Segment(segment) => result.segments.push(SegmentSummary::of(segment)),
            Piece::Problem(problem) => result.problems.push(problem),
            Piece::Batch(_, batch) => {
                restore(&mut registry, batch);
                if let Some(segment) = result.segments.last_mut() {
                    segment.add(batch);
                }
            }
        }
        ControlFlow::Continue(())
    })?;
    result.records = result.segments.iter().map(|segment| segment.records).sum();
    result.bytes = result.segments.iter().map(|segment| segment.bytes).sum();
    result.instruments = registry.all().into_iter().cloned().collect();
    Ok(result)
}

impl SegmentSummary {
    fn of(segment: &Segment) -> SegmentSummary {
        let header = segment.header().ok();
        SegmentSummary {
            file: segment.name().to_owned(),
            bytes: segment.file_bytes(),
            torn_bytes: segment.torn_bytes(),
            sealed: segment.is_sealed(),
            created_ns: header.map(|header| header.created_ns),
            run_id: header.map(|header| header.run_id),
            ..SegmentSummary::default()
        }
    }

    fn add(&mut self, batch: &BatchView<'_>) {
        if batch.kind() != BatchKind::Data {
            return;
        }
        let header = batch.header();
        self.batches += 1;
        self.records += u64::from(header.records);
        self.first_sequence = self.first_sequence.or(Some(header.first_sequence));
        self.end_sequence = Some(header.end_sequence());
        self.first_ns =
            Some(self.first_ns.map_or(header.first_receive_ns, |ns| ns.min(header.first_receive_ns)));
        self.last_ns = Some(self.last_ns.map_or(header.last_receive_ns, |ns| ns.max(header.last_receive_ns)));
        for kind in Kind::ALL {
            let count = batch.kinds().get(kind as usize).copied().unwrap_or(0);
            if count > 0 {
                *self.kinds.entry(kind).or_default() += u64::from(count);
            }
        }
    }
}

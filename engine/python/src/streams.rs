//! What is in a log, by stream.

use std::collections::HashMap;
use std::ops::ControlFlow;

use marketprism_core::InstrumentId;
use marketprism_core::record::{Kind, RecordRef};
use marketprism_log::{LogError, LogReader, Problem, Selection};

/// One stream.
#[derive(Default)]
struct Stream {
    records: u64,
    gaps: u64,
    times: Option<(i64, i64)>,
}

/// Instrument, number of the kind, records, gaps, first and last receive time.
pub(crate) type StreamTuple = (InstrumentId, u8, u64, u64, Option<(i64, i64)>);

/// Counts the records of every stream, as `verify` does and without its checks of ids.
pub(crate) fn streams(reader: &LogReader) -> Result<(Vec<StreamTuple>, Vec<Problem>), LogError> {
    let mut streams: HashMap<(InstrumentId, Kind), Stream> = HashMap::new();
    let report = reader.for_each(&Selection::default(), |_, record, _| {
        let header = record.header();
        match (record, record.kind()) {
            (RecordRef::Gap(gap), _) => {
                if let Some(kind) = Kind::from_number(gap.stream) {
                    streams.entry((header.instrument, kind.stream())).or_default().gaps += 1;
                }
            }
            (RecordRef::Definition(..) | RecordRef::Session(..) | RecordRef::Raw(..), _) | (_, None) => {}
            (_, Some(kind)) => {
                let stream = streams.entry((header.instrument, kind.stream())).or_default();
                let (first, last) = stream.times.unwrap_or((header.receive_ns, header.receive_ns));
                stream.times = Some((first.min(header.receive_ns), last.max(header.receive_ns)));
                stream.records += 1;
            }
        }
        ControlFlow::Continue(())
    })?;
    let mut tuples: Vec<StreamTuple> = streams
        .into_iter()
        .map(|((instrument, kind), stream)| {
            (instrument, kind as u8, stream.records, stream.gaps, stream.times)
        })
        .collect();
    tuples.sort_unstable_by_key(|(instrument, kind, ..)| (*instrument, *kind));
    Ok((tuples, report.problems))
}

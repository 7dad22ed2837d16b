//! The wanted records of a log or of one batch, as tables of bytes.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use marketprism_core::record::{Kind, LINE_BYTES, Level, Line, Record, RecordRef};
use marketprism_log::{BatchView, IndexEntry, LogReader, Problem, Segment, Selection};
use pyo3::prelude::*;

use crate::memory::Memory;
use crate::{LogError, log_error};

/// Signals (Ctrl-C) are looked for once in so many records.
const SIGNAL_RECORDS: usize = 1 << 20;

/// A problem as Python has it: file, offset, what.
pub(crate) type ProblemTuple = (String, u64, String);

pub(crate) fn problem_tuple(problem: Problem) -> ProblemTuple {
    (problem.file, problem.offset, problem.what)
}

/// Records of one struct with what lies behind them.
#[pyclass(frozen, get_all)]
pub(crate) struct Rows {
    /// The structs, one after the other.
    records: Py<Memory>,
    /// The capture sequence of each, `u64`.
    sequences: Py<Memory>,
    /// Levels of books, or the bodies of definitions, sessions and raw frames.
    pool: Py<Memory>,
    /// Whether the records are those of the mapped file.
    is_view: bool,
    /// What was wrong on the way.
    problems: Vec<ProblemTuple>,
}

/// Which records, and how many lines of each: a detailed trade is read as a trade by its first line.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) selection: Selection,
    pub(crate) lines: usize,
}

impl Wanted {
    /// Kinds by number; all instruments where there is no list. Times are nanoseconds, from inclusive, end exclusive.
    pub(crate) fn new(
        kinds: &[u8],
        instruments: Option<Vec<u32>>,
        (from_ns, end_ns): (i64, i64),
    ) -> PyResult<Wanted> {
        let kind = |number: &u8| {
            Kind::from_number(*number)
                .ok_or_else(|| LogError::new_err(format!("no kind has number {number}")))
        };
        let kinds = kinds.iter().map(kind).collect::<PyResult<Vec<Kind>>>()?;
        let lines = kinds.iter().map(|kind| kind.head_lines()).min().unwrap_or(1);
        let selection = Selection {
            from_ns,
            end_ns,
            instruments: instruments.map(|ids| ids.into_iter().collect()),
            kinds: Some(kinds.into_iter().collect()),
            ..Selection::default()
        };
        Ok(Wanted { selection, lines })
    }

    /// Whether a batch may hold wanted records.
    pub(crate) fn may_be_in(&self, entry: &IndexEntry) -> bool {
        let has = |kind: &Kind| entry.kinds.get(*kind as usize).is_some_and(|count| *count > 0);
        entry.last_receive_ns >= self.selection.from_ns
            && entry.first_receive_ns < self.selection.end_ns
            && self.selection.kinds.iter().flatten().any(has)
    }

    fn takes(&self, record: RecordRef<'_>) -> bool {
        let header = record.header();
        let is_kind = |kind| self.selection.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind));
        (self.selection.from_ns..self.selection.end_ns).contains(&header.receive_ns)
            && record.kind().is_some_and(is_kind)
            && self.selection.instruments.as_ref().is_none_or(|ids| ids.contains(&header.instrument))
    }
}

/// Copies of records.
#[derive(Default)]
pub(crate) struct Gathered {
    records: Vec<Line>,
    sequences: Vec<u64>,
    pool: Vec<u8>,
}

impl Gathered {
    fn take(&mut self, sequence: u64, record: RecordRef<'_>, lines: usize) -> Result<(), &'static str> {
        let (head, body) = record.parts();
        let start = u32::try_from(self.pool.len() / unit(&record));
        let start = start.map_err(|_| "more levels or bytes than one table can have: read a shorter time")?;
        self.sequences.push(sequence);
        self.pool.extend_from_slice(body);
        match record {
            RecordRef::Book(book, _) => {
                let mut book = *book;
                book.level_start = start;
                self.records.extend_from_slice(book.lines());
            }
            RecordRef::Definition(definition, _) => {
                let mut definition = *definition;
                definition.body.start = start;
                self.records.extend_from_slice(definition.lines());
            }
            RecordRef::Session(session, _) => {
                let mut session = *session;
                session.body.start = start;
                self.records.extend_from_slice(session.lines());
            }
            RecordRef::Raw(raw, _) => {
                let mut raw = *raw;
                raw.body.start = start;
                self.records.extend_from_slice(raw.lines());
            }
            _ => self.records.extend_from_slice(head.get(..lines).unwrap_or(head)),
        }
        Ok(())
    }
}

/// Bytes of an element of the pool that the record's `start` counts.
fn unit(record: &RecordRef<'_>) -> usize {
    match record {
        RecordRef::Book(..) => size_of::<Level>(),
        _ => 1,
    }
}

/// The records of a log, gathered.
pub(crate) fn read(py: Python<'_>, reader: &LogReader, wanted: &Wanted) -> PyResult<Rows> {
    let (gathered, problems) = py.detach(|| gather(reader, wanted))?;
    Rows::of(py, Tables::Copies(gathered), problems)
}

fn gather(reader: &LogReader, wanted: &Wanted) -> PyResult<(Gathered, Vec<Problem>)> {
    let mut gathered = Gathered::default();
    let mut failed = Ok(());
    let report = reader.for_each(&wanted.selection, |sequence, record, _| {
        let taken = gathered.take(sequence, record, wanted.lines).map_err(LogError::new_err);
        failed = match taken {
            Ok(()) if gathered.sequences.len().is_multiple_of(SIGNAL_RECORDS) => {
                Python::attach(|py| py.check_signals())
            }
            taken => taken,
        };
        if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let report = report.map_err(log_error)?;
    failed.map(|()| (gathered, report.problems))
}

/// The wanted records of one batch.
pub(crate) enum Tables {
    Copies(Gathered),
    View { segment: Arc<Segment>, records: Range<usize>, pool: Range<usize>, sequences: Vec<u64> },
}

impl Tables {
    /// As they lie in the file where that can be, else copies. `None` where no record is wanted.
    pub(crate) fn of(
        segment: &Arc<Segment>,
        batch: &BatchView<'_>,
        wanted: &Wanted,
    ) -> Result<Option<Tables>, &'static str> {
        if let Some(view) = view(segment, batch, wanted) {
            return Ok(Some(view));
        }
        let mut gathered = Gathered::default();
        for (sequence, record) in batch.records().filter(|(_, record)| wanted.takes(*record)) {
            gathered.take(sequence, record, wanted.lines)?;
        }
        Ok((!gathered.sequences.is_empty()).then_some(Tables::Copies(gathered)))
    }
}

/// The records in the mapping, where the wanted ones lie there one after the other. Found by their addresses, which are
/// compared and never followed.
fn view(segment: &Arc<Segment>, batch: &BatchView<'_>, wanted: &Wanted) -> Option<Tables> {
    let mapping = segment.bytes().as_ptr_range();
    let mapping = mapping.start as usize..mapping.end as usize;
    let inside = |range: &Range<usize>| range.start >= mapping.start && range.end <= mapping.end;
    let in_file = |range: Range<usize>| range.start - mapping.start..range.end - mapping.start;
    let mut records: Option<Range<usize>> = None;
    let mut pool: Option<Range<usize>> = None;
    let mut sequences = Vec::new();
    for (sequence, record) in batch.records().filter(|(_, record)| wanted.takes(*record)) {
        let (head, body) = record.parts();
        let start = head.as_ptr() as usize;
        let end = start + wanted.lines * LINE_BYTES;
        let run = records.get_or_insert(start..start);
        if run.end != start || head.len() != wanted.lines {
            return None;
        }
        run.end = end;
        if !body.is_empty() {
            let pool_start = (body.as_ptr() as usize).checked_sub(start_in_pool(&record) * unit(&record))?;
            let part = pool.get_or_insert(pool_start..pool_start);
            if part.start != pool_start {
                return None;
            }
            part.end = part.end.max(body.as_ptr_range().end as usize);
        }
        sequences.push(sequence);
    }
    let records = records.filter(inside)?;
    let pool = pool.unwrap_or(mapping.start..mapping.start);
    inside(&pool).then(|| Tables::View {
        segment: Arc::clone(segment),
        records: in_file(records),
        pool: in_file(pool),
        sequences,
    })
}

/// Where in the pool the record's levels or body begin, in elements.
fn start_in_pool(record: &RecordRef<'_>) -> usize {
    let start = match record {
        RecordRef::Book(book, _) => book.level_start,
        RecordRef::Definition(definition, _) => definition.body.start,
        RecordRef::Session(session, _) => session.body.start,
        RecordRef::Raw(raw, _) => raw.body.start,
        _ => 0,
    };
    start as usize
}

impl Rows {
    pub(crate) fn of(py: Python<'_>, tables: Tables, problems: Vec<Problem>) -> PyResult<Rows> {
        let is_view = matches!(tables, Tables::View { .. });
        let (records, sequences, pool) = match tables {
            Tables::Copies(Gathered { records, sequences, pool }) => {
                (Memory::owned(records), sequences, Memory::owned(pool))
            }
            Tables::View { segment, records, pool, sequences } => {
                (Memory::mapped(Arc::clone(&segment), records), sequences, Memory::mapped(segment, pool))
            }
        };
        Ok(Rows {
            records: Py::new(py, records)?,
            sequences: Py::new(py, Memory::owned(sequences))?,
            pool: Py::new(py, pool)?,
            is_view,
            problems: problems.into_iter().map(problem_tuple).collect(),
        })
    }
}

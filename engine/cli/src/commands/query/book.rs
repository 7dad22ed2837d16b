//! `query --book-at`: books as they were at a time.
//!
//! The newest snapshot before that time is looked for backwards, in steps that grow, so that a log with a snapshot near
//! by is not read as a whole. Then the log is read forwards from there.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::process::ExitCode;

use marketprism_book::{RebuiltBook, is_start};
use marketprism_core::Instrument;
use marketprism_core::instrument::{InstrumentId, InstrumentType, Registry};
use marketprism_core::record::{Kind, RecordRef, flag};
use marketprism_core::venue::Continuity;
use marketprism_log::{LogError, Problem, Selection};

use super::super::inspect::output::utc;
use super::book_report::{State, report, write_json};
use super::filter::Filter;
use super::output::{Closed, Output};
use super::source::{ORDER_WINDOW_NS, Source, report_problems, with_definitions};
use crate::EXIT_BAD;
use crate::config::venues;

/// How far back a snapshot is looked for at first, nanoseconds; each further step is [`STEP_FACTOR`] times as long.
const FIRST_STEP_NS: i64 = 60_000_000_000;
const STEP_FACTOR: i64 = 4;

/// Levels of a side in a table where nothing else is asked for.
const TABLE_DEPTH: usize = 10;

/// What was found of an instrument.
struct Found {
    instrument: Instrument,
    /// Capture sequence of the newest snapshot that a book can be started from.
    start: Option<u64>,
}

type Books = BTreeMap<InstrumentId, Found>;

/// Prints the books. The exit code says whether all are valid.
pub(super) fn run(
    source: &Source,
    filter: &Filter,
    at_ns: i64,
    as_json: bool,
    depth: Option<usize>,
) -> ExitCode {
    let (states, problems) = match states(source, filter, at_ns) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_BAD);
        }
    };
    let mut output = Output::new();
    let depth = depth.unwrap_or(if as_json { usize::MAX } else { TABLE_DEPTH });
    let write = |output: &mut Output, state: &State| {
        output.with(|out| match as_json {
            true => write_json(out, state, at_ns, depth),
            false => out.extend_from_slice(report(state, at_ns, depth).as_bytes()),
        })
    };
    let written: Result<(), Closed> = states.iter().try_for_each(|state| write(&mut output, state));
    if let Err(closed) = written.and_then(|()| output.flush()) {
        return closed.exit_code();
    }
    if states.is_empty() {
        eprintln!("no wanted instrument has a book before {}: nothing is printed", utc(at_ns));
    }
    let code = report_problems(&problems);
    if states.iter().any(|state| state.invalid.is_some()) { ExitCode::from(EXIT_BAD) } else { code }
}

/// The wanted books at a time, and what is wrong with the log.
fn states(source: &Source, filter: &Filter, at_ns: i64) -> Result<(Vec<State>, Vec<Problem>), LogError> {
    let books = find_starts(source, filter, at_ns)?;
    let (mut rebuilt, mut problems) = rebuild(source, &books, at_ns, Reading::Selected)?;
    if !problems.is_empty() {
        (rebuilt, problems) = rebuild(source, &books, at_ns, Reading::All)?;
    }
    let last_ns = source.last_ns();
    let state = |(id, found): (InstrumentId, Found)| {
        let rebuilt = rebuilt.remove(&id);
        let invalid = match &rebuilt {
            None if found.start.is_some() => {
                Some("its venue or market is unknown to this program".to_owned())
            }
            None => Some("no snapshot before this time".to_owned()),
            Some(_) if last_ns < at_ns => Some(format!("the log ends {}, before this time", utc(last_ns))),
            Some(rebuilt) => rebuilt.verdict().err(),
        };
        let instrument = rebuilt.as_ref().map_or(found.instrument, |rebuilt| rebuilt.instrument.clone());
        State { instrument, invalid, rebuilt }
    };
    Ok((books.into_iter().map(state).collect(), problems))
}

/// The capture sequence from which on the wanted books can be rebuilt as they were at a time; `None` where no snapshot of
/// one was recorded before it.
pub(crate) fn earliest_start(source: &Source, filter: &Filter, at_ns: i64) -> Result<Option<u64>, LogError> {
    Ok(find_starts(source, filter, at_ns)?.values().filter_map(|found| found.start).min())
}

fn continuity_of(instrument: &Instrument) -> Option<Continuity> {
    let venues = venues();
    let venue = venues.iter().find(|venue| venue.name() == instrument.venue)?;
    venue.market(&instrument.market).map(|market| market.continuity)
}

/// Looks for the newest snapshot of each wanted instrument that has a book.
fn find_starts(source: &Source, filter: &Filter, at_ns: i64) -> Result<Books, LogError> {
    let mut books = Books::new();
    let mut with_deltas = HashSet::new();
    let (mut end_ns, mut step_ns) = (at_ns.saturating_add(1), FIRST_STEP_NS);
    loop {
        let from_ns = at_ns.saturating_sub(step_ns);
        let mut newest = BTreeMap::new();
        let mut is_first = true;
        let kinds = with_definitions([Kind::BookSnapshot, Kind::BookDelta]);
        let selection = Selection { kinds, ..source.selection(filter, from_ns, end_ns)? };
        source.read(&selection, |sequence, record, registry| {
            let id = record.header().instrument;
            if std::mem::take(&mut is_first) {
                registry.all().into_iter().for_each(|instrument| want(&mut books, filter, instrument));
            }
            match record {
                RecordRef::Definition(..) => {
                    registry.get(id).into_iter().for_each(|instrument| want(&mut books, filter, instrument));
                }
                RecordRef::Book(book, levels) if is_start(book, levels) => {
                    newest.insert(id, sequence);
                }
                RecordRef::Book(book, _) if book.header.flags & flag::PARTIAL == 0 => {
                    with_deltas.insert(id);
                }
                _ => {}
            }
            ControlFlow::Continue(())
        })?;
        for (id, found) in &mut books {
            found.start = found.start.or_else(|| newest.get(id).copied());
        }
        let is_complete = !books.is_empty() && books.values().all(|found| found.start.is_some());
        if is_complete || from_ns <= source.first_ns() {
            break;
        }
        end_ns = from_ns;
        step_ns = step_ns.saturating_mul(STEP_FACTOR);
    }
    // A pattern names instruments too of which no book was recorded.
    books.retain(|id, found| found.start.is_some() || with_deltas.contains(id));
    Ok(books)
}

/// Adds an instrument that is wanted, or its newer definition.
fn want(books: &mut Books, filter: &Filter, instrument: &Instrument) {
    let is_traded = !matches!(instrument.instrument_type, InstrumentType::Market | InstrumentType::Index);
    if is_traded && filter.names(instrument) {
        let unstarted = || Found { instrument: instrument.clone(), start: None };
        books.entry(instrument.id).or_insert_with(unstarted);
    }
}

/// What is read to rebuild books.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    /// Their own records.
    Selected,
    /// All: only then is it known of a damaged log which books may have lost something.
    All,
}

/// Brings the books that have a snapshot to the time that was asked for, and says what is wrong with the log.
///
/// Reading goes on until the next message of each book: a hole shows itself at its end.
fn rebuild(
    source: &Source,
    found: &Books,
    at_ns: i64,
    reading: Reading,
) -> Result<(BTreeMap<InstrumentId, RebuiltBook>, Vec<Problem>), LogError> {
    let rebuilt = |(id, found): (&InstrumentId, &Found)| {
        let (start, continuity) = (found.start?, continuity_of(&found.instrument)?);
        Some((*id, RebuiltBook::new(found.instrument.clone(), start, continuity)))
    };
    let mut books: BTreeMap<InstrumentId, RebuiltBook> = found.iter().filter_map(rebuilt).collect();
    let Some(first) = books.values().map(|book| book.start).min() else {
        return Ok((books, vec![]));
    };
    let mut selection = Selection { from_sequence: first, ..Selection::default() };
    if reading == Reading::Selected {
        selection.instruments = Some(books.keys().copied().collect());
        selection.kinds = with_definitions([Kind::BookSnapshot, Kind::BookDelta, Kind::Gap]);
    }
    let mut expected = first;
    let mut unsettled = books.len();
    let end_ns = at_ns.saturating_add(ORDER_WINDOW_NS);
    let report = source.read(&selection, |sequence, record, registry| {
        let header = record.header();
        if sequence != std::mem::replace(&mut expected, sequence + 1) && reading == Reading::All {
            let why = format!("the log has lost records up to sequence {}", sequence - 1);
            let open = books.values_mut().filter(|book| !book.is_settled && book.start < sequence);
            open.for_each(|book| book.lose(why.clone()));
        }
        if let Some(book) = books.get_mut(&header.instrument).filter(|book| sequence >= book.start) {
            let was_settled = book.is_settled;
            take(book, sequence, record, registry, at_ns);
            unsettled -= usize::from(book.is_settled && !was_settled);
        }
        match unsettled == 0 && header.receive_ns > end_ns {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    Ok((books, report.problems))
}

fn take(book: &mut RebuiltBook, sequence: u64, record: RecordRef<'_>, registry: &Registry, at_ns: i64) {
    if record.header().receive_ns > at_ns {
        if !book.is_settled {
            book.later_record(record, at_ns);
        }
        return;
    }
    if let (Some(Kind::Instrument), Some(defined)) = (record.kind(), registry.get(record.header().instrument))
    {
        book.instrument = defined.clone();
    }
    book.record(sequence, record);
}

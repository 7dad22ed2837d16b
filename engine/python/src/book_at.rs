//! The book of one instrument as it was at a time.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use marketprism_binance::Binance;
use marketprism_book::{RebuiltBook, is_start};
use marketprism_core::clock::{TIME_MISSING, utc};
use marketprism_core::record::{Kind, Level, RecordRef};
use marketprism_core::venue::{Continuity, Venue};
use marketprism_core::{Instrument, InstrumentId};
use marketprism_deribit::Deribit;
use marketprism_log::{LogError, LogReader, Problem, Selection};
use marketprism_okx::Okx;
use pyo3::prelude::*;

use crate::memory::Memory;
use crate::rows::{ProblemTuple, problem_tuple};

/// How far back a snapshot is looked for, step by step, nanoseconds.
const STEPS_NS: [i64; 5] =
    [60_000_000_000, 900_000_000_000, 14_400_000_000_000, 259_200_000_000_000, i64::MAX];

/// Receive times of a log are out of order by less than this, nanoseconds: a recorder holds the deltas of a book that waits for
/// its snapshot for a second.
const ORDER_WINDOW_NS: i64 = 2_000_000_000;

/// What was found.
pub(crate) struct Found {
    /// Why the book is not valid.
    invalid: Option<String>,
    rebuilt: Option<RebuiltBook>,
    problems: Vec<Problem>,
}

/// A book. Sides are best level first, and empty where the book is not valid.
#[pyclass(frozen, get_all)]
pub(crate) struct BookAt {
    /// Why it is not valid.
    invalid: Option<String>,
    bids: Py<Memory>,
    asks: Py<Memory>,
    price_exponent: i8,
    quantity_exponent: i8,
    last_id: Option<u64>,
    /// Receive and exchange time of its newest message.
    receive_ns: Option<i64>,
    exchange_ns: Option<i64>,
    problems: Vec<ProblemTuple>,
}

impl BookAt {
    pub(crate) fn of(py: Python<'_>, found: Found) -> PyResult<BookAt> {
        let book = found.rebuilt.as_ref();
        let valid = book.filter(|_| found.invalid.is_none());
        let levels = |side: fn(&RebuiltBook) -> Vec<Level>| {
            Py::new(py, Memory::owned(valid.map(side).unwrap_or_default()))
        };
        let known = |time: fn(&RebuiltBook) -> i64| book.map(time).filter(|time| *time != TIME_MISSING);
        Ok(BookAt {
            bids: levels(|book| book.synced.book().bids().collect())?,
            asks: levels(|book| book.synced.book().asks().collect())?,
            price_exponent: valid.map_or(0, |book| book.synced.book().price_exponent()),
            quantity_exponent: valid.map_or(0, |book| book.synced.book().quantity_exponent()),
            last_id: valid.and_then(|book| book.synced.last_id()),
            receive_ns: known(|book| book.receive_ns),
            exchange_ns: known(|book| book.exchange_ns),
            invalid: found.invalid,
            problems: found.problems.into_iter().map(problem_tuple).collect(),
        })
    }
}

/// Rebuilds a book from the newest snapshot before the time.
pub(crate) fn book_at(reader: &LogReader, id: InstrumentId, at_ns: i64) -> Result<Found, LogError> {
    let invalid = |why: &str| Ok(Found { invalid: Some(why.to_owned()), rebuilt: None, problems: vec![] });
    let registry = reader.registry()?;
    let Some(instrument) = registry.get(id) else { return invalid("the log has no such instrument") };
    let Some(continuity) = continuity_of(instrument) else {
        return invalid("its venue or market is unknown to this program");
    };
    let Some(start) = find_start(reader, id, at_ns)? else {
        return invalid("no snapshot before this time");
    };
    let new = || RebuiltBook::new(instrument.clone(), start, continuity);
    let (mut book, mut problems) = rebuild(reader, new(), at_ns, Reading::Selected)?;
    if !problems.is_empty() {
        (book, problems) = rebuild(reader, new(), at_ns, Reading::All)?;
    }
    let last_ns = reader.receive_times()?.map_or(i64::MIN, |(_, last)| last);
    let invalid = match book.verdict() {
        _ if last_ns < at_ns => Some(format!("the log ends {}, before this time", utc(last_ns))),
        verdict => verdict.err(),
    };
    Ok(Found { invalid, rebuilt: Some(book), problems })
}

fn continuity_of(instrument: &Instrument) -> Option<Continuity> {
    let deribit = Deribit::new(None);
    let venues: [&dyn Venue; 3] = [&Binance, &Okx, &deribit];
    let venue = venues.into_iter().find(|venue| venue.name() == instrument.venue)?;
    venue.market(&instrument.market).map(|market| market.continuity)
}

/// Looks backwards, in steps that grow, for the newest snapshot that a book can be started from. Gives its capture sequence.
fn find_start(reader: &LogReader, id: InstrumentId, at_ns: i64) -> Result<Option<u64>, LogError> {
    let mut selection = Selection {
        end_ns: at_ns.saturating_add(1),
        instruments: Some(BTreeSet::from([id])),
        kinds: Some(BTreeSet::from([Kind::BookSnapshot])),
        ..Selection::default()
    };
    for step_ns in STEPS_NS {
        selection.from_ns = at_ns.saturating_sub(step_ns);
        let mut newest = None;
        reader.for_each(&selection, |sequence, record, _| {
            if let RecordRef::Book(book, levels) = record
                && is_start(book, levels)
            {
                newest = Some(sequence);
            }
            ControlFlow::Continue(())
        })?;
        if newest.is_some() {
            return Ok(newest);
        }
        selection.end_ns = selection.from_ns;
    }
    Ok(None)
}

/// What is read to rebuild a book.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    /// Its own records.
    Selected,
    /// All: only then is it known of a damaged log whether the book may have lost something.
    All,
}

/// Brings the book to the time, and on to its next message: a hole shows itself at its end.
fn rebuild(
    reader: &LogReader,
    mut book: RebuiltBook,
    at_ns: i64,
    reading: Reading,
) -> Result<(RebuiltBook, Vec<Problem>), LogError> {
    let id = book.instrument.id;
    let mut selection = Selection { from_sequence: book.start, ..Selection::default() };
    if reading == Reading::Selected {
        selection.instruments = Some(BTreeSet::from([id]));
        selection.kinds = Some(BTreeSet::from([Kind::BookSnapshot, Kind::BookDelta, Kind::Gap]));
    }
    let mut expected = book.start;
    let report = reader.for_each(&selection, |sequence, record, _| {
        let header = record.header();
        let is_next = sequence == std::mem::replace(&mut expected, sequence + 1);
        if reading == Reading::All && !is_next && !book.is_settled {
            book.lose(format!("the log has lost records up to sequence {}", sequence - 1));
        }
        match header.receive_ns > at_ns {
            _ if header.instrument != id => {}
            false => book.record(sequence, record),
            true if !book.is_settled => book.later_record(record, at_ns),
            true => {}
        }
        // What was received earlier may stand a little later.
        match book.is_settled && header.receive_ns > at_ns.saturating_add(ORDER_WINDOW_NS) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    Ok((book, report.problems))
}

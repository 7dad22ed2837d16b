//! Books rebuilt from the log, beside what the log itself says of them.
//!
//! A book is known from a snapshot on and followed by the venue's ids. The flag for an invalid book alone does not
//! end it: a crossed book is flagged too, and goes on. A hole ends it, and a gap record, and a wrong checksum.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use marketprism_core::InstrumentId;
use marketprism_core::record::{Book, Gap, Kind, Level, Quote, RecordRef, flag};

use super::levels::Levels;
use super::link::{Link, is_rest, is_start};
use super::{Finding, Place};
use crate::error::LogError;
use crate::format::BatchKind;
use crate::read::{LogReader, Piece, Selection};

/// Reads the log again, rebuilds the books of these instruments, and reports every derived record and every checksum that
/// does not agree with them.
pub(crate) fn rebuild(
    reader: &LogReader,
    instruments: &HashSet<InstrumentId>,
    mut report: impl FnMut(InstrumentId, Kind, Finding),
) -> Result<(), LogError> {
    let mut books: HashMap<InstrumentId, Rebuilt> = HashMap::new();
    reader.walk(&Selection::default(), |piece| {
        let (segment, batch) = match piece {
            Piece::Batch(segment, batch) if batch.kind() == BatchKind::Data => (segment, batch),
            // Records are missing: no book is known any more.
            Piece::Problem(_) => {
                books.clear();
                return ControlFlow::Continue(());
            }
            _ => return ControlFlow::Continue(()),
        };
        let file = segment.name().into();
        let mut place = Place { file, offset: batch.offset(), sequence: 0 };
        for (sequence, record) in batch.records() {
            let instrument = record.header().instrument;
            let Some(kind) = record.kind().filter(|_| instruments.contains(&instrument)) else { continue };
            place.sequence = sequence;
            if let Some(what) = books.entry(instrument).or_default().record(record) {
                report(instrument, kind, (place.clone(), what));
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// What is known of a book.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing: the log begins here, or a part of it is damaged.
    #[default]
    Unknown,
    /// It ended and needs a snapshot.
    Lost,
    /// All of it.
    Whole,
}

/// One book.
#[derive(Default)]
struct Rebuilt {
    state: State,
    levels: Levels,
    last_id: u64,
    /// Whether a delta has continued the snapshot.
    bridged: bool,
    /// Whether the last message that is part of it says that it is not valid.
    flagged: bool,
    /// Whether every message since the snapshot had a checksum: without one of them the others prove nothing.
    checksums: bool,
    text: Vec<u8>,
}

/// How a delta stands to the book.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    Contained,
    Follows,
    Breaks,
}

impl Rebuilt {
    /// Takes any record of the instrument. Gives what is wrong with it.
    fn record(&mut self, record: RecordRef<'_>) -> Option<String> {
        match record {
            RecordRef::Book(book, levels) if book.header.flags & flag::DERIVED != 0 => {
                self.derived_snapshot(book, levels)
            }
            RecordRef::Book(book, levels) if book.header.kind == Kind::BookDelta as u8 => {
                self.delta(book, levels)
            }
            RecordRef::Book(book, levels) if is_start(book) => self.snapshot(book, levels),
            RecordRef::Quote(quote) if quote.header.flags & flag::DERIVED != 0 => self.derived_quote(quote),
            RecordRef::Gap(gap) => {
                self.gap(gap);
                None
            }
            _ => None,
        }
    }

    fn gap(&mut self, gap: &Gap) {
        if gap.stream == Kind::BookDelta as u8 && gap.repaired == 0 {
            self.state = State::Lost;
        }
    }

    fn snapshot(&mut self, book: &Book, levels: &[Level]) -> Option<String> {
        let is_old = self.state == State::Whole && !self.flagged && book.header.sequence <= self.last_id;
        if is_rest(book) && is_old {
            return None;
        }
        let is_flagged = book.header.flags & flag::BOOK_INVALID != 0;
        match Levels::of(book, levels) {
            // A flagged one was taken only where it is flagged because it is crossed.
            Ok(levels) if is_flagged && !levels.is_crossed() => None,
            Ok(levels) => {
                self.start(book, levels);
                self.check_checksum(book)
            }
            Err(_) => {
                self.state = State::Unknown;
                None
            }
        }
    }

    fn start(&mut self, book: &Book, levels: Levels) {
        self.state = State::Whole;
        self.levels = levels;
        self.last_id = book.header.sequence;
        self.bridged = false;
        self.flagged = book.header.flags & flag::BOOK_INVALID != 0;
        self.checksums = true;
    }

    fn delta(&mut self, book: &Book, levels: &[Level]) -> Option<String> {
        let relation = if self.state == State::Whole { self.relation(book) } else { Relation::Breaks };
        if relation == Relation::Contained {
            return None;
        }
        self.flagged = book.header.flags & flag::BOOK_INVALID != 0;
        if self.state != State::Whole {
            return None;
        }
        if relation == Relation::Breaks {
            self.state = State::Lost;
            return None;
        }
        if self.levels.apply(book, levels).is_err() {
            self.state = State::Unknown;
            return None;
        }
        self.last_id = book.header.sequence;
        self.bridged = true;
        self.check_checksum(book)
    }

    fn relation(&self, book: &Book) -> Relation {
        let (at, last) = (self.last_id, book.header.sequence);
        let link = Link::of(book);
        let follows = match link {
            Link::None => true,
            Link::Chained(_) => link.continues(at),
            Link::Contiguous { .. } if last <= at => return Relation::Contained,
            Link::Contiguous { first } => first <= at.saturating_add(1),
            Link::Linked { .. } if last < at || (self.bridged && last == at) => return Relation::Contained,
            Link::Linked { first, .. } => link.continues(at) || (!self.bridged && first <= at),
        };
        if follows { Relation::Follows } else { Relation::Breaks }
    }

    /// Compares the book with the message's checksum. A wrong one ends a book that is flagged, as it should be; else it is a
    /// finding.
    fn check_checksum(&mut self, book: &Book) -> Option<String> {
        let given = book.checksum();
        self.checksums &= given.is_some();
        let given = given.filter(|_| self.checksums)?;
        let computed = self.levels.checksum(&mut self.text);
        if computed == given {
            return None;
        }
        if self.flagged {
            self.state = State::Lost;
            return None;
        }
        // Nothing more is said of it, so that one wrong level is one finding.
        self.state = State::Unknown;
        Some(format!("the checksum is {given}, the book rebuilt from the log has {computed}"))
    }

    fn derived_snapshot(&mut self, book: &Book, levels: &[Level]) -> Option<String> {
        if let Some(what) = self.invalid() {
            return Some(what);
        }
        if self.state == State::Unknown {
            // All that there is to go on from in a log whose first segments were removed.
            if book.header.flags & flag::PARTIAL == 0
                && let Ok(levels) = Levels::of(book, levels)
            {
                self.start(book, levels);
                self.checksums = false;
            }
            return None;
        }
        let difference = match book.header.sequence == self.last_id {
            true => self.levels.difference(book, levels)?,
            false => format!("its last id is {} and not {}", book.header.sequence, self.last_id),
        };
        Some(differs(&difference))
    }

    fn derived_quote(&self, quote: &Quote) -> Option<String> {
        self.invalid().or_else(|| match self.state {
            State::Whole => Some(differs(&self.levels.quote_difference(quote)?)),
            State::Unknown | State::Lost => None,
        })
    }

    /// What is wrong with a derived record where the book is not valid.
    fn invalid(&self) -> Option<String> {
        let is_invalid = self.state == State::Lost || self.flagged;
        is_invalid.then(|| "derived from a book that is not valid".to_owned())
    }
}

fn differs(difference: &str) -> String {
    format!("differs from the book rebuilt from the log: {difference}")
}

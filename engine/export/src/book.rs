//! Books on the way through a log: which messages change a book that may be believed.
//!
//! The rules are those of `query --book-at`: a book begins with a whole snapshot that the recorder held to be valid, goes
//! on by the venue's ids, and ends with a hole, a gap record or a wrong checksum. While it is crossed, or flagged, it is
//! not shown; it begins anew, with all levels, when that is over.

use hashbrown::HashMap;
use marketprism_book::{DeltaStep, OrderBook, SnapshotStep, StreamSnapshotStep, SyncedBook, is_start};
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{Book, Gap, Kind, Level, RecordRef, flag};
use marketprism_core::venue::Continuity;
use marketprism_core::{Instrument, InstrumentId};

use crate::date::Day;

/// What a record does to the book that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing: it says nothing of a book, or nothing new.
    None,
    /// The book begins, with all levels that it has now.
    Begins,
    /// The levels of this record.
    Levels,
    /// The book is not to be believed from here on.
    Ends,
    /// It belongs to a book that is not shown.
    Hidden,
}

/// One book.
pub(crate) struct TrackedBook {
    synced: SyncedBook,
    /// Whether the newest message is flagged as one of a book that is not valid.
    is_flagged: bool,
    is_shown: bool,
    /// Capture sequence of the newest snapshot that the book could be started from.
    start: u64,
    /// When the book was as it is now: the latest receive time of its messages. A delta that waited for its snapshot was
    /// received before the book was known.
    pub(crate) receive_ns: i64,
    /// The venue's time of the same. It never goes back in a book.
    pub(crate) exchange_ns: i64,
    /// Whether a message of this day had a venue's time.
    has_exchange_time: bool,
    /// The day of the newest message.
    day: Option<Day>,
}

impl TrackedBook {
    fn new(continuity: Continuity) -> TrackedBook {
        TrackedBook {
            synced: SyncedBook::new(continuity),
            is_flagged: false,
            is_shown: false,
            start: 0,
            receive_ns: i64::MIN,
            exchange_ns: i64::MIN,
            has_exchange_time: false,
            day: None,
        }
    }

    pub(crate) fn book(&self) -> &OrderBook {
        self.synced.book()
    }

    /// The day that a message of this book counts to.
    pub(crate) fn day_of(&self, receive_ns: i64) -> Day {
        Day::of(self.receive_ns.max(receive_ns))
    }

    /// A message of `day` is about to come. On a new day the book's times begin at midnight, so that what is written of a
    /// day does not depend on the messages of the day before. Gives whether there is a book to begin the day with.
    pub(crate) fn begin_day(&mut self, day: Day) -> bool {
        if self.day.replace(day) == Some(day) {
            return false;
        }
        self.receive_ns = self.receive_ns.max(day.start_ns());
        self.exchange_ns = day.start_ns();
        self.has_exchange_time = false;
        self.is_shown
    }

    /// Takes the next record of the instrument.
    pub(crate) fn record(&mut self, sequence: u64, record: RecordRef<'_>) -> Change {
        match record {
            RecordRef::Gap(gap) if is_book_gap(gap) => {
                self.synced.invalidate();
                if std::mem::replace(&mut self.is_shown, false) { Change::Ends } else { Change::None }
            }
            RecordRef::Book(book, levels) if book.header.kind == Kind::BookDelta as u8 => {
                self.delta(book, levels)
            }
            RecordRef::Book(book, levels) if is_start(book, levels) => {
                self.start = sequence;
                // A derived snapshot says nothing new of a book that is known.
                let is_known = book.header.flags & flag::DERIVED != 0 && self.synced.is_valid();
                if is_known { Change::None } else { self.snapshot(book, levels) }
            }
            RecordRef::Book(..) => Change::Hidden,
            _ => Change::None,
        }
    }

    fn snapshot(&mut self, book: &Book, levels: &[Level]) -> Change {
        self.synced = SyncedBook::new(self.synced.continuity());
        let is_good = if self.synced.continuity() == Continuity::Chained {
            !matches!(
                self.synced.on_stream_snapshot(book, levels),
                StreamSnapshotStep::Unusable(_) | StreamSnapshotStep::ChecksumMismatch { .. }
            )
        } else {
            !matches!(self.synced.on_snapshot(book, levels, &mut |_| ()), SnapshotStep::Unusable(_))
        };
        self.note_times(book);
        self.is_flagged = book.header.flags & flag::BOOK_INVALID != 0;
        if is_good { self.shown(Change::Begins) } else { self.shown(Change::Hidden) }
    }

    fn delta(&mut self, book: &Book, levels: &[Level]) -> Change {
        self.note_times(book);
        if !self.synced.is_valid() {
            return Change::Hidden;
        }
        match self.synced.on_delta(book, levels) {
            DeltaStep::Contained => Change::None,
            DeltaStep::Applied => {
                self.is_flagged = book.header.flags & flag::BOOK_INVALID != 0;
                self.shown(Change::Levels)
            }
            _ => {
                self.synced.invalidate();
                self.shown(Change::Hidden)
            }
        }
    }

    /// What a change means for those who saw the book until now, or did not.
    fn shown(&mut self, change: Change) -> Change {
        let is_good = self.synced.is_valid() && !self.is_flagged && !self.synced.is_crossed();
        match (std::mem::replace(&mut self.is_shown, is_good), is_good) {
            (false, true) => Change::Begins,
            (true, true) => change,
            (true, false) => Change::Ends,
            (false, false) => Change::Hidden,
        }
    }

    fn note_times(&mut self, book: &Book) {
        self.receive_ns = self.receive_ns.max(book.header.receive_ns);
        match book.header.exchange_ns {
            // A snapshot fetched over REST may have none: it is as old as the newest message before it.
            TIME_MISSING if self.has_exchange_time => {}
            TIME_MISSING => self.exchange_ns = self.exchange_ns.max(book.header.receive_ns),
            exchange_ns => {
                self.exchange_ns = self.exchange_ns.max(exchange_ns);
                self.has_exchange_time = true;
            }
        }
    }
}

/// Whether a record says that messages of a book are missing before it.
fn is_book_gap(gap: &Gap) -> bool {
    gap.stream == Kind::BookDelta as u8 && gap.repaired == 0
}

/// Bids and asks of a record.
pub(crate) fn sides<'a>(book: &Book, levels: &'a [Level]) -> (&'a [Level], &'a [Level]) {
    levels.split_at(usize::from(book.bid_levels).min(levels.len()))
}

/// The books of a log.
pub(crate) struct Books<'a> {
    continuity: &'a dyn Fn(&Instrument) -> Option<Continuity>,
    books: HashMap<InstrumentId, Option<TrackedBook>>,
}

impl<'a> Books<'a> {
    /// `continuity` tells the rule of an instrument's market; a book of an unknown one is not shown.
    pub(crate) fn new(continuity: &'a dyn Fn(&Instrument) -> Option<Continuity>) -> Books<'a> {
        Books { continuity, books: HashMap::new() }
    }

    /// The book of an instrument.
    pub(crate) fn of(&mut self, instrument: &Instrument) -> Option<&mut TrackedBook> {
        let rule = self.continuity;
        self.books.entry(instrument.id).or_insert_with(|| rule(instrument).map(TrackedBook::new)).as_mut()
    }

    /// Where reading has to begin so that all books that are known now are known again; `otherwise` where none is.
    pub(crate) fn resume_sequence(&self, otherwise: u64) -> u64 {
        let known = self.books.values().flatten().filter(|book| book.synced.is_valid());
        known.map(|book| book.start).min().unwrap_or(otherwise).min(otherwise)
    }
}

//! A book of the past, rebuilt from a snapshot in a log and the deltas behind it.

use marketprism_core::Instrument;
use marketprism_core::clock::{TIME_MISSING, utc};
use marketprism_core::record::{Book, Gap, GapReason, Kind, Level, RecordRef, flag};
use marketprism_core::venue::Continuity;

use crate::synced::{DeltaStep, SnapshotStep, StreamSnapshotStep, SyncedBook};

/// A book on the way to the time that was asked for.
pub struct RebuiltBook {
    /// What it is a book of.
    pub instrument: Instrument,
    /// Capture sequence of the snapshot that it starts from.
    pub start: u64,
    /// The book.
    pub synced: SyncedBook,
    /// Why it is not valid, where a message showed that.
    lost: Option<String>,
    /// Whether the recorder marked the newest message of it as one of a book that is not valid.
    is_flagged: bool,
    /// Receive time of its newest message.
    pub receive_ns: i64,
    /// Exchange time of its newest message, or [`TIME_MISSING`].
    pub exchange_ns: i64,
    /// Whether a message behind the time that was asked for has been seen: nothing can change any more.
    pub is_settled: bool,
}

/// Whether a book can be started from a record: a whole snapshot, fetched, streamed or derived, of a book that the
/// recorder held to be valid. A crossed book is flagged too, and was taken.
pub fn is_start(book: &Book, levels: &[Level]) -> bool {
    let flags = book.header.flags;
    book.header.kind == Kind::BookSnapshot as u8
        && flags & flag::SNAPSHOT != 0
        && flags & flag::PARTIAL == 0
        && (flags & flag::BOOK_INVALID == 0 || are_crossed(book, levels))
}

fn are_crossed(book: &Book, levels: &[Level]) -> bool {
    let (bids, asks) = levels.split_at(usize::from(book.bid_levels).min(levels.len()));
    let bid = bids.iter().map(|level| level.price).max();
    let ask = asks.iter().map(|level| level.price).min();
    matches!((bid, ask), (Some(bid), Some(ask)) if bid >= ask)
}

/// Whether a record says that messages of a book are missing before it.
fn is_book_gap(gap: &Gap) -> bool {
    gap.stream == Kind::BookDelta as u8 && gap.repaired == 0
}

impl RebuiltBook {
    /// A book that starts from the record with this capture sequence.
    pub fn new(instrument: Instrument, start: u64, continuity: Continuity) -> RebuiltBook {
        RebuiltBook {
            instrument,
            start,
            synced: SyncedBook::new(continuity),
            lost: Some("its snapshot is damaged".to_owned()),
            is_flagged: false,
            receive_ns: TIME_MISSING,
            exchange_ns: TIME_MISSING,
            is_settled: false,
        }
    }

    /// Takes the next record of the instrument.
    pub fn record(&mut self, sequence: u64, record: RecordRef<'_>) {
        match record {
            RecordRef::Gap(gap) if is_book_gap(gap) => self.lose(hole(gap)),
            RecordRef::Book(book, levels) if book.header.kind == Kind::BookDelta as u8 => {
                self.delta(book, levels);
            }
            // A derived snapshot says nothing new of a book that is known.
            RecordRef::Book(book, levels)
                if is_start(book, levels)
                    && (sequence == self.start || book.header.flags & flag::DERIVED == 0) =>
            {
                self.snapshot(book, levels);
            }
            _ => {}
        }
    }

    /// Takes a record that came later than the time that was asked for: it may show that something was missing then.
    pub fn later_record(&mut self, record: RecordRef<'_>, at_ns: i64) {
        match record {
            RecordRef::Gap(gap) if is_book_gap(gap) => {
                // The message before the hole may be the very one of that time: then the book had all.
                if gap.from_ns < at_ns && self.receive_ns < at_ns {
                    self.lose(hole(gap));
                }
                self.is_settled = true;
            }
            RecordRef::Book(book, _) if book.header.flags & flag::DERIVED == 0 => self.is_settled = true,
            _ => {}
        }
    }

    /// The book is not known from here on.
    pub fn lose(&mut self, why: String) {
        self.synced.invalidate();
        self.lost = Some(why);
    }

    fn snapshot(&mut self, book: &Book, levels: &[Level]) {
        // A new one, since the recorder took the snapshot, whatever came before it.
        self.synced = SyncedBook::new(self.synced.continuity());
        let failure = if self.synced.continuity() == Continuity::Chained {
            match self.synced.on_stream_snapshot(book, levels) {
                StreamSnapshotStep::Unusable(error) => Some(error.to_string()),
                StreamSnapshotStep::ChecksumMismatch { .. } => Some("its checksum is wrong".to_owned()),
                _ => None,
            }
        } else {
            match self.synced.on_snapshot(book, levels, &mut |_| ()) {
                SnapshotStep::Unusable(error) => Some(error.to_string()),
                _ => None,
            }
        };
        let received = utc(book.header.receive_ns);
        self.lost = failure.map(|why| format!("the snapshot received {received} cannot be used: {why}"));
        self.is_flagged = book.header.flags & flag::BOOK_INVALID != 0;
        self.receive_ns = book.header.receive_ns;
        self.exchange_ns = book.header.exchange_ns;
    }

    fn delta(&mut self, book: &Book, levels: &[Level]) {
        self.receive_ns = self.receive_ns.max(book.header.receive_ns);
        if !self.synced.is_valid() {
            return;
        }
        let why = match self.synced.on_delta(book, levels) {
            DeltaStep::Contained => return,
            DeltaStep::Applied => {
                self.is_flagged = book.header.flags & flag::BOOK_INVALID != 0;
                self.exchange_ns = self.exchange_ns.max(book.header.exchange_ns);
                return;
            }
            DeltaStep::Broken { expected, got } | DeltaStep::Reset { expected, got } => {
                format!("id {got} came where {expected} had to come")
            }
            DeltaStep::ChecksumMismatch { .. } => "the venue's checksum is not that of the book".to_owned(),
            DeltaStep::Unusable(error) => error.to_string(),
            // Only a book that waits for its snapshot says so.
            DeltaStep::NoBook
            | DeltaStep::Held
            | DeltaStep::HeldAfterGap { .. }
            | DeltaStep::ReleaseFirst => "no snapshot".to_owned(),
        };
        self.lose(format!("hole at {}: {why}", utc(book.header.receive_ns)));
    }

    /// Whether it may be believed; the error says why not.
    pub fn verdict(&self) -> Result<(), String> {
        match &self.lost {
            Some(why) => Err(why.clone()),
            None if self.synced.is_crossed() => {
                Err("crossed: its best bid is not below its best ask".to_owned())
            }
            None if self.is_flagged => Err("the recorder marked it as not valid".to_owned()),
            None => Ok(()),
        }
    }
}

fn hole(gap: &Gap) -> String {
    let reason = GapReason::name(gap.reason).unwrap_or("unknown");
    let end = utc(gap.header.receive_ns);
    match gap.from_ns {
        TIME_MISSING => format!("hole that ends {end} ({reason})"),
        from_ns => format!("hole from {} to {end} ({reason})", utc(from_ns)),
    }
}

//! Books: what happens to deltas and snapshots of those that are started by a REST answer, and what all books share.

use marketprism_book::{DeltaStep, Emit, SnapshotStep, SyncedBook};
use marketprism_core::Decimal;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::{self, Book, GapReason, Kind, Level, RecordRef, Sink, flag};
use marketprism_core::venue::Continuity;

use super::{LONGEST_HOLD_NS, Normaliser};

/// A book that stays crossed for this long is worth a new snapshot, nanoseconds.
const CROSSED_LIMIT_NS: i64 = 5_000_000_000;
/// How long a snapshot that the stream has to bring is waited for before it is asked for again, nanoseconds; doubled
/// with each attempt up to [`LONGEST_RETRY_NS`].
const FIRST_RETRY_NS: i64 = 5_000_000_000;
/// Longest time between two attempts, nanoseconds.
const LONGEST_RETRY_NS: i64 = 160_000_000_000;

/// Best bid and ask: price and quantity of each, absent where the side is empty.
pub(super) type Top = [Option<(Decimal, Decimal)>; 2];

/// A book and its place in its stream.
pub(super) struct BookState {
    pub(super) synced: SyncedBook,
    /// Whether a message of it has come.
    pub(super) seen: bool,
    /// Last id of the newest delta seen, or of the snapshot where that is newer; 0: none yet.
    pub(super) last_id: u64,
    /// Last id of the newest delta seen, 0: none yet.
    pub(super) delta_id: u64,
    /// Exchange time of the newest message in the book.
    pub(super) exchange_ns: i64,
    /// The newest hole, as it was reported.
    pub(super) hole: Option<(u64, u64)>,
    /// Whether a snapshot is wanted and has not come.
    pub(super) wanted: bool,
    /// When a snapshot was last wanted or first missed, wall clock; [`TIME_MISSING`] while there is no need.
    pub(super) wanted_ns: i64,
    /// Attempts since the book was last sound.
    pub(super) attempts: u32,
    /// Since when its best prices meet or cross, receive time; [`TIME_MISSING`] while they do not.
    pub(super) crossed_ns: i64,
    pub(super) derive_quotes: bool,
    /// The best prices of the newest derived quote.
    pub(super) top: Option<Top>,
    /// When the next snapshot of it is recorded, wall clock.
    pub(super) next_snapshot_ns: i64,
}

impl BookState {
    pub(super) fn new(continuity: Continuity, derive_quotes: bool) -> BookState {
        BookState {
            synced: SyncedBook::new(continuity),
            seen: false,
            last_id: 0,
            delta_id: 0,
            exchange_ns: TIME_MISSING,
            hole: None,
            wanted: false,
            wanted_ns: TIME_MISSING,
            attempts: 0,
            crossed_ns: TIME_MISSING,
            derive_quotes,
            top: None,
            next_snapshot_ns: TIME_MISSING,
        }
    }

    /// Whether it may be shown as good: in step with the venue, and not crossed.
    #[inline]
    pub(super) fn is_sound(&self) -> bool {
        self.synced.is_valid() && self.crossed_ns == TIME_MISSING
    }

    /// Whether a snapshot from REST brought it further than the stream is.
    fn is_ahead(&self) -> bool {
        self.synced.is_valid() && self.last_id > self.delta_id
    }

    pub(super) fn is_chained(&self) -> bool {
        self.synced.continuity() == Continuity::Chained
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<BookState>() - size_of_val(self.synced.book()) + self.synced.book().memory_bytes()
    }

    /// Notes whether the best prices cross after a message received at `receive_ns`. Gives whether they began to.
    #[inline]
    pub(super) fn note_crossing(&mut self, receive_ns: i64) -> bool {
        if !self.synced.is_crossed() {
            self.crossed_ns = TIME_MISSING;
            return false;
        }
        let began = self.crossed_ns == TIME_MISSING;
        if began {
            self.crossed_ns = receive_ns;
        }
        began
    }

    /// The book is not valid any more: nothing of it counts.
    pub(super) fn forget(&mut self) {
        self.crossed_ns = TIME_MISSING;
        self.top = None;
    }
}

/// The id that the message before a delta ended with.
fn id_before(book: &Book) -> u64 {
    match book.previous_id {
        record::ABSENT => book.first_id.saturating_sub(1),
        previous => previous.max(0) as u64,
    }
}

impl Normaliser {
    /// The log will miss records of this book: it is worth a new snapshot, so that a reader can go on.
    pub fn lost_downstream(&mut self, instrument: InstrumentId, now_ns: i64, out: &mut dyn Sink) {
        if self.state(instrument).book.is_some() {
            self.invalidate(instrument, out);
            self.want_snapshot(instrument, now_ns);
        }
    }

    #[inline]
    pub(super) fn delta(&mut self, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let state = self.state(book.header.instrument);
        let Some(tracked) = state.book.as_deref_mut() else {
            self.pass_invalid(book, levels, out);
            return;
        };
        tracked.seen = true;
        if tracked.delta_id != 0 && id_before(book) > tracked.delta_id && tracked.is_ahead() {
            // The book has what is missing, the log has not: its readers need a new snapshot.
            self.invalidate(book.header.instrument, out);
            self.delta(book, levels, out);
            return;
        }
        match tracked.synced.on_delta(book, levels) {
            DeltaStep::Applied => {
                tracked.last_id = book.header.sequence;
                tracked.delta_id = book.header.sequence;
                tracked.exchange_ns = book.header.exchange_ns;
                self.applied(book, levels, out);
            }
            step if tracked.is_chained() => self.chained_off_path(step, book, levels, out),
            step => self.delta_off_path(step, book, levels, out),
        }
    }

    /// The valid book has this message: it is passed on, marked where the book cannot be shown.
    #[inline]
    pub(super) fn applied(&mut self, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let Some(tracked) = self.state(book.header.instrument).book.as_deref_mut() else { return };
        let began = tracked.note_crossing(book.header.receive_ns);
        let sound = tracked.is_sound();
        let derives = sound && tracked.derive_quotes;
        self.counts.books_crossed += u64::from(began);
        if !sound {
            self.pass_invalid(book, levels, out);
            return;
        }
        self.pass(RecordRef::Book(book, levels), out);
        if derives {
            self.derive_quote(book, out);
        }
    }

    /// Everything but the next delta of a valid book.
    #[cold]
    fn delta_off_path(&mut self, step: DeltaStep, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let instrument = book.header.instrument;
        match step {
            DeltaStep::Applied => {}
            DeltaStep::Contained => self.contained(book, levels, out),
            DeltaStep::Held => {
                self.report_book_hole(book, None, out);
                self.held(book);
            }
            DeltaStep::HeldAfterGap { .. } => {
                self.report_book_hole(book, Some(GapReason::Sequence), out);
                self.held(book);
            }
            DeltaStep::Broken { .. } => {
                self.lost(instrument);
                self.report_book_hole(book, Some(GapReason::Sequence), out);
                self.held(book);
            }
            DeltaStep::Reset { .. } => {
                self.lost(instrument);
                self.report_book_hole(book, Some(GapReason::Reset), out);
                self.held(book);
            }
            DeltaStep::ReleaseFirst => {
                self.release(instrument, out);
                self.delta(book, levels, out);
            }
            // Chained books alone hold nothing and carry checksums.
            DeltaStep::Unusable(_) | DeltaStep::NoBook | DeltaStep::ChecksumMismatch { .. } => {
                self.invalidate(instrument, out);
                self.pass_invalid(book, levels, out);
                if let Some(tracked) = self.state(instrument).book.as_deref_mut() {
                    tracked.last_id = tracked.last_id.max(book.header.sequence);
                }
                self.want_snapshot(instrument, book.header.receive_ns);
            }
        }
    }

    /// A valid book is valid no more.
    pub(super) fn lost(&mut self, instrument: InstrumentId) {
        self.counts.books_lost += 1;
        if let Some(book) = self.state(instrument).book.as_deref_mut() {
            book.forget();
        }
    }

    /// The valid book has this delta already. One that came before is left out; a new one that a snapshot was
    /// ahead of is recorded like any other message.
    fn contained(&mut self, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let Some(tracked) = self.state(book.header.instrument).book.as_deref_mut() else { return };
        if book.header.sequence > tracked.delta_id {
            tracked.delta_id = book.header.sequence;
            if tracked.is_sound() {
                self.pass(RecordRef::Book(book, levels), out);
            } else {
                self.pass_invalid(book, levels, out);
            }
        } else {
            self.counts.duplicates += 1;
        }
    }

    /// A delta was held back: it waits with its book for a snapshot.
    fn held(&mut self, book: &Book) {
        let instrument = book.header.instrument;
        let state = self.state(instrument);
        state.last_ns[Kind::BookDelta as usize] = book.header.receive_ns;
        if let Some(tracked) = state.book.as_deref_mut() {
            tracked.last_id = book.header.sequence;
            tracked.delta_id = book.header.sequence;
        }
        self.want_snapshot(instrument, book.header.receive_ns);
    }

    pub(super) fn want_snapshot(&mut self, instrument: InstrumentId, now_ns: i64) {
        let Some(book) = self.state(instrument).book.as_deref_mut() else { return };
        if std::mem::replace(&mut book.wanted, true) {
            return;
        }
        book.wanted_ns = now_ns;
        book.attempts = book.attempts.saturating_add(1);
        self.wanted.push(instrument);
        if !self.waiting.contains(&instrument) {
            self.waiting.push(instrument);
        }
    }

    /// Reports the ids between the last delta seen and this one, where some are missing: by the rule of the book
    /// (`broken`), after an interruption, or because those before were given out already and the book cannot tell.
    fn report_book_hole(&mut self, book: &Book, broken: Option<GapReason>, out: &mut dyn Sink) {
        let state = self.state(book.header.instrument);
        let cause = state.interrupted[Kind::BookDelta as usize].take();
        let seen = state.book.as_deref().map_or(0, |tracked| tracked.delta_id);
        if seen == 0 {
            return;
        }
        let before = id_before(book);
        let reason = cause.map_or(GapReason::Sequence as u8, |cause| cause.reason);
        match broken {
            Some(GapReason::Reset) => {
                self.report(&book.header, Kind::BookDelta, GapReason::Reset as u8, (seen + 1, 0), out);
            }
            _ if before > seen => self.report(&book.header, Kind::BookDelta, reason, (seen + 1, before), out),
            Some(_) => self.report(&book.header, Kind::BookDelta, GapReason::Reset as u8, (seen + 1, 0), out),
            None => {}
        }
    }

    /// A book from a REST answer or from the stream.
    #[cold]
    pub(super) fn snapshot(&mut self, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let state = self.state(book.header.instrument);
        match state.book.as_deref_mut() {
            Some(tracked) if tracked.is_chained() => {
                tracked.seen = true;
                self.stream_snapshot(book, levels, out);
            }
            Some(_) if book.header.flags & flag::REST != 0 => self.rest_snapshot(book, levels, out),
            _ => {
                self.close_interruption(&book.header, out);
                self.pass(RecordRef::Book(book, levels), out);
            }
        }
    }

    fn rest_snapshot(&mut self, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let instrument = book.header.instrument;
        let Some(mut tracked) = self.state(instrument).book.take() else { return };
        tracked.seen = true;
        tracked.wanted = false;
        let was_valid = tracked.synced.is_valid();
        let step = tracked.synced.on_snapshot(book, levels, &mut |emitted| match emitted {
            Emit::Contained(delta, levels) => self.pass_invalid(delta, levels, out),
            Emit::Snapshot(book, levels) | Emit::Replayed(book, levels) => {
                self.pass(RecordRef::Book(book, levels), out);
            }
        });
        let is_valid = tracked.synced.is_valid();
        match step {
            SnapshotStep::Valid { .. } | SnapshotStep::Replaced => {
                tracked.last_id = tracked.synced.last_id().unwrap_or(tracked.last_id);
                tracked.exchange_ns = tracked.exchange_ns.max(book.header.exchange_ns);
                self.counts.snapshots_used += 1;
            }
            SnapshotStep::NotNewer
            | SnapshotStep::TooOld
            | SnapshotStep::Broken { .. }
            | SnapshotStep::Unusable(_) => self.counts.snapshots_unused += 1,
        }
        if was_valid && !is_valid {
            self.counts.books_lost += 1;
            tracked.forget();
        }
        let crossed = is_valid && tracked.note_crossing(book.header.receive_ns);
        self.counts.books_crossed += u64::from(crossed);
        let is_sound = tracked.is_sound();
        let derives = is_sound && tracked.derive_quotes;
        if is_sound {
            tracked.attempts = 0;
        }
        self.state(instrument).book = Some(tracked);
        if is_valid {
            self.waiting.retain(|waiting| *waiting != instrument);
        } else {
            self.want_snapshot(instrument, book.header.receive_ns);
        }
        if derives {
            self.derive_quote(book, out);
        }
    }

    /// Makes a book invalid because of something outside of it.
    pub(super) fn invalidate(&mut self, instrument: InstrumentId, out: &mut dyn Sink) {
        self.release(instrument, out);
        if let Some(book) = self.state(instrument).book.as_deref_mut() {
            let was_valid = book.synced.is_valid();
            book.synced.invalidate();
            book.wanted = false;
            book.wanted_ns = TIME_MISSING;
            book.forget();
            self.counts.books_lost += u64::from(was_valid);
        }
    }

    /// Records what a book holds back; it goes on waiting with an empty buffer.
    pub(super) fn release(&mut self, instrument: InstrumentId, out: &mut dyn Sink) {
        let Some(mut tracked) = self.state(instrument).book.take() else { return };
        tracked.synced.release(&mut |book, levels| self.pass_invalid(book, levels, out));
        self.state(instrument).book = Some(tracked);
    }

    pub(super) fn pass_invalid(&mut self, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let mut flagged = *book;
        flagged.header.flags |= flag::BOOK_INVALID;
        self.pass(RecordRef::Book(&flagged, levels), out);
    }

    pub(super) fn release_overdue(&mut self, now_ns: i64, out: &mut dyn Sink) {
        for index in 0..self.waiting.len() {
            let Some(instrument) = self.waiting.get(index).copied() else { return };
            let book = self.state(instrument).book.as_deref();
            let since = book.and_then(|book| book.synced.held_since_receive_ns());
            if since.is_some_and(|since| now_ns.saturating_sub(since) >= LONGEST_HOLD_NS) {
                self.release(instrument, out);
            }
        }
    }

    /// Asks again where the stream did not bring a snapshot, and where a book stays crossed.
    pub(super) fn want_overdue(&mut self, now_ns: i64) {
        for index in 0..self.books.len() {
            let Some(instrument) = self.books.get(index).copied() else { return };
            let Some(book) = self.state(instrument).book.as_deref_mut() else { continue };
            let retry_ns =
                FIRST_RETRY_NS.saturating_mul(1 << book.attempts.clamp(1, 16) >> 1).min(LONGEST_RETRY_NS);
            let late = book.wanted_ns != TIME_MISSING && now_ns.saturating_sub(book.wanted_ns) >= retry_ns;
            let missing = book.is_chained() && !book.synced.is_valid() && late;
            let crossed = book.crossed_ns != TIME_MISSING
                && now_ns.saturating_sub(book.crossed_ns) >= CROSSED_LIMIT_NS
                && (book.attempts == 0 || late);
            if missing || crossed {
                book.wanted = false;
                self.want_snapshot(instrument, now_ns);
            }
        }
    }
}

//! Checks the continuity of every stream, keeps the books, and says what is missing. Pure: records and time
//! in, records out.

use bytemuck::Zeroable;
use marketprism_book::{DeltaStep, Emit, SnapshotStep, SyncedBook};
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::{self, Book, Gap, GapReason, Header, Kind, Level, RecordRef, Sink, flag};
use marketprism_core::venue::Continuity;
use marketprism_log::StreamEnd;

/// Deltas of a book without a snapshot are held back this long, so that the snapshot is recorded before its
/// deltas; then they are recorded as they are. What a crash can cost of a book that is being synchronised.
pub const LONGEST_HOLD_NS: i64 = 1_000_000_000;

/// An id this far or less behind the newest is a message seen before; farther, the venue began anew.
const DUPLICATE_WINDOW: u64 = 100_000;

/// Kinds are numbered below this.
const KINDS: usize = 32;

/// What a normaliser has seen and decided, since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NormaliserCounts {
    /// Records passed on, by [`Kind`] number.
    pub records: [u64; KINDS],
    /// Gaps reported, by [`GapReason`] number.
    pub gaps: [u64; 8],
    /// Messages that had come before and were left out.
    pub duplicates: u64,
    /// Snapshots that made a book valid.
    pub snapshots_used: u64,
    /// Snapshots that came too late or were too old.
    pub snapshots_unused: u64,
    /// Books that became invalid after having been valid.
    pub books_lost: u64,
}

/// Best prices of one book, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookTop {
    /// The instrument.
    pub instrument: InstrumentId,
    /// Whether the book is valid now. An invalid book has no levels to show.
    pub valid: bool,
    /// Best bid.
    pub bid: Option<Level>,
    /// Best ask.
    pub ask: Option<Level>,
    /// Power of ten of the prices.
    pub price_exponent: i8,
    /// Power of ten of the quantities.
    pub quantity_exponent: i8,
}

/// Something that broke streams: their next record closes the hole.
#[derive(Clone, Copy, Debug)]
struct Interruption {
    reason: u8,
    records: u32,
}

/// What is known of one instrument's streams.
struct InstrumentState {
    book: Option<Box<SyncedBook>>,
    wanted: bool,
    trade_id: Option<u64>,
    agg_trade_id: Option<u64>,
    /// Id of the newest quote, 0 where it has none.
    quote_id: u64,
    /// Last id of the newest delta seen, or of the snapshot where that is newer.
    book_id: u64,
    /// Last id of the newest delta seen.
    delta_id: u64,
    last_ns: [i64; KINDS],
    interrupted: [Option<Interruption>; KINDS],
}

impl InstrumentState {
    fn new() -> InstrumentState {
        InstrumentState {
            book: None,
            wanted: false,
            trade_id: None,
            agg_trade_id: None,
            quote_id: 0,
            book_id: 0,
            delta_id: 0,
            last_ns: [TIME_MISSING; KINDS],
            interrupted: [None; KINDS],
        }
    }
}

/// The normaliser's state.
#[derive(Default)]
pub struct Normaliser {
    states: Vec<InstrumentState>,
    /// Instruments whose books wait for a snapshot.
    waiting: Vec<InstrumentId>,
    wanted: Vec<InstrumentId>,
    counts: NormaliserCounts,
}

impl Normaliser {
    /// A normaliser without instruments.
    pub fn new() -> Normaliser {
        Normaliser::default()
    }

    /// Builds a book for this instrument from its deltas.
    pub fn track_book(&mut self, instrument: InstrumentId, continuity: Continuity) {
        let state = self.state(instrument);
        if state.book.is_none() {
            state.book = Some(Box::new(SyncedBook::new(continuity)));
        }
    }

    /// Goes on with a stream that an earlier run recorded: its next record shows how much is missing.
    pub fn resume(&mut self, instrument: InstrumentId, kind: Kind, end: StreamEnd) {
        let state = self.state(instrument);
        match kind {
            Kind::Trade => state.trade_id = Some(end.last_id),
            Kind::AggTrade => state.agg_trade_id = Some(end.last_id),
            Kind::BookDelta => state.book_id = end.last_id,
            _ => {}
        }
        state.last_ns[kind as usize] = end.receive_ns;
        state.interrupted[kind as usize] =
            Some(Interruption { reason: GapReason::Restart as u8, records: 0 });
    }

    /// What has been counted.
    pub fn counts(&self) -> &NormaliserCounts {
        &self.counts
    }

    /// Moves the instruments that want a snapshot now to `out`. Each is named once until a snapshot comes.
    pub fn take_wanted(&mut self, out: &mut Vec<InstrumentId>) {
        out.append(&mut self.wanted);
    }

    /// Whether a snapshot is wanted.
    pub fn has_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// The book of an instrument, only while it is valid.
    pub fn valid_book(&self, instrument: InstrumentId) -> Option<&SyncedBook> {
        let book = self.states.get(instrument as usize)?.book.as_deref()?;
        book.is_valid().then_some(book)
    }

    /// Books that are valid, and all books that have seen a delta.
    pub fn book_counts(&self) -> (usize, usize) {
        let seen = self.states.iter().filter(|state| state.last_ns[Kind::BookDelta as usize] != TIME_MISSING);
        seen.fold((0, 0), |(valid, all), state| match &state.book {
            Some(book) => (valid + usize::from(book.is_valid()), all + 1),
            None => (valid, all),
        })
    }

    /// When the newest record of this stream was received, wall clock, nanoseconds.
    pub fn last_receive_ns(&self, instrument: InstrumentId, kind: Kind) -> Option<i64> {
        let last_ns = self.states.get(instrument as usize)?.last_ns[kind as usize];
        (last_ns != TIME_MISSING).then_some(last_ns)
    }

    /// Best prices of the first `most` books.
    pub fn tops(&self, most: usize, out: &mut Vec<BookTop>) {
        out.clear();
        for (instrument, state) in self.states.iter().enumerate() {
            let Some(synced) = &state.book else { continue };
            if out.len() == most {
                return;
            }
            let (valid, book) = (synced.is_valid(), synced.book());
            out.push(BookTop {
                instrument: instrument as InstrumentId,
                valid,
                bid: if valid { book.best_bid() } else { None },
                ask: if valid { book.best_ask() } else { None },
                price_exponent: book.price_exponent(),
                quantity_exponent: book.quantity_exponent(),
            });
        }
    }

    /// Takes one record and passes on what is to be stored.
    #[inline]
    pub fn process(&mut self, record: RecordRef<'_>, out: &mut dyn Sink) {
        match record {
            RecordRef::Trade(trade) => {
                if self.check_id(&trade.header, Kind::Trade, out) {
                    self.pass(record, out);
                }
            }
            RecordRef::AggTrade(trade) => {
                if self.check_id(&trade.header, Kind::AggTrade, out) {
                    self.pass(record, out);
                }
            }
            RecordRef::Book(book, levels) if book.header.kind == Kind::BookDelta as u8 => {
                self.delta(book, levels, out);
            }
            RecordRef::Book(book, levels) if book.header.flags & flag::REST != 0 => {
                self.snapshot(book, levels, out);
            }
            RecordRef::Quote(quote) => {
                if self.is_new_quote(&quote.header) {
                    self.close_interruption(&quote.header, out);
                    self.pass(record, out);
                }
            }
            RecordRef::Gap(gap) => self.interruption(gap, out),
            _ => {
                self.close_interruption(record.header(), out);
                self.pass(record, out);
            }
        }
    }

    /// The log will miss records of this book: it is worth a new snapshot, so that a reader can go on.
    pub fn lost_downstream(&mut self, instrument: InstrumentId, out: &mut dyn Sink) {
        if self.state(instrument).book.is_some() {
            self.invalidate(instrument, out);
            self.want_snapshot(instrument);
        }
    }

    /// Whether a quote is not the last one over again. Ids of quotes rise and may skip.
    #[inline]
    fn is_new_quote(&mut self, header: &Header) -> bool {
        let state = self.state(header.instrument);
        let is_new = header.sequence == 0 || header.sequence != state.quote_id;
        state.quote_id = header.sequence;
        self.counts.duplicates += u64::from(!is_new);
        is_new
    }

    fn state(&mut self, instrument: InstrumentId) -> &mut InstrumentState {
        let index = instrument as usize;
        if index >= self.states.len() {
            self.states.resize_with(index + 1, InstrumentState::new);
        }
        &mut self.states[index]
    }

    #[inline]
    fn pass(&mut self, record: RecordRef<'_>, out: &mut dyn Sink) {
        let header = record.header();
        let kind = usize::from(header.kind) % KINDS;
        let receive_ns = header.receive_ns;
        self.counts.records[kind] += 1;
        self.state(header.instrument).last_ns[kind] = receive_ns;
        out.push_ref(record);
    }

    /// For streams whose ids are contiguous: whether the record is new. Reports what is missing before it.
    #[inline]
    fn check_id(&mut self, header: &Header, kind: Kind, out: &mut dyn Sink) -> bool {
        let id = header.sequence;
        let state = self.state(header.instrument);
        let last = if kind == Kind::Trade { &mut state.trade_id } else { &mut state.agg_trade_id };
        let previous = last.replace(id);
        if previous.is_some_and(|previous| previous.wrapping_add(1) == id)
            && state.interrupted[kind as usize].is_none()
        {
            return true;
        }
        self.check_jump(header, kind, previous, out)
    }

    #[cold]
    fn check_jump(&mut self, header: &Header, kind: Kind, previous: Option<u64>, out: &mut dyn Sink) -> bool {
        let id = header.sequence;
        let Some(previous) = previous else {
            self.state(header.instrument).interrupted[kind as usize] = None;
            return true;
        };
        if id <= previous && previous - id <= DUPLICATE_WINDOW {
            let state = self.state(header.instrument);
            let last = if kind == Kind::Trade { &mut state.trade_id } else { &mut state.agg_trade_id };
            *last = Some(previous);
            self.counts.duplicates += 1;
            return false;
        }
        let cause = self.state(header.instrument).interrupted[kind as usize].take();
        if id < previous {
            self.report(header, kind, GapReason::Reset as u8, (previous + 1, 0), out);
        } else if id > previous + 1 {
            let reason = cause.map_or(GapReason::Sequence as u8, |cause| cause.reason);
            self.report(header, kind, reason, (previous + 1, id - 1), out);
        }
        true
    }

    /// Reports a hole that ends just before `next`.
    fn report(&mut self, next: &Header, kind: Kind, reason: u8, ids: (u64, u64), out: &mut dyn Sink) {
        let mut header = Header::new(Kind::Gap, next.instrument, next.receive_ns);
        header.exchange_ns = next.exchange_ns;
        let records = ids.1.checked_sub(ids.0).map_or(0, |span| span.saturating_add(1));
        let is_counted = matches!(kind, Kind::Trade | Kind::AggTrade);
        let from_ns = self.state(next.instrument).last_ns[kind as usize];
        self.emit_gap(
            Gap {
                header,
                from_id: ids.0,
                to_id: ids.1,
                from_ns,
                stream: kind as u8,
                reason,
                records: if is_counted { u32::try_from(records).unwrap_or(u32::MAX) } else { 0 },
                ..Gap::zeroed()
            },
            out,
        );
    }

    fn emit_gap(&mut self, gap: Gap, out: &mut dyn Sink) {
        self.counts.records[Kind::Gap as usize] += 1;
        self.counts.gaps[usize::from(gap.reason) % 8] += 1;
        out.push(&gap);
    }

    /// A stream was interrupted: by a lost connection or a full queue. Its next record shows the extent.
    fn interruption(&mut self, gap: &Gap, out: &mut dyn Sink) {
        let slot = usize::from(gap.stream) % KINDS;
        let state = self.state(gap.header.instrument);
        let records = state.interrupted[slot].map_or(0, |earlier| earlier.records);
        state.interrupted[slot] =
            Some(Interruption { reason: gap.reason, records: records.saturating_add(gap.records) });
        if gap.stream == Kind::BookDelta as u8 && gap.reason == GapReason::Disconnected as u8 {
            self.invalidate(gap.header.instrument, out);
        }
    }

    fn invalidate(&mut self, instrument: InstrumentId, out: &mut dyn Sink) {
        self.release(instrument, out);
        let state = self.state(instrument);
        state.wanted = false;
        if let Some(book) = state.book.as_deref_mut() {
            let was_valid = book.is_valid();
            book.invalidate();
            self.counts.books_lost += u64::from(was_valid);
        }
    }

    /// For streams without ids: an interruption is reported when the next record shows its end.
    #[inline]
    fn close_interruption(&mut self, header: &Header, out: &mut dyn Sink) {
        let slot = usize::from(header.kind) % KINDS;
        let Some(state) = self.states.get_mut(header.instrument as usize) else { return };
        if state.interrupted[slot].is_some() {
            self.report_interruption(header, slot, out);
        }
    }

    #[cold]
    fn report_interruption(&mut self, header: &Header, slot: usize, out: &mut dyn Sink) {
        let state = self.state(header.instrument);
        let (cause, from_ns) = (state.interrupted[slot].take(), state.last_ns[slot]);
        let (Some(cause), true) = (cause, from_ns != TIME_MISSING) else { return };
        let gap = Gap {
            header: Header::new(Kind::Gap, header.instrument, header.receive_ns),
            from_ns,
            stream: slot as u8,
            reason: cause.reason,
            records: cause.records,
            ..Gap::zeroed()
        };
        self.emit_gap(gap, out);
    }

    #[inline]
    fn delta(&mut self, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let state = self.state(book.header.instrument);
        let Some(synced) = state.book.as_deref_mut() else {
            self.pass_invalid(book, levels, out);
            return;
        };
        match synced.on_delta(book, levels) {
            DeltaStep::Applied => {
                state.book_id = book.header.sequence;
                state.delta_id = book.header.sequence;
                self.pass(RecordRef::Book(book, levels), out);
            }
            step => self.delta_off_path(step, book, levels, out),
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
                self.counts.books_lost += 1;
                self.report_book_hole(book, Some(GapReason::Sequence), out);
                self.held(book);
            }
            DeltaStep::Reset { .. } => {
                self.counts.books_lost += 1;
                self.report_book_hole(book, Some(GapReason::Reset), out);
                self.held(book);
            }
            DeltaStep::ReleaseFirst => {
                self.release(instrument, out);
                self.delta(book, levels, out);
            }
            DeltaStep::Unusable(_) => {
                self.invalidate(instrument, out);
                self.pass_invalid(book, levels, out);
                self.want_snapshot(instrument);
            }
        }
    }

    /// The valid book has this delta already. One that came before is left out; a new one that a snapshot was
    /// ahead of is recorded like any other message.
    fn contained(&mut self, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let state = self.state(book.header.instrument);
        if book.header.sequence > state.delta_id {
            state.delta_id = book.header.sequence;
            self.pass(RecordRef::Book(book, levels), out);
        } else {
            self.counts.duplicates += 1;
        }
    }

    /// A delta was held back: it waits with its book for a snapshot.
    fn held(&mut self, book: &Book) {
        let instrument = book.header.instrument;
        let state = self.state(instrument);
        state.book_id = book.header.sequence;
        state.delta_id = book.header.sequence;
        state.last_ns[Kind::BookDelta as usize] = book.header.receive_ns;
        self.want_snapshot(instrument);
    }

    fn want_snapshot(&mut self, instrument: InstrumentId) {
        let state = self.state(instrument);
        if !std::mem::replace(&mut state.wanted, true) {
            self.wanted.push(instrument);
            if !self.waiting.contains(&instrument) {
                self.waiting.push(instrument);
            }
        }
    }

    /// Reports the ids between the last delta seen and this one, where some are missing: because the rule says
    /// so (`broken`), or because the stream was interrupted.
    fn report_book_hole(&mut self, book: &Book, broken: Option<GapReason>, out: &mut dyn Sink) {
        let state = self.state(book.header.instrument);
        let cause = state.interrupted[Kind::BookDelta as usize].take();
        let seen = state.book_id;
        if seen == 0 || (broken.is_none() && cause.is_none()) {
            return;
        }
        let before = match book.previous_id {
            record::ABSENT => book.first_id.saturating_sub(1),
            previous => previous.max(0) as u64,
        };
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

    /// A book from a REST answer.
    #[cold]
    fn snapshot(&mut self, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let instrument = book.header.instrument;
        let state = self.state(instrument);
        state.wanted = false;
        let Some(mut synced) = state.book.take() else {
            self.pass(RecordRef::Book(book, levels), out);
            return;
        };
        let was_valid = synced.is_valid();
        let step = synced.on_snapshot(book, levels, &mut |emitted| match emitted {
            Emit::Contained(delta, levels) => self.pass_invalid(delta, levels, out),
            Emit::Snapshot(book, levels) | Emit::Replayed(book, levels) => {
                self.pass(RecordRef::Book(book, levels), out);
            }
        });
        let is_valid = synced.is_valid();
        let last_id = synced.last_id();
        let state = self.state(instrument);
        state.book = Some(synced);
        match step {
            SnapshotStep::Valid { .. } | SnapshotStep::Replaced => {
                state.book_id = last_id.unwrap_or(state.book_id);
                self.counts.snapshots_used += 1;
            }
            SnapshotStep::NotNewer => self.counts.snapshots_unused += 1,
            SnapshotStep::TooOld | SnapshotStep::Broken { .. } | SnapshotStep::Unusable(_) => {
                self.counts.snapshots_unused += 1;
                self.want_snapshot(instrument);
            }
        }
        self.counts.books_lost += u64::from(was_valid && !is_valid);
        if is_valid {
            self.waiting.retain(|waiting| *waiting != instrument);
        }
    }

    /// Records what a book holds back; it goes on waiting with an empty buffer.
    fn release(&mut self, instrument: InstrumentId, out: &mut dyn Sink) {
        let Some(mut synced) = self.state(instrument).book.take() else { return };
        synced.release(&mut |book, levels| self.pass_invalid(book, levels, out));
        self.state(instrument).book = Some(synced);
    }

    fn pass_invalid(&mut self, book: &Book, levels: &[Level], out: &mut dyn Sink) {
        let mut flagged = *book;
        flagged.header.flags |= flag::BOOK_INVALID;
        self.pass(RecordRef::Book(&flagged, levels), out);
    }

    /// Gives out deltas that were held for [`LONGEST_HOLD_NS`]. `now_ns` is wall time.
    pub fn tick(&mut self, now_ns: i64, out: &mut dyn Sink) {
        for index in 0..self.waiting.len() {
            let Some(instrument) = self.waiting.get(index).copied() else { return };
            let since = self.state(instrument).book.as_ref().and_then(|book| book.held_since_receive_ns());
            if since.is_some_and(|since| now_ns.saturating_sub(since) >= LONGEST_HOLD_NS) {
                self.release(instrument, out);
            }
        }
    }

    /// The end: gives out everything held, and the holes whose end was not seen.
    pub fn finish(&mut self, now_ns: i64, out: &mut dyn Sink) {
        for instrument in 0..self.states.len() as InstrumentId {
            self.release(instrument, out);
            for slot in 0..KINDS {
                let overrun = self.state(instrument).interrupted[slot]
                    .is_some_and(|cause| cause.reason == GapReason::Overrun as u8);
                if overrun {
                    self.report_interruption(&Header::new(Kind::Gap, instrument, now_ns), slot, out);
                }
            }
        }
    }
}

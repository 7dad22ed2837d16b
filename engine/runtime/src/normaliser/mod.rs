//! Checks the continuity of every stream, keeps the books, and says what is missing. Pure: records and time
//! in, records out.

mod books;
mod chained;
mod derived;
mod hole;
mod ids;
mod told;

use bytemuck::Zeroable;
use marketprism_book::SyncedBook;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::{Gap, GapReason, Header, Kind, Level, RecordRef, Sink, flag};

use books::BookState;
pub use derived::SnapshotCadence;
pub use hole::Hole;
pub use told::{Told, TrackedBook};

/// Deltas of a book without a snapshot are held back this long, so that the snapshot is recorded before its
/// deltas; then they are recorded as they are. What a crash can cost of a book that is being synchronised.
pub const LONGEST_HOLD_NS: i64 = 1_000_000_000;

/// Holes that wait to be taken; more are left out.
const MAX_HOLES: usize = 64;

/// Kinds are numbered below this.
const KINDS: usize = 32;

/// The stream that a record of each kind belongs to.
const STREAMS: [u8; KINDS] = {
    let mut table = [0; KINDS];
    let mut number = 0;
    while number < KINDS {
        table[number] = match Kind::from_number(number as u8) {
            Some(kind) => kind.stream() as u8,
            None => number as u8,
        };
        number += 1;
    }
    table
};

/// What a normaliser has seen and decided, since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NormaliserCounts {
    /// Records passed on, by the number of the [`Kind`] of their stream.
    pub records: [u64; KINDS],
    /// Of these, records computed here.
    pub derived: u64,
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
    /// Books whose best bid and ask met or crossed.
    pub books_crossed: u64,
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
    book: Option<Box<BookState>>,
    trade_id: Option<u64>,
    agg_trade_id: Option<u64>,
    /// Id and exchange time of the newest quote; an id of 0: it has none.
    quote: (u64, i64),
    last_ns: [i64; KINDS],
    interrupted: [Option<Interruption>; KINDS],
}

impl InstrumentState {
    fn new() -> InstrumentState {
        InstrumentState {
            book: None,
            trade_id: None,
            agg_trade_id: None,
            quote: (0, TIME_MISSING),
            last_ns: [TIME_MISSING; KINDS],
            interrupted: [None; KINDS],
        }
    }
}

/// The normaliser's state.
#[derive(Default)]
pub struct Normaliser {
    states: Vec<InstrumentState>,
    /// Instruments with a book.
    books: Vec<InstrumentId>,
    /// Instruments whose books wait for a snapshot.
    waiting: Vec<InstrumentId>,
    wanted: Vec<InstrumentId>,
    /// Holes that nobody took yet.
    holes: Vec<Hole>,
    counts: NormaliserCounts,
    cadence: SnapshotCadence,
    /// Levels of the snapshot that is being made.
    levels: Vec<Level>,
}

impl Normaliser {
    /// A normaliser without instruments that makes no snapshots of its own.
    pub fn new() -> Normaliser {
        Normaliser::default()
    }

    /// A normaliser without instruments that records its valid books now and then.
    pub fn with_snapshots(cadence: SnapshotCadence) -> Normaliser {
        Normaliser { cadence, ..Normaliser::default() }
    }

    /// How often valid books are recorded.
    pub fn cadence(&self) -> SnapshotCadence {
        self.cadence
    }

    /// What has been counted.
    pub fn counts(&self) -> &NormaliserCounts {
        &self.counts
    }

    /// Moves the instruments that want a snapshot now to `out`. Each is named once until a snapshot comes, or until it
    /// is overdue.
    pub fn take_wanted(&mut self, out: &mut Vec<InstrumentId>) {
        out.append(&mut self.wanted);
    }

    /// Whether a snapshot is wanted.
    pub fn has_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Takes the holes that messages revealed since the last call, at most the first few.
    pub fn take_holes(&mut self) -> std::vec::Drain<'_, Hole> {
        self.holes.drain(..)
    }

    /// The book of an instrument, only while it is valid and not crossed.
    pub fn valid_book(&self, instrument: InstrumentId) -> Option<&SyncedBook> {
        let book = self.states.get(instrument as usize)?.book.as_deref()?;
        book.is_sound().then_some(&book.synced)
    }

    /// Books that are valid, and all books that have seen a message.
    pub fn book_counts(&self) -> (usize, usize) {
        let books = self.books.iter().filter_map(|id| self.states.get(*id as usize)?.book.as_deref());
        books
            .filter(|book| book.seen)
            .fold((0, 0), |(valid, all), book| (valid + usize::from(book.is_sound()), all + 1))
    }

    /// Memory of all books, bytes.
    pub fn book_memory_bytes(&self) -> usize {
        let books = self.books.iter().filter_map(|id| self.states.get(*id as usize)?.book.as_deref());
        books.map(BookState::memory_bytes).sum()
    }

    /// Messages after which the venue's checksum proved a book right.
    pub fn verified_checksums(&self) -> u64 {
        let books = self.books.iter().filter_map(|id| self.states.get(*id as usize)?.book.as_deref());
        books.map(|book| book.synced.verified_checksums()).sum()
    }

    /// When the newest record of this stream was received, wall clock, nanoseconds.
    pub fn last_receive_ns(&self, instrument: InstrumentId, kind: Kind) -> Option<i64> {
        let last_ns = self.states.get(instrument as usize)?.last_ns[kind as usize];
        (last_ns != TIME_MISSING).then_some(last_ns)
    }

    /// Best prices of the first `most` books.
    pub fn tops(&self, most: usize, out: &mut Vec<BookTop>) {
        out.clear();
        for instrument in self.books.iter().take(most) {
            let Some(state) = self.states.get(*instrument as usize).and_then(|state| state.book.as_deref())
            else {
                continue;
            };
            let (valid, book) = (state.is_sound(), state.synced.book());
            out.push(BookTop {
                instrument: *instrument,
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
                if self.check_id(&trade.header, trade.first_id(), Kind::Trade, out) {
                    self.pass(record, out);
                }
            }
            RecordRef::DetailedTrade(detailed) => {
                if self.check_id(&detailed.trade.header, detailed.trade.first_id(), Kind::Trade, out) {
                    self.pass(record, out);
                }
            }
            RecordRef::AggTrade(trade) => {
                if self.check_id(&trade.header, trade.header.sequence, Kind::AggTrade, out) {
                    self.pass(record, out);
                }
            }
            RecordRef::Book(book, levels) if book.header.kind == Kind::BookDelta as u8 => {
                self.delta(book, levels, out);
            }
            RecordRef::Book(book, levels) if book.header.flags & flag::PARTIAL == 0 => {
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

    /// Whether a quote is not the last one over again. Ids of quotes rise and may skip; a venue that confirms an
    /// unchanged quote gives it a new time.
    #[inline]
    fn is_new_quote(&mut self, header: &Header) -> bool {
        let state = self.state(header.instrument);
        let this = (header.sequence, header.exchange_ns);
        let is_new = header.sequence == 0 || this != state.quote;
        state.quote = this;
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
        let stream = usize::from(STREAMS[usize::from(header.kind) % KINDS]);
        let receive_ns = header.receive_ns;
        self.counts.records[stream] += 1;
        self.state(header.instrument).last_ns[stream] = receive_ns;
        out.push_ref(record);
    }

    /// Reports a hole that ends just before `next`.
    fn report(&mut self, next: &Header, kind: Kind, reason: u8, ids: (u64, u64), out: &mut dyn Sink) {
        if self.holes.len() < MAX_HOLES {
            self.holes.extend(Hole::revealed_by(next, kind, reason, ids));
        }
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

    /// For streams without ids: an interruption is reported when the next record shows its end.
    #[inline]
    fn close_interruption(&mut self, header: &Header, out: &mut dyn Sink) {
        let slot = usize::from(STREAMS[usize::from(header.kind) % KINDS]);
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

    /// Does what is due at `now_ns`, wall time: gives out deltas that were held for [`LONGEST_HOLD_NS`], asks again
    /// for snapshots that are overdue, and records the books.
    pub fn tick(&mut self, now_ns: i64, out: &mut dyn Sink) {
        self.release_overdue(now_ns, out);
        self.want_overdue(now_ns);
        self.record_books(now_ns, out);
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

//! Records computed from valid books: snapshots at a fixed cadence, and quotes.

use bytemuck::Zeroable;
use marketprism_core::Decimal;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::{ABSENT, Book, Header, Kind, Level, Quote, RecordRef, Sink, flag};

use super::Normaliser;

/// How often valid books are recorded, and how much of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotCadence {
    /// Time between two snapshots of a book, nanoseconds; 0: none are made.
    pub interval_ns: i64,
    /// Most levels of a side.
    pub levels: usize,
}

impl Normaliser {
    /// Records every sound book whose time has come. Each has its own place in the interval, so that they do not all
    /// come at once.
    pub(super) fn record_books(&mut self, now_ns: i64, out: &mut dyn Sink) {
        let interval_ns = self.cadence.interval_ns;
        if interval_ns <= 0 {
            return;
        }
        for index in 0..self.books.len() {
            let Some(instrument) = self.books.get(index).copied() else { return };
            let Some(tracked) = self.state(instrument).book.as_deref_mut() else { continue };
            if now_ns < tracked.next_snapshot_ns {
                continue;
            }
            let is_first = tracked.next_snapshot_ns == TIME_MISSING;
            tracked.next_snapshot_ns = next_turn(instrument, now_ns, interval_ns);
            if !is_first && tracked.is_sound() {
                self.record_book(instrument, now_ns, out);
            }
        }
    }

    fn record_book(&mut self, instrument: InstrumentId, now_ns: i64, out: &mut dyn Sink) {
        let most = self.cadence.levels;
        let mut levels = std::mem::take(&mut self.levels);
        levels.clear();
        let Some(tracked) = self.state(instrument).book.as_deref() else { return };
        let book = tracked.synced.book();
        levels.extend(book.bids().take(most));
        let bids = levels.len();
        levels.extend(book.asks().take(most));
        let mut header = Header::new(Kind::BookSnapshot, instrument, now_ns);
        header.flags = flag::SNAPSHOT | flag::DERIVED;
        if book.bid_len() > most || book.ask_len() > most {
            header.flags |= flag::PARTIAL;
        }
        (header.price_exponent, header.quantity_exponent) = (book.price_exponent(), book.quantity_exponent());
        header.sequence = tracked.last_id;
        header.exchange_ns = tracked.exchange_ns;
        let record = Book {
            header,
            previous_id: ABSENT,
            event_ns: TIME_MISSING,
            bid_levels: bids as u16,
            ask_levels: (levels.len() - bids) as u16,
            ..Book::zeroed()
        };
        self.derived(RecordRef::Book(&record, &levels), out);
        self.levels = levels;
    }

    /// Records the best prices where they differ from those recorded last; `cause` is the message that moved them.
    #[inline]
    pub(super) fn derive_quote(&mut self, cause: &Book, out: &mut dyn Sink) {
        let instrument = cause.header.instrument;
        let Some(tracked) = self.state(instrument).book.as_deref_mut() else { return };
        let book = tracked.synced.book();
        let (bid, ask) = (book.best_bid(), book.best_ask());
        let exponents = (book.price_exponent(), book.quantity_exponent());
        let exact = |level: Level| {
            (Decimal::new(level.price, exponents.0), Decimal::new(level.quantity, exponents.1))
        };
        let top = [bid.map(exact), ask.map(exact)];
        if tracked.top == Some(top) {
            return;
        }
        tracked.top = Some(top);
        let empty = Level { price: ABSENT, quantity: ABSENT };
        let (bid, ask) = (bid.unwrap_or(empty), ask.unwrap_or(empty));
        let mut header = Header::new(Kind::Quote, instrument, cause.header.receive_ns);
        header.flags = flag::DERIVED;
        (header.price_exponent, header.quantity_exponent) = exponents;
        header.sequence = tracked.last_id;
        header.exchange_ns = cause.header.exchange_ns;
        let quote = Quote {
            header,
            bid_price: bid.price,
            bid_quantity: bid.quantity,
            ask_price: ask.price,
            ask_quantity: ask.quantity,
        };
        self.derived(RecordRef::Quote(&quote), out);
    }

    fn derived(&mut self, record: RecordRef<'_>, out: &mut dyn Sink) {
        self.counts.records[usize::from(record.header().kind)] += 1;
        self.counts.derived += 1;
        out.push_ref(record);
    }
}

/// When this book is next recorded: once in every interval of the wall clock, at a place that its id gives.
fn next_turn(instrument: InstrumentId, now_ns: i64, interval_ns: i64) -> i64 {
    let spread = i128::from(instrument.wrapping_mul(0x9E37_79B9));
    let place = ((spread * i128::from(interval_ns)) >> 32) as i64;
    let turn = now_ns - now_ns.rem_euclid(interval_ns) + place;
    if turn > now_ns { turn } else { turn + interval_ns }
}

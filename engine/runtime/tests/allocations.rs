//! Once warm, a record costs no allocation from the ring through the normaliser to the finished batch.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytemuck::Zeroable;
use marketprism_core::record::*;
use marketprism_core::ring::{WaitStrategy, ring, wakeup};
use marketprism_core::venue::{Continuity, DecodeCounts, DecodeError, Decoder, Outcome};
use marketprism_log::coverage::Status;
use marketprism_log::{BatchBuilder, Coverage};
use marketprism_runtime::RawCapture;
use marketprism_runtime::journal::Journal;
use marketprism_runtime::normaliser::{Normaliser, SnapshotCadence, Told};
use marketprism_runtime::outlet::{Lane, Outlet};
use marketprism_runtime::raw::{FrameKeeper, Origin};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counter is a thread-local number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUND: u64 = 1000;

/// A book of a chained stream.
const CHAINED: u32 = 2;
/// The instrument of [`Ids`].
const TRADED: u32 = 3;
/// Bytes of a frame, that of an ordinary trade.
const FRAME_BYTES: usize = 200;
/// Time between two snapshots of a book.
const INTERVAL_NS: i64 = 1_000_000_000;

/// A venue whose frames begin with the id of a trade, as eight bytes.
#[derive(Default)]
struct Ids(DecodeCounts);

impl Decoder for Ids {
    fn decode(&mut self, frame: &[u8], receive_ns: i64, sink: &mut dyn Sink) -> Result<Outcome, DecodeError> {
        let sequence = u64::from_le_bytes(*frame.first_chunk().ok_or(DecodeError::Missing("id"))?);
        let header = Header { sequence, ..Header::new(Kind::Trade, TRADED, receive_ns) };
        sink.push(&Trade { header, ..Trade::zeroed() });
        Ok(Outcome::Data)
    }
    fn learn(&mut self, _: &[u8], _: u32) {}
    fn counts(&self) -> &DecodeCounts {
        &self.0
    }
}

/// The path of one thread's worth of records: a ring, the normaliser, a ring, a batch.
struct Path {
    into: Outlet,
    normaliser_in: marketprism_core::ring::LineConsumer,
    normaliser: Normaliser,
    journal: Option<Journal>,
    between: Outlet,
    writer_in: marketprism_core::ring::LineConsumer,
    batch: BatchBuilder,
    coverage: Coverage,
    bytes: Vec<u8>,
    id: u64,
    ticks_ns: i64,
}

impl Path {
    fn new() -> Path {
        let (_, doorbell) = wakeup(WaitStrategy::Adaptive);
        let (first, normaliser_in) = ring(1 << 16);
        let (second, writer_in) = ring(1 << 16);
        let cadence = SnapshotCadence { interval_ns: INTERVAL_NS, levels: 10 };
        let mut normaliser = Normaliser::with_snapshots(cadence);
        normaliser.track_book(1, Continuity::Contiguous, true);
        normaliser.track_book(CHAINED, Continuity::Chained, true);
        let mut path = Path {
            into: Outlet::new(vec![Lane::new(first, doorbell.clone())]),
            normaliser_in,
            normaliser,
            journal: None,
            between: Outlet::new(vec![Lane::new(second, doorbell)]),
            writer_in,
            batch: BatchBuilder::new(),
            coverage: Coverage::default(),
            bytes: Vec::new(),
            id: 1,
            ticks_ns: INTERVAL_NS,
        };
        let mut header = Header::new(Kind::BookSnapshot, 1, 1);
        (header.sequence, header.flags) = (1, flag::SNAPSHOT | flag::REST);
        let book = Book { header, bid_levels: 20, ask_levels: 20, previous_id: ABSENT, ..Book::zeroed() };
        let levels: Vec<Level> =
            (0..40).map(|n| Level { price: 1000 + if n < 20 { -n } else { n }, quantity: 5 }).collect();
        path.into.append(book.lines(), bytemuck::cast_slice(&levels));
        path
    }

    /// The same change of the chained book: the first message is its snapshot.
    fn chained(&self) -> Book {
        let is_first = self.id == 2;
        let kind = if is_first { Kind::BookSnapshot } else { Kind::BookDelta };
        let mut header = Header { sequence: self.id, ..Header::new(kind, CHAINED, self.id as i64) };
        header.flags = if is_first { flag::SNAPSHOT } else { 0 };
        let previous_id = if is_first { -1 } else { self.id as i64 - 1 };
        Book { header, previous_id, bid_levels: 2, ask_levels: 1, ..Book::zeroed() }
    }

    fn round(&mut self) -> u64 {
        for _ in 0..ROUND {
            self.id += 1;
            let header = |kind| Header { sequence: self.id, ..Header::new(kind, 1, self.id as i64) };
            self.into.append(Trade { header: header(Kind::Trade), ..Trade::zeroed() }.lines(), &[]);
            self.into.append(Quote { header: header(Kind::Quote), ..Quote::zeroed() }.lines(), &[]);
            let book = Book {
                header: header(Kind::BookDelta),
                first_id: self.id,
                previous_id: ABSENT,
                bid_levels: 2,
                ask_levels: 1,
                ..Book::zeroed()
            };
            let touch = (self.id % 15) as i64;
            let levels = [
                Level { price: 999 - touch, quantity: 1 + touch },
                Level { price: 980 + touch, quantity: touch % 2 },
                Level { price: 1021 + touch, quantity: touch },
            ];
            self.into.append(book.lines(), bytemuck::cast_slice(&levels));
            self.into.append(self.chained().lines(), bytemuck::cast_slice(&levels));
        }
        self.pass()
    }

    /// The same number of frames.
    fn frames(&mut self, keeper: &mut FrameKeeper) -> u64 {
        let mut frame = [b'x'; FRAME_BYTES];
        for _ in 0..ROUND {
            self.id += 1;
            frame[..8].copy_from_slice(&self.id.to_le_bytes());
            keeper
                .decode(&mut Ids::default(), &frame, self.id as i64, &mut self.into)
                .expect("a frame with an id");
        }
        self.pass()
    }

    /// Takes what waits through the normaliser into a batch; returns the number of its records.
    fn pass(&mut self) -> u64 {
        self.into.ring();
        let Path { normaliser, journal, between, .. } = self;
        self.normaliser_in.consume(usize::MAX, |record| {
            if let Some(journal) = journal {
                journal.read(record, between);
            }
            normaliser.process(record, between);
        });
        // Every interval of the books has passed.
        self.ticks_ns += 2 * INTERVAL_NS;
        let tick = Told::Tick(self.ticks_ns);
        if let Some(journal) = journal {
            journal.tell(tick, between);
        }
        normaliser.tell(tick, between);
        let (batch, coverage) = (&mut self.batch, &mut self.coverage);
        let mut written = 0;
        self.writer_in.consume(usize::MAX, |record| {
            batch.push(record).expect("a record that the normaliser passed on");
            coverage.record(record);
            written += 1;
        });
        self.batch.finish(0, &mut self.bytes).expect("a batch of ordinary size");
        written
    }
}

#[test]
fn a_warm_record_costs_no_allocation() {
    let mut path = Path::new();
    for _ in 0..20 {
        path.round();
    }
    let before = ALLOCATIONS.with(Cell::get);
    let written: u64 = (0..20).map(|_| path.round()).sum();
    let allocations = ALLOCATIONS.with(Cell::get) - before;
    assert!(written > 20 * 4 * ROUND, "every record reaches the batch, and more are derived: {written}");
    for book in [1, CHAINED] {
        assert!(path.normaliser.valid_book(book).is_some(), "the deltas went through book {book}");
    }
    let counts = path.normaliser.counts();
    assert!(counts.records[Kind::BookSnapshot as usize] > 40, "books were recorded: {counts:?}");
    let proven = path.coverage.totals().records[Status::Contiguous as usize];
    assert!(proven >= 3 * 20 * ROUND, "the ledger followed trades and deltas: {proven} records proven");
    assert_eq!(allocations, 0, "allocations for {written} warm records");
}

#[test]
fn a_warm_frame_costs_no_allocation_whatever_is_kept() {
    for (mode, records_of_a_frame) in [(RawCapture::Off, 1), (RawCapture::Errors, 1), (RawCapture::All, 2)] {
        let mut path = Path::new();
        path.journal = Journal::new(&[TRADED], 1).filter(|_| mode == RawCapture::All);
        let mut keeper = FrameKeeper::new(mode, Origin { market: TRADED, connection: 1 });
        for _ in 0..20 {
            path.frames(&mut keeper);
        }
        let before = ALLOCATIONS.with(Cell::get);
        let written: u64 = (0..20).map(|_| path.frames(&mut keeper)).sum();
        let allocations = ALLOCATIONS.with(Cell::get) - before;
        assert!(written >= 20 * records_of_a_frame * ROUND, "{mode:?}: {written} records");
        assert_eq!(allocations, 0, "{mode:?}: allocations for {written} warm records");
    }
}

//! Once warm, a record costs no allocation from the ring through the normaliser to the finished batch.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytemuck::Zeroable;
use marketprism_core::record::*;
use marketprism_core::ring::{WaitStrategy, ring, wakeup};
use marketprism_core::venue::Continuity;
use marketprism_log::BatchBuilder;
use marketprism_runtime::normaliser::{Normaliser, SnapshotCadence};
use marketprism_runtime::outlet::{Lane, Outlet};

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

/// The path of one thread's worth of records: a ring, the normaliser, a ring, a batch.
/// A book of a chained stream.
const CHAINED: u32 = 2;
/// Time between two snapshots of a book.
const INTERVAL_NS: i64 = 1_000_000_000;

struct Path {
    into: Outlet,
    normaliser_in: marketprism_core::ring::LineConsumer,
    normaliser: Normaliser,
    between: Outlet,
    writer_in: marketprism_core::ring::LineConsumer,
    batch: BatchBuilder,
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
            between: Outlet::new(vec![Lane::new(second, doorbell)]),
            writer_in,
            batch: BatchBuilder::new(),
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
        self.into.ring();
        self.normaliser_in.consume(usize::MAX, |record| self.normaliser.process(record, &mut self.between));
        // Every interval of the books has passed.
        self.ticks_ns += 2 * INTERVAL_NS;
        self.normaliser.tick(self.ticks_ns, &mut self.between);
        let batch = &mut self.batch;
        let mut written = 0;
        self.writer_in.consume(usize::MAX, |record| {
            batch.push(record).expect("a record that the normaliser passed on");
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
    assert_eq!(allocations, 0, "allocations for {written} warm records");
}

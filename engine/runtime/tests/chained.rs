//! The normaliser's promises for books whose stream brings the snapshot, and for what it derives from books.

use bytemuck::Zeroable;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::*;
use marketprism_core::venue::Continuity;
use marketprism_runtime::normaliser::{Normaliser, SnapshotCadence};

const BOOK: u32 = 1;
const OTHER: u32 = 2;
const SECOND: i64 = 1_000_000_000;

/// A normaliser of two chained books, and what it passed on.
struct Bench {
    normaliser: Normaliser,
    out: RecordBuffer,
    now: i64,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(SnapshotCadence::default(), false)
    }

    fn with(cadence: SnapshotCadence, derive_quotes: bool) -> Bench {
        let mut normaliser = Normaliser::with_snapshots(cadence);
        for book in [BOOK, OTHER] {
            normaliser.track_book(book, Continuity::Chained, derive_quotes);
        }
        Bench { normaliser, out: RecordBuffer::default(), now: SECOND }
    }

    fn book(&mut self, kind: Kind, instrument: u32, previous_id: i64, id: u64, levels: &[Level; 2]) {
        self.now += 1;
        let mut header = Header { sequence: id, ..Header::new(kind, instrument, self.now) };
        header.exchange_ns = self.now;
        if kind == Kind::BookSnapshot {
            header.flags = flag::SNAPSHOT;
        }
        let book = Book {
            header,
            previous_id,
            event_ns: TIME_MISSING,
            bid_levels: 1,
            ask_levels: 1,
            ..Book::zeroed()
        };
        self.normaliser.process(RecordRef::Book(&book, levels), &mut self.out);
    }

    fn snapshot(&mut self, instrument: u32, id: u64) {
        self.book(Kind::BookSnapshot, instrument, -1, id, &levels(100, 102));
    }

    fn delta(&mut self, instrument: u32, previous_id: i64, id: u64) {
        self.book(Kind::BookDelta, instrument, previous_id, id, &[bid(99, id as i64 % 7), ask(103, 1)]);
    }

    fn disconnect(&mut self, instrument: u32) {
        let mut header = Header::new(Kind::Gap, instrument, self.now);
        header.exchange_ns = TIME_MISSING;
        let (stream, reason) = (Kind::BookDelta as u8, GapReason::Disconnected as u8);
        let gap = Gap { header, stream, reason, ..Gap::zeroed() };
        self.normaliser.process(RecordRef::Gap(&gap), &mut self.out);
    }

    fn wanted(&mut self) -> Vec<u32> {
        let mut wanted = vec![];
        self.normaliser.take_wanted(&mut wanted);
        wanted
    }

    fn is_valid(&self, instrument: u32) -> bool {
        self.normaliser.valid_book(instrument).is_some()
    }

    /// What came out since the last call, in short; `!` marks records of a book that is not valid, `~` derived ones.
    fn taken(&mut self) -> Vec<String> {
        let texts = self.out.iter().map(|record| {
            let header = record.header();
            let mark = |bit, mark| if header.flags & bit != 0 { mark } else { "" };
            let marks = format!("{}{}", mark(flag::BOOK_INVALID, "!"), mark(flag::DERIVED, "~"));
            let id = header.sequence;
            match record {
                RecordRef::Book(..) if header.kind == Kind::BookSnapshot as u8 => {
                    format!("snapshot{marks} {id}")
                }
                RecordRef::Book(..) => format!("delta{marks} {id}"),
                RecordRef::Quote(quote) => format!("quote{marks} {}/{}", quote.bid_price, quote.ask_price),
                RecordRef::Gap(gap) => {
                    let repaired = if gap.repaired != 0 { " repaired" } else { "" };
                    let reason = GapReason::name(gap.reason).unwrap_or("?");
                    format!("gap {reason} {}..{}{repaired}", gap.from_id, gap.to_id)
                }
                other => format!("{other:?}"),
            }
        });
        let texts = texts.collect();
        self.out.clear();
        texts
    }
}

fn bid(price: i64, quantity: i64) -> Level {
    Level { price, quantity }
}

fn ask(price: i64, quantity: i64) -> Level {
    Level { price, quantity }
}

fn levels(best_bid: i64, best_ask: i64) -> [Level; 2] {
    [bid(best_bid, 5), ask(best_ask, 5)]
}

#[test]
fn the_worked_example_of_the_venue_needs_no_resynchronisation() {
    let mut bench = Bench::new();
    bench.snapshot(BOOK, 10);
    // A change, a keep-alive, a reset by maintenance, and on from there.
    for (previous, id) in [(10, 15), (15, 15), (15, 3), (3, 5)] {
        bench.delta(BOOK, previous, id);
    }
    assert_eq!(bench.taken(), ["snapshot 10", "delta 15", "delta 15", "delta 3", "delta 5"]);
    assert!(bench.is_valid(BOOK) && bench.wanted().is_empty());
}

/// Peers parsed the id of the message before and compared it never, or only logged; others reset every book.
#[test]
fn trap_a_hole_breaks_that_book_alone_and_is_named_exactly() {
    let mut bench = Bench::new();
    bench.snapshot(BOOK, 10);
    bench.snapshot(OTHER, 10);
    bench.delta(BOOK, 10, 15);
    bench.taken();
    bench.delta(BOOK, 18, 20);
    bench.delta(OTHER, 10, 11);
    assert_eq!(bench.taken(), ["gap sequence 16..18", "delta! 20", "delta 11"]);
    assert!(!bench.is_valid(BOOK) && bench.is_valid(OTHER));
    assert_eq!(bench.wanted(), [BOOK]);
    // The venue goes on until it has unsubscribed; the next snapshot says how much was not sent meanwhile.
    bench.delta(BOOK, 20, 22);
    bench.snapshot(BOOK, 30);
    bench.delta(BOOK, 30, 31);
    assert_eq!(bench.taken(), ["delta! 22", "gap resynchronised 23..30", "snapshot 30", "delta 31"]);
    assert!(bench.is_valid(BOOK) && bench.wanted().is_empty());
}

#[test]
fn a_second_hole_while_the_book_waits_is_reported_too() {
    let mut bench = Bench::new();
    bench.snapshot(BOOK, 10);
    bench.delta(BOOK, 12, 13);
    bench.delta(BOOK, 15, 16);
    assert_eq!(
        bench.taken(),
        ["snapshot 10", "gap sequence 11..12", "delta! 13", "gap sequence 14..15", "delta! 16"]
    );
    assert_eq!(bench.wanted(), [BOOK], "asked for once");
}

#[test]
fn a_copy_is_left_out_and_a_late_message_fills_its_hole() {
    let mut bench = Bench::new();
    bench.snapshot(BOOK, 10);
    bench.delta(BOOK, 10, 11);
    bench.delta(BOOK, 10, 11);
    assert_eq!(bench.taken(), ["snapshot 10", "delta 11"]);
    assert_eq!(bench.normaliser.counts().duplicates, 1);
    // 12 and 13 change places. The late one carries its own, older time.
    bench.now += 10;
    bench.delta(BOOK, 12, 13);
    bench.now -= 10;
    bench.delta(BOOK, 11, 12);
    bench.now += 10;
    bench.delta(BOOK, 13, 14);
    assert_eq!(
        bench.taken(),
        ["gap sequence 12..12", "delta! 13", "gap sequence 12..12 repaired", "delta! 12", "delta! 14"]
    );
}

#[test]
fn deltas_before_a_late_snapshot_are_kept_and_marked() {
    let mut bench = Bench::new();
    bench.delta(BOOK, 10, 11);
    assert_eq!((bench.taken(), bench.wanted()), (vec!["delta! 11".to_owned()], vec![]), "it gets some time");
    bench.snapshot(BOOK, 11);
    bench.delta(BOOK, 11, 12);
    assert_eq!(bench.taken(), ["snapshot 11", "delta 12"]);
}

#[test]
fn a_snapshot_that_never_comes_is_asked_for_again_and_again_at_growing_intervals() {
    let mut bench = Bench::new();
    bench.delta(BOOK, 10, 11);
    let start = bench.now;
    let asked: Vec<i64> = (0..400)
        .filter(|second| {
            bench.normaliser.tick(start + second * SECOND, &mut bench.out);
            bench.wanted() == [BOOK]
        })
        .collect();
    assert_eq!(asked, [5, 10, 20, 40, 80, 160, 320]);
}

#[test]
fn a_stale_snapshot_changes_nothing_and_is_marked() {
    let mut bench = Bench::new();
    bench.snapshot(BOOK, 10);
    bench.delta(BOOK, 10, 15);
    bench.taken();
    bench.now -= 2;
    bench.snapshot(BOOK, 9);
    bench.now += 2;
    bench.delta(BOOK, 15, 16);
    assert_eq!(bench.taken(), ["snapshot! 9", "delta 16"]);
    assert!(bench.is_valid(BOOK));
}

#[test]
fn a_snapshot_in_mid_stream_replaces_the_book() {
    let mut bench = Bench::new();
    bench.snapshot(BOOK, 10);
    bench.snapshot(BOOK, 10);
    bench.snapshot(BOOK, 14);
    bench.delta(BOOK, 14, 15);
    assert_eq!(
        bench.taken(),
        ["snapshot 10", "snapshot 10", "gap resynchronised 11..14", "snapshot 14", "delta 15"]
    );
    assert!(bench.is_valid(BOOK));
}

#[test]
fn after_a_lost_connection_the_snapshot_shows_the_extent() {
    let mut bench = Bench::new();
    bench.snapshot(BOOK, 10);
    bench.taken();
    bench.disconnect(BOOK);
    assert!(!bench.is_valid(BOOK));
    bench.snapshot(BOOK, 20);
    assert_eq!(bench.taken(), ["gap disconnected 11..20", "snapshot 20"]);
    // Nothing happened meanwhile: no hole is invented.
    bench.disconnect(BOOK);
    bench.snapshot(BOOK, 20);
    assert_eq!(bench.taken(), ["snapshot 20"]);
}

#[test]
fn a_crossed_book_is_not_shown_until_it_uncrosses() {
    let mut bench = Bench::new();
    bench.snapshot(BOOK, 10);
    bench.book(Kind::BookDelta, BOOK, 10, 11, &[bid(104, 1), ask(105, 1)]);
    assert!(!bench.is_valid(BOOK));
    bench.book(Kind::BookDelta, BOOK, 11, 12, &[bid(104, 0), ask(105, 1)]);
    assert!(bench.is_valid(BOOK));
    assert_eq!(bench.taken(), ["snapshot 10", "delta! 11", "delta 12"]);
    assert_eq!(bench.normaliser.counts().books_crossed, 1);
    assert!(bench.wanted().is_empty());
    bench.book(Kind::BookDelta, BOOK, 12, 13, &[bid(104, 1), ask(105, 1)]);
    bench.normaliser.tick(bench.now + 5 * SECOND, &mut bench.out);
    assert_eq!(bench.wanted(), [BOOK], "crossed for long: worth a new snapshot");
}

#[test]
fn a_wrong_checksum_is_named_and_acted_upon() {
    let mut bench = Bench::new();
    let message = |bench: &mut Bench, kind, previous_id, id, checksum: u32| {
        bench.now += 1;
        let mut header = Header { sequence: id, ..Header::new(kind, BOOK, bench.now) };
        header.flags = flag::CHECKSUM | if kind == Kind::BookSnapshot { flag::SNAPSHOT } else { 0 };
        let first_id = u64::from(checksum);
        let book = Book { header, first_id, previous_id, bid_levels: 1, ask_levels: 1, ..Book::zeroed() };
        bench.normaliser.process(RecordRef::Book(&book, &levels(100, 102)), &mut bench.out);
    };
    let right = crc32fast::hash(b"100:5:102:5");
    message(&mut bench, Kind::BookSnapshot, -1, 10, right);
    message(&mut bench, Kind::BookDelta, 10, 11, right);
    message(&mut bench, Kind::BookDelta, 11, 12, right ^ 1);
    assert_eq!(bench.taken(), ["snapshot 10", "delta 11", "gap checksum 0..0", "delta! 12"]);
    assert_eq!(bench.wanted(), [BOOK]);
    message(&mut bench, Kind::BookSnapshot, -1, 12, right);
    assert_eq!(bench.taken(), ["snapshot 12"]);
    assert!(bench.is_valid(BOOK));
}

#[test]
fn quotes_are_derived_when_the_best_prices_move() {
    let mut bench = Bench::with(SnapshotCadence::default(), true);
    bench.snapshot(BOOK, 10);
    bench.delta(BOOK, 10, 11);
    bench.book(Kind::BookDelta, BOOK, 11, 12, &[bid(101, 1), ask(102, 5)]);
    assert_eq!(bench.taken(), ["snapshot 10", "quote~ 100/102", "delta 11", "delta 12", "quote~ 101/102"]);
    bench.delta(BOOK, 14, 15);
    assert_eq!(bench.taken(), ["gap sequence 13..14", "delta! 15"], "none from a book that is not valid");
    bench.snapshot(BOOK, 20);
    assert_eq!(bench.taken().last().map(String::as_str), Some("quote~ 100/102"));
}

#[test]
fn valid_books_are_recorded_once_an_interval_and_no_others() {
    let cadence = SnapshotCadence { interval_ns: SECOND, levels: 1 };
    let mut bench = Bench::with(cadence, false);
    bench.snapshot(BOOK, 10);
    bench.delta(BOOK, 10, 11);
    bench.delta(OTHER, 10, 11);
    bench.taken();
    let start = bench.now;
    for tick in 0..100 {
        bench.normaliser.tick(start + tick * SECOND / 20, &mut bench.out);
    }
    let snapshots: Vec<(u64, usize, u8)> = bench
        .out
        .iter()
        .filter_map(|record| match record {
            RecordRef::Book(book, levels) => {
                assert_eq!(book.header.instrument, BOOK, "the other one is not valid");
                Some((book.header.sequence, levels.len(), book.header.flags))
            }
            _ => None,
        })
        .collect();
    let flags = flag::SNAPSHOT | flag::DERIVED | flag::PARTIAL;
    assert!((4..=5).contains(&snapshots.len()), "{snapshots:?}");
    assert!(snapshots.iter().all(|snapshot| *snapshot == (11, 2, flags)), "{snapshots:?}");
}

#[test]
fn trades_put_together_by_the_venue_are_judged_by_their_range_of_ids() {
    let mut bench = Bench::new();
    for (id, fills) in [(12, 3), (15, 3), (15, 3), (17, 0), (20, 1), (25, 5)] {
        bench.now += 1;
        let header = Header { sequence: id, ..Header::new(Kind::Trade, BOOK, bench.now) };
        bench
            .normaliser
            .process(RecordRef::Trade(&Trade { header, fills, ..Trade::zeroed() }), &mut bench.out);
    }
    let gaps: Vec<(u64, u64, u32)> = bench
        .out
        .iter()
        .filter_map(|record| match record {
            RecordRef::Gap(gap) => Some((gap.from_id, gap.to_id, gap.records)),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [(16, 16, 1), (18, 19, 2)]);
    assert_eq!(bench.normaliser.counts().duplicates, 1);
}

#[test]
fn a_retired_instrument_wants_nothing_more() {
    let mut bench = Bench::new();
    bench.snapshot(BOOK, 10);
    bench.delta(BOOK, 12, 13);
    bench.normaliser.retire(BOOK, &mut bench.out);
    bench.normaliser.tick(bench.now + 600 * SECOND, &mut bench.out);
    assert_eq!(bench.wanted(), [] as [u32; 0]);
    assert_eq!(bench.normaliser.book_counts(), (0, 0));
}

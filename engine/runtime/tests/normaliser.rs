//! The normaliser's promises, record by record.

use bytemuck::Zeroable;
use marketprism_core::record::*;
use marketprism_core::venue::Continuity;
use marketprism_runtime::normaliser::{LONGEST_HOLD_NS, Normaliser};

const BOOK: u32 = 1;
const OTHER: u32 = 2;

/// A normaliser of one contiguous and one linked book, and what it passed on.
struct Bench {
    normaliser: Normaliser,
    out: RecordBuffer,
    now: i64,
}

impl Bench {
    fn new() -> Bench {
        let mut normaliser = Normaliser::new();
        normaliser.track_book(BOOK, Continuity::Contiguous, false);
        normaliser.track_book(OTHER, Continuity::Linked, false);
        Bench { normaliser, out: RecordBuffer::default(), now: 1 }
    }

    fn header(&mut self, kind: Kind, instrument: u32, sequence: u64) -> Header {
        self.now += 1;
        Header { sequence, ..Header::new(kind, instrument, self.now) }
    }

    fn trade(&mut self, instrument: u32, id: u64) {
        let header = self.header(Kind::Trade, instrument, id);
        self.normaliser.process(RecordRef::Trade(&Trade { header, ..Trade::zeroed() }), &mut self.out);
    }

    fn quote(&mut self, instrument: u32) {
        let header = self.header(Kind::Quote, instrument, 0);
        self.normaliser.process(RecordRef::Quote(&Quote { header, ..Quote::zeroed() }), &mut self.out);
    }

    fn delta(&mut self, instrument: u32, first_id: u64, last_id: u64, previous_id: i64) {
        let header = self.header(Kind::BookDelta, instrument, last_id);
        let book = Book { header, first_id, previous_id, bid_levels: 1, ..Book::zeroed() };
        let level = Level { price: 100, quantity: last_id as i64 };
        self.normaliser.process(RecordRef::Book(&book, &[level]), &mut self.out);
    }

    fn snapshot(&mut self, instrument: u32, id: u64) {
        let mut header = self.header(Kind::BookSnapshot, instrument, id);
        header.flags = flag::SNAPSHOT | flag::REST;
        let book = Book {
            header,
            first_id: id,
            previous_id: ABSENT,
            bid_levels: 1,
            ask_levels: 1,
            ..Book::zeroed()
        };
        let levels = [Level { price: 99, quantity: 5 }, Level { price: 101, quantity: 5 }];
        self.normaliser.process(RecordRef::Book(&book, &levels), &mut self.out);
    }

    fn interrupt(&mut self, instrument: u32, stream: Kind, reason: GapReason) {
        let header = self.header(Kind::Gap, instrument, 0);
        let gap = Gap { header, stream: stream as u8, reason: reason as u8, records: 3, ..Gap::zeroed() };
        self.normaliser.process(RecordRef::Gap(&gap), &mut self.out);
    }

    fn wanted(&mut self) -> Vec<u32> {
        let mut wanted = vec![];
        self.normaliser.take_wanted(&mut wanted);
        wanted
    }

    /// What came out since the last call, in short: `trade 5`, `delta 7`, `delta! 7` (flagged invalid),
    /// `snapshot 6`, `gap sequence 3..4`.
    fn taken(&mut self) -> Vec<String> {
        let texts = self.out.iter().map(|record| {
            let header = record.header();
            let mark = if header.flags & flag::BOOK_INVALID != 0 { "!" } else { "" };
            match record {
                RecordRef::Trade(_) => format!("trade {}", header.sequence),
                RecordRef::Quote(_) => "quote".to_owned(),
                RecordRef::Book(..) if header.kind == Kind::BookSnapshot as u8 => {
                    format!("snapshot {}", header.sequence)
                }
                RecordRef::Book(..) => format!("delta{mark} {}", header.sequence),
                RecordRef::Gap(gap) => {
                    format!(
                        "gap {} {}..{}",
                        GapReason::name(gap.reason).unwrap_or("?"),
                        gap.from_id,
                        gap.to_id
                    )
                }
                other => format!("{other:?}"),
            }
        });
        let texts = texts.collect();
        self.out.clear();
        texts
    }
}

#[test]
fn a_hole_in_trades_is_reported_with_exact_ids_before_the_next_trade() {
    let mut bench = Bench::new();
    for id in [10, 11, 15, 16] {
        bench.trade(BOOK, id);
    }
    assert_eq!(bench.taken(), ["trade 10", "trade 11", "gap sequence 12..14", "trade 15", "trade 16"]);
}

#[test]
fn a_trade_that_came_before_is_left_out_and_counted() {
    let mut bench = Bench::new();
    for id in [10, 11, 11, 10, 12] {
        bench.trade(BOOK, id);
    }
    assert_eq!(bench.taken(), ["trade 10", "trade 11", "trade 12"]);
    assert_eq!(bench.normaliser.counts().duplicates, 2);
}

/// A peer dropped everything for ever once a venue had reset its ids.
#[test]
fn trap_a_venue_that_starts_its_ids_anew_is_followed() {
    let mut bench = Bench::new();
    for id in [9_000_000, 1, 2] {
        bench.trade(BOOK, id);
    }
    assert_eq!(bench.taken(), ["trade 9000000", "gap reset 9000001..0", "trade 1", "trade 2"]);
}

#[test]
fn a_lost_connection_gives_the_reason_and_the_ids_show_the_extent() {
    let mut bench = Bench::new();
    bench.trade(BOOK, 10);
    bench.quote(BOOK);
    bench.interrupt(BOOK, Kind::Trade, GapReason::Disconnected);
    bench.interrupt(BOOK, Kind::Quote, GapReason::Disconnected);
    bench.taken();
    bench.trade(BOOK, 14);
    bench.quote(BOOK);
    assert_eq!(bench.taken(), ["gap disconnected 11..13", "trade 14", "gap disconnected 0..0", "quote"]);
    // Nothing was missed this time: no hole is invented where ids can tell.
    bench.interrupt(BOOK, Kind::Trade, GapReason::Disconnected);
    bench.trade(BOOK, 15);
    assert_eq!(bench.taken(), ["trade 15"]);
}

/// A peer emitted buffered deltas before the older snapshot.
#[test]
fn trap_the_snapshot_is_recorded_before_its_deltas() {
    let mut bench = Bench::new();
    bench.delta(BOOK, 5, 6, ABSENT);
    bench.delta(BOOK, 7, 9, ABSENT);
    assert_eq!((bench.taken(), bench.wanted()), (vec![], vec![BOOK]));
    bench.delta(BOOK, 10, 10, ABSENT);
    assert_eq!(bench.wanted(), [] as [u32; 0], "asked for once");
    bench.snapshot(BOOK, 7);
    assert_eq!(bench.taken(), ["delta! 6", "snapshot 7", "delta 9", "delta 10"]);
    assert!(bench.normaliser.valid_book(BOOK).is_some());
}

#[test]
fn deltas_that_a_newer_snapshot_holds_already_are_recorded_all_the_same() {
    let mut bench = Bench::new();
    bench.delta(BOOK, 5, 6, ABSENT);
    bench.snapshot(BOOK, 20);
    bench.delta(BOOK, 7, 15, ABSENT);
    bench.delta(BOOK, 16, 22, ABSENT);
    bench.delta(BOOK, 16, 22, ABSENT);
    assert_eq!(bench.taken(), ["delta! 6", "snapshot 20", "delta 15", "delta 22"]);
    assert_eq!(bench.normaliser.counts().duplicates, 1);
}

#[test]
fn a_hole_that_a_newer_snapshot_holds_already_is_reported_and_ends_the_book() {
    let mut bench = Bench::new();
    for (instrument, previous) in [(BOOK, ABSENT), (OTHER, 4)] {
        bench.delta(instrument, 5, 6, previous);
        bench.snapshot(instrument, 20);
    }
    bench.wanted();
    assert_eq!(bench.taken(), ["delta! 6", "snapshot 20", "delta! 6", "snapshot 20"]);
    // The book could go on, but no reader of the log could tell from it what came before.
    bench.delta(BOOK, 21, 22, ABSENT);
    bench.delta(OTHER, 18, 22, 15);
    assert_eq!(bench.taken(), ["gap sequence 7..20", "gap sequence 7..15"]);
    assert_eq!(bench.wanted(), [BOOK, OTHER]);
    bench.snapshot(BOOK, 21);
    bench.snapshot(OTHER, 22);
    assert_eq!(bench.taken(), ["snapshot 21", "delta 22", "snapshot 22", "delta 22"]);
}

/// Peers checked continuity only while synchronising, or reset every book for one hole.
#[test]
fn trap_a_hole_at_any_time_breaks_that_book_alone() {
    let mut bench = Bench::new();
    for (instrument, previous) in [(BOOK, ABSENT), (OTHER, 4)] {
        bench.delta(instrument, 5, 6, previous);
        bench.snapshot(instrument, 6);
    }
    bench.wanted();
    bench.taken();
    bench.delta(BOOK, 7, 8, ABSENT);
    bench.delta(OTHER, 100, 101, 6);
    bench.delta(BOOK, 10, 11, ABSENT);
    bench.delta(OTHER, 300, 301, 101);
    assert_eq!(bench.taken(), ["delta 8", "delta 101", "gap sequence 9..9", "delta 301"]);
    assert_eq!(bench.wanted(), [BOOK]);
    assert!(bench.normaliser.valid_book(BOOK).is_none(), "invalid at once");
    assert!(bench.normaliser.valid_book(OTHER).is_some(), "its neighbour does not notice");
    bench.snapshot(BOOK, 10);
    assert_eq!(bench.taken(), ["snapshot 10", "delta 11"]);
    assert!(bench.normaliser.valid_book(BOOK).is_some());
}

/// A peer parsed the id of the message before and never compared it.
#[test]
fn trap_a_linked_book_compares_the_previous_id() {
    let mut bench = Bench::new();
    bench.delta(OTHER, 5, 6, 4);
    bench.snapshot(OTHER, 6);
    bench.taken();
    bench.delta(OTHER, 7, 9, 8);
    assert_eq!(bench.taken(), ["gap sequence 7..8"]);
    assert!(bench.normaliser.valid_book(OTHER).is_none());
}

#[test]
fn a_snapshot_that_is_too_old_is_asked_for_again() {
    let mut bench = Bench::new();
    bench.delta(BOOK, 50, 51, ABSENT);
    bench.wanted();
    bench.snapshot(BOOK, 40);
    assert_eq!((bench.taken(), bench.wanted()), (vec![], vec![BOOK]));
}

#[test]
fn deltas_are_not_held_for_ever() {
    let mut bench = Bench::new();
    bench.delta(BOOK, 5, 6, ABSENT);
    let arrived = bench.now;
    bench.normaliser.tick(arrived + LONGEST_HOLD_NS - 1, &mut bench.out);
    assert_eq!(bench.taken(), [] as [&str; 0]);
    bench.normaliser.tick(arrived + LONGEST_HOLD_NS, &mut bench.out);
    assert_eq!(bench.taken(), ["delta! 6"]);
    // An older snapshot can no longer help; a newer one does.
    bench.delta(BOOK, 7, 8, ABSENT);
    bench.snapshot(BOOK, 5);
    bench.snapshot(BOOK, 7);
    assert_eq!(bench.taken(), ["snapshot 7", "delta 8"]);
}

#[test]
fn a_hole_behind_deltas_that_were_given_out_without_a_snapshot_is_reported() {
    let mut bench = Bench::new();
    bench.delta(BOOK, 5, 6, ABSENT);
    bench.delta(OTHER, 15, 16, 10);
    bench.normaliser.tick(bench.now + LONGEST_HOLD_NS, &mut bench.out);
    bench.delta(BOOK, 9, 10, ABSENT);
    bench.delta(OTHER, 25, 26, 20);
    assert_eq!(bench.taken(), ["delta! 6", "delta! 16", "gap sequence 7..8", "gap sequence 17..20"]);
}

#[test]
fn a_lost_connection_makes_the_book_invalid_at_once_and_keeps_what_was_held() {
    let mut bench = Bench::new();
    bench.delta(BOOK, 5, 6, ABSENT);
    bench.snapshot(BOOK, 6);
    bench.delta(OTHER, 1, 2, 0);
    bench.taken();
    bench.interrupt(BOOK, Kind::BookDelta, GapReason::Disconnected);
    bench.interrupt(OTHER, Kind::BookDelta, GapReason::Disconnected);
    assert!(bench.normaliser.valid_book(BOOK).is_none());
    assert_eq!(bench.taken(), ["delta! 2"]);
    bench.delta(BOOK, 9, 10, ABSENT);
    assert_eq!(bench.taken(), ["gap disconnected 7..8"]);
    bench.snapshot(BOOK, 9);
    assert_eq!(bench.taken(), ["snapshot 9", "delta 10"]);
}

#[test]
fn a_book_whose_records_the_log_lost_gets_a_new_snapshot() {
    let mut bench = Bench::new();
    bench.delta(BOOK, 5, 6, ABSENT);
    bench.snapshot(BOOK, 6);
    bench.wanted();
    bench.taken();
    bench.normaliser.lost_downstream(BOOK, bench.now, &mut bench.out);
    assert_eq!(bench.wanted(), [BOOK]);
    assert!(bench.normaliser.valid_book(BOOK).is_none());
    bench.delta(BOOK, 7, 8, ABSENT);
    bench.snapshot(BOOK, 7);
    assert_eq!(bench.taken(), ["snapshot 7", "delta 8"]);
}

#[test]
fn the_same_quote_over_again_is_left_out() {
    let mut bench = Bench::new();
    for id in [7, 7, 9] {
        let header = bench.header(Kind::Quote, BOOK, id);
        let quote = Quote { header, ..Quote::zeroed() };
        bench.normaliser.process(RecordRef::Quote(&quote), &mut bench.out);
    }
    assert_eq!(bench.taken().len(), 2);
    assert_eq!(bench.normaliser.counts().duplicates, 1);
}

#[test]
fn the_end_gives_out_everything_that_is_held() {
    let mut bench = Bench::new();
    bench.delta(BOOK, 5, 6, ABSENT);
    bench.quote(BOOK);
    bench.interrupt(BOOK, Kind::Quote, GapReason::Overrun);
    bench.normaliser.finish(1_000, &mut bench.out);
    assert_eq!(bench.taken(), ["quote", "delta! 6", "gap overrun 0..0"]);
}

//! The worked examples of Binance's rules, with the ids and levels of real captures.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use marketprism_book::{
    BookError, DeltaStep, Emit, MAX_HELD_LEVELS, MAX_HELD_MESSAGES, SnapshotStep, State, SyncedBook,
};
use marketprism_core::record::{ABSENT, Book};
use marketprism_core::venue::Continuity::{Contiguous, Linked};
use marketprism_core::{Kind, Level};
use support::Message;

fn delta(text: &str) -> Message {
    support::message(Kind::BookDelta, text).unwrap().1
}

fn snapshot(text: &str) -> Message {
    support::message(Kind::BookSnapshot, text).unwrap().1
}

/// A delta without levels; `previous` is ignored where ids are contiguous.
fn bare(first: u64, last: u64, previous: i64) -> Message {
    let mut message = delta(r#"{"U":1,"u":1,"b":[],"a":[]}"#);
    message.book.first_id = first;
    message.book.header.sequence = last;
    message.book.previous_id = previous;
    message
}

fn bare_snapshot(id: u64) -> Message {
    snapshot(&format!(r#"{{"lastUpdateId":{id},"bids":[["1","1"]],"asks":[["2","1"]]}}"#))
}

fn feed(book: &mut SyncedBook, message: &Message) -> DeltaStep {
    book.on_delta(&message.book, &message.levels)
}

fn load(book: &mut SyncedBook, message: &Message) -> (SnapshotStep, String) {
    let mut order = String::new();
    let step = book.on_snapshot(&message.book, &message.levels, &mut |emitted| {
        order.push(match emitted {
            Emit::Contained(..) => 'c',
            Emit::Snapshot(..) => 's',
            Emit::Replayed(..) => 'r',
        });
    });
    (step, order)
}

fn quantity(levels: impl Iterator<Item = Level>, price: i64) -> Option<i64> {
    levels.into_iter().find(|level| level.price == price).map(|level| level.quantity)
}

const NKN_SNAPSHOT: &str = r#"{"lastUpdateId":499869752,"bids":[["0.35210000","672.00000000"],["0.35200000","1144.00000000"],["0.35190000","3260.00000000"],["0.35180000","3052.00000000"]],"asks":[["0.35250000","3959.00000000"],["0.35260000","3199.00000000"],["0.35270000","4201.00000000"],["0.35280000","703.00000000"],["0.35290000","6718.00000000"]]}"#;
const NKN_DELTAS: [&str; 3] = [
    r#"{"stream":"nknusdt@depth@100ms","data":{"e":"depthUpdate","E":1633998512068,"s":"NKNUSDT","U":499869750,"u":499869752,"b":[["0.35130000","6195.00000000"],["0.34750000","5548.00000000"],["0.34640000","6222.00000000"]],"a":[]}}"#,
    r#"{"stream":"nknusdt@depth@100ms","data":{"e":"depthUpdate","E":1633998512568,"s":"NKNUSDT","U":499869753,"u":499869754,"b":[["0.35170000","4265.00000000"]],"a":[["0.35290000","10968.00000000"]]}}"#,
    r#"{"stream":"nknusdt@depth@100ms","data":{"e":"depthUpdate","E":1633998512668,"s":"NKNUSDT","U":499869755,"u":499869757,"b":[["0.35200000","1290.00000000"],["0.34730000","106.00000000"],["0.34690000","14009.00000000"]],"a":[]}}"#,
];

fn assert_nkn(book: &SyncedBook) {
    assert_eq!(book.last_id(), Some(499_869_757));
    let levels = book.book();
    assert_eq!(levels.best_bid(), Some(Level { price: 35_210_000, quantity: 67_200_000_000 }));
    assert_eq!(levels.bids().nth(1), Some(Level { price: 35_200_000, quantity: 129_000_000_000 }));
    assert_eq!(quantity(levels.bids(), 35_170_000), Some(426_500_000_000));
    assert_eq!(quantity(levels.asks(), 35_290_000), Some(1_096_800_000_000));
    // The first delta is part of the snapshot and was not applied.
    assert_eq!(quantity(levels.bids(), 35_130_000), None);
}

#[test]
fn spot_nknusdt() {
    let [first, second, third] = NKN_DELTAS.map(delta);
    // However many deltas the snapshot finds waiting.
    for waiting in 1..=3 {
        let mut book = SyncedBook::new(Contiguous);
        for message in [&first, &second, &third].into_iter().take(waiting) {
            assert_eq!(feed(&mut book, message), DeltaStep::Held);
        }
        let expected = SnapshotStep::Valid { contained: 1, replayed: waiting - 1 };
        assert_eq!(load(&mut book, &snapshot(NKN_SNAPSHOT)).0, expected);
        for message in [&first, &second, &third].into_iter().skip(waiting) {
            assert_eq!(feed(&mut book, message), DeltaStep::Applied);
        }
        assert_nkn(&book);
        assert_eq!(feed(&mut book, &bare(499_869_758, 499_869_759, ABSENT)), DeltaStep::Applied);
        let gap = feed(&mut book, &bare(499_869_761, 499_869_761, ABSENT));
        assert_eq!(gap, DeltaStep::Broken { expected: 499_869_760, got: 499_869_761 });
        assert_eq!((book.state(), book.held_messages()), (State::Waiting, 1));
        assert!(book.book().is_empty());
    }
}

const AKRO_SNAPSHOT: &str = r#"{"lastUpdateId":600859605486,"E":1626992741242,"T":1626992741238,"bids":[["0.01731","57618"],["0.01730","183887"],["0.01729","712308"]],"asks":[["0.01732","72524"],["0.01733","355270"],["0.01734","396300"],["0.01735","359895"],["0.01736","874535"],["0.01737","437848"]]}"#;
const AKRO_DELTAS: [&str; 4] = [
    r#"{"e":"depthUpdate","E":1626992741077,"T":1626992740974,"s":"AKROUSDT","U":600859599831,"u":600859599831,"pu":600859598737,"b":[],"a":[["0.01737","437848"]]}"#,
    r#"{"e":"depthUpdate","E":1626992741257,"T":1626992741238,"s":"AKROUSDT","U":600859603597,"u":600859605486,"pu":600859599831,"b":[["0.01730","183887"]],"a":[["0.01736","874535"]]}"#,
    r#"{"e":"depthUpdate","E":1626992741559,"T":1626992741467,"s":"AKROUSDT","U":600859609657,"u":600859609902,"pu":600859605486,"b":[["0.01714","1474950"]],"a":[]}"#,
    r#"{"e":"depthUpdate","E":1626992741880,"T":1626992741846,"s":"AKROUSDT","U":600859615248,"u":600859616677,"pu":600859611654,"b":[["0.01724","678101"],["0.01725","919534"]],"a":[["0.01737","426900"],["0.01741","291748"],["0.01742","206748"]]}"#,
];

#[test]
fn linked_akrousdt() {
    let [first, second, third, fifth] = AKRO_DELTAS.map(delta);
    let mut book = SyncedBook::new(Linked);
    assert_eq!(feed(&mut book, &first), DeltaStep::Held);
    assert_eq!(feed(&mut book, &second), DeltaStep::Held);
    let (step, order) = load(&mut book, &snapshot(AKRO_SNAPSHOT));
    assert_eq!((step, order.as_str()), (SnapshotStep::Valid { contained: 1, replayed: 1 }, "csr"));
    assert_eq!(feed(&mut book, &third), DeltaStep::Applied);
    assert_eq!(quantity(book.book().bids(), 1_714), Some(1_474_950));
    assert_eq!(feed(&mut book, &third), DeltaStep::Contained, "an exact copy");
    assert_eq!(
        feed(&mut book, &fifth),
        DeltaStep::Broken { expected: 600_859_609_902, got: 600_859_611_654 }
    );
    assert!(!book.is_valid());
}

#[test]
fn linked_snapshot_at_the_end_of_a_lost_delta() {
    // The delta that ends at the snapshot's id never came: the next one names the id.
    let [_, _, third, _] = AKRO_DELTAS.map(delta);
    let mut book = SyncedBook::new(Linked);
    assert_eq!(feed(&mut book, &third), DeltaStep::Held);
    let (step, _) = load(&mut book, &snapshot(AKRO_SNAPSHOT));
    assert_eq!(step, SnapshotStep::Valid { contained: 0, replayed: 1 });
}

#[test]
fn linked_sushiusdt_and_bchusd_perp() {
    let mut book = SyncedBook::new(Linked);
    feed(&mut book, &bare(600_859_603_343, 600_859_604_824, 600_859_603_000));
    feed(&mut book, &bare(600_859_605_926, 600_859_607_423, 600_859_604_824));
    let (step, _) = load(&mut book, &bare_snapshot(600_859_605_926));
    assert_eq!(step, SnapshotStep::Valid { contained: 1, replayed: 1 });

    let mut book = SyncedBook::new(Linked);
    load(
        &mut book,
        &snapshot(
            r#"{"lastUpdateId":167006089178,"E":1626916404580,"T":1626916404574,"symbol":"BCHUSD_PERP","pair":"BCHUSD","bids":[["427.90","169"],["427.89","515"],["427.86","444"]],"asks":[["427.95","150"],["427.97","130"],["427.98","36"]]}"#,
        ),
    );
    assert!(book.is_valid() && !book.is_bridged());
    let first = delta(
        r#"{"e":"depthUpdate","E":1626916404623,"T":1626916404600,"s":"BCHUSD_PERP","ps":"BCHUSD","U":167006088829,"u":167006089315,"pu":167006088786,"b":[["427.90","169"]],"a":[["427.98","36"]]}"#,
    );
    assert_eq!(feed(&mut book, &first), DeltaStep::Applied);
    assert!(book.is_bridged());
    assert_eq!(book.last_id(), Some(167_006_089_315));
}

#[test]
fn contiguous_edges() {
    let mut book = SyncedBook::new(Contiguous);
    feed(&mut book, &bare(11, 15, ABSENT));
    assert_eq!(load(&mut book, &bare_snapshot(9)), (SnapshotStep::TooOld, String::new()));
    assert_eq!(load(&mut book, &bare_snapshot(10)).0, SnapshotStep::Valid { contained: 0, replayed: 1 });
    assert_eq!(feed(&mut book, &bare(12, 15, ABSENT)), DeltaStep::Contained);
    assert_eq!(feed(&mut book, &bare(14, 20, ABSENT)), DeltaStep::Applied, "an overlap");
    assert_eq!(load(&mut book, &bare_snapshot(20)).0, SnapshotStep::NotNewer);
    assert_eq!(load(&mut book, &bare_snapshot(22)), (SnapshotStep::Replaced, "s".to_owned()));
    assert_eq!(feed(&mut book, &bare(21, 22, ABSENT)), DeltaStep::Contained);
    assert_eq!(feed(&mut book, &bare(24, 25, ABSENT)), DeltaStep::Broken { expected: 23, got: 24 });
    // A snapshot behind what is known to have been lost is of no use; one just before the held delta is.
    assert_eq!(load(&mut book, &bare_snapshot(22)).0, SnapshotStep::TooOld);
    assert_eq!(load(&mut book, &bare_snapshot(23)).0, SnapshotStep::Valid { contained: 0, replayed: 1 });
}

#[test]
fn linked_edges() {
    let mut book = SyncedBook::new(Linked);
    load(&mut book, &bare_snapshot(100));
    assert_eq!(feed(&mut book, &bare(90, 99, 89)), DeltaStep::Contained);
    assert_eq!(feed(&mut book, &bare(150, 160, 100)), DeltaStep::Applied);
    assert_eq!(feed(&mut book, &bare(161, 170, -1)), DeltaStep::Applied, "no link, adjacent ids");
    assert_eq!(feed(&mut book, &bare(170, 170, 165)), DeltaStep::Broken { expected: 170, got: 165 });
    // A fresh listing without any link.
    let mut book = SyncedBook::new(Linked);
    feed(&mut book, &bare(5, 9, -1));
    assert_eq!(load(&mut book, &bare_snapshot(7)).0, SnapshotStep::Valid { contained: 0, replayed: 1 });
    assert_eq!(feed(&mut book, &bare(12, 13, ABSENT)), DeltaStep::Broken { expected: 9, got: 12 });
}

#[test]
fn a_hole_among_held_deltas_needs_a_newer_snapshot() {
    let mut book = SyncedBook::new(Contiguous);
    feed(&mut book, &bare(1, 5, ABSENT));
    feed(&mut book, &bare(6, 8, ABSENT));
    assert_eq!(feed(&mut book, &bare(15, 20, ABSENT)), DeltaStep::HeldAfterGap { expected: 9, got: 15 });
    assert_eq!(feed(&mut book, &bare(15, 20, ABSENT)), DeltaStep::Contained, "a copy of a held one");
    assert_eq!(load(&mut book, &bare_snapshot(7)).0, SnapshotStep::Broken { expected: 7, got: 8 });
    assert_eq!(load(&mut book, &bare_snapshot(8)).0, SnapshotStep::TooOld);
    let (step, order) = load(&mut book, &bare_snapshot(17));
    assert_eq!((step, order.as_str()), (SnapshotStep::Valid { contained: 2, replayed: 1 }, "ccsr"));
}

#[test]
fn ids_that_go_back_are_a_restart_and_not_ignored() {
    // Far back; little back but seconds later; little back, without times, and again and again.
    let mut late = bare(50, 60, 40);
    late.book.header.exchange_ns = 20_000_000_000;
    for continuity in [Contiguous, Linked] {
        let start = |id: u64| {
            let mut book = SyncedBook::new(continuity);
            let mut first = bare_snapshot(id);
            first.book.header.exchange_ns = 10_000_000_000;
            load(&mut book, &first);
            book
        };
        let mut book = start(1 << 40);
        assert!(matches!(feed(&mut book, &bare(1, 2, 0)), DeltaStep::Reset { .. }));
        assert_eq!(
            load(&mut book, &bare_snapshot(2)).0,
            SnapshotStep::Valid {
                contained: usize::from(continuity == Contiguous),
                replayed: usize::from(continuity == Linked)
            }
        );

        let mut book = start(100);
        assert_eq!(feed(&mut book, &bare(50, 60, 40)), DeltaStep::Contained);
        assert!(matches!(feed(&mut book, &late), DeltaStep::Reset { .. }));
        assert_eq!((book.is_valid(), book.held_messages()), (false, 1));

        let mut book = start(5_000);
        let steps: Vec<DeltaStep> =
            (1..1_100).map(|id| feed(&mut book, &bare(id, id, id as i64 - 1))).collect();
        assert!(steps.iter().any(|step| matches!(step, DeltaStep::Reset { .. })));
        assert_eq!(
            load(&mut book, &bare_snapshot(1_050)).0,
            SnapshotStep::Valid {
                contained: if continuity == Linked { 49 } else { 50 },
                replayed: if continuity == Linked { 50 } else { 49 }
            }
        );
    }
}

#[test]
fn a_restart_while_waiting_needs_a_release() {
    let mut book = SyncedBook::new(Contiguous);
    feed(&mut book, &bare(1 << 40, 1 << 40, ABSENT));
    let fresh = bare(1, 2, ABSENT);
    assert_eq!(feed(&mut book, &fresh), DeltaStep::ReleaseFirst);
    let mut released = 0;
    book.release(&mut |_, _| released += 1);
    assert_eq!(released, 1);
    assert_eq!(feed(&mut book, &fresh), DeltaStep::Held);
    assert_eq!(load(&mut book, &bare_snapshot(1)).0, SnapshotStep::Valid { contained: 0, replayed: 1 });
}

#[test]
fn the_buffer_is_bounded_and_loses_nothing() {
    let mut book = SyncedBook::new(Contiguous);
    let mut id = 0;
    let mut fill = |book: &mut SyncedBook, levels: usize| loop {
        let mut message = bare(id + 1, id + 1, ABSENT);
        message.levels = vec![Level { price: 1, quantity: 1 }; levels];
        message.book.bid_levels = levels as u16;
        message.book.header.receive_ns = 7 + id as i64;
        match feed(book, &message) {
            DeltaStep::Held => id += 1,
            DeltaStep::ReleaseFirst => return,
            other => panic!("{other:?}"),
        }
    };
    fill(&mut book, 0);
    assert_eq!((book.held_messages(), book.held_since_receive_ns()), (MAX_HELD_MESSAGES, Some(7)));
    let mut released = Vec::new();
    let mut count = |delta: &Book, _: &[Level]| released.push(delta.header.sequence);
    book.release(&mut count);
    fill(&mut book, 1_000);
    assert!(book.held_levels() > MAX_HELD_LEVELS - 1_000 && book.held_levels() <= MAX_HELD_LEVELS);
    // What was released cannot be replayed.
    assert_eq!(load(&mut book, &bare_snapshot(10)).0, SnapshotStep::TooOld);
    let mut count = |delta: &Book, _: &[Level]| released.push(delta.header.sequence);
    book.release(&mut count);
    assert_eq!(released, (1..=id).collect::<Vec<_>>());
    assert_eq!(book.held_since_receive_ns(), None);
    assert_eq!(load(&mut book, &bare_snapshot(10)).0, SnapshotStep::TooOld);
}

#[test]
fn unusable_levels_make_the_book_invalid() {
    let mut book = SyncedBook::new(Contiguous);
    load(&mut book, &bare_snapshot(10));
    let mut bad = delta(r#"{"U":11,"u":12,"b":[["1","-1"]],"a":[]}"#);
    assert!(matches!(feed(&mut book, &bad), DeltaStep::Unusable(BookError::NegativeQuantity { .. })));
    assert!(!book.is_valid() && book.held_messages() == 0);
    assert_eq!(load(&mut book, &bare_snapshot(11)).0, SnapshotStep::TooOld);
    bad.levels.clear();
    assert!(matches!(feed(&mut book, &bad), DeltaStep::Unusable(BookError::LevelCount { .. })));
    assert_eq!(load(&mut book, &bare_snapshot(12)).0, SnapshotStep::Valid { contained: 0, replayed: 0 });
}

#[test]
fn a_lost_connection_needs_a_newer_snapshot() {
    let mut book = SyncedBook::new(Contiguous);
    load(&mut book, &bare_snapshot(10));
    feed(&mut book, &bare(11, 20, ABSENT));
    book.invalidate();
    assert_eq!((book.is_valid(), book.last_id()), (false, None));
    assert_eq!(load(&mut book, &bare_snapshot(19)).0, SnapshotStep::TooOld);
    assert_eq!(feed(&mut book, &bare(21, 30, ABSENT)), DeltaStep::Held);
    assert_eq!(load(&mut book, &bare_snapshot(25)).0, SnapshotStep::Valid { contained: 0, replayed: 1 });
}

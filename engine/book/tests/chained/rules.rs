//! The rule's edges, and what other recorders got wrong. A trap's number is that of the list in the research notes.

use marketprism_book::{BookError, DeltaStep, Emit, SnapshotStep, State, StreamSnapshotStep, SyncedBook};
use marketprism_core::venue::Continuity::{Chained, Contiguous};

use crate::model::Row;
use crate::wire::{Message, record};

const MILLISECOND: i64 = 1_000_000;

fn rows(text: &str) -> Vec<Row> {
    let row =
        |row: &str| row.split_once(':').map(|(price, size)| (price.to_owned(), size.to_owned())).unwrap();
    text.split_whitespace().map(row).collect()
}

/// One bid as `price:size`, several with blanks between.
fn snapshot(id: u64, bids: &str) -> Message {
    record(true, (None, id), &rows(bids), &[])
}

fn delta(previous: i64, id: u64, bids: &str) -> Message {
    record(false, (Some(previous), id), &rows(bids), &[])
}

fn at(mut message: Message, milliseconds: i64) -> Message {
    message.book.header.exchange_ns = milliseconds * MILLISECOND;
    message
}

/// With the checksum of a text; of none, with 0.
fn summed(mut message: Message, text: &str) -> Message {
    message.set_checksum(crate::model::crc32(text.as_bytes()));
    message
}

fn load(book: &mut SyncedBook, message: &Message) -> StreamSnapshotStep {
    book.on_stream_snapshot(&message.book, &message.levels)
}

fn feed(book: &mut SyncedBook, message: &Message) -> DeltaStep {
    book.on_delta(&message.book, &message.levels)
}

/// A valid book with this id.
fn valid(id: u64) -> SyncedBook {
    let mut book = SyncedBook::new(Chained);
    assert_eq!(load(&mut book, &snapshot(id, "1:1")), StreamSnapshotStep::Valid);
    book
}

fn assert_lost(book: &SyncedBook) {
    assert_eq!((book.state(), book.last_id(), book.held_messages()), (State::Waiting, None, 0));
    assert!(book.book().is_empty());
}

#[test]
fn trap_5_the_previous_id_is_compared_and_acted_upon() {
    let mut book = valid(10);
    assert_eq!(feed(&mut book, &delta(10, 15, "2:1")), DeltaStep::Applied);
    assert_eq!(feed(&mut book, &delta(16, 17, "3:1")), DeltaStep::Broken { expected: 15, got: 16 });
    assert_lost(&book);
    // It stays so, whatever follows, until a snapshot comes.
    assert_eq!(feed(&mut book, &delta(15, 18, "3:1")), DeltaStep::NoBook);
    assert_eq!(feed(&mut book, &delta(17, 18, "3:1")), DeltaStep::NoBook);
    assert_lost(&book);
    assert_eq!(load(&mut book, &snapshot(18, "3:1")), StreamSnapshotStep::Valid);
    assert_eq!(feed(&mut book, &delta(18, 19, "")), DeltaStep::Applied);
}

#[test]
fn trap_6_a_venue_reset_does_not_kill_the_feed() {
    let mut book = valid(1_000);
    for (previous, id) in [(1_000, 1_005), (1_005, 1_005), (1_005, 3), (3, 5), (5, 5), (5, 9)] {
        assert_eq!(feed(&mut book, &delta(previous, id, "2:1")), DeltaStep::Applied, "{previous} → {id}");
    }
    // The same by a new snapshot, newer by its time: not believed before the venue says it again.
    let mut book = valid(1_000);
    feed(&mut book, &at(delta(1_000, 2_000, ""), 50));
    assert_eq!(load(&mut book, &at(snapshot(3, "1:1"), 51)), StreamSnapshotStep::Doubtful);
    assert_lost(&book);
    assert_eq!(load(&mut book, &at(snapshot(3, "1:1"), 51)), StreamSnapshotStep::Valid);
    assert_eq!(feed(&mut book, &at(delta(3, 5, ""), 52)), DeltaStep::Applied);
    feed(&mut book, &at(delta(2_000, 2_001, ""), 53));
    assert_lost(&book);
    assert_eq!(load(&mut book, &at(snapshot(7, "1:1"), 54)), StreamSnapshotStep::Valid);
    assert_eq!(book.last_id(), Some(7));
}

#[test]
fn trap_12_checksum_zero_is_not_given_and_any_other_is_verified() {
    let mut zero = snapshot(1, "1:1");
    zero.set_checksum(0);
    let mut book = SyncedBook::new(Chained);
    assert_eq!(load(&mut book, &zero), StreamSnapshotStep::Valid);
    let mut zero = delta(1, 2, "2:1");
    zero.set_checksum(0);
    assert_eq!(feed(&mut book, &zero), DeltaStep::Applied);
    assert_eq!(book.verified_checksums(), 0);

    assert_eq!(load(&mut book, &summed(snapshot(3, "1:1"), "1:1")), StreamSnapshotStep::Replaced);
    assert_eq!(feed(&mut book, &summed(delta(3, 4, "2:1"), "2:1:1:1")), DeltaStep::Applied);
    assert_eq!(book.verified_checksums(), 2);
    let step = feed(&mut book, &summed(delta(4, 5, "2:2"), "2:1:1:1"));
    let (given, computed) = (crate::model::crc32(b"2:1:1:1"), crate::model::crc32(b"2:2:1:1"));
    assert_eq!(step, DeltaStep::ChecksumMismatch { given, computed });
    assert_lost(&book);
    assert_eq!(feed(&mut book, &delta(5, 6, "2:1")), DeltaStep::NoBook);
}

#[test]
fn without_ids_only_the_checksum_tells() {
    let bare = |bids: &str, text| summed(record(false, (None, 0), &rows(bids), &[]), text);
    let mut book = SyncedBook::new(Chained);
    assert_eq!(load(&mut book, &summed(snapshot(0, "1:1"), "1:1")), StreamSnapshotStep::Valid);
    assert_eq!(feed(&mut book, &bare("2:1", "2:1:1:1")), DeltaStep::Applied);
    assert_eq!(feed(&mut book, &bare("", "2:1:1:1")), DeltaStep::Applied);
    assert_eq!(book.verified_checksums(), 3);
    // One that set 3 to 1 is missing.
    let step = feed(&mut book, &bare("4:1", "4:1:3:1:2:1:1:1"));
    assert!(matches!(step, DeltaStep::ChecksumMismatch { .. }), "{step:?}");
    // An own id without that of the message before proves nothing.
    let mut book = valid(10);
    let step = feed(&mut book, &record(false, (None, 11), &[], &[]));
    assert_eq!(step, DeltaStep::Broken { expected: 10, got: 11 });
}

#[test]
fn a_checksum_behind_a_message_without_one_proves_nothing() {
    let mut book = SyncedBook::new(Chained);
    load(&mut book, &summed(snapshot(1, "1.50:1"), "1.5:1"));
    assert_eq!(feed(&mut book, &delta(1, 2, "2.0:1")), DeltaStep::Applied);
    // The venue summed other digits.
    assert_eq!(feed(&mut book, &summed(delta(2, 3, "3:1"), "3:1:2.0:1:1.5:1")), DeltaStep::Applied);
    assert_eq!(book.verified_checksums(), 1);
    // An empty book has no digits at all, and 0 is its checksum.
    assert_eq!(feed(&mut book, &delta(3, 4, "1.5:0 2:0 3:0")), DeltaStep::Applied);
    assert_eq!(feed(&mut book, &summed(delta(4, 5, "7:1"), "7:1")), DeltaStep::Applied);
    assert_eq!(book.verified_checksums(), 2);
    // A new snapshot begins anew too.
    feed(&mut book, &delta(5, 6, ""));
    load(&mut book, &summed(snapshot(7, "1:1"), "1:1"));
    assert_eq!(feed(&mut book, &summed(delta(7, 8, "2:1"), "2:1:1:1")), DeltaStep::Applied);
    assert_eq!(book.verified_checksums(), 4);
}

#[test]
fn a_late_copy_is_contained_for_sixteen_messages() {
    let mut book = valid(100);
    for id in 101..=120 {
        assert_eq!(feed(&mut book, &delta(id - 1, id as u64, "2:1")), DeltaStep::Applied);
    }
    for id in 105..=120 {
        assert_eq!(feed(&mut book, &delta(id - 1, id as u64, "2:1")), DeltaStep::Contained, "{id}");
    }
    assert_eq!(book.last_id(), Some(120));
    let other = DeltaStep::Broken { expected: 120, got: 110 };
    assert_eq!(feed(&mut book.clone(), &delta(110, 112, "2:1")), other, "not the same ids");
    let old = feed(&mut book, &delta(103, 104, "2:1"));
    assert_eq!(old, DeltaStep::Broken { expected: 120, got: 103 });
    assert_lost(&book);
}

#[test]
fn copies_do_not_hide_holes() {
    // A late keep-alive: its ids stand for no message.
    let mut book = valid(10);
    feed(&mut book, &delta(10, 10, ""));
    feed(&mut book, &delta(10, 11, ""));
    assert_eq!(feed(&mut book, &delta(10, 10, "")), DeltaStep::Broken { expected: 11, got: 10 });
    assert_eq!(feed(&mut valid(10), &delta(0, 0, "")), DeltaStep::Broken { expected: 10, got: 0 });
    // Ids that come again after the venue counted anew, with 10 → 11 lost; by a delta and by a snapshot.
    let mut book = valid(10);
    feed(&mut book, &delta(10, 11, ""));
    feed(&mut book, &delta(11, 12, ""));
    let mut reset = book.clone();
    feed(&mut reset, &delta(12, 10, ""));
    assert_eq!(feed(&mut reset, &delta(11, 12, "")), DeltaStep::Broken { expected: 10, got: 11 });
    assert_eq!(load(&mut book, &snapshot(10, "1:1")), StreamSnapshotStep::Doubtful);
    load(&mut book, &snapshot(10, "1:1"));
    assert_eq!(feed(&mut book, &delta(11, 12, "")), DeltaStep::Broken { expected: 10, got: 11 });
}

#[test]
fn a_stale_snapshot_changes_nothing() {
    let mut book = SyncedBook::new(Chained);
    // While waiting too, since deltas show how far the venue is.
    assert_eq!(feed(&mut book, &at(delta(20, 21, ""), 50)), DeltaStep::NoBook);
    assert_eq!(load(&mut book, &at(snapshot(20, "1:1"), 49)), StreamSnapshotStep::Stale);
    assert_lost(&book);
    assert_eq!(
        load(&mut book, &at(snapshot(21, "1:1"), 49)),
        StreamSnapshotStep::Valid,
        "the id is not lower"
    );
    assert_eq!(feed(&mut book, &at(delta(21, 30, "2:1"), 60)), DeltaStep::Applied);
    assert_eq!(load(&mut book, &at(snapshot(25, "9:9"), 59)), StreamSnapshotStep::Stale);
    assert_eq!((book.last_id(), book.book().bid_len()), (Some(30), 2));
    assert_eq!(feed(&mut book, &at(delta(30, 31, ""), 61)), DeltaStep::Applied);
    // A break is no new connection, and an old delta does not make old snapshots good.
    feed(&mut book, &at(delta(35, 36, ""), 70));
    assert_eq!(feed(&mut book, &at(delta(1, 2, ""), 1)), DeltaStep::NoBook);
    assert_eq!(load(&mut book, &at(snapshot(35, "1:1"), 69)), StreamSnapshotStep::Stale);
    // Without a time, or on a new connection, which may lag, it is taken.
    assert_eq!(load(&mut book.clone(), &snapshot(35, "1:1")), StreamSnapshotStep::Valid);
    book.invalidate();
    assert_eq!(load(&mut book, &at(snapshot(35, "1:1"), 69)), StreamSnapshotStep::Valid);
}

#[test]
fn what_cannot_be_used_makes_the_book_invalid() {
    let mut book = valid(10);
    let mut negative = delta(10, 11, "1:-1");
    assert!(matches!(feed(&mut book, &negative), DeltaStep::Unusable(BookError::NegativeQuantity { .. })));
    assert_lost(&book);
    negative.book.bid_levels = 2;
    assert_eq!(feed(&mut book, &negative), DeltaStep::NoBook);

    let mut book = valid(10);
    let step = load(&mut book, &snapshot(11, "-1:1"));
    assert_eq!(step, StreamSnapshotStep::Unusable(BookError::NegativePrice { price: -1 }));
    assert_lost(&book);
    let mut short = snapshot(12, "1:1");
    short.levels.clear();
    let error = BookError::LevelCount { announced: 1, carried: 0 };
    assert_eq!(load(&mut book, &short), StreamSnapshotStep::Unusable(error));
    assert_eq!(load(&mut book, &snapshot(12, "1:1")), StreamSnapshotStep::Valid);
}

#[test]
fn a_snapshot_is_taken_whole_and_crossed_books_are_told() {
    let side = |sign: i64| -> Vec<Row> {
        (1..=400).map(|tick| ((1_000 + sign * tick).to_string(), "1".to_owned())).collect()
    };
    let mut book = SyncedBook::new(Chained);
    assert_eq!(load(&mut book, &record(true, (None, 1), &side(-1), &side(1))), StreamSnapshotStep::Valid);
    assert_eq!((book.book().bid_len(), book.book().ask_len(), book.is_crossed()), (400, 400, false));
    // A level more is kept: the venue removes what leaves its window.
    feed(&mut book, &delta(1, 2, "500:1"));
    assert_eq!(book.book().bid_len(), 401);
    feed(&mut book, &delta(2, 3, "1001:1"));
    assert!(book.is_valid() && book.is_crossed());
    feed(&mut book, &delta(3, 4, "1001:0"));
    assert!(!book.is_crossed());
    feed(&mut book, &delta(9, 9, ""));
    assert!(!book.is_crossed(), "an empty book is not crossed");
}

#[test]
fn each_rule_has_its_own_snapshots() {
    let mut book = valid(10);
    let rest = snapshot(11, "2:1");
    let mut emitted = 0;
    let step = book.on_snapshot(&rest.book, &rest.levels, &mut |_: Emit<'_>| emitted += 1);
    assert_eq!((step, emitted, book.last_id()), (SnapshotStep::NotNewer, 0, Some(10)));
    // Elsewhere nothing is counted, since missing removals are normal there.
    let mut book = SyncedBook::new(Contiguous);
    book.on_snapshot(&rest.book, &rest.levels, &mut |_| ());
    let mut next = delta(0, 12, "9:0");
    next.book.first_id = 12;
    assert_eq!(feed(&mut book, &next), DeltaStep::Applied);
    assert_eq!(book.missing_removals(), 0);
}

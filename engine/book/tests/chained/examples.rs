//! The worked examples of `okx.md` and `deribit.md`.

use marketprism_book::{DeltaStep, StreamSnapshotStep, SyncedBook};
use marketprism_core::venue::Continuity::Chained;

use crate::model::{Model, Row, crc32, texts};
use crate::wire::{self, Message};

/// Feeds a message that has to become part of the book.
fn take(book: &mut SyncedBook, message: &Message) {
    if message.is_snapshot() {
        assert_eq!(book.on_stream_snapshot(&message.book, &message.levels), StreamSnapshotStep::Valid);
    } else {
        assert_eq!(book.on_delta(&message.book, &message.levels), DeltaStep::Applied);
    }
}

/// Bids and asks, best first, as `price×size` with blanks between.
fn shown(book: &SyncedBook) -> (String, String) {
    let book = book.book();
    let exponents = (book.price_exponent(), book.quantity_exponent());
    let join = |rows: Vec<Row>| {
        rows.iter().map(|(price, size)| format!("{price}×{size}")).collect::<Vec<_>>().join(" ")
    };
    (join(texts(book.bids(), exponents)), join(texts(book.asks(), exponents)))
}

fn assert_shown(book: &SyncedBook, bids: &str, asks: &str) {
    assert_eq!(shown(book), (bids.to_owned(), asks.to_owned()));
}

fn okx(action: &str, ids: (i64, u64), checksum: i64, bids: &str, asks: &str) -> Message {
    wire::okx(&format!(
        r#"{{"arg":{{"channel":"books","instId":"X"}},"action":"{action}","data":[{{"asks":{asks},"bids":{bids},"ts":"1","checksum":{checksum},"prevSeqId":{},"seqId":{}}}]}}"#,
        ids.0, ids.1
    ))
}

#[test]
fn okx_sequence_and_checksum() {
    let mut book = SyncedBook::new(Chained);
    let bids = r#"[["100.1","7","0","1"],["100","5","0","1"],["99.8","2","0","1"]]"#;
    let asks = r#"[["100.3","9","0","1"],["100.4","8","0","1"]]"#;
    take(&mut book, &okx("snapshot", (-1, 10), 1_884_942_554, bids, asks));
    assert_shown(&book, "100.1×7 100×5 99.8×2", "100.3×9 100.4×8");

    let (bids, asks) = (r#"[["100","6","0","1"]]"#, r#"[["100.3","0","0","0"],["100.5","4","0","1"]]"#);
    take(&mut book, &okx("update", (10, 15), -942_904_850, bids, asks));
    assert_shown(&book, "100.1×7 100×6 99.8×2", "100.4×8 100.5×4");

    take(&mut book, &okx("update", (15, 15), -942_904_850, "[]", "[]"));
    assert_shown(&book, "100.1×7 100×6 99.8×2", "100.4×8 100.5×4");

    take(&mut book, &okx("update", (15, 3), 1_477_256_524, r#"[["100.1","0","0","0"]]"#, "[]"));
    assert_shown(&book, "100×6 99.8×2", "100.4×8 100.5×4");
    assert_eq!((book.last_id(), book.verified_checksums()), (Some(3), 4));

    take(&mut book, &okx("update", (3, 5), 0, r#"[["99.9","1","0","1"]]"#, "[]"));
    let step = book.on_delta(&okx("update", (9, 12), 0, "[]", "[]").book, &[]);
    assert_eq!(step, DeltaStep::Broken { expected: 5, got: 9 });
    assert!(!book.is_valid() && book.book().is_empty() && book.held_messages() == 0);
    assert_eq!((book.verified_checksums(), book.missing_removals()), (4, 0));
}

/// Each: bids, asks, text that is summed, checksum.
const OKX_CHECKSUMS: [(&str, &str, &str, i32); 3] = [
    (
        r#"[["3366.1","7","0","3"],["3366","6","3","4"]]"#,
        r#"[["3366.8","9","10","3"],["3368","8","3","4"]]"#,
        "3366.1:7:3366.8:9:3366:6:3368:8",
        -1_881_014_294,
    ),
    (
        r#"[["3366.1","7","0","3"]]"#,
        r#"[["3366.8","9","10","3"],["3368","8","3","4"],["3372","8","3","4"]]"#,
        "3366.1:7:3366.8:9:3368:8:3372:8",
        831_078_360,
    ),
    ("[]", r#"[["0.0005","305","0","1"],["0.001","550","0","2"]]"#, "0.0005:305:0.001:550", 971_343_753),
];

#[test]
fn okx_checksums_of_uneven_books() {
    for (bids, asks, text, checksum) in OKX_CHECKSUMS {
        assert_eq!(crc32(text.as_bytes()) as i32, checksum, "{text}");
        let message = okx("snapshot", (-1, 1), i64::from(checksum), bids, asks);
        let mut model = Model::default();
        model.load(&message.bids, &message.asks);
        assert_eq!(model.checksum() as i32, checksum, "{text}");
        let mut book = SyncedBook::new(Chained);
        take(&mut book, &message);
        assert_eq!(book.verified_checksums(), 1, "{text}");
        let other = okx("snapshot", (-1, 1), i64::from(checksum ^ 1), bids, asks);
        let step = book.on_stream_snapshot(&other.book, &other.levels);
        let (given, computed) = ((checksum ^ 1) as u32, checksum as u32);
        assert_eq!(step, StreamSnapshotStep::ChecksumMismatch { given, computed }, "{text}");
        assert!(!book.is_valid() && book.book().is_empty());
    }
}

fn deribit(kind: &str, previous: u64, id: u64, bids: &str, asks: &str) -> Message {
    let previous = if previous == 0 { String::new() } else { format!(r#""prev_change_id":{previous},"#) };
    wire::deribit(&format!(
        r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"book.X.raw","data":{{"type":"{kind}","timestamp":1,{previous}"instrument_name":"X","change_id":{id},"bids":{bids},"asks":{asks}}}}}}}"#
    ))
}

#[test]
fn deribit_changes_name_the_one_before() {
    let bids = r#"[["new",0.0005,153.1]]"#;
    let asks = r#"[["new",0.0015,94.7],["new",0.002,22.0],["new",0.0025,1.0]]"#;
    let snapshot = deribit("snapshot", 0, 33_195_894_164, bids, asks);
    let changes = [
        deribit("change", 33_195_894_164, 33_195_894_355, "[]", r#"[["new",0.001,2.6]]"#),
        deribit("change", 33_195_894_355, 33_195_894_358, "[]", r#"[["delete",0.001,0.0]]"#),
        deribit("change", 33_195_894_358, 33_195_894_526, "[]", r#"[["new",0.001,2.7]]"#),
        deribit("change", 33_195_894_526, 33_195_894_530, "[]", r#"[["delete",0.001,0.0]]"#),
    ];
    let resting = "0.0015×94.7 0.002×22 0.0025×1";
    let with_new = |size: &str| format!("0.001×{size} {resting}");
    let after = [with_new("2.6"), resting.to_owned(), with_new("2.7"), resting.to_owned()];

    let mut book = SyncedBook::new(Chained);
    take(&mut book, &snapshot);
    for (change, asks) in changes.iter().zip(&after) {
        take(&mut book, change);
        assert_shown(&book, "0.0005×153.1", asks);
    }
    assert_eq!(book.last_id(), Some(33_195_894_530));

    // The third is lost.
    let mut book = SyncedBook::new(Chained);
    take(&mut book, &snapshot);
    take(&mut book, &changes[0]);
    take(&mut book, &changes[1]);
    let step = book.on_delta(&changes[3].book, &changes[3].levels);
    assert_eq!(step, DeltaStep::Broken { expected: 33_195_894_358, got: 33_195_894_526 });
}

#[test]
fn deribit_delete_of_a_missing_price_does_nothing_and_is_counted() {
    let mut book = SyncedBook::new(Chained);
    take(&mut book, &deribit("snapshot", 0, 1, r#"[["new",0.0005,153.1]]"#, "[]"));
    let asks = r#"[["delete",0.001,0.0],["change",0.002,1.0]]"#;
    take(&mut book, &deribit("change", 1, 2, r#"[["delete",0.0004,0.0],["new",0.0005,7.0]]"#, asks));
    assert_shown(&book, "0.0005×7", "0.002×1");
    assert_eq!(book.missing_removals(), 2);
}

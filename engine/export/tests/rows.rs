//! Rows, checked by hand.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/gzip.rs"]
mod gzip;

use std::path::Path;

use common::*;
use gzip::lines;
use marketprism_core::record::*;
use marketprism_export::{Format, Request, Summary};

/// A perpetual whose book begins before midnight, is not valid for a while after it, is crossed, and begins anew.
fn write_story(directory: &Path) {
    let mut log = Log::new(directory, [perpetual("BTC")]);
    let at = |seconds: i64| START_NS + seconds * SECOND_NS;
    let book = |log: &mut Log, book: Book, changed: &[(i64, i64)]| {
        log.push(RecordRef::Book(&book, &levels(changed)));
    };
    let hidden = |mut book: Book| {
        book.header.flags |= flag::BOOK_INVALID;
        book
    };
    // A delta that the snapshot contains, the snapshot, and a delta that waited for it.
    book(&mut log, hidden(delta(1, at(1), 99, (1, 0))), &[(590_000, 1)]);
    book(&mut log, snapshot(1, at(3), 100, (1, 1)), &[(600_000, 1000), (600_010, 2500)]);
    book(&mut log, delta(1, at(2), 101, (1, 0)), &[(599_990, 10)]);
    log.push(RecordRef::Trade(&trade(1, at(4), 7)));
    // Midnight is at 10 s.
    book(&mut log, delta(1, at(11), 102, (1, 1)), &[(599_990, 0), (600_020, 3)]);
    // Crossed, and good again.
    book(&mut log, hidden(delta(1, at(12), 103, (1, 0))), &[(600_015, 1)]);
    book(&mut log, delta(1, at(13), 104, (1, 0)), &[(600_015, 0)]);
    // Lost, with other exponents behind.
    log.push(RecordRef::Gap(&gap(1, at(14), Kind::BookDelta)));
    book(&mut log, hidden(delta(1, at(15), 110, (1, 0))), &[(600_000, 2)]);
    let mut fresh = snapshot(1, at(16), 111, (1, 1));
    fresh.header.price_exponent = -2;
    book(&mut log, fresh, &[(6_000_123, 4), (6_000_124, 5)]);
    book(&mut log, snapshot(1, at(17), 112, (1, 0)), &[(600_000, 8)]);
    log.seal();
}

fn exported(format: Format) -> (tempfile::TempDir, Summary) {
    let (log, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_story(log.path());
    let summary =
        run(log.path(), &Request { book_snapshots: vec![2], ..request(format, out.path()) }).unwrap();
    (out, summary)
}

/// Without exchange and symbol.
fn cells(out: &Path, name: &str) -> Vec<String> {
    let lines = lines(&out.join(format!("binance-futures_{name}.csv.gz")));
    lines.into_iter().skip(1).map(|line| line.replace("binance-futures,BTCUSDT,", "")).collect()
}

#[test]
fn books_of_tardis_begin_with_snapshots_and_are_good() {
    let (out, summary) = exported(Format::TardisCsv);
    assert_eq!(
        cells(out.path(), "incremental_book_L2_2024-08-08_BTCUSDT"),
        [
            // The venue's time of the contained delta is the newest that was known.
            "1723161590997000,1723161593000000,true,bid,60000.0,1.000",
            "1723161590997000,1723161593000000,true,ask,60001.0,2.500",
            "1723161591997000,1723161593000000,false,bid,59999.0,0.010",
        ]
    );
    assert_eq!(
        cells(out.path(), "incremental_book_L2_2024-08-09_BTCUSDT"),
        [
            "1723161600000000,1723161600000000,true,bid,60000.0,1.000",
            "1723161600000000,1723161600000000,true,bid,59999.0,0.010",
            "1723161600000000,1723161600000000,true,ask,60001.0,2.500",
            "1723161600997000,1723161601000000,false,bid,59999.0,0",
            "1723161600997000,1723161601000000,false,ask,60002.0,0.003",
            "1723161602997000,1723161603000000,true,bid,60000.0,1.000",
            "1723161602997000,1723161603000000,true,ask,60001.0,2.500",
            "1723161602997000,1723161603000000,true,ask,60002.0,0.003",
            "1723161604997000,1723161606000000,false,bid,60001.23,0",
            "1723161604997000,1723161606000000,true,bid,60001.23,0.004",
            "1723161604997000,1723161606000000,true,ask,60001.24,0.005",
            "1723161604997000,1723161607000000,false,bid,60000.0,0",
            "1723161604997000,1723161607000000,true,bid,60000.0,0.008",
        ]
    );
    assert_eq!(
        cells(out.path(), "book_snapshot_2_2024-08-09_BTCUSDT"),
        [
            "1723161600000000,1723161600000000,60001.0,2.500,60000.0,1.000,,,59999.0,0.010",
            "1723161600997000,1723161601000000,60001.0,2.500,60000.0,1.000,60002.0,0.003,,",
            "1723161602997000,1723161603000000,60001.0,2.500,60000.0,1.000,60002.0,0.003,,",
            "1723161604997000,1723161606000000,60001.24,0.005,60001.23,0.004,,,,",
            "1723161604997000,1723161607000000,,,60000.0,0.008,,,,",
        ]
    );
    assert_eq!(
        cells(out.path(), "gaps_2024-08-09_BTCUSDT"),
        ["1723161604000000,1723161604000000,book_delta,disconnected,1723161603000000,,,,false"]
    );
    assert_eq!(
        cells(out.path(), "trades_2024-08-08_BTCUSDT"),
        ["1723161593997000,1723161594000000,7,sell,60000.7,0.008"]
    );
    assert_eq!(summary.left_out["book_not_valid"], 3);
    assert_eq!((summary.gaps, summary.days), (1, 2));
}

#[test]
fn the_books_before_the_wanted_time_are_known() {
    let (log, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_story(log.path());
    let late = Request { from_ns: MIDNIGHT_NS, ..request(Format::TardisCsv, out.path()) };
    run(log.path(), &late).unwrap();
    let (whole, _) = exported(Format::TardisCsv);
    let name = "incremental_book_L2_2024-08-09_BTCUSDT";
    assert_eq!(cells(out.path(), name), cells(whole.path(), name));
    assert!(files(out.path()).keys().all(|name| !name.contains("2024-08-08")));
}

#[test]
fn one_kind_alone_makes_its_files_and_the_gaps_of_its_stream() {
    let (log, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_story(log.path());
    let trades = Request { kinds: vec![Kind::Trade], ..request(Format::Parquet, out.path()) };
    let summary = run(log.path(), &trades).unwrap();
    assert_eq!((summary.files, summary.rows, summary.gaps), (1, 1, 0));
    let out = tempfile::tempdir().unwrap();
    let books = Request { kinds: vec![Kind::BookDelta], ..request(Format::Parquet, out.path()) };
    let names: Vec<String> = files(out.path()).into_keys().collect();
    assert!(names.is_empty());
    let summary = run(log.path(), &books).unwrap();
    assert_eq!((summary.rows, summary.gaps), (7, 1));
    let folder = "venue=binance/market=usdm/kind=gap/symbol=BTC-USDT-PERP/date=2024-08-09/part-0.parquet";
    assert!(files(out.path()).contains_key(folder));
}

#[test]
fn records_of_undefined_instruments_are_counted_and_not_lost() {
    let log = tempfile::tempdir().unwrap();
    let mut written = Log::new(log.path(), [perpetual("BTC")]);
    for instrument in [1, 7, 8] {
        written.push(RecordRef::Trade(&trade(instrument, START_NS, 5)));
    }
    written.seal();
    for format in [Format::TardisCsv, Format::Hftbacktest] {
        let out = tempfile::tempdir().unwrap();
        let summary = run(log.path(), &request(format, out.path())).unwrap();
        assert_eq!((summary.rows, summary.left_out["instrument_not_defined"]), (1, 2));
    }
    let out = tempfile::tempdir().unwrap();
    let summary = run(log.path(), &request(Format::Parquet, out.path())).unwrap();
    assert_eq!((summary.rows, summary.files, summary.left_out.is_empty()), (3, 3, true));
}

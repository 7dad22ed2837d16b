//! `inspect` and `verify` on logs that are right and on logs that are not.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytemuck::Zeroable;
use marketprism_core::record::*;
use marketprism_core::{Decimal, Instrument};
use marketprism_log::{Appender, BatchBuilder, LogOptions};

fn run(command: &str, directory: &Path, extra: &[&str]) -> (Option<i32>, String, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_marketprism"));
    let Output { status, stdout, stderr } = process.arg(command).arg(directory).args(extra).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn trade(id: u64) -> Trade {
    let mut header = Header::new(Kind::Trade, 1, 1_723_161_255_000_000_000 + id as i64 * 1_000_000);
    header.sequence = id;
    Trade { header, price: 100, quantity: 1, side: 1, ..Trade::zeroed() }
}

fn gap(from_id: u64, to_id: u64) -> Gap {
    Gap {
        header: Header::new(Kind::Gap, 1, 1_723_161_255_000_000_000),
        from_id,
        to_id,
        from_ns: 0,
        stream: Kind::Trade as u8,
        reason: GapReason::Sequence as u8,
        repaired: 0,
        reserved: 0,
        records: (to_id - from_id + 1) as u32,
    }
}

/// A log of three segments with trades `1..=3000` but for those in `missing`; `reported` says so in a gap record.
fn write_log(directory: &Path, missing: std::ops::Range<u64>, reported: bool) -> Vec<PathBuf> {
    let options = LogOptions { sync_directory: false, run_id: 1, ..LogOptions::default() };
    let (mut appender, _) = Appender::open(directory, options).unwrap();
    appender.registry_mut().define(Instrument::unknown("binance", "spot", "BTCUSDT"));
    for segment in 0..3 {
        for part in 0..10 {
            let mut batch = BatchBuilder::new();
            for id in (segment * 10 + part) * 100 + 1..=(segment * 10 + part + 1) * 100 {
                if reported && id == missing.end {
                    batch.push(RecordRef::Gap(&gap(missing.start, missing.end - 1))).unwrap();
                }
                if !missing.contains(&id) {
                    batch.push(RecordRef::Trade(&trade(id))).unwrap();
                }
            }
            appender.append(&mut batch).unwrap();
        }
        if segment < 2 {
            appender.rotate().unwrap();
        }
    }
    appender.seal().unwrap();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    files.sort();
    assert_eq!(files.len(), 3);
    files
}

#[test]
fn a_good_log_is_summarised() {
    let folder = tempfile::tempdir().unwrap();
    write_log(folder.path(), 0..0, false);
    let (code, text, _) = run("verify", folder.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("received 2024-08-08 23:54:15.001000Z to 2024-08-08 23:54:18.000000Z"), "{text}");
    assert!(text.contains("  binance  spot    trade        1    3,000     0\n"), "{text}");
    let last = "No problem found: 3,000 records in 3 segments; nothing is missing in the data.\n";
    assert!(text.ends_with(last), "{text}");

    let (code, text, _) = run("inspect", folder.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("00000000000000001000.seg    1,000"), "{text}");
    assert!(text.contains("sealed") && text.contains("BTCUSDT"), "{text}");
    assert!(text.contains("3,000 records in 3 segments"), "{text}");
}

#[test]
fn json_has_the_agreed_shape() {
    let folder = tempfile::tempdir().unwrap();
    write_log(folder.path(), 500..510, true);
    let (code, text, _) = run("verify", folder.path(), &["--json"]);
    assert_eq!(code, Some(0), "{text}");
    let value: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(value["ok"], true);
    assert_eq!(value["records"], 2991);
    assert_eq!(value["segments"], 3);
    assert_eq!(value["gaps"], 1);
    assert!(value["bytes"].as_u64().unwrap() > 64 * 2990);
    assert_eq!(value["problems"], serde_json::json!([]));
    let stream = &value["streams"][0];
    assert_eq!((&stream["venue"], &stream["market"]), (&"binance".into(), &"spot".into()));
    assert_eq!((&stream["venue_symbol"], &stream["kind"]), (&"BTCUSDT".into(), &"trade".into()));
    assert_eq!((&stream["records"], &stream["gaps"]), (&2990.into(), &1.into()));
    assert_eq!(stream["first_ns"], 1_723_161_255_001_000_000_i64);
    let (_, text, _) = run("inspect", folder.path(), &["--json"]);
    let value: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(value["segments"].as_array().unwrap().len(), 3);
    assert_eq!(value["counts"][0]["records"], 2990);
}

#[test]
fn a_reported_hole_is_no_problem_and_an_unreported_one_is() {
    let folder = tempfile::tempdir().unwrap();
    write_log(folder.path(), 500..510, true);
    let (code, text, _) = run("verify", folder.path(), &[]);
    assert_eq!(code, Some(0));
    assert!(text.ends_with("2,991 records in 3 segments; 1 gap is recorded in the data.\n"), "{text}");

    let folder = tempfile::tempdir().unwrap();
    write_log(folder.path(), 500..510, false);
    let (code, text, _) = run("verify", folder.path(), &[]);
    assert_eq!(code, Some(1));
    let problem = text.lines().find(|line| line.starts_with("problem: ")).unwrap();
    assert!(
        problem.contains("00000000000000000000.seg at byte ") && problem.contains("BTCUSDT"),
        "{problem}"
    );
    assert!(text.lines().last().unwrap().starts_with("1 problem found: 2,990 records"), "{text}");
}

#[test]
fn a_flipped_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let files = write_log(folder.path(), 0..0, false);
    let mut bytes = std::fs::read(&files[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&files[1], bytes).unwrap();
    for command in ["verify", "inspect"] {
        let (code, text, _) = run(command, folder.path(), &[]);
        assert_eq!(code, Some(1), "{command}: {text}");
        assert!(text.contains("problem: 00000000000000001000.seg at byte "), "{command}: {text}");
    }
}

#[test]
fn a_missing_segment_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let files = write_log(folder.path(), 0..0, false);
    std::fs::remove_file(&files[1]).unwrap();
    let (code, text, _) = run("verify", folder.path(), &["--json"]);
    assert_eq!(code, Some(1));
    let value: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(value["ok"], false);
    let problem = &value["problems"][0];
    assert_eq!(problem["file"], "00000000000000002000.seg");
    assert!(problem["what"].as_str().unwrap().contains("1000 to 1999 are missing"), "{problem}");
}

#[test]
fn a_folder_without_a_log_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["verify", "inspect"] {
        let (code, _, said) = run(command, &folder.path().join("none"), &[]);
        assert_eq!(code, Some(2));
        assert!(said.contains("does not exist"), "{said}");
        let (code, _, said) = run(command, folder.path(), &["--json"]);
        assert_eq!(code, Some(2));
        assert!(said.contains("holds no segments"), "{said}");
    }
}

/// A log with one record of each kind that an option, its index and its market can have besides books and tickers.
/// The trades are the venue's detailed ones, of which one is missing without a gap record where `torn`.
fn write_option_log(directory: &Path, torn: bool) {
    let options = LogOptions { sync_directory: false, run_id: 1, ..LogOptions::default() };
    let (mut appender, _) = Appender::open(directory, options).unwrap();
    let instruments = appender.registry_mut();
    instruments.define(Instrument::market("okx", "option"));
    instruments.define(Instrument {
        base: "BTC".into(),
        quote: "BTC".into(),
        multiplier: Some(Decimal::new(1, -2)),
        ..Instrument::unknown("okx", "option", "BTC-USD-261225-100000-C")
    });
    instruments.define(Instrument::unknown("okx", "option", "btc_usd"));
    let header = |kind, instrument| Header::new(kind, instrument, 1_723_161_255_000_000_000);
    let detailed = |sequence| {
        let header = Header { sequence, ..header(Kind::DetailedTrade, 2) };
        let trade = Trade { header, price: 5, quantity: 1, ..Trade::zeroed() };
        DetailedTrade { trade, ..DetailedTrade::zeroed() }
    };
    let mut batch = BatchBuilder::new();
    for record in [
        RecordRef::DetailedTrade(&detailed(7)),
        RecordRef::DetailedTrade(&detailed(if torn { 9 } else { 8 })),
        RecordRef::Greeks(&Greeks { header: header(Kind::Greeks, 2), ..Greeks::zeroed() }),
        RecordRef::VolatilityIndex(&VolatilityIndex {
            header: header(Kind::VolatilityIndex, 3),
            ..VolatilityIndex::zeroed()
        }),
        RecordRef::ClockSample(&ClockSample {
            header: header(Kind::ClockSample, 1),
            ..ClockSample::zeroed()
        }),
    ] {
        batch.push(record).unwrap();
    }
    appender.append(&mut batch).unwrap();
    appender.seal().unwrap();
}

#[test]
fn detailed_trades_are_trades_and_every_kind_has_a_name() {
    let folder = tempfile::tempdir().unwrap();
    write_option_log(folder.path(), false);
    let (code, text, _) = run("verify", folder.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    for row in [
        "  okx    option  trade                   1        2     0\n",
        "  okx    option  greeks                  1        1     0\n",
        "  okx    option  volatility_index        1        1     0\n",
        "  okx    option  clock_sample            1        1     0\n",
        "BTC-USD-261225-100000-C  trade                   2     0  2024-08-08",
        "  okx    option  -                        clock_sample            1     0  2024-08-08",
    ] {
        assert!(text.contains(row), "{row}\n{text}");
    }
    assert!(!text.contains("detailed"), "{text}");

    let (_, text, _) = run("inspect", folder.path(), &[]);
    assert!(text.contains("  okx    option  trade                   2\n"), "{text}");
    assert!(text.contains("  0.01 BTC\n"), "{text}");
    let (_, text, _) = run("inspect", folder.path(), &["--json"]);
    let value: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let counts = value["counts"].as_array().unwrap().iter();
    let counts: Vec<_> = counts.map(|count| (count["kind"].as_str().unwrap(), &count["records"])).collect();
    let (one, two) = (&1.into(), &2.into());
    assert_eq!(counts, [("trade", two), ("greeks", one), ("volatility_index", one), ("clock_sample", one)]);

    let folder = tempfile::tempdir().unwrap();
    write_option_log(folder.path(), true);
    let (code, text, _) = run("verify", folder.path(), &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("problem: ") && text.contains("BTC-USD-261225-100000-C"), "{text}");
}

#[test]
fn books_without_ids_are_not_called_complete() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { sync_directory: false, run_id: 1, ..LogOptions::default() };
    let (mut appender, _) = Appender::open(folder.path(), options).unwrap();
    appender.registry_mut().define(Instrument::unknown("okx", "spot", "BTC-USDT"));
    let mut batch = BatchBuilder::new();
    for kind in [Kind::BookSnapshot, Kind::BookDelta, Kind::BookDelta] {
        let mut header = Header::new(kind, 1, 1_723_161_255_000_000_000);
        header.flags = if kind == Kind::BookSnapshot { flag::SNAPSHOT } else { 0 };
        let book = Book { header, previous_id: ABSENT, bid_levels: 1, ..Book::zeroed() };
        batch.push(RecordRef::Book(&book, &[Level { price: 5, quantity: 1 }])).unwrap();
    }
    appender.append(&mut batch).unwrap();
    appender.seal().unwrap();
    let (code, text, _) = run("verify", folder.path(), &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("2 book deltas carry no ids: whether one is missing between them cannot be told"),
        "{text}"
    );
}

#[test]
fn the_coverage_of_a_log() {
    let folder = tempfile::tempdir().unwrap();
    write_log(folder.path(), 500..510, true);
    let (code, text, _) = run("inspect", folder.path(), &["--coverage"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("BTCUSDT  trade    2,990   2,990  100.00      1           10"), "{text}");
    assert!(
        text.contains("2,990 are proven contiguous by their ids") && text.contains("1 hole with 10 ids"),
        "{text}"
    );
    assert!(text.contains("Recomputed, since none is stored: 00000000000000000000.seg, "), "{text}");

    let (_, text, _) = run("inspect", folder.path(), &["--coverage", "--json"]);
    let value: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let stream = &value["streams"][0];
    assert_eq!((&stream["proven"], &stream["proven_percent"]), (&2990.into(), &"100.00".into()));
    let hole = &stream["exceptions"][0];
    assert_eq!((&hole["status"], &hole["reason"]), (&"missing".into(), &"sequence".into()));
    assert_eq!((&hole["first_id"], &hole["last_id"]), (&"500".into(), &"509".into()));
    let (_, text, _) = run("verify", folder.path(), &["--json"]);
    let verified: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(verified["coverage"], value["streams"]);
    assert_eq!(verified["segments_without_coverage"], value["recomputed"]);
    let (_, text, _) = run("verify", folder.path(), &[]);
    assert!(text.contains("1 hole with 10 ids") && text.contains("No coverage is stored in 0000"), "{text}");
}

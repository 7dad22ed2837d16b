//! `replay`: order, determinism and speed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::Path;

use marketprism_core::record::RecordRef;
use marketprism_log::{Appender, BatchBuilder, LogOptions, LogReader, Selection, compact};
use marketprism_runtime::Threads;
use serde_json::Value;

use super::common_e2e::{ALL_CHANNELS, Local, folder, generated, process};
use super::support::{open_log, rows, run, segments, trade, trade_ns, write_log};

/// What a replay that succeeds prints.
fn replayed(directory: &std::path::Path, extra: &[&str]) -> String {
    let (code, text, said) = run("replay", directory, extra);
    assert_eq!(code, Some(0), "{said}");
    text
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Receive time and capture sequence of each line.
fn places(text: &str) -> Vec<(i64, u64)> {
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| (row["receive_ns"].as_i64().unwrap(), row["sequence"].as_u64().unwrap())).collect()
}

#[test]
fn a_recorded_log_replays_in_order_and_twice_the_same() {
    let threads = Threads { io: 2, normalisers: 2, ..Threads::default() };
    let mut local = Local::start(generated(5, 3, 3000), &ALL_CHANNELS, threads);
    local.feed();
    process::wait_for_more(&local.simulator, 3000);
    local.finish();
    let first = replayed(&local.data, &[]);
    assert_eq!(hash(&first), hash(&replayed(&local.data, &["--format", "json"])));
    assert_eq!(hash(&first), hash(&replayed(&local.data, &["--speed", "1000"])));
    let printed = places(&first);
    assert!(printed.is_sorted(), "out of order");
    let mut sequences: Vec<u64> = printed.iter().map(|(_, sequence)| *sequence).collect();
    sequences.sort_unstable();
    assert!(sequences.iter().copied().eq(0..sequences.len() as u64), "a record is missing or came twice");
    assert_eq!(sequences.len(), local.stored().len());
}

#[test]
fn records_that_threads_wrote_out_of_order_are_put_in_order() {
    let folder = folder();
    let mut appender = open_log(folder.path());
    let mut batch = BatchBuilder::new();
    for id in [10, 12, 11, 900, 20, 3000, 13] {
        batch.push(RecordRef::Trade(&trade(1, id))).unwrap();
    }
    appender.append(&mut batch).unwrap();
    let text = replayed(folder.path(), &[]);
    let order = [10, 11, 12, 20, 900, 13, 3000].map(trade_ns);
    // Number 13 is later than any recorder writes: it cannot stand before what was printed already.
    assert_eq!(places(&text).iter().map(|(receive_ns, _)| *receive_ns).collect::<Vec<_>>(), order);
}

#[test]
fn filters_are_those_of_query() {
    let folder = folder();
    write_log(folder.path());
    let filter = [
        "--venue",
        "okx",
        "--kind",
        "trade",
        "--from",
        "2024-08-08T23:54:16Z",
        "--to",
        "2024-08-08T23:54:17Z",
    ];
    let lines: Vec<Value> =
        replayed(folder.path(), &filter).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, rows(folder.path(), &filter));
    assert_eq!(lines.len(), 333);
    let seek = replayed(folder.path(), &["--seek", &trade_ns(2990).to_string()]);
    assert_eq!(seek.lines().count(), 11);
}

#[test]
fn pace_changes_nothing_but_the_time() {
    let folder = folder();
    write_log(folder.path());
    let fast = replayed(folder.path(), &[]);
    assert_eq!(fast.lines().count(), 3003);
    assert_eq!(hash(&fast), hash(&replayed(folder.path(), &["--speed", "1000"])));
    // At its own pace, the last 20 ms of it.
    let last = ["--from", &trade_ns(2980).to_string(), "--speed", "1"].map(str::to_owned);
    assert_eq!(places(&replayed(folder.path(), &last.each_ref().map(String::as_str))), places(&fast)[2982..]);
    for speed in ["0", "slow"] {
        assert_eq!(run("replay", folder.path(), &["--speed", speed]).0, Some(2));
    }
}

/// Writes the records of a log to another in batches of so many.
fn write_in_batches(from: &Path, to: &Path, size: u32) {
    let options = LogOptions { sync_directory: false, run_id: 2, ..LogOptions::default() };
    let (mut appender, _) = Appender::open(to, options).unwrap();
    let reader = LogReader::open(from).unwrap();
    for instrument in reader.registry().unwrap().all() {
        let (id, _) = appender.registry_mut().define(instrument.clone());
        assert_eq!(id, instrument.id);
    }
    let mut batch = BatchBuilder::new();
    reader
        .for_each(&Selection::default(), |_, record, _| {
            batch.push(record).unwrap();
            if batch.records() == size {
                appender.append(&mut batch).unwrap();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    appender.append(&mut batch).unwrap();
    appender.seal().unwrap();
}

/// Demands that a log replays the same whatever its form is.
fn assert_form_does_not_matter(directory: &Path) {
    let first = replayed(directory, &[]);
    assert_eq!(hash(&first), hash(&replayed(directory, &[])));
    for size in [1, 7, 1000] {
        let folder = folder();
        write_in_batches(directory, folder.path(), size);
        assert_eq!(hash(&first), hash(&replayed(folder.path(), &[])), "batches of {size}");
    }
    let compactions =
        segments(directory).iter().filter_map(|path| compact::compact(path, || true).unwrap()).count();
    assert!(compactions > 0, "nothing was compacted");
    assert_eq!(hash(&first), hash(&replayed(directory, &[])), "after compaction");
}

#[test]
fn batches_and_compaction_change_nothing_for_two_venues() {
    let folder = folder();
    write_log(folder.path());
    assert_form_does_not_matter(folder.path());
}

#[test]
fn batches_and_compaction_change_nothing_for_a_recorded_log() {
    let threads = Threads { io: 2, normalisers: 2, ..Threads::default() };
    let mut local = Local::start(generated(6, 2, 3000), &ALL_CHANNELS, threads);
    local.feed();
    process::wait_for_more(&local.simulator, 3000);
    local.finish();
    assert_form_does_not_matter(&local.data);
}

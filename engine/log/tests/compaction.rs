//! Compressed segments: the same records bit for bit, whatever happens on the way.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::*;
use marketprism_core::record::*;
use marketprism_log::format::{Codec, FileHeader};
use marketprism_log::*;
use proptest::prelude::*;

/// A record: capture sequence, then head and body.
type Kept = (u64, (Vec<u8>, Vec<u8>));

/// All records by capture sequence, without what is the batch's own.
fn contents(directory: &Path, selection: &Selection) -> Vec<Kept> {
    let mut found = Vec::new();
    let report = LogReader::open(directory).unwrap().for_each(selection, |sequence, record, _| {
        found.push((sequence, comparable(record)));
        ControlFlow::Continue(())
    });
    assert_eq!(report.unwrap().problems, []);
    found
}

fn everything(directory: &Path) -> Vec<Kept> {
    contents(directory, &Selection::default())
}

/// One sealed segment of `batches` batches with a hundred trades each, and an open one behind it.
fn trades_log(directory: &Path, batches: u64) -> PathBuf {
    let mut appender = appender(directory);
    for start in 0..batches {
        appender.append(&mut trades(start * 100 + 1, start * 100 + 101)).unwrap();
    }
    appender.rotate().unwrap();
    segments(directory)[0].clone()
}

fn codecs(path: &Path) -> Vec<u8> {
    let segment = Segment::map(path).unwrap();
    let mut batches = segment.batches();
    std::iter::from_fn(|| Some(batches.next_batch()?.unwrap().header().codec)).collect()
}

fn file_names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_record_is_the_same_bit_for_bit(
        parts in prop::collection::vec((0..Kind::ALL.len(), any::<[u8; 32]>(), 0..40u16), 1..120),
        per_batch in 1..30usize,
    ) {
        let directory = temporary();
        let mut appender = appender(directory.path());
        for parts in parts.chunks(per_batch) {
            let mut batch = BatchBuilder::new();
            for (kind, seed, extra) in parts {
                let lines = record_lines(Kind::ALL[*kind], *seed, *extra);
                batch.push(RecordRef::read(&lines).unwrap().0).unwrap();
            }
            appender.append(&mut batch).unwrap();
        }
        appender.seal().unwrap();
        let path = &segments(directory.path())[0];
        let (before, verified) = (everything(directory.path()), verify(directory.path()).unwrap());
        prop_assert!(compact(path, || true).unwrap().is_some());
        prop_assert_eq!(before, everything(directory.path()));
        let after = verify(directory.path()).unwrap();
        prop_assert_eq!((verified.records, verified.streams), (after.records, after.streams));
    }
}

#[test]
fn a_segment_is_smaller_and_says_the_same() {
    let directory = temporary();
    let path = trades_log(directory.path(), 300);
    let before = everything(directory.path());
    let old = fs::read(&path).unwrap();
    let inspected = inspect::inspect(directory.path()).unwrap();
    let compaction = compact(&path, || true).unwrap().unwrap();

    assert_eq!(compaction.bytes_before, old.len() as u64);
    assert_eq!(compaction.bytes_after, fs::metadata(&path).unwrap().len());
    assert!(compaction.bytes_after * 4 < compaction.bytes_before, "{compaction:?}");
    let codecs = codecs(&path);
    assert_eq!(codecs, [Codec::Zstd as u8, Codec::Clustered as u8]);
    assert_eq!(everything(directory.path()), before);
    let header = FileHeader::read(&old).unwrap();
    assert_eq!(Segment::map(&path).unwrap().header().unwrap(), &header);
    let verification = verify(directory.path()).unwrap();
    assert!(verification.ok, "{:?}", verification.problems);
    let now = inspect::inspect(directory.path()).unwrap();
    assert_eq!((now.records, now.instruments, now.problems), (30_000, inspected.instruments, vec![]));
    assert_eq!(now.segments[0].kinds, inspected.segments[0].kinds);

    for (from, end) in [(0, 1), (9_999, 20_001), (29_999, 30_000), (30_000, 40_000)] {
        let selection = Selection { from_sequence: from, end_sequence: end, ..Selection::default() };
        let expected: Vec<_> = before.iter().filter(|(at, _)| (from..end).contains(at)).cloned().collect();
        assert_eq!(contents(directory.path(), &selection), expected, "{from}..{end}");
    }
    let stream = (1, Kind::Trade);
    let ends = stream_ends(directory.path(), &HashSet::from([stream]), u64::MAX).unwrap();
    assert_eq!(ends[&stream].last_id, 30_000);
}

#[test]
fn what_is_compressed_is_left_alone() {
    let directory = temporary();
    let path = trades_log(directory.path(), 3);
    compact(&path, || true).unwrap().unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(compact(&path, || true).unwrap(), None);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_segment_that_is_open_or_empty_is_left_alone() {
    let directory = temporary();
    let mut appender = appender(directory.path());
    appender.append(&mut trades(1, 9)).unwrap();
    let path = &segments(directory.path())[0];
    assert_eq!(compact(path, || true).unwrap(), None);
    appender.rotate().unwrap();
    appender.seal().unwrap();
    let empty = &segments(directory.path())[1];
    assert!(Segment::map(empty).unwrap().is_sealed());
    assert_eq!(compact(empty, || true).unwrap(), None);
    assert!(compact(path, || true).unwrap().is_some());
}

#[test]
fn a_damaged_segment_is_left_as_it_is() {
    let directory = temporary();
    let path = trades_log(directory.path(), 3);
    let bytes = fs::read(&path).unwrap();
    let names = file_names(directory.path());
    let batch = offsets(&path)[2] as usize;
    // The file header, the dictionary, a batch's header and body, the footer.
    for at in [9, 70, batch + 30, batch + 100, bytes.len() - 100] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let error = compact(&path, || true).unwrap_err();
        assert!(matches!(error, LogError::NotCompacted { .. }), "byte {at}: {error}");
        assert!(error.to_string().contains("00000000000000000000.seg is left as it is: "), "{error}");
        assert_eq!(fs::read(&path).unwrap(), damaged);
        assert_eq!(file_names(directory.path()), names);
    }
}

#[test]
fn batches_that_are_missing_are_not_papered_over() {
    let directory = temporary();
    let path = trades_log(directory.path(), 3);
    let offsets = offsets(&path);
    let mut bytes = fs::read(&path).unwrap();
    // The third batch in the place of the second.
    let (second, third) = (offsets[2] as usize, offsets[3] as usize);
    bytes.copy_within(third..third + (third - second), second);
    fs::write(&path, &bytes).unwrap();
    let error = compact(&path, || true).unwrap_err().to_string();
    assert!(error.contains(&format!("the batch at byte {second} is out of order")), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn stopping_at_any_moment_leaves_the_segment_as_it_was() {
    let directory = temporary();
    let path = trades_log(directory.path(), 5);
    let bytes = fs::read(&path).unwrap();
    let names = file_names(directory.path());
    for allowed in 0.. {
        let asked = Cell::new(0);
        let go_on = || asked.replace(asked.get() + 1) < allowed;
        if compact(&path, go_on).unwrap().is_some() {
            assert!(allowed > 10, "it was asked {allowed} times only");
            break;
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "stopped at question {allowed}");
        assert_eq!(file_names(directory.path()), names);
    }
    assert_eq!(file_names(directory.path()), names);
    assert!(verify(directory.path()).unwrap().ok);
}

#[test]
fn a_full_file_system_leaves_the_segment_as_it_was() {
    let directory = temporary();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(directory.path())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no permission to mount a tmpfs");
        return;
    }
    let log = directory.path().join("log");
    let path = trades_log(&log, 100);
    let (bytes, names) = (fs::read(&path).unwrap(), file_names(&log));
    let ballast = directory.path().join("ballast");
    // The write that finds no room leaves none.
    fs::write(&ballast, vec![1; 2 << 20]).unwrap_err();
    let error = compact(&path, || true).unwrap_err();
    let after = (fs::read(&path).unwrap(), file_names(&log));
    fs::remove_file(&ballast).unwrap();
    let compacted = compact(&path, || true);
    let unmounted = std::process::Command::new("umount").arg(directory.path()).status();
    assert!(unmounted.unwrap().success());
    assert!(error.is_full(), "{error}");
    assert_eq!(after, (bytes, names));
    assert!(compacted.unwrap().is_some());
}

/// A crash leaves the old segment with any beginning of the new file beside it, or the new segment.
#[test]
fn a_crash_at_any_moment_costs_nothing() {
    let origin = temporary();
    let path = trades_log(origin.path(), 2);
    let old = fs::read(&path).unwrap();
    compact(&path, || true).unwrap().unwrap();
    let new = fs::read(&path).unwrap();
    let name = path.file_name().unwrap();
    let lengths = (0..=new.len()).step_by(97).chain([new.len()]);
    let left_overs = lengths.map(|length| (&old, Some(&new[..length])));
    for (segment, left_over) in left_overs.chain([(&new, None)]) {
        let directory = temporary();
        fs::write(directory.path().join(name), segment).unwrap();
        let temporary_file = directory.path().join("00000000000000000000.seg.tmp");
        if let Some(bytes) = left_over {
            fs::write(&temporary_file, bytes).unwrap();
        }
        assert_eq!(everything(directory.path()).len(), 200);
        assert!(verify(directory.path()).unwrap().ok);

        let (mut appender, recovery) = Appender::open(directory.path(), options()).unwrap();
        assert!(!temporary_file.exists());
        assert_eq!((recovery.cuts, recovery.lost_sequences, recovery.instruments), (vec![], 0, 3));
        assert_eq!(appender.next_sequence(), 200);
        appender.append(&mut trades(201, 202)).unwrap();
        compact(&directory.path().join(name), || true).unwrap();
        assert_eq!(read_ids(directory.path()).0, (1..202).collect::<Vec<_>>());
        assert!(verify(directory.path()).unwrap().ok);
    }
}

#[test]
fn a_left_over_under_the_same_name_is_written_over() {
    let directory = temporary();
    let path = trades_log(directory.path(), 2);
    fs::write(directory.path().join("00000000000000000000.seg.tmp"), vec![7; 1 << 20]).unwrap();
    compact(&path, || true).unwrap().unwrap();
    assert!(verify(directory.path()).unwrap().ok);
    assert_eq!(file_names(directory.path()).len(), 3);
}

#[test]
fn a_reader_of_the_old_file_is_not_disturbed() {
    let directory = temporary();
    let path = trades_log(directory.path(), 10);
    let old = Segment::map(&path).unwrap();
    let mut batches = old.batches();
    let mut ids = Vec::new();
    for round in 0.. {
        let Some(batch) = batches.next_batch() else { break };
        ids.extend(batch.unwrap().records().filter_map(|(_, record)| Some(record.trade()?.header.sequence)));
        if round == 4 {
            compact(&path, || true).unwrap().unwrap();
        }
    }
    assert_eq!(ids, (1..1001).collect::<Vec<_>>());
}

#[test]
fn a_segment_removed_meanwhile_stays_removed() {
    let directory = temporary();
    let path = trades_log(directory.path(), 2);
    let remove = || {
        let _ = fs::remove_file(&path);
        true
    };
    assert_eq!(compact(&path, remove).unwrap(), None);
    assert_eq!(compact(&path, || true).unwrap(), None);
    assert_eq!(segments(directory.path()).len(), 1);
}

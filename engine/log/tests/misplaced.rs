//! Whole segments that are not where they belong, and segments cut off anywhere: found, located, and the rest is read.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::*;
use marketprism_log::*;

/// Records of a segment.
const RECORDS: u64 = 20;

/// A log of sealed segments of two batches with ten trades each, ids from 1 on.
fn log(directory: &Path, run_id: u64, sealed: u64) -> Vec<PathBuf> {
    let (mut appender, _) = Appender::open(directory, LogOptions { run_id, ..options() }).unwrap();
    define(&mut appender);
    for _ in 0..sealed {
        for _ in 0..2 {
            let first = appender.next_sequence() + 1;
            appender.append(&mut trades(first, first + 10)).unwrap();
        }
        appender.seal().unwrap();
    }
    segments(directory)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Capture sequences in the order in which they are read.
fn sequences(directory: &Path) -> Vec<u64> {
    let mut sequences = Vec::new();
    let read = LogReader::open(directory).unwrap().for_each(&Selection::default(), |sequence, _, _| {
        sequences.push(sequence);
        ControlFlow::Continue(())
    });
    read.unwrap();
    sequences
}

/// Demands a problem in a file with these words, and that nothing else is read than these sequences.
#[track_caller]
fn found(directory: &Path, file: &str, what: &str, expected: impl Iterator<Item = u64>) {
    let verification = verify(directory).unwrap();
    let is_it = |problem: &Problem| problem.file == file && problem.what.contains(what);
    assert!(verification.problems.iter().any(is_it), "no {what:?} in {file}: {:#?}", verification.problems);
    let mut read = sequences(directory);
    read.sort_unstable();
    assert_eq!(read, expected.collect::<Vec<_>>());
}

#[test]
fn two_segments_with_each_others_names() {
    for (one, other) in [(0, 1), (0, 3), (1, 2), (2, 3)] {
        let directory = temporary();
        let paths = log(directory.path(), 1, 4);
        let aside = directory.path().join("aside");
        fs::rename(&paths[one], &aside).unwrap();
        fs::rename(&paths[other], &paths[one]).unwrap();
        fs::rename(&aside, &paths[other]).unwrap();
        for (at, holds) in [(one, other), (other, one)] {
            let what = format!("the header says that it begins with sequence {}", holds as u64 * RECORDS);
            found(directory.path(), &name(&paths[at]), &what, 0..4 * RECORDS);
        }
    }
}

#[test]
fn a_missing_segment_in_the_middle() {
    for gone in 1..3 {
        let directory = temporary();
        let paths = log(directory.path(), 1, 4);
        fs::remove_file(&paths[gone]).unwrap();
        let lost = gone as u64 * RECORDS..(gone as u64 + 1) * RECORDS;
        let what =
            format!("capture sequences {} to {} are missing: {RECORDS} records", lost.start, lost.end - 1);
        let rest = (0..4 * RECORDS).filter(|sequence| !lost.contains(sequence));
        found(directory.path(), &name(&paths[gone + 1]), &what, rest);
    }
}

#[test]
fn a_segment_that_is_there_twice_is_read_once() {
    for (copied, at) in [(0, 5), (1, 25), (1, 70), (1, 1000), (3, 10)] {
        let directory = temporary();
        let paths = log(directory.path(), 1, 4);
        let copy = directory.path().join(format::segment_name(at));
        fs::copy(&paths[copied], &copy).unwrap();
        let what = format!("the header says that it begins with sequence {}", copied as u64 * RECORDS);
        found(directory.path(), &name(&copy), &what, 0..4 * RECORDS);
        assert_eq!(verify(directory.path()).unwrap().records, 4 * RECORDS, "nothing is counted twice");
    }
}

#[test]
fn a_segment_of_another_log() {
    let foreign = temporary();
    let foreign_paths = log(foreign.path(), 77, 8);
    // Behind the end, with a hole before it.
    let directory = temporary();
    log(directory.path(), 1, 4);
    let place = directory.path().join(name(&foreign_paths[6]));
    fs::copy(&foreign_paths[6], &place).unwrap();
    let what = "capture sequences 80 to 119 are missing: 40 records";
    found(directory.path(), &name(&place), what, (0..80).chain(120..140));
    // In the place of an own one, with the same sequences.
    let directory = temporary();
    let paths = log(directory.path(), 1, 4);
    fs::copy(&foreign_paths[1], &paths[1]).unwrap();
    let what = "run 1 wrote before and after run 77: one of these segments is of another log";
    found(directory.path(), &name(&paths[2]), what, 0..80);
}

#[test]
fn runs_that_follow_each_other_are_one_log() {
    let directory = temporary();
    for run_id in [5, 3, 9] {
        log(directory.path(), run_id, 2);
    }
    let verification = verify(directory.path()).unwrap();
    assert!(verification.ok, "{:?}", verification.problems);
}

#[test]
fn a_segment_cut_off_anywhere() {
    let directory = temporary();
    let paths = log(directory.path(), 1, 3);
    for compressed in [false, true] {
        assert_eq!(compressed, compressed && compact(&paths[1], || true).unwrap().is_some());
        let whole = fs::read(&paths[1]).unwrap();
        let end_of_batches = Segment::map(&paths[1]).unwrap().footer().unwrap().unwrap().offset as usize;
        for length in 0..whole.len() {
            fs::write(&paths[1], &whole[..length]).unwrap();
            let verification = verify(directory.path()).unwrap();
            // Without its footer or its trailer it is the segment of a writer that was killed, and holds everything.
            let is_whole = length == end_of_batches || length == whole.len() - size_of::<format::Trailer>();
            assert_eq!(verification.ok, is_whole, "cut to {length} bytes: {verification:?}");
            let named = [name(&paths[1]), name(&paths[2])];
            assert!(verification.problems.iter().all(|problem| named.contains(&problem.file)));
            assert!(verification.records >= 2 * RECORDS);
            let is_everything = verification.records == 3 * RECORDS;
            assert_eq!(is_everything, length >= end_of_batches, "cut to {length} bytes");
            let hole =
                |what: &str| what.starts_with("capture sequences") && what.contains("to 39 are missing");
            assert_eq!(texts(&verification).into_iter().any(hole), !is_everything);
        }
        fs::write(&paths[1], whole).unwrap();
    }
}

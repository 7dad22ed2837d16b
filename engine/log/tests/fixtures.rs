//! Segments of format version 2 that were made once: this version stays readable, here and by `reader.py`.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::kinds::*;
use common::*;
use marketprism_core::json::write_record;
use marketprism_core::record::*;
use marketprism_log::format::Codec;
use marketprism_log::*;

/// The folder of the fixtures: `live` is a log of a sealed segment and one that was cut in the middle of a batch,
/// `compacted` has the first of them compressed and `clustered` the same with clusters, `records.jsonl` holds what is in `live`.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v2")
}

/// Makes the fixtures again: `cargo test -p marketprism-log --test fixtures -- --ignored`. Only for a new version, in a folder of
/// its own: those of an old one are never changed.
#[test]
#[ignore = "writes the fixtures"]
fn make() {
    let (live, clustered) = (fixtures().join("live"), fixtures().join("clustered"));
    assert!(!fixtures().exists(), "fixtures are not written over");
    let mut appender = appender(&live);
    let mut batch = BatchBuilder::new();
    for records in [notes_of_all_kinds, trades_of_all_kinds, books_of_all_kinds, statistics_of_all_kinds] {
        records(&mut |record| batch.push(record).unwrap());
        appender.append(&mut batch).unwrap();
    }
    appender.rotate().unwrap();
    for records in [books_of_all_kinds, trades_of_all_kinds] {
        records(&mut |record| batch.push(record).unwrap());
        appender.append(&mut batch).unwrap();
    }
    drop(appender);
    let files = segments(&live);
    make_clustered(&files[0], &clustered);
    let torn = fs::read(&files[1]).unwrap();
    fs::write(&files[1], &torn[..torn.len() - 100]).unwrap();
    fs::remove_file(live.join("LOCK")).unwrap();
    fs::write(fixtures().join("records.jsonl"), lines(&live).join("\n") + "\n").unwrap();
}

fn make_clustered(segment: &Path, clustered: &Path) {
    fs::create_dir(clustered).unwrap();
    let copy = clustered.join(segment.file_name().unwrap());
    fs::copy(segment, &copy).unwrap();
    compact(&copy, || true).unwrap().unwrap();
}

/// Makes what came later to the fixtures of version 2.
#[test]
#[ignore = "writes a fixture"]
fn make_clustered_only() {
    make_clustered(&segments(&fixtures().join("live"))[0], &fixtures().join("clustered"));
}

/// All records as JSON.
fn lines(directory: &Path) -> Vec<String> {
    let mut out = Vec::new();
    let unnamed = marketprism_core::Instrument::default();
    let report =
        LogReader::open(directory).unwrap().for_each(&Selection::default(), |sequence, record, registry| {
            let instrument = registry.get(record.header().instrument).unwrap_or(&unnamed);
            write_record(&mut out, record, instrument, sequence);
            ControlFlow::Continue(())
        });
    assert_eq!(report.unwrap().problems, []);
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

fn expected() -> Vec<String> {
    let text = fs::read_to_string(fixtures().join("records.jsonl")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn this_version_stays_readable() {
    let live = fixtures().join("live");
    let expected = expected();
    assert_eq!(lines(&live), expected);

    let mut kinds = HashSet::new();
    let reader = LogReader::open(&live).unwrap();
    let all = reader.for_each(&Selection::default(), |_, record, _| {
        kinds.insert(record.kind().unwrap());
        ControlFlow::Continue(())
    });
    assert_eq!((all.unwrap().records, kinds.len()), (29, Kind::ALL.len()));
    let mapped: Vec<Segment> = reader.segments().iter().map(|path| Segment::map(path).unwrap()).collect();
    assert!(mapped[0].is_sealed() && !mapped[1].is_sealed() && mapped[1].torn_bytes() > 0);
    for (name, codec) in [("compacted", Codec::Zstd), ("clustered", Codec::Clustered)] {
        assert_eq!(lines(&fixtures().join(name)), expected[..24]);
        let segment = Segment::map(&segments(&fixtures().join(name))[0]).unwrap();
        let mut batches = segment.batches();
        batches.next_batch().unwrap().unwrap();
        while let Some(batch) = batches.next_batch() {
            assert_eq!(batch.unwrap().header().codec, codec as u8);
        }
    }
}

/// Whether Python can do something.
fn python(code: &str) -> bool {
    Command::new("python3").args(["-c", code]).output().is_ok_and(|output| output.status.success())
}

/// The exit code of the independent reader, and the objects that it prints.
fn read_by_the_document(files: &[PathBuf]) -> (Option<i32>, Vec<serde_json::Value>, String) {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader.py");
    let output = Command::new("python3").arg("-B").arg(reader).args(files).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let objects = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code(), objects, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_made_from_the_document_reads_the_same() {
    if !python("pass") {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "there is no python3");
        eprintln!("skipped: there is no python3");
        return;
    }
    let expected: Vec<serde_json::Value> =
        expected().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let live = segments(&fixtures().join("live"));
    let (code, found, said) = read_by_the_document(&live);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());

    if !python("import shutil, sys; shutil.which('zstd') or __import__('zstandard')") {
        eprintln!("compressed batches are left out: there is neither zstd nor python3's zstandard");
        return;
    }
    for name in ["compacted", "clustered"] {
        let (code, found, said) = read_by_the_document(&segments(&fixtures().join(name)));
        assert_eq!((code, said.as_str()), (Some(0), ""), "{name}");
        assert_eq!(found, expected[..24], "{name}");
    }
}

#[test]
fn the_reader_made_from_the_document_notices_damage() {
    if !python("pass") {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "there is no python3");
        eprintln!("skipped: there is no python3");
        return;
    }
    let directory = temporary();
    let origin = &segments(&fixtures().join("live"))[0];
    let bytes = fs::read(origin).unwrap();
    let copy = directory.path().join(origin.file_name().unwrap());
    // The file header, a batch's header and body, the trailer's checksum.
    let batch = offsets(origin)[1] as usize;
    for at in [20, batch + 20, batch + 100, bytes.len() - 2] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&copy, damaged).unwrap();
        let (_, found, said) = read_by_the_document(std::slice::from_ref(&copy));
        let trailer_only = at == bytes.len() - 2;
        // Without its trailer a segment is one that was not sealed.
        assert_eq!(said.is_empty(), trailer_only, "byte {at}: {said}");
        assert_eq!(found.len() == 24, trailer_only, "byte {at}");
    }
}

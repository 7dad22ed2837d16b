//! Exports that are broken off, gone on with, and bounded in memory.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/gzip.rs"]
mod gzip;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use common::*;
use gzip::lines;
use marketprism_export::{ExportError, Format, MANIFEST_NAME, Manifest, Request};

const DAY_NS: i64 = 86_400 * SECOND_NS;

/// The last seconds of a day and three more, of a few instruments.
fn write_days(directory: &Path, instruments: usize, records: u64) {
    write_span(directory, instruments, records, 3 * DAY_NS);
}

fn write_span(directory: &Path, instruments: usize, records: u64, span_ns: i64) {
    let names = (0..instruments).map(|number| perpetual(&format!("C{number}")));
    let mut log = Log::new(directory, names);
    let mut ids = vec![0; instruments];
    market_hours(&mut log, &mut ids, START_NS, span_ns / records as i64, records);
    log.seal();
}

fn manifest(out: &Path) -> Manifest {
    serde_json::from_slice(&std::fs::read(out.join(MANIFEST_NAME)).unwrap()).unwrap()
}

/// The files of an export that nothing disturbs.
fn undisturbed(log: &Path, format: Format) -> BTreeMap<String, Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    let summary = run(log, &request(format, out.path())).unwrap();
    assert_eq!((summary.days, summary.days_kept), (4, 0));
    assert!(summary.rows > 0 && summary.gaps > 0, "{summary:?}");
    files(out.path())
}

#[test]
fn a_run_that_was_broken_off_ends_with_the_same_bytes() {
    let log = tempfile::tempdir().unwrap();
    write_days(log.path(), 7, 150_000);
    for format in FORMATS {
        let expected = undisturbed(log.path(), format);
        let out = tempfile::tempdir().unwrap();
        let request = request(format, out.path());
        // Where the pass ends, in sixteenths of the log; the fourth day begins behind ten of them.
        for end in [3, 1, 7, 8, 11] {
            let ran = catch_unwind(AssertUnwindSafe(|| {
                run_with(log.path(), &request, &mut |progress| {
                    assert!(progress.sequence < end * 150_000 / 16, "broken off on purpose");
                })
            }));
            assert!(ran.is_err());
        }
        let summary = run(log.path(), &request).unwrap();
        assert!(summary.days_kept > 0 && summary.days > 0, "{summary:?}");
        assert_eq!(names(&files(out.path())), names(&expected));
        let found = files(out.path());
        for (name, bytes) in &expected {
            assert!(found.get(name) == Some(bytes), "{name} differs");
        }
        let again = run(log.path(), &request).unwrap();
        assert_eq!((again.days, again.days_kept, again.records), (0, 4, 0));
        assert_eq!(
            (again.rows, again.gaps, &again.left_out),
            (summary.rows, summary.gaps, &summary.left_out)
        );
    }
}

fn names(files: &BTreeMap<String, Vec<u8>>) -> Vec<&String> {
    files.keys().collect()
}

#[test]
fn little_memory_changes_the_pieces_and_no_row() {
    let log = tempfile::tempdir().unwrap();
    write_span(log.path(), 300, 20_000, SECOND_NS * 600);
    for format in FORMATS {
        let out = tempfile::tempdir().unwrap();
        let little = Request { memory_bytes: 400_000, ..request(format, out.path()) };
        let summary = run(log.path(), &little).unwrap();
        let plenty = tempfile::tempdir().unwrap();
        let expected = run(log.path(), &request(format, plenty.path())).unwrap();
        assert_eq!((summary.rows, summary.files), (expected.rows, expected.files));
        let (found, expected) = (files(out.path()), files(plenty.path()));
        assert_eq!(names(&found), names(&expected));
        if format == Format::TardisCsv {
            for name in found.keys().filter(|name| name.ends_with(".gz")) {
                assert_eq!(lines(&out.path().join(name)), lines(&plenty.path().join(name)), "{name}");
            }
        }
        if format == Format::Hftbacktest {
            assert!(found.iter().all(|(name, bytes)| name == MANIFEST_NAME || expected[name] == *bytes));
        }
    }
}

#[test]
fn a_log_that_grew_keeps_its_finished_days() {
    let log = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut written = Log::new(log.path(), [perpetual("BTC")]);
    let mut ids = vec![0];
    market_hours(&mut written, &mut ids, START_NS, SECOND_NS / 2, 3000);
    written.write();
    let request = request(Format::TardisCsv, out.path());
    assert_eq!(run(log.path(), &request).unwrap().days, 2);
    let first = manifest(out.path());
    assert_eq!(first.days.values().map(|day| day.complete).collect::<Vec<_>>(), [true, false]);

    market_hours(&mut written, &mut ids, START_NS + 1500 * SECOND_NS, SECOND_NS / 2, 3000);
    written.seal();
    let summary = run(log.path(), &request).unwrap();
    assert_eq!((summary.days, summary.days_kept), (1, 1));
    let second = manifest(out.path());
    assert_eq!(second.days["2024-08-08"], first.days["2024-08-08"]);
    assert!(second.days["2024-08-09"].files[0].rows > first.days["2024-08-09"].files[0].rows);

    let whole = tempfile::tempdir().unwrap();
    run(log.path(), &self::request(Format::TardisCsv, whole.path())).unwrap();
    let (mut grown, mut fresh) = (files(out.path()), files(whole.path()));
    // The manifest says of the first day when it was made.
    grown.remove(MANIFEST_NAME);
    fresh.remove(MANIFEST_NAME);
    assert!(grown == fresh);
}

#[test]
fn a_folder_takes_one_export() {
    let log = tempfile::tempdir().unwrap();
    write_days(log.path(), 2, 1000);
    let out = tempfile::tempdir().unwrap();
    run(log.path(), &request(Format::TardisCsv, out.path())).unwrap();
    let other =
        Request { filter: serde_json::json!({"venue": "okx"}), ..request(Format::TardisCsv, out.path()) };
    for refused in [request(Format::Parquet, out.path()), other] {
        let error = run(log.path(), &refused).unwrap_err();
        assert!(matches!(error, ExportError::OtherExport { .. }), "{error}");
    }
    std::fs::write(out.path().join(MANIFEST_NAME), "{}").unwrap();
    let error = run(log.path(), &request(Format::TardisCsv, out.path())).unwrap_err();
    assert!(matches!(error, ExportError::Manifest { .. }), "{error}");
}

#[test]
fn a_file_that_was_cut_is_made_anew() {
    let log = tempfile::tempdir().unwrap();
    write_days(log.path(), 2, 5000);
    let out = tempfile::tempdir().unwrap();
    let request = request(Format::Hftbacktest, out.path());
    run(log.path(), &request).unwrap();
    let expected = files(out.path());
    let (name, bytes) = expected.iter().find(|(name, _)| name.contains("2024-08-10")).unwrap();
    std::fs::write(out.path().join(name), &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(run(log.path(), &request).unwrap().days, 1);
    assert!(files(out.path()) == expected);
}

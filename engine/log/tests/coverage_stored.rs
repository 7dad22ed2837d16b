//! The stored ledger against the one that `verify` recomputes: on sound logs, on logs whose writer was killed, and on logs
//! that somebody changed.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use bytemuck::Zeroable;
use common::story::*;
use common::*;
use marketprism_core::record::*;
use marketprism_log::coverage::*;
use marketprism_log::*;

use GapReason::{Disconnected, Sequence};
use Kind::{Quote as Quotes, Trade as Trades};

/// A writer that stores the coverage of each segment at its end, as the recorder does.
struct Writer {
    appender: Appender,
    coverage: Coverage,
}

impl Writer {
    fn open(directory: &Path) -> Writer {
        Writer { appender: appender(directory), coverage: Coverage::default() }
    }

    fn write(&mut self, steps: &[Step]) {
        let mut batch = BatchBuilder::new();
        for step in steps {
            batch.push(step.record()).unwrap();
            self.coverage.record(step.record());
        }
        self.appender.append(&mut batch).unwrap();
    }

    fn end_segment(&mut self) {
        let mut batch = BatchBuilder::new();
        self.coverage.end(9_000, &mut batch);
        self.appender.append(&mut batch).unwrap();
        self.appender.seal().unwrap();
    }
}

fn quote(ns: i64) -> Step {
    Step::Quote(Quote { header: Header::new(Quotes, 1, ns), ..Quote::zeroed() })
}

/// Three sealed segments with a reported hole in the second; streams go on over the borders.
fn recorded(directory: &Path) {
    let mut writer = Writer::open(directory);
    writer.write(&[t(1), quote(1001), t(2)]);
    writer.end_segment();
    writer.write(&[t(3), quote(1003), g(Trades, 4, 6, Sequence)]);
    writer.write(&[t(7), quote(1007), quote(1008)]);
    writer.end_segment();
    writer.write(&[t(8), g(Quotes, 0, 0, Disconnected), quote(1009)]);
    writer.end_segment();
}

/// What `verify` has to say of a log's coverage: proven records, missing ids and holes of trades and of quotes.
fn figures(coverage: &[StreamCoverage]) -> [[u64; 3]; 2] {
    let figures = |stream: &StreamCoverage| [stream.proven, stream.missing_ids, stream.spans.missing];
    [figures(&coverage[0]), figures(&coverage[1])]
}

#[track_caller]
fn sound(directory: &Path) -> Verification {
    let verification = verify(directory).unwrap();
    assert!(verification.ok, "{:?}", verification.problems);
    let stored = coverage(directory).unwrap();
    assert_eq!(stored.streams, verification.coverage, "what is stored is what is recomputed");
    assert_eq!(stored.recomputed, verification.segments_without_coverage);
    verification
}

#[test]
fn the_stored_ledger_is_the_recomputed_one() {
    let directory = temporary();
    recorded(directory.path());
    let verification = sound(directory.path());
    assert_eq!(figures(&verification.coverage), [[5, 3, 1], [0, 0, 1]]);
    let trades = &verification.coverage[0];
    assert_eq!((trades.spans.contiguous, trades.proven_percent.as_deref()), (2, Some("100.00")));
    assert_eq!(verification.segments_without_coverage, [""; 0]);
    // The ledger's records are no records of the streams.
    assert_eq!(verification.streams.iter().map(|stream| stream.records).sum::<u64>(), 10);
    assert_eq!(verification.records, 10 + 2 + 6);
}

#[test]
fn compressed_segments_keep_their_ledger() {
    let directory = temporary();
    recorded(directory.path());
    let before = sound(directory.path()).coverage;
    for path in segments(directory.path()) {
        compact(&path, || true).unwrap().unwrap();
    }
    let after = sound(directory.path());
    assert_eq!((after.coverage, after.segments_without_coverage.len()), (before, 0));
}

#[test]
fn a_log_that_lost_its_first_segments_agrees() {
    let directory = temporary();
    recorded(directory.path());
    for (path, expected) in
        segments(directory.path()).iter().zip([[[3, 3, 1], [0, 0, 1]], [[1, 0, 0], [0, 0, 1]]])
    {
        fs::remove_file(path).unwrap();
        assert_eq!(figures(&sound(directory.path()).coverage), expected);
    }
}

#[test]
fn a_killed_writer_leaves_a_segment_without_a_ledger() {
    let directory = temporary();
    recorded(directory.path());
    let mut writer = Writer::open(directory.path());
    writer.write(&[t(9), t(12)]);
    let killed = segments(directory.path()).last().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    drop(writer);
    let verification = verify(directory.path()).unwrap();
    assert_eq!(verification.segments_without_coverage, std::slice::from_ref(&killed));
    assert_eq!(verification.problems.len(), 1, "the hole that nobody reported: {:?}", verification.problems);
    // The next run goes on and says what is missing since.
    let mut writer = Writer::open(directory.path());
    writer.write(&[g(Trades, 13, 20, GapReason::Restart), t(21)]);
    writer.end_segment();
    let stored = coverage(directory.path()).unwrap();
    assert_eq!(stored.recomputed, [killed]);
    assert_eq!(figures(&stored.streams), [[8, 3 + 2 + 8, 3], [0, 0, 1]]);
    assert_eq!(stored.streams, verify(directory.path()).unwrap().coverage);
}

/// A ledger of which a part was flushed early, and whose writer was then killed.
#[test]
fn a_part_of_a_ledger_is_compared_too() {
    for tampers in [false, true] {
        let directory = temporary();
        let mut writer = Writer::open(directory.path());
        writer.write(&[t(1), g(Trades, 2, 6, Sequence), t(7)]);
        let mut batch = BatchBuilder::new();
        writer.coverage.flush(9_000, &mut batch);
        if tampers {
            batch = edited(batch, |text| text.replace("\"records\":1", "\"records\":2"));
        }
        writer.appender.append(&mut batch).unwrap();
        writer.write(&[t(8)]);
        drop(writer);
        let verification = verify(directory.path()).unwrap();
        assert_eq!(verification.ok, !tampers, "{:?}", verification.problems);
        assert_eq!(verification.segments_without_coverage.len(), 1);
    }
}

/// The same batch with other bodies of its session records.
fn edited(mut batch: BatchBuilder, edit: impl Fn(&str) -> String) -> BatchBuilder {
    let directory = temporary();
    let mut aside = appender(directory.path());
    aside.append(&mut batch).unwrap();
    rewritten(directory.path(), |_, body| Some(edit(body)), |_| true)
}

/// All records of a log in one batch; `edit` gives the bodies of session records, `keeps` says which others stay.
fn rewritten(
    directory: &Path,
    edit: impl Fn(&Session, &str) -> Option<String>,
    keeps: impl Fn(&RecordRef<'_>) -> bool,
) -> BatchBuilder {
    let mut batch = BatchBuilder::new();
    let reader = LogReader::open(directory).unwrap();
    let read = reader.for_each(&Selection::default(), |_, record, _| {
        match record {
            RecordRef::Session(session, body) => {
                if let Some(body) = edit(session, std::str::from_utf8(body).unwrap()) {
                    batch.push(RecordRef::Session(session, body.as_bytes())).unwrap();
                }
            }
            record if keeps(&record) => batch.push(record).unwrap(),
            _ => {}
        }
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(read.unwrap().problems, []);
    batch
}

/// A sealed log with a hole, changed by somebody who makes all sequences and checksums right again: the problems.
fn forged(
    edit: impl Fn(&Session, &str) -> Option<String>,
    keeps: impl Fn(&RecordRef<'_>) -> bool,
) -> Vec<String> {
    let directory = temporary();
    let mut writer = Writer::open(directory.path());
    writer.write(&[t(1), t(2), quote(1001), quote(1002), g(Trades, 3, 6, Sequence), t(7), quote(1003)]);
    writer.end_segment();
    let mut batch = rewritten(directory.path(), edit, keeps);
    let directory = temporary();
    let mut appender = appender(directory.path());
    appender.append(&mut batch).unwrap();
    appender.seal().unwrap();
    coverage(directory.path()).unwrap();
    let problems = verify(directory.path()).unwrap().problems;
    problems
        .into_iter()
        .map(|problem| {
            assert_eq!(problem.file, "00000000000000000000.seg");
            problem.what
        })
        .collect()
}

fn same(_: &Session, body: &str) -> Option<String> {
    Some(body.to_owned())
}

#[test]
fn what_is_changed_is_found() {
    assert_eq!(forged(same, |_| true), [""; 0]);

    // Quotes have no ids: nothing but the ledger shows that one is gone.
    let is_second =
        |record: &RecordRef<'_>| record.kind() == Some(Quotes) && record.header().receive_ns == 1002;
    let problems = forged(same, |record| !is_second(record));
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert!(
        problem.starts_with("binance/spot/BTCUSDT quote: span 1 of its coverage is stored as {"),
        "{problem}"
    );
    assert!(problem.contains("\"records\":3") && problem.contains("\"records\":2"), "{problem}");

    // A gap record and the ids that it names.
    let hidden = forged(same, |record| !matches!(record, RecordRef::Gap(_)));
    assert!(
        hidden.iter().any(|what| what.contains("trade: span 2") && what.contains("\"reason\":\"sequence\"")),
        "{hidden:?}"
    );

    // The ledger itself.
    let smaller = |_: &Session, body: &str| Some(body.replace("\"last_id\":\"6\"", "\"last_id\":\"5\""));
    let problems = forged(smaller, |_| true);
    assert!(problems.len() == 1 && problems[0].contains("trade: span 2 of its coverage"), "{problems:?}");
    let no_quotes = |_: &Session, body: &str| (!body.contains("quote")).then(|| body.to_owned());
    let problems = forged(no_quotes, |_| true);
    assert_eq!(
        problems,
        ["binance/spot/BTCUSDT quote: the stored ledger leaves it out; recomputed are 1 spans"]
    );
    let other = |_: &Session, body: &str| Some(body.replace("quote", "ticker"));
    let problems = forged(other, |_| true);
    assert!(
        problems.len() == 2 && problems.iter().any(|what| what.ends_with("recomputed as nothing")),
        "{problems:?}"
    );
    let broken = |_: &Session, body: &str| Some(body.replace("spans", "span"));
    let problems = forged(broken, |_| true);
    assert!(problems.iter().any(|what| what.contains("coverage record is not valid")), "{problems:?}");
}

/// Whatever a body holds, the reader reports it and goes on.
#[test]
fn nonsense_is_a_problem_and_no_panic() {
    for body in [
        "",
        "{}",
        "[1]",
        "{\"stream\":\"x\",\"spans\":[]}",
        "{\"stream\":\"trade\",\"spans\":[{\"status\":\"contiguous\",\"first_id\":\"-1\",\"last_ns\":0,\"records\":1}]}",
    ] {
        let problems = forged(|_, _| Some(body.to_owned()), |_| true);
        assert!(
            problems.iter().any(|what| what.contains("coverage record is not valid")),
            "{body}: {problems:?}"
        );
    }
    let huge = "{\"stream\":\"trade\",\"spans\":[{\"status\":\"repaired\",\"first_id\":\"1\",\"last_id\":\"18446744073709551615\",\"last_ns\":9223372036854775807,\"first_ns\":-9223372036854775807,\"records\":18446744073709551615}]}";
    assert!(!forged(|_, _| Some(huge.to_owned()), |_| true).is_empty());
}

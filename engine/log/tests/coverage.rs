//! The coverage ledger: what becomes of every kind of record, and that nothing is counted twice or not at all.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bytemuck::Zeroable;
use common::story::*;
use common::*;
use marketprism_core::instrument::Registry;
use marketprism_core::record::*;
use marketprism_log::coverage::*;
use proptest::prelude::*;

use GapReason::{Checksum, Disconnected, Overrun, Reset, Restart, Resynchronised, Sequence};
use Kind::{BookDelta as Deltas, Quote as Quotes, Trade as Trades};

/// The ledger of one segment with these records.
fn ledger(steps: &[Step]) -> Vec<(StreamKey, Span)> {
    let mut coverage = Coverage::default();
    steps.iter().for_each(|step| coverage.record(step.record()));
    coverage.take()
}

/// A span in short: `contiguous 5-7 x3`, `missing 8-9 sequence x2`.
fn short(span: &Span) -> String {
    let json = serde_json::to_value(span).unwrap();
    let mut words = vec![json["status"].as_str().unwrap().to_owned()];
    if (span.first_id, span.last_id) != (0, 0) {
        words.push(format!("{}-{}", span.first_id, span.last_id));
    }
    words.extend(json["reason"].as_str().map(str::to_owned));
    if span.records != 0 {
        words.push(format!("x{}", span.records));
    }
    words.join(" ")
}

/// Compares the spans of all streams.
#[track_caller]
fn spans(expected: &[&str], steps: &[Step]) {
    let found: Vec<String> = ledger(steps).iter().map(|(_, span)| short(span)).collect();
    assert_eq!(found, expected);
}

#[test]
fn ids_that_go_on_are_proven() {
    spans(&["contiguous 5-7 x3"], &[t(5), detailed(6), t(7)]);
    spans(&["contiguous 5-9 x2"], &[fills(5, 7), fills(8, 9)]);
    spans(&["contiguous 5-9 x2"], &[fills(5, 7), fills(6, 9)]);
    spans(&["contiguous 1-2 x2"], &[agg(1), agg(2)]);
    spans(&["contiguous 1-9 x3"], &[d(1, 3, 0), d(4, 4, 0), d(5, 9, 0)]);
    // What lies between the id that a delta names and its own first one is of other instruments.
    spans(&["contiguous 1-12 x3"], &[l(1, 3, 0, 0), l(7, 9, 3, 0), l(12, 12, 9, 0)]);
    spans(&["contiguous 10-40 x3"], &[stream_snap(10, 0), c(10, 15, 0), c(15, 40, 0)]);
    // Keep-alives, and a maintenance reset that is linked.
    spans(&["contiguous 11-5 x4"], &[c(10, 15, 0), c(15, 15, 0), c(15, 3, 0), c(3, 5, 0)]);
}

#[test]
fn a_span_knows_its_times() {
    let hole = Step::Gap(Gap { from_ns: 1006, ..gap(1, Trades, 7, 9, Sequence) });
    let [(stream, before), (_, missing), (_, after)] = ledger(&[t(5), t(6), hole, t(10)])[..] else {
        panic!("three spans")
    };
    assert_eq!(stream, (1, Trades));
    assert_eq!([before.first_ns, before.last_ns], [1005, 1006]);
    assert_eq!([missing.first_ns, missing.last_ns, missing.duration_ns() as i64], [1006, 2000, 994]);
    assert_eq!([after.first_ns, after.last_ns], [1010, 1010]);
    assert_eq!([before.ids(), missing.ids(), after.ids()], [2, 3, 1]);
}

#[test]
fn a_gap_record_is_a_missing_span() {
    let after = "contiguous 10-10 x1";
    spans(
        &["contiguous 5-6 x2", "missing 7-9 sequence", after],
        &[t(5), t(6), g(Trades, 7, 9, Sequence), t(10)],
    );
    // In two parts, and one that tells of the same ids again.
    let parts = [t(6), g(Trades, 7, 8, Overrun), g(Trades, 7, 9, Restart), t(10)];
    spans(&["contiguous 6-6 x1", "missing 7-8 overrun", "missing 9-9 restart", after], &parts);
    // Without an end, or without ids: the next record shows how much it is.
    for told in [g(Trades, 7, 0, Disconnected), g(Trades, 0, 0, Disconnected)] {
        spans(&["contiguous 6-6 x1", "missing 7-9 disconnected", after], &[t(6), told, t(10)]);
    }
    // The ids show that it is nothing.
    let nothing = [t(6), g(Trades, 0, 0, Disconnected), t(7)];
    spans(&["contiguous 6-6 x1", "missing disconnected", "contiguous 7-7 x1"], &nothing);
    spans(&["missing 7-9 restart", after], &[g(Trades, 7, 9, Restart), t(10)]);
    let reset = [t(6), g(Trades, 7, 0, Reset), t(2), t(3)];
    spans(&["contiguous 6-6 x1", "missing 7-0 reset", "contiguous 2-3 x2"], &reset);
}

#[test]
fn a_hole_that_nobody_reports_is_missing_without_a_reason() {
    spans(&["contiguous 5-6 x2", "missing 7-9", "contiguous 10-10 x1"], &[t(5), t(6), t(10)]);
    let in_part = [t(6), g(Trades, 8, 8, Sequence), t(10)];
    let missing = ["contiguous 6-6 x1", "missing 8-8 sequence", "missing 7-7", "missing 9-9"];
    spans(&[&missing[..], &["contiguous 10-10 x1"]].concat(), &in_part);
    spans(&["contiguous 1-3 x1", "missing 4-5", "contiguous 6-9 x1"], &[l(1, 3, 0, 0), l(7, 9, 5, 0)]);
    spans(&["contiguous 11-15 x1", "missing", "contiguous 4-5 x1"], &[c(10, 15, 0), c(3, 5, 0)]);
    let snapshot = [c(10, 15, 0), stream_snap(30, 0), c(30, 31, 0)];
    spans(&["contiguous 11-15 x1", "missing 16-30", "contiguous 30-31 x2"], &snapshot);
}

#[test]
fn deltas_that_were_held_back_come_after_the_gap_record_of_a_later_hole() {
    let steps = [
        d(1, 3, 0),
        g(Deltas, 4, 5, Sequence),
        g(Deltas, 9, 9, Sequence),
        d(6, 7, INVALID),
        d(8, 8, INVALID),
        d(10, 11, INVALID),
        d(12, 12, 0),
    ];
    let expected = [
        "contiguous 1-3 x1",
        "missing 4-5 sequence",
        "missing 9-9 sequence",
        "suspect 6-8 book_invalid x2",
        "suspect 10-11 book_invalid x1",
        "contiguous 12-12 x1",
    ];
    spans(&expected, &steps);
}

#[test]
fn a_new_snapshot_of_the_stream_ends_a_hole() {
    let steps = [
        stream_snap(10, 0),
        c(10, 15, 0),
        g(Deltas, 16, 30, Resynchronised),
        stream_snap(30, 0),
        c(30, 31, 0),
    ];
    spans(&["contiguous 10-15 x2", "missing 16-30 resynchronised", "contiguous 30-31 x2"], &steps);
    // Crossed; and a late one that was not taken.
    let steps =
        [g(Deltas, 16, 30, Resynchronised), stream_snap(30, INVALID), c(30, 31, INVALID), c(31, 32, 0)];
    let missing = "missing 16-30 resynchronised";
    spans(&[missing, "suspect 31-31 book_invalid x2", "contiguous 32-32 x1"], &steps);
    let late = [c(10, 15, 0), stream_snap(12, INVALID), c(15, 16, 0)];
    spans(&["contiguous 11-15 x1", "suspect book_invalid x1", "contiguous 16-16 x1"], &late);
}

#[test]
fn records_that_are_not_to_be_trusted() {
    let invalid = [d(1, 3, 0), d(4, 4, INVALID), d(5, 5, INVALID), d(6, 6, 0)];
    spans(&["contiguous 1-3 x1", "suspect 4-5 book_invalid x2", "contiguous 6-6 x1"], &invalid);
    let clock = |id| {
        Step::Trade({
            let mut record = trade(1, id);
            record.header.flags = flag::SUSPECT_CLOCK;
            record
        })
    };
    spans(
        &["contiguous 5-5 x1", "suspect 6-7 suspect_clock x2", "contiguous 8-8 x1"],
        &[t(5), clock(6), clock(7), t(8)],
    );
    spans(&["contiguous 5-6 x2", "suspect 6-6 not_new x1", "contiguous 7-7 x1"], &[t(5), t(6), t(6), t(7)]);
    let checksum = [c(10, 15, 0), g(Deltas, 0, 0, Checksum), c(15, 16, INVALID)];
    spans(&["contiguous 11-15 x1", "suspect checksum", "suspect 16-16 book_invalid x1"], &checksum);
}

#[test]
fn what_was_fetched_later_is_repaired() {
    let steps =
        [t(5), g(Trades, 6, 8, Sequence), t(9), backfilled(t(6)), backfilled(t(7)), repaired(6, 7), t(10)];
    let expected = [
        "contiguous 5-5 x1",
        "missing 6-8 sequence",
        "contiguous 9-9 x1",
        "repaired 6-7 x2",
        "repaired 6-7 sequence",
        "contiguous 10-10 x1",
    ];
    spans(&expected, &steps);
    let coverage = summed(&[&steps]);
    assert_eq!((coverage[0].missing_ids, coverage[0].spans.missing), (1, 1));
    let missing = coverage[0].exceptions.iter().find(|span| span.status == Status::Missing).unwrap();
    assert_eq!(short(missing), "missing 8-8 sequence");
    // History from before the stream began.
    spans(&["repaired 3-3 x1", "contiguous 5-5 x1"], &[backfilled(t(3)), t(5)]);
}

#[test]
fn streams_without_ids_prove_nothing() {
    let quote = |ns| {
        let header = Header::new(Quotes, 1, ns);
        Step::Quote(Quote { header, ..Quote::zeroed() })
    };
    let steps = [quote(1), quote(2), g(Quotes, 0, 0, Disconnected), quote(3)];
    spans(&["unprovable x2", "missing disconnected", "unprovable x1"], &steps);
    let delta = || Step::Book(delta(1, 0, 0, None, 0), vec![]);
    spans(&["unprovable x2", "contiguous 11-16 x2"], &[delta(), delta(), c(10, 15, 0), c(15, 16, 0)]);
    // A snapshot from REST is of a stream of its own, and what was computed here is of none.
    let derived = Step::Book(
        Book { header: Header { flags: flag::DERIVED, ..snapshot(1, 3).header }, ..snapshot(1, 3) },
        vec![],
    );
    spans(&["unprovable 2-2 x1", "contiguous 1-4 x2"], &[d(1, 3, 0), snap(2), derived, d(4, 4, 0)]);
}

/// The coverage of a log of these segments.
fn summed(segments: &[&[Step]]) -> Vec<StreamCoverage> {
    let mut summary = CoverageSummary::default();
    for steps in segments {
        let mut streams: BTreeMap<StreamKey, Vec<Span>> = BTreeMap::new();
        ledger(steps).into_iter().for_each(|(stream, span)| streams.entry(stream).or_default().push(span));
        streams.iter().for_each(|(stream, spans)| summary.add(*stream, spans));
    }
    summary.finish(&Registry::default())
}

#[test]
fn spans_go_on_over_the_border_of_segments() {
    let coverage = &summed(&[&[t(5), t(6)], &[t(7)], &[t(10)]])[0];
    assert_eq!((coverage.records, coverage.proven, coverage.spans.contiguous), (4, 4, 2));
    let exceptions: Vec<String> = coverage.exceptions.iter().map(short).collect();
    assert_eq!((exceptions, coverage.missing_ids), (vec!["missing 8-9".to_owned()], 2));
    // A hole whose end the next segment shows.
    let coverage = &summed(&[&[t(5), g(Trades, 6, 0, Disconnected)], &[t(10)]])[0];
    assert_eq!(
        (coverage.missing_ids, short(&coverage.exceptions[0])),
        (4, "missing 6-9 disconnected".into())
    );
}

/// What a venue sends and what becomes of it.
#[derive(Clone, Debug)]
struct Sent {
    /// Ids that the record covers.
    ids: u64,
    lost: bool,
    flagged: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let ids = prop_oneof![3 => Just(1), 1 => 1..5u64];
    (ids, prop::bool::weighted(0.3), prop::bool::weighted(0.2)).prop_map(|(ids, lost, flagged)| Sent {
        ids,
        lost,
        flagged,
    })
}

/// How holes are reported.
#[derive(Clone, Copy, Debug)]
enum Told {
    Not,
    Whole,
    /// The first id only.
    InPart,
    OpenEnded,
}

/// The form of a stream's records.
#[derive(Clone, Copy, Debug)]
enum Form {
    Trades,
    Contiguous,
    Linked,
    Chained,
}

/// The records of a recorder, the ids that they cover and the ids that are missing between them.
#[derive(Debug, Default)]
struct Story {
    steps: Vec<Step>,
    present: BTreeSet<u64>,
    missing: BTreeSet<u64>,
}

fn story(messages: &[Sent], form: Form, told: Told) -> Story {
    let (mut story, mut id, mut lost) = (Story::default(), 100, BTreeSet::new());
    for sent in messages {
        let covered: Vec<u64> = (id + 1..=id + sent.ids).collect();
        let (previous, first, last) = (id, id + 1, id + sent.ids);
        id = last;
        if sent.lost {
            lost.extend(covered);
            continue;
        }
        let stream = if matches!(form, Form::Trades) { Trades } else { Deltas };
        let reported = lost.first().filter(|_| !story.present.is_empty());
        if let Some(from) = reported.copied() {
            match told {
                Told::Not => {}
                Told::Whole => story.steps.push(g(stream, from, previous, Sequence)),
                Told::InPart => story.steps.push(g(stream, from, from, Sequence)),
                Told::OpenEnded => story.steps.push(g(stream, from, 0, Disconnected)),
            }
            story.missing.append(&mut lost);
        }
        lost.clear();
        let flags = if sent.flagged { INVALID } else { 0 };
        story.steps.push(match form {
            Form::Trades => fills(first, last),
            Form::Contiguous => d(first, last, flags),
            Form::Linked => l(first + sent.ids / 2, last, previous, flags),
            Form::Chained => c(previous, last, flags),
        });
        story.present.extend(covered);
    }
    story
}

/// The ids of spans, each of which may come once only.
fn ids<'a>(spans: impl Iterator<Item = &'a Span>) -> BTreeSet<u64> {
    let mut all = BTreeSet::new();
    for span in spans.filter(|span| span.ids() > 0) {
        (span.first_id..=span.last_id).for_each(|id| assert!(all.insert(id), "id {id} twice: {span:?}"));
    }
    all
}

fn forms() -> impl Strategy<Value = (Form, Told)> {
    let form =
        prop_oneof![Just(Form::Trades), Just(Form::Contiguous), Just(Form::Linked), Just(Form::Chained)];
    (form, prop_oneof![Just(Told::Not), Just(Told::Whole), Just(Told::InPart), Just(Told::OpenEnded)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn spans_tile_a_stream(messages in prop::collection::vec(sent(), 1..60), (form, told) in forms()) {
        let story = story(&messages, form, told);
        let ledger = ledger(&story.steps);
        let spans: Vec<&Span> = ledger.iter().map(|(_, span)| span).collect();
        let (missing, there): (Vec<&Span>, Vec<&Span>) = spans.iter().partition(|span| span.status == Status::Missing);
        let records = story.steps.iter().filter(|step| !matches!(step, Step::Gap(_))).count() as u64;
        prop_assert_eq!(there.iter().map(|span| span.records).sum::<u64>(), records);
        prop_assert_eq!(ids(there.into_iter()), story.present);
        prop_assert_eq!(ids(missing.into_iter()), story.missing);
    }

    /// Where segments end changes neither what is proven nor what is missing.
    #[test]
    fn segments_do_not_matter(
        messages in prop::collection::vec(sent(), 1..60),
        (form, told) in forms(),
        ends in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let steps = story(&messages, form, told).steps;
        let mut ends: Vec<usize> = ends.iter().map(|end| end.index(steps.len() + 1)).collect();
        ends.sort_unstable();
        let mut segments: Vec<&[Step]> = Vec::new();
        let mut rest = &steps[..];
        for end in ends {
            let (segment, left) = rest.split_at(end - (steps.len() - rest.len()));
            segments.push(segment);
            rest = left;
        }
        segments.push(rest);
        // A hole that is reported in part is listed in another order where the report begins a segment.
        let sorted = |segments: &[&[Step]]| {
            let mut coverage = summed(segments);
            for stream in &mut coverage {
                stream.exceptions.sort_by_key(|span| (span.status, span.first_id));
                stream.exceptions.iter_mut().for_each(|span| (span.first_ns, span.last_ns) = (0, 0));
                stream.missing_ns = 0;
            }
            coverage
        };
        prop_assert_eq!(sorted(&segments), sorted(&[&steps]));
    }

    /// A ledger that is flushed now and then, written as records and read back is the same.
    #[test]
    fn flushes_do_not_matter(messages in prop::collection::vec((sent(), any::<bool>()), 1..60), (form, told) in forms()) {
        let (messages, flushes): (Vec<Sent>, Vec<bool>) = messages.into_iter().unzip();
        let steps = story(&messages, form, told).steps;
        let (mut coverage, mut records) = (Coverage::default(), RecordBuffer::default());
        for (step, flush) in steps.iter().zip(flushes.iter().cycle()) {
            coverage.record(step.record());
            if *flush {
                coverage.flush(5, &mut records);
            }
        }
        coverage.end(5, &mut records);
        let mut found: Vec<Span> = Vec::new();
        for record in records.iter() {
            let RecordRef::Session(session, body) = record else { panic!("{record:?}") };
            prop_assert_eq!(session.event, SessionEvent::Coverage as u8);
            let body: serde_json::Value = serde_json::from_slice(body).unwrap();
            let part: Vec<Span> = serde_json::from_value(body["spans"].clone()).unwrap();
            found.extend(part);
        }
        let expected: Vec<Span> = ledger(&steps).into_iter().map(|(_, span)| span).collect();
        prop_assert_eq!(found, expected);
    }
}

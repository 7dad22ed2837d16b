//! `verify` on books whose stream brings the snapshot and links every message to the one before it.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::story::*;
use common::*;
use marketprism_core::record::*;
use proptest::prelude::*;

use GapReason::{Checksum, Disconnected, Reset, Resynchronised, Sequence};
use Kind::BookDelta as Deltas;

const UNMENDED: &str = "called valid after a hole, without a snapshot since";

/// A delta without ids, as in recordings from before the venue sent any.
fn without_ids(flags: u8) -> Step {
    Step::Book(delta(1, 0, 0, None, flags), vec![])
}

/// A snapshot of the best levels that a channel of its own brings.
fn top(id: u64) -> Step {
    stream_snap(id, flag::PARTIAL)
}

#[test]
fn each_delta_names_the_message_before_it() {
    good(0, vec![stream_snap(10, 0), c(10, 15, 0), c(15, 40, 0), c(40, 41, 0)]);
    bad(
        &["unreported hole: ids 16 to 20 are missing (5 ids)"],
        vec![stream_snap(10, 0), c(10, 15, 0), c(20, 40, 0), c(40, 41, 0)],
    );
    bad(
        &["unreported hole: ids 11 to 12 are missing (2 ids)"],
        vec![stream_snap(10, 0), c(12, 15, 0), c(15, 40, 0)],
    );
    // It names nothing at all.
    let Step::Book(mut unlinked, _) = c(0, 16, 0) else { panic!("a delta") };
    unlinked.previous_id = -1;
    bad(
        &["unreported hole: the delta after id 15 does not go on from it"],
        vec![stream_snap(10, 0), c(10, 15, 0), Step::Book(unlinked, vec![]), c(16, 17, 0)],
    );
}

#[test]
fn keep_alives_and_maintenance_resets_are_no_holes() {
    good(0, vec![stream_snap(10, 0), c(10, 15, 0), c(15, 15, 0), c(15, 15, 0), c(15, 3, 0), c(3, 5, 0)]);
    // The reset itself is missing, so that no missing ids can be named.
    let text = "unreported hole: the delta after id 15 does not go on from it";
    bad(&[text], vec![stream_snap(10, 0), c(10, 15, 0), c(3, 5, 0)]);
    let reset = g(Deltas, 16, 0, Reset);
    good(1, vec![stream_snap(10, 0), c(10, 15, 0), reset, c(3, 5, INVALID), stream_snap(6, 0), c(6, 7, 0)]);
}

#[test]
fn a_hole_is_mended_by_a_snapshot_only() {
    let (start, hole) = (stream_snap(10, 0), g(Deltas, 16, 20, Sequence));
    good(
        2,
        vec![
            start.clone(),
            c(10, 15, 0),
            hole.clone(),
            c(20, 21, INVALID),
            c(21, 22, INVALID),
            g(Deltas, 23, 30, Resynchronised),
            stream_snap(30, 0),
            c(30, 31, 0),
        ],
    );
    // Told after the delta that showed it.
    good(1, vec![start.clone(), c(10, 15, 0), c(20, 21, INVALID), hole.clone(), c(21, 22, INVALID)]);
    bad(&[UNMENDED], vec![start.clone(), c(10, 15, 0), hole.clone(), c(20, 21, 0), c(21, 22, 0)]);
    bad(&[UNMENDED], vec![start.clone(), c(10, 15, 0), hole.clone(), c(20, 21, INVALID), c(21, 22, 0)]);
    bad(&[UNMENDED], vec![start.clone(), c(10, 15, 0), c(20, 21, 0), hole, c(21, 22, 0)]);
    // The ids go on, and the log says that something was lost all the same.
    for reason in [Disconnected, Checksum] {
        bad(&[UNMENDED], vec![start.clone(), c(10, 15, 0), g(Deltas, 0, 0, reason), c(15, 21, 0)]);
        bad(
            &[UNMENDED],
            vec![start.clone(), c(10, 15, 0), g(Deltas, 0, 0, reason), c(15, 21, INVALID), c(21, 22, 0)],
        );
    }
    bad(
        &["reported hole that does not exist: ids 16 to 20 are not missing"],
        vec![start, c(10, 15, 0), g(Deltas, 16, 20, Sequence), c(15, 21, 0)],
    );
}

#[test]
fn a_gap_must_cover_the_whole_hole() {
    bad(
        &["unreported hole: ids 20 to 20 are missing (1 ids)"],
        vec![stream_snap(10, 0), c(10, 15, 0), g(Deltas, 16, 19, Sequence), c(20, 21, INVALID)],
    );
    bad(
        &["unreported hole: ids 16 to 20 are missing (5 ids)"],
        vec![stream_snap(10, 0), c(10, 15, 0), g(Kind::Quote, 16, 20, Sequence), c(20, 21, INVALID)],
    );
    good(1, vec![stream_snap(10, 0), c(10, 15, 0), g(Deltas, 16, 0, Disconnected), c(20, 21, INVALID)]);
}

#[test]
fn a_crossed_book_goes_on_but_its_holes_are_holes() {
    bad(
        &["unreported hole: ids 17 to 18 are missing (2 ids)"],
        vec![stream_snap(10, 0), c(10, 15, 0), c(15, 16, INVALID), c(18, 19, INVALID)],
    );
}

#[test]
fn what_lies_between_a_delta_and_a_new_snapshot_is_missing() {
    good(0, vec![stream_snap(10, 0), c(10, 15, 0), stream_snap(15, 0), c(15, 16, 0)]);
    bad(
        &["unreported hole: ids 16 to 30 are missing (15 ids)"],
        vec![stream_snap(10, 0), c(10, 15, 0), stream_snap(30, 0), c(30, 31, 0)],
    );
    bad(
        &["unreported hole: the snapshot after id 15 does not go on from it"],
        vec![stream_snap(10, 0), c(10, 15, 0), stream_snap(4, 0), c(4, 5, 0)],
    );
    for (from, to, reason) in [(16, 30, Resynchronised), (0, 0, Disconnected), (16, 0, Disconnected)] {
        let told = g(Deltas, from, to, reason);
        good(1, vec![stream_snap(10, 0), c(10, 15, 0), told.clone(), stream_snap(30, 0), c(30, 31, 0)]);
        good(1, vec![stream_snap(10, 0), c(10, 15, 0), stream_snap(30, 0), told, c(30, 31, 0)]);
    }
}

#[test]
fn a_gap_without_an_end_tells_of_no_hole_before_it() {
    // Ids fell with the delta: the gap is about what came between it and the snapshot.
    bad(
        &["unreported hole: ids 16 to 16 are missing (1 ids)"],
        vec![stream_snap(15, 0), c(16, 5, 0), g(Deltas, 6, 0, Disconnected), stream_snap(3, 0)],
    );
}

#[test]
fn a_flagged_snapshot_was_taken_or_was_not() {
    // A late one of another connection: the valid book goes on.
    good(0, vec![stream_snap(10, 0), c(10, 15, 0), stream_snap(12, INVALID), c(15, 16, 0)]);
    // The first message of a crossed book.
    good(0, vec![stream_snap(10, INVALID), c(10, 15, INVALID), c(15, 16, 0)]);
    good(
        1,
        vec![
            stream_snap(10, 0),
            c(10, 15, 0),
            g(Deltas, 16, 30, Resynchronised),
            stream_snap(30, INVALID),
            c(30, 31, INVALID),
            c(31, 32, 0),
        ],
    );
    // It mends no hole by itself.
    bad(
        &[UNMENDED],
        vec![
            stream_snap(10, 0),
            c(10, 15, 0),
            g(Deltas, 16, 20, Sequence),
            c(20, 21, INVALID),
            stream_snap(12, INVALID),
            c(21, 22, 0),
        ],
    );
}

#[test]
fn other_snapshots_do_not_touch_the_chain() {
    good(
        0,
        vec![
            stream_snap(10, 0),
            c(10, 15, 0),
            top(99),
            stream_snap(15, flag::DERIVED | flag::PARTIAL),
            c(15, 16, 0),
        ],
    );
    let hole = g(Deltas, 16, 20, Sequence);
    bad(&[UNMENDED], vec![stream_snap(10, 0), c(10, 15, 0), hole, c(20, 21, INVALID), top(21), c(21, 22, 0)]);
}

#[test]
fn a_log_may_begin_in_the_middle() {
    good(0, vec![c(10, 15, 0), c(15, 16, 0)]);
    good(0, vec![c(10, 15, INVALID), c(15, 16, 0)]);
    good(0, vec![c(10, 15, INVALID), stream_snap(30, 0), c(30, 31, 0)]);
}

#[test]
fn messages_without_ids_are_counted_and_prove_nothing() {
    let steps = [stream_snap(0, 0), without_ids(0), without_ids(0), c(10, 15, 0), c(15, 16, 0)];
    let verification = verified(&steps);
    assert!(verification.ok, "{:?}", verification.problems);
    let deltas = verification.streams.iter().find(|stream| stream.kind == Deltas).unwrap();
    assert_eq!((deltas.records, deltas.unprovable), (4, 2));
    // A reported hole counts here too.
    let lost = g(Deltas, 0, 0, Disconnected);
    bad(&[UNMENDED], vec![stream_snap(0, 0), without_ids(0), lost.clone(), without_ids(0), without_ids(0)]);
    good(1, vec![stream_snap(0, 0), lost, without_ids(INVALID), stream_snap(0, 0), without_ids(0)]);
}

/// What a recorder does with a hole.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Not,
    /// All but the last id, where ids can be named.
    InPart,
    Before,
    After,
}

/// What the venue sends, and what becomes of it.
#[derive(Clone, Debug)]
struct Sent {
    /// 0: a keep-alive, 1: a maintenance reset, 2: a snapshot, 3: a late snapshot, else a delta.
    what: u8,
    step: u64,
    lost: bool,
    crossed: bool,
    told: Told,
}

fn sent() -> impl Strategy<Value = Sent> {
    let told = prop_oneof![Just(Told::Not), Just(Told::InPart), Just(Told::Before), Just(Told::After)];
    (0..12u8, 1..50u64, prop::bool::weighted(0.2), prop::bool::weighted(0.2), told)
        .prop_map(|(what, step, lost, crossed, told)| Sent { what, step, lost, crossed, told })
}

/// Writes a log and notes which of its records have to be findings.
struct Recorder {
    steps: Vec<Step>,
    expected: BTreeSet<u64>,
    /// Whether deltas are flagged after a hole, until a snapshot comes.
    honest: bool,
    /// Whether there is a hole since the last snapshot.
    broken: bool,
    /// Id of the newest record.
    last: u64,
    /// Whether a message that changes the id was lost since.
    missing: bool,
}

impl Recorder {
    /// Records a message that lies `end_before` ids after the newest one.
    fn record(&mut self, end_before: u64, sent: &Sent, message: impl FnOnce(u8) -> Step, is_snapshot: bool) {
        let is_new_hole = self.missing && !self.broken;
        let named = (end_before > self.last).then_some((self.last + 1, end_before));
        let told = match sent.told {
            _ if !is_new_hole => Told::Not,
            Told::InPart if named.is_none_or(|(from, to)| from == to) => Told::Before,
            told => told,
        };
        let (from, to) = named.unwrap_or((self.last + 1, 0));
        let to = if told == Told::InPart { to - 1 } else { to };
        let report = g(Deltas, from, to, Disconnected);
        self.broken = (self.broken || self.missing) && !is_snapshot;
        let is_flagged = !is_snapshot && if self.honest { self.broken || sent.crossed } else { false };
        if matches!(told, Told::Before | Told::InPart) {
            self.steps.push(report.clone());
        }
        let claims = !is_snapshot && !self.honest;
        if is_new_hole && (matches!(told, Told::Not | Told::InPart) || claims) {
            self.expected.insert(self.steps.len() as u64);
        }
        self.steps.push(message(if is_flagged { INVALID } else { 0 }));
        if told == Told::After {
            self.steps.push(report);
        }
        // Who says that the book is valid is taken at his word from there on.
        self.broken &= self.honest;
        self.missing = false;
    }
}

/// The log of a recorder that got these messages, and the capture sequences of its findings.
fn story(messages: &[Sent], honest: bool) -> (Vec<Step>, BTreeSet<u64>) {
    let (mut epoch, mut id) = (100_000_000, 100_000_000);
    let steps = vec![stream_snap(id, 0)];
    let mut recorder =
        Recorder { steps, expected: BTreeSet::new(), honest, broken: false, last: id, missing: false };
    for sent in messages {
        let previous = id;
        match sent.what {
            0 | 2 | 3 => {}
            1 => {
                epoch -= 1_000_000;
                id = epoch;
            }
            _ => id += sent.step,
        }
        if sent.lost {
            recorder.missing |= id != previous;
            continue;
        }
        match sent.what {
            2 => recorder.record(id, sent, |_| stream_snap(id, 0), true),
            3 => {
                recorder.steps.push(stream_snap(7, INVALID));
                continue;
            }
            _ => recorder.record(previous, sent, |flags| c(previous, id, flags), false),
        }
        recorder.last = id;
    }
    (recorder.steps, recorder.expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_hole_is_found_and_none_invented(
        messages in prop::collection::vec(sent(), 1..60),
        honest in any::<bool>(),
    ) {
        let (steps, expected) = story(&messages, honest);
        let verification = verified_at_once(&steps);
        let sequence = |text: &&str| {
            text.strip_prefix("sequence ").and_then(|text| text.split_once(',')).unwrap().0.parse().unwrap()
        };
        let found: Vec<u64> = texts(&verification).iter().map(sequence).collect();
        prop_assert_eq!(&found, &expected.into_iter().collect::<Vec<u64>>(), "{:?}", verification.problems);
    }
}

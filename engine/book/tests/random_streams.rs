//! Streams with holes, copies and swaps: the book is never valid and wrong, and always finds back.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;

use marketprism_book::{DeltaStep, Emit, SnapshotStep, SyncedBook};
use marketprism_core::record::{ABSENT, Book, Header};
use marketprism_core::venue::Continuity;
use marketprism_core::{Kind, Level};
use proptest::prelude::*;
use support::Message;

type Sides = [BTreeMap<i64, i64>; 2];

/// The venue's own history: every delta and the book after each.
struct Venue {
    deltas: Vec<Message>,
    states: Vec<(u64, Sides)>,
}

fn record(kind: Kind, ids: (u64, u64, i64), sides: [Vec<Level>; 2]) -> Message {
    let mut header = Header::new(kind, 1, 0);
    header.sequence = ids.1;
    let book = Book {
        header,
        first_id: ids.0,
        previous_id: ids.2,
        event_ns: ABSENT,
        level_start: 0,
        bid_levels: sides[0].len() as u16,
        ask_levels: sides[1].len() as u16,
    };
    Message { book, levels: sides.concat() }
}

/// Each delta: ids it spans, ids skipped before it (linked only), levels.
type Plan = Vec<(u64, u64, Vec<(bool, i64, i64)>)>;

fn venue(continuity: Continuity, plan: Plan) -> Venue {
    let mut venue = Venue { deltas: Vec::new(), states: vec![(1_000, Sides::default())] };
    for (span, skipped, levels) in plan {
        let (last_id, mut sides) = venue.states.last().cloned().unwrap_or_default();
        let linked = continuity == Continuity::Linked;
        let first = last_id + 1 + if linked { skipped } else { 0 };
        let mut changed = [BTreeMap::new(), BTreeMap::new()];
        for (ask, price, quantity) in levels {
            let index = usize::from(ask);
            changed[index].insert(price, quantity);
            if quantity == 0 {
                sides[index].remove(&price)
            } else {
                sides[index].insert(price, quantity)
            };
        }
        let levels = changed.map(|side| {
            side.into_iter().map(|(price, quantity)| Level { price, quantity }).collect::<Vec<_>>()
        });
        let previous = if linked { last_id as i64 } else { ABSENT };
        venue.deltas.push(record(Kind::BookDelta, (first, first + span, previous), levels));
        venue.states.push((first + span, sides));
    }
    venue
}

impl Venue {
    fn snapshot(&self, at: usize) -> Message {
        let (id, sides) = &self.states[at.min(self.states.len() - 1)];
        let level = |(price, quantity): (&i64, &i64)| Level { price: *price, quantity: *quantity };
        record(
            Kind::BookSnapshot,
            (0, *id, ABSENT),
            [0, 1].map(|side| sides[side].iter().map(level).collect()),
        )
    }

    /// A valid book is the venue's at that id.
    fn check(&self, synced: &SyncedBook) {
        let Some(id) = synced.last_id() else {
            assert!(synced.book().is_empty());
            return;
        };
        let (_, sides) =
            self.states.iter().find(|(state_id, _)| *state_id == id).expect("an id of the venue");
        let pair = |level: Level| (level.price, level.quantity);
        assert!(synced.book().bids().map(pair).eq(sides[0].iter().rev().map(|(p, q)| (*p, *q))));
        assert!(synced.book().asks().map(pair).eq(sides[1].iter().map(|(p, q)| (*p, *q))));
    }
}

/// What the network does with the delta at an index.
#[derive(Clone, Debug)]
enum Fault {
    None,
    Lost,
    Twice,
    /// Comes after the next so many.
    Late(usize),
    /// The snapshot asked for now is of so many deltas ago or ahead.
    Snapshot(i64),
    Disconnect,
    Release,
}

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        16 => Just(Fault::None),
        1 => Just(Fault::Lost),
        1 => Just(Fault::Twice),
        1 => (1usize..4).prop_map(Fault::Late),
        4 => (-4i64..3).prop_map(Fault::Snapshot),
        1 => Just(Fault::Disconnect),
        1 => Just(Fault::Release),
    ]
}

/// Counts what comes back of the held deltas.
struct Run<'a> {
    venue: &'a Venue,
    synced: SyncedBook,
    held: Vec<u64>,
}

impl Run<'_> {
    fn delta(&mut self, index: usize) {
        let message = &self.venue.deltas[index];
        match self.synced.on_delta(&message.book, &message.levels) {
            DeltaStep::Held | DeltaStep::HeldAfterGap { .. } => self.held.push(message.book.header.sequence),
            DeltaStep::Broken { .. } => self.held = vec![message.book.header.sequence],
            DeltaStep::Applied | DeltaStep::Contained => {}
            other => panic!("{other:?}"),
        }
        self.venue.check(&self.synced);
    }

    fn snapshot(&mut self, at: usize) -> SnapshotStep {
        let message = self.venue.snapshot(at);
        let mut out = Vec::new();
        let step = self.synced.on_snapshot(&message.book, &message.levels, &mut |emitted| match emitted {
            Emit::Contained(delta, _) | Emit::Replayed(delta, _) => out.push(delta.header.sequence),
            Emit::Snapshot(..) => {}
        });
        if let SnapshotStep::Valid { contained, replayed } = step {
            assert_eq!(contained + replayed, out.len());
            assert_eq!(std::mem::take(&mut self.held), out, "every held delta comes out once");
        }
        self.venue.check(&self.synced);
        step
    }

    fn release(&mut self) {
        let mut out = Vec::new();
        self.synced.release(&mut |delta, _| out.push(delta.header.sequence));
        assert_eq!(std::mem::take(&mut self.held), out);
    }
}

proptest! {
    #[test]
    fn never_valid_and_wrong(
        linked: bool,
        plan in prop::collection::vec(
            (0u64..4, 0u64..5, prop::collection::vec((any::<bool>(), 1i64..40, 0i64..4), 0..4)),
            1..60,
        ),
        faults in prop::collection::vec(faults(), 60),
    ) {
        let continuity = if linked { Continuity::Linked } else { Continuity::Contiguous };
        let venue = venue(continuity, plan);
        let mut run = Run { venue: &venue, synced: SyncedBook::new(continuity), held: Vec::new() };
        let mut late: Vec<(usize, usize)> = Vec::new();
        for (index, fault) in (0..venue.deltas.len()).zip(faults) {
            match fault {
                Fault::Lost => {}
                Fault::Late(by) => late.push((index + by, index)),
                Fault::Twice => {
                    run.delta(index);
                    run.delta(index);
                }
                Fault::Snapshot(ahead) => {
                    run.delta(index);
                    run.snapshot((index as i64 + 1 + ahead).max(0) as usize);
                }
                Fault::Disconnect => run.synced.invalidate(),
                Fault::Release => run.release(),
                Fault::None => run.delta(index),
            }
            for (_, index) in late.extract_if(.., |(due, _)| *due <= index) {
                run.delta(index);
            }
        }
        // A snapshot of the end always heals.
        let step = run.snapshot(venue.deltas.len());
        prop_assert!(!matches!(step, SnapshotStep::TooOld | SnapshotStep::Broken { .. }), "{:?}", step);
        prop_assert!(run.synced.is_valid());
        prop_assert_eq!(run.synced.last_id(), venue.states.last().map(|(id, _)| *id));
    }
}

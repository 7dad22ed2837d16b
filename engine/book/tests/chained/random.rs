//! Random streams through a bad network: the book is never valid and wrong, and one snapshot heals it.

use std::collections::BTreeMap;

use marketprism_book::{DeltaStep, StreamSnapshotStep, SyncedBook};
use marketprism_core::venue::Continuity;
use proptest::prelude::*;

use crate::model::{Model, Row, texts};
use crate::wire::{Message, record};

/// What the venue does next.
#[derive(Clone, Debug)]
enum Event {
    /// A change whose id is so much higher.
    Change(u64, Vec<(bool, i64, i64)>),
    /// Nothing: the ids stand still.
    KeepAlive,
    /// A change whose id begins a new, lower range.
    Maintenance(Vec<(bool, i64, i64)>),
}

/// What becomes of a message on its way.
#[derive(Clone, Debug)]
enum Fault {
    None,
    Lost,
    Twice,
    /// It comes after the next so many.
    Late(usize),
    /// A snapshot of so many messages ago comes after it.
    Snapshot(usize),
    /// Its checksum is wrong.
    Lie,
    Disconnect,
}

/// The venue's own history.
struct Venue {
    deltas: Vec<Message>,
    /// The book before the first delta and after each.
    states: Vec<(u64, i64, Model)>,
    summed: bool,
}

fn texts_of(changes: &[(bool, i64, i64)], ask: bool) -> Vec<Row> {
    // Asks lie above bids; tenths, written without trailing zeros as venues do.
    let offset = if ask { 40 } else { 0 };
    let text = |tenths: i64| match (tenths / 10, tenths % 10) {
        (whole, 0) => whole.to_string(),
        (whole, tenth) => format!("{whole}.{tenth}"),
    };
    let latest: BTreeMap<i64, i64> = changes
        .iter()
        .filter(|change| change.0 == ask)
        .map(|(_, price, quantity)| (price + offset, *quantity))
        .collect();
    latest.into_iter().map(|(price, quantity)| (text(price), text(quantity))).collect()
}

impl Venue {
    fn new(events: Vec<Event>, timed: bool, summed: bool) -> Venue {
        let mut venue = Venue { deltas: Vec::new(), states: Vec::new(), summed };
        let (mut id, mut range) = (1_000_000, 1_000_000);
        let mut model = Model::default();
        let time = |index: usize| if timed { 1_000 + index as i64 } else { i64::MIN };
        venue.states.push((id, time(0), model.clone()));
        for (index, event) in events.into_iter().enumerate() {
            let previous = id;
            let changes = match event {
                Event::Change(step, changes) => {
                    id += step;
                    changes
                }
                Event::KeepAlive => Vec::new(),
                Event::Maintenance(changes) => {
                    range -= 1_000;
                    id = range;
                    changes
                }
            };
            let (bids, asks) = (texts_of(&changes, false), texts_of(&changes, true));
            model.apply(&bids, &asks);
            let delta = record(false, (Some(previous as i64), id), &bids, &asks);
            venue.deltas.push(venue.signed(delta, time(index + 1), &model));
            venue.states.push((id, time(index + 1), model.clone()));
        }
        venue
    }

    /// With its time and, where the venue gives one, its checksum.
    fn signed(&self, mut message: Message, exchange_ns: i64, model: &Model) -> Message {
        message.book.header.exchange_ns = exchange_ns;
        if self.summed {
            message.set_checksum(model.checksum());
        }
        message
    }

    fn snapshot(&self, at: usize) -> Message {
        let (id, exchange_ns, model) = &self.states[at];
        let [bids, asks] = model.sides();
        self.signed(record(true, (None, *id), &bids, &asks), *exchange_ns, model)
    }

    /// A valid book is the venue's at that id; any other is empty.
    fn check(&self, synced: &SyncedBook) {
        let book = synced.book();
        let Some(id) = synced.last_id() else {
            assert!(book.is_empty() && !synced.is_crossed());
            return;
        };
        let (.., model) = self.states.iter().find(|state| state.0 == id).expect("an id of the venue");
        let exponents = (book.price_exponent(), book.quantity_exponent());
        assert_eq!([texts(book.bids(), exponents), texts(book.asks(), exponents)], model.sides());
        assert!(!synced.is_crossed());
    }
}

fn changes() -> impl Strategy<Value = Vec<(bool, i64, i64)>> {
    prop::collection::vec((any::<bool>(), 1i64..40, prop_oneof![Just(0i64), 1i64..30]), 0..5)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (1u64..5, changes()).prop_map(|(step, changes)| Event::Change(step, changes)),
        2 => Just(Event::KeepAlive),
        1 => changes().prop_map(Event::Maintenance),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        20 => Just(Fault::None),
        1 => Just(Fault::Lost),
        2 => Just(Fault::Twice),
        1 => (1usize..20).prop_map(Fault::Late),
        4 => (0usize..6).prop_map(Fault::Snapshot),
        1 => Just(Fault::Lie),
        1 => Just(Fault::Disconnect),
    ]
}

struct Run<'a> {
    venue: &'a Venue,
    synced: SyncedBook,
}

impl Run<'_> {
    fn delta(&mut self, index: usize) {
        let message = &self.venue.deltas[index];
        let was_valid = self.synced.is_valid();
        let step = self.synced.on_delta(&message.book, &message.levels);
        let fits = match step {
            DeltaStep::Applied => self.synced.last_id() == Some(message.book.header.sequence),
            DeltaStep::Contained => was_valid && self.synced.is_valid(),
            DeltaStep::NoBook => !was_valid,
            DeltaStep::Broken { .. } => was_valid && !self.synced.is_valid(),
            _ => false,
        };
        assert!(fits, "{step:?}");
        self.venue.check(&self.synced);
    }

    /// The delta with another checksum, which must not get into the book.
    fn lie(&mut self, index: usize) {
        let mut message = self.venue.deltas[index].clone();
        if let Some(checksum) = message.book.checksum() {
            message.set_checksum(!checksum);
            let step = self.synced.on_delta(&message.book, &message.levels);
            assert_ne!(step, DeltaStep::Applied);
            self.venue.check(&self.synced);
        }
    }

    fn snapshot(&mut self, at: usize) -> StreamSnapshotStep {
        let message = self.venue.snapshot(at);
        let mut before = self.synced.last_id();
        let mut step = self.synced.on_stream_snapshot(&message.book, &message.levels);
        if step == StreamSnapshotStep::Doubtful {
            assert!(before.take().is_some() && !self.synced.is_valid());
            // The venue is asked anew and says the same.
            step = self.synced.on_stream_snapshot(&message.book, &message.levels);
        }
        match step {
            StreamSnapshotStep::Stale => assert_eq!(self.synced.last_id(), before),
            StreamSnapshotStep::Valid => assert_eq!(before, None),
            StreamSnapshotStep::Replaced => assert!(before.is_some()),
            other => panic!("{other:?}"),
        }
        if step != StreamSnapshotStep::Stale {
            assert_eq!(self.synced.last_id(), Some(message.book.header.sequence));
        }
        self.venue.check(&self.synced);
        step
    }
}

proptest! {
    #[test]
    fn never_valid_and_wrong(
        events in prop::collection::vec(event(), 1..80),
        faults in prop::collection::vec(fault(), 80),
        timed: bool,
        summed: bool,
    ) {
        let venue = Venue::new(events, timed, summed);
        let mut run = Run { venue: &venue, synced: SyncedBook::new(Continuity::Chained) };
        run.snapshot(0);
        let mut late: Vec<(usize, usize)> = Vec::new();
        for (index, fault) in (0..venue.deltas.len()).zip(faults) {
            match fault {
                Fault::None => run.delta(index),
                Fault::Lost => {}
                Fault::Twice => {
                    run.delta(index);
                    run.delta(index);
                }
                Fault::Late(by) => late.push((index + by, index)),
                Fault::Snapshot(ago) => {
                    run.delta(index);
                    run.snapshot((index + 1).saturating_sub(ago));
                }
                Fault::Lie => run.lie(index),
                Fault::Disconnect => run.synced.invalidate(),
            }
            for (_, index) in late.extract_if(.., |(due, _)| *due <= index) {
                run.delta(index);
            }
        }
        // One snapshot of the present heals, whatever was.
        let step = run.snapshot(venue.deltas.len());
        prop_assert_ne!(step, StreamSnapshotStep::Stale);
        prop_assert_eq!(run.synced.last_id(), venue.states.last().map(|state| state.0));
    }

    #[test]
    fn a_good_network_loses_nothing(events in prop::collection::vec(event(), 1..80), summed: bool) {
        let venue = Venue::new(events, true, summed);
        let mut run = Run { venue: &venue, synced: SyncedBook::new(Continuity::Chained) };
        run.snapshot(0);
        for index in 0..venue.deltas.len() {
            run.delta(index);
            prop_assert!(run.synced.is_valid());
        }
        let (.., end) = &venue.states[venue.deltas.len()];
        prop_assert_eq!(run.synced.missing_removals(), end.missing_removals);
        let given = venue.deltas.iter().filter(|message| message.book.checksum().is_some_and(|it| it != 0));
        prop_assert_eq!(run.synced.verified_checksums(), given.count() as u64);
    }
}

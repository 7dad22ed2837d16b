//! Random messages are left out of captured and of own frames, a thousand times: every hole is reported with its exact ids,
//! and none is invented. What is expected is computed from the text of the frames, without the program's own parsers.
//! `MARKETPRISM_TRIALS` sets another number.
#![allow(clippy::unwrap_used)]

mod messages;
mod own;

use std::collections::{BTreeMap, BTreeSet};

use bytemuck::Zeroable;
use marketprism_core::InstrumentId;
use marketprism_core::instrument::Registry;
use marketprism_core::record::{
    ABSENT, Book, Gap, GapReason, Header, Kind, Level, RecordBuffer, RecordRef, flag,
};
use marketprism_core::venue::{Continuity, Market, Outcome};
use marketprism_runtime::normaliser::Normaliser;
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

use messages::{Message, Sequence, captured};

/// Most messages of one trial.
const WINDOW: usize = 400;
/// Time between two messages, nanoseconds.
const STEP_NS: i64 = 10_000_000;
const START_NS: i64 = 1_700_000_000_000_000_000;

/// A hole: symbol, first and last missing id, and why.
type Hole = (String, u64, u64, u8);

#[test]
fn every_hole_is_reported_with_exact_bounds_and_none_is_invented() {
    let mut sequences = own::sequences();
    sequences.extend(captured());
    for sequence in &sequences {
        let all: Vec<&Message> = sequence.messages.iter().collect();
        let (found, expected) = (run(sequence, &all, false), expected(&all));
        assert_eq!(found, expected, "{} as it is", sequence.name);
    }
    let mut holes: BTreeMap<(String, Kind), usize> = BTreeMap::new();
    let trials = std::env::var("MARKETPRISM_TRIALS").map_or(1000, |text| text.parse().unwrap());
    for trial in 0..trials {
        let mut random = ChaCha8Rng::seed_from_u64(trial);
        let sequence = &sequences[trial as usize % sequences.len()];
        let kept = leave_out(&sequence.messages, &mut random);
        let with_snapshots = random.random();
        let (found, expected) = (run(sequence, &kept, with_snapshots), expected(&kept));
        assert_eq!(found, expected, "trial {trial}: {}, snapshots: {with_snapshots}", sequence.name);
        *holes.entry((format!("{}/{}", sequence.venue, sequence.market), sequence.kind)).or_default() +=
            found.len();
    }
    eprintln!("holes in {trials} trials over {} sequences: {holes:?}", sequences.len());
    let needed = own::sequences().into_iter().map(|own| (format!("{}/{}", own.venue, own.market), own.kind));
    for stream in needed.collect::<BTreeSet<_>>() {
        assert!(holes.get(&stream).is_some_and(|count| *count > 20), "too few holes of {stream:?}");
    }
}

/// A part of the messages from which one to five runs of one to twenty are missing, the first and the last ones too at times.
fn leave_out<'a>(messages: &'a [Message], random: &mut ChaCha8Rng) -> Vec<&'a Message> {
    let length = messages.len().min(WINDOW);
    let start = random.random_range(0..=messages.len() - length);
    let mut kept: Vec<Option<&Message>> = messages[start..start + length].iter().map(Some).collect();
    for _ in 0..random.random_range(1..=5) {
        let from = random.random_range(0..length);
        let run = random.random_range(1..=20);
        kept.iter_mut().skip(from).take(run).for_each(|message| *message = None);
    }
    kept.into_iter().flatten().collect()
}

/// The holes by the ids in the text: a message that does not link to the one before of its symbol.
fn expected(messages: &[&Message]) -> Vec<Hole> {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut holes = vec![];
    for message in messages {
        let Some(seen) = last.insert(&message.symbol, message.last_id) else { continue };
        let (previous, reason) = match message.previous_id {
            Some(previous) => (previous, GapReason::Sequence),
            // A new snapshot: what came between was not sent.
            None => (message.last_id, GapReason::Resynchronised),
        };
        if previous > seen {
            holes.push((message.symbol.clone(), seen + 1, previous, reason as u8));
        }
    }
    holes
}

/// The holes that the recorder reports.
fn run(sequence: &Sequence, messages: &[&Message], with_snapshots: bool) -> Vec<Hole> {
    let mut recorder = Recorder::new(sequence);
    for (index, message) in messages.iter().enumerate() {
        recorder.message(message, START_NS + index as i64 * STEP_NS, with_snapshots);
    }
    recorder.holes
}

/// Decoder and normaliser of one market.
struct Recorder {
    registry: Registry,
    market: &'static Market,
    decoder: Box<dyn marketprism_core::venue::Decoder>,
    normaliser: Normaliser,
    kind: Kind,
    holes: Vec<Hole>,
}

impl Recorder {
    fn new(sequence: &Sequence) -> Recorder {
        let venue = messages::venue(&sequence.venue);
        let market = venue.market(&sequence.market).unwrap();
        let mut registry = Registry::default();
        let mut normaliser = Normaliser::new();
        let symbols: BTreeSet<&str> = sequence.messages.iter().map(|message| &*message.symbol).collect();
        for symbol in symbols {
            let (id, _) = registry.define(venue.instrument_by_name(market, symbol));
            if sequence.kind == Kind::BookDelta {
                normaliser.track_book(id, market.continuity, false);
            }
        }
        let decoder = venue.decoder(market, registry.symbols(venue.name(), market.name));
        Recorder { registry, market, decoder, normaliser, kind: sequence.kind, holes: vec![] }
    }

    fn message(&mut self, message: &Message, now_ns: i64, with_snapshots: bool) {
        let (mut decoded, mut out) = (RecordBuffer::default(), RecordBuffer::default());
        let outcome = self.decoder.decode(message.frame.as_bytes(), now_ns, &mut decoded);
        assert_eq!(outcome, Ok(Outcome::Data), "{}", message.frame);
        let mut newest = None;
        for record in decoded.iter() {
            self.normaliser.process(record, &mut out);
            newest = Some(*record.header());
        }
        let mut wanted = vec![];
        self.normaliser.take_wanted(&mut wanted);
        if with_snapshots && wanted.iter().any(|id| newest.is_some_and(|header| header.instrument == *id)) {
            self.snapshot(newest.unwrap(), &mut out);
        }
        self.normaliser.tick(now_ns, &mut out);
        self.collect(&out);
    }

    /// A snapshot that is as new as the message that was seen last.
    fn snapshot(&mut self, newest: Header, out: &mut RecordBuffer) {
        let of_rest = if self.market.continuity == Continuity::Chained { 0 } else { flag::REST };
        let header = Header { kind: Kind::BookSnapshot as u8, flags: flag::SNAPSHOT | of_rest, ..newest };
        let book = Book { header, previous_id: ABSENT, bid_levels: 1, ask_levels: 1, ..Book::zeroed() };
        let levels = [Level { price: 1, quantity: 1 }, Level { price: i64::MAX >> 1, quantity: 1 }];
        self.normaliser.process(RecordRef::Book(&book, &levels), out);
    }

    fn collect(&mut self, out: &RecordBuffer) {
        for record in out.iter() {
            let RecordRef::Gap(gap) = record else { continue };
            let Gap { header, from_id, to_id, stream, reason, repaired, .. } = *gap;
            assert_eq!((stream, repaired), (self.kind as u8, 0));
            self.holes.push((self.symbol(header.instrument), from_id, to_id, reason));
        }
    }

    fn symbol(&self, instrument: InstrumentId) -> String {
        self.registry.get(instrument).unwrap().venue_symbol.clone()
    }
}

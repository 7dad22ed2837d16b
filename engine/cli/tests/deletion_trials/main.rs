//! Random messages are left out of captured and of own frames, a thousand times: every hole is reported with its exact ids,
//! and none is invented. What is expected is computed from the text of the frames, without the program's own parsers.
//! `MARKETPRISM_TRIALS` sets another number.
#![allow(clippy::unwrap_used)]

mod messages;
mod own;

use std::collections::{BTreeMap, BTreeSet};

use bytemuck::Zeroable;
use marketprism_core::InstrumentId;
use marketprism_core::clock::TIME_MISSING;
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
        let (found, expected) = (run(sequence, &all, None), expected(&all));
        assert_eq!(found, expected, "{} as it is", sequence.name);
    }
    let mut holes: BTreeMap<(String, Kind), usize> = BTreeMap::new();
    let trials = std::env::var("MARKETPRISM_TRIALS").map_or(1000, |text| text.parse().unwrap());
    for trial in 0..trials {
        let mut random = ChaCha8Rng::seed_from_u64(trial);
        let sequence = &sequences[trial as usize % sequences.len()];
        let kept = leave_out(&sequence.messages, &mut random);
        let ahead = random.random_bool(0.7).then(|| random.random_range(0..4));
        let (found, expected) = (run(sequence, &kept, ahead), expected(&kept));
        assert_eq!(found, expected, "trial {trial}: {}, snapshots ahead by {ahead:?}", sequence.name);
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

/// The holes that the recorder reports. A book that wants a snapshot gets one, where `ahead` is given: one that has so many
/// of the venue's coming messages in it already, whether these will arrive or not.
fn run(sequence: &Sequence, messages: &[&Message], ahead: Option<usize>) -> Vec<Hole> {
    let mut recorder = Recorder::new(sequence);
    for (index, message) in messages.iter().enumerate() {
        recorder.message(message, START_NS + index as i64 * STEP_NS, ahead);
    }
    recorder.holes
}

/// Decoder and normaliser of one market.
struct Recorder<'a> {
    sequence: &'a Sequence,
    registry: Registry,
    market: &'static Market,
    decoder: Box<dyn marketprism_core::venue::Decoder>,
    normaliser: Normaliser,
    holes: Vec<Hole>,
}

impl Recorder<'_> {
    fn new(sequence: &Sequence) -> Recorder<'_> {
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
        Recorder { sequence, registry, market, decoder, normaliser, holes: vec![] }
    }

    fn message(&mut self, message: &Message, now_ns: i64, ahead: Option<usize>) {
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
        if let (Some(ahead), Some(newest)) = (ahead, newest)
            && wanted.contains(&newest.instrument)
        {
            self.snapshot(newest, ahead, &mut out);
        }
        self.normaliser.tick(now_ns, &mut out);
        self.collect(&out);
    }

    /// A snapshot that is as new as the message that was seen last, or in the middle of one that follows it. A chained
    /// stream brings its snapshots itself: these are never ahead.
    fn snapshot(&mut self, newest: Header, ahead: usize, out: &mut RecordBuffer) {
        let mut header = Header { kind: Kind::BookSnapshot as u8, flags: flag::SNAPSHOT, ..newest };
        if self.market.continuity != Continuity::Chained {
            let symbol = self.symbol(newest.instrument);
            let follows = |message: &&Message| message.symbol == symbol && message.last_id > newest.sequence;
            if let Some(within) = self.sequence.messages.iter().filter(follows).take(ahead).last() {
                header.sequence = within.last_id;
                if self.market.continuity == Continuity::Contiguous {
                    header.sequence -= ahead as u64 & 1;
                }
                header.exchange_ns = TIME_MISSING;
            }
            header.flags |= flag::REST;
        }
        let book = Book { header, previous_id: ABSENT, bid_levels: 1, ask_levels: 1, ..Book::zeroed() };
        let levels = [Level { price: 1, quantity: 1 }, Level { price: i64::MAX >> 1, quantity: 1 }];
        self.normaliser.process(RecordRef::Book(&book, &levels), out);
    }

    fn collect(&mut self, out: &RecordBuffer) {
        for record in out.iter() {
            let RecordRef::Gap(gap) = record else { continue };
            let Gap { header, from_id, to_id, stream, reason, repaired, .. } = *gap;
            assert_eq!((stream, repaired), (self.sequence.kind as u8, 0));
            self.holes.push((self.symbol(header.instrument), from_id, to_id, reason));
        }
    }

    fn symbol(&self, instrument: InstrumentId) -> String {
        self.registry.get(instrument).unwrap().venue_symbol.clone()
    }
}

//! One run of the recorder, done again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use marketprism_core::instrument::{InstrumentId, Registry, SymbolTable};
use marketprism_core::record::{Book, GapReason, Raw, RecordBuffer, RecordRef, Session, SessionEvent};
use marketprism_core::venue::{DecodeError, Decoder, Market, Poll, Request, Venue};

use super::Stored;
use super::queue::Queue;
use super::report::Renormalisation;
use super::ring::{Ring, Whole};
use crate::journal::{Asked, Entry, Input};
use crate::normaliser::{Normaliser, SnapshotCadence, Told};

/// Most rings that a thread reads.
const MAX_RINGS: usize = 256;

/// A market of which everything is kept.
#[derive(Clone)]
struct KeptMarket {
    venue: Arc<dyn Venue>,
    market: &'static Market,
    instrument: InstrumentId,
    /// Its place in the report.
    place: usize,
}

/// The state of a run: that of its normaliser, of its decoders, and of the rings between them.
pub(super) struct Run {
    markets: Vec<KeptMarket>,
    normaliser: Normaliser,
    decoders: HashMap<u32, Box<dyn Decoder>>,
    rings: Vec<Ring>,
    present: usize,
    /// Records that the normaliser gave and that were not found in the log yet.
    made: Queue,
    /// Records that are in the log because they were put in, not made.
    passed: RecordBuffer,
    /// Markets whose start was recorded.
    started: HashSet<InstrumentId>,
    is_finished: bool,
}

impl Run {
    /// A run of which everything of some markets is kept.
    pub(super) fn start(
        venues: &[Arc<dyn Venue>],
        registry: &Registry,
        (interval_ns, levels): (i64, usize),
        markets: &[InstrumentId],
    ) -> Result<Run, String> {
        let market = |id: &InstrumentId| {
            let entry = registry.get(*id).ok_or_else(|| format!("instrument {id} is not defined"))?;
            let venue = venues.iter().find(|venue| venue.name() == entry.venue);
            let market = venue.and_then(|venue| Some((venue, venue.market(&entry.market)?)));
            let (venue, market) = market
                .ok_or_else(|| format!("this program does not know {}/{}", entry.venue, entry.market))?;
            Ok::<_, String>(KeptMarket { venue: Arc::clone(venue), market, instrument: *id, place: 0 })
        };
        Ok(Run {
            markets: markets.iter().map(market).collect::<Result<_, _>>()?,
            normaliser: Normaliser::with_snapshots(SnapshotCadence { interval_ns, levels }),
            decoders: HashMap::new(),
            rings: vec![Ring::default()],
            present: 0,
            made: Queue::default(),
            passed: RecordBuffer::default(),
            started: HashSet::new(),
            is_finished: false,
        })
    }

    /// Gives its markets a place in the report.
    pub(super) fn announce(&mut self, report: &mut Renormalisation) {
        for kept in &mut self.markets {
            kept.place = report.place(kept.venue.name(), kept.market.name);
        }
    }

    /// Records that are made and not in the log.
    pub(super) fn unwritten(mut self) -> u64 {
        while self.read_one() {}
        let mut count = 0;
        while self.made.next().is_some() {
            count += 1;
        }
        count
    }

    /// Takes the next record of the log; `entry` is what it says where it is an input. The error says why the run cannot
    /// be done again from here on.
    pub(super) fn follow(
        &mut self,
        stored: Stored<'_>,
        entry: Option<Entry>,
        report: &mut Renormalisation,
    ) -> Result<(), String> {
        if self.is_finished && self.made.is_empty() {
            return Err("another run follows that did not keep everything".to_owned());
        }
        match (stored.record, entry) {
            (RecordRef::Session(session, _), Some(entry)) => {
                self.settle(entry.after, stored, report);
                self.take_input(session, entry.input, stored)
            }
            (RecordRef::Session(session, _), None)
                if session.event == SessionEvent::Started as u8
                    && !self.started.insert(session.header.instrument) =>
            {
                Err("another run begins that did not keep everything".to_owned())
            }
            (RecordRef::Session(..) | RecordRef::Definition(..), _) => {
                self.settle(None, stored, report);
                self.pass(stored.record);
                Ok(())
            }
            (RecordRef::Raw(raw, body), _) => {
                self.settle(None, stored, report);
                self.pass(stored.record);
                self.take_frame(raw, body, stored.registry, report)
            }
            (RecordRef::Gap(gap), _) if gap.reason == GapReason::Overrun as u8 => {
                Err("a queue was full, and what did not fit is missing".to_owned())
            }
            _ => {
                self.compare(stored, report);
                Ok(())
            }
        }
    }

    /// Reads the present ring as far as the thread did, and then everything made must have been stored.
    fn settle(&mut self, after: Option<u64>, stored: Stored<'_>, report: &mut Renormalisation) {
        let after = after.unwrap_or(u64::MAX);
        while self.rings.get(self.present).is_some_and(|ring| ring.read < after) && self.read_one() {}
        let Run { made, markets, .. } = self;
        while let Some(record) = made.next() {
            if let Some(kept) = market_of(markets, record, stored.registry) {
                report.differ(kept.place, (stored.sequence, stored.registry), None, Some(record));
            }
        }
    }

    /// Gives the next record of the present ring to the normaliser.
    fn read_one(&mut self) -> bool {
        let Run { rings, present, normaliser, made, .. } = self;
        let record = rings.get_mut(*present).and_then(Ring::next);
        record.map(|record| normaliser.process(record, made)).is_some()
    }

    /// A record that was put in, and went through the normaliser like all others.
    fn pass(&mut self, record: RecordRef<'_>) {
        self.normaliser.process(record, &mut self.passed);
        self.passed.clear();
    }

    fn compare(&mut self, stored: Stored<'_>, report: &mut Renormalisation) {
        let Some(place) = market_of(&self.markets, stored.record, stored.registry).map(|kept| kept.place)
        else {
            return;
        };
        while self.made.is_empty() && self.read_one() {}
        match self.made.next() {
            Some(made) if is_same(stored.record, made) => {
                if let Some(market) = report.market(place) {
                    market.records += 1;
                }
            }
            made => {
                report.differ(place, (stored.sequence, stored.registry), Some(stored.record), made);
            }
        }
    }

    fn take_input(&mut self, session: &Session, input: Input, stored: Stored<'_>) -> Result<(), String> {
        match input {
            Input::Ring(ring) if ring < MAX_RINGS => {
                self.rings.resize_with(self.rings.len().max(ring + 1), Ring::default);
                self.present = ring;
            }
            Input::Ring(ring) => return Err(format!("ring {ring} is out of range")),
            Input::Normaliser(Told::Interrupted { reason, .. }) if reason == GapReason::Overrun as u8 => {
                return Err("a queue was full, and what did not fit is missing".to_owned());
            }
            Input::Normaliser(told) => {
                self.is_finished = matches!(told, Told::Finish(_));
                self.normaliser.tell(told, &mut self.made);
            }
            Input::Decoder => {
                self.pass(stored.record);
                let kept = self.kept(session.header.instrument)?;
                let mut symbols = SymbolTable::default();
                symbols.market = kept.instrument;
                let decoder = kept.venue.decoder(kept.market, symbols);
                self.decoders.insert(session.connection, decoder);
            }
            Input::Symbols(symbols) => {
                self.pass(stored.record);
                let decoder = self.decoders.get_mut(&session.connection);
                let decoder = decoder.ok_or_else(|| no_decoder(session.connection))?;
                symbols.iter().for_each(|(symbol, id)| decoder.learn(symbol.as_bytes(), *id));
            }
            Input::Start { .. } => {}
        }
        Ok(())
    }

    fn kept(&self, market: InstrumentId) -> Result<KeptMarket, String> {
        let kept = self.markets.iter().find(|kept| kept.instrument == market);
        kept.cloned().ok_or_else(|| format!("instrument {market} is no market of which everything is kept"))
    }

    /// A frame or an answer, or a part of one. Its records wait until they are read.
    fn take_frame(
        &mut self,
        raw: &Raw,
        body: &[u8],
        registry: &Registry,
        report: &mut Renormalisation,
    ) -> Result<(), String> {
        let kept = self.kept(raw.header.instrument).ok();
        let Some(ring) = self.rings.get_mut(self.present) else { return Ok(()) };
        let Some(kept) = kept else {
            // The frame of another market.
            ring.read = 0;
            return Ok(());
        };
        let Some(whole) = ring.take(raw, body)? else { return Ok(()) };
        let receive_ns = raw.header.receive_ns;
        let market = report.market(kept.place);
        if whole.is_answer {
            read_answer(&kept, whole, receive_ns, registry)?;
            market.into_iter().for_each(|market| market.answers += 1);
        } else {
            let decoder = self.decoders.get_mut(&raw.connection);
            let decoder = decoder.ok_or_else(|| no_decoder(raw.connection))?;
            // A frame that cannot be used gives no records, now as then.
            let _ = decoder.decode(whole.bytes, receive_ns, whole.pending);
            market.into_iter().for_each(|market| market.frames += 1);
        }
        Ok(())
    }
}

fn no_decoder(connection: u32) -> String {
    format!("what connection {connection} knew is not in the log")
}

/// The kept market that a record is of.
fn market_of<'m>(
    markets: &'m [KeptMarket],
    record: RecordRef<'_>,
    registry: &Registry,
) -> Option<&'m KeptMarket> {
    let instrument = registry.get(record.header().instrument)?;
    markets.iter().find(|kept| kept.venue.name() == instrument.venue && kept.market.name == instrument.market)
}

/// Reads an answer as it was read when it came. The error is about what was asked, not about the answer.
fn read_answer(
    kept: &KeptMarket,
    whole: Whole<'_>,
    receive_ns: i64,
    registry: &Registry,
) -> Result<(), String> {
    let asked = serde_json::from_slice::<Asked>(whole.reason);
    let asked = asked.map_err(|error| format!("what an answer was asked for cannot be read: {error}"))?;
    let Whole { bytes, pending, .. } = whole;
    let (venue, market) = (&kept.venue, kept.market);
    let read: Result<(), DecodeError> = match asked {
        Asked::Snapshot { instrument, .. } => {
            venue.parse_snapshot(market, instrument, bytes, receive_ns, pending)
        }
        Asked::Poll { instrument, answer, path, request_ns } => {
            let poll = poll(kept, instrument, &answer, path, registry)?;
            venue.parse_poll(market, &poll, bytes, (request_ns, receive_ns), pending)
        }
    };
    if read.is_err() {
        pending.clear();
    }
    Ok(())
}

/// The poll with this answer, as the venue makes it, and with the path that was asked.
fn poll(
    kept: &KeptMarket,
    instrument: InstrumentId,
    answer: &str,
    path: String,
    registry: &Registry,
) -> Result<Poll, String> {
    let definition = registry.get(instrument);
    let definition = definition.ok_or_else(|| format!("instrument {instrument} is not defined"))?;
    let channels = kept.market.channels.iter();
    let mut polls = channels.flat_map(|channel| kept.venue.polls(kept.market, channel, definition));
    let poll = polls.find(|poll| poll.answer == answer);
    let poll = poll.ok_or_else(|| format!("no answer is called \"{answer}\""))?;
    Ok(Poll { request: Request { path, ..poll.request }, ..poll })
}

/// Whether two records are equal in every byte. Where their levels are kept is not part of them.
fn is_same(stored: RecordRef<'_>, made: RecordRef<'_>) -> bool {
    match (stored, made) {
        (RecordRef::Book(stored, levels), RecordRef::Book(made, made_levels)) => {
            Book { level_start: 0, ..*stored } == Book { level_start: 0, ..*made } && levels == made_levels
        }
        _ => stored.parts() == made.parts(),
    }
}

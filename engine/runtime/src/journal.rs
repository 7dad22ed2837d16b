//! What the log keeps besides frames and answers where all of these are kept: together they are all that a normaliser
//! and the decoders before it were given, in the same order.
//!
//! The normaliser thread takes records from several rings. A frame's records come behind it on its ring; where the thread
//! goes to another ring or does something else in between, the entry says how many of them it had read.

use bytemuck::Zeroable;
use marketprism_core::clock::wall_ns;
use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::{
    Body, Header, Kind, MAX_BODY_BYTES, Record, RecordRef, Session, SessionEvent, Sink,
};
use serde::{Deserialize, Serialize};

use crate::normaliser::{SnapshotCadence, Told};
use crate::raw::Origin;

/// Bytes of symbols in one entry, about.
const SYMBOL_BYTES: usize = MAX_BODY_BYTES / 8;

/// The body of an input record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Records read from the present ring since the newest frame on it; absent: all that came before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<u64>,
    /// What is told.
    pub(crate) input: Input,
}

/// Something that was told to the normaliser thread, to its normaliser or to a decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Input {
    /// A run begins, with nothing known.
    Start {
        /// [`SnapshotCadence::interval_ns`].
        interval_ns: i64,
        /// [`SnapshotCadence::levels`].
        levels: usize,
        /// The instruments that stand for the markets of which everything is kept.
        markets: Vec<InstrumentId>,
    },
    /// Records are read from this ring from now on.
    Ring(usize),
    /// To the normaliser.
    Normaliser(Told),
    /// A connection has a new decoder, which knows no symbol. The record names connection and market.
    Decoder,
    /// A connection's decoder knows more symbols.
    Symbols(Vec<(String, InstrumentId)>),
}

/// What an answer was asked for: the reason in its record, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Asked {
    /// A book.
    Snapshot {
        /// Its instrument.
        instrument: InstrumentId,
        /// Path and query.
        path: String,
    },
    /// [`Poll`](marketprism_core::venue::Poll).
    Poll {
        /// Its instrument.
        instrument: InstrumentId,
        /// Name of the answer.
        answer: String,
        /// Path and query.
        path: String,
        /// When the request was sent, wall clock, nanoseconds.
        request_ns: i64,
    },
}

/// Writes down what a normaliser thread does besides reading records.
pub struct Journal {
    market: InstrumentId,
    /// Records read since the newest frame, of each ring.
    after: Vec<u64>,
    ring: usize,
    body: Vec<u8>,
    written: u64,
}

impl Journal {
    /// For a thread that reads so many rings, with the markets of which everything is kept; `None` where there are none.
    pub fn new(markets: &[InstrumentId], rings: usize) -> Option<Journal> {
        let market = *markets.first()?;
        Some(Journal { market, after: vec![0; rings], ring: 0, body: Vec::new(), written: 0 })
    }

    /// A run begins.
    pub fn start(&mut self, markets: &[InstrumentId], cadence: SnapshotCadence, out: &mut dyn Sink) {
        let SnapshotCadence { interval_ns, levels } = cadence;
        self.note(Input::Start { interval_ns, levels, markets: markets.to_vec() }, out);
    }

    /// Records are read from this ring from now on.
    #[inline]
    pub fn turn_to(&mut self, ring: usize, out: &mut dyn Sink) {
        if ring != self.ring {
            self.note(Input::Ring(ring), out);
            self.ring = ring;
        }
    }

    /// A record of the present ring is read. To be called before it is processed.
    #[inline]
    pub fn read(&mut self, record: RecordRef<'_>, out: &mut dyn Sink) {
        if let RecordRef::Gap(gap) = record {
            self.tell(Told::interrupted(gap), out);
        }
        if let Some(after) = self.after.get_mut(self.ring) {
            *after = if let RecordRef::Raw(..) = record { 0 } else { *after + 1 };
        }
    }

    /// The normaliser is told something. To be called before it is.
    pub fn tell(&mut self, told: Told, out: &mut dyn Sink) {
        self.note(Input::Normaliser(told), out);
    }

    /// Entries written.
    pub fn written(&self) -> u64 {
        self.written
    }

    fn note(&mut self, input: Input, out: &mut dyn Sink) {
        let entry = Entry { after: self.after.get(self.ring).copied(), input };
        self.written += 1;
        push(Origin { market: self.market, connection: 0 }, &entry, &mut self.body, out);
    }
}

/// A connection has a new decoder.
pub(crate) fn push_decoder(origin: Origin, sink: &mut dyn Sink) {
    push(origin, &Entry { after: None, input: Input::Decoder }, &mut Vec::new(), sink);
}

/// A connection's decoder knows more symbols.
pub(crate) fn push_symbols(origin: Origin, symbols: &[(String, InstrumentId)], sink: &mut dyn Sink) {
    let mut rest = symbols;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take_while(|(symbol, _)| {
            bytes += symbol.len() + 16;
            bytes <= SYMBOL_BYTES
        });
        let (now, later) = rest.split_at(fitting.count().max(1));
        let entry = Entry { after: None, input: Input::Symbols(now.to_vec()) };
        push(origin, &entry, &mut Vec::new(), sink);
        rest = later;
    }
}

fn push(origin: Origin, entry: &Entry, body: &mut Vec<u8>, sink: &mut dyn Sink) {
    body.clear();
    // Writing plain values to memory does not fail, and entries are short.
    if serde_json::to_writer(&mut *body, entry).is_err() || body.len() > MAX_BODY_BYTES {
        return;
    }
    let record = Session {
        header: Header::new(Kind::Session, origin.market, wall_ns()),
        body: Body { start: 0, bytes: body.len() as u32 },
        connection: origin.connection,
        event: SessionEvent::Input as u8,
        ..Session::zeroed()
    };
    sink.append(record.lines(), body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use marketprism_core::record::{Gap, GapReason, RecordBuffer, Trade};

    fn entries(records: &RecordBuffer) -> Vec<Entry> {
        let entry = |record: RecordRef<'_>| match record {
            RecordRef::Session(_, body) => serde_json::from_slice(body).unwrap(),
            other => panic!("{other:?}"),
        };
        records.iter().map(entry).collect()
    }

    #[test]
    fn an_entry_says_how_much_of_the_present_ring_was_read() {
        let mut journal = Journal::new(&[1], 2).unwrap();
        let mut out = RecordBuffer::default();
        let raw = marketprism_core::record::Raw::zeroed();
        let trade = Trade::zeroed();
        let gap = Gap { stream: 1, reason: GapReason::Disconnected as u8, ..Gap::zeroed() };
        for record in [RecordRef::Raw(&raw, b"{}"), RecordRef::Trade(&trade), RecordRef::Trade(&trade)] {
            journal.read(record, &mut out);
        }
        journal.turn_to(0, &mut out);
        assert!(out.is_empty(), "nothing but records was read");
        journal.turn_to(1, &mut out);
        journal.read(RecordRef::Gap(&gap), &mut out);
        journal.tell(Told::Tick(7), &mut out);
        journal.turn_to(0, &mut out);
        journal.tell(Told::Tick(8), &mut out);
        let tick = |after, now_ns| Entry { after: Some(after), input: Input::Normaliser(Told::Tick(now_ns)) };
        let expected = [
            Entry { after: Some(2), input: Input::Ring(1) },
            Entry { after: Some(0), input: Input::Normaliser(Told::interrupted(&gap)) },
            tick(1, 7),
            Entry { after: Some(1), input: Input::Ring(0) },
            tick(2, 8),
        ];
        assert_eq!(entries(&out), expected);
        assert_eq!(journal.written(), 5);
    }

    #[test]
    fn symbols_of_any_number_fit() {
        let mut out = RecordBuffer::default();
        let symbols: Vec<(String, InstrumentId)> =
            (0..5000).map(|n| (format!("BTC-USD-20261225-{n}-C"), n)).collect();
        push_symbols(Origin { market: 1, connection: 2 }, &symbols, &mut out);
        let mut read = vec![];
        for entry in entries(&out) {
            let Input::Symbols(some) = entry.input else { panic!("{entry:?}") };
            read.extend(some);
        }
        assert_eq!(read, symbols);
    }
}

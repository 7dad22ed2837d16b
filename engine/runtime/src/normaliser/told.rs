//! What a normaliser is told besides records: with these and the records, its output is determined.

use bytemuck::Zeroable;
use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::{Gap, GapReason, Header, Kind, RecordRef, Sink};
use marketprism_core::venue::Continuity;
use marketprism_log::StreamEnd;
use serde::{Deserialize, Serialize};

use super::books::BookState;
use super::{Interruption, Normaliser};

/// A book to be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedBook {
    /// Its instrument.
    pub instrument: InstrumentId,
    /// Its rule.
    pub continuity: Continuity,
    /// Whether its best prices become quotes.
    pub derive_quotes: bool,
}

/// Something that a normaliser is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// A book is to be built.
    Track(TrackedBook),
    /// An earlier run recorded this stream.
    Resume {
        /// Its instrument.
        instrument: InstrumentId,
        /// Its kind.
        kind: Kind,
        /// Id of its newest record.
        last_id: u64,
        /// When that was received, wall clock, nanoseconds.
        receive_ns: i64,
    },
    /// The instrument is no longer recorded.
    Retire(InstrumentId),
    /// The stream was interrupted.
    Interrupted {
        /// Its instrument.
        instrument: InstrumentId,
        /// Number of its [`Kind`].
        stream: u8,
        /// [`GapReason`](marketprism_core::record::GapReason).
        reason: u8,
        /// Number of records lost, where known.
        records: u32,
    },
    /// The time, wall clock, nanoseconds.
    Tick(i64),
    /// The end, wall clock, nanoseconds.
    Finish(i64),
}

impl Told {
    /// The stream that an earlier run recorded up to `end`.
    pub fn resume(instrument: InstrumentId, kind: Kind, end: StreamEnd) -> Told {
        Told::Resume { instrument, kind, last_id: end.last_id, receive_ns: end.receive_ns }
    }

    /// What a gap from a connection or a full ring tells.
    pub fn interrupted(gap: &Gap) -> Told {
        let Gap { header, stream, reason, records, .. } = *gap;
        Told::Interrupted { instrument: header.instrument, stream, reason, records }
    }
}

impl Normaliser {
    /// Does what it is told, and passes on what is to be stored.
    pub fn tell(&mut self, told: Told, out: &mut dyn Sink) {
        match told {
            Told::Track(book) => self.track_book(book.instrument, book.continuity, book.derive_quotes),
            Told::Resume { instrument, kind, last_id, receive_ns } => {
                self.resume(instrument, kind, StreamEnd { last_id, receive_ns });
            }
            Told::Retire(instrument) => self.retire(instrument, out),
            Told::Interrupted { instrument, stream, reason, records } => {
                let header = Header::new(Kind::Gap, instrument, 0);
                self.process(RecordRef::Gap(&Gap { header, stream, reason, records, ..Gap::zeroed() }), out);
            }
            Told::Tick(now_ns) => self.tick(now_ns, out),
            Told::Finish(now_ns) => self.finish(now_ns, out),
        }
    }

    /// Builds a book for this instrument from its deltas; with `derive_quotes` its best prices become quotes.
    pub fn track_book(&mut self, instrument: InstrumentId, continuity: Continuity, derive_quotes: bool) {
        let state = self.state(instrument);
        if state.book.is_none() {
            state.book = Some(Box::new(BookState::new(continuity, derive_quotes)));
            self.books.push(instrument);
        }
    }

    /// The instrument is no longer recorded: its book ends, and nothing more is expected of it.
    pub fn retire(&mut self, instrument: InstrumentId, out: &mut dyn Sink) {
        self.release(instrument, out);
        self.state(instrument).book = None;
        for list in [&mut self.books, &mut self.waiting, &mut self.wanted] {
            list.retain(|listed| *listed != instrument);
        }
    }

    /// Goes on with a stream that an earlier run recorded: its next record shows how much is missing.
    pub fn resume(&mut self, instrument: InstrumentId, kind: Kind, end: StreamEnd) {
        let state = self.state(instrument);
        match (kind, &mut state.book) {
            (Kind::Trade, _) => state.trade_id = Some(end.last_id),
            (Kind::AggTrade, _) => state.agg_trade_id = Some(end.last_id),
            (Kind::BookDelta, Some(book)) => (book.last_id, book.delta_id) = (end.last_id, end.last_id),
            _ => {}
        }
        state.last_ns[kind as usize] = end.receive_ns;
        state.interrupted[kind as usize] =
            Some(Interruption { reason: GapReason::Restart as u8, records: 0 });
    }
}

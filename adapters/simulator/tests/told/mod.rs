//! A history that a test tells step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::{Instrument, InstrumentType};
use marketprism_core::record::{ABSENT, Body, Book, Definition, Header, Kind, Quote, flag};
use marketprism_core::{Level, RecordRef};
use marketprism_simulator::history::{
    Beginning, History, HistoryEvent, HistoryRecord, HistorySender, Timeline,
};

/// The first receive time, nanoseconds.
const FIRST_NS: i64 = 1_700_000_000_000_000_000;

/// The end that tells. Every record is received a millisecond after the one before; it is played when the next is told.
pub(crate) struct Told {
    sender: HistorySender,
    now_ns: AtomicI64,
}

/// An instrument of a market.
pub(crate) fn instrument(venue: &str, market: &str, symbol: &str, kind: InstrumentType) -> Arc<Instrument> {
    let status = if venue == "okx" { "live" } else { "open" };
    Arc::new(Instrument {
        symbol: symbol.to_owned(),
        instrument_type: kind,
        base: "BTC".to_owned(),
        quote: "USDC".to_owned(),
        status: status.to_owned(),
        ..Instrument::unknown(venue, market, symbol)
    })
}

impl Told {
    /// A history that goes on as it is told, of a venue that knew these instruments before.
    pub(crate) fn new(known: &[Arc<Instrument>]) -> (Told, History) {
        let (sender, history) = History::new(Arc::new(Timeline::new(None, Beginning::Immediately)));
        for instrument in known {
            let before = HistoryEvent::Before(HistoryRecord::definition(Arc::clone(instrument)));
            sender.send(before).expect("room");
        }
        sender.send(HistoryEvent::Begin).expect("room");
        (Told { sender, now_ns: AtomicI64::new(FIRST_NS) }, history)
    }

    fn header(&self, kind: Kind) -> Header {
        let now_ns = self.now_ns.fetch_add(1_000_000, Ordering::Relaxed);
        Header { exchange_ns: now_ns, ..Header::new(kind, 1, now_ns) }
    }

    fn tell(&self, instrument: &Arc<Instrument>, record: RecordRef<'_>) {
        let record = HistoryRecord::new(Arc::clone(instrument), record);
        self.sender.send(HistoryEvent::Record(record)).expect("room");
    }

    /// A message of a book with one bid: a snapshot unless it names the message before it.
    pub(crate) fn book(
        &self,
        instrument: &Arc<Instrument>,
        previous: Option<u64>,
        id: u64,
        bid: (i64, i64),
        flags: u8,
    ) {
        let kind = if previous.is_some() { Kind::BookDelta } else { Kind::BookSnapshot };
        let first = if instrument.venue == "okx" { -1 } else { ABSENT };
        let book = Book {
            header: Header { sequence: id, flags, ..self.header(kind) },
            first_id: 0,
            previous_id: previous.map_or(first, |id| id as i64),
            event_ns: TIME_MISSING,
            level_start: 0,
            bid_levels: 1,
            ask_levels: 0,
        };
        self.tell(instrument, RecordRef::Book(&book, &[Level { price: bid.0, quantity: bid.1 }]));
    }

    /// A quote.
    pub(crate) fn quote(&self, instrument: &Arc<Instrument>) {
        let header = Header { sequence: 1, ..self.header(Kind::Quote) };
        let quote = Quote { header, bid_price: 1, bid_quantity: 1, ask_price: 2, ask_quantity: 1 };
        self.tell(instrument, RecordRef::Quote(&quote));
    }

    /// A definition.
    pub(crate) fn definition(&self, instrument: &Arc<Instrument>) {
        let body = serde_json::to_vec(&**instrument).expect("JSON");
        let definition =
            Definition { header: self.header(Kind::Instrument), body: Body::default(), reserved: [0; 24] };
        let bytes = Body { start: 0, bytes: body.len() as u32 };
        self.tell(instrument, RecordRef::Definition(&Definition { body: bytes, ..definition }, &body));
    }
}

/// The flag of a record that the recorder did not believe.
pub(crate) const DOUBTED: u8 = flag::BOOK_INVALID;

//! What a venue with chained books knows of the moment that its replay has come to: instruments, books, and what became
//! of the records.

mod book;
pub(crate) mod numbers;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use marketprism_core::instrument::InstrumentType;
use marketprism_core::record::{self, flag};
use marketprism_core::{Decimal, Instrument, Level, RecordRef};

pub(crate) use self::book::{Book, Row, Side};
use super::{HistoryRecord, ReplayedStream, Tally};
use crate::host::BookText;

/// The state of a replay at one venue.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// What is traded, by venue symbol.
    instruments: BTreeMap<String, Arc<Instrument>>,
    /// Indices by venue symbol, which is the same in several markets.
    indices: BTreeMap<String, Arc<Instrument>>,
    /// By venue symbol.
    books: HashMap<String, Book>,
    /// Streams that have no market of their own, and the market whose records they bring.
    owners: HashMap<String, String>,
    moment_ns: i64,
    tally: Tally,
}

impl Past {
    /// Moves to the time of a record, and notes its instrument. Gives the definition of what is traded where it is new or
    /// another one than before.
    pub(crate) fn advance(&mut self, record: &HistoryRecord) -> Option<Arc<Instrument>> {
        let read = record.record()?;
        self.moment_ns = self.moment_ns.max(read.header().receive_ns);
        let defined = match read {
            RecordRef::Definition(_, body) => serde_json::from_slice(body).map(Arc::new).ok(),
            _ => None,
        };
        let is_definition = matches!(read, RecordRef::Definition(..));
        // What was known before comes without a body.
        let instrument = defined.unwrap_or_else(|| Arc::clone(&record.instrument));
        let known = match instrument.instrument_type {
            InstrumentType::Market => return None,
            InstrumentType::Index => &mut self.indices,
            _ => &mut self.instruments,
        };
        match known.get(&instrument.venue_symbol) {
            Some(before) if !is_definition || *before == instrument => return None,
            _ => known.insert(instrument.venue_symbol.clone(), Arc::clone(&instrument)),
        };
        (instrument.instrument_type != InstrumentType::Index).then_some(instrument)
    }

    /// The receive time of the newest record, milliseconds.
    pub(crate) fn moment_ms(&self) -> i64 {
        self.moment_ns / 1_000_000
    }

    /// The instruments that the venue lists now.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &Arc<Instrument>> {
        self.instruments.values().filter(|one| !one.delisted)
    }

    /// An instrument that the venue lists now, by its symbol.
    pub(crate) fn instrument(&self, symbol: &str) -> Option<&Arc<Instrument>> {
        self.instruments.get(symbol).filter(|one| !one.delisted)
    }

    /// An index by its symbol.
    pub(crate) fn index(&self, symbol: &str) -> Option<&Arc<Instrument>> {
        self.indices.get(symbol)
    }

    /// The book of an instrument, while it is known.
    pub(crate) fn book(&self, symbol: &str) -> Option<&Book> {
        self.books.get(symbol).filter(|book| book.is_known())
    }

    /// Takes a message of a book; true where it broke the book. One of the best levels only is no message of it.
    pub(crate) fn take_book(&mut self, symbol: &str, book: &record::Book, levels: &[Level]) -> bool {
        if book.header.flags & (flag::PARTIAL | flag::REST) != 0 {
            return false;
        }
        if let Some(known) = self.books.get_mut(symbol) {
            return known.take(book, levels);
        }
        self.books.entry(symbol.to_owned()).or_default().take(book, levels)
    }

    /// The book of an instrument of a market as text.
    pub(crate) fn book_text(&self, market: &str, symbol: &str) -> Option<BookText> {
        let book = self
            .book(symbol)
            .filter(|_| self.instruments.get(symbol).is_some_and(|one| one.market == market))?;
        let text = |number: Decimal| number.normalised().to_string();
        let side = |side| book.rows(side).map(|(price, quantity)| (text(price), text(quantity))).collect();
        Some(BookText { last_update_id: book.last_id(), bids: side(Side::Bid), asks: side(Side::Ask) })
    }

    /// Whether the records of a market are those that a stream brings which is the same in several markets: the first
    /// market that had one.
    pub(crate) fn owns(&mut self, stream: &str, market: &str) -> bool {
        if let Some(owner) = self.owners.get(stream) {
            return owner == market;
        }
        self.owners.insert(stream.to_owned(), market.to_owned());
        true
    }

    /// Counts records that became one message.
    pub(crate) fn count(&mut self, market: &str, stream: &str, records: u64, is_sent: bool) {
        self.tally.count(market, stream, records, is_sent);
    }

    /// What became of the records.
    pub(crate) fn streams(&self) -> Vec<ReplayedStream> {
        self.tally.streams()
    }
}

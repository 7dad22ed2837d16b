//! NumPy archives for hftbacktest: `{venue}_{market}_{symbol}_{date}.npz` with the array `data` of its type of events.
//!
//! - Trades are `TRADE_EVENT` with the aggressor's side. Levels of books are `DEPTH_EVENT`; a book begins with
//!   `DEPTH_CLEAR_EVENT` of both sides and one `DEPTH_SNAPSHOT_EVENT` for each level, at the start of a day too, at midnight.
//! - Where a book is not valid, both sides are cleared, and nothing is written of it until it begins anew: a backtest sees an
//!   empty book and not an old one.
//! - Times are nanoseconds. Events without the venue's time have the local one. Where the clocks disagree so far that an event
//!   would be seen before it happened, all local times of the file are moved by the same span, as hftbacktest's own
//!   `correct_local_timestamp` does it; the manifest says by how much. Each event carries `EXCH_EVENT`, `LOCAL_EVENT` or both, and
//!   stands twice where the two orders differ. Of events of one time trades come before depth.
//! - Deltas that waited for their snapshot have the time at which the book was known; a book's times never go back.
//! - Prices and quantities are binary fractions, the nearest ones to the decimals: the format has no others. Quantities are in
//!   the venue's unit. `order_id`, `ival` and `fval` are 0.

mod event;
mod order;

use std::io::Write;
use std::path::PathBuf;

use hashbrown::{HashMap, HashSet};
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{Header, Kind, Level, RecordRef, Side};
use marketprism_core::{Instrument, InstrumentId};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::ExportedFile;
use crate::Request;
use crate::book::{Change, TrackedBook, sides};
use crate::date::Day;
use crate::error::ExportError;
use crate::manifest::FinishedDay;
use crate::part::{PartFile, Span, encoded};
use crate::run::{DayWriter, Entry};
use event::{BUY, DEPTH, DEPTH_CLEAR, DEPTH_SNAPSHOT, Event, SELL, TRADE, nearest};
use order::{Events, Ordered};

/// The kinds that make events.
pub(crate) const KINDS: [Kind; 5] =
    [Kind::Trade, Kind::AggTrade, Kind::DetailedTrade, Kind::BookSnapshot, Kind::BookDelta];

/// Bytes that are handed to the archive at once.
const WRITE_BYTES: usize = 64 << 10;

/// The events of one instrument.
struct Stream {
    name: String,
    events: Events,
    span: Span,
}

/// The files of a day.
pub(crate) struct Files {
    out: PathBuf,
    day: Day,
    memory_bytes: usize,
    held_bytes: usize,
    takes_aggregates: bool,
    streams: HashMap<InstrumentId, Stream>,
    names: HashSet<String>,
}

impl Files {
    pub(crate) fn new(request: &Request<'_>, day: Day) -> Files {
        Files {
            out: request.out.to_owned(),
            day,
            memory_bytes: request.memory_bytes,
            held_bytes: 0,
            takes_aggregates: request.takes_aggregates(),
            streams: HashMap::new(),
            names: HashSet::new(),
        }
    }

    /// Lets `write` append events of an instrument.
    fn append(&mut self, entry: &Entry<'_>, write: impl FnOnce(&mut Events)) -> Result<(), ExportError> {
        let id = entry.instrument.id;
        if !self.streams.contains_key(&id) {
            let stream = self.stream(entry.instrument)?;
            self.streams.insert(id, stream);
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let before = stream.events.held_bytes();
        write(&mut stream.events);
        stream.span.add(entry.sequence);
        self.held_bytes += stream.events.held_bytes() - before;
        if self.held_bytes > self.memory_bytes {
            self.spill_largest()?;
        }
        Ok(())
    }

    fn stream(&mut self, instrument: &Instrument) -> Result<Stream, ExportError> {
        let [venue, market, symbol] =
            [&instrument.venue, &instrument.market, &instrument.symbol].map(|name| encoded(name));
        let name = format!("{venue}_{market}_{symbol}_{}.npz", self.day);
        if !self.names.insert(name.clone()) {
            return Err(ExportError::SameFile { path: name });
        }
        let events = Events::new(self.out.join(format!("{name}.spill")));
        Ok(Stream { name, events, span: Span::EMPTY })
    }

    fn spill_largest(&mut self) -> Result<(), ExportError> {
        while self.held_bytes > self.memory_bytes / 2 {
            let largest = self.streams.values_mut().max_by_key(|stream| stream.events.held_bytes());
            let Some(stream) = largest.filter(|stream| stream.events.held_bytes() > 0) else { break };
            self.held_bytes = self.held_bytes.saturating_sub(stream.events.held_bytes());
            stream.events.spill()?;
        }
        Ok(())
    }

    fn trade(
        &mut self,
        entry: &Entry<'_>,
        header: &Header,
        side: u8,
        (price, quantity): (i64, i64),
    ) -> Result<Option<&'static str>, ExportError> {
        let side = match side {
            side if side == Side::Buy as u8 => BUY,
            side if side == Side::Sell as u8 => SELL,
            _ => 0,
        };
        let exchange_ns =
            if header.exchange_ns == TIME_MISSING { header.receive_ns } else { header.exchange_ns };
        let event = Event {
            ev: TRADE | side,
            exchange_ns,
            local_ns: header.receive_ns,
            price: nearest(price, header.price_exponent),
            quantity: nearest(quantity, header.quantity_exponent),
            index: 0,
        };
        self.append(entry, |events| events.push(event))?;
        Ok(None)
    }
}

impl DayWriter for Files {
    fn record(&mut self, entry: &Entry<'_>) -> Result<Option<&'static str>, ExportError> {
        match entry.record {
            RecordRef::AggTrade(_) if !self.takes_aggregates => Ok(Some("agg_trade")),
            RecordRef::AggTrade(trade) => {
                self.trade(entry, &trade.header, trade.side, (trade.price, trade.quantity))
            }
            // Counted by the caller.
            RecordRef::Gap(_) => Ok(None),
            record => match record.trade() {
                Some(trade) => self.trade(entry, &trade.header, trade.side, (trade.price, trade.quantity)),
                None => Ok(Some("no_file_of_this_kind")),
            },
        }
    }

    fn book(&mut self, entry: &Entry<'_>, book: &TrackedBook, change: Change) -> Result<(), ExportError> {
        self.append(entry, |events| match (change, entry.record) {
            (Change::Levels, RecordRef::Book(record, levels)) => {
                let exponents = (record.header.price_exponent, record.header.quantity_exponent);
                let (bids, asks) = sides(record, levels);
                bids.iter().for_each(|bid| events.push(depth(book, DEPTH | BUY, *bid, exponents)));
                asks.iter().for_each(|ask| events.push(depth(book, DEPTH | SELL, *ask, exponents)));
            }
            (Change::Begins, _) => {
                clear(events, book);
                let levels = book.book();
                let exponents = (levels.price_exponent(), levels.quantity_exponent());
                levels.bids().for_each(|bid| events.push(depth(book, DEPTH_SNAPSHOT | BUY, bid, exponents)));
                levels.asks().for_each(|ask| events.push(depth(book, DEPTH_SNAPSHOT | SELL, ask, exponents)));
            }
            (Change::Ends, _) => clear(events, book),
            _ => {}
        })
    }

    fn finish(self: Box<Self>, day: &mut FinishedDay) -> Result<(), ExportError> {
        let mut streams: Vec<_> = self.streams.into_iter().collect();
        streams.sort_unstable_by_key(|(id, _)| *id);
        for (_, Stream { name, events, span }) in streams {
            let events = events.ordered();
            if events.local_shift_ns > 0 {
                day.local_shift_ns.insert(name.clone(), events.local_shift_ns);
            }
            day.files.push(write(PartFile::new(&self.out, name), &events, span)?);
            events.remove_spill()?;
        }
        Ok(())
    }
}

fn depth(book: &TrackedBook, ev: u64, level: Level, exponents: (i8, i8)) -> Event {
    Event {
        ev,
        exchange_ns: book.exchange_ns,
        local_ns: book.receive_ns,
        price: nearest(level.price, exponents.0),
        quantity: nearest(level.quantity, exponents.1),
        index: 0,
    }
}

/// Removes all levels: a clear without a side means both.
fn clear(events: &mut Events, book: &TrackedBook) {
    let level = Level::default();
    events.push(depth(book, DEPTH_CLEAR, level, (0, 0)));
}

/// Writes the archive.
fn write(part: PartFile, events: &Ordered, span: Span) -> Result<ExportedFile, ExportError> {
    let name = part.name().to_owned();
    let failed = |error: std::io::Error| ExportError::io("write", name.as_ref(), error);
    let mut count = 0_u64;
    events.each(|_, _| {
        count += 1;
        Ok(())
    })?;
    let mut archive = ZipWriter::new_stream(part);
    let options = SimpleFileOptions::default().compression_level(Some(1)).large_file(true);
    archive.start_file("data.npy", options).map_err(|error| failed(error.into()))?;
    archive.write_all(&header(count)).map_err(failed)?;
    let mut bytes = Vec::with_capacity(WRITE_BYTES);
    events.each(|event, flags| {
        bytes.extend_from_slice(&event.bytes(flags, events.local_shift_ns));
        if bytes.len() >= WRITE_BYTES {
            archive.write_all(&bytes).map_err(failed)?;
            bytes.clear();
        }
        Ok(())
    })?;
    archive.write_all(&bytes).map_err(failed)?;
    let part = archive.finish().map_err(|error| failed(error.into()))?;
    part.into_inner().finish(count, span)
}

/// The head of a NumPy file: 64 bytes or a multiple, so that the events are aligned.
fn header(count: u64) -> Vec<u8> {
    let mut text = format!(
        "{{'descr': [('ev', '<u8'), ('exch_ts', '<i8'), ('local_ts', '<i8'), ('px', '<f8'), ('qty', '<f8'), \
         ('order_id', '<u8'), ('ival', '<i8'), ('fval', '<f8')], 'fortran_order': False, 'shape': ({count},), }}"
    );
    const MAGIC_BYTES: usize = 10;
    let bytes = (MAGIC_BYTES + text.len() + 1).next_multiple_of(64);
    text.extend(std::iter::repeat_n(' ', bytes - MAGIC_BYTES - text.len() - 1));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend_from_slice(&(text.len() as u16).to_le_bytes());
    header.extend_from_slice(text.as_bytes());
    header
}

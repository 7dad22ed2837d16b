//! From a line to records: decoder, normaliser and books, with instruments made up as they are met.

use std::path::Path;
use std::sync::Arc;

use marketprism_core::instrument::{Instrument, InstrumentId, Registry};
use marketprism_core::json;
use marketprism_core::record::{Book, Kind, Level, RecordBuffer, RecordRef, flag};
use marketprism_core::venue::{Continuity, DecodeError, Decoder, Market, Outcome, Venue};
use marketprism_runtime::control::push_definition;
use marketprism_runtime::normaliser::Normaliser;

use super::answers::{Answer, Answers, Match};
use super::lines::MAX_LINE_BYTES;
use super::output::{Closed, Output};
use crate::commands::inspect::output::counted;

/// Most symbols that are taken without a definition. No market has as many; garbage may.
const MAX_UNKNOWN_SYMBOLS: usize = 20_000;

/// Everything between a line and its records.
pub(super) struct Pipeline {
    venue: Arc<dyn Venue>,
    market: &'static Market,
    registry: Registry,
    decoder: Box<dyn Decoder>,
    normaliser: Normaliser,
    /// Instruments whose deltas make a book, by id.
    tracked: Vec<bool>,
    answers: Answers,
    decoded: RecordBuffer,
    normalised: RecordBuffer,
    unknown_symbols: usize,
    lines: u64,
    refusals: u64,
    /// Where the lines go.
    pub(super) output: Output,
}

impl Pipeline {
    /// With `amounts`, trades and liquidations get their base and quote amounts.
    pub(super) fn new(venue: Arc<dyn Venue>, market: &'static Market, amounts: bool) -> Pipeline {
        let mut registry = Registry::default();
        registry.define(Instrument::market(venue.name(), market.name));
        Pipeline {
            decoder: venue.decoder(market, registry.symbols(venue.name(), market.name)),
            output: Output::new(&*venue, market, amounts),
            answers: Answers::new(market.continuity),
            normaliser: Normaliser::new(),
            tracked: vec![],
            decoded: RecordBuffer::default(),
            normalised: RecordBuffer::default(),
            unknown_symbols: 0,
            lines: 0,
            refusals: 0,
            venue,
            market,
            registry,
        }
    }

    /// Number of lines so far.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether the stream itself brings the books, so that REST answers are of no use.
    fn is_chained(&self) -> bool {
        self.market.continuity == Continuity::Chained
    }

    /// Takes a REST answer that comes when the book of `symbol` asks for it.
    pub(super) fn add_snapshot_file(
        &mut self,
        symbol: &str,
        file: &Path,
        body: &[u8],
        now_ns: i64,
    ) -> Result<(), DecodeError> {
        let instrument = self.instrument(symbol);
        let mut records = RecordBuffer::default();
        self.venue.parse_snapshot(self.market, instrument, body, now_ns, &mut records)?;
        self.answers.add(Answer::new(records, Some(instrument), file.display().to_string()));
        Ok(())
    }

    /// Takes one line.
    pub(super) fn line(&mut self, line: &[u8], now_ns: i64) -> Result<(), Closed> {
        self.lines += 1;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        if let Err(error) = std::str::from_utf8(line) {
            return self.output.error(&format!("not UTF-8 text: {error}"), line, now_ns);
        }
        match self.decode(line, now_ns) {
            Ok(outcome) => {
                self.refusals += u64::from(matches!(outcome, Outcome::Refused { .. }));
                self.pass_on(now_ns)
            }
            Err(error @ DecodeError::Json(_)) => self.output.error(&error.to_string(), line, now_ns),
            Err(error) => self.not_a_frame(line, &error, now_ns),
        }
    }

    /// Decodes one line. Symbols that are met for the first time become instruments.
    fn decode(&mut self, line: &[u8], now_ns: i64) -> Result<Outcome, DecodeError> {
        loop {
            self.decoded.clear();
            let ignored = self.decoder.counts().ignored;
            let outcome = self.decoder.decode(line, now_ns, &mut self.decoded);
            let unknown = match &outcome {
                Err(DecodeError::UnknownSymbol(symbol)) => vec![symbol.clone()],
                Ok(Outcome::Data) if self.decoder.counts().ignored > ignored => self.venue.symbols_in(line),
                _ => vec![],
            };
            let learnt = unknown.iter().filter(|symbol| self.learn(symbol)).count();
            if learnt == 0 {
                return outcome;
            }
        }
    }

    /// Takes the beginning of a line that is too long.
    pub(super) fn too_long(&mut self, start: &[u8], now_ns: i64) -> Result<(), Closed> {
        self.lines += 1;
        let reason = format!("longer than {} MiB; its beginning is shown", MAX_LINE_BYTES >> 20);
        self.output.error(&reason, start.get(..1024).unwrap_or(start), now_ns)
    }

    /// Writes an error line.
    pub(super) fn error(&mut self, reason: &str, frame: &[u8], now_ns: i64) -> Result<(), Closed> {
        self.output.error(reason, frame, now_ns)
    }

    /// The id of a symbol, which is defined by its name alone if it is not known.
    fn instrument(&mut self, symbol: &str) -> InstrumentId {
        let (venue, market) = (self.venue.name(), self.market.name);
        if let Some(id) = self.registry.find(venue, market, symbol) {
            return id;
        }
        let (id, _) = self.registry.define(self.venue.instrument_by_name(self.market, symbol));
        self.decoder.learn(symbol.as_bytes(), id);
        self.unknown_symbols += 1;
        id
    }

    /// Makes the decoder know a symbol. False where that is no help.
    fn learn(&mut self, symbol: &str) -> bool {
        let known = self.registry.find(self.venue.name(), self.market.name, symbol);
        if symbol.is_empty() || known.is_some() || self.unknown_symbols >= MAX_UNKNOWN_SYMBOLS {
            return false;
        }
        self.instrument(symbol);
        true
    }

    /// Passes decoded records through the normaliser and writes what it gives.
    fn pass_on(&mut self, now_ns: i64) -> Result<(), Closed> {
        let decoded = std::mem::take(&mut self.decoded);
        for record in decoded.iter() {
            match record {
                RecordRef::Book(book, levels) if book.header.kind == Kind::BookDelta as u8 => {
                    self.delta(book, levels, now_ns);
                }
                RecordRef::Book(book, _) if self.starts_book(book) => {
                    self.track(book.header.instrument);
                    self.normaliser.process(record, &mut self.normalised);
                }
                _ => self.normaliser.process(record, &mut self.normalised),
            }
        }
        self.decoded = decoded;
        self.write()
    }

    fn write(&mut self) -> Result<(), Closed> {
        self.output.records(&self.normalised, &self.registry)?;
        self.normalised.clear();
        Ok(())
    }

    /// Whether a snapshot is one that a stream brings for its deltas to go on from.
    fn starts_book(&self, book: &Book) -> bool {
        self.is_chained() && book.header.flags & (flag::REST | flag::PARTIAL) == 0
    }

    fn delta(&mut self, book: &Book, levels: &[Level], now_ns: i64) {
        let instrument = book.header.instrument;
        self.track(instrument);
        self.normaliser.process(RecordRef::Book(book, levels), &mut self.normalised);
        if !self.is_chained() && self.normaliser.valid_book(instrument).is_none() {
            self.answers.hold(book, levels);
            while let Some(found) = self.answers.take_for(instrument) {
                self.deliver(&found, now_ns);
            }
        }
    }

    fn track(&mut self, instrument: InstrumentId) {
        let index = instrument as usize;
        if self.tracked.len() <= index {
            self.tracked.resize(index + 1, false);
        }
        if !std::mem::replace(&mut self.tracked[index], true) {
            self.normaliser.track_book(instrument, self.market.continuity, false);
        }
    }

    /// Gives a REST answer to the book that it is for.
    fn deliver(&mut self, found: &Match, now_ns: i64) {
        self.track(found.instrument);
        let (mut book, levels) = found.answer.book();
        book.header.instrument = found.instrument;
        book.header.receive_ns = now_ns;
        self.normaliser.process(RecordRef::Book(&book, levels), &mut self.normalised);
        if self.normaliser.valid_book(found.instrument).is_some() {
            self.answers.forget(found.instrument);
        }
    }

    /// A line that the decoder refuses may be a REST answer.
    fn not_a_frame(&mut self, line: &[u8], error: &DecodeError, now_ns: i64) -> Result<(), Closed> {
        let mut records = RecordBuffer::default();
        let parsed = self.venue.parse_snapshot(self.market, 0, line, now_ns, &mut records);
        if !self.is_chained() && parsed.is_ok() {
            let symbol = symbol_of(line);
            let instrument = symbol.map(|symbol| self.instrument(&symbol));
            self.answers.add(Answer::new(records, instrument, format!("line {}", self.lines)));
            while let Some(found) = self.answers.take_newest() {
                self.deliver(&found, now_ns);
            }
            return self.write();
        }
        match self.venue.parse_instruments(self.market, line) {
            Ok((instruments, unread)) => self.define(instruments, &unread, now_ns),
            Err(_) => self.output.error(&error.to_string(), line, now_ns),
        }
    }

    /// Takes definitions from the venue's list of instruments.
    fn define(&mut self, instruments: Vec<Instrument>, unread: &[String], now_ns: i64) -> Result<(), Closed> {
        for instrument in instruments {
            let (id, changed) = self.registry.define(instrument);
            if let Some(defined) = self.registry.get(id).filter(|_| changed) {
                self.decoder.learn(defined.venue_symbol.as_bytes(), id);
                push_definition(defined, now_ns, &mut self.normalised);
            }
        }
        self.write()?;
        for entry in unread {
            self.output.error(&format!("instrument {entry}"), b"", now_ns)?;
        }
        Ok(())
    }

    /// The end: answers that wait for a later delta are used, and everything held is written.
    pub(super) fn finish(&mut self, now_ns: i64) -> Result<(), Closed> {
        while let Some(found) = self.answers.take_at_end() {
            self.deliver(&found, now_ns);
        }
        self.normaliser.finish(now_ns, &mut self.normalised);
        self.write()
    }

    /// Writes the best levels of every valid book; all of them where `most` is 0.
    pub(super) fn write_books(&mut self, most: usize) -> Result<(), Closed> {
        let most = if most == 0 { usize::MAX } else { most };
        for instrument in self.registry.all() {
            let Some(synced) = self.normaliser.valid_book(instrument.id) else { continue };
            let (book, last_id) = (synced.book(), synced.last_id().unwrap_or(0));
            let exponents = (book.price_exponent(), book.quantity_exponent());
            let (bids, asks) = (book.bids().take(most), book.asks().take(most));
            self.output.with(|out| json::write_book(out, instrument, last_id, exponents, bids, asks))?;
        }
        Ok(())
    }

    /// What a reader of the records should know besides.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.answers.notes(&self.registry);
        let counts = self.normaliser.counts();
        if counts.duplicates > 0 {
            notes.push(format!("{} left out: seen before", counted(counts.duplicates, "message")));
        }
        if self.refusals > 0 {
            notes.push(format!(
                "{} from the venue refuse a request and hold no data",
                counted(self.refusals, "message")
            ));
        }
        let invalid = (0..).zip(&self.tracked).filter(|(_, tracked)| **tracked);
        let invalid = invalid.filter(|(id, _)| self.normaliser.valid_book(*id).is_none());
        let names: Vec<&str> =
            invalid.filter_map(|(id, _)| self.registry.get(id)).map(|i| i.venue_symbol.as_str()).collect();
        if !names.is_empty() {
            let shown = names.iter().take(10).copied().collect::<Vec<_>>().join(", ");
            let more = if names.len() > 10 { ", …" } else { "" };
            notes.push(format!(
                "{} not valid at the end, for want of a snapshot: {shown}{more}",
                counted(names.len() as u64, "book")
            ));
        }
        notes
    }
}

/// The symbol that a REST answer names, if it does.
fn symbol_of(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        symbol: Option<String>,
    }
    serde_json::from_slice::<Named>(body).ok()?.symbol.filter(|symbol| !symbol.is_empty())
}

//! JSON lines to standard output.

use std::io::{self, StdoutLock, Write};

use marketprism_core::instrument::{Instrument, Registry};
use marketprism_core::record::{MAX_BODY_BYTES, RecordBuffer};
use marketprism_core::venue::Market;
use marketprism_core::{json, venue::Venue};

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 16;

/// Why nothing more can be written.
#[derive(Debug)]
pub(super) enum Closed {
    /// The reader of the output has gone.
    Pipe,
    /// Something else.
    Other(io::Error),
}

/// Where the lines go.
pub(super) struct Output {
    // Standard output's own buffer writes line by line; this one does not.
    buffer: Vec<u8>,
    output: StdoutLock<'static>,
    sequence: u64,
    errors: u64,
    amounts: bool,
    counts_contracts: bool,
    /// For records of instruments without a definition.
    unknown: Instrument,
}

impl Output {
    pub(super) fn new(venue: &dyn Venue, market: &Market, amounts: bool) -> Output {
        Output {
            buffer: Vec::with_capacity(2 * BUFFER_BYTES),
            output: io::stdout().lock(),
            sequence: 0,
            errors: 0,
            amounts,
            counts_contracts: market.counts_contracts,
            unknown: Instrument::market(venue.name(), market.name),
        }
    }

    /// Number of error lines.
    pub(super) fn errors(&self) -> u64 {
        self.errors
    }

    /// Writes records; their sequence counts from 0.
    pub(super) fn records(&mut self, records: &RecordBuffer, registry: &Registry) -> Result<(), Closed> {
        for record in records.iter() {
            let instrument = registry.get(record.header().instrument).unwrap_or(&self.unknown);
            // Where quantities count contracts only the definition tells what one is worth.
            let known = instrument.multiplier.is_some() || !self.counts_contracts;
            let with_amounts = self.amounts && known;
            let write = if with_amounts { json::write_record_with_amounts } else { json::write_record };
            write(&mut self.buffer, record, instrument, self.sequence);
            self.sequence += 1;
        }
        self.flush_if_full()
    }

    /// Writes an error line. Of a long frame only the beginning is shown, as in the recorder's raw records.
    pub(super) fn error(&mut self, reason: &str, frame: &[u8], receive_ns: i64) -> Result<(), Closed> {
        self.errors += 1;
        let (venue, market) = (&self.unknown.venue, &self.unknown.market);
        let shown = frame.get(..MAX_BODY_BYTES).unwrap_or(frame);
        json::write_error(&mut self.buffer, venue, market, receive_ns, reason, shown);
        self.flush_if_full()
    }

    /// Writes whatever `write` appends.
    pub(super) fn with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Closed> {
        write(&mut self.buffer);
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> Result<(), Closed> {
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    /// Hands everything to the reader.
    pub(super) fn flush(&mut self) -> Result<(), Closed> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let result = self.output.write_all(&self.buffer).and_then(|()| self.output.flush());
        self.buffer.clear();
        result.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Closed::Pipe,
            _ => Closed::Other(error),
        })
    }
}

//! What is kept of the frames of one connection.

use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::{RecordBuffer, Sink};
use marketprism_core::venue::{DecodeError, Decoder, Outcome};

use super::Origin;
use super::history::History;
use crate::journal;
use crate::normaliser::Hole;
use crate::settings::RawCapture;

/// Holes of a connection whose frames are kept, in a second; a broken stream must not flood the log.
const HOLES_PER_SECOND: u32 = 10;
/// One second, nanoseconds.
const SECOND_NS: i64 = 1_000_000_000;

/// Decodes the frames of a connection, and keeps what its mode says.
pub struct FrameKeeper {
    origin: Origin,
    mode: Mode,
    /// A reason with what follows it.
    body: Vec<u8>,
    /// Records of the present frame.
    decoded: RecordBuffer,
    holes: Holes,
}

enum Mode {
    Off,
    Errors(History),
    All,
}

/// Meters the holes whose frames are kept.
#[derive(Default)]
struct Holes {
    /// The second of the newest one.
    second: i64,
    /// Their number in it.
    count: u32,
    /// Holes since the last one that was kept.
    passed_over: u32,
}

impl Holes {
    fn admit(&mut self, receive_ns: i64) -> bool {
        let second = receive_ns.div_euclid(SECOND_NS);
        if second != self.second {
            (self.second, self.count) = (second, 0);
        }
        self.count += 1;
        self.count <= HOLES_PER_SECOND
    }
}

/// What became of the frames around a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// They are kept, now or before.
    Yes,
    /// They are too old.
    Gone,
    /// There are too many holes; they are counted in the reason of the next one.
    Limited,
    /// The mode keeps none, or all anyway.
    NotWanted,
}

impl FrameKeeper {
    /// For the frames of a connection of a market.
    pub fn new(mode: RawCapture, origin: Origin) -> FrameKeeper {
        let mode = match mode {
            RawCapture::Off => Mode::Off,
            RawCapture::Errors => Mode::Errors(History::new()),
            RawCapture::All => Mode::All,
        };
        FrameKeeper {
            origin,
            mode,
            body: Vec::new(),
            decoded: RecordBuffer::default(),
            holes: Holes::default(),
        }
    }

    /// Decodes a frame. What is kept of it comes before its records.
    #[inline]
    pub fn decode(
        &mut self,
        decoder: &mut dyn Decoder,
        frame: &[u8],
        receive_ns: i64,
        sink: &mut dyn Sink,
    ) -> Result<Outcome, DecodeError> {
        let FrameKeeper { origin, mode, body, decoded, .. } = self;
        let mut keep = |reason: &str, sink: &mut dyn Sink| {
            origin.push((receive_ns, 0), reason, frame, body, sink);
        };
        match mode {
            Mode::Off => decoder.decode(frame, receive_ns, sink),
            Mode::Errors(history) => {
                let outcome = decoder.decode(frame, receive_ns, sink);
                if let Err(error) = &outcome {
                    keep(&error.to_string(), sink);
                }
                history.push(frame, receive_ns, outcome.is_err());
                outcome
            }
            Mode::All => {
                decoded.clear();
                let outcome = decoder.decode(frame, receive_ns, decoded);
                match &outcome {
                    Ok(_) => keep("", sink),
                    Err(error) => keep(&error.to_string(), sink),
                }
                decoded.iter().for_each(|record| sink.push_ref(record));
                outcome
            }
        }
    }

    /// Keeps the frame that revealed a hole, and the one before it.
    pub fn keep_around(&mut self, hole: &Hole, decoder: &mut dyn Decoder, sink: &mut dyn Sink) -> Kept {
        let FrameKeeper { origin, mode: Mode::Errors(history), body, decoded, holes } = self else {
            return Kept::NotWanted;
        };
        if !holes.admit(hole.receive_ns) {
            holes.passed_over += 1;
            return Kept::Limited;
        }
        // Frames of one read share their receive time; what each gives tells them apart.
        let reveals = |frame: &[u8]| {
            decoded.clear();
            decoder.decode(frame, hole.receive_ns, decoded).is_ok()
                && decoded.iter().any(|record| hole.is_revealed_by(record))
        };
        let Some(number) = history.find(hole.receive_ns, reveals) else {
            holes.passed_over += 1;
            return Kept::Gone;
        };
        let passed_over = match std::mem::take(&mut holes.passed_over) {
            0 => String::new(),
            count => format!("; frames around {count} holes before it were not kept"),
        };
        let before = number.checked_sub(1).map(|before| (before, " (the frame before)"));
        for (number, place) in before.into_iter().chain([(number, "")]) {
            if let Some((frame, receive_ns)) = history.take(number) {
                let reason = format!("touched a hole: {hole}{place}{passed_over}");
                origin.push((receive_ns, 0), &reason, frame, body, sink);
            }
        }
        Kept::Yes
    }

    /// The decoder begins, and knows these symbols.
    pub(crate) fn begin(&self, symbols: &[(String, InstrumentId)], sink: &mut dyn Sink) {
        if let Mode::All = self.mode {
            journal::push_decoder(self.origin, sink);
            journal::push_symbols(self.origin, symbols, sink);
        }
    }

    /// The decoder learned more symbols.
    pub(crate) fn learned(&self, symbols: &[(String, InstrumentId)], sink: &mut dyn Sink) {
        if let Mode::All = self.mode {
            journal::push_symbols(self.origin, symbols, sink);
        }
    }
}

#[cfg(test)]
mod tests;

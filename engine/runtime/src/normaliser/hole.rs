//! Holes that a message revealed while its connection was up: the bytes around them are worth keeping.

use std::fmt;

use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::{GapReason, Header, Kind, RecordRef};

/// A hole, and the message that revealed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The instrument.
    pub instrument: InstrumentId,
    /// The stream.
    pub stream: Kind,
    /// [`GapReason`]: sequence, reset or checksum.
    pub reason: u8,
    /// First and last missing id, as in the gap.
    pub ids: (u64, u64),
    /// Id of the message.
    pub sequence: u64,
    /// Exchange time of the message.
    pub exchange_ns: i64,
    /// When the message was received, wall clock, nanoseconds.
    pub receive_ns: i64,
}

impl Hole {
    /// The hole before `next`, where the message itself is what is wrong: not an interruption that is known anyway.
    pub(super) fn revealed_by(next: &Header, stream: Kind, reason: u8, ids: (u64, u64)) -> Option<Hole> {
        const REVEALED: [u8; 3] =
            [GapReason::Sequence as u8, GapReason::Reset as u8, GapReason::Checksum as u8];
        REVEALED.contains(&reason).then_some(Hole {
            instrument: next.instrument,
            stream,
            reason,
            ids,
            sequence: next.sequence,
            exchange_ns: next.exchange_ns,
            receive_ns: next.receive_ns,
        })
    }

    /// Whether this is the record that revealed it.
    pub(crate) fn is_revealed_by(&self, record: RecordRef<'_>) -> bool {
        let header = record.header();
        let stream = |kind: Kind| match kind.stream() {
            // The snapshots of a chained book are part of the stream of its deltas.
            Kind::BookSnapshot => Kind::BookDelta,
            other => other,
        };
        record.kind().is_some_and(|kind| stream(kind) == self.stream)
            && (header.instrument, header.sequence, header.exchange_ns)
                == (self.instrument, self.sequence, self.exchange_ns)
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stream, (from, to)) = (self.stream.name(), self.ids);
        match to {
            0 => {
                let reason = GapReason::name(self.reason).unwrap_or("unknown");
                write!(formatter, "{stream} {reason} at {}", self.sequence)
            }
            _ => write!(formatter, "{stream} {from}..{to}"),
        }
    }
}

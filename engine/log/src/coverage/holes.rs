//! What is missing: by gap records, and by the ids of the records around.

use marketprism_core::record::{Gap, GapReason, Kind};

use super::{Coverage, Reason, Span, Status};
use crate::verify::uncovered;

/// Reported holes that records have not reached yet. Where there are more the oldest is forgotten.
const MOST_TOLD: usize = 1024;

impl Coverage {
    /// The first record after a gap record without an end.
    pub(super) fn end_hole(&mut self, at: usize, first_id: u64) {
        if let Some(open) = self.streams[at].open.as_mut().filter(|open| open.is_open_ended())
            && (1..first_id).contains(&open.first_id)
        {
            open.last_id = first_id - 1;
        }
    }

    /// A record showed that these ids are missing before it. What no gap record told of is a span without a reason.
    pub(super) fn hole(&mut self, at: usize, from: u64, to: u64, now_ns: i64) {
        let stream = &mut self.streams[at];
        if let Some(open) = stream.open.as_mut().filter(|open| open.is_open_ended()) {
            (open.first_id, open.last_id) = (from, to);
            return;
        }
        let told = self.told.iter().filter(|(of, ..)| *of == at).map(|(_, from, to)| (*from, *to));
        for (from, to) in uncovered(from, to, told) {
            self.missing(at, from, to, now_ns);
        }
    }

    /// A hole that no gap record tells of.
    pub(super) fn missing(&mut self, at: usize, first_id: u64, last_id: u64, last_ns: i64) {
        let before = self.streams[at].open.as_ref();
        let first_ns = before.map_or(last_ns, |open| open.last_ns);
        let status = Status::Missing;
        self.open(at, Span { status, reason: None, first_id, last_id, first_ns, last_ns, records: 0 });
    }

    #[cold]
    pub(super) fn gap(&mut self, gap: &Gap) {
        let Some(kind) = Kind::from_number(gap.stream).map(Kind::stream) else { return };
        let at = self.slot(gap.header.instrument, kind);
        let span = Span {
            status: Status::Missing,
            reason: Reason::of_gap(gap.reason),
            first_id: gap.from_id,
            last_id: gap.to_id,
            first_ns: gap.from_ns,
            last_ns: gap.header.receive_ns,
            records: u64::from(gap.records),
        };
        if gap.repaired != 0 {
            return self.open(at, Span { status: Status::Repaired, records: 0, ..span });
        }
        if gap.reason == GapReason::Checksum as u8 {
            return self.open(at, Span { status: Status::Suspect, records: 0, ..span });
        }
        if gap.reason == GapReason::Reset as u8 {
            self.forget_told(at, u64::MAX);
            self.streams[at].chain = 0;
            return self.open(at, span);
        }
        match span.ids() {
            0 => self.open(at, span),
            _ => self.named_gap(at, span),
        }
    }

    /// A gap record with both its ends. It may come before records that lie before it. Ids that are there, or that
    /// another one told of, are not missing once more.
    pub(super) fn named_gap(&mut self, at: usize, span: Span) {
        let from = span.first_id.max(self.streams[at].chain.saturating_add(1));
        let told = self.told.iter().filter(|(of, ..)| *of == at).map(|(_, from, to)| (*from, *to));
        let parts = if from <= span.last_id { uncovered(from, span.last_id, told) } else { Vec::new() };
        if parts.is_empty() {
            return self.open(at, Span { first_id: 0, last_id: 0, ..span });
        }
        for (first_id, last_id) in parts {
            let is_whole = (first_id, last_id) == (span.first_id, span.last_id);
            let records = if is_whole { span.records } else { 0 };
            self.open(at, Span { first_id, last_id, records, ..span });
            if self.told.len() == MOST_TOLD {
                self.told.remove(0);
            }
            self.told.push((at, first_id, last_id));
            self.streams[at].told = true;
        }
    }

    /// Forgets the reported holes of a stream up to an id that its records have reached.
    pub(super) fn forget_told(&mut self, at: usize, chain: u64) {
        if self.streams[at].told {
            self.told.retain(|(of, _, to)| *of != at || *to > chain);
            self.streams[at].told = self.told.iter().any(|(of, ..)| *of == at);
        }
    }
}

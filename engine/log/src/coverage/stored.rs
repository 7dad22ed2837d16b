//! The ledger as session records, and back.

use std::collections::{BTreeMap, BTreeSet};

use bytemuck::Zeroable;
use marketprism_core::record::{Body, Header, Kind, Record, Session, SessionEvent, Sink};
use serde::{Deserialize, Serialize};

use super::{Span, StreamKey};

/// Most spans in one record: its body stays below 64 KiB however long the numbers are.
const SPANS_PER_RECORD: usize = 200;

/// The body of a coverage record: some spans of one stream of its segment.
#[derive(Serialize, Deserialize)]
struct Part<S> {
    /// The stream; the instrument is in the record's header.
    stream: Kind,
    /// Whether more spans of the stream follow in another record of the segment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    more: bool,
    spans: S,
}

/// Writes spans, which are in the order of their streams. `more`: each stream has further ones.
pub(super) fn write(spans: &[(StreamKey, Span)], more: bool, now_ns: i64, out: &mut dyn Sink) {
    let (mut list, mut body) = (Vec::new(), Vec::new());
    for stream in spans.chunk_by(|a, b| a.0 == b.0) {
        let mut parts = stream.chunks(SPANS_PER_RECORD).peekable();
        while let Some(part) = parts.next() {
            let Some(((instrument, kind), _)) = part.first() else { continue };
            list.clear();
            list.extend(part.iter().map(|(_, span)| *span));
            let part = Part { stream: *kind, more: more || parts.peek().is_some(), spans: &list };
            body.clear();
            // Nothing in it can fail: numbers and names, written to memory.
            let _ = serde_json::to_writer(&mut body, &part);
            let record = Session {
                header: Header::new(Kind::Session, *instrument, now_ns),
                body: Body { start: 0, bytes: body.len() as u32 },
                event: SessionEvent::Coverage as u8,
                ..Session::zeroed()
            };
            out.append(record.lines(), &body);
        }
    }
}

/// The ledger that is stored in one segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredLedger {
    spans: BTreeMap<StreamKey, Vec<Span>>,
    /// Streams whose last part has come.
    ended: BTreeSet<StreamKey>,
}

impl StoredLedger {
    /// Takes a session record; one that is no coverage record is passed over. The error says what is wrong with it.
    pub(crate) fn take(&mut self, session: &Session, body: &[u8]) -> Result<(), String> {
        if session.event != SessionEvent::Coverage as u8 {
            return Ok(());
        }
        let part: Part<Vec<Span>> =
            serde_json::from_slice(body).map_err(|error| format!("coverage record is not valid: {error}"))?;
        let stream = (session.header.instrument, part.stream);
        if self.ended.contains(&stream) {
            return Err(format!("coverage record of {} after its last one", part.stream));
        }
        if !part.more {
            self.ended.insert(stream);
        }
        self.spans.entry(stream).or_default().extend(part.spans);
        Ok(())
    }

    /// Whether there is one, and the last part of every stream of it has come.
    pub(crate) fn is_complete(&self) -> bool {
        !self.spans.is_empty() && self.spans.keys().all(|stream| self.ended.contains(stream))
    }

    /// The spans by stream.
    pub(crate) fn spans(&self) -> &BTreeMap<StreamKey, Vec<Span>> {
        &self.spans
    }

    /// How it differs from the ledger recomputed from the segment's records, stream by stream. In a segment that its
    /// writer could not end a stream may end early or be left out.
    pub(crate) fn differences(
        &self,
        computed: &BTreeMap<StreamKey, Vec<Span>>,
        was_ended: bool,
    ) -> Vec<(StreamKey, String)> {
        let streams: BTreeSet<&StreamKey> = self.spans.keys().chain(computed.keys()).collect();
        let difference = |stream: &StreamKey| match (self.spans.get(stream), computed.get(stream)) {
            (Some(stored), computed) => {
                let may_end_early = !was_ended && !self.ended.contains(stream);
                difference(stored, computed.map_or(&[], Vec::as_slice), may_end_early)
            }
            (None, Some(computed)) if was_ended => {
                Some(format!("the stored ledger leaves it out; recomputed are {} spans", computed.len()))
            }
            (None, _) => None,
        };
        streams.into_iter().filter_map(|stream| Some((*stream, difference(stream)?))).collect()
    }
}

/// The first span that two ledgers of a stream do not agree on.
fn difference(stored: &[Span], computed: &[Span], may_end_early: bool) -> Option<String> {
    let both = stored.len().min(computed.len());
    let at = stored.iter().zip(computed).position(|(a, b)| a != b).unwrap_or(both);
    let text = |span: Option<&Span>| span.map_or("nothing".to_owned(), describe);
    match (stored.get(at), computed.get(at)) {
        (None, None) => None,
        (None, Some(_)) if may_end_early => None,
        (stored, computed) => Some(format!(
            "span {} of its coverage is stored as {} and recomputed as {}",
            at + 1,
            text(stored),
            text(computed)
        )),
    }
}

/// A span for a message.
fn describe(span: &Span) -> String {
    serde_json::to_string(span).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{Reason, Status};
    use super::*;
    use marketprism_core::record::{MAX_BODY_BYTES, RecordBuffer, RecordRef};

    #[test]
    fn the_longest_spans_fit_and_come_back() {
        let span = Span {
            status: Status::Contiguous,
            reason: Some(Reason::Resynchronised),
            first_id: u64::MAX,
            last_id: u64::MAX,
            first_ns: i64::MIN + 1,
            last_ns: i64::MIN + 1,
            records: u64::MAX,
        };
        let stream = (7, Kind::VolatilityIndex);
        let spans = vec![(stream, span); 2 * SPANS_PER_RECORD + 1];
        let mut records = RecordBuffer::default();
        write(&spans, false, 5, &mut records);
        let mut stored = StoredLedger::default();
        let mut count = 0;
        for record in records.iter() {
            let RecordRef::Session(session, body) = record else { panic!("{record:?}") };
            assert!(body.len() < MAX_BODY_BYTES, "{} bytes", body.len());
            assert!(!stored.is_complete());
            stored.take(session, body).unwrap();
            count += 1;
        }
        assert_eq!(count, 3);
        assert!(stored.is_complete());
        let all = stored.spans()[&stream].iter().map(|span| (stream, *span)).collect::<Vec<_>>();
        assert_eq!(all, spans);
    }
}

//! Streams that were subscribed and never deliver: an acknowledgement is not data.

use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::Kind;

use crate::normaliser::Normaliser;
use crate::telemetry::{EventSender, Severity};

/// A stream must have delivered something by this time after the start, nanoseconds.
const FIRST_RECORD_LIMIT_NS: i64 = 60_000_000_000;
/// Silent streams named one by one; the rest is counted.
const NAMED: usize = 20;

/// A stream that is expected to deliver.
#[derive(Clone, Debug)]
pub struct ExpectedStream {
    /// Its instrument.
    pub instrument: InstrumentId,
    /// The kind of its records.
    pub kind: Kind,
    /// `venue/market symbol`, for people.
    pub label: String,
}

/// Looks once for each stream whether it has been silent since it was subscribed.
#[derive(Debug, Default)]
pub struct SilenceCheck {
    /// Streams with the time since when they are expected, oldest first.
    expected: Vec<(ExpectedStream, i64)>,
    silent: usize,
}

impl SilenceCheck {
    /// Watches these streams from now (wall clock, nanoseconds) on. Liquidations may be absent for days and are not watched.
    pub fn expect(&mut self, streams: impl IntoIterator<Item = ExpectedStream>, now_ns: i64) {
        let watched = streams.into_iter().filter(|stream| stream.kind != Kind::Liquidation);
        self.expected.extend(watched.map(|stream| (stream, now_ns)));
    }

    /// Expects nothing of an instrument any more.
    pub fn forget(&mut self, instrument: InstrumentId) {
        self.expected.retain(|(stream, _)| stream.instrument != instrument);
    }

    /// Says which streams have not delivered when their time is up. Returns the number of all that were found silent.
    pub fn tick(&mut self, now_ns: i64, normaliser: &Normaliser, events: &EventSender) -> usize {
        let due =
            self.expected.iter().take_while(|(_, since)| now_ns - since >= FIRST_RECORD_LIMIT_NS).count();
        if due == 0 {
            return self.silent;
        }
        let mut silent: Vec<(ExpectedStream, i64)> = self.expected.drain(..due).collect();
        silent.retain(|(stream, since)| {
            let last_ns = normaliser.last_receive_ns(stream.instrument, stream.kind);
            // What an earlier run recorded does not count.
            last_ns.is_none_or(|last_ns| last_ns < *since)
        });
        for (stream, _) in silent.iter().take(NAMED) {
            let text = format!(
                "{} {}: subscribed, and nothing has come for {} s; is the instrument traded, and the stream on the \
                 right path?",
                stream.label,
                stream.kind,
                FIRST_RECORD_LIMIT_NS / 1_000_000_000
            );
            events.send(Severity::Warning, text);
        }
        if silent.len() > NAMED {
            events.send(Severity::Warning, format!("{} more streams are silent", silent.len() - NAMED));
        }
        self.silent += silent.len();
        self.silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::events;
    use bytemuck::Zeroable;
    use marketprism_core::record::{Header, Quote, RecordBuffer, RecordRef};

    #[test]
    fn a_stream_that_was_acknowledged_and_never_delivers_is_named_once() {
        let stream = |instrument, kind, label: &str| ExpectedStream { instrument, kind, label: label.into() };
        let expected = vec![
            stream(1, Kind::Quote, "v/m A"),
            stream(2, Kind::Quote, "v/m B"),
            stream(1, Kind::Liquidation, "v/m A"),
        ];
        let mut normaliser = Normaliser::new();
        let quote = Quote { header: Header::new(Kind::Quote, 1, 5), ..Quote::zeroed() };
        normaliser.process(RecordRef::Quote(&quote), &mut RecordBuffer::default());

        let (sender, receiver) = events();
        let mut check = SilenceCheck::default();
        check.expect(expected, 0);
        assert_eq!(check.tick(FIRST_RECORD_LIMIT_NS - 1, &normaliser, &sender), 0);
        assert_eq!(check.tick(FIRST_RECORD_LIMIT_NS, &normaliser, &sender), 1);
        assert_eq!(check.tick(FIRST_RECORD_LIMIT_NS * 2, &normaliser, &sender), 1);
        let mut named = vec![];
        receiver.drain(|event| named.push(event.text.clone()));
        assert!(named.len() == 1 && named[0].starts_with("v/m B quote: subscribed"), "{named:?}");
    }
}

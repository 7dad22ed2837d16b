//! What became of the records that were replayed.

use std::collections::BTreeMap;

/// What was replayed of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayedStream {
    /// Market as the log names it.
    pub market: String,
    /// Name of the stream as the venue writes it, or the path of a REST answer.
    pub stream: String,
    /// Records replayed.
    pub records: u64,
    /// Frames that were sent to at least one client.
    pub frames: u64,
    /// Records whose frame nobody had subscribed.
    pub unsubscribed: u64,
}

/// Counts by stream.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    streams: BTreeMap<(String, String), ReplayedStream>,
}

impl Tally {
    /// Counts one frame, made from so many records, or an answer that a client may ask for later.
    pub(crate) fn count(&mut self, market: &str, stream: &str, records: u64, is_sent: bool) {
        let key = (market.to_owned(), stream.to_owned());
        let entry = self.streams.entry(key).or_insert_with(|| ReplayedStream {
            market: market.to_owned(),
            stream: stream.to_owned(),
            ..ReplayedStream::default()
        });
        entry.records += records;
        match is_sent {
            true => entry.frames += 1,
            false => entry.unsubscribed += records,
        }
    }

    /// The counts, by market and stream.
    pub(crate) fn streams(&self) -> Vec<ReplayedStream> {
        self.streams.values().cloned().collect()
    }
}

//! What was sent: the truth that recorders are compared with.

use super::Disturbance;

/// What was sent on one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLedger {
    /// Market of the stream.
    pub market: String,
    /// Stream name: channel and key, as the venue's streams are listed by [`Handle::streams`](super::Handle::streams).
    pub stream: String,
    /// Subscriptions that ever began.
    pub connections: u64,
    /// Messages sent to at least one connection; a message sent twice by a fault counts once. A snapshot or cached
    /// value for one new subscriber is a message.
    pub messages: u64,
    /// Frames sent, over all connections: with one connection and no fault the same as `messages`.
    pub deliveries: u64,
    /// Payload bytes of those frames, without WebSocket headers.
    pub bytes: u64,
    /// First id sent.
    pub first_id: Option<u64>,
    /// Last id sent.
    pub last_id: Option<u64>,
    /// Messages left out on purpose, the first 100,000 of them: first and last id of each.
    pub dropped: Vec<(u64, u64)>,
    /// Disturbances in the order in which they were set off; one that waits for a message may still wait.
    pub disturbances: Vec<Disturbance>,
}

impl StreamLedger {
    pub(crate) fn new(market: &str, stream: &str) -> Self {
        StreamLedger {
            market: market.to_owned(),
            stream: stream.to_owned(),
            connections: 0,
            messages: 0,
            deliveries: 0,
            bytes: 0,
            first_id: None,
            last_id: None,
            dropped: Vec::new(),
            disturbances: Vec::new(),
        }
    }
}

/// Everything sent and noticed in a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// One entry for each stream that was ever subscribed or disturbed, by market and name.
    pub streams: Vec<StreamLedger>,
    /// Faults injected: a description and how often.
    pub faults_injected: Vec<(String, u64)>,
    /// What clients did against the rules, the first 1000 of them.
    pub violations: Vec<String>,
    /// WebSocket connections accepted.
    pub connections: u64,
    /// True when a capture has nothing more to play.
    pub finished: bool,
}

impl Ledger {
    /// Data frames sent over all streams and connections.
    pub fn deliveries(&self) -> u64 {
        self.streams.iter().map(|stream| stream.deliveries).sum()
    }

    /// Distinct messages sent over all streams.
    pub fn messages(&self) -> u64 {
        self.streams.iter().map(|stream| stream.messages).sum()
    }

    /// The entry of one stream.
    pub fn stream(&self, market: &str, name: &str) -> Option<&StreamLedger> {
        self.streams.iter().find(|stream| stream.market == market && stream.stream == name)
    }

    /// How often faults of one kind were injected; names as in [`Disturbance::name`].
    pub fn injected(&self, name: &str) -> u64 {
        self.faults_injected.iter().find(|(kind, _)| kind == name).map_or(0, |(_, times)| *times)
    }
}

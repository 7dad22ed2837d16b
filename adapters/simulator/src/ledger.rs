//! What was sent: the truth that recorders are compared with.

use crate::config::Market;
use crate::history::ReplayedStream;

/// What was sent on one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLedger {
    /// Market of the stream.
    pub market: Market,
    /// Stream name as subscribed.
    pub stream: String,
    /// Connections that ever subscribed it (on a route that carries it).
    pub connections: u64,
    /// Events sent to at least one connection; an event sent twice by a fault counts once.
    pub messages: u64,
    /// Frames sent, over all connections: with one connection and no fault the same as `messages`.
    pub deliveries: u64,
    /// Payload bytes of those frames, without WebSocket headers.
    pub bytes: u64,
    /// First id sent: trade `t`, aggregate `a`, depth `U`, best bid and ask `u`.
    pub first_id: Option<u64>,
    /// Last id sent: trade `t`, aggregate `a`, depth `u`, best bid and ask `u`.
    pub last_id: Option<u64>,
    /// Events left out on purpose: first and last id of each.
    pub dropped: Vec<(u64, u64)>,
}

impl StreamLedger {
    pub(crate) fn new(market: Market, stream: &str) -> Self {
        StreamLedger {
            market,
            stream: stream.to_owned(),
            connections: 0,
            messages: 0,
            deliveries: 0,
            bytes: 0,
            first_id: None,
            last_id: None,
            dropped: Vec::new(),
        }
    }
}

/// Everything sent and noticed in a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// One entry for each stream with data that was ever subscribed.
    pub streams: Vec<StreamLedger>,
    /// Faults injected: a description and how often.
    pub faults_injected: Vec<(String, u64)>,
    /// What clients did against the rules, the first 1000 of them.
    pub violations: Vec<String>,
    /// WebSocket connections accepted, per market in the order spot, usdm, coinm.
    pub connections: [u64; 3],
    /// Complete passes over the captured frames; 0 for a generated market.
    pub loops: u32,
    /// True when a capture or a history has nothing more to play.
    pub finished: bool,
    /// What was replayed of a history, by market and stream.
    pub replayed: Vec<ReplayedStream>,
}

impl Ledger {
    /// Data frames sent over all streams and connections.
    pub fn deliveries(&self) -> u64 {
        self.streams.iter().map(|stream| stream.deliveries).sum()
    }

    /// Distinct events sent over all streams.
    pub fn messages(&self) -> u64 {
        self.streams.iter().map(|stream| stream.messages).sum()
    }

    /// The entry of one stream.
    pub fn stream(&self, market: Market, name: &str) -> Option<&StreamLedger> {
        self.streams.iter().find(|stream| stream.market == market && stream.stream == name)
    }
}

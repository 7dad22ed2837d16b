//! What makes a venue of a host: everything that is said is a [`Protocol`]'s; sockets, pacing, faults and the ledger
//! are the host's.
//!
//! The trait is stable for venues: since it was first used it only gained what captures and histories need, and
//! `too_slow`.

use std::time::Duration;

use super::Disturbance;
use crate::history::{HistoryRecord, ReplayedStream};

/// A connection, numbered from 1 over all ports.
pub(crate) type ConnectionId = u64;

/// A stream with data, numbered by the protocol from 0 on; at most one number for each market and stream.
pub(crate) type TopicId = u32;

/// Name of a topic, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TopicName {
    /// Market, e.g. `swap`.
    pub(crate) market: &'static str,
    /// Stream as a client subscribes it, e.g. `books:BTC-USDT-SWAP`, `book.BTC-PERPETUAL.100ms`.
    pub(crate) stream: String,
}

/// Something that a protocol wants done. Actions take effect in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// A text frame that is no data: an answer, a heartbeat, a notice. Not in the ledger.
    Send { connection: ConnectionId, text: String },
    /// A close frame, then the end.
    Close { connection: ConnectionId, code: u16, reason: &'static str },
    /// The end without a close frame.
    Cut { connection: ConnectionId },
    /// The connection gets the topic's messages from here on.
    Join { connection: ConnectionId, topic: TopicId },
    /// It no longer does.
    Leave { connection: ConnectionId, topic: TopicId },
    /// One message for everybody on the topic, through its faults and into the ledger. Ids are 0 where there are none.
    Publish { topic: TopicId, text: String, first_id: u64, last_id: u64 },
    /// One message for one connection on the topic (the snapshot or cached value after a subscription); in the
    /// ledger like any other.
    Deliver { connection: ConnectionId, topic: TopicId, text: String, first_id: u64, last_id: u64 },
    /// A rule of the venue that the client broke.
    Violation(String),
}

/// An answer to a REST request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RestAnswer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// What a protocol reads off a captured frame. Ids are 0 where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Captured {
    pub(crate) topic: TopicId,
    pub(crate) first_id: u64,
    pub(crate) last_id: u64,
}

/// The book of an instrument, as text exactly as sent, best level first.
pub(crate) type BookText = crate::Book;

/// A venue's rules and its market. Plain state: no sockets, no clock; times are wall clock, milliseconds since the
/// Unix epoch.
pub(crate) trait Protocol: Send + 'static {
    /// A client wants a WebSocket at this path. The error is an HTTP status; the host notes it as a violation.
    fn open(&mut self, connection: ConnectionId, path: &str, now_ms: u64) -> Result<(), u16>;

    /// A text frame of the client.
    fn text(&mut self, connection: ConnectionId, text: &str, now_ms: u64, out: &mut Vec<Action>);

    /// A ping or pong frame of the client (the host answers pings).
    fn touched(&mut self, _connection: ConnectionId, _now_ms: u64) {}

    /// The connection is gone.
    fn closed(&mut self, connection: ConnectionId);

    /// A request over HTTP; `path` without the query.
    fn rest(&mut self, path: &str, query: &str, now_ms: u64) -> RestAnswer;

    /// Timers: heartbeats, deadlines, batching grids, whatever is due at `now_ms`. Called at least every
    /// [`tick_interval`](Protocol::tick_interval). While no data flows (before the start, after a pause) the host
    /// discards what is published here, but not what is sent.
    fn tick(&mut self, now_ms: u64, out: &mut Vec<Action>);

    /// One random event of the market (an order, a trade, ...). Called as often as the pace asks for; messages that
    /// are due at once are published, others wait for their grid in [`tick`](Protocol::tick). Gives the number of
    /// messages published.
    fn act(&mut self, now_ms: u64, out: &mut Vec<Action>) -> usize;

    /// Publishes everything that still waits for a grid, so that clients hold the final books.
    fn flush(&mut self, now_ms: u64, out: &mut Vec<Action>);

    /// Does one thing wrong on a topic: the host calls it where only the protocol can lie consistently.
    fn disturb(&mut self, topic: TopicId, what: &Disturbance, now_ms: u64, out: &mut Vec<Action>);

    /// The name of a topic.
    fn topic(&self, topic: TopicId) -> &TopicName;

    /// Number of topics with data; they exist from the start, subscribed or not, and are only ever added to.
    fn topics(&self) -> usize;

    /// Markets served, in a fixed order.
    fn markets(&self) -> &'static [&'static str];

    /// Instruments of a market, as the venue writes them.
    fn symbols(&self, market: &str) -> Vec<String>;

    /// The book of an instrument as the venue has it now.
    fn book(&self, market: &str, symbol: &str) -> Option<BookText>;

    /// Lists a new instrument, or expires one, while running; gives its name. What the venue announces is announced.
    fn change_listing(
        &mut self,
        change: &super::ListingChange,
        now_ms: u64,
        out: &mut Vec<Action>,
    ) -> Option<String>;

    /// Reads a frame of a capture and registers its topic when it is new; `None` for a frame that is no data, which is
    /// not played. Called for every frame before the start, only for captures. From then on the protocol answers
    /// subscriptions without a first value of its own: snapshots are in the capture.
    fn captured(&mut self, market: &str, text: &str) -> Option<Captured>;

    /// A REST answer of a capture: the name of its file in the folder `rest` and its text. Called before the start.
    fn captured_answer(&mut self, market: &str, file: &str, body: &str);

    /// Takes a definition, or a record that was received before what is played: what later answers need of it is kept.
    /// Called only for histories, before the start.
    fn remember(&mut self, record: &HistoryRecord);

    /// Plays records of one receive time. Called only for histories, by receive time.
    fn replay(&mut self, records: &[HistoryRecord], now_ms: u64, out: &mut Vec<Action>);

    /// The topics whose books were broken by what was played since the last call: clients will subscribe them anew.
    fn take_broken(&mut self) -> Vec<TopicId>;

    /// What became of the records that were played.
    fn replayed(&self) -> Vec<ReplayedStream>;

    /// Code and reason of the close frame for a client that does not take its data.
    fn too_slow(&self) -> (u16, &'static str) {
        (1008, "slow consumer")
    }

    /// Longest time between two calls of [`tick`](Protocol::tick).
    fn tick_interval(&self) -> Duration {
        Duration::from_millis(5)
    }
}

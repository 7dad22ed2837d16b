//! The life of one connection as a state machine without I/O: bytes and time in, text and decisions out.
//!
//! The I/O thread drives it with monotonic time; tests drive it with a simulated clock.

mod requests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use marketprism_core::venue::{Market, Outcome, Venue};

use crate::backoff::Backoff;
use crate::governor::Governor;
use requests::Requests;

/// A request must be answered within this time.
const ACKNOWLEDGE_LIMIT_NS: i64 = 10_000_000_000;
/// The connection is rotated this long before the venue would cut it.
const ROTATION_MARGIN: Duration = Duration::from_secs(300);
/// One second, nanoseconds.
const SECOND_NS: i64 = 1_000_000_000;
/// Pongs and other replies that may wait for their turn; more means the venue floods us.
const MAX_WAITING_REPLIES: usize = 16;

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// A text frame.
    Text(String),
    /// A pong with the ping's payload.
    Pong(Vec<u8>),
}

/// What the driver does next while there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait until this time.
    Wait(i64),
    /// Open a connection to the endpoint with this index.
    Connect(usize),
}

/// Why a connection was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// It could not be opened.
    ConnectFailed(String),
    /// The venue closed it.
    ByVenue(String),
    /// The socket failed.
    Socket(String),
    /// Nothing came for too long, not even a ping.
    Silent,
    /// A request was not answered.
    NotAcknowledged,
    /// The venue would cut it soon; a fresh one takes its place.
    Rotation,
    /// The venue announced that it will close.
    ClosingNotice,
    /// The recorder stops.
    Stopping,
}

impl std::fmt::Display for CloseReason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CloseReason::ConnectFailed(why) => write!(formatter, "could not connect: {why}"),
            CloseReason::ByVenue(why) => write!(formatter, "closed by the venue: {why}"),
            CloseReason::Socket(why) => write!(formatter, "socket failed: {why}"),
            CloseReason::Silent => formatter.write_str("silent for too long"),
            CloseReason::NotAcknowledged => formatter.write_str("a subscription was not acknowledged"),
            CloseReason::Rotation => formatter.write_str("rotated before the venue's time limit"),
            CloseReason::ClosingNotice => formatter.write_str("the venue announced its shutdown"),
            CloseReason::Stopping => formatter.write_str("the recorder stops"),
        }
    }
}

/// Milestones that the driver records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// Every subscription is acknowledged.
    Subscribed,
    /// The venue refused a request; the others go on. Holds its words.
    Refused(String),
    /// The venue refused some streams, which are subscribed in another form. Says why.
    FellBack(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No connection; try at this time.
    Down { retry_ns: i64 },
    /// Being opened.
    Connecting,
    /// Open since this time.
    Open { since_ns: i64 },
}

/// One connection's state machine.
pub struct Session {
    market: &'static Market,
    phase: Phase,
    backoff: Backoff,
    requests: Requests,
    replies: VecDeque<Transmit>,
    /// Times of the last messages sent, for pacing.
    sent: VecDeque<i64>,
    last_receive_ns: i64,
    last_keep_alive_ns: i64,
    data_frames: u64,
    closing: Option<CloseReason>,
}

impl Session {
    /// A session that subscribes `streams`, each name once, on every connection that it opens.
    pub fn new(
        venue: Arc<dyn Venue>,
        market: &'static Market,
        streams: Vec<String>,
        endpoints: usize,
        shared_requests: Option<Arc<Mutex<Governor>>>,
        seed: u64,
    ) -> Session {
        Session {
            market,
            phase: Phase::Down { retry_ns: i64::MIN },
            backoff: Backoff::new(endpoints, seed),
            requests: Requests::new(venue, market, streams, shared_requests),
            replies: VecDeque::new(),
            sent: VecDeque::new(),
            last_receive_ns: 0,
            last_keep_alive_ns: 0,
            data_frames: 0,
            closing: None,
        }
    }

    /// What to do while there is no connection.
    pub fn next(&mut self, now_ns: i64) -> Next {
        match self.phase {
            Phase::Down { retry_ns } if now_ns < retry_ns => Next::Wait(retry_ns),
            _ => {
                self.phase = Phase::Connecting;
                Next::Connect(self.backoff.endpoint())
            }
        }
    }

    /// The WebSocket is open.
    pub fn on_open(&mut self, now_ns: i64) {
        self.phase = Phase::Open { since_ns: now_ns };
        self.requests.begin();
        self.replies.clear();
        self.sent.clear();
        self.last_receive_ns = now_ns;
        self.last_keep_alive_ns = now_ns;
        self.data_frames = 0;
        self.closing = None;
    }

    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// Streams to carry from now on.
    pub fn add(&mut self, streams: Vec<String>) {
        self.requests.add(streams, self.is_open());
    }

    /// Streams that are no longer wanted.
    pub fn remove(&mut self, streams: &[String]) {
        self.requests.remove(streams, self.is_open());
    }

    /// Asks for a new snapshot of a stream by subscribing it anew. Nothing is done while the connection is down, since
    /// the next one brings a snapshot anyway.
    pub fn subscribe_again(&mut self, stream: &str) {
        if self.is_open() {
            self.requests.subscribe_again(stream);
        }
    }

    /// A data frame came; the hot path.
    #[inline]
    pub fn on_data(&mut self, now_ns: i64) {
        self.last_receive_ns = now_ns;
        self.data_frames += 1;
    }

    /// The venue answered or announced something.
    pub fn on_outcome(&mut self, outcome: Outcome, now_ns: i64) {
        self.last_receive_ns = now_ns;
        match outcome {
            Outcome::Data => self.data_frames += 1,
            Outcome::Acknowledged { id, accepted } => self.requests.on_acknowledged(id, accepted),
            Outcome::Refused { id, reason } => self.requests.on_refused(id, &reason),
            Outcome::Reply(text) => self.reply(Transmit::Text(text.to_owned())),
            Outcome::Alive | Outcome::InstrumentsChanged => {}
            Outcome::Closing => self.closing = Some(CloseReason::ClosingNotice),
        }
    }

    /// A ping came; its payload goes back.
    pub fn on_ping(&mut self, payload: &[u8], now_ns: i64) {
        self.last_receive_ns = now_ns;
        self.reply(Transmit::Pong(payload.to_vec()));
    }

    fn reply(&mut self, reply: Transmit) {
        if self.replies.len() == MAX_WAITING_REPLIES {
            self.replies.pop_front();
        }
        self.replies.push_back(reply);
    }

    /// The next thing to send now, within the venue's message rate. Replies go first.
    pub fn poll_transmit(&mut self, now_ns: i64) -> Option<Transmit> {
        if !self.may_send(now_ns) {
            return None;
        }
        let transmit = match self.replies.pop_front() {
            Some(reply) => reply,
            None => match self.keep_alive(now_ns) {
                Some(text) => text,
                None => Transmit::Text(self.requests.poll(now_ns)?),
            },
        };
        self.sent.push_back(now_ns);
        Some(transmit)
    }

    /// The text that keeps a quiet connection open, where it is time for it.
    fn keep_alive(&mut self, now_ns: i64) -> Option<Transmit> {
        let keep_alive = self.market.keep_alive?;
        if now_ns < self.keep_alive_ns()? {
            return None;
        }
        self.last_keep_alive_ns = now_ns;
        Some(Transmit::Text(keep_alive.text.to_owned()))
    }

    fn keep_alive_ns(&self) -> Option<i64> {
        let after = self.market.keep_alive?.after.as_nanos() as i64;
        Some(self.last_receive_ns.max(self.last_keep_alive_ns) + after)
    }

    /// One message of the limit is kept in reserve for a reply.
    fn may_send(&mut self, now_ns: i64) -> bool {
        while self.sent.front().is_some_and(|at| now_ns - at >= SECOND_NS) {
            self.sent.pop_front();
        }
        self.has_turn()
    }

    /// Whether the messages of the last second leave room for another.
    fn has_turn(&self) -> bool {
        let limit = self.market.messages_per_second.max(2) as usize;
        let allowed = if self.replies.is_empty() { limit - 1 } else { limit };
        self.sent.len() < allowed
    }

    /// A step worth recording, once.
    pub fn poll_milestone(&mut self) -> Option<Milestone> {
        self.requests.poll_milestone()
    }

    /// When [`on_timer`](Self::on_timer) must be called at the latest.
    pub fn deadline(&self) -> i64 {
        let Phase::Open { since_ns } = self.phase else { return i64::MAX };
        let mut deadline = self.last_receive_ns + self.silence_limit_ns();
        deadline = deadline.min(since_ns.saturating_add(self.rotation_age_ns()));
        if let Some(sent_ns) = self.requests.oldest_unanswered_ns() {
            deadline = deadline.min(sent_ns + ACKNOWLEDGE_LIMIT_NS);
        }
        if let Some(at) = self.keep_alive_ns() {
            deadline = deadline.min(at);
        }
        if !self.replies.is_empty() || self.requests.has_next() {
            let oldest = self.sent.front().filter(|_| !self.has_turn());
            let paced_ns = oldest.map_or(i64::MIN, |at| at + SECOND_NS);
            let limited_ns = if self.replies.is_empty() { self.requests.next_ns() } else { i64::MIN };
            deadline = deadline.min(paced_ns.max(limited_ns));
        }
        deadline
    }

    fn silence_limit_ns(&self) -> i64 {
        self.market.silence_limit.as_nanos() as i64
    }

    fn rotation_age_ns(&self) -> i64 {
        let Some(lifetime) = self.market.connection_lifetime else { return i64::MAX };
        lifetime.saturating_sub(ROTATION_MARGIN).max(lifetime / 2).as_nanos() as i64
    }

    /// Whether the connection must be given up now.
    pub fn on_timer(&mut self, now_ns: i64) -> Option<CloseReason> {
        let Phase::Open { since_ns } = self.phase else { return None };
        if let Some(reason) = self.closing.take() {
            return Some(reason);
        }
        if now_ns - self.last_receive_ns >= self.silence_limit_ns() {
            return Some(CloseReason::Silent);
        }
        if self.requests.is_overdue(now_ns, ACKNOWLEDGE_LIMIT_NS) {
            return Some(CloseReason::NotAcknowledged);
        }
        (now_ns - since_ns >= self.rotation_age_ns()).then_some(CloseReason::Rotation)
    }

    /// Whether [`on_timer`](Self::on_timer) has something to say before its deadline.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// The connection is gone, or could not be opened. A planned end is retried at once.
    pub fn on_closed(&mut self, reason: &CloseReason, now_ns: i64) {
        let lived_ns = match self.phase {
            Phase::Open { since_ns } => now_ns - since_ns,
            _ => 0,
        };
        let planned = matches!(reason, CloseReason::Rotation | CloseReason::ClosingNotice);
        let delay = if planned && self.data_frames > 0 {
            0
        } else {
            self.backoff.failed(lived_ns, self.data_frames > 0)
        };
        self.phase = Phase::Down { retry_ns: now_ns + delay };
    }

    /// Whether every subscription of the open connection is acknowledged.
    pub fn is_subscribed(&self) -> bool {
        self.requests.is_subscribed()
    }

    /// Attempts that failed in a row.
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }
}

#[cfg(test)]
mod tests;

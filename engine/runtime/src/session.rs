//! The life of one connection as a state machine without I/O: bytes and time in, text and decisions out.
//!
//! The I/O thread drives it with monotonic time; tests drive it with a simulated clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use marketprism_core::venue::{Accepted, Market, Outcome, Venue};

use crate::backoff::Backoff;
use crate::governor::Governor;

/// A request must be answered within this time.
const ACKNOWLEDGE_LIMIT_NS: i64 = 10_000_000_000;
/// The connection is rotated this long before the venue would cut it.
const ROTATION_MARGIN: Duration = Duration::from_secs(300);
/// One second, nanoseconds.
const SECOND_NS: i64 = 1_000_000_000;
/// Pongs and other replies that may wait for their turn; more means the venue floods us.
const MAX_WAITING_REPLIES: usize = 16;
/// Milestones that may wait to be taken; a venue that refuses everything does not fill the memory.
const MAX_MILESTONES: usize = 256;

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

/// Something to ask of the venue.
enum Ask {
    /// Opens the connection: heartbeats, authentication. Holds the text and what it is.
    Open(String, &'static str),
    /// Subscribes these streams.
    Subscribe(Vec<String>),
    /// Ends these subscriptions, and where the flag says so begins them again, for a new snapshot.
    Unsubscribe(Vec<String>, bool),
}

/// A request that was sent and is not answered in full.
struct Unanswered {
    id: u64,
    ask: Ask,
    sent_ns: i64,
    /// Refusals so far: venues that answer for each stream do not always say for which.
    refusals: usize,
}

/// One connection's state machine.
pub struct Session {
    venue: Arc<dyn Venue>,
    market: &'static Market,
    /// Streams that every connection subscribes.
    streams: Vec<String>,
    phase: Phase,
    backoff: Backoff,
    asks: VecDeque<Ask>,
    /// Streams to be subscribed anew, for a snapshot.
    again: Vec<String>,
    next_id: u64,
    unanswered: VecDeque<Unanswered>,
    replies: VecDeque<Transmit>,
    /// Times of the last messages sent, for pacing.
    sent: VecDeque<i64>,
    requests: Option<Governor>,
    /// The venue's limit allows no request before this time.
    next_request_ns: i64,
    last_receive_ns: i64,
    last_keep_alive_ns: i64,
    data_frames: u64,
    subscribed: bool,
    refused: bool,
    milestones: VecDeque<Milestone>,
    closing: Option<CloseReason>,
}

impl Session {
    /// A session that subscribes `streams`, each name once, on every connection that it opens.
    pub fn new(
        venue: Arc<dyn Venue>,
        market: &'static Market,
        streams: Vec<String>,
        endpoints: usize,
        seed: u64,
    ) -> Session {
        Session {
            venue,
            market,
            streams,
            phase: Phase::Down { retry_ns: i64::MIN },
            backoff: Backoff::new(endpoints, seed),
            asks: VecDeque::new(),
            again: Vec::new(),
            next_id: 1,
            unanswered: VecDeque::new(),
            replies: VecDeque::new(),
            sent: VecDeque::new(),
            requests: None,
            next_request_ns: i64::MIN,
            last_receive_ns: 0,
            last_keep_alive_ns: 0,
            data_frames: 0,
            subscribed: false,
            refused: false,
            milestones: VecDeque::new(),
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
        self.asks.clear();
        self.again.clear();
        self.unanswered.clear();
        self.replies.clear();
        self.sent.clear();
        let window = |limit: marketprism_core::venue::Allowance| limit.window.as_nanos() as i64;
        self.next_request_ns = i64::MIN;
        self.requests = self.market.requests.map(|limit| Governor::new(limit.most, window(limit)));
        self.last_receive_ns = now_ns;
        self.last_keep_alive_ns = now_ns;
        self.data_frames = 0;
        self.subscribed = false;
        self.refused = false;
        self.milestones.clear();
        self.closing = None;
        self.next_id = 1;
        let opening = self.venue.opening(self.market, 1);
        self.asks.extend(opening.into_iter().map(|opening| Ask::Open(opening.text, opening.purpose)));
        self.ask_for(&self.streams.clone());
    }

    /// Queues the subscription of streams.
    fn ask_for(&mut self, streams: &[String]) {
        let chunks = streams.chunks(self.market.streams_per_request.max(1));
        self.asks.extend(chunks.map(|chunk| Ask::Subscribe(chunk.to_vec())));
    }

    /// Streams to carry from now on.
    pub fn add(&mut self, streams: Vec<String>) {
        let new: Vec<String> = streams.into_iter().filter(|name| !self.streams.contains(name)).collect();
        if let Phase::Open { .. } = self.phase {
            self.ask_for(&new);
        }
        self.streams.extend(new);
    }

    /// Streams that are no longer wanted.
    pub fn remove(&mut self, streams: &[String]) {
        self.streams.retain(|name| !streams.contains(name));
        if let Phase::Open { .. } = self.phase {
            let chunks = streams.chunks(self.market.streams_per_request.max(1));
            self.asks.extend(chunks.map(|chunk| Ask::Unsubscribe(chunk.to_vec(), false)));
        }
    }

    /// Asks for a new snapshot of a stream by subscribing it anew. Nothing is done while the connection is down, since
    /// the next one brings a snapshot anyway.
    pub fn subscribe_again(&mut self, stream: &str) {
        let known = self.streams.iter().any(|name| name == stream);
        if matches!(self.phase, Phase::Open { .. }) && known && !self.again.iter().any(|name| name == stream)
        {
            self.again.push(stream.to_owned());
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
            Outcome::Acknowledged { id, accepted } => self.on_acknowledged(id, accepted),
            Outcome::Refused { id, reason } => self.on_refused(id, &reason),
            Outcome::Reply(text) => self.reply(Transmit::Text(text.to_owned())),
            Outcome::Alive | Outcome::InstrumentsChanged => {}
            Outcome::Closing => self.closing = Some(CloseReason::ClosingNotice),
        }
    }

    /// The request that an answer is about.
    fn answered(&mut self, id: Option<u64>) -> Option<usize> {
        match id {
            Some(id) => self.unanswered.iter().position(|request| request.id == id),
            None => (!self.unanswered.is_empty()).then_some(0),
        }
    }

    fn on_acknowledged(&mut self, id: Option<u64>, accepted: Accepted) {
        let Some(index) = self.answered(id) else { return };
        if let Accepted::Some(names) = &accepted
            && let Some(request) = self.unanswered.get_mut(index)
            && let Ask::Subscribe(streams) | Ask::Unsubscribe(streams, false) = &mut request.ask
        {
            streams.retain(|stream| !names.contains(stream));
            if streams.len() > request.refusals {
                return;
            }
        }
        let Some(request) = self.unanswered.remove(index) else { return };
        match (request.ask, accepted) {
            (Ask::Subscribe(streams), Accepted::Only(names)) => {
                let missing: Vec<String> = streams.into_iter().filter(|name| !names.contains(name)).collect();
                if !missing.is_empty() {
                    self.refuse(&missing, "not among the streams that the venue accepted");
                }
            }
            (Ask::Unsubscribe(streams, true), Accepted::Some(names)) => {
                // Each answer is for some of them: those can begin again.
                let (done, left): (Vec<String>, Vec<String>) =
                    streams.into_iter().partition(|name| names.contains(name));
                self.ask_for(&done);
                if !left.is_empty() {
                    let ask = Ask::Unsubscribe(left, true);
                    self.unanswered.insert(index, Unanswered { ask, ..request });
                }
            }
            (Ask::Unsubscribe(streams, true), _) => self.ask_for(&streams),
            _ => {}
        }
        self.check_subscribed();
    }

    fn on_refused(&mut self, id: Option<u64>, reason: &str) {
        let Some(index) = self.answered(id) else {
            self.note(Milestone::Refused(reason.to_owned()));
            return;
        };
        let Some(request) = self.unanswered.get_mut(index) else { return };
        request.refusals += 1;
        let streams = match &mut request.ask {
            Ask::Open(_, purpose) => {
                let text = format!("{purpose}: {reason}");
                self.unanswered.remove(index);
                self.note(Milestone::Refused(text));
                return;
            }
            // What is not subscribed need not be ended.
            Ask::Unsubscribe(streams, again) => {
                let streams = if *again { std::mem::take(streams) } else { vec![] };
                self.unanswered.remove(index);
                self.ask_for(&streams);
                return;
            }
            Ask::Subscribe(streams) => streams,
        };
        if streams.iter().any(|stream| self.venue.fallback(stream, reason).is_some()) {
            let streams = std::mem::take(streams);
            self.unanswered.remove(index);
            self.fall_back(&streams, reason);
        } else {
            let answered = request.refusals >= streams.len();
            self.refused = true;
            if answered {
                self.unanswered.remove(index);
            }
            self.note(Milestone::Refused(reason.to_owned()));
        }
    }

    /// Takes the venue's other form of streams that it refused.
    fn fall_back(&mut self, streams: &[String], reason: &str) {
        let mut replaced = Vec::new();
        for stream in streams {
            let other = self.venue.fallback(stream, reason).unwrap_or_else(|| stream.clone());
            if let Some(name) = self.streams.iter_mut().find(|name| *name == stream) {
                name.clone_from(&other);
            }
            replaced.push(other);
        }
        self.note(Milestone::FellBack(format!(
            "{reason}; {} streams in another form instead",
            replaced.len()
        )));
        self.ask_for(&replaced);
    }

    fn refuse(&mut self, streams: &[String], reason: &str) {
        self.refused = true;
        self.note(Milestone::Refused(format!("{reason}: {}", streams.join(", "))));
    }

    fn note(&mut self, milestone: Milestone) {
        if self.milestones.len() < MAX_MILESTONES {
            self.milestones.push_back(milestone);
        }
    }

    fn check_subscribed(&mut self) {
        let answered = self.unanswered.is_empty() && self.asks.is_empty();
        if answered && !self.subscribed && !self.refused {
            self.subscribed = true;
            self.note(Milestone::Subscribed);
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
            None => self.keep_alive(now_ns).or_else(|| self.request(now_ns))?,
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

    /// The next request.
    fn request(&mut self, now_ns: i64) -> Option<Transmit> {
        if !self.has_request() {
            return None;
        }
        if self.asks.is_empty() {
            let most = self.market.streams_per_request.max(1).min(self.again.len());
            self.asks.push_back(Ask::Unsubscribe(self.again.drain(..most).collect(), true));
        }
        if let Some(governor) = &mut self.requests
            && let Err(later) = governor.admit(now_ns, 1)
        {
            self.next_request_ns = later;
            return None;
        }
        let ask = self.asks.pop_front()?;
        let id = self.next_id;
        self.next_id += 1;
        fn names(streams: &[String]) -> Vec<&str> {
            streams.iter().map(String::as_str).collect()
        }
        let text = match &ask {
            Ask::Open(text, _) => text.clone(),
            Ask::Subscribe(streams) => self.venue.subscribe(id, &names(streams)),
            Ask::Unsubscribe(streams, _) => self.venue.unsubscribe(id, &names(streams)),
        };
        self.unanswered.push_back(Unanswered { id, ask, sent_ns: now_ns, refusals: 0 });
        Some(Transmit::Text(text))
    }

    /// Whether there is a request that need not wait for an answer to another.
    fn has_request(&self) -> bool {
        let waits_for = |is: fn(&Ask) -> bool| self.unanswered.iter().any(|request| is(&request.ask));
        if waits_for(|ask| matches!(ask, Ask::Open(..))) {
            return false;
        }
        let may_begin_again = !waits_for(|ask| matches!(ask, Ask::Unsubscribe(_, true)));
        !self.asks.is_empty() || (!self.again.is_empty() && may_begin_again)
    }

    /// One message of the limit is kept in reserve for a reply.
    fn may_send(&mut self, now_ns: i64) -> bool {
        while self.sent.front().is_some_and(|at| now_ns - at >= SECOND_NS) {
            self.sent.pop_front();
        }
        let limit = self.market.messages_per_second.max(2) as usize;
        let allowed = if self.replies.is_empty() { limit - 1 } else { limit };
        self.sent.len() < allowed
    }

    /// A step worth recording, once.
    pub fn poll_milestone(&mut self) -> Option<Milestone> {
        self.milestones.pop_front()
    }

    /// When [`on_timer`](Self::on_timer) must be called at the latest.
    pub fn deadline(&self) -> i64 {
        let Phase::Open { since_ns } = self.phase else { return i64::MAX };
        let mut deadline = self.last_receive_ns + self.silence_limit_ns();
        deadline = deadline.min(since_ns.saturating_add(self.rotation_age_ns()));
        if let Some(request) = self.unanswered.front() {
            deadline = deadline.min(request.sent_ns + ACKNOWLEDGE_LIMIT_NS);
        }
        if let Some(at) = self.keep_alive_ns() {
            deadline = deadline.min(at);
        }
        if !self.replies.is_empty() || self.has_request() {
            let paced_ns = self.sent.front().map_or(0, |at| at + SECOND_NS);
            let limited_ns = if self.replies.is_empty() { self.next_request_ns } else { i64::MIN };
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
        while let Some(request) = self.unanswered.front()
            && now_ns - request.sent_ns >= ACKNOWLEDGE_LIMIT_NS
        {
            if request.refusals == 0 {
                return Some(CloseReason::NotAcknowledged);
            }
            self.unanswered.pop_front();
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
        self.subscribed
    }

    /// Attempts that failed in a row.
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }
}

#[cfg(test)]
mod tests;

//! The life of one connection as a state machine without I/O: bytes and time in, text and decisions out.
//!
//! The I/O thread drives it with monotonic time; tests drive it with a simulated clock.

use std::collections::VecDeque;
use std::time::Duration;

use marketprism_core::venue::{Market, Outcome, Stream, Venue};

use crate::backoff::Backoff;

/// A request must be answered within this time.
const ACKNOWLEDGE_LIMIT_NS: i64 = 10_000_000_000;
/// The connection is rotated this long before the venue would cut it.
const ROTATION_MARGIN: Duration = Duration::from_secs(300);
/// One second, nanoseconds.
const SECOND_NS: i64 = 1_000_000_000;
/// Pongs that may wait for their turn; more means the venue floods us.
const MAX_WAITING_PONGS: usize = 16;

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
    requests: Vec<String>,
    phase: Phase,
    backoff: Backoff,
    next_request: usize,
    /// Requests sent and not answered, with their time.
    unanswered: VecDeque<(u64, i64)>,
    pongs: VecDeque<Vec<u8>>,
    /// Times of the last messages sent, for pacing.
    sent: VecDeque<i64>,
    last_receive_ns: i64,
    data_frames: u64,
    subscribed: bool,
    refused: bool,
    milestones: VecDeque<Milestone>,
    closing: Option<CloseReason>,
}

impl Session {
    /// A session that subscribes `streams` on every connection that it opens.
    pub fn new(
        venue: &dyn Venue,
        market: &'static Market,
        streams: &[Stream],
        endpoints: usize,
        seed: u64,
    ) -> Session {
        let requests = streams
            .chunks(market.streams_per_request.max(1))
            .enumerate()
            .map(|(index, chunk)| {
                let names: Vec<&str> = chunk.iter().map(|stream| stream.name.as_str()).collect();
                venue.subscribe(index as u64 + 1, &names)
            })
            .collect();
        Session {
            market,
            requests,
            phase: Phase::Down { retry_ns: i64::MIN },
            backoff: Backoff::new(endpoints, seed),
            next_request: 0,
            unanswered: VecDeque::new(),
            pongs: VecDeque::new(),
            sent: VecDeque::new(),
            last_receive_ns: 0,
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
        self.next_request = 0;
        self.unanswered.clear();
        self.pongs.clear();
        self.sent.clear();
        self.last_receive_ns = now_ns;
        self.data_frames = 0;
        self.subscribed = false;
        self.refused = false;
        self.milestones.clear();
        self.closing = None;
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
            Outcome::Acknowledged(id) => {
                self.unanswered.retain(|(request, _)| *request != id);
                self.check_subscribed();
            }
            Outcome::Refused { id, reason } => {
                self.unanswered.retain(|(request, _)| Some(*request) != id);
                self.refused = true;
                if self.milestones.len() < self.requests.len() + 1 {
                    self.milestones.push_back(Milestone::Refused(reason));
                }
            }
            Outcome::Closing => self.closing = Some(CloseReason::ClosingNotice),
        }
    }

    fn check_subscribed(&mut self) {
        let answered = self.unanswered.is_empty() && self.next_request == self.requests.len();
        if answered && !self.subscribed && !self.refused {
            self.subscribed = true;
            self.milestones.push_back(Milestone::Subscribed);
        }
    }

    /// A ping came; its payload goes back.
    pub fn on_ping(&mut self, payload: &[u8], now_ns: i64) {
        self.last_receive_ns = now_ns;
        if self.pongs.len() == MAX_WAITING_PONGS {
            self.pongs.pop_front();
        }
        self.pongs.push_back(payload.to_vec());
    }

    /// The next thing to send now, within the venue's message rate. Pongs go first.
    pub fn poll_transmit(&mut self, now_ns: i64) -> Option<Transmit> {
        if self.pongs.is_empty() && self.next_request == self.requests.len() {
            return None;
        }
        if !self.may_send(now_ns) {
            return None;
        }
        let transmit = match self.pongs.pop_front() {
            Some(payload) => Transmit::Pong(payload),
            None => {
                let text = self.requests.get(self.next_request)?.clone();
                self.next_request += 1;
                self.unanswered.push_back((self.next_request as u64, now_ns));
                Transmit::Text(text)
            }
        };
        self.sent.push_back(now_ns);
        Some(transmit)
    }

    /// One message of the limit is kept in reserve for a pong.
    fn may_send(&mut self, now_ns: i64) -> bool {
        while self.sent.front().is_some_and(|at| now_ns - at >= SECOND_NS) {
            self.sent.pop_front();
        }
        let limit = self.market.messages_per_second.max(2) as usize;
        let allowed = if self.pongs.is_empty() { limit - 1 } else { limit };
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
        deadline = deadline.min(since_ns + self.rotation_age_ns());
        if let Some((_, at)) = self.unanswered.front() {
            deadline = deadline.min(at + ACKNOWLEDGE_LIMIT_NS);
        }
        if !self.pongs.is_empty() || self.next_request < self.requests.len() {
            deadline = deadline.min(self.sent.front().map_or(0, |at| at + SECOND_NS));
        }
        deadline
    }

    fn silence_limit_ns(&self) -> i64 {
        self.market.silence_limit.as_nanos() as i64
    }

    fn rotation_age_ns(&self) -> i64 {
        let lifetime = self.market.connection_lifetime;
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
        if self.unanswered.front().is_some_and(|(_, at)| now_ns - at >= ACKNOWLEDGE_LIMIT_NS) {
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
        self.subscribed
    }

    /// Attempts that failed in a row.
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MARKET, TestVenue, streams};

    fn open(streams_count: usize) -> Session {
        let mut session = Session::new(&TestVenue, &MARKET, &streams(streams_count), 2, 1);
        assert_eq!(session.next(0), Next::Connect(0));
        session.on_open(0);
        session
    }

    fn drain(session: &mut Session, now_ns: i64) -> Vec<Transmit> {
        std::iter::from_fn(|| session.poll_transmit(now_ns)).collect()
    }

    #[test]
    fn subscriptions_go_out_in_paced_batches_and_are_matched() {
        // 25 streams, 3 a request: 9 requests; 5 messages a second, one kept for a pong.
        let mut session = open(25);
        let mut requests = 0;
        for second in 0..3 {
            let now = second * SECOND_NS;
            let sent = drain(&mut session, now);
            assert!(sent.len() <= 4, "{sent:?}");
            for _ in sent {
                requests += 1;
                assert!(!session.is_subscribed());
                session.on_outcome(Outcome::Acknowledged(requests), now);
            }
        }
        assert_eq!(requests, 9);
        assert!(session.is_subscribed());
        assert_eq!(session.poll_milestone(), Some(Milestone::Subscribed));
        assert_eq!(session.poll_milestone(), None);
    }

    #[test]
    fn a_pong_finds_room_while_subscribing() {
        let mut session = open(25);
        drain(&mut session, 0);
        session.on_ping(b"42", 1);
        assert_eq!(session.poll_transmit(1), Some(Transmit::Pong(b"42".to_vec())));
        assert_eq!(session.poll_transmit(1), None);
    }

    #[test]
    fn an_acknowledgement_is_not_data_and_a_missing_one_is_noticed() {
        let mut session = open(1);
        drain(&mut session, 0);
        assert_eq!(session.deadline(), ACKNOWLEDGE_LIMIT_NS);
        session.on_data(ACKNOWLEDGE_LIMIT_NS - 1);
        assert_eq!(session.on_timer(ACKNOWLEDGE_LIMIT_NS - 1), None);
        assert_eq!(session.on_timer(ACKNOWLEDGE_LIMIT_NS), Some(CloseReason::NotAcknowledged));
    }

    #[test]
    fn silence_closes_and_a_ping_breaks_it() {
        let mut session = open(1);
        drain(&mut session, 0);
        session.on_outcome(Outcome::Acknowledged(1), 1);
        let limit = MARKET.silence_limit.as_nanos() as i64;
        session.on_ping(b"", limit);
        drain(&mut session, limit);
        assert_eq!(session.on_timer(limit + 1), None);
        assert_eq!(session.deadline(), 2 * limit);
        assert_eq!(session.on_timer(2 * limit), Some(CloseReason::Silent));
    }

    #[test]
    fn rotation_comes_before_the_venue_cuts() {
        let mut session = open(1);
        drain(&mut session, 0);
        session.on_outcome(Outcome::Acknowledged(1), 1);
        let lifetime = MARKET.connection_lifetime.as_nanos() as i64;
        let age = lifetime - ROTATION_MARGIN.as_nanos() as i64;
        session.on_data(age);
        assert_eq!(session.on_timer(age - 1), None);
        assert_eq!(session.on_timer(age), Some(CloseReason::Rotation));
        session.on_closed(&CloseReason::Rotation, age);
        assert_eq!(session.next(age), Next::Connect(0), "a planned end is no failure");
    }

    #[test]
    fn failures_back_off_and_move_to_the_next_endpoint() {
        let mut session = Session::new(&TestVenue, &MARKET, &streams(1), 2, 1);
        let mut now = 0;
        let mut endpoints = vec![];
        for _ in 0..6 {
            loop {
                match session.next(now) {
                    Next::Wait(until) => now = until,
                    Next::Connect(endpoint) => break endpoints.push(endpoint),
                }
            }
            session.on_closed(&CloseReason::ConnectFailed("refused".into()), now);
        }
        assert_eq!(endpoints, [0, 0, 0, 1, 1, 1]);
        assert_eq!(session.failures(), 6);
    }

    #[test]
    fn a_refusal_is_told_and_leaves_the_other_streams_alone() {
        let mut session = open(4);
        drain(&mut session, 0);
        session.on_outcome(Outcome::Refused { id: Some(1), reason: "invalid stream".into() }, 5);
        session.on_outcome(Outcome::Acknowledged(2), 6);
        assert_eq!(session.poll_milestone(), Some(Milestone::Refused("invalid stream".into())));
        assert_eq!(session.on_timer(ACKNOWLEDGE_LIMIT_NS * 2), None);
        assert!(!session.is_subscribed());
    }

    #[test]
    fn a_closing_notice_ends_the_connection() {
        let mut session = open(1);
        session.on_outcome(Outcome::Closing, 7);
        assert!(session.is_closing());
        assert_eq!(session.on_timer(7), Some(CloseReason::ClosingNotice));
    }
}

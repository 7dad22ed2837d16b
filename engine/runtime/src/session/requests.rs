//! What a connection asks of the venue, and what became of it: opening requests, subscriptions, new snapshots.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use marketprism_core::venue::{Accepted, Market, Venue};

use super::Milestone;
use crate::governor::Governor;
use crate::telemetry::lock;

/// Milestones that may wait to be taken; a venue that refuses everything does not fill the memory.
const MAX_MILESTONES: usize = 256;

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

/// The requests of a session; begins anew with each connection.
pub(super) struct Requests {
    venue: Arc<dyn Venue>,
    market: &'static Market,
    /// Streams that every connection subscribes.
    streams: Vec<String>,
    /// Streams that were refused, and what is subscribed in their place. Others know them by the first name.
    replaced: HashMap<String, String>,
    asks: VecDeque<Ask>,
    /// Streams to be subscribed anew, for a snapshot.
    again: Vec<String>,
    next_id: u64,
    unanswered: VecDeque<Unanswered>,
    /// Meters the requests of this connection.
    own: Option<Governor>,
    /// Meters the requests of all connections from this address.
    shared: Option<Arc<Mutex<Governor>>>,
    /// The venue's limits allow no request before this time.
    next_ns: i64,
    subscribed: bool,
    refused: bool,
    milestones: VecDeque<Milestone>,
}

impl Requests {
    pub(super) fn new(
        venue: Arc<dyn Venue>,
        market: &'static Market,
        streams: Vec<String>,
        shared: Option<Arc<Mutex<Governor>>>,
    ) -> Requests {
        Requests {
            venue,
            market,
            streams,
            replaced: HashMap::new(),
            asks: VecDeque::new(),
            again: Vec::new(),
            next_id: 1,
            unanswered: VecDeque::new(),
            own: None,
            shared,
            next_ns: i64::MIN,
            subscribed: false,
            refused: false,
            milestones: VecDeque::new(),
        }
    }

    /// A connection is open: everything is asked for.
    pub(super) fn begin(&mut self) {
        self.asks.clear();
        self.again.clear();
        self.unanswered.clear();
        self.milestones.clear();
        self.own = self.market.requests.map(|limit| {
            Governor::new(limit.most, i64::try_from(limit.window.as_nanos()).unwrap_or(i64::MAX))
        });
        (self.next_id, self.next_ns) = (1, i64::MIN);
        (self.subscribed, self.refused) = (false, false);
        let opening = self.venue.opening(self.market, 1);
        self.asks.extend(opening.into_iter().map(|opening| Ask::Open(opening.text, opening.purpose)));
        self.ask_for(&self.streams.clone());
    }

    /// Queues the subscription of streams.
    fn ask_for(&mut self, streams: &[String]) {
        let chunks = streams.chunks(self.market.streams_per_request.max(1));
        self.asks.extend(chunks.map(|chunk| Ask::Subscribe(chunk.to_vec())));
    }

    /// The name by which a stream is subscribed.
    fn subscribed_name(&self, stream: &str) -> String {
        self.replaced.get(stream).cloned().unwrap_or_else(|| stream.to_owned())
    }

    /// Streams to carry from now on.
    pub(super) fn add(&mut self, streams: Vec<String>, is_open: bool) {
        let names = streams.iter().map(|stream| self.subscribed_name(stream));
        let new: Vec<String> = names.filter(|name| !self.streams.contains(name)).collect();
        if is_open {
            self.ask_for(&new);
        }
        self.streams.extend(new);
    }

    /// Streams that are no longer wanted.
    pub(super) fn remove(&mut self, streams: &[String], is_open: bool) {
        let streams: Vec<String> = streams.iter().map(|stream| self.subscribed_name(stream)).collect();
        self.streams.retain(|name| !streams.contains(name));
        if is_open {
            let chunks = streams.chunks(self.market.streams_per_request.max(1));
            self.asks.extend(chunks.map(|chunk| Ask::Unsubscribe(chunk.to_vec(), false)));
        }
    }

    /// Asks for a new snapshot of a stream by subscribing it anew.
    pub(super) fn subscribe_again(&mut self, stream: &str) {
        let stream = self.subscribed_name(stream);
        if self.streams.contains(&stream) && !self.again.contains(&stream) {
            self.again.push(stream);
        }
    }

    /// The request that an answer is about.
    fn answered(&mut self, id: Option<u64>) -> Option<usize> {
        match id {
            Some(id) => self.unanswered.iter().position(|request| request.id == id),
            None => (!self.unanswered.is_empty()).then_some(0),
        }
    }

    /// The venue answered a request.
    pub(super) fn on_acknowledged(&mut self, id: Option<u64>, accepted: Accepted) {
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

    /// The venue refused a request.
    pub(super) fn on_refused(&mut self, id: Option<u64>, reason: &str) {
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
                self.replaced.insert(stream.clone(), other.clone());
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

    /// The next request.
    pub(super) fn poll(&mut self, now_ns: i64) -> Option<String> {
        if !self.has_next() {
            return None;
        }
        if self.asks.is_empty() {
            let most = self.market.streams_per_request.max(1).min(self.again.len());
            self.asks.push_back(Ask::Unsubscribe(self.again.drain(..most).collect(), true));
        }
        if let Err(later) = self.admit(now_ns) {
            self.next_ns = later;
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
        Some(text)
    }

    /// Whether there is a request that need not wait for an answer to another.
    pub(super) fn has_next(&self) -> bool {
        let waits_for = |is: fn(&Ask) -> bool| self.unanswered.iter().any(|request| is(&request.ask));
        if waits_for(|ask| matches!(ask, Ask::Open(..))) {
            return false;
        }
        let may_begin_again = !waits_for(|ask| matches!(ask, Ask::Unsubscribe(_, true)));
        !self.asks.is_empty() || (!self.again.is_empty() && may_begin_again)
    }

    /// Spends one request of the connection's and of the address's allowance, or says when to ask again.
    fn admit(&mut self, now_ns: i64) -> Result<(), i64> {
        if let Some(shared) = &self.shared {
            lock(shared).admit(now_ns, 1)?;
        }
        match &mut self.own {
            Some(own) => own.admit(now_ns, 1),
            None => Ok(()),
        }
    }

    /// No request may be sent before this time.
    pub(super) fn next_ns(&self) -> i64 {
        self.next_ns
    }

    /// When the oldest request without an answer was sent.
    pub(super) fn oldest_unanswered_ns(&self) -> Option<i64> {
        self.unanswered.front().map(|request| request.sent_ns)
    }

    /// Whether a request has waited for its answer for `limit_ns`. One that was refused in part waits no longer.
    pub(super) fn is_overdue(&mut self, now_ns: i64, limit_ns: i64) -> bool {
        while let Some(request) = self.unanswered.front()
            && now_ns - request.sent_ns >= limit_ns
        {
            if request.refusals == 0 {
                return true;
            }
            self.unanswered.pop_front();
        }
        false
    }

    /// A step worth recording, once.
    pub(super) fn poll_milestone(&mut self) -> Option<Milestone> {
        self.milestones.pop_front()
    }

    /// Whether every subscription is acknowledged.
    pub(super) fn is_subscribed(&self) -> bool {
        self.subscribed
    }
}

//! The state of a hosted venue: its protocol, its hub, and what makes data flow.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use super::capture::Playback;
use super::history::Replay;
use super::hub::Hub;
use super::protocol::Action;
use super::topic::Message;
use super::{ConnectionId, Disturbance, Ledger, Protocol, RestAnswer, TopicId};
use crate::clock::now_ms;
use crate::config::{Pace, Start};

/// Pending bytes at which a feed that runs flat out lets the sockets catch up.
const HIGH_WATER: usize = 192 << 10;
/// Most events or frames between two looks at the sockets.
const BATCH: usize = 512;
/// Most events of the market for one message that is due: many change only what waits for a grid.
const ACTIONS_PER_MESSAGE: u64 = 2;
/// Most receive times of a history between two looks at the sockets: some have whole books.
const MOMENTS: usize = 64;
/// Arrears of a paced feed beyond this many seconds are given up.
const LONGEST_ARREARS: f64 = 2.0;

/// Where messages come from.
#[derive(Debug)]
pub(crate) enum Feed {
    /// The protocol's market; messages a second, `None` as fast as the sockets take them.
    Generated(Option<u64>),
    /// Captured frames.
    Played(Playback, Pace),
    /// The records of a log.
    Replayed(Replay),
}

/// Somebody who waits for quiet sockets.
#[derive(Debug)]
struct Waiting {
    /// Only the end of a capture or a history counts, not a pause.
    finish: bool,
    reply: SyncSender<Ledger>,
}

/// Requests that are answered with a status and no data.
#[derive(Debug)]
struct RestFault {
    path_prefix: String,
    status: u16,
    times: u32,
}

/// Everything the tasks of a host share. It is never borrowed across an await.
pub(crate) struct Core {
    protocol: Box<dyn Protocol>,
    pub(crate) hub: Hub,
    feed: Feed,
    start: Start,
    /// Data flows.
    running: bool,
    started: bool,
    /// Messages due and not yet sent.
    arrears: f64,
    stepped: Instant,
    /// How far a capture was played, in nanoseconds of its own time.
    position: f64,
    rest_faults: Vec<RestFault>,
    waiting: Vec<Waiting>,
    opened: ConnectionId,
}

impl Core {
    pub(crate) fn new(protocol: Box<dyn Protocol>, hub: Hub, feed: Feed, start: Start) -> Self {
        // A history has a clock of its own.
        let running = matches!(feed, Feed::Replayed(_));
        Core {
            protocol,
            hub,
            feed,
            start,
            running,
            started: running,
            arrears: 0.0,
            stepped: Instant::now(),
            position: 0.0,
            rest_faults: Vec::new(),
            waiting: Vec::new(),
            opened: 0,
        }
    }

    pub(crate) fn protocol(&self) -> &dyn Protocol {
        &*self.protocol
    }

    /// Lets the protocol work and does what it asks for.
    fn with_protocol<T>(&mut self, work: impl FnOnce(&mut dyn Protocol, u64, &mut Vec<Action>) -> T) -> T {
        let mut actions = Vec::new();
        let result = work(&mut *self.protocol, now_ms(), &mut actions);
        self.perform(actions);
        result
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.hub.perform(action, &*self.protocol);
        }
        // A disturbance may set off the next one; each is scripted once, so this ends.
        while let Some((topic, what)) = self.hub.due.pop_front() {
            let mut actions = Vec::new();
            self.protocol.disturb(topic, &what, now_ms(), &mut actions);
            for action in actions {
                self.hub.perform(action, &*self.protocol);
            }
        }
    }

    /// Asks the protocol for a new connection; the error is an HTTP status.
    pub(crate) fn open(&mut self, path: &str) -> Result<ConnectionId, u16> {
        self.opened += 1;
        let opened = self.protocol.open(self.opened, path, now_ms());
        if let Err(status) = opened {
            self.hub.violation(format!("connection to {path} refused with {status}"));
        }
        opened.map(|()| self.opened)
    }

    pub(crate) fn text(&mut self, connection: ConnectionId, text: &str) {
        self.with_protocol(|protocol, now, out| protocol.text(connection, text, now, out));
        let enough = match self.start {
            Start::OnSubscribe => self.hub.subscribed > 0,
            Start::WhenSubscribed(count) => self.hub.subscribed >= count,
            Start::Manual => false,
        };
        if enough && !self.started {
            self.start_feed();
        }
        if let Feed::Replayed(replay) = &self.feed {
            replay.subscribed(self.hub.take_new());
        }
    }

    /// Everything that has to be known before clients may come.
    pub(crate) fn prepare(&mut self) {
        if let Feed::Replayed(replay) = &mut self.feed {
            replay.prepare(&mut *self.protocol);
        }
    }

    pub(crate) fn touched(&mut self, connection: ConnectionId) {
        self.protocol.touched(connection, now_ms());
    }

    pub(crate) fn closed(&mut self, connection: ConnectionId) {
        self.hub.close(connection);
        self.protocol.closed(connection);
    }

    /// Answers a request over HTTP, or fails as told to.
    pub(crate) fn rest(&mut self, path: &str, query: &str) -> RestAnswer {
        let fault = self.rest_faults.iter_mut().find(|fault| path.starts_with(&fault.path_prefix));
        if let Some(fault) = fault {
            let status = fault.status;
            fault.times -= 1;
            self.rest_faults.retain(|fault| fault.times > 0);
            self.hub.count_injected(&format!("REST status {status}"));
            return RestAnswer { status, body: String::new() };
        }
        self.protocol.rest(path, query, now_ms())
    }

    pub(crate) fn fail_rest(&mut self, path_prefix: String, status: u16, times: u32) {
        if times > 0 {
            self.rest_faults.push(RestFault { path_prefix, status, times });
        }
    }

    pub(crate) fn start_feed(&mut self) {
        self.started = true;
        self.running = true;
        self.stepped = Instant::now();
        self.arrears = 0.0;
    }

    /// Stops producing; the reply comes when everything is written.
    pub(crate) fn pause(&mut self, reply: SyncSender<Ledger>) {
        self.running = false;
        if matches!(self.feed, Feed::Generated(_)) {
            self.with_protocol(|protocol, now, out| protocol.flush(now, out));
        }
        self.hub.release();
        self.waiting.push(Waiting { finish: false, reply });
        self.answer_waiting();
    }

    /// The reply comes when a capture or a history is played to its end and written.
    pub(crate) fn wait_until_finished(&mut self, reply: SyncSender<Ledger>) {
        self.waiting.push(Waiting { finish: true, reply });
    }

    pub(crate) fn ledger(&mut self) -> Ledger {
        let mut ledger = self.hub.ledger();
        ledger.finished = self.finished();
        ledger
    }

    /// Sets off a disturbance now; false when there is no such stream.
    pub(crate) fn disturb(&mut self, market: &str, stream: &str, what: Disturbance) -> bool {
        let Some(topic) = self.find(market, stream) else { return false };
        self.hub.disturb(topic, what, &*self.protocol);
        self.perform(Vec::new());
        true
    }

    /// Adds a scripted fault; false when there is no such stream.
    pub(crate) fn schedule(&mut self, fault: &super::Fault) -> bool {
        let Some(topic) = self.find(&fault.market, &fault.stream) else { return false };
        self.hub.schedule(topic, fault.after_messages, fault.what, &*self.protocol);
        self.perform(Vec::new());
        true
    }

    fn find(&self, market: &str, stream: &str) -> Option<TopicId> {
        (0..self.protocol.topics() as TopicId).find(|&id| {
            let name = self.protocol.topic(id);
            name.market == market && name.stream == stream
        })
    }

    pub(crate) fn streams(&self, market: &str) -> Vec<String> {
        let names = (0..self.protocol.topics() as TopicId).map(|id| self.protocol.topic(id));
        names.filter(|name| name.market == market).map(|name| name.stream.clone()).collect()
    }

    /// The book as the venue has it; captures have none.
    pub(crate) fn book(&self, market: &str, symbol: &str) -> Option<crate::Book> {
        match self.feed {
            Feed::Generated(_) | Feed::Replayed(_) => self.protocol.book(market, symbol),
            Feed::Played(..) => None,
        }
    }

    pub(crate) fn change_listing(&mut self, change: &super::ListingChange) -> Option<String> {
        self.with_protocol(|protocol, now, out| protocol.change_listing(change, now, out))
    }

    fn finished(&self) -> bool {
        match &self.feed {
            Feed::Generated(_) => false,
            Feed::Played(playback, _) => playback.finished(),
            Feed::Replayed(replay) => replay.is_finished(),
        }
    }

    /// Does everything that is due; gives the time until the next step.
    pub(crate) fn step(&mut self) -> Duration {
        let mut actions = Vec::new();
        self.protocol.tick(now_ms(), &mut actions);
        let is_message = |action: &Action| matches!(action, Action::Publish { .. });
        if self.running {
            self.arrears -= actions.iter().filter(|action| is_message(action)).count() as f64;
        } else {
            actions.retain(|action| !is_message(action));
        }
        self.perform(actions);
        let elapsed = self.stepped.elapsed();
        self.stepped += elapsed;
        let pause =
            if self.running && !self.finished() { self.feed(elapsed) } else { self.protocol.tick_interval() };
        self.answer_waiting();
        pause
    }

    fn feed(&mut self, elapsed: Duration) -> Duration {
        let flat = match &self.feed {
            Feed::Generated(rate) => rate.is_none(),
            Feed::Played(_, pace) => *pace == Pace::Flat,
            // Nobody is cut off for what was asked to be faster than it was.
            Feed::Replayed(_) => true,
        };
        if flat && self.hub.fuller_than(HIGH_WATER) {
            return Duration::from_millis(1);
        }
        match self.feed {
            Feed::Generated(_) => self.act(elapsed),
            Feed::Played(..) => self.play(elapsed),
            Feed::Replayed(_) => return self.replay(),
        }
        if flat && self.hub.subscribed > 0 { Duration::ZERO } else { Duration::from_millis(1) }
    }

    /// Lets the market move as much as the pace asks for.
    fn act(&mut self, elapsed: Duration) {
        let Feed::Generated(rate) = self.feed else { return };
        if self.hub.subscribed == 0 {
            return;
        }
        let Some(rate) = rate.map(|rate| rate as f64) else {
            for _ in 0..BATCH {
                self.with_protocol(|protocol, now, out| protocol.act(now, out));
            }
            return;
        };
        let bound = rate * LONGEST_ARREARS;
        self.arrears = (self.arrears + rate * elapsed.as_secs_f64()).clamp(-bound, bound);
        let mut actions = self.arrears.max(0.0) as u64 * ACTIONS_PER_MESSAGE;
        while self.arrears >= 1.0 && actions > 0 {
            actions -= 1;
            let published = self.with_protocol(|protocol, now, out| protocol.act(now, out));
            self.arrears -= published as f64;
        }
        // With few streams subscribed the rate cannot be reached; that is not made up for later.
        if self.arrears >= 1.0 {
            self.arrears = self.arrears.fract();
        }
    }

    fn play(&mut self, elapsed: Duration) {
        let Feed::Played(playback, pace) = &mut self.feed else { return };
        let factor = match *pace {
            Pace::Own => 1.0,
            Pace::Times(factor) => factor,
            Pace::Flat => f64::INFINITY,
        };
        self.position = match *pace {
            Pace::Flat => f64::INFINITY,
            _ => self.position + elapsed.as_nanos() as f64 * factor,
        };
        for _ in 0..BATCH {
            let Some(frame) = playback.next(self.position) else { break };
            let ids = frame.ids;
            let message = Message { text: frame.text.clone(), first_id: ids.first_id, last_id: ids.last_id };
            self.hub.publish(ids.topic, message);
        }
        self.perform(Vec::new());
    }

    /// Plays the records that are due; gives the time until the next ones.
    fn replay(&mut self) -> Duration {
        for _ in 0..MOMENTS {
            let Feed::Replayed(replay) = &mut self.feed else { break };
            let records = match replay.due(&self.hub) {
                Ok(records) => records,
                Err(time) => return time.min(self.protocol.tick_interval()),
            };
            self.with_protocol(|protocol, now, out| protocol.replay(&records, now, out));
            let broken = self.protocol.take_broken();
            if let Feed::Replayed(replay) = &mut self.feed {
                replay.await_clients(&broken, &self.hub);
            }
        }
        Duration::ZERO
    }

    /// Answers those who wait for quiet sockets, when they are quiet.
    fn answer_waiting(&mut self) {
        if self.waiting.is_empty() || !self.hub.drained() {
            return;
        }
        let (finished, paused) = (self.finished(), !self.running);
        let ready = |waiting: &mut Waiting| finished || (paused && !waiting.finish);
        let answered: VecDeque<Waiting> = self.waiting.extract_if(.., ready).collect();
        if answered.is_empty() {
            return;
        }
        let ledger = self.ledger();
        for waiting in answered {
            // A caller that no longer waits needs no answer.
            let _ = waiting.reply.try_send(ledger.clone());
        }
    }
}

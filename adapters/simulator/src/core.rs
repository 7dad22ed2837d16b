//! The state all tasks of a simulator share: the feed, the hub, the limits.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc::SyncSender;

use tokio::sync::Notify;

use crate::config::{Config, Limits, Market, Start};
use crate::history::binance::Replay;
use crate::hub::Hub;
use crate::instrument::NO_TOPIC;
use crate::ledger::Ledger;
use crate::market::World;
use crate::playback::Playback;
use crate::streams::{Route, route_of};
use crate::weight::Meter;

/// Where frames come from.
#[derive(Debug)]
pub(crate) enum Feed {
    Generated(Box<World>),
    Played(Box<Playback>),
    Recorded(Box<Replay>),
}

impl Feed {
    pub(crate) fn serves(&self, market: Market, name: &str) -> bool {
        match self {
            Feed::Generated(world) => world.serves(market, name),
            Feed::Played(playback) => playback.find(market, name).is_some(),
            Feed::Recorded(replay) => replay.serves(market, name),
        }
    }

    fn connect(&mut self, market: Market, name: &str, topic: u32) {
        match self {
            Feed::Generated(world) => world.connect(market, name, topic),
            Feed::Played(playback) => playback.connect(market, name, topic),
            Feed::Recorded(replay) => replay.connect(market, name, topic),
        }
    }

    pub(crate) fn symbols(&self, market: Market) -> Vec<String> {
        match self {
            Feed::Generated(world) => {
                world.of_market(market).iter().map(|one| one.spec.name.clone()).collect()
            }
            Feed::Played(playback) => playback.symbols(market),
            Feed::Recorded(replay) => replay.symbols(market),
        }
    }

    pub(crate) fn stream_names(&self, market: Market) -> Vec<String> {
        match self {
            Feed::Generated(world) => world.stream_names(market),
            Feed::Played(playback) => {
                let of_market = playback.streams.iter().filter(|stream| stream.market == market);
                of_market.map(|stream| stream.name.clone()).collect()
            }
            // Which streams a history holds is known at its end.
            Feed::Recorded(_) => Vec::new(),
        }
    }

    pub(crate) fn finished(&self) -> bool {
        match self {
            Feed::Generated(_) => false,
            Feed::Played(playback) => playback.finished(),
            Feed::Recorded(replay) => replay.has_ended(),
        }
    }
}

/// Somebody who waits for quiet sockets.
#[derive(Debug)]
struct Waiting {
    /// Only the end of a capture counts, not a pause.
    finish: bool,
    reply: SyncSender<Ledger>,
}

/// Everything tasks share. It is never borrowed across an await.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) feed: Feed,
    pub(crate) hub: Hub,
    pub(crate) limits: Limits,
    pub(crate) meters: [Meter; 2],
    start: Start,
    /// Data flows.
    pub(crate) running: bool,
    started: bool,
    connects: [VecDeque<u64>; 3],
    waiting: Vec<Waiting>,
}

/// The shared state and the signals between tasks.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) core: Rc<RefCell<Core>>,
    /// A writer took its bytes: there is room, or less in flight.
    pub(crate) room: Rc<Notify>,
    /// Subscriptions or the running state changed.
    pub(crate) changed: Rc<Notify>,
    /// Frames were played (for answers held back until then).
    pub(crate) progress: Rc<Notify>,
}

impl Core {
    pub(crate) fn new(config: &Config, feed: Feed, hub: Hub) -> Self {
        // Recorded history has a beginning of its own.
        let running = matches!(feed, Feed::Recorded(_));
        Core {
            feed,
            hub,
            limits: config.limits.clone(),
            meters: [Meter::default(), Meter::default()],
            start: config.start,
            running,
            started: running,
            connects: [VecDeque::new(), VecDeque::new(), VecDeque::new()],
            waiting: Vec::new(),
        }
    }

    /// Subscribes a connection; a stream without data, or on a route that does not carry it, stays silent.
    pub(crate) fn subscribe(&mut self, slot: usize, market: Market, route: Route, name: &str) {
        let silent = market == Market::Usdm && route_of(name) != route;
        if silent || !self.feed.serves(market, name) {
            return;
        }
        let topic = self.hub.subscribe(slot, market, name);
        self.feed.connect(market, name, topic);
        let enough = match self.start {
            Start::OnSubscribe => self.hub.subscribed > 0,
            Start::WhenSubscribed(count) => self.hub.subscribed >= count,
            Start::Manual => false,
        };
        if enough && !self.started {
            self.start_feed();
        }
    }

    pub(crate) fn unsubscribe(&mut self, slot: usize, market: Market, name: &str) {
        if let Some((market, name)) = self.hub.unsubscribe(slot, market, name) {
            self.feed.connect(market, &name, NO_TOPIC);
        }
    }

    pub(crate) fn close(&mut self, slot: usize) {
        for (market, name) in self.hub.close(slot) {
            self.feed.connect(market, &name, NO_TOPIC);
        }
    }

    pub(crate) fn start_feed(&mut self) {
        self.started = true;
        self.running = true;
    }

    /// Counts a connection attempt; false when it is one too many within five minutes.
    pub(crate) fn count_connect(&mut self, market: Market, now: u64) -> bool {
        let limit = self.limits.connects_per_5_minutes as usize;
        let attempts = &mut self.connects[market.index()];
        while attempts.front().is_some_and(|&time| time + 300_000 <= now) {
            attempts.pop_front();
        }
        if attempts.len() >= limit {
            self.hub.violation(format!("{market}: more than {limit} connection attempts in five minutes"));
            return false;
        }
        attempts.push_back(now);
        true
    }

    pub(crate) fn ledger(&mut self) -> Ledger {
        let mut ledger = self.hub.ledger();
        ledger.finished = self.feed.finished();
        match &self.feed {
            Feed::Generated(_) => {}
            Feed::Played(playback) => ledger.loops = playback.loops_done,
            Feed::Recorded(replay) => ledger.replayed = replay.streams(),
        }
        ledger
    }

    /// Answers with the ledger when everything produced was written: after a pause, or at a capture's end.
    pub(crate) fn wait_drained(&mut self, finish: bool, reply: SyncSender<Ledger>) {
        self.waiting.push(Waiting { finish, reply });
        self.answer_waiting();
    }

    /// Answers those who wait for quiet sockets, when they are quiet.
    pub(crate) fn answer_waiting(&mut self) {
        if self.waiting.is_empty() || !self.hub.drained() {
            return;
        }
        let (finished, paused) = (self.feed.finished(), !self.running);
        let ready = |waiting: &mut Waiting| finished || (paused && !waiting.finish);
        let answered: Vec<Waiting> = self.waiting.extract_if(.., ready).collect();
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

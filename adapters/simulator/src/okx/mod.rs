//! OKX v5: the public and business WebSocket endpoints and the public REST of spot, swaps, futures and options.
//!
//! Streams are named `channel:key`, as `books:BTC-USDT-SWAP`, `candle1m:BTC-USDT`, `liquidation-orders:SWAP`,
//! `opt-summary:BTC-USD`. The channels are `bbo-tbt`, `books`, `books5`, `trades`, `trades-all`, `tickers`,
//! `mark-price`, `index-tickers`, `funding-rate`, `open-interest`, `liquidation-orders`, `opt-summary`, `instruments`
//! and the candles up to a day. Index prices belong to no market of the venue; their streams are listed under `swap`.

mod book;
mod books;
mod candle;
mod captured;
mod catalogue;
mod channel;
mod checksum;
mod instrument;
mod moves;
mod number;
mod played;
mod render;
mod rest;
mod session;
mod subscriptions;
mod topics;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use serde_json::Value;

use self::book::{Side, WINDOW};
use self::candle::Bar;
use self::catalogue::{Market, Spec};
use self::channel::{CHANNELS, Channel};
use self::instrument::Instrument;
use self::played::Played;
use self::rest::Meters;
use self::session::{Endpoint, Session};
#[cfg(test)]
pub(crate) use self::topics::argument_of;
use self::topics::{Subject, Topics};
use crate::Error;
use crate::clock::now_ms;
use crate::config::Generated;
use crate::history::{HistoryRecord, ReplayedStream};
use crate::host::{
    self, Action, BookText, Captured, ConnectionId, Disturbance, Handle, ListingChange, Protocol, RestAnswer,
    Source, TopicId, TopicName,
};
use crate::text::Random;

/// Most instruments of one market.
const INSTRUMENTS: usize = 2000;

/// The venue's limits and habits.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Operations of one connection in an hour.
    pub operations_per_hour: usize,
    /// New connections in a second.
    pub connections_per_second: usize,
    /// A connection without traffic for that long is closed.
    pub idle: Duration,
    /// A book without changes is confirmed after that long.
    pub keep_alive: Duration,
    /// Books carry right checksums, as before 2026, instead of 0.
    pub legacy_checksums: bool,
    /// The channel `instruments` begins with the whole list.
    pub instruments_on_subscribe: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            operations_per_hour: 480,
            connections_per_second: 3,
            idle: Duration::from_secs(30),
            keep_alive: Duration::from_secs(60),
            legacy_checksums: false,
            instruments_on_subscribe: true,
        }
    }
}

/// Everything that a simulated OKX needs to start.
pub type Config = host::Config<Limits>;

/// Starts a simulated OKX; its port accepts connections when this returns.
pub fn start(config: &Config) -> Result<Handle, Error> {
    let now = now_ms();
    let mut venue = Venue::new(config.limits.clone(), now);
    match &config.source {
        Source::Generated(generated) if !(1..=INSTRUMENTS).contains(&generated.symbols) => {
            return Err(Error::Configuration(format!("symbols must be 1 to {INSTRUMENTS}")));
        }
        Source::Generated(generated) => venue.generate(generated, now),
        Source::Capture(_) => venue.captured = true,
        Source::History(_) => venue.played = Some(Played::default()),
    }
    host::start(config, Box::new(venue))
}

/// The venue: its market and its sessions.
struct Venue {
    limits: Limits,
    /// Plays a capture instead of a market of its own.
    captured: bool,
    /// Plays history instead.
    played: Option<Played>,
    instruments: Vec<Instrument>,
    by_name: HashMap<String, usize>,
    /// Next number of an instrument, by market.
    numbers: [usize; 4],
    topics: Topics,
    /// Candles that somebody subscribes.
    bars: HashMap<TopicId, Bar>,
    /// The last liquidation, by market.
    liquidations: [Option<String>; 4],
    sessions: HashMap<ConnectionId, Session>,
    /// When a session is looked at next.
    alarms: BinaryHeap<Reverse<(u64, ConnectionId)>>,
    connects: VecDeque<u64>,
    /// Instruments that somebody wants to move.
    active: Vec<usize>,
    meters: Meters,
    random: Random,
    /// Instrument objects of a capture, by name.
    definitions: HashMap<String, Value>,
}

impl Venue {
    fn new(limits: Limits, now_ms: u64) -> Venue {
        Venue {
            limits,
            captured: false,
            played: None,
            instruments: Vec::new(),
            by_name: HashMap::new(),
            numbers: [0; 4],
            topics: Topics::default(),
            bars: HashMap::new(),
            liquidations: [const { None }; 4],
            sessions: HashMap::new(),
            alarms: BinaryHeap::new(),
            connects: VecDeque::new(),
            active: Vec::new(),
            meters: Meters::default(),
            random: Random::new(now_ms),
            definitions: HashMap::new(),
        }
    }

    /// Makes the market.
    fn generate(&mut self, generated: &Generated, now_ms: u64) {
        self.random = Random::new(generated.seed);
        for market in Market::ALL {
            let stream = format!("instruments:{}", market.instrument_type());
            self.topics.add(market.name(), stream, Subject::Instruments(market));
            if matches!(market, Market::Swap | Market::Futures) {
                let stream = format!("liquidation-orders:{}", market.instrument_type());
                self.topics.add(market.name(), stream, Subject::Liquidations(market));
            }
            for _ in 0..generated.symbols {
                self.list(market, now_ms);
            }
        }
    }

    /// Lists the next instrument of a market; gives its place.
    fn list(&mut self, market: Market, now_ms: u64) -> usize {
        let number = self.numbers[market as usize];
        self.numbers[market as usize] += 1;
        let spec = Spec::new(market, number, now_ms);
        let (name, family, index) = (spec.name.clone(), spec.family(), self.instruments.len());
        let mut instrument = Instrument::new(spec, number, &mut self.random, now_ms);
        for (channel_name, channel) in CHANNELS {
            let subject = Subject::Instrument { index, channel };
            let topic = channel
                .exists(market)
                .then(|| self.topics.add(market.name(), format!("{channel_name}:{name}"), subject));
            instrument.topics.push(topic);
        }
        if matches!(market, Market::Swap | Market::Futures) {
            let trade = instrument.last_trade();
            self.liquidations[market as usize]
                .get_or_insert_with(|| render::liquidation(&instrument, &trade));
        }
        if market == Market::Option {
            let stream = format!("opt-summary:{family}");
            self.topics.add(market.name(), stream, Subject::Summary { family });
        } else {
            let stream = format!("index-tickers:{family}");
            self.topics.add(Market::Swap.name(), stream, Subject::Index { lead: index });
        }
        self.by_name.insert(name, index);
        self.instruments.push(instrument);
        index
    }

    fn keep_alive_ms(&self) -> u64 {
        self.limits.keep_alive.as_millis() as u64
    }

    /// Sends a message to everybody on a stream.
    fn publish(
        &mut self,
        id: TopicId,
        text: String,
        (first_id, last_id): (u64, u64),
        now_ms: u64,
        out: &mut Vec<Action>,
    ) {
        let topic = self.topics.get_mut(id);
        topic.pushed_ms = now_ms;
        if !topic.subscribers.is_empty() {
            out.push(Action::Publish { topic: id, text, first_id, last_id });
        }
    }

    /// Instruments of a market that are listed.
    fn listed(&self, market: Market) -> impl Iterator<Item = &Instrument> {
        self.instruments.iter().filter(move |one| one.spec.market == market && !one.expired)
    }

    /// Announces a change of an instrument on the channel `instruments`.
    fn announce(&mut self, index: usize, state: &str, now_ms: u64, out: &mut Vec<Action>) {
        let instrument = &self.instruments[index];
        let market = instrument.spec.market;
        let object = instrument.spec.object(instrument.number, state).to_string();
        if let Some(id) = self.topics.find(&format!("instruments:{}", market.instrument_type())) {
            let text = render::push(&self.topics.get(id).arg(), &object);
            self.publish(id, text, (0, 0), now_ms, out);
        }
    }
}

impl Protocol for Venue {
    fn open(&mut self, connection: ConnectionId, path: &str, now_ms: u64) -> Result<(), u16> {
        let endpoint = Endpoint::of_path(path).ok_or(404_u16)?;
        while self.connects.front().is_some_and(|&time| time + 1_000 <= now_ms) {
            self.connects.pop_front();
        }
        if self.connects.len() >= self.limits.connections_per_second {
            return Err(429);
        }
        self.connects.push_back(now_ms);
        self.sessions.insert(connection, Session::new(connection, endpoint, now_ms));
        self.alarms.push(Reverse((now_ms + self.idle_ms(), connection)));
        Ok(())
    }

    fn text(&mut self, connection: ConnectionId, text: &str, now_ms: u64, out: &mut Vec<Action>) {
        self.hear(connection, text, now_ms, out);
    }

    fn closed(&mut self, connection: ConnectionId) {
        if let Some(session) = self.sessions.remove(&connection) {
            for topic in session.topics {
                self.leave(connection, topic);
            }
        }
    }

    fn rest(&mut self, path: &str, query: &str, now_ms: u64) -> RestAnswer {
        self.answer(path, query, now_ms)
    }

    fn tick(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        while let Some(id) = self.topics.next_due(now_ms) {
            self.fire(id, now_ms, out);
        }
        self.look_at_sessions(now_ms, out);
    }

    fn act(&mut self, now_ms: u64, out: &mut Vec<Action>) -> usize {
        self.move_market(now_ms, out)
    }

    fn flush(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        for id in self.topics.changed() {
            self.fire(id, now_ms, out);
        }
        self.uncross(now_ms, out);
    }

    fn disturb(&mut self, topic: TopicId, what: &Disturbance, now_ms: u64, out: &mut Vec<Action>) {
        let subscribers = self.topics.get(topic).subscribers.clone();
        match *what {
            Disturbance::SilentAcknowledgement => self.topics.get_mut(topic).silent = true,
            Disturbance::Refuse => self.topics.get_mut(topic).refusals += 1,
            Disturbance::UnknownMessage => {
                let text =
                    "{\"arg\":{\"channel\":\"never-heard-of\",\"instId\":\"X\"},\"data\":[{\"x\":\"1\"}]}";
                let send = |connection| Action::Send { connection, text: text.to_owned() };
                out.extend(subscribers.into_iter().map(send));
            }
            Disturbance::ClosingNotice(after_ms) => {
                for connection in subscribers {
                    self.announce_closing(connection, now_ms + after_ms, out);
                }
            }
            _ => {
                if let Subject::Instrument { index, channel: Channel::Books } = self.topics.get(topic).subject
                {
                    self.disturb_book(topic, index, what, now_ms, out);
                }
            }
        }
    }

    fn topic(&self, topic: TopicId) -> &TopicName {
        &self.topics.get(topic).name
    }

    fn topics(&self) -> usize {
        self.topics.len()
    }

    fn markets(&self) -> &'static [&'static str] {
        &["spot", "swap", "futures", "option"]
    }

    fn symbols(&self, market: &str) -> Vec<String> {
        let Some(market) = Market::of_name(market) else { return Vec::new() };
        if self.captured {
            return self.captured_symbols(market);
        }
        if let Some(played) = &self.played {
            return played.symbols(market);
        }
        self.listed(market).map(|instrument| instrument.spec.name.clone()).collect()
    }

    fn book(&self, market: &str, symbol: &str) -> Option<BookText> {
        if let Some(played) = &self.played {
            return played.past.book_text(market, symbol);
        }
        let instrument = self.instruments.get(*self.by_name.get(symbol)?)?;
        if instrument.spec.market.name() != market {
            return None;
        }
        let side = |side| {
            let rows = instrument.ladder.walk(side).take(WINDOW);
            rows.map(|(tick, lots)| (instrument.price(tick), instrument.spec.size(lots))).collect()
        };
        let tracked = instrument.ladder.tracked();
        Some(BookText {
            last_update_id: if tracked { instrument.chain.last } else { instrument.sequence },
            bids: side(Side::Bid),
            asks: side(Side::Ask),
        })
    }

    fn change_listing(
        &mut self,
        change: &ListingChange,
        now_ms: u64,
        out: &mut Vec<Action>,
    ) -> Option<String> {
        if self.captured || self.played.is_some() {
            return None;
        }
        let (index, state) = match change {
            ListingChange::List(market) => (self.list(Market::of_name(market)?, now_ms), "live"),
            ListingChange::Expire(market, name) => {
                let index = *self.by_name.get(name)?;
                let instrument = &mut self.instruments[index];
                if instrument.spec.market.name() != *market || instrument.expired {
                    return None;
                }
                // What waited for its grid is still sent; then there is silence.
                for id in instrument.topics.clone().into_iter().flatten() {
                    if self.topics.get(id).changed {
                        self.fire(id, now_ms, out);
                    }
                }
                self.instruments[index].expired = true;
                self.active.retain(|&active| active != index);
                (index, "expired")
            }
        };
        self.announce(index, state, now_ms, out);
        Some(self.instruments[index].spec.name.clone())
    }

    fn captured(&mut self, market: &str, text: &str) -> Option<Captured> {
        self.read_captured(market, text)
    }

    fn captured_answer(&mut self, _market: &str, file: &str, body: &str) {
        self.read_captured_answer(file, body);
    }

    fn remember(&mut self, record: &HistoryRecord) {
        if let Some(played) = &mut self.played {
            played.past.advance(record);
            played.keep(record);
        }
    }

    fn replay(&mut self, records: &[HistoryRecord], now_ms: u64, out: &mut Vec<Action>) {
        self.play(records, now_ms, out);
    }

    fn take_broken(&mut self) -> Vec<TopicId> {
        self.broken_topics()
    }

    fn replayed(&self) -> Vec<ReplayedStream> {
        self.played.as_ref().map_or(vec![], |played| played.past.streams())
    }

    fn too_slow(&self) -> (u16, &'static str) {
        (4005, "Buffer is full, cannot write data")
    }
}

//! The generated market: all instruments of all markets over one clock. Pure: no sockets, no real time.

use std::collections::HashMap;

use crate::book::{Ladder, Side};
use crate::config::{Generated, Market};
use crate::frames::Writer;
use crate::instrument::{Instrument, NO_TOPIC, Sink, Step};
use crate::streams::{
    ALL_BOOK_TICKER, ALL_MARK_PRICE, ALL_MARK_PRICE_1S, ALL_MINI_TICKER, ALL_TICKER, ARRAYS, KINDS, KLINE,
    kind_of, suffix_of,
};
use crate::symbols::{instruments, written};
use crate::text::Random;

/// Milliseconds between two beats of an instrument.
const BEAT: u64 = 50;
/// Actions per instrument and second of market time that give the venue's mix of messages.
pub(crate) const ACTIONS_PER_SECOND: u64 = 48;
/// Longest stretch of time caught up beat by beat, in milliseconds.
const LONGEST_CATCH_UP: u64 = 5_000;

/// The whole generated market.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) instruments: Vec<Instrument>,
    /// Epoch milliseconds of market time.
    pub(crate) now: u64,
    by_name: HashMap<(Market, String), usize>,
    ranges: [(usize, usize); 3],
    markets: Vec<Market>,
    arrays: [[u32; ARRAYS.len()]; 3],
    counters: [u64; 3],
    phases: Vec<Vec<usize>>,
    random: Random,
    scratch: Vec<u8>,
    current: bool,
}

/// Where a stream belongs.
enum Place {
    Instrument(usize, usize),
    Array(usize),
}

impl World {
    pub(crate) fn new(generated: &Generated, markets: &[Market], current: bool, now: u64) -> Self {
        let mut random = Random::new(generated.seed);
        let mut world = World {
            instruments: Vec::new(),
            now,
            by_name: HashMap::new(),
            ranges: [(0, 0); 3],
            markets: markets.to_vec(),
            arrays: [[NO_TOPIC; ARRAYS.len()]; 3],
            counters: [0, 6_000_000_000_000, 1_200_000_000_000],
            phases: vec![Vec::new(); BEAT as usize],
            random: random.clone(),
            scratch: Vec::with_capacity(1 << 16),
            current,
        };
        for &market in markets {
            let first = world.instruments.len();
            for spec in instruments(market, generated.symbols) {
                let index = world.instruments.len();
                let counter = &mut world.counters[market.index()];
                *counter += 1 + u64::from(random.below(5000));
                let own = 40_000_000_000 + u64::from(random.below(2_000_000_000));
                let update_id = if market.is_futures() { *counter } else { own };
                world.by_name.insert((market, spec.name.clone()), index);
                world.phases[random.below(BEAT as u32) as usize].push(index);
                world.instruments.push(Instrument::new(spec, &mut random, update_id, now));
            }
            world.ranges[market.index()] = (first, world.instruments.len() - first);
        }
        world.random = random;
        world
    }

    fn with_step<S: Sink>(
        &mut self,
        index: usize,
        sink: &mut S,
        work: impl FnOnce(&mut Instrument, &mut Step<'_, S>),
    ) {
        let instrument = &mut self.instruments[index];
        let mut step = Step {
            sink,
            out: &mut self.scratch,
            random: &mut self.random,
            counter: &mut self.counters[instrument.spec.market.index()],
            now: self.now,
            current: self.current,
            arrays: &self.arrays,
        };
        work(instrument, &mut step);
    }

    /// One order or cancellation somewhere; the first instruments of a market are the busiest.
    pub(crate) fn act<S: Sink>(&mut self, sink: &mut S) {
        let market = self.markets[self.random.below(self.markets.len() as u32) as usize];
        let (first, count) = self.ranges[market.index()];
        let rank = self.random.below(count as u32).min(self.random.below(count as u32));
        self.with_step(first + rank as usize, sink, |instrument, step| instrument.act(step));
    }

    /// Moves market time on and sends what falls due on the way.
    pub(crate) fn advance<S: Sink>(&mut self, to: u64, sink: &mut S) {
        self.now = self.now.max(to.saturating_sub(LONGEST_CATCH_UP));
        while self.now < to {
            self.now += 1;
            let phase = (self.now % BEAT) as usize;
            for position in 0..self.phases[phase].len() {
                let index = self.phases[phase][position];
                let beat = self.now / BEAT;
                self.with_step(index, sink, |instrument, step| instrument.beat(step, beat));
            }
            if self.now.is_multiple_of(1000) {
                self.second(sink);
            }
        }
    }

    /// Sends the depth changes that wait for their grid.
    pub(crate) fn flush_depth<S: Sink>(&mut self, sink: &mut S) {
        for index in 0..self.instruments.len() {
            self.with_step(index, sink, |instrument, step| instrument.flush_depth(step));
        }
    }

    /// What all instruments send on the full second.
    fn second<S: Sink>(&mut self, sink: &mut S) {
        let second = self.now / 1000;
        let public = self.arrays[Market::Usdm.index()][ALL_BOOK_TICKER];
        for index in 0..self.instruments.len() {
            if self.instruments[index].spec.market.is_futures() {
                self.with_step(index, sink, |instrument, step| {
                    instrument.push_mark(step, second.is_multiple_of(3));
                    if second.is_multiple_of(5) {
                        instrument.push_book_ticker(step, public);
                    }
                });
            }
        }
        self.push_arrays(sink);
    }

    fn push_arrays<S: Sink>(&mut self, sink: &mut S) {
        if self.arrays.iter().flatten().all(|&topic| topic == NO_TOPIC) {
            return;
        }
        let changed: Vec<bool> = self.instruments.iter_mut().map(Instrument::take_changed).collect();
        for market in self.markets.clone() {
            for array in [ALL_TICKER, ALL_MINI_TICKER, ALL_MARK_PRICE, ALL_MARK_PRICE_1S] {
                let slow = array == ALL_MARK_PRICE && !(self.now / 1000).is_multiple_of(3);
                if self.arrays[market.index()][array] != NO_TOPIC && !slow {
                    self.push_array(market, array, &changed, sink);
                }
            }
        }
    }

    /// One array; both futures hosts send the tickers of both, as since 2026-06-30.
    fn push_array<S: Sink>(&mut self, market: Market, array: usize, changed: &[bool], sink: &mut S) {
        let tickers = array == ALL_TICKER || array == ALL_MINI_TICKER;
        let both = tickers && self.current && market.is_futures();
        self.scratch.clear();
        self.scratch.push(b'[');
        for (instrument, &changed) in self.instruments.iter().zip(changed) {
            let spec = &instrument.spec;
            let belongs = spec.market == market || (both && spec.market.is_futures());
            if !belongs || (tickers && !changed) {
                continue;
            }
            if self.scratch.len() > 1 {
                self.scratch.push(b',');
            }
            let (out, now) = (&mut self.scratch, self.now);
            let mut writer = Writer { out, spec, now, current: self.current };
            match array {
                ALL_TICKER => writer.ticker(&instrument.day, instrument.top()),
                ALL_MINI_TICKER => writer.mini_ticker(&instrument.day),
                _ => {
                    let (mark, index, rate, next) = instrument.mark(now);
                    writer.mark_price(mark, index, rate, next);
                }
            }
        }
        if self.scratch.len() > 1 {
            self.scratch.push(b']');
            sink.publish(self.arrays[market.index()][array], &self.scratch, 0, 0);
        }
    }

    fn place(&self, market: Market, name: &str) -> Option<Place> {
        if let Some(index) = ARRAYS.iter().position(|array| *array == name) {
            // Spot retired its all-market tickers and best prices; it has no mark price.
            let exists = market.is_futures() || index == ALL_MINI_TICKER;
            return exists.then_some(Place::Array(index));
        }
        let (symbol, suffix) = name.split_once('@')?;
        if symbol.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let index = *self.by_name.get(&(market, symbol.to_ascii_uppercase()))?;
        Some(Place::Instrument(index, kind_of(market, suffix)?))
    }

    /// Whether a stream has data.
    pub(crate) fn serves(&self, market: Market, name: &str) -> bool {
        self.place(market, name).is_some()
    }

    /// Connects a stream to a topic, or disconnects it with [`NO_TOPIC`].
    pub(crate) fn connect(&mut self, market: Market, name: &str, topic: u32) {
        match self.place(market, name) {
            Some(Place::Instrument(index, kind)) => {
                self.instruments[index].topics[kind] = topic;
                if kind >= KLINE {
                    self.instruments[index].follow_bars(kind - KLINE);
                }
            }
            Some(Place::Array(index)) => self.arrays[market.index()][index] = topic,
            None => {}
        }
    }

    pub(crate) fn of_market(&self, market: Market) -> &[Instrument] {
        let (first, count) = self.ranges[market.index()];
        &self.instruments[first..first + count]
    }

    pub(crate) fn find(&self, market: Market, symbol: &str) -> Option<&Instrument> {
        self.by_name.get(&(market, symbol.to_owned())).map(|&index| &self.instruments[index])
    }

    /// Every stream name with data on a market.
    pub(crate) fn stream_names(&self, market: Market) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for instrument in self.of_market(market) {
            let prefix = instrument.spec.stream_prefix();
            let suffixes = (0..KINDS).filter_map(|kind| suffix_of(market, kind));
            names.extend(suffixes.map(|suffix| format!("{prefix}@{suffix}")));
        }
        names.extend(ARRAYS.iter().filter(|name| self.serves(market, name)).map(|name| (*name).to_owned()));
        names
    }

    /// The book of an instrument as it was `age` milliseconds ago, with its id.
    pub(crate) fn snapshot(&self, instrument: &Instrument, age: u64) -> (Ladder, u64) {
        let mut ladder = instrument.ladder.clone();
        if age == 0 {
            return (ladder, instrument.update_id);
        }
        let since = self.now.saturating_sub(age);
        let id = instrument.history.rewind(&mut ladder, instrument.update_id, since);
        (ladder, id)
    }

    /// A random age of a cached snapshot, in milliseconds.
    pub(crate) fn snapshot_age(&mut self) -> u64 {
        self.random.below(300).into()
    }

    /// The levels of one side as text, best first.
    pub(crate) fn levels(instrument: &Instrument, side: Side) -> Vec<(String, String)> {
        let spec = &instrument.spec;
        let text = |(tick, lots): (usize, u32)| {
            (written(spec.first_tick + tick as u64, spec.price), written(lots.into(), spec.lots))
        };
        instrument.ladder.walk(side).map(text).collect()
    }
}

#[cfg(test)]
mod tests;

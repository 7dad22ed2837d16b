//! The generated market: all instruments, what happens to them and which messages follow. Pure: no sockets, no clock.

use std::collections::HashMap;

use super::book::{Chain, Change};
use super::catalogue::{MARKETS, instrument};
use super::channel::{Channel, Interval};
use super::instrument::Instrument;
use super::messages;
use super::number::Decimal;
use super::prices::Moment;
use super::topics::{Subject, Topics, VENUE};
use super::wheel::Wheel;
use crate::config::Generated;
use crate::host::{Action, TopicId};
use crate::text::Random;

/// Most instruments of each market at the start, options aside: more than the venue ever listed.
const MOST: [usize; MARKETS.len()] = [100, 100, usize::MAX, 100, 300];
/// Of 100 orders, how many go to each market.
const SHARES: [u32; MARKETS.len()] = [45, 20, 20, 10, 5];
/// Longest try to say something new of a book before a pause.
const LONGEST_NUDGE: usize = 1000;

/// The whole market.
#[derive(Debug)]
pub(super) struct Market {
    pub(super) instruments: Vec<Instrument>,
    pub(super) topics: Topics,
    pub(super) moment: Moment,
    /// Places of the instruments of each market.
    pub(super) places: [Vec<usize>; MARKETS.len()],
    /// Of them, those with a subscribed channel, in the same order.
    pub(super) watched: [Vec<usize>; MARKETS.len()],
    /// Coins with an index: the index name and where it stays.
    pub(super) indices: Vec<(String, Decimal)>,
    pub(super) by_name: HashMap<String, usize>,
    /// Last trade id of each currency.
    pub(super) trade_ids: HashMap<String, u64>,
    pub(super) random: Random,
    /// Subscribed topics about many instruments.
    pub(super) wide: Vec<TopicId>,
    /// Subscribed topics that move every second by themselves.
    pub(super) clocked: Vec<TopicId>,
    /// Last `change_id`; all books share it.
    pub(super) counter: u64,
    wheel: Wheel,
    /// The last second that moved the clocked topics.
    second: u64,
}

/// One message: its text and ids, 0 where there are none.
pub(super) type Message = (String, u64, u64);

impl Market {
    /// A generated market.
    pub(super) fn new(generated: &Generated, now_ms: u64) -> Market {
        let mut market = Market::empty(generated.seed, now_ms);
        for (kind, most) in MOST.into_iter().enumerate() {
            for _ in 0..generated.symbols.min(most) {
                market.list(kind);
            }
        }
        market
    }

    /// A market without instruments, as captures need it.
    pub(super) fn empty(seed: u64, now_ms: u64) -> Market {
        Market {
            instruments: Vec::new(),
            topics: Topics::new(),
            moment: Moment { seed, now_ms },
            places: Default::default(),
            watched: Default::default(),
            indices: Vec::new(),
            by_name: HashMap::new(),
            trade_ids: HashMap::new(),
            random: Random::new(seed),
            wide: Vec::new(),
            clocked: Vec::new(),
            counter: 136_000_000_000,
            wheel: Wheel::new(now_ms),
            second: now_ms / 1000,
        }
    }

    /// Adds the next instrument of a market; gives its place.
    pub(super) fn list(&mut self, market: usize) -> usize {
        let place = self.instruments.len();
        let spec = instrument(market, self.places[market].len());
        self.add_index(&spec.index_name, spec.index, spec.market == "spot");
        let mut instrument = Instrument::new(spec, &mut self.random, self.moment.now_ms);
        self.counter += 1 + u64::from(self.random.below(5000));
        instrument.change_id = self.counter;
        self.topics.add_instrument(&instrument, place);
        self.by_name.insert(instrument.spec.name.clone(), place);
        self.places[market].push(place);
        self.instruments.push(instrument);
        place
    }

    fn add_index(&mut self, name: &str, usual: Decimal, spot: bool) {
        if self.indices.iter().any(|(known, _)| known == name) {
            return;
        }
        let place = self.indices.len();
        self.indices.push((name.to_owned(), usual));
        self.topics.add(VENUE, format!("deribit_price_index.{name}"), Subject::Index(place));
        if !spot && name.ends_with("_usd") {
            self.topics.add(VENUE, format!("deribit_volatility_index.{name}"), Subject::Volatility(place));
        }
    }

    /// A listed instrument by name.
    pub(super) fn find(&self, name: &str) -> Option<&Instrument> {
        self.by_name.get(name).map(|&place| &self.instruments[place]).filter(|instrument| instrument.listed)
    }

    /// False for the channels of an instrument that expired.
    pub(super) fn is_open(&self, topic: TopicId) -> bool {
        match self.topics.subject(topic) {
            Subject::Instrument(place, _) => self.instruments[place].listed,
            _ => true,
        }
    }

    /// One order or cancellation in an instrument that somebody follows; the first ones of a market are the busiest.
    pub(super) fn act(&mut self, out: &mut Vec<Action>) {
        let all = self.wide.iter().any(|&topic| matches!(self.topics.subject(topic), Subject::Trades { .. }));
        let lively = if all { &self.places } else { &self.watched };
        let share = |market: usize| if lively[market].is_empty() { 0 } else { SHARES[market] };
        let total: u32 = (0..MARKETS.len()).map(share).sum();
        if total == 0 {
            return;
        }
        let (mut roll, mut market) = (self.random.below(total), 0);
        while roll >= share(market) {
            roll -= share(market);
            market += 1;
        }
        let count = lively[market].len() as u32;
        let rank = self.random.below(count).min(self.random.below(count));
        self.act_on(lively[market][rank as usize], out);
    }

    /// One order or cancellation in one instrument.
    pub(super) fn act_on(&mut self, place: usize, out: &mut Vec<Action>) {
        if !self.instruments[place].is_alive() {
            return;
        }
        let fills = self.instruments[place].act(&mut self.random);
        self.move_on(place);
        for fill in fills {
            self.trade(place, fill, out);
        }
        for position in 0..self.instruments[place].watched.len() {
            let topic = self.instruments[place].watched[position];
            let concerned = match self.topics.subject(topic) {
                Subject::Instrument(_, Channel::Quote) => {
                    self.instruments[place].top() != self.instruments[place].told_top
                }
                Subject::Instrument(_, channel) => {
                    matches!(channel, Channel::Book(_) | Channel::Window(..) | Channel::Ticker(_))
                }
                _ => false,
            };
            if concerned {
                self.touch(topic, out);
            }
        }
    }

    /// Gives a changed book its next id.
    fn move_on(&mut self, place: usize) {
        if !std::mem::take(&mut self.instruments[place].dirty) {
            return;
        }
        let id = self.next_id(place);
        let instrument = &mut self.instruments[place];
        instrument.change_id = id;
        instrument.changed_ms = self.moment.now_ms;
    }

    pub(super) fn next_id(&mut self, place: usize) -> u64 {
        self.counter += 1 + u64::from(self.random.below(200));
        self.counter - self.instruments[place].id_offset
    }

    /// Something to say on a topic: now, or at the next point of its grid.
    pub(super) fn touch(&mut self, topic: TopicId, out: &mut Vec<Action>) {
        let grid_ms = self.topics.subject(topic).grid_ms();
        let state = self.topics.get(topic);
        if grid_ms == 0 {
            self.publish(topic, out);
        } else if !state.due {
            state.due = true;
            self.wheel.schedule(topic, grid_ms, self.moment.now_ms);
        }
    }

    /// Says what waited for its grid, unless it was said already.
    fn publish_due(&mut self, topic: TopicId, out: &mut Vec<Action>) {
        if std::mem::take(&mut self.topics.get(topic).due) {
            self.publish(topic, out);
        }
    }

    /// Says what there is to say on a topic to everybody.
    pub(super) fn publish(&mut self, topic: TopicId, out: &mut Vec<Action>) {
        if self.topics.get(topic).subscribers == 0 {
            return;
        }
        if let Some((text, first_id, last_id)) = self.message(topic) {
            out.push(Action::Publish { topic, text, first_id, last_id });
        }
    }

    /// The next message of a topic.
    fn message(&mut self, topic: TopicId) -> Option<Message> {
        match self.topics.subject(topic) {
            Subject::Instrument(place, Channel::Book(interval)) => {
                let instrument = &mut self.instruments[place];
                let levels = instrument.chains[interval as usize].as_mut()?.take(&instrument.book);
                let id = instrument.change_id;
                (!levels.is_empty()).then(|| self.change(topic, place, interval, id, levels))?
            }
            Subject::Instrument(_, Channel::Trades(_)) | Subject::Trades { .. } => self.trades(topic),
            _ => self.value(topic),
        }
    }

    /// A message of a book channel with these levels.
    pub(super) fn change(
        &mut self,
        topic: TopicId,
        place: usize,
        interval: Interval,
        change_id: u64,
        levels: Vec<Change>,
    ) -> Option<Message> {
        let previous = self.instruments[place].chains[interval as usize].as_ref()?.last_id;
        let channel = &self.topics.name(topic).stream;
        let text = messages::notification(channel, |out| {
            messages::change(out, &self.instruments[place], (previous, change_id), &levels);
        });
        self.instruments[place].chains[interval as usize].as_mut()?.tell(change_id, levels);
        Some((text, previous, change_id))
    }

    /// A message that says how things are now.
    pub(super) fn value(&mut self, topic: TopicId) -> Option<Message> {
        let (moment, name) = (self.moment, &self.topics.name(topic).stream);
        let text = match self.topics.subject(topic) {
            Subject::Instrument(place, channel) => {
                let instrument = &mut self.instruments[place];
                if !instrument.listed {
                    return None;
                }
                instrument.told_top =
                    if channel == Channel::Quote { instrument.top() } else { instrument.told_top };
                let instrument = &self.instruments[place];
                match channel {
                    Channel::Window(depth, _) => {
                        messages::notification(name, |out| messages::window(out, instrument, depth))
                    }
                    Channel::Ticker(_) => messages::notification(name, |out| {
                        super::object::object(out, |object| super::ticker::write(object, instrument, moment));
                    }),
                    Channel::Quote => messages::notification(name, |out| messages::quote(out, instrument)),
                    Channel::Funding(_) => {
                        messages::notification(name, |out| messages::funding(out, instrument, moment))
                    }
                    Channel::Candles(resolution) => {
                        let (_, bar) = instrument.bars.iter().find(|(of, _)| *of == resolution)?;
                        messages::notification(name, |out| messages::candle(out, instrument, bar))
                    }
                    Channel::Book(_) | Channel::Trades(_) => return None,
                }
            }
            Subject::Index(place) => {
                let (index, usual) = &self.indices[place];
                messages::notification(name, |out| {
                    messages::index(out, index, moment.index(*usual), moment.now_ms);
                })
            }
            Subject::Volatility(place) => {
                let (index, usual) = &self.indices[place];
                messages::notification(name, |out| {
                    messages::volatility(out, index, moment.volatility(*usual), moment.now_ms);
                })
            }
            _ => return None,
        };
        Some((text, 0, 0))
    }

    /// The whole book as the clients of a channel hold it.
    pub(super) fn snapshot(
        &self,
        topic: TopicId,
        place: usize,
        interval: Interval,
        age: u64,
    ) -> Option<Message> {
        let instrument = &self.instruments[place];
        let (book, id) = instrument.chains[interval as usize].as_ref()?.rewound(&instrument.book, age);
        let text = messages::notification(&self.topics.name(topic).stream, |out| {
            messages::snapshot(out, instrument, &book, id);
        });
        Some((text, id, id))
    }

    /// Moves the clock, never back.
    pub(super) fn advance(&mut self, now_ms: u64) {
        self.moment.now_ms = self.moment.now_ms.max(now_ms);
    }

    /// Moves the clock; what is due is published.
    pub(super) fn tick(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        self.advance(now_ms);
        let second = self.moment.now_ms / 1000;
        if std::mem::replace(&mut self.second, second) < second {
            for position in 0..self.clocked.len() {
                self.touch(self.clocked[position], out);
            }
        }
        for topic in self.wheel.due(self.moment.now_ms) {
            self.publish_due(topic, out);
        }
    }

    /// Publishes what waits. A book whose changes took each other back has an id that its clients do not know: one
    /// more order there tells them.
    pub(super) fn flush(&mut self, out: &mut Vec<Action>) {
        for place in 0..self.instruments.len() {
            for _ in 0..LONGEST_NUDGE {
                let instrument = &self.instruments[place];
                let silent =
                    |chain: &Chain| chain.last_id != instrument.change_id && !chain.differs(&instrument.book);
                if !instrument.chains.iter().flatten().any(|chain| silent(chain)) {
                    break;
                }
                self.act_on(place, out);
            }
        }
        for topic in self.wheel.all() {
            self.publish_due(topic, out);
        }
    }
}

#[cfg(test)]
mod tests;

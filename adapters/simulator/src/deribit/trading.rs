//! Trades: how they come about, their ids, and who is told.

use std::sync::Arc;

use super::catalogue::Terms;
use super::channel::{Channel, covers};
use super::instrument::{Fill, Print};
use super::market::{Market, Message};
use super::messages::{self, Circumstance};
use super::object::list;
use super::topics::Subject;
use crate::host::{Action, TopicId};

/// Of 1000 trades, how many belong to a liquidation (not of options and spot) or are block trades.
const LIQUIDATIONS: u32 = 20;
const BLOCKS: u32 = 5;

impl Market {
    /// A trade in an instrument, with everything that follows from it.
    pub(super) fn trade(&mut self, place: usize, fill: Fill, out: &mut Vec<Action>) {
        let trade_id = self.next_trade_id(place);
        let circumstance = self.circumstance(place, fill, &trade_id, out);
        self.print(place, fill, &trade_id, &circumstance, out);
    }

    /// Unique in the currency of the instrument, with jumps; only Bitcoin's have no prefix.
    fn next_trade_id(&mut self, place: usize) -> String {
        let currency = self.instruments[place].spec.currency();
        let last = match self.trade_ids.get_mut(currency) {
            Some(last) => last,
            None => self.trade_ids.entry(currency.to_owned()).or_insert(240_000_000),
        };
        *last += 1 + u64::from(self.random.below(4));
        if currency == "BTC" { last.to_string() } else { format!("{currency}-{last}") }
    }

    fn circumstance(
        &mut self,
        place: usize,
        fill: Fill,
        trade_id: &str,
        out: &mut Vec<Action>,
    ) -> Circumstance {
        if let Terms::Combo { legs, .. } = &self.instruments[place].spec.terms {
            let legs = legs.clone();
            return Circumstance::Combo { legs: self.legs(place, fill, trade_id, &legs, out) };
        }
        let leveraged = self.instruments[place].spec.kind() == "future";
        match self.random.below(1000) {
            roll if roll < BLOCKS => Circumstance::Block { id: format!("BLOCK-{trade_id}") },
            roll if roll < BLOCKS + LIQUIDATIONS && leveraged => {
                Circumstance::Liquidation(["T", "T", "M", "MT"][self.random.below(4) as usize])
            }
            _ => Circumstance::Ordinary,
        }
    }

    /// The trades of a combo's legs, as they appear within its own and in the channels of the legs.
    fn legs(
        &mut self,
        combo: usize,
        fill: Fill,
        trade_id: &str,
        legs: &[String; 2],
        out: &mut Vec<Action>,
    ) -> String {
        let combo = self.instruments[combo].spec.name.clone();
        let mut texts: Vec<Arc<str>> = Vec::new();
        for (position, name) in legs.iter().enumerate() {
            let listed = self.by_name.get(name).filter(|&&leg| self.instruments[leg].listed);
            let Some(&leg) = listed else { continue };
            let taker_buys = fill.taker_buys == (position == 0);
            let tick = (self.instruments[leg].doubled_mid() / 2).max(1);
            let circumstance = Circumstance::Leg { combo: combo.clone(), trade_id: trade_id.to_owned() };
            let leg_id = self.next_trade_id(leg);
            texts.push(self.print(leg, Fill { taker_buys, tick, ..fill }, &leg_id, &circumstance, out));
        }
        texts.join(",")
    }

    /// Counts a trade, writes it, keeps it and tells everybody.
    fn print(
        &mut self,
        place: usize,
        fill: Fill,
        trade_id: &str,
        circumstance: &Circumstance,
        out: &mut Vec<Action>,
    ) -> Arc<str> {
        let moment = self.moment;
        let instrument = &mut self.instruments[place];
        instrument.count(&fill, moment.index(instrument.spec.index), moment.now_ms);
        let text: Arc<str> = messages::trade(instrument, &fill, trade_id, circumstance, moment).into();
        let sequence = instrument.sequence;
        instrument.keep(Print { sequence, timestamp: moment.now_ms, text: text.clone() });
        for topic in self.concerned(place) {
            if !matches!(self.topics.subject(topic), Subject::Instrument(_, Channel::Candles(_))) {
                self.topics.get(topic).trades.push((sequence, text.clone()));
            }
            self.touch(topic, out);
        }
        text
    }

    /// Subscribed topics that say something when an instrument trades.
    fn concerned(&self, place: usize) -> Vec<TopicId> {
        let instrument = &self.instruments[place];
        let own = instrument.watched.iter().copied().filter(|&topic| {
            let subject = self.topics.subject(topic);
            matches!(subject, Subject::Instrument(_, Channel::Trades(_) | Channel::Candles(_)))
        });
        let wide = self.wide.iter().copied().filter(|&topic| match self.topics.subject(topic) {
            Subject::Trades { kind, currency, .. } => covers(kind, currency, &instrument.spec),
            _ => false,
        });
        own.chain(wide).collect()
    }

    /// The trades that wait on a topic. Those of many instruments have no common sequence.
    pub(super) fn trades(&mut self, topic: TopicId) -> Option<Message> {
        let trades = std::mem::take(&mut self.topics.get(topic).trades);
        let ids = match (self.topics.subject(topic), trades.first(), trades.last()) {
            (_, None, _) | (_, _, None) => return None,
            (Subject::Instrument(..), Some(first), Some(last)) => (first.0, last.0),
            _ => (0, 0),
        };
        let text = messages::notification(&self.topics.name(topic).stream, |out| {
            list(out, &trades, |out, (_, text)| out.push_str(text));
        });
        Some((text, ids.0, ids.1))
    }
}

//! What goes wrong in the market: in one book's messages, and among the instruments.

use super::book::{Change, Side};
use super::catalogue::MARKETS;
use super::channel::{Channel, Interval, covers};
use super::market::Market;
use super::messages;
use super::topics::Subject;
use crate::host::{Action, Disturbance, ListingChange, TopicId};

impl Market {
    /// Does one thing wrong on a book channel; nothing on other channels.
    pub(super) fn disturb(&mut self, topic: TopicId, what: &Disturbance, out: &mut Vec<Action>) {
        let Subject::Instrument(place, Channel::Book(interval)) = self.topics.subject(topic) else { return };
        self.publish(topic, out);
        match *what {
            Disturbance::StaleSnapshot(age) => self.tell_snapshot(topic, place, interval, age, out),
            Disturbance::MidStreamSnapshot => self.tell_snapshot(topic, place, interval, 0, out),
            Disturbance::SequenceReset => self.reset_ids(place),
            Disturbance::EmptyUpdate => self.tell(topic, place, interval, Vec::new(), out),
            Disturbance::Crossed(messages) => self.cross(topic, place, interval, messages, out),
            Disturbance::RemoveMissing => {
                let tick = self.highest_ask(place) + 1;
                self.tell(topic, place, interval, vec![(Side::Ask, tick, 0, 0)], out);
            }
            _ => {}
        }
    }

    fn tell_snapshot(
        &mut self,
        topic: TopicId,
        place: usize,
        interval: Interval,
        age: u64,
        out: &mut Vec<Action>,
    ) {
        if let Some((text, first_id, last_id)) = self.snapshot(topic, place, interval, age) {
            out.push(Action::Publish { topic, text, first_id, last_id });
        }
    }

    /// The ids of an instrument go on from half of what they were.
    fn reset_ids(&mut self, place: usize) {
        let instrument = &mut self.instruments[place];
        instrument.id_offset = self.counter - instrument.change_id / 2;
    }

    /// A message that the book knows nothing of, with the next id.
    fn tell(
        &mut self,
        topic: TopicId,
        place: usize,
        interval: Interval,
        levels: Vec<Change>,
        out: &mut Vec<Action>,
    ) {
        let id = self.next_id(place);
        self.instruments[place].change_id = id;
        if let Some((text, first_id, last_id)) = self.change(topic, place, interval, id, levels) {
            out.push(Action::Publish { topic, text, first_id, last_id });
        }
    }

    /// A bid above the best ask that grows from message to message, then goes.
    fn cross(
        &mut self,
        topic: TopicId,
        place: usize,
        interval: Interval,
        messages: u64,
        out: &mut Vec<Action>,
    ) {
        let Some((best, _)) = self.instruments[place].book.best(Side::Ask) else { return };
        let mut lots = 0;
        for _ in 0..messages {
            self.tell(topic, place, interval, vec![(Side::Bid, best + 1, lots, lots + 1)], out);
            lots += 1;
        }
        if lots > 0 {
            self.tell(topic, place, interval, vec![(Side::Bid, best + 1, lots, 0)], out);
        }
    }

    fn highest_ask(&self, place: usize) -> i64 {
        let instrument = &self.instruments[place];
        instrument.book.levels(Side::Ask).map(|(tick, _)| tick).max().unwrap_or(instrument.spec.middle)
    }

    /// Lists or expires an instrument; gives its name.
    pub(super) fn change_listing(&mut self, change: &ListingChange, out: &mut Vec<Action>) -> Option<String> {
        match change {
            ListingChange::List(market) => {
                let market = MARKETS.iter().position(|known| known == market)?;
                let place = self.list(market);
                self.announce(place, "created", out);
                self.announce(place, "started", out);
                Some(self.instruments[place].spec.name.clone())
            }
            ListingChange::Expire(market, name) => {
                let place = *self.by_name.get(name)?;
                let instrument = &mut self.instruments[place];
                if !instrument.listed || instrument.spec.market != *market {
                    return None;
                }
                instrument.listed = false;
                self.announce(place, "settled", out);
                self.announce(place, "closed", out);
                Some(name.clone())
            }
        }
    }

    /// Tells those who follow the listings that an instrument has a new state.
    fn announce(&self, place: usize, state: &str, out: &mut Vec<Action>) {
        let spec = &self.instruments[place].spec;
        for &topic in &self.wide {
            if let Subject::State { kind, currency } = self.topics.subject(topic)
                && covers(kind, currency, spec)
            {
                let text = messages::notification(&self.topics.name(topic).stream, |out| {
                    messages::state(out, &spec.name, state, self.moment.now_ms);
                });
                out.push(Action::Publish { topic, text, first_id: 0, last_id: 0 });
            }
        }
    }
}

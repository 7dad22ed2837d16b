//! Who follows what in the market.

use super::book::Chain;
use super::catalogue::MARKETS;
use super::channel::Channel;
use super::market::{Market, Message};
use super::stats::Bar;
use super::topics::Subject;
use crate::host::{Action, TopicId};

impl Market {
    /// One more connection on a topic. Gives the first message for it; others get what waited before.
    pub(super) fn subscribe(&mut self, topic: TopicId, out: &mut Vec<Action>) -> Option<Message> {
        let subject = self.topics.subject(topic);
        if let Subject::Instrument(_, Channel::Book(_) | Channel::Trades(_)) | Subject::Trades { .. } =
            subject
        {
            self.publish(topic, out);
        }
        let state = self.topics.get(topic);
        state.subscribers += 1;
        if state.subscribers == 1 {
            self.start(topic, subject);
        }
        match subject {
            Subject::Instrument(place, Channel::Book(interval)) => self.snapshot(topic, place, interval, 0),
            Subject::Instrument(_, Channel::Candles(_) | Channel::Trades(_)) => None,
            _ => self.value(topic),
        }
    }

    /// The first connection came to a topic.
    fn start(&mut self, topic: TopicId, subject: Subject) {
        match subject {
            Subject::Instrument(place, channel) => {
                self.watch(place);
                let instrument = &mut self.instruments[place];
                instrument.watched.push(topic);
                match channel {
                    Channel::Book(interval) => {
                        let chain = Box::new(Chain::new(instrument.change_id));
                        instrument.chains[interval as usize] = Some(chain);
                    }
                    Channel::Candles(resolution) => instrument.bars.push((resolution, Bar::default())),
                    Channel::Funding(_) => self.clocked.push(topic),
                    Channel::Ticker(_) if instrument.spec.market == "perpetual" => self.clocked.push(topic),
                    _ => {}
                }
            }
            Subject::Index(_) | Subject::Volatility(_) => self.clocked.push(topic),
            Subject::Trades { .. } | Subject::State { .. } => self.wide.push(topic),
            Subject::Platform | Subject::Captured => {}
        }
    }

    /// One connection less on a topic.
    pub(super) fn unsubscribe(&mut self, topic: TopicId) {
        let state = self.topics.get(topic);
        state.subscribers = state.subscribers.saturating_sub(1);
        if state.subscribers > 0 {
            return;
        }
        state.trades.clear();
        self.clocked.retain(|&other| other != topic);
        self.wide.retain(|&other| other != topic);
        if let Subject::Instrument(place, channel) = self.topics.subject(topic) {
            let instrument = &mut self.instruments[place];
            instrument.watched.retain(|&other| other != topic);
            match channel {
                Channel::Book(interval) => instrument.chains[interval as usize] = None,
                Channel::Candles(resolution) => instrument.bars.retain(|(of, _)| *of != resolution),
                _ => {}
            }
            if instrument.watched.is_empty() {
                self.watched_beside(place).retain(|&other| other != place);
            }
        }
    }

    /// Puts an instrument among those that somebody follows.
    fn watch(&mut self, place: usize) {
        let watched = self.watched_beside(place);
        if let Err(at) = watched.binary_search(&place) {
            watched.insert(at, place);
        }
    }

    /// The followed instruments of the market of this one.
    fn watched_beside(&mut self, place: usize) -> &mut Vec<usize> {
        let market = self.instruments[place].spec.market;
        let market = MARKETS.iter().position(|known| *known == market).unwrap_or(0);
        &mut self.watched[market]
    }
}

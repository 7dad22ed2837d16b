//! The venue's topics: what each is about, and who waits for what.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::channel::{CURRENCIES, Channel, Interval, KINDS};
use super::instrument::Instrument;
use crate::host::{TopicId, TopicName};

/// Market of the topics that belong to no instrument.
pub(super) const VENUE: &str = "venue";

/// What a topic is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// An instrument by its place.
    Instrument(usize, Channel),
    /// Trades of all instruments of a kind and a currency.
    Trades {
        kind: &'static str,
        currency: &'static str,
        interval: Interval,
    },
    /// An index by its place.
    Index(usize),
    Volatility(usize),
    /// Instruments of a kind and a currency that come and go.
    State {
        kind: &'static str,
        currency: &'static str,
    },
    Platform,
    /// A stream of a capture.
    Captured,
}

impl Subject {
    /// Milliseconds between two pushes; 0 is at once.
    pub(super) fn grid_ms(&self) -> u64 {
        match self {
            Subject::Instrument(_, channel) => channel.grid_ms(),
            Subject::Trades { interval, .. } => interval.grid_ms(),
            Subject::Index(_) | Subject::Volatility(_) => 1000,
            Subject::State { .. } | Subject::Platform | Subject::Captured => 0,
        }
    }
}

/// A topic and its state.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) subject: Subject,
    pub(super) subscribers: u32,
    /// It waits for its grid.
    pub(super) due: bool,
    /// Trades that wait: `trade_seq` and text.
    pub(super) trades: Vec<(u64, Arc<str>)>,
    /// Subscriptions are acknowledged and bring nothing.
    pub(super) silent: bool,
    /// The next subscription is left out of the answer.
    pub(super) refuse: bool,
}

/// All topics, by number and by name.
#[derive(Debug, Default)]
pub(super) struct Topics {
    names: Vec<TopicName>,
    topics: Vec<Topic>,
    by_name: HashMap<String, TopicId>,
}

impl Topics {
    /// The topics that belong to no instrument.
    pub(super) fn new() -> Topics {
        let mut topics = Topics::default();
        topics.add(VENUE, "platform_state".to_owned(), Subject::Platform);
        for kind in KINDS {
            for currency in CURRENCIES {
                let name = format!("instrument.state.{kind}.{currency}");
                topics.add(VENUE, name, Subject::State { kind, currency });
                for interval in Interval::ALL {
                    let name = format!("trades.{kind}.{currency}.{}", interval.name());
                    topics.add(VENUE, name, Subject::Trades { kind, currency, interval });
                }
            }
        }
        topics
    }

    /// Adds a topic; gives the number of the one that has its name already.
    pub(super) fn add(&mut self, market: &'static str, stream: String, subject: Subject) -> TopicId {
        if let Some(topic) = self.find(&stream) {
            return topic;
        }
        let number = self.topics.len() as TopicId;
        self.by_name.insert(stream.clone(), number);
        self.names.push(TopicName { market, stream });
        let topic =
            Topic { subject, subscribers: 0, due: false, trades: Vec::new(), silent: false, refuse: false };
        self.topics.push(topic);
        number
    }

    /// Adds the channels of an instrument that has this place.
    pub(super) fn add_instrument(&mut self, instrument: &Instrument, place: usize) {
        for channel in Channel::all(&instrument.spec) {
            let name = channel.name(&instrument.spec.name);
            self.add(instrument.spec.market, name, Subject::Instrument(place, channel));
        }
    }

    pub(super) fn find(&self, stream: &str) -> Option<TopicId> {
        self.by_name.get(stream).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    pub(super) fn name(&self, topic: TopicId) -> &TopicName {
        &self.names[topic as usize]
    }

    pub(super) fn get(&mut self, topic: TopicId) -> &mut Topic {
        &mut self.topics[topic as usize]
    }

    pub(super) fn subject(&self, topic: TopicId) -> Subject {
        self.topics[topic as usize].subject
    }

    /// Instruments of a market, as the channels of a capture name them.
    pub(super) fn instruments(&self, market: &str) -> Vec<String> {
        let of_market = self.names.iter().filter(|name| name.market == market);
        let names = of_market.filter_map(|name| name.stream.split('.').nth(1).map(str::to_owned));
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

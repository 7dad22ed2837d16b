//! Whatever happens in whatever order, whoever applies the messages of a book holds the book in the end.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::deribit::book::Side;
use crate::host::Disturbance;

/// One thing that happens; numbers of topics count the book channels of the test.
#[derive(Debug, Clone)]
enum Event {
    Orders(usize),
    Time(u64),
    Subscribe(usize),
    Unsubscribe(usize),
    Disturb(usize, Disturbance),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let what = prop::sample::select(vec![
        Disturbance::MidStreamSnapshot,
        Disturbance::SequenceReset,
        Disturbance::EmptyUpdate,
        Disturbance::Crossed(2),
        Disturbance::RemoveMissing,
    ]);
    let event = prop_oneof![
        6 => (1_usize..40).prop_map(Event::Orders),
        4 => (1_u64..700).prop_map(Event::Time),
        3 => (0..CHANNELS.len()).prop_map(Event::Subscribe),
        1 => (0..CHANNELS.len()).prop_map(Event::Unsubscribe),
        1 => (0..CHANNELS.len(), what).prop_map(|(channel, what)| Event::Disturb(channel, what)),
    ];
    prop::collection::vec(event, 1..60)
}

const CHANNELS: [&str; 5] = [
    "book.BTC-PERPETUAL.raw",
    "book.BTC-PERPETUAL.100ms",
    "book.BTC-PERPETUAL.agg2",
    "book.BTC-25DEC26-100000-C.100ms",
    "book.BTC-25DEC26-100000-C.agg2",
];

/// A book as a client holds it: the id, and amounts by price as they were sent.
#[derive(Debug, Default, PartialEq)]
struct Held {
    id: u64,
    sides: [BTreeMap<String, String>; 2],
}

impl Held {
    fn apply(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).expect("JSON");
        let data = &message["params"]["data"];
        if data["type"] == "snapshot" {
            *self = Held::default();
        } else {
            assert_eq!(data["prev_change_id"], self.id, "the chain is whole: {text}");
        }
        self.id = data["change_id"].as_u64().expect("id");
        for (side, key) in self.sides.iter_mut().zip(["bids", "asks"]) {
            for level in data[key].as_array().expect("levels") {
                match level[0].as_str() {
                    Some("delete") => side.remove(&level[1].to_string()),
                    _ => side.insert(level[1].to_string(), level[2].to_string()),
                };
            }
        }
    }

    fn of(instrument: &Instrument) -> Held {
        let sides = Side::BOTH.map(|side| {
            let levels = instrument.book.levels(side);
            let text = |(tick, lots)| (instrument.price(tick).float(), instrument.amount(lots).float());
            levels.map(text).collect()
        });
        Held { id: instrument.change_id, sides }
    }
}

/// A market and what the subscribers of its book channels hold.
struct World {
    market: Market,
    held: HashMap<TopicId, Held>,
}

impl World {
    fn new(seed: u64) -> World {
        let generated = Generated { seed, symbols: 1, messages_per_second: None };
        World { market: Market::new(&generated, 1_000_000), held: HashMap::new() }
    }

    fn topic(&self, channel: usize) -> TopicId {
        self.market.topics.find(CHANNELS[channel]).expect("the channel exists")
    }

    fn happen(&mut self, event: &Event) {
        let mut out = Vec::new();
        match *event {
            Event::Orders(count) => (0..count).for_each(|_| self.market.act(&mut out)),
            Event::Time(milliseconds) => {
                let now_ms = self.market.moment.now_ms + milliseconds;
                self.market.tick(now_ms, &mut out);
            }
            Event::Subscribe(channel) => {
                let topic = self.topic(channel);
                if let std::collections::hash_map::Entry::Vacant(entry) = self.held.entry(topic) {
                    let (text, ..) = self.market.subscribe(topic, &mut out).expect("a snapshot");
                    entry.insert(Held::default()).apply(&text);
                }
            }
            Event::Unsubscribe(channel) => {
                let topic = self.topic(channel);
                if self.held.remove(&topic).is_some() {
                    self.market.unsubscribe(topic);
                }
            }
            Event::Disturb(channel, what) => self.market.disturb(self.topic(channel), &what, &mut out),
        }
        self.receive(out);
    }

    fn receive(&mut self, out: Vec<Action>) {
        for action in out {
            let Action::Publish { topic, text, .. } = action else { panic!("{action:?}") };
            self.held.get_mut(&topic).expect("nobody else is told").apply(&text);
        }
    }

    fn place(&self, topic: TopicId) -> usize {
        match self.market.topics.subject(topic) {
            Subject::Instrument(place, _) => place,
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_messages_of_a_book_are_the_book(seed in any::<u64>(), events in events()) {
        let mut world = World::new(seed);
        for event in &events {
            world.happen(event);
        }
        let mut out = Vec::new();
        world.market.flush(&mut out);
        world.receive(out);
        for (&topic, held) in &world.held {
            let instrument = &world.market.instruments[world.place(topic)];
            prop_assert_eq!(held, &Held::of(instrument));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_market() {
    let run = || {
        let mut world = World::new(3);
        let mut out = Vec::new();
        for channel in 0..CHANNELS.len() {
            world.happen(&Event::Subscribe(channel));
        }
        (0..500).for_each(|_| world.market.act(&mut out));
        out
    };
    assert!(run().len() > 100);
    assert_eq!(run(), run());
}

#[test]
fn books_never_cross() {
    let generated = Generated { seed: 5, symbols: 8, messages_per_second: None };
    let mut market = Market::new(&generated, 1_000_000);
    for place in 0..market.instruments.len() {
        for _ in 0..3000 {
            market.act_on(place, &mut Vec::new());
            let instrument = &market.instruments[place];
            if let [Some((bid, _)), Some((ask, _))] = instrument.top() {
                assert!(0 < bid && bid < ask, "{}", instrument.spec.name);
            }
        }
    }
}

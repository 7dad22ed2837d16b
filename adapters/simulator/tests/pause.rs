//! After a pause the book of the venue is the book of whoever applied every diff event.

mod common;

use std::collections::BTreeMap;

use common::{Client, block_on, get};
use marketprism_simulator::{Book, Config, Generated, Limits, Market, Simulator, Source};
use serde_json::Value;

/// A book from a snapshot and the diff events after it, levels as text by price.
struct Rebuilt {
    last_id: u64,
    sides: [BTreeMap<String, String>; 2],
}

impl Rebuilt {
    fn new(snapshot: &Value) -> Rebuilt {
        let mut book =
            Rebuilt { last_id: snapshot["lastUpdateId"].as_u64().expect("id"), sides: Default::default() };
        book.levels([&snapshot["bids"], &snapshot["asks"]]);
        book
    }

    fn levels(&mut self, sides: [&Value; 2]) {
        for (side, levels) in self.sides.iter_mut().zip(sides) {
            for level in levels.as_array().expect("levels") {
                let text = |index: usize| level[index].as_str().expect("text").to_owned();
                if text(1).bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
                    side.insert(text(0), text(1));
                } else {
                    side.remove(&text(0));
                }
            }
        }
    }

    /// Applies an event by the venue's rule; false when it is older than the snapshot.
    fn apply(&mut self, event: &Value, market: Market, first: bool) -> bool {
        let id = |key: &str| event[key].as_u64().expect("id");
        let (too_old, joins) = match market {
            Market::Spot => (id("u") <= self.last_id, id("U") <= self.last_id + 1),
            _ => (id("u") < self.last_id, id("pu") == self.last_id || (first && id("U") <= self.last_id)),
        };
        if first && too_old {
            return false;
        }
        assert!(joins && !too_old, "gap after {}: {event}", self.last_id);
        self.last_id = id("u");
        self.levels([&event["b"], &event["a"]]);
        true
    }

    fn assert_is(&self, book: &Book, symbol: &str) {
        assert_eq!(self.last_id, book.last_update_id, "{symbol}");
        for (side, levels) in self.sides.iter().zip([&book.bids, &book.asks]) {
            assert!(levels.len() > 50, "{symbol} has a real book");
            let venue: BTreeMap<String, String> = levels.iter().cloned().collect();
            assert_eq!(*side, venue, "{symbol}");
        }
    }
}

/// Follows one diff stream, pauses at a random moment of its grid, and compares.
fn pause_and_compare(market: Market, symbol: &str, stream: &str, depth: &str) {
    let limits = Limits { stale_snapshots: true, ..Limits::default() };
    let source = Source::Generated(Generated { seed: 11, symbols: 2, messages_per_second: Some(3000) });
    let simulator = Simulator::start(Config { limits, markets: vec![market], ..Config::new(source) });
    let simulator = simulator.expect("starts");
    block_on(async {
        // A second stream keeps the market busy, so that changes are waiting whenever the pause comes.
        let other = format!("{}@trade", symbol.to_lowercase());
        let path = format!("/stream?streams={stream}/{other}");
        let path = if market == Market::Usdm { format!("/public{path}") } else { path };
        let mut client = Client::open(&simulator, market, &path).await;
        let mut events = Vec::new();
        while events.len() < 3 {
            let frame = client.json().await;
            if frame["stream"] == stream {
                events.push(frame["data"].clone());
            }
        }
        let snapshot = get(&simulator, market, &format!("{depth}?symbol={symbol}&limit=1000")).await.json();
        let before = events.len();
        while events.len() < before + 4 {
            let frame = client.json().await;
            if frame["stream"] == stream {
                events.push(frame["data"].clone());
            }
        }
        let ledger = simulator.pause();
        let sent = ledger.stream(market, stream).expect("stream");
        let book = simulator.final_book(market, symbol).expect("book");
        assert_eq!(sent.last_id, Some(book.last_update_id), "the last event sent ends at the final book");
        while events.len() < sent.messages as usize {
            let frame = client.json().await;
            if frame["stream"] == stream {
                events.push(frame["data"].clone());
            }
        }
        let mut rebuilt = Rebuilt::new(&snapshot);
        let mut applied = 0;
        for event in &events {
            applied += usize::from(rebuilt.apply(event, market, applied == 0));
        }
        assert!(applied >= 4, "{applied} events were applied");
        rebuilt.assert_is(&book, symbol);
        assert!(simulator.stop().violations.is_empty());
    });
}

#[test]
fn what_waits_for_its_grid_is_sent_before_a_pause_is_answered() {
    pause_and_compare(Market::Spot, "BTCUSDT", "btcusdt@depth@100ms", "/api/v3/depth");
    pause_and_compare(Market::Spot, "BTCUSDT", "btcusdt@depth", "/api/v3/depth");
}

#[test]
fn futures_books_are_whole_after_a_pause_too() {
    pause_and_compare(Market::Usdm, "BTCUSDT", "btcusdt@depth@100ms", "/fapi/v1/depth");
    pause_and_compare(Market::Coinm, "BTCUSD_PERP", "btcusd_perp@depth@500ms", "/dapi/v1/depth");
}

#[test]
fn a_second_pause_sends_nothing_more() {
    let source = Source::Generated(Generated { seed: 5, symbols: 1, messages_per_second: Some(2000) });
    let simulator = Simulator::start(Config { markets: vec![Market::Spot], ..Config::new(source) });
    let simulator = simulator.expect("starts");
    block_on(async {
        let mut client = Client::open(&simulator, Market::Spot, "/stream?streams=btcusdt@depth").await;
        client.json().await;
        let first = simulator.pause();
        assert_eq!(simulator.pause().deliveries(), first.deliveries());
    });
}

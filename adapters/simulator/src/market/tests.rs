use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::playback::Playback;

const NOW: u64 = 1_790_000_000_000;

/// Keeps every frame with its stream.
#[derive(Default)]
struct Kept {
    names: Vec<String>,
    frames: Vec<(usize, Value)>,
}

impl Sink for Kept {
    fn publish(&mut self, topic: u32, payload: &[u8], _: u64, _: u64) {
        let tree = serde_json::from_slice(payload).expect("frames are JSON");
        self.frames.push((topic as usize, tree));
    }
}

fn world(seed: u64) -> World {
    World::new(&Generated { seed, symbols: 3, messages_per_second: None }, &Market::ALL, true, NOW)
}

/// Subscribes everything and runs for some seconds of market time.
fn run(world: &mut World, actions: u64) -> Kept {
    let mut kept = Kept::default();
    for market in Market::ALL {
        for name in world.stream_names(market) {
            world.connect(market, &name, kept.names.len() as u32);
            kept.names.push(format!("{market}/{name}"));
        }
    }
    for _ in 0..actions {
        world.act(&mut kept);
        world.advance(world.now + 3, &mut kept);
    }
    kept
}

fn of<'a>(kept: &'a Kept, name: &'a str) -> impl Iterator<Item = &'a Value> {
    kept.frames.iter().filter(move |(topic, _)| kept.names[*topic] == name).map(|(_, frame)| frame)
}

fn number(frame: &Value, key: &str) -> u64 {
    frame[key].as_u64().unwrap_or_else(|| panic!("{key} in {frame}"))
}

type Levels = BTreeMap<String, String>;

fn apply(side: &mut Levels, levels: &Value) {
    for level in levels.as_array().expect("levels") {
        let (price, quantity) = (level[0].as_str().expect("price"), level[1].as_str().expect("quantity"));
        if quantity.bytes().all(|byte| byte == b'0' || byte == b'.') {
            side.remove(price);
        } else {
            side.insert(price.to_owned(), quantity.to_owned());
        }
    }
}

fn sorted(levels: Vec<(String, String)>) -> Levels {
    levels.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn diffs_add_up_to_the_book(seed in any::<u64>()) {
        let mut world = world(seed);
        let before: Vec<_> = world.instruments.iter().map(|one| {
            (sorted(World::levels(one, Side::Bid)), sorted(World::levels(one, Side::Ask)), one.update_id)
        }).collect();
        let kept = run(&mut world, 3000);
        for (one, (mut bids, mut asks, mut last)) in world.instruments.iter().zip(before) {
            let spot = one.spec.market == Market::Spot;
            // The fastest stream that shows every change, up to the last event of it.
            let suffix = if spot { "depth@100ms" } else { "depth@0ms" };
            let stream = format!("{}/{}@{suffix}", one.spec.market, one.spec.stream_prefix());
            for event in of(&kept, &stream) {
                prop_assert_eq!(if spot { number(event, "U") } else { number(event, "pu") }, last + u64::from(spot));
                last = number(event, "u");
                apply(&mut bids, &event["b"]);
                apply(&mut asks, &event["a"]);
            }
            if !spot || last == one.update_id {
                prop_assert_eq!(last, one.update_id);
                prop_assert_eq!(bids, sorted(World::levels(one, Side::Bid)));
                prop_assert_eq!(asks, sorted(World::levels(one, Side::Ask)));
            }
        }
    }

    #[test]
    fn ids_are_contiguous_and_books_never_cross(seed in any::<u64>()) {
        let mut world = world(seed);
        let kept = run(&mut world, 3000);
        for name in &kept.names {
            let mut last: Option<u64> = None;
            let suffix = name.split_once('@').map_or("", |(_, suffix)| suffix);
            for frame in of(&kept, name).filter(|frame| frame.is_object()) {
                let (id, next): (u64, fn(u64, u64) -> bool) = match suffix {
                    "trade" => (number(frame, "t"), |last, id| id == last + 1),
                    "aggTrade" => (number(frame, "a"), |last, id| id == last + 1),
                    "bookTicker" => (number(frame, "u"), |last, id| id > last),
                    _ => continue,
                };
                prop_assert!(last.is_none_or(|last| next(last, id)), "{} after {:?}", frame, last);
                last = Some(id);
            }
        }
        for one in &world.instruments {
            prop_assert!(one.ladder.best(Side::Bid) < one.ladder.best(Side::Ask));
            prop_assert!(one.ladder.levels(Side::Bid) > 0 && one.ladder.levels(Side::Bid) < 1000);
            prop_assert_eq!(one.ladder.walk(Side::Bid).count(), one.ladder.levels(Side::Bid));
            prop_assert_eq!(one.ladder.walk(Side::Ask).count(), one.ladder.levels(Side::Ask));
        }
    }

    #[test]
    fn an_older_snapshot_is_the_book_of_its_id(seed in any::<u64>(), age in 1_u64..300) {
        let mut world = world(seed);
        let mut sink = Kept::default();
        let mut then = BTreeMap::new();
        for _ in 0..400 {
            world.act(&mut sink);
            for (index, one) in world.instruments.iter().enumerate() {
                then.insert((index, one.update_id), one.ladder.walk(Side::Ask).collect::<Vec<_>>());
            }
            world.advance(world.now + 2, &mut sink);
        }
        for (index, one) in world.instruments.iter().enumerate() {
            let (ladder, id) = world.snapshot(one, age);
            prop_assert!(id <= one.update_id);
            if let Some(expected) = then.get(&(index, id)) {
                prop_assert_eq!(&ladder.walk(Side::Ask).collect::<Vec<_>>(), expected);
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_frames() {
    let frames = |seed| run(&mut world(seed), 500).frames;
    assert!(frames(5) == frames(5));
    assert!(frames(5) != frames(6));
}

#[test]
fn every_stream_has_data_and_the_keys_of_the_venue() {
    let mut world = world(11);
    // A minute and a bit, so that bars close.
    let kept = run(&mut world, 25_000);
    let first = |name: &str| of(&kept, name).next().unwrap_or_else(|| panic!("{name} is silent")).to_string();
    let keys = |name: &str| -> Vec<String> {
        let tree: serde_json::Map<String, Value> = serde_json::from_str(&first(name)).expect("object");
        tree.keys().cloned().collect()
    };
    for name in &kept.names {
        first(name);
    }
    let sorted = |list: &[&str]| -> Vec<String> { list.iter().map(|key| (*key).to_owned()).collect() };
    assert_eq!(keys("spot/btcusdt@bookTicker"), sorted(&["A", "B", "a", "b", "s", "u"]));
    assert_eq!(keys("spot/btcusdt@depth5"), sorted(&["asks", "bids", "lastUpdateId"]));
    assert_eq!(
        keys("usdm/btcusdt@bookTicker"),
        sorted(&["A", "B", "E", "T", "a", "b", "e", "ps", "s", "st", "u"])
    );
    assert_eq!(
        keys("usdm/btcusdt@aggTrade"),
        sorted(&["E", "T", "a", "e", "f", "l", "m", "nq", "p", "q", "s", "st"])
    );
    assert_eq!(
        keys("usdm/btcusdt@depth@100ms"),
        sorted(&["E", "T", "U", "a", "b", "e", "ps", "pu", "s", "st", "u"])
    );
    assert_eq!(
        keys("usdm/btcusdt@markPrice@1s"),
        sorted(&["E", "P", "T", "ap", "e", "i", "p", "r", "s", "st"])
    );
    let closed = of(&kept, "spot/btcusdt@kline_1m").filter(|bar| bar["k"]["x"] == true).count();
    assert!((1..=2).contains(&closed), "{closed} bars closed");
    let all = of(&kept, "usdm/!ticker@arr").next().expect("tickers");
    let tiers: Vec<u64> = all.as_array().expect("array").iter().map(|one| number(one, "st")).collect();
    assert!(tiers.contains(&1) && tiers.contains(&2), "{tiers:?}");
}

#[test]
fn depth_keeps_its_grid_and_liquidations_their_distance() {
    let mut world = world(2);
    let kept = run(&mut world, 20_000);
    let times: Vec<u64> = of(&kept, "spot/btcusdt@depth@100ms").map(|event| number(event, "E")).collect();
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0]).is_multiple_of(100)));
    let forced: Vec<u64> = of(&kept, "usdm/btcusdt@forceOrder").map(|event| number(event, "E")).collect();
    assert!(forced.windows(2).all(|pair| pair[1] - pair[0] >= 1000));
}

#[test]
fn a_playback_needs_frames() {
    let capture = crate::Capture { folders: Vec::new(), pace: crate::Pace::Flat, loops: 1 };
    let playback = Playback::new(&capture, crate::capture::Loaded::default()).expect("loads");
    assert!(playback.finished());
}

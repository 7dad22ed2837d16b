//! The book against a plain map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// One side: price to quantity, both at the exponents of the finest message that the tests send.
type Map = BTreeMap<i128, i128>;

const FINEST: i8 = -4;

#[derive(Clone, Debug)]
struct Message {
    load: bool,
    exponents: (i8, i8),
    bids: Vec<Level>,
    asks: Vec<Level>,
}

fn scaled(mantissa: i64, exponent: i8) -> i128 {
    i128::from(mantissa) * 10i128.pow((exponent - FINEST) as u32)
}

/// Returns how many removals found nothing.
fn write(map: &mut Map, levels: &[Level], exponents: (i8, i8)) -> u64 {
    let mut missing = 0;
    for level in levels {
        let price = scaled(level.price, exponents.0);
        match scaled(level.quantity, exponents.1) {
            0 => missing += u64::from(map.remove(&price).is_none()),
            quantity => drop(map.insert(price, quantity)),
        }
    }
    missing
}

fn assert_equal(book: &OrderBook, bids: &Map, asks: &Map) {
    let scale = |level: Level| {
        (scaled(level.price, book.price_exponent()), scaled(level.quantity, book.quantity_exponent()))
    };
    let pair = |(price, quantity): (&i128, &i128)| (*price, *quantity);
    assert_eq!(book.bids().map(scale).collect::<Vec<_>>(), bids.iter().rev().map(pair).collect::<Vec<_>>());
    assert_eq!(book.asks().map(scale).collect::<Vec<_>>(), asks.iter().map(pair).collect::<Vec<_>>());
    assert_eq!(book.best_bid().map(scale), bids.iter().next_back().map(pair));
    assert_eq!(book.best_ask().map(scale), asks.iter().next().map(pair));
    assert_eq!((book.bid_len(), book.ask_len()), (bids.len(), asks.len()));
}

fn price() -> impl Strategy<Value = i64> {
    prop_oneof![
        30 => (2_000i64..2_100).prop_map(|tick| tick * 50),
        10 => (1i64..40_000).prop_map(|tick| tick * 50),
        2 => 100_000i64..100_500,
        1 => Just(0i64),
        1 => (0u32..63).prop_map(|bit| 1i64 << bit),
        1 => 0..=i64::MAX,
        1 => Just(i64::MAX),
    ]
}

fn levels(most: usize) -> impl Strategy<Value = Vec<Level>> {
    let quantity = prop_oneof![2 => Just(0i64), 3 => 1i64..1_000_000, 1 => 1..=i64::MAX];
    prop::collection::vec(
        (price(), quantity).prop_map(|(price, quantity)| Level { price, quantity }),
        0..most,
    )
}

fn message() -> impl Strategy<Value = Message> {
    let exponents = prop_oneof![20 => Just((-2i8, -3i8)), 1 => (-4i8..=0, -4i8..=0)];
    let load = prop::bool::weighted(0.04);
    (load, exponents, levels(40), levels(40)).prop_map(|(load, exponents, bids, asks)| Message {
        load,
        exponents,
        bids,
        asks,
    })
}

proptest! {
    #[test]
    fn agrees_with_a_map(messages in prop::collection::vec(message(), 0..60)) {
        let mut book = OrderBook::counting();
        let (mut bids, mut asks) = (Map::new(), Map::new());
        for message in messages {
            let Message { load, exponents, bids: new_bids, asks: new_asks } = message;
            let missing_before = book.missing_removals();
            let outcome = if load {
                book.load(exponents.0, exponents.1, &new_bids, &new_asks)
            } else {
                book.apply(exponents.0, exponents.1, &new_bids, &new_asks)
            };
            if load == outcome.is_ok() {
                bids.clear();
                asks.clear();
            }
            if outcome.is_ok() {
                let missing =
                    write(&mut bids, &new_bids, exponents) + write(&mut asks, &new_asks, exponents);
                prop_assert_eq!(book.missing_removals(), missing_before + missing);
            }
            assert_equal(&book, &bids, &asks);
        }
    }

    #[test]
    fn negative_numbers_are_refused(mut bids in levels(20), asks in levels(20), at: prop::sample::Index, value in i64::MIN..0, in_price: bool) {
        let mut book = OrderBook::new();
        book.load(0, 0, &bids, &asks).unwrap();
        let before: Vec<Level> = book.bids().chain(book.asks()).collect();
        bids.push(Level { price: 1, quantity: 1 });
        let level = at.get(&bids);
        let at = bids.iter().position(|other| other == level).unwrap_or(0);
        *(if in_price { &mut bids[at].price } else { &mut bids[at].quantity }) = value;
        prop_assert!(book.load(0, 0, &asks, &bids).is_err());
        prop_assert_eq!(book.bids().chain(book.asks()).collect::<Vec<_>>(), before);
        prop_assert!(book.apply(0, 0, &asks, &bids).is_err());
        prop_assert!(book.is_empty());
    }
}

fn ladder(first: i64, step: i64, count: i64) -> Vec<Level> {
    (0..count).map(|index| Level { price: first + index * step, quantity: 1 + index }).collect()
}

#[test]
fn a_market_that_walks_stays_near() {
    let mut book = OrderBook::new();
    book.load(-2, -3, &ladder(6_000_000, -10, 1_000), &ladder(6_000_010, 10, 1_000)).unwrap();
    for step in 0..50_000i64 {
        let touch = 6_000_010 + step * 10;
        let asks = [Level { price: touch, quantity: 0 }, Level { price: touch + 10_000, quantity: 3 }];
        let bids = [Level { price: touch, quantity: 5 }, Level { price: touch - 10_000, quantity: 0 }];
        book.apply(-2, -3, &bids, &asks).unwrap();
        assert_eq!(book.best_bid(), Some(bids[0]));
        assert!(!book.is_crossed());
    }
    assert!(book.bids.far_len() < 700 && book.asks.far_len() < 700, "{}", book.asks.far_len());
    assert_eq!((book.bid_len(), book.ask_len()), (1_000, 1_000));
    assert!(book.memory_bytes() < 100 * 1024, "{} bytes", book.memory_bytes());
}

#[test]
fn absurd_prices_cost_little_memory() {
    let mut book = OrderBook::new();
    book.load(0, 0, &ladder(100, -1, 10), &ladder(101, 1, 10)).unwrap();
    for shift in 0..100_000i64 {
        let price = i64::MAX - shift * 90_000_000_000_000;
        let level = [Level { price, quantity: 1 }];
        book.apply(0, 0, &level, &level).unwrap();
        assert!(book.is_crossed());
        book.apply(0, 0, &[Level { price, quantity: 0 }], &[]).unwrap();
        assert_eq!(book.best_bid().map(|level| level.price), Some(100));
    }
    assert_eq!(book.ask_len(), 100_010);
    assert!(book.memory_bytes() < 6_000_000, "{} bytes", book.memory_bytes());
}

#[test]
fn a_smaller_tick_is_learned() {
    let mut book = OrderBook::new();
    book.load(-2, -3, &ladder(100_000, -50, 500), &ladder(100_050, 50, 500)).unwrap();
    for _ in 0..5 {
        book.apply(-2, -3, &ladder(100_001, -7, 1_000), &ladder(100_051, 7, 1_000)).unwrap();
    }
    assert_eq!(book.bids.far_len(), 0);
    book.clear();
    assert!(book.is_empty());
}

#[test]
fn a_side_is_bounded() {
    let mut book = OrderBook::new();
    for part in 0..8 {
        book.apply(0, 0, &ladder(1 + part * 16_384 * 1_000, 1_000, 16_384), &[]).unwrap();
    }
    assert_eq!(book.bid_len(), MAX_LEVELS_PER_SIDE);
    let error = book.apply(0, 0, &[Level { price: 7, quantity: 1 }], &[]);
    assert_eq!(error, Err(BookError::TooManyLevels));
    assert!(book.is_empty());
}

#[test]
fn finer_exponents_refine_the_book() {
    let mut book = OrderBook::new();
    book.load(-1, 0, &[Level { price: 15, quantity: 2 }], &[Level { price: 16, quantity: 3 }]).unwrap();
    book.apply(-2, -1, &[Level { price: 150, quantity: 25 }], &[Level { price: 160, quantity: 0 }]).unwrap();
    assert_eq!((book.price_exponent(), book.quantity_exponent()), (-2, -1));
    assert_eq!(book.bids().collect::<Vec<_>>(), [Level { price: 150, quantity: 25 }]);
    book.apply(0, 1, &[Level { price: 1, quantity: 1 }], &[]).unwrap();
    assert_eq!(book.bids().nth(1), Some(Level { price: 100, quantity: 100 }));
    let error = book.apply(-19, -1, &[Level { price: 1, quantity: 0 }], &[]);
    assert!(matches!(error, Err(BookError::DoesNotFit { .. })), "{error:?}");
    assert!(book.is_empty());
}

/// A book as options have it: so many levels a side, up to `apart` ticks between neighbours.
fn option_book(count: i64, apart: i64) -> OrderBook {
    let mut book = OrderBook::counting();
    let levels = |sign: i64| -> Vec<Level> {
        let mut price = 5_000;
        (0..count)
            .map(|index| {
                price += sign * 5 * (1 + index * 7 % apart);
                Level { price, quantity: 1 + index }
            })
            .collect()
    };
    book.load(-4, -1, &levels(-1), &levels(1)).unwrap();
    book
}

#[test]
fn books_of_quiet_options_are_small() {
    let bytes = [(10, 4), (10, 40), (30, 4), (30, 20), (400, 2)]
        .map(|(count, apart)| option_book(count, apart).memory_bytes());
    eprintln!("{bytes:?} bytes");
    assert!(bytes[..3].iter().all(|bytes| *bytes < 3 * 1024), "{bytes:?}");
    assert!(bytes[3] < 6 * 1024 && bytes[4] < 16 * 1024, "{bytes:?}");

    // One absurd price costs a few bytes, not a whole block of the map.
    let mut book = option_book(10, 4);
    let before = book.memory_bytes();
    book.apply(-4, -1, &[Level { price: 1_000_000_000, quantity: 1 }], &[]).unwrap();
    assert!(book.memory_bytes() < before + 512, "{before} and then {}", book.memory_bytes());
}

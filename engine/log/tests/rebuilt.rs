//! `verify` against books rebuilt from the log: derived records and checksums.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use bytemuck::Zeroable;
use common::story::*;
use marketprism_core::record::*;
use proptest::prelude::*;

use GapReason::{Checksum, Disconnected, Sequence};
use Kind::BookDelta as Deltas;

const INVALID_BOOK: &str = "derived from a book that is not valid";

fn differs(difference: &str) -> String {
    format!("differs from the book rebuilt from the log: {difference}")
}

/// A derived snapshot of a whole book, or with `PARTIAL` of its best levels.
fn derived(id: u64, flags: u8) -> Step {
    stream_snap(id, flag::DERIVED | flags)
}

/// A derived quote; an empty side has no level.
fn quote(bid: Option<(i64, i64)>, ask: Option<(i64, i64)>) -> Step {
    let mut record = Quote::zeroed();
    record.header = Header { flags: flag::DERIVED, ..Header::new(Kind::Quote, 1, 5) };
    (record.bid_price, record.bid_quantity) = bid.unwrap_or((ABSENT, ABSENT));
    (record.ask_price, record.ask_quantity) = ask.unwrap_or((ABSENT, ABSENT));
    Step::Quote(record)
}

/// A book at id 15 with bids 100 x 6 and 98 x 2, asks 103 x 9, 104 x 8 and 105 x 1.
fn begun() -> Vec<Step> {
    vec![
        with(stream_snap(10, 0), &[(100, 7), (99, 5), (98, 2)], &[(103, 9), (104, 8)]),
        with(c(10, 15, 0), &[(100, 6), (99, 0), (97, 0)], &[(105, 1)]),
    ]
}

const BIDS: [(i64, i64); 2] = [(100, 6), (98, 2)];
const ASKS: [(i64, i64); 3] = [(103, 9), (104, 8), (105, 1)];

/// The book of [`begun`] and then these.
fn then(steps: impl IntoIterator<Item = Step>) -> Vec<Step> {
    begun().into_iter().chain(steps).collect()
}

#[test]
fn a_derived_snapshot_is_the_book() {
    good(0, then([with(derived(15, 0), &BIDS, &ASKS), c(15, 16, 0), with(derived(16, 0), &BIDS, &ASKS)]));
    // The best two of each side, and the best five of sides that have fewer.
    good(0, then([with(derived(15, flag::PARTIAL), &BIDS, &ASKS[..2])]));
    good(0, then([with(derived(15, flag::PARTIAL), &BIDS[..1], &ASKS[..1])]));
    // Written with other powers of ten.
    good(
        0,
        then([scaled(
            with(derived(15, 0), &[(1000, 600), (980, 200)], &[(1030, 900), (1040, 800), (1050, 100)]),
            -1,
            -2,
        )]),
    );

    let cases = [
        ("bid level 2 is another", derived(15, 0), &[(100, 6), (97, 2)][..], &ASKS[..]),
        ("ask level 3 is another", derived(15, 0), &BIDS, &[(103, 9), (104, 8), (105, 2)]),
        ("it has 1 bid levels and not 2", derived(15, 0), &BIDS[..1], &ASKS),
        ("it has 2 ask levels and not 3", derived(15, 0), &BIDS, &ASKS[..2]),
        ("it has 1 bid levels and not 2", derived(15, flag::PARTIAL), &BIDS[..1], &ASKS[..2]),
        ("its last id is 10 and not 15", derived(10, 0), &BIDS, &ASKS),
    ];
    for (difference, record, bids, asks) in cases {
        bad(&[&differs(difference)], then([with(record, bids, asks), c(15, 16, 0)]));
    }
}

#[test]
fn a_derived_quote_is_the_top_of_the_book() {
    good(0, then([quote(Some(BIDS[0]), Some(ASKS[0]))]));
    bad(&[&differs("the best bid is another")], then([quote(Some((100, 7)), Some(ASKS[0]))]));
    bad(&[&differs("the best ask is another")], then([quote(Some(BIDS[0]), Some(ASKS[1]))]));
    bad(&[&differs("the best ask is another")], then([quote(Some(BIDS[0]), None)]));
    let emptied = with(c(15, 16, 0), &[(100, 0), (98, 0)], &[]);
    good(0, then([emptied.clone(), quote(None, Some(ASKS[0]))]));
    bad(&[&differs("the best bid is another")], then([emptied, quote(Some((98, 2)), Some(ASKS[0]))]));
}

#[test]
fn nothing_is_derived_from_a_book_that_is_not_valid() {
    let (whole, top) = (with(derived(15, 0), &BIDS, &ASKS), quote(Some(BIDS[0]), Some(ASKS[0])));
    let lost = g(Deltas, 0, 0, Disconnected);
    bad(&[INVALID_BOOK, INVALID_BOOK], then([lost.clone(), whole.clone(), top]));
    bad(&[INVALID_BOOK], then([g(Deltas, 16, 20, Sequence), c(20, 21, INVALID), derived(21, 0)]));
    // Crossed, and after it.
    let crossing = with(c(15, 16, INVALID), &[(104, 1)], &[]);
    bad(
        &[INVALID_BOOK],
        then([crossing.clone(), with(derived(16, 0), &[(104, 1), (100, 6), (98, 2)], &ASKS)]),
    );
    let uncrossing = with(c(16, 17, 0), &[(104, 0)], &[]);
    good(0, then([crossing, uncrossing, with(derived(17, 0), &BIDS, &ASKS)]));
    // Valid again from a snapshot on.
    good(
        1,
        then([
            lost,
            c(15, 16, INVALID),
            with(stream_snap(16, 0), &BIDS, &[]),
            with(derived(16, 0), &BIDS, &[]),
        ]),
    );
    // Before anything is known of the book.
    bad(&[INVALID_BOOK], vec![c(10, 15, INVALID), whole]);
}

#[test]
fn a_flagged_snapshot_is_part_of_the_book_only_where_it_is_crossed() {
    let whole = with(derived(16, 0), &BIDS, &ASKS);
    good(0, then([with(stream_snap(12, INVALID), &[(1, 1)], &[(2, 2)]), c(15, 16, 0), whole]));
    let crossed = with(stream_snap(15, INVALID), &[(100, 1)], &[(100, 1)]);
    let uncrossing = with(c(15, 16, 0), &[], &[(100, 0)]);
    good(0, then([crossed, uncrossing, with(derived(16, 0), &[(100, 1)], &[])]));
}

#[test]
fn a_log_that_begins_in_the_middle_starts_from_a_derived_snapshot() {
    let steps = |second| vec![c(10, 15, 0), with(derived(15, 0), &BIDS, &ASKS), c(15, 16, 0), second];
    good(0, steps(with(derived(16, 0), &BIDS, &ASKS)));
    bad(&[&differs("it has 0 ask levels and not 3")], steps(with(derived(16, 0), &BIDS, &[])));
    // One that is cut starts no book.
    good(0, vec![c(10, 15, 0), derived(15, flag::PARTIAL), c(15, 16, 0), with(derived(16, 0), &BIDS, &ASKS)]);
}

#[test]
fn books_that_start_from_rest_are_rebuilt_too() {
    let spot = |tail: Step| {
        vec![
            with(d(1, 4, INVALID), &[(100, 1)], &[]),
            with(snap(6), &[(100, 7)], &[(103, 9)]),
            with(d(5, 6, 0), &[(100, 3)], &[]),
            with(d(7, 8, 0), &[(99, 1)], &[]),
            tail,
        ]
    };
    good(0, spot(with(derived(8, 0), &[(100, 7), (99, 1)], &[(103, 9)])));
    bad(&[&differs("bid level 1 is another")], spot(with(derived(8, 0), &[(100, 3), (99, 1)], &[(103, 9)])));
    let futures = |tail: Step| {
        vec![
            with(snap(6), &[(100, 7)], &[(103, 9)]),
            with(l(5, 8, 4, 0), &[(100, 3)], &[]),
            with(l(11, 12, 8, 0), &[(99, 1)], &[]),
            // A snapshot that is not newer than the book.
            with(snap(12), &[(1, 1)], &[]),
            tail,
        ]
    };
    good(0, futures(with(derived(12, 0), &[(100, 3), (99, 1)], &[(103, 9)])));
    bad(&[&differs("it has 2 bid levels and not 1")], {
        let mut steps = futures(with(derived(14, 0), &[(100, 3), (99, 1)], &[]));
        steps.insert(4, with(snap(14), &[(100, 3)], &[]));
        steps
    });
}

/// The example of the OKX notes: its rules for ids, with checksums.
fn worked_example() -> Vec<Step> {
    let scale = |step| scaled(step, -1, 0);
    let steps = vec![
        summed(
            with(stream_snap(10, 0), &[(1001, 7), (1000, 5), (998, 2)], &[(1003, 9), (1004, 8)]),
            1_884_942_554,
        ),
        summed(with(c(10, 15, 0), &[(1000, 6)], &[(1003, 0), (1005, 4)]), -942_904_850),
        summed(c(15, 15, 0), -942_904_850),
        summed(with(c(15, 3, 0), &[(1001, 0)], &[]), 1_477_256_524),
    ];
    steps.into_iter().map(scale).collect()
}

#[test]
fn checksums_are_computed_again() {
    good(0, worked_example());
    // The text in the notes, with one bid and three asks; sizes and prices written with more digits than they need.
    let levels = [(336_610, 70)].as_slice();
    let step = with(stream_snap(1, 0), levels, &[(336_680, 90), (336_800, 80), (337_200, 80)]);
    good(0, vec![scaled(summed(step, 831_078_360), -2, -1)]);
    let small = with(stream_snap(1, 0), &[], &[(5, 305), (10, 550)]);
    good(0, vec![scaled(summed(small, 971_343_753), -4, 0)]);
}

#[test]
fn a_wrong_checksum_is_a_finding_where_the_book_is_called_valid() {
    let mut steps = worked_example();
    let Some(Step::Book(wrong, _)) = steps.get_mut(1) else { panic!("a delta") };
    wrong.first_id = 5;
    bad(&["the checksum is 5, the book rebuilt from the log has 3352062446"], steps.clone());
    // The recorder saw it: the book ended there.
    let Some(Step::Book(wrong, _)) = steps.get_mut(1) else { panic!("a delta") };
    wrong.header.flags |= INVALID;
    for step in &mut steps[2..] {
        let Step::Book(later, _) = step else { panic!("a delta") };
        later.header.flags |= INVALID;
    }
    steps.insert(1, g(Deltas, 0, 0, Checksum));
    good(1, steps.clone());
    steps.push(derived(3, 0));
    bad(&[INVALID_BOOK], steps);
}

#[test]
fn a_checksum_proves_nothing_after_a_message_without_one() {
    let mut steps = worked_example();
    let Some(Step::Book(without, _)) = steps.get_mut(1) else { panic!("a delta") };
    (without.header.flags, without.first_id) = (0, 0);
    let Some(Step::Book(wrong, _)) = steps.get_mut(2) else { panic!("a delta") };
    wrong.first_id = 5;
    good(0, steps);
}

/// Bids and asks of a model that keeps them in the one unit of the test.
type Model = [BTreeMap<i64, i64>; 2];

/// The model's best levels of both sides, as many as there are up to `most`.
fn best(model: &Model, most: usize) -> [Vec<(i64, i64)>; 2] {
    let level = |(price, quantity): (&i64, &i64)| (*price, *quantity);
    [model[0].iter().rev().map(level).take(most).collect(), model[1].iter().map(level).take(most).collect()]
}

/// One message: levels as side, price and quantity, and how many digits it is written with.
type Message = (Vec<(bool, i64, i64)>, i8);

/// A log of a book with a derived quote after each message, and a derived snapshot of the best `most` levels.
fn book_story(messages: &[Message], chained: bool, most: usize) -> Vec<Step> {
    let mut model = Model::default();
    let start = if chained { stream_snap(1, 0) } else { snap(1) };
    let mut steps = vec![start];
    for (id, (levels, digits)) in (1..).zip(messages) {
        let unit = 10i64.pow(*digits as u32);
        let mut sides = [vec![], vec![]];
        for (is_ask, price, quantity) in levels {
            let (side, price) = (usize::from(*is_ask), price + if *is_ask { 100 } else { 0 });
            sides[side].push((price * unit, quantity * unit));
            match quantity {
                0 => model[side].remove(&price),
                quantity => model[side].insert(price, *quantity),
            };
        }
        let delta = if chained { c(id, id + 1, 0) } else { d(id + 1, id + 1, 0) };
        steps.push(scaled(with(delta, &sides[0], &sides[1]), -digits, -digits));
        let [bids, asks] = best(&model, most);
        let is_cut = model.iter().any(|side| side.len() > most);
        steps.push(with(derived(id + 1, if is_cut { flag::PARTIAL } else { 0 }), &bids, &asks));
        steps.push(quote(bids.first().copied(), asks.first().copied()));
    }
    steps
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn derived_records_of_any_book(
        messages in prop::collection::vec(
            (prop::collection::vec((any::<bool>(), 0..60i64, 0..4i64), 0..12), 0..3i8),
            1..40,
        ),
        chained in any::<bool>(),
        most in 1..20usize,
        wrong in any::<prop::sample::Index>(),
    ) {
        let mut steps = book_story(&messages, chained, most);
        let verification = verified_at_once(&steps);
        prop_assert!(verification.ok, "{:?}", verification.problems);

        let quotes = steps.iter_mut().filter_map(|step| if let Step::Quote(quote) = step { Some(quote) } else { None });
        let mut quotes: Vec<&mut Quote> = quotes.collect();
        let place = wrong.index(quotes.len());
        quotes[place].bid_quantity ^= 1;
        prop_assert_eq!(verified_at_once(&steps).problems.len(), 1);
    }
}

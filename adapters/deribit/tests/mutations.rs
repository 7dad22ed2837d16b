//! Frames that the venue never sent: changed in every way that a test can think of. Both paths agree or refuse, and
//! nothing panics.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_deribit::FrameDecoder;
use proptest::prelude::*;
use proptest::sample::Index;

/// Own frames and one frame of each captured file: market, frame.
fn seeds() -> Vec<(String, String)> {
    let predicted = predicted_frames().into_iter().map(|(market, _, frame)| (market.to_owned(), frame));
    let general = GENERAL.iter().map(|(market, _, frame)| ((*market).to_owned(), (*frame).to_owned()));
    let captured = channels().into_iter().map(|channel| {
        let frame = channel.frames.into_iter().rev().find(|frame| frame.len() < 2000).unwrap();
        (channel.market, frame)
    });
    let answers = ANSWERS.iter().map(|frame| ("option".to_owned(), (*frame).to_owned()));
    predicted.chain(general).chain(captured).chain(answers).collect()
}

/// Frames that are no notifications.
const ANSWERS: &[&str] = &[
    r#"{"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}"#,
    r#"{"jsonrpc":"2.0","id":9,"result":"ok","usIn":1699999999000000,"usOut":1699999999000100,"usDiff":100,"testnet":false}"#,
    r#"{"jsonrpc":"2.0","id":11,"error":{"message":"raw_subscriptions_not_available_for_unauthorized","code":13778},"testnet":false}"#,
];

thread_local! {
    static SEEDS: Vec<(String, String)> = seeds();
    static DECODERS: std::cell::RefCell<Vec<FrameDecoder>> = std::cell::RefCell::new(
        ["spot", "perpetual", "option"].map(|market| FrameDecoder::new(market, table(SYMBOLS))).into()
    );
}

fn seed(index: Index) -> (String, String) {
    SEEDS.with(|seeds| index.get(seeds).clone())
}

fn check(frame: &[u8]) {
    DECODERS.with_borrow_mut(|decoders| {
        for decoder in decoders {
            check_agreement(decoder, frame);
        }
    });
}

/// Texts that take the place of a value or go between two tokens.
const PIECES: &[&str] = &[
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "01",
    "1e3",
    "1.5",
    "1.742e-05",
    "1e400",
    "1.",
    ".5",
    "\"\"",
    "\"x\"",
    "\"1.5\"",
    "\"delete\"",
    "\"btc_usd\"",
    "[]",
    "{}",
    "[[\"new\",1.5,2]]",
    "[[1.5,2]]",
    "18446744073709551616",
    "999999999999999999",
    "1000000000000000000",
    "99999999999999999999",
    "0.0000000000000000001",
    "9223372036854775807",
    "-9223372036854775808",
    "\"\\u0041\"",
    "\"\\\"\"",
    "\"ü\"",
    "99999999999999",
    ",\"price\":null",
    ",\"price\":1",
    ",\"liquidation\":\"MT\"",
    " ",
    "\n",
    ",",
    ":",
    "\"",
    "\\",
    "}",
    "]",
    "{",
    "[",
    "\u{0}",
    "\u{7f}",
];

/// The same value with the members of its objects in another order; numbers stay as they are written.
fn reordered(text: &str, order: &[Index]) -> String {
    if text.starts_with('[') {
        let elements: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(text).unwrap();
        let elements: Vec<_> = elements.iter().map(|element| reordered(element.get(), order)).collect();
        return format!("[{}]", elements.join(","));
    }
    if !text.starts_with('{') {
        return text.to_owned();
    }
    let object = members(text);
    let mut members: Vec<_> =
        object.iter().map(|(key, value)| format!("\"{key}\":{}", reordered(value, order))).collect();
    for (at, index) in order.iter().enumerate().take(members.len()) {
        let other = index.index(members.len());
        members.swap(at, other);
    }
    format!("{{{}}}", members.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_in_another_order_say_the_same(index: Index, order: Vec<Index>) {
        let (market, frame) = seed(index);
        let other = reordered(frame.trim(), &order);
        check(other.as_bytes());
        let mut decoder = own_decoder(&market);
        let (_, _, general, records) = both(&mut decoder, frame.as_bytes());
        let (_, _, general_other, records_other) = both(&mut decoder, other.as_bytes());
        prop_assert_eq!(general, general_other);
        prop_assert_eq!(records.lines(), records_other.lines());
    }

    #[test]
    fn the_order_of_keys_in_the_data_is_no_surprise(at in 0..PREDICTED.len(), order: Vec<Index>) {
        let (market, _, channel, data) = PREDICTED[at];
        let other = notification(channel, &reordered(data, &order));
        let (kind, ..) = both(&mut own_decoder(market), other.as_bytes());
        // Only asks before bids are.
        let asks_first = data.contains("\"asks\"") && other.find("\"asks\"") < other.find("\"bids\"");
        prop_assert_eq!(kind.is_none(), asks_first, "{}", other);
    }

    #[test]
    fn bytes_replaced(index: Index, changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4)) {
        let mut bytes = seed(index).1.into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check(&bytes);
    }

    #[test]
    fn tokens_changed(index: Index, at: Index, cut in 0usize..24, piece in prop::sample::select(PIECES)) {
        let mut frame = seed(index).1;
        let at = at.index(frame.len());
        let end = (at + cut).min(frame.len());
        // All seeds are ASCII.
        frame.replace_range(at..end, piece);
        check(frame.as_bytes());
    }

    #[test]
    fn values_changed(index: Index, at: Index, piece in prop::sample::select(PIECES)) {
        let (_, frame) = seed(index);
        // A value begins behind a colon and ends before the next comma or brace.
        let starts: Vec<_> = frame.match_indices(':').map(|(at, _)| at + 1).collect();
        let start = starts[at.index(starts.len())];
        let end = start + frame[start..].find([',', '}', ']']).unwrap_or(0);
        check([&frame[..start], piece, &frame[end..]].concat().as_bytes());
    }

    #[test]
    fn members_missing_added_or_repeated(index: Index, at: Index, what in 0..3) {
        let (_, frame) = seed(index);
        let commas: Vec<_> = frame.match_indices(',').map(|(at, _)| at).collect();
        let Some(start) = (!commas.is_empty()).then(|| commas[at.index(commas.len())]) else { return Ok(()) };
        let end = start + 1 + frame[start + 1..].find([',', '}', ']']).unwrap_or(0);
        let changed = match what {
            0 => [&frame[..start], ",\"new\":{\"a\":[1,2,{}]}", &frame[start..]].concat(),
            1 => [&frame[..start], &frame[end..]].concat(),
            _ => [&frame[..end], &frame[start..]].concat(),
        };
        check(changed.as_bytes());
    }

    #[test]
    fn two_frames_joined(first: Index, second: Index, a: Index, b: Index) {
        let (first, second) = (seed(first).1.into_bytes(), seed(second).1.into_bytes());
        let joined = [&first[..a.index(first.len())], &second[b.index(second.len())..]].concat();
        check(&joined);
    }

    #[test]
    fn random_json_like_data(text in "[\\{\\}\\[\\]:,\"a-z0-9.\\\\ -]{0,80}", at in 0..PREDICTED.len()) {
        check(text.as_bytes());
        check(notification(PREDICTED[at].2, &text).as_bytes());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }
}

#[test]
fn every_truncation_is_refused() {
    for (_, frame) in seeds() {
        for end in 0..frame.len() {
            let mut decoder = own_decoder("option");
            check_agreement(&mut decoder, &frame.as_bytes()[..end]);
            assert!(both(&mut decoder, &frame.as_bytes()[..end]).2.is_err());
        }
    }
}

#[test]
fn every_byte_changed_to_every_unusual_one() {
    for (_, frame) in seeds().into_iter().filter(|(_, frame)| frame.len() < 600) {
        for at in 0..frame.len() {
            for byte in *b"\0/:09.\"-,]}\\e \xff" {
                let mut bytes = frame.clone().into_bytes();
                bytes[at] = byte;
                check(&bytes);
            }
        }
    }
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    for (_, frame) in seeds() {
        for open in ["[", "{\"a\":"] {
            let deep = open.repeat(200_000);
            check(frame.replacen("\":", &format!("\":{deep}"), 1).as_bytes());
            check([&frame[..frame.len() - 1], ",\"x\":", &deep].concat().as_bytes());
        }
    }
}

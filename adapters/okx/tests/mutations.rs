//! Frames that the venue never sent: changed in every way that a test can think of. Both paths agree or
//! refuse, and nothing panics.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_okx::FrameDecoder;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

/// Own frames and one frame of each captured file: market, frame.
fn seeds() -> Vec<(String, String)> {
    let owned = |market: &str, frame: &str| (market.to_owned(), frame.to_owned());
    let own = PREDICTED.iter().map(|(market, frame)| owned(market, frame));
    let general = GENERAL.iter().map(|(market, _, _, frame)| owned(market, frame));
    let captured = channels().into_iter().filter_map(|channel| {
        let frame = channel.frames.iter().filter(|frame| frame.len() < 2000).nth(channel.frames.len() / 3);
        frame.cloned().map(|frame| (channel.market, frame))
    });
    own.chain(general).chain(captured).collect()
}

thread_local! {
    static SEEDS: Vec<(String, String)> = seeds();
}

fn seed(index: Index) -> (String, String) {
    SEEDS.with(|seeds| index.get(seeds).clone())
}

/// Checks a frame on all markets: what is foreign to one must be refused by both paths there too.
fn check(frame: &[u8]) {
    DECODERS.with_borrow_mut(|decoders| {
        for decoder in decoders {
            check_agreement(decoder, frame);
        }
    });
}

thread_local! {
    static DECODERS: std::cell::RefCell<Vec<FrameDecoder>> = std::cell::RefCell::new(decoders());
}

/// A decoder of each market.
fn decoders() -> Vec<FrameDecoder> {
    let captured: Vec<String> = channels()
        .iter()
        .filter(|channel| channel.name != "control")
        .flat_map(|channel| symbols_of(&channel.frames))
        .collect();
    let symbols: Vec<&str> = SYMBOLS.iter().copied().chain(captured.iter().map(String::as_str)).collect();
    // Spot and the others differ in what the amounts of a ticker are.
    ["spot", "swap"].map(|market| FrameDecoder::new(market, table(&symbols))).into()
}

/// Texts that take the place of a value or go between two tokens.
const PIECES: &[&str] = &[
    "null",
    "true",
    "0",
    "-1",
    "01",
    "1e3",
    "1.5",
    "\"\"",
    "\"x\"",
    "\"1e5\"",
    "\"-0\"",
    "[]",
    "{}",
    "[[\"1\",\"2\"]]",
    "18446744073709551616",
    "999999999999999999",
    "1000000000000000000",
    "\"99999999999999999999\"",
    "\"0.0000000000000000001\"",
    "\"9223372036854775807\"",
    "\"-9223372036854775808\"",
    "\"\\u0041\"",
    "\"\\\"\"",
    "\"ü\"",
    "99999999999999",
    "\"00012.50\"",
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

fn reordered(value: &Value, order: &[Index]) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            for (at, index) in order.iter().enumerate().take(members.len()) {
                let other = index.index(members.len());
                members.swap(at, other);
            }
            let members: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), reordered(value, order)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(|element| reordered(element, order)).collect();
            format!("[{}]", elements.join(","))
        }
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_in_another_order_say_the_same(index: Index, order: Vec<Index>) {
        let (market, frame) = seed(index);
        let other = reordered(&serde_json::from_str(&frame).unwrap(), &order);
        check(other.as_bytes());
        let mut decoder = own_decoder(&market);
        let (_, _, general, records) = both(&mut decoder, frame.as_bytes());
        let (_, _, general_other, records_other) = both(&mut decoder, other.as_bytes());
        prop_assert_eq!(general, general_other);
        prop_assert_eq!(records.lines(), records_other.lines());
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
        let at = (0..=frame.len()).filter(|at| frame.is_char_boundary(*at)).nth(at.index(frame.chars().count())).unwrap();
        let end = (at + cut).min(frame.len());
        if frame.is_char_boundary(end) {
            frame.replace_range(at..end, piece);
        }
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
    fn members_missing_or_added(index: Index, at: Index, add: bool) {
        let (_, frame) = seed(index);
        let commas: Vec<_> = frame.match_indices(',').map(|(at, _)| at).collect();
        let start = commas[at.index(commas.len())];
        let changed = if add {
            [&frame[..start], ",\"new\":{\"a\":[1,2,{}]}", &frame[start..]].concat()
        } else {
            let end = start + 1 + frame[start + 1..].find([',', '}', ']']).unwrap_or(0);
            [&frame[..start], &frame[end..]].concat()
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
    fn random_json_like_bytes(text in "(\\{\"arg\":\\{\"channel\":\"books\")?[\\{\\}\\[\\]:,\"argdtsinI0-9.\\\\ -]{0,80}") {
        check(text.as_bytes());
    }
}

#[test]
fn every_truncation_is_refused() {
    for (_, frame) in seeds() {
        for end in 0..frame.len() {
            check(&frame.as_bytes()[..end]);
        }
    }
}

#[test]
fn every_byte_changed_to_every_unusual_one() {
    let side = [r#"["61838.04","0.32332001","0","12"]"#; 3].join(",");
    let deep = format!(
        r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"update","data":[{{"asks":[{side}],"bids":[{side}],"ts":"1","checksum":7}}]}}"#
    );
    let frames = seeds().into_iter().map(|(_, frame)| frame).chain([deep]);
    for frame in frames.filter(|frame| frame.len() < 600) {
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

/// A small generator with a fixed start: the same bytes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let seeds = seeds();
    for round in 0..30_000 {
        let mut bytes: Vec<u8> = match round % 3 {
            0 => (0..random.next() % 200).map(|_| random.next() as u8).collect(),
            _ => seeds[random.next() as usize % seeds.len()].1.clone().into_bytes(),
        };
        for _ in 0..random.next() % 6 {
            if bytes.is_empty() {
                break;
            }
            let at = random.next() as usize % bytes.len();
            match random.next() % 4 {
                0 => bytes[at] ^= 1 << (random.next() % 8),
                1 => bytes.insert(at, random.next() as u8),
                2 => drop(bytes.remove(at)),
                _ => bytes[at] = b"0\"{}[],:.-9\\"[random.next() as usize % 12],
            }
        }
        check(&bytes);
    }
}

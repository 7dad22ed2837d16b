//! Frames that are no data: answers, errors, notices.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_core::venue::{Accepted, DecodeError, Outcome};

#[test]
fn answers_and_notices() {
    let acknowledged =
        |id, name: &str| Ok(Outcome::Acknowledged { id, accepted: Accepted::Some(vec![name.to_owned()]) });
    let refused = |id, reason: &str| Ok(Outcome::Refused { id, reason: reason.to_owned() });
    for (frame, expected) in [
        ("pong", Ok(Outcome::Alive)),
        (
            r#"{"id":"1512","event":"subscribe","arg":{"channel":"tickers","instId":"BTC-USDT"},"connId":"a4d3ae55"}"#,
            acknowledged(Some(1512), "tickers:BTC-USDT"),
        ),
        (
            r#"{"event":"unsubscribe","arg":{"channel":"liquidation-orders","instType":"SWAP"},"connId":"d0b44253"}"#,
            acknowledged(None, "liquidation-orders:SWAP"),
        ),
        (
            r#"{"id":"3","event":"subscribe","arg":{"channel":"opt-summary","instFamily":"BTC-USD"}}"#,
            acknowledged(Some(3), "opt-summary:BTC-USD"),
        ),
        (
            r#"{"id":"1512","event":"error","code":"60018","msg":"Wrong URL or channel:books,instId:FOO-BAR doesn't exist.","connId":"a4d3ae55"}"#,
            refused(Some(1512), "60018: Wrong URL or channel:books,instId:FOO-BAR doesn't exist."),
        ),
        (
            r#"{"event":"error","code":"60012","msg":"Invalid request: {\"op\": \"subscribe\"}"}"#,
            refused(None, r#"60012: Invalid request: {"op": "subscribe"}"#),
        ),
        (
            r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect.","connId":"a4d3ae55"}"#,
            Ok(Outcome::Closing),
        ),
        (r#"{"event":"notice","code":"64009","msg":"News."}"#, Ok(Outcome::Alive)),
        (
            r#"{"event":"channel-conn-count","channel":"orders","connCount":"2","connId":"a4d3ae55"}"#,
            Ok(Outcome::Alive),
        ),
        (
            r#"{"arg":{"channel":"instruments","instType":"SWAP"},"data":[{"instId":"BTC-USDT-SWAP"}]}"#,
            Ok(Outcome::InstrumentsChanged),
        ),
        (r#"{"event":"novelty"}"#, Err(DecodeError::UnknownEvent("novelty".to_owned()))),
        (
            r#"{"arg":{"channel":"novelty","instId":"BTC-USDT"},"data":[{}]}"#,
            Err(DecodeError::UnknownEvent("novelty".to_owned())),
        ),
        (
            r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":7}"#,
            Err(DecodeError::Field { field: "data", problem: "not an array".to_owned() }),
        ),
    ] {
        assert_eq!(outcome("swap", frame), expected, "{frame}");
    }
    for frame in ["[1]", "7", "\"text\"", "{}", r#"{"data":[]}"#] {
        assert!(matches!(outcome("spot", frame), Err(DecodeError::Shape(_))), "{frame}");
    }
    for frame in ["", "ping", "pong ", "{", "{\"arg\":{\"channel\":\"trades\""] {
        assert!(matches!(outcome("spot", frame), Err(DecodeError::Json(_))), "{frame}");
    }
}

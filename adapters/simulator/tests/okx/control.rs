//! Acknowledgements, errors, keep-alive and limits.

use std::time::Duration;

use fastwebsockets::{Frame, OpCode, Payload};
use marketprism_simulator::Start;
use marketprism_simulator::okx::{Config, Limits, start};
use serde_json::json;

use crate::client::{Client, arg, block_on, config, until, venue};

#[test]
fn every_argument_is_acknowledged_in_order_before_the_first_push() {
    let venue = venue(2, 100);
    block_on(async {
        let mut client = Client::public(&venue).await;
        let args = [
            arg("tickers", "BTC-USDT"),
            arg("books", "FOO-BAR"),
            arg("trades", "BTC-USDT-SWAP"),
            arg("books", "ETH-USDT-SWAP"),
        ];
        client.operation("subscribe", &args).await;
        let answers = [client.json().await, client.json().await, client.json().await, client.json().await];
        assert_eq!(answers.each_ref().map(|answer| answer["id"] == "1"), [true; 4]);
        assert!(answers.iter().all(|answer| answer["connId"] == answers[0]["connId"]));
        assert_eq!(answers[0]["connId"].as_str().map(str::len), Some(8));
        for place in [0, 2, 3] {
            assert_eq!(
                (&answers[place]["event"], &answers[place]["arg"]),
                (&json!("subscribe"), &args[place])
            );
        }
        assert_eq!((&answers[1]["event"], &answers[1]["code"]), (&json!("error"), &json!("60018")));
        let text = answers[1]["msg"].as_str().expect("text");
        assert!(text.starts_with("Wrong URL or channel:books,instId:FOO-BAR doesn't exist."), "{text}");
        let firsts = [client.json().await, client.json().await, client.json().await];
        assert_eq!(
            firsts.map(|push| push["arg"].clone()),
            [args[0].clone(), args[2].clone(), args[3].clone()]
        );
    });
    assert!(venue.stop().violations.is_empty());
}

#[test]
fn an_id_is_answered_only_where_there_was_one() {
    let venue = venue(1, 100);
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.send(r#"{"op":"subscribe","args":[{"instId":"BTC-USDT","channel":"trades"}]}"#).await;
        let text = client.text().await;
        let expected = r#"{"event":"subscribe","arg":{"instId":"BTC-USDT","channel":"trades"},"connId":""#;
        assert!(text.starts_with(expected), "{text}");
        client
            .send(r#"{"id":"Ab9","op":"unsubscribe","args":[{"channel":"trades","instId":"BTC-USDT"}]}"#)
            .await;
        let answer = client.event().await;
        assert_eq!((&answer["id"], &answer["event"]), (&json!("Ab9"), &json!("unsubscribe")));
    });
}

#[test]
fn wrong_requests_have_the_venues_codes() {
    let venue = venue(1, 100);
    block_on(async {
        let mut client = Client::public(&venue).await;
        let one =
            |channel: &str| json!({ "op": "subscribe", "args": [arg(channel, "BTC-USDT")] }).to_string();
        for (request, code) in [
            ("{\"op\":\"subscribe\",\"argss\":[]}".to_owned(), "60012"),
            ("no JSON".to_owned(), "60012"),
            ("{\"op\":\"order\",\"args\":[]}".to_owned(), "60019"),
            (one("candle1m"), "64001"),
            (one("no-such-channel"), "60018"),
            (one("books-l2-tbt"), "60011"),
            (
                r#"{"op":"subscribe","args":[{"channel":"open-interest","uly":"BTC-USDT"}]}"#.to_owned(),
                "64000",
            ),
        ] {
            client.send(&request).await;
            let answer = client.json().await;
            assert_eq!((&answer["event"], &answer["code"]), (&json!("error"), &json!(code)), "{request}");
        }
        client.send("no JSON").await;
        assert_eq!(client.json().await["msg"], "Invalid request: no JSON");
        let mut business = Client::business(&venue).await;
        business.operation("subscribe", &[arg("tickers", "BTC-USDT")]).await;
        assert_eq!(business.json().await["code"], "60018");
        let mut private = Client::open(&venue, "/ws/v5/private").await.expect("upgrade");
        private.operation("subscribe", &[arg("tickers", "BTC-USDT")]).await;
        assert_eq!(private.json().await["code"], "60011");
        assert!(Client::open(&venue, "/ws/v3").await.is_err());
    });
    let ledger = venue.stop();
    assert!(ledger.violations.iter().any(|text| text.contains("/ws/v3")), "{:?}", ledger.violations);
    assert!(ledger.violations.iter().any(|text| text.starts_with("60019")));
    assert_eq!(ledger.connections, 3);
}

#[test]
fn pings_are_answered() {
    let venue = venue(1, 100);
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.send("ping").await;
        assert_eq!(client.text().await, "pong");
        client.frame(Frame::new(true, OpCode::Ping, None, Payload::Borrowed(b"x"))).await;
        assert_eq!(client.next().await, Some((OpCode::Pong, b"x".to_vec())));
    });
}

fn limited(limits: Limits) -> Config {
    let limits = Limits { connections_per_second: 100, ..limits };
    Config { limits, ..config(1, 100) }
}

#[test]
fn idle_connections_are_closed() {
    let idle = Duration::from_millis(300);
    let limits = Limits { idle, ..Limits::default() };
    let venue = start(&Config { start: Start::Manual, ..limited(limits) }).expect("starts");
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.send("ping").await;
        client.text().await;
        assert_eq!(client.close_frame().await, (4004, "No data received in 30s".to_owned()));
        let ledger = until(&venue, |ledger| !ledger.violations.is_empty()).await;
        assert_eq!(ledger.violations.len(), 1);
    });
}

#[test]
fn data_keeps_a_connection_open() {
    let limits = Limits { idle: Duration::from_millis(300), ..Limits::default() };
    let venue = start(&limited(limits)).expect("starts");
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.subscribe(&[arg("bbo-tbt", "BTC-USDT")]).await;
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_millis(900) {
            client.push("bbo-tbt", "BTC-USDT").await;
        }
    });
    assert!(venue.stop().violations.is_empty());
}

#[test]
fn too_many_operations_end_the_connection() {
    let venue = start(&limited(Limits { operations_per_hour: 2, ..Limits::default() })).expect("starts");
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.subscribe(&[arg("funding-rate", "BTC-USDT-SWAP")]).await;
        client.unsubscribe(&[arg("funding-rate", "BTC-USDT-SWAP")]).await;
        client.send("ping").await;
        assert_eq!(client.text().await, "pong", "a ping is no operation");
        client.operation("subscribe", &[arg("funding-rate", "BTC-USDT-SWAP")]).await;
        assert_eq!(client.event().await["code"], "60014");
        assert_eq!(client.close_frame().await.0, 4002);
    });
    assert_eq!(venue.stop().violations, ["too many operations in an hour"]);
}

#[test]
fn a_frame_too_long_ends_the_connection() {
    let venue = venue(1, 100);
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.send(&"x".repeat(70_000)).await;
        assert_eq!(client.close_frame().await.0, 1009);
    });
    assert_eq!(venue.stop().violations.len(), 1);
}

#[test]
fn too_many_connections_in_a_second_are_refused() {
    let limits = Limits { connections_per_second: 3, ..Limits::default() };
    let venue = start(&Config { limits, ..config(1, 100) }).expect("starts");
    let opened = block_on(async {
        let mut opened = 0;
        for _ in 0..6 {
            opened += u64::from(Client::open(&venue, "/ws/v5/public").await.is_ok());
        }
        opened
    });
    let ledger = venue.stop();
    assert!(opened >= 3, "{opened}");
    assert_eq!(ledger.connections, opened);
    assert_eq!(ledger.violations.len() as u64, 6 - opened);
    assert!(ledger.violations.iter().all(|text| text.ends_with("refused with 429")));
}

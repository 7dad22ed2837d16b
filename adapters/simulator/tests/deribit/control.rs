//! Requests and answers, authentication, heartbeats, limits.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, NEVER, block_on, venue, venue_with_second};

const BOOK: &str = "book.BTC-PERPETUAL.100ms";
const TICKER: &str = "ticker.BTC-PERPETUAL.100ms";

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().expect("an error")
}

#[test]
fn channels_are_acknowledged_in_descending_order_and_unknown_ones_dropped() {
    let handle = venue(2, 100);
    block_on(async {
        let mut client = Client::open(&handle).await;
        let asked = [BOOK, "book.NOPE.100ms", TICKER, "trades.BTC-PERPETUAL.100ms", "nonsense"];
        let acknowledged = client.subscribe(&asked).await;
        assert_eq!(acknowledged, ["trades.BTC-PERPETUAL.100ms", TICKER, BOOK]);
        assert_eq!(client.subscribe(&["book.NOPE.100ms"]).await, [""; 0]);
        assert_eq!(client.data(TICKER).await["instrument_name"], "BTC-PERPETUAL");
    });
    assert_eq!(handle.stop().violations, [""; 0]);
}

#[test]
fn an_answer_repeats_the_id_and_says_when() {
    let handle = venue(1, 100);
    block_on(async {
        let mut client = Client::open(&handle).await;
        for id in [json!(42), json!("forty-two")] {
            let request = json!({"jsonrpc": "2.0", "id": id, "method": "public/test"});
            let answer = client.answer(&request.to_string()).await;
            assert_eq!(answer["id"], id);
            assert_eq!(answer["testnet"], false);
            let micros = |key: &str| answer[key].as_u64().expect("microseconds");
            assert_eq!(micros("usOut") - micros("usIn"), micros("usDiff"));
        }
        let answer = client.answer("{\"method\":\"public/get_time\"}").await;
        assert_eq!(answer.get("id"), None, "a request without id is answered without one");
        assert!(answer["result"].is_u64());
    });
}

#[test]
fn only_a_new_subscription_brings_a_snapshot() {
    let handle = venue(1, 500);
    block_on(async {
        let mut client = Client::open(&handle).await;
        client.subscribe(&[BOOK]).await;
        assert_eq!(client.data(BOOK).await["type"], "snapshot");
        assert_eq!(client.subscribe(&[BOOK, BOOK]).await, [BOOK]);
        for change in client.take(BOOK, 3).await {
            assert_eq!(change["type"], "change");
        }
        assert_eq!(client.unsubscribe(&[BOOK, TICKER]).await, [BOOK]);
        assert_eq!(client.subscribe(&[BOOK]).await, [BOOK]);
        // Changes that were under way when the channel was left come first.
        while client.data(BOOK).await["type"] == "change" {}
        assert_eq!(client.call("public/unsubscribe_all", json!({})).await["result"], "ok");
        assert_eq!(client.unsubscribe(&[BOOK]).await, [""; 0]);
    });
}

#[test]
fn raw_channels_are_for_authenticated_connections() {
    let handle = venue(1, 500);
    block_on(async {
        let mut client = Client::open(&handle).await;
        let raw = "book.BTC-PERPETUAL.raw";
        let refused = client.call("public/subscribe", json!({"channels": [raw, BOOK]})).await;
        assert_eq!(code(&refused), 13778);
        assert_eq!(refused["error"]["message"], "raw_subscriptions_not_available_for_unauthorized");
        assert_eq!(client.unsubscribe(&[BOOK]).await, [""; 0], "the whole call failed");
        assert_eq!(code(&client.call("private/subscribe", json!({"channels": [BOOK]})).await), 13009);
        assert_eq!(code(&client.authenticate("wrong").await), 13004);
        assert_eq!(client.authenticate("secret").await["result"]["token_type"], "bearer");
        assert_eq!(client.subscribe(&[raw]).await, [raw]);
        assert_eq!(client.data(raw).await["type"], "snapshot");
    });
}

#[test]
fn wrong_requests_get_the_venues_errors() {
    let handle = venue(1, 100);
    block_on(async {
        let mut client = Client::open(&handle).await;
        let invalid = client.answer("{\"id\":1,").await;
        assert_eq!((code(&invalid), invalid.get("id")), (11050, None));
        let large = format!("{{\"id\":1,\"method\":\"{}\"}}", "x".repeat(33_000));
        for (request, expected) in [
            ("{\"id\":2,\"method\":\"public/nothing\"}", -32601),
            ("{\"id\":2,\"method\":\"subscribe\",\"params\":{\"channels\":[]}}", -32601),
            ("{\"id\":3,\"method\":\"public/subscribe\",\"params\":[\"a\"]}", -32602),
            ("{\"id\":4,\"method\":\"public/subscribe\",\"params\":{\"channels\":\"a\"}}", -32602),
            ("[{\"id\":5,\"method\":\"public/test\"}]", -32600),
            (large.as_str(), -32600),
        ] {
            assert_eq!(code(&client.answer(request).await), expected, "{request:.60}");
        }
        let list = client.call("public/subscribe", json!({"channels": 1})).await;
        assert_eq!(list["error"]["data"], json!({"reason": "value must be a list", "param": "channels"}));
    });
}

#[test]
fn an_unanswered_test_request_closes_the_connection() {
    let handle = venue_with_second(Duration::from_millis(50));
    block_on(async {
        let mut client = Client::open(&handle).await;
        let short = client.call("public/set_heartbeat", json!({"interval": 9})).await;
        assert_eq!(code(&short), -32602);
        assert_eq!(client.call("public/set_heartbeat", json!({"interval": 10})).await["result"], "ok");
        client.subscribe(&[BOOK]).await;
        for _ in 0..3 {
            let mut frame = client.frame().await;
            while frame["method"] != "heartbeat" {
                frame = client.frame().await;
            }
            assert_eq!(frame["params"]["type"], "test_request", "a busy socket shows nothing else");
            assert!(client.call("public/test", json!({})).await["result"]["version"].is_string());
        }
        assert_eq!(client.end().await, (4000, "heartbeat close".to_owned()));
    });
    assert_eq!(handle.stop().violations.len(), 1);
}

#[test]
fn a_quiet_socket_shows_heartbeats_until_they_are_disabled() {
    let handle = venue_with_second(Duration::from_millis(50));
    block_on(async {
        let mut client = Client::open(&handle).await;
        client.call("public/set_heartbeat", json!({"interval": 10})).await;
        assert_eq!(client.frame().await["params"]["type"], "heartbeat");
        assert_eq!(client.frame().await["params"]["type"], "test_request");
        assert_eq!(client.call("public/disable_heartbeat", json!({})).await["result"], "ok");
        // Without a heartbeat and without channels the socket is dropped, without a close frame.
        assert_eq!(client.end().await, (1006, String::new()));
    });
}

#[test]
fn subscriptions_are_paid_for() {
    let handle = venue_with_second(NEVER);
    block_on(async {
        let mut client = Client::open(&handle).await;
        for _ in 0..10 {
            client.subscribe(&[BOOK]).await;
        }
        let eleventh = client.call("public/subscribe", json!({"channels": [TICKER]})).await;
        assert_eq!(code(&eleventh), 10028);
        assert_eq!(client.call("public/test", json!({})).await.get("error"), None, "the connection stays");
        client.authenticate("secret").await;
        for _ in 0..10 {
            client.subscribe(&[BOOK]).await;
        }
        let eleventh = client.call("public/subscribe", json!({"channels": [TICKER]})).await;
        assert_eq!(code(&eleventh), 10028, "the account has its own credits");
        assert_eq!(client.end().await.0, 1006, "its session is over");
    });
    assert_eq!(handle.stop().violations.len(), 2);
}

#[test]
fn the_thirty_third_connection_is_refused() {
    let handle = venue(1, 100);
    block_on(async {
        let mut clients = Vec::new();
        for _ in 0..32 {
            clients.push(Client::open(&handle).await);
        }
        let refused = Client::try_open(&handle).await.map(|_| ());
        let Err(fastwebsockets::WebSocketError::InvalidStatusCode(status)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(status, 429);
    });
}

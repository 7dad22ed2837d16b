//! Methods over HTTP, and their errors.

use serde_json::Value;

use crate::client::{Client, Held, NEVER, block_on, get, venue, venue_with_second};

const API: &str = "/api/v2/public";

#[test]
fn instruments_are_listed_by_currency_and_kind() {
    let handle = venue(5, 100);
    block_on(async {
        for (query, expected) in [
            ("currency=any&kind=spot", handle.symbols("spot")),
            ("currency=any&kind=option", handle.symbols("option")),
            ("currency=ETH&kind=future", vec!["ETH-PERPETUAL".to_owned(), "ETH-25DEC26".to_owned()]),
        ] {
            let (status, answer) = get(&handle, &format!("{API}/get_instruments?{query}")).await;
            assert_eq!(status, 200);
            let listed = answer["result"].as_array().expect("a list");
            let names: Vec<&str> =
                listed.iter().map(|one| one["instrument_name"].as_str().expect("name")).collect();
            assert_eq!(names, expected, "{query}");
            for one in listed {
                assert!(one["tick_size"].is_f64() && one["contract_size"].is_f64(), "{one}");
                assert_eq!(one["kind"] == "option", one.get("strike").is_some(), "{one}");
            }
        }
    });
}

#[test]
fn an_order_book_with_the_final_id_has_the_final_levels() {
    let handle = venue(1, 3000);
    block_on(async {
        let channel = "book.BTC-PERPETUAL.100ms";
        let mut client = Client::open(&handle).await;
        client.subscribe(&[channel]).await;
        client.take(channel, 3).await;
        handle.pause();
        let path = format!("{API}/get_order_book?instrument_name=BTC-PERPETUAL&depth=10000");
        let (_, answer) = get(&handle, &path).await;
        let book = handle.final_book("perpetual", "BTC-PERPETUAL").expect("book");
        assert_eq!(answer["result"]["change_id"], book.last_update_id);
        let held = Held::of(&book);
        for (side, levels) in ["bids", "asks"].into_iter().zip(&held.sides) {
            assert_eq!(answer["result"][side].as_array().expect("levels").len(), levels.len());
        }
        let (_, five) = get(&handle, &format!("{API}/get_order_book?instrument_name=BTC-PERPETUAL")).await;
        assert_eq!(five["result"]["bids"].as_array().expect("levels").len(), 5);
    });
}

#[test]
fn trades_come_in_pages() {
    let handle = venue(1, 5000);
    block_on(async {
        let mut client = Client::open(&handle).await;
        client.subscribe(&["trades.BTC-PERPETUAL.100ms"]).await;
        let mut seen = 0;
        while seen < 20 {
            seen += client.data("trades.BTC-PERPETUAL.100ms").await.as_array().expect("a list").len();
        }
        handle.pause();
        let path = format!("{API}/get_last_trades_by_instrument?instrument_name=BTC-PERPETUAL");
        let sequences = |answer: &Value| -> Vec<u64> {
            let trades = answer["result"]["trades"].as_array().expect("a list");
            trades.iter().map(|trade| trade["trade_seq"].as_u64().expect("number")).collect()
        };
        let (_, newest) = get(&handle, &path).await;
        assert_eq!(newest["result"]["has_more"], true);
        let newest = sequences(&newest);
        assert_eq!(newest.len(), 10, "ten without a count");
        let (_, page) = get(&handle, &format!("{path}&start_seq={}&count=3&sorting=asc", newest[0])).await;
        assert_eq!(
            (sequences(&page), &page["result"]["has_more"]),
            (newest[..3].to_vec(), &Value::Bool(true))
        );
        let (_, last) = get(&handle, &format!("{path}&sorting=desc&count=2")).await;
        assert_eq!(sequences(&last), [newest[9], newest[8]]);
    });
}

#[test]
fn histories_come_in_pages_too() {
    let handle = venue(2, 100);
    block_on(async {
        let (_, time) = get(&handle, &format!("{API}/get_time")).await;
        let now = time["result"].as_u64().expect("milliseconds");
        let path = format!("{API}/get_volatility_index_data?currency=BTC&resolution=60");
        let start = now - 1500 * 60_000;
        let (_, newest) = get(&handle, &format!("{path}&start_timestamp={start}&end_timestamp={now}")).await;
        assert_eq!(newest["result"]["data"].as_array().expect("a list").len(), 1000);
        let end = newest["result"]["continuation"].as_u64().expect("more");
        let (_, older) = get(&handle, &format!("{path}&start_timestamp={start}&end_timestamp={end}")).await;
        assert_eq!(older["result"]["continuation"], Value::Null);
        let last = older["result"]["data"].as_array().and_then(|data| data.last()).expect("a point");
        assert_eq!(last[0], end);
        let funding = format!(
            "{API}/get_funding_rate_history?instrument_name=BTC-PERPETUAL&start_timestamp={}&end_timestamp={now}",
            now - 5 * 3_600_000
        );
        assert_eq!(get(&handle, &funding).await.1["result"].as_array().expect("a list").len(), 5);
    });
}

#[test]
fn wrong_requests_have_a_status_and_a_code() {
    let handle = venue(1, 100);
    block_on(async {
        for (path, status, code) in [
            ("/api/v2/public/ticker?instrument_name=BTC-NOPE", 400, 13020),
            ("/api/v2/public/ticker?instrument_name=nope", 400, -32602),
            ("/api/v2/public/ticker", 400, -32602),
            ("/api/v2/public/get_order_book?instrument_name=BTC-PERPETUAL&depth=7", 400, -32602),
            ("/api/v2/public/get_instruments?currency=NOPE", 400, -32602),
            ("/api/v2/public/nothing", 400, -32601),
            ("/api/v2/public/subscribe", 400, 10030),
        ] {
            let (found, answer) = get(&handle, path).await;
            assert_eq!((found, &answer["error"]["code"]), (status, &Value::from(code)), "{path}");
        }
        assert_eq!(get(&handle, "/elsewhere").await.0, 404);
    });
}

#[test]
fn lists_of_instruments_are_paid_for() {
    let handle = venue_with_second(NEVER);
    block_on(async {
        let path = format!("{API}/get_instruments?currency=BTC");
        for _ in 0..50 {
            assert_eq!(get(&handle, &path).await.0, 200);
        }
        let (status, answer) = get(&handle, &path).await;
        assert_eq!((status, &answer["error"]["code"]), (429, &Value::from(10028)));
    });
    assert_eq!(handle.stop().violations.len(), 1);
}

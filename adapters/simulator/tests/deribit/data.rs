//! Trades, tickers, quotes, indices, candles: what they say and how their numbers look.

use std::collections::HashSet;

use marketprism_simulator::host::{Handle, ListingChange};
use serde_json::{Value, json};

use crate::client::{Client, block_on, get, venue};

/// The text of a number as it was sent.
fn number<'a>(text: &'a str, key: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key} in {text}"));
    rest.split([',', '}', ']']).next().expect("split gives one")
}

/// The text of the next frame on a channel.
async fn text_on(client: &mut Client, channel: &str) -> String {
    loop {
        let text = client.text().await.expect("connection is open");
        if text.contains(&format!("\"channel\":\"{channel}\"")) {
            return text;
        }
    }
}

async fn subscribed(handle: &Handle, channels: &[&str]) -> Client {
    let mut client = Client::open(handle).await;
    client.authenticate("secret").await;
    assert_eq!(client.subscribe(channels).await.len(), channels.len());
    client
}

#[test]
fn trades_are_numbered_without_a_hole_and_rest_fills_in() {
    let handle = venue(2, 3000);
    block_on(async {
        let channel = "trades.ETH-PERPETUAL.100ms";
        let mut client = subscribed(&handle, &[channel]).await;
        let trades: Vec<Value> = client
            .take(channel, 10)
            .await
            .iter()
            .flat_map(|data| data.as_array().expect("a list").clone())
            .collect();
        let sequences: Vec<u64> =
            trades.iter().map(|trade| trade["trade_seq"].as_u64().expect("number")).collect();
        assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1), "{sequences:?}");
        assert!(
            trades.iter().all(|trade| trade["trade_id"].as_str().is_some_and(|id| id.starts_with("ETH-")))
        );
        assert!(trades.iter().all(|trade| trade["instrument_name"] == "ETH-PERPETUAL"));
        let (first, last) = (sequences[0], sequences[sequences.len() - 1]);
        let path = format!(
            "/api/v2/public/get_last_trades_by_instrument?instrument_name=ETH-PERPETUAL&start_seq={first}\
             &end_seq={last}&count=1000&sorting=asc"
        );
        let (status, answer) = get(&handle, &path).await;
        assert_eq!((status, &answer["result"]["has_more"]), (200, &Value::Bool(false)));
        assert_eq!(answer["result"]["trades"], Value::Array(trades));
    });
}

#[test]
fn a_channel_of_a_kind_has_the_trades_of_its_instruments() {
    let handle = venue(3, 5000);
    block_on(async {
        let mut client = subscribed(&handle, &["trades.option.any.100ms"]).await;
        let mut names = HashSet::new();
        while names.len() < 3 {
            for trade in client.data("trades.option.any.100ms").await.as_array().expect("a list") {
                assert!(trade["iv"].is_f64(), "{trade}");
                names.insert(trade["instrument_name"].as_str().expect("name").to_owned());
            }
        }
        assert_eq!(names, handle.symbols("option").into_iter().collect());
    });
}

#[test]
fn some_trades_are_liquidations_blocks_or_legs_of_combos() {
    let handle = venue(3, 20_000);
    block_on(async {
        let mut client = subscribed(&handle, &["trades.any.any.100ms"]).await;
        let mut missing = HashSet::from(["liquidation", "block_trade_id", "legs", "combo_trade_id"]);
        let mut combos: HashSet<String> = HashSet::new();
        while !missing.is_empty() {
            for trade in client.data("trades.any.any.100ms").await.as_array().expect("a list") {
                missing.retain(|key| trade.get(key).is_none());
                if let Some(combo) = trade["combo_trade_id"].as_str() {
                    combos.insert(combo.to_owned());
                }
                for leg in trade["legs"].as_array().into_iter().flatten() {
                    assert_eq!(leg["combo_trade_id"], trade["trade_id"]);
                    assert_eq!(leg["combo_id"], trade["instrument_name"]);
                    assert!(
                        combos.contains(trade["trade_id"].as_str().expect("id")),
                        "legs appear by themselves"
                    );
                }
            }
        }
    });
}

#[test]
fn tickers_come_at_once_with_the_members_of_their_kind() {
    let handle = venue(3, 200);
    block_on(async {
        for (symbol, members) in [
            ("BTC-PERPETUAL", &["funding_8h", "current_funding", "interest_value", "open_interest"][..]),
            ("BTC-25DEC26", &["estimated_delivery_price", "settlement_price", "open_interest"]),
            (
                "BTC-25DEC26-100000-C",
                &["greeks", "mark_iv", "underlying_price", "underlying_index", "open_interest"],
            ),
            ("BTC_USDC", &["index_price", "mark_price"]),
            ("BTC-FS-25DEC26_PERP", &["mark_price"]),
        ] {
            let channel = format!("ticker.{symbol}.agg2");
            let mut client = subscribed(&handle, &[&channel]).await;
            let ticker = client.data(&channel).await;
            assert_eq!(ticker["instrument_name"], symbol);
            for member in
                ["timestamp", "state", "stats", "last_price", "best_bid_price"].iter().chain(members)
            {
                assert!(ticker.get(member).is_some(), "{member} in {ticker}");
            }
        }
    });
}

#[test]
fn numbers_have_the_venues_forms() {
    let handle = venue(1, 200);
    block_on(async {
        let channel = "ticker.BTC-PERPETUAL.100ms";
        let mut client = Client::open(&handle).await;
        let request = json!({"id": 1, "method": "public/subscribe", "params": {"channels": [channel]}});
        client.send(&request.to_string()).await;
        let mut tiny = false;
        while !tiny {
            let text = text_on(&mut client, channel).await;
            assert!(number(&text, "best_bid_amount").ends_with("0.0"), "{text}");
            assert!(number(&text, "open_interest").bytes().all(|byte| byte.is_ascii_digit()), "{text}");
            assert!(number(&text, "mark_price").contains('.'), "{text}");
            tiny = number(&text, "funding_8h").contains("e-0");
        }
    });
}

#[test]
fn what_moves_every_second_moves() {
    let handle = venue(2, 200);
    block_on(async {
        let channels = [
            "deribit_price_index.btc_usd",
            "deribit_volatility_index.btc_usd",
            "perpetual.BTC-PERPETUAL.100ms",
        ];
        let mut client = subscribed(&handle, &channels).await;
        for (channel, key) in channels.into_iter().zip(["price", "volatility", "interest"]) {
            let values: HashSet<String> =
                client.take(channel, 3).await.iter().map(|data| data[key].to_string()).collect();
            assert!(values.len() > 1, "{channel}: {values:?}");
        }
    });
}

#[test]
fn quotes_are_the_best_prices_and_candles_hold_the_trades() {
    let handle = venue(1, 3000);
    block_on(async {
        let [quote, candle] = ["quote.BTC-PERPETUAL", "chart.trades.BTC-PERPETUAL.1"];
        let mut client = subscribed(&handle, &[quote, candle]).await;
        let quotes = client.take(quote, 20).await;
        let top = |quote: &Value| {
            ["best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount"]
                .map(|key| quote[key].as_f64().expect("number").to_bits())
        };
        assert!(quotes.iter().skip(1).zip(&quotes).all(|(next, last)| top(next) != top(last)));
        assert!(
            quotes.iter().all(|quote| quote["best_bid_price"].as_f64() < quote["best_ask_price"].as_f64())
        );
        let bar = client.data(candle).await;
        let value = |key: &str| bar[key].as_f64().expect("number");
        assert!(value("low") <= value("open").min(value("close")), "{bar}");
        assert!(value("high") >= value("open").max(value("close")), "{bar}");
        assert_eq!(bar["tick"].as_u64().expect("milliseconds") % 60_000, 0);
        assert!(value("volume") > 0.0 && value("cost") > 0.0);
    });
}

#[test]
fn listings_are_announced_and_change_the_list() {
    let handle = venue(2, 1000);
    block_on(async {
        let states = "instrument.state.option.BTC";
        let mut client = subscribed(&handle, &[states]).await;
        let listed = [0; 2].map(|_| handle.change_listing(ListingChange::List("option")).expect("a name"));
        let [skipped, name] = listed;
        assert!(skipped.starts_with("XRP_USDC-"), "{skipped} is no option on BTC");
        for state in ["created", "started"] {
            let data = client.data(states).await;
            assert_eq!((&data["state"], &data["instrument_name"]), (&json!(state), &json!(name)));
        }
        let book = format!("book.{name}.100ms");
        assert_eq!(client.subscribe(&[&book]).await, [book.as_str()], "a new instrument has data");
        assert_eq!(handle.change_listing(ListingChange::Expire("option", name.clone())), Some(name.clone()));
        for state in ["settled", "closed"] {
            assert_eq!(client.data(states).await["state"], state);
        }
        client.unsubscribe(&[&book]).await;
        assert_eq!(client.subscribe(&[&book]).await, [""; 0], "an expired one has not");
        let path = "/api/v2/public/get_instruments?currency=BTC&kind=option";
        for (query, expected) in [("", false), ("&expired=true", true)] {
            let (_, answer) = get(&handle, &format!("{path}{query}")).await;
            let names = answer["result"].as_array().expect("a list");
            let has = names.iter().any(|instrument| instrument["instrument_name"] == name.as_str());
            assert_eq!(has, expected, "{query}");
        }
        assert_eq!(handle.change_listing(ListingChange::Expire("option", name)), None, "only once");
    });
}

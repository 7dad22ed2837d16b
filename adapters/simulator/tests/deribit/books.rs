//! Books: chains, intervals, and what clients hold in the end.

use std::collections::HashMap;

use marketprism_simulator::host::Handle;
use serde_json::Value;

use crate::client::{Client, Held, block_on, get, venue};

const SYMBOLS: [(&str, &str); 4] = [
    ("perpetual", "BTC-PERPETUAL"),
    ("future", "ETH-25DEC26"),
    ("option", "XRP_USDC-25DEC26-2d125-C"),
    ("combo", "BTC-FS-25DEC26_PERP"),
];

/// The market of a channel and its instrument.
fn parts(channel: &str) -> (&'static str, &'static str) {
    *SYMBOLS.iter().find(|(_, symbol)| channel.contains(&format!(".{symbol}."))).expect("known")
}

/// Applies frames until `done` says so; a gap fails the test.
async fn follow(
    client: &mut Client,
    books: &mut HashMap<String, Held>,
    mut done: impl FnMut(&HashMap<String, Held>) -> bool,
) {
    while !done(books) {
        let frame = client.frame().await;
        let channel = frame["params"]["channel"].as_str().expect("a notification").to_owned();
        let book = books.entry(channel).or_default();
        assert!(book.apply(&frame["params"]["data"]), "a gap after {}: {frame}", book.change_id);
    }
}

/// Pauses and reads on until every book has the last id that was sent.
async fn catch_up(client: &mut Client, books: &mut HashMap<String, Held>, handle: &Handle) {
    let ledger = handle.pause();
    let last = |channel: &str| ledger.stream(parts(channel).0, channel).expect("stream").last_id;
    follow(client, books, |books| books.iter().all(|(channel, book)| last(channel) == Some(book.change_id)))
        .await;
}

fn assert_final(books: &HashMap<String, Held>, handle: &Handle) {
    for (channel, book) in books {
        let (market, symbol) = parts(channel);
        assert_eq!(*book, Held::of(&handle.final_book(market, symbol).expect("book")), "{channel}");
    }
}

#[test]
fn whoever_applied_every_change_holds_the_final_book() {
    let handle = venue(3, 5000);
    block_on(async {
        let mut client = Client::open(&handle).await;
        client.authenticate("secret").await;
        let channels: Vec<String> = SYMBOLS
            .iter()
            .flat_map(|(_, symbol)| {
                ["raw", "100ms", "agg2"].map(|interval| format!("book.{symbol}.{interval}"))
            })
            .collect();
        let names: Vec<&str> = channels.iter().map(String::as_str).collect();
        client.subscribe(&names).await;
        let mut books = HashMap::new();
        let mut seen = 0;
        follow(&mut client, &mut books, |books| {
            seen += 1;
            seen > 2000 && books.len() == channels.len()
        })
        .await;
        catch_up(&mut client, &mut books, &handle).await;
        assert_final(&books, &handle);
        // A pause is no end: the chains go on where they were.
        handle.start_feed();
        seen = 0;
        follow(&mut client, &mut books, |_| {
            seen += 1;
            seen > 500
        })
        .await;
        catch_up(&mut client, &mut books, &handle).await;
        assert_final(&books, &handle);
    });
    assert_eq!(handle.stop().violations, [""; 0]);
}

#[test]
fn a_second_subscriber_joins_the_same_chain() {
    let handle = venue(1, 3000);
    block_on(async {
        let channel = "book.BTC-PERPETUAL.100ms";
        let mut first = Client::open(&handle).await;
        first.subscribe(&[channel]).await;
        first.take(channel, 3).await;
        let mut second = Client::open(&handle).await;
        second.subscribe(&[channel]).await;
        let mut books = HashMap::new();
        let mut seen = 0;
        follow(&mut second, &mut books, |_| {
            seen += 1;
            seen > 5
        })
        .await;
        catch_up(&mut second, &mut books, &handle).await;
        assert_final(&books, &handle);
    });
}

#[test]
fn ids_jump_and_no_message_is_empty() {
    let handle = venue(2, 3000);
    block_on(async {
        let mut client = Client::open(&handle).await;
        let channel = "book.BTC-PERPETUAL.100ms";
        client.subscribe(&[channel]).await;
        let messages = client.take(channel, 10).await;
        let ids: Vec<u64> =
            messages.iter().map(|message| message["change_id"].as_u64().expect("id")).collect();
        assert!(ids.windows(2).all(|pair| pair[1] > pair[0] + 1), "{ids:?}");
        let levels = |message: &Value, side: &str| message[side].as_array().expect("levels").len();
        assert!(messages.iter().all(|message| levels(message, "bids") + levels(message, "asks") > 0));
    });
}

#[test]
fn an_option_without_quotes_has_an_empty_snapshot_and_a_ticker_of_zeros() {
    let handle = venue(8, 100);
    block_on(async {
        let mut client = Client::open(&handle).await;
        let symbol = handle.symbols("option").pop().expect("eight options");
        let (book, ticker) = (format!("book.{symbol}.100ms"), format!("ticker.{symbol}.100ms"));
        client.subscribe(&[&book, &ticker]).await;
        let snapshot = client.data(&book).await;
        assert_eq!((&snapshot["bids"], &snapshot["asks"]), (&Value::from([0; 0]), &Value::from([0; 0])));
        let (_, answer) = get(&handle, &format!("/api/v2/public/ticker?instrument_name={symbol}")).await;
        let ticker = &answer["result"];
        for key in
            ["best_bid_price", "best_ask_price", "best_bid_amount", "best_ask_amount", "bid_iv", "ask_iv"]
        {
            assert_eq!(ticker[key], 0.0, "{key}");
        }
        assert_eq!(ticker["last_price"], Value::Null);
        assert_eq!(ticker["stats"]["volume"], Value::Null);
        assert!(ticker["greeks"]["delta"].is_f64());
    });
}

#[test]
fn a_window_shows_the_best_levels_whole() {
    let handle = venue(1, 3000);
    block_on(async {
        let mut client = Client::open(&handle).await;
        let channel = "book.BTC-PERPETUAL.none.10.100ms";
        client.subscribe(&[channel]).await;
        let mut windows = client.take(channel, 4).await;
        let sent = handle.pause().stream("perpetual", channel).expect("stream").messages;
        windows.extend(client.take(channel, sent - 4).await);
        let last = &windows[windows.len() - 1];
        let book = handle.final_book("perpetual", "BTC-PERPETUAL").expect("book");
        assert_eq!(last["change_id"], book.last_update_id);
        for (side, levels) in [("bids", &book.bids), ("asks", &book.asks)] {
            let number = |text: &str| text.parse::<f64>().expect("number");
            let best: Vec<[f64; 2]> =
                levels.iter().take(10).map(|(price, amount)| [number(price), number(amount)]).collect();
            assert_eq!(last[side], serde_json::json!(best));
        }
        assert_eq!(last.get("prev_change_id"), None);
    });
}

//! A recorded history, told step by step.

use marketprism_core::instrument::InstrumentType;
use marketprism_simulator::deribit::{Config, start};
use marketprism_simulator::host::{Handle, Source};
use serde_json::json;

use crate::client::{Client, Held, block_on, get};
use crate::told::{DOUBTED, Told, instrument};

const CHANNEL: &str = "book.BTC_USDC.100ms";

/// Waits until the book of the history has come to an id.
async fn until_book(venue: &Handle, id: u64) {
    let path = "/api/v2/public/get_order_book?instrument_name=BTC_USDC&depth=1000";
    while get(venue, path).await.1["result"]["change_id"] != id {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_book_is_whole_wherever_it_is_subscribed() {
    let spot = instrument("deribit", "spot", "BTC_USDC", InstrumentType::Spot);
    let (told, history) = Told::new(std::slice::from_ref(&spot));
    let venue = start(&Config::new(Source::History(history))).expect("starts");
    block_on(async {
        told.book(&spot, None, 10, (100, 1), 0);
        told.book(&spot, Some(10), 11, (101, 2), 0);
        told.book(&spot, Some(11), 12, (100, 0), 0);
        until_book(&venue, 11).await;
        let mut client = Client::open(&venue).await;
        // A raw channel is open to everybody; it brings the same.
        assert_eq!(client.subscribe(&[CHANNEL, "book.BTC_USDC.raw"]).await.len(), 2);
        let mut held = Held::default();
        assert!(held.apply(&client.data(CHANNEL).await));
        assert_eq!(held.change_id, 11);
        // The next one shows that those before are all of their time.
        told.book(&spot, Some(20), 21, (99, 1), DOUBTED);
        assert!(held.apply(&client.data(CHANNEL).await));
        assert_eq!((held.change_id, held.sides[0].len()), (12, 1));
        client.unsubscribe(&["book.BTC_USDC.raw"]).await;
        told.book(&spot, Some(21), 22, (98, 1), DOUBTED);
        assert!(!held.apply(&client.data(CHANNEL).await));

        // Nothing of the book is known until a snapshot comes; the history waits for who asks for it.
        client.unsubscribe(&[CHANNEL]).await;
        client.subscribe(&[CHANNEL]).await;
        told.book(&spot, None, 30, (90, 5), 0);
        assert!(!held.apply(&client.data(CHANNEL).await));
        told.quote(&spot);
        assert!(held.apply(&client.data(CHANNEL).await));
        let book = venue.final_book("spot", "BTC_USDC").expect("a book");
        assert_eq!((held.change_id, &held), (30, &Held::of(&book)));
    });
    assert!(venue.stop().violations.is_empty());
}

#[test]
fn what_is_listed_later_is_known_from_then_on() {
    let spot = instrument("deribit", "spot", "BTC_USDC", InstrumentType::Spot);
    let new = instrument("deribit", "spot", "NEW_USDC", InstrumentType::Spot);
    let (told, history) = Told::new(std::slice::from_ref(&spot));
    let venue = start(&Config::new(Source::History(history))).expect("starts");
    let listed = async || {
        let answer =
            get(&venue, "/api/v2/public/get_instruments?currency=any&kind=spot&expired=false").await.1;
        let list = answer["result"].as_array().expect("list").clone();
        list.iter().map(|one| one["instrument_name"].clone()).collect::<Vec<_>>()
    };
    block_on(async {
        let mut client = Client::open(&venue).await;
        let wrong = ["quote.NEW_USDC", "ticker.BTC_USDC.7ms", "book.BTC_USDC.none.3.100ms"];
        let asked = [&["instrument.state.any.any", "quote.BTC_USDC"], &wrong[..]].concat();
        assert_eq!(client.subscribe(&asked).await, ["quote.BTC_USDC", "instrument.state.any.any"]);
        assert_eq!(listed().await, ["BTC_USDC"]);
        told.definition(&new);
        told.quote(&new);
        let state = client.data("instrument.state.any.any").await;
        assert_eq!((&state["instrument_name"], &state["state"]), (&json!("NEW_USDC"), &json!("started")));
        assert_eq!(listed().await, ["BTC_USDC", "NEW_USDC"]);
        client.subscribe(&["quote.NEW_USDC"]).await;
        told.quote(&spot);
        client.data("quote.NEW_USDC").await;
        // The end shows that no more is of the last time.
        drop(told);
        client.data("quote.BTC_USDC").await;
    });
    let ledger = venue.wait_until_finished(std::time::Duration::from_secs(20)).expect("it ends");
    assert!(ledger.finished);
    let streams: Vec<(String, u64)> =
        venue.replayed().into_iter().map(|stream| (stream.stream, stream.frames)).collect();
    assert_eq!(streams, [("quote.BTC_USDC".to_owned(), 1), ("quote.NEW_USDC".to_owned(), 1)]);
}

//! A recorded history, told step by step.

use marketprism_core::instrument::InstrumentType;
use marketprism_simulator::host::{Handle, Source};
use marketprism_simulator::okx::{Config, start};
use serde_json::{Value, json};

use crate::client::{Client, Fit, Mirror, arg, block_on, data};
use crate::told::{DOUBTED, Told, instrument};

/// Waits until the book of the history has come to an id.
async fn until_book(venue: &Handle, symbol: &str, id: u64) {
    let path = format!("/api/v5/market/books?instId={symbol}&sz=400");
    while data(venue, &path).await[0]["seqId"] != id {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_book_is_whole_wherever_it_is_subscribed() {
    let spot = instrument("okx", "spot", "BTC-USDC", InstrumentType::Spot);
    let (told, history) = Told::new(std::slice::from_ref(&spot));
    let venue = start(&Config::new(Source::History(history))).expect("starts");
    block_on(async {
        told.book(&spot, None, 10, (100, 1), 0);
        told.book(&spot, Some(10), 11, (101, 2), 0);
        told.book(&spot, Some(11), 12, (100, 0), 0);
        until_book(&venue, "BTC-USDC", 11).await;
        let mut client = Client::public(&venue).await;
        let books = [arg("books", "BTC-USDC")];
        client.subscribe(&books).await;
        let mut mirror = Mirror::default();
        assert_eq!(mirror.apply(&client.json().await), Fit::Snapshot);
        assert_eq!(mirror.last, 11);
        // The next one shows that those before are all of their time.
        told.book(&spot, Some(20), 21, (99, 1), DOUBTED);
        assert_eq!(mirror.apply(&client.json().await), Fit::Update);
        assert_eq!((mirror.last, mirror.levels(0)), (12, vec![("101".to_owned(), "2".to_owned())]));
        told.book(&spot, Some(21), 22, (98, 1), DOUBTED);
        assert_eq!(mirror.apply(&client.json().await), Fit::Gap);

        // Nothing of the book is known until a snapshot comes; the history waits for who asks for it.
        client.unsubscribe(&books).await;
        client.subscribe(&books).await;
        told.book(&spot, None, 30, (90, 5), 0);
        assert_eq!(mirror.apply(&client.json().await), Fit::Gap);
        told.quote(&spot);
        assert_eq!(mirror.apply(&client.json().await), Fit::Snapshot);
        assert_eq!((mirror.last, mirror.levels(0)), (30, vec![("90".to_owned(), "5".to_owned())]));
        let book = venue.final_book("spot", "BTC-USDC").expect("a book");
        mirror.assert_is(&book, "BTC-USDC");
    });
    assert!(venue.stop().violations.is_empty());
}

#[test]
fn what_is_listed_later_is_known_from_then_on() {
    let spot = instrument("okx", "spot", "BTC-USDC", InstrumentType::Spot);
    let new = instrument("okx", "spot", "NEW-USDC", InstrumentType::Spot);
    let (told, history) = Told::new(std::slice::from_ref(&spot));
    let venue = start(&Config::new(Source::History(history))).expect("starts");
    let listed = async || {
        let list = data(&venue, "/api/v5/public/instruments?instType=SPOT").await;
        list.as_array().expect("list").iter().map(|one| one["instId"].clone()).collect::<Vec<Value>>()
    };
    block_on(async {
        let mut client = Client::public(&venue).await;
        let lifecycle = json!({"channel": "instruments", "instType": "SPOT"});
        client.subscribe(&[lifecycle, arg("bbo-tbt", "BTC-USDC")]).await;
        for wrong in [arg("bbo-tbt", "NEW-USDC"), arg("candle7m", "BTC-USDC"), arg("opt-summary", "BTC-USD")]
        {
            client.operation("subscribe", std::slice::from_ref(&wrong)).await;
            let code = client.event().await["code"].clone();
            // A candle lives on another path, whether there is one or not.
            let expected = if wrong["channel"] == "candle7m" { "64001" } else { "60018" };
            assert_eq!(code, expected, "{wrong}");
        }
        assert_eq!(listed().await, ["BTC-USDC"]);
        told.definition(&new);
        told.quote(&new);
        let push = client.push("instruments", "SPOT").await;
        assert_eq!(
            (&push["data"][0]["instId"], &push["data"][0]["state"]),
            (&json!("NEW-USDC"), &json!("live"))
        );
        assert_eq!(listed().await, ["BTC-USDC", "NEW-USDC"]);
        client.subscribe(&[arg("bbo-tbt", "NEW-USDC")]).await;
        told.quote(&spot);
        client.push("bbo-tbt", "NEW-USDC").await;
        // The end shows that no more is of the last time.
        drop(told);
        client.push("bbo-tbt", "BTC-USDC").await;
    });
    let ledger = venue.wait_until_finished(std::time::Duration::from_secs(20)).expect("it ends");
    assert!(ledger.finished);
    let streams: Vec<(String, u64)> =
        venue.replayed().into_iter().map(|stream| (stream.stream, stream.frames)).collect();
    assert_eq!(streams, [("bbo-tbt:BTC-USDC".to_owned(), 1), ("bbo-tbt:NEW-USDC".to_owned(), 1)]);
}

//! Everything that can be done wrong on purpose, as a client sees it and as the ledger has it.

use marketprism_simulator::deribit::{Config, start};
use marketprism_simulator::host::{Disturbance, Fault, Handle};
use serde_json::{Value, json};

use crate::client::{Client, Held, block_on, config, venue};

const BOOK: &str = "book.BTC-PERPETUAL.100ms";

/// A venue with a faulty stream.
fn faulty(stream: &str, after_messages: u64, what: Disturbance) -> Handle {
    let market = "perpetual".to_owned();
    let faults = vec![Fault { market, stream: stream.to_owned(), after_messages, what }];
    start(&Config { faults, ..config(1, 3000) }).expect("starts")
}

/// What a client of the book gets while one thing goes wrong after five messages.
async fn disturbed(handle: &Handle, messages: u64) -> Vec<Value> {
    let mut client = Client::open(handle).await;
    client.subscribe(&[BOOK]).await;
    client.take(BOOK, messages).await
}

/// Places of the messages that do not follow the one before.
fn gaps(messages: &[Value]) -> Vec<usize> {
    let mut last = Value::Null;
    let mut gaps = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        if message["type"] == "change" && message["prev_change_id"] != last {
            gaps.push(place);
        }
        last = message["change_id"].clone();
    }
    gaps
}

fn assert_noted(handle: Handle, what: Disturbance) {
    let ledger = handle.stop();
    assert_eq!(ledger.stream("perpetual", BOOK).expect("stream").disturbances, [what]);
    assert_eq!(ledger.injected(what.name()), 1);
}

#[test]
fn a_stale_snapshot_has_an_old_id_and_breaks_the_chain() {
    let what = Disturbance::StaleSnapshot(3);
    let handle = faulty(BOOK, 6, what);
    block_on(async {
        let messages = disturbed(&handle, 12).await;
        let stale =
            messages.iter().skip(1).position(|one| one["type"] == "snapshot").expect("a snapshot") + 1;
        let ids: Vec<&Value> = messages.iter().map(|message| &message["change_id"]).collect();
        assert_eq!(ids[stale], ids[stale - 4], "as it was three messages ago");
        assert_eq!(gaps(&messages), [stale + 1]);
        let mut then = Held::default();
        assert!(messages[..stale - 3].iter().all(|message| then.apply(message)));
        let mut shown = Held::default();
        shown.apply(&messages[stale]);
        assert_eq!(shown, then);
    });
    assert_noted(handle, what);
}

#[test]
fn a_right_snapshot_in_mid_stream_keeps_the_chain() {
    let what = Disturbance::MidStreamSnapshot;
    let handle = faulty(BOOK, 5, what);
    block_on(async {
        let messages = disturbed(&handle, 12).await;
        assert_eq!(messages.iter().filter(|message| message["type"] == "snapshot").count(), 2);
        assert_eq!(gaps(&messages), [0; 0]);
    });
    assert_noted(handle, what);
}

#[test]
fn a_reset_keeps_the_chain_and_lowers_the_ids() {
    let what = Disturbance::SequenceReset;
    let handle = faulty(BOOK, 5, what);
    block_on(async {
        let messages = disturbed(&handle, 12).await;
        assert_eq!(gaps(&messages), [0; 0]);
        let ids: Vec<u64> =
            messages.iter().map(|message| message["change_id"].as_u64().expect("id")).collect();
        assert_eq!(ids.windows(2).filter(|pair| pair[1] < pair[0]).count(), 1, "{ids:?}");
        assert!(ids[11] < ids[0] * 6 / 10, "far lower: {ids:?}");
    });
    assert_noted(handle, what);
}

#[test]
fn an_empty_update_keeps_the_chain() {
    let what = Disturbance::EmptyUpdate;
    let handle = faulty(BOOK, 5, what);
    block_on(async {
        let messages = disturbed(&handle, 12).await;
        assert_eq!(gaps(&messages), [0; 0]);
        let empty = json!([]);
        let none = |message: &&Value| message["bids"] == empty && message["asks"] == empty;
        assert_eq!(messages.iter().filter(none).count(), 1);
    });
    assert_noted(handle, what);
}

#[test]
fn a_crossed_book_uncrosses() {
    let what = Disturbance::Crossed(3);
    let handle = faulty(BOOK, 5, what);
    block_on(async {
        let messages = disturbed(&handle, 14).await;
        let mut book = Held::default();
        let crossed: Vec<bool> = messages
            .iter()
            .map(|message| {
                assert!(book.apply(message));
                book.sides[0].keys().next_back() >= book.sides[1].keys().next()
            })
            .collect();
        assert_eq!(crossed.iter().filter(|&&crossed| crossed).count(), 3, "{crossed:?}");
        assert!(!crossed[13], "{crossed:?}");
    });
    assert_noted(handle, what);
}

#[test]
fn a_missing_level_is_removed() {
    let what = Disturbance::RemoveMissing;
    let handle = faulty(BOOK, 5, what);
    block_on(async {
        let messages = disturbed(&handle, 12).await;
        assert_eq!(gaps(&messages), [0; 0]);
        let (snapshot, changes) = messages.split_first().expect("messages");
        let mut book = Held::default();
        book.apply(snapshot);
        let missing = changes.iter().filter(|change| {
            let levels = ["bids", "asks"].map(|key| change[key].as_array().expect("levels"));
            let lone = levels[0].is_empty() && levels[1].len() == 1 && levels[1][0][0] == "delete";
            let known = |price: f64| book.sides[1].contains_key(&((price * 1e9).round() as i64));
            let missing = lone && !known(levels[1][0][1].as_f64().expect("price"));
            assert!(missing || book.apply(change));
            book.change_id = change["change_id"].as_u64().expect("id");
            missing
        });
        assert_eq!(missing.count(), 1);
    });
    assert_noted(handle, what);
}

#[test]
fn a_frame_of_an_unknown_kind_is_sent_to_those_on_the_stream() {
    let handle = faulty(BOOK, 5, Disturbance::UnknownMessage);
    block_on(async {
        let mut client = Client::open(&handle).await;
        client.subscribe(&[BOOK]).await;
        let mut frame = client.frame().await;
        while frame["method"] == "subscription" {
            frame = client.frame().await;
        }
        assert_eq!(frame["method"], "novelty");
        client.take(BOOK, 2).await;
    });
    assert_noted(handle, Disturbance::UnknownMessage);
}

#[test]
fn a_maintenance_is_announced_refuses_and_ends_the_connections() {
    let handle = venue(1, 1000);
    block_on(async {
        let mut client = Client::open(&handle).await;
        client.subscribe(&[BOOK, "platform_state"]).await;
        client.data(BOOK).await;
        assert!(handle.disturb("perpetual", BOOK, Disturbance::ClosingNotice(300)));
        assert_eq!(client.data("platform_state").await, json!({"maintenance": true}));
        let refused = client.call("public/test", json!({})).await;
        assert_eq!(refused["error"], json!({"message": "system_maintenance", "code": 11051}));
        assert_eq!(client.end().await.0, 1001);
        let mut next = Client::open(&handle).await;
        assert_eq!(next.subscribe(&[BOOK]).await, [BOOK], "afterwards everything is as before");
    });
    assert_noted(handle, Disturbance::ClosingNotice(300));
}

#[test]
fn a_silent_stream_is_acknowledged_and_brings_nothing() {
    let handle = faulty(BOOK, 0, Disturbance::SilentAcknowledgement);
    block_on(async {
        let mut client = Client::open(&handle).await;
        let other = "ticker.BTC-PERPETUAL.100ms";
        assert_eq!(client.subscribe(&[BOOK, other]).await, [other, BOOK]);
        for _ in 0..5 {
            assert_eq!(client.frame().await["params"]["channel"], other);
        }
        assert_eq!(client.unsubscribe(&[BOOK]).await, [BOOK]);
    });
    assert_noted(handle, Disturbance::SilentAcknowledgement);
}

#[test]
fn a_refused_subscription_is_left_out_once() {
    let handle = faulty(BOOK, 0, Disturbance::Refuse);
    block_on(async {
        let mut client = Client::open(&handle).await;
        assert_eq!(client.subscribe(&[BOOK]).await, [""; 0]);
        assert_eq!(client.subscribe(&[BOOK]).await, [BOOK]);
        client.take(BOOK, 2).await;
    });
    assert_noted(handle, Disturbance::Refuse);
}

#[test]
fn a_lie_about_a_checksum_changes_nothing() {
    let handle = faulty(BOOK, 5, Disturbance::ChecksumLie);
    block_on(async {
        let messages = disturbed(&handle, 12).await;
        let mut book = Held::default();
        assert!(messages.iter().all(|message| book.apply(message)));
    });
    assert_noted(handle, Disturbance::ChecksumLie);
}

#[test]
fn a_hole_is_in_the_ledger_with_the_ids_around_it() {
    let handle = faulty(BOOK, 5, Disturbance::Hole(1));
    block_on(async {
        let messages = disturbed(&handle, 10).await;
        assert_eq!(gaps(&messages), [5]);
        let around = [&messages[4]["change_id"], &messages[5]["prev_change_id"]];
        let [before, after] = around.map(|id| id.as_u64().expect("id"));
        let ledger = handle.pause();
        assert_eq!(ledger.stream("perpetual", BOOK).expect("stream").dropped, [(before, after)]);
    });
}

//! Each disturbance does what its description says, and the ledger says so.

use marketprism_simulator::host::{Disturbance, Fault, Handle};
use marketprism_simulator::okx::{Config, Limits, start};
use serde_json::{Value, json};

use crate::books::checksum;
use crate::client::{Client, Fit, Mirror, arg, block_on, config, until, venue};

const SYMBOL: &str = "BTC-USDT-SWAP";
const STREAM: &str = "books:BTC-USDT-SWAP";

/// A venue, and a client that holds a book of it.
async fn holding(venue: &Handle) -> (Client, Mirror) {
    let mut client = Client::public(venue).await;
    client.subscribe(&[arg("books", SYMBOL)]).await;
    let mut mirror = Mirror::default();
    for _ in 0..4 {
        assert_ne!(mirror.apply(&client.json().await), Fit::Gap);
    }
    (client, mirror)
}

fn disturb(venue: &Handle, what: Disturbance) {
    assert!(venue.disturb("swap", STREAM, what));
}

/// Applies pushes until one fits as wished; gives it.
async fn until_fit(client: &mut Client, mirror: &mut Mirror, wanted: Fit) -> Value {
    loop {
        let frame = client.json().await;
        let fit = mirror.apply(&frame);
        if fit == wanted {
            return frame;
        }
        assert_eq!(fit, Fit::Update, "{frame}");
    }
}

/// After the pause the client's book is the venue's, and the disturbance is in the ledger.
async fn assert_whole(venue: &Handle, client: &mut Client, mirror: &mut Mirror, what: Disturbance) {
    let ledger = venue.pause();
    let book = venue.final_book("swap", SYMBOL).expect("book");
    while mirror.last != book.last_update_id {
        assert_ne!(mirror.apply(&client.json().await), Fit::Gap);
    }
    mirror.assert_is(&book, SYMBOL);
    assert_eq!(ledger.injected(what.name()), 1);
    assert_eq!(ledger.stream("swap", STREAM).expect("stream").disturbances, [what]);
    assert!(ledger.violations.is_empty(), "{:?}", ledger.violations);
}

#[test]
fn a_hole_is_a_gap() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::Hole(2));
        let frame = until_fit(&mut client, &mut mirror, Fit::Gap).await;
        let ledger = venue.ledger();
        let dropped = &ledger.stream("swap", STREAM).expect("stream").dropped;
        assert_eq!(dropped.len(), 2);
        assert_eq!(frame["data"][0]["prevSeqId"].as_u64(), Some(dropped[1].1));
        assert!(dropped[0].1 > mirror.last);
        assert_eq!(ledger.injected("hole"), 1);
    });
}

#[test]
fn a_duplicate_is_counted_once() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::Duplicate(1));
        let mut last = Value::Null;
        loop {
            let frame = client.json().await;
            if frame == last {
                break;
            }
            assert_eq!(mirror.apply(&frame), Fit::Update);
            last = frame;
        }
        let ledger = venue.pause();
        let stream = ledger.stream("swap", STREAM).expect("stream");
        assert_eq!(stream.deliveries, stream.messages + 1);
        assert_eq!(ledger.injected("duplicate"), 1);
    });
}

#[test]
fn reordered_messages_change_places() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::Reorder);
        let early = until_fit(&mut client, &mut mirror, Fit::Gap).await;
        let late = client.json().await;
        assert_eq!(mirror.apply(&late), Fit::Update);
        assert_eq!(mirror.apply(&early), Fit::Update);
        assert_whole(&venue, &mut client, &mut mirror, Disturbance::Reorder).await;
    });
}

#[test]
fn a_late_snapshot_follows_updates() {
    let venue = venue(1, 1_000);
    disturb(&venue, Disturbance::LateSnapshot(2));
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.subscribe(&[arg("books", SYMBOL)]).await;
        let early = [client.json().await, client.json().await];
        assert!(early.iter().all(|frame| frame["action"] == "update"));
        let mut mirror = Mirror::default();
        assert_eq!(mirror.apply(&client.json().await), Fit::Snapshot);
        for frame in &early {
            assert_eq!(mirror.apply(frame), Fit::Update, "the snapshot is from before the updates");
        }
        assert_whole(&venue, &mut client, &mut mirror, Disturbance::LateSnapshot(2)).await;
    });
}

#[test]
fn a_stale_snapshot_does_not_join() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        let mut books = Vec::new();
        loop {
            books.push((mirror.last, mirror.levels(0), mirror.levels(1)));
            if books.len() == 5 {
                disturb(&venue, Disturbance::StaleSnapshot(3));
            }
            if mirror.apply(&client.json().await) == Fit::Snapshot {
                break;
            }
        }
        let stale = &books[books.len() - 4];
        assert_eq!((&stale.0, &stale.1, &stale.2), (&mirror.last, &mirror.levels(0), &mirror.levels(1)));
        assert_eq!(mirror.apply(&client.json().await), Fit::Gap);
    });
    assert_eq!(venue.stop().injected("stale snapshot"), 1);
}

#[test]
fn a_snapshot_in_mid_stream_goes_on() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::MidStreamSnapshot);
        let mut before = (0, Vec::new());
        while mirror.apply(&client.json().await) != Fit::Snapshot {
            before = (mirror.last, mirror.levels(0));
        }
        assert!(before.0 == 0 || before == (mirror.last, mirror.levels(0)));
        assert_eq!(mirror.apply(&client.json().await), Fit::Update);
        assert_whole(&venue, &mut client, &mut mirror, Disturbance::MidStreamSnapshot).await;
    });
}

#[test]
fn one_checksum_lies() {
    let limits = Limits { legacy_checksums: true, connections_per_second: 100, ..Limits::default() };
    let venue = start(&Config { limits, ..config(1, 1_000) }).expect("starts");
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::ChecksumLie);
        let mut lies = 0;
        for _ in 0..12 {
            let frame = client.json().await;
            assert_eq!(mirror.apply(&frame), Fit::Update);
            lies += u64::from(frame["data"][0]["checksum"].as_i64() != Some(checksum(&mirror)));
        }
        assert_eq!(lies, 1);
        assert_whole(&venue, &mut client, &mut mirror, Disturbance::ChecksumLie).await;
    });
}

#[test]
fn maintenance_resets_the_sequence() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::SequenceReset);
        let frame = until_fit(&mut client, &mut mirror, Fit::Reset).await;
        assert!(frame["data"][0]["seqId"].as_u64() < Some(1_000_000));
        assert_eq!(mirror.apply(&client.json().await), Fit::Update);
        assert_whole(&venue, &mut client, &mut mirror, Disturbance::SequenceReset).await;
    });
}

#[test]
fn an_empty_update_changes_nothing() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::EmptyUpdate);
        until_fit(&mut client, &mut mirror, Fit::KeepAlive).await;
        assert_whole(&venue, &mut client, &mut mirror, Disturbance::EmptyUpdate).await;
    });
}

#[test]
fn a_book_crosses_for_so_many_messages() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::Crossed(3));
        let mut crossed = 0;
        loop {
            assert_eq!(mirror.apply(&client.json().await), Fit::Update);
            crossed += usize::from(mirror.crossed());
            if crossed > 0 && !mirror.crossed() {
                break;
            }
        }
        assert_eq!(crossed, 3);
        assert_whole(&venue, &mut client, &mut mirror, Disturbance::Crossed(3)).await;
    });
}

#[test]
fn a_pause_uncrosses_a_book() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::Crossed(1_000_000));
        assert_whole(&venue, &mut client, &mut mirror, Disturbance::Crossed(1_000_000)).await;
        assert!(!mirror.crossed());
    });
}

#[test]
fn a_level_is_removed_that_is_not_there() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::RemoveMissing);
        while mirror.missing == 0 {
            assert_eq!(mirror.apply(&client.json().await), Fit::Update);
        }
        assert_whole(&venue, &mut client, &mut mirror, Disturbance::RemoveMissing).await;
        assert_eq!(mirror.missing, 1);
    });
}

#[test]
fn connections_end_with_and_without_a_close_frame() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut closed, _) = holding(&venue).await;
        disturb(&venue, Disturbance::Disconnect(4006));
        assert_eq!(closed.close_frame().await.0, 4006);
        let (mut cut, _) = holding(&venue).await;
        disturb(&venue, Disturbance::Disconnect(0));
        while let Some((opcode, _)) = cut.next().await {
            assert_ne!(opcode, fastwebsockets::OpCode::Close);
        }
    });
    assert_eq!(venue.stop().injected("disconnection"), 2);
}

#[test]
fn half_a_frame_loses_nothing() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::Malformed);
        loop {
            let text = client.text().await;
            let Ok(frame) = serde_json::from_str(&text) else {
                assert!(client.text().await.starts_with(&text), "the whole follows its half");
                break;
            };
            assert_eq!(mirror.apply(&frame), Fit::Update);
        }
    });
    assert_eq!(venue.stop().injected("malformed frame"), 1);
}

#[test]
fn unknown_messages_are_not_in_the_ledger() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, mut mirror) = holding(&venue).await;
        disturb(&venue, Disturbance::UnknownMessage);
        let mut unknown = 0;
        while unknown == 0 {
            let frame = client.json().await;
            if frame["arg"]["channel"] == "never-heard-of" {
                unknown += 1;
            } else {
                assert_eq!(mirror.apply(&frame), Fit::Update);
            }
        }
        assert_whole(&venue, &mut client, &mut mirror, Disturbance::UnknownMessage).await;
    });
}

#[test]
fn a_notice_comes_before_the_close() {
    let venue = venue(1, 1_000);
    block_on(async {
        let (mut client, _) = holding(&venue).await;
        disturb(&venue, Disturbance::ClosingNotice(100));
        let notice = client.event().await;
        assert_eq!((&notice["event"], &notice["code"]), (&json!("notice"), &json!("64008")));
        assert_eq!(client.close_frame().await.0, 1001);
    });
    assert!(venue.stop().violations.is_empty());
}

#[test]
fn an_acknowledgement_is_not_data() {
    let venue = venue(1, 1_000);
    disturb(&venue, Disturbance::SilentAcknowledgement);
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.subscribe(&[arg("books", SYMBOL), arg("bbo-tbt", SYMBOL)]).await;
        for _ in 0..20 {
            assert_eq!(client.json().await["arg"]["channel"], "bbo-tbt");
        }
    });
    let ledger = venue.stop();
    assert_eq!(ledger.stream("swap", STREAM).map(|stream| stream.messages), Some(0));
}

#[test]
fn one_subscription_is_refused() {
    let venue = venue(1, 1_000);
    disturb(&venue, Disturbance::Refuse);
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.operation("subscribe", &[arg("books", SYMBOL)]).await;
        assert_eq!(client.event().await["code"], "60018");
        client.subscribe(&[arg("books", SYMBOL)]).await;
        assert_eq!(client.json().await["action"], "snapshot");
    });
}

#[test]
fn a_script_waits_for_its_message() {
    let fault = |after_messages, what| Fault {
        market: "swap".to_owned(),
        stream: STREAM.to_owned(),
        after_messages,
        what,
    };
    let faults = vec![fault(3, Disturbance::Hole(1)), fault(0, Disturbance::Refuse)];
    let venue = start(&Config { faults, ..config(1, 1_000) }).expect("starts");
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.operation("subscribe", &[arg("books", SYMBOL)]).await;
        assert_eq!(client.event().await["code"], "60018");
        client.subscribe(&[arg("books", SYMBOL)]).await;
        let mut mirror = Mirror::default();
        let mut fits = Vec::new();
        for _ in 0..4 {
            fits.push(mirror.apply(&client.json().await));
        }
        assert_eq!(fits, [Fit::Snapshot, Fit::Update, Fit::Update, Fit::Gap]);
        until(&venue, |ledger| ledger.injected("hole") == 1).await;
    });
    assert!(!venue.disturb("swap", "books:NO-SUCH", Disturbance::Reorder));
}

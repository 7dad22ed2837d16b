//! Books: the chain, the window, what a new subscriber gets, checksums, and the book after a pause.

use std::collections::HashMap;
use std::time::Duration;

use marketprism_simulator::Start;
use marketprism_simulator::okx::{Config, Limits, start};
use serde_json::Value;

use crate::client::{Client, Fit, Mirror, arg, block_on, config, until, venue};

/// Reads pushes of `books` until the ledger's deliveries have come.
async fn follow(client: &mut Client, mirrors: &mut HashMap<String, Mirror>, frames: u64) {
    for _ in 0..frames {
        let frame = client.json().await;
        let name = frame["arg"]["instId"].as_str().expect("name");
        let fit = mirrors.entry(name.to_owned()).or_default().apply(&frame);
        assert_ne!(fit, Fit::Gap, "{frame}");
    }
}

#[test]
fn after_a_pause_every_book_is_the_venues() {
    let venue = venue(8, 4_000);
    block_on(async {
        let mut client = Client::public(&venue).await;
        let args: Vec<Value> = venue
            .markets()
            .iter()
            .flat_map(|market| venue.symbols(market))
            .map(|symbol| arg("books", &symbol))
            .collect();
        assert_eq!(args.len(), 32);
        client.subscribe(&args).await;
        let mut mirrors = HashMap::new();
        follow(&mut client, &mut mirrors, 400).await;
        let ledger = venue.pause();
        assert_eq!(ledger.streams.len(), 32);
        follow(&mut client, &mut mirrors, ledger.deliveries() - 400).await;
        for market in venue.markets() {
            for symbol in venue.symbols(&market) {
                let book = venue.final_book(&market, &symbol).expect("book");
                mirrors[&symbol].assert_is(&book, &symbol);
                assert_eq!(mirrors[&symbol].missing, 0);
                let sent = ledger.stream(&market, &format!("books:{symbol}")).expect("stream");
                assert_eq!(sent.last_id, Some(book.last_update_id));
            }
        }
        assert_eq!(mirrors["BTC-USDT"].levels(0).len(), 400, "the window is full");
        assert_eq!(venue.pause().deliveries(), ledger.deliveries(), "a second pause sends nothing");
    });
    assert!(venue.stop().violations.is_empty());
}

#[test]
fn messages_have_the_venues_shape() {
    let venue = venue(1, 500);
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.subscribe(&[arg("books", "BTC-USDT")]).await;
        let snapshot = client.text().await;
        let head =
            r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[[""#;
        assert!(snapshot.starts_with(head), "{snapshot}");
        assert!(
            snapshot.ends_with(r#","prevSeqId":-1}]}"#) && snapshot.contains(r#","checksum":0,"seqId":"#)
        );
        let update = client.text().await;
        assert!(update.contains(r#"},"action":"update","data":[{"asks":[[""#), "{update}");
    });
}

#[test]
fn a_second_subscription_brings_no_snapshot_and_a_renewed_one_does() {
    let venue = venue(1, 1_000);
    block_on(async {
        let mut client = Client::public(&venue).await;
        let books = [arg("books", "BTC-USDT")];
        client.subscribe(&books).await;
        let mut mirror = Mirror::default();
        assert_eq!(mirror.apply(&client.json().await), Fit::Snapshot);
        assert_eq!(mirror.apply(&client.json().await), Fit::Update);
        client.operation("subscribe", &books).await;
        let mut acknowledged = false;
        for _ in 0..5 {
            let frame = client.json().await;
            if frame.get("event").is_some() {
                acknowledged = true;
            } else {
                assert_eq!(mirror.apply(&frame), Fit::Update);
            }
        }
        assert!(acknowledged);
        client.unsubscribe(&books).await;
        client.subscribe(&books).await;
        let frame = client.json().await;
        assert_eq!(mirror.apply(&frame), Fit::Snapshot, "{frame}");
        assert_eq!(mirror.apply(&client.json().await), Fit::Update);
    });
    let ledger = venue.stop();
    assert_eq!(ledger.stream("spot", "books:BTC-USDT").map(|stream| stream.connections), Some(2));
}

#[test]
fn two_connections_hold_one_chain() {
    let venue = venue(1, 1_000);
    block_on(async {
        let mut clients = [Client::public(&venue).await, Client::public(&venue).await];
        let mut mirrors = [Mirror::default(), Mirror::default()];
        for (client, mirror) in clients.iter_mut().zip(&mut mirrors) {
            client.subscribe(&[arg("books", "BTC-USDT-SWAP")]).await;
            for _ in 0..5 {
                assert_ne!(mirror.apply(&client.push("books", "BTC-USDT-SWAP").await), Fit::Gap);
            }
        }
        venue.pause();
        let book = venue.final_book("swap", "BTC-USDT-SWAP").expect("book");
        for (client, mirror) in clients.iter_mut().zip(&mut mirrors) {
            while mirror.last != book.last_update_id {
                assert_eq!(mirror.apply(&client.json().await), Fit::Update);
            }
            mirror.assert_is(&book, "BTC-USDT-SWAP");
        }
    });
}

#[test]
fn quiet_books_are_confirmed() {
    let limits =
        Limits { keep_alive: Duration::from_millis(150), connections_per_second: 100, ..Limits::default() };
    let venue = start(&Config { limits, start: Start::Manual, ..config(1, 1) }).expect("starts");
    block_on(async {
        let mut client = Client::public(&venue).await;
        client.subscribe(&[arg("books", "BTC-USDT")]).await;
        let mut mirror = Mirror::default();
        assert_eq!(mirror.apply(&client.json().await), Fit::Snapshot);
        venue.start_feed();
        let mut seen = Vec::new();
        while !seen.contains(&Fit::KeepAlive) {
            seen.push(mirror.apply(&client.json().await));
        }
        assert!(!seen.contains(&Fit::Gap));
    });
}

/// CRC-32 by the division of polynomials, one bit at a time from the highest.
fn crc32(bytes: &[u8]) -> u32 {
    let mut register = 0_u64;
    let padded = bytes.iter().copied().chain([0; 4]);
    for (place, byte) in padded.enumerate() {
        let byte = if place < 4 { !byte } else { byte };
        for bit in 0..8 {
            register = (register << 1) | u64::from(byte >> bit & 1);
            if register >> 32 == 1 {
                register ^= 0x1_04C1_1DB7;
            }
        }
    }
    !(register as u32).reverse_bits()
}

#[test]
fn the_tests_own_crc_is_zlibs() {
    assert_eq!(crc32(b"3366.1:7:3366.8:9:3366:6:3368:8").cast_signed(), -1_881_014_294);
}

/// The venue's checksum of a client's book.
pub(crate) fn checksum(mirror: &Mirror) -> i64 {
    let (bids, asks) = (mirror.levels(0), mirror.levels(1));
    let mut parts = Vec::new();
    for place in 0..25 {
        for (price, size) in [bids.get(place), asks.get(place)].into_iter().flatten() {
            parts.push(format!("{price}:{size}"));
        }
    }
    crc32(parts.join(":").as_bytes()).cast_signed().into()
}

#[test]
fn legacy_checksums_are_right() {
    let limits = Limits { legacy_checksums: true, connections_per_second: 100, ..Limits::default() };
    let venue = start(&Config { limits, ..config(2, 2_000) }).expect("starts");
    block_on(async {
        let mut client = Client::public(&venue).await;
        let names = ["BTC-USDT", "BTC-USDT-SWAP", &venue.symbols("option")[0]].map(str::to_owned);
        client.subscribe(&names.each_ref().map(|name| arg("books", name))).await;
        let mut mirrors: HashMap<String, Mirror> = HashMap::new();
        for _ in 0..60 {
            let frame = client.json().await;
            let mirror = mirrors.entry(frame["arg"]["instId"].to_string()).or_default();
            assert_ne!(mirror.apply(&frame), Fit::Gap);
            assert_eq!(frame["data"][0]["checksum"].as_i64(), Some(checksum(mirror)), "{frame}");
        }
        assert_eq!(mirrors.len(), 3);
    });
}

#[test]
fn three_thousand_instruments_are_served() {
    let venue = venue(750, 5_000);
    block_on(async {
        let mut client = Client::public(&venue).await;
        let names: Vec<String> = venue.markets().iter().flat_map(|market| venue.symbols(market)).collect();
        assert_eq!(names.len(), 3_000);
        let mut mirrors = HashMap::new();
        for names in names.chunks(200) {
            let args: Vec<Value> = names.iter().map(|name| arg("books", name)).collect();
            client.operation("subscribe", &args).await;
        }
        let mut acknowledged = 0;
        while acknowledged < 3_000 || mirrors.len() < 3_000 {
            let frame = client.json().await;
            if frame.get("event").is_some() {
                acknowledged += 1;
                continue;
            }
            let name = frame["arg"]["instId"].as_str().expect("name").to_owned();
            assert_ne!(mirrors.entry(name).or_insert_with(Mirror::default).apply(&frame), Fit::Gap);
        }
        until(&venue, |ledger| ledger.messages() > 6_000).await;
    });
    assert!(venue.ledger().violations.is_empty());
}

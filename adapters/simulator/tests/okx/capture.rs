//! Captured frames are played exactly and in order to those who subscribe them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use marketprism_simulator::host::{Capture, Handle, Source};
use marketprism_simulator::okx::{Config, start};
use marketprism_simulator::{Pace, Start};
use serde_json::{Value, json};

use crate::client::{Client, Fit, Mirror, block_on, data};

/// The folder of captures; without one the tests pass over, except where CI asks for them.
fn captures() -> Option<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    let folder = std::env::var_os("MARKETPRISM_CAPTURES").map_or(default, PathBuf::from).join("okx");
    if folder.is_dir() {
        return Some(folder);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "captures are missing");
    eprintln!("skipped: no captures");
    None
}

fn play(folders: &[(&str, PathBuf)], pace: Pace) -> Handle {
    let folders = folders.iter().map(|(market, folder)| ((*market).to_owned(), folder.clone())).collect();
    let source = Source::Capture(Capture { folders, pace });
    start(&Config { start: Start::Manual, ..Config::new(source) }).expect("starts")
}

/// Subscribes every stream of the venue.
async fn subscribe_all(venue: &Handle) -> Client {
    let mut client = Client::public(venue).await;
    let streams = venue.markets().into_iter().flat_map(|market| venue.streams(&market));
    let args: Vec<Value> = streams
        .map(|stream| {
            let (channel, key) = stream.split_once(':').expect("channel and key");
            json!({ "channel": channel, "instId": key })
        })
        .collect();
    client.subscribe(&args).await;
    client
}

/// Everything that was played.
async fn receive_all(venue: &Handle, client: &mut Client) -> Vec<String> {
    venue.start_feed();
    let ledger = venue.wait_until_finished(Duration::from_secs(20)).expect("finishes");
    assert!(ledger.finished);
    let mut frames = Vec::new();
    while (frames.len() as u64) < ledger.deliveries() {
        frames.push(client.text().await);
    }
    frames
}

/// Frames of a folder with their place in the connection.
fn lines(folder: &Path) -> Vec<(u64, String)> {
    let mut lines = Vec::new();
    for channel in ["books", "books-l2-tbt", "trades", "tickers"] {
        let Ok(sequence) = std::fs::read_to_string(folder.join(format!("{channel}.seq"))) else { continue };
        let plain = folder.join(format!("{channel}.raw.jsonl"));
        let text = std::fs::read_to_string(&plain).unwrap_or_else(|_| {
            let packed = std::fs::read(plain.with_extension("jsonl.zst")).expect("packed");
            String::from_utf8(zstd::decode_all(&packed[..]).expect("zstd")).expect("UTF-8")
        });
        let numbers = sequence.lines().map(|line| line.parse::<u64>().expect("number"));
        lines.extend(numbers.zip(text.lines().map(str::to_owned)));
    }
    lines.sort_unstable();
    lines
}

/// A capture of one's own, written after the protocol: two channels, interleaved.
#[test]
fn a_written_capture_is_played_in_the_order_of_its_connection() {
    let folder = tempfile::tempdir().expect("folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("writes");
    let book = |action: &str, previous: i64, id: u64| {
        format!(
            r#"{{"arg":{{"channel":"books","instId":"X-USDT"}},"action":"{action}","data":[{{"asks":[["2","1","0","1"]],"bids":[],"ts":"1","checksum":0,"seqId":{id},"prevSeqId":{previous}}}]}}"#
        )
    };
    let trade = r#"{"arg":{"channel":"trades","instId":"X-USDT"},"data":[{"instId":"X-USDT","tradeId":"9","px":"2","sz":"1","side":"buy","ts":"1","count":"2"}]}"#;
    write("books.raw.jsonl", &format!("{}\n{}\n", book("snapshot", -1, 5), book("update", 5, 8)));
    write("books.seq", "1\n4\n");
    write("trades.raw.jsonl", &format!("{trade}\n"));
    write("trades.seq", "3\n");
    write("control.raw.jsonl", "{\"event\":\"subscribe\"}\n");
    let venue = play(&[("spot", folder.path().to_owned())], Pace::Own);
    assert_eq!(venue.streams("spot"), ["books:X-USDT", "trades:X-USDT"]);
    let frames = block_on(async {
        let mut client = subscribe_all(&venue).await;
        let objects = data(&venue, "/api/v5/public/instruments?instType=SPOT").await;
        assert_eq!((&objects[0]["instId"], &objects[0]["quoteCcy"]), (&json!("X-USDT"), &json!("USDT")));
        receive_all(&venue, &mut client).await
    });
    assert_eq!(frames, [book("snapshot", -1, 5), trade.to_owned(), book("update", 5, 8)]);
    assert_eq!(venue.final_book("spot", "X-USDT"), None);
    let ledger = venue.stop();
    let ids = |stream: &str| ledger.stream("spot", stream).map(|stream| (stream.first_id, stream.last_id));
    assert_eq!(ids("books:X-USDT"), Some((Some(5), Some(8))));
    assert_eq!(ids("trades:X-USDT"), Some((Some(8), Some(9))));
}

#[test]
fn a_recording_is_played_byte_for_byte() {
    let Some(captures) = captures() else { return };
    let folder = captures.join("spot/tv-20260824");
    let expected: Vec<String> = lines(&folder).into_iter().map(|(_, line)| line).collect();
    let venue = play(&[("spot", folder)], Pace::Flat);
    let frames = block_on(async {
        let mut client = subscribe_all(&venue).await;
        receive_all(&venue, &mut client).await
    });
    assert!(!expected.is_empty() && frames == expected);
    let mut mirror = Mirror::default();
    let fits: Vec<Fit> =
        frames.iter().map(|frame| mirror.apply(&serde_json::from_str(frame).expect("JSON"))).collect();
    assert!(fits[0] == Fit::Snapshot && fits[1..].iter().all(|fit| *fit == Fit::Update));
}

#[test]
fn folders_of_one_connection_keep_their_common_order() {
    let Some(captures) = captures() else { return };
    let markets = ["spot", "swap", "futures", "option"];
    let folders: Vec<(&str, PathBuf)> =
        markets.into_iter().map(|market| (market, captures.join(market).join("cf-20210722-a"))).collect();
    let mut expected: Vec<(u64, String)> = folders.iter().flat_map(|(_, folder)| lines(folder)).collect();
    expected.sort_unstable();
    let venue = play(&folders, Pace::Times(50.0));
    let frames = block_on(async {
        let mut client = subscribe_all(&venue).await;
        for (market, kind) in [("spot", "SPOT"), ("swap", "SWAP"), ("futures", "FUTURES")] {
            let objects = data(&venue, &format!("/api/v5/public/instruments?instType={kind}")).await;
            assert_eq!(objects.as_array().map(Vec::len), Some(venue.symbols(market).len()), "{market}");
        }
        receive_all(&venue, &mut client).await
    });
    let expected: Vec<String> = expected.into_iter().map(|(_, line)| line).collect();
    assert!(frames == expected, "{} of {} frames", frames.len(), expected.len());
    assert!(venue.stop().violations.is_empty());
}

//! Captured frames are played exactly, in order, and continue their ids from loop to loop.

mod common;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use common::{Client, block_on, get};
use marketprism_simulator::{Capture, Config, Market, Pace, Simulator, Source, Start};

/// The folder of captures; without one the tests pass over, except where CI asks for them.
fn captures() -> Option<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    let folder = std::env::var_os("MARKETPRISM_CAPTURES").map_or(default, PathBuf::from).join("binance");
    if folder.is_dir() {
        return Some(folder);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "captures are missing");
    eprintln!("skipped: no captures");
    None
}

fn start(folders: &[(Market, PathBuf)], pace: Pace, loops: u32) -> Simulator {
    let source = Source::Capture(Capture { folders: folders.to_vec(), pace, loops });
    Simulator::start(Config { start: Start::Manual, ..Config::new(source) }).expect("starts")
}

/// Plays everything to one client per market, combined or raw; returns the frames in order.
fn play(folder: (Market, PathBuf), path: &str, pace: Pace, loops: u32) -> (Vec<String>, Simulator) {
    let market = folder.0;
    let simulator = start(&[folder], pace, loops);
    let path = path.replace("STREAMS", &simulator.streams(market).join("/"));
    let frames = block_on(async {
        let mut client = Client::open(&simulator, market, &path).await;
        while simulator.ledger().streams.is_empty() {
            tokio::task::yield_now().await;
        }
        simulator.start_feed();
        let mut frames = Vec::new();
        loop {
            let finished = simulator.ledger();
            if finished.finished && frames.len() as u64 >= finished.deliveries() {
                break frames;
            }
            for _ in 0..1000 {
                if frames.len() as u64 >= finished.deliveries() {
                    break;
                }
                frames.push(client.text().await);
            }
        }
    });
    (frames, simulator)
}

fn lines(folder: &std::path::Path) -> Vec<(u64, String)> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        let name = path.file_name().expect("name").to_string_lossy().into_owned();
        let Some(channel) = name.split(".raw.jsonl").next().filter(|channel| *channel != name) else {
            continue;
        };
        let bytes = std::fs::read(&path).expect("reads");
        let bytes = if name.ends_with(".zst") { zstd::decode_all(&bytes[..]).expect("zstd") } else { bytes };
        let sequence = std::fs::read_to_string(folder.join(format!("{channel}.seq"))).expect("seq");
        let text = String::from_utf8(bytes).expect("UTF-8");
        let numbers = sequence.lines().map(|line| line.parse::<u64>().expect("number"));
        lines.extend(numbers.zip(text.lines().map(str::to_owned)));
    }
    lines.sort_unstable();
    lines
}

#[test]
fn a_recording_is_played_byte_for_byte() {
    let Some(captures) = captures() else { return };
    let folder = captures.join("coinm/hbt-20240808-a");
    let expected: Vec<String> = lines(&folder).into_iter().map(|(_, line)| line).collect();
    let (frames, simulator) = play((Market::Coinm, folder), "/stream?streams=STREAMS", Pace::Flat, 1);
    assert_eq!(frames.len(), expected.len());
    assert!(frames == expected);
    let ledger = simulator.stop();
    assert!(ledger.finished && ledger.loops == 1);
    assert_eq!(ledger.messages(), expected.len() as u64);
    let bytes: u64 = ledger.streams.iter().map(|stream| stream.bytes).sum();
    assert_eq!(bytes, expected.iter().map(|line| line.len() as u64).sum::<u64>());
}

#[test]
fn raw_connections_get_bare_payloads_and_fixtures_a_name() {
    let Some(captures) = captures() else { return };
    let folder = captures.join("spot/barter");
    let expected = std::fs::read_to_string(folder.join("bookTicker.raw.jsonl")).expect("reads");
    let (frames, _) = play((Market::Spot, folder.clone()), "/ws/STREAMS", Pace::Flat, 1);
    assert_eq!(frames, expected.lines().collect::<Vec<_>>());
    let (frames, _) = play((Market::Spot, folder), "/stream?streams=STREAMS", Pace::Flat, 1);
    assert!(frames[0].starts_with("{\"stream\":\"ethusdt@bookTicker\",\"data\":{\"u\":"), "{}", frames[0]);
}

/// Checks the sequences of a feed: contiguous trades, chained depth, growing best prices.
fn check_sequences(frames: &[String], spot: bool) -> u64 {
    let mut last: HashMap<String, u64> = HashMap::new();
    let mut checked = 0;
    for frame in frames {
        let frame: serde_json::Value = serde_json::from_str(frame).expect("JSON");
        let stream = frame["stream"].as_str().expect("stream").to_owned();
        let data = &frame["data"];
        let id = |key: &str| data[key].as_u64().unwrap_or_else(|| panic!("{key} in {data}"));
        let (joins, now): (fn(u64, u64) -> bool, _) = match stream.split('@').nth(1).expect("kind") {
            "trade" => (|last, id| id == last + 1, (id("t"), id("t"))),
            "aggTrade" => (|last, id| id == last + 1, (id("a"), id("a"))),
            "bookTicker" => (|last, id| id > last, (id("u"), id("u"))),
            "depth" if spot => (|last, id| id == last + 1, (id("U"), id("u"))),
            "depth" => (|last, id| id == last, (id("pu"), id("u"))),
            _ => continue,
        };
        if let Some(last) = last.insert(stream, now.1) {
            assert!(joins(last, now.0), "after {last}: {frame}");
            checked += 1;
        }
    }
    checked
}

#[test]
fn loops_continue_every_sequence() {
    let Some(captures) = captures() else { return };
    for (market, name) in [
        (Market::Spot, "spot/hbt-20240808-a"),
        (Market::Coinm, "coinm/hbt-20240808-a"),
        (Market::Spot, "spot/cf-20211012"),
    ] {
        let (frames, simulator) =
            play((market, captures.join(name)), "/stream?streams=STREAMS", Pace::Flat, 3);
        assert_eq!(simulator.stop().loops, 3);
        assert!(check_sequences(&frames, market == Market::Spot) > 100);
    }
}

#[test]
fn depth_answers_wait_for_the_frames_before_them() {
    let Some(captures) = captures() else { return };
    let folder = captures.join("usdm/hbt-20240808-a");
    let simulator = start(&[(Market::Usdm, folder.clone())], Pace::Times(50.0), 1);
    let stored = std::fs::read_to_string(folder.join("rest/depth_ETHUSDT.json")).expect("reads");
    block_on(async {
        let path = format!("/public/stream?streams={}", simulator.streams(Market::Usdm).join("/"));
        let _client = Client::open(&simulator, Market::Usdm, &path).await;
        let request = get(&simulator, Market::Usdm, "/fapi/v1/depth?symbol=ETHUSDT&limit=1000");
        let mut request = std::pin::pin!(request);
        let early = tokio::time::timeout(Duration::from_millis(50), &mut request).await;
        assert!(early.is_err(), "answered before anything was played");
        simulator.start_feed();
        assert_eq!(request.await.body, stored.trim());
        // The snapshot of ETHUSDT arrived as number 110 of the recording.
        let before = lines(&folder).iter().filter(|(sequence, _)| *sequence < 110).count() as u64;
        assert!(simulator.ledger().messages() >= before);
        let unknown = get(&simulator, Market::Usdm, "/fapi/v1/depth?symbol=NOSUCH").await;
        assert_eq!((unknown.status, unknown.json()["code"].as_i64()), (400, Some(-1121)));
    });
}

#[test]
fn instruments_of_a_capture_are_its_symbols() {
    let Some(captures) = captures() else { return };
    let folders = [
        (Market::Spot, captures.join("spot/cf-20211012")),
        (Market::Usdm, captures.join("usdm/hbt-20240808-a")),
        (Market::Coinm, captures.join("coinm/cf-20210417")),
    ];
    let simulator = start(&folders, Pace::Flat, 1);
    block_on(async {
        let prefixes = ["/api/v3", "/fapi/v1", "/dapi/v1"];
        for (market, prefix) in Market::ALL.into_iter().zip(prefixes) {
            let info = get(&simulator, market, &format!("{prefix}/exchangeInfo")).await.json();
            let mut names: Vec<String> = info["symbols"]
                .as_array()
                .expect("list")
                .iter()
                .filter_map(|one| one["symbol"].as_str().map(str::to_owned))
                .collect();
            names.sort_unstable();
            assert_eq!(names, simulator.symbols(market), "{market}");
            let filter = &info["symbols"][0]["filters"][0];
            assert!(filter.get("filterType").is_some(), "{filter}");
        }
    });
}

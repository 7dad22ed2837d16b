//! Captured frames are played exactly and in order.

use std::path::PathBuf;
use std::time::Duration;

use marketprism_simulator::deribit::{Config, start};
use marketprism_simulator::host::{Capture, Source};
use marketprism_simulator::{Pace, Start};

use crate::client::{Client, block_on, get};

/// The folder of captures; without one the test passes over, except where CI asks for them.
fn captures() -> Option<PathBuf> {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let folder = std::env::var("MARKETPRISM_CAPTURES").unwrap_or_else(|_| usual.to_owned());
    let folder = PathBuf::from(folder).join("deribit");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").is_err(), "no captures in {}", folder.display());
    eprintln!("skipped: no captures in {}", folder.display());
    None
}

#[test]
fn a_capture_is_played_as_it_was_received() {
    let Some(captures) = captures() else { return };
    let folder = captures.join("option/cf-20210722");
    let mut expected: Vec<(u64, String)> = Vec::new();
    for channel in ["book_raw", "ticker_raw"] {
        let read = |ending: &str| std::fs::read_to_string(folder.join(format!("{channel}.{ending}")));
        let (texts, places) = (read("raw.jsonl").expect("frames"), read("seq").expect("places"));
        let places = places.lines().map(|place| place.parse().expect("number"));
        expected.extend(places.zip(texts.lines().map(str::to_owned)));
    }
    expected.sort_unstable();
    let source = Source::Capture(Capture { folders: vec![("option".to_owned(), folder)], pace: Pace::Flat });
    let handle = start(&Config { start: Start::Manual, ..Config::new(source) }).expect("starts");
    block_on(async {
        let mut client = Client::open(&handle).await;
        let streams = handle.streams("option");
        let mut channels: Vec<&str> = streams.iter().map(String::as_str).collect();
        let acknowledged = client.subscribe(&channels).await;
        channels.sort_unstable();
        channels.reverse();
        assert_eq!(acknowledged, channels);
        let path = "/api/v2/public/get_instruments?currency=BTC&kind=option";
        let (_, answer) = get(&handle, path).await;
        assert!(answer["result"].as_array().is_some_and(|list| list.len() > 100));
        assert!(handle.symbols("option").contains(&"BTC-24SEP21-8000-P".to_owned()));
        handle.start_feed();
        for (_, text) in &expected {
            assert_eq!(client.text().await.as_ref(), Ok(text));
        }
    });
    let ledger = handle.wait_until_finished(Duration::from_secs(5)).expect("finished");
    assert_eq!(ledger.messages(), expected.len() as u64);
    assert_eq!(ledger.violations, [""; 0]);
}

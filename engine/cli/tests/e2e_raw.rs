//! What is kept of frames: nothing, those that something is wrong with, or all of them; and that all of them give the
//! records that are stored.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use common_e2e::chained::{Chained, source};
use common_e2e::chained_disturbed::Setting;
use common_e2e::{Local, folder, generated, of_kind, read_text, stored, venues, verify_ok, wait_until};
use marketprism_core::record::RecordRef;
use marketprism_core::venue::Venue;
use marketprism_log::{Appender, BatchBuilder, LogOptions, LogReader, Selection};
use marketprism_runtime::renormalise::{Renormalisation, renormalise};
use marketprism_runtime::{RawCapture, Source, Threads};
use marketprism_simulator::host::Disturbance;
use marketprism_simulator::{Config, Disconnection, Fault, Market};
use serde_json::Value;

const CHANNELS: [&str; 4] = ["trade", "agg_trade", "book@100ms", "quote"];
const SYMBOLS: usize = 2;
const BOOKS: usize = 3 * SYMBOLS;

/// A stream whose book gets a hole.
const VICTIM: (Market, &str) = (Market::Usdm, "btcusdt@depth@100ms");

fn hole() -> Fault {
    Fault::DropDiff { market: VICTIM.0, stream: VICTIM.1.to_owned(), after_events: 30, events: 2 }
}

/// A simulated Binance of whose frames this is kept, with everything that is sent written down.
fn binance(seed: u64, raw: RawCapture, faults: Vec<Fault>) -> Local {
    let record_frames = Some("sent.tsv".into());
    let config = Config { faults, record_frames, ..generated(seed, SYMBOLS, 2000) };
    let local = Local::start_adjusted(config, &CHANNELS, Threads::default(), |settings| {
        for source in &mut settings.sources {
            source.raw = raw;
            if source.market != "spot" {
                source.channels.push("open_interest".to_owned());
            }
        }
    });
    local.feed();
    local
}

fn wait_for_faults(local: &Local, count: u64) {
    let injected = || local.simulator.ledger().faults_injected.iter().map(|(_, times)| times).sum::<u64>();
    wait_until("the faults", || injected() >= count);
}

/// Makes the records of a log again. Every record must be made, or be one of those that are put in.
fn assert_made_again(data: &Path, venues: &[Arc<dyn Venue>]) -> Renormalisation {
    let made = renormalise(data, venues).unwrap();
    assert!(made.is_ok(), "{made:?}");
    assert_eq!(made.not_compared, []);
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for row in stored(data) {
        if !["raw", "session", "instrument"].contains(&row["kind"].as_str().unwrap()) {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            *counts.entry((text("venue"), text("market"))).or_default() += 1;
        }
    }
    for market in &made.markets {
        let stored = counts.remove(&(market.venue.clone(), market.market.clone())).unwrap_or(0);
        assert_eq!(market.records, stored, "{market:?}");
        assert!(market.frames > 100 && market.records > 100 && market.answers > 0, "{market:?}");
    }
    assert!(counts.is_empty(), "{counts:?}");
    made
}

/// Gap reasons of all streams.
fn gap_reasons(data: &Path) -> BTreeSet<String> {
    of_kind(&stored(data), "gap").into_iter().map(|gap| gap["reason"].as_str().unwrap().to_owned()).collect()
}

/// `marketprism verify --raw --json`.
fn verify_raw(data: &Path) -> (Output, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_marketprism"));
    let output = command.args(["verify", "--raw", "--json", data.to_str().unwrap()]).output().unwrap();
    let result = serde_json::from_slice(&output.stdout).unwrap();
    (output, result)
}

/// Copies a log; `change` may change the bytes of frames.
fn copy(from: &Path, to: &Path, mut change: impl FnMut(&mut [u8])) {
    let reader = LogReader::open(from).unwrap();
    let (mut appender, _) = Appender::open(to, LogOptions::default()).unwrap();
    for instrument in reader.registry().unwrap().all() {
        appender.registry_mut().restore(instrument.clone());
    }
    let mut batch = BatchBuilder::new();
    let report = reader.for_each(&Selection::default(), |_, record, _| {
        match record {
            RecordRef::Raw(raw, body) => {
                let mut body = body.to_vec();
                change(&mut body);
                batch.push(RecordRef::Raw(raw, &body)).unwrap();
            }
            other => batch.push(other).unwrap(),
        }
        if batch.bytes_estimate() > 1 << 20 {
            appender.append(&mut batch).unwrap();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(report.unwrap().problems, []);
    appender.append(&mut batch).unwrap();
    appender.seal().unwrap();
}

#[test]
fn all_frames_of_binance_give_the_stored_records_in_two_runs_with_faults() {
    let faults = vec![
        hole(),
        Fault::Disconnect { market: Market::Spot, after_messages: 400, times: 1, how: Disconnection::Abrupt },
        Fault::MalformedFrame { market: Market::Coinm, after_messages: 300, times: 1 },
    ];
    let mut local = binance(51, RawCapture::All, faults);
    wait_for_faults(&local, 4);
    common_e2e::process::wait_for_more(&local.simulator, 1000);
    local.wait_for_books(BOOKS);
    local.finish();
    local.restart();
    local.feed();
    common_e2e::process::wait_for_more(&local.simulator, 1000);
    local.wait_for_books(BOOKS);
    local.finish();
    verify_ok(&local.data);
    let reasons = gap_reasons(&local.data);
    for reason in ["sequence", "disconnected", "restart"] {
        assert!(reasons.contains(reason), "{reasons:?}");
    }
    let made = assert_made_again(&local.data, &venues());
    assert_eq!(made.markets.len(), 3);

    let (output, result) = verify_raw(&local.data);
    assert!(output.status.success() && result["raw"]["markets"].as_array().unwrap().len() == 3, "{result}");

    // The price of one trade.
    let changed = local.folder.path().join("changed");
    let mut left = 1;
    copy(&local.data, &changed, |body| {
        let text = String::from_utf8_lossy(body);
        let place = text.find("\"p\":\"").filter(|_| left > 0 && text.contains("\"e\":\"trade\""));
        if let Some(place) = place {
            left -= 1;
            let digit = &mut body[place + 5];
            *digit = if *digit == b'9' { b'8' } else { *digit + 1 };
        }
    });
    let (output, result) = verify_raw(&changed);
    assert_eq!((output.status.code(), &result["ok"]), (Some(1), &Value::Bool(false)), "{result}");
    let differences = result["raw"]["differences"].as_array().unwrap();
    assert_eq!(differences.len(), 1, "{result}");
    assert_eq!(differences[0]["stored"]["trade_id"], differences[0]["made"]["trade_id"]);
    assert_ne!(differences[0]["stored"]["price"], differences[0]["made"]["price"]);
}

/// OKX or Deribit: a hole, a connection that ends, half a frame, and a second run.
fn chained_is_made_again(setting: Setting) {
    let keep = |market: &str| Source { raw: RawCapture::All, ..source(market, &["*"], &["book", "trade"]) };
    let sources = setting.markets.map(keep).to_vec();
    let mut chained = Chained::start(setting.simulated.clone(), sources);
    let stream = setting.stream();
    chained.feed(setting.books());
    chained.wait_for_more(setting.market, &stream, 6);
    let disturbances = [Disturbance::Malformed, Disturbance::Hole(2), Disturbance::Disconnect(1001)];
    for (what, subscriptions) in disturbances.into_iter().zip([1, 2, 3]) {
        assert!(chained.handle.disturb(setting.market, &stream, what));
        setting.settle(&chained, subscriptions);
    }
    chained.finish();
    chained.restart();
    chained.feed(setting.books());
    chained.wait_for_more(setting.market, &stream, 6);
    chained.finish();
    verify_ok(&chained.data);
    let reasons = gap_reasons(&chained.data);
    assert!(reasons.contains("sequence"), "{reasons:?}");
    let rows = stored(&chained.data);
    let ended = of_kind(&rows, "session").into_iter().filter(|row| row["event"] == "disconnected");
    let by_venue = ended.filter(|row| row["detail"]["reason"].as_str().unwrap().contains("close 1001"));
    assert_eq!(by_venue.count(), 1);
    let made = assert_made_again(&chained.data, &[Arc::clone(&chained.recorded)]);
    assert_eq!(made.markets.len(), setting.markets.len());
}

#[test]
fn all_frames_of_okx_give_the_stored_records() {
    chained_is_made_again(Setting::okx());
}

#[test]
fn all_frames_of_okx_with_checksums_give_the_stored_records() {
    chained_is_made_again(Setting::okx_with_checksums());
}

#[test]
fn all_frames_of_deribit_give_the_stored_records() {
    chained_is_made_again(Setting::deribit());
}

/// A log of frames in this mode, in which a book got a hole and a frame of 300 KiB could not be parsed.
fn with_errors(seed: u64, raw: RawCapture) -> Local {
    const BYTES: usize = 300 << 10;
    let market = Market::Spot;
    let too_long = Fault::Oversized { market, after_messages: 200, times: 1, bytes: BYTES };
    let mut local = binance(seed, raw, vec![hole(), too_long]);
    wait_for_faults(&local, 3);
    let gaps = || local.recorder().status().normalisers.counts.gaps[1];
    wait_until("the recorder's gap", || gaps() >= 1);
    common_e2e::process::wait_for_more(&local.simulator, 500);
    local.wait_for_books(BOOKS);
    let unparsed = local.recorder().status().connections.iter().map(|line| line.unparsed).sum::<u64>();
    assert_eq!(unparsed, 1, "counted whatever is kept");
    local.finish();
    verify_ok(&local.data);
    local
}

/// The frames of raw records with their reasons, parts put together.
fn frames(rows: &[Value]) -> Vec<(String, String)> {
    let mut frames: Vec<(String, String)> = vec![];
    for raw in of_kind(rows, "raw") {
        let text = |key: &str| raw[key].as_str().unwrap().to_owned();
        match (raw.get("offset"), frames.last_mut()) {
            (Some(offset), Some((_, frame))) => {
                assert_eq!(frame.len() as u64, offset.as_u64().unwrap());
                frame.push_str(&text("frame"));
            }
            _ => frames.push((text("reason"), text("frame"))),
        }
    }
    frames
}

#[test]
fn errors_keeps_what_could_not_be_parsed_and_what_is_around_a_hole() {
    let local = with_errors(52, RawCapture::Errors);
    let rows = local.stored();
    let kept = frames(&rows);
    let (around, unparsed): (Vec<_>, Vec<_>) =
        kept.into_iter().partition(|(reason, _)| reason.starts_with("touched a hole"));
    assert_eq!(unparsed.len(), 1);
    let (reason, frame) = &unparsed[0];
    assert!(!reason.is_empty() && frame.len() == 300 << 10, "{reason}: {} bytes", frame.len());
    assert!(frame.starts_with("{\"stream\":\"x@y\",\"data\":\"xxx") && frame.ends_with("xxx\"}"));

    let gap = of_kind(&rows, "gap").into_iter().find(|gap| gap["reason"] == "sequence").unwrap();
    let ids = format!("book_delta {}..{}", gap["from_id"].as_str().unwrap(), gap["to_id"].as_str().unwrap());
    let [(before, frame_before), (reason, frame)] = &around[..] else { panic!("{around:?}") };
    assert_eq!(before, &format!("touched a hole: {ids} (the frame before)"));
    assert_eq!(reason, &format!("touched a hole: {ids}"));
    assert!(frame.contains(VICTIM.1), "{frame}");
    // They came one after the other on one connection, byte for byte so.
    let sent = read_text(&local.folder.path().join("sent.tsv"));
    let mut by_connection: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in sent.lines() {
        let mut parts = line.splitn(3, '\t');
        let (connection, text) = (parts.next().unwrap(), parts.nth(1).unwrap());
        by_connection.entry(connection).or_default().push(text);
    }
    let pair = [frame_before.as_str(), frame.as_str()];
    assert!(by_connection.values().any(|texts| texts.windows(2).any(|two| two == pair)), "{pair:?}");
}

#[test]
fn off_keeps_nothing() {
    let local = with_errors(53, RawCapture::Off);
    assert_eq!(of_kind(&local.stored(), "raw").len(), 0);
    let (output, result) = verify_raw(&local.data);
    assert_eq!(output.status.code(), Some(1), "there is nothing to compare with");
    let spans = result["raw"]["not_compared"].as_array().unwrap();
    assert!(spans.len() == 1 && spans[0]["from_sequence"] == 0, "{result}");
    assert!(spans[0]["reason"].as_str().unwrap().contains("raw = \"all\""), "{result}");
}

#[test]
fn faults_of_the_configuration_are_explained() {
    let source = |raw: &str, symbol: &str| {
        format!(
            "[[source]]\nvenue = \"okx\"\nmarket = \"swap\"\nsymbols = [\"{symbol}\"]\nchannels = [\"book\"]\n{raw}\n"
        )
    };
    let check = |text: String| {
        let folder = folder();
        let file = folder.path().join("c.toml");
        std::fs::write(&file, format!("data_dir = \"data\"\n{text}")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_marketprism"));
        let output = command.args(["check", "-c", file.to_str().unwrap()]).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(check(source("raw = \"all\"", "A-B-SWAP")), "");
    for (text, part) in [
        (source("raw = \"al\"", "A-B-SWAP"), "source.raw is \"al\"; write \"off\" or \"errors\" or \"all\""),
        (source("row = \"all\"", "A-B-SWAP"), "unknown key \"source.row\"; did you mean \"raw\"?"),
        (
            source("raw = \"all\"", "A-B-SWAP") + &source("", "C-D-SWAP"),
            "source.raw differs from that of the source in line 2",
        ),
        (
            format!("[threads]\nnormalisers = 2\n{}", source("raw = \"all\"", "A-B-SWAP")),
            "write normalisers = 1, or raw = \"errors\"",
        ),
    ] {
        let said = check(text);
        assert!(said.contains(part), "{part}\n{said}");
    }
}

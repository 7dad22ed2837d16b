//! What the end-to-end tests share: a simulator with a recorder on it, what the log holds, what was sent.
//!
//! Nothing here uses the product's parsers: [`expected`] reads frames with `serde_json` and keeps every number
//! as the text that was sent, [`books`] is a `BTreeMap`.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

pub mod books;
pub mod chained;
pub mod chained_books;
pub mod chained_disturbed;
pub mod chained_expected;
pub mod contents;
pub mod expected;
pub mod ledgers;
pub mod process;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use marketprism_core::json::write_record;
use marketprism_core::venue::Venue;
use marketprism_log::{LogReader, Selection};
use marketprism_runtime::{BookSettings, LogSettings, RawCapture, Recorder, Settings, Source, Threads};
use marketprism_simulator::{Config, Generated, Ledger, Market, Simulator, Start};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything; reaching it fails the test.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// Nothing may come for this long before everything counts as received.
pub const QUIET: Duration = Duration::from_millis(300);

/// Waits until `ready` gives something, and says what was waited for when it does not.
pub fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// [`wait_for`] a condition.
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    wait_for(what, || ready().then_some(()));
}

/// A folder of its own, removed at the end.
pub fn folder() -> TempDir {
    tempfile::Builder::new().prefix("marketprism-e2e-").tempdir().unwrap()
}

/// The folder of a venue's captures; `None` where there are none and that is allowed.
pub fn captures_of(venue: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let root = std::env::var_os("MARKETPRISM_CAPTURES").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let root = root.join(venue);
    if root.is_dir() {
        return Some(root);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no captures; set MARKETPRISM_CAPTURES");
    eprintln!("no captures; set MARKETPRISM_CAPTURES. Only the generated market is played.");
    None
}

/// [`captures_of`] Binance.
pub fn captures() -> Option<PathBuf> {
    captures_of("binance")
}

/// The folders in a folder, by name.
pub fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// A text file, packed or not.
pub fn read_text(path: &Path) -> String {
    let mut bytes = std::fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "zst") {
        bytes = zstd::decode_all(&bytes[..]).unwrap();
    }
    String::from_utf8(bytes).unwrap()
}

/// A generated market with a rate, data from [`Simulator::start_feed`] on.
pub fn generated(seed: u64, symbols: usize, rate: u64) -> Config {
    let source = Generated { seed, symbols, messages_per_second: Some(rate) };
    Config { start: Start::Manual, ..Config::new(marketprism_simulator::Source::Generated(source)) }
}

/// The channel that subscribes a stream.
pub fn channel_of(stream: &str) -> Option<(String, String)> {
    let (symbol, suffix) = stream.split_once('@')?;
    let channel = match suffix {
        "trade" => "trade".to_owned(),
        "aggTrade" => "agg_trade".to_owned(),
        "bookTicker" => "quote".to_owned(),
        "ticker" => "ticker".to_owned(),
        "markPrice@1s" => "mark_price".to_owned(),
        "forceOrder" => "liquidation".to_owned(),
        "depth@100ms" => "book@100ms".to_owned(),
        "depth@0ms" => "book@fastest".to_owned(),
        other => format!("candle@{}", other.strip_prefix("kline_")?),
    };
    Some((symbol.to_uppercase(), channel))
}

/// Every channel of a generated market that one recorder can subscribe at once.
pub const ALL_CHANNELS: [&str; 8] =
    ["trade", "agg_trade", "book@100ms", "quote", "ticker", "candle@1m", "mark_price", "liquidation"];

/// Sources for the streams of a simulator whose channel is wanted; an empty list means all.
pub fn sources(simulator: &Simulator, markets: &[Market], channels: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for market in markets {
        let mut by_symbol: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (symbol, channel) in simulator.streams(*market).iter().filter_map(|stream| channel_of(stream)) {
            if channels.is_empty() || channels.contains(&channel.as_str()) {
                by_symbol.entry(symbol).or_default().push(channel);
            }
        }
        let mut by_channels: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
        for (symbol, mut channels) in by_symbol {
            channels.sort();
            channels.dedup();
            by_channels.entry(channels).or_default().push(symbol);
        }
        sources.extend(by_channels.into_iter().map(|(channels, symbols)| Source {
            venue: "binance".into(),
            market: market.name().into(),
            symbols,
            exclude: vec![],
            channels,
            websocket: vec![simulator.websocket_url(*market)],
            rest: vec![simulator.rest_url(*market)],
            raw: RawCapture::default(),
        }));
    }
    sources
}

/// The venues a recorder may name.
pub fn venues() -> Vec<Arc<dyn Venue>> {
    vec![Arc::new(marketprism_binance::Binance)]
}

/// The files of certificate authorities to trust for a venue with or without one.
pub fn certificates(pem: Option<&str>, folder: &Path) -> Vec<PathBuf> {
    let written = |pem| {
        let path = folder.join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        path
    };
    pem.map(written).into_iter().collect()
}

/// Waits until everything received is written, and stops a recorder.
pub fn stop(recorder: Recorder) {
    assert!(recorder.wait_until_quiet(QUIET, PATIENCE), "the recorder did not come to rest");
    let ending = recorder.stop();
    assert!(ending.problems.is_empty(), "{:?}", ending.problems);
    assert!(ending.records > 0, "nothing was recorded");
}

/// The lines of the events since the last call.
pub fn events(recorder: &Recorder) -> Vec<String> {
    let mut lines = Vec::new();
    recorder.events().drain(|event| lines.push(event.text.clone()));
    lines
}

/// A simulator with a recorder on it, in a folder of their own.
pub struct Local {
    pub simulator: Simulator,
    pub recorder: Option<Recorder>,
    pub settings: Settings,
    pub data: PathBuf,
    pub folder: TempDir,
}

impl Local {
    /// Starts both; `channels` as in [`sources`].
    pub fn start(config: Config, channels: &[&str], threads: Threads) -> Local {
        Local::start_with(config, channels, threads, LogSettings::default())
    }

    /// The same with another log.
    pub fn start_with(config: Config, channels: &[&str], threads: Threads, log: LogSettings) -> Local {
        Local::start_adjusted(config, channels, threads, |settings| settings.log = log)
    }

    /// [`Local::start`] with settings that `adjust` changes.
    pub fn start_adjusted(
        config: Config,
        channels: &[&str],
        threads: Threads,
        adjust: impl FnOnce(&mut Settings),
    ) -> Local {
        let folder = folder();
        let markets = config.markets.clone();
        let record_frames = config.record_frames.map(|name| folder.path().join(name));
        let simulator = Simulator::start(Config { record_frames, ..config }).expect("simulator");
        let certificate_files = certificates(simulator.certificate_pem(), folder.path());
        let data = folder.path().join("data");
        let mut settings = Settings {
            data_dir: data.clone(),
            sources: sources(&simulator, &markets, channels),
            certificate_files,
            threads,
            log: LogSettings::default(),
            books: BookSettings::default(),
        };
        adjust(&mut settings);
        let recorder = Recorder::start(settings.clone(), &venues()).expect("recorder");
        Local { simulator, recorder: Some(recorder), settings, data, folder }
    }

    /// Starts another recorder on the same log.
    pub fn restart(&mut self) {
        self.recorder = Some(Recorder::start(self.settings.clone(), &venues()).expect("recorder"));
    }

    /// The recorder while it runs.
    pub fn recorder(&self) -> &Recorder {
        self.recorder.as_ref().expect("runs")
    }

    /// Waits until every connection is subscribed and lets data flow.
    pub fn feed(&self) {
        wait_until("all subscriptions", || {
            let connections = self.recorder().status().connections;
            !connections.is_empty() && connections.iter().all(|connection| connection.is_subscribed)
        });
        self.simulator.start_feed();
    }

    /// Waits until the venue has sent that many frames.
    pub fn wait_for_messages(&self, messages: u64) {
        wait_until("messages", || self.simulator.ledger().messages() >= messages);
    }

    /// Waits until that many books are valid.
    pub fn wait_for_books(&self, books: usize) {
        wait_until("valid books", || self.recorder().status().normalisers.books.0 >= books);
    }

    /// Pauses the venue, waits until everything sent is written, and stops the recorder.
    pub fn finish(&mut self) -> Ledger {
        let ledger = self.simulator.pause();
        self.stop_recorder();
        ledger
    }

    /// Waits until everything received is written, and stops the recorder.
    pub fn stop_recorder(&mut self) {
        stop(self.recorder.take().expect("runs"));
    }

    /// All lines of the events so far.
    pub fn events(&self) -> Vec<String> {
        events(self.recorder())
    }

    /// What is stored.
    pub fn stored(&self) -> Vec<Value> {
        stored(&self.data)
    }
}

/// Every record of a log, as the product's JSON, in capture order; the log must have no problem.
pub fn stored(data: &Path) -> Vec<Value> {
    let reader = LogReader::open(data).unwrap();
    let (mut rows, mut line) = (Vec::<Value>::new(), Vec::new());
    let report = reader
        .for_each(&Selection::default(), |sequence, record, registry| {
            let header = record.header();
            let instrument = registry.get(header.instrument);
            let instrument =
                instrument.unwrap_or_else(|| panic!("record {sequence} has an unknown instrument"));
            line.clear();
            write_record(&mut line, record, instrument, sequence);
            rows.push(serde_json::from_slice(&line).unwrap_or_else(|error| {
                panic!("record {sequence} is not JSON: {error}: {}", String::from_utf8_lossy(&line))
            }));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let contiguous = rows.iter().enumerate().all(|(index, row)| row["sequence"] == index as u64);
    assert!(contiguous, "the capture sequence has a hole");
    rows
}

/// Rows of a kind.
pub fn of_kind<'a>(rows: &'a [Value], kind: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["kind"] == kind).collect()
}

/// Whether a row has a flag.
pub fn has_flag(row: &Value, flag: &str) -> bool {
    row["flags"].as_array().is_some_and(|flags| flags.iter().any(|one| one == flag))
}

/// A number that is stored as text.
pub fn id(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no id: {value}"))
}

/// Verifies a log: no problem, nothing stored twice.
pub fn verify_ok(data: &Path) -> marketprism_log::Verification {
    let verification = marketprism_log::verify(data).unwrap();
    assert!(verification.problems.is_empty(), "{:?}", verification.problems);
    verification
}

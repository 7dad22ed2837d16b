//! A simulated venue and a recorder of it in one process: what `demo` and `bench` share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use marketprism_runtime::{LogSettings, Recorder, Settings, Source, Threads};
use marketprism_simulator::{Config, Ledger, Market, Simulator};

use crate::config::venues;

/// Nothing may come for this long before everything counts as received.
const QUIET: Duration = Duration::from_millis(300);
/// Longest wait for the recorder to take what was sent.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// Channels of futures that are polled, not streamed.
const POLLED: [&str; 3] = ["open_interest", "long_short_ratio", "funding_rate"];

/// The channel of the configuration that subscribes a stream, for the streams that a simulator names.
pub(crate) fn channel_of(stream: &str) -> Option<(String, String)> {
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

/// Sources that subscribe what a simulator offers: for a generated market every channel in `channels`, for
/// captured frames what is in the capture and in `channels`. An empty list of channels means all.
pub(crate) fn sources(simulator: &Simulator, markets: &[Market], channels: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for market in markets {
        // Symbols with the same channels share a source.
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
            // Where everything is offered the usual choice: one-minute candles, and one book channel.
            if channels.iter().any(|channel| channel == "candle@1m") {
                channels.retain(|channel| channel == "candle@1m" || !channel.starts_with("candle@"));
            }
            if channels.iter().any(|channel| channel == "book@100ms") {
                channels.retain(|channel| channel != "book@fastest");
            }
            by_channels.entry(channels).or_default().push(symbol);
        }
        for (mut channels_of_symbols, symbols) in by_channels {
            if *market != Market::Spot {
                let polled = POLLED.iter().filter(|polled| channels.contains(polled));
                channels_of_symbols.extend(polled.map(|polled| (*polled).to_owned()));
            }
            sources.push(Source {
                venue: "binance".into(),
                market: market.name().into(),
                symbols,
                channels: channels_of_symbols,
                websocket: vec![simulator.websocket_url(*market)],
                rest: vec![simulator.rest_url(*market)],
            });
        }
    }
    sources
}

/// Settings for a recorder of a simulator. With TLS the simulator's authority is written beside the data.
fn settings(
    simulator: &Simulator,
    data_dir: &Path,
    sources: Vec<Source>,
    threads: Threads,
) -> Result<Settings, String> {
    let mut certificate_files = Vec::new();
    if let Some(pem) = simulator.certificate_pem() {
        let path = data_dir.with_extension("ca.pem");
        std::fs::write(&path, pem).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        certificate_files.push(path);
    }
    Ok(Settings {
        data_dir: data_dir.to_owned(),
        sources,
        certificate_files,
        threads,
        log: LogSettings::default(),
    })
}

/// A simulator with a recorder on it.
pub(crate) struct Local {
    pub(crate) simulator: Simulator,
    pub(crate) recorder: Recorder,
}

impl Local {
    /// Starts both.
    pub(crate) fn start(
        config: Config,
        data_dir: &Path,
        channels: &[&str],
        threads: Threads,
    ) -> Result<Local, String> {
        let markets = config.markets.clone();
        let simulator = Simulator::start(config).map_err(|error| error.to_string())?;
        let sources = sources(&simulator, &markets, channels);
        let settings = settings(&simulator, data_dir, sources, threads)?;
        let recorder = Recorder::start(settings, &venues()).map_err(|error| error.to_string())?;
        Ok(Local { simulator, recorder })
    }

    /// Stops the venue's feed, and waits until the recorder has written what was sent.
    pub(crate) fn drain(&self) -> Ledger {
        let ledger = self.simulator.pause();
        self.recorder.wait_until_quiet(QUIET, DRAIN_LIMIT);
        ledger
    }
}

/// The folder given, or a fresh temporary one that is removed at the end.
pub(crate) enum DataDir {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl DataDir {
    pub(crate) fn new(given: Option<PathBuf>) -> Result<DataDir, String> {
        match given {
            Some(path) => Ok(DataDir::Kept(path)),
            None => tempfile::Builder::new()
                .prefix("marketprism-")
                .tempdir()
                .map(DataDir::Temporary)
                .map_err(|error| format!("cannot make a temporary folder: {error}")),
        }
    }

    /// The folder of the log. Inside a temporary folder, so that other files can lie beside it.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            DataDir::Kept(path) => path.clone(),
            DataDir::Temporary(folder) => folder.path().join("data"),
        }
    }
}

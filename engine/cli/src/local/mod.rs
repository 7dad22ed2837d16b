//! Simulated venues and a recorder of them in one process: what `demo` and `bench` share.

mod binance;
mod chained;
mod sent;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use marketprism_runtime::{BookSettings, LogSettings, Recorder, Settings, Source, Threads};
use marketprism_simulator::host::Handle;
use marketprism_simulator::{Book, Market, Simulator};

use crate::config::venues;

pub(crate) use sent::{Amount, Sent, SentStream};

/// Nothing may come for this long before everything counts as received.
const QUIET: Duration = Duration::from_millis(300);
/// Longest wait for the recorder to take what was sent.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// A simulated venue that runs.
pub(crate) enum Simulated {
    /// Binance, with the markets that it serves.
    Binance(Simulator, Vec<Market>),
    /// OKX.
    Okx(Handle),
    /// Deribit.
    Deribit(Handle),
}

impl Simulated {
    /// The venue's name in configuration and records.
    pub(crate) fn venue(&self) -> &'static str {
        match self {
            Simulated::Binance(..) => "binance",
            Simulated::Okx(_) => "okx",
            Simulated::Deribit(_) => "deribit",
        }
    }

    /// Sources that subscribe what is served; of Binance the channels in `channels`, or all where it is empty.
    pub(crate) fn sources(&self, channels: &[&str]) -> Vec<Source> {
        match self {
            Simulated::Binance(simulator, markets) => binance::sources(simulator, markets, channels),
            Simulated::Okx(handle) => chained::sources("okx", handle, &chained::OKX_CHANNELS),
            Simulated::Deribit(handle) => chained::sources("deribit", handle, &chained::DERIBIT_CHANNELS),
        }
    }

    /// Sources that subscribe what is in the captures that are played.
    pub(crate) fn captured_sources(&self) -> Vec<Source> {
        match self {
            Simulated::Binance(simulator, markets) => binance::sources(simulator, markets, &[]),
            Simulated::Okx(handle) => chained::captured_sources("okx", handle, chained::okx_channel),
            Simulated::Deribit(handle) => {
                chained::captured_sources("deribit", handle, chained::deribit_channel)
            }
        }
    }

    pub(crate) fn certificate_pem(&self) -> Option<&str> {
        match self {
            Simulated::Binance(simulator, _) => simulator.certificate_pem(),
            Simulated::Okx(handle) | Simulated::Deribit(handle) => handle.certificate_pem(),
        }
    }

    fn start_feed(&self) {
        match self {
            Simulated::Binance(simulator, _) => simulator.start_feed(),
            Simulated::Okx(handle) | Simulated::Deribit(handle) => handle.start_feed(),
        }
    }

    /// Frames sent so far.
    fn deliveries(&self) -> u64 {
        match self {
            Simulated::Binance(simulator, _) => simulator.ledger().deliveries(),
            Simulated::Okx(handle) | Simulated::Deribit(handle) => handle.ledger().deliveries(),
        }
    }

    /// Stops the feed; gives what was sent.
    pub(crate) fn pause(&self) -> Sent {
        match self {
            Simulated::Binance(simulator, _) => binance::sent(simulator.pause()),
            Simulated::Okx(handle) => chained::sent("okx", handle.pause(), chained::okx_stream),
            Simulated::Deribit(handle) => chained::sent("deribit", handle.pause(), chained::deribit_stream),
        }
    }

    /// The venue's own book.
    pub(crate) fn final_book(&self, market: &str, symbol: &str) -> Option<Book> {
        match self {
            Simulated::Binance(simulator, _) => simulator.final_book(market.parse().ok()?, symbol),
            Simulated::Okx(handle) | Simulated::Deribit(handle) => handle.final_book(market, symbol),
        }
    }
}

/// Simulated venues with a recorder on them.
pub(crate) struct Local {
    pub(crate) venues: Vec<Simulated>,
    pub(crate) recorder: Recorder,
}

impl Local {
    /// Starts a recorder of venues that run; `channels` as in [`Simulated::sources`].
    pub(crate) fn start(
        simulated: Vec<Simulated>,
        data_dir: &Path,
        channels: &[&str],
        threads: Threads,
    ) -> Result<Local, String> {
        let sources = simulated.iter().flat_map(|venue| venue.sources(channels)).collect();
        let settings = Settings {
            data_dir: data_dir.to_owned(),
            sources,
            certificate_files: certificates(&simulated, data_dir)?,
            threads,
            log: LogSettings::default(),
            books: BookSettings::default(),
        };
        let recorder = Recorder::start(settings, &venues()).map_err(|error| error.to_string())?;
        Ok(Local { venues: simulated, recorder })
    }

    /// Lets data flow.
    pub(crate) fn start_feed(&self) {
        self.venues.iter().for_each(Simulated::start_feed);
    }

    /// Frames sent so far.
    pub(crate) fn deliveries(&self) -> u64 {
        self.venues.iter().map(Simulated::deliveries).sum()
    }

    /// The venues' own books of everything recorded, by venue, market and symbol. To be asked before the recorder stops:
    /// a book without subscribers goes on without anybody being told.
    pub(crate) fn final_books(&self) -> BTreeMap<(String, String, String), Book> {
        let instruments = self.recorder.instruments();
        let own = instruments.values().filter_map(|instrument| {
            let venue = self.venues.iter().find(|venue| venue.venue() == instrument.venue)?;
            let book = venue.final_book(&instrument.market, &instrument.venue_symbol)?;
            let (venue, market) = (instrument.venue.clone(), instrument.market.clone());
            Some(((venue, market, instrument.venue_symbol.clone()), book))
        });
        own.collect()
    }

    /// Stops the venues' feeds, and waits until the recorder has written what was sent.
    pub(crate) fn drain(&self) -> Sent {
        let mut all = Sent::default();
        for venue in &self.venues {
            let sent = venue.pause();
            all.streams.extend(sent.streams);
            all.violations.extend(sent.violations);
            all.deliveries += sent.deliveries;
        }
        self.recorder.wait_until_quiet(QUIET, DRAIN_LIMIT);
        all
    }
}

/// Writes the authorities of venues that serve TLS beside the data.
fn certificates(simulated: &[Simulated], data_dir: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for venue in simulated {
        let Some(pem) = venue.certificate_pem() else { continue };
        let path = data_dir.with_extension(format!("{}.ca.pem", venue.venue()));
        std::fs::write(&path, pem).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        files.push(path);
    }
    Ok(files)
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

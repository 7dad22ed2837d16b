//! A simulated OKX or Deribit with a recorder on it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use marketprism_core::venue::Venue;
use marketprism_deribit::{Credentials, Deribit};
use marketprism_okx::Okx;
use marketprism_runtime::{BookSettings, LogSettings, RawCapture, Recorder, Settings, Source, Threads};
use marketprism_simulator::host::{self, Handle, Ledger, StreamLedger};
use marketprism_simulator::{Generated, Start, deribit, okx};
use serde_json::Value;
use tempfile::TempDir;

use super::books::Book;
use super::{certificates, folder, wait_until};

/// A venue to be simulated, with what the recorder knows of it.
#[derive(Clone)]
pub enum Simulated {
    Okx(okx::Config),
    Deribit(deribit::Config, Option<Credentials>),
}

impl Simulated {
    /// A venue with the limits of the real one, data from [`Handle::start_feed`] on.
    pub fn new(venue: &str, source: host::Source) -> Simulated {
        let start = Start::Manual;
        match venue {
            "okx" => Simulated::Okx(okx::Config { start, ..okx::Config::new(source) }),
            "deribit" => Simulated::Deribit(deribit::Config { start, ..deribit::Config::new(source) }, None),
            other => panic!("{other} is not simulated here"),
        }
    }

    /// Serves TLS.
    pub fn with_tls(mut self) -> Simulated {
        match &mut self {
            Simulated::Okx(config) => config.tls = true,
            Simulated::Deribit(config, _) => config.tls = true,
        }
        self
    }

    /// Lets data flow when so many streams are subscribed.
    pub fn when_subscribed(mut self, streams: usize) -> Simulated {
        match &mut self {
            Simulated::Okx(config) => config.start = Start::WhenSubscribed(streams),
            Simulated::Deribit(config, _) => config.start = Start::WhenSubscribed(streams),
        }
        self
    }

    /// [`Simulated::new`] with a generated market.
    pub fn generated(venue: &str, symbols: usize) -> Simulated {
        let generated = Generated { seed: 11, symbols, messages_per_second: Some(1000) };
        Simulated::new(venue, host::Source::Generated(generated))
    }
}

/// What is recorded of a market; the rest is filled in by [`Chained::start`].
pub fn source(market: &str, symbols: &[&str], channels: &[&str]) -> Source {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Source {
        venue: String::new(),
        market: market.to_owned(),
        symbols: texts(symbols),
        exclude: vec![],
        channels: texts(channels),
        websocket: vec![],
        rest: vec![],
        raw: RawCapture::default(),
    }
}

/// What is left when everything has stopped.
pub struct Finished {
    pub ledger: Ledger,
    /// What is stored.
    pub rows: Vec<Value>,
    /// The venue's own books, by market and symbol.
    pub books: BTreeMap<(String, String), Book>,
}

/// A venue and its recorder, in a folder of their own.
pub struct Chained {
    pub venue: &'static str,
    pub handle: Handle,
    pub recorder: Option<Recorder>,
    pub recorded: Arc<dyn Venue>,
    pub settings: Settings,
    pub data: PathBuf,
    pub folder: TempDir,
}

impl Chained {
    /// Starts both. Frames sent are written down.
    pub fn start(simulated: Simulated, sources: Vec<Source>) -> Chained {
        Chained::start_with(simulated, sources, Threads::default(), |_| ())
    }

    /// [`Chained::start`] with other threads; `prepare` is called before the recorder starts.
    pub fn start_with(
        simulated: Simulated,
        mut sources: Vec<Source>,
        threads: Threads,
        prepare: impl FnOnce(&Handle),
    ) -> Chained {
        let folder = folder();
        let record_frames = Some(folder.path().join("sent.tsv"));
        let (handle, venue): (Handle, Arc<dyn Venue>) = match simulated {
            Simulated::Okx(config) => {
                (okx::start(&okx::Config { record_frames, ..config }).unwrap(), Arc::new(Okx))
            }
            Simulated::Deribit(config, credentials) => {
                let handle = deribit::start(&deribit::Config { record_frames, ..config }).unwrap();
                (handle, Arc::new(Deribit::new(credentials)))
            }
        };
        prepare(&handle);
        for source in &mut sources {
            source.venue = venue.name().to_owned();
            source.websocket = vec![handle.websocket_url()];
            source.rest = vec![handle.rest_url()];
        }
        let data = folder.path().join("data");
        let settings = Settings {
            data_dir: data.clone(),
            sources,
            certificate_files: certificates(handle.certificate_pem(), folder.path()),
            threads,
            log: LogSettings::default(),
            books: BookSettings::default(),
        };
        let name = venue.name();
        let recorded = venue;
        let recorder = Recorder::start(settings.clone(), &[Arc::clone(&recorded)]).expect("recorder");
        let venue = if name == "okx" { "okx" } else { "deribit" };
        Chained { venue, handle, recorder: Some(recorder), recorded, settings, data, folder }
    }

    /// Starts another recorder on the same log.
    pub fn restart(&mut self) {
        let recorder = Recorder::start(self.settings.clone(), &[Arc::clone(&self.recorded)]);
        self.recorder = Some(recorder.expect("recorder"));
    }

    /// The recorder while it runs.
    pub fn recorder(&self) -> &Recorder {
        self.recorder.as_ref().expect("runs")
    }

    /// Waits until every connection is subscribed.
    pub fn wait_for_subscriptions(&self) {
        wait_until("all subscriptions", || {
            let connections = self.recorder().status().connections;
            !connections.is_empty() && connections.iter().all(|connection| connection.is_subscribed)
        });
    }

    /// Waits until every connection is subscribed, lets data flow, and waits until so many books are valid.
    pub fn feed(&self, books: usize) {
        self.wait_for_subscriptions();
        self.handle.start_feed();
        self.wait_for_books(books);
    }

    /// Waits until so many books are valid, and no others are known.
    pub fn wait_for_books(&self, books: usize) {
        wait_until("valid books", || self.recorder().status().normalisers.books == (books, books));
    }

    /// What was sent on a stream.
    pub fn stream(&self, market: &str, stream: &str) -> StreamLedger {
        let ledger = self.handle.ledger();
        ledger.stream(market, stream).unwrap_or_else(|| panic!("no {market} {stream}")).clone()
    }

    /// Waits until so many more messages were sent on a stream.
    pub fn wait_for_more(&self, market: &str, stream: &str, more: u64) {
        let before = self.stream(market, stream).messages;
        wait_until("messages", || self.stream(market, stream).messages >= before + more);
    }

    /// Pauses the venue, waits until everything sent is written, and stops the recorder.
    pub fn finish(&mut self) -> Finished {
        let ledger = self.handle.pause();
        // Without subscribers a book goes on from ids that nobody was told.
        let books = self.handle.markets().into_iter().flat_map(|market| {
            let symbols = self.handle.symbols(&market).into_iter();
            symbols.map(move |symbol| (market.clone(), symbol))
        });
        let final_book = |(market, symbol): (String, String)| {
            let book = Book::of_venue(&self.handle.final_book(&market, &symbol)?);
            Some(((market, symbol), book))
        };
        let books = books.filter_map(final_book).collect();
        super::stop(self.recorder.take().expect("runs"));
        Finished { ledger, rows: super::stored(&self.data), books }
    }

    /// The frames that were sent: connection, market and text, in their order.
    pub fn sent(&self) -> Vec<(String, String, String)> {
        let text = super::read_text(&self.folder.path().join("sent.tsv"));
        let line = |line: &str| {
            let mut parts = line.splitn(3, '\t').map(str::to_owned);
            (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
        };
        text.lines().map(line).collect()
    }
}

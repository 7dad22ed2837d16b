//! `bench universe`: thousands of instruments at once, how long until all are valid, and what they cost in memory.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use marketprism_core::instrument::Instrument;
use marketprism_core::venue::{Market, Venue};
use marketprism_runtime::{BookSettings, LogSettings, RawCapture, Recorder, Settings, Source, Threads};
use marketprism_simulator::{Config, Generated, Market as BinanceMarket, Simulator, deribit, host, okx};
use serde_json::json;

use super::minimum::{Minimum, Work};
use crate::config::venues;
use crate::local::{DataDir, Simulated};
use crate::text::{bytes, grouped};

/// A start may take so much longer than the venue's limits make it, in hundredths, and this constant.
const ALLOWED_PERCENT: u32 = 20;
const STARTING: Duration = Duration::from_secs(2);
/// Time between two looks at the recorder.
const STEP: Duration = Duration::from_millis(10);
/// A start that takes so much longer than it should is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A venue to be recorded as a whole.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VenueName {
    /// Deribit's options: books, tickers and trades.
    Deribit,
    /// Binance's spot: books.
    Binance,
    /// OKX's options: books.
    Okx,
}

/// Arguments of `bench universe`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The venue.
    #[arg(long, value_enum, default_value = "deribit")]
    venue: VenueName,
    /// Instruments; without it 3000 of Deribit, 1500 of Binance, 1000 of OKX.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=5000))]
    symbols: Option<u32>,
    /// Print the result as one JSON object on the last line of standard output.
    #[arg(long)]
    json: bool,
}

/// What is recorded of a venue.
struct Universe {
    simulated: Simulated,
    venue: Arc<dyn Venue>,
    market: &'static Market,
    symbols: usize,
    source: Source,
}

/// What was measured.
struct Measured {
    /// From the call that starts the recorder to its return: the definitions are fetched.
    starting: Duration,
    /// From then on; `None` where it did not come to that.
    subscribed: Option<Duration>,
    valid: Option<Duration>,
    minimum: Minimum,
    work: Work,
    connections: usize,
    connects: u64,
    books: (usize, usize),
    rest: (u64, u64),
    /// Of the process, venue included: before the recorder and with all books valid.
    resident_bytes: (u64, u64),
    book_memory_bytes: usize,
    problems: Vec<String>,
}

/// Runs the measurement; false where the start took too long or a rule of the venue was broken.
pub(super) fn run(arguments: &Arguments) -> Result<bool, String> {
    let universe = Universe::start(arguments)?;
    let data_dir = DataDir::new(None)?;
    let measured = universe.measure(&data_dir.path())?;
    let good = measured.is_in_time() && measured.problems.is_empty();
    universe.print(&measured);
    if arguments.json {
        println!("{}", universe.json(&measured));
    }
    Ok(good)
}

impl Universe {
    fn start(arguments: &Arguments) -> Result<Universe, String> {
        let (name, market, channels, usual): (_, _, &[&str], _) = match arguments.venue {
            VenueName::Deribit => ("deribit", "option", &["book", "ticker", "trade"], 3000),
            VenueName::Binance => ("binance", "spot", &["book@100ms"], 1500),
            VenueName::Okx => ("okx", "option", &["book"], 1000),
        };
        let symbols = arguments.symbols.unwrap_or(usual) as usize;
        let simulated = simulated(arguments.venue, symbols)?;
        let (websocket, rest) = match &simulated {
            Simulated::Binance(simulator, _) => {
                (simulator.websocket_url(BinanceMarket::Spot), simulator.rest_url(BinanceMarket::Spot))
            }
            Simulated::Okx(handle) | Simulated::Deribit(handle) => {
                (handle.websocket_url(), handle.rest_url())
            }
        };
        let venue = venues().into_iter().find(|venue| venue.name() == name);
        let venue = venue.ok_or_else(|| format!("no venue {name}"))?;
        let found = venue.market(market).ok_or_else(|| format!("{name} has no market {market}"))?;
        let source = Source {
            venue: name.into(),
            market: market.into(),
            symbols: vec!["*".into()],
            exclude: vec![],
            channels: channels.iter().map(|channel| (*channel).to_owned()).collect(),
            websocket: vec![websocket],
            rest: vec![rest],
            raw: RawCapture::default(),
        };
        Ok(Universe { simulated, venue, market: found, symbols, source })
    }

    fn measure(&self, data_dir: &Path) -> Result<Measured, String> {
        let settings = Settings {
            data_dir: data_dir.to_owned(),
            sources: vec![self.source.clone()],
            certificate_files: vec![],
            threads: Threads::default(),
            log: LogSettings::default(),
            books: BookSettings::default(),
        };
        let resident_before = resident_bytes();
        let start = Instant::now();
        let recorder = Recorder::start(settings, &venues()).map_err(|error| error.to_string())?;
        let starting = start.elapsed();
        let status = recorder.status();
        let work = self.work(status.connections.iter().map(|connection| connection.streams).sum());
        let minimum = Minimum::of(self.market, work);
        let (subscribed, valid) = self.wait(&recorder, minimum.valid + PATIENCE);
        let status = recorder.status();
        let resident_bytes = (resident_before, resident_bytes());
        let mut problems = self.simulated.pause().violations;
        if subscribed.is_none() || valid.is_none() {
            recorder.events().drain(|event| problems.push(event.text.clone()));
        }
        if status.dropped > 0 {
            problems.push(format!("{} records dropped", status.dropped));
        }
        problems.extend(recorder.stop().problems);
        Ok(Measured {
            starting,
            subscribed,
            valid,
            minimum,
            work,
            connections: status.connections.len(),
            connects: status.connections.iter().map(|connection| connection.connects).sum(),
            books: status.normalisers.books,
            rest: status.rest,
            resident_bytes,
            book_memory_bytes: status.normalisers.book_memory_bytes,
            problems,
        })
    }

    /// Everything that the venue counts until all books are valid.
    fn work(&self, streams: usize) -> Work {
        let definitions = self.venue.instruments_requests(self.market);
        let example = Instrument::unknown(&self.source.venue, &self.source.market, "EXAMPLE");
        let snapshot = self.venue.snapshot_request(self.market, &example, self.symbols);
        let weight_of_books = snapshot.map_or(0, |request| request.weight as usize) * self.symbols;
        Work {
            streams,
            books: self.symbols,
            opening_requests: self.venue.opening(self.market, 1).len(),
            rest_weight: definitions.iter().map(|request| request.weight as usize).sum::<usize>()
                + weight_of_books,
        }
    }

    /// Times until all connections are subscribed and until all books are valid.
    fn wait(&self, recorder: &Recorder, limit: Duration) -> (Option<Duration>, Option<Duration>) {
        let start = Instant::now();
        let (mut subscribed, mut valid) = (None, None);
        while start.elapsed() < limit && (subscribed.is_none() || valid.is_none()) {
            std::thread::sleep(STEP);
            let status = recorder.status();
            if subscribed.is_none() && status.connections.iter().all(|connection| connection.is_subscribed) {
                subscribed = Some(start.elapsed());
            }
            if valid.is_none() && status.normalisers.books.0 >= self.symbols {
                valid = Some(start.elapsed());
            }
        }
        (subscribed, valid)
    }

    fn print(&self, measured: &Measured) {
        let time = |time: Option<Duration>| {
            time.map_or("never".into(), |time| format!("{:.1} s", time.as_secs_f64()))
        };
        let Measured { minimum, work, .. } = measured;
        println!(
            "{} {}: {} instruments",
            self.source.venue,
            self.source.market,
            grouped(self.symbols as u64)
        );
        println!(
            "  {} streams on {} connections (at least {}), {} connects",
            grouped(work.streams as u64),
            measured.connections,
            minimum.connections,
            measured.connects
        );
        println!("  definitions fetched and threads started in {}", time(Some(measured.starting)));
        println!(
            "  all subscribed after {} (the limits allow {})",
            time(measured.subscribed),
            time(Some(minimum.subscribed))
        );
        println!(
            "  all books valid after {} (the limits allow {}); {} of {} are",
            time(measured.valid),
            time(Some(minimum.valid)),
            measured.books.0,
            self.symbols
        );
        println!(
            "  REST weight {}, {} answers and {} failures",
            grouped(work.rest_weight as u64),
            measured.rest.0,
            measured.rest.1
        );
        println!(
            "  resident {} before, {} after, venue included; books {}, {} each",
            bytes(measured.resident_bytes.0),
            bytes(measured.resident_bytes.1),
            bytes(measured.book_memory_bytes as u64),
            bytes(measured.bytes_per_book() as u64)
        );
        measured.problems.iter().take(20).for_each(|problem| println!("  problem: {problem}"));
    }

    fn json(&self, measured: &Measured) -> serde_json::Value {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        json!({
            "scenario": "universe",
            "venue": self.source.venue,
            "market": self.source.market,
            "instruments": self.symbols,
            "streams": measured.work.streams,
            "connections": measured.connections,
            "connects": measured.connects,
            "starting_seconds": measured.starting.as_secs_f64(),
            "subscribed_seconds": seconds(measured.subscribed),
            "valid_seconds": seconds(measured.valid),
            "minimum_connections": measured.minimum.connections,
            "minimum_subscribed_seconds": measured.minimum.subscribed.as_secs_f64(),
            "minimum_valid_seconds": measured.minimum.valid.as_secs_f64(),
            "in_time": measured.is_in_time(),
            "valid_books": measured.books.0,
            "rest_weight": measured.work.rest_weight,
            "rest_answers": measured.rest.0,
            "rest_failures": measured.rest.1,
            "resident_before_bytes": measured.resident_bytes.0,
            "resident_after_bytes": measured.resident_bytes.1,
            "book_memory_bytes": measured.book_memory_bytes,
            "book_memory_per_book_bytes": measured.bytes_per_book(),
            "problems": measured.problems,
        })
    }
}

impl Measured {
    fn is_in_time(&self) -> bool {
        let allowed = self.minimum.valid * (100 + ALLOWED_PERCENT) / 100 + STARTING;
        self.subscribed.is_some() && self.valid.is_some_and(|valid| valid <= allowed)
    }

    fn bytes_per_book(&self) -> usize {
        self.book_memory_bytes / self.books.1.max(1)
    }
}

/// A venue whose market is busy enough for every instrument to be heard of within seconds: on Binance a book begins
/// with a change, and the quietest instruments of the generated market have few.
fn simulated(venue: VenueName, symbols: usize) -> Result<Simulated, String> {
    let failed = |error: marketprism_simulator::Error| error.to_string();
    let generated = |rate| Generated { seed: 1, symbols, messages_per_second: Some(rate) };
    let hosted = host::Source::Generated(generated(5_000));
    match venue {
        VenueName::Deribit => {
            deribit::start(&host::Config::new(hosted)).map(Simulated::Deribit).map_err(failed)
        }
        VenueName::Okx => okx::start(&host::Config::new(hosted)).map(Simulated::Okx).map_err(failed),
        VenueName::Binance => {
            // The share of the quietest falls with the square of their number.
            let rate = (symbols as u64).pow(2) / 37;
            let source = marketprism_simulator::Source::Generated(generated(rate.clamp(1_000, 100_000)));
            let config = Config { markets: vec![BinanceMarket::Spot], ..Config::new(source) };
            let simulator = Simulator::start(config).map_err(failed)?;
            Ok(Simulated::Binance(simulator, vec![BinanceMarket::Spot]))
        }
    }
}

/// Memory of this process that is resident, bytes; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

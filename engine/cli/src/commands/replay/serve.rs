//! `replay --serve`: the history of a log by the venues' own WebSocket and REST interfaces, on loopback.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use marketprism_core::instrument::InstrumentType;
use marketprism_log::{LogError, ReadReport};
use marketprism_simulator::history::{Beginning, History, Timeline};
use marketprism_simulator::{Config, Market, Simulator, Source as Feed, deribit, host, okx};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::super::inspect::refuse;
use super::super::query::filter::Filter;
use super::super::query::source::{Source, report_problems};
use super::reader::Reader;
use super::summary::{Server, Summary, print_servers};
use crate::EXIT_BAD;
use crate::local::Simulated;

/// Time between the first subscription and the beginning: clients subscribe in several requests.
const SUBSCRIBING: Duration = Duration::from_secs(1);
/// How long the servers stay when all is played: clients may still want snapshots of their books.
const LAST_REQUESTS: Duration = Duration::from_secs(1);
/// Time between two looks at how far it has come.
const STEP: Duration = Duration::from_millis(20);

/// When it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Immediately,
    Subscribed,
    Streams(usize),
}

/// Reads `--start`.
pub(super) fn start(text: &str) -> Result<Start, String> {
    match (text, text.parse()) {
        ("immediately", _) => Ok(Start::Immediately),
        ("subscribed", _) => Ok(Start::Subscribed),
        (_, Ok(streams)) if streams > 0 => Ok(Start::Streams(streams)),
        _ => Err("write immediately, subscribed, or a number of streams from 1 on".to_owned()),
    }
}

/// How a history is served.
pub(super) struct Options {
    /// How many times as fast as received; `None`: as fast as the clients take it.
    pub(super) speed: Option<u32>,
    pub(super) start: Start,
    /// The first port; `None` takes any free ones.
    pub(super) port: Option<u16>,
    pub(super) json: bool,
}

/// A venue and its markets that are served.
type Markets = BTreeMap<String, Vec<String>>;

/// Serves the wanted part of a log until all of it is played, or a signal comes.
pub(super) fn run(source: &Source, filter: Filter, options: &Options) -> ExitCode {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&stop)) {
            eprintln!("cannot catch signals: {error}");
            return ExitCode::from(EXIT_BAD);
        }
    }
    let markets = match markets(source, &filter) {
        Ok(markets) if markets.is_empty() => return refuse("the log has no wanted instrument"),
        Ok(markets) => markets,
        Err(error) => return fail(&error),
    };
    let beginning = match options.start {
        Start::Immediately => Beginning::Immediately,
        Start::Subscribed => Beginning::AfterSubscription(SUBSCRIBING),
        Start::Streams(count) => Beginning::WhenSubscribed(count),
    };
    let timeline = Arc::new(Timeline::new(options.speed, beginning));
    let (mut senders, mut histories) = (BTreeMap::new(), BTreeMap::new());
    for venue in markets.keys() {
        let (sender, history) = History::new(Arc::clone(&timeline));
        senders.insert(venue.clone(), sender);
        histories.insert(venue.clone(), history);
    }
    let reader = Reader::new(source, filter, timeline, senders);
    thread::scope(|scope| {
        // Venues wait at their start for what the reader tells.
        let reading = scope.spawn(move || reader.read());
        let served = match start_all(&markets, histories, options.port) {
            Ok(served) => served,
            Err(error) => return fail(&error),
        };
        print_servers(&servers(&served, &markets), options.json);
        play(&served, &stop);
        let summary = Summary::new(&served);
        // The reader ends when nobody listens any more.
        drop(served);
        let Ok(read) = reading.join() else { return fail(&"the reader of the log ended unexpectedly") };
        finish(read, &summary, options.json)
    })
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(EXIT_BAD)
}

/// The markets that the log knows wanted instruments of.
fn markets(source: &Source, filter: &Filter) -> Result<Markets, LogError> {
    let mut markets = Markets::new();
    for instrument in source.registry()?.all() {
        if instrument.instrument_type == InstrumentType::Market || !filter.names(instrument) {
            continue;
        }
        let of_venue = markets.entry(instrument.venue.clone()).or_default();
        if !of_venue.contains(&instrument.market) {
            of_venue.push(instrument.market.clone());
        }
    }
    Ok(markets)
}

/// Starts a server for each venue; Binance has one for each market.
fn start_all(
    markets: &Markets,
    mut histories: BTreeMap<String, History>,
    mut port: Option<u16>,
) -> Result<Vec<Simulated>, String> {
    let mut served = Vec::new();
    // Binance comes last: its start waits for the reader, which waits for the others to listen.
    for (venue, of_venue) in markets.iter().rev() {
        let Some(history) = histories.remove(venue) else { continue };
        let ports = if venue == "binance" { of_venue.len() as u16 } else { 1 };
        let first = port;
        port = port.map(|first| first.checked_add(ports).ok_or("--port leaves no room")).transpose()?;
        let started = match venue.as_str() {
            "binance" => binance(history, of_venue, first)?,
            "okx" => okx::start(&hosted(history, first)).map(Simulated::Okx).map_err(|e| e.to_string())?,
            "deribit" => {
                deribit::start(&hosted(history, first)).map(Simulated::Deribit).map_err(|e| e.to_string())?
            }
            other => return Err(format!("{other} cannot be served: no such venue is known")),
        };
        served.push(started);
    }
    Ok(served)
}

fn hosted<L: Default>(history: History, port: Option<u16>) -> host::Config<L> {
    host::Config { port, ..host::Config::new(host::Source::History(history)) }
}

fn binance(history: History, of_venue: &[String], first: Option<u16>) -> Result<Simulated, String> {
    let markets = of_venue.iter().map(|market| market.parse()).collect::<Result<Vec<Market>, _>>()?;
    let mut config = Config::new(Feed::History(history));
    config.ports = first.map(|first| {
        let mut ports = [0; 3];
        for (port, market) in (first..).zip(&markets) {
            ports[*market as usize] = port;
        }
        ports
    });
    config.markets = markets.clone();
    let simulator = Simulator::start(config).map_err(|error| error.to_string())?;
    Ok(Simulated::Binance(simulator, markets))
}

fn servers(served: &[Simulated], markets: &Markets) -> Vec<Server> {
    let mut servers = Vec::new();
    for venue in served {
        for market in markets.get(venue.venue()).into_iter().flatten() {
            let (websocket, rest) = match venue {
                Simulated::Binance(simulator, _) => {
                    let Ok(market) = market.parse() else { continue };
                    (simulator.websocket_url(market), simulator.rest_url(market))
                }
                Simulated::Okx(handle) | Simulated::Deribit(handle) => {
                    (handle.websocket_url(), handle.rest_url())
                }
            };
            servers.push(Server { venue: venue.venue(), market: market.clone(), websocket, rest });
        }
    }
    servers
}

/// Waits until everything is played and written, and the clients had time for their last requests.
fn play(served: &[Simulated], stop: &AtomicBool) {
    let is_finished = |venue: &Simulated| match venue {
        Simulated::Binance(simulator, _) => simulator.ledger().finished,
        Simulated::Okx(handle) | Simulated::Deribit(handle) => handle.ledger().finished,
    };
    while !stop.load(Ordering::Relaxed) && !served.iter().all(is_finished) {
        thread::sleep(STEP);
    }
    for venue in served {
        venue.pause();
    }
    let end = Instant::now() + LAST_REQUESTS;
    while !stop.load(Ordering::Relaxed) && Instant::now() < end {
        thread::sleep(STEP);
    }
}

fn finish(read: Result<ReadReport, LogError>, summary: &Summary, json: bool) -> ExitCode {
    let code = match read {
        Ok(report) => report_problems(&report.problems),
        Err(error) => fail(&error),
    };
    summary.print(json);
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_or_a_number_of_streams() {
        assert_eq!(
            (start("immediately"), start("subscribed"), start("12")),
            (Ok(Start::Immediately), Ok(Start::Subscribed), Ok(Start::Streams(12)))
        );
        for text in ["0", "-1", "now", ""] {
            assert!(start(text).is_err(), "{text}");
        }
    }
}

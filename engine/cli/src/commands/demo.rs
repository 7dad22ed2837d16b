//! `demo`: simulated venues and the recorder in one command, with a live view and a verification.

mod view;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use marketprism_core::record::Kind;
use marketprism_log::{Verification, verify};
use marketprism_runtime::{Status, Threads};
use marketprism_simulator::{Config, Generated, Limits, Simulator, Source, deribit, host, okx};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::commands::run::print_event;
use crate::config::venues;
use crate::local::{DataDir, Local, Simulated};
use crate::reconcile::{Reconciliation, reconcile};
use crate::text::{bytes, duration_ns, grouped};
use crate::{EXIT_BAD, EXIT_USAGE};

/// What the demo records of Binance; futures have all of it, spot what it has.
const CHANNELS: [&str; 11] = [
    "trade",
    "agg_trade",
    "book@100ms",
    "quote",
    "ticker",
    "mark_price",
    "liquidation",
    "candle@1m",
    "open_interest",
    "long_short_ratio",
    "funding_rate",
];
/// Each venue's part of the rate, percent.
const SHARES: [u64; 3] = [60, 25, 15];
/// What every venue has and the verification therefore demands.
const KINDS: [Kind; 11] = [
    Kind::Trade,
    Kind::BookSnapshot,
    Kind::BookDelta,
    Kind::Quote,
    Kind::Ticker,
    Kind::MarkPrice,
    Kind::FundingRate,
    Kind::OpenInterest,
    Kind::Liquidation,
    Kind::Candle,
    Kind::ClockSample,
];
/// What a venue has besides.
const MORE_KINDS: [(&str, &[Kind]); 3] = [
    ("binance", &[Kind::AggTrade, Kind::LongShortRatio]),
    ("okx", &[Kind::LongShortRatio, Kind::Greeks]),
    ("deribit", &[Kind::VolatilityIndex, Kind::Greeks]),
];
/// Time between two pictures of the live view.
const FRAME: Duration = Duration::from_millis(250);

/// Arguments of `demo`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long to record.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Keep the recording in this folder; without it a temporary one is used and removed.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Messages a second of the three simulated venues together; 0 means as fast as they are taken.
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// Symbols in each market of each venue.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    symbols: u32,
    /// Print the result as one JSON object on the last line of standard output.
    #[arg(long)]
    json: bool,
}

/// Records, drains, verifies, compares.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let data_dir = match DataDir::new(arguments.data_dir.clone()) {
        Ok(data_dir) => data_dir,
        Err(error) => return fail(&error),
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&stop)) {
            return fail(&format!("cannot catch signals: {error}"));
        }
    }
    let started = simulated(&arguments)
        .and_then(|venues| Local::start(venues, &data_dir.path(), &CHANNELS, Threads::default()));
    let local = match started {
        Ok(local) => local,
        Err(error) => return fail(&error),
    };
    let started = Instant::now();
    watch(&local, &arguments, &stop);
    finish(local, started, &data_dir, &arguments)
}

fn fail(error: &str) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(EXIT_USAGE)
}

/// Starts the venues.
fn simulated(arguments: &Arguments) -> Result<Vec<Simulated>, String> {
    let generated = |share: u64| Generated {
        seed: 1,
        symbols: arguments.symbols as usize,
        messages_per_second: (arguments.rate > 0).then_some((arguments.rate * share / 100).max(1)),
    };
    let [binance, okx, deribit] = SHARES.map(generated);
    let mut config = Config::new(Source::Generated(binance));
    // A second of patience is enough to show a ping and its pong in a short demo.
    config.limits = Limits { ping_interval: [Duration::from_secs(5); 3], ..Limits::default() };
    let markets = config.markets.clone();
    let failed = |error: marketprism_simulator::Error| error.to_string();
    let simulator = Simulator::start(config).map_err(failed)?;
    let okx = okx::start(&okx::Config::new(host::Source::Generated(okx))).map_err(failed)?;
    let deribit = deribit::start(&deribit::Config::new(host::Source::Generated(deribit))).map_err(failed)?;
    Ok(vec![Simulated::Binance(simulator, markets), Simulated::Okx(okx), Simulated::Deribit(deribit)])
}

/// Shows the recorder at work until the time is up or a signal comes.
fn watch(local: &Local, arguments: &Arguments, stop: &AtomicBool) {
    let picture = std::io::stderr().is_terminal();
    let mut view = view::View::new(Duration::from_secs(arguments.seconds), picture);
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    while Instant::now() < end && !stop.load(Ordering::Relaxed) && local.recorder.is_writing() {
        std::thread::sleep(FRAME.min(end.saturating_duration_since(Instant::now())));
        local.recorder.events().drain(|event| {
            if !picture {
                print_event(event);
            }
        });
        view.show(&local.recorder);
    }
}

fn finish(local: Local, started: Instant, data_dir: &DataDir, arguments: &Arguments) -> ExitCode {
    eprintln!("the venues stop; writing what is left, then verifying …");
    let sent = local.drain();
    let recorded = started.elapsed();
    let status = local.recorder.status();
    let first_sequence = local.recorder.first_sequence();
    let truth = local.final_books();
    let ending = local.recorder.stop();
    ending.problems.iter().for_each(|problem| eprintln!("problem: {problem}"));
    let venues = venues();
    let checked = verify(&data_dir.path()).map_err(|error| error.to_string()).and_then(|verification| {
        let comparison = reconcile(&data_dir.path(), first_sequence, &sent, &truth, &venues)?;
        Ok((verification, comparison))
    });
    let (verification, comparison) = match checked {
        Ok(checked) => checked,
        Err(error) => {
            eprintln!("cannot verify: {error}");
            return ExitCode::from(EXIT_BAD);
        }
    };
    let rate = (status.frames() as f64 / recorded.as_secs_f64()) as u64;
    let missing = missing(&verification);
    let good = ending.problems.is_empty()
        && missing.is_empty()
        && is_good(&verification, &comparison, &sent.violations);
    print_summary(&status, rate, &verification, &comparison);
    missing.iter().for_each(|what| println!("  NOTHING of {what}"));
    sent.violations.iter().for_each(|violation| println!("rule of the venue broken: {violation}"));
    println!();
    println!("{}", if good { "All good." } else { "NOT good: see above." });
    if let DataDir::Kept(path) = data_dir {
        println!("The recording is in {0}: try `marketprism inspect {0}`.", path.display());
    }
    if arguments.json {
        let result = json!({
            "sent": comparison.sent,
            "stored": comparison.stored,
            "lost": comparison.lost,
            "duplicated": comparison.duplicated,
            "books_equal": comparison.books_equal,
            "books_different": comparison.books_different,
            "messages_per_second": rate,
            "latency_us": microseconds(&status.writer.latency),
            "verify": verification,
        });
        println!("{result}");
    }
    if good { ExitCode::SUCCESS } else { ExitCode::from(EXIT_BAD) }
}

/// Kinds that a venue has and the log does not.
fn missing(verification: &Verification) -> Vec<String> {
    let recorded = |venue: &str, kind: Kind| {
        verification
            .streams
            .iter()
            .any(|stream| stream.venue == venue && stream.kind == kind && stream.records > 0)
    };
    let kinds = |more: &'static [Kind]| KINDS.iter().chain(more).copied();
    let all = MORE_KINDS.iter().flat_map(|(venue, more)| kinds(more).map(move |kind| (*venue, kind)));
    all.filter(|(venue, kind)| !recorded(venue, *kind))
        .map(|(venue, kind)| format!("{venue} {}", kind.name()))
        .collect()
}

/// Everything sent is stored once, the log is sound, and no rule was broken.
fn is_good(verification: &Verification, comparison: &Reconciliation, violations: &[String]) -> bool {
    verification.ok
        && verification.gaps == 0
        && (comparison.lost, comparison.duplicated, comparison.books_different) == (0, 0, 0)
        && comparison.stored > 0
        && comparison.books_equal > 0
        && violations.is_empty()
}

fn print_summary(status: &Status, rate: u64, verification: &Verification, comparison: &Reconciliation) {
    let latency = &status.writer.latency;
    println!();
    println!("What was recorded");
    println!("  messages    {} received, {} a second", grouped(status.frames()), grouped(rate));
    println!("  records     {} in {}", grouped(verification.records), bytes(verification.bytes));
    for (market, kinds) in by_market(verification) {
        println!("  {market:<18} {kinds}");
    }
    println!(
        "  latency     from the socket to the file: half within {}, 99 % within {}",
        duration_ns(latency.value_at_quantile(0.5)),
        duration_ns(latency.value_at_quantile(0.99))
    );
    println!();
    println!("Is it complete and right?");
    let lost = match comparison.lost {
        0 => "nothing lost".to_owned(),
        lost => format!("{} LOST", grouped(lost)),
    };
    let duplicated = match comparison.duplicated {
        0 => "nothing stored twice".to_owned(),
        duplicated => format!("{} STORED TWICE", grouped(duplicated)),
    };
    let (sent, stored) = (grouped(comparison.sent), grouped(comparison.stored));
    println!("  the venues sent {sent}, the log holds {stored}: {lost}, {duplicated}");
    println!(
        "  {} order books rebuilt from the log equal the venues' own, {} differ",
        comparison.books_equal, comparison.books_different
    );
    println!(
        "  checksums and sequence of every stream: {} problems, {} holes",
        verification.problems.len(),
        verification.gaps
    );
    verification.problems.iter().take(10).for_each(|problem| println!("    {problem}"));
}

/// Records by kind, for each market.
fn by_market(verification: &Verification) -> Vec<(String, String)> {
    let mut markets: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for stream in &verification.streams {
        let market = format!("{}/{}", stream.venue, stream.market);
        *markets.entry(market).or_default().entry(stream.kind.name()).or_default() += stream.records;
    }
    let text = |kinds: BTreeMap<&str, u64>| {
        kinds.iter().map(|(kind, count)| format!("{kind} {}", grouped(*count))).collect::<Vec<_>>().join(", ")
    };
    markets.into_iter().map(|(market, kinds)| (market, text(kinds))).collect()
}

/// Quantiles in microseconds, as the design's interface has them.
pub(crate) fn microseconds(histogram: &Histogram<u64>) -> serde_json::Value {
    let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    json!({
        "p50": at(0.5),
        "p99": at(0.99),
        "p99_9": at(0.999),
        "p99_99": at(0.9999),
        "max": histogram.max() as f64 / 1000.0,
    })
}

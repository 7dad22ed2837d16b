//! `bench`: throughput, latency and the start of the whole path, generator included, on this machine.

mod minimum;
mod universe;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Subcommand, ValueEnum};
use hdrhistogram::Histogram;
use marketprism_log::verify;
use marketprism_runtime::telemetry::latency_histogram;
use marketprism_runtime::{Status, Threads, TransportChoice};
use marketprism_simulator::{Capture, Config, Generated, Limits, Market, Pace, Simulator, Source, Start};
use serde_json::json;

use super::demo::microseconds;
use crate::EXIT_BAD;
use crate::local::{DataDir, Local, Simulated};
use crate::text::{bytes, duration_ns, grouped};

/// Captured frames of one minute on three markets, in the folder of captures.
const CAPTURE: &str = "hbt-20240808-a";
/// Channels of the generated market.
const GENERATED_CHANNELS: [&str; 4] = ["trade", "agg_trade", "book@100ms", "quote"];

/// Arguments of `bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Messages a second from a flat-out venue to checked segments.
    Throughput(Throughput),
    /// Latency at a fixed message rate.
    Latency(Latency),
    /// Thousands of instruments at once: the time until all are valid, and what they cost in memory.
    Universe(universe::Arguments),
}

/// What the venue sends.
#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// Captured frames of spot, USD-M and COIN-M in their own mix, repeated with ids going on.
    Mix,
    /// The trades among them.
    Trades,
    /// The generated market.
    Generated,
}

/// Arguments that both have.
#[derive(clap::Args)]
struct Common {
    /// How long to measure.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Over TLS.
    #[arg(long)]
    tls: bool,
    /// Folder for the log; without it a temporary one is used and removed.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Symbols in each market of the generated market.
    #[arg(long, default_value_t = 8)]
    symbols: usize,
    /// Use epoll in place of io_uring.
    #[arg(long)]
    epoll: bool,
    /// Print the result as one JSON object on the last line of standard output.
    #[arg(long)]
    json: bool,
}

/// Arguments of `bench throughput`.
#[derive(clap::Args)]
struct Throughput {
    /// What the venue sends.
    #[arg(long, value_enum, default_value_t = Scenario::Mix)]
    scenario: Scenario,
    #[command(flatten)]
    common: Common,
}

/// Arguments of `bench latency`.
#[derive(clap::Args)]
struct Latency {
    /// Messages a second.
    #[arg(long, default_value_t = 100_000)]
    rate: u64,
    /// Seconds before the measurement, not counted.
    #[arg(long, default_value_t = 2)]
    warm_up: u64,
    #[command(flatten)]
    common: Common,
}

/// Runs one measurement.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let result = match arguments.what {
        What::Throughput(arguments) => throughput(&arguments),
        What::Latency(arguments) => latency(&arguments),
        What::Universe(arguments) => universe::run(&arguments),
    };
    match result {
        Ok(good) if good => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(EXIT_BAD),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_BAD)
        }
    }
}

fn binance(config: Config) -> Result<Simulated, String> {
    let markets = config.markets.clone();
    let simulator = Simulator::start(config).map_err(|error| error.to_string())?;
    Ok(Simulated::Binance(simulator, markets))
}

fn threads(common: &Common) -> Threads {
    let transport = if common.epoll { TransportChoice::Epoll } else { TransportChoice::Auto };
    Threads { transport, ..Threads::default() }
}

fn throughput(arguments: &Throughput) -> Result<bool, String> {
    let common = &arguments.common;
    let (config, channels, name) = scenario(arguments.scenario, common)?;
    let data_dir = DataDir::new(common.data_dir.clone())?;
    let local = Local::start(vec![binance(config)?], &data_dir.path(), &channels, threads(common))?;
    wait_for_subscriptions(&local)?;
    let started = Instant::now();
    let cpu_before = process_cpu();
    local.start_feed();
    std::thread::sleep(Duration::from_secs(common.seconds));
    let sent: u64 = local.venues.iter().map(|venue| venue.pause().deliveries).sum();
    wait_for_written(&local);
    let seconds = started.elapsed().as_secs_f64();
    let status = local.recorder.status();
    let process_cpu = process_cpu() - cpu_before;
    let transport = local.recorder.transport().name();
    let ending = local.recorder.stop();
    let verification = verify(&data_dir.path()).map_err(|error| error.to_string())?;

    let messages = status.frames();
    let lost = sent.saturating_sub(messages) + status.dropped + verification.gaps;
    let per_second = messages as f64 / seconds;
    let cpu = cpu_by_stage(&status, process_cpu);
    println!("{name} over {transport}{}", if common.tls { " with TLS" } else { "" });
    println!(
        "  {} messages, {} in {seconds:.2} s: {} messages a second, {} a second",
        grouped(messages),
        bytes(status.bytes()),
        grouped(per_second as u64),
        bytes((status.bytes() as f64 / seconds) as u64)
    );
    println!(
        "  {} records, {} on disk, lost {lost}",
        grouped(verification.records),
        bytes(verification.bytes)
    );
    println!("  CPU seconds: {cpu}");
    verification.problems.iter().take(5).for_each(|problem| println!("  problem: {problem}"));
    ending.problems.iter().for_each(|problem| println!("  problem: {problem}"));
    if common.json {
        let result = json!({
            "scenario": name,
            "transport": transport,
            "tls": common.tls,
            "messages": messages,
            "seconds": seconds,
            "messages_per_second": per_second,
            "bytes_per_second": status.bytes() as f64 / seconds,
            "records": verification.records,
            "disk_bytes": verification.bytes,
            "cpu_seconds": cpu,
            "lost": lost,
        });
        println!("{result}");
    }
    Ok(verification.ok && lost == 0 && ending.problems.is_empty())
}

fn scenario(
    scenario: Scenario,
    common: &Common,
) -> Result<(Config, Vec<&'static str>, &'static str), String> {
    let (source, channels, name) = match scenario {
        Scenario::Mix => (captured()?, vec![], "captured mix"),
        Scenario::Trades => (captured()?, vec!["trade"], "captured trades"),
        Scenario::Generated => {
            let source = Generated { seed: 1, symbols: common.symbols, messages_per_second: None };
            (Source::Generated(source), GENERATED_CHANNELS.to_vec(), "generated market")
        }
    };
    let mut config = Config::new(source);
    config.tls = common.tls;
    config.start = Start::Manual;
    config.limits = Limits { stale_snapshots: false, ..Limits::default() };
    Ok((config, channels, name))
}

/// The captured frames, played for ever and flat out.
fn captured() -> Result<Source, String> {
    let root = std::env::var_os("MARKETPRISM_CAPTURES").map_or("../shared/captures".into(), PathBuf::from);
    let folders: Vec<(Market, PathBuf)> = Market::ALL
        .iter()
        .map(|market| (*market, root.join("binance").join(market.name()).join(CAPTURE)))
        .collect();
    match folders.iter().find(|(_, folder)| !folder.is_dir()) {
        Some((_, missing)) => Err(format!(
            "no captured frames in {}: set MARKETPRISM_CAPTURES, or use --scenario generated",
            missing.display()
        )),
        None => Ok(Source::Capture(Capture { folders, pace: Pace::Flat, loops: u32::MAX })),
    }
}

fn latency(arguments: &Latency) -> Result<bool, String> {
    let common = &arguments.common;
    let messages_per_second = Some(arguments.rate);
    let source = Generated { seed: 1, symbols: common.symbols, messages_per_second };
    let mut config = Config::new(Source::Generated(source));
    config.tls = common.tls;
    config.start = Start::Manual;
    let data_dir = DataDir::new(common.data_dir.clone())?;
    let venues = vec![binance(config)?];
    let local = Local::start(venues, &data_dir.path(), &GENERATED_CHANNELS, threads(common))?;
    wait_for_subscriptions(&local)?;
    local.start_feed();
    std::thread::sleep(Duration::from_secs(arguments.warm_up));
    let hiccups = Hiccups::start();
    let before = local.recorder.status();
    let started = Instant::now();
    std::thread::sleep(Duration::from_secs(common.seconds));
    let after = local.recorder.status();
    let seconds = started.elapsed().as_secs_f64();
    let hiccups = hiccups.stop();
    let sent = local.drain().deliveries;
    let status = local.recorder.status();
    let transport = local.recorder.transport().name();
    let ending = local.recorder.stop();
    let verification = verify(&data_dir.path()).map_err(|error| error.to_string())?;

    let normalised = difference(&after.normalisers.latency, &before.normalisers.latency);
    let appended = difference(&after.writer.latency, &before.writer.latency);
    let rate = (after.frames() - before.frames()) as f64 / seconds;
    let lost = sent.saturating_sub(status.frames()) + status.dropped + verification.gaps;
    println!(
        "generated market at {} messages a second over {transport}, {seconds:.1} s",
        grouped(rate as u64)
    );
    print_quantiles("read → normalised", &normalised);
    print_quantiles("read → appended", &appended);
    print_quantiles("hiccups of the machine", &hiccups);
    println!("  lost {lost}");
    if common.json {
        let result = json!({
            "scenario": "generated market",
            "transport": transport,
            "tls": common.tls,
            "rate": rate,
            "read_to_normalised_us": microseconds(&normalised),
            "read_to_appended_us": microseconds(&appended),
            "hiccup_us": microseconds(&hiccups),
            "lost": lost,
        });
        println!("{result}");
    }
    Ok(verification.ok && lost == 0 && ending.problems.is_empty())
}

fn print_quantiles(name: &str, histogram: &Histogram<u64>) {
    let at = |quantile| duration_ns(histogram.value_at_quantile(quantile));
    println!(
        "  {name:<24} p50 {:>9}  p99 {:>9}  p99.9 {:>9}  p99.99 {:>9}  max {:>9}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(0.9999),
        duration_ns(histogram.max())
    );
}

fn difference(after: &Histogram<u64>, before: &Histogram<u64>) -> Histogram<u64> {
    let mut difference = after.clone();
    // `before` is an earlier state of the same histogram: every count in it is in `after`.
    let _ = difference.subtract::<&Histogram<u64>>(before);
    difference
}

/// Until every connection is subscribed.
fn wait_for_subscriptions(local: &Local) -> Result<(), String> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        let status = local.recorder.status();
        if status.connections.iter().all(|connection| connection.is_subscribed) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut text = String::from("the recorder could not subscribe within 20 s");
    local.recorder.events().drain(|event| {
        text.push_str("\n  ");
        text.push_str(&event.text);
    });
    Err(text)
}

/// Until what was received is in the file; tighter than `drain`, whose pause would count as time.
fn wait_for_written(local: &Local) {
    let sent = local.deliveries();
    let limit = Instant::now() + Duration::from_secs(30);
    while Instant::now() < limit {
        let status = local.recorder.status();
        let passed: u64 = status.normalisers.counts.records.iter().sum();
        if status.frames() >= sent && status.writer.captured_records() >= passed {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// CPU seconds by stage; what is left of the process's time is the venue's.
fn cpu_by_stage(status: &Status, process_ns: u64) -> serde_json::Value {
    let seconds = |nanoseconds: u64| (nanoseconds as f64 / 1e7).round() / 100.0;
    let (io, normaliser, writer) = (status.io_cpu_ns, status.normalisers.cpu_ns, status.writer.cpu_ns);
    json!({
        "io": seconds(io),
        "normaliser": seconds(normaliser),
        "writer": seconds(writer),
        "venue_and_rest": seconds(process_ns.saturating_sub(io + normaliser + writer)),
    })
}

/// CPU time of the whole process, nanoseconds.
fn process_cpu() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the duration of the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    if result == 0 { time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64 } else { 0 }
}

/// A thread that sleeps for a millisecond again and again and records how much later it woke: what the
/// machine itself adds to any latency.
struct Hiccups {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Histogram<u64>>,
}

impl Hiccups {
    fn start() -> Hiccups {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut histogram = latency_histogram();
            let nap = Duration::from_millis(1);
            while !stopped.load(Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(nap);
                let late = before.elapsed().saturating_sub(nap);
                histogram.saturating_record((late.as_nanos() as u64).max(1));
            }
            histogram
        });
        Hiccups { stop, thread }
    }

    fn stop(self) -> Histogram<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| latency_histogram())
    }
}

//! `run`: the main job.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use marketprism_runtime::telemetry::{Event, Severity};
use marketprism_runtime::{Recorder, StartError, Status};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::config;
use crate::text::{bytes, clock, coverage, duration_ns, grouped};
use crate::{EXIT_BAD, EXIT_USAGE};

/// Time between two looks at events and signals.
const STEP: Duration = Duration::from_millis(50);
/// Time between two status lines.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// Arguments of `run`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file (`marketprism check -c FILE` finds its faults).
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

/// Records until SIGINT or SIGTERM; a second signal ends the process at once.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let settings = match config::load(&arguments.config) {
        Ok(settings) => settings,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let signals = match catch_signals() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("cannot catch signals: {error}");
            return ExitCode::from(EXIT_BAD);
        }
    };
    let recorder = match Recorder::start(settings, &config::venues()) {
        Ok(recorder) => recorder,
        Err(error) => {
            eprintln!("cannot start: {error}");
            let usage = matches!(error, StartError::Settings(_));
            return ExitCode::from(if usage { EXIT_USAGE } else { EXIT_BAD });
        }
    };
    eprintln!("recording over {}; stop with Ctrl-C", recorder.transport().name());
    watch(&recorder, &signals);
    finish(recorder)
}

/// Counts SIGINT and SIGTERM; the second one ends the process.
fn catch_signals() -> std::io::Result<Arc<AtomicUsize>> {
    let count = Arc::new(AtomicUsize::new(0));
    let second = Arc::new(std::sync::atomic::AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, i32::from(EXIT_BAD), Arc::clone(&second))?;
        signal_hook::flag::register(signal, Arc::clone(&second))?;
        signal_hook::flag::register_usize(signal, Arc::clone(&count), 1)?;
    }
    Ok(count)
}

/// Prints events and status until a signal comes or the writer is gone.
fn watch(recorder: &Recorder, signals: &AtomicUsize) {
    let (mut last_status, mut last_frames) = (Instant::now(), 0);
    while signals.load(Ordering::Relaxed) == 0 && recorder.is_writing() {
        recorder.events().drain(print_event);
        if last_status.elapsed() >= STATUS_INTERVAL {
            let status = recorder.status();
            let rate = (status.frames() - last_frames) as f64 / last_status.elapsed().as_secs_f64();
            eprintln!("{}", status_line(&status, rate as u64));
            (last_status, last_frames) = (Instant::now(), status.frames());
        }
        std::thread::sleep(STEP);
    }
}

fn finish(recorder: Recorder) -> ExitCode {
    eprintln!("stopping: what has been read is written first");
    let writing = recorder.is_writing();
    recorder.events().drain(print_event);
    let status = recorder.status();
    let ending = recorder.stop();
    eprintln!(
        "stopped: {} frames received, {} records and {} written",
        grouped(status.frames()),
        grouped(ending.records),
        bytes(ending.bytes)
    );
    ending.problems.iter().for_each(|problem| eprintln!("problem: {problem}"));
    if ending.problems.is_empty() && writing { ExitCode::SUCCESS } else { ExitCode::from(EXIT_BAD) }
}

/// One event as a line on standard error.
pub(crate) fn print_event(event: &Event) {
    eprintln!("{} {:<7} {}", clock(event.at_ns), severity(event.severity), event.text);
}

pub(crate) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The state in one line.
fn status_line(status: &Status, rate: u64) -> String {
    let counts = &status.normalisers.counts;
    let open = status.connections.iter().filter(|connection| connection.is_open).count();
    let unparsed: u64 = status.connections.iter().map(|connection| connection.unparsed).sum();
    format!(
        "{} msg/s, {} records, {}, connections {open}/{}, books {}/{} valid, gaps {}, unparsed {unparsed}, \
         silent streams {}, dropped {}, coverage {}, read→written p99 {}{}",
        grouped(rate),
        grouped(status.writer.records),
        bytes(status.writer.bytes),
        status.connections.len(),
        status.normalisers.books.0,
        status.normalisers.books.1,
        counts.gaps.iter().sum::<u64>(),
        status.normalisers.silent_streams,
        status.dropped,
        coverage(&status.writer.coverage),
        duration_ns(status.writer.latency.value_at_quantile(0.99)),
        if status.writer.trouble.is_empty() {
            String::new()
        } else {
            format!(", TROUBLE: {}", status.writer.trouble)
        },
    )
}

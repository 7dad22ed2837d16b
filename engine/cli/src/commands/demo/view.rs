//! The live view: one picture of the recorder, drawn over the one before.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use marketprism_core::Decimal;
use marketprism_core::record::Level;
use marketprism_runtime::normaliser::BookTop;
use marketprism_runtime::{Recorder, Status};

use crate::commands::run::severity;
use crate::text::{bytes, clock, coverage, duration_ns, grouped};

/// Books shown.
const BOOKS: usize = 12;
/// Log lines shown.
const EVENTS: usize = 6;
/// Time between two lines where no picture can be drawn.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Draws on standard error; where that is no terminal, prints one line a second instead.
pub(crate) struct View {
    started: Instant,
    length: Duration,
    picture: bool,
    lines: usize,
    last: (Instant, u64, u64),
    last_line: Instant,
}

impl View {
    pub(crate) fn new(length: Duration, picture: bool) -> View {
        let now = Instant::now();
        View { started: now, length, picture, lines: 0, last: (now, 0, 0), last_line: now }
    }

    pub(crate) fn show(&mut self, recorder: &Recorder) {
        if !self.picture && self.last_line.elapsed() < LINE_INTERVAL {
            return;
        }
        self.last_line = Instant::now();
        let status = recorder.status();
        let elapsed = self.last.0.elapsed().as_secs_f64().max(0.001);
        let rate = ((status.frames() - self.last.1) as f64 / elapsed) as u64;
        let byte_rate = ((status.bytes() - self.last.2) as f64 / elapsed) as u64;
        self.last = (Instant::now(), status.frames(), status.bytes());
        if self.picture {
            self.draw(recorder, &status, rate, byte_rate);
        } else {
            eprintln!("{:>3} s  {}", self.started.elapsed().as_secs(), summary(&status, rate));
        }
    }

    fn draw(&mut self, recorder: &Recorder, status: &Status, rate: u64, byte_rate: u64) {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "\x1b[1mMarketPrism demo\x1b[0m   {} s of {} s   {}",
            self.started.elapsed().as_secs(),
            self.length.as_secs(),
            recorder.transport().name()
        );
        numbers(&mut text, status, rate, byte_rate);
        connections(&mut text, status);
        books(&mut text, recorder, status);
        log(&mut text, recorder);
        // Up to where the last picture began, and clear what is below.
        let up = if self.lines > 0 { format!("\x1b[{}A", self.lines) } else { String::new() };
        eprint!("{up}\x1b[J{text}");
        self.lines = text.lines().count();
    }
}

/// The state in one line.
fn summary(status: &Status, rate: u64) -> String {
    format!(
        "{} msg/s, {} records, {}, books {}/{} valid, gaps {}, read→written p99 {}",
        grouped(rate),
        grouped(status.writer.records),
        bytes(status.writer.bytes),
        status.normalisers.books.0,
        status.normalisers.books.1,
        status.normalisers.counts.gaps.iter().sum::<u64>(),
        duration_ns(status.writer.latency.value_at_quantile(0.99)),
    )
}

fn numbers(text: &mut String, status: &Status, rate: u64, byte_rate: u64) {
    let counts = &status.normalisers.counts;
    let unparsed: u64 = status.connections.iter().map(|connection| connection.unparsed).sum();
    let quantiles = |histogram: &hdrhistogram::Histogram<u64>| {
        let at = |quantile| duration_ns(histogram.value_at_quantile(quantile));
        format!("p50 {:>8}   p99 {:>8}   p99.9 {:>8}", at(0.5), at(0.99), at(0.999))
    };
    let _ = writeln!(
        text,
        "\n  received   {:>12}   {:>10}/s   {}/s",
        grouped(status.frames()),
        grouped(rate),
        bytes(byte_rate)
    );
    let _ = writeln!(
        text,
        "  written    {:>12}   {} in {} batches",
        grouped(status.writer.records),
        bytes(status.writer.bytes),
        grouped(status.writer.batches)
    );
    let _ = writeln!(text, "  read→normalised   {}", quantiles(&status.normalisers.latency));
    let _ = writeln!(text, "  read→written      {}", quantiles(&status.writer.latency));
    let _ = writeln!(
        text,
        "  books {} of {} valid   gaps {}   duplicates {}   unparsed {unparsed}   dropped {}",
        status.normalisers.books.0,
        status.normalisers.books.1,
        counts.gaps.iter().sum::<u64>(),
        counts.duplicates,
        status.dropped
    );
    let _ = writeln!(text, "  coverage {}", coverage(&status.writer.coverage));
    if !status.writer.trouble.is_empty() {
        let _ = writeln!(text, "  \x1b[31mTROUBLE: {}\x1b[0m", status.writer.trouble);
    }
}

fn connections(text: &mut String, status: &Status) {
    let _ = writeln!(text, "\n  \x1b[1mconnections\x1b[0m");
    for connection in &status.connections {
        let state = match (connection.is_open, connection.is_subscribed) {
            (false, _) => "\x1b[31mdown\x1b[0m      ",
            (true, false) => "\x1b[33mopen\x1b[0m      ",
            (true, true) => "\x1b[32msubscribed\x1b[0m",
        };
        let _ = writeln!(
            text,
            "  #{:<3} {:<18} {state}  {:>4} streams  {:>12} messages  {:>9}",
            connection.id,
            connection.label,
            connection.streams,
            grouped(connection.frames),
            bytes(connection.bytes)
        );
    }
}

fn books(text: &mut String, recorder: &Recorder, status: &Status) {
    let (bid, ask) = ("bid", "ask");
    let _ = writeln!(
        text,
        "\n  \x1b[1mbooks\x1b[0m{:>47}   {bid:>12}   {ask:>12}   ask quantity",
        "bid quantity"
    );
    // The first of each market, in turn, so that all markets are seen.
    let instruments = recorder.instruments();
    let mut tops: Vec<(usize, &BookTop)> = Vec::new();
    let mut seen: std::collections::BTreeMap<(&str, &str), usize> = Default::default();
    for top in &status.normalisers.tops {
        let Some(instrument) = instruments.get(&top.instrument) else { continue };
        let place = seen.entry((&instrument.venue, &instrument.market)).or_default();
        tops.push((*place, top));
        *place += 1;
    }
    tops.sort_by_key(|(place, top)| (*place, top.instrument));
    for (_, top) in tops.into_iter().take(BOOKS) {
        let Some(instrument) = instruments.get(&top.instrument) else { continue };
        let name = format!("{:<8} {}", instrument.venue, instrument.symbol);
        let (Some(bid), Some(ask)) = (top.bid, top.ask) else {
            let _ = writeln!(text, "  {name:<34} \x1b[33mnot valid: waits for a snapshot\x1b[0m");
            continue;
        };
        let price = |level: Level| trimmed(&Decimal::new(level.price, top.price_exponent).to_string());
        let quantity =
            |level: Level| trimmed(&Decimal::new(level.quantity, top.quantity_exponent).to_string());
        let _ = writeln!(
            text,
            "  {name:<34} {:>17}   \x1b[32m{:>12}\x1b[0m   \x1b[31m{:>12}\x1b[0m   {}",
            quantity(bid),
            price(bid),
            price(ask),
            quantity(ask)
        );
    }
}

/// A number without zeros at its end: for the eye only.
fn trimmed(text: &str) -> String {
    match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text.to_owned(),
    }
}

fn log(text: &mut String, recorder: &Recorder) {
    let _ = writeln!(text, "\n  \x1b[1mlog\x1b[0m");
    for event in recorder.events().recent(EVENTS) {
        let line: String = event.text.chars().take(100).collect();
        let _ = writeln!(text, "  {} {:<7} {line}", clock(event.at_ns), severity(event.severity));
    }
}

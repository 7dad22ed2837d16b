//! `inspect`: what is in a log.

pub(crate) mod coverage;
pub(crate) mod output;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use marketprism_core::record::Kind;
use marketprism_core::{Decimal, Instrument, InstrumentId};
use marketprism_log::inspect::{Inspection, inspect};
use marketprism_log::{LogError, LogReader, Problem, Selection};
use serde::Serialize;

use crate::text::{bytes, grouped};
use crate::{EXIT_BAD, EXIT_USAGE};
use output::{Table, counted, print, utc_range};

/// Arguments of `inspect`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The log's folder.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// What is proven of each stream and what is missing, suspect, repaired or unprovable, by the ledgers stored in the
    /// log. `verify` recomputes them.
    #[arg(long)]
    coverage: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Number of records by venue, market and kind.
type Counts = BTreeMap<(String, String, Kind), u64>;

/// The result as JSON.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    inspection: &'a Inspection,
    counts: Vec<Count<'a>>,
}

#[derive(Serialize)]
struct Count<'a> {
    venue: &'a str,
    market: &'a str,
    kind: Kind,
    records: u64,
}

/// Summarises the log.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let reader = match segments_in(&arguments.directory) {
        Ok(reader) => reader,
        Err(reason) => return refuse(&reason),
    };
    if arguments.coverage {
        return coverage::run(&arguments.directory, arguments.json);
    }
    let results = inspect(&arguments.directory).and_then(|inspection| Ok((inspection, count(&reader)?)));
    let (inspection, counts) = match results {
        Ok(results) => results,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_BAD);
        }
    };
    if arguments.json {
        print(&(json(&inspection, &counts) + "\n"));
    } else {
        print(&report(&inspection, &counts));
        print_problems(&inspection.problems);
        print(&(conclusion(&inspection) + "\n"));
    }
    if inspection.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_BAD) }
}

/// Opens a folder that holds segments, or says what to name instead.
pub(crate) fn segments_in(directory: &Path) -> Result<LogReader, String> {
    if !directory.is_dir() {
        let what = if directory.exists() { "is no folder" } else { "does not exist" };
        return Err(format!("{} {what}; name the folder of a segment log", directory.display()));
    }
    let reader = LogReader::open(directory).map_err(|error| error.to_string())?;
    if reader.segments().is_empty() {
        return Err(format!(
            "{} holds no segments (files named like 00000000000000000000.seg); name the data_dir of a recorder",
            directory.display()
        ));
    }
    Ok(reader)
}

/// Prints why a command cannot begin.
pub(crate) fn refuse(reason: &str) -> ExitCode {
    eprintln!("{reason}");
    ExitCode::from(EXIT_USAGE)
}

/// Prints what is wrong on disk, each with its file and place.
pub(crate) fn print_problems(problems: &[Problem]) {
    let mut text = String::new();
    for problem in problems {
        match problem.file.as_str() {
            "" => text.push_str(&format!("problem: {}\n", problem.what)),
            _ => text.push_str(&format!("problem: {problem}\n")),
        }
    }
    if !problems.is_empty() {
        text.push('\n');
    }
    print(&text);
}

/// Counts by market and kind, which the headers of batches do not tell. Damage is left to [`inspect()`].
fn count(reader: &LogReader) -> Result<Counts, LogError> {
    let mut by_instrument: BTreeMap<(InstrumentId, Kind), u64> = BTreeMap::new();
    let mut markets: BTreeMap<InstrumentId, [String; 2]> = BTreeMap::new();
    reader.for_each(&Selection::default(), |_, record, registry| {
        let instrument = record.header().instrument;
        if let Some(kind) = record.kind().map(Kind::stream) {
            *by_instrument.entry((instrument, kind)).or_insert_with(|| {
                if let Some(named) = registry.get(instrument) {
                    markets.insert(instrument, [named.venue.clone(), named.market.clone()]);
                }
                0
            }) += 1;
        }
        ControlFlow::Continue(())
    })?;
    let mut counts = Counts::new();
    for ((instrument, kind), records) in by_instrument {
        let unnamed = || ["-", "-"].map(str::to_owned);
        let [venue, market] = markets.get(&instrument).cloned().unwrap_or_else(unnamed);
        *counts.entry((venue, market, kind)).or_default() += records;
    }
    Ok(counts)
}

fn json(inspection: &Inspection, counts: &Counts) -> String {
    let counts = counts.iter();
    let counts = counts.map(|((venue, market, kind), records)| Count {
        venue,
        market,
        kind: *kind,
        records: *records,
    });
    serde_json::to_string(&Report { inspection, counts: counts.collect() }).unwrap_or_default()
}

/// The tables.
fn report(inspection: &Inspection, counts: &Counts) -> String {
    let mut text = segments(inspection);
    if !counts.is_empty() {
        let mut table = Table::new("<<<>", &["venue", "market", "kind", "records"]);
        for ((venue, market, kind), records) in counts {
            table.row(vec![venue.clone(), market.clone(), kind.to_string(), grouped(*records)]);
        }
        text.push('\n');
        text.push_str(&table.text());
    }
    if !inspection.instruments.is_empty() {
        text.push('\n');
        text.push_str(&instruments(&inspection.instruments));
    }
    text.push('\n');
    text
}

fn segments(inspection: &Inspection) -> String {
    let mut table = Table::new("<>>><", &["segment", "records", "bytes", "state", "received"]);
    for segment in &inspection.segments {
        let state = match (segment.sealed, segment.torn_bytes) {
            (true, _) => "sealed".to_owned(),
            (false, 0) => "open".to_owned(),
            (false, torn) => format!("open, {} torn", bytes(torn)),
        };
        table.row(vec![
            segment.file.clone(),
            grouped(segment.records),
            grouped(segment.bytes),
            state,
            utc_range(segment.first_ns, segment.last_ns),
        ]);
    }
    table.text()
}

fn instruments(instruments: &[Instrument]) -> String {
    let head = ["id", "venue", "market", "symbol", "canonical", "tick", "lot", "quantity 1 is"];
    let mut table = Table::new("><<<<>><", &head);
    // The entry that stands for a whole market has no symbol.
    for instrument in instruments.iter().filter(|instrument| !instrument.venue_symbol.is_empty()) {
        table.row(vec![
            instrument.id.to_string(),
            instrument.venue.clone(),
            instrument.market.clone(),
            instrument.venue_symbol.clone(),
            instrument.symbol.clone(),
            decimal(instrument.tick),
            decimal(instrument.lot),
            unit(instrument),
        ]);
    }
    table.text()
}

fn decimal(value: Option<Decimal>) -> String {
    value.map_or("-".to_owned(), |decimal| decimal.to_string())
}

/// What a quantity of one amounts to: `1 BTC`, `100 USD`. Without the assets there is no definition.
fn unit(instrument: &Instrument) -> String {
    let asset = if instrument.inverse { &instrument.quote } else { &instrument.base };
    match instrument.multiplier {
        _ if asset.is_empty() => "-".to_owned(),
        Some(multiplier) => format!("{multiplier} {asset}"),
        None => format!("1 {asset}"),
    }
}

/// What it comes to, in one sentence.
fn conclusion(inspection: &Inspection) -> String {
    let open = inspection.segments.iter().filter(|segment| !segment.sealed).count() as u64;
    let extent = format!(
        "{} in {} ({}{})",
        counted(inspection.records, "record"),
        counted(inspection.segments.len() as u64, "segment"),
        bytes(inspection.bytes),
        if open > 0 { format!(", {} not sealed", grouped(open)) } else { String::new() }
    );
    match inspection.problems.len() as u64 {
        0 => format!("{extent}. `marketprism verify` checks that nothing is missing."),
        problems => format!("{} found: {extent}.", counted(problems, "problem")),
    }
}

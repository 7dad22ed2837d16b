//! `check`: every fault of a configuration, or what it would record.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use marketprism_core::instrument::Instrument;
use marketprism_runtime::plan::plan;
use marketprism_runtime::{Settings, Source};
use serde::Serialize;

use crate::EXIT_USAGE;
use crate::config::{self, Fault};
use crate::text::grouped;

use super::inspect::output::{Table, print};

/// Arguments of `check`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

/// The result as JSON.
#[derive(Default, Serialize)]
struct Report {
    ok: bool,
    faults: Vec<Fault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    sources: Vec<SourceReport>,
}

/// What one source comes to.
#[derive(Serialize)]
struct SourceReport {
    venue: String,
    market: String,
    symbols: usize,
    streams: usize,
    polls: usize,
    connections: usize,
}

/// Checks the file.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let file = arguments.config.display().to_string();
    let report = match config::load(&arguments.config).and_then(|settings| summarise(&file, &settings)) {
        Ok(report) => report,
        Err(faults) => Report { faults, ..Report::default() },
    };
    report.faults.iter().for_each(|fault| eprintln!("{fault}"));
    match report.faults.len() {
        0 => {}
        1 => eprintln!("1 fault"),
        count => eprintln!("{} faults", grouped(count as u64)),
    }
    if arguments.json {
        print(&(serde_json::to_string(&report).unwrap_or_default() + "\n"));
    } else if report.ok {
        print(&text(&file, &report));
    }
    if report.ok { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) }
}

/// Plans every source as the recorder does, without the venue's list of instruments.
fn summarise(file: &str, settings: &Settings) -> Result<Report, Vec<Fault>> {
    let mut report = Report { ok: true, data_dir: Some(settings.data_dir.clone()), ..Report::default() };
    let mut faults = vec![];
    for source in &settings.sources {
        match summarise_source(source) {
            Ok(summary) => report.sources.push(summary),
            Err(message) => faults.push(Fault { file: file.to_owned(), line: None, message }),
        }
    }
    if faults.is_empty() { Ok(report) } else { Err(faults) }
}

fn summarise_source(source: &Source) -> Result<SourceReport, String> {
    let venues = config::venues();
    let venue = venues.iter().find(|venue| venue.name() == source.venue).ok_or("unknown venue")?;
    let market = venue.market(&source.market).ok_or("unknown market")?;
    let mut instruments: Vec<Instrument> = source
        .symbols
        .iter()
        .map(|symbol| Instrument::unknown(&source.venue, &source.market, symbol))
        .collect();
    (1..).zip(&mut instruments).for_each(|(id, instrument)| instrument.id = id);
    let plan = plan(&**venue, market, &source.channels, &instruments.iter().collect::<Vec<_>>())?;
    Ok(SourceReport {
        venue: source.venue.clone(),
        market: source.market.clone(),
        symbols: source.symbols.len(),
        streams: plan.connections.iter().map(|connection| connection.streams.len()).sum(),
        polls: plan.polls.len(),
        connections: plan.connections.len(),
    })
}

/// What would be recorded, for people.
fn text(file: &str, report: &Report) -> String {
    let head = ["venue", "market", "symbols", "streams", "polled", "connections"];
    let mut table = Table::new("<<>>>>", &head);
    for source in &report.sources {
        let numbers = [source.symbols, source.streams, source.polls, source.connections];
        let mut row = vec![source.venue.clone(), source.market.clone()];
        row.extend(numbers.map(|number| grouped(number as u64)));
        table.row(row);
    }
    let data_dir = report.data_dir.as_deref().unwrap_or(Path::new(""));
    format!(
        "{file}: no fault found. It would record\n\n{}\nto the folder {}\n",
        table.text(),
        data_dir.display()
    )
}

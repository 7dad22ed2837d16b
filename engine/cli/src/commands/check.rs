//! `check`: every fault of a configuration, or what it would record.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use marketprism_core::instrument::Instrument;
use marketprism_runtime::universe::is_pattern;
use marketprism_runtime::{Settings, Source, plan};
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
    /// Without patterns, which are not counted below either.
    symbols: usize,
    patterns: usize,
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
    let symbols: Vec<&String> = source.symbols.iter().filter(|symbol| !is_pattern(symbol)).collect();
    let unknown = |(id, symbol): (u32, &&String)| Instrument {
        id,
        ..Instrument::unknown(&source.venue, &source.market, symbol)
    };
    let instruments: Vec<Instrument> = (1..).zip(&symbols).map(unknown).collect();
    let needs = plan::needs(&**venue, market, &source.channels, &instruments.iter().collect::<Vec<_>>())?;
    Ok(SourceReport {
        venue: source.venue.clone(),
        market: source.market.clone(),
        symbols: symbols.len(),
        patterns: source.symbols.len() - symbols.len(),
        streams: plan::names(&needs.streams).len(),
        polls: needs.polls.len(),
        connections: plan::connections(market, needs.streams).len(),
    })
}

/// What would be recorded, for people.
fn text(file: &str, report: &Report) -> String {
    let head = ["venue", "market", "symbols", "patterns", "streams", "polled", "connections"];
    let mut table = Table::new("<<>>>>>", &head);
    for source in &report.sources {
        let numbers = [source.symbols, source.patterns, source.streams, source.polls, source.connections];
        let mut row = vec![source.venue.clone(), source.market.clone()];
        row.extend(numbers.map(|number| grouped(number as u64)));
        table.row(row);
    }
    let more = if report.sources.iter().any(|source| source.patterns > 0) {
        "\nand what the venues' lists of instruments have for the patterns,\n"
    } else {
        ""
    };
    let data_dir = report.data_dir.as_deref().unwrap_or(Path::new(""));
    format!(
        "{file}: no fault found. It would record\n\n{}{more}\nto the folder {}\n",
        table.text(),
        data_dir.display()
    )
}

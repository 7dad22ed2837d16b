//! `export`: files for research tools.

mod progress;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use marketprism_core::Instrument;
use marketprism_core::venue::Continuity;
use marketprism_export::{ExportError, Format, MEMORY_BYTES, Request, Summary, export};
use marketprism_log::{LogReader, Selection};
use serde::Serialize;
use serde_json::{Value, json};

use super::inspect::{refuse, segments_in};
use super::query::filter::{Filter, FilterArguments};
use crate::EXIT_BAD;
use crate::config::venues;
use crate::text::{bytes, grouped};
use progress::Bar;

/// Arguments of `export`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The log's folder.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The format of the files.
    #[arg(long, value_enum)]
    format: FileFormat,
    /// The folder of the export. An export there that was broken off, or whose log has grown since, is gone on with.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    filter: FilterArguments,
    /// Of tardis-csv: write book_snapshot_N too, the first N levels of each side after each change. May be repeated.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    book_snapshot: Vec<u16>,
    /// Print the result as one JSON object, and no progress.
    #[arg(long)]
    json: bool,
    /// Print no progress.
    #[arg(long)]
    quiet: bool,
}

/// A format on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FileFormat {
    /// Apache Parquet in Hive-style folders, one file a day, symbol and kind.
    Parquet,
    /// Gzip CSV with the columns and names of tardis.dev, one file a day, symbol and type of data.
    TardisCsv,
    /// NumPy archives with hftbacktest's events, one file a day and symbol.
    Hftbacktest,
}

/// The result as JSON.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    seconds: f64,
    records_per_second: u64,
}

/// Exports.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let reader = match segments_in(&arguments.directory) {
        Ok(reader) => reader,
        Err(reason) => return refuse(&reason),
    };
    let filter = match Filter::new(arguments.filter.clone()) {
        Ok(filter) => filter,
        Err(reason) => return refuse(&reason),
    };
    if arguments.format != FileFormat::TardisCsv && !arguments.book_snapshot.is_empty() {
        return refuse("--book-snapshot is for --format tardis-csv; the other formats have the whole books");
    }
    if is_inside(&arguments.out, &arguments.directory) {
        return refuse("--out lies in the folder of the log; name another one");
    }
    let started = Instant::now();
    match write(&reader, &arguments, filter) {
        Ok(summary) => {
            print(&summary, started.elapsed().as_secs_f64(), &arguments);
            if summary.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_BAD) }
        }
        Err(error @ (ExportError::OtherExport { .. } | ExportError::Manifest { .. })) => {
            refuse(&error.to_string())
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_BAD)
        }
    }
}

/// Whether a folder is another one or lies in it.
fn is_inside(inner: &Path, outer: &Path) -> bool {
    match (std::path::absolute(inner), std::path::absolute(outer)) {
        (Ok(inner), Ok(outer)) => inner.starts_with(outer),
        _ => false,
    }
}

fn write(reader: &LogReader, arguments: &Arguments, filter: Filter) -> Result<Summary, ExportError> {
    let all = Selection::default();
    let instruments = match filter.names_some() {
        true => Some(reader.instruments(&all, |instrument| filter.names(instrument))?),
        false => None,
    };
    let venues = venues();
    let continuity = |instrument: &Instrument| -> Option<Continuity> {
        let venue = venues.iter().find(|venue| venue.name() == instrument.venue)?;
        venue.market(&instrument.market).map(|market| market.continuity)
    };
    let request = Request {
        format: match arguments.format {
            FileFormat::Parquet => Format::Parquet,
            FileFormat::TardisCsv => Format::TardisCsv,
            FileFormat::Hftbacktest => Format::Hftbacktest,
        },
        out: &arguments.out,
        from_ns: filter.from_ns,
        end_ns: filter.end_ns,
        instruments,
        kinds: filter.kinds.clone(),
        book_snapshots: depths(&arguments.book_snapshot),
        filter: described(&arguments.filter),
        continuity: &continuity,
        memory_bytes: MEMORY_BYTES,
    };
    let mut bar = Bar::new(!arguments.json && !arguments.quiet, reader);
    let result = export(reader, &request, &mut |progress| bar.show(progress));
    bar.end();
    result
}

fn depths(given: &[u16]) -> Vec<u16> {
    let mut depths = given.to_vec();
    depths.sort_unstable();
    depths.dedup();
    depths
}

/// The filter as the manifest keeps it.
fn described(filter: &FilterArguments) -> Value {
    let FilterArguments { from, to, venue, market, symbol, kind } = filter;
    let mut filter = json!({ "from_ns": from, "to_ns": to, "venue": venue, "market": market });
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        Value::from(names)
    };
    filter["symbols"] = sorted(symbol);
    filter["kinds"] = sorted(kind);
    filter
}

fn print(summary: &Summary, seconds: f64, arguments: &Arguments) {
    let records_per_second = (summary.records as f64 / seconds.max(1e-9)) as u64;
    if arguments.json {
        let report = Report { summary, seconds, records_per_second };
        println!("{}", serde_json::to_string(&report).unwrap_or_default());
        return;
    }
    println!(
        "{} files with {} rows, {}, of {} days in {}",
        grouped(summary.files),
        grouped(summary.rows),
        bytes(summary.bytes),
        summary.days + summary.days_kept,
        arguments.out.display()
    );
    let kept = match summary.days_kept {
        0 => String::new(),
        kept => format!("; {kept} days were finished before"),
    };
    println!(
        "{} records read in {seconds:.1} s: {} a second{kept}",
        grouped(summary.records),
        grouped(records_per_second)
    );
    if summary.gaps > 0 {
        println!("{} gap records: the streams have holes there", grouped(summary.gaps));
    }
    for (reason, count) in &summary.left_out {
        println!("not in a file: {} records ({})", grouped(*count), reason.replace('_', " "));
    }
    summary.problems.iter().for_each(|problem| eprintln!("problem: {problem}"));
}

//! `verify`: the ledger of a log, recomputed from disk.

mod raw;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use marketprism_core::record::Kind;
use marketprism_log::StreamCoverage;
use marketprism_log::verify::StreamSummary;
use marketprism_log::{Verification, verify};
use marketprism_runtime::renormalise::{Renormalisation, renormalise};

use super::inspect::coverage;
use super::inspect::output::{Table, counted, print, utc_range};
use super::inspect::{print_problems, refuse, segments_in};
use crate::EXIT_BAD;
use crate::config;
use crate::text::{bytes, grouped};

/// Arguments of `verify`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The log's folder.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Also make the records again from the frames of markets recorded with raw = "all", and compare.
    #[arg(long)]
    raw: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The result as JSON.
#[derive(serde::Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    verification: &'a Verification,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a Renormalisation>,
}

/// Verifies the log.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    if let Err(reason) = segments_in(&arguments.directory) {
        return refuse(&reason);
    }
    let results = verify(&arguments.directory).and_then(|verification| {
        let again = || renormalise(&arguments.directory, &config::venues());
        Ok((verification, arguments.raw.then(again).transpose()?))
    });
    let (mut verification, again) = match results {
        Ok(results) => results,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_BAD);
        }
    };
    let raw_ok = again.as_ref().is_none_or(Renormalisation::is_ok);
    if arguments.json {
        verification.ok &= raw_ok;
        let whole = Whole { verification: &verification, raw: again.as_ref() };
        print(&(serde_json::to_string(&whole).unwrap_or_default() + "\n"));
    } else {
        print(&report(&verification));
        print_problems(&verification.problems);
        print(&(conclusion(&verification) + "\n"));
        again.iter().for_each(|again| print(&raw::report(again)));
    }
    if verification.ok && raw_ok { ExitCode::SUCCESS } else { ExitCode::from(EXIT_BAD) }
}

/// The tables.
fn report(verification: &Verification) -> String {
    let streams = &verification.streams;
    let first = streams.iter().filter_map(|stream| stream.first_ns).min();
    let last = streams.iter().filter_map(|stream| stream.last_ns).max();
    let mut text = format!(
        "{}, {} in {}\nreceived {}\n\n",
        counted(verification.records, "record"),
        bytes(verification.bytes),
        counted(verification.segments, "segment"),
        utc_range(first, last)
    );
    if verification.torn_bytes > 0 {
        text.push_str(&format!(
            "The last segment ends with {} of a batch that is not whole: it is being written, or its writer \
             was stopped in the middle.\n\n",
            counted(verification.torn_bytes, "byte")
        ));
    }
    let unprovable = streams.iter().map(|stream| stream.unprovable).sum();
    if unprovable > 0 {
        text.push_str(&format!(
            "{} carry no ids: whether one is missing between them cannot be told from the log.\n\n",
            counted(unprovable, "book delta")
        ));
    }
    if !streams.is_empty() {
        text.push_str(&by_kind(streams));
        text.push('\n');
        text.push_str(&by_symbol(streams));
        text.push('\n');
        text.push_str(&covered(verification));
    }
    text
}

/// The coverage, and the streams of which something is missing or not to be trusted.
fn covered(verification: &Verification) -> String {
    let is_impaired =
        |stream: &&StreamCoverage| stream.spans.missing + stream.spans.suspect + stream.spans.repaired > 0;
    let mut impaired = verification.coverage.iter().filter(is_impaired).peekable();
    let mut text = coverage::sum(&verification.coverage) + "\n\n";
    if impaired.peek().is_some() {
        text.push_str(&coverage::table(impaired));
        text.push('\n');
    }
    if !verification.segments_without_coverage.is_empty() {
        text.push_str(&format!(
            "No coverage is stored in {}: the writer was cut short or still writes.\n\n",
            verification.segments_without_coverage.join(", ")
        ));
    }
    text
}

/// Records and gaps of each market by kind, over all symbols.
fn by_kind(streams: &[StreamSummary]) -> String {
    let mut sums: BTreeMap<(&str, &str, Kind), [u64; 3]> = BTreeMap::new();
    for stream in streams {
        let sum = sums.entry((&stream.venue, &stream.market, stream.kind)).or_default();
        for (total, number) in sum.iter_mut().zip([1, stream.records, stream.gaps]) {
            *total += number;
        }
    }
    let mut table = Table::new("<<<>>>", &["venue", "market", "kind", "streams", "records", "gaps"]);
    for ((venue, market, kind), numbers) in sums {
        let mut row = vec![venue.to_owned(), market.to_owned(), kind.to_string()];
        row.extend(numbers.map(grouped));
        table.row(row);
    }
    table.text()
}

/// Every stream.
fn by_symbol(streams: &[StreamSummary]) -> String {
    let mut sorted: Vec<&StreamSummary> = streams.iter().collect();
    sorted.sort_by_key(|stream| (&stream.venue, &stream.market, &stream.venue_symbol, stream.kind));
    let head = ["venue", "market", "symbol", "kind", "records", "gaps", "received"];
    let mut table = Table::new("<<<<>><", &head);
    for stream in sorted {
        table.row(vec![
            stream.venue.clone(),
            stream.market.clone(),
            symbol(stream),
            stream.kind.to_string(),
            grouped(stream.records),
            grouped(stream.gaps),
            utc_range(stream.first_ns, stream.last_ns),
        ]);
    }
    table.text()
}

/// What a stream is of; streams of a whole market have no symbol.
fn symbol(stream: &StreamSummary) -> String {
    if stream.venue_symbol.is_empty() { "-".to_owned() } else { stream.venue_symbol.clone() }
}

/// What it comes to, in one sentence.
fn conclusion(verification: &Verification) -> String {
    let extent = format!(
        "{} in {}",
        counted(verification.records, "record"),
        counted(verification.segments, "segment")
    );
    let gaps = match verification.gaps {
        0 => "nothing is missing in the data".to_owned(),
        1 => "1 gap is recorded in the data".to_owned(),
        gaps => format!("{} gaps are recorded in the data", grouped(gaps)),
    };
    match verification.problems.len() as u64 {
        0 => format!("No problem found: {extent}; {gaps}."),
        problems => format!("{} found: {extent}; {gaps}.", counted(problems, "problem")),
    }
}

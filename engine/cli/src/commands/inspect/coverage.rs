//! `inspect --coverage`: what is proven of each stream, by the ledgers stored in the segments.

use std::path::Path;
use std::process::ExitCode;

use marketprism_log::coverage::{StreamCoverage, coverage};

use super::output::{Table, counted, print};
use super::print_problems;
use crate::EXIT_BAD;
use crate::text::{duration_ns, grouped};

/// Prints the coverage of a log.
pub(super) fn run(directory: &Path, json: bool) -> ExitCode {
    let found = match coverage(directory) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_BAD);
        }
    };
    if json {
        print(&(serde_json::to_string(&found).unwrap_or_default() + "\n"));
    } else {
        print(&table(found.streams.iter()));
        print(&format!("\n{}\n", sum(&found.streams)));
        if !found.recomputed.is_empty() {
            print(&format!("Recomputed, since none is stored: {}\n", found.recomputed.join(", ")));
        }
        print_problems(&found.problems);
    }
    if found.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_BAD) }
}

/// A table with a row for each stream.
pub(crate) fn table<'a>(streams: impl Iterator<Item = &'a StreamCoverage>) -> String {
    let head = [
        "venue",
        "market",
        "symbol",
        "kind",
        "records",
        "proven",
        "%",
        "holes",
        "missing ids",
        "missing for",
        "suspect",
        "repaired",
        "unprovable",
    ];
    let mut sorted: Vec<&StreamCoverage> = streams.collect();
    sorted.sort_by_key(|stream| (&stream.venue, &stream.market, &stream.venue_symbol, stream.kind));
    let mut table = Table::new("<<<<>>>>>>>>>", &head);
    for stream in sorted {
        let symbol = if stream.venue_symbol.is_empty() { "-" } else { &stream.venue_symbol };
        let names = [&stream.venue, &stream.market, symbol, stream.kind.name()];
        let mut row: Vec<String> = names.into_iter().map(str::to_owned).collect();
        row.extend([
            grouped(stream.records),
            grouped(stream.proven),
            stream.proven_percent.clone().unwrap_or("-".to_owned()),
            grouped(stream.spans.missing),
            grouped(stream.missing_ids),
            duration_ns(stream.missing_ns),
            grouped(stream.suspect),
            grouped(stream.repaired),
            grouped(stream.unprovable),
        ]);
        table.row(row);
    }
    table.text()
}

/// What all streams come to, in one sentence.
pub(crate) fn sum(streams: &[StreamCoverage]) -> String {
    let total = |number: fn(&StreamCoverage) -> u64| streams.iter().map(number).sum::<u64>();
    format!(
        "Of {} in {}, {} are proven contiguous by their ids, {} are suspect, {} repaired and {} unprovable; \
         missing: {} with {}.",
        counted(total(|stream| stream.records), "record"),
        counted(streams.len() as u64, "stream"),
        grouped(total(|stream| stream.proven)),
        grouped(total(|stream| stream.suspect)),
        grouped(total(|stream| stream.repaired)),
        grouped(total(|stream| stream.unprovable)),
        counted(total(|stream| stream.spans.missing), "hole"),
        counted(total(|stream| stream.missing_ids), "id"),
    )
}

//! `decode`: captured frames in, records out, by the recorder's own parser, normaliser and book.

mod answers;
mod evidence;
mod lines;
mod output;
mod pipeline;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use marketprism_core::clock::wall_ns;
use marketprism_core::venue::{Continuity, Market, Venue};

use super::inspect::output::counted;
use crate::config::{nearest, venues};
use crate::text::grouped;
use crate::{EXIT_BAD, EXIT_USAGE};
use lines::{Line, Lines};
use output::Closed;
use pipeline::Pipeline;

/// Arguments of `decode`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The venue that sent the frames: binance, okx or deribit.
    #[arg(long)]
    venue: String,
    /// The venue's market, e.g. spot, usdm, swap or option.
    #[arg(long)]
    market: String,
    /// Frames, one a line, plain or zstd; standard input where it is absent or `-`. REST answers with books or
    /// instruments may stand in between.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// At the end print the best N levels of each side of every valid book; 0 for all levels.
    #[arg(long, value_name = "N")]
    books: Option<usize>,
    /// A REST answer to deliver when the book of SYMBOL asks for one; may be repeated. Of no use where the stream
    /// itself brings the book (okx, deribit).
    #[arg(long, value_name = "SYMBOL=FILE", value_parser = symbol_and_file)]
    snapshot: Vec<(String, PathBuf)>,
    /// Give trades and liquidations base_quantity and quote_quantity, where it is known what a contract is worth.
    #[arg(long)]
    amounts: bool,
    /// Accepted for uniformity: the output is JSON lines in any case.
    #[arg(long)]
    json: bool,
}

fn symbol_and_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((symbol, file)) if !symbol.is_empty() && !file.is_empty() => {
            Ok((symbol.to_owned(), file.into()))
        }
        _ => Err("write SYMBOL=FILE, e.g. BTCUSDT=depth.json".to_owned()),
    }
}

/// Decodes.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let (mut pipeline, lines) = match prepare(&arguments) {
        Ok(ready) => ready,
        Err(reason) => {
            eprintln!("{reason}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match decode(&mut pipeline, lines, arguments.books) {
        Ok(()) => summarise(&pipeline),
        // Who reads the output has seen enough.
        Err(Closed::Pipe) => ExitCode::SUCCESS,
        Err(Closed::Other(error)) => {
            eprintln!("standard output cannot be written: {error}");
            ExitCode::from(EXIT_BAD)
        }
    }
}

/// Everything that can be wrong with the command itself.
fn prepare(arguments: &Arguments) -> Result<(Pipeline, Lines), String> {
    let (venue, market) = find_market(&arguments.venue, &arguments.market)?;
    if !arguments.snapshot.is_empty() && market.continuity == Continuity::Chained {
        return Err(format!(
            "--snapshot is of no use here: the stream of {} itself brings the book",
            venue.name()
        ));
    }
    let mut pipeline = Pipeline::new(venue, market, arguments.amounts);
    for (symbol, file) in &arguments.snapshot {
        let body = lines::read_whole(file).map_err(|error| cannot_read(file, &error))?;
        pipeline
            .add_snapshot_file(symbol, file, &body, wall_ns())
            .map_err(|error| format!("{} is no book of {symbol}: {error}", file.display()))?;
    }
    let lines = match &arguments.file {
        Some(file) if file.as_os_str() != "-" => {
            Lines::open(file).map_err(|error| cannot_read(file, &error))?
        }
        _ => Lines::standard_input().map_err(|error| cannot_read(Path::new("standard input"), &error))?,
    };
    Ok((pipeline, lines))
}

fn cannot_read(file: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read: {error}", file.display())
}

fn find_market(venue: &str, market: &str) -> Result<(Arc<dyn Venue>, &'static Market), String> {
    let all = venues();
    let names: Vec<&str> = all.iter().map(|venue| venue.name()).collect();
    let found = all.iter().find(|candidate| candidate.name() == venue);
    let found =
        found.ok_or_else(|| format!("unknown venue \"{venue}\"; {}", hint(venue, &names, "venues")))?;
    let names: Vec<&str> = found.markets().iter().map(|market| market.name).collect();
    let unknown = || format!("{venue} has no market \"{market}\"; {}", hint(market, &names, "markets"));
    Ok((Arc::clone(found), found.market(market).ok_or_else(unknown)?))
}

fn hint(word: &str, names: &[&str], what: &str) -> String {
    match nearest(word, names.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("the {what} are {}", names.join(", ")),
    }
}

/// All lines, then what was held back, then the books.
fn decode(pipeline: &mut Pipeline, mut lines: Lines, books: Option<usize>) -> Result<(), Closed> {
    loop {
        if lines.would_wait() {
            pipeline.output.flush()?;
        }
        // The time of reading stands in for the time of receiving, which a line does not have.
        match lines.next() {
            Ok(Some(Line::Whole(line))) => pipeline.line(line, wall_ns())?,
            Ok(Some(Line::TooLong(start))) => pipeline.too_long(start, wall_ns())?,
            Ok(None) => break,
            Err(error) => {
                let reason = format!("the input ends here, it cannot be read: {error}");
                pipeline.error(&reason, b"", wall_ns())?;
                break;
            }
        }
    }
    pipeline.finish(wall_ns())?;
    if let Some(levels) = books {
        pipeline.write_books(levels)?;
    }
    pipeline.output.flush()
}

/// Says on standard error what the records do not say.
fn summarise(pipeline: &Pipeline) -> ExitCode {
    const MOST_NOTES: usize = 20;
    let notes = pipeline.notes();
    notes.iter().take(MOST_NOTES).for_each(|note| eprintln!("{note}"));
    if notes.len() > MOST_NOTES {
        eprintln!("and {} more notes", grouped((notes.len() - MOST_NOTES) as u64));
    }
    match pipeline.output.errors() {
        0 => ExitCode::SUCCESS,
        errors => {
            let (errors, lines) = (counted(errors, "error"), counted(pipeline.lines(), "line"));
            eprintln!("{errors} in {lines}; the lines of kind \"error\" say why");
            ExitCode::from(EXIT_BAD)
        }
    }
}

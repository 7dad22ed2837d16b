//! `query`: records of a log, or a book as it was at some time.

pub(crate) mod book;
mod book_report;
mod columns;
mod csv;
pub(crate) mod filter;
pub(crate) mod output;
pub(crate) mod source;
mod table;
pub(crate) mod time;
mod writer;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use marketprism_core::Instrument;
use marketprism_core::instrument::Registry;
use marketprism_core::record::RecordRef;

use super::inspect::refuse;
use crate::EXIT_BAD;
use csv::Csv;
use filter::{Filter, FilterArguments};
use output::Output;
use source::{Source, report_problems};
use table::Records;
use writer::{Form, Writer};

/// Most records that a table shows where nothing else is asked for.
const TABLE_RECORDS: u64 = 50;

/// Arguments of `query`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The log's folder.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    filter: FilterArguments,
    /// How records are printed; csv takes one kind. A table by default.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The same as --format json: one JSON object a line.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Print no more than N records. By default a table has 50, the other formats have all.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Levels of each side that csv has columns for.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    levels: u16,
    /// Give trades and liquidations base_quantity and quote_quantity, where it is known what a contract is worth.
    #[arg(long)]
    amounts: bool,
    /// Print how many records there are.
    #[arg(long, conflicts_with_all = ["amounts", "limit"])]
    count: bool,
    /// Print the books of --symbol as they were at this receive time, with everything received until then.
    #[arg(long, value_name = "TIME", requires = "symbol", value_parser = time::parse,
        conflicts_with_all = ["from", "to", "kind", "limit", "amounts", "count"], allow_hyphen_values = true)]
    book_at: Option<i64>,
    /// Levels of each side of the books; by default a table has 10, JSON has all.
    #[arg(long, value_name = "N", requires = "book_at")]
    depth: Option<usize>,
}

/// How records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Aligned columns for people.
    Table,
    /// One JSON object a line.
    Json,
    /// Comma-separated values under a header.
    Csv,
}

/// Queries.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let format = if arguments.json { Format::Json } else { arguments.format.unwrap_or(Format::Table) };
    match (prepare(&arguments, format), arguments.book_at) {
        (Err(reason), _) => refuse(&reason),
        (Ok((source, filter)), Some(at_ns)) => {
            book::run(&source, &filter, at_ns, format == Format::Json, arguments.depth)
        }
        (Ok((source, filter)), None) => {
            let as_json = format == Format::Json;
            let (form, most) = match (format, filter.kinds.first()) {
                _ if arguments.count => (Form::Count { as_json }, u64::MAX),
                (Format::Csv, Some(kind)) => {
                    (Form::Csv(Csv::new(*kind, usize::from(arguments.levels), arguments.amounts)), u64::MAX)
                }
                (Format::Json, _) => (Form::Json, u64::MAX),
                _ => (Form::Table(Records::default()), TABLE_RECORDS),
            };
            let writer = Writer::new(form, arguments.limit.unwrap_or(most), arguments.amounts);
            select(&source, filter, writer)
        }
    }
}

/// Everything that can be wrong with the command itself.
fn prepare(arguments: &Arguments, format: Format) -> Result<(Source, Filter), String> {
    let filter = Filter::new(arguments.filter.clone())?;
    match (format, arguments.book_at.is_some(), filter.kinds.len()) {
        (Format::Csv, true, _) => {
            return Err("--book-at prints a table or JSON; leave out --format csv".to_owned());
        }
        (Format::Csv, false, kinds) if kinds != 1 && !arguments.count => {
            return Err(
                "each kind of record has columns of its own: csv needs exactly one --kind, e.g. --kind trade"
                    .to_owned(),
            );
        }
        _ => {}
    }
    Ok((Source::open(&arguments.directory)?, filter))
}

/// Hands the wanted records to the writer.
fn select(source: &Source, mut filter: Filter, mut writer: Writer) -> ExitCode {
    let selection = source.selection(&filter, filter.from_ns, filter.end_ns);
    let mut output = Output::new();
    let unknown = Instrument::default();
    let mut closed = Ok(());
    let mut take = |sequence, record: RecordRef<'_>, registry: &Registry| {
        let instrument = registry.get(record.header().instrument).unwrap_or(&unknown);
        if !filter.takes(record, instrument) {
            return ControlFlow::Continue(());
        }
        match writer.record(&mut output, record, instrument, sequence) {
            Ok(flow) => flow,
            Err(error) => {
                closed = Err(error);
                ControlFlow::Break(())
            }
        }
    };
    let read = selection.and_then(|selection| source.read(&selection, &mut take));
    let ended = closed.and_then(|()| writer.finish(&mut output)).and_then(|()| output.flush());
    match (read, ended) {
        (_, Err(error)) => error.exit_code(),
        (Ok(report), Ok(())) => {
            writer.notes().iter().for_each(|note| eprintln!("{note}"));
            report_problems(&report.problems)
        }
        (Err(error), Ok(())) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_BAD)
        }
    }
}

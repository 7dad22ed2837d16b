//! Exports of a segment log: files that research tools read.
//!
//! | format | files |
//! |---|---|
//! | [`Format::Parquet`] | `venue=…/market=…/kind=…/symbol=…/date=…/part-0.parquet`, every kind of record, see [`parquet`] |
//! | [`Format::TardisCsv`] | `{exchange}_{data_type}_{date}_{SYMBOL}.csv.gz`, see [`tardis`] |
//! | [`Format::Hftbacktest`] | `{venue}_{market}_{symbol}_{date}.npz`, see [`hftbacktest`] |
//!
//! A record belongs to the day, UTC, of its receive time. The log is read once, in capture order. A day is written when the
//! index of the log says that no record of it follows, and then listed in the [`Manifest`]; a run that was killed goes on
//! behind the last day that is listed there, and its files are byte for byte those of a run that was not. A day that the log
//! can still get records of is made anew once the log has grown.
//!
//! Memory has a bound however many instruments there are: what is not yet written is counted, and where a day holds more than
//! [`Request::memory_bytes`], the largest buffers are written out.

mod book;
mod date;
mod error;
pub mod hftbacktest;
mod index;
mod manifest;
pub mod parquet;
mod part;
mod run;
pub mod tardis;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use marketprism_core::record::{Gap, Kind};
use marketprism_core::venue::Continuity;
use marketprism_core::{Instrument, InstrumentId};
use marketprism_log::{LogReader, Problem};
use serde::Serialize;

pub use error::ExportError;
pub use manifest::{FinishedDay, MANIFEST_NAME, Manifest};
pub use part::ExportedFile;

/// What is not yet written takes at most so many bytes by default; for each day that is open, which around midnight are two.
pub const MEMORY_BYTES: usize = 256 << 20;

/// A format of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// CSV with the columns of tardis.dev.
    TardisCsv,
    /// NumPy archives for hftbacktest.
    Hftbacktest,
}

impl Format {
    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::TardisCsv => "tardis-csv",
            Format::Hftbacktest => "hftbacktest",
        }
    }
}

/// What to export, and where to.
pub struct Request<'a> {
    /// The format.
    pub format: Format,
    /// The folder of the export.
    pub out: &'a Path,
    /// Earliest receive time, nanoseconds since the Unix epoch.
    pub from_ns: i64,
    /// The receive time from which on records are left out, nanoseconds since the Unix epoch.
    pub end_ns: i64,
    /// Only these instruments; `None`: all.
    pub instruments: Option<BTreeSet<InstrumentId>>,
    /// Only these kinds, as [`Kind::stream`] names them; all where it is empty. Gap records of their streams come always.
    pub kinds: Vec<Kind>,
    /// Depths of the `book_snapshot_N` files of [`Format::TardisCsv`], levels of each side.
    pub book_snapshots: Vec<u16>,
    /// The filter in words that the manifest keeps: a run with another one does not go on with the export.
    pub filter: serde_json::Value,
    /// How the messages of an instrument's book prove that none is missing; `None` where it is not known.
    pub continuity: &'a dyn Fn(&Instrument) -> Option<Continuity>,
    /// Bound of what a day holds unwritten; usually [`MEMORY_BYTES`].
    pub memory_bytes: usize,
}

impl Request<'_> {
    fn wants(&self, kind: Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind.stream())
    }

    /// The kinds to read; `None`: all.
    fn kinds(&self) -> Option<BTreeSet<Kind>> {
        let of_format = |kind: &Kind| match self.format {
            Format::Parquet => true,
            Format::TardisCsv => tardis::KINDS.contains(kind),
            Format::Hftbacktest => hftbacktest::KINDS.contains(kind),
        };
        if self.format == Format::Parquet && self.kinds.is_empty() {
            return None;
        }
        let mut kinds: BTreeSet<Kind> =
            Kind::ALL.into_iter().filter(of_format).filter(|kind| self.wants(*kind)).collect();
        if self.needs_books() && (self.wants(Kind::BookDelta) || self.wants(Kind::BookSnapshot)) {
            kinds.extend([Kind::BookDelta, Kind::BookSnapshot]);
        }
        // Definitions are read for the names of the instruments.
        kinds.extend([Kind::Gap, Kind::Instrument]);
        Some(kinds)
    }

    /// Whether definitions are rows of the export.
    fn takes_definitions(&self) -> bool {
        self.format == Format::Parquet && self.wants(Kind::Instrument)
    }

    fn needs_books(&self) -> bool {
        self.format != Format::Parquet
    }

    /// Whether aggregates stand in for trades: only where they are asked for and trades are not.
    fn takes_aggregates(&self) -> bool {
        self.kinds.contains(&Kind::AggTrade) && !self.kinds.contains(&Kind::Trade)
    }

    fn takes_gap(&self, gap: &Gap) -> bool {
        let of_book = |kind: Kind| matches!(kind, Kind::BookDelta | Kind::BookSnapshot);
        let stream = Kind::from_number(gap.stream);
        stream.is_none_or(|stream| {
            self.wants(stream)
                || (of_book(stream) && (self.wants(Kind::BookDelta) || self.wants(Kind::BookSnapshot)))
        }) || self.wants(Kind::Gap)
    }
}

/// How far an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Records read so far.
    pub records: u64,
    /// Capture sequence of the newest.
    pub sequence: u64,
    /// The capture sequence that reading began with.
    pub start: u64,
    /// The capture sequence after the last.
    pub end: u64,
}

/// What an export came to. Field names are those of `export --json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The format's name.
    pub format: &'static str,
    /// Records read by this run.
    pub records: u64,
    /// Days written by this run.
    pub days: u64,
    /// Days that were finished before.
    pub days_kept: u64,
    /// Files of the export, those of days that were kept included, as are the following numbers.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their length, bytes.
    pub bytes: u64,
    /// Gap records of the exported streams: where it is not 0, something is missing.
    pub gaps: u64,
    /// Records that are in no file, by reason: `book_not_valid`, `partial_snapshot` (the best levels
    /// alone make no book), `book_of_unknown_market`, `instrument_not_defined`, `agg_trade` (the trades are
    /// exported), `no_file_of_this_kind`, and for Parquet `number_too_long` for rows with a number that only their
    /// column `exact_json` holds.
    pub left_out: BTreeMap<String, u64>,
    /// What could not be read of the log.
    pub problems: Vec<Problem>,
}

impl Summary {
    fn add(&mut self, day: &FinishedDay) {
        self.files += day.files.len() as u64;
        self.rows += day.files.iter().map(|file| file.rows).sum::<u64>();
        self.bytes += day.files.iter().map(|file| file.bytes).sum::<u64>();
        self.gaps += day.gaps;
        for (reason, count) in &day.left_out {
            *self.left_out.entry(reason.clone()).or_default() += count;
        }
    }
}

/// Exports a log. Where the folder has the same export already, this goes on with it.
pub fn export(
    reader: &LogReader,
    request: &Request<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, ExportError> {
    run::run(reader, request, progress)
}

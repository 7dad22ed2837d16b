//! A log, read no further than is wanted.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use marketprism_core::instrument::Registry;
use marketprism_core::record::{Kind, RecordRef};
use marketprism_log::{LogError, LogReader, Problem, ReadReport, Selection};

use super::super::inspect::segments_in;
use super::filter::Filter;
use crate::EXIT_BAD;

/// Receive times of a log are out of order by less than this, nanoseconds: a recorder holds the deltas of a book that
/// waits for its snapshot for a second, and its threads lag behind each other by milliseconds.
pub(crate) const ORDER_WINDOW_NS: i64 = 2_000_000_000;

/// A log and its span of time.
pub(crate) struct Source {
    reader: LogReader,
    first_ns: i64,
    last_ns: i64,
}

impl Source {
    /// Opens a log. The error says what to name instead.
    pub(crate) fn open(directory: &Path) -> Result<Source, String> {
        let reader = segments_in(directory)?;
        let times = reader.receive_times().map_err(|error| error.to_string())?;
        let (first_ns, last_ns) = times.unwrap_or((i64::MAX, i64::MIN));
        Ok(Source { reader, first_ns, last_ns })
    }

    /// What a filter can want of `from_ns..end_ns`, and definitions. The filter itself is still to be asked: a canonical
    /// symbol may change.
    pub(crate) fn selection(
        &self,
        filter: &Filter,
        from_ns: i64,
        end_ns: i64,
    ) -> Result<Selection, LogError> {
        let mut selection = Selection { from_ns, end_ns, kinds: filter.kinds(), ..Selection::default() };
        if filter.names_some() {
            let ids = self.reader.instruments(&selection, |instrument| filter.names(instrument))?;
            selection.instruments = Some(ids);
        }
        Ok(selection)
    }

    /// Hands the selected records to `f`, in capture order.
    pub(crate) fn read(
        &self,
        selection: &Selection,
        f: impl FnMut(u64, RecordRef<'_>, &Registry) -> ControlFlow<()>,
    ) -> Result<ReadReport, LogError> {
        self.reader.for_each(selection, f)
    }

    /// All instruments of the log, as they were defined last.
    pub(crate) fn registry(&self) -> Result<Registry, LogError> {
        self.reader.registry()
    }

    /// No record was received before this time.
    pub(crate) fn first_ns(&self) -> i64 {
        self.first_ns
    }

    /// No record was received after this time.
    pub(crate) fn last_ns(&self) -> i64 {
        self.last_ns
    }
}

/// These kinds, and definitions.
pub(crate) fn with_definitions(kinds: impl IntoIterator<Item = Kind>) -> Option<BTreeSet<Kind>> {
    Some(kinds.into_iter().chain([Kind::Instrument]).collect())
}

/// Says on standard error what of a log could not be read. Gives the exit code.
pub(crate) fn report_problems(problems: &[Problem]) -> ExitCode {
    problems.iter().for_each(|problem| eprintln!("problem: {problem}"));
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_BAD) }
}

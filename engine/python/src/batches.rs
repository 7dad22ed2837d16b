//! A log, batch by batch.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::vec::IntoIter;

use marketprism_log::format::BatchKind;
use marketprism_log::{LogReader, Problem, Segment};
use pyo3::prelude::*;

use crate::rows::{ProblemTuple, Rows, Tables, Wanted, problem_tuple};
use crate::{LogError, log_error};

/// Iterates over the batches that hold wanted records.
#[pyclass]
pub(crate) struct Batches {
    wanted: Wanted,
    paths: IntoIter<PathBuf>,
    current: Option<Place>,
    /// The capture sequence that has to come next.
    expected: Option<u64>,
    /// What was wrong since the last batch that was handed out.
    problems: Vec<Problem>,
}

/// How far a segment has been read.
struct Place {
    segment: Arc<Segment>,
    /// Offsets of the batches to read, by the segment's index; `None`: one after the other.
    listed: Option<IntoIter<u64>>,
    /// Where the next batch begins, bytes from the start of the file.
    position: u64,
}

impl Batches {
    pub(crate) fn new(reader: &LogReader, wanted: Wanted) -> Batches {
        let paths = reader.segments().into_iter();
        Batches { wanted, paths, current: None, expected: None, problems: Vec::new() }
    }

    fn next_tables(&mut self) -> PyResult<Option<Tables>> {
        loop {
            let Some(place) = &mut self.current else {
                match self.paths.next() {
                    Some(path) => self.open(&path)?,
                    None => return Ok(None),
                }
                continue;
            };
            match place.step(&self.wanted, &mut self.expected, &mut self.problems) {
                Step::Tables(tables) => return Ok(Some(tables)),
                Step::TooLong(what) => return Err(LogError::new_err(what)),
                Step::Nothing => {}
                Step::End => self.current = None,
            }
        }
    }

    fn open(&mut self, path: &Path) -> PyResult<()> {
        let segment = match Segment::map(path) {
            Ok(segment) => segment,
            // Removed since the directory was read.
            Err(marketprism_log::LogError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                return Ok(());
            }
            Err(error) => return Err(log_error(error)),
        };
        let is_last = self.paths.len() == 0;
        match segment.header() {
            // A writer that found records gone has said so.
            Ok(header) if self.expected == Some(header.previous_end) => {
                self.expected = Some(header.first_sequence);
            }
            Ok(_) => {}
            // The last file may be so young that its header has not been written.
            Err(_) if is_last && segment.bytes().is_empty() => {}
            Err(problem) => self.problems.push(problem.clone()),
        }
        if !is_last && segment.torn_bytes() > 0 {
            let what = format!("{} bytes at the end are torn or damaged", segment.torn_bytes());
            let offset = segment.file_bytes() - segment.torn_bytes();
            self.problems.push(Problem::new(segment.name(), offset, what));
        }
        self.current = Some(Place { listed: self.listed(&segment), position: 0, segment: Arc::new(segment) });
        Ok(())
    }

    /// Where the wanted batches of a sealed segment are. All batches are compared with the one before them.
    fn listed(&mut self, segment: &Segment) -> Option<IntoIter<u64>> {
        let footer = match segment.footer()? {
            Ok(footer) => footer,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        let mut offsets = Vec::new();
        for entry in footer.entries {
            let first = (segment, entry.offset, entry.first_sequence);
            expect(&mut self.expected, first, entry.records, &mut self.problems);
            if self.wanted.may_be_in(entry) {
                offsets.push(entry.offset);
            }
        }
        Some(offsets.into_iter())
    }
}

/// What one step came to.
enum Step {
    Tables(Tables),
    TooLong(&'static str),
    /// Nothing wanted in this batch.
    Nothing,
    /// The segment has no further batch.
    End,
}

impl Place {
    fn step(&mut self, wanted: &Wanted, expected: &mut Option<u64>, problems: &mut Vec<Problem>) -> Step {
        let mut batches = self.segment.selected(wanted.selection.clone());
        match &mut self.listed {
            None if self.position == 0 => {}
            None => batches.seek(self.position),
            Some(listed) => match listed.next() {
                Some(offset) => batches.seek(offset),
                None => return Step::End,
            },
        }
        let batch = loop {
            match batches.next_batch() {
                Some(Ok(batch)) => break batch,
                Some(Err(problem)) => problems.push(problem),
                None => return Step::End,
            }
            if self.listed.is_some() {
                return Step::Nothing;
            }
        };
        self.position = batch.offset().saturating_add(batch.header().total_bytes() as u64);
        if batch.kind() != BatchKind::Data {
            return Step::Nothing;
        }
        if self.listed.is_none() {
            let first = (&*self.segment, batch.offset(), batch.header().first_sequence);
            expect(expected, first, batch.header().records, problems);
        }
        let tables = Tables::of(&self.segment, &batch, wanted);
        problems.extend(batches.take_problems());
        match tables {
            Ok(tables) => tables.map_or(Step::Nothing, Step::Tables),
            Err(what) => Step::TooLong(what),
        }
    }
}

/// Compares a batch's first capture sequence with the one after the batch before.
fn expect(
    expected: &mut Option<u64>,
    (segment, offset, first): (&Segment, u64, u64),
    records: u32,
    problems: &mut Vec<Problem>,
) {
    let before = expected.replace(first.saturating_add(u64::from(records))).unwrap_or(first);
    if before != first {
        let what = format!("capture sequence {first} comes where {before} had to come");
        problems.push(Problem::new(segment.name(), offset, what));
    }
}

#[pymethods]
impl Batches {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<Rows>> {
        let tables = py.detach(|| self.next_tables())?;
        tables.map(|tables| Rows::of(py, tables, std::mem::take(&mut self.problems))).transpose()
    }

    /// What was wrong behind the last batch that was handed out.
    fn problems(&self) -> Vec<ProblemTuple> {
        self.problems.iter().cloned().map(problem_tuple).collect()
    }
}

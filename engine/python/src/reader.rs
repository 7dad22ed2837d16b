//! A log open for reading.

use std::path::PathBuf;

use marketprism_log::LogReader;
use pyo3::prelude::*;
use serde::Serialize;

use crate::batches::Batches;
use crate::book_at::{BookAt, book_at};
use crate::rows::{ProblemTuple, Rows, Wanted, problem_tuple, read};
use crate::streams::{StreamTuple, streams};
use crate::{LogError, log_error};

/// A log's directory. Every call sees the segments that are there by then.
#[pyclass(frozen)]
pub(crate) struct Reader {
    directory: PathBuf,
}

impl Reader {
    fn open(&self) -> PyResult<LogReader> {
        LogReader::open(&self.directory).map_err(log_error)
    }
}

#[pymethods]
impl Reader {
    #[new]
    fn new(directory: PathBuf) -> PyResult<Reader> {
        let reader = Reader { directory };
        if reader.open()?.first_sequence().is_none() {
            let directory = reader.directory.display();
            return Err(LogError::new_err(format!(
                "{directory} holds no segment: is it the folder of a log?"
            )));
        }
        Ok(reader)
    }

    /// All instruments as they were defined last: a JSON array.
    fn instruments(&self, py: Python<'_>) -> PyResult<String> {
        let registry = py.detach(|| self.open()?.registry().map_err(log_error))?;
        json(&registry.all())
    }

    /// The wanted records, copied into one table.
    fn read(
        &self,
        py: Python<'_>,
        kinds: Vec<u8>,
        instruments: Option<Vec<u32>>,
        times: (i64, i64),
    ) -> PyResult<Rows> {
        read(py, &self.open()?, &Wanted::new(&kinds, instruments, times)?)
    }

    /// The wanted records, one table for each batch that holds some.
    fn batches(&self, kinds: Vec<u8>, instruments: Option<Vec<u32>>, times: (i64, i64)) -> PyResult<Batches> {
        Ok(Batches::new(&self.open()?, Wanted::new(&kinds, instruments, times)?))
    }

    /// Counts of every stream, and what was wrong on the way.
    fn streams(&self, py: Python<'_>) -> PyResult<(Vec<StreamTuple>, Vec<ProblemTuple>)> {
        let (streams, problems) = py.detach(|| streams(&self.open()?).map_err(log_error))?;
        Ok((streams, problems.into_iter().map(problem_tuple).collect()))
    }

    /// The result of `verify --json`.
    fn verify(&self, py: Python<'_>) -> PyResult<String> {
        json(&py.detach(|| marketprism_log::verify(&self.directory)).map_err(log_error)?)
    }

    /// The result of `inspect --coverage --json`.
    fn coverage(&self, py: Python<'_>) -> PyResult<String> {
        json(&py.detach(|| marketprism_log::coverage::coverage(&self.directory)).map_err(log_error)?)
    }

    /// The book of an instrument with everything received until then.
    fn book_at(&self, py: Python<'_>, instrument: u32, at_ns: i64) -> PyResult<BookAt> {
        let found = py.detach(|| book_at(&self.open()?, instrument, at_ns).map_err(log_error))?;
        BookAt::of(py, found)
    }
}

fn json(value: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| LogError::new_err(error.to_string()))
}

//! The part of the Python package `marketprism` that is made in Rust: reading a log into memory that NumPy shares.
//!
//! Names, types and conversions are in the Python part; see `README.md`.

mod batches;
mod book_at;
mod decimal;
mod layout;
mod memory;
mod reader;
mod rows;
mod streams;

use pyo3::prelude::*;

pyo3::create_exception!(
    marketprism,
    LogError,
    pyo3::exceptions::PyException,
    "A log could not be read, or not in the way that was asked for."
);

#[pymodule]
mod _engine {
    #[pymodule_export]
    use super::LogError;
    #[pymodule_export]
    use super::batches::Batches;
    #[pymodule_export]
    use super::book_at::BookAt;
    #[pymodule_export]
    use super::decimal::decimal128;
    #[pymodule_export]
    use super::layout::layouts;
    #[pymodule_export]
    use super::memory::Memory;
    #[pymodule_export]
    use super::reader::Reader;
    #[pymodule_export]
    use super::rows::Rows;
}

/// An error of the log as a Python exception.
fn log_error(error: marketprism_log::LogError) -> PyErr {
    LogError::new_err(error.to_string())
}

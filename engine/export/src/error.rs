//! What can go wrong.

use std::io;
use std::path::{Path, PathBuf};

use marketprism_log::LogError;

/// Why an export ended early. What is finished by then is kept; the next run goes on behind it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder holds an export of something else.
    #[error(
        "{} holds an export of {held}, and this one is of {wanted}; name another --out, or repeat the arguments of \
         the first run to go on with it",
        out.display()
    )]
    OtherExport {
        /// The folder.
        out: PathBuf,
        /// What the export there was made of: format, log and filter as JSON.
        held: String,
        /// What was asked for now.
        wanted: String,
    },
    /// The manifest is there and cannot be read.
    #[error("{} is not the manifest of an export ({reason}); name an empty folder", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What the reader of JSON said.
        reason: String,
    },
    /// Two instruments would have one file.
    #[error(
        "two instruments of the log have the file {path}; export them one by one with --market or --symbol"
    )]
    SameFile {
        /// The path below the folder of the export.
        path: String,
    },
    /// A file cannot be written or read.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The library that writes Parquet refused something.
    #[error("cannot write {path}: {reason}")]
    Parquet {
        /// The path below the folder of the export.
        path: String,
        /// What it said.
        reason: String,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl ExportError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> ExportError {
        ExportError::Io { action, path: path.to_owned(), source }
    }
}

//! What can go wrong, as values.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Why the log could not do what it was asked for. The text says what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another process writes this log, or delivers from it under this name.
    #[error("{path} is locked by {holder}: {advice}")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote about itself.
        holder: String,
        /// What to do.
        advice: &'static str,
    },
    /// The file system has no room, or a quota or file size limit was hit.
    #[error(
        "cannot {action} {path}: {source}; free some space: nothing written so far is harmed, and a retry continues where it stopped"
    )]
    Full {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The process may not do this.
    #[error(
        "cannot {action} {path}: {source}; check owner and mode of the directory and that it is mounted read-write"
    )]
    Permission {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Any other failure of the system.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A segment with this name exists and holds records.
    #[error(
        "{path} exists and holds records: it is not overwritten; was the log changed by another program?"
    )]
    SegmentExists {
        /// The segment.
        path: PathBuf,
    },
    /// A segment was asked for at a capture sequence that is already on disk.
    #[error("sequence {asked} is already on disk: the next one is {next}")]
    SequenceTaken {
        /// The sequence that a segment was asked for.
        asked: u64,
        /// The lowest free one.
        next: u64,
    },
    /// A sealed segment cannot be rewritten without loss.
    #[error("{path} is left as it is: {what}")]
    NotCompacted {
        /// The segment.
        path: PathBuf,
        /// What is wrong with it, or with what was made of it.
        what: String,
    },
    /// A cursor cannot have this name.
    #[error("{name:?} cannot name a cursor: write 1 to 64 letters, digits, - or _")]
    CursorName {
        /// The name.
        name: String,
    },
    /// A follower's cursor cannot be read.
    #[error(
        "{path} is damaged: it does not say what its follower has delivered; remove it where everything that is kept \
         may be delivered again"
    )]
    DamagedCursor {
        /// The cursor's file.
        path: PathBuf,
    },
    /// An archive could not be made: it would be longer than the format allows.
    #[error("a batch of {records} records is too large for the format: finish batches earlier")]
    TooLarge {
        /// Records in it.
        records: u32,
    },
}

impl LogError {
    /// Wraps an error of the system with what was tried on which file.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> LogError {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                LogError::Full { action, path, source }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                LogError::Permission { action, path, source }
            }
            _ => LogError::Io { action, path, source },
        }
    }

    /// Whether the same call may succeed later without other changes than free space.
    pub fn is_full(&self) -> bool {
        matches!(self, LogError::Full { .. })
    }
}

/// Something on disk that is not as it should be. The rest stays readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// File name inside the log's directory; empty where it is about the log as a whole.
    pub file: String,
    /// Where in the file, bytes from its start.
    pub offset: u64,
    /// What is wrong, with exact numbers.
    pub what: String,
}

impl Problem {
    /// A problem at one place of one file.
    pub fn new(file: &str, offset: u64, what: impl Into<String>) -> Problem {
        Problem { file: file.to_owned(), offset, what: what.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} at byte {}: {}", self.file, self.offset, self.what)
    }
}

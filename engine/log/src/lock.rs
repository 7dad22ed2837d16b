//! One writer for one log.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use crate::error::LogError;
use crate::format::LOCK_NAME;

/// Held while a process writes a log. The system releases it when the process ends, however it ends.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a directory or says who has it.
    pub(crate) fn take(directory: &Path) -> Result<Lock, LogError> {
        let path = directory.join(LOCK_NAME);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| LogError::io("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
                let holder = if known { holder.trim().to_owned() } else { "another process".to_owned() };
                return Err(LogError::Locked { path, holder });
            }
            Err(TryLockError::Error(error)) => return Err(LogError::io("lock", &path, error)),
        }
        // The text is for people; a full disk must not keep the recorder from starting.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id()));
        Ok(Lock { _file: file })
    }
}

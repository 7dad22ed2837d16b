//! One process for what only one may write.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::PathBuf;

use crate::error::LogError;

/// Held while a process writes a log, or delivers from it. The system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock that this file stands for, or says who has it and, with `advice`, what to do.
    pub(crate) fn take(path: PathBuf, advice: &'static str) -> Result<Lock, LogError> {
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
                return Err(LogError::Locked { path, holder, advice });
            }
            Err(TryLockError::Error(error)) => return Err(LogError::io("lock", &path, error)),
        }
        // The text is for people; a full disk must not keep the recorder from starting.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id()));
        Ok(Lock { _file: file })
    }
}

//! Files that are written in pieces and have their name only once they are whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::ExportError;

/// Gathered bytes are moved to the disk at the latest when they are so many.
const GATHERED_BYTES: usize = 1 << 20;

/// What the name of a file ends in while it is being written.
const SUFFIX: &str = ".part";

/// A finished file, as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedFile {
    /// The path below the folder of the export, with `/`.
    pub path: String,
    /// Rows; events in a file for hftbacktest.
    pub rows: u64,
    /// Length, bytes.
    pub bytes: u64,
    /// CRC-32C of all bytes, eight hexadecimal digits.
    pub crc32c: String,
    /// Lowest capture sequence of a record in it.
    pub first_sequence: u64,
    /// Highest capture sequence of a record in it.
    pub last_sequence: u64,
}

/// A file on its way. Nothing is kept open between writes, so that the number of files has no limit; what is written
/// is gathered until there is much of it, or until [`spill`](PartFile::spill).
pub(crate) struct PartFile {
    name: String,
    path: PathBuf,
    gathered: Vec<u8>,
    written: u64,
    checksum: u32,
}

impl PartFile {
    /// A file that is to have the path `name` below `out`.
    pub(crate) fn new(out: &Path, name: String) -> PartFile {
        let path = out.join(format!("{name}{SUFFIX}"));
        PartFile { name, path, gathered: Vec::new(), written: 0, checksum: 0 }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Appends bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= GATHERED_BYTES { self.spill() } else { Ok(()) }
    }

    /// Moves what is gathered to the disk.
    pub(crate) fn spill(&mut self) -> Result<(), ExportError> {
        let opened = match self.written {
            0 => {
                self.path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create(&self.path))
            }
            _ => OpenOptions::new().append(true).open(&self.path),
        };
        opened
            .and_then(|mut file| file.write_all(&self.gathered))
            .map_err(|error| ExportError::io("write", &self.path, error))?;
        self.checksum = crc32c::crc32c_append(self.checksum, &self.gathered);
        self.written += self.gathered.len() as u64;
        self.gathered = Vec::new();
        Ok(())
    }

    /// Writes the rest and gives the file its name.
    pub(crate) fn finish(mut self, rows: u64, sequences: Span) -> Result<ExportedFile, ExportError> {
        self.spill()?;
        let whole = self.path.with_file_name(file_name(&self.name));
        fs::rename(&self.path, &whole).map_err(|error| ExportError::io("rename", &self.path, error))?;
        Ok(ExportedFile {
            path: self.name,
            rows,
            bytes: self.written,
            crc32c: format!("{:08x}", self.checksum),
            first_sequence: sequences.first,
            last_sequence: sequences.last,
        })
    }
}

impl Write for PartFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Capture sequences of the records in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Span {
    pub(crate) const EMPTY: Span = Span { first: u64::MAX, last: 0 };

    pub(crate) fn add(&mut self, sequence: u64) {
        self.first = self.first.min(sequence);
        self.last = self.last.max(sequence);
    }
}

/// A name as a part of a path: all but ASCII letters, digits, `-`, `.`, `_` and `~` is percent-encoded, as readers of
/// Hive-style folders expect.
pub(crate) fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => text.push(char::from(byte)),
            // A name of points alone would lead out of the folder.
            b'.' if !name.bytes().all(|byte| byte == b'.') => text.push('.'),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_out_of_their_folder() {
        assert_eq!(encoded("BTC-USD-20261225-100000-C"), "BTC-USD-20261225-100000-C");
        assert_eq!(encoded("a/../b"), "a%2F..%2Fb");
        assert_eq!((encoded(".."), encoded("币")), ("%2E%2E".to_owned(), "%E5%B8%81".to_owned()));
    }

    #[test]
    fn a_file_has_its_name_once_it_is_whole() {
        let out = tempfile::tempdir().unwrap();
        let mut file = PartFile::new(out.path(), "a=1/b.csv".to_owned());
        file.write_all(b"one,").unwrap();
        file.spill().unwrap();
        file.write_all(b"two").unwrap();
        assert!(out.path().join("a=1/b.csv.part").exists() && !out.path().join("a=1/b.csv").exists());
        let done = file.finish(1, Span { first: 3, last: 4 }).unwrap();
        assert_eq!(fs::read(out.path().join("a=1/b.csv")).unwrap(), b"one,two");
        assert_eq!((done.bytes, done.crc32c), (7, format!("{:08x}", crc32c::crc32c(b"one,two"))));
        assert!(!out.path().join("a=1/b.csv.part").exists());
    }
}

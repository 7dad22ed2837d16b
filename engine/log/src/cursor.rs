//! How far the followers of a log have come.
//!
//! A follower reads the log of a running recorder and delivers it elsewhere. It keeps its place in a small file in the log's
//! directory, `NAME.cursor`, from which it goes on after a stop or a crash, and which tells [retention](crate::retention)
//! what is still wanted. Delivery is at least once: the cursor is advanced after the fact.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytemuck::{Pod, Zeroable};

use crate::directory::sync_directory;
use crate::error::LogError;
use crate::format::{HEADER_BYTES, TEMPORARY_SUFFIX, read_checked, sealed_checksum};
use crate::lock::Lock;
use crate::recover::{file_names, list};

/// First bytes of the file.
const MAGIC: [u8; 8] = *b"MPRISM-C";
/// Version of the file.
const VERSION: u32 = 1;
/// Ends the file's name.
const SUFFIX: &str = ".cursor";
/// Added to the file's name for the lock.
const LOCK_SUFFIX: &str = ".lock";
/// Longest name, bytes.
const MOST_NAME_BYTES: usize = 64;

/// The whole file. `FORMAT.md` describes it.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct CursorFile {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
    pub(crate) reserved: u32,
    pub(crate) sequence: u64,
    pub(crate) reserved_end: [u8; 36],
    pub(crate) checksum: u32,
}

impl CursorFile {
    fn new(sequence: u64) -> CursorFile {
        let mut file = CursorFile { magic: MAGIC, version: VERSION, sequence, ..Zeroable::zeroed() };
        file.checksum = sealed_checksum(&file);
        file
    }

    fn read(bytes: &[u8]) -> Option<CursorFile> {
        let file: CursorFile = read_checked(bytes, &MAGIC)?;
        (file.version == VERSION && bytes.len() == HEADER_BYTES).then_some(file)
    }
}

const _: () = assert!(size_of::<CursorFile>() == HEADER_BYTES);

/// The place of one follower. One process uses a name at a time: a second one would say of records that they are
/// delivered which the first has not delivered.
#[derive(Debug)]
pub struct Cursor {
    path: PathBuf,
    sequence: u64,
    _lock: Lock,
}

impl Cursor {
    /// The cursor of this name. A new one begins with the log's oldest record and is on disk at once, so that nothing
    /// from there on is removed.
    ///
    /// A name is made of 1 to 64 letters, digits, `-` and `_`. Another one is an error, and so is a file that is damaged: the
    /// follower must not guess what it has delivered, and a name that another follower uses now.
    pub fn open(directory: &Path, name: &str) -> Result<Cursor, LogError> {
        if !is_name(name) {
            return Err(LogError::CursorName { name: name.to_owned() });
        }
        let path = directory.join(format!("{name}{SUFFIX}"));
        let lock = directory.join(format!("{name}{SUFFIX}{LOCK_SUFFIX}"));
        let _lock = Lock::take(lock, "one follower has one name; stop it or choose another name")?;
        match read(&path) {
            Ok(sequence) => Ok(Cursor { path, sequence, _lock }),
            Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let sequence = list(directory)?.first().copied().unwrap_or(0);
                let cursor = Cursor { path, sequence, _lock };
                cursor.write(cursor.sequence)?;
                Ok(cursor)
            }
            Err(error) => Err(error),
        }
    }

    /// The capture sequence of the first record that is not delivered.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Says that every record before this capture sequence is delivered. Returns when that has reached the disk. A cursor
    /// never goes back: a lower sequence changes nothing. After an error the cursor is where it was.
    pub fn advance(&mut self, sequence: u64) -> Result<(), LogError> {
        if sequence > self.sequence {
            self.write(sequence)?;
            self.sequence = sequence;
        }
        Ok(())
    }

    /// Puts a whole new file in the place of the old one.
    fn write(&self, sequence: u64) -> Result<(), LogError> {
        let mut temporary = self.path.as_os_str().to_owned();
        temporary.push(TEMPORARY_SUFFIX);
        let temporary = PathBuf::from(temporary);
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(bytemuck::bytes_of(&CursorFile::new(sequence)))?;
            file.sync_all()
        });
        written.map_err(|error| LogError::io("write", &temporary, error))?;
        fs::rename(&temporary, &self.path).map_err(|error| LogError::io("replace", &self.path, error))?;
        sync_directory(self.path.parent().unwrap_or(Path::new(".")))
    }
}

/// A follower as its cursor tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Name of its cursor.
    pub name: String,
    /// The capture sequence of the first record that it has not delivered.
    pub sequence: u64,
}

/// All followers of a log, by name. A cursor that is damaged is an error.
pub fn cursors(directory: &Path) -> Result<Vec<Follower>, LogError> {
    let mut followers = Vec::new();
    for file_name in file_names(directory)? {
        let Some(name) = file_name.strip_suffix(SUFFIX).filter(|name| is_name(name)) else { continue };
        let sequence = read(&directory.join(&file_name))?;
        followers.push(Follower { name: name.to_owned(), sequence });
    }
    followers.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(followers)
}

fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MOST_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_allowed)
}

fn read(path: &Path) -> Result<u64, LogError> {
    let bytes = fs::read(path).map_err(|error| LogError::io("read", path, error))?;
    match CursorFile::read(&bytes) {
        Some(file) => Ok(file.sequence),
        None => Err(LogError::DamagedCursor { path: path.to_owned() }),
    }
}

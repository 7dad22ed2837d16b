//! The log's directory, open for writing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use marketprism_core::clock::wall_ns;
use marketprism_core::instrument::Registry;

use crate::cursor::cursors;
use crate::error::LogError;
use crate::format::{FileHeader, LOCK_NAME, segment_name};
use crate::lock::Lock;
use crate::recover;
pub use crate::recover::Cut;
use crate::segment::SegmentWriter;

/// How a log is written.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// A segment of this many bytes is closed.
    pub segment_bytes: u64,
    /// A segment of this age is closed, nanoseconds.
    pub segment_age_ns: i64,
    /// Number of this run, kept in each segment; by default the time of the start.
    pub run_id: u64,
    /// Capture sequences below this are never given again, even where their records are gone.
    pub minimum_sequence: u64,
    /// Whether the directory is synchronised when a segment is created, so that its name survives a power failure.
    pub sync_directory: bool,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes: 256 << 20,
            segment_age_ns: 3_600_000_000_000,
            run_id: wall_ns() as u64,
            minimum_sequence: 0,
            sync_directory: true,
        }
    }
}

/// What opening a log for writing found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Torn tails that were cut.
    pub cuts: Vec<Cut>,
    /// Number of segments found.
    pub segments: u64,
    /// Number of instruments restored.
    pub instruments: u64,
    /// Capture sequences left unused because their records are gone.
    pub lost_sequences: u64,
}

/// A segment that was just created. `head` goes to offset 0, then batches as `writer` says.
pub struct SegmentFile {
    /// The open file, empty.
    pub file: File,
    /// Its bookkeeping.
    pub writer: SegmentWriter,
    /// File header and dictionary.
    pub head: Vec<u8>,
}

/// A log open for writing. Holds the lock.
pub struct Log {
    directory: PathBuf,
    options: LogOptions,
    registry: Registry,
    opened_at: u64,
    found_end: u64,
    next_sequence: u64,
    _lock: Lock,
}

impl Log {
    /// Opens a log, creating its directory where needed. Takes the lock, cuts the torn tail of the last segment, reads the
    /// instruments. Never appends to a segment that it finds.
    pub fn open(directory: &Path, options: LogOptions) -> Result<(Log, Recovery), LogError> {
        fs::create_dir_all(directory).map_err(|error| LogError::io("create", directory, error))?;
        let lock = Lock::take(
            directory.join(LOCK_NAME),
            "one log has one writer; stop it or choose another directory",
        )?;
        let found = recover::recover(directory)?;
        let on_disk = found.end_sequence.unwrap_or(0).max(found.highest_name);
        let opened_at = on_disk.max(options.minimum_sequence).max(delivered(directory)?);
        let found_end = found.end_sequence.unwrap_or(opened_at);
        let recovery = Recovery {
            segments: recover::list(directory)?.len() as u64,
            instruments: found.registry.all().len() as u64,
            lost_sequences: opened_at - found_end,
            cuts: found.cuts,
        };
        let log = Log {
            directory: directory.to_owned(),
            options,
            registry: found.registry,
            opened_at,
            found_end,
            next_sequence: opened_at,
            _lock: lock,
        };
        Ok((log, recovery))
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The options that it was opened with.
    pub fn options(&self) -> &LogOptions {
        &self.options
    }

    /// The lowest capture sequence that a new segment may start with.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The instruments found when the log was opened.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Creates a segment: for the first one `first_sequence` is [`next_sequence`](Self::next_sequence), later that of the
    /// [`SegmentWriter`] before. After an error the call may be repeated.
    pub fn start_segment(
        &mut self,
        registry: &Registry,
        first_sequence: u64,
    ) -> Result<SegmentFile, LogError> {
        if first_sequence < self.next_sequence {
            return Err(LogError::SequenceTaken { asked: first_sequence, next: self.next_sequence });
        }
        let previous_end = if first_sequence == self.opened_at { self.found_end } else { first_sequence };
        let header = FileHeader::new(wall_ns(), self.options.run_id, first_sequence, previous_end);
        let path = self.directory.join(segment_name(first_sequence));
        let (writer, head) = SegmentWriter::create(&path, header, registry)?;
        let file = create(&path)?;
        if self.options.sync_directory {
            sync_directory(&self.directory)?;
        }
        self.next_sequence = first_sequence;
        Ok(SegmentFile { file, writer, head })
    }
}

/// The highest sequence that a follower's cursor names. A follower may have delivered further than the disk remembers after a
/// power failure, and must not take the records that come for those that it has. A cursor that is damaged keeps no
/// recorder from starting.
fn delivered(directory: &Path) -> Result<u64, LogError> {
    match cursors(directory) {
        Ok(followers) => Ok(followers.iter().map(|follower| follower.sequence).max().unwrap_or(0)),
        Err(LogError::DamagedCursor { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Waits until the names in a directory have reached the disk.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), LogError> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| LogError::io("synchronise", directory, error))
}

/// Creates a segment's file and never opens one that holds a record.
fn create(path: &Path) -> Result<File, LogError> {
    let create_new = || OpenOptions::new().read(true).write(true).create_new(true).open(path);
    let created = match create_new() {
        // Left by an attempt of this very process whose first write failed: recovery cleared what was there before.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            recover::clear(path)?;
            create_new()
        }
        created => created,
    };
    created.map_err(|error| LogError::io("create", path, error))
}

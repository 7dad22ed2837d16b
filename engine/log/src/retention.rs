//! Which segments a log keeps no longer.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cursor::{Follower, cursors};
use crate::directory::sync_directory;
use crate::error::LogError;
use crate::format::segment_name;
use crate::map::Segment;
use crate::recover::list;

/// Segments at the end of a log that are kept whatever the limits say. The newest is being written and may hold no record
/// yet; a writer that starts then removes it, and the one before alone tells sequences and instruments.
const ALWAYS_KEPT: usize = 2;

/// How long, and how much of it, a log is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// A segment whose newest record was received longer ago than this is removed, nanoseconds. `None`: never.
    pub keep_ns: Option<i64>,
    /// The oldest segments are removed until all files together are no longer than this, bytes. `None`: never.
    pub keep_bytes: Option<u64>,
    /// Whether segments are removed that a follower has not delivered.
    pub ignores_followers: bool,
}

/// Which limit a segment is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`Retention::keep_ns`].
    Age,
    /// [`Retention::keep_bytes`].
    Bytes,
}

/// A segment that is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The file.
    pub path: PathBuf,
    /// Its length, bytes.
    pub bytes: u64,
    /// Why.
    pub limit: Limit,
}

/// Segments beyond a limit that are kept because a follower still needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The follower that has delivered least.
    pub follower: Follower,
    /// Number of segments.
    pub segments: usize,
    /// Their length, bytes.
    pub bytes: u64,
    /// Records of sealed segments that the follower has not delivered.
    pub behind: u64,
}

/// What the limits ask for at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// The segments that are to be removed, oldest first.
    pub segments: Vec<Expired>,
    /// What would be among them without followers.
    pub held: Option<Held>,
}

/// The segments that are to be removed at a time, nanoseconds since the Unix epoch, oldest first. They are the beginning of the
/// log without a hole, and never its two newest segments. The files' own times are not asked.
///
/// A segment that is not old enough keeps everything behind it, so records stamped by a clock that was ahead stay until their
/// time has come. One without a readable record goes with the next one that is too old. A segment with a record that a
/// [follower](crate::cursor) has not delivered stays, unless [`Retention::ignores_followers`]; a damaged cursor is an error.
pub fn expired(directory: &Path, retention: Retention, now_ns: i64) -> Result<Expiry, LogError> {
    let names = list(directory)?;
    let paths: Vec<PathBuf> = names.iter().map(|name| directory.join(segment_name(*name))).collect();
    let lengths = paths.iter().map(|path| length(path)).collect::<Result<Vec<u64>, _>>()?;
    let removable = paths.len().saturating_sub(ALWAYS_KEPT);
    let old = match retention.keep_ns {
        Some(keep_ns) => older_than(paths.iter().take(removable), now_ns.saturating_sub(keep_ns))?,
        None => 0,
    };
    let over = retention.keep_bytes.map_or(0, |most| beyond(&lengths, most).min(removable));
    let wanted = old.max(over);
    let slowest = if retention.ignores_followers { None } else { slowest(directory)? };
    let delivered = slowest.as_ref().map_or(wanted, |follower| delivered(&names, follower.sequence));
    let held = slowest.filter(|_| delivered < wanted).map(|follower| Held {
        segments: wanted - delivered,
        bytes: lengths.iter().take(wanted).skip(delivered).sum(),
        behind: names.last().map_or(0, |newest| newest.saturating_sub(follower.sequence)),
        follower,
    });
    let limit = |index| if index < old { Limit::Age } else { Limit::Bytes };
    let oldest = paths.into_iter().zip(lengths).take(wanted.min(delivered)).enumerate();
    let segments = oldest.map(|(index, (path, bytes))| Expired { path, bytes, limit: limit(index) });
    Ok(Expiry { segments: segments.collect(), held })
}

/// The follower that has delivered least.
fn slowest(directory: &Path) -> Result<Option<Follower>, LogError> {
    Ok(cursors(directory)?.into_iter().min_by_key(|follower| follower.sequence))
}

/// How many of the first segments hold no record from a capture sequence on.
fn delivered(names: &[u64], sequence: u64) -> usize {
    names.iter().skip(1).take_while(|end| **end <= sequence).count()
}

/// Length of a file, bytes.
fn length(path: &Path) -> Result<u64, LogError> {
    let metadata = fs::metadata(path).map_err(|error| LogError::io("examine", path, error))?;
    Ok(metadata.len())
}

/// How many of the first segments are older.
fn older_than<'a>(paths: impl Iterator<Item = &'a PathBuf>, before_ns: i64) -> Result<usize, LogError> {
    let mut count = 0;
    for (index, path) in paths.enumerate() {
        match Segment::map(path)?.last_receive_ns() {
            Some(last_ns) if last_ns < before_ns => count = index + 1,
            Some(_) => break,
            None => {}
        }
    }
    Ok(count)
}

/// How many of the first files are too many.
fn beyond(lengths: &[u64], most: u64) -> usize {
    let mut total: u64 = lengths.iter().sum();
    let too_many = lengths.iter().take_while(|bytes| {
        let is_beyond = total > most;
        total -= **bytes;
        is_beyond
    });
    too_many.count()
}

impl Expired {
    /// Removes the file and waits until that has reached the disk, so that a power failure leaves no hole. Only the holder
    /// of the log's lock may call this, in the order of [`expired()`]. Readers that have the file mapped are not disturbed.
    pub fn remove(&self) -> Result<(), LogError> {
        fs::remove_file(&self.path).map_err(|error| LogError::io("remove", &self.path, error))?;
        sync_directory(self.path.parent().unwrap_or(Path::new(".")))
    }
}

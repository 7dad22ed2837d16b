//! Sealed segments rewritten: the same records in larger batches, clustered by instrument and kind, and compressed.
//!
//! A live batch holds what came in half a millisecond, and of each symbol a record or two.
//!
//! Memory while a segment is rewritten: the gathered records of a batch, 24 bytes for each to sort them, and what they
//! are stored in; twice `BATCH_BYTES` at most. While the file is read back, a decoded batch. The pages of the two mapped
//! files come on top, which the system takes back when it needs them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crc32c::crc32c_append;
use marketprism_core::record::{Body, Book, Definition, Raw, RecordRef, Session};

use crate::batch::BatchBuilder;
use crate::cluster::encode::{ClusterBuilder, bytes_of};
use crate::codec;
use crate::directory::sync_directory;
use crate::error::{LogError, Problem};
use crate::format::{BatchHeader, BatchKind, Codec, FileHeader, HEADER_BYTES, TEMPORARY_SUFFIX};
use crate::map::Segment;
use crate::segment::SegmentWriter;
use crate::view::BatchView;

/// Records are gathered until they take this much memory, bytes. A batch decodes to a little less. Twice of it makes a
/// log of 500 instruments 9 % shorter and one of 50 not, at twice the memory; and whoever reads all records of a batch
/// wants them in a cache.
const BATCH_BYTES: usize = 16 << 20;

/// A segment that was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Length of the file before, bytes.
    pub bytes_before: u64,
    /// Length of the file now, bytes.
    pub bytes_after: u64,
}

/// Rewrites a sealed segment compressed, and puts the new file in the place of the old one once it was read back and holds
/// the same records. `None` where there is nothing to do: it was removed, is not sealed, has no records, or all are compressed.
///
/// `go_on` is asked every few milliseconds while writing and with every batch while reading back; where it says no the segment stays as it is, and the answer is `None`.
/// A damaged segment is an error and stays as it is. Only the holder of the log's lock may call this. Readers that have the
/// old file mapped are not disturbed.
pub fn compact(path: &Path, go_on: impl Fn() -> bool) -> Result<Option<Compaction>, LogError> {
    let segment = match Segment::map(path) {
        Ok(segment) => segment,
        Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !is_worthwhile(&segment) || !go_on() {
        return Ok(None);
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY_SUFFIX);
    let temporary = PathBuf::from(temporary);
    let replaced = replace(&segment, &temporary, &go_on);
    if !matches!(replaced, Ok(Some(_))) {
        // What cannot be removed now is removed when the log is opened the next time.
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

/// Whether any data batch of a sealed segment is not compressed. Damage counts, so that it is told and not passed over.
fn is_worthwhile(segment: &Segment) -> bool {
    let mut batches = segment.batches_unchecked();
    let mut stored = std::iter::from_fn(|| batches.next_stored());
    let is_plain =
        |header: &BatchHeader| header.kind == BatchKind::Data as u8 && header.codec == Codec::None as u8;
    segment.is_sealed() && stored.any(|stored| stored.map_or(true, |stored| is_plain(&stored.header)))
}

fn replace(
    segment: &Segment,
    temporary: &Path,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Compaction>, LogError> {
    if !rewrite(segment, temporary, go_on)? {
        return Ok(None);
    }
    let rewritten = Segment::map(temporary)?;
    let (Some(before), Some(after)) = (digest(segment, go_on)?, digest(&rewritten, go_on)?) else {
        return Ok(None);
    };
    if before != after {
        return Err(refused(segment, "the rewritten file does not hold the same records"));
    }
    let path = segment.path();
    // Retention may have removed it meanwhile.
    if !go_on() || !path.exists() {
        return Ok(None);
    }
    fs::rename(temporary, path).map_err(|error| LogError::io("replace", path, error))?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))?;
    let (bytes_before, bytes_after) = (segment.file_bytes(), rewritten.file_bytes());
    Ok(Some(Compaction { bytes_before, bytes_after }))
}

fn refused(segment: &Segment, what: impl ToString) -> LogError {
    not_compacted(segment.path(), what)
}

fn not_compacted(path: &Path, what: impl ToString) -> LogError {
    LogError::NotCompacted { path: path.to_owned(), what: what.to_string() }
}

/// Writes all of a segment to another file and waits until it has reached the disk. False where `go_on` said no.
fn rewrite(segment: &Segment, temporary: &Path, go_on: &dyn Fn() -> bool) -> Result<bool, LogError> {
    let damaged = |problem: Problem| refused(segment, problem);
    let header = *segment.header().map_err(|problem| damaged(problem.clone()))?;
    let mut batches = segment.batches();
    let mut output = match batches.next_batch().transpose().map_err(damaged)? {
        Some(dictionary) if dictionary.kind() == BatchKind::Dictionary => {
            Output::create(temporary, header, &dictionary)?
        }
        _ => return Err(refused(segment, "it does not begin with a dictionary")),
    };
    while let Some(batch) = batches.next_batch().transpose().map_err(damaged)? {
        if !go_on() {
            return Ok(false);
        }
        if batch.kind() != BatchKind::Data || batch.header().first_sequence != output.next_sequence() {
            return Err(refused(segment, format!("the batch at byte {} is out of order", batch.offset())));
        }
        if !output.append(&batch, go_on)? {
            return Ok(false);
        }
    }
    if !output.flush(go_on)? {
        return Ok(false);
    }
    let footer = segment.footer().transpose().map_err(damaged)?;
    if footer.is_none_or(|footer| footer.end_sequence != output.next_sequence()) {
        return Err(refused(segment, "its end is not where its trailer says"));
    }
    output.seal()?;
    Ok(go_on())
}

/// The file that takes the place of the segment.
struct Output {
    file: File,
    segment: SegmentWriter,
    builder: ClusterBuilder,
    bytes: Vec<u8>,
}

impl Output {
    /// Begins with the header and a dictionary of the same definitions.
    fn create(path: &Path, header: FileHeader, dictionary: &BatchView<'_>) -> Result<Output, LogError> {
        let (mut definitions, mut archived, mut bytes) = (BatchBuilder::new(), Vec::new(), Vec::new());
        for (_, record) in dictionary.records() {
            definitions.push(record).map_err(|error| not_compacted(path, error))?;
        }
        definitions.finish_as(BatchKind::Dictionary, header.first_sequence, &mut archived)?;
        codec::compress(&archived, &mut bytes).map_err(|what| not_compacted(path, what))?;
        let mut file = File::create(path).map_err(|error| LogError::io("create", path, error))?;
        write(&mut file, path, bytemuck::bytes_of(&header))?;
        write(&mut file, path, &bytes)?;
        let segment = SegmentWriter::new(path, header, (HEADER_BYTES + bytes.len()) as u64);
        let builder = ClusterBuilder::new(BATCH_BYTES).map_err(|error| not_compacted(path, error))?;
        Ok(Output { file, segment, builder, bytes })
    }

    /// The capture sequence of the next record.
    fn next_sequence(&self) -> u64 {
        self.segment.next_sequence() + u64::from(self.builder.records())
    }

    /// False where `go_on` said no.
    fn append(&mut self, batch: &BatchView<'_>, go_on: &dyn Fn() -> bool) -> Result<bool, LogError> {
        for (_, record) in batch.records() {
            if self.builder.bytes() + bytes_of(record) > BATCH_BYTES && !self.flush(go_on)? {
                return Ok(false);
            }
            self.builder.push(record);
        }
        Ok(true)
    }

    /// Writes the records gathered so far. False where `go_on` said no.
    fn flush(&mut self, go_on: &dyn Fn() -> bool) -> Result<bool, LogError> {
        if self.builder.records() == 0 {
            return Ok(true);
        }
        let path = self.segment.path();
        let finished = self.builder.finish(self.segment.next_sequence(), &mut self.bytes, go_on);
        let Some(info) = finished.map_err(|what| not_compacted(path, what))? else { return Ok(false) };
        write(&mut self.file, path, &self.bytes)?;
        self.segment.commit(&info);
        Ok(true)
    }

    /// Writes the footer and waits until everything has reached the disk.
    fn seal(&mut self) -> Result<(), LogError> {
        self.segment.seal(&mut self.bytes)?;
        let path = self.segment.path();
        write(&mut self.file, path, &self.bytes)?;
        self.file.sync_all().map_err(|error| LogError::io("synchronise", path, error))
    }
}

fn write(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    file.write_all(bytes).map_err(|error| LogError::io("write", path, error))
}

/// Number and checksum of all records with their sequences. `None` where `go_on` said no.
fn digest(segment: &Segment, go_on: &dyn Fn() -> bool) -> Result<Option<(u64, u32)>, LogError> {
    let (mut records, mut sum) = (0, 0);
    let mut batches = segment.batches();
    while let Some(batch) = batches.next_batch().transpose().map_err(|problem| refused(segment, problem))? {
        if !go_on() {
            return Ok(None);
        }
        records += batch.len() as u64;
        for (sequence, record) in batch.records() {
            sum = crc32c_append(sum, bytemuck::bytes_of(&sequence));
            sum = head_checksum(sum, record);
            sum = crc32c_append(sum, record.parts().1);
        }
    }
    Ok(Some((records, sum)))
}

/// Adds the fixed part of a record, without its place in a pool, which is the batch's own.
fn head_checksum(sum: u32, record: RecordRef<'_>) -> u32 {
    let unplaced = |body: Body| Body { start: 0, ..body };
    match record {
        RecordRef::Book(r, _) => crc32c_append(sum, bytemuck::bytes_of(&Book { level_start: 0, ..*r })),
        RecordRef::Definition(r, _) => {
            crc32c_append(sum, bytemuck::bytes_of(&Definition { body: unplaced(r.body), ..*r }))
        }
        RecordRef::Session(r, _) => {
            crc32c_append(sum, bytemuck::bytes_of(&Session { body: unplaced(r.body), ..*r }))
        }
        RecordRef::Raw(r, _) => crc32c_append(sum, bytemuck::bytes_of(&Raw { body: unplaced(r.body), ..*r })),
        record => crc32c_append(sum, bytemuck::cast_slice(record.parts().0)),
    }
}

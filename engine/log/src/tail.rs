//! How much of a segment is whole.
//!
//! A segment without a trailer may end in the middle of a batch: it is being written, or its writer was killed. The end is
//! found with reads of the file, not through a map, because a writer that starts at the same time may cut the torn
//! tail off, and a map of bytes that are gone kills the process that touches them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::format::{ALIGNMENT, BatchHeader, BatchKind, FileHeader, HEADER_BYTES, Trailer, checksum};

/// What a segment's file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Length of the file, bytes.
    pub(crate) file_bytes: u64,
    /// Bytes up to the end of the last whole batch, or of the trailer.
    pub(crate) whole_bytes: u64,
    /// Whether it has a trailer.
    pub(crate) sealed: bool,
    /// Whether it has at least one whole data batch.
    pub(crate) has_data: bool,
}

impl Extent {
    /// Bytes behind the last whole batch.
    pub(crate) fn torn_bytes(&self) -> u64 {
        self.file_bytes - self.whole_bytes
    }
}

/// Where a batch lies, by its header.
struct Candidate {
    offset: u64,
    header: BatchHeader,
}

/// Measures a segment.
pub(crate) fn measure(file: &File) -> io::Result<Extent> {
    let file_bytes = file.metadata()?.len();
    if let Some(trailer_offset) = file_bytes.checked_sub(HEADER_BYTES as u64) {
        let bytes = read_at(file, trailer_offset, HEADER_BYTES)?;
        if let Some(trailer) = Trailer::read(&bytes, file_bytes) {
            let header = FileHeader::read(&read_at(file, 0, HEADER_BYTES)?);
            // One whose header is damaged counts as holding records, so that it is never removed.
            let has_data = header.is_err() || header.is_ok_and(|h| h.first_sequence != trailer.end_sequence);
            return Ok(Extent { file_bytes, whole_bytes: file_bytes, sealed: true, has_data });
        }
    }
    let candidates = candidates(file, file_bytes)?;
    let head = match FileHeader::read(&read_at(file, 0, HEADER_BYTES)?) {
        Ok(_) => HEADER_BYTES as u64,
        Err(_) => 0,
    };
    let mut extent = Extent { file_bytes, whole_bytes: head, sealed: false, has_data: false };
    for candidate in candidates.iter().rev() {
        let whole = is_whole(file, candidate)?;
        if whole && extent.whole_bytes == head {
            extent.whole_bytes = candidate.offset + candidate.header.total_bytes() as u64;
        }
        if whole && candidate.header.kind == BatchKind::Data as u8 {
            extent.has_data = true;
            break;
        }
    }
    Ok(extent)
}

/// The batches whose headers are valid and whose bodies end inside the file.
fn candidates(file: &File, file_bytes: u64) -> io::Result<Vec<Candidate>> {
    let mut found = Vec::new();
    let mut offset = HEADER_BYTES as u64;
    while offset + HEADER_BYTES as u64 <= file_bytes {
        let header = BatchHeader::read(&read_at(file, offset, HEADER_BYTES)?);
        match header.filter(|header| fits(header, offset, file_bytes)) {
            Some(header) => {
                found.push(Candidate { offset, header });
                offset += header.total_bytes() as u64;
            }
            None => match next_header(file, offset + ALIGNMENT as u64, file_bytes)? {
                Some(next) => offset = next,
                None => break,
            },
        }
    }
    Ok(found)
}

fn fits(header: &BatchHeader, offset: u64, file_bytes: u64) -> bool {
    offset.checked_add(header.total_bytes() as u64).is_some_and(|end| end <= file_bytes)
}

/// The first place from `offset` on where a valid header of a batch that fits begins.
fn next_header(file: &File, mut offset: u64, file_bytes: u64) -> io::Result<Option<u64>> {
    const CHUNK: usize = 1 << 20;
    while offset + HEADER_BYTES as u64 <= file_bytes {
        let chunk = read_at(file, offset, CHUNK)?;
        for (index, bytes) in chunk.chunks_exact(ALIGNMENT).enumerate() {
            let here = offset + (index * ALIGNMENT) as u64;
            if BatchHeader::read(bytes).is_some_and(|header| fits(&header, here, file_bytes)) {
                return Ok(Some(here));
            }
        }
        if chunk.len() < CHUNK {
            return Ok(None);
        }
        offset += CHUNK as u64;
    }
    Ok(None)
}

fn is_whole(file: &File, candidate: &Candidate) -> io::Result<bool> {
    let bytes = candidate.header.total_bytes() - HEADER_BYTES;
    let body = read_at(file, candidate.offset + HEADER_BYTES as u64, bytes)?;
    Ok(body.len() == bytes && checksum(&body) == candidate.header.body_checksum)
}

/// Up to `bytes` bytes from `offset` on; fewer at the end of the file.
fn read_at(file: &File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    let mut filled = 0;
    while filled < bytes {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}

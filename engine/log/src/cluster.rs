//! Clustered bodies: the records of a batch grouped by instrument and kind, so that a reader of one symbol decodes
//! little more than its own records.
//!
//! ```text
//! ClusterDirectory · ClusterEntry … · zstd frame … (one a cluster)
//! ```
//!
//! A cluster is an archive of `Columns` like that of a plain batch, and behind it the place of each
//! of its records in the batch, counted from 0: LEB128 numbers, each the difference to the one before, modulo 2^32.
//! The batch still covers capture sequences without a hole.
//!
//! Clusters are sorted by instrument, then kind. Definitions come first, in clusters of their own: every reader needs
//! them.

pub(crate) mod decode;
pub(crate) mod encode;

use bytemuck::{Pod, Zeroable};
use marketprism_core::record::{Kind, LINE_BYTES};

use crate::format::{BatchHeader, HEADER_BYTES, MAX_DECODED_BYTES, checksum, padded};

/// Most clusters in a batch.
pub(crate) const MAX_CLUSTERS: usize = u16::MAX as usize;

/// The first 64 bytes of a clustered body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ClusterDirectory {
    /// Number of clusters. Their entries follow.
    pub clusters: u32,
    /// CRC-32C of the entries.
    pub entries_checksum: u32,
    /// Zero.
    pub reserved: [u8; 52],
    /// CRC-32C of the bytes before.
    pub checksum: u32,
}

/// What one cluster holds, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ClusterEntry {
    /// Lowest instrument id of its records.
    pub first_instrument: u32,
    /// Highest instrument id of its records.
    pub last_instrument: u32,
    /// Kinds of its records: bit n for the kind with number n.
    pub kinds: u32,
    /// Number of records.
    pub records: u32,
    /// Earliest receive time of its records, nanoseconds since the Unix epoch.
    pub first_receive_ns: i64,
    /// Latest receive time of its records, nanoseconds since the Unix epoch.
    pub last_receive_ns: i64,
    /// Where its frame begins, bytes from the start of the body.
    pub offset: u32,
    /// Bytes of the frame.
    pub stored_bytes: u32,
    /// Bytes of the archive, with which the frame begins once decoded.
    pub archive_bytes: u32,
    /// Bytes of the places behind the archive.
    pub position_bytes: u32,
    /// CRC-32C of the frame.
    pub checksum: u32,
    /// Zero.
    pub reserved: [u8; 12],
}

const _: () = assert!(size_of::<ClusterDirectory>() == HEADER_BYTES);
const _: () = assert!(size_of::<ClusterEntry>() == HEADER_BYTES);

impl ClusterEntry {
    /// Whether some of its records are of this kind.
    pub fn holds(&self, kind: Kind) -> bool {
        self.kinds & 1 << kind as u32 != 0
    }

    /// Bytes of the frame once decoded.
    fn decoded_bytes(&self) -> usize {
        self.archive_bytes as usize + self.position_bytes as usize
    }

    /// The frame in the body.
    fn frame<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        let offset = self.offset as usize;
        body.get(offset..offset.checked_add(self.stored_bytes as usize)?)
    }
}

impl ClusterDirectory {
    /// The bytes of a directory of these clusters.
    fn write(entries: &[ClusterEntry], out: &mut [u8]) {
        let entry_bytes: &[u8] = bytemuck::cast_slice(entries);
        let mut directory = ClusterDirectory {
            clusters: entries.len() as u32,
            entries_checksum: checksum(entry_bytes),
            ..Zeroable::zeroed()
        };
        directory.checksum = checksum(&bytemuck::bytes_of(&directory)[..HEADER_BYTES - 4]);
        out[..HEADER_BYTES].copy_from_slice(bytemuck::bytes_of(&directory));
        out[HEADER_BYTES..].copy_from_slice(entry_bytes);
    }
}

/// The directory at the start of a clustered body, which must be aligned to 64 bytes; `header` is that of the batch.
/// The error says what is wrong with it.
pub(crate) fn directory<'a>(header: &BatchHeader, body: &'a [u8]) -> Result<&'a [ClusterEntry], String> {
    let damaged = || "the directory of its clusters is damaged".to_owned();
    let (head, rest) = body.split_at_checked(HEADER_BYTES).ok_or_else(damaged)?;
    let directory: ClusterDirectory = bytemuck::try_pod_read_unaligned(head).map_err(|_| damaged())?;
    if directory.checksum != checksum(&head[..HEADER_BYTES - 4]) {
        return Err(damaged());
    }
    let clusters = directory.clusters as usize;
    if clusters > MAX_CLUSTERS {
        return Err(format!("{clusters} clusters; at most {MAX_CLUSTERS} are allowed"));
    }
    let entry_bytes = rest.get(..clusters * HEADER_BYTES).ok_or_else(damaged)?;
    if directory.entries_checksum != checksum(entry_bytes) {
        return Err(damaged());
    }
    let entries = bytemuck::try_cast_slice(entry_bytes).map_err(|_| "the body is not aligned".to_owned())?;
    check(header, entries)?;
    Ok(entries)
}

/// Bounds what decoding takes, and compares the sums with the batch's header.
fn check(header: &BatchHeader, entries: &[ClusterEntry]) -> Result<(), String> {
    let sum = |of: fn(&ClusterEntry) -> usize| entries.iter().map(of).sum::<usize>();
    let decoded = sum(ClusterEntry::decoded_bytes);
    if decoded != header.decoded_bytes as usize {
        return Err(format!("its clusters decode to {decoded} bytes and not to {}", header.decoded_bytes));
    }
    if sum(|entry| padded(entry.decoded_bytes())) > MAX_DECODED_BYTES {
        return Err(format!("it decodes to {decoded} bytes; at most {MAX_DECODED_BYTES} are allowed"));
    }
    let records = sum(|entry| entry.records as usize);
    if records != header.records as usize || records > decoded / LINE_BYTES {
        return Err(format!("its clusters hold {records} records and not {}", header.records));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

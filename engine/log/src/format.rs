//! The bytes of a segment. All numbers are little-endian; all parts start at multiples of 64 bytes.
//!
//! | part | bytes |
//! |---|---|
//! | [`FileHeader`] | 64 |
//! | dictionary batch: the definitions of all instruments known when the segment was opened | header, body |
//! | data batches | header, body |
//! | footer batch: one index entry for each data batch (only once sealed) | header, body |
//! | [`Trailer`] (only once sealed) | 64 |
//!
//! A batch is a [`BatchHeader`] of 64 bytes and a body, padded with zeros to a multiple of 64. The body is stored as
//! it is, compressed, or clustered ([`Codec`]), and one segment may hold all of these.
//! The body's checksum covers the padding; each header has its own checksum over its first 60 bytes. A flipped bit
//! anywhere in a segment is therefore noticed.

use bytemuck::{Pod, Zeroable};

/// Everything starts at a multiple of this.
pub const ALIGNMENT: usize = 64;

/// Bytes of each header and of the trailer.
pub const HEADER_BYTES: usize = 64;

/// Version of the format that is written; readers refuse other ones.
pub const VERSION: u32 = 2;

/// First bytes of a segment.
pub const FILE_MAGIC: [u8; 8] = *b"MPRISM-S";

/// First bytes of a batch.
pub const BATCH_MAGIC: [u8; 8] = *b"MPRISM-B";

/// First bytes of the trailer of a sealed segment.
pub const TRAILER_MAGIC: [u8; 8] = *b"MPRISM-E";

/// File name extension of a segment.
pub const EXTENSION: &str = "seg";

/// File name of the lock.
pub const LOCK_NAME: &str = "LOCK";

/// Longest body of a batch, bytes. Offsets inside an archive are signed 32-bit numbers.
pub const MAX_BODY_BYTES: usize = 1 << 30;

/// Longest body that a compressed batch may decode to, bytes: no reader takes more memory than this because a header
/// says so.
pub const MAX_DECODED_BYTES: usize = 64 << 20;

/// What the name of a segment ends in while it is being rewritten; readers pass such a file over.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// Kinds are numbers below this, here and in every table indexed by kind.
pub const KINDS: usize = 32;

const CHECKED_BYTES: usize = HEADER_BYTES - 4;

/// CRC-32C. Measured on the reference machine: this crate 19 GB/s, `crc-fast` 13 GB/s; both fall back to tables.
#[inline]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// The next multiple of [`ALIGNMENT`].
#[inline]
pub const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// The name of the segment whose first record has this capture sequence.
pub fn segment_name(first_sequence: u64) -> String {
    format!("{first_sequence:020}.{EXTENSION}")
}

/// The first capture sequence of a segment with this name; `None` where it is not the name of a segment.
pub fn parse_segment_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Whether a file is a segment that was being rewritten.
pub fn is_temporary_name(name: &str) -> bool {
    name.strip_suffix(TEMPORARY_SUFFIX).is_some_and(|name| parse_segment_name(name).is_some())
}

/// How a body is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// As it is, readable in place.
    None = 0,
    /// One zstd frame.
    Zstd = 1,
    /// Records grouped by instrument and kind, each group a zstd frame, behind a directory: see
    /// [`cluster`](mod@crate::cluster).
    Clustered = 2,
}

impl Codec {
    /// The codec with this number.
    pub const fn from_number(number: u8) -> Option<Codec> {
        match number {
            0 => Some(Codec::None),
            1 => Some(Codec::Zstd),
            2 => Some(Codec::Clustered),
            _ => None,
        }
    }
}

/// What a batch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BatchKind {
    /// Records.
    Data = 1,
    /// Instrument definitions repeated from before; they have no capture sequences.
    Dictionary = 2,
    /// The index of a sealed segment.
    Footer = 3,
}

impl BatchKind {
    /// The kind with this number.
    pub const fn from_number(number: u8) -> Option<BatchKind> {
        match number {
            1 => Some(BatchKind::Data),
            2 => Some(BatchKind::Dictionary),
            3 => Some(BatchKind::Footer),
            _ => None,
        }
    }
}

/// The first 64 bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct FileHeader {
    /// [`FILE_MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// Zero.
    pub reserved: u32,
    /// When the segment was created, wall clock, nanoseconds since the Unix epoch.
    pub created_ns: i64,
    /// The run of the recorder that wrote it.
    pub run_id: u64,
    /// Capture sequence of its first record, also its name.
    pub first_sequence: u64,
    /// The next capture sequence by what was on disk when the segment was created. Lower than `first_sequence`
    /// where the writer knew that records had been lost and left their sequences unused.
    pub previous_end: u64,
    /// Zero.
    pub reserved_end: [u8; 12],
    /// CRC-32C of the bytes before.
    pub checksum: u32,
}

/// The first 64 bytes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BatchHeader {
    /// [`BATCH_MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u16,
    /// [`Codec`].
    pub codec: u8,
    /// [`BatchKind`].
    pub kind: u8,
    /// Bytes of the body as stored, without padding.
    pub body_bytes: u32,
    /// Bytes of the body once decoded, without directory and padding; equal to `body_bytes` without a codec.
    pub decoded_bytes: u32,
    /// Number of records.
    pub records: u32,
    /// Capture sequence of the first record; those of the others follow without a hole.
    pub first_sequence: u64,
    /// Earliest receive time of its records, nanoseconds since the Unix epoch.
    pub first_receive_ns: i64,
    /// Latest receive time of its records, nanoseconds since the Unix epoch.
    pub last_receive_ns: i64,
    /// Zero.
    pub reserved: [u8; 8],
    /// CRC-32C of the body and its padding.
    pub body_checksum: u32,
    /// CRC-32C of the bytes before.
    pub checksum: u32,
}

/// The last 64 bytes of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Trailer {
    /// [`TRAILER_MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// Zero.
    pub reserved: u32,
    /// Offset of the footer batch, bytes from the start of the file.
    pub footer_offset: u64,
    /// Length of the whole file, bytes.
    pub file_bytes: u64,
    /// The capture sequence after the last record.
    pub end_sequence: u64,
    /// Zero.
    pub reserved_end: [u8; 20],
    /// CRC-32C of the bytes before.
    pub checksum: u32,
}

const _: () = assert!(size_of::<FileHeader>() == HEADER_BYTES);
const _: () = assert!(size_of::<BatchHeader>() == HEADER_BYTES);
const _: () = assert!(size_of::<Trailer>() == HEADER_BYTES);

/// The checksum of a 64-byte struct that ends with it.
pub(crate) fn sealed_checksum<T: Pod>(header: &T) -> u32 {
    checksum(&bytemuck::bytes_of(header)[..CHECKED_BYTES])
}

/// Reads one of the 64-byte structs; `None` where the magic, the length or the checksum is wrong.
pub(crate) fn read_checked<T: Pod>(bytes: &[u8], magic: &[u8; 8]) -> Option<T> {
    let bytes = bytes.get(..HEADER_BYTES)?;
    if !bytes.starts_with(magic) {
        return None;
    }
    let (checked, sum) = bytes.split_at_checked(CHECKED_BYTES)?;
    if sum != checksum(checked).to_le_bytes() {
        return None;
    }
    bytemuck::try_pod_read_unaligned(bytes).ok()
}

impl FileHeader {
    /// A header with its checksum.
    pub fn new(created_ns: i64, run_id: u64, first_sequence: u64, previous_end: u64) -> FileHeader {
        let mut header = FileHeader {
            magic: FILE_MAGIC,
            version: VERSION,
            reserved: 0,
            created_ns,
            run_id,
            first_sequence,
            previous_end,
            reserved_end: [0; 12],
            checksum: 0,
        };
        header.checksum = sealed_checksum(&header);
        header
    }

    /// Reads the header at the start of `bytes`; the error says what is wrong.
    pub fn read(bytes: &[u8]) -> Result<FileHeader, String> {
        let header: FileHeader =
            read_checked(bytes, &FILE_MAGIC).ok_or("the file header is damaged or missing")?;
        match header.version {
            VERSION => Ok(header),
            other => Err(format!("format version {other}; this program reads version {VERSION}")),
        }
    }
}

impl BatchHeader {
    /// Completes the header: magic, version and checksum.
    pub(crate) fn finish(mut self) -> BatchHeader {
        self.magic = BATCH_MAGIC;
        self.version = VERSION as u16;
        self.checksum = sealed_checksum(&self);
        self
    }

    /// Reads the header at the start of `bytes`; `None` where there is no whole, valid one of this version. Its codec may
    /// be one that this program does not know.
    pub fn read(bytes: &[u8]) -> Option<BatchHeader> {
        let header: BatchHeader = read_checked(bytes, &BATCH_MAGIC)?;
        let known = u32::from(header.version) == VERSION
            && BatchKind::from_number(header.kind).is_some()
            && header.body_bytes as usize <= MAX_BODY_BYTES;
        known.then_some(header)
    }

    /// Bytes of the whole batch: header, body and padding.
    pub fn total_bytes(&self) -> usize {
        HEADER_BYTES + padded(self.body_bytes as usize)
    }

    /// The capture sequence after the last record.
    pub fn end_sequence(&self) -> u64 {
        match self.kind == BatchKind::Data as u8 {
            true => self.first_sequence.saturating_add(u64::from(self.records)),
            false => self.first_sequence,
        }
    }
}

impl Trailer {
    /// A trailer with its checksum.
    pub fn new(footer_offset: u64, file_bytes: u64, end_sequence: u64) -> Trailer {
        let mut trailer = Trailer {
            magic: TRAILER_MAGIC,
            version: VERSION,
            reserved: 0,
            footer_offset,
            file_bytes,
            end_sequence,
            reserved_end: [0; 20],
            checksum: 0,
        };
        trailer.checksum = sealed_checksum(&trailer);
        trailer
    }

    /// Reads the trailer of a file of `file_bytes` bytes; `None` where it is not one of a whole sealed segment.
    pub fn read(bytes: &[u8], file_bytes: u64) -> Option<Trailer> {
        let trailer: Trailer = read_checked(bytes, &TRAILER_MAGIC)?;
        (trailer.version == VERSION && trailer.file_bytes == file_bytes).then_some(trailer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(segment_name(7), "00000000000000000007.seg");
        assert_eq!(parse_segment_name(&segment_name(u64::MAX)), Some(u64::MAX));
        for wrong in ["7.seg", "00000000000000000007.tmp", "LOCK", "+0000000000000000007.seg", ".seg", ""] {
            assert_eq!(parse_segment_name(wrong), None, "{wrong}");
            assert!(!is_temporary_name(wrong), "{wrong}");
        }
        let temporary = format!("{}{TEMPORARY_SUFFIX}", segment_name(7));
        assert!(is_temporary_name(&temporary) && parse_segment_name(&temporary).is_none());
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let header = FileHeader::new(1, 2, 3, 3);
        let trailer = Trailer::new(64, 256, 9);
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = bytemuck::bytes_of(&header).to_vec();
            assert_eq!(FileHeader::read(&bytes), Ok(header));
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::read(&bytes).is_err());
            let mut bytes = bytemuck::bytes_of(&trailer).to_vec();
            assert_eq!(Trailer::read(&bytes, 256), Some(trailer));
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Trailer::read(&bytes, 256), None);
        }
        assert!(FileHeader::read(&[]).is_err());
    }
}

//! Bookkeeping of one segment that is being written. No I/O.

use std::path::{Path, PathBuf};

use marketprism_core::instrument::Registry;
use marketprism_core::record::{Definition, Header, Kind, RecordRef};

use crate::batch::{BatchBuilder, BatchInfo, blank, seal};
use crate::columns::{Index, IndexEntry};
use crate::error::LogError;
use crate::format::{BatchHeader, BatchKind, FileHeader, HEADER_BYTES, KINDS, Trailer};

/// Says which bytes go where in one segment.
///
/// The owner of the file writes a batch at [`offset`](Self::offset) and then calls [`commit`](Self::commit). A write that
/// failed or was short is repeated at the same offset, as often as it takes; nothing before it is touched. With several
/// writes on the way at once, `commit` is called when a batch is *submitted*, and that batch must then reach
/// the disk before the segment is sealed.
pub struct SegmentWriter {
    path: PathBuf,
    header: FileHeader,
    offset: u64,
    next_sequence: u64,
    index: Index,
}

impl SegmentWriter {
    /// A new segment: its bookkeeping, and the bytes (file header and dictionary) that go to offset 0.
    pub(crate) fn create(
        path: &Path,
        header: FileHeader,
        registry: &Registry,
    ) -> Result<(SegmentWriter, Vec<u8>), LogError> {
        let mut head = bytemuck::bytes_of(&header).to_vec();
        head.extend_from_slice(&dictionary(registry, &header)?);
        Ok((SegmentWriter::new(path, header, head.len() as u64), head))
    }

    /// The bookkeeping of a segment that begins with `head_bytes` bytes of header and dictionary.
    pub(crate) fn new(path: &Path, header: FileHeader, head_bytes: u64) -> SegmentWriter {
        SegmentWriter {
            path: path.to_owned(),
            header,
            offset: head_bytes,
            next_sequence: header.first_sequence,
            index: Index::default(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The segment's own header.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// Where the next bytes go, bytes from the start of the file. That is also the length of the file so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The capture sequence of the next record.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Records so far.
    pub fn records(&self) -> u64 {
        self.index.records
    }

    /// Whether it is time for a new segment: it holds records, and is longer than `bytes` or older than `age_ns`.
    pub fn is_due(&self, bytes: u64, age_ns: i64, now_ns: i64) -> bool {
        let old = now_ns.saturating_sub(self.header.created_ns) >= age_ns;
        self.index.records > 0 && (self.offset >= bytes || old)
    }

    /// A batch that was finished at [`next_sequence`](Self::next_sequence) lies at [`offset`](Self::offset) now.
    pub fn commit(&mut self, info: &BatchInfo) {
        debug_assert_eq!(info.first_sequence, self.next_sequence);
        self.index.entries.push(IndexEntry {
            offset: self.offset,
            first_sequence: info.first_sequence,
            first_receive_ns: info.first_receive_ns,
            last_receive_ns: info.last_receive_ns,
            records: info.records,
            bytes: info.bytes,
            kinds: info.kinds,
            reserved: [0; 24],
        });
        for kind in 0..KINDS {
            self.index.kinds[kind] += u64::from(info.kinds[kind]);
        }
        self.index.records += u64::from(info.records);
        self.offset += u64::from(info.bytes);
        self.next_sequence = info.end_sequence();
    }

    /// The bytes (footer and trailer) that go to [`offset`](Self::offset) and make the segment a sealed one. Changes nothing, so
    /// that a failed write can be repeated; no batch may follow a successful one.
    pub fn seal(&self, out: &mut Vec<u8>) -> Result<(), LogError> {
        let entries = &self.index.entries;
        let header = BatchHeader {
            first_sequence: self.next_sequence,
            first_receive_ns: entries.iter().map(|entry| entry.first_receive_ns).min().unwrap_or(0),
            last_receive_ns: entries.iter().map(|entry| entry.last_receive_ns).max().unwrap_or(0),
            ..blank(BatchKind::Footer)
        };
        let bytes = seal(header, &self.index, out)?;
        let file_bytes = self.offset + u64::from(bytes) + HEADER_BYTES as u64;
        let trailer = Trailer::new(self.offset, file_bytes, self.next_sequence);
        out.extend_from_slice(bytemuck::bytes_of(&trailer));
        Ok(())
    }
}

/// A batch with the definitions of all instruments.
fn dictionary(registry: &Registry, header: &FileHeader) -> Result<Vec<u8>, LogError> {
    let mut builder = BatchBuilder::new();
    for instrument in registry.all() {
        let json = serde_json::to_vec(instrument).unwrap_or_default();
        let definition = Definition {
            header: Header::new(Kind::Instrument, instrument.id, header.created_ns),
            ..bytemuck::Zeroable::zeroed()
        };
        let pushed = builder.push(RecordRef::Definition(&definition, &json));
        if pushed.is_err() {
            return Err(LogError::TooLarge { records: builder.records() });
        }
    }
    let mut out = Vec::new();
    builder.finish_as(BatchKind::Dictionary, header.first_sequence, &mut out)?;
    Ok(out)
}

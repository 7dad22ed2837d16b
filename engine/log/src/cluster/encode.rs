//! From records in capture order to a clustered batch.

use std::ops::Range;

use bytemuck::Zeroable;
use marketprism_core::record::{Kind, LINE_BYTES, Line, RecordRef};
use zstd::bulk::Compressor;
use zstd::zstd_safe;

use super::{ClusterDirectory, ClusterEntry};
use crate::batch::{BatchBuilder, BatchInfo, blank};
use crate::codec::LEVEL;
use crate::format::{BatchHeader, BatchKind, Codec, HEADER_BYTES, KINDS, checksum, padded};

/// Clusters that records of several keys share are no larger, decoded bytes: a reader of one key decodes the others
/// too.
const SHARED_BYTES: usize = 64 << 10;

/// Clusters of one key are no larger, decoded bytes: the step in which a reader of a span of time goes.
const SINGLE_BYTES: usize = 512 << 10;

/// Gathers the records of a batch.
pub(crate) struct ClusterBuilder {
    /// The records, each from a line of its own on.
    lines: Vec<Line>,
    places: Vec<Place>,
    builder: BatchBuilder,
    archived: Vec<u8>,
    compressor: Compressor<'static>,
}

/// A record that was gathered.
#[derive(Clone, Copy)]
struct Place {
    /// Instrument and kind as one number; 0 for all definitions, which every reader needs.
    key: u64,
    /// In the batch.
    position: u32,
    /// Where it begins in the buffer, lines.
    line: u32,
    bytes: u32,
}

impl ClusterBuilder {
    /// An empty batch with room for so many bytes of records. The error is zstd's.
    pub(crate) fn new(bytes: usize) -> std::io::Result<ClusterBuilder> {
        Ok(ClusterBuilder {
            lines: Vec::with_capacity(bytes / LINE_BYTES),
            places: Vec::new(),
            builder: BatchBuilder::new(),
            archived: Vec::new(),
            compressor: Compressor::new(LEVEL)?,
        })
    }

    /// Number of records.
    pub(crate) fn records(&self) -> u32 {
        self.places.len() as u32
    }

    /// Bytes of memory that the records take.
    pub(crate) fn bytes(&self) -> usize {
        self.lines.len() * LINE_BYTES
    }

    /// Takes a copy of a record.
    pub(crate) fn push(&mut self, record: RecordRef<'_>) {
        let header = record.header();
        let key = match header.kind == Kind::Instrument as u8 {
            true => 0,
            false => u64::from(header.instrument) << 8 | u64::from(header.kind),
        };
        let (head, body) = record.parts();
        let (position, line) = (self.places.len() as u32, self.lines.len() as u32);
        let bytes = (head.len() * LINE_BYTES + body.len() + 1) as u32;
        self.places.push(Place { key, position, line, bytes });
        self.lines.extend_from_slice(head);
        for chunk in body.chunks(LINE_BYTES) {
            let mut line = Line::zeroed();
            line.0[..chunk.len()].copy_from_slice(chunk);
            self.lines.push(line);
        }
    }

    /// Writes the records as one batch, header and padding included, into `out`, which is cleared first. The builder is
    /// empty afterwards. `None` where `go_on`, which is asked before each cluster, said no.
    pub(crate) fn finish(
        &mut self,
        first_sequence: u64,
        out: &mut Vec<u8>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<BatchInfo>, String> {
        self.places.sort_unstable_by_key(|place| (place.key, place.position));
        let ranges = cut(&self.places);
        let directory_bytes = HEADER_BYTES + ranges.len() * HEADER_BYTES;
        out.clear();
        out.resize(HEADER_BYTES + directory_bytes, 0);
        let mut kinds = [0; KINDS];
        let mut entries = Vec::with_capacity(ranges.len());
        for range in ranges {
            if !go_on() {
                return Ok(None);
            }
            entries.push(self.cluster(range, &mut kinds, out)?);
        }
        ClusterDirectory::write(&entries, &mut out[HEADER_BYTES..HEADER_BYTES + directory_bytes]);
        let info = seal(first_sequence, &entries, kinds, out);
        self.lines.clear();
        self.places.clear();
        Ok(Some(info))
    }

    /// Appends the frame of a cluster.
    fn cluster(
        &mut self,
        range: Range<usize>,
        kinds: &mut [u32; KINDS],
        out: &mut Vec<u8>,
    ) -> Result<ClusterEntry, String> {
        let places = self.places.get(range).unwrap_or_default();
        let (mut first_instrument, mut last_instrument) = (u32::MAX, 0);
        for place in places {
            let lines = self.lines.get(place.line as usize..).unwrap_or_default();
            let (record, _) = RecordRef::read(lines).ok_or("a record cannot be read back")?;
            self.builder.push(record).map_err(|error| error.to_string())?;
            first_instrument = first_instrument.min(record.header().instrument);
            last_instrument = last_instrument.max(record.header().instrument);
        }
        let info = self.builder.finish(0, &mut self.archived).map_err(|error| error.to_string())?;
        let archive_bytes = BatchHeader::read(&self.archived).map_or(0, |header| header.body_bytes as usize);
        self.archived.truncate(HEADER_BYTES + archive_bytes);
        write_positions(places, &mut self.archived);
        let decoded = &self.archived[HEADER_BYTES..];

        let start = out.len();
        out.resize(start + zstd_safe::compress_bound(decoded.len()), 0);
        let stored = self.compressor.compress_to_buffer(decoded, &mut out[start..]);
        out.truncate(start + stored.map_err(|error| format!("zstd: {error}"))?);
        let mut kind_bits = 0;
        for (kind, count) in info.kinds.iter().enumerate() {
            kinds[kind] += count;
            kind_bits |= u32::from(*count > 0) << kind;
        }
        Ok(ClusterEntry {
            first_instrument,
            last_instrument,
            kinds: kind_bits,
            records: info.records,
            first_receive_ns: info.first_receive_ns,
            last_receive_ns: info.last_receive_ns,
            offset: (start - HEADER_BYTES) as u32,
            stored_bytes: (out.len() - start) as u32,
            archive_bytes: archive_bytes as u32,
            position_bytes: (decoded.len() - archive_bytes) as u32,
            checksum: checksum(&out[start..]),
            reserved: [0; 12],
        })
    }
}

/// Bytes of memory that a record takes in a [`ClusterBuilder`].
pub(crate) fn bytes_of(record: RecordRef<'_>) -> usize {
    let (head, body) = record.parts();
    (head.len() + body.len().div_ceil(LINE_BYTES)) * LINE_BYTES
}

/// Which sorted records make a cluster: those of a key with many, cut to pieces, or those of a few neighbours.
fn cut(places: &[Place]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let (mut start, mut end, mut bytes) = (0, 0, 0);
    for run in places.chunk_by(|one, next| one.key == next.key) {
        let run_bytes: usize = run.iter().map(|place| place.bytes as usize).sum();
        let is_alone = run_bytes > SHARED_BYTES || run.first().is_some_and(|place| place.key == 0);
        if end > start && (is_alone || bytes + run_bytes > SHARED_BYTES) {
            ranges.push(start..end);
            (start, bytes) = (end, 0);
        }
        if !is_alone {
            bytes += run_bytes;
            end += run.len();
            continue;
        }
        let most = run_bytes.div_ceil(run_bytes.div_ceil(SINGLE_BYTES).max(1));
        for place in run {
            if end > start && bytes + place.bytes as usize > most {
                ranges.push(start..end);
                (start, bytes) = (end, 0);
            }
            bytes += place.bytes as usize;
            end += 1;
        }
        ranges.push(start..end);
        (start, bytes) = (end, 0);
    }
    if end > start {
        ranges.push(start..end);
    }
    ranges
}

/// Each place as the difference to the one before.
fn write_positions(places: &[Place], out: &mut Vec<u8>) {
    let mut before = 0u32;
    for place in places {
        let mut difference = place.position.wrapping_sub(before);
        before = place.position;
        while difference >= 0x80 {
            out.push(difference as u8 | 0x80);
            difference >>= 7;
        }
        out.push(difference as u8);
    }
}

/// Completes the batch: its header, and the padding.
fn seal(first_sequence: u64, entries: &[ClusterEntry], kinds: [u32; KINDS], out: &mut Vec<u8>) -> BatchInfo {
    let body_bytes = out.len() - HEADER_BYTES;
    out.resize(HEADER_BYTES + padded(body_bytes), 0);
    let header = BatchHeader {
        codec: Codec::Clustered as u8,
        body_bytes: body_bytes as u32,
        decoded_bytes: entries.iter().map(|entry| entry.decoded_bytes() as u32).sum(),
        records: entries.iter().map(|entry| entry.records).sum(),
        first_sequence,
        first_receive_ns: entries.iter().map(|entry| entry.first_receive_ns).min().unwrap_or(0),
        last_receive_ns: entries.iter().map(|entry| entry.last_receive_ns).max().unwrap_or(0),
        body_checksum: checksum(&out[HEADER_BYTES..]),
        ..blank(BatchKind::Data)
    };
    out[..HEADER_BYTES].copy_from_slice(bytemuck::bytes_of(&header.finish()));
    BatchInfo {
        first_sequence,
        records: header.records,
        bytes: out.len() as u32,
        first_receive_ns: header.first_receive_ns,
        last_receive_ns: header.last_receive_ns,
        kinds,
    }
}

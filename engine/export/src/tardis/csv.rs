//! One gzip file of comma-separated values.

use std::path::Path;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use marketprism_core::Decimal;
use marketprism_core::record::ABSENT;

use crate::ExportedFile;
use crate::error::ExportError;
use crate::part::{PartFile, Span};

/// Text is compressed once there is so much of it, bytes.
pub(super) const CHUNK_BYTES: usize = 256 << 10;

/// A gzip member without name and time, of an unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The last block of a deflate stream, without content.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// Compresses chunk by chunk for all files: each chunk ends at a whole byte and needs nothing of the one before, so that the
/// chunks of a file are one deflate stream.
pub(super) struct Compressor {
    deflate: Compress,
    out: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> Compressor {
        Compressor { deflate: Compress::new(Compression::fast(), false), out: Vec::new() }
    }

    fn compress(&mut self, mut text: &[u8]) -> Result<&[u8], flate2::CompressError> {
        self.deflate.reset();
        self.out.clear();
        loop {
            self.out.reserve(text.len() / 2 + 1024);
            let before = self.deflate.total_in();
            let status = self.deflate.compress_vec(text, &mut self.out, FlushCompress::Sync)?;
            let used = (self.deflate.total_in() - before) as usize;
            text = text.get(used..).unwrap_or_default();
            // A flush is over when it leaves room.
            let has_room = self.out.len() < self.out.capacity();
            if text.is_empty() && has_room || status == Status::StreamEnd {
                return Ok(&self.out);
            }
        }
    }
}

/// A file of rows.
pub(super) struct CsvFile {
    part: PartFile,
    /// The first cells of every row.
    pub(super) start: Vec<u8>,
    /// Whether nothing has been written of it.
    is_new: bool,
    /// What is not compressed yet.
    pub(super) text: Vec<u8>,
    checksum: Crc,
    rows: u64,
    span: Span,
    /// Whether the last row was part of a snapshot.
    pub(super) ends_in_snapshot: bool,
}

impl CsvFile {
    pub(super) fn new(out: &Path, name: String, header: &str, start: Vec<u8>) -> CsvFile {
        let part = PartFile::new(out, name);
        let text = format!("{header}\n").into_bytes();
        CsvFile {
            part,
            start,
            is_new: true,
            text,
            checksum: Crc::new(),
            rows: 0,
            span: Span::EMPTY,
            ends_in_snapshot: false,
        }
    }

    /// Appends a row that begins with `prefix`; `write` appends the rest without the line feed.
    pub(super) fn row(&mut self, sequence: u64, prefix: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        self.text.extend_from_slice(prefix);
        write(&mut self.text);
        self.text.push(b'\n');
        self.rows += 1;
        self.span.add(sequence);
    }

    /// Compresses what there is and moves it to the disk.
    pub(super) fn write(&mut self, compressor: &mut Compressor) -> Result<(), ExportError> {
        self.checksum.update(&self.text);
        let failed = |error| ExportError::io("compress", self.part.name().as_ref(), error);
        let text = std::mem::take(&mut self.text);
        let compressed = compressor.compress(&text).map_err(|error| failed(error.into()))?;
        if std::mem::take(&mut self.is_new) {
            self.part.append(&GZIP_HEADER)?;
        }
        self.part.append(compressed)?;
        self.part.spill()
    }

    pub(super) fn finish(mut self, compressor: &mut Compressor) -> Result<ExportedFile, ExportError> {
        self.write(compressor)?;
        self.part.append(&LAST_BLOCK)?;
        self.part.append(&self.checksum.sum().to_le_bytes())?;
        self.part.append(&self.checksum.amount().to_le_bytes())?;
        self.part.finish(self.rows, self.span)
    }
}

/// Appends a comma and a decimal; nothing behind the comma where it is absent.
pub(super) fn decimal(text: &mut Vec<u8>, mantissa: i64, exponent: i8) {
    text.push(b',');
    if mantissa != ABSENT {
        Decimal::new(mantissa, exponent).write(text);
    }
}

/// Appends a comma and a word.
pub(super) fn word(text: &mut Vec<u8>, word: &str) {
    text.push(b',');
    text.extend_from_slice(word.as_bytes());
}

/// Appends a time in microseconds.
pub(super) fn micros(text: &mut Vec<u8>, ns: i64) {
    Decimal::new(ns.div_euclid(1000), 0).write(text);
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_read_back_as_one_member(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..6)) {
            let out = tempfile::tempdir().unwrap();
            let mut compressor = Compressor::new();
            let mut file = CsvFile::new(out.path(), "a.csv.gz".to_owned(), "header", vec![]);
            let mut expected = b"header\n".to_vec();
            for (sequence, chunk) in chunks.iter().enumerate() {
                file.row(sequence as u64, chunk, |_| ());
                expected.extend_from_slice(chunk);
                expected.push(b'\n');
                file.write(&mut compressor).unwrap();
            }
            let done = file.finish(&mut compressor).unwrap();
            prop_assert_eq!(done.rows, chunks.len() as u64);
            let mut text = Vec::new();
            let packed = std::fs::File::open(out.path().join("a.csv.gz")).unwrap();
            flate2::read::GzDecoder::new(packed).read_to_end(&mut text).unwrap();
            prop_assert_eq!(text, expected);
        }
    }
}

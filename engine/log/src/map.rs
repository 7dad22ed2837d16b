//! One segment, mapped.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapOptions};
use rkyv::rancor::Failure;

use crate::cluster::decode as clustered;
use crate::codec::{self, Decoder};
use crate::columns::{ArchivedIndex, IndexEntry};
use crate::error::{LogError, Problem};
use crate::format::{
    ALIGNMENT, BatchHeader, BatchKind, Codec, FileHeader, HEADER_BYTES, KINDS, Trailer, checksum, padded,
};
use crate::selection::Selection;
use crate::tail::{self, Extent};
use crate::view::BatchView;

/// A segment open for reading. Holds what was whole when it was opened; what is appended later needs a new one.
pub struct Segment {
    path: PathBuf,
    name: String,
    extent: Extent,
    header: Result<FileHeader, Problem>,
    map: Option<Mmap>,
}

/// The footer of a sealed segment.
#[derive(Clone, Copy, Debug)]
pub struct Footer<'a> {
    /// One entry for each data batch, in file order.
    pub entries: &'a [IndexEntry],
    /// Records by kind number.
    pub kinds: [u64; KINDS],
    /// All records.
    pub records: u64,
    /// Where it lies, bytes from the start of the file.
    pub offset: u64,
    /// The capture sequence after the last record.
    pub end_sequence: u64,
}

impl Segment {
    /// Opens a segment. A damaged one opens too; only a failure of the system is an error.
    pub fn map(path: &Path) -> Result<Segment, LogError> {
        let file = File::open(path).map_err(|error| LogError::io("open", path, error))?;
        let extent = tail::measure(&file).map_err(|error| LogError::io("read", path, error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let map = match extent.whole_bytes {
            0 => None,
            bytes => Some(map_start(&file, bytes).map_err(|error| LogError::io("map", path, error))?),
        };
        let header =
            FileHeader::read(map.as_deref().unwrap_or_default()).map_err(|what| Problem::new(&name, 0, what));
        Ok(Segment { path: path.to_owned(), name, extent, header, map })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name inside the log's directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file header, or what is wrong with it.
    pub fn header(&self) -> Result<&FileHeader, &Problem> {
        self.header.as_ref()
    }

    /// Length of the file when it was opened, bytes.
    pub fn file_bytes(&self) -> u64 {
        self.extent.file_bytes
    }

    /// Whether it was closed with a footer.
    pub fn is_sealed(&self) -> bool {
        self.extent.sealed
    }

    /// Bytes behind the last whole batch: a batch that is being written, or the torn tail that a crash left.
    pub fn torn_bytes(&self) -> u64 {
        self.extent.torn_bytes()
    }

    /// The mapped bytes: everything that is whole.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// Dictionary and data batches in file order, their checksums compared.
    pub fn batches(&self) -> Batches<'_> {
        self.selected(Selection::default())
    }

    /// The same without a look at the checksums of bodies. Still safe on any bytes, but a flipped bit goes unnoticed.
    pub fn batches_unchecked(&self) -> Batches<'_> {
        self.selected(Selection { checksums: false, ..Selection::default() })
    }

    /// Dictionary and data batches; of clustered ones only the clusters that can hold wanted records, or definitions.
    pub fn selected(&self, selection: Selection) -> Batches<'_> {
        Batches { end: self.end(), selection, ..Batches::over(&self.name, self.bytes()) }
    }

    /// The index of a sealed segment; `None` where it is not sealed, the error where the footer is damaged.
    pub fn footer(&self) -> Option<Result<Footer<'_>, Problem>> {
        if !self.is_sealed() {
            return None;
        }
        let bytes = self.bytes();
        let trailer = Trailer::read(bytes.get(self.end()..)?, self.extent.file_bytes)?;
        let damaged = |what| Problem::new(&self.name, trailer.footer_offset, what);
        Some(read_footer(bytes, &trailer).map_err(damaged))
    }

    /// The earliest and latest receive time in it, nanoseconds since the Unix epoch: by its footer, or where there is none by
    /// the headers of its batches. `None` where it has no record.
    pub fn receive_times(&self) -> Option<(i64, i64)> {
        let widest = |one: (i64, i64), other: (i64, i64)| (one.0.min(other.0), one.1.max(other.1));
        if let Some(Ok(footer)) = self.footer() {
            let times = footer.entries.iter().map(|entry| (entry.first_receive_ns, entry.last_receive_ns));
            return times.reduce(widest);
        }
        let headers = self.data_headers().flatten();
        headers.map(|header| (header.first_receive_ns, header.last_receive_ns)).reduce(widest)
    }

    /// The headers of its data batches, or what is wrong between them.
    pub(crate) fn data_headers(&self) -> impl Iterator<Item = Result<BatchHeader, Problem>> {
        let mut batches = self.batches_unchecked();
        let headers = std::iter::from_fn(move || Some(batches.next_stored()?.map(|stored| stored.header)));
        headers.filter(|header| header.as_ref().map_or(true, |header| header.kind == BatchKind::Data as u8))
    }

    /// The latest receive time in it, as [`receive_times`](Self::receive_times) gives it.
    pub fn last_receive_ns(&self) -> Option<i64> {
        self.receive_times().map(|(_, last)| last)
    }

    /// Where batches end: at the trailer or at the end of what is whole.
    fn end(&self) -> usize {
        match self.extent.sealed {
            true => self.bytes().len().saturating_sub(HEADER_BYTES),
            false => self.bytes().len(),
        }
    }
}

fn map_start(file: &File, bytes: u64) -> std::io::Result<Mmap> {
    let length = usize::try_from(bytes).map_err(std::io::Error::other)?;
    // SAFETY: the map is read-only and covers only whole batches, which a writer of this crate neither changes nor cuts
    // off (recovery cuts behind them). A foreign program that changes or shortens the file under a reader breaks
    // the log's contract and this one; no code here could prevent that.
    unsafe { MmapOptions::new().len(length).map(file) }
}

fn read_footer<'a>(bytes: &'a [u8], trailer: &Trailer) -> Result<Footer<'a>, &'static str> {
    let offset = usize::try_from(trailer.footer_offset).map_err(|_| "the footer lies outside of the file")?;
    let batch = bytes.get(offset..).ok_or("the footer lies outside of the file")?;
    let header = BatchHeader::read(batch).ok_or("the footer's header is damaged")?;
    let body = body_of(batch, &header).ok_or("the footer is longer than the file")?;
    if header.kind != BatchKind::Footer as u8 || checksum(body) != header.body_checksum {
        return Err("the footer is damaged");
    }
    let body = without_padding(body, &header);
    let index = rkyv::access::<ArchivedIndex, Failure>(body)
        .map_err(|Failure| "the footer is not a valid archive")?;
    Ok(Footer {
        entries: bytemuck::try_cast_slice(&index.entries).map_err(|_| "the index is not whole")?,
        kinds: index.kinds.map(|count| count.to_native()),
        records: index.records.to_native(),
        offset: trailer.footer_offset,
        end_sequence: trailer.end_sequence,
    })
}

/// The body of a batch with its padding.
fn body_of<'a>(batch: &'a [u8], header: &BatchHeader) -> Option<&'a [u8]> {
    batch.get(HEADER_BYTES..HEADER_BYTES.checked_add(padded(header.body_bytes as usize))?)
}

/// The batches of a segment, one after the other. After damage it goes on at the next batch whose header is valid.
///
/// A batch that is stored as it is is read in place, a compressed one is decoded into memory that the next one reuses.
/// Of a clustered batch with damage what is whole comes first, then what is wrong.
pub struct Batches<'a> {
    name: &'a str,
    bytes: &'a [u8],
    position: usize,
    end: usize,
    selection: Selection,
    decoder: Decoder,
    /// What is wrong with the batch that was read last.
    problems: VecDeque<Problem>,
    bytes_read: u64,
}

/// A batch as it lies in the file.
pub(crate) struct Stored<'a> {
    pub(crate) header: BatchHeader,
    position: usize,
    /// With padding.
    body: &'a [u8],
}

impl<'a> Batches<'a> {
    /// The batches in the bytes of a whole unsealed segment, which must be aligned to 64 bytes.
    pub fn over(name: &'a str, bytes: &'a [u8]) -> Batches<'a> {
        Batches {
            name,
            bytes,
            position: HEADER_BYTES,
            end: bytes.len(),
            selection: Selection::default(),
            decoder: Decoder::default(),
            problems: VecDeque::new(),
            bytes_read: 0,
        }
    }

    /// Goes on at a place in the file that is known to be the start of a batch (from a footer).
    pub fn seek(&mut self, offset: u64) {
        let position = usize::try_from(offset).unwrap_or(usize::MAX).checked_next_multiple_of(ALIGNMENT);
        self.position = position.unwrap_or(usize::MAX);
    }

    /// Where the next batch begins, bytes from the start of the file.
    pub(crate) fn offset(&self) -> u64 {
        self.position as u64
    }

    /// Bytes of the batches that were looked at so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The batch at a place, by its header alone.
    fn at(&self, position: usize) -> Option<(BatchHeader, &'a [u8])> {
        let batch = self.bytes.get(position..self.end)?;
        let header = BatchHeader::read(batch)?;
        let body = body_of(batch, &header)?;
        Some((header, body))
    }

    /// Skips what is no batch and says how much it was.
    fn skip_damage(&mut self) -> Problem {
        let start = self.position;
        let mut next = start.saturating_add(ALIGNMENT);
        while next < self.end && self.at(next).is_none() {
            next += ALIGNMENT;
        }
        self.position = next.min(self.end);
        let bytes = self.position - start;
        self.problem(start, format!("{bytes} bytes are damaged: no valid batch header"))
    }

    fn problem(&self, position: usize, what: impl Into<String>) -> Problem {
        Problem::new(self.name, position as u64, what)
    }

    /// The position after a batch whose body is damaged. Its header is valid, so its length can be trusted, unless
    /// nothing valid follows there.
    fn after_damage(&self, position: usize, header: &BatchHeader) -> usize {
        let next = position + header.total_bytes();
        if next == self.end || self.at(next).is_some() {
            return next;
        }
        let mut next = position + ALIGNMENT;
        while next < self.end && self.at(next).is_none() {
            next += ALIGNMENT;
        }
        next
    }

    /// The next batch but the footer, not decoded.
    pub(crate) fn next_stored(&mut self) -> Option<Result<Stored<'a>, Problem>> {
        while self.position < self.end {
            let position = self.position;
            let Some((header, body)) = self.at(position) else {
                return Some(Err(self.skip_damage()));
            };
            let has_own_checksums = header.codec == Codec::Clustered as u8;
            if self.selection.checksums && !has_own_checksums && checksum(body) != header.body_checksum {
                self.position = self.after_damage(position, &header);
                let what = format!(
                    "batch of {} records from sequence {} is damaged: wrong checksum",
                    header.records, header.first_sequence
                );
                return Some(Err(self.problem(position, what)));
            }
            self.position = position + header.total_bytes();
            if header.kind != BatchKind::Footer as u8 {
                return Some(Ok(Stored { header, position, body }));
            }
        }
        None
    }

    /// What is wrong with the batch that was read last, for those who do not read on.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        self.problems.drain(..).collect()
    }

    /// The next dictionary or data batch; `None` at the end.
    pub fn next_batch(&mut self) -> Option<Result<BatchView<'_>, Problem>> {
        if let Some(problem) = self.problems.pop_front() {
            return Some(Err(problem));
        }
        let Stored { header, position, body } = match self.next_stored()? {
            Ok(stored) => stored,
            Err(problem) => return Some(Err(problem)),
        };
        let offset = position as u64;
        let invalid = |what| Problem::new(self.name, offset, format!("batch is not valid: {what}"));
        if header.codec != Codec::Clustered as u8 {
            self.bytes_read += header.total_bytes() as u64;
            let view = codec::decode(&header, without_padding(body, &header), &mut self.decoder)
                .and_then(|body| Ok(BatchView::new(header, offset, body)?));
            return Some(view.map_err(invalid));
        }
        let mut decoded = clustered::Decoded::default();
        let view = clustered::decode(header, offset, body, &self.selection, &mut self.decoder, &mut decoded);
        self.bytes_read += (HEADER_BYTES + decoded.bytes_read) as u64;
        for (place, what) in decoded.damage {
            let place = offset + HEADER_BYTES as u64 + place;
            self.problems.push_back(Problem::new(self.name, place, what));
        }
        Some(view.map_err(invalid))
    }
}

fn without_padding<'a>(body: &'a [u8], header: &BatchHeader) -> &'a [u8] {
    body.get(..header.body_bytes as usize).unwrap_or_default()
}

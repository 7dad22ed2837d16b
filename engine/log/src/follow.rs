//! A log read on and on while it is written.

use std::fs::File;
use std::io;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use marketprism_core::instrument::Registry;
use marketprism_core::record::{Line, RecordRef};

use crate::error::{LogError, Problem};
use crate::format::{BatchHeader, BatchKind, HEADER_BYTES, parse_segment_name, segment_name};
use crate::map::{Batches, Segment};
use crate::read::{LogReader, Selection};
use crate::recover::{restore, restore_one};
use crate::view::BatchView;

/// Longest batch of the newest segment that is taken into memory, bytes. A recorder's are a fortieth of it; a longer one is
/// read when its segment is sealed.
const MOST_BATCH_BYTES: usize = 64 << 20;

const NO_BYTES: Line = Line([0; HEADER_BYTES]);

/// Reads a log from a capture sequence on, past its present end. Works across rotation, compaction and removal, and while no
/// recorder runs. Takes no lock; needs the memory of one batch.
pub struct Tail {
    directory: PathBuf,
    next_sequence: u64,
    newest: Option<Newest>,
}

/// What one turn came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Whether all that is whole has been read; the next turn brings what is written meanwhile.
    pub is_at_end: bool,
    /// What was damaged or missing on the way. Reading goes on behind it.
    pub problems: Vec<Problem>,
}

impl Tail {
    /// Begins before the record of a capture sequence.
    pub fn new(directory: &Path, next_sequence: u64) -> Tail {
        Tail { directory: directory.to_owned(), next_sequence, newest: None }
    }

    /// The capture sequence of the next record that is handed out; where a follower's cursor belongs.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Hands what is there to `f` in capture order, with capture sequences and instruments, up to the end of one segment. Where
    /// `f` breaks, the next turn goes on behind that record.
    pub fn read(
        &mut self,
        mut f: impl FnMut(u64, RecordRef<'_>, &Registry) -> ControlFlow<()>,
    ) -> Result<Turn, LogError> {
        let reader = LogReader::open(&self.directory)?;
        let names = reader.segments().iter().filter_map(|path| sequence_of(path)).collect::<Vec<u64>>();
        let mut turn = Turn::default();
        if let Some(first) = names.first().filter(|first| **first > self.next_sequence) {
            turn.problems.push(absent(
                *first,
                self.next_sequence,
                *first,
                "were removed before they were read",
            ));
            self.next_sequence = *first;
        }
        let later = names.partition_point(|name| *name <= self.next_sequence);
        match (later.checked_sub(1).and_then(|index| names.get(index)), names.get(later)) {
            (Some(name), Some(end)) => self.read_complete(&reader, *name..*end, &mut turn, &mut f)?,
            (Some(newest), None) => {
                self.read_newest(*newest, &mut turn, &mut f)?;
                turn.is_at_end = true;
            }
            (None, _) => turn.is_at_end = true,
        }
        Ok(turn)
    }

    /// Reads a segment that takes no more records, by its first sequence and that of the next one.
    fn read_complete(
        &mut self,
        reader: &LogReader,
        Range { start: name, end }: Range<u64>,
        turn: &mut Turn,
        f: &mut impl FnMut(u64, RecordRef<'_>, &Registry) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        self.newest = None;
        let selection =
            Selection { from_sequence: self.next_sequence, end_sequence: end, ..Selection::default() };
        let (mut first, mut has_broken) = (None, false);
        let report = reader.for_each(&selection, |sequence, record, registry| {
            first.get_or_insert(sequence);
            self.next_sequence = sequence + 1;
            let flow = f(sequence, record, registry);
            has_broken = flow.is_break();
            flow
        })?;
        if let Some(first) = first.filter(|first| *first > selection.from_sequence) {
            turn.problems.push(absent(name, selection.from_sequence, first, "are missing"));
        }
        turn.problems.extend(report.problems);
        if has_broken {
            return Ok(());
        }
        if self.next_sequence < end && !self.is_unused_before(end) {
            turn.problems.push(absent(end, self.next_sequence, end, "are missing"));
        }
        self.next_sequence = end;
        Ok(())
    }

    /// Whether the writer of a segment knew that there is nothing between here and its beginning.
    fn is_unused_before(&self, first_sequence: u64) -> bool {
        let segment = Segment::map(&self.directory.join(segment_name(first_sequence)));
        segment.is_ok_and(|next| next.header().is_ok_and(|header| header.previous_end <= self.next_sequence))
    }

    /// Reads what has come in the segment that is being written.
    fn read_newest(
        &mut self,
        name: u64,
        turn: &mut Turn,
        f: &mut impl FnMut(u64, RecordRef<'_>, &Registry) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let path = self.directory.join(segment_name(name));
        let failed = |error| LogError::io("read", &path, error);
        let mut newest = match self.newest.take() {
            Some(newest) if newest.is_file_at(&path) => newest,
            _ => match File::open(&path) {
                Ok(file) => Newest::new(file),
                // It held no record and was removed by a recorder that started.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(failed(error)),
            },
        };
        let end = newest.file.metadata().map_err(failed)?.len();
        while newest.position < end && newest.load().map_err(failed)? {
            let mut batches = Batches::over("", bytemuck::cast_slice(&newest.batch));
            // One that is not whole is still being written; one that never will be is reported when the next segment begins.
            let Some(Ok(batch)) = batches.next_batch() else { break };
            newest.position += batch.header().total_bytes() as u64;
            let first = batch.header().first_sequence;
            if batch.kind() == BatchKind::Data && first > self.next_sequence {
                turn.problems.push(absent(name, self.next_sequence, first, "are missing"));
            }
            if hand_out(&batch, &mut self.next_sequence, &mut newest.registry, f).is_break() {
                // The rest of the batch is wanted the next time.
                return Ok(());
            }
        }
        self.newest = Some(newest);
        Ok(())
    }
}

/// Says which records before or in a segment are not there.
fn absent(name: u64, from: u64, to: u64, what: &str) -> Problem {
    let (last, records) = (to.saturating_sub(1), to.saturating_sub(from));
    Problem::new(
        &segment_name(name),
        0,
        format!("capture sequences {from} to {last} {what}: {records} records"),
    )
}

fn sequence_of(path: &Path) -> Option<u64> {
    parse_segment_name(path.file_name()?.to_str()?)
}

/// Hands out the records of a batch from a sequence on, and takes over its definitions.
fn hand_out(
    batch: &BatchView<'_>,
    next_sequence: &mut u64,
    registry: &mut Registry,
    f: &mut impl FnMut(u64, RecordRef<'_>, &Registry) -> ControlFlow<()>,
) -> ControlFlow<()> {
    if batch.kind() == BatchKind::Dictionary || batch.header().end_sequence() <= *next_sequence {
        restore(registry, batch);
        return ControlFlow::Continue(());
    }
    for (sequence, record) in batch.records() {
        if let RecordRef::Definition(definition, json) = record {
            restore_one(registry, definition, json);
        }
        if sequence >= *next_sequence {
            *next_sequence = sequence + 1;
            f(sequence, record, registry)?;
        }
    }
    ControlFlow::Continue(())
}

/// The newest segment, read with reads of the file: a map of its end could be cut off by a recorder that starts.
struct Newest {
    file: File,
    /// Where the next batch begins, bytes from the start of the file.
    position: u64,
    registry: Registry,
    /// The batch that was read last, behind a line where a file has its header.
    batch: Vec<Line>,
}

impl Newest {
    fn new(file: File) -> Newest {
        Newest { file, position: HEADER_BYTES as u64, registry: Registry::default(), batch: Vec::new() }
    }

    /// Whether a path still names this file. A segment without a record is removed by a recorder that starts, and the next
    /// one may have its name.
    fn is_file_at(&self, path: &Path) -> bool {
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let own = self.file.metadata().map(identity);
        path.metadata().map(identity).is_ok_and(|named| own.is_ok_and(|own| own == named))
    }

    /// Reads the next batch; false where the file does not hold all of it.
    fn load(&mut self) -> io::Result<bool> {
        self.batch.resize(2, NO_BYTES);
        if !self.fill(1)? {
            return Ok(false);
        }
        let Some(header) = self.batch.get(1).and_then(|line| BatchHeader::read(&line.0)) else {
            return Ok(false);
        };
        if header.kind == BatchKind::Footer as u8 || header.total_bytes() > MOST_BATCH_BYTES {
            return Ok(false);
        }
        self.batch.resize(1 + header.total_bytes() / size_of::<Line>(), NO_BYTES);
        self.fill(1)
    }

    /// Fills the lines from one on with what lies in the file.
    fn fill(&mut self, from: usize) -> io::Result<bool> {
        let lines = self.batch.get_mut(from..).unwrap_or_default();
        match self.file.read_exact_at(bytemuck::cast_slice_mut(lines), self.position) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

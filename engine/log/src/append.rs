//! The plain writer: `pwrite`, one batch at a time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use marketprism_core::clock::wall_ns;
use marketprism_core::instrument::Registry;

use crate::batch::{BatchBuilder, BatchInfo};
use crate::directory::{Log, LogOptions, Recovery};
use crate::error::LogError;
use crate::recover::restore_one;
use crate::segment::SegmentWriter;

/// A file as the appender uses it; tests put a failing disk in its place.
pub trait WriteAt {
    /// Writes some of the bytes at an offset from the start of the file; gives how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Waits until what was written has reached the disk.
    fn sync(&self) -> io::Result<()>;
}

impl WriteAt for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// What a [`Pending`] write completes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Batch(BatchInfo),
    Seal,
}

/// Bytes that must reach the file before anything else.
struct Pending {
    stage: Stage,
    offset: u64,
    written: usize,
}

struct Open<F> {
    file: F,
    writer: SegmentWriter,
}

/// Appends batches to a log.
///
/// After an error the batch that could not be written is kept: [`flush`](Self::flush), or the next call of any other method, tries
/// again at the same offset. No record is written twice and none is dropped.
pub struct Appender<F = File> {
    log: Log,
    registry: Registry,
    wrap: Box<dyn FnMut(File) -> F + Send>,
    open: Option<Open<F>>,
    next_sequence: u64,
    pending: Option<Pending>,
    buffer: Vec<u8>,
}

impl Appender<File> {
    /// Opens a log for appending.
    pub fn open(directory: &Path, options: LogOptions) -> Result<(Appender, Recovery), LogError> {
        Appender::open_with(directory, options, |file| file)
    }
}

impl<F: WriteAt> Appender<F> {
    /// Opens a log whose files are written through what `wrap` makes of them.
    pub fn open_with(
        directory: &Path,
        options: LogOptions,
        wrap: impl FnMut(File) -> F + Send + 'static,
    ) -> Result<(Appender<F>, Recovery), LogError> {
        let (log, recovery) = Log::open(directory, options)?;
        let appender = Appender {
            registry: log.registry().clone(),
            next_sequence: log.next_sequence(),
            log,
            wrap: Box::new(wrap),
            open: None,
            pending: None,
            buffer: Vec::new(),
        };
        Ok((appender, recovery))
    }

    /// The capture sequence of the next record.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// All instruments, those of appended definitions included. They go into the dictionary of the next segment.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The same, to define instruments before the first segment.
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Writes a batch; opens a segment where there is none and closes one that is due. The builder is empty afterwards,
    /// unless the batch before could not be written: then it is untouched.
    pub fn append(&mut self, batch: &mut BatchBuilder) -> Result<(), LogError> {
        self.flush()?;
        if batch.is_empty() {
            return Ok(());
        }
        let options = self.log.options();
        let (bytes, age) = (options.segment_bytes, options.segment_age_ns);
        if self.open.as_ref().is_some_and(|open| open.writer.is_due(bytes, age, wall_ns())) {
            self.seal()?;
        }
        let offset = self.segment()?.writer.offset();
        for (definition, json) in batch.definitions() {
            restore_one(&mut self.registry, definition, json);
        }
        let info = batch.finish(self.next_sequence, &mut self.buffer)?;
        self.next_sequence = info.end_sequence();
        self.pending = Some(Pending { stage: Stage::Batch(info), offset, written: 0 });
        self.flush()
    }

    /// Closes the current segment with its footer; the next batch opens a new one.
    pub fn seal(&mut self) -> Result<(), LogError> {
        self.flush()?;
        if let Some(open) = &self.open {
            open.writer.seal(&mut self.buffer)?;
            let offset = open.writer.offset();
            self.pending = Some(Pending { stage: Stage::Seal, offset, written: 0 });
        }
        self.flush()
    }

    /// Closes the current segment and opens the next one at once.
    pub fn rotate(&mut self) -> Result<(), LogError> {
        // A segment without records already is what is wanted, and the next one would have its name.
        self.flush()?;
        if self.open.as_ref().is_some_and(|open| open.writer.records() == 0) {
            return Ok(());
        }
        self.seal()?;
        self.segment().map(|_| ())
    }

    /// Waits until everything appended has reached the disk.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.flush()?;
        match &self.open {
            Some(open) => {
                open.file.sync().map_err(|error| LogError::io("synchronise", open.writer.path(), error))
            }
            None => Ok(()),
        }
    }

    /// Writes what an error left unwritten.
    pub fn flush(&mut self) -> Result<(), LogError> {
        let (Some(pending), Some(open)) = (&mut self.pending, &mut self.open) else {
            return Ok(());
        };
        let path = open.writer.path();
        while let Some(rest) = self.buffer.get(pending.written..).filter(|rest| !rest.is_empty()) {
            match open.file.write_at(rest, pending.offset + pending.written as u64) {
                Ok(0) => return Err(LogError::io("write", path, io::ErrorKind::WriteZero.into())),
                Ok(count) => pending.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LogError::io("write", path, error)),
            }
        }
        match pending.stage {
            Stage::Head => {}
            Stage::Batch(info) => open.writer.commit(&info),
            Stage::Seal => {
                open.file.sync().map_err(|error| LogError::io("synchronise", path, error))?;
                self.open = None;
            }
        }
        self.pending = None;
        Ok(())
    }

    /// The open segment; a new one where there is none.
    fn segment(&mut self) -> Result<&mut Open<F>, LogError> {
        if self.open.is_none() {
            let created = self.log.start_segment(&self.registry, self.next_sequence)?;
            self.buffer = created.head;
            self.pending = Some(Pending { stage: Stage::Head, offset: 0, written: 0 });
            self.open = Some(Open { file: (self.wrap)(created.file), writer: created.writer });
        }
        self.flush()?;
        match &mut self.open {
            Some(open) => Ok(open),
            None => unreachable!("a head that was written leaves its segment open"),
        }
    }
}

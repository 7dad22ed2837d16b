//! Standard output in large pieces.

use std::io::{self, StdoutLock, Write};
use std::process::ExitCode;

use crate::EXIT_BAD;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 16;

/// Why nothing more can be written.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The reader of the output has gone.
    Pipe,
    /// Something else.
    Other(io::Error),
}

impl Closed {
    /// A reader that has seen enough is no fault.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Closed::Pipe => ExitCode::SUCCESS,
            Closed::Other(error) => {
                eprintln!("standard output cannot be written: {error}");
                ExitCode::from(EXIT_BAD)
            }
        }
    }
}

/// Standard output. Its own buffer writes line by line; this one does not.
pub(crate) struct Output {
    buffer: Vec<u8>,
    output: StdoutLock<'static>,
}

impl Output {
    pub(crate) fn new() -> Output {
        Output { buffer: Vec::with_capacity(2 * BUFFER_BYTES), output: io::stdout().lock() }
    }

    /// Writes whatever `write` appends.
    pub(crate) fn with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Closed> {
        write(&mut self.buffer);
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    /// Hands everything to the reader.
    pub(crate) fn flush(&mut self) -> Result<(), Closed> {
        let result = self.output.write_all(&self.buffer).and_then(|()| self.output.flush());
        self.buffer.clear();
        result.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Closed::Pipe,
            _ => Closed::Other(error),
        })
    }
}

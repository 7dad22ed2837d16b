//! `replay --follow`: the records of a log in capture order, and those that a recorder adds, until a signal comes.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use marketprism_core::{Instrument, json};
use marketprism_log::{Cursor, LogError, Tail};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::super::inspect::segments_in;
use super::super::query::filter::Filter;
use super::super::query::output::{Closed, Output};
use super::super::query::source::report_problems;
use crate::EXIT_BAD;

/// Time between two looks for new records where there was none.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Shortest time between two writes of the cursor, which wait for the disk that the recorder writes to.
const CURSOR_INTERVAL: Duration = Duration::from_secs(1);

/// Prints records and goes on with new ones. With the name of a cursor it begins where that one is and advances it when
/// its records are printed: each is printed at least once. The error says why it cannot begin.
pub(super) fn follow(directory: &Path, filter: Filter, cursor: Option<&str>) -> Result<ExitCode, String> {
    let first_sequence = segments_in(directory)?.first_sequence().unwrap_or(0);
    let cursor = cursor.map(|name| Cursor::open(directory, name)).transpose();
    let cursor = cursor.map_err(|error| error.to_string())?;
    let begin = cursor.as_ref().map_or(first_sequence, Cursor::sequence);
    let is_stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let registered = signal_hook::flag::register(signal, Arc::clone(&is_stopped));
        registered.map_err(|error| format!("cannot catch signals: {error}"))?;
    }
    let tail = Tail::new(directory, begin);
    let mut following = Following { tail, filter, cursor, advanced: Instant::now(), output: Output::new() };
    Ok(following.run(&is_stopped).unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(EXIT_BAD)
    }))
}

struct Following {
    tail: Tail,
    filter: Filter,
    cursor: Option<Cursor>,
    /// When the cursor was written last.
    advanced: Instant,
    output: Output,
}

/// How a turn ended.
enum Turned {
    /// Everything that was read is printed.
    Read { is_at_end: bool, is_sound: bool },
    /// Nobody takes the output.
    Closed(Closed),
}

impl Following {
    /// Until a signal comes or nobody takes the output.
    fn run(&mut self, is_stopped: &AtomicBool) -> Result<ExitCode, LogError> {
        let mut exit_code = ExitCode::SUCCESS;
        while !is_stopped.load(Ordering::Relaxed) {
            match self.turn()? {
                Turned::Read { is_at_end, is_sound } => {
                    if !is_sound {
                        exit_code = ExitCode::from(EXIT_BAD);
                    }
                    if is_at_end {
                        std::thread::sleep(LOOK_INTERVAL);
                    }
                }
                Turned::Closed(closed) => return Ok(closed.exit_code()),
            }
        }
        self.advance()?;
        Ok(exit_code)
    }

    /// Prints what there is, up to the end of one segment.
    fn turn(&mut self) -> Result<Turned, LogError> {
        let unknown = Instrument::default();
        let (filter, output) = (&mut self.filter, &mut self.output);
        let mut printed = Ok(());
        let turn = self.tail.read(|sequence, record, registry| {
            let header = record.header();
            let instrument = registry.get(header.instrument).unwrap_or(&unknown);
            let is_wanted = (filter.from_ns..filter.end_ns).contains(&header.receive_ns);
            if is_wanted && filter.takes(record, instrument) {
                printed = output.with(|out| json::write_record(out, record, instrument, sequence));
            }
            if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if let Err(closed) = printed.and_then(|()| self.output.flush()) {
            return Ok(Turned::Closed(closed));
        }
        if self.advanced.elapsed() >= CURSOR_INTERVAL {
            self.advance()?;
        }
        report_problems(&turn.problems);
        Ok(Turned::Read { is_at_end: turn.is_at_end, is_sound: turn.problems.is_empty() })
    }

    /// Notes what is printed.
    fn advance(&mut self) -> Result<(), LogError> {
        self.advanced = Instant::now();
        self.cursor.as_mut().map_or(Ok(()), |cursor| cursor.advance(self.tail.next_sequence()))
    }
}

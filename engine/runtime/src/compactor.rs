//! The compactor: a thread that compresses sealed segments with what the other threads leave of the cores.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use marketprism_log::{LogReader, compact};

use crate::telemetry::{EventSender, Published, Severity, lock, thread_cpu_ns};

/// Time between two looks for segments that were sealed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The lowest priority of an ordinary thread. Not the idle class: a thread of that class that holds a lock of the
/// kernel could keep the writer waiting.
const NICENESS: i32 = 19;

/// What was compressed in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactorStatistics {
    /// Segments.
    pub segments: u64,
    /// Their length before, bytes.
    pub bytes_before: u64,
    /// Their length now, bytes.
    pub bytes_after: u64,
    /// Segments that could not be compressed and stay as they are.
    pub errors: u64,
    /// CPU time of the thread, nanoseconds.
    pub cpu_ns: u64,
}

/// The running thread. Where it is dropped the thread ends by itself, soon.
pub(crate) struct CompactorThread {
    keep_running: Sender<()>,
    thread: JoinHandle<()>,
    statistics: Arc<Mutex<CompactorStatistics>>,
}

impl CompactorThread {
    /// Begins to compress what is sealed in a log's directory. This process must hold the log's lock.
    pub(crate) fn start(directory: PathBuf, events: EventSender) -> std::io::Result<CompactorThread> {
        let (keep_running, running) = bounded(0);
        let (published, statistics) = Published::new(CompactorStatistics::default());
        let compactor = Compactor {
            directory,
            running,
            events,
            published,
            statistics: CompactorStatistics::default(),
            newest_done: None,
            newest_seen: None,
            is_unreadable: false,
        };
        let thread = std::thread::Builder::new().name("compactor".into()).spawn(move || compactor.run())?;
        Ok(CompactorThread { keep_running, thread, statistics })
    }

    /// What it did so far.
    pub(crate) fn statistics(&self) -> CompactorStatistics {
        *lock(&self.statistics)
    }

    /// Stops it. A segment that is half done stays as it was. The error is a panic of the thread.
    pub(crate) fn stop(self) -> std::thread::Result<()> {
        drop(self.keep_running);
        self.thread.join()
    }
}

/// Everything that the thread owns.
struct Compactor {
    directory: PathBuf,
    /// Brings nothing; the thread ends when the other end is gone.
    running: Receiver<()>,
    events: EventSender,
    published: Published<CompactorStatistics>,
    statistics: CompactorStatistics,
    /// The newest segment that needs no more looking at.
    newest_done: Option<PathBuf>,
    /// The segment that was written at the last look. Nothing was sealed while it stays the same.
    newest_seen: Option<PathBuf>,
    /// Whether the last look at the directory failed.
    is_unreadable: bool,
}

impl Compactor {
    fn run(mut self) {
        lower_priority();
        loop {
            self.compact_all();
            if self.running.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
        }
    }

    /// Every segment but the newest, which is being written; the oldest first.
    fn compact_all(&mut self) {
        let segments = match LogReader::open(&self.directory) {
            Ok(reader) => reader.segments(),
            Err(error) => {
                if !std::mem::replace(&mut self.is_unreadable, true) {
                    self.events.send(Severity::Error, format!("nothing is compressed: {error}"));
                }
                return;
            }
        };
        self.is_unreadable = false;
        let Some((newest, older)) = segments.split_last() else { return };
        if self.newest_seen.as_ref() == Some(newest) {
            return;
        }
        self.newest_seen = Some(newest.clone());
        let done = self.newest_done.clone();
        for path in older.iter().filter(|path| done.as_ref().is_none_or(|done| *path > done)) {
            if !is_running(&self.running) || !self.compact(path) {
                break;
            }
        }
    }

    /// False where there is no room: it is tried again when the writer, which goes first, has sealed another segment.
    fn compact(&mut self, path: &Path) -> bool {
        match compact(path, || is_running(&self.running)) {
            Ok(None) => {}
            Ok(Some(compaction)) => {
                self.statistics.segments += 1;
                self.statistics.bytes_before += compaction.bytes_before;
                self.statistics.bytes_after += compaction.bytes_after;
            }
            Err(error) if error.is_full() => {
                self.events.send(Severity::Warning, format!("not compressed yet: {error}"));
                return false;
            }
            Err(error) => {
                self.statistics.errors += 1;
                let text = format!("not compressed, and not tried again before the next start: {error}");
                self.events.send(Severity::Error, text);
            }
        }
        self.newest_done = Some(path.to_owned());
        self.statistics.cpu_ns = thread_cpu_ns();
        let statistics = self.statistics;
        self.published.publish(true, |copy| *copy = statistics);
        true
    }
}

fn is_running(running: &Receiver<()>) -> bool {
    running.try_recv() == Err(TryRecvError::Empty)
}

fn lower_priority() {
    // SAFETY: the call takes numbers only; with 0 for the process it changes this thread alone on Linux.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use marketprism_core::Instrument;
    use marketprism_core::record::{Header, Kind, RecordRef, Trade};
    use marketprism_log::format::Codec;
    use marketprism_log::{Appender, BatchBuilder, LogOptions, verify};

    use super::*;
    use crate::telemetry::{Events, events};

    fn appender(directory: &Path) -> Appender {
        let (mut appender, _) = Appender::open(directory, LogOptions::default()).unwrap();
        appender.registry_mut().define(Instrument::unknown("binance", "spot", "BTCUSDT"));
        appender
    }

    /// Fills the open segment with a hundred trades and begins the next one.
    fn fill_segment(appender: &mut Appender) {
        let mut batch = BatchBuilder::new();
        for _ in 0..100 {
            let id = appender.next_sequence() + u64::from(batch.records()) + 1;
            let header = Header { sequence: id, ..Header::new(Kind::Trade, 1, 5) };
            let trade = Trade { header, ..bytemuck::Zeroable::zeroed() };
            batch.push(RecordRef::Trade(&trade)).unwrap();
        }
        appender.append(&mut batch).unwrap();
        appender.rotate().unwrap();
    }

    fn segments(directory: &Path) -> Vec<PathBuf> {
        LogReader::open(directory).unwrap().segments()
    }

    fn start(directory: &Path) -> (CompactorThread, Events) {
        let (sender, events) = events();
        (CompactorThread::start(directory.to_owned(), sender).unwrap(), events)
    }

    /// Waits until so many segments were compressed, or could not be.
    fn wait_for(compactor: &CompactorThread, segments: u64, errors: u64) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let statistics = compactor.statistics();
            if (statistics.segments, statistics.errors) == (segments, errors) {
                return;
            }
            assert!(Instant::now() < until, "{statistics:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_compressed(path: &Path) -> bool {
        let segment = marketprism_log::Segment::map(path).unwrap();
        let mut batches = segment.batches();
        batches.next_batch().unwrap().unwrap().header().codec == Codec::Zstd as u8
    }

    #[test]
    fn sealed_segments_are_compressed_at_the_start_and_when_they_come() {
        let directory = tempfile::tempdir().unwrap();
        let mut appender = appender(directory.path());
        fill_segment(&mut appender);
        fill_segment(&mut appender);
        let lengths = || -> u64 {
            segments(directory.path())[..2].iter().map(|path| fs::metadata(path).unwrap().len()).sum()
        };
        let before = lengths();
        let (compactor, events) = start(directory.path());
        wait_for(&compactor, 2, 0);
        let statistics = compactor.statistics();
        assert_eq!((statistics.bytes_before, statistics.bytes_after), (before, lengths()));
        assert!(statistics.bytes_after < statistics.bytes_before / 2, "{statistics:?}");

        fill_segment(&mut appender);
        wait_for(&compactor, 3, 0);
        compactor.stop().unwrap();
        let compressed: Vec<bool> =
            segments(directory.path()).iter().map(|path| is_compressed(path)).collect();
        assert_eq!(compressed, [true, true, true, false], "all but the newest");
        let verification = verify(directory.path()).unwrap();
        assert!(verification.ok && verification.records == 300, "{:?}", verification.problems);
        events.drain(|event| panic!("{event:?}"));
    }

    #[test]
    fn a_damaged_segment_is_told_and_the_next_one_is_compressed() {
        let directory = tempfile::tempdir().unwrap();
        let mut appender = appender(directory.path());
        fill_segment(&mut appender);
        fill_segment(&mut appender);
        let damaged = &segments(directory.path())[0];
        let mut bytes = fs::read(damaged).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(damaged, &bytes).unwrap();
        let (compactor, events) = start(directory.path());
        wait_for(&compactor, 1, 1);
        compactor.stop().unwrap();
        let mut texts = vec![];
        events.drain(|event| texts.push(event.text.clone()));
        assert!(texts.len() == 1 && texts[0].contains("wrong checksum"), "{texts:?}");
        assert_eq!(fs::read(damaged).unwrap(), bytes);
    }

    #[test]
    fn the_lowest_priority_is_that_of_the_thread_alone() {
        let niceness = || {
            let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            fields[16].parse::<i32>().unwrap()
        };
        let before = niceness();
        let lowered = std::thread::spawn(move || {
            lower_priority();
            niceness()
        });
        assert_eq!(lowered.join().unwrap(), NICENESS);
        assert_eq!(niceness(), before);
    }
}

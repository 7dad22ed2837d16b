//! Maintenance of the log: a thread that compresses sealed segments and removes those that are kept no longer, with what
//! the other threads leave of the cores.

use std::ffi::CString;
use std::fmt::Display;
use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use marketprism_core::clock::wall_ns;
use marketprism_log::{Expired, Held, Limit, LogReader, Retention, compact, expired};

use crate::telemetry::{EventSender, Published, Severity, lock, thread_cpu_ns};

/// Time between two looks for segments that were sealed.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Longest time between two looks for segments that are too old, where none is sealed.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// So many segments are compressed before those to remove are looked for: a recorder that begins with many plain ones, or
/// seals them faster than they are compressed, keeps within its limits too.
const COMPRESSED_AT_ONCE: u64 = 8;
/// The lowest priority of an ordinary thread. Not the idle class: a thread of that class that holds a lock of the
/// kernel could keep the writer waiting.
const NICENESS: i32 = 19;

/// What was done in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceStatistics {
    /// Segments that were compressed.
    pub segments: u64,
    /// Their length before, bytes.
    pub bytes_before: u64,
    /// Their length then, bytes.
    pub bytes_after: u64,
    /// Segments that could not be compressed and stay as they are.
    pub errors: u64,
    /// Segments that were removed.
    pub removed_segments: u64,
    /// Their length, bytes.
    pub removed_bytes: u64,
    /// Bytes that are kept beyond the limits now, because a follower has not delivered them.
    pub held_bytes: u64,
    /// CPU time of the thread, nanoseconds.
    pub cpu_ns: u64,
}

/// The running thread. Where it is dropped the thread ends by itself, soon.
pub(crate) struct MaintenanceThread {
    keep_running: Sender<()>,
    thread: JoinHandle<()>,
    statistics: Arc<Mutex<MaintenanceStatistics>>,
}

impl MaintenanceThread {
    /// Begins to look after a log's directory. This process must hold the log's lock.
    pub(crate) fn start(
        directory: PathBuf,
        compression: bool,
        retention: Retention,
        events: EventSender,
    ) -> std::io::Result<MaintenanceThread> {
        let (keep_running, running) = bounded(0);
        let (published, statistics) = Published::new(MaintenanceStatistics::default());
        let maintenance = Maintenance {
            directory,
            compression,
            retention,
            running,
            events,
            published,
            statistics: MaintenanceStatistics::default(),
            newest_compressed: None,
            newest_seen: None,
            retained: Instant::now(),
            is_short_of_room: false,
            held_by: None,
            fault: String::new(),
        };
        let thread =
            std::thread::Builder::new().name("maintenance".into()).spawn(move || maintenance.run())?;
        Ok(MaintenanceThread { keep_running, thread, statistics })
    }

    /// What it did so far.
    pub(crate) fn statistics(&self) -> MaintenanceStatistics {
        *lock(&self.statistics)
    }

    /// Stops it. A segment that is half compressed stays as it was. The error is a panic of the thread.
    pub(crate) fn stop(self) -> std::thread::Result<()> {
        drop(self.keep_running);
        self.thread.join()
    }
}

/// Everything that the thread owns.
struct Maintenance {
    directory: PathBuf,
    compression: bool,
    retention: Retention,
    /// Brings nothing; the thread ends when the other end is gone.
    running: Receiver<()>,
    events: EventSender,
    published: Published<MaintenanceStatistics>,
    statistics: MaintenanceStatistics,
    /// The newest segment that needs no more compression.
    newest_compressed: Option<PathBuf>,
    /// The segment that was written at the last look. Nothing was sealed while it stays the same.
    newest_seen: Option<PathBuf>,
    /// When segments to remove were last looked for.
    retained: Instant,
    /// Whether there was no room for compression.
    is_short_of_room: bool,
    /// The follower that keeps segments from being removed.
    held_by: Option<String>,
    /// Why the directory could not be read or changed at the last look; empty where it could.
    fault: String,
}

impl Maintenance {
    fn run(mut self) {
        lower_priority();
        loop {
            self.look();
            if self.running.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Disconnected) {
                break;
            }
        }
    }

    /// Does what is due. Segments are compressed first, so that fewer have to be removed.
    fn look(&mut self) {
        let segments = match LogReader::open(&self.directory) {
            Ok(reader) => reader.segments(),
            Err(error) => return self.tell_fault(format!("nothing is compressed or removed: {error}")),
        };
        let Some((newest, older)) = segments.split_last() else { return };
        let is_sealed_since = self.newest_seen.as_ref() != Some(newest);
        self.newest_seen = Some(newest.clone());
        if is_sealed_since && self.compression {
            while self.compress_some(older) {
                self.retain();
            }
        }
        if is_sealed_since || self.retained.elapsed() >= RETENTION_INTERVAL {
            self.retain();
        }
    }

    /// Compresses some of these segments, the oldest first. Whether there may be more of them.
    fn compress_some(&mut self, segments: &[PathBuf]) -> bool {
        let done = self.newest_compressed.clone();
        let end = self.statistics.segments + COMPRESSED_AT_ONCE;
        for path in segments.iter().filter(|path| done.as_ref().is_none_or(|done| *path > done)) {
            if !is_running(&self.running) || !self.compress(path) {
                return false;
            }
            if self.statistics.segments == end {
                return true;
            }
        }
        false
    }

    /// Removes what is kept no longer.
    fn retain(&mut self) {
        self.retained = Instant::now();
        match expired(&self.directory, self.retention, wall_ns()) {
            Ok(expiry) => {
                self.hold(expiry.held);
                self.remove_all(&expiry.segments);
            }
            Err(error) => self.tell_fault(format!("nothing is removed: {error}")),
        }
    }

    /// False where there is no room: it is tried again when the writer, which goes first, has sealed another segment.
    fn compress(&mut self, path: &Path) -> bool {
        // As long as another segment of this length fits, the writer does not want for what compression takes.
        let reserve = fs::metadata(path).map_or(0, |metadata| metadata.len());
        let has_room = || free_bytes(&self.directory).is_none_or(|free| free >= reserve);
        let go_on = || has_room() && is_running(&self.running);
        match compact(path, go_on) {
            Ok(None) if !has_room() => return self.has_no_room("no room beside it for another segment"),
            Ok(None) => {}
            Ok(Some(compaction)) => {
                self.is_short_of_room = false;
                self.statistics.segments += 1;
                self.statistics.bytes_before += compaction.bytes_before;
                self.statistics.bytes_after += compaction.bytes_after;
            }
            Err(error) if error.is_full() => return self.has_no_room(error),
            Err(error) => {
                self.statistics.errors += 1;
                let text = format!("not compressed, and not tried again before the next start: {error}");
                self.events.send(Severity::Error, text);
            }
        }
        self.newest_compressed = Some(path.to_owned());
        self.publish();
        true
    }

    /// Tells once that there is no room, until there is some. Always false.
    fn has_no_room(&mut self, why: impl Display) -> bool {
        if !self.is_short_of_room {
            self.is_short_of_room = true;
            self.events.send(Severity::Warning, format!("sealed segments are not compressed yet: {why}"));
        }
        false
    }

    /// Notes what a follower keeps from being removed; tells it once for each follower.
    fn hold(&mut self, held: Option<Held>) {
        self.statistics.held_bytes = held.as_ref().map_or(0, |held| held.bytes);
        self.publish();
        let name = held.as_ref().map(|held| held.follower.name.clone());
        if let Some(Held { follower, segments, bytes, behind }) = held
            && self.held_by != name
        {
            let text = format!(
                "{segments} old segments ({bytes} bytes) are kept for follower {:?}, which is {behind} records behind; \
                 they are removed when it has delivered them",
                follower.name
            );
            self.events.send(Severity::Warning, text);
        }
        self.held_by = name;
    }

    /// Removes these segments up to the first that cannot be removed, so that no hole comes to be.
    fn remove_all(&mut self, segments: &[Expired]) {
        for segment in segments {
            if !is_running(&self.running) {
                return;
            }
            if let Err(error) = segment.remove() {
                return self.tell_fault(format!("no old segment is removed: {error}"));
            }
            self.statistics.removed_segments += 1;
            self.statistics.removed_bytes += segment.bytes;
            self.publish();
            let why = match segment.limit {
                Limit::Age => "its newest record is older than log.keep_days",
                Limit::Bytes => "the log was longer than log.keep_gib",
            };
            let text = format!("{} ({} bytes) was removed: {why}", segment.path.display(), segment.bytes);
            self.events.send(Severity::Info, text);
        }
        self.fault.clear();
    }

    /// Tells a fault once, however often it comes.
    fn tell_fault(&mut self, fault: String) {
        if self.fault != fault {
            self.events.send(Severity::Error, fault.clone());
            self.fault = fault;
        }
    }

    fn publish(&mut self) {
        self.statistics.cpu_ns = thread_cpu_ns();
        let statistics = self.statistics;
        self.published.publish(true, |copy| *copy = statistics);
    }
}

fn is_running(running: &Receiver<()>) -> bool {
    running.try_recv() == Err(TryRecvError::Empty)
}

/// Room left on the file system of a directory, bytes. `None` where the system does not say.
fn free_bytes(directory: &Path) -> Option<u64> {
    let path = CString::new(directory.as_os_str().as_bytes()).ok()?;
    let mut answer = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with a zero and the answer has room for the struct, both for the duration of the call.
    let result = unsafe { libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) };
    // SAFETY: a call that succeeded has written the whole struct.
    (result == 0).then(|| unsafe { answer.assume_init() }).map(|room| room.f_bavail * room.f_frsize)
}

fn lower_priority() {
    // SAFETY: the call takes numbers only; with 0 for the process it changes this thread alone on Linux.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) };
}

#[cfg(test)]
mod tests;

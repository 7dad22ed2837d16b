//! What the threads tell about themselves: counters by connection, statistics by stage, and a log of events.
//! Threads copy their numbers out a few times a second; nothing here is touched for every message.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crossbeam::channel::{Receiver, Sender, bounded};
use crossbeam::utils::CachePadded;
use hdrhistogram::Histogram;
use marketprism_core::clock::{monotonic_ns, wall_ns};
use marketprism_log::CoverageTotals;
use serde::Serialize;

use crate::normaliser::{BookTop, NormaliserCounts};

/// Time between two publications of a thread's statistics, nanoseconds.
const PUBLISH_INTERVAL_NS: i64 = 50_000_000;
/// Longest latency that is told apart, nanoseconds (one minute).
const MAX_LATENCY_NS: u64 = 60_000_000_000;
/// Events that wait to be read; more are counted and left out.
const EVENT_QUEUE: usize = 1024;
/// Events kept for display.
const EVENTS_KEPT: usize = 200;

/// A latency histogram: nanoseconds, three significant digits, at most a minute.
pub fn latency_histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("the bounds are constants that the library accepts: {error}"),
    }
}

/// Locks even after a panic elsewhere: the numbers inside are always whole.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// How important an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something is not as it should be, and is handled.
    Warning,
    /// Data is at risk, or somebody must act.
    Error,
}

/// One line of the log.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// When, wall clock, nanoseconds.
    pub at_ns: i64,
    /// How important.
    pub severity: Severity,
    /// What happened, where, and what to do.
    pub text: String,
}

/// Takes events from any thread without ever waiting.
#[derive(Clone)]
pub struct EventSender {
    sender: Sender<Event>,
    lost: Arc<AtomicU64>,
}

impl EventSender {
    /// Sends one event; where the queue is full it is counted and left out.
    pub fn send(&self, severity: Severity, text: impl Into<String>) {
        let event = Event { at_ns: wall_ns(), severity, text: text.into() };
        if self.sender.try_send(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The receiving end of the events, with a memory for display.
pub struct Events {
    receiver: Receiver<Event>,
    lost: Arc<AtomicU64>,
    kept: Mutex<VecDeque<Event>>,
}

/// Makes the two ends.
pub fn events() -> (EventSender, Events) {
    let (sender, receiver) = bounded(EVENT_QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let events = Events { receiver, lost: Arc::clone(&lost), kept: Mutex::new(VecDeque::new()) };
    (EventSender { sender, lost }, events)
}

impl Events {
    /// Passes the new events to `each`, and keeps them for [`recent`](Self::recent).
    pub fn drain(&self, mut each: impl FnMut(&Event)) {
        let mut kept = lock(&self.kept);
        while let Ok(event) = self.receiver.try_recv() {
            each(&event);
            if kept.len() == EVENTS_KEPT {
                kept.pop_front();
            }
            kept.push_back(event);
        }
    }

    /// The newest events that were drained, oldest first.
    pub fn recent(&self, most: usize) -> Vec<Event> {
        let kept = lock(&self.kept);
        kept.iter().skip(kept.len().saturating_sub(most)).cloned().collect()
    }

    /// Events left out because the queue was full.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Counters of one connection; written by its I/O thread only.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Data frames.
    pub frames: CachePadded<AtomicU64>,
    /// Bytes of their payloads.
    pub bytes: AtomicU64,
    /// Frames that no parser could read.
    pub unparsed: AtomicU64,
    /// Frames that the predicted parser left to the general one.
    pub general: AtomicU64,
    /// Times that it was opened.
    pub connects: AtomicU64,
    /// Whether it is open.
    pub is_open: AtomicBool,
    /// Whether all its subscriptions are acknowledged.
    pub is_subscribed: AtomicBool,
}

impl ConnectionCounters {
    /// One more data frame of this length.
    #[inline]
    pub fn count(&self, bytes: usize) {
        add(&self.frames, 1);
        add(&self.bytes, bytes as u64);
    }
}

/// Adds to a counter that has one writer: no locked instruction.
#[inline]
pub fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
}

/// Statistics of a normaliser thread.
#[derive(Clone)]
pub struct NormaliserStatistics {
    /// What it counted.
    pub counts: NormaliserCounts,
    /// From the socket read to the record being normalised, nanoseconds.
    pub latency: Histogram<u64>,
    /// Valid books, and books in all.
    pub books: (usize, usize),
    /// Streams that had delivered nothing a minute after the start.
    pub silent_streams: usize,
    /// Memory of all books, bytes.
    pub book_memory_bytes: usize,
    /// Messages after which the venue's checksum proved a book right.
    pub verified_checksums: u64,
    /// Best prices of the first books.
    pub tops: Vec<BookTop>,
    /// CPU time of the thread, nanoseconds.
    pub cpu_ns: u64,
}

impl Default for NormaliserStatistics {
    fn default() -> NormaliserStatistics {
        NormaliserStatistics {
            counts: NormaliserCounts::default(),
            latency: latency_histogram(),
            books: (0, 0),
            silent_streams: 0,
            book_memory_bytes: 0,
            verified_checksums: 0,
            tops: Vec::new(),
            cpu_ns: 0,
        }
    }
}

/// Statistics of the writer thread.
#[derive(Clone)]
pub struct WriterStatistics {
    /// Records written.
    pub records: u64,
    /// Records of the coverage ledger, which the writer makes itself.
    pub coverage_records: u64,
    /// What is proven of the streams of this run, and what is not.
    pub coverage: CoverageTotals,
    /// Batches written.
    pub batches: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Segments begun.
    pub segments: u64,
    /// Write errors; each is retried.
    pub errors: u64,
    /// What the writer waits for because of an error; empty while all is well.
    pub trouble: String,
    /// From the socket read to the record being in the file, nanoseconds.
    pub latency: Histogram<u64>,
    /// CPU time of the thread, nanoseconds.
    pub cpu_ns: u64,
}

impl WriterStatistics {
    /// Records written that came from the normalisers.
    pub fn captured_records(&self) -> u64 {
        self.records.saturating_sub(self.coverage_records)
    }
}

impl Default for WriterStatistics {
    fn default() -> WriterStatistics {
        WriterStatistics {
            records: 0,
            coverage_records: 0,
            coverage: CoverageTotals::default(),
            batches: 0,
            bytes: 0,
            segments: 0,
            errors: 0,
            trouble: String::new(),
            latency: latency_histogram(),
            cpu_ns: 0,
        }
    }
}

/// Where a thread leaves a copy of its statistics now and then.
pub struct Published<T> {
    slot: Arc<Mutex<T>>,
    next_ns: i64,
}

impl<T> Published<T> {
    /// A place that others read through the returned handle.
    pub fn new(initial: T) -> (Published<T>, Arc<Mutex<T>>) {
        let slot = Arc::new(Mutex::new(initial));
        (Published { slot: Arc::clone(&slot), next_ns: 0 }, slot)
    }

    /// Lets `write` update the copy when it is time, or at once where `force` is set.
    pub fn publish(&mut self, force: bool, write: impl FnOnce(&mut T)) {
        let now = monotonic_ns();
        if force || now >= self.next_ns {
            self.next_ns = now + PUBLISH_INTERVAL_NS;
            write(&mut lock(&self.slot));
        }
    }
}

/// CPU time that the calling thread has used, nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the duration of the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    if result == 0 { time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64 } else { 0 }
}

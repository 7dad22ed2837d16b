//! The recorder: starts the threads, tells how they are, and stops them in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use marketprism_core::instrument::Instrument;
use marketprism_core::venue::Venue;
use marketprism_log::{Log, LogError, LogOptions, Recovery};
use tokio::sync::watch;

use crate::assembly::Builder;
use crate::control::ControlCounters;
use crate::maintenance::{MaintenanceStatistics, MaintenanceThread};
use crate::prepare::{prepare, resume};
use crate::rest::RestClient;
use crate::settings::{Settings, TransportChoice};
use crate::telemetry::*;
use crate::tls::client_config;
use crate::transport;

/// Why a recorder could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings contradict themselves or the venue.
    #[error("{0}")]
    Settings(String),
    /// The log could not be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system refused something.
    #[error("{0}")]
    System(String),
}

/// How a recorder ended.
#[derive(Debug, Default)]
pub struct Ending {
    /// Records written.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
    /// What went wrong while stopping; empty where all is well.
    pub problems: Vec<String>,
}

/// One connection, as seen from outside.
#[derive(Clone, Debug)]
pub struct ConnectionStatus {
    /// Number in this run.
    pub id: u32,
    /// `venue/market`.
    pub label: String,
    /// Number of streams.
    pub streams: usize,
    /// Whether it is open.
    pub is_open: bool,
    /// Whether all its subscriptions are acknowledged.
    pub is_subscribed: bool,
    /// Frames received.
    pub frames: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Frames that no parser could read.
    pub unparsed: u64,
    /// Frames that the general parser had to read.
    pub general: u64,
    /// Times that it was opened.
    pub connects: u64,
}

/// The whole recorder, as seen from outside.
#[derive(Clone)]
pub struct Status {
    /// Connections.
    pub connections: Vec<ConnectionStatus>,
    /// All normalisers together.
    pub normalisers: NormaliserStatistics,
    /// The writer.
    pub writer: WriterStatistics,
    /// Compression and removal of segments; all zero where neither is wanted.
    pub maintenance: MaintenanceStatistics,
    /// Records dropped because a ring stayed full, on all ways from the sockets and from REST to the writer.
    pub dropped: u64,
    /// CPU time of the I/O threads, nanoseconds.
    pub io_cpu_ns: u64,
    /// REST requests answered, and failed.
    pub rest: (u64, u64),
}

impl Status {
    /// Frames received on all connections.
    pub fn frames(&self) -> u64 {
        self.connections.iter().map(|connection| connection.frames).sum()
    }

    /// Bytes received on all connections.
    pub fn bytes(&self) -> u64 {
        self.connections.iter().map(|connection| connection.bytes).sum()
    }
}

/// Ends with the records and bytes written.
pub(crate) type WriterThread = JoinHandle<Result<(u64, u64), LogError>>;

/// What is known of a connection without asking its thread.
pub(crate) struct Known {
    pub(crate) id: u32,
    pub(crate) label: String,
    pub(crate) streams: Arc<AtomicUsize>,
    pub(crate) counters: Arc<ConnectionCounters>,
}

/// A running recorder. Dropping it stops it.
pub struct Recorder {
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) capture: Vec<JoinHandle<()>>,
    pub(crate) stages: Vec<JoinHandle<()>>,
    pub(crate) writer: Option<WriterThread>,
    pub(crate) maintenance: Option<MaintenanceThread>,
    pub(crate) known: Arc<Mutex<Vec<Known>>>,
    pub(crate) dropped: Vec<Arc<AtomicU64>>,
    pub(crate) io_statistics: Vec<Arc<Mutex<u64>>>,
    pub(crate) stage_statistics: Vec<Arc<Mutex<NormaliserStatistics>>>,
    pub(crate) writer_statistics: Arc<Mutex<WriterStatistics>>,
    pub(crate) control: Arc<ControlCounters>,
    pub(crate) events: Events,
    pub(crate) instruments: Arc<Mutex<BTreeMap<u32, Instrument>>>,
    pub(crate) recovery: Recovery,
    pub(crate) first_sequence: u64,
    pub(crate) transport: transport::Kind,
}

impl Recorder {
    /// Starts all threads. `venues` are those that the settings may name.
    pub fn start(settings: Settings, venues: &[Arc<dyn Venue>]) -> Result<Recorder, StartError> {
        let tls = client_config(&settings.certificate_files).map_err(StartError::Settings)?;
        let transport = choose_transport(settings.threads.transport)?;
        let (sender, events) = events();
        let options = LogOptions { segment_bytes: settings.log.segment_bytes, ..LogOptions::default() };
        let (log, recovery) = Log::open(&settings.data_dir, options)?;
        announce_recovery(&sender, &settings.data_dir, &recovery);
        let mut registry = log.registry().clone();
        let client = RestClient::new(&tls);
        let prepared = prepare(&settings, venues, &client, &mut registry, &sender)?;
        let ends = resume(&settings.data_dir, &prepared, &sender);
        Builder { settings, tls, transport, sender, prepared, registry, ends, log }.spawn(events, recovery)
    }

    /// Which interface carries sockets and files.
    pub fn transport(&self) -> transport::Kind {
        self.transport
    }

    /// What opening the log found.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The capture sequence of the first record of this run.
    pub fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// The log lines.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// The instruments recorded now, by id.
    pub fn instruments(&self) -> BTreeMap<u32, Instrument> {
        lock(&self.instruments).clone()
    }

    /// How everything is now; numbers are at most a few tens of milliseconds old.
    pub fn status(&self) -> Status {
        let mut normalisers = NormaliserStatistics::default();
        for slot in &self.stage_statistics {
            merge(&mut normalisers, &lock(slot));
        }
        Status {
            connections: lock(&self.known).iter().map(Known::status).collect(),
            dropped: self.dropped.iter().map(|counter| counter.load(Ordering::Relaxed)).sum(),
            normalisers,
            writer: lock(&self.writer_statistics).clone(),
            maintenance: self.maintenance.as_ref().map(MaintenanceThread::statistics).unwrap_or_default(),
            io_cpu_ns: self.io_statistics.iter().map(|slot| *lock(slot)).sum(),
            rest: (
                self.control.requests.load(Ordering::Relaxed),
                self.control.failures.load(Ordering::Relaxed),
            ),
        }
    }

    /// Whether the writer still runs. Without it nothing is recorded.
    pub fn is_writing(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| !writer.is_finished())
    }

    /// Waits until no frame has come for `quiet` and everything received is written; false after `limit`.
    pub fn wait_until_quiet(&self, quiet: Duration, limit: Duration) -> bool {
        let start = Instant::now();
        let (mut last, mut since) = (u64::MAX, Instant::now());
        while start.elapsed() < limit {
            let status = self.status();
            let counts = &status.normalisers.counts;
            let passed: u64 = counts.records.iter().sum();
            // Snapshots of books go on while nothing comes.
            let progress = status.frames() + passed - counts.derived;
            if progress != last {
                (last, since) = (progress, Instant::now());
            }
            if since.elapsed() >= quiet {
                return self.wait_until_written(passed, start + limit);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Waits until so many records are written.
    fn wait_until_written(&self, records: u64, until: Instant) -> bool {
        while self.status().writer.captured_records() < records {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// Stops in the order of the data: sockets, normalisers, writer. Everything read is written.
    pub fn stop(mut self) -> Ending {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Ending {
        let mut ending = Ending::default();
        let _ = self.stop.send(true);
        // Before the writer ends, which holds the log's lock.
        if self.maintenance.take().is_some_and(|maintenance| maintenance.stop().is_err()) {
            ending.problems.push("thread maintenance panicked".into());
        }
        for thread in self.capture.drain(..).chain(self.stages.drain(..)) {
            let name = thread.thread().name().unwrap_or("a thread").to_owned();
            if thread.join().is_err() {
                ending.problems.push(format!("thread {name} panicked"));
            }
        }
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(Ok((records, bytes)))) => (ending.records, ending.bytes) = (records, bytes),
            Some(Ok(Err(error))) => ending.problems.push(error.to_string()),
            Some(Err(_)) => ending.problems.push("thread writer panicked".into()),
            None => {}
        }
        ending
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl Known {
    fn status(&self) -> ConnectionStatus {
        let counters = &self.counters;
        ConnectionStatus {
            id: self.id,
            label: self.label.clone(),
            streams: self.streams.load(Ordering::Relaxed),
            is_open: counters.is_open.load(Ordering::Relaxed),
            is_subscribed: counters.is_subscribed.load(Ordering::Relaxed),
            frames: counters.frames.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            unparsed: counters.unparsed.load(Ordering::Relaxed),
            general: counters.general.load(Ordering::Relaxed),
            connects: counters.connects.load(Ordering::Relaxed),
        }
    }
}

fn merge(all: &mut NormaliserStatistics, one: &NormaliserStatistics) {
    let add_to = |to: &mut [u64], from: &[u64]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    add_to(&mut all.counts.records, &one.counts.records);
    add_to(&mut all.counts.gaps, &one.counts.gaps);
    all.counts.duplicates += one.counts.duplicates;
    all.counts.snapshots_used += one.counts.snapshots_used;
    all.counts.snapshots_unused += one.counts.snapshots_unused;
    all.counts.books_lost += one.counts.books_lost;
    all.counts.books_crossed += one.counts.books_crossed;
    all.verified_checksums += one.verified_checksums;
    all.counts.derived += one.counts.derived;
    all.book_memory_bytes += one.book_memory_bytes;
    all.books = (all.books.0 + one.books.0, all.books.1 + one.books.1);
    all.silent_streams += one.silent_streams;
    all.tops.extend_from_slice(&one.tops);
    all.cpu_ns += one.cpu_ns;
    let _ = all.latency.add::<&Histogram<u64>>(&one.latency);
}

fn choose_transport(choice: TransportChoice) -> Result<transport::Kind, StartError> {
    match (choice, transport::Kind::detect()) {
        (TransportChoice::Epoll, _) => Ok(transport::Kind::Epoll),
        (TransportChoice::IoUring, transport::Kind::Epoll) => Err(StartError::System(
            "io_uring is not allowed here (see /proc/sys/kernel/io_uring_disabled, or a seccomp filter); \
             set transport = \"auto\" or \"epoll\""
                .into(),
        )),
        (_, found) => Ok(found),
    }
}

fn announce_recovery(events: &EventSender, data_dir: &Path, recovery: &Recovery) {
    for cut in &recovery.cuts {
        let text = format!(
            "{}: a torn tail of {} bytes was cut; every whole batch before it is kept",
            cut.path.display(),
            cut.cut_bytes
        );
        events.send(Severity::Warning, text);
    }
    let (segments, instruments) = (recovery.segments, recovery.instruments);
    let text = format!("log {}: {segments} segments and {instruments} instruments found", data_dir.display());
    events.send(Severity::Info, text);
}

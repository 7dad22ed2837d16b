//! The recorder: puts the threads together, tells how they are, and stops them in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytemuck::Zeroable;
use hdrhistogram::Histogram;
use marketprism_core::clock::{NS_PER_MS, monotonic_ns, wall_ns};
use marketprism_core::instrument::{Instrument, Registry};
use marketprism_core::record::{Body, Header, Kind, Record, Session as SessionRecord, SessionEvent, Sink};
use marketprism_core::ring::{Doorbell, LineConsumer, Waiter, ring, wakeup};
use marketprism_core::venue::{Market, Venue};
use marketprism_log::{Log, LogError, LogOptions, Recovery};
use tokio::sync::{mpsc, watch};

use crate::control::{self, Control, ControlCounters, ControlledMarket, fetch_instruments};
use crate::governor::Governor;
use crate::io::{self, Connection, IoContext};
use crate::normaliser::Normaliser;
use crate::outlet::{Lane, Outlet};
use crate::plan::{Plan, plan};
use crate::rest::{RestClient, RestMarket};
use crate::session::Session;
use crate::settings::{Settings, Source, TransportChoice};
use crate::stage::Stage;
use crate::telemetry::*;
use crate::tls::client_config;
use crate::transport::{self, Endpoint};
use crate::writer::Writer;

/// Lines of a ring from an I/O thread to a normaliser (4 MiB).
const IO_RING_LINES: usize = 64 * 1024;
/// Lines of the ring from control to a normaliser (1 MiB).
const CONTROL_RING_LINES: usize = 16 * 1024;
/// Lines of a ring from a normaliser to the writer (16 MiB).
const WRITER_RING_LINES: usize = 256 * 1024;
/// Instruments that may wait for their turn to be asked for.
const WANTED_QUEUE: usize = 4096;
/// The definitions are waited for this long at the start; capture does not depend on them.
const DEFINITIONS_LIMIT: Duration = Duration::from_secs(5);

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
    /// Records dropped by I/O threads because a ring stayed full.
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

/// What is known of a connection without asking its thread.
struct Known {
    id: u32,
    label: String,
    streams: usize,
    counters: Arc<ConnectionCounters>,
}

/// A running recorder. Dropping it stops it.
pub struct Recorder {
    stop: watch::Sender<bool>,
    capture: Vec<JoinHandle<()>>,
    stages: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<Result<(u64, u64), LogError>>>,
    known: Vec<Known>,
    io_statistics: Vec<Arc<Mutex<u64>>>,
    stage_statistics: Vec<Arc<Mutex<NormaliserStatistics>>>,
    writer_statistics: Arc<Mutex<WriterStatistics>>,
    control: Arc<ControlCounters>,
    events: Events,
    instruments: BTreeMap<u32, Instrument>,
    recovery: Recovery,
    first_sequence: u64,
    transport: transport::Kind,
}

/// One source with everything that was found out about it.
struct Prepared {
    venue: Arc<dyn Venue>,
    market: &'static Market,
    plan: Plan,
    instruments: BTreeMap<u32, Instrument>,
    market_instrument: u32,
    websocket: Vec<Endpoint>,
    rest: RestMarket,
    definitions_missing: bool,
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
        Builder { settings, tls, transport, sender, prepared, registry, log }.spawn(events, recovery)
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

    /// The instruments recorded, by id.
    pub fn instruments(&self) -> &BTreeMap<u32, Instrument> {
        &self.instruments
    }

    /// How everything is now; numbers are at most a few tens of milliseconds old.
    pub fn status(&self) -> Status {
        let mut normalisers = NormaliserStatistics::default();
        for slot in &self.stage_statistics {
            merge(&mut normalisers, &lock(slot));
        }
        Status {
            connections: self.known.iter().map(Known::status).collect(),
            dropped: self.known.iter().map(|known| known.counters.dropped.load(Ordering::Relaxed)).max().unwrap_or(0),
            normalisers,
            writer: lock(&self.writer_statistics).clone(),
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
            let passed: u64 = status.normalisers.counts.records.iter().sum();
            let progress = status.frames() + passed + status.writer.records;
            if progress != last {
                (last, since) = (progress, Instant::now());
            }
            if since.elapsed() >= quiet && status.writer.records == passed {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Stops in the order of the data: sockets, normalisers, writer. Everything read is written.
    pub fn stop(mut self) -> Ending {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Ending {
        let mut ending = Ending::default();
        let _ = self.stop.send(true);
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
            streams: self.streams,
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
    all.books = (all.books.0 + one.books.0, all.books.1 + one.books.1);
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

/// Fetches definitions and plans the connections of every source.
fn prepare(
    settings: &Settings,
    venues: &[Arc<dyn Venue>],
    client: &RestClient,
    registry: &mut Registry,
    events: &EventSender,
) -> Result<Vec<Prepared>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StartError::System(format!("cannot start a runtime: {error}")))?;
    let mut prepared = Vec::new();
    for source in &settings.sources {
        prepared.push(runtime.block_on(prepare_source(source, venues, client, registry, events))?);
    }
    if prepared.is_empty() {
        return Err(StartError::Settings("nothing to record: no market is configured".into()));
    }
    Ok(prepared)
}

async fn prepare_source(
    source: &Source,
    venues: &[Arc<dyn Venue>],
    client: &RestClient,
    registry: &mut Registry,
    events: &EventSender,
) -> Result<Prepared, StartError> {
    let settings = StartError::Settings;
    let venue = venues.iter().find(|venue| venue.name() == source.venue);
    let venue = venue.ok_or_else(|| settings(format!("unknown venue \"{}\"", source.venue)))?;
    let market = venue.market(&source.market);
    let market = market.ok_or_else(|| settings(format!("{} has no market \"{}\"", source.venue, source.market)))?;
    let websocket = endpoints(&source.websocket, market.websocket)?;
    let rest = RestMarket::new(client.clone(), market, endpoints(&source.rest, market.rest)?);
    let label = format!("{}/{}", source.venue, source.market);

    let fetch = fetch_instruments(&**venue, market, &rest);
    let definitions = match tokio::time::timeout(DEFINITIONS_LIMIT, fetch).await {
        Ok(Ok((definitions, problems))) => {
            problems.into_iter().for_each(|problem| events.send(Severity::Warning, format!("{label}: {problem}")));
            Some(definitions)
        }
        Ok(Err(error)) => {
            events.send(Severity::Warning, format!("{label}: no definitions yet, capture starts without: {error}"));
            None
        }
        Err(_) => {
            events.send(Severity::Warning, format!("{label}: no definitions yet, capture starts without"));
            None
        }
    };
    let definitions_missing = definitions.is_none();
    let instruments = select(source, definitions, registry, events)?;
    let (market_instrument, _) = registry.define(Instrument::market(&source.venue, &source.market));
    let chosen: Vec<&Instrument> = instruments.values().collect();
    let plan = plan(&**venue, market, &source.channels, &chosen).map_err(|error| settings(format!("{label}: {error}")))?;
    Ok(Prepared {
        venue: Arc::clone(venue),
        market,
        plan,
        instruments,
        market_instrument,
        websocket,
        rest,
        definitions_missing,
    })
}

fn endpoints(configured: &[String], built_in: &[&str]) -> Result<Vec<Endpoint>, StartError> {
    let addresses: Vec<&str> =
        if configured.is_empty() { built_in.to_vec() } else { configured.iter().map(String::as_str).collect() };
    addresses.into_iter().map(|address| Endpoint::parse(address).map_err(StartError::Settings)).collect()
}

/// The instruments that a source names, with their ids.
fn select(
    source: &Source,
    definitions: Option<Vec<Instrument>>,
    registry: &mut Registry,
    events: &EventSender,
) -> Result<BTreeMap<u32, Instrument>, StartError> {
    let mut by_symbol: BTreeMap<String, Instrument> = BTreeMap::new();
    let known = definitions.is_some();
    for definition in definitions.unwrap_or_default() {
        by_symbol.insert(definition.venue_symbol.clone(), definition);
    }
    let mut selected = BTreeMap::new();
    for symbol in &source.symbols {
        let held = || {
            let id = registry.find(&source.venue, &source.market, symbol)?;
            registry.get(id).cloned()
        };
        let definition = match by_symbol.remove(symbol) {
            Some(definition) => definition,
            None if known => {
                let text = format!("{}/{}: no instrument \"{symbol}\"; it is left out", source.venue, source.market);
                events.send(Severity::Error, text);
                continue;
            }
            None => held().unwrap_or_else(|| Instrument::unknown(&source.venue, &source.market, symbol)),
        };
        let (id, _) = registry.define(definition);
        if let Some(instrument) = registry.get(id) {
            selected.insert(id, instrument.clone());
        }
    }
    if selected.is_empty() {
        let text = format!("{}/{}: none of the configured symbols exists", source.venue, source.market);
        return Err(StartError::Settings(text));
    }
    Ok(selected)
}

/// Everything that is needed to start the threads.
struct Builder {
    settings: Settings,
    tls: Arc<rustls::ClientConfig>,
    transport: transport::Kind,
    sender: EventSender,
    prepared: Vec<Prepared>,
    registry: Registry,
    log: Log,
}

/// The rings of a mesh: what each producer writes to, what each consumer reads from.
struct Mesh {
    outlets: Vec<Outlet>,
    inputs: Vec<Vec<LineConsumer>>,
}

/// Connects `producers` to every consumer; `lines(p)` is the size of the rings of producer `p`.
fn mesh(producers: usize, doorbells: &[Doorbell], lines: impl Fn(usize) -> usize) -> Mesh {
    let mut inputs: Vec<Vec<LineConsumer>> = doorbells.iter().map(|_| Vec::new()).collect();
    let outlets = (0..producers)
        .map(|producer| {
            let lanes = doorbells.iter().zip(&mut inputs).map(|(doorbell, inputs)| {
                let (write, read) = ring(lines(producer));
                inputs.push(read);
                Lane::new(write, doorbell.clone())
            });
            Outlet::new(lanes.collect())
        })
        .collect();
    Mesh { outlets, inputs }
}

impl Builder {
    fn spawn(self, events: Events, recovery: Recovery) -> Result<Recorder, StartError> {
        let threads = self.settings.threads.clone();
        let (io_count, stage_count) = (threads.io.clamp(1, 64), threads.normalisers.clamp(1, 64));
        let (stop, stop_receiver) = watch::channel(false);
        let (wanted_sender, wanted) = mpsc::channel(WANTED_QUEUE);

        let (waiters, doorbells): (Vec<Waiter>, Vec<Doorbell>) =
            (0..stage_count).map(|_| wakeup(threads.wait)).unzip();
        // The I/O threads, and control as the last producer.
        let lines = |producer: usize| if producer < io_count { IO_RING_LINES } else { CONTROL_RING_LINES };
        let mut capture_mesh = mesh(io_count + 1, &doorbells, lines);
        let (writer_waiter, writer_doorbell) = wakeup(threads.wait);
        let mut writer_mesh = mesh(stage_count, &[writer_doorbell], |_| WRITER_RING_LINES);

        let mut control_outlet = capture_mesh.outlets.pop().unwrap_or_else(|| Outlet::new(vec![]));
        self.announce_start(&mut control_outlet);
        let (connections, known) = self.connections(io_count);
        let instruments: BTreeMap<u32, Instrument> =
            self.prepared.iter().flat_map(|source| source.instruments.clone()).collect();

        let first_sequence = self.log.next_sequence();
        let (published, writer_statistics) = Published::new(WriterStatistics::default());
        let writer_inputs = writer_mesh.inputs.pop().unwrap_or_default();
        let normalisers = self.normalisers(stage_count);
        let writer = Writer::new(
            self.log,
            self.registry.clone(),
            self.settings.log.clone(),
            self.transport,
            writer_inputs,
            writer_waiter,
            self.sender.clone(),
            published,
        );
        let writer = spawn_writer(writer, self.transport, threads.writer_core)?;

        let mut stages = Vec::new();
        let mut stage_statistics = Vec::new();
        let parts = normalisers.into_iter().zip(capture_mesh.inputs).zip(waiters).zip(writer_mesh.outlets);
        for (index, (((normaliser, inputs), waiter), outlet)) in parts.enumerate() {
            let (published, slot) = Published::new(NormaliserStatistics::default());
            stage_statistics.push(slot);
            let stage = Stage { normaliser, inputs, outlet, waiter, wanted: wanted_sender.clone(), published };
            let core = threads.normaliser_cores.get(index).copied();
            stages.push(spawn(format!("normaliser-{index}"), core, move || stage.run())?);
        }
        drop(wanted_sender);

        let mut capture = Vec::new();
        let mut io_statistics = Vec::new();
        for (index, (connections, outlet)) in connections.into_iter().zip(capture_mesh.outlets).enumerate() {
            let context = IoContext {
                transport: self.transport,
                tls: Arc::clone(&self.tls),
                stop: stop_receiver.clone(),
                events: self.sender.clone(),
            };
            let (published, slot) = Published::new(0);
            io_statistics.push(slot);
            let core = threads.io_cores.get(index).copied();
            let transport = self.transport;
            capture.push(spawn(format!("io-{index}"), core, move || {
                block_on(transport, io::run(context, connections, outlet, published));
            })?);
        }
        let control_counters = Arc::new(ControlCounters::default());
        let control = Control {
            markets: self.prepared.into_iter().map(Prepared::controlled).collect(),
            outlet: control_outlet,
            wanted,
            registry: self.registry,
            events: self.sender,
            counters: Arc::clone(&control_counters),
            stop: stop_receiver,
        };
        capture.push(spawn("control".into(), None, move || {
            block_on(transport::Kind::Epoll, control::run(control));
        })?);

        Ok(Recorder {
            stop,
            capture,
            stages,
            writer: Some(writer),
            known,
            io_statistics,
            stage_statistics,
            writer_statistics,
            control: control_counters,
            events,
            instruments,
            recovery,
            first_sequence,
            transport: self.transport,
        })
    }

    /// One record for each market that says that recording began, and how.
    fn announce_start(&self, outlet: &mut Outlet) {
        for source in &self.prepared {
            let detail = serde_json::json!({
                "version": env!("CARGO_PKG_VERSION"),
                "transport": self.transport.name(),
                "instruments": source.instruments.len(),
            });
            let body = detail.to_string();
            let record = SessionRecord {
                header: Header::new(Kind::Session, source.market_instrument, wall_ns()),
                body: Body { start: 0, bytes: body.len() as u32 },
                event: SessionEvent::Started as u8,
                ..Zeroable::zeroed()
            };
            outlet.append(record.lines(), body.as_bytes());
        }
    }

    /// The connections of each I/O thread, dealt out in turn.
    fn connections(&self, io_count: usize) -> (Vec<Vec<Connection>>, Vec<Known>) {
        let mut by_thread: Vec<Vec<Connection>> = (0..io_count).map(|_| Vec::new()).collect();
        let mut known = Vec::new();
        for source in &self.prepared {
            let window_ns = 300_000 * NS_PER_MS;
            let governor = Arc::new(Mutex::new(Governor::new(source.market.connects_per_5_minutes, window_ns)));
            let symbols = self.registry.symbols(source.venue.name(), source.market.name);
            for planned in &source.plan.connections {
                let id = known.len() as u32 + 1;
                let counters = Arc::new(ConnectionCounters::default());
                let label = format!("{}/{}", source.venue.name(), source.market.name);
                known.push(Known {
                    id,
                    label: label.clone(),
                    streams: planned.streams.len(),
                    counters: Arc::clone(&counters),
                });
                let seed = monotonic_ns() as u64 ^ u64::from(id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                by_thread[(id as usize - 1) % io_count].push(Connection {
                    id,
                    label,
                    market_instrument: source.market_instrument,
                    endpoints: source.websocket.clone(),
                    path: source.venue.websocket_path(source.market, planned.route),
                    streams: planned.streams.clone(),
                    session: Session::new(
                        &*source.venue,
                        source.market,
                        &planned.streams,
                        source.websocket.len(),
                        seed,
                    ),
                    decoder: source.venue.decoder(source.market, symbols.clone()),
                    governor: Arc::clone(&governor),
                    counters,
                });
            }
        }
        (by_thread, known)
    }

    /// The normalisers, each with the books of its instruments.
    fn normalisers(&self, count: usize) -> Vec<Normaliser> {
        let mut normalisers: Vec<Normaliser> = (0..count).map(|_| Normaliser::new()).collect();
        for source in &self.prepared {
            for book in &source.plan.books {
                normalisers[*book as usize % count].track_book(*book, source.market.continuity);
            }
        }
        normalisers
    }
}

impl Prepared {
    fn controlled(self) -> ControlledMarket {
        ControlledMarket {
            venue: self.venue,
            market: self.market,
            rest: self.rest,
            instruments: self.instruments,
            polls: self.plan.polls,
            definitions_missing: self.definitions_missing,
        }
    }
}

fn spawn_writer(
    writer: Writer,
    transport: transport::Kind,
    core: Option<usize>,
) -> Result<JoinHandle<Result<(u64, u64), LogError>>, StartError> {
    spawn("writer".into(), core, move || block_on(transport, writer.run()))
}

/// Starts a named thread, pinned where a core is given.
fn spawn<T: Send + 'static>(
    name: String,
    core: Option<usize>,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    let pinned = move || {
        if let Some(id) = core {
            core_affinity::set_for_current(core_affinity::CoreId { id });
        }
        body()
    };
    std::thread::Builder::new()
        .name(name.clone())
        .spawn(pinned)
        .map_err(|error| StartError::System(format!("cannot start thread {name}: {error}")))
}

/// Runs a future to its end on this thread, over io_uring or epoll.
fn block_on<F: Future>(transport: transport::Kind, future: F) -> F::Output {
    match transport {
        transport::Kind::IoUring => tokio_uring::builder().entries(256).start(future),
        transport::Kind::Epoll => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(future),
            Err(error) => panic!("cannot make a runtime on a thread that just started: {error}"),
        },
    }
}

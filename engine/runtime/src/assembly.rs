//! Putting the threads together: rings, doorbells, who owns what.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytemuck::Zeroable;
use marketprism_core::clock::wall_ns;
use marketprism_core::instrument::{Instrument, InstrumentId, Registry};
use marketprism_core::record::{Body, Header, Kind, Record, Session as SessionRecord, SessionEvent, Sink};
use marketprism_core::ring::{Doorbell, LineConsumer, Waiter, ring, wakeup};
use marketprism_log::{Log, Recovery, Retention, StreamEnd};
use tokio::sync::{Notify, mpsc, watch};

use crate::control::{self, Control, ControlCounters, ControlledMarket};
use crate::io::{self, IoContext};
use crate::lines::Dispatcher;
use crate::maintenance::MaintenanceThread;
use crate::normaliser::{Normaliser, SnapshotCadence, Told};
use crate::outlet::{Lane, Outlet};
use crate::prepare::{Prepared, expected_streams, tracked_books};
use crate::recorder::{Recorder, StartError, WriterThread};
use crate::settings::{LogSettings, RawCapture, Settings};
use crate::silence::SilenceCheck;
use crate::stage::Stage;
use crate::telemetry::*;
use crate::transport;
use crate::writer::Writer;

/// Lines of a ring from an I/O thread to a normaliser (4 MiB).
const IO_RING_LINES: usize = 64 * 1024;
/// Lines of the ring from control to a normaliser (1 MiB).
const CONTROL_RING_LINES: usize = 16 * 1024;
/// Lines of a ring from a normaliser to the writer (16 MiB).
const WRITER_RING_LINES: usize = 256 * 1024;
/// Length of a turn on the core that the threads ask for: the shortest that the kernel gives.
const SLICE_NS: u64 = 100_000;
/// Instruments that may wait for their turn to be asked for.
const WANTED_QUEUE: usize = 4096;
/// Holes that may wait to have their frames kept.
const HOLES: usize = 1024;
/// Connections that may wait to be taken by an I/O thread.
const ARRIVALS: usize = 4096;
/// Commands that may wait for a normaliser.
const STAGE_COMMANDS: usize = 1024;
/// Notices of connections that may wait for control.
const NOTICES: usize = 4096;

/// Everything that is needed to start the threads.
pub(crate) struct Builder {
    pub(crate) settings: Settings,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) transport: transport::Kind,
    pub(crate) sender: EventSender,
    pub(crate) prepared: Vec<Prepared>,
    pub(crate) registry: Registry,
    pub(crate) ends: BTreeMap<(u32, Kind), StreamEnd>,
    pub(crate) log: Log,
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
    pub(crate) fn spawn(self, events: Events, recovery: Recovery) -> Result<Recorder, StartError> {
        let threads = self.settings.threads.clone();
        let (io_count, stage_count) = (threads.io.clamp(1, 64), threads.normalisers.clamp(1, 64));
        let (stop, stop_receiver) = watch::channel(false);
        let (wanted_sender, wanted) = mpsc::channel(WANTED_QUEUE);
        let (hole_sender, holes) = mpsc::channel(HOLES);

        let (waiters, doorbells): (Vec<Waiter>, Vec<Doorbell>) =
            (0..stage_count).map(|_| wakeup(threads.wait)).unzip();
        // The I/O threads, and control as the last producer.
        let lines = |producer: usize| if producer < io_count { IO_RING_LINES } else { CONTROL_RING_LINES };
        let mut capture_mesh = mesh(io_count + 1, &doorbells, lines);
        let (writer_waiter, writer_doorbell) = wakeup(threads.wait);
        let mut writer_mesh = mesh(stage_count, &[writer_doorbell], |_| WRITER_RING_LINES);

        let outlets = capture_mesh.outlets.iter().chain(&writer_mesh.outlets);
        let dropped = outlets.map(Outlet::dropped_counter).collect();
        let mut control_outlet = capture_mesh.outlets.pop().unwrap_or_else(|| Outlet::new(vec![]));
        self.announce_start(&mut control_outlet);
        let instruments: BTreeMap<u32, Instrument> =
            self.prepared.iter().flat_map(|market| market.instruments.clone()).collect();

        let first_sequence = self.log.next_sequence();
        let (published, writer_statistics) = Published::new(WriterStatistics::default());
        let writer_inputs = writer_mesh.inputs.pop().unwrap_or_default();
        let openings = self.openings(stage_count);
        let kept = self.prepared.iter().filter(|market| market.line.raw == RawCapture::All);
        let kept_markets: Vec<InstrumentId> = kept.map(|market| market.line.instrument).collect();
        let cadence = self.cadence();
        let checks: Vec<SilenceCheck> =
            (0..stage_count).map(|index| self.silence_check(stage_count, index)).collect();
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
        let maintenance = start_maintenance(&self.settings, &self.sender)?;

        let mut stages = Vec::new();
        let mut stage_commands = Vec::new();
        let mut stage_statistics = Vec::new();
        let parts = openings.into_iter().zip(checks).zip(capture_mesh.inputs).zip(waiters);
        let parts = parts.zip(writer_mesh.outlets);
        for (index, ((((opening, silence), inputs), waiter), outlet)) in parts.enumerate() {
            let (published, slot) = Published::new(NormaliserStatistics::default());
            stage_statistics.push(slot);
            let (commands, inbox) = crossbeam::channel::bounded(STAGE_COMMANDS);
            stage_commands.push(commands);
            let stage = Stage {
                normaliser: Normaliser::with_snapshots(cadence),
                opening,
                kept_markets: kept_markets.clone(),
                inputs,
                outlet,
                dropped: 0,
                waiter,
                wanted: wanted_sender.clone(),
                holes: hole_sender.clone(),
                commands: inbox,
                silence,
                events: self.sender.clone(),
                published,
            };
            let core = threads.normaliser_cores.get(index).copied();
            stages.push(spawn(format!("normaliser-{index}"), core, move || stage.run())?);
        }
        drop((wanted_sender, hole_sender));

        let mut capture = Vec::new();
        let mut io_statistics = Vec::new();
        let mut io_threads = Vec::new();
        for (index, outlet) in capture_mesh.outlets.into_iter().enumerate() {
            let context = IoContext {
                transport: self.transport,
                tls: Arc::clone(&self.tls),
                stop: stop_receiver.clone(),
                events: self.sender.clone(),
            };
            let (published, slot) = Published::new(0);
            io_statistics.push(slot);
            let (arrive, arrivals) = mpsc::channel(ARRIVALS);
            io_threads.push(arrive);
            let core = threads.io_cores.get(index).copied();
            let transport = self.transport;
            capture.push(spawn(format!("io-{index}"), core, move || {
                block_on(transport, io::run(context, arrivals, outlet, published));
            })?);
        }
        let (notices, inbox) = mpsc::channel(NOTICES);
        let known = Arc::default();
        let dispatcher = Dispatcher { threads: io_threads, known: Arc::clone(&known), notices };
        let markets = self.prepared.into_iter().map(|market| controlled(market, &dispatcher, &self.registry));
        let markets = markets.collect::<Result<_, _>>()?;
        let instruments = Arc::new(Mutex::new(instruments));
        let control_counters = Arc::new(ControlCounters::default());
        let control = Control {
            markets,
            outlet: control_outlet,
            wanted,
            holes,
            notices: inbox,
            dispatcher,
            stages: stage_commands,
            registry: self.registry,
            instruments: Arc::clone(&instruments),
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
            maintenance,
            known,
            dropped,
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
        for market in &self.prepared {
            let detail = serde_json::json!({
                "version": env!("CARGO_PKG_VERSION"),
                "transport": self.transport.name(),
                "instruments": market.instruments.len(),
            });
            let body = detail.to_string();
            let record = SessionRecord {
                header: Header::new(Kind::Session, market.line.instrument, wall_ns()),
                body: Body { start: 0, bytes: body.len() as u32 },
                event: SessionEvent::Started as u8,
                ..Zeroable::zeroed()
            };
            outlet.append(record.lines(), body.as_bytes());
        }
    }

    fn cadence(&self) -> SnapshotCadence {
        let books = self.settings.books;
        SnapshotCadence {
            interval_ns: i64::try_from(books.snapshot_interval.as_nanos()).unwrap_or(i64::MAX),
            levels: books.snapshot_levels,
        }
    }

    /// What each of `count` normalisers is told first: the books of its instruments, and where their streams ended.
    fn openings(&self, count: usize) -> Vec<Vec<Told>> {
        let mut openings: Vec<Vec<Told>> = vec![vec![]; count];
        for market in &self.prepared {
            for book in tracked_books(market.line.market, &market.needs) {
                openings[book.instrument as usize % count].push(Told::Track(book));
            }
        }
        for ((instrument, kind), end) in &self.ends {
            openings[*instrument as usize % count].push(Told::resume(*instrument, *kind, *end));
        }
        openings
    }

    /// What one of `count` normalisers expects to come.
    fn silence_check(&self, count: usize, index: usize) -> SilenceCheck {
        let mut check = SilenceCheck::default();
        for market in &self.prepared {
            let expected = expected_streams(&market.line.label(), &market.needs, &market.instruments);
            let own = expected.into_iter().filter(|stream| stream.instrument as usize % count == index);
            check.expect(own, wall_ns());
        }
        check
    }
}

/// Opens a market's connections and gives the rest to control.
fn controlled(
    market: Prepared,
    dispatcher: &Dispatcher,
    registry: &Registry,
) -> Result<ControlledMarket, StartError> {
    let Prepared { line, rest, sources, instruments, needs, connections, definitions_missing } = market;
    let symbols = registry.symbols(line.venue.name(), line.market.name);
    let mut lines = Vec::new();
    for planned in connections {
        let Some(opened) = dispatcher.open(&line, planned, symbols.clone()) else {
            return Err(StartError::System(format!("{}: too many connections", line.label())));
        };
        lines.push(opened);
    }
    let books = tracked_books(line.market, &needs).iter().map(|book| book.instrument).collect();
    Ok(ControlledMarket {
        line,
        rest,
        sources,
        instruments: RefCell::new(instruments),
        books: RefCell::new(books),
        lines: RefCell::new(lines),
        polls: needs.polls,
        definitions_missing,
        changed: Notify::new(),
        snapshot_slots: ControlledMarket::snapshot_slots(),
    })
}

fn spawn_writer(
    writer: Writer,
    transport: transport::Kind,
    core: Option<usize>,
) -> Result<WriterThread, StartError> {
    spawn("writer".into(), core, move || block_on(transport, writer.run()))
}

/// The thread that compresses and removes segments, where the settings ask for it.
fn start_maintenance(
    settings: &Settings,
    events: &EventSender,
) -> Result<Option<MaintenanceThread>, StartError> {
    let LogSettings { compression, retention, .. } = settings.log;
    if !compression && retention == Retention::default() {
        return Ok(None);
    }
    let directory = settings.data_dir.clone();
    let started = MaintenanceThread::start(directory, compression, retention, events.clone());
    started.map(Some).map_err(|error| not_started("maintenance", &error))
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
        ask_for_short_slices();
        body()
    };
    std::thread::Builder::new().name(name.clone()).spawn(pinned).map_err(|error| not_started(&name, &error))
}

fn not_started(name: &str, error: &std::io::Error) -> StartError {
    StartError::System(format!("cannot start thread {name}: {error}"))
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

/// Asks the scheduler for short turns (Linux 6.12 and newer; older kernels leave things as they are): a thread that
/// asks for little is let in sooner when it wakes while others keep the cores busy.
fn ask_for_short_slices() {
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice: 0,
        priority: 0,
        runtime_ns: SLICE_NS,
        deadline_ns: 0,
        period_ns: 0,
    };
    // SAFETY: the call reads a valid struct of the size that it names, and changes only this thread's scheduling.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

//! Putting the threads together: rings, doorbells, who owns what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytemuck::Zeroable;
use marketprism_core::clock::{NS_PER_MS, monotonic_ns, wall_ns};
use marketprism_core::instrument::{Instrument, Registry};
use marketprism_core::record::{Body, Header, Kind, Record, Session as SessionRecord, SessionEvent, Sink};
use marketprism_core::ring::{Doorbell, LineConsumer, Waiter, ring, wakeup};
use marketprism_log::{Log, Recovery, StreamEnd};
use tokio::sync::{mpsc, watch};

use crate::control::{self, Control, ControlCounters};
use crate::governor::Governor;
use crate::io::{self, Connection, IoContext};
use crate::normaliser::Normaliser;
use crate::outlet::{Lane, Outlet};
use crate::prepare::{Prepared, expected_streams};
use crate::recorder::{Known, Recorder, StartError, WriterThread};
use crate::session::Session;
use crate::settings::Settings;
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

        let expected = expected_streams(&self.prepared);
        let mut stages = Vec::new();
        let mut stage_statistics = Vec::new();
        let parts = normalisers.into_iter().zip(capture_mesh.inputs).zip(waiters).zip(writer_mesh.outlets);
        for (index, (((normaliser, inputs), waiter), outlet)) in parts.enumerate() {
            let (published, slot) = Published::new(NormaliserStatistics::default());
            stage_statistics.push(slot);
            let expected = expected.iter().filter(|stream| stream.instrument as usize % stage_count == index);
            let stage = Stage {
                normaliser,
                inputs,
                outlet,
                dropped: 0,
                waiter,
                wanted: wanted_sender.clone(),
                silence: SilenceCheck::new(expected.cloned().collect(), wall_ns()),
                events: self.sender.clone(),
                published,
            };
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
            let governor =
                Arc::new(Mutex::new(Governor::new(source.market.connects_per_5_minutes, window_ns)));
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
        for ((instrument, kind), end) in &self.ends {
            normalisers[*instrument as usize % count].resume(*instrument, *kind, *end);
        }
        normalisers
    }
}

fn spawn_writer(
    writer: Writer,
    transport: transport::Kind,
    core: Option<usize>,
) -> Result<WriterThread, StartError> {
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
        ask_for_short_slices();
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

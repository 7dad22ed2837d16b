//! The I/O threads: each owns some connections, parses what they bring in place, and fills the rings.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytemuck::Zeroable;
use fastwebsockets::{FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocketError, WebSocketWrite};
use marketprism_core::clock::{monotonic_ns, wall_ns};
use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::*;
use marketprism_core::venue::{Decoder, Outcome, Stream};
use serde_json::json;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};

use crate::governor::Governor;
use crate::normaliser::Hole;
use crate::outlet::Outlet;
use crate::plan::names;
use crate::raw::{FrameKeeper, Kept};
use crate::session::{CloseReason, Milestone, Next, Session, Transmit};
use crate::telemetry::{ConnectionCounters, EventSender, Published, Severity, add, lock, thread_cpu_ns};
use crate::transport::{self, Endpoint, ReadStamp, Stamp, WebSocketStream};

/// The longest message that is accepted; a longer one ends the connection.
pub const MAX_FRAME_BYTES: usize = 8 << 20;
/// A close handshake is waited for at most this long.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);
/// Longest wait for the governor before it is asked again.
const GOVERNOR_STEP: Duration = Duration::from_secs(1);
/// Frames between two looks at the timers while data never pauses.
const FRAMES_PER_TIMER_CHECK: u32 = 1024;

/// One connection to keep up.
pub struct Connection {
    /// Number, from 1 in each run.
    pub id: u32,
    /// `venue/market`, for people.
    pub label: String,
    /// The instrument that stands for the market.
    pub market_instrument: InstrumentId,
    /// Addresses, first choice first.
    pub endpoints: Vec<Endpoint>,
    /// Path of the WebSocket.
    pub path: String,
    /// What it carries.
    pub streams: Vec<Stream>,
    /// Its state machine.
    pub session: Session,
    /// Its parser.
    pub decoder: Box<dyn Decoder>,
    /// The symbols that its parser knows from the beginning.
    pub symbols: Vec<(String, InstrumentId)>,
    /// Keeps frames verbatim.
    pub keeper: FrameKeeper,
    /// Meters connection attempts of the address.
    pub governor: Arc<Mutex<Governor>>,
    /// Its counters.
    pub counters: Arc<ConnectionCounters>,
    /// What control wants of it.
    pub commands: mpsc::Receiver<LineCommand>,
    /// Control hears here what concerns it.
    pub notices: mpsc::Sender<Notice>,
}

/// What a connection tells control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The venue says that instruments of this market changed.
    InstrumentsChanged(InstrumentId),
    /// Everything on the connection with this number is subscribed.
    Subscribed(u32),
}

/// What control wants of a connection while it runs.
#[derive(Debug)]
pub enum LineCommand {
    /// A new snapshot of this instrument's book, by subscribing it anew.
    SubscribeAgain(InstrumentId),
    /// More streams.
    Add(Vec<Stream>),
    /// More symbols that may come, with their instruments.
    Learn(Vec<(String, InstrumentId)>),
    /// Instruments that are no longer recorded.
    Remove(Vec<InstrumentId>),
    /// The frames around this hole are worth keeping.
    KeepAround(Hole),
}

/// What the connections of one thread share.
pub struct IoContext {
    /// Interface of the sockets.
    pub transport: transport::Kind,
    /// TLS settings.
    pub tls: Arc<rustls::ClientConfig>,
    /// Becomes true when the recorder stops.
    pub stop: watch::Receiver<bool>,
    /// Log lines.
    pub events: EventSender,
}

/// Runs the connections that arrive until the recorder stops.
pub async fn run(
    context: IoContext,
    mut arrivals: mpsc::Receiver<Connection>,
    outlet: Outlet,
    cpu_ns: Published<u64>,
) {
    let outlet = Rc::new(RefCell::new(outlet));
    let cpu_ns = Rc::new(RefCell::new(cpu_ns));
    let context = Rc::new(context);
    let mut stop = context.stop.clone();
    let tasks = tokio::task::LocalSet::new();
    tasks
        .run_until(async {
            loop {
                let connection = tokio::select! {
                    Some(connection) = arrivals.recv() => connection,
                    _ = stop.wait_for(|stop| *stop) => return,
                };
                let (context, outlet, cpu_ns) = (Rc::clone(&context), Rc::clone(&outlet), Rc::clone(&cpu_ns));
                tokio::task::spawn_local(async move {
                    Line { connection, context, outlet, cpu_ns }.keep_up().await;
                });
            }
        })
        .await;
    tasks.await;
}

/// One connection at work.
struct Line {
    connection: Connection,
    context: Rc<IoContext>,
    outlet: Rc<RefCell<Outlet>>,
    cpu_ns: Rc<RefCell<Published<u64>>>,
}

type Reader = FragmentCollectorRead<ReadHalf<WebSocketStream>>;
type Writer = WebSocketWrite<WriteHalf<WebSocketStream>>;

impl Line {
    async fn keep_up(mut self) {
        let mut stop = self.context.stop.clone();
        let symbols = std::mem::take(&mut self.connection.symbols);
        self.connection.keeper.begin(&symbols, &mut *self.outlet.borrow_mut());
        while !*stop.borrow() {
            match self.connection.session.next(monotonic_ns()) {
                Next::Wait(until) => {
                    let wait = Duration::from_nanos((until - monotonic_ns()).max(0) as u64);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        Some(command) = self.connection.commands.recv() => self.obey(command),
                        _ = stop.changed() => {}
                    }
                }
                Next::Connect(endpoint) => {
                    tokio::select! {
                        () = self.admitted() => {}
                        _ = stop.changed() => return,
                    }
                    let reason = self.live_once(endpoint).await;
                    self.ended(&reason);
                }
            }
        }
    }

    /// Waits until the venue's limit allows another connection attempt.
    async fn admitted(&self) {
        loop {
            let admitted = lock(&self.connection.governor).admit(monotonic_ns(), 1);
            let Err(later) = admitted else { return };
            let wait = Duration::from_nanos((later - monotonic_ns()).max(0) as u64);
            tokio::time::sleep(wait.min(GOVERNOR_STEP)).await;
        }
    }

    /// One connection from its opening to its end.
    async fn live_once(&mut self, endpoint: usize) -> CloseReason {
        let Some(endpoint) = self.connection.endpoints.get(endpoint).cloned() else {
            return CloseReason::ConnectFailed("no endpoint is configured".into());
        };
        let stamp: ReadStamp = Rc::new(Cell::new(Stamp::now()));
        let mut stop = self.context.stop.clone();
        let opened = tokio::select! {
            opened = transport::connect(
                self.context.transport, &endpoint, &self.connection.path, &self.context.tls, Rc::clone(&stamp),
            ) => opened,
            _ = stop.changed() => return CloseReason::Stopping,
        };
        let stream = match opened {
            Ok(stream) => stream,
            Err(why) => return CloseReason::ConnectFailed(why),
        };
        self.opened(&endpoint);
        let (read, write) = tokio::io::split(stream);
        let (mut reader, mut writer) = fastwebsockets::after_handshake_split(read, write, Role::Client);
        reader.set_auto_close(false);
        reader.set_auto_pong(false);
        reader.set_max_message_size(MAX_FRAME_BYTES);
        let mut reader = FragmentCollectorRead::new(reader);
        let reason = self.exchange(&mut reader, &mut writer, &stamp).await;
        let close = writer.write_frame(Frame::close(1000, b""));
        let _ = tokio::time::timeout(CLOSE_LIMIT, close).await;
        let _ = tokio::time::timeout(CLOSE_LIMIT, writer.flush()).await;
        reason
    }

    /// Reads and answers until there is a reason to stop.
    async fn exchange(&mut self, reader: &mut Reader, writer: &mut Writer, stamp: &ReadStamp) -> CloseReason {
        let mut stop = self.context.stop.clone();
        let mut frames_until_check = 0u32;
        loop {
            if frames_until_check == 0 {
                frames_until_check = FRAMES_PER_TIMER_CHECK;
                if let Some(reason) = self.attend(writer).await {
                    return reason;
                }
                if *stop.borrow() {
                    return CloseReason::Stopping;
                }
                tokio::task::yield_now().await;
            }
            frames_until_check -= 1;

            let mut no_send = |_: Frame<'_>| async { Ok::<(), std::io::Error>(()) };
            let mut reading = pin!(reader.read_frame(&mut no_send));
            // The usual case: the frame is in the buffer already, and no timer is needed.
            let ready = poll_fn(|cx| {
                Poll::Ready(match reading.as_mut().poll(cx) {
                    Poll::Ready(frame) => Some(frame),
                    Poll::Pending => None,
                })
            })
            .await;
            let frame = match ready {
                Some(frame) => frame,
                None => loop {
                    self.outlet.borrow_mut().ring();
                    if *stop.borrow() {
                        return CloseReason::Stopping;
                    }
                    let wait = self.connection.session.deadline().saturating_sub(monotonic_ns()).max(0);
                    tokio::select! {
                        biased;
                        frame = &mut reading => break frame,
                        _ = stop.changed() => {}
                        Some(command) = self.connection.commands.recv() => {
                            self.obey(command);
                            if let Some(reason) = self.attend(writer).await {
                                return reason;
                            }
                        }
                        () = tokio::time::sleep(Duration::from_nanos(wait as u64)) => {
                            if let Some(reason) = self.attend(writer).await {
                                return reason;
                            }
                        }
                    }
                },
            };
            match frame {
                Ok(frame) => {
                    if let Some(reason) = self.frame(frame, stamp.get(), &mut frames_until_check) {
                        return reason;
                    }
                }
                Err(error) => return self.read_failed(&error),
            }
        }
    }

    /// Timers, milestones, and what there is to send.
    async fn attend(&mut self, writer: &mut Writer) -> Option<CloseReason> {
        let now = monotonic_ns();
        self.outlet.borrow_mut().ring();
        self.publish_counts();
        while let Ok(command) = self.connection.commands.try_recv() {
            self.obey(command);
        }
        if let Some(reason) = self.connection.session.on_timer(now) {
            return Some(reason);
        }
        while let Some(milestone) = self.connection.session.poll_milestone() {
            self.milestone(milestone);
        }
        let mut sent = false;
        while let Some(transmit) = self.connection.session.poll_transmit(now) {
            let frame = match transmit {
                Transmit::Text(text) => Frame::text(Payload::Owned(text.into_bytes())),
                Transmit::Pong(payload) => Frame::pong(Payload::Owned(payload)),
            };
            if let Err(error) = writer.write_frame(frame).await {
                return Some(CloseReason::Socket(error.to_string()));
            }
            sent = true;
        }
        if sent && let Err(error) = writer.flush().await {
            return Some(CloseReason::Socket(error.to_string()));
        }
        None
    }

    fn obey(&mut self, command: LineCommand) {
        let connection = &mut self.connection;
        match command {
            LineCommand::SubscribeAgain(instrument) => {
                let book = |stream: &&Stream| stream.instrument == instrument && stream.carries_book();
                if let Some(stream) = connection.streams.iter().find(book) {
                    connection.session.subscribe_again(&stream.name);
                }
            }
            LineCommand::Add(streams) => {
                connection.session.add(names(&streams));
                connection.streams.extend(streams);
            }
            LineCommand::Learn(symbols) => {
                connection.keeper.learned(&symbols, &mut *self.outlet.borrow_mut());
                for (symbol, instrument) in symbols {
                    connection.decoder.learn(symbol.as_bytes(), instrument);
                }
            }
            LineCommand::Remove(instruments) => {
                let (gone, left): (Vec<Stream>, Vec<Stream>) = std::mem::take(&mut connection.streams)
                    .into_iter()
                    .partition(|stream| instruments.contains(&stream.instrument));
                let mut ended = names(&gone);
                ended.retain(|name| !left.iter().any(|stream| stream.name == *name));
                connection.streams = left;
                connection.session.remove(&ended);
            }
            LineCommand::KeepAround(hole) => {
                let outlet = &mut *self.outlet.borrow_mut();
                if connection.keeper.keep_around(&hole, &mut *connection.decoder, outlet) == Kept::Gone {
                    let (label, id) = (&connection.label, connection.id);
                    let text = format!(
                        "{label} #{id}: the frames around a hole ({hole}) are not kept: too many came since"
                    );
                    self.context.events.send(Severity::Warning, text);
                }
            }
        }
    }

    /// One frame. Sets `until_check` to 0 where the session has something to do.
    #[inline]
    fn frame(&mut self, frame: Frame<'_>, stamp: Stamp, until_check: &mut u32) -> Option<CloseReason> {
        match frame.opcode {
            OpCode::Text | OpCode::Binary => {
                let outlet = &mut *self.outlet.borrow_mut();
                let Connection { keeper, decoder, .. } = &mut self.connection;
                match keeper.decode(&mut **decoder, &frame.payload, stamp.wall_ns, outlet) {
                    Ok(Outcome::Data) => {
                        self.connection.counters.count(frame.payload.len());
                        self.connection.session.on_data(stamp.monotonic_ns);
                    }
                    Ok(outcome) => {
                        if outcome == Outcome::InstrumentsChanged {
                            self.tell(Notice::InstrumentsChanged(self.connection.market_instrument));
                        }
                        self.connection.session.on_outcome(outcome, monotonic_ns());
                        *until_check = 0;
                    }
                    Err(_) => {
                        self.connection.counters.count(frame.payload.len());
                        add(&self.connection.counters.unparsed, 1);
                        self.connection.session.on_data(stamp.monotonic_ns);
                    }
                }
                None
            }
            OpCode::Ping => {
                self.connection.session.on_ping(&frame.payload, monotonic_ns());
                *until_check = 0;
                None
            }
            OpCode::Close => Some(CloseReason::ByVenue(close_text(&frame.payload))),
            OpCode::Pong | OpCode::Continuation => None,
        }
    }

    fn read_failed(&self, error: &WebSocketError) -> CloseReason {
        match error {
            WebSocketError::UnexpectedEOF => {
                CloseReason::ByVenue("end of stream without a close frame".into())
            }
            WebSocketError::FrameTooLarge => {
                CloseReason::Socket(format!("a frame is longer than {MAX_FRAME_BYTES} bytes"))
            }
            other => CloseReason::Socket(other.to_string()),
        }
    }

    fn opened(&mut self, endpoint: &Endpoint) {
        let connection = &mut self.connection;
        connection.session.on_open(monotonic_ns());
        add(&connection.counters.connects, 1);
        connection.counters.is_open.store(true, Ordering::Relaxed);
        let streams = names(&connection.streams);
        let count = streams.len();
        let address = format!("{}{}{}", endpoint.authority(), endpoint.prefix, connection.path);
        let detail = json!({ "endpoint": address, "tls": endpoint.tls, "streams": streams });
        self.record_session(SessionEvent::Connected, &detail);
        let (label, id, count) = (&self.connection.label, self.connection.id, streams_text(count));
        self.context.events.send(Severity::Info, format!("{label} #{id}: connected to {address}, {count}"));
    }

    /// Control looks at everything now and then by itself; a notice that finds its queue full may be lost.
    fn tell(&self, notice: Notice) {
        let _ = self.connection.notices.try_send(notice);
    }

    fn milestone(&mut self, milestone: Milestone) {
        let (label, id) = (self.connection.label.clone(), self.connection.id);
        match milestone {
            Milestone::Subscribed => {
                self.connection.counters.is_subscribed.store(true, Ordering::Relaxed);
                self.record_session(
                    SessionEvent::Subscribed,
                    &json!({ "streams": names(&self.connection.streams).len() }),
                );
                self.context.events.send(Severity::Info, format!("{label} #{id}: subscribed"));
                self.tell(Notice::Subscribed(id));
            }
            Milestone::FellBack(reason) => {
                self.record_session(SessionEvent::Refused, &json!({ "reason": reason }));
                self.context.events.send(Severity::Warning, format!("{label} #{id}: {reason}"));
            }
            Milestone::Refused(reason) => {
                self.record_session(SessionEvent::Refused, &json!({ "reason": reason }));
                let text = format!("{label} #{id}: the venue refused a subscription: {reason}");
                self.context.events.send(Severity::Error, text);
            }
        }
    }

    /// The connection is gone: every stream of it is marked, so that holes and invalid books are known at once.
    fn ended(&mut self, reason: &CloseReason) {
        let was_open = self.connection.counters.is_open.swap(false, Ordering::Relaxed);
        self.connection.counters.is_subscribed.store(false, Ordering::Relaxed);
        self.connection.session.on_closed(reason, monotonic_ns());
        let (label, id) = (self.connection.label.clone(), self.connection.id);
        if was_open {
            self.record_session(SessionEvent::Disconnected, &json!({ "reason": reason.to_string() }));
            self.mark_interrupted();
        }
        self.outlet.borrow_mut().ring();
        self.publish_counts();
        let severity = match reason {
            CloseReason::Stopping | CloseReason::Rotation | CloseReason::ClosingNotice => Severity::Info,
            _ => Severity::Warning,
        };
        let failures = self.connection.session.failures();
        let again = if failures > 1 { format!(" (failure {failures} in a row)") } else { String::new() };
        self.context.events.send(severity, format!("{label} #{id}: {reason}{again}"));
    }

    fn mark_interrupted(&mut self) {
        let now = wall_ns();
        let outlet: &mut dyn Sink = &mut *self.outlet.borrow_mut();
        for stream in &self.connection.streams {
            // A book's snapshots are part of the stream of its deltas.
            let own = |kind: &&Kind| **kind != Kind::BookSnapshot || !stream.carries_book();
            for kind in stream.kinds.iter().filter(own) {
                outlet.push(&Gap {
                    header: Header::new(Kind::Gap, stream.instrument, now),
                    from_ns: now,
                    stream: kind.stream() as u8,
                    reason: GapReason::Disconnected as u8,
                    ..Gap::zeroed()
                });
            }
        }
    }

    fn record_session(&mut self, event: SessionEvent, detail: &serde_json::Value) {
        let mut body = detail.to_string();
        if body.len() > MAX_BODY_BYTES {
            body = json!({ "cut": "too long to be kept" }).to_string();
        }
        let body = body.as_bytes();
        let record = marketprism_core::record::Session {
            header: Header::new(Kind::Session, self.connection.market_instrument, wall_ns()),
            body: Body { start: 0, bytes: body.len() as u32 },
            connection: self.connection.id,
            event: event as u8,
            ..Zeroable::zeroed()
        };
        self.outlet.borrow_mut().append(record.lines(), body);
    }

    fn publish_counts(&self) {
        let counters = &self.connection.counters;
        let general: u64 = self.connection.decoder.counts().general.iter().sum();
        counters.general.store(general, Ordering::Relaxed);
        self.cpu_ns.borrow_mut().publish(false, |slot| *slot = thread_cpu_ns());
    }
}

fn streams_text(count: usize) -> String {
    if count == 1 { "1 stream".into() } else { format!("{count} streams") }
}

/// Code and reason of a close frame.
fn close_text(payload: &[u8]) -> String {
    match payload {
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            format!("close {code} {}", String::from_utf8_lossy(reason)).trim_end().to_owned()
        }
        _ => "close without a code".into(),
    }
}

//! One WebSocket connection: its writer, its reader, its pings and deadlines.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use fastwebsockets::{FragmentCollectorRead, Frame, OpCode, Role, WebSocketError, after_handshake_split};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::now_ms;
use crate::config::Market;
use crate::core::Shared;
use crate::hub::BUFFER;
use crate::protocol::Session;
use crate::streams::Route;
use crate::wire;

/// Largest frame a client may send, in bytes.
const LARGEST_REQUEST: usize = 1 << 20;
/// A buffer that grew beyond this is given back.
const LARGEST_KEPT_BUFFER: usize = 8 << 20;

/// What the URL of a connection said.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) market: Market,
    pub(crate) route: Route,
    pub(crate) combined: bool,
    pub(crate) streams: Vec<String>,
}

/// Serves a connection until it ends.
pub(crate) async fn serve<I>(shared: Shared, io: I, opening: Opening)
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (read, write_half) = tokio::io::split(io);
    let (slot, wake, mut peer) = {
        let core = &mut *shared.core.borrow_mut();
        let market = opening.market;
        let (slot, wake) = core.hub.open(market, opening.combined);
        let limits = &core.limits;
        let rate = limits.messages_per_second[market.index()];
        let session =
            Session::new(market, opening.combined, limits.streams_per_connection, rate, limits.flat_errors);
        let now = Instant::now();
        let peer = Peer {
            slot,
            market,
            route: opening.route,
            session,
            ping_interval: limits.ping_interval[market.index()],
            pong_deadline: limits.pong_deadline[market.index()],
            next_ping: now + limits.ping_interval[market.index()],
            lifetime_end: limits.connection_lifetime.map(|lifetime| now + lifetime),
            unanswered: None,
            shared: shared.clone(),
        };
        (slot, wake, peer)
    };
    let deadline = shared.core.borrow().limits.stalled_write_deadline;
    let done = Rc::new(Notify::new());
    let writer =
        tokio::task::spawn_local(write(shared.clone(), slot, wake, write_half, deadline, done.clone()));
    peer.open(opening.streams);
    peer.read(read, &done).await;
    // Whatever was still to be written goes out before the connection is forgotten.
    let pending = peer.shared.core.borrow_mut().hub.outlet(slot).map(|outlet| outlet.end()).is_some();
    if pending && writer.await.is_err() {
        shared.core.borrow_mut().hub.violation("a writer ended unexpectedly".to_owned());
    }
    let mut core = shared.core.borrow_mut();
    core.close(slot);
    core.answer_waiting();
    shared.room.notify_one();
    shared.changed.notify_one();
}

/// What the writer does next.
enum Next {
    Write,
    Wait,
    End,
}

/// Moves a connection's bytes into its socket, as many as there are in one call.
async fn write<I: AsyncWrite>(
    shared: Shared,
    slot: usize,
    wake: Rc<Notify>,
    mut half: WriteHalf<I>,
    deadline: Duration,
    done: Rc<Notify>,
) {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        match take(&shared, slot, &mut buffer) {
            Next::End => break,
            Next::Wait => wake.notified().await,
            Next::Write => {
                shared.room.notify_one();
                let written = timeout(deadline, async {
                    half.write_all(&buffer).await?;
                    half.flush().await
                });
                match written.await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => break,
                    Err(_) => {
                        let text = format!("connection took nothing for {} s", deadline.as_secs());
                        shared.core.borrow_mut().hub.violation(text);
                        break;
                    }
                }
                buffer.clear();
                if buffer.capacity() > LARGEST_KEPT_BUFFER {
                    buffer = Vec::with_capacity(BUFFER);
                }
            }
        }
    }
    abandon(&shared, slot);
    // The peer may be gone already; there is nobody left to tell.
    let _ = timeout(Duration::from_secs(1), half.shutdown()).await;
    done.notify_one();
}

fn take(shared: &Shared, slot: usize, buffer: &mut Vec<u8>) -> Next {
    let mut core = shared.core.borrow_mut();
    let Some(outlet) = core.hub.outlet(slot) else { return Next::End };
    outlet.in_flight = !outlet.pending.is_empty();
    if outlet.in_flight {
        std::mem::swap(&mut outlet.pending, buffer);
        return Next::Write;
    }
    let closing = outlet.closing;
    core.answer_waiting();
    if closing { Next::End } else { Next::Wait }
}

/// Forgets what can no longer be written.
fn abandon(shared: &Shared, slot: usize) {
    let mut core = shared.core.borrow_mut();
    if let Some(outlet) = core.hub.outlet(slot) {
        outlet.closing = true;
        outlet.in_flight = false;
        outlet.pending.clear();
    }
    core.answer_waiting();
    shared.room.notify_one();
}

/// The reading side of a connection.
struct Peer {
    slot: usize,
    market: Market,
    route: Route,
    session: Session,
    ping_interval: Duration,
    pong_deadline: Duration,
    next_ping: Instant,
    lifetime_end: Option<Instant>,
    /// The oldest ping without an answer: payload and deadline.
    unanswered: Option<(String, Instant)>,
    shared: Shared,
}

/// Answers the library would send itself; all are written by the writer here instead.
fn unsent(_: Frame<'_>) -> Ready<Result<(), Infallible>> {
    ready(Ok(()))
}

impl Peer {
    /// Subscribes the streams of the URL.
    fn open(&mut self, streams: Vec<String>) {
        let asked = streams.len();
        let added = self.session.open(streams.into_iter());
        let core = &mut *self.shared.core.borrow_mut();
        if added.len() < asked && asked > core.limits.streams_per_connection {
            core.hub.violation(format!("{}: too many streams in a URL", self.market));
        }
        for name in &added {
            core.subscribe(self.slot, self.market, self.route, name);
        }
        self.shared.changed.notify_one();
    }

    async fn read<I>(&mut self, half: ReadHalf<I>, done: &Notify)
    where
        I: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut read, _) = after_handshake_split(half, tokio::io::sink(), Role::Server);
        read.set_auto_close(false);
        read.set_auto_pong(false);
        read.set_max_message_size(LARGEST_REQUEST);
        let mut read = FragmentCollectorRead::new(read);
        loop {
            let mut send = unsent;
            let mut frame = pin!(read.read_frame(&mut send));
            let frame = loop {
                tokio::select! {
                    frame = &mut frame => break frame,
                    () = done.notified() => return,
                    () = sleep_until(self.next_alarm()) => self.alarm(),
                }
            };
            if !self.handle(frame) {
                return;
            }
        }
    }

    fn next_alarm(&self) -> Instant {
        let mut next = self.next_ping;
        if let Some((_, deadline)) = &self.unanswered {
            next = next.min(*deadline);
        }
        self.lifetime_end.map_or(next, |end| next.min(end))
    }

    /// Sends pings and ends connections whose time has come.
    fn alarm(&mut self) {
        let now = Instant::now();
        let core = &mut *self.shared.core.borrow_mut();
        let Some(outlet) = core.hub.outlet(self.slot) else { return };
        if self.unanswered.as_ref().is_some_and(|(_, deadline)| *deadline <= now) {
            outlet.close(1008, "Pong timeout");
            core.hub.violation(format!("{}: a ping was not answered", self.market));
            self.unanswered = None;
        } else if self.lifetime_end.is_some_and(|end| end <= now) {
            outlet.close(1001, "");
            self.lifetime_end = None;
        } else if self.next_ping <= now {
            let payload = now_ms().to_string();
            outlet.control(wire::PING, payload.as_bytes());
            self.next_ping = now + self.ping_interval;
            self.unanswered.get_or_insert((payload, now + self.pong_deadline));
        }
    }

    /// Handles a frame; false ends the connection.
    fn handle(&mut self, frame: Result<Frame<'_>, WebSocketError>) -> bool {
        let Ok(frame) = frame else { return false };
        let shared = self.shared.clone();
        let core = &mut *shared.core.borrow_mut();
        if frame.opcode == OpCode::Close {
            if let Some(outlet) = core.hub.outlet(self.slot) {
                let code = match &frame.payload[..] {
                    [high, low, ..] => u16::from_be_bytes([*high, *low]),
                    _ => 1000,
                };
                outlet.close(code, "");
            }
            return false;
        }
        if !self.session.count_frame(now_ms()) {
            core.hub.violation(format!("{}: too many messages in one second", self.market));
            if let Some(outlet) = core.hub.outlet(self.slot) {
                outlet.close(1008, "Too many requests");
            }
            return false;
        }
        match frame.opcode {
            OpCode::Text => self.text(core, &frame.payload),
            OpCode::Ping => {
                if let Some(outlet) = core.hub.outlet(self.slot) {
                    outlet.control(wire::PONG, &frame.payload);
                }
            }
            OpCode::Pong => self.pong(core, &frame.payload),
            _ => core.hub.violation(format!("{}: a binary frame", self.market)),
        }
        true
    }

    fn pong(&mut self, core: &mut crate::core::Core, payload: &[u8]) {
        match &self.unanswered {
            Some((expected, _)) if expected.as_bytes() == payload => self.unanswered = None,
            _ if payload.is_empty() => {}
            _ => core.hub.violation(format!("{}: a pong with the payload of no ping", self.market)),
        }
    }

    fn text(&mut self, core: &mut crate::core::Core, payload: &[u8]) {
        let outcome = self.session.text(&String::from_utf8_lossy(payload));
        if outcome.reply.starts_with("{\"error\":{\"code\":4,") || outcome.reply.starts_with("{\"code\":4,") {
            core.hub.violation(format!("{}: too many streams on a connection", self.market));
        }
        if let Some(outlet) = core.hub.outlet(self.slot) {
            outlet.combined = self.session.combined;
            outlet.control(wire::TEXT, outcome.reply.as_bytes());
        }
        for name in &outcome.removed {
            core.unsubscribe(self.slot, self.market, name);
        }
        for name in &outcome.added {
            core.subscribe(self.slot, self.market, self.route, name);
        }
        self.shared.changed.notify_one();
    }
}

//! One WebSocket connection: its writer and its reader.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fastwebsockets::{FragmentCollectorRead, Frame, OpCode, Role, WebSocketError, after_handshake_split};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::ConnectionId;
use super::server::Shared;
use crate::wire;

/// Largest frame a client may send, in bytes; venues' own limits are lower.
const LARGEST_REQUEST: usize = 1 << 20;
/// A buffer that grew beyond this is given back.
const LARGEST_KEPT_BUFFER: usize = 1 << 20;
/// A connection that takes nothing for that long is closed.
const STALLED: Duration = Duration::from_secs(30);

/// Serves a connection until it ends.
pub(crate) async fn serve<I>(shared: Shared, io: I, connection: ConnectionId)
where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (read_half, write_half) = tokio::io::split(io);
    let wake = shared.borrow_mut().hub.open(connection);
    let done = Arc::new(Notify::new());
    let writer = tokio::task::spawn_local(write(shared.clone(), connection, wake, write_half, done.clone()));
    read(&shared, connection, read_half, &done).await;
    // Whatever was still to be written goes out before the connection is forgotten.
    if let Some(outlet) = shared.borrow_mut().hub.outlet(connection) {
        outlet.end();
    }
    if writer.await.is_err() {
        shared.borrow_mut().hub.violation("a writer ended unexpectedly".to_owned());
    }
    shared.borrow_mut().closed(connection);
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
    connection: ConnectionId,
    wake: Arc<Notify>,
    mut half: WriteHalf<I>,
    done: Arc<Notify>,
) {
    let mut buffer = Vec::new();
    loop {
        match take(&shared, connection, &mut buffer) {
            Next::End => break,
            Next::Wait => wake.notified().await,
            Next::Write => {
                let written = timeout(STALLED, async {
                    half.write_all(&buffer).await?;
                    half.flush().await
                });
                match written.await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => break,
                    Err(_) => {
                        let text = format!("connection took nothing for {} s", STALLED.as_secs());
                        shared.borrow_mut().hub.violation(text);
                        break;
                    }
                }
                buffer.clear();
                buffer.shrink_to(LARGEST_KEPT_BUFFER);
            }
        }
    }
    if let Some(outlet) = shared.borrow_mut().hub.outlet(connection) {
        outlet.closing = true;
        outlet.in_flight = false;
        outlet.pending.clear();
    }
    // The peer may be gone already; there is nobody left to tell.
    let _ = timeout(Duration::from_secs(1), half.shutdown()).await;
    done.notify_one();
}

fn take(shared: &Shared, connection: ConnectionId, buffer: &mut Vec<u8>) -> Next {
    let mut core = shared.borrow_mut();
    let Some(outlet) = core.hub.outlet(connection) else { return Next::End };
    outlet.in_flight = !outlet.pending.is_empty();
    if outlet.in_flight {
        std::mem::swap(&mut outlet.pending, buffer);
        return Next::Write;
    }
    if outlet.closing { Next::End } else { Next::Wait }
}

/// Answers the library would send itself; all are written by the writer here instead.
fn unsent(_: Frame<'_>) -> Ready<Result<(), Infallible>> {
    ready(Ok(()))
}

async fn read<I>(shared: &Shared, connection: ConnectionId, half: ReadHalf<I>, done: &Notify)
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
        let frame = pin!(read.read_frame(&mut send));
        let frame = tokio::select! {
            frame = frame => frame,
            () = done.notified() => return,
        };
        if !handle(shared, connection, frame) {
            return;
        }
    }
}

/// Handles a frame; false ends the connection.
fn handle(shared: &Shared, connection: ConnectionId, frame: Result<Frame<'_>, WebSocketError>) -> bool {
    let Ok(frame) = frame else { return false };
    let core = &mut *shared.borrow_mut();
    let Some(outlet) = core.hub.outlet(connection) else { return false };
    match frame.opcode {
        OpCode::Close => {
            let code = match &frame.payload[..] {
                [high, low, ..] => u16::from_be_bytes([*high, *low]),
                _ => 1000,
            };
            outlet.close(code, "");
            return false;
        }
        // A connection that is being closed is no longer listened to.
        _ if outlet.closing => {}
        OpCode::Text => core.text(connection, &String::from_utf8_lossy(&frame.payload)),
        OpCode::Ping => {
            outlet.push(wire::PONG, &frame.payload);
            core.touched(connection);
        }
        OpCode::Pong => core.touched(connection),
        OpCode::Binary | OpCode::Continuation => {
            core.hub.violation("a binary frame".to_owned());
        }
    }
    true
}

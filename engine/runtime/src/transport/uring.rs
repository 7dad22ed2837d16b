//! TCP over io_uring.
//!
//! A reading task of its own keeps one read in flight and fills two buffers in turn: while one is parsed, the
//! kernel fills the other. Each completed read is stamped there, before anything waits in a queue.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_uring::net::TcpStream;

use super::{READ_BUFFER_BYTES, ReadStamp, Stamp};

/// Bytes in one write operation at most.
const WRITE_BYTES: usize = 16 * 1024;

type WriteFuture = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// A TCP stream whose reads and writes go through the thread's ring.
pub struct UringStream {
    socket: Rc<TcpStream>,
    shared: Rc<RefCell<Shared>>,
    stamp: ReadStamp,
    current: Filled,
    start: usize,
    writing: Option<WriteFuture>,
}

/// A buffer with the bytes of one read.
#[derive(Default)]
struct Filled {
    bytes: Vec<u8>,
    length: usize,
    stamp: Stamp,
}

/// Between the reading task and the stream.
#[derive(Default)]
struct Shared {
    filled: Option<Filled>,
    empty: Option<Vec<u8>>,
    end: Option<io::Result<()>>,
    /// The stream is gone: the reading task must end.
    abandoned: bool,
    reader: Option<Waker>,
    filler: Option<Waker>,
}

impl UringStream {
    pub(super) async fn connect(address: SocketAddr, stamp: ReadStamp) -> io::Result<UringStream> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let socket = Rc::new(socket);
        let shared = Rc::new(RefCell::new(Shared {
            empty: Some(Vec::with_capacity(READ_BUFFER_BYTES)),
            ..Shared::default()
        }));
        tokio_uring::spawn(fill(Rc::clone(&socket), Rc::clone(&shared)));
        let current = Filled { bytes: Vec::with_capacity(READ_BUFFER_BYTES), ..Filled::default() };
        Ok(UringStream { socket, shared, stamp, current, start: 0, writing: None })
    }

    /// Swaps the used-up buffer for the next filled one.
    fn poll_swap(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut shared = self.shared.borrow_mut();
        if let Some(filled) = shared.filled.take() {
            let used = std::mem::replace(&mut self.current, filled);
            self.start = 0;
            self.stamp.set(self.current.stamp);
            shared.empty = Some(used.bytes);
            if let Some(filler) = shared.filler.take() {
                filler.wake();
            }
            return Poll::Ready(Ok(true));
        }
        if let Some(end) = shared.end.take() {
            shared.end = Some(Ok(()));
            return Poll::Ready(end.map(|()| false));
        }
        shared.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Reads until the socket ends.
async fn fill(socket: Rc<TcpStream>, shared: Rc<RefCell<Shared>>) {
    loop {
        let Some(buffer) = EmptyBuffer(&shared).await else { return };
        let (result, bytes) = socket.read(buffer).await;
        let stamp = Stamp::now();
        let mut state = shared.borrow_mut();
        let ended = match result {
            Ok(0) => Some(Ok(())),
            Ok(length) => {
                state.filled = Some(Filled { bytes, length, stamp });
                None
            }
            Err(error) => Some(Err(error)),
        };
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        if ended.is_some() {
            state.end = ended;
            return;
        }
    }
}

/// Waits until a buffer is free and the last read has been taken; `None` when the stream is gone.
struct EmptyBuffer<'a>(&'a Rc<RefCell<Shared>>);

impl Future for EmptyBuffer<'_> {
    type Output = Option<Vec<u8>>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        let mut shared = self.0.borrow_mut();
        if shared.abandoned {
            return Poll::Ready(None);
        }
        if shared.filled.is_none()
            && let Some(mut buffer) = shared.empty.take()
        {
            buffer.clear();
            return Poll::Ready(Some(buffer));
        }
        shared.filler = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for UringStream {
    fn drop(&mut self) {
        // Ends the reading task, whether it waits for a buffer or for a read in flight.
        let _ = self.socket.shutdown(Shutdown::Both);
        let mut shared = self.shared.borrow_mut();
        shared.abandoned = true;
        if let Some(filler) = shared.filler.take() {
            filler.wake();
        }
    }
}

impl AsyncRead for UringStream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start == this.current.length && !ready!(this.poll_swap(cx))? {
            return Poll::Ready(Ok(()));
        }
        let count = out.remaining().min(this.current.length - this.start);
        out.put_slice(&this.current.bytes[this.start..this.start + count]);
        this.start += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for UringStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_written(cx))?;
        let bytes = buf[..buf.len().min(WRITE_BYTES)].to_vec();
        let count = bytes.len();
        let socket = Rc::clone(&this.socket);
        this.writing = Some(Box::pin(async move { socket.write_all(bytes).await.0 }));
        // The operation enters the ring when it is first polled; its result is taken by the next call.
        if let Poll::Ready(result) = this.poll_written(cx) {
            result?;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_written(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_written(cx))?;
        Poll::Ready(this.socket.shutdown(Shutdown::Write))
    }
}

impl UringStream {
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(writing) = &mut self.writing else { return Poll::Ready(Ok(())) };
        let result = ready!(writing.as_mut().poll(cx));
        self.writing = None;
        Poll::Ready(result)
    }
}

//! TCP over epoll, for hosts where io_uring is not allowed.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::{READ_BUFFER_BYTES, ReadStamp, Stamp};

/// Reads into one large buffer, stamps each read, and hands the bytes on from there.
pub struct EpollStream {
    inner: TcpStream,
    stamp: ReadStamp,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl EpollStream {
    pub(super) async fn connect(address: SocketAddr, stamp: ReadStamp) -> io::Result<EpollStream> {
        let inner = TcpStream::connect(address).await?;
        inner.set_nodelay(true)?;
        Ok(EpollStream { inner, stamp, buffer: vec![0; READ_BUFFER_BYTES].into(), start: 0, end: 0 })
    }
}

impl AsyncRead for EpollStream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start == this.end {
            let mut read = ReadBuf::new(&mut this.buffer);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            (this.start, this.end) = (0, read.filled().len());
            this.stamp.set(Stamp::now());
        }
        let count = out.remaining().min(this.end - this.start);
        out.put_slice(&this.buffer[this.start..this.start + count]);
        this.start += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for EpollStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

//! Byte streams: TCP over io_uring or epoll, TLS on top, and the WebSocket handshake.

mod epoll;
mod handshake;
mod uring;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use marketprism_core::clock::{monotonic_ns, wall_ns};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;

pub use handshake::Prefixed;

/// Bytes of one read from the socket at most. Small enough that a full read is parsed in tens of
/// microseconds, so that the stamps of other connections on the thread do not wait long.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// TCP, TLS and the WebSocket upgrade together must be done in this time.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// When bytes were read, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Wall clock, nanoseconds since the Unix epoch.
    pub wall_ns: i64,
    /// Monotonic clock, nanoseconds.
    pub monotonic_ns: i64,
}

impl Stamp {
    /// Both clocks now.
    #[inline]
    pub fn now() -> Stamp {
        Stamp { wall_ns: wall_ns(), monotonic_ns: monotonic_ns() }
    }
}

/// When the bytes that are being parsed were read. One stamp a read.
pub type ReadStamp = Rc<Cell<Stamp>>;

/// Which system interface carries sockets and files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// io_uring.
    IoUring,
    /// epoll and plain system calls.
    Epoll,
}

impl Kind {
    /// The name in logs and status.
    pub fn name(self) -> &'static str {
        match self {
            Kind::IoUring => "io_uring",
            Kind::Epoll => "epoll",
        }
    }

    /// io_uring where this kernel lets this process use it, else epoll.
    pub fn detect() -> Kind {
        let mut builder = tokio_uring::builder();
        builder.entries(8);
        match tokio_uring::Runtime::new(&builder) {
            Ok(_) => Kind::IoUring,
            Err(_) => Kind::Epoll,
        }
    }
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address, for DNS, TLS and the `Host` header.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether to speak TLS.
    pub tls: bool,
    /// Path prefix, without a slash at its end.
    pub prefix: String,
}

impl Endpoint {
    /// Reads `ws://`, `wss://`, `http://` or `https://` addresses.
    pub fn parse(address: &str) -> Result<Endpoint, String> {
        let (scheme, rest) = address
            .split_once("://")
            .ok_or_else(|| format!("\"{address}\" has no scheme; write wss://host or https://host"))?;
        let tls = match scheme {
            "wss" | "https" => true,
            "ws" | "http" => false,
            _ => {
                return Err(format!(
                    "\"{address}\": unknown scheme \"{scheme}\"; use ws, wss, http or https"
                ));
            }
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') => {
                let port = port.parse().map_err(|_| format!("\"{address}\": \"{port}\" is not a port"))?;
                (host, port)
            }
            _ => (authority, if tls { 443 } else { 80 }),
        };
        if host.is_empty() {
            return Err(format!("\"{address}\" has no host"));
        }
        let prefix = path.trim_end_matches('/').to_owned();
        Ok(Endpoint { host: host.to_owned(), port, tls, prefix })
    }

    /// Host and port as the `Host` header wants them.
    pub fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// An open WebSocket connection's byte stream; frames follow.
pub type WebSocketStream = Prefixed<MaybeTls>;

/// Opens TCP, TLS and the WebSocket at `path`. The error says which step failed and why.
pub async fn connect(
    kind: Kind,
    endpoint: &Endpoint,
    path: &str,
    tls: &Arc<rustls::ClientConfig>,
    stamp: ReadStamp,
) -> Result<WebSocketStream, String> {
    match tokio::time::timeout(CONNECT_LIMIT, open(kind, endpoint, path, tls, stamp)).await {
        Ok(result) => result,
        Err(_) => {
            Err(format!("no connection to {} within {} s", endpoint.authority(), CONNECT_LIMIT.as_secs()))
        }
    }
}

async fn open(
    kind: Kind,
    endpoint: &Endpoint,
    path: &str,
    tls: &Arc<rustls::ClientConfig>,
    stamp: ReadStamp,
) -> Result<WebSocketStream, String> {
    let host = endpoint.host.trim_start_matches('[').trim_end_matches(']');
    let addresses = tokio::net::lookup_host((host, endpoint.port))
        .await
        .map_err(|error| format!("name \"{host}\" cannot be resolved: {error}"))?;
    let mut last = format!("name \"{host}\" has no address");
    for address in addresses {
        match tcp(kind, address, Rc::clone(&stamp)).await {
            Ok(stream) => {
                let stream = secure(endpoint, stream, tls).await?;
                let path = format!("{}{path}", endpoint.prefix);
                return handshake::upgrade(stream, &endpoint.authority(), &path).await;
            }
            Err(error) => last = format!("TCP to {address}: {error}"),
        }
    }
    Err(last)
}

async fn tcp(kind: Kind, address: SocketAddr, stamp: ReadStamp) -> io::Result<Tcp> {
    match kind {
        Kind::IoUring => Ok(Tcp::Uring(uring::UringStream::connect(address, stamp).await?)),
        Kind::Epoll => Ok(Tcp::Epoll(epoll::EpollStream::connect(address, stamp).await?)),
    }
}

async fn secure(
    endpoint: &Endpoint,
    stream: Tcp,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<MaybeTls, String> {
    if !endpoint.tls {
        return Ok(MaybeTls::Plain(stream));
    }
    let name = ServerName::try_from(endpoint.host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| format!("\"{}\" is not a name that TLS can check", endpoint.host))?;
    match TlsConnector::from(Arc::clone(tls)).connect(name, stream).await {
        Ok(stream) => Ok(MaybeTls::Tls(Box::new(stream))),
        Err(error) => Err(format!(
            "TLS with {}: {error}. If the certificate is your own, name its authority in certificate_files",
            endpoint.authority()
        )),
    }
}

/// TCP on one of the two interfaces.
pub enum Tcp {
    /// Over io_uring.
    Uring(uring::UringStream),
    /// Over epoll.
    Epoll(epoll::EpollStream),
}

/// TCP, or TLS on it.
pub enum MaybeTls {
    /// Plain.
    Plain(Tcp),
    /// Encrypted.
    Tls(Box<tokio_rustls::client::TlsStream<Tcp>>),
}

macro_rules! forward {
    ($type:ident, $($variant:ident),+) => {
        impl AsyncRead for $type {
            #[inline]
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() { $($type::$variant(inner) => Pin::new(inner).poll_read(cx, buf)),+ }
            }
        }
        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() { $($type::$variant(inner) => Pin::new(inner).poll_write(cx, buf)),+ }
            }
            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() { $($type::$variant(inner) => Pin::new(inner).poll_flush(cx)),+ }
            }
            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() { $($type::$variant(inner) => Pin::new(inner).poll_shutdown(cx)),+ }
            }
        }
    };
}

forward!(Tcp, Uring, Epoll);
forward!(MaybeTls, Plain, Tls);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_explained() {
        let endpoint = Endpoint::parse("wss://fstream.binance.com/public/").unwrap();
        assert_eq!((endpoint.port, endpoint.tls, endpoint.prefix.as_str()), (443, true, "/public"));
        let endpoint = Endpoint::parse("ws://127.0.0.1:8080").unwrap();
        assert_eq!(endpoint.authority(), "127.0.0.1:8080");
        let endpoint = Endpoint::parse("http://[::1]:81/x").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("[::1]", 81));
        for bad in ["fstream.binance.com", "ftp://x", "ws://", "ws://x:port"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}

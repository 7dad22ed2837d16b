//! A WebSocket and REST client for the tests, plain and over TLS.
#![allow(dead_code)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, WebSocketError};
use http_body_util::{BodyExt, Empty};
use hyper::header::{CONNECTION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use marketprism_simulator::{Market, Simulator};
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Longest wait for anything; reaching it fails the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE * 3, future).await.expect("test took too long") })
}

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

async fn dial(simulator: &Simulator, market: Market) -> (Box<dyn Io>, String) {
    let url = simulator.rest_url(market);
    let authority = url.split("//").nth(1).expect("authority").to_owned();
    let port = authority.rsplit(':').next().expect("port").parse::<u16>().expect("port");
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
    stream.set_nodelay(true).expect("nodelay");
    let Some(pem) = simulator.certificate_pem() else { return (Box::new(stream), authority) };
    let mut roots = rustls::RootCertStore::empty();
    let certificate = rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).expect("pem");
    roots.add(certificate).expect("authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into().expect("name"), stream).await.expect("handshake");
    (Box::new(stream), authority)
}

struct Local;

impl<F: Future + Send + 'static> hyper::rt::Executor<F> for Local
where
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

/// A WebSocket client that answers pings only when told to.
pub(crate) struct Client {
    pub(crate) socket: FragmentCollector<TokioIo<Upgraded>>,
}

impl Client {
    pub(crate) async fn open(simulator: &Simulator, market: Market, path: &str) -> Client {
        Client::try_open(simulator, market, path).await.expect("upgrade")
    }

    pub(crate) async fn try_open(
        simulator: &Simulator,
        market: Market,
        path: &str,
    ) -> Result<Client, WebSocketError> {
        let (io, authority) = dial(simulator, market).await;
        let request = Request::get(path)
            .header("Host", authority)
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "upgrade")
            .header("Sec-WebSocket-Key", fastwebsockets::handshake::generate_key())
            .header("Sec-WebSocket-Version", "13")
            .body(Empty::<Bytes>::new())
            .expect("request");
        let (mut socket, _) = fastwebsockets::handshake::client(&Local, request, io).await?;
        socket.set_auto_pong(false);
        socket.set_auto_close(false);
        Ok(Client { socket: FragmentCollector::new(socket) })
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.frame(Frame::text(Payload::Borrowed(text.as_bytes()))).await;
    }

    pub(crate) async fn frame(&mut self, frame: Frame<'_>) {
        self.socket.write_frame(frame).await.expect("sends");
    }

    /// The next frame: opcode and payload; `None` when the connection ended.
    pub(crate) async fn next(&mut self) -> Option<(OpCode, Vec<u8>)> {
        let frame = tokio::time::timeout(PATIENCE, self.socket.read_frame()).await.expect("no frame in time");
        frame.ok().map(|frame| (frame.opcode, frame.payload.to_vec()))
    }

    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.next().await.expect("connection is open") {
                (OpCode::Text, payload) => return String::from_utf8(payload).expect("UTF-8"),
                (OpCode::Ping, _) => {}
                (opcode, _) => panic!("unexpected {opcode:?}"),
            }
        }
    }

    pub(crate) async fn json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.text().await).expect("JSON")
    }

    /// Sends a request and returns its answer, passing over data.
    pub(crate) async fn request(&mut self, text: &str) -> String {
        self.send(text).await;
        loop {
            let answer = self.text().await;
            if answer.contains("\"id\":") && !answer.contains("\"stream\":") && !answer.contains("\"e\":") {
                return answer;
            }
        }
    }

    /// Code and reason of the close frame, passing over everything before it.
    pub(crate) async fn close_frame(&mut self) -> (u16, String) {
        loop {
            match self.next().await.expect("a close frame comes first") {
                (OpCode::Close, payload) => {
                    let code = u16::from_be_bytes([payload[0], payload[1]]);
                    return (code, String::from_utf8_lossy(&payload[2..]).into_owned());
                }
                _ => continue,
            }
        }
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) used_weight: u32,
    pub(crate) retry_after: Option<u64>,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

pub(crate) async fn get(simulator: &Simulator, market: Market, path: &str) -> Answer {
    let (io, authority) = dial(simulator, market).await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.expect("http");
    tokio::spawn(connection);
    let request = Request::get(path).header("Host", authority).body(Empty::<Bytes>::new()).expect("request");
    let response: Response<Incoming> = sender.send_request(request).await.expect("response");
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    let used_weight = header("X-MBX-USED-WEIGHT-1M").expect("weight header") as u32;
    let retry_after = header("Retry-After");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("body").to_bytes();
    Answer { status, body: String::from_utf8(body.to_vec()).expect("UTF-8"), used_weight, retry_after }
}

/// A futures book kept from a snapshot and diff events by the venue's rules; it panics at a gap.
pub(crate) struct Mirror {
    pub(crate) last_update_id: u64,
    pub(crate) applied: u64,
    sides: [std::collections::BTreeMap<String, String>; 2],
    synchronised: bool,
}

impl Mirror {
    pub(crate) fn new(snapshot: &serde_json::Value) -> Mirror {
        let mut mirror = Mirror {
            last_update_id: snapshot["lastUpdateId"].as_u64().expect("id"),
            applied: 0,
            sides: Default::default(),
            synchronised: false,
        };
        mirror.levels(0, &snapshot["bids"]);
        mirror.levels(1, &snapshot["asks"]);
        mirror
    }

    fn levels(&mut self, side: usize, levels: &serde_json::Value) {
        for level in levels.as_array().expect("levels") {
            let text = |index: usize| level[index].as_str().expect("text").to_owned();
            if text(1).bytes().all(|byte| byte == b'0' || byte == b'.') {
                self.sides[side].remove(&text(0));
            } else {
                self.sides[side].insert(text(0), text(1));
            }
        }
    }

    pub(crate) fn apply(&mut self, frame: &serde_json::Value, stream: &str) {
        if frame["stream"] != stream {
            return;
        }
        let data = &frame["data"];
        let id = |key: &str| data[key].as_u64().expect("id");
        if !self.synchronised && id("u") < self.last_update_id {
            return;
        }
        let joins = id("pu") == self.last_update_id || (!self.synchronised && id("U") <= self.last_update_id);
        assert!(joins, "gap after {}: {frame}", self.last_update_id);
        self.synchronised = true;
        self.last_update_id = id("u");
        self.applied += 1;
        self.levels(0, &data["b"]);
        self.levels(1, &data["a"]);
    }
}

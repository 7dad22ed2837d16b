//! A WebSocket and REST client, plain and over TLS, and a book kept by the venue's rules.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, WebSocketError};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use marketprism_simulator::host::{Handle, Ledger, Source};
use marketprism_simulator::okx::{Config, Limits, start};
use marketprism_simulator::{Book, Generated};
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Longest wait for anything; reaching it fails the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE * 3, future).await.expect("test took too long") })
}

pub(crate) fn config(symbols: usize, messages_per_second: u64) -> Config {
    let generated = Generated { seed: 7, symbols, messages_per_second: Some(messages_per_second) };
    // Tests open connections faster than the venue allows, except the one about that.
    let limits = Limits { connections_per_second: 100, ..Limits::default() };
    Config { limits, ..Config::new(Source::Generated(generated)) }
}

pub(crate) fn venue(symbols: usize, messages_per_second: u64) -> Handle {
    start(&config(symbols, messages_per_second)).expect("starts")
}

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

async fn dial(handle: &Handle) -> (Box<dyn Io>, String) {
    let url = handle.rest_url();
    let authority = url.split("//").nth(1).expect("authority").to_owned();
    let port: u16 = authority.rsplit(':').next().expect("port").parse().expect("port");
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
    stream.set_nodelay(true).expect("nodelay");
    let Some(pem) = handle.certificate_pem() else { return (Box::new(stream), authority) };
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

pub(crate) struct Client {
    socket: FragmentCollector<TokioIo<Upgraded>>,
}

/// The argument of an instrument's channel.
pub(crate) fn arg(channel: &str, instrument: &str) -> Value {
    json!({ "channel": channel, "instId": instrument })
}

impl Client {
    pub(crate) async fn public(handle: &Handle) -> Client {
        Client::open(handle, "/ws/v5/public").await.expect("upgrade")
    }

    pub(crate) async fn business(handle: &Handle) -> Client {
        Client::open(handle, "/ws/v5/business").await.expect("upgrade")
    }

    pub(crate) async fn open(handle: &Handle, path: &str) -> Result<Client, WebSocketError> {
        let (io, authority) = dial(handle).await;
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

    pub(crate) async fn operation(&mut self, operation: &str, args: &[Value]) {
        self.send(&json!({ "id": "1", "op": operation, "args": args }).to_string()).await;
    }

    /// Subscribes and takes the acknowledgements.
    pub(crate) async fn subscribe(&mut self, args: &[Value]) {
        self.operation("subscribe", args).await;
        for arg in args {
            let answer = self.event().await;
            assert_eq!((&answer["event"], &answer["arg"]), (&json!("subscribe"), arg), "{answer}");
        }
    }

    pub(crate) async fn unsubscribe(&mut self, args: &[Value]) {
        self.operation("unsubscribe", args).await;
        for arg in args {
            let answer = self.event().await;
            assert_eq!((&answer["event"], &answer["arg"]), (&json!("unsubscribe"), arg), "{answer}");
        }
    }

    /// The next frame: opcode and payload; `None` when the connection ended.
    pub(crate) async fn next(&mut self) -> Option<(OpCode, Vec<u8>)> {
        let frame = tokio::time::timeout(PATIENCE, self.socket.read_frame()).await.expect("no frame in time");
        frame.ok().map(|frame| (frame.opcode, frame.payload.to_vec()))
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.next().await.expect("connection is open") {
            (OpCode::Text, payload) => String::from_utf8(payload).expect("UTF-8"),
            (opcode, payload) => panic!("unexpected {opcode:?}: {}", String::from_utf8_lossy(&payload)),
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The next answer, passing over data.
    pub(crate) async fn event(&mut self) -> Value {
        loop {
            let frame = self.json().await;
            if frame.get("event").is_some() {
                return frame;
            }
        }
    }

    /// The next push of a channel and key, passing over everything else.
    pub(crate) async fn push(&mut self, channel: &str, key: &str) -> Value {
        loop {
            let frame = self.json().await;
            let of = &frame["arg"];
            let found = [&of["instId"], &of["instType"], &of["instFamily"]].into_iter().any(|own| own == key);
            if of["channel"] == channel && found && frame.get("event").is_none() {
                return frame;
            }
        }
    }

    /// Code and reason of the close frame, passing over everything before it.
    pub(crate) async fn close_frame(&mut self) -> (u16, String) {
        loop {
            if let (OpCode::Close, payload) = self.next().await.expect("a close frame comes first") {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                return (code, String::from_utf8_lossy(&payload[2..]).into_owned());
            }
        }
    }
}

/// Status and body of a REST answer.
pub(crate) async fn get(handle: &Handle, path: &str) -> (u16, String) {
    let (io, authority) = dial(handle).await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.expect("http");
    tokio::spawn(connection);
    let request = Request::get(path).header("Host", authority).body(Empty::<Bytes>::new()).expect("request");
    let response = sender.send_request(request).await.expect("response");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
}

/// The data of a good REST answer.
pub(crate) async fn data(handle: &Handle, path: &str) -> Value {
    let (status, body) = get(handle, path).await;
    let mut answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &answer["code"]), (200, &json!("0")), "{path}: {body}");
    answer["data"].take()
}

/// Waits until the ledger is as wished.
pub(crate) async fn until(handle: &Handle, wish: impl Fn(&Ledger) -> bool) -> Ledger {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let ledger = handle.ledger();
        if wish(&ledger) {
            return ledger;
        }
        assert!(std::time::Instant::now() < deadline, "the ledger never came to that: {ledger:?}");
        tokio::task::yield_now().await;
    }
}

/// How a book message fits the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Snapshot,
    Update,
    KeepAlive,
    /// Linked, with a lower id.
    Reset,
    Gap,
}

/// A book kept by the venue's rules; sides by price, exactly as text.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    pub(crate) last: u64,
    pub(crate) sides: [BTreeMap<u128, (String, String)>; 2],
    /// Removals of levels that were not there.
    pub(crate) missing: usize,
}

/// A decimal as an integer of 12 decimals, to sort by.
fn scaled(text: &str) -> u128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(!fraction.ends_with('0') && !text.is_empty() && fraction.len() <= 12, "{text}");
    format!("{whole}{fraction:0<12}").parse().expect("digits")
}

impl Mirror {
    /// Applies a push of `books`, unless it does not fit.
    pub(crate) fn apply(&mut self, frame: &Value) -> Fit {
        let book = &frame["data"][0];
        let sequence = book["seqId"].as_u64().expect("seqId");
        let previous = book["prevSeqId"].as_i64().expect("prevSeqId");
        if frame["action"] == "snapshot" {
            assert_eq!(previous, -1);
            self.sides = Default::default();
            self.rows(book);
            self.last = sequence;
            return Fit::Snapshot;
        }
        assert_eq!(frame["action"], "update", "{frame}");
        if u64::try_from(previous) != Ok(self.last) {
            return Fit::Gap;
        }
        self.rows(book);
        let fit = match sequence.cmp(&self.last) {
            std::cmp::Ordering::Equal => Fit::KeepAlive,
            std::cmp::Ordering::Less => Fit::Reset,
            std::cmp::Ordering::Greater => Fit::Update,
        };
        if fit == Fit::KeepAlive {
            assert_eq!((&book["bids"], &book["asks"]), (&json!([]), &json!([])));
        }
        self.last = sequence;
        fit
    }

    fn rows(&mut self, book: &Value) {
        for (index, name) in ["bids", "asks"].into_iter().enumerate() {
            let rows = book[name].as_array().expect("rows");
            let prices: Vec<u128> = rows.iter().map(|row| scaled(row[0].as_str().expect("price"))).collect();
            let sorted = |one: &u128, next: &u128| if index == 0 { one > next } else { one < next };
            assert!(prices.is_sorted_by(sorted), "{name} from the best on");
            for (row, price) in rows.iter().zip(prices) {
                let text = |column: usize| row[column].as_str().expect("text").to_owned();
                assert_eq!((row.as_array().map(Vec::len), text(2).as_str()), (Some(4), "0"));
                assert_eq!(text(1) == "0", text(3) == "0", "a removed level has no orders: {row}");
                if text(1) != "0" {
                    self.sides[index].insert(price, (text(0), text(1)));
                } else if self.sides[index].remove(&price).is_none() {
                    self.missing += 1;
                }
            }
        }
    }

    /// Levels of a side, best first.
    pub(crate) fn levels(&self, side: usize) -> Vec<(String, String)> {
        let levels = self.sides[side].values().cloned();
        if side == 0 { levels.rev().collect() } else { levels.collect() }
    }

    pub(crate) fn crossed(&self) -> bool {
        let bid = self.sides[0].last_key_value().expect("a bid").0;
        let ask = self.sides[1].first_key_value().expect("an ask").0;
        bid >= ask
    }

    pub(crate) fn assert_is(&self, book: &Book, name: &str) {
        assert_eq!(self.last, book.last_update_id, "{name}");
        assert_eq!(self.levels(0), book.bids, "{name} bids");
        assert_eq!(self.levels(1), book.asks, "{name} asks");
    }
}

//! A JSON-RPC client, an HTTP client and a book kept by the venue's rules.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, WebSocketError};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use marketprism_simulator::deribit::{Config, Limits, start};
use marketprism_simulator::host::{Handle, Source};
use marketprism_simulator::{Book, Generated};
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// Longest wait for anything; reaching it fails the test.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE * 3, future).await.expect("test took too long") })
}

/// A venue that accepts the credentials of [`Client::authenticate`].
pub(crate) fn config(symbols: usize, messages_per_second: u64) -> Config {
    let generated = Generated { seed: 7, symbols, messages_per_second: Some(messages_per_second) };
    let credentials = Some(("me".to_owned(), "secret".to_owned()));
    Config {
        limits: Limits { credentials, ..Limits::default() },
        ..Config::new(Source::Generated(generated))
    }
}

pub(crate) fn venue(symbols: usize, messages_per_second: u64) -> Handle {
    start(&config(symbols, messages_per_second)).expect("starts")
}

/// A venue whose seconds are as long as given.
pub(crate) fn venue_with_second(second: Duration) -> Handle {
    let mut config = config(2, 1000);
    config.limits.second = second;
    start(&config).expect("starts")
}

/// So long a second that no credits come back.
pub(crate) const NEVER: Duration = Duration::from_secs(100_000);

struct Local;

impl<F: Future + Send + 'static> hyper::rt::Executor<F> for Local
where
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

async fn dial(handle: &Handle) -> (TcpStream, String) {
    let authority = handle.rest_url().trim_start_matches("http://").to_owned();
    let stream = TcpStream::connect(&authority).await.expect("connects");
    stream.set_nodelay(true).expect("nodelay");
    (stream, authority)
}

pub(crate) struct Client {
    socket: FragmentCollector<TokioIo<Upgraded>>,
    /// Notifications that came before an answer.
    waiting: VecDeque<Value>,
    last_id: u64,
}

impl Client {
    pub(crate) async fn open(handle: &Handle) -> Client {
        Client::try_open(handle).await.expect("upgrade")
    }

    pub(crate) async fn try_open(handle: &Handle) -> Result<Client, WebSocketError> {
        let (stream, authority) = dial(handle).await;
        let request = Request::get("/ws/api/v2")
            .header("Host", authority)
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "upgrade")
            .header("Sec-WebSocket-Key", fastwebsockets::handshake::generate_key())
            .header("Sec-WebSocket-Version", "13")
            .body(Empty::<Bytes>::new())
            .expect("request");
        let (mut socket, _) = fastwebsockets::handshake::client(&Local, request, stream).await?;
        socket.set_auto_close(false);
        Ok(Client { socket: FragmentCollector::new(socket), waiting: VecDeque::new(), last_id: 0 })
    }

    pub(crate) async fn send(&mut self, text: &str) {
        let frame = Frame::text(Payload::Borrowed(text.as_bytes()));
        self.socket.write_frame(frame).await.expect("sends");
    }

    /// The next text frame; the end of the connection is its close code and reason, 1006 without a close frame.
    pub(crate) async fn text(&mut self) -> Result<String, (u16, String)> {
        let frame = tokio::time::timeout(PATIENCE, self.socket.read_frame()).await.expect("no frame in time");
        match frame {
            Ok(frame) if frame.opcode == OpCode::Close => {
                let code = u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
                Err((code, String::from_utf8_lossy(&frame.payload[2..]).into_owned()))
            }
            Ok(frame) => Ok(String::from_utf8(frame.payload.to_vec()).expect("UTF-8")),
            Err(_) => Err((1006, String::new())),
        }
    }

    /// The next frame of any kind.
    pub(crate) async fn frame(&mut self) -> Value {
        if let Some(value) = self.waiting.pop_front() {
            return value;
        }
        serde_json::from_str(&self.text().await.expect("connection is open")).expect("JSON")
    }

    /// How the connection ends, passing over everything before.
    pub(crate) async fn end(&mut self) -> (u16, String) {
        loop {
            if let Err(end) = self.text().await {
                return end;
            }
        }
    }

    /// Sends a request as it is and gives its answer; notifications meanwhile are kept.
    pub(crate) async fn answer(&mut self, request: &str) -> Value {
        self.send(request).await;
        loop {
            let text = self.text().await.expect("connection is open");
            let value: Value = serde_json::from_str(&text).expect("JSON");
            if value.get("method").is_none() {
                return value;
            }
            self.waiting.push_back(value);
        }
    }

    /// Calls a method and gives the whole answer.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params});
        let answer = self.answer(&request.to_string()).await;
        assert_eq!(answer["id"], self.last_id);
        answer
    }

    pub(crate) async fn authenticate(&mut self, secret: &str) -> Value {
        let params = json!({"grant_type": "client_credentials", "client_id": "me", "client_secret": secret});
        self.call("public/auth", params).await
    }

    /// Subscribes channels and gives those acknowledged.
    pub(crate) async fn subscribe(&mut self, channels: &[&str]) -> Vec<String> {
        let answer = self.call("public/subscribe", json!({"channels": channels})).await;
        serde_json::from_value(answer["result"].clone()).expect("a list of channels")
    }

    pub(crate) async fn unsubscribe(&mut self, channels: &[&str]) -> Vec<String> {
        let answer = self.call("public/unsubscribe", json!({"channels": channels})).await;
        serde_json::from_value(answer["result"].clone()).expect("a list of channels")
    }

    /// The data of the next notification on a channel, passing over everything else.
    pub(crate) async fn data(&mut self, channel: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["params"]["channel"] == channel {
                return frame["params"]["data"].clone();
            }
        }
    }

    /// The data of so many notifications on a channel.
    pub(crate) async fn take(&mut self, channel: &str, count: u64) -> Vec<Value> {
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.push(self.data(channel).await);
        }
        taken
    }
}

/// An answer over HTTP: status and body.
pub(crate) async fn get(handle: &Handle, path: &str) -> (u16, Value) {
    let (stream, authority) = dial(handle).await;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.expect("HTTP");
    tokio::spawn(connection);
    let request = Request::get(path).header("Host", authority).body(Empty::<Bytes>::new()).expect("request");
    let response = sender.send_request(request).await.expect("response");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("body").to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// A book kept from a snapshot and changes by the venue's rule. Prices and amounts are compared as the numbers that
/// they are; both sides of a comparison are read the same way.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Held {
    pub(crate) change_id: u64,
    /// Prices in billionths and their amounts: bids, asks.
    pub(crate) sides: [BTreeMap<i64, f64>; 2],
}

fn billionths(price: f64) -> i64 {
    (price * 1e9).round() as i64
}

impl Held {
    /// Applies a message; false when it does not follow the last one.
    pub(crate) fn apply(&mut self, data: &Value) -> bool {
        if data["type"] == "snapshot" {
            assert_eq!(data.get("prev_change_id"), None, "a snapshot follows nothing");
            *self = Held::default();
        } else if data["prev_change_id"].as_u64().expect("id") != self.change_id {
            return false;
        }
        self.change_id = data["change_id"].as_u64().expect("id");
        for (side, key) in self.sides.iter_mut().zip(["bids", "asks"]) {
            for level in data[key].as_array().expect("levels") {
                let [price, amount] = [1, 2].map(|at| level[at].as_f64().expect("number"));
                let agrees = match level[0].as_str().expect("action") {
                    "delete" => {
                        assert_eq!(amount, 0.0);
                        side.remove(&billionths(price)).is_some()
                    }
                    "change" => side.insert(billionths(price), amount).is_some(),
                    "new" => side.insert(billionths(price), amount).is_none(),
                    other => panic!("unknown action {other}"),
                };
                assert!(agrees, "the action does not fit what was told before: {data}");
            }
        }
        true
    }

    pub(crate) fn of(book: &Book) -> Held {
        let side = |levels: &[(String, String)]| {
            let number = |text: &str| text.parse::<f64>().expect("number");
            levels.iter().map(|(price, amount)| (billionths(number(price)), number(amount))).collect()
        };
        Held { change_id: book.last_update_id, sides: [side(&book.bids), side(&book.asks)] }
    }
}

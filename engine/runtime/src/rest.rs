//! REST requests of the control thread: one client, bounded answers, the venue's limits kept.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use marketprism_core::clock::{monotonic_ns, wall_ns};
use marketprism_core::venue::{Market, Request};

use crate::backoff::Backoff;
use crate::governor::Governor;
use crate::telemetry::lock;
use crate::transport::Endpoint;

/// The longest answer that is accepted.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// An answer must be complete within this time.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// How long to stay away after a refusal that names no time.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(10);
/// The longest time that a venue's own wish is followed without asking again.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3 * 24 * 3600);

/// Why a request gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The server could not be reached or went away.
    #[error("{address}: {problem}")]
    Connection {
        /// Where.
        address: String,
        /// What went wrong.
        problem: String,
    },
    /// The venue says that we ask too much; requests pause until it allows them.
    #[error("{address}: HTTP {status}: too many requests; paused for {} s", pause.as_secs())]
    Limited {
        /// Where.
        address: String,
        /// 429 or 418.
        status: u16,
        /// For how long.
        pause: Duration,
    },
    /// Any other status than 200.
    #[error("{address}: HTTP {status}: {body}")]
    Status {
        /// Where.
        address: String,
        /// The status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
}

impl RestError {
    /// Whether the same request can never succeed (a client error).
    pub fn is_final(&self) -> bool {
        matches!(self, RestError::Status { status, .. } if (400..500).contains(status) && *status != 408)
    }
}

/// An answer with status 200.
pub struct Answer {
    /// The body.
    pub body: Bytes,
    /// Wall clock when the request was sent, nanoseconds.
    pub request_ns: i64,
    /// Wall clock when its last byte had been read, nanoseconds.
    pub receive_ns: i64,
}

/// Shared by all requests: connections are kept open.
#[derive(Clone)]
pub struct RestClient {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl RestClient {
    /// A client that trusts what `tls` trusts.
    pub fn new(tls: &rustls::ClientConfig) -> RestClient {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_http1()
            .build();
        RestClient { client: Client::builder(TokioExecutor::new()).build(connector) }
    }
}

/// The REST side of one market: its addresses and its limits.
pub struct RestMarket {
    client: RestClient,
    market: &'static Market,
    endpoints: Vec<Endpoint>,
    backoff: Mutex<Backoff>,
    governor: Arc<Mutex<Governor>>,
}

impl RestMarket {
    /// For a market reached at `endpoints`, first choice first.
    pub fn new(
        client: RestClient,
        market: &'static Market,
        endpoints: Vec<Endpoint>,
        governor: Arc<Mutex<Governor>>,
    ) -> RestMarket {
        let backoff = Mutex::new(Backoff::new(endpoints.len(), 1));
        RestMarket { client, market, backoff, endpoints, governor }
    }

    /// Sends a request as soon as the limits allow it.
    pub async fn get(&self, request: &Request) -> Result<Answer, RestError> {
        self.admitted(request.weight).await;
        let index = lock(&self.backoff).endpoint();
        let Some(endpoint) = self.endpoints.get(index) else {
            return Err(RestError::Connection {
                address: self.market.name.into(),
                problem: "no REST address is configured".into(),
            });
        };
        let scheme = if endpoint.tls { "https" } else { "http" };
        let address = format!("{scheme}://{}{}{}", endpoint.authority(), endpoint.prefix, request.path);
        let result = match tokio::time::timeout(ANSWER_LIMIT, self.send(&address)).await {
            Ok(result) => result,
            Err(_) => Err(RestError::Connection {
                address,
                problem: format!("no answer within {} s", ANSWER_LIMIT.as_secs()),
            }),
        };
        let mut backoff = lock(&self.backoff);
        match &result {
            Err(RestError::Connection { .. }) => {
                backoff.failed(0, false);
            }
            _ => backoff.succeeded(),
        }
        result
    }

    async fn admitted(&self, weight: u32) {
        loop {
            let admitted = lock(&self.governor).admit(monotonic_ns(), weight);
            let Err(later) = admitted else { return };
            let wait = Duration::from_nanos((later - monotonic_ns()).max(0) as u64);
            tokio::time::sleep(wait.min(Duration::from_secs(1))).await;
        }
    }

    async fn send(&self, address: &str) -> Result<Answer, RestError> {
        let connection = |problem: String| RestError::Connection { address: address.to_owned(), problem };
        let request = hyper::Request::get(address)
            .header(USER_AGENT, concat!("marketprism/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| connection(error.to_string()))?;
        let request_ns = wall_ns();
        let response =
            self.client.client.request(request).await.map_err(|error| connection(with_causes(&error)))?;
        let (head, body) = response.into_parts();
        self.observe(&head.headers);
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| connection(format!("reading the answer: {error}")))?.to_bytes();
        match head.status {
            StatusCode::OK => Ok(Answer { body, request_ns, receive_ns: wall_ns() }),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::IM_A_TEAPOT => {
                let pause = retry_after(&head.headers);
                lock(&self.governor).close_until(monotonic_ns() + pause.as_nanos() as i64);
                Err(RestError::Limited { address: address.to_owned(), status: head.status.as_u16(), pause })
            }
            status => Err(RestError::Status {
                address: address.to_owned(),
                status: status.as_u16(),
                body: String::from_utf8_lossy(&body).chars().take(200).collect(),
            }),
        }
    }

    /// The venue's own count of what this address has used.
    fn observe(&self, headers: &HeaderMap) {
        let header = self.market.used_weight_header.and_then(|name| headers.get(name));
        if let Some(used) = header.and_then(|value| value.to_str().ok()?.parse().ok()) {
            lock(&self.governor).observe_used(monotonic_ns(), used);
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(DEFAULT_RETRY_AFTER, Duration::from_secs).min(LONGEST_RETRY_AFTER)
}

/// An error with what caused it: the outermost text alone rarely says enough.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

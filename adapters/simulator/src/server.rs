//! Listeners: one port a market, WebSocket and REST on the same port, plain or TLS.

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::clock::now_ms;
use crate::config::Market;
use crate::connection::{Opening, serve};
use crate::core::Shared;
use crate::rest;
use crate::streams::Route;

/// Most connections open at once on one port.
const CONNECTIONS: usize = 2048;
/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Accepts connections for one market for ever.
pub(crate) async fn accept(shared: Shared, market: Market, listener: TcpListener, tls: Option<TlsAcceptor>) {
    let open = Rc::new(Cell::new(0_usize));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, or the peer vanished: try again a little later.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if open.get() >= CONNECTIONS || stream.set_nodelay(true).is_err() {
            continue;
        }
        open.set(open.get() + 1);
        let (shared, tls, open) = (shared.clone(), tls.clone(), open.clone());
        tokio::task::spawn_local(async move {
            match tls {
                None => http(shared, market, stream).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await {
                        http(shared, market, stream).await;
                    }
                }
            }
            open.set(open.get() - 1);
        });
    }
}

async fn http<I>(shared: Shared, market: Market, stream: I)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(shared.clone(), market, request));
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // A client that breaks off is no concern of the venue.
    let _ = connection.await;
}

async fn answer(
    shared: Shared,
    market: Market,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if fastwebsockets::upgrade::is_upgrade_request(&request) {
        return Ok(upgrade(&shared, market, &mut request));
    }
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or("").to_owned();
    let reply = rest::answer(&shared, market, request.method().as_str(), &path, &query).await;
    let mut response = Response::builder()
        .status(reply.status)
        .header("Content-Type", "application/json;charset=UTF-8")
        .header("X-MBX-USED-WEIGHT", reply.used_weight)
        .header("X-MBX-USED-WEIGHT-1M", reply.used_weight);
    if let Some(seconds) = reply.retry_after {
        response = response.header("Retry-After", seconds);
    }
    Ok(response.body(Full::new(Bytes::from(reply.body))).unwrap_or_default())
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn upgrade(shared: &Shared, market: Market, request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let Some(opening) = opening(market, &path, request.uri().query().unwrap_or("")) else {
        return plain(StatusCode::NOT_FOUND);
    };
    if !shared.core.borrow_mut().count_connect(market, now_ms()) {
        return plain(StatusCode::TOO_MANY_REQUESTS);
    }
    let Ok((response, upgraded)) = fastwebsockets::upgrade::upgrade(request) else {
        return plain(StatusCode::BAD_REQUEST);
    };
    let shared = shared.clone();
    tokio::task::spawn_local(async move {
        if let Ok(socket) = upgraded.await {
            serve(shared, socket.into_inner(), opening).await;
        }
    });
    response.map(|_| Full::new(Bytes::new()))
}

/// What a WebSocket URL asks for; `None` for a path that does not exist.
fn opening(market: Market, path: &str, query: &str) -> Option<Opening> {
    let (route, path) = match market {
        Market::Usdm => routed(path),
        Market::Spot | Market::Coinm => (Route::Public, path),
    };
    let decoded = |names: &str| -> Vec<String> {
        names.split('/').filter(|name| !name.is_empty()).map(rest::percent_decoded).collect()
    };
    if path == "/stream" || path == "/stream/" {
        let streams = query.split('&').find_map(|pair| pair.strip_prefix("streams=")).unwrap_or("");
        return Some(Opening { market, route, combined: true, streams: decoded(streams) });
    }
    let names = path.strip_prefix("/ws")?;
    let known = names.is_empty() || names.starts_with('/');
    known.then(|| Opening { market, route, combined: false, streams: decoded(names) })
}

/// Takes the route off a USD-M path; without one it is public.
fn routed(path: &str) -> (Route, &str) {
    let routes = [("/public", Route::Public), ("/market", Route::Market), ("/private", Route::Private)];
    routes
        .into_iter()
        .find_map(|(prefix, route)| {
            let rest = path.strip_prefix(prefix)?;
            rest.starts_with('/').then_some((route, rest))
        })
        .unwrap_or((Route::Public, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_what_they_open() {
        let raw = opening(Market::Spot, "/ws/a@trade/b@kline_1d%40%2B08:00", "").expect("exists");
        assert_eq!(
            (raw.combined, raw.streams),
            (false, vec!["a@trade".to_owned(), "b@kline_1d@+08:00".to_owned()])
        );
        let combined = opening(Market::Usdm, "/market/stream", "timeUnit=x&streams=a@aggTrade/b@ticker");
        let combined = combined.expect("exists");
        assert_eq!((combined.combined, combined.route), (true, Route::Market));
        assert_eq!(combined.streams.len(), 2);
        assert!(opening(Market::Spot, "/ws", "").is_some_and(|opening| opening.streams.is_empty()));
        assert!(opening(Market::Spot, "/market/ws", "").is_none());
        assert!(opening(Market::Spot, "/wsx", "").is_none());
        assert_eq!(opening(Market::Usdm, "/ws", "").map(|opening| opening.route), Some(Route::Public));
    }
}

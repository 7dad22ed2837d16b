//! The listener of a hosted venue: WebSocket and REST on one port, plain or TLS.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connection::serve;
use super::core::Core;

/// Most connections open at once.
const CONNECTIONS: usize = 2048;
/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The state all tasks of a host share.
pub(crate) type Shared = Rc<RefCell<Core>>;

/// Accepts connections for ever.
pub(crate) async fn accept(shared: Shared, listener: TcpListener, tls: Option<TlsAcceptor>) {
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
                None => http(shared, stream).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await {
                        http(shared, stream).await;
                    }
                }
            }
            open.set(open.get() - 1);
        });
    }
}

async fn http<I>(shared: Shared, stream: I)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = answer(&shared, request);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // A client that breaks off is no concern of the venue.
    let _ = connection.await;
}

fn answer(shared: &Shared, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    if fastwebsockets::upgrade::is_upgrade_request(&request) {
        return upgrade(shared, &mut request);
    }
    if request.method() != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    let uri = request.uri();
    let answer = shared.borrow_mut().rest(uri.path(), uri.query().unwrap_or(""));
    let response = Response::builder().status(answer.status).header("Content-Type", "application/json");
    response.body(Full::new(Bytes::from(answer.body))).unwrap_or_default()
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn upgrade(shared: &Shared, request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    let opened = shared.borrow_mut().open(request.uri().path());
    let connection = match opened {
        Ok(connection) => connection,
        Err(status) => return plain(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)),
    };
    let Ok((response, upgraded)) = fastwebsockets::upgrade::upgrade(request) else {
        shared.borrow_mut().closed(connection);
        return plain(StatusCode::BAD_REQUEST);
    };
    let shared = shared.clone();
    tokio::task::spawn_local(async move {
        match upgraded.await {
            Ok(socket) => serve(shared, socket.into_inner(), connection).await,
            Err(_) => shared.borrow_mut().closed(connection),
        }
    });
    response.map(|_| Full::new(Bytes::new()))
}

//! The client's side of the WebSocket upgrade (RFC 6455, section 4.1), over any byte stream.
//!
//! `fastwebsockets` brings one that needs streams which can move between threads; those on a ring cannot.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// The longest answer to the upgrade.
const MAX_ANSWER_BYTES: usize = 16 * 1024;
/// Appended to the key before hashing, RFC 6455 section 1.3.
const ACCEPT_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A stream, and bytes of it that were read too early.
pub struct Prefixed<S> {
    prefix: Vec<u8>,
    taken: usize,
    inner: S,
}

/// Asks for the upgrade and checks the answer. No extension is offered.
pub(super) async fn upgrade<S>(mut stream: S, authority: &str, path: &str) -> Result<Prefixed<S>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let key = fastwebsockets::handshake::generate_key();
    let path = if path.is_empty() { "/" } else { path };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nUser-Agent: marketprism/{}\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    let failed = |error: io::Error| format!("WebSocket upgrade: {error}");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;

    let mut answer = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
            return Err("WebSocket upgrade: the server closed the connection".into());
        }
        if let Some(head_bytes) = check_answer(&answer, &key)? {
            answer.drain(..head_bytes);
            return Ok(Prefixed { prefix: answer, taken: 0, inner: stream });
        }
        if answer.len() > MAX_ANSWER_BYTES {
            return Err(format!("WebSocket upgrade: the answer is longer than {MAX_ANSWER_BYTES} bytes"));
        }
    }
}

/// The length of the answer's head once it is whole and right.
fn check_answer(answer: &[u8], key: &str) -> Result<Option<usize>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let status = response.parse(answer).map_err(|error| format!("WebSocket upgrade: not HTTP: {error}"))?;
    let httparse::Status::Complete(head_bytes) = status else { return Ok(None) };
    if response.code != Some(101) {
        let body = String::from_utf8_lossy(answer.get(head_bytes..).unwrap_or_default());
        return Err(format!(
            "WebSocket upgrade refused: HTTP {} {} {}",
            response.code.unwrap_or(0),
            response.reason.unwrap_or(""),
            body.chars().take(200).collect::<String>()
        ));
    }
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(ACCEPT_SUFFIX.as_bytes());
    let expected = STANDARD.encode(hash.finalize());
    let accept =
        response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept"));
    match accept {
        Some(header) if header.value == expected.as_bytes() => Ok(Some(head_bytes)),
        _ => Err("WebSocket upgrade: the answer does not match the key; is this a WebSocket server?".into()),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let rest = this.prefix.get(this.taken..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut this.inner).poll_read(cx, out);
        }
        let count = rest.len().min(out.remaining());
        out.put_slice(&rest[..count]);
        this.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[test]
    fn the_example_of_rfc_6455_is_accepted_at_every_split() {
        for length in 0..GOOD.len() {
            assert_eq!(check_answer(&GOOD.as_bytes()[..length], KEY), Ok(None));
        }
        let with_data = format!("{GOOD}data");
        assert_eq!(check_answer(with_data.as_bytes(), KEY), Ok(Some(GOOD.len())));
    }

    #[test]
    fn other_answers_are_refused_with_their_words() {
        let refused = check_answer(b"HTTP/1.1 429 Too Many Requests\r\n\r\nslow down", KEY);
        assert_eq!(refused, Err("WebSocket upgrade refused: HTTP 429 Too Many Requests slow down".into()));
        let wrong = GOOD.replace("s3pP", "s3pQ");
        assert!(check_answer(wrong.as_bytes(), KEY).is_err());
        assert!(check_answer(b"SSH-2.0-OpenSSH_9.2\r\n", KEY).is_err());
    }
}

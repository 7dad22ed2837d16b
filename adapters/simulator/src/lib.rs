//! Binance's WebSocket and REST interfaces for spot, USD-M and COIN-M futures, served on loopback.
//!
//! An independent model of the venue: it shares no code with the adapters that are tested against it. The
//! data is a generated market ([`Generated`]), captured frames ([`Capture`]) or recorded history ([`history`]); the control
//! protocol, the limits and the errors are the venue's. Every market has its own port, which serves WebSocket and REST,
//! plain or over TLS with a certificate of its own.
//!
//! ```
//! use marketprism_simulator::{Config, Generated, Market, Simulator, Source};
//!
//! let source = Source::Generated(Generated { seed: 1, symbols: 4, messages_per_second: Some(1000) });
//! let simulator = Simulator::start(Config::new(source))?;
//! assert!(simulator.websocket_url(Market::Spot).starts_with("ws://127.0.0.1:"));
//! let ledger = simulator.stop();
//! assert_eq!(ledger.messages(), 0);
//! # Ok::<(), marketprism_simulator::Error>(())
//! ```

mod answers;
mod book;
mod capture;
mod clock;
mod config;
mod connection;
mod core;
pub mod deribit;
mod fault;
mod frames;
mod futures;
pub mod history;
pub mod host;
mod hub;
mod instrument;
mod ledger;
mod market;
pub mod okx;
mod playback;
mod producer;
mod protocol;
mod rest;
mod run;
mod scan;
mod server;
mod stats;
mod streams;
mod symbols;
mod text;
mod tls;
mod weight;
mod wire;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

pub use crate::config::{Capture, Config, Generated, Limits, Market, Pace, Source, Start};
pub use crate::fault::{Disconnection, Fault};
pub use crate::ledger::{Ledger, StreamLedger};

use crate::run::{Command, Started};

/// Longest wait for everything produced to be written, once paused.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);
/// Longest wait for an answer of the simulator's thread.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No market was asked for, or one that the source has no data of.
    #[error("configuration: {0}")]
    Configuration(String),
    /// A port is taken or may not be used.
    #[error("cannot listen on port {port} for {market}: {source}")]
    Listen {
        /// Market of the port.
        market: Market,
        /// The port, 0 for any.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// A capture cannot be read.
    #[error("capture {path}: {reason}")]
    Capture {
        /// Folder, file or stream.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate cannot be made.
    #[error("certificate: {0}")]
    Certificate(String),
    /// The file for sent frames cannot be created.
    #[error("recording of frames in {path}: {source}")]
    Record {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The thread or its runtime cannot be started.
    #[error("runtime: {0}")]
    Runtime(std::io::Error),
}

/// The book of a generated instrument, as text exactly as sent, best level first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// Update id of the last change.
    pub last_update_id: u64,
    /// Bids: price and quantity.
    pub bids: Vec<(String, String)>,
    /// Asks: price and quantity.
    pub asks: Vec<(String, String)>,
}

/// A running simulator on a thread of its own; dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    started: Started,
    tls: bool,
    commands: tokio::sync::mpsc::Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts a simulator; its ports accept connections when this returns. With history it waits for what the reader tells
    /// of the time before ([`history::HistoryEvent::Begin`]).
    pub fn start(config: Config) -> Result<Simulator, Error> {
        let tls = config.tls;
        let (commands, inbox) = tokio::sync::mpsc::channel(64);
        let (ready, readiness) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || run::thread(config, inbox, &ready))
            .map_err(Error::Runtime)?;
        match readiness.recv() {
            Ok(Ok(started)) => Ok(Simulator { started, tls, commands, thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Runtime(std::io::Error::other("the thread ended while starting"))),
        }
    }

    fn address(&self, market: Market, plain: &str, encrypted: &str) -> String {
        let port = self.started.ports[market.index()];
        if self.tls {
            format!("{encrypted}://localhost:{port}")
        } else {
            format!("{plain}://127.0.0.1:{port}")
        }
    }

    /// Base of WebSocket URLs, without a path. The port is 0 for a market that is not served.
    pub fn websocket_url(&self, market: Market) -> String {
        self.address(market, "ws", "wss")
    }

    /// Base of REST URLs, without a path. The port is 0 for a market that is not served.
    pub fn rest_url(&self, market: Market) -> String {
        self.address(market, "http", "https")
    }

    /// The certificate authority clients must trust, as PEM, when TLS is on.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.started.authority_pem.as_deref()
    }

    /// Symbols with data, as the venue writes them (upper case).
    pub fn symbols(&self, market: Market) -> Vec<String> {
        self.started.symbols[market.index()].clone()
    }

    /// Names of all streams with data: for a capture exactly those in it.
    pub fn streams(&self, market: Market) -> Vec<String> {
        self.started.streams[market.index()].clone()
    }

    /// Lets data flow, whatever [`Config::start`] says; also after [`Simulator::pause`].
    pub fn start_feed(&self) {
        self.send(Command::StartFeed);
    }

    /// Stops producing, waits up to 5 s until everything produced was written to the sockets, and returns
    /// the ledger. Depth changes of a generated market that wait for their grid are sent before, so that
    /// [`Simulator::final_book`] is the book of whoever applied every diff event.
    pub fn pause(&self) -> Ledger {
        let (reply, answer) = sync_channel(1);
        self.send(Command::Pause(reply));
        answer.recv_timeout(LONGEST_DRAIN).unwrap_or_else(|_| {
            let mut ledger = self.ledger();
            ledger
                .violations
                .push("not everything was taken from the sockets within 5 s of the pause".to_owned());
            ledger
        })
    }

    /// Waits until a capture or a history was played to its end and written to the sockets; `None` when the time runs out.
    pub fn wait_until_finished(&self, timeout: Duration) -> Option<Ledger> {
        let (reply, answer) = sync_channel(1);
        self.send(Command::WaitFinished(reply));
        answer.recv_timeout(timeout).ok()
    }

    /// A copy of the ledger as it is now.
    pub fn ledger(&self) -> Ledger {
        let (reply, answer) = sync_channel(1);
        self.send(Command::Ledger(reply));
        received(&answer).unwrap_or_default()
    }

    /// The book of a generated instrument; what recorders should have once paused. `None` for captures and
    /// unknown symbols.
    pub fn final_book(&self, market: Market, symbol: &str) -> Option<Book> {
        let (reply, answer) = sync_channel(1);
        self.send(Command::Book(market, symbol.to_owned(), reply));
        received(&answer).flatten()
    }

    /// Pauses, stops and returns the ledger.
    pub fn stop(self) -> Ledger {
        self.pause()
    }

    /// Hands a command to the thread; a full inbox is waited for, a thread that ended ignores it.
    fn send(&self, mut command: Command) {
        use tokio::sync::mpsc::error::TrySendError;
        while let Err(TrySendError::Full(back)) = self.commands.try_send(command) {
            command = back;
            std::thread::yield_now();
        }
    }
}

fn received<T>(answer: &Receiver<T>) -> Option<T> {
    answer.recv_timeout(LONGEST_ANSWER).ok()
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by it already.
            let _ = thread.join();
        }
    }
}

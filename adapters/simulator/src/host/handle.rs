//! Starting a hosted venue, and the handle to it.

use std::cell::RefCell;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

use super::capture::Playback;
use super::core::{Core, Feed};
use super::history::Replay;
use super::hub::Hub;
use super::{Config, Disturbance, Ledger, ListingChange, Protocol, Source, server};
use crate::config::Pace;
use crate::history::ReplayedStream;
use crate::{Book, Error, tls};

/// Longest wait for everything produced to be written, once paused.
const LONGEST_DRAIN: Duration = Duration::from_secs(5);
/// Longest wait for an answer of the host's thread.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);

/// Commands that may wait for the host's thread.
const COMMANDS: usize = 64;

/// Something to be done on the host's thread.
type Command = Box<dyn FnOnce(&mut Core) + Send>;

/// A running venue on a thread of its own; dropping it stops it.
#[derive(Debug)]
pub struct Handle {
    port: u16,
    authority_pem: Option<String>,
    markets: Vec<String>,
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a venue; its port accepts connections when this returns.
pub(crate) fn start<L>(config: &Config<L>, mut protocol: Box<dyn Protocol>) -> Result<Handle, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(16).build();
    let runtime = runtime.map_err(Error::Runtime)?;
    let feed = feed(&config.source, &mut *protocol)?;
    let recorder = match &config.record_frames {
        None => None,
        Some(path) => {
            let failure = |source| Error::Record { path: path.clone(), source };
            Some(File::create(path).map_err(failure)?)
        }
    };
    let markets = protocol.markets().iter().map(|market| (*market).to_owned()).collect();
    let hub = Hub::new(recorder, protocol.too_slow());
    let mut core = Core::new(protocol, hub, feed, config.start);
    for fault in &config.faults {
        if !core.schedule(fault) {
            let text = format!("a fault of {} {}, which has no data", fault.market, fault.stream);
            return Err(Error::Configuration(text));
        }
    }
    let (listener, port) = listen(&runtime, config.port.unwrap_or(0))?;
    let identity = if config.tls { Some(tls::identity()?) } else { None };
    let (acceptor, authority_pem) =
        identity.map(|identity| (identity.acceptor, identity.authority_pem)).unzip();
    let (commands, inbox) = channel(COMMANDS);
    let thread = std::thread::Builder::new()
        .name("simulator".to_owned())
        .spawn(move || LocalSet::new().block_on(&runtime, serve(core, listener, acceptor, inbox)))
        .map_err(Error::Runtime)?;
    Ok(Handle { port, authority_pem, markets, commands: Some(commands), thread: Some(thread) })
}

fn feed(source: &Source, protocol: &mut dyn Protocol) -> Result<Feed, Error> {
    match source {
        Source::Generated(generated) => match generated.messages_per_second {
            Some(0) => Err(Error::Configuration("messages_per_second must not be 0".to_owned())),
            rate => Ok(Feed::Generated(rate)),
        },
        Source::Capture(capture) => {
            if let Pace::Times(factor) = capture.pace
                && !(factor.is_finite() && factor > 0.0)
            {
                return Err(Error::Configuration("the pace factor must be above 0".to_owned()));
            }
            Ok(Feed::Played(Playback::load(capture, protocol)?, capture.pace))
        }
        Source::History(history) => Ok(Feed::Replayed(Replay::new(history.clone()))),
    }
}

fn listen(runtime: &Runtime, port: u16) -> Result<(TcpListener, u16), Error> {
    let _entered = runtime.enter();
    let bound = StdListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    });
    bound.map_err(|error| Error::Configuration(format!("cannot listen on port {port}: {error}")))
}

/// The body of the thread: runs until the handle is gone.
async fn serve(
    mut core: Core,
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    mut inbox: Receiver<Command>,
) {
    core.prepare();
    let shared = Rc::new(RefCell::new(core));
    spawn_local(server::accept(shared.clone(), listener, acceptor));
    let driven = shared.clone();
    spawn_local(async move {
        loop {
            let pause = driven.borrow_mut().step();
            if pause.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(pause).await;
            }
        }
    });
    while let Some(command) = inbox.recv().await {
        command(&mut shared.borrow_mut());
    }
}

impl Handle {
    /// Base of WebSocket URLs, without a path.
    pub fn websocket_url(&self) -> String {
        self.address("ws", "wss")
    }

    /// Base of REST URLs, without a path.
    pub fn rest_url(&self) -> String {
        self.address("http", "https")
    }

    fn address(&self, plain: &str, encrypted: &str) -> String {
        match self.authority_pem {
            Some(_) => format!("{encrypted}://localhost:{}", self.port),
            None => format!("{plain}://127.0.0.1:{}", self.port),
        }
    }

    /// The certificate authority clients must trust, as PEM, when TLS is on.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.authority_pem.as_deref()
    }

    /// Markets of the venue.
    pub fn markets(&self) -> Vec<String> {
        self.markets.clone()
    }

    /// Instruments with data, as the venue writes them.
    pub fn symbols(&self, market: &str) -> Vec<String> {
        let market = market.to_owned();
        self.ask(move |core| core.protocol().symbols(&market)).unwrap_or_default()
    }

    /// Names of all streams with data: for a capture exactly those in it.
    pub fn streams(&self, market: &str) -> Vec<String> {
        let market = market.to_owned();
        self.ask(move |core| core.streams(&market)).unwrap_or_default()
    }

    /// Lets data flow, whatever [`Config::start`] says; also after [`Handle::pause`].
    pub fn start_feed(&self) {
        self.ask(Core::start_feed);
    }

    /// Stops producing, sends what waits for its grid, waits up to 5 s until everything is written to the sockets,
    /// and returns the ledger. [`Handle::final_book`] is then the book of whoever applied every message.
    pub fn pause(&self) -> Ledger {
        self.wait(LONGEST_DRAIN, Core::pause).unwrap_or_else(|| {
            let mut ledger = self.ledger();
            let text = "not everything was taken from the sockets within 5 s of the pause";
            ledger.violations.push(text.to_owned());
            ledger
        })
    }

    /// What became of the records of a history, by market and stream.
    pub fn replayed(&self) -> Vec<ReplayedStream> {
        self.ask(|core| core.protocol().replayed()).unwrap_or_default()
    }

    /// Waits until a capture or a history was played to its end and written to the sockets; `None` when the time runs
    /// out.
    pub fn wait_until_finished(&self, timeout: Duration) -> Option<Ledger> {
        self.wait(timeout, Core::wait_until_finished)
    }

    /// A copy of the ledger as it is now.
    pub fn ledger(&self) -> Ledger {
        self.ask(Core::ledger).unwrap_or_default()
    }

    /// The book of a generated instrument; what recorders should have once paused. `None` for captures and
    /// unknown symbols.
    pub fn final_book(&self, market: &str, symbol: &str) -> Option<Book> {
        let (market, symbol) = (market.to_owned(), symbol.to_owned());
        self.ask(move |core| core.book(&market, &symbol)).flatten()
    }

    /// Lists or expires an instrument now; gives its name, `None` when the venue cannot.
    pub fn change_listing(&self, change: ListingChange) -> Option<String> {
        self.ask(move |core| core.change_listing(&change)).flatten()
    }

    /// Does one thing wrong on a stream now; false when there is no such stream.
    pub fn disturb(&self, market: &str, stream: &str, what: Disturbance) -> bool {
        let (market, stream) = (market.to_owned(), stream.to_owned());
        self.ask(move |core| core.disturb(&market, &stream, what)).unwrap_or(false)
    }

    /// Answers the next requests of paths that begin so with a status and no body.
    pub fn fail_rest(&self, path_prefix: &str, status: u16, times: u32) {
        let path_prefix = path_prefix.to_owned();
        self.ask(move |core| core.fail_rest(path_prefix, status, times));
    }

    /// Pauses, stops and returns the ledger.
    pub fn stop(self) -> Ledger {
        self.pause()
    }

    /// Has something done on the thread; `None` when it does not answer.
    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Core) -> T + Send + 'static) -> Option<T> {
        self.wait(LONGEST_ANSWER, move |core, reply| {
            // An asker that no longer waits needs no answer.
            let _ = reply.try_send(question(core));
        })
    }

    fn wait<T: Send + 'static>(
        &self,
        longest: Duration,
        question: impl FnOnce(&mut Core, SyncSender<T>) + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = sync_channel(1);
        let command: Command = Box::new(move |core| question(core, reply));
        // A thread that ended has dropped the reply, which ends the wait.
        let commands = self.commands.as_ref()?;
        let mut sent = commands.try_send(command);
        while let Err(TrySendError::Full(command)) = sent {
            std::thread::yield_now();
            sent = commands.try_send(command);
        }
        answer.recv_timeout(longest).ok()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by it already.
            let _ = thread.join();
        }
    }
}

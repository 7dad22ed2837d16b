//! The simulator's thread: sets everything up, then serves until it is told to stop.

use std::cell::RefCell;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::mpsc::SyncSender;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;
use tokio::task::{LocalSet, spawn_local};

use crate::book::Side;
use crate::clock::now_ms;
use crate::config::{Config, Market, Pace, Source};
use crate::core::{Core, Feed, Shared};
use crate::fault::Script;
use crate::history::binance::Replay;
use crate::hub::Hub;
use crate::ledger::Ledger;
use crate::market::World;
use crate::playback::Playback;
use crate::producer::{self, Mode};
use crate::{Book, Error, capture, server, tls};

/// Pending bytes at which a flat-out feed lets the sockets catch up.
const FLAT_HIGH_WATER: usize = 192 << 10;
/// Pending bytes at which a paced feed falls behind.
const PACED_HIGH_WATER: usize = 16 << 20;

/// What the handle asks of the thread.
#[derive(Debug)]
pub(crate) enum Command {
    StartFeed,
    Pause(SyncSender<Ledger>),
    WaitFinished(SyncSender<Ledger>),
    Ledger(SyncSender<Ledger>),
    Book(Market, String, SyncSender<Option<Book>>),
    Stop,
}

/// What the handle knows of a started simulator.
#[derive(Debug, Default)]
pub(crate) struct Started {
    pub(crate) ports: [u16; 3],
    pub(crate) symbols: [Vec<String>; 3],
    pub(crate) streams: [Vec<String>; 3],
    pub(crate) authority_pem: Option<String>,
}

/// Everything needed to serve.
struct Setup {
    listeners: Vec<(Market, StdListener)>,
    identity: Option<tls::Identity>,
    core: Core,
    mode: Mode,
}

/// The body of the thread.
pub(crate) fn thread(config: Config, inbox: Receiver<Command>, ready: &SyncSender<Result<Started, Error>>) {
    // The starter waits for exactly one answer; when it is gone, so is the need for a simulator.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(16).build();
    let prepared = runtime.map_err(Error::Runtime).and_then(|runtime| Ok((runtime, setup(&config)?)));
    match prepared {
        Err(error) => {
            let _ = ready.send(Err(error));
        }
        Ok((runtime, setup)) => LocalSet::new().block_on(&runtime, serve(setup, inbox, ready)),
    }
}

fn setup(config: &Config) -> Result<Setup, Error> {
    let (feed, mode) = feed(config)?;
    if config.markets.is_empty() {
        return Err(Error::Configuration("no market to serve".to_owned()));
    }
    for &market in &config.markets {
        if feed.symbols(market).is_empty() {
            return Err(Error::Configuration(format!("the source has no data of {market}")));
        }
    }
    let recorder = match &config.record_frames {
        None => None,
        Some(path) => {
            let failure = |source| Error::Record { path: path.clone(), source };
            Some(File::create(path).map_err(failure)?)
        }
    };
    let paced = !matches!(mode, Mode::GeneratedFlat | Mode::Played(Pace::Flat) | Mode::Recorded);
    let high_water = if paced { PACED_HIGH_WATER } else { FLAT_HIGH_WATER };
    let hub = Hub::new(Script::new(&config.faults), recorder, high_water);
    let identity = if config.tls { Some(tls::identity()?) } else { None };
    Ok(Setup { listeners: listen(config)?, identity, core: Core::new(config, feed, hub), mode })
}

fn feed(config: &Config) -> Result<(Feed, Mode), Error> {
    match &config.source {
        Source::Generated(generated) => {
            if generated.messages_per_second == Some(0) {
                return Err(Error::Configuration("messages_per_second must not be 0".to_owned()));
            }
            let current = config.limits.current_fields;
            let world = World::new(generated, &config.markets, current, now_ms());
            let mode = generated.messages_per_second.map_or(Mode::GeneratedFlat, Mode::GeneratedRate);
            Ok((Feed::Generated(Box::new(world)), mode))
        }
        Source::Capture(source) => {
            if let Pace::Times(factor) = source.pace
                && !(factor.is_finite() && factor > 0.0)
            {
                return Err(Error::Configuration("the pace factor must be above 0".to_owned()));
            }
            let served = source.folders.iter().filter(|(market, _)| config.markets.contains(market));
            let loaded = capture::load(&served.cloned().collect::<Vec<_>>())?;
            let playback = Playback::new(source, loaded)?;
            Ok((Feed::Played(Box::new(playback)), Mode::Played(source.pace)))
        }
        Source::History(history) => Ok((Feed::Recorded(Box::new(Replay::new(history))), Mode::Recorded)),
    }
}

fn listen(config: &Config) -> Result<Vec<(Market, StdListener)>, Error> {
    let one = |market: Market| {
        let port = config.ports.map_or(0, |ports| ports[market.index()]);
        let failure = |source| Error::Listen { market, port, source };
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failure)?;
        listener.set_nonblocking(true).map_err(failure)?;
        Ok((market, listener))
    };
    let mut markets = config.markets.clone();
    markets.sort_unstable();
    markets.dedup();
    markets.into_iter().map(one).collect()
}

fn describe(setup: &Setup) -> Result<Started, Error> {
    let mut started = Started {
        authority_pem: setup.identity.as_ref().map(|identity| identity.authority_pem.clone()),
        ..Started::default()
    };
    for (market, listener) in &setup.listeners {
        let index = market.index();
        started.ports[index] = listener.local_addr().map_err(Error::Runtime)?.port();
        started.symbols[index] = setup.core.feed.symbols(*market);
        started.streams[index] = setup.core.feed.stream_names(*market);
    }
    Ok(started)
}

async fn serve(setup: Setup, inbox: Receiver<Command>, ready: &SyncSender<Result<Started, Error>>) {
    let started = describe(&setup);
    let shared = Shared {
        core: Rc::new(RefCell::new(setup.core)),
        room: Rc::new(Notify::new()),
        changed: Rc::new(Notify::new()),
        progress: Rc::new(Notify::new()),
    };
    for (market, listener) in setup.listeners {
        let acceptor = setup.identity.as_ref().map(|identity| identity.acceptor.clone());
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                spawn_local(server::accept(shared.clone(), market, listener, acceptor));
            }
            Err(error) => {
                let _ = ready.send(Err(Error::Runtime(error)));
                return;
            }
        }
    }
    let (feeding, mode) = (shared.clone(), setup.mode);
    spawn_local(async move {
        if let Err(error) = producer::run(feeding.clone(), mode).await {
            feeding.core.borrow_mut().hub.violation(format!("the feed ended: {error}"));
        }
    });
    if ready.send(started).is_ok() {
        obey(&shared, inbox).await;
    }
}

/// Handles commands until told to stop, or until the handle is gone.
async fn obey(shared: &Shared, mut inbox: Receiver<Command>) {
    while let Some(command) = inbox.recv().await {
        let core = &mut *shared.core.borrow_mut();
        match command {
            Command::StartFeed => core.start_feed(),
            Command::Pause(reply) => {
                core.running = false;
                if let Feed::Generated(world) = &mut core.feed {
                    world.flush_depth(&mut core.hub);
                }
                core.hub.flush();
                core.wait_drained(false, reply);
            }
            Command::WaitFinished(reply) => core.wait_drained(true, reply),
            Command::Ledger(reply) => {
                // A caller that no longer waits needs no answer; the same below.
                let _ = reply.try_send(core.ledger());
            }
            Command::Book(market, symbol, reply) => {
                let _ = reply.try_send(book(&core.feed, market, &symbol));
            }
            Command::Stop => return,
        }
        shared.changed.notify_one();
    }
}

fn book(feed: &Feed, market: Market, symbol: &str) -> Option<Book> {
    let Feed::Generated(world) = feed else { return None };
    let instrument = world.find(market, symbol)?;
    Some(Book {
        last_update_id: instrument.update_id,
        bids: World::levels(instrument, Side::Bid),
        asks: World::levels(instrument, Side::Ask),
    })
}

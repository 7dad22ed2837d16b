//! The control thread: everything that is allowed to be slow. Gets new snapshots of books when a normaliser wants
//! them, repeats the polled requests, and follows the market's instruments.

mod polls;
mod snapshots;
mod universe;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytemuck::Zeroable;
use crossbeam::channel::Sender;
use marketprism_core::instrument::{Instrument, InstrumentId, Registry};
use marketprism_core::record::{Body, Definition, Header, Kind, Record, RecordBuffer, Sink, flag};
use marketprism_core::venue::{DecodeError, Market, Poll, Venue};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::LocalSet;

use crate::io::{LineCommand, Notice};
use crate::journal::Asked;
use crate::lines::{Dispatcher, Line, LineMarket};
use crate::normaliser::Hole;
use crate::outlet::Outlet;
use crate::raw::Origin;
use crate::rest::{Answer, RestMarket};
use crate::settings::{RawCapture, Source};
use crate::stage::StageCommand;
use crate::telemetry::EventSender;
use snapshots::Snapshots;

/// Snapshot requests under way at once, for one market: where an answer takes a quarter of a second, a minute's weight
/// of the cheapest ones is spent in ten.
const SNAPSHOTS_AT_ONCE: usize = 32;

/// What control did so far.
#[derive(Debug, Default)]
pub struct ControlCounters {
    /// Requests answered.
    pub requests: AtomicU64,
    /// Requests that failed.
    pub failures: AtomicU64,
}

/// One market as control sees it.
pub(crate) struct ControlledMarket {
    pub(crate) line: LineMarket,
    pub(crate) rest: Arc<RestMarket>,
    pub(crate) sources: Vec<Source>,
    /// The instruments recorded, by id.
    pub(crate) instruments: RefCell<BTreeMap<InstrumentId, Instrument>>,
    /// Number of its books.
    pub(crate) books: RefCell<HashSet<InstrumentId>>,
    pub(crate) lines: RefCell<Vec<Line>>,
    /// Requests to repeat, from the start.
    pub(crate) polls: Vec<Poll>,
    pub(crate) definitions_missing: bool,
    /// The venue says that instruments changed.
    pub(crate) changed: Notify,
    /// Turns for snapshot requests.
    pub(crate) snapshot_slots: Semaphore,
}

impl ControlledMarket {
    /// How many snapshot requests may be under way at once.
    pub(crate) fn snapshot_slots() -> Semaphore {
        Semaphore::new(SNAPSHOTS_AT_ONCE)
    }

    fn label(&self) -> String {
        self.line.label()
    }

    fn has_line(&self, id: u32) -> bool {
        self.lines.borrow().iter().any(|line| line.id == id)
    }
}

/// Everything that the control thread owns.
pub(crate) struct Control {
    pub(crate) markets: Vec<ControlledMarket>,
    /// Rings to the normalisers.
    pub(crate) outlet: Outlet,
    /// Instruments whose books want a snapshot.
    pub(crate) wanted: mpsc::Receiver<InstrumentId>,
    /// Holes whose frames are worth keeping.
    pub(crate) holes: mpsc::Receiver<Hole>,
    /// What connections tell.
    pub(crate) notices: mpsc::Receiver<Notice>,
    /// Makes connections.
    pub(crate) dispatcher: Dispatcher,
    /// The normaliser threads.
    pub(crate) stages: Vec<Sender<StageCommand>>,
    /// All definitions.
    pub(crate) registry: Registry,
    /// The instruments recorded, for others to see.
    pub(crate) instruments: Arc<Mutex<BTreeMap<InstrumentId, Instrument>>>,
    pub(crate) events: EventSender,
    pub(crate) counters: Arc<ControlCounters>,
    /// Becomes true when the recorder stops.
    pub(crate) stop: watch::Receiver<bool>,
}

/// What the tasks of the control thread share.
struct Shared {
    outlet: RefCell<Outlet>,
    registry: RefCell<Registry>,
    /// The market of each instrument recorded.
    owners: RefCell<HashMap<InstrumentId, Rc<ControlledMarket>>>,
    dispatcher: Dispatcher,
    stages: Vec<Sender<StageCommand>>,
    instruments: Arc<Mutex<BTreeMap<InstrumentId, Instrument>>>,
    events: EventSender,
    counters: Arc<ControlCounters>,
}

/// Runs until the recorder stops.
pub(crate) async fn run(control: Control) {
    let Control { markets, mut wanted, mut holes, mut notices, mut stop, .. } = control;
    let shared = Rc::new(Shared {
        outlet: RefCell::new(control.outlet),
        registry: RefCell::new(control.registry),
        owners: RefCell::default(),
        dispatcher: control.dispatcher,
        stages: control.stages,
        instruments: control.instruments,
        events: control.events,
        counters: control.counters,
    });
    let tasks = LocalSet::new();
    let mut by_entry: HashMap<InstrumentId, Rc<ControlledMarket>> = HashMap::new();
    for market in markets {
        let market = Rc::new(market);
        by_entry.insert(market.line.instrument, Rc::clone(&market));
        for id in market.instruments.borrow().keys() {
            shared.owners.borrow_mut().insert(*id, Rc::clone(&market));
        }
        for (index, poll) in market.polls.iter().enumerate() {
            tasks.spawn_local(polls::repeat(Rc::clone(&market), poll.clone(), index, Rc::clone(&shared)));
        }
        tasks.spawn_local(universe::follow(market, Rc::clone(&shared)));
    }
    let serve = async {
        let snapshots = Rc::new(Snapshots::default());
        loop {
            tokio::select! {
                Some(instrument) = wanted.recv() => {
                    let owner = shared.owners.borrow().get(&instrument).cloned();
                    if let Some(market) = owner {
                        snapshots.want(market, instrument, &shared);
                    }
                }
                Some(hole) = holes.recv() => shared.keep_around(hole),
                Some(notice) = notices.recv() => match notice {
                    Notice::InstrumentsChanged(entry) => {
                        if let Some(market) = by_entry.get(&entry) {
                            market.changed.notify_one();
                        }
                    }
                    Notice::Subscribed(line) => {
                        let markets = by_entry.values();
                        for market in markets.filter(|market| market.has_line(line)) {
                            let (market, snapshots) = (Rc::clone(market), Rc::clone(&snapshots));
                            tokio::task::spawn_local(snapshots.quiet(market, line, Rc::clone(&shared)));
                        }
                    }
                },
                else => return,
            }
        }
    };
    tasks
        .run_until(async {
            tokio::select! {
                () = serve => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        })
        .await;
}

/// Fetches the definitions of a market: the instruments, and what could not be read.
pub async fn fetch_instruments(
    venue: &dyn Venue,
    market: &Market,
    rest: &RestMarket,
) -> Result<(Vec<Instrument>, Vec<String>), String> {
    let (mut instruments, mut problems) = (Vec::new(), Vec::new());
    for request in venue.instruments_requests(market) {
        let answer = rest.get(&request).await.map_err(|error| error.to_string())?;
        let (read, unread) =
            venue.parse_instruments(market, &answer.body).map_err(|error| error.to_string())?;
        instruments.extend(read);
        problems.extend(unread);
    }
    Ok((instruments, problems))
}

impl Shared {
    /// Tells the connection that the hole's stream comes over.
    fn keep_around(&self, hole: Hole) {
        let owners = self.owners.borrow();
        let Some(market) = owners.get(&hole.instrument) else { return };
        let lines = market.lines.borrow();
        let line = lines.iter().find(|line| line.carries_kind_of(hole.stream, hole.instrument));
        if let Some(line) = line.filter(|_| market.line.raw == RawCapture::Errors) {
            line.send(LineCommand::KeepAround(hole));
        }
    }

    /// Passes the records of an answer on, behind the answer itself where it is kept.
    fn deliver_answer(
        &self,
        market: &ControlledMarket,
        asked: &Asked,
        answer: &Answer,
        read: &Result<RecordBuffer, DecodeError>,
    ) {
        let reason = match (market.line.raw, read) {
            (RawCapture::Off, _) | (RawCapture::Errors, Ok(_)) => None,
            (RawCapture::Errors, Err(error)) => Some(error.to_string()),
            (RawCapture::All, _) => serde_json::to_string(asked).ok(),
        };
        if let Some(reason) = reason {
            let origin = Origin { market: market.line.instrument, connection: 0 };
            let mut outlet = self.outlet.borrow_mut();
            let head = (answer.receive_ns, flag::REST);
            origin.push(head, &reason, &answer.body, &mut Vec::new(), &mut *outlet);
            outlet.ring();
        }
        if let Ok(records) = read {
            self.deliver(records);
        }
    }

    /// Passes records on.
    fn deliver(&self, records: &RecordBuffer) {
        let mut outlet = self.outlet.borrow_mut();
        for record in records.iter() {
            let (head, body) = record.parts();
            outlet.append(head, body);
        }
        outlet.ring();
    }

    fn count_answer(&self) {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
    }

    fn count_failure(&self) {
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
    }
}

/// Appends an instrument's definition as a record.
pub fn push_definition(instrument: &Instrument, receive_ns: i64, sink: &mut dyn Sink) {
    let Ok(body) = serde_json::to_vec(instrument) else { return };
    let record = Definition {
        header: Header::new(Kind::Instrument, instrument.id, receive_ns),
        body: Body { start: 0, bytes: body.len() as u32 },
        ..Definition::zeroed()
    };
    sink.append(record.lines(), &body);
}

//! The control thread: everything that is allowed to be slow. Fetches book snapshots when a normaliser wants
//! them, repeats the polled requests, and keeps the instruments' definitions fresh.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytemuck::Zeroable;
use marketprism_core::clock::wall_ns;
use marketprism_core::instrument::{Instrument, InstrumentId, Registry};
use marketprism_core::record::{Body, Definition, Header, Kind, Record, RecordBuffer, Sink};
use marketprism_core::venue::{Market, Poll, Venue};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::LocalSet;

use crate::outlet::Outlet;
use crate::rest::RestMarket;
use crate::telemetry::{EventSender, Severity};

/// Snapshot requests under way at once, for one market.
const SNAPSHOTS_AT_ONCE: usize = 8;
/// Shortest time between two snapshot requests of one book.
const SNAPSHOT_SPACING: Duration = Duration::from_millis(500);
/// First and longest pause after a failed snapshot request.
const SNAPSHOT_PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// Time between the first requests of two polls.
const POLL_SPACING: Duration = Duration::from_millis(20);
/// Time between two fetches of the instruments.
const INSTRUMENTS_INTERVAL: Duration = Duration::from_secs(3600);
/// Pause after a failed fetch of the instruments.
const INSTRUMENTS_RETRY: Duration = Duration::from_secs(10);

/// What control did so far.
#[derive(Debug, Default)]
pub struct ControlCounters {
    /// Requests answered.
    pub requests: AtomicU64,
    /// Requests that failed.
    pub failures: AtomicU64,
}

/// One market as control sees it.
pub struct ControlledMarket {
    /// The venue.
    pub venue: Arc<dyn Venue>,
    /// The market.
    pub market: &'static Market,
    /// Its REST side.
    pub rest: RestMarket,
    /// The instruments recorded, by id.
    pub instruments: BTreeMap<InstrumentId, Instrument>,
    /// Requests to repeat.
    pub polls: Vec<Poll>,
    /// Whether the definitions could not be fetched at the start.
    pub definitions_missing: bool,
}

impl ControlledMarket {
    fn label(&self) -> String {
        format!("{}/{}", self.venue.name(), self.market.name)
    }
}

/// Everything that the control thread owns.
pub struct Control {
    /// The markets.
    pub markets: Vec<ControlledMarket>,
    /// Rings to the normalisers.
    pub outlet: Outlet,
    /// Instruments whose books want a snapshot.
    pub wanted: mpsc::Receiver<InstrumentId>,
    /// All definitions.
    pub registry: Registry,
    /// Log lines.
    pub events: EventSender,
    /// Counters for others.
    pub counters: Arc<ControlCounters>,
    /// Becomes true when the recorder stops.
    pub stop: watch::Receiver<bool>,
}

/// What the tasks of the control thread share.
struct Shared {
    outlet: RefCell<Outlet>,
    registry: RefCell<Registry>,
    events: EventSender,
    counters: Arc<ControlCounters>,
}

/// Snapshot requests of one book.
#[derive(Default)]
struct BookRequests {
    under_way: Cell<bool>,
    again: Cell<bool>,
}

/// Runs until the recorder stops.
pub async fn run(control: Control) {
    let Control { markets, outlet, mut wanted, registry, events, counters, mut stop } = control;
    let shared =
        Rc::new(Shared { outlet: RefCell::new(outlet), registry: RefCell::new(registry), events, counters });
    let tasks = LocalSet::new();
    let mut owners: HashMap<InstrumentId, (Rc<ControlledMarket>, Rc<Semaphore>)> = HashMap::new();
    for market in markets {
        let market = Rc::new(market);
        let slots = Rc::new(Semaphore::new(SNAPSHOTS_AT_ONCE));
        for id in market.instruments.keys() {
            owners.insert(*id, (Rc::clone(&market), Rc::clone(&slots)));
        }
        for index in 0..market.polls.len() {
            tasks.spawn_local(poll(Rc::clone(&market), index, Rc::clone(&shared)));
        }
        tasks.spawn_local(refresh_instruments(market, Rc::clone(&shared)));
    }
    let serve = async {
        let mut books: HashMap<InstrumentId, Rc<BookRequests>> = HashMap::new();
        while let Some(instrument) = wanted.recv().await {
            let Some((market, slots)) = owners.get(&instrument) else { continue };
            let requests = Rc::clone(books.entry(instrument).or_default());
            if requests.under_way.replace(true) {
                requests.again.set(true);
                continue;
            }
            let (market, slots, shared) = (Rc::clone(market), Rc::clone(slots), Rc::clone(&shared));
            tokio::task::spawn_local(fetch_snapshots(market, instrument, requests, slots, shared));
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

/// Fetches a book's snapshot, again and again until one arrives; then once more where it was wanted meanwhile.
async fn fetch_snapshots(
    market: Rc<ControlledMarket>,
    instrument: InstrumentId,
    requests: Rc<BookRequests>,
    slots: Rc<Semaphore>,
    shared: Rc<Shared>,
) {
    let Some(definition) = market.instruments.get(&instrument) else { return };
    let request = market.venue.snapshot_request(market.market, definition);
    let mut pause = SNAPSHOT_PAUSES.0;
    loop {
        requests.again.set(false);
        let result = {
            let Ok(_slot) = slots.acquire().await else { return };
            market.rest.get(&request).await
        };
        let parsed = match result {
            Ok(answer) => {
                let mut records = RecordBuffer::default();
                market
                    .venue
                    .parse_snapshot(market.market, instrument, &answer.body, answer.receive_ns, &mut records)
                    .map(|()| records)
                    .map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match parsed {
            Ok(records) => {
                shared.deliver(&records);
                pause = SNAPSHOT_PAUSES.0;
                tokio::time::sleep(SNAPSHOT_SPACING).await;
                if !requests.again.get() {
                    requests.under_way.set(false);
                    return;
                }
            }
            Err(error) => {
                shared.counters.failures.fetch_add(1, Ordering::Relaxed);
                let symbol = &definition.venue_symbol;
                let text = format!(
                    "{}: no book snapshot of {symbol}: {error}; next try in {:.1} s",
                    market.label(),
                    pause.as_secs_f32()
                );
                shared.events.send(Severity::Warning, text);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(SNAPSHOT_PAUSES.1);
            }
        }
    }
}

/// Repeats one polled request.
async fn poll(market: Rc<ControlledMarket>, index: usize, shared: Rc<Shared>) {
    let Some(poll) = market.polls.get(index) else { return };
    // One after the other, so that requests do not come in bursts.
    tokio::time::sleep(POLL_SPACING.saturating_mul(index as u32).min(poll.interval)).await;
    let mut timer = tokio::time::interval(poll.interval);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let mut records = RecordBuffer::default();
        let outcome = match market.rest.get(&poll.request).await {
            Ok(answer) => market
                .venue
                .parse_poll(market.market, poll, &answer.body, answer.receive_ns, &mut records)
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(()) => shared.deliver(&records),
            Err(error) => {
                shared.counters.failures.fetch_add(1, Ordering::Relaxed);
                shared
                    .events
                    .send(Severity::Warning, format!("{}: {}: {error}", market.label(), poll.answer));
            }
        }
    }
}

/// Fetches the definitions now and then; what changed becomes records.
async fn refresh_instruments(market: Rc<ControlledMarket>, shared: Rc<Shared>) {
    let mut missing = market.definitions_missing;
    loop {
        tokio::time::sleep(if missing { INSTRUMENTS_RETRY } else { INSTRUMENTS_INTERVAL }).await;
        match fetch_instruments(&*market.venue, market.market, &market.rest).await {
            Ok((fresh, problems)) => {
                missing = false;
                problems.iter().for_each(|problem| shared.events.send(Severity::Warning, problem.clone()));
                shared.define(&market, fresh);
            }
            Err(error) => {
                shared.counters.failures.fetch_add(1, Ordering::Relaxed);
                shared.events.send(Severity::Warning, format!("{}: instruments: {error}", market.label()));
            }
        }
    }
}

/// Fetches the definitions of a market: the instruments, and what could not be read.
pub async fn fetch_instruments(
    venue: &dyn Venue,
    market: &Market,
    rest: &RestMarket,
) -> Result<(Vec<Instrument>, Vec<String>), String> {
    let answer = rest.get(&venue.instruments_request(market)).await.map_err(|error| error.to_string())?;
    venue.parse_instruments(market, &answer.body).map_err(|error| error.to_string())
}

impl Shared {
    fn deliver(&self, records: &RecordBuffer) {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let mut outlet = self.outlet.borrow_mut();
        for record in records.iter() {
            let (head, body) = record.parts();
            outlet.append(head, body);
        }
        outlet.ring();
    }

    /// Records the definitions of recorded instruments that differ from those held.
    fn define(&self, market: &ControlledMarket, fresh: Vec<Instrument>) {
        let mut records = RecordBuffer::default();
        let mut registry = self.registry.borrow_mut();
        for instrument in fresh {
            let known = registry.find(&instrument.venue, &instrument.market, &instrument.venue_symbol);
            if !known.is_some_and(|id| market.instruments.contains_key(&id)) {
                continue;
            }
            let (id, changed) = registry.define(instrument);
            if let (true, Some(definition)) = (changed, registry.get(id)) {
                push_definition(definition, wall_ns(), &mut records);
            }
        }
        drop(registry);
        if !records.is_empty() {
            self.deliver(&records);
        }
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

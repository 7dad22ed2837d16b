//! New snapshots of books: from REST, or by subscribing the stream anew.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use marketprism_core::instrument::{Instrument, InstrumentId};
use marketprism_core::record::RecordBuffer;
use marketprism_core::venue::{Continuity, Request};

use super::{ControlledMarket, Shared};
use crate::io::LineCommand;
use crate::journal::Asked;
use crate::telemetry::Severity;

/// Shortest time between two snapshot requests of one book.
const SPACING: Duration = Duration::from_millis(500);
/// First and longest pause after a failed snapshot request.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// A book asks for its snapshot when its first delta comes. One that has none for so long after its subscription is
/// quiet, and gets its snapshot all the same.
const QUIET: Duration = Duration::from_secs(10);

/// Requests of one book.
#[derive(Default)]
struct BookRequests {
    under_way: Cell<bool>,
    again: Cell<bool>,
    /// When a snapshot was last asked for.
    asked: Cell<Option<Instant>>,
}

/// The books that were asked for.
#[derive(Default)]
pub(super) struct Snapshots {
    books: RefCell<HashMap<InstrumentId, Rc<BookRequests>>>,
}

impl Snapshots {
    /// Gets a new snapshot of a book.
    pub(super) fn want(&self, market: Rc<ControlledMarket>, instrument: InstrumentId, shared: &Rc<Shared>) {
        let Some(definition) = market.instruments.borrow().get(&instrument).cloned() else { return };
        let books = market.books.borrow().len();
        let request = market.line.venue.snapshot_request(market.line.market, &definition, books);
        let Some(request) = request else {
            let lines = market.lines.borrow();
            if let Some(line) = lines.iter().find(|line| line.carries_book_of(instrument)) {
                line.send(LineCommand::SubscribeAgain(instrument));
            }
            return;
        };
        let requests = Rc::clone(self.books.borrow_mut().entry(instrument).or_default());
        requests.asked.set(Some(Instant::now()));
        if requests.under_way.replace(true) {
            requests.again.set(true);
            return;
        }
        let fetch = Fetch { market, definition, request, requests, shared: Rc::clone(shared) };
        tokio::task::spawn_local(fetch.run());
    }

    /// Gets the snapshots of the books of a connection that was just subscribed and on which no delta has come.
    pub(super) async fn quiet(self: Rc<Self>, market: Rc<ControlledMarket>, line: u32, shared: Rc<Shared>) {
        let subscribed = Instant::now();
        tokio::time::sleep(QUIET).await;
        let books: Vec<InstrumentId> = {
            let lines = market.lines.borrow();
            let line = lines.iter().find(|candidate| candidate.id == line);
            line.map_or(vec![], |line| line.books().collect())
        };
        for instrument in books {
            let asked = self.books.borrow().get(&instrument).and_then(|requests| requests.asked.get());
            let from_rest = market.line.market.continuity != Continuity::Chained;
            if from_rest && asked.is_none_or(|asked| asked < subscribed) {
                self.want(Rc::clone(&market), instrument, &shared);
            }
        }
    }
}

/// Fetches a book's snapshot, again and again until one arrives; then once more where it was wanted meanwhile.
struct Fetch {
    market: Rc<ControlledMarket>,
    definition: Instrument,
    request: Request,
    requests: Rc<BookRequests>,
    shared: Rc<Shared>,
}

impl Fetch {
    async fn run(self) {
        let mut pause = PAUSES.0;
        loop {
            self.requests.again.set(false);
            match self.once().await {
                Ok(()) => {
                    self.shared.count_answer();
                    pause = PAUSES.0;
                    tokio::time::sleep(SPACING).await;
                    if !self.requests.again.get() {
                        break;
                    }
                }
                Err(error) => {
                    self.shared.count_failure();
                    let symbol = &self.definition.venue_symbol;
                    let label = self.market.label();
                    let seconds = pause.as_secs_f32();
                    let text =
                        format!("{label}: no book snapshot of {symbol}: {error}; next try in {seconds:.1} s");
                    self.shared.events.send(Severity::Warning, text);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                    if !self.market.instruments.borrow().contains_key(&self.definition.id) {
                        break;
                    }
                }
            }
        }
        self.requests.under_way.set(false);
    }

    async fn once(&self) -> Result<(), String> {
        let answer = {
            let slot = self.market.snapshot_slots.acquire().await;
            let _slot = slot.map_err(|error| error.to_string())?;
            self.market.rest.get(&self.request).await.map_err(|error| error.to_string())?
        };
        let mut records = RecordBuffer::default();
        let (venue, market) = (&self.market.line.venue, self.market.line.market);
        let instrument = self.definition.id;
        let parsed = venue.parse_snapshot(market, instrument, &answer.body, answer.receive_ns, &mut records);
        let read = parsed.map(|()| records);
        let asked = Asked::Snapshot { instrument, path: self.request.path.clone() };
        self.shared.deliver_answer(&self.market, &asked, &answer, &read);
        read.map(|_| ()).map_err(|error| error.to_string())
    }
}

//! Following a market's instruments: changes of definitions, new listings, expiries and delistings, without touching
//! what is recorded already.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use marketprism_core::clock::wall_ns;
use marketprism_core::instrument::{Instrument, InstrumentId, InstrumentType};
use marketprism_core::record::RecordBuffer;
use tokio::sync::oneshot;

use super::{ControlledMarket, Shared, fetch_instruments, polls, push_definition};
use crate::io::LineCommand;
use crate::lines::place;
use crate::plan::{self, Needs};
use crate::prepare::{expected_streams, tracked_books};
use crate::stage::StageCommand;
use crate::telemetry::{Severity, lock};
use crate::universe::select;

/// Time between two looks at the market's list where the venue announces nothing.
const INTERVAL: Duration = Duration::from_secs(300);
/// Announcements come in groups: the list is fetched this long after the first.
const GROUPING: Duration = Duration::from_secs(1);
/// Pause after a failed fetch, and shortest time between two.
const RETRY: Duration = Duration::from_secs(10);

/// Fetches the list now and then, and whenever the venue announces a change.
pub(super) async fn follow(market: Rc<ControlledMarket>, shared: Rc<Shared>) {
    let mut failed = market.definitions_missing;
    loop {
        if failed {
            tokio::time::sleep(RETRY).await;
        } else {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = market.changed.notified() => tokio::time::sleep(GROUPING).await,
            }
        }
        let fetched = fetch_instruments(&*market.line.venue, market.line.market, &market.rest).await;
        failed = fetched.is_err();
        match fetched {
            Ok((list, problems)) => {
                shared.count_answer();
                problems.into_iter().for_each(|problem| shared.events.send(Severity::Warning, problem));
                Change { market: &market, shared: &shared }.apply(list).await;
            }
            Err(error) => {
                shared.count_failure();
                shared.events.send(Severity::Warning, format!("{}: instruments: {error}", market.label()));
            }
        }
    }
}

/// A new list of a market at work.
struct Change<'a> {
    market: &'a Rc<ControlledMarket>,
    shared: &'a Rc<Shared>,
}

impl Change<'_> {
    async fn apply(&self, list: Vec<Instrument>) {
        // An empty list is a venue in trouble, not the end of all trading.
        if list.is_empty() {
            return;
        }
        self.redefine(&list);
        self.retire(&list);
        if let Err(error) = self.adopt(&list).await {
            let text = format!("{}: new instruments are not recorded: {error}", self.market.label());
            self.shared.events.send(Severity::Error, text);
        }
    }

    /// Records the definitions of recorded instruments that differ from those held.
    fn redefine(&self, list: &[Instrument]) {
        let recorded: HashMap<String, InstrumentId> = {
            let instruments = self.market.instruments.borrow();
            instruments.iter().map(|(id, instrument)| (instrument.venue_symbol.clone(), *id)).collect()
        };
        for instrument in list.iter().filter(|instrument| recorded.contains_key(&instrument.venue_symbol)) {
            self.define(instrument.clone());
        }
    }

    /// Takes a definition over, and records it where it is new.
    fn define(&self, instrument: Instrument) -> Option<Instrument> {
        let mut registry = self.shared.registry.borrow_mut();
        let (id, changed) = registry.define(instrument);
        let definition = registry.get(id)?.clone();
        drop(registry);
        if changed {
            let mut records = RecordBuffer::default();
            push_definition(&definition, wall_ns(), &mut records);
            self.shared.deliver(&records);
            let mut instruments = self.market.instruments.borrow_mut();
            if let Some(held) = instruments.get_mut(&id) {
                held.clone_from(&definition);
            }
        }
        Some(definition)
    }

    /// Ends what is no longer listed.
    fn retire(&self, list: &[Instrument]) {
        let listed: HashMap<&str, &Instrument> =
            list.iter().map(|instrument| (instrument.venue_symbol.as_str(), instrument)).collect();
        let is_gone = |instrument: &&Instrument| {
            listed.get(instrument.venue_symbol.as_str()).is_none_or(|listed| listed.delisted)
        };
        let gone: Vec<Instrument> =
            self.market.instruments.borrow().values().filter(is_gone).cloned().collect();
        if gone.is_empty() {
            return;
        }
        let ids: Vec<InstrumentId> = gone.iter().map(|instrument| instrument.id).collect();
        let gone_ids = ids.iter().copied().collect();
        for line in self.market.lines.borrow_mut().iter_mut() {
            line.remove(&gone_ids);
        }
        for (index, stage) in self.shared.stages.iter().enumerate() {
            let own = |id: &&InstrumentId| **id as usize % self.shared.stages.len() == index;
            // A stage that is gone needs no telling.
            let _ = stage.try_send(StageCommand::Retire(ids.iter().filter(own).copied().collect()));
        }
        for instrument in gone {
            let text = format!("{}: {} is no longer listed", self.market.label(), instrument.venue_symbol);
            self.shared.events.send(Severity::Info, text);
            self.market.instruments.borrow_mut().remove(&instrument.id);
            self.market.books.borrow_mut().remove(&instrument.id);
            self.shared.owners.borrow_mut().remove(&instrument.id);
            lock(&self.shared.instruments).remove(&instrument.id);
            self.define(Instrument { delisted: true, ..instrument });
        }
    }

    /// Begins with what is new and selected.
    async fn adopt(&self, list: &[Instrument]) -> Result<(), String> {
        let mut fresh: BTreeMap<InstrumentId, Instrument> = BTreeMap::new();
        let mut needs = Needs::default();
        for source in &self.market.sources {
            let mut new: Vec<Instrument> = Vec::new();
            for instrument in select(source, list).instruments {
                let known = self.shared.registry.borrow().find(
                    &instrument.venue,
                    &instrument.market,
                    &instrument.venue_symbol,
                );
                if known.is_none_or(|id| !self.market.instruments.borrow().contains_key(&id)) {
                    new.extend(self.define(instrument.clone()));
                }
            }
            let chosen: Vec<&Instrument> = new.iter().collect();
            let (venue, market) = (&*self.market.line.venue, self.market.line.market);
            needs.add(plan::needs(venue, market, &source.channels, &chosen)?);
            fresh.extend(new.into_iter().map(|instrument| (instrument.id, instrument)));
        }
        if fresh.is_empty() {
            return Ok(());
        }
        self.announce(&fresh);
        for (id, instrument) in &fresh {
            self.market.instruments.borrow_mut().insert(*id, instrument.clone());
            self.shared.owners.borrow_mut().insert(*id, Rc::clone(self.market));
            lock(&self.shared.instruments).insert(*id, instrument.clone());
        }
        self.track(&needs, &fresh).await;
        self.subscribe(&needs, &fresh)?;
        for (index, poll) in needs.polls.into_iter().enumerate() {
            let (market, shared) = (Rc::clone(self.market), Rc::clone(self.shared));
            tokio::task::spawn_local(polls::repeat(market, poll, index, shared));
        }
        Ok(())
    }

    fn announce(&self, fresh: &BTreeMap<InstrumentId, Instrument>) {
        let traded = fresh.values().filter(|instrument| instrument.instrument_type != InstrumentType::Index);
        let names: Vec<&str> = traded.take(5).map(|instrument| instrument.venue_symbol.as_str()).collect();
        let more = if fresh.len() > names.len() { ", …" } else { "" };
        let text = format!("{}: new: {}{more}", self.market.label(), names.join(", "));
        self.shared.events.send(Severity::Info, text);
    }

    /// Makes the normalisers ready, and waits until they are.
    async fn track(&self, needs: &Needs, fresh: &BTreeMap<InstrumentId, Instrument>) {
        let books = tracked_books(self.market.line.market, needs);
        let expected = expected_streams(&self.market.label(), needs, fresh);
        self.market.books.borrow_mut().extend(books.iter().map(|book| book.instrument));
        let count = self.shared.stages.len();
        for (index, stage) in self.shared.stages.iter().enumerate() {
            let own = |instrument: InstrumentId| instrument as usize % count == index;
            let books = books.iter().filter(|book| own(book.instrument)).copied().collect();
            let expected = expected.iter().filter(|stream| own(stream.instrument)).cloned().collect();
            let (done, ready) = oneshot::channel();
            if stage.try_send(StageCommand::Track(books, expected, done)).is_ok() {
                // Where the stage is gone the recorder stops.
                let _ = ready.await;
            }
        }
    }

    /// Subscribes the new streams, on connections with room and on new ones.
    fn subscribe(&self, needs: &Needs, fresh: &BTreeMap<InstrumentId, Instrument>) -> Result<(), String> {
        let symbols: Vec<(String, InstrumentId)> =
            fresh.values().map(|instrument| (instrument.venue_symbol.clone(), instrument.id)).collect();
        let mut lines = self.market.lines.borrow_mut();
        for line in lines.iter() {
            line.send(LineCommand::Learn(symbols.clone()));
        }
        let left = place(&mut lines, needs.streams.clone());
        let venue = self.market.line.venue.name();
        let planned = plan::connections(self.market.line.market, left);
        let needed = self.shared.dispatcher.connections_to(venue) + planned.len();
        if let Some(limit) = self.market.line.market.connections.filter(|limit| needed > *limit) {
            return Err(format!(
                "{needed} connections are needed, and the venue allows {limit} from one address"
            ));
        }
        for planned in planned {
            let table = self.shared.registry.borrow().symbols(venue, self.market.line.market.name);
            let line = self.shared.dispatcher.open(&self.market.line, planned, table);
            lines.push(line.ok_or("no I/O thread takes another connection")?);
        }
        Ok(())
    }
}

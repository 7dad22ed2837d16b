//! Following a market's instruments: changes of definitions, new listings, expiries and delistings, without touching
//! what is recorded already.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use marketprism_core::clock::wall_ns;
use marketprism_core::instrument::{Instrument, InstrumentId, InstrumentType};
use marketprism_core::record::RecordBuffer;
use marketprism_core::venue::Stream;
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
    let mut soon = market.definitions_missing;
    // Recorded instruments that the last list did not name.
    let mut missing = HashSet::new();
    loop {
        if soon {
            tokio::time::sleep(RETRY).await;
        } else {
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = market.changed.notified() => tokio::time::sleep(GROUPING).await,
            }
        }
        let fetched = fetch_instruments(&*market.line.venue, market.line.market, &market.rest).await;
        match fetched {
            Ok((list, problems)) => {
                shared.count_answer();
                let is_whole = problems.is_empty();
                problems.into_iter().for_each(|problem| shared.events.send(Severity::Warning, problem));
                Change { market: &market, shared: &shared }.apply(&list, is_whole, &mut missing).await;
                soon = !missing.is_empty();
            }
            Err(error) => {
                shared.count_failure();
                shared.events.send(Severity::Warning, format!("{}: instruments: {error}", market.label()));
                soon = true;
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
    /// Follows a list; `is_whole` where every entry of it could be read. `missing` are the recorded instruments that the
    /// list before did not name.
    async fn apply(&self, list: &[Instrument], is_whole: bool, missing: &mut HashSet<InstrumentId>) {
        self.redefine(list);
        let gone = gone(&self.market.instruments.borrow(), list, is_whole, missing);
        self.retire(gone);
        if let Err(error) = self.adopt(list).await {
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
    fn retire(&self, gone: Vec<Instrument>) {
        self.forget(&gone.iter().map(|instrument| instrument.id).collect());
        for instrument in gone {
            let text = format!("{}: {} is no longer listed", self.market.label(), instrument.venue_symbol);
            self.shared.events.send(Severity::Info, text);
            self.define(Instrument { delisted: true, ..instrument });
        }
    }

    /// Records nothing more of some instruments.
    fn forget(&self, gone: &HashSet<InstrumentId>) {
        if gone.is_empty() {
            return;
        }
        for line in self.market.lines.borrow_mut().iter_mut() {
            line.remove(gone);
        }
        for (index, stage) in self.shared.stages.iter().enumerate() {
            let own = |id: &&InstrumentId| **id as usize % self.shared.stages.len() == index;
            // A stage that is gone needs no telling.
            let _ = stage.try_send(StageCommand::Retire(gone.iter().filter(own).copied().collect()));
        }
        for id in gone {
            self.market.instruments.borrow_mut().remove(id);
            self.market.books.borrow_mut().remove(id);
            self.shared.owners.borrow_mut().remove(id);
            lock(&self.shared.instruments).remove(id);
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
        if let Err((left, error)) = self.subscribe(&needs, &fresh) {
            // The next list is another chance for those that found no connection.
            self.forget(&left);
            return Err(error);
        }
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

    /// Subscribes the new streams, on connections with room and on new ones. The error has the instruments of streams
    /// that could not be placed.
    fn subscribe(
        &self,
        needs: &Needs,
        fresh: &BTreeMap<InstrumentId, Instrument>,
    ) -> Result<(), (HashSet<InstrumentId>, String)> {
        let symbols: Vec<(String, InstrumentId)> =
            fresh.values().map(|instrument| (instrument.venue_symbol.clone(), instrument.id)).collect();
        let mut lines = self.market.lines.borrow_mut();
        for line in lines.iter() {
            line.send(LineCommand::Learn(symbols.clone()));
        }
        let left = place(&mut lines, needs.streams.clone());
        let unplaced = |left: &[Stream]| left.iter().map(|stream| stream.instrument).collect();
        let venue = self.market.line.venue.name();
        let planned = plan::connections(self.market.line.market, left.clone());
        let needed = self.shared.dispatcher.connections_to(venue) + planned.len();
        if let Some(limit) = self.market.line.market.connections.filter(|limit| needed > *limit) {
            let text =
                format!("{needed} connections are needed, and the venue allows {limit} from one address");
            return Err((unplaced(&left), text));
        }
        for planned in planned {
            let table = self.shared.registry.borrow().symbols(venue, self.market.line.market.name);
            let streams = planned.streams.clone();
            match self.shared.dispatcher.open(&self.market.line, planned, table) {
                Some(line) => lines.push(line),
                None => return Err((unplaced(&streams), "no I/O thread takes another connection".into())),
            }
        }
        Ok(())
    }
}

/// What is no longer listed: because the list says so, or because two lists in a row do not name it. One list alone
/// may be a venue in trouble, and one that could not be read whole proves nothing.
fn gone(
    recorded: &BTreeMap<InstrumentId, Instrument>,
    list: &[Instrument],
    is_whole: bool,
    missing: &mut HashSet<InstrumentId>,
) -> Vec<Instrument> {
    let listed: HashMap<&str, &Instrument> =
        list.iter().map(|instrument| (instrument.venue_symbol.as_str(), instrument)).collect();
    let named = |instrument: &Instrument| listed.get(instrument.venue_symbol.as_str()).copied();
    let before = std::mem::take(missing);
    if is_whole && !list.is_empty() {
        let unnamed = recorded.values().filter(|instrument| named(instrument).is_none());
        missing.extend(unnamed.map(|instrument| instrument.id));
    }
    let is_gone = |instrument: &&Instrument| match named(instrument) {
        Some(listed) => listed.delisted,
        None => missing.contains(&instrument.id) && before.contains(&instrument.id),
    };
    let gone: Vec<Instrument> = recorded.values().filter(is_gone).cloned().collect();
    missing.retain(|id| !gone.iter().any(|instrument| instrument.id == *id));
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instrument(id: InstrumentId) -> Instrument {
        Instrument { id, ..Instrument::unknown("v", "m", &format!("S{id}")) }
    }

    fn ids(gone: Vec<Instrument>) -> Vec<InstrumentId> {
        gone.into_iter().map(|instrument| instrument.id).collect()
    }

    #[test]
    fn one_list_that_leaves_something_out_ends_nothing() {
        let recorded = (1..=3).map(|id| (id, instrument(id))).collect();
        let (whole, short) = ([1, 2, 3].map(instrument), [instrument(1)]);
        let mut missing = HashSet::new();
        let mut step = |list: &[Instrument], is_whole| ids(gone(&recorded, list, is_whole, &mut missing));
        assert_eq!(step(&short, true), [] as [u32; 0]);
        assert_eq!(step(&whole, true), [] as [u32; 0], "it was the venue's mistake");
        assert_eq!(step(&short, true), [] as [u32; 0], "the first again");
        assert_eq!(step(&short, false), [] as [u32; 0], "its entries could not all be read");
        assert_eq!(step(&[], true), [] as [u32; 0]);
        assert_eq!(step(&short, true), [] as [u32; 0]);
        assert_eq!(step(&short, true), [2, 3], "two in a row");
        assert!(missing.is_empty());
    }

    #[test]
    fn what_the_list_calls_delisted_ends_at_once() {
        let recorded = (1..=2).map(|id| (id, instrument(id))).collect();
        let list = [instrument(1), Instrument { delisted: true, ..instrument(2) }];
        assert_eq!(ids(gone(&recorded, &list, false, &mut HashSet::new())), [2]);
    }
}

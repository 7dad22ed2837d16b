//! Reads a log for the venues that play it: what was known before, then every record by receive time.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use marketprism_core::instrument::{InstrumentId, InstrumentType, Registry};
use marketprism_core::record::{RecordRef, flag};
use marketprism_core::{Instrument, Kind};
use marketprism_log::{LogError, ReadReport};
use marketprism_simulator::history::{HistoryEvent, HistoryRecord, HistorySender, Timeline};

use super::super::query::book::earliest_start;
use super::super::query::filter::Filter;
use super::super::query::source::{ORDER_WINDOW_NS, Source};
use super::order::{Held, Order};

/// A reader of the wanted part of a log. It ends early when no venue listens any more.
pub(super) struct Reader<'a> {
    source: &'a Source,
    filter: Filter,
    timeline: Arc<Timeline>,
    /// By venue.
    senders: BTreeMap<String, HistorySender>,
    instruments: HashMap<InstrumentId, Arc<Instrument>>,
    order: Order<HistoryRecord>,
    has_begun: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: &'a Source,
        filter: Filter,
        timeline: Arc<Timeline>,
        senders: BTreeMap<String, HistorySender>,
    ) -> Reader<'a> {
        let (instruments, order) = (HashMap::new(), Order::new());
        Reader { source, filter, timeline, senders, instruments, order, has_begun: false }
    }

    /// Tells the venues everything. Dropping the senders at the end tells them that this is all.
    pub(super) fn read(mut self) -> Result<ReadReport, LogError> {
        let (from_ns, end_ns) = (self.filter.from_ns, self.filter.end_ns);
        let start = match from_ns {
            i64::MIN => None,
            _ => earliest_start(self.source, &self.filter, from_ns - 1)?,
        };
        let source = self.source;
        let mut selection = source.selection(&self.filter, from_ns, end_ns)?;
        if let Some(start) = start {
            (selection.from_sequence, selection.from_ns, selection.end_ns) = (start, i64::MIN, i64::MAX);
        }
        let mut is_first = true;
        let take = |sequence, record: RecordRef<'_>, registry: &Registry| {
            if std::mem::take(&mut is_first) {
                self.define(registry)?;
            }
            if record.header().receive_ns >= end_ns.saturating_add(ORDER_WINDOW_NS) {
                return ControlFlow::Break(());
            }
            self.record(sequence, record, registry)
        };
        let report = source.read(&selection, take)?;
        // Venues that do not listen any more need not be told the rest.
        let _ = self.finish();
        Ok(report)
    }

    /// Tells what is defined where reading begins.
    fn define(&mut self, registry: &Registry) -> ControlFlow<()> {
        for instrument in registry.all() {
            if instrument.instrument_type != InstrumentType::Market && self.filter.names(instrument) {
                let definition = HistoryRecord::definition(self.shared(instrument.id, instrument));
                self.tell(HistoryEvent::Before(definition))?;
            }
        }
        ControlFlow::Continue(())
    }

    fn record(&mut self, sequence: u64, record: RecordRef<'_>, registry: &Registry) -> ControlFlow<()> {
        let header = record.header();
        let Some(instrument) = registry.get(header.instrument) else { return ControlFlow::Continue(()) };
        if !self.is_wanted(record, instrument) {
            return ControlFlow::Continue(());
        }
        let shared = self.shared(header.instrument, instrument);
        let (head, body) = record.parts();
        let bytes = size_of_val(head) + body.len();
        let content = HistoryRecord::new(shared, record);
        self.order.push(Held { receive_ns: header.receive_ns, sequence, bytes, content });
        while let Some(held) = self.order.pop_due() {
            self.play(held)?;
        }
        ControlFlow::Continue(())
    }

    /// Whether a record is part of what the venues are told.
    fn is_wanted(&mut self, record: RecordRef<'_>, instrument: &Instrument) -> bool {
        let header = record.header();
        let is_before = header.receive_ns < self.filter.from_ns;
        match record {
            RecordRef::Session(..) | RecordRef::Gap(_) | RecordRef::Raw(..) | RecordRef::ClockSample(_) => {
                return false;
            }
            RecordRef::Definition(..) => return self.filter.names(instrument),
            _ => {}
        }
        // A book may be started from a snapshot that the recorder made.
        let is_book = header.kind == Kind::BookSnapshot as u8;
        let is_told = header.flags & flag::DERIVED == 0 || (is_before && is_book);
        is_told && header.receive_ns < self.filter.end_ns && self.filter.takes(record, instrument)
    }

    /// The instrument as it is defined now, one copy for all its records.
    fn shared(&mut self, id: InstrumentId, instrument: &Instrument) -> Arc<Instrument> {
        match self.instruments.get(&id) {
            Some(shared) if **shared == *instrument => Arc::clone(shared),
            _ => {
                let shared = Arc::new(instrument.clone());
                self.instruments.insert(id, Arc::clone(&shared));
                shared
            }
        }
    }

    fn play(&mut self, held: Held<HistoryRecord>) -> ControlFlow<()> {
        let is_before = held.receive_ns < self.filter.from_ns;
        if is_before && self.has_begun {
            // Out of order by more than any recorder writes.
            return ControlFlow::Continue(());
        }
        if is_before {
            return self.tell(HistoryEvent::Before(held.content));
        }
        if !self.has_begun {
            self.begin(held.receive_ns);
        }
        self.tell(HistoryEvent::Record(held.content))
    }

    fn begin(&mut self, first_ns: i64) {
        self.has_begun = true;
        self.timeline.set_first(first_ns);
        self.senders.retain(|_, sender| sender.send(HistoryEvent::Begin).is_ok());
    }

    fn finish(&mut self) -> ControlFlow<()> {
        while let Some(held) = self.order.pop() {
            self.play(held)?;
        }
        if !self.has_begun {
            self.begin(0);
        }
        ControlFlow::Continue(())
    }

    /// Tells the venue of an event, and waits until it has room. Breaks when no venue listens.
    fn tell(&mut self, event: HistoryEvent) -> ControlFlow<()> {
        let (HistoryEvent::Before(record) | HistoryEvent::Record(record)) = &event else {
            return ControlFlow::Continue(());
        };
        let instrument = Arc::clone(&record.instrument);
        if let Some(sender) = self.senders.get(&instrument.venue)
            && sender.send(event).is_err()
        {
            self.senders.remove(&instrument.venue);
        }
        if self.senders.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

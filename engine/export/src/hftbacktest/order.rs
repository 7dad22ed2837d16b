//! Events in the two orders that a backtest needs, in bounded memory.
//!
//! The exchange's model reads events by their exchange time, the strategy's by their local time. Where the two orders differ,
//! an event stands in the file twice, once for each, as hftbacktest's own `correct_event_order` does it.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::event::{EXCHANGE, Event, LOCAL, SPILLED_BYTES};
use crate::error::ExportError;

/// Events of a run that are read at once.
const READ_EVENTS: usize = 256;

/// One of the two orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Exchange,
    Local,
}

impl Order {
    fn key(self, event: &Event) -> u128 {
        match self {
            Order::Exchange => event.exchange_key(),
            Order::Local => event.local_key(),
        }
    }
}

/// Events, gathered in capture order.
pub(super) struct Events {
    path: PathBuf,
    held: Vec<Event>,
    /// Events of each run on disk: sorted by exchange time, and then the same sorted by local time.
    runs: Vec<u64>,
    pub(super) count: u64,
    /// The smallest difference of local and exchange time, nanoseconds.
    latency_ns: i64,
}

impl Events {
    /// What does not fit in memory goes to the file `path`.
    pub(super) fn new(path: PathBuf) -> Events {
        Events { path, held: Vec::new(), runs: Vec::new(), count: 0, latency_ns: i64::MAX }
    }

    /// Bytes of memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.len() * size_of::<Event>()
    }

    pub(super) fn push(&mut self, event: Event) {
        self.latency_ns = self.latency_ns.min(event.local_ns.saturating_sub(event.exchange_ns));
        self.held.push(Event { index: self.count, ..event });
        self.count += 1;
    }

    /// By how much all local times are late enough that no event is seen before it happened, nanoseconds, as
    /// hftbacktest's own `correct_local_timestamp` does it.
    pub(super) fn local_shift_ns(&self) -> i64 {
        0.max(self.latency_ns.saturating_neg())
    }

    /// Moves what is held to the disk, as one more run.
    pub(super) fn spill(&mut self) -> Result<(), ExportError> {
        let opened = match self.runs.is_empty() {
            true => {
                self.path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create(&self.path))
            }
            false => OpenOptions::new().append(true).open(&self.path),
        };
        let mut file = opened.map_err(|error| ExportError::io("write", &self.path, error))?;
        for order in [Order::Exchange, Order::Local] {
            self.held.sort_unstable_by_key(|event| order.key(event));
            let bytes: Vec<u8> = self.held.iter().flat_map(Event::spilled).collect();
            file.write_all(&bytes).map_err(|error| ExportError::io("write", &self.path, error))?;
        }
        self.runs.push(self.held.len() as u64);
        self.held = Vec::new();
        Ok(())
    }

    /// Puts the events in their two orders.
    pub(super) fn ordered(mut self) -> Ordered {
        let mut local = self.held.clone();
        local.sort_unstable_by_key(Event::local_key);
        self.held.sort_unstable_by_key(Event::exchange_key);
        Ordered {
            local_shift_ns: self.local_shift_ns(),
            exchange: self.held,
            local,
            runs: self.runs,
            path: self.path,
        }
    }
}

/// Events in the order of the exchange's times and in that of the local times.
pub(super) struct Ordered {
    path: PathBuf,
    /// Those that are in memory.
    exchange: Vec<Event>,
    local: Vec<Event>,
    runs: Vec<u64>,
    pub(super) local_shift_ns: i64,
}

impl Ordered {
    /// Hands all events to `take`, in both orders at once, with [`EXCHANGE`], [`LOCAL`] or both.
    pub(super) fn each(
        &self,
        mut take: impl FnMut(&Event, u64) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let mut exchange = self.sorted(Order::Exchange)?;
        let mut local = self.sorted(Order::Local)?;
        loop {
            let (flags, event) = match (exchange.first(), local.first()) {
                (None, None) => return Ok(()),
                (Some(event), None) => (EXCHANGE, *event),
                (None, Some(event)) => (LOCAL, *event),
                (Some(a), Some(b)) if a.index == b.index => (EXCHANGE | LOCAL, *a),
                // Which of the two is first in the file does not matter; by time it is easy to read.
                (Some(a), Some(b)) if a.exchange_ns <= b.local_ns.saturating_add(self.local_shift_ns) => {
                    (EXCHANGE, *a)
                }
                (Some(_), Some(b)) => (LOCAL, *b),
            };
            take(&event, flags)?;
            if flags & EXCHANGE != 0 {
                exchange.advance()?;
            }
            if flags & LOCAL != 0 {
                local.advance()?;
            }
        }
    }

    /// All events in one order.
    fn sorted(&self, order: Order) -> Result<Sorted<'_>, ExportError> {
        let held = if order == Order::Local { &self.local } else { &self.exchange };
        let mut runs = vec![Run { events: held.into(), next: 0, offset: 0, left: 0 }];
        let mut offset = 0;
        for count in &self.runs {
            let start = offset + if order == Order::Local { count * SPILLED_BYTES as u64 } else { 0 };
            runs.push(Run { events: Cow::default(), next: 0, offset: start, left: *count });
            offset += 2 * count * SPILLED_BYTES as u64;
        }
        let file = match self.runs.is_empty() {
            true => None,
            false => {
                Some(File::open(&self.path).map_err(|error| ExportError::io("read", &self.path, error))?)
            }
        };
        let mut sorted = Sorted { order, file, path: &self.path, runs, heap: BinaryHeap::new() };
        for run in 0..sorted.runs.len() {
            sorted.enter(run)?;
        }
        Ok(sorted)
    }

    /// Removes what was moved to the disk.
    pub(super) fn remove_spill(self) -> Result<(), ExportError> {
        match self.runs.is_empty() {
            true => Ok(()),
            false => {
                fs::remove_file(&self.path).map_err(|error| ExportError::io("remove", &self.path, error))
            }
        }
    }
}

/// Sorted events, in memory or on disk.
struct Run<'a> {
    /// Those that are in memory.
    events: Cow<'a, [Event]>,
    /// The first of them that has not been taken.
    next: usize,
    /// Where the rest begins.
    offset: u64,
    /// How many are there.
    left: u64,
}

/// Merges runs.
struct Sorted<'a> {
    order: Order,
    file: Option<File>,
    path: &'a Path,
    runs: Vec<Run<'a>>,
    /// The key of the first event of each run, smallest first, with the run.
    heap: BinaryHeap<Reverse<(u128, usize)>>,
}

impl Sorted<'_> {
    /// The next event.
    fn first(&self) -> Option<&Event> {
        let Reverse((_, run)) = self.heap.peek()?;
        let run = self.runs.get(*run)?;
        run.events.get(run.next)
    }

    /// Goes behind it.
    fn advance(&mut self) -> Result<(), ExportError> {
        let Some(Reverse((_, index))) = self.heap.pop() else { return Ok(()) };
        if let Some(run) = self.runs.get_mut(index) {
            run.next += 1;
        }
        self.enter(index)
    }

    /// Puts the first event of a run into the heap; reads more of it where it has to.
    fn enter(&mut self, index: usize) -> Result<(), ExportError> {
        let Some(run) = self.runs.get_mut(index) else { return Ok(()) };
        if run.next == run.events.len()
            && run.left > 0
            && let Some(file) = &self.file
        {
            let count = run.left.min(READ_EVENTS as u64);
            let mut bytes = vec![0; count as usize * SPILLED_BYTES];
            file.read_exact_at(&mut bytes, run.offset)
                .map_err(|error| ExportError::io("read", self.path, error))?;
            run.events = bytes.chunks_exact(SPILLED_BYTES).filter_map(Event::read).collect();
            run.next = 0;
            run.offset += bytes.len() as u64;
            run.left -= count;
        }
        if let Some(event) = run.events.get(run.next) {
            self.heap.push(Reverse((self.order.key(event), index)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::event::{DEPTH, TRADE};
    use super::*;

    fn events(times: &[(i64, i64, bool)], spill_every: usize, folder: &Path) -> Vec<(Event, u64)> {
        let mut events = Events::new(folder.join("spill"));
        for (place, (exchange_ns, local_ns, is_trade)) in times.iter().enumerate() {
            let ev = if *is_trade { TRADE } else { DEPTH };
            let (exchange_ns, local_ns) = (*exchange_ns, *local_ns);
            events.push(Event { ev, exchange_ns, local_ns, price: 1.5, quantity: 2.0, index: 0 });
            if (place + 1) % spill_every == 0 {
                events.spill().unwrap();
            }
        }
        let mut found = Vec::new();
        let events = events.ordered();
        events
            .each(|event, flags| {
                found.push((*event, flags));
                Ok(())
            })
            .unwrap();
        events.remove_spill().unwrap();
        found
    }

    proptest! {
        #[test]
        fn both_orders_hold_whatever_is_spilled(
            times in prop::collection::vec((0..50_i64, 0..50_i64, any::<bool>()), 0..60),
            spill_every in 1..30_usize,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let all = events(&times, 1000, folder.path());
            for (flag, order) in [(EXCHANGE, Order::Exchange), (LOCAL, Order::Local)] {
                let keys: Vec<_> =
                    all.iter().filter(|(_, flags)| flags & flag != 0).map(|(event, _)| order.key(event)).collect();
                prop_assert!(keys.is_sorted());
                prop_assert_eq!(keys.len(), times.len());
            }
            prop_assert_eq!(events(&times, spill_every, folder.path()), all);
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn events_in_one_order_stand_once() {
        let folder = tempfile::tempdir().unwrap();
        let found = events(&[(1, 5, false), (2, 6, true), (3, 7, false)], 1000, folder.path());
        assert!(found.iter().all(|(_, flags)| *flags == EXCHANGE | LOCAL), "{found:?}");
        let crossed = events(&[(2, 5, false), (1, 6, true)], 1000, folder.path());
        assert_eq!(crossed.len(), 3);
    }
}

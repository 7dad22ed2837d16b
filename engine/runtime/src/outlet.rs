//! The way out of a thread: rings to the next stage, and what happens when one is full.
//!
//! A full ring is waited for, at most [`LONGEST_WAIT`]. The bytes behind wait in the kernel's socket buffer
//! meanwhile. After that records are dropped, counted by stream, and reported as gaps as soon as there is
//! room again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytemuck::Zeroable;
use marketprism_core::record::{Book, Gap, GapReason, Header, Kind, Line, Record, Sink, Trade, flag};
use marketprism_core::ring::{Doorbell, LineProducer};

use crate::telemetry::add;

/// How long a full ring is waited for before records are dropped.
pub const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// A ring to one consumer.
pub struct Lane {
    producer: LineProducer,
    doorbell: Doorbell,
    touched: bool,
    overrun: bool,
    lost: BTreeMap<(u32, u8), Lost>,
    lost_books: BTreeSet<u32>,
}

/// What was lost of one stream.
#[derive(Clone, Copy, Debug)]
struct Lost {
    records: u32,
    ids: (u64, u64),
    times_ns: (i64, i64),
}

impl Lane {
    /// A lane over a ring, with the consumer's doorbell.
    pub fn new(producer: LineProducer, doorbell: Doorbell) -> Lane {
        Lane {
            producer,
            doorbell,
            touched: false,
            overrun: false,
            lost: BTreeMap::new(),
            lost_books: BTreeSet::new(),
        }
    }

    #[inline]
    fn append(&mut self, head: &[Line], body: &[u8]) -> u64 {
        self.touched = true;
        if !self.overrun && self.producer.push(head, body).is_ok() {
            return 0;
        }
        self.append_full(head, body)
    }

    /// Returns the number of records dropped.
    #[cold]
    fn append_full(&mut self, head: &[Line], body: &[u8]) -> u64 {
        if self.overrun {
            self.recover();
        } else {
            self.wait(head, body);
        }
        if !self.overrun && self.producer.push(head, body).is_ok() {
            return 0;
        }
        self.overrun = true;
        self.note_loss(head);
        1
    }

    /// Gives the consumer time to make room.
    fn wait(&mut self, head: &[Line], body: &[u8]) {
        let needed = head.len() + body.len().div_ceil(64);
        let start = Instant::now();
        // Twice the room, because the record may not straddle the end of the ring.
        while self.producer.free_lines() < 2 * needed && start.elapsed() < LONGEST_WAIT {
            self.doorbell.ring();
            std::thread::yield_now();
            if self.producer.is_abandoned() {
                return;
            }
        }
    }

    /// Ends an overrun once a quarter of the ring is free: the gaps go first.
    fn recover(&mut self) {
        if self.producer.free_lines() * 4 < self.producer.capacity_lines() {
            return;
        }
        while let Some(((instrument, kind), lost)) = self.lost.pop_first() {
            let mut header = Header::new(Kind::Gap, instrument, lost.times_ns.1);
            header.exchange_ns = marketprism_core::clock::TIME_MISSING;
            let gap = Gap {
                header,
                from_id: lost.ids.0,
                to_id: lost.ids.1,
                from_ns: lost.times_ns.0,
                stream: kind,
                reason: GapReason::Overrun as u8,
                records: lost.records,
                ..Gap::zeroed()
            };
            if self.producer.push(gap.lines(), &[]).is_err() {
                self.lost.insert((instrument, kind), lost);
                return;
            }
        }
        self.overrun = false;
    }

    fn note_loss(&mut self, head: &[Line]) {
        let Some(line) = head.first() else { return };
        let header: &Header = bytemuck::from_bytes(&line.0[..size_of::<Header>()]);
        let (stream, ids, records) = match Kind::from_number(header.kind) {
            // A gap that finds no room is part of the greater one.
            Some(Kind::Gap) => {
                let gap: &Gap = bytemuck::from_bytes(&line.0);
                (gap.stream, (gap.from_id, gap.to_id.max(gap.from_id)), gap.records)
            }
            Some(kind) => (stream_of(header, kind) as u8, (first_id(line, header, kind), header.sequence), 1),
            None => (header.kind, (header.sequence, header.sequence), 1),
        };
        if stream == Kind::BookDelta as u8 || stream == Kind::BookSnapshot as u8 {
            self.lost_books.insert(header.instrument);
        }
        let at = header.receive_ns;
        let first = Lost { records: 0, ids, times_ns: (at, at) };
        let lost = self.lost.entry((header.instrument, stream)).or_insert(first);
        lost.records = lost.records.saturating_add(records);
        lost.ids = (lost.ids.0.min(ids.0), lost.ids.1.max(ids.1));
        lost.times_ns.1 = at;
    }
}

/// Lanes to the consumers of the next stage; a record goes to the one that owns its instrument.
pub struct Outlet {
    lanes: Vec<Lane>,
    dropped: Arc<AtomicU64>,
}

impl Outlet {
    /// An outlet over at least one lane.
    pub fn new(lanes: Vec<Lane>) -> Outlet {
        Outlet { lanes, dropped: Arc::default() }
    }

    /// Wakes every consumer that got something since the last call.
    #[inline]
    pub fn ring(&mut self) {
        for lane in &mut self.lanes {
            if lane.overrun {
                lane.recover();
            }
            if std::mem::take(&mut lane.touched) {
                lane.doorbell.ring();
            }
        }
    }

    /// Instruments whose book records were dropped since the last call: their books in the log have a hole.
    pub fn take_lost_books(&mut self) -> Vec<u32> {
        self.lanes.iter_mut().flat_map(|lane| std::mem::take(&mut lane.lost_books)).collect()
    }

    /// Records dropped since the beginning because a ring stayed full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The same number, for those who watch from another thread.
    pub fn dropped_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }
}

impl Sink for Outlet {
    #[inline]
    fn append(&mut self, head: &[Line], body: &[u8]) {
        let lane = match self.lanes.len() {
            1 => 0,
            count => instrument_of(head) as usize % count,
        };
        let dropped = self.lanes[lane].append(head, body);
        if dropped > 0 {
            add(&self.dropped, dropped);
        }
    }
}

/// The stream that a lost record belongs to: the snapshots that start a chained book are part of that of its deltas.
fn stream_of(header: &Header, kind: Kind) -> Kind {
    let own = flag::REST | flag::PARTIAL | flag::DERIVED;
    match kind {
        Kind::BookSnapshot if header.flags & own == 0 => Kind::BookDelta,
        other => other.stream(),
    }
}

/// The first id that a record covers: a book delta covers a range, and on linked books also the ids of other
/// instruments since the delta before; a trade may be several fills.
fn first_id(line: &Line, header: &Header, kind: Kind) -> u64 {
    match kind {
        Kind::Trade | Kind::DetailedTrade => {
            let trade: &Trade = bytemuck::from_bytes(&line.0);
            trade.first_id()
        }
        Kind::BookDelta => {
            let book: &Book = bytemuck::from_bytes(&line.0);
            let first =
                if book.checksum().is_some() || book.first_id == 0 { header.sequence } else { book.first_id };
            match u64::try_from(book.previous_id) {
                Ok(previous) => previous.saturating_add(1).min(first),
                // Not linked, or the venue named none.
                Err(_) => first,
            }
        }
        _ => header.sequence,
    }
}

/// The instrument in the header of a record.
#[inline]
fn instrument_of(head: &[Line]) -> u32 {
    head.first().map_or(0, |line| u32::from_le_bytes([line.0[4], line.0[5], line.0[6], line.0[7]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use marketprism_core::record::{ABSENT, Quote, RecordRef};
    use marketprism_core::ring::{WaitStrategy, ring, wakeup};

    fn quote(instrument: u32, sequence: u64) -> Quote {
        let mut header = Header::new(Kind::Quote, instrument, sequence as i64);
        header.sequence = sequence;
        Quote { header, ..Quote::zeroed() }
    }

    #[test]
    fn what_does_not_fit_is_counted_and_reported_when_there_is_room() {
        let (producer, mut consumer) = ring(8);
        let (_waiter, doorbell) = wakeup(WaitStrategy::Adaptive);
        let mut outlet = Outlet::new(vec![Lane::new(producer, doorbell)]);
        let watched = outlet.dropped_counter();
        for sequence in 0..11 {
            outlet.append(quote(5, sequence).lines(), &[]);
        }
        assert_eq!((outlet.dropped(), watched.load(Ordering::Relaxed)), (3, 3));
        let mut seen = vec![];
        consumer.consume(usize::MAX, |record| seen.push(record.header().sequence));
        assert_eq!(seen, (0..8).collect::<Vec<_>>());

        outlet.append(quote(5, 11).lines(), &[]);
        let mut gap = None;
        consumer.consume(usize::MAX, |record| match record {
            RecordRef::Gap(g) => gap = Some((*g, None)),
            other => gap.as_mut().unwrap().1 = Some(other.header().sequence),
        });
        let (gap, after) = gap.unwrap();
        assert_eq!((gap.from_id, gap.to_id, gap.records, gap.stream), (8, 10, 3, Kind::Quote as u8));
        assert_eq!((gap.from_ns, gap.header.receive_ns, gap.reason), (8, 10, GapReason::Overrun as u8));
        assert_eq!(after, Some(11), "the gap comes before what follows it");
    }

    #[test]
    fn a_lost_delta_is_reported_from_the_first_id_that_it_covers() {
        for (previous_id, first_id, from) in [(ABSENT, 50, 50), (40, 50, 41), (-1, 50, 50)] {
            let (producer, mut consumer) = ring(8);
            let (_waiter, doorbell) = wakeup(WaitStrategy::Adaptive);
            let mut outlet = Outlet::new(vec![Lane::new(producer, doorbell)]);
            (0..8).for_each(|sequence| outlet.append(quote(5, sequence).lines(), &[]));
            let mut header = Header::new(Kind::BookDelta, 5, 9);
            header.sequence = 60;
            let delta = Book { header, first_id, previous_id, ..Book::zeroed() };
            outlet.append(delta.lines(), &[]);
            consumer.consume(usize::MAX, |_| {});
            outlet.append(quote(5, 8).lines(), &[]);
            let mut ids = None;
            consumer.consume(usize::MAX, |record| {
                if let RecordRef::Gap(gap) = record {
                    ids = Some((gap.from_id, gap.to_id));
                }
            });
            assert_eq!(ids, Some((from, 60)));
        }
    }

    #[test]
    fn a_record_goes_to_the_lane_of_its_instrument() {
        let (_waiter, doorbell) = wakeup(WaitStrategy::Adaptive);
        let (lanes, mut consumers): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| ring(64))
            .map(|(producer, consumer)| (Lane::new(producer, doorbell.clone()), consumer))
            .unzip();
        let mut outlet = Outlet::new(lanes);
        for instrument in 0..30 {
            outlet.append(quote(instrument, 1).lines(), &[]);
        }
        for (index, consumer) in consumers.iter_mut().enumerate() {
            let mut count = 0;
            consumer.consume(usize::MAX, |record| {
                assert_eq!(record.header().instrument as usize % 3, index);
                count += 1;
            });
            assert_eq!(count, 10);
        }
    }
}

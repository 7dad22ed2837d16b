//! A book in step with its venue.

use marketprism_core::Level;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::Book;
use marketprism_core::venue::Continuity;

use crate::chain::Chain;
use crate::error::BookError;
use crate::held::{Held, NoBridge};
use crate::order_book::OrderBook;
use crate::rule::{Position, Relation, expectation, farthest_late_copy, relation};

mod chained;
mod steps;

pub use steps::{DeltaStep, Emit, SnapshotStep, State, StreamSnapshotStep};

/// A delta with old ids whose exchange time is newer than the book's by more than this, in nanoseconds, is no
/// late copy: the venue counts anew. Two lines of one stream are never so far apart.
const LATE_COPY_NS: i64 = 5_000_000_000;

/// After so many deltas in a row that seem to be part of the book already, the venue is taken to count anew.
/// Only of importance where it sends no times.
const MAX_CONTAINED_RUN: u32 = 1_000;

/// An [`OrderBook`] that is filled and watched by its venue's [`Continuity`] rule.
///
/// The caller subscribes first and asks for a snapshot once the stream is acknowledged. The book is valid as
/// soon as a snapshot is in and every held delta that it lacks has been applied. Where no held delta is newer
/// than the snapshot, the book is valid as well, since the snapshot is exact at its id; the next delta then has
/// to bridge, and [`is_bridged`](SyncedBook::is_bridged) says whether one has.
///
/// Where the stream itself brings the snapshot ([`Continuity::Chained`]), nothing is held and no snapshot is asked
/// for: [`on_stream_snapshot`](SyncedBook::on_stream_snapshot) takes the place of
/// [`on_snapshot`](SyncedBook::on_snapshot).
#[derive(Clone, Debug)]
pub struct SyncedBook {
    continuity: Continuity,
    state: State,
    book: OrderBook,
    position: Position,
    held: Held,
    /// Last id of deltas that were seen and are neither held nor in the book; an older snapshot is of no use.
    lost_through: u64,
    /// Exchange time of the newest message in the book, or [`TIME_MISSING`].
    exchange_ns: i64,
    /// Contained deltas since one was applied.
    contained_run: u32,
    /// What the rule [`Continuity::Chained`] needs besides.
    chain: Chain,
}

impl SyncedBook {
    /// A book that waits for its first snapshot. Allocates nothing.
    pub fn new(continuity: Continuity) -> Self {
        let chained = continuity == Continuity::Chained;
        SyncedBook {
            continuity,
            state: State::Waiting,
            book: if chained { OrderBook::counting() } else { OrderBook::new() },
            position: Position::default(),
            held: Held::default(),
            lost_through: 0,
            exchange_ns: TIME_MISSING,
            contained_run: 0,
            chain: Chain::default(),
        }
    }

    /// Takes the next delta of the stream; `levels` are the record's, bids first.
    pub fn on_delta(&mut self, book: &Book, levels: &[Level]) -> DeltaStep {
        if self.continuity == Continuity::Chained {
            return self.on_chained_delta(book, levels);
        }
        let (bids, asks) = match split(book, levels) {
            Ok(sides) => sides,
            Err(error) => return self.on_unusable(book, error),
        };
        if self.state == State::Waiting {
            return self.hold(book, levels);
        }
        match relation(self.continuity, self.position, book) {
            Relation::Follows => {
                let exponents = (book.header.price_exponent, book.header.quantity_exponent);
                if let Err(error) = self.book.apply(exponents.0, exponents.1, bids, asks) {
                    return self.on_unusable(book, error);
                }
                self.position = Position::of_delta(book);
                self.exchange_ns = self.exchange_ns.max(book.header.exchange_ns);
                self.contained_run = 0;
                DeltaStep::Applied
            }
            Relation::Contained => {
                self.contained_run = self.contained_run.saturating_add(1);
                if self.contained_run <= MAX_CONTAINED_RUN && !self.counts_anew(self.position.last_id, book) {
                    return DeltaStep::Contained;
                }
                let (expected, got) = expectation(self.continuity, self.position, book);
                self.start_over(book, levels);
                DeltaStep::Reset { expected, got }
            }
            Relation::Breaks => {
                let (expected, got) = expectation(self.continuity, self.position, book);
                self.start_over(book, levels);
                DeltaStep::Broken { expected, got }
            }
        }
    }

    /// Takes a snapshot. Where it makes the book valid, `emit` gets every held delta exactly once: first those
    /// that the snapshot makes superfluous, then the snapshot, then those that were applied to it. A snapshot
    /// that replaces a valid book is emitted alone. A book whose stream brings the snapshot takes no other.
    pub fn on_snapshot(
        &mut self,
        book: &Book,
        levels: &[Level],
        emit: &mut dyn FnMut(Emit<'_>),
    ) -> SnapshotStep {
        let (bids, asks) = match split(book, levels) {
            Ok(sides) => sides,
            Err(error) => return SnapshotStep::Unusable(error),
        };
        let id = book.header.sequence;
        let superfluous = self.state == State::Valid && id <= self.position.last_id;
        if superfluous || self.continuity == Continuity::Chained {
            return SnapshotStep::NotNewer;
        }
        let contained = match self.held.bridge(self.continuity, id) {
            _ if self.state == State::Waiting && id < self.lost_through => return SnapshotStep::TooOld,
            Ok(contained) => contained,
            Err(NoBridge::TooOld) => return SnapshotStep::TooOld,
            Err(NoBridge::Hole(delta)) => {
                return SnapshotStep::Broken { expected: id, got: delta.header.sequence };
            }
        };
        if let Err(error) =
            self.book.load(book.header.price_exponent, book.header.quantity_exponent, bids, asks)
        {
            return SnapshotStep::Unusable(error);
        }
        if let Err(error) = self.replay(contained) {
            self.book.clear();
            return SnapshotStep::Unusable(error);
        }
        self.become_valid(book, levels, contained, emit)
    }

    /// Applies the held deltas from this one on.
    fn replay(&mut self, from: usize) -> Result<(), BookError> {
        for (delta, levels) in self.held.iter().skip(from) {
            let (bids, asks) = split(delta, levels)?;
            self.book.apply(delta.header.price_exponent, delta.header.quantity_exponent, bids, asks)?;
        }
        Ok(())
    }

    /// The book is right: gives everything out and takes the place in the chain.
    fn become_valid(
        &mut self,
        snapshot: &Book,
        snapshot_levels: &[Level],
        contained: usize,
        emit: &mut dyn FnMut(Emit<'_>),
    ) -> SnapshotStep {
        let replayed = self.held.len() - contained;
        for (delta, levels) in self.held.iter().take(contained) {
            emit(Emit::Contained(delta, levels));
        }
        emit(Emit::Snapshot(snapshot, snapshot_levels));
        self.position = Position::of_snapshot(snapshot.header.sequence);
        self.exchange_ns = snapshot.header.exchange_ns;
        for (delta, levels) in self.held.iter().skip(contained) {
            emit(Emit::Replayed(delta, levels));
            self.position = Position::of_delta(delta);
            self.exchange_ns = self.exchange_ns.max(delta.header.exchange_ns);
        }
        self.held.clear();
        self.contained_run = 0;
        self.lost_through = 0;
        match std::mem::replace(&mut self.state, State::Valid) {
            State::Waiting => SnapshotStep::Valid { contained, replayed },
            State::Valid => SnapshotStep::Replaced,
        }
    }

    /// Gives back all held deltas, oldest first, and starts the buffer anew; the caller records them as
    /// received while the book was invalid. A later snapshot has to be newer than they are.
    pub fn release(&mut self, emit: &mut dyn FnMut(&Book, &[Level])) {
        for (delta, levels) in self.held.iter() {
            emit(delta, levels);
        }
        self.lost_through = self.lost_through.max(self.held.highest_id());
        self.held.clear();
    }

    /// The connection was lost, or the book is not to be believed for another reason: it needs a new snapshot.
    /// Held deltas stay held. A line that comes now may lag: a snapshot of the stream is not measured by what was
    /// seen before.
    pub fn invalidate(&mut self) {
        self.chain.forget_seen();
        self.lose();
    }

    /// The book is not to be believed from now on.
    fn lose(&mut self) {
        if self.state == State::Valid {
            self.lost_through = self.position.last_id;
            self.state = State::Waiting;
            self.book.clear();
        }
    }

    /// Whether the book may be believed.
    pub fn is_valid(&self) -> bool {
        self.state == State::Valid
    }

    /// Whether the book may be believed.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the book is valid and a delta has continued its snapshot.
    pub fn is_bridged(&self) -> bool {
        self.is_valid() && self.position.bridged
    }

    /// The venue's id of the newest message in the book; `None` while it waits.
    pub fn last_id(&self) -> Option<u64> {
        self.is_valid().then_some(self.position.last_id)
    }

    /// The book; empty while it waits.
    pub fn book(&self) -> &OrderBook {
        &self.book
    }

    /// Whether the best bid is at or above the best ask. The cost does not depend on the size of the book.
    pub fn is_crossed(&self) -> bool {
        self.book.is_crossed()
    }

    /// How many of the venue's checksums were found true since the book was made.
    pub fn verified_checksums(&self) -> u64 {
        self.chain.verified()
    }

    /// As [`OrderBook::missing_removals`]. Counted where the stream brings the snapshot; otherwise 0, since
    /// removals of levels beyond a snapshot's depth are normal there.
    pub fn missing_removals(&self) -> u64 {
        self.book.missing_removals()
    }

    /// The rule.
    pub fn continuity(&self) -> Continuity {
        self.continuity
    }

    /// Number of deltas held.
    pub fn held_messages(&self) -> usize {
        self.held.len()
    }

    /// Number of levels of the deltas held.
    pub fn held_levels(&self) -> usize {
        self.held.level_count()
    }

    /// Receive time, nanoseconds since the Unix epoch, of the oldest delta held.
    pub fn held_since_receive_ns(&self) -> Option<i64> {
        self.held.first().map(|delta| delta.header.receive_ns)
    }

    /// Keeps a delta until a snapshot comes.
    fn hold(&mut self, book: &Book, levels: &[Level]) -> DeltaStep {
        let Some(newest) = self.held.last() else {
            if book.header.sequence < self.lost_through {
                // The stream itself shows that the venue is behind what was lost: it counts anew, or this is
                // another line of it that lags. Either way the chain now tells all that is needed.
                self.lost_through = 0;
            }
            self.held.push(book, levels, false);
            return DeltaStep::Held;
        };
        if self.held.holds(self.continuity, book) {
            return DeltaStep::Contained;
        }
        let at = Position::of_delta(newest);
        let relation = relation(self.continuity, at, book);
        let back = relation == Relation::Contained && {
            let newest_ns = newest.header.exchange_ns;
            went_back(self.continuity, (at.last_id, newest_ns), book)
        };
        if back || !self.held.has_room(levels.len()) {
            return DeltaStep::ReleaseFirst;
        }
        self.held.push(book, levels, relation == Relation::Follows);
        if relation == Relation::Follows {
            return DeltaStep::Held;
        }
        let (expected, got) = expectation(self.continuity, at, book);
        DeltaStep::HeldAfterGap { expected, got }
    }

    /// Makes the book invalid; the delta is the first of a new buffer.
    fn start_over(&mut self, book: &Book, levels: &[Level]) {
        self.lose();
        self.hold(book, levels);
    }

    /// A delta that cannot be applied, nor ever be.
    fn on_unusable(&mut self, book: &Book, error: BookError) -> DeltaStep {
        self.lose();
        self.lost_through = self.lost_through.max(book.header.sequence);
        DeltaStep::Unusable(error)
    }

    /// Whether a delta with old ids shows that the venue restarted its count.
    fn counts_anew(&self, last_id: u64, book: &Book) -> bool {
        went_back(self.continuity, (last_id, self.exchange_ns), book)
    }
}

/// Whether a delta is no late copy of something before the newest message, given by last id and exchange time.
fn went_back(continuity: Continuity, newest: (u64, i64), delta: &Book) -> bool {
    let (last_id, exchange_ns) = newest;
    let too_far = last_id.saturating_sub(delta.header.sequence) > farthest_late_copy(continuity);
    let times_known = exchange_ns != TIME_MISSING && delta.header.exchange_ns != TIME_MISSING;
    too_far || (times_known && delta.header.exchange_ns.saturating_sub(exchange_ns) > LATE_COPY_NS)
}

/// Bids and asks of a record.
fn split<'a>(book: &Book, levels: &'a [Level]) -> Result<(&'a [Level], &'a [Level]), BookError> {
    let (bids, asks) = (usize::from(book.bid_levels), usize::from(book.ask_levels));
    if bids + asks != levels.len() {
        return Err(BookError::LevelCount { announced: bids + asks, carried: levels.len() });
    }
    levels
        .split_at_checked(bids)
        .ok_or(BookError::LevelCount { announced: bids + asks, carried: levels.len() })
}

//! A book as the venue had it, made from the recorded snapshots and changes.
//!
//! A recorder keeps the changes that it held while it waited for a snapshot behind it; by receive time they come before.
//! So a book keeps the changes of the last moments until it has a snapshot to put them on.

use std::collections::{BTreeMap, VecDeque};

use marketprism_core::Decimal;
use marketprism_core::record::{ABSENT, Book, Level};

use super::frames::sides;

/// Most changes kept while there is no snapshot.
const MOST_KEPT: usize = 8192;

/// Price in units of the finest price exponent seen, which never shrinks.
type Side = BTreeMap<i64, i64>;

/// The book of one instrument.
#[derive(Debug, Default)]
pub(super) struct RecordedBook {
    bids: Side,
    asks: Side,
    exponents: (i8, i8),
    /// Last update id in the book; `None` while there is no book.
    pub(super) last_id: Option<u64>,
    /// The venue's times of the newest message, nanoseconds.
    pub(super) exchange_ns: i64,
    pub(super) event_ns: i64,
    /// Changes without a book to put them on, oldest first.
    kept: VecDeque<(Book, Vec<Level>)>,
}

impl RecordedBook {
    /// Takes the next changes.
    pub(super) fn change(&mut self, book: &Book, levels: &[Level]) {
        if self.last_id.is_some_and(|last_id| !follows(book, last_id)) {
            self.last_id = None;
            self.kept.clear();
        }
        match self.last_id {
            Some(_) => self.apply(book, levels),
            None => {
                if self.kept.len() == MOST_KEPT {
                    self.kept.pop_front();
                }
                self.kept.push_back((*book, levels.to_vec()));
            }
        }
    }

    /// Takes a whole book. One that is older than the own tells nothing new.
    pub(super) fn snapshot(&mut self, book: &Book, levels: &[Level]) {
        if self.last_id.is_some_and(|last_id| last_id >= book.header.sequence) {
            return;
        }
        self.bids.clear();
        self.asks.clear();
        self.exponents = (book.header.price_exponent, book.header.quantity_exponent);
        self.last_id = Some(book.header.sequence);
        self.set(book, levels);
        for (book, levels) in std::mem::take(&mut self.kept) {
            self.change(&book, &levels);
        }
    }

    /// Bids, best first.
    pub(super) fn bids(&self) -> impl Iterator<Item = Level> {
        self.bids.iter().rev().map(|(price, quantity)| Level { price: *price, quantity: *quantity })
    }

    /// Asks, best first.
    pub(super) fn asks(&self) -> impl Iterator<Item = Level> {
        self.asks.iter().map(|(price, quantity)| Level { price: *price, quantity: *quantity })
    }

    /// Exponents of prices and quantities.
    pub(super) fn exponents(&self) -> (i8, i8) {
        self.exponents
    }

    fn apply(&mut self, book: &Book, levels: &[Level]) {
        if self.last_id.is_some_and(|last_id| book.header.sequence > last_id) {
            self.last_id = Some(book.header.sequence);
            self.set(book, levels);
        }
    }

    fn set(&mut self, book: &Book, levels: &[Level]) {
        (self.exchange_ns, self.event_ns) = (book.header.exchange_ns, book.event_ns);
        let from = (book.header.price_exponent, book.header.quantity_exponent);
        if !levels.is_empty() && !self.refine(from) {
            self.last_id = None;
            return;
        }
        let to = self.exponents;
        let (bids, asks) = sides(book, levels);
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels {
                match (scaled(level.price, from.0, to.0), scaled(level.quantity, from.1, to.1)) {
                    (Some(price), Some(0)) => drop(side.remove(&price)),
                    (Some(price), Some(quantity)) => drop(side.insert(price, quantity)),
                    // A number that does not fit: the book is not known any more.
                    _ => self.last_id = None,
                }
            }
        }
    }

    /// Makes the exponents fine enough for others; false where the numbers do not fit.
    fn refine(&mut self, wanted: (i8, i8)) -> bool {
        let finer = (self.exponents.0.min(wanted.0), self.exponents.1.min(wanted.1));
        if finer == self.exponents {
            return true;
        }
        let own = self.exponents;
        let convert = |side: &Side| -> Option<Side> {
            let level = |(price, quantity): (&i64, &i64)| {
                Some((scaled(*price, own.0, finer.0)?, scaled(*quantity, own.1, finer.1)?))
            };
            side.iter().map(level).collect()
        };
        match (convert(&self.bids), convert(&self.asks)) {
            (Some(bids), Some(asks)) => {
                (self.bids, self.asks, self.exponents) = (bids, asks, finer);
                true
            }
            _ => false,
        }
    }
}

fn scaled(mantissa: i64, from: i8, to: i8) -> Option<i64> {
    Decimal::new(mantissa, from).rescale(to).map(|decimal| decimal.mantissa)
}

/// Whether changes follow on a book with this id: futures name the id before, spot counts without a hole.
fn follows(book: &Book, last_id: u64) -> bool {
    let before = match book.previous_id {
        ABSENT => i128::from(book.first_id) - 1,
        previous => i128::from(previous),
    };
    // Behind a snapshot the first changes may begin before it.
    before <= i128::from(last_id)
}

//! The order book of one instrument, and what each of its channels has told of it.

use std::collections::{BTreeMap, VecDeque};

/// A side of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Bid,
    Ask,
}

impl Side {
    pub(super) const BOTH: [Side; 2] = [Side::Bid, Side::Ask];

    pub(super) fn opposite(self) -> Side {
        if self == Side::Bid { Side::Ask } else { Side::Bid }
    }

    /// The direction from this side's best price to its worse ones, in ticks.
    pub(super) fn away(self) -> i64 {
        if self == Side::Bid { -1 } else { 1 }
    }
}

/// Lots by price in ticks. The market keeps bids below asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Book {
    sides: [BTreeMap<i64, i64>; 2],
}

impl Book {
    pub(super) fn lots(&self, side: Side, tick: i64) -> i64 {
        self.sides[side as usize].get(&tick).copied().unwrap_or(0)
    }

    pub(super) fn count(&self, side: Side) -> usize {
        self.sides[side as usize].len()
    }

    /// Best price and its lots.
    pub(super) fn best(&self, side: Side) -> Option<(i64, i64)> {
        self.levels(side).next()
    }

    /// Levels, best first.
    pub(super) fn levels(&self, side: Side) -> Box<dyn Iterator<Item = (i64, i64)> + '_> {
        let levels = self.sides[side as usize].iter().map(|(&tick, &lots)| (tick, lots));
        match side {
            Side::Bid => Box::new(levels.rev()),
            Side::Ask => Box::new(levels),
        }
    }

    /// Sets a level; gives the lots it had. No lots remove it.
    pub(super) fn set(&mut self, side: Side, tick: i64, lots: i64) -> i64 {
        let levels = &mut self.sides[side as usize];
        let old = if lots == 0 { levels.remove(&tick) } else { levels.insert(tick, lots) };
        old.unwrap_or(0)
    }
}

/// One level of a message: its side, price, lots before and lots now.
pub(super) type Change = (Side, i64, i64, i64);

/// Messages that a channel can take back, for a snapshot as it was.
const LONGEST_MEMORY: usize = 64;

/// What the clients of one book channel hold.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    /// `change_id` of the last message.
    pub(super) last_id: u64,
    /// Lots, as the clients hold them, of the levels changed since.
    before: BTreeMap<(Side, i64), i64>,
    /// The last messages, oldest first: the id before each and the levels it changed.
    told: VecDeque<(u64, Vec<Change>)>,
}

impl Chain {
    pub(super) fn new(last_id: u64) -> Chain {
        Chain { last_id, before: BTreeMap::new(), told: VecDeque::new() }
    }

    /// Notes that a level changed from `old` lots.
    pub(super) fn note(&mut self, side: Side, tick: i64, old: i64) {
        self.before.entry((side, tick)).or_insert(old);
    }

    /// What the next message says, none of it twice: the levels that differ from what the clients hold. Bids come
    /// first.
    pub(super) fn take(&mut self, book: &Book) -> Vec<Change> {
        let before = std::mem::take(&mut self.before);
        let level = |((side, tick), old)| (side, tick, old, book.lots(side, tick));
        before.into_iter().map(level).filter(|&(_, _, old, new)| old != new).collect()
    }

    /// Whether the next message has something to say.
    pub(super) fn differs(&self, book: &Book) -> bool {
        self.before.iter().any(|(&(side, tick), &old)| book.lots(side, tick) != old)
    }

    /// A message with these levels goes out; gives the id that it follows.
    pub(super) fn tell(&mut self, change_id: u64, levels: Vec<Change>) -> u64 {
        let previous = std::mem::replace(&mut self.last_id, change_id);
        if self.told.len() == LONGEST_MEMORY {
            self.told.pop_front();
        }
        self.told.push_back((previous, levels));
        previous
    }

    /// The book that the clients held so many messages ago, and its id. Call it when nothing waits to be told.
    pub(super) fn rewound(&self, book: &Book, messages: u64) -> (Book, u64) {
        let (mut book, mut id) = (book.clone(), self.last_id);
        for (previous, levels) in self.told.iter().rev().take(usize::try_from(messages).unwrap_or(usize::MAX))
        {
            for &(side, tick, old, _) in levels {
                book.set(side, tick, old);
            }
            id = *previous;
        }
        (book, id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apply(book: &mut Book, levels: &[Change]) {
        for &(side, tick, old, new) in levels {
            assert_eq!(book.set(side, tick, new), old, "the client held what the message says");
        }
    }

    proptest! {
        /// Whoever applies every message of a chain holds the book, and rewinding gives back each book held before.
        #[test]
        fn a_chain_tells_the_book(
            batches in prop::collection::vec(
                prop::collection::vec((any::<bool>(), 0_i64..20, 0_i64..4), 1..8), 1..30)
        ) {
            let (mut book, mut held) = (Book::default(), Book::default());
            let mut chain = Chain::new(0);
            let mut past = vec![(held.clone(), 0)];
            for batch in batches {
                for (bid, tick, lots) in batch {
                    let side = if bid { Side::Bid } else { Side::Ask };
                    let old = book.set(side, tick, lots);
                    chain.note(side, tick, old);
                }
                let levels = chain.take(&book);
                apply(&mut held, &levels);
                prop_assert_eq!(&held, &book);
                if !levels.is_empty() {
                    let id = chain.last_id + 3;
                    prop_assert_eq!(chain.tell(id, levels), id - 3);
                    past.push((held.clone(), id));
                }
            }
            for (back, then) in past.iter().rev().enumerate() {
                prop_assert_eq!(&chain.rewound(&book, back as u64), then);
            }
        }
    }
}

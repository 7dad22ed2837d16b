//! What a book of a chained stream remembers besides its place.

use marketprism_core::Decimal;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{Book, Header};

use crate::order_book::OrderBook;
use crate::rule::previous_id;

/// How many messages back a copy is known as one.
const APPLIED: usize = 16;

/// Levels of a side that the venue's checksum covers.
const CHECKSUM_LEVELS: usize = 25;

/// Room for the text of a usual checksum: two numbers of ten characters for each level.
const CHECKSUM_TEXT: usize = 2 * CHECKSUM_LEVELS * 22;

/// Messages applied and seen, and what the checksums prove.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    /// Ids, previous and own, of the last messages that were applied; equal ones stand for none.
    applied: [(u64, u64); APPLIED],
    /// Where the next goes.
    next: usize,
    /// Id of the newest message that has come, whatever became of it.
    seen_id: u64,
    /// Its exchange time, or [`TIME_MISSING`].
    seen_ns: i64,
    /// Whether every message in the book carried a checksum, so that its digits are those that the venue sums.
    is_complete: bool,
    /// Checksums found true.
    verified: u64,
    /// What was summed last; kept for its memory.
    text: Vec<u8>,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain {
            applied: [(0, 0); APPLIED],
            next: 0,
            seen_id: 0,
            seen_ns: TIME_MISSING,
            is_complete: false,
            verified: 0,
            text: Vec::new(),
        }
    }
}

impl Chain {
    /// A message has come.
    pub(crate) fn see(&mut self, header: &Header) {
        if header.exchange_ns >= self.seen_ns {
            (self.seen_id, self.seen_ns) = (header.sequence, header.exchange_ns);
        }
    }

    /// Another line of the stream comes, which may be behind the one before.
    pub(crate) fn forget_seen(&mut self) {
        (self.seen_id, self.seen_ns) = (0, TIME_MISSING);
    }

    /// Whether a snapshot is older than what has come. Ids alone do not tell, since they fall when the venue starts
    /// anew.
    pub(crate) fn is_stale(&self, header: &Header) -> bool {
        let known = header.exchange_ns != TIME_MISSING;
        known && header.sequence < self.seen_id && header.exchange_ns < self.seen_ns
    }

    /// A snapshot has taken the place of all before it.
    pub(crate) fn start(&mut self) {
        self.applied = [(0, 0); APPLIED];
        self.is_complete = true;
    }

    /// A delta was applied.
    pub(crate) fn push(&mut self, delta: &Book) {
        let Some(previous) = previous_id(delta) else { return };
        let id = delta.header.sequence;
        if id < previous {
            // Ids that were used before may come again: they are no copies any more.
            self.applied = [(0, 0); APPLIED];
        } else if id != previous {
            self.applied[self.next % APPLIED] = (previous, id);
            self.next = (self.next + 1) % APPLIED;
        }
    }

    /// Whether the delta is a copy of one of the last that were applied. Ids that stand still tell nothing.
    pub(crate) fn holds(&self, delta: &Book) -> bool {
        previous_id(delta).is_some_and(|previous| {
            let ids = (previous, delta.header.sequence);
            ids.0 != ids.1 && self.applied.contains(&ids)
        })
    }

    /// Compares the checksum of the message that was just applied with the book. A mismatch is given and computed.
    /// A message without one (0 is none) spoils those after it, until the book is empty and holds nothing of it.
    pub(crate) fn verify(&mut self, message: &Book, book: &OrderBook) -> Result<(), (u32, u32)> {
        let given = message.checksum().filter(|checksum| *checksum != 0);
        self.is_complete = (self.is_complete && given.is_some()) || book.is_empty();
        let Some(given) = given.filter(|_| self.is_complete) else { return Ok(()) };
        let computed = checksum(book, &mut self.text);
        if given != computed {
            return Err((given, computed));
        }
        self.verified += 1;
        Ok(())
    }

    /// Checksums found true.
    pub(crate) fn verified(&self) -> u64 {
        self.verified
    }
}

/// The CRC-32 of the best levels, bid and ask in turn, as `price:size` joined by colons.
fn checksum(book: &OrderBook, text: &mut Vec<u8>) -> u32 {
    text.clear();
    text.reserve(CHECKSUM_TEXT);
    let (mut bids, mut asks) = (book.bids(), book.asks());
    for _ in 0..CHECKSUM_LEVELS {
        for level in [bids.next(), asks.next()].into_iter().flatten() {
            Decimal::new(level.price, book.price_exponent()).normalised().write(text);
            text.push(b':');
            Decimal::new(level.quantity, book.quantity_exponent()).normalised().write(text);
            text.push(b':');
        }
    }
    text.pop();
    crc32fast::hash(text)
}

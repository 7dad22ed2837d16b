//! The book of an instrument at the moment that a replay has come to.

use std::collections::BTreeMap;

use marketprism_core::record::{self, flag};
use marketprism_core::{Decimal, Kind, Level};

/// A side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Bid,
    Ask,
}

/// Price and quantity.
pub(crate) type Row = (Decimal, Decimal);

/// A book as the messages of the log made it. It is known while each message names the one before it and the recorder
/// did not doubt it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Bids and asks by price, in units of `exponent`.
    sides: [BTreeMap<i64, Decimal>; 2],
    exponent: i8,
    last_id: u64,
    exchange_ns: i64,
    checksum: Option<u32>,
    /// Each message since a snapshot named the one before it.
    has_begun: bool,
    is_known: bool,
}

impl Book {
    /// Whether it can be shown.
    pub(crate) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Id of the newest message in it.
    pub(crate) fn last_id(&self) -> u64 {
        self.last_id
    }

    /// The venue's time of the newest message in it.
    pub(crate) fn exchange_ns(&self) -> i64 {
        self.exchange_ns
    }

    /// The venue's checksum of it, where that is given.
    pub(crate) fn checksum(&self) -> Option<u32> {
        self.checksum
    }

    /// A side, best price first.
    pub(crate) fn rows(&self, side: Side) -> Box<dyn Iterator<Item = Row> + '_> {
        let row = |(price, quantity): (&i64, &Decimal)| (Decimal::new(*price, self.exponent), *quantity);
        match side {
            Side::Bid => Box::new(self.sides[0].iter().rev().map(row)),
            Side::Ask => Box::new(self.sides[1].iter().map(row)),
        }
    }

    /// Whether there is a level at a price.
    pub(crate) fn holds(&self, side: Side, price: Decimal) -> bool {
        price
            .rescale(self.exponent)
            .is_some_and(|price| self.sides[side as usize].contains_key(&price.mantissa))
    }

    /// Takes a message of the stream, or a snapshot that the recorder made. True where a client that checks what it is
    /// sent cannot go on from here: the message does not continue what came before, the recorder found the venue's
    /// checksum wrong, or did not take a snapshot.
    pub(crate) fn take(&mut self, book: &record::Book, levels: &[Level]) -> bool {
        let was_known = self.is_known;
        let is_doubted = book.header.flags & flag::BOOK_INVALID != 0;
        if book.header.kind == Kind::BookSnapshot as u8 {
            // What was derived says nothing new of a book that is known, and may come before a message that it has.
            let is_needed = book.header.flags & flag::DERIVED == 0 || !was_known;
            return is_needed && !self.start(book, levels, is_doubted);
        }
        let previous_id = book.previous_id;
        let follows = previous_id == record::ABSENT || u64::try_from(previous_id) == Ok(self.last_id);
        self.has_begun &= follows && self.change(book, levels);
        // A book that only crosses is doubted too.
        self.is_known = self.has_begun && (!is_doubted || (was_known && self.is_crossed()));
        was_known && !self.is_known
    }

    /// Starts anew from a snapshot; false where the recorder did not, but for a book that only crosses. What is known
    /// is then kept for the case that the stream goes on from it.
    fn start(&mut self, book: &record::Book, levels: &[Level], is_doubted: bool) -> bool {
        let mut fresh = Book { exponent: book.header.price_exponent, ..Book::default() };
        fresh.has_begun = fresh.change(book, levels);
        fresh.is_known = fresh.has_begun && (!is_doubted || fresh.is_crossed());
        self.is_known = fresh.is_known;
        if fresh.is_known {
            *self = fresh;
        }
        self.is_known
    }

    /// Enters levels; false where 64 bits do not hold a price.
    fn change(&mut self, book: &record::Book, levels: &[Level]) -> bool {
        self.last_id = book.header.sequence;
        self.exchange_ns = book.header.exchange_ns;
        self.checksum = book.checksum();
        if book.header.price_exponent < self.exponent && !self.refine(book.header.price_exponent) {
            return false;
        }
        for (index, level) in levels.iter().enumerate() {
            let price = Decimal::new(level.price, book.header.price_exponent).rescale(self.exponent);
            let Some(Decimal { mantissa: price, .. }) = price else { return false };
            let side = &mut self.sides[usize::from(index >= usize::from(book.bid_levels))];
            if level.quantity == 0 {
                side.remove(&price);
            } else {
                side.insert(price, Decimal::new(level.quantity, book.header.quantity_exponent));
            }
        }
        true
    }

    /// Counts prices in smaller units.
    fn refine(&mut self, exponent: i8) -> bool {
        let old = std::mem::replace(&mut self.exponent, exponent);
        let finer = |price: &i64| Decimal::new(*price, old).rescale(exponent).map(|price| price.mantissa);
        let refined = |side: &BTreeMap<i64, Decimal>| {
            side.iter().map(|(price, quantity)| Some((finer(price)?, *quantity))).collect::<Option<_>>()
        };
        let [bids, asks] = self.sides.each_ref().map(refined);
        let fits = bids.is_some() && asks.is_some();
        self.sides = [bids.unwrap_or_default(), asks.unwrap_or_default()];
        fits
    }

    fn is_crossed(&self) -> bool {
        let (bid, ask) = (self.sides[0].last_key_value(), self.sides[1].first_key_value());
        bid.zip(ask).is_some_and(|((bid, _), (ask, _))| bid >= ask)
    }
}

#[cfg(test)]
mod tests {
    use marketprism_core::clock::TIME_MISSING;
    use marketprism_core::record::Header;

    use super::*;

    /// Messages of one bid.
    struct Stream(Book);

    impl Stream {
        /// Takes a message of a level at a price in tenths; a previous id of -1 makes a snapshot.
        fn take(&mut self, ids: (i64, u64), flags: u8, (price, quantity): (i64, i64)) -> bool {
            self.take_at(-1, ids, flags, (price, quantity))
        }

        fn take_at(
            &mut self,
            price_exponent: i8,
            (previous_id, sequence): (i64, u64),
            flags: u8,
            level: (i64, i64),
        ) -> bool {
            let kind = if previous_id == -1 { Kind::BookSnapshot } else { Kind::BookDelta };
            let header = Header { flags, price_exponent, sequence, ..Header::new(kind, 1, 0) };
            let book = record::Book {
                header,
                first_id: 0,
                previous_id,
                event_ns: TIME_MISSING,
                level_start: 0,
                bid_levels: 1,
                ask_levels: 0,
            };
            self.0.take(&book, &[Level { price: level.0, quantity: level.1 }])
        }

        fn bids(&self) -> Vec<String> {
            self.0.rows(Side::Bid).map(|(price, quantity)| format!("{price}:{quantity}")).collect()
        }
    }

    fn started() -> Stream {
        let mut stream = Stream(Book::default());
        assert!(!stream.take((-1, 5), 0, (10, 1)));
        stream
    }

    #[test]
    fn a_book_is_known_while_its_messages_follow_each_other() {
        let mut stream = started();
        assert!(!stream.take((5, 7), 0, (11, 2)));
        assert_eq!((stream.bids(), stream.0.last_id()), (vec!["1.1:2".to_owned(), "1.0:1".to_owned()], 7));
        assert!(!stream.take((7, 7), 0, (10, 0)));
        assert_eq!(stream.bids(), ["1.1:2"]);
        assert!(stream.take((9, 10), flag::BOOK_INVALID, (12, 1)), "8 and 9 are missing");
        assert!(!stream.0.is_known());
        assert!(!stream.take((10, 11), flag::BOOK_INVALID, (13, 1)), "it is said once");
        assert!(!stream.0.is_known());
        assert!(!stream.take((-1, 11), 0, (20, 1)));
        assert_eq!((stream.0.is_known(), stream.bids()), (true, vec!["2.0:1".to_owned()]));
    }

    #[test]
    fn a_book_that_the_recorder_doubts_is_not_known() {
        let mut stream = started();
        assert!(stream.take((5, 6), flag::BOOK_INVALID, (11, 1)), "a wrong checksum");
        assert!(!stream.0.is_known());
    }

    #[test]
    fn a_snapshot_that_was_not_taken_changes_nothing() {
        let mut stream = started();
        assert!(stream.take((-1, 3), flag::BOOK_INVALID, (99, 1)), "somebody who takes it has to ask again");
        assert!(!stream.0.is_known());
        assert!(!stream.take((5, 6), 0, (11, 1)), "the recorder went on with the book that it had");
        assert_eq!(
            (stream.0.is_known(), stream.bids()),
            (true, vec!["1.1:1".to_owned(), "1.0:1".to_owned()])
        );
    }

    #[test]
    fn what_the_recorder_derived_only_starts_a_book() {
        let mut stream = Stream(Book::default());
        assert!(!stream.take((-1, 5), flag::DERIVED, (10, 1)));
        assert!(!stream.take((5, 6), 0, (11, 1)));
        assert!(!stream.take((-1, 5), flag::DERIVED, (10, 1)));
        assert_eq!((stream.0.last_id(), stream.bids().len()), (6, 2));
    }

    #[test]
    fn prices_may_get_more_decimals() {
        let mut stream = started();
        stream.take_at(-2, (5, 6), 0, (105, 1));
        stream.take_at(0, (6, 7), 0, (1, 0));
        assert_eq!(stream.bids(), ["1.05:1"]);
        assert!(stream.0.holds(Side::Bid, Decimal::new(1050, -3)));
    }
}

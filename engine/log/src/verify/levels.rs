//! The levels of one book, kept in trees: slow and simple beside `marketprism-book`, which it is to be a check on.

use std::collections::BTreeMap;

use marketprism_core::Decimal;
use marketprism_core::decimal::POWERS_OF_TEN;
use marketprism_core::record::{ABSENT, Book, Header, Level, Quote, flag};

/// Most levels on one side; a book with more is not followed.
const MAX_LEVELS: usize = 1 << 17;

/// Levels of a side that a checksum covers.
const CHECKSUM_LEVELS: usize = 25;

/// Names of the sides, in the order of [`Levels::sides`].
const SIDES: [&str; 2] = ["bid", "ask"];

/// The message cannot be applied exactly: negative numbers, exponents too far apart, too many levels.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable;

/// Bids and asks in exact integers.
#[derive(Default)]
pub(crate) struct Levels {
    /// Quantities by price, best first: the price of a bid is negated.
    sides: [BTreeMap<i64, i64>; 2],
    /// Powers of ten of prices and quantities.
    exponents: [i8; 2],
}

/// Bids and asks of a record.
pub(crate) fn split<'a>(book: &Book, levels: &'a [Level]) -> [&'a [Level]; 2] {
    let (bids, asks) = levels.split_at(usize::from(book.bid_levels).min(levels.len()));
    [bids, asks]
}

fn exponents(header: &Header) -> [i8; 2] {
    [header.price_exponent, header.quantity_exponent]
}

fn key(side: usize, price: i64) -> i64 {
    if side == 0 { -price } else { price }
}

/// `10^(from - to)`.
fn factor(from: i8, to: i8) -> Result<i64, Unusable> {
    let power = usize::try_from(i32::from(from) - i32::from(to)).map_err(|_| Unusable)?;
    POWERS_OF_TEN.get(power).copied().ok_or(Unusable)
}

impl Levels {
    /// The book of a snapshot.
    pub(crate) fn of(book: &Book, levels: &[Level]) -> Result<Levels, Unusable> {
        let mut loaded = Levels { exponents: exponents(&book.header), ..Levels::default() };
        loaded.apply(book, levels)?;
        Ok(loaded)
    }

    /// Sets levels to the quantities of a message; zero removes one.
    pub(crate) fn apply(&mut self, book: &Book, levels: &[Level]) -> Result<(), Unusable> {
        let from = exponents(&book.header);
        self.refine(from)?;
        let price_factor = factor(from[0], self.exponents[0])?;
        let quantity_factor = factor(from[1], self.exponents[1])?;
        for (index, (side, levels)) in self.sides.iter_mut().zip(split(book, levels)).enumerate() {
            for level in levels {
                if level.price < 0 || level.quantity < 0 {
                    return Err(Unusable);
                }
                let price = key(index, level.price.checked_mul(price_factor).ok_or(Unusable)?);
                let quantity = level.quantity.checked_mul(quantity_factor).ok_or(Unusable)?;
                match quantity {
                    0 => side.remove(&price),
                    quantity => side.insert(price, quantity),
                };
            }
            if side.len() > MAX_LEVELS {
                return Err(Unusable);
            }
        }
        Ok(())
    }

    /// Takes exponents that are at most these, so that levels with these can be kept.
    fn refine(&mut self, wanted: [i8; 2]) -> Result<(), Unusable> {
        let finer = [self.exponents[0].min(wanted[0]), self.exponents[1].min(wanted[1])];
        if finer == self.exponents {
            return Ok(());
        }
        let price_factor = factor(self.exponents[0], finer[0])?;
        let quantity_factor = factor(self.exponents[1], finer[1])?;
        for side in &mut self.sides {
            let refined = side.iter().map(|(price, quantity)| {
                Some((price.checked_mul(price_factor)?, quantity.checked_mul(quantity_factor)?))
            });
            *side = refined.collect::<Option<_>>().ok_or(Unusable)?;
        }
        self.exponents = finer;
        Ok(())
    }

    /// Whether the best bid is at or above the best ask.
    pub(crate) fn is_crossed(&self) -> bool {
        let best = |side: &BTreeMap<i64, i64>| side.keys().next().copied();
        let [bids, asks] = &self.sides;
        matches!((best(bids), best(asks)), (Some(bid), Some(ask)) if -bid >= ask)
    }

    /// The levels of a side, best first.
    fn side(&self, index: usize) -> impl Iterator<Item = Level> + '_ {
        let level =
            move |(price, quantity): (&i64, &i64)| Level { price: key(index, *price), quantity: *quantity };
        self.sides.get(index).into_iter().flatten().map(level)
    }

    /// Price and quantity of a level with such exponents.
    fn decimals(level: Level, exponents: [i8; 2]) -> (Decimal, Decimal) {
        (Decimal::new(level.price, exponents[0]), Decimal::new(level.quantity, exponents[1]))
    }

    fn equal(&self, own: Level, other: Level, exponents: [i8; 2]) -> bool {
        if exponents == self.exponents {
            return own == other;
        }
        let (a, b) = (Levels::decimals(own, self.exponents), Levels::decimals(other, exponents));
        a.0.compare(b.0).is_eq() && a.1.compare(b.1).is_eq()
    }

    /// How a snapshot record differs from this book, where it does. One flagged as partial has the best levels of each
    /// side, as many as its longer side has.
    pub(crate) fn difference(&self, book: &Book, levels: &[Level]) -> Option<String> {
        let sides = split(book, levels);
        let most = match book.header.flags & flag::PARTIAL {
            0 => usize::MAX,
            _ => sides.iter().map(|side| side.len()).max().unwrap_or(0),
        };
        for (index, (carried, name)) in sides.into_iter().zip(SIDES).enumerate() {
            let held = self.sides.get(index).map_or(0, BTreeMap::len).min(most);
            if carried.len() != held {
                return Some(format!("it has {} {name} levels and not {held}", carried.len()));
            }
            let exponents = exponents(&book.header);
            let same =
                self.side(index).zip(carried).position(|(own, other)| !self.equal(own, *other, exponents));
            if let Some(place) = same {
                return Some(format!("{name} level {} is another", place + 1));
            }
        }
        None
    }

    /// How a quote differs from the best prices, where it does.
    pub(crate) fn quote_difference(&self, quote: &Quote) -> Option<String> {
        let quoted = [(quote.bid_price, quote.bid_quantity), (quote.ask_price, quote.ask_quantity)];
        for (index, ((price, quantity), name)) in quoted.into_iter().zip(SIDES).enumerate() {
            let equal = match self.side(index).next() {
                None => price == ABSENT && quantity == ABSENT,
                Some(best) => self.equal(best, Level { price, quantity }, exponents(&quote.header)),
            };
            if !equal {
                return Some(format!("the best {name} is another"));
            }
        }
        None
    }

    /// CRC-32 over the best levels as OKX defines it, with numbers in their shortest form. `text` is a buffer.
    pub(crate) fn checksum(&self, text: &mut Vec<u8>) -> u32 {
        text.clear();
        let (mut bids, mut asks) = (self.side(0), self.side(1));
        for _ in 0..CHECKSUM_LEVELS {
            for level in [bids.next(), asks.next()].into_iter().flatten() {
                let (price, quantity) = Levels::decimals(level, self.exponents);
                for number in [price, quantity] {
                    number.normalised().write(text);
                    text.push(b':');
                }
            }
        }
        text.pop();
        crc32fast::hash(text)
    }
}

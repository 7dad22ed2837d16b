//! Whether a book in a REST answer and held deltas are of the same instrument.

use std::collections::HashMap;

use marketprism_book::SyncedBook;
use marketprism_core::Decimal;
use marketprism_core::record::{Book, Level};

/// Per mille.
const WHOLE: i64 = 1000;

/// The levels of an answer, ready to be compared.
pub(super) struct Levels {
    /// Quantities by side (true: bid) and price.
    quantities: HashMap<(bool, i64), Decimal>,
    price_exponent: i8,
    /// Lowest bid.
    low: i64,
    /// Highest ask.
    high: i64,
}

/// What speaks for an answer; more is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Evidence {
    /// Of the levels that deltas set before the answer, those that it has with the same quantity, less those
    /// that it contradicts: -1000 to 1000.
    agreement: i64,
    /// Of all levels of deltas, those within the prices of the answer: 0 to 1000.
    inside: i64,
    /// Whether any price is of the same magnitude.
    is_near: bool,
}

impl Levels {
    pub(super) fn new(book: &Book, levels: &[Level]) -> Levels {
        let bids = usize::from(book.bid_levels);
        let sided = levels.iter().enumerate().map(|(index, level)| (index < bids, level));
        let quantity = |level: &Level| Decimal::new(level.quantity, book.header.quantity_exponent);
        Levels {
            quantities: sided.map(|(bid, level)| ((bid, level.price), quantity(level))).collect(),
            price_exponent: book.header.price_exponent,
            low: levels.iter().map(|level| level.price).min().unwrap_or(0),
            high: levels.iter().map(|level| level.price).max().unwrap_or(0),
        }
    }

    fn is_inside(&self, price: i64) -> bool {
        (self.low..=self.high).contains(&price)
    }

    fn is_near(&self, price: i64) -> bool {
        price >= self.low / 2 && price / 2 <= self.high
    }
}

impl Evidence {
    /// Compares an answer with the deltas that a book holds.
    pub(super) fn of(levels: &Levels, last_id: u64, synced: &SyncedBook) -> Evidence {
        let mut seen: HashMap<(bool, i64), Decimal> = HashMap::new();
        let (mut all, mut inside, mut near) = (0_i64, 0, 0);
        synced.clone().release(&mut |book, held| {
            for (index, level) in held.iter().enumerate() {
                let price = Decimal::new(level.price, book.header.price_exponent);
                all += 1;
                // A price between two steps of the answer's is of another instrument.
                let Some(price) = price.rescale(levels.price_exponent).map(|price| price.mantissa) else {
                    continue;
                };
                inside += i64::from(levels.is_inside(price));
                near += i64::from(levels.is_near(price));
                if book.header.sequence <= last_id {
                    let side = index < usize::from(book.bid_levels);
                    seen.insert((side, price), Decimal::new(level.quantity, book.header.quantity_exponent));
                }
            }
        });
        Evidence {
            agreement: agreement(levels, &seen),
            inside: (inside * WHOLE).checked_div(all).unwrap_or(0),
            is_near: near > 0 || all == 0,
        }
    }

    /// Whether it is enough to believe. Where there is only one book, it is enough that nothing contradicts.
    pub(super) fn suffices(&self, is_only_book: bool) -> bool {
        let speaks_for = self.agreement > 0 || self.inside >= WHOLE / 2 || is_only_book;
        self.agreement >= 0 && self.is_near && speaks_for
    }
}

/// Compares the last quantities that deltas gave with those of an answer that comes after them.
fn agreement(levels: &Levels, seen: &HashMap<(bool, i64), Decimal>) -> i64 {
    let (mut same, mut different) = (0_i64, 0_i64);
    for (key, quantity) in seen.iter().filter(|((_, price), _)| levels.is_inside(*price)) {
        match (levels.quantities.get(key), quantity.is_zero()) {
            // An absent level proves nothing: most prices are empty in any book.
            (None, true) => {}
            (Some(held), false) if held.compare(*quantity).is_eq() => same += 1,
            _ => different += 1,
        }
    }
    ((same - different) * WHOLE).checked_div(same + different).unwrap_or(0)
}

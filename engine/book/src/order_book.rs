//! The full book of one instrument.

use marketprism_core::{Decimal, Level};

use crate::error::BookError;
use crate::side::{Side, check};

/// Most levels on one side. Real books stay far below; a venue that sends more is broken or hostile.
pub const MAX_LEVELS_PER_SIDE: usize = 1 << 17;

/// A full-depth order book in exact integers: a level's price is `price × 10^price_exponent`, its quantity
/// `quantity × 10^quantity_exponent`, both in the venue's own units.
///
/// A [`load`](OrderBook::load) that fails changes nothing. An [`apply`](OrderBook::apply) that fails leaves an
/// empty book, never half a message: the caller has to mark it invalid and load it anew. Nothing is assumed about
/// the order of levels; of several with one price in one call the last counts. Memory is bounded by
/// [`MAX_LEVELS_PER_SIDE`], wherever the prices lie.
#[derive(Clone, Debug)]
pub struct OrderBook {
    bids: Side,
    asks: Side,
    price_exponent: i8,
    quantity_exponent: i8,
}

impl Default for OrderBook {
    fn default() -> Self {
        OrderBook::new()
    }
}

impl OrderBook {
    /// An empty book. Allocates nothing.
    pub fn new() -> Self {
        OrderBook { bids: Side::bids(), asks: Side::asks(), price_exponent: 0, quantity_exponent: 0 }
    }

    /// An empty book that counts [`missing_removals`](OrderBook::missing_removals). Allocates nothing.
    pub fn counting() -> Self {
        let mut book = OrderBook::new();
        book.bids.count_missing_removals();
        book.asks.count_missing_removals();
        book
    }

    /// Removes all levels and keeps the memory.
    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// Replaces content and exponents. Levels with quantity zero are left out. The price unit is learned anew.
    pub fn load(
        &mut self,
        price_exponent: i8,
        quantity_exponent: i8,
        bids: &[Level],
        asks: &[Level],
    ) -> Result<(), BookError> {
        if bids.len().max(asks.len()) > MAX_LEVELS_PER_SIDE {
            return Err(BookError::TooManyLevels);
        }
        bids.iter().chain(asks).try_for_each(check)?;
        self.bids.load(bids)?;
        self.asks.load(asks)?;
        self.price_exponent = price_exponent;
        self.quantity_exponent = quantity_exponent;
        Ok(())
    }

    /// Sets levels to absolute quantities; zero removes a level, and removing one that is not held is normal.
    /// Other exponents than the book's are converted; where that loses a digit, the book takes the finer ones.
    pub fn apply(
        &mut self,
        price_exponent: i8,
        quantity_exponent: i8,
        bids: &[Level],
        asks: &[Level],
    ) -> Result<(), BookError> {
        let equal = price_exponent == self.price_exponent && quantity_exponent == self.quantity_exponent;
        let outcome = if equal {
            self.bids.write(bids).and_then(|()| self.asks.write(asks))
        } else {
            self.apply_converted([price_exponent, quantity_exponent], bids, asks)
        };
        if outcome.is_err() {
            self.clear();
        }
        outcome
    }

    /// [`apply`](OrderBook::apply) with exponents that are not the book's.
    #[cold]
    fn apply_converted(&mut self, from: [i8; 2], bids: &[Level], asks: &[Level]) -> Result<(), BookError> {
        if self.bids.len() == 0 && self.asks.len() == 0 {
            return self.load(from[0], from[1], bids, asks);
        }
        let own = [self.price_exponent, self.quantity_exponent];
        if let (Ok(bids), Ok(asks)) = (converted(bids, from, own), converted(asks, from, own)) {
            self.bids.write(&bids)?;
            return self.asks.write(&asks);
        }
        let finer = [own[0].min(from[0]), own[1].min(from[1])];
        let (new_bids, new_asks) = (converted(bids, from, finer)?, converted(asks, from, finer)?);
        let held_bids = converted(&self.bids.iter().collect::<Vec<_>>(), own, finer)?;
        let held_asks = converted(&self.asks.iter().collect::<Vec<_>>(), own, finer)?;
        self.load(finer[0], finer[1], &held_bids, &held_asks)?;
        self.bids.write(&new_bids)?;
        self.asks.write(&new_asks)
    }

    /// The highest bid.
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.best()
    }

    /// The lowest ask.
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.best()
    }

    /// Bids, highest price first.
    pub fn bids(&self) -> impl Iterator<Item = Level> + '_ {
        self.bids.iter()
    }

    /// Asks, lowest price first.
    pub fn asks(&self) -> impl Iterator<Item = Level> + '_ {
        self.asks.iter()
    }

    /// Power of ten of the prices.
    pub fn price_exponent(&self) -> i8 {
        self.price_exponent
    }

    /// Power of ten of the quantities.
    pub fn quantity_exponent(&self) -> i8 {
        self.quantity_exponent
    }

    /// Number of bid levels.
    pub fn bid_len(&self) -> usize {
        self.bids.len()
    }

    /// Number of ask levels.
    pub fn ask_len(&self) -> usize {
        self.asks.len()
    }

    /// Whether neither side has a level.
    pub fn is_empty(&self) -> bool {
        self.bid_len() == 0 && self.ask_len() == 0
    }

    /// Whether the best bid is at or above the best ask.
    pub fn is_crossed(&self) -> bool {
        matches!((self.best_bid(), self.best_ask()), (Some(bid), Some(ask)) if bid.price >= ask.price)
    }

    /// How many rows of quantity zero, since the book was made, were for levels that it did not hold. 0 where it is not
    /// [`counting`](OrderBook::counting).
    pub fn missing_removals(&self) -> u64 {
        self.bids.missing_removals() + self.asks.missing_removals()
    }

    /// Memory that the book holds, in bytes, itself included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<OrderBook>() + self.bids.memory_bytes() + self.asks.memory_bytes()
    }
}

/// The same levels with other exponents, `[price, quantity]`.
fn converted(levels: &[Level], from: [i8; 2], to: [i8; 2]) -> Result<Vec<Level>, BookError> {
    let number = |mantissa: i64, index: usize| {
        let decimal = Decimal::new(mantissa, from[index]);
        let error = BookError::DoesNotFit { mantissa, exponent: from[index], wanted: to[index] };
        decimal.rescale(to[index]).map(|decimal| decimal.mantissa).ok_or(error)
    };
    levels
        .iter()
        .map(|level| Ok(Level { price: number(level.price, 0)?, quantity: number(level.quantity, 1)? }))
        .collect()
}

#[cfg(test)]
mod tests;

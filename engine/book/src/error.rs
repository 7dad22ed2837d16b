//! Why levels cannot be used.

/// Why levels cannot be brought into a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// A price below zero, or one that the venue did not send.
    #[error("the price {price} is negative")]
    NegativePrice {
        /// Its mantissa.
        price: i64,
    },
    /// A quantity below zero, or one that the venue did not send.
    #[error("the quantity {quantity} at price {price} is negative")]
    NegativeQuantity {
        /// The level's price mantissa.
        price: i64,
        /// The quantity's mantissa.
        quantity: i64,
    },
    /// No common exponent keeps the book and the new levels exactly in 64 bits.
    #[error("{mantissa}e{exponent} cannot be written with exponent {wanted} in 64 bits")]
    DoesNotFit {
        /// Digits of the number.
        mantissa: i64,
        /// Its power of ten.
        exponent: i8,
        /// The power of ten that it should have had.
        wanted: i8,
    },
    /// The side would hold more than [`MAX_LEVELS_PER_SIDE`](crate::MAX_LEVELS_PER_SIDE) levels.
    #[error("a side would hold more levels than a book may have")]
    TooManyLevels,
    /// A record announces more or fewer levels than came with it.
    #[error("the record announces {announced} levels and carries {carried}")]
    LevelCount {
        /// Bids and asks together, by the record.
        announced: usize,
        /// Levels behind the record.
        carried: usize,
    },
}

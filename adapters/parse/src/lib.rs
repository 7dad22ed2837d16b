//! What the parsers of all venues are made of: a cursor for frames of an expected shape, `sonic-rs` values for any
//! other, and the way of numbers, times and levels into records. Knows no venue.

pub mod bytes;
pub mod cursor;
pub mod dates;
pub mod json;
pub mod levels;
pub mod numbers;
pub mod symbols;

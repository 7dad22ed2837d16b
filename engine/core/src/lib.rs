//! The vocabulary of MarketPrism: records, decimals, instruments, time, the ring of lines and the
//! [`Venue`](venue::Venue) trait. Nothing here reads a socket, a file or a configuration.

pub mod amounts;
pub mod clock;
pub mod decimal;
pub mod instrument;
pub mod json;
pub mod record;
pub mod ring;
pub mod venue;

pub use decimal::Decimal;
pub use instrument::{Instrument, InstrumentId};
pub use record::{Kind, Level, Line, RecordRef};

//! Order books in exact integers, and the rules that say when one may be believed.
//!
//! [`OrderBook`] holds the levels of one instrument. [`SyncedBook`] keeps one in step with its venue: it holds
//! deltas until a snapshot comes, joins the two by the venue's rule and checks every message after that. [`RebuiltBook`] is a
//! book as it was at some time, made of the records of a log.
//! Everything here is a plain state machine: no I/O, no clock, no floating point.

mod chain;
mod error;
mod far;
mod held;
mod order_book;
mod rebuilt;
mod rule;
mod side;
mod synced;
mod unit;

pub use error::BookError;
pub use held::{MAX_HELD_LEVELS, MAX_HELD_MESSAGES};
pub use order_book::{MAX_LEVELS_PER_SIDE, OrderBook};
pub use rebuilt::{RebuiltBook, is_start};
pub use synced::{DeltaStep, Emit, SnapshotStep, State, StreamSnapshotStep, SyncedBook};

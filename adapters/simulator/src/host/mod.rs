//! What simulated venues with chained books share: sockets, pacing, faults, playback of captures and the ledger.
//!
//! A venue is a `Protocol`: plain state that says what is sent to whom. The host runs it on a thread of its own,
//! with WebSocket and REST on one port of 127.0.0.1, and gives the caller a [`Handle`].

mod capture;
mod config;
mod connection;
mod core;
mod fault;
mod handle;
mod history;
mod hub;
mod ledger;
mod protocol;
mod server;
mod topic;

pub use self::config::{Capture, Config, Source};
pub use self::fault::{Disturbance, Fault, ListingChange};
pub use self::handle::Handle;
pub use self::ledger::{Ledger, StreamLedger};

pub(crate) use self::handle::start;
pub(crate) use self::protocol::{
    Action, BookText, Captured, ConnectionId, Protocol, RestAnswer, TopicId, TopicName,
};

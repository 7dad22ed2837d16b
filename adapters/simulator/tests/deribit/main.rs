//! The simulated Deribit over real sockets, seen by a small client of its own.

mod books;
mod capture;
mod client;
mod control;
mod data;
mod disturbances;
mod history;
mod rest;
#[path = "../told/mod.rs"]
mod told;

//! The simulated OKX over real sockets.

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

//! Books whose stream brings the snapshot: OKX and Deribit.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod captures;
mod examples;
mod model;
mod random;
mod rules;
#[path = "../support/mod.rs"]
mod support;
mod wire;

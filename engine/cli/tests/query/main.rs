//! `query` and `replay` on logs that were written here and on logs of simulated venues.
#![allow(missing_docs, clippy::unwrap_used)]

mod book_at;
mod book_states;
mod records;
mod replay;
mod support;

#[path = "../common_e2e/mod.rs"]
mod common_e2e;

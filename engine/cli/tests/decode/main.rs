//! `decode`: the examples of the protocol descriptions, captured frames, and garbage.
#![allow(missing_docs, clippy::unwrap_used)]

mod amounts;
mod binance_books;
mod binance_captures;
mod capture;
mod chained_books;
mod chained_captures;
mod input;
mod replayed;
mod support;

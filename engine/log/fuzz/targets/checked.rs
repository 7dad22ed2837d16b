//! Any bytes as a segment whose checksums are right, so that what lies behind them is reached.
#![no_main]

#[path = "../reading.rs"]
mod reading;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reading::read(&reading::with_checksums(bytes)));

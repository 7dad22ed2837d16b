//! Wall and monotonic time, in integer nanoseconds.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A time that the venue did not give. Never replaced by another clock's reading.
pub const TIME_MISSING: i64 = i64::MIN;

/// Nanoseconds in a millisecond.
pub const NS_PER_MS: i64 = 1_000_000;

/// Wall clock: nanoseconds since the Unix epoch, UTC, from `CLOCK_REALTIME`.
#[inline]
pub fn wall_ns() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i64,
        Err(before) => -(before.duration().as_nanos() as i64),
    }
}

/// Monotonic clock: nanoseconds since the first call in this process, from `CLOCK_MONOTONIC`.
#[inline]
pub fn monotonic_ns() -> i64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as i64
}

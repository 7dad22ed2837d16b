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

/// A wall time in nanoseconds as UTC: `2024-08-08 23:54:15.123456Z`.
pub fn utc(wall_ns: i64) -> String {
    const NS_PER_DAY: i64 = 86_400_000_000_000;
    let (year, month, day) = date(wall_ns.div_euclid(NS_PER_DAY));
    let microseconds = wall_ns.rem_euclid(NS_PER_DAY) / 1_000;
    let seconds = microseconds / 1_000_000;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{:06}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        microseconds % 1_000_000
    )
}

/// Year, month and day of a day counted from 1970-01-01.
fn date(day: i64) -> (i64, i64, i64) {
    // Counted from 0000-03-01, so that the leap day is the last of its year and every 400 years are alike.
    let days = day + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

//! Numbers and times for people.

use marketprism_log::CoverageTotals;
use marketprism_log::coverage::Status;

/// 1234567 → `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes with a unit: `3.2 MB` (powers of 1000).
pub(crate) fn bytes(number: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    for (unit, size) in units {
        if number >= size {
            return format!("{}.{} {unit}", number / size, number % size * 10 / size);
        }
    }
    format!("{number} B")
}

/// Nanoseconds as `12.3 µs`, `4.5 ms`.
pub(crate) fn duration_ns(nanoseconds: u64) -> String {
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{}.{} µs", nanoseconds / 1_000, nanoseconds / 100 % 10),
        1_000_000..1_000_000_000 => format!("{}.{} ms", nanoseconds / 1_000_000, nanoseconds / 100_000 % 10),
        _ => format!("{}.{} s", nanoseconds / 1_000_000_000, nanoseconds / 100_000_000 % 10),
    }
}

/// The time of day, UTC, of a wall time in nanoseconds: `14:03:59.123`.
pub(crate) fn clock(wall_ns: i64) -> String {
    let milliseconds = wall_ns.div_euclid(1_000_000).rem_euclid(86_400_000);
    let seconds = milliseconds / 1000;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, milliseconds % 1000)
}

/// What is proven of the recorded streams, and what is not: `12 proven, 0 suspect, …`.
pub(crate) fn coverage(totals: &CoverageTotals) -> String {
    let records = |status: Status| grouped(totals.records[status as usize]);
    format!(
        "{} proven, {} suspect, {} repaired, {} unprovable, {} holes ({} ids)",
        records(Status::Contiguous),
        records(Status::Suspect),
        records(Status::Repaired),
        records(Status::Unprovable),
        grouped(totals.spans[Status::Missing as usize]),
        grouped(totals.missing_ids),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([grouped(0), grouped(999), grouped(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!([bytes(12), bytes(3_250_000)], ["12 B", "3.2 MB"]);
        assert_eq!(
            [duration_ns(950), duration_ns(12_345), duration_ns(4_500_000)],
            ["950 ns", "12.3 µs", "4.5 ms"]
        );
        assert_eq!(clock(1_700_000_000_123_000_000), "22:13:20.123");
    }
}

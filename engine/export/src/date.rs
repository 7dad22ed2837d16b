//! Days of the calendar, UTC.

use std::fmt;

pub(crate) const NS_PER_DAY: i64 = 86_400_000_000_000;

/// A day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i64);

impl Day {
    /// The day of a time in nanoseconds since the Unix epoch.
    pub(crate) fn of(ns: i64) -> Day {
        Day(ns.div_euclid(NS_PER_DAY))
    }

    /// Midnight at its start, nanoseconds since the Unix epoch.
    pub(crate) fn start_ns(self) -> i64 {
        self.0.saturating_mul(NS_PER_DAY)
    }

    /// Midnight at its end, nanoseconds since the Unix epoch.
    pub(crate) fn end_ns(self) -> i64 {
        self.0.saturating_add(1).saturating_mul(NS_PER_DAY)
    }
}

/// As `2026-11-23`.
impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Eras of 400 years from 0000-03-01, so that the leap day is the last of its year.
        let days = self.0 + 719_468;
        let (era, in_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
        let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * in_year + 2) / 153;
        let day = in_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        write!(formatter, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_the_calendars_names() {
        for (ns, name) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_400_000_000_000, "2000-02-29"),
            (951_868_799_999_999_999, "2000-02-29"),
            (951_868_800_000_000_000, "2000-03-01"),
            (1_795_392_000_000_000_000, "2026-11-23"),
            (i64::MAX, "2262-04-11"),
            (i64::MIN, "1677-09-21"),
        ] {
            assert_eq!(Day::of(ns).to_string(), name);
            let day = Day::of(ns);
            assert!(day.start_ns() <= ns && (ns < day.end_ns() || ns == i64::MAX), "{name}");
        }
    }
}

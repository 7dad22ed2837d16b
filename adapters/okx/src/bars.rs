//! Bars of candles: their names and lengths.

use marketprism_core::record::fixed_text;

/// All bars; the first one does not exist for options. Bars of six hours and longer begin at UTC+8, but for those
/// with `utc`.
pub(crate) const BARS: [&str; 27] = [
    "1s", "1m", "3m", "5m", "15m", "30m", "1H", "2H", "4H", "6H", "12H", "1D", "2D", "3D", "5D", "1W", "1M",
    "3M", "6Hutc", "12Hutc", "1Dutc", "2Dutc", "3Dutc", "5Dutc", "1Wutc", "1Mutc", "3Mutc",
];

const NS_PER_SECOND: i64 = 1_000_000_000;

/// A bar as a record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bar {
    /// The venue's name with `utc` cut to `u`, which fits four bytes and names no other bar: `1m` is a minute, `1M`
    /// a month from 00:00 UTC+8, `1Mu` a month from 00:00 UTC.
    pub(crate) name: [u8; 4],
    /// Nanoseconds; `None` for months.
    pub(crate) length_ns: Option<i64>,
}

impl Bar {
    /// The bar with this name of the venue; `None` where it has none such.
    pub(crate) fn named(name: &str) -> Option<Bar> {
        let name = BARS.into_iter().find(|bar| *bar == name)?;
        let short = name.strip_suffix("tc").unwrap_or(name);
        let number_and_unit = name.strip_suffix("utc").unwrap_or(name);
        let (number, unit) = number_and_unit.split_at_checked(number_and_unit.len() - 1)?;
        let seconds = match unit {
            "s" => Some(1),
            "m" => Some(60),
            "H" => Some(60 * 60),
            "D" => Some(24 * 60 * 60),
            "W" => Some(7 * 24 * 60 * 60),
            _ => None,
        };
        let number: i64 = number.parse().ok()?;
        Some(Bar {
            name: fixed_text(short.as_bytes()),
            length_ns: seconds.map(|seconds: i64| number * seconds * NS_PER_SECOND),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use marketprism_core::record::text_of;

    use super::*;

    #[test]
    fn every_bar_has_a_name_of_its_own_that_is_not_cut() {
        let names: HashSet<String> =
            BARS.iter().map(|bar| text_of(&Bar::named(bar).unwrap().name).to_owned()).collect();
        assert_eq!(names.len(), BARS.len());
        assert!(names.contains("12Hu") && names.contains("12H"), "{names:?}");
        assert_eq!(Bar::named("7m"), None);
        assert_eq!(Bar::named(""), None);
    }

    #[test]
    fn months_have_no_fixed_length() {
        let length = |name| Bar::named(name).unwrap().length_ns;
        assert_eq!(length("1m"), Some(60 * NS_PER_SECOND));
        assert_eq!(length("12Hutc"), Some(12 * 3600 * NS_PER_SECOND));
        assert_eq!(length("1W"), Some(7 * 86_400 * NS_PER_SECOND));
        assert_eq!((length("1M"), length("3Mutc")), (None, None));
    }
}

//! Expiries: every Friday at 08:00 UTC from 25 December 2026 on.

/// 2026-12-25 08:00 UTC, epoch milliseconds.
const FIRST: u64 = 1_798_185_600_000;
pub(super) const DAY_MS: u64 = 86_400_000;
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// Epoch milliseconds of an expiry, numbered from 0.
pub(super) fn expiry_ms(index: usize) -> u64 {
    FIRST + index as u64 * 7 * DAY_MS
}

/// The date in an instrument's name: the day has no leading zero, `25DEC26`, `1JAN27`.
pub(super) fn expiry_name(index: usize) -> String {
    let (year, month, day) = date(expiry_ms(index) / DAY_MS);
    format!("{day}{}{:02}", MONTHS[month], year % 100)
}

/// Year, month from 0 and day of a number of days since 1970.
fn date(mut days: u64) -> (u64, usize, u64) {
    let mut year = 1970;
    loop {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let lengths = [31, 28 + u64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in lengths.into_iter().enumerate() {
            if days < length {
                return (year, month, days + 1);
            }
            days -= length;
        }
        year += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_no_leading_zero() {
        let names: Vec<String> = (0..3).map(expiry_name).collect();
        assert_eq!(names, ["25DEC26", "1JAN27", "8JAN27"]);
        assert_eq!(expiry_name(26), "25JUN27");
        assert_eq!(date(11_016), (2000, 1, 29));
    }
}

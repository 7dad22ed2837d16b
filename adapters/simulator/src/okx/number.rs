//! Numbers and dates as OKX writes them: decimals without trailing zeros, dates as YYMMDD.

use std::fmt::Write;

/// Milliseconds in a day.
pub(crate) const DAY: u64 = 86_400_000;

/// Appends `value / 10^scale` without trailing zeros; `scale` is at most 38.
pub(crate) fn push_decimal(out: &mut String, value: u128, scale: u8) {
    let power = 10_u128.pow(u32::from(scale));
    // Writing to a string cannot fail.
    let _ = write!(out, "{}", value / power);
    let fraction = value % power;
    if fraction > 0 {
        let _ = write!(out, ".{fraction:0width$}", width = scale as usize);
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// `value / 10^scale` without trailing zeros.
pub(crate) fn decimal(value: impl Into<u128>, scale: u8) -> String {
    let mut text = String::new();
    push_decimal(&mut text, value.into(), scale);
    text
}

/// The same with a sign.
pub(crate) fn signed(value: i64, scale: u8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", decimal(value.unsigned_abs(), scale))
}

/// The date of an epoch time as YYMMDD (Hinnant's days to civil date).
pub(crate) fn yymmdd(epoch_ms: u64) -> String {
    let days = epoch_ms / DAY + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{:02}{month:02}{day:02}", year % 100)
}

/// When the contract with this date in its name expires: 08:00 UTC of the day YYMMDD.
pub(crate) fn expiry_of(date: &str) -> Option<u64> {
    if date.len() != 6 || !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Days since 2000-01-01 of a date in this century lie within five days of this estimate.
    let number = |range: std::ops::Range<usize>| date.get(range).and_then(|text| text.parse::<u64>().ok());
    let (year, month, day) = (number(0..2)?, number(2..4)?, number(4..6)?);
    let estimate = 10_957 + year * 365 + year / 4 + (month.checked_sub(1)? * 306) / 10 + day;
    let near = (estimate - 5..=estimate + 5).map(|days| days * DAY);
    near.into_iter().find(|&time| yymmdd(time) == date).map(|time| time + 8 * 3_600_000)
}

/// Fridays 08:00 UTC, when contracts expire: the next one that is at least an hour away, and some later ones.
pub(crate) fn expiries(now_ms: u64) -> [u64; 4] {
    // The epoch was a Thursday.
    let week = 7 * DAY;
    let friday = DAY + 8 * 3_600_000;
    let first = (now_ms + 3_600_000).saturating_sub(friday) / week * week + friday + week;
    [first, first + week, first + 4 * week, first + 13 * week]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_no_trailing_zeros() {
        assert_eq!(decimal(650_000_u64, 1), "65000");
        assert_eq!(decimal(650_001_u64, 1), "65000.1");
        assert_eq!(decimal(5_u64, 4), "0.0005");
        assert_eq!(decimal(12_060_306_u64, 8), "0.12060306");
        assert_eq!(decimal(100_u64, 0), "100");
        assert_eq!(decimal(0_u64, 8), "0");
        assert_eq!(signed(-120, 2), "-1.2");
    }

    #[test]
    fn dates_are_civil() {
        assert_eq!(yymmdd(0), "700101");
        assert_eq!(yymmdd(1_709_164_800_000), "240229");
        assert_eq!(yymmdd(1_767_139_200_000), "251231");
    }

    #[test]
    fn every_date_is_found_again() {
        for days in 10_957..47_481 {
            let date = yymmdd(days * DAY);
            assert_eq!(expiry_of(&date), Some(days * DAY + 8 * 3_600_000), "{date}");
        }
        assert_eq!(expiry_of("251340"), None);
        assert_eq!(expiry_of("SWAP"), None);
    }

    #[test]
    fn expiries_are_fridays_ahead() {
        let now = 1_767_139_200_000;
        for expiry in expiries(now) {
            assert!(expiry > now);
            assert_eq!(expiry % DAY, 8 * 3_600_000);
            assert_eq!(expiry / DAY % 7, 1);
        }
        assert_eq!(yymmdd(expiries(now)[0]), "260102");
    }
}

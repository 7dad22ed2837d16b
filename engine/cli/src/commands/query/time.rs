//! Times as they are written on the command line.

const NS_PER_SECOND: i64 = 1_000_000_000;

/// Reads a time: nanoseconds since the Unix epoch, a date, or RFC 3339. The result is nanoseconds since the Unix epoch.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let is_number = text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
    let time = if is_number { text.parse().ok() } else { rfc_3339(text) };
    time.ok_or_else(|| {
        "write 2026-11-23T10:00:00Z, 2026-11-23T10:00:00.25+02:00, 2026-11-23, or nanoseconds since 1970; \
         years 1678 to 2261"
            .to_owned()
    })
}

fn rfc_3339(text: &str) -> Option<i64> {
    let (year, rest) = number(text, 4)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
    let midnight = day_number(year, month, day)?.checked_mul(86_400)?;
    if rest.is_empty() {
        return midnight.checked_mul(NS_PER_SECOND);
    }
    let (hour, rest) = number(rest.strip_prefix(['T', 't', ' '])?, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    // A leap second is the first of the next minute: the Unix time has no number for it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_ns, rest) = fraction_ns(rest)?;
    let seconds = midnight + hour * 3600 + minute * 60 + second - offset_seconds(rest)?;
    seconds.checked_mul(NS_PER_SECOND)?.checked_add(fraction_ns)
}

/// A number of exactly so many digits at the start of a text, and the rest.
fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some((number.parse().ok()?, rest))
}

/// Up to nine decimals behind a point, if there is one, and the rest.
fn fraction_ns(text: &str) -> Option<(i64, &str)> {
    let Some(decimals) = text.strip_prefix('.') else { return Some((0, text)) };
    let digits = decimals.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let (number, rest) = number(decimals, digits)?;
    Some((number * 10_i64.pow(9 - digits as u32), rest))
}

/// `Z`, or how far the clock is ahead of UTC.
fn offset_seconds(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, rest) = number(text.strip_prefix(['+', '-'])?, 2)?;
    let (minutes, rest) = number(rest.strip_prefix(':')?, 2)?;
    (hours <= 23 && minutes <= 59 && rest.is_empty()).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The day counted from 1970-01-01, if the calendar has it.
fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month - 1).ok()?;
    if !(1..=*lengths.get(before)?).contains(&day) {
        return None;
    }
    let in_year = lengths.iter().take(before).sum::<i64>() + day - 1;
    // Leap days before this year; 719,528 days lie between the year 0 and 1970.
    let last = year - 1;
    let leap_days = last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400) + 1;
    Some(year * 365 + leap_days + in_year - 719_528)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::inspect::output::utc;
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        for (text, ns) in [
            ("0", 0),
            ("-5", -5),
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400_000_000_000),
            ("2024-08-08T23:54:15.319702566Z", 1_723_161_255_319_702_566),
            ("2024-08-08t23:54:15.3z", 1_723_161_255_300_000_000),
            ("2024-08-09T01:54:15+02:00", 1_723_161_255_000_000_000),
            ("2024-08-08T18:24:15-05:30", 1_723_161_255_000_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "-",
            "today",
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-32",
            "2024-1-1",
            "2024-01-01T",
            "2024-01-01T24:00:00Z",
            "2024-01-01T10:00:00",
            "2024-01-01T10:00:00.Z",
            "2024-01-01T10:00:00.1234567890Z",
            "2024-01-01T10:00:00+1:00",
            "2024-01-01T10:00:00Zulu",
            "9999-01-01",
            "99999999999999999999",
            "２０２４-01-01",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_time_reads_as_itself(microseconds in -9_000_000_000_000_000_i64..9_000_000_000_000_000) {
            prop_assert_eq!(parse(&utc(microseconds * 1000)), Ok(microseconds * 1000));
        }
    }
}

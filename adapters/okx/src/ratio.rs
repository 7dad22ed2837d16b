//! From the ratio of longs to shorts to the share of each.

use marketprism_core::Decimal;

/// Power of ten of the shares.
pub(crate) const SHARE_EXPONENT: i8 = -12;

/// All, in units of the shares.
const WHOLE: i128 = 1_000_000_000_000;

/// Long and short share, `× 10^SHARE_EXPONENT`, of a ratio r of longs to shorts: r ÷ (1 + r), rounded half up, and
/// what is left of 1. `None` for a negative ratio.
pub(crate) fn shares(ratio: Decimal) -> Option<(i64, i64)> {
    if ratio.mantissa < 0 {
        return None;
    }
    let power = 10i128.checked_pow(u32::from(ratio.exponent.unsigned_abs()));
    let mantissa = i128::from(ratio.mantissa);
    // r = longs ÷ shorts.
    let (longs, shorts) = if ratio.exponent >= 0 {
        (power.and_then(|power| mantissa.checked_mul(power)), Some(1))
    } else {
        (Some(mantissa), power)
    };
    let long = match (longs, shorts) {
        (Some(longs), Some(shorts)) => share(longs, shorts),
        _ => None,
    };
    // A ratio that 128 bits do not hold is so far from 1 that the smaller share rounds to nothing.
    let far = if ratio.exponent >= 0 && ratio.mantissa > 0 { WHOLE } else { 0 };
    let long = i64::try_from(long.unwrap_or(far)).ok()?;
    Some((long, WHOLE as i64 - long))
}

/// `part ÷ (part + rest)`; `None` where 128 bits do not hold it.
fn share(part: i128, rest: i128) -> Option<i128> {
    let sum = part.checked_add(rest)?;
    let scaled = part.checked_mul(WHOLE)?.checked_add(sum / 2)?;
    scaled.checked_div(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Option<(i64, i64)> {
        shares(text.parse().unwrap())
    }

    #[test]
    fn shares_of_known_ratios() {
        assert_eq!(of("1"), Some((500_000_000_000, 500_000_000_000)));
        assert_eq!(of("3"), Some((750_000_000_000, 250_000_000_000)));
        assert_eq!(of("0.25"), Some((200_000_000_000, 800_000_000_000)));
        assert_eq!(of("2"), Some((666_666_666_667, 333_333_333_333)));
        assert_eq!(of("0"), Some((0, 1_000_000_000_000)));
        assert_eq!(of("-1"), None);
    }

    #[test]
    fn ratios_beyond_128_bits() {
        for (exponent, long) in [(127, WHOLE as i64), (25, WHOLE as i64), (-128, 0), (-39, 0), (-38, 0)] {
            assert_eq!(
                shares(Decimal::new(i64::MAX, exponent)),
                Some((long, WHOLE as i64 - long)),
                "{exponent}"
            );
        }
        assert_eq!(shares(Decimal::new(0, 127)), Some((0, WHOLE as i64)));
    }

    proptest! {
        #[test]
        fn shares_are_the_nearest_and_make_one(mantissa in 0i64.., exponent in -18i8..=0) {
            let (long, short) = shares(Decimal::new(mantissa, exponent)).unwrap();
            prop_assert_eq!(long + short, WHOLE as i64);
            // |long × (longs + shorts) − WHOLE × longs| is at most half of one unit.
            let (longs, shorts) = (i128::from(mantissa), 10i128.pow(u32::from(exponent.unsigned_abs())));
            let error = i128::from(long) * (longs + shorts) - WHOLE * longs;
            prop_assert!(2 * error.abs() <= longs + shorts);
        }
    }
}

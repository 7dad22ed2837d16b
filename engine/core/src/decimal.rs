//! Exact decimals: a mantissa and a power of ten, straight from the bytes that a venue sent.

use std::cmp::Ordering;
use std::fmt;

/// `mantissa × 10^exponent`. The digits of the text are kept: `"1.50"` is `150 × 10^-2`, and prints as `1.50`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decimal {
    /// All digits, with the sign.
    pub mantissa: i64,
    /// Power of ten; minus the number of decimals for a number without an `e`.
    pub exponent: i8,
}

/// Why a text is not a decimal that can be kept exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not `[-]digits[.digits][e[±]digits]`.
    #[error("not a decimal number")]
    Syntax,
    /// More digits than a 64-bit mantissa holds, trailing zeros left out.
    #[error("the number has more digits than 64 bits hold")]
    Overflow,
}

/// Powers of ten that an `i64` holds.
pub const POWERS_OF_TEN: [i64; 19] = {
    let mut table = [1i64; 19];
    let mut index = 1;
    while index < 19 {
        table[index] = table[index - 1] * 10;
        index += 1;
    }
    table
};

impl Decimal {
    /// Zero, without decimals.
    pub const ZERO: Decimal = Decimal { mantissa: 0, exponent: 0 };

    /// A decimal from its parts.
    pub const fn new(mantissa: i64, exponent: i8) -> Decimal {
        Decimal { mantissa, exponent }
    }

    /// Parses a whole text. Accepts what JSON calls a number, and leading zeros besides.
    pub fn parse(text: &[u8]) -> Result<Decimal, DecimalError> {
        match parse_plain(text) {
            Some((mantissa, decimals, used)) if used == text.len() => {
                Ok(Decimal { mantissa, exponent: -(decimals as i8) })
            }
            _ => parse_slow(text),
        }
    }

    /// The same value at another exponent, or `None` where that would lose a digit or overflow.
    pub fn rescale(self, exponent: i8) -> Option<Decimal> {
        let difference = i32::from(self.exponent) - i32::from(exponent);
        let power = usize::try_from(difference.unsigned_abs()).ok()?;
        if self.mantissa == 0 {
            return Some(Decimal { mantissa: 0, exponent });
        }
        let factor = *POWERS_OF_TEN.get(power)?;
        let mantissa = if difference >= 0 {
            self.mantissa.checked_mul(factor)?
        } else if self.mantissa % factor == 0 {
            self.mantissa / factor
        } else {
            return None;
        };
        Some(Decimal { mantissa, exponent })
    }

    /// The same value with the shortest mantissa.
    pub fn normalised(mut self) -> Decimal {
        if self.mantissa == 0 {
            return Decimal::ZERO;
        }
        while self.mantissa % 10 == 0 && self.exponent < i8::MAX {
            self.mantissa /= 10;
            self.exponent += 1;
        }
        self
    }

    /// Whether the value is zero.
    pub const fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// The exact product, or `None` where 64 bits do not hold it.
    pub fn checked_mul(self, other: Decimal) -> Option<Decimal> {
        let (a, b) = (self.normalised(), other.normalised());
        let mut product = i128::from(a.mantissa) * i128::from(b.mantissa);
        let mut exponent = i32::from(a.exponent) + i32::from(b.exponent);
        while product != 0 && product % 10 == 0 {
            product /= 10;
            exponent += 1;
        }
        Some(Decimal { mantissa: i64::try_from(product).ok()?, exponent: i8::try_from(exponent).ok()? })
    }

    /// Compares by value: `1.50` equals `1.5`.
    pub fn compare(self, other: Decimal) -> Ordering {
        let (a, b) = (self.normalised(), other.normalised());
        let sign = a.mantissa.signum().cmp(&b.mantissa.signum());
        if sign != Ordering::Equal || a.mantissa == 0 {
            return sign;
        }
        let smaller = a.exponent.min(b.exponent);
        let scaled = |d: Decimal| {
            10i128
                .checked_pow((i32::from(d.exponent) - i32::from(smaller)) as u32)
                .and_then(|factor| factor.checked_mul(i128::from(d.mantissa)))
        };
        match (scaled(a), scaled(b)) {
            (Some(x), Some(y)) => x.cmp(&y),
            // Only the side with the larger exponent can overflow, and then it is the larger magnitude.
            (None, _) if a.mantissa > 0 => Ordering::Greater,
            (None, _) => Ordering::Less,
            (_, None) if b.mantissa > 0 => Ordering::Less,
            (_, None) => Ordering::Greater,
        }
    }

    /// Appends the text form to `out`: digits with a point and no `e`.
    pub fn write(self, out: &mut Vec<u8>) {
        let mut digits = [0u8; 20];
        let mut position = digits.len();
        let mut rest = self.mantissa.unsigned_abs();
        loop {
            position -= 1;
            digits[position] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let digits = &digits[position..];
        if self.mantissa < 0 {
            out.push(b'-');
        }
        if self.exponent >= 0 {
            out.extend_from_slice(digits);
            if self.mantissa != 0 {
                out.extend(std::iter::repeat_n(b'0', self.exponent as usize));
            }
            return;
        }
        let decimals = usize::from(self.exponent.unsigned_abs());
        if digits.len() > decimals {
            let point = digits.len() - decimals;
            out.extend_from_slice(&digits[..point]);
            out.push(b'.');
            out.extend_from_slice(&digits[point..]);
        } else {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', decimals - digits.len()));
            out.extend_from_slice(digits);
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(24);
        self.write(&mut text);
        // The bytes are ASCII digits, a point and a sign.
        formatter.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl std::str::FromStr for Decimal {
    type Err = DecimalError;
    fn from_str(text: &str) -> Result<Decimal, DecimalError> {
        Decimal::parse(text.as_bytes())
    }
}

impl serde::Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Decimal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let text = String::deserialize(deserializer)?;
        Decimal::parse(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

/// Parses `[-]digits[.digits]` at the start of `text`: mantissa, number of decimals, bytes used.
/// `None` where there is no digit on either side of the point or more than 18 digits in all.
#[inline]
pub fn parse_plain(text: &[u8]) -> Option<(i64, u8, usize)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let (whole, whole_digits) = parse_digits(text.get(start..)?);
    if whole_digits == 0 || whole_digits > 18 {
        return None;
    }
    let mut used = start + whole_digits;
    let mut mantissa = whole;
    let mut decimals = 0;
    if text.get(used) == Some(&b'.') {
        let (fraction, digits) = parse_digits(text.get(used + 1..)?);
        if digits == 0 || whole_digits + digits > 18 {
            return None;
        }
        mantissa = mantissa * POWERS_OF_TEN[digits] as u64 + fraction;
        decimals = digits as u8;
        used += 1 + digits;
    }
    let mantissa = if negative { -(mantissa as i64) } else { mantissa as i64 };
    Some((mantissa, decimals, used))
}

/// The run of ASCII digits at the start of `text`: value and length. The value wraps beyond 19 digits;
/// callers bound the length.
#[inline]
pub fn parse_digits(text: &[u8]) -> (u64, usize) {
    let mut value = 0u64;
    let mut used = 0;
    while let Some(chunk) = text.get(used..used + 8) {
        let mut bytes = [0u8; 8];
        bytes.copy_from_slice(chunk);
        let word = u64::from_le_bytes(bytes);
        let count = leading_digits(word);
        if count == 8 {
            value = value.wrapping_mul(100_000_000).wrapping_add(eight_digits(word));
            used += 8;
            continue;
        }
        if count > 0 {
            // Shift the digits to the end and let zeros take the place in front.
            let shifted = (word << (64 - 8 * count)) | (0x3030_3030_3030_3030 >> (8 * count));
            value =
                value.wrapping_mul(POWERS_OF_TEN[count as usize] as u64).wrapping_add(eight_digits(shifted));
        }
        return (value, used + count as usize);
    }
    while let Some(digit) = text.get(used).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        used += 1;
    }
    (value, used)
}

/// How many of the eight bytes, lowest first, are ASCII digits before the first that is not.
#[inline]
fn leading_digits(word: u64) -> u32 {
    // A digit has high nibble 3, and keeps it when 6 is added to the byte. A carry between bytes starts only
    // in a byte that is no digit itself, and what comes after such a byte does not count.
    let high = word & 0xF0F0_F0F0_F0F0_F0F0;
    let plus_six = word.wrapping_add(0x0606_0606_0606_0606) & 0xF0F0_F0F0_F0F0_F0F0;
    let other = (high ^ 0x3030_3030_3030_3030) | (plus_six ^ 0x3030_3030_3030_3030);
    other.trailing_zeros() / 8
}

/// The value of eight ASCII digits, most significant in the lowest byte.
#[inline]
fn eight_digits(word: u64) -> u64 {
    let digits = word & 0x0F0F_0F0F_0F0F_0F0F;
    let pairs = digits.wrapping_mul(2561) >> 8 & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(6_553_601) >> 16 & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(42_949_672_960_001) >> 32
}

/// The forms that [`parse_plain`] leaves: an exponent, or more than 18 digits (trailing zeros are taken off).
#[cold]
fn parse_slow(text: &[u8]) -> Result<Decimal, DecimalError> {
    let (negative, body) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (number, power) = match body.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&body[..at], parse_power(&body[at + 1..])?),
        None => (body, 0),
    };
    let (whole, fraction) = match number.iter().position(|byte| *byte == b'.') {
        Some(at) if at + 1 < number.len() => (&number[..at], &number[at + 1..]),
        Some(_) => return Err(DecimalError::Syntax),
        None => (number, &number[..0]),
    };
    if whole.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(DecimalError::Syntax);
    }
    let mut mantissa = 0i128;
    let mut exponent = i64::from(power) - fraction.len() as i64;
    let significant = whole.len() + fraction.len()
        - whole.iter().chain(fraction).rev().take_while(|digit| **digit == b'0').count();
    let all = whole.len() + fraction.len();
    // Digits that fit are kept, trailing zeros too; those that do not fit may only be zeros.
    for (index, digit) in whole.iter().chain(fraction).enumerate() {
        let next = mantissa * 10 + i128::from(digit - b'0');
        if next > i128::from(i64::MAX) {
            if index < significant {
                return Err(DecimalError::Overflow);
            }
            exponent += (all - index) as i64;
            break;
        }
        mantissa = next;
    }
    let mantissa = if negative { -mantissa } else { mantissa };
    let exponent = if mantissa == 0 { exponent.clamp(-18, 0) } else { exponent };
    Ok(Decimal {
        mantissa: mantissa as i64,
        exponent: i8::try_from(exponent).map_err(|_| DecimalError::Overflow)?,
    })
}

fn parse_power(text: &[u8]) -> Result<i16, DecimalError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::Syntax);
    }
    if digits.len() > 4 {
        return Err(DecimalError::Overflow);
    }
    let (value, _) = parse_digits(digits);
    let value = value as i16;
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_what_it_parsed() {
        for text in [
            "0",
            "1",
            "-1",
            "61837.63000000",
            "0.00000001",
            "0.000",
            "-0.50",
            "184440410.00000000",
            "922337203685477.5807",
            "9223372036854775807",
            "123456789012345678",
            "0.000000000000000001",
        ] {
            assert_eq!(Decimal::parse(text.as_bytes()).map(|d| d.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn keeps_the_value_of_exponents_and_long_zeros() {
        let value = |text: &str| Decimal::parse(text.as_bytes()).map(|d| d.to_string());
        assert_eq!(value("1e-8").as_deref(), Ok("0.00000001"));
        assert_eq!(value("1.5E3").as_deref(), Ok("1500"));
        assert_eq!(value("100000000000.00000000").as_deref(), Ok("100000000000.0000000"));
        assert_eq!(value("99999999999999999999"), Err(DecimalError::Overflow));
        for bad in ["", "-", ".", "1.", ".5", "1..2", "1e", "0x1", " 1", "1 ", "--1", "1e99999", "NaN"] {
            assert!(Decimal::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn rescales_only_without_loss() {
        let d = Decimal::new(1500, -3);
        assert_eq!(d.rescale(-1), Some(Decimal::new(15, -1)));
        assert_eq!(d.rescale(0), None);
        assert_eq!(d.rescale(-8), Some(Decimal::new(150_000_000, -8)));
        assert_eq!(Decimal::new(i64::MAX, 0).rescale(-1), None);
        assert_eq!(d.normalised(), Decimal::new(15, -1));
        assert_eq!(Decimal::new(2, 1).checked_mul(Decimal::new(5, -1)), Some(Decimal::new(1, 1)));
    }

    proptest! {
        #[test]
        fn any_plain_text_survives(whole in 0u64..10_000_000_000, fraction in "[0-9]{0,8}", negative: bool) {
            let sign = if negative { "-" } else { "" };
            let text = if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
            let parsed = Decimal::parse(text.as_bytes()).unwrap();
            let expected = if parsed.is_zero() { text.trim_start_matches('-').to_owned() } else { text };
            prop_assert_eq!(parsed.to_string(), expected);
        }

        #[test]
        fn any_pair_of_parts_survives(mantissa: i64, exponent in -18i8..=0) {
            prop_assume!(mantissa != i64::MIN);
            let text = Decimal::new(mantissa, exponent).to_string();
            prop_assert_eq!(Decimal::parse(text.as_bytes()).unwrap(), Decimal::new(mantissa, exponent));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Decimal::parse(&bytes);
        }

        #[test]
        fn digit_runs_agree_with_the_slow_count(bytes in proptest::collection::vec(0x28u8..0x42, 0..24)) {
            let expected = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
            prop_assert_eq!(parse_digits(&bytes).1, expected);
        }

        #[test]
        fn comparison_is_that_of_the_values(a in -1000i64..1000, b in -1000i64..1000, x in -3i8..3, y in -3i8..3) {
            let scale = |m: i64, e: i8| m * 10i64.pow((e + 3) as u32);
            prop_assert_eq!(Decimal::new(a, x).compare(Decimal::new(b, y)), scale(a, x).cmp(&scale(b, y)));
        }
    }
}

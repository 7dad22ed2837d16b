//! Numbers as the venue writes them: JSON floats with a point, tiny ones with an exponent.

use std::fmt::Write;

/// An exact decimal: `value / 10^scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) value: i64,
    /// Digits after the point, at most 18.
    pub(super) scale: u8,
}

impl Decimal {
    pub(super) const ZERO: Decimal = Decimal { value: 0, scale: 0 };

    pub(super) const fn new(value: i64, scale: u8) -> Decimal {
        Decimal { value, scale }
    }

    /// So many of this step.
    pub(super) fn times(self, count: i64) -> Decimal {
        Decimal { value: self.value.saturating_mul(count), scale: self.scale }
    }

    /// The same number with another scale; digits that do not fit are cut off.
    pub(super) fn rescaled(self, scale: u8) -> Decimal {
        let power = |digits: u8| 10_i64.saturating_pow(digits.into());
        let value = if scale >= self.scale {
            self.value.saturating_mul(power(scale - self.scale))
        } else {
            self.value / power(self.scale - scale)
        };
        Decimal { value, scale }
    }

    /// This part in a million of the number, with the same scale.
    pub(super) fn part(self, millionths: i64) -> Decimal {
        let value = i128::from(self.value) * i128::from(millionths) / 1_000_000;
        Decimal { value: i64::try_from(value).unwrap_or(i64::MAX), scale: self.scale }
    }

    /// Digits without trailing zeros, and how many of them follow the point.
    fn shortest(self) -> (u64, usize) {
        let (mut digits, mut scale) = (self.value.unsigned_abs(), usize::from(self.scale));
        while scale > 0 && digits.is_multiple_of(10) {
            digits /= 10;
            scale -= 1;
        }
        (digits, scale)
    }

    fn sign(self) -> &'static str {
        if self.value < 0 { "-" } else { "" }
    }

    /// Appends `61800.5`, `10.0`, `0.00001`.
    pub(super) fn write_float(self, out: &mut String) {
        let (digits, scale) = self.shortest();
        let power = 10_u64.pow(scale as u32);
        let (whole, fraction) = (digits / power, digits % power);
        let width = scale.max(1);
        // Writing to a text cannot fail.
        let _ = write!(out, "{}{whole}.{fraction:0width$}", self.sign());
    }

    /// Appends a float, with an exponent below one ten-thousandth: `1.742e-05`.
    pub(super) fn write_rate(self, out: &mut String) {
        let (digits, scale) = self.shortest();
        let text = digits.to_string();
        if digits == 0 || scale < text.len() + 4 {
            return self.write_float(out);
        }
        let exponent = scale - (text.len() - 1);
        let (first, rest) = text.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let _ = write!(out, "{}{first}{point}{rest}e-{exponent:02}", self.sign());
    }

    pub(super) fn float(self) -> String {
        let mut out = String::new();
        self.write_float(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(value: i64, scale: u8) -> String {
        let mut out = String::new();
        Decimal::new(value, scale).write_rate(&mut out);
        out
    }

    #[test]
    fn floats_keep_a_point_and_no_trailing_zeros() {
        for (value, scale, text) in [
            (10, 0, "10.0"),
            (0, 0, "0.0"),
            (0, 8, "0.0"),
            (922_845, 1, "92284.5"),
            (9_228_000, 2, "92280.0"),
            (1, 5, "0.00001"),
            (-95_701, 5, "-0.95701"),
            (i64::MIN, 0, "-9223372036854775808.0"),
        ] {
            assert_eq!(Decimal::new(value, scale).float(), text);
        }
    }

    #[test]
    fn tiny_rates_have_an_exponent() {
        for (value, scale, text) in [
            (1742, 8, "1.742e-05"),
            (-1742, 8, "-1.742e-05"),
            (2, 5, "2e-05"),
            (10, 5, "0.0001"),
            (12_345, 9, "1.2345e-05"),
            (0, 8, "0.0"),
            (282, 5, "0.00282"),
        ] {
            assert_eq!(rate(value, scale), text);
        }
    }

    proptest! {
        /// Both forms are the number, whatever its size.
        #[test]
        fn both_forms_mean_the_same(value in -1_000_000_000_i64..1_000_000_000, scale in 0_u8..12) {
            let number = Decimal::new(value, scale);
            let exact = value as f64 / 10_f64.powi(scale.into());
            for text in [number.float(), rate(value, scale)] {
                let read: f64 = text.parse().expect("a number");
                prop_assert!((read - exact).abs() <= exact.abs() * 1e-12, "{text} for {exact}");
                prop_assert!(text.contains(['.', 'e']), "{text} is an integer");
            }
        }
    }
}

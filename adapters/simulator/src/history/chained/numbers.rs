//! Numbers of records as text, so that who reads them finds the same mantissa and the same power of ten.

use marketprism_core::Decimal;
use marketprism_core::clock::{NS_PER_MS, TIME_MISSING};
use marketprism_core::record::ABSENT;

/// How the numbers of a record are written that share a power of ten.
///
/// They are as short as a venue writes them, unless none of them would show then that the record counts more decimals:
/// `1.5` and `2` for 15 and 20 tenths, but `1.50` and `2.00` for 150 and 200 hundredths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    exponent: i8,
    /// Decimals that even a whole number has: none at OKX, one at Deribit.
    least: u8,
    shortest: bool,
}

impl Numbers {
    /// For numbers with these mantissas; absent ones and zeros show nothing.
    pub(crate) fn new(exponent: i8, least: u8, mantissas: impl IntoIterator<Item = i64>) -> Numbers {
        let decimals = exponent.min(0).unsigned_abs();
        let mut counting = mantissas.into_iter().filter(|mantissa| *mantissa != ABSENT && *mantissa != 0);
        Numbers {
            exponent,
            least,
            shortest: decimals <= least || counting.any(|mantissa| mantissa % 10 != 0),
        }
    }

    /// For a number on its own.
    pub(crate) fn one(mantissa: i64, exponent: i8, least: u8) -> Numbers {
        Numbers::new(exponent, least, [mantissa])
    }

    /// The same, as short as the venue writes them, whatever that shows.
    pub(crate) fn shortest(self) -> Numbers {
        Numbers { shortest: true, ..self }
    }

    /// Appends a number, which is not absent.
    pub(crate) fn write(self, mantissa: i64, out: &mut String) {
        let mut number = Decimal::new(mantissa, self.exponent);
        let least = -i16::from(self.least);
        while self.shortest && i16::from(number.exponent) < least && number.mantissa % 10 == 0 {
            number.mantissa /= 10;
            number.exponent += 1;
        }
        if number.exponent > 0 {
            out.push_str(&format!("{}e{}", number.mantissa, number.exponent));
        } else {
            out.push_str(&number.to_string());
        }
    }

    /// The text of a number; `absent` where it is.
    pub(crate) fn text(self, mantissa: i64, absent: &str) -> String {
        if mantissa == ABSENT {
            return absent.to_owned();
        }
        let mut text = String::new();
        self.write(mantissa, &mut text);
        text
    }
}

/// A time as the venues write it: milliseconds, or microseconds where milliseconds would lose some; `None` where it is
/// missing.
pub(crate) fn venue_time(time_ns: i64) -> Option<String> {
    let unit = if time_ns % NS_PER_MS == 0 { NS_PER_MS } else { 1_000 };
    (time_ns != TIME_MISSING).then(|| (time_ns / unit).to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(exponent: i8, least: u8, mantissas: &[i64]) -> Vec<String> {
        let numbers = Numbers::new(exponent, least, mantissas.iter().copied());
        mantissas.iter().map(|mantissa| numbers.text(*mantissa, "")).collect()
    }

    #[test]
    fn numbers_are_short_where_another_shows_their_exponent() {
        assert_eq!(texts(-1, 0, &[15, 20, 0, ABSENT]), ["1.5", "2", "0", ""]);
        assert_eq!(texts(-2, 0, &[150, 200]), ["1.50", "2.00"]);
        assert_eq!(texts(-2, 1, &[150, 201, -100]), ["1.5", "2.01", "-1.0"]);
        assert_eq!(texts(-1, 1, &[20, 0]), ["2.0", "0.0"]);
        assert_eq!(texts(0, 1, &[20]), ["20"]);
        assert_eq!(texts(3, 0, &[7]), ["7e3"]);
    }

    #[test]
    fn times_keep_what_they_have() {
        assert_eq!(venue_time(1_700_000_000_123_000_000).as_deref(), Some("1700000000123"));
        assert_eq!(venue_time(1_700_000_000_123_456_000).as_deref(), Some("1700000000123456"));
        assert_eq!(venue_time(TIME_MISSING), None);
    }

    proptest! {
        #[test]
        fn every_number_is_read_again(
            mantissas in proptest::collection::vec(-1_000_000_000_000i64..1_000_000_000_000, 1..6),
            exponent in -18i8..4,
            least in 0u8..2,
        ) {
            let parsed: Vec<Decimal> =
                texts(exponent, least, &mantissas).iter().map(|text| text.parse().unwrap()).collect();
            let counting = || parsed.iter().filter(|number| !number.is_zero());
            let finest = counting().map(|number| number.exponent).min().unwrap_or(exponent);
            prop_assert_eq!(finest, exponent);
            for (number, mantissa) in parsed.iter().zip(&mantissas) {
                prop_assert_eq!(number.rescale(exponent).unwrap().mantissa, *mantissa);
            }
        }
    }
}

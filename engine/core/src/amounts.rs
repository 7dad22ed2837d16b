//! What a price and a quantity amount to in base and in quote units, exactly.

use crate::decimal::Decimal;
use crate::instrument::Instrument;

/// Decimals of an amount that no finite decimal expresses (base amounts of inverse contracts); the last one is
/// rounded half to even.
pub const ROUNDED_DECIMALS: u8 = 18;

/// A fraction `numerator × 10^exponent / denominator`; the denominator is above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Digits above the line.
    pub numerator: i128,
    /// Digits below the line.
    pub denominator: i128,
    /// Power of ten of the whole.
    pub exponent: i32,
}

/// Base and quote amount of one price and quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// Amount of the base asset.
    pub base: Ratio,
    /// Amount of the quote asset.
    pub quote: Ratio,
}

/// The amounts of `quantity` at `price`; `None` where the price is zero on an inverse instrument or 128 bits do not
/// hold the product.
///
/// One unit of quantity is worth [`Instrument::multiplier`]: base units, or quote units on an inverse instrument.
pub fn amounts(instrument: &Instrument, price: Decimal, quantity: Decimal) -> Option<Amounts> {
    let multiplier = instrument.multiplier.unwrap_or(Decimal::new(1, 0));
    let worth = product(whole(quantity), whole(multiplier))?;
    if !instrument.inverse {
        return Some(Amounts { base: worth, quote: product(worth, whole(price))? });
    }
    if price.mantissa <= 0 {
        return None;
    }
    let base = Ratio {
        numerator: worth.numerator,
        denominator: i128::from(price.mantissa),
        exponent: worth.exponent - i32::from(price.exponent),
    };
    Some(Amounts { base, quote: worth })
}

fn whole(decimal: Decimal) -> Ratio {
    let decimal = decimal.normalised();
    Ratio { numerator: i128::from(decimal.mantissa), denominator: 1, exponent: i32::from(decimal.exponent) }
}

fn product(a: Ratio, b: Ratio) -> Option<Ratio> {
    Some(Ratio {
        numerator: a.numerator.checked_mul(b.numerator)?,
        denominator: a.denominator.checked_mul(b.denominator)?,
        exponent: a.exponent + b.exponent,
    })
}

impl std::fmt::Display for Ratio {
    /// All digits where there is an end to them, else [`ROUNDED_DECIMALS`] of them. No `e`, no zeros at the end.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let negative = self.numerator < 0;
        let denominator = self.denominator.unsigned_abs();
        let mut whole = self.numerator.unsigned_abs() / denominator;
        let mut rest = self.numerator.unsigned_abs() % denominator;
        // Digits of the quotient without the power of ten; each step gives one more decimal.
        let mut digits = whole.to_string().into_bytes();
        let mut decimals = -i64::from(self.exponent);
        while rest != 0 && decimals < i64::from(ROUNDED_DECIMALS) {
            let Some(next) = rest.checked_mul(10) else { break };
            whole = next / denominator;
            rest = next % denominator;
            digits.push(b'0' + whole as u8);
            decimals += 1;
        }
        let half = rest.checked_mul(2).map_or(std::cmp::Ordering::Greater, |twice| twice.cmp(&denominator));
        let odd = digits.last().is_some_and(|digit| digit % 2 == 1);
        if half == std::cmp::Ordering::Greater || (half == std::cmp::Ordering::Equal && odd) {
            round_up(&mut digits);
        }
        while decimals < 0 {
            digits.push(b'0');
            decimals += 1;
        }
        let decimals = decimals as usize;
        while digits.len() <= decimals {
            digits.insert(0, b'0');
        }
        let (integer, fraction) = digits.split_at(digits.len() - decimals);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (integer, fraction) = (text(integer), text(fraction));
        let integer = integer.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        if negative && !(integer.is_empty() && fraction.is_empty()) {
            formatter.write_str("-")?;
        }
        formatter.write_str(if integer.is_empty() { "0" } else { integer })?;
        if fraction.is_empty() { Ok(()) } else { write!(formatter, ".{fraction}") }
    }
}

fn round_up(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit != b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(instrument: &Instrument, price: &str, quantity: &str) -> (String, String) {
        let number = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        let amounts = amounts(instrument, number(price), number(quantity)).unwrap();
        (amounts.base.to_string(), amounts.quote.to_string())
    }

    fn instrument(multiplier: Option<&str>, inverse: bool) -> Instrument {
        let multiplier = multiplier.map(|text| Decimal::parse(text.as_bytes()).unwrap());
        Instrument { multiplier, inverse, ..Instrument::default() }
    }

    #[test]
    fn linear_amounts_are_exact() {
        let spot = instrument(None, false);
        assert_eq!(texts(&spot, "42219.9", "0.12060306"), ("0.12060306".into(), "5091.849132894".into()));
        // An OKX swap: contracts of 0.01 BTC.
        let swap = instrument(Some("0.01"), false);
        assert_eq!(texts(&swap, "43568.8", "7"), ("0.07".into(), "3049.816".into()));
        assert_eq!(texts(&swap, "2e3", "1500"), ("15".into(), "30000".into()));
    }

    #[test]
    fn inverse_amounts_divide_by_the_price() {
        let perpetual = instrument(None, true);
        // A Deribit perpetual: the amount is dollars.
        assert_eq!(texts(&perpetual, "56168.0", "5580.0"), ("0.099344822674832645".into(), "5580".into()));
        assert_eq!(texts(&perpetual, "0.5", "10"), ("20".into(), "10".into()));
        let contract = instrument(Some("100"), true);
        assert_eq!(texts(&contract, "50000", "3"), ("0.006".into(), "300".into()));
        assert_eq!(texts(&contract, "3", "2"), ("66.666666666666666667".into(), "200".into()));
    }

    #[test]
    fn a_price_of_zero_gives_no_base_amount() {
        assert_eq!(amounts(&instrument(None, true), Decimal::ZERO, Decimal::new(1, 0)), None);
    }
}

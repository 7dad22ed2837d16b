//! The levels of one book message, brought to one exponent while they are read.

use marketprism_core::record::MAX_LEVELS;
use marketprism_core::{Decimal, Level};

/// No value that counts has been seen.
const UNSET: i16 = i16::MAX;

/// Levels of a message. Kept by the decoder, so that its memory is used again.
///
/// The exponent of the prices is that of the price with the most decimals; that of the quantities likewise,
/// where zeros do not count: a zero only says that the level is gone.
pub struct LevelBuffer {
    levels: Vec<Level>,
    price_exponent: i16,
    quantity_exponent: i16,
}

impl Default for LevelBuffer {
    fn default() -> LevelBuffer {
        LevelBuffer { levels: Vec::new(), price_exponent: UNSET, quantity_exponent: UNSET }
    }
}

impl LevelBuffer {
    /// Forgets all levels and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.levels.clear();
        self.price_exponent = UNSET;
        self.quantity_exponent = UNSET;
    }

    /// Adds a level; `None` where there are too many, or where the values fit no common exponent.
    #[inline(always)]
    pub fn push(&mut self, price: Decimal, quantity: Decimal) -> Option<()> {
        let price = if i16::from(price.exponent) == self.price_exponent {
            price.mantissa
        } else {
            self.adapt_price(price)?
        };
        let quantity = if i16::from(quantity.exponent) == self.quantity_exponent || quantity.mantissa == 0 {
            quantity.mantissa
        } else {
            self.adapt_quantity(quantity)?
        };
        if self.levels.len() >= MAX_LEVELS {
            return None;
        }
        self.levels.push(Level { price, quantity });
        Some(())
    }

    /// The levels so far.
    #[inline]
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Power of ten of the prices.
    #[inline]
    pub fn price_exponent(&self) -> i8 {
        i8::try_from(self.price_exponent).unwrap_or(0)
    }

    /// Power of ten of the quantities.
    #[inline]
    pub fn quantity_exponent(&self) -> i8 {
        i8::try_from(self.quantity_exponent).unwrap_or(0)
    }

    #[cold]
    #[inline(never)]
    fn adapt_price(&mut self, price: Decimal) -> Option<i64> {
        adapt(&mut self.price_exponent, price, self.levels.iter_mut().map(|level| &mut level.price))
    }

    #[cold]
    #[inline(never)]
    fn adapt_quantity(&mut self, quantity: Decimal) -> Option<i64> {
        adapt(&mut self.quantity_exponent, quantity, self.levels.iter_mut().map(|level| &mut level.quantity))
    }
}

/// Brings `value` and the values before it to the smaller of their exponents.
fn adapt<'a>(exponent: &mut i16, value: Decimal, before: impl Iterator<Item = &'a mut i64>) -> Option<i64> {
    if i16::from(value.exponent) > *exponent {
        return value.rescale(i8::try_from(*exponent).ok()?).map(|value| value.mantissa);
    }
    for mantissa in before {
        if *mantissa != 0 {
            let old = Decimal::new(*mantissa, i8::try_from(*exponent).ok()?);
            *mantissa = old.rescale(value.exponent)?.mantissa;
        }
    }
    *exponent = i16::from(value.exponent);
    Some(value.mantissa)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(levels: &[(&str, &str)]) -> Option<LevelBuffer> {
        let mut buffer = LevelBuffer::default();
        for (price, quantity) in levels {
            buffer.push(price.parse().ok()?, quantity.parse().ok()?)?;
        }
        Some(buffer)
    }

    fn texts(buffer: &LevelBuffer) -> Vec<(String, String)> {
        let text = |mantissa, exponent| Decimal::new(mantissa, exponent).to_string();
        buffer
            .levels()
            .iter()
            .map(|l| (text(l.price, buffer.price_exponent()), text(l.quantity, buffer.quantity_exponent())))
            .collect()
    }

    #[test]
    fn values_share_the_most_decimals() {
        let buffer = fill(&[("1.5", "0"), ("1.25", "7"), ("2", "0.000"), ("3.0", "1.50")]).unwrap();
        assert_eq!((buffer.price_exponent(), buffer.quantity_exponent()), (-2, -2));
        let expected = [("1.50", "0.00"), ("1.25", "7.00"), ("2.00", "0.00"), ("3.00", "1.50")];
        assert_eq!(texts(&buffer), expected.map(|(p, q)| (p.to_owned(), q.to_owned())));
    }

    #[test]
    fn zero_quantities_do_not_count() {
        let buffer = fill(&[("1.5", "0.00000000"), ("1.5", "7"), ("1.5", "0.000")]).unwrap();
        assert_eq!(buffer.quantity_exponent(), 0);
        assert_eq!(fill(&[("1.5", "0.000")]).unwrap().quantity_exponent(), 0);
    }

    #[test]
    fn what_fits_no_exponent_is_refused() {
        assert!(fill(&[("1", "9223372036854775807"), ("1", "0.5")]).is_none());
        assert!(fill(&[("1", "0.5"), ("1", "9223372036854775807")]).is_none());
    }

    #[test]
    fn levels_are_bounded() {
        let mut buffer = LevelBuffer::default();
        let one = Decimal::new(1, 0);
        for _ in 0..MAX_LEVELS {
            assert_eq!(buffer.push(one, one), Some(()));
        }
        assert_eq!(buffer.push(one, one), None);
        buffer.clear();
        assert_eq!(buffer.push(one, one), Some(()));
    }
}

//! Exact division of prices by a price unit without a divide instruction.

/// A price step and what is needed to divide by it: the remainder test and the quotient cost one
/// multiplication, one rotation and one comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    /// The step, in price mantissas; at least 1.
    size: u64,
    /// Inverse modulo 2^64 of the odd part of `size`.
    inverse: u64,
    /// Trailing zero bits of `size`.
    shift: u32,
    /// Largest quotient of a price that is not negative.
    limit: u64,
}

impl Unit {
    /// The unit of this many price mantissas; 0 is taken as 1.
    pub(crate) fn new(size: u64) -> Unit {
        let size = size.max(1);
        let shift = size.trailing_zeros();
        let odd = size >> shift;
        // Newton's iteration doubles the number of right bits; the start has five.
        let mut inverse = odd.wrapping_mul(3) ^ 2;
        for _ in 0..4 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        }
        Unit { size, inverse, shift, limit: i64::MAX as u64 / size }
    }

    /// The step, in price mantissas.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The price in units where that is a whole number, otherwise something that
    /// [`is_exact`](Unit::is_exact) refuses. A negative price is never exact.
    #[inline(always)]
    pub(crate) fn ticks(&self, price: u64) -> u64 {
        price.wrapping_mul(self.inverse).rotate_right(self.shift)
    }

    /// Whether [`ticks`](Unit::ticks) was a true quotient: the multiples of the unit are exactly the numbers
    /// that the multiplication maps to small results.
    #[inline(always)]
    pub(crate) fn is_exact(&self, ticks: u64) -> bool {
        ticks <= self.limit
    }

    /// Whether the price is a multiple of the unit.
    pub(crate) fn divides(&self, price: u64) -> bool {
        self.is_exact(self.ticks(price))
    }
}

/// The greatest common divisor.
pub(crate) fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_division(size in prop_oneof![1u64..100_000, 1..=i64::MAX as u64], price: u64) {
            let unit = Unit::new(size);
            for price in [price, price / size * size, price >> 1, (price >> 1) / size * size] {
                let exact = price % size == 0 && price <= i64::MAX as u64;
                prop_assert_eq!(unit.divides(price), exact);
                if exact {
                    prop_assert_eq!(unit.ticks(price), price / size);
                }
            }
        }
    }

    #[test]
    fn the_common_divisor_of_nothing_is_nothing() {
        assert_eq!(greatest_common_divisor(0, 0), 0);
        assert_eq!(greatest_common_divisor(0, 12), 12);
        assert_eq!(greatest_common_divisor(18, 12), 6);
    }
}

//! Prices that are no trades: indices, marks, volatility and funding. All are functions of the time and the seed.

use super::instrument::Instrument;
use super::number::Decimal;
use crate::text::Random;

/// The time and the seed that prices are a function of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) seed: u64,
    /// Epoch milliseconds.
    pub(super) now_ms: u64,
}

impl Moment {
    /// A number from `-reach` to `reach` that belongs to a subject in this second.
    fn noise(self, subject: i64, reach: u32) -> i64 {
        let second = self.now_ms / 1000;
        let mixed =
            self.seed.wrapping_mul(31).wrapping_add(second).wrapping_mul(31).wrapping_add(subject as u64);
        i64::from(Random::new(mixed).below(reach * 2 + 1)) - i64::from(reach)
    }

    /// The price of a coin whose index stays near `usual`.
    pub(super) fn index(self, usual: Decimal) -> Decimal {
        usual.part(1_000_000 + self.noise(usual.value, 200))
    }

    /// The volatility index of a coin, percent with two decimals.
    pub(super) fn volatility(self, usual: Decimal) -> Decimal {
        Decimal::new(5500 + self.noise(usual.value.wrapping_add(1), 300), 2)
    }

    /// The mark price: the middle of the market, with two more decimals than prices have.
    pub(super) fn mark(self, instrument: &Instrument) -> Decimal {
        let tick = instrument.spec.tick;
        let value = tick.value * 50 * instrument.doubled_mid() + self.noise(instrument.spec.middle, 20);
        Decimal::new(value.max(1), tick.scale + 2)
    }

    /// Funding over eight hours, a fraction with eight decimals.
    pub(super) fn funding(self, instrument: &Instrument) -> Decimal {
        Decimal::new(3000 + self.noise(instrument.spec.middle, 6000), 8)
    }

    /// The value that realised funding is computed from.
    pub(super) fn interest(self, instrument: &Instrument) -> Decimal {
        Decimal::new(28_213_400_122_472 + self.noise(instrument.spec.middle, 2_000_000_000), 16)
    }

    /// Volatility of an option's mark, percent with two decimals.
    pub(super) fn mark_volatility(self, instrument: &Instrument) -> Decimal {
        Decimal::new(5500 + 4000 / instrument.spec.middle.max(1) + self.noise(instrument.spec.middle, 50), 2)
    }
}

//! What trades add up to: the day's statistics and candles.

use super::catalogue::Spec;
use super::channel::RESOLUTIONS;
use super::instrument::Fill;
use super::number::Decimal;

/// Decimals of turnovers.
const SCALE: u8 = 8;

/// What a trade is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Turnover {
    /// In the coin, hundred millionths.
    pub(super) base: i64,
    /// In dollars or the counter currency, hundred millionths.
    pub(super) cost: i64,
}

/// `left * right`, each an exact decimal, in hundred millionths.
fn product(left: Decimal, right: Decimal) -> i64 {
    let value = i128::from(left.value) * i128::from(right.value) * 10_i128.pow(SCALE.into())
        / 10_i128.pow(u32::from(left.scale) + u32::from(right.scale));
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Spec {
    /// What a fill is worth; `index` is the price of the coin.
    pub(super) fn turnover(&self, fill: &Fill, index: Decimal) -> Turnover {
        let (amount, price) = (self.lot.times(fill.lots), self.tick.times(fill.tick));
        if self.inverse() && !self.priced_in_coin() {
            let cost = amount.rescaled(SCALE).value;
            let price = i128::from(price.rescaled(SCALE).value).max(1);
            let base = i128::from(cost) * 10_i128.pow(SCALE.into()) / price;
            return Turnover { base: i64::try_from(base).unwrap_or(i64::MAX), cost };
        }
        let cost = product(amount, price);
        let cost = if self.priced_in_coin() { product(Decimal::new(cost, SCALE), index) } else { cost };
        Turnover { base: amount.rescaled(SCALE).value, cost }
    }
}

/// Statistics since the start. Prices are in ticks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Day {
    /// First, highest, lowest and last price; `None` without trades.
    pub(super) prices: Option<[i64; 4]>,
    volume: Turnover,
}

impl Day {
    pub(super) fn add(&mut self, tick: i64, turnover: Turnover) {
        let [first, high, low, _] = self.prices.unwrap_or([tick; 4]);
        self.prices = Some([first, high.max(tick), low.min(tick), tick]);
        self.volume.base = self.volume.base.saturating_add(turnover.base);
        self.volume.cost = self.volume.cost.saturating_add(turnover.cost);
    }

    pub(super) fn high(&self) -> Option<i64> {
        self.prices.map(|[_, high, _, _]| high)
    }

    pub(super) fn low(&self) -> Option<i64> {
        self.prices.map(|[_, _, low, _]| low)
    }

    /// Percent, four decimals.
    pub(super) fn change(&self) -> Option<Decimal> {
        self.prices.map(|[first, _, _, last]| Decimal::new((last - first) * 1_000_000 / first.max(1), 4))
    }

    pub(super) fn volume(&self) -> Option<Decimal> {
        self.prices.map(|_| Decimal::new(self.volume.base, SCALE))
    }

    pub(super) fn volume_usd(&self) -> Option<Decimal> {
        self.prices.map(|_| Decimal::new(self.volume.cost, SCALE).rescaled(2))
    }
}

/// A candle. Prices are in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bar {
    /// Begin, epoch milliseconds; 0 before the first trade.
    pub(super) start_ms: u64,
    pub(super) open: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) close: i64,
    volume: Turnover,
}

impl Bar {
    pub(super) fn add(&mut self, resolution: usize, tick: i64, turnover: Turnover, now_ms: u64) {
        let length = RESOLUTIONS[resolution].1;
        let start_ms = now_ms / length * length;
        if start_ms != self.start_ms {
            *self =
                Bar { start_ms, open: tick, high: tick, low: tick, close: tick, volume: Turnover::default() };
        }
        self.high = self.high.max(tick);
        self.low = self.low.min(tick);
        self.close = tick;
        self.volume.base = self.volume.base.saturating_add(turnover.base);
        self.volume.cost = self.volume.cost.saturating_add(turnover.cost);
    }

    pub(super) fn volume(&self) -> Decimal {
        Decimal::new(self.volume.base, SCALE)
    }

    pub(super) fn cost(&self) -> Decimal {
        Decimal::new(self.volume.cost, SCALE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::instrument;
    use super::*;

    #[test]
    fn turnovers_follow_the_units_of_the_contract() {
        let index = Decimal::new(100_000, 0);
        // 100 dollars of the inverse perpetual at 100,000; 0.3 options at 0.0005 coin; spot at 100,000.
        for (market, tick, lots, base, cost) in [
            (0, 200_000, 10, 100_000, 10_000_000_000),
            (2, 1, 3, 30_000_000, 1_500_000_000),
            (3, 200_000, 1, 10_000, 1_000_000_000),
        ] {
            let fill = Fill { taker_buys: true, tick, lots };
            assert_eq!(instrument(market, 0).turnover(&fill, index), Turnover { base, cost });
        }
    }

    #[test]
    fn a_bar_ends_with_its_interval() {
        let mut bar = Bar::default();
        let traded = Turnover { base: 1, cost: 2 };
        bar.add(0, 10, traded, 60_000);
        bar.add(0, 8, traded, 119_999);
        assert_eq!((bar.start_ms, bar.open, bar.low, bar.close), (60_000, 10, 8, 8));
        assert_eq!(bar.cost(), Decimal::new(4, 8));
        bar.add(0, 9, traded, 120_000);
        assert_eq!((bar.start_ms, bar.open, bar.high), (120_000, 9, 9));
    }
}

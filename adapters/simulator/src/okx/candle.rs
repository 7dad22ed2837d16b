//! Running candles.

/// One bar; prices in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) open_ms: u64,
    pub(crate) open: u64,
    pub(crate) high: u64,
    pub(crate) low: u64,
    pub(crate) close: u64,
    pub(crate) lots: u64,
    /// Sum of price in ticks times lots.
    pub(crate) notional: u128,
}

/// When the bar that holds a time opened.
pub(crate) fn open_of(now_ms: u64, length_ms: u64, offset_ms: u64) -> u64 {
    let shift = offset_ms % length_ms;
    (now_ms - shift.min(now_ms)) / length_ms * length_ms + shift
}

impl Bar {
    /// A bar without a trade.
    pub(crate) fn new(open_ms: u64, ticks: u64) -> Bar {
        Bar { open_ms, open: ticks, high: ticks, low: ticks, close: ticks, lots: 0, notional: 0 }
    }

    pub(crate) fn add(&mut self, ticks: u64, lots: u64) {
        self.high = self.high.max(ticks);
        self.low = self.low.min(ticks);
        self.close = ticks;
        self.lots = self.lots.saturating_add(lots);
        self.notional += u128::from(ticks) * u128::from(lots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_may_open_by_another_clock() {
        let (hour, day) = (3_600_000, 86_400_000);
        let noon = 20_000 * day + 12 * hour;
        assert_eq!(open_of(noon, 60_000, 0), noon);
        assert_eq!(open_of(noon, day, 0), 20_000 * day);
        assert_eq!(open_of(noon, day, 16 * hour), 19_999 * day + 16 * hour);
        assert_eq!(open_of(noon + 5 * hour, day, 16 * hour), 20_000 * day + 16 * hour);
        assert_eq!(open_of(noon, 6 * hour, 16 * hour), 20_000 * day + 10 * hour);
    }

    #[test]
    fn a_bar_holds_its_trades() {
        let mut bar = Bar::new(0, 10);
        bar.add(12, 3);
        bar.add(9, 1);
        assert_eq!((bar.open, bar.high, bar.low, bar.close), (10, 12, 9, 9));
        assert_eq!((bar.lots, bar.notional), (4, 45));
    }
}

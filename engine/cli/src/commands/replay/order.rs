//! Lines by receive time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::super::query::source::ORDER_WINDOW_NS;

/// Most bytes of lines that are held back. Beyond, lines come out sooner; which ones does not depend on anything but the
/// log.
const MOST_BYTES: usize = 256 << 20;

/// A record as text. Lines are ordered by receive time, then by capture sequence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) receive_ns: i64,
    pub(super) sequence: u64,
    pub(super) text: Vec<u8>,
}

impl Ord for Line {
    fn cmp(&self, other: &Line) -> Ordering {
        (self.receive_ns, self.sequence).cmp(&(other.receive_ns, other.sequence))
    }
}

impl PartialOrd for Line {
    fn partial_cmp(&self, other: &Line) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Holds lines back until none that belongs before them can come. A line that is later than that comes out at once, behind
/// those that were received after it.
#[derive(Default)]
pub(super) struct Order {
    held: BinaryHeap<Reverse<Line>>,
    bytes: usize,
    newest_ns: Option<i64>,
}

impl Order {
    pub(super) fn push(&mut self, line: Line) {
        self.newest_ns = self.newest_ns.max(Some(line.receive_ns));
        self.bytes += line.text.len();
        self.held.push(Reverse(line));
    }

    /// The next line whose turn has come.
    pub(super) fn pop_due(&mut self) -> Option<Line> {
        let Reverse(first) = self.held.peek()?;
        let is_due = self.newest_ns?.saturating_sub(first.receive_ns) >= ORDER_WINDOW_NS;
        if is_due || self.bytes > MOST_BYTES { self.pop() } else { None }
    }

    /// The next line.
    pub(super) fn pop(&mut self) -> Option<Line> {
        let Reverse(line) = self.held.pop()?;
        self.bytes -= line.text.len();
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ordered(times: &[i64]) -> Vec<(i64, u64)> {
        let mut order = Order::default();
        let mut out = Vec::new();
        for (sequence, receive_ns) in (0..).zip(times) {
            order.push(Line { receive_ns: *receive_ns, sequence, text: b"x".to_vec() });
            out.extend(std::iter::from_fn(|| order.pop_due()));
        }
        out.extend(std::iter::from_fn(|| order.pop()));
        assert_eq!(order.bytes, 0);
        out.into_iter().map(|line| (line.receive_ns, line.sequence)).collect()
    }

    proptest! {
        #[test]
        fn what_is_out_of_order_by_less_than_the_window_is_sorted(
            lags in proptest::collection::vec(0..ORDER_WINDOW_NS, 1..200)
        ) {
            let times: Vec<i64> = (0..).zip(&lags).map(|(step, lag)| step * 100_000_000 - lag).collect();
            let mut sorted: Vec<(i64, u64)> = times.iter().copied().zip(0..).collect();
            sorted.sort_unstable();
            prop_assert_eq!(ordered(&times), sorted);
        }

        #[test]
        fn every_line_comes_out_once_whatever_the_times(times in proptest::collection::vec(any::<i64>(), 0..100)) {
            let mut out = ordered(&times);
            out.sort_unstable_by_key(|(_, sequence)| *sequence);
            let all: Vec<(i64, u64)> = times.iter().copied().zip(0..).collect();
            prop_assert_eq!(out, all);
        }
    }
}

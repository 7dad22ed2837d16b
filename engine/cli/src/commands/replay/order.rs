//! Records by receive time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::super::query::source::ORDER_WINDOW_NS;

/// Most bytes that are held back. Beyond, records come out sooner; which ones does not depend on anything but the log.
const MOST_BYTES: usize = 256 << 20;

/// A record in some form. Records are ordered by receive time, then by capture sequence.
#[derive(Debug)]
pub(super) struct Held<T> {
    pub(super) receive_ns: i64,
    pub(super) sequence: u64,
    /// Memory that the content takes.
    pub(super) bytes: usize,
    pub(super) content: T,
}

impl<T> Held<T> {
    fn place(&self) -> (i64, u64) {
        (self.receive_ns, self.sequence)
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Held<T>) -> bool {
        self.place() == other.place()
    }
}

impl<T> Eq for Held<T> {}

impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Held<T>) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Held<T>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Holds records back until none that belongs before them can come. A record that is later than that comes out at once,
/// behind those that were received after it.
pub(super) struct Order<T> {
    held: BinaryHeap<Reverse<Held<T>>>,
    bytes: usize,
    newest_ns: Option<i64>,
}

impl<T> Order<T> {
    pub(super) fn new() -> Order<T> {
        Order { held: BinaryHeap::new(), bytes: 0, newest_ns: None }
    }

    pub(super) fn push(&mut self, record: Held<T>) {
        self.newest_ns = self.newest_ns.max(Some(record.receive_ns));
        self.bytes += record.bytes;
        self.held.push(Reverse(record));
    }

    /// The next record whose turn has come.
    pub(super) fn pop_due(&mut self) -> Option<Held<T>> {
        let Reverse(first) = self.held.peek()?;
        let is_due = self.newest_ns?.saturating_sub(first.receive_ns) >= ORDER_WINDOW_NS;
        if is_due || self.bytes > MOST_BYTES { self.pop() } else { None }
    }

    /// The next record.
    pub(super) fn pop(&mut self) -> Option<Held<T>> {
        let Reverse(record) = self.held.pop()?;
        self.bytes -= record.bytes;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ordered(times: &[i64]) -> Vec<(i64, u64)> {
        let mut order = Order::new();
        let mut out = Vec::new();
        for (sequence, receive_ns) in (0..).zip(times) {
            order.push(Held { receive_ns: *receive_ns, sequence, bytes: 1, content: () });
            out.extend(std::iter::from_fn(|| order.pop_due()));
        }
        out.extend(std::iter::from_fn(|| order.pop()));
        assert_eq!(order.bytes, 0);
        out.iter().map(Held::place).collect()
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
        fn every_record_comes_out_once_whatever_the_times(times in proptest::collection::vec(any::<i64>(), 0..100)) {
            let mut out = ordered(&times);
            out.sort_unstable_by_key(|(_, sequence)| *sequence);
            let all: Vec<(i64, u64)> = times.iter().copied().zip(0..).collect();
            prop_assert_eq!(out, all);
        }
    }
}

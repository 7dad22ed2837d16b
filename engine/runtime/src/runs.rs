//! Receive times of records on their way, kept as runs of equal stamps: one entry a socket read, not a record.

use hdrhistogram::Histogram;

/// Receive times with the number of records that carry each.
#[derive(Default)]
pub(crate) struct Runs {
    runs: Vec<(i64, u64)>,
}

impl Runs {
    /// One more record with this receive time, nanoseconds.
    #[inline]
    pub(crate) fn add(&mut self, receive_ns: i64) {
        match self.runs.last_mut() {
            Some((stamp, count)) if *stamp == receive_ns => *count += 1,
            _ => self.runs.push((receive_ns, 1)),
        }
    }

    /// Records the age of all at `now_ns` and forgets them.
    pub(crate) fn drain_into(&mut self, now_ns: i64, histogram: &mut Histogram<u64>) {
        for (stamp, count) in self.runs.drain(..) {
            histogram.saturating_record_n(now_ns.saturating_sub(stamp).max(1) as u64, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_counted_once() {
        let mut histogram = crate::telemetry::latency_histogram();
        let mut runs = Runs::default();
        for stamp in [10, 10, 10, 20, 10] {
            runs.add(stamp);
        }
        runs.drain_into(1010, &mut histogram);
        runs.drain_into(5000, &mut histogram);
        assert_eq!((histogram.len(), histogram.min(), histogram.max()), (5, 990, 1000));
    }
}

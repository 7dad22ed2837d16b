//! When to try a connection again, and where.

use std::time::Duration;

const SECOND_NS: i64 = 1_000_000_000;
/// First delay after the immediate retry.
const FIRST_DELAY_NS: i64 = SECOND_NS / 4;
/// Longest delay.
const LONGEST_DELAY_NS: i64 = 30 * SECOND_NS;
/// A connection that lived and delivered for this long clears the failures before it.
pub const HEALTHY_PERIOD: Duration = Duration::from_secs(60);
/// Failures in a row after which the next endpoint is tried.
const FAILURES_PER_ENDPOINT: u32 = 3;

/// Delays between attempts (the first retry at once, then exponential with full jitter, capped, without end)
/// and the endpoint to use (the next of the list after three failures in a row).
#[derive(Clone, Debug)]
pub struct Backoff {
    failures: u32,
    endpoint: usize,
    endpoints: usize,
    random: u64,
}

impl Backoff {
    /// For a list of `endpoints` addresses; `seed` spreads the jitter of different connections.
    pub fn new(endpoints: usize, seed: u64) -> Backoff {
        Backoff { failures: 0, endpoint: 0, endpoints: endpoints.max(1), random: seed | 1 }
    }

    /// Index of the endpoint for the next attempt.
    pub fn endpoint(&self) -> usize {
        self.endpoint
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The connection ended after `lived_ns` (0: it never opened); `delivered` says whether data came.
    /// Returns how long to wait, nanoseconds.
    pub fn failed(&mut self, lived_ns: i64, delivered: bool) -> i64 {
        if delivered && lived_ns >= HEALTHY_PERIOD.as_nanos() as i64 {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures.is_multiple_of(FAILURES_PER_ENDPOINT) {
            self.endpoint = (self.endpoint + 1) % self.endpoints;
        }
        if self.failures == 1 {
            return 0;
        }
        let doublings = (self.failures - 2).min(20);
        let ceiling = FIRST_DELAY_NS.saturating_mul(1 << doublings).min(LONGEST_DELAY_NS);
        (self.next_random() % (ceiling as u64)) as i64
    }

    /// An attempt succeeded, where an attempt is all there is to it (a request).
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// xorshift64: jitter needs spread, not secrecy.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_at_once_and_delays_stay_below_the_cap() {
        let mut backoff = Backoff::new(1, 7);
        assert_eq!(backoff.failed(0, false), 0);
        let delays: Vec<i64> = (0..1000).map(|_| backoff.failed(0, false)).collect();
        assert!(delays.iter().all(|delay| (0..LONGEST_DELAY_NS).contains(delay)));
        assert!(delays[20..].iter().any(|delay| *delay > LONGEST_DELAY_NS / 2), "the delay grows to its cap");
        assert!(delays[..3].iter().all(|delay| *delay < 2 * SECOND_NS), "the delay starts small");
    }

    #[test]
    fn accept_then_drop_counts_as_failure() {
        let mut backoff = Backoff::new(1, 7);
        for _ in 0..10 {
            backoff.failed(SECOND_NS, true);
        }
        assert_eq!(backoff.failures(), 10);
        assert_eq!(backoff.failed(61 * SECOND_NS, false), backoff_delay_is_not_reset(&mut backoff.clone()));
        assert_eq!(backoff.failed(61 * SECOND_NS, true), 0, "a healthy period clears the count");
        assert_eq!(backoff.failures(), 1);
    }

    fn backoff_delay_is_not_reset(after: &mut Backoff) -> i64 {
        assert_eq!(after.failures(), 11);
        let mut before = Backoff::new(1, 7);
        (0..10).for_each(|_| {
            before.failed(SECOND_NS, true);
        });
        before.failed(0, false)
    }

    #[test]
    fn three_failures_move_to_the_next_endpoint() {
        let mut backoff = Backoff::new(2, 7);
        let mut seen = vec![];
        for _ in 0..8 {
            seen.push(backoff.endpoint());
            backoff.failed(0, false);
        }
        assert_eq!(seen, [0, 0, 0, 1, 1, 1, 0, 0]);
    }
}

//! What the venue knows of a connection: its channels, its heartbeat; and the credits of its requests.

use std::collections::BTreeSet;

use crate::host::TopicId;

/// What can be asked of the heartbeat of a connection at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// A sign of life of the venue.
    Heartbeat,
    /// A sign of life of the client is asked for.
    TestRequest,
    /// It did not come.
    Unanswered,
    /// A connection without channels and heartbeat was silent for too long.
    Idle,
}

/// Seconds after which a silent connection without channels and heartbeat is dropped.
const IDLE_SECONDS: u64 = 60;
/// Seconds for an answer to a test request.
const ANSWER_SECONDS: u64 = 10;

#[derive(Debug, Clone, Copy)]
struct Heartbeat {
    /// Milliseconds between two test requests.
    interval_ms: u64,
    next_beat_ms: u64,
    next_test_ms: u64,
    /// The unanswered test request has to be answered by then.
    deadline_ms: Option<u64>,
}

/// A connection. All its times are in the venue's seconds, of so many milliseconds each.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) topics: BTreeSet<TopicId>,
    pub(super) authenticated: bool,
    second_ms: u64,
    heard_ms: u64,
    heartbeat: Option<Heartbeat>,
}

impl Session {
    pub(super) fn new(second_ms: u64, now_ms: u64) -> Session {
        Session {
            topics: BTreeSet::new(),
            authenticated: false,
            second_ms,
            heard_ms: now_ms,
            heartbeat: None,
        }
    }

    /// The client said something, which answers a test request.
    pub(super) fn heard(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.deadline_ms = None;
        }
    }

    /// A ping of the client: the connection is not idle, but a test request stays unanswered.
    pub(super) fn touched(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
    }

    /// Turns the heartbeat on, in seconds, or off. The first test request comes two seconds late.
    pub(super) fn set_heartbeat(&mut self, interval: Option<u64>, now_ms: u64) {
        self.heartbeat = interval.map(|interval| Heartbeat {
            interval_ms: interval.saturating_mul(self.second_ms),
            next_beat_ms: now_ms.saturating_add(interval.saturating_mul(self.second_ms)),
            next_test_ms: now_ms.saturating_add((interval.saturating_add(2)).saturating_mul(self.second_ms)),
            deadline_ms: None,
        });
    }

    /// What is due. Test requests come with 0.6 seconds more than the interval between them; connections with
    /// channels are shown no other heartbeat.
    pub(super) fn beat(&mut self, now_ms: u64) -> Option<Beat> {
        let Some(heartbeat) = &mut self.heartbeat else {
            let silent = now_ms >= self.heard_ms.saturating_add(IDLE_SECONDS * self.second_ms);
            return (silent && self.topics.is_empty()).then_some(Beat::Idle);
        };
        if heartbeat.deadline_ms.is_some_and(|deadline| now_ms >= deadline) {
            return Some(Beat::Unanswered);
        }
        if now_ms >= heartbeat.next_test_ms {
            let between = heartbeat.interval_ms.saturating_add(self.second_ms * 6 / 10);
            heartbeat.next_test_ms = now_ms.saturating_add(between.max(1));
            heartbeat.deadline_ms.get_or_insert(now_ms.saturating_add(ANSWER_SECONDS * self.second_ms));
            return Some(Beat::TestRequest);
        }
        if now_ms >= heartbeat.next_beat_ms {
            heartbeat.next_beat_ms = now_ms.saturating_add(heartbeat.interval_ms.max(1));
            return self.topics.is_empty().then_some(Beat::Heartbeat);
        }
        None
    }
}

/// A pool of credits that fills up again.
#[derive(Debug, Clone, Copy)]
struct Pool {
    most: u64,
    left: u64,
    filled_ms: u64,
}

/// Credits that come back in a second.
const REFILL: u64 = 10_000;
const MOST: [u64; 3] = [50_000, 30_000, 500_000];
const COST: [u64; 3] = [500, 3000, 10_000];

/// The credits of one client: of ordinary requests, subscriptions and lists of instruments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Credits {
    pools: [Pool; 3],
    second_ms: u64,
}

impl Credits {
    pub(super) fn new(second_ms: u64, now_ms: u64) -> Credits {
        Credits { pools: MOST.map(|most| Pool { most, left: most, filled_ms: now_ms }), second_ms }
    }

    /// Pays for a call; false when there are not enough credits left.
    pub(super) fn pay(&mut self, method: &str, now_ms: u64) -> bool {
        let kind = match method {
            "public/subscribe" | "private/subscribe" => 1,
            "public/get_instruments" => 2,
            _ => 0,
        };
        let pool = &mut self.pools[kind];
        let gained = now_ms.saturating_sub(pool.filled_ms).saturating_mul(REFILL) / self.second_ms;
        if gained > 0 {
            pool.left = pool.left.saturating_add(gained).min(pool.most);
            pool.filled_ms = now_ms;
        }
        let enough = pool.left >= COST[kind];
        if enough {
            pool.left -= COST[kind];
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_ten_subscriptions_then_three_a_second() {
        let mut credits = Credits::new(1000, 0);
        let paid =
            |credits: &mut Credits, now| (0..20).filter(|_| credits.pay("public/subscribe", now)).count();
        assert_eq!(paid(&mut credits, 0), 10);
        assert_eq!(paid(&mut credits, 1000), 3);
        assert_eq!(paid(&mut credits, 60_000), 10);
        assert!(credits.pay("public/test", 60_000), "other requests have their own credits");
    }

    #[test]
    fn an_unanswered_test_request_ends_the_connection() {
        let mut session = Session::new(1000, 0);
        session.set_heartbeat(Some(10), 0);
        assert_eq!(session.beat(9_999), None);
        assert_eq!(session.beat(10_000), Some(Beat::Heartbeat));
        assert_eq!(session.beat(12_000), Some(Beat::TestRequest));
        session.heard(12_100);
        assert_eq!(session.beat(22_599), Some(Beat::Heartbeat));
        assert_eq!(session.beat(22_600), Some(Beat::TestRequest));
        session.touched(22_700);
        assert_eq!(session.beat(32_600), Some(Beat::Unanswered), "a ping is no answer");
    }

    #[test]
    fn only_a_connection_without_channels_is_idle() {
        let mut session = Session::new(1000, 0);
        assert_eq!(session.beat(59_999), None);
        assert_eq!(session.beat(60_000), Some(Beat::Idle));
        session.topics.insert(1);
        assert_eq!(session.beat(60_000), None);
    }
}

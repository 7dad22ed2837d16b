//! Keeps a venue's limits across all connections of one source address.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use marketprism_core::venue::Allowance;

/// At most `most` units in any window of `window_ns`.
#[derive(Clone, Debug)]
pub struct Governor {
    most: u32,
    window_ns: i64,
    spent: VecDeque<(i64, u32)>,
    in_window: u32,
    closed_until_ns: i64,
}

impl Governor {
    /// A governor that admits `most` units in any `window_ns`.
    pub fn new(most: u32, window_ns: i64) -> Governor {
        Governor {
            most: most.max(1),
            window_ns,
            spent: VecDeque::new(),
            in_window: 0,
            closed_until_ns: i64::MIN,
        }
    }

    /// Spends `units` (more than the whole budget counts as the whole budget), or says when to ask again.
    pub fn admit(&mut self, now_ns: i64, units: u32) -> Result<(), i64> {
        let units = units.min(self.most);
        while let Some((at, spent)) = self.spent.front().copied() {
            if now_ns - at < self.window_ns {
                break;
            }
            self.spent.pop_front();
            self.in_window -= spent;
        }
        if now_ns < self.closed_until_ns {
            return Err(self.closed_until_ns);
        }
        if self.in_window + units <= self.most {
            self.in_window += units;
            self.spent.push_back((now_ns, units));
            return Ok(());
        }
        let mut free = self.most - self.in_window;
        for (at, spent) in &self.spent {
            free += spent;
            if free >= units {
                return Err(at + self.window_ns);
            }
        }
        Err(now_ns + self.window_ns)
    }

    /// Admits nothing before `until_ns`: the venue said so (429, 418).
    pub fn close_until(&mut self, until_ns: i64) {
        self.closed_until_ns = self.closed_until_ns.max(until_ns);
    }

    /// The venue counts `used` units in its own window; others may share the address.
    pub fn observe_used(&mut self, now_ns: i64, used: u32) {
        if let Some(more) = used.min(self.most).checked_sub(self.in_window).filter(|more| *more > 0) {
            self.in_window += more;
            self.spent.push_back((now_ns, more));
        }
    }
}

/// The governors of all addresses: markets that share an address share its limit.
#[derive(Debug, Default)]
pub struct Governors {
    by_address: HashMap<(String, &'static str), Arc<Mutex<Governor>>>,
}

impl Governors {
    /// The governor of what is done (`what`) at an address.
    pub fn of(&mut self, address: &str, what: &'static str, limit: Allowance) -> Arc<Mutex<Governor>> {
        let window_ns = i64::try_from(limit.window.as_nanos()).unwrap_or(i64::MAX);
        let new = || Arc::new(Mutex::new(Governor::new(limit.most, window_ns)));
        Arc::clone(self.by_address.entry((address.to_owned(), what)).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_closed_governor_opens_again() {
        let mut governor = Governor::new(10, 1000);
        governor.close_until(500);
        assert_eq!(governor.admit(1, 1), Err(500));
        assert_eq!(governor.admit(500, 1), Ok(()));
    }

    #[test]
    fn what_others_spent_counts() {
        let mut governor = Governor::new(10, 1000);
        governor.observe_used(0, 8);
        assert_eq!(governor.admit(1, 3), Err(1000));
        assert_eq!(governor.admit(1, 2), Ok(()));
        assert_eq!(governor.admit(1001, 3), Ok(()));
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_limit(asks in proptest::collection::vec((0i64..50, 1u32..6), 1..200)) {
            let mut governor = Governor::new(10, 100);
            let (mut now, mut admitted) = (0, vec![]);
            for (wait, units) in asks {
                now += wait;
                match governor.admit(now, units) {
                    Ok(()) => admitted.push((now, units)),
                    Err(later) => prop_assert!(later > now),
                }
            }
            for (start, _) in &admitted {
                let sum: u32 = admitted.iter().filter(|(at, _)| *at >= *start && *at < start + 100).map(|(_, u)| u).sum();
                prop_assert!(sum <= 10);
            }
        }
    }
}

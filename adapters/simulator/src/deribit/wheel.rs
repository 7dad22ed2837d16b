//! Topics that wait for their grid, by the millisecond in which they are due.

use crate::host::TopicId;

/// More milliseconds than the longest grid has.
const SLOTS: u64 = 1024;

/// A timing wheel: work only for what is due.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<TopicId>>,
    /// Everything due until then was taken.
    now_ms: u64,
}

impl Wheel {
    pub(super) fn new(now_ms: u64) -> Wheel {
        Wheel { slots: vec![Vec::new(); SLOTS as usize], now_ms }
    }

    /// Puts a topic on the next point of its own grid; topics are spread over the grid.
    pub(super) fn schedule(&mut self, topic: TopicId, grid_ms: u64, now_ms: u64) {
        let now_ms = self.now_ms.max(now_ms);
        let phase = u64::from(topic) % grid_ms;
        let since = (now_ms + grid_ms - phase) % grid_ms;
        self.slots[((now_ms + grid_ms - since) % SLOTS) as usize].push(topic);
    }

    /// Takes what is due, earliest first.
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<TopicId> {
        let from = self.now_ms.max(now_ms.saturating_sub(SLOTS));
        let mut due = Vec::new();
        for at in from..now_ms {
            due.append(&mut self.slots[((at + 1) % SLOTS) as usize]);
        }
        self.now_ms = self.now_ms.max(now_ms);
        due
    }

    /// Takes everything.
    pub(super) fn all(&mut self) -> Vec<TopicId> {
        self.slots.iter_mut().flat_map(std::mem::take).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A topic is due once, at the next point of its grid.
        #[test]
        fn topics_come_once_and_in_time(topic in 0_u32..5000, grid in prop::sample::select(vec![100_u64, 1000]),
            start in 0_u64..100_000, step in 1_u64..50
        ) {
            let mut wheel = Wheel::new(start);
            wheel.schedule(topic, grid, start);
            let mut came = Vec::new();
            let mut now = start;
            while now < start + 2 * grid {
                now += step;
                came.extend(wheel.due(now).into_iter().map(|due| (due, now)));
            }
            let on_grid = (start + 1..).find(|at| at % grid == u64::from(topic) % grid).expect("exists");
            prop_assert_eq!(came.len(), 1);
            prop_assert_eq!(came[0].0, topic);
            prop_assert!(came[0].1 >= on_grid && came[0].1 < on_grid + step);
        }
    }
}

//! Continuity of a stream whose ids count up by one: trades and aggregated trades. A record may cover several ids; it is one
//! too many only where none of them is new.

use marketprism_core::record::{Gap, GapReason, Header, flag};

use super::{Finding, Place};

/// The range of ids that a gap record reports. An unknown end is the largest number; no ids at all is everything.
pub(crate) fn reported(gap: &Gap) -> (u64, u64) {
    match (gap.from_id, gap.to_id) {
        (0, 0) => (0, u64::MAX),
        (from, 0) => (from, u64::MAX),
        (from, to) => (from, to),
    }
}

/// The parts of `from..=to` that no range covers.
pub(crate) fn uncovered(from: u64, to: u64, ranges: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_unstable();
    let mut left = Vec::new();
    let mut next = Some(from);
    for (start, end) in ranges {
        let Some(at) = next.filter(|at| *at <= to) else { break };
        if end < at {
            continue;
        }
        if start > at {
            left.push((at, to.min(start - 1)));
        }
        next = end.checked_add(1);
    }
    if let Some(at) = next.filter(|at| *at <= to) {
        left.push((at, to));
    }
    left
}

/// What is wrong with a hole that is not reported, or only in part.
pub(crate) fn unreported((from, to): (u64, u64)) -> String {
    format!("unreported hole: ids {from} to {to} are missing ({} ids)", (to - from).saturating_add(1))
}

/// What is wrong with a gap record without a hole.
pub(crate) fn without_hole(gap: &Gap) -> String {
    format!("reported hole that does not exist: ids {} to {} are not missing", gap.from_id, gap.to_id)
}

/// Follows the ids of one stream.
#[derive(Default)]
pub(crate) struct IdChain {
    first: Option<u64>,
    last: Option<u64>,
    /// Missing ids up to `last`, reported or not.
    holes: Vec<(u64, u64)>,
    /// Gap records since the last record.
    pending: Vec<Gap>,
}

impl IdChain {
    /// Takes a gap record. Gives whether it reports a hole that was not reported before.
    pub(crate) fn gap(&mut self, gap: &Gap) -> bool {
        let (from, to) = reported(gap);
        let known = gap.repaired != 0 && self.last.is_some_and(|last| from <= last && to <= last);
        if !known {
            self.pending.push(*gap);
        }
        !known
    }

    /// Takes a record that covers the ids `first_id` to `header.sequence`.
    pub(crate) fn record(&mut self, header: &Header, first_id: u64, place: &Place, found: &mut Vec<Finding>) {
        let id = header.sequence;
        if id == 0 {
            return;
        }
        let Some(last) = self.last else {
            // It fills a hole in what is kept no longer; the stream goes on elsewhere.
            if header.flags & flag::BACKFILLED != 0 {
                return;
            }
            (self.first, self.last) = (Some(first_id), Some(id));
            self.pending.clear();
            return;
        };
        if id <= last {
            return self.record_before_last(header, first_id, last, place, found);
        }
        if first_id <= last {
            self.fill(first_id, last);
        }
        let hole = (first_id > last + 1).then(|| (last + 1, first_id - 1));
        if let Some((from, to)) = hole {
            let left = uncovered(from, to, self.pending.iter().map(reported));
            found.extend(left.into_iter().map(|hole| (place.clone(), unreported(hole))));
            self.holes.push((from, to));
        }
        for gap in self.pending.drain(..) {
            let (from, to) = reported(&gap);
            let exists = hole.is_some_and(|hole| from <= hole.1 && to >= hole.0);
            if !exists && gap.reason == GapReason::Sequence as u8 {
                found.push((place.clone(), without_hole(&gap)));
            }
        }
        self.last = Some(id);
    }

    /// A record that does not lead on: it fills a hole, comes from before the first, follows a reset, or brings nothing new.
    fn record_before_last(
        &mut self,
        header: &Header,
        first_id: u64,
        last: u64,
        place: &Place,
        found: &mut Vec<Finding>,
    ) {
        let mut report = |what| found.push((place.clone(), what));
        let id = header.sequence;
        if self.fill(first_id, id) {
            return;
        }
        if self.pending.iter().any(|gap| gap.reason == GapReason::Reset as u8) {
            *self = IdChain { first: Some(first_id), last: Some(id), ..IdChain::default() };
            return;
        }
        let before_first = self.first.is_some_and(|first| first_id < first);
        match (before_first, header.flags & flag::BACKFILLED != 0) {
            // History fetched for the time before the stream began.
            (true, true) => {}
            (true, false) => report(format!("id {id} after id {last}: ids go back without a reset")),
            (false, _) => report(format!("duplicate id {id}")),
        }
    }

    /// Takes the ids `first..=last` out of the holes. Gives whether any was in one.
    fn fill(&mut self, first: u64, last: u64) -> bool {
        let mut filled = false;
        let mut index = 0;
        while let Some((from, to)) = self.holes.get(index).copied() {
            if to < first || last < from {
                index += 1;
                continue;
            }
            filled = true;
            self.holes.swap_remove(index);
            if from < first {
                self.holes.push((from, first - 1));
            }
            if last < to {
                self.holes.push((last + 1, to));
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Ranges = &'static [(u64, u64)];

    #[test]
    fn uncovered_parts() {
        let cases: [(Ranges, Ranges); 7] = [
            (&[], &[(5, 9)]),
            (&[(5, 9)], &[]),
            (&[(0, u64::MAX)], &[]),
            (&[(6, 7)], &[(5, 5), (8, 9)]),
            (&[(8, 20), (1, 5)], &[(6, 7)]),
            (&[(1, 2), (10, 12)], &[(5, 9)]),
            (&[(5, 7), (6, 6), (8, 9)], &[]),
        ];
        for (ranges, left) in cases {
            assert_eq!(uncovered(5, 9, ranges.iter().copied()), left, "{ranges:?}");
        }
        assert_eq!(uncovered(1, u64::MAX, [(1, u64::MAX)].into_iter()), []);
    }
}

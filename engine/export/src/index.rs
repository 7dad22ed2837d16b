//! Where in a log its days lie, told by the indexes of the segments, without a look at the records.

use std::collections::BTreeSet;

use marketprism_log::format::BatchKind;
use marketprism_log::{LogError, LogReader, Segment};

use crate::date::Day;

/// Receive times of a log are out of order by less than this, nanoseconds: a recorder holds the deltas of a book that
/// waits for its snapshot for a second, and its threads lag behind each other by milliseconds.
const ORDER_WINDOW_NS: i64 = 2_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Batch {
    first_sequence: u64,
    end_sequence: u64,
    first_ns: i64,
    last_ns: i64,
}

/// The batches of a log.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// In capture order.
    batches: Vec<Batch>,
    /// By earliest receive time: that time, and the capture sequence after the last batch that begins no later.
    ends: Vec<(i64, u64)>,
    /// When the latest batch begins.
    latest_ns: Option<i64>,
}

impl Index {
    /// Reads the footers of sealed segments and the batch headers of the others.
    pub(crate) fn read(reader: &LogReader) -> Result<Index, LogError> {
        let mut batches = Vec::new();
        for path in reader.segments() {
            match Segment::map(&path) {
                Ok(segment) => read_segment(&segment, &mut batches),
                // Removed by retention since the log was opened.
                Err(LogError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Index::new(batches))
    }

    fn new(batches: Vec<Batch>) -> Index {
        let mut ends: Vec<_> = batches.iter().map(|batch| (batch.first_ns, batch.end_sequence)).collect();
        ends.sort_unstable();
        let mut highest = 0;
        for (_, end) in &mut ends {
            highest = highest.max(*end);
            *end = highest;
        }
        Index { latest_ns: ends.last().map(|(first_ns, _)| *first_ns), ends, batches }
    }

    /// The capture sequence after the last record.
    pub(crate) fn end_sequence(&self) -> u64 {
        self.ends.last().map_or(0, |(_, end)| *end)
    }

    /// The capture sequence from which on no record of a day comes.
    pub(crate) fn end_of(&self, day: Day) -> u64 {
        let later = self.ends.partition_point(|(first_ns, _)| *first_ns < day.end_ns());
        later.checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |(_, end)| *end)
    }

    /// Whether a log that grows can get no more records of the time before this one: a whole batch came later.
    pub(crate) fn is_past(&self, end_ns: i64) -> bool {
        self.latest_ns.is_some_and(|latest| latest >= end_ns.saturating_add(ORDER_WINDOW_NS))
    }

    /// The first batch with records of `from_ns..end_ns` on a day that is not among the finished ones: its capture
    /// sequence and that day.
    pub(crate) fn start(&self, from_ns: i64, end_ns: i64, finished: &BTreeSet<Day>) -> Option<(u64, Day)> {
        self.batches.iter().filter(|batch| batch.first_ns < end_ns && batch.last_ns >= from_ns).find_map(
            |batch| {
                let first = Day::of(batch.first_ns.max(from_ns));
                let last = Day::of(batch.last_ns.min(end_ns.saturating_sub(1)));
                let days = [first, last];
                let open = days.into_iter().find(|day| !finished.contains(day));
                // But where a clock jumped, a batch is of one day or of two that follow each other.
                let day = open.or_else(|| (last.start_ns() > first.end_ns()).then_some(first))?;
                Some((batch.first_sequence, day))
            },
        )
    }

    /// The capture sequence of the first batch that reaches a time.
    pub(crate) fn reaches(&self, from_ns: i64) -> Option<u64> {
        self.batches.iter().find(|batch| batch.last_ns >= from_ns).map(|batch| batch.first_sequence)
    }
}

fn read_segment(segment: &Segment, batches: &mut Vec<Batch>) {
    match segment.footer() {
        Some(Ok(footer)) => batches.extend(footer.entries.iter().map(|entry| Batch {
            first_sequence: entry.first_sequence,
            end_sequence: entry.first_sequence.saturating_add(u64::from(entry.records)),
            first_ns: entry.first_receive_ns,
            last_ns: entry.last_receive_ns,
        })),
        // Written at this moment, or damaged: then reading it says so.
        _ => {
            let mut found = segment.batches_unchecked();
            while let Some(batch) = found.next_batch() {
                let Ok(batch) = batch else { continue };
                if batch.kind() == BatchKind::Data {
                    let header = batch.header();
                    batches.push(Batch {
                        first_sequence: header.first_sequence,
                        end_sequence: header.end_sequence(),
                        first_ns: header.first_receive_ns,
                        last_ns: header.last_receive_ns,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::date::NS_PER_DAY;

    fn batch(first_sequence: u64, end_sequence: u64, first_ns: i64, last_ns: i64) -> Batch {
        Batch { first_sequence, end_sequence, first_ns, last_ns }
    }

    #[test]
    fn a_day_ends_with_the_last_batch_that_can_hold_it() {
        let day = NS_PER_DAY;
        let index = Index::new(vec![
            batch(0, 10, 5, day - 5),
            batch(10, 20, day - 9, day + 3),
            batch(20, 30, day - 2, day + 8),
            batch(30, 40, day + 9, day + 20),
        ]);
        assert_eq!(index.end_of(Day::of(0)), 30);
        assert_eq!((index.end_of(Day::of(day)), index.end_sequence()), (40, 40));
        assert!(index.is_past(day + 9 - ORDER_WINDOW_NS) && !index.is_past(day));
        assert_eq!(index.reaches(day), Some(10));
    }

    #[test]
    fn reading_starts_at_the_first_day_that_is_not_finished() {
        let day = NS_PER_DAY;
        let index = Index::new(vec![
            batch(0, 10, 5, day - 5),
            batch(10, 20, day - 9, day + 3),
            batch(20, 30, day + 9, 2 * day + 1),
        ]);
        let finished = |days: &[i64]| days.iter().map(|ns| Day::of(*ns)).collect::<BTreeSet<_>>();
        let start = |from_ns, end_ns, days: &[i64]| index.start(from_ns, end_ns, &finished(days));
        let all = |days: &[i64]| start(i64::MIN, i64::MAX, days);
        assert_eq!(all(&[]), Some((0, Day::of(0))));
        assert_eq!(all(&[0]), Some((10, Day::of(day))));
        assert_eq!(all(&[0, day]), Some((20, Day::of(2 * day))));
        assert_eq!(all(&[0, day, 2 * day]), None);
        assert_eq!(start(day + 5, i64::MAX, &[]), Some((20, Day::of(day))));
        assert_eq!(start(i64::MIN, day + 9, &[0, day]), None);
    }
}

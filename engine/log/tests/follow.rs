//! A log followed while it is written, rotated, compressed, cut, removed and reopened.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use marketprism_log::*;
use proptest::prelude::*;

/// Ids of trades that were handed out, and what was wrong.
#[derive(Default)]
struct Delivered {
    ids: Vec<u64>,
    problems: Vec<String>,
}

impl Delivered {
    /// One turn, in which at most so many records are taken.
    fn turn(&mut self, tail: &mut Tail, most: usize) -> bool {
        let end = self.ids.len().saturating_add(most);
        let turn = tail.read(|sequence, record, registry| {
            let header = record.header();
            assert_eq!(header.sequence, sequence + 1, "trade ids are sequences plus one");
            assert!(registry.get(header.instrument).is_some());
            self.ids.push(header.sequence);
            if self.ids.len() == end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let turn = turn.unwrap();
        self.problems.extend(turn.problems.into_iter().map(|problem| problem.what));
        turn.is_at_end
    }

    /// Turns until nothing more is there.
    fn all(&mut self, tail: &mut Tail) {
        while !self.turn(tail, usize::MAX) {}
    }
}

/// Appends trades whose ids are their capture sequences plus one.
fn append(appender: &mut Appender, count: u64) {
    let first = appender.next_sequence() + 1;
    appender.append(&mut trades(first, first + count)).unwrap();
}

/// Removes the oldest segment, where that one has been delivered and two others are left.
fn remove_delivered(directory: &Path, next_sequence: u64) {
    let paths = segments(directory);
    let end = paths.get(1).map(|path| Segment::map(path).unwrap().header().unwrap().first_sequence);
    if paths.len() > 2 && end.is_some_and(|end| end <= next_sequence) {
        fs::remove_file(&paths[0]).unwrap();
    }
}

/// Leaves half a batch at the end, as a recorder that is killed.
fn tear(directory: &Path) {
    let newest = segments(directory).pop().unwrap();
    if Segment::map(&newest).unwrap().is_sealed() {
        return;
    }
    let mut file = OpenOptions::new().append(true).open(newest).unwrap();
    file.write_all(&[0x5a; 100]).unwrap();
}

/// What happens to a log.
#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    Rotate,
    Compress(prop::sample::Index),
    Remove,
    Restart,
    Crash,
    Turn(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..50u64).prop_map(Step::Append),
        2 => Just(Step::Rotate),
        2 => any::<prop::sample::Index>().prop_map(Step::Compress),
        1 => Just(Step::Remove),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        4 => (1..80usize).prop_map(Step::Turn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_record_is_handed_out_once_and_in_order(steps in prop::collection::vec(step(), 1..60)) {
        let directory = temporary();
        let mut appender = Some(appender(directory.path()));
        let mut tail = Tail::new(directory.path(), 0);
        let mut delivered = Delivered::default();
        for step in steps {
            let log = appender.as_mut().unwrap();
            match step {
                Step::Append(count) => append(log, count),
                Step::Rotate => log.rotate().unwrap(),
                Step::Compress(index) => {
                    let paths = segments(directory.path());
                    if paths.len() > 1 {
                        compact(&paths[index.index(paths.len() - 1)], || true).unwrap();
                    }
                }
                Step::Remove => remove_delivered(directory.path(), tail.next_sequence()),
                Step::Turn(most) => {
                    delivered.turn(&mut tail, most);
                }
                Step::Restart | Step::Crash => {
                    drop(appender.take());
                    if matches!(step, Step::Crash) && !segments(directory.path()).is_empty() {
                        tear(directory.path());
                        delivered.turn(&mut tail, usize::MAX);
                    }
                    let (mut log, _) = Appender::open(directory.path(), options()).unwrap();
                    define(&mut log);
                    appender = Some(log);
                }
            }
        }
        delivered.all(&mut tail);
        let end = appender.unwrap().next_sequence();
        prop_assert_eq!(delivered.problems, Vec::<String>::new());
        prop_assert_eq!(delivered.ids, (1..=end).collect::<Vec<_>>());
        prop_assert_eq!(tail.next_sequence(), end);
    }
}

#[test]
fn a_log_is_followed_while_another_thread_writes_it() {
    let directory = temporary();
    let options = LogOptions { segment_bytes: 20_000, ..options() };
    let (mut appender, _) = Appender::open(directory.path(), options).unwrap();
    define(&mut appender);
    let is_written = AtomicBool::new(false);
    let mut delivered = Delivered::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2000 {
                append(&mut appender, 10);
                if let [oldest, _, _, ..] = segments(directory.path()).as_slice() {
                    compact(oldest, || true).unwrap();
                }
            }
            is_written.store(true, Ordering::Release);
        });
        let mut tail = Tail::new(directory.path(), 0);
        while !is_written.load(Ordering::Acquire) {
            delivered.turn(&mut tail, usize::MAX);
        }
        delivered.all(&mut tail);
    });
    assert_eq!(delivered.problems, Vec::<String>::new());
    assert_eq!(delivered.ids, (1..=20_000).collect::<Vec<_>>());
}

#[test]
fn a_batch_that_is_not_whole_is_waited_for() {
    let directory = temporary();
    let mut appender = appender(directory.path());
    append(&mut appender, 5);
    append(&mut appender, 7);
    drop(appender);
    let path = &segments(directory.path())[0];
    let (bytes, second) = (fs::read(path).unwrap(), offsets(path)[2] as usize);
    let mut tail = Tail::new(directory.path(), 0);
    let mut delivered = Delivered::default();
    let middle = second + (bytes.len() - second) / 2;
    for (length, expected) in [(0, 0), (70, 0), (second + 10, 5), (middle, 5), (bytes.len(), 12)] {
        fs::write(path, &bytes[..length]).unwrap();
        assert!(delivered.turn(&mut tail, usize::MAX));
        assert_eq!(delivered.ids.len(), expected, "with {length} bytes");
    }
    assert_eq!(delivered.problems, Vec::<String>::new());
}

#[test]
fn following_begins_anywhere() {
    let directory = temporary();
    let mut appender = appender(directory.path());
    for _ in 0..3 {
        append(&mut appender, 10);
        append(&mut appender, 10);
        appender.rotate().unwrap();
    }
    for from in [0, 3, 19, 20, 21, 59, 60] {
        let mut delivered = Delivered::default();
        delivered.all(&mut Tail::new(directory.path(), from));
        assert_eq!(delivered.ids, (from + 1..=60).collect::<Vec<_>>());
        assert_eq!(delivered.problems, Vec::<String>::new());
    }
}

#[test]
fn what_was_removed_or_damaged_before_it_was_read_is_said() {
    let directory = temporary();
    let mut appender = appender(directory.path());
    for _ in 0..4 {
        append(&mut appender, 10);
        append(&mut appender, 10);
        appender.rotate().unwrap();
    }
    let paths = segments(directory.path());
    // The second batch of the second segment.
    let at = offsets(&paths[1])[2] as usize + 100;
    let mut bytes = fs::read(&paths[1]).unwrap();
    bytes[at] ^= 1;
    fs::write(&paths[1], bytes).unwrap();
    fs::remove_file(&paths[0]).unwrap();
    fs::remove_file(&paths[2]).unwrap();
    let mut delivered = Delivered::default();
    delivered.all(&mut Tail::new(directory.path(), 5));
    assert_eq!(delivered.ids, (21..=30).chain(61..=80).collect::<Vec<_>>());
    assert_eq!(
        delivered.problems,
        [
            "capture sequences 5 to 19 were removed before they were read: 15 records",
            "batch of 10 records from sequence 30 is damaged: wrong checksum",
            "capture sequences 30 to 59 are missing: 30 records",
        ]
    );
}

#[test]
fn a_log_that_is_not_there_yet_is_waited_for() {
    let directory = temporary();
    let mut tail = Tail::new(directory.path(), 0);
    let mut delivered = Delivered::default();
    assert!(delivered.turn(&mut tail, usize::MAX));
    append(&mut appender(directory.path()), 3);
    delivered.all(&mut tail);
    assert_eq!(delivered.ids, [1, 2, 3]);
}

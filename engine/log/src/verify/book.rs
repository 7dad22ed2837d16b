//! Continuity of a book's deltas.
//!
//! The rule is told by the data. A delta that names the one before it (`previous_id`) must name the last one; any other must begin
//! at the last id plus one. Deltas flagged as recorded while the book was not valid are exempt among themselves, but the step from
//! valid to not valid needs a reason: a gap record, or ids that go on.

use marketprism_core::record::{ABSENT, Book, Gap, GapReason, flag};

use super::chain::{reported, uncovered, unreported, without_hole};
use super::{Finding, Place};

/// Deltas that follow each other without a hole.
#[derive(Clone, Copy)]
struct Run {
    /// First update id covered.
    first_id: u64,
    /// The id that the first delta names as its predecessor.
    previous_id: Option<u64>,
    last_id: u64,
}

/// How a delta relates to what came before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing came before.
    First,
    /// It goes on where the last one ended.
    Continues,
    /// It lies behind the last one's end; the missing ids, where they can be named.
    Hole(Option<(u64, u64)>),
    /// Its ids are not new.
    Back,
}

/// Follows the deltas of one book.
#[derive(Default)]
pub(crate) struct BookChain {
    run: Option<Run>,
    /// Id of a snapshot that no delta has bridged yet.
    snapshot: Option<u64>,
    /// Whether the last delta was recorded while the book was valid.
    was_valid: bool,
    /// Gap records since the last delta.
    pending: Vec<Gap>,
    /// A break at the last delta that waits for its gap record, which may follow the delta that showed it.
    open: Option<Break>,
}

struct Break {
    hole: Option<(u64, u64)>,
    findings: Vec<Finding>,
}

impl BookChain {
    /// Takes a snapshot record. Only a REST snapshot re-starts the chain; a stream of partial books does not.
    pub(crate) fn snapshot(&mut self, book: &Book) {
        let wanted = flag::SNAPSHOT | flag::REST;
        if book.header.flags & wanted != wanted {
            return;
        }
        let id = book.header.sequence;
        self.snapshot = match self.run {
            Some(run) if run.bridges(id) => None,
            _ => Some(id),
        };
    }

    /// Takes a gap record. Gives whether it reports a hole that was not reported before.
    pub(crate) fn gap(&mut self, gap: &Gap, found: &mut Vec<Finding>) -> bool {
        if let Some(open) = self.open.take() {
            let (from, to) = reported(gap);
            if open.hole.is_none_or(|hole| from <= hole.0 && to >= hole.1) {
                return true;
            }
            found.extend(open.findings);
        }
        let last = self.run.map(|run| run.last_id);
        let (from, to) = reported(gap);
        let known = gap.repaired != 0 && last.is_some_and(|last| from <= last && to <= last);
        if !known {
            self.pending.push(*gap);
        }
        !known
    }

    /// Takes a delta.
    pub(crate) fn delta(&mut self, book: &Book, place: &Place, found: &mut Vec<Finding>) {
        self.end(found);
        let is_valid = book.header.flags & flag::BOOK_INVALID == 0;
        let step = self.step(book);
        let bridges = self.snapshot.is_some_and(|id| Run::of(book).bridges(id));
        match step {
            Step::First | Step::Continues => self.check_pending(book, step, place, found),
            Step::Hole(hole) => self.check_hole(hole, is_valid, bridges, place),
            Step::Back => self.check_back(book, is_valid && !bridges, place, found),
        }
        self.pending.clear();
        self.run = Some(match (self.run, step) {
            (Some(run), Step::Continues) => Run { last_id: book.header.sequence, ..run },
            _ => Run::of(book),
        });
        // The snapshot may lie before the first delta of this run, or be older: then the run as a whole bridges it.
        if bridges || self.run.is_some_and(|run| self.snapshot.is_some_and(|id| run.bridges(id))) {
            self.snapshot = None;
        }
        self.was_valid = is_valid;
    }

    /// The log ends, or another delta comes: a break that still waits is an unreported one.
    pub(crate) fn end(&mut self, found: &mut Vec<Finding>) {
        found.extend(self.open.take().into_iter().flat_map(|open| open.findings));
    }

    fn step(&self, book: &Book) -> Step {
        let Some(run) = self.run else { return Step::First };
        let last = run.last_id;
        let continues = match previous_id(book) {
            Some(previous) => previous == last,
            None => last.checked_add(1) == Some(book.first_id),
        };
        if continues {
            return Step::Continues;
        }
        if book.header.sequence <= last {
            return Step::Back;
        }
        let end = match previous_id(book) {
            Some(previous) => previous,
            None => book.first_id.saturating_sub(1),
        };
        Step::Hole((end > last).then_some((last + 1, end)))
    }

    /// No hole: a gap record that claims one is wrong, unless ids cannot tell.
    fn check_pending(&self, book: &Book, step: Step, place: &Place, found: &mut Vec<Finding>) {
        let lost = |gap: &&Gap| gap.reason == GapReason::Sequence as u8 && gap.repaired == 0;
        if step == Step::Continues && book.header.sequence != 0 {
            let wrong = self.pending.iter().filter(lost);
            found.extend(wrong.map(|gap| (place.clone(), without_hole(gap))));
        }
    }

    fn check_hole(&mut self, hole: Option<(u64, u64)>, is_valid: bool, bridges: bool, place: &Place) {
        // Among deltas of a book that is not valid there is no chain; the first valid one starts anew at a snapshot.
        if !self.was_valid && (!is_valid || bridges) {
            return;
        }
        let last = self.run.map_or(0, |run| run.last_id);
        let text: Vec<String> = match hole {
            Some((from, to)) => {
                let left = uncovered(from, to, self.pending.iter().map(reported));
                left.into_iter().map(unreported).collect()
            }
            None if self.pending.is_empty() => {
                vec![format!("unreported hole: the delta after id {last} does not go on from it")]
            }
            None => Vec::new(),
        };
        if !text.is_empty() {
            let findings = text.into_iter().map(|what| (place.clone(), what)).collect();
            self.open = Some(Break { hole, findings });
        }
    }

    fn check_back(&self, book: &Book, must_be_new: bool, place: &Place, found: &mut Vec<Finding>) {
        let reset = self.pending.iter().any(|gap| gap.reason == GapReason::Reset as u8);
        if must_be_new && !reset && book.header.sequence != 0 {
            let (first, last) = (book.first_id, book.header.sequence);
            let what = format!("duplicate id {last}: the update {first} to {last} is not new");
            found.push((place.clone(), what));
        }
    }
}

impl Run {
    fn of(book: &Book) -> Run {
        Run { first_id: book.first_id, previous_id: previous_id(book), last_id: book.header.sequence }
    }

    /// Whether a snapshot with this id is bridged: the deltas reach back to it, and on from it.
    fn bridges(&self, id: u64) -> bool {
        match self.previous_id {
            Some(previous) => previous == id || (self.first_id <= id && id <= self.last_id),
            None => self.first_id <= id.saturating_add(1) && id <= self.last_id,
        }
    }
}

fn previous_id(book: &Book) -> Option<u64> {
    (book.previous_id != ABSENT).then_some(book.previous_id).and_then(|id| u64::try_from(id).ok())
}

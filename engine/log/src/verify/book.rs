//! Continuity of a book's deltas.
//!
//! Which rule holds is told by the data, see [`Link`]. Deltas flagged as recorded while the book was not valid are exempt
//! among themselves, but the step from valid to not valid needs a reason: a gap record, or ids that go on. A hole is
//! mended by a snapshot alone: until one has come, no delta may be called valid, whether the hole is reported or not.
//!
//! A snapshot of the stream itself re-starts the chain. One from REST has to be bridged by deltas.

use marketprism_core::record::{Book, Gap, GapReason, flag};

use super::chain::{reported, uncovered, unreported, without_hole};
use super::link::{Link, is_rest, is_start};
use super::{Finding, Place};

/// Deltas that follow each other without a hole.
#[derive(Clone, Copy)]
struct Run {
    /// How the first delta joins what came before it; a snapshot of the stream joins nothing.
    link: Link,
    last_id: u64,
}

/// How a delta relates to what came before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing came before.
    First,
    /// It has no ids that could tell.
    Unprovable,
    /// It goes on where the last one ended.
    Continues,
    /// It goes on from the flagged snapshot.
    Restarts,
    /// It lies behind the last one's end; the missing ids, where they can be named.
    Hole(Option<(u64, u64)>),
    /// Its ids are not new.
    Back,
}

/// Follows the deltas of one book.
#[derive(Default)]
pub(crate) struct BookChain {
    run: Option<Run>,
    /// Id of a REST snapshot that no delta has bridged yet.
    snapshot: Option<u64>,
    /// Id of the newest snapshot of the stream where it is flagged as not valid: it was not taken, or it was and the book is
    /// crossed. The next delta tells.
    flagged: Option<u64>,
    /// Whether a hole after the last record needs a reason.
    proven: bool,
    /// Whether a hole was seen or reported, and no snapshot has mended it.
    broken: bool,
    /// Deltas without ids.
    unprovable: u64,
    /// Gap records since the last delta.
    pending: Vec<Gap>,
    /// A break at the last record that waits for its gap record, which may follow the record that showed it.
    open: Option<Break>,
}

struct Break {
    /// The id before it.
    after: u64,
    /// The missing ids, where they can be named.
    hole: Option<(u64, u64)>,
    findings: Vec<Finding>,
    /// What is wrong even where the gap record comes.
    anyway: Option<Finding>,
}

impl Break {
    /// Whether a gap record that follows is about it.
    fn is_told_by(&self, gap: &Gap) -> bool {
        let (from, to) = reported(gap);
        match self.hole {
            Some(hole) if to != u64::MAX => from <= hole.0 && to >= hole.1,
            // Without an end only the start tells: ids may have fallen since.
            _ => from == 0 || from == self.after.saturating_add(1),
        }
    }
}

impl BookChain {
    /// Deltas that have no ids, so that nothing proves that none is missing between them.
    pub(crate) fn unprovable(&self) -> u64 {
        self.unprovable
    }

    /// Takes a snapshot record. One that is derived or partial starts no book.
    pub(crate) fn snapshot(&mut self, book: &Book, place: &Place, found: &mut Vec<Finding>) {
        let id = book.header.sequence;
        if !is_start(book) {
            return;
        }
        if is_rest(book) {
            let bridged = self.pending.is_empty() && self.run.is_some_and(|run| run.bridges(id));
            self.broken &= !bridged;
            self.snapshot = (!bridged).then_some(id);
        } else if book.header.flags & flag::BOOK_INVALID != 0 {
            self.flagged = Some(id);
        } else {
            self.restart(id, place, found);
        }
    }

    /// A snapshot of the stream: the book is known again, but what lies between the last delta and it was not received.
    fn restart(&mut self, id: u64, place: &Place, found: &mut Vec<Finding>) {
        self.end(found);
        if let Some(last) = self.run.map(|run| run.last_id).filter(|last| id != 0 && *last != id)
            && self.proven
        {
            self.check_missing((id > last).then_some((last + 1, id)), "snapshot", place);
        }
        *self = BookChain {
            run: (id != 0).then_some(Run { link: Link::None, last_id: id }),
            proven: true,
            unprovable: self.unprovable,
            open: self.open.take(),
            ..BookChain::default()
        };
    }

    /// Takes a gap record. Gives whether it reports a hole that was not reported before.
    pub(crate) fn gap(&mut self, gap: &Gap, found: &mut Vec<Finding>) -> bool {
        if let Some(open) = self.open.take() {
            if open.is_told_by(gap) {
                found.extend(open.anyway);
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
            Step::First | Step::Restarts => {}
            Step::Unprovable => self.unprovable += 1,
            Step::Continues => self.check_pending(book, place, found),
            Step::Hole(hole) => self.check_hole(hole, is_valid, bridges, place),
            Step::Back => self.check_back(book, is_valid && !bridges, place, found),
        }
        self.broken = step != Step::Restarts && (self.broken || self.breaks(book, step));
        self.advance(book, step, bridges);
        if is_valid && self.broken && !self.is_in_snapshot(book) {
            self.broken = false;
            let what = "called valid after a hole, without a snapshot since".to_owned();
            match &mut self.open {
                Some(open) => open.anyway = Some((place.clone(), what)),
                None => found.push((place.clone(), what)),
            }
        }
        let goes_on =
            matches!(Link::of(book), Link::Chained(_)) && step == Step::Continues && self.pending.is_empty();
        self.proven = is_valid || (goes_on && self.proven);
        self.pending.clear();
        self.flagged = None;
    }

    /// The log ends, or another delta comes: a break that still waits is an unreported one.
    pub(crate) fn end(&mut self, found: &mut Vec<Finding>) {
        found.extend(self.open.take().into_iter().flat_map(|open| open.findings));
    }

    fn step(&self, book: &Book) -> Step {
        let link = Link::of(book);
        if link == Link::None {
            return Step::Unprovable;
        }
        let Some(run) = self.run else { return Step::First };
        let last = run.last_id;
        if link.continues(last) {
            return Step::Continues;
        }
        if let (Link::Chained(_), Some(id)) = (link, self.flagged)
            && link.continues(id)
        {
            return Step::Restarts;
        }
        if !matches!(link, Link::Chained(_)) && book.header.sequence <= last {
            return Step::Back;
        }
        Step::Hole(link.end_before().filter(|end| *end > last).map(|end| (last + 1, end)))
    }

    /// Whether the book has to have a new snapshot because of what came before this delta.
    fn breaks(&self, book: &Book, step: Step) -> bool {
        let reset = |gap: &Gap| gap.reason == GapReason::Reset as u8;
        match step {
            Step::Hole(_) => true,
            Step::Back => self.pending.iter().any(reset),
            // A gap record that the ids prove wrong breaks nothing.
            _ => self.pending.iter().any(|gap| step != Step::Continues || !is_disproved(gap, book)),
        }
    }

    /// Takes the delta's place in the chain.
    fn advance(&mut self, book: &Book, step: Step, bridges: bool) {
        self.run = match (self.run, step) {
            (_, Step::Unprovable) => None,
            (Some(run), Step::Continues) => Some(Run { last_id: book.header.sequence, ..run }),
            _ => Some(Run::of(book)),
        };
        // The snapshot may lie before the first delta of this run, or be older: then the run as a whole bridges it.
        if bridges || self.run.is_some_and(|run| self.snapshot.is_some_and(|id| run.bridges(id))) {
            self.snapshot = None;
            self.broken = false;
        }
    }

    /// Whether the delta is part of a REST snapshot that is ahead of the stream.
    fn is_in_snapshot(&self, book: &Book) -> bool {
        self.snapshot.is_some_and(|id| book.header.sequence <= id)
    }

    /// No hole: a gap record that claims one is wrong.
    fn check_pending(&self, book: &Book, place: &Place, found: &mut Vec<Finding>) {
        let wrong = self.pending.iter().filter(|gap| is_disproved(gap, book));
        found.extend(wrong.map(|gap| (place.clone(), without_hole(gap))));
    }

    fn check_hole(&mut self, hole: Option<(u64, u64)>, is_valid: bool, bridges: bool, place: &Place) {
        // Among deltas of a book that is not valid there is no chain; the first valid one starts anew at a snapshot.
        if !self.proven && (!is_valid || bridges) {
            return;
        }
        self.check_missing(hole, "delta", place);
    }

    /// Compares what is missing before a record with the gap records.
    fn check_missing(&mut self, hole: Option<(u64, u64)>, record: &str, place: &Place) {
        let last = self.run.map_or(0, |run| run.last_id);
        let text: Vec<String> = match hole {
            Some((from, to)) => {
                let left = uncovered(from, to, self.pending.iter().map(reported));
                left.into_iter().map(unreported).collect()
            }
            None if self.pending.is_empty() => {
                vec![format!("unreported hole: the {record} after id {last} does not go on from it")]
            }
            None => Vec::new(),
        };
        if !text.is_empty() {
            let findings = text.into_iter().map(|what| (place.clone(), what)).collect();
            self.open = Some(Break { after: last, hole, findings, anyway: None });
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

/// Whether a gap record before a delta that goes on claims a hole in the ids.
fn is_disproved(gap: &Gap, book: &Book) -> bool {
    gap.reason == GapReason::Sequence as u8 && gap.repaired == 0 && book.header.sequence != 0
}

impl Run {
    fn of(book: &Book) -> Run {
        Run { link: Link::of(book), last_id: book.header.sequence }
    }

    /// Whether a REST snapshot with this id is bridged: the deltas reach back to it, and on from it.
    fn bridges(&self, id: u64) -> bool {
        match self.link {
            Link::Contiguous { first } => first <= id.saturating_add(1) && id <= self.last_id,
            Link::Linked { previous, first } => previous == id || (first <= id && id <= self.last_id),
            Link::Chained(_) | Link::None => false,
        }
    }
}

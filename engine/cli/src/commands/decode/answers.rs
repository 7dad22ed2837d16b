//! REST answers on their way to the books that they are for.
//!
//! A book in a REST answer often does not say whose it is. It is given to the waiting book whose held deltas it
//! can be joined with, and whose prices say that it is the same market. It is given no earlier than a delta
//! comes that is not part of it: the venue cannot have answered before it sent the deltas that the answer holds,
//! and so every delta keeps its place among the records.

use std::collections::{BTreeMap, BTreeSet};

use marketprism_book::{DeltaStep, SnapshotStep, SyncedBook};
use marketprism_core::instrument::{InstrumentId, Registry};
use marketprism_core::record::{Book, Level, RecordBuffer, RecordRef};
use marketprism_core::venue::Continuity;

use super::evidence::{Evidence, Levels};

/// Most answers that are kept; the oldest make room. 80 MB at the deepest books.
const MAX_ANSWERS: usize = 512;

/// A book as a REST answer gave it.
#[derive(Debug)]
pub(super) struct Answer {
    book: Book,
    levels: Vec<Level>,
    /// Whose it is, where that is known.
    instrument: Option<InstrumentId>,
    /// Where it was, for messages.
    origin: String,
}

impl Answer {
    /// An answer from the records that the venue's parser gave.
    pub(super) fn new(
        records: RecordBuffer,
        instrument: Option<InstrumentId>,
        origin: String,
    ) -> Option<Answer> {
        records
            .iter()
            .find_map(|record| match record {
                RecordRef::Book(book, levels) => Some((*book, levels.to_vec())),
                _ => None,
            })
            .map(|(book, levels)| Answer { book, levels, instrument, origin })
    }

    /// The snapshot.
    pub(super) fn book(&self) -> (Book, &[Level]) {
        (self.book, &self.levels)
    }

    fn last_id(&self) -> u64 {
        self.book.header.sequence
    }

    fn may_be_for(&self, instrument: InstrumentId) -> bool {
        self.instrument.is_none_or(|own| own == instrument)
    }
}

/// An answer and the instrument that it is for.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) answer: Answer,
    pub(super) instrument: InstrumentId,
}

/// A book that waits for a snapshot: the same as the normaliser's, which cannot be looked into.
struct WaitingBook {
    synced: SyncedBook,
    /// Last ids of the newest delta and of the one before it.
    newest: u64,
    before: u64,
}

/// How well an answer fits a waiting book; more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    evidence: Evidence,
    /// Whether a held delta goes on from it.
    is_continued: bool,
}

/// Waiting books and answers.
pub(super) struct Answers {
    continuity: Continuity,
    waiting: BTreeMap<InstrumentId, WaitingBook>,
    answers: Vec<Answer>,
    /// Answers that made room for others.
    dropped: u64,
    /// All books that have waited so far.
    books: BTreeSet<InstrumentId>,
}

impl Answers {
    pub(super) fn new(continuity: Continuity) -> Answers {
        Answers { continuity, waiting: BTreeMap::new(), answers: vec![], dropped: 0, books: BTreeSet::new() }
    }

    /// Takes an answer.
    pub(super) fn add(&mut self, answer: Option<Answer>) {
        let Some(answer) = answer else { return };
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.remove(0);
            self.dropped += 1;
        }
        self.answers.push(answer);
    }

    /// Takes a delta of a book that is not valid.
    pub(super) fn hold(&mut self, book: &Book, levels: &[Level]) {
        let continuity = self.continuity;
        let instrument = book.header.instrument;
        self.books.insert(instrument);
        let waiting = self.waiting.entry(instrument).or_insert_with(|| WaitingBook {
            synced: SyncedBook::new(continuity),
            newest: 0,
            before: 0,
        });
        if waiting.synced.on_delta(book, levels) == DeltaStep::ReleaseFirst {
            waiting.synced.release(&mut |_, _| {});
            waiting.synced.on_delta(book, levels);
        }
        waiting.before = std::mem::replace(&mut waiting.newest, book.header.sequence);
    }

    /// The book of this instrument is valid.
    pub(super) fn forget(&mut self, instrument: InstrumentId) {
        self.waiting.remove(&instrument);
    }

    /// An answer whose id the newest delta of this book has just passed, if it is for a waiting book.
    pub(super) fn take_for(&mut self, instrument: InstrumentId) -> Option<Match> {
        let waiting = self.waiting.get(&instrument)?;
        let passed = waiting.before..=waiting.newest;
        let index = self.answers.iter().position(|answer| {
            answer.may_be_for(instrument)
                && passed.contains(&answer.last_id())
                && self.best(answer, false) == Some(instrument)
        })?;
        Some(Match { answer: self.answers.remove(index), instrument })
    }

    /// The answer that came last, if deltas have passed it already.
    pub(super) fn take_newest(&mut self) -> Option<Match> {
        let instrument = self.best(self.answers.last()?, false)?;
        self.answers.pop().map(|answer| Match { answer, instrument })
    }

    /// At the end: an answer that is newer than all deltas of its book.
    pub(super) fn take_at_end(&mut self) -> Option<Match> {
        let found = self.answers.iter().enumerate().find_map(|(index, answer)| {
            // Without a single delta the answer is all that is known of a book.
            let alone = answer.instrument.filter(|own| !self.books.contains(own));
            self.best(answer, true).or(alone).map(|instrument| (index, instrument))
        });
        let (index, instrument) = found?;
        self.books.insert(instrument);
        Some(Match { answer: self.answers.remove(index), instrument })
    }

    /// The waiting book that an answer is for. Before the end a delta must go on from the answer.
    fn best(&self, answer: &Answer, at_end: bool) -> Option<InstrumentId> {
        let candidates = self.waiting.iter().filter(|(instrument, _)| answer.may_be_for(**instrument));
        let levels = Levels::new(&answer.book, &answer.levels);
        let fits = candidates.filter_map(|(instrument, waiting)| {
            fit(answer, &levels, &waiting.synced).map(|fit| (fit, *instrument))
        });
        let (fit, instrument) = fits.max_by_key(|(fit, _)| *fit)?;
        let is_sure = answer.instrument.is_some() || fit.evidence.suffices(self.books.len() == 1);
        (is_sure && (fit.is_continued || at_end)).then_some(instrument)
    }

    /// What was not used.
    pub(super) fn notes(&self, registry: &Registry) -> Vec<String> {
        let mut notes: Vec<String> = self.answers.iter().map(|answer| {
            let name = answer.instrument.and_then(|id| registry.get(id));
            let of = name.map_or(String::new(), |instrument| format!(" of {}", instrument.venue_symbol));
            let id = answer.last_id();
            format!("{}: the book{of} with id {id} was not used: it is not needed, too old, or fits no deltas", answer.origin)
        }).collect();
        if self.dropped > 0 {
            notes.push(format!("{} more books in REST answers fit no deltas", self.dropped));
        }
        notes
    }
}

/// Joins an answer and a waiting book by the venue's rule, as a trial. `None` where that cannot be.
fn fit(answer: &Answer, levels: &Levels, synced: &SyncedBook) -> Option<Fit> {
    let mut trial = synced.clone();
    let step = trial.on_snapshot(&answer.book, &answer.levels, &mut |_| {});
    let SnapshotStep::Valid { replayed, .. } = step else { return None };
    let evidence = if answer.instrument.is_some() {
        Evidence::default()
    } else if trial.book().is_crossed() {
        return None;
    } else {
        Evidence::of(levels, answer.last_id(), synced)
    };
    Some(Fit { evidence, is_continued: replayed > 0 })
}

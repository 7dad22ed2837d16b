//! Deltas that wait for a snapshot.

use marketprism_core::Level;
use marketprism_core::record::Book;
use marketprism_core::venue::Continuity;

use crate::rule::{Position, Relation, relation};

/// Most deltas that one book holds while it waits for a snapshot.
pub const MAX_HELD_MESSAGES: usize = 4_096;

/// Most levels of held deltas: 1 MiB. A first delta is taken whatever its size.
pub const MAX_HELD_LEVELS: usize = 65_536;

/// Deltas in the order in which they came, their levels in one pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    books: Vec<Book>,
    /// Where each delta's levels end.
    ends: Vec<usize>,
    levels: Vec<Level>,
    /// The last delta that did not follow the one before it: from there on the chain has no hole.
    chain_start: usize,
}

impl Held {
    pub(crate) fn len(&self) -> usize {
        self.books.len()
    }

    pub(crate) fn level_count(&self) -> usize {
        self.levels.len()
    }

    pub(crate) fn first(&self) -> Option<&Book> {
        self.books.first()
    }

    pub(crate) fn last(&self) -> Option<&Book> {
        self.books.last()
    }

    /// Whether another delta with so many levels is within the bounds.
    pub(crate) fn has_room(&self, levels: usize) -> bool {
        self.books.is_empty()
            || (self.books.len() < MAX_HELD_MESSAGES && self.levels.len() + levels <= MAX_HELD_LEVELS)
    }

    /// Adds a delta; `follows` says whether it continues the one before.
    pub(crate) fn push(&mut self, book: &Book, levels: &[Level], follows: bool) {
        if !follows {
            self.chain_start = self.books.len();
        }
        self.books.push(*book);
        self.levels.extend_from_slice(levels);
        self.ends.push(self.levels.len());
    }

    pub(crate) fn clear(&mut self) {
        self.books.clear();
        self.ends.clear();
        self.levels.clear();
        self.chain_start = 0;
    }

    /// Deltas with their levels.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Book, &[Level])> {
        let mut start = 0;
        self.books.iter().zip(&self.ends).map(move |(book, end)| {
            let levels = self.levels.get(start..*end).unwrap_or_default();
            start = *end;
            (book, levels)
        })
    }

    /// Highest last id, 0 where nothing is held.
    pub(crate) fn highest_id(&self) -> u64 {
        self.books.iter().map(|book| book.header.sequence).max().unwrap_or(0)
    }

    /// Whether the delta is a copy of one that is held, or lies within the unbroken end of a contiguous chain.
    pub(crate) fn holds(&self, continuity: Continuity, delta: &Book) -> bool {
        let (first, last) = (delta.first_id, delta.header.sequence);
        if self.last().is_none_or(|newest| last > newest.header.sequence) {
            // Ordinary progress. An older copy behind a jump in the ids is held twice at worst.
            return false;
        }
        let within = continuity == Continuity::Contiguous
            && self.books.get(self.chain_start).is_some_and(|start| start.first_id <= first);
        within || self.books.iter().rev().any(|book| book.first_id == first && book.header.sequence == last)
    }

    /// How many of the deltas, counted from the start, a snapshot with this id makes superfluous; the others
    /// continue it without a hole. The error says why there is no such number.
    pub(crate) fn bridge(&self, continuity: Continuity, snapshot_id: u64) -> Result<usize, NoBridge<'_>> {
        let before_chain = self.books.get(..self.chain_start).unwrap_or_default();
        // What came before the last hole must be in the snapshot, since the hole cannot be crossed.
        if let Some(lost) = before_chain.iter().find(|book| book.header.sequence > snapshot_id) {
            return Err(NoBridge::Hole(lost));
        }
        let at = Position::of_snapshot(snapshot_id);
        let chain = self.books.get(self.chain_start..).unwrap_or_default();
        let contained =
            chain.iter().take_while(|book| relation(continuity, at, book) == Relation::Contained).count();
        match chain.get(contained) {
            Some(first) if relation(continuity, at, first) != Relation::Follows => Err(NoBridge::TooOld),
            _ => Ok(self.chain_start + contained),
        }
    }
}

/// Why a snapshot and the held deltas cannot be joined.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoBridge<'a> {
    /// Deltas between the snapshot and the held ones are missing.
    TooOld,
    /// There is a hole among the held deltas, behind the snapshot; this delta is before the hole.
    Hole(&'a Book),
}

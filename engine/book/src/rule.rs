//! The continuity rules.

use marketprism_core::record::{ABSENT, Book};
use marketprism_core::venue::Continuity;

/// A place in a chain of deltas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// First id of the delta that led here; of no meaning where `bridged` is false.
    pub(crate) first_id: u64,
    /// Last id that is part of the book.
    pub(crate) last_id: u64,
    /// Whether a delta led here; otherwise it was a snapshot, and the next delta has to bridge.
    pub(crate) bridged: bool,
}

impl Position {
    /// Right after a snapshot.
    pub(crate) fn of_snapshot(last_id: u64) -> Position {
        Position { first_id: 0, last_id, bridged: false }
    }

    /// Right after a delta.
    pub(crate) fn of_delta(delta: &Book) -> Position {
        Position { first_id: delta.first_id, last_id: delta.header.sequence, bridged: true }
    }
}

/// How a delta stands to a place in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// It brings nothing that is not there.
    Contained,
    /// It is the next.
    Follows,
    /// There is a hole before it.
    Breaks,
}

/// The id that the delta links to, where the venue gave one. Fresh listings send -1.
pub(crate) fn previous_id(delta: &Book) -> Option<u64> {
    u64::try_from(delta.previous_id).ok()
}

/// Judges a delta by the venue's rule.
pub(crate) fn relation(continuity: Continuity, at: Position, delta: &Book) -> Relation {
    let (first, last) = (delta.first_id, delta.header.sequence);
    match continuity {
        Continuity::Contiguous if last <= at.last_id => Relation::Contained,
        Continuity::Contiguous if first <= at.last_id.saturating_add(1) => Relation::Follows,
        Continuity::Contiguous => Relation::Breaks,
        Continuity::Linked if last < at.last_id => Relation::Contained,
        Continuity::Linked if at.bridged && last == at.last_id && first == at.first_id => Relation::Contained,
        Continuity::Linked => {
            let linked = match previous_id(delta) {
                Some(previous) => previous == at.last_id,
                // Without a link only adjacent ids prove that nothing lies between.
                None => Some(first) == at.last_id.checked_add(1),
            };
            let covers_snapshot = !at.bridged && first <= at.last_id;
            if linked || covers_snapshot { Relation::Follows } else { Relation::Breaks }
        }
        // Without ids there is no proof but the checksum, and no sign of a hole either.
        Continuity::Chained if last == 0 && delta.previous_id == ABSENT => Relation::Follows,
        Continuity::Chained if previous_id(delta) == Some(at.last_id) => Relation::Follows,
        Continuity::Chained => Relation::Breaks,
    }
}

/// What the rule wanted to see and what it saw: first ids, or ids linked to.
pub(crate) fn expectation(continuity: Continuity, at: Position, delta: &Book) -> (u64, u64) {
    match continuity {
        Continuity::Contiguous => (at.last_id.saturating_add(1), delta.first_id),
        Continuity::Linked => (at.last_id, previous_id(delta).unwrap_or(delta.first_id)),
        Continuity::Chained => (at.last_id, previous_id(delta).unwrap_or(delta.header.sequence)),
    }
}

/// A delta whose ids lie further back than this is no late copy: the venue counts anew. Contiguous ids are one
/// instrument's own and this is hours of them; linked ids are shared by a market, some million a second. Chained
/// ids may fall at any time and say nothing.
pub(crate) fn farthest_late_copy(continuity: Continuity) -> u64 {
    match continuity {
        Continuity::Contiguous => 1 << 24,
        Continuity::Linked => 1 << 32,
        Continuity::Chained => u64::MAX,
    }
}

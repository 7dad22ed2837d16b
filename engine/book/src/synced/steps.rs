//! What became of messages.

use marketprism_core::Level;
use marketprism_core::record::Book;

#[cfg(doc)]
use super::SyncedBook;
use crate::error::BookError;

/// Whether the book may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No: it needs a snapshot, and deltas are held until one comes, unless the stream itself brings it. The book
    /// is empty.
    Waiting,
    /// Yes.
    Valid,
}

/// What became of a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeltaStep {
    /// The book is valid and has it.
    Applied,
    /// The book waits for the snapshot of its own stream; the delta is not kept.
    NoBook,
    /// The book is waiting; the delta is kept and comes back through `emit`.
    Held,
    /// As [`Held`](DeltaStep::Held), but it does not continue the delta held before it. A snapshot newer than
    /// the hole makes up for it. Ids as in [`Broken`](DeltaStep::Broken).
    HeldAfterGap {
        /// What the rule wanted to see.
        expected: u64,
        /// What it saw.
        got: u64,
    },
    /// It is part of the valid book, or the same delta is held already. Nothing changed; it is not kept.
    Contained,
    /// The bounds of the buffer are reached, or the ids jumped back so far that no snapshot can join this delta
    /// and the held ones. The delta was **not** taken: call [`SyncedBook::release`] and offer it again.
    ReleaseFirst,
    /// A message is missing. The book is invalid from now on and this delta is held as the first of a new
    /// buffer; chained: it is not kept.
    Broken {
        /// Contiguous: the first id that should have come. Linked and chained: the last id that should have been
        /// named.
        expected: u64,
        /// The delta's first id. Linked: the id that it names, or its first id where it names none. Chained: the
        /// id that it names, or its own where it names none.
        got: u64,
    },
    /// The ids went back: the venue restarted its count. As [`Broken`](DeltaStep::Broken) in all else.
    Reset {
        /// As in [`Broken`](DeltaStep::Broken).
        expected: u64,
        /// As in [`Broken`](DeltaStep::Broken).
        got: u64,
    },
    /// The delta cannot be applied. The book is invalid from now on, if it was not before; the delta is not
    /// held, and only a snapshot that has it is accepted (chained: whatever snapshot the stream brings).
    Unusable(BookError),
    /// The book with this delta is not the venue's. It is invalid from now on; the delta is not kept.
    ChecksumMismatch {
        /// The venue's checksum.
        given: u32,
        /// That of our book.
        computed: u32,
    },
}

/// What became of a snapshot. Unless it is [`Valid`](SnapshotStep::Valid) or
/// [`Replaced`](SnapshotStep::Replaced), nothing was emitted and nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotStep {
    /// The book was waiting and is valid now.
    Valid {
        /// Held deltas that the snapshot makes superfluous.
        contained: usize,
        /// Held deltas that were applied to it.
        replayed: usize,
    },
    /// The book was valid; the snapshot is newer and has taken its place.
    Replaced,
    /// Nobody needs the snapshot: the book is valid and at or beyond it, or has its snapshots from the stream.
    NotNewer,
    /// Deltas between the snapshot and the first usable held one are missing: fetch again.
    TooOld,
    /// There is a hole among the held deltas, and the snapshot is older than it: fetch again.
    Broken {
        /// The snapshot's id.
        expected: u64,
        /// Last id of a delta before the hole, which the snapshot had to have.
        got: u64,
    },
    /// The snapshot, or a held delta that had to be applied to it, cannot be used.
    Unusable(BookError),
}

/// What became of a snapshot that came in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamSnapshotStep {
    /// The book was waiting and is valid now.
    Valid,
    /// The book was valid; the snapshot has taken its place.
    Replaced,
    /// The snapshot is older, by id and by exchange time, than what has come since the book was made or
    /// [`invalidate`](SyncedBook::invalidate)d. Nothing changed.
    Stale,
    /// Its id is lower than that of the valid book, and its time does not say that it is stale. Either the venue counts anew
    /// or it is wrong; the book is invalid from now on, and a snapshot that comes while it waits is taken.
    Doubtful,
    /// It cannot be loaded. The book is invalid from now on, if it was not before.
    Unusable(BookError),
    /// It is not what the venue meant to send. The book is invalid from now on, if it was not before.
    ChecksumMismatch {
        /// The venue's checksum.
        given: u32,
        /// That of the levels that came.
        computed: u32,
    },
}

/// A record that [`SyncedBook::on_snapshot`] gives out.
#[derive(Clone, Copy, Debug)]
pub enum Emit<'a> {
    /// A held delta that the snapshot makes superfluous: it came before it, while there was no valid book.
    Contained(&'a Book, &'a [Level]),
    /// The snapshot.
    Snapshot(&'a Book, &'a [Level]),
    /// A held delta that was applied to the snapshot.
    Replayed(&'a Book, &'a [Level]),
}

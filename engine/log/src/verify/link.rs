//! How the messages of a book tell that none is missing between them.

use marketprism_core::record::{ABSENT, Book, flag};

/// What a delta says of the one before it. Told by the data alone: a chained delta has no first id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing.
    None,
    /// Its ids begin right after the last one's.
    Contiguous {
        /// Its first id.
        first: u64,
    },
    /// It names the last one, and ids rise.
    Linked {
        /// Last id of the delta before.
        previous: u64,
        /// Its own first id.
        first: u64,
    },
    /// It names the last message; ids may repeat and fall. `None`: it says that there was none.
    Chained(Option<u64>),
}

impl Link {
    pub(crate) fn of(book: &Book) -> Link {
        let first = if book.checksum().is_some() { 0 } else { book.first_id };
        match (u64::try_from(book.previous_id).ok(), first) {
            (None, 0) if book.previous_id == ABSENT => Link::None,
            (previous, 0) => Link::Chained(previous),
            (Some(previous), first) => Link::Linked { previous, first },
            (None, first) => Link::Contiguous { first },
        }
    }

    /// Whether the delta is the next one after a message with this last id.
    pub(crate) fn continues(self, last: u64) -> bool {
        match self {
            Link::None => false,
            Link::Contiguous { first } => last.checked_add(1) == Some(first),
            Link::Linked { previous, .. } | Link::Chained(Some(previous)) => previous == last,
            Link::Chained(None) => false,
        }
    }

    /// The last id before the delta's own, where it can be told.
    pub(crate) fn end_before(self) -> Option<u64> {
        match self {
            Link::None => None,
            Link::Contiguous { first } => first.checked_sub(1),
            Link::Linked { previous, .. } => Some(previous),
            Link::Chained(previous) => previous,
        }
    }
}

/// Whether a book can be started from this snapshot record.
pub(crate) fn is_start(book: &Book) -> bool {
    let flags = book.header.flags;
    flags & flag::SNAPSHOT != 0 && flags & (flag::PARTIAL | flag::DERIVED) == 0
}

/// Whether a snapshot was fetched beside the stream.
pub(crate) fn is_rest(book: &Book) -> bool {
    book.header.flags & flag::REST != 0
}

//! One stream, and how a record stands in it.

use marketprism_core::InstrumentId;
use marketprism_core::record::{Header, Kind, flag};

use super::{Reason, Span, Status};

/// Flags of records that are not simply the next of their stream.
pub(super) const UNUSUAL: u8 = flag::BACKFILLED | flag::BOOK_INVALID | flag::SUSPECT_CLOCK | flag::DERIVED;

/// What is known of one stream: a cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Stream {
    pub(super) instrument: InstrumentId,
    pub(super) kind: Kind,
    /// Whether `Coverage::told` has holes of it.
    pub(super) told: bool,
    /// The id that the next record has to go on from; 0: there is none.
    pub(super) chain: u64,
    /// The span that goes on.
    pub(super) open: Option<Span>,
}

const _: () = assert!(size_of::<Stream>() == 64);

/// How a record stands to what came before in its stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing came before.
    First,
    /// It has no ids that could tell.
    Unlinked,
    Continues,
    /// These ids are missing before it.
    Hole(u64, u64),
    /// Something is missing before it that has no ids.
    Unnamed,
    /// None of its ids is new.
    NotNew,
}

/// A record, as far as the ledger looks at it.
pub(super) struct Message<'a> {
    pub(super) header: &'a Header,
    /// 0 where its ids are no place in the stream.
    pub(super) first_id: u64,
    pub(super) last_id: u64,
    pub(super) step: Step,
    /// The id that the next record has to go on from.
    pub(super) chain: u64,
}

impl Stream {
    /// Takes the next record of an open contiguous span; false where it is another span or the record has flags.
    #[inline]
    pub(super) fn extend_contiguous(&mut self, header: &Header) -> bool {
        let Some(open) = &mut self.open else { return false };
        if open.status != Status::Contiguous || header.flags & UNUSUAL != 0 {
            return false;
        }
        self.chain = header.sequence;
        open.extend(header.sequence, header.receive_ns);
        true
    }

    /// Whether the last that is known of it is a gap record.
    pub(super) fn is_hole_told(&self) -> bool {
        self.open.is_some_and(|open| open.status == Status::Missing || open.reason == Some(Reason::Checksum))
    }
}

impl Span {
    #[inline]
    pub(super) fn extend(&mut self, last_id: u64, receive_ns: i64) {
        self.last_id = last_id;
        self.first_ns = self.first_ns.min(receive_ns);
        self.last_ns = self.last_ns.max(receive_ns);
        self.records += 1;
    }

    /// Whether the record of `next` belongs to this span too.
    pub(super) fn goes_on_with(&self, next: &Span, step: Step) -> bool {
        let is_alike = self.records > 0 && (self.status, self.reason) == (next.status, next.reason);
        let is_linked = match self.status {
            Status::Contiguous => step == Step::Continues,
            Status::Repaired => self.is_followed_by(next),
            _ => !matches!(step, Step::Hole(..) | Step::Unnamed),
        };
        is_alike && is_linked
    }
}

/// What a record is worth by its flags and its place.
pub(super) fn mark(flags: u8, step: Step) -> (Status, Option<Reason>) {
    match step {
        _ if flags & flag::BOOK_INVALID != 0 => (Status::Suspect, Some(Reason::BookInvalid)),
        _ if flags & flag::SUSPECT_CLOCK != 0 => (Status::Suspect, Some(Reason::SuspectClock)),
        _ if flags & flag::BACKFILLED != 0 => (Status::Repaired, None),
        Step::NotNew => (Status::Suspect, Some(Reason::NotNew)),
        Step::Unlinked => (Status::Unprovable, None),
        _ => (Status::Contiguous, None),
    }
}

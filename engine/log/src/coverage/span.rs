//! One stretch of a stream.

use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::GapReason;
use serde::{Deserialize, Serialize};

/// What is known of a stretch of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Status {
    /// Its records are there, and their ids prove that none is missing between them.
    Contiguous,
    /// It was not recorded.
    Missing,
    /// Its records are there and are not to be trusted.
    Suspect,
    /// It was missing and was fetched later.
    Repaired,
    /// Its records are there; they carry nothing that could prove that none is missing between them.
    Unprovable,
}

/// Why a stretch is not contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// [`GapReason::Sequence`].
    Sequence,
    /// [`GapReason::Disconnected`].
    Disconnected,
    /// [`GapReason::Overrun`].
    Overrun,
    /// [`GapReason::Reset`].
    Reset,
    /// [`GapReason::Restart`].
    Restart,
    /// [`GapReason::Checksum`].
    Checksum,
    /// [`GapReason::Resynchronised`].
    Resynchronised,
    /// The book was not valid when the records came.
    BookInvalid,
    /// The receive times are not to be trusted.
    SuspectClock,
    /// The ids had come before.
    NotNew,
}

impl Reason {
    /// The reason in a gap record; `None` for a number that this version does not know.
    pub(crate) fn of_gap(number: u8) -> Option<Reason> {
        let known = [
            (GapReason::Sequence, Reason::Sequence),
            (GapReason::Disconnected, Reason::Disconnected),
            (GapReason::Overrun, Reason::Overrun),
            (GapReason::Reset, Reason::Reset),
            (GapReason::Restart, Reason::Restart),
            (GapReason::Checksum, Reason::Checksum),
            (GapReason::Resynchronised, Reason::Resynchronised),
        ];
        known.into_iter().find(|(gap, _)| *gap as u8 == number).map(|(_, reason)| reason)
    }
}

/// A stretch of a stream in which nothing changes: the spans of a stream hold each of its records once, and each missing
/// id once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// What is known of it.
    pub status: Status,
    /// Why it is not contiguous. Of a missing one: absent where the log does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// First id, 0 where it is not known or there is none. A book that begins with a snapshot begins with its id.
    #[serde(default, with = "id", skip_serializing_if = "is_zero")]
    pub first_id: u64,
    /// Last id, 0 where it is not known or there is none.
    #[serde(default, with = "id", skip_serializing_if = "is_zero")]
    pub last_id: u64,
    /// Earliest receive time, nanoseconds since the Unix epoch, or [`TIME_MISSING`]. Of a missing one: of the last
    /// record before it.
    #[serde(default = "time_missing", skip_serializing_if = "is_missing")]
    pub first_ns: i64,
    /// Latest receive time, nanoseconds since the Unix epoch. Of a missing one: when it was known to end.
    pub last_ns: i64,
    /// Number of records. Of a missing one: how many were lost, 0 where it is not known.
    pub records: u64,
}

impl Span {
    /// Number of its ids; 0 where either end is not known.
    pub fn ids(&self) -> u64 {
        match (self.first_id, self.last_id) {
            (0, _) | (_, 0) => 0,
            (first, last) => last.checked_sub(first).map_or(0, |span| span.saturating_add(1)),
        }
    }

    /// How long it lasts, nanoseconds; 0 where that is not known.
    pub fn duration_ns(&self) -> u64 {
        match self.first_ns {
            TIME_MISSING => 0,
            first => u64::try_from(self.last_ns.saturating_sub(first)).unwrap_or(0),
        }
    }

    /// Whether its ids end right before those of `next`.
    pub(crate) fn is_followed_by(&self, next: &Span) -> bool {
        next.first_id != 0 && self.last_id.checked_add(1) == Some(next.first_id)
    }

    /// Whether it is missing up to an id that was not known when it was reported.
    pub(crate) fn is_open_ended(&self) -> bool {
        self.status == Status::Missing && self.last_id == 0 && self.reason != Some(Reason::Reset)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_missing(ns: &i64) -> bool {
    *ns == TIME_MISSING
}

fn time_missing() -> i64 {
    TIME_MISSING
}

/// Ids are text in JSON, since many readers take numbers for floating point.
mod id {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("an id is no number"))
    }
}

//! Order books and best prices.

use bytemuck::{Pod, Zeroable};

use super::Record;
#[cfg(doc)]
use crate::clock::TIME_MISSING;
#[cfg(doc)]
use crate::record::ABSENT;
use crate::record::{Header, Kind, LINE_BYTES, Line, flag};

/// A book snapshot or delta; its levels follow, bids first. `sequence` is the last update id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Book {
    /// Common part; the kind is [`Kind::BookSnapshot`] or [`Kind::BookDelta`].
    pub header: Header,
    /// First update id covered, 0 where the venue has none. With
    /// [`flag::CHECKSUM`] the venue's checksum of the book after this message instead, as
    /// the unsigned form of its 32 bits.
    pub first_id: u64,
    /// Last update id of the message before in the same stream, or [`ABSENT`]. -1: there was none.
    pub previous_id: i64,
    /// The venue's publication time, nanoseconds, or [`TIME_MISSING`].
    pub event_ns: i64,
    /// In the log: index of the first level in the batch's pool. In the ring: 0.
    pub level_start: u32,
    /// Number of bid levels.
    pub bid_levels: u16,
    /// Number of ask levels.
    pub ask_levels: u16,
}
record!(Book, Kind::BookDelta);

impl Book {
    /// The venue's checksum of the book after this message, where it gave one.
    #[inline]
    pub fn checksum(&self) -> Option<u32> {
        (self.header.flags & flag::CHECKSUM != 0).then_some(self.first_id as u32)
    }
}

/// One price level. A quantity of zero in a delta removes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Level {
    /// Price.
    pub price: i64,
    /// Quantity resting at it.
    pub quantity: i64,
}

/// Best bid and ask. `sequence` is the book's update id, where given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Quote {
    /// Common part.
    pub header: Header,
    /// Best bid price.
    pub bid_price: i64,
    /// Quantity at the best bid.
    pub bid_quantity: i64,
    /// Best ask price.
    pub ask_price: i64,
    /// Quantity at the best ask.
    pub ask_quantity: i64,
}
record!(Quote, Kind::Quote);

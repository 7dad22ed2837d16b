//! What the recorder tells of its own work.

use bytemuck::{Pod, Zeroable};

use super::{Body, Record};
#[cfg(doc)]
use crate::clock::TIME_MISSING;
use crate::record::{Header, Kind, LINE_BYTES, Line};

/// An instrument's definition; the body is [`crate::Instrument`] as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Definition {
    /// Common part.
    pub header: Header,
    /// Where and how long the body is.
    pub body: Body,
    /// Zero.
    pub reserved: [u8; 24],
}
record!(Definition, Kind::Instrument);

/// A step in a connection's life; the body is a JSON object with its particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Session {
    /// Common part; `instrument` is that of the market.
    pub header: Header,
    /// Where and how long the body is.
    pub body: Body,
    /// The connection, numbered from 1 in each run.
    pub connection: u32,
    /// [`SessionEvent`].
    pub event: u8,
    /// Zero.
    pub reserved: [u8; 19],
}
record!(Session, Kind::Session);

/// Steps in a connection's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionEvent {
    /// The WebSocket is open.
    Connected = 1,
    /// The venue acknowledged every subscription.
    Subscribed = 2,
    /// The connection ended; the body says why.
    Disconnected = 3,
    /// The venue refused a request; the body has its words.
    Refused = 4,
    /// The recorder began to write.
    Started = 5,
    /// The recorder stopped cleanly.
    Stopped = 6,
    /// What the recorder knows of one stream of the segment that ends here.
    Coverage = 7,
    /// What a normaliser was told besides frames, where all frames are kept.
    Input = 8,
}

impl SessionEvent {
    /// The name in JSON.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("connected"),
            2 => Some("subscribed"),
            3 => Some("disconnected"),
            4 => Some("refused"),
            5 => Some("started"),
            6 => Some("stopped"),
            7 => Some("coverage"),
            8 => Some("input"),
            _ => None,
        }
    }
}

/// A hole in a stream. `header.sequence` is 0; `header.receive_ns` is when the hole was known to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Gap {
    /// Common part.
    pub header: Header,
    /// First missing id, or 0 where the stream has no ids.
    pub from_id: u64,
    /// Last missing id, or 0 where the stream has no ids or the end is not known.
    pub to_id: u64,
    /// Receive time of the last record before the hole, nanoseconds, or [`TIME_MISSING`].
    pub from_ns: i64,
    /// [`Kind`] of the stream.
    pub stream: u8,
    /// [`GapReason`].
    pub reason: u8,
    /// 1 when the missing part was fetched later.
    pub repaired: u8,
    /// Zero.
    pub reserved: u8,
    /// Number of records lost, where known.
    pub records: u32,
}
record!(Gap, Kind::Gap);

/// Why a stream has a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GapReason {
    /// The venue's ids jumped while the connection was up.
    Sequence = 1,
    /// The connection was down.
    Disconnected = 2,
    /// A queue of ours was full.
    Overrun = 3,
    /// The venue's ids went backwards: it started anew.
    Reset = 4,
    /// The recorder did not run.
    Restart = 5,
    /// Nothing is known to be missing, but the book disagreed with the venue's checksum: something before was
    /// wrong. The ids are 0.
    Checksum = 6,
    /// The venue sent a new snapshot, because it was asked to after a break or by itself: the deltas between are
    /// part of it.
    Resynchronised = 7,
}

impl GapReason {
    /// The name in JSON.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("sequence"),
            2 => Some("disconnected"),
            3 => Some("overrun"),
            4 => Some("reset"),
            5 => Some("restart"),
            6 => Some("checksum"),
            7 => Some("resynchronised"),
            _ => None,
        }
    }
}

/// A frame kept verbatim, or a part of one; the body is the reason (UTF-8) and then the frame's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Raw {
    /// Common part; `instrument` is that of the market.
    pub header: Header,
    /// Where and how long the body is.
    pub body: Body,
    /// The connection that it came on.
    pub connection: u32,
    /// Bytes of the reason at the start of the body.
    pub reason_bytes: u32,
    /// Bytes of the whole frame; the body may hold fewer.
    pub frame_bytes: u32,
    /// Where in the frame the bytes of the body begin: above 0 for the further parts of a long frame.
    pub offset: u32,
    /// Zero.
    pub reserved: [u8; 8],
}
record!(Raw, Kind::Raw);

/// The venue's clock beside ours: `header.exchange_ns` was read by the venue at some moment between `request_ns` and
/// `header.receive_ns`, which bounds the difference of the clocks on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct ClockSample {
    /// Common part; `instrument` is that of the market.
    pub header: Header,
    /// Our wall clock when the request was sent, nanoseconds since the Unix epoch.
    pub request_ns: i64,
    /// Resolution of the venue's clock, nanoseconds.
    pub resolution_ns: i64,
    /// Zero.
    pub reserved: [u8; 16],
}
record!(ClockSample, Kind::ClockSample);

//! What can be done wrong on a stream.
//!
//! What the host does counts messages for everybody on the stream; the first values after a subscription (snapshots,
//! cached values) are neither dropped nor doubled nor moved, except by [`Disturbance::LateSnapshot`].

/// One thing done wrong. The host does those about the delivery of messages, the protocol those about their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// Host: so many messages are not sent.
    Hole(u64),
    /// Host: so many messages are sent twice.
    Duplicate(u64),
    /// Host: the next two messages change places.
    Reorder,
    /// Host: the snapshot after the next subscription is sent after so many of the messages that follow it.
    LateSnapshot(u64),
    /// Protocol: a snapshot as it was so many messages ago is sent in mid-stream.
    StaleSnapshot(u64),
    /// Protocol: a right snapshot is sent in mid-stream; the chain goes on from it.
    MidStreamSnapshot,
    /// Protocol: the next message carries a wrong checksum (venues with checksums, in their mode).
    ChecksumLie,
    /// Protocol: maintenance; the next message links to the last one and its own id is far lower.
    SequenceReset,
    /// Protocol: a message without a change, as a heartbeat of a quiet book.
    EmptyUpdate,
    /// Protocol: best bid and ask cross in so many messages, then uncross.
    Crossed(u64),
    /// Protocol: a level is removed that the book does not hold.
    RemoveMissing,
    /// Host: the connections on the stream end, with a close frame of this code or, for 0, without one.
    Disconnect(u16),
    /// Host: before the next message comes its first half, as a text frame of its own.
    Malformed,
    /// Protocol: a frame of a kind that nobody knows.
    UnknownMessage,
    /// Protocol: the venue's own notice that the connection will be closed; it closes after so many milliseconds.
    ClosingNotice(u64),
    /// Protocol: subscriptions of the stream are acknowledged from now on, and bring nothing.
    SilentAcknowledgement,
    /// Protocol: the next subscription of the stream is refused as the venue refuses.
    Refuse,
}

/// A disturbance of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Market of the stream.
    pub market: String,
    /// Stream, as [`StreamLedger::stream`](super::StreamLedger) has it.
    pub stream: String,
    /// Messages sent on it before the fault; 0 is from the start, before the first subscription.
    pub after_messages: u64,
    /// What is done.
    pub what: Disturbance,
}

/// An instrument comes or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListingChange {
    /// A new instrument of this market.
    List(&'static str),
    /// An instrument of this market expires: its streams fall silent and its definition says so or is gone.
    Expire(&'static str, String),
}

impl Disturbance {
    /// A short name, as in [`Ledger::faults_injected`](super::Ledger::faults_injected).
    pub fn name(&self) -> &'static str {
        match self {
            Disturbance::Hole(_) => "hole",
            Disturbance::Duplicate(_) => "duplicate",
            Disturbance::Reorder => "reorder",
            Disturbance::LateSnapshot(_) => "late snapshot",
            Disturbance::StaleSnapshot(_) => "stale snapshot",
            Disturbance::MidStreamSnapshot => "mid-stream snapshot",
            Disturbance::ChecksumLie => "checksum lie",
            Disturbance::SequenceReset => "sequence reset",
            Disturbance::EmptyUpdate => "empty update",
            Disturbance::Crossed(_) => "crossed book",
            Disturbance::RemoveMissing => "removal of a missing level",
            Disturbance::Disconnect(_) => "disconnection",
            Disturbance::Malformed => "malformed frame",
            Disturbance::UnknownMessage => "unknown message",
            Disturbance::ClosingNotice(_) => "closing notice",
            Disturbance::SilentAcknowledgement => "silent acknowledgement",
            Disturbance::Refuse => "refused subscription",
        }
    }
}

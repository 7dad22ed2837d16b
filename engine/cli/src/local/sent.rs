//! What simulated venues say they sent, in one form for all of them.

use marketprism_core::record::Kind;

/// How much was sent on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// So many messages, each one record.
    Records(u64),
    /// Messages of one or more records each.
    AtLeast(u64),
    /// Every id from the first to the last.
    Ids(u64, u64),
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentStream {
    pub(crate) venue: &'static str,
    /// The market; empty where the symbol alone says which instrument it is.
    pub(crate) market: String,
    /// The venue's symbol; empty for a stream of a whole market.
    pub(crate) symbol: String,
    pub(crate) kind: Kind,
    pub(crate) amount: Amount,
}

/// Everything sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) streams: Vec<SentStream>,
    /// Rules of the venues that the recorder broke.
    pub(crate) violations: Vec<String>,
    /// Frames.
    pub(crate) deliveries: u64,
}

//! What a hosted venue is asked to be.

use std::path::PathBuf;

use super::Fault;
use crate::config::{Generated, Pace, Start};
use crate::history::History;

/// Captured frames to play, once.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// Folders and the market each belongs to. Folders of one name are one connection: their order is common.
    pub folders: Vec<(String, PathBuf)>,
    /// Pace of the playback.
    pub pace: Pace,
}

/// Where the data comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A generated market. Its pace is in messages a second; one for several connections counts once, and first
    /// values after a subscription do not count. With few streams on a grid it is not reached.
    Generated(Generated),
    /// Captured frames.
    Capture(Capture),
    /// The records of a log. Its own clock says when it begins and how fast it goes, whatever [`Config::start`] says;
    /// clients are served from [`HistoryEvent::Begin`](crate::history::HistoryEvent::Begin) on. It is never faster than
    /// they take it.
    History(History),
}

/// Everything a hosted venue needs to start; `L` are the limits of the venue.
#[derive(Debug, Clone)]
pub struct Config<L> {
    /// Where the data comes from.
    pub source: Source,
    /// When data begins to flow.
    pub start: Start,
    /// Faults to inject.
    pub faults: Vec<Fault>,
    /// Serve over TLS with a certificate of its own.
    pub tls: bool,
    /// The port; `None` takes any free one.
    pub port: Option<u16>,
    /// The venue's limits.
    pub limits: L,
    /// File that receives every data frame sent: connection id, market and payload, tab separated.
    pub record_frames: Option<PathBuf>,
}

impl<L: Default> Config<L> {
    /// A configuration for a source with the venue's limits: plain sockets, a free port, data from the first
    /// subscription.
    pub fn new(source: Source) -> Self {
        Config {
            source,
            start: Start::OnSubscribe,
            faults: Vec::new(),
            tls: false,
            port: None,
            limits: L::default(),
            record_frames: None,
        }
    }
}

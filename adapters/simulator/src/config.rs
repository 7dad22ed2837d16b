//! What a simulated venue is asked to be: markets, source, pace, limits.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::fault::Fault;
use crate::history::History;

/// One of the venue's three products. Each has its own port, as each has its own host in reality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Market {
    /// Spot (`stream.binance.com`, `api.binance.com`).
    Spot,
    /// USD-M futures (`fstream.binance.com`, `fapi.binance.com`).
    Usdm,
    /// COIN-M futures (`dstream.binance.com`, `dapi.binance.com`).
    Coinm,
}

impl Market {
    /// All markets, in the order of arrays with one entry a market.
    pub const ALL: [Market; 3] = [Market::Spot, Market::Usdm, Market::Coinm];

    /// Position in arrays kept per market.
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// True for the two futures products.
    pub(crate) fn is_futures(self) -> bool {
        self != Market::Spot
    }

    /// The lower-case name, as in folder names.
    pub fn name(self) -> &'static str {
        match self {
            Market::Spot => "spot",
            Market::Usdm => "usdm",
            Market::Coinm => "coinm",
        }
    }
}

impl fmt::Display for Market {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Market {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Market::ALL
            .into_iter()
            .find(|market| market.name() == text)
            .ok_or_else(|| format!("unknown market {text:?}: expected spot, usdm or coinm"))
    }
}

/// How fast captured frames are played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// At the speed they were received.
    Own,
    /// That many times faster than they were received.
    Times(f64),
    /// As fast as the sockets take them.
    Flat,
}

/// A market made up by the simulator, the same for the same seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// Seed of everything random in the market.
    pub seed: u64,
    /// Instruments per market, at least 1, at most 2000.
    pub symbols: usize,
    /// Frames per second sent to all clients together; `None` is as fast as the sockets take them.
    ///
    /// Depth keeps its grid in wall-clock time, so the mix comes close to the venue's (55 % best bid and
    /// ask, 20 % trades, 20 to 25 % depth) near 45 frames a second for each instrument.
    pub messages_per_second: Option<u64>,
}

/// Captured frames to play.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// Capture folders and the market each belongs to.
    pub folders: Vec<(Market, PathBuf)>,
    /// Pace of the playback.
    pub pace: Pace,
    /// How many times the frames are played, at least 1; `u32::MAX` is until [`crate::Simulator::pause`].
    ///
    /// Every loop after the first continues all ids without a hole.
    pub loops: u32,
}

/// Where the data comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A generated market.
    Generated(Generated),
    /// Captured frames.
    Capture(Capture),
    /// Recorded history; [`Config::start`] does not count, its own timeline does.
    History(History),
}

/// When data begins to flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// As soon as one stream with data is subscribed.
    OnSubscribe,
    /// When that many distinct streams over all markets are subscribed.
    WhenSubscribed(usize),
    /// When [`crate::Simulator::start_feed`] is called.
    Manual,
}

/// The venue's limits, one value per market in the order spot, usdm, coinm where they differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Time between two pings of the server.
    pub ping_interval: [Duration; 3],
    /// A ping unanswered for that long closes the connection.
    pub pong_deadline: [Duration; 3],
    /// A connection older than that is closed; `None` never.
    pub connection_lifetime: Option<Duration>,
    /// Frames a client may send in one second on one connection.
    pub messages_per_second: [u32; 3],
    /// Streams on one connection.
    pub streams_per_connection: usize,
    /// WebSocket connection attempts in five minutes, per market.
    pub connects_per_5_minutes: u32,
    /// Request weight per clock minute: spot, and the bucket both futures markets share.
    pub weight_per_minute: [u32; 2],
    /// Requests refused with 429 in one minute before the answer becomes 418.
    pub refusals_before_ban: u32,
    /// How long a 418 ban lasts.
    pub ban_duration: Duration,
    /// REST depth snapshots of a generated market are 0 to 300 ms old, as the venue's cached ones.
    pub stale_snapshots: bool,
    /// Payloads carry the fields added up to 2026 (`st`, `ps`, `nq`, `ap`).
    pub current_fields: bool,
    /// Control errors are flat (`{"code":..,"msg":..,"id":..}`) instead of wrapped in `error`.
    pub flat_errors: bool,
    /// A connection that takes nothing for that long is closed.
    pub stalled_write_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        Limits {
            ping_interval: [Duration::from_secs(20), minutes(3), minutes(3)],
            pong_deadline: [minutes(1), minutes(10), minutes(10)],
            connection_lifetime: Some(minutes(24 * 60)),
            messages_per_second: [5, 10, 10],
            streams_per_connection: 1024,
            connects_per_5_minutes: 300,
            weight_per_minute: [6000, 2400],
            refusals_before_ban: 20,
            ban_duration: minutes(2),
            stale_snapshots: true,
            current_fields: true,
            flat_errors: false,
            stalled_write_deadline: Duration::from_secs(30),
        }
    }
}

/// Everything a simulator needs to start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the data comes from.
    pub source: Source,
    /// Serve over TLS with a certificate of its own.
    pub tls: bool,
    /// Markets to serve.
    pub markets: Vec<Market>,
    /// Ports of spot, usdm and coinm; `None` takes any free ones.
    pub ports: Option<[u16; 3]>,
    /// File that receives every data frame sent: connection id, market and payload, tab separated.
    pub record_frames: Option<PathBuf>,
    /// The venue's limits.
    pub limits: Limits,
    /// Faults to inject.
    pub faults: Vec<Fault>,
    /// When data begins to flow.
    pub start: Start,
}

impl Config {
    /// A configuration for a source with the venue's limits: plain sockets, free ports, all markets of the
    /// source, data from the first subscription.
    pub fn new(source: Source) -> Self {
        let markets = match &source {
            Source::Generated(_) | Source::History(_) => Market::ALL.to_vec(),
            Source::Capture(capture) => Market::ALL
                .into_iter()
                .filter(|market| capture.folders.iter().any(|(of, _)| of == market))
                .collect(),
        };
        Config {
            source,
            tls: false,
            markets,
            ports: None,
            record_frames: None,
            limits: Limits::default(),
            faults: Vec::new(),
            start: Start::OnSubscribe,
        }
    }
}

//! Deribit's JSON-RPC interface of public market data, served on loopback.
//!
//! WebSocket at `/ws/api/v2`, REST under `/api/v2/public/`, both on one port. The markets are `perpetual`, `future`,
//! `option`, `spot` and `combo`; streams are the venue's channels, `book.BTC-PERPETUAL.100ms`. Channels that belong to
//! no instrument (indices, `trades.<kind>.<currency>.<interval>`, `instrument.state.…`, `platform_state`) are in the
//! market `venue`.
//!
//! A generated market has [`Generated::symbols`](crate::Generated::symbols) instruments of each market, at most 5000
//! options, 300 combos and 100 of the others. A capture is acknowledged channel by channel; its snapshots are the
//! captured ones, and its raw channels need no authentication. There are no checksums here, so
//! [`Disturbance::ChecksumLie`](crate::host::Disturbance::ChecksumLie) changes nothing.

mod book;
mod calendar;
mod capture;
mod catalogue;
mod channel;
mod definition;
mod disturbance;
mod instrument;
mod market;
mod messages;
mod methods;
mod number;
mod object;
mod played;
mod prices;
mod protocol;
mod rpc;
mod session;
mod stats;
mod subscription;
mod ticker;
mod topics;
mod trading;
mod venue;
mod wheel;

use std::time::Duration;

use self::capture::Answers;
use self::market::Market;
use self::played::Played;
use self::venue::Venue;
use crate::Error;
use crate::clock::now_ms;
use crate::host::{self, Handle, Source};

/// Most symbols of a generated market, which only the options take up.
const MOST_SYMBOLS: usize = 5000;

/// The limits of the venue that tests may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// What the venue takes for a second of heartbeats, idle connections and credits. Data keeps real time.
    pub second: Duration,
    /// Client id and secret that `public/auth` accepts; `None` accepts nobody.
    pub credentials: Option<(String, String)>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { second: Duration::from_secs(1), credentials: None }
    }
}

impl Limits {
    /// At least one millisecond.
    fn second_ms(&self) -> u64 {
        u64::try_from(self.second.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// What a simulated Deribit is asked to be.
pub type Config = host::Config<Limits>;

/// Starts the venue; its port accepts connections when this returns.
///
/// # Errors
///
/// [`Error`] when there are no symbols or too many, the port is taken, a capture cannot be read, or a fault names a
/// stream without data.
pub fn start(config: &Config) -> Result<Handle, Error> {
    let mut played = None;
    let (market, answers) = match &config.source {
        Source::Generated(generated) if !(1..=MOST_SYMBOLS).contains(&generated.symbols) => {
            return Err(Error::Configuration(format!("symbols must be 1 to {MOST_SYMBOLS}")));
        }
        Source::Generated(generated) => (Market::new(generated, now_ms()), None),
        Source::Capture(_) => (Market::empty(0, now_ms()), Some(Answers::default())),
        Source::History(_) => {
            played = Some(Played::default());
            (Market::empty(0, now_ms()), None)
        }
    };
    let mut venue = Venue::new(market, config.limits.clone(), answers);
    venue.played = played;
    host::start(config, Box::new(venue))
}

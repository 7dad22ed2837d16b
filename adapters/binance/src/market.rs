//! The three markets and their limits.

use std::time::Duration;

use marketprism_core::venue::{Allowance, Continuity, Market};

/// Channels of spot; the last one is polled.
const SPOT_CHANNELS: &[&str] =
    &["trade", "agg_trade", "book", "book5", "book10", "book20", "quote", "ticker", "candle", "clock"];

/// Channels of both futures markets; the last four are polled.
const FUTURES_CHANNELS: &[&str] = &[
    "trade",
    "agg_trade",
    "book",
    "book5",
    "book10",
    "book20",
    "quote",
    "ticker",
    "candle",
    "mark_price",
    "liquidation",
    "open_interest",
    "long_short_ratio",
    "funding_rate",
    "clock",
];

/// Header with the request weight used in the current minute.
const USED_WEIGHT: Option<&str> = Some("x-mbx-used-weight-1m");

/// The venue cuts every connection at this age.
const LIFETIME: Option<Duration> = Some(Duration::from_secs(24 * 60 * 60));

/// Streams on one connection.
const STREAMS: usize = 1024;

/// Connection attempts; documented for spot only.
const CONNECTS: Allowance = Allowance { most: 300, window: Duration::from_secs(5 * 60) };

/// All markets.
pub(crate) static MARKETS: [Market; 3] = [
    Market {
        name: "spot",
        continuity: Continuity::Contiguous,
        websocket: &[
            "wss://stream.binance.com:9443",
            "wss://stream.binance.com:443",
            "wss://data-stream.binance.vision",
        ],
        rest: &[
            "https://api.binance.com",
            "https://api-gcp.binance.com",
            "https://api1.binance.com",
            "https://api2.binance.com",
            "https://api3.binance.com",
            "https://api4.binance.com",
            "https://data-api.binance.vision",
        ],
        channels: SPOT_CHANNELS,
        counts_contracts: false,
        messages_per_second: 5,
        requests: None,
        requests_per_address: None,
        streams_per_connection: STREAMS,
        books_per_connection: STREAMS,
        streams_per_request: 200,
        connects: CONNECTS,
        connections: None,
        connection_lifetime: LIFETIME,
        // The server pings every 20 s.
        silence_limit: Duration::from_secs(45),
        keep_alive: None,
        rest_weight: per_minute(6000),
        used_weight_header: USED_WEIGHT,
    },
    futures("usdm", &["wss://fstream.binance.com"], &["https://fapi.binance.com"], false),
    futures("coinm", &["wss://dstream.binance.com"], &["https://dapi.binance.com"], true),
];

const fn per_minute(most: u32) -> Allowance {
    Allowance { most, window: Duration::from_secs(60) }
}

/// A futures market. The venue counts the weight of both together since 2026-06-30; its header says what is
/// used by both.
const fn futures(
    name: &'static str,
    websocket: &'static [&'static str],
    rest: &'static [&'static str],
    counts_contracts: bool,
) -> Market {
    Market {
        name,
        continuity: Continuity::Linked,
        websocket,
        rest,
        channels: FUTURES_CHANNELS,
        counts_contracts,
        messages_per_second: 10,
        requests: None,
        requests_per_address: None,
        streams_per_connection: STREAMS,
        books_per_connection: STREAMS,
        streams_per_request: 200,
        connects: CONNECTS,
        connections: None,
        connection_lifetime: LIFETIME,
        // The server pings every 3 minutes.
        silence_limit: Duration::from_secs(240),
        keep_alive: None,
        rest_weight: per_minute(2400),
        used_weight_header: USED_WEIGHT,
    }
}

/// Which market a table entry is, for the few places where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarketKind {
    /// Spot.
    Spot,
    /// USD-M futures: linear.
    UsdM,
    /// COIN-M futures: inverse, quantities in contracts.
    CoinM,
}

impl MarketKind {
    /// The kind of a market of this crate.
    pub(crate) fn of(market: &Market) -> MarketKind {
        match market.name {
            "usdm" => MarketKind::UsdM,
            "coinm" => MarketKind::CoinM,
            _ => MarketKind::Spot,
        }
    }

    /// Where the REST methods are.
    pub(crate) fn rest_prefix(self) -> &'static str {
        match self {
            MarketKind::Spot => "/api/v3",
            MarketKind::UsdM => "/fapi/v1",
            MarketKind::CoinM => "/dapi/v1",
        }
    }
}

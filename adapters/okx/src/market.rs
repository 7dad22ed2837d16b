//! The four markets and their limits.

use std::time::Duration;

use marketprism_core::venue::{Allowance, Continuity, KeepAlive, Market};

/// Route of most streams.
pub(crate) const PUBLIC: &str = "/ws/v5/public";

/// Route of candles and of single fills.
pub(crate) const BUSINESS: &str = "/ws/v5/business";

/// All markets. `clock` and `long_short_ratio` are polled.
pub(crate) static MARKETS: [Market; 4] = [
    market("spot", &["trade", "book", "book5", "quote", "ticker", "candle", "clock"], false),
    market("swap", FUTURES_CHANNELS, true),
    market("futures", FUTURES_CHANNELS, true),
    market(
        "option",
        &[
            "trade",
            "book",
            "book5",
            "quote",
            "ticker",
            "candle",
            "mark_price",
            "index",
            "open_interest",
            "liquidation",
            "greeks",
            "clock",
        ],
        true,
    ),
];

const FUTURES_CHANNELS: &[&str] = &[
    "trade",
    "book",
    "book5",
    "quote",
    "ticker",
    "candle",
    "mark_price",
    "index",
    "funding_rate",
    "open_interest",
    "liquidation",
    "long_short_ratio",
    "clock",
];

const fn market(name: &'static str, channels: &'static [&'static str], counts_contracts: bool) -> Market {
    Market {
        name,
        continuity: Continuity::Chained,
        websocket: &["wss://ws.okx.com:8443", "wss://wsaws.okx.com:8443"],
        rest: &["https://www.okx.com", "https://aws.okx.com"],
        channels,
        counts_contracts,
        // Not documented; far below what the venue has been seen to bear.
        messages_per_second: 5,
        requests: Some(Allowance { most: 480, window: Duration::from_secs(60 * 60) }),
        requests_per_address: None,
        // The venue has a limit and does not publish it.
        streams_per_connection: 100,
        books_per_connection: 30,
        // A hundred arguments have some 10 KB; the venue takes 64 KB.
        streams_per_request: 100,
        connects: Allowance { most: 3, window: Duration::from_secs(1) },
        connections: None,
        connection_lifetime: None,
        // The venue closes a connection after 30 s without a message; a `ping` counts as one.
        silence_limit: Duration::from_secs(30),
        keep_alive: Some(KeepAlive { after: Duration::from_secs(15), text: "ping" }),
        // Every method has a limit of its own, 20 in 2 s for the most used of them. Together they are kept below
        // it; the methods with a lower one weigh more.
        rest_weight: Allowance { most: 20, window: Duration::from_secs(2) },
        used_weight_header: None,
    }
}

/// The venue's name of the instruments in a market.
pub(crate) fn instrument_type(market: &Market) -> &'static str {
    match market.name {
        "swap" => "SWAP",
        "futures" => "FUTURES",
        "option" => "OPTION",
        _ => "SPOT",
    }
}

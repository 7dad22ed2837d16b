//! The five markets and their limits.

use std::time::Duration;

use marketprism_core::venue::{Allowance, Continuity, Market};

/// Weight of a request for instruments: what any others the venue lets come in one second.
pub(crate) const REST_WEIGHT: u32 = 20;

/// Any client.
const PUBLIC: &[&str] = &["wss://www.deribit.com", "wss://streams.deribit.com"];

/// The second address serves market data without authentication only.
const AUTHENTICATED: &[&str] = &["wss://www.deribit.com"];

/// The markets of a client without credentials.
pub(crate) static MARKETS: [Market; 5] = markets(PUBLIC);

/// The markets of a client with credentials.
pub(crate) static AUTHENTICATED_MARKETS: [Market; 5] = markets(AUTHENTICATED);

const fn markets(websocket: &'static [&'static str]) -> [Market; 5] {
    [
        market(
            "spot",
            websocket,
            &["trade", "book", "book20", "book10", "book1", "quote", "ticker", "candle", "index", "clock"],
        ),
        market(
            "perpetual",
            websocket,
            &[
                "trade",
                "liquidation",
                "book",
                "book20",
                "book10",
                "book1",
                "quote",
                "ticker",
                "mark_price",
                "open_interest",
                "funding_rate",
                "candle",
                "index",
                "volatility_index",
                "clock",
            ],
        ),
        market(
            "future",
            websocket,
            &[
                "trade",
                "liquidation",
                "book",
                "book20",
                "book10",
                "book1",
                "quote",
                "ticker",
                "mark_price",
                "open_interest",
                "candle",
                "index",
                "volatility_index",
                "clock",
            ],
        ),
        market(
            "option",
            websocket,
            &[
                "trade",
                "liquidation",
                "book",
                "book20",
                "book10",
                "book1",
                "quote",
                "ticker",
                "mark_price",
                "open_interest",
                "greeks",
                "candle",
                "index",
                "volatility_index",
                "clock",
            ],
        ),
        market(
            "combo",
            websocket,
            &[
                "trade",
                "book",
                "book20",
                "book10",
                "book1",
                "quote",
                "ticker",
                "candle",
                "index",
                "volatility_index",
                "clock",
            ],
        ),
    ]
}

const fn market(
    name: &'static str,
    websocket: &'static [&'static str],
    channels: &'static [&'static str],
) -> Market {
    Market {
        name,
        continuity: Continuity::Chained,
        websocket,
        rest: &["https://www.deribit.com"],
        channels,
        counts_contracts: false,
        // 3,000 of 10,000 credits a second for a subscribe request.
        messages_per_second: 3,
        requests: None,
        // Credits: 3,000 a request of 30,000, which come back at 10,000 a second; shared by all that is not signed in.
        requests_per_address: Some(Allowance { most: 10, window: Duration::from_secs(3) }),
        streams_per_connection: 400,
        books_per_connection: 400,
        // A request of this many channels stays far below the 32 kB that the venue takes.
        streams_per_request: 200,
        // Not documented: no more in a minute than may be open at once.
        connects: Allowance { most: 32, window: Duration::from_secs(60) },
        connections: Some(32),
        connection_lifetime: None,
        // Heartbeats come every 10 s, `test_request` up to 12.6 s after one was asked for.
        silence_limit: Duration::from_secs(25),
        keep_alive: None,
        // Ten lists of instruments, of the fifty that the venue lets come at once.
        rest_weight: Allowance { most: 10 * REST_WEIGHT, window: Duration::from_secs(10) },
        used_weight_header: None,
    }
}

/// Which market a name is, for the places where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarketKind {
    /// Spot.
    Spot,
    /// Futures without expiry.
    Perpetual,
    /// Futures with expiry.
    Future,
    /// Options.
    Option,
    /// Future and option combos.
    Combo,
}

impl MarketKind {
    /// The market with this name; an unknown name is treated like `spot`.
    pub(crate) fn of(name: &str) -> MarketKind {
        match name {
            "perpetual" => MarketKind::Perpetual,
            "future" => MarketKind::Future,
            "option" => MarketKind::Option,
            "combo" => MarketKind::Combo,
            _ => MarketKind::Spot,
        }
    }

    /// Whether quantities of the instrument with this name are quote units (US dollars) and not base coins, as far as
    /// the name tells for certain: futures of a coin are inverse, those of a pair (`BTC_USDC`) linear. So are spreads
    /// of two futures, the combos with the strategy `FS`.
    #[inline]
    pub(crate) fn counts_quote_units(self, symbol: &[u8]) -> bool {
        let mut parts = symbol.split(|byte| *byte == b'-');
        let of_coin = !parts.next().unwrap_or_default().contains(&b'_');
        match self {
            MarketKind::Perpetual | MarketKind::Future => of_coin,
            MarketKind::Combo => of_coin && parts.next() == Some(b"FS"),
            MarketKind::Spot | MarketKind::Option => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_unit_of_quantities() {
        for (market, symbol, quote_units) in [
            (MarketKind::Perpetual, "BTC-PERPETUAL", true),
            (MarketKind::Perpetual, "SOL_USDC-PERPETUAL", false),
            (MarketKind::Future, "BTC-25DEC26", true),
            (MarketKind::Future, "BTC_USDC-27MAR26", false),
            (MarketKind::Future, "BTCDVOL_USDC-27MAR26", false),
            (MarketKind::Option, "BTC-25MAR23-420-C", false),
            (MarketKind::Option, "XRP_USDC-30JUN23-0d625-C", false),
            (MarketKind::Spot, "BTC_USDC", false),
            (MarketKind::Combo, "BTC-FS-25DEC26_PERP", true),
            (MarketKind::Combo, "BTC_USDC-FS-25DEC26_PERP", false),
            (MarketKind::Combo, "BTC-CS-19MAY26-70000_75000", false),
        ] {
            assert_eq!(market.counts_quote_units(symbol.as_bytes()), quote_units, "{symbol}");
        }
    }
}

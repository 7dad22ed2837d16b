//! The streams of OKX and Deribit and the channels that subscribe them.

use std::collections::{BTreeMap, BTreeSet};

use marketprism_core::record::Kind;
use marketprism_runtime::{RawCapture, Source};
use marketprism_simulator::host::{Handle, Ledger, StreamLedger};

use super::{Amount, Sent, SentStream};

/// A market and what is recorded of it.
type MarketChannels = (&'static str, &'static [&'static str]);

/// What is recorded of a simulated OKX.
pub(super) const OKX_CHANNELS: [MarketChannels; 4] = [
    ("spot", &["trade", "book", "quote", "ticker", "candle"]),
    (
        "swap",
        &[
            "trade",
            "book",
            "quote",
            "ticker",
            "candle",
            "mark_price",
            "index",
            "funding_rate",
            "open_interest",
            "liquidation",
            "long_short_ratio",
        ],
    ),
    (
        "futures",
        &["trade", "book", "quote", "ticker", "candle", "mark_price", "open_interest", "liquidation"],
    ),
    ("option", &["trade", "book", "ticker", "mark_price", "open_interest", "greeks"]),
];

/// What is recorded of a simulated Deribit.
pub(super) const DERIBIT_CHANNELS: [MarketChannels; 5] = [
    ("perpetual", &["trade", "book", "quote", "ticker", "index", "volatility_index", "candle"]),
    ("future", &["trade", "book", "quote", "ticker", "candle"]),
    ("option", &["trade", "book", "quote", "ticker"]),
    ("spot", &["trade", "book", "quote", "ticker", "candle"]),
    ("combo", &["trade", "book", "quote"]),
];

/// Sources that record all instruments of a simulated venue.
pub(super) fn sources(venue: &str, handle: &Handle, channels: &[MarketChannels]) -> Vec<Source> {
    let of_market = |(market, channels): &MarketChannels| Source {
        venue: venue.into(),
        market: (*market).into(),
        symbols: vec!["*".into()],
        exclude: vec![],
        channels: channels.iter().map(|channel| (*channel).to_owned()).collect(),
        websocket: vec![handle.websocket_url()],
        rest: vec![handle.rest_url()],
        raw: RawCapture::default(),
    };
    channels.iter().map(of_market).collect()
}

/// Sources that record what is in the captures that a simulated venue plays; `read` finds symbol and channel of a
/// stream.
pub(super) fn captured_sources(
    venue: &str,
    handle: &Handle,
    read: impl Fn(&str) -> Option<(String, String)>,
) -> Vec<Source> {
    let mut sources = Vec::new();
    for market in handle.markets() {
        let mut by_symbol: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (symbol, channel) in handle.streams(&market).iter().filter_map(|stream| read(stream)) {
            by_symbol.entry(symbol).or_default().insert(channel);
        }
        let mut by_channels: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
        for (symbol, channels) in by_symbol {
            by_channels.entry(channels.into_iter().collect()).or_default().push(symbol);
        }
        sources.extend(by_channels.into_iter().map(|(channels, symbols)| Source {
            venue: venue.into(),
            market: market.clone(),
            symbols,
            exclude: vec![],
            channels,
            websocket: vec![handle.websocket_url()],
            rest: vec![handle.rest_url()],
            raw: RawCapture::default(),
        }));
    }
    sources
}

/// Symbol and channel of an OKX stream of captures.
pub(super) fn okx_channel(stream: &str) -> Option<(String, String)> {
    let (channel, symbol) = stream.split_once(':')?;
    let channel = match channel {
        "trades" => "trade",
        "trades-all" => "trade@all",
        "books" => "book",
        "books-l2-tbt" => "book@l2-tbt",
        "books50-l2-tbt" => "book@50-l2-tbt",
        "books5" => "book5",
        "bbo-tbt" => "quote",
        "tickers" => "ticker",
        "mark-price" => "mark_price",
        "funding-rate" => "funding_rate",
        "open-interest" => "open_interest",
        _ => return None,
    };
    Some((symbol.to_owned(), channel.to_owned()))
}

/// Symbol and channel of a Deribit stream of captures.
pub(super) fn deribit_channel(stream: &str) -> Option<(String, String)> {
    let mut parts = stream.split('.');
    let (channel, symbol) = (parts.next()?, parts.next()?);
    let channel = match (channel, parts.next(), parts.next()) {
        ("book", Some(interval), None) => format!("book@{interval}"),
        ("trades", Some(interval), None) => format!("trade@{interval}"),
        ("ticker", Some(interval), None) => format!("ticker@{interval}"),
        ("quote", None, None) => "quote".to_owned(),
        _ => return None,
    };
    Some((symbol.to_owned(), channel))
}

/// What a ledger says was sent; `read` finds symbol, kind and amount of a stream.
pub(super) fn sent(
    venue: &'static str,
    ledger: Ledger,
    read: impl Fn(&StreamLedger) -> Option<(String, Kind, Amount)>,
) -> Sent {
    let stream = |stream: &StreamLedger| {
        let (symbol, kind, amount) = read(stream)?;
        // Streams of a whole market are told apart by it.
        let market = if symbol.is_empty() { stream.market.clone() } else { String::new() };
        Some(SentStream { venue, market, symbol, kind, amount })
    };
    Sent {
        streams: ledger.streams.iter().filter_map(stream).collect(),
        deliveries: ledger.deliveries(),
        violations: ledger.violations,
    }
}

/// All ids of a stream, where it had messages.
fn ids(stream: &StreamLedger) -> Option<Amount> {
    Some(Amount::Ids(stream.first_id?, stream.last_id?))
}

/// An OKX stream, `channel:key`.
pub(super) fn okx_stream(stream: &StreamLedger) -> Option<(String, Kind, Amount)> {
    let (channel, key) = stream.stream.split_once(':')?;
    let messages = Amount::Records(stream.deliveries);
    let (kind, amount) = match channel {
        "trades" | "trades-all" => (Kind::Trade, ids(stream)?),
        "books" => (Kind::BookDelta, messages),
        "bbo-tbt" => (Kind::Quote, messages),
        "tickers" => (Kind::Ticker, messages),
        "mark-price" | "index-tickers" => (Kind::MarkPrice, messages),
        "funding-rate" => (Kind::FundingRate, messages),
        "open-interest" => (Kind::OpenInterest, messages),
        "liquidation-orders" => (Kind::Liquidation, Amount::AtLeast(stream.deliveries)),
        "opt-summary" => (Kind::Greeks, Amount::AtLeast(stream.deliveries)),
        _ if channel.starts_with("candle") => (Kind::Candle, messages),
        _ => return None,
    };
    let whole_market = matches!(kind, Kind::Liquidation | Kind::Greeks);
    Some((if whole_market { String::new() } else { key.to_owned() }, kind, amount))
}

/// A Deribit stream, by the venue's name of the channel.
pub(super) fn deribit_stream(stream: &StreamLedger) -> Option<(String, Kind, Amount)> {
    let mut parts = stream.stream.split('.');
    let (channel, symbol) = (parts.next()?, parts.next()?);
    let messages = Amount::Records(stream.deliveries);
    let (kind, amount, symbol) = match channel {
        "book" => (Kind::BookDelta, messages, symbol),
        "trades" => (Kind::Trade, ids(stream)?, symbol),
        "quote" => (Kind::Quote, messages, symbol),
        "ticker" => (Kind::Ticker, messages, symbol),
        "deribit_price_index" => (Kind::MarkPrice, messages, symbol),
        "deribit_volatility_index" => (Kind::VolatilityIndex, messages, symbol),
        "chart" => (Kind::Candle, messages, parts.next()?),
        _ => return None,
    };
    Some((symbol.to_owned(), kind, amount))
}

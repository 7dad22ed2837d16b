//! Binance's streams and the channels that subscribe them.

use std::collections::BTreeMap;

use marketprism_core::record::Kind;
use marketprism_runtime::{RawCapture, Source};
use marketprism_simulator::{Ledger, Market, Simulator};

use super::{Amount, Sent, SentStream};

/// Channels of futures that are polled, not streamed.
const POLLED: [&str; 3] = ["open_interest", "long_short_ratio", "funding_rate"];

/// The channel of the configuration that subscribes a stream, for the streams that a simulator names.
fn channel_of(stream: &str) -> Option<(String, String)> {
    let (symbol, suffix) = stream.split_once('@')?;
    let channel = match suffix {
        "trade" => "trade".to_owned(),
        "aggTrade" => "agg_trade".to_owned(),
        "bookTicker" => "quote".to_owned(),
        "ticker" => "ticker".to_owned(),
        "markPrice@1s" => "mark_price".to_owned(),
        "forceOrder" => "liquidation".to_owned(),
        "depth@100ms" => "book@100ms".to_owned(),
        "depth@0ms" => "book@fastest".to_owned(),
        other => format!("candle@{}", other.strip_prefix("kline_")?),
    };
    Some((symbol.to_uppercase(), channel))
}

/// Sources that subscribe what a simulator offers: for a generated market every channel in `channels`, for
/// captured frames what is in the capture and in `channels`. An empty list of channels means all.
pub(super) fn sources(simulator: &Simulator, markets: &[Market], channels: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for market in markets {
        for (mut channels_of_symbols, symbols) in by_channels(simulator, *market, channels) {
            if *market != Market::Spot {
                let polled = POLLED.iter().filter(|polled| channels.contains(polled));
                channels_of_symbols.extend(polled.map(|polled| (*polled).to_owned()));
            }
            sources.push(Source {
                venue: "binance".into(),
                market: market.name().into(),
                symbols,
                exclude: vec![],
                channels: channels_of_symbols,
                websocket: vec![simulator.websocket_url(*market)],
                rest: vec![simulator.rest_url(*market)],
                raw: RawCapture::default(),
            });
        }
    }
    sources
}

/// Symbols with the same channels share a source.
fn by_channels(
    simulator: &Simulator,
    market: Market,
    channels: &[&str],
) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut by_symbol: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (symbol, channel) in simulator.streams(market).iter().filter_map(|stream| channel_of(stream)) {
        if channels.is_empty() || channels.contains(&channel.as_str()) {
            by_symbol.entry(symbol).or_default().push(channel);
        }
    }
    let mut by_channels: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for (symbol, mut channels) in by_symbol {
        channels.sort();
        channels.dedup();
        // Where everything is offered the usual choice: one-minute candles, and one book channel.
        if channels.iter().any(|channel| channel == "candle@1m") {
            channels.retain(|channel| channel == "candle@1m" || !channel.starts_with("candle@"));
        }
        if channels.iter().any(|channel| channel == "book@100ms") {
            channels.retain(|channel| channel != "book@fastest");
        }
        by_channels.entry(channels).or_default().push(symbol);
    }
    by_channels
}

/// What a ledger says was sent.
pub(super) fn sent(ledger: Ledger) -> Sent {
    let stream = |stream: &marketprism_simulator::StreamLedger| {
        let (symbol, channel) = channel_of(&stream.stream)?;
        let kind = match channel.split('@').next().unwrap_or_default() {
            "trade" => Kind::Trade,
            "agg_trade" => Kind::AggTrade,
            "quote" => Kind::Quote,
            "ticker" => Kind::Ticker,
            "mark_price" => Kind::MarkPrice,
            "liquidation" => Kind::Liquidation,
            "book" => Kind::BookDelta,
            "candle" => Kind::Candle,
            _ => return None,
        };
        let market = stream.market.name().to_owned();
        Some(SentStream {
            venue: "binance",
            market,
            symbol,
            kind,
            amount: Amount::Records(stream.deliveries),
        })
    };
    Sent {
        streams: ledger.streams.iter().filter_map(stream).collect(),
        deliveries: ledger.deliveries(),
        violations: ledger.violations,
    }
}

//! Binance: spot, USD-M futures and COIN-M futures. Public market data only.
//!
//! Frames are read by two paths that give the same records: the predicted path expects the order of keys that
//! the venue uses, the general path takes any JSON. See [`FrameDecoder`].

mod decoder;
mod depth;
mod fields;
mod general;
mod instruments;
mod market;
mod predicted;
mod rest;
mod statistics;
mod streams;

use marketprism_core::instrument::{Instrument, InstrumentId, SymbolTable};
use marketprism_core::record::Sink;
use marketprism_core::venue::{DecodeError, Decoder, Market, Poll, Request, Stream, Venue};

pub use decoder::FrameDecoder;

/// The venue's name.
const NAME: &str = "binance";

/// The venue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Binance;

impl Venue for Binance {
    fn name(&self) -> &'static str {
        NAME
    }

    fn markets(&self) -> &'static [Market] {
        &market::MARKETS
    }

    fn streams(
        &self,
        market: &Market,
        channel: &str,
        instrument: &Instrument,
    ) -> Result<Vec<Stream>, String> {
        streams::streams(market, channel, instrument)
    }

    fn lifecycle_streams(&self, market: &Market, market_instrument: InstrumentId) -> Vec<Stream> {
        streams::lifecycle_streams(market, market_instrument)
    }

    fn polls(&self, market: &Market, channel: &str, instrument: &Instrument) -> Vec<Poll> {
        rest::polls(market, channel, instrument)
    }

    /// Frames of this path are wrapped with the name of their stream, which alone tells some of them apart.
    fn websocket_path(&self, _market: &Market, route: &str) -> String {
        format!("{route}/stream")
    }

    fn subscribe(&self, request_id: u64, streams: &[&str]) -> String {
        streams::request("SUBSCRIBE", request_id, streams)
    }

    fn unsubscribe(&self, request_id: u64, streams: &[&str]) -> String {
        streams::request("UNSUBSCRIBE", request_id, streams)
    }

    fn decoder(&self, market: &'static Market, symbols: SymbolTable) -> Box<dyn Decoder> {
        Box::new(FrameDecoder::new(market.name, symbols))
    }

    fn instruments_requests(&self, market: &Market) -> Vec<Request> {
        vec![rest::instruments_request(market)]
    }

    fn parse_instruments(
        &self,
        market: &Market,
        body: &[u8],
    ) -> Result<(Vec<Instrument>, Vec<String>), DecodeError> {
        instruments::parse(market, body)
    }

    fn snapshot_request(&self, market: &Market, instrument: &Instrument, books: usize) -> Option<Request> {
        Some(rest::snapshot_request(market, instrument, books))
    }

    fn parse_snapshot(
        &self,
        _market: &Market,
        instrument: InstrumentId,
        body: &[u8],
        receive_ns: i64,
        sink: &mut dyn Sink,
    ) -> Result<(), DecodeError> {
        rest::parse_snapshot(instrument, body, receive_ns, sink)
    }

    fn parse_poll(
        &self,
        _market: &Market,
        poll: &Poll,
        body: &[u8],
        times: (i64, i64),
        sink: &mut dyn Sink,
    ) -> Result<(), DecodeError> {
        rest::parse_poll(poll, body, times, sink)
    }
}

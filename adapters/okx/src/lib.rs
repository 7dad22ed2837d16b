//! OKX v5: spot, perpetual swaps, futures and options. Public market data only.
//!
//! Frames are read by two paths that give the same records: the predicted path expects the order of keys that
//! the venue uses, the general path takes any JSON. See [`FrameDecoder`].

mod bars;
mod decoder;
mod fields;
mod general;
mod instruments;
mod market;
mod messages;
mod predicted;
mod ratio;
mod rest;
mod sides;
mod statistics;
mod streams;

use marketprism_core::instrument::{Instrument, InstrumentId, SymbolTable};
use marketprism_core::record::Sink;
use marketprism_core::venue::{DecodeError, Decoder, Market, Poll, Request, Stream, Venue};

pub use decoder::FrameDecoder;

/// The venue's name.
const NAME: &str = "okx";

/// The venue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Okx;

impl Venue for Okx {
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
        vec![streams::instruments(market, market_instrument)]
    }

    fn polls(&self, market: &Market, channel: &str, instrument: &Instrument) -> Vec<Poll> {
        rest::polls(market, channel, instrument)
    }

    fn websocket_path(&self, _market: &Market, route: &str) -> String {
        route.to_owned()
    }

    fn subscribe(&self, request_id: u64, streams: &[&str]) -> String {
        streams::request("subscribe", request_id, streams)
    }

    fn unsubscribe(&self, request_id: u64, streams: &[&str]) -> String {
        streams::request("unsubscribe", request_id, streams)
    }

    fn decoder(&self, market: &'static Market, symbols: SymbolTable) -> Box<dyn Decoder> {
        Box::new(FrameDecoder::new(market.name, symbols))
    }

    fn symbols_in(&self, frame: &[u8]) -> Vec<String> {
        instruments::symbols_in(frame)
    }

    fn instruments_requests(&self, market: &Market) -> Vec<Request> {
        rest::instruments_requests(market)
    }

    fn parse_instruments(
        &self,
        market: &Market,
        body: &[u8],
    ) -> Result<(Vec<Instrument>, Vec<String>), DecodeError> {
        instruments::parse(market, body)
    }

    fn snapshot_request(&self, _market: &Market, _instrument: &Instrument, _books: usize) -> Option<Request> {
        None
    }

    /// Reads `market/books`, whose snapshot no stream continues; for tools.
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

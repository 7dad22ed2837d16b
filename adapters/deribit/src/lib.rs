//! Deribit v2: spot, perpetuals, futures, options and combos. Public market data only.
//!
//! Frames are read by two paths that give the same records: the predicted path expects the form and the keys that
//! the venue uses, the general path takes any JSON. See [`FrameDecoder`].
//!
//! Credentials are optional. With them books, trades and tickers come with each change instead of every 100 ms.

mod channel;
mod credentials;
mod decoder;
mod fields;
mod general;
mod instruments;
mod market;
mod numbers;
mod predicted;
mod rest;
mod session;
mod streams;
mod ticker;

use marketprism_core::instrument::{Instrument, InstrumentId, SymbolTable};
use marketprism_core::record::Sink;
use marketprism_core::venue::{DecodeError, Decoder, Market, Opening, Poll, Request, Stream, Venue};

pub use credentials::Credentials;
pub use decoder::FrameDecoder;

/// The venue's name.
const NAME: &str = "deribit";

/// The venue.
#[derive(Clone, Debug, Default)]
pub struct Deribit {
    credentials: Option<Credentials>,
}

impl Deribit {
    /// The venue as a client with or without credentials sees it.
    pub fn new(credentials: Option<Credentials>) -> Deribit {
        Deribit { credentials }
    }

    /// With the credentials of [`Credentials::from_environment`].
    pub fn from_environment() -> Deribit {
        Deribit::new(Credentials::from_environment())
    }
}

impl Venue for Deribit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn markets(&self) -> &'static [Market] {
        if self.credentials.is_some() { &market::AUTHENTICATED_MARKETS } else { &market::MARKETS }
    }

    fn streams(
        &self,
        market: &Market,
        channel: &str,
        instrument: &Instrument,
    ) -> Result<Vec<Stream>, String> {
        let interval = if self.credentials.is_some() { "raw" } else { "100ms" };
        streams::streams(market, channel, instrument, interval)
    }

    fn lifecycle_streams(&self, _market: &Market, market_instrument: InstrumentId) -> Vec<Stream> {
        streams::lifecycle(market_instrument)
    }

    fn polls(&self, market: &Market, channel: &str, instrument: &Instrument) -> Vec<Poll> {
        rest::polls(market, channel, instrument)
    }

    fn websocket_path(&self, _market: &Market, _route: &str) -> String {
        "/ws/api/v2".to_owned()
    }

    fn opening(&self, _market: &Market, first_id: u64) -> Vec<Opening> {
        session::opening(self.credentials.as_ref(), first_id)
    }

    fn subscribe(&self, request_id: u64, streams: &[&str]) -> String {
        session::channels(request_id, "public/subscribe", streams)
    }

    fn unsubscribe(&self, request_id: u64, streams: &[&str]) -> String {
        session::channels(request_id, "public/unsubscribe", streams)
    }

    /// A raw channel that was refused for want of authentication is taken at 100 ms. Where the authentication itself
    /// is refused, no stream was, and there is nothing to take in its place.
    fn fallback(&self, stream: &str, reason: &str) -> Option<String> {
        session::fallback(stream, reason)
    }

    fn decoder(&self, market: &'static Market, symbols: SymbolTable) -> Box<dyn Decoder> {
        Box::new(FrameDecoder::new(market.name, symbols))
    }

    fn instruments_requests(&self, market: &Market) -> Vec<Request> {
        instruments::requests(market)
    }

    /// The name tells whether a future is inverse.
    fn instrument_by_name(&self, market: &Market, venue_symbol: &str) -> Instrument {
        let inverse = market::MarketKind::of(market.name).counts_quote_units(venue_symbol.as_bytes());
        Instrument { inverse, ..Instrument::unknown(NAME, market.name, venue_symbol) }
    }

    fn parse_instruments(
        &self,
        market: &Market,
        body: &[u8],
    ) -> Result<(Vec<Instrument>, Vec<String>), DecodeError> {
        instruments::parse(market, body)
    }

    /// None: the stream brings the book.
    fn snapshot_request(&self, _market: &Market, _instrument: &Instrument, _books: usize) -> Option<Request> {
        None
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

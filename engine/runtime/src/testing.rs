//! A venue without a wire, for tests of the state machines.

use std::time::Duration;

use marketprism_core::instrument::{Instrument, InstrumentId, SymbolTable};
use marketprism_core::record::Sink;
use marketprism_core::venue::*;

pub(crate) static MARKET: Market = TEST_MARKET;

/// A market that wants an opening, keep-alives and few requests.
pub(crate) static STRICT: Market = Market {
    name: "opened",
    requests: Some(Allowance { most: 6, window: Duration::from_secs(3600) }),
    keep_alive: Some(KeepAlive { after: Duration::from_secs(15), text: "ping" }),
    connection_lifetime: None,
    messages_per_second: 100,
    ..TEST_MARKET
};

pub(crate) const TEST_MARKET: Market = Market {
    name: "test",
    continuity: Continuity::Contiguous,
    websocket: &["ws://one", "ws://two"],
    rest: &["http://one"],
    channels: &["trade"],
    counts_contracts: false,
    messages_per_second: 5,
    requests: None,
    requests_per_address: None,
    streams_per_connection: 100,
    books_per_connection: 100,
    streams_per_request: 3,
    connects: Allowance { most: 300, window: Duration::from_secs(300) },
    connections: None,
    connection_lifetime: Some(Duration::from_secs(3600)),
    silence_limit: Duration::from_secs(60),
    keep_alive: None,
    rest_weight: Allowance { most: 100, window: Duration::from_secs(60) },
    used_weight_header: Some("x-weight"),
};

pub(crate) struct TestVenue;

pub(crate) fn streams(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("s{n}")).collect()
}

impl Venue for TestVenue {
    fn name(&self) -> &'static str {
        "test"
    }
    fn markets(&self) -> &'static [Market] {
        std::slice::from_ref(&MARKET)
    }
    fn streams(&self, _: &Market, _: &str, _: &Instrument) -> Result<Vec<Stream>, String> {
        Ok(vec![])
    }
    fn polls(&self, _: &Market, _: &str, _: &Instrument) -> Vec<Poll> {
        vec![]
    }
    fn websocket_path(&self, _: &Market, _: &str) -> String {
        "/".into()
    }
    fn subscribe(&self, request_id: u64, streams: &[&str]) -> String {
        format!("{request_id}:{}", streams.join(","))
    }
    fn unsubscribe(&self, request_id: u64, streams: &[&str]) -> String {
        format!("{request_id}:-{}", streams.join(","))
    }
    fn opening(&self, market: &Market, first_id: u64) -> Vec<Opening> {
        let opening = |id| Opening { text: format!("{id}:hello"), purpose: "hello" };
        if market.name == "opened" { vec![opening(first_id), opening(first_id + 1)] } else { vec![] }
    }
    fn fallback(&self, stream: &str, _: &str) -> Option<String> {
        stream.strip_suffix(".raw").map(|name| format!("{name}.100ms"))
    }
    fn decoder(&self, _: &'static Market, _: SymbolTable) -> Box<dyn Decoder> {
        unreachable!("the state machines under test decode nothing")
    }
    fn instruments_requests(&self, _: &Market) -> Vec<Request> {
        vec![Request { path: "/instruments".into(), weight: 1 }]
    }
    fn parse_instruments(&self, _: &Market, _: &[u8]) -> Result<(Vec<Instrument>, Vec<String>), DecodeError> {
        Ok((vec![], vec![]))
    }
    fn snapshot_request(&self, _: &Market, _: &Instrument, _: usize) -> Option<Request> {
        Some(Request { path: "/book".into(), weight: 1 })
    }
    fn parse_snapshot(
        &self,
        _: &Market,
        _: InstrumentId,
        _: &[u8],
        _: i64,
        _: &mut dyn Sink,
    ) -> Result<(), DecodeError> {
        Ok(())
    }
    fn parse_poll(
        &self,
        _: &Market,
        _: &Poll,
        _: &[u8],
        _: (i64, i64),
        _: &mut dyn Sink,
    ) -> Result<(), DecodeError> {
        Ok(())
    }
}

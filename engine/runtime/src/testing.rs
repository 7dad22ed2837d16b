//! A venue without a wire, for tests of the state machines.

use std::time::Duration;

use marketprism_core::instrument::{Instrument, InstrumentId, SymbolTable};
use marketprism_core::record::{Kind, Sink};
use marketprism_core::venue::*;

pub(crate) static MARKET: Market = Market {
    name: "test",
    continuity: Continuity::Contiguous,
    websocket: &["ws://one", "ws://two"],
    rest: &["http://one"],
    channels: &["trade"],
    messages_per_second: 5,
    streams_per_connection: 100,
    streams_per_request: 3,
    connects_per_5_minutes: 300,
    connection_lifetime: Duration::from_secs(3600),
    silence_limit: Duration::from_secs(60),
    weight_per_minute: 100,
    used_weight_header: "x-weight",
};

pub(crate) struct TestVenue;

pub(crate) fn streams(count: usize) -> Vec<Stream> {
    (0..count)
        .map(|n| Stream {
            name: format!("s{n}"),
            route: "",
            instrument: n as InstrumentId,
            kind: Kind::Trade,
        })
        .collect()
}

impl Venue for TestVenue {
    fn name(&self) -> &'static str {
        "test"
    }
    fn markets(&self) -> &'static [Market] {
        std::slice::from_ref(&MARKET)
    }
    fn stream(&self, _: &Market, _: &str, _: &Instrument) -> Result<Option<Stream>, String> {
        Ok(None)
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
    fn decoder(&self, _: &'static Market, _: SymbolTable) -> Box<dyn Decoder> {
        unreachable!("the state machines under test decode nothing")
    }
    fn instruments_request(&self, _: &Market) -> Request {
        Request { path: "/instruments".into(), weight: 1 }
    }
    fn parse_instruments(&self, _: &Market, _: &[u8]) -> Result<(Vec<Instrument>, Vec<String>), DecodeError> {
        Ok((vec![], vec![]))
    }
    fn snapshot_request(&self, _: &Market, _: &Instrument) -> Request {
        Request { path: "/book".into(), weight: 1 }
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
        _: i64,
        _: &mut dyn Sink,
    ) -> Result<(), DecodeError> {
        Ok(())
    }
}

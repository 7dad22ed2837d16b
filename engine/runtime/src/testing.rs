//! A venue without a wire, for tests of the state machines.

use std::time::Duration;

use bytemuck::Zeroable;
use marketprism_core::instrument::{Instrument, InstrumentId, SymbolTable};
use marketprism_core::record::{ABSENT, Book, Header, Kind, Level, Sink, Trade, flag};
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
    fn decoder(&self, _: &'static Market, symbols: SymbolTable) -> Box<dyn Decoder> {
        Box::new(Words { symbols, counts: DecodeCounts::default() })
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
        instrument: InstrumentId,
        body: &[u8],
        receive_ns: i64,
        sink: &mut dyn Sink,
    ) -> Result<(), DecodeError> {
        let sequence = number(std::str::from_utf8(body).map_err(not_a_word)?)?;
        let header = Header {
            sequence,
            flags: flag::SNAPSHOT | flag::REST,
            ..Header::new(Kind::BookSnapshot, instrument, receive_ns)
        };
        let book = Book { bid_levels: 1, previous_id: ABSENT, ..Book::zeroed() };
        sink.push_book(&Book { header, ..book }, &[Level { price: sequence as i64, quantity: 1 }]);
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

/// A decoder of words: `a12` is the trade 12 of the symbol `a`, `=a12` the change 12 of its book. Symbols that it does
/// not know are left out.
struct Words {
    symbols: SymbolTable,
    counts: DecodeCounts,
}

fn not_a_word(error: impl std::fmt::Display) -> DecodeError {
    DecodeError::Json(error.to_string())
}

fn number(text: &str) -> Result<u64, DecodeError> {
    text.parse().map_err(not_a_word)
}

impl Decoder for Words {
    fn decode(&mut self, frame: &[u8], receive_ns: i64, sink: &mut dyn Sink) -> Result<Outcome, DecodeError> {
        let mut read = vec![];
        for word in std::str::from_utf8(frame).map_err(not_a_word)?.split_whitespace() {
            let (kind, word) = match word.strip_prefix('=') {
                Some(word) => (Kind::BookDelta, word),
                None => (Kind::Trade, word),
            };
            let (symbol, id) = word.split_at_checked(1).ok_or_else(|| not_a_word("short"))?;
            read.push((kind, symbol, number(id)?));
        }
        for (kind, symbol, sequence) in read {
            let Some(instrument) = self.symbols.get(symbol.as_bytes()) else { continue };
            let header = Header { sequence, ..Header::new(kind, instrument, receive_ns) };
            match kind {
                Kind::Trade => sink.push(&Trade { header, ..Trade::zeroed() }),
                _ => {
                    let book =
                        Book { first_id: sequence, previous_id: ABSENT, bid_levels: 1, ..Book::zeroed() };
                    sink.push_book(
                        &Book { header, ..book },
                        &[Level { price: sequence as i64, quantity: 2 }],
                    );
                }
            }
        }
        Ok(Outcome::Data)
    }
    fn learn(&mut self, symbol: &[u8], instrument: InstrumentId) {
        self.symbols.insert(symbol, instrument);
    }
    fn counts(&self) -> &DecodeCounts {
        &self.counts
    }
}

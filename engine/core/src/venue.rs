//! What the engine needs to know of a venue. A venue is a crate that implements [`Venue`]; the engine has no
//! other knowledge of it.

use std::time::Duration;

use crate::instrument::{Instrument, InstrumentId, SymbolTable};
use crate::record::{Kind, Sink};

/// How a book's messages prove that none is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// Ids are contiguous: each delta's first id is the last id before it plus one. A snapshot with id L is
    /// bridged by the delta that covers L + 1; deltas up to L are part of it. (Binance spot.)
    Contiguous,
    /// Each delta names the last id of the one before it. A snapshot with id L is bridged by the delta that
    /// covers L or names it; deltas whose last id is below L are part of it. (Binance futures.)
    Linked,
}

/// A market of a venue and the limits that a client of it must keep.
#[derive(Debug)]
pub struct Market {
    /// Name in configuration and records, e.g. `usdm`.
    pub name: &'static str,
    /// Rule of its books.
    pub continuity: Continuity,
    /// WebSocket base addresses, first choice first.
    pub websocket: &'static [&'static str],
    /// REST base addresses, first choice first.
    pub rest: &'static [&'static str],
    /// Channels that a configuration may name, without their options.
    pub channels: &'static [&'static str],
    /// Client messages a second on one connection (pongs count).
    pub messages_per_second: u32,
    /// Streams on one connection.
    pub streams_per_connection: usize,
    /// Streams in one subscribe request.
    pub streams_per_request: usize,
    /// Connection attempts in five minutes from one address.
    pub connects_per_5_minutes: u32,
    /// The venue closes a connection at this age.
    pub connection_lifetime: Duration,
    /// A healthy connection is never silent for longer, server pings included.
    pub silence_limit: Duration,
    /// REST request weight in one minute from one address.
    pub weight_per_minute: u32,
    /// Answer header that carries the weight used in this minute.
    pub used_weight_header: &'static str,
}

/// One stream of one instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The venue's name for it.
    pub name: String,
    /// Connections carry streams of one route only; a path prefix, may be empty.
    pub route: &'static str,
    /// The instrument.
    pub instrument: InstrumentId,
    /// The kind of its records.
    pub kind: Kind,
}

/// A REST request. Always a GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Path and query, beginning with `/`.
    pub path: String,
    /// What it costs of the minute's weight.
    pub weight: u32,
}

/// Something to be fetched again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// What to ask.
    pub request: Request,
    /// Tells the parser what the answer is; a name of the venue's crate.
    pub answer: &'static str,
    /// The instrument it is about.
    pub instrument: InstrumentId,
    /// The kind of its records.
    pub kind: Kind,
    /// Time between two requests.
    pub interval: Duration,
}

/// Why a message could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or cut off.
    #[error("not valid JSON: {0}")]
    Json(String),
    /// A field is missing.
    #[error("field \"{0}\" is missing")]
    Missing(&'static str),
    /// A field has a type or value that it cannot have.
    #[error("field \"{field}\": {problem}")]
    Field {
        /// Its key.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The event type is not known.
    #[error("unknown event \"{0}\"")]
    UnknownEvent(String),
    /// The symbol is not one of the market's instruments.
    #[error("unknown symbol \"{0}\"")]
    UnknownSymbol(String),
    /// Neither an event nor an answer.
    #[error("not a message of this venue: {0}")]
    Shape(String),
}

/// What a frame was, apart from the records that it gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Data; its records are in the sink. A frame may carry none (an event that is not recorded).
    Data,
    /// The venue accepted the request with this id.
    Acknowledged(u64),
    /// The venue refused a request.
    Refused {
        /// The request, where it is named.
        id: Option<u64>,
        /// The venue's words.
        reason: String,
    },
    /// The venue says that it will close the connection soon.
    Closing,
}

/// How many frames went which way. All counts since the decoder was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeCounts {
    /// Frames read by the predicted path, by [`Kind`] number.
    pub predicted: [u64; 32],
    /// Frames that the predicted path gave up and the general one read, by [`Kind`] number.
    pub general: [u64; 32],
    /// Events of a type that is known and not recorded.
    pub ignored: u64,
}

/// Turns frames into records. One for each connection; keeps no state that changes what a frame means.
pub trait Decoder: Send {
    /// Reads one frame. Its records go to the sink, all or none.
    fn decode(&mut self, frame: &[u8], receive_ns: i64, sink: &mut dyn Sink) -> Result<Outcome, DecodeError>;

    /// What it has read so far.
    fn counts(&self) -> &DecodeCounts;
}

/// A venue.
pub trait Venue: Send + Sync {
    /// Name in configuration and records.
    fn name(&self) -> &'static str;

    /// Its markets.
    fn markets(&self) -> &'static [Market];

    /// The market with this name.
    fn market(&self, name: &str) -> Option<&'static Market> {
        self.markets().iter().find(|market| market.name == name)
    }

    /// The stream that carries `channel` (with its option, e.g. `book@100ms`) for an instrument;
    /// `Ok(None)` where the channel is polled. The error says what is wrong with the channel.
    fn stream(
        &self,
        market: &Market,
        channel: &str,
        instrument: &Instrument,
    ) -> Result<Option<Stream>, String>;

    /// Requests to repeat for `channel`; empty where it is a stream.
    fn polls(&self, market: &Market, channel: &str, instrument: &Instrument) -> Vec<Poll>;

    /// Path of a connection that streams of `route` can be subscribed on.
    fn websocket_path(&self, market: &Market, route: &str) -> String;

    /// The text of a subscribe request.
    fn subscribe(&self, request_id: u64, streams: &[&str]) -> String;

    /// A decoder for a connection of this market.
    fn decoder(&self, market: &'static Market, symbols: SymbolTable) -> Box<dyn Decoder>;

    /// Asks for all instruments.
    fn instruments_request(&self, market: &Market) -> Request;

    /// Reads the instruments. Entries that cannot be read are left out and named in the second list.
    fn parse_instruments(
        &self,
        market: &Market,
        body: &[u8],
    ) -> Result<(Vec<Instrument>, Vec<String>), DecodeError>;

    /// Asks for a book.
    fn snapshot_request(&self, market: &Market, instrument: &Instrument) -> Request;

    /// Reads a book: one [`Kind::BookSnapshot`] record with the flags `SNAPSHOT` and `REST`.
    fn parse_snapshot(
        &self,
        market: &Market,
        instrument: InstrumentId,
        body: &[u8],
        receive_ns: i64,
        sink: &mut dyn Sink,
    ) -> Result<(), DecodeError>;

    /// Reads the answer to a [`Poll`]; records carry the flag `REST`.
    fn parse_poll(
        &self,
        market: &Market,
        poll: &Poll,
        body: &[u8],
        receive_ns: i64,
        sink: &mut dyn Sink,
    ) -> Result<(), DecodeError>;
}

//! What the engine needs to know of a venue. A venue is a crate that implements [`Venue`]; the engine has no
//! other knowledge of it.

use std::time::Duration;

use crate::instrument::{Instrument, InstrumentId, SymbolTable};
use crate::record::{Kind, Sink};

/// How a book's messages prove that none is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Continuity {
    /// Ids are contiguous: each delta's first id is the last id before it plus one. A snapshot with id L is
    /// bridged by the delta that covers L + 1; deltas up to L are part of it. (Binance spot.)
    Contiguous,
    /// Each delta names the last id of the one before it. A snapshot with id L is bridged by the delta that
    /// covers L or names it; deltas whose last id is below L are part of it. (Binance futures.)
    Linked,
    /// The stream itself brings the snapshot, once after a subscription, and each delta names the id of the message
    /// before it; ids may repeat and fall. A new snapshot is had by unsubscribing and subscribing. Where the venue
    /// gives no ids, its checksum is all the proof. (OKX, Deribit.)
    Chained,
}

/// So many of something in any window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many.
    pub most: u32,
    /// In how long.
    pub window: Duration,
}

/// A text that keeps a quiet connection open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Sent when nothing has come for so long.
    pub after: Duration,
    /// The text frame.
    pub text: &'static str,
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
    /// Whether quantities count contracts, whose worth only an instrument's definition tells.
    pub counts_contracts: bool,
    /// Client messages a second on one connection (pongs count).
    pub messages_per_second: u32,
    /// Subscribe and unsubscribe requests on one connection; `None`: no limit but that of messages.
    pub requests: Option<Allowance>,
    /// Requests of all connections from one address together; `None`: not limited.
    pub requests_per_address: Option<Allowance>,
    /// Streams on one connection.
    pub streams_per_connection: usize,
    /// Streams with a book on one connection.
    pub books_per_connection: usize,
    /// Streams in one subscribe request.
    pub streams_per_request: usize,
    /// Connection attempts from one address.
    pub connects: Allowance,
    /// Connections open at the same time from one address; `None`: not limited.
    pub connections: Option<usize>,
    /// The venue closes a connection at this age; `None`: it names none.
    pub connection_lifetime: Option<Duration>,
    /// A healthy connection is never silent for longer, pings and answers to [`KeepAlive`] included.
    pub silence_limit: Duration,
    /// What the client has to send to keep a quiet connection open.
    pub keep_alive: Option<KeepAlive>,
    /// REST request weight from one address.
    pub rest_weight: Allowance,
    /// Answer header that carries the weight used in the present window, where the venue tells it.
    pub used_weight_header: Option<&'static str>,
}

/// One stream of one instrument. A stream that carries many instruments is named once for each of them, with the
/// same `name`; it is subscribed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// What [`Venue::subscribe`] takes and an acknowledgement names.
    pub name: String,
    /// Connections carry streams of one route only; a path prefix, may be empty.
    pub route: &'static str,
    /// The instrument.
    pub instrument: InstrumentId,
    /// The kinds of its records, the main one first.
    pub kinds: &'static [Kind],
}

impl Stream {
    /// Whether the instrument's book is built from it.
    pub fn carries_book(&self) -> bool {
        self.kinds.contains(&Kind::BookDelta)
    }
}

/// A request that has to be answered before anything is subscribed.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// The text frame. May hold credentials: never shown, never recorded.
    pub text: String,
    /// What it is, for people, e.g. `authentication`.
    pub purpose: &'static str,
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
    /// The venue answered a request.
    Acknowledged {
        /// Its id; `None` where the venue does not say: then it is the oldest one without an answer.
        id: Option<u64>,
        /// What was accepted.
        accepted: Accepted,
    },
    /// The venue refused a request.
    Refused {
        /// The request, where it is named.
        id: Option<u64>,
        /// The venue's words.
        reason: String,
    },
    /// The venue says that it is there.
    Alive,
    /// The venue wants this text frame back at once.
    Reply(&'static str),
    /// Instruments came, went or changed: the definitions are worth fetching again.
    InstrumentsChanged,
    /// The venue says that it will close the connection soon.
    Closing,
}

/// What a venue accepted of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// All of it.
    All,
    /// These streams; more answers to the same request follow.
    Some(Vec<String>),
    /// These streams and no others; this is the only answer.
    Only(Vec<String>),
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

impl DecodeCounts {
    /// A frame whose first record has this kind was read by the predicted path.
    #[inline]
    pub fn count_predicted(&mut self, kind: Kind) {
        self.predicted[kind as usize % self.predicted.len()] += 1;
    }

    /// The same by the general path.
    pub fn count_general(&mut self, kind: Kind) {
        self.general[kind as usize % self.general.len()] += 1;
    }
}

/// Turns frames into records. One for each connection; keeps no state that changes what a frame means.
pub trait Decoder: Send {
    /// Reads one frame. Its records go to the sink, all or none.
    fn decode(&mut self, frame: &[u8], receive_ns: i64, sink: &mut dyn Sink) -> Result<Outcome, DecodeError>;

    /// Another instrument may come from now on.
    fn learn(&mut self, symbol: &[u8], instrument: InstrumentId);

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

    /// The streams that carry `channel` (with its option, e.g. `book@100ms`) for an instrument; none where it is
    /// polled, or where the channel has nothing to say of such an instrument. The error says what is wrong with the
    /// channel.
    fn streams(&self, market: &Market, channel: &str, instrument: &Instrument)
    -> Result<Vec<Stream>, String>;

    /// Streams that tell of changes of the market's instruments, whatever is recorded; `market_instrument` stands for
    /// the market.
    fn lifecycle_streams(&self, _market: &Market, _market_instrument: InstrumentId) -> Vec<Stream> {
        vec![]
    }

    /// Requests to repeat for `channel`; empty where it is a stream, or of no meaning for such an instrument.
    fn polls(&self, market: &Market, channel: &str, instrument: &Instrument) -> Vec<Poll>;

    /// Path of a connection that streams of `route` can be subscribed on.
    fn websocket_path(&self, market: &Market, route: &str) -> String;

    /// Requests that open a connection, numbered from `first_id` on; the next waits for the answer of the one before.
    fn opening(&self, _market: &Market, _first_id: u64) -> Vec<Opening> {
        vec![]
    }

    /// The text of a subscribe request.
    fn subscribe(&self, request_id: u64, streams: &[&str]) -> String;

    /// The text of an unsubscribe request.
    fn unsubscribe(&self, request_id: u64, streams: &[&str]) -> String;

    /// The stream to take in place of one that was refused with these words.
    fn fallback(&self, _stream: &str, _reason: &str) -> Option<String> {
        None
    }

    /// A decoder for a connection of this market.
    fn decoder(&self, market: &'static Market, symbols: SymbolTable) -> Box<dyn Decoder>;

    /// An instrument of which only the venue's symbol is known, with what that alone tells.
    fn instrument_by_name(&self, market: &Market, venue_symbol: &str) -> Instrument {
        Instrument::unknown(self.name(), market.name, venue_symbol)
    }

    /// The symbols in a frame of a stream of many instruments, from which the decoder leaves out those it does not know
    /// without a word.
    fn symbols_in(&self, _frame: &[u8]) -> Vec<String> {
        vec![]
    }

    /// Asks for all instruments; the answers together are the market.
    fn instruments_requests(&self, market: &Market) -> Vec<Request>;

    /// Reads one answer. Entries that cannot be read are left out and named in the second list.
    fn parse_instruments(
        &self,
        market: &Market,
        body: &[u8],
    ) -> Result<(Vec<Instrument>, Vec<String>), DecodeError>;

    /// Asks for a book where `books` of them are recorded: the more there are, the less each may cost. `None` where
    /// the stream itself brings it ([`Continuity::Chained`]).
    fn snapshot_request(&self, market: &Market, instrument: &Instrument, books: usize) -> Option<Request>;

    /// Reads a book: one [`Kind::BookSnapshot`] record with the flags `SNAPSHOT` and `REST`.
    fn parse_snapshot(
        &self,
        market: &Market,
        instrument: InstrumentId,
        body: &[u8],
        receive_ns: i64,
        sink: &mut dyn Sink,
    ) -> Result<(), DecodeError>;

    /// Reads the answer to a [`Poll`]; records carry the flag `REST`. The request was sent at `times.0` and the
    /// answer complete at `times.1`, wall clock, nanoseconds.
    fn parse_poll(
        &self,
        market: &Market,
        poll: &Poll,
        body: &[u8],
        times: (i64, i64),
        sink: &mut dyn Sink,
    ) -> Result<(), DecodeError>;
}

//! Records: plain structs of 64-byte lines, the same in the ring and in the log.
//!
//! Every record starts with a [`Header`]. Prices are `price × 10^price_exponent`, quantities
//! `quantity × 10^quantity_exponent`, in the venue's own unit. A field that the venue did not send holds
//! [`ABSENT`]. Book records are followed by their [`Level`]s, bids first; [`Definition`], [`Session`] and
//! [`Raw`] records by bytes.

mod layout;

use bytemuck::{Pod, Zeroable};

use crate::clock::TIME_MISSING;

pub use layout::*;

/// A number that the venue did not send. Equal to [`TIME_MISSING`].
pub const ABSENT: i64 = i64::MIN;

/// Longest body of bytes behind a record; a longer raw frame is cut and its full length kept in the record.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Most levels behind one book record (a full Binance spot snapshot has 10,000).
pub const MAX_LEVELS: usize = 16_384;

/// Longest record, in lines.
pub const MAX_LINES: usize = 1 + MAX_LEVELS * size_of::<Level>() / LINE_BYTES;

/// Bytes of a line.
pub const LINE_BYTES: usize = 64;

/// One cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Line(pub [u8; LINE_BYTES]);

/// What a record is. The number is part of the log format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Kind {
    /// One fill.
    Trade = 1,
    /// Fills of one taker order at one price.
    AggTrade = 2,
    /// The whole book, or its top.
    BookSnapshot = 3,
    /// Changed levels of a book.
    BookDelta = 4,
    /// Best bid and ask.
    Quote = 5,
    /// Statistics of the last 24 hours.
    Ticker = 6,
    /// Mark and index price.
    MarkPrice = 7,
    /// Funding rate.
    FundingRate = 8,
    /// Open interest.
    OpenInterest = 9,
    /// A liquidation order.
    Liquidation = 10,
    /// One bar.
    Candle = 11,
    /// Long/short ratio.
    LongShortRatio = 12,
    /// An instrument's definition, valid from `receive_ns`.
    Instrument = 13,
    /// A connection's life: connected, subscribed, disconnected.
    Session = 14,
    /// A hole in a stream.
    Gap = 15,
    /// A frame kept verbatim.
    Raw = 16,
    /// One fill of which the venue tells more than price and size. In JSON and in counts of streams a
    /// [`Trade`](Kind::Trade) like any other.
    DetailedTrade = 17,
    /// Sensitivities and implied volatilities of an option.
    Greeks = 18,
    /// A volatility index.
    VolatilityIndex = 19,
    /// The venue's clock beside ours.
    ClockSample = 20,
}

impl Kind {
    /// All kinds in the order of their numbers.
    pub const ALL: [Kind; 20] = [
        Kind::Trade,
        Kind::AggTrade,
        Kind::BookSnapshot,
        Kind::BookDelta,
        Kind::Quote,
        Kind::Ticker,
        Kind::MarkPrice,
        Kind::FundingRate,
        Kind::OpenInterest,
        Kind::Liquidation,
        Kind::Candle,
        Kind::LongShortRatio,
        Kind::Instrument,
        Kind::Session,
        Kind::Gap,
        Kind::Raw,
        Kind::DetailedTrade,
        Kind::Greeks,
        Kind::VolatilityIndex,
        Kind::ClockSample,
    ];

    /// The kind with this number.
    pub const fn from_number(number: u8) -> Option<Kind> {
        let index = (number as usize).wrapping_sub(1);
        if index < Kind::ALL.len() { Some(Kind::ALL[index]) } else { None }
    }

    /// The name used in configuration, JSON and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Trade => "trade",
            Kind::AggTrade => "agg_trade",
            Kind::BookSnapshot => "book_snapshot",
            Kind::BookDelta => "book_delta",
            Kind::Quote => "quote",
            Kind::Ticker => "ticker",
            Kind::MarkPrice => "mark_price",
            Kind::FundingRate => "funding_rate",
            Kind::OpenInterest => "open_interest",
            Kind::Liquidation => "liquidation",
            Kind::Candle => "candle",
            Kind::LongShortRatio => "long_short_ratio",
            Kind::Instrument => "instrument",
            Kind::Session => "session",
            Kind::Gap => "gap",
            Kind::Raw => "raw",
            Kind::DetailedTrade => "detailed_trade",
            Kind::Greeks => "greeks",
            Kind::VolatilityIndex => "volatility_index",
            Kind::ClockSample => "clock_sample",
        }
    }

    /// The kind of the stream that a record of this kind belongs to: what gaps and counts of streams name.
    pub const fn stream(self) -> Kind {
        match self {
            Kind::DetailedTrade => Kind::Trade,
            other => other,
        }
    }

    /// Lines of the fixed part.
    pub const fn head_lines(self) -> usize {
        match self {
            Kind::AggTrade | Kind::Liquidation | Kind::Candle | Kind::FundingRate | Kind::DetailedTrade => 2,
            Kind::Ticker | Kind::Greeks => 3,
            _ => 1,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.name())
    }
}

/// Bits of [`Header::flags`].
pub mod flag {
    /// Part of a snapshot: state, not an event.
    pub const SNAPSHOT: u8 = 1;
    /// Fetched after the fact to fill a hole.
    pub const BACKFILLED: u8 = 2;
    /// From a REST answer, not from a stream.
    pub const REST: u8 = 4;
    /// The book of this instrument was not valid when this record came.
    pub const BOOK_INVALID: u8 = 8;
    /// The receive time is not to be trusted.
    pub const SUSPECT_CLOCK: u8 = 16;
    /// Computed here from other records.
    pub const DERIVED: u8 = 32;
    /// Of book records: [`Book::first_id`](super::Book::first_id) holds the venue's checksum. Tells the form of
    /// the record and has no name in JSON.
    pub const CHECKSUM: u8 = 64;
    /// Of book snapshots: the best levels only, which no book can be started from. Tells the form of the record
    /// and has no name in JSON.
    pub const PARTIAL: u8 = 128;

    /// Flags with their names, lowest bit first.
    pub const NAMES: [(u8, &str); 6] = [
        (SNAPSHOT, "snapshot"),
        (BACKFILLED, "backfilled"),
        (REST, "rest"),
        (BOOK_INVALID, "book_invalid"),
        (SUSPECT_CLOCK, "suspect_clock"),
        (DERIVED, "derived"),
    ];
}

/// The first 32 bytes of every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Header {
    /// A [`Kind`].
    pub kind: u8,
    /// Bits of [`flag`].
    pub flags: u8,
    /// Power of ten of the prices.
    pub price_exponent: i8,
    /// Power of ten of the quantities.
    pub quantity_exponent: i8,
    /// [`InstrumentId`](crate::InstrumentId).
    pub instrument: u32,
    /// The venue's id of this message in its stream: trade id, last update id. 0 where it has none.
    pub sequence: u64,
    /// Wall clock when the bytes were read from the socket, nanoseconds since the Unix epoch.
    pub receive_ns: i64,
    /// The venue's time: of the matching engine where given, else of publication; [`TIME_MISSING`] where neither.
    pub exchange_ns: i64,
}

impl Header {
    /// A header without flags, exponents, sequence and exchange time.
    pub const fn new(kind: Kind, instrument: u32, receive_ns: i64) -> Header {
        Header {
            kind: kind as u8,
            flags: 0,
            price_exponent: 0,
            quantity_exponent: 0,
            instrument,
            sequence: 0,
            receive_ns,
            exchange_ns: TIME_MISSING,
        }
    }
}

/// A record with what follows it, borrowed from the ring or from a mapped segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RecordRef<'a> {
    /// [`Trade`].
    Trade(&'a Trade),
    /// [`AggTrade`].
    AggTrade(&'a AggTrade),
    /// [`Book`] with its levels, bids first.
    Book(&'a Book, &'a [Level]),
    /// [`Quote`].
    Quote(&'a Quote),
    /// [`Ticker`].
    Ticker(&'a Ticker),
    /// [`MarkPrice`].
    MarkPrice(&'a MarkPrice),
    /// [`FundingRate`].
    FundingRate(&'a FundingRate),
    /// [`OpenInterest`].
    OpenInterest(&'a OpenInterest),
    /// [`Liquidation`].
    Liquidation(&'a Liquidation),
    /// [`Candle`].
    Candle(&'a Candle),
    /// [`LongShortRatio`].
    LongShortRatio(&'a LongShortRatio),
    /// [`Definition`] with its JSON.
    Definition(&'a Definition, &'a [u8]),
    /// [`Session`] with its JSON.
    Session(&'a Session, &'a [u8]),
    /// [`Gap`].
    Gap(&'a Gap),
    /// [`Raw`] with its reason and frame.
    Raw(&'a Raw, &'a [u8]),
    /// [`DetailedTrade`].
    DetailedTrade(&'a DetailedTrade),
    /// [`Greeks`].
    Greeks(&'a Greeks),
    /// [`VolatilityIndex`].
    VolatilityIndex(&'a VolatilityIndex),
    /// [`ClockSample`].
    ClockSample(&'a ClockSample),
}

impl<'a> RecordRef<'a> {
    /// The header.
    pub fn header(&self) -> &'a Header {
        match self {
            RecordRef::Trade(r) => &r.header,
            RecordRef::AggTrade(r) => &r.header,
            RecordRef::Book(r, _) => &r.header,
            RecordRef::Quote(r) => &r.header,
            RecordRef::Ticker(r) => &r.header,
            RecordRef::MarkPrice(r) => &r.header,
            RecordRef::FundingRate(r) => &r.header,
            RecordRef::OpenInterest(r) => &r.header,
            RecordRef::Liquidation(r) => &r.header,
            RecordRef::Candle(r) => &r.header,
            RecordRef::LongShortRatio(r) => &r.header,
            RecordRef::Definition(r, _) => &r.header,
            RecordRef::Session(r, _) => &r.header,
            RecordRef::Gap(r) => &r.header,
            RecordRef::Raw(r, _) => &r.header,
            RecordRef::DetailedTrade(r) => &r.trade.header,
            RecordRef::Greeks(r) => &r.header,
            RecordRef::VolatilityIndex(r) => &r.header,
            RecordRef::ClockSample(r) => &r.header,
        }
    }

    /// The trade, where this is one, with or without detail.
    pub fn trade(&self) -> Option<&'a Trade> {
        match self {
            RecordRef::Trade(trade) => Some(trade),
            RecordRef::DetailedTrade(detailed) => Some(&detailed.trade),
            _ => None,
        }
    }

    /// The kind; `None` only for a header with an unknown number.
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_number(self.header().kind)
    }

    /// Head and body of the record, as they go into a ring.
    pub fn parts(&self) -> (&'a [Line], &'a [u8]) {
        match self {
            RecordRef::Trade(r) => (r.lines(), &[]),
            RecordRef::AggTrade(r) => (r.lines(), &[]),
            RecordRef::Book(r, levels) => (r.lines(), bytemuck::cast_slice(levels)),
            RecordRef::Quote(r) => (r.lines(), &[]),
            RecordRef::Ticker(r) => (r.lines(), &[]),
            RecordRef::MarkPrice(r) => (r.lines(), &[]),
            RecordRef::FundingRate(r) => (r.lines(), &[]),
            RecordRef::OpenInterest(r) => (r.lines(), &[]),
            RecordRef::Liquidation(r) => (r.lines(), &[]),
            RecordRef::Candle(r) => (r.lines(), &[]),
            RecordRef::LongShortRatio(r) => (r.lines(), &[]),
            RecordRef::Definition(r, body) => (r.lines(), body),
            RecordRef::Session(r, body) => (r.lines(), body),
            RecordRef::Gap(r) => (r.lines(), &[]),
            RecordRef::Raw(r, body) => (r.lines(), body),
            RecordRef::DetailedTrade(r) => (r.lines(), &[]),
            RecordRef::Greeks(r) => (r.lines(), &[]),
            RecordRef::VolatilityIndex(r) => (r.lines(), &[]),
            RecordRef::ClockSample(r) => (r.lines(), &[]),
        }
    }

    /// Reads the record at the start of `lines`: the record and the number of lines that it takes.
    /// `None` where the lines do not begin with a whole record.
    #[inline]
    pub fn read(lines: &'a [Line]) -> Option<(RecordRef<'a>, usize)> {
        let kind = Kind::from_number(lines.first()?.0[0])?;
        let head = kind.head_lines();
        let whole = lines.get(..head)?;
        let fixed = match kind {
            Kind::Trade => RecordRef::Trade(view(whole)),
            Kind::AggTrade => RecordRef::AggTrade(view(whole)),
            Kind::Quote => RecordRef::Quote(view(whole)),
            Kind::Ticker => RecordRef::Ticker(view(whole)),
            Kind::MarkPrice => RecordRef::MarkPrice(view(whole)),
            Kind::FundingRate => RecordRef::FundingRate(view(whole)),
            Kind::OpenInterest => RecordRef::OpenInterest(view(whole)),
            Kind::Liquidation => RecordRef::Liquidation(view(whole)),
            Kind::Candle => RecordRef::Candle(view(whole)),
            Kind::LongShortRatio => RecordRef::LongShortRatio(view(whole)),
            Kind::Gap => RecordRef::Gap(view(whole)),
            Kind::DetailedTrade => RecordRef::DetailedTrade(view(whole)),
            Kind::Greeks => RecordRef::Greeks(view(whole)),
            Kind::VolatilityIndex => RecordRef::VolatilityIndex(view(whole)),
            Kind::ClockSample => RecordRef::ClockSample(view(whole)),
            Kind::BookSnapshot | Kind::BookDelta => {
                let book: &Book = view(whole);
                let count = usize::from(book.bid_levels) + usize::from(book.ask_levels);
                let (bytes, used) = body(lines, head, count * size_of::<Level>())?;
                return Some((RecordRef::Book(book, bytemuck::cast_slice(bytes)), used));
            }
            Kind::Instrument => {
                let record: &Definition = view(whole);
                let (bytes, used) = body(lines, head, record.body.bytes as usize)?;
                return Some((RecordRef::Definition(record, bytes), used));
            }
            Kind::Session => {
                let record: &Session = view(whole);
                let (bytes, used) = body(lines, head, record.body.bytes as usize)?;
                return Some((RecordRef::Session(record, bytes), used));
            }
            Kind::Raw => {
                let record: &Raw = view(whole);
                let (bytes, used) = body(lines, head, record.body.bytes as usize)?;
                return Some((RecordRef::Raw(record, bytes), used));
            }
        };
        Some((fixed, head))
    }
}

#[inline]
fn view<R: Record>(lines: &[Line]) -> &R {
    bytemuck::from_bytes(bytemuck::cast_slice(lines))
}

#[inline]
fn body(lines: &[Line], head: usize, bytes: usize) -> Option<(&[u8], usize)> {
    let used = head + bytes.div_ceil(LINE_BYTES);
    let all: &[u8] = bytemuck::cast_slice(lines.get(head..used)?);
    Some((all.get(..bytes)?, used))
}

/// Where records go: a ring, a batch, a list in a test.
pub trait Sink {
    /// Takes one record: the lines of its fixed part and the bytes behind it.
    fn append(&mut self, head: &[Line], body: &[u8]);
}

impl dyn Sink + '_ {
    /// Appends a record without a body.
    #[inline]
    pub fn push<R: Record>(&mut self, record: &R) {
        self.append(record.lines(), &[]);
    }

    /// Appends a book with its levels.
    #[inline]
    pub fn push_book(&mut self, book: &Book, levels: &[Level]) {
        self.append(book.lines(), bytemuck::cast_slice(levels));
    }

    /// Appends any record.
    pub fn push_ref(&mut self, record: RecordRef<'_>) {
        let (head, body) = record.parts();
        self.append(head, body);
    }
}

/// A sink that keeps everything; for tests, REST answers and tools.
#[derive(Default, Debug, Clone)]
pub struct RecordBuffer {
    lines: Vec<Line>,
}

impl RecordBuffer {
    /// The records, in the order in which they came.
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter { lines: &self.lines }
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        self.lines.clear();
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The lines of all records.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
}

impl Sink for RecordBuffer {
    fn append(&mut self, head: &[Line], body: &[u8]) {
        self.lines.extend_from_slice(head);
        for chunk in body.chunks(LINE_BYTES) {
            let mut line = Line::zeroed();
            line.0[..chunk.len()].copy_from_slice(chunk);
            self.lines.push(line);
        }
    }
}

/// Iterates over the records in a run of lines; ends at the first line that starts no record.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    lines: &'a [Line],
}

impl<'a> RecordIter<'a> {
    /// The records of a run of lines.
    pub fn new(lines: &'a [Line]) -> RecordIter<'a> {
        RecordIter { lines }
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = RecordRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<RecordRef<'a>> {
        let (record, used) = RecordRef::read(self.lines)?;
        self.lines = &self.lines[used..];
        Some(record)
    }
}

/// A short ASCII text in a fixed field, padded with zeros; what does not fit is cut.
pub fn fixed_text<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut field = [0; N];
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from;
    }
    field
}

/// The text in a fixed field.
pub fn text_of(field: &[u8]) -> &str {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).unwrap_or("")
}

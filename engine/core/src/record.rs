//! Records: plain structs of 64-byte lines, the same in the ring and in the log.
//!
//! Every record starts with a [`Header`]. Prices are `price × 10^price_exponent`, quantities
//! `quantity × 10^quantity_exponent`, in the venue's own unit. A field that the venue did not send holds
//! [`ABSENT`]. Book records are followed by their [`Level`]s, bids first; [`Instrument`], [`Session`] and
//! [`Raw`] records by bytes.

use bytemuck::{Pod, Zeroable};

use crate::clock::TIME_MISSING;

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
}

impl Kind {
    /// All kinds in the order of their numbers.
    pub const ALL: [Kind; 16] = [
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
    ];

    /// The kind with this number.
    pub fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(number).wrapping_sub(1)).copied()
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
        }
    }

    /// Lines of the fixed part.
    pub const fn head_lines(self) -> usize {
        match self {
            Kind::AggTrade | Kind::Liquidation | Kind::Candle => 2,
            Kind::Ticker => 3,
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

/// The side that took liquidity, or the side of a liquidation order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Side {
    /// Not given.
    Unknown = 0,
    /// The aggressor bought.
    Buy = 1,
    /// The aggressor sold.
    Sell = 2,
}

impl Side {
    /// `buy` or `sell`.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("buy"),
            2 => Some("sell"),
            _ => None,
        }
    }
}

/// A record with a fixed layout; its size is a whole number of lines.
pub trait Record: Pod {
    /// The kind that its header carries ([`BookDelta`](Kind::BookDelta) stands for both book kinds).
    const KIND: Kind;
    /// The header.
    fn header(&self) -> &Header;
    /// The record as lines.
    fn lines(&self) -> &[Line];
}

macro_rules! record {
    ($name:ident, $kind:expr) => {
        const _: () = assert!(size_of::<$name>() == $kind.head_lines() * LINE_BYTES);
        impl Record for $name {
            const KIND: Kind = $kind;
            fn header(&self) -> &Header {
                &self.header
            }
            fn lines(&self) -> &[Line] {
                bytemuck::cast_slice(std::slice::from_ref(self))
            }
        }
    };
}

/// One fill. `sequence` is the trade id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Trade {
    /// Common part; `exchange_ns` is the time of the match.
    pub header: Header,
    /// Price.
    pub price: i64,
    /// Quantity: base units on spot and linear futures, contracts on inverse ones.
    pub quantity: i64,
    /// The venue's publication time, nanoseconds, or [`TIME_MISSING`].
    pub event_ns: i64,
    /// [`Side`] of the aggressor.
    pub side: u8,
    /// [`TradeType`].
    pub trade_type: u8,
    /// Zero.
    pub reserved: [u8; 6],
}
record!(Trade, Kind::Trade);

/// How a trade came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TradeType {
    /// An ordinary match.
    Market = 0,
    /// Taken over by the insurance fund.
    InsuranceFund = 1,
    /// Auto-deleveraging.
    AutoDeleverage = 2,
    /// The venue gave a type without a known meaning.
    Other = 3,
}

impl TradeType {
    /// The name in JSON; `None` for an ordinary match.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("insurance_fund"),
            2 => Some("auto_deleverage"),
            3 => Some("other"),
            _ => None,
        }
    }
}

/// An aggregate of fills. `sequence` is the aggregate's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct AggTrade {
    /// Common part; `exchange_ns` is the time of the match.
    pub header: Header,
    /// Price.
    pub price: i64,
    /// Quantity, unit as in [`Trade`].
    pub quantity: i64,
    /// Quantity without fills of retail price improvement orders, or [`ABSENT`].
    pub normal_quantity: i64,
    /// First trade id inside.
    pub first_trade_id: u64,
    /// Last trade id inside.
    pub last_trade_id: u64,
    /// The venue's publication time, nanoseconds, or [`TIME_MISSING`].
    pub event_ns: i64,
    /// [`Side`] of the aggressor.
    pub side: u8,
    /// Zero.
    pub reserved: [u8; 47],
}
record!(AggTrade, Kind::AggTrade);

/// A book snapshot or delta; its levels follow, bids first. `sequence` is the last update id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Book {
    /// Common part; the kind is [`Kind::BookSnapshot`] or [`Kind::BookDelta`].
    pub header: Header,
    /// First update id covered.
    pub first_id: u64,
    /// Last update id of the message before in the same stream, or [`ABSENT`].
    pub previous_id: i64,
    /// The venue's publication time, nanoseconds, or [`TIME_MISSING`].
    pub event_ns: i64,
    /// In the log: index of the first level in the batch's pool. In the ring: 0.
    pub level_start: u32,
    /// Number of bid levels.
    pub bid_levels: u16,
    /// Number of ask levels.
    pub ask_levels: u16,
}
record!(Book, Kind::BookDelta);

/// One price level. A quantity of zero in a delta removes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Level {
    /// Price.
    pub price: i64,
    /// Quantity resting at it.
    pub quantity: i64,
}

/// Best bid and ask. `sequence` is the book's update id, where given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Quote {
    /// Common part.
    pub header: Header,
    /// Best bid price.
    pub bid_price: i64,
    /// Quantity at the best bid.
    pub bid_quantity: i64,
    /// Best ask price.
    pub ask_price: i64,
    /// Quantity at the best ask.
    pub ask_quantity: i64,
}
record!(Quote, Kind::Quote);

/// Statistics of the last 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Ticker {
    /// Common part.
    pub header: Header,
    /// Last price.
    pub last: i64,
    /// First price of the window.
    pub open: i64,
    /// Highest price.
    pub high: i64,
    /// Lowest price.
    pub low: i64,
    /// Volume-weighted average price.
    pub weighted_average: i64,
    /// Best bid price.
    pub bid_price: i64,
    /// Best ask price.
    pub ask_price: i64,
    /// Traded quantity.
    pub volume: i64,
    /// Quantity of the last trade.
    pub last_quantity: i64,
    /// Quantity at the best bid.
    pub bid_quantity: i64,
    /// Quantity at the best ask.
    pub ask_quantity: i64,
    /// Traded amount in quote units (base units on inverse contracts), `× 10^quote_volume_exponent`.
    pub quote_volume: i64,
    /// Start of the window, nanoseconds.
    pub open_ns: i64,
    /// End of the window, nanoseconds.
    pub close_ns: i64,
    /// First trade id of the window.
    pub first_trade_id: i64,
    /// Last trade id of the window.
    pub last_trade_id: i64,
    /// Number of trades in the window.
    pub trades: i64,
    /// Power of ten of `quote_volume`.
    pub quote_volume_exponent: i8,
    /// Zero.
    pub reserved: [u8; 23],
}
record!(Ticker, Kind::Ticker);

/// Mark and index price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct MarkPrice {
    /// Common part.
    pub header: Header,
    /// Mark price.
    pub mark_price: i64,
    /// Index price, or [`ABSENT`].
    pub index_price: i64,
    /// Estimated settlement price, or [`ABSENT`].
    pub settlement_price: i64,
    /// Moving average of the mark price, or [`ABSENT`].
    pub average_price: i64,
}
record!(MarkPrice, Kind::MarkPrice);

/// Funding rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct FundingRate {
    /// Common part.
    pub header: Header,
    /// Rate for the interval that ends at `next_funding_ns`, a fraction, `× 10^rate_exponent`.
    pub rate: i64,
    /// Next funding time, nanoseconds, or [`TIME_MISSING`].
    pub next_funding_ns: i64,
    /// Funding interval as the venue gives it, nanoseconds, or [`ABSENT`].
    pub interval_ns: i64,
    /// Power of ten of `rate`.
    pub rate_exponent: i8,
    /// Zero.
    pub reserved: [u8; 7],
}
record!(FundingRate, Kind::FundingRate);

/// Open interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct OpenInterest {
    /// Common part.
    pub header: Header,
    /// Open interest in the unit of quantities.
    pub open_interest: i64,
    /// Its value in quote units, `× 10^value_exponent`, or [`ABSENT`].
    pub open_interest_value: i64,
    /// Power of ten of `open_interest_value`.
    pub value_exponent: i8,
    /// Zero.
    pub reserved: [u8; 15],
}
record!(OpenInterest, Kind::OpenInterest);

/// A liquidation order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Liquidation {
    /// Common part; `exchange_ns` is the time of the order's trade.
    pub header: Header,
    /// Limit price.
    pub price: i64,
    /// Average price of the fills, or [`ABSENT`].
    pub average_price: i64,
    /// Ordered quantity.
    pub quantity: i64,
    /// Quantity filled so far, or [`ABSENT`].
    pub filled_quantity: i64,
    /// Quantity of the last fill, or [`ABSENT`].
    pub last_quantity: i64,
    /// The venue's publication time, nanoseconds, or [`TIME_MISSING`].
    pub event_ns: i64,
    /// The order's status as the venue names it, ASCII, padded with zeros.
    pub status: [u8; 24],
    /// [`Side`] of the order: `Sell` closes a long position.
    pub side: u8,
    /// Zero.
    pub reserved: [u8; 23],
}
record!(Liquidation, Kind::Liquidation);

/// One bar; the last record of a bar wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Candle {
    /// Common part; `exchange_ns` is the publication time.
    pub header: Header,
    /// Start, nanoseconds, inclusive.
    pub open_ns: i64,
    /// End, nanoseconds, as the venue gives it.
    pub close_ns: i64,
    /// First price.
    pub open: i64,
    /// Highest price.
    pub high: i64,
    /// Lowest price.
    pub low: i64,
    /// Last price.
    pub close: i64,
    /// Traded quantity.
    pub volume: i64,
    /// Traded amount in quote units, `× 10^quote_volume_exponent`.
    pub quote_volume: i64,
    /// Quantity bought by takers.
    pub taker_buy_volume: i64,
    /// Amount bought by takers, `× 10^quote_volume_exponent`.
    pub taker_buy_quote_volume: i64,
    /// Number of trades.
    pub trades: i64,
    /// The venue's name of the interval (`1m`, `12h`), ASCII, padded with zeros.
    pub interval: [u8; 4],
    /// 1 when the bar is final.
    pub closed: u8,
    /// Power of ten of `quote_volume`.
    pub quote_volume_exponent: i8,
    /// Zero.
    pub reserved: [u8; 2],
}
record!(Candle, Kind::Candle);

/// Long/short ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct LongShortRatio {
    /// Common part; `exchange_ns` is the end of the period.
    pub header: Header,
    /// Long divided by short, `× 10^ratio_exponent`.
    pub ratio: i64,
    /// Long share, a fraction, `× 10^share_exponent`, or [`ABSENT`].
    pub long_share: i64,
    /// Short share, a fraction, `× 10^share_exponent`, or [`ABSENT`].
    pub short_share: i64,
    /// Power of ten of `ratio`.
    pub ratio_exponent: i8,
    /// Power of ten of the shares.
    pub share_exponent: i8,
    /// [`RatioBasis`].
    pub basis: u8,
    /// The venue's name of the period (`5m`), ASCII, padded with zeros.
    pub period: [u8; 4],
    /// Zero.
    pub reserved: u8,
}
record!(LongShortRatio, Kind::LongShortRatio);

/// Whose positions or accounts a long/short ratio counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RatioBasis {
    /// Positions of top traders.
    TopPosition = 1,
    /// Accounts of top traders.
    TopAccount = 2,
    /// All accounts.
    GlobalAccount = 3,
}

impl RatioBasis {
    /// The name in JSON.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("top_position"),
            2 => Some("top_account"),
            3 => Some("global_account"),
            _ => None,
        }
    }
}

/// An instrument's definition; the body is [`crate::Instrument`] as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Definition {
    /// Common part.
    pub header: Header,
    /// Where and how long the body is.
    pub body: Body,
    /// Zero.
    pub reserved: [u8; 24],
}
record!(Definition, Kind::Instrument);

/// A step in a connection's life; the body is a JSON object with its particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Session {
    /// Common part; `instrument` is that of the market.
    pub header: Header,
    /// Where and how long the body is.
    pub body: Body,
    /// The connection, numbered from 1 in each run.
    pub connection: u32,
    /// [`SessionEvent`].
    pub event: u8,
    /// Zero.
    pub reserved: [u8; 19],
}
record!(Session, Kind::Session);

/// Steps in a connection's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionEvent {
    /// The WebSocket is open.
    Connected = 1,
    /// The venue acknowledged every subscription.
    Subscribed = 2,
    /// The connection ended; the body says why.
    Disconnected = 3,
    /// The venue refused a request; the body has its words.
    Refused = 4,
    /// The recorder began to write.
    Started = 5,
    /// The recorder stopped cleanly.
    Stopped = 6,
}

impl SessionEvent {
    /// The name in JSON.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("connected"),
            2 => Some("subscribed"),
            3 => Some("disconnected"),
            4 => Some("refused"),
            5 => Some("started"),
            6 => Some("stopped"),
            _ => None,
        }
    }
}

/// A hole in a stream. `header.sequence` is 0; `header.receive_ns` is when the hole was known to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Gap {
    /// Common part.
    pub header: Header,
    /// First missing id, or 0 where the stream has no ids.
    pub from_id: u64,
    /// Last missing id, or 0 where the stream has no ids or the end is not known.
    pub to_id: u64,
    /// Receive time of the last record before the hole, nanoseconds, or [`TIME_MISSING`].
    pub from_ns: i64,
    /// [`Kind`] of the stream.
    pub stream: u8,
    /// [`GapReason`].
    pub reason: u8,
    /// 1 when the missing part was fetched later.
    pub repaired: u8,
    /// Zero.
    pub reserved: u8,
    /// Number of records lost, where known.
    pub records: u32,
}
record!(Gap, Kind::Gap);

/// Why a stream has a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GapReason {
    /// The venue's ids jumped while the connection was up.
    Sequence = 1,
    /// The connection was down.
    Disconnected = 2,
    /// A queue of ours was full.
    Overrun = 3,
    /// The venue's ids went backwards: it started anew.
    Reset = 4,
    /// A frame could not be parsed or was refused.
    Unparsed = 5,
    /// The recorder did not run.
    Restart = 6,
}

impl GapReason {
    /// The name in JSON.
    pub const fn name(number: u8) -> Option<&'static str> {
        match number {
            1 => Some("sequence"),
            2 => Some("disconnected"),
            3 => Some("overrun"),
            4 => Some("reset"),
            5 => Some("unparsed"),
            6 => Some("restart"),
            _ => None,
        }
    }
}

/// A frame kept verbatim; the body is the reason (UTF-8) and then the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Raw {
    /// Common part; `instrument` is that of the market.
    pub header: Header,
    /// Where and how long the body is.
    pub body: Body,
    /// The connection that it came on.
    pub connection: u32,
    /// Bytes of the reason at the start of the body.
    pub reason_bytes: u32,
    /// Bytes of the whole frame; the body may hold fewer.
    pub frame_bytes: u32,
    /// Zero.
    pub reserved: [u8; 12],
}
record!(Raw, Kind::Raw);

/// The bytes behind a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Body {
    /// In the log: offset in the batch's byte pool. In the ring: 0.
    pub start: u32,
    /// Length in bytes.
    pub bytes: u32,
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

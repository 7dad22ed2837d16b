//! The predicted path: expects the keys of a frame in the order in which the venue sends them, checks every
//! byte as it goes, and gives up at the first surprise. Orders are those of the documentation of 2026 and of
//! every recording from 2021 on. What it accepts, the general path accepts, with the same record.

use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::{ABSENT, Side, Sink};
use marketprism_core::{Decimal, InstrumentId, Kind, Level};
use marketprism_parse::cursor::Cursor;
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, NO_DECIMAL};
use marketprism_parse::symbols::RecentSymbols;

use crate::fields::{
    BookFields, QuoteFields, TickerFields, TradeFields, index_price, mark_price, venue_time,
};
use crate::sides::{Sides, may_have_leading_zeros, only_level, read_sides};

/// What the path needs besides the frame.
pub(crate) struct Predicted<'d> {
    pub(crate) symbols: &'d SymbolTable,
    /// Whether the market is spot.
    pub(crate) spot: bool,
    pub(crate) recent: &'d mut RecentSymbols,
    pub(crate) levels: &'d mut LevelBuffer,
    /// The venue sends asks first, records have bids first.
    pub(crate) bids_first: &'d mut Vec<Level>,
    pub(crate) receive_ns: i64,
}

impl Predicted<'_> {
    /// Reads a frame and appends its record. `None`: nothing was appended, and the general path is asked.
    #[inline]
    pub(crate) fn read(&mut self, frame: &[u8], sink: &mut dyn Sink) -> Option<Kind> {
        let mut cursor = Cursor::new(frame);
        cursor.take(b"{\"arg\":{\"channel\":\"")?;
        match cursor.peek()? {
            b'b' if cursor.has(b"books\"") => self.book(frame, cursor, sink),
            b'b' if cursor.has(b"books-l2-tbt\"") => self.book(frame, cursor, sink),
            b'b' if cursor.has(b"bbo-tbt\"") => self.quote(cursor, sink),
            b'b' if cursor.has(b"books5\"") => self.top(cursor, sink),
            b'b' if cursor.has(b"books50-l2-tbt\"") => self.book(frame, cursor, sink),
            b't' if cursor.has(b"trades\"") => self.trade(cursor, sink),
            b't' if cursor.has(b"trades-all\"") => self.trade(cursor, sink),
            b't' if cursor.has(b"tickers\"") => self.ticker(cursor, sink),
            b'm' if cursor.has(b"mark-price\"") => self.mark_price(cursor, sink),
            b'i' if cursor.has(b"index-tickers\"") => self.index_price(cursor, sink),
            _ => None,
        }
    }

    /// The rest of the argument: `,"instId":"…"}`.
    #[inline(always)]
    fn addressed<'a>(&mut self, cursor: &mut Cursor<'a>) -> Option<(&'a [u8], Envelope)> {
        cursor.take(b",\"instId\":\"")?;
        let (symbol, key) = cursor.symbol()?;
        cursor.take(b"}")?;
        let instrument: InstrumentId = match key {
            Some(key) => self.recent.get(key, || self.symbols.get(symbol)),
            None => self.symbols.get(symbol),
        }?;
        Some((symbol, Envelope { instrument, receive_ns: self.receive_ns, flags: 0 }))
    }

    #[inline(never)]
    fn trade(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (symbol, envelope) = self.addressed(&mut cursor)?;
        cursor.take(b",\"data\":[{\"instId\":\"")?;
        same_text(&mut cursor, symbol)?;
        cursor.take(b",\"tradeId\":\"")?;
        let id = cursor.integer()?;
        cursor.take(b"\",\"px\":\"")?;
        let price = cursor.decimal()?;
        cursor.take(b",\"sz\":\"")?;
        let quantity = cursor.decimal()?;
        let side = side(&mut cursor)?;
        // Single fills have the source before the time, aggregates behind it.
        skip_source(&mut cursor)?;
        let match_ns = time(&mut cursor)?;
        let mut fills = 0;
        if cursor.has(b",\"count\":\"") {
            fills = u32::try_from(cursor.integer()?).ok()?;
            cursor.take(b"\"")?;
        }
        skip_source(&mut cursor)?;
        read_sequence(&mut cursor)?;
        end(cursor)?;
        sink.push(&TradeFields { match_ns, id, price, quantity, side, fills }.record(envelope));
        Some(Kind::Trade)
    }

    #[inline(never)]
    fn book<'a>(&mut self, frame: &'a [u8], mut cursor: Cursor<'a>, sink: &mut dyn Sink) -> Option<Kind> {
        let (_, envelope) = self.addressed(&mut cursor)?;
        let kind = if cursor.has(b",\"action\":\"update\"") {
            Kind::BookDelta
        } else {
            cursor.take(b",\"action\":\"snapshot\"")?;
            Kind::BookSnapshot
        };
        cursor.take(b",\"data\":[{")?;
        let Sides { mut cursor, bid_levels, trailing_zeros } = read_sides(cursor, self.levels)?;
        let exchange_ns = time(&mut cursor)?;
        let checksum = if cursor.has(b",\"checksum\":") { i32::try_from(cursor.signed()?).ok()? } else { 0 };
        // The documentation has the ids in the other order.
        let mut previous_id = read_previous_id(&mut cursor)?;
        let sequence = read_sequence(&mut cursor)?;
        if previous_id == ABSENT {
            previous_id = read_previous_id(&mut cursor)?;
        }
        end(cursor)?;
        // The general path looks whether a checksum of such numbers can be recomputed.
        if checksum != 0 && (trailing_zeros || may_have_leading_zeros(frame)) {
            return None;
        }
        let fields =
            BookFields { kind, partial: false, exchange_ns, sequence, previous_id, checksum, bid_levels };
        self.push(envelope, fields, sink);
        Some(kind)
    }

    /// `books5`.
    #[inline(never)]
    fn top(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (symbol, envelope) = self.addressed(&mut cursor)?;
        cursor.take(b",\"data\":[{")?;
        let Sides { mut cursor, bid_levels, .. } = read_sides(cursor, self.levels)?;
        cursor.take(b",\"instId\":\"")?;
        same_text(&mut cursor, symbol)?;
        let exchange_ns = time(&mut cursor)?;
        let sequence = read_sequence(&mut cursor)?;
        end(cursor)?;
        let kind = Kind::BookSnapshot;
        let fields = BookFields {
            kind,
            partial: true,
            exchange_ns,
            sequence,
            previous_id: ABSENT,
            checksum: 0,
            bid_levels,
        };
        self.push(envelope, fields, sink);
        Some(kind)
    }

    /// Appends a book whose levels are in the buffer, asks first.
    #[inline(always)]
    fn push(&mut self, envelope: Envelope, fields: BookFields, sink: &mut dyn Sink) {
        let levels = self.levels.levels();
        let (asks, bids) = levels.split_at(levels.len() - fields.bid_levels);
        self.bids_first.clear();
        self.bids_first.extend_from_slice(bids);
        self.bids_first.extend_from_slice(asks);
        sink.push_book(&fields.record(envelope, self.levels), self.bids_first);
    }

    #[inline(never)]
    fn quote(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (_, envelope) = self.addressed(&mut cursor)?;
        cursor.take(b",\"data\":[{\"asks\":[")?;
        let ask = only_level(&mut cursor)?;
        cursor.take(b",\"bids\":[")?;
        let bid = only_level(&mut cursor)?;
        let exchange_ns = time(&mut cursor)?;
        let sequence = read_sequence(&mut cursor)?;
        end(cursor)?;
        sink.push(&QuoteFields { exchange_ns, sequence, bid, ask }.record(envelope).ok()?);
        Some(Kind::Quote)
    }

    #[inline(never)]
    fn ticker(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (symbol, envelope) = self.addressed(&mut cursor)?;
        typed_entry(&mut cursor, symbol)?;
        let last = optional(&mut cursor, b",\"last\":\"")?;
        let last_quantity = optional(&mut cursor, b",\"lastSz\":\"")?;
        let ask_price = optional(&mut cursor, b",\"askPx\":\"")?;
        let ask_quantity = optional(&mut cursor, b",\"askSz\":\"")?;
        let bid_price = optional(&mut cursor, b",\"bidPx\":\"")?;
        let bid_quantity = optional(&mut cursor, b",\"bidSz\":\"")?;
        let open = optional(&mut cursor, b",\"open24h\":\"")?;
        let high = optional(&mut cursor, b",\"high24h\":\"")?;
        let low = optional(&mut cursor, b",\"low24h\":\"")?;
        // Recordings have the prices of the day before the volumes, the documentation has them behind.
        let days_first = cursor.next_is(b",\"sodUtc0\"");
        if days_first {
            skip_day_opens(&mut cursor)?;
        }
        let currency_volume = optional(&mut cursor, b",\"volCcy24h\":\"")?;
        let volume = optional(&mut cursor, b",\"vol24h\":\"")?;
        if !days_first {
            skip_day_opens(&mut cursor)?;
        }
        let exchange_ns = time(&mut cursor)?;
        end(cursor)?;
        let fields = TickerFields {
            exchange_ns,
            last,
            last_quantity,
            ask_price,
            ask_quantity,
            bid_price,
            bid_quantity,
            open,
            high,
            low,
            volume,
            currency_volume,
        };
        sink.push(&fields.record(envelope, self.spot).ok()?);
        Some(Kind::Ticker)
    }

    #[inline(never)]
    fn mark_price(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (symbol, envelope) = self.addressed(&mut cursor)?;
        typed_entry(&mut cursor, symbol)?;
        cursor.take(b",\"markPx\":\"")?;
        let price = cursor.decimal()?;
        let exchange_ns = time(&mut cursor)?;
        end(cursor)?;
        sink.push(&mark_price(envelope, exchange_ns, price));
        Some(Kind::MarkPrice)
    }

    #[inline(never)]
    fn index_price(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (symbol, envelope) = self.addressed(&mut cursor)?;
        cursor.take(b",\"data\":[{\"instId\":\"")?;
        same_text(&mut cursor, symbol)?;
        cursor.take(b",\"idxPx\":\"")?;
        let price = cursor.decimal()?;
        cursor.take(b",\"high24h\":\"")?;
        cursor.text()?;
        cursor.take(b",\"low24h\":\"")?;
        cursor.text()?;
        cursor.take(b",\"open24h\":\"")?;
        cursor.text()?;
        skip_day_opens(&mut cursor)?;
        let exchange_ns = time(&mut cursor)?;
        end(cursor)?;
        sink.push(&index_price(envelope, exchange_ns, price));
        Some(Kind::MarkPrice)
    }
}

/// `,"data":[{"instType":"…","instId":"…"` of the instrument that the argument names.
#[inline(always)]
fn typed_entry(cursor: &mut Cursor<'_>, symbol: &[u8]) -> Option<()> {
    cursor.take(b",\"data\":[{\"instType\":\"")?;
    cursor.text()?;
    cursor.take(b",\"instId\":\"")?;
    same_text(cursor, symbol)
}

#[inline(always)]
fn same_text(cursor: &mut Cursor<'_>, expected: &[u8]) -> Option<()> {
    (cursor.text()? == expected).then_some(())
}

#[inline(always)]
fn side(cursor: &mut Cursor<'_>) -> Option<Side> {
    if cursor.has(b",\"side\":\"buy\"") {
        return Some(Side::Buy);
    }
    cursor.take(b",\"side\":\"sell\"").map(|()| Side::Sell)
}

#[inline(always)]
fn skip_source(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.has(b",\"source\":\"") {
        cursor.text()?;
    }
    Some(())
}

/// First prices of the day in two time zones.
#[inline(always)]
fn skip_day_opens(cursor: &mut Cursor<'_>) -> Option<()> {
    cursor.take(b",\"sodUtc0\":\"")?;
    cursor.text()?;
    cursor.take(b",\"sodUtc8\":\"")?;
    cursor.text().map(|_| ())
}

#[inline(always)]
fn time(cursor: &mut Cursor<'_>) -> Option<i64> {
    cursor.take(b",\"ts\":\"")?;
    let time = venue_time(cursor.integer()?)?;
    cursor.take(b"\"")?;
    Some(time)
}

/// The id of the message, 0 where there is none.
#[inline(always)]
fn read_sequence(cursor: &mut Cursor<'_>) -> Option<u64> {
    if cursor.has(b",\"seqId\":") { cursor.integer() } else { Some(0) }
}

/// The id of the message before, [`ABSENT`] where there is none.
#[inline(always)]
fn read_previous_id(cursor: &mut Cursor<'_>) -> Option<i64> {
    if cursor.has(b",\"prevSeqId\":") { cursor.signed() } else { Some(ABSENT) }
}

/// The end of the only entry and of the frame.
#[inline(always)]
fn end(mut cursor: Cursor<'_>) -> Option<()> {
    cursor.take(b"}]}")?;
    cursor.end()
}

/// A decimal behind its key and quote, or [`NO_DECIMAL`] for the empty text.
#[inline(always)]
fn optional<const N: usize>(cursor: &mut Cursor<'_>, key: &[u8; N]) -> Option<Decimal> {
    cursor.take(key)?;
    if cursor.has(b"\"") { Some(NO_DECIMAL) } else { cursor.decimal() }
}

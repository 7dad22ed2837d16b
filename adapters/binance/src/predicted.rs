//! The predicted path: expects the keys of a frame in the order in which the venue sends them, checks every
//! byte as it goes, and gives up at the first surprise. Orders are those of the documentation of 2026 and of
//! every recording from 2021 on. What it accepts, the general path accepts, with the same record.

use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::{ABSENT, Sink, TradeType};
use marketprism_core::{Decimal, InstrumentId, Kind};
use marketprism_parse::cursor::{Cursor, LevelShape};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, NO_DECIMAL};
use marketprism_parse::symbols::RecentSymbols;

use crate::depth::{Depth, TOP_FLAGS, depth_of};
use crate::fields::{AggTradeFields, BookFields, QuoteFields, TradeFields, trade_type};

/// Bytes of the longest symbol that is looked for under the name of its stream.
const LONGEST_SYMBOL: usize = 32;

/// What the path needs besides the frame.
pub(crate) struct Predicted<'d> {
    pub(crate) symbols: &'d SymbolTable,
    pub(crate) recent: &'d mut RecentSymbols,
    pub(crate) levels: &'d mut LevelBuffer,
    /// Value of `st` on this market's events.
    pub(crate) own_type: Option<u64>,
    pub(crate) receive_ns: i64,
}

/// A frame on the way: where it is read, and the name of its stream where it is wrapped.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) cursor: Cursor<'a>,
    stream: Option<&'a [u8]>,
}

impl Frame<'_> {
    /// Nothing may follow but the end of the wrapper.
    #[inline(always)]
    pub(crate) fn finish(&self, mut cursor: Cursor<'_>) -> Option<()> {
        if self.stream.is_some() {
            cursor.take(b"}")?;
        }
        cursor.end()
    }
}

impl Predicted<'_> {
    /// Reads a frame and appends its records. `None`: nothing was appended, and the general path is asked.
    #[inline]
    pub(crate) fn read(&mut self, frame: &[u8], sink: &mut dyn Sink) -> Option<Kind> {
        let mut frame = Frame { cursor: Cursor::new(frame), stream: None };
        if frame.cursor.has(b"{\"stream\":\"") {
            frame.stream = Some(frame.cursor.text()?);
            frame.cursor.take(b",\"data\":")?;
        }
        if frame.cursor.has(b"{\"e\":\"") {
            return match frame.cursor.peek()? {
                b't' => self.trade(frame, sink),
                b'd' => self.depth(frame, sink),
                b'b' => self.named_quote(frame, sink),
                b'a' => self.agg_trade(frame, sink),
                b'm' => self.mark_price(frame, sink),
                b'k' => self.candle(frame, sink),
                b'2' => self.ticker(frame, sink),
                b'f' => self.liquidation(frame, sink),
                _ => None,
            };
        }
        if frame.cursor.has(b"{\"u\":") {
            return self.quote(frame, sink);
        }
        frame.cursor.take(b"{\"lastUpdateId\":")?;
        self.spot_top(frame, sink)
    }

    #[inline(always)]
    pub(crate) fn instrument(&mut self, (symbol, key): (&[u8], Option<u128>)) -> Option<InstrumentId> {
        match key {
            Some(key) => self.recent.get(key, || self.symbols.get(symbol)),
            None => self.symbols.get(symbol),
        }
    }

    #[inline(always)]
    pub(crate) fn envelope(&self, instrument: InstrumentId) -> Envelope {
        Envelope { instrument, receive_ns: self.receive_ns, flags: 0 }
    }

    /// `"E":…,"s":"…"`.
    #[inline(always)]
    pub(crate) fn event_and_symbol(&mut self, cursor: &mut Cursor<'_>) -> Option<(i64, InstrumentId)> {
        cursor.take(b"\",\"E\":")?;
        let event_ns = cursor.time()?;
        cursor.take(b",\"s\":\"")?;
        let instrument = self.instrument(cursor.symbol()?)?;
        Some((event_ns, instrument))
    }

    /// The market's own `st`, where it is sent, and the end of the event.
    #[inline(always)]
    pub(crate) fn close(&self, cursor: &mut Cursor<'_>) -> Option<()> {
        if cursor.has(b",\"st\":") && Some(cursor.integer()?) != self.own_type {
            return None;
        }
        cursor.take(b"}")
    }

    #[inline(never)]
    fn trade(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut cursor = frame.cursor;
        cursor.take(b"trade\",\"E\":")?;
        let event_ns = cursor.time()?;
        // Futures send the time of the match here, spot behind the quantity.
        let early = if cursor.has(b",\"T\":") { Some(cursor.time()?) } else { None };
        cursor.take(b",\"s\":\"")?;
        let instrument = self.instrument(cursor.symbol()?)?;
        cursor.take(b",\"t\":")?;
        let id = cursor.integer()?;
        cursor.take(b",\"p\":\"")?;
        let price = cursor.decimal()?;
        cursor.take(b",\"q\":\"")?;
        let quantity = cursor.decimal()?;
        let mut kind = TradeType::Market;
        let match_ns = match early {
            Some(match_ns) => {
                if cursor.has(b",\"X\":\"") && !cursor.has(b"MARKET\"") {
                    kind = trade_type(cursor.text()?);
                }
                match_ns
            }
            None => {
                skip_order_ids(&mut cursor)?;
                cursor.take(b",\"T\":")?;
                cursor.time()?
            }
        };
        cursor.take(b",\"m\":")?;
        let buyer_is_maker = cursor.boolean()?;
        skip_ignored_flag(&mut cursor)?;
        self.close(&mut cursor)?;
        frame.finish(cursor)?;
        let fields =
            TradeFields { event_ns, match_ns, id, price, quantity, buyer_is_maker, trade_type: kind };
        sink.push(&fields.record(self.envelope(instrument)));
        Some(Kind::Trade)
    }

    #[inline(never)]
    fn agg_trade(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut cursor = frame.cursor;
        cursor.take(b"aggTrade\",\"E\":")?;
        let event_ns = cursor.time()?;
        // Futures have sent the id before the symbol, spot sends it behind.
        let early = if cursor.has(b",\"a\":") { Some(cursor.integer()?) } else { None };
        cursor.take(b",\"s\":\"")?;
        let instrument = self.instrument(cursor.symbol()?)?;
        let id = match early {
            Some(id) => id,
            None => {
                cursor.take(b",\"a\":")?;
                cursor.integer()?
            }
        };
        cursor.take(b",\"p\":\"")?;
        let price = cursor.decimal()?;
        cursor.take(b",\"q\":\"")?;
        let quantity = cursor.decimal()?;
        let normal_quantity = if cursor.has(b",\"nq\":\"") { cursor.decimal()? } else { NO_DECIMAL };
        cursor.take(b",\"f\":")?;
        let first_trade_id = cursor.integer()?;
        cursor.take(b",\"l\":")?;
        let last_trade_id = cursor.integer()?;
        cursor.take(b",\"T\":")?;
        let match_ns = cursor.time()?;
        cursor.take(b",\"m\":")?;
        let buyer_is_maker = cursor.boolean()?;
        skip_ignored_flag(&mut cursor)?;
        self.close(&mut cursor)?;
        frame.finish(cursor)?;
        let fields = AggTradeFields {
            event_ns,
            match_ns,
            id,
            price,
            quantity,
            normal_quantity,
            first_trade_id,
            last_trade_id,
            buyer_is_maker,
        };
        sink.push(&fields.record(self.envelope(instrument)).ok()?);
        Some(Kind::AggTrade)
    }

    #[inline(never)]
    fn depth(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (kind, flags) = depth_of(frame.stream).record_form()?;
        let mut cursor = frame.cursor;
        cursor.take(b"depthUpdate\",\"E\":")?;
        let event_ns = cursor.time()?;
        let engine_ns = if cursor.has(b",\"T\":") { cursor.time()? } else { TIME_MISSING };
        cursor.take(b",\"s\":\"")?;
        let instrument = self.instrument(cursor.symbol()?)?;
        skip_pair(&mut cursor)?;
        cursor.take(b",\"U\":")?;
        let first_id = cursor.integer()?;
        cursor.take(b",\"u\":")?;
        let last_id = cursor.integer()?;
        let previous_id = if cursor.has(b",\"pu\":") { cursor.signed()? } else { ABSENT };
        self.levels.clear();
        cursor.take(b",\"b\":[")?;
        cursor = read_levels(cursor, self.levels)?;
        let bid_levels = self.levels.levels().len();
        cursor.take(b",\"a\":[")?;
        cursor = read_levels(cursor, self.levels)?;
        self.close(&mut cursor)?;
        frame.finish(cursor)?;
        let fields = BookFields { kind, event_ns, engine_ns, first_id, last_id, previous_id, bid_levels };
        let envelope = Envelope { flags, ..self.envelope(instrument) };
        sink.push_book(&fields.record(envelope, self.levels), self.levels.levels());
        Some(kind)
    }

    /// The top of a spot book, whose symbol is in the name of the stream only.
    #[inline(never)]
    fn spot_top(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        if depth_of(frame.stream) != Depth::Top {
            return None;
        }
        let instrument = self.streamed(frame.stream?)?;
        let mut cursor = frame.cursor;
        let last_id = cursor.integer()?;
        self.levels.clear();
        cursor.take(b",\"bids\":[")?;
        cursor = read_levels(cursor, self.levels)?;
        let bid_levels = self.levels.levels().len();
        cursor.take(b",\"asks\":[")?;
        cursor = read_levels(cursor, self.levels)?;
        cursor.take(b"}")?;
        frame.finish(cursor)?;
        let envelope = Envelope { flags: TOP_FLAGS, ..self.envelope(instrument) };
        let fields = BookFields::spot_top(last_id, bid_levels);
        sink.push_book(&fields.record(envelope, self.levels), self.levels.levels());
        Some(Kind::BookSnapshot)
    }

    /// The instrument that a stream's name begins with, in lower case.
    fn streamed(&self, stream: &[u8]) -> Option<InstrumentId> {
        let mut upper = [0; LONGEST_SYMBOL];
        let symbol = stream.split(|byte| *byte == b'@').next()?;
        let upper = upper.get_mut(..symbol.len())?;
        upper.copy_from_slice(symbol);
        upper.make_ascii_uppercase();
        self.symbols.get(upper)
    }

    /// `bookTicker` with its name first.
    #[inline(never)]
    fn named_quote(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut cursor = frame.cursor;
        cursor.take(b"bookTicker\",\"u\":")?;
        let update_id = cursor.integer()?;
        self.futures_quote(frame, cursor, update_id, sink)
    }

    /// `bookTicker` with its update id first: without a name on spot, with it on COIN-M.
    #[inline(never)]
    fn quote(&mut self, frame: Frame<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut cursor = frame.cursor;
        let update_id = cursor.integer()?;
        if cursor.has(b",\"e\":\"bookTicker\"") {
            return self.futures_quote(frame, cursor, update_id, sink);
        }
        cursor.take(b",\"s\":\"")?;
        let instrument = self.instrument(cursor.symbol()?)?;
        let [bid_price, bid_quantity, ask_price, ask_quantity] = best(&mut cursor)?;
        self.close(&mut cursor)?;
        frame.finish(cursor)?;
        let (event_ns, engine_ns) = (TIME_MISSING, TIME_MISSING);
        let fields =
            QuoteFields { event_ns, engine_ns, update_id, bid_price, bid_quantity, ask_price, ask_quantity };
        sink.push(&fields.record(self.envelope(instrument)).ok()?);
        Some(Kind::Quote)
    }

    /// The rest of a futures quote: times before the symbol (documentation) or at the end (recordings).
    #[inline(always)]
    fn futures_quote(
        &mut self,
        frame: Frame<'_>,
        mut cursor: Cursor<'_>,
        update_id: u64,
        sink: &mut dyn Sink,
    ) -> Option<Kind> {
        let (mut event_ns, mut engine_ns) = (TIME_MISSING, TIME_MISSING);
        let early = cursor.has(b",\"E\":");
        if early {
            event_ns = cursor.time()?;
            cursor.take(b",\"T\":")?;
            engine_ns = cursor.time()?;
        }
        cursor.take(b",\"s\":\"")?;
        let instrument = self.instrument(cursor.symbol()?)?;
        skip_pair(&mut cursor)?;
        let [bid_price, bid_quantity, ask_price, ask_quantity] = best(&mut cursor)?;
        if !early {
            cursor.take(b",\"T\":")?;
            engine_ns = cursor.time()?;
            cursor.take(b",\"E\":")?;
            event_ns = cursor.time()?;
        }
        self.close(&mut cursor)?;
        frame.finish(cursor)?;
        let fields =
            QuoteFields { event_ns, engine_ns, update_id, bid_price, bid_quantity, ask_price, ask_quantity };
        sink.push(&fields.record(self.envelope(instrument)).ok()?);
        Some(Kind::Quote)
    }
}

/// The order ids that spot trades carried up to 2023.
#[inline(always)]
fn skip_order_ids(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.has(b",\"b\":") {
        cursor.integer()?;
        cursor.take(b",\"a\":")?;
        cursor.integer()?;
    }
    Some(())
}

/// The flag `M` of spot trades, which means nothing.
#[inline(always)]
fn skip_ignored_flag(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.has(b",\"M\":") {
        cursor.boolean()?;
    }
    Some(())
}

/// The pair that futures name beside the symbol.
#[inline(always)]
pub(crate) fn skip_pair(cursor: &mut Cursor<'_>) -> Option<()> {
    if cursor.has(b",\"ps\":\"") {
        cursor.text()?;
    }
    Some(())
}

/// Best bid and ask: price and quantity, price and quantity.
#[inline(always)]
pub(crate) fn best(cursor: &mut Cursor<'_>) -> Option<[Decimal; 4]> {
    cursor.take(b",\"b\":\"")?;
    let bid_price = cursor.decimal()?;
    cursor.take(b",\"B\":\"")?;
    let bid_quantity = cursor.decimal()?;
    cursor.take(b",\"a\":\"")?;
    let ask_price = cursor.decimal()?;
    cursor.take(b",\"A\":\"")?;
    let ask_quantity = cursor.decimal()?;
    Some([bid_price, bid_quantity, ask_price, ask_quantity])
}

/// The levels of one side, after its opening bracket: the cursor behind the closing one. A function of its own,
/// and the cursor by value, so that the loop has the registers.
#[inline(never)]
fn read_levels<'a>(mut cursor: Cursor<'a>, levels: &mut LevelBuffer) -> Option<Cursor<'a>> {
    if cursor.has(b"]") {
        return Some(cursor);
    }
    cursor.take(b"[\"")?;
    let mut shape = LevelShape::NONE;
    loop {
        let (price, quantity) = cursor.level(&mut shape)?;
        levels.push(price, quantity)?;
        if !cursor.has(b"],[\"") {
            cursor.take(b"]]")?;
            return Some(cursor);
        }
    }
}

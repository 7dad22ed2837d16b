//! The predicted path: expects a notification in the wrapper and with the keys that the venue uses, walks over it
//! byte by byte, and gives up at the first surprise. The order of keys has changed over the years and differs
//! between channels, so that no order is demanded: keys are tried in the usual one, again and again, which finds
//! each at the first look where they come so. One that is not known, or that comes twice, is a surprise. What the path
//! accepts, the general path accepts, with the same records.

use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::{RecordBuffer, Sink};
use marketprism_core::{Decimal, InstrumentId, Kind};
use marketprism_parse::cursor::Cursor;
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, NO_DECIMAL};
use marketprism_parse::symbols::RecentSymbols;

use crate::channel::{Channel, Content, resolution_ns};
use crate::fields::{
    BookFields, CandleNumbers, IndexFields, QuoteNumbers, TradeFields, book_kind, direction, liquidated,
    trade_id,
};
use crate::market::MarketKind;
use crate::numbers::Numbers;
use crate::ticker::TickerFields;

/// What the path needs besides the frame.
pub(crate) struct Predicted<'d> {
    pub(crate) symbols: &'d SymbolTable,
    pub(crate) recent: &'d mut RecentSymbols,
    pub(crate) levels: &'d mut LevelBuffer,
    pub(crate) market: MarketKind,
    pub(crate) receive_ns: i64,
    /// Trades wait here until the whole frame is read.
    pub(crate) staged: &'d mut RecordBuffer,
}

/// A symbol as [`Cursor::symbol`] gives it.
type Symbol<'a> = (&'a [u8], Option<u128>);

impl Predicted<'_> {
    /// Reads a frame and appends its records. `None`: nothing was appended, and the general path is asked.
    #[inline]
    pub(crate) fn read(&mut self, frame: &[u8], sink: &mut dyn Sink) -> Option<Kind> {
        let mut cursor = Cursor::new(frame);
        cursor.take(b"{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":{\"channel\":\"")?;
        let named = cursor;
        // The most frequent channels are known by their first letters.
        if cursor.has(b"book.") {
            let name = cursor.text()?;
            if !is_plain(name) {
                return self.rare(named, sink);
            }
            cursor.take(b",\"data\":")?;
            return self.book(cursor, false, sink);
        }
        let content = match cursor.peek()? {
            b't' if cursor.has(b"ticker.") => Content::Ticker,
            b't' if cursor.has(b"trades.") => Content::Trades,
            b'q' if cursor.has(b"quote.") => Content::Quote,
            _ => return self.rare(named, sink),
        };
        cursor.text()?;
        cursor.take(b",\"data\":")?;
        match content {
            Content::Ticker => self.ticker(cursor, sink),
            Content::Trades => self.trades(cursor, sink),
            _ => self.quote(cursor, sink),
        }
    }

    /// A frame of any channel; the cursor is at its name.
    #[inline(never)]
    fn rare(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let channel = Channel::parse(cursor.text()?)?;
        cursor.take(b",\"data\":")?;
        match channel.content {
            Content::Book => self.book(cursor, false, sink),
            Content::GroupedBook => self.book(cursor, true, sink),
            Content::Trades => self.trades(cursor, sink),
            Content::Quote => self.quote(cursor, sink),
            Content::Ticker => self.ticker(cursor, sink),
            Content::PriceIndex => self.price_index(cursor, sink),
            Content::VolatilityIndex => self.volatility_index(cursor, sink),
            Content::Candle => self.candle(cursor, channel, sink),
            Content::Lifecycle => None,
        }
    }

    #[inline(always)]
    fn envelope(&mut self, symbol: Option<Symbol<'_>>) -> Option<Envelope> {
        let (symbol, key) = symbol?;
        let find = || self.symbols.get(symbol);
        let instrument: InstrumentId = match key {
            Some(key) => self.recent.get(key, find)?,
            None => find()?,
        };
        Some(Envelope { instrument, receive_ns: self.receive_ns, flags: 0 })
    }

    #[inline(never)]
    fn book(&mut self, mut cursor: Cursor<'_>, grouped: bool, sink: &mut dyn Sink) -> Option<Kind> {
        let (mut symbol, mut exchange_ns, mut change_id, mut previous_id) = (None, None, None, None);
        let (mut name, mut bid_levels, mut asks) = (None, None, None);
        self.levels.clear();
        members(&mut cursor, |key, cursor| match key {
            b"type" => once(&mut name, text(cursor)),
            b"timestamp" => once(&mut exchange_ns, cursor.time()),
            b"instrument_name" => once(&mut symbol, quoted_symbol(cursor)),
            b"change_id" => once(&mut change_id, cursor.integer()),
            b"prev_change_id" => once(&mut previous_id, cursor.signed()),
            b"bids" => {
                *cursor = read_levels(*cursor, self.levels)?;
                once(&mut bid_levels, Some(self.levels.levels().len()))
            }
            b"asks" => {
                // The levels of a record are bids first.
                bid_levels?;
                *cursor = read_levels(*cursor, self.levels)?;
                once(&mut asks, Some(()))
            }
            _ => None,
        })?;
        asks?;
        finish(cursor)?;
        let kind = book_kind(name, previous_id, grouped)?;
        let fields = BookFields {
            kind,
            grouped,
            exchange_ns,
            change_id: change_id?,
            previous_id,
            bid_levels: bid_levels?,
        };
        let record = fields.record(self.envelope(symbol)?, self.levels);
        sink.push_book(&record, self.levels.levels());
        Some(kind)
    }

    #[inline(never)]
    fn trades(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        cursor.take(b"[")?;
        self.staged.clear();
        loop {
            self.trade(&mut cursor)?;
            if !cursor.has(b",") {
                break;
            }
        }
        cursor.take(b"]")?;
        finish(cursor)?;
        for record in self.staged.iter() {
            sink.push_ref(record);
        }
        Some(Kind::DetailedTrade)
    }

    /// Reads one trade into `staged`.
    #[inline(always)]
    fn trade(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let mut symbol = None;
        let mut fields = TradeFields::EMPTY;
        members(cursor, |key, cursor| match key {
            b"timestamp" => once(&mut fields.exchange_ns, cursor.time()),
            b"instrument_name" => once(&mut symbol, quoted_symbol(cursor)),
            b"trade_seq" => once(&mut fields.sequence, cursor.integer()),
            b"trade_id" => once(&mut fields.trade_id, trade_id(text(cursor)?)),
            b"direction" => once(&mut fields.direction, Some(direction(text(cursor)?))),
            // A party that is not known is a surprise.
            b"liquidation" => once(&mut fields.liquidation, liquidated(text(cursor)?)),
            b"block_trade_id" => {
                fields.block = true;
                text(cursor).map(|_| ())
            }
            b"combo_id" | b"combo_trade_id" => {
                fields.combo = true;
                text(cursor).map(|_| ())
            }
            b"tick_direction" | b"contracts" | b"block_trade_leg_count" | b"block_rfq_id" => {
                number(cursor).map(|_| ())
            }
            _ => decimal_once(fields.numbers.number(key)?, cursor),
        })?;
        let envelope = self.envelope(symbol)?;
        fields.push(envelope, self.staged).ok()
    }

    #[inline(never)]
    fn quote(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (mut symbol, mut exchange_ns) = (None, None);
        let mut numbers = QuoteNumbers::EMPTY;
        members(&mut cursor, |key, cursor| match key {
            b"timestamp" => once(&mut exchange_ns, cursor.time()),
            b"instrument_name" => once(&mut symbol, quoted_symbol(cursor)),
            _ => decimal_once(numbers.number(key)?, cursor),
        })?;
        finish(cursor)?;
        sink.push(&numbers.record(self.envelope(symbol)?, exchange_ns).ok()?);
        Some(Kind::Quote)
    }

    #[inline(never)]
    fn ticker(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (mut symbol, mut statistics, mut greeks) = (None, None, None);
        let mut fields = TickerFields::EMPTY;
        members(&mut cursor, |key, cursor| match key {
            b"timestamp" => once(&mut fields.exchange_ns, cursor.time()),
            b"instrument_name" => once(&mut symbol, quoted_symbol(cursor)),
            b"state" | b"underlying_index" => text(cursor).map(|_| ()),
            b"settlement_price" | b"delivery_price" | b"min_price" | b"max_price" => {
                number(cursor).map(|_| ())
            }
            b"stats" => {
                once(&mut statistics, Some(()))?;
                members(cursor, |key, cursor| match key {
                    b"price_change" | b"volume_notional" => number(cursor).map(|_| ()),
                    _ => decimal_once(fields.statistics.number(key)?, cursor),
                })
            }
            b"greeks" => {
                once(&mut greeks, Some(()))?;
                members(cursor, |key, cursor| decimal_once(fields.greeks.number(key)?, cursor))
            }
            _ => decimal_once(fields.numbers.number(key)?, cursor),
        })?;
        let counts_quote_units = self.market.counts_quote_units(symbol?.0);
        let envelope = self.envelope(symbol)?;
        finish(cursor)?;
        fields.push(envelope, counts_quote_units, sink).ok()?;
        Some(Kind::Ticker)
    }

    #[inline(never)]
    fn price_index(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (symbol, fields) = index(&mut cursor, b"price")?;
        finish(cursor)?;
        sink.push(&fields.price(self.envelope(symbol)?).ok()?);
        Some(Kind::MarkPrice)
    }

    #[inline(never)]
    fn volatility_index(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (symbol, fields) = index(&mut cursor, b"volatility")?;
        finish(cursor)?;
        sink.push(&fields.volatility(self.envelope(symbol)?).ok()?);
        Some(Kind::VolatilityIndex)
    }

    #[inline(never)]
    fn candle(&mut self, mut cursor: Cursor<'_>, channel: Channel<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut open_ns = None;
        let mut numbers = CandleNumbers::EMPTY;
        members(&mut cursor, |key, cursor| match key {
            b"tick" => once(&mut open_ns, cursor.time()),
            _ => decimal_once(numbers.number(key)?, cursor),
        })?;
        finish(cursor)?;
        let envelope = self.envelope(Some((channel.subject, None)))?;
        let length_ns = resolution_ns(channel.option)?;
        sink.push(&numbers.record(envelope, open_ns?, channel.option, length_ns).ok()?);
        Some(Kind::Candle)
    }
}

/// Nothing may follow the data but the end of the wrapper.
#[inline(always)]
fn finish(mut cursor: Cursor<'_>) -> Option<()> {
    cursor.take(b"}}")?;
    cursor.end()
}

/// The data of an index, whose value has this key.
#[inline(always)]
fn index<'a>(cursor: &mut Cursor<'a>, value_key: &[u8]) -> Option<(Option<Symbol<'a>>, IndexFields)> {
    let mut symbol = None;
    let mut fields = IndexFields { exchange_ns: None, value: NO_DECIMAL };
    members(cursor, |key, cursor| match key {
        b"timestamp" => once(&mut fields.exchange_ns, cursor.time()),
        b"index_name" => once(&mut symbol, quoted_symbol(cursor)),
        _ if key == value_key => decimal_once(&mut fields.value, cursor),
        _ => None,
    })?;
    Some((symbol, fields))
}

/// Walks over an object: `member` is given each key, and the cursor in front of its value.
#[inline(always)]
fn members<'a>(
    cursor: &mut Cursor<'a>,
    mut member: impl FnMut(&'a [u8], &mut Cursor<'a>) -> Option<()>,
) -> Option<()> {
    cursor.take(b"{")?;
    if cursor.has(b"}") {
        return Some(());
    }
    loop {
        cursor.take(b"\"")?;
        let key = cursor.text()?;
        cursor.take(b":")?;
        member(key, cursor)?;
        if !cursor.has(b",") {
            return cursor.take(b"}");
        }
    }
}

/// Keeps a value of which there must be only one.
#[inline(always)]
fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Option<()> {
    match slot.replace(value?) {
        None => Some(()),
        Some(_) => None,
    }
}

/// A number or `null`, of which there must be only one.
#[inline(always)]
fn decimal_once(slot: &mut Decimal, cursor: &mut Cursor<'_>) -> Option<()> {
    let value = number(cursor)?;
    (std::mem::replace(slot, value) == NO_DECIMAL).then_some(())
}

#[inline(always)]
fn number(cursor: &mut Cursor<'_>) -> Option<Decimal> {
    if cursor.has(b"null") { Some(NO_DECIMAL) } else { cursor.number() }
}

#[inline(always)]
fn text<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    cursor.take(b"\"")?;
    cursor.text()
}

#[inline(always)]
fn quoted_symbol<'a>(cursor: &mut Cursor<'a>) -> Option<Symbol<'a>> {
    cursor.take(b"\"")?;
    cursor.symbol()
}

/// The levels of one side: the cursor behind them. A function of its own, and the cursor by value, so that the loop
/// has the registers.
#[inline(never)]
fn read_levels<'a>(mut cursor: Cursor<'a>, levels: &mut LevelBuffer) -> Option<Cursor<'a>> {
    cursor.take(b"[")?;
    if cursor.has(b"]") {
        return Some(cursor);
    }
    loop {
        cursor.take(b"[")?;
        let deleted = action(&mut cursor)?;
        let price = cursor.number()?;
        cursor.take(b",")?;
        let amount = cursor.number()?;
        cursor.take(b"]")?;
        levels.push(price, if deleted { Decimal::ZERO } else { amount })?;
        if !cursor.has(b",") {
            cursor.take(b"]")?;
            return Some(cursor);
        }
    }
}

/// Steps over what happened to a level, which grouped books do not say: whether it was deleted.
#[inline(always)]
fn action(cursor: &mut Cursor<'_>) -> Option<bool> {
    if !cursor.has(b"\"") || cursor.has(b"new\",") || cursor.has(b"change\",") {
        return Some(false);
    }
    cursor.take(b"delete\",").map(|()| true)
}

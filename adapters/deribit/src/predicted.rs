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
use crate::ticker::{Sensitivities, Statistics, TickerFields};

/// Walks over the object at the cursor. Each key, with its quotes and colon, says what becomes of its value; keys are
/// tried in this order again and again, until a round finds none.
macro_rules! members {
    ($cursor:ident, { $($key:literal => $value:expr,)* }) => {
        $cursor.take(b"{")?;
        if !$cursor.has(b"}") {
            'object: loop {
                let mut found = false;
                $(
                    if $cursor.has($key) {
                        $value?;
                        if !$cursor.has(b",") {
                            break 'object;
                        }
                        found = true;
                    }
                )*
                if !found {
                    return None;
                }
            }
            $cursor.take(b"}")?;
        }
    };
}

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
        members!(cursor, {
            b"\"type\":" => once(&mut name, text(&mut cursor)),
            b"\"timestamp\":" => once(&mut exchange_ns, cursor.time()),
            b"\"prev_change_id\":" => once(&mut previous_id, cursor.signed()),
            b"\"instrument_name\":" => once(&mut symbol, quoted_symbol(&mut cursor)),
            b"\"change_id\":" => once(&mut change_id, cursor.integer()),
            b"\"bids\":" => {
                cursor = read_levels(cursor, self.levels)?;
                once(&mut bid_levels, Some(self.levels.levels().len()))
            },
            b"\"asks\":" => {
                // The levels of a record are bids first.
                bid_levels?;
                cursor = read_levels(cursor, self.levels)?;
                once(&mut asks, Some(()))
            },
        });
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
            cursor = self.trade(cursor)?;
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

    /// Reads one trade into `staged`: the cursor behind it.
    #[inline(always)]
    fn trade<'a>(&mut self, mut cursor: Cursor<'a>) -> Option<Cursor<'a>> {
        let mut symbol = None;
        let mut fields = TradeFields::EMPTY;
        members!(cursor, {
            b"\"timestamp\":" => once(&mut fields.exchange_ns, cursor.time()),
            b"\"iv\":" => decimal_once(&mut fields.numbers.volatility, &mut cursor),
            b"\"price\":" => decimal_once(&mut fields.numbers.price, &mut cursor),
            b"\"amount\":" => decimal_once(&mut fields.numbers.amount, &mut cursor),
            b"\"direction\":" => once(&mut fields.direction, Some(direction(text(&mut cursor)?))),
            b"\"index_price\":" => decimal_once(&mut fields.numbers.index_price, &mut cursor),
            b"\"instrument_name\":" => once(&mut symbol, quoted_symbol(&mut cursor)),
            b"\"trade_seq\":" => once(&mut fields.sequence, cursor.integer()),
            b"\"mark_price\":" => decimal_once(&mut fields.numbers.mark_price, &mut cursor),
            b"\"tick_direction\":" => number(&mut cursor).map(|_| ()),
            // A party that is not known is a surprise.
            b"\"liquidation\":" => once(&mut fields.liquidation, liquidated(text(&mut cursor)?)),
            b"\"block_trade_id\":" => {
                fields.block = true;
                text(&mut cursor).map(|_| ())
            },
            b"\"block_trade_leg_count\":" => number(&mut cursor).map(|_| ()),
            b"\"block_rfq_id\":" => number(&mut cursor).map(|_| ()),
            b"\"combo_id\":" => {
                fields.combo = true;
                text(&mut cursor).map(|_| ())
            },
            b"\"contracts\":" => number(&mut cursor).map(|_| ()),
            b"\"combo_trade_id\":" => {
                fields.combo = true;
                text(&mut cursor).map(|_| ())
            },
            b"\"trade_id\":" => once(&mut fields.trade_id, trade_id(text(&mut cursor)?)),
        });
        let envelope = self.envelope(symbol)?;
        fields.push(envelope, self.staged).ok()?;
        Some(cursor)
    }

    #[inline(never)]
    fn quote(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (mut symbol, mut exchange_ns) = (None, None);
        let mut numbers = QuoteNumbers::EMPTY;
        members!(cursor, {
            b"\"timestamp\":" => once(&mut exchange_ns, cursor.time()),
            b"\"instrument_name\":" => once(&mut symbol, quoted_symbol(&mut cursor)),
            b"\"best_ask_price\":" => decimal_once(&mut numbers.ask_price, &mut cursor),
            b"\"best_bid_price\":" => decimal_once(&mut numbers.bid_price, &mut cursor),
            b"\"best_ask_amount\":" => decimal_once(&mut numbers.ask_amount, &mut cursor),
            b"\"best_bid_amount\":" => decimal_once(&mut numbers.bid_amount, &mut cursor),
        });
        finish(cursor)?;
        sink.push(&numbers.record(self.envelope(symbol)?, exchange_ns).ok()?);
        Some(Kind::Quote)
    }

    #[inline(never)]
    fn ticker(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let (mut symbol, mut statistics, mut greeks) = (None, None, None);
        let mut fields = TickerFields::EMPTY;
        let numbers = &mut fields.numbers;
        // The order of options; that of perpetual contracts takes some rounds.
        members!(cursor, {
            b"\"underlying_price\":" => decimal_once(&mut numbers.underlying_price, &mut cursor),
            b"\"underlying_index\":" => text(&mut cursor).map(|_| ()),
            b"\"timestamp\":" => once(&mut fields.exchange_ns, cursor.time()),
            b"\"stats\":" => {
                cursor = read_statistics(cursor, &mut fields.statistics)?;
                once(&mut statistics, Some(()))
            },
            b"\"state\":" => text(&mut cursor).map(|_| ()),
            b"\"settlement_price\":" => number(&mut cursor).map(|_| ()),
            b"\"open_interest\":" => decimal_once(&mut numbers.open_interest, &mut cursor),
            b"\"min_price\":" => number(&mut cursor).map(|_| ()),
            b"\"max_price\":" => number(&mut cursor).map(|_| ()),
            b"\"mark_price\":" => decimal_once(&mut numbers.mark_price, &mut cursor),
            b"\"mark_iv\":" => decimal_once(&mut numbers.mark_iv, &mut cursor),
            b"\"last_price\":" => decimal_once(&mut numbers.last_price, &mut cursor),
            b"\"interest_value\":" => decimal_once(&mut numbers.interest_value, &mut cursor),
            b"\"interest_rate\":" => decimal_once(&mut numbers.interest_rate, &mut cursor),
            b"\"instrument_name\":" => once(&mut symbol, quoted_symbol(&mut cursor)),
            b"\"index_price\":" => decimal_once(&mut numbers.index_price, &mut cursor),
            b"\"greeks\":" => {
                cursor = read_greeks(cursor, &mut fields.greeks)?;
                once(&mut greeks, Some(()))
            },
            b"\"funding_8h\":" => decimal_once(&mut numbers.funding_8h, &mut cursor),
            b"\"estimated_delivery_price\":" =>
                decimal_once(&mut numbers.estimated_delivery_price, &mut cursor),
            b"\"delivery_price\":" => number(&mut cursor).map(|_| ()),
            b"\"current_funding\":" => decimal_once(&mut numbers.current_funding, &mut cursor),
            b"\"bid_iv\":" => decimal_once(&mut numbers.bid_iv, &mut cursor),
            b"\"best_bid_price\":" => decimal_once(&mut numbers.bid_price, &mut cursor),
            b"\"best_bid_amount\":" => decimal_once(&mut numbers.bid_amount, &mut cursor),
            b"\"best_ask_price\":" => decimal_once(&mut numbers.ask_price, &mut cursor),
            b"\"best_ask_amount\":" => decimal_once(&mut numbers.ask_amount, &mut cursor),
            b"\"ask_iv\":" => decimal_once(&mut numbers.ask_iv, &mut cursor),
        });
        let counts_quote_units = self.market.counts_quote_units(symbol?.0);
        let envelope = self.envelope(symbol)?;
        finish(cursor)?;
        fields.push(envelope, counts_quote_units, sink).ok()?;
        Some(Kind::Ticker)
    }

    #[inline(never)]
    fn price_index(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut symbol = None;
        let mut fields = IndexFields { exchange_ns: None, value: NO_DECIMAL };
        members!(cursor, {
            b"\"timestamp\":" => once(&mut fields.exchange_ns, cursor.time()),
            b"\"price\":" => decimal_once(&mut fields.value, &mut cursor),
            b"\"index_name\":" => once(&mut symbol, quoted_symbol(&mut cursor)),
        });
        finish(cursor)?;
        sink.push(&fields.price(self.envelope(symbol)?).ok()?);
        Some(Kind::MarkPrice)
    }

    #[inline(never)]
    fn volatility_index(&mut self, mut cursor: Cursor<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut symbol = None;
        let mut fields = IndexFields { exchange_ns: None, value: NO_DECIMAL };
        members!(cursor, {
            b"\"volatility\":" => decimal_once(&mut fields.value, &mut cursor),
            b"\"timestamp\":" => once(&mut fields.exchange_ns, cursor.time()),
            b"\"index_name\":" => once(&mut symbol, quoted_symbol(&mut cursor)),
        });
        finish(cursor)?;
        sink.push(&fields.volatility(self.envelope(symbol)?).ok()?);
        Some(Kind::VolatilityIndex)
    }

    #[inline(never)]
    fn candle(&mut self, mut cursor: Cursor<'_>, channel: Channel<'_>, sink: &mut dyn Sink) -> Option<Kind> {
        let mut open_ns = None;
        let mut numbers = CandleNumbers::EMPTY;
        members!(cursor, {
            b"\"volume\":" => decimal_once(&mut numbers.volume, &mut cursor),
            b"\"tick\":" => once(&mut open_ns, cursor.time()),
            b"\"open\":" => decimal_once(&mut numbers.open, &mut cursor),
            b"\"low\":" => decimal_once(&mut numbers.low, &mut cursor),
            b"\"high\":" => decimal_once(&mut numbers.high, &mut cursor),
            b"\"cost\":" => decimal_once(&mut numbers.cost, &mut cursor),
            b"\"close\":" => decimal_once(&mut numbers.close, &mut cursor),
        });
        finish(cursor)?;
        let envelope = self.envelope(Some((channel.subject, None)))?;
        let length_ns = resolution_ns(channel.option)?;
        sink.push(&numbers.record(envelope, open_ns?, channel.option, length_ns).ok()?);
        Some(Kind::Candle)
    }
}

/// The object `stats` of a ticker: the cursor behind it.
#[inline(always)]
fn read_statistics<'a>(mut cursor: Cursor<'a>, statistics: &mut Statistics) -> Option<Cursor<'a>> {
    members!(cursor, {
        b"\"volume_usd\":" => decimal_once(&mut statistics.volume_usd, &mut cursor),
        b"\"volume_notional\":" => number(&mut cursor).map(|_| ()),
        b"\"volume\":" => decimal_once(&mut statistics.volume, &mut cursor),
        b"\"price_change\":" => number(&mut cursor).map(|_| ()),
        b"\"low\":" => decimal_once(&mut statistics.low, &mut cursor),
        b"\"high\":" => decimal_once(&mut statistics.high, &mut cursor),
    });
    Some(cursor)
}

/// The object `greeks` of a ticker: the cursor behind it.
#[inline(always)]
fn read_greeks<'a>(mut cursor: Cursor<'a>, greeks: &mut Sensitivities) -> Option<Cursor<'a>> {
    members!(cursor, {
        b"\"vega\":" => decimal_once(&mut greeks.vega, &mut cursor),
        b"\"theta\":" => decimal_once(&mut greeks.theta, &mut cursor),
        b"\"rho\":" => decimal_once(&mut greeks.rho, &mut cursor),
        b"\"gamma\":" => decimal_once(&mut greeks.gamma, &mut cursor),
        b"\"delta\":" => decimal_once(&mut greeks.delta, &mut cursor),
    });
    Some(cursor)
}

/// Whether a book channel's name, behind its first part, is that of a whole book: it has one option.
#[inline(always)]
fn is_plain(name: &[u8]) -> bool {
    let symbol = name.strip_suffix(b".100ms").or_else(|| name.strip_suffix(b".raw"));
    symbol.is_some_and(|symbol| !symbol.contains(&b'.'))
}

/// Nothing may follow the data but the end of the wrapper.
#[inline(always)]
fn finish(mut cursor: Cursor<'_>) -> Option<()> {
    cursor.take(b"}}")?;
    cursor.end()
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
    let grouped = !cursor.next_is(b"[\"");
    loop {
        cursor.take(b"[")?;
        // Grouped books do not say what happened to a level.
        let deleted = if grouped { false } else { deleted(&mut cursor)? };
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

/// Steps over what happened to a level: whether it was deleted. Which of the words it is cannot be foreseen, so that all
/// are compared without a branch.
#[inline(always)]
fn deleted(cursor: &mut Cursor<'_>) -> Option<bool> {
    cursor.take(b"\"")?;
    let (word, key) = cursor.symbol()?;
    let key = key.unwrap_or_else(|| short_key(word));
    let is_deleted = key == const { short_key(b"delete") };
    if !(is_deleted | (key == const { short_key(b"change") }) | (key == const { short_key(b"new") })) {
        return None;
    }
    cursor.take(b",")?;
    Some(is_deleted)
}

/// The first bytes of a word as [`Cursor::symbol`] gives them.
#[inline(always)]
const fn short_key(word: &[u8]) -> u128 {
    let (mut key, mut index) = (0, 0);
    while index < word.len() && index < 15 {
        key |= (word[index] as u128) << (8 * index);
        index += 1;
    }
    key
}

//! The general path: any order of keys, unknown keys, white space. Slower, and asked only where the predicted path
//! gives up.

use marketprism_core::Decimal;
use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::{ABSENT, RecordBuffer, Sink};
use marketprism_core::venue::{Accepted, DecodeError, Outcome};
use marketprism_parse::json::{self, Object, Value, bad};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, NO_DECIMAL, time_ns};

use crate::channel::{Channel, Content, resolution_ns};
use crate::fields::{
    BookFields, CandleNumbers, IndexFields, QuoteNumbers, TradeFields, book_kind, direction, liquidated,
    trade_id,
};
use crate::market::MarketKind;
use crate::numbers::Numbers;
use crate::session::TEST;
use crate::ticker::TickerFields;

/// What the path needs besides the frame.
pub(crate) struct General<'d> {
    pub(crate) symbols: &'d SymbolTable,
    pub(crate) levels: &'d mut LevelBuffer,
    pub(crate) market: MarketKind,
    pub(crate) receive_ns: i64,
    /// Records wait here until the whole frame is read.
    pub(crate) staged: &'d mut RecordBuffer,
}

impl General<'_> {
    /// Reads a frame; its records are in `staged`.
    pub(crate) fn read(&mut self, frame: &[u8]) -> Result<Outcome, DecodeError> {
        let value = json::parse(frame)?;
        let object = value.object().ok_or_else(|| DecodeError::Shape("not an object".to_owned()))?;
        let Some(method) = object.optional_text("method")? else {
            return answer(&object);
        };
        let parameters = object.need("params")?.object().ok_or_else(|| bad("params", "not an object"))?;
        match &*method {
            "subscription" => self.notification(&parameters),
            "heartbeat" if parameters.text("type")? == "test_request" => Ok(Outcome::Reply(TEST)),
            "heartbeat" => Ok(Outcome::Alive),
            other => Err(DecodeError::UnknownEvent(other.to_owned())),
        }
    }

    fn notification(&mut self, parameters: &Object<'_>) -> Result<Outcome, DecodeError> {
        let name = parameters.text("channel")?;
        let channel = Channel::parse(name.as_bytes())
            .ok_or_else(|| DecodeError::UnknownEvent(name.clone().into_owned()))?;
        if channel.content == Content::Lifecycle {
            return Ok(Outcome::InstrumentsChanged);
        }
        let data = parameters.need("data")?;
        if let (Content::Trades, Some(trades)) = (channel.content, data.elements()) {
            for trade in trades {
                self.data(channel, &trade)?;
            }
        } else {
            self.data(channel, data)?;
        }
        Ok(Outcome::Data)
    }

    fn data(&mut self, channel: Channel<'_>, data: &Value<'_>) -> Result<(), DecodeError> {
        let data = data.object().ok_or_else(|| bad("data", "not an object"))?;
        match channel.content {
            Content::Book => self.book(channel, &data, false),
            Content::GroupedBook => self.book(channel, &data, true),
            Content::Trades => self.trade(channel, &data),
            Content::Quote => self.quote(channel, &data),
            Content::Ticker => self.ticker(channel, &data),
            Content::PriceIndex | Content::VolatilityIndex => self.index(channel, &data),
            Content::Candle => self.candle(channel, &data),
            Content::Lifecycle => Ok(()),
        }
    }

    /// The envelope of records about the instrument with this symbol.
    fn envelope(&self, symbol: &[u8]) -> Result<Envelope, DecodeError> {
        match self.symbols.get(symbol) {
            Some(instrument) => Ok(Envelope { instrument, receive_ns: self.receive_ns, flags: 0 }),
            None => Err(DecodeError::UnknownSymbol(String::from_utf8_lossy(symbol).into_owned())),
        }
    }

    fn sink(&mut self) -> &mut dyn Sink {
        self.staged
    }

    fn book(&mut self, channel: Channel<'_>, data: &Object<'_>, grouped: bool) -> Result<(), DecodeError> {
        let envelope = self.envelope(&symbol(channel, data, "instrument_name")?)?;
        let previous_id = match data.signed_or("prev_change_id", ABSENT)? {
            ABSENT => None,
            previous_id => Some(previous_id),
        };
        let name = data.optional_text("type")?;
        let kind = book_kind(name.as_ref().map(|name| name.as_bytes()), previous_id, grouped)
            .ok_or_else(|| bad("type", "neither snapshot nor change"))?;
        let fields = BookFields {
            kind,
            grouped,
            exchange_ns: time(data, "timestamp")?,
            change_id: data.unsigned("change_id")?,
            previous_id,
            bid_levels: read_book(self.levels, data)?,
        };
        let record = fields.record(envelope, self.levels);
        let sink: &mut dyn Sink = self.staged;
        sink.push_book(&record, self.levels.levels());
        Ok(())
    }

    fn trade(&mut self, channel: Channel<'_>, data: &Object<'_>) -> Result<(), DecodeError> {
        let envelope = self.envelope(&symbol(channel, data, "instrument_name")?)?;
        let mut fields = TradeFields::EMPTY;
        fill(data, &mut fields.numbers)?;
        fields.exchange_ns = time(data, "timestamp")?;
        fields.sequence = Some(data.unsigned("trade_seq")?);
        fields.trade_id = Some(read_trade_id(data.need("trade_id")?)?);
        fields.direction = Some(direction(data.text("direction")?.as_bytes()));
        fields.liquidation = data.optional_text("liquidation")?.and_then(|name| liquidated(name.as_bytes()));
        fields.block = data.get("block_trade_id").is_some();
        // Legs come in channels of their own, too; as part of a combo they would be counted twice.
        fields.combo = ["combo_id", "combo_trade_id", "legs"].iter().any(|key| data.get(key).is_some());
        fields.push(envelope, self.sink())
    }

    fn quote(&mut self, channel: Channel<'_>, data: &Object<'_>) -> Result<(), DecodeError> {
        let envelope = self.envelope(&symbol(channel, data, "instrument_name")?)?;
        let mut numbers = QuoteNumbers::EMPTY;
        fill(data, &mut numbers)?;
        let record = numbers.record(envelope, time(data, "timestamp")?)?;
        self.sink().push(&record);
        Ok(())
    }

    fn ticker(&mut self, channel: Channel<'_>, data: &Object<'_>) -> Result<(), DecodeError> {
        let symbol = symbol(channel, data, "instrument_name")?;
        let envelope = self.envelope(&symbol)?;
        let mut fields = TickerFields::EMPTY;
        fill(data, &mut fields.numbers)?;
        fields.exchange_ns = time(data, "timestamp")?;
        if let Some(statistics) = data.get("stats") {
            let statistics = statistics.object().ok_or_else(|| bad("stats", "not an object"))?;
            fill(&statistics, &mut fields.statistics)?;
        }
        if let Some(greeks) = data.get("greeks") {
            let greeks = greeks.object().ok_or_else(|| bad("greeks", "not an object"))?;
            fill(&greeks, &mut fields.greeks)?;
        }
        let counts_quote_units = self.market.counts_quote_units(&symbol);
        fields.push(envelope, counts_quote_units, self.sink())
    }

    fn index(&mut self, channel: Channel<'_>, data: &Object<'_>) -> Result<(), DecodeError> {
        let envelope = self.envelope(&symbol(channel, data, "index_name")?)?;
        let exchange_ns = time(data, "timestamp")?;
        if channel.content == Content::PriceIndex {
            let value = data.optional_decimal("price")?;
            let record = IndexFields { exchange_ns, value }.price(envelope)?;
            self.sink().push(&record);
        } else {
            let value = data.optional_decimal("volatility")?;
            let record = IndexFields { exchange_ns, value }.volatility(envelope)?;
            self.sink().push(&record);
        }
        Ok(())
    }

    /// The data does not name its instrument.
    fn candle(&mut self, channel: Channel<'_>, data: &Object<'_>) -> Result<(), DecodeError> {
        let envelope = self.envelope(channel.subject)?;
        let length_ns = resolution_ns(channel.option)
            .ok_or_else(|| DecodeError::UnknownEvent("a candle of an unknown resolution".to_owned()))?;
        let mut numbers = CandleNumbers::EMPTY;
        fill(data, &mut numbers)?;
        let open_ns = time(data, "tick")?.ok_or(DecodeError::Missing("tick"))?;
        let record = numbers.record(envelope, open_ns, channel.option, length_ns)?;
        self.sink().push(&record);
        Ok(())
    }
}

/// The symbol that the data names, else that of its channel.
fn symbol(channel: Channel<'_>, data: &Object<'_>, key: &'static str) -> Result<Vec<u8>, DecodeError> {
    let named = data.optional_text(key)?;
    Ok(named.map_or_else(|| channel.subject.to_vec(), |name| name.into_owned().into_bytes()))
}

/// Reads the numbers that are sent.
fn fill<N: Numbers>(object: &Object<'_>, numbers: &mut N) -> Result<(), DecodeError> {
    for key in N::KEYS {
        if let Some(number) = numbers.number(key.as_bytes()) {
            *number = object.optional_decimal(key)?;
        }
    }
    Ok(())
}

/// A time in nanoseconds, where it is sent.
pub(crate) fn time(object: &Object<'_>, key: &'static str) -> Result<Option<i64>, DecodeError> {
    let read = |value: &Value<'_>| value.unsigned().and_then(time_ns).ok_or_else(|| bad(key, "not a time"));
    object.get(key).map(read).transpose()
}

/// The id as a string, or the digits of a number.
fn read_trade_id(value: &Value<'_>) -> Result<[u8; 24], DecodeError> {
    let id = match value.text() {
        Some(text) => trade_id(text.as_bytes()),
        None => value.unsigned().and_then(|_| trade_id(value.raw().as_bytes())),
    };
    id.ok_or_else(|| bad("trade_id", "neither ASCII of at most 24 bytes nor a whole number"))
}

/// The answer to a request of ours.
fn answer(object: &Object<'_>) -> Result<Outcome, DecodeError> {
    let id = object.get("id").and_then(Value::unsigned);
    if let Some(error) = object.get("error") {
        return Ok(Outcome::Refused { id, reason: reason(error) });
    }
    let result = object
        .get("result")
        .ok_or_else(|| DecodeError::Shape("neither a notification nor an answer".to_owned()))?;
    if let Some(names) = result.elements() {
        let names = names.map(|name| name.text().map(|name| name.into_owned())).collect::<Option<_>>();
        let names = names.ok_or_else(|| bad("result", "a list of other than channels"))?;
        return Ok(Outcome::Acknowledged { id, accepted: Accepted::Only(names) });
    }
    if id == Some(0) {
        return Ok(Outcome::Alive);
    }
    Ok(Outcome::Acknowledged { id, accepted: Accepted::All })
}

/// `code message data` of an error.
pub(crate) fn reason(error: &Value<'_>) -> String {
    let Some(object) = error.object() else { return error.raw().to_owned() };
    let part =
        |key| object.get(key).map(|value| value.text().unwrap_or_else(|| value.raw().into()).into_owned());
    [part("code"), part("message"), part("data")].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Reads both sides into the buffer; the number of bids.
pub(crate) fn read_book(levels: &mut LevelBuffer, data: &Object<'_>) -> Result<usize, DecodeError> {
    // Values that fit no common exponent as sent may fit one without their trailing zeros.
    match fill_levels(levels, data, false)? {
        Some(bids) => Ok(bids),
        None => fill_levels(levels, data, true)?
            .ok_or_else(|| bad("bids", "too many levels, or values that do not fit 64 bits together")),
    }
}

fn fill_levels(
    levels: &mut LevelBuffer,
    data: &Object<'_>,
    normalised: bool,
) -> Result<Option<usize>, DecodeError> {
    levels.clear();
    let mut bids = 0;
    for side in ["bids", "asks"] {
        bids = levels.levels().len();
        for entry in data.need(side)?.elements().ok_or_else(|| bad(side, "not an array"))? {
            let (mut price, mut amount) = level(&entry, side)?;
            if normalised {
                (price, amount) = (price.normalised(), amount.normalised());
            }
            if levels.push(price, amount).is_none() {
                return Ok(None);
            }
        }
    }
    Ok(Some(bids))
}

/// `[action, price, amount]`, or `[price, amount]` of grouped books. A deleted level has the amount zero.
fn level(entry: &Value<'_>, side: &'static str) -> Result<(Decimal, Decimal), DecodeError> {
    let mut values = entry.elements().ok_or_else(|| bad(side, "a level that is no array"))?;
    let mut first = values.next();
    let action = first.as_ref().and_then(Value::text).map(|action| action == "delete");
    if action.is_some() {
        first = values.next();
    }
    let read = |value: Option<Value<'_>>| match value.map(|value| value.decimal()) {
        Some(Ok(NO_DECIMAL)) | None => Err(bad(side, "a level without price or amount")),
        Some(value) => value.map_err(|problem| bad(side, problem)),
    };
    let (price, amount) = (read(first)?, read(values.next())?);
    Ok((price, if action == Some(true) { Decimal::ZERO } else { amount }))
}

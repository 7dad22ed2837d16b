//! The general path: any order of keys, unknown keys, white space, wrapped and raw. Slower, and asked only
//! where the predicted path gives up.

use marketprism_core::InstrumentId;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::{ABSENT, RecordBuffer, Sink, TradeType};
use marketprism_core::venue::{Accepted, DecodeError, Outcome};
use marketprism_parse::json::{self, Object, Value, bad};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, NO_DECIMAL, Unfit};

use crate::depth::{Depth, TOP_FLAGS, depth_of, read_book};
use crate::fields::{
    AggTradeFields, BookFields, CandleFields, LiquidationFields, MarkPriceFields, QuoteFields, TickerFields,
    TradeFields, interval_text, next_funding, order_side, trade_type,
};

/// Events that are known and not recorded.
const IGNORED: [&str; 14] = [
    "24hrMiniTicker",
    "continuous_kline",
    "compositeIndex",
    "assetIndexUpdate",
    "indexPriceUpdate",
    "indexPrice_kline",
    "markPrice_kline",
    "avgPrice",
    "1hTicker",
    "4hTicker",
    "1dTicker",
    "blockTrade",
    "referencePrice",
    "EquityUpdate",
];

/// What the path needs besides the frame.
pub(crate) struct General<'d> {
    pub(crate) symbols: &'d SymbolTable,
    pub(crate) levels: &'d mut LevelBuffer,
    /// Value of `st` on this market's events.
    pub(crate) own_type: Option<u64>,
    pub(crate) receive_ns: i64,
    /// Records wait here until the whole frame is read.
    pub(crate) staged: &'d mut RecordBuffer,
}

pub(crate) fn unfit(Unfit(field): Unfit) -> DecodeError {
    bad(field, "does not fit 64 bits together with the other values of the message")
}

impl General<'_> {
    /// Reads a frame; its records are in `staged`.
    pub(crate) fn read(&mut self, frame: &[u8]) -> Result<Outcome, DecodeError> {
        let value = json::parse(frame)?;
        let Some(object) = value.object() else {
            return self.message(None, &value);
        };
        match object.get("data") {
            Some(data) if object.find("stream").is_some() => {
                let stream = object.text("stream")?;
                self.message(Some(stream.as_bytes()), data)
            }
            _ if object.find("e").is_some() => self.event(None, &object),
            _ => match answer(&object)? {
                Some(outcome) => Ok(outcome),
                None => self.event(None, &object),
            },
        }
    }

    /// An event or an array of events.
    fn message(&mut self, stream: Option<&[u8]>, value: &Value<'_>) -> Result<Outcome, DecodeError> {
        if let Some(object) = value.object() {
            return self.event(stream, &object);
        }
        let elements =
            value.elements().ok_or_else(|| DecodeError::Shape("neither object nor array".to_owned()))?;
        for element in elements {
            let object = element
                .object()
                .ok_or_else(|| DecodeError::Shape("an array of other than events".to_owned()))?;
            self.event(stream, &object)?;
        }
        Ok(Outcome::Data)
    }

    fn event(&mut self, stream: Option<&[u8]>, event: &Object<'_>) -> Result<Outcome, DecodeError> {
        // Streams of all symbols carry those of both futures markets.
        if let (Some(own), Some(sent)) = (self.own_type, event.get("st"))
            && sent.unsigned().is_some_and(|sent| sent != own)
        {
            return Ok(Outcome::Data);
        }
        let Some(name) = event.optional_text("e")? else {
            return self.nameless(stream, event);
        };
        match &*name {
            "trade" => self.trade(event)?,
            "aggTrade" => self.agg_trade(event)?,
            "depthUpdate" => self.depth(stream, event)?,
            "bookTicker" => self.quote(event)?,
            "24hrTicker" => self.ticker(event)?,
            "markPriceUpdate" => self.mark_price(event)?,
            "kline" => self.candle(event)?,
            "forceOrder" => self.liquidation(event)?,
            "contractInfo" => return Ok(Outcome::InstrumentsChanged),
            "serverShutdown" => return Ok(Outcome::Closing),
            other if IGNORED.contains(&other) => {}
            other => return Err(DecodeError::UnknownEvent(other.to_owned())),
        }
        Ok(Outcome::Data)
    }

    /// The two spot events without a name.
    fn nameless(&mut self, stream: Option<&[u8]>, event: &Object<'_>) -> Result<Outcome, DecodeError> {
        if event.get("lastUpdateId").is_some() {
            self.partial_depth(stream, event)?;
        } else if ["u", "b", "B", "a", "A"].iter().all(|key| event.find(key).is_some()) {
            self.quote(event)?;
        } else {
            return Err(DecodeError::Shape("neither an event nor an answer".to_owned()));
        }
        Ok(Outcome::Data)
    }

    fn envelope(&self, instrument: InstrumentId) -> Envelope {
        Envelope { instrument, receive_ns: self.receive_ns, flags: 0 }
    }

    /// The envelope of an event whose symbol is in `holder`.
    fn addressed(&self, holder: &Object<'_>) -> Result<Envelope, DecodeError> {
        let symbol = holder.text("s")?;
        self.named(&symbol)
    }

    fn named(&self, symbol: &str) -> Result<Envelope, DecodeError> {
        match self.symbols.get(symbol.as_bytes()) {
            Some(instrument) => Ok(self.envelope(instrument)),
            None => Err(DecodeError::UnknownSymbol(symbol.to_owned())),
        }
    }

    fn sink(&mut self) -> &mut dyn Sink {
        self.staged
    }

    fn trade(&mut self, event: &Object<'_>) -> Result<(), DecodeError> {
        let envelope = self.addressed(event)?;
        let kind = event.optional_text("X")?.map_or(TradeType::Market, |name| trade_type(name.as_bytes()));
        let fields = TradeFields {
            event_ns: event.time_or("E", TIME_MISSING)?,
            match_ns: event.time_or("T", TIME_MISSING)?,
            id: event.unsigned("t")?,
            price: event.decimal("p")?,
            quantity: event.decimal("q")?,
            buyer_is_maker: event.boolean("m")?,
            trade_type: kind,
        };
        self.sink().push(&fields.record(envelope));
        Ok(())
    }

    fn agg_trade(&mut self, event: &Object<'_>) -> Result<(), DecodeError> {
        let envelope = self.addressed(event)?;
        let fields = AggTradeFields {
            event_ns: event.time_or("E", TIME_MISSING)?,
            match_ns: event.time_or("T", TIME_MISSING)?,
            id: event.unsigned("a")?,
            price: event.decimal("p")?,
            quantity: event.decimal("q")?,
            normal_quantity: event.optional_decimal("nq")?,
            first_trade_id: event.unsigned("f")?,
            last_trade_id: event.unsigned("l")?,
            buyer_is_maker: event.boolean("m")?,
        };
        let record = fields.record(envelope).map_err(unfit)?;
        self.sink().push(&record);
        Ok(())
    }

    fn depth(&mut self, stream: Option<&[u8]>, event: &Object<'_>) -> Result<(), DecodeError> {
        let depth = depth_of(stream);
        let Some((kind, flags)) = depth.record_form() else {
            if depth == Depth::Other {
                return Ok(());
            }
            let stream = String::from_utf8_lossy(stream.unwrap_or_default());
            return Err(DecodeError::UnknownEvent(format!("depthUpdate on stream {stream}")));
        };
        let envelope = Envelope { flags, ..self.addressed(event)? };
        let bid_levels = read_book(self.levels, event, ["b", "a"])?;
        let fields = BookFields {
            kind,
            event_ns: event.time_or("E", TIME_MISSING)?,
            engine_ns: event.time_or("T", TIME_MISSING)?,
            first_id: event.unsigned("U")?,
            last_id: event.unsigned("u")?,
            previous_id: event.signed_or("pu", ABSENT)?,
            bid_levels,
        };
        self.push_book(envelope, fields);
        Ok(())
    }

    /// The top of a spot book: no event type, no symbol, no time; the stream's name says whose it is.
    fn partial_depth(&mut self, stream: Option<&[u8]>, event: &Object<'_>) -> Result<(), DecodeError> {
        let name = stream.and_then(|stream| std::str::from_utf8(stream).ok()).and_then(|s| s.split_once('@'));
        let Some((symbol, _)) = name else {
            return Err(DecodeError::Shape("the top of a book without the name of its stream".to_owned()));
        };
        let envelope = Envelope { flags: TOP_FLAGS, ..self.named(&symbol.to_ascii_uppercase())? };
        let bid_levels = read_book(self.levels, event, ["bids", "asks"])?;
        self.push_book(envelope, BookFields::spot_top(event.unsigned("lastUpdateId")?, bid_levels));
        Ok(())
    }

    fn push_book(&mut self, envelope: Envelope, fields: BookFields) {
        let record = fields.record(envelope, self.levels);
        let sink: &mut dyn Sink = self.staged;
        sink.push_book(&record, self.levels.levels());
    }

    fn quote(&mut self, event: &Object<'_>) -> Result<(), DecodeError> {
        let envelope = self.addressed(event)?;
        let fields = QuoteFields {
            event_ns: event.time_or("E", TIME_MISSING)?,
            engine_ns: event.time_or("T", TIME_MISSING)?,
            update_id: event.unsigned("u")?,
            bid_price: event.decimal("b")?,
            bid_quantity: event.decimal("B")?,
            ask_price: event.decimal("a")?,
            ask_quantity: event.decimal("A")?,
        };
        let record = fields.record(envelope).map_err(unfit)?;
        self.sink().push(&record);
        Ok(())
    }

    fn ticker(&mut self, event: &Object<'_>) -> Result<(), DecodeError> {
        let envelope = self.addressed(event)?;
        let fields = TickerFields {
            event_ns: event.time_or("E", TIME_MISSING)?,
            last: event.decimal("c")?,
            open: event.decimal("o")?,
            high: event.decimal("h")?,
            low: event.decimal("l")?,
            weighted_average: event.optional_decimal("w")?,
            bid_price: event.optional_decimal("b")?,
            ask_price: event.optional_decimal("a")?,
            volume: event.decimal("v")?,
            last_quantity: event.optional_decimal("Q")?,
            bid_quantity: event.optional_decimal("B")?,
            ask_quantity: event.optional_decimal("A")?,
            quote_volume: event.decimal("q")?,
            open_ns: event.time_or("O", TIME_MISSING)?,
            close_ns: event.time_or("C", TIME_MISSING)?,
            first_trade_id: event.signed_or("F", ABSENT)?,
            last_trade_id: event.signed_or("L", ABSENT)?,
            trades: event.signed_or("n", ABSENT)?,
        };
        let record = fields.record(envelope).map_err(unfit)?;
        self.sink().push(&record);
        Ok(())
    }

    fn mark_price(&mut self, event: &Object<'_>) -> Result<(), DecodeError> {
        let envelope = self.addressed(event)?;
        let next = event.get("T").map_or(Ok(0), |_| event.unsigned("T"))?;
        let fields = MarkPriceFields {
            event_ns: event.time_or("E", TIME_MISSING)?,
            mark: event.decimal("p")?,
            index: event.optional_decimal("i")?,
            settlement: event.optional_decimal("P")?,
            average: event.optional_decimal("ap")?,
            rate: event.optional_decimal("r")?,
            next_funding_ns: next_funding(next).ok_or_else(|| bad("T", "not a time"))?,
            interest: NO_DECIMAL,
        };
        let (mark, funding) = fields.records(envelope).map_err(unfit)?;
        self.sink().push(&mark);
        if let Some(funding) = funding {
            self.sink().push(&funding);
        }
        Ok(())
    }

    fn candle(&mut self, event: &Object<'_>) -> Result<(), DecodeError> {
        let bar = event.need("k")?.object().ok_or_else(|| bad("k", "not an object"))?;
        let envelope = self.addressed(if event.get("s").is_some() { event } else { &bar })?;
        let interval = bar.text("i")?;
        let fields = CandleFields {
            event_ns: event.time_or("E", TIME_MISSING)?,
            open_ns: bar.time_or("t", TIME_MISSING)?,
            close_ns: bar.time_or("T", TIME_MISSING)?,
            interval: interval_text(interval.as_bytes()).ok_or_else(|| bad("i", "not an interval"))?,
            open: bar.decimal("o")?,
            high: bar.decimal("h")?,
            low: bar.decimal("l")?,
            close: bar.decimal("c")?,
            volume: bar.decimal("v")?,
            quote_volume: bar.decimal("q")?,
            taker_buy_volume: bar.optional_decimal("V")?,
            taker_buy_quote_volume: bar.optional_decimal("Q")?,
            trades: bar.signed_or("n", ABSENT)?,
            closed: bar.boolean("x")?,
        };
        let record = fields.record(envelope).map_err(unfit)?;
        self.sink().push(&record);
        Ok(())
    }

    fn liquidation(&mut self, event: &Object<'_>) -> Result<(), DecodeError> {
        let order = event.need("o")?.object().ok_or_else(|| bad("o", "not an object"))?;
        let envelope = self.addressed(&order)?;
        let status = order.optional_text("X")?.unwrap_or_default();
        let fields = LiquidationFields {
            event_ns: event.time_or("E", TIME_MISSING)?,
            trade_ns: order.time_or("T", TIME_MISSING)?,
            side: order_side(order.text("S")?.as_bytes()),
            price: order.decimal("p")?,
            average_price: order.optional_decimal("ap")?,
            quantity: order.decimal("q")?,
            filled_quantity: order.optional_decimal("z")?,
            last_quantity: order.optional_decimal("l")?,
            status: status.as_bytes(),
        };
        let record = fields.record(envelope).map_err(unfit)?;
        self.sink().push(&record);
        Ok(())
    }
}

/// An answer to a request of ours, where the object is one.
fn answer(object: &Object<'_>) -> Result<Option<Outcome>, DecodeError> {
    let id = || object.get("id").and_then(Value::unsigned);
    if let Some(error) = object.get("error") {
        let reason = error.object().map_or_else(|| error.raw().to_owned(), |error| reason(&error));
        return Ok(Some(Outcome::Refused { id: id(), reason }));
    }
    if object.get("code").is_some() && object.find("msg").is_some() {
        return Ok(Some(Outcome::Refused { id: id(), reason: reason(object) }));
    }
    if object.find("result").is_some() {
        let id = id().ok_or_else(|| DecodeError::Shape("an answer without a number of ours".to_owned()))?;
        return Ok(Some(Outcome::Acknowledged { id: Some(id), accepted: Accepted::All }));
    }
    Ok(None)
}

/// `code: text` of an error.
pub(crate) fn reason(error: &Object<'_>) -> String {
    let code = error.get("code").map_or("", Value::raw);
    let text = error.get("msg").and_then(Value::text).unwrap_or_default();
    format!("{code}: {text}")
}

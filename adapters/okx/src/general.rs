//! The general path: any order of keys, unknown keys, white space. Slower, and asked only where the predicted
//! path gives up.

use marketprism_core::InstrumentId;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::decimal::{Decimal, DecimalError};
use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::{RecordBuffer, Sink};
use marketprism_core::venue::{Accepted, DecodeError, Outcome};
use marketprism_parse::json::{self, Object, Value, bad};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, NO_DECIMAL, Unfit};

use crate::bars::Bar;
use crate::fields::venue_time;
use crate::streams;

/// What the path needs besides the frame.
pub(crate) struct General<'d> {
    pub(crate) symbols: &'d SymbolTable,
    /// Whether the market is spot.
    pub(crate) spot: bool,
    pub(crate) levels: &'d mut LevelBuffer,
    pub(crate) receive_ns: i64,
    /// Records wait here until the whole frame is read.
    pub(crate) staged: &'d mut RecordBuffer,
    /// Entries about instruments that are not recorded, in streams of many instruments.
    pub(crate) ignored: u64,
}

impl General<'_> {
    /// Reads a frame; its records are in `staged`.
    pub(crate) fn read(&mut self, frame: &[u8]) -> Result<Outcome, DecodeError> {
        if frame == b"pong" {
            return Ok(Outcome::Alive);
        }
        let value = json::parse(frame)?;
        let object = value.object().ok_or_else(|| DecodeError::Shape("not an object".to_owned()))?;
        match object.optional_text("event")? {
            Some(event) => answer(&event, &object),
            None if object.get("arg").is_some() => self.push(&object),
            None => Err(DecodeError::Shape("neither an event nor data".to_owned())),
        }
    }

    fn push(&mut self, message: &Object<'_>) -> Result<Outcome, DecodeError> {
        let argument = message.need("arg")?.object().ok_or_else(|| bad("arg", "not an object"))?;
        let channel = argument.text("channel")?;
        if channel == "instruments" {
            return Ok(Outcome::InstrumentsChanged);
        }
        if let Some(bar) = channel.strip_prefix("candle") {
            let bar = Bar::named(bar).ok_or_else(|| DecodeError::UnknownEvent(channel.to_string()))?;
            let envelope = self.addressed(&argument, &argument)?;
            for entry in entries(message)? {
                self.candle(envelope, bar, &entry)?;
            }
            return Ok(Outcome::Data);
        }
        let read = reader(&channel, message)?;
        for entry in entries(message)? {
            let entry = entry.object().ok_or_else(|| bad("data", "an entry that is no object"))?;
            let envelope = match &*channel {
                "liquidation-orders" | "opt-summary" => self.recorded(&entry)?,
                _ => Some(self.addressed(&argument, &entry)?),
            };
            if let Some(envelope) = envelope {
                read(self, envelope, &entry)?;
            }
        }
        Ok(Outcome::Data)
    }

    /// The envelope of an entry: of the instrument that it names, else of the one that was subscribed.
    fn addressed(&self, argument: &Object<'_>, entry: &Object<'_>) -> Result<Envelope, DecodeError> {
        let symbol = match entry.optional_text("instId")? {
            Some(symbol) => symbol,
            None => argument.text("instId")?,
        };
        self.known(&symbol).ok_or_else(|| DecodeError::UnknownSymbol(symbol.into_owned()))
    }

    /// The envelope of an entry in a stream of many instruments; `None`, and counted, where the one that it names
    /// is not recorded.
    fn recorded(&mut self, entry: &Object<'_>) -> Result<Option<Envelope>, DecodeError> {
        let envelope = self.known(&entry.text("instId")?);
        self.ignored += u64::from(envelope.is_none());
        Ok(envelope)
    }

    fn known(&self, symbol: &str) -> Option<Envelope> {
        let instrument: InstrumentId = self.symbols.get(symbol.as_bytes())?;
        Some(Envelope { instrument, receive_ns: self.receive_ns, flags: 0 })
    }

    pub(crate) fn sink(&mut self) -> &mut dyn Sink {
        self.staged
    }
}

/// What turns an entry of a channel into its records.
type Reader<'d> = fn(&mut General<'d>, Envelope, &Object<'_>) -> Result<(), DecodeError>;

fn reader<'d>(channel: &str, message: &Object<'_>) -> Result<Reader<'d>, DecodeError> {
    Ok(match channel {
        "trades" | "trades-all" => General::trade,
        "books" | "books-l2-tbt" | "books50-l2-tbt" => match &*message.text("action")? {
            "snapshot" => General::book_snapshot,
            "update" => General::book_delta,
            other => return Err(bad("action", format!("\"{other}\" is neither snapshot nor update"))),
        },
        "books5" => General::book_top,
        "bbo-tbt" => General::quote,
        "tickers" => General::ticker,
        "mark-price" => General::mark_price,
        "index-tickers" => General::index_price,
        "funding-rate" => General::funding_rate,
        "open-interest" => General::open_interest,
        "liquidation-orders" => General::liquidations,
        "opt-summary" => General::greeks,
        other => return Err(DecodeError::UnknownEvent(other.to_owned())),
    })
}

/// The entries of a push.
fn entries<'a>(message: &Object<'a>) -> Result<impl Iterator<Item = Value<'a>> + use<'a>, DecodeError> {
    message.need("data")?.elements().ok_or_else(|| bad("data", "not an array"))
}

/// An answer to a request of ours, or a notice.
fn answer(event: &str, object: &Object<'_>) -> Result<Outcome, DecodeError> {
    let id = object.get("id").and_then(Value::unsigned);
    match event {
        "subscribe" | "unsubscribe" => {
            let argument = object.need("arg")?.object().ok_or_else(|| bad("arg", "not an object"))?;
            let name = streams::name_of(&argument)?;
            Ok(Outcome::Acknowledged { id, accepted: Accepted::Some(vec![name]) })
        }
        "error" => Ok(Outcome::Refused { id, reason: reason(object) }),
        "notice" if object.get("code").and_then(Value::unsigned) == Some(UPGRADE) => Ok(Outcome::Closing),
        "notice" | "channel-conn-count" | "channel-conn-count-error" => Ok(Outcome::Alive),
        other => Err(DecodeError::UnknownEvent(other.to_owned())),
    }
}

/// Code of the notice that the connection will be closed for an upgrade of the service.
const UPGRADE: u64 = 64008;

/// `code: text` of an error.
pub(crate) fn reason(error: &Object<'_>) -> String {
    let text = |key| error.get(key).and_then(Value::text).unwrap_or_default();
    format!("{}: {}", text("code"), text("msg"))
}

pub(crate) fn unfit(Unfit(field): Unfit) -> DecodeError {
    bad(field, "does not fit 64 bits together with the other values of the message")
}

/// The value of a key, where it is neither missing nor the empty text, which is how the venue says that it has none.
pub(crate) fn given<'o, 'a>(object: &'o Object<'a>, key: &str) -> Option<&'o Value<'a>> {
    object.get(key).filter(|value| value.raw() != "\"\"")
}

/// A time in nanoseconds, [`TIME_MISSING`] where the venue gives none or 0.
pub(crate) fn time(object: &Object<'_>, key: &'static str) -> Result<i64, DecodeError> {
    match given(object, key) {
        Some(value) => value.unsigned().and_then(venue_time).ok_or_else(|| bad(key, "not a time")),
        None => Ok(TIME_MISSING),
    }
}

/// A decimal, or [`NO_DECIMAL`] where the venue gives none or one of more digits than 64 bits hold.
pub(crate) fn optional_decimal(object: &Object<'_>, key: &'static str) -> Result<Decimal, DecodeError> {
    object.get(key).map_or(Ok(NO_DECIMAL), |value| optional_value(value, key))
}

/// The same of a value that is there.
pub(crate) fn optional_value(value: &Value<'_>, key: &'static str) -> Result<Decimal, DecodeError> {
    let text = value.text().unwrap_or_else(|| value.raw().into());
    if text.is_empty() {
        return Ok(NO_DECIMAL);
    }
    match Decimal::parse(text.as_bytes()) {
        Err(DecimalError::Overflow) => Ok(NO_DECIMAL),
        other => other.map_err(|error| bad(key, error.to_string())),
    }
}

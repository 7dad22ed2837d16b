//! REST: what to ask, and how to read the answers.

use std::time::Duration;

use marketprism_core::Kind;
use marketprism_core::clock::NS_PER_MS;
use marketprism_core::instrument::{Instrument, InstrumentId, InstrumentType};
use marketprism_core::record::{ClockSample, Sink, flag};
use marketprism_core::venue::{DecodeError, Market, Poll, Request};
use marketprism_parse::json::{self, Value, bad};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, time_ns};

use crate::fields::BookFields;
use crate::general::{read_book, reason, time};

/// Name of the answer that is polled.
const TIME: &str = "time";

/// The requests that a polled channel repeats; none for other channels.
pub(crate) fn polls(market: &Market, channel: &str, instrument: &Instrument) -> Vec<Poll> {
    let applies = channel == "clock" && instrument.instrument_type == InstrumentType::Market;
    if !applies || !market.channels.contains(&channel) {
        return vec![];
    }
    vec![Poll {
        request: Request { path: "/api/v2/public/get_time".to_owned(), weight: 1 },
        answer: TIME,
        instrument: instrument.id,
        kind: Kind::ClockSample,
        interval: Duration::from_secs(60),
    }]
}

/// The result of a method, or the venue's error.
pub(crate) fn result(body: &[u8]) -> Result<Value<'_>, DecodeError> {
    let value = json::parse(body)?;
    let object = value.object().ok_or_else(|| DecodeError::Shape("the answer is no object".to_owned()))?;
    if let Some(error) = object.get("error") {
        return Err(DecodeError::Shape(format!("the venue answered {}", reason(error))));
    }
    object.need("result").cloned()
}

/// Reads the answer of `public/get_order_book`: the best levels.
pub(crate) fn parse_snapshot(
    instrument: InstrumentId,
    body: &[u8],
    receive_ns: i64,
    sink: &mut dyn Sink,
) -> Result<(), DecodeError> {
    let book = result(body)?;
    let book = book.object().ok_or_else(|| bad("result", "not an object"))?;
    let mut levels = LevelBuffer::default();
    let fields = BookFields {
        kind: Kind::BookSnapshot,
        grouped: true,
        exchange_ns: time(&book, "timestamp")?,
        change_id: book.unsigned("change_id")?,
        previous_id: None,
        bid_levels: read_book(&mut levels, &book)?,
    };
    let envelope = Envelope { instrument, receive_ns, flags: flag::REST };
    sink.push_book(&fields.record(envelope, &levels), levels.levels());
    Ok(())
}

/// Reads the answer to a poll.
pub(crate) fn parse_poll(
    poll: &Poll,
    body: &[u8],
    times: (i64, i64),
    sink: &mut dyn Sink,
) -> Result<(), DecodeError> {
    if poll.answer != TIME {
        return Err(DecodeError::Shape(format!("no answer is called \"{}\"", poll.answer)));
    }
    let (request_ns, receive_ns) = times;
    let time = result(body)?;
    let exchange_ns = time.unsigned().and_then(time_ns).ok_or_else(|| bad("result", "not a time"))?;
    let envelope = Envelope { instrument: poll.instrument, receive_ns, flags: flag::REST };
    sink.push(&ClockSample {
        header: envelope.header(Kind::ClockSample, exchange_ns),
        request_ns,
        resolution_ns: NS_PER_MS,
        reserved: [0; 16],
    });
    Ok(())
}

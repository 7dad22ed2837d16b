//! REST: what to ask, and how to read the answers.

use std::time::Duration;

use marketprism_core::Kind;
use marketprism_core::clock::NS_PER_MS;
use marketprism_core::instrument::{Instrument, InstrumentId, InstrumentType};
use marketprism_core::record::{ClockSample, LongShortRatio, RatioBasis, Sink, fixed_text, flag};
use marketprism_core::venue::{DecodeError, Market, Poll, Request};
use marketprism_parse::json::{self, Object, Value, bad};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, time_ns};

use crate::general::reason;
use crate::market::instrument_type;
use crate::messages::top;
use crate::ratio::{SHARE_EXPONENT, shares};

/// Names of the answers that are polled.
mod answers {
    pub(super) const TIME: &str = "time";
    pub(super) const TOP_POSITION: &str = "long_short_position_ratio_top_trader";
    pub(super) const TOP_ACCOUNT: &str = "long_short_account_ratio_top_trader";
    pub(super) const GLOBAL_ACCOUNT: &str = "long_short_account_ratio";
}

/// The period that long/short ratios are asked for; the shortest that there is.
const PERIOD: &str = "5m";

/// Families of options that are asked for. The venue gives options by family only, and has no list of families in
/// `public/instruments`; these two are all that its recordings have.
const OPTION_FAMILIES: [&str; 2] = ["BTC-USD", "ETH-USD"];

/// Weight of a statistics request: their limit is 5 in 2 s where that of others is 20.
const STATISTICS_WEIGHT: u32 = 4;

/// Asks for all instruments.
pub(crate) fn instruments_requests(market: &Market) -> Vec<Request> {
    let path = format!("/api/v5/public/instruments?instType={}", instrument_type(market));
    if market.name != "option" {
        return vec![Request { path, weight: 1 }];
    }
    OPTION_FAMILIES.map(|family| Request { path: format!("{path}&instFamily={family}"), weight: 1 }).into()
}

/// The requests that a polled channel repeats; none for other channels.
pub(crate) fn polls(market: &Market, channel: &str, instrument: &Instrument) -> Vec<Poll> {
    if !market.channels.contains(&channel) {
        return vec![];
    }
    let poll = |path, weight, answer, kind| Poll {
        request: Request { path, weight },
        answer,
        instrument: instrument.id,
        kind,
        interval: Duration::from_secs(60),
    };
    match (channel, instrument.instrument_type) {
        ("clock", InstrumentType::Market) => {
            vec![poll("/api/v5/public/time".to_owned(), 1, answers::TIME, Kind::ClockSample)]
        }
        (_, InstrumentType::Market | InstrumentType::Index) => vec![],
        ("long_short_ratio", _) => {
            let symbol = percent_encoded(&instrument.venue_symbol);
            [
                ("long-short-account-ratio-contract", answers::GLOBAL_ACCOUNT),
                ("long-short-account-ratio-contract-top-trader", answers::TOP_ACCOUNT),
                ("long-short-position-ratio-contract-top-trader", answers::TOP_POSITION),
            ]
            .map(|(method, answer)| {
                let path =
                    format!("/api/v5/rubik/stat/contracts/{method}?instId={symbol}&period={PERIOD}&limit=1");
                poll(path, STATISTICS_WEIGHT, answer, Kind::LongShortRatio)
            })
            .into()
        }
        _ => vec![],
    }
}

/// The entries of an answer.
pub(crate) fn answer(body: &[u8]) -> Result<Vec<Value<'_>>, DecodeError> {
    let value = json::parse(body)?;
    let object = value.object().ok_or_else(|| DecodeError::Shape("the answer is no object".to_owned()))?;
    if object.text("code")? != "0" {
        return Err(DecodeError::Shape(format!("the venue answered {}", reason(&object))));
    }
    Ok(object.need("data")?.elements().ok_or_else(|| bad("data", "not an array"))?.collect())
}

/// The only entry of an answer.
fn only_entry(body: &[u8]) -> Result<Object<'_>, DecodeError> {
    answer(body)?
        .first()
        .and_then(Value::object)
        .ok_or_else(|| DecodeError::Shape("the answer has no entry".to_owned()))
}

/// Reads a book.
pub(crate) fn parse_snapshot(
    instrument: InstrumentId,
    body: &[u8],
    receive_ns: i64,
    sink: &mut dyn Sink,
) -> Result<(), DecodeError> {
    let mut levels = LevelBuffer::default();
    let fields = top(&mut levels, &only_entry(body)?)?;
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
    let (request_ns, receive_ns) = times;
    let envelope = Envelope { instrument: poll.instrument, receive_ns, flags: flag::REST };
    match poll.answer {
        answers::TIME => {
            let time = time_ns(only_entry(body)?.unsigned("ts")?).ok_or_else(|| bad("ts", "not a time"))?;
            let header = envelope.header(Kind::ClockSample, time);
            sink.push(&ClockSample { header, request_ns, resolution_ns: NS_PER_MS, reserved: [0; 16] });
            Ok(())
        }
        answers::TOP_POSITION => newest_ratio(envelope, body, RatioBasis::TopPosition, sink),
        answers::TOP_ACCOUNT => newest_ratio(envelope, body, RatioBasis::TopAccount, sink),
        answers::GLOBAL_ACCOUNT => newest_ratio(envelope, body, RatioBasis::GlobalAccount, sink),
        other => Err(DecodeError::Shape(format!("no answer is called \"{other}\""))),
    }
}

/// Reads the newest row, which is the first; there is none for instruments without statistics.
fn newest_ratio(
    envelope: Envelope,
    body: &[u8],
    basis: RatioBasis,
    sink: &mut dyn Sink,
) -> Result<(), DecodeError> {
    let Some(row) = answer(body)?.into_iter().next() else { return Ok(()) };
    let values: Vec<_> = row.elements().ok_or_else(|| bad("data", "a row that is no array"))?.collect();
    let [time, ratio, ..] = values.as_slice() else { return Err(bad("data", "a row without a ratio")) };
    let exchange_ns = time.unsigned().and_then(time_ns).ok_or_else(|| bad("data", "not a time"))?;
    let ratio = ratio.decimal().map_err(|problem| bad("data", problem))?;
    let (long_share, short_share) = shares(ratio).ok_or_else(|| bad("data", "not a ratio"))?;
    sink.push(&LongShortRatio {
        header: envelope.header(Kind::LongShortRatio, exchange_ns),
        ratio: ratio.mantissa,
        long_share,
        short_share,
        ratio_exponent: ratio.exponent,
        share_exponent: SHARE_EXPONENT,
        basis: basis as u8,
        period: fixed_text(PERIOD.as_bytes()),
        reserved: 0,
    });
    Ok(())
}

/// A query value with everything but unreserved characters escaped.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

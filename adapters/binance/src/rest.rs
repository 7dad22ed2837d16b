//! REST: what to ask, and how to read the answers.

use std::time::Duration;

use marketprism_core::Kind;
use marketprism_core::clock::{NS_PER_MS, TIME_MISSING};
use marketprism_core::instrument::{Instrument, InstrumentId, InstrumentType};
use marketprism_core::record::{
    ABSENT, ClockSample, LongShortRatio, OpenInterest, RatioBasis, Sink, fixed_text, flag,
};
use marketprism_core::venue::{DecodeError, Market, Poll, Request};
use marketprism_parse::json::{self, Object, Value, bad};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::{Envelope, NO_DECIMAL, align, time_ns};

use crate::depth::read_book;
use crate::fields::{BookFields, MarkPriceFields, funding_interval, next_funding};
use crate::general::{reason, unfit};
use crate::market::MarketKind;

/// Names of the answers that are polled.
mod answer {
    pub(super) const OPEN_INTEREST: &str = "open_interest";
    pub(super) const PREMIUM_INDEX: &str = "premium_index";
    pub(super) const FUNDING_INFO: &str = "funding_info";
    pub(super) const TOP_POSITION: &str = "top_long_short_position_ratio";
    pub(super) const TOP_ACCOUNT: &str = "top_long_short_account_ratio";
    pub(super) const GLOBAL_ACCOUNT: &str = "global_long_short_account_ratio";
    pub(super) const CLOCK: &str = "clock";
}

/// The period that long/short ratios are asked for; the shortest that there is.
const PERIOD: &str = "5m";

const NS_PER_HOUR: i64 = 3_600_000_000_000;

/// Asks for all instruments.
pub(crate) fn instruments_request(market: &Market) -> Request {
    let kind = MarketKind::of(market);
    let weight = if kind == MarketKind::Spot { 20 } else { 1 };
    Request { path: format!("{}/exchangeInfo", kind.rest_prefix()), weight }
}

/// Levels and weight of a book on spot, deepest first.
const SPOT_DEPTHS: &[(u32, u32)] = &[(5000, 250), (1000, 50), (500, 25)];

/// Levels and weight of a book on both futures markets, deepest first.
const FUTURES_DEPTHS: &[(u32, u32)] = &[(1000, 20), (500, 10)];

/// Levels and weight of the book that is asked for where the deeper ones cost too much.
const SHALLOWEST: (u32, u32) = (100, 5);

/// Minutes of the market's weight that the books of a start may take.
const START_MINUTES: u64 = 5;

/// Asks for a book. Levels beyond its limit become known only when they change, so it is the deepest with which
/// all `books` come within [`START_MINUTES`], or [`SHALLOWEST`].
pub(crate) fn snapshot_request(market: &Market, instrument: &Instrument, books: usize) -> Request {
    let kind = MarketKind::of(market);
    let depths = if kind == MarketKind::Spot { SPOT_DEPTHS } else { FUTURES_DEPTHS };
    let budget = START_MINUTES * u64::from(market.rest_weight.most);
    let affordable = |depth: &(u32, u32)| u64::from(depth.1).saturating_mul(books as u64) <= budget;
    let (limit, weight) = depths.iter().copied().find(affordable).unwrap_or(SHALLOWEST);
    let symbol = percent_encoded(&instrument.venue_symbol);
    Request { path: format!("{}/depth?symbol={symbol}&limit={limit}", kind.rest_prefix()), weight }
}

/// The requests that a polled channel repeats; none for other channels.
pub(crate) fn polls(market: &Market, channel: &str, instrument: &Instrument) -> Vec<Poll> {
    let kind = MarketKind::of(market);
    if !market.channels.contains(&channel) {
        return Vec::new();
    }
    let prefix = kind.rest_prefix();
    let symbol = percent_encoded(&instrument.venue_symbol);
    let poll = |path: String, weight, answer, kind, seconds| Poll {
        request: Request { path, weight },
        answer,
        instrument: instrument.id,
        kind,
        interval: Duration::from_secs(seconds),
    };
    match (channel, instrument.instrument_type) {
        ("clock", InstrumentType::Market) => {
            vec![poll(format!("{prefix}/time"), 1, answer::CLOCK, Kind::ClockSample, 60)]
        }
        (_, InstrumentType::Market | InstrumentType::Index) => Vec::new(),
        ("open_interest", _) => {
            let path = format!("{prefix}/openInterest?symbol={symbol}");
            vec![poll(path, 1, answer::OPEN_INTEREST, Kind::OpenInterest, 30)]
        }
        // Contracts that are delivered pay no funding.
        ("funding_rate", InstrumentType::Future) => Vec::new(),
        ("funding_rate", _) => {
            let weight = if kind == MarketKind::UsdM { 1 } else { 10 };
            let path = format!("{prefix}/premiumIndex?symbol={symbol}");
            let rate = poll(path, weight, answer::PREMIUM_INDEX, Kind::FundingRate, 60);
            // The list is of all symbols; the symbol in the query tells the parser which entry is meant.
            let path = format!("{prefix}/fundingInfo?symbol={symbol}");
            vec![rate, poll(path, 1, answer::FUNDING_INFO, Kind::FundingRate, 3600)]
        }
        ("long_short_ratio", _) => {
            let subject = match kind {
                MarketKind::CoinM => format!("pair={}", percent_encoded(&instrument.underlying)),
                _ => format!("symbol={symbol}"),
            };
            [
                ("topLongShortPositionRatio", answer::TOP_POSITION),
                ("topLongShortAccountRatio", answer::TOP_ACCOUNT),
                ("globalLongShortAccountRatio", answer::GLOBAL_ACCOUNT),
            ]
            .map(|(method, answer)| {
                let path = format!("/futures/data/{method}?{subject}&period={PERIOD}&limit=1");
                // These cost no weight and have a limit of their own (1000 in 5 minutes); one unit keeps
                // them metered. Twice in a period, so that none is missed.
                poll(path, 1, answer, Kind::LongShortRatio, 150)
            })
            .into()
        }
        _ => Vec::new(),
    }
}

/// Reads a book.
pub(crate) fn parse_snapshot(
    instrument: InstrumentId,
    body: &[u8],
    receive_ns: i64,
    sink: &mut dyn Sink,
) -> Result<(), DecodeError> {
    let value = json::parse(body)?;
    let object = value.object().ok_or_else(|| DecodeError::Shape("the book is no object".to_owned()))?;
    refuse_errors(&object)?;
    let mut levels = LevelBuffer::default();
    let bid_levels = read_book(&mut levels, &object, ["bids", "asks"])?;
    let last_id = object.unsigned("lastUpdateId")?;
    let fields = BookFields {
        kind: Kind::BookSnapshot,
        event_ns: object.time_or("E", TIME_MISSING)?,
        engine_ns: object.time_or("T", TIME_MISSING)?,
        first_id: last_id,
        last_id,
        previous_id: ABSENT,
        bid_levels,
    };
    let envelope = Envelope { instrument, receive_ns, flags: flag::SNAPSHOT | flag::REST };
    sink.push_book(&fields.record(envelope, &levels), levels.levels());
    Ok(())
}

/// Reads the answer to a poll that was sent and answered at these times.
pub(crate) fn parse_poll(
    poll: &Poll,
    body: &[u8],
    (request_ns, receive_ns): (i64, i64),
    sink: &mut dyn Sink,
) -> Result<(), DecodeError> {
    let value = json::parse(body)?;
    let envelope = Envelope { instrument: poll.instrument, receive_ns, flags: flag::REST };
    let subject = query_value(&poll.request.path);
    match poll.answer {
        answer::OPEN_INTEREST => open_interest(envelope, &entry(&value, &subject, "symbol")?, sink),
        answer::PREMIUM_INDEX => premium_index(envelope, &entry(&value, &subject, "symbol")?, sink),
        answer::FUNDING_INFO => match entries(&value, &subject, "symbol")?.pop() {
            Some(entry) => funding_info(envelope, &entry, sink),
            // Not listed: the venue says nothing about this symbol.
            None => Ok(()),
        },
        answer::TOP_POSITION => ratios(envelope, &value, &subject, RatioBasis::TopPosition, sink),
        answer::TOP_ACCOUNT => ratios(envelope, &value, &subject, RatioBasis::TopAccount, sink),
        answer::GLOBAL_ACCOUNT => ratios(envelope, &value, &subject, RatioBasis::GlobalAccount, sink),
        answer::CLOCK => clock_sample(envelope, &entry(&value, "", "symbol")?, request_ns, sink),
        other => Err(DecodeError::Shape(format!("no answer is called \"{other}\""))),
    }
}

fn open_interest(envelope: Envelope, entry: &Object<'_>, sink: &mut dyn Sink) -> Result<(), DecodeError> {
    let open_interest = entry.decimal("openInterest")?;
    let mut header = envelope.header(Kind::OpenInterest, entry.time_or("time", TIME_MISSING)?);
    header.quantity_exponent = open_interest.exponent;
    sink.push(&OpenInterest {
        header,
        open_interest: open_interest.mantissa,
        open_interest_value: ABSENT,
        open_interest_base: ABSENT,
        value_exponent: 0,
        base_exponent: 0,
        reserved: [0; 6],
    });
    Ok(())
}

fn premium_index(envelope: Envelope, entry: &Object<'_>, sink: &mut dyn Sink) -> Result<(), DecodeError> {
    let next = entry.get("nextFundingTime").map_or(Ok(0), |_| entry.unsigned("nextFundingTime"))?;
    let fields = MarkPriceFields {
        event_ns: entry.time_or("time", TIME_MISSING)?,
        mark: entry.decimal("markPrice")?,
        index: entry.optional_decimal("indexPrice")?,
        settlement: entry.optional_decimal("estimatedSettlePrice")?,
        average: NO_DECIMAL,
        rate: entry.optional_decimal("lastFundingRate")?,
        next_funding_ns: next_funding(next).ok_or_else(|| bad("nextFundingTime", "not a time"))?,
        interest: entry.optional_decimal("interestRate")?,
    };
    let (mark, funding) = fields.records(envelope).map_err(unfit)?;
    sink.push(&mark);
    if let Some(funding) = funding {
        sink.push(&funding);
    }
    Ok(())
}

fn funding_info(envelope: Envelope, entry: &Object<'_>, sink: &mut dyn Sink) -> Result<(), DecodeError> {
    let hours = entry.unsigned("fundingIntervalHours")?;
    let interval_ns = i64::try_from(hours)
        .ok()
        .and_then(|hours| hours.checked_mul(NS_PER_HOUR))
        .ok_or_else(|| bad("fundingIntervalHours", "too large"))?;
    sink.push(&funding_interval(envelope, interval_ns));
    Ok(())
}

fn ratios(
    envelope: Envelope,
    value: &Value<'_>,
    subject: &str,
    basis: RatioBasis,
    sink: &mut dyn Sink,
) -> Result<(), DecodeError> {
    let mut records = Vec::new();
    for entry in entries(value, subject, "pair")? {
        records.push(ratio(envelope, &entry, basis)?);
    }
    for record in &records {
        sink.push(record);
    }
    Ok(())
}

fn ratio(envelope: Envelope, entry: &Object<'_>, basis: RatioBasis) -> Result<LongShortRatio, DecodeError> {
    // Positions of COIN-M have names of their own.
    let share = |account, position| match entry.optional_decimal(account)? {
        NO_DECIMAL => entry.optional_decimal(position),
        share => Ok(share),
    };
    let ratio = entry.decimal("longShortRatio")?;
    let shares = [share("longAccount", "longPosition")?, share("shortAccount", "shortPosition")?];
    let ([long_share, short_share], share_exponent) = align(shares, "longAccount").map_err(unfit)?;
    Ok(LongShortRatio {
        header: envelope.header(Kind::LongShortRatio, entry.time_or("timestamp", TIME_MISSING)?),
        ratio: ratio.mantissa,
        long_share,
        short_share,
        ratio_exponent: ratio.exponent,
        share_exponent,
        basis: basis as u8,
        period: fixed_text(PERIOD.as_bytes()),
        reserved: 0,
    })
}

fn clock_sample(
    envelope: Envelope,
    entry: &Object<'_>,
    request_ns: i64,
    sink: &mut dyn Sink,
) -> Result<(), DecodeError> {
    let server_ns = time_ns(entry.unsigned("serverTime")?).ok_or_else(|| bad("serverTime", "not a time"))?;
    sink.push(&ClockSample {
        header: envelope.header(Kind::ClockSample, server_ns),
        request_ns,
        resolution_ns: NS_PER_MS,
        reserved: [0; 16],
    });
    Ok(())
}

/// The one entry of an answer about `subject`.
fn entry<'a>(value: &Value<'a>, subject: &str, key: &'static str) -> Result<Object<'a>, DecodeError> {
    entries(value, subject, key)?
        .pop()
        .ok_or_else(|| DecodeError::Shape(format!("the answer has no entry for \"{subject}\"")))
}

/// The entries about `subject`: those that name another in `key` or `symbol` are left out.
fn entries<'a>(value: &Value<'a>, subject: &str, key: &'static str) -> Result<Vec<Object<'a>>, DecodeError> {
    let mut entries = Vec::new();
    let elements: Vec<Value<'a>> = match value.elements() {
        Some(elements) => elements.collect(),
        None => vec![value.clone()],
    };
    for element in elements {
        let object =
            element.object().ok_or_else(|| DecodeError::Shape("an entry is no object".to_owned()))?;
        refuse_errors(&object)?;
        let name = [key, "symbol"]
            .iter()
            .find_map(|key| object.get(key))
            .and_then(|name| name.text().map(String::from));
        if subject.is_empty() || name.is_none_or(|name| name == subject) {
            entries.push(object);
        }
    }
    Ok(entries)
}

/// An error of the venue in the place of an answer.
fn refuse_errors(object: &Object<'_>) -> Result<(), DecodeError> {
    if object.get("code").is_some() && object.find("msg").is_some() {
        return Err(DecodeError::Shape(format!("the venue answered {}", reason(object))));
    }
    Ok(())
}

/// A query value with everything but unreserved characters escaped.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The first value of a path's query, decoded; empty where there is none.
fn query_value(path: &str) -> String {
    let value = path.split_once('?').and_then(|(_, query)| query.split('&').next()?.split_once('='));
    let mut bytes = Vec::new();
    let mut rest = value.map_or("", |(_, value)| value).as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match (byte, escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

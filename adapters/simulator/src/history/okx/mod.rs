//! Records of OKX as the messages that they were made from.
//!
//! Pure: a record and its instrument in, messages out. What the log does not keep (orders in a level, the prices at
//! midnight) gets a value that is possible.

mod answers;
mod books;
mod instrument;
mod object;
#[cfg(test)]
mod record_tests;
mod statistics;
mod streams;
#[cfg(test)]
mod tests;
mod trades;

use marketprism_core::instrument::InstrumentType;
use marketprism_core::record::{ABSENT, MarkPrice, flag};
use marketprism_core::{Instrument, RecordRef};

pub(crate) use self::answers::Ratios;
pub(crate) use self::books::{depth, first_book};
pub(crate) use self::instrument::{instrument_type, object as instrument_object};
pub(crate) use self::streams::{exists, family, readings};

/// A message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Channel and key, e.g. `books:BTC-USDT`.
    pub(crate) stream: String,
    /// What follows the argument that the stream was subscribed with, e.g. `"data":[…]`.
    pub(crate) body: String,
    /// First and last id, 0 where there are none.
    pub(crate) ids: (u64, u64),
}

impl Message {
    fn new(channel: &str, key: &str, data: &str) -> Message {
        Message { stream: format!("{channel}:{key}"), body: format!("\"data\":[{data}]"), ids: (0, 0) }
    }

    fn with_ids(mut self, first_id: u64, last_id: u64) -> Message {
        self.ids = (first_id, last_id);
        self
    }

    /// The frame for a subscription with this argument, which is JSON.
    pub(crate) fn text(&self, argument: &str) -> String {
        format!("{{\"arg\":{argument},{}}}", self.body)
    }
}

/// The messages of a record, one for each stream that may have brought it; none for what no stream brings.
pub(crate) fn render(record: RecordRef<'_>, instrument: &Instrument) -> Vec<Message> {
    if record.header().flags & (flag::REST | flag::DERIVED) != 0 {
        return vec![];
    }
    match record {
        RecordRef::Trade(trade) => trades::messages(trade, instrument),
        RecordRef::Book(book, levels) => vec![books::message(book, levels, instrument)],
        RecordRef::Quote(quote) => vec![books::quote(quote, instrument)],
        RecordRef::Ticker(ticker) => vec![statistics::ticker(ticker, instrument)],
        RecordRef::MarkPrice(price) => prices(price, instrument),
        RecordRef::FundingRate(rate) => vec![statistics::funding_rate(rate, instrument)],
        RecordRef::OpenInterest(interest) => vec![statistics::open_interest(interest, instrument)],
        RecordRef::Liquidation(order) => vec![trades::liquidation(order, instrument)],
        RecordRef::Candle(candle) => vec![statistics::candle(candle, instrument)],
        RecordRef::Greeks(greeks) => vec![statistics::greeks(greeks, instrument)],
        _ => vec![],
    }
}

fn prices(price: &MarkPrice, instrument: &Instrument) -> Vec<Message> {
    if instrument.instrument_type == InstrumentType::Index || price.mark_price == ABSENT {
        return vec![statistics::index(price, instrument)];
    }
    vec![statistics::mark_price(price, instrument)]
}

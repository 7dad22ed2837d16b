//! Records of Deribit as the messages that they were made from.
//!
//! Pure: records and their instrument in, messages out. What the log does not keep gets a value that is possible. How
//! often a channel was pushed (`raw`, `100ms`, `agg2`) is not kept either: each of them brings what was recorded.

mod books;
mod instrument;
mod object;
#[cfg(test)]
mod record_tests;
mod statistics;
mod streams;
#[cfg(test)]
mod tests;
mod ticker;
mod trades;

use marketprism_core::instrument::InstrumentType;
use marketprism_core::record::flag;
use marketprism_core::{Instrument, RecordRef};

pub(crate) use self::books::{first_book, order_book};
pub(crate) use self::instrument::{is_of, object as instrument_object};
pub(crate) use self::streams::{Stream, exists, state, wide_trades};
pub(crate) use self::ticker::Ticker;
use crate::history::chained::Book;

/// A message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The channel without what the log does not keep.
    pub(crate) stream: Stream,
    /// The data as JSON.
    pub(crate) data: String,
    /// First and last id, 0 where there are none.
    pub(crate) ids: (u64, u64),
}

impl Message {
    fn new(stream: Stream, data: String) -> Message {
        Message { stream, data, ids: (0, 0) }
    }

    fn with_ids(mut self, first_id: u64, last_id: u64) -> Message {
        self.ids = (first_id, last_id);
        self
    }

    /// The notification of a channel.
    pub(crate) fn text(&self, channel: &str) -> String {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":{{\"channel\":\"{channel}\",\"data\":{}}}}}",
            self.data
        )
    }
}

/// The message of a record; `None` for what no stream brings, for what a ticker brings together with others (see
/// [`Ticker`]), and for liquidations, which come with their trade. `book` is the book before this message.
pub(crate) fn render(record: RecordRef<'_>, instrument: &Instrument, book: Option<&Book>) -> Option<Message> {
    if record.header().flags & (flag::REST | flag::DERIVED) != 0 {
        return None;
    }
    match record {
        RecordRef::DetailedTrade(trade) => Some(trades::message(trade, instrument)),
        RecordRef::Book(message, levels) => Some(books::message(message, levels, instrument, book)),
        RecordRef::Quote(quote) => Some(books::quote(quote, instrument)),
        RecordRef::MarkPrice(price) if instrument.instrument_type == InstrumentType::Index => {
            Some(statistics::index(price, instrument))
        }
        RecordRef::VolatilityIndex(index) => Some(statistics::volatility(index, instrument)),
        RecordRef::Candle(candle) => Some(statistics::candle(candle, instrument)),
        _ => None,
    }
}

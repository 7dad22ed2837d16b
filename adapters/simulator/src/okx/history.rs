//! Playing history: what is published, what exists, what REST answers.

use marketprism_core::RecordRef;
use serde_json::Value;

use super::Venue;
use super::topics::Subject;
use crate::history::HistoryRecord;
use crate::history::chained::Past;
use crate::history::okx::{
    Message, Ratios, depth, envelope, exists, family, first_book, instrument_object, instrument_type, readings, render,
};
use crate::host::{Action, TopicId};

/// What a venue knows that plays history.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) past: Past,
    ratios: Ratios,
    /// Streams of books that were broken and not yet reported.
    broken: Vec<String>,
}

impl Played {
    /// Keeps what later answers need; gives the path that answers with the record.
    fn keep(&mut self, record: &HistoryRecord) -> Option<String> {
        let symbol = &record.instrument.venue_symbol;
        match record.record()? {
            RecordRef::Book(book, levels) => {
                if self.past.take_book(symbol, book, levels) {
                    self.broken.push(format!("books:{symbol}"));
                }
                None
            }
            RecordRef::LongShortRatio(ratio) => self.ratios.keep(ratio, symbol),
            _ => None,
        }
    }

    /// The snapshot for somebody who subscribes a stream now, where it has one and the book is known.
    fn first(&self, stream: &str) -> Option<Message> {
        let (channel, symbol) = stream.split_once(':')?;
        let is_book = matches!(channel, "books" | "books-l2-tbt" | "books50-l2-tbt");
        self.past.book(symbol).filter(|_| is_book).map(|book| first_book(book, symbol))
    }

    /// The data of a REST answer as a JSON array; `None` for a path that is not answered from history.
    pub(super) fn answer(&self, path: &str, parameter: impl Fn(&str) -> Option<String>) -> Option<String> {
        let symbol = parameter("instId").unwrap_or_default();
        match path {
            "/api/v5/public/time" => Some(format!("[{{\"ts\":\"{}\"}}]", self.past.moment_ms())),
            "/api/v5/public/instruments" => {
                let kind = parameter("instType").unwrap_or_default();
                let asked = parameter("instFamily");
                let wanted = |one: &&std::sync::Arc<marketprism_core::Instrument>| {
                    instrument_type(&one.market) == kind
                        && (symbol.is_empty() || one.venue_symbol == symbol)
                        && asked.as_ref().is_none_or(|asked| asked == family_of(one))
                };
                let objects = self.past.listed().filter(wanted).map(|one| instrument_object(one));
                Some(format!("[{}]", objects.collect::<Vec<_>>().join(",")))
            }
            "/api/v5/market/books" => {
                let levels = parameter("sz").and_then(|text| text.parse().ok()).unwrap_or(1);
                Some(format!("[{}]", depth(self.past.book(&symbol)?, levels)))
            }
            _ => self.ratios.answer(path, &symbol),
        }
    }
}

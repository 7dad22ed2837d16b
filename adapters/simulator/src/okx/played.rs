//! A venue that plays history: what exists, what is published, what REST answers.

use marketprism_core::{Instrument as Definition, RecordRef};
use serde_json::Value;

use super::Venue;
use super::catalogue::Market;
use super::render::push;
use super::topics::Subject;
use crate::history::HistoryRecord;
use crate::history::chained::Past;
use crate::history::okx::{
    Message, Ratios, depth, exists, first_book, instrument_object, instrument_type, readings, render,
};
use crate::host::{Action, TopicId};

/// What such a venue knows.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) past: Past,
    ratios: Ratios,
    /// Streams with books that were broken and not yet reported.
    broken: Vec<String>,
}

impl Played {
    /// Keeps what later answers need of a record; gives the path of the answer that has it.
    pub(super) fn keep(&mut self, record: &HistoryRecord) -> Option<String> {
        let symbol = &record.instrument.venue_symbol;
        match record.record()? {
            RecordRef::Book(book, levels) => {
                if self.past.take_book(symbol, book, levels) {
                    self.broken.extend(readings(&format!("books:{symbol}")));
                }
                None
            }
            RecordRef::LongShortRatio(ratio) => self.ratios.keep(ratio, symbol),
            _ => None,
        }
    }

    /// The snapshot for somebody who subscribes a stream now, where it has one and the book is known.
    pub(super) fn first(&self, stream: &str) -> Option<Message> {
        let (channel, symbol) = stream.split_once(':')?;
        let is_book = matches!(channel, "books" | "books-l2-tbt" | "books50-l2-tbt");
        self.past.book(symbol).filter(|_| is_book).map(|book| first_book(book, symbol))
    }

    /// The objects of the instruments that are listed in a market.
    pub(super) fn objects(&self, market: Market) -> Vec<Value> {
        let of_market = self.past.listed().filter(|one| one.market == market.name());
        of_market.map(|one| instrument_object(one)).collect()
    }

    /// The symbols of these instruments.
    pub(super) fn symbols(&self, market: Market) -> Vec<String> {
        let of_market = self.past.listed().filter(|one| one.market == market.name());
        of_market.map(|one| one.venue_symbol.clone()).collect()
    }

    /// The data of an answer as a JSON array, empty where the log has nothing for it.
    pub(super) fn answer(&self, path: &str, symbol: &str, levels: usize) -> String {
        let answer = match path {
            "/api/v5/public/time" => Some(format!("[{{\"ts\":\"{}\"}}]", self.past.moment_ms())),
            "/api/v5/market/books" => self.past.book(symbol).map(|book| format!("[{}]", depth(book, levels))),
            _ => self.ratios.answer(path, symbol),
        };
        answer.unwrap_or_else(|| "[]".to_owned())
    }
}

impl Venue {
    /// The topic of a stream that the history may have; it gets its number when it is first asked for.
    pub(super) fn played_topic(&mut self, stream: &str) -> Option<TopicId> {
        let market = exists(stream, &self.played.as_ref()?.past)?;
        Some(self.topics.add(market, stream.to_owned(), Subject::Captured))
    }

    /// Plays records of one receive time.
    pub(super) fn play(&mut self, records: &[HistoryRecord], now_ms: u64, out: &mut Vec<Action>) {
        for record in records {
            let Some(played) = &mut self.played else { return };
            let changed = played.past.advance(record);
            if let Some(path) = played.keep(record) {
                played.past.count(&record.instrument.market, &path, 1, false);
            }
            if let Some(definition) = changed {
                self.announce_definition(&definition, now_ms, out);
            }
            self.play_one(record, now_ms, out);
        }
    }

    /// Sends the message of a record to everybody who subscribed a stream that brings it.
    fn play_one(&mut self, record: &HistoryRecord, now_ms: u64, out: &mut Vec<Action>) {
        let market = &record.instrument.market;
        let messages = record.record().map_or(vec![], |read| render(read, &record.instrument));
        let Some(first) = messages.first().map(|message| message.stream.clone()) else { return };
        let Some(played) = &mut self.played else { return };
        let is_owner = !first.starts_with("index-tickers:") || played.past.owns(&first, market);
        let mut sent = None;
        for message in messages.iter().filter(|_| is_owner) {
            for stream in readings(&message.stream) {
                if let Some(id) = self.topics.find(&stream).filter(|id| self.topics.is_subscribed(*id)) {
                    let text = message.text(&self.topics.get(id).arg());
                    self.publish(id, text, message.ids, now_ms, out);
                    sent.get_or_insert(stream);
                }
            }
        }
        if let Some(played) = &mut self.played {
            played.past.count(market, sent.as_ref().unwrap_or(&first), 1, sent.is_some());
        }
    }

    fn announce_definition(&mut self, definition: &Definition, now_ms: u64, out: &mut Vec<Action>) {
        let stream = format!("instruments:{}", instrument_type(&definition.market));
        if let Some(id) = self.topics.find(&stream) {
            let object = instrument_object(definition).to_string();
            let text = push(&self.topics.get(id).arg(), &object);
            self.publish(id, text, (0, 0), now_ms, out);
        }
    }

    /// Topics with books that were broken since the last call.
    pub(super) fn broken_topics(&mut self) -> Vec<TopicId> {
        let broken = self.played.as_mut().map(|played| std::mem::take(&mut played.broken));
        broken.unwrap_or_default().iter().filter_map(|stream| self.topics.find(stream)).collect()
    }
}

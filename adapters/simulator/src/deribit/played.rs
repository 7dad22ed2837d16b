//! A venue that plays history: what exists, what is published, what is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use marketprism_core::{Instrument, RecordRef};

use super::market::Message as First;
use super::rpc::{Failure, Parameters};
use super::topics::Subject;
use super::venue::Venue;
use crate::history::HistoryRecord;
use crate::history::chained::Past;
use crate::history::deribit::{
    Message, Stream, Ticker, exists, first_book, instrument_object, is_of, order_book, render, state,
    wide_trades,
};
use crate::host::{Action, TopicId};

/// What such a venue knows.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) past: Past,
    /// Instruments whose books were broken and not yet reported.
    broken: Vec<String>,
    /// Somebody subscribed trades of many instruments.
    is_wide: bool,
}

impl Played {
    /// Keeps what later answers need of a record.
    pub(super) fn keep(&mut self, record: &HistoryRecord) {
        let symbol = &record.instrument.venue_symbol;
        if let Some(RecordRef::Book(book, levels)) = record.record()
            && self.past.take_book(symbol, book, levels)
        {
            self.broken.push(symbol.clone());
        }
    }

    /// The snapshot for somebody who subscribes a channel now, where it has one and the book is known.
    pub(super) fn first(&self, channel: &str) -> Option<First> {
        let symbol =
            channel.strip_prefix("book.")?.split('.').next().filter(|_| !channel.contains(".none."))?;
        let message = first_book(self.past.book(symbol)?, symbol);
        Some((message.text(channel), message.ids.0, message.ids.1))
    }

    /// The symbols of the instruments that are listed in a market.
    pub(super) fn symbols(&self, market: &str) -> Vec<String> {
        let of_market = self.past.listed().filter(|one| one.market == market);
        of_market.map(|one| one.venue_symbol.clone()).collect()
    }

    /// Calls a method; `None` when the log has nothing for one of this name.
    pub(super) fn call(&self, method: &str, parameters: &Parameters) -> Option<Result<String, Failure>> {
        match method {
            "public/get_time" => Some(Ok(self.past.moment_ms().to_string())),
            "public/test" | "public/hello" => Some(Ok("{\"version\":\"1.2.26\"}".to_owned())),
            "public/get_instruments" => Some(self.instruments(parameters)),
            "public/get_instrument" => Some(self.with_instrument(parameters, instrument_object)),
            "public/get_order_book" => Some(self.order_book(parameters)),
            _ => None,
        }
    }

    fn instruments(&self, parameters: &Parameters) -> Result<String, Failure> {
        let currency = parameters.required("currency")?;
        let kind = parameters.text("kind").unwrap_or("any");
        if parameters.flag("expired") {
            return Ok("[]".to_owned());
        }
        let asked = self.past.listed().filter(|one| is_of(one, kind, currency));
        Ok(format!("[{}]", asked.map(|one| instrument_object(one)).collect::<Vec<_>>().join(",")))
    }

    fn with_instrument(
        &self,
        parameters: &Parameters,
        write: impl FnOnce(&Instrument) -> String,
    ) -> Result<String, Failure> {
        let name = parameters.required("instrument_name")?;
        let instrument = self.past.instrument(name).ok_or(Failure::new(13020, "not_found"))?;
        Ok(write(instrument))
    }

    fn order_book(&self, parameters: &Parameters) -> Result<String, Failure> {
        let depth = parameters.integer("depth")?.unwrap_or(5);
        let name = parameters.required("instrument_name")?;
        let book = self.past.book(name).ok_or(Failure::new(13020, "not_found"))?;
        Ok(order_book(book, name, usize::try_from(depth).unwrap_or(usize::MAX)))
    }
}

impl Venue {
    /// The topic of a channel that the history may have; it gets its number when it is first asked for.
    pub(super) fn played_topic(&mut self, channel: &str) -> Option<TopicId> {
        let played = self.played.as_mut()?;
        if let Some(topic) = self.market.topics.find(channel) {
            played.is_wide |= channel.starts_with("trades.");
            return Some(topic);
        }
        let market = exists(channel, &played.past)?;
        Some(self.market.topics.add(market, channel.to_owned(), Subject::Captured))
    }

    /// Plays records of one receive time. Those of one message come behind each other for each instrument.
    pub(super) fn play(&mut self, records: &[HistoryRecord], out: &mut Vec<Action>) {
        let mut tickers: BTreeMap<&str, (&Arc<Instrument>, Ticker)> = BTreeMap::new();
        for (index, record) in records.iter().enumerate() {
            let (Some(played), Some(read)) = (&mut self.played, record.record()) else { return };
            let instrument = &record.instrument;
            let changed = played.past.advance(record);
            if let Some(definition) = changed {
                self.announce(&definition, read.header().receive_ns, out);
            }
            let (_, ticker) =
                tickers.entry(&instrument.venue_symbol).or_insert((instrument, Ticker::default()));
            if ticker.add(read, instrument) {
                continue;
            }
            let complete = std::mem::take(ticker);
            let begins = ticker.add(read, instrument);
            if complete.records > 0 {
                self.send(instrument, &complete.message(instrument), complete.records, out);
            }
            if !begins {
                let liquidations = records.get(index + 1..).unwrap_or_default();
                let liquidations = liquidations.iter().take_while(|next| is_liquidation_of(next, instrument));
                self.play_one(record, read, liquidations.count() as u64, out);
            }
        }
        for (instrument, ticker) in tickers.into_values().filter(|(_, ticker)| ticker.records > 0) {
            self.send(instrument, &ticker.message(instrument), ticker.records, out);
        }
    }

    /// Plays a record that makes a message of its own, with so many liquidations behind it, which come with a trade.
    fn play_one(
        &mut self,
        record: &HistoryRecord,
        read: RecordRef<'_>,
        liquidations: u64,
        out: &mut Vec<Action>,
    ) {
        let Some(played) = &mut self.played else { return };
        let message = render(read, &record.instrument, played.past.book(&record.instrument.venue_symbol));
        played.keep(record);
        let records = if matches!(read, RecordRef::DetailedTrade(_)) { 1 + liquidations } else { 1 };
        if let Some(message) = message {
            self.send(&record.instrument, &message, records, out);
        }
    }

    /// Sends a message, made from so many records, on every channel that brings it.
    fn send(&mut self, instrument: &Instrument, message: &Message, records: u64, out: &mut Vec<Action>) {
        let Some(played) = &mut self.played else { return };
        let mut groups = message.stream.channels();
        let usual =
            groups.first().and_then(|group| group.get(1).or(group.first())).cloned().unwrap_or_default();
        if message.stream.is_of_index() && !played.past.owns(&usual, &instrument.market) {
            groups.clear();
        }
        if played.is_wide && matches!(message.stream, Stream::Trades(_)) {
            groups.iter_mut().for_each(|group| group.extend(wide_trades(instrument)));
        }
        let mut sent: Option<String> = None;
        for group in groups {
            for channel in group {
                let topic = self.market.topics.find(&channel);
                let Some(topic) = topic.filter(|topic| self.market.topics.get(*topic).subscribers > 0) else {
                    continue;
                };
                let text = message.text(&channel);
                out.push(Action::Publish { topic, text, first_id: message.ids.0, last_id: message.ids.1 });
                sent.get_or_insert(channel);
            }
            if sent.is_some() {
                break;
            }
        }
        played.past.count(&instrument.market, sent.as_ref().unwrap_or(&usual), records, sent.is_some());
    }

    /// Tells of an instrument that came or changed.
    fn announce(&mut self, definition: &Instrument, time_ns: i64, out: &mut Vec<Action>) {
        let (channels, data) = state(definition, time_ns);
        for channel in channels {
            if let Some(topic) = self.market.topics.find(&channel) {
                let text = super::messages::notification(&channel, |out| out.push_str(&data));
                out.push(Action::Publish { topic, text, first_id: 0, last_id: 0 });
            }
        }
    }

    /// Topics with books that were broken since the last call.
    pub(super) fn broken_topics(&mut self) -> Vec<TopicId> {
        let broken =
            self.played.as_mut().map(|played| std::mem::take(&mut played.broken)).unwrap_or_default();
        let channels = broken.into_iter().flat_map(|symbol| Stream::Book(symbol).channels()).flatten();
        channels.filter_map(|channel| self.market.topics.find(&channel)).collect()
    }
}

fn is_liquidation_of(record: &HistoryRecord, instrument: &Instrument) -> bool {
    let is_liquidation = matches!(record.record(), Some(RecordRef::Liquidation(_)));
    is_liquidation && record.instrument.venue_symbol == instrument.venue_symbol
}

//! The venue as a [`Protocol`] of the host.

use super::book::Side;
use super::catalogue::MARKETS;
use super::topics::Subject;
use super::venue::Venue;
use crate::history::{HistoryRecord, ReplayedStream};
use crate::host::{
    Action, BookText, Captured, ConnectionId, Disturbance, ListingChange, Protocol, RestAnswer, TopicId,
    TopicName,
};

impl Protocol for Venue {
    fn open(&mut self, connection: ConnectionId, path: &str, now_ms: u64) -> Result<(), u16> {
        self.market.advance(now_ms);
        self.open(connection, path)
    }

    fn text(&mut self, connection: ConnectionId, text: &str, now_ms: u64, out: &mut Vec<Action>) {
        self.market.advance(now_ms);
        self.request(connection, text, out);
    }

    fn touched(&mut self, connection: ConnectionId, now_ms: u64) {
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.touched(now_ms);
        }
    }

    fn closed(&mut self, connection: ConnectionId) {
        self.closed(connection);
    }

    fn rest(&mut self, path: &str, query: &str, now_ms: u64) -> RestAnswer {
        self.market.advance(now_ms);
        self.rest(path, query)
    }

    fn tick(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        self.market.tick(now_ms, out);
        self.tick(out);
    }

    fn act(&mut self, now_ms: u64, out: &mut Vec<Action>) -> usize {
        self.market.advance(now_ms);
        let before = out.len();
        self.market.act(out);
        out.len() - before
    }

    fn flush(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        self.market.advance(now_ms);
        self.take_noted(out);
        self.market.flush(out);
    }

    fn disturb(&mut self, topic: TopicId, what: &Disturbance, now_ms: u64, out: &mut Vec<Action>) {
        self.market.advance(now_ms);
        match *what {
            Disturbance::UnknownMessage => self.send_unknown(topic, out),
            Disturbance::ClosingNotice(milliseconds) => self.begin_maintenance(milliseconds, out),
            Disturbance::SilentAcknowledgement => self.market.topics.get(topic).silent = true,
            Disturbance::Refuse => self.market.topics.get(topic).refuse = true,
            _ => self.market.disturb(topic, what, out),
        }
    }

    fn topic(&self, topic: TopicId) -> &TopicName {
        self.market.topics.name(topic)
    }

    fn topics(&self) -> usize {
        self.market.topics.len()
    }

    fn markets(&self) -> &'static [&'static str] {
        &MARKETS
    }

    fn symbols(&self, market: &str) -> Vec<String> {
        if self.answers.is_some() {
            return self.market.topics.instruments(market);
        }
        if let Some(played) = &self.played {
            return played.symbols(market);
        }
        let of_market = |instrument: &&super::instrument::Instrument| {
            instrument.listed && instrument.spec.market == market
        };
        self.market.instruments.iter().filter(of_market).map(|one| one.spec.name.clone()).collect()
    }

    fn book(&self, market: &str, symbol: &str) -> Option<BookText> {
        if let Some(played) = &self.played {
            return played.past.book_text(market, symbol);
        }
        let place = *self.market.by_name.get(symbol)?;
        let instrument = self.market.instruments.get(place).filter(|one| one.spec.market == market)?;
        let [bids, asks] = Side::BOTH.map(|side| {
            let levels = instrument.book.levels(side);
            levels
                .map(|(tick, lots)| (instrument.price(tick).float(), instrument.amount(lots).float()))
                .collect()
        });
        Some(BookText { last_update_id: instrument.change_id, bids, asks })
    }

    fn change_listing(
        &mut self,
        change: &ListingChange,
        now_ms: u64,
        out: &mut Vec<Action>,
    ) -> Option<String> {
        self.market.advance(now_ms);
        if self.played.is_some() {
            return None;
        }
        self.market.change_listing(change, out)
    }

    fn captured(&mut self, market: &str, text: &str) -> Option<Captured> {
        let market = MARKETS.into_iter().find(|known| *known == market)?;
        let found = super::capture::notification(text)?;
        let topic = self.market.topics.add(market, found.channel, Subject::Captured);
        Some(Captured { topic, first_id: found.ids.0, last_id: found.ids.1 })
    }

    fn captured_answer(&mut self, _market: &str, file: &str, body: &str) {
        if let Some(answers) = &mut self.answers {
            answers.read(file, body);
        }
    }

    fn remember(&mut self, record: &HistoryRecord) {
        if let Some(played) = &mut self.played {
            played.past.advance(record);
            played.keep(record);
        }
    }

    fn replay(&mut self, records: &[HistoryRecord], now_ms: u64, out: &mut Vec<Action>) {
        self.market.advance(now_ms);
        self.play(records, out);
    }

    fn take_broken(&mut self) -> Vec<TopicId> {
        self.broken_topics()
    }

    fn replayed(&self) -> Vec<ReplayedStream> {
        self.played.as_ref().map_or(vec![], |played| played.past.streams())
    }

    fn too_slow(&self) -> (u16, &'static str) {
        (1008, "connection_too_slow")
    }
}

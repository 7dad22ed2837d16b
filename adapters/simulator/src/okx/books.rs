//! The channel `books`: snapshots, the chain of updates, and lies about them.

use super::Venue;
use super::book::{Row, Rows, Side};
use super::channel::BOOKS;
use super::checksum::checksum;
use super::instrument::{Chain, Crossing, Instrument, KEPT_UPDATES};
use super::render::{BookMessage, levels};
use crate::host::{Action, Disturbance, TopicId};

impl Instrument {
    /// Bids that clients hold, with the one that crosses the book.
    fn held_bids(&self) -> impl Iterator<Item = Row> + '_ {
        let crossing = self.chain.crossing.map(|crossing| (crossing.tick, crossing.lots));
        crossing.into_iter().chain(self.ladder.held(Side::Bid))
    }

    fn checksum(&self, legacy: bool) -> i32 {
        if !legacy {
            return 0;
        }
        let ticks = |(tick, lots)| (self.ticks(tick) as usize, lots);
        checksum(&self.spec, self.held_bids().map(ticks), self.ladder.held(Side::Ask).map(ticks))
    }

    /// The book as clients hold it.
    fn snapshot(&self, legacy: bool) -> BookMessage<'static> {
        BookMessage {
            action: "snapshot",
            bids: levels(self, self.held_bids()),
            asks: levels(self, self.ladder.held(Side::Ask)),
            checksum: self.checksum(legacy),
            sequence: self.chain.last,
            previous: -1,
        }
    }

    /// The book as clients held it some updates ago.
    fn stale_snapshot(&self, updates: u64, legacy: bool) -> BookMessage<'static> {
        let count = usize::try_from(updates).unwrap_or(usize::MAX).min(self.chain.past.len());
        let taken_back = self.chain.past.iter().rev().take(count);
        let sequence = taken_back.clone().next_back().map_or(self.chain.last, |(before, _)| *before);
        let [bids, asks] = self.ladder.held_before(taken_back.map(|(_, rows)| rows));
        let ticks = |(tick, lots): &Row| (self.ticks(*tick) as usize, *lots);
        let sum =
            if legacy { checksum(&self.spec, bids.iter().map(ticks), asks.iter().map(ticks)) } else { 0 };
        BookMessage {
            action: "snapshot",
            bids: levels(self, bids.into_iter()),
            asks: levels(self, asks.into_iter()),
            checksum: sum,
            sequence,
            previous: -1,
        }
    }

    /// Crosses or uncrosses the book when it is time.
    fn cross(&mut self, rows: &mut Rows) {
        let Some(crossing) = &mut self.chain.crossing else { return };
        if !crossing.begun {
            crossing.begun = true;
            rows.bids.insert(0, (crossing.tick, crossing.lots));
        } else if crossing.left == 0 {
            rows.bids.insert(0, (crossing.tick, 0));
            self.chain.crossing = None;
            return;
        }
        crossing.left -= 1;
    }

    /// The next update, with an extra ask behind all others; `None` when nothing changed.
    fn update(&mut self, extra: Option<Row>, legacy: bool) -> Option<BookMessage<'static>> {
        let mut rows = self.ladder.changes();
        self.cross(&mut rows);
        rows.asks.extend(extra);
        if rows.bids.is_empty() && rows.asks.is_empty() {
            return None;
        }
        let previous = std::mem::replace(&mut self.chain.last, self.sequence);
        let lie = i32::from(std::mem::take(&mut self.chain.lie));
        let message = BookMessage {
            action: "update",
            bids: levels(self, rows.bids.iter().copied()),
            asks: levels(self, rows.asks.iter().copied()),
            checksum: self.checksum(legacy) ^ lie,
            sequence: self.sequence,
            previous: previous.into(),
        };
        self.chain.past.push_back((previous, rows));
        if self.chain.past.len() > KEPT_UPDATES {
            self.chain.past.pop_front();
        }
        Some(message)
    }

    /// A message without a change.
    fn keep_alive(&self, legacy: bool) -> BookMessage<'static> {
        BookMessage {
            action: "update",
            bids: "[]".to_owned(),
            asks: "[]".to_owned(),
            checksum: self.checksum(legacy),
            sequence: self.chain.last,
            previous: self.chain.last.into(),
        }
    }
}

impl Venue {
    /// The snapshot for a new subscriber.
    pub(super) fn first_book(&mut self, index: usize, arg: &str, now_ms: u64) -> (String, u64) {
        let legacy = self.limits.legacy_checksums;
        let instrument = &mut self.instruments[index];
        if !instrument.ladder.tracked() {
            instrument.ladder.track();
            instrument.chain = Chain { last: instrument.sequence, ..Chain::default() };
        }
        (instrument.snapshot(legacy).text(arg, now_ms), instrument.chain.last)
    }

    /// Pushes what changed, or that nothing did when it is time for that.
    pub(super) fn push_book(&mut self, id: TopicId, index: usize, now_ms: u64, out: &mut Vec<Action>) {
        let (legacy, keep_alive) = (self.limits.legacy_checksums, self.keep_alive_ms());
        let quiet_since = self.topics.get(id).pushed_ms;
        let instrument = &mut self.instruments[index];
        let message = match instrument.update(None, legacy) {
            None if now_ms < quiet_since + keep_alive => None,
            None => Some(instrument.keep_alive(legacy)),
            update => update,
        };
        if let Some(message) = message {
            self.publish_book(id, &message, now_ms, out);
        }
    }

    fn publish_book(&mut self, id: TopicId, message: &BookMessage<'_>, now_ms: u64, out: &mut Vec<Action>) {
        let text = message.text(&self.topics.get(id).arg(), now_ms);
        self.publish(id, text, (message.sequence, message.sequence), now_ms, out);
    }

    /// Ends what a disturbance left in the books of clients.
    pub(super) fn uncross(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        for index in 0..self.instruments.len() {
            let instrument = &mut self.instruments[index];
            if let Some(crossing) = &mut instrument.chain.crossing {
                crossing.left = 0;
                instrument.sequence += 1;
                if let Some(id) = instrument.topics[BOOKS] {
                    self.push_book(id, index, now_ms, out);
                }
            }
        }
    }

    /// Does one thing wrong with a book; without a subscriber there is nothing to do it with.
    pub(super) fn disturb_book(
        &mut self,
        id: TopicId,
        index: usize,
        what: &Disturbance,
        now_ms: u64,
        out: &mut Vec<Action>,
    ) {
        let legacy = self.limits.legacy_checksums;
        let instrument = &mut self.instruments[index];
        if !instrument.ladder.tracked() {
            return;
        }
        let message = match *what {
            Disturbance::StaleSnapshot(messages) => Some(instrument.stale_snapshot(messages, legacy)),
            Disturbance::MidStreamSnapshot => Some(instrument.snapshot(legacy)),
            Disturbance::EmptyUpdate => Some(instrument.keep_alive(legacy)),
            Disturbance::ChecksumLie => {
                instrument.chain.lie = legacy;
                None
            }
            Disturbance::SequenceReset => {
                instrument.sequence = 2 + u64::from(self.random.below(100));
                None
            }
            Disturbance::Crossed(left) if left > 0 && instrument.chain.crossing.is_none() => {
                // Above everything on the ladder, so that the market never comes to this price.
                let tick = instrument.ladder.ticks();
                let lots = u64::from(instrument.spec.usual_lots);
                instrument.chain.crossing = Some(Crossing { tick, lots, left, begun: false });
                instrument.sequence += 1;
                instrument.update(None, legacy)
            }
            Disturbance::RemoveMissing => {
                instrument.sequence += 1;
                let beyond = instrument.ladder.ticks();
                instrument.update(Some((beyond, 0)), legacy)
            }
            _ => None,
        };
        if let Some(message) = message {
            self.publish_book(id, &message, now_ms, out);
        }
    }
}

//! The market moves, and what moved is pushed.

use super::Venue;
use super::candle::{Bar, open_of};
use super::channel::{
    BBO, BOOKS, BOOKS5, CANDLES, CHANNELS, Channel, MARK_PRICE, OPEN_INTEREST, TICKERS, TRADES, TRADES_ALL,
};
use super::instrument::Trade;
use super::render;
use super::topics::Subject;
use super::{catalogue::Market, render::push};
use crate::host::{Action, TopicId};

/// A contract has at most one liquidation in that many milliseconds.
const LIQUIDATION_EVERY: u64 = 1_000;
/// Grid of index prices and of option summaries, and their longest silence.
const INDEX_GRID: u64 = 100;
const INDEX_REPEAT: u64 = 60_000;
const SUMMARY_GRID: u64 = 2_000;

impl Venue {
    /// One order somewhere; instruments that somebody subscribes, if there are any. Gives the messages published.
    pub(super) fn move_market(&mut self, now_ms: u64, out: &mut Vec<Action>) -> usize {
        let count = if self.active.is_empty() { self.instruments.len() } else { self.active.len() };
        let Ok(bound @ 1..) = u32::try_from(count) else { return 0 };
        let before = out.len();
        // The first ones are the busiest.
        let place = self.random.below(bound).min(self.random.below(bound)) as usize;
        let index = self.active.get(place).copied().unwrap_or(place);
        if self.instruments[index].expired {
            return 0;
        }
        let acted = self.instruments[index].act(&mut self.random, now_ms);
        for trade in &acted.trades {
            self.publish_trade(index, trade, now_ms, out);
        }
        for place in [BOOKS, BOOKS5] {
            self.touch(index, place, now_ms);
        }
        if acted.top {
            self.touch(index, BBO, now_ms);
            self.touch(index, MARK_PRICE, now_ms);
            self.touch_family(index, now_ms);
        }
        if acted.top || !acted.trades.is_empty() {
            self.touch(index, TICKERS, now_ms);
        }
        if !acted.trades.is_empty() {
            self.touch(index, OPEN_INTEREST, now_ms);
        }
        out.len() - before
    }

    fn touch(&mut self, index: usize, place: usize, now_ms: u64) {
        if let Some(id) = self.instruments[index].topics[place] {
            self.topics.touch(id, CHANNELS[place].1.grid_ms(), now_ms);
        }
    }

    /// The index that an instrument leads, or the summary that an option is in.
    fn touch_family(&mut self, index: usize, now_ms: u64) {
        let spec = &self.instruments[index].spec;
        let (channel, grid) = match spec.market {
            Market::Option => ("opt-summary", SUMMARY_GRID),
            _ => ("index-tickers", INDEX_GRID),
        };
        if let Some(id) = self.topics.find(&format!("{channel}:{}", spec.family())) {
            let follows = !matches!(self.topics.get(id).subject, Subject::Index { lead } if lead != index);
            if follows {
                self.topics.touch(id, grid, now_ms);
            }
        }
    }

    fn publish_trade(&mut self, index: usize, trade: &Trade, now_ms: u64, out: &mut Vec<Action>) {
        let [trades, all] = [TRADES, TRADES_ALL]
            .map(|place| self.instruments[index].topics[place].filter(|&id| self.topics.is_subscribed(id)));
        if let Some(id) = trades {
            let data = render::trade(&self.instruments[index].spec, trade);
            let ids = (trade.id + 1 - trade.fills, trade.id);
            self.publish(id, push(&self.topics.get(id).arg(), &data), ids, now_ms, out);
        }
        if let Some(id) = all {
            for fill in trade.each_fill() {
                let data = render::fill(&self.instruments[index].spec, trade, fill);
                self.publish(id, push(&self.topics.get(id).arg(), &data), (fill.0, fill.0), now_ms, out);
            }
        }
        self.add_to_bars(index, trade, now_ms, out);
        self.liquidate(index, trade, now_ms, out);
    }

    fn add_to_bars(&mut self, index: usize, trade: &Trade, now_ms: u64, out: &mut Vec<Action>) {
        if self.bars.is_empty() {
            return;
        }
        for (place, (_, channel)) in CHANNELS.into_iter().enumerate().skip(CANDLES) {
            let Some(id) = self.instruments[index].topics[place] else { continue };
            if !self.bars.contains_key(&id) {
                continue;
            }
            self.close_bar(id, index, channel, now_ms, out);
            if let Some(bar) = self.bars.get_mut(&id) {
                bar.add(trade.ticks, trade.lots);
            }
            self.touch(index, place, now_ms);
        }
    }

    /// Now and then a trade was a liquidation.
    fn liquidate(&mut self, index: usize, trade: &Trade, now_ms: u64, out: &mut Vec<Action>) {
        let instrument = &mut self.instruments[index];
        let market = instrument.spec.market;
        let possible = matches!(market, Market::Swap | Market::Futures)
            && now_ms >= instrument.liquidated_ms + LIQUIDATION_EVERY;
        if !possible || !self.random.percent(10) {
            return;
        }
        instrument.liquidated_ms = now_ms;
        let data = render::liquidation(instrument, trade);
        let stream = format!("liquidation-orders:{}", market.instrument_type());
        if let Some(id) = self.topics.find(&stream) {
            self.publish(id, push(&self.topics.get(id).arg(), &data), (0, 0), now_ms, out);
        }
        self.liquidations[market as usize] = Some(data);
    }

    /// Pushes what is due on a stream, and plans its next push.
    pub(super) fn fire(&mut self, id: TopicId, now_ms: u64, out: &mut Vec<Action>) {
        let topic = self.topics.get_mut(id);
        topic.changed = false;
        if topic.subscribers.is_empty() {
            return;
        }
        match topic.subject.clone() {
            Subject::Instrument { index, .. } if self.instruments[index].expired => {}
            Subject::Instrument { index, channel } => self.fire_channel(id, index, channel, now_ms, out),
            Subject::Index { lead } => {
                let (_, key) = topic.name.stream.split_once(':').unwrap_or_default();
                let text = push(&topic.arg(), &render::index(key, &self.instruments[lead], now_ms));
                self.publish(id, text, (0, 0), now_ms, out);
                self.topics.schedule(id, now_ms + INDEX_REPEAT);
            }
            Subject::Summary { family } => {
                let text = push(&topic.arg(), &self.summary(&family, now_ms));
                self.publish(id, text, (0, 0), now_ms, out);
            }
            Subject::Liquidations(_) | Subject::Instruments(_) | Subject::Captured => {}
        }
    }

    fn fire_channel(
        &mut self,
        id: TopicId,
        index: usize,
        channel: Channel,
        now_ms: u64,
        out: &mut Vec<Action>,
    ) {
        let repeat = channel.repeat_ms(self.keep_alive_ms());
        match channel {
            Channel::Books => self.push_book(id, index, now_ms, out),
            Channel::Bbo | Channel::Books5 => {
                let depth = if channel == Channel::Bbo { 1 } else { 5 };
                let sides = render::sides(&self.instruments[index], depth);
                let topic = self.topics.get(id);
                let silent_for = now_ms.saturating_sub(topic.pushed_ms);
                if topic.last != sides || repeat.is_some_and(|repeat| silent_for >= repeat) {
                    let text = push(&topic.arg(), &self.depth_data(index, channel, &sides, now_ms));
                    let sequence = self.instruments[index].sequence;
                    self.topics.get_mut(id).last = sides;
                    self.publish(id, text, (sequence, sequence), now_ms, out);
                }
            }
            Channel::Candle { length_ms, .. } => {
                if !self.close_bar(id, index, channel, now_ms, out) {
                    self.push_value(id, index, channel, now_ms, out);
                }
                let opened = self.bars.get(&id).map_or(now_ms, |bar| bar.open_ms);
                self.topics.schedule(id, opened + length_ms);
            }
            _ => self.push_value(id, index, channel, now_ms, out),
        }
        if let Some(repeat) = repeat {
            let pushed = self.topics.get(id).pushed_ms;
            let mut next = (pushed + repeat).max(now_ms + 1);
            if channel == Channel::FundingRate {
                // A settlement is told at once.
                next = next.min((now_ms / render::FUNDING_INTERVAL + 1) * render::FUNDING_INTERVAL);
            }
            self.topics.schedule(id, next);
        }
    }

    fn push_value(
        &mut self,
        id: TopicId,
        index: usize,
        channel: Channel,
        now_ms: u64,
        out: &mut Vec<Action>,
    ) {
        if let Some((data, ids)) = self.value(id, index, channel, now_ms) {
            let text = push(&self.topics.get(id).arg(), &data);
            self.publish(id, text, ids, now_ms, out);
        }
    }

    /// The data of a channel as it is now, and its ids.
    pub(super) fn value(
        &self,
        id: TopicId,
        index: usize,
        channel: Channel,
        now_ms: u64,
    ) -> Option<(String, (u64, u64))> {
        let instrument = &self.instruments[index];
        let spec = &instrument.spec;
        let last = instrument.last_trade();
        Some(match channel {
            Channel::Books => return None,
            Channel::Bbo | Channel::Books5 => {
                let depth = if channel == Channel::Bbo { 1 } else { 5 };
                let data = self.depth_data(index, channel, &render::sides(instrument, depth), now_ms);
                (data, (instrument.sequence, instrument.sequence))
            }
            Channel::Trades => (render::trade(spec, &last), (last.id + 1 - last.fills, last.id)),
            Channel::TradesAll => {
                let fill = last.each_fill().next_back()?;
                (render::fill(spec, &last, fill), (fill.0, fill.0))
            }
            Channel::Tickers => (render::ticker(instrument, now_ms), (0, 0)),
            Channel::MarkPrice => (render::mark_price(instrument, now_ms), (0, 0)),
            Channel::FundingRate => (render::funding_rate(instrument, now_ms), (0, 0)),
            Channel::OpenInterest => (render::open_interest(instrument, now_ms), (0, 0)),
            Channel::Candle { .. } => (render::candle(spec, self.bars.get(&id)?, false), (0, 0)),
        })
    }

    fn depth_data(&self, index: usize, channel: Channel, sides: &str, now_ms: u64) -> String {
        let instrument = &self.instruments[index];
        let sequence = instrument.sequence;
        if channel == Channel::Bbo {
            return format!("{{{sides},\"ts\":\"{now_ms}\",\"seqId\":{sequence}}}");
        }
        let name = &instrument.spec.name;
        format!("{{{sides},\"instId\":\"{name}\",\"ts\":\"{now_ms}\",\"seqId\":{sequence}}}")
    }

    /// All options of a family, in one message.
    pub(super) fn summary(&self, family: &str, now_ms: u64) -> String {
        let options = self.listed(Market::Option).filter(|option| option.spec.family() == family);
        options.map(|option| render::option_summary(option, now_ms)).collect::<Vec<_>>().join(",")
    }

    /// Confirms a bar whose time is over and opens the next one; false when it still runs.
    fn close_bar(
        &mut self,
        id: TopicId,
        index: usize,
        channel: Channel,
        now_ms: u64,
        out: &mut Vec<Action>,
    ) -> bool {
        let Channel::Candle { length_ms, offset_ms } = channel else { return false };
        let Some(bar) = self.bars.get(&id).copied().filter(|bar| now_ms >= bar.open_ms + length_ms) else {
            return false;
        };
        let data = render::candle(&self.instruments[index].spec, &bar, true);
        self.publish(id, push(&self.topics.get(id).arg(), &data), (0, 0), now_ms, out);
        self.bars.insert(id, Bar::new(open_of(now_ms, length_ms, offset_ms), bar.close));
        true
    }

    /// Begins the bar of a candle that is subscribed for the first time.
    pub(super) fn open_bar(&mut self, id: TopicId, index: usize, channel: Channel, now_ms: u64) {
        if let Channel::Candle { length_ms, offset_ms } = channel {
            let open = open_of(now_ms, length_ms, offset_ms);
            let last = self.instruments[index].last_trade().ticks;
            self.bars.entry(id).or_insert_with(|| Bar::new(open, last));
            self.topics.schedule(id, open + length_ms);
        }
    }
}

//! One generated instrument: orders arrive, rest, are cancelled and trade; its streams follow from that.

use std::collections::VecDeque;

use crate::book::{Chains, History, Ladder, Side, TICKS};
use crate::config::Market;
use crate::frames::Writer;
use crate::stats::{Aggregate, Bar, Bars, Day, Recent, Trade};
use crate::streams::{
    AGGREGATE, ALL_BOOK_TICKER, ALL_FORCE_ORDER, ARRAYS, BOOK_TICKER, DEPTH_0MS, DEPTH_100MS, DEPTH_500MS,
    DEPTH_BASE, FORCE_ORDER, KINDS, KLINE, MARK_PRICE, MARK_PRICE_1S, MINI_TICKER, PARTIAL, TICKER, TRADE,
    partial_levels,
};
use crate::symbols::Spec;
use crate::text::{POWERS, Random};

/// Marks a stream nobody subscribed to.
pub(crate) const NO_TOPIC: u32 = u32::MAX;
/// A side is never thinned below this many levels.
const FEWEST_LEVELS: usize = 50;
/// The market turns round this close to the end of the ladder.
const MARGIN: usize = 200;
/// Closed one-minute bars kept for REST.
const KEPT_BARS: usize = 500;
const FUNDING_INTERVAL: u64 = 8 * 3600 * 1000;

/// Takes the rendered payloads of subscribed streams.
pub(crate) trait Sink {
    /// One payload of a stream, with the first and last id in it (0 for none).
    fn publish(&mut self, topic: u32, payload: &[u8], first_id: u64, last_id: u64);
}

/// What an instrument needs from the market around it for one step.
pub(crate) struct Step<'a, S> {
    pub(crate) sink: &'a mut S,
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) random: &'a mut Random,
    /// Last update id of the counter all instruments of a futures market share.
    pub(crate) counter: &'a mut u64,
    /// Epoch milliseconds.
    pub(crate) now: u64,
    pub(crate) current: bool,
    pub(crate) arrays: &'a [[u32; ARRAYS.len()]; 3],
}

impl<S: Sink> Step<'_, S> {
    fn emit(&mut self, spec: &Spec, topic: u32, ids: (u64, u64), write: impl FnOnce(&mut Writer<'_>)) {
        if topic == NO_TOPIC {
            return;
        }
        self.out.clear();
        write(&mut Writer { out: self.out, spec, now: self.now, current: self.current });
        self.sink.publish(topic, self.out, ids.0, ids.1);
    }
}

/// An instrument with its book, ids and statistics.
#[derive(Debug, Clone)]
pub(crate) struct Instrument {
    pub(crate) spec: Spec,
    pub(crate) ladder: Ladder,
    pub(crate) history: History,
    pub(crate) update_id: u64,
    pub(crate) topics: [u32; KINDS],
    pub(crate) trades: Recent<Trade>,
    pub(crate) aggregates: Recent<Aggregate>,
    pub(crate) day: Day,
    pub(crate) minutes: VecDeque<Bar>,
    pub(crate) bars: Vec<Bars>,
    pub(crate) funding_rate: i64,
    chains: Chains,
    top: [u32; 4],
    /// `u` of the last push of each partial depth stream.
    partials: [u64; 9],
    /// Trades counted at the last push of ticker, miniTicker and the arrays.
    pushed_trades: [u64; 3],
    forced_at: u64,
}

impl Instrument {
    /// A populated instrument; its book has the id `update_id`.
    pub(crate) fn new(spec: Spec, random: &mut Random, update_id: u64, now: u64) -> Self {
        let middle = TICKS / 2;
        let mut ladder = Ladder::new(middle, middle + 1, spec.usual_lots);
        for offset in 1..700 {
            for (side, tick) in [(Side::Bid, middle - offset), (Side::Ask, middle + 1 + offset)] {
                if random.percent(if offset < 60 { 65 } else { 45 }) {
                    ladder.set(side, tick, 1 + random.below(spec.usual_lots * 4));
                }
            }
        }
        let trade_id = 5_000_000_000 + u64::from(random.below(900_000_000));
        let aggregate_id = 3_000_000_000 + u64::from(random.below(900_000_000));
        let price = spec.first_tick + middle as u64;
        Instrument {
            top: ladder.top(),
            ladder,
            history: History::new(),
            update_id,
            topics: [NO_TOPIC; KINDS],
            trades: Recent::new(trade_id),
            aggregates: Recent::new(aggregate_id),
            day: Day::new(price, trade_id, now),
            minutes: VecDeque::new(),
            bars: vec![Bars::new(1)],
            funding_rate: i64::from(random.below(20_000)) - 5_000,
            chains: Chains::new(update_id),
            partials: [update_id; 9],
            pushed_trades: [0; 3],
            forced_at: 0,
            spec,
        }
    }

    /// One order or cancellation, and everything that is sent at once because of it.
    pub(crate) fn act<S: Sink>(&mut self, step: &mut Step<'_, S>) {
        match step.random.below(100) {
            0..10 => self.market_order(step),
            10..56 => self.touch(step),
            _ => self.deep(step),
        }
        if self.spec.market.is_futures() {
            self.push_depth(step, DEPTH_0MS);
        }
        let top = self.ladder.top();
        if top != self.top {
            self.top = top;
            self.push_book_ticker(step, self.topics[BOOK_TICKER]);
            if self.spec.market.is_futures() {
                self.push_book_ticker(step, step.arrays[Market::Coinm.index()][ALL_BOOK_TICKER]);
            }
        }
    }

    /// Sends the best bid and ask on a stream.
    pub(crate) fn push_book_ticker<S: Sink>(&self, step: &mut Step<'_, S>, topic: u32) {
        let id = self.update_id;
        step.emit(&self.spec, topic, (id, id), |writer| writer.book_ticker(id, self.top));
    }

    /// Whether the next move is upwards; the price is drawn back to the middle of its ladder.
    fn upwards<S>(&self, step: &mut Step<'_, S>) -> bool {
        let (bid, ask) = (self.ladder.best(Side::Bid), self.ladder.best(Side::Ask));
        if bid < MARGIN || ask > TICKS - MARGIN {
            return bid < MARGIN;
        }
        let away = TICKS as i64 - (bid + ask) as i64;
        step.random.percent((50 + away / 16).clamp(5, 95) as u32)
    }

    fn change<S>(&mut self, step: &mut Step<'_, S>, side: Side, tick: usize, lots: u32) {
        let old = self.ladder.set(side, tick, lots);
        if old == lots {
            return;
        }
        let before = self.update_id;
        self.update_id = if self.spec.market.is_futures() {
            *step.counter += 1 + u64::from(step.random.below(3));
            *step.counter
        } else {
            before + 1
        };
        self.history.push(step.now, before, side, tick, old);
        self.chains.note(side, tick, self.update_id);
    }

    /// An order or cancellation at the best price.
    fn touch<S>(&mut self, step: &mut Step<'_, S>) {
        let upwards = self.upwards(step);
        let size = 1 + step.random.below(self.spec.usual_lots);
        let (rising, falling) = if upwards { (Side::Bid, Side::Ask) } else { (Side::Ask, Side::Bid) };
        let spread = self.ladder.best(Side::Ask) - self.ladder.best(Side::Bid);
        let choice = step.random.below(100);
        if spread > 1 && choice < 50 {
            let best = self.ladder.best(rising);
            let tick = if rising == Side::Bid { best + 1 } else { best - 1 };
            return self.change(step, rising, tick, size);
        }
        if choice < 70 {
            let best = self.ladder.best(rising);
            let lots = self.ladder.lots(rising, best);
            let grown = if lots > self.spec.usual_lots * 8 { size } else { lots + size };
            return self.change(step, rising, best, grown);
        }
        let best = self.ladder.best(falling);
        let lots = self.ladder.lots(falling, best);
        if lots > size {
            self.change(step, falling, best, lots - size);
        } else if self.ladder.levels(falling) > FEWEST_LEVELS {
            self.change(step, falling, best, 0);
        }
    }

    /// An order or cancellation below the best price, most of them near it.
    fn deep<S>(&mut self, step: &mut Step<'_, S>) {
        let side = if step.random.percent(50) { Side::Bid } else { Side::Ask };
        let offset = 1 + step.random.below(60).min(step.random.below(60)) as usize;
        let best = self.ladder.best(side);
        let tick = if side == Side::Bid { best.saturating_sub(offset) } else { best + offset };
        if tick == 0 || tick >= TICKS - 1 {
            return;
        }
        let occupied = self.ladder.lots(side, tick) > 0;
        let removable = self.ladder.levels(side) > FEWEST_LEVELS;
        let removes = occupied && removable && step.random.percent(55);
        let lots = if removes { 0 } else { 1 + step.random.below(self.spec.usual_lots * 2) };
        self.change(step, side, tick, lots);
    }

    /// A market order: mostly within the best level, sometimes through up to three.
    fn market_order<S: Sink>(&mut self, step: &mut Step<'_, S>) {
        let side = if self.upwards(step) { Side::Ask } else { Side::Bid };
        let through = if step.random.percent(20) { step.random.below(3) } else { 0 };
        for _ in 0..through {
            if self.ladder.levels(side) <= FEWEST_LEVELS {
                return;
            }
            let tick = self.ladder.best(side);
            self.fill(step, side, tick, self.ladder.lots(side, tick));
        }
        let tick = self.ladder.best(side);
        let lots = self.ladder.lots(side, tick);
        if lots > 1 {
            let part = 1 + step.random.below((lots - 1).min(self.spec.usual_lots));
            self.fill(step, side, tick, part);
        }
    }

    /// Fills resting lots of one level: one or two trades, one aggregate.
    fn fill<S: Sink>(&mut self, step: &mut Step<'_, S>, side: Side, tick: usize, lots: u32) {
        let left = self.ladder.lots(side, tick) - lots;
        self.change(step, side, tick, left);
        let first = self.trades.next_id();
        let split = if lots > 1 && step.random.percent(30) { 1 + step.random.below(lots - 1) } else { 0 };
        let mut fill = Trade {
            id: first,
            price: self.spec.first_tick + tick as u64,
            lots: lots.into(),
            time: step.now,
            maker_buys: side == Side::Bid,
        };
        if split > 0 {
            self.trade(step, Trade { lots: split.into(), ..fill });
        }
        self.trade(step, Trade { id: self.trades.next_id(), lots: (lots - split).into(), ..fill });
        let id = self.aggregates.next_id();
        fill.id = id;
        let aggregate = Aggregate { id, first, last: self.trades.next_id() - 1, fill };
        self.aggregates.push(aggregate);
        step.emit(&self.spec, self.topics[AGGREGATE], (id, id), |writer| writer.aggregate(&aggregate));
        self.liquidation(step, &fill);
    }

    fn trade<S: Sink>(&mut self, step: &mut Step<'_, S>, trade: Trade) {
        self.trades.push(trade);
        let turnover = self.spec.turnover(trade.price, trade.lots);
        self.day.add(&trade, turnover);
        self.close_bars(step);
        for bars in &mut self.bars {
            bars.add(&trade, turnover);
        }
        step.emit(&self.spec, self.topics[TRADE], (trade.id, trade.id), |writer| writer.trade(&trade));
    }

    /// One fill in fifty is a liquidation; at most one per second is shown.
    fn liquidation<S: Sink>(&mut self, step: &mut Step<'_, S>, fill: &Trade) {
        let market = self.spec.market;
        if !market.is_futures() || step.now < self.forced_at + 1000 || !step.random.percent(2) {
            return;
        }
        self.forced_at = step.now;
        let all = |of: Market| step.arrays[of.index()][ALL_FORCE_ORDER];
        for topic in [self.topics[FORCE_ORDER], all(Market::Usdm), all(Market::Coinm)] {
            step.emit(&self.spec, topic, (0, 0), |writer| writer.force_order(fill));
        }
    }

    fn push_depth<S: Sink>(&mut self, step: &mut Step<'_, S>, kind: usize) {
        let speed = kind - DEPTH_0MS;
        let (last_id, topic) = (self.update_id, self.topics[kind]);
        let chain = &mut self.chains.chains[speed];
        if chain.first_id == 0 {
            return;
        }
        if topic != NO_TOPIC {
            chain.sort();
            let ids = (chain.first_id, last_id);
            step.emit(&self.spec, topic, ids, |writer| writer.depth(chain, &self.ladder, last_id));
        }
        self.chains.finish(speed, last_id);
    }

    /// Sends the changes of every diff stream that wait for their grid, so that who applied every event has
    /// the book as it is now.
    pub(crate) fn flush_depth<S: Sink>(&mut self, step: &mut Step<'_, S>) {
        for kind in [DEPTH_0MS, DEPTH_100MS, DEPTH_BASE, DEPTH_500MS] {
            self.push_depth(step, kind);
        }
    }

    fn push_partials<S: Sink>(&mut self, step: &mut Step<'_, S>, speed: usize) {
        for size in 0..3 {
            let kind = PARTIAL + size * 3 + speed;
            let previous = self.partials[kind - PARTIAL];
            let topic = self.topics[kind];
            if topic == NO_TOPIC || previous == self.update_id {
                continue;
            }
            self.partials[kind - PARTIAL] = self.update_id;
            let ids = [previous + 1, self.update_id, previous];
            step.emit(&self.spec, topic, (0, 0), |writer| {
                writer.partial(&self.ladder, partial_levels(kind), ids);
            });
        }
    }

    /// Sends and files the bars that ended.
    fn close_bars<S: Sink>(&mut self, step: &mut Step<'_, S>) {
        for bars in &mut self.bars {
            let Some(bar) = bars.ended(step.now) else { continue };
            let interval = bars.interval;
            step.emit(&self.spec, self.topics[KLINE + interval], (0, 0), |writer| {
                writer.kline(&bar, interval, true);
            });
            if interval == 1 {
                self.minutes.truncate(KEPT_BARS - 1);
                self.minutes.push_front(bar);
            }
        }
    }

    fn push_bars<S: Sink>(&mut self, step: &mut Step<'_, S>, of: impl Fn(usize) -> bool) {
        for bars in &mut self.bars {
            let topic = self.topics[KLINE + bars.interval];
            if topic == NO_TOPIC || !bars.changed || !of(bars.interval) {
                continue;
            }
            bars.changed = false;
            if let Some(bar) = bars.current {
                let interval = bars.interval;
                step.emit(&self.spec, topic, (0, 0), |writer| writer.kline(&bar, interval, false));
            }
        }
    }

    /// What is due on the instrument's own grid; `beat` counts its steps of 50 ms.
    pub(crate) fn beat<S: Sink>(&mut self, step: &mut Step<'_, S>, beat: u64) {
        let market = self.spec.market;
        let base = if market.is_futures() { 5 } else { 20 };
        if beat.is_multiple_of(2) {
            self.push_depth(step, DEPTH_100MS);
            self.push_partials(step, 0);
        }
        if beat.is_multiple_of(base) {
            self.push_depth(step, DEPTH_BASE);
            self.push_partials(step, 1);
            if market == Market::Spot {
                // Spot has no other speeds; their chains are only kept short.
                self.push_depth(step, DEPTH_0MS);
                self.push_depth(step, DEPTH_500MS);
            }
        }
        if market.is_futures() && beat.is_multiple_of(10) {
            self.push_depth(step, DEPTH_500MS);
            self.push_partials(step, 2);
        }
        self.close_bars(step);
        match market {
            Market::Spot if beat.is_multiple_of(40) => self.push_bars(step, |_| true),
            Market::Spot if beat.is_multiple_of(20) => self.push_bars(step, |interval| interval == 0),
            Market::Usdm | Market::Coinm if beat.is_multiple_of(5) => self.push_bars(step, |_| true),
            _ => {}
        }
        self.push_tickers(step, beat);
    }

    fn push_tickers<S: Sink>(&mut self, step: &mut Step<'_, S>, beat: u64) {
        let every = [20, 40, 10][self.spec.market.index()];
        if !beat.is_multiple_of(every) {
            return;
        }
        if std::mem::replace(&mut self.pushed_trades[0], self.day.trades) != self.day.trades {
            let topic = self.topics[TICKER];
            step.emit(&self.spec, topic, (0, 0), |writer| writer.ticker(&self.day, self.top));
        }
        if std::mem::replace(&mut self.pushed_trades[1], self.day.trades) != self.day.trades {
            let topic = self.topics[MINI_TICKER];
            step.emit(&self.spec, topic, (0, 0), |writer| writer.mini_ticker(&self.day));
        }
    }

    /// True once after trades happened: the array tickers hold only what changed.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.pushed_trades[2], self.day.trades) != self.day.trades
    }

    pub(crate) fn top(&self) -> [u32; 4] {
        self.top
    }

    /// Mark price, index price (units of 10^-8), funding rate (10^-8), next funding time (ms).
    pub(crate) fn mark(&self, now: u64) -> (u64, u64, i64, u64) {
        let middle = 2 * self.spec.first_tick + u64::from(self.top[0]) + u64::from(self.top[2]);
        let scaled = middle * (POWERS[8 - self.spec.price.scale.min(8) as usize] / 2);
        let next_funding = (now / FUNDING_INTERVAL + 1) * FUNDING_INTERVAL;
        (scaled, scaled - scaled / 4000, self.funding_rate, next_funding)
    }

    /// Moves the funding rate and sends the mark price where it is due.
    pub(crate) fn push_mark<S: Sink>(&mut self, step: &mut Step<'_, S>, every_third: bool) {
        let drift = i64::from(step.random.below(201)) - 100;
        self.funding_rate = (self.funding_rate + drift).clamp(-50_000, 50_000);
        let (mark, index, rate, next) = self.mark(step.now);
        step.emit(&self.spec, self.topics[MARK_PRICE_1S], (0, 0), |writer| {
            writer.mark_price(mark, index, rate, next);
        });
        if every_third {
            let topic = self.topics[MARK_PRICE];
            step.emit(&self.spec, topic, (0, 0), |writer| writer.mark_price(mark, index, rate, next));
        }
    }

    /// Follows bars of an interval from now on.
    pub(crate) fn follow_bars(&mut self, interval: usize) {
        if !self.bars.iter().any(|bars| bars.interval == interval) {
            self.bars.push(Bars::new(interval));
        }
    }
}

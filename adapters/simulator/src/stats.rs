//! Trades kept for REST, bars and 24 h statistics of one generated instrument.

use std::collections::VecDeque;

use crate::streams::INTERVALS;
use crate::symbols::Spec;

/// One fill.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trade {
    pub(crate) id: u64,
    pub(crate) price: u64,
    pub(crate) lots: u64,
    /// Epoch milliseconds.
    pub(crate) time: u64,
    /// The buyer was the maker.
    pub(crate) maker_buys: bool,
}

/// Fills of one taker order at one price.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Aggregate {
    pub(crate) id: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) fill: Trade,
}

const KEPT: u64 = 1024;

/// The last items of a sequence with contiguous ids.
#[derive(Debug, Clone)]
pub(crate) struct Recent<T> {
    items: VecDeque<T>,
    next_id: u64,
}

impl<T: Copy> Recent<T> {
    pub(crate) fn new(first_id: u64) -> Self {
        Recent { items: VecDeque::new(), next_id: first_id }
    }

    /// The id the next item gets.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    pub(crate) fn push(&mut self, item: T) {
        if self.items.len() as u64 == KEPT {
            self.items.pop_front();
        }
        self.items.push_back(item);
        self.next_id += 1;
    }

    /// Up to `limit` items from an id on, or the last ones.
    pub(crate) fn range(&self, from: Option<u64>, limit: usize) -> Vec<T> {
        let first = self.next_id - self.items.len() as u64;
        let skip = match from {
            Some(id) => id.saturating_sub(first) as usize,
            None => self.items.len().saturating_sub(limit),
        };
        self.items.iter().skip(skip).take(limit).copied().collect()
    }
}

/// One bar of trades.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bar {
    /// Epoch milliseconds, inclusive.
    pub(crate) open_time: u64,
    /// Last millisecond of the bar.
    pub(crate) close_time: u64,
    pub(crate) first_trade: u64,
    pub(crate) last_trade: u64,
    pub(crate) open: u64,
    pub(crate) close: u64,
    pub(crate) high: u64,
    pub(crate) low: u64,
    pub(crate) volume: u128,
    pub(crate) turnover: u128,
    pub(crate) taker_volume: u128,
    pub(crate) taker_turnover: u128,
    pub(crate) trades: u64,
}

impl Bar {
    fn open(trade: &Trade, interval: usize) -> Self {
        let length = INTERVALS[interval].1 * 1000;
        let open_time = trade.time / length * length;
        Bar {
            open_time,
            close_time: open_time + length - 1,
            first_trade: trade.id,
            last_trade: trade.id,
            open: trade.price,
            close: trade.price,
            high: trade.price,
            low: trade.price,
            volume: 0,
            turnover: 0,
            taker_volume: 0,
            taker_turnover: 0,
            trades: 0,
        }
    }

    fn add(&mut self, trade: &Trade, turnover: u128) {
        self.last_trade = trade.id;
        self.close = trade.price;
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
        self.volume += u128::from(trade.lots);
        self.turnover += turnover;
        self.trades += 1;
        if !trade.maker_buys {
            self.taker_volume += u128::from(trade.lots);
            self.taker_turnover += turnover;
        }
    }
}

/// The current bar of one interval.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    pub(crate) interval: usize,
    pub(crate) current: Option<Bar>,
    /// Something changed since the last push.
    pub(crate) changed: bool,
}

impl Bars {
    pub(crate) fn new(interval: usize) -> Self {
        Bars { interval, current: None, changed: false }
    }

    /// Takes the bar that ended before `now`.
    pub(crate) fn ended(&mut self, now: u64) -> Option<Bar> {
        let ended = self.current.filter(|bar| bar.close_time < now)?;
        self.current = None;
        self.changed = false;
        Some(ended)
    }

    /// Adds a fill; the caller has taken an ended bar before.
    pub(crate) fn add(&mut self, trade: &Trade, turnover: u128) {
        self.changed = true;
        let interval = self.interval;
        self.current.get_or_insert_with(|| Bar::open(trade, interval)).add(trade, turnover);
    }
}

/// Statistics since the start (a day never ends within a run).
#[derive(Debug, Clone)]
pub(crate) struct Day {
    pub(crate) open_time: u64,
    pub(crate) first_trade: u64,
    pub(crate) open: u64,
    pub(crate) high: u64,
    pub(crate) low: u64,
    pub(crate) last: u64,
    pub(crate) last_lots: u64,
    pub(crate) volume: u128,
    pub(crate) turnover: u128,
    pub(crate) trades: u64,
}

impl Day {
    pub(crate) fn new(price: u64, first_trade: u64, now: u64) -> Self {
        Day {
            open_time: now.saturating_sub(86_400_000),
            first_trade,
            open: price,
            high: price,
            low: price,
            last: price,
            last_lots: 1,
            volume: 0,
            turnover: 0,
            trades: 0,
        }
    }

    pub(crate) fn add(&mut self, trade: &Trade, turnover: u128) {
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
        self.last = trade.price;
        self.last_lots = trade.lots;
        self.volume += u128::from(trade.lots);
        self.turnover += turnover;
        self.trades += 1;
    }

    /// Volume weighted average price, in price units.
    pub(crate) fn average(&self, spec: &Spec) -> u64 {
        if self.volume == 0 || spec.contract_size > 0 {
            return self.last;
        }
        u64::try_from(self.turnover / self.volume).unwrap_or(self.last)
    }
}

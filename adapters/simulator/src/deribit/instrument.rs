//! One instrument: orders arrive, rest, are cancelled and trade.

use std::collections::VecDeque;
use std::sync::Arc;

use super::book::{Book, Chain, Side};
use super::catalogue::Spec;
use super::number::Decimal;
use super::stats::{Bar, Day};
use crate::host::TopicId;
use crate::text::Random;

/// Trades kept for REST.
const KEPT_TRADES: usize = 10_000;
/// Most price levels that one market order takes completely.
const DEEPEST_SWEEP: u32 = 2;

/// What a market order took at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fill {
    pub(super) taker_buys: bool,
    pub(super) tick: i64,
    pub(super) lots: i64,
}

/// A trade as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Print {
    pub(super) sequence: u64,
    pub(super) timestamp: u64,
    /// The JSON object.
    pub(super) text: Arc<str>,
}

/// An instrument with its book, its trades and what was told of them.
#[derive(Debug)]
pub(super) struct Instrument {
    pub(super) spec: Spec,
    pub(super) book: Book,
    pub(super) change_id: u64,
    /// Taken off the venue's counter since a maintenance.
    pub(super) id_offset: u64,
    /// Time of the last change of the book, epoch milliseconds.
    pub(super) changed_ms: u64,
    pub(super) created_ms: u64,
    /// False once expired.
    pub(super) listed: bool,
    /// `trade_seq` of the last trade.
    pub(super) sequence: u64,
    pub(super) last_price: Option<i64>,
    pub(super) tick_direction: u8,
    pub(super) prints: VecDeque<Print>,
    pub(super) day: Day,
    pub(super) open_lots: i64,
    /// What the clients of the book channels hold, by interval; only while subscribed.
    pub(super) chains: [Option<Box<Chain>>; 3],
    /// Current bars of the subscribed candle channels, by resolution.
    pub(super) bars: Vec<(usize, Bar)>,
    /// The book changed since its id last moved on.
    pub(super) dirty: bool,
    /// Subscribed topics.
    pub(super) watched: Vec<TopicId>,
    /// Best bid and ask as last told on the quote channel.
    pub(super) told_top: [Option<(i64, i64)>; 2],
}

/// How lively a market is.
struct Temper {
    /// Levels on each side at the start, and the percentage of prices that have one.
    reach: i64,
    filled: u32,
    /// Usual lots of an order.
    lots: u32,
    /// A side is never thinned below that many levels.
    fewest: usize,
    /// How far the price goes from its middle, in ticks.
    range: i64,
}

fn temper(spec: &Spec) -> Temper {
    match spec.market {
        "option" => Temper { reach: 14, filled: 50, lots: 120, fewest: 1, range: (spec.middle / 10).max(2) },
        "combo" => Temper { reach: 10, filled: 60, lots: 60, fewest: 1, range: (spec.middle / 10).max(2) },
        _ => Temper {
            reach: 150,
            filled: 60,
            lots: 2500,
            fewest: 20,
            range: (spec.middle / 50).clamp(20, 400),
        },
    }
}

impl Instrument {
    /// An instrument with a populated book. Every eighth option is not quoted at all.
    pub(super) fn new(spec: Spec, random: &mut Random, now_ms: u64) -> Instrument {
        let temper = temper(&spec);
        let mut book = Book::default();
        if !spec.is_option() || spec.id % 8 != 7 {
            for offset in 0..temper.reach {
                for side in Side::BOTH {
                    let tick = spec.middle + side.away() * offset + i64::from(side == Side::Ask);
                    if tick > 0 && (offset == 0 || random.percent(temper.filled)) {
                        book.set(side, tick, 1 + i64::from(random.below(temper.lots * 4)));
                    }
                }
            }
        }
        Instrument {
            open_lots: i64::from(random.below(temper.lots * 2000)),
            sequence: 1 + u64::from(random.below(250_000_000)),
            created_ms: now_ms.saturating_sub(u64::from(random.below(1_000_000_000))),
            changed_ms: now_ms.saturating_sub(u64::from(random.below(5000))),
            spec,
            book,
            change_id: 0,
            id_offset: 0,
            listed: true,
            last_price: None,
            tick_direction: 0,
            prints: VecDeque::new(),
            day: Day::default(),
            chains: [None, None, None],
            bars: Vec::new(),
            dirty: false,
            watched: Vec::new(),
            told_top: [None, None],
        }
    }

    /// An expired instrument does nothing, and nobody makes a market in an empty book.
    pub(super) fn is_alive(&self) -> bool {
        self.listed && Side::BOTH.iter().any(|&side| self.book.count(side) > 0)
    }

    /// Best price in ticks on each side, bid first.
    pub(super) fn top(&self) -> [Option<(i64, i64)>; 2] {
        Side::BOTH.map(|side| self.book.best(side))
    }

    /// Twice the middle of the market, in ticks.
    pub(super) fn doubled_mid(&self) -> i64 {
        match self.top() {
            [Some((bid, _)), Some((ask, _))] => bid + ask,
            [Some((one, _)), None] | [None, Some((one, _))] => one * 2,
            [None, None] => self.spec.middle * 2,
        }
    }

    pub(super) fn price(&self, tick: i64) -> Decimal {
        self.spec.tick.times(tick)
    }

    pub(super) fn amount(&self, lots: i64) -> Decimal {
        self.spec.lot.times(lots)
    }

    /// Sets a level; every channel notes it.
    pub(super) fn set(&mut self, side: Side, tick: i64, lots: i64) {
        let old = self.book.set(side, tick, lots);
        if old != lots {
            self.dirty = true;
            for chain in self.chains.iter_mut().flatten() {
                chain.note(side, tick, old);
            }
        }
    }

    /// One order or cancellation; gives what traded. The caller moves the book's id on.
    pub(super) fn act(&mut self, random: &mut Random) -> Vec<Fill> {
        let temper = temper(&self.spec);
        match random.below(100) {
            0..10 => return self.market_order(random, &temper),
            10..50 => self.touch(random, &temper),
            _ => self.deep(random, &temper),
        }
        Vec::new()
    }

    /// Whether the next move is upwards; the price is drawn back to its middle.
    fn upwards(&self, random: &mut Random, temper: &Temper) -> bool {
        let above = self.doubled_mid() / 2 - self.spec.middle;
        random.percent((50 - above * 45 / temper.range).clamp(5, 95) as u32)
    }

    /// An order or cancellation at the best price, or a better one within the spread.
    fn touch(&mut self, random: &mut Random, temper: &Temper) {
        let rising = if self.upwards(random, temper) { Side::Bid } else { Side::Ask };
        let size = 1 + i64::from(random.below(temper.lots));
        let [bid, ask] = self.top();
        let spread = bid.zip(ask).map_or(1, |((bid, _), (ask, _))| ask - bid);
        let grows = random.percent(60);
        let side = if grows { rising } else { rising.opposite() };
        let Some((tick, lots)) = self.book.best(side) else { return self.deep(random, temper) };
        if !grows && lots > size {
            self.set(side, tick, lots - size);
        } else if !grows && self.book.count(side) > temper.fewest {
            self.set(side, tick, 0);
        } else if spread > 1 && random.percent(60) {
            self.set(side, tick - side.away(), size);
        } else {
            self.set(side, tick, if lots > i64::from(temper.lots) * 8 { size } else { lots + size });
        }
    }

    /// An order or cancellation below the best price, most of them near it.
    fn deep(&mut self, random: &mut Random, temper: &Temper) {
        let side = Side::BOTH[random.below(2) as usize];
        let [own, other] = [side, side.opposite()].map(|side| self.book.best(side));
        let limit = other.map_or(self.spec.middle, |(tick, _)| tick);
        let from = own.map_or(limit, |(tick, _)| tick);
        let reach = temper.reach.min(60) as u32;
        let offset = 1 + i64::from(random.below(reach).min(random.below(reach)));
        let tick = from + side.away() * offset;
        if tick <= 0 {
            return;
        }
        let occupied = self.book.lots(side, tick) > 0;
        let removes = occupied && self.book.count(side) > temper.fewest && random.percent(55);
        let lots = if removes { 0 } else { 1 + i64::from(random.below(temper.lots * 2)) };
        self.set(side, tick, lots);
    }

    /// A market order: mostly within the best level, sometimes through up to three.
    fn market_order(&mut self, random: &mut Random, temper: &Temper) -> Vec<Fill> {
        let side = if self.upwards(random, temper) { Side::Ask } else { Side::Bid };
        let taker_buys = side == Side::Ask;
        let through = if random.percent(20) { random.below(DEEPEST_SWEEP + 1) } else { 0 };
        let mut fills = Vec::new();
        for _ in 0..through {
            match self.book.best(side) {
                Some((tick, lots)) if self.book.count(side) > temper.fewest => {
                    self.set(side, tick, 0);
                    fills.push(Fill { taker_buys, tick, lots });
                }
                _ => break,
            }
        }
        if let Some((tick, lots)) = self.book.best(side)
            && lots > 1
        {
            let part = 1 + i64::from(random.below((lots - 1).min(i64::from(temper.lots)) as u32));
            self.set(side, tick, lots - part);
            fills.push(Fill { taker_buys, tick, lots: part });
        }
        fills
    }

    /// Counts a trade: its number, its direction, the day and the candles.
    pub(super) fn count(&mut self, fill: &Fill, index: Decimal, now_ms: u64) {
        self.sequence += 1;
        self.tick_direction = match self.last_price {
            Some(last) if fill.tick > last => 0,
            Some(last) if fill.tick < last => 2,
            _ => self.tick_direction | 1,
        };
        self.last_price = Some(fill.tick);
        self.open_lots =
            (self.open_lots + if self.sequence.is_multiple_of(2) { fill.lots } else { -fill.lots }).max(0);
        let turnover = self.spec.turnover(fill, index);
        self.day.add(fill.tick, turnover);
        for (resolution, bar) in &mut self.bars {
            bar.add(*resolution, fill.tick, turnover, now_ms);
        }
    }

    pub(super) fn keep(&mut self, print: Print) {
        if self.prints.len() == KEPT_TRADES {
            self.prints.pop_front();
        }
        self.prints.push_back(print);
    }
}

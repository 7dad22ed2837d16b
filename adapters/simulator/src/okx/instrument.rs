//! One generated instrument: orders arrive, rest, are cancelled and trade.

use std::collections::VecDeque;

use super::book::{Ladder, Rows, Side};
use super::catalogue::{Market, Spec};
use crate::host::TopicId;
use crate::text::Random;

/// A side is never thinned below this many levels.
const FEWEST_LEVELS: usize = 8;
/// The market turns round this close to the end of the ladder.
const MARGIN: usize = 12;
/// Trades kept for REST.
const KEPT_TRADES: usize = 200;
/// Book messages that can be taken back for a stale snapshot.
pub(crate) const KEPT_UPDATES: usize = 32;

/// One aggregated trade: the fills of one order at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trade {
    /// Id of the last fill; the others are right before it.
    pub(crate) id: u64,
    pub(crate) fills: u64,
    /// Price in ticks of the instrument.
    pub(crate) ticks: u64,
    pub(crate) lots: u64,
    /// The taker bought.
    pub(crate) buy: bool,
    pub(crate) time_ms: u64,
    pub(crate) sequence: u64,
}

impl Trade {
    /// The single fills, oldest first: id and lots.
    pub(crate) fn each_fill(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> + use<> {
        let (first, fills, each) = (self.id + 1 - self.fills, self.fills, self.lots / self.fills);
        let rest = self.lots % fills;
        (0..fills).map(move |fill| (first + fill, each + if fill == 0 { rest } else { 0 }))
    }
}

/// What the clients of `books` were told last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    /// `seqId` of the last message.
    pub(crate) last: u64,
    /// The last updates and the `seqId` before each, the latest last.
    pub(crate) past: VecDeque<(u64, Rows)>,
    /// The next checksum is a lie.
    pub(crate) lie: bool,
    pub(crate) crossing: Option<Crossing>,
}

/// A bid above the best ask that is a lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crossing {
    /// Tick of the ladder.
    pub(crate) tick: usize,
    pub(crate) lots: u64,
    /// Updates still to come with it.
    pub(crate) left: u64,
    /// Clients were told.
    pub(crate) begun: bool,
}

/// What one act changed.
#[derive(Debug, Default)]
pub(crate) struct Acted {
    pub(crate) trades: Vec<Trade>,
    pub(crate) top: bool,
}

/// Prices of a day in ticks, and what was traded in lots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Day {
    pub(crate) open: u64,
    pub(crate) high: u64,
    pub(crate) low: u64,
    pub(crate) volume: u64,
    /// Sum of price in ticks times lots.
    pub(crate) notional: u128,
}

/// An instrument with its book and what was traded.
#[derive(Debug)]
pub(crate) struct Instrument {
    pub(crate) spec: Spec,
    /// Number in its market, from which everything about it follows.
    pub(crate) number: usize,
    pub(crate) ladder: Ladder,
    /// `seqId` of the last change.
    pub(crate) sequence: u64,
    pub(crate) chain: Chain,
    /// Its topics in the order of [`CHANNELS`](super::channel::CHANNELS).
    pub(crate) topics: Vec<Option<TopicId>>,
    pub(crate) trades: VecDeque<Trade>,
    pub(crate) day: Day,
    pub(crate) open_interest: u64,
    /// Subscriptions that want it to move.
    pub(crate) interest: usize,
    pub(crate) expired: bool,
    pub(crate) liquidated_ms: u64,
}

impl Instrument {
    pub(crate) fn new(spec: Spec, number: usize, random: &mut Random, now_ms: u64) -> Instrument {
        let mut ladder = Ladder::new(2 * spec.reach, u64::from(spec.usual_lots));
        let middle = spec.reach;
        let filled = if spec.market == Market::Option { 30 } else { 72 };
        for offset in 1..middle - 1 {
            for (side, tick) in [(Side::Bid, middle - offset), (Side::Ask, middle + 1 + offset)] {
                if random.percent(filled) || offset <= FEWEST_LEVELS {
                    ladder.set(side, tick, lots(&spec, random));
                }
            }
        }
        let sequence = 20_000_000_000 + u64::from(random.below(1_000_000_000));
        let trade = Trade {
            id: 100_000_000 + u64::from(random.below(800_000_000)),
            fills: 1,
            ticks: spec.middle,
            lots: lots(&spec, random),
            buy: random.percent(50),
            time_ms: now_ms.saturating_sub(60_000),
            sequence,
        };
        Instrument {
            number,
            ladder,
            sequence,
            chain: Chain::default(),
            topics: Vec::new(),
            day: Day {
                open: spec.middle,
                high: spec.middle,
                low: spec.middle,
                volume: trade.lots,
                notional: u128::from(trade.ticks) * u128::from(trade.lots),
            },
            open_interest: u64::from(spec.usual_lots) * 5_000,
            trades: VecDeque::from([trade]),
            interest: 0,
            expired: false,
            liquidated_ms: 0,
            spec,
        }
    }

    /// The price of a ladder tick, in ticks of the instrument.
    pub(crate) fn ticks(&self, ladder_tick: usize) -> u64 {
        self.spec.middle - self.spec.reach as u64 + ladder_tick as u64
    }

    pub(crate) fn price(&self, ladder_tick: usize) -> String {
        self.spec.price(self.ticks(ladder_tick))
    }

    /// The last trade; there is always one.
    pub(crate) fn last_trade(&self) -> Trade {
        self.trades.back().copied().unwrap_or(Trade {
            id: 0,
            fills: 1,
            ticks: self.spec.middle,
            lots: 0,
            buy: true,
            time_ms: 0,
            sequence: 0,
        })
    }

    /// The middle of the best prices in ticks, rounded down.
    pub(crate) fn middle(&self) -> u64 {
        self.ticks((self.ladder.best(Side::Bid) + self.ladder.best(Side::Ask)) / 2)
    }

    /// One order or cancellation.
    pub(crate) fn act(&mut self, random: &mut Random, now_ms: u64) -> Acted {
        let before = self.ladder.top();
        let mut acted = Acted::default();
        if random.percent(15) {
            acted.trades = self.market_order(random, now_ms);
        } else {
            self.limit_order(random);
        }
        self.sequence += 1 + u64::from(random.below(4));
        acted.top = self.ladder.top() != before;
        acted
    }

    /// The side on which a removal keeps the market inside its ladder, or a random one.
    fn removable_side(&self, random: &mut Random) -> Side {
        let room = MARGIN + FEWEST_LEVELS;
        let highest = self.ladder.best(Side::Ask) + room > self.ladder.ticks();
        let lowest = self.ladder.best(Side::Bid) < room;
        if !lowest && (highest || random.percent(50)) { Side::Bid } else { Side::Ask }
    }

    /// Takes one to three levels, wholly or in part.
    fn market_order(&mut self, random: &mut Random, now_ms: u64) -> Vec<Trade> {
        let side = self.removable_side(random);
        let mut trades = Vec::new();
        for _ in 0..=random.below(3) {
            let tick = self.ladder.best(side);
            let there = self.ladder.lots(side, tick);
            let whole = random.percent(40) && self.ladder.levels(side) > FEWEST_LEVELS;
            let taken = if whole { there } else { (there / 3).max(1).min(there) };
            if taken == there && !whole {
                break;
            }
            self.ladder.set(side, tick, there - taken);
            let last = self.last_trade();
            let fills = (1 + u64::from(random.below(4))).min(taken);
            trades.push(Trade {
                id: last.id + fills,
                fills,
                ticks: self.ticks(tick),
                lots: taken,
                buy: side == Side::Ask,
                time_ms: now_ms,
                sequence: self.sequence + 1,
            });
            self.note(trades[trades.len() - 1]);
            if !whole {
                break;
            }
        }
        trades
    }

    fn note(&mut self, trade: Trade) {
        self.day.high = self.day.high.max(trade.ticks);
        self.day.low = self.day.low.min(trade.ticks);
        self.day.volume = self.day.volume.saturating_add(trade.lots);
        self.day.notional += u128::from(trade.ticks) * u128::from(trade.lots);
        self.open_interest = if trade.buy {
            self.open_interest.saturating_add(trade.lots)
        } else {
            self.open_interest.saturating_sub(trade.lots).max(1)
        };
        self.trades.push_back(trade);
        if self.trades.len() > KEPT_TRADES {
            self.trades.pop_front();
        }
    }

    /// Adds, changes or removes a level, mostly near the best prices.
    fn limit_order(&mut self, random: &mut Random) {
        let removal = random.percent(35);
        let side = if removal { self.removable_side(random) } else { self.removable_side(random).opposite() };
        let near = if random.percent(75) { 10 } else { self.spec.reach as u32 };
        let distance = random.below(near) as usize;
        let best = self.ladder.best(side);
        if removal {
            let found = self.ladder.walk(side).nth(distance.min(self.ladder.levels(side) / 2));
            if let (Some((tick, _)), true) = (found, self.ladder.levels(side) > FEWEST_LEVELS) {
                self.ladder.set(side, tick, 0);
            }
            return;
        }
        let lots = lots(&self.spec, random);
        let other = self.ladder.best(side.opposite());
        // One tick better than the best where there is room, else at or behind it.
        let tick = match side {
            Side::Bid if distance == 0 && best + 1 < other => best + 1,
            Side::Ask if distance == 0 && best > other + 1 => best - 1,
            Side::Bid => best.saturating_sub(distance),
            Side::Ask => best + distance,
        };
        if tick < self.ladder.ticks() {
            self.ladder.set(side, tick, lots);
        }
    }
}

/// A usual quantity.
fn lots(spec: &Spec, random: &mut Random) -> u64 {
    1 + u64::from(random.below(spec.usual_lots.saturating_mul(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_market_stays_whole() {
        let mut random = Random::new(3);
        for market in Market::ALL {
            let spec = Spec::new(market, 0, 1_767_139_200_000);
            let mut instrument = Instrument::new(spec, 0, &mut random, 1_767_139_200_000);
            let mut next_id = instrument.last_trade().id + 1;
            for _ in 0..50_000 {
                for trade in instrument.act(&mut random, 1_767_139_200_000).trades {
                    let fills: Vec<(u64, u64)> = trade.each_fill().collect();
                    assert_eq!(fills.first().map(|fill| fill.0), Some(next_id));
                    assert_eq!(fills.iter().map(|fill| fill.1).sum::<u64>(), trade.lots);
                    assert!(fills.iter().all(|fill| fill.1 > 0));
                    next_id = trade.id + 1;
                }
                let [bid, ask] = instrument.ladder.top();
                assert!(bid.0 < ask.0 && bid.1 > 0 && ask.1 > 0, "{market:?}: {bid:?} {ask:?}");
                assert!(Side::BOTH.iter().all(|&side| instrument.ladder.levels(side) >= FEWEST_LEVELS));
            }
        }
    }
}

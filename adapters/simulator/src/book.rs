//! The order book of one generated instrument: a ladder of price ticks with the changes made to it.

/// A side of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Bid,
    Ask,
}

/// Ticks of the ladder. Bids and asks together never hold more levels than a REST snapshot of limit 1000
/// shows, so a recorder that starts from one can know the whole book.
pub(crate) const TICKS: usize = 1900;

/// A price ladder: one quantity a tick; ticks up to `bid` are bids, from `ask` on asks.
#[derive(Debug, Clone)]
pub(crate) struct Ladder {
    quantity: Vec<u32>,
    bid: usize,
    ask: usize,
    levels: [usize; 2],
}

impl Ladder {
    /// A ladder with one level on each side.
    pub(crate) fn new(bid: usize, ask: usize, lots: u32) -> Self {
        let mut quantity = vec![0; TICKS];
        quantity[bid] = lots;
        quantity[ask] = lots;
        Ladder { quantity, bid, ask, levels: [1, 1] }
    }

    pub(crate) fn best(&self, side: Side) -> usize {
        match side {
            Side::Bid => self.bid,
            Side::Ask => self.ask,
        }
    }

    pub(crate) fn levels(&self, side: Side) -> usize {
        self.levels[side as usize]
    }

    /// Lots at a tick as seen from one side: zero when the tick belongs to the other.
    pub(crate) fn lots(&self, side: Side, tick: usize) -> u32 {
        let own = match side {
            Side::Bid => tick <= self.bid,
            Side::Ask => tick >= self.ask,
        };
        if own { self.quantity[tick] } else { 0 }
    }

    /// Best price ticks and their lots: bid, bid lots, ask, ask lots.
    pub(crate) fn top(&self) -> [u32; 4] {
        [self.bid as u32, self.quantity[self.bid], self.ask as u32, self.quantity[self.ask]]
    }

    /// Sets a level; returns the lots it had. The caller keeps the sides apart and one level on each.
    pub(crate) fn set(&mut self, side: Side, tick: usize, lots: u32) -> u32 {
        let old = std::mem::replace(&mut self.quantity[tick], lots);
        match (old, lots) {
            (0, 0) => {}
            (0, _) => self.levels[side as usize] += 1,
            (_, 0) => self.levels[side as usize] -= 1,
            _ => {}
        }
        match side {
            Side::Bid if lots > 0 => self.bid = self.bid.max(tick),
            Side::Ask if lots > 0 => self.ask = self.ask.min(tick),
            Side::Bid if tick == self.bid => {
                self.bid = self.quantity[..tick].iter().rposition(|&lots| lots > 0).unwrap_or(0);
            }
            Side::Ask if tick == self.ask => {
                let next = self.quantity[tick + 1..].iter().position(|&lots| lots > 0);
                self.ask = next.map_or(TICKS - 1, |offset| tick + 1 + offset);
            }
            _ => {}
        }
        old
    }

    /// The levels of a side, best first: tick and lots.
    pub(crate) fn walk(&self, side: Side) -> impl Iterator<Item = (usize, u32)> + '_ {
        let best = self.best(side);
        let count = match side {
            Side::Bid => best + 1,
            Side::Ask => TICKS - best,
        };
        (0..count)
            .map(move |offset| match side {
                Side::Bid => best - offset,
                Side::Ask => best + offset,
            })
            .map(|tick| (tick, self.quantity[tick]))
            .filter(|(_, lots)| *lots > 0)
    }
}

/// One change of the book that can be taken back.
#[derive(Debug, Clone, Copy)]
struct Change {
    time: u64,
    id_before: u64,
    tick: u16,
    bid: bool,
    old: u32,
}

const HISTORY: usize = 256;

/// The last changes of a book, to show it as it was a moment ago.
#[derive(Debug, Clone)]
pub(crate) struct History {
    changes: Vec<Change>,
    next: usize,
}

impl History {
    pub(crate) fn new() -> Self {
        History { changes: Vec::with_capacity(HISTORY), next: 0 }
    }

    pub(crate) fn push(&mut self, time: u64, id_before: u64, side: Side, tick: usize, old: u32) {
        let change = Change { time, id_before, tick: tick as u16, bid: side == Side::Bid, old };
        if self.changes.len() < HISTORY {
            self.changes.push(change);
        } else {
            self.changes[self.next] = change;
        }
        self.next = (self.next + 1) % HISTORY;
    }

    /// Takes changes back that happened at or after `since`; returns the book's id then.
    pub(crate) fn rewind(&self, ladder: &mut Ladder, mut id: u64, since: u64) -> u64 {
        let count = self.changes.len();
        for back in 1..=count {
            let change = self.changes[(self.next + HISTORY - back) % HISTORY];
            if change.time < since {
                break;
            }
            let side = if change.bid { Side::Bid } else { Side::Ask };
            ladder.set(side, change.tick as usize, change.old);
            id = change.id_before;
        }
        id
    }
}

/// Levels changed since the last event of one depth stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    dirty: Vec<u16>,
    /// First update id since the last event; 0 when nothing changed.
    pub(crate) first_id: u64,
    /// `u` of the last event.
    pub(crate) last_id: u64,
}

impl Chain {
    /// Forgets the changes after an event (or in place of one nobody subscribed).
    pub(crate) fn finish(&mut self, marks: &mut [u8], bit: u8, last_id: u64) {
        for &entry in &self.dirty {
            marks[entry as usize] &= !(1 << bit);
        }
        self.dirty.clear();
        self.first_id = 0;
        self.last_id = last_id;
    }

    /// Sorts the changes: bids from the best down, asks from the best up.
    pub(crate) fn sort(&mut self) {
        self.dirty.sort_unstable();
    }

    pub(crate) fn bids(&self) -> impl Iterator<Item = usize> + '_ {
        let split = self.dirty.partition_point(|&entry| (entry as usize) < TICKS);
        self.dirty[..split].iter().rev().map(|&entry| entry as usize)
    }

    pub(crate) fn asks(&self) -> impl Iterator<Item = usize> + '_ {
        let split = self.dirty.partition_point(|&entry| (entry as usize) < TICKS);
        self.dirty[split..].iter().map(|&entry| entry as usize - TICKS)
    }
}

/// The depth streams of one instrument, one chain a speed, over the same changes.
#[derive(Debug, Clone)]
pub(crate) struct Chains {
    pub(crate) chains: [Chain; 4],
    pub(crate) marks: Vec<u8>,
}

impl Chains {
    pub(crate) fn new(last_id: u64) -> Self {
        let chain = || Chain { last_id, ..Chain::default() };
        Chains { chains: [chain(), chain(), chain(), chain()], marks: vec![0; TICKS * 2] }
    }

    /// Notes a change for every speed.
    pub(crate) fn note(&mut self, side: Side, tick: usize, id: u64) {
        let entry = tick + if side == Side::Ask { TICKS } else { 0 };
        let mark = self.marks[entry];
        self.marks[entry] = 0b1111;
        for (bit, chain) in self.chains.iter_mut().enumerate() {
            if chain.first_id == 0 {
                chain.first_id = id;
            }
            if mark & (1 << bit) == 0 {
                chain.dirty.push(entry as u16);
            }
        }
    }

    pub(crate) fn finish(&mut self, speed: usize, last_id: u64) {
        self.chains[speed].finish(&mut self.marks, speed as u8, last_id);
    }
}

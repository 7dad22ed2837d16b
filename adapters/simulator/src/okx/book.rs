//! The book of one instrument: a ladder of price ticks, and the window of it that clients hold.

/// Levels a side that clients of `books` hold.
pub(crate) const WINDOW: usize = 400;

/// A side of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Bid,
    Ask,
}

impl Side {
    pub(crate) const BOTH: [Side; 2] = [Side::Bid, Side::Ask];

    pub(crate) fn opposite(self) -> Side {
        match self {
            Side::Bid => Side::Ask,
            Side::Ask => Side::Bid,
        }
    }

    /// The sign of the side's lots in a ladder.
    fn sign(self) -> i64 {
        match self {
            Side::Bid => 1,
            Side::Ask => -1,
        }
    }
}

/// A level: tick on the ladder and lots; no lots remove it.
pub(crate) type Row = (usize, u64);

/// Rows of an update: bids from the best down, asks from the best up.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) bids: Vec<Row>,
    pub(crate) asks: Vec<Row>,
    /// What clients held before at the ticks that changed, to take the update back.
    before: Vec<(usize, i64)>,
}

/// Lots by tick: above zero for bids, below for asks.
type Lots = Vec<i64>;

/// The levels of a side of a ladder, best first.
fn walk(lots: &Lots, side: Side) -> impl Iterator<Item = Row> + '_ {
    let count = lots.len();
    let tick = move |step: usize| if side == Side::Bid { count - 1 - step } else { step };
    let own = (0..count).map(tick).map(move |tick| (tick, lots[tick] * side.sign()));
    own.filter(|(_, lots)| *lots > 0).map(|(tick, lots)| (tick, lots.unsigned_abs()))
}

/// A price ladder.
#[derive(Debug, Clone)]
pub(crate) struct Ladder {
    lots: Lots,
    best: [usize; 2],
    levels: [usize; 2],
    /// What clients hold; empty while nobody subscribes.
    sent: Lots,
    /// Outermost tick of each side of the window clients hold.
    edge: [usize; 2],
    dirty: Vec<usize>,
    marked: Vec<bool>,
}

impl Ladder {
    /// A ladder of so many ticks with one level on each side of its middle.
    pub(crate) fn new(ticks: usize, lots: u64) -> Ladder {
        let middle = ticks / 2;
        let mut ladder = Ladder {
            lots: vec![0; ticks],
            best: [middle, middle + 1],
            levels: [0, 0],
            sent: Vec::new(),
            edge: [0, ticks],
            dirty: Vec::new(),
            marked: Vec::new(),
        };
        ladder.set(Side::Bid, middle, lots);
        ladder.set(Side::Ask, middle + 1, lots);
        ladder
    }

    pub(crate) fn ticks(&self) -> usize {
        self.lots.len()
    }

    pub(crate) fn best(&self, side: Side) -> usize {
        self.best[side as usize]
    }

    pub(crate) fn levels(&self, side: Side) -> usize {
        self.levels[side as usize]
    }

    /// Lots at a tick as seen from one side.
    pub(crate) fn lots(&self, side: Side, tick: usize) -> u64 {
        self.lots.get(tick).map_or(0, |lots| (lots * side.sign()).max(0).unsigned_abs())
    }

    /// Best tick and its lots of both sides.
    pub(crate) fn top(&self) -> [Row; 2] {
        Side::BOTH.map(|side| (self.best(side), self.lots(side, self.best(side))))
    }

    /// Sets a level. The caller keeps the sides apart and one level on each.
    pub(crate) fn set(&mut self, side: Side, tick: usize, lots: u64) {
        let Some(level) = self.lots.get_mut(tick) else { return };
        let old = std::mem::replace(level, lots as i64 * side.sign());
        self.mark(tick);
        match (old, lots) {
            (0, 0) => {}
            (0, _) => self.levels[side as usize] += 1,
            (_, 0) => self.levels[side as usize] -= 1,
            _ => {}
        }
        let best = &mut self.best[side as usize];
        match side {
            Side::Bid if lots > 0 => *best = tick.max(*best),
            Side::Ask if lots > 0 => *best = tick.min(*best),
            Side::Bid if tick == *best => {
                *best = self.lots[..tick].iter().rposition(|&lots| lots > 0).unwrap_or(0);
            }
            Side::Ask if tick == *best => {
                let next = self.lots[tick..].iter().position(|&lots| lots < 0);
                *best = next.map_or(tick, |offset| tick + offset);
            }
            _ => {}
        }
    }

    fn mark(&mut self, tick: usize) {
        if let Some(marked) = self.marked.get_mut(tick)
            && !std::mem::replace(marked, true)
        {
            self.dirty.push(tick);
        }
    }

    /// The levels of a side, best first.
    pub(crate) fn walk(&self, side: Side) -> impl Iterator<Item = Row> + '_ {
        let best = self.best(side);
        let count = if side == Side::Bid { best + 1 } else { self.ticks() - best };
        let tick = move |step: usize| if side == Side::Bid { best - step } else { best + step };
        (0..count).map(tick).map(move |tick| (tick, self.lots(side, tick))).filter(|(_, lots)| *lots > 0)
    }

    /// The levels of a side that clients hold, best first.
    pub(crate) fn held(&self, side: Side) -> impl Iterator<Item = Row> + '_ {
        walk(&self.sent, side)
    }

    /// Whether there are clients.
    pub(crate) fn tracked(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Begins to remember what clients hold: the window as it is now.
    pub(crate) fn track(&mut self) {
        self.sent = vec![0; self.ticks()];
        self.marked = vec![false; self.ticks()];
        for side in Side::BOTH {
            self.edge[side as usize] = self.window_edge(side);
            let window: Vec<Row> = self.walk(side).take(WINDOW).collect();
            for (tick, lots) in window {
                self.sent[tick] = lots as i64 * side.sign();
            }
        }
    }

    /// Forgets what clients hold.
    pub(crate) fn untrack(&mut self) {
        self.sent = Vec::new();
        self.marked = Vec::new();
        self.dirty.clear();
    }

    /// The outermost tick in the window; the end of the ladder when the window is not full.
    fn window_edge(&self, side: Side) -> usize {
        let end = if side == Side::Bid { 0 } else { self.ticks() };
        if self.levels(side) < WINDOW {
            return end;
        }
        self.walk(side).nth(WINDOW - 1).map_or(end, |(tick, _)| tick)
    }

    /// What clients must change to hold the window as it is now; they hold it from then on.
    pub(crate) fn changes(&mut self) -> Rows {
        let mut rows = Rows::default();
        if !self.tracked() {
            return rows;
        }
        for side in Side::BOTH {
            let edge = self.window_edge(side);
            let old = std::mem::replace(&mut self.edge[side as usize], edge);
            // Levels between the two edges left the window or came into it.
            for tick in old.min(edge)..=old.max(edge).min(self.ticks() - 1) {
                self.mark(tick);
            }
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        for &tick in &dirty {
            self.marked[tick] = false;
            self.change(tick, &mut rows);
        }
        dirty.clear();
        self.dirty = dirty;
        rows.bids.reverse();
        rows
    }

    fn change(&mut self, tick: usize, rows: &mut Rows) {
        let now = match self.lots[tick] {
            lots if lots > 0 && tick >= self.edge[0] => lots,
            lots if lots < 0 && tick <= self.edge[1] => lots,
            _ => 0,
        };
        let before = std::mem::replace(&mut self.sent[tick], now);
        if before == now {
            return;
        }
        rows.before.push((tick, before));
        if before > 0 || now > 0 {
            rows.bids.push((tick, now.max(0).unsigned_abs()));
        }
        if before < 0 || now < 0 {
            rows.asks.push((tick, now.min(0).unsigned_abs()));
        }
    }

    /// What clients held before some updates, the latest first: bids and asks, best first.
    pub(crate) fn held_before<'a>(&self, updates: impl Iterator<Item = &'a Rows>) -> [Vec<Row>; 2] {
        let mut sent = self.sent.clone();
        for rows in updates {
            for &(tick, before) in &rows.before {
                sent[tick] = before;
            }
        }
        Side::BOTH.map(|side| walk(&sent, side).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A client: levels by tick.
    fn apply(client: &mut [BTreeMap<usize, u64>; 2], rows: &Rows) {
        for (side, rows) in client.iter_mut().zip([&rows.bids, &rows.asks]) {
            for &(tick, lots) in rows {
                if lots == 0 {
                    assert!(side.remove(&tick).is_some(), "only levels that are held are removed");
                } else {
                    side.insert(tick, lots);
                }
            }
        }
    }

    fn window(ladder: &Ladder) -> [BTreeMap<usize, u64>; 2] {
        Side::BOTH.map(|side| ladder.walk(side).take(WINDOW).collect())
    }

    fn full(ticks: usize) -> Ladder {
        let mut ladder = Ladder::new(ticks, 5);
        for offset in 1..ticks / 2 - 1 {
            ladder.set(Side::Bid, ticks / 2 - offset, 3);
            ladder.set(Side::Ask, ticks / 2 + 1 + offset, 3);
        }
        ladder
    }

    proptest! {
        #[test]
        fn clients_hold_the_window(changes in prop::collection::vec((any::<bool>(), 0..1100_usize, 0..3_u64), 1..300)) {
            let mut ladder = full(1100);
            ladder.track();
            let mut client = window(&ladder);
            let mut past = Vec::new();
            for chunk in changes.chunks(7) {
                past.push((client.clone(), Rows::default()));
                for &(bid, tick, lots) in chunk {
                    let side = if bid { Side::Bid } else { Side::Ask };
                    let apart = if bid { tick < ladder.best(Side::Ask) } else { tick > ladder.best(Side::Bid) };
                    if apart && (lots > 0 || ladder.levels(side) > 1) {
                        ladder.set(side, tick, lots);
                    }
                }
                let rows = ladder.changes();
                prop_assert!(rows.bids.is_sorted_by(|one, next| one.0 > next.0));
                prop_assert!(rows.asks.is_sorted_by(|one, next| one.0 < next.0));
                apply(&mut client, &rows);
                prop_assert_eq!(&client, &window(&ladder));
                past.last_mut().unwrap().1 = rows;
            }
            let before = ladder.held_before(past.iter().rev().map(|(_, rows)| rows));
            let first = before.map(|side| side.into_iter().collect::<BTreeMap<_, _>>());
            prop_assert_eq!(&first, &past[0].0);
        }
    }

    #[test]
    fn the_window_moves_with_the_best_price() {
        let mut ladder = full(1100);
        ladder.track();
        ladder.set(Side::Bid, 550, 0);
        let rows = ladder.changes();
        assert_eq!(rows.bids, [(550, 0), (150, 3)], "one level goes, the 401st comes in");
        assert!(rows.asks.is_empty());
        assert_eq!(ladder.changes(), Rows::default());
    }
}

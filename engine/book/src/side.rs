//! One side of a book: quantities in small pages of neighbouring ticks, found through a dense directory around
//! the touch; whatever lies outside it is in a sorted map.
//!
//! Both sides are kept as if they were asks: a bid's *key* is its mirrored price, so that on either side a
//! better level has a smaller key. *Ticks* are prices in units; a *cell* is the distance in ticks from the
//! start of the directory's range.
//!
//! A level is written without looking at what was there: pages that became empty stay mapped until a new page
//! is needed, and the best cell is a lower bound that is raised to the truth once after each batch.

use marketprism_core::Level;

use crate::error::BookError;
use crate::far::Far;
use crate::order_book::MAX_LEVELS_PER_SIDE;
use crate::unit::{Unit, greatest_common_divisor};

// Cells are computed in 64 bits and used as indices.
const _: () = assert!(usize::BITS == 64);

/// Ticks of a page: one cache line of quantities.
const PAGE_TICKS: usize = 8;
const PAGE_SHIFT: u32 = PAGE_TICKS.trailing_zeros();

/// Directory entries, least and most. A directory never costs more than 64 KiB.
const MIN_DIRECTORY: usize = 64;
const MAX_DIRECTORY: usize = 32_768;

/// No cell: beyond every directory.
const NOWHERE: usize = usize::MAX;

/// The directory entry of a page that is not mapped. Page 0 of the slab holds zeros for ever, so that a removal
/// of a level that is not held needs no branch.
const UNMAPPED: u16 = 0;

/// What one write beyond the better end of the directory counts towards a new layout: the market has moved
/// there, and most writes will follow.
const STRAIN_BETTER: usize = 16;

/// Each time that a layout is reconsidered in vain, the next time takes twice as many writes, up to 2 to this
/// power: for some books no layout holds everything.
const MOST_PATIENCE: u32 = 4;

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Page([i64; PAGE_TICKS]);

const EMPTY_PAGE: Page = Page([0; PAGE_TICKS]);

impl Page {
    /// All cells at once: cheaper than looking for the first that is not empty.
    fn is_empty(&self) -> bool {
        self.0.iter().fold(0, |any, quantity| any | quantity) == 0
    }
}

/// Bids or asks of one book, all with one pair of exponents.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    /// Turns a price or tick into a key and back by exclusive or: 0 for asks, all ones for bids.
    mirror: u64,
    /// Price step of the cells.
    unit: Unit,
    /// Key, in ticks, of cell 0. Wraps below zero where the range begins before the first price.
    base: u64,
    /// For each page of the range its index in `pages`, or [`UNMAPPED`].
    directory: Vec<u16>,
    /// One bit for each directory entry that is mapped.
    mapped: Vec<u64>,
    /// Quantities; 0 where there is no level.
    pages: Vec<Page>,
    /// Pages that no directory entry uses; all their cells are 0.
    free: Vec<u16>,
    /// The best occupied cell, or [`NOWHERE`]. While levels are written: no occupied cell is better.
    best: usize,
    /// Occupied cells.
    near: usize,
    /// Levels outside the directory's range or off the unit, by price key.
    far: Far,
    /// Writes to `far` since the layout was last reconsidered.
    strain: usize,
    /// How often in a row that changed nothing, at most [`MOST_PATIENCE`].
    patience: u32,
    /// Whether `missing_removals` counts.
    counting: bool,
    /// Writes of 0 where there was no level.
    missing_removals: u64,
}

/// Where the directory lies.
struct Layout {
    unit: Unit,
    base: u64,
    length: usize,
}

impl Side {
    pub(crate) fn bids() -> Side {
        Side::new(u64::MAX)
    }

    pub(crate) fn asks() -> Side {
        Side::new(0)
    }

    /// Counts removals of levels that are not there from now on.
    pub(crate) fn count_missing_removals(&mut self) {
        self.counting = true;
    }

    /// Writes of 0 where there was no level, where they are counted.
    pub(crate) fn missing_removals(&self) -> u64 {
        self.missing_removals
    }

    fn new(mirror: u64) -> Side {
        Side {
            mirror,
            unit: Unit::new(1),
            base: 0,
            directory: Vec::new(),
            mapped: Vec::new(),
            pages: Vec::new(),
            free: Vec::new(),
            best: NOWHERE,
            near: 0,
            far: Far::default(),
            strain: 0,
            patience: 0,
            counting: false,
            missing_removals: 0,
        }
    }

    /// Levels held.
    pub(crate) fn len(&self) -> usize {
        self.near + self.far.len()
    }

    /// Takes all levels away and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.directory.fill(UNMAPPED);
        self.empty();
    }

    fn empty(&mut self) {
        self.mapped.fill(0);
        self.pages.fill(EMPTY_PAGE);
        if self.pages.is_empty() && !self.directory.is_empty() {
            self.pages.push(EMPTY_PAGE);
        }
        self.free.clear();
        self.free.extend((1..self.pages.len()).rev().map(|slot| slot as u16));
        self.best = NOWHERE;
        self.near = 0;
        self.far.clear();
        self.strain = 0;
        self.patience = 0;
    }

    /// Replaces the content. Zero quantities are left out and of several levels with one price the last counts.
    pub(crate) fn load(&mut self, levels: &[Level]) -> Result<(), BookError> {
        self.clear();
        if !levels.is_empty() {
            self.prepare(levels);
        }
        self.write(levels)
    }

    /// Chooses a layout for levels that come in any order.
    fn prepare(&mut self, levels: &[Level]) {
        let mut sorted = levels.to_vec();
        sorted.sort_unstable_by_key(|level| level.price as u64 ^ self.mirror);
        let layout = self.choose(&sorted, None);
        self.lay_out(&layout);
    }

    /// Sets levels to absolute quantities; 0 removes. An error leaves the levels before it written.
    pub(crate) fn write(&mut self, mut levels: &[Level]) -> Result<(), BookError> {
        if self.directory.is_empty() && !levels.is_empty() {
            self.prepare(levels);
        }
        loop {
            let written = if self.counting {
                self.write_mapped::<true>(levels)
            } else {
                self.write_mapped::<false>(levels)
            };
            let Some((level, rest)) = levels.get(written..).and_then(<[Level]>::split_first) else { break };
            self.write_other(*level)?;
            levels = rest;
        }
        self.best = self.occupied_from(self.best);
        if self.len() > MAX_LEVELS_PER_SIDE {
            return Err(BookError::TooManyLevels);
        }
        Ok(())
    }

    /// Writes levels up to the first that needs a page, lies outside the directory or is negative; returns how
    /// many.
    ///
    /// The loop has no branch that depends on whether a level is new, changed or gone: real streams mix the
    /// three at random, and a mispredicted branch costs more than all the rest. Counting removals of levels that
    /// are not there costs 6 to 9 %, which only those pay who want to know.
    #[inline]
    fn write_mapped<const COUNT_MISSING: bool>(&mut self, levels: &[Level]) -> usize {
        let (unit, mirror, base) = (self.unit, self.mirror, self.base);
        let (directory, pages) = (self.directory.as_slice(), self.pages.as_mut_slice());
        let (mut best, mut near) = (self.best, self.near);
        let mut missing = 0;
        let mut written = 0;
        for level in levels {
            let ticks = unit.ticks(level.price as u64);
            let cell = (ticks ^ mirror).wrapping_sub(base) as usize;
            let Some(&slot) = directory.get(cell >> PAGE_SHIFT) else { break };
            // One branch for all that is unusual. A negative price is not exact. Mapping a page here instead
            // makes the loop slower by a quarter for the levels that need none.
            let needs_page = (slot == UNMAPPED) & (level.quantity != 0);
            if !unit.is_exact(ticks) | needs_page | (level.quantity < 0) {
                break;
            }
            let Some(page) = pages.get_mut(usize::from(slot)) else { break };
            let before = std::mem::replace(&mut page.0[cell % PAGE_TICKS], level.quantity);
            near = near + usize::from(level.quantity != 0) - usize::from(before != 0);
            if COUNT_MISSING {
                missing += u64::from(before | level.quantity == 0);
            }
            best = best.min(if level.quantity != 0 { cell } else { NOWHERE });
            written += 1;
        }
        (self.best, self.near) = (best, near);
        if COUNT_MISSING {
            self.missing_removals += missing;
        }
        written
    }

    /// Writes a level that [`write_mapped`](Side::write_mapped) stopped at.
    #[inline(never)]
    fn write_other(&mut self, level: Level) -> Result<(), BookError> {
        check(&level)?;
        if level.quantity != 0 && self.len() >= MAX_LEVELS_PER_SIDE {
            return Err(BookError::TooManyLevels);
        }
        let ticks = self.unit.ticks(level.price as u64);
        let cell = (ticks ^ self.mirror).wrapping_sub(self.base);
        if self.unit.is_exact(ticks) && self.occupy(cell as usize, level.quantity) {
            return Ok(());
        }
        self.write_far(level);
        let better = self.unit.is_exact(ticks) && (cell as i64) < 0;
        self.strain += if better { STRAIN_BETTER } else { 1 };
        if self.strain > (128 + self.len() / 2) << self.patience {
            self.reconsider();
        }
        Ok(())
    }

    /// Many writes went to the tree: moves the directory to where the levels are now.
    fn reconsider(&mut self) {
        self.strain = 0;
        self.best = self.occupied_from(self.best);
        let content: Vec<Level> = self.iter().collect();
        let layout = self.choose(&content, Some(self.unit));
        let moved = (layout.base.wrapping_sub(self.base) as i64).unsigned_abs();
        let same_place = moved < (layout.length / 8 * PAGE_TICKS) as u64;
        if layout.unit.size() == self.unit.size() && layout.length == self.directory.len() && same_place {
            self.patience = (self.patience + 1).min(MOST_PATIENCE);
            return;
        }
        self.patience = 0;
        self.lay_out(&layout);
        for level in content {
            self.place(level);
        }
    }

    /// Puts a level where the present layout wants it.
    fn place(&mut self, level: Level) {
        let ticks = self.unit.ticks(level.price as u64);
        let cell = (ticks ^ self.mirror).wrapping_sub(self.base) as usize;
        if !(self.unit.is_exact(ticks) && self.occupy(cell, level.quantity)) {
            self.write_far(level);
        }
    }

    /// Sets a cell that holds nothing, mapping its page where need be; `false` where the directory ends before it.
    fn occupy(&mut self, cell: usize, quantity: i64) -> bool {
        let index = cell >> PAGE_SHIFT;
        let Some(&slot) = self.directory.get(index) else { return false };
        let slot = if slot == UNMAPPED { self.map(index) } else { slot };
        if let Some(page) = self.pages.get_mut(usize::from(slot)) {
            page.0[cell % PAGE_TICKS] = quantity;
            self.near += 1;
            self.best = self.best.min(cell);
        }
        true
    }

    fn write_far(&mut self, level: Level) {
        let found = self.far.write(level.price as u64 ^ self.mirror, level.quantity);
        self.missing_removals += u64::from(self.counting & !found);
    }

    /// Gives the directory entry an empty page.
    fn map(&mut self, index: usize) -> u16 {
        if self.free.is_empty() {
            self.make_room();
        }
        let slot = self.free.pop().unwrap_or(UNMAPPED);
        if let Some(entry) = self.directory.get_mut(index) {
            *entry = slot;
            mark(&mut self.mapped, index);
        }
        slot
    }

    /// Takes empty pages out of the directory; where there are few of them, makes the slab larger. At least one
    /// page is free afterwards.
    fn make_room(&mut self) {
        let mut next = self.mapped_from(0);
        while let Some(index) = next {
            if let Some(entry) = self.directory.get_mut(index)
                && self.pages.get(usize::from(*entry)).is_some_and(Page::is_empty)
            {
                self.free.push(*entry);
                *entry = UNMAPPED;
                if let Some(word) = self.mapped.get_mut(index / 64) {
                    *word &= !(1 << (index % 64));
                }
            }
            next = self.mapped_from(index + 1);
        }
        let pages = self.pages.len();
        if self.free.len() < pages / 8 + 1 {
            // Never many more than the directory has entries, so that slots fit 16 bits.
            let more = (pages / 4 + 4).min(self.directory.len().saturating_sub(pages) + 1);
            self.pages.reserve_exact(more);
            self.pages.resize(pages + more, EMPTY_PAGE);
            // Room for all, so that taking pages out never allocates.
            self.free.reserve_exact(self.pages.len() - self.free.len());
            self.free.extend((pages..pages + more).map(|slot| slot as u16));
        }
    }

    /// The first mapped directory entry at or behind this one.
    fn mapped_from(&self, index: usize) -> Option<usize> {
        let mut word = index / 64;
        let mut bits = self.mapped.get(word)? & (u64::MAX << (index % 64));
        while bits == 0 {
            word += 1;
            bits = *self.mapped.get(word)?;
        }
        Some(word * 64 + bits.trailing_zeros() as usize)
    }

    /// The first occupied cell at or behind this one, or [`NOWHERE`].
    #[inline]
    fn occupied_from(&self, cell: usize) -> usize {
        let mut index = cell >> PAGE_SHIFT;
        let mut first = cell % PAGE_TICKS;
        while let Some(page) = self.directory.get(index).and_then(|slot| self.pages.get(usize::from(*slot))) {
            if let Some(offset) = page.0.iter().skip(first).position(|quantity| *quantity != 0) {
                return (index << PAGE_SHIFT) + first + offset;
            }
            let Some(next) = self.mapped_from(index + 1) else { break };
            (index, first) = (next, 0);
        }
        NOWHERE
    }

    /// The level in an occupied cell.
    fn level_at(&self, cell: usize) -> Option<Level> {
        let slot = *self.directory.get(cell >> PAGE_SHIFT)?;
        let quantity = self.pages.get(usize::from(slot))?.0[cell % PAGE_TICKS];
        let ticks = self.base.wrapping_add(cell as u64) ^ self.mirror;
        Some(Level { price: ticks.wrapping_mul(self.unit.size()) as i64, quantity })
    }

    /// The best level.
    pub(crate) fn best(&self) -> Option<Level> {
        let near = self.level_at(self.best);
        match (near, self.far.first_key()) {
            (Some(level), Some(key)) if (level.price as u64 ^ self.mirror) < key => near,
            (_, Some(_)) => self.far.first().map(|(key, quantity)| self.far_level(key, quantity)),
            (_, None) => near,
        }
    }

    fn far_level(&self, key: u64, quantity: i64) -> Level {
        Level { price: (key ^ self.mirror) as i64, quantity }
    }

    /// All levels, best first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Level> + '_ {
        let mut cell = self.best;
        let mut near = std::iter::from_fn(move || {
            let level = self.level_at(cell)?;
            cell = self.occupied_from(cell + 1);
            Some(level)
        })
        .peekable();
        let mut far = self.far.iter().map(|(key, quantity)| self.far_level(key, quantity)).peekable();
        std::iter::from_fn(move || match (near.peek(), far.peek()) {
            (Some(a), Some(b)) if (b.price as u64 ^ self.mirror) < (a.price as u64 ^ self.mirror) => {
                far.next()
            }
            (None, _) => far.next(),
            _ => near.next(),
        })
    }

    /// A layout for these levels, best first. The directory begins somewhat before the touch; a few levels at
    /// either end do not count, so that absurd prices cannot draw it away from the others.
    fn choose(&self, sorted: &[Level], previous: Option<Unit>) -> Layout {
        let count = sorted.len();
        let off_unit = |unit: &Unit| sorted.iter().filter(|level| !unit.divides(level.price as u64)).count();
        let unit = previous.filter(|unit| off_unit(unit) <= count / 8).unwrap_or_else(|| {
            Unit::new(sorted.iter().fold(0, |unit, level| greatest_common_divisor(level.price as u64, unit)))
        });
        let key = |rank: usize| {
            sorted.get(rank).map_or(0, |level| (level.price as u64 / unit.size()) ^ self.mirror)
        };
        let first = key((count / 2).min(16));
        let last = key((count - count / 16).saturating_sub(1));
        let pages = last.saturating_sub(first) / PAGE_TICKS as u64;
        let most = (32 * count).next_power_of_two().clamp(4 * MIN_DIRECTORY, MAX_DIRECTORY);
        let length =
            usize::try_from(pages.saturating_mul(2)).map_or(most, |wanted| wanted.clamp(MIN_DIRECTORY, most));
        let length = length.next_power_of_two();
        Layout { unit, base: first.wrapping_sub((length / 4 * PAGE_TICKS) as u64), length }
    }

    /// Empties the side and puts the directory there.
    fn lay_out(&mut self, layout: &Layout) {
        self.unit = layout.unit;
        self.base = layout.base;
        self.directory.clear();
        self.directory.resize(layout.length, UNMAPPED);
        self.mapped.clear();
        self.mapped.resize(layout.length.div_ceil(64), 0);
        self.empty();
    }

    /// Memory held, bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.directory.capacity() * size_of::<u16>()
            + self.mapped.capacity() * size_of::<u64>()
            + self.pages.capacity() * size_of::<Page>()
            + self.free.capacity() * size_of::<u16>()
            + self.far.memory_bytes()
    }

    /// Levels outside the directory.
    #[cfg(test)]
    pub(crate) fn far_len(&self) -> usize {
        self.far.len()
    }
}

/// Sets the bit of a directory entry.
#[inline]
fn mark(mapped: &mut [u64], index: usize) {
    if let Some(word) = mapped.get_mut(index / 64) {
        *word |= 1 << (index % 64);
    }
}

/// Whether a level is one that a book can hold.
pub(crate) fn check(level: &Level) -> Result<(), BookError> {
    if level.price < 0 {
        return Err(BookError::NegativePrice { price: level.price });
    }
    if level.quantity < 0 {
        return Err(BookError::NegativeQuantity { price: level.price, quantity: level.quantity });
    }
    Ok(())
}

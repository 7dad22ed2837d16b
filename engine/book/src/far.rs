//! Levels far from the touch: a sorted map in blocks.
//!
//! A few absurd prices make up as much as a tenth of all changes on some streams, so finding one has to be
//! quick: two short searches in arrays. Blocks that empty are kept, so that a warm map does not allocate.

/// Most levels of a block.
const BLOCK_LEVELS: usize = 64;

/// Up to [`BLOCK_LEVELS`] levels with neighbouring keys.
#[derive(Clone, Debug)]
struct Block {
    /// In ascending order.
    keys: Vec<u64>,
    /// In the order of the keys.
    quantities: Vec<i64>,
}

impl Block {
    fn with_capacity(levels: usize) -> Block {
        Block { keys: Vec::with_capacity(levels), quantities: Vec::with_capacity(levels) }
    }

    fn insert(&mut self, at: usize, key: u64, quantity: i64) {
        self.keys.insert(at, key);
        self.quantities.insert(at, quantity);
    }
}

/// Quantities by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Far {
    /// First key of each block, apart from the blocks so that a search touches few lines.
    firsts: Vec<u64>,
    /// None is empty.
    blocks: Vec<Block>,
    spare: Vec<Block>,
    len: usize,
}

impl Far {
    /// Number of levels.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The smallest key.
    pub(crate) fn first_key(&self) -> Option<u64> {
        self.firsts.first().copied()
    }

    /// The level with the smallest key.
    pub(crate) fn first(&self) -> Option<(u64, i64)> {
        self.iter().next()
    }

    /// Keys and quantities in ascending order of keys.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, i64)> + '_ {
        self.blocks.iter().flat_map(|block| block.keys.iter().copied().zip(block.quantities.iter().copied()))
    }

    /// Takes all levels away and keeps the memory.
    pub(crate) fn clear(&mut self) {
        while let Some(block) = self.blocks.pop() {
            self.put_aside(block);
        }
        self.firsts.clear();
        self.len = 0;
    }

    /// Sets a level; 0 removes it. `false` where there was nothing to remove.
    pub(crate) fn write(&mut self, key: u64, quantity: i64) -> bool {
        let index = self.firsts.partition_point(|first| *first <= key).saturating_sub(1);
        let Some(block) = self.blocks.get_mut(index) else {
            if quantity != 0 {
                self.add_block(0, key, quantity);
            }
            return quantity != 0;
        };
        match block.keys.binary_search(&key) {
            Ok(at) if quantity == 0 => self.remove(index, at),
            Ok(at) => {
                if let Some(place) = block.quantities.get_mut(at) {
                    *place = quantity;
                }
            }
            Err(at) if quantity != 0 => self.insert(index, at, key, quantity),
            Err(_) => return false,
        }
        true
    }

    fn insert(&mut self, index: usize, at: usize, key: u64, quantity: i64) {
        let Some(block) = self.blocks.get_mut(index) else { return };
        if block.keys.len() < BLOCK_LEVELS {
            block.insert(at, key, quantity);
            self.len += 1;
        } else if at == BLOCK_LEVELS {
            // Full blocks stay full where levels come in order.
            self.add_block(index + 1, key, quantity);
        } else {
            self.split(index);
            self.write(key, quantity);
        }
        if at == 0
            && let Some(first) = self.firsts.get_mut(index)
        {
            *first = key;
        }
    }

    fn add_block(&mut self, index: usize, key: u64, quantity: i64) {
        // The only block of a small map grows with it.
        let room = if self.blocks.is_empty() { 0 } else { BLOCK_LEVELS };
        let mut block = self.spare.pop().unwrap_or_else(|| Block::with_capacity(room));
        block.insert(0, key, quantity);
        self.blocks.insert(index, block);
        self.firsts.insert(index, key);
        self.len += 1;
    }

    /// Moves the upper half of a full block to a new one.
    fn split(&mut self, index: usize) {
        let mut upper = self.spare.pop().unwrap_or_else(|| Block::with_capacity(BLOCK_LEVELS));
        if let Some(block) = self.blocks.get_mut(index) {
            upper.keys.extend(block.keys.drain(BLOCK_LEVELS / 2..));
            upper.quantities.extend(block.quantities.drain(BLOCK_LEVELS / 2..));
        }
        if let Some(first) = upper.keys.first() {
            self.firsts.insert(index + 1, *first);
            self.blocks.insert(index + 1, upper);
        }
    }

    fn remove(&mut self, index: usize, at: usize) {
        let Some(block) = self.blocks.get_mut(index) else { return };
        block.keys.remove(at);
        block.quantities.remove(at);
        self.len -= 1;
        match (block.keys.first(), self.firsts.get_mut(index)) {
            (Some(key), Some(first)) => *first = *key,
            _ => {
                self.firsts.remove(index);
                let block = self.blocks.remove(index);
                self.put_aside(block);
            }
        }
    }

    fn put_aside(&mut self, mut block: Block) {
        block.keys.clear();
        block.quantities.clear();
        self.spare.push(block);
    }

    /// Memory held, bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let levels = self.blocks.iter().chain(&self.spare).map(|block| block.keys.capacity()).sum::<usize>();
        levels * size_of::<(u64, i64)>()
            + (self.blocks.capacity() + self.spare.capacity()) * size_of::<Block>()
            + self.firsts.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_a_map(writes in prop::collection::vec((0u64..400, 0i64..3), 0..2_000), rising: bool) {
            let mut far = Far::default();
            let mut map = BTreeMap::new();
            for (index, (key, quantity)) in writes.into_iter().enumerate() {
                let key = if rising { key / 40 + index as u64 } else { key };
                far.write(key, quantity);
                if quantity == 0 { map.remove(&key) } else { map.insert(key, quantity) };
                prop_assert_eq!(far.len(), map.len());
                prop_assert_eq!(far.first_key(), map.keys().next().copied());
            }
            prop_assert!(far.iter().eq(map.into_iter()));
            far.clear();
            prop_assert_eq!(far.first(), None);
        }
    }
}

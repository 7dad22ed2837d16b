//! A short way from a symbol to its instrument.

use marketprism_core::InstrumentId;

/// The instruments of recent frames, by symbols of at most 15 bytes: a comparison in place of a hash.
pub struct RecentSymbols {
    entries: Box<[(u128, InstrumentId); RECENT]>,
}

/// Entries of [`RecentSymbols`]; a power of two.
const RECENT: usize = 256;

impl Default for RecentSymbols {
    fn default() -> RecentSymbols {
        // No symbol is the number 0: none is empty in the table, and none has a byte 0.
        RecentSymbols { entries: Box::new([(0, 0); RECENT]) }
    }
}

impl RecentSymbols {
    /// The instrument of a symbol whose bytes are the number `key`; `find` looks it up where it is not recent.
    #[inline(always)]
    pub fn get(&mut self, key: u128, find: impl Fn() -> Option<InstrumentId>) -> Option<InstrumentId> {
        let mixed = (key as u64 ^ ((key >> 64) as u64).rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let entry = &mut self.entries[(mixed >> 56) as usize % RECENT];
        if entry.0 != key || key == 0 {
            *entry = (key, find()?);
        }
        Some(entry.1)
    }
}

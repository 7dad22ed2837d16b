//! The checksum that books carried until 2026: CRC-32 over the best 25 levels of both sides.

use super::book::Row;
use super::catalogue::Spec;
use super::number::push_decimal;

/// Levels of each side that count.
const LEVELS: usize = 25;

/// CRC-32 (IEEE, reflected), as zlib has it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for &byte in bytes {
        remainder ^= u32::from(byte);
        for _ in 0..8 {
            let odd = remainder & 1 == 1;
            remainder = (remainder >> 1) ^ if odd { 0xEDB8_8320 } else { 0 };
        }
    }
    !remainder
}

/// The checksum of a book; rows best first, prices in ticks of the instrument.
pub(crate) fn checksum(spec: &Spec, bids: impl Iterator<Item = Row>, asks: impl Iterator<Item = Row>) -> i32 {
    let mut bids = bids.take(LEVELS);
    let mut asks = asks.take(LEVELS);
    let mut text = String::new();
    let mut add = |row: Option<Row>| {
        if let Some((ticks, lots)) = row {
            push_decimal(&mut text, ticks as u128 * u128::from(spec.tick), spec.price_scale);
            text.push(':');
            push_decimal(&mut text, u128::from(lots), spec.lot_scale);
            text.push(':');
        }
    };
    for _ in 0..LEVELS {
        add(bids.next());
        add(asks.next());
    }
    crc32(text.trim_end_matches(':').as_bytes()).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::okx::catalogue::Market;

    #[test]
    fn the_documented_values() {
        let mut spec = Spec::new(Market::Swap, 0, 1_767_139_200_000);
        spec.lot_scale = 0;
        let bids = [(33_661, 7), (33_660, 6)];
        let asks = [(33_668, 9), (33_680, 8)];
        assert_eq!(checksum(&spec, bids.into_iter(), asks.into_iter()), -1_881_014_294);
        let asks = [(33_668, 9), (33_680, 8), (33_720, 8)];
        assert_eq!(checksum(&spec, [(33_661, 7)].into_iter(), asks.into_iter()), 831_078_360);
    }
}

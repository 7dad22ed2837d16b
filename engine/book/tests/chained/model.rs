//! A book of texts, as the venue sends them.

use std::collections::BTreeMap;

use marketprism_core::{Decimal, Level};

/// Price and quantity, with the venue's own digits.
pub(crate) type Row = (String, String);

/// Rows by price, the price in units of 1e-12.
type Side = BTreeMap<i64, Row>;

#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) bids: Side,
    pub(crate) asks: Side,
    pub(crate) missing_removals: u64,
}

pub(crate) fn decimal(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).unwrap()
}

/// Levels as texts of the shortest form.
pub(crate) fn texts(levels: impl Iterator<Item = Level>, exponents: (i8, i8)) -> Vec<Row> {
    let text = |mantissa, exponent| Decimal::new(mantissa, exponent).normalised().to_string();
    levels.map(|level| (text(level.price, exponents.0), text(level.quantity, exponents.1))).collect()
}

impl Model {
    pub(crate) fn load(&mut self, bids: &[Row], asks: &[Row]) {
        self.bids.clear();
        self.asks.clear();
        self.apply(bids, asks);
    }

    pub(crate) fn apply(&mut self, bids: &[Row], asks: &[Row]) {
        for (side, rows) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for (price, quantity) in rows {
                let key = decimal(price).rescale(-12).unwrap().mantissa;
                if decimal(quantity).is_zero() {
                    self.missing_removals += u64::from(side.remove(&key).is_none());
                } else {
                    side.insert(key, (price.clone(), quantity.clone()));
                }
            }
        }
    }

    /// Bids and asks, best first, as the book has to have them.
    pub(crate) fn sides(&self) -> [Vec<Row>; 2] {
        let canonical = |(price, quantity): &Row| {
            (decimal(price).normalised().to_string(), decimal(quantity).normalised().to_string())
        };
        [self.bids.values().rev().map(canonical).collect(), self.asks.values().map(canonical).collect()]
    }

    /// The venue's checksum of the original texts.
    pub(crate) fn checksum(&self) -> u32 {
        let (mut bids, mut asks) = (self.bids.values().rev(), self.asks.values());
        let mut parts = Vec::new();
        for _ in 0..25 {
            for (price, quantity) in [bids.next(), asks.next()].into_iter().flatten() {
                parts.push(format!("{price}:{quantity}"));
            }
        }
        crc32(parts.join(":").as_bytes())
    }
}

/// CRC-32 as zlib has it, bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

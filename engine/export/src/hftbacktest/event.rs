//! Events as hftbacktest reads them.

use marketprism_core::Decimal;
use marketprism_core::record::ABSENT;

/// Bytes of an event in a file.
pub(super) const EVENT_BYTES: usize = 64;

/// Bytes of an event in a spill file.
pub(super) const SPILLED_BYTES: usize = 48;

pub(super) const DEPTH: u64 = 1;
pub(super) const TRADE: u64 = 2;
pub(super) const DEPTH_CLEAR: u64 = 3;
pub(super) const DEPTH_SNAPSHOT: u64 = 4;

/// To be processed by the exchange, at the exchange's time.
pub(super) const EXCHANGE: u64 = 1 << 31;
/// To be processed by the strategy, at the local time.
pub(super) const LOCAL: u64 = 1 << 30;
pub(super) const BUY: u64 = 1 << 29;
pub(super) const SELL: u64 = 1 << 28;

/// One event. Prices and quantities are the nearest binary fractions: the format has no decimals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) ev: u64,
    pub(super) exchange_ns: i64,
    pub(super) local_ns: i64,
    pub(super) price: f64,
    pub(super) quantity: f64,
    /// Its place in capture order.
    pub(super) index: u64,
}

impl Event {
    /// Its place in the order in which the exchange processes events.
    pub(super) fn exchange_key(&self) -> u128 {
        self.key(self.exchange_ns)
    }

    /// Its place in the order in which the strategy sees events.
    pub(super) fn local_key(&self) -> u128 {
        self.key(self.local_ns)
    }

    /// By time; of one time a trade comes before the depth, which it changes; then as captured. One number, which
    /// sorts faster than three.
    fn key(&self, ns: i64) -> u128 {
        let time = ns.cast_unsigned() ^ (1 << 63);
        let is_depth = self.ev & 0xff != TRADE;
        u128::from(time) << 64 | u128::from(is_depth) << 63 | u128::from(self.index & (u64::MAX >> 1))
    }

    /// The bytes in a file: `ev u8, exch_ts i8, local_ts i8, px f8, qty f8, order_id u8, ival i8, fval f8`.
    pub(super) fn bytes(&self, flags: u64, local_shift_ns: i64) -> [u8; EVENT_BYTES] {
        let local_ns = self.local_ns.saturating_add(local_shift_ns);
        let words = [
            self.ev | flags,
            self.exchange_ns.cast_unsigned(),
            local_ns.cast_unsigned(),
            self.price.to_bits(),
            self.quantity.to_bits(),
        ];
        let mut bytes = [0; EVENT_BYTES];
        put(&mut bytes, &words);
        bytes
    }

    pub(super) fn spilled(&self) -> [u8; SPILLED_BYTES] {
        let words = [
            self.ev,
            self.exchange_ns.cast_unsigned(),
            self.local_ns.cast_unsigned(),
            self.price.to_bits(),
            self.quantity.to_bits(),
            self.index,
        ];
        let mut bytes = [0; SPILLED_BYTES];
        put(&mut bytes, &words);
        bytes
    }

    /// The event that [`spilled`](Event::spilled) gave these bytes of.
    pub(super) fn read(bytes: &[u8]) -> Option<Event> {
        let (words, rest) = bytes.as_chunks::<8>();
        let words: &[[u8; 8]; SPILLED_BYTES / 8] = words.try_into().ok().filter(|_| rest.is_empty())?;
        let [ev, exchange_ns, local_ns, price, quantity, index] = words.map(u64::from_le_bytes);
        Some(Event {
            ev,
            exchange_ns: exchange_ns.cast_signed(),
            local_ns: local_ns.cast_signed(),
            price: f64::from_bits(price),
            quantity: f64::from_bits(quantity),
            index,
        })
    }
}

fn put(bytes: &mut [u8], words: &[u64]) {
    for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
}

/// The binary fraction nearest to a decimal; NaN for a number that is absent.
pub(super) fn nearest(mantissa: i64, exponent: i8) -> f64 {
    /// Whole numbers up to here, and these powers of ten, are exact: their quotient and product are rounded once.
    const EXACT: u64 = 1 << 53;
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
        1e18, 1e19, 1e20, 1e21, 1e22,
    ];
    if mantissa == ABSENT {
        return f64::NAN;
    }
    match POWERS.get(usize::from(exponent.unsigned_abs())) {
        Some(power) if mantissa.unsigned_abs() <= EXACT && exponent < 0 => mantissa as f64 / power,
        Some(power) if mantissa.unsigned_abs() <= EXACT => mantissa as f64 * power,
        _ => Decimal::new(mantissa, exponent).to_string().parse().unwrap_or(f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_is_the_nearest_there_is(mantissa in i64::MIN + 1.., exponent: i8, small: bool) {
            let mantissa = if small { mantissa >> 20 } else { mantissa };
            let expected: f64 = Decimal::new(mantissa, exponent).to_string().parse().unwrap();
            prop_assert_eq!(nearest(mantissa, exponent), expected);
        }

        #[test]
        fn a_spilled_event_reads_back(ev: u64, exchange_ns: i64, local_ns: i64, price in -1e9..1e9, index: u64) {
            let event = Event { ev, exchange_ns, local_ns, price, quantity: -price, index };
            prop_assert_eq!(Event::read(&event.spilled()), Some(event));
            prop_assert_eq!(Event::read(&event.spilled()[1..]), None);
        }
    }
}

//! Numbers and times of a message on their way into a record.

use marketprism_core::clock::NS_PER_MS;
use marketprism_core::record::{ABSENT, Header};
use marketprism_core::{Decimal, InstrumentId, Kind};

/// A decimal that the venue did not send. No text parses to it.
pub const NO_DECIMAL: Decimal = Decimal { mantissa: ABSENT, exponent: 0 };

/// The field whose values cannot be kept exactly in one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit(pub &'static str);

/// What a record says besides the message itself.
#[derive(Clone, Copy)]
pub struct Envelope {
    /// The instrument.
    pub instrument: InstrumentId,
    /// When the bytes were read, wall clock, nanoseconds.
    pub receive_ns: i64,
    /// Bits of [`flag`](marketprism_core::record::flag).
    pub flags: u8,
}

impl Envelope {
    #[inline(always)]
    /// A header of this kind.
    pub fn header(self, kind: Kind, exchange_ns: i64) -> Header {
        let mut header = Header::new(kind, self.instrument, self.receive_ns);
        header.flags = self.flags;
        header.exchange_ns = exchange_ns;
        header
    }
}

/// Smallest value that is microseconds: as milliseconds it would be the year 5138.
const FIRST_MICROSECONDS: u64 = 100_000_000_000_000;

/// A time of the venue, in milliseconds or (on request, spot) microseconds since the Unix epoch, as
/// nanoseconds. `None` where 64 bits do not hold it.
#[inline(always)]
pub fn time_ns(value: u64) -> Option<i64> {
    let unit = if value >= FIRST_MICROSECONDS { 1_000 } else { NS_PER_MS };
    i64::try_from(value).ok()?.checked_mul(unit)
}

/// Brings values to the exponent of the one with the most decimals. Zeros take any exponent, unless all are
/// zero; absent ones stay absent. Where that does not fit 64 bits, trailing zeros are dropped first.
#[inline(always)]
pub fn align<const N: usize>(values: [Decimal; N], field: &'static str) -> Result<([i64; N], i8), Unfit> {
    let exponent = values[0].exponent;
    if values.iter().all(|value| value.exponent == exponent && value.mantissa != ABSENT) {
        return Ok((values.map(|value| value.mantissa), exponent));
    }
    align_different(values).ok_or(Unfit(field))
}

#[inline(never)]
fn align_different<const N: usize>(values: [Decimal; N]) -> Option<([i64; N], i8)> {
    let short = |value: Decimal| if value.mantissa == ABSENT { value } else { value.normalised() };
    rescale(values).or_else(|| rescale(values.map(short)))
}

fn rescale<const N: usize>(values: [Decimal; N]) -> Option<([i64; N], i8)> {
    let sent = || values.iter().filter(|value| value.mantissa != ABSENT);
    let counting = sent().filter(|value| !value.is_zero()).map(|value| value.exponent).min();
    let exponent = counting.or_else(|| sent().map(|value| value.exponent).min()).unwrap_or(0);
    let mut mantissas = [ABSENT; N];
    for (mantissa, value) in mantissas.iter_mut().zip(values) {
        if value.mantissa != ABSENT {
            *mantissa = value.rescale(exponent)?.mantissa;
        }
    }
    Some((mantissas, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        if text.is_empty() { NO_DECIMAL } else { text.parse().unwrap() }
    }

    #[test]
    fn milliseconds_and_microseconds_are_told_apart() {
        assert_eq!(time_ns(1_672_515_782_136), Some(1_672_515_782_136_000_000));
        assert_eq!(time_ns(1_672_515_782_136_123), Some(1_672_515_782_136_123_000));
        assert_eq!(time_ns(0), Some(0));
        assert_eq!(time_ns(99_999_999_999_999), None);
        assert_eq!(time_ns(u64::MAX), None);
    }

    #[test]
    fn values_of_a_message_share_an_exponent() {
        let of = |texts: [&str; 3]| align(texts.map(decimal), "p");
        assert_eq!(of(["1.50", "2.25", "0.10"]), Ok(([150, 225, 10], -2)));
        assert_eq!(of(["1.5", "", "0.0000"]), Ok(([15, ABSENT, 0], -1)));
        assert_eq!(of(["0", "0.00", ""]), Ok(([0, 0, ABSENT], -2)));
        assert_eq!(of(["", "", ""]), Ok(([ABSENT; 3], 0)));
        let digits = "900000000000000000.0";
        assert_eq!(of([digits, "1.50000000", "2"]), Ok(([9_000_000_000_000_000_000, 15, 20], -1)));
        assert_eq!(of(["900000000000000000", "1.55", "2"]), Err(Unfit("p")));
    }
}

//! Integers and decimals as text, and the seeded random numbers, both without allocation.

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Writes digits from the back of a buffer; returns where they begin.
fn digits_before(buffer: &mut [u8], mut end: usize, mut value: u64) -> usize {
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        end -= 2;
        buffer[end..end + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        end -= 2;
        buffer[end..end + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        end -= 1;
        buffer[end] = b'0' + value as u8;
    }
    end
}

/// Appends an integer.
pub(crate) fn integer(out: &mut Vec<u8>, value: u64) {
    let mut buffer = [0; 20];
    let begin = digits_before(&mut buffer, 20, value);
    out.extend_from_slice(&buffer[begin..]);
}

/// Overwrites digits in place with a value of exactly that many digits.
pub(crate) fn overwrite(digits: &mut [u8], mut value: u64) {
    let mut end = digits.len();
    while end >= 2 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        end -= 2;
        digits[end..end + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if end == 1 {
        digits[0] = b'0' + (value % 10) as u8;
    }
}

/// Powers of ten that fit 64 bits.
pub(crate) const POWERS: [u64; 20] = powers();

const fn powers() -> [u64; 20] {
    let mut powers = [1; 20];
    let mut index = 1;
    while index < 20 {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
}

/// How a scaled integer is written: `scale` digits after the point, then `zeros` more zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) scale: u8,
    pub(crate) zeros: u8,
}

/// Appends `value / 10^scale` with a fixed number of decimals.
pub(crate) fn decimal(out: &mut Vec<u8>, value: u64, format: Scale) {
    let fraction_digits = format.scale as usize;
    if fraction_digits + format.zeros as usize == 0 {
        return integer(out, value);
    }
    let mut buffer = [b'0'; 48];
    let point = 48 - fraction_digits - format.zeros as usize - 1;
    let power = POWERS[fraction_digits.min(19)];
    if fraction_digits > 0 {
        overwrite(&mut buffer[point + 1..point + 1 + fraction_digits], value % power);
    }
    buffer[point] = b'.';
    let begin = digits_before(&mut buffer, point, value / power);
    out.extend_from_slice(&buffer[begin..]);
}

/// Appends `value / 10^scale` truncated to `decimals`, for volumes that exceed 64 bits while scaled.
pub(crate) fn wide_decimal(out: &mut Vec<u8>, value: u128, scale: u8, decimals: u8) {
    let value = if scale > decimals {
        value / 10u128.pow((scale - decimals) as u32)
    } else {
        value.saturating_mul(10u128.pow((decimals - scale) as u32))
    };
    let power = 10u128.pow(decimals as u32);
    integer(out, u64::try_from(value / power).unwrap_or(u64::MAX));
    if decimals > 0 {
        let begin = out.len();
        out.resize(begin + 1 + decimals as usize, b'0');
        out[begin] = b'.';
        overwrite(&mut out[begin + 1..], (value % power) as u64);
    }
}

/// Appends a signed amount of micro units as a decimal with `decimals` digits.
pub(crate) fn signed_decimal(out: &mut Vec<u8>, value: i64, scale: u8) {
    if value < 0 {
        out.push(b'-');
    }
    decimal(out, value.unsigned_abs(), Scale { scale, zeros: 0 });
}

/// A small fast generator (SplitMix64): the same numbers for the same seed on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66_D1CE_4E5B)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must not be zero.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("digits are UTF-8")
    }

    #[test]
    fn decimals_are_fixed() {
        let spot = Scale { scale: 2, zeros: 6 };
        assert_eq!(text(|out| decimal(out, 6_180_030, spot)), "61800.30000000");
        assert_eq!(text(|out| decimal(out, 0, spot)), "0.00000000");
        assert_eq!(text(|out| decimal(out, 5, Scale { scale: 3, zeros: 0 })), "0.005");
        assert_eq!(text(|out| decimal(out, 0, Scale { scale: 0, zeros: 0 })), "0");
        assert_eq!(text(|out| wide_decimal(out, 123_456, 5, 2)), "1.23");
        assert_eq!(text(|out| wide_decimal(out, 12, 1, 3)), "1.200");
        assert_eq!(text(|out| signed_decimal(out, -2754, 8)), "-0.00002754");
        assert_eq!(text(|out| integer(out, u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn overwriting_keeps_the_width() {
        let mut digits = *b"0000000";
        overwrite(&mut digits, 1_234_567);
        assert_eq!(&digits, b"1234567");
    }
}

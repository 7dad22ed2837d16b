//! Sixteen bytes at a time: which are digits, and what number they make. SSE2, which every x86_64 processor
//! has; plain loops elsewhere.

#[cfg(not(target_arch = "x86_64"))]
use marketprism_core::decimal::{POWERS_OF_TEN, parse_digits};

/// Bytes that are looked at together.
pub const CHUNK: usize = 16;

/// Masks of the last n bytes, by n.
#[cfg(target_arch = "x86_64")]
static LAST: [Aligned; CHUNK] = last_bytes(0);

/// The same, with all bytes for 0: without a point, nothing is in front of it.
#[cfg(target_arch = "x86_64")]
static FRACTION: [Aligned; CHUNK] = last_bytes(0xFF);

/// Masks of the first n bytes, by n.
pub static FIRST: [u128; CHUNK + 1] = {
    let mut table = [u128::MAX; CHUNK + 1];
    let mut count = 0;
    while count < CHUNK {
        table[count] = (1 << (8 * count)) - 1;
        count += 1;
    }
    table
};

#[cfg(target_arch = "x86_64")]
const fn last_bytes(none: u8) -> [Aligned; CHUNK] {
    let mut table = [Aligned([none; CHUNK]); CHUNK];
    let mut count = 1;
    while count < CHUNK {
        table[count] = Aligned([0; CHUNK]);
        let mut index = CHUNK - count;
        while index < CHUNK {
            table[count].0[index] = 0xFF;
            index += 1;
        }
        count += 1;
    }
    table
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Aligned([u8; CHUNK]);

/// The value of the number that ends the bytes: `digits` (1 to 15), and a point in front of the last
/// `decimals` where there are any.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn number(bytes: &[u8; CHUNK], digits: usize, decimals: usize) -> u64 {
    use std::arch::x86_64::*;
    let last = vector(&LAST[digits % CHUNK].0);
    let fraction = vector(&FRACTION[decimals % CHUNK].0);
    // SAFETY: every x86_64 processor has SSE2.
    let eights = unsafe {
        let values = _mm_sub_epi8(vector(bytes), _mm_set1_epi8(b'0' as i8));
        // What is in front of the point moves into its place.
        let moved = _mm_slli_si128(values, 1);
        let joined = _mm_or_si128(_mm_and_si128(fraction, values), _mm_andnot_si128(fraction, moved));
        let values = _mm_and_si128(last, joined);
        // Two digits, then four, then eight in one lane; the first of each pair is in the lower byte.
        let tens = _mm_mullo_epi16(_mm_and_si128(values, _mm_set1_epi16(0xFF)), _mm_set1_epi16(10));
        let pairs = _mm_add_epi16(tens, _mm_srli_epi16(values, 8));
        let fours = _mm_madd_epi16(pairs, _mm_set1_epi32(1 << 16 | 100));
        let packed = _mm_packs_epi32(fours, fours);
        _mm_cvtsi128_si64(_mm_madd_epi16(packed, _mm_set1_epi32(1 << 16 | 10_000))) as u64
    };
    (eights & 0xFFFF_FFFF) * 100_000_000 + (eights >> 32)
}

/// The value of the number that ends the bytes: `digits` (1 to 15), and a point in front of the last
/// `decimals` where there are any.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn number(bytes: &[u8; CHUNK], digits: usize, decimals: usize) -> u64 {
    let text = &bytes[CHUNK - digits - usize::from(decimals > 0)..];
    let (whole, fraction) = text.split_at(text.len() - decimals);
    parse_digits(whole).0 * POWERS_OF_TEN[decimals] as u64 + parse_digits(fraction).0
}

/// One bit for each byte that is no ASCII digit, and bit 16.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn other_than_digits(chunk: &[u8; CHUNK]) -> u32 {
    // SAFETY: every x86_64 processor has SSE2.
    !(unsafe { std::arch::x86_64::_mm_movemask_epi8(are_digits(chunk)) } as u32)
}

/// All bits of each byte that is an ASCII digit.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn are_digits(chunk: &[u8; CHUNK]) -> std::arch::x86_64::__m128i {
    use std::arch::x86_64::*;
    // SAFETY: every x86_64 processor has SSE2.
    unsafe {
        let values = _mm_sub_epi8(vector(chunk), _mm_set1_epi8(b'0' as i8));
        _mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values)
    }
}

/// The bytes with '0' for every digit, and one bit for each of the others.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn blank_digits(chunk: &[u8; CHUNK]) -> ([u8; CHUNK], u32) {
    use std::arch::x86_64::*;
    let digits = are_digits(chunk);
    let mut blank = [0; CHUNK];
    // SAFETY: every x86_64 processor has SSE2; the store needs no alignment and stays inside the array.
    unsafe {
        let zeros = _mm_and_si128(digits, _mm_set1_epi8(b'0' as i8));
        let others = _mm_or_si128(zeros, _mm_andnot_si128(digits, vector(chunk)));
        _mm_storeu_si128(blank.as_mut_ptr().cast(), others);
        (blank, !(_mm_movemask_epi8(digits) as u32) & 0xFFFF)
    }
}

/// One bit for each byte that is the same in both.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn equal_bytes(a: &[u8; CHUNK], b: &[u8; CHUNK]) -> u32 {
    use std::arch::x86_64::*;
    // SAFETY: every x86_64 processor has SSE2.
    unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(vector(a), vector(b))) as u32 }
}

/// One bit for each quote, and one for each byte that an ASCII text without escapes cannot have.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn text_bytes(chunk: &[u8; CHUNK]) -> (u32, u32) {
    use std::arch::x86_64::*;
    let bytes = vector(chunk);
    // SAFETY: every x86_64 processor has SSE2.
    unsafe {
        let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        // Signed comparison: control characters, and bytes from 0x80 up.
        let control = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
        let escapes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let unusual = _mm_or_si128(control, escapes);
        (_mm_movemask_epi8(quotes) as u32, _mm_movemask_epi8(unusual) as u32)
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn vector(chunk: &[u8; CHUNK]) -> std::arch::x86_64::__m128i {
    // SAFETY: every x86_64 processor has SSE2; the load needs no alignment and stays inside the array.
    unsafe { std::arch::x86_64::_mm_loadu_si128(chunk.as_ptr().cast()) }
}

/// One bit for each byte that is no ASCII digit, and bit 16.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn other_than_digits(chunk: &[u8; CHUNK]) -> u32 {
    let digits = bits(chunk, |byte| byte.is_ascii_digit());
    !digits
}

/// The bytes with '0' for every digit, and one bit for each of the others.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn blank_digits(chunk: &[u8; CHUNK]) -> ([u8; CHUNK], u32) {
    let others = chunk.map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    (others, other_than_digits(chunk) & 0xFFFF)
}

/// One bit for each byte that is the same in both.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn equal_bytes(a: &[u8; CHUNK], b: &[u8; CHUNK]) -> u32 {
    a.iter().zip(b).rev().fold(0, |bits, (a, b)| bits << 1 | u32::from(a == b))
}

/// One bit for each quote, and one for each byte that an ASCII text without escapes cannot have.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn text_bytes(chunk: &[u8; CHUNK]) -> (u32, u32) {
    (bits(chunk, |byte| byte == b'"'), bits(chunk, |byte| !(0x20..0x80).contains(&byte) || byte == b'\\'))
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn bits(chunk: &[u8; CHUNK], test: impl Fn(u8) -> bool) -> u32 {
    chunk.iter().rev().fold(0, |bits, byte| bits << 1 | u32::from(test(*byte)))
}

//! The predicted path of the two sides of a book: rows of price, size, an element without meaning and the number of
//! orders.

use marketprism_core::Decimal;
use marketprism_parse::cursor::{Cursor, LevelShape};
use marketprism_parse::levels::LevelBuffer;

use crate::fields::NO_LEVEL;

/// Both sides of a book that were read.
pub(crate) struct Sides<'a> {
    /// Behind them.
    pub(crate) cursor: Cursor<'a>,
    pub(crate) bid_levels: usize,
    /// Whether a number has zeros at its end, behind the point.
    pub(crate) trailing_zeros: bool,
}

/// Reads both sides into the buffer, asks first.
#[inline(always)]
pub(crate) fn read_sides<'a>(mut cursor: Cursor<'a>, levels: &mut LevelBuffer) -> Option<Sides<'a>> {
    levels.clear();
    cursor.take(b"\"asks\":[")?;
    let asks = read_levels(cursor, levels)?;
    let ask_levels = levels.levels().len();
    cursor = asks.cursor;
    cursor.take(b",\"bids\":[")?;
    let bids = read_levels(cursor, levels)?;
    Some(Sides {
        cursor: bids.cursor,
        bid_levels: levels.levels().len() - ask_levels,
        trailing_zeros: asks.trailing_zeros || bids.trailing_zeros,
    })
}

/// The level of a side that has one or none, after its opening bracket.
#[inline(always)]
pub(crate) fn only_level(cursor: &mut Cursor<'_>) -> Option<(Decimal, Decimal)> {
    if cursor.has(b"]") {
        return Some(NO_LEVEL);
    }
    cursor.take(b"[\"")?;
    let mut shape = LevelShape::NONE;
    let level = cursor.level(&mut shape)?;
    skip_row_end(cursor)?;
    cursor.take(b"]")?;
    Some(level)
}

/// What follows price and size in a row: an element without meaning, and the number of orders.
#[inline(always)]
fn skip_row_end(cursor: &mut Cursor<'_>) -> Option<()> {
    cursor.take(b",\"0\",\"")?;
    cursor.text()?;
    cursor.take(b"]")
}

/// One side of a book that was read.
struct SideEnd<'a> {
    /// Behind its closing bracket.
    cursor: Cursor<'a>,
    /// Whether a number has zeros at its end, behind the point.
    trailing_zeros: bool,
}

/// The levels of one side, after its opening bracket. A function of its own, and the cursor by value, so that the
/// loop has the registers.
#[inline(never)]
fn read_levels<'a>(mut cursor: Cursor<'a>, levels: &mut LevelBuffer) -> Option<SideEnd<'a>> {
    let mut trailing_zeros = false;
    if cursor.has(b"]") {
        return Some(SideEnd { cursor, trailing_zeros });
    }
    cursor.take(b"[\"")?;
    let mut shape = LevelShape::NONE;
    loop {
        let (price, quantity) = cursor.level(&mut shape)?;
        levels.push(price, quantity)?;
        trailing_zeros |= ends_with_zero(price) | ends_with_zero(quantity);
        skip_row_end(&mut cursor)?;
        if !cursor.has(b",[\"") {
            cursor.take(b"]")?;
            return Some(SideEnd { cursor, trailing_zeros });
        }
    }
}

#[inline(always)]
fn ends_with_zero(value: Decimal) -> bool {
    value.exponent < 0 && value.mantissa % 10 == 0
}

/// Whether a text of the frame begins like a number with a needless zero or a sign. Without a branch, so that many
/// bytes are looked at together.
#[inline(never)]
pub(crate) fn may_have_leading_zeros(frame: &[u8]) -> bool {
    let (second, third) = (frame.get(1..).unwrap_or_default(), frame.get(2..).unwrap_or_default());
    frame.iter().zip(second).zip(third).fold(false, |found, ((quote, first), next)| {
        found | ((*quote == b'"') & ((*first == b'-') | ((*first == b'0') & next.is_ascii_digit())))
    })
}

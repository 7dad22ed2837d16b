//! Walks over the bytes of a frame whose shape is expected: literals, numbers and short texts, each either
//! exactly there or a reason to give up.

use marketprism_core::Decimal;
use marketprism_core::decimal::{parse_digits, parse_plain};

use crate::bytes::{CHUNK, FIRST, blank_digits, equal_bytes, number, other_than_digits, text_bytes};
use crate::numbers::time_ns;

/// A place in a frame. Every method that returns `None` leaves the frame to the general path.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    frame: &'a [u8],
    rest: &'a [u8],
}

/// Bytes that hold a whole level, but for rare ones.
const WINDOW: usize = 2 * CHUNK;

impl<'a> Cursor<'a> {
    /// At the first byte of `frame`.
    #[inline(always)]
    pub fn new(frame: &'a [u8]) -> Cursor<'a> {
        Cursor { frame, rest: frame }
    }

    /// Steps over `literal`, if it is next.
    #[inline(always)]
    pub fn has<const N: usize>(&mut self, literal: &[u8; N]) -> bool {
        match self.rest.split_first_chunk::<N>() {
            Some((next, rest)) if next == literal => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Steps over `literal`, which has to be next.
    #[inline(always)]
    pub fn take<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        self.has(literal).then_some(())
    }

    /// Whether `literal` is next, without stepping over it.
    #[inline(always)]
    pub fn next_is<const N: usize>(&self, literal: &[u8; N]) -> bool {
        self.rest.starts_with(literal)
    }

    /// The next byte, without stepping over it.
    #[inline(always)]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Nothing may follow.
    #[inline(always)]
    pub fn end(&self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }

    /// `true` or `false`.
    #[inline(always)]
    pub fn boolean(&mut self) -> Option<bool> {
        if self.has(b"true") {
            return Some(true);
        }
        self.take(b"false").map(|()| false)
    }

    /// A JSON number without sign, point and exponent, of at most 18 digits.
    #[inline(always)]
    pub fn integer(&mut self) -> Option<u64> {
        match self.short_integer() {
            Some(value) => Some(value),
            None => {
                let (value, digits) = long_integer(self.rest)?;
                self.rest = self.rest.get(digits..)?;
                Some(value)
            }
        }
    }

    /// A number of 1 to 15 digits that is not near an end of the frame.
    #[inline(always)]
    fn short_integer(&mut self) -> Option<u64> {
        let chunk = self.rest.first_chunk::<CHUNK>()?;
        let digits = other_than_digits(chunk).trailing_zeros() as usize;
        // JSON has no leading zeros.
        if digits == 0 || digits >= CHUNK || (chunk[0] == b'0' && digits > 1) {
            return None;
        }
        let value = number(self.before(digits)?, digits, 0);
        self.rest = self.rest.get(digits..)?;
        Some(value)
    }

    /// A number like [`Cursor::integer`] that may be negative.
    #[inline]
    pub fn signed(&mut self) -> Option<i64> {
        let negative = self.has(b"-");
        let value = i64::try_from(self.integer()?).ok()?;
        Some(if negative { -value } else { value })
    }

    /// A time in milliseconds or microseconds, as nanoseconds.
    #[inline(always)]
    pub fn time(&mut self) -> Option<i64> {
        time_ns(self.integer()?)
    }

    /// The bytes before the one `ahead` bytes from here.
    #[inline(always)]
    fn before(&self, ahead: usize) -> Option<&'a [u8; CHUNK]> {
        let end = self.frame.len() - self.rest.len() + ahead;
        if ahead > self.rest.len() || end < CHUNK {
            return None;
        }
        // SAFETY: `rest` is the end of `frame`, so that the bytes from `end - CHUNK` to `end` are in it. The
        // checks of a slice here cost a tenth of a whole depth message.
        Some(unsafe { &*self.frame.as_ptr().add(end - CHUNK).cast() })
    }

    /// A decimal and the quote that ends it.
    #[inline(always)]
    pub fn decimal(&mut self) -> Option<Decimal> {
        match self.short_decimal() {
            Some(decimal) => Some(decimal),
            None => {
                let (decimal, used) = long_decimal(self.rest)?;
                self.rest = self.rest.get(used..)?;
                Some(decimal)
            }
        }
    }

    /// A decimal of at most 15 characters that is not near an end of the frame.
    #[inline(always)]
    fn short_decimal(&mut self) -> Option<Decimal> {
        let chunk = self.rest.first_chunk::<CHUNK>()?;
        let (shape, _) = NumberShape::read(chunk, 0, other_than_digits(chunk))?;
        let decimal = self.value(shape)?;
        self.rest = self.rest.get(shape.end + 1..)?;
        Some(decimal)
    }

    /// A JSON number of any form, exactly. What follows it stays; JSON wants a comma or a bracket there.
    #[inline(always)]
    pub fn number(&mut self) -> Option<Decimal> {
        match self.short_number() {
            Some(decimal) => Some(decimal),
            None => {
                let (decimal, used) = long_number(self.rest)?;
                self.rest = self.rest.get(used..)?;
                Some(decimal)
            }
        }
    }

    /// A number of at most 15 characters, without sign and exponent, that is not near an end of the frame.
    #[inline(always)]
    fn short_number(&mut self) -> Option<Decimal> {
        let chunk = self.rest.first_chunk::<CHUNK>()?;
        let others = other_than_digits(chunk);
        let first = others.trailing_zeros() as usize;
        // JSON has no leading zeros.
        if first == 0 || (chunk[0] == b'0' && first > 1) {
            return None;
        }
        let shape = match *chunk.get(first)? {
            b'.' => {
                let end = without_lowest(others).trailing_zeros() as usize;
                NumberShape { end, digits: end - 1, decimals: end - first - 1 }
            }
            _ => NumberShape { end: first, digits: first, decimals: 0 },
        };
        let exponent = matches!(*chunk.get(shape.end)?, b'e' | b'E');
        if exponent || shape.end == first + 1 {
            return None;
        }
        let decimal = self.value(shape)?;
        self.rest = self.rest.get(shape.end..)?;
        Some(decimal)
    }

    /// Price and quantity of a level, with the quotes around the comma and the one at the end. `shape` is that
    /// of the level before and becomes that of this one.
    #[inline(always)]
    pub fn level(&mut self, shape: &mut LevelShape) -> Option<(Decimal, Decimal)> {
        if let Some(window) = self.rest.first_chunk::<WINDOW>() {
            let others = Others::of(window);
            // Most levels of a message are as long as the one before. Then nothing has to be searched, and the
            // place of the next level does not wait for what is found in this one.
            if others.are(shape) || shape.read(window, &others).is_some() {
                let level = (self.value(shape.price)?, self.value(shape.quantity)?);
                self.rest = self.rest.get(shape.quantity.end + 1..)?;
                return Some(level);
            }
        }
        let (level, cursor) = long_level(*self)?;
        *self = cursor;
        Some(level)
    }

    #[inline(always)]
    fn value(&self, shape: NumberShape) -> Option<Decimal> {
        let mantissa = number(self.before(shape.end)?, shape.digits, shape.decimals);
        Some(Decimal { mantissa: mantissa as i64, exponent: -(shape.decimals as i8) })
    }

    /// A text like [`Cursor::text`], and where it has at most 15 bytes, these bytes as a number.
    #[inline(always)]
    pub fn symbol(&mut self) -> Option<(&'a [u8], Option<u128>)> {
        if let Some(chunk) = self.rest.first_chunk::<CHUNK>() {
            let (quotes, unusual) = text_bytes(chunk);
            let length = quotes.trailing_zeros() as usize;
            if length < CHUNK && unusual & ((1 << length) - 1) == 0 {
                let text = self.rest.get(..length)?;
                self.rest = self.rest.get(length + 1..)?;
                return Some((text, Some(u128::from_le_bytes(*chunk) & FIRST[length])));
            }
        }
        self.text().map(|text| (text, None))
    }

    /// An ASCII text without escapes, and the quote that ends it.
    #[inline(always)]
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let whole = self.rest;
        let mut length = 0;
        while let Some(chunk) = whole.get(length..).and_then(|rest| rest.first_chunk::<CHUNK>()) {
            let (quotes, unusual) = text_bytes(chunk);
            if quotes != 0 {
                let before = quotes.trailing_zeros();
                if unusual & ((1 << before) - 1) != 0 {
                    return None;
                }
                length += before as usize;
                self.rest = whole.get(length + 1..)?;
                return whole.get(..length);
            }
            if unusual != 0 {
                return None;
            }
            length += CHUNK;
        }
        let length = short_text(whole, length)?;
        self.rest = whole.get(length + 1..)?;
        whole.get(..length)
    }
}

// The rare forms are functions of their own, by value: a cursor that is lent to them would live in memory.

/// A level that is not all in the next 32 bytes, and the cursor behind it.
#[cold]
#[inline(never)]
fn long_level(mut cursor: Cursor<'_>) -> Option<((Decimal, Decimal), Cursor<'_>)> {
    let price = cursor.decimal()?;
    cursor.take(b",\"")?;
    let quantity = cursor.decimal()?;
    Some(((price, quantity), cursor))
}

/// Value and length of a number that is long or near the end of the frame.
#[cold]
#[inline(never)]
fn long_integer(rest: &[u8]) -> Option<(u64, usize)> {
    let (value, digits) = parse_digits(rest);
    // JSON has no leading zeros; 18 digits are what always fits an i64.
    let plain = digits == 1 || rest.first() != Some(&b'0');
    (digits > 0 && digits <= 18 && plain).then_some((value, digits))
}

/// Value and length, with the quote, of a decimal that is negative, long or near the end of the frame.
#[cold]
#[inline(never)]
fn long_decimal(rest: &[u8]) -> Option<(Decimal, usize)> {
    let (mantissa, decimals, used) = parse_plain(rest)?;
    let decimal = Decimal { mantissa, exponent: -(decimals as i8) };
    (rest.get(used) == Some(&b'"')).then_some((decimal, used + 1))
}

/// Value and length of a JSON number that is negative, long, near the end of the frame or has an exponent.
#[cold]
#[inline(never)]
fn long_number(rest: &[u8]) -> Option<(Decimal, usize)> {
    let digits = |start: usize| rest.get(start..).map_or(0, |rest| parse_digits(rest).1);
    let start = usize::from(rest.first() == Some(&b'-'));
    let whole = digits(start);
    // JSON has no leading zeros.
    if whole == 0 || (whole > 1 && rest.get(start) == Some(&b'0')) {
        return None;
    }
    let mut end = start + whole;
    if rest.get(end) == Some(&b'.') {
        let decimals = digits(end + 1);
        if decimals == 0 {
            return None;
        }
        end += 1 + decimals;
    }
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        let power = digits(end + 1 + sign);
        if power == 0 {
            return None;
        }
        end += 1 + sign + power;
    }
    Some((Decimal::parse(rest.get(..end)?).ok()?, end))
}

/// The length of a text that reaches into the last bytes of the frame; `length` of it is known.
#[cold]
#[inline(never)]
fn short_text(whole: &[u8], mut length: usize) -> Option<usize> {
    loop {
        match *whole.get(length)? {
            b'"' => return Some(length),
            b'\\' => return None,
            0x20..=0x7f => length += 1,
            _ => return None,
        }
    }
}

/// Where a decimal is: offset of the quote behind it, digits in all and behind the point.
#[derive(Clone, Copy)]
struct NumberShape {
    end: usize,
    digits: usize,
    decimals: usize,
}

impl NumberShape {
    /// The decimal at `start`, from the bits of the bytes that are no digits, and the bits behind its quote.
    /// `None` for what has more than 15 digits, is negative or no decimal.
    #[inline(always)]
    fn read(bytes: &[u8], start: usize, others: u32) -> Option<(NumberShape, u32)> {
        let first = others.trailing_zeros() as usize;
        let rest = without_lowest(others);
        let (shape, rest) = match *bytes.get(first)? {
            b'.' => {
                let end = rest.trailing_zeros() as usize;
                if *bytes.get(end)? != b'"' || first == start || end == first + 1 {
                    return None;
                }
                (
                    NumberShape { end, digits: end - start - 1, decimals: end - first - 1 },
                    without_lowest(rest),
                )
            }
            b'"' if first > start => (NumberShape { end: first, digits: first - start, decimals: 0 }, rest),
            _ => return None,
        };
        (shape.digits < CHUNK).then_some((shape, rest))
    }
}

/// The bytes of a window with '0' for every digit, and one bit for each of the others.
struct Others {
    low: [u8; CHUNK],
    high: [u8; CHUNK],
    bits: u32,
}

impl Others {
    #[inline(always)]
    fn of(window: &[u8; WINDOW]) -> Others {
        let (low, high) = window.split_at(CHUNK);
        let part = |part: &[u8]| part.first_chunk().map_or(([0; CHUNK], 0), blank_digits);
        let ((low, low_bits), (high, high_bits)) = (part(low), part(high));
        Others { low, high, bits: low_bits | high_bits << CHUNK }
    }

    /// Whether they are those of `shape`, as far as its level goes.
    #[inline(always)]
    fn are(&self, shape: &LevelShape) -> bool {
        let same = equal_bytes(&self.low, &shape.low) | equal_bytes(&self.high, &shape.high) << CHUNK;
        same & shape.extent == shape.extent
    }
}

/// How a level is written: where its numbers are, and all its bytes that are no digits.
pub struct LevelShape {
    low: [u8; CHUNK],
    high: [u8; CHUNK],
    extent: u32,
    price: NumberShape,
    quantity: NumberShape,
}

impl LevelShape {
    /// A shape that no level has: of the digits, only '0' is ever in it.
    pub const NONE: LevelShape = LevelShape {
        low: [b'1'; CHUNK],
        high: [b'1'; CHUNK],
        extent: u32::MAX,
        price: NumberShape { end: 0, digits: 1, decimals: 0 },
        quantity: NumberShape { end: 0, digits: 1, decimals: 0 },
    };

    /// Takes the shape of the level at the start of the window; `None` where it is not all in it.
    #[inline(always)]
    fn read(&mut self, window: &[u8; WINDOW], others: &Others) -> Option<()> {
        let (price, rest) = NumberShape::read(window, 0, others.bits)?;
        if window.get(price.end..price.end + 3)? != b"\",\"" {
            return None;
        }
        // The comma and the quote in front of the quantity.
        let (quantity, _) = NumberShape::read(window, price.end + 3, without_lowest(without_lowest(rest)))?;
        let extent = u32::MAX >> (WINDOW - 1 - quantity.end);
        *self = LevelShape { low: others.low, high: others.high, extent, price, quantity };
        Some(())
    }
}

#[inline(always)]
fn without_lowest(bits: u32) -> u32 {
    bits & bits.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Both with bytes behind the value (a whole chunk to look at) and without.
    fn both<T: PartialEq + std::fmt::Debug>(
        text: &[u8],
        read: impl Fn(&mut Cursor<'_>) -> Option<T>,
    ) -> Option<T> {
        let long = [text, b",\"more\":\"0123456789abcdef\"}"].concat();
        let (mut near, mut far) = (Cursor::new(text), Cursor::new(&long));
        let value = read(&mut near);
        assert_eq!(value, read(&mut far));
        value
    }

    #[test]
    fn integers_are_those_of_json() {
        let read = |text: &str| both(text.as_bytes(), |cursor| cursor.integer());
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("1723161255343"), Some(1_723_161_255_343));
        assert_eq!(read("123456789012345678"), Some(123_456_789_012_345_678));
        for bad in ["", "-1", "01", "00", "1234567890123456789", "x", "\"1\""] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(both(b"-1", |cursor| cursor.signed()), Some(-1));
        assert_eq!(both(b"--1", |cursor| cursor.signed()), None);
    }

    #[test]
    fn texts_end_at_their_quote() {
        let read = |text: &[u8]| both(text, |cursor| cursor.text().map(<[u8]>::to_vec));
        for good in
            ["\"", "BTCUSDT\"", "btcusd_perp@depth@100ms\"", "0123456789abcdef\"", "0123456789abcde\""]
        {
            assert_eq!(read(good.as_bytes()), Some(good.as_bytes()[..good.len() - 1].to_vec()));
        }
        for bad in ["a\\\"b\"", "a\nb\"", "ü\"", "0123456789abcdefg\\n\""] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn decimals_are_those_of_the_core(text in "-?[0-9]{0,12}(\\.[0-9]{0,10})?") {
            let expected = parse_plain(text.as_bytes()).filter(|(_, _, used)| *used == text.len());
            let read = both(format!("{text}\"").as_bytes(), |cursor| cursor.decimal());
            prop_assert_eq!(read, expected.map(|(m, d, _)| Decimal::new(m, -(d as i8))));
        }

        #[test]
        fn numbers_are_those_of_json(text in "-?[0-9]{0,12}(\\.[0-9]{0,10})?([eE][+-]?[0-9]{0,2})?") {
            let json = sonic_rs::from_str::<sonic_rs::LazyValue<'_>>(&text).is_ok();
            let expected = Decimal::parse(text.as_bytes()).ok().filter(|_| json);
            for end in [",\"more\":\"0123456789abcdef\"}", "]", ""] {
                for start in ["", "{\"channel\":\"0123\",\"price\":"] {
                    let frame = [start, &text, end].concat();
                    let mut cursor = Cursor::new(frame.as_bytes());
                    cursor.rest = &frame.as_bytes()[start.len()..];
                    // Of a longer text its start may be a number; what follows then says that it was none.
                    let read = cursor.number().filter(|_| cursor.rest.len() == end.len());
                    prop_assert_eq!(read, expected, "{}", frame);
                }
            }
        }

        #[test]
        fn no_bytes_are_read_as_a_decimal_that_the_core_refuses(bytes in proptest::collection::vec(0x20u8..0x40, 0..24)) {
            let text: Vec<u8> = bytes.iter().copied().take_while(|byte| *byte != b'"').collect();
            if let Some(value) = Cursor::new(&bytes).decimal() {
                prop_assert_eq!(Decimal::parse(&text), Ok(value));
            }
        }
    }
}

//! The general path of what comes with every change of the market: trades, books and quotes.

use marketprism_core::record::{ABSENT, Sink};
use marketprism_core::venue::DecodeError;
use marketprism_core::{Decimal, Kind};
use marketprism_parse::json::{Object, Value, bad};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::Envelope;

use crate::fields::{BookFields, NO_LEVEL, QuoteFields, TradeFields, side};
use crate::general::{General, given, time, unfit};

impl General<'_> {
    pub(crate) fn trade(&mut self, envelope: Envelope, entry: &Object<'_>) -> Result<(), DecodeError> {
        let fills = match given(entry, "count") {
            Some(count) => count.unsigned().and_then(|count| u32::try_from(count).ok()),
            None => Some(0),
        };
        let fields = TradeFields {
            match_ns: time(entry, "ts")?,
            id: entry.unsigned("tradeId")?,
            price: entry.decimal("px")?,
            quantity: entry.decimal("sz")?,
            side: side(entry.text("side")?.as_bytes()),
            fills: fills.ok_or_else(|| bad("count", "not a number of 32 bits"))?,
        };
        self.sink().push(&fields.record(envelope));
        Ok(())
    }

    pub(crate) fn book_snapshot(
        &mut self,
        envelope: Envelope,
        entry: &Object<'_>,
    ) -> Result<(), DecodeError> {
        self.book(Kind::BookSnapshot, envelope, entry)
    }

    pub(crate) fn book_delta(&mut self, envelope: Envelope, entry: &Object<'_>) -> Result<(), DecodeError> {
        self.book(Kind::BookDelta, envelope, entry)
    }

    fn book(&mut self, kind: Kind, envelope: Envelope, entry: &Object<'_>) -> Result<(), DecodeError> {
        let read = read_book(self.levels, entry)?;
        let checksum = entry.signed_or("checksum", 0)?;
        let checksum = i32::try_from(checksum).map_err(|_| bad("checksum", "not a number of 32 bits"))?;
        let fields = BookFields {
            kind,
            partial: false,
            exchange_ns: time(entry, "ts")?,
            sequence: sequence(entry)?,
            previous_id: entry.signed_or("prevSeqId", ABSENT)?,
            checksum: if read.canonical { checksum } else { 0 },
            bid_levels: read.bid_levels,
        };
        self.push_book(envelope, fields);
        Ok(())
    }

    /// `books5`.
    pub(crate) fn book_top(&mut self, envelope: Envelope, entry: &Object<'_>) -> Result<(), DecodeError> {
        let fields = top(self.levels, entry)?;
        self.push_book(envelope, fields);
        Ok(())
    }

    fn push_book(&mut self, envelope: Envelope, fields: BookFields) {
        let record = fields.record(envelope, self.levels);
        let sink: &mut dyn Sink = self.staged;
        sink.push_book(&record, self.levels.levels());
    }

    pub(crate) fn quote(&mut self, envelope: Envelope, entry: &Object<'_>) -> Result<(), DecodeError> {
        let best = |key| match rows(entry, key)?.next() {
            Some(row) => level(&row, key).map(|[price, size]| (price.value, size.value)),
            None => Ok(NO_LEVEL),
        };
        let fields = QuoteFields {
            exchange_ns: time(entry, "ts")?,
            sequence: sequence(entry)?,
            bid: best("bids")?,
            ask: best("asks")?,
        };
        let record = fields.record(envelope).map_err(unfit)?;
        self.sink().push(&record);
        Ok(())
    }
}

/// The best levels of a book, whole in every message; the levels are in the buffer.
pub(crate) fn top(levels: &mut LevelBuffer, entry: &Object<'_>) -> Result<BookFields, DecodeError> {
    let read = read_book(levels, entry)?;
    Ok(BookFields {
        kind: Kind::BookSnapshot,
        partial: true,
        exchange_ns: time(entry, "ts")?,
        sequence: sequence(entry)?,
        previous_id: ABSENT,
        checksum: 0,
        bid_levels: read.bid_levels,
    })
}

/// The id of a message; 0 where it has none.
fn sequence(entry: &Object<'_>) -> Result<u64, DecodeError> {
    entry.get("seqId").map_or(Ok(0), |_| entry.unsigned("seqId"))
}

/// What is to be known of a book besides its levels.
struct ReadBook {
    bid_levels: usize,
    /// Whether every price and size is written in canonical form.
    canonical: bool,
}

/// Reads both sides into the buffer, bids first.
fn read_book(levels: &mut LevelBuffer, entry: &Object<'_>) -> Result<ReadBook, DecodeError> {
    // Values that fit no common exponent as sent may fit one without their trailing zeros.
    match fill(levels, entry, false)? {
        Some(read) => Ok(read),
        None => fill(levels, entry, true)?
            .ok_or_else(|| bad("bids", "too many levels, or values that do not fit 64 bits together")),
    }
}

fn fill(
    levels: &mut LevelBuffer,
    entry: &Object<'_>,
    normalised: bool,
) -> Result<Option<ReadBook>, DecodeError> {
    levels.clear();
    let mut read = ReadBook { bid_levels: 0, canonical: true };
    for side in ["bids", "asks"] {
        for row in rows(entry, side)? {
            let [mut price, mut size] = level(&row, side)?;
            read.canonical &= price.canonical && size.canonical;
            if normalised {
                (price.value, size.value) = (price.value.normalised(), size.value.normalised());
            }
            if levels.push(price.value, size.value).is_none() {
                return Ok(None);
            }
        }
        if side == "bids" {
            read.bid_levels = levels.levels().len();
        }
    }
    Ok(Some(read))
}

fn rows<'a>(
    entry: &Object<'a>,
    side: &'static str,
) -> Result<impl Iterator<Item = Value<'a>> + use<'a>, DecodeError> {
    entry.need(side)?.elements().ok_or_else(|| bad(side, "not an array"))
}

/// A number of a level and how it was written.
struct Number {
    value: Decimal,
    canonical: bool,
}

/// Price and size of a row; what follows them has changed over the years and says nothing of the book.
fn level(row: &Value<'_>, side: &'static str) -> Result<[Number; 2], DecodeError> {
    let mut values = row.elements().ok_or_else(|| bad(side, "a level that is no array"))?;
    let mut next = || {
        let value = values.next().ok_or_else(|| bad(side, "a level without price or size"))?;
        let text = value.text().unwrap_or_else(|| value.raw().into());
        let parsed = Decimal::parse(text.as_bytes()).map_err(|error| bad(side, error.to_string()))?;
        Ok(Number { value: parsed, canonical: is_canonical(text.as_bytes()) })
    };
    Ok([next()?, next()?])
}

/// Whether a number that was read as a decimal is written without needless characters: what the engine makes of
/// the decimal is then this text again, which is what the venue's checksum is made of.
fn is_canonical(text: &[u8]) -> bool {
    let plain = text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let leading_zero = matches!(text, [b'0', next, ..] if *next != b'.');
    let trailing_zero = text.ends_with(b"0") && text.contains(&b'.');
    plain && !leading_zero && !trailing_zero
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn needless_characters_are_seen() {
        for good in ["0", "1", "10", "8477", "0.5", "0.00000074351", "100.05"] {
            assert!(is_canonical(good.as_bytes()), "{good}");
        }
        for bad in ["00", "01", "0.0", "1.0", "1.50", "00.5", "1e5", "-1", "-0", "1.5E3"] {
            assert!(!is_canonical(bad.as_bytes()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn canonical_is_what_the_engine_writes_again(text in "[0-9]{1,6}(\\.[0-9]{1,6})?") {
            let short = text.parse::<Decimal>().unwrap().normalised();
            let written = if short.exponent > 0 { short.rescale(0).unwrap() } else { short }.to_string();
            prop_assert_eq!(is_canonical(text.as_bytes()), written == text);
        }
    }
}

//! The levels of a message: which book they belong to, and how the general path reads them.

use marketprism_core::Kind;
use marketprism_core::record::flag;
use marketprism_core::venue::DecodeError;
use marketprism_parse::json::{Object, bad};
use marketprism_parse::levels::LevelBuffer;
use marketprism_parse::numbers::NO_DECIMAL;

/// What the levels of a `depthUpdate` are. Diffs, whole tops and books with hidden orders have the same event
/// name; only the name of the stream tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Changed levels.
    Delta,
    /// The whole top.
    Top,
    /// A book that the diffs do not belong to.
    Other,
    /// A stream that is not known.
    Unknown,
}

/// Flags of the top of a book.
pub(crate) const TOP_FLAGS: u8 = flag::SNAPSHOT | flag::PARTIAL;

impl Depth {
    /// Kind and flags of the record; `None` where there is none.
    #[inline(always)]
    pub(crate) fn record_form(self) -> Option<(Kind, u8)> {
        match self {
            Depth::Delta => Some((Kind::BookDelta, 0)),
            Depth::Top => Some((Kind::BookSnapshot, TOP_FLAGS)),
            Depth::Other | Depth::Unknown => None,
        }
    }
}

/// What the stream's name says of its levels; without a name they are diffs.
#[inline(always)]
pub(crate) fn depth_of(stream: Option<&[u8]>) -> Depth {
    let Some(stream) = stream else { return Depth::Delta };
    let Some(at) = stream.iter().position(|byte| *byte == b'@') else { return Depth::Unknown };
    match stream.get(at..).unwrap_or_default() {
        b"@depth" | [b'@', b'd', b'e', b'p', b't', b'h', b'@', ..] => Depth::Delta,
        [b'@', b'd', b'e', b'p', b't', b'h', b'0'..=b'9', ..] => Depth::Top,
        suffix if suffix.starts_with(b"@rpiDepth") => Depth::Other,
        _ => Depth::Unknown,
    }
}

/// Reads both sides into the buffer; the number of bids.
pub(crate) fn read_book(
    levels: &mut LevelBuffer,
    holder: &Object<'_>,
    sides: [&'static str; 2],
) -> Result<usize, DecodeError> {
    // Values that fit no common exponent as sent may fit one without their trailing zeros.
    match fill(levels, holder, sides, false)? {
        Some(bids) => Ok(bids),
        None => fill(levels, holder, sides, true)?
            .ok_or_else(|| bad(sides[0], "too many levels, or values that do not fit 64 bits together")),
    }
}

fn fill(
    levels: &mut LevelBuffer,
    holder: &Object<'_>,
    sides: [&'static str; 2],
    normalised: bool,
) -> Result<Option<usize>, DecodeError> {
    levels.clear();
    let mut bids = 0;
    for (index, side) in sides.into_iter().enumerate() {
        let entries = holder.need(side)?.elements().ok_or_else(|| bad(side, "not an array"))?;
        for entry in entries {
            let mut values = entry.elements().ok_or_else(|| bad(side, "a level that is no array"))?;
            let mut next = || match values.next().map(|value| value.decimal()) {
                Some(Ok(NO_DECIMAL)) | None => Err(bad(side, "a level without price or quantity")),
                Some(value) => value.map_err(|problem| bad(side, problem)),
            };
            let (mut price, mut quantity) = (next()?, next()?);
            if normalised {
                (price, quantity) = (price.normalised(), quantity.normalised());
            }
            if levels.push(price, quantity).is_none() {
                return Ok(None);
            }
        }
        if index == 0 {
            bids = levels.levels().len();
        }
    }
    Ok(Some(bids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_tell_what_a_depth_message_is() {
        for (stream, depth) in [
            ("btcusdt@depth", Depth::Delta),
            ("btcusdt@depth@100ms", Depth::Delta),
            ("btcusdt@depth5", Depth::Top),
            ("btcusd_perp@depth20@500ms", Depth::Top),
            ("btcusdt@rpiDepth@500ms", Depth::Other),
            ("btcusdt@depths", Depth::Unknown),
            ("btcusdt@trade", Depth::Unknown),
            ("btcusdt", Depth::Unknown),
        ] {
            assert_eq!(depth_of(Some(stream.as_bytes())), depth, "{stream}");
        }
        assert_eq!(depth_of(None), Depth::Delta);
    }
}

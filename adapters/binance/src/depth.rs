//! Which book the levels of a message belong to.

/// What the levels of a `depthUpdate` are. Diffs, whole tops and books with hidden orders have the same event
/// name; only the name of the stream tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Changed levels.
    Delta,
    /// The whole top.
    Snapshot,
    /// A book that the diffs do not belong to.
    Other,
    /// A stream that is not known.
    Unknown,
}

/// What the stream's name says of its levels; without a name they are diffs.
#[inline(always)]
pub(crate) fn depth_of(stream: Option<&[u8]>) -> Depth {
    let Some(stream) = stream else { return Depth::Delta };
    let Some(at) = stream.iter().position(|byte| *byte == b'@') else { return Depth::Unknown };
    match stream.get(at..).unwrap_or_default() {
        b"@depth" | [b'@', b'd', b'e', b'p', b't', b'h', b'@', ..] => Depth::Delta,
        [b'@', b'd', b'e', b'p', b't', b'h', b'0'..=b'9', ..] => Depth::Snapshot,
        suffix if suffix.starts_with(b"@rpiDepth") => Depth::Other,
        _ => Depth::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_tell_what_a_depth_message_is() {
        for (stream, depth) in [
            ("btcusdt@depth", Depth::Delta),
            ("btcusdt@depth@100ms", Depth::Delta),
            ("btcusdt@depth5", Depth::Snapshot),
            ("btcusd_perp@depth20@500ms", Depth::Snapshot),
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

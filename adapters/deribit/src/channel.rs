//! The channel names of notifications.

use marketprism_core::clock::NS_PER_MS;

/// What the data of a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A book, whole at first and then its changes.
    Book,
    /// The best levels of a book, whole in every message.
    GroupedBook,
    /// Trades.
    Trades,
    /// Best bid and ask.
    Quote,
    /// Everything that the venue knows of an instrument's price.
    Ticker,
    /// The price of an index.
    PriceIndex,
    /// A volatility index.
    VolatilityIndex,
    /// Bars.
    Candle,
    /// Instruments came, went or changed.
    Lifecycle,
}

/// A channel's name in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channel<'a> {
    /// What its data is.
    pub(crate) content: Content,
    /// The instrument or index, for data that does not name its own.
    pub(crate) subject: &'a [u8],
    /// What follows: interval or resolution.
    pub(crate) option: &'a [u8],
}

impl<'a> Channel<'a> {
    /// Takes a name apart; `None` for a channel that is never subscribed here.
    #[inline]
    pub(crate) fn parse(name: &'a [u8]) -> Option<Channel<'a>> {
        let (first, rest) = split(name);
        let (subject, option) = split(rest);
        let content = match first {
            b"book" if option.contains(&b'.') => Content::GroupedBook,
            b"book" => Content::Book,
            b"trades" => Content::Trades,
            b"quote" => Content::Quote,
            b"ticker" => Content::Ticker,
            b"deribit_price_index" => Content::PriceIndex,
            b"deribit_volatility_index" => Content::VolatilityIndex,
            b"chart" if subject == b"trades" => {
                let (subject, option) = split(option);
                return Some(Channel { content: Content::Candle, subject, option });
            }
            b"instrument" if subject == b"state" => Content::Lifecycle,
            _ => return None,
        };
        Some(Channel { content, subject, option })
    }
}

/// What is before the first point and what is behind it.
#[inline]
fn split(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'.') {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, &[]),
    }
}

/// Resolutions of candles: minutes, or a day.
pub(crate) const RESOLUTIONS: [&str; 12] =
    ["1", "3", "5", "10", "15", "30", "60", "120", "180", "360", "720", "1D"];

/// The length of a bar in nanoseconds; `None` for what is none of [`RESOLUTIONS`].
pub(crate) fn resolution_ns(resolution: &[u8]) -> Option<i64> {
    let known = RESOLUTIONS.into_iter().find(|known| known.as_bytes() == resolution)?;
    let minutes = if known == "1D" { 24 * 60 } else { known.parse().ok()? };
    Some(minutes * 60_000 * NS_PER_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (name, content, subject, option) in [
            ("book.BTC-PERPETUAL.raw", Content::Book, "BTC-PERPETUAL", "raw"),
            ("book.BTC-PERPETUAL.none.20.100ms", Content::GroupedBook, "BTC-PERPETUAL", "none.20.100ms"),
            ("trades.option.any.100ms", Content::Trades, "option", "any.100ms"),
            ("quote.BTC_USDC", Content::Quote, "BTC_USDC", ""),
            ("ticker.XRP_USDC-30JUN23-0d625-C.agg2", Content::Ticker, "XRP_USDC-30JUN23-0d625-C", "agg2"),
            ("deribit_price_index.btc_usd", Content::PriceIndex, "btc_usd", ""),
            ("deribit_volatility_index.eth_usd", Content::VolatilityIndex, "eth_usd", ""),
            ("chart.trades.BTC-PERPETUAL.1D", Content::Candle, "BTC-PERPETUAL", "1D"),
            ("instrument.state.any.any", Content::Lifecycle, "state", "any.any"),
        ] {
            let expected = Channel { content, subject: subject.as_bytes(), option: option.as_bytes() };
            assert_eq!(Channel::parse(name.as_bytes()), Some(expected), "{name}");
        }
        for unknown in ["", ".", "platform_state", "chart.other.X.1", "instrument.X", "books.X.raw"] {
            assert_eq!(Channel::parse(unknown.as_bytes()), None, "{unknown}");
        }
    }

    #[test]
    fn resolutions_are_minutes_or_a_day() {
        assert_eq!(resolution_ns(b"1"), Some(60_000_000_000));
        assert_eq!(resolution_ns(b"720"), Some(43_200_000_000_000));
        assert_eq!(resolution_ns(b"1D"), Some(86_400_000_000_000));
        assert_eq!((resolution_ns(b"7"), resolution_ns(b""), resolution_ns(b"01")), (None, None, None));
    }
}

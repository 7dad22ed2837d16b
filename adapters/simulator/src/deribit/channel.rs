//! The channels of the venue and their names.

use super::catalogue::Spec;

/// How often a channel is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Interval {
    /// On every change; for authenticated connections.
    Raw,
    HundredMs,
    /// About once a second.
    Agg2,
}

impl Interval {
    pub(super) const ALL: [Interval; 3] = [Interval::Raw, Interval::HundredMs, Interval::Agg2];

    pub(super) fn name(self) -> &'static str {
        ["raw", "100ms", "agg2"][self as usize]
    }

    /// Milliseconds between two pushes.
    pub(super) fn grid_ms(self) -> u64 {
        [0, 100, 1000][self as usize]
    }
}

/// Minutes of the candles, as in the channel name, and in milliseconds.
pub(super) const RESOLUTIONS: [(&str, u64); 12] = [
    ("1", 60_000),
    ("3", 180_000),
    ("5", 300_000),
    ("10", 600_000),
    ("15", 900_000),
    ("30", 1_800_000),
    ("60", 3_600_000),
    ("120", 7_200_000),
    ("180", 10_800_000),
    ("360", 21_600_000),
    ("720", 43_200_000),
    ("1D", 86_400_000),
];

/// A channel of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Channel {
    Book(Interval),
    /// The best levels, ungrouped: their number and the interval.
    Window(usize, Interval),
    Trades(Interval),
    Ticker(Interval),
    Quote,
    /// A place in [`RESOLUTIONS`].
    Candles(usize),
    /// Funding of a perpetual.
    Funding(Interval),
}

impl Channel {
    /// All channels of an instrument, in the order of their topics.
    pub(super) fn all(spec: &Spec) -> Vec<Channel> {
        let mut all = Vec::new();
        for interval in Interval::ALL {
            all.extend([Channel::Book(interval), Channel::Trades(interval), Channel::Ticker(interval)]);
            if spec.market == "perpetual" {
                all.push(Channel::Funding(interval));
            }
            if interval != Interval::Raw {
                all.extend([1, 10, 20].map(|depth| Channel::Window(depth, interval)));
            }
        }
        all.push(Channel::Quote);
        all.extend((0..RESOLUTIONS.len()).map(Channel::Candles));
        all
    }

    /// The name to subscribe, e.g. `book.BTC-PERPETUAL.100ms`.
    pub(super) fn name(self, instrument: &str) -> String {
        match self {
            Channel::Book(interval) => format!("book.{instrument}.{}", interval.name()),
            Channel::Window(depth, interval) => format!("book.{instrument}.none.{depth}.{}", interval.name()),
            Channel::Trades(interval) => format!("trades.{instrument}.{}", interval.name()),
            Channel::Ticker(interval) => format!("ticker.{instrument}.{}", interval.name()),
            Channel::Quote => format!("quote.{instrument}"),
            Channel::Candles(resolution) => {
                format!("chart.trades.{instrument}.{}", RESOLUTIONS[resolution].0)
            }
            Channel::Funding(interval) => format!("perpetual.{instrument}.{}", interval.name()),
        }
    }

    /// Milliseconds between two pushes; 0 is at once.
    pub(super) fn grid_ms(self) -> u64 {
        match self {
            Channel::Book(interval)
            | Channel::Window(_, interval)
            | Channel::Trades(interval)
            | Channel::Ticker(interval) => interval.grid_ms(),
            Channel::Funding(interval) => interval.grid_ms().max(100),
            Channel::Quote | Channel::Candles(_) => 0,
        }
    }
}

/// Kinds of instruments in the names of channels for many.
pub(super) const KINDS: [&str; 7] =
    ["future", "option", "spot", "future_combo", "option_combo", "combo", "any"];
/// Currencies in the names of channels for many.
pub(super) const CURRENCIES: [&str; 6] = ["BTC", "ETH", "USDC", "USDT", "EURR", "any"];

/// Whether a channel for a kind and a currency has an instrument.
pub(super) fn covers(kind: &str, currency: &str, spec: &Spec) -> bool {
    let of_kind =
        kind == "any" || kind == spec.kind() || (kind == "combo" && spec.kind().ends_with("_combo"));
    of_kind && (currency == "any" || currency == spec.currency())
}

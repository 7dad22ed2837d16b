//! Channels: which exist, and which ones bring the same.

use marketprism_core::Instrument;
use marketprism_core::instrument::InstrumentType;

use super::instrument::{currency, kind};
use super::object::Object;
use crate::history::chained::Past;

const INTERVALS: [&str; 3] = ["raw", "100ms", "agg2"];
const DEPTHS: [usize; 3] = [1, 10, 20];
const RESOLUTIONS: [&str; 12] = ["1", "3", "5", "10", "15", "30", "60", "120", "180", "360", "720", "1D"];
const MARKETS: [&str; 5] = ["perpetual", "future", "option", "spot", "combo"];

/// A channel without what the log does not keep. Names are those of instruments and indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stream {
    Book(String),
    /// The best levels, and how many there are.
    Window(String, usize),
    Trades(String),
    Ticker(String),
    Quote(String),
    /// With the resolution.
    Candles(String, String),
    Index(String),
    Volatility(String),
}

impl Stream {
    /// The channels that bring it, in groups: only the first group that somebody subscribed does.
    pub(crate) fn channels(&self) -> Vec<Vec<String>> {
        let often = |first: String| INTERVALS.map(|interval| format!("{first}.{interval}")).to_vec();
        match self {
            Stream::Book(name) => vec![often(format!("book.{name}"))],
            // Which depth was subscribed is not kept: it is the lowest that has room for the levels.
            Stream::Window(name, levels) => {
                let deep = DEPTHS.into_iter().filter(|depth| depth >= levels);
                deep.map(|depth| often(format!("book.{name}.none.{depth}"))).collect()
            }
            Stream::Trades(name) => vec![often(format!("trades.{name}"))],
            Stream::Ticker(name) => vec![often(format!("ticker.{name}"))],
            Stream::Quote(name) => vec![vec![format!("quote.{name}")]],
            Stream::Candles(name, resolution) => vec![vec![format!("chart.trades.{name}.{resolution}")]],
            Stream::Index(name) => vec![vec![format!("deribit_price_index.{name}")]],
            Stream::Volatility(name) => vec![vec![format!("deribit_volatility_index.{name}")]],
        }
    }

    /// Whether it is the same in every market.
    pub(crate) fn is_of_index(&self) -> bool {
        matches!(self, Stream::Index(_) | Stream::Volatility(_))
    }
}

/// The channels for many instruments with a message of one of them.
fn wide(prefix: &str, instrument: &Instrument, suffixes: &[&str]) -> Vec<String> {
    let combo = if instrument.instrument_type == InstrumentType::Combo { Some("combo") } else { None };
    let kinds = [Some(kind(instrument)), combo, Some("any")].into_iter().flatten();
    let names = kinds
        .flat_map(|kind| [currency(instrument), "any"].map(|currency| format!("{prefix}.{kind}.{currency}")));
    names.flat_map(|name| suffixes.iter().map(move |suffix| format!("{name}{suffix}"))).collect()
}

/// The channels that bring the trades of many instruments.
pub(crate) fn wide_trades(instrument: &Instrument) -> Vec<String> {
    wide("trades", instrument, &[".raw", ".100ms", ".agg2"])
}

/// The channels that tell of an instrument's state, and what they tell.
pub(crate) fn state(instrument: &Instrument, time_ns: i64) -> (Vec<String>, String) {
    let state = if instrument.delisted { "closed" } else { "started" };
    let data = Object::new().time("timestamp", time_ns).text("state", state);
    (
        wide("instrument.state", instrument, &[""]),
        data.text("instrument_name", &instrument.venue_symbol).end(),
    )
}

/// The market of a channel that a client may subscribe now; `None` where there is no such channel or instrument.
pub(crate) fn exists(channel: &str, past: &Past) -> Option<&'static str> {
    let parts: Vec<&str> = channel.split('.').collect();
    let is_depth = |depth: &str| DEPTHS.iter().any(|known| known.to_string() == depth);
    let market = match parts.as_slice() {
        ["book" | "trades" | "ticker", name, interval] if INTERVALS.contains(interval) => {
            &past.instrument(name)?.market
        }
        ["book", name, "none", depth, "100ms" | "agg2"] if is_depth(depth) => &past.instrument(name)?.market,
        ["quote", name] => &past.instrument(name)?.market,
        ["chart", "trades", name, resolution] if RESOLUTIONS.contains(resolution) => {
            &past.instrument(name)?.market
        }
        ["deribit_price_index" | "deribit_volatility_index", name] => &past.index(name)?.market,
        _ => return None,
    };
    MARKETS.into_iter().find(|known| known == market)
}

//! The columns of each kind of record. Names are those of `query --format json`.

use marketprism_core::record::{Greeks, Kind};

use super::column::Type;
use super::column::Type::{Bytes, Flag, Number, Rate, Signed, Text, Time, Unsigned, Word};

/// Columns of every kind, before its own.
const FIRST: [(&str, Type); 3] = [("sequence", Unsigned), ("receive_ns", Time), ("exchange_ns", Time)];

/// Columns of every kind, behind its own: the flags, and the whole record as JSON where a number of it does not fit
/// its column and is NULL there.
const LAST: [(&str, Type); 7] = [
    ("snapshot", Flag),
    ("backfilled", Flag),
    ("rest", Flag),
    ("book_invalid", Flag),
    ("suspect_clock", Flag),
    ("derived", Flag),
    ("exact_json", Text),
];

const TRADE: &[(&str, Type)] = &[
    ("price", Number),
    ("quantity", Number),
    ("side", Word),
    ("trade_id", Unsigned),
    ("first_trade_id", Unsigned),
    ("last_trade_id", Unsigned),
    ("event_ns", Time),
    ("trade_type", Word),
    ("venue_trade_id", Text),
    ("trade_sequence", Unsigned),
    ("mark_price", Number),
    ("index_price", Number),
    ("iv", Rate),
    ("liquidation", Word),
    ("block", Flag),
    ("combo", Flag),
];

const AGG_TRADE: &[(&str, Type)] = &[
    ("price", Number),
    ("quantity", Number),
    ("normal_quantity", Number),
    ("side", Word),
    ("trade_id", Unsigned),
    ("first_trade_id", Unsigned),
    ("last_trade_id", Unsigned),
    ("event_ns", Time),
];

const BOOK: &[(&str, Type)] = &[
    ("bids", Type::Levels),
    ("asks", Type::Levels),
    ("checksum", Signed),
    ("first_id", Unsigned),
    ("last_id", Unsigned),
    ("previous_id", Signed),
    ("event_ns", Time),
    ("partial", Flag),
];

const QUOTE: &[(&str, Type)] = &[
    ("bid_price", Number),
    ("bid_quantity", Number),
    ("ask_price", Number),
    ("ask_quantity", Number),
    ("update_id", Unsigned),
];

const TICKER: &[(&str, Type)] = &[
    ("last", Number),
    ("open", Number),
    ("high", Number),
    ("low", Number),
    ("volume", Number),
    ("quote_volume", Number),
    ("base_volume", Number),
    ("weighted_average", Number),
    ("last_quantity", Number),
    ("bid_price", Number),
    ("bid_quantity", Number),
    ("ask_price", Number),
    ("ask_quantity", Number),
    ("open_ns", Time),
    ("close_ns", Time),
    ("first_trade_id", Signed),
    ("last_trade_id", Signed),
    ("trades", Signed),
];

const MARK_PRICE: &[(&str, Type)] = &[
    ("mark_price", Number),
    ("index_price", Number),
    ("settlement_price", Number),
    ("average_price", Number),
];

const FUNDING_RATE: &[(&str, Type)] = &[
    ("rate", Rate),
    ("next_funding_ns", Time),
    ("interval_ns", Signed),
    ("realised_rate", Rate),
    ("premium", Rate),
    ("interest_rate", Rate),
];

const OPEN_INTEREST: &[(&str, Type)] =
    &[("open_interest", Number), ("open_interest_value", Number), ("open_interest_base", Number)];

const LIQUIDATION: &[(&str, Type)] = &[
    ("side", Word),
    ("price", Number),
    ("quantity", Number),
    ("average_price", Number),
    ("filled_quantity", Number),
    ("last_quantity", Number),
    ("status", Text),
    ("event_ns", Time),
];

const CANDLE: &[(&str, Type)] = &[
    ("interval", Text),
    ("open_ns", Time),
    ("close_ns", Time),
    ("open", Number),
    ("high", Number),
    ("low", Number),
    ("close", Number),
    ("volume", Number),
    ("quote_volume", Number),
    ("trades", Signed),
    ("taker_buy_volume", Number),
    ("taker_buy_quote_volume", Number),
    ("closed", Flag),
];

const LONG_SHORT_RATIO: &[(&str, Type)] =
    &[("basis", Word), ("period", Text), ("ratio", Rate), ("long_share", Rate), ("short_share", Rate)];

const INSTRUMENT: &[(&str, Type)] = &[("definition", Text)];

const SESSION: &[(&str, Type)] = &[("event", Word), ("connection", Unsigned), ("detail", Text)];

const GAP: &[(&str, Type)] = &[
    ("stream", Word),
    ("reason", Word),
    ("from_id", Unsigned),
    ("to_id", Unsigned),
    ("from_ns", Time),
    ("records", Unsigned),
    ("repaired", Flag),
];

const RAW: &[(&str, Type)] = &[
    ("reason", Text),
    ("frame", Bytes),
    ("frame_bytes", Unsigned),
    ("offset", Unsigned),
    ("connection", Unsigned),
];

const GREEKS: [(&str, Type); 16] = {
    let mut columns = [("", Rate); 16];
    let mut index = 0;
    while index < columns.len() {
        columns[index].0 = Greeks::NAMES[index];
        index += 1;
    }
    columns
};

const VOLATILITY_INDEX: &[(&str, Type)] = &[("volatility", Number)];

const CLOCK_SAMPLE: &[(&str, Type)] = &[("request_ns", Time), ("resolution_ns", Signed)];

/// All columns of a kind, in their order.
pub(super) fn columns(kind: Kind) -> impl Iterator<Item = (&'static str, Type)> {
    let own: &'static [(&str, Type)] = match kind {
        Kind::Trade | Kind::DetailedTrade => TRADE,
        Kind::AggTrade => AGG_TRADE,
        Kind::BookSnapshot | Kind::BookDelta => BOOK,
        Kind::Quote => QUOTE,
        Kind::Ticker => TICKER,
        Kind::MarkPrice => MARK_PRICE,
        Kind::FundingRate => FUNDING_RATE,
        Kind::OpenInterest => OPEN_INTEREST,
        Kind::Liquidation => LIQUIDATION,
        Kind::Candle => CANDLE,
        Kind::LongShortRatio => LONG_SHORT_RATIO,
        Kind::Instrument => INSTRUMENT,
        Kind::Session => SESSION,
        Kind::Gap => GAP,
        Kind::Raw => RAW,
        Kind::Greeks => &GREEKS,
        Kind::VolatilityIndex => VOLATILITY_INDEX,
        Kind::ClockSample => CLOCK_SAMPLE,
    };
    FIRST.into_iter().chain(own.iter().copied()).chain(LAST)
}

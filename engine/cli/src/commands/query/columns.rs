//! The fields of each kind of record, in a fixed order, under their names in JSON.

use marketprism_core::record::Kind;

/// What a field counts, which decides how a table shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A name, an id or a plain number.
    None,
    /// A time, nanoseconds since the Unix epoch.
    Time,
    /// A length of time, nanoseconds.
    Duration,
    /// A price: quote units for one base unit.
    Price,
    /// A quantity in the venue's own unit.
    Quantity,
    /// An amount of the base asset.
    Base,
    /// An amount of the quote asset.
    Quote,
    /// 0.01 is one percent.
    Fraction,
    /// A list of levels.
    Levels,
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its key in JSON.
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
}

const fn column(name: &'static str, unit: Unit) -> Column {
    Column { name, unit }
}

/// The fields that every kind has.
pub(crate) const COMMON: [Column; 8] = [
    column("receive_ns", Unit::Time),
    column("exchange_ns", Unit::Time),
    column("venue", Unit::None),
    column("market", Unit::None),
    column("symbol", Unit::None),
    column("venue_symbol", Unit::None),
    column("sequence", Unit::None),
    column("flags", Unit::None),
];

/// What `--amounts` adds to trades and liquidations.
pub(crate) const AMOUNTS: [Column; 2] =
    [column("base_quantity", Unit::Base), column("quote_quantity", Unit::Quote)];

/// The fields of a kind besides [`COMMON`].
pub(crate) fn columns_of(kind: Kind) -> Vec<Column> {
    let of = |unit: Unit, names: &[&'static str]| names.iter().map(|name| column(name, unit)).collect();
    let parts: Vec<Vec<Column>> = match kind {
        Kind::Trade | Kind::DetailedTrade => vec![
            of(Unit::Price, &["price"]),
            of(Unit::Quantity, &["quantity"]),
            of(Unit::None, &["side", "trade_id", "first_trade_id", "last_trade_id", "trade_sequence"]),
            of(Unit::Price, &["mark_price", "index_price"]),
            of(Unit::None, &["iv", "liquidation", "block", "combo", "trade_type"]),
            of(Unit::Time, &["event_ns"]),
        ],
        Kind::AggTrade => vec![
            of(Unit::Price, &["price"]),
            of(Unit::Quantity, &["quantity", "normal_quantity"]),
            of(Unit::None, &["side", "trade_id", "first_trade_id", "last_trade_id"]),
            of(Unit::Time, &["event_ns"]),
        ],
        Kind::BookSnapshot | Kind::BookDelta => vec![
            of(Unit::Levels, &["bids", "asks"]),
            of(Unit::None, &["first_id", "last_id", "previous_id", "checksum"]),
            of(Unit::Time, &["event_ns"]),
        ],
        Kind::Quote => vec![
            of(Unit::Quantity, &["bid_quantity"]),
            of(Unit::Price, &["bid_price", "ask_price"]),
            of(Unit::Quantity, &["ask_quantity"]),
            of(Unit::None, &["update_id"]),
        ],
        Kind::Ticker => vec![
            of(Unit::Price, &["last", "open", "high", "low"]),
            of(Unit::Quantity, &["volume"]),
            of(Unit::Quote, &["quote_volume"]),
            of(Unit::Base, &["base_volume"]),
            of(Unit::Price, &["weighted_average"]),
            of(Unit::Quantity, &["last_quantity", "bid_quantity"]),
            of(Unit::Price, &["bid_price", "ask_price"]),
            of(Unit::Quantity, &["ask_quantity"]),
            of(Unit::Time, &["open_ns", "close_ns"]),
            of(Unit::None, &["first_trade_id", "last_trade_id", "trades"]),
        ],
        Kind::MarkPrice => {
            vec![of(Unit::Price, &["mark_price", "index_price", "settlement_price", "average_price"])]
        }
        Kind::FundingRate => vec![
            of(Unit::Fraction, &["rate"]),
            of(Unit::Time, &["next_funding_ns"]),
            of(Unit::Duration, &["interval_ns"]),
            of(Unit::Fraction, &["realised_rate", "premium", "interest_rate"]),
        ],
        Kind::OpenInterest => vec![
            of(Unit::Quantity, &["open_interest"]),
            of(Unit::Quote, &["open_interest_value"]),
            of(Unit::Base, &["open_interest_base"]),
        ],
        Kind::Liquidation => vec![
            of(Unit::None, &["side"]),
            of(Unit::Price, &["price"]),
            of(Unit::Quantity, &["quantity"]),
            of(Unit::Price, &["average_price"]),
            of(Unit::Quantity, &["filled_quantity", "last_quantity"]),
            of(Unit::None, &["status"]),
            of(Unit::Time, &["event_ns"]),
        ],
        Kind::Candle => vec![
            of(Unit::None, &["interval"]),
            of(Unit::Time, &["open_ns", "close_ns"]),
            of(Unit::Price, &["open", "high", "low", "close"]),
            of(Unit::Quantity, &["volume"]),
            of(Unit::Quote, &["quote_volume"]),
            of(Unit::None, &["trades"]),
            of(Unit::Quantity, &["taker_buy_volume"]),
            of(Unit::Quote, &["taker_buy_quote_volume"]),
            of(Unit::None, &["closed"]),
        ],
        Kind::LongShortRatio => vec![
            of(Unit::None, &["basis", "period", "ratio"]),
            of(Unit::Fraction, &["long_share", "short_share"]),
        ],
        Kind::Instrument => vec![of(Unit::None, &["definition"])],
        Kind::Session => vec![of(Unit::None, &["event", "connection", "detail"])],
        Kind::Gap => vec![
            of(Unit::None, &["stream", "reason", "from_id", "to_id"]),
            of(Unit::Time, &["from_ns"]),
            of(Unit::None, &["records", "repaired"]),
        ],
        Kind::Raw => vec![of(Unit::None, &["reason", "frame", "frame_bytes", "connection"])],
        Kind::Greeks => vec![of(Unit::None, &marketprism_core::record::Greeks::NAMES)],
        Kind::VolatilityIndex => vec![of(Unit::None, &["volatility"])],
        Kind::ClockSample => {
            vec![of(Unit::Time, &["request_ns"]), of(Unit::Duration, &["resolution_ns"])]
        }
    };
    parts.concat()
}

/// Whether `--amounts` adds something to records of a kind.
pub(crate) fn has_amounts(kind: Kind) -> bool {
    matches!(kind.stream(), Kind::Trade | Kind::AggTrade | Kind::Liquidation)
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable;
    use marketprism_core::json::write_record_with_amounts;
    use marketprism_core::record::*;
    use marketprism_core::{Decimal, Instrument};

    use super::*;

    /// Zeroed records hold a value in nearly every field.
    fn lines_of(kind: Kind) -> Vec<Line> {
        let head = Line::zeroed();
        let mut lines = vec![head; kind.head_lines()];
        lines[0].0[0] = kind as u8;
        lines
    }

    #[test]
    fn every_field_in_json_has_a_column() {
        let instrument = Instrument {
            multiplier: Some(Decimal::new(1, 0)),
            ..Instrument::unknown("binance", "spot", "BTCUSDT")
        };
        for kind in Kind::ALL {
            let lines = lines_of(kind);
            let (record, _) = RecordRef::read(&lines).unwrap();
            let mut out = Vec::new();
            write_record_with_amounts(&mut out, record, &instrument, 0);
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&out).unwrap();
            let mut known = COMMON.to_vec();
            known.extend(columns_of(kind));
            known.extend(AMOUNTS.iter().filter(|_| has_amounts(kind)));
            for key in object.keys().filter(|key| *key != "kind") {
                let columns = known.iter().filter(|column| column.name == key.as_str()).count();
                assert_eq!(columns, 1, "{kind}: {key}");
            }
        }
    }
}

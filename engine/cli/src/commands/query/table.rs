//! Records as a table for people.

use std::collections::BTreeSet;

use marketprism_core::Instrument;
use marketprism_core::record::Kind;
use serde_json::{Map, Value};

use super::super::inspect::output::{Table, utc};
use super::columns::{AMOUNTS, COMMON, Column, Unit, columns_of};
use super::csv;
use crate::text::duration_ns;

/// Longest text of a cell, in letters: frames and definitions are longer.
const MOST_LETTERS: usize = 60;

/// Number of the first columns, which are texts.
const TEXT_COLUMNS: usize = 5;
/// Alignment of the widest table.
const ALIGNMENT: &str = "<<<<<>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>";

/// Gathers records.
#[derive(Default)]
pub(crate) struct Records {
    rows: Vec<(Kind, Map<String, Value>)>,
    /// Quote assets, and what a quantity of one is, of all instruments that have a row.
    quotes: BTreeSet<String>,
    bases: BTreeSet<String>,
    quantities: BTreeSet<String>,
}

impl Records {
    /// Adds a record, given as its JSON object.
    pub(crate) fn add(&mut self, kind: Kind, fields: Map<String, Value>, instrument: &Instrument) {
        self.rows.push((kind.stream(), fields));
        self.quotes.insert(instrument.quote.clone());
        self.bases.insert(instrument.base.clone());
        self.quantities.insert(quantity_unit(instrument));
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The table. Where all are of one kind each field that one of them has is a column; else the last column names
    /// the fields.
    pub(crate) fn text(&self) -> String {
        let common = || {
            COMMON.into_iter().filter(|column| !matches!(column.name, "venue_symbol" | "sequence" | "flags"))
        };
        let kinds: BTreeSet<Kind> = self.rows.iter().map(|(kind, _)| *kind).collect();
        let flags = COMMON.into_iter().filter(|column| column.name == "flags");
        let is_one_kind = kinds.len() == 1;
        let own = kinds.iter().filter(|_| is_one_kind).flat_map(|kind| columns_of(*kind));
        let columns: Vec<Column> =
            common().chain(own).chain(AMOUNTS.into_iter().filter(|_| is_one_kind)).chain(flags).collect();
        let is_used =
            |column: &&Column| self.rows.iter().any(|(_, fields)| !is_empty(fields.get(column.name)));
        let columns: Vec<&Column> = columns.iter().filter(is_used).collect();
        let texts = columns.iter().filter(|used| common().any(|column| column.name == used.name)).count();
        let mut head: Vec<String> = columns.iter().map(|column| self.head(column)).collect();
        if !is_one_kind {
            head.insert(texts, "kind".to_owned());
            head.push("fields".to_owned());
        }
        let alignment = if is_one_kind { one_kind_alignment(texts, head.len()) } else { "<<<<<<<<" };
        let mut table = Table::new(alignment, &head.iter().map(String::as_str).collect::<Vec<_>>());
        for (kind, fields) in &self.rows {
            let mut row: Vec<String> = columns.iter().map(|column| cell(column, fields)).collect();
            if !is_one_kind {
                row.insert(texts, kind.to_string());
                row.push(own_fields(*kind, fields));
            }
            table.row(row);
        }
        table.text()
    }

    fn head(&self, column: &Column) -> String {
        let name = column.name.strip_suffix("_ns").unwrap_or(column.name);
        let unit = match column.unit {
            Unit::None | Unit::Duration => return name.to_owned(),
            Unit::Time => "UTC",
            Unit::Price | Unit::Quote => only(&self.quotes).unwrap_or("quote"),
            Unit::Base => only(&self.bases).unwrap_or("base"),
            Unit::Quantity => only(&self.quantities).unwrap_or("venue's unit"),
            Unit::Fraction => "fraction",
            Unit::Levels => "levels",
        };
        format!("{name} ({unit})")
    }
}

fn one_kind_alignment(texts: usize, columns: usize) -> &'static str {
    let start = TEXT_COLUMNS.saturating_sub(texts);
    ALIGNMENT.get(start..start + columns).unwrap_or(ALIGNMENT)
}

/// The one value of a set, if it is known.
fn only(values: &BTreeSet<String>) -> Option<&str> {
    values.first().filter(|value| values.len() == 1 && !value.is_empty()).map(String::as_str)
}

/// What a quantity of one amounts to: `BTC`, `0.01 BTC`, `100 USD`; nothing where the definition does not tell.
pub(crate) fn quantity_unit(instrument: &Instrument) -> String {
    let asset = if instrument.inverse { &instrument.quote } else { &instrument.base };
    match instrument.multiplier {
        Some(multiplier) if !asset.is_empty() => format!("{multiplier} {asset}"),
        _ => asset.clone(),
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.as_array().is_some_and(Vec::is_empty))
}

fn cell(column: &Column, fields: &Map<String, Value>) -> String {
    let value = fields.get(column.name);
    match (column.unit, value.and_then(Value::as_i64)) {
        (Unit::Time, Some(ns)) => utc(ns),
        (Unit::Duration, Some(ns)) => duration_ns(ns.unsigned_abs()),
        (Unit::Levels, _) => value.and_then(Value::as_array).map_or(0, Vec::len).to_string(),
        _ => shortened(csv::text(value)),
    }
}

/// The fields of a kind with their names.
fn own_fields(kind: Kind, fields: &Map<String, Value>) -> String {
    let columns = columns_of(kind);
    let amounts = columns.iter().chain(&AMOUNTS).filter(|column| !is_empty(fields.get(column.name)));
    let named = amounts.map(|column| {
        let name = column.name.strip_suffix("_ns").unwrap_or(column.name);
        format!("{name} {}", cell(column, fields))
    });
    named.collect::<Vec<_>>().join("  ")
}

fn shortened(text: String) -> String {
    // A frame may hold line feeds and whatever else a terminal would obey.
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if text.chars().count() <= MOST_LETTERS {
        return text;
    }
    text.chars().take(MOST_LETTERS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_carry_units_and_empty_ones_are_left_out() {
        let mut records = Records::default();
        let instrument = Instrument {
            base: "BTC".into(),
            quote: "USDT".into(),
            ..Instrument::unknown("binance", "spot", "BTCUSDT")
        };
        let fields = serde_json::json!({
            "receive_ns": 1_723_161_255_319_702_566_i64, "venue": "binance", "market": "spot",
            "symbol": "BTC-USDT", "price": "61837.63", "quantity": "0.020", "side": "sell", "trade_id": "77"
        });
        records.add(Kind::DetailedTrade, fields.as_object().unwrap().clone(), &instrument);
        assert_eq!(
            records.text(),
            "  receive (UTC)                venue    market  symbol    price (USDT)  quantity (BTC)  side  trade_id\n\
             \x20 2024-08-08 23:54:15.319702Z  binance  spot    BTC-USDT      61837.63           0.020  sell        77\n"
        );
        let coin = Instrument {
            inverse: true,
            multiplier: Some(marketprism_core::Decimal::new(100, 0)),
            ..instrument
        };
        assert_eq!(quantity_unit(&coin), "100 USDT");
        records.add(Kind::Trade, fields.as_object().unwrap().clone(), &coin);
        assert!(records.text().contains("quantity (venue's unit)"));
    }

    #[test]
    fn every_table_has_an_alignment() {
        for kind in Kind::ALL {
            let columns = TEXT_COLUMNS + columns_of(kind).len() + AMOUNTS.len() + 1;
            assert!(columns <= ALIGNMENT.len(), "{kind}");
        }
    }
}

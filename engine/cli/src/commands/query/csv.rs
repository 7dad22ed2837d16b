//! Records of one kind as comma-separated values.

use marketprism_core::record::Kind;
use serde_json::{Map, Value};

use super::columns::{AMOUNTS, COMMON, Column, Unit, columns_of, has_amounts};

/// Writes the header once, then a line for each record.
pub(crate) struct Csv {
    columns: Vec<Column>,
    /// Levels of a side that have columns.
    levels: usize,
    has_header: bool,
    /// Records with levels that have no column.
    pub(crate) cut: u64,
}

impl Csv {
    pub(crate) fn new(kind: Kind, levels: usize, amounts: bool) -> Csv {
        let amounts = AMOUNTS.into_iter().filter(|_| amounts && has_amounts(kind));
        let columns = COMMON.into_iter().chain(columns_of(kind)).chain(amounts).collect();
        Csv { columns, levels, has_header: false, cut: 0 }
    }

    /// Appends a record, given as its JSON object.
    pub(crate) fn record(&mut self, out: &mut Vec<u8>, fields: &Map<String, Value>) {
        if !std::mem::replace(&mut self.has_header, true) {
            self.header(out);
        }
        let mut line = Line { out, is_first: true };
        let mut is_cut = false;
        for column in &self.columns {
            match (column.unit, fields.get(column.name)) {
                (Unit::Levels, levels) => {
                    let levels = levels.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                    is_cut |= levels.len() > self.levels;
                    for index in 0..self.levels {
                        let level = levels.get(index);
                        (0..2).for_each(|part| line.cell(&text(level.and_then(|level| level.get(part)))));
                    }
                }
                (_, value) => line.cell(&text(value)),
            }
        }
        self.cut += u64::from(is_cut);
        out.push(b'\n');
    }

    fn header(&self, out: &mut Vec<u8>) {
        let mut line = Line { out, is_first: true };
        for column in &self.columns {
            let Some(side) = column.name.strip_suffix('s').filter(|_| column.unit == Unit::Levels) else {
                line.cell(column.name);
                continue;
            };
            for number in 1..=self.levels {
                line.cell(&format!("{side}_price_{number}"));
                line.cell(&format!("{side}_quantity_{number}"));
            }
        }
        out.push(b'\n');
    }
}

struct Line<'o> {
    out: &'o mut Vec<u8>,
    is_first: bool,
}

impl Line<'_> {
    /// Adds a cell, in quotes where it holds what would end it (RFC 4180).
    fn cell(&mut self, text: &str) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.push(b',');
        }
        if text.contains([',', '"', '\n', '\r']) {
            self.out.extend_from_slice(format!("\"{}\"", text.replace('"', "\"\"")).as_bytes());
        } else {
            self.out.extend_from_slice(text.as_bytes());
        }
    }
}

/// A value as the text of a cell: nothing where it is absent, lists of words joined by `|`.
pub(crate) fn text(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(words)) => words.iter().map(|word| text(Some(word))).collect::<Vec<_>>().join("|"),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: Kind, levels: usize, records: &[Value]) -> (Vec<String>, u64) {
        let mut csv = Csv::new(kind, levels, false);
        let mut out = Vec::new();
        records.iter().for_each(|record| csv.record(&mut out, record.as_object().unwrap()));
        (String::from_utf8(out).unwrap().lines().map(str::to_owned).collect(), csv.cut)
    }

    #[test]
    fn levels_have_two_columns_each_and_what_is_cut_is_counted() {
        let book = serde_json::json!({
            "venue": "v", "flags": ["snapshot", "rest"], "last_id": "7",
            "bids": [["1.5", "2"], ["1.4", "3"]], "asks": [["1.6", "4"]]
        });
        let (lines, cut) = written(Kind::BookSnapshot, 1, &[book.clone(), book.clone()]);
        let head = "receive_ns,exchange_ns,venue,market,symbol,venue_symbol,sequence,flags,\
                    bid_price_1,bid_quantity_1,ask_price_1,ask_quantity_1,first_id,last_id,previous_id,checksum,event_ns";
        let line = ",,v,,,,,snapshot|rest,1.5,2,1.6,4,,7,,,";
        assert_eq!((lines, cut), (vec![head.to_owned(), line.to_owned(), line.to_owned()], 2));
        let (lines, cut) = written(Kind::BookSnapshot, 2, &[book]);
        assert!(lines[1].contains(",1.5,2,1.4,3,1.6,4,,,,7,"), "{lines:?}");
        assert_eq!(cut, 0);
    }

    #[test]
    fn a_cell_with_commas_and_quotes_is_quoted() {
        let session = serde_json::json!({"detail": {"reason": "a,b", "code": 1}});
        let (lines, _) = written(Kind::Session, 20, &[session]);
        assert!(lines[1].ends_with(r#","{""code"":1,""reason"":""a,b""}""#), "{lines:?}");
    }
}

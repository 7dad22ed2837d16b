//! Tables and times for people.

use std::io::Write;

pub(crate) use marketprism_core::clock::utc;

/// Prints to standard output. A reader that went away (`| head`) is no fault of the data.
pub(crate) fn print(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// Two times as `from … to …`, or what is there instead.
pub(crate) fn utc_range(first_ns: Option<i64>, last_ns: Option<i64>) -> String {
    match (first_ns, last_ns) {
        (Some(first), Some(last)) => format!("{} to {}", utc(first), utc(last)),
        _ => "-".to_owned(),
    }
}

/// A table with aligned columns.
pub(crate) struct Table {
    /// `<` aligns a column left, `>` right.
    alignment: &'static str,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with its head.
    pub(crate) fn new(alignment: &'static str, head: &[&str]) -> Table {
        Table { alignment, rows: vec![head.iter().map(|text| (*text).to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The table as lines, indented by two.
    pub(crate) fn text(&self) -> String {
        let columns = self.alignment.len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), alignment) in row.iter().zip(&widths).zip(self.alignment.chars()) {
                let cell =
                    if alignment == '>' { format!("  {cell:>width$}") } else { format!("  {cell:<width$}") };
                line.push_str(&cell);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// `1 segment`, `3 segments`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", crate::text::grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_calendar_says() {
        for (ns, text) in [
            (0, "1970-01-01 00:00:00.000000Z"),
            (-1, "1969-12-31 23:59:59.999999Z"),
            (951_782_400_000_000_000, "2000-02-29 00:00:00.000000Z"),
            (1_709_251_199_999_999_999, "2024-02-29 23:59:59.999999Z"),
            (1_723_161_255_319_702_566, "2024-08-08 23:54:15.319702Z"),
            (4_107_542_399_000_000_000, "2100-02-28 23:59:59.000000Z"),
            (4_107_542_400_000_000_000, "2100-03-01 00:00:00.000000Z"),
        ] {
            assert_eq!(utc(ns), text);
        }
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new("<>", &["name", "n"]);
        table.row(vec!["β".into(), "1,000".into()]);
        assert_eq!(table.text(), "  name      n\n  β     1,000\n");
    }
}

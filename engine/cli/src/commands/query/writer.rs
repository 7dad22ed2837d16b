//! The wanted records, in the form that was asked for.

use std::ops::ControlFlow;

use marketprism_core::record::{Kind, RecordRef};
use marketprism_core::{Instrument, json};
use serde_json::{Map, Value};

use super::csv::Csv;
use super::output::{Closed, Output};
use super::table::Records;
use crate::config::venues;
use crate::text::grouped;

/// Takes records one by one.
pub(crate) struct Writer {
    form: Form,
    limit: u64,
    taken: u64,
    /// Markets whose quantities count contracts, where amounts are wanted.
    amounts: Option<Vec<(&'static str, &'static str)>>,
    line: Vec<u8>,
}

/// What is printed.
pub(super) enum Form {
    /// How many records there are, as text or as JSON.
    Count { as_json: bool },
    /// JSON lines.
    Json,
    /// Comma-separated values.
    Csv(Csv),
    /// A table, and how many records it does not show.
    Table(Records),
}

impl Writer {
    /// A writer of at most `limit` records. A table counts those beyond.
    pub(super) fn new(form: Form, limit: u64, amounts: bool) -> Writer {
        Writer { form, limit, taken: 0, amounts: amounts.then(contract_markets), line: Vec::new() }
    }

    /// Takes a record; breaks where no more is needed.
    pub(crate) fn record(
        &mut self,
        output: &mut Output,
        record: RecordRef<'_>,
        instrument: &Instrument,
        sequence: u64,
    ) -> Result<ControlFlow<()>, Closed> {
        let is_shown = self.taken < self.limit;
        match &mut self.form {
            Form::Count { .. } => {}
            Form::Json if is_shown => {
                let with_amounts = shows_amounts(self.amounts.as_deref(), instrument);
                output.with(|out| write_line(out, record, instrument, sequence, with_amounts))?;
            }
            Form::Csv(csv) if is_shown => {
                let with_amounts = shows_amounts(self.amounts.as_deref(), instrument);
                let fields = fields(&mut self.line, record, instrument, sequence, with_amounts);
                output.with(|out| csv.record(out, &fields))?;
            }
            Form::Table(records) if is_shown => {
                let with_amounts = shows_amounts(self.amounts.as_deref(), instrument);
                let fields = fields(&mut self.line, record, instrument, sequence, with_amounts);
                records.add(record.kind().unwrap_or(Kind::Raw), fields, instrument);
            }
            // A table says how many more there are.
            Form::Table(_) => {}
            Form::Json | Form::Csv(_) => return Ok(ControlFlow::Break(())),
        }
        self.taken += 1;
        Ok(ControlFlow::Continue(()))
    }

    /// Prints what could not be printed before all were seen.
    pub(crate) fn finish(&mut self, output: &mut Output) -> Result<(), Closed> {
        let (taken, text) = (self.taken, &mut String::new());
        match &self.form {
            Form::Count { as_json: true } => text.push_str(&format!("{{\"records\":{taken}}}\n")),
            Form::Count { as_json: false } => text.push_str(&format!("{taken}\n")),
            Form::Table(records) if taken > 0 => {
                text.push_str(&records.text());
                match taken - records.len() as u64 {
                    0 => {}
                    more => {
                        text.push_str(&format!("and {} more; --limit N shows more of them\n", grouped(more)))
                    }
                }
            }
            _ => {}
        }
        output.with(|out| out.extend_from_slice(text.as_bytes()))
    }

    /// What a reader of the result should know besides.
    pub(crate) fn notes(&self) -> Vec<String> {
        match &self.form {
            Form::Json | Form::Csv(_) | Form::Table(_) if self.taken == 0 => {
                vec!["no record of the log is wanted: nothing is printed".to_owned()]
            }
            Form::Csv(csv) if csv.cut > 0 => {
                vec![format!(
                    "{} records have more levels than columns; --levels N gives more",
                    grouped(csv.cut)
                )]
            }
            _ => vec![],
        }
    }
}

/// Venue and market of all markets whose quantities count contracts: there only the definition tells what one is worth.
fn contract_markets() -> Vec<(&'static str, &'static str)> {
    let of = |venue: &std::sync::Arc<dyn marketprism_core::venue::Venue>| {
        let name = venue.name();
        let markets = venue.markets().iter().filter(|market| market.counts_contracts);
        markets.map(move |market| (name, market.name)).collect::<Vec<_>>()
    };
    venues().iter().flat_map(of).collect()
}

fn shows_amounts(contract_markets: Option<&[(&str, &str)]>, instrument: &Instrument) -> bool {
    contract_markets.is_some_and(|markets| {
        instrument.multiplier.is_some() || !markets.contains(&(&*instrument.venue, &*instrument.market))
    })
}

fn write_line(
    out: &mut Vec<u8>,
    record: RecordRef<'_>,
    instrument: &Instrument,
    sequence: u64,
    with_amounts: bool,
) {
    let write = if with_amounts { json::write_record_with_amounts } else { json::write_record };
    write(out, record, instrument, sequence);
}

/// A record's JSON object.
fn fields(
    line: &mut Vec<u8>,
    record: RecordRef<'_>,
    instrument: &Instrument,
    sequence: u64,
    with_amounts: bool,
) -> Map<String, Value> {
    line.clear();
    write_line(line, record, instrument, sequence, with_amounts);
    serde_json::from_slice(line).unwrap_or_default()
}

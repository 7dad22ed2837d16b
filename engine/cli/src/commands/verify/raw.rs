//! `verify --raw`: the records made again from what was kept verbatim.

use marketprism_runtime::renormalise::{Difference, Renormalisation, Span};

use crate::commands::inspect::output::{Table, counted};
use crate::text::grouped;

/// What it came to, for people.
pub(super) fn report(made: &Renormalisation) -> String {
    let mut text = String::new();
    if !made.markets.is_empty() {
        let head = ["venue", "market", "frames", "answers", "equal records", "differences"];
        let mut table = Table::new("<<>>>>", &head);
        for market in &made.markets {
            let numbers = [market.frames, market.answers, market.records, market.differences].map(grouped);
            table.row([vec![market.venue.clone(), market.market.clone()], numbers.to_vec()].concat());
        }
        text = format!("\nmade again from frames and answers\n\n{}\n", table.text());
    }
    for Difference { sequence, stored, made } in &made.differences {
        let value = |value: &Option<Box<serde_json::value::RawValue>>| {
            value.as_ref().map_or("nothing".to_owned(), |value| value.get().to_owned())
        };
        let (stored, made) = (value(stored), value(made));
        text.push_str(&format!("Sequence {sequence} differs.\n  stored: {stored}\n  made:   {made}\n"));
    }
    for Span { from_sequence, to_sequence, reason } in &made.not_compared {
        text.push_str(&format!("Sequences {from_sequence} to {to_sequence} are not compared: {reason}.\n"));
    }
    text.push_str(&conclusion(made));
    text.push('\n');
    text
}

fn conclusion(made: &Renormalisation) -> String {
    let sum = |number: fn(&_) -> u64| made.markets.iter().map(number).sum::<u64>();
    let (frames, equal) = (sum(|market| market.frames), sum(|market| market.records));
    match sum(|market| market.differences) {
        0 if frames == 0 => {
            "Nothing could be made again: no market was recorded with raw = \"all\".".to_owned()
        }
        0 => format!("{} give the same {}.", counted(frames, "frame"), counted(equal, "record")),
        differences => {
            format!(
                "{} found; {} are the same.",
                counted(differences, "difference"),
                counted(equal, "record")
            )
        }
    }
}

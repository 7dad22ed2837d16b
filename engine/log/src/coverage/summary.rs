//! The ledgers of many segments put together.

use std::collections::BTreeMap;

use marketprism_core::instrument::Registry;
use marketprism_core::record::Kind;
use serde::Serialize;

use super::{Reason, Span, Status, StreamKey};
use crate::verify::uncovered;

/// Most spans of a stream that are kept one by one; the rest is counted.
const MOST_LISTED: usize = 1000;

/// The coverage of one stream of a log. Field names are those of `verify --json` and `inspect --coverage --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamCoverage {
    /// Venue, e.g. `binance`.
    pub venue: String,
    /// Market, e.g. `usdm`.
    pub market: String,
    /// The venue's own name of the instrument.
    pub venue_symbol: String,
    /// Kind of its records.
    pub kind: Kind,
    /// Number of records: the four numbers below together.
    pub records: u64,
    /// Records that are proven contiguous.
    pub proven: u64,
    /// That in percent of all, a decimal with two digits, never rounded up; `None` where there are no records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven_percent: Option<String>,
    /// Records that are not to be trusted.
    pub suspect: u64,
    /// Records that were fetched later.
    pub repaired: u64,
    /// Records that carry nothing that could prove that none is missing between them.
    pub unprovable: u64,
    /// Ids that are missing, where the ends of the hole are known.
    pub missing_ids: u64,
    /// How long something is missing, nanoseconds.
    pub missing_ns: u64,
    /// Number of spans by status.
    pub spans: SpanCounts,
    /// The spans that are not contiguous, in capture order; at most a thousand.
    pub exceptions: Vec<Span>,
    /// Such spans that are not listed.
    pub more_exceptions: u64,
}

/// Number of spans by status. A span that goes on in the next segment is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SpanCounts {
    /// [`Status::Contiguous`].
    pub contiguous: u64,
    /// [`Status::Missing`], without those that were repaired.
    pub missing: u64,
    /// [`Status::Suspect`].
    pub suspect: u64,
    /// [`Status::Repaired`].
    pub repaired: u64,
    /// [`Status::Unprovable`].
    pub unprovable: u64,
}

/// `part` of `all` in percent, rounded down to two digits.
fn percent(part: u64, all: u64) -> Option<String> {
    let hundredths = (u128::from(part) * 10_000).checked_div(u128::from(all))?;
    Some(format!("{}.{:02}", hundredths / 100, hundredths % 100))
}

/// Puts the ledgers of segments together, which come in the order of the log.
///
/// A span goes on over the border of two segments where nothing lies between. Ids that are missing between the segments and
/// that neither reports are a missing span without a reason, and ids that were fetched later are no longer missing.
#[derive(Debug, Default)]
pub struct CoverageSummary {
    streams: BTreeMap<StreamKey, Summary>,
}

impl CoverageSummary {
    /// Takes the spans of one stream in the next segment that has any.
    pub fn add(&mut self, stream: StreamKey, spans: &[Span]) {
        let summary = self.streams.entry(stream).or_default();
        let counts_up = matches!(stream.1, Kind::Trade | Kind::AggTrade | Kind::BookDelta);
        let mut spans = spans.to_vec();
        if counts_up && let Some(at) = spans.iter().position(Span::is_linked) {
            let (before, rest) = spans.split_at_mut(at);
            if let Some(first) = rest.first() {
                summary.border(before, first);
            }
        }
        spans.into_iter().for_each(|span| summary.push(span));
    }

    /// The coverage of every stream, lowest instrument id first.
    pub fn finish(self, registry: &Registry) -> Vec<StreamCoverage> {
        let named = |((instrument, kind), summary): (StreamKey, Summary)| {
            let named = registry.get(instrument).cloned().unwrap_or_default();
            summary.finish(named.venue, named.market, named.venue_symbol, kind)
        };
        self.streams.into_iter().map(named).collect()
    }
}

/// What is known of one stream.
#[derive(Debug, Default)]
struct Summary {
    records: [u64; 5],
    /// Spans by status, without those that are missing.
    spans: [u64; 5],
    /// The newest span.
    last: Option<Span>,
    /// The spans before it that are not contiguous.
    exceptions: Vec<Span>,
    /// The id that the next segment's records have to go on from; 0: there is none.
    chain: u64,
    /// Spans that are not listed, and of those that are missing number, ids and time.
    more: u64,
    more_missing: [u64; 3],
}

impl Span {
    /// Whether the ids of its records are those that the next ones go on from.
    fn is_linked(&self) -> bool {
        let is_linked = matches!(self.status, Status::Contiguous | Status::Suspect);
        is_linked && self.first_id != 0 && self.reason != Some(Reason::NotNew) && self.records > 0
    }

    /// Whether the next segment goes on with it.
    fn continues_with(&self, next: &Span) -> bool {
        let is_alike = (self.status, self.reason) == (next.status, next.reason);
        is_alike
            && match self.status {
                Status::Contiguous | Status::Repaired => self.is_followed_by(next),
                Status::Suspect | Status::Unprovable => self.records > 0 && next.records > 0,
                Status::Missing => false,
            }
    }
}

impl Summary {
    /// The first linked span of a new segment and those before it: names what lies between it and the last segment.
    fn border(&mut self, before: &mut [Span], first: &Span) {
        let Some(end) = first.first_id.checked_sub(1) else { return };
        let from = self.chain.saturating_add(1);
        let newest = if before.is_empty() { self.last.as_mut() } else { before.last_mut() };
        if let Some(open_ended) = newest.filter(|span| span.is_open_ended()) {
            let from = if self.chain == 0 { open_ended.first_id } else { from };
            if (1..=end).contains(&from) {
                (open_ended.first_id, open_ended.last_id) = (from, end);
            }
        }
        if self.chain == 0 || end < from {
            return;
        }
        let known = self.exceptions.iter().chain(&self.last).chain(&*before);
        let is_told = |span: &&Span| matches!(span.status, Status::Missing | Status::Repaired);
        let known = known.filter(is_told).filter(|span| span.ids() > 0);
        let known = known.map(|span| (span.first_id, span.last_id));
        let first_ns = self.last.map_or(first.first_ns, |last| last.last_ns);
        for (first_id, last_id) in uncovered(from, end, known) {
            let (status, last_ns) = (Status::Missing, first.first_ns);
            self.push(Span { status, reason: None, first_id, last_id, first_ns, last_ns, records: 0 });
        }
    }

    fn push(&mut self, span: Span) {
        if span.is_linked() {
            self.chain = span.last_id;
        } else if span.reason == Some(Reason::Reset) || span.status == Status::Unprovable {
            self.chain = 0;
        }
        if span.status != Status::Missing {
            let records = &mut self.records[span.status as usize];
            *records = records.saturating_add(span.records);
        }
        if let Some(last) = self.last.as_mut().filter(|last| last.continues_with(&span)) {
            last.last_id = span.last_id;
            last.first_ns = last.first_ns.min(span.first_ns);
            last.last_ns = last.last_ns.max(span.last_ns);
            last.records = last.records.saturating_add(span.records);
        } else {
            self.keep_last();
            self.last = Some(span);
        }
        if span.status == Status::Repaired && span.ids() > 0 {
            self.repair(span.first_id, span.last_id);
        }
    }

    /// Moves the newest span to the others.
    fn keep_last(&mut self) {
        let Some(span) = self.last.take() else { return };
        if span.status != Status::Missing {
            self.spans[span.status as usize] += 1;
        }
        match span.status {
            Status::Contiguous => {}
            _ if self.exceptions.len() < MOST_LISTED => self.exceptions.push(span),
            status => {
                self.more += 1;
                if status == Status::Missing {
                    let numbers = [1, span.ids(), span.duration_ns()];
                    add(&mut self.more_missing, numbers);
                }
            }
        }
    }

    /// These ids came later: what is left of the missing spans that had them.
    fn repair(&mut self, from: u64, to: u64) {
        let has = |span: &Span| {
            span.status == Status::Missing && span.ids() > 0 && span.first_id <= to && from <= span.last_id
        };
        if !self.exceptions.iter().any(has) {
            return;
        }
        let left = self.exceptions.drain(..).flat_map(|span| match has(&span) {
            false => vec![span],
            true => {
                let left = uncovered(span.first_id, span.last_id, [(from, to)].into_iter());
                left.into_iter().map(|(first_id, last_id)| Span { first_id, last_id, ..span }).collect()
            }
        });
        self.exceptions = left.collect();
    }

    fn finish(mut self, venue: String, market: String, venue_symbol: String, kind: Kind) -> StreamCoverage {
        self.keep_last();
        let mut missing = self.more_missing;
        for span in self.exceptions.iter().filter(|span| span.status == Status::Missing) {
            add(&mut missing, [1, span.ids(), span.duration_ns()]);
        }
        let all = self.records.iter().fold(0, |all: u64, records| all.saturating_add(*records));
        let records = |status: Status| self.records[status as usize];
        let spans = |status: Status| self.spans[status as usize];
        StreamCoverage {
            venue,
            market,
            venue_symbol,
            kind,
            records: all,
            proven: records(Status::Contiguous),
            proven_percent: percent(records(Status::Contiguous), all),
            suspect: records(Status::Suspect),
            repaired: records(Status::Repaired),
            unprovable: records(Status::Unprovable),
            missing_ids: missing[1],
            missing_ns: missing[2],
            spans: SpanCounts {
                contiguous: spans(Status::Contiguous),
                missing: missing[0],
                suspect: spans(Status::Suspect),
                repaired: spans(Status::Repaired),
                unprovable: spans(Status::Unprovable),
            },
            exceptions: self.exceptions,
            more_exceptions: self.more,
        }
    }
}

fn add(totals: &mut [u64; 3], numbers: [u64; 3]) {
    for (total, number) in totals.iter_mut().zip(numbers) {
        *total = total.saturating_add(number);
    }
}

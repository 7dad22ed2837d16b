//! Records made again from the frames, answers and inputs of a log of which everything was kept, and compared with the
//! records that are stored there. Pure but for [`renormalise`], which reads the log.

mod queue;
mod report;
mod ring;
mod run;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use marketprism_core::instrument::Registry;
use marketprism_core::record::{RecordRef, SessionEvent};
use marketprism_core::venue::Venue;
use marketprism_log::{LogError, LogReader, Selection};

use crate::journal::{Entry, Input};
pub use report::{Difference, MarketReport, Renormalisation, Span};
use run::Run;

/// Makes the records of a log again, run by run, and compares. `venues` are those that it may hold.
pub fn renormalise(directory: &Path, venues: &[Arc<dyn Venue>]) -> Result<Renormalisation, LogError> {
    let mut renormaliser = Renormaliser::new(venues);
    LogReader::open(directory)?.for_each(&Selection::default(), |sequence, record, registry| {
        renormaliser.record(Stored { sequence, record, registry });
        ControlFlow::Continue(())
    })?;
    Ok(renormaliser.finish())
}

/// A record of the log, with its capture sequence and the instruments as they were defined then.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    /// The capture sequence.
    pub sequence: u64,
    /// The record.
    pub record: RecordRef<'a>,
    /// The instruments.
    pub registry: &'a Registry,
}

/// Takes the records of a log in their order.
pub struct Renormaliser<'v> {
    venues: &'v [Arc<dyn Venue>],
    run: Option<Run>,
    report: Renormalisation,
    /// The records that are passed over, where they are.
    outside: Option<Span>,
    next_sequence: Option<u64>,
}

impl<'v> Renormaliser<'v> {
    /// One that knows these venues.
    pub fn new(venues: &'v [Arc<dyn Venue>]) -> Renormaliser<'v> {
        Renormaliser {
            venues,
            run: None,
            report: Renormalisation::default(),
            outside: None,
            next_sequence: None,
        }
    }

    /// Takes the next record.
    pub fn record(&mut self, stored: Stored<'_>) {
        let sequence = stored.sequence;
        if let Some(next) = self.next_sequence.replace(sequence + 1).filter(|next| *next != sequence) {
            self.leave(sequence, format!("what came before, from sequence {next} on, cannot be read"));
        }
        let entry = match stored.record {
            // The writer's own.
            RecordRef::Session(session, _) if session.event == SessionEvent::Coverage as u8 => return,
            RecordRef::Session(session, body) if session.event == SessionEvent::Input as u8 => {
                serde_json::from_slice::<Entry>(body).map(Some)
            }
            _ => Ok(None),
        };
        let followed = match entry {
            Err(error) => Err(format!("what a normaliser was told cannot be read: {error}")),
            Ok(Some(Entry { input: Input::Start { interval_ns, levels, markets }, .. })) => {
                self.end_run(sequence);
                let started = Run::start(self.venues, stored.registry, (interval_ns, levels), &markets);
                started.map(|run| self.begin(sequence, run))
            }
            Ok(entry) => match &mut self.run {
                Some(run) => run.follow(stored, entry, &mut self.report),
                None => {
                    self.pass_over(sequence, entry.is_some());
                    Ok(())
                }
            },
        };
        if let Err(reason) = followed {
            self.leave(sequence, reason);
        }
    }

    /// The result, when all records were taken.
    pub fn finish(mut self) -> Renormalisation {
        let end = self.next_sequence.unwrap_or(0);
        self.end_run(end);
        self.close_span(end);
        self.report
    }

    fn begin(&mut self, sequence: u64, mut run: Run) {
        self.close_span(sequence);
        run.announce(&mut self.report);
        self.run = Some(run);
    }

    /// The run ends before `sequence`. What it gives beyond the end of its part of the log was never written.
    fn end_run(&mut self, sequence: u64) {
        let unwritten = self.run.take().map_or(0, |run| run.unwritten());
        if unwritten > 0 {
            let at = sequence.saturating_sub(1);
            let reason = format!(
                "the run ends here, and {unwritten} records that its last frames give are not in the log"
            );
            self.report.not_compared.push(Span { from_sequence: at, to_sequence: at, reason });
        }
    }

    /// From `sequence` on records cannot be made again, until another run begins.
    fn leave(&mut self, sequence: u64, reason: String) {
        if self.run.take().is_some() || self.outside.is_none() {
            self.outside = Some(Span { from_sequence: sequence, to_sequence: sequence, reason });
        }
    }

    fn pass_over(&mut self, sequence: u64, is_input: bool) {
        let outside = self.outside.get_or_insert_with(|| Span {
            from_sequence: sequence,
            to_sequence: sequence,
            reason: NOT_KEPT.to_owned(),
        });
        if is_input && outside.reason == NOT_KEPT {
            outside.reason = "the beginning of the run is not in the log".to_owned();
        }
    }

    fn close_span(&mut self, end: u64) {
        if let Some(span) = self.outside.take() {
            self.report.not_compared.push(Span { to_sequence: end.saturating_sub(1), ..span });
        }
    }
}

const NOT_KEPT: &str = "recorded without raw = \"all\"";

#[cfg(test)]
mod tests;

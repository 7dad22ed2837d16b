//! The normaliser thread: rings in, the pure [`Normaliser`] in the middle, a ring out.

use std::time::Duration;

use crossbeam::channel::Receiver;
use hdrhistogram::Histogram;
use marketprism_core::clock::{monotonic_ns, wall_ns};
use marketprism_core::instrument::InstrumentId;
use marketprism_core::ring::{LineConsumer, Waiter};
use marketprism_core::venue::Continuity;
use tokio::sync::{mpsc, oneshot};

use crate::normaliser::Normaliser;
use crate::outlet::Outlet;
use crate::runs::Runs;
use crate::silence::{ExpectedStream, SilenceCheck};
use crate::telemetry::{EventSender, NormaliserStatistics, Published, latency_histogram, thread_cpu_ns};

/// Lines taken from one ring before the next is looked at.
const LINES_PER_TURN: usize = 1024;
/// Time between two ticks of the normaliser, nanoseconds.
const TICK_NS: i64 = 50_000_000;
/// Longest sleep: ticks go on while nothing comes.
const LONGEST_SLEEP: Duration = Duration::from_millis(10);
/// Books shown.
const TOPS: usize = 64;

/// A book to be built.
#[derive(Clone, Copy, Debug)]
pub struct TrackedBook {
    /// Its instrument.
    pub instrument: InstrumentId,
    /// Its rule.
    pub continuity: Continuity,
    /// Whether its best prices become quotes.
    pub derive_quotes: bool,
}

/// What control tells a normaliser thread while it runs.
#[derive(Debug)]
pub enum StageCommand {
    /// Streams that come from now on. Done when the answer is sent.
    Track(Vec<TrackedBook>, Vec<ExpectedStream>, oneshot::Sender<()>),
    /// Instruments that are no longer recorded.
    Retire(Vec<InstrumentId>),
}

/// Everything that a normaliser thread owns.
pub struct Stage {
    /// The state machine.
    pub normaliser: Normaliser,
    /// Rings from the I/O threads and from control.
    pub inputs: Vec<LineConsumer>,
    /// Ring to the writer.
    pub outlet: Outlet,
    /// Records that the outlet had dropped when it was last asked.
    pub dropped: u64,
    /// How to wait.
    pub waiter: Waiter,
    /// Instruments whose books want a snapshot go here.
    pub wanted: mpsc::Sender<InstrumentId>,
    /// What control wants.
    pub commands: Receiver<StageCommand>,
    /// Streams that must deliver.
    pub silence: SilenceCheck,
    /// Log lines.
    pub events: EventSender,
    /// Statistics for others.
    pub published: Published<NormaliserStatistics>,
}

impl Stage {
    /// Runs until all inputs are empty and their writing ends are gone.
    pub fn run(mut self) {
        let mut latency = latency_histogram();
        let mut runs = Runs::default();
        let mut wanted = Vec::new();
        let mut next_tick_ns = 0;
        let mut silent = 0;
        loop {
            // First, so that nothing comes of an instrument that is not known yet.
            while let Ok(command) = self.commands.try_recv() {
                self.obey(command);
            }
            let taken = self.turn(&mut runs, &mut latency);
            self.ask_for_snapshots(&mut wanted);
            let now = monotonic_ns();
            if now >= next_tick_ns {
                next_tick_ns = now + TICK_NS;
                self.normaliser.tick(wall_ns(), &mut self.outlet);
                self.outlet.ring();
                silent = self.silence.tick(wall_ns(), &self.normaliser, &self.events);
                self.publish(&latency, silent, false);
            }
            if taken > 0 {
                self.waiter.worked();
                continue;
            }
            if self.inputs.iter().all(|input| input.is_abandoned() && input.is_empty()) {
                break;
            }
            let inputs = &self.inputs;
            self.waiter.idle(LONGEST_SLEEP, || {
                inputs.iter().any(|input| !input.is_empty()) || inputs.iter().all(LineConsumer::is_abandoned)
            });
        }
        self.normaliser.finish(wall_ns(), &mut self.outlet);
        self.outlet.ring();
        self.publish(&latency, silent, true);
    }

    fn obey(&mut self, command: StageCommand) {
        match command {
            StageCommand::Track(books, expected, done) => {
                for book in books {
                    self.normaliser.track_book(book.instrument, book.continuity, book.derive_quotes);
                }
                self.silence.expect(expected, wall_ns());
                // Control gave up waiting only where it stops.
                let _ = done.send(());
            }
            StageCommand::Retire(instruments) => {
                for instrument in instruments {
                    self.normaliser.retire(instrument, &mut self.outlet);
                    self.silence.forget(instrument);
                }
            }
        }
    }

    /// One look at every ring.
    #[inline]
    fn turn(&mut self, runs: &mut Runs, latency: &mut Histogram<u64>) -> usize {
        let mut taken = 0;
        for input in &mut self.inputs {
            let (normaliser, outlet, dropped) = (&mut self.normaliser, &mut self.outlet, &mut self.dropped);
            let records = input.consume(LINES_PER_TURN, |record| {
                runs.add(record.header().receive_ns);
                normaliser.process(record, outlet);
                // At once, so that no later message of the book is taken for a valid one.
                if outlet.dropped() != *dropped {
                    *dropped = outlet.dropped();
                    for instrument in outlet.take_lost_books() {
                        normaliser.lost_downstream(instrument, record.header().receive_ns, outlet);
                    }
                }
            });
            if records > 0 {
                taken += records;
                runs.drain_into(wall_ns(), latency);
                self.outlet.ring();
            }
        }
        taken
    }

    fn ask_for_snapshots(&mut self, wanted: &mut Vec<InstrumentId>) {
        if !self.normaliser.has_wanted() && wanted.is_empty() {
            return;
        }
        self.normaliser.take_wanted(wanted);
        // What control cannot take now is offered again on the next turn.
        while let Some(instrument) = wanted.last().copied() {
            if self.wanted.try_send(instrument).is_err() {
                break;
            }
            wanted.pop();
        }
    }

    fn publish(&mut self, latency: &Histogram<u64>, silent: usize, force: bool) {
        let normaliser = &self.normaliser;
        self.published.publish(force, |copy| {
            copy.counts.clone_from(normaliser.counts());
            copy.latency.clone_from(latency);
            copy.books = normaliser.book_counts();
            normaliser.tops(TOPS, &mut copy.tops);
            copy.silent_streams = silent;
            copy.book_memory_bytes = normaliser.book_memory_bytes();
            copy.verified_checksums = normaliser.verified_checksums();
            copy.cpu_ns = thread_cpu_ns();
        });
    }
}

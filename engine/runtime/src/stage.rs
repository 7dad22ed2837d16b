//! The normaliser thread: rings in, the pure [`Normaliser`] in the middle, a ring out.

use std::time::Duration;

use crossbeam::channel::Receiver;
use hdrhistogram::Histogram;
use marketprism_core::clock::{monotonic_ns, wall_ns};
use marketprism_core::instrument::InstrumentId;
use marketprism_core::record::Kind;
use marketprism_core::ring::{LineConsumer, Waiter};
use tokio::sync::{mpsc, oneshot};

use crate::journal::Journal;
use crate::normaliser::{Hole, Normaliser, Told, TrackedBook};
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
    /// The state machine, which was told nothing yet.
    pub normaliser: Normaliser,
    /// What it is told before anything comes.
    pub opening: Vec<Told>,
    /// The instruments that stand for the markets of which every frame is kept.
    pub kept_markets: Vec<InstrumentId>,
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
    /// Holes whose frames are worth keeping go here.
    pub holes: mpsc::Sender<Hole>,
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
        let mut journal = Journal::new(&self.kept_markets, self.inputs.len());
        self.open(&mut journal);
        loop {
            // First, so that nothing comes of an instrument that is not known yet.
            while let Ok(command) = self.commands.try_recv() {
                self.obey(command, &mut journal);
            }
            let taken = self.turn(&mut journal, &mut runs, &mut latency);
            self.ask_for_snapshots(&mut wanted);
            self.pass_holes();
            let now = monotonic_ns();
            if now >= next_tick_ns {
                next_tick_ns = now + TICK_NS;
                self.tell(Told::Tick(wall_ns()), &mut journal);
                self.outlet.ring();
                silent = self.silence.tick(wall_ns(), &self.normaliser, &self.events);
                self.publish(&journal, &latency, silent, false);
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
        self.tell(Told::Finish(wall_ns()), &mut journal);
        self.outlet.ring();
        self.publish(&journal, &latency, silent, true);
    }

    fn open(&mut self, journal: &mut Option<Journal>) {
        if let Some(journal) = journal {
            journal.start(&self.kept_markets, self.normaliser.cadence(), &mut self.outlet);
        }
        for told in std::mem::take(&mut self.opening) {
            self.tell(told, journal);
        }
    }

    fn tell(&mut self, told: Told, journal: &mut Option<Journal>) {
        if let Some(journal) = journal {
            journal.tell(told, &mut self.outlet);
        }
        self.normaliser.tell(told, &mut self.outlet);
    }

    fn obey(&mut self, command: StageCommand, journal: &mut Option<Journal>) {
        match command {
            StageCommand::Track(books, expected, done) => {
                for book in books {
                    self.tell(Told::Track(book), journal);
                }
                self.silence.expect(expected, wall_ns());
                // Control gave up waiting only where it stops.
                let _ = done.send(());
            }
            StageCommand::Retire(instruments) => {
                for instrument in instruments {
                    self.tell(Told::Retire(instrument), journal);
                    self.silence.forget(instrument);
                }
            }
        }
    }

    /// One look at every ring.
    #[inline]
    fn turn(
        &mut self,
        journal: &mut Option<Journal>,
        runs: &mut Runs,
        latency: &mut Histogram<u64>,
    ) -> usize {
        let mut taken = 0;
        for (ring, input) in self.inputs.iter_mut().enumerate() {
            let (normaliser, outlet, dropped) = (&mut self.normaliser, &mut self.outlet, &mut self.dropped);
            let records = input.consume(LINES_PER_TURN, |record| {
                runs.add(record.header().receive_ns);
                if let Some(journal) = journal {
                    journal.turn_to(ring, outlet);
                    journal.read(record, outlet);
                }
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

    /// Passes holes on; those that control has no time for are in the log as gaps all the same.
    fn pass_holes(&mut self) {
        for hole in self.normaliser.take_holes() {
            let _ = self.holes.try_send(hole);
        }
    }

    fn publish(&mut self, journal: &Option<Journal>, latency: &Histogram<u64>, silent: usize, force: bool) {
        let normaliser = &self.normaliser;
        let noted = journal.as_ref().map_or(0, Journal::written);
        self.published.publish(force, |copy| {
            copy.counts.clone_from(normaliser.counts());
            copy.counts.records[Kind::Session as usize] += noted;
            copy.counts.derived += noted;
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

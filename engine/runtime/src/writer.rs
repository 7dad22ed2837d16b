//! The writer thread: gathers records into batches and appends them to the segment log.
//!
//! A batch is written when its oldest record has waited for the flush interval, or when it is large. While a
//! write is on its way the rings gather more, so batches grow with the load. The last batch of a segment holds its
//! coverage: what is proven, missing or suspect of every stream in it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use marketprism_core::clock::{monotonic_ns, wall_ns};
use marketprism_core::instrument::{Instrument, Registry};
use marketprism_core::ring::{LineConsumer, Waiter};
use marketprism_log::{BatchBuilder, Coverage, Log, LogError, SegmentFile, SegmentWriter};

use crate::runs::Runs;
use crate::settings::LogSettings;
use crate::telemetry::{EventSender, Published, Severity, WriterStatistics, thread_cpu_ns};
use crate::transport;

/// A batch is written at this size whatever its age.
const BATCH_BYTES: usize = 1 << 20;
/// Lines taken from one ring before the next is looked at.
const LINES_PER_TURN: usize = 8 * 1024;
/// Pause before a failed write is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// While stopping, failed writes are tried for this long, nanoseconds.
const STOPPING_LIMIT_NS: i64 = 10_000_000_000;

/// Everything that the writer owns.
pub struct Writer {
    log: Log,
    registry: Registry,
    settings: LogSettings,
    transport: transport::Kind,
    inputs: Vec<LineConsumer>,
    waiter: Waiter,
    events: EventSender,
    published: Published<WriterStatistics>,
    batch: BatchBuilder,
    coverage: Coverage,
    bytes: Vec<u8>,
    runs: Runs,
    statistics: WriterStatistics,
    syncer: Syncer,
    last_sync_ns: i64,
}

/// One open segment.
struct Open {
    file: File,
    sync: Arc<std::fs::File>,
    segment: SegmentWriter,
}

/// A file, by the interface that writes it.
enum File {
    Uring(tokio_uring::fs::File),
    Plain(Arc<std::fs::File>),
}

impl File {
    /// Writes all bytes at an offset; gives the buffer back.
    async fn write(&self, bytes: Vec<u8>, offset: u64) -> (io::Result<()>, Vec<u8>) {
        match self {
            File::Uring(file) => file.write_all_at(bytes, offset).await,
            File::Plain(file) => (std::os::unix::fs::FileExt::write_all_at(&**file, &bytes, offset), bytes),
        }
    }
}

impl Writer {
    /// A writer over an opened log. `registry` holds the instruments known so far.
    #[expect(clippy::too_many_arguments, reason = "made in one place, from its parts")]
    pub fn new(
        log: Log,
        registry: Registry,
        settings: LogSettings,
        transport: transport::Kind,
        inputs: Vec<LineConsumer>,
        waiter: Waiter,
        events: EventSender,
        published: Published<WriterStatistics>,
    ) -> Writer {
        Writer {
            log,
            registry,
            settings,
            transport,
            inputs,
            waiter,
            syncer: Syncer::start(events.clone()),
            events,
            published,
            batch: BatchBuilder::new(),
            coverage: Coverage::default(),
            bytes: Vec::new(),
            runs: Runs::default(),
            statistics: WriterStatistics::default(),
            last_sync_ns: monotonic_ns(),
        }
    }

    /// Writes until all rings are empty and their writing ends are gone. Returns records and bytes written.
    pub async fn run(mut self) -> Result<(u64, u64), LogError> {
        let mut open = self.first_segment().await?;
        let mut batch_started_ns = 0;
        loop {
            let was_empty = self.batch.is_empty();
            let taken = self.gather();
            let now = monotonic_ns();
            if was_empty {
                batch_started_ns = now;
            }
            let waited = now - batch_started_ns;
            let flush_ns = self.settings.flush_interval.as_nanos() as i64;
            let finished =
                taken == 0 && self.inputs.iter().all(|input| input.is_abandoned() && input.is_empty());
            if !self.batch.is_empty()
                && (waited >= flush_ns || finished || self.batch.bytes_estimate() >= BATCH_BYTES)
            {
                self.write_batch(&mut open).await?;
                self.rotate_if_due(&mut open).await?;
            }
            self.sync_if_due(&open);
            self.publish(finished);
            if finished {
                break;
            }
            if taken > 0 {
                self.waiter.worked();
            } else {
                let until_flush = if self.batch.is_empty() { i64::MAX } else { flush_ns - waited };
                let inputs = &self.inputs;
                self.waiter.idle(Duration::from_nanos(until_flush.max(1) as u64), || {
                    inputs.iter().any(|input| !input.is_empty() || input.is_abandoned())
                });
            }
        }
        self.seal(&mut open).await?;
        self.publish(true);
        self.syncer.finish(&open.sync);
        Ok((self.statistics.records, self.statistics.bytes))
    }

    /// Takes what waits in the rings into the batch.
    fn gather(&mut self) -> usize {
        let (batch, coverage, runs) = (&mut self.batch, &mut self.coverage, &mut self.runs);
        let mut taken = 0;
        let mut malformed = 0;
        for input in &mut self.inputs {
            taken += input.consume(LINES_PER_TURN, |record| match batch.push(record) {
                Ok(()) => {
                    coverage.record(record);
                    runs.add(record.header().receive_ns);
                }
                Err(_) => malformed += 1,
            });
        }
        if coverage.is_full() {
            let before = batch.records();
            coverage.flush(wall_ns(), batch);
            self.statistics.coverage_records += u64::from(batch.records() - before);
        }
        if malformed > 0 {
            self.statistics.errors += malformed;
            self.events.send(Severity::Error, format!("{malformed} malformed records were not written"));
        }
        taken
    }

    async fn write_batch(&mut self, open: &mut Open) -> Result<(), LogError> {
        learn_definitions(&self.batch, &mut self.registry);
        let info = self.batch.finish(open.segment.next_sequence(), &mut self.bytes)?;
        self.write_until_done(open, "append a batch").await?;
        open.segment.commit(&info);
        let totals = &mut self.statistics;
        totals.records += u64::from(info.records);
        totals.batches += 1;
        totals.bytes += u64::from(info.bytes);
        self.runs.drain_into(wall_ns(), &mut totals.latency);
        Ok(())
    }

    /// Writes `self.bytes` at the segment's offset; repeats what fails, at the same offset, until it is done.
    async fn write_until_done(&mut self, open: &Open, action: &'static str) -> Result<(), LogError> {
        let mut failing_since = None;
        loop {
            let bytes = std::mem::take(&mut self.bytes);
            let (result, bytes) = open.file.write(bytes, open.segment.offset()).await;
            self.bytes = bytes;
            let Err(error) = result else {
                self.works_again(failing_since);
                return Ok(());
            };
            let error = LogError::io(action, open.segment.path(), error);
            self.failed(&mut failing_since, error)?;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Notes a failure; an error only where the recorder stops and time is up.
    fn failed(&mut self, since: &mut Option<i64>, error: LogError) -> Result<(), LogError> {
        let now = monotonic_ns();
        let started = *since.get_or_insert(now);
        self.statistics.errors += 1;
        if started == now {
            self.statistics.trouble = error.to_string();
            let text =
                format!("{error}. Capture goes on in memory and writing is tried again until it works");
            self.events.send(Severity::Error, text);
        }
        self.publish(true);
        let stopping = self.inputs.iter().all(|input| input.is_abandoned());
        if stopping && now - started >= STOPPING_LIMIT_NS { Err(error) } else { Ok(()) }
    }

    /// Tells that what failed is done.
    fn works_again(&mut self, failing_since: Option<i64>) {
        if failing_since.is_some() {
            self.statistics.trouble.clear();
            self.events.send(Severity::Info, "writing works again");
        }
    }

    async fn start_segment(&mut self, first_sequence: u64) -> Result<Open, LogError> {
        let SegmentFile { file, writer: segment, head } =
            self.log.start_segment(&self.registry, first_sequence)?;
        let sync = Arc::new(file);
        let file = match self.transport {
            transport::Kind::IoUring => {
                let copy =
                    sync.try_clone().map_err(|error| LogError::io("duplicate", segment.path(), error))?;
                File::Uring(tokio_uring::fs::File::from_std(copy))
            }
            transport::Kind::Epoll => File::Plain(Arc::clone(&sync)),
        };
        let (result, _) = file.write(head, 0).await;
        result.map_err(|error| LogError::io("begin a segment", segment.path(), error))?;
        self.statistics.segments += 1;
        Ok(Open { file, sync, segment })
    }

    async fn rotate_if_due(&mut self, open: &mut Open) -> Result<(), LogError> {
        let options = self.log.options();
        if !open.segment.is_due(options.segment_bytes, options.segment_age_ns, wall_ns()) {
            return Ok(());
        }
        self.seal(open).await?;
        self.syncer.sync(&open.sync);
        *open = self.next_segment(open.segment.next_sequence()).await?;
        Ok(())
    }

    /// Begins the first segment. A full disk is waited for, anything else ends the recorder.
    async fn first_segment(&mut self) -> Result<Open, LogError> {
        let first_sequence = self.log.next_sequence();
        match self.start_segment(first_sequence).await {
            Err(error) if error.is_full() => self.next_segment(first_sequence).await,
            started => started,
        }
    }

    /// Begins a segment; repeats what fails until it is done.
    async fn next_segment(&mut self, first_sequence: u64) -> Result<Open, LogError> {
        let mut failing_since = None;
        loop {
            match self.start_segment(first_sequence).await {
                Ok(next) => {
                    self.works_again(failing_since);
                    return Ok(next);
                }
                Err(error) => self.failed(&mut failing_since, error)?,
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Ends a segment. All gathered records are written.
    async fn seal(&mut self, open: &mut Open) -> Result<(), LogError> {
        self.coverage.end(wall_ns(), &mut self.batch);
        if !self.batch.is_empty() {
            self.statistics.coverage_records += u64::from(self.batch.records());
            self.write_batch(open).await?;
        }
        open.segment.seal(&mut self.bytes)?;
        self.write_until_done(open, "seal a segment").await?;
        Ok(())
    }

    fn sync_if_due(&mut self, open: &Open) {
        let interval = self.settings.sync_interval.as_nanos() as i64;
        let now = monotonic_ns();
        if interval > 0 && now - self.last_sync_ns >= interval {
            self.last_sync_ns = now;
            self.syncer.sync(&open.sync);
        }
    }

    fn publish(&mut self, force: bool) {
        let (statistics, coverage) = (&self.statistics, self.coverage.totals());
        self.published.publish(force, |copy| {
            copy.clone_from(statistics);
            copy.coverage = *coverage;
            copy.cpu_ns = thread_cpu_ns();
        });
    }
}

/// Definitions that pass by go into the dictionary of the next segment.
fn learn_definitions(batch: &BatchBuilder, registry: &mut Registry) {
    for (_, body) in batch.definitions() {
        if let Ok(instrument) = serde_json::from_slice::<Instrument>(body) {
            registry.restore(instrument);
        }
    }
}

/// A thread that calls `fdatasync`, so that the writer never waits for the disk's own pace.
struct Syncer {
    files: Option<SyncSender<Arc<std::fs::File>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Syncer {
    fn start(events: EventSender) -> Syncer {
        let (files, queue) = sync_channel::<Arc<std::fs::File>>(2);
        let thread = std::thread::Builder::new().name("sync".into()).spawn(move || {
            for file in queue {
                if let Err(error) = file.sync_data() {
                    events.send(Severity::Error, format!("fdatasync of the newest segment failed: {error}"));
                }
            }
        });
        Syncer { files: Some(files), thread: thread.ok() }
    }

    /// Asks for a sync; one that is still waiting covers this one.
    fn sync(&self, file: &Arc<std::fs::File>) {
        let Some(files) = &self.files else { return };
        if let Err(TrySendError::Disconnected(_)) = files.try_send(Arc::clone(file)) {
            // The thread could not be started: better late than never.
            let _ = file.sync_data();
        }
    }

    /// Waits until everything is on disk.
    fn finish(&mut self, file: &Arc<std::fs::File>) {
        self.files = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = file.sync_all();
    }
}

use std::collections::VecDeque;

use super::*;
use crate::journal::{Asked, Journal};
use crate::normaliser::{Normaliser, SnapshotCadence, Told, TrackedBook};
use crate::raw::{FrameKeeper, Origin};
use crate::settings::RawCapture;
use crate::testing::{MARKET, TestVenue};
use bytemuck::Zeroable;
use marketprism_core::instrument::{Instrument, SymbolTable};
use marketprism_core::record::{Gap, GapReason, Header, Kind, RecordBuffer, Sink, Trade, flag};
use marketprism_core::venue::{Continuity, Decoder};
use proptest::prelude::*;

/// The market and its instrument `a`.
const MARKET_ID: u32 = 1;
const A: u32 = 2;
/// The ring of answers; before it are those of connections.
const ANSWERS: usize = 2;

fn registry() -> Registry {
    let mut registry = Registry::default();
    assert_eq!(registry.define(Instrument::market("test", "test")).0, MARKET_ID);
    assert_eq!(registry.define(Instrument::unknown("test", "test", "a")).0, A);
    registry
}

/// One connection.
struct Connection {
    keeper: FrameKeeper,
    decoder: Box<dyn Decoder>,
}

/// The recorder from the frames to the log, with a schedule that the test chooses.
struct Recording {
    connections: Vec<Connection>,
    rings: Vec<VecDeque<RecordBuffer>>,
    journal: Journal,
    normaliser: Normaliser,
    log: RecordBuffer,
    now_ns: i64,
}

/// Puts every record into a buffer of its own.
struct OneByOne<'r>(&'r mut VecDeque<RecordBuffer>);

impl Sink for OneByOne<'_> {
    fn append(&mut self, head: &[marketprism_core::record::Line], body: &[u8]) {
        let mut record = RecordBuffer::default();
        record.append(head, body);
        self.0.push_back(record);
    }
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A frame comes on a connection.
    Frame(usize, String),
    /// An answer comes.
    Snapshot(u64),
    /// The normaliser thread reads so many records of a ring.
    Read(usize, usize),
    /// Time passes.
    Tick(i64),
    /// The connection is lost.
    Disconnect(usize),
}

impl Recording {
    fn start(log: RecordBuffer) -> Recording {
        let connection = |number| {
            let origin = Origin { market: MARKET_ID, connection: number };
            let keeper = FrameKeeper::new(RawCapture::All, origin);
            Connection { keeper, decoder: TestVenue.decoder(&MARKET, SymbolTable::default()) }
        };
        let cadence = SnapshotCadence { interval_ns: 1_000, levels: 3 };
        let mut recording = Recording {
            connections: (1..=2).map(connection).collect(),
            rings: (0..=ANSWERS).map(|_| VecDeque::new()).collect(),
            journal: Journal::new(&[MARKET_ID], ANSWERS + 1).unwrap(),
            normaliser: Normaliser::with_snapshots(cadence),
            log,
            now_ns: 1,
        };
        recording.journal.start(&[MARKET_ID], cadence, &mut recording.log);
        let book = TrackedBook { instrument: A, continuity: Continuity::Contiguous, derive_quotes: true };
        recording.tell(Told::Track(book));
        let symbols = [("a".to_owned(), A)];
        for (ring, connection) in recording.connections.iter_mut().enumerate() {
            connection.decoder.learn(b"a", A);
            connection.keeper.begin(&symbols, &mut OneByOne(&mut recording.rings[ring]));
        }
        recording
    }

    fn tell(&mut self, told: Told) {
        self.journal.tell(told, &mut self.log);
        self.normaliser.tell(told, &mut self.log);
    }

    fn step(&mut self, step: &Step) {
        self.now_ns += 10;
        match step {
            Step::Frame(ring, text) => {
                let Connection { keeper, decoder } = &mut self.connections[*ring];
                let out = &mut OneByOne(&mut self.rings[*ring]);
                let _ = keeper.decode(&mut **decoder, text.as_bytes(), self.now_ns, out);
            }
            Step::Snapshot(id) => {
                let reason = Asked::Snapshot { instrument: A, path: "/book".into() };
                let (reason, body) = (serde_json::to_string(&reason).unwrap(), id.to_string());
                let out = &mut OneByOne(&mut self.rings[ANSWERS]);
                let origin = Origin { market: MARKET_ID, connection: 0 };
                origin.push((self.now_ns, flag::REST), &reason, body.as_bytes(), &mut vec![], out);
                TestVenue.parse_snapshot(&MARKET, A, body.as_bytes(), self.now_ns, out).unwrap();
            }
            Step::Read(ring, count) => {
                for _ in 0..*count {
                    let Some(buffer) = self.rings[*ring].pop_front() else { break };
                    self.journal.turn_to(*ring, &mut self.log);
                    for record in buffer.iter() {
                        self.journal.read(record, &mut self.log);
                        self.normaliser.process(record, &mut self.log);
                    }
                }
            }
            Step::Tick(passed_ns) => {
                self.now_ns += passed_ns;
                self.tell(Told::Tick(self.now_ns));
            }
            Step::Disconnect(ring) => {
                for kind in [Kind::Trade, Kind::BookDelta] {
                    let header = Header::new(Kind::Gap, A, self.now_ns);
                    let (stream, reason) = (kind as u8, GapReason::Disconnected as u8);
                    let gap = Gap { header, stream, reason, ..Gap::zeroed() };
                    let out: &mut dyn Sink = &mut OneByOne(&mut self.rings[*ring]);
                    out.push(&gap);
                }
            }
        }
    }

    /// Reads what is left, and ends.
    fn finish(mut self) -> RecordBuffer {
        (0..=ANSWERS).for_each(|ring| self.step(&Step::Read(ring, usize::MAX)));
        self.tell(Told::Finish(self.now_ns));
        self.log
    }
}

fn record(steps: &[Step]) -> RecordBuffer {
    let mut recording = Recording::start(RecordBuffer::default());
    steps.iter().for_each(|step| recording.step(step));
    recording.finish()
}

/// Compares the records of a log that begins with this sequence.
fn compared<'r>(records: impl Iterator<Item = RecordRef<'r>>) -> Renormalisation {
    let venues: [Arc<dyn Venue>; 1] = [Arc::new(TestVenue)];
    let registry = registry();
    let mut renormaliser = Renormaliser::new(&venues);
    for (sequence, record) in (100..).zip(records) {
        renormaliser.record(Stored { sequence, record, registry: &registry });
    }
    renormaliser.finish()
}

fn is_made(record: &RecordRef<'_>) -> bool {
    !matches!(record, RecordRef::Raw(..) | RecordRef::Session(..))
}

/// The words of a frame to come on a connection: what stands before the symbol, and how far the id goes on.
type Coming = (usize, Vec<(String, i64)>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Ids mostly go on, and sometimes jump or come again.
    let word = ("=?", prop_oneof![6 => Just(1i64), 1 => -3..4i64]);
    let frame = proptest::collection::vec(word, 0..5);
    let step = prop_oneof![
        4 => (0..ANSWERS, frame).prop_map(|(ring, words)| (Some((ring, words)), Step::Tick(0))),
        1 => (0..40u64).prop_map(|id| (None, Step::Snapshot(id))),
        4 => (0..=ANSWERS, 0..6usize).prop_map(|(ring, count)| (None, Step::Read(ring, count))),
        2 => prop_oneof![1..900i64, Just(2_000_000_000)].prop_map(|ns| (None, Step::Tick(ns))),
        1 => (0..ANSWERS).prop_map(|ring| (None, Step::Disconnect(ring))),
    ];
    proptest::collection::vec(step, 1..80).prop_map(|steps| {
        let mut ids = [1i64; 2];
        let mut text = |(prefix, jump): (String, i64)| {
            let id = &mut ids[prefix.len()];
            *id = (*id + jump).max(1);
            format!("{prefix}a{id}")
        };
        let step = |(frame, step): (Option<Coming>, Step)| match frame {
            Some((ring, words)) => {
                Step::Frame(ring, words.into_iter().map(&mut text).collect::<Vec<_>>().join(" "))
            }
            None => step,
        };
        steps.into_iter().map(step).collect()
    })
}

proptest! {
    #[test]
    fn the_same_input_gives_the_same_records_whatever_the_threads_did(steps in steps()) {
        let log = record(&steps);
        let report = compared(log.iter());
        prop_assert_eq!(&report.not_compared, &[]);
        prop_assert!(report.differences.is_empty(), "{:?}", report.differences);
        let frames = steps.iter().filter(|step| matches!(step, Step::Frame(..))).count() as u64;
        let answers = steps.iter().filter(|step| matches!(step, Step::Snapshot(..))).count() as u64;
        let market = &report.markets[0];
        prop_assert_eq!((market.frames, market.answers), (frames, answers));
        prop_assert_eq!(market.records, log.iter().filter(is_made).count() as u64);
        prop_assert_eq!(report.is_ok(), frames > 0);
    }

    #[test]
    fn a_log_that_ends_anywhere_shows_no_difference_that_is_none(steps in steps(), share in 0..100usize) {
        let log = record(&steps);
        let count = log.iter().count() * share / 100;
        let report = compared(log.iter().take(count));
        prop_assert!(report.differences.is_empty(), "{:?}", report.differences);
    }

    #[test]
    fn a_record_that_is_missing_is_found(steps in steps(), which in 0..1000usize) {
        let log = record(&steps);
        let made = log.iter().filter(is_made).count();
        prop_assume!(made > 0);
        let left_out = which % made;
        let mut number = 0;
        let rest = log.iter().filter(|record| {
            number += usize::from(is_made(record));
            !(is_made(record) && number == left_out + 1)
        });
        let report = compared(rest);
        // The last ones of a log may be missing because it ends.
        let differences: u64 = report.markets.iter().map(|market| market.differences).sum();
        prop_assert!(differences > 0 || !report.not_compared.is_empty(), "{:?}", report);
    }
}

/// Two frames, read at once.
fn short() -> Vec<Step> {
    vec![Step::Frame(0, "a1 a2".into()), Step::Frame(0, "a3 =a1".into()), Step::Read(0, 9), Step::Tick(5)]
}

#[test]
fn another_value_is_shown_with_both() {
    let log = record(&short());
    let mut changed = RecordBuffer::default();
    for record in log.iter() {
        match record {
            RecordRef::Trade(trade) if trade.header.sequence == 2 => {
                let out: &mut dyn Sink = &mut changed;
                out.push(&Trade { price: 5, ..*trade });
            }
            other => (&mut changed as &mut dyn Sink).push_ref(other),
        }
    }
    let report = compared(changed.iter());
    assert!(!report.is_ok() && report.markets[0].differences == 1, "{report:?}");
    let [Difference { stored: Some(stored), made: Some(made), .. }] = &report.differences[..] else {
        panic!("{report:?}");
    };
    assert!(stored.get().contains("\"price\":\"5\"") && made.get().contains("\"price\":\"0\""), "{report:?}");
}

#[test]
fn two_runs_in_one_log_are_done_again_one_after_the_other() {
    let first = record(&short());
    let mut second = Recording::start(first);
    second.tell(Told::Resume { instrument: A, kind: Kind::Trade, last_id: 3, receive_ns: 7 });
    [Step::Frame(1, "a9".into()), Step::Read(1, 9)].iter().for_each(|step| second.step(step));
    let log = second.finish();
    let report = compared(log.iter());
    assert!(report.is_ok() && report.not_compared.is_empty(), "{report:?}");
    assert_eq!((report.markets.len(), report.markets[0].frames), (1, 3));
    let gaps = log.iter().filter(|record| matches!(record, RecordRef::Gap(_))).count();
    assert_eq!(gaps, 1, "what was missed between the runs");
}

#[test]
fn what_cannot_be_compared_is_named() {
    let log = record(&short());
    let reason = |report: &Renormalisation| report.not_compared[0].reason.clone();

    let without_beginning = compared(log.iter().skip(1));
    assert!(!without_beginning.is_ok());
    assert_eq!(reason(&without_beginning), "the beginning of the run is not in the log");

    let plain = compared(log.iter().filter(is_made));
    assert!(!plain.is_ok());
    assert_eq!(reason(&plain), NOT_KEPT);
    assert_eq!(plain.not_compared[0].from_sequence, 100);
    assert_eq!(plain.not_compared[0].to_sequence, 99 + log.iter().filter(is_made).count() as u64);

    let mut overrun = Recording::start(RecordBuffer::default());
    short().iter().for_each(|step| overrun.step(step));
    let gap = Gap {
        header: Header::new(Kind::Gap, A, 1),
        stream: Kind::Trade as u8,
        reason: GapReason::Overrun as u8,
        ..Gap::zeroed()
    };
    overrun.tell(Told::interrupted(&gap));
    overrun.step(&Step::Frame(0, "a9".into()));
    let overrun = compared(overrun.finish().iter());
    assert!(reason(&overrun).contains("a queue was full"), "{overrun:?}");
    assert_eq!(overrun.markets[0].frames, 2, "up to there it was");

    let venues: [Arc<dyn Venue>; 1] = [Arc::new(TestVenue)];
    let registry = registry();
    let mut renormaliser = Renormaliser::new(&venues);
    for (sequence, record) in log.iter().enumerate() {
        let sequence = if sequence < 6 { sequence } else { sequence + 10 } as u64;
        renormaliser.record(Stored { sequence, record, registry: &registry });
    }
    let hole = renormaliser.finish();
    assert!(reason(&hole).contains("from sequence 6 on, cannot be read"), "{hole:?}");
}

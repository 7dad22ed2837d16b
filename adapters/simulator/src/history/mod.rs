//! Recorded history: the records of a log, played by a simulated venue as the messages that they were made from.
//!
//! A reader of a log tells each venue what was known before ([`HistoryEvent::Before`]), says that this is all
//! ([`HistoryEvent::Begin`]), and then hands over the records to play, in the order of their receipt. All venues of a
//! replay share one [`Timeline`], so that they keep the distances in time that they had.

pub(crate) mod binance;
pub(crate) mod chained;
pub(crate) mod deribit;
mod moments;
pub(crate) mod okx;
mod tally;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use marketprism_core::record::{Body, Definition, Header, Kind, RecordBuffer, Sink};
use marketprism_core::{Instrument, RecordRef};

pub(crate) use self::moments::{Moments, Next};
pub use self::tally::ReplayedStream;
pub(crate) use self::tally::Tally;

/// Events on the way from the reader to one venue. A full book of 10,000 levels takes 160 kB.
const MOST_EVENTS: usize = 1024;

/// A record of a log with the instrument that it is of, as it was defined at that time.
#[derive(Clone, Debug)]
pub struct HistoryRecord {
    /// The instrument. The record's own instrument id is that of the log.
    pub instrument: Arc<Instrument>,
    lines: RecordBuffer,
}

impl HistoryRecord {
    /// A copy of a record.
    pub fn new(instrument: Arc<Instrument>, record: RecordRef<'_>) -> HistoryRecord {
        let mut lines = RecordBuffer::default();
        let sink: &mut dyn Sink = &mut lines;
        sink.push_ref(record);
        HistoryRecord { instrument, lines }
    }

    /// A definition that was known before.
    pub fn definition(instrument: Arc<Instrument>) -> HistoryRecord {
        let header = Header::new(Kind::Instrument, instrument.id, 0);
        let definition = Definition { header, body: Body::default(), reserved: [0; 24] };
        HistoryRecord::new(instrument, RecordRef::Definition(&definition, &[]))
    }

    /// The record; `None` only where its kind is unknown.
    pub fn record(&self) -> Option<RecordRef<'_>> {
        self.lines.iter().next()
    }

    /// When it was received, nanoseconds since the Unix epoch.
    pub fn receive_ns(&self) -> i64 {
        self.record().map_or(0, |record| record.header().receive_ns)
    }
}

/// What a reader of a log tells a venue. It tells of no records that the venue did not send or that are of no use to a
/// client: derived ones, gaps, sessions, raw frames, samples of clocks.
#[derive(Clone, Debug)]
pub enum HistoryEvent {
    /// A definition, or a record that what is played follows on: books and what is polled are built from these, and
    /// nothing is sent. Definitions come first, without a receive time; all others by receive time. Here derived snapshots
    /// of books are told too.
    Before(HistoryRecord),
    /// Everything from before was told. Comes once to every venue, before its first [`HistoryEvent::Record`].
    Begin,
    /// A record to play, by receive time. A definition among them takes effect when its turn has come.
    Record(HistoryRecord),
}

/// The source of one venue. The end of the channel is the end of the history.
#[derive(Clone, Debug)]
pub struct History {
    /// What the reader tells.
    pub events: Receiver<HistoryEvent>,
    /// The clock of the replay.
    pub timeline: Arc<Timeline>,
}

/// Where a reader of a log tells one venue.
pub type HistorySender = Sender<HistoryEvent>;

impl History {
    /// A source and the end that a reader sends to. A full channel makes the reader wait.
    pub fn new(timeline: Arc<Timeline>) -> (HistorySender, History) {
        let (sender, events) = bounded(MOST_EVENTS);
        (sender, History { events, timeline })
    }
}

/// When a replay begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// At once.
    Immediately,
    /// A time after the first subscription, which leaves a client room for its further ones.
    AfterSubscription(Duration),
    /// When clients have subscribed so many streams that exist, over all venues of the replay.
    WhenSubscribed(usize),
}

/// The clock that all venues of a replay go by.
#[derive(Debug)]
pub struct Timeline {
    /// How many times as fast as received; `None`: as fast as the sockets take it.
    speed: Option<u32>,
    beginning: Beginning,
    /// Receive time of the first record to play, nanoseconds.
    first_ns: OnceLock<i64>,
    begun: OnceLock<Instant>,
    subscribed: AtomicUsize,
}

impl Timeline {
    /// A clock that stands still until the beginning. A speed of `None` is without pace, 0 means 1.
    pub fn new(speed: Option<u32>, beginning: Beginning) -> Timeline {
        let begun = OnceLock::new();
        if beginning == Beginning::Immediately {
            let _ = begun.set(Instant::now());
        }
        Timeline {
            speed: speed.map(|speed| speed.max(1)),
            beginning,
            first_ns: OnceLock::new(),
            begun,
            subscribed: AtomicUsize::new(0),
        }
    }

    /// Says which receive time the history begins with. The reader calls it before the first [`HistoryEvent::Begin`];
    /// the first call counts.
    pub fn set_first(&self, first_ns: i64) {
        let _ = self.first_ns.set(first_ns);
    }

    /// The receive time that the history begins with, nanoseconds, once it is known.
    pub fn first_ns(&self) -> Option<i64> {
        self.first_ns.get().copied()
    }

    /// Counts a stream that a client has subscribed and nobody had before. A venue calls it once for every stream.
    pub fn subscribed(&self) {
        let count = self.subscribed.fetch_add(1, Ordering::Relaxed) + 1;
        let pause = match self.beginning {
            Beginning::AfterSubscription(pause) => pause,
            Beginning::WhenSubscribed(enough) if count >= enough => Duration::ZERO,
            Beginning::Immediately | Beginning::WhenSubscribed(_) => return,
        };
        // The first call counts: a beginning is not moved.
        let _ = self.begun.set(Instant::now() + pause);
    }

    /// The time until a record is due that was received at `receive_ns`, zero where it is due; `None` where the
    /// beginning is not known yet.
    pub fn until(&self, receive_ns: i64) -> Option<Duration> {
        let due = *self.begun.get()? + self.after_beginning(receive_ns);
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// When a record is due, from the beginning on. Few are received before the first; these are due at once.
    fn after_beginning(&self, receive_ns: i64) -> Duration {
        let first_ns = self.first_ns().unwrap_or(receive_ns);
        let later_ns = u64::try_from(receive_ns.saturating_sub(first_ns)).unwrap_or(0);
        self.speed.map_or(Duration::ZERO, |speed| Duration::from_nanos(later_ns / u64::from(speed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_due_at_their_distance_from_the_first() {
        let at_speed = |speed, receive_ns| {
            let timeline = Timeline::new(speed, Beginning::Immediately);
            timeline.set_first(1_000);
            timeline.set_first(5_000);
            timeline.after_beginning(receive_ns)
        };
        assert_eq!(at_speed(Some(1), 3_000_001_000), Duration::from_secs(3));
        assert_eq!(at_speed(Some(1000), 3_000_001_000), Duration::from_millis(3));
        assert_eq!(at_speed(Some(0), 2_000), Duration::from_micros(1));
        assert_eq!(at_speed(Some(1), -7), Duration::ZERO);
        assert_eq!(at_speed(None, i64::MAX), Duration::ZERO);
    }

    #[test]
    fn a_replay_begins_when_it_is_told_to() {
        let waiting = Timeline::new(None, Beginning::WhenSubscribed(2));
        waiting.subscribed();
        assert_eq!(waiting.until(0), None);
        waiting.subscribed();
        assert_eq!(waiting.until(0), Some(Duration::ZERO));

        let later = Timeline::new(None, Beginning::AfterSubscription(Duration::from_secs(3600)));
        assert_eq!(later.until(0), None);
        later.subscribed();
        assert!(later.until(0).is_some_and(|time| time > Duration::from_secs(3000)));
        assert_eq!(Timeline::new(Some(1), Beginning::Immediately).until(0), Some(Duration::ZERO));
    }
}

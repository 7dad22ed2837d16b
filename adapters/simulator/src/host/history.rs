//! The feed of a history: what is played when, and when clients have to answer first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hub::Hub;
use super::{Protocol, TopicId};
use crate::history::{History, HistoryRecord, Moments, Next, Timeline};

/// How long a client has for subscribing a book anew. One that checks nothing never does.
const LONGEST_ANSWER: Duration = Duration::from_secs(3);
/// Between two looks at what does not say that it is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A history and how far it was played.
#[derive(Debug)]
pub(crate) struct Replay {
    moments: Moments,
    timeline: Arc<Timeline>,
    has_ended: bool,
    /// Topics that wait for this number of subscriptions, and until when.
    awaited: Vec<(TopicId, u64)>,
    patience: Instant,
}

impl Replay {
    pub(crate) fn new(history: History) -> Replay {
        Replay {
            moments: Moments::new(history.events),
            timeline: history.timeline,
            has_ended: false,
            awaited: Vec::new(),
            patience: Instant::now(),
        }
    }

    /// Tells the venue what was known before. Waits for the reader of the log.
    pub(crate) fn prepare(&mut self, protocol: &mut dyn Protocol) {
        self.moments.read_before(|record| protocol.remember(&record));
    }

    /// Whether everything is played.
    pub(crate) fn is_finished(&self) -> bool {
        self.has_ended
    }

    /// Tells the clock of streams that nobody had subscribed before.
    pub(crate) fn subscribed(&self, streams: usize) {
        (0..streams).for_each(|_| self.timeline.subscribed());
    }

    /// The records that are due, all of one receive time; or the time until there may be some.
    pub(crate) fn due(&mut self, hub: &Hub) -> Result<Vec<HistoryRecord>, Duration> {
        if self.is_awaited(hub) {
            return Err(LOOK_AGAIN);
        }
        match self.moments.next() {
            Next::Moment(receive_ns) => match self.timeline.until(receive_ns) {
                Some(Duration::ZERO) => Ok(self.moments.take()),
                time => Err(time.unwrap_or(LOOK_AGAIN)),
            },
            Next::NotRead => Err(LOOK_AGAIN),
            Next::End => {
                self.has_ended = true;
                Err(LOOK_AGAIN)
            }
        }
    }

    /// The history goes on when everybody on these topics has subscribed anew, as somebody who checks what is sent does,
    /// or had the time for it: what comes next is for those who did.
    pub(crate) fn await_clients(&mut self, topics: &[TopicId], hub: &Hub) {
        for &topic in topics {
            let (begun, present) = hub.subscriptions(topic);
            if present > 0 {
                self.awaited.push((topic, begun + present as u64));
                self.patience = Instant::now() + LONGEST_ANSWER;
            }
        }
    }

    fn is_awaited(&mut self, hub: &Hub) -> bool {
        self.awaited.retain(|&(topic, enough)| hub.subscriptions(topic).0 < enough);
        if !self.awaited.is_empty() && Instant::now() >= self.patience {
            self.awaited.clear();
        }
        !self.awaited.is_empty()
    }
}

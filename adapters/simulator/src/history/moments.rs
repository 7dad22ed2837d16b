//! The records of one receive time together: one message makes several records, and one read brings several messages.

use crossbeam::channel::{Receiver, TryRecvError};

use super::{HistoryEvent, HistoryRecord};

/// What is to be played next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Records of this receive time, nanoseconds.
    Moment(i64),
    /// The reader has not come that far.
    NotRead,
    /// Nothing: the history has ended.
    End,
}

/// Takes events from a reader.
#[derive(Debug)]
pub(crate) struct Moments {
    events: Receiver<HistoryEvent>,
    gathered: Vec<HistoryRecord>,
    /// The first record behind those gathered.
    following: Option<HistoryRecord>,
    has_ended: bool,
}

impl Moments {
    pub(crate) fn new(events: Receiver<HistoryEvent>) -> Moments {
        Moments { events, gathered: Vec::new(), following: None, has_ended: false }
    }

    /// Hands over everything from before what is played. Waits for the reader.
    pub(crate) fn read_before(&mut self, mut take: impl FnMut(HistoryRecord)) {
        loop {
            match self.events.recv() {
                Ok(HistoryEvent::Before(record)) => take(record),
                Ok(HistoryEvent::Begin) => return,
                Ok(HistoryEvent::Record(record)) => {
                    self.following = Some(record);
                    return;
                }
                Err(_) => {
                    self.has_ended = true;
                    return;
                }
            }
        }
    }

    /// Looks at what comes next; a moment is complete once a record of another time, or the end, is seen.
    pub(crate) fn next(&mut self) -> Next {
        if self.gathered.is_empty() {
            self.gathered.extend(self.following.take());
        }
        while self.following.is_none() && !self.has_ended {
            match self.events.try_recv() {
                Ok(HistoryEvent::Before(record) | HistoryEvent::Record(record)) => self.add(record),
                Ok(HistoryEvent::Begin) => {}
                Err(TryRecvError::Empty) => return Next::NotRead,
                Err(TryRecvError::Disconnected) => self.has_ended = true,
            }
        }
        self.gathered.first().map_or(Next::End, |first| Next::Moment(first.receive_ns()))
    }

    fn add(&mut self, record: HistoryRecord) {
        let is_same = self.gathered.first().is_none_or(|first| first.receive_ns() == record.receive_ns());
        if is_same {
            self.gathered.push(record);
        } else {
            self.following = Some(record);
        }
    }

    /// Takes the records of the moment that [`Moments::next`] has shown.
    pub(crate) fn take(&mut self) -> Vec<HistoryRecord> {
        std::mem::take(&mut self.gathered)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use marketprism_core::record::{Header, Kind, MarkPrice, RecordRef};
    use marketprism_core::{Instrument, InstrumentId};

    use super::super::{Beginning, History, Timeline};
    use super::*;

    fn record(instrument: InstrumentId, receive_ns: i64) -> HistoryRecord {
        let header = Header::new(Kind::MarkPrice, instrument, receive_ns);
        let mark = MarkPrice { header, mark_price: 1, index_price: 1, settlement_price: 1, average_price: 1 };
        HistoryRecord::new(Arc::new(Instrument::default()), RecordRef::MarkPrice(&mark))
    }

    #[test]
    fn records_of_one_time_come_together_and_only_when_all_are_there() {
        let (sender, history) = History::new(Arc::new(Timeline::new(None, Beginning::Immediately)));
        let mut moments = Moments::new(history.events);
        sender.send(HistoryEvent::Before(record(7, 1))).expect("room");
        sender.send(HistoryEvent::Begin).expect("room");
        let mut before = Vec::new();
        moments.read_before(|record| before.push(record.receive_ns()));
        assert_eq!(before, [1]);

        assert_eq!(moments.next(), Next::NotRead);
        for (instrument, receive_ns) in [(1, 5), (2, 5)] {
            sender.send(HistoryEvent::Record(record(instrument, receive_ns))).expect("room");
        }
        assert_eq!(moments.next(), Next::NotRead, "another record of this time may come");
        sender.send(HistoryEvent::Record(record(1, 4))).expect("room");
        assert_eq!(moments.next(), Next::Moment(5));
        assert_eq!(moments.take().len(), 2);
        drop(sender);
        assert_eq!(moments.next(), Next::Moment(4));
        assert_eq!(moments.take().len(), 1);
        assert_eq!((moments.next(), moments.next()), (Next::End, Next::End));
    }
}

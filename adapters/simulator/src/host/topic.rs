//! One stream at the host: who is on it, what it sent, and what goes wrong on it.

use std::collections::VecDeque;

use super::ledger::StreamLedger;
use super::{ConnectionId, Disturbance, TopicName};

/// Most dropped messages kept in the ledger.
const DROPPED: usize = 100_000;

/// One message of a stream. Ids are 0 where there are none.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) text: String,
    pub(crate) first_id: u64,
    pub(crate) last_id: u64,
}

/// Two messages that change places.
#[derive(Debug, Default)]
enum Reorder {
    #[default]
    Off,
    Armed,
    Held(Message),
}

/// A snapshot that is sent late.
#[derive(Debug, Default)]
enum Late {
    #[default]
    Off,
    Armed(u64),
    Held {
        connection: ConnectionId,
        message: Message,
        after: u64,
    },
}

/// What is sent for one published message, in order.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// A frame cut in the middle, outside the ledger.
    pub(crate) cut: Option<String>,
    /// Messages and how often each is sent.
    pub(crate) messages: Vec<(Message, u64)>,
    /// A snapshot whose time has come, after the messages.
    pub(crate) late: Option<(ConnectionId, Message)>,
}

/// A stream and its faults.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) market: &'static str,
    pub(crate) subscribers: Vec<ConnectionId>,
    pub(crate) ledger: StreamLedger,
    /// Faults that wait for their number of messages, the next one first.
    script: VecDeque<(u64, Disturbance)>,
    hole: u64,
    duplicate: u64,
    malformed: bool,
    reorder: Reorder,
    late: Late,
}

impl Topic {
    pub(crate) fn new(name: &TopicName) -> Self {
        Topic {
            market: name.market,
            subscribers: Vec::new(),
            ledger: StreamLedger::new(name.market, &name.stream),
            script: VecDeque::new(),
            hole: 0,
            duplicate: 0,
            malformed: false,
            reorder: Reorder::Off,
            late: Late::Off,
        }
    }

    /// Adds a fault that waits for so many messages.
    pub(crate) fn schedule(&mut self, after_messages: u64, what: Disturbance) {
        let place = self.script.partition_point(|(after, _)| *after <= after_messages);
        self.script.insert(place, (after_messages, what));
    }

    /// The next fault that is due after the messages sent so far.
    pub(crate) fn due(&mut self) -> Option<Disturbance> {
        let (after, _) = self.script.front()?;
        if *after > self.ledger.messages { None } else { self.script.pop_front().map(|(_, what)| what) }
    }

    /// Sets off what the topic does by itself; false for everything else.
    pub(crate) fn arm(&mut self, what: &Disturbance) -> bool {
        match *what {
            Disturbance::Hole(messages) => self.hole += messages,
            Disturbance::Duplicate(messages) => self.duplicate += messages,
            Disturbance::Malformed => self.malformed = true,
            Disturbance::Reorder if matches!(self.reorder, Reorder::Off) => self.reorder = Reorder::Armed,
            Disturbance::LateSnapshot(after) if after > 0 && matches!(self.late, Late::Off) => {
                self.late = Late::Armed(after);
            }
            // One at a time is moved; a second one while the first still waits changes nothing, nor does "late by 0".
            Disturbance::Reorder | Disturbance::LateSnapshot(_) => {}
            _ => return false,
        }
        true
    }

    /// What is sent for a published message.
    pub(crate) fn publish(&mut self, message: Message) -> Outgoing {
        let mut outgoing = Outgoing::default();
        if self.hole > 0 {
            self.hole -= 1;
            if self.ledger.dropped.len() < DROPPED {
                self.ledger.dropped.push((message.first_id, message.last_id));
            }
            return outgoing;
        }
        if std::mem::take(&mut self.malformed) {
            let middle = (0..=message.text.len() / 2).rev().find(|&at| message.text.is_char_boundary(at));
            outgoing.cut = Some(message.text[..middle.unwrap_or(0)].to_owned());
        }
        let copies = if self.duplicate > 0 {
            self.duplicate -= 1;
            2
        } else {
            1
        };
        match std::mem::take(&mut self.reorder) {
            Reorder::Off => outgoing.messages.push((message, copies)),
            Reorder::Armed => self.reorder = Reorder::Held(message),
            Reorder::Held(earlier) => outgoing.messages = vec![(message, copies), (earlier, 1)],
        }
        outgoing.late = self.count_late(outgoing.messages.len() as u64);
        outgoing
    }

    /// Counts messages sent before a late snapshot; gives it when it is time.
    fn count_late(&mut self, sent: u64) -> Option<(ConnectionId, Message)> {
        let Late::Held { after, .. } = &mut self.late else { return None };
        *after = after.saturating_sub(sent);
        if *after > 0 { None } else { self.take_late() }
    }

    fn take_late(&mut self) -> Option<(ConnectionId, Message)> {
        match std::mem::take(&mut self.late) {
            Late::Held { connection, message, .. } => Some((connection, message)),
            _ => None,
        }
    }

    /// The first value for one subscriber: given back to be sent, or kept because it is to be late.
    pub(crate) fn deliver(&mut self, connection: ConnectionId, message: Message) -> Option<Message> {
        match self.late {
            Late::Armed(after) => {
                self.late = Late::Held { connection, message, after };
                None
            }
            _ => Some(message),
        }
    }

    /// Everything kept back, at the end of a run.
    pub(crate) fn release(&mut self) -> Outgoing {
        let mut outgoing = Outgoing::default();
        if let Reorder::Held(message) = std::mem::take(&mut self.reorder) {
            outgoing.messages.push((message, 1));
        }
        outgoing.late = self.take_late();
        outgoing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> Topic {
        Topic::new(&TopicName { market: "swap", stream: "books:X".to_owned() })
    }

    fn message(id: u64) -> Message {
        Message { text: format!("message {id}"), first_id: id, last_id: id }
    }

    fn sent(outgoing: &Outgoing) -> Vec<(u64, u64)> {
        outgoing.messages.iter().map(|(message, copies)| (message.last_id, *copies)).collect()
    }

    #[test]
    fn a_hole_ends_after_its_messages() {
        let mut topic = topic();
        assert!(topic.arm(&Disturbance::Hole(2)));
        assert_eq!(sent(&topic.publish(message(1))), []);
        assert_eq!(sent(&topic.publish(message(2))), []);
        assert_eq!(sent(&topic.publish(message(3))), [(3, 1)]);
        assert_eq!(topic.ledger.dropped, [(1, 1), (2, 2)]);
    }

    #[test]
    fn two_messages_change_places_once() {
        let mut topic = topic();
        topic.arm(&Disturbance::Reorder);
        assert_eq!(sent(&topic.publish(message(1))), []);
        assert_eq!(sent(&topic.publish(message(2))), [(2, 1), (1, 1)]);
        assert_eq!(sent(&topic.publish(message(3))), [(3, 1)]);
        topic.arm(&Disturbance::Reorder);
        assert_eq!(sent(&topic.publish(message(4))), []);
        assert_eq!(sent(&topic.release()), [(4, 1)]);
    }

    #[test]
    fn a_late_snapshot_follows_so_many_messages() {
        let mut topic = topic();
        topic.arm(&Disturbance::LateSnapshot(2));
        assert!(topic.deliver(7, message(1)).is_none());
        assert!(topic.publish(message(2)).late.is_none());
        let late = topic.publish(message(3)).late.expect("it is time");
        assert_eq!((late.0, late.1.last_id), (7, 1));
        assert!(topic.deliver(7, message(4)).is_some(), "only once");
    }

    #[test]
    fn scripted_faults_wait_for_their_message() {
        let mut topic = topic();
        topic.schedule(5, Disturbance::Reorder);
        topic.schedule(2, Disturbance::Malformed);
        assert_eq!(topic.due(), None);
        topic.ledger.messages = 5;
        assert_eq!(topic.due(), Some(Disturbance::Malformed));
        assert_eq!(topic.due(), Some(Disturbance::Reorder));
        assert_eq!(topic.due(), None);
    }

    #[test]
    fn half_a_frame_comes_before_the_whole() {
        let mut topic = topic();
        topic.arm(&Disturbance::Malformed);
        let outgoing = topic.publish(message(1));
        assert_eq!(outgoing.cut.as_deref(), Some("mess"));
        assert_eq!(sent(&outgoing), [(1, 1)]);
    }
}

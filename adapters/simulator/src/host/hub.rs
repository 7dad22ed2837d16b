//! Who gets what: topics, connections, their buffers, and the ledger of it all.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use tokio::sync::Notify;

use super::ledger::Ledger;
use super::protocol::Action;
use super::topic::{Message, Outgoing, Topic};
use super::{ConnectionId, Disturbance, Protocol, TopicId};
use crate::wire;

/// Most violations kept.
const VIOLATIONS: usize = 1000;
/// A client with more than that not yet taken is cut off; the snapshots of thousands of subscriptions are less.
const SLOWEST: usize = 64 << 20;

/// One connection as the data sees it.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    /// Bytes not yet taken by the writer.
    pub(crate) pending: Vec<u8>,
    /// The writer holds bytes that are not yet in the socket.
    pub(crate) in_flight: bool,
    /// Nothing more is appended; the writer ends when everything is written.
    pub(crate) closing: bool,
    pub(crate) wake: Arc<Notify>,
    topics: HashSet<TopicId>,
}

impl Outlet {
    /// Appends a frame.
    pub(crate) fn push(&mut self, opcode: u8, payload: &[u8]) {
        if !self.closing {
            wire::push(&mut self.pending, opcode, payload);
            self.wake.notify_one();
        }
    }

    /// Appends a close frame and ends the connection after it.
    pub(crate) fn close(&mut self, code: u16, reason: &str) {
        if !self.closing {
            wire::push_close(&mut self.pending, code, reason);
            self.end();
        }
    }

    /// Ends the connection after what is pending.
    pub(crate) fn end(&mut self) {
        self.closing = true;
        self.wake.notify_one();
    }
}

/// All topics and connections.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    outlets: HashMap<ConnectionId, Outlet>,
    topics: HashMap<TopicId, Topic>,
    /// Topics that have a subscriber now.
    pub(crate) subscribed: usize,
    /// Topics that got their first subscriber ever since [`Hub::take_new`].
    new: usize,
    /// Disturbances that are due and not the host's.
    pub(crate) due: VecDeque<(TopicId, Disturbance)>,
    too_slow: (u16, &'static str),
    injected: BTreeMap<String, u64>,
    violations: Vec<String>,
    recorder: Option<BufWriter<File>>,
    connections: u64,
}

impl Hub {
    pub(crate) fn new(recorder: Option<File>, too_slow: (u16, &'static str)) -> Self {
        let recorder = recorder.map(|file| BufWriter::with_capacity(1 << 20, file));
        Hub { recorder, too_slow, ..Hub::default() }
    }

    /// Adds a connection; gives the signal that its writer waits for.
    pub(crate) fn open(&mut self, connection: ConnectionId) -> Arc<Notify> {
        self.connections += 1;
        self.outlets.entry(connection).or_default().wake.clone()
    }

    pub(crate) fn outlet(&mut self, connection: ConnectionId) -> Option<&mut Outlet> {
        self.outlets.get_mut(&connection)
    }

    /// Removes a connection.
    pub(crate) fn close(&mut self, connection: ConnectionId) {
        let topics = self.outlets.remove(&connection).map(|outlet| outlet.topics).unwrap_or_default();
        for topic in topics {
            self.leave(connection, topic);
        }
    }

    /// Carries out an action; a connection that is gone is passed over.
    pub(crate) fn perform(&mut self, action: Action, protocol: &dyn Protocol) {
        match action {
            Action::Send { connection, text } => {
                if let Some(outlet) = self.outlet(connection) {
                    outlet.push(wire::TEXT, text.as_bytes());
                }
            }
            Action::Close { connection, code, reason } => {
                if let Some(outlet) = self.outlet(connection) {
                    outlet.close(code, reason);
                }
            }
            Action::Cut { connection } => {
                if let Some(outlet) = self.outlet(connection) {
                    outlet.end();
                }
            }
            Action::Join { connection, topic } => self.join(connection, topic, protocol),
            Action::Leave { connection, topic } => {
                if let Some(outlet) = self.outlet(connection) {
                    outlet.topics.remove(&topic);
                    self.leave(connection, topic);
                }
            }
            Action::Publish { topic, text, first_id, last_id } => {
                self.publish(topic, Message { text, first_id, last_id });
            }
            Action::Deliver { connection, topic, text, first_id, last_id } => {
                let message = Message { text, first_id, last_id };
                if let Some(of_topic) = self.topics.get_mut(&topic)
                    && let Some(message) = of_topic.deliver(connection, message)
                {
                    self.deliver(topic, connection, message);
                }
            }
            Action::Violation(text) => self.violation(text),
        }
    }

    /// A topic's state at the host, made when it is first needed.
    fn topic(&mut self, topic: TopicId, protocol: &dyn Protocol) -> &mut Topic {
        self.topics.entry(topic).or_insert_with(|| Topic::new(protocol.topic(topic)))
    }

    fn join(&mut self, connection: ConnectionId, id: TopicId, protocol: &dyn Protocol) {
        if !self.outlets.get_mut(&connection).is_some_and(|outlet| outlet.topics.insert(id)) {
            return;
        }
        let topic = self.topic(id, protocol);
        topic.subscribers.push(connection);
        topic.ledger.connections += 1;
        let first = topic.subscribers.len() == 1;
        let is_new = topic.ledger.connections == 1;
        self.subscribed += usize::from(first);
        self.new += usize::from(is_new);
    }

    /// Topics that got their first subscriber ever since the last call.
    pub(crate) fn take_new(&mut self) -> usize {
        std::mem::take(&mut self.new)
    }

    /// Subscriptions of a topic that ever began, and connections that are on it now.
    pub(crate) fn subscriptions(&self, id: TopicId) -> (u64, usize) {
        self.topics.get(&id).map_or((0, 0), |topic| (topic.ledger.connections, topic.subscribers.len()))
    }

    fn leave(&mut self, connection: ConnectionId, id: TopicId) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        let before = topic.subscribers.len();
        topic.subscribers.retain(|&subscriber| subscriber != connection);
        self.subscribed -= usize::from(before > 0 && topic.subscribers.is_empty());
    }

    /// Adds a scripted fault; one that waits for no message is set off at once.
    pub(crate) fn schedule(
        &mut self,
        id: TopicId,
        after_messages: u64,
        what: Disturbance,
        protocol: &dyn Protocol,
    ) {
        self.topic(id, protocol).schedule(after_messages, what);
        self.set_off(id);
    }

    /// Sets off a disturbance now: the host's own at once, the protocol's by way of [`Hub::due`].
    pub(crate) fn disturb(&mut self, id: TopicId, what: Disturbance, protocol: &dyn Protocol) {
        self.topic(id, protocol);
        self.begin(id, what);
    }

    fn begin(&mut self, id: TopicId, what: Disturbance) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        topic.ledger.disturbances.push(what);
        self.count_injected(what.name());
        let Some(topic) = self.topics.get_mut(&id) else { return };
        if let Disturbance::Disconnect(code) = what {
            for connection in &topic.subscribers {
                match self.outlets.get_mut(connection) {
                    Some(outlet) if code == 0 => outlet.end(),
                    Some(outlet) => outlet.close(code, ""),
                    None => {}
                }
            }
        } else if !topic.arm(&what) {
            self.due.push_back((id, what));
        }
    }

    /// Sets off the scripted faults whose number of messages is reached.
    fn set_off(&mut self, id: TopicId) {
        while let Some(what) = self.topics.get_mut(&id).and_then(Topic::due) {
            self.begin(id, what);
        }
    }

    /// Notes an injected fault that belongs to no stream, or the beginning of one that does.
    pub(crate) fn count_injected(&mut self, name: &str) {
        *self.injected.entry(name.to_owned()).or_default() += 1;
    }

    /// Sends one message to everybody on its topic.
    pub(crate) fn publish(&mut self, id: TopicId, message: Message) {
        if let Some(topic) = self.topics.get_mut(&id).filter(|topic| !topic.subscribers.is_empty()) {
            let outgoing = topic.publish(message);
            self.send_all(id, outgoing);
        }
    }

    fn send_all(&mut self, id: TopicId, outgoing: Outgoing) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        if let Some(cut) = outgoing.cut {
            for connection in &topic.subscribers {
                if let Some(outlet) = self.outlets.get_mut(connection) {
                    outlet.push(wire::TEXT, cut.as_bytes());
                }
            }
        }
        for (message, copies) in outgoing.messages {
            let Some(topic) = self.topics.get_mut(&id) else { return };
            let subscribers = std::mem::take(&mut topic.subscribers);
            self.send(id, &subscribers, &message, copies);
            if let Some(topic) = self.topics.get_mut(&id) {
                topic.subscribers = subscribers;
            }
            self.set_off(id);
        }
        if let Some((connection, message)) = outgoing.late {
            self.deliver(id, connection, message);
        }
    }

    fn deliver(&mut self, id: TopicId, connection: ConnectionId, message: Message) {
        self.send(id, &[connection], &message, 1);
        self.set_off(id);
    }

    /// Writes a message to connections and the ledger.
    fn send(&mut self, id: TopicId, connections: &[ConnectionId], message: &Message, copies: u64) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        let mut deliveries = 0;
        for connection in connections {
            let Some(outlet) = self.outlets.get_mut(connection).filter(|outlet| !outlet.closing) else {
                continue;
            };
            for _ in 0..copies {
                outlet.push(wire::TEXT, message.text.as_bytes());
                deliveries += 1;
                if let Some(recorder) = &mut self.recorder {
                    // The error is kept by the next flush, which reports it.
                    let _ = writeln!(recorder, "{connection}\t{}\t{}", topic.market, message.text);
                }
            }
            if outlet.pending.len() > SLOWEST {
                let (code, reason) = self.too_slow;
                outlet.close(code, reason);
                if self.violations.len() < VIOLATIONS {
                    self.violations.push(format!("connection {connection} does not take its data"));
                }
            }
        }
        if deliveries > 0 {
            let ledger = &mut topic.ledger;
            ledger.messages += 1;
            ledger.deliveries += deliveries;
            ledger.bytes += deliveries * message.text.len() as u64;
            if message.last_id != 0 {
                ledger.first_id.get_or_insert(message.first_id);
                ledger.last_id = Some(message.last_id);
            }
        }
    }

    /// Sends everything that a fault keeps back.
    pub(crate) fn release(&mut self) {
        let ids: Vec<TopicId> = self.topics.keys().copied().collect();
        for id in ids {
            if let Some(outgoing) = self.topics.get_mut(&id).map(Topic::release) {
                self.send_all(id, outgoing);
            }
        }
    }

    /// Notes what a client did against the rules.
    pub(crate) fn violation(&mut self, text: String) {
        if self.violations.len() < VIOLATIONS {
            self.violations.push(text);
        }
    }

    /// True when a connection has more pending than so many bytes.
    pub(crate) fn fuller_than(&self, bytes: usize) -> bool {
        self.outlets.values().any(|outlet| outlet.pending.len() >= bytes)
    }

    /// True when everything sent is in the sockets.
    pub(crate) fn drained(&self) -> bool {
        self.outlets.values().all(|outlet| outlet.pending.is_empty() && !outlet.in_flight)
    }

    /// A copy of the ledger; the recording is flushed.
    pub(crate) fn ledger(&mut self) -> Ledger {
        if let Some(Err(error)) = self.recorder.as_mut().map(BufWriter::flush) {
            self.violation(format!("the recording of frames failed: {error}"));
        }
        let noted = |topic: &&Topic| topic.ledger.connections > 0 || !topic.ledger.disturbances.is_empty();
        let mut streams: Vec<_> =
            self.topics.values().filter(noted).map(|topic| topic.ledger.clone()).collect();
        streams.sort_by(|one, other| (&one.market, &one.stream).cmp(&(&other.market, &other.stream)));
        Ledger {
            streams,
            faults_injected: self.injected.clone().into_iter().collect(),
            violations: self.violations.clone(),
            connections: self.connections,
            finished: false,
        }
    }
}

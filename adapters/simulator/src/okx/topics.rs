//! Streams with data, who is on them, and when they push next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::catalogue::Market;
use super::channel::{Channel, key_member};
use crate::host::{ConnectionId, TopicId, TopicName};

/// No push is planned.
const NEVER: u64 = u64::MAX;

/// What a stream is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    Instrument {
        index: usize,
        channel: Channel,
    },
    /// The index of a pair, which follows one instrument.
    Index {
        lead: usize,
    },
    /// All options of a family.
    Summary {
        family: String,
    },
    Liquidations(Market),
    Instruments(Market),
    /// Frames of a capture, or records of a history.
    Captured,
}

/// A stream with data.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: TopicName,
    pub(crate) subject: Subject,
    pub(crate) subscribers: Vec<ConnectionId>,
    /// Something waits for the grid.
    pub(crate) changed: bool,
    pub(crate) pushed_ms: u64,
    /// The last data of a channel that pushes only what is new.
    pub(crate) last: String,
    /// Subscriptions are acknowledged and bring nothing.
    pub(crate) silent: bool,
    /// Subscriptions that will be refused.
    pub(crate) refusals: u32,
    due: u64,
}

impl Topic {
    /// The argument that subscribes it.
    pub(crate) fn arg(&self) -> String {
        argument_of(&self.name.stream)
    }
}

/// The argument that subscribes a stream.
pub(crate) fn argument_of(stream: &str) -> String {
    let (channel, key) = stream.split_once(':').unwrap_or((stream, ""));
    let member = key_member(channel);
    format!("{{\"channel\":\"{channel}\",\"{member}\":\"{key}\"}}")
}

/// All streams and their plan.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    list: Vec<Topic>,
    by_stream: HashMap<String, TopicId>,
    plan: BinaryHeap<Reverse<(u64, TopicId)>>,
}

impl Topics {
    /// Adds a stream, or finds it.
    pub(crate) fn add(&mut self, market: &'static str, stream: String, subject: Subject) -> TopicId {
        if let Some(&id) = self.by_stream.get(&stream) {
            return id;
        }
        let id = self.list.len() as TopicId;
        self.by_stream.insert(stream.clone(), id);
        self.list.push(Topic {
            name: TopicName { market, stream },
            subject,
            subscribers: Vec::new(),
            changed: false,
            pushed_ms: 0,
            last: String::new(),
            silent: false,
            refusals: 0,
            due: NEVER,
        });
        id
    }

    pub(crate) fn find(&self, stream: &str) -> Option<TopicId> {
        self.by_stream.get(stream).copied()
    }

    /// Ids come from [`Topics::add`] only, so they are always there.
    pub(crate) fn get(&self, id: TopicId) -> &Topic {
        &self.list[id as usize]
    }

    pub(crate) fn get_mut(&mut self, id: TopicId) -> &mut Topic {
        &mut self.list[id as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_subscribed(&self, id: TopicId) -> bool {
        !self.get(id).subscribers.is_empty()
    }

    /// Notes a change that is pushed on a grid.
    pub(crate) fn touch(&mut self, id: TopicId, grid_ms: u64, now_ms: u64) {
        let topic = self.get_mut(id);
        if !topic.subscribers.is_empty() && !topic.changed {
            topic.changed = true;
            self.schedule(id, (now_ms / grid_ms + 1) * grid_ms);
        }
    }

    /// Plans a push, unless one is planned before.
    pub(crate) fn schedule(&mut self, id: TopicId, at_ms: u64) {
        let topic = self.get_mut(id);
        if at_ms < topic.due {
            topic.due = at_ms;
            self.plan.push(Reverse((at_ms, id)));
        }
    }

    /// Takes the next stream whose push is due.
    pub(crate) fn next_due(&mut self, now_ms: u64) -> Option<TopicId> {
        while let Some(&Reverse((at, id))) = self.plan.peek() {
            if at > now_ms {
                return None;
            }
            self.plan.pop();
            let topic = self.get_mut(id);
            // An entry that an earlier one replaced is passed over.
            if topic.due == at {
                topic.due = NEVER;
                return Some(id);
            }
        }
        None
    }

    /// Streams on which something waits for a grid.
    pub(crate) fn changed(&self) -> Vec<TopicId> {
        let changed = self.list.iter().enumerate().filter(|(_, topic)| topic.changed);
        changed.map(|(id, _)| id as TopicId).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_due_once_at_its_earliest_time() {
        let mut topics = Topics::default();
        let id = topics.add("spot", "books:X".to_owned(), Subject::Captured);
        topics.schedule(id, 60_000);
        topics.touch(id, 100, 1_234);
        assert_eq!(topics.next_due(1_300), None, "nobody is on it");
        topics.get_mut(id).subscribers.push(1);
        topics.touch(id, 100, 1_234);
        assert_eq!(topics.next_due(1_299), None);
        assert_eq!(topics.next_due(1_300), Some(id));
        assert_eq!(topics.next_due(100_000), None, "the plan of before is void");
        assert_eq!(topics.add("spot", "books:X".to_owned(), Subject::Captured), id);
        assert_eq!(topics.get(id).arg(), r#"{"channel":"books","instId":"X"}"#);
    }
}

//! Who gets what: topics, the connections subscribed to them, their buffers, and the ledger of it all.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::rc::Rc;

use tokio::sync::Notify;

use crate::config::Market;
use crate::fault::{Disconnection, Injection, Script, StreamFault, Treatment};
use crate::instrument::Sink;
use crate::ledger::{Ledger, StreamLedger};
use crate::playback::{FrameSink, Outgoing};
use crate::wire;

/// Initial size of a connection's buffer.
pub(crate) const BUFFER: usize = 256 << 10;
/// Most violations kept.
const VIOLATIONS: usize = 1000;

/// One connection as the data sees it.
#[derive(Debug)]
pub(crate) struct Outlet {
    id: u64,
    market: Market,
    /// Frames are wrapped in their stream name.
    pub(crate) combined: bool,
    /// Bytes not yet taken by the writer.
    pub(crate) pending: Vec<u8>,
    /// The writer holds bytes that are not yet in the socket.
    pub(crate) in_flight: bool,
    /// Nothing more is appended; the writer ends when everything is written.
    pub(crate) closing: bool,
    pub(crate) wake: Rc<Notify>,
    topics: Vec<u32>,
}

impl Outlet {
    /// Appends a control frame.
    pub(crate) fn control(&mut self, opcode: u8, payload: &[u8]) {
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

/// A stream with data that was subscribed at least once.
#[derive(Debug)]
struct Topic {
    prefix: Vec<u8>,
    subscribers: Vec<usize>,
    fault: Option<StreamFault>,
    ledger: StreamLedger,
}

/// An event in the forms a connection may want.
struct Event<'a> {
    framed: Option<&'a [u8]>,
    wrapped: Option<&'a [u8]>,
    data: &'a [u8],
    first_id: u64,
    last_id: u64,
}

/// All topics and connections.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) outlets: Vec<Option<Outlet>>,
    /// Data frames sent, per market.
    pub(crate) sent: [u64; 3],
    /// A connection has more pending than `high_water`.
    pub(crate) full: bool,
    pub(crate) high_water: usize,
    pub(crate) script: Script,
    /// Topics that have a subscriber now.
    pub(crate) subscribed: usize,
    topics: Vec<Topic>,
    by_name: HashMap<(Market, String), u32>,
    injected: BTreeMap<String, u64>,
    violations: Vec<String>,
    recorder: Option<BufWriter<File>>,
    connections: [u64; 3],
}

impl Hub {
    pub(crate) fn new(script: Script, recorder: Option<File>, high_water: usize) -> Self {
        Hub {
            outlets: Vec::new(),
            sent: [0; 3],
            full: false,
            high_water,
            script,
            subscribed: 0,
            topics: Vec::new(),
            by_name: HashMap::new(),
            injected: BTreeMap::new(),
            violations: Vec::new(),
            recorder: recorder.map(|file| BufWriter::with_capacity(1 << 20, file)),
            connections: [0; 3],
        }
    }

    /// Adds a connection; returns its slot.
    pub(crate) fn open(&mut self, market: Market, combined: bool) -> (usize, Rc<Notify>) {
        self.connections[market.index()] += 1;
        let wake = Rc::new(Notify::new());
        let outlet = Outlet {
            id: self.connections.iter().sum(),
            market,
            combined,
            pending: Vec::with_capacity(BUFFER),
            in_flight: false,
            closing: false,
            wake: wake.clone(),
            topics: Vec::new(),
        };
        let free = self.outlets.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            self.outlets.push(None);
            self.outlets.len() - 1
        });
        self.outlets[slot] = Some(outlet);
        (slot, wake)
    }

    pub(crate) fn outlet(&mut self, slot: usize) -> Option<&mut Outlet> {
        self.outlets.get_mut(slot)?.as_mut()
    }

    /// Removes a connection; returns the streams that lost their last subscriber.
    pub(crate) fn close(&mut self, slot: usize) -> Vec<(Market, String)> {
        let topics = self.outlets[slot].take().map(|outlet| outlet.topics).unwrap_or_default();
        topics.into_iter().filter_map(|topic| self.leave(slot, topic)).collect()
    }

    fn leave(&mut self, slot: usize, topic: u32) -> Option<(Market, String)> {
        let topic = &mut self.topics[topic as usize];
        topic.subscribers.retain(|&subscriber| subscriber != slot);
        if !topic.subscribers.is_empty() {
            return None;
        }
        self.subscribed -= 1;
        Some((topic.ledger.market, topic.ledger.stream.clone()))
    }

    /// Subscribes a connection to a stream with data; returns the topic.
    pub(crate) fn subscribe(&mut self, slot: usize, market: Market, name: &str) -> u32 {
        let index = *self.by_name.entry((market, name.to_owned())).or_insert_with(|| {
            self.topics.push(Topic {
                prefix: format!("{{\"stream\":\"{name}\",\"data\":").into_bytes(),
                subscribers: Vec::new(),
                fault: self.script.of_stream(market, name),
                ledger: StreamLedger::new(market, name),
            });
            self.topics.len() as u32 - 1
        });
        let topic = &mut self.topics[index as usize];
        if let Some(outlet) = self.outlets[slot].as_mut()
            && !topic.subscribers.contains(&slot)
        {
            self.subscribed += usize::from(topic.subscribers.is_empty());
            topic.subscribers.push(slot);
            topic.ledger.connections += 1;
            outlet.topics.push(index);
        }
        index
    }

    /// Ends a subscription; returns the stream when nobody is left on it.
    pub(crate) fn unsubscribe(
        &mut self,
        slot: usize,
        market: Market,
        name: &str,
    ) -> Option<(Market, String)> {
        let topic = *self.by_name.get(&(market, name.to_owned()))?;
        let outlet = self.outlets[slot].as_mut()?;
        let held = outlet.topics.iter().position(|&own| own == topic)?;
        outlet.topics.swap_remove(held);
        self.leave(slot, topic)
    }

    /// Sends one event to everybody on its topic.
    fn deliver(&mut self, index: u32, event: &Event<'_>) {
        let topic = &mut self.topics[index as usize];
        let mut copies = 1;
        match topic.fault.as_mut().map_or(Treatment::Send, StreamFault::next) {
            Treatment::Send => {}
            Treatment::Drop => {
                topic.ledger.dropped.push((event.first_id, event.last_id));
                *self.injected.entry("dropped event".to_owned()).or_default() += 1;
                return;
            }
            Treatment::Twice => {
                copies = 2;
                *self.injected.entry("duplicated event".to_owned()).or_default() += 1;
            }
        }
        let mut deliveries = 0;
        for &slot in &topic.subscribers {
            let Some(outlet) = self.outlets[slot].as_mut().filter(|outlet| !outlet.closing) else { continue };
            for _ in 0..copies {
                topic.ledger.bytes += append(outlet, &topic.prefix, event) as u64;
                deliveries += 1;
                if let Some(recorder) = &mut self.recorder {
                    record(recorder, outlet, &topic.prefix, event);
                }
            }
            self.full |= outlet.pending.len() >= self.high_water;
        }
        if deliveries > 0 {
            let market = topic.ledger.market;
            count(&mut topic.ledger, event, deliveries);
            self.sent[market.index()] += deliveries;
            if self.sent[market.index()] >= self.script.next_due[market.index()] {
                self.inject(index, market);
            }
        }
    }

    /// Applies the faults that are due to the first connection of a topic.
    fn inject(&mut self, topic: u32, market: Market) {
        let slot = self.topics[topic as usize].subscribers[0];
        for what in self.script.due(market, self.sent[market.index()]) {
            *self.injected.entry(describe(what).to_owned()).or_default() += 1;
            if what == Injection::Shutdown {
                self.announce_shutdown(market);
            } else if let Some(outlet) = self.outlets[slot].as_mut() {
                disturb(outlet, what);
            }
        }
    }

    fn announce_shutdown(&mut self, market: Market) {
        let notice = format!("{{\"e\":\"serverShutdown\",\"E\":{}}}", crate::clock::now_ms());
        for outlet in self.outlets.iter_mut().flatten().filter(|outlet| outlet.market == market) {
            if outlet.combined {
                let prefix = b"{\"stream\":\"!serverShutdown\",\"data\":";
                wire::push_wrapped(&mut outlet.pending, prefix, notice.as_bytes());
                outlet.wake.notify_one();
            } else {
                outlet.control(wire::TEXT, notice.as_bytes());
            }
        }
    }

    /// Notes what a client did against the rules.
    pub(crate) fn violation(&mut self, text: String) {
        if self.violations.len() < VIOLATIONS {
            self.violations.push(text);
        }
    }

    /// Notes an injected REST fault.
    pub(crate) fn injected_rest(&mut self, status: u16) {
        *self.injected.entry(format!("REST status {status}")).or_default() += 1;
    }

    /// Wakes the writers that have something to write.
    pub(crate) fn flush(&mut self) {
        for outlet in self.outlets.iter().flatten() {
            if !outlet.pending.is_empty() && !outlet.in_flight {
                outlet.wake.notify_one();
            }
        }
    }

    /// Looks again whether a connection has too much pending.
    pub(crate) fn update_full(&mut self) -> bool {
        let high_water = self.high_water;
        self.full = self.outlets.iter().flatten().any(|outlet| outlet.pending.len() >= high_water);
        self.full
    }

    /// True when everything sent is in the sockets.
    pub(crate) fn drained(&self) -> bool {
        self.outlets.iter().flatten().all(|outlet| outlet.pending.is_empty() && !outlet.in_flight)
    }

    /// Data frames sent on all markets.
    pub(crate) fn total_sent(&self) -> u64 {
        self.sent.iter().sum()
    }

    /// A copy of the ledger; the recording is flushed.
    pub(crate) fn ledger(&mut self) -> Ledger {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.flush()
        {
            let text = format!("the recording of frames failed: {error}");
            self.violation(text);
        }
        Ledger {
            streams: self.topics.iter().map(|topic| topic.ledger.clone()).collect(),
            faults_injected: self.injected.clone().into_iter().collect(),
            violations: self.violations.clone(),
            connections: self.connections,
            loops: 0,
            finished: false,
            replayed: Vec::new(),
        }
    }
}

/// Appends an event to a connection; returns the payload bytes.
#[inline]
fn append(outlet: &mut Outlet, prefix: &[u8], event: &Event<'_>) -> usize {
    let out = &mut outlet.pending;
    match (outlet.combined, event.framed, event.wrapped) {
        (true, Some(framed), Some(wrapped)) => {
            out.extend_from_slice(framed);
            wrapped.len()
        }
        (true, _, _) => {
            wire::push_wrapped(out, prefix, event.data);
            prefix.len() + event.data.len() + 1
        }
        (false, _, _) => {
            wire::push(out, wire::TEXT, event.data);
            event.data.len()
        }
    }
}

fn count(ledger: &mut StreamLedger, event: &Event<'_>, deliveries: u64) {
    ledger.messages += 1;
    ledger.deliveries += deliveries;
    if event.last_id != 0 {
        ledger.first_id.get_or_insert(event.first_id);
        ledger.last_id = Some(event.last_id);
    }
}

/// Writes one sent frame to the recording. A failing disk shows in the ledger at the next flush.
fn record(recorder: &mut BufWriter<File>, outlet: &Outlet, prefix: &[u8], event: &Event<'_>) {
    let (prefix, data, suffix): (&[u8], &[u8], &[u8]) = match (outlet.combined, event.wrapped) {
        (true, Some(wrapped)) => (b"", wrapped, b""),
        (true, None) => (prefix, event.data, b"}"),
        (false, _) => (b"", event.data, b""),
    };
    let head = format!("{}\t{}\t", outlet.id, outlet.market);
    for part in [head.as_bytes(), prefix, data, suffix, b"\n"] {
        // The error is kept by the next flush, which reports it.
        if recorder.write_all(part).is_err() {
            return;
        }
    }
}

fn describe(what: Injection) -> &'static str {
    match what {
        Injection::Disconnect(_) => "disconnection",
        Injection::Malformed => "malformed frame",
        Injection::Unknown => "unknown event",
        Injection::InvalidUtf8 => "invalid UTF-8",
        Injection::Oversized(_) => "oversized frame",
        Injection::Shutdown => "serverShutdown",
    }
}

fn disturb(outlet: &mut Outlet, what: Injection) {
    match what {
        Injection::Disconnect(Disconnection::Close(code)) => outlet.close(code, ""),
        Injection::Disconnect(Disconnection::Abrupt) => outlet.end(),
        Injection::Malformed => {
            outlet.control(wire::TEXT, b"{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"tra")
        }
        Injection::Unknown => {
            outlet.control(
                wire::TEXT,
                b"{\"stream\":\"x@y\",\"data\":{\"e\":\"neverHeardOf\",\"E\":1,\"s\":\"X\"}}",
            );
        }
        Injection::InvalidUtf8 => outlet.control(wire::TEXT, b"{\"stream\":\"\xff\xfe\",\"data\":{}}"),
        Injection::Oversized(bytes) => {
            let mut payload = b"{\"stream\":\"x@y\",\"data\":\"".to_vec();
            payload.resize(bytes.max(payload.len() + 2) - 2, b'x');
            payload.extend_from_slice(b"\"}");
            outlet.control(wire::TEXT, &payload);
        }
        Injection::Shutdown => {}
    }
}

impl Sink for Hub {
    fn publish(&mut self, topic: u32, payload: &[u8], first_id: u64, last_id: u64) {
        self.deliver(topic, &Event { framed: None, wrapped: None, data: payload, first_id, last_id });
    }
}

impl FrameSink for Hub {
    fn forward(&mut self, topic: u32, frame: &Outgoing<'_>) {
        let event = Event {
            framed: Some(frame.framed),
            wrapped: Some(frame.wrapped),
            data: frame.data,
            first_id: frame.first_id,
            last_id: frame.last_id,
        };
        self.deliver(topic, &event);
    }
}

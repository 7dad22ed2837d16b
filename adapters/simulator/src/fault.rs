//! Scripted faults: what is done wrong, and when.

use std::time::Duration;

use crate::config::Market;

/// How an injected disconnection looks to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disconnection {
    /// A close frame with this code, then the end of the TCP stream.
    Close(u16),
    /// The TCP stream ends without a close frame; everything sent before is delivered.
    Abrupt,
}

/// One scripted fault. Message counts are data frames of that market over all connections; a fault with
/// `times` above 1 comes back after every further `after_messages` frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Diff depth events are not sent, so the sequence of the stream has a hole.
    DropDiff {
        /// Market of the stream.
        market: Market,
        /// Stream name, as `btcusdt@depth@100ms`.
        stream: String,
        /// Events sent before the hole.
        after_events: u64,
        /// Events missing.
        events: u64,
    },
    /// Every frame of the stream is sent twice, from the given event on.
    Duplicate {
        /// Market of the stream.
        market: Market,
        /// Stream name.
        stream: String,
        /// Events sent before the first duplicate.
        after_events: u64,
        /// Events sent twice.
        events: u64,
    },
    /// The connection that received the frame is ended.
    Disconnect {
        /// Market of the connection.
        market: Market,
        /// Data frames before the fault.
        after_messages: u64,
        /// How often.
        times: u32,
        /// How it looks.
        how: Disconnection,
    },
    /// A text frame that is not JSON (cut in the middle) follows the frame.
    MalformedFrame {
        /// Market of the connection.
        market: Market,
        /// Data frames before the fault.
        after_messages: u64,
        /// How often.
        times: u32,
    },
    /// A frame with an event type nobody knows follows the frame.
    UnknownEvent {
        /// Market of the connection.
        market: Market,
        /// Data frames before the fault.
        after_messages: u64,
        /// How often.
        times: u32,
    },
    /// A text frame that is not UTF-8 follows the frame.
    InvalidUtf8 {
        /// Market of the connection.
        market: Market,
        /// Data frames before the fault.
        after_messages: u64,
        /// How often.
        times: u32,
    },
    /// A valid but very large text frame follows the frame.
    Oversized {
        /// Market of the connection.
        market: Market,
        /// Data frames before the fault.
        after_messages: u64,
        /// How often.
        times: u32,
        /// Payload size in bytes, at most 64 MiB.
        bytes: usize,
    },
    /// The `serverShutdown` notice is sent to all connections of the market.
    ServerShutdown {
        /// Market of the connections.
        market: Market,
        /// Data frames before the notice.
        after_messages: u64,
    },
    /// REST requests are answered with a status and no data.
    RestStatus {
        /// Market of the request.
        market: Market,
        /// Beginning of the path, as `/api/v3/depth`.
        path_prefix: String,
        /// HTTP status.
        status: u16,
        /// How many requests.
        times: u32,
        /// Value of the `Retry-After` header, in whole seconds.
        retry_after: Option<Duration>,
    },
}

/// What happens to a connection after a data frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Injection {
    Disconnect(Disconnection),
    Malformed,
    Unknown,
    InvalidUtf8,
    Oversized(usize),
    Shutdown,
}

/// A fault that waits for a count of data frames.
#[derive(Debug)]
struct Counted {
    market: Market,
    every: u64,
    next: u64,
    left: u32,
    what: Injection,
}

/// What happens to one event of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    Send,
    Drop,
    Twice,
}

/// A fault that counts the events of one stream.
#[derive(Debug)]
pub(crate) struct StreamFault {
    after_events: u64,
    events: u64,
    seen: u64,
    treatment: Treatment,
}

impl StreamFault {
    /// Counts one event and says what becomes of it.
    pub(crate) fn next(&mut self) -> Treatment {
        let number = self.seen;
        self.seen += 1;
        let inside = number >= self.after_events && number - self.after_events < self.events;
        if inside { self.treatment } else { Treatment::Send }
    }
}

/// The script during a run.
#[derive(Debug, Default)]
pub(crate) struct Script {
    faults: Vec<Fault>,
    counted: Vec<Counted>,
    /// Frame count per market at which the next counted fault is due.
    pub(crate) next_due: [u64; 3],
}

impl Script {
    pub(crate) fn new(faults: &[Fault]) -> Self {
        let counted = faults.iter().filter_map(counted).collect();
        let mut script = Script { faults: faults.to_vec(), counted, next_due: [u64::MAX; 3] };
        script.schedule();
        script
    }

    fn schedule(&mut self) {
        self.next_due = [u64::MAX; 3];
        for fault in self.counted.iter().filter(|fault| fault.left > 0) {
            let due = &mut self.next_due[fault.market.index()];
            *due = fault.next.min(*due);
        }
    }

    /// Takes the faults due after `sent` data frames of a market.
    pub(crate) fn due(&mut self, market: Market, sent: u64) -> Vec<Injection> {
        let mut due = Vec::new();
        for fault in &mut self.counted {
            if fault.market == market && fault.left > 0 && fault.next <= sent {
                fault.left -= 1;
                fault.next = sent + fault.every;
                due.push(fault.what);
            }
        }
        self.schedule();
        due
    }

    /// The fault of one stream, if it has one.
    pub(crate) fn of_stream(&self, of: Market, name: &str) -> Option<StreamFault> {
        self.faults.iter().find_map(|fault| {
            let (market, stream, after_events, events, treatment) = match fault {
                Fault::DropDiff { market, stream, after_events, events } => {
                    (market, stream, after_events, events, Treatment::Drop)
                }
                Fault::Duplicate { market, stream, after_events, events } => {
                    (market, stream, after_events, events, Treatment::Twice)
                }
                _ => return None,
            };
            (*market == of && stream == name).then_some(StreamFault {
                after_events: *after_events,
                events: *events,
                seen: 0,
                treatment,
            })
        })
    }

    /// Takes a REST fault for a request: status and `Retry-After`.
    pub(crate) fn rest(&mut self, of: Market, path: &str) -> Option<(u16, Option<Duration>)> {
        self.faults.iter_mut().find_map(|fault| match fault {
            Fault::RestStatus { market, path_prefix, status, times, retry_after }
                if *market == of && *times > 0 && path.starts_with(path_prefix.as_str()) =>
            {
                *times -= 1;
                Some((*status, *retry_after))
            }
            _ => None,
        })
    }
}

fn counted(fault: &Fault) -> Option<Counted> {
    let (market, after_messages, times, what) = match fault {
        Fault::Disconnect { market, after_messages, times, how } => {
            (market, after_messages, *times, Injection::Disconnect(*how))
        }
        Fault::MalformedFrame { market, after_messages, times } => {
            (market, after_messages, *times, Injection::Malformed)
        }
        Fault::UnknownEvent { market, after_messages, times } => {
            (market, after_messages, *times, Injection::Unknown)
        }
        Fault::InvalidUtf8 { market, after_messages, times } => {
            (market, after_messages, *times, Injection::InvalidUtf8)
        }
        Fault::Oversized { market, after_messages, times, bytes } => {
            (market, after_messages, *times, Injection::Oversized((*bytes).min(64 << 20)))
        }
        Fault::ServerShutdown { market, after_messages } => (market, after_messages, 1, Injection::Shutdown),
        _ => return None,
    };
    let every = (*after_messages).max(1);
    Some(Counted { market: *market, every, next: every, left: times, what })
}

//! The control protocol of one WebSocket connection: a state machine without sockets.

use std::collections::{HashSet, VecDeque};

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::config::Market;
use crate::streams::is_stream_name;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Method {
    Subscribe,
    Unsubscribe,
    ListSubscriptions,
    SetProperty,
    GetProperty,
}

#[derive(Debug, Deserialize)]
struct Request {
    method: Method,
    #[serde(default)]
    params: Option<Value>,
    /// `None` when missing, `Some(Null)` when null.
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A refusal: code and message as on the wire.
type Refusal = (i64, String);

const BAD_ID: &str = "Invalid request: request ID must be an unsigned integer";
const TOO_MANY_PARAMETERS: &str = "Invalid request: too many parameters";

/// What a request leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The answer to send.
    pub(crate) reply: String,
    /// Streams new on this connection.
    pub(crate) added: Vec<String>,
    /// Streams no longer on this connection.
    pub(crate) removed: Vec<String>,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    market: Market,
    /// Frames are wrapped in their stream name.
    pub(crate) combined: bool,
    streams: Vec<String>,
    known: HashSet<String>,
    limit: usize,
    flat_errors: bool,
    received: VecDeque<u64>,
    rate: usize,
}

impl Session {
    pub(crate) fn new(market: Market, combined: bool, limit: usize, rate: u32, flat_errors: bool) -> Self {
        Session {
            market,
            combined,
            streams: Vec::new(),
            known: HashSet::new(),
            limit,
            flat_errors,
            received: VecDeque::new(),
            rate: rate as usize,
        }
    }

    /// Counts a frame of the client at a time in milliseconds; false when it is one too many within a second.
    pub(crate) fn count_frame(&mut self, now: u64) -> bool {
        while self.received.front().is_some_and(|&time| time + 1000 <= now) {
            self.received.pop_front();
        }
        self.received.push_back(now);
        self.received.len() <= self.rate
    }

    /// Streams given in the URL: no answer; what does not fit is left out.
    pub(crate) fn open(&mut self, names: impl Iterator<Item = String>) -> Vec<String> {
        let mut added = Vec::new();
        for name in names.filter(|name| is_stream_name(name)) {
            if self.streams.len() < self.limit && self.known.insert(name.clone()) {
                self.streams.push(name.clone());
                added.push(name);
            }
        }
        added
    }

    /// Handles one text frame.
    pub(crate) fn text(&mut self, frame: &str) -> Outcome {
        let request: Request = match serde_json::from_str(frame) {
            Ok(request) => request,
            Err(error) => return self.unreadable(frame, &error),
        };
        let id = match self.checked_id(request.id) {
            Ok(id) => id,
            Err(id) => return self.refuse((2, BAD_ID.to_owned()), id),
        };
        let params = match request.params {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(params)) => params,
            Some(_) => {
                let message = "Invalid request: invalid type: expected a sequence".to_owned();
                return self.refuse((2, message), Some(id));
            }
        };
        let mut outcome = Outcome::default();
        let result = match request.method {
            Method::Subscribe => self.subscribe(&params, &mut outcome),
            Method::Unsubscribe => self.unsubscribe(&params, &mut outcome),
            Method::ListSubscriptions if params.is_empty() => Ok(json!(self.streams)),
            Method::ListSubscriptions => Err((2, TOO_MANY_PARAMETERS.to_owned())),
            Method::SetProperty => self.set_property(&params),
            Method::GetProperty => self.get_property(&params),
        };
        match result {
            Ok(result) => {
                outcome.reply = format!("{{\"result\":{result},\"id\":{id}}}");
                outcome
            }
            Err(refusal) => self.refuse(refusal, Some(id)),
        }
    }

    fn unreadable(&self, frame: &str, error: &serde_json::Error) -> Outcome {
        let id = serde_json::from_str::<Value>(frame).ok().and_then(|tree| tree.get("id").cloned());
        if error.is_data() {
            self.refuse((2, format!("Invalid request: {error}")), id)
        } else {
            self.refuse((3, format!("Invalid JSON: {error}")), id)
        }
    }

    /// The id to echo, or the one to report as wrong.
    fn checked_id(&self, id: Option<Value>) -> Result<Value, Option<Value>> {
        let Some(id) = id else { return Err(None) };
        let spot = self.market == Market::Spot;
        let allowed = match &id {
            Value::Number(number) => number.is_u64() || (spot && number.is_i64()),
            Value::String(text) => {
                let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                spot && plain && text.len() <= 36
            }
            Value::Null => spot,
            _ => false,
        };
        if allowed { Ok(id) } else { Err(Some(id)) }
    }

    fn refuse(&self, (code, message): Refusal, id: Option<Value>) -> Outcome {
        let message = json!(message);
        let body = format!("\"code\":{code},\"msg\":{message}");
        let id = id.map_or(String::new(), |id| format!(",\"id\":{id}"));
        let reply = if self.flat_errors {
            format!("{{{body}{id}}}")
        } else {
            format!("{{\"error\":{{{body}}}{id}}}")
        };
        Outcome { reply, ..Outcome::default() }
    }

    fn subscribe(&mut self, params: &[Value], outcome: &mut Outcome) -> Result<Value, Refusal> {
        let names = stream_names(params)?;
        let new: HashSet<&String> = names.iter().filter(|name| !self.known.contains(*name)).collect();
        if self.streams.len() + new.len() > self.limit {
            return Err((4, "Too many subscriptions".to_owned()));
        }
        outcome.added = self.open(names.into_iter());
        Ok(Value::Null)
    }

    fn unsubscribe(&mut self, params: &[Value], outcome: &mut Outcome) -> Result<Value, Refusal> {
        for name in stream_names(params)? {
            if self.known.remove(&name) {
                outcome.removed.push(name);
            }
        }
        self.streams.retain(|stream| self.known.contains(stream));
        Ok(Value::Null)
    }

    fn set_property(&mut self, params: &[Value]) -> Result<Value, Refusal> {
        property(params, 2)?;
        match params.get(1) {
            Some(Value::Bool(combined)) => {
                self.combined = *combined;
                Ok(Value::Null)
            }
            _ => Err((1, "Invalid value type: expected Boolean".to_owned())),
        }
    }

    fn get_property(&self, params: &[Value]) -> Result<Value, Refusal> {
        property(params, 1)?;
        Ok(json!(self.combined))
    }
}

/// Checks the name of a property and the number of parameters.
fn property(params: &[Value], most: usize) -> Result<(), Refusal> {
    match params.first() {
        Some(Value::String(_)) if params.len() > most => Err((2, TOO_MANY_PARAMETERS.to_owned())),
        Some(Value::String(name)) if name == "combined" => Ok(()),
        Some(Value::String(_)) => Err((0, "Unknown property".to_owned())),
        _ => Err((2, "Invalid request: property name must be a string".to_owned())),
    }
}

fn stream_names(params: &[Value]) -> Result<Vec<String>, Refusal> {
    let invalid = || (2, "Invalid request: invalid stream".to_owned());
    params
        .iter()
        .map(|param| match param {
            Value::String(name) if is_stream_name(name) => Ok(name.clone()),
            _ => Err(invalid()),
        })
        .collect()
}

#[cfg(test)]
mod tests;

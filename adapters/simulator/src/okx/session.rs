//! The control protocol of one connection: requests, answers, limits.

use std::collections::{HashSet, VecDeque};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::channel::{is_business, key_member};
use crate::host::{ConnectionId, TopicId};

/// Operations are counted over that long.
const HOUR: u64 = 3_600_000;

/// The path of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Public,
    Business,
    Private,
}

impl Endpoint {
    pub(crate) fn of_path(path: &str) -> Option<Endpoint> {
        match path {
            "/ws/v5/public" => Some(Endpoint::Public),
            "/ws/v5/business" => Some(Endpoint::Business),
            "/ws/v5/private" => Some(Endpoint::Private),
            _ => None,
        }
    }
}

/// A connection as the venue sees it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) endpoint: Endpoint,
    /// `connId`: eight hexadecimal digits.
    pub(crate) name: String,
    /// The last frame of the client.
    pub(crate) heard_ms: u64,
    pub(crate) topics: HashSet<TopicId>,
    /// Set by a closing notice.
    pub(crate) closes_ms: Option<u64>,
    operations: VecDeque<u64>,
}

/// What a client asks for.
#[derive(Debug, Deserialize)]
pub(crate) struct Request<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    pub(crate) op: String,
    #[serde(borrow, default)]
    pub(crate) args: Vec<&'a RawValue>,
}

/// One argument of a subscription.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arg {
    channel: String,
    inst_id: Option<String>,
    inst_type: Option<String>,
    inst_family: Option<String>,
    uly: Option<String>,
}

/// An error of the venue: code and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: u32,
    pub(crate) text: String,
}

impl Refusal {
    fn new(code: u32, text: impl Into<String>) -> Refusal {
        Refusal { code, text: text.into() }
    }
}

impl Session {
    pub(crate) fn new(connection: ConnectionId, endpoint: Endpoint, now_ms: u64) -> Session {
        let mixed = (connection ^ now_ms << 20).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        Session {
            endpoint,
            name: format!("{mixed:08x}"),
            heard_ms: now_ms,
            topics: HashSet::new(),
            closes_ms: None,
            operations: VecDeque::new(),
        }
    }

    /// Counts an operation; false when it is one too many within the hour.
    pub(crate) fn count_operation(&mut self, limit: usize, now_ms: u64) -> bool {
        while self.operations.front().is_some_and(|&time| time + HOUR <= now_ms) {
            self.operations.pop_front();
        }
        self.operations.push_back(now_ms);
        self.operations.len() <= limit
    }

    pub(crate) fn error(&self, request: Option<&Request<'_>>, refusal: &Refusal) -> String {
        let text = serde_json::Value::from(refusal.text.as_str());
        let id = id_member(request);
        let (code, name) = (refusal.code, &self.name);
        format!("{{{id}\"event\":\"error\",\"code\":\"{code}\",\"msg\":{text},\"connId\":\"{name}\"}}")
    }

    pub(crate) fn acknowledgement(&self, request: &Request<'_>, arg: &RawValue) -> String {
        let (id, event, name) = (id_member(Some(request)), &request.op, &self.name);
        format!("{{{id}\"event\":\"{event}\",\"arg\":{},\"connId\":\"{name}\"}}", arg.get())
    }

    pub(crate) fn notice(&self) -> String {
        format!(
            "{{\"event\":\"notice\",\"code\":\"64008\",\"msg\":\"The connection will soon be closed for a \
             service upgrade. Please reconnect.\",\"connId\":\"{}\"}}",
            self.name
        )
    }

    /// The stream that an argument means; the venue's rules on arguments are checked, not whether it exists.
    /// `recorded`: channels for paying clients are open, as they were when they were recorded.
    pub(crate) fn stream(&self, arg: &RawValue, recorded: bool) -> Result<String, Refusal> {
        let Ok(arg) = serde_json::from_str::<Arg>(arg.get()) else {
            return Err(Refusal::new(60_013, "Invalid args"));
        };
        if arg.uly.is_some() {
            let text =
                "Subscription parameter uly is unavailable anymore. Please replace uly with instFamily.";
            return Err(Refusal::new(64_000, text));
        }
        let stream = arg.stream();
        match (self.endpoint, is_business(&arg.channel)) {
            (Endpoint::Private, _) => return Err(Refusal::new(60_011, "Please log in")),
            (Endpoint::Public, true) => {
                let text = "This channel has been migrated to the '/business' URL. Please subscribe using the \
                            new URL.";
                return Err(Refusal::new(64_001, text));
            }
            (Endpoint::Business, false) => return Err(unknown(&stream)),
            _ => {}
        }
        if !recorded && arg.channel.ends_with("-l2-tbt") {
            return Err(Refusal::new(60_011, "Please log in"));
        }
        Ok(stream)
    }
}

impl Arg {
    fn stream(&self) -> String {
        let by_type = matches!(self.channel.as_str(), "instruments" | "liquidation-orders");
        let key = if by_type {
            &self.inst_type
        } else if self.channel == "opt-summary" {
            &self.inst_family
        } else {
            &self.inst_id
        };
        let key = key.as_ref().or(self.inst_id.as_ref()).or(self.inst_family.as_ref());
        let key = key.or(self.inst_type.as_ref()).map_or("", String::as_str);
        format!("{}:{key}", self.channel)
    }
}

/// The stream of the argument in a captured frame.
pub(crate) fn stream_of_frame(frame: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Frame {
        arg: Arg,
        #[serde(rename = "data")]
        _data: serde::de::IgnoredAny,
    }
    serde_json::from_str::<Frame>(frame).ok().map(|frame| frame.arg.stream())
}

/// The error for a channel or instrument that is not there.
pub(crate) fn unknown(stream: &str) -> Refusal {
    let (channel, key) = stream.split_once(':').unwrap_or((stream, ""));
    let member = key_member(channel);
    Refusal::new(
        60_018,
        format!(
            "Wrong URL or channel:{channel},{member}:{key} doesn't exist. Please use the correct URL, channel \
             and parameters referring to API document."
        ),
    )
}

/// Parses a frame; the refusal says what is wrong with it.
pub(crate) fn request(text: &str) -> Result<Request<'_>, Refusal> {
    let invalid = || Refusal::new(60_012, format!("Invalid request: {text}"));
    let request: Request<'_> = serde_json::from_str(text).map_err(|_| invalid())?;
    if request.id.is_some_and(|id| !valid_id(id.get())) {
        return Err(invalid());
    }
    match request.op.as_str() {
        "subscribe" | "unsubscribe" if request.args.is_empty() => Err(invalid()),
        "subscribe" | "unsubscribe" => Ok(request),
        "login" => Err(Refusal::new(60_005, "Invalid apiKey")),
        op => Err(Refusal::new(60_019, format!("Invalid op: {op}"))),
    }
}

/// At most 32 letters and digits in quotes.
fn valid_id(id: &str) -> bool {
    let inner = id.strip_prefix('"').and_then(|id| id.strip_suffix('"'));
    inner.is_some_and(|id| id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn id_member(request: Option<&Request<'_>>) -> String {
    let id = request.and_then(|request| request.id);
    id.map_or(String::new(), |id| format!("\"id\":{},", id.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(endpoint: Endpoint) -> Session {
        Session::new(1, endpoint, 1_000)
    }

    fn stream(endpoint: Endpoint, arg: &str) -> Result<String, u32> {
        let arg = RawValue::from_string(arg.to_owned()).unwrap();
        session(endpoint).stream(&arg, false).map_err(|refusal| refusal.code)
    }

    #[test]
    fn channels_live_on_their_own_path() {
        let books = r#"{"channel":"books","instId":"X"}"#;
        let candle = r#"{"instId":"X","channel":"candle1m"}"#;
        assert_eq!(stream(Endpoint::Public, books), Ok("books:X".to_owned()));
        assert_eq!(stream(Endpoint::Business, books), Err(60_018));
        assert_eq!(stream(Endpoint::Public, candle), Err(64_001));
        assert_eq!(stream(Endpoint::Business, candle), Ok("candle1m:X".to_owned()));
        assert_eq!(stream(Endpoint::Private, books), Err(60_011));
        assert_eq!(stream(Endpoint::Public, r#"{"channel":"books-l2-tbt","instId":"X"}"#), Err(60_011));
        assert_eq!(stream(Endpoint::Public, r#"{"channel":"open-interest","uly":"X"}"#), Err(64_000));
        assert_eq!(stream(Endpoint::Public, "7"), Err(60_013));
        let liquidations = r#"{"channel":"liquidation-orders","instType":"SWAP","instFamily":"BTC-USDT"}"#;
        assert_eq!(stream(Endpoint::Public, liquidations), Ok("liquidation-orders:SWAP".to_owned()));
    }

    #[test]
    fn frames_are_refused_as_a_whole() {
        let code = |text| request(text).map(|request| request.args.len()).map_err(|refusal| refusal.code);
        assert_eq!(code(r#"{"id":"1512","op":"subscribe","args":[{},{}]}"#), Ok(2));
        assert_eq!(code(r#"{"op":"subscribe","argss":[{}]}"#), Err(60_012));
        assert_eq!(code("{"), Err(60_012));
        assert_eq!(code(r#"{"id":7,"op":"subscribe","args":[{}]}"#), Err(60_012));
        assert_eq!(code(r#"{"op":"order","args":[{}]}"#), Err(60_019));
        assert_eq!(code(r#"{"op":"login","args":[{}]}"#), Err(60_005));
    }

    #[test]
    fn operations_are_counted_by_the_hour() {
        let mut session = session(Endpoint::Public);
        assert!((0..480).all(|time| session.count_operation(480, time)));
        assert!(!session.count_operation(480, 481));
        assert!(session.count_operation(480, HOUR + 481));
    }
}

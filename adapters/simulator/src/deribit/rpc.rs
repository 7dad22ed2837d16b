//! JSON-RPC: requests of clients, answers and errors.

use serde_json::{Map, Value};

use super::object::object;
use crate::rest::percent_decoded;

/// Largest request.
pub(super) const LARGEST_REQUEST: usize = 32 * 1024;

/// Why a request failed: code, message and a detail as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: i32,
    pub(super) message: &'static str,
    pub(super) data: Option<String>,
}

impl Failure {
    pub(super) const fn new(code: i32, message: &'static str) -> Failure {
        Failure { code, message, data: None }
    }

    /// A parameter that is missing or wrong.
    pub(super) fn parameter(name: &str, reason: &str) -> Failure {
        let data = format!("{{\"reason\":\"{reason}\",\"param\":\"{name}\"}}");
        Failure { data: Some(data), ..Failure::new(-32602, "Invalid params") }
    }

    /// Status of the HTTP answer.
    pub(super) fn status(&self) -> u16 {
        match self.code {
            10028 => 429,
            11051 => 503,
            13004 | 13009 => 401,
            _ => 400,
        }
    }
}

/// A request that can be executed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    /// Number or text, given back as it is; absent in the answer when absent here.
    pub(super) id: Option<Value>,
    pub(super) method: String,
    pub(super) parameters: Parameters,
}

impl Request {
    /// Reads a frame; the error has the id where one could be read.
    pub(super) fn parse(text: &str) -> Result<Request, (Option<Value>, Failure)> {
        if text.len() > LARGEST_REQUEST {
            let data = Some("\"request entity too large\"".to_owned());
            return Err((None, Failure { data, ..Failure::new(-32600, "request entity too large") }));
        }
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            let data = Some("\"invalid json\"".to_owned());
            return Err((None, Failure { data, ..Failure::new(11050, "bad_request") }));
        };
        let Value::Object(mut request) = value else {
            return Err((None, Failure::new(-32600, "Invalid Request")));
        };
        let id = request.remove("id").filter(|id| id.is_number() || id.is_string());
        let Some(Value::String(method)) = request.remove("method") else {
            return Err((id, Failure::new(-32600, "Invalid Request")));
        };
        match request.remove("params") {
            None => Ok(Request { id, method, parameters: Parameters(Map::new()) }),
            Some(Value::Object(members)) => Ok(Request { id, method, parameters: Parameters(members) }),
            Some(_) => Err((id, Failure::parameter("params", "must be an object"))),
        }
    }
}

/// Named parameters; over HTTP all of them are text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameters(Map<String, Value>);

impl Parameters {
    /// The parameters of a URL's query.
    pub(super) fn of_query(query: &str) -> Parameters {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Parameters(
            pairs.map(|(key, value)| (key.to_owned(), Value::String(percent_decoded(value)))).collect(),
        )
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name).ok_or_else(|| Failure::parameter(name, "value required"))
    }

    /// An integer; `None` when absent.
    pub(super) fn integer(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        number.map(Some).ok_or_else(|| Failure::parameter(name, "must be an integer"))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value == &Value::Bool(true) || value == "true")
    }

    /// The channels of a subscription.
    pub(super) fn channels(&self) -> Result<Vec<String>, Failure> {
        let list = self.0.get("channels").and_then(Value::as_array);
        let list = list.ok_or_else(|| Failure::parameter("channels", "value must be a list"))?;
        let text = |channel: &Value| channel.as_str().map(str::to_owned);
        list.iter()
            .map(text)
            .collect::<Option<_>>()
            .ok_or_else(|| Failure::parameter("channels", "wrong format"))
    }
}

/// Writes an answer; the result is JSON.
pub(super) fn answer(id: Option<&Value>, result: &Result<String, Failure>, now_ms: u64) -> String {
    let mut out = String::new();
    // The venue counts microseconds; requests here take as long as they are large.
    let (received, took) = (now_ms * 1000, 100 + result.as_ref().map_or(0, String::len) as u64);
    object(&mut out, |object| {
        object.name("jsonrpc", "2.0");
        if let Some(id) = id {
            object.raw("id", &id.to_string());
        }
        match result {
            Ok(result) => {
                object.raw("result", result);
            }
            Err(failure) => {
                object.object("error", |error| {
                    error.name("message", failure.message);
                    if let Some(data) = &failure.data {
                        error.raw("data", data);
                    }
                    error.integer("code", failure.code);
                });
            }
        }
        object.integer("usIn", received).integer("usOut", received + took).integer("usDiff", took);
        object.raw("testnet", "false");
    });
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn failure_code(text: &str) -> Option<i32> {
        Request::parse(text).err().map(|(_, failure)| failure.code)
    }

    #[test]
    fn requests_that_are_none_have_the_venues_codes() {
        assert_eq!(failure_code("{\"method\":"), Some(11050));
        assert_eq!(failure_code("[{\"method\":\"public/test\"}]"), Some(-32600));
        assert_eq!(failure_code("{\"id\":1}"), Some(-32600));
        assert_eq!(failure_code("{\"method\":\"public/test\",\"params\":[1]}"), Some(-32602));
        assert_eq!(failure_code(&" ".repeat(LARGEST_REQUEST + 1)), Some(-32600));
        assert_eq!(failure_code("{\"method\":\"public/test\"}"), None);
    }

    #[test]
    fn an_answer_has_the_id_of_its_request() {
        for id in [json!(7), json!("seven")] {
            let answer = answer(Some(&id), &Ok("[]".to_owned()), 1);
            assert_eq!(serde_json::from_str::<Value>(&answer).expect("JSON")["id"], id);
        }
        let failure = Failure { data: Some("\"why\"".to_owned()), ..Failure::new(1, "no") };
        let answer: Value = serde_json::from_str(&answer(None, &Err(failure), 1)).expect("JSON");
        assert_eq!(answer.get("id"), None);
        assert_eq!(answer["error"], json!({"message": "no", "data": "why", "code": 1}));
    }

    proptest! {
        /// Whatever a client sends is read or refused.
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = Request::parse(&text);
            let _ = Parameters::of_query(&text).integer("count");
        }
    }
}

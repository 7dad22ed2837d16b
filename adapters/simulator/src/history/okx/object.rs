//! JSON objects whose values are texts, as OKX writes nearly all of them.

use serde_json::Value;

use crate::history::chained::numbers::{Numbers, venue_time};

/// An object being written, its members in the order of the calls.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Object {
        Object("{".to_owned())
    }

    /// A member whose value is JSON already.
    pub(super) fn raw(mut self, key: &str, json: &str) -> Object {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
        self.0.push_str(json);
        self
    }

    pub(super) fn text(self, key: &str, text: &str) -> Object {
        self.raw(key, &Value::from(text).to_string())
    }

    /// A number, the empty text where it is absent.
    pub(super) fn number(self, key: &str, numbers: Numbers, mantissa: i64) -> Object {
        self.text(key, &numbers.text(mantissa, ""))
    }

    /// A number with a power of ten of its own.
    pub(super) fn decimal(self, key: &str, mantissa: i64, exponent: i8) -> Object {
        let numbers = Numbers::one(mantissa, exponent, 0);
        self.number(key, numbers, mantissa)
    }

    /// A time in nanoseconds, the empty text where it is missing.
    pub(super) fn time(self, key: &str, time_ns: i64) -> Object {
        self.text(key, &venue_time(time_ns).unwrap_or_default())
    }

    /// The text of the whole object.
    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

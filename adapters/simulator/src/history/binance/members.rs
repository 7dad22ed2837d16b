//! A JSON object, member by member, in the order in which the venue writes them.

use marketprism_core::Decimal;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::record::{ABSENT, Level};
use serde_json::Value;

/// An object that is being written.
pub(super) struct Members {
    text: String,
}

impl Members {
    pub(super) fn new() -> Members {
        Members { text: "{".to_owned() }
    }

    fn key(&mut self, key: &str) -> &mut String {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
        &mut self.text
    }

    /// JSON as it stands.
    pub(super) fn json(mut self, key: &str, value: &str) -> Members {
        self.key(key).push_str(value);
        self
    }

    /// Text, quoted.
    pub(super) fn text(self, key: &str, value: &str) -> Members {
        self.json(key, &Value::from(value).to_string())
    }

    pub(super) fn integer(self, key: &str, value: impl Into<i128>) -> Members {
        self.json(key, &value.into().to_string())
    }

    pub(super) fn boolean(self, key: &str, value: bool) -> Members {
        self.json(key, if value { "true" } else { "false" })
    }

    /// An integer that the venue may not have sent.
    pub(super) fn given_integer(self, key: &str, value: i64) -> Members {
        if value == ABSENT { self } else { self.integer(key, value) }
    }

    /// A number as the venue writes it: text.
    pub(super) fn number(mut self, key: &str, mantissa: i64, exponent: i8) -> Members {
        push_number(self.key(key), mantissa, exponent);
        self
    }

    /// A number that the venue may not have sent.
    pub(super) fn given(self, key: &str, mantissa: i64, exponent: i8) -> Members {
        if mantissa == ABSENT { self } else { self.number(key, mantissa, exponent) }
    }

    /// A number in whose place the venue may have sent the empty text.
    pub(super) fn number_or_empty(self, key: &str, mantissa: i64, exponent: i8) -> Members {
        if mantissa == ABSENT { self.text(key, "") } else { self.number(key, mantissa, exponent) }
    }

    /// A time that the venue may not have sent.
    pub(super) fn time(self, key: &str, time_ns: i64) -> Members {
        match venue_time(time_ns) {
            Some(time) => self.integer(key, time),
            None => self,
        }
    }

    /// Levels of one side: pairs of price and quantity.
    pub(super) fn levels(
        mut self,
        key: &str,
        levels: impl Iterator<Item = Level>,
        exponents: (i8, i8),
    ) -> Members {
        let text = self.key(key);
        text.push('[');
        for (index, level) in levels.enumerate() {
            text.push_str(if index == 0 { "[" } else { ",[" });
            push_number(text, level.price, exponents.0);
            text.push(',');
            push_number(text, level.quantity, exponents.1);
            text.push(']');
        }
        text.push(']');
        self
    }

    pub(super) fn end(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

fn push_number(text: &mut String, mantissa: i64, exponent: i8) {
    text.push('"');
    text.push_str(&Decimal::new(mantissa, exponent).to_string());
    text.push('"');
}

/// A time in the venue's unit: milliseconds, or microseconds where it was sent in these.
pub(super) fn venue_time(time_ns: i64) -> Option<i64> {
    match time_ns {
        TIME_MISSING => None,
        whole if whole % 1_000_000 == 0 => Some(whole / 1_000_000),
        finer => Some(finer / 1_000),
    }
}

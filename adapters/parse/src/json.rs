//! What the general path and the REST answers read with: `sonic-rs` lazy values, made safe for frames that
//! anyone may have written.

use std::borrow::Cow;

use marketprism_core::Decimal;
use marketprism_core::venue::DecodeError;
use sonic_rs::{JsonValueTrait, LazyValue};

use crate::numbers::{NO_DECIMAL, time_ns};

/// Deepest nesting that is read. The venue's messages have five levels; `sonic-rs` skips values by recursion
/// without a bound of its own.
const MAX_DEPTH: usize = 32;

/// A JSON value inside a text that was checked as a whole.
#[derive(Clone)]
pub struct Value<'a>(LazyValue<'a>);

/// An object's members. Of a key that comes twice the last counts.
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// Checks a text and gives its value.
pub fn parse(text: &[u8]) -> Result<Value<'_>, DecodeError> {
    check(text)?;
    // sonic-rs would look at the encoding last, after it has made texts of the bytes.
    let text = std::str::from_utf8(text).map_err(|error| DecodeError::Json(error.to_string()))?;
    sonic_rs::from_str::<LazyValue<'_>>(text).map(Value).map_err(|error| DecodeError::Json(brief(&error)))
}

/// The first line of an error; the others show the text around it.
fn brief(error: &sonic_rs::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// Refuses what `sonic-rs` does not look at when it skips a value: nesting and the digits of `\u`.
fn check(text: &[u8]) -> Result<(), DecodeError> {
    let mut depth = 0usize;
    let mut inside_text = false;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => inside_text = !inside_text,
            b'\\' if inside_text => {
                let digits = match bytes.next() {
                    Some(b'u') => 4,
                    _ => 0,
                };
                if !bytes.by_ref().take(digits).all(u8::is_ascii_hexdigit) {
                    return Err(DecodeError::Json("bad escape".to_owned()));
                }
            }
            b'{' | b'[' if !inside_text => depth += 1,
            b'}' | b']' if !inside_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(DecodeError::Json(format!("nested deeper than {MAX_DEPTH}")));
        }
    }
    Ok(())
}

impl<'a> Value<'a> {
    /// The text of the value. Numbers may be followed by white space in the lazy value.
    pub fn raw(&self) -> &str {
        self.0.as_raw_str().trim_ascii_end()
    }

    fn is_null(&self) -> bool {
        self.raw() == "null"
    }

    /// The members, where it is an object.
    pub fn object(&self) -> Option<Object<'a>> {
        let mut members = Vec::with_capacity(24);
        for member in self.0.clone().into_object_iter()? {
            let (key, value) = member.ok()?;
            members.push((key, Value(value)));
        }
        Some(Object { members })
    }

    /// The elements, where it is an array.
    pub fn elements(&self) -> Option<impl Iterator<Item = Value<'a>> + use<'a>> {
        // The text was checked as a whole, so that no element can fail.
        Some(self.0.clone().into_array_iter()?.map_while(Result::ok).map(Value))
    }

    /// The text, where it is a string.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        let inner = self.raw().strip_prefix('"')?.strip_suffix('"')?;
        if inner.contains('\\') {
            return self.0.as_str().map(|text| Cow::Owned(text.to_owned()));
        }
        Some(Cow::Borrowed(inner))
    }

    /// The digits of a number, or of a string that holds one.
    fn digits(&self) -> Option<Cow<'_, str>> {
        let raw = self.raw();
        if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Some(Cow::Borrowed(raw));
        }
        self.text().filter(|text| !text.starts_with('+'))
    }

    /// A number from 0 up without point and exponent.
    pub fn unsigned(&self) -> Option<u64> {
        self.digits()?.parse().ok()
    }

    fn signed(&self) -> Option<i64> {
        self.digits()?.parse().ok()
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match self.raw() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A decimal; the empty text is none.
    pub fn decimal(&self) -> Result<Decimal, String> {
        let digits = self.digits().ok_or("not a decimal number")?;
        if digits.is_empty() {
            return Ok(NO_DECIMAL);
        }
        Decimal::parse(digits.as_bytes()).map_err(|error| error.to_string())
    }
}

/// Appends a JSON string to the text of a request.
pub fn push_string(text: &mut String, value: &str) {
    text.push('"');
    for letter in value.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '\0'..='\x1f' => text.push_str(&format!("\\u{:04x}", letter as u32)),
            _ => text.push(letter),
        }
    }
    text.push('"');
}

/// A field with a value that it cannot have.
pub fn bad(field: &'static str, problem: impl Into<String>) -> DecodeError {
    DecodeError::Field { field, problem: problem.into() }
}

impl<'a> Object<'a> {
    /// The value of a key. `null` is as good as nothing.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.find(key).filter(|value| !value.is_null())
    }

    /// The value of a key, `null` too.
    pub fn find(&self, key: &str) -> Option<&Value<'a>> {
        self.members.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value of a key that has to be there.
    pub fn need(&self, key: &'static str) -> Result<&Value<'a>, DecodeError> {
        self.get(key).ok_or(DecodeError::Missing(key))
    }

    /// A string that has to be there.
    pub fn text(&self, key: &'static str) -> Result<Cow<'_, str>, DecodeError> {
        self.need(key)?.text().ok_or_else(|| bad(key, "not a string"))
    }

    /// A string, or nothing.
    pub fn optional_text(&self, key: &'static str) -> Result<Option<Cow<'_, str>>, DecodeError> {
        self.get(key).map(|value| value.text().ok_or_else(|| bad(key, "not a string"))).transpose()
    }

    /// An id that has to be there.
    pub fn unsigned(&self, key: &'static str) -> Result<u64, DecodeError> {
        self.need(key)?.unsigned().ok_or_else(|| bad(key, "not a whole number from 0 up"))
    }

    /// A whole number, or `absent`.
    pub fn signed_or(&self, key: &'static str, absent: i64) -> Result<i64, DecodeError> {
        match self.get(key) {
            Some(value) => value.signed().ok_or_else(|| bad(key, "not a whole number")),
            None => Ok(absent),
        }
    }

    /// A time in nanoseconds, or `absent`.
    pub fn time_or(&self, key: &'static str, absent: i64) -> Result<i64, DecodeError> {
        match self.get(key) {
            Some(value) => value.unsigned().and_then(time_ns).ok_or_else(|| bad(key, "not a time")),
            None => Ok(absent),
        }
    }

    /// A flag that has to be there.
    pub fn boolean(&self, key: &'static str) -> Result<bool, DecodeError> {
        self.need(key)?.boolean().ok_or_else(|| bad(key, "not true or false"))
    }

    /// A decimal that has to be there.
    pub fn decimal(&self, key: &'static str) -> Result<Decimal, DecodeError> {
        match self.need(key)?.decimal() {
            Ok(NO_DECIMAL) => Err(bad(key, "empty")),
            other => other.map_err(|problem| bad(key, problem)),
        }
    }

    /// A decimal, or [`NO_DECIMAL`] where it is missing or the empty text.
    pub fn optional_decimal(&self, key: &'static str) -> Result<Decimal, DecodeError> {
        match self.get(key) {
            Some(value) => value.decimal().map_err(|problem| bad(key, problem)),
            None => Ok(NO_DECIMAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_what_they_are() {
        let value =
            parse(br#" {"t" : 12 , "s":"a\u00fcb", "n":null, "d":"-1.50", "l":[1, [2] ,"x"], "t":13 } "#)
                .unwrap();
        let object = value.object().unwrap();
        assert_eq!(object.unsigned("t"), Ok(13));
        assert_eq!(object.text("s").as_deref(), Ok("aüb"));
        assert_eq!(object.text("n"), Err(DecodeError::Missing("n")));
        assert!(object.find("n").is_some());
        assert_eq!(object.decimal("d"), Ok(Decimal::new(-150, -2)));
        let raws: Vec<_> = object.get("l").unwrap().elements().unwrap().map(|v| v.raw().to_owned()).collect();
        assert_eq!(raws, ["1", "[2]", "\"x\""]);
    }

    #[test]
    fn strings_are_read_as_they_were_written() {
        for value in ["", "BTC-PERPETUAL", "a\"b\\c", "\n\u{1}", "ü"] {
            let mut text = String::new();
            push_string(&mut text, value);
            assert_eq!(parse(text.as_bytes()).unwrap().text().as_deref(), Some(value));
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for bad in [
            "",
            "{",
            "{}x",
            "{\"a\":01}",
            "{\"a\":1,}",
            "{\"a\":\"\\uZZZZ\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"\\x\"}",
            "{'a':1}",
            "{\"a\":\"\n\"}",
            "nul",
            "{\"a\":+1}",
            "{\"a\":.5}",
        ] {
            assert!(matches!(parse(bad.as_bytes()), Err(DecodeError::Json(_))), "{bad}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
        assert!(parse("{\"a\":".repeat(1_000_000).as_bytes()).is_err());
        assert!(parse(format!("\"{}\"", "[".repeat(1000)).as_bytes()).is_ok());
    }
}

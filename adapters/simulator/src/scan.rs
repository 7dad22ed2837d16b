//! Finds members of a flat JSON object by position, without building a tree.

/// A value of the object: where it lies, and whether it was a string (then without the quotes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) string: bool,
}

/// Calls `found` with every member of an object that is a string or a bare word (number, boolean, null).
/// Members that are objects or arrays are passed over. Returns false when the text is not an object.
pub(crate) fn members(text: &[u8], mut found: impl FnMut(&[u8], Value)) -> bool {
    let mut at = 1;
    if text.first() != Some(&b'{') || text.last() != Some(&b'}') {
        return false;
    }
    while let Some(key) = string_at(text, at) {
        let value_at = key.end + 2;
        if text.get(key.end + 1) != Some(&b':') {
            return false;
        }
        let name = &text[key.start..key.end];
        at = match text.get(value_at) {
            Some(b'"') => match string_at(text, value_at) {
                Some(value) => {
                    found(name, value);
                    value.end + 1
                }
                None => return false,
            },
            Some(b'[' | b'{') => nested_end(text, value_at),
            Some(_) => {
                let rest = &text[value_at..];
                let length = rest.iter().position(|byte| matches!(byte, b',' | b'}')).unwrap_or(rest.len());
                found(name, Value { start: value_at, end: value_at + length, string: false });
                value_at + length
            }
            None => return false,
        };
        match text.get(at) {
            Some(b',') => at += 1,
            Some(b'}') => return at == text.len() - 1,
            _ => return false,
        }
    }
    false
}

fn string_at(text: &[u8], quote: usize) -> Option<Value> {
    if text.get(quote) != Some(&b'"') {
        return None;
    }
    let mut end = quote + 1;
    while *text.get(end)? != b'"' {
        end += if text[end] == b'\\' { 2 } else { 1 };
    }
    Some(Value { start: quote + 1, end, string: true })
}

/// The position after a nested object or array.
fn nested_end(text: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < text.len() {
        match text[at] {
            b'"' => match string_at(text, at) {
                Some(value) => at = value.end,
                None => return text.len(),
            },
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// A run of digits as a number.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Splits `{"stream":"NAME","data":PAYLOAD}` into the name and the place of the payload.
pub(crate) fn unwrap(line: &[u8]) -> Option<(&str, usize, usize)> {
    let rest = line.strip_prefix(b"{\"stream\":\"")?;
    let length = rest.iter().position(|&byte| byte == b'"')?;
    let name = std::str::from_utf8(&rest[..length]).ok()?;
    rest[length..].strip_prefix(b"\",\"data\":")?;
    let start = 11 + length + 9;
    (line.len() > start + 1 && line.ends_with(b"}")).then_some((name, start, line.len() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_positions() {
        let text = br#"{"e":"x\"y","U":157,"b":[["1","[2"],{"a":1}],"m":true,"u":9}"#;
        let mut seen = Vec::new();
        assert!(members(text, |key, value| {
            seen.push((key.to_vec(), text[value.start..value.end].to_vec(), value.string));
        }));
        let expected: [(&[u8], &[u8], bool); 4] =
            [(b"e", br#"x\"y"#, true), (b"U", b"157", false), (b"m", b"true", false), (b"u", b"9", false)];
        assert_eq!(seen.len(), expected.len());
        for (seen, expected) in seen.iter().zip(expected) {
            assert_eq!((&seen.0[..], &seen.1[..], seen.2), expected);
        }
    }

    #[test]
    fn garbage_is_refused() {
        for text in ["", "{", "[]", "{\"a\":", "{\"a\"}", "{\"a\":1", "{\"a\":[}", "{\"a\\"] {
            assert!(!members(text.as_bytes(), |_, _| {}), "{text}");
        }
    }

    #[test]
    fn wrapped_frames_are_taken_apart() {
        let line = br#"{"stream":"a@trade","data":{"t":1}}"#;
        let (name, start, end) = unwrap(line).expect("is wrapped");
        assert_eq!((name, &line[start..end]), ("a@trade", &b"{\"t\":1}"[..]));
        assert_eq!(unwrap(b"{\"t\":1}"), None);
    }
}

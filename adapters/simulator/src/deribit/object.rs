//! JSON objects, written key by key in the venue's order.

use super::number::Decimal;

/// A JSON object being written.
pub(super) struct Object<'a> {
    out: &'a mut String,
}

/// Writes an object; `fill` adds its members.
pub(super) fn object(out: &mut String, fill: impl FnOnce(&mut Object<'_>)) {
    out.push('{');
    fill(&mut Object { out });
    out.push('}');
}

/// Writes items with commas between them.
pub(super) fn separated<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
}

/// Writes a list.
pub(super) fn list<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    write: impl FnMut(&mut String, T),
) {
    out.push('[');
    separated(out, items, write);
    out.push(']');
}

impl Object<'_> {
    /// Writes a key; the value follows in the text that is returned.
    pub(super) fn key(&mut self, key: &str) -> &mut String {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
        self.out
    }

    pub(super) fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key).push_str(json);
        self
    }

    /// A name: letters, digits and signs that JSON does not escape.
    pub(super) fn name(&mut self, key: &str, value: &str) -> &mut Self {
        let out = self.key(key);
        out.push('"');
        out.push_str(value);
        out.push('"');
        self
    }

    pub(super) fn integer(&mut self, key: &str, value: impl Into<i128>) -> &mut Self {
        let text = value.into().to_string();
        self.raw(key, &text)
    }

    pub(super) fn float(&mut self, key: &str, value: Decimal) -> &mut Self {
        value.write_float(self.key(key));
        self
    }

    pub(super) fn float_or_null(&mut self, key: &str, value: Option<Decimal>) -> &mut Self {
        match value {
            Some(value) => self.float(key, value),
            None => self.raw(key, "null"),
        }
    }

    pub(super) fn rate(&mut self, key: &str, value: Decimal) -> &mut Self {
        value.write_rate(self.key(key));
        self
    }

    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        object(self.key(key), fill);
        self
    }
}

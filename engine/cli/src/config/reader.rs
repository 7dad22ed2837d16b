//! Typed access to a parsed file that notes what is wrong and goes on.

use std::ops::{Range, RangeInclusive};

use toml_edit::{Item, Table, TableLike, Value};

use super::Fault;
use super::nearest::nearest;

/// One file and its faults so far.
pub(super) struct Reader<'t> {
    file: String,
    text: &'t str,
    faults: Vec<Fault>,
    /// Parts of the file were not understood, so that nothing can be said to be missing.
    partial: bool,
}

/// A table of the file.
pub(super) struct Section<'t> {
    table: &'t dyn TableLike,
    /// Put before the names of its keys in messages: `log.`.
    prefix: &'static str,
    /// Where it begins, in bytes.
    at: usize,
}

/// A text of the file.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) value: String,
    /// Where it begins, in bytes.
    pub(super) at: usize,
}

impl<'t> Section<'t> {
    /// The file as a whole.
    pub(super) fn top(table: &'t Table) -> Section<'t> {
        Section { table, prefix: "", at: 0 }
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Where it begins, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Where a key is, or else the section.
    pub(super) fn at_key(&self, key: &str) -> usize {
        let key = self.table.get_key_value(key).and_then(|(key, _)| key.span());
        key.map_or(self.at, |span| span.start)
    }
}

fn start(span: Option<Range<usize>>, otherwise: usize) -> usize {
    span.map_or(otherwise, |span| span.start)
}

impl<'t> Reader<'t> {
    pub(super) fn new(file: String, text: &'t str) -> Reader<'t> {
        Reader { file, text, faults: vec![], partial: false }
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// All faults, in the order of their lines.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(|fault| fault.line);
        self.faults
    }

    /// From now on keys are not reported as missing.
    pub(super) fn set_partial(&mut self) {
        self.partial = true;
    }

    /// The line of a place, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    pub(super) fn fault(&mut self, at: usize, message: impl Into<String>) {
        let line = Some(self.line(at));
        self.faults.push(Fault { file: self.file.clone(), line, message: message.into() });
    }

    fn missing(&mut self, section: &Section<'_>, key: &str, example: &str) {
        // A misspelt key is reported as such.
        let is_misspelt = section.table.iter().any(|(other, _)| nearest(other, [key]).is_some());
        if !self.partial && !is_misspelt {
            self.fault(section.at, format!("{} is missing; write {example}", section.name(key)));
        }
    }

    fn wrong_type(&mut self, name: &str, item: &Item, at: usize, write: &str) {
        let at = start(item.span(), at);
        self.fault(at, format!("{name} is {}; write {write}", type_name(item)));
    }

    /// Reports keys that are none of `known`.
    pub(super) fn check_keys(&mut self, section: &Section<'_>, known: &[&str]) {
        for (key, _) in section.table.iter() {
            if known.contains(&key) {
                continue;
            }
            let hint = match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("the keys here are {}", known.join(", ")),
            };
            self.fault(section.at_key(key), format!("unknown key \"{}\"; {hint}", section.name(key)));
        }
    }

    /// A table below `section`; the empty one where it is absent.
    pub(super) fn table<'s>(
        &mut self,
        section: &Section<'s>,
        key: &str,
        prefix: &'static str,
    ) -> Option<Section<'s>> {
        let item = section.table.get(key)?;
        let at = section.at_key(key);
        let table = item.as_table_like();
        if table.is_none() {
            self.wrong_type(&section.name(key), item, at, &format!("a section that begins with [{key}]"));
        }
        Some(Section { table: table?, prefix, at })
    }

    /// The tables of `[[key]]`, or of a list of inline tables. Reports where there are none.
    pub(super) fn tables<'s>(&mut self, section: &Section<'s>, key: &str, example: &str) -> Vec<Section<'s>> {
        let prefix = "source.";
        let Some(item) = section.table.get(key) else {
            self.missing(section, key, example);
            return vec![];
        };
        let at = section.at_key(key);
        let write = format!("[[{key}]], with two brackets on each side");
        if let Some(tables) = item.as_array_of_tables() {
            let tables = tables.iter();
            return tables.map(|table| Section { table, prefix, at: start(table.span(), at) }).collect();
        }
        let Some(list) = item.as_array() else {
            self.wrong_type(&section.name(key), item, at, &write);
            return vec![];
        };
        if list.is_empty() {
            self.fault(at, format!("{key} is empty; write {example}"));
        }
        let mut sections = vec![];
        for value in list.iter() {
            let at = start(value.span(), at);
            match value.as_inline_table() {
                Some(table) => sections.push(Section { table, prefix, at }),
                None => self.fault(at, format!("{key} has {} in it; write {write}", type_of(value))),
            }
        }
        sections
    }

    /// A text; `example` is what to write where it is missing or wrong.
    pub(super) fn optional_text(&mut self, section: &Section<'_>, key: &str, example: &str) -> Option<Text> {
        let item = section.table.get(key)?;
        let at = start(item.span(), section.at_key(key));
        match item.as_str() {
            None => self.wrong_type(&section.name(key), item, at, &format!("a text, like {example}")),
            Some("") => self.fault(at, format!("{} is empty; write {example}", section.name(key))),
            Some(value) => return Some(Text { value: value.to_owned(), at }),
        }
        None
    }

    /// As [`optional_text`](Reader::optional_text), and it must be there.
    pub(super) fn text_of(&mut self, section: &Section<'_>, key: &str, example: &str) -> Option<Text> {
        if section.table.get(key).is_none() {
            self.missing(section, key, example);
        }
        self.optional_text(section, key, example)
    }

    /// A list of texts; empty where it is absent. Reports empty texts and repetitions.
    pub(super) fn texts(&mut self, section: &Section<'_>, key: &str, example: &str) -> Vec<Text> {
        let mut texts: Vec<Text> = vec![];
        for (value, at) in self.list(section, key, &format!("a list of texts, like {example}")) {
            let name = section.name(key);
            match value.as_str() {
                None => self
                    .fault(at, format!("{name} has {} in it; write texts, like {example}", type_of(value))),
                Some("") => self.fault(at, format!("{name} has an empty text in it; remove it")),
                Some(text) if texts.iter().any(|earlier| earlier.value == text) => {
                    self.fault(at, format!("{name} names \"{text}\" twice; remove one"));
                }
                Some(text) => texts.push(Text { value: text.to_owned(), at }),
            }
        }
        texts
    }

    /// As [`texts`](Reader::texts), and there must be one at least.
    pub(super) fn texts_of(&mut self, section: &Section<'_>, key: &str, example: &str) -> Vec<Text> {
        match section.table.get(key) {
            None => self.missing(section, key, example),
            Some(item) if item.as_array().is_some_and(toml_edit::Array::is_empty) => {
                let at = start(item.span(), section.at);
                self.fault(at, format!("{} is empty; write {example}", section.name(key)));
            }
            Some(_) => {}
        }
        self.texts(section, key, example)
    }

    /// The elements of a list with their places.
    fn list<'s>(&mut self, section: &Section<'s>, key: &str, write: &str) -> Vec<(&'s Value, usize)> {
        let Some(item) = section.table.get(key) else { return vec![] };
        let at = start(item.span(), section.at_key(key));
        let Some(list) = item.as_array() else {
            self.wrong_type(&section.name(key), item, at, write);
            return vec![];
        };
        list.iter().map(|value| (value, start(value.span(), at))).collect()
    }

    /// A whole number within `range`; `unit` explains it.
    pub(super) fn number(
        &mut self,
        section: &Section<'_>,
        key: &str,
        range: RangeInclusive<i64>,
        unit: &str,
    ) -> Option<i64> {
        let item = section.table.get(key)?;
        let at = start(item.span(), section.at_key(key));
        let write = format!("a whole number from {} to {} ({unit})", range.start(), range.end());
        match item.as_integer() {
            None => self.wrong_type(&section.name(key), item, at, &write),
            Some(number) if range.contains(&number) => return Some(number),
            Some(number) => self.fault(at, format!("{} is {number}; write {write}", section.name(key))),
        }
        None
    }

    /// A list of whole numbers with their places.
    pub(super) fn numbers(&mut self, section: &Section<'_>, key: &str, example: &str) -> Vec<(i64, usize)> {
        let mut numbers = vec![];
        for (value, at) in self.list(section, key, &format!("a list of numbers, like {example}")) {
            match value.as_integer() {
                Some(number) => numbers.push((number, at)),
                None => {
                    let name = section.name(key);
                    self.fault(
                        at,
                        format!("{name} has {} in it; write numbers, like {example}", type_of(value)),
                    );
                }
            }
        }
        numbers
    }

    /// Yes or no; no where it is absent.
    pub(super) fn flag(&mut self, section: &Section<'_>, key: &str) -> bool {
        let Some(item) = section.table.get(key) else { return false };
        let at = start(item.span(), section.at_key(key));
        item.as_bool().unwrap_or_else(|| {
            self.wrong_type(&section.name(key), item, at, "true or false");
            false
        })
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let words = words.join(" or ");
        let text = self.optional_text(section, key, &words)?;
        let found = choices.iter().find(|(word, _)| *word == text.value).map(|(_, choice)| *choice);
        if found.is_none() {
            let message = format!("{} is \"{}\"; write {words}", section.name(key), text.value);
            self.fault(text.at, message);
        }
        found
    }
}

/// What an item is, in words.
fn type_name(item: &Item) -> &'static str {
    match item {
        Item::None => "nothing",
        Item::Value(value) => type_of(value),
        Item::Table(_) => "a section",
        Item::ArrayOfTables(_) => "a list of sections",
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date or time",
        Value::Array(_) => "a list",
        Value::InlineTable(_) => "a table",
    }
}

//! TOML itself. The parser stops at the first error; to find the others, the file is read statement by statement.

use std::ops::Range;

use toml_edit::{Document, TomlError};

use super::reader::Reader;

/// So many errors of the file as a whole are looked for.
const MOST_ERRORS: usize = 20;

/// Parses the file. Reports what is no TOML; where statements had to be left out, the reader knows that parts are
/// missing. `None` where the rest could not be judged.
pub(super) fn parse(reader: &mut Reader<'_>) -> Option<Document<String>> {
    let mut text = reader.text().to_owned();
    let first = match Document::parse(text.clone()) {
        Ok(document) => return Some(document),
        Err(error) => error,
    };
    reader.set_partial();
    if text.contains("\"\"\"") || text.contains("'''") {
        // Statements cannot be told apart by their first letter.
        report(reader, &first, 0);
        return None;
    }
    for statement in statements(&text) {
        if let Some(Err(error)) = reader.text().get(statement.clone()).map(Document::parse) {
            report(reader, &error, statement.start);
            text = without(&text, statement);
        }
    }
    parse_rest(reader, text)
}

/// What is wrong between statements that are right alone: keys and sections that are there twice.
fn parse_rest(reader: &mut Reader<'_>, mut text: String) -> Option<Document<String>> {
    for _ in 0..MOST_ERRORS {
        match Document::parse(text.clone()) {
            Ok(document) => return Some(document),
            Err(error) => {
                report(reader, &error, 0);
                let at = error.span().map_or(0, |span| span.start);
                let statement = statements(&text).into_iter().find(|statement| statement.contains(&at))?;
                text = without(&text, statement);
            }
        }
    }
    None
}

fn report(reader: &mut Reader<'_>, error: &TomlError, offset: usize) {
    let at = offset + error.span().map_or(0, |span| span.start);
    let message = error.message().trim().replace('\n', ", ");
    let message = match message.as_str() {
        "duplicate key" => "this key or section is there twice; remove one".to_owned(),
        _ => format!("not valid TOML: {message}"),
    };
    reader.fault(at, message);
}

/// Where each statement is. One begins at a line that starts with a letter or a bracket outside of a list, and
/// reaches to the next.
fn statements(text: &str) -> Vec<Range<usize>> {
    let mut starts = vec![];
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let first = line.trim_start().chars().next();
        if first.is_some_and(|letter| letter.is_alphabetic() || letter == '_' || letter == '[') {
            starts.push(offset);
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// The text without a statement. A section goes with its head: its keys would be taken for those of the section
/// before.
fn without(text: &str, statement: Range<usize>) -> String {
    let is_head =
        |part: &Range<usize>| text.get(part.clone()).is_some_and(|text| text.trim_start().starts_with('['));
    let mut end = statement.end;
    if is_head(&statement) {
        let next = statements(text).into_iter().find(|other| other.start >= statement.end && is_head(other));
        end = next.map_or(text.len(), |next| next.start);
    }
    blank(text, statement.start..end)
}

/// The text with spaces in place of a part, so that all lines stay where they are.
fn blank(text: &str, part: Range<usize>) -> String {
    let blanked = text.char_indices().map(|(at, letter)| {
        let keep = letter == '\n' || !part.contains(&at);
        if keep { letter.to_string() } else { " ".repeat(letter.len_utf8()) }
    });
    blanked.collect()
}

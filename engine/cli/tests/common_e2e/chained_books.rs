//! Books of OKX and Deribit, rebuilt independently: from what was sent, and from what is stored.

use std::collections::BTreeMap;

use serde_json::Value;

use super::books::Book;
use super::{has_flag, id};

/// Whether a row is a whole book.
pub fn is_snapshot(row: &Value) -> bool {
    row["kind"] == "book_snapshot"
}

/// Whether a row is a message of the venue's about a book, not something derived from it.
pub fn is_message(row: &Value) -> bool {
    (is_snapshot(row) || row["kind"] == "book_delta") && !has_flag(row, "derived")
}

fn of_snapshot(row: &Value) -> Book {
    let mut book = Book::default();
    apply(&mut book, row);
    book
}

fn apply(book: &mut Book, row: &Value) {
    book.last_id = id(&row["last_id"]);
    book.change(&row["bids"], &row["asks"]);
}

/// The book after messages that follow each other.
pub fn after<'a>(messages: impl Iterator<Item = &'a Value>) -> Book {
    messages.fold(Book::default(), |mut book, message| {
        if is_snapshot(message) {
            book = Book::default();
        }
        book.change(&message["bids"], &message["asks"]);
        book
    })
}

/// The right book of an instrument at every id that was sent, whatever the order and the copies.
#[derive(Default)]
pub struct Truth(BTreeMap<u64, Book>);

impl Truth {
    /// From the messages of one instrument.
    pub fn of_sent<'a>(messages: impl Iterator<Item = &'a Value>) -> Truth {
        let mut truth = Truth::default();
        // A message that came before its turn waits for it; behind a hole there is no turn.
        let mut left: Vec<&Value> = messages.collect();
        loop {
            let before = left.len();
            left.retain(|message| !truth.take(message));
            if left.len() == before {
                return truth;
            }
        }
    }

    fn take(&mut self, message: &Value) -> bool {
        let book = if is_snapshot(message) {
            of_snapshot(message)
        } else {
            let Some(before) = self.0.get(&id(&message["previous_id"])) else { return false };
            let mut book = before.clone();
            apply(&mut book, message);
            book
        };
        let known = self.0.insert(book.last_id, book.clone());
        assert!(known.is_none_or(|known| known == book), "the venue contradicts itself: {message}");
        true
    }

    fn at(&self, id: u64) -> &Book {
        self.0.get(&id).unwrap_or_else(|| panic!("there was no book {id}"))
    }
}

/// A reader of the log that believes in what is not flagged.
#[derive(Default)]
pub struct Reader {
    /// The book as far as its chain can be followed.
    book: Option<Book>,
    /// Whether the newest message is not flagged.
    pub is_valid: bool,
}

impl Reader {
    /// Takes the records of an instrument, and demands that each that is not flagged is right. Gives the book at the
    /// end, if it is valid.
    pub fn read<'a>(rows: impl Iterator<Item = &'a Value>, truth: &Truth) -> Option<Book> {
        let mut reader = Reader::default();
        rows.for_each(|row| reader.take(row, truth));
        reader.book.filter(|_| reader.is_valid)
    }

    fn take(&mut self, row: &Value, truth: &Truth) {
        if is_message(row) {
            self.message(row, truth);
        } else if has_flag(row, "derived") {
            self.derived(row);
        }
    }

    fn message(&mut self, row: &Value, truth: &Truth) {
        self.is_valid = !has_flag(row, "book_invalid");
        if is_snapshot(row) {
            if self.is_valid {
                self.book = Some(of_snapshot(row));
            }
        } else {
            let follows = |book: &&mut Book| book.last_id == id(&row["previous_id"]);
            match self.book.as_mut().filter(follows) {
                Some(book) => apply(book, row),
                None => self.book = None,
            }
        }
        if self.is_valid {
            let book = self.book.as_ref().unwrap_or_else(|| panic!("valid without a snapshot: {row}"));
            assert!(!book.is_crossed(), "valid and crossed: {row}");
            assert!(book == truth.at(book.last_id), "valid and wrong: {row}");
        }
    }

    /// What the recorder derives from a book is the best of it, while it is valid.
    fn derived(&self, row: &Value) {
        let book = self.book.as_ref().filter(|_| self.is_valid);
        let book = book.unwrap_or_else(|| panic!("derived from a book that is not valid: {row}"));
        if row["kind"] == "quote" {
            let quote = |side: &str| {
                let (price, quantity) = (&row[format!("{side}_price")], &row[format!("{side}_quantity")]);
                Value::from_iter(
                    (!price.is_null()).then(|| Value::from_iter([price.clone(), quantity.clone()])),
                )
            };
            book.assert_starts_with(&quote("bid"), &quote("ask"), &row.to_string());
        } else {
            assert_eq!(id(&row["last_id"]), book.last_id, "{row}");
            book.assert_starts_with(&row["bids"], &row["asks"], &row.to_string());
        }
    }
}

/// The reasons of the gaps of a book. Their ids must be those that the messages around them leave out.
pub fn gap_reasons(rows: &[&Value]) -> Vec<String> {
    let mut newest = 0;
    let mut reasons = Vec::new();
    let mut is_late = false;
    for (index, row) in rows.iter().enumerate() {
        if row["kind"] == "gap" {
            let next = rows[index..].iter().find(|row| is_message(row)).expect("a message after the gap");
            assert_gap(row, newest, next);
            is_late = row["repaired"] == true;
            reasons.push(reason_of(row));
        } else if is_message(row) {
            // Neither a late message nor a snapshot that was not taken is the newest.
            let passed_over = is_late || (is_snapshot(row) && has_flag(row, "book_invalid"));
            newest = if passed_over { newest } else { id(&row["last_id"]) };
            is_late = false;
        }
    }
    reasons
}

fn reason_of(gap: &Value) -> String {
    let repaired = if gap["repaired"] == true { ", repaired" } else { "" };
    format!("{}{repaired}", gap["reason"].as_str().unwrap())
}

/// `newest`: the last id before the gap; `next`: the message after it.
fn assert_gap(gap: &Value, newest: u64, next: &Value) {
    assert_eq!(gap["stream"], "book_delta", "{gap}");
    let ids = ["from_id", "to_id"].map(|key| gap.get(key).map(id));
    let expected = match reason_of(gap).as_str() {
        "sequence" => [Some(newest + 1), Some(id(&next["previous_id"]))],
        "resynchronised" | "disconnected" => [Some(newest + 1), Some(id(&next["last_id"]))],
        "sequence, repaired" => [Some(id(&next["previous_id"]) + 1), Some(id(&next["last_id"]))],
        "reset" => [Some(newest + 1), None],
        "checksum" => [None, None],
        other => panic!("{other} is no reason here: {gap}"),
    };
    assert_eq!(ids, expected, "{gap} before {next}");
}

//! `query --book-at` against a model that replays all records.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use marketprism_runtime::Threads;
use marketprism_simulator::host::Disturbance;
use marketprism_simulator::{Config, Disconnection, Fault, Market};
use serde_json::Value;

use super::common_e2e::books::Book;
use super::common_e2e::chained_disturbed::Setting;
use super::common_e2e::{Local, generated, has_flag, id, process, stored};
use super::support::{START_NS, rows, run, write_log};

type Name = (String, String);

fn name(row: &Value) -> Name {
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    (text("market"), text("venue_symbol"))
}

fn receive_ns(row: &Value) -> i64 {
    row["receive_ns"].as_i64().unwrap()
}

fn is_message(row: &Value) -> bool {
    (row["kind"] == "book_delta" || row["kind"] == "book_snapshot") && !has_flag(row, "derived")
}

fn is_gap(row: &Value) -> bool {
    row["kind"] == "gap" && row["stream"] == "book_delta" && row["repaired"] == false
}

/// A book as the stored messages make it.
#[derive(Default)]
struct Model {
    book: Option<Book>,
    is_flagged: bool,
    last_ns: i64,
}

impl Model {
    fn message(&mut self, row: &Value) {
        let is_flagged = has_flag(row, "book_invalid");
        self.last_ns = self.last_ns.max(receive_ns(row));
        if is_gap(row) {
            self.book = None;
        } else if row["kind"] == "book_snapshot" && !is_flagged {
            let mut fresh = Book { last_id: id(&row["last_id"]), ..Book::default() };
            fresh.change(&row["bids"], &row["asks"]);
            (self.book, self.is_flagged) = (Some(fresh), false);
        } else if row["kind"] == "book_delta" {
            self.delta(row, is_flagged);
        }
    }

    fn delta(&mut self, row: &Value, is_flagged: bool) {
        let Some(book) = &mut self.book else { return };
        let last_id = id(&row["last_id"]);
        let previous = row["previous_id"].as_str().map(|text| text.parse::<u64>().unwrap_or(0));
        let first = row.get("first_id").map(id);
        // Chained ids may stand still; in the others what is not newer is part of the snapshot.
        if first.is_some() && last_id <= book.last_id {
            return;
        }
        let follows = previous == Some(book.last_id) || first.is_some_and(|first| first <= book.last_id + 1);
        if !follows {
            self.book = None;
            return;
        }
        book.change(&row["bids"], &row["asks"]);
        (book.last_id, self.is_flagged) = (last_id, is_flagged);
    }

    /// The book of one instrument at a time, where it may be believed.
    fn at<'a>(rows: &[&'a Value], at_ns: i64) -> Option<Book> {
        let is_book = |row: &&&'a Value| is_message(row) || is_gap(row);
        let mut model = Model::default();
        rows.iter().filter(is_book).filter(|row| receive_ns(row) <= at_ns).for_each(|row| model.message(row));
        let next = rows.iter().filter(is_book).find(|row| receive_ns(row) > at_ns);
        let in_hole = next.is_some_and(|next| is_gap(next) && next["from_ns"].as_i64() < Some(at_ns));
        let is_whole = !model.is_flagged && (!in_hole || model.last_ns >= at_ns);
        model.book.filter(|book| is_whole && !book.is_crossed())
    }
}

/// The times worth asking for: spread over the log, and at and around each gap.
fn times(rows: &[Value]) -> Vec<i64> {
    let (first, last) =
        (rows.iter().map(receive_ns).min().unwrap(), rows.iter().map(receive_ns).max().unwrap());
    let mut random = 42_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    let mut times: BTreeSet<i64> = (0..25).map(|_| first + (next() as i64 * 1000) % (last - first)).collect();
    let messages: Vec<i64> = rows.iter().filter(|row| is_message(row)).map(receive_ns).collect();
    times.extend((0..10).map(|_| messages[next() as usize % messages.len()]));
    for gap in rows.iter().filter(|row| is_gap(row)).take(6) {
        let (from_ns, end_ns) = (gap["from_ns"].as_i64().unwrap(), receive_ns(gap));
        times.extend([from_ns, from_ns + 1, end_ns - 1, end_ns, end_ns + 1]);
    }
    times.into_iter().filter(|time| *time <= last).collect()
}

/// Asks for all books at many times and compares them with the model. Gives the reasons of those that are not valid.
fn compare(data: &Path, books: usize) -> Vec<String> {
    let all = stored(data);
    let mut by_name: BTreeMap<Name, Vec<&Value>> = BTreeMap::new();
    for row in &all {
        by_name.entry(name(row)).or_default().push(row);
    }
    let (mut valid, mut reasons) = (0, Vec::new());
    for at_ns in times(&all) {
        let (_, text, said) =
            run("query", data, &["--json", "--symbol", "*", "--book-at", &at_ns.to_string()]);
        assert!(!said.contains("problem"), "{said}");
        let mut answers: BTreeMap<Name, Value> = BTreeMap::new();
        for line in text.lines() {
            let answer: Value = serde_json::from_str(line).unwrap();
            answers.insert(name(&answer), answer);
        }
        for (name, rows) in &by_name {
            let expected = Model::at(rows, at_ns);
            let answer = answers.remove(name).unwrap_or_default();
            assert_eq!(answer["valid"] == true, expected.is_some(), "{name:?} at {at_ns}: {answer}");
            let Some(expected) = expected else {
                reasons.extend(answer["reason"].as_str().map(str::to_owned));
                continue;
            };
            let mut book = Book { last_id: id(&answer["last_id"]), ..Book::default() };
            book.change(&answer["bids"], &answer["asks"]);
            assert_eq!(book, expected, "{name:?} at {at_ns}");
            valid += 1;
        }
        assert!(answers.is_empty(), "books that nobody knows: {answers:?}");
    }
    assert!(valid > 10 * books, "{valid} books were compared");
    reasons
}

#[test]
fn books_of_binance_are_those_of_the_model() {
    let streams = [(Market::Spot, "ethusdt"), (Market::Usdm, "btcusdt"), (Market::Coinm, "btcusd_perp")];
    let fault = |(market, symbol): (Market, &str)| Fault::DropDiff {
        market,
        stream: format!("{symbol}@depth@100ms"),
        after_events: 15,
        events: 2,
    };
    let mut faults = streams.map(fault).to_vec();
    let how = Disconnection::Abrupt;
    faults.push(Fault::Disconnect { market: Market::Usdm, after_messages: 1200, times: 1, how });
    let mut local = Local::start(
        Config { faults, ..generated(21, 2, 2000) },
        &["book@100ms", "trade"],
        Threads::default(),
    );
    local.feed();
    process::wait_for_more(&local.simulator, 6000);
    local.wait_for_books(6);
    local.finish();
    let reasons = compare(&local.data, 6);
    assert!(reasons.iter().any(|reason| reason.starts_with("hole from ")), "{reasons:?}");
}

/// What goes wrong with a book, and how often it is subscribed anew for that.
const DISTURBANCES: [(Disturbance, u64); 6] = [
    (Disturbance::Crossed(3), 0),
    (Disturbance::Hole(2), 1),
    (Disturbance::Disconnect(0), 1),
    (Disturbance::MidStreamSnapshot, 0),
    (Disturbance::Reorder, 1),
    (Disturbance::StaleSnapshot(3), 1),
];

/// Records a venue while things go wrong with one of its books, and compares all of them with the model.
fn compare_disturbed(setting: Setting) {
    let books = setting.books();
    let mut chained = setting.start();
    chained.feed(books);
    chained.wait_for_more(setting.market, &setting.stream(), 6);
    for (what, again) in DISTURBANCES {
        let before = chained.stream(setting.market, &setting.stream()).connections;
        assert!(chained.handle.disturb(setting.market, &setting.stream(), what));
        setting.settle(&chained, before + again);
    }
    chained.finish();
    let reasons = compare(&chained.data, books);
    assert!(reasons.iter().any(|reason| reason.starts_with("hole from ")), "{reasons:?}");
}

#[test]
fn books_of_okx_are_those_of_the_model() {
    compare_disturbed(Setting::okx());
}

#[test]
fn books_of_okx_with_checksums_are_those_of_the_model() {
    compare_disturbed(Setting::okx_with_checksums());
}

#[test]
fn books_of_deribit_are_those_of_the_model() {
    compare_disturbed(Setting::deribit());
}

#[test]
fn a_snapshot_alone_is_a_book_until_the_log_ends() {
    let folder = super::common_e2e::folder();
    write_log(folder.path());
    let at =
        |extra: &[&str]| run("query", folder.path(), &[&["--symbol", "BTC*", "--book-at"], extra].concat());
    let (code, text, _) = at(&["2024-08-08T23:54:17.5Z"]);
    assert_eq!(code, Some(0));
    let head = "binance/spot BTCUSDT (BTC-USDT) at 2024-08-08 23:54:17.500000Z: valid\nlast id 1999,";
    assert!(text.starts_with(head), "{text}");
    assert!(text.contains("last message received 501.0 ms before"), "{text}");
    let table = "  bid quantity (BTC)  bid price (USDT)  ask price (USDT)  ask quantity (BTC)\n";
    assert!(text.contains(table), "{text}");

    let (code, text, _) = at(&["2024-08-08T23:55:00Z", "--json"]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &answer["valid"]), (Some(1), &false.into()));
    assert!(
        answer["reason"].as_str().unwrap().starts_with("the log ends 2024-08-08 23:54:17.999000Z"),
        "{text}"
    );
    assert_eq!(answer["bids"], Value::Null);

    let (code, text, said) = at(&[&START_NS.to_string()]);
    assert_eq!((code, text.as_str()), (Some(0), ""));
    assert!(said.contains("no wanted instrument has a book before"), "{said}");
    assert_eq!(
        rows(folder.path(), &["--symbol", "BTC*", "--book-at", "2024-08-08T23:54:17.5Z", "--depth", "1"])[0]
            ["bids"],
        serde_json::json!([["10.0", "3"]])
    );
}

//! The program's `export`, and its files opened by the tools that they are made for.
#![allow(clippy::unwrap_used)]

#[path = "../../../export/tests/common/mod.rs"]
mod common;
mod kinds;
mod python;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{Log, Numbers, SECOND_NS, START_NS, files, market_hours, perpetual};
use serde_json::Value;

const FORMATS: [&str; 3] = ["parquet", "tardis-csv", "hftbacktest"];

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_marketprism"));
    command.args(arguments);
    command
}

/// Exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = program(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The result of an export that succeeds.
fn exported(log: &Path, out: &Path, format: &str, extra: &[&str]) -> Value {
    let arguments = ["export", text(log), "--format", format, "--out", text(out), "--json"];
    let (code, result, said) = run(&[&arguments, extra].concat());
    assert_eq!((code, said.as_str()), (Some(0), ""), "{result}");
    serde_json::from_str(result.lines().last().unwrap()).unwrap()
}

/// Some instruments over midnight, with holes in their books, and one or more records of every kind.
fn write_log(directory: &Path, records: u64) {
    let names = ["BTC", "ETH", "SOL"].map(perpetual);
    let mut log = Log::new(directory, names);
    let mut ids = vec![0; 3];
    market_hours(&mut log, &mut ids, START_NS, 20 * SECOND_NS / records as i64, records);
    kinds::push(&mut log);
    log.seal();
}

/// Writes what a command prints into a file.
fn print_to(path: &Path, arguments: &[&str]) {
    let file = fs::File::create(path).unwrap();
    let status = program(arguments).stdout(file).stderr(Stdio::null()).status().unwrap();
    // Books that are not valid are no good news, but they are news.
    assert!(matches!(status.code(), Some(0 | 1)));
}

/// The latest receive time of what `query` printed.
fn last_ns(query: &Path) -> i64 {
    let text = fs::read_to_string(query).unwrap();
    let receive_ns = |line: &str| serde_json::from_str::<Value>(line).unwrap()["receive_ns"].as_i64();
    text.lines().filter_map(receive_ns).max().unwrap()
}

/// Exports a log and lets Python compare every file with what `query` prints. Gives what was compared.
fn compare(log: &Path) -> BTreeMap<&'static str, Value> {
    let folder = tempfile::tempdir().unwrap();
    let (query, books) = (folder.path().join("query.json"), folder.path().join("books.json"));
    print_to(&query, &["query", text(log), "--format", "json"]);
    let end_ns = last_ns(&query);
    print_to(&books, &["query", text(log), "--json", "--symbol", "*", "--book-at", &end_ns.to_string()]);
    let mut compared = BTreeMap::new();
    for (format, check) in FORMATS.into_iter().zip(["parquet", "tardis", "hftbacktest"]) {
        let out = folder.path().join(format);
        exported(log, &out, format, if check == "tardis" { &["--book-snapshot", "5"] } else { &[] });
        let mut arguments = vec![check, text(&out)];
        arguments.extend((check == "hftbacktest").then_some(text(&books)));
        arguments.push(text(&query));
        if let Some(result) = python::check(&arguments) {
            compared.insert(check, result);
        }
    }
    compared
}

#[test]
fn every_value_is_as_query_prints_it() {
    let log = tempfile::tempdir().unwrap();
    write_log(log.path(), 6000);
    let compared = compare(log.path());
    if let (Some(parquet), Some(tardis), Some(backtest)) =
        (compared.get("parquet"), compared.get("tardis"), compared.get("hftbacktest"))
    {
        assert_eq!(parquet["kinds"], 19);
        assert!(parquet["compared"].as_u64() > Some(6000), "{parquet}");
        assert!(tardis["compared"].as_u64() > Some(3000), "{tardis}");
        assert!(backtest["steps"].as_u64() > Some(30), "{backtest}");
    }
}

#[test]
fn a_recorded_log_reads_back_in_every_tool() {
    let log = tempfile::tempdir().unwrap();
    let (code, result, said) = run(&["demo", "--seconds", "3", "--data-dir", text(log.path()), "--json"]);
    assert_eq!(code, Some(0), "{result} {said}");
    let compared = compare(log.path());
    if let Some(parquet) = compared.get("parquet") {
        assert!(parquet["compared"].as_u64() > Some(10_000), "{parquet}");
    }
}

#[test]
fn a_killed_export_ends_with_the_same_bytes() {
    let log = tempfile::tempdir().unwrap();
    let mut written = Log::new(log.path(), ["BTC", "ETH", "SOL", "XRP"].map(perpetual));
    // Four days of a minute each.
    let mut ids = vec![0; 4];
    for day in 0..4 {
        let start_ns = START_NS + day * 86_400 * SECOND_NS;
        market_hours(&mut written, &mut ids, start_ns, SECOND_NS / 500, 15_000);
    }
    written.seal();
    let mut numbers = Numbers(7);
    for format in FORMATS {
        let (whole, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let took = exported(log.path(), whole.path(), format, &[])["seconds"].as_f64().unwrap();
        let arguments = ["export", text(log.path()), "--format", format, "--out", text(out.path()), "--json"];
        for _ in 0..5 {
            let mut running = program(&arguments).stdout(Stdio::null()).spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_secs_f64(took * numbers.below(100) as f64 / 100.0));
            running.kill().unwrap();
            running.wait().unwrap();
        }
        exported(log.path(), out.path(), format, &[]);
        let (mut found, expected) = (files(out.path()), files(whole.path()));
        // A kill may leave the manifest that was to come.
        found.remove("manifest.json.part");
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        assert!(found == expected, "{format}");
    }
}

#[test]
fn wrong_uses_say_what_to_do() {
    let (log, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_log(log.path(), 100);
    let (log, out) = (text(log.path()), text(out.path()));
    exported(log.as_ref(), out.as_ref(), "hftbacktest", &[]);
    for (arguments, expected) in [
        (vec!["--format", "parquet", "--out", out], "holds an export of"),
        (vec!["--format", "hftbacktest", "--out", out, "--symbol", "BTC*"], "holds an export of"),
        (vec!["--format", "parquet", "--out", log], "lies in the folder of the log"),
        (vec!["--format", "parquet", "--out", "/dev/null/x", "--book-snapshot", "5"], "tardis-csv"),
        (vec!["--format", "parquet", "--out", out, "--kind", "trad"], "did you mean"),
        (vec!["--format", "feather", "--out", out], "possible values"),
    ] {
        let (code, _, said) = run(&[vec!["export", log], arguments].concat());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let (code, _, said) = run(&["export", log, "--format", "parquet", "--out", "/dev/null/x"]);
    assert_eq!(code, Some(1), "{said}");
}

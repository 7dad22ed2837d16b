//! `query`: filters, bounds and formats.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::common_e2e::{folder, of_kind};
use super::support::{START_NS, command, rows, run, trade_ns, write_log};

/// The ids of trades.
fn ids(rows: &[Value]) -> Vec<u64> {
    of_kind(rows, "trade")
        .iter()
        .map(|row| (row["receive_ns"].as_i64().unwrap() - START_NS) as u64 / 1_000_000)
        .collect()
}

#[test]
fn without_filters_every_record_is_printed_in_capture_order() {
    let folder = folder();
    write_log(folder.path());
    let all = rows(folder.path(), &[]);
    assert_eq!(all.len(), 3003);
    assert!((0..).zip(&all).all(|(sequence, row)| row["sequence"] == sequence));
    assert_eq!(ids(&all), (0..3000).collect::<Vec<u64>>());
    assert_eq!(run("query", folder.path(), &["--count"]).1, "3003\n");
    assert_eq!(run("query", folder.path(), &["--count", "--json"]).1, "{\"records\":3003}\n");
}

#[test]
fn the_bounds_of_time_are_half_open() {
    let folder = folder();
    write_log(folder.path());
    for (from, end) in [(0, 1), (999, 1001), (1500, 1600), (1000, 2000), (2999, 3000)] {
        let bounds = [trade_ns(from).to_string(), trade_ns(end).to_string()];
        let found = rows(folder.path(), &["--from", &bounds[0], "--to", &bounds[1]]);
        assert_eq!(ids(&found), (from..end).collect::<Vec<u64>>());
    }
    let last_second =
        ["--from", "2024-08-08T23:54:17.5Z", "--to", "2024-08-09T01:54:18+02:00", "--kind", "trade"];
    assert_eq!(ids(&rows(folder.path(), &last_second)), (2500..3000).collect::<Vec<u64>>());
    assert_eq!(rows(folder.path(), &["--from", "2024-08-08", "--to", "2024-08-09"]).len(), 3003);
}

#[test]
fn venue_market_symbol_and_kind_are_filters() {
    let folder = folder();
    write_log(folder.path());
    let count = |extra: &[&str]| rows(folder.path(), extra).len();
    assert_eq!(count(&["--venue", "okx"]), 1000);
    assert_eq!(count(&["--market", "spot"]), 1003);
    assert_eq!(count(&["--venue", "binance", "--market", "usdm"]), 1000);
    assert_eq!(count(&["--symbol", "BTCUSDT"]), 2003);
    assert_eq!(count(&["--symbol", "BTC-USDT-PERP"]), 2000);
    assert_eq!(count(&["--symbol", "BTC-*-SWAP", "--symbol", "BTC?USDT"]), 2003);
    assert_eq!(count(&["--kind", "book_snapshot"]), 3);
    assert_eq!(count(&["--kind", "book_snapshot", "--kind", "trade"]), 3003);
    assert_eq!(
        count(&["--kind", "trade", "--venue", "okx", "--limit", "10"]),
        10,
        "detailed trades are trades"
    );
}

#[test]
fn nothing_wanted_is_nothing_printed() {
    let folder = folder();
    write_log(folder.path());
    for format in ["table", "json", "csv"] {
        let (code, text, said) = run("query", folder.path(), &["--format", format, "--kind", "gap"]);
        assert_eq!((code, text.as_str()), (Some(0), ""));
        assert!(said.contains("no record"), "{said}");
    }
}

#[test]
fn words_that_are_not_known_are_refused_with_a_suggestion() {
    let folder = folder();
    write_log(folder.path());
    for (extra, suggestion) in [
        (vec!["--kind", "trades"], "did you mean \"trade\"?"),
        (vec!["--kind", "zzz"], "use one of trade, agg_trade"),
        (vec!["--venue", "binanc"], "did you mean \"binance\"?"),
        (vec!["--market", "usdn"], "did you mean \"usdm\"?"),
        (vec!["--venue", "okx", "--market", "usdm"], "okx has no market \"usdm\""),
        (vec!["--from", "yesterday"], "2026-11-23T10:00:00Z"),
        (vec!["--from", "10", "--to", "10"], "no time lies between"),
        (vec!["--format", "csv"], "exactly one --kind"),
        (vec!["--format", "csv", "--kind", "trade", "--kind", "gap"], "exactly one --kind"),
        (vec!["--book-at", "10"], "--symbol"),
        (vec!["--book-at", "10", "--symbol", "X", "--format", "csv"], "table or JSON"),
    ] {
        let (code, text, said) = run("query", folder.path(), &extra);
        assert_eq!((code, text.as_str()), (Some(2), ""), "{extra:?}");
        assert!(said.contains(suggestion), "{extra:?}: {said}");
    }
    let (code, _, said) = run("query", &folder.path().join("none"), &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("does not exist"), "{said}");
}

#[test]
fn csv_has_a_header_and_the_fields_of_its_kind() {
    let folder = folder();
    write_log(folder.path());
    let csv = |extra: &[&str]| run("query", folder.path(), &[&["--format", "csv"], extra].concat());
    let (code, text, _) = csv(&["--kind", "trade", "--venue", "okx", "--limit", "2", "--amounts"]);
    assert_eq!(code, Some(0));
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 3);
    let cell = |line: &[&str], name: &str| {
        line[lines[0].iter().position(|column| *column == name).unwrap()].to_owned()
    };
    for (line, id) in lines[1..].iter().zip([2, 5]) {
        assert_eq!(line.len(), lines[0].len());
        assert_eq!(cell(line, "receive_ns"), trade_ns(id).to_string());
        assert_eq!(
            [cell(line, "venue"), cell(line, "symbol"), cell(line, "side")],
            ["okx", "BTC-USDT-PERP", "buy"]
        );
        assert_eq!([cell(line, "quantity"), cell(line, "base_quantity")], ["7", "0.07"]);
        assert_eq!(cell(line, "price"), format!("10000.{id}"));
    }
    let (code, text, said) = csv(&["--kind", "book_snapshot", "--levels", "1"]);
    assert_eq!(code, Some(0));
    assert!(
        text.starts_with("receive_ns,exchange_ns,venue,")
            && text.contains("bid_price_1,bid_quantity_1,ask_price_1,ask_quantity_1,first_id")
    );
    assert!(text.contains(",snapshot|rest,10.0,3,10.1,3,"), "{text}");
    assert!(said.contains("3 records have more levels than columns"), "{said}");
}

#[test]
fn a_table_has_units_and_says_how_much_it_leaves_out() {
    let folder = folder();
    write_log(folder.path());
    let (_, text, _) = run("query", folder.path(), &["--kind", "trade", "--venue", "okx", "--limit", "1"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("receive (UTC)") && lines[0].contains("price (USDT)"), "{text}");
    assert!(
        lines[0].contains("quantity (0.01 BTC)") && lines[1].contains("2024-08-08 23:54:15.002000Z"),
        "{text}"
    );
    assert_eq!(lines[2], "and 999 more; --limit N shows more of them");
    let (_, text, _) = run("query", folder.path(), &[]);
    assert_eq!(text.lines().count(), 1 + 50 + 1);
    let around_book = ["--from", "2024-08-08T23:54:15.999Z", "--to", "2024-08-08T23:54:16Z"];
    let (_, text, _) = run("query", folder.path(), &around_book);
    assert!(text.contains("book_snapshot  snapshot|rest  bids 2  asks 2  last_id 999"), "{text}");
    assert!(!text.contains("more;"), "{text}");
}

#[test]
fn what_is_damaged_is_told_and_the_rest_is_printed() {
    let folder = folder();
    let files = write_log(folder.path());
    let mut bytes = std::fs::read(&files[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&files[1], bytes).unwrap();
    let (code, text, said) = run("query", folder.path(), &["--json"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("problem: 00000000000000001001.seg at byte "), "{said}");
    let lines = text.lines().count();
    assert!((2800..3003).contains(&lines), "{lines}");
    // A span of time that lies in other segments is not affected.
    let (code, text, _) = run("query", folder.path(), &["--json", "--to", &trade_ns(900).to_string()]);
    assert_eq!((code, text.lines().count()), (Some(0), 900));
}

#[test]
fn a_segment_that_is_still_written_is_read() {
    let folder = folder();
    let mut appender = super::support::open_log(folder.path());
    let mut batch = marketprism_log::BatchBuilder::new();
    let trade = super::support::trade(1, 5);
    batch.push(marketprism_core::record::RecordRef::Trade(&trade)).unwrap();
    appender.append(&mut batch).unwrap();
    assert_eq!(rows(folder.path(), &["--from", &trade_ns(5).to_string()]).len(), 1);
    assert_eq!(rows(folder.path(), &["--to", &trade_ns(5).to_string()]).len(), 0);
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let folder = folder();
    write_log(folder.path());
    for (name, extra) in [("query", ["--format", "json"]), ("replay", ["--speed", "max"])] {
        let mut process = command(name, folder.path(), &extra)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(first.starts_with("{\"kind\":\"trade\""), "{first}");
        let ended = process.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    }
}

#[test]
fn a_compacted_log_answers_the_same() {
    let folder = folder();
    let segments = write_log(folder.path());
    let [from, to] = [700, 2300].map(|id| trade_ns(id).to_string());
    let book_at = trade_ns(2100).to_string();
    let queries: [&[&str]; 8] = [
        &[],
        &["--symbol", "BTC-USDT"],
        &["--symbol", "BTC-USDT-*", "--from", &from, "--to", &to],
        &["--venue", "okx"],
        &["--kind", "trade", "--market", "usdm"],
        &["--kind", "book_snapshot", "--symbol", "BTCUSDT"],
        &["--symbol", "NONE"],
        &["--symbol", "BTCUSDT", "--book-at", &book_at],
    ];
    let answers =
        || queries.map(|query| run("query", folder.path(), &[&["--format", "json"], query].concat()));
    let before = answers();
    segments.iter().for_each(|path| assert!(marketprism_log::compact(path, || true).unwrap().is_some()));
    for ((before, after), query) in before.iter().zip(&answers()).zip(queries) {
        assert_eq!(before, after, "{query:?}");
    }
    assert!(before[2].1.lines().count() > 1000 && before[7].1.contains("\"valid\":true"));
}

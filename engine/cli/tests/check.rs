//! `check`: every fault with its line and what to write instead.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

/// Runs `check` in a folder, so that messages name the file as it was given.
fn check(folder: &Path, text: &[u8], extra: &[&str]) -> Output {
    std::fs::write(folder.join("c.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_marketprism"));
    command.current_dir(folder).args(["check", "-c", "c.toml"]).args(extra).output().unwrap()
}

/// What `check` says to a file that is not right.
fn faults(text: impl AsRef<[u8]>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = check(folder.path(), text.as_ref(), &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

const GOOD: &str = r#"data_dir = "data"

[log]
flush_interval_us = 500
sync_interval_ms = 0
segment_mib = 64

[threads]
io = 2
io_cores = [0]
wait = "spin"
transport = "epoll"

[[source]]
venue = "binance"
market = "usdm"
symbols = ["BTCUSDT", "ETHUSDT"]
channels = ["trade", "book@100ms", "quote", "mark_price", "open_interest"]
websocket = ["ws://127.0.0.1:9000"]
rest = ["http://127.0.0.1:9001"]

[[source]]
venue = "binance"
market = "spot"
symbols = ["BTCUSDT"]
channels = ["trade", "book", "candle@1m", "candle@5m"]
"#;

#[test]
fn a_good_file_is_summarised() {
    let folder = tempfile::tempdir().unwrap();
    for text in [GOOD.to_owned(), GOOD.replace('\n', "\r\n"), format!("\u{feff}{GOOD}")] {
        let output = check(folder.path(), text.as_bytes(), &[]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let summary = String::from_utf8(output.stdout).unwrap();
        assert!(summary.contains("binance  usdm          2        8       2            2\n"), "{summary}");
        assert!(summary.contains("binance  spot          1        4       0            1\n"), "{summary}");
    }
}

#[test]
fn json_is_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let json = |text: &str| -> serde_json::Value {
        let output = check(folder.path(), text.as_bytes(), &["--json"]);
        serde_json::from_str(String::from_utf8(output.stdout).unwrap().lines().last().unwrap()).unwrap()
    };
    let good = json(GOOD);
    assert_eq!(good["ok"], true);
    assert_eq!(good["sources"][0]["streams"], 8);
    let bad = json("data_dir = 1\n");
    assert_eq!(bad["ok"], false);
    assert_eq!(bad["faults"][0]["line"], 1);
    assert!(bad["faults"][0]["message"].as_str().unwrap().starts_with("data_dir is a number"));
}

#[test]
fn every_fault_is_reported_with_its_line() {
    let text = r#"data_dir = 5
certificate_files = ["none.pem"]
bogus = 1
[log]
flush_interval = 5
flush_interval_us = 5
segment_mib = "big"
[threads]
io = 0
io_cores = [0, 0, 99999]
wait = "spinn"
transport = 3
[[source]]
venue = "binance"
market = "usd-m"
symbls = ["BTCUSDT"]
channels = ["trade"]
[[source]]
venue = "binanse"
market = "spot"
symbols = []
channels = ["trade"]
[[source]]
venue = "binance"
market = "spot"
symbols = ["BTCUSDT", "BTCUSDT", "", 5, "ETH USDT"]
channels = ["trades", "book", "book@1000ms", "candle@7m", "mark_price"]
websocket = ["stream.binance.com", "https://x"]
rest = "https://x"
[[source]]
venue = "binance"
market = "spot"
symbols = ["BTCUSDT"]
channels = ["book@1000ms"]
"#;
    let said = faults(text);
    let expected = [
        r#"c.toml:1: data_dir is a number; write a text, like data_dir = "data""#,
        "c.toml:2: certificate_files: none.pem cannot be read",
        r#"c.toml:3: unknown key "bogus"; the keys here are data_dir, certificate_files, log, threads, source"#,
        r#"c.toml:5: unknown key "log.flush_interval"; did you mean "flush_interval_us"?"#,
        "c.toml:6: log.flush_interval_us is 5; write a whole number from 100 to 10000000 (microseconds)",
        "c.toml:7: log.segment_mib is a text; write a whole number from 1 to 65536 (MiB)",
        "c.toml:9: threads.io is 0; write a whole number from 1 to 64 (threads)",
        "c.toml:10: threads.io_cores names 3 cores for 1 thread; remove the others or add threads",
        "c.toml:10: threads.io_cores: core 99999 does not exist here or is not allowed; this host has ",
        r#"c.toml:11: threads.wait is "spinn"; write "adaptive" or "spin""#,
        r#"c.toml:12: threads.transport is a number; write a text, like "auto" or "io_uring" or "epoll""#,
        r#"c.toml:15: binance has no market "usd-m"; did you mean "usdm"?"#,
        r#"c.toml:16: unknown key "source.symbls"; did you mean "symbols"?"#,
        r#"c.toml:19: unknown venue "binanse"; did you mean "binance"?"#,
        r#"c.toml:21: source.symbols is empty; write symbols = ["BTCUSDT"]"#,
        r#"c.toml:26: source.symbols names "BTCUSDT" twice; remove one"#,
        "c.toml:26: source.symbols has an empty text in it; remove it",
        "c.toml:26: source.symbols has a number in it; write texts",
        r#"c.toml:26: symbol "ETH USDT" has a space, comma or control character in it"#,
        r#"c.toml:27: binance/spot has no channel "trades"; its channels are trade, agg_trade, book, quote, ticker, candle; did you mean "trade"?"#,
        r#"c.toml:27: channels "book" and "book@1000ms" are both books, and an instrument can have one"#,
        r#"c.toml:27: channel "candle" has the options 1s, 1m"#,
        r#"c.toml:27: binance/spot has no channel "mark_price""#,
        r#"c.toml:28: source.websocket: "stream.binance.com" has no scheme"#,
        r#"c.toml:28: source.websocket: "https://x" does not begin with wss:// or ws://"#,
        "c.toml:29: source.rest is a text; write a list of texts, like rest",
        "c.toml:33: binance/spot/BTCUSDT book@1000ms is recorded by the source in line 23 already",
        "27 faults",
    ];
    let lines: Vec<&str> = said.lines().collect();
    for (line, expected) in lines.iter().zip(&expected) {
        assert!(line.starts_with(expected), "\n  said {line}\nwanted {expected}");
    }
    assert_eq!(lines.len(), expected.len(), "{said}");
}

#[test]
fn what_is_no_toml_is_reported_together_with_the_rest() {
    let text = r#"data_dir = "data"
bogus = 1
[log]
flush_interval_us =
[threads]
io = 1
io = 2
[[source]]
venue = "binance
market = "spt"
symbols = ["BTCUSDT"
channels = ["trade"]
"#;
    let said = faults(text);
    let lines: Vec<&str> =
        said.lines().map(|line| line.split(&[':', ';'][..]).nth(1).unwrap_or(line)).collect();
    assert_eq!(lines, ["2", "4", "7", "9", "11", "5 faults"], "{said}");
    assert!(said.contains("c.toml:7: this key or section is there twice"), "{said}");
}

#[test]
fn files_that_are_no_text() {
    assert!(faults(b"data_dir = \"x\"\n\xff\n").starts_with("c.toml:2: not UTF-8 text"));
    let empty = faults("");
    assert!(empty.contains("c.toml:1: data_dir is missing; write data_dir = \"data\""), "{empty}");
    assert!(empty.contains("c.toml:1: source is missing"), "{empty}");
    let folder = tempfile::tempdir().unwrap();
    for (file, says) in [(".", "this is a folder"), ("none.toml", "cannot be read")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_marketprism"));
        let output = command.current_dir(folder.path()).args(["check", "-c", file]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(says), "{output:?}");
    }
}

#[test]
fn sections_of_another_shape_are_explained() {
    assert!(
        faults("data_dir = \"d\"\n[source]\nvenue = \"binance\"\n")
            .contains("c.toml:2: source is a section; write [[source]]")
    );
    let inline =
        faults("data_dir = \"d\"\nlog = 4\nsource = [{ venue = \"binance\", market = \"spot\" }, 5]\n");
    for part in [
        "c.toml:2: log is a number",
        "c.toml:3: source.symbols is missing",
        "c.toml:3: source has a number in it",
    ] {
        assert!(inline.contains(part), "{inline}");
    }
}

#[test]
fn a_data_folder_that_is_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), b"").unwrap();
    let output = check(folder.path(), GOOD.as_bytes(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with("c.toml:1: data_dir: data is no folder"),
        "{output:?}"
    );
}

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
compression = "none"
keep_days = 30
keep_gib = 500
retention_ignores_followers = true

[books]
snapshot_interval_ms = 0
snapshot_levels = 8192

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

[[source]]
venue = "okx"
market = "swap"
symbols = ["BTC-USDT-SWAP", "ETH-*-SWAP", "??-USD-PERP"]
exclude = ["ETH-USD-SWAP", "*_UM*"]
channels = ["trade", "book", "funding_rate", "long_short_ratio", "index", "clock"]

[[source]]
venue = "deribit"
market = "option"
symbols = ["*"]
exclude = ["*-P"]
channels = ["trade", "liquidation", "ticker", "mark_price", "greeks", "volatility_index"]
"#;

#[test]
fn a_good_file_is_summarised() {
    let folder = tempfile::tempdir().unwrap();
    for text in [GOOD.to_owned(), GOOD.replace('\n', "\r\n"), format!("\u{feff}{GOOD}")] {
        let output = check(folder.path(), text.as_bytes(), &[]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let summary = String::from_utf8(output.stdout).unwrap();
        for row in [
            "binance  usdm          2         0        8       2            2\n",
            "binance  spot          1         0        4       0            1\n",
            "okx      swap          1         2        3       3            1\n",
            "deribit  option        0         1        0       0            0\n",
        ] {
            assert!(summary.contains(row), "{row}{summary}");
        }
        assert!(summary.contains("lists of instruments have for the patterns"), "{summary}");
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
    assert_eq!((&good["sources"][2]["symbols"], &good["sources"][2]["patterns"]), (&1.into(), &2.into()));
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
compression = "lz4"
keep_days = 0
keep_gib = 0.5
retention_ignores_followers = "yes"
[books]
snapshot_interval_ms = 99
snapshot_levels = 0
snapshots = 5
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
exclude = ["*,*"]
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
        r#"c.toml:3: unknown key "bogus"; the keys here are data_dir, certificate_files, log, books, threads, source"#,
        r#"c.toml:5: unknown key "log.flush_interval"; did you mean "flush_interval_us"?"#,
        "c.toml:6: log.flush_interval_us is 5; write a whole number from 100 to 10000000 (microseconds)",
        "c.toml:7: log.segment_mib is a text; write a whole number from 1 to 65536 (MiB)",
        r#"c.toml:8: log.compression is "lz4"; write "zstd" or "none""#,
        "c.toml:9: log.keep_days is 0; write a whole number from 1 to 36500 (days)",
        "c.toml:10: log.keep_gib is a number with a fraction; write a whole number from 1 to 1000000 (GiB)",
        "c.toml:11: log.retention_ignores_followers is a text; write true or false",
        "c.toml:13: books.snapshot_interval_ms is 99; write at least 100, or 0 for none",
        "c.toml:14: books.snapshot_levels is 0; write a whole number from 1 to 8192 (levels of each side)",
        r#"c.toml:15: unknown key "books.snapshots"; the keys here are snapshot_interval_ms, snapshot_levels"#,
        "c.toml:17: threads.io is 0; write a whole number from 1 to 64 (threads)",
        "c.toml:18: threads.io_cores names 3 cores for 1 thread; remove the others or add threads",
        "c.toml:18: threads.io_cores: core 99999 does not exist here or is not allowed; this host has ",
        r#"c.toml:19: threads.wait is "spinn"; write "adaptive" or "spin""#,
        r#"c.toml:20: threads.transport is a number; write a text, like "auto" or "io_uring" or "epoll""#,
        r#"c.toml:23: binance has no market "usd-m"; did you mean "usdm"?"#,
        r#"c.toml:24: unknown key "source.symbls"; did you mean "symbols"?"#,
        r#"c.toml:27: unknown venue "binanse"; did you mean "binance"?"#,
        r#"c.toml:29: source.symbols is empty; write symbols = ["BTCUSDT"]"#,
        r#"c.toml:34: source.symbols names "BTCUSDT" twice; remove one"#,
        "c.toml:34: source.symbols has an empty text in it; remove it",
        "c.toml:34: source.symbols has a number in it; write texts",
        r#"c.toml:34: symbol "ETH USDT" has a space, comma or control character in it"#,
        r#"c.toml:35: symbol "*,*" has a space, comma or control character in it"#,
        r#"c.toml:36: binance/spot has no channel "trades"; its channels are "#,
        r#"c.toml:36: channels "book" and "book@1000ms" are both books, and an instrument can have one"#,
        r#"c.toml:36: channel "candle" has the options 1s, 1m"#,
        r#"c.toml:36: binance/spot has no channel "mark_price""#,
        r#"c.toml:37: source.websocket: "stream.binance.com" has no scheme"#,
        r#"c.toml:37: source.websocket: "https://x" does not begin with wss:// or ws://"#,
        "c.toml:38: source.rest is a text; write a list of texts, like rest",
        "c.toml:39: source.websocket differs from that of the source in line 31, and a market has one list of",
        "c.toml:42: binance/spot/BTCUSDT book@1000ms is recorded by the source in line 31 already",
        "36 faults",
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

/// A file with sources of one market, each given by its symbols and channels.
fn sources(venue: &str, market: &str, sources: &[(&str, &str)]) -> String {
    let mut text = "data_dir = \"data\"\n".to_owned();
    for (symbols, channels) in sources {
        text.push_str(&format!(
            "[[source]]\nvenue = \"{venue}\"\nmarket = \"{market}\"\nsymbols = {symbols}\nchannels = {channels}\n"
        ));
    }
    text
}

#[test]
fn names_of_one_stream_are_no_fault_and_two_chains_are() {
    let folder = tempfile::tempdir().unwrap();
    for (venue, market, channels) in [
        ("deribit", "perpetual", r#"["ticker", "mark_price", "open_interest", "funding_rate"]"#),
        ("deribit", "perpetual", r#"["trade", "liquidation", "book", "book20", "book1"]"#),
        ("binance", "spot", r#"["candle", "candle@1m", "book", "book@100ms", "trade", "agg_trade"]"#),
        ("okx", "futures", r#"["funding_rate", "liquidation", "book@l2-tbt", "book5"]"#),
    ] {
        let text = sources(venue, market, &[(r#"["X"]"#, channels)]);
        let output = check(folder.path(), text.as_bytes(), &[]);
        assert_eq!(output.status.code(), Some(0), "{channels}: {output:?}");
    }
    for (venue, market, channels, says) in [
        (
            "deribit",
            "option",
            r#"["trade@raw", "trade@100ms"]"#,
            r#"channels "trade@raw" and "trade@100ms" are both trades"#,
        ),
        (
            "deribit",
            "option",
            r#"["trade@raw", "liquidation@agg2"]"#,
            r#"and "liquidation@agg2" are both trades"#,
        ),
        ("okx", "swap", r#"["trade", "trade@all"]"#, "are both trades, and an instrument can have one"),
        ("okx", "swap", r#"["book", "book@50-l2-tbt"]"#, "are both books, and an instrument can have one"),
        ("okx", "spot", r#"["funding_rate"]"#, r#"okx/spot has no channel "funding_rate""#),
        ("deribit", "spot", r#"["tickr"]"#, r#"did you mean "ticker"?"#),
        ("deribit", "spot", r#"["clock@raw"]"#, r#"channel "clock" has no options"#),
    ] {
        let said = faults(sources(venue, market, &[(r#"["X"]"#, channels)]));
        assert!(said.contains(says) && said.ends_with("\n1 fault\n"), "{channels}: {said}");
    }
}

#[test]
fn sources_overlap_by_exact_symbols_only() {
    let folder = tempfile::tempdir().unwrap();
    for two in [
        [(r#"["BTC-*"]"#, r#"["trade"]"#), (r#"["BTC-PERPETUAL"]"#, r#"["trade"]"#)],
        [(r#"["BTC-PERPETUAL"]"#, r#"["ticker"]"#), (r#"["BTC-PERPETUAL"]"#, r#"["mark_price"]"#)],
        [(r#"["BTC-PERPETUAL"]"#, r#"["trade"]"#), (r#"["BTC-PERPETUAL"]"#, r#"["book"]"#)],
    ] {
        let output = check(folder.path(), sources("deribit", "perpetual", &two).as_bytes(), &[]);
        assert_eq!(output.status.code(), Some(0), "{two:?}: {output:?}");
    }
    for (second, says) in [
        (
            r#"["quote", "ticker"]"#,
            "deribit/perpetual/BTC-PERPETUAL ticker is recorded by the source in line 2 already",
        ),
        (r#"["trade@agg2"]"#, "BTC-PERPETUAL trade@agg2 is recorded by the source in line 2 already"),
    ] {
        let first = (r#"["BTC-PERPETUAL"]"#, r#"["ticker", "trade"]"#);
        let two = [first, (r#"["ETH-PERPETUAL", "BTC-PERPETUAL"]"#, second)];
        let said = faults(sources("deribit", "perpetual", &two));
        assert!(said.contains(says) && said.ends_with("\n1 fault\n"), "{said}");
    }
}

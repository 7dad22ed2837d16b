//! Lines of all kinds: definitions, garbage, packed files, closed pipes.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::binance_books::{SPOT_DELTAS, SPOT_SNAPSHOT};
use crate::support::decode;

#[test]
fn definitions_in_between_give_canonical_symbols() {
    let info = r#"{"symbols":[{"symbol":"BNBBTC","status":"TRADING","baseAsset":"BNB","quoteAsset":"BTC","filters":[]},{"symbol":"BAD"}]}"#;
    let trade = r#"{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}"#;
    let decoded =
        decode("binance/spot", [trade, info, &trade.replace("12345", "12346")].join("\n").as_bytes(), &[]);
    assert_eq!(decoded.of_kind("instrument").len(), 1);
    assert_eq!(decoded.of_kind("error").len(), 1);
    let symbols: Vec<&Value> = decoded.of_kind("trade").into_iter().map(|trade| &trade["symbol"]).collect();
    assert_eq!(symbols, ["BNBBTC", "BNB-BTC"]);
    assert_eq!(decoded.of_kind("trade")[1]["sequence"], 2);
}

#[test]
fn garbage_gives_error_lines_and_decoding_goes_on() {
    let trade = r#"{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}"#;
    let mut input = b"\xef\xbb\xbf".to_vec();
    for line in
        [trade.as_bytes(), b"", b"not json", b"{\"e\":\"trade\"", b"\xff\xfe{}", b"{\"e\":\"nosuch\"}", b"{}"]
    {
        input.extend_from_slice(line);
        input.extend_from_slice(b"\r\n");
    }
    input.extend_from_slice(&vec![b'['; 200_000]);
    input.push(b'\n');
    input.extend_from_slice(&vec![b'x'; 17 << 20]);
    input.push(b'\n');
    input.extend_from_slice(trade.replace("12345", "12346").as_bytes());
    let decoded = decode("binance/spot", &input, &[]);
    assert_eq!(decoded.code, Some(1));
    assert_eq!(decoded.of_kind("trade").len(), 2);
    let errors = decoded.of_kind("error");
    assert_eq!(errors.len(), 7, "{errors:?}");
    assert!(errors.iter().all(|error| error["reason"].as_str().is_some_and(|reason| !reason.is_empty())));
    assert_eq!(errors[0]["frame"], "not json");
    assert!(errors[2]["reason"].as_str().unwrap().contains("UTF-8"));
    assert!(errors[6]["reason"].as_str().unwrap().contains("16 MiB"));
    assert!(decoded.said.contains("7 errors in 10 lines"), "{}", decoded.said);
}

#[test]
fn files_are_plain_or_zstd() {
    let folder = tempfile::tempdir().unwrap();
    let text = SPOT_DELTAS.join("\n");
    let plain = folder.path().join("frames.jsonl");
    let packed = folder.path().join("frames.zst");
    let snapshot = folder.path().join("depth.json");
    std::fs::write(&plain, &text).unwrap();
    let whole = zstd::encode_all(text.as_bytes(), 3).unwrap();
    std::fs::write(&packed, &whole).unwrap();
    std::fs::write(&snapshot, SPOT_SNAPSHOT).unwrap();
    let option = format!("NKNUSDT={}", snapshot.display());
    for file in [&plain, &packed] {
        let decoded =
            decode("binance/spot", b"", &[file.to_str().unwrap(), "--books", "1", "--snapshot", &option]);
        assert_eq!((decoded.code, decoded.lines.len()), (Some(0), 5), "{}", decoded.said);
        assert_eq!(decoded.book("NKNUSDT")["last_id"], "499869757");
    }
    assert_eq!(decode("binance/spot", &whole, &["-"]).lines.len(), 3);
    // Cut in the middle: what can be read is decoded, and the end is an error.
    let cut = decode("binance/spot", &whole[..whole.len() - 3], &[]);
    assert_eq!((cut.code, cut.of_kind("error").len()), (Some(1), 1));
}

#[test]
fn wrong_arguments_are_explained() {
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_marketprism")).arg("decode").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run(&["--venue", "binanc", "--market", "spot"]).contains("did you mean \"binance\""));
    assert!(run(&["--venue", "binance", "--market", "spt"]).contains("did you mean \"spot\""));
    assert!(run(&["--venue", "binance", "--market", "spot", "/no/such/file"]).contains("cannot be read"));
    assert!(run(&["--venue", "binance", "--market", "spot", "--snapshot", "X"]).contains("SYMBOL=FILE"));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("frames.jsonl");
    let mut text = String::new();
    for id in 0..100_000 {
        text.push_str(&format!(
            r#"{{"e":"trade","E":1,"s":"BNBBTC","t":{id},"p":"0.001","q":"100","T":1,"m":true}}"#
        ));
        text.push('\n');
    }
    std::fs::write(&file, text).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_marketprism"))
        .args(["decode", "--venue", "binance", "--market", "spot"])
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("\"trade_id\":\"0\""));
    let mut said = String::new();
    process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((process.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

//! `decode`: the examples of the protocol description, captured frames, and garbage.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

struct Decoded {
    code: Option<i32>,
    lines: Vec<Value>,
    said: String,
}

impl Decoded {
    fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["kind"] == kind).collect()
    }

    fn book(&self, symbol: &str) -> &Value {
        let mut books = self.of_kind("book").into_iter();
        books
            .find(|book| book["venue_symbol"] == symbol)
            .unwrap_or_else(|| panic!("no book {symbol}: {}", self.said))
    }
}

fn decode(market: &str, input: &[u8], extra: &[&str]) -> Decoded {
    let mut process = Command::new(env!("CARGO_BIN_EXE_marketprism"))
        .args(["decode", "--venue", "binance", "--market", market])
        .args(extra)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (process.stdin.take().unwrap(), input.to_vec());
    // The process may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    Decoded {
        code: output.status.code(),
        lines: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        said: String::from_utf8(output.stderr).unwrap(),
    }
}

const SPOT_SNAPSHOT: &str = r#"{"lastUpdateId":499869752,"bids":[["0.35210000","672.00000000"],["0.35200000","1144.00000000"],["0.35190000","3260.00000000"],["0.35180000","3052.00000000"]],"asks":[["0.35250000","3959.00000000"],["0.35260000","3199.00000000"],["0.35270000","4201.00000000"],["0.35280000","703.00000000"],["0.35290000","6718.00000000"]]}"#;
const SPOT_DELTAS: [&str; 3] = [
    r#"{"stream":"nknusdt@depth@100ms","data":{"e":"depthUpdate","E":1633998512068,"s":"NKNUSDT","U":499869750,"u":499869752,"b":[["0.35130000","6195.00000000"],["0.34750000","5548.00000000"],["0.34640000","6222.00000000"]],"a":[]}}"#,
    r#"{"stream":"nknusdt@depth@100ms","data":{"e":"depthUpdate","E":1633998512568,"s":"NKNUSDT","U":499869753,"u":499869754,"b":[["0.35170000","4265.00000000"]],"a":[["0.35290000","10968.00000000"]]}}"#,
    r#"{"stream":"nknusdt@depth@100ms","data":{"e":"depthUpdate","E":1633998512668,"s":"NKNUSDT","U":499869755,"u":499869757,"b":[["0.35200000","1290.00000000"],["0.34730000","106.00000000"],["0.34690000","14009.00000000"]],"a":[]}}"#,
];

#[test]
fn the_spot_example_ends_in_the_expected_book() {
    let [first, second, third] = SPOT_DELTAS;
    // Wherever the answer stands, the book is the same and every delta is there.
    for lines in [
        [SPOT_SNAPSHOT, first, second, third],
        [first, SPOT_SNAPSHOT, second, third],
        [first, second, SPOT_SNAPSHOT, third],
        [first, second, third, SPOT_SNAPSHOT],
    ] {
        let decoded = decode("spot", lines.join("\n").as_bytes(), &["--books", "0"]);
        assert_eq!(decoded.code, Some(0), "{}", decoded.said);
        assert_eq!(decoded.of_kind("book_delta").len(), 3);
        let kinds: Vec<&str> = decoded.lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["book_delta", "book_snapshot", "book_delta", "book_delta", "book"]);
        assert_eq!(decoded.lines[0]["flags"], json!(["book_invalid"]));
        assert_eq!(decoded.lines[1]["flags"], json!(["snapshot", "rest"]));
        let book = decoded.book("NKNUSDT");
        assert_eq!(book["last_id"], "499869757");
        assert_eq!(book["bids"][0], json!(["0.35210000", "672.00000000"]));
        assert_eq!(book["bids"][1], json!(["0.35200000", "1290.00000000"]));
        assert!(book["bids"].as_array().unwrap().contains(&json!(["0.35170000", "4265.00000000"])));
        assert_eq!(book["asks"][4], json!(["0.35290000", "10968.00000000"]));
    }
}

#[test]
fn a_missing_futures_event_makes_a_gap_and_no_book() {
    let lines = [
        r#"{"lastUpdateId":600859605486,"E":1626992741242,"T":1626992741238,"bids":[["0.01731","57618"],["0.01730","183887"],["0.01729","712308"]],"asks":[["0.01732","72524"],["0.01733","355270"],["0.01734","396300"],["0.01735","359895"],["0.01736","874535"],["0.01737","437848"]]}"#,
        r#"{"e":"depthUpdate","E":1626992741077,"T":1626992740974,"s":"AKROUSDT","U":600859599831,"u":600859599831,"pu":600859598737,"b":[],"a":[["0.01737","437848"]]}"#,
        r#"{"e":"depthUpdate","E":1626992741257,"T":1626992741238,"s":"AKROUSDT","U":600859603597,"u":600859605486,"pu":600859599831,"b":[["0.01730","183887"]],"a":[["0.01736","874535"]]}"#,
        r#"{"e":"depthUpdate","E":1626992741559,"T":1626992741467,"s":"AKROUSDT","U":600859609657,"u":600859609902,"pu":600859605486,"b":[["0.01714","1474950"]],"a":[]}"#,
        r#"{"e":"depthUpdate","E":1626992741880,"T":1626992741846,"s":"AKROUSDT","U":600859615248,"u":600859616677,"pu":600859611654,"b":[["0.01724","678101"],["0.01725","919534"]],"a":[["0.01737","426900"],["0.01741","291748"],["0.01742","206748"]]}"#,
    ];
    let whole = decode("usdm", lines[..4].join("\n").as_bytes(), &["--books", "2"]);
    let book = whole.book("AKROUSDT");
    assert_eq!(book["bids"], json!([["0.01731", "57618"], ["0.01730", "183887"]]));
    assert_eq!(book["asks"], json!([["0.01732", "72524"], ["0.01733", "355270"]]));
    assert_eq!(book["last_id"], "600859609902");

    let broken = decode("usdm", lines.join("\n").as_bytes(), &["--books", "2"]);
    assert_eq!(broken.of_kind("book").len(), 0);
    let gaps = broken.of_kind("gap");
    assert_eq!((&gaps[0]["from_id"], &gaps[0]["to_id"]), (&"600859609903".into(), &"600859611654".into()));
    assert_eq!(broken.of_kind("book_delta").len(), 4);
    assert!(broken.said.contains("1 book not valid at the end"), "{}", broken.said);
}

#[test]
fn an_answer_that_names_its_symbol_needs_no_guess() {
    let lines = [
        r#"{"lastUpdateId":167006089178,"E":1626916404580,"T":1626916404574,"symbol":"BCHUSD_PERP","pair":"BCHUSD","bids":[["427.90","169"],["427.89","515"],["427.86","444"]],"asks":[["427.95","150"],["427.97","130"],["427.98","36"]]}"#,
        r#"{"e":"depthUpdate","E":1626916404623,"T":1626916404600,"s":"BCHUSD_PERP","ps":"BCHUSD","U":167006088829,"u":167006089315,"pu":167006088786,"b":[["427.90","169"]],"a":[["427.98","36"]]}"#,
    ];
    let decoded = decode("coinm", lines.join("\r\n").as_bytes(), &["--books", "1"]);
    let book = decoded.book("BCHUSD_PERP");
    assert_eq!((&book["bids"], &book["asks"]), (&json!([["427.90", "169"]]), &json!([["427.95", "150"]])));
    // Alone it is a book as well.
    let decoded = decode("coinm", lines[0].as_bytes(), &["--books", "1"]);
    assert_eq!(decoded.book("BCHUSD_PERP")["last_id"], "167006089178");
}

#[test]
fn answers_are_not_given_to_other_books() {
    // Ids of the futures are of one counter, so that they alone would let the answer pass for this book.
    let answer = r#"{"lastUpdateId":1000,"bids":[["61800.20","2.909"]],"asks":[["61800.30","0.7"]]}"#;
    let other = r#"{"e":"depthUpdate","E":1,"T":1,"s":"ETHUSDT","U":990,"u":1010,"pu":980,"b":[["2400.10","1"]],"a":[["2400.20","1"]]}"#;
    let own = r#"{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":995,"u":1005,"pu":985,"b":[["61800.10","1"]],"a":[["61800.30","0.9"]]}"#;
    for lines in [[answer, other, own], [other, answer, own], [own, other, answer], [other, own, answer]] {
        let decoded = decode("usdm", lines.join("\n").as_bytes(), &["--books", "0"]);
        let books = decoded.of_kind("book");
        assert_eq!(books.len(), 1, "{lines:?}: {}", decoded.said);
        assert_eq!(books[0]["venue_symbol"], "BTCUSDT");
    }
    let decoded = decode("usdm", [answer, other].join("\n").as_bytes(), &["--books", "0"]);
    assert_eq!(decoded.of_kind("book").len(), 0);
    assert!(decoded.said.contains("line 1: the book with id 1000 was not used"), "{}", decoded.said);
}

#[test]
fn definitions_in_between_give_canonical_symbols() {
    let info = r#"{"symbols":[{"symbol":"BNBBTC","status":"TRADING","baseAsset":"BNB","quoteAsset":"BTC","filters":[]},{"symbol":"BAD"}]}"#;
    let trade = r#"{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}"#;
    let decoded = decode("spot", [trade, info, &trade.replace("12345", "12346")].join("\n").as_bytes(), &[]);
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
    let decoded = decode("spot", &input, &[]);
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
        let decoded = decode("spot", b"", &[file.to_str().unwrap(), "--books", "1", "--snapshot", &option]);
        assert_eq!((decoded.code, decoded.lines.len()), (Some(0), 5), "{}", decoded.said);
        assert_eq!(decoded.book("NKNUSDT")["last_id"], "499869757");
    }
    assert_eq!(decode("spot", &whole, &["-"]).lines.len(), 3);
    // Cut in the middle: what can be read is decoded, and the end is an error.
    let cut = decode("spot", &whole[..whole.len() - 3], &[]);
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

/// One frame or answer of a capture, and its place.
struct Placed {
    place: (u64, u8),
    received: f64,
    line: Vec<u8>,
}

/// The captures, or nothing on a clone that has none beside it. Where the tests guard the project they must be there.
fn captures() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures");
    let path = PathBuf::from(std::env::var("MARKETPRISM_CAPTURES").unwrap_or_else(|_| beside.to_owned()));
    if path.join("binance").is_dir() {
        return Some(path.join("binance"));
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no captures in {}", path.display());
    eprintln!("no captures in {}: nothing is tested", path.display());
    None
}

fn read_lines(path: &Path) -> Vec<Vec<u8>> {
    let mut bytes = std::fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "zst") {
        bytes = zstd::decode_all(bytes.as_slice()).unwrap();
    }
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn numbers<T: std::str::FromStr>(lines: &[Vec<u8>]) -> Vec<T> {
    lines.iter().filter_map(|line| String::from_utf8_lossy(line).trim().parse().ok()).collect()
}

/// The frames of a capture in the order of the connection.
fn frames(capture: &Path) -> Vec<Placed> {
    let mut placed = vec![];
    for entry in std::fs::read_dir(capture).unwrap() {
        let path = entry.unwrap().path();
        let Some((base, _)) = path.to_str().unwrap().split_once(".raw.jsonl") else { continue };
        let places: Vec<u64> = numbers(&read_lines(Path::new(&format!("{base}.seq"))));
        let times = [format!("{base}.ts"), format!("{base}.ts.zst")];
        let times = times.iter().find(|times| Path::new(times).exists()).unwrap();
        let times: Vec<f64> = numbers(&read_lines(Path::new(times)));
        let lines = read_lines(&path);
        assert_eq!((lines.len(), lines.len()), (places.len(), times.len()), "{base}");
        let rows = lines.into_iter().zip(places).zip(times);
        placed.extend(rows.map(|((line, place), received)| Placed { place: (place, 1), received, line }));
    }
    placed.sort_by_key(|frame| frame.place);
    placed
}

/// The REST books of a capture, by symbol and file, each placed before the first frame that came after it.
fn answers(capture: &Path, frames: &[Placed]) -> Vec<(String, PathBuf, Placed)> {
    let index = read_lines(&capture.join("rest/index.jsonl"));
    let index = index.iter().map(|line| serde_json::from_slice::<Value>(line).unwrap());
    let mut answers = vec![];
    for entry in index {
        let file = entry["file"].as_str().unwrap();
        let Some(symbol) = file.strip_prefix("depth_").and_then(|name| name.strip_suffix(".json")) else {
            continue;
        };
        let received: f64 = entry["recv_ts"].as_str().unwrap().parse().unwrap();
        let later = frames.iter().find(|frame| frame.received > received);
        let place = entry["seq"].as_u64().or(later.map(|frame| frame.place.0)).unwrap_or(u64::MAX);
        let path = capture.join("rest").join(file);
        let body: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let line = body.to_string().into_bytes();
        answers.push((symbol.to_owned(), path, Placed { place: (place, 0), received, line }));
    }
    answers
}

fn joined<'a>(placed: impl Iterator<Item = &'a Placed>) -> Vec<u8> {
    let mut lines: Vec<&Placed> = placed.collect();
    lines.sort_by_key(|placed| placed.place);
    lines.iter().flat_map(|placed| [placed.line.as_slice(), b"\n"].concat()).collect()
}

fn expect_books(decoded: &Decoded, expected: &Value, capture: &Path) {
    assert_eq!(decoded.code, Some(0), "{}: {}", capture.display(), decoded.said);
    let expected = expected.as_object().unwrap();
    assert_eq!(decoded.of_kind("book").len(), expected.len(), "{}: {}", capture.display(), decoded.said);
    for (symbol, book) in expected {
        let found = decoded.book(symbol);
        assert_eq!(found["last_id"], book["lastUpdateId"].to_string(), "{} {symbol}", capture.display());
        assert_eq!(found["bids"], book["bids"], "{} {symbol}", capture.display());
        assert_eq!(found["asks"], book["asks"], "{} {symbol}", capture.display());
    }
}

#[test]
fn captured_frames_end_in_the_expected_books() {
    let Some(captures) = captures() else { return };
    let mut done = 0;
    for market in ["spot", "usdm", "coinm"] {
        for entry in std::fs::read_dir(captures.join(market)).unwrap() {
            let capture = entry.unwrap().path();
            let Ok(expected) = std::fs::read(capture.join("derived/final_books.json")) else { continue };
            let expected: Value = serde_json::from_slice(&expected).unwrap();
            let frames = frames(&capture);
            let deltas = frames
                .iter()
                .filter(|frame| frame.line.windows(13).any(|part| part == b"\"depthUpdate\""))
                .count();
            let answers = answers(&capture, &frames);

            let input = joined(frames.iter().chain(answers.iter().map(|(_, _, answer)| answer)));
            let decoded = decode(market, &input, &["--books", "20"]);
            expect_books(&decoded, &expected, &capture);
            assert_eq!(decoded.of_kind("book_delta").len(), deltas, "{}", capture.display());
            assert_eq!(decoded.of_kind("book_snapshot").len(), answers.len(), "{}", capture.display());
            assert!(decoded.lines.len() >= frames.len(), "{}", capture.display());

            let options = answers.iter().map(|(symbol, path, _)| format!("{symbol}={}", path.display()));
            let options: Vec<String> = options.flat_map(|option| ["--snapshot".to_owned(), option]).collect();
            let mut arguments = vec!["--books", "20"];
            arguments.extend(options.iter().map(String::as_str));
            expect_books(&decode(market, &joined(frames.iter()), &arguments), &expected, &capture);
            done += 1;
        }
    }
    assert!(done >= 13, "{done} captures");
}

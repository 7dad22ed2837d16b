//! Books of Binance, which REST answers start.

use serde_json::json;

use crate::support::decode;

pub(crate) const SPOT_SNAPSHOT: &str = r#"{"lastUpdateId":499869752,"bids":[["0.35210000","672.00000000"],["0.35200000","1144.00000000"],["0.35190000","3260.00000000"],["0.35180000","3052.00000000"]],"asks":[["0.35250000","3959.00000000"],["0.35260000","3199.00000000"],["0.35270000","4201.00000000"],["0.35280000","703.00000000"],["0.35290000","6718.00000000"]]}"#;
pub(crate) const SPOT_DELTAS: [&str; 3] = [
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
        let decoded = decode("binance/spot", lines.join("\n").as_bytes(), &["--books", "0"]);
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
    let whole = decode("binance/usdm", lines[..4].join("\n").as_bytes(), &["--books", "2"]);
    let book = whole.book("AKROUSDT");
    assert_eq!(book["bids"], json!([["0.01731", "57618"], ["0.01730", "183887"]]));
    assert_eq!(book["asks"], json!([["0.01732", "72524"], ["0.01733", "355270"]]));
    assert_eq!(book["last_id"], "600859609902");

    let broken = decode("binance/usdm", lines.join("\n").as_bytes(), &["--books", "2"]);
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
    let decoded = decode("binance/coinm", lines.join("\r\n").as_bytes(), &["--books", "1"]);
    let book = decoded.book("BCHUSD_PERP");
    assert_eq!((&book["bids"], &book["asks"]), (&json!([["427.90", "169"]]), &json!([["427.95", "150"]])));
    // Alone it is a book as well.
    let decoded = decode("binance/coinm", lines[0].as_bytes(), &["--books", "1"]);
    assert_eq!(decoded.book("BCHUSD_PERP")["last_id"], "167006089178");
}

#[test]
fn answers_are_not_given_to_other_books() {
    // Ids of the futures are of one counter, so that they alone would let the answer pass for this book.
    let answer = r#"{"lastUpdateId":1000,"bids":[["61800.20","2.909"]],"asks":[["61800.30","0.7"]]}"#;
    let other = r#"{"e":"depthUpdate","E":1,"T":1,"s":"ETHUSDT","U":990,"u":1010,"pu":980,"b":[["2400.10","1"]],"a":[["2400.20","1"]]}"#;
    let own = r#"{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":995,"u":1005,"pu":985,"b":[["61800.10","1"]],"a":[["61800.30","0.9"]]}"#;
    for lines in [[answer, other, own], [other, answer, own], [own, other, answer], [other, own, answer]] {
        let decoded = decode("binance/usdm", lines.join("\n").as_bytes(), &["--books", "0"]);
        let books = decoded.of_kind("book");
        assert_eq!(books.len(), 1, "{lines:?}: {}", decoded.said);
        assert_eq!(books[0]["venue_symbol"], "BTCUSDT");
    }
    let decoded = decode("binance/usdm", [answer, other].join("\n").as_bytes(), &["--books", "0"]);
    assert_eq!(decoded.of_kind("book").len(), 0);
    assert!(decoded.said.contains("line 1: the book with id 1000 was not used"), "{}", decoded.said);
}

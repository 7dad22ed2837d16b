//! Books that the stream itself brings, on OKX and Deribit.

use serde_json::json;

use crate::support::decode;

const ACKNOWLEDGEMENT: &str =
    r#"{"id":"1","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d3ae55"}"#;

/// A message of OKX's channel `books` with one bid.
fn okx(action: &str, previous: i64, id: i64, bid: [&str; 2]) -> String {
    let arg = json!({"channel": "books", "instId": "BTC-USDT"});
    let data = json!({
        "asks": [["8476.98", "4.15", "0", "13"]],
        "bids": [[bid[0], bid[1], "0", "12"]],
        "ts": "1597026383085", "checksum": 0, "prevSeqId": previous, "seqId": id,
    });
    json!({"arg": arg, "action": action, "data": [data]}).to_string()
}

/// A message of a Deribit book with the levels of its bids.
fn deribit(kind: &str, previous: Option<u64>, id: u64, bids: &str) -> String {
    let previous = previous.map_or(String::new(), |id| format!(r#""prev_change_id":{id},"#));
    format!(
        r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"book.BTC-PERPETUAL.100ms","data":{{"type":"{kind}","timestamp":1626993724318,{previous}"instrument_name":"BTC-PERPETUAL","change_id":{id},"bids":[{bids}],"asks":[]}}}}}}"#
    )
}

#[test]
fn a_snapshot_of_the_stream_starts_the_book() {
    let lines = [
        ACKNOWLEDGEMENT.to_owned(),
        "pong".to_owned(),
        okx("snapshot", -1, 10, ["8476.97", "2"]),
        okx("update", 10, 15, ["8476.97", "0"]),
        // The venue starts its ids anew and says where they go on.
        okx("update", 15, 3, ["8475.5", "1.25"]),
    ];
    let decoded = decode("okx/spot", lines.join("\n").as_bytes(), &["--books", "0"]);
    assert_eq!((decoded.code, decoded.said.as_str()), (Some(0), ""));
    let kinds: Vec<&str> = decoded.lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["book_snapshot", "book_delta", "book_delta", "book"]);
    assert_eq!(decoded.lines[0]["flags"], json!(["snapshot"]));
    assert_eq!(decoded.lines[1]["flags"], json!([]));
    let book = decoded.book("BTC-USDT");
    assert_eq!((&book["last_id"], &book["bids"]), (&"3".into(), &json!([["8475.50", "1.25"]])));
}

#[test]
fn a_book_without_ids_has_the_id_zero() {
    let old = |action: &str, bid: [&str; 2]| {
        let mut frame: serde_json::Value = serde_json::from_str(&okx(action, 0, 0, bid)).unwrap();
        let data = frame["data"][0].as_object_mut().unwrap();
        data.retain(|key, _| !matches!(key.as_str(), "seqId" | "prevSeqId"));
        frame.to_string()
    };
    let lines = [old("snapshot", ["8476.97", "2"]), old("update", ["8476.96", "1"])];
    let decoded = decode("okx/spot", lines.join("\n").as_bytes(), &["--books", "1"]);
    assert_eq!(decoded.book("BTC-USDT")["last_id"], "0", "{}", decoded.said);
    assert!(decoded.lines[0].get("last_id").is_none());
}

#[test]
fn a_missing_message_makes_a_gap_until_the_next_snapshot() {
    let mut lines = vec![
        deribit("snapshot", None, 100, r#"["new",8000.5,10.0]"#),
        deribit("change", Some(100), 110, r#"["change",8000.5,20.0]"#),
        deribit("change", Some(120), 130, r#"["delete",8000.5,0.0]"#),
    ];
    let broken = decode("deribit/perpetual", lines.join("\n").as_bytes(), &["--books", "0"]);
    assert_eq!(broken.code, Some(0));
    assert_eq!(broken.of_kind("book").len(), 0);
    let gap = broken.of_kind("gap")[0];
    assert_eq!((&gap["from_id"], &gap["to_id"]), (&"111".into(), &"120".into()));
    assert_eq!(broken.of_kind("book_delta")[1]["flags"], json!(["book_invalid"]));
    assert!(broken.said.contains("1 book not valid at the end"), "{}", broken.said);

    lines.push(deribit("snapshot", None, 140, r#"["new",7999.0,5.0]"#));
    let mended = decode("deribit/perpetual", lines.join("\n").as_bytes(), &["--books", "0"]);
    let book = mended.book("BTC-PERPETUAL");
    assert_eq!((&book["last_id"], &book["bids"]), (&"140".into(), &json!([["7999.0", "5.0"]])));
}

#[test]
fn best_levels_and_rest_answers_start_no_book() {
    let top = r#"{"arg":{"channel":"books5","instId":"BTC-USDT"},"data":[{"asks":[["111.06","55154","0","2"]],"bids":[["111.05","57745","0","2"]],"instId":"BTC-USDT","ts":"1670324386802","seqId":363996337}]}"#;
    let answer = r#"{"code":"0","msg":"","data":[{"asks":[["111.06","55154","0","2"]],"bids":[["111.05","57745","0","2"]],"ts":"1670324386802","seqId":363996337}]}"#;
    let update = okx("update", 363_996_337, 363_996_338, ["111.04", "1"]);
    let decoded = decode("okx/spot", [top, answer, &update].join("\n").as_bytes(), &["--books", "0"]);
    let kinds: Vec<&str> = decoded.lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["book_snapshot", "error", "book_delta"]);
    assert_eq!(decoded.lines[2]["flags"], json!(["book_invalid"]));

    let refused = decode("okx/spot", b"", &["--snapshot", "BTC-USDT=books.json"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.said.contains("the stream of okx itself brings the book"), "{}", refused.said);
}

#[test]
fn control_frames_give_nothing() {
    for (market, lines) in [
        (
            "deribit/option",
            &[
                r#"{"jsonrpc":"2.0","id":1,"result":"ok","usIn":1,"usOut":2,"usDiff":1,"testnet":false}"#,
                r#"{"jsonrpc":"2.0","id":2,"result":["trades.BTC-PERPETUAL.100ms"],"testnet":false}"#,
                r#"{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}"#,
                r#"{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}"#,
            ][..],
        ),
        (
            "okx/swap",
            &[
                ACKNOWLEDGEMENT,
                "pong",
                r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed.","connId":"a4d3ae55"}"#,
                r#"{"event":"channel-conn-count","channel":"books","connCount":"1","connId":"a4d3ae55"}"#,
            ],
        ),
    ] {
        let decoded = decode(market, lines.join("\n").as_bytes(), &["--books", "0"]);
        assert_eq!((decoded.code, decoded.lines.len(), decoded.said.as_str()), (Some(0), 0, ""), "{market}");
    }
}

#[test]
fn streams_of_a_whole_market_name_instruments_that_are_not_known_yet() {
    let orders = r#"{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0","bkPx":"0.007831","ccy":"","posSide":"short","side":"buy","sz":"13","ts":"1692266434010"}],"instFamily":"IOST-USDT","instId":"IOST-USDT-SWAP","instType":"SWAP","uly":"IOST-USDT"},{"details":[{"bkLoss":"0","bkPx":"2","ccy":"","posSide":"long","side":"sell","sz":"5","ts":"1692266434011"}],"instFamily":"XRP-USDT","instId":"XRP-USDT-SWAP","instType":"SWAP","uly":"XRP-USDT"}]}"#;
    let decoded = decode("okx/swap", [orders, orders].join("\n").as_bytes(), &[]);
    let symbols: Vec<&str> =
        decoded.of_kind("liquidation").iter().map(|order| order["venue_symbol"].as_str().unwrap()).collect();
    assert_eq!(symbols, ["IOST-USDT-SWAP", "XRP-USDT-SWAP", "IOST-USDT-SWAP", "XRP-USDT-SWAP"]);
}

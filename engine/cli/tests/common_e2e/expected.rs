//! An independent reading of the venue's frames: what must be stored of each, field by field, as text.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

/// Records of one stream: market, venue symbol, kind.
pub type Key = (String, String, String);

/// Rows by stream, in order.
pub type Streams = BTreeMap<Key, Vec<Value>>;

/// The frames of a capture folder: stream name and payload; in order within each stream.
pub fn captured(folder: &Path) -> Vec<(String, Value)> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut frames = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let Some((channel, _)) = name.split_once(".raw.jsonl") else { continue };
        for line in super::read_text(&file).lines() {
            let frame: Value = serde_json::from_str(line).unwrap();
            let wrapped = frame.get("stream").and_then(Value::as_str).map(str::to_owned);
            frames.push(match wrapped {
                Some(stream) => (stream, frame["data"].clone()),
                None => {
                    let symbol = symbol_of(&frame).to_lowercase();
                    (format!("{symbol}@{}", channel.replace('_', "@")), frame)
                }
            });
        }
    }
    frames
}

/// What a simulator wrote down as sent: market, stream and payload, in the order of sending.
pub fn sent(file: &Path) -> Vec<(String, String, Value)> {
    super::read_text(file).lines().map(sent_line).collect()
}

/// One line of that file.
pub fn sent_line(line: &str) -> (String, String, Value) {
    let mut parts = line.splitn(3, '\t').skip(1);
    let market = parts.next().unwrap().to_owned();
    let frame: Value = serde_json::from_str(parts.next().unwrap()).unwrap();
    (market, frame["stream"].as_str().unwrap().to_owned(), frame["data"].clone())
}

fn symbol_of(data: &Value) -> &str {
    data["s"].as_str().or(data["o"]["s"].as_str()).unwrap_or_else(|| panic!("no symbol: {data}"))
}

/// Adds what must be stored of one payload.
pub fn add(streams: &mut Streams, market: &str, data: &Value) {
    for (key, row) in keyed(market, data) {
        streams.entry(key).or_default().push(row);
    }
}

/// What must be stored of one payload, each row with its stream.
pub fn keyed(market: &str, data: &Value) -> Vec<(Key, Value)> {
    let keyed = |row: Value| {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        ((market.to_owned(), text("venue_symbol"), text("kind")), row)
    };
    rows(market, data).into_iter().map(keyed).collect()
}

/// Whether a stored row is what must be stored.
pub fn equal(stored: &Value, sent: &Value) -> bool {
    comparable(stored) == comparable(sent)
}

/// Milliseconds of the venue as nanoseconds.
pub fn time(value: &Value) -> Value {
    value.as_i64().map_or(Value::Null, |milliseconds| json!(milliseconds * 1_000_000))
}

/// An id as text.
pub fn id(value: &Value) -> Value {
    if value.is_null() { Value::Null } else { json!(value.to_string()) }
}

/// The aggressor: the buyer was the maker where the seller took.
fn side(data: &Value) -> &'static str {
    if data["m"].as_bool().unwrap() { "sell" } else { "buy" }
}

/// Levels as sent; a removed one reads `0`.
pub fn levels(side: &Value) -> Value {
    let level = |level: &Value| {
        let removed = level[1].as_str().unwrap().bytes().all(|byte| matches!(byte, b'0' | b'.'));
        json!([level[0], if removed { json!("0") } else { level[1].clone() }])
    };
    side.as_array().unwrap().iter().map(level).collect()
}

/// An empty text is a number that was not sent.
pub fn given(value: &Value) -> Value {
    if value.as_str().is_none_or(str::is_empty) { Value::Null } else { value.clone() }
}

fn rows(market: &str, data: &Value) -> Vec<Value> {
    let event = data["e"].as_str().unwrap_or("bookTicker");
    let engine =
        |fields: Value| row(market, data, if data["T"].is_null() { &data["E"] } else { &data["T"] }, fields);
    let event_ns = time(&data["E"]);
    match event {
        "trade" => {
            let kind = match data["X"].as_str() {
                None | Some("MARKET") => Value::Null,
                Some("INSURANCE_FUND") => json!("insurance_fund"),
                Some("ADL") => json!("auto_deleverage"),
                Some(_) => json!("other"),
            };
            vec![engine(json!({
                "kind": "trade", "price": data["p"], "quantity": data["q"], "side": side(data),
                "trade_id": id(&data["t"]), "event_ns": event_ns, "trade_type": kind,
            }))]
        }
        "aggTrade" => vec![engine(json!({
            "kind": "agg_trade", "price": data["p"], "quantity": data["q"], "side": side(data),
            "normal_quantity": given(&data["nq"]), "trade_id": id(&data["a"]),
            "first_trade_id": id(&data["f"]), "last_trade_id": id(&data["l"]), "event_ns": event_ns,
        }))],
        "depthUpdate" => vec![engine(json!({
            "kind": "book_delta", "bids": levels(&data["b"]), "asks": levels(&data["a"]),
            "first_id": id(&data["U"]), "last_id": id(&data["u"]), "previous_id": id(&data["pu"]),
            "event_ns": event_ns,
        }))],
        "bookTicker" => vec![engine(json!({
            "kind": "quote", "bid_price": data["b"], "bid_quantity": data["B"],
            "ask_price": data["a"], "ask_quantity": data["A"], "update_id": id(&data["u"]),
        }))],
        "markPriceUpdate" => mark_price(market, data),
        "kline" => vec![row(market, data, &data["E"], candle(&data["k"]))],
        "24hrTicker" => vec![row(market, data, &data["E"], ticker(data))],
        "forceOrder" => vec![row(market, data, &data["o"]["T"], liquidation(data))],
        other => panic!("{other} is not known to the test: {data}"),
    }
}

fn mark_price(market: &str, data: &Value) -> Vec<Value> {
    let mark = json!({
        "kind": "mark_price", "mark_price": data["p"], "index_price": given(&data["i"]),
        "settlement_price": given(&data["P"]), "average_price": given(&data["ap"]),
    });
    let mut rows = vec![row(market, data, &data["E"], mark)];
    if !given(&data["r"]).is_null() {
        let next = if data["T"] == 0 { Value::Null } else { time(&data["T"]) };
        let funding = json!({ "kind": "funding_rate", "rate": data["r"], "next_funding_ns": next });
        rows.push(row(market, data, &data["E"], funding));
    }
    rows
}

fn candle(bar: &Value) -> Value {
    json!({
        "kind": "candle", "interval": bar["i"], "open_ns": time(&bar["t"]), "close_ns": time(&bar["T"]),
        "open": bar["o"], "high": bar["h"], "low": bar["l"], "close": bar["c"], "volume": bar["v"],
        "quote_volume": bar["q"], "trades": bar["n"], "taker_buy_volume": bar["V"],
        "taker_buy_quote_volume": bar["Q"], "closed": bar["x"],
    })
}

fn ticker(data: &Value) -> Value {
    json!({
        "kind": "ticker", "last": data["c"], "open": data["o"], "high": data["h"], "low": data["l"],
        "volume": data["v"], "quote_volume": data["q"], "weighted_average": data["w"],
        "last_quantity": data["Q"], "bid_price": data["b"], "bid_quantity": data["B"],
        "ask_price": data["a"], "ask_quantity": data["A"], "open_ns": time(&data["O"]),
        "close_ns": time(&data["C"]), "first_trade_id": id(&data["F"]), "last_trade_id": id(&data["L"]),
        "trades": data["n"],
    })
}

fn liquidation(data: &Value) -> Value {
    let order = &data["o"];
    json!({
        "kind": "liquidation", "side": order["S"].as_str().unwrap().to_lowercase(), "price": order["p"],
        "quantity": order["q"], "average_price": order["ap"], "filled_quantity": order["z"],
        "last_quantity": order["l"], "status": order["X"], "event_ns": time(&data["E"]),
    })
}

/// The fields of every record around those of its kind; what is unknown is absent.
fn row(market: &str, data: &Value, exchange: &Value, fields: Value) -> Value {
    let Value::Object(mut row) = fields else { unreachable!() };
    row.insert("venue".into(), json!("binance"));
    row.insert("market".into(), json!(market));
    row.insert("venue_symbol".into(), json!(symbol_of(data)));
    row.insert("exchange_ns".into(), time(exchange));
    row.retain(|_, value| !value.is_null());
    Value::Object(row)
}

/// Kinds that come from streams.
const STREAMED: [&str; 9] = [
    "trade",
    "agg_trade",
    "book_delta",
    "quote",
    "ticker",
    "mark_price",
    "funding_rate",
    "candle",
    "liquidation",
];

/// The streamed records of a log by stream, without what the recorder adds.
pub fn streamed(rows: &[Value]) -> Streams {
    let mut streams = Streams::new();
    for row in rows.iter().filter(|row| STREAMED.iter().any(|kind| row["kind"] == *kind)) {
        if super::has_flag(row, "rest") || super::has_flag(row, "derived") {
            continue;
        }
        assert!(row["receive_ns"].as_i64().unwrap() > 1_600_000_000_000_000_000, "receive time: {row}");
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        let mut plain: Map<String, Value> = row.as_object().unwrap().clone();
        for added in ["receive_ns", "sequence", "flags", "symbol"] {
            assert!(plain.remove(added).is_some(), "{added} is missing: {row}");
        }
        let key = (text("market"), text("venue_symbol"), text("kind"));
        streams.entry(key).or_default().push(Value::Object(plain));
    }
    streams
}

/// Demands that what is stored is what was sent: in number, order and every digit.
pub fn assert_same(sent: &Streams, stored: &Streams) {
    let names = |streams: &Streams| streams.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(sent), names(stored), "the streams themselves");
    for (key, sent) in sent {
        let stored = &stored[key];
        for (index, (sent, stored)) in sent.iter().zip(stored).enumerate() {
            assert_eq!(comparable(sent), comparable(stored), "{key:?} record {index}");
        }
        assert_eq!(sent.len(), stored.len(), "{key:?}");
    }
}

/// A ticker's prices are stored with the decimals of the longest of them; its numbers are compared by value,
/// all others by text.
fn comparable(row: &Value) -> Value {
    let mut row = row.clone();
    if row["kind"] == "ticker"
        && let Some(fields) = row.as_object_mut()
    {
        for value in fields.values_mut() {
            let number = value.as_str().filter(|text| text.contains('.'));
            if let Some(short) =
                number.map(|text| text.trim_end_matches('0').trim_end_matches('.').to_owned())
            {
                *value = json!(short);
            }
        }
    }
    row
}

/// Records by market and kind.
pub fn counts(streams: &Streams) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for ((market, _, kind), rows) in streams {
        *counts.entry((market.clone(), kind.clone())).or_default() += rows.len();
    }
    counts
}

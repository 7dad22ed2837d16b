//! An independent reading of the frames of OKX and Deribit: what must be stored of each, field by field, as text.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::expected::{Streams, given, id, levels, time};

/// What must be stored of a frame of data; nothing of other frames.
pub fn rows(venue: &str, market: &str, frame: &str) -> Vec<Value> {
    match venue {
        "okx" => okx(market, frame),
        "deribit" => deribit(market, frame),
        other => panic!("{other} is not known to the test"),
    }
}

/// The fields of every record around those of its kind; what is unknown is absent.
fn row(venue: &str, market: &str, symbol: &Value, exchange_ns: Value, fields: Value) -> Value {
    let Value::Object(mut row) = fields else { unreachable!() };
    row.insert("venue".into(), json!(venue));
    row.insert("market".into(), json!(market));
    row.insert("venue_symbol".into(), symbol.clone());
    row.insert("exchange_ns".into(), exchange_ns);
    row.retain(|_, value| !value.is_null());
    Value::Object(row)
}

fn okx(market: &str, frame: &str) -> Vec<Value> {
    let frame: Value = serde_json::from_str(frame).unwrap();
    let Some(entries) = frame["data"].as_array() else { return vec![] };
    let argument = &frame["arg"];
    let channel = argument["channel"].as_str().unwrap();
    let read = |data: &Value| {
        let fields = match channel {
            "trades" => okx_trade(data),
            "tickers" => okx_ticker(market, data),
            "books" | "books-l2-tbt" => okx_book(frame["action"].as_str().unwrap(), data),
            "instruments" => return None,
            other => panic!("{other} is not known to the test: {data}"),
        };
        let exchange_ns = time(&json!(data["ts"].as_str().unwrap().parse::<i64>().unwrap()));
        Some(row("okx", market, &argument["instId"], exchange_ns, fields))
    };
    entries.iter().filter_map(read).collect()
}

fn okx_trade(data: &Value) -> Value {
    let fills = data["count"].as_str().map(|count| count.parse::<u64>().unwrap());
    let last = data["tradeId"].as_str().unwrap();
    let first = fills.map(|fills| (last.parse::<u64>().unwrap() + 1 - fills).to_string());
    json!({
        "kind": "trade", "price": data["px"], "quantity": data["sz"], "side": data["side"], "trade_id": last,
        "first_trade_id": first, "last_trade_id": first.as_ref().map(|_| last),
    })
}

fn okx_ticker(market: &str, data: &Value) -> Value {
    // The second volume is in quote coins on spot, in base coins elsewhere.
    let volume = if market == "spot" { "quote_volume" } else { "base_volume" };
    json!({
        "kind": "ticker", "last": given(&data["last"]), "open": given(&data["open24h"]),
        "high": given(&data["high24h"]), "low": given(&data["low24h"]), "volume": given(&data["vol24h"]),
        volume: given(&data["volCcy24h"]), "last_quantity": given(&data["lastSz"]),
        "bid_price": given(&data["bidPx"]), "bid_quantity": given(&data["bidSz"]),
        "ask_price": given(&data["askPx"]), "ask_quantity": given(&data["askSz"]),
    })
}

fn okx_book(action: &str, data: &Value) -> Value {
    // 0 says that there is no checksum.
    let checksum = data["checksum"].as_i64().filter(|checksum| *checksum != 0);
    json!({
        "kind": if action == "snapshot" { "book_snapshot" } else { "book_delta" },
        "bids": levels(&data["bids"]), "asks": levels(&data["asks"]), "checksum": checksum,
        "last_id": id(&data["seqId"]), "previous_id": id(&data["prevSeqId"]),
    })
}

fn deribit(market: &str, frame: &str) -> Vec<Value> {
    let frame = texts(serde_json::from_str(frame).unwrap());
    let (channel, data) = (&frame["params"]["channel"], &frame["params"]["data"]);
    let Some(channel) = channel.as_str() else { return vec![] };
    let fields = match channel.split('.').next().unwrap() {
        "book" => vec![deribit_book(data)],
        "ticker" => deribit_ticker(data),
        "instrument" => vec![],
        other => panic!("{other} is not known to the test: {data}"),
    };
    let exchange_ns = data["timestamp"].as_str().map(|text| json!(text.parse::<i64>().unwrap() * 1_000_000));
    let exchange_ns = exchange_ns.unwrap_or_default();
    let row = |fields| row("deribit", market, &data["instrument_name"], exchange_ns.clone(), fields);
    fields.into_iter().map(row).collect()
}

/// JSON in which each number is the text that was sent.
fn texts(raw: &RawValue) -> Value {
    let text = raw.get();
    match text.as_bytes()[0] {
        b'{' => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
            members.into_iter().map(|(key, value)| (key, texts(value))).collect()
        }
        b'[' => {
            let elements: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            elements.into_iter().map(texts).collect()
        }
        b'-' | b'0'..=b'9' => json!(without_exponent(text)),
        _ => serde_json::from_str(text).unwrap(),
    }
}

/// `1.742e-05` as `0.00001742`.
fn without_exponent(number: &str) -> String {
    let Some((mantissa, exponent)) = number.split_once("e-") else { return number.to_owned() };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |mantissa| ("-", mantissa));
    let digits = mantissa.replace('.', "");
    let zeros = "0".repeat(exponent.parse::<usize>().unwrap() - 1);
    assert!(mantissa.len() == 1 || mantissa.as_bytes()[1] == b'.', "{number}");
    format!("{sign}0.{zeros}{digits}")
}

fn deribit_book(data: &Value) -> Value {
    let side = |key: &str| {
        let level = |level: &Value| {
            let amount = if level[0] == "delete" { json!("0") } else { level[2].clone() };
            json!([level[1], amount])
        };
        levels(&data[key].as_array().unwrap().iter().map(level).collect())
    };
    // A book that nobody ever wrote to has the id 0, which is none.
    let last_id = data["change_id"].as_str().filter(|id| *id != "0");
    json!({
        "kind": if data["type"] == "snapshot" { "book_snapshot" } else { "book_delta" },
        "bids": side("bids"), "asks": side("asks"),
        "last_id": last_id, "previous_id": data["prev_change_id"],
    })
}

/// The records of an option's ticker.
fn deribit_ticker(data: &Value) -> Vec<Value> {
    let side = |name: &str| {
        let (price, amount) = (&data[format!("best_{name}_price")], &data[format!("best_{name}_amount")]);
        // The venue writes zeros for an empty side.
        if is_zero(amount) { (&Value::Null, &Value::Null) } else { (price, amount) }
    };
    let (bid, ask, statistics, greeks) = (side("bid"), side("ask"), &data["stats"], &data["greeks"]);
    vec![
        json!({
            "kind": "ticker", "last": data["last_price"], "high": statistics["high"],
            "low": statistics["low"], "volume": statistics["volume"], "quote_volume": statistics["volume_usd"],
            "bid_price": bid.0, "bid_quantity": bid.1, "ask_price": ask.0, "ask_quantity": ask.1,
        }),
        json!({
            "kind": "mark_price", "mark_price": data["mark_price"], "index_price": data["index_price"],
            "settlement_price": data["estimated_delivery_price"],
        }),
        json!({ "kind": "open_interest", "open_interest": data["open_interest"] }),
        json!({
            "kind": "greeks", "delta": greeks["delta"], "gamma": greeks["gamma"], "vega": greeks["vega"],
            "theta": greeks["theta"], "rho": greeks["rho"], "mark_iv": data["mark_iv"],
            "bid_iv": data["bid_iv"], "ask_iv": data["ask_iv"],
            "underlying_price": data["underlying_price"], "interest_rate": data["interest_rate"],
        }),
    ]
}

fn is_zero(number: &Value) -> bool {
    number.as_str().is_none_or(|text| text.bytes().all(|byte| matches!(byte, b'0' | b'.')))
}

/// Kinds of the records that these frames become.
const KINDS: [&str; 7] =
    ["trade", "ticker", "book_snapshot", "book_delta", "mark_price", "open_interest", "greeks"];

/// Adds a row to its stream; all messages of a book are one.
pub fn add(streams: &mut Streams, row: Value) {
    let text = |key: &str| row[key].as_str().unwrap_or_else(|| panic!("no {key}: {row}")).to_owned();
    let kind = text("kind");
    let kind = if kind.starts_with("book_") { "book".to_owned() } else { kind };
    streams.entry((text("market"), text("venue_symbol"), kind)).or_default().push(row);
}

/// The venue's own messages in a log by stream, without what the recorder adds.
pub fn streamed(rows: &[Value]) -> Streams {
    let mut streams = Streams::new();
    for row in rows.iter().filter(|row| KINDS.iter().any(|kind| row["kind"] == *kind)) {
        if super::has_flag(row, "rest") || super::has_flag(row, "derived") {
            continue;
        }
        assert!(row["receive_ns"].as_i64().unwrap() > 1_600_000_000_000_000_000, "receive time: {row}");
        let mut plain = row.as_object().unwrap().clone();
        for added in ["receive_ns", "sequence", "flags", "symbol"] {
            assert!(plain.remove(added).is_some(), "{added} is missing: {row}");
        }
        add(&mut streams, Value::Object(plain));
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

/// Numbers of a record share their decimals, so that a zero at the end is no digit of the venue's.
fn comparable(value: &Value) -> Value {
    match value {
        Value::String(text) if text.contains('.') && text.bytes().all(is_of_number) => {
            json!(text.trim_end_matches('0').trim_end_matches('.'))
        }
        Value::Array(elements) => elements.iter().map(comparable).collect(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), comparable(value))).collect()
        }
        other => other.clone(),
    }
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
}

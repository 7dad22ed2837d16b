//! What the tests share: captured frames where they are, the project's own frames always.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::RecordBuffer;
use marketprism_core::venue::{DecodeError, Outcome};
use marketprism_core::{Decimal, Kind};
use marketprism_deribit::FrameDecoder;
use serde_json::value::RawValue;

pub const RECEIVE_NS: i64 = 1_700_000_000_123_456_789;

/// Data of channels, written after the venue's protocol: market, number of records, channel, data. All of a form that
/// the predicted path knows.
pub const PREDICTED: &[(&str, usize, &str, &str)] = &[
    (
        "option",
        1,
        "book.BTC-24SEP21-8000-P.100ms",
        r#"{"type":"snapshot","timestamp":1626993722319,"instrument_name":"BTC-24SEP21-8000-P","change_id":33195894164,"bids":[["new",0.0005,153.1]],"asks":[["new",0.0015,94.7],["new",0.002,22.0],["new",0.0025,1.0]]}"#,
    ),
    (
        "option",
        1,
        "book.BTC-24SEP21-8000-P.100ms",
        r#"{"type":"change","timestamp":1626993724318,"prev_change_id":33195894164,"instrument_name":"BTC-24SEP21-8000-P","change_id":33195894355,"bids":[],"asks":[["new",0.001,2.6]]}"#,
    ),
    (
        "option",
        1,
        "book.BTC-24SEP21-8000-P.100ms",
        r#"{"type":"change","timestamp":1626993724337,"prev_change_id":33195894355,"instrument_name":"BTC-24SEP21-8000-P","change_id":33195894358,"bids":[["change",0.0005,2e2]],"asks":[["delete",0.001,0.0]]}"#,
    ),
    (
        "option",
        1,
        "book.ETH-27AUG21-4000-P.100ms",
        r#"{"type":"snapshot","timestamp":1626993723632,"instrument_name":"ETH-27AUG21-4000-P","change_id":13167318455,"bids":[],"asks":[]}"#,
    ),
    (
        "perpetual",
        1,
        "book.BTC-PERPETUAL.none.20.100ms",
        r#"{"timestamp":1769246173071,"instrument_name":"BTC-PERPETUAL","change_id":136725664747,"bids":[[89532.5,254900.0],[89532.0,10.0]],"asks":[[89533.0,91570.0]]}"#,
    ),
    (
        "perpetual",
        1,
        "trades.BTC-PERPETUAL.100ms",
        r#"[{"timestamp":1765531356452,"price":92294.5,"amount":10.0,"direction":"sell","index_price":92276.75,"instrument_name":"BTC-PERPETUAL","trade_seq":271252854,"mark_price":92287.11,"tick_direction":2,"contracts":1.0,"combo_trade_id":"43","trade_id":"403691824"}]"#,
    ),
    (
        "perpetual",
        3,
        "trades.BTC-PERPETUAL.100ms",
        r#"[{"trade_seq":92836831,"trade_id":"137487241","timestamp":1616321478553,"tick_direction":1,"price":56168.0,"mark_price":56172.08,"instrument_name":"BTC-PERPETUAL","index_price":56173.74,"direction":"buy","amount":5580.0,"contracts":558.0},{"trade_seq":92836832,"trade_id":"137487242","timestamp":1616321478553,"tick_direction":1,"price":56168.0,"mark_price":56172.08,"instrument_name":"BTC-PERPETUAL","index_price":56173.74,"direction":"buy","amount":60.0,"contracts":6.0,"liquidation":"T"}]"#,
    ),
    (
        "option",
        1,
        "trades.option.any.100ms",
        r#"[{"trade_seq":1706,"trade_id":"137488100","timestamp":1616321732986,"tick_direction":0,"price":0.007,"mark_price":0.00670817,"iv":78.44,"instrument_name":"BTC-26MAR21-62000-C","index_price":56151.63,"direction":"buy","block_trade_id":"66","amount":0.1,"contracts":0.1}]"#,
    ),
    (
        "perpetual",
        1,
        "quote.BTC-PERPETUAL",
        r#"{"timestamp":1765541767174,"instrument_name":"BTC-PERPETUAL","best_ask_price":92288.5,"best_bid_price":92288.0,"best_ask_amount":99470.0,"best_bid_amount":133440.0}"#,
    ),
    (
        "perpetual",
        4,
        "ticker.BTC-PERPETUAL.100ms",
        r#"{"timestamp":1765541474086,"state":"open","stats":{"high":93612.0,"low":89277.5,"price_change":2.3275,"volume":11897.27640428,"volume_usd":1092371540.0,"volume_notional":1092371540.0},"index_price":92263.55,"instrument_name":"BTC-PERPETUAL","last_price":92283.5,"settlement_price":92464.66,"min_price":90897.5,"max_price":93666.5,"open_interest":1132329370.0,"mark_price":92281.78,"interest_value":0.0028213400122472977,"best_ask_price":92284.0,"best_bid_price":92283.5,"estimated_delivery_price":92263.55,"best_ask_amount":186520.0,"best_bid_amount":117660.0,"current_funding":0.0,"funding_8h":1.742e-05}"#,
    ),
    (
        "option",
        4,
        "ticker.BTC-30SEP22-60000-C.100ms",
        r#"{"underlying_price":30220.5,"underlying_index":"BTC-30SEP22","timestamp":1654161839367,"stats":{"volume":16.7,"price_change":-18.1818,"low":0.009,"high":0.011},"state":"open","settlement_price":0.01,"open_interest":1767.5,"min_price":0.0001,"max_price":0.038,"mark_price":0.0084,"mark_iv":67.7,"last_price":0.009,"interest_rate":0.0,"instrument_name":"BTC-30SEP22-60000-C","index_price":29939.43,"greeks":{"vega":20.05335,"theta":-5.65962,"rho":4.91491,"gamma":0.00001,"delta":0.05785},"estimated_delivery_price":29939.43,"bid_iv":67.16,"best_bid_price":0.008,"best_bid_amount":2.8,"best_ask_price":0.009,"best_ask_amount":18.5,"ask_iv":68.65}"#,
    ),
    (
        "option",
        4,
        "ticker.ETH-27AUG21-4000-P.100ms",
        r#"{"underlying_price":1999.98,"underlying_index":"ETH-27AUG21","timestamp":1626993723632,"stats":{"volume":null,"price_change":null,"low":null,"high":null},"state":"open","settlement_price":1.02,"open_interest":8,"min_price":0.9425,"max_price":1.09,"mark_price":1.005718,"mark_iv":117.2,"last_price":null,"interest_rate":0.0,"instrument_name":"ETH-27AUG21-4000-P","index_price":2006.72,"greeks":{"vega":0.56891,"theta":-0.94207,"rho":-3.80566,"gamma":0.00013,"delta":-0.95701},"estimated_delivery_price":2006.72,"bid_iv":0.0,"best_bid_price":0.0,"best_bid_amount":0.0,"best_ask_price":null,"best_ask_amount":null,"ask_iv":0.0}"#,
    ),
    (
        "future",
        3,
        "ticker.BTC_USDC-27MAR26.agg2",
        r#"{"timestamp":1765541474086,"state":"open","stats":{"high":93612.0,"low":89277.5,"price_change":2.3275,"volume":12.5,"volume_usd":1150000.0},"index_price":92263.55,"instrument_name":"BTC_USDC-27MAR26","last_price":92283.5,"open_interest":1.5,"mark_price":92281.78,"best_ask_price":92284.0,"best_bid_price":92283.5,"estimated_delivery_price":92263.55,"best_ask_amount":0.2,"best_bid_amount":1.25}"#,
    ),
    (
        "perpetual",
        1,
        "deribit_price_index.btc_usd",
        r#"{"index_name":"btc_usd","price":3937.89,"timestamp":1550588002899}"#,
    ),
    (
        "perpetual",
        1,
        "deribit_volatility_index.btc_usd",
        r#"{"volatility":129.36,"timestamp":1619777946007,"index_name":"btc_usd"}"#,
    ),
    (
        "perpetual",
        1,
        "chart.trades.BTC-PERPETUAL.1",
        r#"{"tick":1767200040000,"open":87490.0,"high":87500.0,"low":87465.0,"close":87474.0,"volume":0.95978896,"cost":83970.0}"#,
    ),
];

/// Notifications that only the general path reads: market, number of records, frame.
pub const GENERAL: &[(&str, usize, &str)] = &[
    (
        "combo",
        1,
        r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-CS-19MAY26-70000_75000.100ms","data":[{"timestamp":1779118041756,"price":0.0639,"amount":0.1,"direction":"sell","index_price":76185.14,"instrument_name":"BTC-CS-19MAY26-70000_75000","trade_seq":1,"mark_price":0.06380915,"tick_direction":1,"legs":[{"timestamp":1779118041757,"iv":41.01,"price":0.0174,"amount":0.1,"direction":"buy","index_price":76185.14,"instrument_name":"BTC-19MAY26-75000-C","trade_seq":8,"mark_price":0.01733488,"tick_direction":2,"combo_id":"BTC-CS-19MAY26-70000_75000","contracts":0.1,"trade_id":"244365195","combo_trade_id":"244365193"}],"contracts":0.1,"trade_id":"244365193"}]}}"#,
    ),
    (
        "perpetual",
        1,
        r#"{"params":{"data":{"timestamp":1765541767174,"instrument_name":"BTC-PERPETUAL","best_ask_price":92288.5,"best_bid_price":92288.0,"best_ask_amount":99470.0,"best_bid_amount":133440.0},"channel":"quote.BTC-PERPETUAL"},"method":"subscription","jsonrpc":"2.0"}"#,
    ),
    (
        "perpetual",
        1,
        r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.raw","data":{"timestamp":1765531356452,"price":92294.5,"amount":10.0,"direction":"sell","trade_seq":271252854,"trade_id":403691824}}}"#,
    ),
    (
        "option",
        1,
        r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-24SEP21-8000-P.raw","data":{"timestamp":1626993722319,"prev_change_id":null,"instrument_name":"BTC-24SEP21-8000-P","change_id":1,"asks":[["new",0.0015,94.7]],"bids":[["new",0.0005,153.1]]}}}"#,
    ),
    (
        "option",
        1,
        r#" {"jsonrpc" : "2.0","method":"subscription","params":{"channel":"book.BTC-24SEP21-8000-P.raw","data":{"new":[{}],"timestamp":1626993722319,"prev_change_id":1,"change_id":2,"bids":[["new",0.0005,153.1]] , "asks":[]}}}"#,
    ),
    (
        "perpetual",
        0,
        r#"{"jsonrpc":"2.0","method":"subscription","params":{"channel":"trades.BTC-PERPETUAL.100ms","data":[]}}"#,
    ),
];

/// Every symbol of the frames above.
pub const SYMBOLS: &[&str] = &[
    "BTC-PERPETUAL",
    "BTC-24SEP21-8000-P",
    "ETH-27AUG21-4000-P",
    "BTC-26MAR21-62000-C",
    "BTC-30SEP22-60000-C",
    "BTC_USDC-27MAR26",
    "BTC-CS-19MAY26-70000_75000",
    "btc_usd",
];

/// A notification as the venue wraps it.
pub fn notification(channel: &str, data: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}"#)
}

/// The frames of [`PREDICTED`]: market, number of records, frame.
pub fn predicted_frames() -> Vec<(&'static str, usize, String)> {
    PREDICTED
        .iter()
        .map(|(market, count, channel, data)| (*market, *count, notification(channel, data)))
        .collect()
}

pub fn table(symbols: &[&str]) -> SymbolTable {
    let mut table = SymbolTable::default();
    for (index, symbol) in symbols.iter().enumerate() {
        table.insert(symbol.as_bytes(), index as u32 + 1);
    }
    table
}

pub fn own_decoder(market: &str) -> FrameDecoder {
    FrameDecoder::new(market, table(SYMBOLS))
}

pub type General = Result<(Outcome, Option<Kind>), DecodeError>;

/// What both paths make of a frame: the kind and lines of the predicted one, the answer and lines of the other.
pub fn both(decoder: &mut FrameDecoder, frame: &[u8]) -> (Option<Kind>, RecordBuffer, General, RecordBuffer) {
    let (mut fast, mut slow) = (RecordBuffer::default(), RecordBuffer::default());
    let predicted = decoder.predicted(frame, RECEIVE_NS, &mut fast);
    let general = decoder.general(frame, RECEIVE_NS, &mut slow);
    (predicted, fast, general, slow)
}

/// What must hold for any bytes: a frame that the predicted path accepts, the general one accepts with the same
/// records; a path that refuses appends nothing.
pub fn check_agreement(decoder: &mut FrameDecoder, frame: &[u8]) {
    let (predicted, fast, general, slow) = both(decoder, frame);
    let shown = || String::from_utf8_lossy(frame).chars().take(2000).collect::<String>();
    match (&predicted, &general) {
        (Some(kind), Ok((Outcome::Data, slow_kind))) => {
            assert_eq!(fast.lines(), slow.lines(), "{}", shown());
            assert_eq!(Some(*kind), *slow_kind, "{}", shown());
        }
        (Some(_), other) => panic!("predicted accepts, general gives {other:?}: {}", shown()),
        (None, _) => assert!(fast.is_empty(), "{}", shown()),
    }
    if general.is_err() {
        assert!(slow.is_empty(), "{}", shown());
    }
}

/// The values of a JSON object, each as it was written.
pub type Members = BTreeMap<String, String>;

pub fn members(text: &str) -> Members {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).unwrap();
    members.into_iter().map(|(key, value)| (key, value.get().to_owned())).collect()
}

/// The channel of a notification and its data.
pub fn unwrapped(frame: &str) -> (String, Members) {
    let parameters = members(&members(frame)["params"]);
    (serde_json::from_str(&parameters["channel"]).unwrap(), members(&parameters["data"]))
}

/// The folder of the captures; `None` where there are none and that is allowed.
pub fn captures() -> Option<PathBuf> {
    let root = std::env::var_os("MARKETPRISM_CAPTURES")
        .map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures")),
            PathBuf::from,
        )
        .join("deribit");
    if root.is_dir() {
        return Some(root);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no captures; set MARKETPRISM_CAPTURES");
    eprintln!("no captures; set MARKETPRISM_CAPTURES. Only the project's own frames are tested.");
    None
}

/// One file of captured frames.
pub struct Channel {
    pub market: String,
    pub name: String,
    pub folder: PathBuf,
    pub frames: Vec<String>,
}

/// All files of captured frames.
pub fn channels() -> Vec<Channel> {
    let mut channels = Vec::new();
    let Some(root) = captures() else { return channels };
    for market in entries(&root) {
        for folder in entries(&market) {
            for file in entries(&folder) {
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                let Some(name) = name.strip_suffix(".raw.jsonl") else { continue };
                channels.push(Channel {
                    market: market.file_name().unwrap().to_string_lossy().into_owned(),
                    name: name.to_owned(),
                    folder: folder.clone(),
                    frames: read(&file).lines().map(str::to_owned).collect(),
                });
            }
        }
    }
    channels
}

/// What is in a folder, sorted by name.
pub fn entries(parent: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The instruments of captured notifications, in the order of first sight.
pub fn symbols_of(frames: &[String]) -> Vec<String> {
    let mut symbols = Vec::new();
    for frame in frames {
        let symbol: String = serde_json::from_str(&unwrapped(frame).1["instrument_name"]).unwrap();
        if !symbols.contains(&symbol) {
            symbols.push(symbol);
        }
    }
    symbols
}

/// A decimal's text.
pub fn text(mantissa: i64, exponent: i8) -> String {
    Decimal::new(mantissa, exponent).to_string()
}

//! What the tests share: captured frames where they are, the project's own frames always.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use marketprism_binance::{Binance, FrameDecoder};
use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::RecordBuffer;
use marketprism_core::venue::{DecodeError, Market, Outcome, Venue};
use marketprism_core::{Decimal, Kind};

pub const RECEIVE_NS: i64 = 1_700_000_000_123_456_789;

/// Frames written after the venue's documentation of 2026, and one of each older order of keys: market,
/// number of records, frame. Every one is of a form that the predicted path knows.
pub const PREDICTED: &[(&str, usize, &str)] = &[
    (
        "spot",
        1,
        r#"{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782136,"m":true,"M":true}"#,
    ),
    (
        "spot",
        1,
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1680652800000,"s":"BTCUSDT","t":3071245454,"p":"28165.47000000","q":"0.00056000","b":20720542158,"a":20720542592,"T":1680652799999,"m":true,"M":true}}"#,
    ),
    (
        "spot",
        1,
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1680652800000123,"s":"BTCUSDT","t":1,"p":"28165.47000000","q":"0.00056000","T":1680652799999456,"m":false,"M":true}}"#,
    ),
    (
        "usdm",
        1,
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1680652700455,"T":1680652700452,"s":"BTCUSDT","t":3535186034,"p":"28145.10","q":"0.020","X":"MARKET","m":true}}"#,
    ),
    (
        "usdm",
        1,
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1680652700455,"T":1680652700452,"s":"BTCUSDT","t":3535186035,"p":"28145.10","q":"0.020","X":"INSURANCE_FUND","m":false,"st":1}}"#,
    ),
    (
        "coinm",
        1,
        r#"{"stream":"btcusd_perp@trade","data":{"e":"trade","E":1723161257687,"T":1723161257679,"s":"BTCUSD_PERP","t":849714402,"p":"61804.8","q":"4","X":"NA","m":false}}"#,
    ),
    (
        "spot",
        1,
        r#"{"e":"aggTrade","E":1672515782136,"s":"BNBBTC","a":12345,"p":"0.001","q":"100","f":100,"l":105,"T":1672515782136,"m":true,"M":true}"#,
    ),
    (
        "usdm",
        1,
        r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1772515782136,"s":"BTCUSDT","a":5933014,"p":"0.001","q":"100","nq":"90.5","f":100,"l":105,"T":1772515782130,"m":true,"st":1}}"#,
    ),
    (
        "coinm",
        1,
        r#"{"stream":"btcusd_200626@aggTrade","data":{"e":"aggTrade","E":1591261134288,"a":424951,"s":"BTCUSD_200626","p":"9643.5","q":"2","f":606073,"l":606073,"T":1591261134199,"m":false,"st":2}}"#,
    ),
    (
        "spot",
        1,
        r#"{"stream":"nknusdt@depth@100ms","data":{"e":"depthUpdate","E":1633998512068,"s":"NKNUSDT","U":499869750,"u":499869752,"b":[["0.35130000","6195.00000000"],["0.34750000","0.00000000"],["0.34640000","6222.00000000"]],"a":[]}}"#,
    ),
    (
        "spot",
        1,
        r#"{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC","U":157,"u":160,"b":[["0.0024","10"]],"a":[["0.0026","100"]]}"#,
    ),
    (
        "usdm",
        1,
        r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1772515782136,"T":1772515782130,"s":"BTCUSDT","ps":"BTCUSDT","U":157,"u":160,"pu":149,"b":[["0.0024","10"],["0.0023","0"]],"a":[["0.0026","100"],["0.00265","1.5"]],"st":1}}"#,
    ),
    (
        "usdm",
        1,
        r#"{"e":"depthUpdate","E":1626992741077,"T":1626992740974,"s":"AKROUSDT","U":600859599831,"u":600859599831,"pu":-1,"b":[],"a":[["0.01737","437848"]]}"#,
    ),
    (
        "usdm",
        1,
        r#"{"stream":"btcusdt@depth5@100ms","data":{"e":"depthUpdate","E":1626992741077,"T":1626992740974,"s":"BTCUSDT","U":1,"u":2,"pu":0,"b":[["1.5","1"]],"a":[["1.6","2"]]}}"#,
    ),
    (
        "coinm",
        1,
        r#"{"stream":"bchusd_perp@depth@100ms","data":{"e":"depthUpdate","E":1626916404623,"T":1626916404600,"s":"BCHUSD_PERP","ps":"BCHUSD","U":167006088829,"u":167006089315,"pu":167006088786,"b":[["427.90","169"]],"a":[["427.98","36"]],"st":2}}"#,
    ),
    (
        "spot",
        1,
        r#"{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}"#,
    ),
    (
        "usdm",
        1,
        r#"{"e":"bookTicker","u":400900217,"E":1568014460893,"T":1568014460891,"s":"BNBUSDT","ps":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000","st":1}"#,
    ),
    (
        "usdm",
        1,
        r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":2286618712950,"s":"BTCUSDT","b":"16858.90","B":"13.692","a":"16859.00","A":"30.219","T":1671621244670,"E":1671621244673}}"#,
    ),
    (
        "coinm",
        1,
        r#"{"stream":"bchusd_210625@bookTicker","data":{"u":86143354211,"e":"bookTicker","s":"BCHUSD_210625","ps":"BCHUSD","b":"1127.47","B":"35","a":"1128.52","A":"92","T":1618677480028,"E":1618677480031}}"#,
    ),
    (
        "coinm",
        1,
        r#"{"e":"bookTicker","u":17242169,"s":"BTCUSD_200626","ps":"BTCUSD","b":"9548.1","B":"52","a":"9548.5","A":"11","T":1591268628155,"E":1591268628166,"st":2}"#,
    ),
    (
        "spot",
        1,
        r#"{"e":"24hrTicker","E":1672515782136,"s":"BNBBTC","p":"-0.0015","P":"250.00","w":"0.0018","x":"0.0009","c":"0.0025","Q":"10","b":"0.0024","B":"10","a":"0.0026","A":"100","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18","O":0,"C":86400000,"F":0,"L":18150,"n":18151}"#,
    ),
    (
        "usdm",
        1,
        r#"{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1772515782136,"s":"BTCUSDT","ps":"BTCUSDT","p":"0.0015","P":"250.00","w":"0.00185","c":"0.0025","Q":"10.5","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18","O":1772429382136,"C":1772515782136,"F":0,"L":18150,"n":18151,"st":1}}"#,
    ),
    (
        "usdm",
        2,
        r#"{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","ap":"11794.15000000","i":"11784.62659091","P":"11784.25641265","r":"0.00038167","T":1562306400000,"st":1}"#,
    ),
    (
        "usdm",
        2,
        r#"{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1680652701000,"s":"BTCUSDT","p":"28147.27373413","P":"28142.15563565","i":"28159.75642857","r":"-0.00002754","T":1680652800000}}"#,
    ),
    (
        "coinm",
        1,
        r#"{"e":"markPriceUpdate","E":1596095725000,"s":"BTCUSD_201225","p":"10934.62","P":"","i":"10933.62","r":"","T":0}"#,
    ),
    (
        "spot",
        1,
        r#"{"e":"kline","E":1672515782136,"s":"BNBBTC","k":{"t":1672515780000,"T":1672515839999,"s":"BNBBTC","i":"1m","f":-1,"L":-1,"o":"0.0010","c":"0.0020","h":"0.0025","l":"0.0015","v":"1000","n":100,"x":false,"q":"1.0000","V":"500","Q":"0.500","B":"123456"}}"#,
    ),
    (
        "usdm",
        1,
        r#"{"stream":"ctkusdt@kline_1m","data":{"e":"kline","E":1626992741424,"s":"CTKUSDT","k":{"t":1626992700000,"T":1626992759999,"s":"CTKUSDT","i":"1m","f":23961275,"L":23961322,"o":"1.01000","c":"1.01100","h":"1.01100","l":"1.01000","v":"3917","n":48,"x":true,"q":"3957.89900","V":"1729","Q":"1748.01900","B":"0"}}}"#,
    ),
    (
        "usdm",
        1,
        r#"{"e":"forceOrder","E":1568014460893,"ps":"BTCUSDT","st":1,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910","ap":"9910","X":"FILLED","l":"0.014","z":"0.014","T":1568014460890}}"#,
    ),
    (
        "coinm",
        1,
        r#"{"stream":"btcusd_200925@forceOrder","data":{"e":"forceOrder","E":1591154240950,"o":{"s":"BTCUSD_200925","ps":"BTCUSD","S":"BUY","o":"LIMIT","f":"IOC","q":"1","p":"9425.5","ap":"9496.5","X":"PARTIALLY_FILLED","l":"1","z":"1","T":1591154240949}}}"#,
    ),
    (
        "spot",
        1,
        r#"{"stream":"bnbbtc@depth5@100ms","data":{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}}"#,
    ),
];

/// Frames that only the general path reads: market, number of records, frame.
pub const GENERAL: &[(&str, usize, &str)] = &[
    (
        "spot",
        1,
        r#" { "s" : "BNBBTC", "e":"trade" , "t":1 ,"p":"1.0", "q":"2","m":false,"new":{"a":[1,{}]}, "E":1672515782136 } "#,
    ),
    (
        "spot",
        1,
        r#"{"data":{"e":"trade","E":"1672515782136","s":"B\u00dcUSDT","t":12345,"p":"0.001","q":"100","T":"1672515782136","m":true},"stream":"büusdt@trade"}"#,
    ),
    (
        "spot",
        1,
        r#"{"stream":"bÜusdt@depth5@100ms","data":{"asks":[["0.0026","100"]],"bids":[["0.0024","10"]],"lastUpdateId":160}}"#,
    ),
    (
        "usdm",
        2,
        r#"[{"e":"24hrTicker","E":1772515782136,"s":"BTCUSDT","c":"0.0025","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18"},{"e":"24hrTicker","E":1772515782136,"s":"BTCUSD_PERP","c":"2","o":"1","h":"2","l":"1","v":"1","q":"1","st":2},{"e":"24hrTicker","E":1772515782136,"s":"BNBUSDT","c":"2","o":"1","h":"2","l":"1","v":"1","q":"1","st":1}]"#,
    ),
    (
        "usdm",
        3,
        r#"{"stream":"!markPrice@arr@1s","data":[{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"1","r":"0.1","T":1562306400000},{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT_260925","p":"1","r":"","T":0}]}"#,
    ),
    (
        "usdm",
        0,
        r#"{"stream":"btcusdt@rpiDepth@500ms","data":{"e":"depthUpdate","E":1626992741077,"T":1626992740974,"s":"BTCUSDT","U":1,"u":2,"pu":0,"b":[["1.5","1"]],"a":[]}}"#,
    ),
    (
        "usdm",
        0,
        r#"{"e":"bookTicker","u":17242169,"s":"BTCUSD_200626","ps":"BTCUSD","b":"9548.1","B":"52","a":"9548.5","A":"11","T":1591268628155,"E":1591268628166,"st":2}"#,
    ),
    (
        "usdm",
        0,
        r#"{"e":"continuous_kline","E":1607443058651,"ps":"BTCUSDT","ct":"PERPETUAL","k":{"t":1607443020000}}"#,
    ),
    ("spot", 0, r#"{"e":"referencePrice","s":"BAZUSD","r":null,"t":1770313263917}"#),
    ("spot", 0, r#"[{"e":"24hrMiniTicker","E":1,"s":"X"}]"#),
];

/// Every symbol of the frames above.
pub const SYMBOLS: &[&str] = &[
    "BNBBTC",
    "BTCUSDT",
    "BNBUSDT",
    "NKNUSDT",
    "AKROUSDT",
    "CTKUSDT",
    "BTCUSD_PERP",
    "BTCUSD_200626",
    "BCHUSD_PERP",
    "BCHUSD_210625",
    "BTCUSD_201225",
    "BTCUSD_200925",
    "BÜUSDT",
    "BTCUSDT_260925",
];

pub fn market(name: &str) -> &'static Market {
    Binance.market(name).unwrap()
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

/// What must hold for any bytes: a frame that the predicted path accepts, the general one accepts with the
/// same records; a path that refuses appends nothing.
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

/// The folder of the captures; `None` where there are none and that is allowed.
pub fn captures() -> Option<PathBuf> {
    let root = std::env::var_os("MARKETPRISM_CAPTURES")
        .map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures")),
            PathBuf::from,
        )
        .join("binance");
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
    pub capture: String,
    pub name: String,
    pub fixture: bool,
    pub folder: PathBuf,
    pub frames: Vec<String>,
}

/// All files of captured frames.
pub fn channels() -> Vec<Channel> {
    let mut channels = Vec::new();
    let Some(root) = captures() else { return channels };
    for market in ["spot", "usdm", "coinm"] {
        for folder in folders(&root.join(market)) {
            let capture = folder.file_name().unwrap().to_string_lossy().into_owned();
            let about = std::fs::read_to_string(folder.join("capture.json")).unwrap_or_default();
            let about: serde_json::Value = serde_json::from_str(&about).unwrap_or_default();
            for file in folders(&folder) {
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                let Some((name, _)) = name.split_once(".raw.jsonl") else { continue };
                channels.push(Channel {
                    market: market.to_owned(),
                    capture: capture.clone(),
                    name: name.to_owned(),
                    fixture: about["kind"] == "fixture",
                    folder: folder.clone(),
                    frames: read(&file).lines().map(str::to_owned).collect(),
                });
            }
        }
    }
    channels
}

/// What is in a folder, sorted by name.
pub fn folders(parent: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

/// A text file, packed or not.
pub fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let bytes = if path.extension().is_some_and(|e| e == "zst") {
        zstd::decode_all(&bytes[..]).unwrap()
    } else {
        bytes
    };
    String::from_utf8(bytes).unwrap()
}

/// The payload of a frame, out of its wrapper.
pub fn payload(frame: &str) -> serde_json::Value {
    let value: serde_json::Value = serde_json::from_str(frame).unwrap();
    match value.get("data") {
        Some(data) => data.clone(),
        None => value,
    }
}

/// The symbols of frames, in the order of first sight.
pub fn symbols_of(frames: &[String]) -> Vec<String> {
    let mut symbols = Vec::new();
    for frame in frames {
        let payload = payload(frame);
        let symbol = payload["s"].as_str().or(payload["o"]["s"].as_str()).unwrap().to_owned();
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

//! What the tests share: captured frames where they are, the project's own frames always.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::RecordBuffer;
use marketprism_core::venue::{DecodeError, Decoder, Market, Outcome, Venue};
use marketprism_core::{Decimal, Kind};
use marketprism_okx::{FrameDecoder, Okx};

pub const RECEIVE_NS: i64 = 1_700_000_000_123_456_789;

/// Frames written after the protocol notes, one of each order of keys: market and frame, which gives one record.
/// Every one is of a form that the predicted path knows.
pub const PREDICTED: &[(&str, &str)] = &[
    (
        "spot",
        r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474","px":"42219.9","sz":"0.12060306","side":"buy","ts":"1630048897897","count":"3","source":"0","seqId":1234}]}"#,
    ),
    (
        "swap",
        r#"{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","tradeId":"219066264","px":"43568.8","sz":"7","side":"sell","ts":"1646312440645"}]}"#,
    ),
    (
        "spot",
        r#"{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639475","px":"42219.9","sz":"0.5","side":"sell","source":"1","ts":"1630048897898"}]}"#,
    ),
    (
        "spot",
        r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["8476.98","415","0","13"],["8477","7","0","2"]],"bids":[["8476.97","256.5","0","12"],["8475.55","101","0","1"]],"ts":"1597026383085","checksum":0,"seqId":123456,"prevSeqId":-1}]}"#,
    ),
    (
        "spot",
        r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["8477","0","0","0"]],"bids":[],"ts":"1597026383185","checksum":0,"prevSeqId":123456,"seqId":123457}]}"#,
    ),
    (
        "option",
        r#"{"arg":{"channel":"books-l2-tbt","instId":"BTC-USD-220304-32000-P"},"action":"snapshot","data":[{"asks":[["0.0005","305","0","1"],["0.001","550","0","2"]],"bids":[],"ts":"1646315100798","checksum":971343753}]}"#,
    ),
    (
        "swap",
        r#"{"arg":{"channel":"books50-l2-tbt","instId":"BTC-USDT-SWAP"},"action":"update","data":[{"asks":[],"bids":[["100","6","0","3"]],"ts":"1700000000100","checksum":-942904850,"seqId":15,"prevSeqId":10}]}"#,
    ),
    (
        "option",
        r#"{"arg":{"channel":"books5","instId":"BTC-USD-220624-50000-C"},"data":[{"asks":[["0.001","606","0","2"],["0.0015","330","0","2"]],"bids":[],"instId":"BTC-USD-220624-50000-C","ts":"1654387553361"}]}"#,
    ),
    (
        "spot",
        r#"{"arg":{"channel":"books5","instId":"BTC-USDT"},"data":[{"asks":[["111.06","55154","0","2"]],"bids":[["111.05","57745","0","2"]],"instId":"BTC-USDT","ts":"1670324386802","seqId":363996337}]}"#,
    ),
    (
        "spot",
        r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["111.06","55154","0","2"]],"bids":[["111","57745.5","0","2"]],"ts":"1670324386802","seqId":363996337}]}"#,
    ),
    (
        "option",
        r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USD-220624-50000-C"},"data":[{"asks":[["0.0015","8","0","1"]],"bids":[],"ts":"1654033343415"}]}"#,
    ),
    (
        "spot",
        r#"{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"9999.99","lastSz":"0.1","askPx":"9999.99","askSz":"11","bidPx":"8888.88","bidSz":"5","open24h":"9000","high24h":"10000","low24h":"8888.88","volCcy24h":"22220000","vol24h":"2222","sodUtc0":"2222","sodUtc8":"2222","ts":"1597026383085"}]}"#,
    ),
    (
        "swap",
        r#"{"arg":{"channel":"tickers","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","last":"29963","lastSz":"2","askPx":"29960","askSz":"12","bidPx":"29959.9","bidSz":"431","open24h":"31589.3","high24h":"31907.2","low24h":"29302","sodUtc0":"29805","sodUtc8":"30753.7","volCcy24h":"108540.53","vol24h":"10854053","ts":"1654166233877"}]}"#,
    ),
    (
        "option",
        r#"{"arg":{"channel":"tickers","instId":"BTC-USD-220624-50000-C"},"data":[{"instType":"OPTION","instId":"BTC-USD-220624-50000-C","last":"","lastSz":"","askPx":"0.0015","askSz":"330","bidPx":"","bidSz":"","open24h":"","high24h":"","low24h":"","sodUtc0":"","sodUtc8":"","volCcy24h":"0","vol24h":"0","ts":"1654166283149"}]}"#,
    ),
    (
        "swap",
        r#"{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","markPx":"42310.6","ts":"1597026383085"}]}"#,
    ),
    (
        "swap",
        r#"{"arg":{"channel":"index-tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","idxPx":"42311.25","high24h":"0.5","low24h":"0.1","open24h":"0.1","sodUtc0":"0.1","sodUtc8":"0.1","ts":"1597026383085"}]}"#,
    ),
];

pub const FUNDING: &str = r#"{"arg":{"channel":"funding-rate","instId":"BTC-USD-SWAP"},"data":[{"formulaType":"noRate","fundingRate":"0.0001875391284828","fundingTime":"1700726400000","impactValue":"","instId":"BTC-USD-SWAP","instType":"SWAP","interestRate":"","method":"current_period","maxFundingRate":"0.00375","minFundingRate":"-0.00375","nextFundingRate":"","nextFundingTime":"1700755200000","prevFundingTime":"1700712000000","premium":"-0.0001233824646391","settFundingRate":"0.0001699799259033","settState":"settled","ts":"1700724675402"}]}"#;

pub const OPEN_INTEREST: &str = r#"{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","instType":"SWAP","oi":"2216113.01000000309","oiCcy":"22161.1301000000309","oiUsd":"1939251795.54","ts":"1743041250440"}]}"#;

/// Two instruments, the first with two orders, the last not in the market of the tests.
pub const LIQUIDATIONS: &str = r#"{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0","bkPx":"0.007831","ccy":"","posSide":"short","side":"buy","sz":"13","ts":"1692266434010"},{"bkLoss":"0","bkPx":"0.0078","ccy":"","posSide":"long","side":"sell","sz":"4","ts":"1692266433010"}],"instFamily":"IOST-USDT","instId":"IOST-USDT-SWAP","instType":"SWAP","uly":"IOST-USDT"},{"details":[{"bkLoss":"0","bkPx":"30000","ccy":"","posSide":"net","side":"sell","sz":"1","ts":"1692266434020"}],"instFamily":"BTC-USDT","instId":"BTC-USDT-SWAP","instType":"SWAP","uly":"BTC-USDT"},{"details":[{"bkLoss":"0","bkPx":"1","ccy":"","posSide":"net","side":"sell","sz":"1","ts":"1692266434020"}],"instFamily":"NEW-USDT","instId":"NEW-USDT-SWAP","instType":"SWAP","uly":"NEW-USDT"}]}"#;

pub const CANDLE: &str = r#"{"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1597026360000","8533.02","8553.74","8527.17","8548.26","45247","529.5858061","5529.5858061","1"]]}"#;

/// Two options of a family, the last not in the market of the tests.
pub const GREEKS: &str = r#"{"arg":{"channel":"opt-summary","instFamily":"BTC-USD"},"data":[{"instType":"OPTION","instId":"BTC-USD-220304-32000-P","uly":"BTC-USD","delta":"-1.118","gamma":"2.236","vega":"0.0000000001","theta":"0.0000032","lever":"8.46","markVol":"0.3675","bidVol":"0","askVol":"","realVol":"","deltaBS":"-0.9999","gammaBS":"0.0000000002","thetaBS":"28.26","vegaBS":"0.0000114","ts":"1728703155650","fwdPx":"62604.69","volLv":"0.2044"},{"instType":"OPTION","instId":"BTC-USD-990101-1-P","uly":"BTC-USD","delta":"-1","ts":"1728703155650"}]}"#;

/// Frames that only the general path reads: market, number of records, number of entries ignored, frame.
pub const GENERAL: &[(&str, usize, u64, &str)] = &[
    ("swap", 1, 0, FUNDING),
    ("swap", 1, 0, OPEN_INTEREST),
    ("swap", 3, 1, LIQUIDATIONS),
    ("spot", 1, 0, CANDLE),
    ("option", 1, 1, GREEKS),
    (
        "spot",
        1,
        0,
        r#" { "data" : [ {"sz":"2", "px":"1.0","new":{"a":[1,{}]}, "side":"buy", "tradeId":"7" ,"ts":1630048897897} ] , "arg":{ "instId":"BTC-USDT" ,"channel":"trades"} } "#,
    ),
    (
        "spot",
        2,
        0,
        r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"2","sz":"3","side":"buy","ts":"1630048897897","count":"1"},{"instId":"BTC-USDT","tradeId":"2","px":"2","sz":"3","side":"buy","ts":"1630048897897","count":"1"}]}"#,
    ),
    (
        "spot",
        1,
        0,
        r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["8477","1"]],"bids":[["8476","1","2","3","4"]],"ts":"1597026383185"}]}"#,
    ),
];

/// Every symbol of the frames above that the market of the tests has.
pub const SYMBOLS: &[&str] = &[
    "BTC-USDT",
    "BTC-USDT-SWAP",
    "BTC-USD-SWAP",
    "IOST-USDT-SWAP",
    "BTC-USD-220304-32000-P",
    "BTC-USD-220624-50000-C",
];

pub fn market(name: &str) -> &'static Market {
    Okx.market(name).unwrap()
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

/// The records of a frame that the decoder has to accept.
pub fn records(market: &str, frame: &str) -> RecordBuffer {
    let mut records = RecordBuffer::default();
    assert_eq!(
        own_decoder(market).decode(frame.as_bytes(), RECEIVE_NS, &mut records),
        Ok(Outcome::Data),
        "{frame}"
    );
    records
}

/// What a frame is that gives no record.
pub fn outcome(market: &str, frame: &str) -> Result<Outcome, DecodeError> {
    let mut records = RecordBuffer::default();
    let outcome = own_decoder(market).decode(frame.as_bytes(), RECEIVE_NS, &mut records);
    assert!(records.is_empty(), "{frame}");
    outcome
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
        .join("okx");
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
    pub folder: PathBuf,
    pub frames: Vec<String>,
}

/// All files of captured frames.
pub fn channels() -> Vec<Channel> {
    let mut channels = Vec::new();
    let Some(root) = captures() else { return channels };
    for market in ["spot", "swap", "futures", "option"] {
        for folder in folders(&root.join(market)) {
            let capture = folder.file_name().unwrap().to_string_lossy().into_owned();
            for file in folders(&folder) {
                let name = file.file_name().unwrap().to_string_lossy().into_owned();
                let Some((name, _)) = name.split_once(".raw.jsonl") else { continue };
                channels.push(Channel {
                    market: market.to_owned(),
                    capture: capture.clone(),
                    name: name.to_owned(),
                    folder: folder.clone(),
                    frames: read(&file).lines().map(str::to_owned).collect(),
                });
            }
        }
    }
    channels
}

/// All captured lists of instruments, with their market.
pub fn instrument_lists() -> Vec<(&'static str, String)> {
    let mut lists = Vec::new();
    let Some(root) = captures() else { return lists };
    for market in ["spot", "swap", "futures", "option"] {
        for folder in folders(&root.join(market)).iter().map(|folder| folder.join("rest")) {
            if !folder.is_dir() {
                continue;
            }
            for file in folders(&folder) {
                if file.file_name().unwrap().to_string_lossy().starts_with("instruments_") {
                    lists.push((market, read(&file)));
                }
            }
        }
    }
    assert!(lists.len() >= 10, "{}", lists.len());
    lists
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

/// The symbols of frames, in the order of first sight.
pub fn symbols_of(frames: &[String]) -> Vec<String> {
    let mut symbols = Vec::new();
    for frame in frames {
        let value: serde_json::Value = serde_json::from_str(frame).unwrap();
        let symbol = value["arg"]["instId"].as_str().unwrap().to_owned();
        if !symbols.contains(&symbol) {
            symbols.push(symbol);
        }
    }
    symbols
}

/// The text of a number in a record.
pub fn text(mantissa: i64, exponent: i8) -> String {
    Decimal::new(mantissa, exponent).to_string()
}

/// The one record of a buffer, of the kind that is named.
#[macro_export]
macro_rules! only {
    ($records:expr, $kind:ident) => {
        match $records.iter().collect::<Vec<_>>()[..] {
            [marketprism_core::RecordRef::$kind(record)] => *record,
            ref other => panic!("{other:?}"),
        }
    };
}

//! Frames to records: the two paths of the Binance decoder against typed `sonic-rs` and `serde_json`, which
//! stop at text fields and make no record. Captured frames where they are, written ones where not.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use marketprism_binance::FrameDecoder;
use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::RecordBuffer;
use serde::Deserialize;

/// Frames decoded in turn, so that no branch predictor knows them by heart.
const FRAMES: usize = 256;

#[derive(Deserialize)]
struct Wrapped<'a, T> {
    #[serde(borrow)]
    stream: &'a str,
    data: T,
}

#[derive(Deserialize)]
#[allow(dead_code, non_snake_case)]
struct Trade<'a> {
    e: &'a str,
    E: u64,
    s: &'a str,
    t: u64,
    p: &'a str,
    q: &'a str,
    T: u64,
    m: bool,
}

#[derive(Deserialize)]
#[allow(dead_code, non_snake_case)]
struct AggTrade<'a> {
    e: &'a str,
    E: u64,
    s: &'a str,
    a: u64,
    p: &'a str,
    q: &'a str,
    f: u64,
    l: u64,
    T: u64,
    m: bool,
}

#[derive(Deserialize)]
#[allow(dead_code, non_snake_case)]
struct Quote<'a> {
    u: u64,
    s: &'a str,
    b: &'a str,
    B: &'a str,
    a: &'a str,
    A: &'a str,
}

#[derive(Deserialize)]
#[allow(dead_code, non_snake_case)]
struct Depth<'a> {
    e: &'a str,
    E: u64,
    s: &'a str,
    U: u64,
    u: u64,
    #[serde(borrow)]
    b: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    a: Vec<(&'a str, &'a str)>,
}

/// Frames of one file of the captures that pass `keep`, else `written` again and again.
fn frames(file: &str, written: &str, keep: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let root = std::env::var_os("MARKETPRISM_CAPTURES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures")),
        PathBuf::from,
    );
    let path = root.join("binance").join(file);
    let bytes = std::fs::read(&path).ok().and_then(|bytes| match path.extension() {
        Some(extension) if extension == "zst" => zstd::decode_all(&bytes[..]).ok(),
        _ => Some(bytes),
    });
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let frames: Vec<_> =
        text.lines().filter(|line| keep(line)).take(FRAMES).map(|l| l.as_bytes().to_vec()).collect();
    if frames.is_empty() { vec![written.as_bytes().to_vec(); FRAMES] } else { frames }
}

fn decoder(market: &str) -> FrameDecoder {
    let mut symbols = SymbolTable::default();
    for (index, symbol) in ["BTCUSDT", "ETHUSDT", "DOTUSDT", "BTCUSD_PERP", "ETHUSD_PERP"].iter().enumerate()
    {
        symbols.insert(symbol.as_bytes(), index as u32 + 1);
    }
    FrameDecoder::new(market, symbols)
}

/// Runs `read` over the frames in turn.
fn each<R>(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    path: &str,
    frames: &[Vec<u8>],
    mut read: impl FnMut(&[u8]) -> R,
) {
    let mut next = 0;
    group.bench_function(BenchmarkId::from_parameter(path), |bencher| {
        bencher.iter(|| {
            next = if next + 1 == frames.len() { 0 } else { next + 1 };
            read(black_box(&frames[next]))
        });
    });
}

fn message<T: for<'a> Shape<'a>>(criterion: &mut Criterion, name: &str, market: &str, frames: &[Vec<u8>]) {
    let bytes = frames.iter().map(Vec::len).sum::<usize>() / frames.len();
    eprintln!("{name}: {} frames of {bytes} bytes in the mean", frames.len());
    let mut group = criterion.benchmark_group(format!("parse/{name}"));
    group.throughput(Throughput::Bytes(bytes as u64));
    let mut decoder = decoder(market);
    let mut records = RecordBuffer::default();
    for frame in frames {
        assert!(decoder.predicted(frame, 1, &mut records).is_some(), "{}", String::from_utf8_lossy(frame));
    }
    each(&mut group, "predicted", frames, |frame| {
        records.clear();
        decoder.predicted(frame, 1, &mut records)
    });
    each(&mut group, "general", frames, |frame| {
        records.clear();
        decoder.general(frame, 1, &mut records).is_ok()
    });
    each(&mut group, "sonic_typed", frames, |frame| {
        let message: Wrapped<'_, <T as Shape<'_>>::Message> = sonic_rs::from_slice(frame).expect("a frame");
        message.stream.len() + T::size(&message.data)
    });
    each(&mut group, "serde_json_typed", frames, |frame| {
        let message: Wrapped<'_, <T as Shape<'_>>::Message> = serde_json::from_slice(frame).expect("a frame");
        message.stream.len() + T::size(&message.data)
    });
    group.finish();
}

/// A typed message, and something to compute from it.
trait Shape<'a> {
    type Message: Deserialize<'a>;
    fn size(message: &Self::Message) -> usize;
}

macro_rules! shape {
    ($tag:ident, $message:ident, $size:expr) => {
        struct $tag;
        impl<'a> Shape<'a> for $tag {
            type Message = $message<'a>;
            fn size(message: &$message<'a>) -> usize {
                let size: fn(&$message<'a>) -> usize = $size;
                size(message)
            }
        }
    };
}

shape!(Trades, Trade, |m| m.p.len() + m.q.len() + m.T as usize);
shape!(AggTrades, AggTrade, |m| m.p.len() + m.q.len() + m.T as usize);
shape!(Quotes, Quote, |m| m.b.len() + m.a.len() + m.u as usize);
shape!(Depths, Depth, |m| m.b.len() + m.a.len() + m.u as usize);

fn levels(frame: &str) -> usize {
    frame.matches("[\"").count()
}

fn parse(criterion: &mut Criterion) {
    let trade = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#;
    let trades = frames("spot/hbt-20240808-a/trade.raw.jsonl", trade, |_| true);
    message::<Trades>(criterion, "trade", "spot", &trades);

    let futures = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256431,"T":1723161256431,"s":"BTCUSDT","t":5266583937,"p":"61800.30","q":"0.045","X":"MARKET","m":false}}"#;
    let trades = frames("usdm/hbt-20240808-a/trade.raw.jsonl.zst", futures, |_| true);
    message::<Trades>(criterion, "trade_usdm", "usdm", &trades);

    let agg = r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1617566591371,"s":"BTCUSDT","a":665076762,"p":"58001.03000000","q":"0.00052600","f":745522879,"l":745522879,"T":1617566591370,"m":true,"M":true}}"#;
    let trades = frames("spot/cf-20210404/aggTrade.raw.jsonl.zst", agg, |_| true);
    message::<AggTrades>(criterion, "agg_trade", "spot", &trades);

    let quote = r#"{"stream":"ethusdt@bookTicker","data":{"u":35346513508,"s":"ETHUSDT","b":"2683.80000000","B":"2.25820000","a":"2683.81000000","A":"31.43950000"}}"#;
    let quotes = frames("spot/hbt-20240808-a/bookTicker.raw.jsonl.zst", quote, |_| true);
    message::<Quotes>(criterion, "quote", "spot", &quotes);

    let quote = r#"{"stream":"ethusdt@bookTicker","data":{"e":"bookTicker","u":5123107839664,"s":"ETHUSDT","b":"2681.62","B":"1.165","a":"2681.63","A":"66.777","T":1723161256318,"E":1723161256318}}"#;
    let quotes = frames("usdm/hbt-20240808-a/bookTicker.raw.jsonl.zst", quote, |_| true);
    message::<Quotes>(criterion, "quote_usdm", "usdm", &quotes);

    let twenty = |frame: &str| (19..=21).contains(&levels(frame));
    let side = [r#"["61838.04000000","0.32332000"]"#; 10].join(",");
    let depth = format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":50093239203,"u":50093239207,"b":[{side}],"a":[{side}]}}}}"#
    );
    let depths = frames("spot/hbt-20240808-a/depth_100ms.raw.jsonl.zst", &depth, twenty);
    message::<Depths>(criterion, "depth_20", "spot", &depths);
    let depths = frames("usdm/hbt-20230404/depth_0ms.raw.jsonl.zst", &depth, twenty);
    message::<Depths>(criterion, "depth_20_usdm", "usdm", &depths);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2))
        .sample_size(50);
    targets = parse
}
criterion_main!(benches);

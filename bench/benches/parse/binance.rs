//! Binance: trades, aggregate trades, quotes, deltas of about 20 levels.

use criterion::Criterion;
use marketprism_binance::FrameDecoder;
use serde::Deserialize;

use crate::harness::{captured, message, or_written, shape, symbols};

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

type TradeFrame<'a> = Wrapped<'a, Trade<'a>>;
type AggTradeFrame<'a> = Wrapped<'a, AggTrade<'a>>;
type QuoteFrame<'a> = Wrapped<'a, Quote<'a>>;
type DepthFrame<'a> = Wrapped<'a, Depth<'a>>;

shape!(Trades, TradeFrame, |m| m.stream.len() + m.data.p.len() + m.data.q.len() + m.data.T as usize);
shape!(AggTrades, AggTradeFrame, |m| m.stream.len() + m.data.p.len() + m.data.q.len() + m.data.T as usize);
shape!(Quotes, QuoteFrame, |m| m.stream.len() + m.data.b.len() + m.data.a.len() + m.data.u as usize);
shape!(Depths, DepthFrame, |m| m.stream.len() + m.data.b.len() + m.data.a.len() + m.data.u as usize);

fn decoder(market: &str, frames: &[Vec<u8>]) -> FrameDecoder {
    FrameDecoder::new(market, symbols(frames, r#""s":""#))
}

pub(crate) fn parse(criterion: &mut Criterion) {
    let frames = or_written(captured(&["binance/spot/hbt-20240808-a/trade.raw.jsonl"], |_| true), |number| {
        format!(
            r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":{},"p":"61837.{:02}000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}}}"#,
            3735683259 + number,
            number % 100
        )
    });
    message::<Trades>(criterion, "trade", &mut decoder("spot", &frames), &frames);

    let file = "binance/usdm/hbt-20240808-a/trade.raw.jsonl.zst";
    let frames = or_written(captured(&[file], |_| true), |number| {
        format!(
            r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":1723161256431,"T":1723161256431,"s":"BTCUSDT","t":{},"p":"61800.30","q":"0.045","X":"MARKET","m":false}}}}"#,
            5266583937_u64 + number as u64
        )
    });
    message::<Trades>(criterion, "trade_usdm", &mut decoder("usdm", &frames), &frames);

    let file = "binance/spot/cf-20210404/aggTrade.raw.jsonl.zst";
    let frames = or_written(captured(&[file], |_| true), |number| {
        format!(
            r#"{{"stream":"btcusdt@aggTrade","data":{{"e":"aggTrade","E":1617566591371,"s":"BTCUSDT","a":{},"p":"58001.03000000","q":"0.00052600","f":745522879,"l":745522879,"T":1617566591370,"m":true,"M":true}}}}"#,
            665076762 + number
        )
    });
    message::<AggTrades>(criterion, "agg_trade", &mut decoder("spot", &frames), &frames);
    quotes(criterion);
    depths(criterion);
}

fn quotes(criterion: &mut Criterion) {
    let file = "binance/spot/hbt-20240808-a/bookTicker.raw.jsonl.zst";
    let frames = or_written(captured(&[file], |_| true), |number| {
        format!(
            r#"{{"stream":"ethusdt@bookTicker","data":{{"u":{},"s":"ETHUSDT","b":"2683.80000000","B":"2.25820000","a":"2683.81000000","A":"31.43950000"}}}}"#,
            35346513508_u64 + number as u64
        )
    });
    message::<Quotes>(criterion, "quote", &mut decoder("spot", &frames), &frames);

    let file = "binance/usdm/hbt-20240808-a/bookTicker.raw.jsonl.zst";
    let frames = or_written(captured(&[file], |_| true), |number| {
        format!(
            r#"{{"stream":"ethusdt@bookTicker","data":{{"e":"bookTicker","u":{},"s":"ETHUSDT","b":"2681.62","B":"1.165","a":"2681.63","A":"66.777","T":1723161256318,"E":1723161256318}}}}"#,
            5123107839664_u64 + number as u64
        )
    });
    message::<Quotes>(criterion, "quote_usdm", &mut decoder("usdm", &frames), &frames);
}

fn depths(criterion: &mut Criterion) {
    let twenty = |frame: &str| (19..=21).contains(&frame.matches("[\"").count());
    let side = [r#"["61838.04000000","0.32332000"]"#; 10].join(",");
    let depth = |number: usize| {
        format!(
            r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":{0},"u":{0},"b":[{side}],"a":[{side}]}}}}"#,
            50093239203_u64 + number as u64
        )
    };
    let file = "binance/spot/hbt-20240808-a/depth_100ms.raw.jsonl.zst";
    let frames = or_written(captured(&[file], twenty), depth);
    message::<Depths>(criterion, "depth_20", &mut decoder("spot", &frames), &frames);
    let file = "binance/usdm/hbt-20230404/depth_0ms.raw.jsonl.zst";
    let frames = or_written(captured(&[file], twenty), depth);
    message::<Depths>(criterion, "depth_20_usdm", &mut decoder("usdm", &frames), &frames);
}

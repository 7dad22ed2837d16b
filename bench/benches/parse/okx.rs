//! OKX: trades, quotes, tickers, deltas of about 20 levels.

use criterion::Criterion;
use marketprism_okx::FrameDecoder;
use serde::Deserialize;

use crate::harness::{captured, message, or_written, shape, symbols, written};

/// `data` has one entry, which a tuple says with the least work.
#[derive(Deserialize)]
#[allow(dead_code)]
struct Push<'a, T> {
    #[serde(borrow)]
    arg: Argument<'a>,
    #[serde(borrow)]
    action: Option<&'a str>,
    data: (T,),
}

#[derive(Deserialize)]
#[allow(dead_code, non_snake_case)]
struct Argument<'a> {
    channel: &'a str,
    instId: &'a str,
}

#[derive(Deserialize)]
#[allow(dead_code, non_snake_case)]
struct Trade<'a> {
    instId: &'a str,
    tradeId: &'a str,
    px: &'a str,
    sz: &'a str,
    side: &'a str,
    ts: &'a str,
    seqId: Option<u64>,
}

type Row<'a> = (&'a str, &'a str, &'a str, &'a str);

#[derive(Deserialize)]
#[allow(dead_code, non_snake_case)]
struct Book<'a> {
    #[serde(borrow)]
    asks: Vec<Row<'a>>,
    #[serde(borrow)]
    bids: Vec<Row<'a>>,
    ts: &'a str,
    checksum: Option<i64>,
    seqId: Option<u64>,
    prevSeqId: Option<i64>,
}

#[derive(Deserialize)]
#[allow(dead_code, non_snake_case)]
struct Quote<'a> {
    #[serde(borrow)]
    asks: (Row<'a>,),
    #[serde(borrow)]
    bids: (Row<'a>,),
    ts: &'a str,
    seqId: u64,
}

#[derive(Deserialize)]
#[allow(dead_code, non_snake_case)]
struct Ticker<'a> {
    instId: &'a str,
    last: &'a str,
    lastSz: &'a str,
    askPx: &'a str,
    askSz: &'a str,
    bidPx: &'a str,
    bidSz: &'a str,
    open24h: &'a str,
    high24h: &'a str,
    low24h: &'a str,
    volCcy24h: &'a str,
    vol24h: &'a str,
    ts: &'a str,
}

type TradePush<'a> = Push<'a, Trade<'a>>;
type BookPush<'a> = Push<'a, Book<'a>>;
type QuotePush<'a> = Push<'a, Quote<'a>>;
type TickerPush<'a> = Push<'a, Ticker<'a>>;

shape!(Trades, TradePush, |m| m.data.0.px.len() + m.data.0.sz.len() + m.data.0.ts.len());
shape!(Books, BookPush, |m| m.data.0.asks.len() + m.data.0.bids.len() + m.data.0.ts.len());
shape!(Quotes, QuotePush, |m| m.data.0.asks.0.0.len() + m.data.0.bids.0.0.len() + m.data.0.ts.len());
shape!(Tickers, TickerPush, |m| m.data.0.last.len() + m.data.0.vol24h.len() + m.data.0.ts.len());

fn decoder(market: &str, frames: &[Vec<u8>]) -> FrameDecoder {
    FrameDecoder::new(market, symbols(frames, r#""instId":""#))
}

/// The form of 2026: with the number of fills, the source and the id.
fn trade(number: usize) -> String {
    format!(
        r#"{{"arg":{{"channel":"trades","instId":"BTC-USDT"}},"data":[{{"instId":"BTC-USDT","tradeId":"{}","px":"{}.{}","sz":"0.{:08}","side":"{}","ts":"1787562{:06}","count":"{}","source":"0","seqId":{}}}]}}"#,
        917000000 + number,
        78700 + number % 90,
        number % 10,
        number * 7919 % 100_000_000,
        if number.is_multiple_of(3) { "buy" } else { "sell" },
        number * 131,
        1 + number % 4,
        81000000000_u64 + number as u64 * 17
    )
}

fn quote(number: usize) -> String {
    format!(
        r#"{{"arg":{{"channel":"bbo-tbt","instId":"ETH-USDT"}},"data":[{{"asks":[["{0}.{1:02}","{2}.{3:06}","0","{4}"]],"bids":[["{0}.{5:02}","{3}.1{2}","0","3"]],"ts":"1787562{6:06}","seqId":{7}}}]}}"#,
        3500 + number % 9,
        50 + number % 50,
        number % 80,
        number * 104_729 % 1_000_000,
        1 + number % 30,
        number % 50,
        number * 131,
        81000000000_u64 + number as u64 * 17
    )
}

fn book(number: usize) -> String {
    let side = |base: usize| -> String {
        let row = |level: usize| {
            let lots = (number * 31 + level * 7919) % 100_000_000;
            let orders = if lots.is_multiple_of(4) { 0 } else { 1 + lots % 20 };
            let size = if orders == 0 { "0".to_owned() } else { format!("0.{lots:08}") };
            format!(r#"["{}.{}","{size}","0","{orders}"]"#, base + level * 3, 1 + (number + level) % 9)
        };
        (0..10).map(row).collect::<Vec<_>>().join(",")
    };
    format!(
        r#"{{"arg":{{"channel":"books","instId":"BTC-USDT"}},"action":"update","data":[{{"asks":[{}],"bids":[{}],"ts":"1787562{:06}","checksum":0,"seqId":{},"prevSeqId":{}}}]}}"#,
        side(78730),
        side(78600),
        number * 131,
        81000000017_u64 + number as u64 * 17,
        81000000000_u64 + number as u64 * 17
    )
}

fn ticker(number: usize) -> String {
    format!(
        r#"{{"arg":{{"channel":"tickers","instId":"BTC-USDT"}},"data":[{{"instType":"SPOT","instId":"BTC-USDT","last":"302{:02}.6","lastSz":"0.0002","askPx":"30228.7","askSz":"1.55896972","bidPx":"30228.6","bidSz":"0.23393","open24h":"29700.4","high24h":"31073","low24h":"28020.3","sodUtc0":"29028.8","sodUtc8":"30337.7","volCcy24h":"525802090.62716611","vol24h":"17602.13085371","ts":"1652459224956"}}]}}"#,
        number % 100
    )
}

pub(crate) fn parse(criterion: &mut Criterion) {
    let any = |_: &str| true;
    let recordings = ["cf-20220513", "cf-20210722-a", "cf-20220228"];
    let spot = |file: &str| recordings.map(|recording| format!("okx/spot/{recording}/{file}"));
    let paths = |files: &[String; 3], keep: &dyn Fn(&str) -> bool| {
        captured(&files.each_ref().map(String::as_str), keep)
    };
    let frames = or_written(paths(&spot("trades.raw.jsonl"), &any), trade);
    message::<Trades>(criterion, "okx_trade", &mut decoder("spot", &frames), &frames);
    let frames = written(trade);
    message::<Trades>(criterion, "okx_trade_2026", &mut decoder("spot", &frames), &frames);
    let frames = written(quote);
    message::<Quotes>(criterion, "okx_quote", &mut decoder("spot", &frames), &frames);
    let frames = or_written(paths(&spot("tickers.raw.jsonl"), &any), ticker);
    message::<Tickers>(criterion, "okx_ticker", &mut decoder("spot", &frames), &frames);

    // With a checksum, as all before 2026.
    let files = ["okx/spot/cf-20220513/books.raw.jsonl", "okx/futures/cf-20220513/books.raw.jsonl"];
    let about_twenty = |frame: &str| {
        frame.contains(r#""action":"update""#) && (16..=24).contains(&frame.matches("[\"").count())
    };
    let frames = or_written(captured(&files, about_twenty), book);
    message::<Books>(criterion, "okx_book_20", &mut decoder("spot", &frames), &frames);
    let frames = written(book);
    message::<Books>(criterion, "okx_book_20_2026", &mut decoder("spot", &frames), &frames);
}

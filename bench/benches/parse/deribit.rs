//! Deribit: trades, quotes, tickers, changes of books.

use criterion::Criterion;
use marketprism_deribit::FrameDecoder;
use serde::Deserialize;

use crate::harness::{captured, message, or_written, shape, symbols, written};

#[derive(Deserialize)]
#[allow(dead_code)]
struct Notification<'a, T> {
    jsonrpc: &'a str,
    method: &'a str,
    params: Parameters<'a, T>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Parameters<'a, T> {
    #[serde(borrow)]
    channel: &'a str,
    data: T,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Trade<'a> {
    trade_seq: u64,
    trade_id: &'a str,
    timestamp: u64,
    tick_direction: u8,
    price: f64,
    mark_price: f64,
    instrument_name: &'a str,
    index_price: f64,
    direction: &'a str,
    amount: f64,
    iv: Option<f64>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Quote<'a> {
    timestamp: u64,
    instrument_name: &'a str,
    best_ask_price: f64,
    best_bid_price: f64,
    best_ask_amount: f64,
    best_bid_amount: f64,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Book<'a> {
    r#type: &'a str,
    timestamp: u64,
    prev_change_id: Option<u64>,
    instrument_name: &'a str,
    change_id: u64,
    #[serde(borrow)]
    bids: Vec<(&'a str, f64, f64)>,
    #[serde(borrow)]
    asks: Vec<(&'a str, f64, f64)>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Statistics {
    volume: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Sensitivities {
    vega: f64,
    theta: f64,
    rho: f64,
    gamma: f64,
    delta: f64,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Ticker<'a> {
    underlying_price: Option<f64>,
    timestamp: u64,
    stats: Statistics,
    open_interest: f64,
    mark_price: f64,
    mark_iv: Option<f64>,
    last_price: Option<f64>,
    interest_rate: Option<f64>,
    instrument_name: &'a str,
    index_price: f64,
    greeks: Option<Sensitivities>,
    bid_iv: Option<f64>,
    best_bid_price: Option<f64>,
    best_bid_amount: f64,
    best_ask_price: Option<f64>,
    best_ask_amount: f64,
    ask_iv: Option<f64>,
    current_funding: Option<f64>,
    funding_8h: Option<f64>,
}

type TradeNotification<'a> = Notification<'a, (Trade<'a>,)>;
type QuoteNotification<'a> = Notification<'a, Quote<'a>>;
type BookNotification<'a> = Notification<'a, Book<'a>>;
type TickerNotification<'a> = Notification<'a, Ticker<'a>>;

shape!(Trades, TradeNotification, |m| m.params.channel.len() + m.params.data.0.timestamp as usize);
shape!(Quotes, QuoteNotification, |m| m.params.channel.len() + m.params.data.timestamp as usize);
shape!(Books, BookNotification, |m| m.params.data.bids.len() + m.params.data.asks.len());
shape!(Tickers, TickerNotification, |m| m.params.channel.len() + m.params.data.timestamp as usize);

fn decoder(frames: &[Vec<u8>]) -> FrameDecoder {
    FrameDecoder::new("option", symbols(frames, r#""instrument_name":""#))
}

fn notification(channel: &str, data: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}"#)
}

/// In the order of 2026.
fn trade(number: usize) -> String {
    let data = format!(
        r#"[{{"timestamp":1787562{:06},"iv":78.{},"price":0.{:03}5,"amount":{}.{},"direction":"{}","index_price":56{:03}.63,"instrument_name":"BTC-25DEC26-100000-C","trade_seq":{},"mark_price":0.0{}670817,"tick_direction":{},"contracts":0.1,"trade_id":"{}"}}]"#,
        number * 131,
        1 + number % 90,
        1 + number % 900,
        number % 20,
        number % 10,
        if number.is_multiple_of(3) { "buy" } else { "sell" },
        number,
        1706 + number,
        1 + number % 9,
        number % 4,
        137488100 + number
    );
    notification("trades.BTC-25DEC26-100000-C.100ms", &data)
}

fn quote(number: usize) -> String {
    let data = format!(
        r#"{{"timestamp":1787562{:06},"instrument_name":"BTC-PERPETUAL","best_ask_price":92{:03}.5,"best_bid_price":92{:03}.0,"best_ask_amount":{}0.0,"best_bid_amount":133440.0}}"#,
        number * 131,
        100 + number,
        99 + number,
        1 + number * 97
    );
    notification("quote.BTC-PERPETUAL", &data)
}

/// Of `levels` levels a side.
fn book(number: usize, levels: usize) -> String {
    let side = |base: usize| -> String {
        let level = |level: usize| {
            let amount = (number * 31 + level * 7919) % 300_000;
            let (action, amount) = match amount % 4 {
                0 => ("delete", 0),
                1 => ("new", amount),
                _ => ("change", amount),
            };
            format!(r#"["{action}",{}.{},{amount}.0]"#, base + level, 5 * ((number + level) % 2))
        };
        (0..levels).map(level).collect::<Vec<_>>().join(",")
    };
    let data = format!(
        r#"{{"type":"change","timestamp":1787562{:06},"prev_change_id":{},"instrument_name":"BTC-PERPETUAL","change_id":{},"bids":[{}],"asks":[{}]}}"#,
        number * 131,
        136725664000_u64 + number as u64 * 17,
        136725664017_u64 + number as u64 * 17,
        side(92_200),
        side(92_300)
    );
    notification("book.BTC-PERPETUAL.100ms", &data)
}

/// Of a perpetual, in the order of 2026.
fn ticker(number: usize) -> String {
    let data = format!(
        r#"{{"timestamp":1787562{:06},"state":"open","stats":{{"high":93612.0,"low":89277.5,"price_change":2.3275,"volume":11897.27640428,"volume_usd":1092371540.0,"volume_notional":1092371540.0}},"index_price":92263.55,"instrument_name":"BTC-PERPETUAL","last_price":92283.5,"settlement_price":92464.66,"min_price":90897.5,"max_price":93666.5,"open_interest":1132{:03}370.0,"mark_price":92{:03}.78,"interest_value":0.0028213400122472,"best_ask_price":92284.0,"best_bid_price":92283.5,"estimated_delivery_price":92263.55,"best_ask_amount":{}0.0,"best_bid_amount":117660.0,"current_funding":0.0,"funding_8h":0.00001742}}"#,
        number * 131,
        number,
        100 + number,
        1 + number * 97
    );
    notification("ticker.BTC-PERPETUAL.100ms", &data)
}

pub(crate) fn parse(criterion: &mut Criterion) {
    let frames = written(trade);
    message::<Trades>(criterion, "deribit_trade", &mut decoder(&frames), &frames);
    let frames = written(quote);
    message::<Quotes>(criterion, "deribit_quote", &mut decoder(&frames), &frames);

    let files = |channel: &str| {
        ["cf-20210405", "cf-20210722", "cf-20210417"]
            .map(|recording| format!("deribit/option/{recording}/{channel}_raw.raw.jsonl"))
    };
    let all = |files: &[String; 3], keep: &dyn Fn(&str) -> bool| {
        captured(&files.each_ref().map(String::as_str), keep)
    };
    // Of options, in the order of 2021.
    let frames = or_written(all(&files("ticker"), &|_| true), ticker);
    message::<Tickers>(criterion, "deribit_ticker", &mut decoder(&frames), &frames);
    let frames = written(ticker);
    message::<Tickers>(criterion, "deribit_ticker_2026", &mut decoder(&frames), &frames);

    let change = |frame: &str| frame.contains(r#""type":"change""#);
    let frames = or_written(all(&files("book"), &change), |number| book(number, 1));
    message::<Books>(criterion, "deribit_change", &mut decoder(&frames), &frames);
    let frames = written(|number| book(number, 10));
    message::<Books>(criterion, "deribit_change_20", &mut decoder(&frames), &frames);
}

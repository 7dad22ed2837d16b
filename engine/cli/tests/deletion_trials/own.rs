//! Own frames of every stream with ids, written after the venues' documents: what no capture has, or a bare clone lacks.

use marketprism_core::record::Kind;
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

use crate::messages::{Sequence, message};

/// Messages of a stream.
const MESSAGES: usize = 500;

/// Every venue's streams whose ids follow on each other, two instruments in each.
pub(crate) fn sequences() -> Vec<Sequence> {
    let make = |venue: &str, market: &str, kind, symbols: [&str; 2], frame: Frame| {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut ids = [1_000_000u64, 5_000_000];
        let frames = (0..MESSAGES).map(|index| {
            let which = random.random_range(0..2);
            let last = &mut ids[which];
            frame(symbols[which], index, last, &mut random)
        });
        let messages = frames.map(|frame| message(&frame)).map(|(found, message)| {
            assert_eq!(found, kind);
            message
        });
        Sequence {
            name: format!("own {venue} {market} {kind}"),
            venue: venue.to_owned(),
            market: market.to_owned(),
            kind,
            messages: messages.collect(),
        }
    };
    vec![
        make("binance", "spot", Kind::Trade, ["BTCUSDT", "ETHUSDT"], binance_trade),
        make("binance", "usdm", Kind::AggTrade, ["BTCUSDT", "ETHUSDT"], binance_agg_trade),
        make("binance", "spot", Kind::BookDelta, ["BTCUSDT", "ETHUSDT"], binance_spot_depth),
        make("binance", "usdm", Kind::BookDelta, ["BTCUSDT", "ETHUSDT"], binance_futures_depth),
        make("binance", "coinm", Kind::BookDelta, ["BTCUSD_PERP", "ETHUSD_PERP"], binance_futures_depth),
        make("okx", "swap", Kind::Trade, ["BTC-USDT-SWAP", "ETH-USDT-SWAP"], okx_trade),
        make("okx", "spot", Kind::BookDelta, ["BTC-USDT", "ETH-USDT"], okx_book),
        make("deribit", "perpetual", Kind::Trade, ["BTC-PERPETUAL", "ETH-PERPETUAL"], deribit_trades),
        make("deribit", "perpetual", Kind::BookDelta, ["BTC-PERPETUAL", "ETH-PERPETUAL"], deribit_book),
    ]
}

/// The next message of a symbol whose last id is given and goes on.
type Frame = fn(&str, usize, &mut u64, &mut ChaCha8Rng) -> String;

/// Takes the next `count` ids: the first and the last of them.
fn take(last: &mut u64, count: u64) -> (u64, u64) {
    let first = *last + 1;
    *last += count;
    (first, *last)
}

fn price(random: &mut ChaCha8Rng) -> String {
    format!("{}.{}", random.random_range(100..120), random.random_range(0..10))
}

fn binance_trade(symbol: &str, index: usize, last: &mut u64, random: &mut ChaCha8Rng) -> String {
    let (id, time, price) = (take(last, 1).0, 1_700_000_000_000 + index, price(random));
    format!(
        r#"{{"e":"trade","E":{time},"s":"{symbol}","t":{id},"p":"{price}","q":"0.5","T":{time},"m":false,"M":true}}"#
    )
}

fn binance_agg_trade(symbol: &str, index: usize, last: &mut u64, random: &mut ChaCha8Rng) -> String {
    let (id, time, price) = (take(last, 1).0, 1_700_000_000_000 + index, price(random));
    format!(
        r#"{{"e":"aggTrade","E":{time},"s":"{symbol}","a":{id},"p":"{price}","q":"5","f":{},"l":{},"T":{time},"m":true}}"#,
        id * 2,
        id * 2 + 1
    )
}

fn binance_spot_depth(symbol: &str, index: usize, last: &mut u64, random: &mut ChaCha8Rng) -> String {
    let ((first, end), time) = (take(last, random.random_range(1..50)), 1_700_000_000_000 + index * 10);
    let (bid, ask) = (price(random), price(random));
    format!(
        r#"{{"e":"depthUpdate","E":{time},"s":"{symbol}","U":{first},"u":{end},"b":[["{bid}","1"]],"a":[["2{ask}","1"]]}}"#
    )
}

/// Ids of futures are those of all instruments together: a message begins anywhere behind the one before.
fn binance_futures_depth(symbol: &str, index: usize, last: &mut u64, random: &mut ChaCha8Rng) -> String {
    let (previous, time) = (*last, 1_700_000_000_000 + index * 10);
    take(last, random.random_range(0..1000));
    let (first, end) = take(last, random.random_range(1..50));
    let (bid, ask) = (price(random), price(random));
    format!(
        r#"{{"e":"depthUpdate","E":{time},"T":{time},"s":"{symbol}","U":{first},"u":{end},"pu":{previous},"b":[["{bid}","1"]],"a":[["2{ask}","1"]]}}"#
    )
}

fn okx_trade(symbol: &str, index: usize, last: &mut u64, random: &mut ChaCha8Rng) -> String {
    let count = random.random_range(1..5);
    let ((_, end), time, price) = (take(last, count), 1_700_000_000_000 + index, price(random));
    format!(
        r#"{{"arg":{{"channel":"trades","instId":"{symbol}"}},"data":[{{"instId":"{symbol}","tradeId":"{end}","px":"{price}","sz":"3","side":"buy","ts":"{time}","count":"{count}","source":"0","seqId":{end}}}]}}"#
    )
}

fn okx_book(symbol: &str, index: usize, last: &mut u64, random: &mut ChaCha8Rng) -> String {
    let (previous, time) = (*last, 1_700_000_000_000 + index * 10);
    // Now and then nothing changed and the venue says that it is there.
    let is_keep_alive = random.random_ratio(1, 20);
    let (_, end) = take(last, if is_keep_alive { 0 } else { random.random_range(1..30) });
    let bids = if is_keep_alive { String::new() } else { format!(r#"["{}","2","0","1"]"#, price(random)) };
    format!(
        r#"{{"arg":{{"channel":"books","instId":"{symbol}"}},"action":"update","data":[{{"asks":[],"bids":[{bids}],"ts":"{time}","checksum":0,"seqId":{end},"prevSeqId":{previous}}}]}}"#
    )
}

fn deribit_trades(symbol: &str, index: usize, last: &mut u64, random: &mut ChaCha8Rng) -> String {
    let (first, end) = take(last, random.random_range(1..4));
    let time = 1_700_000_000_000 + index;
    let trades: Vec<String> = (first..=end)
        .map(|id| {
            let price = price(random);
            format!(
                r#"{{"timestamp":{time},"price":{price},"amount":10.0,"direction":"sell","index_price":101.5,"instrument_name":"{symbol}","trade_seq":{id},"mark_price":101.25,"tick_direction":2,"contracts":1.0,"trade_id":"{id}"}}"#
            )
        })
        .collect();
    format!(
        r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"trades.{symbol}.100ms","data":[{}]}}}}"#,
        trades.join(",")
    )
}

fn deribit_book(symbol: &str, index: usize, last: &mut u64, random: &mut ChaCha8Rng) -> String {
    let (previous, time) = (*last, 1_700_000_000_000 + index * 100);
    let (_, end) = take(last, random.random_range(1..1000));
    let price = price(random);
    format!(
        r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"book.{symbol}.100ms","data":{{"type":"change","timestamp":{time},"prev_change_id":{previous},"instrument_name":"{symbol}","change_id":{end},"bids":[["new",{price},10.0]],"asks":[]}}}}}}"#
    )
}

//! The program, and a small log.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytemuck::Zeroable;
use marketprism_core::record::*;
use marketprism_core::{Decimal, Instrument};
use marketprism_log::{Appender, BatchBuilder, LogOptions};
use serde_json::Value;

/// 2024-08-08T23:54:15Z.
pub(crate) const START_NS: i64 = 1_723_161_255_000_000_000;

/// Exit code, standard output and standard error.
pub(crate) type Ran = (Option<i32>, String, String);

pub(crate) fn command(name: &str, directory: &Path, extra: &[&str]) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_marketprism"));
    process.arg(name).arg(directory).args(extra);
    process
}

pub(crate) fn run(name: &str, directory: &Path, extra: &[&str]) -> Ran {
    let Output { status, stdout, stderr } = command(name, directory, extra).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The JSON lines of a query that succeeds.
pub(crate) fn rows(directory: &Path, extra: &[&str]) -> Vec<Value> {
    let (code, text, said) = run("query", directory, &[&["--format", "json"], extra].concat());
    assert_eq!(code, Some(0), "{said}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn header(kind: Kind, instrument: u32, receive_ns: i64, sequence: u64) -> Header {
    Header { sequence, price_exponent: -1, ..Header::new(kind, instrument, receive_ns) }
}

/// When the trade with this number was received: one each millisecond.
pub(crate) fn trade_ns(id: u64) -> i64 {
    START_NS + id as i64 * 1_000_000
}

pub(crate) fn trade(instrument: u32, id: u64) -> Trade {
    let header = header(Kind::Trade, instrument, trade_ns(id), id);
    Trade { header, price: 100_000 + id as i64, quantity: 7, side: 1, ..Trade::zeroed() }
}

pub(crate) fn instruments() -> [Instrument; 3] {
    let named = |venue: &str, market: &str, venue_symbol: &str, symbol: &str| Instrument {
        symbol: symbol.into(),
        base: "BTC".into(),
        quote: "USDT".into(),
        ..Instrument::unknown(venue, market, venue_symbol)
    };
    let swap = named("okx", "swap", "BTC-USDT-SWAP", "BTC-USDT-PERP");
    [
        named("binance", "spot", "BTCUSDT", "BTC-USDT"),
        named("binance", "usdm", "BTCUSDT", "BTC-USDT-PERP"),
        Instrument { multiplier: Some(Decimal::new(1, -2)), ..swap },
    ]
}

/// An empty log with these instruments, whose ids count from 1.
pub(crate) fn open_log(directory: &Path) -> Appender {
    let options = LogOptions { sync_directory: false, run_id: 1, ..LogOptions::default() };
    let (mut appender, _) = Appender::open(directory, options).unwrap();
    for instrument in instruments() {
        appender.registry_mut().define(instrument);
    }
    appender
}

/// Trades `0..3000`, one each millisecond, of the three instruments in turn, in three segments. Those of OKX are
/// detailed. A book of two levels a side comes after every thousandth trade. Gives the segments' files.
pub(crate) fn write_log(directory: &Path) -> Vec<PathBuf> {
    let mut appender = open_log(directory);
    for segment in 0..3_u64 {
        for part in 0..10 {
            let mut batch = BatchBuilder::new();
            for id in (segment * 10 + part) * 100..(segment * 10 + part + 1) * 100 {
                push_trade(&mut batch, id);
            }
            if part == 9 {
                push_book(&mut batch, segment * 1000 + 999);
            }
            appender.append(&mut batch).unwrap();
        }
        if segment < 2 {
            appender.rotate().unwrap();
        }
    }
    appender.seal().unwrap();
    segments(directory)
}

fn push_trade(batch: &mut BatchBuilder, id: u64) {
    let trade = trade(1 + (id % 3) as u32, id);
    if trade.header.instrument < 3 {
        batch.push(RecordRef::Trade(&trade)).unwrap();
        return;
    }
    let header = Header { kind: Kind::DetailedTrade as u8, ..trade.header };
    let detailed = DetailedTrade { trade: Trade { header, ..trade }, ..DetailedTrade::zeroed() };
    batch.push(RecordRef::DetailedTrade(&detailed)).unwrap();
}

fn push_book(batch: &mut BatchBuilder, id: u64) {
    let mut header = header(Kind::BookSnapshot, 1, trade_ns(id), id);
    header.flags = flag::SNAPSHOT | flag::REST;
    let book = Book { header, previous_id: ABSENT, bid_levels: 2, ask_levels: 2, ..Book::zeroed() };
    let level = |price| Level { price, quantity: 3 };
    batch.push(RecordRef::Book(&book, &[level(100), level(99), level(101), level(102)])).unwrap();
}

/// The segments' files, in order.
pub(crate) fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    files.sort();
    files
}

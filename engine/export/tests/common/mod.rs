//! Logs for the tests, and what is in an export.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytemuck::Zeroable;
use marketprism_core::Instrument;
use marketprism_core::instrument::InstrumentType;
use marketprism_core::record::*;
use marketprism_core::venue::Continuity;
use marketprism_export::{ExportError, Format, Progress, Request, Summary, export};
use marketprism_log::{Appender, BatchBuilder, LogOptions, LogReader};

/// The day 2024-08-08, at 23:59:50 UTC.
pub const START_NS: i64 = 1_723_161_590_000_000_000;
/// Midnight behind it.
pub const MIDNIGHT_NS: i64 = 1_723_161_600_000_000_000;
pub const SECOND_NS: i64 = 1_000_000_000;

pub const FORMATS: [Format; 3] = [Format::Parquet, Format::TardisCsv, Format::Hftbacktest];

pub fn perpetual(name: &str) -> Instrument {
    Instrument {
        symbol: format!("{name}-USDT-PERP"),
        instrument_type: InstrumentType::Perpetual,
        ..Instrument::unknown("binance", "usdm", &format!("{name}USDT"))
    }
}

/// A log that is being written: one batch for each push of some records.
pub struct Log {
    pub appender: Appender,
    batch: BatchBuilder,
}

impl Log {
    /// An empty log with instruments whose ids count from 1.
    pub fn new(directory: &Path, instruments: impl IntoIterator<Item = Instrument>) -> Log {
        let options = LogOptions { sync_directory: false, run_id: 1, ..LogOptions::default() };
        let (mut appender, _) = Appender::open(directory, options).unwrap();
        for instrument in instruments {
            appender.registry_mut().define(instrument);
        }
        Log { appender, batch: BatchBuilder::new() }
    }

    pub fn push(&mut self, record: RecordRef<'_>) {
        self.batch.push(record).unwrap();
        if self.batch.records() >= 500 {
            self.write();
        }
    }

    /// Ends the batch.
    pub fn write(&mut self) {
        self.appender.append(&mut self.batch).unwrap();
    }

    /// Ends the segment.
    pub fn seal(&mut self) {
        self.write();
        self.appender.seal().unwrap();
    }
}

pub fn header(kind: Kind, instrument: u32, receive_ns: i64, sequence: u64) -> Header {
    Header {
        sequence,
        price_exponent: -1,
        quantity_exponent: -3,
        exchange_ns: receive_ns - 3_000_000,
        ..Header::new(kind, instrument, receive_ns)
    }
}

pub fn trade(instrument: u32, receive_ns: i64, id: u64) -> Trade {
    let header = header(Kind::Trade, instrument, receive_ns, id);
    let side = 1 + (id % 2) as u8;
    Trade {
        header,
        price: 600_000 + (id % 97) as i64,
        quantity: 1 + (id % 13) as i64,
        event_ns: ABSENT,
        side,
        ..Trade::zeroed()
    }
}

pub fn quote(instrument: u32, receive_ns: i64, id: u64) -> Quote {
    let header = header(Kind::Quote, instrument, receive_ns, id);
    let price = 600_000 + (id % 31) as i64;
    Quote { header, bid_price: price, bid_quantity: 5, ask_price: price + 1, ask_quantity: 7 }
}

/// A delta with the id `id` behind the one with `id - 1`; the first `bids` levels are bids.
pub fn delta(instrument: u32, receive_ns: i64, id: u64, (bids, asks): (usize, usize)) -> Book {
    Book {
        header: header(Kind::BookDelta, instrument, receive_ns, id),
        first_id: id,
        previous_id: id as i64 - 1,
        event_ns: ABSENT,
        level_start: 0,
        bid_levels: bids as u16,
        ask_levels: asks as u16,
    }
}

/// A snapshot from REST, which has no time of the venue.
pub fn snapshot(instrument: u32, receive_ns: i64, id: u64, sides: (usize, usize)) -> Book {
    let mut book = delta(instrument, receive_ns, id, sides);
    book.header.kind = Kind::BookSnapshot as u8;
    book.header.flags = flag::SNAPSHOT | flag::REST;
    book.header.exchange_ns = ABSENT;
    book.previous_id = ABSENT;
    book
}

pub fn gap(instrument: u32, receive_ns: i64, stream: Kind) -> Gap {
    let header = Header::new(Kind::Gap, instrument, receive_ns);
    let (stream, reason) = (stream as u8, GapReason::Disconnected as u8);
    Gap { header, from_ns: receive_ns - SECOND_NS, stream, reason, ..Gap::zeroed() }
}

pub fn levels(prices_and_quantities: &[(i64, i64)]) -> Vec<Level> {
    prices_and_quantities
        .iter()
        .map(|(price, quantity)| Level { price: *price, quantity: *quantity })
        .collect()
}

/// A snapshot of ten levels a side around 60,000.
pub fn ten_levels() -> Vec<Level> {
    let bids = (0..10).map(|place| (600_000 - place * 5, 1000 + place));
    let asks = (0..10).map(|place| (600_010 + place * 5, 2000 + place));
    levels(&bids.chain(asks).collect::<Vec<_>>())
}

/// Random numbers, the same every time.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// The ids of the books of [`market_hours`].
pub type LastIds = Vec<u64>;

/// Trades, quotes and books of `instruments`, `records` of them, one each `step_ns`. Once in a while a stream has a
/// hole: its book is not valid until the next snapshot.
pub fn market_hours(log: &mut Log, ids: &mut LastIds, start_ns: i64, step_ns: i64, records: u64) {
    let mut numbers = Numbers(start_ns as u64);
    for place in 0..records {
        let receive_ns = start_ns + place as i64 * step_ns;
        let index = numbers.below(ids.len() as u64) as usize;
        let instrument = index as u32 + 1;
        let id = start_ns as u64 / 1_000_000 + place;
        match numbers.below(8) {
            _ if ids[index] == 0 => {
                ids[index] = 1000;
                log.push(RecordRef::Book(&snapshot(instrument, receive_ns, 1000, (10, 10)), &ten_levels()));
            }
            0..3 => log.push(RecordRef::Trade(&trade(instrument, receive_ns, id))),
            3..5 => log.push(RecordRef::Quote(&quote(instrument, receive_ns, id))),
            _ if numbers.below(500) == 0 => {
                log.push(RecordRef::Gap(&gap(instrument, receive_ns, Kind::BookDelta)));
                ids[index] = 0;
            }
            _ => {
                ids[index] += 1;
                let changed = [
                    (599_950 + numbers.below(10) as i64 * 5, numbers.below(4) as i64),
                    (600_010 + numbers.below(20) as i64 * 5, numbers.below(4) as i64),
                ];
                log.push(RecordRef::Book(
                    &delta(instrument, receive_ns, ids[index], (1, 1)),
                    &levels(&changed),
                ));
            }
        }
    }
}

pub fn continuity(instrument: &Instrument) -> Option<Continuity> {
    match instrument.venue.as_str() {
        "binance" => Some(Continuity::Linked),
        "okx" | "deribit" => Some(Continuity::Chained),
        _ => None,
    }
}

pub fn request(format: Format, out: &Path) -> Request<'_> {
    Request {
        format,
        out,
        from_ns: i64::MIN,
        end_ns: i64::MAX,
        instruments: None,
        kinds: vec![],
        book_snapshots: vec![],
        filter: serde_json::json!({}),
        continuity: &continuity,
        memory_bytes: 256 << 20,
    }
}

pub fn run(log: &Path, request: &Request<'_>) -> Result<Summary, ExportError> {
    run_with(log, request, &mut |_| ())
}

pub fn run_with(
    log: &Path,
    request: &Request<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, ExportError> {
    export(&LogReader::open(log).unwrap(), request, progress)
}

/// All files below a folder with their bytes.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

//! The export of a log in each format: records a second on one core.

use std::path::Path;
use std::time::Duration;

use bytemuck::Zeroable;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use marketprism_core::Instrument;
use marketprism_core::instrument::InstrumentType;
use marketprism_core::record::{ABSENT, Book, Header, Kind, Level, Quote, RecordRef, Trade, flag};
use marketprism_core::venue::Continuity;
use marketprism_export::{Format, MEMORY_BYTES, Request, export};
use marketprism_log::{Appender, BatchBuilder, LogOptions, LogReader};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RECORDS: u64 = 2_000_000;
const INSTRUMENTS: usize = 5;
const BATCH_RECORDS: u64 = 2000;
/// 2026-11-23.
const START_NS: i64 = 1_795_392_000_000_000_000;

/// Numbers that look random.
fn noise(place: u64, end: u64) -> u64 {
    (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % end
}

fn header(kind: Kind, place: u64) -> Header {
    let receive_ns = START_NS + place as i64 * 10_000 + noise(place, 9_000) as i64;
    Header {
        sequence: 40_000_000_000 + place,
        price_exponent: -2,
        quantity_exponent: -3,
        exchange_ns: (receive_ns - 4_000_000) / 1_000_000 * 1_000_000,
        ..Header::new(kind, 1 + place as u32 % INSTRUMENTS as u32, receive_ns)
    }
}

fn price(place: u64) -> i64 {
    6_000_000 + noise(place / 1000, 5000) as i64 + noise(place, 40) as i64
}

/// Appends a record; `last_ids` are the ids of the books.
fn push(batch: &mut BatchBuilder, last_ids: &mut [u64; INSTRUMENTS], place: u64) {
    let quantity = 1 + noise(place, 5000) as i64;
    let pushed = match noise(place, 10) {
        _ if place < INSTRUMENTS as u64 => {
            let mut header = header(Kind::BookSnapshot, place);
            (header.flags, header.sequence) = (flag::SNAPSHOT, 0);
            let book = Book { header, previous_id: ABSENT, bid_levels: 1, ask_levels: 1, ..Book::zeroed() };
            let levels = [Level { price: 5_990_000, quantity }, Level { price: 7_000_000, quantity }];
            batch.push(RecordRef::Book(&book, &levels))
        }
        0..5 => {
            let header = header(Kind::Trade, place);
            let side = 1 + (place % 2) as u8;
            let trade =
                Trade { header, price: price(place), quantity, side, event_ns: ABSENT, ..Trade::zeroed() };
            batch.push(RecordRef::Trade(&trade))
        }
        5..8 => {
            let header = header(Kind::Quote, place);
            let bid_price = price(place);
            let ask_price = bid_price + 1;
            let quote =
                Quote { header, bid_price, bid_quantity: quantity, ask_price, ask_quantity: quantity };
            batch.push(RecordRef::Quote(&quote))
        }
        _ => {
            let mut header = header(Kind::BookDelta, place);
            let last_id = &mut last_ids[place as usize % INSTRUMENTS];
            let previous_id = *last_id as i64;
            *last_id += 1;
            header.sequence = *last_id;
            let book = Book {
                header,
                first_id: *last_id,
                previous_id,
                bid_levels: 2,
                ask_levels: 2,
                ..Book::zeroed()
            };
            let level = |place, base| Level {
                price: base + noise(place, 200) as i64,
                quantity: noise(place, 3) as i64,
            };
            let levels = [1, 2, 3, 4].map(|n| level(place + n, if n < 3 { 5_990_000 } else { 7_000_000 }));
            batch.push(RecordRef::Book(&book, &levels))
        }
    };
    pushed.expect("a well-formed record");
}

fn write_log(directory: &Path) {
    let (mut appender, _) = Appender::open(directory, LogOptions::default()).expect("a log");
    for number in 0..INSTRUMENTS {
        appender.registry_mut().define(Instrument {
            symbol: format!("C{number}-USDT-PERP"),
            instrument_type: InstrumentType::Perpetual,
            ..Instrument::unknown("binance", "usdm", &format!("C{number}USDT"))
        });
    }
    let (mut batch, mut last_ids) = (BatchBuilder::new(), [0; INSTRUMENTS]);
    for start in (0..RECORDS).step_by(BATCH_RECORDS as usize) {
        (start..start + BATCH_RECORDS).for_each(|place| push(&mut batch, &mut last_ids, place));
        appender.append(&mut batch).expect("room");
    }
    appender.seal().expect("room");
}

/// Half trades, three tenths quotes, a fifth deltas of four levels, of five instruments.
fn formats(criterion: &mut Criterion) {
    let log = tempfile::tempdir().expect("a directory");
    write_log(log.path());
    let reader = LogReader::open(log.path()).expect("a log");
    let mut group = criterion.benchmark_group("export");
    group.throughput(Throughput::Elements(RECORDS));
    for format in [Format::Parquet, Format::TardisCsv, Format::Hftbacktest] {
        group.bench_function(format.name(), |bencher| {
            bencher.iter_with_large_drop(|| {
                let out = tempfile::tempdir().expect("a directory");
                let request = Request {
                    format,
                    out: out.path(),
                    from_ns: i64::MIN,
                    end_ns: i64::MAX,
                    instruments: None,
                    kinds: vec![],
                    book_snapshots: vec![],
                    filter: serde_json::Value::Null,
                    continuity: &|_| Some(Continuity::Linked),
                    memory_bytes: MEMORY_BYTES,
                };
                let summary = export(&reader, &request, &mut |_| ()).expect("room");
                assert!(summary.rows > 0 && summary.left_out.is_empty());
                out
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(10)).sample_size(10);
    targets = formats
}
criterion_main!(benches);

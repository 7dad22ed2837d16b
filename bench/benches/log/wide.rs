//! A day of a few hundred instruments, compacted: what its forms cost, and what a query of one instrument's hour reads.

use std::cell::Cell;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use criterion::{Criterion, Throughput};
use marketprism_core::Instrument;
use marketprism_core::record::{Book, Header, Kind, Level, Line, Quote, RecordRef, Trade};
use marketprism_log::format::{BatchHeader, Codec, HEADER_BYTES, checksum, padded};
use marketprism_log::{Appender, BatchBuilder, Batches, LogOptions, LogReader, Segment, Selection, compact};

use crate::others;

const INSTRUMENTS: u32 = 600;
const RECORDS: u64 = 3_000_000;
const HOURS: u64 = 24;
const HOUR_NS: i64 = 3_600_000_000_000;

/// A small generator of numbers that look random; the same ones each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What is known of an instrument on the way.
#[derive(Clone, Copy)]
struct Market {
    price: i64,
    id: u64,
}

/// Pushes one record: of ten, six quotes, two deltas of one to eight levels, and two trades.
fn push(batch: &mut BatchBuilder, numbers: &mut Numbers, markets: &mut [Market], receive_ns: i64) {
    // The n-th instrument has about one n-th of the records of the first.
    let rank =
        (f64::from(INSTRUMENTS).powf(numbers.below(1 << 20) as f64 / f64::from(1 << 20)) - 1.0) as usize;
    let instrument = rank as u32 + 1;
    let market = &mut markets[rank];
    market.id += 1 + numbers.below(3);
    market.price += numbers.below(7) as i64 - 3;
    let exchange_ns = receive_ns - 1_000_000 - numbers.below(500_000) as i64;
    let header =
        |kind| Header { sequence: market.id, exchange_ns, ..Header::new(kind, instrument, receive_ns) };
    let mut quantity = || 1 + (numbers.below(1000) * numbers.below(1000)) as i64;
    let pushed = match market.id % 10 {
        0..6 => batch.push(RecordRef::Quote(&Quote {
            header: header(Kind::Quote),
            bid_price: market.price,
            bid_quantity: quantity(),
            ask_price: market.price + 1,
            ask_quantity: quantity(),
        })),
        6..8 => {
            let levels: Vec<Level> = (0..1 + market.id as i64 % 8)
                .map(|step| Level { price: market.price - step * 2, quantity: quantity() })
                .collect();
            let book = Book {
                header: header(Kind::BookDelta),
                first_id: market.id,
                previous_id: market.id as i64 - 1,
                event_ns: exchange_ns,
                bid_levels: levels.len() as u16,
                ..bytemuck::Zeroable::zeroed()
            };
            batch.push(RecordRef::Book(&book, &levels))
        }
        _ => batch.push(RecordRef::Trade(&Trade {
            header: header(Kind::Trade),
            price: market.price,
            quantity: quantity(),
            event_ns: exchange_ns + 100_000,
            side: 1 + (market.id % 2) as u8,
            ..bytemuck::Zeroable::zeroed()
        })),
    };
    pushed.expect("a well-formed record");
}

/// Writes the day, a segment an hour and a batch every few milliseconds.
fn write(directory: &Path) {
    let options = LogOptions { sync_directory: false, ..LogOptions::default() };
    let (mut appender, _) = Appender::open(directory, options).expect("a log");
    for instrument in 1..=INSTRUMENTS {
        let symbol = format!("S{instrument}USDT");
        appender.registry_mut().define(Instrument::unknown("binance", "spot", &symbol));
    }
    let mut markets = vec![Market { price: 5_000_000, id: 0 }; INSTRUMENTS as usize];
    let (mut numbers, mut batch) = (Numbers(1), BatchBuilder::new());
    let per_hour = RECORDS / HOURS;
    for index in 0..RECORDS {
        let receive_ns = HOUR_NS / per_hour as i64 * index as i64 + numbers.below(1000) as i64;
        push(&mut batch, &mut numbers, &mut markets, receive_ns);
        if batch.records() == 64 || (index + 1) % per_hour == 0 {
            appender.append(&mut batch).expect("room");
        }
        if (index + 1) % per_hour == 0 {
            appender.rotate().expect("room");
        }
    }
}

/// The log as it was compressed before: batches of 1 MiB, one frame each, behind one another as in a segment.
fn one_frame_a_batch(reader: &LogReader) -> Vec<Line> {
    let mut bytes = vec![0; HEADER_BYTES];
    let (mut builder, mut plain, mut next) = (BatchBuilder::new(), Vec::new(), 0);
    let mut flush = |builder: &mut BatchBuilder, first: u64| {
        builder.finish(first, &mut plain).expect("a batch");
        let mut header = BatchHeader::read(&plain).expect("a header");
        let body = &plain[HEADER_BYTES..HEADER_BYTES + header.body_bytes as usize];
        let mut frame = zstd::bulk::compress(body, 3).expect("memory");
        (header.codec, header.body_bytes) = (Codec::Zstd as u8, frame.len() as u32);
        frame.resize(padded(frame.len()), 0);
        header.body_checksum = checksum(&frame);
        header.checksum = checksum(&bytemuck::bytes_of(&header)[..HEADER_BYTES - 4]);
        bytes.extend_from_slice(bytemuck::bytes_of(&header));
        bytes.extend_from_slice(&frame);
    };
    let report = reader.for_each(&Selection::default(), |sequence, record, _| {
        if builder.bytes_estimate() >= 1 << 20 {
            flush(&mut builder, next);
            next = sequence;
        }
        builder.push(record).expect("a whole record");
        ControlFlow::Continue(())
    });
    assert_eq!(report.expect("a log").records, RECORDS);
    flush(&mut builder, next);
    bytes.chunks_exact(HEADER_BYTES).map(bytemuck::pod_read_unaligned).collect()
}

/// A number of the records of some batches, so that each is looked at; and how many there are.
fn scan(mut batches: Batches<'_>) -> (i64, u64) {
    let (mut sum, mut records) = (0i64, 0);
    while let Some(batch) = batches.next_batch() {
        for (_, record) in batch.expect("whole").records() {
            sum = sum.wrapping_add(match record {
                RecordRef::Trade(trade) => trade.price,
                RecordRef::Quote(quote) => quote.bid_price,
                RecordRef::Book(_, levels) => levels.iter().map(|level| level.price).sum(),
                other => other.header().receive_ns,
            });
            records += 1;
        }
    }
    (sum, records)
}

/// CPU time of this thread, nanoseconds: other programs on the machine hardly change it.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Prints the CPU time of the best of some scans.
fn print_scan(name: &str, bytes: u64, scan: impl Fn() -> u64) {
    let times = (0..7).map(|_| {
        let start = cpu_ns();
        assert!(scan() >= RECORDS, "dictionaries count too");
        cpu_ns() - start
    });
    let best = times.min().unwrap_or(0) as f64;
    println!(
        "scan of {name}: {:.2} GB of records a second of CPU time, {:.0} ns a record",
        bytes as f64 / best,
        best / RECORDS as f64
    );
}

/// Memory of this process that no file stands behind, bytes.
fn anonymous_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = statm.split(' ').skip(1).map(|number| number.parse().unwrap_or(0u64));
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    resident.saturating_sub(shared) * 4096
}

fn compact_all(reader: &LogReader) {
    let before = anonymous_bytes();
    let (peak, asked) = (Cell::new(before), Cell::new(0u32));
    let go_on = || {
        asked.set(asked.get() + 1);
        if asked.get().is_multiple_of(64) {
            peak.set(peak.get().max(anonymous_bytes()));
        }
        true
    };
    let start = Instant::now();
    let (mut bytes_before, mut bytes_after) = (0, 0);
    for path in reader.segments().iter().take(HOURS as usize) {
        let done = compact(path, go_on).expect("room").expect("a sealed segment");
        bytes_before += done.bytes_before;
        bytes_after += done.bytes_after;
    }
    println!(
        "compact: {bytes_before} -> {bytes_after} bytes, {:.1} s, {} MiB of memory",
        start.elapsed().as_secs_f64(),
        (peak.get() - before) >> 20
    );
}

/// Reads one instrument's hour and prints what that took.
fn query(reader: &LogReader, name: &str, instrument: u32) {
    let hour = |hour: i64| Selection {
        from_ns: hour * HOUR_NS,
        end_ns: (hour + 1) * HOUR_NS,
        instruments: Some([instrument].into()),
        ..Selection::default()
    };
    let mut own = BatchBuilder::new();
    let start = Instant::now();
    let report = reader.for_each(&hour(13), |_, record, _| {
        own.push(record).expect("a whole record");
        ControlFlow::Continue(())
    });
    let (report, seconds) = (report.expect("a log"), start.elapsed().as_secs_f64());
    let mut archived = Vec::new();
    own.finish(0, &mut archived).expect("a batch");
    let alone = zstd::bulk::compress(&archived[HEADER_BYTES..], 3).expect("memory").len() as u64;
    println!(
        "query of one hour of a {name} instrument: {} records, {} of {} bytes read, {:.1} times its own {alone}, {:.1} ms",
        report.records,
        report.bytes_read,
        report.bytes,
        report.bytes_read as f64 / alone as f64,
        seconds * 1e3
    );
}

/// The day in three forms, read as a whole; and queries.
pub(crate) fn wide(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    write(directory.path());
    let reader = LogReader::open(directory.path()).expect("a log");
    let frames = one_frame_a_batch(&reader);
    let decoded: u64 =
        reader.segments().iter().map(|path| std::fs::metadata(path).map_or(0, |m| m.len())).sum();
    println!(
        "{RECORDS} records of {INSTRUMENTS} instruments, {decoded} bytes; one frame a batch: {}",
        frames.len() * 64
    );
    let all = |checksums: bool| {
        let count = |path: &PathBuf| {
            let segment = Segment::map(path).expect("a segment");
            scan(if checksums { segment.batches() } else { segment.batches_unchecked() }).1
        };
        reader.segments().iter().map(count).sum::<u64>()
    };
    print_scan("plain batches", decoded, || all(true));
    print_scan("one frame a batch", decoded, || {
        scan(Batches::over("bench", bytemuck::cast_slice(&frames))).1
    });
    drop(frames);
    others::compare(&reader, "log plain");
    compact_all(&reader);
    others::compare(&reader, "log clustered");
    print_scan("clusters", decoded, || all(true));
    print_scan("clusters without checksums", decoded, || all(false));
    let mut group = criterion.benchmark_group("log/scan/wide");
    group.sample_size(10).throughput(Throughput::Bytes(decoded));
    group.bench_function("clustered", |bencher| bencher.iter(|| black_box(all(true))));
    for (name, instrument) in [("large", 1), ("medium", 30), ("small", 500)] {
        query(&reader, name, instrument);
    }
}

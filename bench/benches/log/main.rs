//! The segment log: batches made, written and read back.

mod others;
mod wide;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use marketprism_core::Instrument;
use marketprism_core::record::{Book, Header, Kind, Level, RecordRef, Trade};
use marketprism_log::{Appender, BatchBuilder, Coverage, LogOptions, LogReader, Segment, Selection, verify};

/// The allocator of the recorder.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bytes of a batch: what stays in the second-level cache.
const BATCH_BYTES: usize = 256 << 10;

/// Bytes of the log that is read back.
const LOG_BYTES: usize = 256 << 20;

const LEVELS: usize = 20;

fn trade(id: u64) -> Trade {
    let mut header = Header::new(Kind::Trade, 1, id as i64);
    header.sequence = id;
    Trade {
        header,
        price: 6_700_000,
        quantity: 12,
        event_ns: id as i64,
        side: 1,
        trade_type: 0,
        reserved: [0; 2],
        fills: 0,
    }
}

fn delta(id: u64) -> Book {
    let mut header = Header::new(Kind::BookDelta, 1, id as i64);
    header.sequence = id;
    Book {
        header,
        first_id: id,
        previous_id: id as i64 - 1,
        event_ns: id as i64,
        level_start: 0,
        bid_levels: LEVELS as u16 / 2,
        ask_levels: LEVELS as u16 / 2,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mix {
    Trades,
    Deltas,
}

impl Mix {
    const ALL: [(Mix, &str); 2] = [(Mix::Trades, "trades"), (Mix::Deltas, "deltas_20_levels")];

    fn record_bytes(self) -> usize {
        if self == Mix::Trades { 64 } else { 64 + LEVELS * 16 }
    }

    fn records(self) -> usize {
        BATCH_BYTES / self.record_bytes()
    }

    fn fill(self, builder: &mut BatchBuilder, next_id: &mut u64) {
        let levels = [Level { price: 6_700_000, quantity: 5 }; LEVELS];
        for _ in 0..self.records() {
            *next_id += 1;
            let pushed = match self {
                Mix::Trades => builder.push(RecordRef::Trade(&trade(*next_id))),
                Mix::Deltas => builder.push(RecordRef::Book(&delta(*next_id), &levels)),
            };
            pushed.expect("a well-formed record");
        }
    }
}

fn open(directory: &Path) -> Appender {
    let (mut appender, _) = Appender::open(directory, LogOptions::default()).expect("a log");
    appender.registry_mut().define(Instrument::unknown("binance", "spot", "BTCUSDT"));
    appender
}

/// `push` and `finish`, checksum included, without a write.
fn build(criterion: &mut Criterion) {
    for (mix, name) in Mix::ALL {
        for (unit, throughput) in [
            ("records", Throughput::Elements(mix.records() as u64)),
            ("bytes", Throughput::Bytes((mix.records() * mix.record_bytes()) as u64)),
        ] {
            let mut group = criterion.benchmark_group(format!("log/build/{name}"));
            group.throughput(throughput);
            let (mut builder, mut out, mut id) = (BatchBuilder::new(), Vec::new(), 0);
            group.bench_function(unit, |bencher| {
                bencher.iter(|| {
                    mix.fill(&mut builder, &mut id);
                    builder.finish(id, &mut out).expect("a batch");
                    black_box(&out);
                });
            });
        }
    }
}

/// The same with `pwrite` into a temporary directory; rotates, and leaves the disk to the kernel.
fn append(criterion: &mut Criterion) {
    for (mix, name) in Mix::ALL {
        let mut group = criterion.benchmark_group(format!("log/append/{name}"));
        group.throughput(Throughput::Elements(mix.records() as u64));
        group.bench_function("records", |bencher| {
            bencher.iter_custom(|rounds| {
                // A fresh log each time, so that the disk does not fill up.
                let mut spent = Duration::ZERO;
                let mut left = rounds;
                while left > 0 {
                    let directory = tempfile::tempdir().expect("a directory");
                    let (mut appender, mut builder, mut id) =
                        (open(directory.path()), BatchBuilder::new(), 0);
                    let part = left.min((LOG_BYTES / BATCH_BYTES / 2) as u64);
                    let start = Instant::now();
                    for _ in 0..part {
                        mix.fill(&mut builder, &mut id);
                        appender.append(&mut builder).expect("room");
                    }
                    spent += start.elapsed();
                    left -= part;
                }
                spent
            });
        });
    }
}

/// Every record of a mapped segment, and the ledger of a whole log.
fn scan(criterion: &mut Criterion) {
    for (mix, name) in Mix::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut appender, mut builder, mut id) = (open(directory.path()), BatchBuilder::new(), 0);
        for _ in 0..LOG_BYTES / BATCH_BYTES {
            mix.fill(&mut builder, &mut id);
            appender.append(&mut builder).expect("room");
        }
        appender.seal().expect("room");
        let reader = LogReader::open(directory.path()).expect("a log");
        let segments: Vec<Segment> =
            reader.segments().iter().map(|path| Segment::map(path).expect("a segment")).collect();
        let bytes: u64 = segments.iter().map(|segment| segment.file_bytes()).sum();
        let mut group = criterion.benchmark_group(format!("log/scan/{name}"));
        group.sample_size(10).throughput(Throughput::Bytes(bytes));
        for checksums in [true, false] {
            let label = if checksums { "with_checksums" } else { "without_checksums" };
            group.bench_function(label, |bencher| {
                bencher.iter(|| {
                    let mut sum = 0i64;
                    for segment in &segments {
                        let mut batches =
                            if checksums { segment.batches() } else { segment.batches_unchecked() };
                        while let Some(batch) = batches.next_batch() {
                            for (_, record) in batch.expect("whole").records() {
                                sum = sum.wrapping_add(match record {
                                    RecordRef::Trade(trade) => trade.price,
                                    RecordRef::Book(_, levels) => {
                                        levels.iter().map(|level| level.price).sum()
                                    }
                                    other => other.header().receive_ns,
                                });
                            }
                        }
                    }
                    black_box(sum)
                });
            });
        }
        group.bench_function("for_each", |bencher| {
            bencher.iter(|| {
                reader.for_each(&Selection::default(), |sequence, _, _| {
                    black_box(sequence);
                    ControlFlow::Continue(())
                })
            });
        });
        group.bench_function("verify", |bencher| {
            bencher.iter(|| assert!(verify(directory.path()).expect("a log").ok));
        });
    }
}

/// The ledger of what is covered, fed with records of many instruments in turn, as the writer feeds it.
fn coverage(criterion: &mut Criterion) {
    const RECORDS: u64 = 16 * 1024;
    for instruments in [8, 1000] {
        for (mix, name) in Mix::ALL {
            let mut group = criterion.benchmark_group(format!("log/coverage/{name}"));
            group.throughput(Throughput::Elements(RECORDS));
            let (mut ledger, mut id) = (Coverage::default(), 0);
            group.bench_function(format!("{instruments}_instruments"), |bencher| {
                bencher.iter(|| {
                    for index in 0..RECORDS {
                        let instrument = (index % instruments) as u32;
                        id += u64::from(instrument == 0);
                        match mix {
                            Mix::Trades => {
                                let mut record = trade(id);
                                record.header.instrument = instrument;
                                ledger.record(RecordRef::Trade(&record));
                            }
                            Mix::Deltas => {
                                let mut record = delta(id);
                                record.header.instrument = instrument;
                                ledger.record(RecordRef::Book(&record, &[]));
                            }
                        }
                    }
                    black_box(ledger.totals());
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    targets = build, append, scan, wide::wide, coverage
}
criterion_main!(benches);

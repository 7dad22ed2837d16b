//! The ring of lines: what it costs to hand a record from one thread to the next.

use std::time::{Duration, Instant};

use bytemuck::Zeroable;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use marketprism_core::record::{Book, Header, Kind, Level, Quote, Record};
use marketprism_core::ring::ring;

/// Lines of the ring: the size that the recorder uses.
const LINES: usize = 64 * 1024;
/// Records handed over in one round.
const ROUND: u64 = 4096;

fn quote(sequence: u64) -> Quote {
    Quote { header: Header { sequence, ..Header::new(Kind::Quote, 1, 0) }, ..Quote::zeroed() }
}

/// One thread on both ends: the work itself, without the cache lines travelling.
fn one_thread(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring, one thread");
    group.throughput(Throughput::Elements(ROUND));
    let levels = [Level { price: 1, quantity: 2 }; 20];
    let book = Book { header: Header::new(Kind::BookDelta, 1, 0), bid_levels: 20, ..Book::zeroed() };
    let cases: [(&str, &[u8]); 2] = [("quotes", &[]), ("20-level deltas", bytemuck::cast_slice(&levels))];
    for (name, body) in cases {
        let (mut producer, mut consumer) = ring(LINES);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut sum = 0;
                for sequence in 0..ROUND {
                    let pushed = match body.is_empty() {
                        true => producer.push(quote(sequence).lines(), body),
                        false => producer.push(book.lines(), body),
                    };
                    pushed.expect("a round fits into the ring");
                }
                consumer.consume(usize::MAX, |record| sum += record.header().sequence);
                sum
            });
        });
    }
    group.finish();
}

/// A thread on each end, both at full speed: records a second that really cross.
fn two_threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring, two threads");
    group.throughput(Throughput::Elements(1));
    group.measurement_time(Duration::from_secs(4));
    group.bench_function("quotes", |bencher| {
        bencher.iter_custom(|records| {
            let (mut producer, mut consumer) = ring(LINES);
            let start = Instant::now();
            let reader = std::thread::spawn(move || {
                let mut taken = 0;
                while taken < records {
                    match consumer.consume(1024, |record| {
                        std::hint::black_box(record.header().sequence);
                    }) {
                        0 => std::thread::yield_now(),
                        some => taken += some as u64,
                    }
                }
            });
            for sequence in 0..records {
                while producer.push(quote(sequence).lines(), &[]).is_err() {
                    std::thread::yield_now();
                }
            }
            reader.join().expect("the reader ends");
            start.elapsed()
        });
    });
    group.finish();
}

criterion_group!(benches, one_thread, two_threads);
criterion_main!(benches);

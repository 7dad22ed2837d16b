//! Applying recorded depth streams to a book, per level: the engine's book beside a sorted vector and a tree.
//!
//! Each round loads the snapshot (not timed) and applies every delta after it. All three get the same
//! messages, parsed before, and must end in the same book.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

#[path = "../../engine/book/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use marketprism_book::OrderBook;
use marketprism_core::{Kind, Level};

/// A snapshot and the deltas after it, all levels in one piece as in the ring.
struct Stream {
    exponents: (i8, i8),
    bids: Vec<Level>,
    asks: Vec<Level>,
    /// For each delta its bid and ask levels.
    counts: Vec<(usize, usize)>,
    levels: Vec<Level>,
}

impl Stream {
    fn deltas(&self) -> impl Iterator<Item = (&[Level], &[Level])> {
        let mut rest = self.levels.as_slice();
        self.counts.iter().map(move |(bids, asks)| {
            let (message, behind) = rest.split_at(bids + asks);
            rest = behind;
            message.split_at(*bids)
        })
    }
}

trait Target: Default {
    fn load(&mut self, stream: &Stream);
    fn apply(&mut self, stream: &Stream, bids: &[Level], asks: &[Level]);
    fn content(&self) -> (Vec<Level>, Vec<Level>);
}

impl Target for OrderBook {
    fn load(&mut self, stream: &Stream) {
        let (price, quantity) = stream.exponents;
        OrderBook::load(self, price, quantity, &stream.bids, &stream.asks).expect("a recorded snapshot");
    }

    fn apply(&mut self, stream: &Stream, bids: &[Level], asks: &[Level]) {
        let (price, quantity) = stream.exponents;
        OrderBook::apply(self, price, quantity, bids, asks).expect("a recorded delta");
        // What every consumer of a valid book reads after each message.
        black_box(self.is_crossed());
    }

    fn content(&self) -> (Vec<Level>, Vec<Level>) {
        (self.bids().collect(), self.asks().collect())
    }
}

/// Both sides sorted by price, the best level at the end, where changes move the fewest others.
#[derive(Default)]
struct SortedVector {
    /// With negated prices for asks, so that the best is the last on either side.
    sides: [Vec<Level>; 2],
}

impl SortedVector {
    fn write(side: &mut Vec<Level>, levels: &[Level], sign: i64) {
        for level in levels {
            let price = level.price * sign;
            match side.binary_search_by_key(&price, |held| held.price) {
                Ok(at) if level.quantity == 0 => drop(side.remove(at)),
                Ok(at) => side[at].quantity = level.quantity,
                Err(_) if level.quantity == 0 => {}
                Err(at) => side.insert(at, Level { price, quantity: level.quantity }),
            }
        }
    }
}

impl Target for SortedVector {
    fn load(&mut self, stream: &Stream) {
        self.sides.iter_mut().for_each(Vec::clear);
        self.apply(stream, &stream.bids, &stream.asks);
    }

    fn apply(&mut self, _: &Stream, bids: &[Level], asks: &[Level]) {
        SortedVector::write(&mut self.sides[0], bids, 1);
        SortedVector::write(&mut self.sides[1], asks, -1);
        black_box((self.sides[0].last(), self.sides[1].last()));
    }

    fn content(&self) -> (Vec<Level>, Vec<Level>) {
        let asks = self.sides[1].iter().rev().map(|level| Level { price: -level.price, ..*level });
        (self.sides[0].iter().rev().copied().collect(), asks.collect())
    }
}

#[derive(Default)]
struct Tree {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

impl Target for Tree {
    fn load(&mut self, stream: &Stream) {
        *self = Tree::default();
        self.apply(stream, &stream.bids, &stream.asks);
    }

    fn apply(&mut self, _: &Stream, bids: &[Level], asks: &[Level]) {
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels {
                if level.quantity == 0 {
                    side.remove(&level.price);
                } else {
                    side.insert(level.price, level.quantity);
                }
            }
        }
        black_box((self.bids.last_key_value(), self.asks.first_key_value()));
    }

    fn content(&self) -> (Vec<Level>, Vec<Level>) {
        let level = |(price, quantity): (&i64, &i64)| Level { price: *price, quantity: *quantity };
        (self.bids.iter().rev().map(level).collect(), self.asks.iter().map(level).collect())
    }
}

/// The streams of one recording that have a snapshot.
fn streams(capture: &support::Capture) -> Vec<Stream> {
    let is = |message: &&support::Message, kind: Kind| message.book.header.kind == kind as u8;
    let stream = |chain: &support::Chain| {
        let snapshot = chain.messages.iter().find(|message| is(message, Kind::BookSnapshot))?;
        let (bids, asks) = snapshot.levels.split_at(usize::from(snapshot.book.bid_levels));
        let header = &snapshot.book.header;
        let mut stream = Stream {
            exponents: (header.price_exponent, header.quantity_exponent),
            bids: bids.to_vec(),
            asks: asks.to_vec(),
            counts: Vec::new(),
            levels: Vec::new(),
        };
        let deltas = chain.messages.iter().filter(|message| is(message, Kind::BookDelta));
        for delta in deltas.filter(|delta| delta.book.header.sequence > header.sequence) {
            let own = (delta.book.header.price_exponent, delta.book.header.quantity_exponent);
            assert!(delta.levels.is_empty() || own == stream.exponents, "one pair of exponents a stream");
            stream.counts.push((usize::from(delta.book.bid_levels), usize::from(delta.book.ask_levels)));
            stream.levels.extend_from_slice(&delta.levels);
        }
        Some(stream)
    };
    capture.chains.values().filter_map(stream).collect()
}

/// A market that walks at random, for machines without recordings. The same on every run.
fn generated() -> Stream {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below) as i64
    };
    let ladder = |step: i64| {
        (0..1_000)
            .map(|index| Level { price: 600_000 + step * (index + 1) * 10, quantity: 1 + index })
            .collect()
    };
    let mut stream = Stream {
        exponents: (-1, -3),
        bids: ladder(-1),
        asks: ladder(1),
        counts: Vec::new(),
        levels: Vec::new(),
    };
    let mut middle = 600_000;
    for _ in 0..5_000 {
        middle += (random(3) - 1) * 10;
        let counts = (1 + random(12) as usize, 1 + random(12) as usize);
        for index in 0..counts.0 + counts.1 {
            let distance = (1 + random(30) * random(30)) * 10;
            let price = if index < counts.0 { middle - distance } else { middle + distance };
            stream.levels.push(Level { price, quantity: (random(3) != 0) as i64 * (1 + random(1_000)) });
        }
        stream.counts.push(counts);
    }
    stream
}

/// Time for applying all deltas so many times.
fn run<T: Target>(streams: &[Stream], rounds: u64) -> Duration {
    let mut books: Vec<T> = streams.iter().map(|_| T::default()).collect();
    let mut spent = Duration::ZERO;
    for _ in 0..rounds {
        for (book, stream) in books.iter_mut().zip(streams) {
            book.load(stream);
            let start = Instant::now();
            for (bids, asks) in stream.deltas() {
                book.apply(stream, bids, asks);
            }
            spent += start.elapsed();
        }
    }
    spent
}

/// The book after the stream.
fn end<T: Target>(stream: &Stream) -> T {
    let mut book = T::default();
    book.load(stream);
    stream.deltas().for_each(|(bids, asks)| book.apply(stream, bids, asks));
    book
}

fn compare(criterion: &mut Criterion, name: &str, streams: &[Stream]) {
    let levels: usize = streams.iter().map(|stream| stream.levels.len()).sum();
    let messages: usize = streams.iter().map(|stream| stream.counts.len()).sum();
    let (mut held, mut bytes) = (0, 0);
    for stream in streams {
        let book: OrderBook = end(stream);
        assert!(book.content() == end::<SortedVector>(stream).content(), "{name}");
        assert!(book.content() == end::<Tree>(stream).content(), "{name}");
        held += book.bid_len() + book.ask_len();
        bytes += book.memory_bytes();
    }
    println!(
        "{name}: {} books, {messages} messages, {levels} levels; at the end {held} levels in {bytes} bytes",
        streams.len()
    );
    let mut group = criterion.benchmark_group(format!("book_apply/{name}"));
    group.throughput(Throughput::Elements(levels as u64));
    group.bench_function("order_book", |bencher| {
        bencher.iter_custom(|rounds| run::<OrderBook>(streams, rounds));
    });
    group.bench_function("sorted_vector", |bencher| {
        bencher.iter_custom(|rounds| run::<SortedVector>(streams, rounds));
    });
    group.bench_function("tree", |bencher| bencher.iter_custom(|rounds| run::<Tree>(streams, rounds)));
    group.finish();
}

fn book_apply(criterion: &mut Criterion) {
    let captures = support::captures().expect("readable captures");
    for capture in &captures {
        let streams = streams(capture);
        // Shorter recordings measure the clock.
        if streams.iter().map(|stream| stream.levels.len()).sum::<usize>() >= 10_000 {
            compare(criterion, &format!("{}/{}", capture.market, capture.name), &streams);
        }
    }
    compare(criterion, "generated", &[generated()]);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(30);
    targets = book_apply
}
criterion_main!(benches);

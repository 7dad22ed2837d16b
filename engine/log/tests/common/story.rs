//! Logs of one instrument, told record by record, and what `verify` finds in them.

use bytemuck::Zeroable;
use marketprism_core::record::*;
use marketprism_log::*;

use super::*;

pub const INVALID: u8 = flag::BOOK_INVALID;

/// One record of a test's story.
#[derive(Clone, Debug)]
pub enum Step {
    Trade(Trade),
    Detailed(DetailedTrade),
    Agg(AggTrade),
    Book(Book, Vec<Level>),
    Quote(Quote),
    Gap(Gap),
}

impl Step {
    pub fn record(&self) -> RecordRef<'_> {
        match self {
            Step::Trade(record) => RecordRef::Trade(record),
            Step::Detailed(record) => RecordRef::DetailedTrade(record),
            Step::Agg(record) => RecordRef::AggTrade(record),
            Step::Book(record, levels) => RecordRef::Book(record, levels),
            Step::Quote(record) => RecordRef::Quote(record),
            Step::Gap(record) => RecordRef::Gap(record),
        }
    }
}

pub fn t(id: u64) -> Step {
    Step::Trade(trade(1, id))
}

/// A trade of fills with the ids `first` to `last`.
pub fn fills(first: u64, last: u64) -> Step {
    Step::Trade(Trade { fills: (last - first + 1) as u32, ..trade(1, last) })
}

pub fn detailed(id: u64) -> Step {
    let mut record = DetailedTrade { trade: trade(1, id), ..DetailedTrade::zeroed() };
    record.trade.header.kind = Kind::DetailedTrade as u8;
    Step::Detailed(record)
}

/// The same step, fetched later.
pub fn backfilled(step: Step) -> Step {
    let Step::Trade(mut record) = step else { panic!("only trades are fetched later") };
    record.header.flags = flag::BACKFILLED | flag::REST;
    Step::Trade(record)
}

pub fn agg(id: u64) -> Step {
    let mut record = AggTrade::zeroed();
    record.header = Header { sequence: id, ..Header::new(Kind::AggTrade, 1, 5) };
    Step::Agg(record)
}

/// A delta of spot: ids are contiguous.
pub fn d(first: u64, last: u64, flags: u8) -> Step {
    Step::Book(delta(1, first, last, None, flags), vec![])
}

/// A delta of futures: each names the one before it.
pub fn l(first: u64, last: u64, previous: u64, flags: u8) -> Step {
    Step::Book(delta(1, first, last, Some(previous), flags), vec![])
}

/// A delta of a chained book: it names the id of the message before it.
pub fn c(previous: u64, id: u64, flags: u8) -> Step {
    Step::Book(delta(1, 0, id, Some(previous), flags), vec![])
}

/// A snapshot that the stream brought.
pub fn stream_snap(id: u64, flags: u8) -> Step {
    let mut record = delta(1, 0, id, None, flag::SNAPSHOT | flags);
    record.header.kind = Kind::BookSnapshot as u8;
    record.previous_id = -1;
    Step::Book(record, vec![])
}

/// A snapshot from REST.
pub fn snap(id: u64) -> Step {
    Step::Book(snapshot(1, id), vec![])
}

/// The same book record with levels of price and quantity.
pub fn with(step: Step, bids: &[(i64, i64)], asks: &[(i64, i64)]) -> Step {
    let Step::Book(mut record, _) = step else { panic!("only books have levels") };
    (record.bid_levels, record.ask_levels) = (bids.len() as u16, asks.len() as u16);
    let levels =
        bids.iter().chain(asks).map(|(price, quantity)| Level { price: *price, quantity: *quantity });
    Step::Book(record, levels.collect())
}

/// The same book record with the powers of ten of its prices and quantities.
pub fn scaled(step: Step, price_exponent: i8, quantity_exponent: i8) -> Step {
    let Step::Book(mut record, levels) = step else { panic!("only books are scaled") };
    (record.header.price_exponent, record.header.quantity_exponent) = (price_exponent, quantity_exponent);
    Step::Book(record, levels)
}

/// The same book record with a checksum.
pub fn summed(step: Step, checksum: i32) -> Step {
    let Step::Book(mut record, levels) = step else { panic!("only books have checksums") };
    record.header.flags |= flag::CHECKSUM;
    record.first_id = u64::from(checksum as u32);
    Step::Book(record, levels)
}

pub fn g(stream: Kind, from: u64, to: u64, reason: GapReason) -> Step {
    Step::Gap(gap(1, stream, from, to, reason))
}

/// A gap record that says that what it names was fetched.
pub fn repaired(from: u64, to: u64) -> Step {
    Step::Gap(Gap { repaired: 1, ..gap(1, Kind::Trade, from, to, GapReason::Sequence) })
}

/// Verifies a log of these records, each in a batch of its own and in two segments, so that chains go over both.
pub fn verified(steps: &[Step]) -> Verification {
    let directory = temporary();
    let mut appender = appender(directory.path());
    let half = steps.len() / 2;
    for (index, step) in steps.iter().enumerate() {
        let mut batch = BatchBuilder::new();
        batch.push(step.record()).unwrap();
        if index == half {
            appender.rotate().unwrap();
        }
        appender.append(&mut batch).unwrap();
    }
    verify(directory.path()).unwrap()
}

/// The same in one batch, for long stories.
pub fn verified_at_once(steps: &[Step]) -> Verification {
    let directory = temporary();
    let mut appender = appender(directory.path());
    let mut batch = BatchBuilder::new();
    steps.iter().for_each(|step| batch.push(step.record()).unwrap());
    appender.append(&mut batch).unwrap();
    verify(directory.path()).unwrap()
}

#[track_caller]
pub fn good(gaps: u64, steps: Vec<Step>) {
    let verification = verified(&steps);
    assert!(verification.ok, "{:?}", verification.problems);
    assert_eq!(verification.gaps, gaps);
}

/// Compares the problems' texts without the place in front.
#[track_caller]
pub fn bad(expected: &[&str], steps: Vec<Step>) {
    let verification = verified(&steps);
    assert!(!verification.ok);
    let named = |text: &&str| text.split_once("BTCUSDT ").unwrap().1.split_once(": ").unwrap().1.to_owned();
    let found: Vec<String> = texts(&verification).iter().map(named).collect();
    assert_eq!(found, expected);
}

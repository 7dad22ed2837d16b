//! The records of a batch, in place.

use std::slice;

use bytemuck::AnyBitPattern;
use marketprism_core::record::{
    AggTrade, Body, Book, Candle, ClockSample, Definition, DetailedTrade, FundingRate, Gap, Greeks, Kind,
    Level, Liquidation, LongShortRatio, MarkPrice, OpenInterest, Quote, Raw, Record, RecordRef, Session,
    Ticker, Trade, VolatilityIndex,
};
use rkyv::rancor::Failure;

use crate::columns::{ArchivedColumns, ArchivedLine};
use crate::format::{BatchHeader, BatchKind, KINDS};

/// The records of a batch, borrowed from the file or from where they were decoded. Everything in it has been checked: order and counts agree, every
/// record has the kind of its vector, and levels and bodies lie inside their pools.
#[derive(Clone, Debug)]
pub struct BatchView<'a> {
    header: BatchHeader,
    offset: u64,
    kinds: [u32; KINDS],
    columns: Slices<'a>,
}

/// The vectors as slices of records.
#[derive(Clone, Debug)]
struct Slices<'a> {
    order: &'a [u8],
    trades: &'a [Trade],
    agg_trades: &'a [AggTrade],
    books: &'a [Book],
    quotes: &'a [Quote],
    tickers: &'a [Ticker],
    mark_prices: &'a [MarkPrice],
    funding_rates: &'a [FundingRate],
    open_interests: &'a [OpenInterest],
    liquidations: &'a [Liquidation],
    candles: &'a [Candle],
    long_short_ratios: &'a [LongShortRatio],
    definitions: &'a [Definition],
    sessions: &'a [Session],
    gaps: &'a [Gap],
    raws: &'a [Raw],
    detailed_trades: &'a [DetailedTrade],
    greeks: &'a [Greeks],
    volatility_indexes: &'a [VolatilityIndex],
    clock_samples: &'a [ClockSample],
    levels: &'a [Level],
    bytes: &'a [u8],
}

/// Lines as records; every header must carry the kind of the vector.
fn records<T: Record>(lines: &[ArchivedLine]) -> Result<&[T], &'static str> {
    let records: &[T] =
        bytemuck::try_cast_slice(lines).map_err(|_| "a vector is not a whole number of records")?;
    let expected = match T::KIND {
        Kind::BookDelta => return Ok(records),
        kind => kind as u8,
    };
    match records.iter().all(|record| record.header().kind == expected) {
        true => Ok(records),
        false => Err("a record is in the vector of another kind"),
    }
}

fn plain<T: AnyBitPattern, A: bytemuck::NoUninit>(elements: &[A]) -> Result<&[T], &'static str> {
    bytemuck::try_cast_slice(elements).map_err(|_| "a pool is not a whole number of elements")
}

impl<'a> Slices<'a> {
    fn of(columns: &'a ArchivedColumns) -> Result<Slices<'a>, &'static str> {
        Ok(Slices {
            order: &columns.order,
            trades: records(&columns.trades)?,
            agg_trades: records(&columns.agg_trades)?,
            books: records(&columns.books)?,
            quotes: records(&columns.quotes)?,
            tickers: records(&columns.tickers)?,
            mark_prices: records(&columns.mark_prices)?,
            funding_rates: records(&columns.funding_rates)?,
            open_interests: records(&columns.open_interests)?,
            liquidations: records(&columns.liquidations)?,
            candles: records(&columns.candles)?,
            long_short_ratios: records(&columns.long_short_ratios)?,
            definitions: records(&columns.definitions)?,
            sessions: records(&columns.sessions)?,
            gaps: records(&columns.gaps)?,
            raws: records(&columns.raws)?,
            detailed_trades: records(&columns.detailed_trades)?,
            greeks: records(&columns.greeks)?,
            volatility_indexes: records(&columns.volatility_indexes)?,
            clock_samples: records(&columns.clock_samples)?,
            levels: plain(&columns.levels)?,
            bytes: &columns.bytes,
        })
    }

    /// Checks that the order names each record of each vector once. Gives the count of each kind.
    fn check_order(&self) -> Result<[u32; KINDS], &'static str> {
        let mut kinds = [0u32; KINDS];
        let mut books = self.books.iter();
        for number in self.order {
            let count = kinds.get_mut(usize::from(*number)).ok_or("unknown kind of record")?;
            *count += 1;
            if is_book(*number) && books.next().map(|book| book.header.kind) != Some(*number) {
                return Err("the order of the books is not that of their vector");
            }
        }
        let count = |kind: Kind| kinds[kind as usize] as usize;
        let lengths: [(usize, usize); 19] = [
            (count(Kind::Trade), self.trades.len()),
            (count(Kind::AggTrade), self.agg_trades.len()),
            (count(Kind::BookSnapshot) + count(Kind::BookDelta), self.books.len()),
            (count(Kind::Quote), self.quotes.len()),
            (count(Kind::Ticker), self.tickers.len()),
            (count(Kind::MarkPrice), self.mark_prices.len()),
            (count(Kind::FundingRate), self.funding_rates.len()),
            (count(Kind::OpenInterest), self.open_interests.len()),
            (count(Kind::Liquidation), self.liquidations.len()),
            (count(Kind::Candle), self.candles.len()),
            (count(Kind::LongShortRatio), self.long_short_ratios.len()),
            (count(Kind::Instrument), self.definitions.len()),
            (count(Kind::Session), self.sessions.len()),
            (count(Kind::Gap), self.gaps.len()),
            (count(Kind::Raw), self.raws.len()),
            (count(Kind::DetailedTrade), self.detailed_trades.len()),
            (count(Kind::Greeks), self.greeks.len()),
            (count(Kind::VolatilityIndex), self.volatility_indexes.len()),
            (count(Kind::ClockSample), self.clock_samples.len()),
        ];
        let known: usize = lengths.iter().map(|(counted, _)| counted).sum();
        match known == self.order.len() && lengths.iter().all(|(counted, length)| counted == length) {
            true => Ok(kinds),
            false => Err("the order does not name every record once"),
        }
    }

    /// Checks that all levels and bodies lie inside their pools.
    fn check_pools(&self) -> Result<(), &'static str> {
        let levels = self.books.iter().all(|book| levels_of(book, self.levels).is_some());
        let bodies = (self.definitions.iter().map(|record| &record.body))
            .chain(self.sessions.iter().map(|record| &record.body))
            .chain(self.raws.iter().map(|record| &record.body))
            .all(|body| body_of(body, self.bytes).is_some());
        match levels && bodies {
            true => Ok(()),
            false => Err("levels or a body lie outside of their pool"),
        }
    }
}

#[inline]
fn is_book(number: u8) -> bool {
    number == Kind::BookSnapshot as u8 || number == Kind::BookDelta as u8
}

#[inline]
fn levels_of<'a>(book: &Book, pool: &'a [Level]) -> Option<&'a [Level]> {
    let start = book.level_start as usize;
    let count = usize::from(book.bid_levels) + usize::from(book.ask_levels);
    pool.get(start..start.checked_add(count)?)
}

#[inline]
fn body_of<'a>(body: &Body, pool: &'a [u8]) -> Option<&'a [u8]> {
    let start = body.start as usize;
    pool.get(start..start.checked_add(body.bytes as usize)?)
}

impl<'a> BatchView<'a> {
    /// Reads the body of a data or dictionary batch. `body` is without padding and aligned to 64 bytes. Safe on any
    /// bytes: the error says what is wrong with them.
    pub fn new(header: BatchHeader, offset: u64, body: &'a [u8]) -> Result<BatchView<'a>, &'static str> {
        let archived = rkyv::access::<ArchivedColumns, Failure>(body)
            .map_err(|Failure| "the archive's offsets or lengths are not valid")?;
        let columns = Slices::of(archived)?;
        if columns.order.len() != header.records as usize {
            return Err("the header's record count is not that of the archive");
        }
        if header.first_sequence.checked_add(u64::from(header.records)).is_none() {
            return Err("the capture sequences pass the largest number");
        }
        let kinds = columns.check_order()?;
        columns.check_pools()?;
        Ok(BatchView { header, offset, kinds, columns })
    }

    /// The batch's header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// What the batch is for.
    pub fn kind(&self) -> BatchKind {
        BatchKind::from_number(self.header.kind).unwrap_or(BatchKind::Data)
    }

    /// Where the batch starts, bytes from the start of the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of records by kind number.
    pub fn kinds(&self) -> &[u32; KINDS] {
        &self.kinds
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.columns.order.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.columns.order.is_empty()
    }

    /// All trades of [`Kind::Trade`], in capture order.
    pub fn trades(&self) -> &'a [Trade] {
        self.columns.trades
    }

    /// All books, snapshots and deltas in capture order, with their levels.
    pub fn books(&self) -> impl Iterator<Item = (&'a Book, &'a [Level])> + use<'a> {
        let pool = self.columns.levels;
        self.columns.books.iter().map(move |book| (book, levels_of(book, pool).unwrap_or_default()))
    }

    /// All instrument definitions, in capture order, with their JSON.
    pub fn definitions(&self) -> impl Iterator<Item = (&'a Definition, &'a [u8])> + use<'a> {
        let pool = self.columns.bytes;
        (self.columns.definitions.iter())
            .map(move |record| (record, body_of(&record.body, pool).unwrap_or_default()))
    }

    /// All records in capture order, each with its capture sequence. Those of a dictionary have none of their own:
    /// the number is then only their place.
    pub fn records(&self) -> Records<'a> {
        let columns = &self.columns;
        Records {
            sequence: self.header.first_sequence,
            order: columns.order.iter(),
            trades: columns.trades.iter(),
            agg_trades: columns.agg_trades.iter(),
            books: columns.books.iter(),
            quotes: columns.quotes.iter(),
            tickers: columns.tickers.iter(),
            mark_prices: columns.mark_prices.iter(),
            funding_rates: columns.funding_rates.iter(),
            open_interests: columns.open_interests.iter(),
            liquidations: columns.liquidations.iter(),
            candles: columns.candles.iter(),
            long_short_ratios: columns.long_short_ratios.iter(),
            definitions: columns.definitions.iter(),
            sessions: columns.sessions.iter(),
            gaps: columns.gaps.iter(),
            raws: columns.raws.iter(),
            detailed_trades: columns.detailed_trades.iter(),
            greeks: columns.greeks.iter(),
            volatility_indexes: columns.volatility_indexes.iter(),
            clock_samples: columns.clock_samples.iter(),
            levels: columns.levels,
            bytes: columns.bytes,
        }
    }
}

/// Iterates over the records of a batch in capture order.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    sequence: u64,
    order: slice::Iter<'a, u8>,
    trades: slice::Iter<'a, Trade>,
    agg_trades: slice::Iter<'a, AggTrade>,
    books: slice::Iter<'a, Book>,
    quotes: slice::Iter<'a, Quote>,
    tickers: slice::Iter<'a, Ticker>,
    mark_prices: slice::Iter<'a, MarkPrice>,
    funding_rates: slice::Iter<'a, FundingRate>,
    open_interests: slice::Iter<'a, OpenInterest>,
    liquidations: slice::Iter<'a, Liquidation>,
    candles: slice::Iter<'a, Candle>,
    long_short_ratios: slice::Iter<'a, LongShortRatio>,
    definitions: slice::Iter<'a, Definition>,
    sessions: slice::Iter<'a, Session>,
    gaps: slice::Iter<'a, Gap>,
    raws: slice::Iter<'a, Raw>,
    detailed_trades: slice::Iter<'a, DetailedTrade>,
    greeks: slice::Iter<'a, Greeks>,
    volatility_indexes: slice::Iter<'a, VolatilityIndex>,
    clock_samples: slice::Iter<'a, ClockSample>,
    levels: &'a [Level],
    bytes: &'a [u8],
}

impl<'a> Records<'a> {
    #[inline]
    fn record(&mut self, kind: Kind) -> Option<RecordRef<'a>> {
        Some(match kind {
            Kind::Trade => RecordRef::Trade(self.trades.next()?),
            Kind::AggTrade => RecordRef::AggTrade(self.agg_trades.next()?),
            Kind::BookSnapshot | Kind::BookDelta => {
                let book = self.books.next()?;
                RecordRef::Book(book, levels_of(book, self.levels)?)
            }
            Kind::Quote => RecordRef::Quote(self.quotes.next()?),
            Kind::Ticker => RecordRef::Ticker(self.tickers.next()?),
            Kind::MarkPrice => RecordRef::MarkPrice(self.mark_prices.next()?),
            Kind::FundingRate => RecordRef::FundingRate(self.funding_rates.next()?),
            Kind::OpenInterest => RecordRef::OpenInterest(self.open_interests.next()?),
            Kind::Liquidation => RecordRef::Liquidation(self.liquidations.next()?),
            Kind::Candle => RecordRef::Candle(self.candles.next()?),
            Kind::LongShortRatio => RecordRef::LongShortRatio(self.long_short_ratios.next()?),
            Kind::Gap => RecordRef::Gap(self.gaps.next()?),
            Kind::DetailedTrade => RecordRef::DetailedTrade(self.detailed_trades.next()?),
            Kind::Greeks => RecordRef::Greeks(self.greeks.next()?),
            Kind::VolatilityIndex => RecordRef::VolatilityIndex(self.volatility_indexes.next()?),
            Kind::ClockSample => RecordRef::ClockSample(self.clock_samples.next()?),
            Kind::Instrument => {
                let record = self.definitions.next()?;
                RecordRef::Definition(record, body_of(&record.body, self.bytes)?)
            }
            Kind::Session => {
                let record = self.sessions.next()?;
                RecordRef::Session(record, body_of(&record.body, self.bytes)?)
            }
            Kind::Raw => {
                let record = self.raws.next()?;
                RecordRef::Raw(record, body_of(&record.body, self.bytes)?)
            }
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (u64, RecordRef<'a>);

    #[inline]
    fn next(&mut self) -> Option<(u64, RecordRef<'a>)> {
        let kind = Kind::from_number(*self.order.next()?)?;
        let record = self.record(kind)?;
        let sequence = self.sequence;
        self.sequence += 1;
        Some((sequence, record))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.order.size_hint()
    }
}

impl ExactSizeIterator for Records<'_> {}

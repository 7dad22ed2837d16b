//! The vectors of one archive, in place.

use bytemuck::AnyBitPattern;
use marketprism_core::record::{
    AggTrade, Body, Book, Candle, ClockSample, Definition, DetailedTrade, FundingRate, Gap, Greeks, Kind,
    Level, Liquidation, LongShortRatio, MarkPrice, OpenInterest, Quote, Raw, Record, RecordRef, Session,
    Ticker, Trade, VolatilityIndex,
};
use rkyv::rancor::Failure;

use crate::columns::{ArchivedColumns, ArchivedLine};
use crate::format::KINDS;

/// The vectors as slices of records.
#[derive(Clone, Debug)]
pub(crate) struct Slices<'a> {
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
    /// Reads an archive, aligned to 64 bytes, and checks all of it; gives the number of records of each kind too. Safe on
    /// any bytes: the error says what is wrong with them.
    pub(crate) fn read(archive: &'a [u8]) -> Result<(Slices<'a>, [u32; KINDS]), &'static str> {
        let archived = rkyv::access::<ArchivedColumns, Failure>(archive)
            .map_err(|Failure| "the archive's offsets or lengths are not valid")?;
        let slices = Slices::of(archived)?;
        let kinds = slices.check_order()?;
        slices.check_pools()?;
        Ok((slices, kinds))
    }

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

    /// The kind of each record, in the order of the archive.
    pub(crate) fn order(&self) -> &'a [u8] {
        self.order
    }

    /// The record with this place in the vector of its kind.
    #[inline]
    pub(super) fn record(&self, kind: Kind, index: usize) -> Option<RecordRef<'a>> {
        Some(match kind {
            Kind::Trade => RecordRef::Trade(self.trades.get(index)?),
            Kind::AggTrade => RecordRef::AggTrade(self.agg_trades.get(index)?),
            Kind::BookSnapshot | Kind::BookDelta => {
                let book = self.books.get(index)?;
                RecordRef::Book(book, levels_of(book, self.levels)?)
            }
            Kind::Quote => RecordRef::Quote(self.quotes.get(index)?),
            Kind::Ticker => RecordRef::Ticker(self.tickers.get(index)?),
            Kind::MarkPrice => RecordRef::MarkPrice(self.mark_prices.get(index)?),
            Kind::FundingRate => RecordRef::FundingRate(self.funding_rates.get(index)?),
            Kind::OpenInterest => RecordRef::OpenInterest(self.open_interests.get(index)?),
            Kind::Liquidation => RecordRef::Liquidation(self.liquidations.get(index)?),
            Kind::Candle => RecordRef::Candle(self.candles.get(index)?),
            Kind::LongShortRatio => RecordRef::LongShortRatio(self.long_short_ratios.get(index)?),
            Kind::Gap => RecordRef::Gap(self.gaps.get(index)?),
            Kind::DetailedTrade => RecordRef::DetailedTrade(self.detailed_trades.get(index)?),
            Kind::Greeks => RecordRef::Greeks(self.greeks.get(index)?),
            Kind::VolatilityIndex => RecordRef::VolatilityIndex(self.volatility_indexes.get(index)?),
            Kind::ClockSample => RecordRef::ClockSample(self.clock_samples.get(index)?),
            Kind::Instrument => {
                let record = self.definitions.get(index)?;
                RecordRef::Definition(record, body_of(&record.body, self.bytes)?)
            }
            Kind::Session => {
                let record = self.sessions.get(index)?;
                RecordRef::Session(record, body_of(&record.body, self.bytes)?)
            }
            Kind::Raw => {
                let record = self.raws.get(index)?;
                RecordRef::Raw(record, body_of(&record.body, self.bytes)?)
            }
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

//! CSV with the columns of tardis.dev, gzip, one file a day, symbol and type of data:
//! `binance-futures_trades_2026-11-23_BTCUSDT.csv.gz`.
//!
//! Exchanges have Tardis' names: `binance`, `binance-futures`, `binance-delivery`, `okex`, `okex-swap`, `okex-futures`,
//! `okex-options`, `deribit`; others are `{venue}-{market}`. Symbols are the venue's, in capitals. Times are microseconds since
//! the Unix epoch; where a venue gives no time, `timestamp` is the local one, as Tardis does it. Prices and amounts are the
//! decimals that the venue sent, in its own unit. Rows are in capture order.
//!
//! | type of data | columns behind `exchange,symbol,timestamp,local_timestamp` |
//! |---|---|
//! | `trades` | `id,side,price,amount`; side `unknown` where it is not given |
//! | `incremental_book_L2` | `is_snapshot,side,price,amount` |
//! | `book_snapshot_N` | `asks[0].price,asks[0].amount,bids[0].price,bids[0].amount,…`, after each change among the first N levels |
//! | `quotes` | `ask_amount,ask_price,bid_price,bid_amount` |
//! | `derivative_ticker` | `funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,index_price,mark_price` |
//! | `liquidations` | `id,side,price,amount` |
//! | `options_chain` | `type,strike_price,…,rho`, all options of an exchange in the file of the symbol `OPTIONS` |
//! | `gaps` | `stream,reason,from_timestamp,from_id,to_id,records,repaired`: holes in the streams; not a type of Tardis |
//!
//! What cannot be filled is an empty cell: `predicted_funding_rate` of all venues but Deribit, `underlying_index` on Deribit, `id`
//! of liquidations that come as orders. `derivative_ticker` and `options_chain` begin empty each day and carry the latest of each
//! number; records with one receive time make one row. A liquidation's price is the order's limit, its amount what was filled
//! so far where that is known.
//!
//! **Books.** A snapshot begins with `is_snapshot=true`, which throws away what was before. Where a book is not valid, no row of
//! it is written until it begins anew with a snapshot: the rows in between would be of a book that nobody knows. The
//! result counts such messages. Each day begins with a snapshot at midnight, where the book is known then. A row with
//! `is_snapshot=false` and amount 0 may stand between two snapshots, which readers could not tell apart otherwise.
//! An empty book has no row that a snapshot could begin with: it is written once it has a level. Deltas that waited for
//! their snapshot have the time at which the book was known; a book's times never go back.

mod csv;
mod data;
mod levels;
mod merged;

use std::borrow::Cow;
use std::path::PathBuf;

use hashbrown::HashMap;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::InstrumentType;
use marketprism_core::record::*;
use marketprism_core::{Instrument, InstrumentId};

use crate::Request;
use crate::book::{Change, TrackedBook};
use crate::date::Day;
use crate::error::ExportError;
use crate::manifest::FinishedDay;
use crate::part::encoded;
use crate::run::{DayWriter, Entry};
use csv::{CHUNK_BYTES, Compressor, CsvFile, decimal, micros, word};
use data::{Data, exchange, push_times, start};
use levels::{Top, delta_rows, snapshot_rows, top_cells};
use merged::Merged;

/// The kinds that make files.
pub(crate) const KINDS: [Kind; 12] = [
    Kind::Trade,
    Kind::AggTrade,
    Kind::DetailedTrade,
    Kind::BookSnapshot,
    Kind::BookDelta,
    Kind::Quote,
    Kind::Ticker,
    Kind::MarkPrice,
    Kind::FundingRate,
    Kind::OpenInterest,
    Kind::Liquidation,
    Kind::Greeks,
];

/// The files of a day.
pub(crate) struct Files {
    out: PathBuf,
    day: Day,
    memory_bytes: usize,
    held_bytes: usize,
    takes_aggregates: bool,
    depths: Vec<u16>,
    compressor: Compressor,
    /// By type of data and instrument; options have one for each exchange, under the first option's id.
    files: HashMap<(Data, InstrumentId), CsvFile>,
    paths: HashMap<String, (Data, InstrumentId)>,
    merged: HashMap<(Data, InstrumentId), Merged>,
    options: HashMap<Cow<'static, str>, InstrumentId>,
    tops: HashMap<(u16, InstrumentId), Top>,
    prefix: Vec<u8>,
}

impl Files {
    pub(crate) fn new(request: &Request<'_>, day: Day) -> Files {
        Files {
            out: request.out.to_owned(),
            day,
            memory_bytes: request.memory_bytes,
            held_bytes: 0,
            takes_aggregates: request.takes_aggregates(),
            depths: request.book_snapshots.clone(),
            compressor: Compressor::new(),
            files: HashMap::new(),
            paths: HashMap::new(),
            merged: HashMap::new(),
            options: HashMap::new(),
            tops: HashMap::new(),
            prefix: Vec::new(),
        }
    }

    /// Lets `write` append rows to a file. It gets the first four cells of a row, with these times.
    fn rows(
        &mut self,
        data: Data,
        instrument: &Instrument,
        times: (i64, i64),
        write: impl FnOnce(&mut CsvFile, &[u8]),
    ) -> Result<(), ExportError> {
        let key = (data, instrument.id);
        self.make(key, instrument)?;
        let Some(file) = self.files.get_mut(&key) else { return Ok(()) };
        self.prefix.clear();
        self.prefix.extend_from_slice(&file.start);
        push_times(&mut self.prefix, times);
        let before = file.text.len();
        write(file, &self.prefix);
        self.held_bytes += file.text.len() - before;
        self.write_where_due(key)
    }

    /// Makes the file where there is none.
    fn make(&mut self, key: (Data, InstrumentId), instrument: &Instrument) -> Result<(), ExportError> {
        if self.files.contains_key(&key) {
            return Ok(());
        }
        let symbol = match key.0 {
            Data::OptionsChain => "OPTIONS".to_owned(),
            _ => instrument.venue_symbol.to_uppercase().replace(['/', ':'], "-"),
        };
        let (exchange, data) = (exchange(instrument), key.0.name());
        let path = format!("{exchange}_{data}_{}_{}.csv.gz", self.day, encoded(&symbol));
        if self.paths.insert(path.clone(), key).is_some() {
            return Err(ExportError::SameFile { path });
        }
        let file = CsvFile::new(&self.out, path, &key.0.header(), start(instrument));
        self.held_bytes += file.text.len();
        self.files.insert(key, file);
        Ok(())
    }

    fn write_where_due(&mut self, key: (Data, InstrumentId)) -> Result<(), ExportError> {
        if let Some(file) = self.files.get_mut(&key).filter(|file| file.text.len() >= CHUNK_BYTES) {
            self.held_bytes = self.held_bytes.saturating_sub(file.text.len());
            file.write(&mut self.compressor)?;
        }
        if self.held_bytes <= self.memory_bytes {
            return Ok(());
        }
        while self.held_bytes > self.memory_bytes / 2 {
            let largest = self.files.iter_mut().max_by_key(|(key, file)| (file.text.len(), **key));
            let Some((_, file)) = largest.filter(|(_, file)| !file.text.is_empty()) else { break };
            self.held_bytes = self.held_bytes.saturating_sub(file.text.len());
            file.write(&mut self.compressor)?;
        }
        Ok(())
    }

    /// A record that is a row by itself.
    fn row(
        &mut self,
        data: Data,
        entry: &Entry<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Option<&'static str>, ExportError> {
        let header = entry.record.header();
        let times = (header.exchange_ns, header.receive_ns);
        self.rows(data, entry.instrument, times, |file, prefix| file.row(entry.sequence, prefix, write))?;
        Ok(None)
    }

    fn trade(&mut self, entry: &Entry<'_>, trade: &Trade) -> Result<Option<&'static str>, ExportError> {
        let id = match entry.record {
            RecordRef::DetailedTrade(detailed) => {
                if detailed.liquidation != 0 {
                    self.liquidated_trade(entry, detailed)?;
                }
                Cow::Borrowed(text_of(&detailed.trade_id))
            }
            _ => trade.header.sequence.to_string().into(),
        };
        self.row(Data::Trades, entry, |text| {
            order(text, &id, trade.side, &trade.header, (trade.price, trade.quantity))
        })
    }

    /// A trade in which somebody was liquidated: the side is that of the order that was forced.
    fn liquidated_trade(&mut self, entry: &Entry<'_>, detailed: &DetailedTrade) -> Result<(), ExportError> {
        let trade = &detailed.trade;
        let is_maker = detailed.liquidation == LiquidatedParty::Maker as u8;
        let side = match (trade.side, is_maker) {
            (1, true) => Side::Sell as u8,
            (2, true) => Side::Buy as u8,
            (side, _) => side,
        };
        let id = text_of(&detailed.trade_id);
        self.row(Data::Liquidations, entry, |text| {
            order(text, id, side, &trade.header, (trade.price, trade.quantity));
        })?;
        Ok(())
    }

    /// A record that is a part of rows.
    fn merge(&mut self, data: Data, entry: &Entry<'_>) -> Result<Option<&'static str>, ExportError> {
        let id = match data {
            Data::OptionsChain => {
                *self.options.entry(exchange(entry.instrument)).or_insert(entry.instrument.id)
            }
            _ => entry.instrument.id,
        };
        let key = (data, id);
        self.make(key, entry.instrument)?;
        let Some(file) = self.files.get_mut(&key) else { return Ok(None) };
        let before = file.text.len();
        self.merged.entry(key).or_default().record(entry, file);
        self.held_bytes += file.text.len() - before;
        self.write_where_due(key)?;
        Ok(None)
    }

    fn gap(&mut self, entry: &Entry<'_>, gap: &Gap) -> Result<Option<&'static str>, ExportError> {
        self.row(Data::Gaps, entry, |text| {
            word(text, Kind::from_number(gap.stream).map_or("", Kind::name));
            word(text, GapReason::name(gap.reason).unwrap_or(""));
            text.push(b',');
            if gap.from_ns != TIME_MISSING {
                micros(text, gap.from_ns);
            }
            for number in [gap.from_id, gap.to_id, gap.records.into()] {
                word(text, &if number == 0 { String::new() } else { number.to_string() });
            }
            word(text, if gap.repaired != 0 { "true" } else { "false" });
        })
    }

    /// The levels of a record, or of the whole book.
    fn levels(&mut self, entry: &Entry<'_>, book: &TrackedBook, change: Change) -> Result<(), ExportError> {
        let is_empty = match (change, entry.record) {
            (Change::Levels, RecordRef::Book(_, levels)) => levels.is_empty(),
            _ => book.book().is_empty(),
        };
        if is_empty {
            return Ok(());
        }
        let times = (book.exchange_ns, book.receive_ns);
        self.rows(Data::IncrementalBook, entry.instrument, times, |file, prefix| {
            match (change, entry.record) {
                (Change::Levels, RecordRef::Book(record, levels)) => {
                    delta_rows(file, entry, prefix, record, levels);
                }
                _ => snapshot_rows(file, entry, prefix, book),
            }
        })
    }

    fn top(&mut self, entry: &Entry<'_>, book: &TrackedBook, depth: u16) -> Result<(), ExportError> {
        let id = entry.instrument.id;
        let (levels, count) = (book.book(), usize::from(depth));
        let exponents = (levels.price_exponent(), levels.quantity_exponent());
        let key = (depth, id);
        let is_same = self.tops.get(&key).is_some_and(|(bids, asks, held)| {
            *held == exponents
                && levels.bids().take(count).eq(bids.iter().copied())
                && levels.asks().take(count).eq(asks.iter().copied())
        });
        if is_same {
            return Ok(());
        }
        let top =
            (levels.bids().take(count).collect::<Vec<_>>(), levels.asks().take(count).collect(), exponents);
        let times = (book.exchange_ns, book.receive_ns);
        self.rows(Data::BookSnapshot(depth), entry.instrument, times, |file, prefix| {
            file.row(entry.sequence, prefix, |text| top_cells(text, &top, count));
        })?;
        self.tops.insert(key, top);
        Ok(())
    }
}

/// Cells of a trade or a liquidation.
fn order(text: &mut Vec<u8>, id: &str, side: u8, header: &Header, (price, quantity): (i64, i64)) {
    word(text, id);
    word(text, Side::name(side).unwrap_or("unknown"));
    decimal(text, price, header.price_exponent);
    decimal(text, quantity, header.quantity_exponent);
}

impl DayWriter for Files {
    fn record(&mut self, entry: &Entry<'_>) -> Result<Option<&'static str>, ExportError> {
        let instrument_type = entry.instrument.instrument_type;
        match entry.record {
            RecordRef::AggTrade(_) if !self.takes_aggregates => Ok(Some("agg_trade")),
            RecordRef::AggTrade(trade) => {
                let id = trade.header.sequence.to_string();
                self.row(Data::Trades, entry, |text| {
                    order(text, &id, trade.side, &trade.header, (trade.price, trade.quantity));
                })
            }
            RecordRef::Trade(trade) => self.trade(entry, trade),
            RecordRef::DetailedTrade(detailed) => self.trade(entry, &detailed.trade),
            RecordRef::Quote(quote) => self.row(Data::Quotes, entry, |text| {
                let (price, quantity) = (quote.header.price_exponent, quote.header.quantity_exponent);
                decimal(text, quote.ask_quantity, quantity);
                decimal(text, quote.ask_price, price);
                decimal(text, quote.bid_price, price);
                decimal(text, quote.bid_quantity, quantity);
            }),
            RecordRef::Liquidation(forced) => self.row(Data::Liquidations, entry, |text| {
                let filled = forced.filled_quantity;
                let quantity = if filled == ABSENT { forced.quantity } else { filled };
                order(text, "", forced.side, &forced.header, (forced.price, quantity));
            }),
            RecordRef::Gap(gap) => self.gap(entry, gap),
            RecordRef::Ticker(_)
            | RecordRef::MarkPrice(_)
            | RecordRef::FundingRate(_)
            | RecordRef::OpenInterest(_)
            | RecordRef::Greeks(_) => match instrument_type {
                InstrumentType::Perpetual | InstrumentType::Future => {
                    self.merge(Data::DerivativeTicker, entry)
                }
                InstrumentType::Option => self.merge(Data::OptionsChain, entry),
                _ => Ok(Some("no_file_of_this_kind")),
            },
            _ => Ok(Some("no_file_of_this_kind")),
        }
    }

    fn book(&mut self, entry: &Entry<'_>, book: &TrackedBook, change: Change) -> Result<(), ExportError> {
        if change == Change::Ends {
            self.tops.retain(|(_, id), _| *id != entry.instrument.id);
            return Ok(());
        }
        self.levels(entry, book, change)?;
        for place in 0..self.depths.len() {
            let Some(depth) = self.depths.get(place).copied() else { break };
            self.top(entry, book, depth)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, day: &mut FinishedDay) -> Result<(), ExportError> {
        for (key, mut merged) in std::mem::take(&mut self.merged) {
            if let Some(file) = self.files.get_mut(&key) {
                merged.write(file);
            }
        }
        for (_, file) in std::mem::take(&mut self.files) {
            day.files.push(file.finish(&mut self.compressor)?);
        }
        Ok(())
    }
}

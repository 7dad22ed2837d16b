//! Apache Parquet, written with Arrow.
//!
//! Folders are in Hive style, `venue=binance/market=usdm/kind=trade/symbol=BTC-USDT-PERP/date=2026-11-23/part-0.parquet`: a
//! reader that looks for a kind, a symbol or a day opens only their files. Values are percent-encoded where they hold other
//! letters than `A-Z a-z 0-9 - . _ ~`. Records of a market as a whole (sessions, raw frames, clock samples) have
//! `symbol=_market`: Arrow cannot tell the type of a partition without a single value.
//!
//! - All files of a kind have the same columns and types, so that they can be read as one table. Names are those of
//!   `query --format json`. Rows are in capture order, and every row has the capture `sequence`.
//! - Prices, quantities and amounts are `decimal128(38, 18)`; rates, ratios, volatilities and greeks `decimal128(38, 30)`. A
//!   row with a number that has more digits than that has NULL in its place and the whole record in `exact_json`.
//! - Times are `timestamp(ns, UTC)`, ids `uint64` (`int64` where a venue counts below 0), sides, reasons and events
//!   dictionaries of strings, flags columns of booleans, levels of a book `list<struct<price, quantity>>`, best first as they
//!   were sent. NULL is: not known.
//! - `trade_id` is the venue's number; where its ids are text they are in `venue_trade_id`, and `trade_sequence` counts.
//! - zstd level 3; statistics of every column but those of levels; numbers that climb are delta encoded.
//! - Metadata of a file: `marketprism.log`, `marketprism.instrument` (the definition at the first row, JSON),
//!   `marketprism.first_sequence`, `marketprism.last_sequence`, `marketprism.notes`.

mod column;
mod row;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
use ::parquet::basic::{Compression, Encoding, ZstdLevel};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::schema::types::ColumnPath;
use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use hashbrown::{HashMap, HashSet};
use marketprism_core::record::Kind;
use marketprism_core::{Instrument, InstrumentId};

use crate::book::{Change, TrackedBook};
use crate::date::Day;
use crate::error::ExportError;
use crate::manifest::FinishedDay;
use crate::part::{PartFile, Span, encoded};
use crate::run::{DayWriter, Entry};
use crate::{ExportedFile, Request};
use column::{Column, Row, Type};

/// Rows are encoded so many at once: few enough to stay in the cache.
const BATCH_ROWS: usize = 8192;

/// A row group ends with so many rows, or once what is encoded of it takes so many bytes of memory.
const ROW_GROUP_ROWS: usize = 1 << 19;
const ROW_GROUP_BYTES: usize = 32 << 20;

const NOTES: &str = "prices and quantities are decimal128(38, 18), rates decimal128(38, 30); a row with a longer number \
                     has NULL there and the whole record in exact_json; sorted by sequence, the capture order; \
                     NULL is not known";

/// The tables of a day.
pub(crate) struct Tables {
    out: PathBuf,
    log: String,
    day: Day,
    memory_bytes: usize,
    held_bytes: usize,
    tables: HashMap<(InstrumentId, Kind), Table>,
    paths: HashSet<String>,
}

impl Tables {
    pub(crate) fn new(request: &Request<'_>, log: &str, day: Day) -> Tables {
        Tables {
            out: request.out.to_owned(),
            log: log.to_owned(),
            day,
            memory_bytes: request.memory_bytes,
            held_bytes: 0,
            tables: HashMap::new(),
            paths: HashSet::new(),
        }
    }

    fn add_table(&mut self, key: (InstrumentId, Kind), instrument: &Instrument) -> Result<(), ExportError> {
        let path = path(instrument, key.1, self.day);
        if !self.paths.insert(path.clone()) {
            return Err(ExportError::SameFile { path });
        }
        self.tables.insert(key, Table::new(&self.out, path, key.1, instrument, &self.log));
        Ok(())
    }

    /// Writes the largest tables until half of the bound is free.
    fn write_largest(&mut self) -> Result<(), ExportError> {
        while self.held_bytes > self.memory_bytes / 2 {
            // Of two of one size the same one every time.
            let largest = self.tables.iter_mut().max_by_key(|(key, table)| (table.held_bytes, **key));
            let Some((_, table)) = largest else { break };
            self.held_bytes = self.held_bytes.saturating_sub(table.held_bytes);
            if table.held_bytes == 0 {
                break;
            }
            table.end_row_group()?;
        }
        Ok(())
    }
}

impl DayWriter for Tables {
    fn record(&mut self, entry: &Entry<'_>) -> Result<Option<&'static str>, ExportError> {
        let key = (entry.record.header().instrument, entry.kind.stream());
        if !self.tables.contains_key(&key) {
            self.add_table(key, entry.instrument)?;
        }
        let Some(table) = self.tables.get_mut(&key) else { return Ok(None) };
        let before = table.held_bytes;
        let is_exact = table.add(entry)?;
        self.held_bytes = (self.held_bytes + table.held_bytes).saturating_sub(before);
        if self.held_bytes > self.memory_bytes {
            self.write_largest()?;
        }
        Ok((!is_exact).then_some("number_too_long"))
    }

    fn book(&mut self, _: &Entry<'_>, _: &TrackedBook, _: Change) -> Result<(), ExportError> {
        Ok(())
    }

    fn finish(self: Box<Self>, day: &mut FinishedDay) -> Result<(), ExportError> {
        let mut tables: Vec<_> = self.tables.into_iter().collect();
        tables.sort_unstable_by_key(|(key, _)| *key);
        for (_, table) in tables {
            day.files.push(table.finish()?);
        }
        Ok(())
    }
}

fn path(instrument: &Instrument, kind: Kind, day: Day) -> String {
    let symbol = match instrument.symbol.as_str() {
        "" => "_market".to_owned(),
        symbol => encoded(symbol),
    };
    let (venue, market) = (encoded(&instrument.venue), encoded(&instrument.market));
    format!("venue={venue}/market={market}/kind={kind}/symbol={symbol}/date={day}/part-0.parquet")
}

/// One file.
struct Table {
    path: String,
    schema: SchemaRef,
    columns: Vec<Column>,
    /// Rows that are not encoded.
    held_rows: usize,
    /// Memory of these and of what is encoded.
    held_bytes: usize,
    rows: u64,
    span: Span,
    out: PathBuf,
    properties: WriterProperties,
    /// Made with the first row group.
    writer: Option<ArrowWriter<PartFile>>,
}

impl Table {
    fn new(out: &Path, path: String, kind: Kind, instrument: &Instrument, log: &str) -> Table {
        let fields: Vec<Field> = schema::columns(kind)
            .map(|(name, data)| {
                let is_always_there = data == Type::Flag || matches!(name, "sequence" | "receive_ns");
                Field::new(name, data.data_type(), !is_always_there)
            })
            .collect();
        let columns = schema::columns(kind).map(|(_, data)| Column::new(data)).collect();
        Table {
            path,
            schema: Arc::new(Schema::new(fields)),
            columns,
            held_rows: 0,
            held_bytes: 0,
            rows: 0,
            span: Span::EMPTY,
            out: out.to_owned(),
            properties: properties(kind, instrument, log),
            writer: None,
        }
    }

    /// Appends a row. Gives whether every number fits.
    fn add(&mut self, entry: &Entry<'_>) -> Result<bool, ExportError> {
        let mut row = Row::new(&mut self.columns);
        let is_exact = row::fill(&mut row, entry.sequence, entry.record, entry.instrument);
        self.held_bytes += row.bytes;
        self.held_rows += 1;
        self.rows += 1;
        self.span.add(entry.sequence);
        if self.held_rows >= BATCH_ROWS {
            let writer = self.encode()?;
            if writer.in_progress_rows() >= ROW_GROUP_ROWS || writer.memory_size() >= ROW_GROUP_BYTES {
                self.end_row_group()?;
            }
        }
        Ok(is_exact)
    }

    /// Encodes the rows that are held.
    fn encode(&mut self) -> Result<&mut ArrowWriter<PartFile>, ExportError> {
        let failed = |reason: String| ExportError::Parquet { path: self.path.clone(), reason };
        let columns = self.columns.iter_mut().map(Column::take).collect::<Result<Vec<_>, _>>();
        let batch = columns.and_then(|columns| RecordBatch::try_new(self.schema.clone(), columns));
        let batch = batch.map_err(|error| failed(error.to_string()))?;
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.create()?,
        };
        writer.write(&batch).map_err(|error| failed(error.to_string()))?;
        self.held_rows = 0;
        self.held_bytes = writer.memory_size();
        Ok(self.writer.insert(writer))
    }

    /// Writes everything that is held.
    fn end_row_group(&mut self) -> Result<(), ExportError> {
        let path = self.path.clone();
        let writer = self.encode()?;
        writer.flush().map_err(|error| ExportError::Parquet { path, reason: error.to_string() })?;
        writer.inner_mut().spill()?;
        self.held_bytes = 0;
        Ok(())
    }

    fn create(&self) -> Result<ArrowWriter<PartFile>, ExportError> {
        let file = PartFile::new(&self.out, self.path.clone());
        let options = ArrowWriterOptions::new().with_properties(self.properties.clone());
        ArrowWriter::try_new_with_options(file, self.schema.clone(), options)
            .map_err(|error| ExportError::Parquet { path: self.path.clone(), reason: error.to_string() })
    }

    fn finish(mut self) -> Result<ExportedFile, ExportError> {
        self.encode()?;
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.create()?,
        };
        for (key, sequence) in [("first_sequence", self.span.first), ("last_sequence", self.span.last)] {
            let key = format!("marketprism.{key}");
            writer.append_key_value_metadata(KeyValue::new(key, sequence.to_string()));
        }
        let file = writer
            .into_inner()
            .map_err(|error| ExportError::Parquet { path: self.path, reason: error.to_string() })?;
        file.finish(self.rows, self.span)
    }
}

/// Columns whose numbers climb from row to row.
const CLIMBING: [&str; 8] = [
    "sequence",
    "receive_ns",
    "exchange_ns",
    "event_ns",
    "trade_id",
    "trade_sequence",
    "last_id",
    "update_id",
];

fn properties(kind: Kind, instrument: &Instrument, log: &str) -> WriterProperties {
    let definition = serde_json::to_string(instrument).unwrap_or_default();
    let metadata = [("log", log.to_owned()), ("instrument", definition), ("notes", NOTES.to_owned())];
    let metadata = metadata.map(|(key, value)| KeyValue::new(format!("marketprism.{key}"), value));
    let mut builder = WriterProperties::builder()
        .set_created_by("marketprism".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
        .set_key_value_metadata(Some(metadata.to_vec()))
        // Each page is compressed by a new context, which costs as much as some thousand rows.
        .set_data_page_row_count_limit(ROW_GROUP_ROWS);
    for (name, _) in schema::columns(kind).filter(|(name, _)| CLIMBING.contains(name)) {
        let path = ColumnPath::from(name);
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    for side in ["bids", "asks"] {
        for number in ["price", "quantity"] {
            // Nobody looks for the lowest price of any level.
            let path = ColumnPath::from([side, "list", "element", number].map(str::to_owned).to_vec());
            builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
        }
    }
    builder.build()
}

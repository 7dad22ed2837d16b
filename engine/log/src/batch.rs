//! From records to the bytes of a batch.

use marketprism_core::record::{Body, Definition, Header, Kind, LINE_BYTES, Line, RecordRef, Sink};
use rkyv::rancor::{Failure, Strategy};

use crate::columns::Columns;
use crate::error::LogError;
use crate::format::{BatchHeader, BatchKind, Codec, HEADER_BYTES, KINDS, MAX_BODY_BYTES, checksum, padded};

/// Why a record was not taken. The batch is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The batch has reached the longest body that the format allows: finish it and push again.
    #[error("the batch is full")]
    Full,
    /// The record contradicts itself and could not be read back.
    #[error("malformed record: {0}")]
    Malformed(&'static str),
}

/// A finished batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// Capture sequence of its first record.
    pub first_sequence: u64,
    /// Number of records.
    pub records: u32,
    /// Bytes in the file: header, body and padding.
    pub bytes: u32,
    /// Earliest receive time, nanoseconds since the Unix epoch.
    pub first_receive_ns: i64,
    /// Latest receive time, nanoseconds since the Unix epoch.
    pub last_receive_ns: i64,
    /// Number of records by kind number.
    pub kinds: [u32; KINDS],
}

impl BatchInfo {
    /// The capture sequence after the last record.
    pub fn end_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(u64::from(self.records))
    }
}

/// Gathers records and archives them. Buffers are kept from batch to batch: once warm nothing is allocated.
pub struct BatchBuilder {
    columns: Columns,
    kinds: [u32; KINDS],
    bytes: usize,
    first_receive_ns: i64,
    last_receive_ns: i64,
    rejected: u64,
}

impl Default for BatchBuilder {
    fn default() -> BatchBuilder {
        BatchBuilder {
            columns: Columns::default(),
            kinds: [0; KINDS],
            bytes: 0,
            first_receive_ns: i64::MAX,
            last_receive_ns: i64::MIN,
            rejected: 0,
        }
    }
}

/// Bytes that an archive takes besides its records: the root and the padding before each vector.
const ARCHIVE_BYTES: usize = 2048;

impl BatchBuilder {
    /// An empty batch.
    pub fn new() -> BatchBuilder {
        BatchBuilder::default()
    }

    /// Takes a copy of a record. One that contradicts itself is refused, so that it does not make its whole batch
    /// unreadable.
    #[inline]
    pub fn push(&mut self, record: RecordRef<'_>) -> Result<(), PushError> {
        let (kind, bytes) = self.admit(&record)?;
        match record {
            RecordRef::Trade(r) => self.columns.trades.push(*r),
            RecordRef::AggTrade(r) => self.columns.agg_trades.push(*r),
            RecordRef::Quote(r) => self.columns.quotes.push(*r),
            RecordRef::Ticker(r) => self.columns.tickers.push(*r),
            RecordRef::MarkPrice(r) => self.columns.mark_prices.push(*r),
            RecordRef::FundingRate(r) => self.columns.funding_rates.push(*r),
            RecordRef::OpenInterest(r) => self.columns.open_interests.push(*r),
            RecordRef::Liquidation(r) => self.columns.liquidations.push(*r),
            RecordRef::Candle(r) => self.columns.candles.push(*r),
            RecordRef::LongShortRatio(r) => self.columns.long_short_ratios.push(*r),
            RecordRef::Gap(r) => self.columns.gaps.push(*r),
            RecordRef::DetailedTrade(r) => self.columns.detailed_trades.push(*r),
            RecordRef::Greeks(r) => self.columns.greeks.push(*r),
            RecordRef::VolatilityIndex(r) => self.columns.volatility_indexes.push(*r),
            RecordRef::ClockSample(r) => self.columns.clock_samples.push(*r),
            RecordRef::Book(r, levels) => {
                let mut book = *r;
                book.level_start = self.columns.levels.len() as u32;
                self.columns.levels.extend_from_slice(levels);
                self.columns.books.push(book);
            }
            RecordRef::Definition(r, bytes) => {
                let mut record = *r;
                record.body = self.push_body(bytes);
                self.columns.definitions.push(record);
            }
            RecordRef::Session(r, bytes) => {
                let mut record = *r;
                record.body = self.push_body(bytes);
                self.columns.sessions.push(record);
            }
            RecordRef::Raw(r, bytes) => {
                let mut record = *r;
                record.body = self.push_body(bytes);
                self.columns.raws.push(record);
            }
        }
        self.count(kind, bytes, record.header());
        Ok(())
    }

    /// The kind of a record that may be pushed, and its bytes in the archive.
    #[inline]
    fn admit(&self, record: &RecordRef<'_>) -> Result<(Kind, usize), PushError> {
        let header = record.header();
        let kind = Kind::from_number(header.kind).ok_or(PushError::Malformed("unknown kind"))?;
        let (belongs, body) = match record {
            RecordRef::Trade(_) => (kind == Kind::Trade, 0),
            RecordRef::AggTrade(_) => (kind == Kind::AggTrade, 0),
            RecordRef::Quote(_) => (kind == Kind::Quote, 0),
            RecordRef::Ticker(_) => (kind == Kind::Ticker, 0),
            RecordRef::MarkPrice(_) => (kind == Kind::MarkPrice, 0),
            RecordRef::FundingRate(_) => (kind == Kind::FundingRate, 0),
            RecordRef::OpenInterest(_) => (kind == Kind::OpenInterest, 0),
            RecordRef::Liquidation(_) => (kind == Kind::Liquidation, 0),
            RecordRef::Candle(_) => (kind == Kind::Candle, 0),
            RecordRef::LongShortRatio(_) => (kind == Kind::LongShortRatio, 0),
            RecordRef::Gap(_) => (kind == Kind::Gap, 0),
            RecordRef::DetailedTrade(_) => (kind == Kind::DetailedTrade, 0),
            RecordRef::Greeks(_) => (kind == Kind::Greeks, 0),
            RecordRef::VolatilityIndex(_) => (kind == Kind::VolatilityIndex, 0),
            RecordRef::ClockSample(_) => (kind == Kind::ClockSample, 0),
            RecordRef::Book(book, levels) => {
                if usize::from(book.bid_levels) + usize::from(book.ask_levels) != levels.len() {
                    return Err(PushError::Malformed("the level counts are not those of its levels"));
                }
                (matches!(kind, Kind::BookSnapshot | Kind::BookDelta), size_of_val(*levels))
            }
            RecordRef::Definition(_, body) => (kind == Kind::Instrument, body.len()),
            RecordRef::Session(_, body) => (kind == Kind::Session, body.len()),
            RecordRef::Raw(_, body) => (kind == Kind::Raw, body.len()),
        };
        if !belongs {
            return Err(PushError::Malformed("the kind in the header is not that of the record"));
        }
        // One byte more for the order.
        let bytes = kind.head_lines() * LINE_BYTES + body + 1;
        if self.bytes + bytes > MAX_BODY_BYTES - ARCHIVE_BYTES {
            // What does not fit into an empty batch never will.
            return Err(if self.is_empty() {
                PushError::Malformed("longer than a batch")
            } else {
                PushError::Full
            });
        }
        Ok((kind, bytes))
    }

    fn push_body(&mut self, bytes: &[u8]) -> Body {
        let start = self.columns.bytes.len() as u32;
        self.columns.bytes.extend_from_slice(bytes);
        Body { start, bytes: bytes.len() as u32 }
    }

    #[inline]
    fn count(&mut self, kind: Kind, bytes: usize, header: &Header) {
        self.columns.order.push(kind as u8);
        self.kinds[kind as usize] += 1;
        self.bytes += bytes;
        self.first_receive_ns = self.first_receive_ns.min(header.receive_ns);
        self.last_receive_ns = self.last_receive_ns.max(header.receive_ns);
    }

    /// Number of records.
    pub fn records(&self) -> u32 {
        self.columns.order.len() as u32
    }

    /// About how many bytes [`finish`](Self::finish) will give.
    pub fn bytes_estimate(&self) -> usize {
        HEADER_BYTES + ARCHIVE_BYTES + self.bytes
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.columns.order.is_empty()
    }

    /// Earliest receive time of its records, nanoseconds since the Unix epoch; `None` where there is none.
    pub fn first_receive_ns(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.first_receive_ns)
    }

    /// Records that [`Sink::append`] could not take since the builder was made. Must stay 0.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The instrument definitions in it, with their JSON bodies.
    pub fn definitions(&self) -> impl Iterator<Item = (&Definition, &[u8])> {
        self.columns.definitions.iter().map(|definition| {
            let start = definition.body.start as usize;
            (definition, &self.columns.bytes[start..start + definition.body.bytes as usize])
        })
    }

    /// Forgets all records and keeps the memory.
    pub fn clear(&mut self) {
        let columns = &mut self.columns;
        columns.order.clear();
        columns.trades.clear();
        columns.agg_trades.clear();
        columns.books.clear();
        columns.quotes.clear();
        columns.tickers.clear();
        columns.mark_prices.clear();
        columns.funding_rates.clear();
        columns.open_interests.clear();
        columns.liquidations.clear();
        columns.candles.clear();
        columns.long_short_ratios.clear();
        columns.definitions.clear();
        columns.sessions.clear();
        columns.gaps.clear();
        columns.raws.clear();
        columns.levels.clear();
        columns.bytes.clear();
        columns.detailed_trades.clear();
        columns.greeks.clear();
        columns.volatility_indexes.clear();
        columns.clock_samples.clear();
        self.kinds = [0; KINDS];
        self.bytes = 0;
        self.first_receive_ns = i64::MAX;
        self.last_receive_ns = i64::MIN;
    }

    /// Archives the records into `out`, which is cleared first and then holds header, body and padding, ready to be
    /// written as it is at a multiple of 64. The builder is empty afterwards.
    pub fn finish(&mut self, first_sequence: u64, out: &mut Vec<u8>) -> Result<BatchInfo, LogError> {
        self.finish_as(BatchKind::Data, first_sequence, out)
    }

    pub(crate) fn finish_as(
        &mut self,
        kind: BatchKind,
        first_sequence: u64,
        out: &mut Vec<u8>,
    ) -> Result<BatchInfo, LogError> {
        let records = self.records();
        let (first_receive_ns, last_receive_ns) =
            if self.is_empty() { (0, 0) } else { (self.first_receive_ns, self.last_receive_ns) };
        let header =
            BatchHeader { first_sequence, records, first_receive_ns, last_receive_ns, ..blank(kind) };
        let bytes = seal(header, &self.columns, out)?;
        let kinds = self.kinds;
        self.clear();
        Ok(BatchInfo { first_sequence, records, bytes, first_receive_ns, last_receive_ns, kinds })
    }
}

/// Records that cannot be taken are counted in [`BatchBuilder::rejected`].
impl Sink for BatchBuilder {
    fn append(&mut self, head: &[Line], body: &[u8]) {
        let taken = from_parts(head, body).is_some_and(|record| self.push(record).is_ok());
        self.rejected += u64::from(!taken);
    }
}

/// The record that [`RecordRef::parts`] split.
fn from_parts<'a>(head: &'a [Line], body: &'a [u8]) -> Option<RecordRef<'a>> {
    let kind = Kind::from_number(head.first()?.0[0])?;
    match kind {
        Kind::BookSnapshot | Kind::BookDelta => Some(RecordRef::Book(
            bytemuck::try_from_bytes(bytemuck::cast_slice(head)).ok()?,
            bytemuck::try_cast_slice(body).ok()?,
        )),
        Kind::Instrument => {
            Some(RecordRef::Definition(bytemuck::try_from_bytes(bytemuck::cast_slice(head)).ok()?, body))
        }
        Kind::Session => {
            Some(RecordRef::Session(bytemuck::try_from_bytes(bytemuck::cast_slice(head)).ok()?, body))
        }
        Kind::Raw => Some(RecordRef::Raw(bytemuck::try_from_bytes(bytemuck::cast_slice(head)).ok()?, body)),
        _ => RecordRef::read(head).map(|(record, _)| record),
    }
}

/// A batch header with only the kind set.
pub(crate) fn blank(kind: BatchKind) -> BatchHeader {
    BatchHeader { codec: Codec::None as u8, kind: kind as u8, ..bytemuck::Zeroable::zeroed() }
}

/// Archives `body` behind `header`; gives the bytes of the whole batch.
pub(crate) fn seal<T>(mut header: BatchHeader, body: &T, out: &mut Vec<u8>) -> Result<u32, LogError>
where
    T: rkyv::Serialize<Strategy<Vec<u8>, Failure>>,
{
    let too_large = LogError::TooLarge { records: header.records };
    out.clear();
    out.resize(HEADER_BYTES, 0);
    if rkyv::api::serialize_using::<_, Failure>(body, out).is_err() {
        return Err(too_large);
    }
    let body_bytes = out.len() - HEADER_BYTES;
    if body_bytes > MAX_BODY_BYTES {
        return Err(too_large);
    }
    out.resize(HEADER_BYTES + padded(body_bytes), 0);
    header.body_bytes = body_bytes as u32;
    header.decoded_bytes = body_bytes as u32;
    header.body_checksum = checksum(&out[HEADER_BYTES..]);
    out[..HEADER_BYTES].copy_from_slice(bytemuck::bytes_of(&header.finish()));
    Ok(out.len() as u32)
}

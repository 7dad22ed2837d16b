//! The coverage ledger: for every stream of a segment what is proven contiguous, what is missing, suspect, repaired or
//! unprovable.
//!
//! A ledger is a function of the records of one segment in capture order and of nothing else. So the writer's live
//! ledger, which it stores at the end of the segment, and the one that `verify` recomputes are equal, whatever became of
//! the segments before: removed by retention, cut short by a crash, or written by another run. What lies between two
//! segments is told by the ids at their border, see [`CoverageSummary`].

mod holes;
mod read;
mod span;
mod stored;
mod stream;
mod summary;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use marketprism_core::InstrumentId;
use marketprism_core::record::{AggTrade, Book, Header, Kind, RecordRef, Sink, Trade, flag};

use crate::verify::Link;
use stream::{Message, Step, Stream, UNUSUAL, mark};

pub(crate) use read::by_stream;
pub use read::{LogCoverage, coverage};
pub use span::{Reason, Span, Status};
pub(crate) use stored::StoredLedger;
pub use summary::{CoverageSummary, SpanCounts, StreamCoverage};

/// A stream: the instrument and the kind of its records, as [`Kind::stream`] has it.
pub type StreamKey = (InstrumentId, Kind);

/// Finished spans that are kept before [`Coverage::is_full`] asks for a flush.
const MOST_FINISHED: usize = 4096;

/// Totals over all streams since the ledger was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoverageTotals {
    /// Records by [`Status`]; of missing ones 0.
    pub records: [u64; 5],
    /// Finished spans by [`Status`].
    pub spans: [u64; 5],
    /// Ids that are missing in finished spans.
    pub missing_ids: u64,
}

/// The ledger of the segment that is being written or read.
#[derive(Default)]
pub struct Coverage {
    index: HashMap<u64, u32, BuildHasherDefault<Mixer>>,
    streams: Vec<Stream>,
    finished: Vec<(StreamKey, Span)>,
    /// Reported holes that no record has gone beyond: stream, first and last id.
    told: Vec<(usize, u64, u64)>,
    totals: CoverageTotals,
}

impl Coverage {
    /// Takes the next record of the segment. Definitions, session records and raw frames are of no stream, and neither
    /// are records that were computed from others.
    #[inline]
    pub fn record(&mut self, record: RecordRef<'_>) {
        match record {
            RecordRef::Trade(trade) => self.trade(trade),
            RecordRef::DetailedTrade(detailed) => self.trade(&detailed.trade),
            RecordRef::AggTrade(trade) => self.agg_trade(trade),
            RecordRef::Book(book, _) => self.book(book),
            RecordRef::Gap(gap) => self.gap(gap),
            RecordRef::Definition(..) | RecordRef::Session(..) | RecordRef::Raw(..) => {}
            other => {
                if let Some(kind) = other.kind() {
                    self.unlinked(other.header(), kind);
                }
            }
        }
    }

    /// Whether so many spans are finished that they should be [flushed](Self::flush), so that memory stays bounded.
    pub fn is_full(&self) -> bool {
        self.finished.len() >= MOST_FINISHED
    }

    /// Writes the finished spans as session records and forgets them. More records of the segment may follow.
    pub fn flush(&mut self, now_ns: i64, out: &mut dyn Sink) {
        self.finished.sort_by_key(|(stream, _)| *stream);
        stored::write(&self.finished, true, now_ns, out);
        self.finished.clear();
    }

    /// The segment ends: writes all that was not flushed as session records, and begins anew.
    pub fn end(&mut self, now_ns: i64, out: &mut dyn Sink) {
        self.finish_all();
        stored::write(&self.finished, false, now_ns, out);
        self.finished.clear();
    }

    /// The segment ends: gives all spans that were not flushed, in the order of their streams, and begins anew.
    pub fn take(&mut self) -> Vec<(StreamKey, Span)> {
        self.finish_all();
        std::mem::take(&mut self.finished)
    }

    /// Totals over all segments so far.
    pub fn totals(&self) -> &CoverageTotals {
        &self.totals
    }

    fn finish_all(&mut self) {
        for at in 0..self.streams.len() {
            self.finish(at);
        }
        self.finished.sort_by_key(|(stream, _)| *stream);
        self.streams.clear();
        self.index.clear();
        self.told.clear();
    }

    #[inline]
    fn trade(&mut self, trade: &Trade) {
        self.numbered(&trade.header, Kind::Trade, trade.first_id());
    }

    #[inline]
    fn agg_trade(&mut self, trade: &AggTrade) {
        self.numbered(&trade.header, Kind::AggTrade, trade.header.sequence);
    }

    /// A record of a stream whose ids count up by one.
    #[inline]
    fn numbered(&mut self, header: &Header, kind: Kind, first_id: u64) {
        let at = self.slot(header.instrument, kind);
        let stream = &mut self.streams[at];
        if stream.chain != 0 && stream.chain.wrapping_add(1) == first_id && stream.extend_contiguous(header) {
            self.totals.records[Status::Contiguous as usize] += 1;
            return;
        }
        self.numbered_off_path(at, header, first_id);
    }

    #[cold]
    fn numbered_off_path(&mut self, at: usize, header: &Header, first_id: u64) {
        let (id, chain) = (header.sequence, self.streams[at].chain);
        let step = match (id, chain) {
            (0, _) => Step::Unlinked,
            (_, 0) => Step::First,
            _ if id <= chain => Step::NotNew,
            _ if first_id <= chain.saturating_add(1) => Step::Continues,
            _ => Step::Hole(chain + 1, first_id - 1),
        };
        // What was fetched later for the time before the first record does not begin the stream.
        let is_history = header.flags & flag::BACKFILLED != 0 && step == Step::First;
        let moves = !is_history && !matches!(step, Step::Unlinked | Step::NotNew);
        let chain = if moves { id } else { chain };
        self.take_record(at, Message { header, first_id, last_id: id, step, chain });
    }

    #[inline]
    fn book(&mut self, book: &Book) {
        let header = &book.header;
        if header.kind != Kind::BookDelta as u8 {
            return self.snapshot(header);
        }
        let at = self.slot(header.instrument, Kind::BookDelta);
        let stream = &mut self.streams[at];
        if stream.chain != 0 && Link::of(book).continues(stream.chain) && stream.extend_contiguous(header) {
            self.totals.records[Status::Contiguous as usize] += 1;
            return;
        }
        self.delta_off_path(at, book);
    }

    #[cold]
    fn delta_off_path(&mut self, at: usize, book: &Book) {
        let (header, chain, link) = (&book.header, self.streams[at].chain, Link::of(book));
        let is_chained = matches!(link, Link::Chained(_));
        let step = match link {
            Link::None => Step::Unlinked,
            _ if chain == 0 => Step::First,
            _ if link.continues(chain) => Step::Continues,
            _ if !is_chained && header.sequence <= chain => Step::NotNew,
            _ => match link.end_before() {
                Some(end) if end > chain => Step::Hole(chain + 1, end),
                _ => Step::Unnamed,
            },
        };
        let own = if is_chained { header.sequence } else { book.first_id };
        let first_id = link.end_before().map_or(own, |end| end.saturating_add(1).min(own));
        let chain = if link == Link::None { 0 } else { header.sequence };
        self.take_record(at, Message { header, first_id, last_id: header.sequence, step, chain });
    }

    /// A snapshot that a stream brings is a message of that stream, and deltas go on from it. Others are of their own.
    #[cold]
    fn snapshot(&mut self, header: &Header) {
        if header.flags & (flag::REST | flag::PARTIAL | flag::DERIVED) != 0 {
            return self.unlinked(header, Kind::BookSnapshot);
        }
        let at = self.slot(header.instrument, Kind::BookDelta);
        let (id, chain) = (header.sequence, self.streams[at].chain);
        // A flagged one may not have been taken.
        let is_flagged = header.flags & flag::BOOK_INVALID != 0;
        let step = match id {
            _ if is_flagged || id == 0 => Step::Unlinked,
            _ if chain == 0 => Step::First,
            _ if id == chain => Step::Continues,
            _ if id > chain => Step::Hole(chain + 1, id),
            _ => Step::Unnamed,
        };
        let (id, chain) = if is_flagged { (0, chain) } else { (id, id) };
        self.take_record(at, Message { header, first_id: id, last_id: id, step, chain });
    }

    /// A record of a stream without ids, or with ids that may skip.
    #[inline]
    fn unlinked(&mut self, header: &Header, kind: Kind) {
        if header.flags & flag::DERIVED != 0 {
            return;
        }
        let at = self.slot(header.instrument, kind);
        if let Some(open) = &mut self.streams[at].open
            && open.status == Status::Unprovable
            && header.flags & UNUSUAL == 0
        {
            open.extend(header.sequence, header.receive_ns);
            self.totals.records[Status::Unprovable as usize] += 1;
            return;
        }
        let (id, step) = (header.sequence, Step::Unlinked);
        self.take_record(at, Message { header, first_id: id, last_id: id, step, chain: 0 });
    }

    /// Where a stream lies.
    #[inline]
    fn slot(&mut self, instrument: InstrumentId, kind: Kind) -> usize {
        let key = u64::from(instrument) << 8 | kind as u64;
        match self.index.get(&key) {
            Some(at) => *at as usize,
            None => self.new_slot(key, instrument, kind),
        }
    }

    #[cold]
    fn new_slot(&mut self, key: u64, instrument: InstrumentId, kind: Kind) -> usize {
        let at = self.streams.len();
        self.index.insert(key, at as u32);
        self.streams.push(Stream { instrument, kind, told: false, chain: 0, open: None });
        at
    }

    /// Takes a record that is not simply the next one of its stream.
    #[cold]
    fn take_record(&mut self, at: usize, message: Message<'_>) {
        let Message { header, first_id, last_id, step, chain } = message;
        if header.flags & flag::DERIVED != 0 {
            return;
        }
        let (status, reason) = mark(header.flags, step);
        if step == Step::First {
            self.end_hole(at, first_id);
        } else if let Step::Hole(from, to) = step {
            self.hole(at, from, to, header.receive_ns);
        } else if step == Step::Unnamed && !self.streams[at].is_hole_told() {
            self.missing(at, 0, 0, header.receive_ns);
        }
        self.totals.records[status as usize] += 1;
        let span = Span {
            status,
            reason,
            first_id,
            last_id,
            first_ns: header.receive_ns,
            last_ns: header.receive_ns,
            records: 1,
        };
        let stream = &mut self.streams[at];
        let before = std::mem::replace(&mut stream.chain, chain);
        match &mut stream.open {
            Some(open) if open.goes_on_with(&span, step) => {
                if open.first_id == 0 {
                    open.first_id = first_id;
                }
                let last_id = if last_id == 0 { open.last_id } else { last_id };
                open.extend(last_id, header.receive_ns);
            }
            _ => self.open(at, span),
        }
        self.forget_told(at, chain.max(before));
    }

    /// Begins a span.
    fn open(&mut self, at: usize, span: Span) {
        self.finish(at);
        self.streams[at].open = Some(span);
    }

    /// Ends the span that goes on.
    fn finish(&mut self, at: usize) {
        let stream = &mut self.streams[at];
        let Some(span) = stream.open.take() else { return };
        self.totals.spans[span.status as usize] += 1;
        if span.status == Status::Missing {
            self.totals.missing_ids = self.totals.missing_ids.saturating_add(span.ids());
        }
        self.finished.push(((stream.instrument, stream.kind), span));
    }
}

/// Spreads a small key over all bits: one multiplication.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    #[inline]
    fn write_u64(&mut self, key: u64) {
        let product = u128::from(key) * 0x9e37_79b9_7f4a_7c15;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

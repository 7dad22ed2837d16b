//! The ledger, recomputed from disk: what is there, which holes are reported, and whether there are others.

mod book;
mod chain;
mod levels;
mod link;
mod rebuild;
mod runs;

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;

use marketprism_core::InstrumentId;
use marketprism_core::instrument::Registry;
use marketprism_core::record::{Gap, Header, Kind, RecordRef, flag};
use serde::Serialize;

use crate::columns::IndexEntry;
use crate::coverage::{Coverage, CoverageSummary, StoredLedger, StreamCoverage, by_stream};
use crate::error::{LogError, Problem};
use crate::format::BatchKind;
use crate::map::Segment;
use crate::read::{LogReader, Piece, Selection};
use crate::recover::restore;
use crate::view::BatchView;

use book::BookChain;
use chain::IdChain;
pub(crate) use chain::uncovered;
pub(crate) use link::Link;
use rebuild::rebuild;
use runs::Runs;

/// Most problems that are kept one by one; the rest is counted.
const MAX_PROBLEMS: usize = 1000;

/// The result of [`verify()`]. Field names are those of `verify --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Whether there is no problem. Reported gaps are not problems.
    pub ok: bool,
    /// The capture sequence that the log begins with; what came before it is kept no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_sequence: Option<u64>,
    /// Number of records.
    pub records: u64,
    /// Number of segment files.
    pub segments: u64,
    /// Length of all segment files, bytes.
    pub bytes: u64,
    /// Holes that the log reports.
    pub gaps: u64,
    /// Bytes behind the last whole batch of the last segment: one that is being written, or a torn tail.
    pub torn_bytes: u64,
    /// One entry for each instrument and kind of record.
    pub streams: Vec<StreamSummary>,
    /// What is proven of each stream and what is not, recomputed from the records.
    pub coverage: Vec<StreamCoverage>,
    /// Segments with records whose writer stored no coverage: it was cut short, still writes, or is another program.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segments_without_coverage: Vec<String>,
    /// Everything that is not as it should be.
    pub problems: Vec<Problem>,
}

/// One stream: the records of one kind of one instrument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamSummary {
    /// Venue, e.g. `binance`.
    pub venue: String,
    /// Market, e.g. `usdm`.
    pub market: String,
    /// The venue's own name of the instrument.
    pub venue_symbol: String,
    /// Kind of its records.
    pub kind: Kind,
    /// Number of records.
    pub records: u64,
    /// Reported holes.
    pub gaps: u64,
    /// Deltas of a book that carry no ids: nothing proves that none is missing between them.
    #[serde(skip_serializing_if = "is_zero")]
    pub unprovable: u64,
    /// Earliest receive time, nanoseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ns: Option<i64>,
    /// Latest receive time, nanoseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ns: Option<i64>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Reads the whole log and checks all that can be checked without the venue: checksums, capture sequences, indexes, that each
/// instrument is defined before it is used, that the venue's ids go on without a hole other than the reported ones, and
/// that the coverage stored in each segment is the one that its records amount to.
///
/// Books with derived records or checksums are rebuilt in a second pass, which logs without these do not pay for, and the
/// records are compared with them.
pub fn verify(directory: &Path) -> Result<Verification, LogError> {
    let reader = LogReader::open(directory)?;
    let mut ledger = Ledger::default();
    ledger.result.first_sequence = reader.first_sequence();
    reader.walk(&Selection::default(), |piece| {
        match piece {
            Piece::Segment(segment) => ledger.segment(segment),
            Piece::Batch(segment, batch) => ledger.batch(segment, batch),
            Piece::Problem(problem) => ledger.problem(problem),
        }
        ControlFlow::Continue(())
    })?;
    if !ledger.rebuilt.is_empty() {
        let instruments = std::mem::take(&mut ledger.rebuilt);
        rebuild(&reader, &instruments, |instrument, kind, finding| {
            ledger.report(instrument, kind, vec![finding]);
        })?;
    }
    Ok(ledger.finish())
}

/// Counters and continuity of one stream.
#[derive(Default)]
struct Stream {
    records: u64,
    gaps: u64,
    first_ns: Option<i64>,
    last_ns: Option<i64>,
    continuity: Continuity,
}

#[derive(Default)]
enum Continuity {
    /// The stream has no ids that could prove anything.
    #[default]
    None,
    Ids(IdChain),
    Book(Box<BookChain>),
}

impl Stream {
    fn of(kind: Kind) -> Stream {
        let continuity = match kind {
            Kind::Trade | Kind::AggTrade => Continuity::Ids(IdChain::default()),
            Kind::BookDelta => Continuity::Book(Box::default()),
            _ => Continuity::None,
        };
        Stream { continuity, ..Stream::default() }
    }

    fn count(&mut self, header: &Header) {
        self.records += 1;
        self.first_ns = Some(self.first_ns.map_or(header.receive_ns, |ns| ns.min(header.receive_ns)));
        self.last_ns = Some(self.last_ns.map_or(header.receive_ns, |ns| ns.max(header.receive_ns)));
    }

    fn unprovable(&self) -> u64 {
        match &self.continuity {
            Continuity::Book(chain) => chain.unprovable(),
            _ => 0,
        }
    }
}

/// Whether a record says something of a book that can be compared with the book itself.
fn needs_book(record: &RecordRef<'_>) -> bool {
    match record {
        RecordRef::Book(book, _) => book.header.flags & (flag::DERIVED | flag::CHECKSUM) != 0,
        RecordRef::Quote(quote) => quote.header.flags & flag::DERIVED != 0,
        _ => false,
    }
}

/// Where a record lies, for problems.
#[derive(Clone)]
struct Place {
    file: Rc<str>,
    /// Of its batch, bytes from the start of the file.
    offset: u64,
    /// Its capture sequence.
    sequence: u64,
}

/// What a chain found wrong, and at which record.
type Finding = (Place, String);

#[derive(Default)]
struct Ledger {
    result: Verification,
    more_problems: u64,
    streams: BTreeMap<(InstrumentId, Kind), Stream>,
    /// All definitions so far, for names.
    registry: Registry,
    /// Instruments that the current segment defines.
    defined: HashSet<InstrumentId>,
    /// Instruments already reported as not defined in the current segment.
    undefined: HashSet<InstrumentId>,
    /// Instruments whose books have to be rebuilt.
    rebuilt: HashSet<InstrumentId>,
    index: IndexCheck,
    runs: Runs,
    coverage: CoverageCheck,
}

/// Compares the coverage stored in a segment with what its records amount to.
#[derive(Default)]
struct CoverageCheck {
    name: String,
    is_sealed: bool,
    computed: Coverage,
    stored: StoredLedger,
    summary: CoverageSummary,
}

/// Compares a sealed segment's index with what its batches hold.
#[derive(Default)]
struct IndexCheck {
    name: String,
    expected: Option<Vec<IndexEntry>>,
    found: Vec<IndexEntry>,
}

impl Ledger {
    fn problem(&mut self, problem: Problem) {
        match self.result.problems.len() < MAX_PROBLEMS {
            true => self.result.problems.push(problem),
            false => self.more_problems += 1,
        }
    }

    fn segment(&mut self, segment: &Segment) {
        self.finish_index();
        self.finish_coverage();
        self.coverage.name = segment.name().to_owned();
        self.coverage.is_sealed = segment.is_sealed();
        if let Some(problem) = self.runs.next(segment) {
            self.problem(problem);
        }
        self.result.segments += 1;
        self.result.bytes += segment.file_bytes();
        self.result.torn_bytes = segment.torn_bytes();
        self.defined.clear();
        self.undefined.clear();
        self.index = IndexCheck { name: segment.name().to_owned(), ..IndexCheck::default() };
        match segment.footer() {
            None => {}
            Some(Err(problem)) => self.problem(problem),
            Some(Ok(footer)) => self.index.expected = Some(footer.entries.to_vec()),
        }
    }

    fn finish_index(&mut self) {
        let check = std::mem::take(&mut self.index);
        if check.expected.is_some_and(|expected| expected != check.found) {
            self.problem(Problem::new(&check.name, 0, "the footer's index does not agree with the batches"));
        }
    }

    /// The segment ends.
    fn finish_coverage(&mut self) {
        let computed = by_stream(self.coverage.computed.take());
        let stored = std::mem::take(&mut self.coverage.stored);
        let name = std::mem::take(&mut self.coverage.name);
        computed.iter().for_each(|(stream, spans)| self.coverage.summary.add(*stream, spans));
        let was_ended = self.coverage.is_sealed && !stored.spans().is_empty();
        for ((instrument, kind), what) in stored.differences(&computed, was_ended) {
            let what = format!("{} {kind}: {what}", self.name(instrument));
            self.problem(Problem::new(&name, 0, what));
        }
        if !computed.is_empty() && !stored.is_complete() {
            self.result.segments_without_coverage.push(name);
        }
    }

    fn batch(&mut self, segment: &Segment, batch: &BatchView<'_>) {
        for instrument in restore(&mut self.registry, batch) {
            let what = format!("the definition of instrument {instrument} is not valid");
            self.problem(Problem::new(segment.name(), batch.offset(), what));
        }
        if batch.kind() == BatchKind::Dictionary {
            self.defined.extend(batch.definitions().map(|(definition, _)| definition.header.instrument));
            return;
        }
        let header = batch.header();
        self.index.found.push(IndexEntry {
            offset: batch.offset(),
            first_sequence: header.first_sequence,
            first_receive_ns: header.first_receive_ns,
            last_receive_ns: header.last_receive_ns,
            records: header.records,
            bytes: header.total_bytes() as u32,
            kinds: *batch.kinds(),
            reserved: [0; 24],
        });
        let (mut first_ns, mut last_ns) = (i64::MAX, i64::MIN);
        let mut place = Place { file: segment.name().into(), offset: batch.offset(), sequence: 0 };
        for (sequence, record) in batch.records() {
            let receive_ns = record.header().receive_ns;
            first_ns = first_ns.min(receive_ns);
            last_ns = last_ns.max(receive_ns);
            place.sequence = sequence;
            self.record(&place, record);
        }
        // Of a damaged batch some records may be missing.
        let is_whole = !batch.is_empty() && batch.len() == header.records as usize;
        if is_whole && (first_ns, last_ns) != (header.first_receive_ns, header.last_receive_ns) {
            let what = "the receive times in the batch header are not those of its records";
            self.problem(Problem::new(segment.name(), batch.offset(), what));
        }
    }

    fn record(&mut self, place: &Place, record: RecordRef<'_>) {
        self.result.records += 1;
        let header = record.header();
        let Some(kind) = record.kind() else { return };
        if kind == Kind::Instrument {
            self.defined.insert(header.instrument);
            return;
        }
        self.check_defined(place, kind, header.instrument);
        self.coverage.computed.record(record);
        if let RecordRef::Session(session, body) = record
            && let Err(what) = self.coverage.stored.take(session, body)
        {
            let what = format!("sequence {}, {}: {what}", place.sequence, self.name(header.instrument));
            self.problem(Problem::new(&place.file, place.offset, what));
        }
        if let RecordRef::Gap(gap) = record {
            return self.gap(place, gap);
        }
        if matches!(kind, Kind::Session | Kind::Raw) {
            return;
        }
        if needs_book(&record) {
            self.rebuilt.insert(header.instrument);
        }
        let stream = self.stream(header.instrument, kind.stream());
        stream.count(header);
        let mut found = Vec::new();
        match (&mut stream.continuity, record) {
            (Continuity::Ids(chain), record) => {
                let first_id = record.trade().map_or(header.sequence, |trade| trade.first_id());
                chain.record(header, first_id, place, &mut found);
            }
            (Continuity::Book(chain), RecordRef::Book(book, _)) => chain.delta(book, place, &mut found),
            _ => {}
        }
        if let RecordRef::Book(book, _) = record
            && kind == Kind::BookSnapshot
        {
            // A snapshot re-starts the chain of the deltas, where there is one.
            if let Continuity::Book(chain) = &mut self.stream(header.instrument, Kind::BookDelta).continuity {
                chain.snapshot(book, place, &mut found);
            }
        }
        self.report(header.instrument, kind, found);
    }

    fn gap(&mut self, place: &Place, gap: &Gap) {
        let instrument = gap.header.instrument;
        let Some(kind) = Kind::from_number(gap.stream).map(Kind::stream) else {
            let what =
                format!("sequence {}: a gap names the unknown kind of stream {}", place.sequence, gap.stream);
            return self.problem(Problem::new(&place.file, place.offset, what));
        };
        let stream = self.stream(instrument, kind);
        let mut found = Vec::new();
        let is_new = match &mut stream.continuity {
            Continuity::None => gap.repaired == 0,
            Continuity::Ids(chain) => chain.gap(gap),
            Continuity::Book(chain) => chain.gap(gap, &mut found),
        };
        stream.gaps += u64::from(is_new);
        self.result.gaps += u64::from(is_new);
        self.report(instrument, kind, found);
    }

    fn check_defined(&mut self, place: &Place, kind: Kind, instrument: InstrumentId) {
        let without = instrument == 0 && matches!(kind, Kind::Session | Kind::Raw);
        if without || self.defined.contains(&instrument) || !self.undefined.insert(instrument) {
            return;
        }
        let what = format!(
            "sequence {}: {kind} of instrument {instrument}, which this segment does not define before it",
            place.sequence
        );
        self.problem(Problem::new(&place.file, place.offset, what));
    }

    fn stream(&mut self, instrument: InstrumentId, kind: Kind) -> &mut Stream {
        self.streams.entry((instrument, kind)).or_insert_with(|| Stream::of(kind))
    }

    /// Turns what a chain found into problems.
    fn report(&mut self, instrument: InstrumentId, kind: Kind, found: Vec<Finding>) {
        for (place, what) in found {
            let what = format!("sequence {}, {} {kind}: {what}", place.sequence, self.name(instrument));
            self.problem(Problem::new(&place.file, place.offset, what));
        }
    }

    fn name(&self, instrument: InstrumentId) -> String {
        match self.registry.get(instrument) {
            Some(found) => format!("{}/{}/{}", found.venue, found.market, found.venue_symbol),
            None => format!("instrument {instrument}"),
        }
    }

    fn finish(mut self) -> Verification {
        self.finish_index();
        self.finish_coverage();
        self.result.coverage = std::mem::take(&mut self.coverage.summary).finish(&self.registry);
        let mut streams = std::mem::take(&mut self.streams);
        for ((instrument, kind), stream) in &mut streams {
            let mut found = Vec::new();
            if let Continuity::Book(chain) = &mut stream.continuity {
                chain.end(&mut found);
            }
            self.report(*instrument, *kind, found);
        }
        // A snapshot makes an entry for deltas, which may never come.
        let streams = streams.into_iter().filter(|(_, stream)| stream.records + stream.gaps > 0);
        self.result.streams =
            streams.map(|((instrument, kind), stream)| self.summary(instrument, kind, &stream)).collect();
        if self.more_problems > 0 {
            let what = format!("and {} more problems", self.more_problems);
            self.result.problems.push(Problem::new("", 0, what));
        }
        self.result.ok = self.result.problems.is_empty();
        self.result
    }

    fn summary(&self, instrument: InstrumentId, kind: Kind, stream: &Stream) -> StreamSummary {
        let named = self.registry.get(instrument).cloned().unwrap_or_default();
        StreamSummary {
            venue: named.venue,
            market: named.market,
            venue_symbol: named.venue_symbol,
            kind,
            records: stream.records,
            gaps: stream.gaps,
            unprovable: stream.unprovable(),
            first_ns: stream.first_ns,
            last_ns: stream.last_ns,
        }
    }
}

//! One pass over a log, day by day.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;

use marketprism_core::Instrument;
use marketprism_core::record::{Gap, Kind, RecordRef, flag};
use marketprism_log::{LogReader, Selection};

use crate::book::{Books, Change, TrackedBook};
use crate::date::{Day, NS_PER_DAY};
use crate::error::ExportError;
use crate::index::Index;
use crate::manifest::{FinishedDay, Manifest};
use crate::{Format, Progress, Request, Summary, hftbacktest, parquet, tardis};

/// How many records lie between two reports of progress.
const PROGRESS_RECORDS: u64 = 1 << 12;

/// A record with what is known of it.
pub(crate) struct Entry<'a> {
    pub(crate) sequence: u64,
    pub(crate) kind: Kind,
    pub(crate) record: RecordRef<'a>,
    pub(crate) instrument: &'a Instrument,
}

/// Takes what belongs to one day.
pub(crate) trait DayWriter {
    /// A record of the day. Gives why it is in no file, where it is in none.
    fn record(&mut self, entry: &Entry<'_>) -> Result<Option<&'static str>, ExportError>;

    /// A message of a book, after the book has taken it.
    fn book(&mut self, entry: &Entry<'_>, book: &TrackedBook, change: Change) -> Result<(), ExportError>;

    /// Gives the files their names and lists them in `day`.
    fn finish(self: Box<Self>, day: &mut FinishedDay) -> Result<(), ExportError>;
}

/// A day that is being written.
struct OpenDay {
    writer: Box<dyn DayWriter>,
    end_sequence: u64,
    result: FinishedDay,
}

impl OpenDay {
    fn leave_out(&mut self, reason: &str) {
        *self.result.left_out.entry(reason.to_owned()).or_default() += 1;
    }
}

/// The state of a pass.
struct Run<'a> {
    request: &'a Request<'a>,
    log: String,
    index: Index,
    manifest: Manifest,
    /// Days that are finished since an earlier run.
    kept: BTreeSet<Day>,
    books: Option<Books<'a>>,
    open: BTreeMap<Day, OpenDay>,
    /// Where reading has to begin for the books of a day.
    resume: BTreeMap<Day, u64>,
    /// The lowest capture sequence at which an open day ends.
    next_end: u64,
    summary: Summary,
}

/// As [`crate::export`].
pub(crate) fn run(
    reader: &LogReader,
    request: &Request<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, ExportError> {
    fs::create_dir_all(request.out).map_err(|error| ExportError::io("create", request.out, error))?;
    let index = Index::read(reader)?;
    let directory = reader.directory();
    let log = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let log = log.to_string_lossy().into_owned();
    let manifest = Manifest::open(request.out, arguments(&log, request), index.end_sequence())?;
    // On disk before anything else, so that two exports cannot mix.
    manifest.save(request.out)?;
    let mut run = Run::new(request, log, index, manifest);
    let Some(start) = run.start() else { return Ok(run.summary) };
    let selection = Selection {
        from_sequence: start,
        // What is appended meanwhile is for the next run.
        end_sequence: run.index.end_sequence(),
        end_ns: request.end_ns,
        instruments: request.instruments.clone(),
        kinds: request.kinds(),
        ..Selection::default()
    };
    let (mut failed, mut seen) = (None, 0_u64);
    let end = run.index.end_sequence();
    let report = reader.for_each(&selection, |sequence, record, registry| {
        seen += 1;
        if seen % PROGRESS_RECORDS == 1 {
            progress(Progress { records: seen, sequence, start, end });
        }
        let written = match registry.get(record.header().instrument) {
            Some(instrument) => run.record(sequence, record, instrument),
            None => run.undefined(sequence, record),
        };
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(()), Err)?;
    run.finish_days(u64::MAX)?;
    progress(Progress { records: seen, sequence: end, start, end });
    run.summary.records = seen;
    run.summary.problems = report.problems;
    Ok(run.summary)
}

/// What an export is of; the manifest keeps it.
fn arguments(log: &str, request: &Request<'_>) -> serde_json::Value {
    serde_json::json!({
        "format": request.format.name(),
        "log": log,
        "filter": request.filter,
        "book_snapshots": request.book_snapshots,
    })
}

impl<'a> Run<'a> {
    fn new(request: &'a Request<'a>, log: String, index: Index, manifest: Manifest) -> Run<'a> {
        let mut summary = Summary { format: request.format.name(), ..Summary::default() };
        summary.days_kept = manifest.days.len() as u64;
        manifest.days.values().for_each(|day| summary.add(day));
        Run {
            request,
            log,
            index,
            books: request.needs_books().then(|| Books::new(request.continuity)),
            kept: manifest.dates(),
            manifest,
            open: BTreeMap::new(),
            resume: BTreeMap::new(),
            next_end: u64::MAX,
            summary,
        }
    }

    /// The capture sequence to read from; `None` where all is finished.
    fn start(&self) -> Option<u64> {
        let Request { from_ns, end_ns, .. } = *self.request;
        let (start, day) = self.index.start(from_ns, end_ns, &self.kept)?;
        if self.books.is_none() {
            return Some(start);
        }
        let before = self.kept.range(..day).next_back();
        let resume = match before.and_then(|day| self.manifest.days.get(&day.to_string())) {
            Some(day) => Some(day.resume_sequence),
            // The books at the start come from the day before.
            None => self.index.reaches(from_ns.saturating_sub(NS_PER_DAY)),
        };
        Some(resume.unwrap_or(start).min(start))
    }

    fn record(
        &mut self,
        sequence: u64,
        record: RecordRef<'_>,
        instrument: &Instrument,
    ) -> Result<(), ExportError> {
        if sequence >= self.next_end {
            self.finish_days(sequence)?;
        }
        let Some(kind) = record.kind() else { return Ok(()) };
        let entry = Entry { sequence, kind, record, instrument };
        match record {
            RecordRef::Definition(..) if !self.request.takes_definitions() => Ok(()),
            RecordRef::Gap(gap) if !self.request.takes_gap(gap) => Ok(()),
            RecordRef::Gap(gap) => self.gap(&entry, gap),
            RecordRef::Book(..) if self.books.is_some() => self.book(&entry),
            _ => self.plain(&entry),
        }
    }

    /// A record of an instrument that the log does not define, because its definition was damaged.
    fn undefined(&mut self, sequence: u64, record: RecordRef<'_>) -> Result<(), ExportError> {
        let header = record.header();
        if self.request.format == Format::Parquet {
            let (id, name) = (header.instrument, || "_undefined".to_owned());
            let symbol = format!("_{id}");
            let instrument =
                Instrument { id, venue: name(), market: name(), symbol, ..Instrument::default() };
            return self.record(sequence, record, &instrument);
        }
        self.leave_out(header.receive_ns, sequence, "instrument_not_defined");
        Ok(())
    }

    /// A record that is written as it is.
    fn plain(&mut self, entry: &Entry<'_>) -> Result<(), ExportError> {
        let receive_ns = entry.record.header().receive_ns;
        if receive_ns < self.request.from_ns {
            return Ok(());
        }
        let Some(day) = self.day(Day::of(receive_ns), entry.sequence) else { return Ok(()) };
        if let Some(reason) = day.writer.record(entry)? {
            day.leave_out(reason);
        }
        Ok(())
    }

    fn gap(&mut self, entry: &Entry<'_>, gap: &Gap) -> Result<(), ExportError> {
        let receive_ns = gap.header.receive_ns;
        if receive_ns >= self.request.from_ns
            && let Some(day) = self.day(Day::of(receive_ns), entry.sequence)
        {
            day.result.gaps += 1;
        }
        if self.books.is_some() && gap.stream == Kind::BookDelta as u8 {
            self.book(entry)?;
        }
        self.plain(entry)
    }

    /// A message of a book.
    fn book(&mut self, entry: &Entry<'_>) -> Result<(), ExportError> {
        let receive_ns = entry.record.header().receive_ns;
        let Some(book) = self.books.as_mut().and_then(|books| books.of(entry.instrument)) else {
            self.leave_out(receive_ns, entry.sequence, "book_of_unknown_market");
            return Ok(());
        };
        let date = book.day_of(receive_ns);
        // What came before the time that is wanted only makes the book.
        if book.receive_ns.max(receive_ns) >= self.request.from_ns {
            self.day(date, entry.sequence);
        }
        let Some(book) = self.books.as_mut().and_then(|books| books.of(entry.instrument)) else {
            return Ok(());
        };
        let begins = book.begin_day(date);
        match self.open.get_mut(&date) {
            Some(day) => Run::change(day, entry, book, begins),
            None => {
                book.record(entry.sequence, entry.record);
                Ok(())
            }
        }
    }

    fn change(
        day: &mut OpenDay,
        entry: &Entry<'_>,
        book: &mut TrackedBook,
        begins_day: bool,
    ) -> Result<(), ExportError> {
        if begins_day {
            day.writer.book(entry, book, Change::Begins)?;
        }
        let change = book.record(entry.sequence, entry.record);
        if let (Change::Hidden | Change::Ends, RecordRef::Book(record, _)) = (change, entry.record) {
            let is_partial = record.header.flags & flag::PARTIAL != 0;
            let reason = if is_partial { "partial_snapshot" } else { "book_not_valid" };
            day.leave_out(reason);
        }
        match change {
            Change::None | Change::Hidden => Ok(()),
            Change::Begins | Change::Levels | Change::Ends => day.writer.book(entry, book, change),
        }
    }

    /// A record that is in no file.
    fn leave_out(&mut self, receive_ns: i64, sequence: u64, reason: &str) {
        if receive_ns >= self.request.from_ns
            && let Some(day) = self.day(Day::of(receive_ns), sequence)
        {
            day.leave_out(reason);
        }
    }

    /// A day to write to; `None` where it is finished.
    fn day(&mut self, date: Day, sequence: u64) -> Option<&mut OpenDay> {
        if self.kept.contains(&date) {
            return None;
        }
        if !self.open.contains_key(&date) {
            let resume = self.books.as_ref().map_or(sequence, |books| books.resume_sequence(sequence));
            self.resume.insert(date, resume);
            let end_sequence = self.index.end_of(date);
            self.next_end = self.next_end.min(end_sequence);
            let writer = writer(self.request, &self.log, date);
            self.open.insert(date, OpenDay { writer, end_sequence, result: FinishedDay::default() });
        }
        self.open.get_mut(&date)
    }

    /// Finishes the days that end at or before a capture sequence, oldest first.
    fn finish_days(&mut self, sequence: u64) -> Result<(), ExportError> {
        while let Some(entry) = self.open.first_entry() {
            if entry.get().end_sequence > sequence {
                break;
            }
            let (date, day) = entry.remove_entry();
            let mut result = FinishedDay { start_ns: date.start_ns(), ..day.result };
            result.complete = self.index.is_past(date.end_ns().min(self.request.end_ns));
            result.log_end_sequence = self.index.end_sequence();
            let next = self.resume.range(date..).nth(1).map(|(_, sequence)| *sequence);
            let now = sequence.min(self.index.end_sequence());
            result.resume_sequence =
                next.unwrap_or_else(|| self.books.as_ref().map_or(now, |books| books.resume_sequence(now)));
            day.writer.finish(&mut result)?;
            result.files.sort_by(|a, b| a.path.cmp(&b.path));
            self.summary.days += 1;
            self.summary.add(&result);
            self.kept.insert(date);
            self.manifest.days.insert(date.to_string(), result);
            self.manifest.save(self.request.out)?;
        }
        self.next_end = self.open.values().map(|day| day.end_sequence).min().unwrap_or(u64::MAX);
        Ok(())
    }
}

fn writer(request: &Request<'_>, log: &str, day: Day) -> Box<dyn DayWriter> {
    match request.format {
        Format::Parquet => Box::new(parquet::Tables::new(request, log, day)),
        Format::TardisCsv => Box::new(tardis::Files::new(request, day)),
        Format::Hftbacktest => Box::new(hftbacktest::Files::new(request, day)),
    }
}

//! What a writer does with the files that it finds.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use marketprism_core::instrument::Registry;
use marketprism_core::record::Definition;
use marketprism_core::{Instrument, InstrumentId};

use crate::error::LogError;
use crate::format::{is_temporary_name, parse_segment_name, segment_name};
use crate::map::Segment;
use crate::tail;
use crate::view::BatchView;

/// Bytes that were cut off because no whole batch began there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub path: PathBuf,
    /// Length of the file before, bytes.
    pub file_bytes: u64,
    /// Bytes cut off its end.
    pub cut_bytes: u64,
    /// Where the whole file went, for a segment in which no record was readable.
    pub moved_to: Option<PathBuf>,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) cuts: Vec<Cut>,
    pub(crate) registry: Registry,
    /// The next capture sequence by the records found.
    pub(crate) end_sequence: Option<u64>,
    /// The highest sequence in a file name, of removed segments too.
    pub(crate) highest_name: u64,
}

/// The names in a directory, without those that are no text.
pub(crate) fn file_names(directory: &Path) -> Result<Vec<String>, LogError> {
    let failed = |error| LogError::io("list", directory, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    Ok(names)
}

/// The first sequences of all segments in a directory, lowest first.
pub(crate) fn list(directory: &Path) -> Result<Vec<u64>, LogError> {
    let mut found: Vec<u64> =
        file_names(directory)?.iter().filter_map(|name| parse_segment_name(name)).collect();
    found.sort_unstable();
    Ok(found)
}

/// Removes what a compaction that was cut short left behind. The segment itself is still there.
fn remove_temporary(directory: &Path) -> Result<(), LogError> {
    for name in file_names(directory)? {
        if is_temporary_name(&name) {
            let path = directory.join(name);
            fs::remove_file(&path).map_err(|error| LogError::io("remove", &path, error))?;
        }
    }
    Ok(())
}

/// Makes the end of the log whole and reads what a writer needs to go on.
pub(crate) fn recover(directory: &Path) -> Result<Found, LogError> {
    remove_temporary(directory)?;
    let mut names = list(directory)?;
    let mut found = Found { highest_name: names.last().copied().unwrap_or(0), ..Found::default() };
    let mut newest_dictionary = None;
    while let Some(name) = names.last() {
        let path = directory.join(segment_name(*name));
        let segment = Segment::map(&path)?;
        if has_data(&path)? {
            found.cuts.extend(cut_tail(&segment)?);
            break;
        }
        // Without a record it gave ids to instruments at most; those are kept.
        newest_dictionary = newest_dictionary.or(Some(segment));
        found.cuts.extend(clear(&path)?);
        names.pop();
    }
    found.end_sequence = read_end(directory, &names, &mut found.registry)?;
    if let Some(segment) = newest_dictionary {
        each_batch(&segment, |batch| {
            restore(&mut found.registry, batch);
        });
    }
    Ok(found)
}

fn has_data(path: &Path) -> Result<bool, LogError> {
    let failed = |error| LogError::io("read", path, error);
    let file = File::open(path).map_err(failed)?;
    Ok(tail::measure(&file).map_err(failed)?.has_data)
}

/// Cuts what is behind the last whole batch.
fn cut_tail(segment: &Segment) -> Result<Option<Cut>, LogError> {
    let cut_bytes = segment.torn_bytes();
    if cut_bytes == 0 {
        return Ok(None);
    }
    let path = segment.path().to_owned();
    let failed = |error| LogError::io("cut the torn tail of", &path, error);
    let file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
    file.set_len(segment.file_bytes() - cut_bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(Some(Cut { path, file_bytes: segment.file_bytes(), cut_bytes, moved_to: None }))
}

/// Makes the name of a segment without a whole data batch free. A file with nothing but a header and a dictionary is
/// removed; one with bytes that could not be read is moved aside, not destroyed.
pub(crate) fn clear(path: &Path) -> Result<Option<Cut>, LogError> {
    let failed = |error| LogError::io("remove", path, error);
    let file = File::open(path).map_err(failed)?;
    let extent = tail::measure(&file).map_err(failed)?;
    if extent.has_data {
        return Err(LogError::SegmentExists { path: path.to_owned() });
    }
    if extent.torn_bytes() == 0 {
        fs::remove_file(path).map_err(failed)?;
        return Ok(None);
    }
    let aside = (0..).map(|number| path.with_extension(format!("torn-{number}"))).find(|path| !path.exists());
    let aside = aside.unwrap_or_else(|| path.with_extension("torn"));
    fs::rename(path, &aside).map_err(|error| LogError::io("move aside", path, error))?;
    Ok(Some(Cut {
        path: path.to_owned(),
        file_bytes: extent.file_bytes,
        cut_bytes: extent.torn_bytes(),
        moved_to: Some(aside),
    }))
}

/// The sequence after the last record; takes over the instruments of the last segment, and of those before it where its
/// dictionary cannot be read.
fn read_end(directory: &Path, names: &[u64], registry: &mut Registry) -> Result<Option<u64>, LogError> {
    let mut segments = Vec::new();
    for name in names.iter().rev() {
        let segment = Segment::map(&directory.join(segment_name(*name)))?;
        let complete = has_dictionary(&segment);
        segments.push(segment);
        if complete {
            break;
        }
    }
    let mut end = None;
    for segment in segments.iter().rev() {
        each_batch(segment, |batch| {
            restore(registry, batch);
            end = end.max(Some(batch.header().end_sequence()));
        });
    }
    let sealed_end = segments.first().and_then(|last| last.footer()?.ok()).map(|footer| footer.end_sequence);
    Ok(end.max(sealed_end))
}

fn has_dictionary(segment: &Segment) -> bool {
    let mut batches = segment.batches();
    let first = batches.next_batch();
    first.is_some_and(|batch| batch.is_ok_and(|batch| batch.kind() == crate::format::BatchKind::Dictionary))
}

/// Passes over damaged batches.
fn each_batch(segment: &Segment, mut f: impl FnMut(&BatchView<'_>)) {
    let mut batches = segment.batches();
    while let Some(batch) = batches.next_batch() {
        if let Ok(batch) = batch {
            f(&batch);
        }
    }
}

/// Takes over a definition. Gives whether it is the JSON of an instrument with the id that the record names.
pub(crate) fn restore_one(registry: &mut Registry, definition: &Definition, json: &[u8]) -> bool {
    match serde_json::from_slice::<Instrument>(json) {
        Ok(instrument) if instrument.id == definition.header.instrument => {
            registry.restore(instrument);
            true
        }
        _ => false,
    }
}

/// Takes over the valid definitions in a batch. Gives the ids of the others.
pub(crate) fn restore(registry: &mut Registry, batch: &BatchView<'_>) -> Vec<InstrumentId> {
    let mut invalid = Vec::new();
    for (definition, json) in batch.definitions() {
        if !restore_one(registry, definition, json) {
            invalid.push(definition.header.instrument);
        }
    }
    invalid
}

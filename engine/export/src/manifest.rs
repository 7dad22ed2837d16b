//! What is finished, on disk, so that a run that was killed can be gone on with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::date::Day;
use crate::error::ExportError;
use crate::part::ExportedFile;

/// The manifest's name in the folder of an export.
pub const MANIFEST_NAME: &str = "manifest.json";

/// Version of the files' contents: files of another one are not gone on with.
const VERSION: u32 = 1;

/// What is finished, in the folder of an export as `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    /// Format, log and filter: what the export is of.
    pub arguments: Value,
    /// The finished days by their date, UTC.
    pub days: BTreeMap<String, FinishedDay>,
}

/// One day, UTC, by receive time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedDay {
    /// Midnight at its start, nanoseconds since the Unix epoch.
    pub start_ns: i64,
    /// Whether the log cannot get further records of it; if not, it is made anew once the log has grown.
    pub complete: bool,
    /// The capture sequence after the last record of the log when the day was made.
    pub log_end_sequence: u64,
    /// Where reading has to begin for the books of the next day.
    pub resume_sequence: u64,
    /// Its files, by path.
    pub files: Vec<ExportedFile>,
    /// Gap records of it.
    pub gaps: u64,
    /// Records of it that are in no file, by reason; see [`crate::Summary::left_out`].
    pub left_out: BTreeMap<String, u64>,
    /// By how much hftbacktest's correction moves local times, by file, nanoseconds. Files without need are left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub local_shift_ns: BTreeMap<String, i64>,
}

impl Manifest {
    /// The manifest of a folder, or a new one where the folder has none. Days whose files are not as they were left
    /// are dropped: they are made again.
    pub(crate) fn open(out: &Path, arguments: Value, log_end: u64) -> Result<Manifest, ExportError> {
        let path = path_in(out);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Manifest { version: VERSION, arguments, days: BTreeMap::new() });
            }
            Err(error) => return Err(ExportError::io("read", &path, error)),
        };
        let mut manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| ExportError::Manifest { path, reason: error.to_string() })?;
        if manifest.version != VERSION || manifest.arguments != arguments {
            return Err(ExportError::OtherExport {
                out: out.to_owned(),
                held: manifest.arguments.to_string(),
                wanted: arguments.to_string(),
            });
        }
        manifest.days.retain(|_, day| {
            let is_there = |file: &ExportedFile| {
                fs::metadata(out.join(&file.path)).is_ok_and(|metadata| metadata.len() == file.bytes)
            };
            (day.complete || day.log_end_sequence == log_end) && day.files.iter().all(is_there)
        });
        Ok(manifest)
    }

    /// The finished days.
    pub(crate) fn dates(&self) -> BTreeSet<Day> {
        self.days.values().map(|day| Day::of(day.start_ns)).collect()
    }

    /// Replaces the manifest on disk, in one step.
    pub(crate) fn save(&self, out: &Path) -> Result<(), ExportError> {
        let (path, part) = (path_in(out), out.join(format!("{MANIFEST_NAME}.part")));
        let failed = |error| ExportError::io("write", &part, error);
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        let mut file = File::create(&part).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_data()).map_err(failed)?;
        fs::rename(&part, &path).map_err(|error| ExportError::io("rename", &part, error))
    }
}

fn path_in(out: &Path) -> PathBuf {
    out.join(MANIFEST_NAME)
}

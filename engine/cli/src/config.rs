//! The configuration file: TOML in, [`Settings`] out, or every fault of the file with its line and what to write
//! instead.

mod channels;
mod nearest;
mod reader;
mod sections;
mod sources;
mod syntax;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use marketprism_core::venue::Venue;
use marketprism_runtime::Settings;
use serde::Serialize;

pub(crate) use nearest::nearest;
use reader::{Reader, Section};

/// Keys outside of all sections.
const TOP_KEYS: [&str; 6] = ["data_dir", "certificate_files", "log", "books", "threads", "source"];

/// Something in a configuration file that must be changed before it can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// The file, as it was named.
    #[serde(skip)]
    pub(crate) file: String,
    /// The line, counted from 1; none where it is about the file as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    /// What is wrong and what to write instead.
    pub(crate) message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.file, self.message),
            None => write!(formatter, "{}: {}", self.file, self.message),
        }
    }
}

/// All venues that can be recorded: one line for each.
pub(crate) fn venues() -> Vec<Arc<dyn Venue>> {
    vec![
        Arc::new(marketprism_binance::Binance),
        Arc::new(marketprism_okx::Okx),
        Arc::new(marketprism_deribit::Deribit::from_environment()),
    ]
}

/// Reads a configuration file. The error holds all its faults, in the order of their lines, never none.
pub(crate) fn load(path: &Path) -> Result<Settings, Vec<Fault>> {
    let file = path.display().to_string();
    let text = match read_text(path) {
        Ok(text) => text,
        Err((line, message)) => return Err(vec![Fault { file, line, message }]),
    };
    // An editor's byte order mark is no part of the file's content.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader = Reader::new(file, text);
    let settings = syntax::parse(&mut reader)
        .map(|document| read(&mut reader, &Section::top(document.as_table()), path.parent()));
    match (settings, reader.finish()) {
        (Some(settings), faults) if faults.is_empty() => Ok(settings),
        (_, faults) => Err(faults),
    }
}

/// The file's text, or the line and the reason why there is none.
fn read_text(path: &Path) -> Result<String, (Option<usize>, String)> {
    if path.is_dir() {
        let message = "this is a folder; name the configuration file in it".to_owned();
        return Err((None, message));
    }
    let bytes = std::fs::read(path).map_err(|error| (None, format!("cannot be read: {error}")))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..valid).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        (Some(line), "not UTF-8 text; save the file in the encoding UTF-8".to_owned())
    })
}

fn read(reader: &mut Reader<'_>, top: &Section<'_>, folder: Option<&Path>) -> Settings {
    let folder = folder.unwrap_or(Path::new(""));
    reader.check_keys(top, &TOP_KEYS);
    let threads = sections::threads(reader, top);
    Settings {
        data_dir: sections::data_dir(reader, top, folder),
        certificate_files: sections::certificate_files(reader, top, folder),
        log: sections::log(reader, top),
        books: sections::books(reader, top),
        sources: sources::sources(reader, top, &venues(), threads.normalisers),
        threads,
    }
}

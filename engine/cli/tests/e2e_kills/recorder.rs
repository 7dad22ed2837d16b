//! The recorder that is killed: a process of its own, which is this test program started again.
//!
//! It is the recorder of `marketprism run` with a log whose segments and whole length are so small that it writes, seals,
//! compresses and removes all the time; a configuration file asks for megabytes at least.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use marketprism_log::Retention;
use marketprism_runtime::{BookSettings, LogSettings, RawCapture, Recorder, Settings, Source, Threads};

use crate::common_e2e::process::Run;
use crate::common_e2e::venues;

/// The folder to record into; the test that is the recorder does nothing without it.
const FOLDER: &str = "MARKETPRISM_KILLED_RECORDER";
/// A segment is sealed at this size, bytes.
const SEGMENT_BYTES: u64 = 48 << 10;
/// Segments are removed while the log is longer, bytes.
pub(crate) const KEEP_BYTES: u64 = 1 << 20;

/// A source as a line of the file that hands it over: market, symbols, channels, WebSocket and REST addresses.
type Row = (String, Vec<String>, Vec<String>, Vec<String>, Vec<String>);

fn sources_file(folder: &Path) -> PathBuf {
    folder.join("sources.json")
}

/// The log of a recorder started in a folder.
pub(crate) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// Says what is to be recorded.
pub(crate) fn configure(folder: &Path, sources: Vec<Source>) {
    let row = |source: Source| -> Row {
        (source.market, source.symbols, source.channels, source.websocket, source.rest)
    };
    let rows: Vec<Row> = sources.into_iter().map(row).collect();
    std::fs::write(sources_file(folder), serde_json::to_string(&rows).unwrap()).unwrap();
}

/// Starts a recorder.
pub(crate) fn start(folder: &Path) -> Run {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "recorder::recorder", "--ignored", "--nocapture"]).env(FOLDER, folder);
    Run::of(&mut command)
}

fn settings(folder: &Path) -> Settings {
    let text = std::fs::read_to_string(sources_file(folder)).unwrap();
    let rows: Vec<Row> = serde_json::from_str(&text).unwrap();
    let source = |(market, symbols, channels, websocket, rest)| Source {
        venue: "binance".into(),
        market,
        symbols,
        exclude: vec![],
        channels,
        websocket,
        rest,
        raw: RawCapture::default(),
    };
    Settings {
        data_dir: data(folder),
        sources: rows.into_iter().map(source).collect(),
        certificate_files: vec![],
        threads: Threads::default(),
        log: LogSettings {
            segment_bytes: SEGMENT_BYTES,
            retention: Retention { keep_bytes: Some(KEEP_BYTES), ..Retention::default() },
            ..LogSettings::default()
        },
        books: BookSettings::default(),
    }
}

/// What a recorder said on standard error.
pub(crate) struct Report {
    /// Whether its threads ran.
    pub is_recording: bool,
    /// The capture sequence after the last record that it said was written.
    pub written: u64,
}

impl Report {
    pub(crate) fn of(text: &str) -> Report {
        let written = text.lines().rev().find_map(|line| line.strip_prefix("written ")?.parse().ok());
        Report { is_recording: text.contains("recording"), written: written.unwrap_or(0) }
    }
}

#[test]
#[ignore = "started by the crash test, in a process of its own"]
fn recorder() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let recorder = Recorder::start(settings(Path::new(&folder)), &venues()).unwrap();
    eprintln!("recording");
    let mut said = 0;
    while recorder.is_writing() {
        recorder.events().drain(|event| eprintln!("{}", event.text));
        let written = recorder.first_sequence() + recorder.status().writer.records;
        if written > said {
            said = written;
            eprintln!("written {written}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

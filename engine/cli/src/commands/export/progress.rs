//! How far an export is, on a terminal.

use std::fs;
use std::io::{IsTerminal, stderr};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use marketprism_export::Progress;
use marketprism_log::LogReader;

use crate::text::{bytes, grouped};

/// Share of done, rate and time left.
const TEMPLATE: &str = "{wide_bar} {percent:>3} %  {msg}  {eta} left";

/// A bar on standard error.
pub(super) struct Bar {
    /// `None` where nobody wants to see one.
    bar: Option<ProgressBar>,
    log_bytes: u64,
    started: Instant,
}

impl Bar {
    /// A bar where it is wanted and standard error is a terminal.
    pub(super) fn new(is_wanted: bool, reader: &LogReader) -> Bar {
        let is_shown = is_wanted && stderr().is_terminal();
        let bar = is_shown.then(|| {
            let style =
                ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        let lengths = reader.segments().into_iter().filter_map(|path| Some(fs::metadata(path).ok()?.len()));
        Bar { bar, log_bytes: lengths.sum(), started: Instant::now() }
    }

    /// Shows where the reader is.
    pub(super) fn show(&mut self, progress: Progress) {
        let Some(bar) = &self.bar else { return };
        let (done, all) = (progress.sequence.saturating_sub(progress.start), progress.end - progress.start);
        bar.set_length(all);
        bar.set_position(done);
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        let read = self.log_bytes as f64 * done as f64 / progress.end.max(1) as f64;
        let rate = grouped((progress.records as f64 / seconds) as u64);
        bar.set_message(format!("{rate} records/s  {}/s", bytes((read / seconds) as u64)));
    }

    /// Takes the bar away.
    pub(super) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

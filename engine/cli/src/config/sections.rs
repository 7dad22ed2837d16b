//! Everything but the sources.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use marketprism_core::ring::WaitStrategy;
use marketprism_runtime::{BookSettings, LogSettings, Threads, TransportChoice};

use super::reader::{Reader, Section};

/// Most threads of one kind.
const MOST_THREADS: i64 = 64;
/// Nanoseconds of a day.
const NS_PER_DAY: i64 = 86_400_000_000_000;
/// Most days that a log is kept, a hundred years.
const MOST_DAYS: i64 = 36_500;
/// Shortest and longest time between two snapshots of a book, milliseconds.
const SNAPSHOT_INTERVALS: RangeInclusive<i64> = 100..=3_600_000;
/// Most levels of a side in a snapshot that is recorded.
const MOST_SNAPSHOT_LEVELS: i64 = 8192;

/// The folder of the segment log.
pub(super) fn data_dir(reader: &mut Reader<'_>, top: &Section<'_>, folder: &Path) -> PathBuf {
    let Some(text) = reader.text_of(top, "data_dir", "data_dir = \"data\"") else { return PathBuf::new() };
    let path = folder.join(&text.value);
    if path.exists() && !path.is_dir() {
        reader.fault(text.at, format!("data_dir: {} is no folder; name another place", path.display()));
    }
    path
}

/// Certificate authorities, which must be there and be PEM files.
pub(super) fn certificate_files(reader: &mut Reader<'_>, top: &Section<'_>, folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for text in reader.texts(top, "certificate_files", "certificate_files = [\"ca.pem\"]") {
        let path = folder.join(&text.value);
        match std::fs::read(&path) {
            Err(error) => {
                reader
                    .fault(text.at, format!("certificate_files: {} cannot be read: {error}", path.display()));
            }
            Ok(bytes) if !contains(&bytes, b"-----BEGIN CERTIFICATE-----") => reader.fault(
                text.at,
                format!("certificate_files: {} holds no certificate in PEM form", path.display()),
            ),
            Ok(_) => files.push(path),
        }
    }
    files
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// `[log]`.
pub(super) fn log(reader: &mut Reader<'_>, top: &Section<'_>) -> LogSettings {
    let mut settings = LogSettings::default();
    let Some(section) = reader.table(top, "log", "log.") else { return settings };
    let keys = [
        "flush_interval_us",
        "sync_interval_ms",
        "segment_mib",
        "compression",
        "keep_days",
        "keep_gib",
        "retention_ignores_followers",
    ];
    reader.check_keys(&section, &keys);
    if let Some(number) = reader.number(&section, "flush_interval_us", 100..=10_000_000, "microseconds") {
        settings.flush_interval = Duration::from_micros(number.unsigned_abs());
    }
    let unit = "milliseconds, 0 for never";
    if let Some(number) = reader.number(&section, "sync_interval_ms", 0..=86_400_000, unit) {
        settings.sync_interval = Duration::from_millis(number.unsigned_abs());
    }
    if let Some(number) = reader.number(&section, "segment_mib", 1..=65_536, "MiB") {
        settings.segment_bytes = number.unsigned_abs() << 20;
    }
    let codecs = [("zstd", true), ("none", false)];
    settings.compression = reader.choice(&section, "compression", &codecs).unwrap_or(settings.compression);
    let days = reader.number(&section, "keep_days", 1..=MOST_DAYS, "days");
    settings.retention.keep_ns = days.map(|days| days * NS_PER_DAY);
    let gib = reader.number(&section, "keep_gib", 1..=1_000_000, "GiB");
    settings.retention.keep_bytes = gib.map(|gib| gib.unsigned_abs() << 30);
    settings.retention.ignores_followers = reader.flag(&section, "retention_ignores_followers");
    settings
}

/// `[books]`.
pub(super) fn books(reader: &mut Reader<'_>, top: &Section<'_>) -> BookSettings {
    const INTERVAL: &str = "snapshot_interval_ms";
    let mut settings = BookSettings::default();
    let Some(section) = reader.table(top, "books", "books.") else { return settings };
    reader.check_keys(&section, &[INTERVAL, "snapshot_levels"]);
    let (shortest, longest) = SNAPSHOT_INTERVALS.into_inner();
    if let Some(number) = reader.number(&section, INTERVAL, 0..=longest, "milliseconds, 0 for none") {
        if (1..shortest).contains(&number) {
            let message = format!("books.{INTERVAL} is {number}; write at least {shortest}, or 0 for none");
            reader.fault(section.at_key(INTERVAL), message);
        }
        settings.snapshot_interval = Duration::from_millis(number.unsigned_abs());
    }
    let unit = "levels of each side";
    if let Some(number) = reader.number(&section, "snapshot_levels", 1..=MOST_SNAPSHOT_LEVELS, unit) {
        settings.snapshot_levels = usize::try_from(number).unwrap_or(settings.snapshot_levels);
    }
    settings
}

/// `[threads]`.
pub(super) fn threads(reader: &mut Reader<'_>, top: &Section<'_>) -> Threads {
    let mut threads = Threads::default();
    let Some(section) = reader.table(top, "threads", "threads.") else { return threads };
    let keys = ["io", "normalisers", "io_cores", "normaliser_cores", "writer_core", "wait", "transport"];
    reader.check_keys(&section, &keys);
    let host = Host::detect();
    for (key, count) in [("io", &mut threads.io), ("normalisers", &mut threads.normalisers)] {
        if let Some(number) = reader.number(&section, key, 1..=MOST_THREADS, "threads") {
            *count = usize::try_from(number).unwrap_or(1);
        }
    }
    threads.io_cores = cores(reader, &section, &host, "io_cores", threads.io);
    threads.normaliser_cores = cores(reader, &section, &host, "normaliser_cores", threads.normalisers);
    if let Some(number) = reader.number(&section, "writer_core", 0..=i64::from(u16::MAX), "a core's number") {
        threads.writer_core = core(reader, &host, "writer_core", (number, section.at_key("writer_core")));
    }
    let waits = [("adaptive", WaitStrategy::Adaptive), ("spin", WaitStrategy::Spin)];
    threads.wait = reader.choice(&section, "wait", &waits).unwrap_or_default();
    let transports = [
        ("auto", TransportChoice::Auto),
        ("io_uring", TransportChoice::IoUring),
        ("epoll", TransportChoice::Epoll),
    ];
    threads.transport = reader.choice(&section, "transport", &transports).unwrap_or_default();
    threads
}

/// The cores of some threads, at most one for each.
fn cores(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    host: &Host,
    key: &'static str,
    threads: usize,
) -> Vec<usize> {
    let numbers = reader.numbers(section, key, "[2]");
    if numbers.len() > threads {
        let message = format!(
            "threads.{key} names {} cores for {threads} thread{}; remove the others or add threads",
            numbers.len(),
            if threads == 1 { "" } else { "s" }
        );
        reader.fault(section.at_key(key), message);
    }
    numbers.into_iter().filter_map(|number| core(reader, host, key, number)).collect()
}

fn core(reader: &mut Reader<'_>, host: &Host, key: &str, (number, at): (i64, usize)) -> Option<usize> {
    let core = usize::try_from(number).ok().filter(|core| host.has(*core));
    if core.is_none() {
        let message = format!(
            "threads.{key}: core {number} does not exist here or is not allowed; this host has {}",
            host.cores
        );
        reader.fault(at, message);
    }
    core
}

/// The cores that this process may run on.
struct Host {
    /// As the kernel lists them, e.g. `0-3,8`; empty where it does not say.
    cores: String,
}

impl Host {
    fn detect() -> Host {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Host { cores: list.unwrap_or_default().trim().to_owned() }
    }

    /// Whether there is this core. Where the kernel does not say, any is believed.
    fn has(&self, core: usize) -> bool {
        self.cores.is_empty() || self.cores.split(',').any(|range| is_within(range, core))
    }
}

fn is_within(range: &str, core: usize) -> bool {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first..=last).contains(&core),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read_as_the_kernel_writes_them() {
        let host = Host { cores: "0-3,8,10-11".into() };
        let found: Vec<usize> = (0..13).filter(|core| host.has(*core)).collect();
        assert_eq!(found, [0, 1, 2, 3, 8, 10, 11]);
        assert!(Host { cores: String::new() }.has(99));
    }
}

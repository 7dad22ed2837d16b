//! What a recorder is told to do. Plain values; the command line reads them from a file.

use std::path::PathBuf;
use std::time::Duration;

use marketprism_core::ring::WaitStrategy;
use marketprism_log::Retention;

/// Settings of one recorder.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of the segment log.
    pub data_dir: PathBuf,
    /// Markets to record.
    pub sources: Vec<Source>,
    /// Certificate authorities to trust besides the built-in ones, as PEM files.
    pub certificate_files: Vec<PathBuf>,
    /// Threads and cores.
    pub threads: Threads,
    /// The log.
    pub log: LogSettings,
    /// The books.
    pub books: BookSettings,
}

/// One market and what to record of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name of the venue.
    pub venue: String,
    /// Name of its market.
    pub market: String,
    /// Symbols, the venue's or canonical ones; `*` and `?` stand for any letters and any one.
    pub symbols: Vec<String>,
    /// Symbols to leave out, written in the same way.
    pub exclude: Vec<String>,
    /// Channels, with options: `trade`, `book@100ms`.
    pub channels: Vec<String>,
    /// WebSocket addresses in place of the venue's, first choice first; may be empty.
    pub websocket: Vec<String>,
    /// REST addresses in place of the venue's, first choice first; may be empty.
    pub rest: Vec<String>,
    /// What is kept of its frames; the same in all sources of a market.
    pub raw: RawCapture,
}

/// What is kept of frames and answers verbatim, besides the records that they give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RawCapture {
    /// Nothing.
    Off,
    /// What could not be parsed, and what came right before and right behind a hole.
    #[default]
    Errors,
    /// Everything, so that all records can be made again from the log alone. Needs a single normaliser.
    All,
}

impl RawCapture {
    /// The modes with their names in configuration.
    pub const NAMED: [(&str, RawCapture); 3] =
        [("off", RawCapture::Off), ("errors", RawCapture::Errors), ("all", RawCapture::All)];
}

/// Which transport carries the sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// io_uring where the kernel allows it, else epoll.
    #[default]
    Auto,
    /// io_uring or an error.
    IoUring,
    /// epoll.
    Epoll,
}

/// Threads and where they run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threads {
    /// Number of I/O threads, 1 to 64.
    pub io: usize,
    /// Number of normaliser threads, 1 to 64.
    pub normalisers: usize,
    /// Core of each I/O thread; a thread without an entry is not pinned.
    pub io_cores: Vec<usize>,
    /// Core of each normaliser.
    pub normaliser_cores: Vec<usize>,
    /// Core of the writer.
    pub writer_core: Option<usize>,
    /// How normalisers and writer wait.
    pub wait: WaitStrategy,
    /// Transport of sockets and files.
    pub transport: TransportChoice,
}

impl Default for Threads {
    fn default() -> Threads {
        Threads {
            io: 1,
            normalisers: 1,
            io_cores: vec![],
            normaliser_cores: vec![],
            writer_core: None,
            wait: WaitStrategy::Adaptive,
            transport: TransportChoice::Auto,
        }
    }
}

/// What is recorded of books besides the venue's own messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookSettings {
    /// Time between two snapshots of each valid book. Zero: none.
    pub snapshot_interval: Duration,
    /// Most levels of a side in them, 1 to 8192.
    pub snapshot_levels: usize,
}

impl Default for BookSettings {
    fn default() -> BookSettings {
        BookSettings { snapshot_interval: Duration::from_secs(1), snapshot_levels: 100 }
    }
}

/// The writer's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Longest time that a record waits for its batch to be written.
    pub flush_interval: Duration,
    /// Time between two `fdatasync`; what a power cut can cost. Zero: never.
    pub sync_interval: Duration,
    /// A segment is sealed at this size, bytes.
    pub segment_bytes: u64,
    /// Whether sealed segments are compressed in the background.
    pub compression: bool,
    /// How long, and how much of it, the log is kept.
    pub retention: Retention,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings {
            flush_interval: Duration::from_micros(500),
            sync_interval: Duration::from_secs(1),
            segment_bytes: 256 << 20,
            compression: true,
            retention: Retention::default(),
        }
    }
}

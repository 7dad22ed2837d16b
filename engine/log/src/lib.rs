//! The segment log: records on disk, append-only, checked, and readable in place.
//!
//! A log is a directory. `LOCK` keeps a second writer out; each `*.seg` file is one segment, named by the
//! capture sequence of its first record with 20 digits. The layout of a segment is in [`mod@format`], and for readers in
//! other languages in `FORMAT.md`; in short:
//!
//! ```text
//! file header · dictionary batch · data batch · data batch · … · footer batch · trailer
//! ```
//!
//! Every part starts at a multiple of 64 bytes, has a checksum, and says how long it is. The body of a batch is an
//! `rkyv` archive with one vector for each kind of record, whose elements are the structs of `marketprism-core`
//! byte for byte, so that a reader of a mapped segment borrows them without a copy.
//!
//! Writing is split in two. The pure parts ([`BatchBuilder`], [`SegmentWriter`]) say which bytes go to which offset;
//! whoever owns the file puts them there, in whatever way, and repeats what failed at the same offset.
//! [`Appender`] is the plain way with `pwrite`. [`Log`] owns the directory: lock, recovery, new segments.
//!
//! A sealed segment may be rewritten by [`compact`](compact::compact()): the same records in larger batches, compressed.
//! Readers decode these into memory of their own and go on as with mapped ones. The oldest segments may be removed
//! ([`retention`]): a log then begins with the first sequence of the oldest one that is left.
//!
//! Reading never takes the lock: [`LogReader`] and [`Segment`] work on a directory that is being written,
//! [`verify`](verify::verify()) recomputes the ledger of gaps from the records, [`inspect`](inspect::inspect()) summarises.

#[cfg(not(target_endian = "little"))]
compile_error!("the log keeps records in memory layout and is defined for little-endian hosts only");

pub mod append;
pub mod batch;
pub mod cluster;
mod codec;
mod columns;
pub mod compact;
pub mod coverage;
pub mod cursor;
pub mod directory;
#[cfg(test)]
mod document;
pub mod error;
pub mod follow;
pub mod format;
pub mod inspect;
mod lock;
pub mod map;
pub mod read;
mod recover;
pub mod resume;
pub mod retention;
pub mod segment;
mod selection;
mod tail;
pub mod verify;
pub mod view;

pub use append::{Appender, WriteAt};
pub use batch::{BatchBuilder, BatchInfo, PushError};
pub use columns::IndexEntry;
pub use compact::{Compaction, compact};
pub use coverage::{Coverage, CoverageTotals, LogCoverage, StreamCoverage, coverage};
pub use cursor::{Cursor, Follower, cursors};
pub use directory::{Cut, Log, LogOptions, Recovery, SegmentFile};
pub use error::{LogError, Problem};
pub use follow::{Tail, Turn};
pub use map::{Batches, Footer, Segment};
pub use read::{LogReader, ReadReport};
pub use resume::{StreamEnd, stream_ends};
pub use retention::{Expired, Expiry, Held, Limit, Retention, expired};
pub use segment::SegmentWriter;
pub use selection::Selection;
pub use verify::{Verification, verify};
pub use view::BatchView;

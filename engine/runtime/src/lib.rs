//! The recorder: threads, transport, sessions, normaliser, writer and control.
//!
//! Data flows one way, over rings of lines: [`io`] → [`stage`] (around the pure [`normaliser`]) → [`writer`].
//! [`control`] does what may be slow. [`session`], [`backoff`], [`governor`] and [`normaliser`] are state machines
//! without I/O. [`recorder`] starts the threads, which `prepare` and `assembly` make ready.

mod assembly;
pub mod backoff;
pub mod control;
pub mod governor;
pub mod io;
pub mod journal;
mod lines;
mod maintenance;
pub mod normaliser;
pub mod outlet;
pub mod plan;
mod prepare;
pub mod raw;
pub mod recorder;
pub mod renormalise;
pub mod rest;
mod runs;
pub mod session;
pub mod settings;
pub mod silence;
pub mod stage;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod transport;
pub mod universe;
pub mod writer;

pub use maintenance::MaintenanceStatistics;
pub use recorder::{ConnectionStatus, Ending, Recorder, StartError, Status};
pub use settings::{BookSettings, LogSettings, RawCapture, Settings, Source, Threads, TransportChoice};

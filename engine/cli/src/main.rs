//! The command line of MarketPrism.

mod commands;
mod config;
mod local;
mod reconcile;
mod text;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code: the data or the system is not as it should be.
pub(crate) const EXIT_BAD: u8 = 1;
/// Exit code: usage or configuration.
pub(crate) const EXIT_USAGE: u8 = 2;

/// Market-data capture engine for crypto venues.
#[derive(Parser)]
#[command(name = "marketprism", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Record a simulated market for a while, watch it live, and verify the result. Needs no configuration.
    Demo(commands::demo::Arguments),
    /// Record the markets of a configuration file until SIGINT or SIGTERM.
    Run(commands::run::Arguments),
    /// Find every fault of a configuration file.
    Check(commands::check::Arguments),
    /// Turn captured frames into normalised records, one JSON object a line.
    Decode(commands::decode::Arguments),
    /// Summarise a segment log.
    Inspect(commands::inspect::Arguments),
    /// Check a segment log: checksums, sequence, and the continuity of every stream.
    Verify(commands::verify::Arguments),
    /// Print records of a segment log, or a book as it was at some time.
    Query(commands::query::Arguments),
    /// Print the records of a segment log in the order and at the pace of their receipt, one JSON object a line.
    Replay(commands::replay::Arguments),
    /// Write the records of a segment log as Parquet, as CSV like Tardis', or for hftbacktest.
    #[cfg(feature = "export")]
    Export(commands::export::Arguments),
    /// Serve a simulated or captured market on loopback with the venue's own protocol.
    Simulate(commands::simulate::Arguments),
    /// Measure throughput or latency, from a simulated venue's socket to the segment log.
    Bench(commands::bench::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(arguments) => commands::demo::run(arguments),
        Command::Run(arguments) => commands::run::run(arguments),
        Command::Check(arguments) => commands::check::run(arguments),
        Command::Decode(arguments) => commands::decode::run(arguments),
        Command::Inspect(arguments) => commands::inspect::run(arguments),
        Command::Verify(arguments) => commands::verify::run(arguments),
        Command::Query(arguments) => commands::query::run(arguments),
        Command::Replay(arguments) => commands::replay::run(arguments),
        #[cfg(feature = "export")]
        Command::Export(arguments) => commands::export::run(arguments),
        Command::Simulate(arguments) => commands::simulate::run(arguments),
        Command::Bench(arguments) => commands::bench::run(arguments),
    }
}

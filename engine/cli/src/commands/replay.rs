//! `replay`: the records of a log in the order of their receipt, at their pace: as JSON, or by the venues' own interfaces.

mod follow;
mod order;
mod reader;
mod serve;
mod summary;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use marketprism_core::instrument::Registry;
use marketprism_core::record::RecordRef;
use marketprism_core::{Instrument, json};

use super::inspect::refuse;
use super::query::filter::{Filter, FilterArguments};
use super::query::output::{Closed, Output};
use super::query::source::{Source, report_problems};
use crate::EXIT_BAD;
use order::{Held, Order};
use serve::{Options, Start};

/// Arguments of `replay`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The log's folder.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    filter: FilterArguments,
    /// 1: the pace at which the records were received; N: N times as fast; max: as fast as it can be read.
    #[arg(long, value_name = "N|max", default_value = "max", value_parser = speed)]
    speed: Speed,
    /// Go on with what a recorder adds when the end is reached, until Ctrl-C. In capture order, as fast as it can be read.
    #[arg(long, conflicts_with_all = ["speed", "serve"])]
    follow: bool,
    /// With --follow: begin where the follower of this name stopped, and keep its place in the log's folder. Nothing that
    /// it has not printed is removed from the log by age or length.
    #[arg(long, value_name = "NAME", requires = "follow")]
    cursor: Option<String>,
    /// Accepted for uniformity: the output is JSON lines in any case.
    #[arg(long, value_parser = ["json"])]
    format: Option<String>,
    /// Accepted for uniformity: the output is JSON lines in any case. With --serve the addresses are one object, and the
    /// last line is the summary as another.
    #[arg(long)]
    json: bool,
    /// Serve the history on loopback as the venues do, by WebSocket and REST, instead of printing it.
    #[arg(long)]
    serve: bool,
    /// With --serve: the first port; every market of Binance and every other venue takes one, in the order in which they
    /// are printed. Without it any free ports.
    #[arg(long, requires = "serve")]
    port: Option<u16>,
    /// With --serve: when it begins. immediately; subscribed: a second after the first subscription; N: when clients have
    /// subscribed N streams.
    #[arg(long, value_name = "WHEN", requires = "serve", default_value = "subscribed", value_parser = serve::start)]
    start: Start,
}

/// How many times as fast as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speed {
    Times(u32),
    Max,
}

fn speed(text: &str) -> Result<Speed, String> {
    match text.parse() {
        _ if text == "max" => Ok(Speed::Max),
        Ok(times) if times > 0 => Ok(Speed::Times(times)),
        _ => Err("write a whole number from 1 on, or max".to_owned()),
    }
}

/// Replays.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let filter = Filter::new(arguments.filter);
    if arguments.follow {
        let cursor = arguments.cursor.as_deref();
        let followed = filter.and_then(|filter| follow::follow(&arguments.directory, filter, cursor));
        return followed.unwrap_or_else(|reason| refuse(&reason));
    }
    match filter.and_then(|filter| Ok((Source::open(&arguments.directory)?, filter))) {
        Ok((source, filter)) if arguments.serve => {
            let speed = match arguments.speed {
                Speed::Times(times) => Some(times),
                Speed::Max => None,
            };
            let Arguments { start, port, json, .. } = arguments;
            serve::run(&source, filter, &Options { speed, start, port, json })
        }
        Ok((source, filter)) => replay(&source, filter, Player::new(arguments.speed)),
        Err(reason) => refuse(&reason),
    }
}

fn replay(source: &Source, mut filter: Filter, mut player: Player) -> ExitCode {
    let unknown = Instrument::default();
    let mut order = Order::new();
    let mut closed = Ok(());
    let selection = source.selection(&filter, filter.from_ns, filter.end_ns);
    let mut take = |sequence, record: RecordRef<'_>, registry: &Registry| {
        let header = record.header();
        let instrument = registry.get(header.instrument).unwrap_or(&unknown);
        if !filter.takes(record, instrument) {
            return ControlFlow::Continue(());
        }
        let mut text = Vec::new();
        json::write_record(&mut text, record, instrument, sequence);
        let bytes = text.len();
        order.push(Held { receive_ns: header.receive_ns, sequence, bytes, content: text });
        while let Some(line) = order.pop_due() {
            if let Err(error) = player.play(&line) {
                closed = Err(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    };
    let read = selection.and_then(|selection| source.read(&selection, &mut take));
    let mut rest = |player: &mut Player| {
        while let Some(line) = order.pop() {
            player.play(&line)?;
        }
        player.output.flush()
    };
    match (read, closed.and_then(|()| rest(&mut player))) {
        (_, Err(error)) => error.exit_code(),
        (Ok(report), Ok(())) => {
            if player.start.is_none() {
                eprintln!("no record of the log is wanted: nothing is printed");
            }
            report_problems(&report.problems)
        }
        (Err(error), Ok(())) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_BAD)
        }
    }
}

/// Prints lines when their time has come.
struct Player {
    output: Output,
    speed: Speed,
    /// When the first line was printed, and its receive time.
    start: Option<(Instant, i64)>,
}

impl Player {
    fn new(speed: Speed) -> Player {
        Player { output: Output::new(), speed, start: None }
    }

    fn play(&mut self, line: &Held<Vec<u8>>) -> Result<(), Closed> {
        let (start, first_ns) = *self.start.get_or_insert_with(|| (Instant::now(), line.receive_ns));
        if let Speed::Times(times) = self.speed {
            let due = due(line.receive_ns.saturating_sub(first_ns), times);
            let early = due.saturating_sub(start.elapsed());
            if !early.is_zero() {
                self.output.flush()?;
                std::thread::sleep(early);
            }
        }
        self.output.with(|out| out.extend_from_slice(&line.content))
    }
}

/// When a line is due, from the first one on, that was received so many nanoseconds after it. Few are received before
/// the first: these are due at once.
fn due(later_ns: i64, times: u32) -> Duration {
    Duration::from_nanos(u64::try_from(later_ns).unwrap_or(0) / u64::from(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_whole_numbers_or_max() {
        assert_eq!(
            (speed("max"), speed("1"), speed("1000")),
            (Ok(Speed::Max), Ok(Speed::Times(1)), Ok(Speed::Times(1000)))
        );
        for text in ["0", "-1", "1.5", "fast", "", "99999999999"] {
            assert!(speed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lines_are_due_at_their_distance_from_the_first() {
        assert_eq!(due(3_000_000_000, 1), Duration::from_secs(3));
        assert_eq!(due(3_000_000_000, 1000), Duration::from_millis(3));
        assert_eq!(due(-5, 1), Duration::ZERO);
    }
}

//! `simulate`: the venue on loopback, for tests of any client.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use marketprism_simulator::{Capture, Config, Generated, Market, Pace, Simulator, Source, Start};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::text::grouped;
use crate::{EXIT_BAD, EXIT_USAGE};

/// Arguments of `simulate`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seed of the generated market; the same seed gives the same market.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Symbols in each market.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=5000))]
    symbols: u32,
    /// Messages a second over all markets; 0 means as fast as the clients take them.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Play captured frames instead: MARKET=FOLDER, repeatable.
    #[arg(long, value_name = "MARKET=FOLDER", value_parser = parse_capture)]
    capture: Vec<(Market, PathBuf)>,
    /// Speed of a capture: 1 is its own pace, 0 as fast as the clients take it.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Repeat a capture this often, its ids going on.
    #[arg(long, default_value_t = 1)]
    loops: u32,
    /// First of three ports, for spot, usdm and coinm; without it any free ports.
    #[arg(long)]
    port: Option<u16>,
    /// Serve TLS; the certificate authority is written to this file.
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// Write every frame sent to this file: connection, market and payload, separated by tabs.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Stop by itself after this many seconds.
    #[arg(long)]
    seconds: Option<u64>,
}

fn parse_capture(text: &str) -> Result<(Market, PathBuf), String> {
    let (market, folder) = text.split_once('=').ok_or("write MARKET=FOLDER, e.g. spot=captures/spot/day")?;
    Ok((market.parse()?, PathBuf::from(folder)))
}

/// Serves until a signal or the time is up.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&stop)) {
            eprintln!("cannot catch signals: {error}");
            return ExitCode::from(EXIT_BAD);
        }
    }
    let config = match config(&arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let markets = config.markets.clone();
    let simulator = match Simulator::start(config) {
        Ok(simulator) => simulator,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_BAD);
        }
    };
    if let Err(error) = announce(&simulator, &markets, arguments.tls.as_deref()) {
        eprintln!("{error}");
        return ExitCode::from(EXIT_BAD);
    }
    let end = arguments.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    while !stop.load(Ordering::Relaxed) && end.is_none_or(|end| Instant::now() < end) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ledger = simulator.stop();
    println!("sent {} messages on {} streams", grouped(ledger.deliveries()), ledger.streams.len());
    ledger.violations.iter().for_each(|violation| println!("violation: {violation}"));
    ExitCode::SUCCESS
}

fn config(arguments: &Arguments) -> Result<Config, String> {
    let source = if arguments.capture.is_empty() {
        let messages_per_second = (arguments.rate > 0).then_some(arguments.rate);
        let symbols = arguments.symbols as usize;
        Source::Generated(Generated { seed: arguments.seed, symbols, messages_per_second })
    } else {
        let pace = match arguments.speed {
            1.0 => Pace::Own,
            0.0 => Pace::Flat,
            speed if speed > 0.0 && speed.is_finite() => Pace::Times(speed),
            _ => return Err("--speed must be 0 or a positive number".into()),
        };
        Source::Capture(Capture { folders: arguments.capture.clone(), pace, loops: arguments.loops })
    };
    let mut config = Config::new(source);
    if !arguments.capture.is_empty() {
        config.start = Start::OnSubscribe;
    }
    config.tls = arguments.tls.is_some();
    config.record_frames.clone_from(&arguments.record);
    config.ports = match arguments.port {
        None => None,
        Some(first) if first <= u16::MAX - 2 => Some([first, first + 1, first + 2]),
        Some(_) => return Err("--port must leave room for three ports".into()),
    };
    Ok(config)
}

/// Prints a configuration that records what is served.
fn announce(simulator: &Simulator, markets: &[Market], tls: Option<&std::path::Path>) -> Result<(), String> {
    println!("# a configuration for `marketprism run` that records this simulator");
    println!("data_dir = \"data\"");
    if let (Some(path), Some(pem)) = (tls, simulator.certificate_pem()) {
        std::fs::write(path, pem).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("certificate_files = [{:?}]", path.display().to_string());
    }
    for source in crate::local::sources(simulator, markets, &[]) {
        println!("\n[[source]]\nvenue = {:?}\nmarket = {:?}", source.venue, source.market);
        println!("symbols = {:?}\nchannels = {:?}", source.symbols, source.channels);
        println!("websocket = {:?}\nrest = {:?}", source.websocket, source.rest);
    }
    println!();
    Ok(())
}

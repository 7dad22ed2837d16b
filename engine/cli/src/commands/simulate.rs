//! `simulate`: venues on loopback, for tests of any client.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use marketprism_simulator::{
    Capture, Config, Generated, Market, Pace, Simulator, Source, Start, deribit, host, okx,
};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::local::Simulated;
use crate::text::grouped;
use crate::{EXIT_BAD, EXIT_USAGE};

/// A venue that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VenueName {
    /// Binance: spot, usdm, coinm.
    Binance,
    /// OKX: spot, swap, futures, option.
    Okx,
    /// Deribit: perpetual, future, option, spot, combo.
    Deribit,
}

/// Arguments of `simulate`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The venue; may be repeated.
    #[arg(long, value_enum, default_value = "binance")]
    venue: Vec<VenueName>,
    /// Seed of the generated market; the same seed gives the same market.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Symbols in each market.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=5000))]
    symbols: u32,
    /// Messages a second of each venue; 0 means as fast as the clients take them.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Play captured frames instead, of one venue: MARKET=FOLDER, repeatable.
    #[arg(long, value_name = "MARKET=FOLDER", value_parser = parse_capture)]
    capture: Vec<(String, PathBuf)>,
    /// Speed of a capture: 1 is its own pace, 0 as fast as the clients take it.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Repeat a capture of Binance this often, its ids going on.
    #[arg(long, default_value_t = 1)]
    loops: u32,
    /// First port: Binance takes three, for spot, usdm and coinm, the others one each; without it any free ports.
    #[arg(long)]
    port: Option<u16>,
    /// Serve TLS; the certificate authority is written to this file, that of a second venue to one beside it.
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// Write every frame sent to this file: connection, market and payload, separated by tabs. With several venues
    /// each has a file of its own, with the venue's name as ending.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Stop by itself after this many seconds.
    #[arg(long)]
    seconds: Option<u64>,
}

fn parse_capture(text: &str) -> Result<(String, PathBuf), String> {
    let (market, folder) = text.split_once('=').ok_or("write MARKET=FOLDER, e.g. spot=captures/spot/day")?;
    Ok((market.to_owned(), PathBuf::from(folder)))
}

/// Ports of the venues before another: Binance has three.
fn ports_before(venues: &[VenueName]) -> u16 {
    venues.iter().map(|venue| if *venue == VenueName::Binance { 3 } else { 1 }).sum()
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
    let venues = match start(&arguments) {
        Ok(venues) => venues,
        Err(Failure::Usage(error)) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_USAGE);
        }
        Err(Failure::Start(error)) => {
            eprintln!("{error}");
            return ExitCode::from(EXIT_BAD);
        }
    };
    if let Err(error) = announce(&venues, &arguments) {
        eprintln!("{error}");
        return ExitCode::from(EXIT_BAD);
    }
    let end = arguments.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    while !stop.load(Ordering::Relaxed) && end.is_none_or(|end| Instant::now() < end) {
        std::thread::sleep(Duration::from_millis(50));
    }
    for venue in &venues {
        let sent = venue.pause();
        println!("{} sent {} messages", venue.venue(), grouped(sent.deliveries));
        sent.violations.iter().for_each(|violation| println!("violation: {violation}"));
    }
    ExitCode::SUCCESS
}

/// Why no venue is served.
enum Failure {
    /// The arguments contradict themselves.
    Usage(String),
    /// It could not be started.
    Start(marketprism_simulator::Error),
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Usage(text)
    }
}

/// Starts the venues that are asked for, each once.
fn start(arguments: &Arguments) -> Result<Vec<Simulated>, Failure> {
    let mut names = arguments.venue.clone();
    names.dedup();
    if names.len() > 1 && !arguments.capture.is_empty() {
        return Err(Failure::Usage("--capture plays the frames of one venue".into()));
    }
    let mut venues = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let Some(before) = names.get(..index) else { continue };
        let port = arguments.port.map(|first| first.checked_add(ports_before(before)));
        let port = port
            .map(|port| port.ok_or("--port leaves no room for the venues' ports".to_owned()))
            .transpose()?;
        let record = arguments.record.as_ref().map(|path| {
            let ending = name.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
            if names.len() > 1 { path.with_extension(ending) } else { path.clone() }
        });
        venues.push(one(*name, arguments, port, record)?);
    }
    Ok(venues)
}

fn one(
    name: VenueName,
    arguments: &Arguments,
    port: Option<u16>,
    record: Option<PathBuf>,
) -> Result<Simulated, Failure> {
    match name {
        VenueName::Binance => {
            let config = binance(arguments, port, record)?;
            let markets = config.markets.clone();
            Ok(Simulated::Binance(Simulator::start(config).map_err(Failure::Start)?, markets))
        }
        VenueName::Okx => {
            okx::start(&hosted(arguments, port, record)?).map_err(Failure::Start).map(Simulated::Okx)
        }
        VenueName::Deribit => {
            deribit::start(&hosted(arguments, port, record)?).map_err(Failure::Start).map(Simulated::Deribit)
        }
    }
}

fn generated(arguments: &Arguments) -> Generated {
    let messages_per_second = (arguments.rate > 0).then_some(arguments.rate);
    Generated { seed: arguments.seed, symbols: arguments.symbols as usize, messages_per_second }
}

fn pace(arguments: &Arguments) -> Result<Pace, String> {
    match arguments.speed {
        1.0 => Ok(Pace::Own),
        0.0 => Ok(Pace::Flat),
        speed if speed > 0.0 && speed.is_finite() => Ok(Pace::Times(speed)),
        _ => Err("--speed must be 0 or a positive number".into()),
    }
}

/// A configuration of OKX or Deribit.
fn hosted<L: Default>(
    arguments: &Arguments,
    port: Option<u16>,
    record: Option<PathBuf>,
) -> Result<host::Config<L>, String> {
    let source = if arguments.capture.is_empty() {
        host::Source::Generated(generated(arguments))
    } else {
        let (folders, pace) = (arguments.capture.clone(), pace(arguments)?);
        host::Source::Capture(host::Capture { folders, pace })
    };
    let mut config = host::Config::new(source);
    (config.port, config.record_frames) = (port, record);
    config.tls = arguments.tls.is_some();
    Ok(config)
}

fn binance(arguments: &Arguments, port: Option<u16>, record: Option<PathBuf>) -> Result<Config, String> {
    let source = if arguments.capture.is_empty() {
        Source::Generated(generated(arguments))
    } else {
        let folder = |(market, folder): &(String, PathBuf)| {
            market.parse::<Market>().map(|market| (market, folder.clone()))
        };
        let folders = arguments.capture.iter().map(folder).collect::<Result<_, _>>()?;
        Source::Capture(Capture { folders, pace: pace(arguments)?, loops: arguments.loops })
    };
    let mut config = Config::new(source);
    if !arguments.capture.is_empty() {
        config.start = Start::OnSubscribe;
    }
    config.tls = arguments.tls.is_some();
    config.record_frames = record;
    config.ports = match port {
        None => None,
        Some(first) if first <= u16::MAX - 2 => Some([first, first + 1, first + 2]),
        Some(_) => return Err("--port must leave room for three ports".into()),
    };
    Ok(config)
}

/// Prints a configuration that records what is served.
fn announce(venues: &[Simulated], arguments: &Arguments) -> Result<(), String> {
    let tls = arguments.tls.as_deref();
    println!("# a configuration for `marketprism run` that records this simulation");
    println!("data_dir = \"data\"");
    let mut files = Vec::new();
    for venue in venues {
        let (Some(path), Some(pem)) = (tls, venue.certificate_pem()) else { continue };
        let path = if files.is_empty() { path.to_owned() } else { path.with_extension(venue.venue()) };
        std::fs::write(&path, pem).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        files.push(path.display().to_string());
    }
    if !files.is_empty() {
        println!("certificate_files = {files:?}");
    }
    let sources = |venue: &Simulated| {
        if arguments.capture.is_empty() { venue.sources(&[]) } else { venue.captured_sources() }
    };
    for source in venues.iter().flat_map(sources) {
        println!("\n[[source]]\nvenue = {:?}\nmarket = {:?}", source.venue, source.market);
        println!("symbols = {:?}\nchannels = {:?}", source.symbols, source.channels);
        println!("websocket = {:?}\nrest = {:?}", source.websocket, source.rest);
    }
    println!();
    Ok(())
}

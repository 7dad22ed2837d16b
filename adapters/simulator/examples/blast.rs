//! Measures frames per second to readers that throw everything away.
//!
//! `blast generated [symbols] [messages per second] [seconds]`, or
//! `blast capture <folder of spot> <folder of usdm> <folder of coinm> [seconds]`. With `TLS=1` over TLS.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use marketprism_simulator::{Capture, Config, Generated, Market, Pace, Simulator, Source, Start};

fn connect(simulator: &Simulator, market: Market) -> Result<Box<dyn Stream>, Box<dyn Error + Send + Sync>> {
    let url = simulator.websocket_url(market);
    let port = url.rsplit(':').next().unwrap_or_default();
    let stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    let Some(pem) = simulator.certificate_pem() else { return Ok(Box::new(stream)) };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls_pki_types::pem::PemObject::from_pem_slice(pem.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let session = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
    Ok(Box::new(rustls::StreamOwned::new(session, stream)))
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

fn read_all(mut stream: Box<dyn Stream>, path: String) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return Ok(bytes),
            Ok(count) => bytes += count as u64,
        }
    }
}

/// The streams a recorder would take, as paths: one connection per market (two for USD-M's routes).
fn paths(simulator: &Simulator, market: Market, generated: bool) -> Vec<String> {
    let wanted =
        ["@trade", "@bookTicker", "@depth@100ms", "@aggTrade", "@markPrice@1s", "@kline_1m", "@depth@0ms"];
    let mut streams = simulator.streams(market);
    if generated {
        let of_market = if market == Market::Spot { &wanted[..3] } else { &wanted[1..5] };
        streams.retain(|stream| of_market.iter().any(|suffix| stream.ends_with(suffix)));
    }
    if market != Market::Usdm {
        return vec![format!("/stream?streams={}", streams.join("/"))];
    }
    let tier =
        |stream: &String| ["@aggTrade", "@markPrice@1s", "@kline_1m"].iter().any(|end| stream.ends_with(end));
    let (routed, public): (Vec<_>, Vec<_>) = streams.into_iter().partition(tier);
    vec![
        format!("/public/stream?streams={}", public.join("/")),
        format!("/market/stream?streams={}", routed.join("/")),
    ]
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse::<u64>().ok());
    let generated = arguments.first().is_none_or(|first| first == "generated");
    let (source, seconds) = if generated {
        let rate = number(2).filter(|rate| *rate > 0);
        let symbols = number(1).unwrap_or(50) as usize;
        (Source::Generated(Generated { seed: 1, symbols, messages_per_second: rate }), number(3).unwrap_or(5))
    } else {
        let folders = arguments.iter().skip(1).take(3).map(Into::into);
        let folders = Market::ALL.into_iter().zip(folders).collect();
        (Source::Capture(Capture { folders, pace: Pace::Flat, loops: u32::MAX }), number(4).unwrap_or(5))
    };
    let mut config = Config::new(source);
    config.start = Start::Manual;
    config.tls = std::env::var_os("TLS").is_some();
    let markets = config.markets.clone();
    let simulator = Simulator::start(config)?;
    let mut readers = Vec::new();
    for market in markets {
        for path in paths(&simulator, market, generated) {
            let stream = connect(&simulator, market)?;
            readers.push(std::thread::spawn(move || read_all(stream, path)));
        }
    }
    while simulator.ledger().connections.iter().sum::<u64>() < readers.len() as u64 {
        std::thread::yield_now();
    }
    simulator.start_feed();
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(seconds));
    let ledger = simulator.pause();
    let elapsed = began.elapsed().as_secs_f64();
    let frames = ledger.deliveries() as f64;
    println!(
        "{:.0} frames/s, {:.1} MB/s payload, {} loops",
        frames / elapsed,
        ledger.streams.iter().map(|stream| stream.bytes).sum::<u64>() as f64 / elapsed / 1e6,
        ledger.loops
    );
    for kind in ["@trade", "@aggTrade", "@bookTicker", "@depth", "@markPrice", "@kline"] {
        let of_kind: u64 =
            ledger.streams.iter().filter(|one| one.stream.contains(kind)).map(|one| one.deliveries).sum();
        println!("  {kind:12} {:5.1} %", of_kind as f64 * 100.0 / frames.max(1.0));
    }
    println!("violations: {:?}", ledger.violations);
    drop(simulator);
    for reader in readers {
        reader.join().map_err(|_| "a reader panicked")??;
    }
    Ok(())
}

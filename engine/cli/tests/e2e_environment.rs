//! Hosts that misbehave: ports, certificates, folders, disks, signals. The binary runs as a child process.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use common_e2e::ledgers::{assert_all_stored, assert_holes_reported};
use common_e2e::process::{Run, configuration, wait_for_more};
use common_e2e::{ALL_CHANNELS, folder, generated, of_kind, sources, stored, verify_ok};
use marketprism_simulator::{Config, Generated, Market, Simulator, Source, Start};

const CHANNELS: [&str; 4] = ["trade", "agg_trade", "book@100ms", "quote"];

/// A configuration for everything that a simulator offers.
fn configure(simulator: &Simulator, folder: &Path, data: &str, extra: &str) -> PathBuf {
    let markets = Market::ALL.map(|market| (market, simulator.symbols(market)));
    let served: Vec<Market> =
        markets.into_iter().filter(|(_, symbols)| !symbols.is_empty()).map(|(market, _)| market).collect();
    configuration(folder, data, &sources(simulator, &served, &CHANNELS), extra)
}

/// Three free ports.
fn free_ports() -> [u16; 3] {
    let held = [0; 3].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut run = Run::command(&["simulate", "--port", &port.to_string()]);
    let (status, text) = run.ended();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains(&port.to_string()) && text.contains("in use"), "{text}");
}

#[test]
fn a_closed_port_is_tried_again_until_the_venue_is_there() {
    let ports = free_ports();
    let folder = folder();
    let [websocket, rest] = ["ws", "http"].map(|scheme| format!("{scheme}://127.0.0.1:{}", ports[0]));
    let source = marketprism_runtime::Source {
        venue: "binance".into(),
        market: "spot".into(),
        symbols: vec!["BTCUSDT".into()],
        exclude: vec![],
        channels: CHANNELS.map(str::to_owned).to_vec(),
        websocket: vec![websocket],
        rest: vec![rest],
        raw: marketprism_runtime::RawCapture::default(),
    };
    let mut run = Run::start(&configuration(folder.path(), "data", &[source], ""));
    run.wait_for_text("could not connect");
    run.wait_for_text("no definitions yet");
    assert!(run.is_running());
    let source = Generated { seed: 1, symbols: 1, messages_per_second: Some(500) };
    let config = Config::new(Source::Generated(source));
    let simulator =
        Simulator::start(Config { markets: vec![Market::Spot], ports: Some(ports), ..config }).unwrap();
    wait_for_more(&simulator, 500);
    let ledger = simulator.pause();
    run.stop();
    let totals = assert_all_stored(&ledger, &stored(&folder.path().join("data")));
    assert!(totals.values().all(|count| *count > 0), "{totals:?}");
    verify_ok(&folder.path().join("data"));
}

#[test]
fn a_certificate_that_is_not_trusted_is_explained() {
    let folder = folder();
    let simulator = Simulator::start(Config { tls: true, ..generated(2, 1, 500) }).unwrap();
    let mut run = Run::start(&configure(&simulator, folder.path(), "data", ""));
    run.wait_for_text("could not connect");
    let line = run.text().lines().find(|line| line.contains("could not connect")).unwrap().to_owned();
    assert!(line.contains("certificate_files") && line.contains("localhost"), "{line}");
    assert!(run.is_running(), "the process goes on trying");
    // The same with the authority named records.
    run.stop();
    std::fs::write(folder.path().join("ca.pem"), simulator.certificate_pem().unwrap()).unwrap();
    let file = configure(&simulator, folder.path(), "data", "certificate_files = [\"ca.pem\"]");
    let mut run = Run::start(&file);
    simulator.start_feed();
    wait_for_more(&simulator, 500);
    simulator.pause();
    run.stop();
    assert!(!of_kind(&stored(&folder.path().join("data")), "trade").is_empty());
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let folder = folder();
    let simulator = Simulator::start(generated(3, 1, 500)).unwrap();
    std::fs::write(folder.path().join("file"), "no folder").unwrap();
    let mut run = Run::start(&configure(&simulator, folder.path(), "file/data", ""));
    let (status, text) = run.ended();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("file/data"), "{text}");

    let Some(mounted) = Mounted::tmpfs(&folder.path().join("readonly"), "size=1m,ro") else { return };
    let mut run = Run::start(&configure(&simulator, folder.path(), "readonly/data", ""));
    let (status, text) = run.ended();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("readonly/data") && text.contains("Read-only"), "{text}");
    drop(mounted);
}

#[test]
fn a_second_writer_is_refused_and_told_who_holds_the_folder() {
    let folder = folder();
    let simulator = Simulator::start(generated(4, 1, 500)).unwrap();
    let file = configure(&simulator, folder.path(), "data", "");
    let mut first = Run::start(&file);
    first.wait_for_text("recording over");
    let mut second = Run::start(&file);
    let (status, text) = second.ended();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains(&first.id().to_string()), "the holder {} is not named: {text}", first.id());
    simulator.start_feed();
    wait_for_more(&simulator, 500);
    let ledger = simulator.pause();
    first.stop();
    assert_all_stored(&ledger, &stored(&folder.path().join("data")));
    verify_ok(&folder.path().join("data"));
}

/// A file system of its own, unmounted at the end; `None` where mounting is not allowed.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: &Path, options: &str) -> Option<Mounted> {
        std::fs::create_dir(at).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Mounted(at.to_owned()));
        }
        eprintln!("a tmpfs cannot be mounted here (root is needed); this part is skipped");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Fills the disk while recording, frees it, and goes on. `rate`: frames a second, `None` for flat out.
fn fill_the_disk(seed: u64, rate: Option<u64>, size_mib: u64, transport: &str) -> Option<(usize, u64)> {
    let folder = folder();
    let mounted = Mounted::tmpfs(&folder.path().join("disk"), &format!("size={size_mib}m"))?;
    let filler = mounted.0.join("filler");
    std::fs::write(&filler, vec![0; ((size_mib - 1) << 20) as usize]).unwrap();
    let source = Generated { seed, symbols: 2, messages_per_second: rate };
    let config = Config { start: Start::Manual, ..Config::new(Source::Generated(source)) };
    let simulator = Simulator::start(config).unwrap();
    let extra = format!("threads = {{ transport = {transport:?} }}\nlog = {{ segment_mib = 1 }}");
    let mut run = Run::start(&configure(&simulator, folder.path(), "disk/data", &extra));
    run.wait_for_text("recording over");
    simulator.start_feed();
    run.wait_for_text("Capture goes on in memory");
    assert!(run.text().contains("No space left"), "{}", run.text());
    wait_for_more(&simulator, rate.map_or(400_000, |rate| rate * 2));
    assert!(run.is_running(), "{}", run.text());
    std::fs::remove_file(&filler).unwrap();
    run.wait_for_text("writing works again");
    // Enough for the rings to empty and for records behind the holes.
    wait_for_more(&simulator, rate.map_or(300_000, |rate| rate / 2));
    let ledger = simulator.pause();
    run.stop();
    let data = mounted.0.join("data");
    verify_ok(&data);
    let rows = stored(&data);
    let holes = assert_holes_reported(&rows);
    eprintln!("{} sent, {} records stored, {holes} holes", ledger.messages(), rows.len());
    if rate.is_some() {
        assert_all_stored(&ledger, &rows);
    }
    assert_eq!(ledger.violations, Vec::<String>::new());
    Some((holes, ledger.messages()))
}

#[test]
fn a_full_disk_loses_nothing_while_memory_lasts() {
    for transport in ["epoll", "auto"] {
        if let Some((holes, messages)) = fill_the_disk(5, Some(4000), 16, transport) {
            assert_eq!(holes, 0);
            assert!(messages > 4000);
        }
    }
}

#[test]
fn a_full_disk_beyond_memory_leaves_gap_records_with_exact_ids() {
    if let Some((holes, _)) = fill_the_disk(6, None, 200, "auto") {
        assert!(holes > 0, "the rings should have overrun");
    }
}

/// Ends the process by a signal at once after the venue paused: everything sent is stored.
fn drains(seed: u64, signal: i32) {
    let folder = folder();
    let simulator = Simulator::start(generated(seed, 2, 5000)).unwrap();
    let mut run = Run::start(&configuration(
        folder.path(),
        "data",
        &sources(&simulator, &Market::ALL, &ALL_CHANNELS),
        "",
    ));
    simulator.start_feed();
    wait_for_more(&simulator, 10_000);
    let ledger = simulator.pause();
    run.signal(signal);
    let (status, text) = run.ended();
    assert_eq!(status.code(), Some(0), "{text}");
    let totals = assert_all_stored(&ledger, &stored(&folder.path().join("data")));
    for market in Market::ALL {
        let total: u64 =
            totals.iter().filter(|((of, _), _)| of == market.name()).map(|(_, count)| count).sum();
        assert!(total > 500, "{market}: {totals:?}");
    }
    assert_eq!(verify_ok(&folder.path().join("data")).torn_bytes, 0);
}

#[test]
fn sigterm_drains_everything_that_was_sent() {
    drains(7, libc::SIGTERM);
}

#[test]
fn sigint_drains_everything_that_was_sent() {
    drains(8, libc::SIGINT);
}

#[test]
fn an_unknown_symbol_is_an_error_and_the_others_are_recorded() {
    let folder = folder();
    let simulator = Simulator::start(generated(9, 1, 1000)).unwrap();
    let mut sources = sources(&simulator, &Market::ALL, &CHANNELS);
    sources.iter_mut().for_each(|source| source.symbols.push("NOSUCHCOIN".into()));
    let mut run = Run::start(&configuration(folder.path(), "data", &sources, ""));
    run.wait_for_text("no instrument \"NOSUCHCOIN\"");
    simulator.start_feed();
    wait_for_more(&simulator, 2000);
    let ledger = simulator.pause();
    let text = run.stop();
    assert_eq!(text.matches("no instrument \"NOSUCHCOIN\"").count(), 3, "{text}");
    assert!(text.lines().any(|line| line.contains("error") && line.contains("NOSUCHCOIN")), "{text}");
    assert_all_stored(&ledger, &stored(&folder.path().join("data")));
}

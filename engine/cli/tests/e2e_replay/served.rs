//! `replay --serve` as a child process, and a recorder of what it serves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use marketprism_runtime::{BookSettings, LogSettings, Recorder, Settings, Source, Threads};
use marketprism_simulator::Market;
use serde_json::Value;

use super::common_e2e::{Local, sources, stop, venues, wait_for};

/// The process and where it serves. Dropping it kills it.
pub(crate) struct Served {
    child: Child,
    output: BufReader<ChildStdout>,
    servers: Value,
}

impl Served {
    /// Starts it; it accepts connections when this returns.
    pub(crate) fn start(directory: &Path, extra: &[&str]) -> Served {
        let mut child = Command::new(env!("CARGO_BIN_EXE_marketprism"))
            .arg("replay")
            .arg(directory)
            .args(["--serve", "--json"])
            .args(extra)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let servers = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Served { child, output, servers }
    }

    fn server(&self, market: &str) -> &Value {
        let servers = self.servers["servers"].as_array().unwrap();
        let server = servers.iter().find(|server| server["market"] == market);
        server.unwrap_or_else(|| panic!("{market} is not served: {}", self.servers))
    }

    /// WebSocket address of a market.
    pub(crate) fn websocket(&self, market: &str) -> String {
        self.server(market)["websocket"][0].as_str().unwrap().to_owned()
    }

    /// REST address of a market.
    pub(crate) fn rest(&self, market: &str) -> String {
        self.server(market)["rest"][0].as_str().unwrap().to_owned()
    }

    /// The sources that a venue was recorded from, with the addresses of the replay.
    pub(crate) fn sources(&self, local: &Local, channels: &[&str]) -> Vec<Source> {
        let mut sources = sources(&local.simulator, &Market::ALL, channels);
        for source in &mut sources {
            source.websocket = vec![self.websocket(&source.market)];
            source.rest = vec![self.rest(&source.market)];
        }
        sources
    }

    /// Waits for the end, which must be a good one; gives the summary.
    pub(crate) fn ended(&mut self) -> Value {
        let status = wait_for("the end of the replay", || self.child.try_wait().unwrap());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(status.success(), "{status}: {rest}");
        let last = rest.lines().last().unwrap_or_else(|| panic!("no summary"));
        serde_json::from_str(last).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // An error means that it ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A recorder of some sources.
pub(crate) fn recorder(data: &Path, sources: Vec<Source>) -> Recorder {
    let settings = Settings {
        data_dir: data.to_owned(),
        sources,
        certificate_files: vec![],
        threads: Threads::default(),
        log: LogSettings::default(),
        books: BookSettings::default(),
    };
    Recorder::start(settings, &venues()).expect("recorder")
}

/// Records a replay to its end; gives the summary of the replay.
pub(crate) fn record_again(served: &mut Served, local: &Local, channels: &[&str], data: &Path) -> Value {
    let recorder = recorder(data, served.sources(local, channels));
    let summary = served.ended();
    stop(recorder);
    summary
}

/// The streams that a recorder of these channels subscribes: those of each symbol, and one of the contracts of each futures
/// market.
pub(crate) fn streams(local: &Local, channels: &[&str]) -> usize {
    let sources = sources(&local.simulator, &Market::ALL, channels);
    let of_symbols: usize = sources.iter().map(|source| source.symbols.len() * source.channels.len()).sum();
    of_symbols + 2
}

/// The JSON that a GET of a path answers.
pub(crate) fn get(base: &str, path: &str) -> Value {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    serde_json::from_str(body).unwrap()
}

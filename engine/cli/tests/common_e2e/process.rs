//! The binary as a child process.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use marketprism_runtime::{RawCapture, Source};

use super::{wait_for, wait_until};

/// Writes a configuration for `run` and returns its path.
pub fn configuration(folder: &Path, data: &str, sources: &[Source], extra: &str) -> PathBuf {
    let mut text = format!("data_dir = {data:?}\n{extra}\n");
    for source in sources {
        let Source { venue, market, symbols, exclude, channels, websocket, rest, raw } = source;
        writeln!(text, "[[source]]\nvenue = {venue:?}\nmarket = {market:?}").unwrap();
        writeln!(text, "symbols = {symbols:?}\nexclude = {exclude:?}\nchannels = {channels:?}").unwrap();
        writeln!(text, "websocket = {websocket:?}\nrest = {rest:?}").unwrap();
        let (raw, _) = RawCapture::NAMED.iter().find(|(_, mode)| mode == raw).unwrap();
        writeln!(text, "raw = {raw:?}").unwrap();
    }
    let path = folder.join("marketprism.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// A child whose standard error is kept. Dropping it kills it.
pub struct Run {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Run {
    /// `marketprism run -c FILE`.
    pub fn start(configuration: &Path) -> Run {
        Run::command(&["run", "-c", configuration.to_str().unwrap()])
    }

    /// Any other command.
    pub fn command(arguments: &[&str]) -> Run {
        Run::of(Command::new(env!("CARGO_BIN_EXE_marketprism")).args(arguments))
    }

    /// Any other program.
    pub fn of(command: &mut Command) -> Run {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&lines));
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        Run { child, lines, reader: Some(reader) }
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Standard error so far.
    pub fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits until standard error holds a text.
    pub fn wait_for_text(&mut self, text: &str) {
        let start = std::time::Instant::now();
        while !self.text().contains(text) {
            assert!(start.elapsed() < super::PATIENCE, "no {text:?} in:\n{}", self.text());
            assert!(
                self.is_running() || self.text().contains(text),
                "ended without {text:?}:\n{}",
                self.text()
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal to the child.
    pub fn signal(&self, signal: i32) {
        // SAFETY: a signal to a child of this process, which is not yet waited for.
        let result = unsafe { libc::kill(self.child.id() as i32, signal) };
        assert_eq!(result, 0);
    }

    /// Waits for the end; returns the status and all of standard error.
    pub fn ended(&mut self) -> (ExitStatus, String) {
        let status = wait_for("the end of the process", || self.child.try_wait().unwrap());
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status, self.text())
    }

    /// SIGKILL, and the end.
    pub fn kill(&mut self) -> String {
        // An error means that it ended already.
        let _ = self.child.kill();
        self.ended().1
    }

    /// SIGTERM; the process must end with exit code 0.
    pub fn stop(&mut self) -> String {
        self.signal(libc::SIGTERM);
        let (status, text) = self.ended();
        assert_eq!(status.code(), Some(0), "{text}");
        text
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the venue has sent that many more frames.
pub fn wait_for_more(simulator: &marketprism_simulator::Simulator, more: u64) {
    let before = simulator.ledger().deliveries();
    wait_until("more frames", || simulator.ledger().deliveries() >= before + more);
}

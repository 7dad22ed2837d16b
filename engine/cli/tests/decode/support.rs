//! Running `decode`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What came of some lines.
pub(crate) struct Decoded {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<Value>,
    pub(crate) said: String,
}

impl Decoded {
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["kind"] == kind).collect()
    }

    pub(crate) fn book(&self, symbol: &str) -> &Value {
        let mut books = self.of_kind("book").into_iter();
        books
            .find(|book| book["venue_symbol"] == symbol)
            .unwrap_or_else(|| panic!("no book {symbol}: {}", self.said))
    }
}

/// Decodes lines of a market, which is given as `venue/market`.
pub(crate) fn decode(market: &str, input: &[u8], extra: &[&str]) -> Decoded {
    let (venue, market) = market.split_once('/').unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_marketprism"))
        .args(["decode", "--venue", venue, "--market", market])
        .args(extra)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (process.stdin.take().unwrap(), input.to_vec());
    // The process may end before it has read everything.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    Decoded {
        code: output.status.code(),
        lines: text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        said: String::from_utf8(output.stderr).unwrap(),
    }
}

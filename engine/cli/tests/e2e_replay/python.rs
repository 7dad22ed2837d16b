//! A client that shares nothing with this project: Python's `websockets`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The first frames of streams as that client gets them. `None` where it cannot be had; that is a failure where the
/// environment variable `CI` is `true`.
pub(crate) fn frames(websocket: &str, count: usize, streams: &[&str]) -> Option<Vec<Value>> {
    let python = match environment() {
        Ok(python) => python,
        Err(reason) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
            println!("no other client was tried: {reason}");
            return None;
        }
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e_replay/client.py");
    let count = count.to_string();
    let output = Command::new(python).arg(script).args([websocket, &count]).args(streams).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The interpreter of an environment in the target folder, which is made where there is none.
fn environment() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("replay-python");
    let python = folder.join("bin/python");
    let has_client = Command::new(&python).args(["-c", "import websockets"]).output();
    if !has_client.is_ok_and(|output| output.status.success()) {
        succeeds(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        succeeds(Command::new(&python).args(["-m", "pip", "install", "--quiet", "websockets"]))?;
    }
    Ok(python)
}

fn succeeds(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

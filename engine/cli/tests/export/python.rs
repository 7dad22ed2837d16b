//! Python with the readers of the formats.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// Runs `check.py`, which fails where a file is not as it should be. `None` where there is no Python to run it; that is a
/// failure where the environment variable `CI` is `true`.
pub(crate) fn check(arguments: &[&str]) -> Option<Value> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let python = match PYTHON.get_or_init(environment) {
        Ok(python) => python,
        Err(reason) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
            println!("not compared: {reason}");
            return None;
        }
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/check.py");
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    let (result, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}\n{said}");
    Some(serde_json::from_str(result.lines().last().unwrap()).unwrap())
}

/// The interpreter of the environment, which is made where there is none.
fn environment() -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/python-environment");
    let output = Command::new(&script).output().map_err(|error| format!("{}: {error}", script.display()))?;
    match output.status.success() {
        true => Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())),
        false => Err(format!("{}: {}", script.display(), String::from_utf8_lossy(&output.stderr))),
    }
}

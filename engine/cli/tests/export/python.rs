//! Python with the readers of the formats, in an environment that stays in the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

const PACKAGES: [&str; 5] = ["pyarrow", "polars", "hftbacktest", "numpy", "pandas"];

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
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("export-python");
    let python = folder.join("bin/python");
    if !has_packages(&python) {
        let folder = folder.to_string_lossy();
        succeeds(Command::new("python3").args(["-m", "venv", &folder]))?;
        succeeds(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    }
    Ok(python)
}

fn has_packages(python: &Path) -> bool {
    let imports = format!("import {}", PACKAGES.join(", "));
    Command::new(python).args(["-c", &imports]).output().is_ok_and(|output| output.status.success())
}

fn succeeds(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

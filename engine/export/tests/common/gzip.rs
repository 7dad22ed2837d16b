//! Text in gzip files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The lines of a gzip file of one member.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

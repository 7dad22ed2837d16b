//! What the fuzz targets of `engine/log/fuzz` do, over their corpus and the fixtures with a fixed set of changes: a slice of
//! `scripts/fuzz` that every test run has time for.
#![allow(clippy::unwrap_used)]

#[path = "../fuzz/reading.rs"]
mod reading;

use std::fs;
use std::path::{Path, PathBuf};

use rand::prelude::*;
use rand_chacha::ChaCha8Rng;

/// Changed copies of each file.
const CHANGES: u64 = 60;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_none_or(|extension| extension == "seg") {
            found.push(path);
        }
    }
}

/// Flips, overwrites, copies, cuts and repeats bytes.
fn change(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..4) {
        if bytes.is_empty() {
            return;
        }
        let (at, from) = (random.random_range(0..bytes.len()), random.random_range(0..bytes.len()));
        match random.random_range(0..6) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
            2 => bytes.truncate(at),
            3 => {
                let part = bytes[from..(from + 64).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            4 => drop(bytes.drain(at..(at + random.random_range(1..200)).min(bytes.len()))),
            _ => {
                let end = (at + random.random_range(1..9)).min(bytes.len());
                random.fill(&mut bytes[at..end]);
            }
        }
    }
}

#[test]
fn nothing_that_a_file_may_hold_makes_the_reader_panic() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![];
    files(&root.join("fuzz/corpus"), &mut found);
    files(&root.join("tests/fixtures"), &mut found);
    assert!(found.len() >= 3, "{found:?}");
    found.sort();
    for (index, file) in found.iter().enumerate() {
        let good = fs::read(file).unwrap();
        reading::read(&good);
        reading::read(&reading::with_checksums(&good));
        for seed in 0..CHANGES {
            let mut random = ChaCha8Rng::seed_from_u64(index as u64 * CHANGES + seed);
            let mut bytes = good.clone();
            change(&mut bytes, &mut random);
            reading::read(&bytes);
            reading::read(&reading::with_checksums(&bytes));
        }
    }
}

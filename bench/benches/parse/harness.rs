//! What all venues share: frames, the two paths of a decoder, and the baselines on the same frames.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::RecordBuffer;
use serde::Deserialize;

/// Frames decoded in turn, so that no branch predictor knows them by heart.
pub(crate) const FRAMES: usize = 256;

/// The two paths of a venue's decoder.
pub(crate) trait Paths {
    /// Whether the predicted path read the frame.
    fn predicted(&mut self, frame: &[u8], records: &mut RecordBuffer) -> bool;
    /// Whether the general path read it.
    fn general(&mut self, frame: &[u8], records: &mut RecordBuffer) -> bool;
}

macro_rules! paths {
    ($($decoder:ty),*) => {$(
        impl Paths for $decoder {
            fn predicted(&mut self, frame: &[u8], records: &mut RecordBuffer) -> bool {
                <$decoder>::predicted(self, frame, 1, records).is_some()
            }

            fn general(&mut self, frame: &[u8], records: &mut RecordBuffer) -> bool {
                <$decoder>::general(self, frame, 1, records).is_ok()
            }
        }
    )*};
}

paths!(marketprism_binance::FrameDecoder, marketprism_okx::FrameDecoder, marketprism_deribit::FrameDecoder);

/// A typed message of a baseline, and something to compute from it.
pub(crate) trait Shape<'a> {
    type Message: Deserialize<'a>;
    fn size(message: &Self::Message) -> usize;
}

/// Names a [`Shape`]: a tag, the type of its messages, and what is computed from one.
macro_rules! shape {
    ($tag:ident, $message:ident, $size:expr) => {
        struct $tag;
        impl<'a> crate::harness::Shape<'a> for $tag {
            type Message = $message<'a>;
            fn size(message: &$message<'a>) -> usize {
                let size: fn(&$message<'a>) -> usize = $size;
                size(message)
            }
        }
    };
}
pub(crate) use shape;

/// Captured frames of some files that pass `keep`; empty where there are none. Files lie below the folder of captures.
pub(crate) fn captured(files: &[&str], keep: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let root = std::env::var_os("MARKETPRISM_CAPTURES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures")),
        PathBuf::from,
    );
    let texts = files.iter().map(|file| {
        let path = root.join(file);
        let bytes = std::fs::read(&path).ok().and_then(|bytes| match path.extension() {
            Some(extension) if extension == "zst" => zstd::decode_all(&bytes[..]).ok(),
            _ => Some(bytes),
        });
        bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    });
    let texts: Vec<String> = texts.collect();
    let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| keep(line));
    lines.take(FRAMES).map(|line| line.as_bytes().to_vec()).collect()
}

/// Frames written by `frame`, which is given their number; each has other digits.
pub(crate) fn written(frame: impl Fn(usize) -> String) -> Vec<Vec<u8>> {
    (0..FRAMES).map(|number| frame(number).into_bytes()).collect()
}

/// The captured frames, else the written ones.
pub(crate) fn or_written(captured: Vec<Vec<u8>>, frame: impl Fn(usize) -> String) -> Vec<Vec<u8>> {
    if captured.is_empty() { written(frame) } else { captured }
}

/// The symbols that follow `key` in the frames, numbered from 1.
pub(crate) fn symbols(frames: &[Vec<u8>], key: &str) -> SymbolTable {
    let mut table = SymbolTable::default();
    let mut next = 1;
    for frame in frames {
        let text = std::str::from_utf8(frame).expect("a text frame");
        for part in text.split(key).skip(1) {
            let symbol = part.split('"').next().unwrap_or_default().as_bytes();
            if table.get(symbol).is_none() {
                table.insert(symbol, next);
                next += 1;
            }
        }
    }
    table
}

/// Measures both paths and the baselines on some frames.
pub(crate) fn message<T: for<'a> Shape<'a>>(
    criterion: &mut Criterion,
    name: &str,
    decoder: &mut dyn Paths,
    frames: &[Vec<u8>],
) {
    let bytes = frames.iter().map(Vec::len).sum::<usize>() / frames.len();
    eprintln!("{name}: {} frames of {bytes} bytes in the mean", frames.len());
    let mut group = criterion.benchmark_group(format!("parse/{name}"));
    group.throughput(Throughput::Bytes(bytes as u64));
    let mut records = RecordBuffer::default();
    for frame in frames {
        assert!(decoder.predicted(frame, &mut records), "{}", String::from_utf8_lossy(frame));
    }
    each(&mut group, "predicted", frames, |frame| {
        records.clear();
        decoder.predicted(frame, &mut records)
    });
    each(&mut group, "general", frames, |frame| {
        records.clear();
        decoder.general(frame, &mut records)
    });
    each(&mut group, "sonic_typed", frames, |frame| {
        T::size(&sonic_rs::from_slice::<<T as Shape<'_>>::Message>(frame).expect("a frame"))
    });
    each(&mut group, "serde_json_typed", frames, |frame| {
        T::size(&serde_json::from_slice::<<T as Shape<'_>>::Message>(frame).expect("a frame"))
    });
    group.finish();
}

/// Runs `read` over the frames in turn.
fn each<R>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    path: &str,
    frames: &[Vec<u8>],
    mut read: impl FnMut(&[u8]) -> R,
) {
    let mut next = 0;
    group.bench_function(BenchmarkId::from_parameter(path), |bencher| {
        bencher.iter(|| {
            next = if next + 1 == frames.len() { 0 } else { next + 1 };
            read(black_box(&frames[next]))
        });
    });
}

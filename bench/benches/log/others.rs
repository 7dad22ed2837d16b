//! The same records as gzip JSON lines and as Parquet: written and read beside the log, one thread each.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use marketprism_core::Instrument;
use marketprism_core::json::write_record;
use marketprism_core::record::RecordRef;
use marketprism_export::{Format, MEMORY_BYTES, Request, export};
use marketprism_log::{LogReader, Selection};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

/// What a reader of JSON lines looks at.
#[derive(Deserialize)]
struct JsonRecord<'a> {
    kind: &'a str,
    price: Option<&'a str>,
    bid_price: Option<&'a str>,
}

/// A measured form of the records.
struct Measured {
    name: &'static str,
    seconds: f64,
    records: u64,
    bytes: u64,
}

impl Measured {
    fn of(name: &'static str, bytes: u64, work: impl FnOnce() -> u64) -> Measured {
        let start = Instant::now();
        let records = work();
        Measured { name, seconds: start.elapsed().as_secs_f64(), records, bytes }
    }

    fn print(&self) {
        println!(
            "{:28} {:7.2} s, {:6.2} M records/s, {:6.1} MiB",
            self.name,
            self.seconds,
            self.records as f64 / self.seconds / 1e6,
            self.bytes as f64 / f64::from(1 << 20)
        );
    }
}

fn scan_log(reader: &LogReader) -> u64 {
    let mut sum = 0i64;
    let report = reader.for_each(&Selection::default(), |_, record, _| {
        sum = sum.wrapping_add(match record {
            RecordRef::Trade(trade) => trade.price,
            RecordRef::Quote(quote) => quote.bid_price,
            other => other.header().receive_ns,
        });
        ControlFlow::Continue(())
    });
    std::hint::black_box(sum);
    report.expect("a log").records
}

fn write_json(reader: &LogReader, path: &Path) -> u64 {
    let file = BufWriter::new(File::create(path).expect("room"));
    let mut file = GzEncoder::new(file, Compression::default());
    let (mut text, unnamed) = (Vec::new(), Instrument::default());
    let report = reader.for_each(&Selection::default(), |sequence, record, registry| {
        text.clear();
        let instrument = registry.get(record.header().instrument).unwrap_or(&unnamed);
        write_record(&mut text, record, instrument, sequence);
        file.write_all(&text).expect("room");
        ControlFlow::Continue(())
    });
    file.finish().expect("room").flush().expect("room");
    report.expect("a log").records
}

fn scan_json(path: &Path) -> u64 {
    let file = BufReader::with_capacity(1 << 20, File::open(path).expect("a file"));
    let mut lines = BufReader::with_capacity(1 << 20, GzDecoder::new(file));
    let (mut line, mut records, mut digits) = (String::new(), 0, 0);
    while lines.read_line(&mut line).expect("text") > 0 {
        let record: JsonRecord<'_> = sonic_rs::from_str(&line).expect("a record");
        digits += record.kind.len() + record.price.or(record.bid_price).map_or(0, str::len);
        records += 1;
        line.clear();
    }
    std::hint::black_box(digits);
    records
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// Reads every column of every file; adds up the prices.
fn scan_parquet(found: &[PathBuf]) -> u64 {
    let (mut sum, mut rows) = (0i128, 0);
    for path in found {
        let file = File::open(path).expect("a file");
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("Parquet");
        for batch in reader {
            let batch = batch.expect("rows");
            rows += batch.num_rows() as u64;
            let price = batch.column_by_name("price").or(batch.column_by_name("bid_price"));
            if let Some(prices) = price.and_then(|column| column.as_primitive_opt::<Decimal128Type>()) {
                sum = prices.iter().flatten().fold(sum, i128::wrapping_add);
            }
        }
    }
    std::hint::black_box(sum);
    rows
}

fn bytes_of(found: &[PathBuf]) -> u64 {
    found.iter().map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum()
}

/// Writes a log in all forms, reads them, and prints what that took.
pub(crate) fn compare(reader: &LogReader, what: &str) {
    let folder = tempfile::tempdir().expect("a directory");
    let log_bytes = bytes_of(&reader.segments());
    println!("the same records, {what}, one thread:");
    let scanned = Measured::of("log: read", log_bytes, || scan_log(reader));
    scanned.print();
    let json = folder.path().join("records.jsonl.gz");
    let written = Measured::of("gzip JSON lines: write", 0, || write_json(reader, &json));
    let json_bytes = bytes_of(std::slice::from_ref(&json));
    Measured { bytes: json_bytes, ..written }.print();
    let read = Measured::of("gzip JSON lines: read", json_bytes, || scan_json(&json));
    read.print();
    assert_eq!(read.records, scanned.records);
    for (name, format) in [
        ("export to Parquet", Format::Parquet),
        ("export to Tardis CSV", Format::TardisCsv),
        ("export to hftbacktest", Format::Hftbacktest),
    ] {
        let out = folder.path().join(format.name());
        let request = Request {
            format,
            out: &out,
            from_ns: i64::MIN,
            end_ns: i64::MAX,
            instruments: None,
            kinds: vec![],
            book_snapshots: vec![],
            filter: serde_json::Value::Null,
            continuity: &|_| None,
            memory_bytes: MEMORY_BYTES,
        };
        let mut bytes = 0;
        let exported = Measured::of(name, 0, || {
            let summary = export(reader, &request, &mut |_| {}).expect("room");
            bytes = summary.bytes;
            summary.records
        });
        Measured { bytes, ..exported }.print();
    }
    let mut found = Vec::new();
    files(&folder.path().join(Format::Parquet.name()), "parquet", &mut found);
    let read = Measured::of("Parquet: read", bytes_of(&found), || scan_parquet(&found));
    read.print();
    assert_eq!(read.records, scanned.records);
}

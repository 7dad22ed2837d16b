//! What a record of each kind takes on disk: the records of one kind of a real log alone, as written and compacted.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use marketprism_core::record::{Kind, RecordRef};
use marketprism_log::format::{BatchHeader, BatchKind, HEADER_BYTES, TRAILER_MAGIC, padded};
use marketprism_log::{Appender, BatchBuilder, LogOptions, LogReader, Selection, compact};

/// Records of a batch, as a recorder gathers them in some milliseconds.
const BATCH_RECORDS: u32 = 1000;

/// Prints a line for each kind in the log that the environment variable `MARKETPRISM_LOG` names.
fn main() {
    let Ok(log) = std::env::var("MARKETPRISM_LOG") else {
        println!("set MARKETPRISM_LOG to the folder of a log");
        return;
    };
    let reader = LogReader::open(Path::new(&log)).expect("a log");
    let (mut records, mut before, mut after) = (0, 0, 0);
    for kind in (0..32).filter_map(Kind::from_number).filter(|kind| *kind != Kind::Instrument) {
        let (count, levels, plain, compressed) = alone(&reader, kind);
        if count == 0 {
            continue;
        }
        let each = |bytes: u64| bytes as f64 / count as f64;
        print!("{kind:20} {count:9} records: {:7.1} -> {:6.1} bytes", each(plain), each(compressed));
        match levels {
            0 => println!(),
            _ => println!(", {:.1} a level", compressed as f64 / levels as f64),
        }
        (records, before, after) = (records + count, before + plain, after + compressed);
    }
    let each = |bytes: u64| bytes as f64 / records as f64;
    println!("{:20} {records:9} records: {:7.1} -> {:6.1} bytes", "all", each(before), each(after));
}

/// Records, levels in them, and bytes of the batches before and after.
fn alone(reader: &LogReader, kind: Kind) -> (u64, u64, u64, u64) {
    let folder = tempfile::tempdir().expect("a directory");
    let options = LogOptions { sync_directory: false, ..LogOptions::default() };
    let (mut appender, _) = Appender::open(folder.path(), options).expect("a log");
    for instrument in reader.registry().expect("a log").all() {
        appender.registry_mut().restore(instrument.clone());
    }
    let (mut batch, mut levels) = (BatchBuilder::new(), 0);
    let selection = Selection { kinds: Some([kind].into()), ..Selection::default() };
    let report = reader.for_each(&selection, |_, record, _| {
        if record.kind() == Some(kind) {
            levels += if let RecordRef::Book(_, levels) = record { levels.len() as u64 } else { 0 };
            batch.push(record).expect("a whole record");
            if batch.records() == BATCH_RECORDS {
                appender.append(&mut batch).expect("room");
            }
        }
        ControlFlow::Continue(())
    });
    report.expect("a log");
    let count = appender.next_sequence() + batch.records() as u64;
    appender.append(&mut batch).expect("room");
    appender.rotate().expect("room");
    drop(appender);
    let written = LogReader::open(folder.path()).expect("a log");
    let bytes = || written.segments().iter().map(|path| data_bytes(path)).sum();
    let before = bytes();
    for path in written.segments() {
        compact(&path, || true).expect("room");
    }
    (count, levels, before, bytes())
}

/// Bytes of the data batches of a segment, with their headers.
fn data_bytes(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("a segment");
    let (mut rest, mut sum) = (&bytes[HEADER_BYTES..], 0);
    while rest.len() >= HEADER_BYTES && !rest.starts_with(&TRAILER_MAGIC) {
        let header = BatchHeader::read(rest).expect("a header");
        let length = HEADER_BYTES + padded(header.body_bytes as usize);
        sum += if header.kind == BatchKind::Data as u8 { length as u64 } else { 0 };
        rest = &rest[length..];
    }
    sum
}

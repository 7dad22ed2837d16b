//! Crashes, restarts, two writers, full disks.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::*;
use marketprism_core::Instrument;
use marketprism_core::record::*;
use marketprism_log::*;

/// Ends of the batches in a segment with three batches of two trades.
fn small_log(directory: &std::path::Path, seal: bool) -> Vec<(u64, u64)> {
    let mut appender = appender(directory);
    for start in [1, 3, 5] {
        appender.append(&mut trades(start, start + 2)).unwrap();
    }
    if seal {
        appender.seal().unwrap();
    }
    let segment = Segment::map(&segments(directory)[0]).unwrap();
    let mut batches = segment.batches();
    let ends = std::iter::from_fn(|| {
        let batch = batches.next_batch()?.unwrap();
        Some((batch.offset() + batch.header().total_bytes() as u64, batch.header().end_sequence()))
    });
    ends.collect()
}

#[test]
fn a_torn_tail_at_every_byte() {
    for seal in [false, true] {
        let origin = temporary();
        let ends = small_log(origin.path(), seal);
        let bytes = fs::read(&segments(origin.path())[0]).unwrap();
        for length in 0..bytes.len() {
            let directory = temporary();
            let path = directory.path().join("00000000000000000000.seg");
            fs::write(&path, &bytes[..length]).unwrap();
            let whole = ends.iter().rfind(|(end, _)| *end <= length as u64);
            let kept = whole.map_or(0, |(_, sequence)| *sequence);

            // A reader takes the whole batches and finds nothing wrong.
            let (ids, report) = read_ids(directory.path());
            assert_eq!(ids, (1..=kept).collect::<Vec<_>>(), "length {length}");
            assert_eq!(report.problems, [], "length {length}");

            let (mut appender, recovery) = Appender::open(directory.path(), options()).unwrap();
            assert_eq!(appender.next_sequence(), kept, "length {length}");
            let cut: u64 = recovery.cuts.iter().map(|cut| cut.cut_bytes).sum();
            let footer_end = bytes.len() as u64 - 64;
            let whole_end = match whole {
                Some((end, _)) if *end == ends.last().unwrap().0 && length as u64 >= footer_end && seal => {
                    footer_end
                }
                Some((end, _)) => *end,
                None if length >= 64 => 64,
                None => 0,
            };
            assert_eq!(cut, length as u64 - whole_end, "length {length}");
            assert!(recovery.cuts.iter().all(|cut| cut.path == path));
            assert_eq!(recovery.lost_sequences, 0);
            if kept > 0 {
                assert_eq!(fs::metadata(&path).unwrap().len(), whole_end);
            }
            define(&mut appender);
            appender.append(&mut trades(kept + 1, kept + 3)).unwrap();
            drop(appender);
            let (ids, report) = read_ids(directory.path());
            assert_eq!(ids, (1..kept + 3).collect::<Vec<_>>(), "length {length}");
            assert_eq!(report.problems, []);
            let verification = verify(directory.path()).unwrap();
            assert!(verification.ok, "length {length}: {:?}", verification.problems);
            assert_eq!(segments(directory.path()).len(), if kept == 0 { 1 } else { 2 });
        }
    }
}

#[test]
fn a_restart_keeps_ids_and_sequence() {
    let directory = temporary();
    let mut appender = appender(directory.path());
    let mut batch = trades(1, 5);
    let late = Instrument { id: 4, ..Instrument::unknown("okx", "swap", "BTC-USDT-SWAP") };
    let mut definition: Definition = bytemuck::Zeroable::zeroed();
    definition.header = Header::new(Kind::Instrument, 4, 7);
    batch.push(RecordRef::Definition(&definition, &serde_json::to_vec(&late).unwrap())).unwrap();
    batch.push(RecordRef::Trade(&trade(4, 1))).unwrap();
    appender.append(&mut batch).unwrap();
    drop(appender);

    for round in 0..3u64 {
        let (mut appender, recovery) = Appender::open(directory.path(), options()).unwrap();
        assert_eq!(recovery.instruments, 4);
        assert_eq!(appender.next_sequence(), 6 + round);
        assert_eq!(appender.registry().find("okx", "swap", "BTC-USDT-SWAP"), Some(4));
        assert_eq!(appender.registry().find("binance", "spot", "ETHUSDT"), Some(2));
        let mut batch = BatchBuilder::new();
        batch.push(RecordRef::Trade(&trade(4, 2 + round))).unwrap();
        appender.append(&mut batch).unwrap();
        assert_eq!(segments(directory.path()).len() as u64, 2 + round);
    }
    // Any single file reads alone.
    let alone = temporary();
    let last = segments(directory.path()).pop().unwrap();
    fs::copy(&last, alone.path().join(last.file_name().unwrap())).unwrap();
    let verification = verify(alone.path()).unwrap();
    assert!(verification.ok, "{:?}", verification.problems);
    assert_eq!(verification.streams[0].venue_symbol, "BTC-USDT-SWAP");
    assert!(verify(directory.path()).unwrap().ok);
}

#[test]
fn an_empty_segment_is_reused_and_its_instruments_are_kept() {
    let directory = temporary();
    let mut first = appender(directory.path());
    first.append(&mut trades(1, 3)).unwrap();
    first.registry_mut().define(Instrument::unknown("binance", "spot", "XRPUSDT"));
    first.rotate().unwrap();
    drop(first);
    assert_eq!(segments(directory.path()).len(), 2);
    let (mut second, recovery) = Appender::open(directory.path(), options()).unwrap();
    assert_eq!((recovery.cuts.len(), recovery.segments, second.next_sequence()), (0, 1, 2));
    assert_eq!(second.registry().find("binance", "spot", "XRPUSDT"), Some(4));
    second.append(&mut trades(3, 5)).unwrap();
    assert_eq!(read_ids(directory.path()).0, [1, 2, 3, 4]);
}

#[test]
fn a_sealed_segment_without_records_does_not_block_its_name() {
    let directory = temporary();
    let mut first = appender(directory.path());
    first.append(&mut trades(1, 3)).unwrap();
    first.rotate().unwrap();
    first.seal().unwrap();
    first.append(&mut trades(3, 4)).unwrap();
    first.rotate().unwrap();
    first.seal().unwrap();
    drop(first);
    let (mut second, recovery) = Appender::open(directory.path(), options()).unwrap();
    assert_eq!((second.next_sequence(), recovery.segments), (3, 2));
    second.append(&mut trades(4, 5)).unwrap();
    assert_eq!(read_ids(directory.path()).0, [1, 2, 3, 4]);
    assert!(verify(directory.path()).unwrap().ok);
}

#[test]
fn a_segment_without_a_readable_record_is_moved_aside() {
    let directory = temporary();
    let path = directory.path().join("00000000000000000000.seg");
    fs::write(&path, [7u8; 5000]).unwrap();
    let mut appender = appender(directory.path());
    appender.append(&mut trades(1, 2)).unwrap();
    let aside = directory.path().join("00000000000000000000.torn-0");
    assert_eq!(fs::read(aside).unwrap(), [7u8; 5000]);
    assert_eq!(read_ids(directory.path()).0, [1]);
}

#[test]
fn a_segment_with_records_is_never_overwritten() {
    let directory = temporary();
    let elsewhere = temporary();
    small_log(elsewhere.path(), false);
    let (mut log, _) = Log::open(directory.path(), options()).unwrap();
    let path = directory.path().join("00000000000000000000.seg");
    fs::copy(&segments(elsewhere.path())[0], &path).unwrap();
    let before = fs::read(&path).unwrap();
    let registry = log.registry().clone();
    let refused = log.start_segment(&registry, 0).err().unwrap();
    assert!(matches!(refused, LogError::SegmentExists { .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
    log.start_segment(&registry, 9).unwrap();
    assert!(matches!(log.start_segment(&registry, 8), Err(LogError::SequenceTaken { asked: 8, next: 9 })));
}

#[test]
fn one_writer_only() {
    let directory = temporary();
    let first = appender(directory.path());
    let second = Appender::open(directory.path(), options()).err().unwrap();
    let text = second.to_string();
    assert!(text.contains("LOCK is locked by process"), "{text}");
    assert!(text.contains(&std::process::id().to_string()) && text.contains("one writer"), "{text}");
    drop(first);
    assert!(Appender::open(directory.path(), options()).is_ok());
}

#[test]
fn rotation_by_size_and_age() {
    let directory = temporary();
    let small = LogOptions { segment_bytes: 4096, ..options() };
    let (mut appender, _) = Appender::open(directory.path(), small).unwrap();
    define(&mut appender);
    (0..40).for_each(|start| appender.append(&mut trades(start * 10 + 1, start * 10 + 11)).unwrap());
    drop(appender);
    let files = segments(directory.path());
    assert!(files.len() > 5);
    for (index, path) in files.iter().enumerate() {
        let segment = Segment::map(path).unwrap();
        assert_eq!(segment.is_sealed(), index + 1 < files.len());
        if let Some(footer) = segment.footer() {
            let footer = footer.unwrap();
            let records: u64 = footer.entries.iter().map(|entry| u64::from(entry.records)).sum();
            assert_eq!((footer.records, footer.kinds[1]), (records, records));
            let mut batches = segment.batches();
            batches.seek(footer.entries.last().unwrap().offset);
            assert_eq!(batches.next_batch().unwrap().unwrap().header().end_sequence(), footer.end_sequence);
        }
    }
    assert_eq!(read_ids(directory.path()).0, (1..401).collect::<Vec<_>>());
    assert!(verify(directory.path()).unwrap().ok);
    let young = LogOptions { segment_age_ns: 0, ..options() };
    let (mut appender, _) = Appender::open(directory.path(), young).unwrap();
    (0..3).for_each(|start| appender.append(&mut trades(401 + start, 402 + start)).unwrap());
    assert_eq!(segments(directory.path()).len(), files.len() + 3);
    let inspection = inspect::inspect(directory.path()).unwrap();
    assert_eq!((inspection.records, inspection.instruments.len()), (403, 3));
    assert_eq!(inspection.problems, []);
    assert_eq!(inspection.segments[0].kinds[&Kind::Trade], inspection.segments[0].records);
}

fn compact_sealed(directory: &std::path::Path) {
    let segments = segments(directory);
    for path in segments.split_last().unwrap().1 {
        compact(path, || true).unwrap();
    }
}

#[test]
fn a_reader_during_writing_and_compaction() {
    let directory = temporary();
    let small = LogOptions { segment_bytes: 20_000, ..options() };
    let (mut appender, _) = Appender::open(directory.path(), small).unwrap();
    define(&mut appender);
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for start in 0..400 {
                appender.append(&mut trades(start * 7 + 1, start * 7 + 8)).unwrap();
                done.store(start * 7 + 7, Ordering::Release);
                if start % 20 == 0 {
                    compact_sealed(directory.path());
                }
            }
        });
        loop {
            let written = done.load(Ordering::Acquire);
            let (ids, report) = read_ids(directory.path());
            assert_eq!(report.problems, []);
            assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
            assert!(ids.len() as u64 >= written);
            if written == 2800 {
                break;
            }
        }
    });
}

/// A file on a disk with room for so many more bytes. Writes at most 100 bytes at a time.
struct Disk(File, Arc<AtomicU64>);

impl WriteAt for Disk {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let room = self.1.load(Ordering::Relaxed).min(100).min(bytes.len() as u64);
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.1.fetch_sub(room, Ordering::Relaxed);
        WriteAt::write_at(&self.0, &bytes[..room as usize], offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[test]
fn a_full_disk_harms_nothing_and_a_retry_goes_on() {
    // Room for every number of bytes at the first error, then a little more at a time.
    for room in (0..3000).step_by(61) {
        let directory = temporary();
        let left = Arc::new(AtomicU64::new(room));
        let handle = left.clone();
        let wrap = move |file| Disk(file, handle.clone());
        let (mut appender, _) = Appender::open_with(directory.path(), options(), wrap).unwrap();
        define(&mut appender);
        let mut errors = 0;
        for start in 0..4 {
            let mut batch = trades(start * 5 + 1, start * 5 + 6);
            while let Err(error) = appender.append(&mut batch) {
                assert!(error.is_full() && error.to_string().contains("free some space"), "{error}");
                assert!(error.to_string().contains(".seg"), "{error}");
                errors += 1;
                let (ids, report) = read_ids(directory.path());
                assert_eq!(report.problems, []);
                assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
                left.fetch_add(97, Ordering::Relaxed);
            }
        }
        while appender.seal().is_err() {
            left.fetch_add(97, Ordering::Relaxed);
        }
        assert!(errors > 0);
        assert_eq!(read_ids(directory.path()).0, (1..21).collect::<Vec<_>>());
        assert!(verify(directory.path()).unwrap().ok);
    }
}

#[test]
fn a_full_file_system() {
    let directory = temporary();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(directory.path())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no permission to mount a tmpfs");
        return;
    }
    let log = directory.path().join("log");
    let ballast = directory.path().join("ballast");
    fs::write(&ballast, vec![1u8; 100 << 10]).unwrap();
    let mut appender = appender(&log);
    let mut next = 1;
    let error = loop {
        let mut batch = trades(next, next + 100);
        next += 100;
        if let Err(error) = appender.append(&mut batch) {
            assert!(batch.is_empty());
            break error;
        }
    };
    let text = error.to_string();
    assert!(error.is_full() && text.contains("os error 28"), "{text}");
    fs::remove_file(&ballast).unwrap();
    appender.append(&mut trades(next, next + 100)).unwrap();
    drop(appender);
    let ids = read_ids(&log).0;
    let verification = verify(&log).unwrap();
    let unmounted = std::process::Command::new("umount").arg(directory.path()).status();
    assert!(unmounted.unwrap().success());
    assert_eq!(ids, (1..next + 100).collect::<Vec<_>>());
    assert!(verification.ok);
}

#[test]
fn sequences_lost_with_the_disk_are_not_given_again() {
    let directory = temporary();
    small_log(directory.path(), true);
    let ahead = LogOptions { minimum_sequence: 50, ..options() };
    let (mut appender, recovery) = Appender::open(directory.path(), ahead).unwrap();
    assert_eq!((appender.next_sequence(), recovery.lost_sequences), (50, 44));
    let mut batch = BatchBuilder::new();
    batch.push(RecordRef::Gap(&gap(1, Kind::Trade, 7, 9, GapReason::Disconnected))).unwrap();
    batch.push(RecordRef::Trade(&trade(1, 10))).unwrap();
    appender.append(&mut batch).unwrap();
    drop(appender);
    let verification = verify(directory.path()).unwrap();
    assert!(verification.ok, "{:?}", verification.problems);
    assert_eq!(verification.gaps, 1);
}

#[test]
fn a_damaged_middle_keeps_the_records_behind_it() {
    let directory = temporary();
    let ends = small_log(directory.path(), false);
    let path = &segments(directory.path())[0];
    let file = OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 64], ends[1].0).unwrap();
    let (appender, recovery) = Appender::open(directory.path(), options()).unwrap();
    assert_eq!((appender.next_sequence(), recovery.cuts.len()), (6, 0));
    assert_eq!(read_ids(directory.path()).0, [1, 2, 5, 6]);
}

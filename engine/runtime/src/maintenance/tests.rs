//! The thread over logs in temporary folders.

use std::fs;
use std::process::Command;

use marketprism_core::Instrument;
use marketprism_core::record::{Header, Kind, RecordRef, Trade};
use marketprism_log::format::Codec;
use marketprism_log::{Appender, BatchBuilder, Cursor, LogOptions, verify};

use super::*;
use crate::telemetry::{Events, events};

fn appender(directory: &Path) -> Appender {
    let (mut appender, _) = Appender::open(directory, LogOptions::default()).unwrap();
    appender.registry_mut().define(Instrument::unknown("binance", "spot", "BTCUSDT"));
    appender
}

/// Fills the open segment with a hundred trades and begins the next one.
fn fill_segment(appender: &mut Appender) {
    let mut batch = BatchBuilder::new();
    for _ in 0..100 {
        let id = appender.next_sequence() + u64::from(batch.records()) + 1;
        let header = Header { sequence: id, ..Header::new(Kind::Trade, 1, 5) };
        let trade = Trade { header, ..bytemuck::Zeroable::zeroed() };
        batch.push(RecordRef::Trade(&trade)).unwrap();
    }
    appender.append(&mut batch).unwrap();
    appender.rotate().unwrap();
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    LogReader::open(directory).unwrap().segments()
}

fn start(directory: &Path, retention: Retention) -> (MaintenanceThread, Events) {
    let (sender, events) = events();
    (MaintenanceThread::start(directory.to_owned(), true, retention, sender).unwrap(), events)
}

/// Waits until the statistics are as they should be.
fn wait_until(maintenance: &MaintenanceThread, is_right: impl Fn(MaintenanceStatistics) -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_right(maintenance.statistics()) {
        assert!(Instant::now() < until, "{:?}", maintenance.statistics());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until so many segments were compressed, or could not be.
fn wait_for(maintenance: &MaintenanceThread, segments: u64, errors: u64) {
    wait_until(maintenance, |statistics| (statistics.segments, statistics.errors) == (segments, errors));
}

fn is_compressed(path: &Path) -> bool {
    let segment = marketprism_log::Segment::map(path).unwrap();
    let mut batches = segment.batches();
    batches.next_batch().unwrap().unwrap().header().codec == Codec::Zstd as u8
}

#[test]
fn sealed_segments_are_compressed_at_the_start_and_when_they_come() {
    let directory = tempfile::tempdir().unwrap();
    let mut appender = appender(directory.path());
    fill_segment(&mut appender);
    fill_segment(&mut appender);
    let lengths = || -> u64 {
        segments(directory.path())[..2].iter().map(|path| fs::metadata(path).unwrap().len()).sum()
    };
    let before = lengths();
    let (maintenance, events) = start(directory.path(), Retention::default());
    wait_for(&maintenance, 2, 0);
    let statistics = maintenance.statistics();
    assert_eq!((statistics.bytes_before, statistics.bytes_after), (before, lengths()));
    assert!(statistics.bytes_after < statistics.bytes_before / 2, "{statistics:?}");

    fill_segment(&mut appender);
    wait_for(&maintenance, 3, 0);
    maintenance.stop().unwrap();
    let compressed: Vec<bool> = segments(directory.path()).iter().map(|path| is_compressed(path)).collect();
    assert_eq!(compressed, [true, true, true, false], "all but the newest");
    let verification = verify(directory.path()).unwrap();
    assert!(verification.ok && verification.records == 300, "{:?}", verification.problems);
    events.drain(|event| panic!("{event:?}"));
}

#[test]
fn a_damaged_segment_is_told_and_the_next_one_is_compressed() {
    let directory = tempfile::tempdir().unwrap();
    let mut appender = appender(directory.path());
    fill_segment(&mut appender);
    fill_segment(&mut appender);
    let damaged = &segments(directory.path())[0];
    let mut bytes = fs::read(damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(damaged, &bytes).unwrap();
    let (maintenance, events) = start(directory.path(), Retention::default());
    wait_for(&maintenance, 1, 1);
    maintenance.stop().unwrap();
    let texts = drained(&events);
    assert!(texts.len() == 1 && texts[0].contains("wrong checksum"), "{texts:?}");
    assert_eq!(fs::read(damaged).unwrap(), bytes);
}

fn drained(events: &Events) -> Vec<String> {
    let mut texts = vec![];
    events.drain(|event| texts.push(event.text.clone()));
    texts
}

#[test]
fn old_segments_are_removed_told_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let mut appender = appender(directory.path());
    (0..3).for_each(|_| fill_segment(&mut appender));
    let before = segments(directory.path());
    // The records are of 1970.
    let retention = Retention { keep_ns: Some(1_000_000_000), ..Retention::default() };
    let (maintenance, events) = start(directory.path(), retention);
    wait_until(&maintenance, |statistics| statistics.removed_segments == 2);
    fill_segment(&mut appender);
    wait_until(&maintenance, |statistics| statistics.removed_segments == 3);
    let statistics = maintenance.statistics();
    maintenance.stop().unwrap();
    assert_eq!(segments(directory.path())[0], before[3]);
    assert_eq!(segments(directory.path()).len(), 2, "the newest two stay");
    assert!(statistics.removed_bytes > 0 && statistics.segments >= 3, "{statistics:?}");
    let texts = drained(&events);
    assert_eq!(texts.len(), 3, "{texts:?}");
    for (text, path) in texts.iter().zip(&before) {
        assert!(text.contains(path.to_str().unwrap()) && text.contains("keep_days"), "{text}");
    }
    let verification = verify(directory.path()).unwrap();
    assert!(verification.ok && verification.first_sequence == Some(300), "{verification:?}");
}

#[test]
fn segments_are_compressed_before_the_bytes_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let mut appender = appender(directory.path());
    (0..4).for_each(|_| fill_segment(&mut appender));
    let plain = fs::metadata(&segments(directory.path())[0]).unwrap().len();
    // Room for two plain segments, or for all compressed ones.
    let retention = Retention { keep_bytes: Some(plain * 5 / 2), ..Retention::default() };
    let (maintenance, events) = start(directory.path(), retention);
    wait_for(&maintenance, 4, 0);
    fill_segment(&mut appender);
    wait_for(&maintenance, 5, 0);
    maintenance.stop().unwrap();
    assert_eq!(drained(&events), Vec::<String>::new());
    assert_eq!(segments(directory.path()).len(), 6);

    let retention = Retention { keep_bytes: Some(0), ..Retention::default() };
    let (maintenance, events) = start(directory.path(), retention);
    wait_until(&maintenance, |statistics| statistics.removed_segments == 4);
    maintenance.stop().unwrap();
    let texts = drained(&events);
    assert!(texts.len() == 4 && texts.iter().all(|text| text.contains("keep_gib")), "{texts:?}");
    assert!(verify(directory.path()).unwrap().ok);
}

#[test]
fn removal_does_not_wait_for_many_segments_to_be_compressed() {
    let directory = tempfile::tempdir().unwrap();
    let mut appender = appender(directory.path());
    (0..COMPRESSED_AT_ONCE * 2 + 2).for_each(|_| fill_segment(&mut appender));
    let retention = Retention { keep_bytes: Some(0), ..Retention::default() };
    let (maintenance, _events) = start(directory.path(), retention);
    wait_until(&maintenance, |statistics| statistics.removed_segments == COMPRESSED_AT_ONCE * 2 + 1);
    let compressed = maintenance.statistics().segments;
    maintenance.stop().unwrap();
    // Then the newest sealed one, which stays.
    assert!((COMPRESSED_AT_ONCE..=COMPRESSED_AT_ONCE + 1).contains(&compressed), "{compressed}");
}

#[test]
fn what_a_follower_has_not_delivered_is_kept_and_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut appender = appender(directory.path());
    (0..3).for_each(|_| fill_segment(&mut appender));
    let mut cursor = Cursor::open(directory.path(), "slow").unwrap();
    cursor.advance(150).unwrap();
    let retention = Retention { keep_bytes: Some(0), ..Retention::default() };
    let (maintenance, events) = start(directory.path(), retention);
    wait_until(&maintenance, |statistics| statistics.removed_segments == 1 && statistics.held_bytes > 0);
    fill_segment(&mut appender);
    wait_for(&maintenance, 4, 0);
    cursor.advance(400).unwrap();
    fill_segment(&mut appender);
    wait_until(&maintenance, |statistics| statistics.removed_segments == 4 && statistics.held_bytes == 0);
    maintenance.stop().unwrap();
    let texts = drained(&events);
    let told: Vec<&String> = texts.iter().filter(|text| text.contains("follower \"slow\"")).collect();
    assert_eq!(told.len(), 1, "{texts:?}");
    assert!(told[0].starts_with("1 old segments (") && told[0].contains("150 records behind"), "{told:?}");
    assert!(verify(directory.path()).unwrap().ok);
}

#[test]
fn compression_leaves_the_writer_its_room() {
    let directory = tempfile::tempdir().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=128k", "tmpfs"])
        .arg(directory.path())
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("a tmpfs cannot be mounted here (root is needed); this test is skipped");
        return;
    }
    let log = directory.path().join("log");
    let mut appender = appender(&log);
    fill_segment(&mut appender);
    let length = fs::metadata(&segments(&log)[0]).unwrap().len();
    let filler = directory.path().join("filler");
    // Room for half a segment, which is enough for a compressed one.
    fs::write(&filler, vec![0; (free_bytes(&log).unwrap() - length / 2) as usize]).unwrap();
    let (maintenance, events) = start(&log, Retention::default());
    let until = Instant::now() + Duration::from_secs(60);
    let mut texts = vec![];
    while texts.is_empty() {
        assert!(Instant::now() < until, "nothing was told");
        texts = drained(&events);
    }
    assert!(texts[0].contains("not compressed yet: no room"), "{texts:?}");
    fs::remove_file(&filler).unwrap();
    fill_segment(&mut appender);
    wait_for(&maintenance, 2, 0);
    maintenance.stop().unwrap();
    let is_sound = verify(&log).unwrap().ok;
    drop(appender);
    assert!(Command::new("umount").arg(directory.path()).status().unwrap().success());
    assert!(is_sound && drained(&events).is_empty());
}

#[test]
fn what_cannot_be_removed_is_told_once_and_nothing_behind_it_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let mut appender = appender(directory.path());
    (0..3).for_each(|_| fill_segment(&mut appender));
    let oldest = &segments(directory.path())[0];
    fs::remove_file(oldest).unwrap();
    fs::create_dir(oldest).unwrap();
    let retention = Retention { keep_bytes: Some(0), ..Retention::default() };
    let (maintenance, events) = start(directory.path(), retention);
    for compressed in 2..5 {
        wait_for(&maintenance, compressed, 1);
        fill_segment(&mut appender);
    }
    let statistics = maintenance.statistics();
    maintenance.stop().unwrap();
    assert_eq!((statistics.removed_segments, segments(directory.path()).len()), (0, 7));
    let texts = drained(&events);
    let told = texts.iter().filter(|text| text.starts_with("no old segment is removed")).count();
    assert_eq!(told, 1, "{texts:?}");
}

#[test]
fn the_lowest_priority_is_that_of_the_thread_alone() {
    let niceness = || {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[16].parse::<i32>().unwrap()
    };
    let before = niceness();
    let lowered = std::thread::spawn(move || {
        lower_priority();
        niceness()
    });
    assert_eq!(lowered.join().unwrap(), NICENESS);
    assert_eq!(niceness(), before);
}

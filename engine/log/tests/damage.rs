//! Whatever happens to the bytes: no panic, no wrong record, and the rest stays readable.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use common::*;
use marketprism_core::record::*;
use marketprism_log::*;
use proptest::prelude::*;

/// Three sealed segments of four batches, with trades, books and bodies.
fn log(directory: &Path) {
    let mut appender = appender(directory);
    let mut id = 1;
    for _segment in 0..3 {
        for _batch in 0..4 {
            let mut batch = trades(id, id + 5);
            let mut book = delta(2, id, id + 4, None, 0);
            (book.bid_levels, book.ask_levels) = (2, 1);
            batch.push(RecordRef::Book(&book, &[Level { price: 7, quantity: 8 }; 3])).unwrap();
            let mut raw: Raw = bytemuck::Zeroable::zeroed();
            raw.header = Header::new(Kind::Raw, 3, 5);
            batch.push(RecordRef::Raw(&raw, b"a reason and a frame")).unwrap();
            appender.append(&mut batch).unwrap();
            id += 5;
        }
        appender.seal().unwrap();
    }
}

/// The same with its second segment compressed.
fn mixed_log(directory: &Path) {
    log(directory);
    compact(&segments(directory)[1], || true).unwrap().unwrap();
}

/// A record: capture sequence, head, body.
type Kept = (u64, Vec<u8>, Vec<u8>);

/// All records by capture sequence.
fn contents(directory: &Path) -> (Vec<Kept>, ReadReport) {
    let mut found = Vec::new();
    let report = LogReader::open(directory)
        .unwrap()
        .for_each(&Selection::default(), |sequence, record, _| {
            let (head, body) = record.parts();
            found.push((sequence, bytemuck::cast_slice(head).to_vec(), body.to_vec()));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    (found, report)
}

/// Everything read is right, and what is not read was reported.
fn check_damaged(directory: &Path, good: &[Kept]) -> Result<(), TestCaseError> {
    let (found, report) = contents(directory);
    for record in &found {
        prop_assert!(good.contains(record), "a wrong record was given out as good");
    }
    prop_assert!(found.len() == good.len() || !report.problems.is_empty());
    let verification = verify(directory).unwrap();
    prop_assert!(!verification.ok);
    prop_assert_eq!(verification.records, found.len() as u64);
    inspect::inspect(directory).unwrap();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn flipped_bits(
        flips in prop::collection::vec((0..3usize, any::<prop::sample::Index>(), 0..8u8), 1..4),
    ) {
        let directory = temporary();
        mixed_log(directory.path());
        let good = contents(directory.path()).0;
        for (file, index, bit) in flips {
            let path = &segments(directory.path())[file];
            let mut bytes = fs::read(path).unwrap();
            let at = index.index(bytes.len());
            bytes[at] ^= 1 << bit;
            fs::write(path, bytes).unwrap();
        }
        // A bit flipped twice is no damage.
        if verify(directory.path()).unwrap().ok {
            prop_assert_eq!(contents(directory.path()).0, good);
            return Ok(());
        }
        check_damaged(directory.path(), &good)?;
    }

    #[test]
    fn overwritten_ranges(
        file in 0..3usize,
        start in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 1..2000),
    ) {
        let directory = temporary();
        mixed_log(directory.path());
        let good = contents(directory.path()).0;
        let path = &segments(directory.path())[file];
        let mut bytes = fs::read(path).unwrap();
        let start = start.index(bytes.len());
        let end = (start + noise.len()).min(bytes.len());
        bytes[start..end].copy_from_slice(&noise[..end - start]);
        let changed = bytes != fs::read(path).unwrap();
        fs::write(path, bytes).unwrap();
        // Damage of the last segment's end alone is a torn tail, which is cut and no problem.
        if changed && file < 2 {
            check_damaged(directory.path(), &good)?;
        }
        let (found, _) = contents(directory.path());
        prop_assert!(found.iter().all(|record| good.contains(record)));
        let (appender, _) = Appender::open(directory.path(), options()).unwrap();
        prop_assert!(found.iter().all(|record| record.0 < appender.next_sequence()));
        drop(appender);
        prop_assert_eq!(contents(directory.path()).0, found);
    }

    #[test]
    fn any_bytes(content in prop::collection::vec(any::<u8>(), 0..3000)) {
        let directory = temporary();
        fs::write(directory.path().join("00000000000000000005.seg"), content).unwrap();
        prop_assert!(contents(directory.path()).0.is_empty());
        verify(directory.path()).unwrap();
        let (appender, _) = Appender::open(directory.path(), options()).unwrap();
        prop_assert_eq!(appender.next_sequence(), 5);
    }
}

#[test]
fn every_single_flipped_bit_is_noticed() {
    let directory = temporary();
    let mut appender = appender(directory.path());
    appender.append(&mut trades(1, 3)).unwrap();
    appender.seal().unwrap();
    appender.append(&mut trades(3, 4)).unwrap();
    drop(appender);
    let path = &segments(directory.path())[0];
    for compressed in [false, true] {
        assert_eq!(compressed, compressed && compact(path, || true).unwrap().is_some());
        let bytes = fs::read(path).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(path, changed).unwrap();
            assert!(!verify(directory.path()).unwrap().ok, "byte {at}, compressed: {compressed}");
        }
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn the_rest_of_a_damaged_segment_stays_readable() {
    let directory = temporary();
    log(directory.path());
    let path = &segments(directory.path())[1];
    let offsets = offsets(path);
    let pristine = fs::read(path).unwrap();
    // The header of a batch, then a body, then the file header.
    for (at, lost) in [(offsets[2] + 9, 7), (offsets[2] + 100, 7), (3, 0)] {
        let mut bytes = pristine.clone();
        bytes[at as usize] ^= 4;
        fs::write(path, bytes).unwrap();
        let (found, report) = contents(directory.path());
        assert_eq!(found.len(), 3 * 4 * 7 - lost);
        let first = &report.problems[0];
        assert_eq!(first.file, path.file_name().unwrap().to_str().unwrap());
        assert_eq!(first.offset, if lost == 0 { 0 } else { offsets[2] });
    }
}

#[test]
fn a_lost_trailer_leaves_the_records() {
    let directory = temporary();
    log(directory.path());
    let good = contents(directory.path()).0;
    let path = &segments(directory.path())[0];
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 64]).unwrap();
    assert_eq!(contents(directory.path()), (good, contents(directory.path()).1));
    assert!(!Segment::map(path).unwrap().is_sealed());
}

#[test]
fn a_missing_segment() {
    let directory = temporary();
    log(directory.path());
    let files = segments(directory.path());
    fs::remove_file(&files[1]).unwrap();
    let (found, report) = contents(directory.path());
    assert_eq!(found.len(), 2 * 4 * 7);
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.problems[0].what, "capture sequences 28 to 55 are missing: 28 records");
    assert!(texts(&verify(directory.path()).unwrap()).contains(&report.problems[0].what.as_str()));
    // The oldest segments may be removed: a log need not begin with 0.
    fs::remove_file(&files[0]).unwrap();
    assert_eq!(contents(directory.path()).1.problems, []);
    assert!(verify(directory.path()).unwrap().ok);
}

#[test]
fn swapped_segments() {
    let directory = temporary();
    log(directory.path());
    let files = segments(directory.path());
    let aside = directory.path().join("aside");
    fs::rename(&files[0], &aside).unwrap();
    fs::rename(&files[1], &files[0]).unwrap();
    fs::rename(&aside, &files[1]).unwrap();
    let (found, report) = contents(directory.path());
    assert_eq!(found.len(), 3 * 4 * 7);
    let all: Vec<_> = report.problems.iter().map(|problem| problem.what.as_str()).collect();
    assert!(all.contains(&"the header says that it begins with sequence 28"), "{all:?}");
    assert!(all.contains(&"capture sequence goes back from 56 to 0"), "{all:?}");
    assert!(!verify(directory.path()).unwrap().ok);
}

#[test]
fn a_torn_segment_in_the_middle_is_a_problem() {
    let directory = temporary();
    log(directory.path());
    let path = &segments(directory.path())[0];
    let bytes = fs::read(path).unwrap();
    let cut = *offsets(path).last().unwrap() as usize + 70;
    fs::write(path, &bytes[..cut]).unwrap();
    let report = contents(directory.path()).1;
    assert_eq!(report.problems[0].what, "70 bytes at the end are torn or damaged");
    assert_eq!(report.problems[1].what, "capture sequences 21 to 27 are missing: 7 records");
}

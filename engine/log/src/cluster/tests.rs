use marketprism_core::record::{Header, Line, RecordRef, Trade};
use proptest::prelude::*;

use super::encode::ClusterBuilder;
use super::*;
use crate::codec::LEVEL;
use crate::map::Batches;
use crate::selection::Selection;

/// Trades of a batch; most of the keys have too few for a cluster of their own.
const RECORDS: u64 = 4000;

/// Instruments of these trades in turn: the first has every second one.
fn instrument(id: u64) -> u32 {
    if id.is_multiple_of(2) { 1 } else { 2 + (id % 50) as u32 }
}

/// A batch of trades that begin with this id.
fn batch(first: u64) -> Vec<u8> {
    let mut builder = ClusterBuilder::new(0).unwrap();
    for id in first..first + RECORDS {
        let header = Header { sequence: id, ..Header::new(Kind::Trade, instrument(id), id as i64) };
        builder.push(RecordRef::Trade(&Trade { header, ..Zeroable::zeroed() }));
    }
    let mut out = Vec::new();
    builder.finish(first, &mut out, &|| true).unwrap().unwrap();
    out
}

/// A clustered batch taken apart: its entries and what their frames decode to.
#[derive(Clone)]
struct Parts {
    header: BatchHeader,
    entries: Vec<ClusterEntry>,
    frames: Vec<Vec<u8>>,
}

impl Parts {
    fn of(batch: &[u8]) -> Parts {
        let lines: Vec<Line> = batch.chunks_exact(LINE_BYTES).map(bytemuck::pod_read_unaligned).collect();
        let header = BatchHeader::read(batch).unwrap();
        let body = &bytemuck::cast_slice::<_, u8>(&lines)[HEADER_BYTES..][..header.body_bytes as usize];
        let entries = directory(&header, body).unwrap().to_vec();
        let decoded = |entry: &ClusterEntry| {
            zstd::bulk::decompress(entry.frame(body).unwrap(), entry.decoded_bytes()).unwrap()
        };
        let frames = entries.iter().map(decoded).collect();
        Parts { header, entries, frames }
    }

    /// Makes a batch of them with right checksums, whatever they say; `change` gets the entries' bytes.
    fn assemble(&self, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut entries = self.entries.clone();
        let directory_bytes = HEADER_BYTES * (1 + entries.len());
        let mut body = vec![0; directory_bytes];
        for (entry, decoded) in entries.iter_mut().zip(&self.frames) {
            let frame = zstd::bulk::compress(decoded, LEVEL).unwrap();
            (entry.offset, entry.stored_bytes) = (body.len() as u32, frame.len() as u32);
            entry.checksum = checksum(&frame);
            body.extend(frame);
        }
        change(bytemuck::cast_slice_mut(&mut entries));
        ClusterDirectory::write(&entries, &mut body[..directory_bytes]);
        let body_bytes = body.len() as u32;
        body.resize(padded(body.len()), 0);
        let header = BatchHeader { body_bytes, body_checksum: checksum(&body), ..self.header }.finish();
        [bytemuck::bytes_of(&header), &body].concat()
    }
}

/// The ids in a segment of these batches, and what is wrong in it.
fn read(batches: &[Vec<u8>]) -> (Vec<u64>, Vec<String>) {
    let bytes: Vec<u8> = [vec![0; HEADER_BYTES]].iter().chain(batches).flatten().copied().collect();
    let lines: Vec<Line> = bytes.chunks_exact(LINE_BYTES).map(bytemuck::pod_read_unaligned).collect();
    let (mut ids, mut problems) = (vec![], vec![]);
    let mut batches = Batches::over("test", bytemuck::cast_slice(&lines));
    while let Some(batch) = batches.next_batch() {
        match batch {
            Ok(batch) => {
                assert_eq!(batch.records().count(), batch.len());
                assert!(batch.records().map(|(sequence, _)| sequence).is_sorted());
                ids.extend(batch.records().map(|(_, record)| record.header().sequence));
            }
            Err(problem) => problems.push(problem.what),
        }
    }
    (ids, problems)
}

#[test]
fn records_come_in_the_order_of_their_capture() {
    let both = [batch(0), batch(RECORDS)];
    assert_eq!(read(&both), ((0..2 * RECORDS).collect(), vec![]));
    let parts = Parts::of(&both[0]);
    assert_eq!(parts.assemble(|_| ()), both[0]);
    let holders = parts.entries.iter().filter(|entry| entry.first_instrument == 1);
    assert!(holders.clone().all(|entry| entry.last_instrument == 1), "a large key has clusters of its own");
    assert_eq!(holders.map(|entry| u64::from(entry.records)).sum::<u64>(), RECORDS / 2);
    assert!(parts.entries.len() < 10, "small keys share clusters");
    assert!(parts.entries.iter().all(|entry| entry.kinds == 1 << Kind::Trade as u32));
}

/// What is wrong with the second cluster is told; the others and the next batch are read.
#[test]
fn one_wrong_cluster_costs_its_own_records() {
    let good = Parts::of(&batch(0));
    let spoil = |spoil: &dyn Fn(&mut Parts)| {
        let mut parts = good.clone();
        spoil(&mut parts);
        parts.header.decoded_bytes = parts.entries.iter().map(|entry| entry.decoded_bytes() as u32).sum();
        parts.assemble(|_| ())
    };
    let archive = good.entries[1].archive_bytes as usize;
    let cases: [(&str, Vec<u8>); 6] = [
        ("two records have the same place", spoil(&|parts| parts.frames[1][archive..].fill(0))),
        ("a place lies outside of the batch", spoil(&|parts| parts.frames[1][archive] = 0x7F)),
        (
            "a place in the batch is missing or too large",
            spoil(&|parts| parts.frames[1][archive..].fill(0xFF)),
        ),
        (
            "there are more places than records",
            spoil(&|parts| {
                parts.frames[1].push(1);
                parts.entries[1].position_bytes += 1;
            }),
        ),
        (
            "the archive's offsets or lengths are not valid",
            spoil(&|parts| parts.frames[1][archive - 170] = 0x70),
        ),
        (
            "it lies outside of the batch",
            good.assemble(|entries| {
                let offset = HEADER_BYTES + std::mem::offset_of!(ClusterEntry, offset);
                entries[offset..offset + 4].fill(0xFF);
            }),
        ),
    ];
    let records = u64::from(good.entries[1].records);
    for (expected, wrong) in cases {
        let (ids, problems) = read(&[wrong, batch(RECORDS)]);
        assert_eq!(ids.len() as u64, 2 * RECORDS - records, "{expected}");
        assert!(ids.ends_with(&(RECORDS..2 * RECORDS).collect::<Vec<_>>()), "{expected}");
        let (entry, what) = (good.entries[1], &problems[0]);
        let place = format!("{records} records of instruments {} to", entry.first_instrument);
        assert!(what.starts_with(&place) || entry.first_instrument == entry.last_instrument, "{what}");
        assert!(what.ends_with(&format!("their cluster is damaged: {expected}")), "{what}");
    }
}

#[test]
fn a_directory_that_contradicts_the_header_is_refused() {
    let good = Parts::of(&batch(0));
    let with = |change: &dyn Fn(&mut Parts)| {
        let mut parts = good.clone();
        change(&mut parts);
        parts.assemble(|_| ())
    };
    let decoded = good.header.decoded_bytes;
    for (wrong, expected) in [
        (
            with(&|parts| parts.header.records += 1),
            format!("its clusters hold {RECORDS} records and not {}", RECORDS + 1),
        ),
        (
            with(&|parts| parts.header.decoded_bytes += 1),
            format!("its clusters decode to {decoded} bytes and not to {}", decoded + 1),
        ),
        (
            with(&|parts| {
                parts.entries[0].archive_bytes += MAX_DECODED_BYTES as u32;
                parts.header.decoded_bytes += MAX_DECODED_BYTES as u32;
            }),
            format!(
                "it decodes to {} bytes; at most {MAX_DECODED_BYTES} are allowed",
                decoded as usize + MAX_DECODED_BYTES
            ),
        ),
        (
            // Memory for records is not taken because a header says so.
            with(&|parts| {
                parts.entries[0].records = u32::MAX - RECORDS as u32;
                parts.header.records = parts.entries.iter().map(|entry| entry.records).sum();
            }),
            "records and not".to_owned(),
        ),
    ] {
        let (ids, problems) = read(&[wrong, batch(RECORDS)]);
        assert_eq!(ids, (RECORDS..2 * RECORDS).collect::<Vec<_>>());
        assert!(problems[0].contains(&expected), "{problems:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 100 }))]

    /// Bodies that pass every checksum and are still nonsense are refused or read in part, never a panic, and the next
    /// batch is read.
    #[test]
    fn any_body(
        in_entries in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        in_frames in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..4,
        ),
    ) {
        let mut parts = Parts::of(&batch(0));
        for (frame, at, value) in in_frames {
            let count = parts.frames.len();
            let frame = &mut parts.frames[frame.index(count)];
            // Half of the changes hit the root and the places behind it.
            let length = frame.len();
            let at = if value % 2 == 0 { at.index(length) } else { length - 1 - at.index(length.min(4000)) };
            frame[at] = value;
        }
        let changed = parts.assemble(|entries| {
            in_entries.iter().for_each(|(at, value)| entries[at.index(entries.len())] = *value);
        });
        let (ids, problems) = read(&[changed, batch(RECORDS)]);
        prop_assert!(ids.ends_with(&(RECORDS..2 * RECORDS).collect::<Vec<_>>()));
        prop_assert!(ids.len() as u64 == 2 * RECORDS || !problems.is_empty());
    }
}

#[test]
fn definitions_are_always_needed() {
    let entry = ClusterEntry { kinds: 1 << Kind::Instrument as u32, ..Zeroable::zeroed() };
    let header = BatchHeader::read(&batch(0)).unwrap();
    let nothing = Selection { kinds: Some([].into()), ..Selection::default() };
    assert!(nothing.needs_cluster(&header, &entry));
    assert!(!nothing.needs_cluster(&header, &ClusterEntry { kinds: 2, ..entry }));
}

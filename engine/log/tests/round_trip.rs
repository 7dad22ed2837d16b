//! What goes in comes out: every kind, in order, from the map itself.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use marketprism_core::record::*;
use marketprism_log::format::{BatchHeader, HEADER_BYTES, KINDS};
use marketprism_log::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 200 }))]

    #[test]
    fn any_records(
        parts in prop::collection::vec((0..Kind::ALL.len(), any::<[u8; 32]>(), 0..40u16), 1..80),
        first_sequence in 0..u64::MAX / 2,
    ) {
        let all: Vec<Vec<Line>> =
            parts.iter().map(|(kind, seed, extra)| record_lines(Kind::ALL[*kind], *seed, *extra)).collect();
        let mut builder = BatchBuilder::new();
        for lines in &all {
            builder.push(RecordRef::read(lines).unwrap().0).unwrap();
        }
        let estimate = builder.bytes_estimate();
        let mut out = Vec::new();
        let info = builder.finish(first_sequence, &mut out).unwrap();
        prop_assert!(builder.is_empty());
        prop_assert_eq!(info.bytes as usize, out.len());
        prop_assert!(out.len() <= estimate + 64, "{} > {estimate}", out.len());
        prop_assert_eq!(out.len() % 64, 0);

        let lines: Vec<Line> = out.chunks_exact(64).map(bytemuck::pod_read_unaligned).collect();
        let bytes: &[u8] = bytemuck::cast_slice(&lines);
        let header = BatchHeader::read(bytes).unwrap();
        let body = &bytes[HEADER_BYTES..HEADER_BYTES + header.body_bytes as usize];
        let view = BatchView::new(header, 0, body).unwrap();
        prop_assert_eq!(view.len(), all.len());
        let mut kinds = [0u32; KINDS];
        for ((sequence, record), (index, lines)) in view.records().zip(all.iter().enumerate()) {
            prop_assert_eq!(sequence, first_sequence + index as u64);
            prop_assert_eq!(comparable(record), comparable(RecordRef::read(lines).unwrap().0));
            kinds[record.header().kind as usize] += 1;
        }
        prop_assert_eq!(&kinds, view.kinds());
        prop_assert_eq!(kinds, info.kinds);
        let times = || view.records().map(|(_, record)| record.header().receive_ns);
        prop_assert_eq!(times().min(), Some(header.first_receive_ns));
        prop_assert_eq!(times().max(), Some(header.last_receive_ns));
    }

    /// Bytes that pass every checksum and are still nonsense are refused or read, never a panic.
    #[test]
    fn any_archive(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut builder = trades(1, 4);
        builder.push(RecordRef::Book(&{ let mut b = delta(1, 1, 2, None, 0); b.bid_levels = 2; b }, &[Level::default(); 2])).unwrap();
        let raw: Raw = { let mut r: Raw = bytemuck::Zeroable::zeroed(); r.header.kind = Kind::Raw as u8; r };
        builder.push(RecordRef::Raw(&raw, b"reason and frame")).unwrap();
        let mut out = Vec::new();
        builder.finish(0, &mut out).unwrap();
        let header = BatchHeader::read(&out).unwrap();
        let length = header.body_bytes as usize;
        let mut lines: Vec<Line> = out[HEADER_BYTES..].chunks_exact(64).map(bytemuck::pod_read_unaligned).collect();
        let body: &mut [u8] = bytemuck::cast_slice_mut(&mut lines);
        for (index, value) in changes {
            // Half of the changes hit the root, where the offsets are.
            let at = index.index(length);
            body[if value % 2 == 0 { at } else { length - 1 - at % 192.min(length) }] = value;
        }
        if let Ok(view) = BatchView::new(header, 0, &body[..length]) {
            prop_assert_eq!(view.records().count(), view.len());
            view.records().for_each(|(_, record)| { std::hint::black_box(record.parts().1.len()); });
        }
    }
}

/// Every kind alone, through a segment on disk, and its name in the summaries.
#[test]
fn each_kind() {
    for kind in Kind::ALL {
        let directory = temporary();
        let mut appender = appender(directory.path());
        let mut lines = record_lines(kind, [7; 32], 6);
        let mut header: Header = *bytemuck::from_bytes(&lines[0].0[..size_of::<Header>()]);
        (header.instrument, header.receive_ns) = (1, 5);
        lines[0].0[..size_of::<Header>()].copy_from_slice(bytemuck::bytes_of(&header));
        let (record, used) = RecordRef::read(&lines).unwrap();
        assert_eq!((record.kind(), used), (Some(kind), lines.len()));
        let mut batch = BatchBuilder::new();
        batch.push(record).unwrap();
        appender.append(&mut batch).unwrap();
        appender.seal().unwrap();

        let reader = LogReader::open(directory.path()).unwrap();
        let mut found = Vec::new();
        let report = reader.for_each(&Selection::default(), |_, record, _| {
            found.push(comparable(record));
            std::ops::ControlFlow::Continue(())
        });
        assert_eq!((report.unwrap().problems, &found), (vec![], &vec![comparable(record)]), "{kind}");
        let segment = Segment::map(&reader.segments()[0]).unwrap();
        assert_eq!(segment.footer().unwrap().unwrap().kinds[kind as usize], 1, "{kind}");
        let inspection = inspect::inspect(directory.path()).unwrap();
        assert_eq!(inspection.segments[0].kinds, [(kind, 1)].into(), "{kind}");
    }
}

#[test]
fn an_unaligned_body_is_refused() {
    let mut out = Vec::new();
    trades(1, 4).finish(0, &mut out).unwrap();
    let header = BatchHeader::read(&out).unwrap();
    let mut lines = vec![Line([0; 64]); out.len() / 64 + 1];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut lines);
    let body = &out[HEADER_BYTES..HEADER_BYTES + header.body_bytes as usize];
    bytes[8..8 + body.len()].copy_from_slice(body);
    assert!(BatchView::new(header, 0, &bytes[8..8 + body.len()]).is_err());
}

#[test]
fn a_malformed_record_does_not_spoil_the_batch() {
    let mut builder = trades(1, 3);
    let mut wrong = trade(1, 9);
    wrong.header.kind = Kind::Quote as u8;
    assert!(matches!(builder.push(RecordRef::Trade(&wrong)), Err(PushError::Malformed(_))));
    wrong.header.kind = 99;
    assert!(matches!(builder.push(RecordRef::Trade(&wrong)), Err(PushError::Malformed(_))));
    let mut book = delta(1, 1, 1, None, 0);
    book.bid_levels = 3;
    assert!(matches!(builder.push(RecordRef::Book(&book, &[])), Err(PushError::Malformed(_))));
    assert_eq!(builder.records(), 2);
    let sink: &mut dyn Sink = &mut builder;
    sink.push(&trade(1, 3));
    sink.push_book(&delta(1, 1, 1, None, 0), &[]);
    assert_eq!((builder.records(), builder.rejected()), (4, 0));
}

#[test]
fn records_are_borrowed_from_the_map() {
    let directory = temporary();
    let mut appender = appender(directory.path());
    let mut batch = trades(1, 10);
    let mut book = delta(2, 1, 1, None, 0);
    (book.bid_levels, book.ask_levels) = (3, 2);
    batch.push(RecordRef::Book(&book, &[Level { price: 1, quantity: 2 }; 5])).unwrap();
    appender.append(&mut batch).unwrap();
    appender.append(&mut trades(10, 11)).unwrap();

    let segment = Segment::map(&LogReader::open(directory.path()).unwrap().segments()[0]).unwrap();
    let map = segment.bytes().as_ptr_range();
    let mut seen = 0;
    let mut batches = segment.batches();
    while let Some(batch) = batches.next_batch() {
        let batch = batch.unwrap();
        assert_eq!(batch.offset() % 64, 0);
        for (_, record) in batch.records() {
            let (head, body) = record.parts();
            assert!(map.contains(&head.as_ptr().cast()) && head.as_ptr().addr() % 64 == 0);
            assert!(body.is_empty() || map.contains(&body.as_ptr()));
            seen += 1;
        }
    }
    assert_eq!(seen, 3 + 9 + 1 + 1);
}

#[test]
fn warm_buffers_are_reused() {
    let mut builder = BatchBuilder::new();
    let mut out = Vec::new();
    let mut capacity = 0;
    for round in 0..5 {
        (1..1000).for_each(|id| builder.push(RecordRef::Trade(&trade(1, id))).unwrap());
        builder.finish(0, &mut out).unwrap();
        assert!(round == 0 || out.capacity() == capacity);
        capacity = out.capacity();
    }
}

#[test]
fn selections() {
    let directory = temporary();
    let mut appender = appender(directory.path());
    for start in 0..10 {
        appender.append(&mut trades(start * 10 + 1, start * 10 + 11)).unwrap();
        if start % 3 == 0 {
            appender.rotate().unwrap();
        }
    }
    let reader = LogReader::open(directory.path()).unwrap();
    assert_eq!(reader.segments().len(), 5);
    let read = |selection: Selection| {
        let mut found = Vec::new();
        let report = reader
            .for_each(&selection, |sequence, record, _| {
                found.push((sequence, record.header().receive_ns));
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(report.problems, []);
        (found, report.next_sequence)
    };
    let all = read(Selection::default());
    assert_eq!((all.0.len(), all.1), (100, 100));
    for (from, end) in [(0, 0), (0, 1), (35, 72), (40, 50), (99, 200), (100, 200), (150, 160)] {
        let (found, _) = read(Selection { from_sequence: from, end_sequence: end, ..Selection::default() });
        let expected: Vec<_> = all.0.iter().copied().filter(|(s, _)| (from..end).contains(s)).collect();
        assert_eq!(found, expected, "{from}..{end}");
        let (from_ns, end_ns) = (from as i64 + 1001, end as i64 + 1001);
        let (found, _) = read(Selection { from_ns, end_ns, checksums: false, ..Selection::default() });
        assert_eq!(found, expected, "{from}..{end} by time");
    }
    let mut count = 0;
    let stopped = reader.for_each(&Selection::default(), |_, _, _| {
        count += 1;
        if count == 15 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    });
    assert_eq!(stopped.unwrap().next_sequence, 15);
}

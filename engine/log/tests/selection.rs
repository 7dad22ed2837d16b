//! Selective reading: the same records as a filter over everything, and few bytes.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use common::*;
use marketprism_core::Instrument;
use marketprism_core::record::*;
use marketprism_log::*;
use proptest::prelude::*;

/// A record: capture sequence, then head and body, then the canonical symbol of its instrument at that time.
type Kept = (u64, (Vec<u8>, Vec<u8>), Option<String>);

fn read(directory: &Path, selection: &Selection) -> (Vec<Kept>, ReadReport) {
    let mut found = Vec::new();
    let report = LogReader::open(directory).unwrap().for_each(selection, |sequence, record, registry| {
        let instrument = registry.get(record.header().instrument);
        found.push((sequence, comparable(record), instrument.map(|instrument| instrument.symbol.clone())));
        ControlFlow::Continue(())
    });
    (found, report.unwrap())
}

/// How a segment ends up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Sealed,
    Compacted,
}

/// A record of some kind and instrument at some time; definitions give the instrument a new symbol.
fn push(batch: &mut BatchBuilder, kind: Kind, instrument: u32, receive_ns: i64, seed: [u8; 32]) {
    let mut lines = record_lines(kind, seed, 9);
    let mut header: Header = *bytemuck::from_bytes(&lines[0].0[..size_of::<Header>()]);
    (header.instrument, header.receive_ns) = (instrument, receive_ns);
    lines[0].0[..size_of::<Header>()].copy_from_slice(bytemuck::bytes_of(&header));
    let Some((RecordRef::Definition(definition, _), _)) = RecordRef::read(&lines) else {
        return batch.push(RecordRef::read(&lines).unwrap().0).unwrap();
    };
    let symbol = format!("SYMBOL-{}", seed[0]);
    let venue_symbol = format!("S{instrument}");
    let named =
        Instrument { id: instrument, symbol, ..Instrument::unknown("binance", "spot", &venue_symbol) };
    let json = serde_json::to_vec(&named).unwrap();
    let body = Body { start: 0, bytes: json.len() as u32 };
    batch.push(RecordRef::Definition(&Definition { body, ..*definition }, &json)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_selection_is_a_filter_over_everything(
        records in prop::collection::vec((0..Kind::ALL.len(), 1..6u32, 0..200i64, any::<[u8; 32]>()), 1..150),
        per_batch in 1..20usize,
        forms in prop::collection::vec(prop_oneof![Just(Form::Sealed), Just(Form::Compacted)], 1..4),
        times in (0..220i64, 0..220i64),
        sequences in (0..160u64, 0..160u64),
        instruments in prop::option::of(prop::collection::btree_set(1..6u32, 0..4)),
        kinds in prop::option::of(prop::collection::btree_set((0..Kind::ALL.len()).prop_map(|kind| Kind::ALL[kind]), 0..6)),
    ) {
        let directory = temporary();
        let mut appender = appender(directory.path());
        let per_segment = records.len().div_ceil(forms.len());
        for part in records.chunks(per_segment) {
            for part in part.chunks(per_batch) {
                let mut batch = BatchBuilder::new();
                for (index, (kind, instrument, ns, seed)) in part.iter().enumerate() {
                    push(&mut batch, Kind::ALL[*kind], *instrument, ns + index as i64, *seed);
                }
                appender.append(&mut batch).unwrap();
            }
            appender.rotate().unwrap();
        }
        // The last file is the one that is open; there may be fewer sealed ones than forms.
        let files = segments(directory.path());
        for (path, form) in files[..files.len() - 1].iter().zip(&forms) {
            if *form == Form::Compacted {
                compact(path, || true).unwrap().unwrap();
            }
        }
        let (all, whole) = read(directory.path(), &Selection::default());
        prop_assert_eq!(all.len(), records.len());
        let selection = Selection {
            from_ns: times.0.min(times.1),
            end_ns: times.0.max(times.1),
            from_sequence: sequences.0.min(sequences.1),
            end_sequence: sequences.0.max(sequences.1),
            instruments,
            kinds,
            checksums: true,
        };
        for selection in [
            Selection { from_sequence: 0, end_sequence: u64::MAX, ..selection.clone() },
            Selection { from_ns: i64::MIN, end_ns: i64::MAX, ..selection.clone() },
            selection,
        ] {
            let (found, report) = read(directory.path(), &selection);
            let expected: Vec<&Kept> = all.iter().filter(|kept| is_selected(&selection, kept)).collect();
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(&report.problems, &[]);
            prop_assert_eq!(report.records, found.len() as u64);
            prop_assert_eq!(report.bytes, whole.bytes);
            prop_assert!(report.bytes_read <= whole.bytes);
        }
    }
}

fn is_selected(selection: &Selection, (sequence, (head, _), _): &Kept) -> bool {
    let header: Header = bytemuck::pod_read_unaligned(&head[..size_of::<Header>()]);
    let kind = Kind::from_number(header.kind).unwrap();
    (selection.from_sequence..selection.end_sequence).contains(sequence)
        && (selection.from_ns..selection.end_ns).contains(&header.receive_ns)
        && selection.instruments.as_ref().is_none_or(|wanted| wanted.contains(&header.instrument))
        && selection.kinds.as_ref().is_none_or(|wanted| wanted.contains(&kind))
}

/// Four compacted segments; in each of them every instrument has trades and quotes in turn, one a millisecond.
fn wide_log(directory: &Path, instruments: u32, per_segment: u64) {
    let (mut appender, _) = Appender::open(directory, options()).unwrap();
    for instrument in 1..=instruments {
        let venue_symbol = format!("S{instrument}");
        appender.registry_mut().define(Instrument::unknown("binance", "spot", &venue_symbol));
    }
    for segment in 0..4 {
        let mut batch = BatchBuilder::new();
        for id in segment * per_segment..(segment + 1) * per_segment {
            let mut trade = trade(1 + (id % u64::from(instruments)) as u32, id);
            (trade.header.receive_ns, trade.quantity) = (id as i64 * 1_000_000, (id * id % 1009) as i64);
            batch.push(RecordRef::Trade(&trade)).unwrap();
            let mut quote: Quote = bytemuck::Zeroable::zeroed();
            quote.header = Header { kind: Kind::Quote as u8, ..trade.header };
            batch.push(RecordRef::Quote(&quote)).unwrap();
            if batch.records() > 1000 {
                appender.append(&mut batch).unwrap();
            }
        }
        appender.append(&mut batch).unwrap();
        appender.rotate().unwrap();
    }
    drop(appender);
    for path in &segments(directory)[..4] {
        compact(path, || true).unwrap().unwrap();
    }
}

#[test]
fn one_of_many_instruments_is_read_with_few_bytes() {
    let directory = temporary();
    wide_log(directory.path(), 100, 40_000);
    let all = read(directory.path(), &Selection::default()).1;
    assert_eq!(all.records, 320_000);
    assert!(all.bytes_read <= all.bytes && all.bytes_read * 10 > all.bytes * 9);
    let one = Selection { instruments: Some([7].into()), ..Selection::default() };
    let (found, report) = read(directory.path(), &one);
    assert_eq!(found.len(), 3200);
    assert!(report.bytes_read * 10 < report.bytes, "{} of {}", report.bytes_read, report.bytes);
    // A segment's span of it: the others are not opened further than their index.
    let (from_ns, end_ns) = (45_000 * 1_000_000, 50_000 * 1_000_000);
    let (found, hour) = read(directory.path(), &Selection { from_ns, end_ns, ..one.clone() });
    assert_eq!(found.len(), 100);
    assert!(hour.bytes_read * 2 < report.bytes_read, "{} of {}", hour.bytes_read, report.bytes_read);
    let kinds = Some([Kind::Greeks].into());
    let (found, none) = read(directory.path(), &Selection { kinds, ..Selection::default() });
    assert_eq!(found, []);
    assert!(none.bytes_read * 50 < none.bytes, "{} of {}", none.bytes_read, none.bytes);
}

#[test]
fn what_is_not_read_may_be_damaged() {
    let directory = temporary();
    wide_log(directory.path(), 100, 40_000);
    let one = Selection { instruments: Some([7].into()), ..Selection::default() };
    let (good, _) = read(directory.path(), &one);
    let path = &segments(directory.path())[1];
    let last_frame = Segment::map(path).unwrap().footer().unwrap().unwrap().offset as usize - 200;
    let mut bytes = std::fs::read(path).unwrap();
    bytes[last_frame] ^= 1;
    std::fs::write(path, bytes).unwrap();
    assert_eq!(read(directory.path(), &one), (good, read(directory.path(), &one).1));
    assert_eq!(read(directory.path(), &one).1.problems, []);
    let (found, report) = read(directory.path(), &Selection::default());
    assert_eq!(report.problems.len(), 1);
    let lost = 320_000 - found.len();
    let what = &report.problems[0].what;
    assert!(what.starts_with(&format!("{lost} records of instrument")), "{what}");
    assert!(what.ends_with("their cluster is damaged: wrong checksum"), "{what}");
    assert!(!verify(directory.path()).unwrap().ok);
}

#[test]
fn instruments_are_found_by_every_name_they_had() {
    let directory = temporary();
    let mut appender = appender(directory.path());
    let named = |symbol: &str| Instrument {
        symbol: symbol.into(),
        ..Instrument::unknown("binance", "spot", "BTCUSDT")
    };
    for (id, symbol) in [(1, "OLD"), (2, "NEW")] {
        let (instrument, _) = appender.registry_mut().define(named(symbol));
        let defined = appender.registry_mut().get(instrument).unwrap().clone();
        let json = serde_json::to_vec(&defined).unwrap();
        let mut definition: Definition = bytemuck::Zeroable::zeroed();
        definition.header = Header::new(Kind::Instrument, instrument, 900);
        definition.body.bytes = json.len() as u32;
        let mut batch = trades(id * 10, id * 10 + 5);
        batch.push(RecordRef::Definition(&definition, &json)).unwrap();
        appender.append(&mut batch).unwrap();
        appender.rotate().unwrap();
    }
    compact(&segments(directory.path())[0], || true).unwrap().unwrap();
    let reader = LogReader::open(directory.path()).unwrap();
    let ids = |symbol: &str| {
        reader.instruments(&Selection::default(), |instrument| instrument.symbol == symbol).unwrap()
    };
    assert_eq!((ids("OLD"), ids("NEW"), ids("OTHER")), ([1].into(), [1].into(), BTreeSet::new()));
    assert_eq!(reader.registry().unwrap().get(1).unwrap().symbol, "NEW");
    assert_eq!(reader.receive_times().unwrap(), Some((900, 1024)));
}

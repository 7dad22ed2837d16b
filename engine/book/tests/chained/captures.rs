//! Every recorded stream against a book of texts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use marketprism_book::{DeltaStep, StreamSnapshotStep, SyncedBook};
use marketprism_core::venue::Continuity;

use crate::model::{Model, texts};
use crate::support;
use crate::wire::{self, Message};

/// A book with its model.
struct Pair {
    synced: SyncedBook,
    model: Model,
    checksums: u64,
}

impl Pair {
    fn new() -> Pair {
        Pair { synced: SyncedBook::new(Continuity::Chained), model: Model::default(), checksums: 0 }
    }

    fn take(&mut self, message: &Message) {
        let was_valid = self.synced.is_valid();
        if message.is_snapshot() {
            let step = self.synced.on_stream_snapshot(&message.book, &message.levels);
            let expected = if was_valid { StreamSnapshotStep::Replaced } else { StreamSnapshotStep::Valid };
            assert_eq!(step, expected);
            self.model.load(&message.bids, &message.asks);
        } else {
            let step = self.synced.on_delta(&message.book, &message.levels);
            assert_eq!(step, DeltaStep::Applied, "{:?}", message.book);
            self.model.apply(&message.bids, &message.asks);
        }
        let given = message.book.checksum().filter(|checksum| *checksum != 0);
        if let Some(given) = given {
            assert_eq!(self.model.checksum(), given, "the model agrees with the venue");
            self.checksums += 1;
        }
        assert_eq!(self.synced.verified_checksums(), self.checksums);
        assert_eq!(self.synced.last_id(), Some(message.book.header.sequence));
        assert!(!self.synced.is_crossed());
        self.compare();
    }

    fn compare(&self) {
        let book = self.synced.book();
        let exponents = (book.price_exponent(), book.quantity_exponent());
        assert_eq!([texts(book.bids(), exponents), texts(book.asks(), exponents)], self.model.sides());
        assert_eq!(self.synced.missing_removals(), self.model.missing_removals);
    }
}

/// Recorded book streams of a venue, whatever the channel is called; a packed one by its unpacked name.
fn streams(venue: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.exists())
            .collect()
    };
    let folders = entries(venue).into_iter().filter(|path| path.is_dir());
    let recordings = folders.flat_map(|market| entries(&market)).filter(|path| path.is_dir());
    let mut found: Vec<PathBuf> = recordings
        .flat_map(|recording| entries(&recording))
        .map(
            |path| {
                if path.extension().is_some_and(|it| it == "zst") { path.with_extension("") } else { path }
            },
        )
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("book") && name.ends_with(".raw.jsonl")
        })
        .collect();
    found.sort();
    found
}

/// What was replayed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Total {
    messages: usize,
    checksums: u64,
    missing_removals: u64,
}

fn replay(venue: &str, parse: fn(&str) -> Message) -> Total {
    let mut total = Total::default();
    let Some(root) = support::folder() else { return total };
    for path in streams(&root.join(venue)) {
        let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
        for line in support::text(&path).unwrap().lines() {
            let message = parse(line);
            pairs.entry(message.instrument.clone()).or_insert_with(Pair::new).take(&message);
            total.messages += 1;
        }
        let bytes = pairs.values().map(|pair| pair.synced.book().memory_bytes());
        let levels = pairs.values().map(|pair| pair.synced.book().bid_len() + pair.synced.book().ask_len());
        let sizes: Vec<(usize, usize)> = levels.zip(bytes).collect();
        eprintln!("{}: levels and bytes {sizes:?}", path.display());
        total.checksums += pairs.values().map(|pair| pair.checksums).sum::<u64>();
        total.missing_removals += pairs.values().map(|pair| pair.model.missing_removals).sum::<u64>();
    }
    eprintln!("{venue}: {total:?}");
    total
}

#[test]
fn every_recorded_okx_book_is_exact_and_every_checksum_is_verified() {
    let total = replay("okx", wire::okx);
    if total.messages > 0 {
        assert!(total.messages > 8_000 && total.checksums > 8_000, "{total:?}");
    }
}

#[test]
fn every_recorded_deribit_book_is_exact() {
    let total = replay("deribit", wire::deribit);
    assert!(total.messages == 0 || total.messages > 250, "{total:?}");
}

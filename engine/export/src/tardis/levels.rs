//! Rows of books.

use marketprism_core::record::{Book, Level};

use super::csv::{CsvFile, decimal};
use crate::book::{TrackedBook, sides};
use crate::run::Entry;

/// The first `N` levels of both sides, with the book's exponents.
pub(super) type Top = (Vec<Level>, Vec<Level>, (i8, i8));

fn level_row(
    file: &mut CsvFile,
    entry: &Entry<'_>,
    prefix: &[u8],
    (is_snapshot, side): (bool, &str),
    level: Level,
    exponents: (i8, i8),
) {
    file.row(entry.sequence, prefix, |text| {
        text.extend_from_slice(if is_snapshot { b",true," } else { b",false," });
        text.extend_from_slice(side.as_bytes());
        decimal(text, level.price, exponents.0);
        // A removed level reads 0, however many decimals the venue gave it.
        decimal(text, level.quantity, if level.quantity == 0 { 0 } else { exponents.1 });
    });
}

/// The levels of a delta, which are not none.
pub(super) fn delta_rows(
    file: &mut CsvFile,
    entry: &Entry<'_>,
    prefix: &[u8],
    record: &Book,
    levels: &[Level],
) {
    let exponents = (record.header.price_exponent, record.header.quantity_exponent);
    let (bids, asks) = sides(record, levels);
    let mut level = |side, level: &Level| level_row(file, entry, prefix, (false, side), *level, exponents);
    bids.iter().for_each(|bid| level("bid", bid));
    asks.iter().for_each(|ask| level("ask", ask));
    file.ends_in_snapshot = false;
}

/// All levels of a book.
pub(super) fn snapshot_rows(file: &mut CsvFile, entry: &Entry<'_>, prefix: &[u8], book: &TrackedBook) {
    let book = book.book();
    let exponents = (book.price_exponent(), book.quantity_exponent());
    // Two snapshots in a row would read as one: the removal of a level that comes at once parts them.
    let best_bid = book.best_bid().map(|level| ("bid", level));
    let best = best_bid.or_else(|| book.best_ask().map(|level| ("ask", level)));
    if let (true, Some((side, level))) = (file.ends_in_snapshot, best) {
        level_row(file, entry, prefix, (false, side), Level { quantity: 0, ..level }, exponents);
    }
    let bids = book.bids().map(|level| ("bid", level));
    for (side, level) in bids.chain(book.asks().map(|level| ("ask", level))) {
        level_row(file, entry, prefix, (true, side), level, exponents);
        file.ends_in_snapshot = true;
    }
}

/// The first levels of both sides, asks first.
pub(super) fn top_cells(text: &mut Vec<u8>, (bids, asks, exponents): &Top, count: usize) {
    for place in 0..count {
        for side in [asks, bids] {
            match side.get(place) {
                Some(level) => {
                    decimal(text, level.price, exponents.0);
                    decimal(text, level.quantity, exponents.1);
                }
                None => text.extend_from_slice(b",,"),
            }
        }
    }
}

//! Compares what simulated venues say they sent with what the log holds.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use marketprism_book::SyncedBook;
use marketprism_core::Decimal;
use marketprism_core::record::{Book, Kind, Level, RecordRef, flag};
use marketprism_core::venue::{Continuity, Venue};
use marketprism_log::{LogReader, Selection};

use crate::local::{Amount, Sent};

/// Venue, market or nothing, venue symbol or nothing, kind.
type StreamKey = (String, String, String, Kind);
/// Venue, market, venue symbol.
type BookKey = (String, String, String);

/// The result of the comparison.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(crate) struct Reconciliation {
    /// Records that the messages sent amount to.
    pub(crate) sent: u64,
    /// Of these, records stored.
    pub(crate) stored: u64,
    /// Sent and not stored.
    pub(crate) lost: u64,
    /// Stored more often than sent.
    pub(crate) duplicated: u64,
    /// Books rebuilt from the log that equal the venue's own at the same update id.
    pub(crate) books_equal: u64,
    /// Books rebuilt from the log that differ.
    pub(crate) books_different: u64,
}

/// What is stored of the streams that venues speak of.
#[derive(Default)]
struct Stored {
    records: BTreeMap<StreamKey, u64>,
    /// Ids covered by trades.
    ids: BTreeMap<StreamKey, u64>,
    books: BTreeMap<BookKey, SyncedBook>,
}

/// Counts what was stored from `first_sequence` on against what was sent, stream by stream, and rebuilds every
/// book from the log alone, to compare it with the venue's own in `truth`.
pub(crate) fn reconcile(
    data_dir: &Path,
    first_sequence: u64,
    sent: &Sent,
    truth: &BTreeMap<BookKey, marketprism_simulator::Book>,
    venues: &[Arc<dyn Venue>],
) -> Result<Reconciliation, String> {
    let mut stored = Stored::default();
    let reader = LogReader::open(data_dir).map_err(|error| error.to_string())?;
    let selection = Selection { from_sequence: first_sequence, ..Selection::default() };
    let read = reader.for_each(&selection, |_, record, registry| {
        if let Some(instrument) = registry.get(record.header().instrument) {
            stored.take(record, instrument, venues);
        }
        ControlFlow::Continue(())
    });
    read.map_err(|error| error.to_string())?;

    let mut result = Reconciliation::default();
    for stream in &sent.streams {
        let key = (stream.venue.to_owned(), stream.market.clone(), stream.symbol.clone(), stream.kind);
        let records = stored.records.get(&key).copied().unwrap_or(0);
        let (expected, found) = match stream.amount {
            Amount::Records(count) => (count, records),
            Amount::AtLeast(count) => (count, records.min(count)),
            Amount::Ids(first, last) => {
                ((last - first).saturating_add(1), stored.ids.get(&key).copied().unwrap_or(0))
            }
        };
        result.sent += expected;
        result.stored += found.min(expected);
        result.lost += expected.saturating_sub(found);
        result.duplicated += found.saturating_sub(expected);
    }
    for (key, truth) in truth {
        let Some(synced) = stored.books.get(key) else { continue };
        match equals(synced, truth) {
            Some(true) => result.books_equal += 1,
            Some(false) => result.books_different += 1,
            None => {}
        }
    }
    Ok(result)
}

impl Stored {
    fn take(
        &mut self,
        record: RecordRef<'_>,
        instrument: &marketprism_core::Instrument,
        venues: &[Arc<dyn Venue>],
    ) {
        let header = record.header();
        let Some(kind) = record.kind() else { return };
        if header.flags & flag::DERIVED != 0 {
            return;
        }
        let mut kind = kind.stream();
        if let RecordRef::Book(book, levels) = record
            && header.flags & flag::PARTIAL == 0
        {
            let venue = venues.iter().find(|venue| venue.name() == instrument.venue);
            let market = venue.and_then(|venue| venue.market(&instrument.market));
            let continuity = market.map_or(Continuity::Linked, |market| market.continuity);
            let key = (instrument.venue.clone(), instrument.market.clone(), instrument.venue_symbol.clone());
            let synced = self.books.entry(key).or_insert_with(|| SyncedBook::new(continuity));
            rebuild(synced, book, levels);
            // The snapshot is a message of the stream like any other, where it comes on the stream.
            kind = Kind::BookDelta;
        }
        if header.flags & flag::REST != 0 {
            return;
        }
        let (market, symbol) = match (instrument.venue.as_str(), kind) {
            ("binance", _) => (instrument.market.clone(), instrument.venue_symbol.clone()),
            ("okx", Kind::Liquidation | Kind::Greeks) => (instrument.market.clone(), String::new()),
            _ => (String::new(), instrument.venue_symbol.clone()),
        };
        let key = (instrument.venue.clone(), market, symbol, kind);
        if let Some(trade) = record.trade() {
            let covered = (trade.header.sequence - trade.first_id()).saturating_add(1);
            *self.ids.entry(key.clone()).or_default() += covered;
        }
        *self.records.entry(key).or_default() += 1;
    }
}

fn rebuild(synced: &mut SyncedBook, book: &Book, levels: &[Level]) {
    let is_snapshot = book.header.kind == Kind::BookSnapshot as u8;
    match (is_snapshot, synced.continuity()) {
        (true, Continuity::Chained) => {
            synced.on_stream_snapshot(book, levels);
        }
        (true, _) => {
            synced.on_snapshot(book, levels, &mut |_| ());
        }
        (false, _) => {
            synced.on_delta(book, levels);
        }
    }
}

/// Whether a book equals the venue's, level by level and digit by digit; `None` where they are not at the same
/// update id, or the book is not valid.
fn equals(synced: &SyncedBook, truth: &marketprism_simulator::Book) -> Option<bool> {
    if synced.last_id()? != truth.last_update_id {
        return None;
    }
    let book = synced.book();
    let exponents = (book.price_exponent(), book.quantity_exponent());
    // A REST snapshot reaches 1,000 levels deep; what lies deeper is known only where it changed since.
    let same = |levels: &mut dyn Iterator<Item = Level>, truth: &[(String, String)]| {
        levels.take(1000).zip(truth).all(|(level, (price, quantity))| {
            is(level.price, exponents.0, price) && is(level.quantity, exponents.1, quantity)
        })
    };
    Some(same(&mut book.bids(), &truth.bids) && same(&mut book.asks(), &truth.asks))
}

/// Whether a number is the one that the venue wrote.
fn is(mantissa: i64, exponent: i8, text: &str) -> bool {
    Decimal::parse(text.as_bytes())
        .is_ok_and(|sent| sent.compare(Decimal::new(mantissa, exponent)) == std::cmp::Ordering::Equal)
}

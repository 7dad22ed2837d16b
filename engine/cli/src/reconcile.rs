//! Compares what a simulator says it sent with what the log holds.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use marketprism_book::SyncedBook;
use marketprism_core::Decimal;
use marketprism_core::record::{Kind, Level, RecordRef, flag};
use marketprism_core::venue::{Continuity, Venue};
use marketprism_log::{LogReader, Selection};
use marketprism_simulator::{Ledger, Simulator};

use crate::local::channel_of;

/// Market, venue symbol, kind.
type StreamKey = (String, String, Kind);

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

/// Counts what was stored from `first_sequence` on against the ledger, stream by stream, and rebuilds every
/// book from the log alone.
pub(crate) fn reconcile(
    data_dir: &Path,
    first_sequence: u64,
    simulator: &Simulator,
    ledger: &Ledger,
    venue: &dyn Venue,
) -> Result<Reconciliation, String> {
    let mut stored: BTreeMap<StreamKey, u64> = BTreeMap::new();
    let mut books: BTreeMap<(String, String), SyncedBook> = BTreeMap::new();
    let reader = LogReader::open(data_dir).map_err(|error| error.to_string())?;
    let selection = Selection { from_sequence: first_sequence, ..Selection::default() };
    let read = reader.for_each(&selection, |_, record, registry| {
        let header = record.header();
        let (Some(kind), Some(instrument)) = (record.kind(), registry.get(header.instrument)) else {
            return ControlFlow::Continue(());
        };
        if let RecordRef::Book(book, levels) = record {
            let continuity = venue.market(&instrument.market).map_or(Continuity::Linked, |m| m.continuity);
            let key = (instrument.market.clone(), instrument.venue_symbol.clone());
            let synced = books.entry(key).or_insert_with(|| SyncedBook::new(continuity));
            if kind == Kind::BookSnapshot {
                synced.on_snapshot(book, levels, &mut |_| ());
            } else {
                synced.on_delta(book, levels);
            }
        }
        if header.flags & flag::REST == 0 {
            *stored.entry((instrument.market.clone(), instrument.venue_symbol.clone(), kind)).or_default() +=
                1;
        }
        ControlFlow::Continue(())
    });
    read.map_err(|error| error.to_string())?;

    let mut result = Reconciliation::default();
    for (key, sent) in sent(ledger) {
        let stored = stored.get(&key).copied().unwrap_or(0);
        result.sent += sent;
        result.stored += stored.min(sent);
        result.lost += sent.saturating_sub(stored);
        result.duplicated += stored.saturating_sub(sent);
    }
    for ((market, symbol), synced) in &books {
        let market = market.parse().map_err(|error: String| error)?;
        let Some(truth) = simulator.final_book(market, symbol) else { continue };
        match equals(synced, &truth) {
            Some(true) => result.books_equal += 1,
            Some(false) => result.books_different += 1,
            None => {}
        }
    }
    Ok(result)
}

/// Records by stream that the frames in the ledger amount to.
fn sent(ledger: &Ledger) -> BTreeMap<StreamKey, u64> {
    let mut sent = BTreeMap::new();
    for stream in &ledger.streams {
        let Some((symbol, channel)) = channel_of(&stream.stream) else { continue };
        let kind = match channel.split('@').next().unwrap_or_default() {
            "trade" => Kind::Trade,
            "agg_trade" => Kind::AggTrade,
            "quote" => Kind::Quote,
            "ticker" => Kind::Ticker,
            "mark_price" => Kind::MarkPrice,
            "liquidation" => Kind::Liquidation,
            "book" => Kind::BookDelta,
            "candle" => Kind::Candle,
            _ => continue,
        };
        *sent.entry((stream.market.name().to_owned(), symbol, kind)).or_default() += stream.deliveries;
    }
    sent
}

/// Whether a book equals the venue's, level by level and digit by digit; `None` where they are not at the same
/// update id, or the book is not valid.
fn equals(synced: &SyncedBook, truth: &marketprism_simulator::Book) -> Option<bool> {
    if synced.last_id()? != truth.last_update_id {
        return None;
    }
    let book = synced.book();
    let exponents = (book.price_exponent(), book.quantity_exponent());
    // A snapshot reaches 1,000 levels deep; what lies deeper is known only where it changed since.
    let same = |levels: &mut dyn Iterator<Item = Level>, truth: &[(String, String)]| {
        levels.take(1000).zip(truth).all(|(level, (price, quantity))| {
            Decimal::new(level.price, exponents.0).to_string() == *price
                && Decimal::new(level.quantity, exponents.1).to_string() == *quantity
        })
    };
    Some(same(&mut book.bids(), &truth.bids) && same(&mut book.asks(), &truth.asks))
}

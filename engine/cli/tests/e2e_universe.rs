//! All instruments of a market but some, while instruments come and go: what is new is recorded, what is gone ends, and
//! nobody else notices.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use std::collections::BTreeSet;

use common_e2e::books::of_instrument;
use common_e2e::chained::{Chained, Finished, Simulated, source};
use common_e2e::chained_books::{Reader, Truth, is_message, is_snapshot};
use common_e2e::chained_expected::{add, assert_same, rows, streamed};
use common_e2e::expected::Streams;
use common_e2e::{has_flag, of_kind, verify_ok, wait_until};
use marketprism_runtime::Source;
use marketprism_simulator::host::ListingChange;
use serde_json::Value;

/// Instruments of each market at the start.
const SYMBOLS: usize = 4;

/// A venue whose listings change.
struct Setting {
    venue: &'static str,
    /// The market that changes, and one that does not.
    markets: [&'static str; 2],
    /// What is left out of the first.
    excluded: &'static str,
}

impl Setting {
    fn sources(&self) -> Vec<Source> {
        let [changing, other] = self.markets;
        let exclude = vec![self.excluded.to_owned()];
        let changing = Source { exclude, ..source(changing, &["*"], &["book", "ticker"]) };
        vec![changing, source(other, &["*"], &["book"])]
    }

    fn is_excluded(&self, symbol: &str) -> bool {
        symbol.starts_with(self.excluded.trim_end_matches('*'))
    }

    /// Symbols of the changing market that are recorded.
    fn recorded(&self, chained: &Chained) -> Vec<String> {
        let symbols = chained.handle.symbols(self.markets[0]).into_iter();
        symbols.filter(|symbol| !self.is_excluded(symbol)).collect()
    }

    fn book_stream(&self, symbol: &str) -> String {
        if self.venue == "okx" { format!("books:{symbol}") } else { format!("book.{symbol}.100ms") }
    }

    /// Lists instruments until two are new that are not excluded; gives these.
    fn list_two(&self, chained: &Chained) -> Vec<String> {
        let list = || chained.handle.change_listing(ListingChange::List(self.markets[0])).expect("a new one");
        std::iter::repeat_with(list).filter(|name| !self.is_excluded(name)).take(2).collect()
    }
}

/// Names of the instruments of a market that the recorder records.
fn instruments(chained: &Chained, market: &str) -> BTreeSet<String> {
    let all = chained.recorder().instruments().into_values();
    all.filter(|one| one.market == market).map(|one| one.venue_symbol).collect()
}

/// Streams of all connections.
fn streams(chained: &Chained) -> usize {
    chained.recorder().status().connections.iter().map(|connection| connection.streams).sum()
}

/// Two instruments come and one goes while data flows.
fn follow(setting: &Setting) {
    let [market, _] = setting.markets;
    let mut chained = Chained::start(Simulated::generated(setting.venue, SYMBOLS), setting.sources());
    let before = setting.recorded(&chained);
    assert!(!before.is_empty() && before.len() < SYMBOLS, "some are excluded: {before:?}");
    chained.feed(before.len() + SYMBOLS);
    chained.wait_for_more(market, &setting.book_stream(&before[0]), 5);
    let streams_before = streams(&chained);

    let new = setting.list_two(&chained);
    let gone = before[1].clone();
    assert!(chained.handle.change_listing(ListingChange::Expire(market, gone.clone())).is_some());
    wait_until("the new list", || {
        let now = instruments(&chained, market);
        new.iter().all(|name| now.contains(name)) && !now.contains(&gone)
    });
    chained.wait_for_books(before.len() + 1 + SYMBOLS);
    new.iter().for_each(|name| chained.wait_for_more(market, &setting.book_stream(name), 5));
    assert_eq!(streams(&chained), streams_before + 2, "two streams each: four began, two ended");
    let finished = chained.finish();

    assert_undisturbed(setting, &finished, &chained);
    new.iter().for_each(|name| assert_defined_first(&finished.rows, market, name));
    assert_delisted(&finished.rows, market, &gone);
    let own = finished.rows.iter().filter(|row| row["market"] == market);
    let symbols: BTreeSet<&str> = own.filter_map(|row| row["venue_symbol"].as_str()).collect();
    assert!(symbols.iter().all(|symbol| !setting.is_excluded(symbol)), "{symbols:?}");
}

/// Everything sent is stored, no stream has a gap or was subscribed twice, and the books are the venue's.
fn assert_undisturbed(setting: &Setting, finished: &Finished, chained: &Chained) {
    let Finished { ledger, rows: stored, books } = finished;
    assert_eq!(ledger.violations, Vec::<String>::new());
    verify_ok(&chained.data);
    let mut sent = Streams::new();
    for (_, market, frame) in chained.sent() {
        rows(setting.venue, &market, &frame).into_iter().for_each(|row| add(&mut sent, row));
    }
    assert_same(&sent, &streamed(stored));
    assert!(of_kind(stored, "gap").is_empty(), "{:?}", of_kind(stored, "gap"));
    let twice = |name: &str| !name.starts_with("instrument");
    for stream in ledger.streams.iter().filter(|stream| twice(&stream.stream)) {
        assert_eq!(stream.connections, 1, "{} {}", stream.market, stream.stream);
    }
    for ((market, symbol, _), messages) in sent.iter().filter(|((_, _, kind), _)| kind == "book") {
        let own = || of_instrument(stored, market, symbol);
        let book = Reader::read(own(), &Truth::of_sent(messages.iter())).expect("a valid book");
        assert!(!own().any(|row| has_flag(row, "book_invalid")), "{market} {symbol}");
        assert_eq!(own().filter(|row| is_message(row) && is_snapshot(row)).count(), 1, "{market} {symbol}");
        if let Some(venue) = books.get(&(market.clone(), symbol.clone())) {
            assert_eq!(&book, venue, "{market} {symbol}");
        }
    }
    let ended = of_kind(stored, "session").into_iter().filter(|row| row["event"] == "disconnected");
    assert!(ended.into_iter().all(|row| row["detail"]["reason"] == "the recorder stops"));
}

/// Whether a row is data of an instrument, and not what the recorder says of it.
fn is_data(row: &Value) -> bool {
    row.get("definition").is_none() && row["kind"] != "session"
}

/// The definition of an instrument comes before its data.
fn assert_defined_first(rows: &[Value], market: &str, symbol: &str) {
    let own: Vec<&Value> = of_instrument(rows, market, symbol).collect();
    assert!(own.iter().any(|row| is_data(row)), "{market} {symbol}: no data");
    let definition = &own[0]["definition"];
    assert!(definition["tick"].is_string() && definition.get("delisted").is_none(), "{definition}");
}

/// The definition of an expired instrument says so, and nothing comes after it.
fn assert_delisted(rows: &[Value], market: &str, symbol: &str) {
    let own: Vec<&Value> =
        of_instrument(rows, market, symbol).filter(|row| row["kind"] != "session").collect();
    let last = own.last().unwrap();
    assert_eq!(last["definition"]["delisted"], true, "{market} {symbol}: {last}");
    assert!(own.iter().filter(|row| is_data(row)).count() > 1, "there was data before");
}

#[test]
fn swaps_of_okx_come_and_go() {
    follow(&Setting { venue: "okx", markets: ["swap", "spot"], excluded: "ETH-*" });
}

#[test]
fn options_of_okx_come_and_go() {
    follow(&Setting { venue: "okx", markets: ["option", "swap"], excluded: "ETH-*" });
}

#[test]
fn options_of_deribit_come_and_go() {
    follow(&Setting { venue: "deribit", markets: ["option", "perpetual"], excluded: "ETH-*" });
}

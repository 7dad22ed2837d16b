//! A venue of which all books are recorded while one thing goes wrong with one of them.

use marketprism_deribit::Credentials;
use marketprism_simulator::host::{Disturbance, Fault, Ledger};
use serde_json::Value;

use super::books::of_instrument;
use super::chained::{Chained, Finished, Simulated, source};
use super::chained_books::{Reader, Truth, gap_reasons, is_message, is_snapshot};
use super::chained_expected::{add, assert_same, rows, streamed};
use super::expected::Streams;
use super::{has_flag, of_kind, verify_ok, wait_until};

/// Instruments of each market.
pub const SYMBOLS: usize = 2;

/// A venue, and the book that things go wrong with.
#[derive(Clone)]
pub struct Setting {
    pub simulated: Simulated,
    pub markets: [&'static str; 3],
    pub market: &'static str,
    pub symbol: &'static str,
    /// What follows the symbol in the names of book streams.
    pub interval: &'static str,
}

impl Setting {
    pub fn okx() -> Setting {
        Setting {
            simulated: Simulated::generated("okx", SYMBOLS),
            markets: ["spot", "swap", "option"],
            market: "swap",
            symbol: "BTC-USDT-SWAP",
            interval: "",
        }
    }

    /// OKX as it was while its books had checksums.
    pub fn okx_with_checksums() -> Setting {
        let mut setting = Setting::okx();
        if let Simulated::Okx(config) = &mut setting.simulated {
            config.limits.legacy_checksums = true;
        }
        setting
    }

    pub fn deribit() -> Setting {
        Setting {
            simulated: Simulated::generated("deribit", SYMBOLS),
            markets: ["spot", "perpetual", "option"],
            market: "perpetual",
            symbol: "BTC-PERPETUAL",
            interval: ".100ms",
        }
    }

    /// Deribit for a client with this secret; the right one gets every change at once.
    pub fn deribit_with_secret(secret: &str, interval: &'static str) -> Setting {
        let mut setting = Setting { interval, ..Setting::deribit() };
        if let Simulated::Deribit(config, credentials) = &mut setting.simulated {
            config.limits.credentials = Some(("client".to_owned(), "right".to_owned()));
            *credentials = Some(Credentials::new("client", secret));
        }
        setting
    }

    pub fn deribit_raw() -> Setting {
        Setting::deribit_with_secret("right", ".raw")
    }

    pub fn books(&self) -> usize {
        self.markets.len() * SYMBOLS
    }

    /// The book stream of a symbol.
    pub fn stream_of(&self, symbol: &str) -> String {
        match &self.simulated {
            Simulated::Okx(_) => format!("books:{symbol}"),
            Simulated::Deribit(..) => format!("book.{symbol}{}", self.interval),
        }
    }

    pub fn stream(&self) -> String {
        self.stream_of(self.symbol)
    }

    /// Sets off a disturbance before the first subscription.
    pub fn with_fault(mut self, what: Disturbance) -> Setting {
        let fault = Fault { market: self.market.to_owned(), stream: self.stream(), after_messages: 0, what };
        match &mut self.simulated {
            Simulated::Okx(config) => config.faults.push(fault),
            Simulated::Deribit(config, _) => config.faults.push(fault),
        }
        self
    }

    /// Starts everything; all books of the markets are recorded.
    pub fn start(&self) -> Chained {
        let sources = self.markets.map(|market| source(market, &["*"], &["book"]));
        Chained::start(self.simulated.clone(), sources.to_vec())
    }

    /// Waits until the book was subscribed so often and data went on.
    pub fn settle(&self, chained: &Chained, subscriptions: u64) {
        let stream = self.stream();
        wait_until("subscriptions", || chained.stream(self.market, &stream).connections >= subscriptions);
        chained.wait_for_more(self.market, &stream, 10);
        chained.wait_for_books(self.books());
    }

    /// Stops everything. What is stored must be what was sent, each record that is not flagged right, and each book
    /// in the end the venue's.
    pub fn finish(self, mut chained: Chained) -> Outcome {
        let Finished { ledger, rows, books } = chained.finish();
        assert_eq!(ledger.violations, Vec::<String>::new());
        verify_ok(&chained.data);
        let sent = sent(&chained);
        assert_same(&sent, &streamed(&rows));
        for ((market, symbol, kind), messages) in &sent {
            assert_eq!(kind, "book");
            let truth = Truth::of_sent(messages.iter());
            let book = Reader::read(of_instrument(&rows, market, symbol), &truth);
            assert_eq!(book.as_ref(), books.get(&(market.clone(), symbol.clone())), "{market} {symbol}");
        }
        assert_eq!(sent.len(), self.books());
        Outcome { setting: self, ledger, rows, chained }
    }
}

/// What was sent, copies left out.
fn sent(chained: &Chained) -> Streams {
    let mut frames = chained.sent();
    frames.dedup();
    let mut streams = Streams::new();
    for (_, market, text) in frames {
        rows(chained.venue, &market, &text).into_iter().for_each(|row| add(&mut streams, row));
    }
    streams
}

/// What is left of a run.
pub struct Outcome {
    pub setting: Setting,
    pub ledger: Ledger,
    pub rows: Vec<Value>,
    pub chained: Chained,
}

impl Outcome {
    /// Markets and symbols of all books.
    pub fn instruments(&self) -> Vec<(&'static str, String)> {
        let symbols = |market: &'static str| {
            let symbols = self.chained.handle.symbols(market).into_iter();
            symbols.map(move |symbol| (market, symbol))
        };
        self.setting.markets.into_iter().flat_map(symbols).collect()
    }

    pub fn book(&self, market: &str, symbol: &str) -> Vec<&Value> {
        of_instrument(&self.rows, market, symbol).collect()
    }

    pub fn victim(&self) -> Vec<&Value> {
        self.book(self.setting.market, self.setting.symbol)
    }

    pub fn subscriptions(&self, market: &str, symbol: &str) -> u64 {
        self.ledger.stream(market, &self.setting.stream_of(symbol)).unwrap().connections
    }

    /// Nothing at all happened to a book.
    pub fn assert_undisturbed(&self, market: &str, symbol: &str) {
        let book = self.book(market, symbol);
        let count = |is: fn(&Value) -> bool| book.iter().filter(|row| is(row)).count();
        assert_eq!(count(|row| row["kind"] == "gap"), 0, "{market} {symbol} has a gap");
        assert_eq!(count(|row| has_flag(row, "book_invalid")), 0, "{market} {symbol} was invalid");
        assert_eq!(count(|row| is_snapshot(row) && is_message(row)), 1, "{market} {symbol}: snapshots");
        assert_eq!(self.subscriptions(market, symbol), 1, "{market} {symbol}: subscriptions");
    }

    pub fn assert_neighbours_undisturbed(&self) {
        for (market, symbol) in self.instruments() {
            if (market, symbol.as_str()) != (self.setting.market, self.setting.symbol) {
                self.assert_undisturbed(market, &symbol);
            }
        }
    }

    /// After a gap nothing is called valid before a snapshot.
    pub fn assert_invalid_after_gap(&self) {
        let book = self.victim();
        let gap = book.iter().position(|row| row["kind"] == "gap").expect("a gap");
        let after = book[gap..].iter().filter(|row| is_message(row));
        let before_snapshot: Vec<_> =
            after.take_while(|row| !is_snapshot(row) || has_flag(row, "book_invalid")).collect();
        assert!(before_snapshot.iter().all(|row| has_flag(row, "book_invalid")), "{before_snapshot:?}");
    }

    pub fn sessions(&self, market: &str, event: &str) -> Vec<String> {
        let rows = of_kind(&self.rows, "session").into_iter();
        let rows = rows.filter(|row| row["market"] == market && row["event"] == event);
        rows.map(|row| row["detail"]["reason"].to_string()).collect()
    }
}

/// Does one thing wrong while data flows. So many new subscriptions must follow, and these gaps beside that of the
/// new subscription.
pub fn disturb(setting: Setting, what: Disturbance, again: u64, gaps: &[&str]) -> Outcome {
    let chained = setting.start();
    chained.feed(setting.books());
    chained.wait_for_more(setting.market, &setting.stream(), 6);
    assert!(chained.handle.disturb(setting.market, &setting.stream(), what));
    setting.settle(&chained, 1 + again);
    check(setting, chained, what, again, gaps)
}

/// Does one thing wrong with the first subscription.
pub fn disturb_start(setting: Setting, what: Disturbance, again: u64, gaps: &[&str]) -> Outcome {
    let setting = setting.with_fault(what);
    let chained = setting.start();
    chained.feed(setting.books());
    setting.settle(&chained, 1 + again);
    check(setting, chained, what, again, gaps)
}

fn check(setting: Setting, chained: Chained, what: Disturbance, again: u64, gaps: &[&str]) -> Outcome {
    let outcome = setting.finish(chained);
    assert_eq!(outcome.ledger.injected(what.name()), 1);
    outcome.assert_neighbours_undisturbed();
    let mut reasons = gap_reasons(&outcome.victim());
    reasons.retain(|reason| reason != "resynchronised");
    assert_eq!(reasons, gaps);
    let resynchronised = outcome.victim().iter().filter(|row| row["reason"] == "resynchronised").count();
    assert!(resynchronised as u64 <= again, "{resynchronised} gaps of new subscriptions");
    assert_eq!(outcome.subscriptions(outcome.setting.market, outcome.setting.symbol), 1 + again);
    if again > 0 && !gaps.is_empty() {
        outcome.assert_invalid_after_gap();
    }
    for (market, _) in outcome.instruments() {
        let ended = outcome.sessions(market, "disconnected");
        assert_eq!(ended, ["\"the recorder stops\""], "{market}: the connection stayed");
    }
    outcome
}

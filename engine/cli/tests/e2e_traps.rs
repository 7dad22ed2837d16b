//! The traps that other recorders fell into (`reference/peers.md`), each as a test of this one.
//!
//! Elsewhere: trap 2, one gap resets all books, and trap 4, continuity checked only while synchronising, in
//! `e2e_faults`; trap 7, a restart overwrites, in `e2e_crash`; an acknowledgement that never comes in the
//! session's own tests.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use std::net::TcpListener;

use common_e2e::books::of_instrument;
use common_e2e::ledgers::{assert_all_stored, assert_final_books};
use common_e2e::{
    Local, PATIENCE, QUIET, expected, folder, generated, has_flag, id, of_kind, sources, stored, venues,
    verify_ok, wait_until,
};
use marketprism_runtime::{BookSettings, LogSettings, Recorder, Settings, Threads};
use marketprism_simulator::{Config, Market, Simulator};
use serde_json::Value;

const CHANNELS: [&str; 4] = ["trade", "agg_trade", "book@100ms", "quote"];

/// Trap 1: cryptofeed awaits REST in the read loop, so that a slow snapshot stops all trades. Here the REST
/// server takes requests and never answers.
#[test]
fn trap_1_rest_that_never_answers_does_not_stop_the_trades() {
    let folder = folder();
    let data = folder.path().join("data");
    let simulator = Simulator::start(generated(1, 2, 3000)).unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let mut sources = sources(&simulator, &Market::ALL, &CHANNELS);
    sources.iter_mut().filter(|source| source.market == "spot").for_each(|source| {
        source.rest = vec![silent.clone()];
    });
    let settings = Settings {
        data_dir: data.clone(),
        sources,
        certificate_files: vec![],
        threads: Threads::default(),
        log: LogSettings::default(),
        books: BookSettings::default(),
    };
    let recorder = Recorder::start(settings, &venues()).unwrap();
    simulator.start_feed();
    wait_until("books of the other markets", || recorder.status().normalisers.books.0 == 4);
    wait_until("messages", || simulator.ledger().messages() > 6000);
    let ledger = simulator.pause();
    assert!(recorder.wait_until_quiet(QUIET, PATIENCE));
    assert_eq!(recorder.status().normalisers.books, (4, 6), "books without a snapshot are not valid");
    recorder.stop();
    let rows = stored(&data);
    let totals = assert_all_stored(&ledger, &rows);
    assert!(totals[&("spot".to_owned(), "trade".to_owned())] > 100, "{totals:?}");
    // Nor were the deltas held back for ever; they say that the book is not known.
    let deltas = of_kind(&rows, "book_delta").into_iter().filter(|row| row["market"] == "spot");
    assert!(deltas.clone().count() > 10);
    assert!(deltas.into_iter().all(|row| has_flag(row, "book_invalid")));
    verify_ok(&data);
}

/// Trap 3: barter hands out buffered deltas before the snapshot that is older than them. Here the snapshot comes
/// first, and a reader that starts with it gets the venue's book.
#[test]
fn trap_3_a_snapshot_is_recorded_before_the_deltas_that_were_buffered_for_it() {
    let mut local = Local::start(generated(3, 4, 4000), &CHANNELS, Threads::default());
    local.feed();
    local.wait_for_books(12);
    local.wait_for_messages(8000);
    let ledger = local.finish();
    let rows = local.stored();
    let mut buffered = 0;
    for market in Market::ALL {
        for symbol in local.simulator.symbols(market) {
            let own: Vec<&Value> = of_instrument(&rows, market.name(), &symbol)
                .filter(|row| row["kind"] == "book_snapshot" || row["kind"] == "book_delta")
                .collect();
            let first = own.iter().position(|row| row["kind"] == "book_snapshot").expect("a snapshot");
            let last_id = id(&own[first]["last_id"]);
            for delta in &own[..first] {
                assert!(has_flag(delta, "book_invalid"), "before the snapshot nothing is known: {delta}");
                assert!(
                    id(&delta["last_id"]) <= last_id,
                    "a delta the snapshot does not hold came before it"
                );
            }
            let next = own[first..].iter().find(|row| row["kind"] == "book_delta").expect("deltas");
            let linked = next.get("previous_id").is_some_and(|previous| id(previous) == last_id);
            assert!(
                linked || id(&next["first_id"]) <= last_id + 1,
                "the first delta joins the snapshot: {next}"
            );
            let received = |row: &Value| row["receive_ns"].as_i64().unwrap();
            buffered += usize::from(received(next) < received(own[first]));
        }
    }
    assert!(buffered > 0, "none was received before its snapshot and recorded after it");
    assert_eq!(assert_final_books(&local.simulator, &ledger, &rows), 12);
}

/// Trap 4 again, from the other side: a run without a fault reports no hole however long its streams are.
/// Futures ids are shared by all symbols, so that a check of `U == u + 1` would cry at every event.
#[test]
fn trap_4_shared_ids_of_futures_are_no_holes() {
    let mut local = Local::start(generated(4, 3, 4000), &CHANNELS, Threads::default());
    local.feed();
    local.wait_for_books(9);
    local.wait_for_messages(12_000);
    local.finish();
    let rows = local.stored();
    let jumps = of_kind(&rows, "book_delta").into_iter().filter(|row| {
        row.get("previous_id").is_some_and(|previous| id(&row["first_id"]) != id(previous) + 1)
    });
    assert!(jumps.count() > 100, "the ids do jump");
    assert_eq!(of_kind(&rows, "gap").len(), 0);
    verify_ok(&local.data);
}

/// Trap 11: other recorders stamp after a queue or after parsing. Here every record of a burst has been stamped
/// when its bytes were read: never before the venue made it, and in order on each connection.
#[test]
fn trap_11_receive_times_are_stamped_at_the_read_and_never_go_back() {
    let mut local = Local::start(generated(5, 2, 20_000), &CHANNELS, Threads::default());
    local.feed();
    local.wait_for_messages(20_000);
    local.finish();
    let rows = local.stored();
    for market in Market::ALL {
        let of_market = |kind: &str| -> Vec<i64> {
            let rows = of_kind(&rows, kind).into_iter().filter(|row| row["market"] == market.name());
            rows.map(|row| row["receive_ns"].as_i64().unwrap()).collect()
        };
        for kind in ["trade", "quote"] {
            let times = of_market(kind);
            assert!(times.len() > 500, "{market} {kind}: {}", times.len());
            assert!(times.is_sorted(), "{market} {kind}: a receive time goes back");
        }
    }
    let early = of_kind(&rows, "trade")
        .into_iter()
        .find(|row| row["receive_ns"].as_i64().unwrap() < row["exchange_ns"].as_i64().unwrap());
    assert_eq!(early, None, "received before it happened");
}

/// Trap 14: everybody takes the acknowledgement of a subscription for health. Here nothing but data is data.
#[test]
fn trap_14_an_acknowledgement_is_not_data() {
    let mut local = Local::start(Config { ..generated(6, 2, 1000) }, &CHANNELS, Threads::default());
    wait_until("all subscriptions", || {
        local.recorder().status().connections.iter().all(|connection| connection.is_subscribed)
    });
    let status = local.recorder().status();
    assert_eq!(status.normalisers.books, (0, 0), "no book has seen a delta");
    assert_eq!(status.normalisers.counts.snapshots_used, 0);
    local.stop_recorder();
    let rows = local.stored();
    assert!(expected::streamed(&rows).is_empty(), "nothing was sent");
    let subscribed = of_kind(&rows, "session").into_iter().filter(|row| row["event"] == "subscribed");
    assert!(subscribed.count() >= 3, "though every subscription was acknowledged");
    verify_ok(&local.data);
}

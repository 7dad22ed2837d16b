//! OKX and Deribit: connections that end, and subscriptions that are refused, replaced or bring nothing.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use common_e2e::books::of_instrument;
use common_e2e::chained::Finished;
use common_e2e::chained_books::{gap_reasons, is_message, is_snapshot};
use common_e2e::chained_disturbed::{Setting, disturb};
use common_e2e::{events, id, of_kind, verify_ok, wait_until};
use marketprism_simulator::host::Disturbance;
use serde_json::Value;

/// The connections of these markets end once; their streams have gaps where something was missed, all others none.
fn disconnect(setting: Setting, what: Disturbance, markets: &[&str], words: &str) {
    let chained = setting.start();
    chained.feed(setting.books());
    chained.wait_for_more(setting.market, &setting.stream(), 6);
    assert!(chained.handle.disturb(setting.market, &setting.stream(), what));
    let is_back = |market: &&&str| {
        let symbols = chained.handle.symbols(market);
        symbols.iter().all(|symbol| chained.stream(market, &setting.stream_of(symbol)).connections == 2)
    };
    wait_until("new subscriptions", || markets.iter().all(|market| is_back(&market)));
    setting.settle(&chained, 2);
    let outcome = setting.finish(chained);
    for (market, symbol) in outcome.instruments() {
        if !markets.contains(&market) {
            outcome.assert_undisturbed(market, &symbol);
            continue;
        }
        let book = outcome.book(market, &symbol);
        let missed = &["disconnected"][..usize::from(missed_something(&book))];
        assert_eq!(gap_reasons(&book), missed, "{market} {symbol}");
        assert_eq!(outcome.subscriptions(market, &symbol), 2, "{market} {symbol}");
        let ended = outcome.sessions(market, "disconnected");
        assert_eq!(ended.len(), 2, "{market}: {ended:?}");
        assert!(ended[0].contains(words), "{market}: {ended:?}");
    }
}

/// Whether the snapshot of the second subscription is ahead of the messages of the first.
fn missed_something(book: &[&Value]) -> bool {
    let messages: Vec<_> = book.iter().filter(|row| is_message(row)).collect();
    let second = messages.iter().rposition(|row| is_snapshot(row)).unwrap();
    id(&messages[second]["last_id"]) != id(&messages[second - 1]["last_id"])
}

#[test]
fn a_close_frame_leaves_gaps_on_the_streams_of_its_connection() {
    disconnect(Setting::okx(), Disturbance::Disconnect(4006), &["swap"], "close 4006");
    disconnect(Setting::deribit(), Disturbance::Disconnect(1001), &["perpetual"], "close 1001");
}

#[test]
fn an_end_without_a_close_frame_leaves_gaps_on_the_streams_of_its_connection() {
    disconnect(Setting::okx(), Disturbance::Disconnect(0), &["swap"], "without a close frame");
    disconnect(Setting::deribit(), Disturbance::Disconnect(0), &["perpetual"], "without a close frame");
}

#[test]
fn a_notice_of_okx_moves_the_connection_before_it_is_closed() {
    disconnect(Setting::okx(), Disturbance::ClosingNotice(5000), &["swap"], "announced");
}

#[test]
fn a_maintenance_of_deribit_ends_all_connections_once() {
    let setting = Setting::deribit();
    let markets = setting.markets;
    disconnect(setting, Disturbance::ClosingNotice(500), &markets, "close 1001 maintenance");
}

/// All books but the one that is withheld; gives the events.
fn without_one_book(setting: Setting) -> (Vec<String>, Vec<Value>) {
    let mut chained = setting.start();
    chained.handle.start_feed();
    chained.wait_for_books(setting.books() - 1);
    let neighbour = chained.handle.symbols(setting.market).pop().unwrap();
    chained.wait_for_more(setting.market, &setting.stream_of(&neighbour), 10);
    let lines = events(chained.recorder());
    let Finished { ledger, rows, .. } = chained.finish();
    assert_eq!(ledger.violations, Vec::<String>::new());
    let messages = of_instrument(&rows, setting.market, setting.symbol).filter(|row| is_message(row));
    assert_eq!(messages.count(), 0);
    assert_eq!(of_kind(&rows, "gap").len(), 0);
    verify_ok(&chained.data);
    (lines, rows)
}

#[test]
fn a_refused_subscription_is_reported_and_costs_no_other() {
    for setting in [Setting::okx(), Setting::deribit()] {
        let symbol = setting.symbol;
        let (lines, rows) = without_one_book(setting.with_fault(Disturbance::Refuse));
        let told =
            lines.iter().filter(|line| line.contains("refused a subscription") && line.contains(symbol));
        assert_eq!(told.count(), 1, "{lines:?}");
        let sessions = of_kind(&rows, "session").into_iter();
        let refused = sessions.filter(|row| row["event"] == "refused" && row.to_string().contains(symbol));
        assert_eq!(refused.count(), 1);
    }
}

/// Others took the acknowledgement for health. A stream that brings nothing has no book; after a minute it is named,
/// which the tests of the silence check show with a simulated clock.
#[test]
fn trap_14_an_acknowledged_stream_without_data_is_no_book() {
    for setting in [Setting::okx(), Setting::deribit()] {
        let (lines, rows) = without_one_book(setting.with_fault(Disturbance::SilentAcknowledgement));
        let subscribed = of_kind(&rows, "session").into_iter().filter(|row| row["event"] == "subscribed");
        assert_eq!(subscribed.count(), 3, "though everything was acknowledged: {lines:?}");
    }
}

#[test]
fn raw_channels_without_authentication_are_taken_every_100_ms() {
    let setting = Setting::deribit_with_secret("wrong", ".100ms");
    let outcome = disturb(setting, Disturbance::Hole(2), 1, &["sequence"]);
    // The new subscription for the hole, by the name that was taken, is among what was shown above.
    for market in outcome.setting.markets {
        let refused = outcome.sessions(market, "refused");
        assert_eq!(refused.len(), 2, "{market}: {refused:?}");
        assert!(refused[0].contains("authentication: 13004"), "{market}: {refused:?}");
        assert!(refused[1].contains("13778"), "{market}: {refused:?}");
    }
}

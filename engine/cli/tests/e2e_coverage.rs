//! The coverage ledger of a recording against what the venue says that it left out.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use common_e2e::{Local, generated, verify_ok, wait_until};
use marketprism_core::record::Kind;
use marketprism_log::StreamCoverage;
use marketprism_log::coverage::{Reason, Span, Status, coverage};
use marketprism_runtime::{LogSettings, Threads};
use marketprism_simulator::{Config, Fault, Ledger, Market};

const CHANNELS: [&str; 4] = ["trade", "agg_trade", "book@100ms", "quote"];
/// Symbols of each market.
const SYMBOLS: usize = 3;
/// So small that every stream goes over several segments.
const SEGMENT_BYTES: u64 = 200_000;
/// The streams that lose updates, once each.
const VICTIMS: [(Market, &str); 3] =
    [(Market::Spot, "ETHUSDT"), (Market::Usdm, "BTCUSDT"), (Market::Coinm, "BTCUSD_PERP")];

fn stream(symbol: &str) -> String {
    format!("{}@depth@100ms", symbol.to_lowercase())
}

/// Records a venue that leaves out two updates of each victim's book.
fn record() -> (Local, Ledger) {
    let fault = |(market, symbol): (Market, &str)| Fault::DropDiff {
        market,
        stream: stream(symbol),
        after_events: 40,
        events: 2,
    };
    let config = Config { faults: VICTIMS.into_iter().map(fault).collect(), ..generated(1, SYMBOLS, 3000) };
    let log = LogSettings { segment_bytes: SEGMENT_BYTES, ..LogSettings::default() };
    let mut local = Local::start_with(config, &CHANNELS, Threads::default(), log);
    local.feed();
    wait_until("the recorder's gaps", || local.recorder().status().normalisers.counts.gaps[1] >= 3);
    common_e2e::process::wait_for_more(&local.simulator, 3000);
    local.wait_for_books(3 * SYMBOLS);
    wait_until("the live ledger", || {
        let live = local.recorder().status().writer.coverage;
        live.spans[Status::Missing as usize] == 3 && live.records[Status::Contiguous as usize] > 0
    });
    let ledger = local.finish();
    (local, ledger)
}

/// The missing spans of a stream.
fn missing(stream: &StreamCoverage) -> Vec<&Span> {
    stream.exceptions.iter().filter(|span| span.status == Status::Missing).collect()
}

#[test]
fn the_ledger_names_exactly_what_the_venue_left_out() {
    let (local, sent) = record();
    let verification = verify_ok(&local.data);
    assert!(verification.segments > 3, "{} segments", verification.segments);
    assert_eq!(verification.segments_without_coverage, [""; 0]);
    let stored = coverage(&local.data).unwrap();
    assert_eq!((stored.recomputed.len(), stored.problems.len()), (0, 0));
    assert_eq!(stored.streams, verification.coverage, "what is stored is what is recomputed");
    let mut holes = 0;
    for stream in &stored.streams {
        let market = Market::ALL.into_iter().find(|market| market.name() == stream.market).unwrap();
        let is_victim = VICTIMS.contains(&(market, stream.venue_symbol.as_str()));
        match stream.kind {
            Kind::Trade | Kind::AggTrade => assert_eq!(stream.proven_percent.as_deref(), Some("100.00")),
            Kind::Quote => assert_eq!(stream.unprovable, stream.records),
            _ => {}
        }
        if stream.kind == Kind::BookDelta && is_victim {
            holes += 1;
            assert_hole(stream, market, &sent);
        } else {
            assert_eq!(missing(stream), Vec::<&Span>::new(), "{stream:?}");
        }
    }
    assert_eq!(holes, VICTIMS.len());
}

/// The hole is the one that the venue tells of.
fn assert_hole(covered: &StreamCoverage, market: Market, sent: &Ledger) {
    let [hole] = missing(covered)[..] else { panic!("{covered:?}") };
    let dropped = &sent.stream(market, &stream(&covered.venue_symbol)).unwrap().dropped;
    let (first, last) = (dropped.first().unwrap().0, dropped.last().unwrap().1);
    assert_eq!((hole.reason, hole.last_id), (Some(Reason::Sequence), last));
    // Futures share ids among symbols: the hole begins right after the update before it.
    assert!(hole.first_id == first || (market != Market::Spot && hole.first_id < first), "{hole:?}");
    assert_eq!(covered.missing_ids, hole.ids());
    assert!(covered.proven > 0 && hole.first_ns < hole.last_ns, "{covered:?}");
}

//! OKX and Deribit with one thing wrong on one stream: what the log says of it, and that nobody else notices.
#![allow(clippy::unwrap_used)]

mod common_e2e;

use common_e2e::chained_books::is_message;
use common_e2e::chained_disturbed::{Outcome, Setting, disturb, disturb_start};
use common_e2e::{has_flag, id, of_kind, wait_until};
use marketprism_simulator::host::Disturbance;

/// The gap of a hole names the messages that were left out, and no others.
fn assert_hole_is_exact(outcome: &Outcome) {
    let dropped = &outcome.ledger.stream(outcome.setting.market, &outcome.setting.stream()).unwrap().dropped;
    assert_eq!(dropped.len(), 2);
    let victim = outcome.victim();
    let gap = victim.iter().find(|row| row["kind"] == "gap").unwrap();
    assert_eq!(id(&gap["to_id"]), dropped[1].1, "{gap}");
    // That it begins right after the last id before is shown with every gap.
    assert!(id(&gap["from_id"]) <= dropped[0].1, "{gap}");
    let messages = victim.iter().filter(|row| is_message(row));
    let stored: Vec<u64> = messages.map(|row| id(&row["last_id"])).collect();
    assert!(dropped.iter().all(|(_, last)| !stored.contains(last)));
}

/// Frames that were kept raw.
fn raws(outcome: &Outcome) -> usize {
    of_kind(&outcome.rows, "raw").len()
}

macro_rules! disturbances {
    ($($setting:ident)*) => {$(
        mod $setting {
            use super::*;

            /// Others reset all books for one gap, or compared the ids and only logged, or never.
            #[test]
            fn trap_2_and_5_a_hole_resets_one_book_and_is_named_exactly() {
                let outcome = disturb(Setting::$setting(), Disturbance::Hole(2), 1, &["sequence"]);
                assert_hole_is_exact(&outcome);
            }

            #[test]
            fn a_message_that_comes_twice_is_stored_once() {
                disturb(Setting::$setting(), Disturbance::Duplicate(3), 0, &[]);
            }

            #[test]
            fn two_messages_that_change_places_are_a_hole_that_is_filled() {
                disturb(Setting::$setting(), Disturbance::Reorder, 1, &["sequence", "sequence, repaired"]);
            }

            #[test]
            fn a_late_snapshot_makes_no_valid_book() {
                disturb_start(Setting::$setting(), Disturbance::LateSnapshot(3), 1, &[]);
            }

            #[test]
            fn a_stale_snapshot_costs_one_new_subscription() {
                disturb(Setting::$setting(), Disturbance::StaleSnapshot(3), 1, &[]);
            }

            #[test]
            fn a_snapshot_in_mid_stream_is_taken() {
                disturb(Setting::$setting(), Disturbance::MidStreamSnapshot, 0, &[]);
            }

            /// Others took every lower id for a copy, and stayed silent for ever.
            #[test]
            fn trap_6_a_reset_of_the_sequence_does_not_end_the_feed() {
                let outcome = disturb(Setting::$setting(), Disturbance::SequenceReset, 0, &[]);
                let victim = outcome.victim();
                let messages = victim.iter().filter(|row| is_message(row));
                let ids: Vec<u64> = messages.map(|row| id(&row["last_id"])).collect();
                let falls = ids.windows(2).filter(|pair| pair[1] < pair[0]).count();
                assert_eq!(falls, 1, "{ids:?}");
            }

            #[test]
            fn an_update_without_a_change_changes_nothing() {
                disturb(Setting::$setting(), Disturbance::EmptyUpdate, 0, &[]);
            }

            #[test]
            fn a_book_is_invalid_exactly_while_it_is_crossed() {
                let outcome = disturb(Setting::$setting(), Disturbance::Crossed(3), 0, &[]);
                let flagged = outcome.victim().iter().filter(|row| has_flag(row, "book_invalid")).count();
                assert_eq!(flagged, 3);
            }

            #[test]
            fn the_removal_of_a_level_that_is_not_there_changes_nothing() {
                disturb(Setting::$setting(), Disturbance::RemoveMissing, 0, &[]);
            }

            #[test]
            fn half_a_frame_is_kept_raw() {
                let outcome = disturb(Setting::$setting(), Disturbance::Malformed, 0, &[]);
                assert_eq!(raws(&outcome), 1);
            }

            #[test]
            fn a_frame_that_nobody_knows_is_kept_raw() {
                let outcome = disturb(Setting::$setting(), Disturbance::UnknownMessage, 0, &[]);
                assert_eq!(raws(&outcome), 1);
            }
        }
    )*};
}

disturbances!(okx okx_with_checksums deribit deribit_raw);

/// Others took a checksum of zero for a wrong one, or one that is not zero for a reason to reconnect.
#[test]
fn trap_12_a_checksum_of_zero_is_none_and_any_other_is_verified() {
    for (setting, verifies) in [(Setting::okx(), false), (Setting::okx_with_checksums(), true)] {
        let chained = setting.start();
        chained.feed(setting.books());
        chained.wait_for_more(setting.market, &setting.stream(), 10);
        let ledger = chained.handle.pause();
        let books = ledger.streams.iter().filter(|stream| stream.stream.starts_with("books:"));
        let sent = if verifies { books.map(|stream| stream.messages).sum() } else { 0 };
        let verified = || chained.recorder().status().normalisers.verified_checksums;
        wait_until("verified checksums", || verified() == sent);
        let outcome = setting.finish(chained);
        let given = outcome.rows.iter().filter(|row| row.get("checksum").is_some()).count();
        assert_eq!(given as u64, sent);
        for (market, symbol) in outcome.instruments() {
            outcome.assert_undisturbed(market, &symbol);
        }
    }
}

#[test]
fn a_checksum_that_lies_costs_one_new_subscription() {
    disturb(Setting::okx_with_checksums(), Disturbance::ChecksumLie, 1, &["checksum"]);
}

#[test]
fn there_is_no_lie_where_there_are_no_checksums() {
    disturb(Setting::okx(), Disturbance::ChecksumLie, 0, &[]);
    disturb(Setting::deribit(), Disturbance::ChecksumLie, 0, &[]);
}

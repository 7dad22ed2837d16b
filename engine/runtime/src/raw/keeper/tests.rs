use super::*;
use crate::testing::{MARKET, TestVenue};
use marketprism_core::instrument::SymbolTable;
use marketprism_core::record::{GapReason, Header, Kind, RecordRef};
use marketprism_core::venue::Venue;

/// What comes out, in short: ids of trades, and reason and bytes of frames.
fn words(records: &RecordBuffer) -> Vec<String> {
    let word = |record: RecordRef<'_>| match record {
        RecordRef::Trade(trade) => trade.header.sequence.to_string(),
        RecordRef::Raw(raw, body) => {
            let (reason, frame) = body.split_at(raw.reason_bytes as usize);
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            format!("{}|{}@{}", text(reason), text(frame), raw.header.receive_ns)
        }
        other => panic!("{other:?}"),
    };
    records.iter().map(word).collect()
}

fn decoder() -> Box<dyn Decoder> {
    let mut symbols = SymbolTable::default();
    symbols.insert(b"a", 5);
    TestVenue.decoder(&MARKET, symbols)
}

/// A keeper that was given these frames, each at its time, and what came out.
fn keeper(mode: RawCapture, frames: &[(&str, i64)]) -> (FrameKeeper, Vec<String>) {
    let mut keeper = FrameKeeper::new(mode, Origin { market: 1, connection: 2 });
    let mut records = RecordBuffer::default();
    for (frame, receive_ns) in frames {
        let _ = keeper.decode(&mut *decoder(), frame.as_bytes(), *receive_ns, &mut records);
    }
    (keeper, words(&records))
}

/// A hole that the trade `sequence` of `a` revealed.
fn hole(ids: (u64, u64), sequence: u64, receive_ns: i64) -> Hole {
    let Header { exchange_ns, .. } = Header::new(Kind::Trade, 5, receive_ns);
    let reason = GapReason::Sequence as u8;
    Hole { instrument: 5, stream: Kind::Trade, reason, ids, sequence, exchange_ns, receive_ns }
}

fn kept(keeper: &mut FrameKeeper, hole: Hole) -> (Kept, Vec<String>) {
    let mut records = RecordBuffer::default();
    let kept = keeper.keep_around(&hole, &mut *decoder(), &mut records);
    (kept, words(&records))
}

const FRAMES: [(&str, i64); 5] = [("a1 a2", 10), ("a3", 10), ("a7", 10), ("a?", 20), ("a8 a9", 20)];

#[test]
fn every_mode_keeps_what_it_says() {
    let not_parsed = "not valid JSON: invalid digit found in string|a?@20";
    assert_eq!(keeper(RawCapture::Off, &FRAMES).1, ["1", "2", "3", "7", "8", "9"]);
    assert_eq!(keeper(RawCapture::Errors, &FRAMES).1, ["1", "2", "3", "7", not_parsed, "8", "9"]);
    let all = ["|a1 a2@10", "1", "2", "|a3@10", "3", "|a7@10", "7", not_parsed, "|a8 a9@20", "8", "9"];
    assert_eq!(keeper(RawCapture::All, &FRAMES).1, all);
}

#[test]
fn the_frames_around_a_hole_are_told_apart_from_others_of_the_same_read() {
    let (mut keeper, _) = keeper(RawCapture::Errors, &FRAMES);
    let around = ["touched a hole: trade 4..6 (the frame before)|a3@10", "touched a hole: trade 4..6|a7@10"];
    assert_eq!(kept(&mut keeper, hole((4, 6), 7, 10)), (Kept::Yes, around.map(str::to_owned).to_vec()));
    // The frame before was kept for another reason.
    let second = kept(&mut keeper, hole((1, 2), 9, 20));
    assert_eq!(second, (Kept::Yes, vec!["touched a hole: trade 1..2|a8 a9@20".to_owned()]));
    assert_eq!(kept(&mut keeper, hole((4, 6), 7, 10)), (Kept::Yes, vec![]), "once is enough");
    assert_eq!(kept(&mut keeper, hole((4, 6), 7, 11)), (Kept::Gone, vec![]));
}

#[test]
fn a_flood_of_holes_is_cut_and_counted() {
    let frames: Vec<(String, i64)> = (0..40).map(|id| (format!("a{id}"), 1)).collect();
    let frames = frames.iter().map(|(frame, at)| (frame.as_str(), *at));
    let frames: Vec<(&str, i64)> = frames.chain([("a50", SECOND_NS)]).collect();
    let (mut keeper, _) = keeper(RawCapture::Errors, &frames);
    let outcomes: Vec<Kept> = (0..40).map(|id| kept(&mut keeper, hole((1, 2), id, 1)).0).collect();
    let admitted = HOLES_PER_SECOND as usize;
    assert_eq!(outcomes[..admitted], vec![Kept::Yes; admitted]);
    assert_eq!(outcomes[admitted..], vec![Kept::Limited; 40 - admitted]);
    let (_, later) = kept(&mut keeper, hole((40, 49), 50, SECOND_NS));
    assert!(later[0].contains("frames around 30 holes before it were not kept"), "{later:?}");
}

#[test]
fn other_modes_keep_nothing_around_holes() {
    for mode in [RawCapture::Off, RawCapture::All] {
        let (mut keeper, _) = keeper(mode, &FRAMES);
        assert_eq!(kept(&mut keeper, hole((4, 6), 7, 10)), (Kept::NotWanted, vec![]));
    }
}

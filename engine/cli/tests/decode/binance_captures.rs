//! Captured frames of Binance end in the books that were expected.

use std::path::Path;

use serde_json::Value;

use crate::capture::{answers, captures, captures_of, frames, joined};
use crate::support::{Decoded, decode};

fn expect_books(decoded: &Decoded, expected: &Value, capture: &Path) {
    assert_eq!(decoded.code, Some(0), "{}: {}", capture.display(), decoded.said);
    let expected = expected.as_object().unwrap();
    assert_eq!(decoded.of_kind("book").len(), expected.len(), "{}: {}", capture.display(), decoded.said);
    for (symbol, book) in expected {
        let found = decoded.book(symbol);
        assert_eq!(found["last_id"], book["lastUpdateId"].to_string(), "{} {symbol}", capture.display());
        assert_eq!(found["bids"], book["bids"], "{} {symbol}", capture.display());
        assert_eq!(found["asks"], book["asks"], "{} {symbol}", capture.display());
    }
}

#[test]
fn captured_frames_end_in_the_expected_books() {
    let Some(captures) = captures() else { return };
    let mut done = 0;
    for market in ["spot", "usdm", "coinm"] {
        for capture in captures_of(&captures.join("binance").join(market)) {
            let Ok(expected) = std::fs::read(capture.join("derived/final_books.json")) else { continue };
            let expected: Value = serde_json::from_slice(&expected).unwrap();
            let frames = frames(&capture);
            let deltas = frames
                .iter()
                .filter(|frame| frame.line.windows(13).any(|part| part == b"\"depthUpdate\""))
                .count();
            let answers = answers(&capture, &frames);

            let input = joined(frames.iter().chain(answers.iter().map(|(_, _, answer)| answer)));
            let decoded = decode(&format!("binance/{market}"), &input, &["--books", "20"]);
            expect_books(&decoded, &expected, &capture);
            assert_eq!(decoded.of_kind("book_delta").len(), deltas, "{}", capture.display());
            assert_eq!(decoded.of_kind("book_snapshot").len(), answers.len(), "{}", capture.display());
            assert!(decoded.lines.len() >= frames.len(), "{}", capture.display());

            let options = answers.iter().map(|(symbol, path, _)| format!("{symbol}={}", path.display()));
            let options: Vec<String> = options.flat_map(|option| ["--snapshot".to_owned(), option]).collect();
            let mut arguments = vec!["--books", "20"];
            arguments.extend(options.iter().map(String::as_str));
            expect_books(
                &decode(&format!("binance/{market}"), &joined(frames.iter()), &arguments),
                &expected,
                &capture,
            );
            done += 1;
        }
    }
    assert!(done >= 13, "{done} captures");
}

//! "Did you mean …?"

/// The candidate that `word` is most likely a slip of, if there is one that is near enough.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_lowercase();
    // One slip in three letters, and at least one in short words.
    let most = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= most || is_part(&word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether one is the other without its end: `symbol` and `symbols`, `flush_interval` and `flush_interval_us`.
fn is_part(word: &str, candidate: &str) -> bool {
    word.len() >= 3 && (candidate.starts_with(word) || word.starts_with(candidate))
}

/// The words behind the name of something unknown: `; did you mean "x"?`, or all there is to choose from.
pub(crate) fn suggestion(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("; did you mean \"{near}\"?"),
        None => format!("; use one of {}", candidates.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let keys = ["venue", "market", "symbols", "channels", "websocket", "flush_interval_us"];
        for (word, near) in [
            ("symbls", Some("symbols")),
            ("Symbols", Some("symbols")),
            ("chanels", Some("channels")),
            ("web_socket", Some("websocket")),
            ("flush_interval", Some("flush_interval_us")),
            ("zzz", None),
            ("depth", None),
        ] {
            assert_eq!(nearest(word, keys), near, "{word}");
        }
        assert_eq!(suggestion("zzz", &["a1", "b2"]), "; use one of a1, b2");
    }
}

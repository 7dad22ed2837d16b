//! Which instruments of a market are recorded: symbols, patterns and exclusions against the venue's list.

use std::collections::HashSet;

use marketprism_core::instrument::{Instrument, InstrumentType};

use crate::settings::Source;

/// What a source selects of a market's list.
#[derive(Debug, Default)]
pub struct Selection<'a> {
    /// The instruments, in the order of the list.
    pub instruments: Vec<&'a Instrument>,
    /// Configured symbols without `*` and `?` that are not in the list, or only as delisted.
    pub missing: Vec<&'a str>,
}

/// Selects from a market's list. Delisted instruments are left out, those suspended where only a pattern names them;
/// indices come with the instruments that follow them.
pub fn select<'a>(source: &'a Source, list: &'a [Instrument]) -> Selection<'a> {
    let traded = || list.iter().filter(|instrument| instrument.instrument_type != InstrumentType::Index);
    let live = || traded().filter(|instrument| !instrument.delisted);
    let wanted = |instrument: &&Instrument| {
        let names = |pattern: &&String| names(pattern, instrument);
        let mut named_by = source.symbols.iter().filter(names);
        let chosen = named_by.any(|pattern| !instrument.suspended || !is_pattern(pattern));
        chosen && !source.exclude.iter().any(|pattern| names(&pattern))
    };
    let mut instruments: Vec<&Instrument> = live().filter(wanted).collect();
    let followed: HashSet<&str> = instruments.iter().map(|chosen| chosen.underlying.as_str()).collect();
    let indices = list.iter().filter(|instrument| {
        instrument.instrument_type == InstrumentType::Index
            && followed.contains(instrument.venue_symbol.as_str())
    });
    instruments.extend(indices);
    let literal = source.symbols.iter().filter(|symbol| !is_pattern(symbol));
    let missing = literal
        .filter(|symbol| !live().any(|i| i.venue_symbol == **symbol || i.symbol == **symbol))
        .map(String::as_str);
    Selection { instruments, missing: missing.collect() }
}

/// Whether a configured symbol stands for more than itself.
pub fn is_pattern(symbol: &str) -> bool {
    symbol.contains(['*', '?'])
}

/// Whether a configured symbol names an instrument.
fn names(pattern: &str, instrument: &Instrument) -> bool {
    matches(pattern, &instrument.venue_symbol) || matches(pattern, &instrument.symbol)
}

/// Whether a text fits a pattern, in which `*` stands for any letters and `?` for any one.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut star, mut index) = (0, None, 0);
    while index < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, index));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[index] => {
                at += 1;
                index += 1;
            }
            // The last `*` takes one letter more.
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    (at, index) = (place + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(symbols: &[&str], exclude: &[&str]) -> Source {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Source {
            venue: "v".into(),
            market: "m".into(),
            symbols: texts(symbols),
            exclude: texts(exclude),
            channels: vec![],
            websocket: vec![],
            rest: vec![],
            raw: crate::RawCapture::default(),
        }
    }

    fn list() -> Vec<Instrument> {
        let option = |symbol: &str, underlying: &str| Instrument {
            underlying: underlying.into(),
            instrument_type: InstrumentType::Option,
            ..Instrument::unknown("v", "m", symbol)
        };
        let index = |symbol: &str| Instrument {
            instrument_type: InstrumentType::Index,
            ..Instrument::unknown("v", "m", symbol)
        };
        let gone = Instrument { delisted: true, ..option("BTC-1-C", "btc") };
        vec![
            option("BTC-2-C", "btc"),
            option("BTC-2-P", "btc"),
            option("ETH-2-C", "eth"),
            gone,
            index("btc"),
            index("eth"),
        ]
    }

    fn chosen(symbols: &[&str], exclude: &[&str]) -> Vec<String> {
        let (source, list) = (source(symbols, exclude), list());
        select(&source, &list).instruments.iter().map(|i| i.venue_symbol.clone()).collect()
    }

    #[test]
    fn patterns_exclusions_and_indices() {
        assert_eq!(chosen(&["*"], &[]), ["BTC-2-C", "BTC-2-P", "ETH-2-C", "btc", "eth"]);
        assert_eq!(chosen(&["BTC-*"], &["*-P"]), ["BTC-2-C", "btc"]);
        assert_eq!(chosen(&["ETH-?-C"], &[]), ["ETH-2-C", "eth"]);
        assert_eq!(chosen(&["BTC-1-C"], &[]), Vec::<String>::new(), "expired ones are not recorded");
    }

    #[test]
    fn a_pattern_passes_over_what_is_suspended() {
        let mut list = list();
        list[0].suspended = true;
        let chosen = |symbols: &[&str]| {
            let source = source(symbols, &[]);
            let selection = select(&source, &list);
            selection.instruments.iter().any(|instrument| instrument.venue_symbol == "BTC-2-C")
        };
        assert!(!chosen(&["*"]) && !chosen(&["BTC-2-?"]) && chosen(&["BTC-2-C"]));
    }

    #[test]
    fn symbols_that_do_not_exist_are_named() {
        let (source, list) = (source(&["BTC-2-C", "NOPE", "X*", "BTC-1-C"], &[]), list());
        assert_eq!(select(&source, &list).missing, ["NOPE", "BTC-1-C"]);
    }

    proptest! {
        #[test]
        fn a_pattern_made_of_a_text_matches_it(text in "[A-C_-]{0,12}", cuts in proptest::collection::vec((0usize..13, 0usize..4), 0..3)) {
            let mut letters: Vec<char> = text.chars().collect();
            for (at, length) in cuts {
                let start = at.min(letters.len());
                let end = (start + length).min(letters.len());
                letters.splice(start..end, ['*']);
            }
            let pattern: String = letters.into_iter().collect();
            prop_assert!(matches(&pattern, &text));
            let longer = format!("{text}Z");
            prop_assert_eq!(matches(&pattern, &longer), pattern.ends_with('*'));
        }
    }
}

//! `[[source]]`: what to record.

use std::collections::HashMap;
use std::sync::Arc;

use marketprism_core::venue::{Market, Venue};
use marketprism_runtime::transport::Endpoint;
use marketprism_runtime::universe::is_pattern;
use marketprism_runtime::{RawCapture, Source};

use super::channels::{self, Channel};
use super::nearest::{nearest, suggestion};
use super::reader::{Reader, Section, Text};

const KEYS: [&str; 8] = ["venue", "market", "symbols", "exclude", "channels", "websocket", "rest", "raw"];

/// A source as it is written where there is none.
const EXAMPLE: &str = "[[source]] with venue, market, symbols and channels below it";

/// What earlier sources say.
#[derive(Default)]
struct Earlier {
    /// Channels by venue, market and symbol, each with the place where its source begins.
    recorded: HashMap<[String; 3], Vec<(Channel, usize)>>,
    /// WebSocket and REST addresses by venue and market, with the place where the first source begins.
    addresses: HashMap<[&'static str; 2], ([Vec<String>; 2], usize)>,
    /// What is kept of frames by venue and market, with the place where the first source begins.
    raw: HashMap<[&'static str; 2], (RawCapture, usize)>,
}

/// Reads all sources.
pub(super) fn sources(
    reader: &mut Reader<'_>,
    top: &Section<'_>,
    venues: &[Arc<dyn Venue>],
    normalisers: usize,
) -> Vec<Source> {
    let mut earlier = Earlier::default();
    let sections = reader.tables(top, "source", EXAMPLE);
    let sources = sections.iter().map(|section| {
        let source = source(reader, section, venues, &mut earlier);
        if source.raw == RawCapture::All && normalisers > 1 {
            let message = format!(
                "source.raw is \"all\" and threads.normalisers is {normalisers}: the order between normalisers is not \
                 recorded; write normalisers = 1, or raw = \"errors\""
            );
            reader.fault(section.at_key("raw"), message);
        }
        source
    });
    sources.collect()
}

fn source(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    venues: &[Arc<dyn Venue>],
    earlier: &mut Earlier,
) -> Source {
    reader.check_keys(section, &KEYS);
    let venue_name = reader.text_of(section, "venue", &example(venues));
    let market_name = reader.text_of(section, "market", "market = \"spot\"");
    let venue = venue_name.as_ref().and_then(|name| find_venue(reader, name, venues));
    let market = match (&venue, &market_name) {
        (Some(venue), Some(name)) => find_market(reader, name, &**venue),
        _ => None,
    };
    let symbols = reader.texts_of(section, "symbols", "symbols = [\"BTCUSDT\"]");
    let exclude = reader.texts(section, "exclude", "exclude = [\"*BUSD\"]");
    symbols.iter().chain(&exclude).for_each(|symbol| check_symbol(reader, symbol));
    let channels = reader.texts_of(section, "channels", "channels = [\"trade\", \"book\"]");
    let websocket = addresses(reader, section, "websocket", ["wss", "ws"]);
    let rest = addresses(reader, section, "rest", ["https", "http"]);
    let raw = reader.choice(section, "raw", &RawCapture::NAMED).unwrap_or_default();
    if let (Some(venue), Some(market)) = (&venue, market) {
        let checked = channels::check(reader, &**venue, market, &channels);
        let of_market = [venue.name(), market.name];
        check_repetition(reader, section, of_market, (&symbols, &checked), earlier);
        check_addresses(reader, section, of_market, [&websocket, &rest], earlier);
        check_raw(reader, section, of_market, raw, earlier);
    }
    let text = |text: Option<Text>| text.map(|text| text.value).unwrap_or_default();
    Source {
        venue: text(venue_name),
        market: text(market_name),
        symbols: values(&symbols),
        exclude: values(&exclude),
        channels: values(&channels),
        websocket: values(&websocket),
        rest: values(&rest),
        raw,
    }
}

fn values(texts: &[Text]) -> Vec<String> {
    texts.iter().map(|text| text.value.clone()).collect()
}

fn example(venues: &[Arc<dyn Venue>]) -> String {
    format!("venue = \"{}\"", venues.first().map_or("", |venue| venue.name()))
}

fn find_venue(reader: &mut Reader<'_>, name: &Text, venues: &[Arc<dyn Venue>]) -> Option<Arc<dyn Venue>> {
    let found = venues.iter().find(|venue| venue.name() == name.value);
    if found.is_none() {
        let names: Vec<&str> = venues.iter().map(|venue| venue.name()).collect();
        let hint = suggestion(&name.value, &names);
        reader.fault(name.at, format!("unknown venue \"{}\"{hint}", name.value));
    }
    found.cloned()
}

fn find_market(reader: &mut Reader<'_>, name: &Text, venue: &dyn Venue) -> Option<&'static Market> {
    let found = venue.market(&name.value);
    if found.is_none() {
        let names: Vec<&str> = venue.markets().iter().map(|market| market.name).collect();
        let hint = match nearest(&name.value, names.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("its markets are {}", names.join(", ")),
        };
        reader.fault(name.at, format!("{} has no market \"{}\"; {hint}", venue.name(), name.value));
    }
    found
}

fn check_symbol(reader: &mut Reader<'_>, symbol: &Text) {
    let is_strange = |letter: char| letter.is_whitespace() || letter.is_control() || letter == ',';
    if symbol.value.contains(is_strange) {
        let message = format!(
            "symbol \"{}\" has a space, comma or control character in it; write each symbol in quotes of its own",
            symbol.value.escape_debug()
        );
        reader.fault(symbol.at, message);
    }
}

/// Reports what an earlier source records already; one report for each earlier source. What patterns name is known
/// only when the venue has sent its list.
fn check_repetition(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    [venue, market]: [&'static str; 2],
    (symbols, channels): (&[Text], &[Channel]),
    earlier: &mut Earlier,
) {
    let mut reported = vec![];
    for symbol in symbols.iter().filter(|symbol| !is_pattern(&symbol.value)) {
        let key = [venue, market, &symbol.value].map(str::to_owned);
        let recorded = earlier.recorded.entry(key).or_default();
        for channel in channels {
            let repeated =
                recorded.iter().find(|(earlier, at)| channel.repeats(earlier) && !reported.contains(at));
            let Some((_, at)) = repeated else { continue };
            reported.push(*at);
            let line = reader.line(*at);
            let message = format!(
                "{venue}/{market}/{} {} is recorded by the source in line {line} already; remove it from one of them",
                symbol.value, channel.text.value
            );
            reader.fault(symbol.at, message);
        }
        recorded.extend(channels.iter().map(|channel| (channel.clone(), section.at())));
    }
}

/// Sources of one market share its connections, which have one list of addresses.
fn check_addresses(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    of_market: [&'static str; 2],
    addresses: [&[Text]; 2],
    earlier: &mut Earlier,
) {
    let addresses = addresses.map(values);
    let (first, at) = earlier.addresses.entry(of_market).or_insert((addresses.clone(), section.at()));
    for ((key, own), first) in ["websocket", "rest"].into_iter().zip(&addresses).zip(first) {
        if own != first {
            let message = format!(
                "source.{key} differs from that of the source in line {}, and a market has one list of addresses; \
                 write the same in both",
                reader.line(*at)
            );
            reader.fault(section.at_key(key), message);
        }
    }
}

/// Sources of one market share its connections, of whose frames one thing is kept.
fn check_raw(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    of_market: [&'static str; 2],
    raw: RawCapture,
    earlier: &mut Earlier,
) {
    let (first, at) = earlier.raw.entry(of_market).or_insert((raw, section.at()));
    if raw != *first {
        let message = format!(
            "source.raw differs from that of the source in line {}, and sources of a market share its connections; write \
             the same in both",
            reader.line(*at)
        );
        reader.fault(section.at_key("raw"), message);
    }
}

/// Addresses in place of the venue's.
fn addresses(reader: &mut Reader<'_>, section: &Section<'_>, key: &str, schemes: [&str; 2]) -> Vec<Text> {
    let [secure, plain] = schemes;
    let texts = reader.texts(section, key, &format!("{key} = [\"{secure}://host\"]"));
    for text in &texts {
        let fault = match Endpoint::parse(&text.value) {
            _ if text.value.contains(|letter: char| letter.is_whitespace() || letter.is_control()) => {
                Some(format!("\"{}\" has a space in it", text.value.escape_debug()))
            }
            Err(reason) => Some(reason),
            Ok(_) if !schemes.iter().any(|scheme| text.value.starts_with(&format!("{scheme}://"))) => {
                Some(format!("\"{}\" does not begin with {secure}:// or {plain}://", text.value))
            }
            Ok(_) => None,
        };
        if let Some(fault) = fault {
            let message = format!("source.{key}: {fault}; write an address like \"{secure}://host:443\"");
            reader.fault(text.at, message);
        }
    }
    texts
}

//! `[[source]]`: what to record.

use std::collections::HashMap;
use std::sync::Arc;

use marketprism_core::instrument::Instrument;
use marketprism_core::record::Kind;
use marketprism_core::venue::{Market, Venue};
use marketprism_runtime::Source;
use marketprism_runtime::transport::Endpoint;

use super::nearest::{nearest, suggestion};
use super::reader::{Reader, Section, Text};

const KEYS: [&str; 6] = ["venue", "market", "symbols", "channels", "websocket", "rest"];

/// A source as it is written where there is none.
const EXAMPLE: &str = "[[source]] with venue, market, symbols and channels below it";

/// What is recorded already, by venue, market, symbol and stream, and where the source that says so begins.
type Recorded = HashMap<[String; 4], usize>;

/// Reads all sources.
pub(super) fn sources(reader: &mut Reader<'_>, top: &Section<'_>, venues: &[Arc<dyn Venue>]) -> Vec<Source> {
    let mut recorded = Recorded::new();
    let sections = reader.tables(top, "source", EXAMPLE);
    sections.iter().map(|section| source(reader, section, venues, &mut recorded)).collect()
}

fn source(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    venues: &[Arc<dyn Venue>],
    recorded: &mut Recorded,
) -> Source {
    reader.check_keys(section, &KEYS);
    let venue_name = reader.text_of(section, "venue", &example(venues));
    let market_name = reader.text_of(section, "market", "market = \"spot\"");
    let venue = venue_name.as_ref().and_then(|name| find_venue(reader, name, venues));
    let market = match (&venue, &market_name) {
        (Some(venue), Some(name)) => find_market(reader, name, &**venue),
        _ => None,
    };
    let symbols = symbols(reader, section);
    let channels = reader.texts_of(section, "channels", "channels = [\"trade\", \"book\"]");
    if let (Some(venue), Some(market)) = (&venue, market) {
        let checked = check_channels(reader, &**venue, market, &channels);
        let of_market = [venue.name(), market.name];
        check_repetition(reader, section, of_market, (&symbols, &checked), recorded);
    }
    let text = |text: Option<Text>| text.map(|text| text.value).unwrap_or_default();
    let texts = |texts: Vec<Text>| texts.into_iter().map(|text| text.value).collect();
    Source {
        venue: text(venue_name),
        market: text(market_name),
        symbols: texts(symbols),
        channels: texts(channels),
        websocket: texts(addresses(reader, section, "websocket", ["wss", "ws"])),
        rest: texts(addresses(reader, section, "rest", ["https", "http"])),
    }
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

fn symbols(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<Text> {
    let symbols = reader.texts_of(section, "symbols", "symbols = [\"BTCUSDT\"]");
    for symbol in &symbols {
        if symbol
            .value
            .contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == ',')
        {
            let message = format!(
                "symbol \"{}\" has a space, comma or control character in it; write each symbol in quotes of its own",
                symbol.value.escape_debug()
            );
            reader.fault(symbol.at, message);
        }
    }
    symbols
}

/// Checks the channels and returns those that are right with what they are recorded as.
fn check_channels(
    reader: &mut Reader<'_>,
    venue: &dyn Venue,
    market: &'static Market,
    channels: &[Text],
) -> Vec<(Text, String)> {
    let instrument = Instrument::unknown(venue.name(), market.name, "SYMBOL");
    let mut checked: Vec<(Text, String)> = vec![];
    for channel in channels {
        let recorded_as = match venue.stream(market, &channel.value, &instrument) {
            Err(reason) => {
                let (name, option) =
                    channel.value.split_at(channel.value.find('@').unwrap_or(channel.value.len()));
                let near = nearest(name, market.channels.iter().copied()).filter(|near| *near != name);
                let hint = near.map_or(String::new(), |near| format!("; did you mean \"{near}{option}\"?"));
                reader.fault(channel.at, format!("{reason}{hint}"));
                continue;
            }
            // An instrument has one book, whatever its speed.
            Ok(Some(stream)) if stream.kind == Kind::BookDelta => "book".to_owned(),
            Ok(Some(stream)) => stream.name,
            Ok(None) => channel.value.clone(),
        };
        match checked.iter().find(|(_, earlier)| *earlier == recorded_as) {
            Some((earlier, _)) if recorded_as == "book" => reader.fault(
                channel.at,
                format!(
                    "channels \"{}\" and \"{}\" are both books, and an instrument can have one; remove one of them",
                    earlier.value, channel.value
                ),
            ),
            Some((earlier, _)) => reader.fault(
                channel.at,
                format!("channels \"{}\" and \"{}\" are the same; remove one", earlier.value, channel.value),
            ),
            None => checked.push((channel.clone(), recorded_as)),
        }
    }
    checked
}

/// Reports what an earlier source records already; one report for each earlier source.
fn check_repetition(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    [venue, market]: [&'static str; 2],
    (symbols, channels): (&[Text], &[(Text, String)]),
    recorded: &mut Recorded,
) {
    let this = section.at();
    let mut reported = vec![];
    for symbol in symbols {
        for (channel, recorded_as) in channels {
            let key = [venue, market, &symbol.value, recorded_as].map(str::to_owned);
            let earlier = *recorded.entry(key).or_insert(this);
            if earlier == this || reported.contains(&earlier) {
                continue;
            }
            reported.push(earlier);
            let earlier = reader.line(earlier);
            let message = format!(
                "{venue}/{market}/{} {} is recorded by the source in line {earlier} already; remove it from one of them",
                symbol.value, channel.value
            );
            reader.fault(symbol.at, message);
        }
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

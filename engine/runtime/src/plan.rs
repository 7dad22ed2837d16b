//! From sources to connections: which streams go together.

use std::collections::{BTreeMap, HashMap, HashSet};

use marketprism_core::instrument::{Instrument, InstrumentId};
use marketprism_core::record::Kind;
use marketprism_core::venue::{Market, Poll, Stream, Venue};

/// The channel that every market has, asked for or not: the venue's clock.
const CLOCK: &str = "clock";

/// Streams that share a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedConnection {
    /// Path prefix that they need.
    pub route: &'static str,
    /// The streams; several may have one name, and that is subscribed once.
    pub streams: Vec<Stream>,
}

/// What some instruments need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Streams, no pair of name and instrument twice.
    pub streams: Vec<Stream>,
    /// Requests to repeat.
    pub polls: Vec<Poll>,
}

impl Needs {
    /// Adds what is not there yet.
    pub fn add(&mut self, more: Needs) {
        let known: HashSet<(String, InstrumentId)> =
            self.streams.iter().map(|stream| (stream.name.clone(), stream.instrument)).collect();
        let new = more.streams.into_iter().filter(|s| !known.contains(&(s.name.clone(), s.instrument)));
        self.streams.extend(new);
        add_polls(&mut self.polls, more.polls);
    }
}

/// Finds what some channels of some instruments need. The error names the channel that is wrong.
pub fn needs(
    venue: &dyn Venue,
    market: &Market,
    channels: &[String],
    instruments: &[&Instrument],
) -> Result<Needs, String> {
    let mut needs = Needs::default();
    let (mut known, mut asked) = (HashSet::new(), HashSet::new());
    for instrument in instruments {
        for channel in channels {
            let streams = venue.streams(market, channel, instrument)?;
            let new =
                streams.into_iter().filter(|stream| known.insert((stream.name.clone(), stream.instrument)));
            needs.streams.extend(new);
            let polls = venue.polls(market, channel, instrument);
            let new =
                polls.into_iter().filter(|poll| asked.insert((poll.instrument, poll.request.path.clone())));
            needs.polls.extend(new);
        }
    }
    one_of_a_kind(&needs.streams)?;
    Ok(needs)
}

/// What a market needs as a whole; `entry` stands for it.
pub fn market_needs(
    venue: &dyn Venue,
    market: &Market,
    channels: &[String],
    entry: &Instrument,
) -> Result<Needs, String> {
    let mut needs = needs(venue, market, channels, &[entry])?;
    add_polls(&mut needs.polls, venue.polls(market, CLOCK, entry));
    needs.streams.extend(venue.lifecycle_streams(market, entry.id));
    Ok(needs)
}

fn add_polls(polls: &mut Vec<Poll>, more: Vec<Poll>) {
    let known: HashSet<(InstrumentId, String)> =
        polls.iter().map(|poll| (poll.instrument, poll.request.path.clone())).collect();
    polls.extend(
        more.into_iter().filter(|poll| !known.contains(&(poll.instrument, poll.request.path.clone()))),
    );
}

/// Refuses two streams of one instrument whose ids would be taken for one chain. The error names them.
pub fn one_of_a_kind(streams: &[Stream]) -> Result<(), String> {
    let mut by_kind: HashMap<(InstrumentId, Kind), &str> = HashMap::new();
    for stream in streams {
        for kind in stream.kinds {
            let channel = match kind.stream() {
                Kind::BookDelta => "book",
                Kind::Trade => "trade",
                _ => continue,
            };
            let first = by_kind.entry((stream.instrument, kind.stream())).or_insert(&stream.name);
            if *first != stream.name {
                return Err(format!(
                    "an instrument can have one {channel} channel, and {first} and {} are two",
                    stream.name
                ));
            }
        }
    }
    Ok(())
}

/// Deals streams out to connections, within the venue's limits. Streams of one name stay together.
pub fn connections(market: &Market, streams: Vec<Stream>) -> Vec<PlannedConnection> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut open: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut planned: Vec<(PlannedConnection, Room)> = Vec::new();
    for stream in streams {
        let index = match places.get(&stream.name) {
            Some(index) => *index,
            None => {
                let last = open.get(stream.route).copied();
                let fitting =
                    last.filter(|index| planned.get(*index).is_some_and(|(_, room)| room.has(&stream)));
                let index = fitting.unwrap_or_else(|| {
                    planned
                        .push((PlannedConnection { route: stream.route, streams: vec![] }, Room::of(market)));
                    planned.len() - 1
                });
                open.insert(stream.route, index);
                places.insert(stream.name.clone(), index);
                if let Some((_, room)) = planned.get_mut(index) {
                    room.take(&stream);
                }
                index
            }
        };
        if let Some((connection, _)) = planned.get_mut(index) {
            connection.streams.push(stream);
        }
    }
    planned.into_iter().map(|(connection, _)| connection).collect()
}

/// What a connection can still take.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    streams: usize,
    books: usize,
}

impl Room {
    /// That of an empty connection.
    pub fn of(market: &Market) -> Room {
        Room { streams: market.streams_per_connection.max(1), books: market.books_per_connection.max(1) }
    }

    /// Whether a stream of a new name fits.
    pub fn has(&self, stream: &Stream) -> bool {
        self.streams > 0 && (self.books > 0 || !stream.carries_book())
    }

    /// Takes the place of a stream of a new name.
    pub fn take(&mut self, stream: &Stream) {
        self.streams = self.streams.saturating_sub(1);
        if stream.carries_book() {
            self.books = self.books.saturating_sub(1);
        }
    }
}

/// The names to subscribe, each once, in their order.
pub fn names(streams: &[Stream]) -> Vec<String> {
    let mut known = HashSet::new();
    let new = streams.iter().filter(|stream| known.insert(stream.name.as_str()));
    new.map(|stream| stream.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TEST_MARKET;

    fn stream(name: &str, route: &'static str, instrument: InstrumentId, kinds: &'static [Kind]) -> Stream {
        Stream { name: name.into(), route, instrument, kinds }
    }

    #[test]
    fn connections_keep_the_limits_and_shared_names_together() {
        let market = Market { streams_per_connection: 3, books_per_connection: 1, ..TEST_MARKET };
        let streams = vec![
            stream("liquidations", "", 1, &[Kind::Liquidation]),
            stream("a-book", "", 1, &[Kind::BookDelta]),
            stream("b-book", "", 2, &[Kind::BookDelta]),
            stream("b-trade", "", 2, &[Kind::Trade]),
            stream("liquidations", "", 2, &[Kind::Liquidation]),
            stream("candles", "/business", 1, &[Kind::Candle]),
        ];
        let planned = connections(&market, streams);
        let shape: Vec<(&str, Vec<String>)> = planned.iter().map(|c| (c.route, names(&c.streams))).collect();
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            shape,
            [
                ("", texts(&["liquidations", "a-book"])),
                ("", texts(&["b-book", "b-trade"])),
                ("/business", texts(&["candles"])),
            ]
        );
        assert_eq!(planned[0].streams.len(), 3, "both instruments of the shared stream are marked with it");
    }

    #[test]
    fn two_books_of_one_instrument_are_refused() {
        let streams =
            [stream("book", "", 1, &[Kind::BookDelta]), stream("book-fast", "", 1, &[Kind::BookDelta])];
        assert!(one_of_a_kind(&streams).unwrap_err().contains("book and book-fast"));
    }
}

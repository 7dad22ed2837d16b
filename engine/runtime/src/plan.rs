//! From sources to connections: which streams go together.

use marketprism_core::instrument::{Instrument, InstrumentId};
use marketprism_core::record::Kind;
use marketprism_core::venue::{Market, Poll, Stream, Venue};

/// Streams that share a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedConnection {
    /// Path prefix that they need.
    pub route: &'static str,
    /// The streams.
    pub streams: Vec<Stream>,
}

/// What one source needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Connections.
    pub connections: Vec<PlannedConnection>,
    /// Requests to repeat.
    pub polls: Vec<Poll>,
    /// Instruments with a book.
    pub books: Vec<InstrumentId>,
}

/// Plans the channels of some instruments of one market. The error names the channel that is wrong.
pub fn plan(
    venue: &dyn Venue,
    market: &Market,
    channels: &[String],
    instruments: &[&Instrument],
) -> Result<Plan, String> {
    let mut streams: Vec<Stream> = Vec::new();
    let mut plan = Plan::default();
    for instrument in instruments {
        for channel in channels {
            match venue.stream(market, channel, instrument)? {
                Some(stream) => streams.push(stream),
                None => plan.polls.extend(venue.polls(market, channel, instrument)),
            }
        }
    }
    plan.books = streams.iter().filter(|s| s.kind == Kind::BookDelta).map(|s| s.instrument).collect();
    let count = plan.books.len();
    plan.books.sort_unstable();
    plan.books.dedup();
    if plan.books.len() != count {
        return Err("an instrument can have one book channel: name only one of the book@… channels".into());
    }
    let mut routes: Vec<&'static str> = streams.iter().map(|stream| stream.route).collect();
    routes.sort_unstable();
    routes.dedup();
    for route in routes {
        let of_route: Vec<Stream> = streams.iter().filter(|stream| stream.route == route).cloned().collect();
        for chunk in of_route.chunks(market.streams_per_connection.max(1)) {
            plan.connections.push(PlannedConnection { route, streams: chunk.to_vec() });
        }
    }
    Ok(plan)
}

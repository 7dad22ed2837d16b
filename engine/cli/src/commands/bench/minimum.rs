//! The shortest time in which a venue's limits let a recorder start.

use std::time::Duration;

use marketprism_core::venue::{Allowance, Market};

/// What a recorder has to do to record everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// Streams to subscribe.
    pub(super) streams: usize,
    /// Of them, those with a book.
    pub(super) books: usize,
    /// Requests that open a connection.
    pub(super) opening_requests: usize,
    /// REST weight of everything that is asked for before all books are valid.
    pub(super) rest_weight: usize,
}

/// The shortest times from the start until the last of its steps is allowed. What the venue takes for its answers comes
/// on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Minimum {
    /// Fewest connections.
    pub(super) connections: usize,
    /// Until everything is subscribed.
    pub(super) subscribed: Duration,
    /// Until all books are valid.
    pub(super) valid: Duration,
}

impl Minimum {
    /// That of some work under the limits of a market, from every one of which nothing is spent yet.
    pub(super) fn of(market: &Market, work: Work) -> Minimum {
        let by_streams = work.streams.div_ceil(market.streams_per_connection.max(1));
        let by_books = work.books.div_ceil(market.books_per_connection.max(1));
        let connections = by_streams.max(by_books).max(1);
        let messages = Allowance { most: market.messages_per_second, window: Duration::from_secs(1) };
        let requests = |streams: usize| streams.div_ceil(market.streams_per_request.max(1));
        let fullest = work.opening_requests + requests(work.streams.div_ceil(connections));
        let all = work.opening_requests * connections + requests(work.streams);
        let opened = last_allowed(market.connects, connections);
        // The last connection has at least its opening and one request to send.
        let last_connection = opened + last_allowed(messages, work.opening_requests + 1);
        let shared = market.requests_per_address.map_or(Duration::ZERO, |limit| last_allowed(limit, all));
        let subscribed = last_connection.max(last_allowed(messages, fullest)).max(shared);
        let valid = subscribed.max(last_allowed(market.rest_weight, work.rest_weight));
        Minimum { connections, subscribed, valid }
    }
}

/// When the last of so many units is allowed, where the first ones are spent at once.
fn last_allowed(limit: Allowance, units: usize) -> Duration {
    let windows = units.saturating_sub(1) / (limit.most.max(1) as usize);
    limit.window.saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::venues;

    /// The minimum on a market of a venue, its limits changed by `change`.
    fn minimum(venue: &str, market: &str, work: Work, change: impl FnOnce(&mut Market)) -> Minimum {
        let venues = venues();
        let venue = venues.iter().find(|known| known.name() == venue).unwrap();
        let market = venue.market(market).unwrap();
        let mut market = Market { ..*market };
        change(&mut market);
        Minimum::of(&market, work)
    }

    fn work(streams: usize) -> Work {
        Work { streams, books: streams, opening_requests: 0, rest_weight: 0 }
    }

    #[test]
    fn connections_are_as_many_as_streams_and_books_need() {
        let full =
            |market: &mut Market| (market.streams_per_connection, market.books_per_connection) = (100, 30);
        assert_eq!(minimum("okx", "option", work(30), full).connections, 1);
        assert_eq!(minimum("okx", "option", work(31), full).connections, 2);
        let more_streams = Work { streams: 301, ..work(30) };
        assert_eq!(minimum("okx", "option", more_streams, full).connections, 4);
    }

    #[test]
    fn the_slowest_limit_counts() {
        let seconds = Duration::from_secs;
        let limits = |market: &mut Market| {
            (market.streams_per_connection, market.books_per_connection) = (10, 10);
            market.streams_per_request = 10;
            market.messages_per_second = 5;
            market.connects = Allowance { most: 3, window: seconds(1) };
            market.requests_per_address = None;
            market.rest_weight = Allowance { most: 100, window: seconds(60) };
        };
        let by_connects = minimum("okx", "option", work(70), limits);
        assert_eq!((by_connects.subscribed, by_connects.valid), (seconds(2), seconds(2)));
        let by_weight = minimum("okx", "option", Work { rest_weight: 101, ..work(70) }, limits);
        assert_eq!((by_weight.subscribed, by_weight.valid), (seconds(2), seconds(60)));
        let by_requests = minimum("okx", "option", work(70), |market| {
            limits(market);
            market.requests_per_address = Some(Allowance { most: 2, window: seconds(1) });
        });
        assert_eq!(by_requests.subscribed, seconds(3));
        let by_messages = minimum("okx", "option", work(10), |market| {
            limits(market);
            market.streams_per_request = 1;
        });
        assert_eq!(by_messages.subscribed, seconds(1), "ten messages, five a second");
    }
}

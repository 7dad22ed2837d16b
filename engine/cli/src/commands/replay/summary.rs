//! What `replay --serve` tells: where it serves, and what became of the records.

use marketprism_simulator::history::ReplayedStream;
use serde_json::{Value, json};

use crate::local::Simulated;
use crate::text::grouped;

/// Where one market is served.
pub(super) struct Server {
    pub(super) venue: &'static str,
    pub(super) market: String,
    pub(super) websocket: String,
    pub(super) rest: String,
}

/// Prints the addresses: as one JSON object, or as the lines that a configuration of `marketprism run` needs.
pub(super) fn print_servers(servers: &[Server], json: bool) {
    if json {
        let servers: Vec<Value> = servers.iter().map(server_json).collect();
        println!("{}", json!({ "servers": servers }));
        return;
    }
    println!("# served on loopback; for a configuration of `marketprism run`:");
    for Server { venue, market, websocket, rest } in servers {
        println!("\n[[source]]\nvenue = {venue:?}\nmarket = {market:?}");
        println!("websocket = [{websocket:?}]\nrest = [{rest:?}]");
    }
    println!();
}

fn server_json(server: &Server) -> Value {
    let Server { venue, market, websocket, rest } = server;
    json!({ "venue": venue, "market": market, "websocket": [websocket], "rest": [rest] })
}

/// What became of the records.
pub(super) struct Summary {
    streams: Vec<(&'static str, ReplayedStream)>,
    /// What clients did against the venues' rules.
    violations: Vec<String>,
}

impl Summary {
    /// Asks the venues.
    pub(super) fn new(served: &[Simulated]) -> Summary {
        let mut summary = Summary { streams: Vec::new(), violations: Vec::new() };
        for venue in served {
            let (streams, violations) = match venue {
                Simulated::Binance(simulator, _) => {
                    let ledger = simulator.ledger();
                    (ledger.replayed, ledger.violations)
                }
                Simulated::Okx(handle) | Simulated::Deribit(handle) => {
                    (handle.replayed(), handle.ledger().violations)
                }
            };
            summary.streams.extend(streams.into_iter().map(|stream| (venue.venue(), stream)));
            summary.violations.extend(violations);
        }
        summary
    }

    fn total(&self, of: impl Fn(&ReplayedStream) -> u64) -> u64 {
        self.streams.iter().map(|(_, stream)| of(stream)).sum()
    }

    /// Prints the streams, and the totals last.
    pub(super) fn print(&self, json: bool) {
        let (records, frames) = (self.total(|stream| stream.records), self.total(|stream| stream.frames));
        let unsubscribed = self.total(|stream| stream.unsubscribed);
        if json {
            let streams: Vec<Value> = self.streams.iter().map(stream_json).collect();
            let summary = json!({
                "records": records, "frames": frames, "unsubscribed": unsubscribed,
                "streams": streams, "violations": self.violations,
            });
            println!("{summary}");
            return;
        }
        println!(
            "{:<8} {:<10} {:<40} {:>14} {:>14} {:>14}",
            "venue", "market", "stream", "records", "frames", "unsubscribed"
        );
        for (venue, stream) in &self.streams {
            let ReplayedStream { market, stream, records, frames, unsubscribed } = stream;
            println!("{venue:<8} {market:<10} {stream:<40} {records:>14} {frames:>14} {unsubscribed:>14}");
        }
        self.violations.iter().for_each(|violation| println!("violation: {violation}"));
        let [records, frames, unsubscribed] = [records, frames, unsubscribed].map(grouped);
        println!(
            "replayed {records} records: {frames} frames sent, {unsubscribed} records that nobody had subscribed"
        );
    }
}

fn stream_json((venue, stream): &(&'static str, ReplayedStream)) -> Value {
    let ReplayedStream { market, stream, records, frames, unsubscribed } = stream;
    json!({
        "venue": venue, "market": market, "stream": stream,
        "records": records, "frames": frames, "unsubscribed": unsubscribed,
    })
}

//! REST: routing, weights and refusals. What the answers say is in `answers`.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::answers;
use crate::clock::now_ms;
use crate::config::Market;
use crate::core::{Core, Feed, Shared};
use crate::weight::Verdict;

/// Longest time an answer is held back until what it says was played.
const LONGEST_HOLD: Duration = Duration::from_secs(10);

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) used_weight: u32,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
}

/// A refusal of the venue: HTTP status, code, message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) u16, pub(crate) i64, pub(crate) String);

impl Refusal {
    pub(crate) fn new(code: i64, message: &str) -> Self {
        Refusal(400, code, message.to_owned())
    }

    pub(crate) fn symbol() -> Self {
        Refusal::new(-1121, "Invalid symbol.")
    }

    /// The venue cannot answer now.
    pub(crate) fn unavailable() -> Self {
        Refusal(503, -1001, "Service Unavailable.".to_owned())
    }

    /// A mandatory parameter is missing.
    pub(crate) fn missing(name: &str) -> Self {
        let text = format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.");
        Refusal(400, -1102, text)
    }

    fn body(&self) -> String {
        format!("{{\"code\":{},\"msg\":{}}}", self.1, Value::from(self.2.as_str()))
    }
}

/// The parameters of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Parameters(pairs.map(|(key, value)| (percent_decoded(key), percent_decoded(value))).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::missing(name))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let illegal = |_| Refusal::new(-1100, &format!("Illegal characters found in parameter '{name}'."));
        self.get(name).map(|text| text.parse().map_err(illegal)).transpose()
    }
}

/// Replaces `%xx` by the byte it stands for.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The endpoint of a path: what follows the market's prefix, or the whole path of `/futures/data`.
pub(crate) fn endpoint(market: Market, path: &str) -> Option<&str> {
    if market.is_futures()
        && let Some(name) = path.strip_prefix("/futures/data/")
    {
        return Some(name);
    }
    let prefix = match market {
        Market::Spot => "/api/v3/",
        Market::Usdm => "/fapi/v1/",
        Market::Coinm => "/dapi/v1/",
    };
    path.strip_prefix(prefix)
}

/// The weight of a request.
pub(crate) fn weight(market: Market, endpoint: &str, parameters: &Parameters) -> u32 {
    let limit = parameters.get("limit").and_then(|text| text.parse::<u64>().ok());
    let spot = market == Market::Spot;
    let steps = |limit: u64, steps: [(u64, u32); 3], most: u32| {
        steps.iter().find(|(top, _)| limit <= *top).map_or(most, |(_, weight)| *weight)
    };
    match endpoint {
        "depth" if spot => steps(limit.unwrap_or(100), [(100, 5), (500, 25), (1000, 50)], 250),
        "depth" => steps(limit.unwrap_or(500), [(50, 2), (100, 5), (500, 10)], 20),
        "exchangeInfo" if spot => 20,
        "trades" | "historicalTrades" if spot => 25,
        "trades" => 5,
        "historicalTrades" | "aggTrades" if !spot => 20,
        "aggTrades" => 4,
        "klines" if spot => 2,
        "klines" => steps(limit.unwrap_or(500), [(99, 1), (499, 2), (1000, 5)], 10),
        "premiumIndex" if market == Market::Coinm || parameters.get("symbol").is_none() => 10,
        "fundingRate" if market == Market::Usdm => 0,
        "fundingInfo" => 0,
        "openInterestHist"
        | "globalLongShortAccountRatio"
        | "topLongShortAccountRatio"
        | "topLongShortPositionRatio" => 0,
        _ => 1,
    }
}

/// Answers a request.
pub(crate) async fn answer(shared: &Shared, market: Market, method: &str, path: &str, query: &str) -> Reply {
    let parameters = Parameters::parse(query);
    let Some(endpoint) = endpoint(market, path).filter(|_| method == "GET") else {
        let body = "{\"code\":-5000,\"msg\":\"Path is not found.\"}".to_owned();
        return Reply { status: 404, body, used_weight: 0, retry_after: None };
    };
    let weight = weight(market, endpoint, &parameters);
    if let Err(reply) = admit(&mut shared.core.borrow_mut(), market, path, weight) {
        return reply;
    }
    if endpoint == "depth" {
        hold(shared, market, &parameters).await;
    }
    let result = when_played(shared, market, endpoint, &parameters).await;
    let used_weight = shared.core.borrow().meters[usize::from(market.is_futures())].used;
    let (status, body) = match result {
        Ok(body) => (200, body),
        Err(refusal) => (refusal.0, refusal.body()),
    };
    Reply { status, body, used_weight, retry_after: None }
}

/// Charges the weight and applies scripted faults.
fn admit(core: &mut Core, market: Market, path: &str, weight: u32) -> Result<(), Reply> {
    let bucket = usize::from(market.is_futures());
    let now = now_ms();
    let limit = core.limits.weight_per_minute[bucket];
    let ban = core.limits.ban_duration.as_millis() as u64;
    let meter = &mut core.meters[bucket];
    let verdict = meter.charge(now, weight, limit, core.limits.refusals_before_ban, ban);
    let used_weight = meter.used;
    let (status, retry_after, text) = match verdict {
        Verdict::Served => match core.hub.script.rest(market, path) {
            None => return Ok(()),
            Some((status, retry_after)) => {
                core.hub.injected_rest(status);
                let seconds = retry_after.map(|duration| duration.as_secs());
                return Err(scripted(status, seconds, used_weight));
            }
        },
        Verdict::Refused { retry_after } if bucket == 0 => (429, retry_after, too_much(limit)),
        Verdict::Refused { retry_after } => (429, retry_after, too_many(limit)),
        Verdict::Banned { retry_after, until } => (418, retry_after, banned(until)),
    };
    core.hub.violation(format!("{market}: REST answered {status} at weight {used_weight}"));
    let body = Refusal(status, -1003, text).body();
    Err(Reply { status, body, used_weight, retry_after: Some(retry_after) })
}

fn scripted(status: u16, retry_after: Option<u64>, used_weight: u32) -> Reply {
    let (code, message) = match status {
        418 | 429 => (-1003, too_much(used_weight)),
        503 => (-1001, "Service Unavailable.".to_owned()),
        _ => (-1000, "An unknown error occurred while processing the request.".to_owned()),
    };
    Reply { status, body: Refusal(status, code, message).body(), used_weight, retry_after }
}

fn too_much(limit: u32) -> String {
    format!(
        "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. \
         Please use WebSocket Streams for live updates to avoid polling the API."
    )
}

fn too_many(limit: u32) -> String {
    format!(
        "Too many requests; current limit is {limit} requests per minute. \
         Please use the websocket for live updates to avoid polling the API."
    )
}

fn banned(until: u64) -> String {
    format!(
        "Way too much request weight used; IP banned until {until}. \
         Please use WebSocket Streams for live updates to avoid bans."
    )
}

/// Holds a depth answer of a capture until the frames received before it were played.
async fn hold(shared: &Shared, market: Market, parameters: &Parameters) {
    let Some(symbol) = parameters.get("symbol").map(str::to_owned) else { return };
    let deadline = Instant::now() + LONGEST_HOLD;
    loop {
        let progress = shared.progress.notified();
        let ready = {
            let core = shared.core.borrow();
            match &core.feed {
                Feed::Generated(_) | Feed::Recorded(_) => true,
                Feed::Played(playback) => playback
                    .snapshots
                    .get(&(market, symbol.clone()))
                    .is_none_or(|snapshot| playback.played >= snapshot.after_frames),
            }
        };
        if ready || timeout_at(deadline, progress).await.is_err() {
            return;
        }
    }
}

/// The answer, once recorded history has come to what it says.
async fn when_played(
    shared: &Shared,
    market: Market,
    endpoint: &str,
    parameters: &Parameters,
) -> Result<String, Refusal> {
    let deadline = Instant::now() + LONGEST_HOLD;
    loop {
        let progress = shared.progress.notified();
        let (answer, may_come) = {
            let core = &mut *shared.core.borrow_mut();
            let answer = answers::answer(core, market, endpoint, parameters);
            let may_come = matches!(&core.feed, Feed::Recorded(replay) if !replay.has_ended());
            (answer, may_come)
        };
        let waits = may_come && answer == Err(Refusal::unavailable());
        if !waits || timeout_at(deadline, progress).await.is_err() {
            return answer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_tables() {
        let of = |market, endpoint, query| weight(market, endpoint, &Parameters::parse(query));
        assert_eq!(of(Market::Spot, "depth", "symbol=A"), 5);
        assert_eq!(of(Market::Spot, "depth", "limit=1000"), 50);
        assert_eq!(of(Market::Spot, "depth", "limit=5000"), 250);
        assert_eq!(of(Market::Usdm, "depth", ""), 10);
        assert_eq!(of(Market::Usdm, "depth", "limit=1000"), 20);
        assert_eq!(of(Market::Usdm, "depth", "limit=50"), 2);
        assert_eq!(of(Market::Spot, "exchangeInfo", ""), 20);
        assert_eq!(of(Market::Usdm, "exchangeInfo", ""), 1);
        assert_eq!(of(Market::Usdm, "aggTrades", ""), 20);
        assert_eq!(of(Market::Usdm, "premiumIndex", "symbol=A"), 1);
        assert_eq!(of(Market::Coinm, "premiumIndex", "symbol=A"), 10);
        assert_eq!(of(Market::Usdm, "openInterestHist", ""), 0);
    }

    #[test]
    fn parameters_are_decoded() {
        let parameters = Parameters::parse("symbols=%5B%22A%22%5D&limit=x&empty=");
        assert_eq!(parameters.get("symbols"), Some("[\"A\"]"));
        assert_eq!(parameters.get("empty"), None);
        assert!(parameters.number("limit").is_err());
        assert_eq!(percent_decoded("a%zz%4"), "a%zz%4");
        assert_eq!(percent_decoded("%é"), "%é");
    }
}

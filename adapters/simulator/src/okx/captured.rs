//! Streams and instruments of a capture.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Venue;
use super::catalogue::Market;
use super::number::expiry_of;
use super::session::stream_of_frame;
use super::topics::Subject;
use crate::host::{Captured, TopicId};

/// The ids of a frame: books have `seqId`, trades `tradeId`; old books have none.
#[derive(Deserialize)]
struct Ids {
    data: Vec<Id>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Id {
    seq_id: Option<u64>,
    trade_id: Option<String>,
    count: Option<String>,
}

impl Venue {
    pub(super) fn read_captured(&mut self, market: &str, text: &str) -> Option<Captured> {
        let market = Market::of_name(market)?;
        let topic = self.topics.add(market.name(), stream_of_frame(text)?, Subject::Captured);
        let (first_id, last_id) = ids(text);
        Some(Captured { topic, first_id, last_id })
    }

    /// Keeps the instrument objects of an answer.
    pub(super) fn read_captured_answer(&mut self, file: &str, body: &str) {
        let Ok(Value::Object(mut answer)) = serde_json::from_str(body) else { return };
        let Some(Value::Array(objects)) = answer.remove("data") else { return };
        if !file.starts_with("instruments_") {
            return;
        }
        for object in objects {
            if let Some(name) = object.get("instId").and_then(Value::as_str).map(str::to_owned) {
                self.definitions.insert(name, object);
            }
        }
    }

    pub(super) fn captured_symbols(&self, market: Market) -> Vec<String> {
        let names = (0..self.topics.len() as TopicId).map(|id| &self.topics.get(id).name);
        let of_market = names.filter(|name| name.market == market.name());
        let keys = of_market.filter_map(|name| name.stream.split_once(':'));
        // Keys of channels for whole markets and families are no instruments.
        let keys = keys.filter(|(channel, _)| {
            !matches!(*channel, "instruments" | "liquidation-orders" | "opt-summary" | "index-tickers")
        });
        keys.map(|(_, key)| key.to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The instruments of a capture: as captured where they were, else what their names say.
    pub(super) fn captured_objects(&self, market: Market) -> Vec<Value> {
        let object = |name: String| {
            let made = || synthetic(market, &name);
            self.definitions.get(&name).cloned().unwrap_or_else(made)
        };
        self.captured_symbols(market).into_iter().map(object).collect()
    }
}

fn ids(text: &str) -> (u64, u64) {
    let Ok(Ids { data }) = serde_json::from_str::<Ids>(text) else { return (0, 0) };
    let trade = |id: &Id| {
        let last: u64 = id.trade_id.as_ref()?.parse().ok()?;
        let count: u64 = id.count.as_ref().and_then(|count| count.parse().ok()).unwrap_or(1);
        Some(((last + 1).saturating_sub(count), last))
    };
    let of = |id: &Id| trade(id).or_else(|| id.seq_id.map(|id| (id, id))).unwrap_or((0, 0));
    match (data.first(), data.last()) {
        (Some(first), Some(last)) => (of(first).0, of(last).1),
        _ => (0, 0),
    }
}

/// A definition from a name alone. Ticks and lots are the finest that the venue uses, so that every captured number
/// fits.
fn synthetic(market: Market, name: &str) -> Value {
    let mut parts = name.split('-');
    let (base, quote) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let spot = market == Market::Spot;
    let family = if spot { String::new() } else { format!("{base}-{quote}") };
    let inverse = quote == "USD" && market != Market::Option;
    json!({
        "instType": market.instrument_type(), "instId": name, "instFamily": family, "uly": family,
        "baseCcy": if spot { base } else { "" }, "quoteCcy": if spot { quote } else { "" },
        "settleCcy": if spot { "" } else if quote == "USD" { base } else { quote },
        "ctVal": if spot { "" } else { "1" }, "ctMult": if spot { "" } else { "1" },
        "ctValCcy": if spot { "" } else if inverse { "USD" } else { base },
        "ctType": match market {
            Market::Spot | Market::Option => "",
            _ if inverse => "inverse",
            _ => "linear",
        },
        "optType": if market == Market::Option { name.rsplit('-').next().unwrap_or("") } else { "" },
        "stk": if market == Market::Option { name.rsplit('-').nth(1).unwrap_or("") } else { "" },
        "expTime": name.split('-').find_map(expiry_of).map_or(String::new(), |time| time.to_string()),
        "listTime": "", "lever": "", "alias": "", "category": "1",
        "tickSz": "0.000000000001", "lotSz": "0.00000001", "minSz": "0.00000001", "state": "live",
        "ruleType": "normal"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_frames() {
        assert_eq!(ids(r#"{"data":[{"asks":[],"seqId":7,"prevSeqId":6}]}"#), (7, 7));
        assert_eq!(ids(r#"{"data":[{"tradeId":"12","count":"3","seqId":9}]}"#), (10, 12));
        assert_eq!(ids(r#"{"data":[{"tradeId":"12"},{"tradeId":"14"}]}"#), (12, 14));
        assert_eq!(ids(r#"{"data":[{"asks":[]}]}"#), (0, 0));
        assert_eq!(ids(r#"{"data":[["1","2"]]}"#), (0, 0));
        assert_eq!(ids("x"), (0, 0));
    }
}

//! REST: instruments, time, books, trades, open interest, funding and the trading statistics.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use super::Venue;
use super::book::{Side, WINDOW};
use super::catalogue::Market;
use super::instrument::{Instrument, Trade};
use super::number::decimal;
use super::render;
use crate::host::RestAnswer;

/// Limits are counted over that long.
const WINDOW_MS: u64 = 2_000;
/// Rows of a statistic.
const STATISTICS: u64 = 100;
/// Length of a row of a statistic: five minutes.
const PERIOD: u64 = 300_000;

/// Requests of the last two seconds, by path.
#[derive(Debug, Default)]
pub(super) struct Meters {
    by_path: HashMap<&'static str, VecDeque<u64>>,
}

impl Meters {
    /// Counts a request; false when it is one too many.
    fn count(&mut self, path: &'static str, limit: usize, now_ms: u64) -> bool {
        let times = self.by_path.entry(path).or_default();
        while times.front().is_some_and(|&time| time + WINDOW_MS <= now_ms) {
            times.pop_front();
        }
        if times.len() >= limit {
            return false;
        }
        times.push_back(now_ms);
        true
    }
}

/// Paths and how many requests of each may come in two seconds.
const PATHS: [(&str, usize); 14] = [
    ("/api/v5/public/time", 10),
    ("/api/v5/public/instruments", 20),
    ("/api/v5/public/open-interest", 20),
    ("/api/v5/public/funding-rate", 10),
    ("/api/v5/market/books", 40),
    ("/api/v5/market/trades", 100),
    ("/api/v5/market/history-trades", 20),
    ("/api/v5/rubik/stat/contracts/open-interest-history", 10),
    ("/api/v5/rubik/stat/contracts/open-interest-volume", 5),
    ("/api/v5/rubik/stat/contracts/long-short-account-ratio", 5),
    ("/api/v5/rubik/stat/contracts/long-short-account-ratio-contract", 5),
    ("/api/v5/rubik/stat/contracts/long-short-account-ratio-contract-top-trader", 5),
    ("/api/v5/rubik/stat/contracts/long-short-position-ratio-contract-top-trader", 5),
    ("/api/v5/rubik/stat/taker-volume-contract", 5),
];

/// An answer that is not good: HTTP status, code of the envelope and text.
type Failure = (u16, &'static str, String);

/// The parameters of a request.
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value).next()
    }

    fn needed(&self, name: &str) -> Result<&'a str, Failure> {
        self.get(name).ok_or_else(|| (400, "50014", format!("Parameter {name} can not be empty.")))
    }

    /// A number from 1 to `most`.
    fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, Failure> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.parse() {
            Ok(number @ 1..) => Ok(usize::min(number, most)),
            _ => Err(wrong(name)),
        }
    }
}

fn wrong(name: &str) -> Failure {
    (400, "51000", format!("Parameter {name} error"))
}

/// A list of objects that were written as text.
fn listed(objects: impl Iterator<Item = String>) -> String {
    format!("[{}]", objects.collect::<Vec<_>>().join(","))
}

impl Venue {
    pub(super) fn answer(&mut self, path: &str, query: &str, now_ms: u64) -> RestAnswer {
        let data = match PATHS.iter().find(|(known, _)| *known == path) {
            None => Err((404, "404", "Not Found".to_owned())),
            Some(&(path, limit)) if self.meters.count(path, limit, now_ms) => {
                self.data(path, &Query(query), now_ms)
            }
            Some(_) => Err((429, "50011", "Too Many Requests".to_owned())),
        };
        match data {
            Ok(data) => {
                RestAnswer { status: 200, body: format!("{{\"code\":\"0\",\"msg\":\"\",\"data\":{data}}}") }
            }
            Err((status, code, text)) => {
                RestAnswer { status, body: json!({ "code": code, "msg": text, "data": [] }).to_string() }
            }
        }
    }

    fn data(&self, path: &str, query: &Query<'_>, now_ms: u64) -> Result<String, Failure> {
        if let Some(played) = self.played.as_ref().filter(|_| path != "/api/v5/public/instruments") {
            let symbol = query.get("instId").unwrap_or_default();
            return Ok(played.answer(path, symbol, query.number("sz", 1, usize::MAX)?));
        }
        match path {
            "/api/v5/public/time" => Ok(format!("[{{\"ts\":\"{now_ms}\"}}]")),
            "/api/v5/public/instruments" => self.instrument_list(query),
            "/api/v5/public/open-interest" => self.open_interest(query, now_ms),
            "/api/v5/public/funding-rate" => self.funding_rate(query, now_ms),
            "/api/v5/market/books" => self.depth(query, now_ms),
            "/api/v5/market/trades" => self.fills(query, 500, 100),
            "/api/v5/market/history-trades" => self.fills(query, 100, 100),
            statistic => self.statistic(statistic, query, now_ms),
        }
    }

    fn instrument(&self, query: &Query<'_>) -> Result<&Instrument, Failure> {
        let found = self.by_name.get(query.needed("instId")?).and_then(|&index| self.instruments.get(index));
        found.filter(|instrument| !instrument.expired).ok_or_else(|| {
            let text = "Instrument ID, Instrument ID code or Spread ID doesn't exist.";
            (200, "51001", text.to_owned())
        })
    }

    fn market(query: &Query<'_>) -> Result<Market, Failure> {
        Market::of_type(query.needed("instType")?).ok_or_else(|| wrong("instType"))
    }

    fn instrument_list(&self, query: &Query<'_>) -> Result<String, Failure> {
        let market = Venue::market(query)?;
        if market == Market::Option {
            query.needed("instFamily")?;
        }
        let objects = if self.captured {
            self.captured_objects(market)
        } else if let Some(played) = &self.played {
            played.objects(market)
        } else {
            self.listed(market).map(|one| one.spec.object(one.number, "live")).collect()
        };
        let wanted = |object: &Value| {
            // Lists of before 2022 name the family of an option by its underlying alone.
            let family = object.get("instFamily").unwrap_or(&object["uly"]);
            query.get("instId").is_none_or(|name| object["instId"] == name)
                && query.get("instFamily").is_none_or(|asked| family == asked)
        };
        Ok(Value::Array(objects.into_iter().filter(wanted).collect()).to_string())
    }

    fn open_interest(&self, query: &Query<'_>, now_ms: u64) -> Result<String, Failure> {
        let market = Venue::market(query)?;
        if market == Market::Spot {
            return Err(wrong("instType"));
        }
        if market == Market::Option {
            query.needed("instFamily")?;
        }
        let wanted = |one: &&Instrument| {
            query.get("instId").is_none_or(|name| one.spec.name == name)
                && query.get("instFamily").is_none_or(|family| one.spec.family() == family)
        };
        Ok(listed(self.listed(market).filter(wanted).map(|one| render::open_interest(one, now_ms))))
    }

    fn funding_rate(&self, query: &Query<'_>, now_ms: u64) -> Result<String, Failure> {
        if query.get("instId") == Some("ANY") {
            return Ok(listed(self.listed(Market::Swap).map(|one| render::funding_rate(one, now_ms))));
        }
        let instrument = self.instrument(query)?;
        if instrument.spec.market != Market::Swap {
            return Err(wrong("instId"));
        }
        Ok(format!("[{}]", render::funding_rate(instrument, now_ms)))
    }

    fn depth(&self, query: &Query<'_>, now_ms: u64) -> Result<String, Failure> {
        let depth = query.number("sz", 1, WINDOW)?;
        let instrument = self.instrument(query)?;
        let side = |side| render::levels(instrument, instrument.ladder.walk(side).take(depth));
        Ok(format!(
            "[{{\"asks\":{},\"bids\":{},\"ts\":\"{now_ms}\",\"seqId\":{}}}]",
            side(Side::Ask),
            side(Side::Bid),
            instrument.sequence
        ))
    }

    /// Single fills, newest first; `after` is older than an id, `before` newer.
    fn fills(&self, query: &Query<'_>, most: usize, default: usize) -> Result<String, Failure> {
        let limit = query.number("limit", default, most)?;
        let id = |name| query.get(name).map(|text| text.parse::<u64>().map_err(|_| wrong(name))).transpose();
        let (after, before) = (id("after")?, id("before")?);
        let instrument = self.instrument(query)?;
        let each = |trade: &Trade| {
            let trade = *trade;
            trade.each_fill().rev().map(move |fill| (trade, fill))
        };
        let fills = instrument.trades.iter().rev().flat_map(each);
        let wanted = fills.filter(|(_, (id, _))| {
            after.is_none_or(|after| *id < after) && before.is_none_or(|before| *id > before)
        });
        let text = |(trade, fill)| render::fill(&instrument.spec, &trade, fill);
        Ok(listed(wanted.take(limit).map(text)))
    }

    /// Statistics, newest first, one row for five minutes: plausible numbers that follow from their time.
    fn statistic(&self, path: &str, query: &Query<'_>, now_ms: u64) -> Result<String, Failure> {
        let limit = query.number("limit", STATISTICS as usize, STATISTICS as usize)? as u64;
        let by_currency =
            path.ends_with("long-short-account-ratio") || path.ends_with("open-interest-volume");
        let instrument = if by_currency {
            query.needed("ccy")?;
            None
        } else {
            Some(self.instrument(query)?)
        };
        let newest = now_ms / PERIOD * PERIOD;
        let row = |number: u64| {
            let time = newest - (number * PERIOD).min(newest);
            let level = time / PERIOD % 1_000;
            let mut row = vec![time.to_string()];
            match instrument {
                Some(instrument) if path.ends_with("open-interest-history") => {
                    row.extend(render::open_interest_amounts(instrument));
                }
                Some(_) if path.ends_with("taker-volume-contract") => {
                    row.extend([decimal(level + 7, 2), decimal(1_007 - level, 2)]);
                }
                None if path.ends_with("open-interest-volume") => {
                    row.extend([decimal(level * 1_000_000 + 5, 1), decimal(level * 90_000 + 7, 1)]);
                }
                _ => row.push(decimal(5_000 + level * 7, 4)),
            }
            json!(row).to_string()
        };
        Ok(listed((0..limit).map(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_for_two_seconds() {
        let mut meters = Meters::default();
        assert!((0..3).all(|time| meters.count("/a", 3, time)));
        assert!(!meters.count("/a", 3, 1_999));
        assert!(meters.count("/b", 3, 1_999));
        assert!(meters.count("/a", 3, 2_000));
    }
}

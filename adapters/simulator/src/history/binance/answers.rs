//! REST, answered from what was recorded up to the replayed moment.

use marketprism_core::record::RatioBasis;

use super::members::Members;
use super::{Recorded, Replay, instruments};
use crate::answers::{depth_limit, list, wanted_symbols};
use crate::config::Market;
use crate::rest::{Parameters, Refusal};
use crate::symbols::envelope;

type Answer = Result<String, Refusal>;

impl Replay {
    /// Answers a request; `weight` is the limit that `exchangeInfo` states. What comes later in the history, or never, is
    /// [`Refusal::unavailable`].
    pub(crate) fn answer(
        &self,
        market: Market,
        endpoint: &str,
        parameters: &Parameters,
        weight: u32,
    ) -> Answer {
        match (endpoint, market.is_futures()) {
            ("ping", _) => Ok("{}".to_owned()),
            ("time", _) => Ok(format!("{{\"serverTime\":{}}}", self.now_ms())),
            ("exchangeInfo", _) => self.exchange_info(market, parameters, weight),
            ("depth", _) => self.depth(market, parameters),
            ("klines", _) => self.klines(market, parameters),
            ("premiumIndex", true) => self.premium_index(market, parameters),
            ("fundingInfo", true) => {
                let rows = self.of_market(market).filter_map(|own| own.polled.funding_info(&own.definition));
                Ok(list(rows))
            }
            ("openInterest", true) => {
                let own = self.named(market, parameters.required("symbol")?)?;
                own.polled.open_interest_answer(market, &own.definition).ok_or_else(Refusal::unavailable)
            }
            ("topLongShortPositionRatio", true) => self.ratio(market, parameters, RatioBasis::TopPosition),
            ("topLongShortAccountRatio", true) => self.ratio(market, parameters, RatioBasis::TopAccount),
            ("globalLongShortAccountRatio", true) => {
                self.ratio(market, parameters, RatioBasis::GlobalAccount)
            }
            _ => Err(Refusal(404, -5000, "Path is not found.".to_owned())),
        }
    }

    /// The venue's clock at the replayed moment, epoch milliseconds.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.position_ns / 1_000_000).unwrap_or(0)
    }

    fn of_market(&self, market: Market) -> impl Iterator<Item = &Recorded> {
        self.markets[market.index()].instruments.values().filter(|own| !own.definition.delisted)
    }

    fn named(&self, market: Market, symbol: &str) -> Result<&Recorded, Refusal> {
        self.markets[market.index()].instruments.get(symbol).ok_or_else(Refusal::symbol)
    }

    fn exchange_info(&self, market: Market, parameters: &Parameters, weight: u32) -> Answer {
        // The futures list takes no parameters.
        let wanted = if market == Market::Spot { wanted_symbols(parameters)? } else { None };
        for symbol in wanted.iter().flatten() {
            self.named(market, symbol)?;
        }
        let is_wanted = |own: &&Recorded| {
            wanted.as_ref().is_none_or(|names| names.contains(&own.definition.venue_symbol))
        };
        let entries = self.of_market(market).filter(is_wanted);
        let symbols = entries.map(|own| instruments::entry(market, &own.definition)).collect();
        Ok(envelope(market, symbols, weight, self.now_ms()).to_string())
    }

    /// The book at the replayed moment, as far as it is known.
    fn depth(&self, market: Market, parameters: &Parameters) -> Answer {
        let own = self.named(market, parameters.required("symbol")?)?;
        let limit = depth_limit(market, parameters)?;
        let book = &own.book;
        let last_id = book.last_id.ok_or_else(Refusal::unavailable)?;
        let members = Members::new().integer("lastUpdateId", last_id);
        let members = match market {
            Market::Spot => members,
            _ => members.time("E", book.event_ns).time("T", book.exchange_ns),
        };
        let members = match market {
            Market::Coinm => members
                .text("symbol", &own.definition.venue_symbol)
                .text("pair", super::frames::pair(&own.definition)),
            _ => members,
        };
        let exponents = book.exponents();
        Ok(members
            .levels("bids", book.bids().take(limit), exponents)
            .levels("asks", book.asks().take(limit), exponents)
            .end())
    }

    fn klines(&self, market: Market, parameters: &Parameters) -> Answer {
        let own = self.named(market, parameters.required("symbol")?)?;
        let interval = parameters.required("interval")?;
        let limit = limit(parameters, 500)?;
        Ok(list(own.polled.candle_rows(interval, limit).into_iter()))
    }

    fn premium_index(&self, market: Market, parameters: &Parameters) -> Answer {
        let pair = parameters.get("pair").filter(|_| market == Market::Coinm);
        if let Some(symbol) = parameters.get("symbol") {
            let own = self.named(market, symbol)?;
            let row = own.polled.premium_row(market, &own.definition).ok_or_else(Refusal::unavailable)?;
            return Ok(if market == Market::Usdm { row } else { list(std::iter::once(row)) });
        }
        let rows = self
            .of_market(market)
            .filter(|own| pair.is_none_or(|pair| pair == super::frames::pair(&own.definition)))
            .filter_map(|own| own.polled.premium_row(market, &own.definition));
        Ok(list(rows))
    }

    fn ratio(&self, market: Market, parameters: &Parameters, basis: RatioBasis) -> Answer {
        let period = parameters.required("period")?;
        let limit = limit(parameters, 30)?;
        let own = match market {
            Market::Coinm => {
                let pair = parameters.required("pair")?;
                let mut found =
                    self.of_market(market).filter(|own| pair == super::frames::pair(&own.definition));
                let with_rows = |own: &&Recorded| {
                    !own.polled.ratio_rows(market, &own.definition, (basis, period), 1).is_empty()
                };
                let first = found.next().ok_or_else(Refusal::symbol)?;
                // Contracts of one pair share the statistic, which is recorded of those that were asked for.
                Some(first)
                    .filter(with_rows)
                    .or_else(|| found.find(with_rows))
                    .ok_or_else(Refusal::unavailable)?
            }
            _ => self.named(market, parameters.required("symbol")?)?,
        };
        match own.polled.ratio_rows(market, &own.definition, (basis, period), limit) {
            rows if rows.is_empty() => Err(Refusal::unavailable()),
            rows => Ok(list(rows.into_iter())),
        }
    }
}

fn limit(parameters: &Parameters, usual: u64) -> Result<usize, Refusal> {
    Ok(parameters.number("limit")?.unwrap_or(usual).clamp(1, 1500) as usize)
}

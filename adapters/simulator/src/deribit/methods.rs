//! The public methods that ask for data; the same over the socket and over HTTP.

use super::channel::{CURRENCIES, covers};
use super::definition;
use super::instrument::{Instrument, Print};
use super::market::Market;
use super::messages;
use super::number::Decimal;
use super::object::{list, object};
use super::prices::Moment;
use super::rpc::{Failure, Parameters};
use super::ticker;

/// Depths an order book can be asked for.
const DEPTHS: [u64; 8] = [1, 5, 10, 20, 50, 100, 1000, 10_000];
const HOUR_MS: u64 = 3_600_000;
/// Longest history in one answer.
const LONGEST_PAGE: u64 = 1000;
const NOT_FOUND: Failure = Failure::new(13020, "not_found");

impl Market {
    /// Calls a method; `None` when there is none of this name. The result is JSON.
    pub(super) fn call(&self, method: &str, parameters: &Parameters) -> Option<Result<String, Failure>> {
        let result = match method {
            "public/get_time" => Ok(self.moment.now_ms.to_string()),
            "public/test" | "public/hello" => Ok("{\"version\":\"1.2.26\"}".to_owned()),
            "public/status" => Ok("{\"locked\":\"false\",\"locked_indices\":[]}".to_owned()),
            "public/get_instruments" => self.instruments(parameters),
            "public/get_instrument" => self.with_instrument(parameters, definition::write),
            "public/ticker" => self.with_instrument(parameters, |out, instrument| {
                object(out, |object| ticker::write(object, instrument, self.moment));
            }),
            "public/get_order_book" => self.order_book(parameters),
            "public/get_last_trades_by_instrument" | "public/get_last_trades_by_instrument_and_time" => {
                self.last_trades(parameters)
            }
            "public/get_index_price" => self.index_price(parameters),
            "public/get_volatility_index_data" => self.volatility_history(parameters),
            "public/get_funding_rate_history" => self.funding_history(parameters),
            _ => return None,
        };
        Some(result)
    }

    fn instrument(&self, parameters: &Parameters) -> Result<&Instrument, Failure> {
        let name = parameters.required("instrument_name")?;
        if !name.contains(['-', '_']) {
            return Err(Failure::parameter("instrument_name", "wrong format"));
        }
        self.find(name).ok_or(NOT_FOUND)
    }

    fn with_instrument(
        &self,
        parameters: &Parameters,
        write: impl FnOnce(&mut String, &Instrument),
    ) -> Result<String, Failure> {
        let mut out = String::new();
        write(&mut out, self.instrument(parameters)?);
        Ok(out)
    }

    fn instruments(&self, parameters: &Parameters) -> Result<String, Failure> {
        let currency = parameters.required("currency")?;
        let kind = parameters.text("kind").unwrap_or("any");
        if !CURRENCIES.contains(&currency) && !self.instruments.iter().any(|one| one.spec.coin == currency) {
            return Err(Failure::parameter("currency", "value not supported"));
        }
        let expired = parameters.flag("expired");
        let asked = |one: &&Instrument| one.listed != expired && covers(kind, currency, &one.spec);
        let mut out = String::new();
        list(&mut out, self.instruments.iter().filter(asked), definition::write);
        Ok(out)
    }

    fn order_book(&self, parameters: &Parameters) -> Result<String, Failure> {
        let depth = parameters.integer("depth")?.unwrap_or(5);
        if !DEPTHS.contains(&depth) {
            return Err(Failure::parameter("depth", "value not supported"));
        }
        self.with_instrument(parameters, |out, instrument| {
            object(out, |object| {
                ticker::write(object, instrument, self.moment);
                object.integer("change_id", instrument.change_id);
                messages::write_levels(object, instrument, depth as usize);
            });
        })
    }

    /// Without a beginning the newest trades, else the oldest from there on.
    fn last_trades(&self, parameters: &Parameters) -> Result<String, Failure> {
        let instrument = self.instrument(parameters)?;
        let bound = |name| parameters.integer(name);
        let sequences = bound("start_seq")?.unwrap_or(0)..=bound("end_seq")?.unwrap_or(u64::MAX);
        let times = bound("start_timestamp")?.unwrap_or(0)..=bound("end_timestamp")?.unwrap_or(u64::MAX);
        let count = bound("count")?.unwrap_or(10).clamp(1, LONGEST_PAGE) as usize;
        let sorting = parameters.text("sorting").unwrap_or("default");
        let asked = |print: &&Print| sequences.contains(&print.sequence) && times.contains(&print.timestamp);
        let mut trades: Vec<&Print> = instrument.prints.iter().filter(asked).collect();
        let has_more = trades.len() > count;
        let from_start = *sequences.start() > 0 || *times.start() > 0;
        if sorting == "asc" || (sorting == "default" && from_start) {
            trades.truncate(count);
        } else {
            trades.drain(..trades.len().saturating_sub(count));
        }
        if sorting == "desc" {
            trades.reverse();
        }
        let mut out = String::new();
        object(&mut out, |object| {
            list(object.key("trades"), trades, |out, print| out.push_str(&print.text));
            object.raw("has_more", if has_more { "true" } else { "false" });
        });
        Ok(out)
    }

    fn index_price(&self, parameters: &Parameters) -> Result<String, Failure> {
        let name = parameters.required("index_name")?;
        let index = self.indices.iter().find(|(known, _)| known == name);
        let (_, usual) = index.ok_or_else(|| Failure::parameter("index_name", "value not supported"))?;
        let price = self.moment.index(*usual);
        let mut out = String::new();
        object(&mut out, |object| {
            object.float("index_price", price).float("estimated_delivery_price", price);
        });
        Ok(out)
    }

    /// Beginning and end of a history, epoch milliseconds, not in the future.
    fn period(&self, parameters: &Parameters) -> Result<(u64, u64), Failure> {
        let bound =
            |name| parameters.integer(name)?.ok_or_else(|| Failure::parameter(name, "value required"));
        Ok((bound("start_timestamp")?, bound("end_timestamp")?.min(self.moment.now_ms)))
    }

    /// The newest page of the period; `continuation` is the end of the next one.
    fn volatility_history(&self, parameters: &Parameters) -> Result<String, Failure> {
        let currency = parameters.required("currency")?;
        let name = format!("{}_usd", currency.to_lowercase());
        let Some((_, usual)) = self.indices.iter().find(|(known, _)| *known == name) else {
            return Err(Failure::parameter("currency", "value not supported"));
        };
        let (start, end) = self.period(parameters)?;
        let step = match parameters.required("resolution")? {
            "1" => 1000,
            "60" => 60_000,
            "3600" => HOUR_MS,
            "43200" => 12 * HOUR_MS,
            "1D" => 24 * HOUR_MS,
            _ => return Err(Failure::parameter("resolution", "value not supported")),
        };
        let first = start.div_ceil(step).max((end / step).saturating_sub(LONGEST_PAGE - 1));
        let at = |now_ms| Moment { now_ms, ..self.moment }.volatility(*usual);
        let mut out = String::new();
        object(&mut out, |object| {
            list(object.key("data"), first..=end / step, |out, index| {
                let (open, close) = (at(index * step), at(index * step + step - 1));
                let (high, low) = if open.value > close.value { (open, close) } else { (close, open) };
                let [open, high, low, close] = [open, high, low, close].map(Decimal::float);
                out.push_str(&format!("[{},{open},{high},{low},{close}]", index * step));
            });
            let rest = first.saturating_sub(1) * step;
            let more = first > start.div_ceil(step);
            object.raw("continuation", &if more { rest.to_string() } else { "null".to_owned() });
        });
        Ok(out)
    }

    /// Hour by hour, at most a month.
    fn funding_history(&self, parameters: &Parameters) -> Result<String, Failure> {
        let instrument = self.instrument(parameters)?;
        if instrument.spec.market != "perpetual" {
            return Err(Failure::parameter("instrument_name", "not a perpetual"));
        }
        let (start, end) = self.period(parameters)?;
        let first = start.div_ceil(HOUR_MS).max((end / HOUR_MS).saturating_sub(743));
        let mut out = String::new();
        list(&mut out, first..=end / HOUR_MS, |out, hour| {
            let at = |hour: u64| Moment { now_ms: hour * HOUR_MS, ..self.moment };
            let funding = at(hour).funding(instrument);
            object(out, |object| {
                object.integer("timestamp", hour * HOUR_MS);
                object.float("prev_index_price", at(hour.saturating_sub(1)).index(instrument.spec.index));
                object.float("index_price", at(hour).index(instrument.spec.index));
                object.rate("interest_1h", Decimal::new(funding.value / 8, funding.scale));
                object.rate("interest_8h", funding);
            });
        });
        Ok(out)
    }
}

//! What REST says: instruments, depth, trades, bars.

use serde_json::{Value, json};

use crate::clock::now_ms;
use crate::config::Market;
use crate::core::{Core, Feed};
use crate::frames::Writer;
use crate::futures;
use crate::instrument::Instrument;
use crate::market::World;
use crate::playback::Playback;
use crate::rest::{Parameters, Refusal};
use crate::stats::{Aggregate, Trade};
use crate::streams::INTERVALS;
use crate::symbols::{envelope, exchange_info, written};

/// Most trades or aggregates in one answer.
const MOST_TRADES: u64 = 1000;

/// Answers an endpoint of a market.
pub(crate) fn answer(
    core: &mut Core,
    market: Market,
    endpoint: &str,
    parameters: &Parameters,
) -> Result<String, Refusal> {
    if let Feed::Recorded(replay) = &core.feed {
        let weight = core.limits.weight_per_minute[usize::from(market.is_futures())];
        return replay.answer(market, endpoint, parameters, weight);
    }
    match endpoint {
        "ping" => return Ok("{}".to_owned()),
        "time" => return Ok(format!("{{\"serverTime\":{}}}", time(&core.feed))),
        "exchangeInfo" => return instruments(core, market, parameters),
        "depth" => return depth(core, market, parameters),
        _ => {}
    }
    if market.is_futures()
        && let Some(answer) = futures::answer(&core.feed, market, endpoint, parameters)
    {
        return answer;
    }
    match endpoint {
        "trades" | "historicalTrades" | "aggTrades" | "klines" => {
            let symbol = parameters.required("symbol")?;
            known(&core.feed, market, symbol)?;
            match &core.feed {
                Feed::Generated(world) => history(world, market, endpoint, symbol, parameters),
                Feed::Played(_) | Feed::Recorded(_) => Ok("[]".to_owned()),
            }
        }
        _ => Err(Refusal(404, -5000, "Path is not found.".to_owned())),
    }
}

/// Market time of a generated market, wall-clock time otherwise; epoch milliseconds.
pub(crate) fn time(feed: &Feed) -> u64 {
    match feed {
        Feed::Generated(world) => world.now,
        Feed::Played(_) | Feed::Recorded(_) => now_ms(),
    }
}

/// Refuses symbols the market does not have.
pub(crate) fn known(feed: &Feed, market: Market, symbol: &str) -> Result<(), Refusal> {
    let found = match feed {
        Feed::Generated(world) => world.find(market, symbol).is_some(),
        Feed::Played(_) | Feed::Recorded(_) => feed.symbols(market).iter().any(|own| own == symbol),
    };
    if found { Ok(()) } else { Err(Refusal::symbol()) }
}

pub(crate) fn wanted_symbols(parameters: &Parameters) -> Result<Option<Vec<String>>, Refusal> {
    if let Some(symbol) = parameters.get("symbol") {
        return Ok(Some(vec![symbol.to_owned()]));
    }
    let Some(list) = parameters.get("symbols") else { return Ok(None) };
    let illegal = |_| Refusal::new(-1100, "Illegal characters found in parameter 'symbols'.");
    serde_json::from_str(list).map(Some).map_err(illegal)
}

fn instruments(core: &Core, market: Market, parameters: &Parameters) -> Result<String, Refusal> {
    // The futures list takes no parameters.
    let wanted = if market == Market::Spot { wanted_symbols(parameters)? } else { None };
    for symbol in wanted.iter().flatten() {
        known(&core.feed, market, symbol)?;
    }
    let keep = |name: &str| wanted.as_ref().is_none_or(|list| list.iter().any(|own| own == name));
    let weight = core.limits.weight_per_minute[usize::from(market.is_futures())];
    let info = match &core.feed {
        Feed::Generated(world) => {
            let specs: Vec<_> = world.of_market(market).iter().map(|one| &one.spec).collect();
            let specs: Vec<_> = specs.into_iter().filter(|spec| keep(&spec.name)).collect();
            exchange_info(market, &specs, weight, world.now)
        }
        Feed::Played(playback) => captured_info(playback, market, weight, keep),
        Feed::Recorded(_) => Value::Null,
    };
    Ok(info.to_string())
}

/// The capture's own exchangeInfo cut down to its symbols, completed from the digits of their numbers.
fn captured_info(playback: &Playback, market: Market, weight: u32, keep: impl Fn(&str) -> bool) -> Value {
    let recorded = playback.exchange_info.get(&market);
    let listed = recorded.and_then(|info| info.get("symbols")).and_then(Value::as_array);
    let of_recording = |name: &str| {
        listed
            .and_then(|list| list.iter().find(|one| one.get("symbol").and_then(Value::as_str) == Some(name)))
    };
    let symbols = playback
        .symbols(market)
        .iter()
        .filter(|name| keep(name))
        .map(|name| {
            of_recording(name).cloned().unwrap_or_else(|| futures::guessed_symbol(playback, market, name))
        })
        .collect();
    match recorded {
        Some(info) => {
            let mut info = info.clone();
            info["symbols"] = Value::Array(symbols);
            info
        }
        None => envelope(market, symbols, weight, now_ms()),
    }
}

pub(crate) fn depth_limit(market: Market, parameters: &Parameters) -> Result<usize, Refusal> {
    let limit = parameters.number("limit")?;
    if market == Market::Spot {
        return Ok(limit.unwrap_or(100).clamp(1, 5000) as usize);
    }
    let limit = limit.unwrap_or(500);
    let allowed = [5, 10, 20, 50, 100, 500, 1000];
    if allowed.contains(&limit) {
        Ok(limit as usize)
    } else {
        Err(Refusal::new(-4021, "Invalid depth limit."))
    }
}

fn depth(core: &mut Core, market: Market, parameters: &Parameters) -> Result<String, Refusal> {
    let symbol = parameters.required("symbol")?;
    let limit = depth_limit(market, parameters)?;
    let (stale, current) = (core.limits.stale_snapshots, core.limits.current_fields);
    match &mut core.feed {
        Feed::Generated(world) => {
            let age = if stale { world.snapshot_age() } else { 0 };
            let instrument = world.find(market, symbol).ok_or_else(Refusal::symbol)?;
            let (ladder, id) = world.snapshot(instrument, age);
            let mut out = Vec::with_capacity(1 << 16);
            let now = world.now.saturating_sub(age);
            let mut writer = Writer { out: &mut out, spec: &instrument.spec, now, current };
            writer.snapshot(&ladder, limit, id);
            Ok(String::from_utf8_lossy(&out).into_owned())
        }
        Feed::Played(playback) => {
            let snapshot =
                playback.snapshots.get(&(market, symbol.to_owned())).ok_or_else(Refusal::symbol)?;
            Ok(String::from_utf8_lossy(&snapshot.body).into_owned())
        }
        Feed::Recorded(_) => Err(Refusal::symbol()),
    }
}

fn history(
    world: &World,
    market: Market,
    endpoint: &str,
    symbol: &str,
    parameters: &Parameters,
) -> Result<String, Refusal> {
    let instrument = world.find(market, symbol).ok_or_else(Refusal::symbol)?;
    let limit = parameters.number("limit")?.unwrap_or(500).clamp(1, MOST_TRADES) as usize;
    let from = parameters.number("fromId")?;
    let start = parameters.number("startTime")?;
    let end = parameters.number("endTime")?;
    let within = |time: u64| start.is_none_or(|start| time >= start) && end.is_none_or(|end| time <= end);
    match endpoint {
        "klines" => bars(world, instrument, parameters, limit),
        "aggTrades" if start.is_some() || end.is_some() => {
            let all = instrument.aggregates.range(Some(0), usize::MAX);
            let mut inside: Vec<_> = all.into_iter().filter(|one| within(one.fill.time)).collect();
            if start.is_none() && inside.len() > limit {
                inside.drain(..inside.len() - limit);
            }
            inside.truncate(limit);
            Ok(list(inside.iter().map(|one| aggregate(instrument, one))))
        }
        "aggTrades" => {
            let rows = instrument.aggregates.range(from, limit);
            Ok(list(rows.iter().map(|one| aggregate(instrument, one))))
        }
        _ => {
            let from = if endpoint == "historicalTrades" { from } else { None };
            let rows = instrument.trades.range(from, limit);
            Ok(list(rows.iter().map(|one| trade(instrument, one))))
        }
    }
}

/// A JSON array of rendered rows; keys keep their order, which a tree would lose.
pub(crate) fn list(rows: impl Iterator<Item = String>) -> String {
    format!("[{}]", rows.collect::<Vec<_>>().join(","))
}

fn aggregate(instrument: &Instrument, one: &Aggregate) -> String {
    let spec = &instrument.spec;
    let (price, lots) = (written(one.fill.price, spec.price), written(one.fill.lots, spec.lots));
    let not_retail = if spec.market == Market::Usdm { format!(",\"nq\":\"{lots}\"") } else { String::new() };
    let best = if spec.market == Market::Spot { ",\"M\":true" } else { "" };
    format!(
        "{{\"a\":{},\"p\":\"{price}\",\"q\":\"{lots}\"{not_retail},\"f\":{},\"l\":{},\"T\":{},\"m\":{}{best}}}",
        one.id, one.first, one.last, one.fill.time, one.fill.maker_buys
    )
}

fn trade(instrument: &Instrument, one: &Trade) -> String {
    let spec = &instrument.spec;
    let (price, lots) = (written(one.price, spec.price), written(one.lots, spec.lots));
    let mut turnover = Vec::new();
    let value = spec.turnover(one.price, one.lots);
    crate::text::wide_decimal(&mut turnover, value, spec.turnover_scale(), spec.turnover_decimals());
    let turnover = String::from_utf8_lossy(&turnover);
    let key = if spec.market == Market::Coinm { "baseQty" } else { "quoteQty" };
    let last = match spec.market {
        Market::Spot => ",\"isBestMatch\":true",
        Market::Usdm => ",\"isRPITrade\":false",
        Market::Coinm => "",
    };
    format!(
        "{{\"id\":{},\"price\":\"{price}\",\"qty\":\"{lots}\",\"{key}\":\"{turnover}\",\"time\":{},\
         \"isBuyerMaker\":{}{last}}}",
        one.id, one.time, one.maker_buys
    )
}

/// One-minute bars from memory; of other intervals only the current one, once its stream was subscribed.
fn bars(
    world: &World,
    instrument: &Instrument,
    parameters: &Parameters,
    limit: usize,
) -> Result<String, Refusal> {
    let name = parameters.required("interval")?;
    let interval = INTERVALS.iter().position(|(known, _)| *known == name);
    let interval = interval.ok_or_else(|| Refusal::new(-1120, "Invalid interval."))?;
    let current = instrument.bars.iter().find(|bars| bars.interval == interval).and_then(|bars| bars.current);
    let mut rows: Vec<_> = current.into_iter().collect();
    if interval == 1 {
        rows.extend(instrument.minutes.iter().copied());
    }
    rows.truncate(limit);
    let render = |bar| {
        let mut out = Vec::new();
        let mut writer = Writer { out: &mut out, spec: &instrument.spec, now: world.now, current: true };
        writer.kline_row(&bar);
        String::from_utf8_lossy(&out).into_owned()
    };
    Ok(list(rows.into_iter().rev().map(render)))
}

/// The error of a period parameter the venue does not know.
pub(crate) fn period(parameters: &Parameters) -> Result<u64, Refusal> {
    let name = parameters.required("period")?;
    let known = ["5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"];
    let seconds = INTERVALS.iter().find(|(interval, _)| *interval == name && known.contains(&name));
    let invalid = || Refusal::new(-1130, "Data sent for parameter 'period' is not valid.");
    seconds.map(|(_, seconds)| seconds * 1000).ok_or_else(invalid)
}

/// Text of a JSON string.
pub(crate) fn quoted(text: &str) -> Value {
    json!(text)
}

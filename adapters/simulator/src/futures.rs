//! REST of futures: mark prices, funding, open interest, ratios; and guesses at captured instruments.

use serde_json::{Value, json};

use crate::answers::{known, list, period, quoted, time};
use crate::config::Market;
use crate::core::Feed;
use crate::playback::Playback;
use crate::rest::{Parameters, Refusal};
use crate::scan;
use crate::symbols::written;
use crate::text::{Random, Scale};

const FUNDING_INTERVAL: u64 = 8 * 3600 * 1000;

/// Answers an endpoint only futures have; `None` for any other.
pub(crate) fn answer(
    feed: &Feed,
    market: Market,
    endpoint: &str,
    parameters: &Parameters,
) -> Option<Result<String, Refusal>> {
    let answer = match endpoint {
        "premiumIndex" => premium_index(feed, market, parameters),
        "fundingRate" => funding_rates(feed, market, parameters),
        "fundingInfo" => Ok(funding_info(feed, market)),
        "openInterest" => open_interest(feed, market, parameters),
        "openInterestHist"
        | "globalLongShortAccountRatio"
        | "topLongShortAccountRatio"
        | "topLongShortPositionRatio" => statistics(feed, market, endpoint, parameters),
        _ => return None,
    };
    Some(answer)
}

/// A futures instrument as the answers need it.
struct Contract {
    name: String,
    pair: String,
    dated: bool,
    /// Units of 10^-8.
    mark: u64,
    index: u64,
    rate: i64,
    /// Open interest in lots.
    interest: u64,
    lots: Scale,
}

fn seed_of(name: &str) -> u64 {
    name.bytes().fold(17, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()))
}

fn contracts(feed: &Feed, market: Market) -> Vec<Contract> {
    let interest = |name: &str| 100_000 + u64::from(Random::new(seed_of(name)).below(9_000_000));
    match feed {
        Feed::Generated(world) => world
            .of_market(market)
            .iter()
            .map(|one| {
                let (mark, index, rate, _) = one.mark(world.now);
                let (name, pair) = (one.spec.name.clone(), one.spec.pair.clone());
                let interest = interest(&name) + one.day.trades % 1000;
                Contract {
                    name,
                    pair,
                    dated: one.spec.dated,
                    mark,
                    index,
                    rate,
                    interest,
                    lots: one.spec.lots,
                }
            })
            .collect(),
        Feed::Recorded(_) => Vec::new(),
        Feed::Played(playback) => playback
            .symbols(market)
            .into_iter()
            .map(|name| {
                let (pair, end) = name.split_once('_').unwrap_or((&name, "PERP"));
                let (pair, dated) = (pair.to_owned(), end != "PERP");
                let lots = Scale { scale: if market == Market::Coinm { 0 } else { 3 }, zeros: 0 };
                let interest = interest(&name);
                // A capture need not hold mark prices; any will do for the shape of the answers.
                Contract {
                    name,
                    pair,
                    dated,
                    mark: 10_000_000_000,
                    index: 9_990_000_000,
                    rate: 10_000,
                    interest,
                    lots,
                }
            })
            .collect(),
    }
}

fn eight(value: u64) -> String {
    written(value, Scale { scale: 8, zeros: 0 })
}

fn signed_eight(value: i64) -> String {
    format!("{}{}", if value < 0 { "-" } else { "" }, eight(value.unsigned_abs()))
}

fn premium_index(feed: &Feed, market: Market, parameters: &Parameters) -> Result<String, Refusal> {
    let symbol = parameters.get("symbol");
    let pair = parameters.get("pair").filter(|_| market == Market::Coinm);
    if let Some(symbol) = symbol {
        known(feed, market, symbol)?;
    }
    let now = time(feed);
    let rows: Vec<String> = contracts(feed, market)
        .iter()
        .filter(|one| symbol.is_none_or(|name| name == one.name) && pair.is_none_or(|pair| pair == one.pair))
        .map(|one| premium_row(one, market, now))
        .collect();
    match (market, symbol, rows.first()) {
        (Market::Usdm, Some(_), Some(row)) => Ok(row.clone()),
        _ => Ok(list(rows.into_iter())),
    }
}

fn premium_row(one: &Contract, market: Market, now: u64) -> String {
    let coin = market == Market::Coinm;
    let pair = if coin { format!(",\"pair\":\"{}\"", one.pair) } else { String::new() };
    let undated = |text: String| if one.dated && coin { String::new() } else { text };
    let next = if one.dated { 0 } else { (now / FUNDING_INTERVAL + 1) * FUNDING_INTERVAL };
    format!(
        "{{\"symbol\":\"{}\"{pair},\"markPrice\":\"{}\",\"indexPrice\":\"{}\",\"estimatedSettlePrice\":\"{}\",\
         \"lastFundingRate\":\"{}\",\"interestRate\":\"{}\",\"nextFundingTime\":{next},\"time\":{now}}}",
        one.name,
        eight(one.mark),
        eight(one.index),
        eight(one.index),
        undated(signed_eight(one.rate)),
        undated("0.00010000".to_owned()),
    )
}

fn funding_rates(feed: &Feed, market: Market, parameters: &Parameters) -> Result<String, Refusal> {
    let symbol = match market {
        Market::Coinm => Some(parameters.required("symbol")?),
        _ => parameters.get("symbol"),
    };
    if let Some(symbol) = symbol {
        known(feed, market, symbol)?;
    }
    let (start, end) = (parameters.number("startTime")?, parameters.number("endTime")?);
    let limit = parameters.number("limit")?.unwrap_or(100).clamp(1, 1000) as usize;
    let last = end.unwrap_or(u64::MAX).min(time(feed)) / FUNDING_INTERVAL;
    let mut rows = Vec::new();
    for one in contracts(feed, market) {
        if one.dated || symbol.is_some_and(|name| name != one.name) {
            continue;
        }
        let first = match start {
            Some(start) => start.div_ceil(FUNDING_INTERVAL),
            None => (last + 1).saturating_sub(limit.min(200) as u64),
        };
        rows.extend((first..=last).take(limit).map(|period| {
            let mut random = Random::new(seed_of(&one.name) ^ period);
            let rate = i64::from(random.below(30_000)) - 10_000;
            (period, funding_row(&one, period * FUNDING_INTERVAL, rate))
        }));
    }
    rows.sort_by_key(|(period, _)| *period);
    Ok(list(rows.into_iter().take(limit).map(|(_, row)| row)))
}

fn funding_row(one: &Contract, time: u64, rate: i64) -> String {
    format!(
        "{{\"symbol\":\"{}\",\"fundingRate\":\"{}\",\"fundingTime\":{time},\"markPrice\":\"{}\"}}",
        one.name,
        signed_eight(rate),
        eight(one.mark)
    )
}

/// Only instruments with settings of their own are listed: here every fourth perpetual.
fn funding_info(feed: &Feed, market: Market) -> String {
    let perpetuals = contracts(feed, market).into_iter().filter(|one| !one.dated);
    list(perpetuals.step_by(4).map(|one| {
        format!(
            "{{\"symbol\":\"{}\",\"adjustedFundingRateCap\":\"0.02500000\",\
             \"adjustedFundingRateFloor\":\"-0.02500000\",\"fundingIntervalHours\":8,\"disclaimer\":false}}",
            one.name
        )
    }))
}

fn open_interest(feed: &Feed, market: Market, parameters: &Parameters) -> Result<String, Refusal> {
    let symbol = parameters.required("symbol")?;
    let contracts = contracts(feed, market);
    let one = contracts.iter().find(|one| one.name == symbol).ok_or_else(Refusal::symbol)?;
    let (interest, now) = (written(one.interest, one.lots), time(feed));
    if market == Market::Usdm {
        return Ok(format!("{{\"openInterest\":\"{interest}\",\"symbol\":\"{symbol}\",\"time\":{now}}}"));
    }
    let kind = if one.dated { "CURRENT_QUARTER" } else { "PERPETUAL" };
    Ok(format!(
        "{{\"symbol\":\"{symbol}\",\"pair\":\"{}\",\"openInterest\":\"{interest}\",\
         \"contractType\":\"{kind}\",\"time\":{now}}}",
        one.pair
    ))
}

/// The statistics below `/futures/data`, one row a period, oldest first.
fn statistics(
    feed: &Feed,
    market: Market,
    endpoint: &str,
    parameters: &Parameters,
) -> Result<String, Refusal> {
    let key = if market == Market::Coinm { "pair" } else { "symbol" };
    let name = parameters.required(key)?;
    let length = period(parameters)?;
    let limit = parameters.number("limit")?.unwrap_or(30).clamp(1, 500);
    let contracts = contracts(feed, market);
    let found = contracts.iter().find(|one| if key == "pair" { one.pair == name } else { one.name == name });
    let one = found.ok_or_else(Refusal::symbol)?;
    let end = parameters.number("endTime")?.unwrap_or(u64::MAX).min(time(feed)) / length;
    let first = match parameters.number("startTime")? {
        Some(start) => start.div_ceil(length).max((end + 1).saturating_sub(500)),
        None => (end + 1).saturating_sub(limit),
    };
    let rows = (first..=end).take(limit as usize).map(|step| {
        let mut random = Random::new(seed_of(name) ^ step);
        statistic(one, market, endpoint, random.below(4000), step * length)
    });
    Ok(list(rows))
}

fn statistic(one: &Contract, market: Market, endpoint: &str, chance: u32, timestamp: u64) -> String {
    let coin = market == Market::Coinm;
    let name =
        if coin { format!("\"pair\":\"{}\"", one.pair) } else { format!("\"symbol\":\"{}\"", one.name) };
    if endpoint == "openInterestHist" {
        let interest = one.interest + u64::from(chance);
        let value = u128::from(interest) * u128::from(one.mark) / 10_u128.pow(one.lots.scale.into());
        let kind = if coin { ",\"contractType\":\"PERPETUAL\"" } else { "" };
        let supply = if coin { "" } else { ",\"CMCCirculatingSupply\":\"165880.538\"" };
        return format!(
            "{{{name}{kind},\"sumOpenInterest\":\"{}\",\"sumOpenInterestValue\":\"{}\"{supply},\
             \"timestamp\":{timestamp}}}",
            written(interest, Scale { scale: one.lots.scale, zeros: 8 - one.lots.scale }),
            eight(u64::try_from(value).unwrap_or(u64::MAX)),
        );
    }
    let four = Scale { scale: 4, zeros: 0 };
    let long = u64::from(3000 + chance);
    let position = coin && endpoint == "topLongShortPositionRatio";
    let (long_key, short_key) =
        if position { ("longPosition", "shortPosition") } else { ("longAccount", "shortAccount") };
    format!(
        "{{{name},\"longShortRatio\":\"{}\",\"{long_key}\":\"{}\",\"{short_key}\":\"{}\",\"timestamp\":{timestamp}}}",
        written(long * 10_000 / (10_000 - long), four),
        written(long, four),
        written(10_000 - long, four)
    )
}

/// Most samples looked at to learn the digits of an instrument.
const SAMPLES: usize = 200;

/// An exchangeInfo entry for a captured symbol, from the digits its numbers have.
pub(crate) fn guessed_symbol(playback: &Playback, market: Market, name: &str) -> Value {
    let (mut price, mut lots) = (0, 0);
    let mut look = |sample: &[u8]| {
        scan::members(sample, |key, value| {
            let text = &sample[value.start..value.end];
            match key {
                b"p" | b"b" | b"a" if value.string => price = decimals(text, market).max(price),
                b"q" | b"B" | b"A" if value.string => lots = decimals(text, market).max(lots),
                _ => {}
            }
        });
    };
    playback.samples(market, name).take(SAMPLES).for_each(&mut look);
    if let Some(snapshot) = playback.snapshots.get(&(market, name.to_owned()))
        && let Ok(tree) = serde_json::from_slice::<Value>(&snapshot.body)
    {
        for level in tree.get("bids").and_then(Value::as_array).into_iter().flatten() {
            let text = |index: usize| level.get(index).and_then(Value::as_str).unwrap_or("").as_bytes();
            price = decimals(text(0), market).max(price);
            lots = decimals(text(1), market).max(lots);
        }
    }
    symbol_entry(market, name, price, lots)
}

/// Decimals of a number; on spot without the zeros that fill it up to eight.
fn decimals(text: &[u8], market: Market) -> u8 {
    let Some(point) = text.iter().position(|&byte| byte == b'.') else { return 0 };
    let mut fraction = &text[point + 1..];
    while market == Market::Spot && fraction.last() == Some(&b'0') {
        fraction = &fraction[..fraction.len() - 1];
    }
    fraction.len().min(8) as u8
}

fn symbol_entry(market: Market, name: &str, price: u8, lots: u8) -> Value {
    let (pair, end) = name.split_once('_').unwrap_or((name, "PERP"));
    let quotes = ["USDT", "USDC", "BUSD", "USD", "BTC", "ETH", "BNB", "EUR", "AUD", "BRL", "RUB", "TRY"];
    let quote =
        quotes.into_iter().find(|quote| pair.len() > quote.len() && pair.ends_with(quote)).unwrap_or("USDT");
    let base = pair.strip_suffix(quote).unwrap_or(pair);
    let zeros = |digits: u8| if market == Market::Spot { 8 - digits } else { 0 };
    let tick = written(1, Scale { scale: price, zeros: zeros(price) });
    let step = written(1, Scale { scale: lots, zeros: zeros(lots) });
    let filters = json!([
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "1000000000", "stepSize": step},
    ]);
    let mut entry = json!({
        "symbol": name, "baseAsset": base, "quoteAsset": quote, "baseAssetPrecision": 8, "quotePrecision": 8,
        "filters": filters, "orderTypes": ["LIMIT", "MARKET"],
    });
    entry[if market == Market::Coinm { "contractStatus" } else { "status" }] = quoted("TRADING");
    if market.is_futures() {
        let perpetual = end == "PERP";
        entry["pair"] = quoted(pair);
        entry["contractType"] = quoted(if perpetual { "PERPETUAL" } else { "CURRENT_QUARTER" });
        entry["deliveryDate"] = json!(if perpetual { 4_133_404_800_000_u64 } else { delivery(end) });
        entry["marginAsset"] = quoted(if market == Market::Coinm { base } else { quote });
        entry["pricePrecision"] = json!(price);
        entry["quantityPrecision"] = json!(lots);
        entry["underlyingType"] = quoted("COIN");
        entry["timeInForce"] = json!(["GTC", "IOC", "FOK", "GTX"]);
    }
    if market == Market::Coinm {
        entry["contractSize"] = json!(if base == "BTC" { 100 } else { 10 });
    }
    entry
}

/// Delivery time of a `YYMMDD` ending, epoch milliseconds at 08:00 UTC; 0 when it is none.
fn delivery(text: &str) -> u64 {
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u64>().ok());
    let (Some(year), Some(month), Some(day)) = (part(0..2), part(2..4), part(4..6)) else { return 0 };
    // Days from the civil calendar, with the year beginning in March.
    let shifted = if month > 2 { 2000 + year } else { 1999 + year };
    let month_index = (month + 9) % 12;
    let days =
        365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + (153 * month_index + 2) / 5 + day;
    (days.saturating_sub(719_469) * 24 + 8) * 3_600_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_symbols_are_guessed_from_their_digits() {
        assert_eq!(decimals(b"0.35210000", Market::Spot), 4);
        assert_eq!(decimals(b"61800.30", Market::Usdm), 2);
        assert_eq!(decimals(b"12", Market::Coinm), 0);
        assert_eq!(delivery("261225"), 1_798_185_600_000);
        let entry = symbol_entry(Market::Coinm, "BTCUSD_210924", 1, 0);
        assert_eq!(entry["contractSize"], 100);
        assert_eq!((entry["baseAsset"].as_str(), entry["pair"].as_str()), (Some("BTC"), Some("BTCUSD")));
        assert_eq!(symbol_entry(Market::Spot, "NKNUSDT", 4, 0)["filters"][0]["tickSize"], "0.00010000");
    }
}

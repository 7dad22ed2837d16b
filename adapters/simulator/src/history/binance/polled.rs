//! What a client may ask for, as of the replayed moment.

use std::collections::{BTreeMap, VecDeque};

use marketprism_core::record::{
    ABSENT, Candle, FundingRate, LongShortRatio, MarkPrice, OpenInterest, RatioBasis, text_of,
};
use marketprism_core::{Decimal, Instrument};

use super::frames::pair;
use super::instruments::contract_type;
use super::members::{Members, venue_time};
use crate::config::Market;

/// Most candles of one interval and ratios of one basis that are kept: what one request may ask for.
const MOST_ROWS: usize = 1500;

const NS_PER_HOUR: i64 = 3_600_000_000_000;

/// The newest that was told of one instrument. Marks and funding come from streams and answers.
#[derive(Debug, Default)]
pub(super) struct Polled {
    mark: Option<MarkPrice>,
    funding: Option<FundingRate>,
    funding_interval_ns: Option<i64>,
    open_interest: Option<OpenInterest>,
    /// By basis and period.
    ratios: BTreeMap<(u8, String), VecDeque<LongShortRatio>>,
    /// By interval.
    candles: BTreeMap<String, VecDeque<Candle>>,
}

impl Polled {
    pub(super) fn mark_price(&mut self, mark: &MarkPrice) {
        self.mark = Some(*mark);
    }

    /// A rate, or the interval alone, which the venue lists apart.
    pub(super) fn funding(&mut self, funding: &FundingRate) {
        if funding.rate != ABSENT {
            self.funding = Some(*funding);
        }
        if funding.interval_ns != ABSENT {
            self.funding_interval_ns = Some(funding.interval_ns);
        }
    }

    pub(super) fn open_interest(&mut self, open_interest: &OpenInterest) {
        self.open_interest = Some(*open_interest);
    }

    pub(super) fn ratio(&mut self, ratio: &LongShortRatio) {
        let rows = self.ratios.entry((ratio.basis, text_of(&ratio.period).to_owned())).or_default();
        // Asked for twice in a period, it comes twice.
        if rows.back().is_some_and(|last| last.header.exchange_ns == ratio.header.exchange_ns) {
            rows.pop_back();
        }
        push(rows, *ratio);
    }

    pub(super) fn candle(&mut self, candle: &Candle) {
        let rows = self.candles.entry(text_of(&candle.interval).to_owned()).or_default();
        if rows.back().is_some_and(|last| last.open_ns == candle.open_ns) {
            rows.pop_back();
        }
        push(rows, *candle);
    }

    /// The answer `premiumIndex` of one symbol.
    pub(super) fn premium_row(&self, market: Market, instrument: &Instrument) -> Option<String> {
        let mark = self.mark.as_ref()?;
        let price = mark.header.price_exponent;
        let named = Members::new().text("symbol", &instrument.venue_symbol);
        let named = if market == Market::Coinm { named.text("pair", pair(instrument)) } else { named };
        let rate = self.funding.map_or((ABSENT, 0), |funding| (funding.rate, funding.rate_exponent));
        let interest =
            self.funding.map_or((ABSENT, 0), |funding| (funding.interest_rate, funding.interest_exponent));
        let next_ns = self.funding.map_or(ABSENT, |funding| funding.next_funding_ns);
        let members = named
            .number_or_empty("markPrice", mark.mark_price, price)
            .number_or_empty("indexPrice", mark.index_price, price)
            .number_or_empty("estimatedSettlePrice", mark.settlement_price, price)
            .number_or_empty("lastFundingRate", rate.0, rate.1)
            .number_or_empty("interestRate", interest.0, interest.1)
            .integer("nextFundingTime", venue_time(next_ns).unwrap_or(0))
            .time("time", mark.header.exchange_ns);
        Some(members.end())
    }

    /// The entry of `fundingInfo`, where the venue lists one.
    pub(super) fn funding_info(&self, instrument: &Instrument) -> Option<String> {
        let hours = self.funding_interval_ns? / NS_PER_HOUR;
        let members = Members::new()
            .text("symbol", &instrument.venue_symbol)
            .text("adjustedFundingRateCap", "0.02000000")
            .text("adjustedFundingRateFloor", "-0.02000000")
            .integer("fundingIntervalHours", hours)
            .boolean("disclaimer", false);
        Some(members.end())
    }

    /// The answer `openInterest`.
    pub(super) fn open_interest_answer(&self, market: Market, instrument: &Instrument) -> Option<String> {
        let record = self.open_interest.as_ref()?;
        let named = Members::new().text("symbol", &instrument.venue_symbol);
        let named = match market {
            Market::Coinm => {
                named.text("pair", pair(instrument)).text("contractType", contract_type(instrument))
            }
            _ => named,
        };
        let members = named
            .number("openInterest", record.open_interest, record.header.quantity_exponent)
            .time("time", record.header.exchange_ns);
        Some(members.end())
    }

    /// Rows of a long/short ratio, oldest first.
    pub(super) fn ratio_rows(
        &self,
        market: Market,
        instrument: &Instrument,
        (basis, period): (RatioBasis, &str),
        limit: usize,
    ) -> Vec<String> {
        let rows = self.ratios.get(&(basis as u8, period.to_owned()));
        newest(rows, limit).map(|ratio| ratio_row(market, instrument, ratio)).collect()
    }

    /// Rows of candles, oldest first.
    pub(super) fn candle_rows(&self, interval: &str, limit: usize) -> Vec<String> {
        newest(self.candles.get(interval), limit).map(candle_row).collect()
    }
}

fn push<T>(rows: &mut VecDeque<T>, row: T) {
    if rows.len() == MOST_ROWS {
        rows.pop_front();
    }
    rows.push_back(row);
}

fn newest<T>(rows: Option<&VecDeque<T>>, limit: usize) -> impl Iterator<Item = &T> {
    let rows = rows.into_iter().flatten();
    let count = rows.clone().count();
    rows.skip(count.saturating_sub(limit))
}

fn ratio_row(market: Market, instrument: &Instrument, ratio: &LongShortRatio) -> String {
    let is_coin = market == Market::Coinm;
    let (key, name) =
        if is_coin { ("pair", pair(instrument)) } else { ("symbol", instrument.venue_symbol.as_str()) };
    // Positions of COIN-M have names of their own.
    let (long, short) = match is_coin && ratio.basis == RatioBasis::TopPosition as u8 {
        true => ("longPosition", "shortPosition"),
        false => ("longAccount", "shortAccount"),
    };
    Members::new()
        .text(key, name)
        .number("longShortRatio", ratio.ratio, ratio.ratio_exponent)
        .given(long, ratio.long_share, ratio.share_exponent)
        .given(short, ratio.short_share, ratio.share_exponent)
        .time("timestamp", ratio.header.exchange_ns)
        .end()
}

fn candle_row(candle: &Candle) -> String {
    let (price, quantity) = (candle.header.price_exponent, candle.header.quantity_exponent);
    let number = |mantissa: i64, exponent: i8| match mantissa {
        ABSENT => "\"0\"".to_owned(),
        _ => format!("\"{}\"", Decimal::new(mantissa, exponent)),
    };
    let time = |time_ns| venue_time(time_ns).unwrap_or(0).to_string();
    let values = [
        time(candle.open_ns),
        number(candle.open, price),
        number(candle.high, price),
        number(candle.low, price),
        number(candle.close, price),
        number(candle.volume, quantity),
        time(candle.close_ns),
        number(candle.quote_volume, candle.quote_volume_exponent),
        candle.trades.max(0).to_string(),
        number(candle.taker_buy_volume, quantity),
        number(candle.taker_buy_quote_volume, candle.quote_volume_exponent),
        "\"0\"".to_owned(),
    ];
    format!("[{}]", values.join(","))
}

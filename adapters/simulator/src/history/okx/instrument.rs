//! Definitions as the objects of `public/instruments` and of the channel `instruments`.

use marketprism_core::instrument::{InstrumentType, OptionType};
use marketprism_core::{Decimal, Instrument};

use serde_json::{Value, json};

use crate::history::chained::numbers::venue_time;

/// The venue's name of the instruments in a market.
pub(crate) fn instrument_type(market: &str) -> &'static str {
    match market {
        "swap" => "SWAP",
        "futures" => "FUTURES",
        "option" => "OPTION",
        _ => "SPOT",
    }
}

/// The object of an instrument.
pub(crate) fn object(instrument: &Instrument) -> Value {
    let spot = instrument.instrument_type == InstrumentType::Spot;
    let of_spot = |text: &str| if spot { text.to_owned() } else { String::new() };
    // A contract that is inverse counts dollars.
    let contract_currency = if instrument.inverse { &instrument.quote } else { &instrument.base };
    let contract_type = match instrument.instrument_type {
        InstrumentType::Spot | InstrumentType::Option => "",
        _ if instrument.inverse => "inverse",
        _ => "linear",
    };
    let option_type = match instrument.option_type {
        Some(OptionType::Call) => "C",
        Some(OptionType::Put) => "P",
        None => "",
    };
    json!({
        "alias": "", "auctionEndTime": "", "baseCcy": of_spot(&instrument.base), "category": "1", "contTdSwTime": "",
        "ctMult": text(factor(instrument)), "ctType": contract_type, "ctVal": text(instrument.contract_size),
        "ctValCcy": if spot { "" } else { contract_currency.as_str() }, "expTime": time(instrument.expiry_ns),
        "futureSettlement": false, "groupId": "1", "instCategory": "1", "instFamily": instrument.underlying,
        "instId": instrument.venue_symbol, "instIdCode": null, "instType": instrument_type(&instrument.market),
        "lever": "", "listTime": time(instrument.listing_ns), "lotSz": text(instrument.lot), "maxIcebergSz": "",
        "maxLmtAmt": "", "maxLmtSz": "", "maxMktAmt": "", "maxMktSz": "", "maxStopSz": "", "maxTriggerSz": "",
        "maxTwapSz": "", "minSz": text(instrument.lot), "openType": "", "optType": option_type, "preMktSwTime": "",
        "quoteCcy": of_spot(&instrument.quote), "ruleType": rule(instrument), "settleCcy": instrument.settle,
        "state": if instrument.delisted { "expired" } else { instrument.status.as_str() },
        "stk": text(instrument.strike), "tickSz": text(instrument.tick), "tradeQuoteCcyList": [],
        "uly": instrument.underlying, "upcChg": []
    })
}

/// A number, the empty text where there is none.
fn text(number: Option<Decimal>) -> String {
    number.map_or(String::new(), |number| number.to_string())
}

fn time(time_ns: Option<i64>) -> String {
    time_ns.and_then(venue_time).unwrap_or_default()
}

/// `ctMult`: what the size of a contract is multiplied by.
fn factor(instrument: &Instrument) -> Option<Decimal> {
    let (multiplier, size) = (instrument.multiplier?.normalised(), instrument.contract_size?.normalised());
    let rest = multiplier.mantissa.checked_rem(size.mantissa)?;
    let mantissa = multiplier.mantissa.checked_div(size.mantissa)?;
    let quotient = Decimal::new(mantissa, multiplier.exponent.checked_sub(size.exponent)?);
    if rest == 0 { Some(quotient) } else { None }
}

/// Futures with funding say so in their rule where their name does not.
fn rule(instrument: &Instrument) -> &'static str {
    const STYLE: &str = "_XPERP";
    let is_ruled = instrument.symbol.contains(STYLE) && !instrument.venue_symbol.contains(STYLE);
    if is_ruled { "xperp" } else { "normal" }
}

#[cfg(test)]
mod tests {
    use marketprism_core::instrument::VolatilityUnit;
    use marketprism_core::venue::Venue;
    use marketprism_okx::Okx;

    use super::*;

    /// The definition that the recorder reads of what the venue lists.
    fn listed_again(definition: &Instrument) -> Instrument {
        let body = format!("{{\"code\":\"0\",\"msg\":\"\",\"data\":[{}]}}", object(definition));
        let market = Okx.market(&definition.market).unwrap();
        let (instruments, unread) = Okx.parse_instruments(market, body.as_bytes()).unwrap();
        assert_eq!(unread, Vec::<String>::new());
        Instrument { id: definition.id, ..instruments.into_iter().next().unwrap() }
    }

    #[test]
    fn definitions_come_back() {
        let decimal = |text: &str| Some(text.parse::<Decimal>().unwrap());
        let common = |market: &str, symbol: &str, canonical: &str, base: &str, quote: &str| Instrument {
            id: 3,
            symbol: canonical.to_owned(),
            base: base.to_owned(),
            quote: quote.to_owned(),
            tick: decimal("0.1"),
            lot: decimal("0.01"),
            listing_ns: Some(1_573_557_408_000_000_000),
            status: "live".to_owned(),
            ..Instrument::unknown("okx", market, symbol)
        };
        let contract =
            |instrument: Instrument, settle: &str, size: &str, multiplier: &str, underlying: &str| {
                Instrument {
                    settle: settle.to_owned(),
                    contract_size: decimal(size),
                    multiplier: decimal(multiplier),
                    underlying: underlying.to_owned(),
                    ..instrument
                }
            };
        let linear = contract(
            common("swap", "BTC-USDT-SWAP", "BTC-USDT-PERP", "BTC", "USDT"),
            "USDT",
            "0.01",
            "0.01",
            "BTC-USDT",
        );
        let inverse = contract(
            common("futures", "BTC-USD-261225", "BTC-USD-20261225", "BTC", "USD"),
            "BTC",
            "100",
            "100",
            "BTC-USD",
        );
        let styled = contract(
            common("futures", "BTC-USD-310404", "BTC-USD_XPERP-20310404", "BTC", "USD"),
            "BTC",
            "100",
            "100",
            "BTC-USD",
        );
        let option = contract(
            common("option", "BTC-USD-261225-60000-P", "BTC-USD-20261225-60000-P", "BTC", "BTC"),
            "BTC",
            "1",
            "0.01",
            "BTC-USD",
        );
        let expiry_ns = Some(1_798_185_600_000_000_000);
        for definition in [
            common("spot", "BTC-USDT", "BTC-USDT", "BTC", "USDT"),
            Instrument { instrument_type: InstrumentType::Perpetual, ..linear.clone() },
            Instrument {
                instrument_type: InstrumentType::Perpetual,
                status: "suspend".to_owned(),
                suspended: true,
                ..linear
            },
            Instrument { instrument_type: InstrumentType::Future, inverse: true, expiry_ns, ..inverse },
            Instrument { instrument_type: InstrumentType::Future, inverse: true, expiry_ns, ..styled },
            Instrument {
                instrument_type: InstrumentType::Option,
                strike: decimal("60000"),
                option_type: Some(OptionType::Put),
                volatility_unit: Some(VolatilityUnit::Fraction),
                expiry_ns,
                ..option
            },
        ] {
            assert_eq!(listed_again(&definition), definition);
        }
    }
}

//! Definitions as the objects of `public/get_instruments`.

use marketprism_core::Instrument;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::{InstrumentType, OptionType};

use super::object::Object;
use crate::history::chained::numbers::venue_time;

/// What the venue writes as the end of a perpetual, milliseconds: the year 3000.
const NEVER_MS: &str = "32503708800000";

/// The venue's kind of an instrument.
pub(super) fn kind(instrument: &Instrument) -> &'static str {
    match instrument.instrument_type {
        InstrumentType::Spot => "spot",
        InstrumentType::Option => "option",
        // Spreads of two futures have the strategy FS, all others are of options.
        InstrumentType::Combo if instrument.venue_symbol.contains("-FS-") => "future_combo",
        InstrumentType::Combo => "option_combo",
        _ => "future",
    }
}

/// The currency that the venue lists an instrument under.
pub(super) fn currency(instrument: &Instrument) -> &str {
    if instrument.settle.is_empty() { &instrument.quote } else { &instrument.settle }
}

/// Whether an instrument belongs to a list of this kind and currency.
pub(crate) fn is_of(instrument: &Instrument, asked_kind: &str, asked_currency: &str) -> bool {
    let of_kind = kind(instrument);
    (asked_kind == "any" || asked_kind == of_kind || (asked_kind == "combo" && of_kind.ends_with("_combo")))
        && (asked_currency == "any" || asked_currency == currency(instrument))
}

/// The object of an instrument.
pub(crate) fn object(instrument: &Instrument) -> String {
    let reversed = instrument.inverse || instrument.quote == instrument.base;
    let end = instrument.expiry_ns.and_then(venue_time).unwrap_or_else(|| NEVER_MS.to_owned());
    let object = Object::new()
        .text("price_index", &instrument.underlying)
        .text("kind", kind(instrument))
        .text("instrument_name", &instrument.venue_symbol)
        .raw("maker_commission", "0.0")
        .raw("taker_commission", "0.0005")
        .text("instrument_type", if reversed { "reversed" } else { "linear" })
        .raw("expiration_timestamp", &end)
        .time("creation_timestamp", instrument.listing_ns.unwrap_or(TIME_MISSING))
        .raw("is_active", if instrument.delisted { "false" } else { "true" })
        .text("state", &instrument.status)
        .number_of("contract_size", instrument.contract_size)
        .raw("instrument_id", &instrument.id.to_string())
        .number_of("min_trade_amount", instrument.lot)
        .number_of("tick_size", instrument.tick)
        .raw("tick_size_steps", "[]")
        .text("base_currency", &instrument.base)
        .text("counter_currency", counter(instrument))
        .text("quote_currency", &instrument.quote);
    terms(object, instrument).end()
}

/// What only some kinds have.
fn terms(mut object: Object, instrument: &Instrument) -> Object {
    if !instrument.settle.is_empty() {
        object = object.text("settlement_currency", &instrument.settle);
    }
    match instrument.instrument_type {
        InstrumentType::Spot => {}
        InstrumentType::Perpetual => object = object.text("settlement_period", "perpetual"),
        _ => object = object.text("settlement_period", "month"),
    }
    if let Some(option_type) = instrument.option_type {
        let name = if option_type == OptionType::Call { "call" } else { "put" };
        object = object.text("option_type", name).number_of("strike", instrument.strike);
    }
    object
}

/// The currency that the base is priced in. Options that cost coins name it in their canonical symbol only.
fn counter(instrument: &Instrument) -> &str {
    let of_symbol = instrument.symbol.split('-').nth(1).filter(|_| instrument.quote == instrument.base);
    of_symbol.unwrap_or(&instrument.quote)
}

#[cfg(test)]
mod tests {
    use marketprism_core::Decimal;
    use marketprism_core::instrument::VolatilityUnit;
    use marketprism_core::venue::Venue;
    use marketprism_deribit::Deribit;

    use super::*;

    #[test]
    fn definitions_come_back() {
        let decimal = |text: &str| Some(text.parse::<Decimal>().unwrap());
        let of = |market: &str,
                  kind: InstrumentType,
                  symbol: &str,
                  canonical: &str,
                  [base, quote, settle]: [&str; 3]| Instrument {
            id: 3,
            symbol: canonical.to_owned(),
            instrument_type: kind,
            base: base.to_owned(),
            quote: quote.to_owned(),
            settle: settle.to_owned(),
            tick: decimal("0.5"),
            lot: decimal("10"),
            contract_size: decimal("10"),
            underlying: "btc_usd".to_owned(),
            listing_ns: Some(1_573_557_408_000_000_000),
            status: "open".to_owned(),
            ..Instrument::unknown("deribit", market, symbol)
        };
        let expiry_ns = Some(1_798_185_600_000_000_000);
        let option = of(
            "option",
            InstrumentType::Option,
            "BTC-25DEC26-100000-C",
            "BTC-USD-20261225-100000-C",
            ["BTC", "BTC", "BTC"],
        );
        let inverse = of(
            "perpetual",
            InstrumentType::Perpetual,
            "BTC-PERPETUAL",
            "BTC-USD-PERP",
            ["BTC", "USD", "BTC"],
        );
        let future =
            of("future", InstrumentType::Future, "BTC-25DEC26", "BTC-USD-20261225", ["BTC", "USD", "BTC"]);
        let combo = "BTC-FS-25DEC26_PERP";
        for definition in [
            of("spot", InstrumentType::Spot, "BTC_USDC", "BTC-USDC", ["BTC", "USDC", ""]),
            Instrument { inverse: true, ..inverse },
            of(
                "perpetual",
                InstrumentType::Perpetual,
                "SOL_USDC-PERPETUAL",
                "SOL-USDC-PERP",
                ["SOL", "USDC", "USDC"],
            ),
            Instrument { inverse: true, expiry_ns, ..future },
            Instrument {
                strike: decimal("100000"),
                option_type: Some(OptionType::Call),
                volatility_unit: Some(VolatilityUnit::Percent),
                expiry_ns,
                ..option
            },
            Instrument {
                expiry_ns,
                ..of("combo", InstrumentType::Combo, combo, combo, ["BTC", "USD", "BTC"])
            },
        ] {
            let market = Deribit::default().market(&definition.market).unwrap();
            let body = format!("{{\"jsonrpc\":\"2.0\",\"result\":[{}]}}", object(&definition));
            let (instruments, unread) =
                Deribit::default().parse_instruments(market, body.as_bytes()).unwrap();
            assert_eq!(unread, Vec::<String>::new());
            let again = Instrument { id: definition.id, ..instruments.into_iter().next().unwrap() };
            assert_eq!(again, definition);
        }
    }
}

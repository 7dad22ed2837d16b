//! The layout of the structs, for NumPy.

use std::collections::BTreeMap;
use std::mem::offset_of;

use marketprism_core::record::*;
use pyo3::prelude::*;

/// Name, offset and NumPy type of a field.
type Field = (String, usize, String);

/// A type that can be a field; a struct stands for all of its fields.
trait Layout {
    /// Its fields, where it lies at this offset under this name.
    fn fields(name: &str, offset: usize) -> Vec<Field>;
}

macro_rules! number {
    ($($number:ty: $format:literal)*) => {$(
        impl Layout for $number {
            fn fields(name: &str, offset: usize) -> Vec<Field> {
                vec![(name.to_owned(), offset, $format.to_owned())]
            }
        }
    )*};
}
number!(u8: "<u1" i8: "<i1" u16: "<u2" u32: "<u4" u64: "<u8" i64: "<i8");

/// A short text, padded with zeros.
impl<const N: usize> Layout for [u8; N] {
    fn fields(name: &str, offset: usize) -> Vec<Field> {
        vec![(name.to_owned(), offset, format!("S{N}"))]
    }
}

impl<const N: usize> Layout for [i8; N] {
    fn fields(name: &str, offset: usize) -> Vec<Field> {
        vec![(name.to_owned(), offset, format!("{N}i1"))]
    }
}

impl Layout for Body {
    fn fields(name: &str, offset: usize) -> Vec<Field> {
        [
            u32::fields(&format!("{name}_start"), offset + offset_of!(Body, start)),
            u32::fields(&format!("{name}_bytes"), offset + offset_of!(Body, bytes)),
        ]
        .concat()
    }
}

fn field<T, F: Layout>(_: impl Fn(&T) -> &F, name: &str, offset: usize) -> Vec<Field> {
    F::fields(name, offset)
}

/// Fields that are reserved have no name.
macro_rules! layout {
    ($struct:ident, $($name:ident)*) => {
        impl Layout for $struct {
            fn fields(_: &str, start: usize) -> Vec<Field> {
                [$(field(
                    |all: &$struct| &all.$name,
                    stringify!($name),
                    start + offset_of!($struct, $name),
                )),*]
                .concat()
            }
        }
    };
}
layout!(Header, kind flags price_exponent quantity_exponent instrument sequence receive_ns exchange_ns);
layout!(Level, price quantity);
layout!(Trade, header price quantity event_ns side trade_type fills);
layout!(AggTrade, header price quantity normal_quantity first_trade_id last_trade_id event_ns side);
layout!(Book, header first_id previous_id event_ns level_start bid_levels ask_levels);
layout!(Quote, header bid_price bid_quantity ask_price ask_quantity);
layout!(Ticker, header last open high low weighted_average bid_price ask_price volume last_quantity bid_quantity
    ask_quantity quote_volume open_ns close_ns first_trade_id last_trade_id trades base_volume quote_volume_exponent
    base_volume_exponent);
layout!(MarkPrice, header mark_price index_price settlement_price average_price);
layout!(FundingRate, header rate next_funding_ns interval_ns realised_rate premium interest_rate rate_exponent
    realised_exponent premium_exponent interest_exponent);
layout!(OpenInterest, header open_interest open_interest_value open_interest_base value_exponent base_exponent);
layout!(Liquidation, header price average_price quantity filled_quantity last_quantity event_ns status side);
layout!(Candle, header open_ns close_ns open high low close volume quote_volume taker_buy_volume
    taker_buy_quote_volume trades interval closed quote_volume_exponent);
layout!(LongShortRatio, header ratio long_share short_share ratio_exponent share_exponent basis period);
layout!(Definition, header body);
layout!(Session, header body connection event);
layout!(Gap, header from_id to_id from_ns stream reason repaired records);
layout!(Raw, header body connection reason_bytes frame_bytes offset);
layout!(DetailedTrade, trade mark_price index_price implied_volatility trade_id volatility_exponent liquidation block
    combo);
layout!(Greeks, header delta gamma vega theta rho delta_bs gamma_bs vega_bs theta_bs mark_volatility bid_volatility
    ask_volatility at_the_money_volatility underlying_price interest_rate leverage exponents);
layout!(VolatilityIndex, header volatility);
layout!(ClockSample, header request_ns resolution_ns);

/// By the struct's name: its bytes and its fields. Those of structs inside are its own; a body gives `body_start` and
/// `body_bytes`.
#[pyfunction]
pub(crate) fn layouts() -> BTreeMap<&'static str, (usize, Vec<Field>)> {
    macro_rules! all {
        ($($struct:ident)*) => {
            BTreeMap::from([$((stringify!($struct), (size_of::<$struct>(), $struct::fields("", 0)))),*])
        };
    }
    all!(Level Trade AggTrade Book Quote Ticker MarkPrice FundingRate OpenInterest Liquidation Candle LongShortRatio
        Definition Session Gap Raw DetailedTrade Greeks VolatilityIndex ClockSample)
}

//! `FORMAT.md` against the program: a table that no longer tells the truth fails a test.

use std::any::type_name;
use std::mem::offset_of;

use marketprism_core::record::*;

use crate::cluster::{ClusterDirectory, ClusterEntry};
use crate::columns::{ArchivedColumns, ArchivedIndex, IndexEntry};
use crate::cursor::CursorFile;
use crate::format::{BatchHeader, FileHeader, Trailer, VERSION};

const DOCUMENT: &str = include_str!("../FORMAT.md");

/// A field: offset, bytes, name.
type Field = (usize, usize, String);

/// The cells of the table under a heading, without the table's head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let mut lines = DOCUMENT.lines().skip_while(|line| line.trim_start_matches('#').trim() != heading);
    assert!(lines.next().is_some_and(|line| line.starts_with('#')), "no heading {heading:?}");
    let section = lines.take_while(|line| !line.starts_with('#'));
    let rows = section.filter(|line| line.starts_with('|')).skip(2);
    let cells =
        |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    rows.map(cells).collect()
}

/// The first three cells of a table of fields.
fn fields(heading: &str) -> Vec<Field> {
    let row = |row: Vec<String>| (row[0].parse().unwrap(), row[1].parse().unwrap(), row[2].clone());
    table(heading).into_iter().map(row).collect()
}

fn size_of_field<T, F>(_: impl Fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// The type's name as the document has it.
fn type_of_field<T, F>(_: impl Fn(&T) -> &F) -> String {
    let name = type_name::<F>();
    name.rsplit("::").next().unwrap_or(name).to_owned()
}

/// Compares a table with a struct. The fields must cover the struct, so that none can be left out here.
macro_rules! check {
    ($struct:ident, $heading:expr, $($field:ident)*) => {{
        let heading = format!("{}: {} bytes", $heading, size_of::<$struct>());
        let expected: Vec<Field> = vec![$((
            offset_of!($struct, $field),
            size_of_field(|all: &$struct| &all.$field),
            stringify!($field).to_owned(),
        )),*];
        assert_eq!(fields(&heading), expected, "{heading}");
        let mut end = 0;
        for (offset, bytes, name) in expected {
            assert_eq!(offset, end, "{heading}: before {name}");
            end += bytes;
        }
        assert_eq!(end, size_of::<$struct>(), "{heading}");
    }};
    ($struct:ident, $($field:ident)*) => {{
        check!($struct, stringify!($struct), $($field)*);
        let heading = format!("{}: {} bytes", stringify!($struct), size_of::<$struct>());
        let types: Vec<String> = table(&heading).into_iter().map(|row| row[3].clone()).collect();
        assert_eq!(types, [$(type_of_field(|all: &$struct| &all.$field)),*], "{heading}");
    }};
}

#[test]
fn headers_are_as_the_document_says() {
    check!(FileHeader, magic version reserved created_ns run_id first_sequence previous_end reserved_end checksum);
    check!(BatchHeader, magic version codec kind body_bytes decoded_bytes records first_sequence
        first_receive_ns last_receive_ns reserved body_checksum checksum);
    check!(CursorFile, "Cursor", magic version reserved sequence reserved_end checksum);
    check!(Trailer, magic version reserved footer_offset file_bytes end_sequence reserved_end checksum);
    check!(ClusterDirectory, clusters entries_checksum reserved checksum);
    check!(ClusterEntry, first_instrument last_instrument kinds records first_receive_ns last_receive_ns offset
        stored_bytes archive_bytes position_bytes checksum reserved);
    check!(IndexEntry, offset first_sequence first_receive_ns last_receive_ns records bytes kinds reserved);
    assert!(DOCUMENT.starts_with(&format!("# The segment log, format version {VERSION}\n")));
}

#[test]
fn roots_are_as_the_document_says() {
    check!(ArchivedColumns, "Columns", order trades agg_trades books quotes tickers mark_prices funding_rates
        open_interests liquidations candles long_short_ratios definitions sessions gaps raws levels bytes
        detailed_trades greeks volatility_indexes clock_samples);
    check!(ArchivedIndex, "Index", entries kinds records);
}

#[test]
fn records_are_as_the_document_says() {
    check!(Header, kind flags price_exponent quantity_exponent instrument sequence receive_ns exchange_ns);
    check!(Body, start bytes);
    check!(Level, price quantity);
    check!(Trade, header price quantity event_ns side trade_type reserved fills);
    check!(AggTrade, header price quantity normal_quantity first_trade_id last_trade_id event_ns side reserved);
    check!(Book, header first_id previous_id event_ns level_start bid_levels ask_levels);
    check!(Quote, header bid_price bid_quantity ask_price ask_quantity);
    check!(Ticker, header last open high low weighted_average bid_price ask_price volume last_quantity
        bid_quantity ask_quantity quote_volume open_ns close_ns first_trade_id last_trade_id trades base_volume
        quote_volume_exponent base_volume_exponent reserved);
    check!(MarkPrice, header mark_price index_price settlement_price average_price);
    check!(FundingRate, header rate next_funding_ns interval_ns realised_rate premium interest_rate
        rate_exponent realised_exponent premium_exponent interest_exponent reserved);
    check!(OpenInterest, header open_interest open_interest_value open_interest_base value_exponent
        base_exponent reserved);
    check!(Liquidation, header price average_price quantity filled_quantity last_quantity event_ns status side
        reserved);
    check!(Candle, header open_ns close_ns open high low close volume quote_volume taker_buy_volume
        taker_buy_quote_volume trades interval closed quote_volume_exponent reserved);
    check!(LongShortRatio, header ratio long_share short_share ratio_exponent share_exponent basis period
        reserved);
    check!(Definition, header body reserved);
    check!(Session, header body connection event reserved);
    check!(Gap, header from_id to_id from_ns stream reason repaired reserved records);
    check!(Raw, header body connection reason_bytes frame_bytes offset reserved);
    check!(DetailedTrade, trade mark_price index_price implied_volatility trade_id volatility_exponent
        liquidation block combo reserved);
    check!(Greeks, header delta gamma vega theta rho delta_bs gamma_bs vega_bs theta_bs mark_volatility
        bid_volatility ask_volatility at_the_money_volatility underlying_price interest_rate leverage exponents
        reserved);
    check!(VolatilityIndex, header volatility reserved);
    check!(ClockSample, header request_ns resolution_ns reserved);
}

/// The first two cells of a table of numbers with names.
fn values(heading: &str) -> Vec<(u8, String)> {
    table(heading).into_iter().map(|row| (row[0].parse().unwrap(), row[1].clone())).collect()
}

fn named(name: impl Fn(u8) -> Option<&'static str>) -> Vec<(u8, String)> {
    (0..=u8::MAX).filter_map(|number| Some((number, name(number)?.to_owned()))).collect()
}

#[test]
fn values_are_as_the_document_says() {
    assert_eq!(values("Kinds"), named(|number| Kind::from_number(number).map(Kind::name)));
    assert_eq!(values("Sides"), named(Side::name));
    assert_eq!(values("Trade types"), named(TradeType::name));
    assert_eq!(values("Liquidated parties"), named(LiquidatedParty::name));
    assert_eq!(values("Ratio basis"), named(RatioBasis::name));
    assert_eq!(values("Session events"), named(SessionEvent::name));
    assert_eq!(values("Gap reasons"), named(GapReason::name));
    let forms = [(flag::CHECKSUM, "checksum"), (flag::PARTIAL, "partial")];
    let flags = flag::NAMES.into_iter().chain(forms);
    assert_eq!(values("Flags"), flags.map(|(bit, name)| (bit, name.to_owned())).collect::<Vec<_>>());
}

#[test]
fn every_kind_has_a_vector_and_a_struct_of_its_size() {
    let vectors = table("Columns: 176 bytes");
    for (row, kind) in table("Kinds").iter().zip(Kind::ALL) {
        let (vector, name) = (&row[2], &row[3]);
        let elements = vectors.iter().find(|row| row[2] == *vector).map(|row| row[3].clone());
        assert_eq!(elements, Some(format!("lines of {name}")), "{kind}");
        table(&format!("{name}: {} bytes", kind.head_lines() * LINE_BYTES));
    }
}

#[test]
fn the_checksum_is_the_one_of_the_document() {
    assert!(DOCUMENT.contains(&format!("0x{:X}", crate::format::checksum(b"123456789"))));
}

//! Tardis' types of data, and its names.

use std::borrow::Cow;

use marketprism_core::Instrument;
use marketprism_core::clock::TIME_MISSING;

use super::csv::{micros, word};

const DERIVATIVE_HEADER: &str = "exchange,symbol,timestamp,local_timestamp,funding_timestamp,funding_rate,\
    predicted_funding_rate,open_interest,last_price,index_price,mark_price";

const OPTIONS_HEADER: &str = "exchange,symbol,timestamp,local_timestamp,type,strike_price,expiration,\
    open_interest,last_price,bid_price,bid_amount,bid_iv,ask_price,ask_amount,ask_iv,mark_price,mark_iv,\
    underlying_index,underlying_price,delta,gamma,vega,theta,rho";

/// A type of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Data {
    Trades,
    IncrementalBook,
    BookSnapshot(u16),
    Quotes,
    DerivativeTicker,
    Liquidations,
    OptionsChain,
    Gaps,
}

impl Data {
    pub(super) fn name(self) -> Cow<'static, str> {
        match self {
            Data::Trades => "trades".into(),
            Data::IncrementalBook => "incremental_book_L2".into(),
            Data::BookSnapshot(depth) => format!("book_snapshot_{depth}").into(),
            Data::Quotes => "quotes".into(),
            Data::DerivativeTicker => "derivative_ticker".into(),
            Data::Liquidations => "liquidations".into(),
            Data::OptionsChain => "options_chain".into(),
            Data::Gaps => "gaps".into(),
        }
    }

    pub(super) fn header(self) -> String {
        let own = match self {
            Data::DerivativeTicker => return DERIVATIVE_HEADER.to_owned(),
            Data::OptionsChain => return OPTIONS_HEADER.to_owned(),
            Data::Trades | Data::Liquidations => "id,side,price,amount".to_owned(),
            Data::IncrementalBook => "is_snapshot,side,price,amount".to_owned(),
            Data::Quotes => "ask_amount,ask_price,bid_price,bid_amount".to_owned(),
            Data::Gaps => "stream,reason,from_timestamp,from_id,to_id,records,repaired".to_owned(),
            Data::BookSnapshot(depth) => {
                let level = |place: u16| {
                    format!(
                        "asks[{place}].price,asks[{place}].amount,bids[{place}].price,bids[{place}].amount"
                    )
                };
                (0..depth).map(level).collect::<Vec<_>>().join(",")
            }
        };
        format!("exchange,symbol,timestamp,local_timestamp,{own}")
    }
}

/// Tardis' name of an exchange.
pub(super) fn exchange(instrument: &Instrument) -> Cow<'static, str> {
    match (instrument.venue.as_str(), instrument.market.as_str()) {
        ("binance", "spot") => "binance".into(),
        ("binance", "usdm") => "binance-futures".into(),
        ("binance", "coinm") => "binance-delivery".into(),
        ("okx", "spot") => "okex".into(),
        ("okx", "swap") => "okex-swap".into(),
        ("okx", "futures") => "okex-futures".into(),
        ("okx", "option") => "okex-options".into(),
        ("deribit", _) => "deribit".into(),
        (venue, market) => format!("{venue}-{market}").into(),
    }
}

/// The first two cells of a row.
pub(super) fn start(instrument: &Instrument) -> Vec<u8> {
    let mut text = exchange(instrument).into_owned().into_bytes();
    word(&mut text, &instrument.venue_symbol.to_uppercase().replace([',', '"', '\n', '\r'], "_"));
    text
}

/// Appends the cells of the exchange's and the local time.
pub(super) fn push_times(text: &mut Vec<u8>, (exchange_ns, receive_ns): (i64, i64)) {
    text.push(b',');
    micros(text, if exchange_ns == TIME_MISSING { receive_ns } else { exchange_ns });
    text.push(b',');
    micros(text, receive_ns);
}

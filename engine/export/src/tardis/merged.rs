//! Rows that several records make together: `derivative_ticker` and `options_chain`.
//!
//! Records received at one time are parts of one message, or of messages that came together: they make one row of each
//! instrument. The row is written when the next record with another receive time comes.

use hashbrown::HashMap;
use marketprism_core::clock::TIME_MISSING;
use marketprism_core::instrument::{InstrumentType, OptionType};
use marketprism_core::record::{ABSENT, FundingRate, Greeks, MarkPrice, OpenInterest, RecordRef, Ticker};
use marketprism_core::{Decimal, Instrument, InstrumentId};

use super::csv::{CsvFile, micros, word};
use super::data::{push_times, start};
use crate::run::Entry;

/// The latest numbers of an instrument; `None` where none has come, or where there is none.
#[derive(Clone, Debug, Default)]
struct State {
    funding_ns: Option<i64>,
    funding_rate: Option<Decimal>,
    predicted_funding_rate: Option<Decimal>,
    open_interest: Option<Decimal>,
    last_price: Option<Decimal>,
    index_price: Option<Decimal>,
    mark_price: Option<Decimal>,
    bid: [Option<Decimal>; 2],
    ask: [Option<Decimal>; 2],
    bid_iv: Option<Decimal>,
    ask_iv: Option<Decimal>,
    mark_iv: Option<Decimal>,
    underlying_price: Option<Decimal>,
    /// Delta, gamma, vega, theta, rho.
    greeks: [Option<Decimal>; 5],
    /// The beginning of its next row, and what only its definition says.
    prefix: Vec<u8>,
    definition: String,
    underlying: String,
    sequence: u64,
    is_pending: bool,
}

/// What makes the rows of one file.
#[derive(Default)]
pub(super) struct Merged {
    states: HashMap<InstrumentId, State>,
    /// Instruments whose row is not written yet, in the order of their records.
    pending: Vec<InstrumentId>,
    receive_ns: i64,
}

impl Merged {
    /// Takes a record; writes the rows that are complete by then.
    pub(super) fn record(&mut self, entry: &Entry<'_>, file: &mut CsvFile) {
        let header = entry.record.header();
        if header.receive_ns != self.receive_ns {
            self.write(file);
            self.receive_ns = header.receive_ns;
        }
        let state = self.states.entry(header.instrument).or_default();
        if !state.take(entry.record, &entry.instrument.venue) {
            return;
        }
        state.prefix = start(entry.instrument);
        push_times(&mut state.prefix, (header.exchange_ns, header.receive_ns));
        if entry.instrument.instrument_type == InstrumentType::Option {
            state.define(entry.instrument);
        }
        state.sequence = entry.sequence;
        if !std::mem::replace(&mut state.is_pending, true) {
            self.pending.push(header.instrument);
        }
    }

    /// Writes the rows that wait.
    pub(super) fn write(&mut self, file: &mut CsvFile) {
        for id in self.pending.drain(..) {
            let Some(state) = self.states.get_mut(&id) else { continue };
            state.is_pending = false;
            let state = &*state;
            file.row(state.sequence, &state.prefix, |text| match state.definition.is_empty() {
                true => state.derivative_row(text),
                false => state.option_row(text),
            });
        }
    }
}

impl State {
    /// Takes the numbers of a record. Gives whether it is of a kind that has any.
    fn take(&mut self, record: RecordRef<'_>, venue: &str) -> bool {
        match record {
            RecordRef::Ticker(ticker) => self.take_ticker(ticker),
            RecordRef::MarkPrice(mark) => self.take_mark_price(mark),
            RecordRef::FundingRate(funding) => self.take_funding_rate(funding, venue),
            RecordRef::OpenInterest(interest) => self.take_open_interest(interest),
            RecordRef::Greeks(greeks) => self.take_greeks(greeks),
            _ => return false,
        }
        true
    }

    fn take_ticker(&mut self, ticker: &Ticker) {
        let (price, quantity) = (ticker.header.price_exponent, ticker.header.quantity_exponent);
        replace(&mut self.last_price, ticker.last, price);
        // Here absent means that nobody bids or asks.
        self.bid = [known(ticker.bid_price, price), known(ticker.bid_quantity, quantity)];
        self.ask = [known(ticker.ask_price, price), known(ticker.ask_quantity, quantity)];
    }

    fn take_mark_price(&mut self, mark: &MarkPrice) {
        replace(&mut self.mark_price, mark.mark_price, mark.header.price_exponent);
        replace(&mut self.index_price, mark.index_price, mark.header.price_exponent);
    }

    fn take_funding_rate(&mut self, funding: &FundingRate, venue: &str) {
        if funding.next_funding_ns != TIME_MISSING {
            self.funding_ns = Some(funding.next_funding_ns);
        }
        // Deribit's rate of the last eight hours is Tardis' funding rate, the current one the predicted.
        if venue == "deribit" {
            replace(&mut self.funding_rate, funding.realised_rate, funding.realised_exponent);
            replace(&mut self.predicted_funding_rate, funding.rate, funding.rate_exponent);
        } else {
            replace(&mut self.funding_rate, funding.rate, funding.rate_exponent);
        }
    }

    fn take_open_interest(&mut self, interest: &OpenInterest) {
        replace(&mut self.open_interest, interest.open_interest, interest.header.quantity_exponent);
    }

    fn take_greeks(&mut self, greeks: &Greeks) {
        let exponent = |place: usize| greeks.exponents.get(place).copied().unwrap_or(0);
        let first = [greeks.delta, greeks.gamma, greeks.vega, greeks.theta, greeks.rho];
        for (place, (to, from)) in self.greeks.iter_mut().zip(first).enumerate() {
            replace(to, from, exponent(place));
        }
        replace(&mut self.mark_iv, greeks.mark_volatility, exponent(9));
        replace(&mut self.bid_iv, greeks.bid_volatility, exponent(10));
        replace(&mut self.ask_iv, greeks.ask_volatility, exponent(11));
        replace(&mut self.underlying_price, greeks.underlying_price, exponent(13));
    }

    fn define(&mut self, instrument: &Instrument) {
        let option_type = match instrument.option_type {
            Some(OptionType::Call) => "call",
            Some(OptionType::Put) => "put",
            None => "",
        };
        let strike = instrument.strike.map_or(String::new(), |strike| strike.to_string());
        let expiry = instrument.expiry_ns.map_or(String::new(), |ns| ns.div_euclid(1000).to_string());
        self.definition = format!(",{option_type},{strike},{expiry}");
        // Deribit names a future, or a synthetic one, in each ticker; the definition names the index.
        self.underlying = if instrument.venue == "deribit" { "" } else { &*instrument.underlying }.to_owned();
    }

    fn derivative_row(&self, text: &mut Vec<u8>) {
        text.push(b',');
        if let Some(ns) = self.funding_ns {
            micros(text, ns);
        }
        numbers(
            text,
            &[
                self.funding_rate,
                self.predicted_funding_rate,
                self.open_interest,
                self.last_price,
                self.index_price,
                self.mark_price,
            ],
        );
    }

    fn option_row(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(self.definition.as_bytes());
        numbers(text, &[self.open_interest, self.last_price]);
        numbers(text, &self.bid);
        numbers(text, &[self.bid_iv]);
        numbers(text, &self.ask);
        numbers(text, &[self.ask_iv, self.mark_price, self.mark_iv]);
        word(text, &self.underlying);
        numbers(text, &[self.underlying_price]);
        numbers(text, &self.greeks);
    }
}

fn known(mantissa: i64, exponent: i8) -> Option<Decimal> {
    (mantissa != ABSENT).then_some(Decimal::new(mantissa, exponent))
}

/// A message without a number says nothing of it.
fn replace(number: &mut Option<Decimal>, mantissa: i64, exponent: i8) {
    *number = known(mantissa, exponent).or(*number);
}

fn numbers(text: &mut Vec<u8>, numbers: &[Option<Decimal>]) {
    for number in numbers {
        text.push(b',');
        if let Some(number) = number {
            number.write(text);
        }
    }
}

//! Options and volatility.

use bytemuck::{Pod, Zeroable};

use super::Record;
#[cfg(doc)]
use crate::record::ABSENT;
use crate::record::{Header, Kind, LINE_BYTES, Line};

/// Sensitivities and implied volatilities of an option, in the venue's units (the instrument's definition says
/// whether volatilities are fractions or percent). Every number has its own power of ten in `exponents`, in the
/// order of the fields; what the venue did not send holds [`ABSENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Greeks {
    /// Common part.
    pub header: Header,
    /// Change of the option's price with the underlying's.
    pub delta: i64,
    /// Change of delta with the underlying's price.
    pub gamma: i64,
    /// Change of the price with volatility.
    pub vega: i64,
    /// Change of the price with time.
    pub theta: i64,
    /// Change of the price with the interest rate.
    pub rho: i64,
    /// Black-Scholes delta in dollars, where the venue gives two sets.
    pub delta_bs: i64,
    /// Black-Scholes gamma in dollars.
    pub gamma_bs: i64,
    /// Black-Scholes vega in dollars.
    pub vega_bs: i64,
    /// Black-Scholes theta in dollars.
    pub theta_bs: i64,
    /// Implied volatility of the mark price.
    pub mark_volatility: i64,
    /// Implied volatility of the best bid.
    pub bid_volatility: i64,
    /// Implied volatility of the best ask.
    pub ask_volatility: i64,
    /// Implied volatility at the money.
    pub at_the_money_volatility: i64,
    /// Forward price of the underlying.
    pub underlying_price: i64,
    /// Interest rate used.
    pub interest_rate: i64,
    /// Leverage.
    pub leverage: i64,
    /// Power of ten of each number above.
    pub exponents: [i8; 16],
    /// Zero.
    pub reserved: [u8; 16],
}
record!(Greeks, Kind::Greeks);

impl Greeks {
    /// Names of the numbers, in the order of the fields.
    pub const NAMES: [&'static str; 16] = [
        "delta",
        "gamma",
        "vega",
        "theta",
        "rho",
        "delta_bs",
        "gamma_bs",
        "vega_bs",
        "theta_bs",
        "mark_iv",
        "bid_iv",
        "ask_iv",
        "at_the_money_iv",
        "underlying_price",
        "interest_rate",
        "leverage",
    ];

    /// The numbers, in the order of the fields.
    pub fn numbers(&self) -> [i64; 16] {
        [
            self.delta,
            self.gamma,
            self.vega,
            self.theta,
            self.rho,
            self.delta_bs,
            self.gamma_bs,
            self.vega_bs,
            self.theta_bs,
            self.mark_volatility,
            self.bid_volatility,
            self.ask_volatility,
            self.at_the_money_volatility,
            self.underlying_price,
            self.interest_rate,
            self.leverage,
        ]
    }
}

/// A volatility index, in the venue's unit; numbers are `× 10^price_exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct VolatilityIndex {
    /// Common part.
    pub header: Header,
    /// The index now.
    pub volatility: i64,
    /// Zero.
    pub reserved: [u8; 24],
}
record!(VolatilityIndex, Kind::VolatilityIndex);

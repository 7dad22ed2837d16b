//! JSON objects as Deribit writes them: numbers are numbers, with a point.

use marketprism_core::Decimal;
use marketprism_core::record::ABSENT;
use serde_json::Value;

use crate::history::chained::numbers::{Numbers, venue_time};

/// Decimals that whole numbers have.
pub(super) const DECIMALS: u8 = 1;

/// An object being written, its members in the order of the calls.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Object {
        Object("{".to_owned())
    }

    /// A member whose value is JSON already.
    pub(super) fn raw(mut self, key: &str, json: &str) -> Object {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
        self.0.push_str(json);
        self
    }

    pub(super) fn text(self, key: &str, text: &str) -> Object {
        self.raw(key, &Value::from(text).to_string())
    }

    /// A number, `null` where it is absent.
    pub(super) fn number(self, key: &str, numbers: Numbers, mantissa: i64) -> Object {
        self.raw(key, &numbers.text(mantissa, "null"))
    }

    /// A number with a power of ten of its own.
    pub(super) fn decimal(self, key: &str, mantissa: i64, exponent: i8) -> Object {
        self.number(key, Numbers::one(mantissa, exponent, DECIMALS), mantissa)
    }

    /// The same, left out where it is absent.
    pub(super) fn given(self, key: &str, mantissa: i64, exponent: i8) -> Object {
        if mantissa == ABSENT { self } else { self.decimal(key, mantissa, exponent) }
    }

    /// A number of a definition, left out where there is none.
    pub(super) fn number_of(self, key: &str, number: Option<Decimal>) -> Object {
        match number {
            Some(Decimal { mantissa, exponent }) => self.decimal(key, mantissa, exponent),
            None => self,
        }
    }

    /// A time in nanoseconds, left out where it is missing.
    pub(super) fn time(self, key: &str, time_ns: i64) -> Object {
        match venue_time(time_ns) {
            Some(time) => self.raw(key, &time),
            None => self,
        }
    }

    /// Price and amount of the best level of a side; zeros where it is empty.
    pub(super) fn best(
        self,
        side: &str,
        (prices, price): (Numbers, i64),
        (amounts, amount): (Numbers, i64),
    ) -> Object {
        let (price, amount) = if price == ABSENT {
            ("0.0".to_owned(), "0.0".to_owned())
        } else {
            (prices.text(price, ""), amounts.text(amount, "null"))
        };
        self.raw(&format!("best_{side}_price"), &price).raw(&format!("best_{side}_amount"), &amount)
    }

    /// The text of the whole object.
    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

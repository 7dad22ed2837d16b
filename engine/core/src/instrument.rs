//! Instruments: what is traded where, under an id that stays the same over restarts.

use std::collections::HashMap;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use crate::Decimal;

/// A small stable number for `(venue, market, venue symbol)`; 0 is none.
pub type InstrumentId = u32;

/// What an instrument is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstrumentType {
    /// Immediate exchange.
    #[default]
    Spot,
    /// A future without expiry.
    Perpetual,
    /// A future with expiry.
    Future,
    /// An option.
    Option,
    /// Several instruments traded as one.
    Combo,
    /// Not traded: a price or volatility index.
    Index,
    /// Not an instrument: the market as a whole, for records about connections and frames.
    Market,
}

/// Whether an option gives the right to buy or to sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptionType {
    /// To buy.
    Call,
    /// To sell.
    Put,
}

/// The unit in which a venue gives volatilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolatilityUnit {
    /// 0.67 is sixty-seven percent.
    Fraction,
    /// 67 is sixty-seven percent.
    Percent,
}

/// An instrument's definition at one time. Field names are those of the JSON form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// Stable id.
    pub id: InstrumentId,
    /// Venue, e.g. `binance`.
    pub venue: String,
    /// Market, e.g. `usdm`.
    pub market: String,
    /// The venue's own name, e.g. `BTCUSDT`; empty for [`InstrumentType::Market`].
    pub venue_symbol: String,
    /// Canonical symbol, unique across markets, e.g. `BTC-USDT-PERP`.
    pub symbol: String,
    /// What it is.
    #[serde(rename = "type")]
    pub instrument_type: InstrumentType,
    /// Base asset.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub base: String,
    /// Quote asset.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub quote: String,
    /// Asset that profit and loss are paid in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub settle: String,
    /// Smallest price step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<Decimal>,
    /// Smallest quantity step, in the unit of quantities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<Decimal>,
    /// Size of one contract, as the venue gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_size: Option<Decimal>,
    /// What one unit of a record's `quantity` is worth, in base units, or in quote units where `inverse`; absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<Decimal>,
    /// Whether quantities count quote units: the base amount is the quote amount divided by the price.
    #[serde(default)]
    pub inverse: bool,
    /// The venue's name of the index that it follows, e.g. `btc_usd`, `BTC-USDT`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub underlying: String,
    /// Strike price of an option.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strike: Option<Decimal>,
    /// Call or put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option_type: Option<OptionType>,
    /// Unit of volatilities in records of this instrument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatility_unit: Option<VolatilityUnit>,
    /// First day of trading, nanoseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing_ns: Option<i64>,
    /// Expiry, nanoseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_ns: Option<i64>,
    /// The venue's word for the state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// Whether it is listed and cannot be traded for the time being.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspended: bool,
    /// Whether the venue no longer lists it: expired, settled or taken off.
    #[serde(default, skip_serializing_if = "is_false")]
    pub delisted: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl Instrument {
    /// The entry that stands for a whole market.
    pub fn market(venue: &str, market: &str) -> Instrument {
        Instrument {
            venue: venue.to_owned(),
            market: market.to_owned(),
            instrument_type: InstrumentType::Market,
            ..Instrument::default()
        }
    }

    /// An instrument of which only the name is known.
    pub fn unknown(venue: &str, market: &str, venue_symbol: &str) -> Instrument {
        Instrument {
            venue: venue.to_owned(),
            market: market.to_owned(),
            venue_symbol: venue_symbol.to_owned(),
            symbol: venue_symbol.to_owned(),
            ..Instrument::default()
        }
    }

    fn key(&self) -> (String, String, String) {
        (self.venue.clone(), self.market.clone(), self.venue_symbol.clone())
    }
}

/// All instruments known, by id and by name. Ids are given in the order of first sight and never again.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    by_id: HashMap<InstrumentId, Instrument>,
    by_name: HashMap<(String, String, String), InstrumentId>,
    last_id: InstrumentId,
}

impl Registry {
    /// Takes over a definition that already has its id (from a log).
    pub fn restore(&mut self, instrument: Instrument) {
        self.last_id = self.last_id.max(instrument.id);
        self.by_name.insert(instrument.key(), instrument.id);
        self.by_id.insert(instrument.id, instrument);
    }

    /// Adds or changes a definition; its id is kept where the name is known and given where it is new.
    /// Returns the id, and whether the definition differs from the one held before.
    pub fn define(&mut self, mut instrument: Instrument) -> (InstrumentId, bool) {
        match self.by_name.get(&instrument.key()) {
            Some(id) => {
                instrument.id = *id;
                if self.by_id.get(id) == Some(&instrument) {
                    return (*id, false);
                }
            }
            None => instrument.id = self.last_id + 1,
        }
        let id = instrument.id;
        self.restore(instrument);
        (id, true)
    }

    /// The definition with this id.
    pub fn get(&self, id: InstrumentId) -> Option<&Instrument> {
        self.by_id.get(&id)
    }

    /// The id of a name.
    pub fn find(&self, venue: &str, market: &str, venue_symbol: &str) -> Option<InstrumentId> {
        self.by_name.get(&(venue.to_owned(), market.to_owned(), venue_symbol.to_owned())).copied()
    }

    /// All definitions, lowest id first.
    pub fn all(&self) -> Vec<&Instrument> {
        let mut all: Vec<_> = self.by_id.values().collect();
        all.sort_by_key(|instrument| instrument.id);
        all
    }

    /// The names of one market, for its parsers.
    pub fn symbols(&self, venue: &str, market: &str) -> SymbolTable {
        let mut table = SymbolTable::default();
        for instrument in self.by_id.values().filter(|i| i.venue == venue && i.market == market) {
            if instrument.instrument_type == InstrumentType::Market {
                table.market = instrument.id;
            } else {
                table.insert(instrument.venue_symbol.as_bytes(), instrument.id);
            }
        }
        table
    }
}

/// From a venue symbol's bytes to the instrument's id; made for one look-up a message.
#[derive(Clone, Debug, Default)]
pub struct SymbolTable {
    hasher: hashbrown::DefaultHashBuilder,
    table: HashTable<(Box<[u8]>, InstrumentId)>,
    /// The id that stands for the market as a whole.
    pub market: InstrumentId,
}

impl SymbolTable {
    /// Adds a name.
    pub fn insert(&mut self, symbol: &[u8], id: InstrumentId) {
        let hash = self.hasher.hash_one(symbol);
        if let Some(entry) = self.table.find_mut(hash, |(name, _)| **name == *symbol) {
            entry.1 = id;
            return;
        }
        let hasher = self.hasher.clone();
        self.table.insert_unique(hash, (symbol.into(), id), |(name, _)| hasher.hash_one(&**name));
    }

    /// The id of a name.
    #[inline]
    pub fn get(&self, symbol: &[u8]) -> Option<InstrumentId> {
        let hash = self.hasher.hash_one(symbol);
        self.table.find(hash, |(name, _)| **name == *symbol).map(|(_, id)| *id)
    }

    /// All names, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], InstrumentId)> {
        self.table.iter().map(|(name, id)| (&**name, *id))
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_with_their_names() {
        let mut registry = Registry::default();
        let btc = Instrument::unknown("binance", "spot", "BTCUSDT");
        assert_eq!(registry.define(btc.clone()), (1, true));
        assert_eq!(registry.define(Instrument::unknown("binance", "usdm", "BTCUSDT")), (2, true));
        assert_eq!(registry.define(btc.clone()), (1, false));
        let changed = Instrument { status: "HALT".into(), ..btc };
        assert_eq!(registry.define(changed), (1, true));

        let mut restored = Registry::default();
        registry.all().into_iter().for_each(|i| restored.restore(i.clone()));
        assert_eq!(restored.find("binance", "usdm", "BTCUSDT"), Some(2));
        assert_eq!(restored.define(Instrument::unknown("binance", "spot", "ETHUSDT")), (3, true));
    }

    #[test]
    fn markets_do_not_share_symbols() {
        let mut registry = Registry::default();
        registry.define(Instrument::market("binance", "spot"));
        registry.define(Instrument::unknown("binance", "spot", "BTCUSDT"));
        registry.define(Instrument::unknown("binance", "usdm", "BTCUSDT"));
        let spot = registry.symbols("binance", "spot");
        assert_eq!((spot.market, spot.get(b"BTCUSDT"), spot.len()), (1, Some(2), 1));
        assert_eq!(registry.symbols("binance", "usdm").get(b"BTCUSDT"), Some(3));
        assert_eq!(spot.get(b"NOPE"), None);
    }
}

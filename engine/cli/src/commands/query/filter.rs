//! Which records are wanted.

use std::collections::{BTreeSet, HashMap};

use marketprism_core::record::{Kind, RecordRef};
use marketprism_core::{Instrument, InstrumentId};
use marketprism_runtime::universe;

use super::source::with_definitions;
use super::time;
use crate::config::{nearest, venues};

/// The part of the command line that selects records.
#[derive(Clone, clap::Args)]
pub(crate) struct FilterArguments {
    /// Earliest receive time: 2026-11-23T10:00:00Z, a date, or nanoseconds since 1970.
    #[arg(long, value_name = "TIME", visible_alias = "seek", value_parser = time::parse, allow_hyphen_values = true)]
    pub(crate) from: Option<i64>,
    /// The receive time from which on records are left out.
    #[arg(long, value_name = "TIME", value_parser = time::parse, allow_hyphen_values = true)]
    pub(crate) to: Option<i64>,
    /// Only this venue: binance, okx or deribit.
    #[arg(long)]
    pub(crate) venue: Option<String>,
    /// Only markets of this name, e.g. spot, usdm or swap.
    #[arg(long)]
    pub(crate) market: Option<String>,
    /// Only this symbol, the venue's or the canonical one; * stands for any letters, ? for one. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) symbol: Vec<String>,
    /// Only records of this kind, e.g. trade or book_delta. May be repeated.
    #[arg(long)]
    pub(crate) kind: Vec<String>,
}

/// Decides of each record whether it is wanted.
pub(crate) struct Filter {
    pub(crate) from_ns: i64,
    pub(crate) end_ns: i64,
    venue: Option<String>,
    market: Option<String>,
    symbols: Vec<String>,
    /// All where it is empty.
    pub(crate) kinds: Vec<Kind>,
    /// What was decided of an instrument, and its canonical symbol at that time, which a definition may change.
    decided: HashMap<InstrumentId, (String, bool)>,
}

impl Filter {
    /// The error says what to write instead.
    pub(crate) fn new(arguments: FilterArguments) -> Result<Filter, String> {
        let FilterArguments { from, to, venue, market, symbol, kind } = arguments;
        check_names(venue.as_deref(), market.as_deref())?;
        let (from_ns, end_ns) = (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX));
        if from_ns >= end_ns {
            return Err("--from is not before --to: no time lies between them".to_owned());
        }
        let kinds = kind.iter().map(|name| kind_named(name)).collect::<Result<_, _>>()?;
        Ok(Filter { from_ns, end_ns, venue, market, symbols: symbol, kinds, decided: HashMap::new() })
    }

    /// The kinds that are read for it; `None`: all.
    pub(crate) fn kinds(&self) -> Option<BTreeSet<Kind>> {
        let takes = |kind: &Kind| self.kinds.contains(&kind.stream());
        if self.kinds.is_empty() { None } else { with_definitions(Kind::ALL.into_iter().filter(takes)) }
    }

    /// Whether it leaves instruments out by their names.
    pub(crate) fn names_some(&self) -> bool {
        self.venue.is_some() || self.market.is_some() || !self.symbols.is_empty()
    }

    /// Whether a record is wanted, its time apart.
    pub(crate) fn takes(&mut self, record: RecordRef<'_>, instrument: &Instrument) -> bool {
        let is_kind = |kind: Kind| self.kinds.is_empty() || self.kinds.contains(&kind.stream());
        record.kind().is_some_and(is_kind) && self.takes_instrument(record.header().instrument, instrument)
    }

    fn takes_instrument(&mut self, id: InstrumentId, instrument: &Instrument) -> bool {
        match self.decided.get(&id) {
            Some((symbol, takes)) if *symbol == instrument.symbol => *takes,
            _ => {
                let takes = self.names(instrument);
                self.decided.insert(id, (instrument.symbol.clone(), takes));
                takes
            }
        }
    }

    /// Whether records of an instrument are wanted.
    pub(crate) fn names(&self, instrument: &Instrument) -> bool {
        let is = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        let fits = |pattern: &String| {
            universe::matches(pattern, &instrument.venue_symbol)
                || universe::matches(pattern, &instrument.symbol)
        };
        is(&self.venue, &instrument.venue)
            && is(&self.market, &instrument.market)
            && (self.symbols.is_empty() || self.symbols.iter().any(fits))
    }
}

fn kind_named(name: &str) -> Result<Kind, String> {
    let kinds = || Kind::ALL.into_iter().filter(|kind| kind.stream() == *kind);
    let names: Vec<&str> = kinds().map(Kind::name).collect();
    let unknown = || format!("unknown kind \"{name}\"; {}", hint(name, &names));
    kinds().find(|kind| kind.name() == name).ok_or_else(unknown)
}

fn check_names(venue: Option<&str>, market: Option<&str>) -> Result<(), String> {
    let mut venues = venues();
    if let Some(venue) = venue {
        let names: Vec<&str> = venues.iter().map(|venue| venue.name()).collect();
        if !names.contains(&venue) {
            return Err(format!("unknown venue \"{venue}\"; {}", hint(venue, &names)));
        }
        venues.retain(|known| known.name() == venue);
    }
    let mut markets: Vec<&str> = venues.iter().flat_map(|venue| venue.markets()).map(|m| m.name).collect();
    markets.sort_unstable();
    markets.dedup();
    match market {
        Some(market) if !markets.contains(&market) => {
            let whose = venue.map_or("unknown market".to_owned(), |venue| format!("{venue} has no market"));
            Err(format!("{whose} \"{market}\"; {}", hint(market, &markets)))
        }
        _ => Ok(()),
    }
}

fn hint(word: &str, names: &[&str]) -> String {
    match nearest(word, names.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("use one of {}", names.join(", ")),
    }
}

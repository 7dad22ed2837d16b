//! Finding out what a configuration means today: definitions, symbols, streams.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use marketprism_core::instrument::{Instrument, Registry};
use marketprism_core::record::Kind;
use marketprism_core::venue::{Market, Venue};
use marketprism_log::{StreamEnd, stream_ends};

use crate::control::{ControlledMarket, fetch_instruments};
use crate::plan::{Plan, plan};
use crate::recorder::StartError;
use crate::rest::{RestClient, RestMarket};
use crate::settings::{Settings, Source};
use crate::silence::ExpectedStream;
use crate::telemetry::{EventSender, Severity};
use crate::transport::Endpoint;

/// So much of an existing log is read at the start to find where its streams ended.
const RESUME_BYTES: u64 = 1 << 30;
/// The definitions are waited for this long at the start; capture does not depend on them.
const DEFINITIONS_LIMIT: Duration = Duration::from_secs(5);

/// One source with everything that was found out about it.
pub(crate) struct Prepared {
    pub(crate) venue: Arc<dyn Venue>,
    pub(crate) market: &'static Market,
    pub(crate) plan: Plan,
    pub(crate) instruments: BTreeMap<u32, Instrument>,
    pub(crate) market_instrument: u32,
    pub(crate) websocket: Vec<Endpoint>,
    pub(crate) rest: RestMarket,
    pub(crate) definitions_missing: bool,
}

/// Fetches definitions and plans the connections of every source.
pub(crate) fn prepare(
    settings: &Settings,
    venues: &[Arc<dyn Venue>],
    client: &RestClient,
    registry: &mut Registry,
    events: &EventSender,
) -> Result<Vec<Prepared>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StartError::System(format!("cannot start a runtime: {error}")))?;
    let mut prepared = Vec::new();
    for source in &settings.sources {
        prepared.push(runtime.block_on(prepare_source(source, venues, client, registry, events))?);
    }
    if prepared.is_empty() {
        return Err(StartError::Settings("nothing to record: no market is configured".into()));
    }
    Ok(prepared)
}

async fn prepare_source(
    source: &Source,
    venues: &[Arc<dyn Venue>],
    client: &RestClient,
    registry: &mut Registry,
    events: &EventSender,
) -> Result<Prepared, StartError> {
    let settings = StartError::Settings;
    let venue = venues.iter().find(|venue| venue.name() == source.venue);
    let venue = venue.ok_or_else(|| settings(format!("unknown venue \"{}\"", source.venue)))?;
    let market = venue.market(&source.market);
    let market =
        market.ok_or_else(|| settings(format!("{} has no market \"{}\"", source.venue, source.market)))?;
    let websocket = endpoints(&source.websocket, market.websocket)?;
    let rest = RestMarket::new(client.clone(), market, endpoints(&source.rest, market.rest)?);
    let label = format!("{}/{}", source.venue, source.market);

    let fetch = fetch_instruments(&**venue, market, &rest);
    let definitions = match tokio::time::timeout(DEFINITIONS_LIMIT, fetch).await {
        Ok(Ok((definitions, problems))) => {
            problems
                .into_iter()
                .for_each(|problem| events.send(Severity::Warning, format!("{label}: {problem}")));
            Some(definitions)
        }
        Ok(Err(error)) => {
            events.send(
                Severity::Warning,
                format!("{label}: no definitions yet, capture starts without: {error}"),
            );
            None
        }
        Err(_) => {
            events.send(Severity::Warning, format!("{label}: no definitions yet, capture starts without"));
            None
        }
    };
    let definitions_missing = definitions.is_none();
    let instruments = select(source, definitions, registry, events)?;
    let (market_instrument, _) = registry.define(Instrument::market(&source.venue, &source.market));
    let chosen: Vec<&Instrument> = instruments.values().collect();
    let plan = plan(&**venue, market, &source.channels, &chosen)
        .map_err(|error| settings(format!("{label}: {error}")))?;
    Ok(Prepared {
        venue: Arc::clone(venue),
        market,
        plan,
        instruments,
        market_instrument,
        websocket,
        rest,
        definitions_missing,
    })
}

fn endpoints(configured: &[String], built_in: &[&str]) -> Result<Vec<Endpoint>, StartError> {
    let addresses: Vec<&str> = if configured.is_empty() {
        built_in.to_vec()
    } else {
        configured.iter().map(String::as_str).collect()
    };
    addresses.into_iter().map(|address| Endpoint::parse(address).map_err(StartError::Settings)).collect()
}

/// Where the streams to record ended in the log, so that the hole until now is reported.
pub(crate) fn resume(
    data_dir: &Path,
    prepared: &[Prepared],
    events: &EventSender,
) -> BTreeMap<(u32, Kind), StreamEnd> {
    let connections = prepared.iter().flat_map(|source| &source.plan.connections);
    let streams = connections.flat_map(|connection| &connection.streams);
    let wanted: HashSet<(u32, Kind)> = streams.map(|stream| (stream.instrument, stream.kind)).collect();
    stream_ends(data_dir, &wanted, RESUME_BYTES).unwrap_or_else(|error| {
        let text =
            format!("where the streams ended is not known, so that no hole until now is reported: {error}");
        events.send(Severity::Error, text);
        BTreeMap::new()
    })
}

/// The instruments that a source names, with their ids.
fn select(
    source: &Source,
    definitions: Option<Vec<Instrument>>,
    registry: &mut Registry,
    events: &EventSender,
) -> Result<BTreeMap<u32, Instrument>, StartError> {
    let mut by_symbol: BTreeMap<String, Instrument> = BTreeMap::new();
    let known = definitions.is_some();
    for definition in definitions.unwrap_or_default() {
        by_symbol.insert(definition.venue_symbol.clone(), definition);
    }
    let mut selected = BTreeMap::new();
    for symbol in &source.symbols {
        let held = || {
            let id = registry.find(&source.venue, &source.market, symbol)?;
            registry.get(id).cloned()
        };
        let definition = match by_symbol.remove(symbol) {
            Some(definition) => definition,
            None if known => {
                let text =
                    format!("{}/{}: no instrument \"{symbol}\"; it is left out", source.venue, source.market);
                events.send(Severity::Error, text);
                continue;
            }
            None => held().unwrap_or_else(|| Instrument::unknown(&source.venue, &source.market, symbol)),
        };
        let (id, _) = registry.define(definition);
        if let Some(instrument) = registry.get(id) {
            selected.insert(id, instrument.clone());
        }
    }
    if selected.is_empty() {
        let text = format!("{}/{}: none of the configured symbols exists", source.venue, source.market);
        return Err(StartError::Settings(text));
    }
    Ok(selected)
}

/// Every stream that is subscribed, with a name for people.
pub(crate) fn expected_streams(prepared: &[Prepared]) -> Vec<ExpectedStream> {
    let of_source = |source: &Prepared| {
        let market = format!("{}/{}", source.venue.name(), source.market.name);
        let streams = source.plan.connections.iter().flat_map(|connection| &connection.streams);
        let named = streams.map(|stream| {
            let symbol = source.instruments.get(&stream.instrument).map_or("", |i| i.venue_symbol.as_str());
            let label = format!("{market} {symbol}");
            ExpectedStream { instrument: stream.instrument, kind: stream.kind, label }
        });
        named.collect::<Vec<_>>()
    };
    prepared.iter().flat_map(of_source).collect()
}

impl Prepared {
    /// The part that control needs.
    pub(crate) fn controlled(self) -> ControlledMarket {
        ControlledMarket {
            venue: self.venue,
            market: self.market,
            rest: self.rest,
            instruments: self.instruments,
            polls: self.plan.polls,
            definitions_missing: self.definitions_missing,
        }
    }
}

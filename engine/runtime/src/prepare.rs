//! Finding out what a configuration means today: definitions, symbols, streams.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use marketprism_core::instrument::{Instrument, InstrumentId, InstrumentType, Registry};
use marketprism_core::record::Kind;
use marketprism_core::venue::{Allowance, Market, Venue};
use marketprism_log::{StreamEnd, stream_ends};

use crate::control::fetch_instruments;
use crate::governor::Governors;
use crate::lines::LineMarket;
use crate::normaliser::TrackedBook;
use crate::plan::{self, Needs, PlannedConnection};
use crate::recorder::StartError;
use crate::rest::{RestClient, RestMarket};
use crate::settings::{RawCapture, Settings, Source};
use crate::silence::ExpectedStream;
use crate::telemetry::{EventSender, Severity};
use crate::transport::Endpoint;
use crate::universe::{is_pattern, select};

/// So much of an existing log is read at the start to find where its streams ended.
const RESUME_BYTES: u64 = 1 << 30;
/// What is sent may take so much longer to the venue than what is sent after it, without more being counted there than is
/// allowed.
const JITTER: Duration = Duration::from_millis(250);
/// The definitions are waited for this long at the start; capture does not depend on them.
const DEFINITIONS_LIMIT: Duration = Duration::from_secs(10);

/// One market with everything that was found out about it.
pub(crate) struct Prepared {
    pub(crate) line: LineMarket,
    pub(crate) rest: Arc<RestMarket>,
    /// What to record of it.
    pub(crate) sources: Vec<Source>,
    /// The instruments recorded, by id.
    pub(crate) instruments: BTreeMap<InstrumentId, Instrument>,
    pub(crate) needs: Needs,
    pub(crate) connections: Vec<PlannedConnection>,
    pub(crate) definitions_missing: bool,
}

/// Fetches definitions and plans the connections of every market.
pub(crate) fn prepare(
    settings: &Settings,
    venues: &[Arc<dyn Venue>],
    client: &RestClient,
    registry: &mut Registry,
    events: &EventSender,
) -> Result<Vec<Prepared>, StartError> {
    let keeps_all = settings.sources.iter().any(|source| source.raw == RawCapture::All);
    if keeps_all && settings.threads.normalisers > 1 {
        let text = "keeping every frame needs a single normaliser: the order between several is not recorded";
        return Err(StartError::Settings(text.into()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StartError::System(format!("cannot start a runtime: {error}")))?;
    let mut preparing = Preparing { venues, client, registry, governors: Governors::default(), events };
    let markets = by_market(&settings.sources).into_iter().map(|sources| preparing.found(sources));
    let markets = markets.collect::<Result<Vec<Found>, _>>()?;
    if markets.is_empty() {
        return Err(StartError::Settings("nothing to record: no market is configured".into()));
    }
    let lists = runtime.block_on(definitions(&markets, events));
    let prepared = markets.into_iter().zip(lists).map(|(found, list)| preparing.planned(found, list));
    let prepared = prepared.collect::<Result<Vec<Prepared>, _>>()?;
    check_connections(&prepared)?;
    Ok(prepared)
}

/// A market and where it is reached.
struct Found {
    line: LineMarket,
    rest: Arc<RestMarket>,
    sources: Vec<Source>,
}

/// The lists of all markets, fetched at the same time, so that a venue that does not answer delays no other.
async fn definitions(markets: &[Found], events: &EventSender) -> Vec<Option<Vec<Instrument>>> {
    let fetches = markets.iter().map(|found| {
        let (venue, market, rest) =
            (Arc::clone(&found.line.venue), found.line.market, Arc::clone(&found.rest));
        tokio::spawn(async move {
            tokio::time::timeout(DEFINITIONS_LIMIT, fetch_instruments(&*venue, market, &rest)).await
        })
    });
    let fetches: Vec<_> = fetches.collect();
    let mut lists = Vec::new();
    for (found, fetch) in markets.iter().zip(fetches) {
        let label = found.line.label();
        let problem = match fetch.await {
            Ok(Ok(Ok((list, problems)))) => {
                for problem in problems {
                    events.send(Severity::Warning, format!("{label}: {problem}"));
                }
                lists.push(Some(list));
                continue;
            }
            Ok(Ok(Err(error))) => format!(": {error}"),
            Ok(Err(_)) => String::new(),
            Err(error) => format!(": {error}"),
        };
        events
            .send(Severity::Warning, format!("{label}: no definitions yet, capture starts without{problem}"));
        lists.push(None);
    }
    lists
}

/// Sources of one market together, in the order of their first mention.
fn by_market(sources: &[Source]) -> Vec<Vec<Source>> {
    let mut groups: Vec<Vec<Source>> = Vec::new();
    for source in sources {
        let same = |group: &&mut Vec<Source>| {
            group.first().is_some_and(|first| first.venue == source.venue && first.market == source.market)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(source.clone()),
            None => groups.push(vec![source.clone()]),
        }
    }
    groups
}

/// Some venues allow so many connections from one address, whatever they carry.
fn check_connections(prepared: &[Prepared]) -> Result<(), StartError> {
    let mut by_address: HashMap<String, usize> = HashMap::new();
    for market in prepared {
        let Some(limit) = market.line.market.connections else { continue };
        let Some(endpoint) = market.line.websocket.first() else { continue };
        let count = by_address.entry(endpoint.authority()).or_default();
        *count += market.connections.len();
        if *count > limit {
            return Err(StartError::Settings(format!(
                "{}: {count} connections to {} are needed, and the venue allows {limit} from one address; record fewer \
                 instruments or channels here",
                market.line.label(),
                endpoint.authority()
            )));
        }
    }
    Ok(())
}

struct Preparing<'a> {
    venues: &'a [Arc<dyn Venue>],
    client: &'a RestClient,
    registry: &'a mut Registry,
    governors: Governors,
    events: &'a EventSender,
}

impl Preparing<'_> {
    /// The venue, market and addresses that some sources name.
    fn found(&mut self, sources: Vec<Source>) -> Result<Found, StartError> {
        let settings = StartError::Settings;
        let Some(first) = sources.first() else { return Err(settings("a market without a source".into())) };
        let venue = self.venues.iter().find(|venue| venue.name() == first.venue);
        let venue = venue.ok_or_else(|| settings(format!("unknown venue \"{}\"", first.venue)))?;
        let market = venue.market(&first.market);
        let market =
            market.ok_or_else(|| settings(format!("{} has no market \"{}\"", first.venue, first.market)))?;
        let websocket = endpoints(&first.websocket, market.websocket)?;
        let rest = endpoints(&first.rest, market.rest)?;
        let authority =
            |endpoints: &[Endpoint]| endpoints.first().map(Endpoint::authority).unwrap_or_default();
        let mut governor = |endpoints: &[_], what, limit| {
            self.governors.of(&authority(endpoints), what, late_or_early(limit))
        };
        let connects = governor(&websocket, "connects", market.connects);
        let requests = market.requests_per_address.map(|limit| governor(&websocket, "requests", limit));
        let weight = governor(&rest, "REST weight", market.rest_weight);
        let rest = RestMarket::new(self.client.clone(), market, rest, weight);
        let (instrument, _) = self.registry.define(Instrument::market(&first.venue, &first.market));
        let venue = Arc::clone(venue);
        let raw = first.raw;
        let line = LineMarket { venue, market, instrument, websocket, governor: connects, requests, raw };

        Ok(Found { line, rest: Arc::new(rest), sources })
    }

    /// What is recorded of a market, given its list where it could be had.
    fn planned(&mut self, found: Found, list: Option<Vec<Instrument>>) -> Result<Prepared, StartError> {
        let Found { line, rest, sources } = found;
        let definitions_missing = list.is_none();
        let (instruments, needs) = self.plan(&line, &sources, list)?;
        let connections = plan::connections(line.market, needs.streams.clone());
        Ok(Prepared { line, rest, sources, instruments, needs, connections, definitions_missing })
    }

    /// The instruments of all sources with their ids, and what they need.
    fn plan(
        &mut self,
        line: &LineMarket,
        sources: &[Source],
        definitions: Option<Vec<Instrument>>,
    ) -> Result<(BTreeMap<InstrumentId, Instrument>, Needs), StartError> {
        let faulty = |error: String| StartError::Settings(format!("{}: {error}", line.label()));
        let mut instruments = BTreeMap::new();
        let mut needs = Needs::default();
        for source in sources {
            let chosen = self.select(line, source, definitions.as_deref())?;
            let list: Vec<&Instrument> = chosen.values().collect();
            let own = plan::needs(&*line.venue, line.market, &source.channels, &list).map_err(faulty)?;
            needs.add(own);
            instruments.extend(chosen);
        }
        let channels: Vec<String> = sources.iter().flat_map(|source| source.channels.clone()).collect();
        if let Some(entry) = self.registry.get(line.instrument) {
            needs.add(plan::market_needs(&*line.venue, line.market, &channels, entry).map_err(faulty)?);
        }
        plan::one_of_a_kind(&needs.streams).map_err(faulty)?;
        Ok((instruments, needs))
    }

    /// The instruments that a source names, with their ids.
    fn select(
        &mut self,
        line: &LineMarket,
        source: &Source,
        definitions: Option<&[Instrument]>,
    ) -> Result<BTreeMap<InstrumentId, Instrument>, StartError> {
        let mut selected = BTreeMap::new();
        let mut adopt = |registry: &mut Registry, definition: Instrument| {
            let (id, _) = registry.define(definition);
            if let Some(instrument) = registry.get(id) {
                selected.insert(id, instrument.clone());
            }
        };
        if let Some(definitions) = definitions {
            let selection = select(source, definitions);
            for symbol in selection.missing {
                let text = format!("{}: no instrument \"{symbol}\"; it is left out", line.label());
                self.events.send(Severity::Error, text);
            }
            selection.instruments.into_iter().for_each(|definition| adopt(self.registry, definition.clone()));
        } else {
            for symbol in source.symbols.iter().filter(|symbol| !is_pattern(symbol)) {
                let known = self.registry.find(&source.venue, &source.market, symbol);
                let held = known.and_then(|id| self.registry.get(id).cloned());
                let unknown = || line.venue.instrument_by_name(line.market, symbol);
                adopt(self.registry, held.unwrap_or_else(unknown));
            }
        }
        // A list that does not answer yet may still bring what the patterns name.
        let hopeful = definitions.is_none() && source.symbols.iter().any(|symbol| is_pattern(symbol));
        if selected.values().all(|i| i.instrument_type == InstrumentType::Index) && !hopeful {
            let text = format!("{}: none of the configured symbols exists", line.label());
            return Err(StartError::Settings(text));
        }
        Ok(selected)
    }
}

/// A limit that the venue sees kept whatever comes to it up to [`JITTER`] late.
fn late_or_early(limit: Allowance) -> Allowance {
    Allowance { window: limit.window + JITTER, ..limit }
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
    let streams = prepared.iter().flat_map(|market| &market.needs.streams);
    let kinds = |stream: &marketprism_core::venue::Stream| {
        let instrument = stream.instrument;
        stream.kinds.iter().map(move |kind| (instrument, kind.stream())).collect::<Vec<_>>()
    };
    let wanted: HashSet<(u32, Kind)> = streams.flat_map(kinds).collect();
    stream_ends(data_dir, &wanted, RESUME_BYTES).unwrap_or_else(|error| {
        let text =
            format!("where the streams ended is not known, so that no hole until now is reported: {error}");
        events.send(Severity::Error, text);
        BTreeMap::new()
    })
}

/// The books among some streams, and whether their quotes have to be derived.
pub(crate) fn tracked_books(market: &Market, needs: &Needs) -> Vec<TrackedBook> {
    let quotes = needs.streams.iter().filter(|stream| stream.kinds.contains(&Kind::Quote));
    let quoted: HashSet<InstrumentId> = quotes.map(|stream| stream.instrument).collect();
    let books = needs.streams.iter().filter(|stream| stream.carries_book());
    books
        .map(|stream| TrackedBook {
            instrument: stream.instrument,
            continuity: market.continuity,
            derive_quotes: !quoted.contains(&stream.instrument),
        })
        .collect()
}

/// The streams that have to deliver, with a name for people. Trades of options may be days apart.
pub(crate) fn expected_streams(
    label: &str,
    needs: &Needs,
    instruments: &BTreeMap<InstrumentId, Instrument>,
) -> Vec<ExpectedStream> {
    let expected = needs.streams.iter().filter_map(|stream| {
        let instrument = instruments.get(&stream.instrument)?;
        let kind = stream.kinds.first()?.stream();
        let rare = matches!(instrument.instrument_type, InstrumentType::Option | InstrumentType::Combo)
            && matches!(kind, Kind::Trade | Kind::AggTrade | Kind::Candle);
        let label = format!("{label} {}", instrument.venue_symbol);
        (!rare).then_some(ExpectedStream { instrument: stream.instrument, kind, label })
    });
    expected.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governor::Governor;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_venue_counts_no_more_than_it_allows(delays in proptest::collection::vec(0..=250i64, 2..60)) {
            let limit = Allowance { most: 3, window: Duration::from_millis(1000) };
            let mut governor = Governor::new(3, late_or_early(limit).window.as_millis() as i64);
            let (mut now, mut arrivals) = (0, vec![]);
            for delay in delays {
                while let Err(later) = governor.admit(now, 1) {
                    now = later;
                }
                arrivals.push(now + delay);
            }
            for from in &arrivals {
                let window = *from..from + limit.window.as_millis() as i64;
                prop_assert!(arrivals.iter().filter(|arrival| window.contains(arrival)).count() <= 3);
            }
        }
    }
}

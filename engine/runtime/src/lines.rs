//! The connections as control sees them: which there are, what they carry, and how a new one is made.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use marketprism_core::clock::monotonic_ns;
use marketprism_core::instrument::{InstrumentId, SymbolTable};
use marketprism_core::record::Kind;
use marketprism_core::venue::{Market, Stream, Venue};
use tokio::sync::mpsc;

use crate::governor::Governor;
use crate::io::{Connection, LineCommand, Notice};
use crate::plan::{PlannedConnection, Room, names};
use crate::raw::{FrameKeeper, Origin};
use crate::recorder::Known;
use crate::session::Session;
use crate::settings::RawCapture;
use crate::telemetry::{ConnectionCounters, lock};
use crate::transport::Endpoint;

/// Commands that may wait for a connection.
const COMMAND_QUEUE: usize = 1024;

/// What all connections of a market have in common.
pub(crate) struct LineMarket {
    pub(crate) venue: Arc<dyn Venue>,
    pub(crate) market: &'static Market,
    pub(crate) instrument: InstrumentId,
    pub(crate) websocket: Vec<Endpoint>,
    pub(crate) governor: Arc<Mutex<Governor>>,
    pub(crate) requests: Option<Arc<Mutex<Governor>>>,
    pub(crate) raw: RawCapture,
}

impl LineMarket {
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.venue.name(), self.market.name)
    }
}

/// Makes connections and hands them to the I/O threads in turn.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    pub(crate) threads: Vec<mpsc::Sender<Connection>>,
    pub(crate) known: Arc<Mutex<Vec<Known>>>,
    pub(crate) notices: mpsc::Sender<Notice>,
}

impl Dispatcher {
    /// Connections to a venue, on all its markets.
    pub(crate) fn connections_to(&self, venue: &str) -> usize {
        let of_venue = |known: &&Known| known.label.split('/').next() == Some(venue);
        lock(&self.known).iter().filter(of_venue).count()
    }

    /// Starts a connection; `None` where no thread takes it (the recorder stops).
    pub(crate) fn open(
        &self,
        market: &LineMarket,
        planned: PlannedConnection,
        symbols: SymbolTable,
    ) -> Option<Line> {
        let mut known = lock(&self.known);
        let id = known.len() as u32 + 1;
        let counters = Arc::new(ConnectionCounters::default());
        let (commands, inbox) = mpsc::channel(COMMAND_QUEUE);
        let subscriptions = names(&planned.streams);
        let seed = monotonic_ns() as u64 ^ u64::from(id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let line = Line::new(id, market.market, &planned, commands);
        known.push(Known {
            id,
            label: market.label(),
            streams: Arc::clone(&line.streams),
            counters: Arc::clone(&counters),
        });
        let connection = Connection {
            id,
            label: market.label(),
            market_instrument: market.instrument,
            endpoints: market.websocket.clone(),
            path: market.venue.websocket_path(market.market, planned.route),
            session: Session::new(
                Arc::clone(&market.venue),
                market.market,
                subscriptions,
                market.websocket.len(),
                market.requests.clone(),
                seed,
            ),
            streams: planned.streams,
            keeper: FrameKeeper::new(market.raw, Origin { market: market.instrument, connection: id }),
            symbols: listed(&symbols),
            decoder: market.venue.decoder(market.market, symbols),
            governor: Arc::clone(&market.governor),
            counters,
            commands: inbox,
            notices: self.notices.clone(),
        };
        let thread = self.threads.get((id as usize - 1) % self.threads.len().max(1))?;
        thread.try_send(connection).ok().map(|()| line)
    }
}

/// The symbols of a table.
fn listed(symbols: &SymbolTable) -> Vec<(String, InstrumentId)> {
    symbols.iter().map(|(symbol, id)| (String::from_utf8_lossy(symbol).into_owned(), id)).collect()
}

/// One connection.
pub(crate) struct Line {
    /// Number of the connection.
    pub(crate) id: u32,
    market: &'static Market,
    route: &'static str,
    room: Room,
    carried: Vec<Stream>,
    /// The names of what it carries.
    names: HashSet<String>,
    /// The instruments whose books come over it.
    books: HashSet<InstrumentId>,
    /// Number of names, for others to see.
    streams: Arc<AtomicUsize>,
    commands: mpsc::Sender<LineCommand>,
}

impl Line {
    fn new(
        id: u32,
        market: &'static Market,
        planned: &PlannedConnection,
        commands: mpsc::Sender<LineCommand>,
    ) -> Line {
        let mut line = Line {
            id,
            market,
            route: planned.route,
            room: Room::of(market),
            carried: Vec::new(),
            names: HashSet::new(),
            books: HashSet::new(),
            streams: Arc::default(),
            commands,
        };
        planned.streams.iter().for_each(|stream| line.note(stream.clone()));
        line
    }

    fn note(&mut self, stream: Stream) {
        if self.names.insert(stream.name.clone()) {
            self.room.take(&stream);
        }
        if stream.carries_book() {
            self.books.insert(stream.instrument);
        }
        self.carried.push(stream);
        self.streams.store(self.names.len(), Ordering::Relaxed);
    }

    fn carries(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Whether the instrument's book comes over it.
    pub(crate) fn carries_book_of(&self, instrument: InstrumentId) -> bool {
        self.books.contains(&instrument)
    }

    /// Whether a stream of records of this kind comes over it.
    pub(crate) fn carries_kind_of(&self, kind: Kind, instrument: InstrumentId) -> bool {
        self.carried.iter().any(|stream| stream.instrument == instrument && stream.kinds.contains(&kind))
    }

    /// The instruments whose books come over it.
    pub(crate) fn books(&self) -> impl Iterator<Item = InstrumentId> + '_ {
        self.books.iter().copied()
    }

    /// Sends a command; one that finds the queue full or the connection gone is lost, and asked for again by whoever
    /// still needs it.
    pub(crate) fn send(&self, command: LineCommand) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Forgets instruments, which makes room for others, and tells the connection to.
    pub(crate) fn remove(&mut self, instruments: &HashSet<InstrumentId>) {
        let (gone, left): (Vec<Stream>, Vec<Stream>) =
            self.carried.drain(..).partition(|stream| instruments.contains(&stream.instrument));
        self.room = Room::of(self.market);
        self.names.clear();
        self.books.clear();
        self.streams.store(0, Ordering::Relaxed);
        left.into_iter().for_each(|stream| self.note(stream));
        if !gone.is_empty() {
            self.send(LineCommand::Remove(instruments.iter().copied().collect()));
        }
    }
}

/// Adds streams to connections that have room, those of a known name to the one that carries it. Gives back what needs
/// new connections.
pub(crate) fn place(lines: &mut [Line], streams: Vec<Stream>) -> Vec<Stream> {
    let mut added: Vec<Vec<Stream>> = lines.iter().map(|_| Vec::new()).collect();
    let mut left = Vec::new();
    for stream in streams {
        let carrying = lines.iter().position(|line| line.carries(&stream.name));
        let roomy = || lines.iter().position(|line| line.route == stream.route && line.room.has(&stream));
        match carrying.or_else(roomy).and_then(|index| lines.get_mut(index).map(|line| (index, line))) {
            Some((index, line)) => {
                line.note(stream.clone());
                added[index].push(stream);
            }
            None => left.push(stream),
        }
    }
    for (line, streams) in lines.iter().zip(added) {
        if !streams.is_empty() {
            line.send(LineCommand::Add(streams));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TEST_MARKET;

    static NARROW: Market = Market { streams_per_connection: 3, books_per_connection: 2, ..TEST_MARKET };

    fn book(instrument: InstrumentId) -> Stream {
        Stream { name: format!("book-{instrument}"), route: "", instrument, kinds: &[Kind::BookDelta] }
    }

    /// A stream that all instruments share.
    fn shared(instrument: InstrumentId) -> Stream {
        Stream { name: "liquidations".into(), route: "", instrument, kinds: &[Kind::Liquidation] }
    }

    fn line(streams: Vec<Stream>) -> (Line, mpsc::Receiver<LineCommand>) {
        let (commands, inbox) = mpsc::channel(8);
        (Line::new(1, &NARROW, &PlannedConnection { route: "", streams }, commands), inbox)
    }

    #[test]
    fn what_expired_makes_room_for_what_is_listed() {
        let (line, mut inbox) = line(vec![book(1), book(2), shared(1), shared(2)]);
        let mut lines = [line];
        assert_eq!(place(&mut lines, vec![book(3), shared(3)]), [book(3)], "there is room for two books");

        lines[0].remove(&HashSet::from([1]));
        assert!(!lines[0].carries_book_of(1) && lines[0].carries_book_of(2));
        assert_eq!(
            lines[0].streams.load(Ordering::Relaxed),
            2,
            "others share the stream of the one that went"
        );
        assert_eq!(place(&mut lines, vec![book(3), book(4)]), [book(4)]);

        let mut commands = vec![];
        while let Ok(command) = inbox.try_recv() {
            commands.push(command);
        }
        let expected = [
            matches!(&commands[0], LineCommand::Add(streams) if *streams == [shared(3)]),
            matches!(&commands[1], LineCommand::Remove(instruments) if *instruments == [1]),
            matches!(&commands[2], LineCommand::Add(streams) if *streams == [book(3)]),
        ];
        assert!(commands.len() == 3 && expected == [true; 3], "{commands:?}");
    }

    #[test]
    fn a_connection_without_what_expired_hears_nothing() {
        let (mut line, mut inbox) = line(vec![book(1)]);
        line.remove(&HashSet::from([2]));
        assert!(line.carries("book-1") && inbox.try_recv().is_err());
    }
}

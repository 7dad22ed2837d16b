"""A log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, TypeVar, overload

from marketprism import instruments as _instruments
from marketprism._engine import LogError, Reader
from marketprism.book import Book
from marketprism.instruments import Instrument
from marketprism.kinds import CLASSES, AggTrades, BookDeltas, Books, BookSnapshots, Gaps, Quotes, Trades
from marketprism.records import Records, problems_of
from marketprism.times import Time, nanoseconds
from marketprism.values import Kind

R = TypeVar("R", bound=Records)
Symbol = str | Sequence[str] | None
_FIRST_NS, _END_NS = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Stream:
    """The records of one kind of one instrument."""

    instrument: Instrument
    kind: Kind
    records: int
    gaps: int
    """Holes that the log reports."""
    first_ns: int | None
    """Earliest receive time."""
    last_ns: int | None
    """Latest receive time."""


def open(path: str | PathLike[str]) -> Log:
    """Opens a log's folder for reading. Needs no lock, and works while the log is written: every call sees what is whole by
    then."""
    return Log(path)


class Log:
    """A log.

    Methods that read records share their arguments. `symbol` is the venue's symbol or the canonical one, or a list of
    them; `*` stands for any letters and `?` for one. Names are those of the newest definitions. `start` and `end` are
    receive times, `end` exclusive; see `Time` for their forms. What is damaged in the log is left out, warned of with
    `LogWarning`, and in `problems` of what is returned.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = fspath(path)
        self._reader = Reader(self.path)

    def __repr__(self) -> str:
        return f"<Log {self.path!r}>"

    @property
    def instruments(self) -> list[Instrument]:
        """All instruments, as they were defined last."""
        return list(self._by_id().values())

    def instrument(self, symbol: str, *, venue: str | None = None, market: str | None = None) -> Instrument:
        """The one instrument with this symbol. Raises `LogError` where there is none, or more than one."""
        found = _instruments.select(self._by_id(), symbol, venue, market) or []
        if len(found) > 1:
            raise LogError(f"{symbol} is {', '.join(map(str, found))}: name venue and market too")
        return found[0]

    def streams(self) -> list[Stream]:
        """What is there. Reads the whole log."""
        known = self._by_id()
        streams, problems = self._reader.streams()
        problems_of(problems)
        unknown = Instrument(0, "", "", "", "", "")
        return [
            Stream(known.get(instrument, unknown), Kind(kind), records, gaps, *(times or (None, None)))
            for instrument, kind, records, gaps, times in streams
        ]

    @overload
    def records(
        self,
        kind: type[R],
        symbol: Symbol = None,
        *,
        start: Time | None = None,
        end: Time | None = None,
        venue: str | None = None,
        market: str | None = None,
    ) -> R: ...
    @overload
    def records(
        self,
        kind: str,
        symbol: Symbol = None,
        *,
        start: Time | None = None,
        end: Time | None = None,
        venue: str | None = None,
        market: str | None = None,
    ) -> Records: ...
    def records(
        self,
        kind: Any,
        symbol: Symbol = None,
        *,
        start: Time | None = None,
        end: Time | None = None,
        venue: str | None = None,
        market: str | None = None,
    ) -> Any:
        """Records of a kind, e.g. `mp.Quotes` or `"quote"`, in one table: a copy."""
        known = self._by_id()
        wanted = self._wanted(kind, known, symbol, venue, market, start, end)
        rows = self._reader.read(*wanted)
        return _class(kind).of(rows, known, problems_of(rows.problems))

    @overload
    def batches(
        self,
        kind: type[R],
        symbol: Symbol = None,
        *,
        start: Time | None = None,
        end: Time | None = None,
        venue: str | None = None,
        market: str | None = None,
    ) -> Iterator[R]: ...
    @overload
    def batches(
        self,
        kind: str,
        symbol: Symbol = None,
        *,
        start: Time | None = None,
        end: Time | None = None,
        venue: str | None = None,
        market: str | None = None,
    ) -> Iterator[Records]: ...
    def batches(
        self,
        kind: Any,
        symbol: Symbol = None,
        *,
        start: Time | None = None,
        end: Time | None = None,
        venue: str | None = None,
        market: str | None = None,
    ) -> Iterator[Any]:
        """Records of a kind, batch by batch, for logs larger than memory.

        Where a batch is stored plain and the wanted records lie in it one after the other, `data` is the mapped file
        itself: nothing is copied (`is_view`). The file stays mapped while an array of it lives. Else `data` is a copy of
        the wanted ones.
        """
        known = self._by_id()
        wanted = self._wanted(kind, known, symbol, venue, market, start, end)
        return self._batches(_class(kind), known, wanted)

    def _batches(self, kind: type[R], known: dict[int, Instrument], wanted: _Wanted) -> Iterator[R]:
        batches = self._reader.batches(*wanted)
        for rows in batches:
            yield kind.of(rows, known, problems_of(rows.problems))
        problems_of(batches.problems())

    def trades(self, symbol: Symbol = None, **selection: Any) -> Trades:
        """Trades of all kinds. `selection` is `start`, `end`, `venue` and `market` as in `records`."""
        return self.records(Trades, symbol, **selection)

    def agg_trades(self, symbol: Symbol = None, **selection: Any) -> AggTrades:
        """Aggregated trades."""
        return self.records(AggTrades, symbol, **selection)

    def quotes(self, symbol: Symbol = None, **selection: Any) -> Quotes:
        """Best bids and asks."""
        return self.records(Quotes, symbol, **selection)

    def books(self, symbol: Symbol = None, **selection: Any) -> Books:
        """Book snapshots and deltas in capture order."""
        return self.records(Books, symbol, **selection)

    def book_deltas(self, symbol: Symbol = None, **selection: Any) -> BookDeltas:
        """Book deltas."""
        return self.records(BookDeltas, symbol, **selection)

    def book_snapshots(self, symbol: Symbol = None, **selection: Any) -> BookSnapshots:
        """Book snapshots."""
        return self.records(BookSnapshots, symbol, **selection)

    def gaps(self, symbol: Symbol = None, *, kind: str | None = None, **selection: Any) -> Gaps:
        """Reported holes, of all streams or of those of a kind, e.g. `"trade"`."""
        gaps = self.records(Gaps, symbol, **selection)
        return gaps if kind is None else gaps[gaps.stream == Kind[kind.upper()]]

    def book_at(self, symbol: str, time: Time, *, venue: str | None = None, market: str | None = None) -> Book:
        """The book of an instrument with everything received until then. See `Book.valid`: levels of a book that is not
        valid are not given."""
        instrument = self.instrument(symbol, venue=venue, market=market)
        at_ns = nanoseconds(time)
        found = self._reader.book_at(instrument.id, at_ns)
        return Book(instrument, at_ns, found, problems_of(found.problems))

    def verify(self) -> dict[str, Any]:
        """Checks the whole log; the result is that of `marketprism verify --json`."""
        verification: dict[str, Any] = json.loads(self._reader.verify())
        return verification

    def coverage(self) -> dict[str, Any]:
        """What is proven of each stream, by the ledgers stored in the log; the result is that of
        `marketprism inspect --coverage --json`."""
        coverage: dict[str, Any] = json.loads(self._reader.coverage())
        return coverage

    def _by_id(self) -> dict[int, Instrument]:
        return _instruments.read(self._reader.instruments())

    def _wanted(
        self,
        kind: str | type[Records],
        known: dict[int, Instrument],
        symbol: Symbol,
        venue: str | None,
        market: str | None,
        start: Time | None,
        end: Time | None,
    ) -> _Wanted:
        found = _instruments.select(known, symbol, venue, market)
        ids = None if found is None else [instrument.id for instrument in found]
        from_ns = _FIRST_NS if start is None else nanoseconds(start)
        end_ns = _END_NS if end is None else nanoseconds(end)
        return [int(kind) for kind in _class(kind).kinds], ids, (from_ns, end_ns)


_Wanted = tuple[list[int], list[int] | None, tuple[int, int]]


def _class(kind: str | type[Records]) -> type[Records]:
    if isinstance(kind, type):
        return kind
    if kind not in CLASSES:
        raise LogError(f"no kind is named {kind!r}; there are {', '.join(CLASSES)}")
    return CLASSES[kind]

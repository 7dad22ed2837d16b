"""Records of one kind."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from marketprism import arrow
from marketprism._engine import Memory, Rows, layouts
from marketprism.columns import Column, IntegerColumn, TimeColumn
from marketprism.instruments import Instrument
from marketprism.values import Kind

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class LogWarning(UserWarning):
    """A log is damaged: what was read is right, and something is missing."""


@dataclass(frozen=True)
class Problem:
    """Something in the log that is not as it should be."""

    file: str
    """File name inside the log's folder; empty where it is about the log as a whole."""
    offset: int
    """Where in the file, bytes."""
    what: str
    """What is wrong."""

    def __str__(self) -> str:
        return f"{self.file} at byte {self.offset}: {self.what}"


def problems_of(found: Iterable[tuple[str, int, str]]) -> tuple[Problem, ...]:
    """Problems, each of which is warned of."""
    problems = tuple(Problem(*parts) for parts in found)
    for problem in problems:
        warnings.warn(str(problem), LogWarning, stacklevel=4)
    return problems


def _dtype(size: int, fields: list[tuple[str, int, str]]) -> np.dtype[np.void]:
    layout = {
        "names": [name for name, _, _ in fields],
        "offsets": [offset for _, offset, _ in fields],
        "formats": [kind for _, _, kind in fields],
        "itemsize": size,
    }
    return np.dtype(layout)  # type: ignore[call-overload, no-any-return]


DTYPES: Mapping[str, np.dtype[np.void]] = {name: _dtype(*layout) for name, layout in layouts().items()}
"""NumPy's view of each struct of FORMAT.md. Fields of a header are the struct's own; reserved bytes have no name."""


def view(memory: Memory, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Memory as an array, not copied and not writeable."""
    return np.ndarray(len(memory) // dtype.itemsize, dtype, memoryview(memory))


class Records:
    """Records of one kind, in capture order, as columns.

    `data` is a NumPy array of structs with the names of FORMAT.md; each column is a view of one of its fields. Columns have
    the names that `marketprism query --format json` uses. Indexing with a slice, a mask or places gives some of the records.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ()
    """Kinds of record in it."""
    struct: ClassVar[str]
    """Name of the struct in FORMAT.md."""
    columns: ClassVar[dict[str, Column[Any]]] = {}
    """Its own columns by name, besides those that every kind has."""

    receive_ns = TimeColumn("receive_ns", "Our wall clock when the bytes were read from the socket.")
    exchange_ns = TimeColumn("exchange_ns", "The venue's time.")
    flags = IntegerColumn("flags", "Bits of `Flag`.")
    instrument_id = IntegerColumn("instrument", "Id of the instrument; 0: none.", absent=0)

    def __init_subclass__(cls) -> None:
        declared = {name: value for name, value in vars(cls).items() if isinstance(value, Column)}
        cls.columns = {**cls.columns, **declared}

    def __init__(
        self,
        data: NDArray[np.void],
        sequence: NDArray[np.uint64],
        pool: Memory,
        instruments: Mapping[int, Instrument],
        problems: tuple[Problem, ...] = (),
        is_view: bool = False,
    ) -> None:
        self.data = data
        """The structs."""
        self.sequence = sequence
        """Capture sequence of each record: its number in the log."""
        self.pool = pool
        """Levels or bytes behind the records."""
        self.instruments = instruments
        """All instruments of the log by id."""
        self.problems = problems
        """What was damaged or missing in the log on the way. Each was warned of too."""
        self.is_view = is_view
        """Whether `data` is the mapped file itself."""

    @classmethod
    def of(cls, rows: Rows, instruments: Mapping[int, Instrument], problems: tuple[Problem, ...]) -> Self:
        """From what Rust has read."""
        data = view(rows.records, DTYPES[cls.struct])
        sequence = view(rows.sequences, np.dtype(np.uint64))
        return cls(data, sequence, rows.pool, instruments, problems, rows.is_view)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: slice | NDArray[Any] | list[int]) -> Self:
        if isinstance(key, int):
            raise TypeError("records are columns: index one of them, or .data for a struct")
        data, sequence = self.data[key], self.sequence[key]
        return type(self)(data, sequence, self.pool, self.instruments, self.problems, self.is_view and data.base is not None)

    def __repr__(self) -> str:
        return f"<{len(self)} {type(self).__name__}>"

    @property
    def receive_time(self) -> NDArray[np.datetime64]:
        """`receive_ns` as `datetime64[ns]`, UTC; a view."""
        return self.receive_ns.view("datetime64[ns]")

    @property
    def exchange_time(self) -> NDArray[np.datetime64]:
        """`exchange_ns` as `datetime64[ns]`, UTC, `NaT` where the venue gave none; a view."""
        return self.exchange_ns.view("datetime64[ns]")

    def to_arrow(self, *, floats: bool = False) -> pa.Table:
        """A `pyarrow.Table`: decimals exact as `decimal128`, or with `floats` as float64; times in UTC; null for absent."""
        own = {name: column.to_arrow(self, floats) for name, column in self.columns.items()}
        columns = {
            "receive_ns": arrow.time(self.receive_ns),
            "exchange_ns": arrow.time(self.exchange_ns),
            **self._names(),
            "sequence": arrow.number(self.sequence, None),
            "flags": arrow.number(self.flags, None),
            **own,
        }
        return arrow.library("pyarrow").table(columns)

    def to_polars(self, *, floats: bool = False) -> pl.DataFrame:
        """A `polars.DataFrame`, with the columns of `to_arrow`."""
        frame: pl.DataFrame = arrow.library("polars").from_arrow(self.to_arrow(floats=floats))
        return frame

    def to_pandas(self, *, floats: bool = False) -> pd.DataFrame:
        """A `pandas.DataFrame` of Arrow columns, with the columns of `to_arrow`."""
        pandas = arrow.library("pandas")
        return self.to_arrow(floats=floats).to_pandas(types_mapper=pandas.ArrowDtype)

    def _names(self) -> dict[str, pa.Array]:
        """Names of the instruments, as they were defined last."""
        known = sorted(self.instruments.values(), key=lambda instrument: instrument.id)
        # A number behind all ids, so that an unknown one has a place too.
        ids = np.array([*(instrument.id for instrument in known), 2**32], np.int64)
        places = np.searchsorted(ids, self.instrument_id)
        places[ids[places] != self.instrument_id] = len(known)

        def column(name: str) -> pa.Array:
            names = [getattr(instrument, name) for instrument in known]
            values = sorted(set(names) - {""})
            # A whole market has no symbol.
            codes = [values.index(name) if name else -1 for name in names]
            return arrow.dictionary(np.array([*codes, -1], np.int32)[places], values)

        return {name: column(name) for name in ("venue", "market", "symbol", "venue_symbol")}

"""Columns: how the fields of a record's struct become NumPy and Arrow.

The classes here are descriptors. `Trades.price` says where the prices of trades lie; `trades.price` gives them. What NumPy
gets are views of the records' memory, without a copy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from marketprism import arrow
from marketprism._engine import decimal128

if TYPE_CHECKING:
    import pyarrow as pa

    from marketprism.records import Records

ABSENT = -(2**63)
"""A number or time that the venue did not send. As `datetime64` it is `NaT`, in Arrow it is null."""

# Powers of ten by exponent; negative exponents index from the end. Most of 10^-n has no exact float, so that is divided by.
_MULTIPLIERS = np.array([float(f"1e{exponent}") for exponent in range(128)] + [1.0] * 128)
_DIVISORS = np.array([1.0] * 128 + [float(f"1e{-exponent}") for exponent in range(-128, 0)])

Integers = NDArray[np.integer[Any]]
T = TypeVar("T")


class Decimals:
    """Exact numbers: `mantissas * 10**exponents`, views of the records. `ABSENT` stands for what the venue did not
    send."""

    __slots__ = ("exponents", "mantissas")

    def __init__(self, mantissas: NDArray[np.int64], exponents: NDArray[np.int8]) -> None:
        self.mantissas = mantissas
        self.exponents = exponents

    def __len__(self) -> int:
        return len(self.mantissas)

    def __iter__(self) -> Iterator[Decimal | None]:
        pairs = zip(self.mantissas.tolist(), self.exponents.tolist(), strict=True)
        return (None if mantissa == ABSENT else _decimal(mantissa, exponent) for mantissa, exponent in pairs)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray[Any]:
        raise TypeError("choose: .to_float() converts to float64; .mantissas and .exponents are exact")

    def __repr__(self) -> str:
        shown = ", ".join(
            "-" if number is None else f"{number:f}" for number in Decimals(self.mantissas[:5], self.exponents[:5])
        )
        return f"<{len(self)} decimals: {shown}{', …' if len(self) > 5 else ''}>"

    @property
    def is_absent(self) -> NDArray[np.bool_]:
        """Where the venue sent nothing."""
        is_absent: NDArray[np.bool_] = self.mantissas == ABSENT
        return is_absent

    def to_float(self) -> NDArray[np.float64]:
        """The nearest floats; NaN for what is absent."""
        values = self.mantissas.astype(np.float64)
        values *= _MULTIPLIERS[self.exponents]
        values /= _DIVISORS[self.exponents]
        values[self.is_absent] = np.nan
        return values

    def to_decimals(self) -> list[Decimal | None]:
        """Exact, with the digits that the venue sent: `f"{number:f}"` is its text."""
        return list(self)

    def to_arrow(self, floats: bool = False) -> pa.Array:
        """A `decimal128` array, exact, with the scale of the number that has the most decimals; or float64."""
        if floats:
            return arrow.number(self.to_float(), self.is_absent)
        absent = self.is_absent
        present = self.exponents[~absent] if absent.any() else self.exponents
        scale = max(0, -int(present.min())) if len(present) else 0
        numbers = decimal128(np.ascontiguousarray(self.mantissas), np.ascontiguousarray(self.exponents), scale)
        return arrow.decimal(numbers, len(self), scale, absent)


def _decimal(mantissa: int, exponent: int) -> Decimal:
    # `scaleb` is exact here: 19 digits are less than any context's default precision.
    return Decimal(mantissa).scaleb(exponent)


class Column(Generic[T]):
    """A column of a kind of record."""

    def __init__(self, read: Callable[[Any], T], doc: str) -> None:
        self.read = read
        self.__doc__ = doc

    @overload
    def __get__(self, records: None, owner: type[Records]) -> Column[T]: ...
    @overload
    def __get__(self, records: Records, owner: type[Records]) -> T: ...
    def __get__(self, records: Records | None, owner: type[Records]) -> Column[T] | T:
        return self if records is None else self.read(records)

    def to_arrow(self, records: Records, floats: bool) -> pa.Array:
        """The column for a table."""
        raise NotImplementedError


class DecimalColumn(Column[Decimals]):
    """Numbers with a power of ten each."""

    def __init__(self, field: str, exponent: str, doc: str, place: int | None = None) -> None:
        def read(records: Records) -> Decimals:
            exponents = records.data[exponent]
            return Decimals(records.data[field], exponents if place is None else exponents[:, place])

        super().__init__(read, doc)

    def to_arrow(self, records: Records, floats: bool) -> pa.Array:
        return self.read(records).to_arrow(floats)


class IntegerColumn(Column[Integers]):
    """Whole numbers. `absent` is the one that stands for none."""

    def __init__(self, field: str, doc: str, absent: int | None = None) -> None:
        super().__init__(lambda records: records.data[field], doc)
        self.absent = absent

    def to_arrow(self, records: Records, floats: bool) -> pa.Array:
        numbers = self.read(records)
        return arrow.number(numbers, None if self.absent is None else numbers == self.absent)


class TimeColumn(Column[NDArray[np.int64]]):
    """Nanoseconds since the Unix epoch; `.view("datetime64[ns]")` has the absent ones as `NaT`."""

    def __init__(self, field: str, doc: str) -> None:
        super().__init__(lambda records: records.data[field], doc)

    def to_arrow(self, records: Records, floats: bool) -> pa.Array:
        return arrow.time(self.read(records))


class NameColumn(Column[NDArray[np.uint8]]):
    """Numbers that stand for names."""

    def __init__(self, field: str, names: type[IntEnum], doc: str) -> None:
        super().__init__(lambda records: records.data[field], doc)
        self.names = names

    def to_arrow(self, records: Records, floats: bool) -> pa.Array:
        return arrow.names(self.read(records), {int(value): value.name.lower() for value in self.names})


class TruthColumn(Column[NDArray[np.bool_]]):
    """Yes or no."""

    def __init__(self, field: str, doc: str) -> None:
        super().__init__(lambda records: records.data[field].view(np.bool_), doc)

    def to_arrow(self, records: Records, floats: bool) -> pa.Array:
        return arrow.number(self.read(records) != 0, None)


class TextColumn(Column[NDArray[np.bytes_]]):
    """Short texts, ASCII."""

    def __init__(self, field: str, doc: str) -> None:
        super().__init__(lambda records: records.data[field], doc)

    def to_arrow(self, records: Records, floats: bool) -> pa.Array:
        return arrow.texts(self.read(records))


class BodyColumn(Column[list[bytes]]):
    """Bytes behind a record: all of them, those of the reason, or those behind the reason."""

    def __init__(self, part: str, is_text: bool, doc: str) -> None:
        super().__init__(lambda records: _bodies(records, part), doc)
        self.is_text = is_text

    def to_arrow(self, records: Records, floats: bool) -> pa.Array:
        return arrow.bodies(self.read(records), self.is_text)


def _bodies(records: Records, part: str) -> list[bytes]:
    pool = memoryview(records.pool)
    starts = records.data["body_start"].astype(np.int64)
    ends = starts + records.data["body_bytes"]
    if part == "reason":
        ends = np.minimum(starts + records.data["reason_bytes"], ends)
    elif part == "frame":
        starts = np.minimum(starts + records.data["reason_bytes"], ends)
    return [bytes(pool[start:end]) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


class JsonColumn(Column[list[Any]]):
    """JSON behind a record, read; in Arrow its text."""

    def __init__(self, doc: str) -> None:
        super().__init__(lambda records: [json.loads(body) for body in _bodies(records, "all")], doc)

    def to_arrow(self, records: Records, floats: bool) -> pa.Array:
        return arrow.bodies(_bodies(records, "all"), is_text=True)


class ComputedColumn(Column[np.ma.MaskedArray[Any, Any]]):
    """Numbers made of other fields, masked where there are none."""

    def to_arrow(self, records: Records, floats: bool) -> pa.Array:
        numbers = self.read(records)
        return arrow.number(numbers.data, np.ma.getmaskarray(numbers))

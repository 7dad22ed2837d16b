"""Arrow arrays from NumPy ones. Contiguous numbers without absent ones are not copied."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from marketprism._engine import Memory

if TYPE_CHECKING:
    import pyarrow as pa

Mask = NDArray[np.bool_] | None


def library(name: str) -> Any:
    """A package that is not needed for everything."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"this needs {name}: pip install 'marketprism[{name}]'", name=name) from error


def _validity(absent: Mask) -> pa.Buffer | None:
    if absent is None or not absent.any():
        return None
    return library("pyarrow").py_buffer(np.packbits(~absent, bitorder="little"))


def number(values: NDArray[Any], absent: Mask) -> pa.Array:
    """Plain numbers."""
    return library("pyarrow").array(np.ascontiguousarray(values), mask=absent if _any(absent) else None)


def _any(absent: Mask) -> bool:
    return absent is not None and bool(absent.any())


def decimal(numbers: Memory, length: int, scale: int, absent: Mask) -> pa.Array:
    """128-bit decimals that count `10^-scale`."""
    arrow = library("pyarrow")
    buffers = [_validity(absent), arrow.py_buffer(numbers)]
    return arrow.Array.from_buffers(arrow.decimal128(38, scale), length, buffers)


def time(nanoseconds: NDArray[np.int64]) -> pa.Array:
    """Times in UTC."""
    arrow = library("pyarrow")
    buffers = [
        _validity(np.isnat(nanoseconds.view("datetime64[ns]"))),
        arrow.py_buffer(np.ascontiguousarray(nanoseconds)),
    ]
    return arrow.Array.from_buffers(arrow.timestamp("ns", "UTC"), len(nanoseconds), buffers)


def names(numbers: NDArray[np.uint8], known: dict[int, str]) -> pa.Array:
    """A dictionary of names; null for numbers without one."""
    places = np.full(256, -1, np.int8)
    places[list(known)] = np.arange(len(known))
    return dictionary(places[numbers], list(known.values()))


def dictionary(places: NDArray[Any], values: list[str]) -> pa.Array:
    """Values by their places in a list; null for negative places."""
    arrow = library("pyarrow")
    return arrow.DictionaryArray.from_arrays(number(places, places < 0), arrow.array(values, arrow.string()))


def texts(values: NDArray[np.bytes_]) -> pa.Array:
    """Short texts; null where empty."""
    arrow = library("pyarrow")
    decoded = [value.decode("utf-8", "replace") or None for value in values.tolist()]
    return arrow.array(decoded, arrow.string())


def bodies(values: list[bytes], is_text: bool) -> pa.Array:
    """Bytes, or texts in which what is not UTF-8 is replaced."""
    arrow = library("pyarrow")
    if not is_text:
        return arrow.array(values, arrow.large_binary())
    return arrow.array([value.decode("utf-8", "replace") for value in values], arrow.large_string())


def lists(counts: NDArray[Any], fields: dict[str, pa.Array]) -> pa.Array:
    """Lists of structs: so many for each row, one after the other."""
    arrow = library("pyarrow")
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    structs = arrow.StructArray.from_arrays(list(fields.values()), names=list(fields))
    return arrow.LargeListArray.from_arrays(offsets, structs)

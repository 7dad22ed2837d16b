"""Instruments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from marketprism._engine import LogError


@dataclass(frozen=True)
class Instrument:
    """What is traded where, as it was defined last. Absent parts are `None`."""

    id: int
    """Its number in this log; the same in all segments."""
    venue: str
    """E.g. `binance`."""
    market: str
    """E.g. `usdm`."""
    symbol: str
    """Canonical symbol, e.g. `BTC-USDT-PERP`; empty for the entry that stands for a whole market."""
    venue_symbol: str
    """The venue's own name, e.g. `BTCUSDT`."""
    type: str
    """`spot`, `perpetual`, `future`, `option`, `combo`, `index` or `market`."""
    tick: Decimal | None = None
    """Smallest price step."""
    lot: Decimal | None = None
    """Smallest quantity step, in the unit of quantities."""
    multiplier: Decimal | None = None
    """What one unit of a quantity is worth, in base units, or in quote units where `inverse`; `None`: 1."""
    inverse: bool = False
    """Whether quantities count quote units."""
    definition: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The whole definition as the log has it; decimals are texts."""

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> Instrument:
        """From a definition's JSON."""
        names = ("id", "venue", "market", "symbol", "venue_symbol", "type", "inverse")
        parts: dict[str, Any] = {name: definition[name] for name in names}
        for name in ("tick", "lot", "multiplier"):
            if name in definition:
                parts[name] = Decimal(definition[name])
        return cls(**parts, definition=definition)

    def __str__(self) -> str:
        return f"{self.venue}/{self.market}/{self.symbol}"


def read(definitions: str) -> dict[int, Instrument]:
    """From a JSON array, by id."""
    instruments = map(Instrument.of, json.loads(definitions))
    return {instrument.id: instrument for instrument in instruments}


def select(
    instruments: Mapping[int, Instrument],
    symbol: str | Sequence[str] | None,
    venue: str | None,
    market: str | None,
) -> list[Instrument] | None:
    """Those with one of the symbols, the venue's or the canonical one, in which `*` stands for any letters and `?` for one.
    `None`: all, since nothing was asked for."""
    if symbol is None and venue is None and market is None:
        return None
    symbols = [symbol] if isinstance(symbol, str) else symbol
    patterns = None if symbols is None else [pattern.replace("[", "[[]") for pattern in symbols]
    found = [
        instrument
        for instrument in instruments.values()
        if venue in (None, instrument.venue)
        and market in (None, instrument.market)
        and (patterns is None or any(_fits(instrument, pattern) for pattern in patterns))
    ]
    if not found:
        raise LogError(_nothing(instruments, symbols, venue, market))
    return found


def _fits(instrument: Instrument, pattern: str) -> bool:
    return fnmatchcase(instrument.symbol, pattern) or fnmatchcase(instrument.venue_symbol, pattern)


def _nothing(
    instruments: Mapping[int, Instrument],
    symbols: Sequence[str] | None,
    venue: str | None,
    market: str | None,
) -> str:
    wanted = ", ".join(filter(None, [venue, market, *(symbols or [])]))
    known = {name for instrument in instruments.values() for name in (instrument.symbol, instrument.venue_symbol)}
    near = [close for symbol in symbols or [] for close in get_close_matches(symbol, known, n=3)]
    hint = f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
    return f"the log has no instrument {wanted}{hint}"

"""Order books of the past."""

from __future__ import annotations

import numpy as np

from marketprism._engine import BookAt, LogError, Memory
from marketprism.instruments import Instrument
from marketprism.kinds import Levels
from marketprism.records import DTYPES, Problem, view


class InvalidBookError(LogError):
    """The levels of a book that is not valid were asked for."""


class Book:
    """The book of an instrument as it was at a time, with everything received until then."""

    def __init__(self, instrument: Instrument, at_ns: int, found: BookAt, problems: tuple[Problem, ...]) -> None:
        self.instrument = instrument
        self.at_ns = at_ns
        """The time that was asked for."""
        self.reason = found.invalid
        """Why it is not valid; `None` where it is."""
        self.last_id = found.last_id
        """The venue's id of the newest message in it."""
        self.receive_ns = found.receive_ns
        """When the newest message was received."""
        self.exchange_ns = found.exchange_ns
        """The venue's time of the newest message."""
        self.problems = problems
        self._found = found

    @property
    def valid(self) -> bool:
        """Whether it may be believed: the venue's rule of continuity held."""
        return self.reason is None

    @property
    def bids(self) -> Levels:
        """Best first. Raises `InvalidBookError` where the book is not valid."""
        return self._levels(self._found.bids)

    @property
    def asks(self) -> Levels:
        """Best first. Raises `InvalidBookError` where the book is not valid."""
        return self._levels(self._found.asks)

    def _levels(self, memory: Memory) -> Levels:
        if self.reason is not None:
            raise InvalidBookError(f"the book of {self.instrument} is not valid: {self.reason}")
        levels = view(memory, DTYPES["Level"])
        price = np.broadcast_to(np.int8(self._found.price_exponent), len(levels))
        quantity = np.broadcast_to(np.int8(self._found.quantity_exponent), len(levels))
        return Levels(levels, (price, quantity))

    def __repr__(self) -> str:
        what = f"{len(self.bids)} bids, {len(self.asks)} asks" if self.valid else f"not valid: {self.reason}"
        return f"<Book of {self.instrument}: {what}>"

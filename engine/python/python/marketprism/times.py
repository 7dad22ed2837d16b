"""Times as callers write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np

Time = str | int | datetime | np.datetime64
"""A moment: an ISO 8601 text with `Z` or an offset, a date (midnight UTC), nanoseconds since the Unix epoch, a datetime with
a time zone, or a `numpy.datetime64`, which is UTC. Of a text and a pandas Timestamp all nine decimals count."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DECIMALS = re.compile(r"[.,](\d{1,9})(?=\D|$)")


def nanoseconds(time: Time) -> int:
    """Nanoseconds since the Unix epoch."""
    if isinstance(time, np.datetime64):
        if np.isnat(time):
            raise ValueError("NaT is no time")
        return int(time.astype("datetime64[ns]").astype(np.int64))
    if isinstance(time, datetime):
        # A pandas Timestamp has nanoseconds besides.
        return _of_datetime(time) + int(getattr(time, "nanosecond", 0))
    if isinstance(time, str):
        return _of_text(time)
    return int(time)


def _of_datetime(time: datetime) -> int:
    if time.tzinfo is None:
        raise ValueError(f"{time} has no time zone: give it one, e.g. datetime.timezone.utc")
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


def _of_text(text: str) -> int:
    if _DATE.fullmatch(text):
        text += "T00:00Z"
    # datetime has no more than six decimals.
    decimals = _DECIMALS.search(text)
    whole = _DECIMALS.sub("", text, count=1)
    try:
        time = datetime.fromisoformat(whole)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time: write 2026-11-23T10:00:00Z or 2026-11-23") from error
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: append Z for UTC")
    return _of_datetime(time) + (int(decimals[1].ljust(9, "0")) if decimals else 0)

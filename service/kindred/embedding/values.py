"""Attribute values as producers send them, read leniently: what makes no sense counts as missing."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TRIGRAM = 3


def stable_hash(text: str) -> int:
    """The same on every machine and run, unlike `hash`; CRC-32 of the UTF-8 bytes."""
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def single(value: Any) -> Iterable[str]:
    """The one category that a value is; none for None."""
    return () if value is None else (str(value),)


def spread(value: Any) -> Iterable[str]:
    """The distinct categories of a list; a lone value is a list of one."""
    if isinstance(value, (list, tuple)):
        return dict.fromkeys(str(part) for part in value if part is not None)
    return single(value)


def number(value: Any) -> float | None:
    """A finite number, or None."""
    # Producers send "1995" as often as 1995; what is no number counts as missing.
    try:
        parsed = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def grams(value: Any) -> list[str]:
    """Words, and trigrams of their letters (bounded by <>), as fastText has them (Bojanowski 2017)."""
    words = str(value).casefold().split()
    bounded = [f"<{word}>" for word in words]
    pieces = [word[at : at + _TRIGRAM] for word in bounded for at in range(len(word) - _TRIGRAM + 1)]
    return words + pieces


def vector(value: Any, width: int) -> NDArray[np.float32]:
    """(width,) finite numbers; zeros for whatever is none."""
    try:
        with np.errstate(over="ignore"):  # infinite, then: it counts as missing
            parsed = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        return np.zeros(width, np.float32)
    fits = parsed.shape == (width,) and bool(np.isfinite(parsed).all())
    return parsed if fits else np.zeros(width, np.float32)

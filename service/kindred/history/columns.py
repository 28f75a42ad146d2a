"""Postgres arrays as numpy columns, without a Python object per element.

`array_send` gives Postgres' binary format of an array (src/backend/utils/adt/arrayfuncs.c):
a header (dimensions, flags, element type, and, unless empty, length and lower bound), then each
element as its length in bytes and its value, big-endian.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 20  # of an array of one dimension; an empty one has no dimension and only 12
POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01, from which a timestamptz counts microseconds


def lengths(blobs: Sequence[bytes], item_bytes: int) -> NDArray[np.int64]:
    """Elements of each array, for elements of `item_bytes`."""
    sizes = np.fromiter(map(len, blobs), np.int64, len(blobs))
    return np.maximum(sizes - HEADER_BYTES, 0) // (4 + item_bytes)


def concatenated(blobs: Sequence[bytes], item_bytes: int) -> NDArray[np.int64]:
    """All elements of all arrays, one after another."""
    element = np.dtype([("size", ">i4"), ("value", f">i{item_bytes}")])
    packed = b"".join([blob[HEADER_BYTES:] for blob in blobs])
    return np.frombuffer(packed, element)["value"].astype(np.int64)


def offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Row pointers of compressed sparse rows: (n + 1,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def times_us(blobs: Sequence[bytes]) -> NDArray[np.int64]:
    """Elements of timestamptz arrays, as microseconds since the Unix epoch."""
    return concatenated(blobs, 8) + POSTGRES_EPOCH_US

